"""Atoms of a particle out and in again, read by other programs too; files that are damaged or something else."""

from __future__ import annotations

import math

import ase.build
import ase.io
import gemmi
import numpy as np
import pytest

from napari_subangstrom_cdi.core.crystal.habit import cut_solid, sphere
from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal
from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.io import atoms as atoms_module
from napari_subangstrom_cdi.io.atoms import FORMATS, read_atoms, write_atoms

PARTICLE = cut_solid(
    crystal("CdS-wurtzite"), Orientation((0, 0, 1), 17.0, (0.8, 0.3)), sphere(24.0), origin_angstrom=(0.3, 0.1, 5.0),
    b_factor=0.83,
)  # fmt: skip


def in_order(atoms: AtomicModel):
    """Elements and places in an order that no format changes."""
    places = np.round(atoms.positions_angstrom, 2)
    order = np.lexsort([*places.T, atoms.numbers])
    return atoms.numbers[order], atoms.positions_angstrom[order]


@pytest.mark.parametrize(("suffix", "precision"), [(".xyz", 1e-7), (".cif", 1e-7), (".pdb", 6e-4), (".PDB", 6e-4)])
def test_what_is_written_is_read_again(tmp_path, suffix, precision):
    path = tmp_path / f"particle{suffix}"
    write_atoms(path, PARTICLE)
    found = read_atoms(path)
    tree = {tuple(np.round(place, 1)) for place in PARTICLE.positions_angstrom}
    assert len(tree) == len(PARTICLE.numbers)  # no two atoms are taken for one another
    nearest = np.linalg.norm(found.positions_angstrom[:, None] - PARTICLE.positions_angstrom[None], axis=2)
    assert nearest.min(axis=1).max() < 2 * precision
    np.testing.assert_array_equal(found.numbers, PARTICLE.numbers[nearest.argmin(axis=1)])
    assert len(set(nearest.argmin(axis=1).tolist())) == len(PARTICLE.numbers)
    assert found.b_factor == pytest.approx(0.83, abs=1e-6)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_gemmi_reads_the_pdb_with_its_debye_waller_factors(tmp_path):
    write_atoms(tmp_path / "a.pdb", PARTICLE)
    atoms = [site.atom for site in gemmi.read_structure(str(tmp_path / "a.pdb"))[0].all()]
    assert len(atoms) == len(PARTICLE.numbers) and {atom.element.name for atom in atoms} == {"Cd", "S"}
    assert {round(atom.b_iso, 2) for atom in atoms} == {0.83}
    places = np.array([atom.pos.tolist() for atom in atoms])
    np.testing.assert_allclose(places.mean(axis=0), PARTICLE.positions_angstrom.mean(axis=0), atol=1e-3)


def test_ase_reads_the_cif_as_a_box_with_vacuum(tmp_path):
    part = AtomicModel(PARTICLE.numbers[:60], PARTICLE.positions_angstrom[:60], 0.83)
    write_atoms(tmp_path / "a.cif", part)
    atoms = ase.io.read(tmp_path / "a.cif")
    assert len(atoms) == 60
    np.testing.assert_allclose(atoms.cell.lengths(), 2 * (np.abs(part.positions_angstrom).max(axis=0) + 10.0))
    assert atoms.positions.min() > 9.99
    text = (tmp_path / "a.cif").read_text(encoding="utf-8")
    assert "_atom_site_B_iso_or_equiv" in text and "P 1" in text and max(map(len, text.splitlines())) < 200


def test_ase_reads_the_xyz(tmp_path):
    write_atoms(tmp_path / "a.xyz", PARTICLE)
    atoms = ase.io.read(tmp_path / "a.xyz")
    np.testing.assert_allclose(atoms.positions, PARTICLE.positions_angstrom, atol=1e-7)
    np.testing.assert_array_equal(atoms.numbers, PARTICLE.numbers)


