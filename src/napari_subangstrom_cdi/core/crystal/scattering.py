"""Electron scattering factors of neutral atoms, and the potential that they stand for."""

from __future__ import annotations

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy import constants

from napari_subangstrom_cdi.errors import InputError

from .unit_cell import Crystal

SOURCE = "International Tables for Crystallography C, table 4.3.2.2 (five Gaussians, |q| up to 4 Å⁻¹), by gemmi"

POTENTIAL_PER_FACTOR = constants.h**2 / (2 * np.pi * constants.m_e * constants.e) * 1e20
"""h² / (2π m_e e) = 47.88 V Å²: from a scattering factor in Å to the transform of the potential in V Å³."""


def electron_scattering_factor(number: int, q_per_angstrom: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scattering factor f_e(q) of an atom at rest, Å, without the relativistic mass.

    Peng, Ren, Dudarev, Whelan, Acta Cryst. A52 (1996) 257, doi:10.1107/S0108767395014371.

    Parameters
    ----------
    number : int
        Atomic number, 1 to 98.
    q_per_angstrom : ndarray
        |q| = 1/d, Å⁻¹; any shape.

    Raises
    ------
    InputError
        If there is no table for the element.

    Examples
    --------
    >>> float(np.round(electron_scattering_factor(48, np.array([0.0]))[0], 3))
    9.227
    """
    element = gemmi.Element(int(number))
    coefficients = element.c4322 if 1 <= number <= 98 else None
    if coefficients is None:
        raise InputError(f"no electron scattering factor for atomic number {number}", mend="use elements 1 to 98")
    s2 = np.square(np.asarray(q_per_angstrom, np.float64) / 2)
    return sum(
        (a * np.exp(-b * s2) for a, b in zip(coefficients.a, coefficients.b, strict=True)), start=np.zeros_like(s2)
    )


def structure_factors(
    crystal: Crystal, g_per_angstrom: NDArray[np.floating], b_factor: float
) -> NDArray[np.complex128]:
    """F_g = Σ f_j exp(−B g²/4 − 2πi g·r_j) of the cell, Å; g of shape (k, 3), Cartesian."""
    q = np.linalg.norm(g_per_angstrom, axis=1)
    positions = crystal.fractional @ crystal.cell_angstrom
    total = np.zeros(len(q), np.complex128)
    for number in np.unique(crystal.numbers):
        phases = np.exp(-2j * np.pi * g_per_angstrom @ positions[crystal.numbers == number].T)
        total += electron_scattering_factor(int(number), q) * phases.sum(axis=1)
    return total * np.exp(-b_factor * q**2 / 4)
