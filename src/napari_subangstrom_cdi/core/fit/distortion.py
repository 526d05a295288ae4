"""How a pattern's lattice lies against a crystal's: turned, scaled and stretched."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError

_TURNS_AND_SHEARS = [
    np.array(entries, np.float64).reshape(2, 2)
    for entries in itertools.product((-1, 0, 1), repeat=4)
    if abs(entries[0] * entries[3] - entries[1] * entries[2]) == 1
]
_LEAST_SPOTS = 4


@dataclass(frozen=True)
class LatticeDistortion:
    """A pattern's lattice against a crystal's: first turned, then scaled, then stretched along an axis.

    ``matrix`` takes a vector g of the crystal's zone, as a column (x, y), to where it lies in the pattern; its polar
    decomposition is scale · stretch · turn. What the lens or the detector's pixels did and what the crystal did (a true
    strain) cannot be told apart by it. :attr:`stretch` is what the pattern has to be freed of: its inverse takes
    places in the pattern to those in an undistorted one, areas kept.

    Parameters
    ----------
    matrix : ndarray, shape (2, 2)
        Of x and y.
    error : float
        Standard error of the strains: of the logarithm of ``scale``, of half of each part of ``form``, and of the turn
        in radians; NaN where it is not known.
    spots : int
        How many tell it.
    """

    matrix: Float64
    error: float = math.nan
    spots: int = 0

    @property
    def azimuth_deg(self) -> float:
        """From +x towards +y, 0 to 360, as of :class:`.Orientation`."""
        u, _, vt = np.linalg.svd(self.matrix)
        turn = u @ vt
        return math.degrees(math.atan2(turn[1, 0], turn[0, 0])) % 360

    @property
    def scale(self) -> float:
        """The pattern's |g| over the crystal's, the geometric mean of both axes."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix))))

    @property
    def stretch(self) -> Float64:
        """Symmetric, of determinant 1, shape (2, 2), of x and y."""
        u, values, _ = np.linalg.svd(self.matrix)
        return np.asarray((u * values) @ u.T / self.scale, np.float64)

    @property
    def form(self) -> tuple[float, float]:
        """ln(ratio) · (cos 2φ, sin 2φ) of the long axis at φ: without the bias that ``ratio`` has near 1."""
        u, values, _ = np.linalg.svd(self.matrix)
        size, double = math.log(values[0] / values[1]), 2 * math.atan2(u[1, 0], u[0, 0])
        return size * math.cos(double), size * math.sin(double)

    @property
    def ratio(self) -> float:
        """Long over short axis of what a circle has become."""
        return math.exp(math.hypot(*self.form))

    @property
    def ratio_error(self) -> float:
        """Standard error of ``ratio``."""
        return 2 * self.error * self.ratio

    @property
    def axis_deg(self) -> float:
        """Direction of the long axis, from +x towards +y, -90° to 90°."""
        along, across = self.form
        return math.degrees(math.atan2(across, along)) / 2

    @property
    def axis_error_deg(self) -> float:
        """Standard error of ``axis_deg``; 90 where there is no ellipse."""
        size = math.hypot(*self.form)
        return min(90.0, math.degrees(self.error / size)) if size > 0 else 90.0


def possible_distortions(
    seen: Float64, lattice: Float64, *, largest_scale_error: float, largest_ratio: float
) -> list[LatticeDistortion]:
    """All ways in which one plane lattice is another one turned, scaled and stretched a little; without errors.

    Parameters
    ----------
    seen, lattice : ndarray, shape (2, 2)
        Reduced bases as rows, of the pattern and of the crystal's zone.
    largest_scale_error : float
        By which the scale may differ from 1.
    largest_ratio : float
        Of the stretch's axes.
    """
    found: list[LatticeDistortion] = []
    for change in _TURNS_AND_SHEARS:
        one = LatticeDistortion(np.asarray(np.linalg.solve(change @ lattice, seen).T, np.float64))
        if np.linalg.det(one.matrix) <= 0 or abs(one.scale - 1) > largest_scale_error or one.ratio > largest_ratio:
            continue
        if all(np.abs(one.matrix - other.matrix).max() > 1e-6 for other in found):
            found.append(one)
    return sorted(found, key=lambda one: one.ratio)


def fit_distortion(places: Float64, own: Float64, weight: Float64 | None = None) -> LatticeDistortion:
    """The distortion that brings a crystal's vectors onto a pattern's spots, by least squares.

    The spots' common shift is free: where the beam was taken to be does not matter. The error comes from what the spots
    deviate.

    Parameters
    ----------
    places : ndarray, shape (spots, 2)
        Where the spots are, x and y, Å⁻¹.
    own : ndarray, shape (spots, 2)
        The crystal's g of each, Å⁻¹, in its zone's frame (azimuth 0).
    weight : ndarray, shape (spots,), optional
        Of each; equal by default.

    Raises
    ------
    InputError
        If fewer than four spots are given, or all lie on one line.
    """
    if len(places) < _LEAST_SPOTS:
        raise InputError(f"{len(places)} spots to measure a distortion by", mend="check crystal, zone and regions")
    root = np.sqrt(np.ones(len(places)) if weight is None else weight / np.mean(weight))[:, None]
    design = np.column_stack([own, np.ones(len(own))])
    if np.linalg.matrix_rank(design, tol=1e-6) < 3:
        raise InputError("the spots lie on one line, which tells no distortion", mend="check regions and zone axis")
    solution = np.linalg.lstsq(root * design, root * places, rcond=None)[0]
    matrix = solution[:2].T
    # In the pattern's own axes, where small changes of the matrix are strains. These errors hold whatever the spots'
    # scatter and weights are: White, Econometrica 48 (1980) 817, doi:10.2307/1912934, with leverages.
    nodes = root * np.column_stack([own @ matrix.T, np.ones(len(own))])
    inverse = np.linalg.inv(nodes.T @ nodes)
    leverage = np.einsum("ki,ij,kj->k", nodes, inverse, nodes)[:, None]
    rest = root * (places - design @ solution) / np.maximum(1 - leverage, 0.1)
    scatter = np.einsum("ki,kc,kj->cij", nodes, rest**2, nodes)
    variances = np.diagonal(inverse @ scatter @ inverse, axis1=1, axis2=2)[:, :2]
    error = math.sqrt(float(variances.mean()) / 2)
    return LatticeDistortion(np.asarray(matrix, np.float64), error, len(places))