def test_a_plain_xyz_and_its_middle(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("2\n\nCd 1 2 3\nS 5 2 3\n", encoding="utf-8")
    np.testing.assert_allclose(read_atoms(path).positions_angstrom, [[1, 2, 3], [5, 2, 3]])
    np.testing.assert_allclose(read_atoms(path, centred=True).positions_angstrom, [[-2, 0, 0], [2, 0, 0]])
    assert read_atoms(path).b_factor == 0
    boxed = '1\nLattice="40 0 0 0 40 0 0 0 20" Properties=species:S:1:pos:R:3 pbc="F F F"\nAu 21 19 10\n'
    path.write_text(boxed, encoding="utf-8")
    np.testing.assert_allclose(read_atoms(path).positions_angstrom, [[1, -1, 0]])


CIF = """data_part
_cell_length_a 60
_cell_length_b 60
_cell_length_c 60
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P -1'
loop_
_space_group_symop_operation_xyz
'x,y,z'
'-x,-y,-z'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
Cd1 Cd 0.45 0.5 0.5 0.01
S1 S 0.5 0.45 0.5 {second}
"""


def test_a_cif_with_symmetry_and_u(tmp_path):
    path = tmp_path / "part.cif"
    path.write_text(CIF.format(second="0.01"), encoding="utf-8")
    found = read_atoms(path)
    numbers, places = in_order(found)
    assert numbers.tolist() == [16, 16, 48, 48]
    np.testing.assert_allclose(places, [[0, -3, 0], [0, 3, 0], [-3, 0, 0], [3, 0, 0]], atol=1e-9)
    assert found.b_factor == pytest.approx(8 * math.pi**2 * 0.01)


def test_different_debye_waller_factors_are_said(tmp_path):
    path = tmp_path / "part.cif"
    path.write_text(CIF.format(second="0.03"), encoding="utf-8")
    with pytest.warns(QualityWarning, match=r"0\.79 to 2\.37"):
        assert read_atoms(path).b_factor == pytest.approx(8 * math.pi**2 * 0.02)


def test_a_pdb_of_more_atoms_than_it_numbers_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(atoms_module, "_PDB_SERIALS", len(PARTICLE.numbers) - 1)  # 100,000 atoms take seconds
    with pytest.warns(QualityWarning, match="numbers begin anew"):
        write_atoms(tmp_path / "many.pdb", PARTICLE)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_crystal_is_no_particle(tmp_path, suffix):
    gold = ase.build.bulk("Au", cubic=True)
    ase.io.write(tmp_path / f"gold{suffix}", gold, format=FORMATS[suffix])
    with pytest.raises(InputError, match=rf"gold\{suffix}: is a crystal without end.*give it as the crystal"):
        read_atoms(tmp_path / f"gold{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no atoms at all",
        b"\x89PNG\r\n\x1a\n\x00\x00",
        b"\xff\xfe\x00",
        b"99999999999999\n\nAu 0 0 0\n",
        b"-1\n\nAu 0 0 0\n",
        b"2\n\nAu 0 0 0\n",
        b"1\n\nAu 0 0\n",
        b"1\n\nAu 0 0 nan\n",
        b"1\n\nQq 0 0 0\n",
        b"1\n\nX 0 0 0\n",
        b"data_x\n_cell_length_a 3\n",
        b"data_x\nloop_\n_atom_site_label\n_atom_site_fract_x\nAu1 0.1\nAu2\n",
        b"data_x\n_cell_length_a nan\n_cell_length_b 5\n_cell_length_c 5\n_cell_angle_alpha 90\n"
        b"_cell_angle_beta 90\n_cell_angle_gamma 90\nloop_\n_atom_site_label\n_atom_site_fract_x\n"
        b"_atom_site_fract_y\n_atom_site_fract_z\nAu1 0 0 0\n",
        b"ATOM      1   Qq MOL     1       0.000   0.000   0.000  1.00  0.83          QQ\n",
        b"ATOM      1   Cd MOL     1       0.000   zero    0.000  1.00  0.83          CD\n",
        b"ATOM      1   Cd MOL     1  \n",
    ],
)
def test_a_file_that_is_no_such_file_is_said_with_its_name(tmp_path, suffix, content):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"bad\{suffix}: "):
        read_atoms(path)


def test_damaged_files_never_end_in_another_error(tmp_path):
    rng = np.random.default_rng(4)
    small = AtomicModel(PARTICLE.numbers[:40], PARTICLE.positions_angstrom[:40], 0.8)
    for suffix in FORMATS:
        path = tmp_path / f"a{suffix}"
        write_atoms(path, small)
        whole = path.read_bytes()
        for _ in range(25):
            damaged = bytearray(whole[: rng.integers(1, len(whole))])
            for place in rng.integers(0, len(damaged), 3):
                damaged[place] = rng.integers(256)
            path.write_bytes(damaged)
            try:
                found = read_atoms(path)
            except InputError as error:
                assert error.where == str(path)
            except QualityWarning:  # warnings are errors here: a changed factor is said
                pass
            else:
                assert np.isfinite(found.positions_angstrom).all() and (found.numbers > 0).all()


def test_paths_that_do_not_do(tmp_path):
    with pytest.raises(InputError, match=r"'\.dat' says no format.*\.xyz or \.cif or \.pdb"):
        write_atoms(tmp_path / "a.dat", PARTICLE)
    with pytest.raises(InputError, match="no suffix"):
        read_atoms(tmp_path / "a")
    with pytest.raises(InputError, match=r"missing\.xyz: No such file"):
        read_atoms(tmp_path / "missing.xyz")
    with pytest.raises(InputError, match="does not exist"):
        write_atoms(tmp_path / "none" / "a.xyz", PARTICLE)
    with pytest.raises(InputError, match="no atoms to write"):
        write_atoms(tmp_path / "a.xyz", AtomicModel(np.zeros(0, int), np.zeros((0, 3))))
    assert not list(tmp_path.iterdir())
