"""Which zone axis of a crystal a pattern shows: lattice vectors from the spots, zones ranked by them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.crystal.habit import point_group
from napari_subangstrom_cdi.core.crystal.scattering import structure_factors
from napari_subangstrom_cdi.core.crystal.unit_cell import Crystal, Zone
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError

from .indexing import Match, disc_sums, match_zone, spot_radius, turned

Regions = NDArray[np.uint8]

_LOWEST_Q, _HIGHEST_Q = 0.1, 1.28
_SMOOTH_PX = 2.0
_APART_PER_ANGSTROM = 0.08
_MOST_SPOTS = 80
_SPOT_SHARE = 0.004  # of the strongest
_ON_LATTICE = 0.12  # of a reciprocal lattice vector
_LARGEST_INDEX = 3
_ALLOWED = 0.01
_LARGEST_MISFIT = 0.06
_SCALE_ERROR, _SHAPE_ERROR = 0.015, 0.015
_LOOKED_AT = 5
_STRONG = 0.15
_PRESENT = 3e-4
_HIDDEN = 0.3  # of a reflection's disc: what more of is masked is not known
FITS = 0.4


@dataclass(frozen=True)
class PatternLattice:
    """The lattice on which a pattern's spots lie.

    Parameters
    ----------
    vectors_per_angstrom : ndarray, shape (2, 2)
        Rows: the two shortest, x and y.
    errors_per_angstrom : ndarray, shape (2, 2)
        Their standard deviations.
    explained : float
        Share of the spots' amplitude that lies on it, 0 to 1.
    """

    vectors_per_angstrom: Float64
    errors_per_angstrom: Float64
    explained: float


@dataclass(frozen=True)
class RankedZone:
    """A zone axis with how well it fits.

    Parameters
    ----------
    zone : (int, int, int)
        [uvw]; of those that symmetry makes equal, one.
    match : Match
        Azimuth, scale and share of the intensity explained, of the first of its azimuths.
    misfit : float
        Relative difference of the lattices' shapes: lengths and angle, the scale apart.
    present : float
        Share of the strong reflections expected that are seen, weighted by their structure factors, 0 to 1.
    score : float
        Explained times present, times what misfit and scale leave: 0 to 1; at 0.4 and above a zone fits.
    """

    zone: Zone
    match: Match
    misfit: float
    present: float
    score: float


def lattice_vectors(amplitude: NDArray[np.floating], regions: Regions, grid: Grid) -> PatternLattice:
    """The two shortest vectors of the lattice of a pattern's spots.

    Parameters
    ----------
    amplitude : ndarray, shape (n, n)
        √I, centred.
    regions : ndarray of uint8, shape (n, n)
        Codes of :class:`.Region`; what is not G does not count.
    grid : Grid
        Sampling.

    Raises
    ------
    InputError
        If there are fewer than four spots, or no lattice holds most of them.
    """
    spots, weight = _spots(amplitude, regions, grid)
    best: tuple[float, float, Float64] | None = None
    for pair in _pairs(spots, weight):
        index, on = _indexed(spots, pair)
        if np.linalg.matrix_rank(index[on]) < 2 if on.any() else True:
            continue
        explained = float(weight[on].sum() / weight.sum())
        # of lattices that hold as much the one of the largest cell: its sublattices hold all as well
        value = explained - 0.5 * math.sqrt(_LOWEST_Q**2 / abs(float(np.linalg.det(pair))))
        if best is None or value > best[0]:
            best = (value, explained, pair)
    if best is None or best[1] < 0.5:
        raise InputError("the spots lie on no common lattice", mend="check centre, background and regions")
    vectors, errors = _least_squares(spots, weight, best[2])
    return PatternLattice(vectors, errors, best[1])


def _spots(amplitude: NDArray[np.floating], regions: Regions, grid: Grid) -> tuple[Float64, Float64]:
    good = np.where(regions == Region.G, amplitude, 0).astype(np.float32)
    smooth = ndi.gaussian_filter(good, _SMOOTH_PX)
    wide = 2 * math.ceil(_APART_PER_ANGSTROM / grid.q_pixel_per_angstrom / 2) + 1
    q = grid.q_per_angstrom()
    top = (smooth == ndi.maximum_filter(smooth, wide)) & (q > _LOWEST_Q) & (q < _HIGHEST_Q) & (smooth > 0)
    rows, columns = np.nonzero(top)
    order = np.argsort(-smooth[rows, columns])[:_MOST_SPOTS]
    order = order[smooth[rows[order], columns[order]] > _SPOT_SHARE * smooth[rows[order[:1]], columns[order[:1]]]]
    if len(order) < 4:
        raise InputError(f"{len(order)} spots in the pattern", mend="check centre, background and regions")
    spots = [_centroid(smooth, rows[k], columns[k], wide // 4) for k in order]
    places = (np.array(spots) - grid.n // 2) * grid.q_pixel_per_angstrom
    return places[:, ::-1], smooth[rows[order], columns[order]].astype(np.float64)


def _centroid(smooth: NDArray[np.float32], row: int, column: int, reach: int) -> tuple[float, float]:
    reach = max(1, min(reach, 8))
    block = smooth[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
    weight = np.square(block, dtype=np.float64)
    y, x = ndi.center_of_mass(weight)
    return y + max(row - reach, 0), x + max(column - reach, 0)


def _pairs(spots: Float64, weight: Float64) -> list[Float64]:
    """Reduced pairs of short vectors between spots that are not collinear."""
    strong = spots[np.argsort(-weight)[:30]]
    between = (strong[:, None] - strong[None]).reshape(-1, 2)
    length = np.linalg.norm(between, axis=1)
    short = between[(length > 0.8 * _LOWEST_Q) & ((between[:, 0] > 0) | ((between[:, 0] == 0) & (between[:, 1] > 0)))]
    kept: list[Float64] = []
    for vector in short[np.argsort(np.linalg.norm(short, axis=1))]:
        if all(np.linalg.norm(vector - other) > 0.03 for other in kept):
            kept.append(vector)
        if len(kept) == 14:
            break
    pairs = []
    for a, b in itertools.combinations(kept, 2):
        sine = abs(a[0] * b[1] - a[1] * b[0]) / (np.linalg.norm(a) * np.linalg.norm(b))
        if sine > 0.3:
            pairs.append(reduced(np.array([a, b])))
    return pairs


def reduced(vectors: Float64) -> Float64:
    """The two shortest vectors of a plane lattice, the shorter first, their angle between 60° and 90° (Gauss)."""
    a, b = sorted(np.asarray(vectors, float), key=np.linalg.norm)
    while True:
        shorter = b - round(float(a @ b) / float(a @ a)) * a
        if np.linalg.norm(shorter) > (1 - 1e-9) * np.linalg.norm(b):  # as long, to rounding: it would go on for ever
            break
        a, b = sorted((a, shorter), key=np.linalg.norm)
    return np.array([a, b if a @ b >= 0 else -b])


def _indexed(spots: Float64, pair: Float64) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    position = spots @ np.linalg.inv(pair)
    index = np.rint(position).astype(np.intp)
    return index, np.abs(position - index).max(axis=1) < _ON_LATTICE


def _least_squares(spots: Float64, weight: Float64, pair: Float64) -> tuple[Float64, Float64]:
    for _ in range(3):
        index, on = _indexed(spots, pair)
        root = np.sqrt(weight[on])[:, None]
        design = index[on] * root
        pair = np.asarray(np.linalg.lstsq(design, spots[on] * root, rcond=None)[0], np.float64)
    pair = reduced(pair)
    index, on = _indexed(spots, pair)
    residual = spots[on] - index[on] @ pair
    spread = np.sqrt(np.mean(residual**2, axis=0) * len(residual) / max(len(residual) - 2, 1))
    covariance = np.linalg.inv(index[on].T.astype(float) @ index[on])
    return pair, np.sqrt(np.diag(covariance))[:, None] * spread[None]


def unique_zones(crystal: Crystal, largest_index: int = _LARGEST_INDEX) -> list[Zone]:
    """Zone axes of low indices, of those that the point group makes equal (or opposite) one."""
    steps = range(-largest_index, largest_index + 1)
    seen: set[Zone] = set()
    found: list[Zone] = []
    rotations = point_group(crystal)
    every = [(u, v, w) for u in steps for v in steps for w in steps if math.gcd(u, v, w) == 1]
    for zone in sorted(every, key=lambda z: (sum(map(abs, z)), [-i for i in z])):
        if zone in seen:
            continue
        images = np.unique(rotations @ np.asarray(zone), axis=0)
        seen |= {tuple(int(i) for i in sign * image) for image in images for sign in (1, -1)}  # type: ignore[misc]
        found.append(zone)
    return found


def same_zone(crystal: Crystal, first: Zone, second: Zone) -> bool:
    """Whether the crystal's symmetry, or the opposite view, makes one zone axis of the other."""
    images = point_group(crystal) @ np.asarray(first)
    return bool((np.abs(images - np.asarray(second)).sum(axis=1) == 0).any()) or bool(
        (np.abs(images + np.asarray(second)).sum(axis=1) == 0).any()
    )


