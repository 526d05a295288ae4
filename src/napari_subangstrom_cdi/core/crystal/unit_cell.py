"""Crystals by name or from a CIF, and how they stand in the beam."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import ase.build
import ase.spacegroup
import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError

from .cif import is_cif, read_cif

Zone = tuple[int, int, int]


@dataclass(frozen=True)
class Crystal:
    """A unit cell.

    Parameters
    ----------
    name : str
        As it was asked for.
    cell_angstrom : ndarray, shape (3, 3)
        Rows a, b, c in Cartesian coordinates, Å.
    numbers : ndarray of int, shape (atoms,)
        Atomic numbers.
    fractional : ndarray, shape (atoms, 3)
        Positions in units of the cell.
    """

    name: str
    cell_angstrom: Float64
    numbers: NDArray[np.integer]
    fractional: Float64

    @cached_property
    def reciprocal_per_angstrom(self) -> Float64:
        """Rows a*, b*, c*, Å⁻¹, without 2π."""
        return np.asarray(np.linalg.inv(self.cell_angstrom), np.float64).T

    @property
    def volume(self) -> float:
        """Of the cell, Å³."""
        return abs(float(np.linalg.det(self.cell_angstrom)))

    def scaled(self, factor: float) -> Crystal:
        """The same with all lengths multiplied."""
        return Crystal(self.name, self.cell_angstrom * factor, self.numbers, self.fractional)

    def strained(self, strain: Float64) -> Crystal:
        """The same with r → (1 + ε) r, ε of shape (3, 3) in the crystal's Cartesian axes.

        Raises
        ------
        InputError
            If ε is no strain tensor: not (3, 3), not symmetric, or a length changes by half or more.
        """
        tensor = np.asarray(strain, np.float64)
        if tensor.shape != (3, 3) or not np.isfinite(tensor).all() or not np.allclose(tensor, tensor.T, atol=1e-9):
            raise InputError("no strain tensor", mend="give a symmetric 3 x 3 matrix")
        if np.abs(np.linalg.eigvalsh(tensor)).max() >= 0.5:
            raise InputError("a strain of 50 % or more", mend="give parts of 1, not per cent")
        deformed = self.cell_angstrom @ (np.eye(3) + tensor)
        return Crystal(self.name, deformed, self.numbers, self.fractional)

    def zone_direction(self, zone: Zone) -> Float64:
        """Unit vector along [uvw], Cartesian."""
        direction: Float64 = np.asarray(zone, float) @ self.cell_angstrom
        return direction / np.linalg.norm(direction)

    def zone_period_angstrom(self, zone: Zone) -> float:
        """Length of the shortest vector of the cell's lattice along [uvw], Å."""
        return float(np.linalg.norm(np.asarray(zone, float) @ self.cell_angstrom)) / math.gcd(*zone)

    def reflections(self, zone: Zone, q_max_per_angstrom: float) -> tuple[NDArray[np.intp], Float64]:
        """Reflections of the zero-order Laue zone up to a |q|: indices (k, 3) and vectors g (k, 3), Cartesian, Å⁻¹."""
        reach = np.ceil(q_max_per_angstrom * np.linalg.norm(self.cell_angstrom, axis=1)).astype(int)
        axes = [np.arange(-m, m + 1) for m in reach]
        hkl = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        hkl = hkl[(hkl @ np.asarray(zone) == 0) & hkl.any(axis=1)]
        g = hkl @ self.reciprocal_per_angstrom
        near = np.linalg.norm(g, axis=1) <= q_max_per_angstrom
        return hkl[near], g[near]


def _wurtzite(formula: str, a: float, c: float, u: float = 0.375) -> Callable[[], Any]:
    return lambda: ase.build.bulk(formula, "wurtzite", a=a, c=c, u=u)


def _cubic(formula: str, structure: str, a: float) -> Callable[[], Any]:
    return lambda: ase.build.bulk(formula, structure, a=a, cubic=True)


def _rutile(first: str, a: float, c: float, u: float) -> Callable[[], Any]:
    basis = [(0, 0, 0), (u, u, 0)]
    return lambda: ase.spacegroup.crystal([first, "O"], basis, spacegroup=136, cellpar=[a, a, c, 90, 90, 90])


# Lattice parameters at room temperature, Å.
_BUILT_IN: dict[str, Callable[[], Any]] = {
    "CdS-wurtzite": _wurtzite("CdS", 4.1367, 6.7161, 0.3770),
    "CdS-zincblende": _cubic("CdS", "zincblende", 5.832),
    "CdSe-wurtzite": _wurtzite("CdSe", 4.2985, 7.0152, 0.3760),
    "CdSe-zincblende": _cubic("CdSe", "zincblende", 6.077),
    "ZnS-wurtzite": _wurtzite("ZnS", 3.8227, 6.2607, 0.3748),
    "ZnS-zincblende": _cubic("ZnS", "zincblende", 5.4102),
    "ZnSe-zincblende": _cubic("ZnSe", "zincblende", 5.6676),
    "ZnO-wurtzite": _wurtzite("ZnO", 3.2498, 5.2066, 0.3819),
    "GaN-wurtzite": _wurtzite("GaN", 3.1890, 5.1855, 0.3768),
    "GaAs": _cubic("GaAs", "zincblende", 5.6533),
    "InP": _cubic("InP", "zincblende", 5.8687),
    "InAs": _cubic("InAs", "zincblende", 6.0583),
    "PbS": _cubic("PbS", "rocksalt", 5.9362),
    "PbSe": _cubic("PbSe", "rocksalt", 6.1243),
    "PbTe": _cubic("PbTe", "rocksalt", 6.4620),
    "MgO": _cubic("MgO", "rocksalt", 4.2112),
    "NaCl": _cubic("NaCl", "rocksalt", 5.6402),
    "CeO2": _cubic("CeOO", "fluorite", 5.4113),
    "TiO2-rutile": _rutile("Ti", 4.5937, 2.9587, 0.3048),
    "Au": _cubic("Au", "fcc", 4.0782),
    "Ag": _cubic("Ag", "fcc", 4.0857),
    "Pt": _cubic("Pt", "fcc", 3.9242),
    "Pd": _cubic("Pd", "fcc", 3.8907),
    "Cu": _cubic("Cu", "fcc", 3.6149),
    "Fe": _cubic("Fe", "bcc", 2.8665),
    "Si": _cubic("Si", "diamond", 5.4310),
    "Ge": _cubic("Ge", "diamond", 5.6579),
    "C-diamond": _cubic("C", "diamond", 3.5668),
}


