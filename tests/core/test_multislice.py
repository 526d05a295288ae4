"""Waves against analytic results, and multislice and Bloch waves against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel, Multislice
from napari_subangstrom_cdi.core.crystal.nanocrystal import Shape, cut
from napari_subangstrom_cdi.core.crystal.scattering import POTENTIAL_PER_FACTOR, electron_scattering_factor
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal
from napari_subangstrom_cdi.core.electron import interaction_constant, wavelength_angstrom
from napari_subangstrom_cdi.core.fit.model_fit import object_spectrum
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.errors import InputError

ENERGY = 200e3


def atom(number: int = 6, place: tuple[float, float, float] = (0.0, 0.0, 0.0), b_factor: float = 0.0) -> AtomicModel:
    return AtomicModel(np.array([number]), np.array([place]), b_factor)


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (0.37, -0.81, 3.0)])
def test_one_light_atom_scatters_by_its_factor_wherever_it_lies(place):
    """Born's approximation: F(q) = σ_e (h²/2π m e) f_e(q) exp(−2πi q·r)."""
    grid = Grid(256, 100.0)
    spectrum = object_spectrum(atom(6, place), grid, ENERGY) * grid.pixel_angstrom**2
    q = grid.index() * grid.q_pixel_per_angstrom
    factor = electron_scattering_factor(6, np.hypot(q[:, None], q[None]))
    phase = np.exp(-2j * np.pi * (q[:, None] * place[1] + q[None] * place[0]))
    expected = interaction_constant(ENERGY) * POTENTIAL_PER_FACTOR * factor * phase
    near = np.hypot(q[:, None], q[None]) < 1.0
    np.testing.assert_allclose(spectrum[near], expected[near], atol=0.05 * np.abs(expected).max())


def test_vacuum_is_one_and_electrons_are_conserved():
    particle = cut(crystal("Au"), Orientation((0, 0, 1)), shape(radius=8.0, thickness=20.0))
    wave, grid = Multislice(ENERGY, 2.0).wave(particle)
    assert np.abs(wave[:4]).mean() == pytest.approx(1, abs=0.01)
    assert float((np.abs(wave) ** 2).mean()) == pytest.approx(1, abs=2e-3)
    assert grid.q_max_per_angstrom * 2 / 3 >= 2.0


def shape(*, radius: float, thickness: float, roundness: float = 0.0, n: int = 256, field: float = 100.0) -> Shape:
    grid = Grid(n, field)
    return Shape(grid.r_angstrom() < radius, grid, thickness, roundness)


@pytest.mark.parametrize(
    ("name", "zone", "tilt"),
    [
        ("Au", (0, 0, 1), (0.0, 0.0)),
        ("CdS-wurtzite", (0, 0, 1), (0.0, 0.8)),
        ("CdS-zincblende", (1, 1, 2), (0.6, -0.4)),
    ],
)
def test_multislice_and_bloch_waves_agree_on_the_reflections_of_a_tilted_plate(name, zone, tilt):
    """Two ways that share only the scattering factors; amplitudes of a wide prism's reflections, against t."""
    made, orientation = crystal(name), Orientation(zone, 20.0, tilt)
    grid = Grid(512, 200.0)
    plate = Shape(grid.r_angstrom() < 60.0, grid, 45.0)
    particle = cut(made, orientation, plate, b_factor=1.0)
    inner = np.hypot(*particle.positions_angstrom[:, :2].T) < 50.0
    thickness = inner.sum() * made.volume / len(made.numbers) / (math.pi * 50.0**2)
    wave, field = Multislice(ENERGY, 2.2, slice_angstrom=1.0).wave(particle)
    beams = ZoneBeams(made, zone, energy_ev=ENERGY, q_max_per_angstrom=2.2, b_factor=1.0)
    lean = np.array([math.tan(math.radians(tilt[1])), -math.tan(math.radians(tilt[0]))])
    turn = math.radians(20.0)
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    amplitude = np.abs(beams.amplitudes(rotation @ lean, np.array([thickness]))[:, 0])
    x = field.index() * field.pixel_angstrom
    window = np.exp(-(x[:, None] ** 2 + x[None] ** 2) / (2 * 18.0**2))
    strong = np.argsort(amplitude[1:])[::-1][:12] + 1
    for k in strong:
        gx, gy = rotation.T @ beams.g_per_angstrom[k]
        carrier = np.exp(-2j * np.pi * (gx * x[None] + gy * x[:, None]))
        seen = abs(np.sum(window * wave * carrier)) / window.sum()
        assert seen == pytest.approx(amplitude[k], rel=0.12, abs=0.006), beams.hkl[k]


