"""Convex crystals: spheres, and bodies of facets with their distances."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.spatial
import spglib
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError

from .crystal import Crystal, Orientation
from .lattice_shift import Fault
from .multislice import AtomicModel

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Miller = tuple[int, int, int]

_MOST_ATOMS = 5_000_000
_CLOSEST = 0.7  # of the crystal's shortest bond: nearer than that across a boundary, one atom of two goes


@dataclass(frozen=True)
class Solid:
    """A convex body about the origin, in the crystal's Cartesian axes.

    Parameters
    ----------
    normals : ndarray, shape (facets, 3)
        Unit vectors outward.
    distances_angstrom : ndarray, shape (facets,)
        Of the facets from the origin.
    radius_angstrom : float
        Of a sphere that cuts corners off; infinite for none.

    Raises
    ------
    InputError
        If the body is not closed, or a distance is not positive.
    """

    normals: Float
    distances_angstrom: Float
    radius_angstrom: float = math.inf

    def __post_init__(self) -> None:
        if self.normals.shape != (len(self.distances_angstrom), 3):
            raise InputError("facets and distances do not belong together", mend="give a distance for each facet")
        if not (self.distances_angstrom > 0).all() or not self.radius_angstrom > 0:
            raise InputError("a facet that is not outside the middle", mend="give positive distances")
        if not math.isfinite(self.reach_angstrom):
            raise InputError("the facets do not close the body", mend="add facets, or a radius")

    @property
    def reach_angstrom(self) -> float:
        """Radius of the sphere about the origin that holds the body; infinite if it is open."""
        if not len(self.normals):
            return self.radius_angstrom
        try:
            corner = float(np.linalg.norm(self.vertices(), axis=1).max())
        except scipy.spatial.QhullError:
            corner = math.inf
        return min(corner, self.radius_angstrom)

    def vertices(self) -> Float:
        """Corners of the facets, shape (k, 3), Å; the radius does not count."""
        half_spaces = np.column_stack([self.normals, -self.distances_angstrom])
        corners: Float = scipy.spatial.HalfspaceIntersection(half_spaces, np.zeros(3)).intersections
        if not np.isfinite(corners).all():
            return np.full((1, 3), np.inf)
        return np.unique(np.round(corners, 6), axis=0)

    def triangles(self) -> tuple[Float, NDArray[np.intp]]:
        """Surface for drawing: vertices (k, 3) and triangles (m, 3); the radius does not count."""
        corners = self.vertices()
        return corners, scipy.spatial.ConvexHull(corners).simplices.astype(np.intp)

    def volume_angstrom3(self) -> float:
        """Of the body; the radius counts only for a sphere without facets."""
        if not len(self.normals):
            return 4 / 3 * math.pi * self.radius_angstrom**3
        return float(scipy.spatial.ConvexHull(self.vertices()).volume)

    def contains(self, points: Float) -> Bool:
        """Whether each point (k, 3), Å, lies inside."""
        inside = np.einsum("ij,ij->i", points, points) <= self.radius_angstrom**2
        for normal, distance in zip(self.normals, self.distances_angstrom, strict=True):
            inside &= points @ normal <= distance
        return np.asarray(inside, np.bool_)


def sphere(diameter_angstrom: float) -> Solid:
    """A sphere about the origin."""
    return Solid(np.zeros((0, 3)), np.zeros(0), diameter_angstrom / 2)


def faceted(
    crystal: Crystal,
    distances_angstrom: Mapping[Miller, float],
    *,
    symmetric: bool = True,
    radius_angstrom: float = math.inf,
) -> Solid:
    """A body bounded by lattice planes.

    Parameters
    ----------
    crystal : Crystal
        Whose planes they are.
    distances_angstrom : mapping of (h, k, l) to float
        Distance of each form of facets from the middle.
    symmetric : bool
        Whether (hkl) stands for all planes that the crystal's point group makes of it; (hkl) and its opposite are
        two forms in a polar crystal.
    radius_angstrom : float
        Of a sphere that rounds the corners.

    Raises
    ------
    InputError
        If the facets do not close the body.
    """
    normals, distances = [], []
    for index, distance in distances_angstrom.items():
        for plane in equivalent_planes(crystal, index) if symmetric else [index]:
            g = np.asarray(plane, float) @ crystal.reciprocal_per_angstrom
            normals.append(g / np.linalg.norm(g))
            distances.append(float(distance))
    return Solid(np.array(normals).reshape(-1, 3), np.array(distances), radius_angstrom)


def point_group(crystal: Crystal) -> NDArray[np.intc]:
    """Rotations of the crystal's point group, on fractional coordinates, shape (k, 3, 3); by spglib."""
    cell = (crystal.cell_angstrom.tolist(), crystal.fractional.tolist(), crystal.numbers.tolist())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of how spglib will tell of errors
        found = spglib.get_symmetry_dataset(cell, symprec=1e-3)
    if found is None:
        return np.eye(3, dtype=np.intc)[None]
    return np.unique(np.asarray(found.rotations, np.intc), axis=0)


