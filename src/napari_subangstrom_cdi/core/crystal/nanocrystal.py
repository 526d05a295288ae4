"""A particle cut from a crystal: its outline, how thick it is where, boundaries in it, and its atoms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import scipy.spatial
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.types import Bool, Float64
from napari_subangstrom_cdi.errors import InputError

from .multislice import AtomicModel
from .unit_cell import Crystal, Orientation, rotation_matrix

_MARGIN_ANGSTROM = 8.0
_MOST_ATOMS = 5_000_000
_MOST_CANDIDATES = 4 * _MOST_ATOMS
_ON_THE_PLANE = 1e-6  # Å: a layer of atoms in a boundary is not split by rounding
_CLOSEST = 0.7  # of the crystal's shortest bond: nearer than that across a boundary, one atom of two goes


@dataclass(frozen=True)
class Shape:
    """Thickness over an outline.

    Parameters
    ----------
    outline : ndarray of bool, shape (n, n)
        Centred, on ``grid``.
    grid : Grid
        Its sampling.
    thickness_angstrom : float
        Where the particle is thickest.
    roundness : float
        0 extrudes the outline to a prism; 0.5 thins it towards the edge as an ellipsoid: the thickness goes with
        (1 − (1 − d/d_max)²) to this power, d the distance from the edge.
    inset_angstrom : float
        How far the particle's edge lies inside the outline.

    Raises
    ------
    InputError
        If nothing is left of the outline, or a value makes no sense.
    """

    outline: Bool
    grid: Grid
    thickness_angstrom: float
    roundness: float = 0.0
    inset_angstrom: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.thickness_angstrom < 1e5:
            raise InputError(f"a thickness of {self.thickness_angstrom:g} Å", mend="give a positive thickness")
        if not 0 <= self.roundness <= 2:
            raise InputError(f"a roundness of {self.roundness:g}", mend="give 0 (prism) to 0.5 (ellipsoid)")

    def thickness(self) -> Float64:
        """Thickness at each element, Å, 0 outside; shape (n, n)."""
        profile = edge_profile(self.outline, self.grid, self.inset_angstrom)
        return np.where(profile > 0, self.thickness_angstrom * profile**self.roundness, 0.0)


def edge_profile(outline: Bool, grid: Grid, inset_angstrom: float) -> Float64:
    """1 − (1 − d/d_max)² inside an outline, d the distance from its edge less the inset; 0 outside.

    Raises
    ------
    InputError
        If the inset leaves nothing.
    """
    distance = ndi.distance_transform_edt(outline) * grid.pixel_angstrom - inset_angstrom
    if distance.max() <= 0:
        raise InputError(
            f"an edge {inset_angstrom:g} Å inside the outline leaves nothing",
            mend="use a smaller inset or a larger support",
        )
    inside = distance > 0
    return np.where(inside, np.maximum(1 - (1 - np.where(inside, distance, 0) / distance.max()) ** 2, 1e-9), 0.0)


@dataclass(frozen=True)
class Boundary:
    """A plane beyond which the crystal goes on shifted, turned, or both.

    What lies at r in the perfect crystal comes to R (r − p) + p + shift, p the point of the plane that is nearest to
    the middle. A twin is a turn of 180° about the normal.

    Parameters
    ----------
    normal : (float, float, float)
        x, y and z of its normal, of any length, towards the moved crystal.
    position_angstrom : float
        Distance of the plane from the middle along the normal.
    shift_angstrom : (float, float, float)
        x, y and z.
    rotation_deg : (float, float, float)
        Rotation vector about x, y and z.
    closest_angstrom : float, optional
        Atoms of the moved crystal that are nearer than this to one of the other are left out; 0.7 of the crystal's
        shortest bond by default.

    Raises
    ------
    InputError
        If the normal is zero, or a value is not finite.
    """

    normal: tuple[float, float, float]
    position_angstrom: float = 0.0
    shift_angstrom: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    closest_angstrom: float | None = None

    def __post_init__(self) -> None:
        values = (*self.normal, self.position_angstrom, *self.shift_angstrom, *self.rotation_deg)
        if not np.isfinite(values).all():
            raise InputError("a boundary with a value that is not finite", mend="give numbers")
        if not any(self.normal):
            raise InputError("a boundary without a normal", mend="give the direction across it")
        if self.closest_angstrom is not None and not 0 <= self.closest_angstrom < 100:
            raise InputError(
                f"atoms across a boundary no closer than {self.closest_angstrom:g} Å", mend="give some tenths of a bond"
            )

    @classmethod
    def edge_on(
        cls, normal_deg: float, position_angstrom: float, shift_angstrom: tuple[float, float], along_z: float = 0.0
    ) -> Boundary:
        """One along the beam: its normal's direction from +x towards +y, and a shift of x and y, and of z."""
        angle = math.radians(normal_deg)
        shift = (float(shift_angstrom[0]), float(shift_angstrom[1]), along_z)
        return cls((math.cos(angle), math.sin(angle), 0.0), position_angstrom, shift)

    @property
    def unit_normal(self) -> Float64:
        """x, y, z of length 1."""
        return np.asarray(self.normal, np.float64) / float(np.linalg.norm(self.normal))

    def beyond(self, points: Float64) -> Bool:
        """Whether each point (k, 3), Å from the middle, lies in the moved crystal."""
        return np.asarray(points @ self.unit_normal > self.position_angstrom + _ON_THE_PLANE, np.bool_)

    def motion(self) -> tuple[Float64, Float64]:
        """Rotation R (3, 3) and translation t of r → R r + t."""
        turn = rotation_matrix(self.rotation_deg)
        pivot = self.position_angstrom * self.unit_normal
        return turn, pivot - turn @ pivot + np.asarray(self.shift_angstrom)


