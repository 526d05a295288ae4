"""Dialects of HDF5: Velox, Berkeley, HyperSpy, NeXus and Dectris, CXI of other programs; what each says, and traps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from writers import SEEDS
from writers.berkeley import MICROSCOPE, write_berkeley
from writers.cxi_other import write_cxi_images, write_cxi_pattern
from writers.hyperspy import write_hyperspy
from writers.nexus import write_master, write_nexus
from writers.velox import metadata, write_velox

from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.io.image import ImageFile, contents, read_image

Array = NDArray[Any]
Counts = Callable[..., Array]


def stated(read: ImageFile) -> dict[str, Any]:
    return read.header.stated()


# ---- Velox ----------------------------------------------------------------------------------------


def test_velox_pattern(tmp_path: Path, counts: Counts) -> None:
    data = counts((23, 31, 1), "int16")
    path = tmp_path / "a.emd"
    (name,) = write_velox(path, (data, metadata(), "Ceta"))
    read = read_image(path)
    np.testing.assert_array_equal(read.data, data[..., 0])
    assert read.dataset == name and contents(path) == ()
    assert stated(read) == {
        "pixel": ((0.01144297, 0.01144297), "1/Å"),
        "role": "pattern",
        "energy_ev": 300e3,
        "camera_length_mm": 378.0,
        "detector_pixel_um": 112.0,
        "exposure_s": 0.4,
        "binning": (8, 8),
        "frames_summed": 4,
        "counts_per_electron": 2.0,
        "saturation_counts": 6204.0,
    }
    assert read.said["camera_length_mm"] == "Optics.CameraLength = 0.378 m, nominal"
    assert "PixelValueToCameraCounts = 64" in read.said["counts_per_electron"]
    assert read.said["exposure_s"] == "Detectors.Detector-1.ExposureTime = 0.4 s"


def test_velox_image_has_a_defocus_and_no_camera_length(tmp_path: Path, counts: Counts) -> None:
    told = metadata(projector="2", unit="m", pixel=3.5e-11)
    write_velox(tmp_path / "a.emd", (counts((23, 31, 1)), told, "Ceta"))
    read = read_image(tmp_path / "a.emd")
    assert read.role == "image" and read.pixel_angstrom == 0.35
    assert read.camera_length_mm is None
    assert read.header.defocus_nm == -150.0 and "sign" in read.said["defocus_nm"]


def test_velox_frames_lie_behind_their_axes(tmp_path: Path, counts: Counts) -> None:
    data = counts((23, 31, 4), "int16")
    for chunks in ((23, 31, 1), (8, 8, 4)):
        write_velox(tmp_path / "a.emd", (data, metadata(), "Ceta"), chunks=chunks)
        with pytest.raises(InputError, match="stack of 4 frames of 23 x 31 pixels"):
            read_image(tmp_path / "a.emd")
        np.testing.assert_array_equal(read_image(tmp_path / "a.emd", frame=2).data, data[..., 2])
        total = read_image(tmp_path / "a.emd", frame="sum")
        np.testing.assert_array_equal(total.data, data.sum(axis=2, dtype=np.int64))
        assert (total.frames, total.stored_frames) == (4, 4)


def test_velox_images_are_chosen_by_what_velox_calls_them(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.emd"
    haadf = metadata(detector="HAADF", index="0", operating="2", unit="m", pixel=1e-9)
    first, second, third = write_velox(
        path,
        (counts((23, 31, 1)), haadf, "HAADF"),
        (counts((23, 31, 1)) + 1, metadata(), "Ceta"),
        (counts((23, 31, 1)) + 2, metadata(), "DCFI%28Ceta%29"),
    )
    with pytest.raises(
        InputError, match=r"several images: .*\(HAADF, 23 x 31\), .*\(Ceta, .*\(DCFI\(Ceta\), .*FILE::HAADF"
    ):
        read_image(path)
    assert [(item.name, item.caption) for item in contents(path)] == [
        (first, "HAADF"),
        (second, "Ceta, BM-Ceta"),
        (third, "DCFI(Ceta), BM-Ceta"),
    ]
    for k, names in enumerate([("HAADF", "haadf", first, first[1:-5]), ("Ceta", second), ("DCFI(Ceta)", third)]):
        for name in names:
            np.testing.assert_array_equal(read_image(f"{path}::{name}").data, counts() + k)
    with pytest.raises(InputError, match=r"several arrays 'BM-Ceta'"):
        read_image(f"{path}::BM-Ceta")
    read = read_image(f"{path}::HAADF")
    assert read.role == "image" and "STEM" in read.said["role"]
    assert read.header.exposure_s is None and read.header.binning is None  # those of a camera that took no part


def test_velox_transforms_are_no_patterns(tmp_path: Path, counts: Counts) -> None:
    half = np.zeros((23, 16, 1), dtype=[("realFloatHalfEven", "f4"), ("imagFloatHalfEven", "f4")])
    write_velox(tmp_path / "a.emd", (half, metadata(projector="2"), "FFT"), (counts((23, 31, 1)), metadata(), "Ceta"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.emd").data, counts())
    write_velox(tmp_path / "b.emd", (half, metadata(projector="2"), "FFT"))
    with pytest.raises(InputError, match="complex numbers where an intensity belongs"):
        read_image(tmp_path / "b.emd")
    write_velox(tmp_path / "c.emd", (counts((23, 31, 1)), metadata(projector="2"), "FFT"))
    with pytest.warns(QualityWarning, match="a transform"):
        assert read_image(tmp_path / "c.emd").role is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no JSON",
        b"[" * 50000,
        b"[1, 2]",
        b'{"Optics": 3, "BinaryResult": {"PixelSize": []}, "Detectors": null}',
        b"\xff" * 99,
    ],
)
def test_velox_with_damaged_metadata(tmp_path: Path, counts: Counts, text: bytes) -> None:
    write_velox(tmp_path / "a.emd", (counts((23, 31, 1)), text, "Ceta"))
    if text.startswith(b"{"):
        read = read_image(tmp_path / "a.emd")
    else:
        with pytest.warns(QualityWarning, match="Metadata cannot be read: pixel, energy and mode are not known"):
            read = read_image(tmp_path / "a.emd")
    np.testing.assert_array_equal(read.data, counts())
    assert stated(read) == {}


def test_velox_of_spectra_only(tmp_path: Path) -> None:
    path = tmp_path / "a.emd"
    write_velox(path)
    with h5py.File(path, "r+") as file:
        file["/Data/Spectrum/0/Data"] = np.ones((4096, 1), np.uint32)
    with pytest.raises(InputError, match=r"holds no image .*perhaps spectra only"):
        read_image(path)


# ---- Berkeley -------------------------------------------------------------------------------------


def test_berkeley_image(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.emd"
    write_berkeley(path, counts(), (("Y", "n_m", 0.012), ("X", "n_m", 0.012)), microscope=MICROSCOPE)
    read = read_image(path)
    np.testing.assert_array_equal(read.data, counts())
    assert stated(read) == {
        "pixel": ((0.12, 0.12), "Å"),
        "role": "image",
        "energy_ev": 200e3,
        "defocus_nm": -65.0,
        "binning": (4, 4),
    }
    assert read.said["energy_ev"] == "microscope@high tension = 200000.0 V"


def test_berkeley_pattern_with_a_kilovolt_written_out(tmp_path: Path, counts: Counts) -> None:
    axes = (("Q_y", "[n_m^-1]", 0.2), ("Q_x", "[n_m^-1]", 0.2))
    told = {"voltage": "300kV", "camera length": 0.085, "defocus": 1e-6}
    write_berkeley(tmp_path / "a.emd", counts(), axes, microscope=told)
    read = read_image(tmp_path / "a.emd")
    assert stated(read) == {
        "pixel": ((0.02, 0.02), "1/Å"),
        "role": "pattern",
        "energy_ev": 300e3,
        "camera_length_mm": 85.0,
    }


def test_berkeley_1_0_of_py4dstem(tmp_path: Path, counts: Counts) -> None:
    data = counts((2, 3, 12, 9))
    axes = (("Rx", "nm", 0.1), ("Ry", "nm", 0.1), ("Qx", "A^-1", 0.05), ("Qy", "A^-1", 0.05))
    write_berkeley(tmp_path / "a.h5", data, axes, version="1.0", group="root/datacube", two_positions=True)
    read = read_image(tmp_path / "a.h5", frame=4)
    np.testing.assert_array_equal(read.data, data[1, 1])
    assert read.pixel == ((0.05, 0.05), "1/Å") and read.role == "pattern"
    assert read_image(f"{tmp_path / 'a.h5'}::/root/datacube", frame=0).dataset == "/root/datacube/data"


@pytest.mark.parametrize(
    "third", [("bin_outer_angle", "[mrad]", 1.0), ("R_z", "[n_m]", 0.2), ("", "", np.array([b"CoM_x", b"CoM_y"]))]
)
def test_berkeley_of_prismatic_has_its_frames_behind(tmp_path: Path, counts: Counts, third: Any) -> None:
    data = counts((8, 7, 2))
    axes = (("R_x", "[n_m]", 0.25), ("R_y", "[n_m]", 0.25), third)
    write_berkeley(tmp_path / "a.emd", data, axes, group="4DSTEM_simulation/data/realslices/d", dataset="realslice")
    with pytest.warns(QualityWarning, match="R_x, R_y, .*the last was taken for frames"):
        read = read_image(tmp_path / "a.emd", frame=1)
    np.testing.assert_array_equal(read.data, data[..., 1])
    assert read.pixel_angstrom == 2.5
    assert read.header.orientation == "rows are called x, columns y"


def test_berkeley_axes_that_are_not_even_state_no_pixel(tmp_path: Path, counts: Counts) -> None:
    write_berkeley(tmp_path / "a.emd", counts((4, 5)), (("Y", "nm", [0, 1, 3, 7]), ("X", "nm", 1.0)))
    assert stated(read_image(tmp_path / "a.emd")) == {}
    write_berkeley(tmp_path / "b.emd", counts((4, 5)), (("Y", "nm", 5), ("X", "mrad", 1.0)))
    assert stated(read_image(tmp_path / "b.emd")) == {}


def test_berkeley_arrays_are_named_with_their_axes(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.emd"
    for name in ("one", "two"):
        write_berkeley(path, counts(), (("Y", "nm", 1.0), ("X", "nm", 1.0)), group=f"data/{name}")
    with pytest.raises(InputError, match=r"several images: /data/one/data \(Y, X, 23 x 31\), /data/two/data"):
        read_image(path)
    assert read_image(f"{path}::/data/two").dataset == "/data/two/data"


# ---- HyperSpy -------------------------------------------------------------------------------------

KY, KX = ("ky", "$A^{-1}$", 0.026, False), ("kx", "$A^{-1}$", 0.026, False)


def test_hyperspy_pattern(tmp_path: Path, counts: Counts) -> None:
    tem = {"beam_energy": 200.0, "camera_length": 320.0}
    write_hyperspy(tmp_path / "a.hspy", counts(), (KY, KX), tem=tem, exposure_s=0.2)
    read = read_image(tmp_path / "a.hspy")
    np.testing.assert_array_equal(read.data, counts())
    assert stated(read) == {
        "pixel": ((0.026, 0.026), "1/Å"),
        "role": "pattern",
        "energy_ev": 200e3,
        "camera_length_mm": 320.0,
        "exposure_s": 0.2,
    }
    assert read.said["energy_ev"] == "Acquisition_instrument.TEM.beam_energy = 200 keV"


def test_hyperspy_frames_are_what_is_navigated(tmp_path: Path, counts: Counts) -> None:
    data = counts((3, 12, 9, 2))
    axes = (("t", "s", 1.0, True), KY, KX, ("energy", "eV", 1.0, True))
    write_hyperspy(tmp_path / "a.hspy", data, axes)
    np.testing.assert_array_equal(read_image(tmp_path / "a.hspy", frame=5).data, data[2, :, :, 1])
    write_hyperspy(tmp_path / "b.hspy", data[..., 0], (("", "", 1.0, None),) * 3, record_by="image", version="1.2")
    np.testing.assert_array_equal(read_image(tmp_path / "b.hspy", frame=1).data, data[1, :, :, 0])


def test_hyperspy_image_states_no_camera_length(tmp_path: Path, counts: Counts) -> None:
    axes = (("y", "nm", 0.05, False), ("x", "nm", 0.05, False))
    write_hyperspy(tmp_path / "a.hspy", counts(), axes, tem={"beam_energy": 80.0, "camera_length": 320.0})
    read = read_image(tmp_path / "a.hspy")
    assert read.role == "image" and read.pixel_angstrom == 0.5 and read.camera_length_mm is None


def test_hyperspy_spectra_are_no_image(tmp_path: Path, counts: Counts) -> None:
    write_hyperspy(tmp_path / "a.hspy", counts(), (("x", "nm", 1.0, True), ("energy", "eV", 1.0, False)))
    with pytest.raises(InputError, match="holds no image, but spectra"):
        read_image(tmp_path / "a.hspy")
    write_hyperspy(tmp_path / "b.hspy", counts(), (("", "", 1.0, None),) * 2, record_by="spectrum", version="1.2")
    with pytest.raises(InputError, match="holds no image, but spectra"):
        read_image(tmp_path / "b.hspy")


def test_hyperspy_calibration_that_cannot_be(tmp_path: Path, counts: Counts) -> None:
    # as HyperSpy 1.5 made them of TIA files: 1/m written as 1/nm
    axes = (("y", "1 / nm", 7.8e-20, False), ("x", "1 / nm", 7.8e-20, False))
    write_hyperspy(tmp_path / "a.hspy", counts(), axes)
    with pytest.warns(QualityWarning, match="which cannot be: they are not used"):
        assert stated(read_image(tmp_path / "a.hspy")) == {}


def test_hyperspy_axis_whose_name_is_no_text(tmp_path: Path, counts: Counts) -> None:
    # HDF5 2.0 ends the program where one byte of the type is damaged; whatever is no text is not read
    path = tmp_path / "a.hspy"
    write_hyperspy(path, counts(), (KY, KX))
    with h5py.File(path, "r+") as file:
        axis = file["Experiments/pattern/axis-0"]
        texts = np.empty(1, dtype=object)
        texts[0] = np.arange(3, dtype=np.int32)
        axis.attrs.create("name", texts, dtype=h5py.vlen_dtype(np.int32))
        axis.attrs["units"] = axis.ref
    read = read_image(path)
    np.testing.assert_array_equal(read.data, counts())
    assert read.pixel is None


def test_hyperspy_signals_are_chosen_by_title(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.hspy"
    write_hyperspy(path, counts(), (KY, KX), title="sum")
    write_hyperspy(path, counts() + 1, (KY, KX), title="mean")
    with pytest.raises(InputError, match=r"several images: .*/Experiments/mean/data \(mean, 23 x 31\).*FILE::mean"):
        read_image(path)
    np.testing.assert_array_equal(read_image(f"{path}::Mean").data, counts() + 1)


# ---- NeXus and Dectris ----------------------------------------------------------------------------


@pytest.mark.parametrize("old", [False, True])
def test_dectris_master_joins_its_files(tmp_path: Path, counts: Counts, old: bool) -> None:
    one, two = counts((3, 23, 31), "uint32"), counts((2, 23, 31), "uint32") + 7
    path = tmp_path / "scan_master.h5"
    write_master(path, [one, two], old=old)
    frames = np.concatenate([one, two])
    with pytest.raises(InputError, match="stack of 5 frames of 23 x 31 pixels"):
        read_image(path)
    for k in (0, 2, 3, 4):
        read = read_image(path, frame=k)
        np.testing.assert_array_equal(read.data, frames[k])
    np.testing.assert_array_equal(read_image(path, frame="sum").data, frames.sum(axis=0, dtype=np.int64))
    assert read.dataset == "/entry/data"
    assert stated(read) == {
        "detector_pixel_um": 100.0,
        "camera_length_mm": 700.0,
        "exposure_s": 0.002,
        "saturation_counts": 8352.0,
        "invalid_values": (float(2**32 - 1),),
        "energy_ev": 300e3,
    }
    np.testing.assert_array_equal(read_image(f"{path}::/entry/data/data_000002", frame=1).data, two[1])
    names = [item.name for item in contents(path)]
    assert names[0] == "/entry/data" and "/entry/instrument/detector/detectorSpecific/flatfield" in names


def test_dectris_gaps_and_pixel_mask_become_the_mask(tmp_path: Path, counts: Counts) -> None:
    one = counts((2, 23, 31), "uint32")
    one[:, 5], one[1, 7, 7] = 2**32 - 1, 2**32 - 1
    mask = np.zeros((23, 31), np.uint32)
    mask[2, 3] = 16
    write_master(tmp_path / "a_master.h5", [one], mask=mask)
    first, total = (read_image(tmp_path / "a_master.h5", frame=frame) for frame in (0, "sum"))  # type: ignore[arg-type]
    expected = mask != 0
    expected[5] = True
    np.testing.assert_array_equal(first.mask, expected)
    expected[7, 7] = True
    np.testing.assert_array_equal(total.mask, expected)
    assert first.said["mask"].endswith("detectorSpecific/pixel_mask")
    assert "2^32 - 1" in first.said["invalid_values"]


def test_dectris_file_that_is_missing_is_named(tmp_path: Path, counts: Counts) -> None:
    parts = write_master(tmp_path / "a_master.h5", [counts((2, 6, 8)), counts((2, 6, 8))])
    parts[1].unlink()
    with pytest.raises(InputError, match=r"data of /entry/data/data_000002 are in a_data_000002.h5, which is missing"):
        read_image(tmp_path / "a_master.h5", frame=0)
    assert read_image(f"{tmp_path / 'a_master.h5'}::/entry/data/data_000001", frame=0).data.shape == (6, 8)
    parts[0].unlink()
    with pytest.raises(InputError, match=r"are in a_data_00000[12].h5, which is missing"):
        read_image(tmp_path / "a_master.h5", frame=0)


def test_a_data_file_alone_has_its_frames(tmp_path: Path, counts: Counts) -> None:
    (part,) = write_master(tmp_path / "a_master.h5", [counts((2, 6, 8))])
    np.testing.assert_array_equal(read_image(part, frame=1).data, counts((2, 6, 8))[1])


def test_nexus_signal_with_calibrated_axes(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.nxs"
    axes = {"t": (np.arange(2.0), "s"), "ky": (np.arange(23) * 0.2, "1/nm"), "kx": (np.arange(31) * 0.2, "1/nm")}
    write_nexus(path, counts((2, 23, 31)), axes)
    read = read_image(path, frame=1)
    assert read.dataset == "/scan/pattern/counts"
    assert read.pixel == ((0.02, 0.02), "1/Å") and read.role == "pattern"
    assert read.energy_ev == pytest.approx(200e3, rel=1e-3)
    assert "incident_wavelength" in read.said["energy_ev"]


@pytest.mark.parametrize("probe", ["x-ray", ""])
def test_nexus_energies_of_photons_are_not_taken(tmp_path: Path, counts: Counts, probe: str) -> None:
    path = tmp_path / "a.nxs"
    write_nexus(path, counts(), {}, probe=probe)
    with h5py.File(path, "r+") as file:
        file["scan/instrument/beam/incident_wavelength"][()] = 0.98
    with pytest.warns(QualityWarning, match="of X-rays or neutrons: it is not used"):
        assert read_image(path).energy_ev is None


def test_nexus_default_goes_before_other_signals(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.nxs"
    write_nexus(path, counts(), {})
    with h5py.File(path, "r+") as file:
        other = file.create_group("scan/second")
        other.attrs["NX_class"], other.attrs["signal"] = "NXdata", "x"
        other["x"] = counts() + 1
    np.testing.assert_array_equal(read_image(path).data, counts())
    with h5py.File(path, "r+") as file:
        del file.attrs["default"], file["scan"].attrs["default"]
    with pytest.raises(InputError, match="several images"):
        read_image(path)


def test_nexus_signal_that_two_groups_share_is_one(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.nxs"
    write_nexus(path, counts(), {})
    with h5py.File(path, "r+") as file:
        del file.attrs["default"], file["scan"].attrs["default"]
        other = file.create_group("scan/detector")
        other.attrs["NX_class"], other.attrs["signal"] = "NXdata", "counts"
        other["counts"] = file["scan/pattern/counts"]
    np.testing.assert_array_equal(read_image(path).data, counts())


def test_nexus_lengths_without_a_unit_are_not_believed(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a_master.h5"
    write_master(path, [counts((1, 6, 8))], bits=None, distance=700.0)
    with h5py.File(path, "r+") as file:
        detector = file["entry/instrument/detector"]
        for name, value in {"x_pixel_size": 0.172, "y_pixel_size": 0.172, "detector_distance": 513.8}.items():
            del detector[name].attrs["units"]
            detector[name][()] = value
    read = read_image(path)
    assert read.header.detector_pixel_um is None and read.camera_length_mm is None
    assert read.header.invalid_values == ()


# ---- CXI of other programs ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(23, 31), (1, 23, 31), (1, 1, 23, 31)])
@pytest.mark.parametrize("mask_at", ["data_1/mask", "instrument_1/detector_1/mask", "data_1/detector_1/mask", ""])
def test_cxi_pattern_with_its_mask(tmp_path: Path, counts: Counts, shape: tuple[int, ...], mask_at: str) -> None:
    mask = np.zeros((23, 31), np.uint32)
    mask[4, 5], mask[6, 7], mask[8, 9] = 1, 2 | 32, 32 | 2048  # the last is a peak that was corrected: good
    path = tmp_path / "a.cxi"
    write_cxi_pattern(path, counts().reshape(shape), mask=mask if mask_at else None, mask_at=mask_at)
    read = read_image(path)
    np.testing.assert_array_equal(read.data, counts())
    if mask_at:
        assert read.mask is not None and read.mask.sum() == 2 and read.mask[4, 5] and read.mask[6, 7]
        assert read.said["mask"] == f"/entry_1/{mask_at}"
    assert read.dataset == "/entry_1/data_1/data" and read.role == "pattern"
    assert read.header.detector_pixel_um == 75.0 and read.camera_length_mm == 700.0
    assert read.energy_ev == pytest.approx(200e3, rel=1e-6)  # stated in joule


def test_cxi_stack_and_photons(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.cxi"
    write_cxi_pattern(path, counts((4, 12, 9)), energy_joule=1.28e-15)
    with pytest.warns(QualityWarning, match="none of an electron microscope: it is not used"):
        read = read_image(path, frame=2)
    np.testing.assert_array_equal(read.data, counts((4, 12, 9))[2])
    assert read.energy_ev is None


def test_cxi_images_with_their_size(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.cxi"
    write_cxi_images(path, counts(), counts() + 1, counts().astype(np.complex64), size_m=[31 * 2e-11, 23 * 3e-11])
    with pytest.raises(InputError, match=r"several images: /entry_1/image_1/data \(object 1, 23 x 31\), .*image_2"):
        read_image(path)
    with pytest.warns(QualityWarning, match="not square"):
        read = read_image(f"{path}::/entry_1/image_2")
    np.testing.assert_array_equal(read.data, counts() + 1)
    assert read.pixel == ((0.3, 0.2), "Å") and read.role == "image"
    assert [item.caption for item in contents(path)] == ["object 1", "object 2", "object 3"]


def test_cxi_sizes_that_are_counts_of_pixels_are_left(tmp_path: Path, counts: Counts) -> None:
    write_cxi_images(tmp_path / "a.cxi", counts(), size_m=[31, 23])
    assert read_image(tmp_path / "a.cxi").pixel is None


def test_cxi_of_a_complex_object_alone(tmp_path: Path, counts: Counts) -> None:
    write_cxi_images(tmp_path / "a.cxi", counts().astype(np.complex64))
    with pytest.raises(InputError, match="complex numbers where an intensity belongs"):
        read_image(tmp_path / "a.cxi")


# ---- all of them ----------------------------------------------------------------------------------

DIALECTS = ("velox", "berkeley", "hyperspy", "nexus", "cxi_other", "hdf5")


@pytest.mark.parametrize("name", DIALECTS)
def test_files_cut_anywhere_are_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    for path in SEEDS[name](tmp_path):
        raw = path.read_bytes()
        for part in (0.1, 0.5, 0.9, 0.99):
            path.write_bytes(raw[: int(len(raw) * part)])
            with pytest.raises(InputError, match=r"cannot be read as HDF5|cut short|no known format") as caught:
                read_image(path, frame=0)
            assert "\n" not in str(caught.value)
        path.write_bytes(raw)