def equivalent_planes(crystal: Crystal, index: Miller) -> list[Miller]:
    """All (hkl) of a form, in order."""
    images = np.unique(np.asarray(index) @ point_group(crystal), axis=0).tolist()
    return [(image[0], image[1], image[2]) for image in images]


def cut_solid(
    crystal: Crystal,
    orientation: Orientation,
    solid: Solid,
    *,
    origin_angstrom: tuple[float, float, float] = (0.0, 0.0, 0.0),
    b_factor: float = 0.8,
    fault: Fault | None = None,
) -> AtomicModel:
    """The atoms of a crystal inside a solid, which turns with it.

    Parameters
    ----------
    crystal, orientation, solid
        What is cut, how it stands, and to what.
    origin_angstrom : (float, float, float)
        Of the unit cell in the crystal's axes, from the middle of the solid.
    b_factor : float
        Debye-Waller factor, Å².
    fault : Fault, optional
        A boundary along the beam, the lattice beyond it shifted.

    Raises
    ------
    InputError
        If no atom is inside, or more than five million may be.
    """
    matrix = orientation.matrix(crystal)
    if fault is None:
        return _grain(crystal, matrix, solid, np.asarray(origin_angstrom, float), b_factor)
    shift = np.array([*fault.shift_angstrom, 0.0]) @ matrix  # into the crystal's axes
    grains = [
        _grain(crystal, matrix, solid, np.asarray(origin_angstrom, float) + moved, b_factor)
        for moved in (np.zeros(3), shift)
    ]
    numbers, positions = [], []
    for grain, beyond in zip(grains, (False, True), strict=True):
        x, y = grain.positions_angstrom[:, :2].T
        mine = fault.beyond(x, y) == beyond
        numbers.append(grain.numbers[mine])
        positions.append(grain.positions_angstrom[mine])
    far = _not_on_top(positions[0], positions[1], _CLOSEST * shortest_bond_angstrom(crystal))
    positions[1], numbers[1] = positions[1][far], numbers[1][far]
    return AtomicModel(np.concatenate(numbers), np.concatenate(positions), b_factor)


def shortest_bond_angstrom(crystal: Crystal) -> float:
    """Distance of the two atoms of the crystal that are nearest to each other."""
    cells = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    around = ((cells + crystal.fractional[None]) @ crystal.cell_angstrom).reshape(-1, 3)
    tree = scipy.spatial.cKDTree(around)
    return float(tree.query(crystal.fractional @ crystal.cell_angstrom, 2)[0][:, 1].min())


def _not_on_top(first: Float, second: Float, closest: float) -> Bool:
    if not len(first) or not len(second):
        return np.ones(len(second), np.bool_)
    return np.asarray(scipy.spatial.cKDTree(first).query(second)[0] > closest, np.bool_)


def _grain(crystal: Crystal, matrix: Float, solid: Solid, origin: Float, b_factor: float) -> AtomicModel:
    reach = solid.reach_angstrom
    count = np.ceil(reach * np.linalg.norm(crystal.reciprocal_per_angstrom, axis=1)).astype(int) + 1
    if np.prod(2.0 * count + 1) * len(crystal.numbers) > 8 * _MOST_ATOMS:
        raise InputError("a particle of too many atoms", mend="give a smaller one")
    axes = [np.arange(-n, n + 1) for n in count]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    numbers, positions = [], []
    for number, place in zip(crystal.numbers, crystal.fractional, strict=True):
        atoms = (cells + place) @ crystal.cell_angstrom + origin
        atoms = atoms[solid.contains(atoms)]
        positions.append(atoms @ matrix.T)
        numbers.append(np.full(len(atoms), number))
    if not sum(map(len, numbers)):
        raise InputError("no atom lies inside the solid", mend="give a larger one")
    return AtomicModel(np.concatenate(numbers), np.concatenate(positions), b_factor)
