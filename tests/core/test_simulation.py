"""Simulated records against what optics says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage as ndi

from napari_subangstrom_cdi.core.crystal.habit import cut_solid, sphere
from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel, Multislice
from napari_subangstrom_cdi.core.crystal.scattering import POTENTIAL_PER_FACTOR, electron_scattering_factor
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal
from napari_subangstrom_cdi.core.electron import interaction_constant
from napari_subangstrom_cdi.core.fourier import inverse, transform
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.potential import ImagingConditions, ctf
from napari_subangstrom_cdi.core.microscope import (
    WAVE_TO,
    Exposure,
    exit_spectrum,
    image_intensity,
    pattern_electrons,
    recorded,
    seen_by_camera,
    substrate_electrons,
)
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.simulation.particle import particle_atoms
from napari_subangstrom_cdi.simulation.settings import ParticleSettings

ENERGY = 200e3
ATOM = AtomicModel(np.array([14]), np.zeros((1, 3)))
SMALL = cut_solid(crystal("CdS-zincblende"), Orientation((1, 1, 0)), sphere(24.0))
NOTHING = AtomicModel(np.zeros(0, int), np.zeros((0, 3)))
Q = np.linspace(-1.2, 1.2, 25)


def test_a_kinematic_atom_is_its_scattering_factor():
    spectrum = exit_spectrum(ATOM, np.zeros(1), Q, energy_ev=ENERGY, wave="kinematic")[0]
    factor = electron_scattering_factor(14, np.abs(Q)) * POTENTIAL_PER_FACTOR * interaction_constant(ENERGY)
    np.testing.assert_allclose(spectrum.real, factor, rtol=0.012)  # atoms are spread by splines


def test_waves_agree_where_scattering_is_weak_and_differ_where_it_is_strong():
    light = AtomicModel(np.array([6]), np.zeros((1, 3)), 20.0)
    weak, strong = (
        [
            exit_spectrum(atoms, Q, Q, energy_ev=ENERGY, wave=wave)
            for wave in ("kinematic", "phase-object", "multislice")
        ]
        for atoms in (light, SMALL)
    )
    for other in weak[1:]:
        assert np.linalg.norm(other - weak[0]) < 0.02 * np.linalg.norm(weak[0])
    assert np.linalg.norm(strong[2] - strong[0]) > 0.1 * np.linalg.norm(strong[0])


def test_strong_reflections_do_not_depend_on_the_sampling():
    """Where waves are cut at 2/3 of Nyquist, as is usual, some are wrong by 8 %."""
    needle = ParticleSettings("CdS-wurtzite", prism="1 0 -1 0", diameter_angstrom=22, thickness_angstrom=75)
    atoms = particle_atoms(replace(needle, tilt_deg=(0.8, 0.0)))
    axis = np.linspace(-1.28, 1.28, 257)

    def amplitudes(to: float, slices: float) -> np.ndarray:
        wave, field = Multislice(ENERGY, to, slices).wave(atoms)
        lines = np.exp(-2j * np.pi * np.outer(axis, field.index() * field.pixel_angstrom))
        return np.abs(lines @ (wave - 1) @ lines.T) * field.pixel_angstrom**2

    coarse, fine = amplitudes(WAVE_TO, 2.0), amplitudes(3.0, 0.7)
    peaks = (fine == ndi.maximum_filter(fine, 11)) & (np.hypot(axis[:, None], axis) > 0.1)
    strong = peaks & (fine > 0.3 * fine[peaks].max())
    assert strong.sum() >= 12
    np.testing.assert_allclose(coarse[strong], fine[strong], rtol=0.02)


def test_the_exit_plane_does_not_depend_on_the_slices():
    """Two light atoms, one far above: its phase at high |q| is that of its way to the exit plane."""
    pair = AtomicModel(np.array([6, 6]), np.array([[0.0, 0, 0], [9.0, 0, 40.0]]), 20.0)
    q = np.array([0.6])
    first, second = (
        exit_spectrum(pair, np.zeros(1), q, energy_ev=ENERGY, wave=wave)[0, 0] for wave in ("multislice", "kinematic")
    )
    assert abs(first - second) < 0.03 * abs(second)
    for slices in (1.0, 4.0):
        wave, field = Multislice(ENERGY, WAVE_TO, slices).wave(pair)
        line = np.exp(-2j * np.pi * q[0] * field.index() * field.pixel_angstrom)
        seen = -1j * np.sum((wave - 1) @ line) * field.pixel_angstrom**2
        assert abs(seen - first) < 0.02 * abs(first)


NO_BEAM = 1e-3  # Å: all of the record is the particle's


def test_a_pattern_holds_the_electrons_that_the_particle_scatters():
    """Parseval: dose times the area integral of |O|²."""
    exposure = Exposure(coherence_angstrom=1e4, beam_fwhm_angstrom=NO_BEAM)
    electrons = pattern_electrons(SMALL, (768, 768), 1 / 160, (384.0, 384.0), exposure, energy_ev=ENERGY)
    grid = Grid(768, 160.0)
    q = grid.index() * grid.q_pixel_per_angstrom
    spectrum = exit_spectrum(SMALL, q, q, energy_ev=ENERGY)
    field = inverse((spectrum / grid.pixel_angstrom**2).astype(np.complex64))
    scattered = float(np.sum(np.abs(field) ** 2)) * grid.pixel_angstrom**2
    assert electrons.sum() == pytest.approx(1e4 * scattered, rel=1e-3)


def test_coherence_ends_the_autocorrelation():
    """The pattern's transform, the wave's autocorrelation, falls off as the degree of coherence."""
    sharp, blurred = (
        np.abs(np.fft.fft2(pattern_electrons(SMALL, (768, 768), 1 / 160, (384.0, 384.0), exposure, energy_ev=ENERGY)))
        for exposure in (Exposure(coherence_angstrom=c, beam_fwhm_angstrom=NO_BEAM) for c in (1e5, 15.0))
    )
    pixel = 160 / 768
    for lag in (10, 40, 80):
        expected = np.exp(-((lag * pixel) ** 2) / (2 * 15.0**2))
        assert blurred[0, lag] / sharp[0, lag] == pytest.approx(expected, rel=0.02)


def test_the_beam_holds_all_electrons_that_fall_on_its_area():
    exposure = Exposure(beam_fwhm_angstrom=100.0)
    electrons = pattern_electrons(NOTHING, (256, 256), 1 / 1600, (128.0, 128.0), exposure, energy_ev=ENERGY)
    area = np.pi * 100.0**2 / (4 * np.log(2))  # of a Gaussian of this full width at half its height
    assert electrons.sum() == pytest.approx(1e4 * area, rel=1e-3)


def test_graphene_is_where_its_lattice_says():
    q_pixel, beam = 0.00125, (1024.0, 1024.0)
    exposure = Exposure(inelastic=0.0)
    bare = substrate_electrons((2048, 2048), q_pixel, beam, exposure, layers_deg=(10.0,))
    rows, columns = np.nonzero(bare == bare.max())
    q = np.hypot(rows[0] - 1024, columns[0] - 1024) * q_pixel
    assert q == pytest.approx(2 / np.sqrt(3) / 2.461, abs=2 * q_pixel)
    turned = substrate_electrons(
        (2048, 2048), q_pixel, beam, Exposure(inelastic=0.0), turned_deg=5.0, layers_deg=(5.0,)
    )
    np.testing.assert_allclose(bare, turned)
    assert not substrate_electrons((64, 64), q_pixel, beam, Exposure(inelastic=0.0, graphene_layers=0)).any()


def test_a_detector_counts_with_gain_noise_offset_and_saturation():
    exposure, rng = Exposure(), np.random.default_rng(0)
    counts = recorded(np.full((200, 200), 50.0), exposure, rng).astype(float)
    assert counts.mean() == pytest.approx(20 + 0.8 * 50, rel=0.01)
    assert counts.var() == pytest.approx(0.8**2 * (50 + 1) + 1 / 12, rel=0.05)
    assert recorded(np.full((4, 4), 1e9), exposure, rng).max() == 65535


def test_a_weak_image_is_the_contrast_transfer_function():
    grid = Grid(128, 60.0)
    conditions = ImagingConditions(ENERGY, 1.0, -60.0, 0.0, 0.9)
    q = grid.q_pixel_per_angstrom * np.array([18.0])
    weak = (0.002 * np.cos(2 * np.pi * q[0] * grid.index() * grid.pixel_angstrom))[None] * np.ones((128, 1))
    contrast = 1 - image_intensity(weak.astype(np.complex64), grid, conditions)
    seen = transform(contrast.astype(np.complex64))[64, 64 + 18] / transform(weak.astype(np.complex64))[64, 64 + 18]
    damping = np.exp(-2 * (q[0] / 0.9) ** 4) * np.exp((q[0] / 0.9) ** 6)  # this envelope for that of the model
    assert seen.real == pytest.approx(ctf(q, conditions)[0] * damping, rel=0.02)
    assert abs(seen.imag) < 0.01


def test_a_camera_turns_moves_and_magnifies():
    grid = Grid(128, 64.0)
    y, x = np.meshgrid(*[grid.index() * grid.pixel_angstrom] * 2, indexing="ij")
    spot = 1 + np.exp(-((x - 10) ** 2 + (y - 3) ** 2) / 8)
    seen = seen_by_camera(spot, grid, (160, 200), 0.4, rotation_deg=30.0, centre_px=(70.0, 90.0))
    row, column = np.unravel_index(seen.argmax(), seen.shape)
    angle = np.radians(30.0)  # camera's axes onto the object's
    there = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ (
        0.4 * np.array([column - 90.0, row - 70.0])
    )
    assert there == pytest.approx((10, 3), abs=0.3)
    assert seen[0, 0] == pytest.approx(1, abs=1e-3)


def test_impossible_exposures_are_said():
    with pytest.raises(InputError, match="dose"):
        Exposure(dose_per_angstrom2=0)
    with pytest.raises(InputError, match="saturation"):
        Exposure(saturation_counts=10**6)
