"""How a record agrees with itself turned about a centre set by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_image import sample_records
from napari_subangstrom_cdi.core.record.detector import Record
from napari_subangstrom_cdi.core.record.friedel import FriedelCheck, friedel_mate, friedel_residual


@pytest.fixture(scope="module")
def bundled():
    record, _, beam, _ = sample_records()
    return FriedelCheck(record), np.array(beam.centre_px)


def test_the_offset_vanishes_at_the_centre(bundled):
    check, centre = bundled
    found = check.at(tuple(centre))
    assert found.distance_px < 0.1
    assert found.correlation > 0.9
    assert found.n_pairs >= 10
    np.testing.assert_allclose((found.spots_px + found.mates_px) / 2, np.broadcast_to(centre, found.spots_px.shape))


@pytest.mark.parametrize("shift", [(1.3, -0.7), (0.0, 0.4), (-6.0, 5.0), (8.0, 8.0)])
def test_the_offset_leads_back_to_the_centre(bundled, shift):
    check, centre = bundled
    found = check.at(tuple(centre + shift))
    np.testing.assert_allclose(found.offset_px, -np.array(shift), atol=0.2)
    assert found.correlation < check.at(tuple(centre)).correlation - 0.02


def test_the_correlation_falls_steadily_near_the_centre(bundled):
    check, centre = bundled
    scores = [check.at((centre[0], centre[1] + d)).correlation for d in (0.0, 0.5, 1.0, 1.5, 2.0)]
    assert (np.diff(scores) < 0).all()


def test_no_offset_is_told_far_from_any_centre(bundled):
    check, centre = bundled
    found = check.at((centre[0] + 400, centre[1] + 300))
    assert math.isnan(found.distance_px)


def test_a_centre_off_the_record_is_answered(bundled):
    assert math.isnan(bundled[0].at((-5000.0, 1e5)).distance_px)


def test_a_record_without_spots_has_no_pairs():
    electrons = np.random.default_rng(0).poisson(20, (256, 256)).astype(np.float32)
    record = Record(electrons, electrons + 1, np.ones((256, 256), bool))
    found = friedel_residual(record, (128.0, 128.0))
    assert found.n_pairs == 0
    assert math.isnan(found.correlation)
    assert math.isnan(found.distance_px)
    assert found.spots_px.shape == found.mates_px.shape == (0, 2)


@given(st.integers(3, 12), st.integers(3, 12), st.integers(-4, 30), st.integers(-4, 30))
@settings(deadline=None, max_examples=60)
def test_the_mate_is_the_image_at_the_opposite_pixel(ny, nx, twice_cy, twice_cx):
    image = np.random.default_rng([ny, nx]).normal(size=(ny, nx)).astype(np.float32)
    mate = friedel_mate(image, (twice_cy / 2, twice_cx / 2))
    expected = np.zeros_like(image)
    for y, x in np.ndindex(image.shape):
        v, u = twice_cy - y, twice_cx - x
        if 0 <= v < ny and 0 <= u < nx:
            expected[y, x] = image[v, u]
    np.testing.assert_array_equal(mate, expected)


def test_a_fraction_of_a_pixel_is_interpolated():
    y, x = np.indices((64, 72), dtype=float)
    bump = np.exp(-((y - 20) ** 2 + (x - 50) ** 2) / 50)
    expected = np.exp(-((y - (2 * 31.3 - 20)) ** 2 + (x - (2 * 36.85 - 50)) ** 2) / 50)
    mate = friedel_mate(bump, (31.3, 36.85))
    assert mate.dtype == np.float32
    np.testing.assert_allclose(mate, expected, atol=0.01)
