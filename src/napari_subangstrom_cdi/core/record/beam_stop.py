"""Beam stops that no mask tells: shade with sharp edges, about the beam or from the frame's edge, arm and penumbra."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_subangstrom_cdi.core.types import Bool, Float64

from .centring import spotless_blocks
from .detector import Record

_FINE_PX = 512
_SHADE, _DIM, _SIGMAS = 0.5, 0.7, 6.0
_SMOOTH_BLOCKS = 1.0
_SMALLEST_BLOCKS, _NEAR_BEAM = 24, 0.03
_LIT, _SHARE_OF_MATES = 0.7, 0.7
_WIDEST_EDGE_PX, _INSIDE_PX = 40, 6
_WHOLE, _EDGE_ERRORS, _LEVEL_PX, _MARGIN_PX = 0.97, 2.0, 8, 2
_LONG = 2.0
_ARM_SHADE, _ALIKE_BLOCKS = 0.75, 12
_LARGEST = 0.3


@dataclass(frozen=True)
class _Light:
    """Level of a record by blocks, over what it is about the beam at each radius, and that level itself."""

    ratio: Float64
    scatter: Float64
    known: Bool
    block: int
    at_radius: Float64
    step_px: float

    def expected(self, radius_px: Float64) -> Float64:
        """Electrons in a pixel at a distance from the beam where nothing shades it."""
        places = (np.arange(len(self.at_radius)) + 0.5) * self.step_px
        return np.asarray(np.interp(radius_px, places, self.at_radius))


def find_beam_stop(record: Record, centre_px: tuple[float, float]) -> Bool:
    """Find the pixels that a beam stop, its arm and the penumbra about them shade.

    Between spots a pattern is nearly the same all about the beam, and grows towards it. Shaded is what lies below half
    of that and six times its scatter below it, hangs together, and lies about the beam or reaches the frame's edge. It
    must be lit on the other side of the beam, unless the shade lies there too, and its edge must be sharp: a diffuse
    ring's is not. The mask grows as far as the edge's profile, taken all along it, is below that of the light beyond.

    Parameters
    ----------
    record : Record
        Calibrated record with its background.
    centre_px : tuple of float
        The beam, (y, x), to some pixels.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
        True where shaded; all False if there is no stop.
    """
    none = np.zeros(record.shape, dtype=np.bool_)
    light = _light(record, centre_px)
    if light is None:
        return none
    dark = light.known & (light.ratio < np.minimum(_SHADE, 1 - _SIGMAS * light.scatter))
    dim = light.known & (light.ratio < np.clip(1 - _SIGMAS / 2 * light.scatter, _SHADE / 2, _DIM))
    found = none
    for shade in _shades(dark, dim, light, centre_px):
        pixels = _to_pixels(shade | _arm(shade, light, centre_px), light.block, record.shape)
        reach = _edge_reach(record, light, pixels, centre_px)
        if reach is not None:
            found = found | (ndimage.distance_transform_edt(~pixels) <= reach)
    found = np.asarray(ndimage.binary_fill_holes(found), dtype=np.bool_)
    return found if found.mean() < _LARGEST else none


def _light(record: Record, centre_px: tuple[float, float]) -> _Light | None:
    block = max(min(record.shape) // _FINE_PX, 1) if min(record.shape) >= 2 * _FINE_PX else 2
    level, known = spotless_blocks(record, block)
    weight = ndimage.gaussian_filter(known.astype(np.float64), _SMOOTH_BLOCKS)
    level = ndimage.gaussian_filter(np.where(known, level, 0), _SMOOTH_BLOCKS) / np.maximum(weight, 1e-6)
    radius = _radius(level.shape, centre_px, block)
    step = 2.0
    ring = (radius / step).astype(np.intp)
    n_rings = int(ring.max()) + 1
    middle = _by_ring(level, ring, known, n_rings)
    if not np.isfinite(middle).any():
        return None
    # Inwards it never falls: where a stop covers more than half of a ring, the light beyond it stands in.
    middle = np.maximum.accumulate(np.nan_to_num(middle, nan=-np.inf)[::-1])[::-1]
    middle = np.where(np.isfinite(middle), middle, 0.0)
    expected = middle[ring]
    lit = known & (expected > 0)
    ratio = np.where(lit, level / np.maximum(expected, 1e-9), 1.0)
    # Spots are on one side of the level, shade on the other; where all is shade, the ring beyond stands in.
    sides = (_by_ring(np.abs(ratio - 1), ring, lit & side, n_rings) for side in (ratio > 1, ratio <= 1))
    above, below = sides
    scatter = 1.4826 * _outwards(np.where(np.isfinite(above), np.minimum(above, below), np.nan))
    return _Light(ratio, scatter[ring], lit, block, middle, step * block)


def _outwards(values: Float64) -> Float64:
    """Each ring's value, or that of the next farther out that has one; 1 if there is none."""
    filled, last = values.copy(), 1.0
    for k in range(len(values) - 1, -1, -1):
        last = filled[k] = values[k] if np.isfinite(values[k]) else last
    return filled


