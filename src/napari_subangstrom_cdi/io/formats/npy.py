"""NumPy's NPY and NPZ; pickled objects are never loaded."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array, Format, Item, Stored, cut_short, nbytes, shape_text
from napari_subangstrom_cdi.io.header import Header

from .pantarhei import DESCRIPTION, header_of

_LONGEST_TEXT = 2**24  # bytes

_Header = tuple[tuple[int, ...], bool, np.dtype[Any]]


def _read_header(stream: IO[bytes]) -> _Header:
    """(shape, Fortran order, dtype) of an NPY stream, leaving it at the first byte of the data."""
    version = npy_format.read_magic(stream)
    if version == (1, 0):
        return npy_format.read_array_header_1_0(stream)
    if version in ((2, 0), (3, 0)):  # 3.0 differs in the encoding of field names only
        return npy_format.read_array_header_2_0(stream)
    raise ValueError(f"unknown version {version} of the NPY format")


def _check_header(header: _Header, where: str) -> None:
    shape, _, dtype = header
    if dtype.hasobject:
        raise InputError(
            "holds Python objects, which are not loaded because they may run code",
            where=where,
            mend="save a plain array of numbers",
        )
    if min(shape, default=0) < 0:
        raise InputError(f"the header is damaged: it states a shape of {shape}", where=where, mend="save it again")


@contextmanager
def _open_npy(path: Path, dataset: str | None) -> Iterator[Stored]:
    with open(path, "rb") as stream:
        header = _read_header(stream)
        start = stream.tell()
    _check_header(header, str(path))
    shape, fortran, dtype = header
    size = path.stat().st_size
    if start + nbytes(shape, dtype) > size:
        raise cut_short(path, start + nbytes(shape, dtype), size)

    frames = _Frames.of(shape)

    def read_frame(k: int) -> Array:
        data = np.memmap(path, dtype, "r", start, shape, order="F" if fortran else "C").view(np.ndarray)
        return frames.take(data, k)

    yield Stored(frames.shape, dtype, nbytes(shape, dtype), read_frame, cautions=frames.cautions)


@dataclass(frozen=True)
class _Frames:
    """Frames of an array whose axes nobody named.

    Parameters
    ----------
    shape : tuple of int
        (y, x), (frame, y, x), or that of the array if it is none of images.
    scan : int
        How many leading axes the frames run over.
    last : bool
        True if the frames are on the last axis.
    cautions : tuple of str
        What was guessed.
    """

    shape: tuple[int, ...]
    scan: int = 0
    last: bool = False
    cautions: tuple[str, ...] = ()

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> _Frames:
        """Frames come first, but for those of a square detector that stand before another number of frames."""
        squeezed = _without_ones(shape)
        if len(squeezed) == 3 and squeezed[0] == squeezed[1] > 4 < squeezed[2] != squeezed[1]:
            n, said = squeezed[2], shape_text(shape)
            caution = f"its array of {said} is taken as {n} frames on the last axis, since the first two are alike"
            return cls((n, *squeezed[:2]), last=True, cautions=(caution,))
        if len(squeezed) > 3 and squeezed[-1] not in (3, 4):  # those are colours
            *scan, y, x = squeezed
            caution = f"its array of {shape_text(shape)} is taken as {shape_text(tuple(scan))} frames of {y} x {x}"
            return cls((math.prod(scan), y, x), scan=len(scan), cautions=(caution,))
        return cls(squeezed)

    def take(self, data: Array, k: int) -> Array:
        """Frame k of the array as it is stored."""
        data = data.reshape(_without_ones(data.shape), order="A")
        if self.last:
            return data[..., k]
        if self.scan:
            return data[np.unravel_index(k, data.shape[: self.scan])]
        return data[k] if data.ndim == 3 else data


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without axes of length one, leading or behind an image; those of a line or column of pixels stay."""
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


@contextmanager
def _open_npz(path: Path, dataset: str | None) -> Iterator[Stored]:
    with zipfile.ZipFile(path) as archive:
        headers = _members(archive)
        name = _choose(headers, dataset, path)
        _check_header(headers[name], f"{path} [{name}]")
        shape, _, dtype = headers[name]
        info = archive.getinfo(f"{name}.npy")
        if info.file_size < nbytes(shape, dtype):
            raise cut_short(path, nbytes(shape, dtype), info.file_size)

        @cache
        def whole() -> Array:
            with archive.open(info) as stream:
                data: Array = npy_format.read_array(stream, allow_pickle=False)
                while stream.read(2**20):  # to the end, where the checksum is compared
                    pass
            return data

        frames = _Frames.of(shape)
        yield Stored(
            shape=frames.shape,
            dtype=dtype,
            stored_bytes=info.compress_size,
            read_frame=lambda k: frames.take(whole(), k),
            held_bytes=nbytes(shape, dtype),
            header=_description(archive, headers),
            metadata={"dataset": name},
            cautions=frames.cautions,
        )


def _description(archive: zipfile.ZipFile, headers: dict[str, _Header]) -> Header:
    """What Panta Rhei's description says, if the archive is one of its files."""
    shape, _, dtype = headers.get(DESCRIPTION, ((1,), False, np.dtype("u1")))
    if shape != () or dtype.kind != "U" or dtype.itemsize > _LONGEST_TEXT:
        return Header()
    with archive.open(f"{DESCRIPTION}.npy") as stream:
        return header_of(str(npy_format.read_array(stream, allow_pickle=False)))


def _members(archive: zipfile.ZipFile) -> dict[str, _Header]:
    headers = {}
    for info in archive.infolist():
        if info.filename.endswith(".npy"):
            with archive.open(info) as stream:
                headers[info.filename.removesuffix(".npy")] = _read_header(stream)
    return headers


def _choose(headers: dict[str, _Header], dataset: str | None, path: Path) -> str:
    listing = ", ".join(f"{name} ({shape_text(shape)})" for name, (shape, _, _) in sorted(headers.items())[:12])
    if dataset is not None:
        if dataset in headers:
            return dataset
        raise InputError(f"has no array {dataset!r}", where=str(path), mend=f"it holds {listing or 'none'}")
    if len(headers) == 1:
        return next(iter(headers))
    images = [name for name, (shape, _, dtype) in headers.items() if len(shape) in (2, 3) and dtype.kind in "buifc"]
    if len(images) == 1:
        return images[0]
    if not headers:
        raise InputError("is a zip archive without NumPy arrays", where=str(path), mend="give the image file itself")
    raise InputError(
        f"holds several arrays: {listing}",
        where=str(path),
        mend=f"name the dataset that is meant, such as {path.name}::{images[0] if images else next(iter(headers))}",
    )


def _contents_npz(path: Path) -> tuple[Item, ...]:
    with zipfile.ZipFile(path) as archive:
        headers = _members(archive)
    found = ((n, shape, dtype) for n, (shape, _, dtype) in sorted(headers.items()) if len(shape) >= 2)
    items = tuple(Item(name, shape, str(dtype)) for name, shape, dtype in found if dtype.kind in "buifc")
    return items if len(items) > 1 else ()


NPY = Format("NPY", (".npy",), lambda head: head.startswith(npy_format.MAGIC_PREFIX), _open_npy)
NPZ = Format(
    "NPZ",
    (".npz", ".prz"),
    lambda head: head.startswith((b"PK\3\4", b"PK\5\6")),
    _open_npz,
    has_datasets=True,
    contents=_contents_npz,
)
