"""A sound case in every format that can be written: with what its files say, the same bits as from TIFF and MRC.

`WRITERS` is the table; a format is one function in it, which writes the three records with all that the format can say
and returns their addresses. What it cannot say is stated, so that each of them is reconstructed from the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.core.result import Result
from napari_subangstrom_cdi.io import read_acquisition
from napari_subangstrom_cdi.io.cxi import write_cxi
from napari_subangstrom_cdi.job.headers import completed
from napari_subangstrom_cdi.job.pipeline import load_plan, run
from napari_subangstrom_cdi.job.plan import Inputs, Plan, RetrievalSettings

from .writers import berkeley, dm, edf, hyperspy, mrc, nexus, packed, ser, tiff, velox

OLD = Path(__file__).parents[1] / "data" / "from_0_1_0"
ENERGY_EV, Q_PIXEL, IMAGE_PIXEL = 200e3, 0.00375, 1.44
# What a microscopist must say, whatever the files say.
BY_HAND = replace(
    read_acquisition(OLD / "acquisition.json"),
    energy_ev=None, camera_length_mm=None, detector_pixel_um=None, image_pixel_angstrom=None, note="",
)  # fmt: skip
ALL_STATED = replace(
    BY_HAND, energy_ev=ENERGY_EV, reciprocal_pixel_per_angstrom=Q_PIXEL, image_pixel_angstrom=IMAGE_PIXEL
)
SHORT = RetrievalSettings("extend", (Stage("image", 3, "er", ("image", "real", "support")), Stage("complex", 3)))


@dataclass(frozen=True)
class Records:
    """The records as arrays."""

    pattern: NDArray[np.uint16]
    background: NDArray[np.uint16]
    image: NDArray[np.float32]

    def items(self) -> list[tuple[str, NDArray[Any]]]:
        return list(vars(self).items())


def tiff_and_mrc(folder: Path, records: Records) -> Inputs:
    """No header that says anything, but for the image's."""
    tifffile.imwrite(folder / "pattern.tif", records.pattern)
    tifffile.imwrite(folder / "background.tif", records.background)
    with mrcfile.new(folder / "image.mrc") as file:
        file.set_data(records.image)
        file.voxel_size = IMAGE_PIXEL
    return Inputs(*(str(folder / name) for name in ("pattern.tif", "background.tif", "image.mrc")))


def imagej(folder: Path, records: Records) -> Inputs:
    """TIFF of ImageJ, whose resolution has a unit."""
    for role, data in records.items():
        pixel, unit = (IMAGE_PIXEL / 10, "nm") if role == "image" else (10 * Q_PIXEL, "1/nm")
        tifffile.imwrite(
            folder / f"{role}.tif", data, imagej=True, resolution=(1 / pixel, 1 / pixel), metadata={"unit": unit}
        )
    return Inputs(*(str(folder / f"{role}.tif") for role, _ in records.items()))


def npy(folder: Path, records: Records) -> Inputs:
    for role, data in records.items():
        np.save(folder / f"{role}.npy", data)
    return Inputs(*(str(folder / f"{role}.npy") for role, _ in records.items()))


def npz(folder: Path, records: Records) -> Inputs:
    """All three in one file."""
    np.savez_compressed(folder / "all.npz", **dict(records.items()))
    return Inputs(*(f"{folder / 'all.npz'}::{role}" for role, _ in records.items()))


def hdf5(folder: Path, records: Records) -> Inputs:
    """All three in one file, chosen by their paths."""
    with h5py.File(folder / "all.h5", "w") as file:
        for role, data in records.items():
            file.create_dataset(f"scan/{role}", data=data, compression="gzip")
    return Inputs(*(f"{folder / 'all.h5'}::/scan/{role}" for role, _ in records.items()))


def cxi(folder: Path, records: Records) -> Inputs:
    """The patterns as stacks of one, the image with its pixel in metres."""
    for role, data in records.items():
        with h5py.File(folder / f"{role}.cxi", "w") as file:
            file["cxi_version"] = 160
            group = file.create_group("entry_1/image_1" if role == "image" else "entry_1/data_1")
            group["data"] = data if role == "image" else data[None]
            if role == "image":
                group["x_pixel_size"] = group["y_pixel_size"] = IMAGE_PIXEL * 1e-10
    return Inputs(*(str(folder / f"{role}.cxi") for role, _ in records.items()))


def _pixel_of(role: str) -> float:
    return IMAGE_PIXEL if role == "image" else Q_PIXEL


def _each(folder: Path, records: Records, suffix: str, write: Callable[[Path, str, NDArray[Any]], object]) -> Inputs:
    """A file for each record."""
    for role, data in records.items():
        write(folder / f"{role}{suffix}", role, data)
    return Inputs(*(str(folder / f"{role}{suffix}") for role, _ in records.items()))


