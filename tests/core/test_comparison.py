"""Comparing image and pattern as the geometry is moved by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from lattice_image import CONDITIONS, GRID, IMAGE_SHAPE, atoms, image_of, pattern_of, sample_pattern
from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.image.comparison import LiveComparison
from napari_subangstrom_cdi.core.image.geometry import (
    ImageRegistration,
    pattern_from_image_frequency,
    resample_to_pattern,
)
from napari_subangstrom_cdi.core.image.pair import Pair
from napari_subangstrom_cdi.core.image.potential import normalise_to_vacuum
from napari_subangstrom_cdi.core.image.registration import register_image
from napari_subangstrom_cdi.errors import InputError


@pytest.fixture(scope="module")
def bundled():
    """A comparison of the bundled sample with the transfer that registration found, and that registration."""
    image, pattern, grid, conditions, acquisition = sample_pattern()
    common = {"valid": pattern.valid, "noise_std": np.sqrt(pattern.variance)}
    pixel = acquisition["image_pixel_nominal_A"]
    rotation = acquisition["image_to_pattern_rotation_deg"]
    found = register_image(
        Pair(image, pattern.intensity, grid, conditions=conditions, **common),
        image_pixel_angstrom=pixel,
        rotation_deg=rotation,
    )
    comparison = LiveComparison(
        Pair(image, pattern.intensity, grid, conditions=replace(conditions, defocus_nm=found.defocus_nm), **common),
        image_pixel_angstrom=pixel,
        object_phase_deg=found.object_phase_deg,
    )
    return comparison, found, grid


def best_of(values, scores):
    return values[int(np.argmax(scores))]


def test_correlation_is_highest_where_the_registration_is_and_falls_on_both_sides(bundled):
    comparison, found, _ = bundled
    turns, scales = np.linspace(-2, 2, 41), np.linspace(-0.03, 0.03, 61)
    by_turn = np.array(
        [comparison.correlation(found.rotation_deg + t, found.image_pixel_angstrom, found.mirrored) for t in turns]
    )
    by_scale = np.array(
        [
            comparison.correlation(found.rotation_deg, found.image_pixel_angstrom * (1 + s), found.mirrored)
            for s in scales
        ]
    )
    assert abs(best_of(turns, by_turn)) <= 0.101
    assert abs(best_of(scales, by_scale)) <= 0.0021
    assert by_turn.max() > 0.9
    for scores in (by_turn, by_scale):
        top = int(np.argmax(scores))
        assert (np.diff(scores[: top + 1]) > 0).all()
        assert (np.diff(scores[top:]) < 0).all()
        assert max(scores[0], scores[-1]) < scores.max() - 0.2


def test_correlation_tells_the_mirror(bundled):
    comparison, found, _ = bundled
    right = comparison.correlation(found.rotation_deg, found.image_pixel_angstrom, found.mirrored)
    assert comparison.correlation(found.rotation_deg + 180, found.image_pixel_angstrom, found.mirrored) == (
        pytest.approx(right, abs=1e-4)
    )
    assert comparison.correlation(found.rotation_deg, found.image_pixel_angstrom, not found.mirrored) < right - 0.3


def test_spots_of_both_lie_on_each_other_at_the_registered_geometry(bundled):
    comparison, found, grid = bundled
    pattern, image = (
        comparison.spots_pattern,
        comparison.spots_on_pattern(found.rotation_deg, found.image_pixel_angstrom, found.mirrored),
    )
    assert 6 <= len(pattern) <= 60
    assert 6 <= len(image) <= 60
    distance = cKDTree(pattern).query(image)[0]
    assert np.median(distance) < 0.5 * grid.q_pixel_per_angstrom
    assert (distance < grid.q_pixel_per_angstrom).mean() > 0.7
    off = comparison.spots_on_pattern(found.rotation_deg + 5, found.image_pixel_angstrom, found.mirrored)
    assert np.median(cKDTree(pattern).query(off)[0]) > 4 * grid.q_pixel_per_angstrom


def test_the_power_spectrum_has_the_spots_where_its_affine_says(bundled):
    comparison, found, _ = bundled
    display = comparison.power_display
    side = display.power.shape[0]
    assert display.power.dtype == np.float32
    assert display.power.shape == (side, side)
    assert side % 2 == 1
    assert side <= 512
    geometry = (found.rotation_deg, found.image_pixel_angstrom, found.mirrored)
    spots = comparison.spots_on_pattern(*geometry)
    index = np.linalg.inv(display.affine(*geometry)) @ np.column_stack([spots, np.ones(len(spots))]).T
    rows, columns = np.rint(index[:2]).astype(int)
    assert (display.power[rows, columns] > np.percentile(display.power, 98)).all()
    np.testing.assert_allclose(display.affine(*geometry) @ [side // 2, side // 2, 1], [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0.0, 37.0, -100.0])
def test_frequencies_turn_as_resampling_turns_the_image(rotation, mirrored):
    pixel = 0.355
    frequency = np.array([0.031, 0.083])  # (fy, fx), cycles per image pixel
    y, x = (np.arange(n) - n // 2 for n in IMAGE_SHAPE)
    envelope = np.exp(-(y[:, None] ** 2 + x**2) / (2 * 40**2))
    wave = (envelope * np.cos(2 * np.pi * (frequency[0] * y[:, None] + frequency[1] * x))).astype(np.float32)
    registration = ImageRegistration(rotation, pixel, mirrored, 0, 0, 1, 1, 0, 0, 0, ())
    laid = resample_to_pattern(wave, registration, GRID, centre_px=tuple(n // 2 for n in IMAGE_SHAPE))
    power = np.abs(fourier.transform(laid))
    peak = np.unravel_index(power.argmax(), power.shape)
    seen = (np.array(peak) - GRID.n // 2) * GRID.q_pixel_per_angstrom
    expected = pattern_from_image_frequency(rotation, pixel, mirrored) @ frequency
    sign = np.sign(seen @ expected)
    np.testing.assert_allclose(sign * seen, expected, atol=0.6 * GRID.q_pixel_per_angstrom)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_lattice_without_imaging_conditions(mirrored):
    r = atoms()
    image = normalise_to_vacuum(image_of(r, -50.0, 0.36, mirrored))
    comparison = LiveComparison(Pair(image, pattern_of(r), GRID), image_pixel_angstrom=0.37)
    right = comparison.correlation(-50.0, 0.36, mirrored)
    assert right > 0.5
    assert comparison.correlation(-50.0, 0.36, not mirrored) < right - 0.2
    assert comparison.correlation(-47.0, 0.36, mirrored) < right - 0.1
    assert comparison.correlation(-50.0, 0.375, mirrored) < right - 0.1


def test_an_unrecorded_beam_does_not_count():
    r = atoms()
    pattern, image = pattern_of(r), normalise_to_vacuum(image_of(r, 10.0, 0.36))
    valid = np.ones(GRID.shape, bool)
    valid[GRID.n // 2 - 12 : GRID.n // 2 + 13, : GRID.n // 2] = False
    scores = []
    for spoilt in (0.0, 1e6):
        marred = np.where(valid, pattern, spoilt).astype(np.float32)
        comparison = LiveComparison(
            Pair(image, marred, GRID, conditions=CONDITIONS, valid=valid), image_pixel_angstrom=0.36
        )
        scores.append(comparison.correlation(10.0, 0.36, False))
    assert scores[0] == scores[1] > 0.5


def test_bad_input_is_refused():
    image, pattern = normalise_to_vacuum(image_of(atoms(), 0.0, 0.36)), pattern_of(atoms())
    with pytest.raises(InputError, match="shape"):
        LiveComparison(Pair(image, pattern[:100], GRID), image_pixel_angstrom=0.36)
    with pytest.raises(InputError, match="positive"):
        pattern_from_image_frequency(0.0, 0.0, False)
    with pytest.raises(InputError, match="positive"):
        pattern_from_image_frequency(0.0, math.nan, False)


def test_a_blank_pattern_has_no_spots():
    blank = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    image = normalise_to_vacuum(image_of(atoms(), 0.0, 0.36))
    comparison = LiveComparison(Pair(image, blank, GRID), image_pixel_angstrom=0.36)
    assert comparison.spots_pattern.shape == (0, 2)
    assert abs(comparison.correlation(0.0, 0.36, False)) < 0.1
