"""Reciprocal pixel from camera length and from spacings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.core.record.calibration import q_pixel_from_camera_length, q_pixel_from_spacings
from napari_subangstrom_cdi.errors import InputError, QualityWarning


@given(length=st.floats(50, 5000), pixel=st.floats(5, 100), energy=st.floats(60e3, 400e3), d=st.floats(0.8, 10))
def test_a_spot_lies_where_braggs_law_puts_it(length, pixel, energy, d):
    q_pixel = q_pixel_from_camera_length(length, detector_pixel_um=pixel, energy_ev=energy)
    theta = np.arcsin(wavelength_angstrom(energy) / (2 * d))
    radius_px = length * np.tan(2 * theta) / (pixel * 1e-3)
    # The small-angle form is off by 3 (λq)²/8.
    assert radius_px * q_pixel == pytest.approx(1 / d, rel=0.5 * (wavelength_angstrom(energy) / d) ** 2)


@given(q_pixel=st.floats(1e-4, 1e-2), spacings=st.lists(st.floats(0.7, 8), min_size=2, max_size=20))
def test_exact_radii_give_the_pixel_back(q_pixel, spacings):
    fit = q_pixel_from_spacings([1 / (d * q_pixel) for d in spacings], spacings)
    assert fit.q_pixel_per_angstrom == pytest.approx(q_pixel, rel=1e-9)
    assert fit.standard_error_per_angstrom < 1e-9 * q_pixel + 1e-15


def test_the_standard_error_is_the_scatter_of_repeated_fits():
    rng = np.random.default_rng(0)
    d = np.array([3.58, 2.07, 1.79, 1.35, 1.19, 1.03, 0.9])
    fits = [q_pixel_from_spacings(1 / (d * 0.00125) + rng.normal(0, 0.3, len(d)), d) for _ in range(2000)]
    pixels = np.array([fit.q_pixel_per_angstrom for fit in fits])
    assert pixels.mean() == pytest.approx(0.00125, rel=1e-4)
    rms_error = np.sqrt(np.mean([fit.standard_error_per_angstrom**2 for fit in fits]))
    assert rms_error == pytest.approx(pixels.std(), rel=0.06)


def test_one_spot_gives_no_error():
    assert np.isnan(q_pixel_from_spacings([100.0], [4.0]).standard_error_per_angstrom)


def test_a_wrongly_indexed_spot_warns():
    d = np.array([3.0, 2.0, 1.5, 1.0, 0.9])
    radii = 1 / (d * 0.002)
    radii[2] += 40
    with pytest.warns(QualityWarning, match=r"d = 1\.5"):
        q_pixel_from_spacings(radii, d)


@pytest.mark.parametrize(
    ("radii", "spacings"), [([], []), ([1.0, 2.0], [1.0]), ([1.0], [-2.0]), ([0.0], [2.0]), ([np.nan], [2.0])]
)
def test_useless_spots_are_refused(radii, spacings):
    with pytest.raises(InputError):
        q_pixel_from_spacings(radii, spacings)


@pytest.mark.parametrize("length", [0.0, -800.0, float("nan")])
def test_an_absurd_camera_length_is_refused(length):
    with pytest.raises(InputError, match="camera length"):
        q_pixel_from_camera_length(length, detector_pixel_um=25, energy_ev=200e3)
