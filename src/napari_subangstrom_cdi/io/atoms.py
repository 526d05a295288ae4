"""Atoms of a particle as XYZ, CIF or PDB, through ASE; gemmi reads CIFs, because ASE takes minutes for 50,000 atoms."""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import ase.io
import gemmi
import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel
from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError, doubt

from .atomic import atomic_path

FORMATS = {".xyz": "extxyz", ".cif": "cif", ".pdb": "proteindatabank"}
"""ASE's name of each format, by suffix."""

_VACUUM_ANGSTROM = 10.0
_MOST_ATOMS = 5_000_000
_LARGEST_FILE = 2**29
_SHORTEST_LINE = 7  # bytes: an atom of an XYZ
_PDB_SERIALS = 99_999
_LEAST_GAP_ANGSTROM = 4.0
_ALIKE = 0.05


@dataclass(frozen=True)
class _Found:
    """What a file holds: atoms, its box (rows; None without), whether that repeats, and B of each atom."""

    numbers: NDArray[np.integer]
    positions: Float64
    box: Float64 | None
    repeats: bool
    factors: Float64


def check_atoms_path(path: str | os.PathLike[str]) -> Path:
    """The path, if its suffix names a format for atoms.

    Raises
    ------
    InputError
        If it does not.
    """
    final = Path(path)
    if final.suffix.lower() not in FORMATS:
        named = f"a suffix {final.suffix!r}" if final.suffix else "no suffix"
        raise InputError(
            f"{named} says no format for atoms", where=str(path), mend=f"end the name with {' or '.join(FORMATS)}"
        )
    return final


def write_atoms(path: str | os.PathLike[str], atoms: AtomicModel) -> None:
    """Write the atoms of a particle, whole or not at all.

    XYZ and PDB keep x, y, z from the field's middle. A CIF has a box with 10 Å of vacuum around, symmetry P1, whose
    middle is the field's. The Debye-Waller factor is in the B column of a PDB, with each atom of a CIF, and in the
    comment of an (extended) XYZ.

    Parameters
    ----------
    path : path-like
        Ends with ``.xyz``, ``.cif`` or ``.pdb``.
    atoms : AtomicModel
        The particle.

    Raises
    ------
    InputError
        If the suffix is another, there is no atom, or the file cannot be written.
    """
    final = check_atoms_path(path)
    if not len(atoms.numbers):
        raise InputError("there are no atoms to write", where=str(path), mend="cut a particle first")
    kind = FORMATS[final.suffix.lower()]
    # by element: ASE writes a formula in the atoms' order
    order = np.argsort(atoms.numbers, kind="stable")[::-1] if kind == "cif" else slice(None)
    made = ase.Atoms(atoms.numbers[order], positions=atoms.positions_angstrom[order])
    options: dict[str, Any] = {}
    if kind == "extxyz":
        made.info["b_factor_angstrom2"] = float(atoms.b_factor)
    elif kind == "cif":
        half = np.abs(atoms.positions_angstrom).max(axis=0) + _VACUUM_ANGSTROM
        made.cell[:] = np.diag(2 * half)
        made.positions += half
        factors = [f"{atoms.b_factor:.4f}"] * len(made)
        options = {"wrap": False, "loop_keys": {"atom_site_B_iso_or_equiv": [factors]}}
    else:
        made.arrays["bfactor"] = np.full(len(made), float(atoms.b_factor))
        if len(made) > _PDB_SERIALS:
            doubt(f"a PDB numbers {_PDB_SERIALS} atoms, and this particle has {len(made)}: the numbers begin anew")
    with atomic_path(final) as temporary:
        ase.io.write(temporary, made, format=kind, **options)


def read_atoms(path: str | os.PathLike[str], *, centred: bool = False) -> AtomicModel:
    """Read the atoms of a particle, or of a part of it.

    Parameters
    ----------
    path : path-like
        Ends with ``.xyz``, ``.cif`` or ``.pdb``. Of several structures in it the first counts.
    centred : bool
        Put the middle between the outermost atoms into the field's middle. Otherwise that is the middle of the
        file's box where it has one, else its origin.

    Returns
    -------
    AtomicModel
        With the mean of the file's Debye-Waller factors; 0 if it has none.

    Raises
    ------
    InputError
        If it is no such file, holds no atoms or unknown elements, or is a crystal rather than a particle.
    """
    given = check_atoms_path(path)
    kind = FORMATS[given.suffix.lower()]
    with _telling(given, kind):
        size = given.stat().st_size
        if size > _LARGEST_FILE:
            raise InputError(f"a file of {size / 2**30:.1f} GB", mend="give one of less than 0.5 GB")
        if kind == "extxyz":
            _check_count(given, size)
        found = _read_cif(given) if kind == "cif" else _read_by_ase(given, kind)
        _check(found)
        middle = np.zeros(3) if found.box is None else found.box.sum(axis=0) / 2
        if centred:
            middle = (found.positions.min(axis=0) + found.positions.max(axis=0)) / 2
        return AtomicModel(found.numbers, found.positions - middle, _one_factor(found.factors))


