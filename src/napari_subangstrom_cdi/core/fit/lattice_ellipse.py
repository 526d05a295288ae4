"""The ellipse of a pattern by the lattice of its spots: against a crystal's zone, or a lattice of high symmetry."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.record.distortion import MeasuredEllipse, components_of
from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError

_LOWEST_Q, _HIGHEST_Q = 0.1, 1.28
_REACH = 0.4  # of the shortest lattice vector: the disc about a spot
_LARGEST_DISC = 0.05  # Å⁻¹
_CLOSER = 0.5
_FIRST_REACH = 0.45  # Å⁻¹
_ON_LATTICE = 0.5  # of the disc's radius: what lies farther from its place is not this reflection
_SHARE = 2e-4  # of the strongest spot's intensity
_LEAST_PAIRS = 4
_SIGNAL = 8.0
_LARGEST = 0.10
SYMMETRIC = {
    "hexagonal": np.array([[1.0, 0.0], [0.5, math.sqrt(0.75)]]),
    "square": np.eye(2),
}
"""Lattices of which the axes of any ellipse are known: two shortest vectors, (x, y) in rows."""


@dataclass(frozen=True)
class MeasuredLattice:
    """The lattice of a pattern's spots as it was recorded.

    Parameters
    ----------
    vectors_per_angstrom : ndarray, shape (2, 2)
        Rows: two short vectors, x and y.
    covariance : ndarray, shape (2, 2)
        Of one coordinate of the two vectors, Å⁻²; both coordinates have the same.
    n_pairs : int
        Pairs of spots that it was fitted to.
    """

    vectors_per_angstrom: Float64
    covariance: Float64
    n_pairs: int

    def ellipse_against(self, basis: Float64, source: str) -> tuple[MeasuredEllipse, float]:
        """The ellipse that makes this lattice of another, and by how much it is larger than that.

        Parameters
        ----------
        basis : ndarray, shape (2, 2)
            Vectors without distortion, in any frame of the plane, that correspond to these.
        source : str
            Of the measurement, in words.
        """
        recorded = np.asarray(np.linalg.solve(basis, self.vectors_per_angstrom).T, np.float64)  # g = F g₀ on (x, y)
        inverse = np.linalg.inv(basis)
        spread = inverse @ self.covariance @ inverse.T
        scale = math.sqrt(abs(float(np.linalg.det(recorded))))
        variance = float(np.trace(spread)) / scale**2
        ellipse = MeasuredEllipse(components_of(recorded[::-1, ::-1]), variance * np.eye(2), source)
        return ellipse, scale


def measured_lattice(
    intensity: NDArray[np.floating],
    variance: NDArray[np.floating],
    regions: NDArray[np.uint8],
    grid: Grid,
    near: Float64,
) -> MeasuredLattice:
    """Lattice vectors by the centres of mass of all pairs of spots.

    Parameters
    ----------
    intensity, variance : ndarray, shape (n, n)
        Of the pattern.
    regions : ndarray of uint8, shape (n, n)
        Codes of :class:`.Region`.
    grid : Grid
        Sampling.
    near : ndarray, shape (2, 2)
        The vectors to a tenth of their length, x and y in rows.

    Raises
    ------
    InputError
        If fewer than four pairs of spots lie on the lattice, or all along one line.
    """
    vectors = np.array(near, np.float64)
    radius = min(_REACH * float(np.linalg.norm(vectors, axis=1).min()), _LARGEST_DISC)
    vectors, covariance, n_pairs = _grown(intensity, variance, regions, grid, vectors, radius)
    # Faults in the crystal, and neighbours, pull a spot's centre by how much of it is looked at.
    closer, *_ = _grown(intensity, variance, regions, grid, vectors, _CLOSER * radius)
    moved = closer - vectors
    return MeasuredLattice(vectors, covariance + moved @ moved.T / 2, n_pairs)


def _grown(
    intensity: NDArray[np.floating],
    variance: NDArray[np.floating],
    regions: NDArray[np.uint8],
    grid: Grid,
    vectors: Float64,
    radius: float,
) -> tuple[Float64, Float64, int]:
    """The lattice fitted from the middle outwards, as the error of a vector grows with its multiples."""
    farthest = min(_HIGHEST_Q, 0.95 * grid.q_max_per_angstrom)
    reach = _FIRST_REACH
    while True:
        reach = min(reach * 1.6, farthest)
        index = _indices(vectors, reach)
        place, weight = _pairs(intensity, variance, regions, grid, index @ vectors, radius)
        away = np.hypot(*(place - index @ vectors).T)
        kept = (weight > 0) & (away < _ON_LATTICE * radius)
        if kept.sum() < 2 or np.linalg.matrix_rank(index[kept]) < 2:
            raise InputError("too few spots on the pattern's lattice", mend="check centre, background and regions")
        vectors, covariance = _fitted(index, place, kept)
        if reach >= farthest:
            break
    if kept.sum() < _LEAST_PAIRS:
        raise InputError(
            f"{kept.sum()} pairs of spots on the pattern's lattice", mend="check centre, background and regions"
        )
    return vectors, covariance, int(kept.sum())


def _indices(vectors: Float64, reach: float) -> Float64:
    """Half of the lattice's indices up to |q|, shape (k, 2)."""
    most = math.ceil(reach / abs(np.linalg.det(vectors)) * np.linalg.norm(vectors, axis=1).max())
    steps = np.arange(-most, most + 1)
    index = np.array([(h, k) for h, k in itertools.product(steps, steps) if h > 0 or (h == 0 and k > 0)], float)
    q = np.hypot(*(index @ vectors).T)
    return index[(q > _LOWEST_Q) & (q < reach)]


