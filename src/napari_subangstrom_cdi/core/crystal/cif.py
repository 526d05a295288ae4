"""Crystal structures from CIF, through gemmi: in every spelling of a space group, by Hall symbol, by operations alone.

Of what a file states of its symmetry the most explicit counts: the operations, then the Hall symbol, then the name of
the space group, then its number. Tags are found in any case, and in the spellings of CIF 1 and 2.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from ase.geometry import cellpar_to_cell
from gemmi import cif as gemmi_cif
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError, doubt

_LARGEST_FILE = 64 * 2**20
_LARGEST_CELL = 2000
_SAME_SITE_ANGSTROM = 0.15  # coordinates such as 0.333 miss a special position by less
_TOO_NEAR_ANGSTROM = 0.5
_SAME_PLACE = 1e-4
_FULL = 0.999
_MOST_OPERATIONS = 192

_LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
_ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
_OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz", "_space_group_symop.operation_xyz")
_HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall", "_space_group.name_Hall")
_NAMES = (
    "_space_group_name_H-M_alt",
    "_symmetry_space_group_name_H-M",
    "_space_group_name_H-M_full",
    "_symmetry_space_group_name_H-M_full",
    "_space_group.name_H-M_alt",
    "_symmetry.space_group_name_H-M",
    "_space_group_name_H-M_ref",
)
_NUMBERS = ("_space_group_IT_number", "_symmetry_Int_Tables_number", "_space_group.IT_number")
_SITE = "_atom_site_"
_ORIGINS = {"S": ":1", "Z": ":2", "H": ":H", "R": ":R"}  # as the ICSD writes them


@dataclass(frozen=True)
class CifStructure:
    """What a CIF holds.

    Parameters
    ----------
    cell_angstrom : ndarray, shape (3, 3)
        Rows a, b, c; a along x, b in the plane of x and y.
    numbers : ndarray of int, shape (atoms,)
        Atomic numbers.
    fractional : ndarray, shape (atoms, 3)
        All atoms of the cell, from 0 up to 1.
    """

    cell_angstrom: Float64
    numbers: NDArray[np.integer]
    fractional: Float64


@dataclass(frozen=True)
class _Site:
    label: str
    number: int
    position: Float64
    occupancy: float


def is_cif(name: str) -> bool:
    """Whether a crystal's name means a file: ``FILE.cif``, or ``FILE.cif::BLOCK`` for one of several structures."""
    return name.partition("::")[0].lower().endswith(".cif")


def read_cif(address: str) -> CifStructure:
    """All atoms in the cell of a crystal.

    Parameters
    ----------
    address : str
        ``FILE.cif``, or ``FILE.cif::BLOCK`` for one of several structures in it.

    Raises
    ------
    InputError
        If the file cannot be read, is no CIF, or lacks a cell, atoms or their coordinates.

    Warns
    -----
    QualityWarning
        If what it states is incomplete or contradicts itself: of symmetry, occupancies, coordinates.
    """
    file, _, name = address.partition("::")
    where = Path(file).name
    block = _chosen(_parsed(Path(file)), name, file)
    cell = _cell(block, file)
    sites = _one_atom_a_place(list(_sites(block, file)), where)
    matrix = np.asarray(cellpar_to_cell(cell), np.float64)  # type: ignore[no-untyped-call]
    fractional, numbers = _all_atoms(sites, _operations(block, cell, sites, matrix, file), matrix, file)
    _check_distances(fractional, matrix, where)
    return CifStructure(matrix, numbers, fractional)


def _parsed(path: Path) -> gemmi_cif.Document:
    where = str(path)
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError("is too large for a CIF of a crystal", where=where, mend="give the CIF of the unit cell")
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(error.strerror or str(error), where=where, mend="check the path") from error
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return gemmi_cif.read_string(raw.decode(encoding, errors="replace"))
    except (ValueError, RuntimeError) as error:
        said = re.sub(r"^string:", "line ", re.sub(r"\s+", " ", str(error)))
        raise InputError(f"cannot be read as a CIF ({said})", where=where, mend="give a CIF") from error


def _chosen(document: gemmi_cif.Document, name: str, where: str) -> gemmi_cif.Block:
    blocks = [block for block in document if _column(block, f"{_SITE}fract_x")]
    named = [block for block in blocks if block.name.lower() == name.lower()] if name else blocks
    if len(named) == 1:
        return named[0]
    listed = ", ".join(block.name for block in blocks[:8]) + (", ..." if len(blocks) > 8 else "")
    if not blocks:
        only_cartesian = any(_column(block, f"{_SITE}{kind}_x") for block in document for kind in ("Cartn", "cartn"))
        lacking = "fractional coordinates" if only_cartesian else "atoms (_atom_site_fract_x)"
        raise InputError(
            f"holds no crystal structure: it has no {lacking}", where=where, mend="give a CIF with cell and atoms"
        )
    if name:
        raise InputError(f"holds no structure {name!r}", where=where, mend=f"it holds {listed}")
    raise InputError(
        f"holds {len(blocks)} structures: {listed}", where=where, mend=f"name one, as {where}::{blocks[0].name}"
    )