def test_bloch_waves_conserve_electrons_and_begin_with_the_direct_beam():
    beams = ZoneBeams(crystal("PbS"), (0, 0, 1), energy_ev=ENERGY, q_max_per_angstrom=1.2)
    amplitude = beams.amplitudes(np.array([0.01, 0.004]), np.array([0.0, 30.0, 90.0]))
    np.testing.assert_allclose((np.abs(amplitude) ** 2).sum(axis=0), 1, atol=1e-9)
    np.testing.assert_allclose(amplitude[:, 0], np.eye(len(amplitude))[0], atol=1e-9)


def test_a_tilted_thin_plate_obeys_the_two_beam_excitation_error():
    """Kinematic: |ψ_g| = σ_e |V_g| |sin(π s t) / (π s)|, s = −λg²/2 + g·τ."""
    beams = ZoneBeams(crystal("Si"), (0, 0, 1), energy_ev=ENERGY, q_max_per_angstrom=1.2, b_factor=60.0)
    lean, t = np.array([0.02, 0.0]), 3.0
    amplitude = np.abs(beams.amplitudes(lean, np.array([t]))[:, 0])
    s = -wavelength_angstrom(ENERGY) * np.sum(beams.g_per_angstrom**2, axis=1) / 2 + beams.g_per_angstrom @ lean
    expected = interaction_constant(ENERGY) * np.abs(beams.potential_volt) * t * np.abs(np.sinc(s * t))
    np.testing.assert_allclose(amplitude[1:], expected[1:], atol=0.02 * expected.max())


def test_a_sphere_is_cut_round_and_a_prism_straight():
    ball = cut(crystal("Au"), Orientation((1, 1, 1)), shape(radius=20.0, thickness=40.0, roundness=0.5))
    radius = np.linalg.norm(ball.positions_angstrom, axis=1)
    assert radius.max() < 20.8 and len(radius) == pytest.approx(4 / 3 * math.pi * 20**3 / 4.0782**3 * 4, rel=0.03)
    prism = cut(crystal("Au"), Orientation((1, 1, 1)), shape(radius=20.0, thickness=40.0))
    assert len(prism.numbers) == pytest.approx(math.pi * 20**2 * 40 / 4.0782**3 * 4, rel=0.07)


def test_offset_moves_the_lattice_and_not_the_outline():
    first, moved = (
        cut(crystal("Au"), Orientation((0, 0, 1)), shape(radius=20.0, thickness=10.0), offset_angstrom=offset)
        for offset in ((0.0, 0.0), (0.7, 0.0))
    )
    near = np.abs(first.positions_angstrom[:, None, :2] + (0.7, 0) - moved.positions_angstrom[None, :200, :2]).sum(2)
    assert np.quantile(near.min(axis=0), 0.9) < 1e-6
    assert np.abs(moved.positions_angstrom[:, :2]).max() < 20.5


@pytest.mark.parametrize(
    "make",
    [
        lambda: AtomicModel(np.array([6, 6]), np.zeros((1, 3))),
        lambda: AtomicModel(np.array([6]), np.full((1, 3), np.nan)),
        lambda: AtomicModel(np.array([6]), np.zeros((1, 3)), -1.0),
        lambda: Multislice(ENERGY, 0.0),
        lambda: Multislice(ENERGY, 1.3, 0.0),
        lambda: Multislice(ENERGY, 15.0).wave(atom(6, (900.0, 0.0, 0.0))),
        lambda: shape(radius=20.0, thickness=0.0),
        lambda: cut(crystal("Au"), Orientation((0, 0, 1)), shape(radius=0.1, thickness=0.1), offset_angstrom=(1, 0.7)),
        lambda: ZoneBeams(crystal("Au"), (7, 8, 9), energy_ev=ENERGY, q_max_per_angstrom=0.3),
    ],
)
def test_what_makes_no_sense_is_said(make):
    with pytest.raises(InputError):
        make()
