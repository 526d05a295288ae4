"""What a camera and cosmic rays put into a record: hot and dead pixels, holes, smeared ceilings, bad lines, zingers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_subangstrom_cdi.core.types import Bool, Float32

Float64 = NDArray[np.float64]

_HOT_RATIO, _HOT_SIGMAS = 3.0, 10.0
_DEAD_RATIO, _DEAD_SIGMAS = 0.3, 8.0
_SMALLEST_HOLE_PX = 25
_TOP_SHARE = 0.01
_BIN, _HALF_PILE, _BELOW = 0.01, 8, (12, 28)
_FEWEST_PILED, _PILE_RATIO, _MOST_ABOVE = 25, 4.0, 0.05
_SMALLEST_PART, _FEWEST_PARTS = 4, 2
_WIDEST_LINE_PX, _LINE_SIGMAS, _LINE_SHARE = 4, 3.5, 0.1
_MOST_LINES, _MOST_LINES_SHARE = 4, 0.02
_FEWEST_SEGMENTS, _SEGMENT_PX = 4, (16, 64)
_ZINGER_REACH_PX, _ZINGER_SIGMAS, _ZINGER_RIM, _LARGEST_ZINGER_PX = 3, 50.0, 0.08, 6
_MOST_ZINGERS = 5000


def _neighbours(image: Float32) -> list[Float32]:
    padded = np.pad(image, 1, mode="reflect")
    ny, nx = image.shape
    steps = [(dy, dx) for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]
    return [padded[dy : dy + ny, dx : dx + nx] for dy, dx in steps]


def isolated_peaks(electrons: Float32, variance: Float32) -> Bool:
    """Pixels far above every neighbour; a spot as narrow as σ = 0.7 pixel reaches a ratio of 2.8."""
    highest = np.full_like(electrons, -np.inf)
    for neighbour in _neighbours(electrons):
        np.maximum(highest, neighbour, out=highest)
    noise = np.sqrt(np.maximum(highest, 0) + variance - np.maximum(electrons, 0) + 1)
    return np.asarray(electrons > _HOT_RATIO * np.maximum(highest, 0) + _HOT_SIGMAS * noise)


def isolated_dips(electrons: Float32, variance: Float32) -> Bool:
    """Pixels far below the third lowest of their neighbours.

    Two neighbours may be low too, so that a dead row or column is found; the dark fringe of a spot,
    which is wider than a pixel, is not.
    """
    floor = variance - np.maximum(electrons, 0)
    around = 9 / 8 * ndimage.uniform_filter(electrons, 3) - electrons / 8
    # At least six neighbours reach the third lowest, so that it is at most 4/3 of their mean.
    y, x = np.nonzero((electrons < _DEAD_RATIO * 4 / 3 * around) & (electrons < 4 / 3 * around - np.sqrt(floor)))
    dips = np.zeros(electrons.shape, dtype=np.bool_)
    if len(y):
        padded = np.pad(electrons, 1, mode="reflect")
        beside = [padded[y + dy, x + dx] for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]
        lowest = np.sort(np.stack(beside), axis=0)[2]
        limit = lowest - _DEAD_SIGMAS * np.sqrt(np.maximum(lowest, 0) + floor[y, x])
        dips[y, x] = (electrons[y, x] < limit) & (electrons[y, x] < _DEAD_RATIO * np.maximum(lowest, 0))
    return dips


def holes(values: Float32, electrons: Float32, variance: Float32) -> Bool:
    """Patches of exactly 0 counts with light along their rim: a beam stop or a dead region."""
    zero = values == 0
    labels, n_labels = ndimage.label(zero)
    if n_labels == 0:
        return np.asarray(zero, dtype=np.bool_)
    size = np.bincount(labels.ravel(), minlength=n_labels + 1)
    size[0] = 0
    large = np.isin(labels, np.nonzero(size >= _SMALLEST_HOLE_PX)[0])
    labels = np.where(large, labels, 0)
    grown = ndimage.grey_dilation(labels, size=3)
    rim = (grown > 0) & ~zero
    light = np.bincount(grown[rim], weights=electrons[rim], minlength=n_labels + 1)
    spread = np.bincount(grown[rim], weights=variance[rim], minlength=n_labels + 1)
    n_rim = np.maximum(np.bincount(grown[rim], minlength=n_labels + 1), 1)
    lit = light / n_rim > _DEAD_SIGMAS * np.sqrt(spread / n_rim) * 0.5
    lit[0] = False
    return np.asarray(lit[labels] & large)


def smeared_ceiling(values: Float32, good: Bool) -> float | None:
    """Level at which the values of several spots pile up within some per cent: a ceiling after a gain reference.

    The flank of a spot takes up about as many pixels for each per cent of its height; a ceiling gathers all
    that would be higher. Two spots do not end at one height by chance, with nothing above.

    Returns
    -------
    float or None
        Lowest value of the pile; None if there is none.
    """
    known = values[good]
    if known.size < 100 * _FEWEST_PILED:
        return None
    base = float(np.median(known[:: max(1, known.size // 100_000)]))
    start = float(np.partition(known, -int(_TOP_SHARE * known.size))[-int(_TOP_SHARE * known.size)])
    top = known[known > max(start, 2 * base, 1e-30)]
    if top.size < _FEWEST_PILED:
        return None
    log = np.log(top - base)
    heights = np.bincount(((log - log.min()) / _BIN).astype(np.intp))
    smooth = np.convolve(heights, np.ones(5), mode="same")
    mode = int(np.argmax(smooth * (np.arange(len(smooth)) > 0.5 * len(smooth))))
    pile, below, above = (int(part.sum()) for part in _parts(heights, mode))
    width = (2 * _HALF_PILE + 1) / (_BELOW[1] - _BELOW[0])
    if pile < _FEWEST_PILED or pile < _PILE_RATIO * (below * width + 1) or above > _MOST_ABOVE * pile:
        return None
    centre = log.min() + (mode + 0.5) * _BIN
    upper = log[(log >= centre) & (log < centre + _HALF_PILE * _BIN)] - centre
    spread = max(math.sqrt(float(np.mean(upper**2))) if upper.size else 0.0, _BIN / 4)
    level = base + math.exp(centre - 3.5 * min(spread, _HALF_PILE * _BIN / 3.5))
    labels, count = ndimage.label(good & (values >= level))
    sizes = np.bincount(labels.ravel())[1:] if count else np.zeros(0)
    return float(level) if np.count_nonzero(sizes >= _SMALLEST_PART) >= _FEWEST_PARTS else None


def _parts(heights: NDArray[Any], mode: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Bins of the pile, of a range below it, and all above it."""
    low, high = max(mode - _HALF_PILE, 0), mode + _HALF_PILE + 1
    return heights[low:high], heights[max(mode - _BELOW[1], 0) : max(mode - _BELOW[0], 0)], heights[high:]


