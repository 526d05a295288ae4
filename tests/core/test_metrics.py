"""Figures of merit where they are known exactly; and the tests' own scorer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.ensemble.metrics import (
    RadialCurve,
    imaginary_over_real,
    r_factor,
    radial_power,
    reflections,
    resolution_angstrom,
    ring_correlation,
    split_half_correlation,
    transfer_function,
)
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region
from objects import GRID, crystal, random_particle
from scoring import score

WHOLE = (slice(None), slice(None))


def noise(seed, grid=GRID):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(grid.shape) + 1j * rng.standard_normal(grid.shape)).astype(np.complex64)


def test_r_factor_by_hand():
    spectrum = np.array([[3, 4j, -5, 1]], np.complex64)
    measured = np.array([[3, 6, 4, 100]], np.float32)
    chosen = np.array([[True, True, True, False]])
    assert r_factor(spectrum, measured, chosen) == pytest.approx(3 / 13)
    assert r_factor(spectrum, np.abs(spectrum), chosen) == 0
    assert np.isnan(r_factor(spectrum, measured, np.zeros_like(chosen)))
    assert np.isnan(r_factor(spectrum, np.zeros_like(measured), chosen))


def test_radial_power_of_white_noise_is_flat_and_of_a_plane_wave_one_ring():
    grid = Grid(128, 51.2)
    flat = radial_power(fourier.transform(noise(0, grid)), grid)
    np.testing.assert_allclose(flat.value[10:], 2 * 128**2, rtol=0.25)
    spectrum = np.zeros(grid.shape, np.complex64)
    spectrum[grid.n // 2, grid.n // 2 + 26] = 3  # 26 / 51.2 Å = 0.508 / Å
    line = radial_power(spectrum, grid)
    (ring,) = np.flatnonzero(line.value)
    assert line.q_per_angstrom[ring] == pytest.approx(0.51)
    inside = np.count_nonzero((grid.q_per_angstrom() >= 0.5) & (grid.q_per_angstrom() < 0.52))
    assert line.value[ring] == pytest.approx(9 / inside)


@pytest.mark.parametrize("field_of_view", [51.2, 128.0, 12800.0])
def test_rings_reach_to_nyquist_whatever_the_units(field_of_view):
    """An uncalibrated pattern and an X-ray pattern have rings as well."""
    grid = Grid(128, field_of_view)
    curve = radial_power(fourier.transform(noise(0, grid)), grid)
    assert 10 <= curve.value.size <= 64
    assert np.isfinite(curve.value).all()
    assert curve.q_per_angstrom[-1] > 0.9 * grid.q_max_per_angstrom


def test_ring_correlation_of_an_object_with_itself_its_negative_and_noise():
    particle = random_particle(imaginary=0.3)
    np.testing.assert_allclose(ring_correlation(particle, particle, GRID).value, 1, atol=1e-5)
    np.testing.assert_allclose(ring_correlation(particle, -2 * particle, GRID).value, -1, atol=1e-5)
    grid = Grid(256, 102.4)
    unlike = ring_correlation(noise(0, grid), noise(1, grid), grid)
    width = float(unlike.q_per_angstrom[1] - unlike.q_per_angstrom[0])
    pixels = 2 * np.pi * unlike.q_per_angstrom * width * 102.4**2
    assert np.all(np.abs(unlike.value) < 5 / np.sqrt(pixels))


def test_ring_correlation_of_signal_with_noise_is_the_signals_share():
    grid = Grid(256, 102.4)
    signal = noise(0, grid)
    curve = ring_correlation(signal + noise(1, grid), signal + noise(2, grid), grid)
    np.testing.assert_allclose(curve.value[curve.q_per_angstrom > 0.15], 0.5, atol=0.1)


def test_an_empty_ring_is_not_a_number():
    low = fourier.inverse(np.where(GRID.q_per_angstrom() < 0.3, fourier.transform(noise(0)), 0))
    spectrum = fourier.transform(low)
    assert np.abs(spectrum[GRID.q_per_angstrom() > 0.4]).max() < 1e-3
    zero = np.zeros(GRID.shape, np.complex64)
    assert np.isnan(ring_correlation(zero, low, GRID).value).all()


def test_split_half_of_identical_members_is_one_and_of_one_member_nothing():
    particle = random_particle()
    same = split_half_correlation(np.stack([particle] * 5), GRID, WHOLE)
    np.testing.assert_allclose(same.value, 1, atol=1e-5)
    assert split_half_correlation(particle[None], GRID, WHOLE) is None
    unlike = split_half_correlation(np.stack([noise(k) for k in range(6)]), GRID, WHOLE)
    assert np.abs(unlike.value[unlike.q_per_angstrom > 0.2]).max() < 0.3


def test_split_half_sets_even_against_odd_members_on_their_box():
    box = (slice(20, 60), slice(30, 80))
    particle = random_particle()[box]
    curve = split_half_correlation(np.stack([particle, -particle, particle, -particle]), GRID, box)
    np.testing.assert_allclose(curve.value, -1, atol=1e-5)


def test_transfer_is_one_for_identical_members_that_fit_the_pattern():
    particle = random_particle()
    regions = np.full(GRID.shape, Region.G, np.uint8)
    regions[:, : GRID.n // 2] = Region.M
    measured = np.abs(fourier.transform(particle)).astype(np.float32)
    measured[:, : GRID.n // 2] = 7  # M does not count
    members = np.stack([particle] * 3)
    curve = transfer_function(members, measured, regions, GRID, WHOLE)
    np.testing.assert_allclose(curve.value, 1, atol=1e-4)
    regions[GRID.q_per_angstrom() > 0.8] = Region.B
    curve = transfer_function(members, measured, regions, GRID, WHOLE)
    half = float(curve.q_per_angstrom[0])
    beyond = curve.q_per_angstrom - half > 0.8
    assert beyond.any()
    assert np.isnan(curve.value[beyond]).all()
    assert np.isfinite(curve.value[curve.q_per_angstrom - half < 0.78]).all()


def test_transfer_of_members_with_random_phases_falls_as_their_number():
    """The mean of k unit vectors of random direction is √π/(2√k) long."""
    k, grid = 9, Grid(192, 76.8)
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, (k, *grid.shape))
    members = np.stack([fourier.inverse(np.exp(1j * p).astype(np.complex64)) for p in phases])
    ones, regions = np.ones(grid.shape, np.float32), np.full(grid.shape, Region.G, np.uint8)
    curve = transfer_function(members, ones, regions, grid, WHOLE)
    np.testing.assert_allclose(curve.value[curve.q_per_angstrom > 0.1], np.sqrt(np.pi) / 2 / 3, rtol=0.1)


def curve_of(*values):
    return RadialCurve((np.arange(len(values)) + 0.5) * 0.1, np.array(values, np.float64))


NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "ring"),
    [
        ((1, 1, 1, 0, 0, 0), 2),  # the finest ring before it falls for good
        ((1, 1, 0, 1, 0, 0), 3),  # one ring below is forgiven
        ((1, 1, 0, 0, 1, 1), 1),  # two are not: what comes back later does not count
        ((1, 1, 1, 1), 3),  # never falls
        ((1, NAN, NAN, 1, 0, 0), 3),  # no reflections between: passed over
        ((1, 1, NAN, 0, NAN, 0, 1), 1),  # two known rings below
        ((0, 0, 1, 1, 0, 0), 3),  # hidden by the beam at first
        ((1, 1, 1, 0), 2),  # the last one alone
        ((0.5, 0.5, 0.49, 0.1), 1),  # the threshold itself counts
    ],
)
def test_resolution_of_constructed_curves(values, ring):
    assert resolution_angstrom(curve_of(*values), 0.5) == pytest.approx(1 / ((ring + 0.5) * 0.1))


def test_no_resolution_is_none():
    assert resolution_angstrom(curve_of(0.1, 0.2), 0.5) is None
    assert resolution_angstrom(curve_of(NAN, NAN), 0.5) is None


@settings(max_examples=30, deadline=None)
@given(st.floats(-3.14, 3.14), st.floats(0, 0.9))
def test_imaginary_over_real_does_not_see_the_global_phase(phase, share):
    """Two parts without correlation: the smaller over the larger, whatever phase the pattern left."""
    rng = np.random.default_rng(0)
    a, b = np.linalg.qr(rng.standard_normal((400, 2)))[0].T.reshape(2, 20, 20)
    field = ((a + 1j * share * b) * np.exp(1j * phase)).astype(np.complex64)
    assert imaginary_over_real(field, np.ones((20, 20), bool)) == pytest.approx(share, abs=1e-3)


def test_imaginary_over_real_looks_inside_the_support_only():
    field = random_particle()
    support = np.abs(field) > 0.1
    outside = np.where(support, field, 5j).astype(np.complex64)
    assert imaginary_over_real(outside, support) == pytest.approx(0, abs=1e-6)
    assert np.isnan(imaginary_over_real(np.zeros_like(field), support))


def scored(found, pixel=0.4):
    grid, truth, _ = crystal(128)
    return score(found, pixel, truth, grid.pixel_angstrom)


@settings(max_examples=8, deadline=None)
@given(st.floats(-6, 6), st.floats(-6, 6), st.floats(-3.1, 3.1), st.floats(0.1, 10))
def test_the_scorer_frees_one_translation_one_phase_and_one_scale(y, x, phase, scale):
    _, truth, _ = crystal(128)
    found = scored((fourier.shift(truth, (y, x)) * scale * np.exp(1j * phase)).astype(np.complex64))
    assert found.correlation > 0.9999
    assert found.shift_angstrom == pytest.approx((-0.4 * y, -0.4 * x), abs=1e-3)
    assert found.factor * scale == pytest.approx(np.exp(-1j * phase), abs=1e-3)
    assert all(band.correlation > 0.999 for band in found.bands if band.reflections)


def test_the_scorer_compares_other_samplings():
    _, truth, _ = crystal(128)
    finer = fourier.inverse(fourier.fit_to_size(fourier.transform(truth), 160)) * (160 / 128) ** 2
    assert scored(finer, 0.4 * 128 / 160).correlation > 0.9999
    assert scored(fourier.fit_to_size(truth, 200)).correlation > 0.9999


def test_the_scorer_is_not_pleased_by_twins_noise_or_half_of_the_reflections():
    grid, truth, support = crystal(128)
    assert scored(truth).resolution_angstrom < 1.01
    assert scored(np.where(support, noise(0, grid), 0)).correlation < 0.3
    q = grid.q_per_angstrom()
    wrong = fourier.transform(truth) * np.exp(2j * np.pi * np.random.default_rng(0).random(grid.shape) * (q > 0.5))
    half = scored(fourier.inverse(wrong).astype(np.complex64))
    assert [band.correlation > 0.7 for band in half.bands[:4]] == [True, half.bands[1].correlation > 0.7, False, False]
    assert half.resolution_angstrom > 1.7
    assert scored(truth.conj()[::-1, ::-1] * (1 + 0.8j * (np.abs(truth) > 0.5))).correlation < 0.98


def test_reflections_are_told_from_what_lies_between_them():
    grid = Grid(256, 100.0)
    q = grid.index() * grid.q_pixel_per_angstrom
    amplitude = np.full(grid.shape, 0.01, np.float32)
    for x, height in ((0.45, 1.0), (-0.45, 1.0), (0.9, 0.1), (-0.9, 0.1)):
        amplitude += height * np.exp(-((q[None] - x) ** 2 + q[:, None] ** 2) / (2 * 0.01**2)).astype(np.float32)
    found = reflections(amplitude, np.full(grid.shape, Region.G, np.uint8), grid)
    middle = grid.n // 2
    assert found[middle, middle + 45] and found[middle, middle + 90]  # the weak one is strong where it is
    assert not found[middle, middle + 20] and not found[middle + 60, middle]
    assert found.sum() < 100
    first, second = (
        np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(amplitude * np.exp(1j * phase)))).astype(np.complex64)
        for phase in (0, np.where(found, 0, 3.0))
    )
    curve = ring_correlation(first, second, grid, chosen=found)
    known = np.isfinite(curve.value)
    assert 0 < known.sum() < len(known)
    np.testing.assert_allclose(curve.value[known], 1, atol=1e-4)
