"""The beam's position in patterns whose centre is known."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.special import j1

from napari_subangstrom_cdi.core.record.centring import find_beam_centre, rough_beam_centre, spot_contrast
from napari_subangstrom_cdi.core.record.detector import Record
from napari_subangstrom_cdi.errors import InputError, QualityWarning

NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
N = 512
Y, X = np.indices((N, N), dtype=float)


def disc_spot(dy, dx, width):
    """Intensity diffracted by a round particle; `width` is its first zero, in pixels."""
    r = np.maximum(np.hypot(dy, dx) * 3.83 / width, 1e-9)
    return (2 * j1(r) / r) ** 2


def lattice(centre, *, angle=20.0, spacing=60.0, width=4.0, peak=300.0, tilt=0.0):
    scene = np.zeros((N, N))
    first = spacing * np.array([np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))])
    second = 0.9 * spacing * np.array([np.sin(np.deg2rad(angle + 75)), np.cos(np.deg2rad(angle + 75))])
    for h in range(-5, 6):
        for k in range(-5, 6):
            g = h * first + k * second
            if 0 < np.hypot(*g) < 230:
                height = peak * np.exp(-((np.hypot(*g) / 150) ** 2)) * (1 + tilt * np.tanh(g[1] / 60))
                add_spot(scene, centre + g, height, width)
    return scene


def add_spot(scene, place, height, width):
    top, left = np.maximum(np.round(place).astype(int) - 40, 0)
    near = np.s_[top : top + 81, left : left + 81]
    scene[near] += height * disc_spot(Y[near] - place[0], X[near] - place[1], width)


def halo(centre, height=300.0):
    r = np.hypot(Y - centre[0], X - centre[1])
    return height * np.exp(-r / 15) + 8 * np.exp(-r / 90) + 1


def exposed(scene, seed=0, valid=None):
    electrons = np.random.default_rng(seed).poisson(scene).astype(np.float32)
    good = np.ones(scene.shape, bool) if valid is None else valid
    return Record(np.where(good, electrons, 0).astype(np.float32), electrons + 1, good)


@settings(deadline=None, max_examples=8, phases=NO_SHRINKING)
@given(
    dy=st.floats(-40, 40),
    dx=st.floats(-40, 40),
    angle=st.floats(0, 180),
    spacing=st.floats(45, 80),
    width=st.floats(3, 6),
    peak=st.floats(100, 3000),
    tilt=st.floats(0, 0.9),
    seed=st.integers(0, 999),
)
def test_the_centre_is_found_wherever_it_lies(dy, dx, angle, spacing, width, peak, tilt, seed):
    centre = np.array([255.5 + dy, 256.2 + dx])
    pattern = lattice(centre, angle=angle, spacing=spacing, width=width, peak=peak, tilt=tilt)
    found = find_beam_centre(exposed(halo(centre) + pattern, seed))
    error = np.abs(np.array(found.centre_px) - centre)
    assert error.max() < 0.08
    assert error.max() < 6 * max(found.standard_error_px) + 0.01
    assert found.n_pairs == len(found.pair_centres_px) == len(found.spots_px) >= 3


def test_a_missing_beam_does_not_matter():
    centre = np.array([250.3, 262.8])
    stop = (np.hypot(Y - 252, X - 261) < 12) | ((np.abs(Y - 252) < 5) & (X < 261))
    found = find_beam_centre(exposed(halo(centre) + lattice(centre), valid=~stop))
    assert np.allclose(found.centre_px, centre, atol=0.05)


def test_a_start_far_off_by_less_than_the_search_will_do():
    centre = np.array([250.3, 262.8])
    found = find_beam_centre(exposed(halo(centre) + lattice(centre)), start_px=(258.0, 255.0))
    assert np.allclose(found.centre_px, centre, atol=0.05)


def test_spots_cut_by_the_edge_and_extra_ones_are_harmless():
    centre = np.array([330.4, 180.7])
    stray = 400 * np.exp(-((Y - 333) ** 2 + (X - 260) ** 2) / 8) + 300 * np.exp(-((Y - 200) ** 2 + (X - 150) ** 2) / 8)
    found = find_beam_centre(exposed(halo(centre) + lattice(centre) + stray))
    assert np.allclose(found.centre_px, centre, atol=0.05)


def test_a_pattern_without_spots_is_refused():
    with pytest.raises(InputError, match="0 pairs"):
        find_beam_centre(exposed(halo((250.0, 262.0))))


def test_spots_that_have_no_partner_are_refused():
    centre = np.array([250.0, 262.0])
    half = np.where(X > 262 + 20, lattice(centre), 0)
    with pytest.raises(InputError, match="opposite"):
        find_beam_centre(exposed(halo(centre) + half))


def test_pairs_that_disagree_warn():
    rng = np.random.default_rng(7)
    centre, scene = np.array([250.0, 262.0]), halo((250.0, 262.0))
    for angle in np.deg2rad([10, 65, 120, 165]):
        for sign in (1, -1):
            place = centre + sign * 90 * np.array([np.sin(angle), np.cos(angle)]) + rng.uniform(-2, 2, 2)
            add_spot(scene, place, 500, 4)
    with pytest.warns(QualityWarning, match="disagree"):
        find_beam_centre(exposed(scene))


@settings(deadline=None, max_examples=4, phases=NO_SHRINKING)
@given(dy=st.floats(-60, 60), dx=st.floats(-60, 60), seed=st.integers(0, 99))
def test_the_halo_is_found_to_a_pixel_or_two(dy, dx, seed):
    centre = (256 + dy, 256 + dx)
    scene = halo(centre) + lattice(centre, peak=2000)
    assert np.allclose(rough_beam_centre(exposed(scene, seed)), centre, atol=2)


def test_a_dark_record_has_no_beam():
    dark = Record(np.zeros((64, 64), np.float32), np.ones((64, 64), np.float32), np.ones((64, 64), bool))
    with pytest.raises(InputError, match="no intensity"):
        rough_beam_centre(dark)


def test_contrast_is_in_units_of_noise():
    flat = exposed(np.full((N, N), 25.0))
    contrast = spot_contrast(flat)
    # The wide Gaussian shares part of the narrow one's noise: 1 - 2·2s²/(s² + w²) + s²/w².
    assert contrast.std() == pytest.approx(np.sqrt(1 - 4 * 4 / 40 + 4 / 36), rel=0.05)
    assert abs(contrast.mean()) < 0.02
