"""Crystals from CIFs, whose symmetry is stated in many ways."""

from __future__ import annotations

import re

import ase.build
import ase.spacegroup
import numpy as np
import pytest

from napari_subangstrom_cdi.core.crystal.scattering import structure_factors
from napari_subangstrom_cdi.core.crystal.unit_cell import crystal
from napari_subangstrom_cdi.errors import InputError, QualityWarning, collected_doubts

CELL = """
_cell_length_a 3.9628(7)
_cell_length_b 13.855(3)
_cell_length_c 3.6964(6)
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
"""
# MoO3 in the setting of its first description, H. Seiler et al., sites on the mirror at z = 1/4.
ATOMS = """
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Mo1 Mo6+ 0.0867(1) 0.1016(1) 0.25
O1 O2- 0.4994(9) 0.4351(2) 0.25
O2 O2- 0.5212(9) 0.0866(2) 0.25
O3 O2- 0.0373(9) 0.2214(2) 0.25
"""
OPERATIONS = """
loop_
_symmetry_equiv_pos_as_xyz
'x, y, z'
'-x, -y, -z'
'-x, -y, z+1/2'
'x, y, -z+1/2'
'x+1/2, -y+1/2, -z'
'-x+1/2, y+1/2, z'
'-x+1/2, y+1/2, -z+1/2'
'x+1/2, -y+1/2, z+1/2'
"""
SPELLINGS = {
    "spaced": "_symmetry_space_group_name_H-M 'P b n m'",
    "joined": "_symmetry_space_group_name_H-M Pbnm",
    "new tag": "_space_group_name_H-M_alt 'P b n m'",
    "underscores": "_symmetry_space_group_name_H-M P_b_n_m",
    "lower case": "_symmetry_space_group_name_H-M pbnm",
    "upper-case tag": "_SYMMETRY_SPACE_GROUP_NAME_H-M 'P b n m'",
    "with its number": "_symmetry_space_group_name_H-M 'P b n m (62)'\n_symmetry_Int_Tables_number 62",
    "Hall symbol alone": "_space_group_name_Hall '-P 2c 2ab'",
    "Hall symbol and a name that is none": "_space_group_name_Hall '-P 2c 2ab'\n_space_group_name_H-M_alt '?'",
    "operations alone": OPERATIONS,
    "operations without spaces": OPERATIONS.replace(", ", ","),
    "operations the other way round": re.sub(r"(-?)([xyz])\+1/2", lambda m: f"1/2{m[1] or '+'}{m[2]}", OPERATIONS),
    "operations by their new tag": OPERATIONS.replace("_symmetry_equiv_pos_as", "_space_group_symop_operation"),
    "operations and a name of its own": OPERATIONS + "_symmetry_space_group_name_H-M 'setting of the author'",
}


def written(tmp_path, *parts, name="MoO3"):
    path = tmp_path / f"{name}.cif"
    path.write_text("\n".join((f"data_{name}", *parts)) + "\n", encoding="utf-8")
    return path


