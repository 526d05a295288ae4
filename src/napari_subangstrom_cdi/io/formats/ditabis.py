"""Ditabis micron: imaging plates (IPL, IPH, IPR, IPC), linear.

Layout after what the scanner's software writes: text ``KEY = value``, padded to HEADER bytes, then pixels by rows,
little-endian and unsigned, then a thumbnail. XPIXEL counts rows and YPIXEL columns, and so do the resolutions, in nm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array, Format, Stored, cut_short, nbytes
from napari_subangstrom_cdi.io.header import Header, HeaderWriter

_MAGIC = b"DITABIS micron Data File"
_LARGEST_HEADER = 2**16
_BYTES: dict[int, np.dtype[Any]] = {2: np.dtype("<u2"), 3: np.dtype("<u4"), 4: np.dtype("<u4")}


@contextmanager
def _open(path: Path, dataset: str | None) -> Iterator[Stored]:
    with open(path, "rb") as stream:
        text = stream.read(_LARGEST_HEADER)
    keys = _keys(text)
    start, rows, columns, width = (_count(keys, key, path) for key in ("HEADER", "XPIXEL", "YPIXEL", "BYTE PER PIXEL"))
    if width not in _BYTES:
        raise InputError(
            f"has {width} bytes a pixel, where 2, 3 or 4 belong", where=str(path), mend="copy or export it again"
        )
    shape, dtype = (rows, columns), _BYTES[width]
    size, needed = path.stat().st_size, start + rows * columns * width
    if 0 not in shape and needed > size:
        raise cut_short(path, needed, size)

    def read_frame(k: int) -> Array:
        if width == 3:
            return _three_bytes(path, start, shape)
        return np.memmap(path, dtype, "r", start, shape).view(np.ndarray)

    yield Stored(
        shape=shape,
        dtype=dtype,
        stored_bytes=nbytes(shape, dtype),
        read_frame=read_frame,
        header=_header(keys),
        metadata=dict(keys),
    )


def _three_bytes(path: Path, start: int, shape: tuple[int, int]) -> Array:
    stored = np.memmap(path, np.uint8, "r", start, (*shape, 3))
    data = np.zeros(shape, "<u4")
    data.view(np.uint8).reshape(*shape, 4)[..., :3] = stored
    return data


def _keys(head: bytes) -> dict[str, str]:
    """Entries of the header by key, up to the comment, which may hold anything."""
    lines = head.replace(b"\0", b"\n").decode("latin-1").splitlines()
    keys: dict[str, str] = {}
    for line in lines[1:]:
        key, equals, value = line.partition("=")
        if equals:
            keys[key.strip()] = value.strip()
        if key.strip() == "COMMENT":
            break
    return keys


def _count(keys: Mapping[str, str], key: str, path: Path) -> int:
    text = keys.get(key, "")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        found = f"is {text[:20]!r}" if text else "is missing"
        raise InputError(f"{key} of its header {found}", where=str(path), mend="copy or export it again")
    return int(text)


def _header(keys: Mapping[str, str]) -> Header:
    found = HeaderWriter()
    nm = [_nanometres(keys.get(key, "")) for key in ("XRESOLUTION", "YRESOLUTION")]
    place = f"XRESOLUTION, YRESOLUTION = {nm[0]:g}, {nm[1]:g} nm (rows, columns)"
    if nm[0] == nm[1]:
        found.put("detector_pixel_um", nm[0] / 1e3, place)
    elif min(nm) > 0:
        found.doubt(f"its pixels are not square ({place}): the detector's pixel is left out")
    return found.header()


def _nanometres(text: str) -> float:
    """Of ``25000 (25000.00)``; 0 if there is none."""
    try:
        return float(text.split()[0])
    except (IndexError, ValueError):
        return 0.0


FORMAT = Format("Ditabis", (".ipl", ".iph", ".ipr", ".ipc"), lambda head: head.startswith(_MAGIC), _open)
