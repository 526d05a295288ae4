"""Any other HDF5: every array of two or more axes may be chosen, and names tell images from gain, masks and tables."""

from __future__ import annotations

import re
from itertools import pairwise

import h5py

from . import masks
from .arrays import HELPER, LIKELY, OBVIOUS, TABLE, Dialect, HdfArray
from .links import Tree
from .values import DAMAGE

_OBVIOUS = re.compile(r"/entry(_?\d+)?/data(_?\d+)?(/data)?")

_HELPERS = frozenset(
    (
        *(
            "gain",
            "gains",
            "flat",
            "flats",
            "flatfield",
            "flatfields",
            "dark",
            "darks",
            "darkcurrent",
            "white",
            "whites",
        ),
        *("mask", "masks", "pixelmask", "badpixels", "valid", "validity", "bad", "thumbnail", "preview", "icon"),
        *("lookup", "table", "correction", "corrections", "calibration", "coefficients", "weight", "weights"),
        *("error", "errors", "sigma", "variance", "uncertainty", "uncertainties", "efficiency", "metadata", "text"),
        *("offsets", "pedestal", "bias", "rms"),
    )
)
_FEW = 4
"""A list of numbers has no more columns than this, or rows."""


def _knows(root: h5py.File, tree: Tree) -> bool:
    return True


def arrays(root: h5py.File, tree: Tree) -> tuple[HdfArray, ...]:
    """Numerical datasets of two or more axes below the root, those behind links included, each once."""
    return tuple(
        plain_array(item, best_name(tree.names.get(path, [path])))
        for path, item in tree.datasets.items()
        if is_numbers(item) and item.ndim >= 2 and not is_written_text(item, path)
    )


def best_name(names: list[str]) -> str:
    """Of the names of a dataset the one that says most: that of an entry's data, else the first."""
    return next((name for name in names if _OBVIOUS.fullmatch(name)), names[0])


def is_numbers(item: h5py.Dataset) -> bool:
    """Whether values are numbers of any kind."""
    try:
        return item.shape is not None and item.dtype.kind in "buifc"
    except DAMAGE:
        return False


def is_written_text(item: h5py.Dataset, name: str) -> bool:
    """Whether bytes of a text or picture are stored as numbers."""
    return item.dtype.itemsize == 1 and name.rsplit("/", 1)[-1].lower() in ("metadata", "text", "json", "xml", "header")


def plain_array(item: h5py.Dataset, name: str) -> HdfArray:
    """A dataset with its axes as they seem to be."""
    yx, caution = image_axes(item.shape)
    cautions = (f"{name}: {caution}",) if caution else ()
    return HdfArray(name, (item,), yx, rank=rank_of(name, item.shape), cautions=cautions)


def image_axes(shape: tuple[int, ...]) -> tuple[tuple[int, int], str]:
    """Which axes are rows and columns: the last two, unless the shape makes plain that the first two are.

    Returns
    -------
    ((int, int), str)
        The axes, and what to say of them.
    """
    if len(shape) != 3:
        return (-2, -1), ""
    y, x, last = shape
    if last == 1 and min(y, x) > 1:
        return (0, 1), ""
    # Ten times as many rows and columns as frames, and as a stack of frames none with that few columns is sensible.
    # Three and four are left to the check for colours.
    if 1 < last <= 128 and min(y, x) >= 10 * last and last not in (3, 4) and max(y, x) <= 4 * min(y, x):
        return (0, 1), f"its shape {y} x {x} x {last} was taken for {last} frames of {y} x {x} pixels"
    return (-2, -1), ""


def rank_of(name: str, shape: tuple[int, ...]) -> int:
    """How much an array of that name and shape looks like the record."""
    if len(shape) == 2 and (min(shape) < 3 or (min(shape) <= _FEW and max(shape) > 8 * min(shape))):
        return TABLE
    if _OBVIOUS.fullmatch(name):
        return OBVIOUS
    return HELPER if is_helper(name) else LIKELY


def is_helper(name: str) -> bool:
    """Whether a name is that of a gain, dark, mask or other array that belongs to a record, but is none."""
    words = [word for word in re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()) if word]
    darkfield = any(pair == ("dark", "field") for pair in pairwise(words))
    return any(word in _HELPERS and not (word == "dark" and darkfield) for word in words)


DIALECT = Dialect("HDF5", _knows, arrays, mask=masks.beside)