def factors(found):
    hkl = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    return structure_factors(found, hkl @ found.reciprocal_per_angstrom, 0.5)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The same made by ASE from the operations of Pnma, its axes exchanged."""
    sites = [(0.0867, 0.1016, 0.25), (0.4994, 0.4351, 0.25), (0.5212, 0.0866, 0.25), (0.0373, 0.2214, 0.25)]
    in_pnma = [(y, z, x) for x, y, z in sites]
    made = ase.spacegroup.crystal(
        ["Mo", "O", "O", "O"], in_pnma, spacegroup=62, cellpar=[13.855, 3.6964, 3.9628, 90, 90, 90]
    )
    scaled = made.get_scaled_positions()
    return made.numbers, scaled[:, [2, 0, 1]]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_gives_the_same_structure(tmp_path, reference, spelling):
    found = crystal(written(tmp_path, CELL, SPELLINGS[spelling], ATOMS))
    assert found.name == "MoO3"
    np.testing.assert_allclose(found.cell_angstrom, np.diag([3.9628, 13.855, 3.6964]), atol=1e-12)
    assert sorted(found.numbers) == [8] * 12 + [42] * 4
    numbers, positions = reference
    for number, position in zip(numbers, positions, strict=True):
        apart = found.fractional[found.numbers == number] - position
        assert np.abs(apart - np.round(apart)).max(axis=1).min() < 1e-9
    usual = crystal(written(tmp_path, CELL, SPELLINGS["spaced"], ATOMS, name="usual"))
    np.testing.assert_allclose(factors(found), factors(usual), atol=1e-6)


def test_a_cif_that_ase_wrote_is_read_as_it_was(tmp_path):
    made = ase.build.bulk("CdS", "wurtzite", a=4.1367, c=6.7161, u=0.377)
    made.write(tmp_path / "CdS.cif", format="cif")
    found, built_in = crystal(tmp_path / "CdS.cif"), crystal("CdS-wurtzite")
    np.testing.assert_allclose(found.cell_angstrom, built_in.cell_angstrom, atol=1e-4)
    np.testing.assert_allclose(np.abs(factors(found)), np.abs(factors(built_in)), atol=1e-2)


def test_rounded_coordinates_stay_on_their_special_place(tmp_path):
    cell = CELL.replace("3.9628(7)", "4.1367").replace("13.855(3)", "4.1367").replace("3.6964(6)", "6.7161")
    cell = cell.replace("gamma 90", "gamma 120")
    atoms = ATOMS.partition("Mo1")[0] + "Cd1 Cd 0.3333 0.6667 0\nS1 S 0.333 0.667 0.377\n"
    found = crystal(written(tmp_path, cell, "_symmetry_space_group_name_H-M 'P 63 m c'", atoms))
    assert len(found.numbers) == 4
    np.testing.assert_allclose(np.sort(found.fractional[:, 0]), [1 / 3, 1 / 3, 2 / 3, 2 / 3], atol=1e-9)


@pytest.mark.parametrize("name", ["F d -3 m", "Fd-3m", "F d -3 m :1", "F d -3 m S", "F d -3 m Z", "Fd3m"])
@pytest.mark.parametrize("place", [0.0, 0.125])
def test_diamond_has_eight_atoms_whichever_origin_is_meant(tmp_path, name, place):
    cell = CELL.replace("3.9628(7)", "3.5668").replace("13.855(3)", "3.5668").replace("3.6964(6)", "3.5668")
    atoms = ATOMS.partition("Mo1")[0] + f"C1 C {place} {place} {place}\n"
    path = written(tmp_path, cell, f"_symmetry_space_group_name_H-M '{name}'", atoms)
    stated = name[-1] in "1SZ"
    if not stated:
        with pytest.warns(QualityWarning, match="leaves the origin open"):
            found = crystal(path)
        assert len(found.numbers) == 8
    elif (name[-1] == "Z") == bool(place):
        assert len(crystal(path).numbers) == 8


def test_rhombohedral_axes_are_known_by_the_cell(tmp_path):
    name, atoms = "_symmetry_space_group_name_H-M 'R -3 m'", ATOMS.partition("Mo1")[0] + "Bi1 Bi 0 0 0.234\n"
    hexagonal = CELL.replace("3.9628(7)", "4.546").replace("13.855(3)", "4.546").replace("3.6964(6)", "11.862")
    assert len(crystal(written(tmp_path, hexagonal.replace("gamma 90", "gamma 120"), name, atoms)).numbers) == 6
    lengths = CELL.replace("3.9628(7)", "4.746").replace("13.855(3)", "4.746").replace("3.6964(6)", "4.746")
    atoms = atoms.replace("0 0 0.234", "0.234 0.234 0.234")
    assert len(crystal(written(tmp_path, lengths.replace(" 90", " 57.2"), name, atoms)).numbers) == 2


def test_of_several_structures_one_is_named(tmp_path):
    first = written(tmp_path, CELL, SPELLINGS["spaced"], ATOMS, name="low").read_text()
    second = first.replace("data_low", "data_high").replace("3.9628(7)", "4.1")
    path = tmp_path / "both.cif"
    path.write_text("data_global\n_publ_author_name Seiler\n" + first + second)
    with pytest.raises(InputError, match=r"holds 2 structures: low, high; name one, as .*both\.cif::low"):
        crystal(path)
    assert crystal(f"{path}::HIGH").cell_angstrom[0, 0] == pytest.approx(4.1)
    with pytest.raises(InputError, match="holds no structure 'middle'; it holds low, high"):
        crystal(f"{path}::middle")


def test_a_file_in_utf16_is_read(tmp_path):
    path = written(tmp_path, CELL, SPELLINGS["spaced"], ATOMS)
    path.write_text(path.read_text(), encoding="utf-16")
    assert len(crystal(path).numbers) == 16


def test_what_is_listed_twice_counts_once(tmp_path):
    twice = ATOMS + "Mo2 Mo6+ -0.0867 -0.1016 0.75\n"
    assert len(crystal(written(tmp_path, CELL, SPELLINGS["joined"], twice)).numbers) == 16


@pytest.mark.parametrize(
    ("parts", "words", "atoms"),
    [
        ((CELL, ATOMS), "states no symmetry", 4),
        (
            (CELL, SPELLINGS["joined"], "_space_group_symop_operation_xyz 'x,y,z'", ATOMS),
            "the space group Pbnm",
            16,
        ),
        ((CELL, OPERATIONS.rpartition("'-x+1/2, y+1/2, -z+1/2'")[0], ATOMS), "not all of a group", 16),
        ((CELL, "_symmetry_Int_Tables_number 62", ATOMS), "usual setting P n m a is taken", 32),
        ((CELL, SPELLINGS["joined"], ATOMS + "O4 O2- ? ? ?\n"), "O4 without coordinates", 16),
    ],
)
def test_what_is_incomplete_is_doubted(tmp_path, parts, words, atoms):
    with collected_doubts() as doubts:
        assert len(crystal(written(tmp_path, *parts)).numbers) == atoms
    assert doubts[0].startswith("MoO3.cif: ") and words in doubts[0]


def test_of_elements_that_share_a_place_the_one_that_has_most_is_taken(tmp_path):
    atoms = ATOMS.replace("_z\n", "_z\n_atom_site_occupancy\n").replace(" 0.25\n", " 0.25 1\n")
    atoms = atoms.replace("0.25 1\nO1", "0.25 0.3\nW1 W 0.0867 0.1016 0.25 0.7\nO1")
    with pytest.warns(QualityWarning, match=r"W1 \(0\.7\) are not fully occupied"):
        found = crystal(written(tmp_path, CELL, SPELLINGS["joined"], atoms))
    assert set(found.numbers) == {8, 74} and len(found.numbers) == 16


def test_atoms_on_top_of_each_other_are_doubted(tmp_path):
    with pytest.warns(QualityWarning, match=r"two atoms are 0\.\d\d Å apart"):
        crystal(written(tmp_path, CELL, SPELLINGS["joined"], ATOMS + "O4 O2- 0.09 0.112 0.25\n"))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((CELL.replace("_cell_length_b", "_other"), SPELLINGS["joined"], ATOMS), "_cell_length_b is missing"),
        ((CELL.replace("13.855(3)", "0"), SPELLINGS["joined"], ATOMS), "_cell_length_b is 0, which is impossible"),
        (
            (CELL.replace("alpha 90", "alpha 150").replace("beta 90", "beta 30"), SPELLINGS["joined"], ATOMS),
            "close no cell",
        ),
        ((CELL, SPELLINGS["joined"]), "no atoms"),
        ((CELL, SPELLINGS["joined"], ATOMS.replace("fract", "Cartn")), "no fractional coordinates"),
        ((CELL, SPELLINGS["joined"], ATOMS.replace("Mo1 Mo6+", "X1 Xx")), "'X1' is of no known element"),
        ((CELL, "_symmetry_space_group_name_H-M 'P q r s'", ATOMS), "'P q r s', which is not known"),
        ((CELL, "_space_group_symop_operation_xyz 'x,y,w'", ATOMS), "'x,y,w' is no symmetry operation"),
        (
            (
                CELL,
                ATOMS.rpartition("0.25")[0],
            ),
            "cannot be read as a CIF",
        ),
        ((CELL, SPELLINGS["joined"], ATOMS.partition("Mo1")[0] + "Mo1 Mo ? ? ?\n"), "none of its atoms"),
    ],
)
@pytest.mark.filterwarnings("ignore::napari_subangstrom_cdi.errors.QualityWarning")
def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path, parts, words):
    with pytest.raises(InputError, match=words) as caught:
        crystal(written(tmp_path, *parts))
    assert "MoO3.cif: " in str(caught.value) and "\n" not in str(caught.value)
