"""Members are brought into one frame by phase and by their true translation, not by a lattice vector."""

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_subangstrom_cdi.core.ensemble.superposition import align, centrosymmetry, inversion_centre, object_origin
from napari_subangstrom_cdi.core.fourier import shift
from objects import correlation, crystal, random_particle

GRID, CRYSTAL, _ = crystal(192)
PIXEL = GRID.pixel_angstrom
SHIFTS = st.floats(-60, 60)


def displaced(field, offset, phase=0.0):
    return (shift(field, offset) * np.exp(1j * phase)).astype(np.complex64)


def speckled(field, share, seed=0):
    """Complex white noise where the particle is, as the deviations between members are."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(field.shape) + 1j * rng.standard_normal(field.shape)
    inside = np.abs(field) > 0.02 * np.abs(field).max()
    return (field + share * np.abs(field[inside]).std() * noise * inside).astype(np.complex64)


def plain_peak(moving, reference):
    """Where a plain cross-correlation says that the object lies, whole pixels."""
    cross = np.abs(scipy.fft.ifft2(scipy.fft.fft2(reference) * np.conj(scipy.fft.fft2(moving))))
    peak = np.array(np.unravel_index(int(cross.argmax()), cross.shape))
    half = GRID.n // 2
    return (peak + half) % GRID.n - half


@settings(max_examples=25, deadline=None)
@given(SHIFTS, SHIFTS, st.floats(-3.1, 3.1), st.floats(0.1, 10))
def test_any_translation_phase_and_scale_is_undone(y, x, phase, scale):
    moving = displaced(CRYSTAL, (y, x), phase) * np.float32(scale)
    aligned, how = align(moving, CRYSTAL, PIXEL)
    np.testing.assert_allclose(how.shift_px, (-y, -x), atol=1e-3)
    assert np.exp(1j * (how.phase_rad + phase)) == pytest.approx(1, abs=1e-3)
    assert how.correlation == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(aligned / scale, CRYSTAL, atol=2e-3)
    assert not how.inverted


@settings(max_examples=15, deadline=None)
@given(SHIFTS, SHIFTS, st.integers(0, 10**6))
def test_members_that_differ_are_brought_together_to_a_tenth_of_a_pixel(y, x, seed):
    moving, reference = speckled(displaced(CRYSTAL, (y, x)), 0.5, seed), speckled(CRYSTAL, 0.5, seed + 1)
    _, how = align(moving, reference, PIXEL)
    np.testing.assert_allclose(how.shift_px, (-y, -x), atol=0.1)
    assert 0.5 < how.correlation < 0.99


@pytest.mark.parametrize("factor", [5, 8])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (7.3, -4.6)])
def test_the_outline_is_believed_where_the_plain_correlation_is_not_right(factor, offset):
    """A bright part at the left of one member and at the right of the other: they correlate best one on the other."""
    axis = GRID.index() * PIXEL
    y, x = axis[:, None], axis[None, :]
    left, right = (1 + (factor - 1) * np.exp(-((x - at) ** 2 + y**2) / (2 * 3.0**2)) for at in (-5, 5))
    reference = (CRYSTAL * left).astype(np.complex64)
    moving = displaced((CRYSTAL * right).astype(np.complex64), offset)
    assert np.hypot(*(plain_peak(moving, reference) + offset)) * PIXEL > 5
    _, how = align(moving, reference, PIXEL)
    np.testing.assert_allclose(how.shift_px, np.negative(offset), atol=0.2)


def test_a_lattice_vector_is_no_translation_even_if_most_of_the_particle_would_fit():
    """Half a particle of one member is faint: by whole pixels the lattice fits elsewhere nearly as well."""
    axis = GRID.index() * PIXEL
    fade = 1 / (1 + np.exp(-axis / 2))[None, :]
    reference = (CRYSTAL * (0.45 + 0.55 * fade)).astype(np.complex64)
    moving = displaced((CRYSTAL * (1 - 0.55 * fade)).astype(np.complex64), (31.4, 22.7))
    _, how = align(moving, reference, PIXEL)
    np.testing.assert_allclose(how.shift_px, (-31.4, -22.7), atol=0.3)


def test_the_twin_is_tried_when_it_is_allowed():
    truth = random_particle(imaginary=0.4)
    twin = np.roll(truth[::-1, ::-1], (1, 1), (0, 1)).conj()
    moving = displaced(twin, (3.25, -2.5), 0.7)
    _, kept = align(moving, truth, PIXEL)
    assert kept.correlation < 0.7
    assert not kept.inverted
    aligned, how = align(moving, truth, PIXEL, allow_twin=True)
    assert how.inverted
    assert how.correlation == pytest.approx(1, abs=1e-4)
    assert correlation(aligned, truth) == pytest.approx(1, abs=1e-4)
    _, right = align(displaced(truth, (3.25, -2.5)), truth, PIXEL, allow_twin=True)
    assert not right.inverted


def test_the_reported_correlation_is_that_of_the_aligned_object():
    moving, reference = speckled(CRYSTAL, 1.0, 3), speckled(CRYSTAL, 1.0, 4)
    aligned, how = align(displaced(moving, (4, 9), 2.0), reference, PIXEL)
    assert how.correlation == pytest.approx(correlation(aligned, reference), abs=1e-4)
    assert np.angle(np.vdot(aligned, reference)) == pytest.approx(0, abs=1e-3)
    assert aligned.dtype == np.complex64


def test_an_empty_object_is_aligned_with_nothing():
    _, how = align(np.zeros_like(CRYSTAL), CRYSTAL, PIXEL)
    assert how.correlation == 0


@pytest.mark.parametrize("offset", [(0.0, 0.0), (1.3, -2.6), (-4.0, 5.5)])
def test_the_centre_of_inversion_of_a_centred_object_is_found(offset):
    """An object and its inverse together have one in the middle; the global phase does not matter."""
    twin = np.roll(CRYSTAL[::-1, ::-1], (1, 1), (0, 1))
    found = inversion_centre(displaced(CRYSTAL + twin, offset, 1.1), GRID)
    np.testing.assert_allclose(found, offset, atol=0.05)


def test_an_object_without_a_centre_of_inversion_is_moved_by_whole_pixels():
    twin = np.roll(CRYSTAL[::-1, ::-1], (1, 1), (0, 1))
    centred, polar = displaced(CRYSTAL + twin, (0.3, -0.4), 0.0), displaced(CRYSTAL, (0.3, -0.4), 0.0)
    assert centrosymmetry(centred, GRID, inversion_centre(centred, GRID)) > 0.95
    assert object_origin(centred, GRID) == pytest.approx((0.3, -0.4), abs=0.05)
    assert centrosymmetry(polar, GRID, inversion_centre(polar, GRID)) < 0.8
    assert all(value == round(value) for value in object_origin(polar, GRID))
