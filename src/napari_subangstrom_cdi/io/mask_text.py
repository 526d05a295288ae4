"""A painted mask as one line of text, so that a recipe can hold it, and as a value that knows its pixels as well.

The text is ``HEIGHTxWIDTH:`` and the mask's bits, row by row, packed, deflated and in base64: some 2,000
characters for a particle on an array of 1,024 x 1,024 pixels.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.types import Bool
from napari_subangstrom_cdi.errors import InputError

MAX_SIDE = 8192
"""Largest height and width of a mask, pixels."""

_FORM = re.compile(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3}):([A-Za-z0-9+/]+={0,2})", re.ASCII)
_LONGEST = MAX_SIDE**2 // 8 * 4 // 3 + 2**16  # what cannot be deflated grows by less than the margin
_MEND = "paint the mask again, or take this line out"


class PackedMask(str):
    """A painted mask: its text, as a recipe holds it, that keeps the pixels once they are known.

    It is packed once, by :meth:`of`, and unpacked once, when its pixels are first asked for. Two are the same where
    their texts are; an empty one marks nothing.
    """

    _pixels: Bool | None = None

    @classmethod
    def of(cls, mask: Bool) -> PackedMask:
        """Pack a mask.

        Parameters
        ----------
        mask : ndarray of bool, shape (height, width)
            At most `MAX_SIDE` pixels a side.

        Raises
        ------
        InputError
            If the mask has no two dimensions or is too large.
        """
        packed = cls(pack_mask(mask))
        if packed:
            packed._keep(np.array(mask, np.bool_))
        return packed

    def pixels(self, *, where: str) -> Bool | None:
        """The mask, read-only, shape (height, width); None if nothing is marked.

        Parameters
        ----------
        where : str
            Key or file that holds the text, for the message.

        Raises
        ------
        InputError
            If the text is no mask, damaged, or claims more than `MAX_SIDE` pixels a side.
        """
        if self and self._pixels is None:
            self._keep(unpack_mask(self, where=where))
        return self._pixels

    def on(self, grid: Grid, *, where: str) -> Bool | None:
        """The mask on the grid that it was painted on; None if nothing is marked.

        Raises
        ------
        InputError
            If the text is damaged, or the mask was painted on another array.
        """
        mask = self.pixels(where=where)
        if mask is not None and mask.shape != grid.shape:
            raise InputError(
                f"was painted on an array of {mask.shape[0]} pixels, the pattern's has {grid.n}",
                where=where,
                mend="set binning and array size as they were, or clear what was painted",
            )
        return mask

    def _keep(self, mask: Bool | None) -> None:
        if mask is None:
            return
        mask.setflags(write=False)
        self._pixels = mask


def painted_on(grid: Grid, mask: PackedMask | None, *, where: str) -> Bool | None:
    """What was painted on this grid; None if nothing was. As :meth:`PackedMask.on`, of a mask there may not be."""
    return mask.on(grid, where=where) if mask else None


def pack_mask(mask: NDArray[np.bool_]) -> str:
    """Text of a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (height, width)
        At most `MAX_SIDE` pixels a side.

    Returns
    -------
    str
        ASCII that fits a TOML string as it is; empty if nothing is marked.

    Raises
    ------
    InputError
        If the mask has no two dimensions or is too large.
    """
    mask = np.asarray(mask, np.bool_)
    if mask.ndim != 2 or not mask.size > 0 or max(mask.shape) > MAX_SIDE:
        raise InputError(
            f"a mask of shape {mask.shape}", mend=f"a mask has two dimensions of 1 to {MAX_SIDE} pixels each"
        )
    if not mask.any():
        return ""
    packed = zlib.compress(np.packbits(mask).tobytes(), 9)
    return f"{mask.shape[0]}x{mask.shape[1]}:{base64.b64encode(packed).decode('ascii')}"


def unpack_mask(text: str, *, where: str) -> NDArray[np.bool_] | None:
    """Mask from its text.

    Parameters
    ----------
    text : str
        As `pack_mask` gave it.
    where : str
        Key or file that holds the text, for the message.

    Returns
    -------
    ndarray of bool, shape (height, width), or None
        None for an empty text.

    Raises
    ------
    InputError
        If the text is no mask, damaged, or claims more than `MAX_SIDE` pixels a side.
    """
    if not text:
        return None
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise InputError(f"is no packed mask (it starts with {text[:24]!r})", where=where, mend=_MEND)
    height, width = int(found[1]), int(found[2])
    if max(height, width) > MAX_SIDE:
        raise InputError(
            f"a mask of {height} x {width} pixels", where=where, mend=f"at most {MAX_SIDE} pixels a side are read"
        )
    bits = np.unpackbits(_inflate(found[3], (height * width + 7) // 8, where))
    if bits[height * width :].any():
        raise _damaged("marks lie beyond its end", where)
    return bits[: height * width].reshape(height, width).view(np.bool_)


def _inflate(text: str, size: int, where: str) -> NDArray[np.uint8]:
    """Bytes of the text, which must be exactly `size`; no more than that is ever unpacked."""
    try:
        packed = base64.b64decode(text, validate=True)
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(packed, size + 1)
    except (binascii.Error, zlib.error) as error:
        raise _damaged(str(error), where) from error
    if base64.b64encode(packed).decode("ascii") != text:
        raise _damaged("its last character was changed", where)
    if len(content) != size or not unpacker.eof or unpacker.unused_data:
        raise _damaged(f"it does not hold the {size} bytes of its size", where)
    return np.frombuffer(content, np.uint8)


def _damaged(why: str, where: str) -> InputError:
    return InputError(f"the packed mask is damaged ({why})", where=where, mend=_MEND)
