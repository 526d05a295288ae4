"""Convex solids in a crystal's axes: spheres, and bodies of facets, truncated and rounded; what is cut by them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.spatial
import spglib
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.types import Bool, Float64
from napari_subangstrom_cdi.errors import InputError

from .multislice import AtomicModel
from .nanocrystal import Boundary, grown
from .unit_cell import Crystal, Orientation

Index = NDArray[np.intp]
Miller = tuple[int, int, int]

_ON_A_PLANE = 1e-6  # Å
_HALVINGS = 20
_DRAWN_POINTS, _MEASURED_POINTS = 6000, 20000
_NO_FACET = -1
_TOLERANCE = 1e-3  # Å, of symmetry


@dataclass(frozen=True)
class Surface:
    """Triangles of a body's surface.

    Parameters
    ----------
    vertices_angstrom : ndarray, shape (k, 3)
        In the body's axes; those of flat facets are not shared between facets.
    triangles : ndarray of int, shape (m, 3)
        Indices of their corners, counterclockwise seen from outside.
    facets : ndarray of int, shape (k,)
        On which facet each vertex lies; -1 where the body is round.
    """

    vertices_angstrom: Float64
    triangles: Index
    facets: Index


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
    rounding_angstrom : float
        Radius of all edges and corners, as of a ball that rolls inside.
    forms : tuple of str
        To which form each facet belongs, for instance ``"{1 1 1}"``; empty if there are no names.

    Raises
    ------
    InputError
        If the body is not closed, a distance is not positive, or the rounding leaves no facet.
    """

    normals: Float64
    distances_angstrom: Float64
    radius_angstrom: float = math.inf
    rounding_angstrom: float = 0.0
    forms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.distances_angstrom)
        if self.normals.shape != (count, 3) or len(self.forms) not in (0, count):
            raise InputError("facets and distances do not belong together", mend="give a distance for each facet")
        if not (np.isfinite(self.normals).all() and np.isfinite(self.distances_angstrom).all()):
            raise InputError("a facet that is not finite", mend="give numbers")
        if not (self.distances_angstrom > 0).all() or not self.radius_angstrom > 0:
            raise InputError("a facet that is not outside the middle", mend="give positive distances")
        if not 0 <= self.rounding_angstrom < self.distances_angstrom.min(initial=math.inf):
            raise InputError(
                f"a rounding of {self.rounding_angstrom:g} Å leaves nothing of the facets", mend="give a smaller one"
            )
        if not math.isfinite(self.reach_angstrom):
            raise InputError("the facets do not close the body", mend="add facets, or a radius")

    # what it is made of

    @cached_property
    def _sharp(self) -> Float64:
        """Corners of the facets without any rounding; infinite if they do not close."""
        return _corners(self.normals, self.distances_angstrom)

    @cached_property
    def _core(self) -> tuple[Float64, Any]:
        """The body that the rolling ball's middle stays in: distances, and its hull."""
        distances = self.distances_angstrom - self.rounding_angstrom
        return distances, scipy.spatial.ConvexHull(_corners(self.normals, distances))

    @property
    def _is_sharp(self) -> bool:
        return len(self.normals) > 0 and not self.rounding_angstrom and self._sharp_reach <= self.radius_angstrom

    @property
    def _sharp_reach(self) -> float:
        return float(np.linalg.norm(self._sharp, axis=1).max()) if len(self.normals) else math.inf

    @property
    def reach_angstrom(self) -> float:
        """Radius of a sphere about the origin that holds the body; infinite if it is open."""
        return min(self._sharp_reach, self.radius_angstrom)

    # what is inside

    def contains(self, points: Float64) -> Bool:
        """Whether each point (k, 3), Å, lies inside."""
        inside = np.einsum("ij,ij->i", points, points) <= self.radius_angstrom**2 + _ON_A_PLANE
        for normal, distance in zip(self.normals, self.distances_angstrom, strict=True):
            inside &= points @ normal <= distance + _ON_A_PLANE
        if self.rounding_angstrom:
            shell = np.flatnonzero(inside)
            inside[shell] = self._distance_to_core(points[shell]) <= self.rounding_angstrom + _ON_A_PLANE
        return np.asarray(inside, np.bool_)

    def _distance_to_core(self, points: Float64) -> Float64:
        """Distance of each point from the core, 0 inside: to a facet that it stands above, else to an edge."""
        distances, hull = self._core
        heights = points @ self.normals.T - distances
        nearest = np.where(heights.max(axis=1) <= 0, 0.0, np.inf)
        for k, height in enumerate(heights.T):
            out = np.flatnonzero((height > 0) & np.isinf(nearest))
            foot = heights[out] - height[out, None] * (self.normals @ self.normals[k])
            above = out[(foot <= _ON_A_PLANE).all(axis=1)]
            nearest[above] = height[above]
        out = np.flatnonzero(np.isinf(nearest))
        for start, end in _edges(hull):
            nearest[out] = np.minimum(nearest[out], _distance_to_line(points[out], start, end))
        return nearest

    def _reach_along(self, directions: Float64) -> Float64:
        """How far the body reaches in unit directions (k, 3), Å."""
        cosines = directions @ self.normals.T
        with np.errstate(divide="ignore"):
            steps = np.where(cosines > 0, 1 / cosines, math.inf)
        reach = np.minimum((self.distances_angstrom * steps).min(axis=1, initial=math.inf), self.radius_angstrom)
        if not self.rounding_angstrom:
            return reach
        round_ = np.flatnonzero(~self.contains(reach[:, None] * directions))
        low = np.minimum((self._core[0] * steps[round_]).min(axis=1), self.radius_angstrom)
        high, along = reach[round_], directions[round_]
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            inside = self.contains(middle[:, None] * along)
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        reach[round_] = low
        return reach

    # its measures

    def vertices(self) -> Float64:
        """Corners where facets meet, shape (k, 3), Å, before anything is rounded."""
        return np.array(self._sharp) if len(self.normals) else np.zeros((0, 3))

    def faces(self) -> list[Float64]:
        """Polygon of each facet, shape (k, 3), counterclockwise seen from outside, before anything is rounded.

        A facet that the others leave nothing of has no corners.
        """
        return [
            _polygon(self._sharp, normal, distance)
            for normal, distance in zip(self.normals, self.distances_angstrom, strict=True)
        ]

    def form_areas_angstrom2(self) -> dict[str, float]:
        """Area of all facets of each form, Å², before anything is rounded."""
        areas: dict[str, float] = {}
        for form, face in zip(self.forms or [""] * len(self.normals), self.faces(), strict=True):
            areas[form] = areas.get(form, 0.0) + _polygon_area(face)
        return areas

    def volume_angstrom3(self) -> float:
        """Of the body, Å³; within 0.2 % where a sphere cuts facets, else exact."""
        return self._measures[0]

    def area_angstrom2(self) -> float:
        """Of its surface, Å²; within 0.2 % where a sphere cuts facets, else exact."""
        return self._measures[1]

    @cached_property
    def _measures(self) -> tuple[float, float]:
        radius, r = self.radius_angstrom, self.rounding_angstrom
        if not len(self.normals):
            return 4 / 3 * math.pi * radius**3, 4 * math.pi * radius**2
        if self._sharp_reach <= radius:
            hull = self._core[1]
            bend = _edge_bend(hull)  # Steiner's formula for a convex body that a ball rolls around
            volume = hull.volume + hull.area * r + bend / 2 * r**2 + 4 / 3 * math.pi * r**3
            return float(volume), float(hull.area + bend * r + 4 * math.pi * r**2)
        directions = _directions(_MEASURED_POINTS)
        hull = scipy.spatial.ConvexHull(self._reach_along(directions)[:, None] * directions)
        return float(hull.volume), float(hull.area)

    def surface(self) -> Surface:
        """Triangles for drawing."""
        if self._is_sharp:
            return _flat_surface(self.faces())
        directions = _directions(_DRAWN_POINTS)
        points = self._reach_along(directions)[:, None] * directions
        triangles = _outward(points, scipy.spatial.ConvexHull(directions).simplices.astype(np.intp))
        facets = np.full(len(points), _NO_FACET, np.intp)
        if len(self.normals):
            depth = np.abs(self.distances_angstrom - points @ self.normals.T)
            on = depth.min(axis=1) < 1e-3
            facets[on] = depth[on].argmin(axis=1)
        return Surface(points, triangles, facets)

    # others like it

    def scaled(self, factor: float) -> Solid:
        """The same with all lengths multiplied."""
        return replace(
            self,
            distances_angstrom=self.distances_angstrom * factor,
            radius_angstrom=self.radius_angstrom * factor,
            rounding_angstrom=self.rounding_angstrom * factor,
        )


