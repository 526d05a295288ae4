"""Small valid files of every format, by writers that share no code with the reader where there are any."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from writers.dm import dm_bytes
from writers.dm import image as dm_image
from writers.edf import edf_bytes
from writers.ser import ser_bytes

sys.path.insert(0, str(Path(__file__).parents[1]))  # results.py

Array = NDArray[Any]
Writer = Callable[[Path, Array], object]


def counts(shape: tuple[int, ...] = (23, 31), dtype: str = "uint16") -> Array:
    """Counts that differ in every pixel's neighbourhood, so that a swapped byte or axis shows."""
    return np.random.default_rng(1).integers(1, 60000, shape).astype(dtype)


def mrc_header(nx: int, ny: int, nz: int, mode: int, order: str = "<", **extra: Any) -> bytes:
    """MRC2014 header packed by hand: `extra` may give cell (Å), nsymbt, mapid and stamp."""
    header = bytearray(1024)
    struct.pack_into(f"{order}10i", header, 0, nx, ny, nz, mode, 0, 0, 0, nx, ny, nz)
    struct.pack_into(f"{order}6f", header, 40, *extra.get("cell", (0, 0, 0)), 90, 90, 90)
    struct.pack_into(f"{order}3i", header, 64, 1, 2, 3)
    struct.pack_into(f"{order}2i", header, 88, 0, extra.get("nsymbt", 0))
    header[208:212] = extra.get("mapid", b"MAP ")
    header[212:216] = extra.get("stamp", b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0")
    return bytes(header)


def tiff_header(width: int, height: int, *, compression: int = 1, offset: int = 8, count: int = 64) -> bytes:
    """Little-endian TIFF of one uint16 strip, packed by hand, that may claim anything."""
    tags = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 16),
        (259, 3, compression),
        (262, 3, 1),
        (273, 4, offset),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, count),
    ]
    directory = struct.pack("<H", len(tags))
    for tag, kind, value in tags:
        directory += struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", value)
    strip = b"\x55" * 64
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory + struct.pack("<I", 0)


def _mrc(path: Path, data: Array) -> None:
    path.write_bytes(mrc_header(data.shape[1], data.shape[0], 1, 6) + data.astype("<u2").tobytes())


def _hdf5(path: Path, data: Array, **options: Any) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data", data=data, **options)


WRITERS: dict[str, Writer] = {
    "pillow.tif": lambda path, data: Image.fromarray(data).save(path),
    "deflate.tif": lambda path, data: Image.fromarray(data).save(path, compression="tiff_adobe_deflate"),
    "plain.tif": lambda path, data: tifffile.imwrite(path, data),
    "strips.tif": lambda path, data: tifffile.imwrite(path, data, compression="zlib", predictor=True, rowsperstrip=4),
    "big-endian.tif": lambda path, data: tifffile.imwrite(path, data, byteorder=">", bigtiff=True),
    "image.mrc": _mrc,
    "image.npy": lambda path, data: np.save(path, data),
    "image.npz": lambda path, data: np.savez_compressed(path, counts=data),
    "contiguous.h5": _hdf5,
    "chunked.h5": lambda path, data: _hdf5(path, data, chunks=(8, 8), compression="gzip"),
    "image.edf": lambda path, data: path.write_bytes(edf_bytes(data)),
    "image.dm3": lambda path, data: path.write_bytes(dm_bytes(dm_image(data))),
    "image.dm4": lambda path, data: path.write_bytes(dm_bytes(dm_image(data), version=4)),
    "image.ser": lambda path, data: path.write_bytes(ser_bytes([data])),
}


@pytest.fixture(params=sorted(WRITERS))
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Array]:
    """Valid file of one format, and what it holds."""
    data = counts()
    path = tmp_path / request.param
    WRITERS[request.param](path, data)
    return path, data


@pytest.fixture(name="counts")
def counts_fixture() -> Callable[..., Array]:
    return counts


@pytest.fixture(name="mrc_header")
def mrc_header_fixture() -> Callable[..., bytes]:
    return mrc_header


@pytest.fixture(name="tiff_header")
def tiff_header_fixture() -> Callable[..., bytes]:
    return tiff_header


@pytest.fixture(name="edf_bytes")
def edf_bytes_fixture() -> Callable[..., bytes]:
    return edf_bytes
