"""Smeared ceilings, bad lines and zingers."""

import numpy as np
import pytest

from exposures import SCENE, N, X, Y, expose
from napari_subangstrom_cdi.core.record.blemishes import smeared_ceiling
from napari_subangstrom_cdi.core.record.detector import Detector, calibrate
from napari_subangstrom_cdi.errors import QualityWarning

CAMERA = Detector(0.8, 20.0, 1.0)
EVERYTHING = np.ones((N, N), bool)
BRIGHT = SCENE + 40000 * np.exp(-(Y**2 + X**2) / 18)
for _y, _x, _height in ((70, 30, 20000), (-70, -30, 9000), (-35, 60, 15000), (40, -70, 5000), (20, 60, 700)):
    BRIGHT += _height * np.exp(-((Y - _y) ** 2 + (X - _x) ** 2) / 18)


@pytest.mark.parametrize("smear", [0.005, 0.02, 0.03])
def test_a_ceiling_is_found_behind_a_gain_reference(smear):
    gain = 1 + smear * np.random.default_rng(1).standard_normal((N, N))
    clipped = np.minimum(expose(BRIGHT), 3000)
    with pytest.warns(QualityWarning, match="pile up .* saturation_counts"):
        record, report = calibrate(((clipped - 20.0) * gain + 20).astype(np.float32), CAMERA)
    full = clipped == 3000
    assert 2500 < report.saturation_counts < 3000
    assert np.count_nonzero(record.valid & full) <= 0.02 * np.count_nonzero(full)
    assert report.n_saturated < 1.2 * np.count_nonzero(full)


def test_spots_and_halos_are_no_ceiling():
    for scene in (SCENE, BRIGHT, 5 * SCENE, SCENE + 3000 * np.exp(-np.hypot(Y, X) / 30)):
        assert smeared_ceiling(expose(scene, dtype=np.uint32).astype(np.float32), EVERYTHING) is None


@pytest.mark.parametrize("factor", [0.5, 1.6])
def test_bad_lines_go_to_m(factor):
    counts = expose(SCENE + 20).astype(np.float32)
    counts[:, 40:42] = (counts[:, 40:42] - 20) * factor + 20
    counts[180, 100:] = (counts[180, 100:] - 20) * factor + 20
    record, report = calibrate(counts, CAMERA)
    assert not record.valid[:, 40:42].any() and not record.valid[180, 112:].any()
    assert report.n_line <= 2 * N + N - 90
    assert record.valid[:, 38].mean() > 0.98 and record.valid[182].mean() > 0.98


def test_the_wide_pixels_between_the_chips_of_a_detector_go_to_m():
    scene = SCENE + 5
    scene[127:129] *= 2.5
    scene[:, 127:129] *= 2.5
    record, report = calibrate(expose(scene, gain=1.0, offset=0.0, dark=0.0), Detector(1.0, 0.0))
    assert record.valid[127:129].mean() < 0.05 and record.valid[:, 127:129].mean() < 0.05
    assert report.n_line > 3.5 * N


@pytest.mark.parametrize(
    "track", [[(0, 0)], [(0, 0), (0, 1)], [(0, 0), (1, 1), (2, 2)], [(0, 0), (0, 1), (1, 0), (1, 1)]]
)
def test_zingers_are_hot(track):
    counts = expose()
    places = [(20 + 30 * k + dy, 220 + dx) for k in range(6) for dy, dx in track]
    for k, place in enumerate(places):
        counts[place] = 1500 + 40 * k
    record, report = calibrate(counts, CAMERA)
    assert sorted(map(tuple, np.argwhere(~record.valid).tolist())) == sorted(places)
    assert report.n_hot == len(places)


def test_nothing_is_found_where_nothing_is():
    sparse = np.random.default_rng(3).poisson(0.3 * SCENE).astype(np.uint16)
    narrow = SCENE + 5000 * np.exp(-((Y - 40) ** 2 + (X + 20) ** 2) / (2 * 0.7**2))
    for counts, detector in (
        (expose(), CAMERA),
        (expose(BRIGHT), CAMERA),
        (expose(narrow), CAMERA),
        (sparse, Detector(1.0, 0.0)),
    ):
        record, report = calibrate(counts, detector)
        assert (report.n_hot, report.n_dead, report.n_line, report.n_saturated) == (0, 0, 0, 0)
        assert record.valid.all()


def test_fringes_of_straight_edges_are_no_bad_lines():
    """The zeros of a rectangle's transform run straight through the whole frame."""
    rectangle = np.zeros((128, 128), np.complex64)
    rectangle[50:78, 48:52] = rectangle[50:54, 52:66] = 1
    intensity = 50 * np.abs(np.fft.fftshift(np.fft.fft2(rectangle))) ** 2
    counts = np.random.default_rng(5).poisson(intensity).astype(np.float32)
    _, report = calibrate(counts, Detector(1.0), subtracted=True)
    assert report.n_line == 0
