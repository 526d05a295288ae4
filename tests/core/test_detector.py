"""Counts to electrons on simulated detectors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exposures import SCENE, N, X, Y, expose
from napari_subangstrom_cdi.core.record.detector import (
    Detector,
    Record,
    bin_record,
    calibrate,
    calibrate_pair,
    estimate_offset,
    fill_invalid,
    grow,
)
from napari_subangstrom_cdi.errors import InputError, QualityWarning


def rotten(counts, pixels, value):
    spoiled = counts.copy()
    for pixel in pixels:
        spoiled[pixel] = value
    return spoiled


@settings(deadline=None, max_examples=15)
@given(gain=st.floats(0.5, 5), offset=st.floats(5, 200), dark=st.floats(0.5, 3), seed=st.integers(0, 999))
def test_offset_is_found_from_the_noise(gain, offset, dark, seed):
    counts = expose(gain=gain, offset=offset + 4 * gain * dark, dark=dark, seed=seed)
    found = estimate_offset(counts, Detector(gain, None, dark))
    # Over 60 records of gain 1 and dark noise 1 the estimates scatter by 0.12, and in proportion to the variance of the
    # dark pixels: with room for five deviations.
    level = 4 + dark**2
    assert found == pytest.approx(offset + 4 * gain * dark, abs=gain * (0.11 * level + 0.05))


@settings(deadline=None, max_examples=10)
@given(gain=st.floats(0.3, 4), dark=st.floats(0.2, 3), seed=st.integers(0, 999))
def test_electrons_and_variance_describe_the_scene(gain, dark, seed):
    # Rounding to whole counts adds 1/12 count² of noise, hence the gain within reach of 1.
    record, report = calibrate(expose(gain=gain, dark=dark, seed=seed), Detector(gain, 20.0, dark))
    assert (report.offset_counts, report.offset_estimated) == (20.0, False)
    score = (record.electrons - SCENE) / np.sqrt(SCENE + dark**2 + 1 / (12 * gain**2))
    assert abs(score[record.valid].mean()) < 0.03
    assert score[record.valid].std() == pytest.approx(1, abs=0.03)
    dark_or_not = np.where(record.electrons > 0, record.electrons, 0) + dark**2
    np.testing.assert_allclose(record.variance, dark_or_not, rtol=1e-4)
    assert record.electrons.dtype == record.variance.dtype == np.float32


def test_a_pair_shares_one_offset():
    (first, report_1), (second, report_2) = calibrate_pair(expose(seed=1), expose(seed=2), Detector(0.8, None, 1.0))
    assert report_1.offset_counts == report_2.offset_counts == pytest.approx(20, abs=0.1)
    assert report_1.offset_estimated
    assert np.mean(first.electrons[first.valid] - second.electrons[second.valid]) == pytest.approx(0, abs=0.05)


def test_a_sum_that_holds_the_offset_of_one_frame_keeps_its_own():
    with pytest.warns(QualityWarning, match="offsets of one frame differ: 5"):
        (_, summed), (_, single) = calibrate_pair(
            expose(seed=1), expose(seed=2), Detector(0.8, None, 0.5), frames=(4, 1), names=("a", "b")
        )
    assert summed.offset_counts == pytest.approx(20, abs=1)
    assert single.offset_counts == pytest.approx(20, abs=1)


def test_spots_are_not_hot_and_fringes_not_dead():
    _, report = calibrate(expose(), Detector(0.8, 20.0, 1.0))
    assert (report.n_hot, report.n_dead, report.n_saturated) == (0, 0, 0)
    ring = 2000 * (np.sinc(np.hypot(Y - 60, X - 20) / 5)) ** 2 + SCENE
    _, report = calibrate(expose(ring), Detector(0.8, 20.0, 1.0))
    assert (report.n_hot, report.n_dead) == (0, 0)


def test_hot_pixels_are_found_exactly():
    pixels = [(10, 12), (100, 200), (200, 40), (0, 77), (255, 255)]
    record, report = calibrate(rotten(expose(), pixels, 900), Detector(0.8, 20.0, 1.0))
    assert report.n_hot == len(pixels)
    assert sorted(map(tuple, np.argwhere(~record.valid).tolist())) == sorted(pixels)


def test_dead_pixels_and_columns_are_found():
    counts = rotten(expose(SCENE + 50), [(30, 40), (120, 150)], 0)
    counts[:, 200] = 0
    record, report = calibrate(counts, Detector(0.8, 20.0, 1.0))
    assert not record.valid[30, 40]
    assert not record.valid[120, 150]
    assert not record.valid[:, 200].any()
    assert report.n_dead == 2 + N


def test_a_beam_stop_is_dead():
    counts = expose(SCENE + 50)
    counts[100:140, :135] = 0
    record, report = calibrate(counts, Detector(0.8, 20.0, 1.0))
    assert not record.valid[101:139, :134].any()
    assert report.n_dead == pytest.approx(40 * 135, abs=5)


def test_empty_pixels_of_a_counting_detector_are_alive():
    rng = np.random.default_rng(3)
    counts = rng.poisson(0.02 * SCENE).astype(np.uint16)
    record, report = calibrate(counts, Detector(1.0, 0.0, 0.0))
    assert report.n_dead == 0
    assert record.valid.all()
    assert (record.variance > 0).all()


@pytest.mark.parametrize(("top", "declared"), [(65535, None), (4095, None), (3000, 3000.0)])
def test_saturation_is_found_and_grown(top, declared):
    bright = SCENE + 1e6 * np.exp(-(Y**2 + X**2) / 8)
    counts = np.minimum(expose(bright, dtype=np.uint32), top).astype(np.uint16)
    record, report = calibrate(counts, Detector(0.8, 20.0, 1.0, declared))
    assert report.saturation_counts == top
    assert report.n_saturated == np.count_nonzero(counts >= top) > 4
    assert not record.valid[grow(counts >= top, 1)].any()
    assert np.count_nonzero(~record.valid) < 6 * report.n_saturated


def test_a_lone_maximum_is_not_saturation():
    _, report = calibrate(expose(5 * SCENE), Detector(0.8, 20.0, 1.0))
    assert report.n_saturated == 0
    assert report.saturation_counts == np.inf


def test_a_subtracted_record_measures_its_own_noise():
    difference = expose(seed=1).astype(float) - expose(np.full_like(SCENE, 30.0), seed=2)
    record, report = calibrate(difference, Detector(0.8, None, 1.0), subtracted=True)
    assert report.offset_counts == 0
    quiet = np.hypot(Y, X) > 110
    assert record.variance[quiet].mean() == pytest.approx(np.var(record.electrons[quiet]), rel=0.2)


def test_a_mask_excuses_anything_beneath():
    counts = expose().astype(np.float32)
    bad = np.zeros((N, N), bool)
    bad[5, 6], bad[7, 8] = True, True
    counts[5, 6], counts[7, 8] = np.nan, -50
    record, _ = calibrate(counts, Detector(0.8, 20.0, 1.0), bad_pixels=bad)
    assert not record.valid[bad].any()
    assert np.isfinite(record.electrons).all()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.zeros((64, 64)), "all zero"),
        (np.full((64, 64), 7, np.uint16), "constant at 7"),
        (np.full((64, 64), np.nan), "NaN or infinity in 4096"),
        (np.full((64, 64), np.inf), "NaN or infinity in 4096"),
        (np.ones((4, 64, 64)), "2-D"),
        (np.ones((8, 8)), r"\(8, 8\)"),
        (np.ones((64, 64), complex), "complex128"),
    ],
)
def test_a_useless_record_is_refused(counts, message):
    with pytest.raises(InputError, match=message):
        calibrate(counts, Detector())


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        (Detector(0.8, 5000.0, 1.0), "offset of 5000 counts"),
        (Detector(0.8, 20.0, 1.0, saturation_counts=25.0), "saturation of 25 counts"),
    ],
)
def test_a_detector_that_cannot_have_made_the_record_is_refused(detector, message):
    with pytest.raises(InputError, match=message):
        calibrate(expose(), detector)


def test_a_pair_names_the_record_at_fault():
    for pair, at_fault in (((np.zeros((N, N)), expose()), "a.tif"), ((expose(), np.zeros((N, N))), "b.tif")):
        with pytest.raises(InputError, match=f"^{at_fault}: .*all zero"):
            calibrate_pair(*pair, Detector(0.8, 20.0, 1.0), names=("a.tif", "b.tif"))


def test_one_record_is_no_pair():
    with pytest.raises(InputError, match="the same"):
        calibrate_pair(expose(), expose(), Detector(0.8, 20.0, 1.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"counts_per_electron": 0.0},
        {"counts_per_electron": float("nan")},
        {"dark_noise_electrons": -1.0},
        {"offset_counts": float("inf")},
        {"saturation_counts": 0.0},
    ],
)
def test_an_absurd_detector_is_refused(wrong):
    with pytest.raises(InputError):
        Detector(**wrong)


def test_a_mask_of_another_shape_or_over_everything_is_refused():
    with pytest.raises(InputError, match="mask of shape"):
        calibrate(expose(), Detector(), bad_pixels=np.zeros((3, 3), bool))
    with pytest.raises(InputError, match="whole record"):
        calibrate(expose(), Detector(), bad_pixels=np.ones((N, N), bool))


def test_noise_that_does_not_fit_the_gain_warns():
    with pytest.warns(QualityWarning, match="give the offset"):
        estimate_offset(expose(gain=5.0), Detector(0.5, None, 0.0))


@given(factor=st.integers(1, 7), seed=st.integers(0, 99))
def test_binning_sums_electrons_and_variance(factor, seed):
    rng = np.random.default_rng(seed)
    electrons, variance = rng.random((2, 40, 37)).astype(np.float32)
    valid = rng.random((40, 37)) > 0.01
    binned = bin_record(Record(electrons, variance, valid), factor)
    ny, nx = 40 // factor, 37 // factor
    assert binned.shape == (ny, nx)
    used = np.s_[: ny * factor, : nx * factor]
    assert binned.electrons.sum() == pytest.approx(electrons[used].sum(), rel=1e-5)
    assert binned.variance.sum() == pytest.approx(variance[used].sum(), rel=1e-5)
    corner = np.s_[:factor, :factor]
    assert binned.electrons[0, 0] == pytest.approx(electrons[corner].sum(), rel=1e-5)
    assert binned.valid[0, 0] == valid[corner].all()
    touched = {(y // factor, x // factor) for y, x in np.argwhere(~valid[used])}
    assert np.count_nonzero(~binned.valid) == len(touched)


@pytest.mark.parametrize("factor", [0, -1, 300])
def test_an_absurd_binning_is_refused(factor):
    record = Record(np.ones((64, 64), np.float32), np.ones((64, 64), np.float32), np.ones((64, 64), bool))
    with pytest.raises(InputError, match=f"binning by {factor}"):
        bin_record(record, factor)


def test_images_of_a_record_have_one_shape():
    with pytest.raises(InputError, match="shapes"):
        Record(np.ones((4, 4), np.float32), np.ones((4, 5), np.float32), np.ones((4, 4), bool))


def test_filling_takes_the_nearest_valid_value():
    image = np.arange(25, dtype=np.float32).reshape(5, 5)
    valid = np.ones((5, 5), bool)
    valid[2, 1:4] = False
    filled = fill_invalid(image, valid)
    assert np.array_equal(filled[valid], image[valid])
    assert filled[2, 2] in (7, 17)
