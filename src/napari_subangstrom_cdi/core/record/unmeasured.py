"""Pixels of a record that hold a value for "nothing measured": NaN, −1, the largest integer, a gap at the ceiling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_subangstrom_cdi.core.types import Bool

_APART = 100.0
_MOST_STAND_INS = 3
_LARGEST = tuple(2.0**bits - k for bits in (15, 16, 24, 31, 32, 63, 64) for k in (1, 2))
_LOWEST = (*(-(2.0**bits) for bits in (15, 31, 63)), -999.0, -9999.0, -99999.0)
_FLOAT_LIMIT = 1e30
_NEARLY = 1e-6
_FEW = 0.01
_CROWDED, _LIT = 4, 3.0
_GAP_LENGTH = 0.25


def unmeasured(counts: NDArray[Any], good: Bool, *, frames: int = 1) -> Bool:
    """Find the pixels that were not measured, by their values alone.

    NaN and infinity; a value at the limit of a type of numbers that stands apart from all others by a factor of
    a hundred; −1 and −2 if nothing else is negative and they are no noise about 0; and straight gaps at the
    record's largest integer, longer than a quarter of the frame.

    Parameters
    ----------
    counts : ndarray, shape (ny, nx)
        As stored.
    good : ndarray of bool, shape (ny, nx)
        False where a mask says already that nothing was measured.
    frames : int
        How many frames were added up, the stand-ins with them.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
    """
    found = ~np.isfinite(counts) if counts.dtype.kind == "f" else np.zeros(counts.shape, dtype=np.bool_)
    known = good & ~found
    if not known.any():
        return found
    values = counts[known]
    lowest, highest = values.min(), values.max()
    for value in (*_apart_above(values, highest, frames), *_apart_below(values, lowest, frames)):
        found |= counts == value
    if lowest < 0:
        found |= _minus_one(counts, known & ~found, frames)
    if counts.dtype.kind in "ui":
        found |= _gaps_at_the_ceiling(counts, known & ~found)
    return found


def _apart_above(values: NDArray[Any], highest: Any, frames: int) -> list[Any]:
    """Largest values that are limits of types, if what comes next is far below."""
    found: list[Any] = []
    n_apart, value = 0, highest
    while len(found) < _MOST_STAND_INS and _is_limit(float(value), frames, _LARGEST):
        found.append(value)
        below = values[values < value]
        if not below.size:
            break
        value = below.max()
        if _APART * max(float(value), 1.0) < float(found[-1]):
            n_apart = len(found)
    return found[:n_apart]


def _apart_below(values: NDArray[Any], lowest: Any, frames: int) -> list[Any]:
    """Lowest values likewise."""
    found: list[Any] = []
    n_apart, value = 0, lowest
    while len(found) < _MOST_STAND_INS and _is_limit(float(value), frames, _LOWEST):
        found.append(value)
        above = values[values > value]
        if not above.size:
            break
        value = above.min()
        if _APART * max(-float(value), 1.0) < -float(found[-1]):
            n_apart = len(found)
    return found[:n_apart]


def _is_limit(value: float, frames: int, limits: tuple[float, ...]) -> bool:
    if abs(value) >= _FLOAT_LIMIT:
        return True
    return any(abs(value / n - limit) <= _NEARLY * abs(limit) for n in {1, frames} for limit in limits)


def _minus_one(counts: NDArray[Any], known: Bool, frames: int) -> Bool:
    """Pixels of −1 and −2 where nothing else is negative, unless they are the noise of a dark-subtracted record."""
    marked = known & (counts < 0)
    none = np.zeros_like(marked)
    n_marked = np.count_nonzero(marked)
    if not n_marked or not np.isin(counts[marked], [-k * n for k in (1, 2) for n in {1, frames}]).all():
        return none
    if n_marked <= _FEW * np.count_nonzero(known):
        return marked
    around = np.ones((3, 3), dtype=np.float32)
    around[1, 1] = 0
    beside = ndimage.convolve(marked.astype(np.float32), around, mode="nearest")
    lit = known & ~marked
    light = ndimage.convolve(np.where(lit, counts, 0).astype(np.float32), around, mode="constant")
    level = light / np.maximum(ndimage.convolve(lit.astype(np.float32), around, mode="constant"), 1)
    crowded = beside[marked] >= _CROWDED
    is_gap = crowded.mean() > 0.5 or (crowded | (level[marked] >= _LIT)).mean() > 0.9
    return marked if is_gap else none


def _gaps_at_the_ceiling(counts: NDArray[Any], known: Bool) -> Bool:
    """Rows and columns, or long pieces of them, at the largest value: no light fills a straight line evenly."""
    return straight_lines(known & (counts == counts[known].max()))


def straight_lines(marked: Bool) -> Bool:
    """Rows and columns of marked pixels, or pieces of them longer than a quarter of the frame; none if they fill it."""
    found = np.zeros_like(marked)
    for lines, into in ((marked, found), (marked.T, found.T)):
        length = max(int(_GAP_LENGTH * lines.shape[1]), 8)
        long = np.flatnonzero(lines.sum(axis=1) >= length)
        into[long] |= _long_runs(lines[long], length)
    return found if found.mean() < _GAP_LENGTH / 2 else np.zeros_like(found)


def _long_runs(lines: Bool, length: int) -> Bool:
    """Of each row, the marked pixels that at least so many marked ones stand side by side with."""
    if not len(lines):
        return lines
    before = np.pad(np.cumsum(lines, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    begins = before[:, length:] - before[:, :-length] == length
    begun = np.pad(np.cumsum(begins, axis=1, dtype=np.int32), ((0, 0), (length, 0)))
    begun = np.pad(begun, ((0, 0), (0, length - 1)), mode="edge")
    return np.asarray(begun[:, length:] > begun[:, :-length])