def _column(block: gemmi_cif.Block, tag: str) -> list[str]:
    """Values of a tag, in a loop or by itself; empty if there is none."""
    looped = list(block.find_values(tag))
    return [gemmi_cif.as_string(value) for value in looped]


def _text(block: gemmi_cif.Block, tags: Iterable[str]) -> str:
    """The first of some tags that says something."""
    for tag in tags:
        value = block.find_value(tag)
        said = str(gemmi_cif.as_string(value or "?")).strip()  # of ? and . nothing is left
        if said:
            return said
    return ""


def _cell(block: gemmi_cif.Block, where: str) -> list[float]:
    """Three lengths, Å, and three angles, degrees; an angle that is not given is a right one, as in the standard."""
    values = []
    for tag in (*_LENGTHS, *_ANGLES):
        said = _text(block, (tag, tag.replace("_cell_", "_cell.", 1)))
        value = gemmi_cif.as_number(said) if said else (90.0 if tag in _ANGLES else math.nan)
        low, high = (1.0, 179.0) if tag in _ANGLES else (0.5, 1e4)
        if not low <= value <= high:
            problem = f"{tag} is {said}, which is impossible" if said else f"holds no cell: {tag} is missing"
            raise InputError(problem, where=where, mend="give a CIF with the cell's lengths in Å and angles in degrees")
        values.append(float(value))
    cosines = np.cos(np.radians(values[3:]))
    if 1 - np.sum(cosines**2) + 2 * np.prod(cosines) <= 1e-6:
        raise InputError(
            f"angles of {values[3]:g}, {values[4]:g} and {values[5]:g}° close no cell",
            where=where,
            mend="correct the angles in it",
        )
    return values


def _sites(block: gemmi_cif.Block, where: str) -> Iterator[_Site]:
    """The atoms as they are listed; those without a place are left out."""
    columns = [_column(block, f"{_SITE}fract_{axis}") for axis in "xyz"]
    labels, symbols = _column(block, f"{_SITE}label"), _column(block, f"{_SITE}type_symbol")
    occupancies = _column(block, f"{_SITE}occupancy")
    if len({len(column) for column in columns}) != 1:
        raise InputError(
            "its atoms lack one of the coordinates x, y, z",
            where=where,
            mend="give a CIF with _atom_site_fract_x, y, z",
        )
    left_out = []
    for k, values in enumerate(zip(*columns, strict=True)):
        label = labels[k] if k < len(labels) else f"atom {k + 1}"
        position = np.array([gemmi_cif.as_number(value) for value in values])
        if not np.isfinite(position).all():
            left_out.append(label)
            continue
        stated = gemmi_cif.as_number(occupancies[k]) if k < len(occupancies) else 1.0
        symbol = symbols[k] if k < len(symbols) and symbols[k] not in (".", "?") else label
        yield _Site(label, _element(symbol, label, where), position, 1.0 if math.isnan(stated) else float(stated))
    if left_out:
        doubt(f"{Path(where).name}: {_listed(left_out)} without coordinates are left out")
    if len(left_out) == len(columns[0]):
        raise InputError("none of its atoms has coordinates", where=where, mend="give a CIF with cell and atoms")


def _element(symbol: str, label: str, where: str) -> int:
    """Atomic number of ``Mo``, ``MO6+``, ``O2-``, ``Mo1`` or ``O_w``."""
    letters = re.match(r"[A-Za-z]{1,2}", symbol.strip())
    for name in (letters[0], letters[0][0]) if letters else ():
        number = int(gemmi.Element(name).atomic_number)
        if number:
            return number
    raise InputError(f"the atom {label!r} is of no known element", where=where, mend="give its _atom_site_type_symbol")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _one_atom_a_place(sites: list[_Site], where: str) -> list[_Site]:
    """Where several elements share a place, the one that has most of it; each place fully occupied."""
    places = np.array([site.position for site in sites])
    kept: list[int] = []
    for k in sorted(range(len(sites)), key=lambda k: -sites[k].occupancy):  # stable: those alike in their order
        apart = places[kept] - places[k]
        taken = np.abs(apart - np.round(apart)).max(axis=1, initial=0) < _SAME_PLACE
        if sites[k].occupancy > 0 and not taken.any():
            kept.append(k)
    chosen = [sites[k] for k in sorted(kept)]
    partly = [f"{site.label} ({site.occupancy:g})" for site in chosen if site.occupancy < _FULL]
    if partly:
        doubt(
            f"{where}: the places of {_listed(partly)} are not fully occupied by one element; the one that has most of "
            "a place is taken, as if it had all of it"
        )
    return chosen


