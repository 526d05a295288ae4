"""Gain and linearity from the noise of a record."""

import warnings

import numpy as np
import pytest

from exposures import SCENE, expose
from napari_subangstrom_cdi.core.record.photon_transfer import gain_of, transfer_line
from napari_subangstrom_cdi.errors import InputError, QualityWarning

WIDE = np.tile(SCENE + 100 * np.exp(-np.linspace(0, 4, 256)), (2, 2))


def camera(gain=0.8, **kwargs):
    return expose(WIDE, gain=gain, dtype=np.uint32, **kwargs)


@pytest.mark.parametrize("factor", [1, 0.02, 20, 1e-5])
def test_the_line_tells_the_gain_of_scaled_counts(factor):
    line = transfer_line((camera() * factor).astype(np.float32))
    assert line.is_certain and not line.bends
    assert line.counts_per_electron == pytest.approx(0.8 * factor, rel=0.05)
    assert 0 < line.error < 0.05 * line.counts_per_electron


def test_the_error_means_what_it_says():
    lines = [transfer_line(camera(seed=seed)) for seed in range(6)]
    scores = np.array([(line.counts_per_electron - 0.8) / line.error for line in lines])
    assert np.abs(scores).max() < 3


@pytest.mark.parametrize("curve", [np.log, np.sqrt, lambda x: np.rint(23 * np.log1p(x)).astype(np.uint8)])
def test_a_display_curve_is_recognised(curve):
    steep = 3 + 4000 * np.exp(-np.hypot(*np.indices((512, 512)) - 256) / 30)
    assert not transfer_line(expose(steep)).bends
    with pytest.warns(QualityWarning, match="not linear in electrons.* give the raw counts"):
        assert gain_of(curve(expose(steep).astype(np.float32)), 0.8) == (0.8, False)


def test_what_is_stated_goes_before_and_a_contradiction_is_said():
    with pytest.warns(QualityWarning, match="counts_per_electron 8 is stated, but the record's noise is that of 0"):
        assert gain_of(camera(), 8.0) == (8.0, False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", QualityWarning)
        assert gain_of(camera(), 0.7) == (0.7, False)


def test_without_a_statement_the_noise_decides():
    with pytest.warns(QualityWarning, match="no counts_per_electron is stated"):
        gain, by_noise = gain_of(camera(gain=4.0), None)
    assert by_noise and gain == pytest.approx(4.0, rel=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("error", QualityWarning)
        assert gain_of(camera(gain=1.0), None) == (1.0, False)
        assert transfer_line(np.random.default_rng(0).poisson(3.0, (256, 256)).astype(np.uint16)) is None
        flat = np.random.default_rng(0).poisson(3.0, (256, 256)).astype(np.uint16)
        assert gain_of(flat, None) == (1.0, False)


def test_a_record_divided_by_its_maximum_is_refused_with_its_gain():
    with pytest.raises(InputError, match=r"normalised; give the raw counts, or counts_per_electron \d"):
        gain_of((camera() / camera().max()).astype(np.float32), 0.8)


def test_of_a_difference_the_noise_tells_a_gain_far_below_one_only():
    """The average of 5,000 frames of which the background was taken away; and the difference of counts."""
    y, x = np.indices((256, 256))
    rng = np.random.default_rng(5)
    halo = 400 * np.exp(-np.hypot(y - 120, x - 130) / 60)
    taken_away = rng.poisson(halo + 3) - 3.0
    with pytest.warns(QualityWarning, match="no counts_per_electron is stated"):
        gain, by_noise = gain_of((taken_away / 5000).astype(np.float32), None, difference=True)
    assert by_noise and gain == pytest.approx(1 / 5000, rel=0.1)
    for scale in (1.0, 20.0):
        assert gain_of((scale * taken_away).astype(np.float32), None, difference=True) == (1.0, False)
    assert gain_of((taken_away / 5000).astype(np.float32), 0.5, difference=True) == (0.5, False)
