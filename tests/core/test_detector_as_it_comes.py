"""Records as detectors write them: not measured pixels, subtracted dark images, sums of frames."""

import warnings

import numpy as np
import pytest

from exposures import SCENE, N, X, Y, expose
from napari_subangstrom_cdi.core.record.detector import Detector, calibrate, calibrate_pair, estimate_offset
from napari_subangstrom_cdi.core.record.unmeasured import unmeasured
from napari_subangstrom_cdi.errors import InputError, QualityWarning

CAMERA = Detector(0.8, None, 1.0)
CROSS = np.zeros((N, N), bool)
CROSS[126:131] = CROSS[:, 126:131] = True
BEAM = 1e6 * np.exp(-(Y**2 + X**2) / 8)


@pytest.fixture(autouse=True)
def nothing_is_doubted():
    with warnings.catch_warnings():
        warnings.simplefilter("error", QualityWarning)
        yield


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (np.uint32, 2**32 - 1),
        (np.uint32, 2**32 - 2),
        (np.float32, 2**32 - 1),
        (np.float32, np.nan),
        (np.float32, np.inf),
        (np.float32, -3.4e38),
        (np.int32, -1),
        (np.int32, -(2**31)),
        (np.float64, -9999),
        (np.int16, -2),
        (np.uint16, 65535),
    ],
)
def test_whatever_a_gap_holds_is_as_good_as_a_mask(dtype, value):
    sound = expose(SCENE + (0 if dtype == np.int16 else BEAM))
    masked, known = calibrate(sound, CAMERA, bad_pixels=CROSS)
    stored = sound.astype(dtype)
    stored[CROSS] = value
    found, report = calibrate(stored, CAMERA)
    assert report.n_unmeasured == np.count_nonzero(CROSS)
    assert report.offset_counts == known.offset_counts
    for name in ("electrons", "variance", "valid"):
        apart = CROSS if name == "electrons" else np.zeros_like(CROSS)
        np.testing.assert_array_equal(getattr(found, name)[~apart], getattr(masked, name)[~apart])


def test_a_stand_in_adds_up_with_the_frames():
    total = 4 * expose().astype(np.int64)
    total[CROSS] = 4 * (2**32 - 1)
    assert np.array_equal(unmeasured(total, np.ones((N, N), bool), frames=4), CROSS)


def test_sound_values_are_measured():
    everything = np.ones((N, N), bool)
    rng = np.random.default_rng(0)
    for counts in (
        expose(),
        expose(SCENE + BEAM),
        np.rint(rng.normal(0, 0.45, (N, N))).astype(np.int16),
        np.minimum(expose(SCENE + BEAM), 4095),
        rng.poisson(0.02 * SCENE).astype(np.uint16),
    ):
        assert not unmeasured(counts, everything).any()


def test_single_pixels_of_minus_one_are_not_measured_and_those_of_noise_are():
    counts = np.random.default_rng(0).poisson(SCENE).astype(np.int32)
    counts[5, 6] = counts[200, 100] = -1
    assert np.argwhere(unmeasured(counts, np.ones((N, N), bool))).tolist() == [[5, 6], [200, 100]]


@pytest.mark.parametrize("dark", [None, 1.0])
def test_a_record_without_its_dark_image_has_no_offset(dark):
    detector = Detector(0.8, None, dark or 0.0)
    record, report = calibrate(expose(dark=1.0).astype(np.float32) - 20, detector)
    assert (report.offset_counts, report.offset_estimated) == (0.0, False)
    score = (record.electrons - SCENE)[record.valid] / np.sqrt(SCENE + 1)[record.valid]
    assert score.mean() == pytest.approx(0, abs=0.05) and score.std() == pytest.approx(1, abs=0.05)
    quiet = (np.hypot(Y, X) > 150) & (record.electrons <= 0)
    assert record.variance[quiet].mean() == pytest.approx(1, rel=0.3)


def test_two_records_without_their_dark_image():
    pair = [expose(seed=seed).astype(np.float32) - 20 for seed in (1, 2)]
    for _, report in calibrate_pair(*pair, CAMERA):
        assert (report.offset_counts, report.offset_estimated) == (0.0, False)


def test_too_much_taken_off_is_doubted_and_a_stated_offset_sets_it_right():
    counts = expose().astype(np.float32) - 60
    with pytest.raises(InputError, match=r"95 % of the record's counts lie below -.*; give .* offset_counts"):
        calibrate(counts, CAMERA)
    with pytest.warns(QualityWarning, match="give offset_counts in the acquisition"):
        calibrate(counts + 32, CAMERA)
    record, report = calibrate(counts, Detector(0.8, -40.0, 1.0))
    assert report.offset_counts == -40
    assert (record.electrons - SCENE)[record.valid].mean() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("offset", [20.0, None])
def test_offset_and_dark_noise_of_a_sum_are_those_of_its_frames(offset):
    total = sum(expose(seed=seed).astype(np.int64) for seed in range(4))
    pair = calibrate_pair(total, expose(seed=9), Detector(0.8, offset, 1.0), frames=(4, 1))
    for (record, report), n in zip(pair, (4, 1), strict=True):
        assert report.offset_counts == pytest.approx(20 * n, abs=0.15 * n)
        assert (record.electrons - n * SCENE)[record.valid].mean() == pytest.approx(0, abs=0.2 * n)
        dark = np.hypot(Y, X) > 150
        assert record.variance[dark].mean() == pytest.approx(n * (SCENE[dark].mean() + 1), rel=0.1)


def test_the_ceiling_of_a_sum_is_that_of_its_frames():
    total = sum(np.minimum(expose(SCENE + BEAM, seed=seed), 3000).astype(np.int64) for seed in range(2))
    _, report = calibrate(total, Detector(0.8, 20.0, 1.0, 3000.0), frames=2)
    assert (report.saturation_counts, report.n_saturated) == (6000, np.count_nonzero(total >= 6000))


def test_the_offset_of_a_sum_is_estimated_as_one():
    total = sum(expose(seed=seed).astype(np.int64) for seed in range(3))
    assert estimate_offset(total, CAMERA, frames=3) == pytest.approx(60, abs=0.5)


def test_a_line_of_zeros_does_not_spoil_the_offset():
    counts = expose()
    counts[128] = counts[:, 128] = 0
    record, report = calibrate(counts, CAMERA)
    assert report.offset_counts == pytest.approx(20, abs=0.15)
    assert not record.valid[128].any() and not record.valid[:, 128].any()


def test_a_beam_stop_of_nan_is_no_doubt_but_spots_that_were_cut_out_are():
    sound = expose(SCENE + BEAM, dtype=np.uint32).astype(np.float32)
    stopped = np.where(np.hypot(Y, X) < 20, np.nan, sound)
    calibrate(stopped, CAMERA)
    with pytest.warns(QualityWarning, match="strong spots may have been cut out"):
        calibrate(np.where(sound > 150, np.nan, sound), CAMERA)


def test_a_pair_of_which_one_lost_its_dark_image_is_refused():
    raw, other = expose(), expose(0.9 * SCENE, seed=1)
    (both, _), _ = calibrate_pair(raw.astype(np.float32) - 20, other.astype(np.float32) - 20, CAMERA)
    assert both.electrons.mean() == pytest.approx(SCENE.mean(), rel=0.02)
    with pytest.raises(InputError, match=r"holds negative counts, .* background record has an offset of 20") as refused:
        calibrate_pair(raw.astype(np.float32) - 20, other, CAMERA)
    assert refused.value.where == "particle record"