def crystal_names() -> tuple[str, ...]:
    """Names of the crystals that are built in."""
    return tuple(_BUILT_IN)


def crystal(name: str | Path) -> Crystal:
    """A crystal by its name, in any case, or from a CIF; ``FILE.cif::BLOCK`` names one of several structures in it.

    Raises
    ------
    InputError
        If there is none of that name, or the file holds no crystal.
    """
    text = str(name)
    if is_cif(text):
        return _from_cif(text)
    found = {known.lower(): known for known in _BUILT_IN}.get(text.lower())
    if found is None:
        alike = [known for known in _BUILT_IN if known.lower().startswith(text.lower().split("-")[0])]
        raise InputError(
            f"no crystal named {text!r}",
            where="--crystal",
            mend=f"use {' or '.join(alike) if alike else ', '.join(_BUILT_IN)}, or the path of a CIF",
        )
    return _of(found, _BUILT_IN[found]())


def _from_cif(address: str) -> Crystal:
    found = read_cif(address)
    return Crystal(Path(address.partition("::")[0]).stem, found.cell_angstrom, found.numbers, found.fractional)


def _of(name: str, atoms: Any) -> Crystal:
    return Crystal(
        name,
        np.array(atoms.cell, np.float64),
        np.array(atoms.numbers),
        np.array(atoms.get_scaled_positions(), np.float64),
    )


def zone_axis(text: str) -> Zone:
    """[uvw] from text with three indices, or four as of hexagonal crystals.

    Raises
    ------
    InputError
        If the text is no direction.

    Examples
    --------
    >>> zone_axis("1 1 2"), zone_axis("[0001]"), zone_axis("2 -1 -1 0")
    ((1, 1, 2), (0, 0, 1), (1, 0, 0))
    """
    body = text.strip().strip("[]<>()").replace(",", " ").replace("−", "-")
    parts = body.split() if len(body.split()) > 1 else re.findall(r"-?\d", body)
    try:
        indices = [int(part) for part in parts]
    except ValueError:
        indices = []
    mend = 'give three indices such as "1 1 2", or four such as "0 0 0 1"'
    if len(indices) not in (3, 4) or not any(indices) or max(map(abs, indices), default=0) > 99:
        raise InputError(f"{text!r} is no zone axis", where="--zone", mend=mend)
    if len(indices) == 4:
        u, v, t, w = indices
        if u + v + t:
            raise InputError(
                f"the first three indices of {text!r} do not add up to zero", where="--zone", mend="correct the third"
            )
        indices = [2 * u + v, 2 * v + u, w]  # U = u - t, V = v - t
    common = math.gcd(*indices)
    u, v, w = (index // common for index in indices)
    return (u, v, w)


@dataclass(frozen=True)
class Orientation:
    """How a crystal stands: x along the columns, y along the rows, z along the beam, away from the source.

    Parameters
    ----------
    zone : (int, int, int)
        [uvw] that points against the beam, towards the source.
    azimuth_deg : float
        Angle of the zone's shortest reflection from +x towards +y.
    tilt_deg : (float, float)
        Rotation vector about x and y that takes the zone out of the beam's direction.
    """

    zone: Zone
    azimuth_deg: float = 0.0
    tilt_deg: tuple[float, float] = (0.0, 0.0)

    def matrix(self, crystal: Crystal) -> Float64:
        """Rotation, shape (3, 3): from the crystal's Cartesian axes to x, y, z, for column vectors."""
        up = crystal.zone_direction(self.zone)
        reference = first_reflection(crystal, self.zone)
        along = reference / np.linalg.norm(reference)
        # x, y, z is right-handed with y down and z away from the viewer, so the zone points along -z.
        rows = np.stack([along, np.cross(-up, along), -up])
        angle = math.radians(self.azimuth_deg)
        turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
        return rotation_matrix((*self.tilt_deg, 0.0)) @ turn @ rows


def first_reflection(crystal: Crystal, zone: Zone) -> Float64:
    """The shortest g of the zone, Cartesian, Å⁻¹; of several the one whose indices come last in order."""
    q = 2.0 / float(np.linalg.norm(crystal.cell_angstrom, axis=1).min())
    hkl, g = crystal.reflections(zone, q)
    while len(g) < 2:
        q *= 2
        hkl, g = crystal.reflections(zone, q)
    lengths = np.round(np.linalg.norm(g, axis=1), 9)
    shortest = np.flatnonzero(lengths == lengths.min())
    return g[max(shortest, key=lambda k: tuple(hkl[k]))]


def rotation_matrix(vector_deg: tuple[float, float, float]) -> Float64:
    """Rodrigues' rotation by a vector (about x, y and z), degrees, shape (3, 3), for column vectors."""
    vector = np.radians(np.asarray(vector_deg, np.float64))
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