def _radius(shape: tuple[int, ...], centre_px: tuple[float, float], block: int) -> Float64:
    """Distance of each block from the beam, in blocks."""
    y, x = (np.arange(n) - (c + 0.5) / block + 0.5 for n, c in zip(shape, centre_px, strict=True))
    return np.asarray(np.hypot(y[:, None], x))


def _by_ring(values: Float64, ring: NDArray[np.intp], known: Bool, n_rings: int) -> Float64:
    """Median of each ring; NaN where too little of it is known."""
    order = np.argsort(ring[known], kind="stable")
    ordered, where = values[known][order], np.searchsorted(ring[known][order], np.arange(n_rings + 1))
    pieces = (ordered[a:b] for a, b in pairwise(where))
    return np.array([np.median(piece) if len(piece) >= _SMALLEST_BLOCKS else np.nan for piece in pieces])


def _shades(dark: Bool, dim: Bool, light: _Light, centre_px: tuple[float, float]) -> list[Bool]:
    """Connected dark parts, and the dim about them, that lie as a stop does and are lit beyond the beam."""
    labels, count = ndimage.label(dark | dim, np.ones((3, 3)))
    size = np.bincount(labels.ravel(), weights=dark.ravel(), minlength=count + 1)
    radius = _radius(dark.shape, centre_px, light.block)
    near = _NEAR_BEAM * min(dark.shape)
    found = []
    for k in np.flatnonzero(size >= _SMALLEST_BLOCKS):
        if k == 0:
            continue
        part = labels == k
        edge = part[0].any() or part[-1].any() or part[:, 0].any() or part[:, -1].any()
        if (edge or radius[part].min() <= near) and _lit_opposite(part, light, centre_px):
            found.append(part)
    return found


def _lit_opposite(part: Bool, light: _Light, centre_px: tuple[float, float]) -> bool:
    y, x = np.nonzero(part)
    row, column = (np.rint(2 * ((c + 0.5) / light.block - 0.5) - at) for c, at in zip(centre_px, (y, x), strict=True))
    ny, nx = part.shape
    inside = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
    at = row[inside].astype(np.intp), column[inside].astype(np.intp)
    told = light.known[at] & ~part[at]
    return not told.any() or bool((light.ratio[at][told] > _LIT).mean() >= _SHARE_OF_MATES)


def _arm(shade: Bool, light: _Light, centre_px: tuple[float, float]) -> Bool:
    """The rest of a long shade: along its own line away from the beam to the frame's edge, unless light falls there.

    Far out there may be too little light to tell. An arm does not end there: something holds it.
    """
    none = np.zeros_like(shade)
    places = np.argwhere(shade).astype(np.float64)
    middle = places.mean(axis=0)
    spread, axes = np.linalg.eigh(np.cov((places - middle).T))
    if spread[1] < _LONG**2 * max(spread[0], 1e-9):
        return none
    beam = np.array([(c + 0.5) / light.block - 0.5 for c in centre_px])
    direction = axes[:, 1] if (middle - beam) @ axes[:, 1] > 0 else -axes[:, 1]
    along = (places - middle) @ direction
    # The outer half of it is the arm, the rest may be the disc.
    outer = places[along > 0.5 * along.max()]
    return _continued(outer, direction, light) & ~shade