def cut(
    crystal: Crystal,
    orientation: Orientation,
    shape: Shape,
    *,
    offset_angstrom: tuple[float, float] = (0.0, 0.0),
    height_angstrom: float = 0.0,
    b_factor: float = 1.0,
    boundary: Boundary | None = None,
) -> AtomicModel:
    """The atoms of a crystal that lie inside a shape.

    Parameters
    ----------
    crystal, orientation, shape
        What is cut, how it stands, and to what.
    offset_angstrom : (float, float)
        x and y of the column through the crystal's origin, from the centre of the shape's grid, in its middle plane.
    height_angstrom : float
        z of that origin, along the column: which layers lie at the surfaces.
    b_factor : float
        Debye-Waller factor, Å².
    boundary : Boundary, optional
        In the particle.

    Raises
    ------
    InputError
        If no atom is inside, or more than five million may be.
    """
    half = shape.thickness() / 2
    matrix = orientation.matrix(crystal)
    column = matrix @ crystal.zone_direction(orientation.zone)
    offset = np.array([*offset_angstrom, 0.0]) + height_angstrom * column / column[2]
    return grown(
        crystal,
        matrix,
        offset,
        _bounds(half, shape.grid),
        lambda atoms: _is_inside(atoms, half, shape.grid),
        b_factor=b_factor,
        boundary=boundary,
    )