def bad_lines(electrons: Float32, variance: Float32, usable: Bool, *, step: float) -> Bool:
    """Rows and columns, up to four side by side, whose level differs from both sides' along a quarter of the frame.

    Pixels are compared by medians of pieces of a line, which spots hardly move. A spot, a halo or a streak is wider.

    Parameters
    ----------
    electrons, variance : ndarray of float32, shape (ny, nx)
        The record.
    usable : ndarray of bool
        Pixels that can be trusted so far.
    step : float
        Steps in which electrons come, 0 for a continuum.
    """
    rng = np.random.default_rng(0)
    spread = electrons
    if step:  # a median of whole counts moves in steps
        spread = electrons + rng.uniform(-step / 2, step / 2, electrons.shape).astype(np.float32)
    found = np.zeros(electrons.shape, dtype=np.bool_)
    for axis in (0, 1):
        along = (spread, variance, usable) if axis == 0 else (spread.T, variance.T, usable.T)
        marked = _lines(*along)
        # A detector has few of them; the fringes of an object with straight edges are many.
        if np.count_nonzero(marked.any(axis=0)) > max(_MOST_LINES, _MOST_LINES_SHARE * marked.shape[1]):
            continue
        found |= marked if axis == 0 else marked.T
    return found


def _lines(electrons: Float32, variance: Float32, usable: Bool) -> Bool:
    """Bad columns, by pieces along y."""
    ny, nx = electrons.shape
    length = int(np.clip(ny // 32, *_SEGMENT_PX))
    n = ny // length
    pieces = electrons[: n * length].reshape(n, length, nx)
    level = np.median(pieces, axis=1)
    enough = usable[: n * length].reshape(n, length, nx).mean(axis=1) > 0.5
    noise = np.sqrt(variance[: n * length].reshape(n, length, nx).mean(axis=1)) * 1.25 / math.sqrt(length)
    around = ndimage.median_filter(level, size=(1, 2 * _WIDEST_LINE_PX + 3), mode="nearest")
    noise = ndimage.median_filter(noise, size=(1, 2 * _WIDEST_LINE_PX + 3), mode="nearest")
    away = level - around
    least = np.ones((max(_FEWEST_SEGMENTS, n // 4), 1), dtype=np.bool_)
    large = enough & (np.abs(away) > _LINE_SIGMAS * noise) & (np.abs(away) > _LINE_SHARE * np.abs(around))
    # Nothing but a line goes on straight for so long, always too high or always too low.
    odd = ndimage.binary_opening(large & (away > 0), least) | ndimage.binary_opening(large & (away < 0), least)
    marked = np.zeros(electrons.shape, dtype=np.bool_)
    marked[: n * length] = np.repeat(odd, length, axis=0)
    marked[n * length :] = odd[-1]
    return marked


def zingers(electrons: Float32, variance: Float32, usable: Bool) -> Bool:
    """Tracks of up to six pixels that end as no spot does: all around them is less than a twelfth of their height."""
    found = np.zeros(electrons.shape, dtype=np.bool_)
    floor = variance - np.maximum(electrons, 0)
    y, x = np.nonzero(usable & (electrons > _ZINGER_SIGMAS * np.sqrt(np.maximum(floor, 0) + 1)))
    reach = _ZINGER_REACH_PX
    padded = np.pad(electrons, reach, mode="reflect")
    corners = [(dy, dx) for dy in (0, reach, 2 * reach) for dx in (0, reach, 2 * reach) if (dy, dx) != (reach, reach)]
    beside = np.max([padded[y + dy, x + dx] for dy, dx in corners], axis=0) if len(y) else np.zeros(0)
    low = beside < _ZINGER_RIM * electrons[y, x]
    for row, column in list(zip(y[low], x[low], strict=True))[:_MOST_ZINGERS]:
        patch = padded[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
        height = float(electrons[row, column])
        if height < patch[reach - 1 : reach + 2, reach - 1 : reach + 2].max():
            continue
        labels, _ = ndimage.label(patch > height / 3, np.ones((3, 3)))
        track = labels == labels[reach, reach]
        rim = ndimage.binary_dilation(track, np.ones((3, 3))) & ~track
        around = float(np.median(patch))
        limit = around + _ZINGER_RIM * (height - around) + 5 * math.sqrt(max(around, 0) + float(floor[row, column]) + 1)
        if track.sum() > _LARGEST_ZINGER_PX or patch[rim].max() > limit:
            continue
        if height - around < _ZINGER_SIGMAS * math.sqrt(max(around, 0) + 1):
            continue
        ys, xs = np.nonzero(track)
        ys, xs = ys + row - reach, xs + column - reach
        ny, nx = electrons.shape
        inside = (ys >= 0) & (ys < ny) & (xs >= 0) & (xs < nx)
        found[ys[inside], xs[inside]] = True
    return found & usable