def _continued(outer: Float64, direction: Float64, light: _Light) -> Bool:
    across = np.array([-direction[1], direction[0]])
    t, s = outer @ direction, outer @ across
    slope, offset = np.polyfit(t, s, 1)
    half = max(math.sqrt(3) * float(np.std(s - slope * t - offset)), 1.0)
    y, x = np.indices(light.ratio.shape, dtype=np.float64)
    all_t, all_s = y * direction[0] + x * direction[1], y * across[0] + x * across[1]
    away = np.abs(all_s - slope * all_t - offset)
    ahead = all_t > t.max() - 1
    strip, beside = ahead & (away <= half), ahead & (away > 2 * half) & (away < 5 * half)
    more = np.zeros(light.ratio.shape, dtype=np.bool_)
    piece = np.floor((all_t - t.max() + 1) / max(4 * half, 8.0)).astype(np.intp)
    for k in range(int(piece[strip].max()) + 1 if strip.any() else 0):
        here, there = (part & (piece == k) & light.known for part in (strip, beside))
        if here.any() and there.any():
            level, around = float(np.mean(light.ratio[here])), float(np.median(light.ratio[there]))
            # Smoothed blocks are alike.
            noise = float(np.std(light.ratio[there])) / math.sqrt(max(here.sum() / _ALIKE_BLOCKS, 1))
            if level > _ARM_SHADE * around + _EDGE_ERRORS * noise:
                break
        more |= strip & (piece == k)
    return more


def _to_pixels(blocks: Bool, block: int, shape: tuple[int, int]) -> Bool:
    """Pixels of some blocks; rows and columns left over at the end go with the last block."""
    large = np.repeat(np.repeat(blocks, block, axis=0), block, axis=1)
    return np.pad(large, [(0, n - m) for n, m in zip(shape, large.shape, strict=True)], mode="edge")


def _edge_reach(record: Record, light: _Light, shade: Bool, centre_px: tuple[float, float]) -> float | None:
    """How far about a shade light is missing, pixels; None if its edge is not sharp."""
    outwards = ndimage.distance_transform_edt(~shade)
    inwards = ndimage.distance_transform_edt(shade)
    strip = record.valid & (outwards <= 2 * _WIDEST_EDGE_PX) & (inwards <= 2 * _INSIDE_PX)
    y, x = np.nonzero(strip)
    expected = light.expected(np.hypot(y - centre_px[0], x - centre_px[1]))
    electrons, noise = record.electrons[strip], np.sqrt(record.variance[strip])
    usual = (electrons < 2 * expected + 3 * noise) & (expected > 0)  # the rest is spots
    distance = np.where(outwards > 0, outwards - 0.5, 0.5 - inwards)[strip]
    place = np.floor(distance[usual]).astype(np.intp) + 2 * _INSIDE_PX
    n = np.bincount(place)
    weight = np.maximum(n, 1)
    # A sum of counts over a sum of what is expected: bright parts of the edge tell the most.
    light_here = np.bincount(place, weights=electrons[usual])
    light_due = np.maximum(np.bincount(place, weights=expected[usual]), 1e-9)
    profile = light_here / light_due
    error = np.sqrt(np.bincount(place, weights=noise[usual] ** 2)) / light_due
    first = 2 * _INSIDE_PX
    beyond = slice(first + _WIDEST_EDGE_PX, first + 2 * _WIDEST_EDGE_PX)
    if len(profile) < first + 1.5 * _WIDEST_EDGE_PX or not weight[beyond].any():
        return None
    full = float(np.median(profile[beyond]))
    within = profile[: first - _INSIDE_PX // 2]
    within = within[n[: len(within)] > 0]
    if not within.size or np.mean(within) > _SHADE * full:
        return None
    return _where_it_levels(profile[first:], error[first:], float(np.mean(within)))


def _where_it_levels(profile: Float64, error: Float64, within: float) -> float | None:
    """First distance at which a profile has risen by more than half and rises no more; None if it is slow to."""
    for k in range(_WIDEST_EDGE_PX):
        beyond = float(np.median(profile[k + 1 : k + 1 + _LEVEL_PX]))
        if profile[k] > (within + beyond) / 2 and profile[k] >= _WHOLE * beyond - _EDGE_ERRORS * error[k]:
            return float(k + _MARGIN_PX)
    return None
