"""What stands in invalid pixels does not reach the others: neither variances, nor backgrounds, nor spots."""

import numpy as np
import pytest

from napari_subangstrom_cdi.core.record.background import BackgroundFit, subtract_background
from napari_subangstrom_cdi.core.record.centring import spot_contrast
from napari_subangstrom_cdi.core.record.detector import Detector, Record, calibrate, estimate_offset, settled_variance
from napari_subangstrom_cdi.core.record.embedding import embed, filter_autocorrelation

N = 96
Y, X = np.indices((N, N)) - 48
SCENE = 30 + 300 * np.exp(-np.hypot(Y, X) / 20)
GAP = np.zeros((N, N), bool)
GAP[60:63] = GAP[:, 70:73] = True


def record(electrons=0.0, variance=0.0):
    """A scene with a gap that holds these."""
    counted = np.random.default_rng(0).poisson(SCENE).astype(np.float32)
    return Record(
        np.where(GAP, electrons, counted).astype(np.float32),
        np.where(GAP, variance, counted + 1).astype(np.float32),
        ~GAP,
    )


def test_an_absurd_variance_gives_way_to_that_of_the_nearest_pixel_and_a_bright_core_keeps_its_own():
    variance = np.full((N, N), 50.0, np.float32)
    valid = np.ones((N, N), bool)
    for k, value in enumerate((np.nan, np.inf, 0.0, 5e9, 2000.0)):
        variance[10, 10 * k + 5], valid[10, 10 * k + 5] = value, False
    assert settled_variance(variance, valid)[10, 5:50:10].tolist() == [50, 50, 50, 50, 2000]


@pytest.mark.parametrize("value", [np.nan, 5e9, -7.0])
def test_no_step_sees_what_a_gap_holds(value):
    plain, odd = record(), record(value, abs(value) * 1e6)
    fit = BackgroundFit((48.0, 48.0), (0.3, -0.2), 0.4, 1.0, 0.05, 0.01, 0.01, 0.0, 1.0, 1.0)
    other = record()
    for result in (
        lambda r: spot_contrast(r),
        lambda r: filter_autocorrelation(embed(r, (47.6, 48.3), binning=1, n=N), 20.0),
        lambda r: np.where(GAP, 0, subtract_background(r, other, fit).variance),
        lambda r: np.where(GAP, 0, subtract_background(other, r, fit).variance),
    ):
        for a, b in zip(np.atleast_3d(result(plain)), np.atleast_3d(result(odd)), strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_is_masked_has_the_variance_of_its_surroundings():
    counts = np.where(GAP, 65535, np.random.default_rng(1).poisson(SCENE) + 20).astype(np.uint16)
    found, _ = calibrate(counts, Detector(1.0, 20.0, 1.0), bad_pixels=GAP)
    assert found.variance[GAP].mean() == pytest.approx(found.variance[~GAP].mean(), rel=0.3)


def test_a_gap_beside_a_block_of_pixels_does_not_reach_its_noise():
    big = np.tile(np.random.default_rng(1).poisson(SCENE), (2, 2)) + 20.0
    gap = np.zeros(big.shape, bool)
    gap[:, 96:98] = True
    offsets = [
        calibrate(np.where(gap, value, big).astype(np.float32), Detector(1.0, None, 0.0), bad_pixels=gap)[
            1
        ].offset_counts
        for value in (np.nan, 1e6)
    ]
    without = estimate_offset(np.delete(big, np.s_[96:112], axis=1), Detector(1.0, None, 0.0))
    assert offsets[0] == offsets[1] == pytest.approx(without, abs=1.5)
