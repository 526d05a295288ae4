"""Faults of simulated records against what optics says of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage as ndi

from napari_subangstrom_cdi.core.crystal.habit import cut_solid, sphere
from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal
from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.core.faults import (
    carbon_power,
    drifted,
    film_phase,
    module_cross,
    outside_stop,
    passed_by_stop,
    speckle,
    uneven_phase,
)
from napari_subangstrom_cdi.core.fourier import transform
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.potential import ImagingConditions
from napari_subangstrom_cdi.core.microscope import (
    Exposure,
    exit_spectrum,
    film_electrons,
    image_intensity,
    pattern_electrons,
    recorded,
    seen_by_camera,
    substrate_electrons,
)
from napari_subangstrom_cdi.core.record.distortion import stretch_matrix

ENERGY = 200e3
PARTICLE = cut_solid(crystal("CdS-zincblende"), Orientation((1, 1, 0)), sphere(20.0))
SHAPE, BEAM, Q_PIXEL = (384, 384), (191.0, 193.5), 1 / 160
SHARP = Exposure(coherence_angstrom=1e4, beam_fwhm_angstrom=1e-3, inelastic=0)


def pattern(matrix=None, wave="kinematic"):
    return pattern_electrons(PARTICLE, SHAPE, Q_PIXEL, BEAM, SHARP, energy_ev=ENERGY, wave=wave, matrix=matrix)


def spots_near(record, places):
    """Where spots are, from their nearest pixels, by parabolas through the logarithm of 3 x 3 pixels; (y, x)."""
    found = []
    for place in places:
        corner = np.rint(place).astype(int) - 4
        window = record[corner[0] : corner[0] + 9, corner[1] : corner[1] + 9]
        top = corner + np.unravel_index(window.argmax(), window.shape)
        near = np.log(record[top[0] - 2 : top[0] + 3, top[1] - 2 : top[1] + 3])
        y, x = np.mgrid[-2:3, -2:3]
        terms = np.stack([y * y, x * y, x * x, y, x, np.ones_like(x)], axis=-1).reshape(-1, 6)
        a, b, c, d, e, _ = np.linalg.lstsq(terms, near.ravel(), rcond=None)[0]
        found.append(top - np.linalg.solve([[2 * a, b], [b, 2 * c]], [d, e]))
    return np.array(found)


def test_spots_lie_on_the_ellipse_that_was_asked_for():
    """Measured from the spots: ratio of the axes within 0.05 %, direction within a degree, and nothing is turned."""
    matrix = stretch_matrix(2.0, 30.0)
    true, stretched = pattern(), pattern(matrix)
    middle = np.array(BEAM)
    tops = np.argwhere((true == ndi.maximum_filter(true, 15)) & (true > 1e-3 * true.max()))
    radius = np.linalg.norm(tops - middle, axis=1)
    tops = tops[(radius > 20) & (radius < 170)]
    before = spots_near(true, tops) - middle
    after = spots_near(stretched, before @ np.linalg.inv(matrix).T + middle) - middle
    measured = np.linalg.lstsq(before, after, rcond=None)[0].T
    turn, axes, directions = np.linalg.svd(measured)
    assert len(tops) >= 12
    assert axes[0] / axes[1] == pytest.approx(1.02, abs=5e-4)
    assert axes[0] * axes[1] == pytest.approx(1, abs=5e-4)
    y, x = directions[0]
    assert math.degrees(math.atan2(y, x)) % 180 == pytest.approx(30, abs=1)
    assert math.degrees(np.arccos(np.clip(np.trace(turn @ directions) / 2, -1, 1))) < 0.03


@pytest.mark.parametrize("asked", [(0.0, 0.0, 5.0), (3.0, -50.0, 2.0)])
def test_a_stretched_pattern_is_the_true_one_at_each_pixel_s_q(asked):
    """No interpolation: at any pixel it is the wave's transform at that pixel's q, times the pixel's area."""
    matrix = stretch_matrix(*asked)
    found = pattern(matrix, "multislice")
    area = SHARP.dose_per_angstrom2 * Q_PIXEL**2 * np.linalg.det(matrix)
    sharpest = np.argwhere(found > 0.02 * found.max())[::7]
    for at in sharpest[:6]:
        q = matrix @ (at - BEAM) * Q_PIXEL
        expected = abs(exit_spectrum(PARTICLE, q[:1], q[1:], energy_ev=ENERGY)[0, 0]) ** 2 * area
        assert found[tuple(at)] == pytest.approx(expected, rel=0.03)


