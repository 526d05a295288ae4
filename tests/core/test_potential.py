"""Normalisation, contrast transfer and its inversion."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.core.image.potential import (
    ImagingConditions,
    aberration_phase,
    coherence_envelope,
    ctf,
    normalise_to_vacuum,
    particle_window,
    vacuum_power,
    weak_phase_potential,
    wiener_potential,
)
from napari_subangstrom_cdi.errors import InputError, QualityWarning

PIXEL = 0.4
SCHERZER = ImagingConditions(200e3, 1.0, -61.0, 4.0, 0.55)


def lattice_phase(n=320, height=0.15, radius=22.0, spacing=3.4):
    """Projected phase O of a disc of atoms on a triangular lattice, drawn with Gaussians."""
    m = np.arange(-20, 21)
    i, j = (a.ravel() for a in np.meshgrid(m, m))
    x, y = spacing * (i + 0.5 * j) + 0.7, spacing * math.sqrt(3) / 2 * j - 0.4
    keep = np.hypot(x, y) < radius
    axis = (np.arange(n) - n // 2) * PIXEL
    gx = np.exp(-((axis - x[keep, None]) ** 2) / (2 * 0.5**2))
    gy = np.exp(-((axis - y[keep, None]) ** 2) / (2 * 0.5**2))
    return height * gy.T @ gx


def wave_image(phase, conditions):
    """|ψ ⊗ h|² of a phase object, by the wave and not by the linear transfer under test."""
    n = phase.shape[0]
    f = np.fft.fftfreq(n, PIXEL)
    q2 = f[:, None] ** 2 + f[None] ** 2
    wavelength = 0.0250793
    chi = math.pi * wavelength * conditions.defocus_nm * 10 * q2
    chi += 0.5 * math.pi * conditions.cs_mm * 1e7 * wavelength**3 * q2**2
    limit = np.hypot(*np.meshgrid(f, f)) < conditions.information_limit_per_angstrom
    wave = np.fft.ifft2(np.fft.fft2(np.exp(1j * phase)) * np.exp(-1j * chi) * limit)
    return np.abs(wave) ** 2


def in_band(field, low, high):
    n = field.shape[0]
    f = np.fft.fftfreq(n, PIXEL)
    q = np.hypot(f[:, None], f[None])
    return np.fft.ifft2(np.fft.fft2(field) * ((q > low) & (q < high))).real


def test_scherzer_underfocus_transfers_positively_and_crosses_zero_where_it_should():
    wavelength = wavelength_angstrom(200e3)
    crossing = math.sqrt(2 * 610 / (1e7 * wavelength**2))
    assert np.all(ctf(np.linspace(0.05, crossing - 0.01, 50), SCHERZER) > 0)
    assert ctf(crossing - 0.002, SCHERZER) > 0 > ctf(crossing + 0.002, SCHERZER)
    assert aberration_phase(crossing, SCHERZER) == pytest.approx(0, abs=1e-9)


def test_envelope_at_information_limit():
    bare = ImagingConditions(200e3, 1.0, -61.0, 0.0, 0.5)
    assert coherence_envelope(0.5, bare) == pytest.approx(math.exp(-1))
    spread = ImagingConditions(200e3, 1.0, -61.0, 4.0)
    expected = math.exp(-0.5 * (math.pi * wavelength_angstrom(200e3) * 40 * 0.4**2) ** 2)
    assert coherence_envelope(0.4, spread) == pytest.approx(expected)


def test_object_phase_gives_dark_particle_at_zero_frequency():
    assert ctf(0.0, SCHERZER) == 0
    assert ctf(0.0, SCHERZER, object_phase_deg=30) == pytest.approx(1.0)


@pytest.mark.parametrize("defocus_nm", [-61.0, -90.0, -30.0])
def test_linear_transfer_agrees_with_wave_optics(defocus_nm):
    conditions = ImagingConditions(200e3, 1.0, defocus_nm, 0.0, 0.55)
    phase = lattice_phase(height=1e-3)
    f = np.fft.fftfreq(phase.shape[0], PIXEL)
    q = np.hypot(f[:, None], f[None])
    hard = ImagingConditions(200e3, 1.0, defocus_nm)
    linear = np.fft.ifft2(np.fft.fft2(phase) * ctf(q, hard) * (q < 0.55)).real
    assert np.abs(1 - wave_image(phase, conditions) - linear).max() < 0.02 * np.abs(linear).max()


@pytest.mark.parametrize("defocus_nm", [-61.0, -85.0, -40.0])
def test_wiener_recovers_the_phase_with_the_right_sign_and_size(defocus_nm):
    rng = np.random.default_rng(4)
    conditions = ImagingConditions(200e3, 1.0, defocus_nm, 0.0, 0.55)
    phase = lattice_phase()
    image = rng.poisson(1000 * wave_image(phase, conditions)).astype(float)
    normalised = normalise_to_vacuum(image)
    # The wave above has a sharp aperture and no other loss, so no envelope is assumed.
    bare = ImagingConditions(200e3, 1.0, defocus_nm, 0.0, 1.2)
    estimate = wiener_potential(normalised, pixel_angstrom=PIXEL, conditions=bare)
    # Only the reflections at 0.34 1/Å lie inside the aperture; all defoci transfer them.
    truth, found = in_band(phase, 0.25, 0.45), in_band(estimate, 0.25, 0.45)
    assert np.corrcoef(truth.ravel(), found.ravel())[0, 1] > 0.9
    assert np.vdot(truth, found) / np.vdot(truth, truth) == pytest.approx(1, abs=0.2)


def test_weak_phase_estimate_has_the_sign_of_the_potential():
    phase = lattice_phase(height=0.02)
    estimate = weak_phase_potential(wave_image(phase, SCHERZER))
    truth = in_band(phase, 0.05, 0.55)
    assert np.corrcoef(truth.ravel(), estimate.ravel())[0, 1] > 0.8
    assert weak_phase_potential([[1.0, 0.8]]) == pytest.approx(np.array([[0.0, 0.1]]))


def test_wrong_sign_of_contrast_is_noticed():
    image = 2 - wave_image(lattice_phase(), SCHERZER)
    counts = np.random.default_rng(0).poisson(500 * image)
    with pytest.warns(QualityWarning, match="downwards"):
        wiener_potential(normalise_to_vacuum(counts), pixel_angstrom=PIXEL, conditions=SCHERZER)
    upright = np.random.default_rng(0).poisson(500 * (2 - image))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wiener_potential(normalise_to_vacuum(upright), pixel_angstrom=PIXEL, conditions=SCHERZER)


@given(
    tilt=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)),
    bowl=st.floats(-0.2, 0.2),
    offset=st.tuples(st.integers(-60, 60), st.integers(-60, 60)),
)
@settings(max_examples=12, deadline=None)
def test_uneven_background_is_divided_out(tilt, bowl, offset):
    image = np.roll(wave_image(lattice_phase(), SCHERZER), offset, (0, 1))
    v, u = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j]
    level = 400 * (1 + tilt[0] * u + tilt[1] * v + bowl * (u**2 + u * v))
    counts = np.random.default_rng(1).poisson(level * image)
    found = normalise_to_vacuum(counts)
    assert np.abs(counts / found.intensity / level - 1).max() < 0.02
    centre = image.shape[0] // 2 + np.array(offset)
    assert np.hypot(*(np.array(found.centre_px) - centre)) < 4
    assert found.diameter_px * PIXEL == pytest.approx(44 + 3, abs=8)
    assert found.vacuum_noise_std == pytest.approx(1 / math.sqrt(400), rel=0.3)


def test_vacuum_power_is_the_noise_per_pixel():
    counts = np.random.default_rng(2).poisson(200 * wave_image(lattice_phase(), SCHERZER))
    power = vacuum_power(normalise_to_vacuum(counts))
    assert power[40:].mean() == pytest.approx(1 / 200, rel=0.05)


def test_window_keeps_the_particle_whole():
    image = normalise_to_vacuum(
        1000 * wave_image(lattice_phase(), SCHERZER) + np.random.default_rng(0).normal(size=(320, 320))
    )
    window = particle_window(image)
    assert window[image.particle].min() == 1
    assert window[0, 0] == 0


def test_particle_cut_by_the_border_is_noticed():
    image = np.roll(wave_image(lattice_phase(), SCHERZER), 160, axis=1)[:, :240]
    with pytest.warns(QualityWarning, match="border"):
        normalise_to_vacuum(np.random.default_rng(0).poisson(500 * image))


def noise_image(n=256, seed=0):
    return np.random.default_rng(seed).poisson(200, (n, n)).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_no_particle(seed):
    with pytest.raises(InputError, match="no particle"):
        normalise_to_vacuum(noise_image(seed=seed))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((128, 128)), "every pixel"),
        (np.full((128, 128), np.nan), "NaN"),
        (np.ones((3, 128, 128)), "two axes"),
        (np.ones((8, 8)), "too small"),
        (-noise_image(), "vacuum level"),
    ],
)
def test_unusable_images(image, message):
    with pytest.raises(InputError, match=message):
        normalise_to_vacuum(image)


def test_unusable_conditions():
    with pytest.raises(InputError, match="eV"):
        ImagingConditions(200, 1.0, -61.0)
    with pytest.raises(InputError, match="cs_mm"):
        ImagingConditions(200e3, math.nan, -61.0)
    with pytest.raises(InputError, match="defocus_spread_nm"):
        ImagingConditions(200e3, 1.0, -61.0, -4.0)
    with pytest.raises(InputError, match="nanometres"):
        ImagingConditions(200e3, 1.0, -6.1e5)


def test_an_image_with_negative_counts_is_warned_of():
    counts = np.random.default_rng(0).poisson(500 * wave_image(lattice_phase(), SCHERZER)).astype(np.float32)
    with pytest.warns(QualityWarning, match="negative counts"):
        normalise_to_vacuum(counts - counts.min() - 1)