def _digital_micrograph(folder: Path, records: Records, version: int) -> Inputs:
    def write(path: Path, role: str, data: NDArray[Any]) -> None:
        pixel, unit = (IMAGE_PIXEL / 10, "nm") if role == "image" else (10 * Q_PIXEL, "1/nm")
        mode = "IMAGING" if role == "image" else "DIFFRACTION"
        microscope = {"Microscope Info": {"Voltage": ENERGY_EV, "Imaging Mode": mode, "Operation Mode": mode}}
        stored = dm.image(data, units=(unit, unit), scales=(pixel, pixel), **microscope)
        path.write_bytes(dm.dm_bytes(stored, version=version))

    return _each(folder, records, f".dm{version}", write)


def dm3(folder: Path, records: Records) -> Inputs:
    """With pixel, voltage and mode."""
    return _digital_micrograph(folder, records, 3)


def dm4(folder: Path, records: Records) -> Inputs:
    """The same in 64 bits."""
    return _digital_micrograph(folder, records, 4)


def tia(folder: Path, records: Records) -> Inputs:
    """SER, whose EMI has the voltage and the mode."""

    def write(path: Path, role: str, data: NDArray[Any]) -> None:
        pixel = 1e-10 * IMAGE_PIXEL if role == "image" else 1e10 * Q_PIXEL
        path.write_bytes(ser.ser_bytes([data], pixel=(pixel, pixel)))
        mode = "TEM uP SA Zoom Image" if role == "image" else "TEM uP SA Zoom Diffraction"
        (folder / f"{role}.emi").write_bytes(ser.emi_bytes({"mode": mode, "volts": ENERGY_EV}))

    return _each(folder, records, "_1.ser", write)


def velox_emd(folder: Path, records: Records) -> Inputs:
    """Arrays of (y, x, frame), with all metadata but the detector's, which would contradict what is stated."""

    def write(path: Path, role: str, data: NDArray[Any]) -> None:
        unit, pixel = ("m", 1e-10 * IMAGE_PIXEL) if role == "image" else ("1/m", 1e10 * Q_PIXEL)
        optics = {
            "AccelerationVoltage": "200000",
            "OperatingMode": "1",
            "ProjectorMode": "2" if role == "image" else "1",
        }
        told = velox.metadata(unit=unit, pixel=pixel, Optics=optics, CustomProperties={}, Detectors={})
        velox.write_velox(path, (data[..., None], told, "Ceta"))

    return _each(folder, records, ".emd", write)


def berkeley_emd(folder: Path, records: Records) -> Inputs:
    """With pixel and high tension."""

    def write(path: Path, role: str, data: NDArray[Any]) -> None:
        unit, step = ("n_m", IMAGE_PIXEL / 10) if role == "image" else ("n_m^-1", 10 * Q_PIXEL)
        dimensions = (("Y", unit, step), ("X", unit, step))
        berkeley.write_berkeley(path, data, dimensions, microscope={"high tension": str(ENERGY_EV)})

    return _each(folder, records, ".emd", write)


def hspy(folder: Path, records: Records) -> Inputs:
    """With pixel and beam energy."""

    def write(path: Path, role: str, data: NDArray[Any]) -> None:
        unit = "Å" if role == "image" else "$A^{-1}$"
        axes = (("y", unit, _pixel_of(role), False), ("x", unit, _pixel_of(role), False))
        hyperspy.write_hyperspy(path, data, axes, tem={"beam_energy": ENERGY_EV / 1e3})

    return _each(folder, records, ".hspy", write)


def nexus_axes(folder: Path, records: Records) -> Inputs:
    """With positions of rows and columns."""

    def write(path: Path, role: str, data: NDArray[Any]) -> None:
        unit, step = ("nm", IMAGE_PIXEL / 10) if role == "image" else ("1/nm", 10 * Q_PIXEL)
        axes = {name: (np.arange(size) * step, unit) for name, size in zip(("y", "x"), data.shape, strict=True)}
        nexus.write_nexus(path, data, axes)
        with h5py.File(path, "r+") as file:
            del file["scan/instrument"]  # its wavelength is a rounded one

    return _each(folder, records, ".nxs", write)


def dm_tiff(folder: Path, records: Records) -> Inputs:
    """TIFF of DigitalMicrograph."""

    def write(path: Path, role: str, data: NDArray[Any]) -> None:
        unit, pixel = ("nm", IMAGE_PIXEL / 10) if role == "image" else ("1/nm", 10 * Q_PIXEL)
        tifffile.imwrite(path, data, metadata=None, extratags=tiff.dm_tags(unit, pixel, pixel))

    return _each(folder, records, ".tif", write)


def tvips_tiff(folder: Path, records: Records) -> Inputs:
    """TIFF of EM-MENU: high tension, and the pixel of the image."""

    def write(path: Path, role: str, data: NDArray[Any]) -> None:
        said = {"PixelSizeX": IMAGE_PIXEL / 10, "TemMode": 0} if role == "image" else {"TemMode": 2}
        tag = tiff.tvips_tag(TemHighTension=ENERGY_EV, **said)
        tifffile.imwrite(path, data, metadata=None, extratags=[tag])

    return _each(folder, records, ".tif", write)


