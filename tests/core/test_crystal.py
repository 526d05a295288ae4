"""Crystals, zones and orientations against crystallography by hand."""

from __future__ import annotations

import math

import ase.build
import ase.data
import ase.io
import gemmi
import numpy as np
import pytest
from scipy import constants

from napari_subangstrom_cdi.core.crystal.scattering import electron_scattering_factor, structure_factors
from napari_subangstrom_cdi.core.crystal.unit_cell import (
    Crystal,
    Orientation,
    crystal,
    crystal_names,
    first_reflection,
    zone_axis,
)
from napari_subangstrom_cdi.errors import InputError

# g/cm3 by X-rays, of handbooks: a wrong cell, basis or count of atoms shows here
DENSITIES = {"CdS-wurtzite": 4.82, "CdS-zincblende": 4.83, "PbS": 7.60, "Au": 19.3, "Si": 2.33,
             "MgO": 3.58, "TiO2-rutile": 4.25, "CeO2": 7.22, "ZnO-wurtzite": 5.68, "Pt": 21.4, "Fe": 7.87,
             "C-diamond": 3.51}  # fmt: skip


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_are_those_of_the_handbook(name):
    found = crystal(name)
    mass = sum(ase.data.atomic_masses[number] for number in found.numbers) * 1.66054
    assert mass / found.volume == pytest.approx(DENSITIES[name], rel=0.01)


@pytest.mark.parametrize("name", crystal_names())
def test_no_two_atoms_are_closer_than_atoms_are(name):
    found = crystal(name)
    atoms = ase.Atoms(found.numbers, scaled_positions=found.fractional, cell=found.cell_angstrom, pbc=True)
    near = atoms.repeat(2).get_all_distances(mic=True)
    assert near[near > 0].min() > 1.5


def test_names_are_found_in_any_case_and_others_are_told_what_there_is():
    assert crystal("cds-WURTZITE").name == "CdS-wurtzite"
    with pytest.raises(InputError, match="CdS-wurtzite or CdS-zincblende"):
        crystal("CdS")
    with pytest.raises(InputError, match="path of a CIF"):
        crystal("unobtainium")


def test_a_cif_is_read(tmp_path):
    path = tmp_path / "gold.cif"
    ase.io.write(path, ase.build.bulk("Au", "fcc", a=4.0782, cubic=True))
    found = crystal(path)
    np.testing.assert_allclose(np.linalg.norm(found.cell_angstrom, axis=1), 4.0782)
    assert found.name == "gold" and set(found.numbers) == {79} and len(found.numbers) == 4


@pytest.mark.parametrize("text", ["", "no crystal at all", "data_x\n_cell_length_a 3\n"])
def test_a_file_that_is_no_cif_is_said(tmp_path, text):
    path = tmp_path / "bad.cif"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bad\.cif"):
        crystal(path)
    with pytest.raises(InputError, match=r"none\.cif"):
        crystal(tmp_path / "none.cif")


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("1 1 2", (1, 1, 2)),
        ("[112]", (1, 1, 2)),
        ("<1,-1,0>", (1, -1, 0)),
        ("2 2 4", (1, 1, 2)),
        ("0001", (0, 0, 1)),
        ("[11-20]", (1, 1, 0)),
        ("1 -1 0 0", (1, -1, 0)),
        ("1 0 -1 0", (2, 1, 0)),
    ],
)
def test_zone_axes_with_three_and_four_indices(text, zone):
    assert zone_axis(text) == zone


@pytest.mark.parametrize("text", ["", "0 0 0", "1 1", "1 1 1 0", "a b c", "1 2 3 4 5", "1000 0 1"])
def test_what_is_no_zone_axis_is_said(text):
    with pytest.raises(InputError, match="--zone"):
        zone_axis(text)


def test_zone_points_to_the_source_and_the_first_reflection_lies_at_the_azimuth():
    gold = crystal("Au")
    for zone in ((0, 0, 1), (1, 1, 2), (1, -1, 0)):
        matrix = Orientation(zone, 30.0).matrix(gold)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1)
        np.testing.assert_allclose(matrix @ gold.zone_direction(zone), (0, 0, -1), atol=1e-12)
        x, y, z = matrix @ first_reflection(gold, zone)
        assert math.degrees(math.atan2(y, x)) == pytest.approx(30) and z == pytest.approx(0, abs=1e-12)


