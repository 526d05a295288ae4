"""Multislice against an independent program, where that is installed: ``pip install napari-subangstrom-cdi[abtem]``."""

from __future__ import annotations

import math
from dataclasses import replace

import ase
import gemmi
import numpy as np
import pytest
import scipy.ndimage as ndi

from napari_subangstrom_cdi.core.crystal.multislice import Multislice
from napari_subangstrom_cdi.simulation.particle import particle_atoms
from napari_subangstrom_cdi.simulation.settings import ParticleSettings

abtem = pytest.importorskip("abtem", reason="abTEM is an optional extra")
from abtem.parametrizations import PengParametrization  # noqa: E402

ENERGY = 200e3
BOX = 30.0  # Å
SAMPLING = 0.03  # Å; abTEM interpolates potentials between pixels, which at 0.06 Å costs 1 % at 1 Å⁻¹
B_FACTOR = 0.8  # Å²
AXIS = np.linspace(-1.28, 1.28, 129)


def amplitudes(wave: np.ndarray, place: np.ndarray) -> np.ndarray:
    lines = np.exp(-2j * np.pi * np.outer(AXIS, place))
    return np.abs(lines @ (wave - 1) @ lines.T) * (place[1] - place[0]) ** 2


@pytest.mark.filterwarnings("ignore")
def test_strong_reflections_agree_with_abtem():
    needle = ParticleSettings(prism="1 0 -1 0", diameter_angstrom=16, thickness_angstrom=45, tilt_deg=(0.8, 0.0))
    particle = particle_atoms(replace(needle, b_factor=B_FACTOR))
    positions = particle.positions_angstrom
    # both programs' slices begin at the lowest atom and end at the highest
    place = np.array([BOX / 2, BOX / 2, 1e-4 - positions[:, 2].min()])
    theirs = ase.Atoms(particle.numbers, positions + place, cell=[BOX, BOX, np.ptp(positions[:, 2]) + 2e-4])
    tables = {symbol: gemmi.Element(symbol).c4322 for symbol in ("Cd", "S")}  # theirs differ by up to 2 %
    factors = PengParametrization(
        parameters={symbol: [list(table.a), list(table.b)] for symbol, table in tables.items()},
        sigmas=math.sqrt(B_FACTOR / (8 * math.pi**2)),
    )
    potential = abtem.Potential(theirs, sampling=SAMPLING, slice_thickness=1.0, parametrization=factors)
    wave = abtem.PlaneWave(energy=ENERGY).multislice(potential).compute().array.T  # (x, y) there
    expected = amplitudes(wave / np.median(wave[:40, :40]), np.arange(len(wave)) * BOX / len(wave))
    ours, field = Multislice(ENERGY, 4.0, 1.0).wave(particle)
    found = amplitudes(ours, field.index() * field.pixel_angstrom)
    peaks = (expected == ndi.maximum_filter(expected, 9)) & (np.hypot(AXIS[:, None], AXIS) > 0.1)
    strong = peaks & (expected > 0.3 * expected[peaks].max())
    assert strong.sum() > 12
    np.testing.assert_allclose(found[strong], expected[strong], rtol=0.01)
