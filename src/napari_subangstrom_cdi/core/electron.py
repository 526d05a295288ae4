"""Electron wavelength and interaction constant from the beam energy (CODATA through scipy)."""

from __future__ import annotations

import math

from scipy import constants

from napari_subangstrom_cdi.errors import InputError

_REST_ENERGY_EV = constants.m_e * constants.c**2 / constants.e
_LOWEST_EV, _HIGHEST_EV = 1e3, 5e6


def _checked_energy(energy_ev: float) -> float:
    if not math.isfinite(energy_ev) or not _LOWEST_EV <= energy_ev <= _HIGHEST_EV:
        mend = "give it in electronvolt, e.g. 200000 for a 200 kV microscope"
        if 30 <= energy_ev < _LOWEST_EV:
            mend = f"did you mean {energy_ev:g} kV = {energy_ev * 1e3:g} eV? Give it in electronvolt"
        raise InputError(f"a beam energy of {energy_ev:g} eV is outside 1 keV to 5 MeV", mend=mend)
    return energy_ev


def wavelength_angstrom(energy_ev: float) -> float:
    """Relativistic de Broglie wavelength in ångström.

    Parameters
    ----------
    energy_ev : float
        Kinetic energy of the beam, eV.

    Raises
    ------
    InputError
        If the energy is not between 1 keV and 5 MeV.

    Examples
    --------
    >>> round(wavelength_angstrom(200e3), 6)
    0.025079
    """
    energy = _checked_energy(energy_ev)
    momentum_c = math.sqrt(energy * (energy + 2 * _REST_ENERGY_EV)) * constants.e
    return constants.h * constants.c / momentum_c * 1e10


def interaction_constant(energy_ev: float) -> float:
    """Interaction constant σ_e in rad/(V Å): σ_e = 2π m e λ / h² with the relativistic mass m.

    Source: E. J. Kirkland, *Advanced Computing in Electron Microscopy*, eq. 5.6,
    doi:10.1007/978-1-4419-6533-2.

    Parameters
    ----------
    energy_ev : float
        Kinetic energy of the beam, eV.

    Raises
    ------
    InputError
        If the energy is not between 1 keV and 5 MeV.

    Examples
    --------
    >>> round(interaction_constant(200e3) * 1e4, 3)
    7.288
    """
    energy = _checked_energy(energy_ev)
    mass = constants.m_e * (1 + energy / _REST_ENERGY_EV)
    wavelength_m = wavelength_angstrom(energy) * 1e-10
    return 2 * math.pi * mass * constants.e * wavelength_m / constants.h**2 * 1e-10