def sphere(diameter_angstrom: float) -> Solid:
    """A sphere about the origin.

    Raises
    ------
    InputError
        If the diameter is not positive and finite.
    """
    return Solid(np.zeros((0, 3)), np.zeros(0), diameter_angstrom / 2)


def faceted(
    crystal: Crystal,
    distances_angstrom: Mapping[Miller, float],
    *,
    symmetric: bool = True,
    radius_angstrom: float = math.inf,
    rounding_angstrom: float = 0.0,
) -> Solid:
    """A body bounded by lattice planes; distances in proportion to surface energies make it Wulff's.

    Parameters
    ----------
    crystal : Crystal
        Whose planes they are.
    distances_angstrom : mapping of (h, k, l) to float
        Distance of each form of facets from the middle.
    symmetric : bool
        Whether (hkl) stands for all planes that the crystal's point group makes of it; (hkl) and its opposite are
        two forms in a polar crystal.
    radius_angstrom, rounding_angstrom : float
        As of :class:`Solid`.

    Raises
    ------
    InputError
        If the facets do not close the body, or indices or distances make no sense.
    """
    normals, distances, forms = _planes(crystal, distances_angstrom, symmetric)
    return Solid(normals, distances, radius_angstrom, rounding_angstrom, forms)


def truncated(
    solid: Solid, crystal: Crystal, distances_angstrom: Mapping[Miller, float], *, symmetric: bool = False
) -> Solid:
    """A body with further planes that cut it off.

    Parameters
    ----------
    solid : Solid
        What is cut.
    crystal, distances_angstrom, symmetric
        As of :func:`faceted`; by default each plane stands for itself alone.
    """
    normals, distances, forms = _planes(crystal, distances_angstrom, symmetric)
    named = (*solid.forms, *forms) if len(solid.forms) == len(solid.normals) else ()
    return replace(
        solid,
        normals=np.vstack([solid.normals, normals]),
        distances_angstrom=np.concatenate([solid.distances_angstrom, distances]),
        forms=named,
    )