def _operations(
    block: gemmi_cif.Block, cell: list[float], sites: list[_Site], matrix: Float64, where: str
) -> tuple[gemmi.Op, ...]:
    """The symmetry operations, in an order that does not depend on how they are stated."""
    listed, order = _listed_operations(block, where), _order_by_name(block, cell)
    if listed is not None and len(listed) == 1 and order > 1:
        doubt(
            f"{Path(where).name}: lists the identity as its only operation, but names the space group "
            f"{_text(block, (*_HALL, *_NAMES))}, which is taken"
        )
    elif listed is not None:
        if order not in (0, len(listed)):
            doubt(
                f"{Path(where).name}: lists {len(listed)} symmetry operations, but names a space group of {order}; "
                "the operations are taken"
            )
        return listed
    named = _by_name(block, cell, sites, matrix, where)
    if named is not None:
        return named
    doubt(f"{Path(where).name}: states no symmetry, so the atoms that it lists are taken for all of the cell")
    return (gemmi.Op("x,y,z"),)


def _order_by_name(block: gemmi_cif.Block, cell: list[float]) -> int:
    """How many operations the space group has that is named; 0 if none is, or it is not known."""
    hall = _text(block, _HALL).replace("_", " ")
    with contextlib.suppress(ValueError, RuntimeError):
        if hall:
            return len(list(gemmi.symops_from_hall(hall)))
    found = (_groups_of(name, cell) for tag in _NAMES if (name := _text(block, (tag,))))
    return next((len(list(groups[0].operations())) for groups in found if groups), 0)


def _listed_operations(block: gemmi_cif.Block, where: str) -> tuple[gemmi.Op, ...] | None:
    texts = next((found for tag in _OPERATIONS if (found := _column(block, tag))), [])
    texts = [text for text in texts if text.strip() not in ("", ".", "?")]
    if not texts:
        return None
    operations: dict[str, gemmi.Op] = {}
    for text in texts:
        try:
            operation = gemmi.Op(re.sub(r"\s+", "", text)).wrap()
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"{text!r} is no symmetry operation", where=where, mend="write it as -x, y+1/2, z"
            ) from error
        operations[operation.triplet()] = operation
    group = _closed(operations.values())
    if len(group) > len(operations):
        doubt(
            f"{Path(where).name}: its {len(operations)} symmetry operations are not all of a group; with those that "
            f"follow from them there are {len(group)}"
        )
    return group


def _closed(operations: Iterable[gemmi.Op]) -> tuple[gemmi.Op, ...]:
    """The group that some operations generate."""
    found = {"x,y,z": gemmi.Op("x,y,z")} | {one.triplet(): one for one in operations}
    new = list(found.values())
    while new and len(found) <= _MOST_OPERATIONS:
        products = [(one * other).wrap() for one in list(found.values()) for other in new]
        new = []
        for product in products:
            if product.triplet() not in found:
                found[product.triplet()] = product
                new.append(product)
    return _in_order(found.values())


def _in_order(operations: Iterable[gemmi.Op]) -> tuple[gemmi.Op, ...]:
    return tuple(sorted((one.wrap() for one in operations), key=lambda one: (one.triplet() != "x,y,z", one.triplet())))


def _by_name(
    block: gemmi_cif.Block, cell: list[float], sites: list[_Site], matrix: Float64, where: str
) -> tuple[gemmi.Op, ...] | None:
    """Operations by Hall symbol, name or number; None if none of them is given or known."""
    hall = _text(block, _HALL)
    if hall:
        try:
            return _in_order(gemmi.symops_from_hall(hall.replace("_", " ")))
        except (ValueError, RuntimeError):
            doubt(f"{Path(where).name}: the Hall symbol {hall!r} is none and left out")
    said = [_text(block, (tag,)) for tag in _NAMES]
    for name in (name for name in said if name):
        groups = _groups_of(name, cell)
        if groups:
            return _of_the_right_origin(groups, name, sites, matrix, where)
    number = _text(block, _NUMBERS)
    group = gemmi.find_spacegroup_by_number(int(number)) if number.isdecimal() and 0 < int(number) < 231 else None
    names = [name for name in said if name]
    if group is None:
        if names:
            raise InputError(
                f"names the space group {names[0]!r}, which is not known, and lists no symmetry operations",
                where=where,
                mend="correct _space_group_name_H-M_alt in it, or list _space_group_symop_operation_xyz",
            )
        return None
    instead = f"{names[0]!r}, which is not known, " if names else ""
    doubt(
        f"{Path(where).name}: names the space group {instead}by the number {number} only; its usual setting "
        f"{group.xhm()} is taken"
    )
    return _in_order(group.operations())


