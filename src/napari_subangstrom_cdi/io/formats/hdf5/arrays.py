"""An array in an HDF5 file with the meaning of its axes, read frame by frame; and what a dialect is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import h5py
import numpy as np

from napari_subangstrom_cdi.io._common import Array, nbytes
from napari_subangstrom_cdi.io.header import Header

from .links import Missing, Tree

_BLOCK_BYTES = 64 * 2**20
"""Most that is read at once where frames share chunks."""

OBVIOUS, LIKELY, HELPER, TABLE = range(4)
"""Ranks of arrays: what the file itself points to, images, gain, masks and such, and lists of numbers."""


@dataclass(frozen=True)
class HdfArray:
    """One array that may be chosen.

    Parameters
    ----------
    name : str
        Full path, which follows ``::`` in an address.
    parts : tuple of h5py.Dataset
        Mostly one; several are joined along their frames.
    yx : (int, int)
        Which axes are rows and columns; all others count frames.
    caption : str
        What it is, as far as the file says.
    rank : int
        `OBVIOUS`, `LIKELY`, `HELPER` or `TABLE`.
    aliases : tuple of str
        Other names for it.
    missing : Missing, optional
        A part that is not there.
    cautions : tuple of str
        What is to be said when it is read.
    """

    name: str
    parts: tuple[h5py.Dataset, ...]
    yx: tuple[int, int] = (-2, -1)
    caption: str = ""
    rank: int = LIKELY
    aliases: tuple[str, ...] = ()
    missing: Missing | None = None
    cautions: tuple[str, ...] = ()

    @property
    def dataset(self) -> h5py.Dataset:
        """The first part."""
        return self.parts[0]

    @cached_property
    def axes(self) -> Axes:
        """How its axes lie."""
        ndim = len(self.dataset.shape)
        y, x = (axis % ndim for axis in self.yx)
        return Axes(y, x, tuple(axis for axis in range(ndim) if axis not in (y, x)))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values; a pair of real and imaginary part is a complex number."""
        stored: np.dtype[Any] = self.dataset.dtype
        names = stored.names or ()
        is_complex = len(names) == 2 and names[0].startswith("real") and names[1].startswith("imag")
        return np.dtype(np.complex64) if is_complex else stored

    @property
    def is_image(self) -> bool:
        """Whether it has rows and columns."""
        return self.dataset.shape is not None and len(self.dataset.shape) >= 2

    @property
    def shape(self) -> tuple[int, ...]:
        """(y, x), or (frame, y, x) of several; as stored if it has less than two axes."""
        stored: tuple[int, ...] = tuple(map(int, self.dataset.shape))
        if len(stored) < 2:
            return stored
        y, x, others = self.axes
        frames = sum(math.prod(part.shape[axis] for axis in others) for part in self.parts)
        plane = stored[y], stored[x]
        return plane if frames == 1 else (frames, *plane)


class Axes(NamedTuple):
    """Which axes of a dataset are which."""

    y: int
    x: int
    frames: tuple[int, ...]


class Frames:
    """Reads frames of an array, as rows (y, x).

    Where frames share chunks or lie interleaved, as many as do are read in one go as soon as one frame after the
    other is asked for: a sum then reads the file once and not once a frame.
    """

    def __init__(self, array: HdfArray) -> None:
        self._array = array
        self._last: int | None = None
        self._block: Array | None = None
        self._start = 0

    def __call__(self, k: int) -> Array:
        """The frame of this number."""
        if self._block is None or not self._start <= k < self._start + len(self._block):
            self._block = self._read(k, one_of_many=self._last is not None and k == self._last + 1)
            self._start = k
        self._last = k
        frame: Array = self._block[k - self._start]
        if len(self._block) == 1:
            self._block = None
        return frame

    def _read(self, k: int, *, one_of_many: bool) -> Array:
        part, k = self._part(k)
        y, x, others = self._array.axes
        if not others:
            return _upright(np.asarray(part[()]), y, x)[None]
        counts = tuple(part.shape[axis] for axis in others)
        place = [int(at) for at in np.unravel_index(k, counts)]
        index: list[Any] = [slice(None)] * len(part.shape)
        for axis, at in zip(others, place, strict=True):
            index[axis] = at
        axis, at = others[-1], place[-1]
        length = self._together(part, at) if one_of_many else 1
        index[axis] = slice(at, at + length)
        for other in others[:-1]:
            index[other] = slice(index[other], index[other] + 1)
        block = np.asarray(part[tuple(index)])
        return np.transpose(block, (*others, y, x)).reshape(-1, part.shape[y], part.shape[x])

    def _part(self, k: int) -> tuple[h5py.Dataset, int]:
        for part in self._array.parts:
            frames = math.prod(part.shape[axis] for axis in self._array.axes.frames)
            if k < frames:
                return part, k
            k -= frames
        raise IndexError(k)

    def _together(self, part: h5py.Dataset, at: int) -> int:
        """How many frames from this one on are best read at once."""
        y, x, others = self._array.axes
        axis = others[-1]
        left = part.shape[axis] - at
        frame = max(1, nbytes((part.shape[y], part.shape[x]), part.dtype))
        if part.chunks is not None:
            wanted = part.chunks[axis] - at % part.chunks[axis]
        else:
            wanted = left if axis > min(y, x) else 1
        return max(1, min(left, wanted, _BLOCK_BYTES // frame))


def _upright(data: Array, y: int, x: int) -> Array:
    return data if y < x else data.T


@dataclass(frozen=True)
class MaskPlace:
    """Where pixels that are not to be trusted are marked.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of the shape (y, x) of the array, or one such for each of its frames.
    name : str
        Its path, for people.
    bad_bits : int, optional
        Which bits mark a bad pixel; all if not given.
    marks_good : bool
        True if it marks the pixels that are right.
    """

    dataset: h5py.Dataset
    name: str
    bad_bits: int | None = None
    marks_good: bool = False


def _no_header(root: h5py.File, array: HdfArray) -> Header:
    return Header()


def _no_mask(root: h5py.File, array: HdfArray) -> MaskPlace | None:
    return None


@dataclass(frozen=True)
class Dialect:
    """A way to put images into an HDF5 file.

    Parameters
    ----------
    name : str
        As shown to the user.
    knows : callable
        Takes the open file and the walk over it; True if it speaks this dialect.
    arrays : callable
        Takes the same, and returns the arrays that may be chosen.
    header : callable
        Takes the file and an array; what the file says of it.
    mask : callable
        Takes the same; where a mask is, if there is one.
    nothing : str
        What is wrong with a file in which there is no array.
    """

    name: str
    knows: Callable[[h5py.File, Tree], bool]
    arrays: Callable[[h5py.File, Tree], tuple[HdfArray, ...]]
    header: Callable[[h5py.File, HdfArray], Header] = _no_header
    mask: Callable[[h5py.File, HdfArray], MaskPlace | None] = _no_mask
    nothing: str = field(default="holds no dataset of two or three dimensions")
