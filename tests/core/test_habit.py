"""Solids and what is cut by them, against counts and distances that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.spatial

from napari_subangstrom_cdi.core.crystal import Orientation, crystal
from napari_subangstrom_cdi.core.habit import (
    Solid,
    cut_solid,
    equivalent_planes,
    faceted,
    point_group,
    shortest_bond_angstrom,
    sphere,
)
from napari_subangstrom_cdi.core.lattice_shift import Fault
from napari_subangstrom_cdi.errors import InputError

UP = Orientation((0, 0, 1))


@pytest.mark.parametrize("name", ["Au", "CdS-wurtzite", "MgO", "TiO2-rutile"])
def test_a_sphere_holds_as_many_atoms_as_its_volume(name):
    made = crystal(name)
    atoms = cut_solid(made, UP, sphere(60.0))
    expected = math.pi / 6 * 60.0**3 * len(made.numbers) / made.volume
    assert len(atoms.numbers) == pytest.approx(expected, rel=0.02)
    assert np.linalg.norm(atoms.positions_angstrom, axis=1).max() <= 30.0 + 1e-9


def test_neighbours_are_the_crystals():
    made = crystal("CdS-zincblende")
    atoms = cut_solid(made, Orientation((1, 1, 2), 33.0, (0.5, -1.0)), sphere(40.0))
    distances, index = scipy.spatial.cKDTree(atoms.positions_angstrom).query(atoms.positions_angstrom, 5)
    bond = math.sqrt(3) / 4 * 5.832
    inner = np.linalg.norm(atoms.positions_angstrom, axis=1) < 15
    np.testing.assert_allclose(distances[inner, 1:], bond, rtol=1e-6)
    assert (atoms.numbers[index[inner, 1:]] != atoms.numbers[inner, None]).all()  # Cd has S around it
    assert shortest_bond_angstrom(made) == pytest.approx(bond)


@pytest.mark.parametrize(("name", "operations"), [("Au", 48), ("CdS-zincblende", 24), ("CdS-wurtzite", 12)])
def test_point_groups(name, operations):
    assert len(point_group(crystal(name))) == operations


def test_forms_of_facets():
    assert len(equivalent_planes(crystal("Au"), (1, 1, 1))) == 8
    assert len(equivalent_planes(crystal("Au"), (1, 0, 0))) == 6
    polar = equivalent_planes(crystal("CdS-zincblende"), (1, 1, 1))
    assert len(polar) == 4 and (-1, -1, -1) not in polar
    assert equivalent_planes(crystal("CdS-wurtzite"), (0, 0, 1)) == [(0, 0, 1)]


def test_a_cube_and_an_octahedron():
    gold = crystal("Au")
    cube = faceted(gold, {(1, 0, 0): 20.0})
    assert cube.volume_angstrom3() == pytest.approx(40.0**3)
    assert cube.reach_angstrom == pytest.approx(20 * math.sqrt(3))
    corners, triangles = cube.triangles()
    assert corners.shape == (8, 3) and triangles.shape == (12, 3)
    octahedron = faceted(gold, {(1, 1, 1): 20.0})
    assert octahedron.volume_angstrom3() == pytest.approx(4 * math.sqrt(3) * 20.0**3)
    # at (100)/(111) = √3 the octahedron's corners are just reached; below they are cut off
    assert len(faceted(gold, {(1, 1, 1): 20.0, (1, 0, 0): 20 * 1.5}).vertices()) == 24
    truncated = faceted(gold, {(1, 1, 1): 20.0, (1, 0, 0): 20 * 1.5})
    assert truncated.volume_angstrom3() < octahedron.volume_angstrom3()


def test_a_radius_rounds_corners():
    gold = crystal("Au")
    sharp, blunt = (faceted(gold, {(1, 0, 0): 20.0}, radius_angstrom=radius) for radius in (math.inf, 24.0))
    assert len(cut_solid(gold, UP, blunt).numbers) < len(cut_solid(gold, UP, sharp).numbers)
    assert np.linalg.norm(cut_solid(gold, UP, blunt).positions_angstrom, axis=1).max() <= 24.0 + 1e-9


def test_a_boundary_shifts_what_lies_beyond_and_no_atoms_overlap():
    made = crystal("CdS-zincblende")
    orientation = Orientation((1, 1, 2), 15.0)
    fault = Fault(90.0, 3.0, (1.6, 0.0), 0.0)
    whole, split = (cut_solid(made, orientation, sphere(50.0), fault=given) for given in (None, fault))
    near, far = split.positions_angstrom[:, 1] < 2.9, split.positions_angstrom[:, 1] > 3.0
    tree = scipy.spatial.cKDTree(whole.positions_angstrom)
    assert tree.query(split.positions_angstrom[near])[0].max() < 1e-9
    moved_back = split.positions_angstrom[far] - (1.6, 0, 0)
    inner = np.linalg.norm(moved_back, axis=1) < 22
    assert tree.query(moved_back[inner])[0].max() < 1e-9
    closest = scipy.spatial.cKDTree(split.positions_angstrom).query(split.positions_angstrom, 2)[0][:, 1].min()
    assert closest > 0.7 * shortest_bond_angstrom(made)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: sphere(-1.0), "not outside"),
        (lambda: Solid(np.array([[0, 0, 1.0]]), np.array([5.0])), "do not close"),
        (lambda: faceted(crystal("Au"), {(1, 0, 0): 0.0}), "not outside"),
        (lambda: cut_solid(crystal("Au"), UP, sphere(0.01), origin_angstrom=(1, 1, 1)), "no atom"),
        (lambda: cut_solid(crystal("Au"), UP, sphere(3000.0)), "too many atoms"),
    ],
)
def test_what_makes_no_sense_is_said(make, said):
    with pytest.raises(InputError, match=said):
        make()
