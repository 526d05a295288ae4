"""Wavelength and interaction constant against published values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import constants

from napari_subangstrom_cdi.core.electron import interaction_constant, wavelength_angstrom
from napari_subangstrom_cdi.errors import InputError


@pytest.mark.parametrize(
    ("energy_kv", "wavelength_pm"),
    # Williams and Carter, Transmission Electron Microscopy, table 1.2, relativistic.
    [(100, 3.70), (120, 3.35), (200, 2.51), (300, 1.97), (400, 1.64), (1000, 0.87)],
)
def test_wavelength_agrees_with_the_textbook(energy_kv, wavelength_pm):
    assert wavelength_angstrom(energy_kv * 1e3) * 100 == pytest.approx(wavelength_pm, abs=0.006)


@pytest.mark.parametrize(
    ("energy_kv", "sigma"),
    # Kirkland, Advanced Computing in Electron Microscopy: σ in rad/(kV Å) falls to 2π/(λ V) (mc²+eV)/(2mc²+eV).
    [(100, 0.9244), (200, 0.7288), (300, 0.6526)],
)
def test_interaction_constant_agrees_with_the_textbook(energy_kv, sigma):
    assert interaction_constant(energy_kv * 1e3) * 1e3 == pytest.approx(sigma, abs=2e-4)


@given(energy=st.floats(1e3, 5e6))
def test_both_forms_of_the_interaction_constant_agree(energy):
    rest = constants.m_e * constants.c**2 / constants.e
    other = 2 * np.pi / (wavelength_angstrom(energy) * energy) * (rest + energy) / (2 * rest + energy)
    assert interaction_constant(energy) == pytest.approx(other, rel=1e-10)


@given(energy=st.floats(1e3, 5e6))
def test_momentum_and_energy_obey_relativity(energy):
    momentum_c = constants.h * constants.c / (wavelength_angstrom(energy) * 1e-10) / constants.e
    rest = constants.m_e * constants.c**2 / constants.e
    assert np.hypot(momentum_c, rest) - rest == pytest.approx(energy, rel=1e-6)


def test_an_energy_in_kilovolt_is_recognised():
    with pytest.raises(InputError, match="200 kV = 200000 eV"):
        wavelength_angstrom(200)


@pytest.mark.parametrize("energy", [0, -200e3, 1e9, float("nan"), float("inf")])
def test_an_absurd_energy_is_refused(energy):
    with pytest.raises(InputError, match="outside 1 keV to 5 MeV"):
        interaction_constant(energy)