def test_pixels_that_are_taller_see_a_pattern_that_is_lower():
    matrix = stretch_matrix(0.0, 0.0, 5.0)
    np.testing.assert_allclose(matrix, [[1.05, 0], [0, 1]], atol=1e-12)
    assert pattern(matrix).sum() == pytest.approx(pattern().sum(), rel=0.01)  # the electrons are the same


def test_the_substrate_is_stretched_with_the_pattern():
    bare = Exposure(inelastic=0.0)
    shape, beam, q_pixel = (512, 512), (256.0, 256.0), 0.005
    matrix = stretch_matrix(4.0, 20.0)
    found = substrate_electrons(shape, q_pixel, beam, bare, layers_deg=(20.0,), matrix=matrix)
    y, x = np.indices(shape) - 256
    first = 2 / (math.sqrt(3) * 2.461)
    along = y * math.sin(math.radians(20)) + x * math.cos(math.radians(20))
    across = x * math.sin(math.radians(20)) - y * math.cos(math.radians(20))
    spot = (np.abs(across) < 4) & (np.abs(along - first / q_pixel) < 8)  # on the long axis
    place = (found * spot * along).sum() / (found * spot).sum()
    assert place * q_pixel == pytest.approx(first * math.sqrt(1.04), rel=1e-3)


def test_nothing_is_stretched_by_nothing():
    np.testing.assert_allclose(stretch_matrix(0, 12.0), np.eye(2), atol=1e-12)
    np.testing.assert_allclose(pattern(np.eye(2)), pattern(), rtol=1e-3, atol=1e-3 * pattern().max())
    shape, beam = (128, 128), (64.0, 60.0)
    plain, same = (
        substrate_electrons(shape, 0.01, beam, Exposure(), layers_deg=(5.0,), matrix=m) for m in (None, np.eye(2))
    )
    np.testing.assert_allclose(plain, same, rtol=1e-4)


def test_the_zeros_of_the_transfer_are_those_of_each_direction_s_defocus():
    """Along the astigmatism the defocus is larger by A1, across it smaller: the weak image's zeros follow."""
    grid, a1, focus = Grid(256, 128.0), 12.0, -60.0
    conditions = ImagingConditions(ENERGY, 1.0, focus)
    delta = np.zeros(grid.shape, np.complex64)
    delta[128, 128] = 1e-2
    q = grid.index() * grid.q_pixel_per_angstrom
    added = uneven_phase(q[:, None], q[None], ENERGY, astigmatism_nm=a1, astigmatism_deg=0.0)
    image = image_intensity(delta, grid, conditions, added) - 1
    transfer = transform(image.astype(np.complex128)).real[128:, 128:] / 2e-2
    wavelength = wavelength_angstrom(ENERGY)
    for line, defocus in ((transfer[0], focus + a1), (transfer[:, 0], focus - a1)):
        axis = q[128:]
        chi = math.pi * wavelength * defocus * 10 * axis**2 + 0.5e7 * math.pi * wavelength**3 * axis**4
        inside = axis < 0.5
        np.testing.assert_allclose(line[inside], np.sin(chi)[inside], atol=0.01)
        zeros = axis[:-1][(np.diff(np.sign(line)) != 0) & (axis[:-1] > 0.05) & (axis[:-1] < 0.5)]
        expected = math.sqrt(-2 * defocus * 10 / (1e7 * wavelength**2))  # χ = 0
        assert np.abs(zeros - expected).min() < grid.q_pixel_per_angstrom


def test_directions_of_astigmatism_and_coma():
    q = np.array(0.4)
    twofold = [uneven_phase(*qs, ENERGY, astigmatism_nm=5, astigmatism_deg=90) for qs in ((q, 0 * q), (0 * q, q))]
    assert twofold[0] == pytest.approx(-twofold[1]) and twofold[0] > 0
    threefold = [uneven_phase(q * s, 0 * q, ENERGY, coma_nm=100, coma_deg=90) for s in (1, -1)]
    assert threefold[0] == pytest.approx(-threefold[1])  # odd
    expected = 2 * math.pi / wavelength_angstrom(ENERGY) * 1000 * (wavelength_angstrom(ENERGY) * 0.4) ** 3
    assert threefold[0] == pytest.approx(expected)


def test_a_drift_damps_along_its_way_alone():
    grid = Grid(64, 32.0)
    x = grid.index() * grid.pixel_angstrom
    wave = np.cos(2 * np.pi * 0.25 * x)
    across, along = (np.broadcast_to(w, grid.shape) for w in (wave[:, None], wave[None]))
    np.testing.assert_allclose(drifted(across, grid, 1.5, 0.0), across, atol=1e-12)
    np.testing.assert_allclose(drifted(along, grid, 1.5, 0.0), along * np.sinc(0.25 * 1.5), atol=1e-12)
    np.testing.assert_allclose(drifted(across, grid, 1.5, 90.0), across * np.sinc(0.25 * 1.5), atol=1e-12)