def test_tilt_leans_the_columns():
    matrix = Orientation((0, 0, 1), 0.0, (-0.5, 2.0)).matrix(crystal("Au"))
    column = matrix @ (0, 0, -1)  # down the zone
    assert math.degrees(math.atan(column[0] / column[2])) == pytest.approx(2.0, abs=2e-3)
    assert math.degrees(math.atan(column[1] / column[2])) == pytest.approx(0.5, abs=2e-3)


def test_reflections_of_a_zone_obey_its_law():
    hkl, g = crystal("Si").reflections((1, 1, 2), 1.0)
    assert not (hkl @ (1, 1, 2)).any() and np.linalg.norm(g, axis=1).max() <= 1.0
    assert (1, 1, -1) in set(map(tuple, hkl)) and (2, 2, -2) in set(map(tuple, hkl))


def test_structure_factors_of_diamond_and_zinc_blende():
    silicon = crystal("Si")
    hkl = np.array([[1, 1, 1], [2, 0, 0], [2, 2, 0], [1, 0, 0], [2, 2, 2]])
    factors = structure_factors(silicon, hkl @ silicon.reciprocal_per_angstrom, 0.0)
    f = electron_scattering_factor(14, np.linalg.norm(hkl @ silicon.reciprocal_per_angstrom, axis=1))
    np.testing.assert_allclose(np.abs(factors) / f, [4 * math.sqrt(2), 0, 8, 0, 0], atol=1e-9)


def test_debye_waller_factor_damps_by_its_definition():
    gold = crystal("Au")
    g = np.array([[0.0, 0.0, 0.8]])
    ratio = structure_factors(gold, g, 2.0) / structure_factors(gold, g, 0.0)
    assert abs(ratio[0]) == pytest.approx(math.exp(-2.0 * 0.8**2 / 4))


@pytest.mark.parametrize("number", [8, 16, 48, 79])
def test_scattering_factors_are_those_that_x_rays_see_by_mott_and_bethe(number):
    """f_e = m e² / (8π ε0 h²) (Z − f_x) / s², with the X-ray factors of another table."""
    prefactor = constants.m_e * constants.e**2 / (8 * math.pi * constants.epsilon_0 * constants.h**2) * 1e-10
    q = np.array([0.4, 0.7, 1.0, 1.3])
    x_rays = np.array([gemmi.Element(number).it92.calculate_sf(s2) for s2 in (q / 2) ** 2])
    expected = prefactor * (number - x_rays) / (q / 2) ** 2
    np.testing.assert_allclose(electron_scattering_factor(number, q), expected, rtol=0.04)


def test_an_element_without_a_table_is_said():
    with pytest.raises(InputError):
        electron_scattering_factor(120, np.array([0.0]))


def test_a_cell_that_is_scaled_keeps_its_atoms():
    gold = crystal("Au")
    larger = gold.scaled(1.02)
    assert isinstance(larger, Crystal) and larger.volume == pytest.approx(gold.volume * 1.02**3)
    np.testing.assert_array_equal(larger.fractional, gold.fractional)


def test_a_strained_cell_stretches_along_the_strain_alone():
    gold = crystal("Au")
    strain = np.diag([0.02, 0.0, -0.01])
    found = gold.strained(strain)
    np.testing.assert_allclose(np.linalg.norm(found.cell_angstrom, axis=1), 4.0782 * np.array([1.02, 1.0, 0.99]))
    sheared = gold.strained(np.array([[0, 0.01, 0], [0.01, 0, 0], [0, 0, 0]]))
    a, b, _ = sheared.cell_angstrom
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert math.degrees(math.acos(cosine)) == pytest.approx(90 - math.degrees(2 * math.atan(0.01)))
    assert gold.strained(0.02 * np.eye(3)).volume == pytest.approx(gold.scaled(1.02).volume)


@pytest.mark.parametrize(
    ("strain", "said"),
    [
        (np.zeros((2, 2)), "no strain tensor"),
        (np.triu(np.full((3, 3), 0.01)), "no strain tensor"),
        (np.full((3, 3), np.nan), "no strain tensor"),
        (2 * np.eye(3), "50 %"),
    ],
)
def test_what_is_no_strain_is_said(strain, said):
    with pytest.raises(InputError, match=said):
        crystal("Au").strained(strain)
