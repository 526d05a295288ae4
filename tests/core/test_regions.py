"""Regions G, B and M, and the amplitude band made of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_subangstrom_cdi.core.phasing.regions import (
    AmplitudeBand,
    Region,
    amplitude_band,
    find_regions,
    noise_level,
    with_friedel_mates,
)
from napari_subangstrom_cdi.errors import InputError

SHAPE = (24, 24)
SEEDS = st.integers(0, 2**32 - 1)


def modulus(rng):
    """Amplitudes over many decades, with exact zeros and numbers too small for single precision's full digits."""
    values = 10 ** rng.uniform(-44, 6, SHAPE)
    return np.where(rng.random(SHAPE) < 0.1, 0, values).astype(np.float32)


def band_of(seed):
    """Any band: equal limits, an upper limit only, both, neither."""
    rng = np.random.default_rng([seed, 0])
    lower = np.where(rng.random(SHAPE) < 0.7, modulus(rng), np.float32(0))
    return AmplitudeBand(lower, lower + rng.choice(np.array([0, 1, 250, np.inf], np.float32), SHAPE))


def spectrum_of(seed):
    rng = np.random.default_rng([seed, 1])
    return (modulus(rng) * np.exp(2j * np.pi * rng.random(SHAPE))).astype(np.complex64)


bands, spectra = SEEDS.map(band_of), SEEDS.map(spectrum_of)