def test_a_film_has_the_same_carbon_in_image_and_pattern():
    """The phase's power is the one that the rings in the pattern are made of; 60 Å are 0.15 rad."""
    grid = Grid(512, 200.0)
    phase = film_phase(grid, 60.0, ENERGY, np.random.default_rng(1))
    power = np.abs(transform(phase)) ** 2 * grid.pixel_angstrom**4 / 200.0**2
    q = grid.q_per_angstrom()
    for low, high in ((0.1, 0.2), (0.45, 0.5), (0.8, 0.9)):
        ring = (q > low) & (q < high)
        assert power[ring].mean() == pytest.approx(carbon_power(q, 60.0, ENERGY)[ring].mean(), rel=0.06)
    assert phase.std() == pytest.approx(0.15, abs=0.02)
    exposure = Exposure(beam_fwhm_angstrom=200.0)
    arguments = {"thickness_angstrom": 60.0, "energy_ev": ENERGY}
    rings = film_electrons((256, 256), 0.008, (128.0, 128.0), exposure, **arguments, rng=np.random.default_rng(2))
    y, x = np.indices(rings.shape) - 128
    radius = np.hypot(y, x) * 0.008
    level = [rings[np.abs(radius - r) < 0.02].mean() for r in (0.36, 0.48, 0.66)]
    assert level[1] > 1.15 * level[0] > 1.15 * level[2]
    electrons = exposure.dose_per_angstrom2 * math.pi * 200.0**2 / (4 * math.log(2))
    expected = electrons * carbon_power(np.array([0.48]), 60.0, ENERGY)[0] * 0.008**2
    assert level[1] == pytest.approx(expected, rel=0.05)


def test_speckle_is_that_of_a_random_wave():
    grain = speckle((256, 256), 1.5, np.random.default_rng(3))
    assert grain.mean() == pytest.approx(1) and grain.std() == pytest.approx(1, abs=0.1)


def test_a_stop_has_a_disc_an_arm_and_a_shadow():
    distance = outside_stop((101, 101), (50.0, 50.0), disc_px=10, arm_px=6, direction_deg=-90.0)  # from above
    passed = passed_by_stop(distance, 0.0)
    assert not passed[0, 48:53].any() and passed[0, 46] and passed[0, 54] and passed[100].all()
    assert not passed[50, 41:60].any() and passed[50, 39] and passed[50, 61]
    soft = passed_by_stop(distance, 2.0)
    assert soft[50, 60] == pytest.approx(0.5) and soft[50, 62] == pytest.approx(0.8413, abs=1e-3)
    assert not (outside_stop((101, 101), (50.0, 50.0), disc_px=10, arm_px=0) < 0)[0].any()


def test_a_cross_is_as_wide_as_asked():
    cross = module_cross((64, 80), 3)
    assert cross[:, 0].sum() == 3 and cross[0].sum() == 3 and cross[32].all() and cross[:, 40].all()


def test_an_image_that_goes_on_is_seen_everywhere():
    grid = Grid(32, 16.0)
    wave = 1 + 0.1 * np.cos(2 * np.pi * grid.index() * grid.pixel_angstrom / 4)[None] * np.ones((32, 1))
    seen = seen_by_camera(wave, grid, (96, 96), 0.5, periodic=True)
    x = (np.arange(96) - 48) * 0.5
    np.testing.assert_allclose(seen, np.broadcast_to(1 + 0.1 * np.cos(2 * np.pi * x / 4), (96, 96)), atol=1e-3)


def test_sensitivity_acts_before_the_ceiling():
    exposure = Exposure(noise=False, counts_per_electron=1.0, offset_counts=0.0, saturation_counts=100)
    counts = recorded(np.full((1, 3), 90.0), exposure, np.random.default_rng(0), np.array([[0.5, 1.0, 2.0]]))
    assert counts.tolist() == [[45, 90, 100]]


def test_an_empty_field_scatters_nothing_when_stretched():
    nothing = AtomicModel(np.zeros(0, int), np.zeros((0, 3)))
    record = pattern_electrons(
        nothing, (64, 64), 0.01, (32.0, 32.0), Exposure(), energy_ev=ENERGY, matrix=stretch_matrix(2, 40)
    )
    assert np.unravel_index(record.argmax(), record.shape) == (32, 32)
