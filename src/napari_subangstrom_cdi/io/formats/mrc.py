"""MRC (MRC2014 and its forerunners), through mrcfile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mrcfile
import mrcfile.utils
import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Format, Stored, cut_short, nbytes
from napari_subangstrom_cdi.io.header import Header, HeaderWriter, pixel_in

_MODES = "0, 1, 2, 6 or 12 (8- and 16-bit integers, 16- and 32-bit reals)"


def _matches(head: bytes) -> bool:
    return head[208:211] == b"MAP"


@contextmanager
def _open(path: Path, dataset: str | None) -> Iterator[Stored]:
    """Yield the array of an MRC file.

    Row 0 is the first row of the file, wherever the writing program shows it.
    """
    shape, dtype = _check_header(path)
    # Old programs leave out the MAP mark or the machine stamp; the header was found consistent above.
    with mrcfile.mmap(path, mode="r", permissive=True) as mrc:
        if mrc.data is None:
            raise InputError("the data cannot be read", where=str(path), mend="convert it, e.g. with IMOD's newstack")
        data = mrc.data.reshape(shape)
        yield Stored(
            shape=shape,
            dtype=dtype,
            stored_bytes=nbytes(shape, dtype),
            read_frame=lambda k: data[k] if data.ndim == 3 else data,
            header=_said_by(mrc.voxel_size),
            metadata=_metadata(mrc.header),
        )


def _check_header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that the header claims, checked against the size of the file."""
    size = path.stat().st_size
    if size < HEADER_DTYPE.itemsize:
        raise cut_short(path, HEADER_DTYPE.itemsize, size)
    header = _header(path)
    mode = int(header["mode"])
    try:
        dtype = mrcfile.utils.dtype_from_mode(mode)
    except ValueError as error:
        raise InputError(
            f"is no MRC file, or one of data mode {mode}, which is not supported",
            where=str(path),
            mend=f"save it with mode {_MODES}",
        ) from error
    nx, ny, nz = (int(header[key]) for key in ("nx", "ny", "nz"))
    extended = int(header["nsymbt"])
    if min(nx, ny, nz, extended) < 0:
        raise InputError(
            f"the header is damaged: {nx} x {ny} x {nz} pixels, {extended} bytes of extended header",
            where=str(path),
            mend="copy or export it again",
        )
    if min(nx, ny, nz) == 0:
        raise InputError(
            f"the image is empty ({nx} x {ny} x {nz} pixels)",
            where=str(path),
            mend="record or export it again",
        )
    shape = (nz, ny, nx) if nz != 1 else (ny, nx)
    needed = HEADER_DTYPE.itemsize + extended + nbytes(shape, dtype)
    if needed > size:
        raise cut_short(path, needed, size)
    return shape, dtype


def _header(path: Path) -> Any:
    """Header in the byte order of its machine stamp, or else the one in which its mode makes sense."""
    raw = np.fromfile(path, HEADER_DTYPE, count=1)
    stamp = bytes(raw["machst"][0])
    try:
        order = mrcfile.utils.byte_order_from_machine_stamp(bytearray(stamp))
    except ValueError:
        order = "<"
    header = raw.view(HEADER_DTYPE.newbyteorder(order))[0]
    if 0 <= int(header["mode"]) <= 1000:
        return header
    return raw.view(HEADER_DTYPE.newbyteorder(">" if order == "<" else "<"))[0]


def _said_by(voxel: Any) -> Header:
    """What the cell says; 0 or less stands for an unknown one."""
    found, (y, x) = HeaderWriter(), (float(voxel.y), float(voxel.x))
    if min(y, x) > 0:
        found.put("pixel", pixel_in("Å", y, x), f"cell / sampling = {y:.6g}, {x:.6g} Å (y, x)")
    return found.header()


def _metadata(header: Any) -> dict[str, str]:
    labels = [bytes(label).decode("latin-1").strip(" \0") for label in header.label]
    return {f"label_{i}": text for i, text in enumerate(labels) if text}


FORMAT = Format("MRC", (".mrc", ".mrcs", ".map", ".ccp4"), _matches, _open, by_suffix=True)
