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
from napari_subangstrom_cdi.job.headers import completed
from napari_subangstrom_cdi.job.pipeline import run
from napari_subangstrom_cdi.job.plan import Inputs, Plan, RetrievalSettings

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


WRITERS: dict[str, Callable[[Path, Records], Inputs]] = {
    one.__name__: one for one in (tiff_and_mrc, imagej, npy, npz, hdf5, cxi)
}


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


def test_files_that_say_all_need_no_more_than_what_a_person_must_say(records, reference, tmp_path):
    """The pixels of both from ImageJ's headers; ImageJ knows no energy."""
    plan = Plan(imagej(tmp_path, records), replace(BY_HAND, energy_ev=ENERGY_EV))
    np.testing.assert_array_equal(reconstructed(plan).object, reference.object)
