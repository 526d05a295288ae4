"""Background records of known shift, rotation and exposure; smooth backgrounds of known shape."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.special import j1

from lattice_image import sample_records
from napari_subangstrom_cdi.core.record.background import (
    BackgroundFit,
    background_scale,
    register_background,
    subtract_background,
)
from napari_subangstrom_cdi.core.record.detector import Detector, Record, calibrate_pair
from napari_subangstrom_cdi.core.record.smooth_background import fit_smooth_background, subtract_smooth_background
from napari_subangstrom_cdi.errors import InputError, QualityWarning

N = 640
Y, X = np.indices((N, N), dtype=float)
CENTRE = np.array([327.4, 312.7])
NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
DETECTOR = Detector(0.8, None, 1.0)


def direction(degrees):
    return np.array([np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))])


def film(beam=CENTRE, rotation=0.0, *, spots=True):
    """Halo, rings and the spots of two graphene layers."""
    r = np.hypot(Y - beam[0], X - beam[1])
    scene = 900 * np.exp(-r / 6) + 30 * np.exp(-r / 60) + 2 * np.exp(-(((r - 160) / 25) ** 2)) + 1.5
    for radius, turn in ((120, 0), (120, 13), (208, 30), (208, 43)) if spots else ():
        for k in range(6):
            y, x = beam + radius * direction(rotation + turn + 60 * k + 5)
            scene += 60 * np.exp(-((Y - y) ** 2 + (X - x) ** 2) / (2 * 1.9**2))
    return scene


def particle(angle=20.0, spacing=66.0, width=5.0, peak=1500.0, tilt=0.0):
    scene = np.zeros((N, N))
    for h in range(-5, 6):
        for k in range(-5, 6):
            g = spacing * (h * direction(angle) + 0.9 * k * direction(angle + 75))
            height = peak * np.exp(-((np.hypot(*g) / 160) ** 2)) * (1 + tilt * np.tanh(g[1] / 60))
            top, left = np.maximum(np.round(CENTRE + g).astype(int) - 60, 0)
            near = np.s_[top : top + 121, left : left + 121]
            r = np.maximum(np.hypot(Y[near] - CENTRE[0] - g[0], X[near] - CENTRE[1] - g[1]) * 3.83 / width, 1e-9)
            scene[near] += (20 if h == k == 0 else 1) * height * (2 * j1(r) / r) ** 2
    return scene


def direct_beam(beam=CENTRE):
    return 2e6 * np.exp(-((Y - beam[0]) ** 2 + (X - beam[1]) ** 2) / 3)


def expose(scene, seed):
    rng = np.random.default_rng(seed)
    counts = 0.8 * (rng.poisson(np.minimum(scene, 1e8)) + rng.normal(0, 1, scene.shape)) + 20
    return np.clip(np.round(counts), 0, 65535).astype(np.uint16)


def two_records(*, shift=(1.3, -2.1), rotation=0.3, exposure=0.95, dose=1.0, seed=0, spots=True, **crystal):
    beam = CENTRE + shift
    with_particle = dose * (film(spots=spots) + particle(**crystal) + direct_beam())
    without = dose * exposure * (film(beam, rotation, spots=spots) + direct_beam(beam))
    (p, _), (b, _) = calibrate_pair(expose(with_particle, 2 * seed), expose(without, 2 * seed + 1), DETECTOR)
    return p, b


def clean(scene):
    return Record(scene.astype(np.float32), (scene + 1).astype(np.float32), np.ones(scene.shape, bool))


@settings(deadline=None, max_examples=4, phases=NO_SHRINKING)
@given(
    dy=st.floats(-6, 6),
    dx=st.floats(-6, 6),
    rotation=st.floats(-1, 1),
    exposure=st.floats(0.6, 1.6),
    dose=st.floats(1, 4),
    angle=st.floats(0, 180),
    width=st.floats(4, 7),
    tilt=st.floats(0, 0.8),
    seed=st.integers(0, 999),
)
def test_known_transforms_are_recovered(dy, dx, rotation, exposure, dose, angle, width, tilt, seed):
    p, b = two_records(
        shift=(dy, dx), rotation=rotation, exposure=exposure, dose=dose, seed=seed, angle=angle, width=width, tilt=tilt
    )
    fit = register_background(p, b, beam_centre_px=tuple(CENTRE))
    assert np.allclose(fit.shift_px, (dy, dx), atol=0.15)
    assert fit.rotation_deg == pytest.approx(rotation, abs=0.05)
    # The fringes of these spots fill the small field, so that the factor keeps a little of them.
    assert fit.scale * exposure == pytest.approx(1, abs=0.03)
    assert np.max(np.abs(np.subtract(fit.shift_px, (dy, dx)))) < 6 * fit.shift_error_px
    assert abs(fit.rotation_deg - rotation) < 6 * fit.rotation_error_deg
    assert fit.correlation_after > 0.7
    assert fit.correlation_after > fit.correlation_before - 0.01


def test_the_difference_is_the_particle_within_its_noise():
    p, b = two_records()
    fit = register_background(p, b)
    difference = subtract_background(p, b, fit)
    truth = particle()
    score = (difference.electrons - truth) / np.sqrt(difference.variance)
    far = difference.valid & (np.hypot(Y - CENTRE[0], X - CENTRE[1]) > 12)
    assert abs(np.mean((difference.electrons - truth)[far])) < 0.1
    assert np.median(np.abs(score[far])) == pytest.approx(0.6745, abs=0.06)
    assert not difference.valid[~p.valid].any()
    beam_b = np.round(CENTRE).astype(int)
    assert not difference.valid[tuple(beam_b)]


def test_the_variance_adds_that_of_the_scaled_background():
    scene = clean(np.full((128, 128), 9.0))
    fit = BackgroundFit((60.0, 60.0), (0.0, 0.0), 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    difference = subtract_background(scene, scene, fit)
    assert np.allclose(difference.electrons, -9)
    assert np.allclose(difference.variance, 10 + 4 * 10)


def test_subtraction_moves_the_background_the_right_way():
    """Whole pixels and 90 degrees, so that the background's pixels meet the particle's exactly."""
    rng = np.random.default_rng(0)
    scene = rng.random((129, 129))
    # The background record shows at c + s + R d what the particle record shows at c + d; +x turns to +y.
    moved = np.roll(np.rot90(scene, -1), (3, -5), (0, 1))
    fit = BackgroundFit((64.0, 64.0), (3.0, -5.0), 90.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    rest = subtract_background(clean(scene), clean(moved), fit)
    inside = np.s_[10:-10, 10:-10]
    assert np.abs(rest.electrons[inside]).max() < 1e-4


def test_the_factor_is_not_fooled_by_what_the_particle_scatters_between_its_spots():
    y, x = Y - CENTRE[0], X - CENTRE[1]
    diffuse = 1.5 * np.exp(-((np.hypot(y, x) / 120) ** 2)) * (1 + np.cos(y / 6) * np.cos(x / 7))
    scene = film(spots=False)
    rng = np.random.default_rng(1)
    p, b = (clean(rng.poisson(s).astype(float)) for s in (scene + diffuse, 0.8 * scene))
    factor, error, residual = background_scale(p, b, tuple(CENTRE))
    assert factor * 0.8 == pytest.approx(1, abs=0.012)
    assert error < 0.01
    assert residual < 1.5


def test_a_film_without_spots_is_aligned_by_its_halo_and_says_so():
    p, b = two_records(spots=False, shift=(2.0, -1.5), rotation=0.0)
    with pytest.warns(QualityWarning, match="no spots of the film"):
        fit = register_background(p, b, beam_centre_px=tuple(CENTRE))
    assert np.allclose(fit.shift_px, (2.0, -1.5), atol=0.6)
    assert fit.rotation_deg == 0
    assert np.isnan(fit.rotation_error_deg)
    assert fit.scale * 0.95 == pytest.approx(1, abs=0.012)


def test_a_background_that_is_no_background_warns():
    p, _ = two_records()
    rng = np.random.default_rng(8)
    other = film(spots=False)
    for _ in range(15):
        y, x = CENTRE + rng.uniform(90, 250) * direction(rng.uniform(0, 360))
        other += 300 * np.exp(-((Y - y) ** 2 + (X - x) ** 2) / 8)
    b = clean(rng.poisson(other).astype(float))
    with pytest.warns(QualityWarning) as caught:
        register_background(p, b, beam_centre_px=tuple(CENTRE))
    assert any("belong together" in str(w.message) for w in caught)


def test_an_exposure_that_is_out_of_all_proportion_warns():
    p, b = two_records(dose=30.0)
    faint = Record(p.electrons / 30, p.variance / 900, p.valid)
    with pytest.warns(QualityWarning, match="multiplied by 0.035.* exchanged"):
        fit = register_background(faint, b, beam_centre_px=tuple(CENTRE))
    assert fit.scale == pytest.approx(1 / 30 / 0.95, rel=0.05)


def test_a_shift_beyond_the_bounds_warns():
    p, b = two_records(shift=(9.0, 0.0))
    with pytest.warns(QualityWarning, match="bounds"):
        register_background(p, b, beam_centre_px=tuple(CENTRE), max_shift_px=5)


def test_records_that_do_not_fit_are_refused():
    p, b = clean(film()), clean(film()[:-2])
    with pytest.raises(InputError, match=r"\(640, 640\).*\(638, 640\)"):
        register_background(p, b)
    blind = Record(p.electrons, p.variance, np.zeros(p.shape, bool))
    with pytest.raises(InputError, match="0% of the background"):
        register_background(p, blind)


def test_a_record_far_below_the_background_is_refused():
    record, background = two_records()
    below = Record(record.electrons - np.float32(1e4), record.variance, record.valid)
    with pytest.raises(InputError, match="nothing in common with the particle record"):
        register_background(below, background, beam_centre_px=tuple(CENTRE))


def test_the_bundled_sample_is_registered_to_the_answer():
    answer = json.loads((Path(__file__).parents[1] / "data" / "platelet" / "answer.json").read_text())
    p, b, centre, report = sample_records()
    assert report.offset_counts == pytest.approx(20, abs=0.03)
    assert np.allclose(np.array(centre.centre_px) - 1024, answer["ctr"], atol=0.05)
    fit = register_background(p, b, beam_centre_px=centre.centre_px)
    assert np.allclose(fit.shift_px, answer["bshift"], atol=0.05)
    assert fit.rotation_deg == pytest.approx(answer["brot"], abs=0.017)
    assert fit.scale == pytest.approx(1 / 0.97, rel=0.007)


@settings(deadline=None, max_examples=6, phases=NO_SHRINKING)
@given(ellipticity=st.floats(0.02, 0.25), axis=st.floats(-85, 85), seed=st.integers(0, 99))
def test_a_smooth_ellipse_is_fitted(ellipticity, axis, seed):
    y, x = Y - CENTRE[0], X - CENTRE[1]
    along = x * np.cos(np.deg2rad(axis)) + y * np.sin(np.deg2rad(axis))
    across = -x * np.sin(np.deg2rad(axis)) + y * np.cos(np.deg2rad(axis))
    r = np.hypot(along / np.sqrt(1 + ellipticity), across * np.sqrt(1 + ellipticity))
    scene = 400 * np.exp(-r / 12) + 40 * np.exp(-r / 70) + 2
    rng = np.random.default_rng(seed)
    fit = fit_smooth_background(clean(rng.poisson(scene).astype(float)), tuple(CENTRE))
    assert fit.ellipticity == pytest.approx(ellipticity, abs=0.015)
    assert abs((fit.axis_deg - axis + 90) % 180 - 90) < 8
    outer = r > 8
    assert np.sqrt(np.mean((fit.electrons / scene - 1)[outer] ** 2)) < 0.03


@settings(deadline=None, max_examples=4, phases=NO_SHRINKING)
@given(angle=st.floats(0, 180), width=st.floats(3.5, 6), seed=st.integers(0, 99))
def test_spots_do_not_raise_the_smooth_background(angle, width, seed):
    scene, spots = film(spots=False), particle(angle=angle, width=width, peak=600)
    record = clean(np.random.default_rng(seed).poisson(scene + spots).astype(float))
    fit = fit_smooth_background(record, tuple(CENTRE))
    away = np.hypot(Y - CENTRE[0], X - CENTRE[1]) > 70
    assert np.mean((fit.electrons - scene)[away]) == pytest.approx(0, abs=0.4)
    rest = subtract_smooth_background(record, fit)
    assert np.allclose(rest.electrons, record.electrons - fit.electrons)
    assert (rest.variance >= record.variance).all()


def test_round_rings_stay_round():
    record = clean(np.random.default_rng(3).poisson(film(spots=False)).astype(float))
    assert fit_smooth_background(record, tuple(CENTRE)).ellipticity == 0
    assert fit_smooth_background(record, tuple(CENTRE), elliptic=False).ellipticity == 0


def test_a_record_without_pixels_has_no_smooth_background():
    scene = film(spots=False)
    blind = Record(scene.astype(np.float32), scene.astype(np.float32), np.zeros(scene.shape, bool))
    with pytest.raises(InputError, match="too few"):
        fit_smooth_background(blind, tuple(CENTRE), elliptic=False)


def test_an_ellipse_at_the_end_of_its_range_is_doubted():
    """A bright flank beside a stop, as of a beam block: no rings about the beam."""
    y, x = Y - CENTRE[0], X - CENTRE[1]
    flank = 3 + 900 * np.exp(-np.hypot(2.0 * y, x) / 40)
    with pytest.warns(QualityWarning, match="ends at the largest"):
        fit_smooth_background(clean(np.random.default_rng(2).poisson(flank).astype(float)), tuple(CENTRE))
