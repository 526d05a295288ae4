"""Reading valid files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fabio
import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.io import FORMATS, read_image, read_mask

Array = NDArray[Any]
Counts = Callable[..., Array]


def test_every_format_gives_back_what_was_written(sample: tuple[Path, Array]) -> None:
    path, data = sample
    image = read_image(path)
    np.testing.assert_array_equal(image.data, data)
    assert image.data.dtype == np.dtype("uint16")
    assert image.data.dtype.isnative and image.data.flags.c_contiguous and image.data.flags.writeable
    assert image.path == path


def test_the_content_decides_and_not_the_name(sample: tuple[Path, Array]) -> None:
    path, data = sample
    expected = read_image(path).format_name
    renamed = path.rename(path.with_name("renamed.dat"))
    image = read_image(renamed)
    assert image.format_name == expected
    np.testing.assert_array_equal(image.data, data)


def test_the_file_may_be_changed_once_it_is_read(sample: tuple[Path, Array]) -> None:
    path, data = sample
    image = read_image(str(path), frame=0)
    path.write_bytes(b"\0" * path.stat().st_size)
    np.testing.assert_array_equal(image.data, data)


def test_reading_is_silent(sample: tuple[Path, Array], caplog: pytest.LogCaptureFixture) -> None:
    path, _ = sample
    caplog.set_level(logging.DEBUG)
    read_image(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError):
        read_image(path)
    assert caplog.text == ""


def test_names_of_the_formats_are_unique() -> None:
    assert len({f.name for f in FORMATS}) == len(FORMATS) >= 6


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", [".tif", ".npy", ".h5"])
def test_types_and_byte_orders(tmp_path: Path, counts: Counts, dtype: str, order: str, suffix: str) -> None:
    data = (counts() % 120).astype(dtype)
    path = tmp_path / f"image{suffix}"
    stored = data.astype(np.dtype(dtype).newbyteorder(order))
    if suffix == ".tif":
        tifffile.imwrite(path, data, byteorder=order)
    elif suffix == ".npy":
        np.save(path, stored)
    else:
        with h5py.File(path, "w") as file:
            file["x"] = stored
    image = read_image(path)
    assert image.data.dtype == np.dtype(dtype) and image.data.dtype.isnative
    np.testing.assert_array_equal(image.data, data)


def test_fortran_order_keeps_the_axes(tmp_path: Path, counts: Counts) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(counts()))
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy").data, counts())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("mode", "kind"), [(0, "i1"), (1, "i2"), (2, "f4"), (6, "u2"), (12, "f2")])
def test_mrc_modes_and_byte_orders(
    tmp_path: Path, counts: Counts, mrc_header: Callable[..., bytes], mode: int, kind: str, order: str
) -> None:
    data = (counts((5, 8)) % 100).astype(f"{order}{kind}")
    path = tmp_path / "a.mrc"
    extended = b"e" * 96
    header = mrc_header(8, 5, 1, mode, order, cell=(4.0, 2.5, 1), nsymbt=len(extended))
    path.write_bytes(header + extended + data.tobytes())
    image = read_image(path)
    np.testing.assert_array_equal(image.data, data)
    assert image.pixel_angstrom == 0.5


def test_mrc_of_old_programs_without_mark_or_stamp(
    tmp_path: Path, counts: Counts, mrc_header: Callable[..., bytes]
) -> None:
    data = counts((5, 8))
    for order in "<>":
        path = tmp_path / "a.mrc"
        header = mrc_header(8, 5, 1, 6, order, mapid=b"\0\0\0\0", stamp=b"\0\0\0\0")
        path.write_bytes(header + data.astype(f"{order}u2").tobytes())
        np.testing.assert_array_equal(read_image(path).data, data)


def test_mrc_pixel_is_read_as_it_was_stated(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.mrc"
    with mrcfile.new(path, data=counts()) as mrc:
        mrc.voxel_size = 0.36
    assert read_image(path).pixel_angstrom == 0.36
    with mrcfile.new(path, data=counts(), overwrite=True):
        pass
    assert read_image(path).pixel_angstrom is None


def test_pixels_that_are_not_square_are_warned_of(
    tmp_path: Path, counts: Counts, mrc_header: Callable[..., bytes]
) -> None:
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_header(8, 5, 1, 6, cell=(4.0, 3.5, 1)) + counts((5, 8)).tobytes())
    with pytest.warns(QualityWarning, match=r"a.mrc: .*0.7 x 0.5 Å, not square"):
        assert read_image(path).pixel_angstrom is None


def test_mrc_with_bytes_behind_its_data(tmp_path: Path, counts: Counts, mrc_header: Callable[..., bytes]) -> None:
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_header(8, 5, 1, 6) + counts((5, 8)).tobytes() + b"more")
    np.testing.assert_array_equal(read_image(path).data, counts((5, 8)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint16", "float32", "int32"])
def test_edf_types(tmp_path: Path, counts: Counts, edf_bytes: Callable[..., bytes], order: str, dtype: str) -> None:
    path = tmp_path / "a.edf"
    path.write_bytes(edf_bytes(counts(dtype=dtype), order))
    image = read_image(path)
    np.testing.assert_array_equal(image.data, counts(dtype=dtype))
    assert image.data.dtype == dtype and image.metadata["Dim_1"] == "31"


def test_edf_of_several_frames(tmp_path: Path, counts: Counts) -> None:
    frames = counts((3, 9, 7))
    writer = fabio.edfimage.EdfImage(data=frames[0])
    for frame in frames[1:]:
        writer.append_frame(data=frame)
    path = tmp_path / "a.edf"
    writer.write(str(path))
    np.testing.assert_array_equal(read_image(path, frame=2).data, frames[2])
    np.testing.assert_array_equal(read_image(path, frame="sum").data, frames.sum(0, dtype=np.int64))


def _stack_file(path: Path, stack: Array, mrc_header: Callable[..., bytes]) -> None:
    match path.name:
        case "imagej.tif":
            tifffile.imwrite(path, stack, imagej=True)
        case "truncated.tif":
            tifffile.imwrite(path, stack, metadata={"truncated": True})
        case "zlib.tif":
            tifffile.imwrite(path, stack, compression="zlib", photometric="minisblack")
        case "pillow.tif":
            pages = [Image.fromarray(frame) for frame in stack]
            pages[0].save(path, save_all=True, append_images=pages[1:])
        case "a.mrc":
            n, ny, nx = stack.shape
            path.write_bytes(mrc_header(nx, ny, n, 6) + stack.tobytes())
        case "a.npy":
            np.save(path, stack)
        case "a.npz":
            np.savez_compressed(path, stack=stack)
        case "a.h5":
            with h5py.File(path, "w") as file:
                file.create_dataset("d", data=stack[None], compression="gzip")


STACKS = ["imagej.tif", "truncated.tif", "zlib.tif", "pillow.tif", "a.mrc", "a.npy", "a.npz", "a.h5"]


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_offers_its_frames(tmp_path: Path, counts: Counts, mrc_header: Callable[..., bytes], name: str) -> None:
    stack = counts((5, 12, 9))
    path = tmp_path / name
    _stack_file(path, stack, mrc_header)
    with pytest.raises(InputError, match=r"stack of 5 frames of 12 x 9 pixels.*from 0 to 4, or 'sum'"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, frame=3).data, stack[3])
    total = read_image(path, frame="sum").data
    np.testing.assert_array_equal(total, stack.sum(axis=0, dtype=np.int64))
    assert total.dtype == np.int64
    for wrong in (5, -1, True):
        with pytest.raises(InputError, match=r"no frame .*holds 5; choose a frame from 0 to 4"):
            read_image(path, frame=wrong)


def test_a_sum_of_floats_is_taken_in_double_precision(tmp_path: Path) -> None:
    stack = np.full((1000, 2, 2), 0.1, np.float32)
    np.save(tmp_path / "a.npy", stack)
    total = read_image(tmp_path / "a.npy", frame="sum").data
    np.testing.assert_allclose(total, float(np.float32(0.1)) * 1000, rtol=1e-12)


def test_a_single_image_has_only_frame_zero(sample: tuple[Path, Array]) -> None:
    path, data = sample
    np.testing.assert_array_equal(read_image(path, frame="sum").data, data)
    with pytest.raises(InputError, match=r"no frame 1: the file holds 1; leave the frame out"):
        read_image(path, frame=1)


@pytest.mark.parametrize("place", ["/entry_1/data_1/data", "/entry_1/image_1/data"])
def test_cxi_data_are_found_among_others(tmp_path: Path, counts: Counts, place: str) -> None:
    path = tmp_path / "a.cxi"
    with h5py.File(path, "w") as file:
        file[place] = counts()
        file["/entry_1/other"] = counts((4, 4))
        for axis in "xy":
            file[f"{place.rsplit('/', 1)[0]}/{axis}_pixel_size"] = 0.25e-10
    image = read_image(path)
    np.testing.assert_array_equal(image.data, counts())
    assert image.metadata["dataset"] == place
    if "image_1" in place:
        assert image.pixel_angstrom == pytest.approx(0.25)
    else:  # there the same name means the detector's pixel
        assert image.pixel_angstrom is None


def test_cxi_data_behind_a_link(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.cxi"
    with h5py.File(path, "w") as file:
        file["/entry_1/instrument_1/detector_1/data"] = counts()
        file["/entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    np.testing.assert_array_equal(read_image(path).data, counts())


def test_hdf5_dataset_by_name_and_the_only_flat_one(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["a/stack"] = counts((2, 4, 4))
        file["a/picture"] = counts()
        file["a/axis"] = np.arange(9)
        file["a/name"] = "text"
    with pytest.warns(QualityWarning, match=r"took /a/picture; it also holds /a/stack"):
        np.testing.assert_array_equal(read_image(path).data, counts())
    np.testing.assert_array_equal(read_image(path, dataset="a/stack", frame=1).data, counts((2, 4, 4))[1])


def test_npz_dataset_by_name_and_the_only_image(tmp_path: Path, counts: Counts) -> None:
    np.savez(tmp_path / "a.npz", image=counts(), scale=np.array(2.0))
    np.testing.assert_array_equal(read_image(tmp_path / "a.npz").data, counts())
    np.savez(tmp_path / "b.npz", one=counts(), two=counts((3, 4)))
    np.testing.assert_array_equal(read_image(tmp_path / "b.npz", dataset="two").data, counts((3, 4)))


@pytest.mark.parametrize(("unit", "factor"), [("nm", 10.0), ("angstrom", 1.0), ("pm", 0.01)])
def test_imagej_states_the_pixel(tmp_path: Path, counts: Counts, unit: str, factor: float) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, counts(), imagej=True, resolution=(25.0, 25.0), metadata={"unit": unit})
    assert read_image(path).pixel_angstrom == pytest.approx(factor / 25)


def test_a_printers_resolution_is_no_pixel_size(tmp_path: Path, counts: Counts) -> None:
    Image.fromarray(counts()).save(tmp_path / "a.tif", dpi=(72, 72))
    assert read_image(tmp_path / "a.tif").pixel_angstrom is None


def test_a_colour_table_is_warned_of(tmp_path: Path, counts: Counts) -> None:
    data = (counts() % 200).astype(np.uint8)
    picture = Image.fromarray(data)
    picture.putpalette(bytes(range(256)) * 3)
    picture.save(tmp_path / "a.tif")
    with pytest.warns(QualityWarning, match="colour table"):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, data)


@pytest.mark.parametrize("name", ["a.tif", "bits.tif", "a.npy", "a.h5", "a.edf"])
def test_masks(tmp_path: Path, counts: Counts, edf_bytes: Callable[..., bytes], name: str) -> None:
    mask = counts() % 3 == 0
    path = tmp_path / name
    if name == "bits.tif":
        Image.fromarray(mask).save(path)
    elif name == "a.tif":
        tifffile.imwrite(path, mask.astype(np.uint8) * 255)
    elif name == "a.npy":
        np.save(path, mask)
    elif name == "a.h5":
        with h5py.File(path, "w") as file:
            file["mask"] = mask
    else:
        path.write_bytes(edf_bytes(mask.astype("uint16")))
    found = read_mask(path)
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, mask)


def test_a_mask_of_many_values_is_warned_of(tmp_path: Path, counts: Counts) -> None:
    np.save(tmp_path / "a.npy", counts() % 5)
    with pytest.warns(QualityWarning, match="more than two values"):
        np.testing.assert_array_equal(read_mask(tmp_path / "a.npy"), counts() % 5 != 0)


def test_a_mask_with_nan_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0, np.nan], [1, 1]]))
    with pytest.raises(InputError, match="mask holds NaN"):
        read_mask(tmp_path / "a.npy")