def _pairs(
    intensity: NDArray[np.floating],
    variance: NDArray[np.floating],
    regions: NDArray[np.uint8],
    grid: Grid,
    g_per_angstrom: Float64,
    radius: float,
) -> tuple[Float64, Float64]:
    """Half the way from each spot to its opposite, and the weaker one's intensity; 0 where it does not tell."""
    found, weight = np.array(g_per_angstrom, np.float64), np.zeros(len(g_per_angstrom))
    for k, g in enumerate(g_per_angstrom):
        sides = [_centre(intensity, variance, regions, grid, sign * g, radius) for sign in (1, -1)]
        if all(side is not None for side in sides):
            (there, one), (opposite, other) = sides  # type: ignore[misc]
            found[k], weight[k] = (there - opposite) / 2, min(one, other)
    weight[weight < _SHARE * weight.max(initial=0)] = 0
    return found, weight


def _centre(
    intensity: NDArray[np.floating],
    variance: NDArray[np.floating],
    regions: NDArray[np.uint8],
    grid: Grid,
    g: Float64,
    radius: float,
) -> tuple[Float64, float] | None:
    """Centre of mass (x, y) in Å⁻¹ of what lies about g, and its intensity; None where it cannot be told."""
    step, middle = grid.q_pixel_per_angstrom, grid.n // 2
    place = np.asarray(g, np.float64)
    reach = math.ceil(radius / step)
    total = 0.0
    for _ in range(3):
        x, y = place / step + middle
        row, column = round(y), round(x)
        if not (reach <= row < grid.n - reach and reach <= column < grid.n - reach):
            return None
        box = np.s_[row - reach : row + reach + 1, column - reach : column + reach + 1]
        rows, columns = np.ogrid[box]
        inside = np.hypot(rows - y, columns - x) * step <= radius
        if (regions[box][inside] == Region.M).any():
            return None
        block = np.where(inside & (regions[box] == Region.G), intensity[box], 0)
        total = float(block.sum())
        if not total > _SIGNAL * math.sqrt(float(variance[box][inside].sum())):
            return None
        place = np.array([(block * columns).sum() / total - middle, (block * rows).sum() / total - middle]) * step
    return place, total


def _fitted(index: Float64, place: Float64, kept: NDArray[np.bool_]) -> tuple[Float64, Float64]:
    """Vectors by least squares that outliers weigh less in (Huber's), and the covariance of one coordinate."""
    weight = kept.astype(np.float64)
    for _ in range(6):
        root = np.sqrt(weight)[:, None]
        vectors = np.linalg.lstsq(index * root, place * root, rcond=None)[0]
        away = np.hypot(*(place - index @ vectors).T)
        spread = max(float(np.median(away[kept])), 1e-9)
        weight = kept * np.minimum(1.0, 1.5 * spread / np.maximum(away, 1e-12))
    square = float(np.sum(away[kept] ** 2)) / max(2 * int(kept.sum()) - 4, 1)
    covariance = np.linalg.inv((index * weight[:, None]).T @ index) * square
    return np.asarray(vectors), np.asarray(covariance, np.float64)


def near_symmetry(lattice: MeasuredLattice) -> list[tuple[str, MeasuredEllipse]]:
    """Lattices of high symmetry that the pattern's would be but for an ellipse of up to 10 %, the least first."""
    found: list[tuple[str, MeasuredEllipse]] = []
    for name, basis in SYMMETRIC.items():
        best = min(_bases(lattice, basis, name), key=lambda one: float(np.hypot(*one[0].components)))[0]
        if np.hypot(*best.components) < _LARGEST:
            found.append((name, best))
    return sorted(found, key=lambda one: float(np.hypot(*one[1].components)))


def against_zone(
    lattice: MeasuredLattice, zone_vectors: Float64, source: str, near: MeasuredEllipse | None = None
) -> tuple[MeasuredEllipse, float] | None:
    """The ellipse that makes the pattern's lattice of a crystal's zone, and the scale; None if it were above 10 %.

    Parameters
    ----------
    lattice : MeasuredLattice
        Of the pattern.
    zone_vectors : ndarray, shape (2, 2)
        Basis of the zone's reciprocal lattice, in any frame of its plane.
    source : str
        Of the measurement, in words.
    near : MeasuredEllipse, optional
        Of the ways to lay one on the other, that nearest to it is taken; else that of the least distortion.
    """

    def cost(one: tuple[MeasuredEllipse, float]) -> float:
        ellipse, scale = one
        least = math.hypot(*ellipse.components, math.log(scale))
        return least if near is None else near.deviates(ellipse.components) + 1e-3 * least

    fitting = [
        one
        for one in _bases(lattice, zone_vectors, source)
        if max(float(np.hypot(*one[0].components)), abs(math.log(one[1]))) < _LARGEST
    ]
    return min(fitting, key=cost) if fitting else None


def _bases(lattice: MeasuredLattice, basis: Float64, source: str) -> list[tuple[MeasuredEllipse, float]]:
    """Against every pair of short vectors of another lattice, either side up."""
    found = []
    for entries in itertools.product((-1, 0, 1), repeat=4):
        whole = np.array(entries, float).reshape(2, 2)
        if abs(abs(np.linalg.det(whole)) - 1) < 1e-9:
            found.append(lattice.ellipse_against(whole @ basis, source))
    return found