def _check_count(path: Path, size: int) -> None:
    """ASE reads as many lines as the first one says, whether they are there or not."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        first = stream.readline(80).strip()
    if not re.fullmatch(r"\d{1,9}", first):
        raise InputError(f"begins with {first[:20]!r} instead of the number of atoms", mend="give an XYZ file")
    if int(first) * _SHORTEST_LINE > size:
        raise InputError(f"says {first} atoms and is too short for them", mend="copy the file again")


def _read_by_ase(path: Path, kind: str) -> _Found:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of keys that atoms do not need
        atoms = ase.io.read(path, index=0, format=kind)
    assert isinstance(atoms, ase.Atoms)
    if kind == "extxyz":
        factors = np.atleast_1d(np.asarray(atoms.info.get("b_factor_angstrom2", []), np.float64))
    else:
        factors = np.asarray(atoms.arrays.get("bfactor", []), np.float64)
    # a PDB of a molecule may have a cell of 1 Å
    is_box = atoms.cell.rank == 3 and bool((atoms.cell.lengths() > 1.001).all())
    box = np.asarray(atoms.cell.array, np.float64) if is_box else None
    return _Found(np.asarray(atoms.numbers), np.asarray(atoms.positions), box, bool(atoms.pbc.all()), factors)


def _read_cif(path: Path) -> _Found:
    structure = gemmi.make_small_structure_from_block(gemmi.cif.read(os.fspath(path))[0])
    sites = structure.get_all_unit_cell_sites()
    if not structure.cell.is_crystal():
        raise InputError("has no unit cell", mend="give a CIF with cell and atoms")
    cell = np.array(structure.cell.orth.mat.tolist(), np.float64).T
    places = np.array([site.fract.tolist() for site in sites], np.float64).reshape(-1, 3)
    if len(sites) > len(structure.sites):  # images by symmetry are anywhere
        places %= 1
    numbers = np.array([site.element.atomic_number for site in sites], np.intp)
    factors = 8 * math.pi**2 * np.array([site.u_iso for site in sites], np.float64)
    return _Found(numbers, places @ cell, cell, True, factors)


@contextmanager
def _telling(path: Path, kind: str) -> Iterator[None]:
    """Whatever a parser of a free format raises, in words and with the file's name."""
    what = {"extxyz": "an XYZ file", "cif": "a CIF", "proteindatabank": "a PDB file"}[kind]
    try:
        yield
    except InputError as error:
        raise error.at(str(path)) from error
    except OSError as error:
        raise InputError(error.strerror or str(error), where=str(path), mend="check the path") from error
    except MemoryError as error:
        raise InputError("too large for the memory", where=str(path), mend="give a smaller part") from error
    except Exception as error:
        detail = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"cannot be read as {what} ({detail})", where=str(path), mend=f"give {what}") from error


def _check(found: _Found) -> None:
    if not len(found.numbers):
        raise InputError("holds no atoms", mend="give a file with atoms")
    if len(found.numbers) > _MOST_ATOMS:
        raise InputError(f"{len(found.numbers)} atoms", mend="give a smaller part")
    unknown = int(np.count_nonzero(found.numbers < 1))
    if unknown:
        raise InputError(f"{unknown} atoms of no known element", mend="name the elements by their symbols")
    if not np.isfinite(found.positions).all():
        raise InputError("an atom whose position is not finite", mend="correct the file")
    if found.box is not None and found.repeats and (_gaps(found.positions, found.box) < _LEAST_GAP_ANGSTROM).all():
        raise InputError("is a crystal without end, not a particle", mend="give it as the crystal")


def _gaps(positions: Float64, box: Float64) -> Float64:
    """The widest empty layer of a box that repeats, across each of its axes, Å."""
    places = np.sort((positions @ np.linalg.inv(box)) % 1, axis=0)
    widest = np.diff(places, axis=0, append=places[:1] + 1).max(axis=0)
    return np.asarray(widest / np.linalg.norm(np.linalg.inv(box), axis=0), np.float64)


def _one_factor(factors: Float64) -> float:
    """The mean Debye-Waller factor; said if the atoms' differ, because a particle has one."""
    factors = factors[np.isfinite(factors)]
    if not len(factors):
        return 0.0
    mean = float(factors.mean())
    if float(np.ptp(factors)) > _ALIKE * max(mean, 1.0):
        doubt(
            f"the atoms' Debye-Waller factors run from {factors.min():.2f} to {factors.max():.2f} Å²; "
            f"their mean, {mean:.2f}, is taken for all"
        )
    return mean
