"""Pixels of a packed page, in little more memory than they take."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from napari_subangstrom_cdi.io._common import Array, cut_short, nbytes

_AT_ONCE = 2**22
_DEFLATE = (8, 32946)
_PLAIN, _DIFFERENCES = 1, 2


def pixels(page: Any, path: Path) -> Array:
    """All of a page, in the shape that it is stored in.

    A strip that is the whole page is unpacked piece by piece: tifffile holds it packed, unpacked and copied.
    """
    return _inflated(page, path) if _is_one_deflated_strip(page) else page.asarray(buffersize=_AT_ONCE)


def _is_one_deflated_strip(page: Any) -> bool:
    keyframe = page.keyframe
    dtype = np.dtype(keyframe.dtype)
    differences = keyframe.predictor == _DIFFERENCES and dtype.kind in "iu"
    return (
        keyframe.compression in _DEFLATE
        and len(page.dataoffsets) == 1
        and not keyframe.is_tiled
        and keyframe.fillorder == 1
        and keyframe.bitspersample == 8 * dtype.itemsize
        and (keyframe.predictor == _PLAIN or differences)
    )


def _inflated(page: Any, path: Path) -> Array:
    keyframe = page.keyframe
    stored = np.dtype(keyframe.dtype).newbyteorder(keyframe.parent.byteorder)
    whole = np.empty(nbytes(keyframe.shaped, stored), np.uint8)
    room, filled = whole.data, 0
    stream = zlib.decompressobj()
    with open(path, "rb") as file:
        file.seek(page.dataoffsets[0])
        left = page.databytecounts[0]
        while filled < len(room) and not stream.eof:
            packed = stream.unconsumed_tail or file.read(min(left, _AT_ONCE))
            if not stream.unconsumed_tail:
                left -= len(packed)
            piece = stream.decompress(packed, min(_AT_ONCE, len(room) - filled))
            if not piece and not packed:
                break
            room[filled : filled + len(piece)] = piece
            filled += len(piece)
    if filled < len(room):
        raise cut_short(path, len(room), filled)
    found: Array = whole.view(stored).reshape(keyframe.shaped)
    if not stored.isnative:
        found = found.byteswap(inplace=True).view(stored.newbyteorder("="))
    if keyframe.predictor == _DIFFERENCES:
        np.cumsum(found, axis=-2, dtype=found.dtype, out=found)
    return found.reshape(keyframe.shape)
