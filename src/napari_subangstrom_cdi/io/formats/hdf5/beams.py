"""Beams as synchrotrons' layouts describe them: electrons or photons, by energy and wavelength."""

from __future__ import annotations

import math

from scipy import constants

from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.io.header import HeaderWriter

_LEAST_EV, _MOST_EV = 2e4, 5e6
_REST_EV = constants.m_e * constants.c**2 / constants.e
_PHOTON_EV_ANGSTROM = constants.h * constants.c / constants.e * 1e10


def put_energy(found: HeaderWriter, electronvolts: float, place: str, *, probe: str) -> None:
    """Set the energy if it is one of an electron microscope, else say that it seems to be another beam's."""
    if "x-ray" in probe.lower() or "neutron" in probe.lower() or not _LEAST_EV <= electronvolts <= _MOST_EV:
        if electronvolts > 0:
            beam = probe or "a beam that is none of an electron microscope"
            found.doubt(f"{place} is the energy of {beam}: it is not used")
        return
    found.put("energy_ev", float(f"{electronvolts:.7g}"), place)


def put_wavelength(found: HeaderWriter, angstrom: float, place: str, *, probe: str) -> None:
    """Set the energy from the wavelength, unless it is one of X-rays."""
    if angstrom <= 0:
        return
    momentum_ev = _PHOTON_EV_ANGSTROM / angstrom
    electronvolts = math.hypot(momentum_ev, _REST_EV) - _REST_EV
    if "electron" not in probe.lower() and angstrom > wavelength_angstrom(_LEAST_EV):
        found.doubt(f"{place} is the wavelength of X-rays or neutrons: it is not used")
        return
    put_energy(found, electronvolts, place, probe=probe)
