"""Which way a crystal stands, from the spots of its pattern."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import scipy.optimize
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.types import Bool, Float64
from napari_subangstrom_cdi.errors import InputError

from .spots import above_surroundings, find_spots, spot_size

Regions = NDArray[np.uint8]

_LOWEST_Q, _HIGHEST_Q = 0.1, 1.28
_SCALE_RANGE, _SCALE_STEP = 0.06, 0.004
_LEAST_RADIUS = 0.05  # Å⁻¹
_STEP_DEG = 0.3
_BLUR_PX = 2.0
_FORBIDDEN = 0.01
_APART_DEG = 2.0
_AS_GOOD = 0.97
_MOST_CANDIDATES = 12
_MOST_PAIRS, _LEAST_PAIRS = 24, 3


@dataclass(frozen=True)
class Match:
    """A crystal's zone laid over a pattern.

    Parameters
    ----------
    azimuth_deg : float
        As of :class:`.Orientation`.
    scale : float
        Measured |g| over the crystal's: a lattice smaller, or a reciprocal pixel larger, by this factor than told.
    explained : float
        Share of the intensity of the pattern's spots, beyond the beam, that lies in reflections of the zone, 0 to 1.
        What lies evenly around the spots does not count.
    """

    azimuth_deg: float
    scale: float
    explained: float


def turned(g_per_angstrom: Float64, azimuth_deg: float, scale: float = 1.0) -> Float64:
    """Vectors (k, 2) of x and y, turned from +x towards +y and scaled."""
    cosine, sine = math.cos(math.radians(azimuth_deg)), math.sin(math.radians(azimuth_deg))
    return scale * g_per_angstrom @ np.array([[cosine, sine], [-sine, cosine]])


def spot_radius(beams: ZoneBeams, spot_size_per_angstrom: float = 0.0) -> float:
    """Radius of the disc that belongs to one reflection, Å⁻¹: all of a spot, just not its neighbour's.

    Parameters
    ----------
    beams : ZoneBeams
        Crystal and zone.
    spot_size_per_angstrom : float
        As of :func:`.spot_size`. A point's streaks and tails reach beyond it, so the disc is never small.
    """
    q = np.linalg.norm(beams.g_per_angstrom, axis=1)
    return min(0.45 * float(q[q > 0].min()), max(spot_size_per_angstrom, _LEAST_RADIUS))


def match_zone(amplitude: NDArray[np.floating], regions: Regions, grid: Grid, beams: ZoneBeams) -> tuple[Match, ...]:
    """The azimuths at which a zone's reflections lie on the pattern's spots, the best first.

    A pattern without absorption of phases has at least a twofold axis, a lattice its own: all azimuths that fit
    as well are given, for dynamical intensities and the image to choose from.

    Parameters
    ----------
    amplitude : ndarray, shape (n, n)
        √I, centred.
    regions : ndarray of uint8, shape (n, n)
        Codes of :class:`.Region`; what is not G does not count.
    grid : Grid
        Sampling.
    beams : ZoneBeams
        Crystal and zone.

    Raises
    ------
    InputError
        If the zone has no reflection in the pattern's range.
    """
    q = np.linalg.norm(beams.g_per_angstrom, axis=1)
    strength = np.abs(beams.potential_volt)
    highest = min(_HIGHEST_Q, 0.95 * grid.q_max_per_angstrom / (1 + _SCALE_RANGE))
    chosen = (q > _LOWEST_Q) & (q < highest) & (strength > _FORBIDDEN * strength.max())
    if not chosen.any():
        raise InputError("the zone has no reflection in the pattern", mend="check crystal and zone axis")
    good = np.where(regions == Region.G, amplitude, 0).astype(np.float32)
    blurred = ndi.gaussian_filter(good, _BLUR_PX)
    own = beams.g_per_angstrom[chosen]
    search = _Search(blurred, grid, own, np.sqrt(strength[chosen]))
    found = [search.refine(*start) for start in search.starts()]
    found.sort(key=lambda match: -match[0])
    if not found[0][0] > 0:
        raise InputError(
            "no reflections of the zone are in the pattern", mend="check the regions, and that G is not empty"
        )
    kept: list[tuple[float, float, float]] = []
    for score, azimuth, scale in found:
        if score > _AS_GOOD * found[0][0] and all(_apart(azimuth, other[1]) > _APART_DEG for other in kept):
            kept.append((score, azimuth % 360, scale))
    radius = spot_radius(beams, spot_size(amplitude, regions, grid))
    intensity = spot_intensity(amplitude, regions, grid, radius)
    intensity = np.where(_near_spots(amplitude, regions, grid, radius), intensity, 0)
    return tuple(
        Match(azimuth, scale, explained_share(intensity, grid, turned(own, azimuth, scale), radius))
        for _, azimuth, scale in kept
    )


def _near_spots(amplitude: NDArray[np.floating], regions: Regions, grid: Grid, radius: float) -> Bool:
    """Where a spot is, within its radius; everywhere if there are too few to speak of."""
    try:
        places = find_spots(amplitude, regions, grid).places_per_angstrom
    except InputError:
        return np.ones(grid.shape, bool)
    near = np.zeros(grid.shape, bool)
    reach = math.ceil(radius / grid.q_pixel_per_angstrom)
    for x, y in places / grid.q_pixel_per_angstrom + grid.n // 2:
        rows = np.arange(max(round(y) - reach, 0), min(round(y) + reach + 1, grid.n))
        columns = np.arange(max(round(x) - reach, 0), min(round(x) + reach + 1, grid.n))
        within = np.hypot((rows - y)[:, None], columns - x) * grid.q_pixel_per_angstrom <= radius
        near[rows[:, None], columns] |= within
    return near


def spot_intensity(amplitude: NDArray[np.floating], regions: Regions, grid: Grid, radius: float) -> Float64:
    """What of a pattern's intensity is in spots of this radius in G, beyond the beam; 0 elsewhere."""
    good = (regions == Region.G) & (grid.q_per_angstrom() >= _LOWEST_Q)
    intensity = np.where(good, np.square(amplitude, dtype=np.float64), 0)
    return np.asarray(above_surroundings(intensity, radius, grid), np.float64)