def _planes(
    crystal: Crystal, distances_angstrom: Mapping[Miller, float], symmetric: bool
) -> tuple[Float64, Float64, tuple[str, ...]]:
    normals, distances, forms = [], [], []
    for index, distance in distances_angstrom.items():
        if not any(index):
            raise InputError(f"{index} are no Miller indices of a plane", mend="give three, not all zero")
        name = ("{%s}" if symmetric else "(%s)") % " ".join(map(str, index))
        for plane in equivalent_planes(crystal, index) if symmetric else [index]:
            g = np.asarray(plane, float) @ crystal.reciprocal_per_angstrom
            normals.append(g / np.linalg.norm(g))
            distances.append(float(distance))
            forms.append(name)
    return np.array(normals).reshape(-1, 3), np.array(distances), tuple(forms)


def point_group(crystal: Crystal) -> NDArray[np.intc]:
    """Rotations of the crystal's point group, on fractional coordinates, shape (k, 3, 3); by spglib."""
    cell = (crystal.cell_angstrom.tolist(), crystal.fractional.tolist(), crystal.numbers.tolist())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of how spglib will tell of errors
        found = spglib.get_symmetry_dataset(cell, symprec=_TOLERANCE)
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
    boundary: Boundary | None = None,
) -> AtomicModel:
    """The atoms of a crystal inside a solid, which turns with it; the solid's middle is the field's.

    Parameters
    ----------
    crystal, orientation, solid
        What is cut, how it stands, and to what.
    origin_angstrom : (float, float, float)
        Of the unit cell in the crystal's axes, from the middle of the solid: which atoms end the facets.
    b_factor : float
        Debye-Waller factor, Å².
    boundary : Boundary, optional
        Beyond which the crystal, but not the solid, is moved.

    Raises
    ------
    InputError
        If no atom is inside, or more than five million may be.
    """
    matrix = orientation.matrix(crystal)
    reach = np.full(3, solid.reach_angstrom)
    box = (-reach, reach)
    if len(solid.normals):
        corners = solid.vertices() @ matrix.T
        box = np.maximum(-reach, corners.min(axis=0)), np.minimum(reach, corners.max(axis=0))
    return grown(
        crystal,
        matrix,
        matrix @ np.asarray(origin_angstrom, float),
        (box[0] - _ON_A_PLANE, box[1] + _ON_A_PLANE),
        lambda atoms: solid.contains(atoms @ matrix),
        b_factor=b_factor,
        boundary=boundary,
    )