def _groups_of(name: str, cell: list[float]) -> list[gemmi.SpaceGroup]:
    """Space groups of a Hermann-Mauguin name, of all origins if it leaves that open."""
    plain = re.sub(r"\((\d)\)", r"\1", name)  # P2(1)/c
    plain = re.sub(r"\s*\([^)]*\)\s*$", "", plain).replace("_", " ").strip()  # P n m a (62)
    spellings = [plain, re.sub(r"(?<=\d) (?=\d)", "", plain), plain.replace(" ", ""), plain.partition(":")[0].strip()]
    tail = re.fullmatch(r"(.*\S)\s+([SZHR])", plain)
    if tail:  # F d -3 m Z
        spellings = [tail[1] + _ORIGINS[tail[2]], *spellings, tail[1]]
    for spelling in spellings:
        found = gemmi.find_spacegroup_by_name(spelling, cell[3], cell[5])
        if found is not None:
            if ":" in spelling or found.ext not in ("1", "2"):
                return [found]
            return [one for one in gemmi.spacegroup_table() if one.hm == found.hm and one.ext in ("1", "2")]
    return []


def _of_the_right_origin(
    groups: list[gemmi.SpaceGroup], name: str, sites: list[_Site], matrix: Float64, where: str
) -> tuple[gemmi.Op, ...]:
    """Of several origins the one by which the atoms lie on the more special places."""
    if len(groups) == 1:
        return _in_order(groups[0].operations())
    candidates = [_in_order(group.operations()) for group in groups]
    atoms = [len(_all_atoms(sites, operations, matrix, where)[1]) for operations in candidates]
    best = int(np.argmin(atoms))
    if len(set(atoms)) > 1:
        doubt(
            f"{Path(where).name}: the name {name} leaves the origin open; {groups[best].xhm()} is taken, by which the "
            f"cell has {atoms[best]} atoms, not {max(atoms)}"
        )
    else:
        doubt(f"{Path(where).name}: the name {name} leaves the origin open; {groups[best].xhm()} is taken")
    return candidates[best]


def _all_atoms(
    sites: list[_Site], operations: tuple[gemmi.Op, ...], matrix: Float64, where: str
) -> tuple[Float64, NDArray[np.integer]]:
    """Each site by all operations; images of one that fall together are one atom, at their mean."""
    turns = np.array([np.array(one.rot) for one in operations]) / gemmi.Op.DEN
    shifts = np.array([one.tran for one in operations]) / gemmi.Op.DEN
    positions, numbers = np.empty((0, 3)), np.empty(0, int)
    for site in sites:
        images = turns @ site.position + shifts
        atoms = _merged(images - np.floor(images + 1e-6), matrix)
        # Of a place that is listed although it follows by symmetry from another, nothing is left.
        known = positions[numbers == site.number]
        new = [atom for atom in atoms if not (_distances(known, atom, matrix) < _SAME_SITE_ANGSTROM).any()]
        positions = np.concatenate([positions, np.array(new).reshape(-1, 3)])
        numbers = np.concatenate([numbers, np.full(len(new), site.number)])
        if len(positions) > _LARGEST_CELL:
            raise InputError(f"a cell of more than {_LARGEST_CELL} atoms", where=where, mend="give the primitive cell")
    return positions, numbers


def _distances(positions: Float64, place: Float64, matrix: Float64) -> Float64:
    """Of atoms from a place, to the next of their images, Å."""
    apart = positions - place
    return np.asarray(np.linalg.norm((apart - np.round(apart)) @ matrix, axis=1))


def _merged(images: Float64, matrix: Float64) -> list[Float64]:
    left, found = list(range(len(images))), []
    while left:
        apart = images[left] - images[left[0]]
        apart -= np.round(apart)
        near = np.linalg.norm(apart @ matrix, axis=1) < _SAME_SITE_ANGSTROM
        place = images[left[0]] + apart[near].mean(axis=0)
        found.append(place - np.floor(place + 1e-6))
        left = [k for k, is_near in zip(left, near, strict=True) if not is_near]
    return found


def _check_distances(fractional: Float64, matrix: Float64, where: str) -> None:
    for k in range(len(fractional) - 1):
        nearest = float(_distances(fractional[k + 1 :], fractional[k], matrix).min())
        if nearest < _TOO_NEAR_ANGSTROM:
            doubt(
                f"{where}: two atoms are {nearest:.2f} Å apart, as where a place is disordered; leave one of them in "
                "the file"
            )
            return