def _zone_lattice(crystal: Crystal, zone: Zone) -> Float64 | None:
    """Reduced lattice of the reflections that a zone has, shape (2, 2), of |g| only: in any frame of the plane.

    It is generated by all allowed ones: their sums and differences are there too, by double diffraction.
    """
    hkl, g = crystal.reflections(zone, _HIGHEST_Q)
    if len(g) < 4:
        return None
    strength = np.abs(structure_factors(crystal, g, 0.8))
    basis = _generated(hkl[strength > _ALLOWED * strength.max()])
    if len(basis) != 2:
        return None
    first, second = np.array(basis, float) @ crystal.reciprocal_per_angstrom
    along = first / np.linalg.norm(first)
    normal = crystal.zone_direction(zone)
    plane = np.array([[v @ along, v @ np.cross(normal, along)] for v in (first, second)])
    return reduced(plane)


def _generated(vectors: NDArray[np.integer]) -> list[list[int]]:
    """Basis of the lattice that integer vectors generate, by Euclid's algorithm column after column."""
    rows = [row for row in vectors.tolist() if any(row)]
    basis = []
    for column in range(vectors.shape[1]):
        while True:
            rows = [list(row) for row in {tuple(row) for row in rows if any(row)}]
            left = [row for row in rows if row[column]]
            if len(left) < 2:
                break
            pivot = min(left, key=lambda row: (abs(row[column]), row))
            others = [row for row in rows if row is not pivot]
            rows = [pivot, *(_less(row, row[column] // pivot[column], pivot) for row in others)]
        if left:
            basis.append(left[0])
            rows.remove(left[0])
    return basis


def _less(row: list[int], times: int, other: list[int]) -> list[int]:
    return [a - times * b for a, b in zip(row, other, strict=True)]


def rank_zones(
    amplitude: NDArray[np.floating],
    regions: Regions,
    grid: Grid,
    crystal: Crystal,
    *,
    energy_ev: float,
    b_factor: float = 0.8,
) -> tuple[RankedZone, ...]:
    """Zone axes of a crystal, the best first; empty if none has a lattice like the pattern's.

    Parameters
    ----------
    amplitude, regions, grid
        As of :func:`lattice_vectors`.
    crystal : Crystal
        What the particle is made of.
    energy_ev, b_factor
        Beam energy; Debye-Waller factor, Å².

    Raises
    ------
    InputError
        If the pattern shows no lattice.
    """
    seen = lattice_vectors(amplitude, regions, grid)
    alike: list[tuple[float, float, Zone]] = []
    for zone in unique_zones(crystal):
        lattice = _zone_lattice(crystal, zone)
        if lattice is not None:
            misfit, scale = _difference(seen.vectors_per_angstrom, lattice)
            if misfit < _LARGEST_MISFIT and abs(scale - 1) < _LARGEST_MISFIT:
                alike.append((misfit, scale, zone))
    alike.sort(key=lambda one: (one[0] / _SHAPE_ERROR) ** 2 + ((one[1] - 1) / _SCALE_ERROR) ** 2)
    ranked = [
        _ranked(amplitude, regions, grid, crystal, zone, misfit, energy_ev, b_factor)
        for misfit, _, zone in alike[:_LOOKED_AT]
    ]
    return tuple(sorted(ranked, key=lambda one: -one.score))


def _difference(seen: Float64, lattice: Float64) -> tuple[float, float]:
    """Misfit of shape and scale of two reduced lattices."""
    lengths = np.linalg.norm(seen, axis=1) / np.linalg.norm(lattice, axis=1)
    scale = float(np.sqrt(lengths.prod()))
    angles = [math.acos(min(1.0, v[0] @ v[1] / np.prod(np.linalg.norm(v, axis=1)))) for v in (seen, lattice)]
    return float(np.hypot(np.log(lengths[1] / lengths[0]) / 2, angles[0] - angles[1])), scale


def _ranked(
    amplitude: NDArray[np.floating],
    regions: Regions,
    grid: Grid,
    crystal: Crystal,
    zone: Zone,
    misfit: float,
    energy_ev: float,
    b_factor: float,
) -> RankedZone:
    beams = ZoneBeams(crystal, zone, energy_ev=energy_ev, q_max_per_angstrom=_HIGHEST_Q, b_factor=b_factor)
    match = match_zone(amplitude, regions, grid, beams)[0]
    present = _present(amplitude, regions, grid, beams, match)
    left = math.exp(-((misfit / _SHAPE_ERROR) ** 2 + ((match.scale - 1) / _SCALE_ERROR) ** 2) / 2)
    return RankedZone(zone, match, misfit, present, match.explained * present * left)


def _present(amplitude: NDArray[np.floating], regions: Regions, grid: Grid, beams: ZoneBeams, match: Match) -> float:
    """Share of the reflections of large structure factor that stand above the noise, weighted by it.

    What lies in G counts only: the noise between the spots adds up to as much as a weak reflection.
    """
    strength = np.abs(beams.potential_volt)
    q = np.linalg.norm(beams.g_per_angstrom, axis=1)
    strong = (strength > _STRONG * strength.max()) & (q > _LOWEST_Q) & (q < _HIGHEST_Q * 0.8)
    if not strong.any():
        return 0.0
    g, radius = turned(beams.g_per_angstrom[strong], match.azimuth_deg, match.scale), spot_radius(beams)
    sums = disc_sums(np.where(regions == Region.G, np.square(amplitude, dtype=np.float64), 0), grid, g, radius)
    hidden = disc_sums((regions == Region.M).astype(np.float64), grid, g, radius)
    known = np.isfinite(sums) & ~(hidden * grid.q_pixel_per_angstrom**2 > _HIDDEN * math.pi * radius**2)
    if not known.any():
        return 0.0
    return float(np.average(sums[known] > _PRESENT * sums[known].max(), weights=strength[strong][known]))