class _Search:
    def __init__(self, blurred: NDArray[np.float32], grid: Grid, g: Float64, weight: Float64) -> None:
        self._blurred, self._grid, self._g, self._weight = blurred, grid, g, weight

    def scores(self, azimuth_deg: float, scales: Float64) -> Float64:
        """Amplitude at the places of the reflections, weighted, for every scale; shape (scales,)."""
        place = turned(self._g, azimuth_deg) / self._grid.q_pixel_per_angstrom
        rows, columns = (scales[:, None] * place[:, axis] + self._grid.n // 2 for axis in (1, 0))
        found: Float64 = ndi.map_coordinates(self._blurred, np.stack([rows, columns]), order=1) @ self._weight
        return found

    def starts(self) -> list[tuple[float, float]]:
        azimuths = np.arange(0, 360, _STEP_DEG)
        scales = 1 + np.arange(-_SCALE_RANGE, _SCALE_RANGE + 1e-9, _SCALE_STEP)
        scores = np.array([self.scores(azimuth, scales) for azimuth in azimuths])
        best = scores.max(axis=1)
        order: list[tuple[float, float]] = []
        for k in np.argsort(best)[::-1]:
            if all(_apart(azimuths[k], other) > _APART_DEG for other, _ in order):
                order.append((float(azimuths[k]), float(scales[scores[k].argmax()])))
            if len(order) == _MOST_CANDIDATES:
                break
        return order

    def refine(self, azimuth_deg: float, scale: float) -> tuple[float, float, float]:
        simplex = [(azimuth_deg, scale), (azimuth_deg + 0.2, scale), (azimuth_deg, scale + 0.003)]
        end = scipy.optimize.minimize(
            lambda p: -self.scores(p[0], p[1:])[0],
            simplex[0],
            method="Nelder-Mead",
            options={"initial_simplex": simplex},
        )
        return -float(end.fun), float(end.x[0]), float(end.x[1])


def _apart(first_deg: float, second_deg: float) -> float:
    return abs((first_deg - second_deg + 180) % 360 - 180)


def explained_share(intensity: Float64, grid: Grid, g_per_angstrom: Float64, radius: float) -> float:
    """Share of an intensity that lies within ``radius`` of a zone's reflections as they lie in the pattern."""
    total = float(intensity.sum())
    return float(np.nansum(disc_sums(intensity, grid, g_per_angstrom, radius))) / total if total > 0 else 0.0


def spot_radii(
    amplitude: NDArray[np.floating],
    regions: Regions,
    grid: Grid,
    beams: ZoneBeams,
    match: Match,
    stretch: Float64 | None = None,
) -> tuple[Float64, Float64]:
    """|q| of the strongest spots as they lie in the pattern, and the crystal's own |g|, Å⁻¹, each of shape (pairs,).

    A spot counts with its opposite, by half the distance between their centres of mass: where the beam lies does not
    matter then.

    Parameters
    ----------
    amplitude, regions, grid
        As of :func:`match_zone`.
    beams : ZoneBeams
        Crystal and zone.
    match : Match
        How they lie on the pattern.
    stretch : ndarray, shape (2, 2), optional
        Of the pattern, as of :class:`.LatticeDistortion`; |q| is then that before the stretch.

    Raises
    ------
    InputError
        If fewer than three pairs of spots are in the pattern.
    """
    own = np.linalg.norm(beams.g_per_angstrom, axis=1)
    strength = np.abs(beams.potential_volt)
    half = beams.g_per_angstrom @ (1.0, 1e-3) > 0
    chosen = half & (own > _LOWEST_Q) & (own < _HIGHEST_Q) & (strength > _FORBIDDEN * strength.max())
    stretch = np.eye(2) if stretch is None else stretch
    own, expected = own[chosen], turned(beams.g_per_angstrom[chosen], match.azimuth_deg, match.scale) @ stretch
    radius = spot_radius(beams, spot_size(amplitude, regions, grid))
    intensity = np.where(regions == Region.G, np.square(amplitude, dtype=np.float64), 0)
    hidden = (regions == Region.M).astype(np.float64)
    sums = np.array([disc_sums(intensity, grid, sign * expected, radius) for sign in (1, -1)])
    masked = np.array([disc_sums(hidden, grid, sign * expected, radius) for sign in (1, -1)])
    usable = (sums > 0).all(axis=0) & (masked == 0).all(axis=0)
    order = np.flatnonzero(usable)[np.argsort(-sums.min(axis=0)[usable])][:_MOST_PAIRS]
    if len(order) < _LEAST_PAIRS:
        raise InputError(
            f"{len(order)} pairs of spots to measure spacings by", mend="check crystal, zone axis and regions"
        )
    there, opposite = (_centres(intensity, grid, sign * expected[order], radius) for sign in (1, -1))
    return np.linalg.norm((there - opposite) @ np.linalg.inv(stretch), axis=1) / 2, own[order]


def _centres(intensity: Float64, grid: Grid, g_per_angstrom: Float64, radius: float) -> Float64:
    """Centres of mass (x, y), Å⁻¹, of what lies within ``radius`` of each g, and once more about the centre found."""
    step, n = grid.q_pixel_per_angstrom, grid.n
    reach = math.ceil(radius / step)
    offsets = np.arange(-reach, reach + 1)
    places = np.array(g_per_angstrom, np.float64)
    for _ in range(2):
        for k, (x, y) in enumerate(places / step + n // 2):
            row, column = round(y), round(x)
            rows, columns = (row + offsets)[:, None], (column + offsets)[None]
            within = np.hypot(rows - y, columns - x) * step <= radius
            block = np.where(within, intensity[row - reach : row + reach + 1, column - reach : column + reach + 1], 0)
            total = max(float(block.sum()), 1e-30)
            places[k] = ((block * columns).sum() / total - n // 2, (block * rows).sum() / total - n // 2)
            places[k] *= step
    return places


def disc_sums(array: NDArray[np.floating], grid: Grid, g_per_angstrom: Float64, radius: float) -> Float64:
    """Sum of a centred array over a disc of ``radius`` Å⁻¹ about each g (x, y); NaN where one leaves the array."""
    step, n = grid.q_pixel_per_angstrom, grid.n
    reach = math.ceil(radius / step)
    offsets = np.arange(-reach, reach + 1)
    sums = np.full(len(g_per_angstrom), np.nan)
    for k, (x, y) in enumerate(g_per_angstrom / step + n // 2):
        row, column = round(y), round(x)
        if reach <= row < n - reach and reach <= column < n - reach:
            block = array[row - reach : row + reach + 1, column - reach : column + reach + 1]
            inside = np.hypot((offsets + row - y)[:, None], (offsets + column - x)[None]) * step <= radius
            sums[k] = float(block[inside].sum())
    return sums
