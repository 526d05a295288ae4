"""The lattice on which a pattern's spots lie, and the lattices that are a whole number of times coarser or finer."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError

from .spots import LOWEST_Q, Regions, Spots, find_spots

ON_LATTICE = 0.12  # of a reciprocal lattice vector
_LARGEST_INDEX_OF_LATTICE = 4


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
    return lattice_of(find_spots(amplitude, regions, grid))


def lattice_of(spots: Spots) -> PatternLattice:
    """As :func:`lattice_vectors`, of spots that are found."""
    places, weight = spots.places_per_angstrom, spots.amplitude
    best: tuple[float, float, Float64] | None = None
    for pair in _pairs(places, weight):
        index, on = indexed(places, pair)
        if np.linalg.matrix_rank(index[on]) < 2 if on.any() else True:
            continue
        explained = float(weight[on].sum() / weight.sum())
        # of lattices that hold as much the one of the largest cell: its sublattices hold all as well
        value = explained - 0.5 * math.sqrt(LOWEST_Q**2 / abs(float(np.linalg.det(pair))))
        if best is None or value > best[0]:
            best = (value, explained, pair)
    if best is None or best[1] < 0.5:
        raise InputError("the spots lie on no common lattice", mend="check centre, background and regions")
    vectors, errors = _least_squares(places, weight, best[2])
    return PatternLattice(vectors, errors, best[1])


def related_lattices(vectors: Float64, largest_index: int = _LARGEST_INDEX_OF_LATTICE) -> list[Float64]:
    """Reduced bases of a plane lattice and of all that are up to so many times coarser or finer.

    Weak forbidden spots, of double diffraction or of surface steps, make the lattice of the spots seen finer than that
    of the allowed reflections; reflections too weak to be seen make it coarser. Either is one of the lattices of
    low index, which the Hermite normal forms (a b; 0 d), ad = index, 0 ≤ b < d, list without repetition.

    Parameters
    ----------
    vectors : ndarray, shape (2, 2)
        Rows: the basis.
    largest_index : int
        Largest ratio of the cells' areas.
    """
    found = [reduced(vectors)]
    for index in range(2, largest_index + 1):
        for a in (a for a in range(1, index + 1) if index % a == 0):
            for b in range(index // a):
                form = np.array([[a, b], [0, index // a]], np.float64)
                # the inverse's transpose lists the finer ones just as well
                found += [reduced(form @ vectors), reduced(np.linalg.inv(form).T @ vectors)]
    return found


def _pairs(spots: Float64, weight: Float64) -> list[Float64]:
    """Reduced pairs of short vectors between spots that are not collinear."""
    strong = spots[np.argsort(-weight)[:30]]
    between = (strong[:, None] - strong[None]).reshape(-1, 2)
    length = np.linalg.norm(between, axis=1)
    short = between[(length > 0.8 * LOWEST_Q) & ((between[:, 0] > 0) | ((between[:, 0] == 0) & (between[:, 1] > 0)))]
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


def indexed(spots: Float64, pair: Float64) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Indices of the lattice point next to each spot, and whether the spot lies on it."""
    position = spots @ np.linalg.inv(pair)
    index = np.rint(position).astype(np.intp)
    return index, np.abs(position - index).max(axis=1) < ON_LATTICE


def _least_squares(spots: Float64, weight: Float64, pair: Float64) -> tuple[Float64, Float64]:
    for _ in range(3):
        index, on = indexed(spots, pair)
        root = np.sqrt(weight[on])[:, None]
        design = index[on] * root
        pair = np.asarray(np.linalg.lstsq(design, spots[on] * root, rcond=None)[0], np.float64)
    pair = reduced(pair)
    index, on = indexed(spots, pair)
    residual = spots[on] - index[on] @ pair
    spread = np.sqrt(np.mean(residual**2, axis=0) * len(residual) / max(len(residual) - 2, 1))
    covariance = np.linalg.inv(index[on].T.astype(float) @ index[on])
    return pair, np.sqrt(np.diag(covariance))[:, None] * spread[None]
