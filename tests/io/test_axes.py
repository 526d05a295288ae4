"""Arrays whose axes nobody named, several arrays in one NPZ, and what an EDF says beside its data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.io import read_image
from napari_subangstrom_cdi.io.image import contents
from napari_subangstrom_cdi.io.stack import read_stack

Array = NDArray[Any]
STACK = np.random.default_rng(4).integers(0, 999, (6, 16, 16)).astype("u2")


def saved(path: Path, data: Array) -> Path:
    np.savez(path, x=data) if path.suffix == ".npz" else np.save(path, data)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_axes_of_one_are_dropped_on_both_sides(tmp_path: Path, suffix: str) -> None:
    for shape in ((1, 1, 16, 16), (16, 16, 1), (1, 16, 16, 1)):
        path = saved(tmp_path / f"a{suffix}", STACK[0].reshape(shape))
        np.testing.assert_array_equal(read_image(path).data, STACK[0])


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_frames_behind_a_square_detector_are_found_and_said(tmp_path: Path, suffix: str, order: Any) -> None:
    path = saved(tmp_path / f"a{suffix}", np.array(np.moveaxis(STACK, 0, -1), order=order))
    with pytest.warns(QualityWarning, match="taken as 6 frames on the last axis"):
        np.testing.assert_array_equal(read_image(path, frame=2).data, STACK[2])
    with pytest.warns(QualityWarning):
        np.testing.assert_array_equal(read_stack(path).data, STACK)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_scan_over_two_axes_is_a_stack(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a{suffix}", STACK.reshape(2, 3, 16, 16))
    with pytest.warns(QualityWarning, match="taken as 2 x 3 frames of 16 x 16"):
        np.testing.assert_array_equal(read_image(path, frame=4).data, STACK[4])
    with pytest.warns(QualityWarning):
        found = read_image(path, frame="sum")
    np.testing.assert_array_equal(found.data, STACK.sum(0))
    assert found.frames == 6


def test_a_stack_of_a_cubes_shape_has_its_frames_first(tmp_path: Path) -> None:
    cube = np.random.default_rng(4).integers(0, 999, (16, 16, 16))
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.npy", cube), frame=3).data, cube[3])


def test_arrays_of_an_npz_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, one=STACK[0], two=STACK[1], name=np.array("text"))
    assert [(item.name, item.shape, item.dtype) for item in contents(path)] == [
        ("one", (16, 16), "uint16"),
        ("two", (16, 16), "uint16"),
    ]
    np.testing.assert_array_equal(read_image(f"{path}::two").data, STACK[1])
    with pytest.raises(InputError, match=r"name the dataset that is meant, such as a.npz::one"):
        read_image(path)


def test_an_edf_says_pixel_exposure_and_what_was_not_measured(tmp_path: Path, edf_bytes: Callable[..., bytes]) -> None:
    path = tmp_path / "a.edf"
    said = {"PSize_1": "5.5e-05", "PSize_2": 5.5e-05, "ExposureTime": "0.25 s", "Dummy": -1}
    path.write_bytes(edf_bytes(STACK[0].astype("i4"), **said))
    header = read_image(path).header
    assert header.detector_pixel_um == pytest.approx(55)
    assert (header.exposure_s, header.invalid_values, header.pixel) == (0.25, (-1.0,), None)
    path.write_bytes(edf_bytes(STACK[0], PSize_1="none", PSize_2="1e-5", Dummy="0.5"))
    assert read_image(path).header.stated() == {}
