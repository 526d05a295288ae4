"""Solids and what is cut by them, against counts and distances that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.spatial

from napari_subangstrom_cdi.core.crystal.habit import (
    Solid,
    cut_solid,
    equivalent_planes,
    faceted,
    point_group,
    sphere,
    truncated,
)
from napari_subangstrom_cdi.core.crystal.nanocrystal import Boundary, shortest_bond_angstrom
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal
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
    assert cube.area_angstrom2() == pytest.approx(6 * 40.0**2) and len(cube.vertices()) == 8
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
    boundary = Boundary.edge_on(90.0, 3.0, (1.6, 0.0))
    whole, split = (cut_solid(made, orientation, sphere(50.0), boundary=given) for given in (None, boundary))
    near, far = split.positions_angstrom[:, 1] < 2.9, split.positions_angstrom[:, 1] > 3.0
    tree = scipy.spatial.cKDTree(whole.positions_angstrom)
    assert tree.query(split.positions_angstrom[near])[0].max() < 1e-9
    moved_back = split.positions_angstrom[far] - (1.6, 0, 0)
    inner = np.linalg.norm(moved_back, axis=1) < 22
    assert tree.query(moved_back[inner])[0].max() < 1e-9
    closest = scipy.spatial.cKDTree(split.positions_angstrom).query(split.positions_angstrom, 2)[0][:, 1].min()
    assert closest > 0.7 * shortest_bond_angstrom(made)


def test_a_turn_of_180_degrees_about_111_is_the_twin_of_gold():
    """Across the boundary the stacking ABCABC becomes ABCBA; every atom keeps twelve neighbours."""
    gold = crystal("Au")
    twin = Boundary((0, 0, 1), 0.0, rotation_deg=(0, 0, 180))
    atoms = cut_solid(gold, Orientation((1, 1, 1)), sphere(44.0), boundary=twin)
    bond = 4.0782 / math.sqrt(2)
    tree = scipy.spatial.cKDTree(atoms.positions_angstrom)
    inner = atoms.positions_angstrom[np.linalg.norm(atoms.positions_angstrom, axis=1) < 18]
    assert set(map(len, tree.query_ball_point(inner, 1.01 * bond))) == {13}
    distances = tree.query(inner, 13)[0]
    np.testing.assert_allclose(distances[:, 1:], bond, rtol=1e-6)
    for height, is_hexagonal in ((0.0, True), (4.0782 / math.sqrt(3), False), (-4.0782 / math.sqrt(3), False)):
        layer = inner[np.abs(inner[:, 2] - height) < 0.1]
        assert len(layer) > 5
        for atom in layer:
            around = atoms.positions_angstrom[tree.query_ball_point(atom, 1.01 * bond)] - atom
            above, below = around[around[:, 2] > 1, :2], around[around[:, 2] < -1, :2]
            assert len(above) == len(below) == 3
            # in hexagonal surroundings those above stand over those below, in cubic ones over the gaps
            gap = scipy.spatial.cKDTree(below).query(above)[0]
            np.testing.assert_allclose(gap, 0 if is_hexagonal else bond / math.sqrt(3), atol=1e-6)


def truncated_octahedron(**options):
    return faceted(crystal("Au"), {(1, 1, 1): 20.0, (1, 0, 0): 20 * 2 / math.sqrt(3)}, **options)


def test_the_regular_truncated_octahedron():
    """Distances as √3 : 2 make all edges equal, a: V = 8√2 a³, hexagons (6 + 12√3) a² in all with the squares."""
    body = truncated_octahedron()
    edge = 20 * math.sqrt(2 / 3)
    assert len(body.vertices()) == 24 and sorted(map(len, body.faces())) == [4] * 6 + [6] * 8
    assert body.volume_angstrom3() == pytest.approx(8 * math.sqrt(2) * edge**3)
    assert body.area_angstrom2() == pytest.approx((6 + 12 * math.sqrt(3)) * edge**2)
    areas = body.form_areas_angstrom2()
    assert areas["{1 0 0}"] == pytest.approx(6 * edge**2)
    assert areas["{1 1 1}"] == pytest.approx(12 * math.sqrt(3) * edge**2)
    lengths = [np.linalg.norm(face - np.roll(face, 1, axis=0), axis=1) for face in body.faces()]
    np.testing.assert_allclose(np.concatenate(lengths), edge, rtol=1e-6)


def test_the_magic_truncated_octahedron_of_201_atoms():
    """Three atoms along each edge, 201 in all (A. L. Mackay, Acta Cryst. 15 (1962) 916)."""
    layer = 4.0782 / math.sqrt(3)
    body = faceted(crystal("Au"), {(1, 1, 1): 3.1 * layer, (1, 0, 0): 4.1 * 4.0782 / 2})
    atoms = cut_solid(crystal("Au"), Orientation((1, 1, 0), 20.0), body)
    assert len(atoms.numbers) == 201


def enclosed(surface):
    """Volume and area by the divergence theorem; the volume is positive if all triangles face outward."""
    a, b, c = (surface.vertices_angstrom[surface.triangles[:, k]] for k in range(3))
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6, np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def test_surfaces_enclose_the_body_and_know_their_facets():
    for body, share in (
        (truncated_octahedron(), 1e-9),
        (truncated_octahedron(rounding_angstrom=5.0), 3e-3),
        (truncated_octahedron(radius_angstrom=22.0), 3e-3),
        (sphere(40.0), 3e-3),
    ):
        surface = body.surface()
        volume, area = enclosed(surface)
        assert volume == pytest.approx(body.volume_angstrom3(), rel=share)
        assert area == pytest.approx(body.area_angstrom2(), rel=share)
        flat = surface.facets >= 0
        heights = np.einsum("ij,ij->i", surface.vertices_angstrom[flat], body.normals[surface.facets[flat]])
        np.testing.assert_allclose(heights, body.distances_angstrom[surface.facets[flat]], atol=2e-3)
        assert flat.all() == (share < 1e-6) and flat.any() == (len(body.normals) > 0)


def test_a_cube_in_a_ball_and_a_cube_with_round_edges_by_hand():
    cut_ball = faceted(crystal("Au"), {(1, 0, 0): 20.0}, radius_angstrom=24.0)
    cap = 24.0 - 20.0
    volume = 4 / 3 * math.pi * 24.0**3 - 6 * math.pi * cap**2 * (3 * 24.0 - cap) / 3
    area = 4 * math.pi * 24.0**2 - 6 * 2 * math.pi * 24.0 * cap + 6 * math.pi * (24.0**2 - 20.0**2)
    assert cut_ball.volume_angstrom3() == pytest.approx(volume, rel=2e-3)
    assert cut_ball.area_angstrom2() == pytest.approx(area, rel=2e-3)
    soft = faceted(crystal("Au"), {(1, 0, 0): 20.0}, rounding_angstrom=6.0)
    inner, r = 28.0, 6.0
    assert soft.volume_angstrom3() == pytest.approx(
        inner**3 + 6 * inner**2 * r + 3 * math.pi * inner * r**2 + 4 / 3 * math.pi * r**3
    )
    assert soft.area_angstrom2() == pytest.approx(6 * inner**2 + 6 * math.pi * inner * r + 4 * math.pi * r**2)
    corner = np.array([1, 1, 1]) * (14.0 + 6.0 / math.sqrt(3))
    assert soft.contains(np.stack([0.999 * corner, 1.001 * corner])).tolist() == [True, False]
    half_edge = np.array([1, 1, 0]) * (14.0 + 6.0 / math.sqrt(2)) + (0, 0, 10.0)
    assert soft.contains(np.stack([0.999 * half_edge, 1.003 * half_edge])).tolist() == [True, False]
    assert soft.scaled(0.5).volume_angstrom3() == pytest.approx(soft.volume_angstrom3() / 8)


def test_polar_ends_of_wurtzite_are_ended_by_their_own_atoms():
    """A prism along c whose ends lie just outside a layer: cadmium ends one, sulphur the other."""
    made = crystal("CdS-wurtzite")
    heights = {number: (made.fractional[made.numbers == number, 2] * made.cell_angstrom[2, 2]) for number in (48, 16)}
    top = heights[48].max() + 3 * made.cell_angstrom[2, 2] + 0.05
    bottom = -(heights[16].min() - 3 * made.cell_angstrom[2, 2]) + 0.05
    body = faceted(made, {(1, 0, 0): 16.0, (0, 0, 1): top, (0, 0, -1): bottom})
    assert len(body.normals) == 8 and set(body.forms) == {"{1 0 0}", "{0 0 1}", "{0 0 -1}"}
    atoms = cut_solid(made, UP, body)
    z = -atoms.positions_angstrom[:, 2]  # the zone points to the source
    assert set(atoms.numbers[z > z.max() - 0.01]) == {48} and set(atoms.numbers[z < z.min() + 0.01]) == {16}


def test_a_plane_more_cuts_one_side_off():
    gold = crystal("Au")
    cube = faceted(gold, {(1, 0, 0): 20.0})
    half = truncated(cube, gold, {(1, 0, 0): 5.0})
    assert half.volume_angstrom3() == pytest.approx(40.0**2 * 25.0)
    assert half.forms[-1] == "(1 0 0)"
    every = truncated(cube, gold, {(1, 1, 1): 25.0}, symmetric=True)
    assert len(every.normals) == 14 and len(every.vertices()) == 24
    hemisphere = truncated(sphere(40.0), gold, {(0, 0, 1): 1e-6})
    assert hemisphere.volume_angstrom3() == pytest.approx(2 / 3 * math.pi * 20.0**3, rel=2e-3)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: sphere(-1.0), "not outside"),
        (lambda: Solid(np.array([[0, 0, 1.0]]), np.array([5.0])), "do not close"),
        (lambda: faceted(crystal("Au"), {(1, 0, 0): 0.0}), "not outside"),
        (lambda: faceted(crystal("Au"), {(0, 0, 0): 5.0}), "no Miller indices"),
        (lambda: faceted(crystal("Au"), {(1, 0, 0): math.nan}), "not finite"),
        (lambda: faceted(crystal("Au"), {(1, 0, 0): 5.0}, rounding_angstrom=5.0), "leaves nothing"),
        (lambda: faceted(crystal("CdS-wurtzite"), {(0, 0, 1): 5.0, (1, 0, 0): 5.0}), "do not close"),
        (lambda: Solid(np.eye(3), np.ones(2)), "do not belong"),
        (lambda: sphere(math.inf), "do not close"),
        (lambda: cut_solid(crystal("Au"), UP, sphere(0.01), origin_angstrom=(1, 1, 1)), "no atom"),
        (lambda: cut_solid(crystal("Au"), UP, sphere(3000.0)), "too many atoms"),
    ],
)
def test_what_makes_no_sense_is_said(make, said):
    with pytest.raises(InputError, match=said):
        make()
