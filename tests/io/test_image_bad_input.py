"""Each bad file ends in an InputError that says what is wrong, where, and how to mend it."""

from __future__ import annotations

import io
import json
import os
import struct
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import read_image

Array = NDArray[Any]
Counts = Callable[..., Array]
Maker = Callable[..., bytes]


@contextmanager
def refused(path: Path, pattern: str) -> Iterator[None]:
    """The block raises InputError: one line, the file named, a mend offered, and no big allocation."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=pattern) as caught:
            yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    assert caught.value.mend
    assert peak < 32 * 2**20


def test_missing_file_folder_and_empty_file(tmp_path: Path) -> None:
    with refused(tmp_path / "no.tif", "there is no such file"):
        read_image(tmp_path / "no.tif")
    with refused(tmp_path, "is a folder"):
        read_image(tmp_path)
    (tmp_path / "empty.tif").touch()
    with refused(tmp_path / "empty.tif", "the file is empty"):
        read_image(tmp_path / "empty.tif")


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    with refused(tmp_path / ("n" * 300), "cannot be read .*name too long"):
        read_image(tmp_path / ("n" * 300))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    with refused(tmp_path / "pipe.tif", "device or pipe"):
        read_image(tmp_path / "pipe.tif")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no POSIX permissions on this system")
def test_a_file_that_may_not_be_read() -> None:
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "a.npy"
        np.save(path, np.ones((3, 3)))
        path.chmod(0)
        try:
            if root:
                os.seteuid(65534)
            with refused(path, "permission denied.*change its permissions"):
                read_image(path)
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"1 2 3\n4 5 6\n", r"is named .tif but holds text \(it starts with '1 2 3 4 5 6'\)"),
        ("Zählrate in Å\n".encode() * 9, r"is named .tif but holds text"),
        (json.dumps({"beam_energy_kV": 200}).encode(), r"is named .tif but holds text"),
        (b"<!DOCTYPE html><html><body>404</body>", r"holds a web page"),
        (b"II*", r"holds only 3 bytes"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, r"is a PNG picture"),
        (b"\x1f\x8b\x08" + b"\0" * 50, r"is a gzip archive"),
        (bytes(range(128, 256)) * 4, r"is of no known format; give a TIFF, MRC"),
    ],
)
def test_other_content_under_the_name_of_a_tiff(tmp_path: Path, content: bytes, pattern: str) -> None:
    path = tmp_path / "image.tif"
    path.write_bytes(content)
    with refused(path, pattern):
        read_image(path)


def test_files_cut_short(sample: tuple[Path, Array]) -> None:
    path, _ = sample
    whole = path.read_bytes()
    for kept in (len(whole) // 2, len(whole) - 200):
        path.write_bytes(whole[:kept])
        with refused(path, r"cut short|of no known format|never written"):
            read_image(path)


def test_a_cut_mrc_tells_the_sizes(tmp_path: Path, counts: Counts, mrc_header: Maker) -> None:
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_header(31, 23, 1, 6) + counts().tobytes()[:-6])
    with refused(path, r"cut short: its header needs 2,450 bytes and 2,444 bytes are there; copy or download it again"):
        read_image(path)


def test_a_stack_that_lost_its_last_pages_is_no_image(tmp_path: Path, counts: Counts) -> None:
    pages = [Image.fromarray(frame) for frame in counts((3, 12, 9))]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    whole = buffer.getvalue()
    path = tmp_path / "a.tif"
    pages[0].save(path)
    first = path.stat().st_size
    path.write_bytes(whole[: first + 100])
    with refused(path, "cut short"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".h5", ".npz"])
def test_colour_images(tmp_path: Path, counts: Counts, suffix: str) -> None:
    data = (counts((20, 30, 3)) % 256).astype(np.uint8)
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        Image.fromarray(data).save(path)
    elif suffix == ".npy":
        np.save(path, data)
    elif suffix == ".npz":
        np.savez(path, data)
    else:
        with h5py.File(path, "w") as file:
            file["d"] = data
    with refused(path, "colour image .*convert it to grey"):
        read_image(path)


def test_complex_data(tmp_path: Path, counts: Counts, mrc_header: Maker) -> None:
    data = counts().astype(np.complex64)
    np.save(tmp_path / "a.npy", data)
    np.savez(tmp_path / "a.npz", object=data, pixel=1.0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = data
    (tmp_path / "a.mrc").write_bytes(mrc_header(31, 23, 1, 4) + data.tobytes())
    tifffile.imwrite(tmp_path / "a.tif", data)
    for suffix in ("npy", "npz", "h5", "mrc", "tif"):
        with refused(tmp_path / f"a.{suffix}", "complex numbers .*modulus squared"):
            read_image(tmp_path / f"a.{suffix}")


def test_empty_images(tmp_path: Path, mrc_header: Maker, edf_bytes: Maker) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 5)))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = np.zeros((5, 0))
    (tmp_path / "a.mrc").write_bytes(mrc_header(5, 0, 1, 6))
    (tmp_path / "a.edf").write_bytes(edf_bytes(np.zeros((0, 5), "uint16")))
    for suffix in ("npy", "h5", "mrc", "edf"):
        with refused(tmp_path / f"a.{suffix}", "the image is empty"):
            read_image(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize(("shape", "text"), [((), "0 dimensions"), ((7,), "1 dimension "), ((2, 2, 5, 3), "4 dim")])
def test_arrays_that_are_no_images(tmp_path: Path, shape: tuple[int, ...], text: str) -> None:
    np.save(tmp_path / "a.npy", np.ones(shape))
    with refused(tmp_path / "a.npy", f"holds an array of {text}"):
        read_image(tmp_path / "a.npy")


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    array = np.array([[Trap(), 1]], dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", array, allow_pickle=True)
    for name in ("a.npy", "a.npz"):
        with refused(tmp_path / name, "Python objects, which are not loaded"):
            read_image(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_data_that_are_no_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([["a", "b"], ["c", "d"]]))
    with refused(tmp_path / "a.npy", "of type <U1, not numbers"):
        read_image(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.zeros((2, 2), dtype=[("x", "f4"), ("y", "f4")]))
    with refused(tmp_path / "b.npy", "not numbers"):
        read_image(tmp_path / "b.npy")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = np.array([[b"a", b"b"]])
    with refused(tmp_path / "a.h5", "not numbers"):
        read_image(tmp_path / "a.h5", dataset="d")


# ---- headers that claim what is not there -------------------------------------------------------


def _npy_claim(shape: str, descr: str = "<f8") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("shape", ["(1000000, 1000000)", "(4294967296, 4294967296)", "(10**9,)*3", "(-5, 5)"])
def test_npy_that_claims_terabytes(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(_npy_claim(shape) + b"\0" * 100)
    with refused(path, r"header needs .*[TE]B|damaged"):
        read_image(path)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", _npy_claim(shape) + b"\0" * 100)
    with refused(tmp_path / "a.npz", r"header needs .*[TE]B|damaged"):
        read_image(tmp_path / "a.npz")


def test_npz_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w", force_zip64=True) as member,
    ):
        member.write(_npy_claim("(64, 1024, 1024)", "|u1"))
        for _ in range(64):
            member.write(bytes(2**20))
    with refused(path, "header claims 64 x 1024 x 1024 pixels, 67.1 MB, above the limit of 33.6 MB"):
        read_image(path, frame=0, max_bytes=2**25)


@pytest.mark.parametrize(
    ("fields", "pattern"),
    [
        ({"nx": 2**31 - 1, "ny": 2**31 - 1, "nz": 2**31 - 1, "mode": 2}, "cut short: its header needs .*EB"),
        (
            {"nx": 10, "ny": 10, "nz": 1, "mode": 2, "nsymbt": 2**31 - 1},
            "cut short: its header needs 2.15 GB",
        ),
        ({"nx": 10, "ny": 10, "nz": 1, "mode": 2, "nsymbt": -5}, "header is damaged"),
        ({"nx": -10, "ny": 10, "nz": 1, "mode": 2}, "header is damaged"),
        (
            {"nx": 10, "ny": 10, "nz": 1, "mode": 77},
            "data mode 77, which is not supported; save it with mode",
        ),
    ],
)
def test_mrc_with_a_false_header(tmp_path: Path, mrc_header: Maker, fields: dict[str, int], pattern: str) -> None:
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_header(**fields) + b"\0" * 500)
    with refused(path, pattern):
        read_image(path)


@pytest.mark.parametrize("compression", [1, 8, 32773])
def test_tiff_that_claims_terabytes(tmp_path: Path, tiff_header: Maker, compression: int) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_header(2**31, 2**31, compression=compression))
    with refused(path, "claims .*EB|header needs .*EB"):
        read_image(path)


def test_tiff_that_claims_less_than_the_limit_but_more_than_it_can_hold(tmp_path: Path, tiff_header: Maker) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_header(20000, 20000, compression=8))
    with refused(path, "claims 20000 x 20000 pixels, 800 MB, but the file stores only 64 bytes"):
        read_image(path)


def test_tiff_strip_outside_the_file(tmp_path: Path, tiff_header: Maker) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_header(4, 8, offset=4000))
    with refused(path, "cut short"):
        read_image(path)


def test_hdf5_that_claims_terabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        d = file.create_dataset("d", (10**6, 10**6), "f8", chunks=(64, 64), compression="gzip")
        d[:64, :64] = 1
        file.create_dataset("unwritten", (10**6, 10**6), "f8", chunks=(64, 64))
        d = file.create_dataset("small", (10**4, 10**4), "f8", chunks=(64, 64), compression="gzip")
        d[:64, :64] = 1
    with refused(path, "header claims 1000000 x 1000000 pixels, 8 TB, above the limit"):
        read_image(path, dataset="d")
    with refused(path, "dataset was never written"):
        read_image(path, dataset="unwritten")
    with refused(path, "claims 10000 x 10000 pixels, 800 MB, but the file stores only"):
        read_image(path, dataset="small")


def test_edf_with_a_false_header(tmp_path: Path, counts: Counts, edf_bytes: Maker) -> None:
    path = tmp_path / "a.edf"
    for changed in (
        {"Dim_1": 10**9},
        {"Dim_1": 10**9, "Size": 10**12},
        {"Size": 10},
        {"Dim_1": 32, "Size": None},
    ):
        path.write_bytes(edf_bytes(counts(), **changed))
        with refused(path, "cut short: its header needs"):
            read_image(path)
    path.write_bytes(edf_bytes(counts(), EDF_BinaryFileName="../../secret.bin"))
    with refused(path, "data are in another file, secret.bin"):
        read_image(path)
    for changed in ({"DataType": "Quaternion"}, {"Dim_1": "wide"}, {"ByteOrder": None}):
        path.write_bytes(edf_bytes(counts(), **changed))
        with refused(path, "cannot be read as EDF"):
            read_image(path)


def test_an_image_above_the_limit(sample: tuple[Path, Array]) -> None:
    path, data = sample
    np.testing.assert_array_equal(read_image(path, max_bytes=data.nbytes).data, data)
    with refused(path, "claims 23 x 31 pixels, 1,426 bytes, above the limit of 1,425 bytes; .*crop or bin"):
        read_image(path, max_bytes=data.nbytes - 1)


# ---- compressions, datasets, links --------------------------------------------------------------


def test_tiff_with_a_compression_nobody_has(tmp_path: Path, tiff_header: Maker) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_header(4, 8, compression=34677))  # SGI's, in no package
    with refused(path, "is compressed with SGILOG24|is compressed with .*, which needs the package imagecodecs"):
        read_image(path)


def test_tiff_that_needs_another_package(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(counts()).save(path, compression="tiff_lzw")
    if find_spec("imagecodecs") is not None:
        np.testing.assert_array_equal(read_image(path).data, counts())
        return
    with refused(path, "is compressed with LZW, which needs the package imagecodecs; run 'pip install"):
        read_image(path)


def test_tiff_of_several_sizes(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(counts((10, 12)))
        tif.write(counts((30, 20)))
    with refused(path, "holds 2 images of different kinds .10 x 12, 30 x 20."):
        read_image(path)


def test_a_thumbnail_is_passed_over(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(counts((30, 20)), metadata=None)
        tif.write(counts((10, 12)), subfiletype=1, metadata=None)
    np.testing.assert_array_equal(read_image(path).data, counts((30, 20)))


def test_hdf5_with_a_filter_nobody_has(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4, 4))
        plist.set_filter(31999, h5py.h5z.FLAG_OPTIONAL, ())
        h5py.h5d.create(file.id, b"d", h5py.h5t.NATIVE_INT16, h5py.h5s.create_simple((4, 4)), dcpl=plist)
        file["d"].id.write_direct_chunk((0, 0), b"\0" * 32)
    with refused(path, "compressed with filter number 31999, which is not available here; .*hdf5plugin"):
        read_image(path)


def test_several_datasets_are_named(tmp_path: Path, counts: Counts) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/one"] = counts((4, 5))
        file["b/two"] = counts((6, 7))
    with refused(tmp_path / "a.h5", r"several images: /a/one \(4 x 5\), /b/two \(6 x 7\); name the dataset"):
        read_image(tmp_path / "a.h5")
    with refused(tmp_path / "a.h5", r"no dataset 'c'; it holds /a/one"):
        read_image(tmp_path / "a.h5", dataset="c")
    with refused(tmp_path / "a.h5", r"'b' is a group, not a dataset; it holds /b/two"):
        read_image(tmp_path / "a.h5", dataset="b")
    np.savez(tmp_path / "a.npz", one=counts((4, 5)), two=counts((6, 7)))
    with refused(tmp_path / "a.npz", r"several arrays: one \(4 x 5\), two \(6 x 7\); name the dataset"):
        read_image(tmp_path / "a.npz")
    with refused(tmp_path / "a.npz", r"no array 'c'; it holds one"):
        read_image(tmp_path / "a.npz", dataset="c")


def test_containers_without_images(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["axis"] = np.arange(5)
    with refused(tmp_path / "a.h5", "no dataset of two or three dimensions"):
        read_image(tmp_path / "a.h5")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "no arrays")
    with refused(tmp_path / "a.npz", "zip archive without NumPy arrays"):
        read_image(tmp_path / "a.npz")


def test_a_dataset_where_there_are_none(tmp_path: Path, counts: Counts) -> None:
    np.save(tmp_path / "a.npy", counts())
    with refused(tmp_path / "a.npy", "holds one array only, as files of NPY do, and no"):
        read_image(tmp_path / "a.npy", dataset="x")


def test_hdf5_whose_data_are_in_a_missing_file(tmp_path: Path, counts: Counts) -> None:
    source = tmp_path / "source.h5"
    with h5py.File(source, "w") as file:
        file["d"] = counts()
    layout = h5py.VirtualLayout(counts().shape, "u2")
    layout[:] = h5py.VirtualSource("source.h5", "d", counts().shape)
    path = tmp_path / "virtual.h5"
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("d", layout)
    np.testing.assert_array_equal(read_image(path).data, counts())
    source.unlink()
    with refused(path, "data are in source.h5, which is missing"):
        read_image(path)
