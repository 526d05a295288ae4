"""Particles cut by an outline, and boundaries in them, against counts and places that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.spatial

from napari_subangstrom_cdi.core.crystal.nanocrystal import Boundary, Shape, cut, shortest_bond_angstrom
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.errors import InputError

GRID = Grid(128, 64.0)
DISC = np.asarray(GRID.r_angstrom() < 16.0)
TILTED = Orientation((1, 1, 2), 25.0, (0.4, -0.7))


def square(half_angstrom: float):
    near = np.abs(GRID.index() * GRID.pixel_angstrom) < half_angstrom
    return near[:, None] & near[None]


def nearest(points, others):
    return scipy.spatial.cKDTree(others).query(points)[0]


@pytest.mark.parametrize(("roundness", "share"), [(0.0, 1.0), (0.5, 2 / 3)])
def test_atoms_are_as_many_as_prism_and_ellipsoid_hold(roundness, share):
    made = crystal("CdS-zincblende")
    shape = Shape(DISC, GRID, 40.0, roundness)
    volume = shape.thickness().sum() * GRID.pixel_angstrom**2
    assert volume == pytest.approx(share * math.pi * 16.0**2 * 40.0, rel=0.04)
    counts = []
    for x, y, z in np.random.default_rng(0).uniform(0, 6, (12, 3)).tolist():  # on average a lattice fills a volume
        atoms = cut(made, TILTED, shape, offset_angstrom=(x, y), height_angstrom=z)
        counts.append(len(atoms.numbers))
        assert np.abs(atoms.positions_angstrom[:, 2]).max() <= 20.0
        assert (atoms.numbers == 48).mean() == pytest.approx(0.5, abs=0.03)
    assert np.mean(counts) == pytest.approx(volume * len(made.numbers) / made.volume, rel=0.015)


def test_an_inset_draws_the_edge_in_and_may_leave_nothing():
    gold = crystal("Au")
    narrow, wide = (cut(gold, Orientation((0, 0, 1)), Shape(DISC, GRID, 20.0, 0, inset)) for inset in (4.0, 0.0))
    assert (
        np.hypot(*narrow.positions_angstrom[:, :2].T).max() < 13.0 < np.hypot(*wide.positions_angstrom[:, :2].T).max()
    )
    with pytest.raises(InputError, match="leaves nothing"):
        cut(gold, Orientation((0, 0, 1)), Shape(DISC, GRID, 20.0, 0, 17.0))


def test_an_offset_moves_the_lattice_and_not_the_shape():
    gold = crystal("Au")
    shape = Shape(square(12.0), GRID, 20.0)
    atoms = cut(gold, Orientation((0, 0, 1)), shape, offset_angstrom=(1.0, 0.5), height_angstrom=0.7)
    assert nearest(np.array([[1.0, 0.5, 0.7]]), atoms.positions_angstrom)[0] < 1e-9
    assert np.abs(atoms.positions_angstrom[:, :2]).max() < 12.5


def test_a_shift_along_the_boundary():
    made = crystal("CdS-zincblende")
    shape = Shape(DISC, GRID, 30.0)
    boundary = Boundary.edge_on(30.0, 2.0, (0.9, -1.3), along_z=0.5)
    whole, split = (cut(made, TILTED, shape, boundary=given) for given in (None, boundary))
    across = split.positions_angstrom[:, :2] @ (math.cos(math.radians(30)), math.sin(math.radians(30)))
    assert nearest(split.positions_angstrom[across < 2.0], whole.positions_angstrom).max() < 1e-9
    far = split.positions_angstrom[across > 2.0] - (0.9, -1.3, 0.5)
    inner = (np.hypot(*far[:, :2].T) < 12.0) & (np.abs(far[:, 2]) < 12.0)
    assert inner.sum() > 100 and nearest(far[inner], whole.positions_angstrom).max() < 1e-9
    distances = scipy.spatial.cKDTree(split.positions_angstrom).query(split.positions_angstrom, 2)[0][:, 1]
    assert distances.min() >= 0.7 * shortest_bond_angstrom(made)


def test_atoms_that_overlap_are_removed_to_the_distance_asked_for():
    gold = crystal("Au")
    shape = Shape(DISC, GRID, 20.0)
    counts, closest = [], []
    for distance in (0.0, 1.5, 2.5):
        boundary = Boundary((1, 0, 0), 0.0, (-1.2, 0, 0), (15.0, 0, 0), closest_angstrom=distance)
        atoms = cut(gold, Orientation((0, 0, 1)), shape, boundary=boundary)
        found = scipy.spatial.cKDTree(atoms.positions_angstrom).query(atoms.positions_angstrom, 2)[0][:, 1]
        counts.append(len(atoms.numbers))
        closest.append(found.min())
    assert closest[0] < 1.5 <= closest[1] < 2.5 <= closest[2]
    assert counts[0] > counts[1] > counts[2]


def test_a_turned_grain_has_its_lattice_turned():
    """A grain turned by 10° about z in a plate of gold [001]: its rows run at 10°, and it is as dense."""
    gold = crystal("Au")
    boundary = Boundary((1, 0, 0), 0.0, rotation_deg=(0, 0, 10.0))
    shape = Shape(square(20.0), GRID, 20.0)
    whole, atoms = (cut(gold, Orientation((0, 0, 1)), shape, boundary=given) for given in (None, boundary))
    far = atoms.positions_angstrom[atoms.positions_angstrom[:, 0] > 5.0]
    tree = scipy.spatial.cKDTree(far)
    pairs = tree.query_pairs(4.0782 * 1.01, output_type="ndarray")
    between = far[pairs[:, 1]] - far[pairs[:, 0]]
    along = between[np.abs(np.linalg.norm(between, axis=1) - 4.0782) < 0.01]
    flat = along[np.abs(along[:, 2]) < 1e-6]
    angles = np.degrees(np.arctan2(flat[:, 1], flat[:, 0])) % 90
    assert len(flat) > 50
    np.testing.assert_allclose(angles, 10.0, atol=1e-6)
    assert len(atoms.numbers) == pytest.approx(len(whole.numbers), rel=0.04)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Boundary((0, 0, 0)), "without a normal"),
        (lambda: Boundary((1, 0, 0), math.nan), "not finite"),
        (lambda: Boundary((1, 0, 0), closest_angstrom=-1.0), "no closer"),
        (lambda: Shape(DISC, GRID, 0.0), "thickness"),
        (lambda: Shape(DISC, GRID, 10.0, 3.0), "roundness"),
        (lambda: cut(crystal("Au"), TILTED, Shape(DISC, GRID, 9e4)), "too many atoms"),
    ],
)
def test_what_makes_no_sense_is_said(make, said):
    with pytest.raises(InputError, match=said):
        make()
