"""A particle cut from a crystal: its outline, how thick it is where, and its atoms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError

from .crystal import Crystal, Orientation
from .grid import Grid
from .multislice import AtomicModel

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

_MARGIN_ANGSTROM = 8.0
_MOST_ATOMS = 5_000_000


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

    def thickness(self) -> Float:
        """Thickness at each element, Å, 0 outside; shape (n, n)."""
        profile = edge_profile(self.outline, self.grid, self.inset_angstrom)
        return np.where(profile > 0, self.thickness_angstrom * profile**self.roundness, 0.0)


def edge_profile(outline: Bool, grid: Grid, inset_angstrom: float) -> Float:
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


def cut(
    crystal: Crystal,
    orientation: Orientation,
    shape: Shape,
    *,
    offset_angstrom: tuple[float, float] = (0.0, 0.0),
    height_angstrom: float = 0.0,
    b_factor: float = 1.0,
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

    Raises
    ------
    InputError
        If no atom is inside, or more than five million may be.
    """
    half = shape.thickness() / 2
    matrix = orientation.matrix(crystal)
    cell = crystal.cell_angstrom @ matrix.T
    column = matrix @ crystal.zone_direction(orientation.zone)
    low, high = _bounds(half, shape.grid)
    corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T
    inverse = np.linalg.inv(cell)
    offset = np.array([*offset_angstrom, 0.0]) + height_angstrom * column / column[2]
    first = np.floor(((corners - offset) @ inverse).min(axis=0)).astype(int) - 1
    last = np.ceil(((corners - offset) @ inverse).max(axis=0)).astype(int) + 1
    if np.prod(last - first + 1.0) * len(crystal.numbers) > 8 * _MOST_ATOMS:
        raise InputError("a particle of too many atoms to be cut", mend="check the support and the thickness")
    axes = [np.arange(a, b + 1) for a, b in zip(first, last, strict=True)]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    numbers, positions = [], []
    for number, place in zip(crystal.numbers, crystal.fractional, strict=True):
        atoms = (cells + place) @ cell + offset
        atoms = atoms[((atoms > low) & (atoms < high)).all(axis=1)]
        atoms = atoms[_is_inside(atoms, half, shape.grid)]
        positions.append(atoms)
        numbers.append(np.full(len(atoms), number))
    model = AtomicModel(np.concatenate(numbers), np.concatenate(positions), b_factor)
    if not len(model.numbers):
        raise InputError("no atom lies inside the shape", mend="check thickness and support")
    return model


def _bounds(half: Float, grid: Grid) -> tuple[Float, Float]:
    rows, columns = np.nonzero(half)
    middle, pixel = grid.n // 2, grid.pixel_angstrom
    low = np.array([(columns.min() - middle) * pixel, (rows.min() - middle) * pixel, -half.max()])
    high = np.array([(columns.max() - middle) * pixel, (rows.max() - middle) * pixel, half.max()])
    return low - _MARGIN_ANGSTROM, high + _MARGIN_ANGSTROM


def _is_inside(atoms: Float, half: Float, grid: Grid) -> Bool:
    index = np.rint(atoms[:, 1::-1] / grid.pixel_angstrom).astype(int) + grid.n // 2
    on = np.all((index >= 0) & (index < grid.n), axis=1)
    y, x = np.where(on[:, np.newaxis], index, 0).T
    there = np.where(on, half[y, x], 0.0)
    inside: Bool = (there > 0) & (np.abs(atoms[:, 2]) <= there)
    return inside