def epu_mrc(folder: Path, records: Records) -> Inputs:
    """MRC with the extended header of EPU."""

    def write(path: Path, role: str, data: NDArray[Any]) -> None:
        pixel = {"Pixel_size_X": 1e-10 * IMAGE_PIXEL, "Pixel_size_Y": 1e-10 * IMAGE_PIXEL} if role == "image" else {}
        extended = mrc.fei_bytes("FEI2", HT=ENERGY_EV, Projection_mode=2 if role == "image" else 1, **pixel)
        path.write_bytes(mrc.mrc_bytes(data, 2 if role == "image" else 6, extended=extended, kind="FEI2"))

    return _each(folder, records, ".mrc", write)


def esrf(folder: Path, records: Records) -> Inputs:
    """EDF, which says nothing."""
    return _each(folder, records, ".edf", lambda path, role, data: path.write_bytes(edf.edf_bytes(data)))


def gzipped(folder: Path, records: Records) -> Inputs:
    """DM3 within gzip."""
    named = dm3(folder, records)
    for role, _ in records.items():
        packed.pack(folder / f"{role}.dm3", ".gz")
    return Inputs(*(f"{getattr(named, role)}.gz" for role, _ in records.items()))


def zipped(folder: Path, records: Records) -> Inputs:
    """All three in one zip, chosen by their names."""
    named = dm4(folder, records)
    paths = [Path(getattr(named, role)) for role, _ in records.items()]
    archive = packed.zipped(folder / "all.zip", {path.name: path.read_bytes() for path in paths})
    return Inputs(*(f"{archive}::{path.name}" for path in paths))


WRITERS: dict[str, Callable[[Path, Records], Inputs]] = {
    one.__name__: one
    for one in (
        tiff_and_mrc, imagej, npy, npz, hdf5, cxi, dm3, dm4, tia, velox_emd, berkeley_emd, hspy, nexus_axes, dm_tiff,
        tvips_tiff, epu_mrc, esrf, gzipped, zipped,
    )
}  # fmt: skip


@pytest.fixture(scope="module")
def records() -> Records:
    pattern, background = (
        tifffile.imread(OLD / f"{name}.tif").astype(np.uint16) for name in ("particle", "background")
    )
    with mrcfile.open(OLD / "image.mrc") as file:
        return Records(pattern.astype(np.uint16), background.astype(np.uint16), np.array(file.data, np.float32))


def reconstructed(plan: Plan) -> Result:
    return run(replace(plan, retrieval=SHORT, ensemble=EnsembleSettings(1, 0)), workers=1).reconstruction


@pytest.fixture(scope="module")
def reference(records: Records, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """From TIFF and MRC, with everything stated."""
    return reconstructed(Plan(tiff_and_mrc(tmp_path_factory.mktemp("reference"), records), ALL_STATED))


def stated_where_files_do_not(inputs: Inputs) -> Plan:
    """What a microscopist must say, and of the rest what these files do not."""
    known = completed(Plan(inputs, BY_HAND)).acquisition
    lacking = {name: value for name, value in vars(ALL_STATED).items() if getattr(known, name) is None}
    return Plan(inputs, replace(BY_HAND, **lacking))


@pytest.mark.parametrize("written", WRITERS.values(), ids=WRITERS)
def test_every_format_gives_the_same_bits(written, records, reference, tmp_path):
    plan = stated_where_files_do_not(written(tmp_path, records))
    found = reconstructed(plan)
    assert not [said for said in found.metrics.get("warnings", ()) if "contradicts" in said]
    np.testing.assert_array_equal(found.pattern, reference.pattern)
    np.testing.assert_array_equal(found.object, reference.object)
    np.testing.assert_array_equal(found.r_history, reference.r_history)
    assert found.metrics["acquisition"] == reference.metrics["acquisition"]


@pytest.mark.parametrize("written", [dm3, dm4, tia, velox_emd, berkeley_emd, hspy, gzipped, zipped])
def test_files_that_say_all_need_no_more_than_what_a_person_must_say(written, records, tmp_path):
    known = completed(Plan(written(tmp_path, records), BY_HAND))
    assert known.acquisition == ALL_STATED and not known.doubts


def test_a_result_of_files_with_companions_repeats_from_itself(records, reference, tmp_path):
    """TIA's EMI has the energy: it is in the result with the SER."""
    plan = stated_where_files_do_not(tia(tmp_path, records))
    write_cxi(tmp_path / "result.cxi", reconstructed(plan))
    for file in (*tmp_path.glob("*.ser"), *tmp_path.glob("*.emi")):
        file.unlink()
    again = run(load_plan(tmp_path / "result.cxi", tmp_path), workers=1).reconstruction
    np.testing.assert_array_equal(again.object, reference.object)
    assert again.metrics["acquisition_from"]["beam_energy_eV"].startswith("pattern_1.ser: pattern.emi")