@settings(max_examples=60, deadline=None)
@given(bands, spectra)
def test_projection_respects_the_band_and_keeps_phases(band, spectrum):
    projected = band.project(spectrum)
    amplitude = np.abs(projected)
    assert projected.dtype == np.complex64
    assert np.all(amplitude >= band.lower * (1 - 1e-6) - 1e-44)
    assert np.all(amplitude <= band.upper * (1 + 1e-6) + 1e-44)
    both = (amplitude > 1e-36) & (np.abs(spectrum) > 1e-36)
    assert both.sum() > 100
    np.testing.assert_allclose(np.exp(1j * (np.angle(projected) - np.angle(spectrum)))[both], 1, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(bands, spectra)
def test_projection_is_idempotent(band, spectrum):
    once = band.project(spectrum)
    np.testing.assert_allclose(band.project(once), once, rtol=2e-6, atol=1e-36)


@settings(max_examples=60, deadline=None)
@given(bands, spectra, spectra)
def test_no_point_of_the_band_is_nearer_than_the_projection(band, spectrum, other):
    projected, elsewhere = band.project(spectrum), band.project(other)
    nearest, distance = np.abs(spectrum - projected), np.abs(spectrum - elsewhere)
    assert np.all(nearest <= distance * (1 + 1e-5) + 1e-6 * np.abs(spectrum) + 1e-36)


@settings(max_examples=30, deadline=None)
@given(bands, spectra)
def test_what_already_lies_in_the_band_stays(band, spectrum):
    inside = (np.abs(spectrum) >= band.lower) & (np.abs(spectrum) <= band.upper)
    np.testing.assert_allclose(band.project(spectrum)[inside], spectrum[inside], rtol=1e-6, atol=1e-36)


def test_a_zero_coefficient_gets_the_wanted_amplitude():
    band = AmplitudeBand(np.full(SHAPE, 3, np.float32), np.full(SHAPE, 3, np.float32))
    np.testing.assert_array_equal(band.project(np.zeros(SHAPE, np.complex64)), 3)


@pytest.mark.parametrize(
    ("lower", "upper"),
    [(2.0, 1.0), (-1.0, 1.0), (np.nan, 1.0), (0.0, np.nan)],
)
def test_an_impossible_band_is_refused(lower, upper):
    with pytest.raises(InputError):
        AmplitudeBand(np.full(SHAPE, lower, np.float32), np.full(SHAPE, upper, np.float32))


def test_a_band_of_two_shapes_is_refused():
    with pytest.raises(InputError, match=r"24, 24.*12, 12"):
        AmplitudeBand(np.zeros(SHAPE, np.float32), np.ones((12, 12), np.float32))


def _pattern():
    """Uniform σ = 2, a spot of 2 x 2 at 10 σ, a lone pixel at 10 σ, and a missing quarter with a spot in it."""
    intensity = np.zeros((32, 32), np.float32)
    intensity[4:6, 4:6] = intensity[20, 10] = intensity[25:28, 25:28] = 20
    valid = np.ones((32, 32), bool)
    valid[24:, 24:] = False
    return intensity, np.full((32, 32), 2, np.float32), valid


def test_regions_by_hand():
    intensity, sigma, valid = _pattern()
    regions = find_regions(intensity, sigma, valid)
    expected = np.full((32, 32), Region.B)
    expected[4:6, 4:6] = Region.G
    expected[24:, 24:] = Region.M
    np.testing.assert_array_equal(regions, expected)
    lone = find_regions(intensity, sigma, valid, min_pixels=1)
    assert lone[20, 10] == Region.G
    assert np.count_nonzero(lone != regions) == 1


def test_the_noise_multiple_is_a_strict_threshold():
    intensity, sigma, valid = _pattern()
    assert find_regions(intensity, sigma, valid, noise_multiple=9.99)[4, 4] == Region.G
    with pytest.raises(InputError, match="10 σ"):
        find_regions(intensity, sigma, valid, noise_multiple=10)


def test_beam_and_user_mask_go_to_m():
    intensity, sigma, valid = _pattern()
    user = np.zeros_like(valid)
    user[4, 4] = True
    regions = find_regions(intensity, sigma, valid, beam_radius_px=3, user_mask=user)
    y, x = np.mgrid[-16:16, -16:16]
    assert np.all((regions == Region.M) == (np.hypot(y, x) <= 3) | user | ~valid)
    assert regions[4, 5] == Region.G


def test_regions_say_which_shape_is_wrong():
    intensity, sigma, valid = _pattern()
    with pytest.raises(InputError, match="noise"):
        find_regions(intensity, sigma[:20], valid)
    with pytest.raises(InputError, match="valid mask"):
        find_regions(intensity, sigma, valid[:20])
    with pytest.raises(InputError, match="user mask"):
        find_regions(intensity, sigma, valid, user_mask=valid[:20])


@pytest.mark.parametrize("truth", [0.7, 1.0, 3.0])
def test_noise_level_is_the_scatter_seen_whatever_the_spots(truth):
    rng = np.random.default_rng(0)
    variance = np.full((256, 256), 4, np.float32)
    intensity = (2 * truth * rng.standard_normal(variance.shape)).astype(np.float32)
    intensity[::16, ::16] += 1000
    valid = np.ones(variance.shape, bool)
    valid[:70, :70] = False
    sigma = noise_level(intensity, variance, valid)
    assert sigma.dtype == np.float32
    assert float(np.median(sigma[70:, 70:])) == pytest.approx(2 * truth, rel=0.04)
    assert np.all(np.abs(sigma[128:, 128:] / (2 * truth) - 1) < 0.15)
    assert np.all(sigma[:16, :16] == 2)  # nothing seen there: the expectation


def test_noise_level_never_falls_below_half_the_expectation():
    sigma = noise_level(np.zeros((64, 64), np.float32), np.full((64, 64), 9, np.float32), np.ones((64, 64), bool))
    np.testing.assert_allclose(sigma, 1.5, rtol=1e-5)


def test_noise_level_of_an_array_smaller_than_a_block():
    rng = np.random.default_rng(0)
    noise = (5 * rng.standard_normal((24, 24))).astype(np.float32)
    sigma = noise_level(noise, np.ones((24, 24), np.float32), np.ones((24, 24), bool))
    assert sigma.shape == (24, 24)
    assert float(sigma.mean()) == pytest.approx(5, rel=0.2)


def test_both_readings_of_region_b():
    intensity = np.array([[100, 9, 4, -5, 50, 7]], np.float32)
    sigma = np.full(intensity.shape, 3, np.float32)
    regions = np.array([[Region.G, Region.B, Region.B, Region.B, Region.B, Region.M]], np.uint8)
    ceiling = 3.0  # √(3 · 3)
    methods = amplitude_band(intensity, sigma, regions, alpha=0.3)
    np.testing.assert_allclose(methods.lower, [[10, 0.9, 0.6, 0, 0.3 * ceiling, 0]])
    np.testing.assert_allclose(methods.upper, [[10, 0.9, 0.6, 0, 0.3 * ceiling, np.inf]])
    limit = amplitude_band(intensity, sigma, regions, reading="upper-limit")
    np.testing.assert_allclose(limit.lower, [[10, 0, 0, 0, 0, 0]])
    np.testing.assert_allclose(limit.upper, [[10, *[ceiling] * 4, np.inf]])


def test_alpha_and_reading_are_checked():
    one = np.ones((2, 2), np.float32)
    regions = np.full((2, 2), Region.G, np.uint8)
    for alpha in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match="α"):
            amplitude_band(one, one, regions, alpha=alpha)
    with pytest.raises(InputError, match="reading"):
        amplitude_band(one, one, regions, reading="main text")


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), SEEDS)
def test_a_mask_gets_the_pixels_at_minus_q(ny, nx, seed):
    mask = np.random.default_rng(seed).random((ny, nx)) < 0.2
    expected = mask.copy()
    for y, x in zip(*np.nonzero(mask), strict=True):
        expected[(2 * (ny // 2) - y) % ny, (2 * (nx // 2) - x) % nx] = True
    found = with_friedel_mates(mask)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(with_friedel_mates(found), found)


def test_the_mates_are_those_of_the_transform():
    n = 16
    spectrum = np.fft.fftshift(np.fft.fft2(np.random.default_rng(3).normal(size=(n, n))))
    for y, x in ((n // 2, n // 2), (3, 5), (0, 7), (0, 0), (11, 0)):
        mask = np.zeros((n, n), bool)
        mask[y, x] = True
        pair = spectrum[with_friedel_mates(mask)]
        assert len(pair) in (1, 2)
        assert pair[0] == pytest.approx(np.conj(pair[-1]))
