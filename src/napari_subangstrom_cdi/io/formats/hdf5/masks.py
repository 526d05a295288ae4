"""Masks beside the data, and values that stand for "not measured"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array, nbytes

from .arrays import Frames, HdfArray, MaskPlace
from .checks import stored_bytes
from .links import dataset, follow, group
from .values import DAMAGE

_MOST_LOOKED_AT = 2**28
_NEARLY_ALL = 0.9

MASKS = ("mask", "pixel_mask", "bad_pixel_mask", "bad_pixels", "badpixels", "badpixel_mask", "pixelmask")
"""Names of arrays that mark bad pixels."""

VALID = ("valid", "valid_mask", "valid_pixels", "good_pixels", "good_pixel_mask")
"""Names of arrays that mark right ones."""

# Dectris and NeXus: any bit; CXI 1.6: those that say the pixel's value is not to be used. Bits 5, 11, 13, 14 mark
# peaks and corrections.
CXI_BAD_BITS = 0xFFFF & ~(1 << 5 | 1 << 11 | 1 << 13 | 1 << 14)


def beside(root: h5py.File, array: HdfArray) -> MaskPlace | None:
    """The mask in the same group as the array, or as the array's name, if its shape fits."""
    here = array.dataset.parent, group(root, array.name.rpartition("/")[0] or "/")
    names = [(str(found.name).rstrip("/"), found) for found in here if found is not None]
    return first_that_fits(
        array,
        (
            (f"{folder}/{name}", found, name, name in VALID)
            for folder, found in names
            for name in (*MASKS, *VALID)
            if name in found
        ),
    )


def first_that_fits(
    array: HdfArray, places: Iterable[tuple[str, h5py.Group, str, bool]], bad_bits: int | None = None
) -> MaskPlace | None:
    """The first of (name for people, group, name in it, marks good) that is a mask of the array's shape."""
    for shown, parent, name, good in places:
        found = follow(parent, name, shown) if "/" not in name else dataset(parent, name)
        if isinstance(found, h5py.Dataset) and fits(found, array):
            return MaskPlace(found, shown, bad_bits, good)
    return None


def fits(found: h5py.Dataset, array: HdfArray) -> bool:
    """Whether a dataset may be the mask of an array: whole numbers, one for each pixel, and not the array itself."""
    try:
        if found.dtype.kind not in "bui" or found == array.dataset or not array.is_image or found.shape is None:
            return False
        shape = found.shape
    except DAMAGE:
        return False
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape == array.shape[-2:] or (len(array.parts) == 1 and found.shape == array.dataset.shape)


def usable(place: MaskPlace | None, array: HdfArray, path: Path) -> tuple[MaskPlace | None, str]:
    """The mask, unless it cannot be read or marks nearly all; then None, and what is to be said of it."""
    if place is None:
        return None, ""
    mend = "it is not used; give a mask as a file where one is needed"
    try:
        stored_bytes((place.dataset,), path)
    except (InputError, *DAMAGE) as error:
        why = error.problem if isinstance(error, InputError) else error
        return None, f"its mask {place.name} cannot be read ({why}): {mend}"
    marks = Marks(place, array, ())
    if not marks.is_fixed or nbytes(array.shape[-2:], place.dataset.dtype) > _MOST_LOOKED_AT:
        return place, ""
    try:
        share = float(marks().mean()) if 0 not in array.shape else 0.0
    except DAMAGE as error:
        return None, f"its mask {place.name} cannot be read ({error}): {mend}"
    if share > _NEARLY_ALL:
        return (
            None,
            f"its mask {place.name} would mark {share:.0%} of the pixels as bad, and perhaps marks the good: {mend}",
        )
    return place, ""


class Marks:
    """Pixels of the frames read so far that are not to be trusted.

    Parameters
    ----------
    place : MaskPlace or None
        The mask.
    array : HdfArray
        What it is the mask of.
    sentinels : tuple of float
        Values that stand for "not measured": in a sum of frames they can no longer be told.
    """

    def __init__(self, place: MaskPlace | None, array: HdfArray, sentinels: tuple[float, ...]) -> None:
        self._place, self._sentinels = place, sentinels
        self._shape = array.shape[-2:]
        self._marked: NDArray[np.bool_] | None = None
        self._fixed = self._of_frame = None
        if place is not None:
            alike = place.dataset.shape == array.dataset.shape
            mask = HdfArray(place.name, (place.dataset,), array.yx if alike else (-2, -1))
            one_each = len(mask.shape) > 2
            self._of_frame = Frames(mask) if one_each else None
            self._fixed = None if one_each else Frames(mask)

    @property
    def any(self) -> bool:
        """Whether anything can be marked."""
        return self._place is not None or bool(self._sentinels)

    def reader(self, read: Callable[[int], Array]) -> Callable[[int], Array]:
        """Reads frames, noting what is marked in them."""
        return self._noting(read) if self._sentinels or self._of_frame is not None else read

    def _noting(self, read: Callable[[int], Array]) -> Callable[[int], Array]:
        def noted(k: int) -> Array:
            data = read(k)
            for sentinel in self._sentinels:
                self._add(data == data.dtype.type(sentinel))
            if self._of_frame is not None:
                self._add(self._bad(self._of_frame(k)))
            return data

        return noted

    def __call__(self) -> NDArray[np.bool_]:
        """The mask, (y, x)."""
        if self._fixed is not None:
            self._add(self._bad(self._fixed(0)))
        marked = np.zeros(self._shape, dtype=bool) if self._marked is None else self._marked
        return marked

    @property
    def is_fixed(self) -> bool:
        """Whether one mask is for all frames."""
        return self._fixed is not None

    def _bad(self, values: Array) -> NDArray[np.bool_]:
        assert self._place is not None
        if self._place.bad_bits is not None and values.dtype.kind in "ui":
            values = values & values.dtype.type(self._place.bad_bits & int(np.iinfo(values.dtype).max))
        marked: NDArray[np.bool_] = values == 0 if self._place.marks_good else values != 0
        return marked

    def _add(self, marked: NDArray[np.bool_]) -> None:
        self._marked = marked.copy() if self._marked is None else self._marked | marked