# geometry


def _corners(normals: Float64, distances: Float64) -> Float64:
    """Corners of a body of half-spaces about the origin; one infinite one if it is open."""
    open_ = np.full((1, 3), np.inf)
    try:
        dual = scipy.spatial.ConvexHull(normals / distances[:, None])
    except (scipy.spatial.QhullError, ValueError):  # too few, or all in a plane
        return open_
    if (dual.equations[:, 3] > -1e-9 / distances.max()).any():  # the middle is not inside the dual body
        return open_
    found = scipy.spatial.HalfspaceIntersection(np.column_stack([normals, -distances]), np.zeros(3)).intersections
    tree = scipy.spatial.cKDTree(found)
    first = {min(group) for group in tree.query_ball_point(found, 1e-5 * float(distances.max()))}
    return np.asarray(found[sorted(first)], np.float64)


def _polygon(corners: Float64, normal: Float64, distance: float) -> Float64:
    on = corners[np.abs(corners @ normal - distance) < 1e-5 * max(distance, 1.0)]
    if len(on) < 3:
        return np.zeros((0, 3))
    middle = on.mean(axis=0)
    first = on[0] - middle
    angles = np.arctan2((on - middle) @ np.cross(normal, first), (on - middle) @ first * np.linalg.norm(normal))
    return np.asarray(on[np.argsort(angles)], np.float64)


def _polygon_area(face: Float64) -> float:
    if len(face) < 3:
        return 0.0
    return float(np.linalg.norm(np.cross(face[1:-1] - face[0], face[2:] - face[0]).sum(axis=0))) / 2


def _flat_surface(faces: list[Float64]) -> Surface:
    """Each facet as a fan."""
    triangles, start = [], 0
    for face in faces:
        triangles += [(start, start + k, start + k + 1) for k in range(1, len(face) - 1)]
        start += len(face)
    facets = np.repeat(np.arange(len(faces)), [len(face) for face in faces])
    return Surface(np.concatenate(faces), np.array(triangles, np.intp), facets.astype(np.intp))


def _outward(points: Float64, triangles: Index) -> Index:
    """Triangles of a star-shaped surface, turned so that they are counterclockwise from outside."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return triangles


def _directions(count: int) -> Float64:
    """Unit vectors spread evenly, on Fibonacci's spiral."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    angle = math.pi * (1 + math.sqrt(5)) * k
    ring = np.sqrt(1 - z**2)
    return np.column_stack([ring * np.cos(angle), ring * np.sin(angle), z])


def _neighbours(hull: Any) -> list[tuple[int, int, int, int]]:
    """Pairs of a hull's triangles that meet at a real edge, and the edge's two corners."""
    found = []
    for k, (simplex, beside) in enumerate(zip(hull.simplices, hull.neighbors, strict=True)):
        for j in range(3):  # opposite of corner j
            other = int(beside[j])
            cosine = float(hull.equations[k, :3] @ hull.equations[other, :3])
            if k < other and cosine < 1 - 1e-10:
                start, end = (int(corner) for m, corner in enumerate(simplex) if m != j)
                found.append((k, other, start, end))
    return found


def _edges(hull: Any) -> list[tuple[Float64, Float64]]:
    return [(hull.points[start], hull.points[end]) for _, _, start, end in _neighbours(hull)]


def _edge_bend(hull: Any) -> float:
    """Sum over the edges of length times the angle between the normals of their facets, Å."""
    total = 0.0
    for k, other, start, end in _neighbours(hull):
        cosine = np.clip(hull.equations[k, :3] @ hull.equations[other, :3], -1, 1)
        total += float(np.linalg.norm(hull.points[start] - hull.points[end])) * math.acos(cosine)
    return total


def _distance_to_line(points: Float64, start: Float64, end: Float64) -> Float64:
    along = end - start
    share = np.clip((points - start) @ along / float(along @ along), 0, 1)
    return np.asarray(np.linalg.norm(points - start - share[:, None] * along, axis=1), np.float64)