def grown(
    crystal: Crystal,
    matrix: Float64,
    origin: Float64,
    box: tuple[Float64, Float64],
    inside: Callable[[Float64], Bool],
    *,
    b_factor: float = 0.0,
    boundary: Boundary | None = None,
) -> AtomicModel:
    """The atoms of a crystal in a region.

    Parameters
    ----------
    crystal : Crystal
        What is repeated.
    matrix : ndarray, shape (3, 3)
        From its Cartesian axes to x, y, z.
    origin : ndarray, shape (3,)
        Of its unit cell, Å.
    box : (ndarray, ndarray)
        Lowest and highest x, y, z of the region, Å.
    inside : callable
        Tells of points (k, 3) whether they are in the region.
    b_factor : float
        Debye-Waller factor, Å².
    boundary : Boundary, optional
        Beyond which the crystal is moved.

    Raises
    ------
    InputError
        If no atom is inside, or more than five million may be.
    """
    cell = crystal.cell_angstrom @ matrix.T
    if boundary is None:
        numbers, positions = _atoms_in(crystal, cell, origin, box, inside)
    else:
        turn, move = boundary.motion()
        numbers, positions = _atoms_in(crystal, cell, origin, box, lambda r: inside(r) & ~boundary.beyond(r))
        others, moved = _atoms_in(
            crystal, cell @ turn.T, turn @ origin + move, box, lambda r: inside(r) & boundary.beyond(r)
        )
        closest = boundary.closest_angstrom
        closest = _CLOSEST * shortest_bond_angstrom(crystal) if closest is None else closest
        apart = _is_apart(positions, moved, closest)
        numbers, positions = np.concatenate([numbers, others[apart]]), np.concatenate([positions, moved[apart]])
    if not len(numbers):
        raise InputError("no atom lies inside the shape", mend="give a larger shape, and check its thickness")
    return AtomicModel(numbers, positions, b_factor)


def shortest_bond_angstrom(crystal: Crystal) -> float:
    """Distance of the two atoms of a crystal that are nearest to each other."""
    cells = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    around = ((cells + crystal.fractional[None]) @ crystal.cell_angstrom).reshape(-1, 3)
    nearest = scipy.spatial.cKDTree(around).query(crystal.fractional @ crystal.cell_angstrom, 2)[0]
    return float(nearest[:, 1].min())


def _atoms_in(
    crystal: Crystal, cell: Float64, origin: Float64, box: tuple[Float64, Float64], inside: Callable[[Float64], Bool]
) -> tuple[NDArray[np.integer], Float64]:
    low, high = box
    corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T
    corners = (corners - origin) @ np.linalg.inv(cell)
    first = np.floor(corners.min(axis=0)) - 1
    last = np.ceil(corners.max(axis=0)) + 1
    if not np.prod(last - first + 1.0) * len(crystal.numbers) <= _MOST_CANDIDATES:
        raise InputError("a particle of too many atoms to be cut", mend="give a smaller one: check size and thickness")
    axes = [np.arange(a, b + 1) for a, b in zip(first, last, strict=True)]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    numbers, positions = [], []
    for number, place in zip(crystal.numbers, crystal.fractional, strict=True):
        atoms = (cells + place) @ cell + origin
        atoms = atoms[((atoms >= low) & (atoms <= high)).all(axis=1)]
        atoms = atoms[inside(atoms)]
        positions.append(atoms)
        numbers.append(np.full(len(atoms), number))
    return np.concatenate(numbers), np.concatenate(positions)


def _is_apart(first: Float64, second: Float64, closest: float) -> Bool:
    """Whether each point of the second is no closer than that to all of the first."""
    if not len(first) or not len(second):
        return np.ones(len(second), np.bool_)
    nearest, _ = scipy.spatial.cKDTree(first).query(second, distance_upper_bound=max(closest, 1e-9))
    return np.asarray(nearest >= closest, np.bool_)


def _bounds(half: Float64, grid: Grid) -> tuple[Float64, Float64]:
    rows, columns = np.nonzero(half)
    middle, pixel = grid.n // 2, grid.pixel_angstrom
    low = np.array([(columns.min() - middle) * pixel, (rows.min() - middle) * pixel, -half.max()])
    high = np.array([(columns.max() - middle) * pixel, (rows.max() - middle) * pixel, half.max()])
    return low - _MARGIN_ANGSTROM, high + _MARGIN_ANGSTROM


def _is_inside(atoms: Float64, half: Float64, grid: Grid) -> Bool:
    index = np.rint(atoms[:, 1::-1] / grid.pixel_angstrom).astype(int) + grid.n // 2
    on = np.all((index >= 0) & (index < grid.n), axis=1)
    y, x = np.where(on[:, np.newaxis], index, 0).T
    there = np.where(on, half[y, x], 0.0)
    inside: Bool = (there > 0) & (np.abs(atoms[:, 2]) <= there)
    return inside
