"""Beam stops that no mask tells, and the beam beside them, in patterns whose centre is known."""

import numpy as np
import pytest
from scipy.special import j1

from napari_subangstrom_cdi.core.faults import outside_stop, passed_by_stop
from napari_subangstrom_cdi.core.record.beam_stop import find_beam_stop
from napari_subangstrom_cdi.core.record.centring import beam_search, find_beam_centre, place_of_beam, spot_contrast
from napari_subangstrom_cdi.core.record.detector import Record
from napari_subangstrom_cdi.errors import collected_doubts

N = 512
Y, X = np.indices((N, N), dtype=float)
CENTRE = (243.3, 268.8)


def pattern(centre=CENTRE, *, peak=800.0, uneven=0.0, seed=0):
    """Halo and the Airy discs of a lattice whose reflections differ in strength; ``uneven`` makes g and -g differ."""
    rng = np.random.default_rng(seed)
    r = np.hypot(Y - centre[0], X - centre[1])
    scene = 300 * np.exp(-r / 15) + 12 * np.exp(-r / 90) + 1
    first, second = 58.0 * np.array([0.34, 0.94]), 51.0 * np.array([0.99, -0.14])
    for h in range(-4, 5):
        for k in range(-4, 5):
            g = h * first + k * second
            if (h, k) > (0, 0) and np.hypot(*g) < 230:
                height = peak * np.exp(-((np.hypot(*g) / 130) ** 2)) * rng.uniform(0.1, 1)
                for sign in (1, -1):
                    add_spot(scene, np.array(centre) + sign * g, height * (1 + sign * uneven))
    return scene


def add_spot(scene, place, height):
    top, left = np.maximum(np.round(place).astype(int) - 30, 0)
    near = np.s_[top : top + 61, left : left + 61]
    x = np.maximum(np.hypot(Y[near] - place[0], X[near] - place[1]) * 3.83 / 4, 1e-9)
    scene[near] += height * (2 * j1(x) / x) ** 2


def exposed(scene, seed=0):
    electrons = np.random.default_rng(seed).poisson(scene).astype(np.float32)
    return Record(electrons, electrons + 1, np.ones(scene.shape, bool))


def stopped(scene, *, disc, arm, towards, shadow, passes=0.0, centre=CENTRE):
    """The scene behind a stop, and the distance from the stop."""
    distance = outside_stop(scene.shape, centre, disc_px=disc, arm_px=arm, direction_deg=towards)
    return scene * (passes + (1 - passes) * passed_by_stop(distance, shadow)), distance


@pytest.mark.parametrize(
    ("disc", "arm", "towards", "shadow", "passes"),
    [(16, 10, -90, 0, 0.0), (24, 7, 12, 2, 0.0), (12, 12, 140, 1, 0.05), (20, 8, 65, 0, 0.05)],
)
def test_a_stop_is_found_with_its_arm_and_penumbra(disc, arm, towards, shadow, passes):
    scene, distance = stopped(pattern(), disc=disc, arm=arm, towards=towards, shadow=shadow, passes=passes)
    found = find_beam_stop(exposed(scene), CENTRE)
    assert found[distance < 0].mean() > 0.97
    assert not found[distance > 2 * shadow + 8].any()
    dimmed = (distance > 0) & (distance < shadow)
    assert not dimmed.any() or found[dimmed].mean() > 0.9


@pytest.mark.parametrize("uneven", [0.0, 0.5])
def test_a_beam_behind_a_stop_is_found_by_the_spots_of_the_whole_frame(uneven):
    scene, _ = stopped(pattern(uneven=uneven), disc=45, arm=30, towards=-90, shadow=1)
    record = exposed(scene)
    place = place_of_beam(record, spot_contrast(record))
    assert place is not None
    assert np.hypot(place[0] - CENTRE[0], place[1] - CENTRE[1]) < 3
    shade = find_beam_stop(record, place)
    found = find_beam_centre(Record(record.electrons, record.variance, record.valid & ~shade))
    assert np.abs(np.array(found.centre_px) - CENTRE).max() < 0.08
    assert found.rivals == ()


def test_a_start_elsewhere_gives_way_to_the_place_about_which_the_spots_pair():
    found = find_beam_centre(exposed(pattern()), start_px=(60.0, 400.0))
    assert np.abs(np.array(found.centre_px) - CENTRE).max() < 0.05


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dose", [0.3, 3.0])
def test_a_record_without_a_stop_gets_none(seed, dose):
    ring = 6 * np.exp(-(((np.hypot(Y - CENTRE[0], X - CENTRE[1]) - 90) / 25) ** 2))  # of a carbon film
    scene = pattern(seed=seed, uneven=0.2 * seed) + (ring if seed % 2 else 0)
    assert not find_beam_stop(exposed(dose * scene, seed), CENTRE).any()


def test_a_dark_record_and_a_diffuse_dip_get_no_stop():
    flat = exposed(np.full((N, N), 0.5))
    assert not find_beam_stop(flat, CENTRE).any()
    dip = 1 - 0.8 * np.exp(-(((Y - CENTRE[0]) / 40) ** 2) - ((X - CENTRE[1] - 80) / 60) ** 2)
    assert not find_beam_stop(exposed(pattern() * dip), CENTRE).any()


def test_rivals_of_a_centre_are_told():
    """Equal spots about the beam and about half a lattice vector from it, and no halo to tell."""
    scene, spacing = np.full((N, N), 2.0), 60.0
    for h in range(-3, 5):  # an even number of rows: the middle of the set is half a vector from the beam
        for k in range(-3, 4):
            scene += 300 * np.exp(-((Y - 256 - k * spacing) ** 2 + (X - 226 - h * spacing) ** 2) / 8)
    with collected_doubts() as doubts:
        found = find_beam_centre(exposed(scene), start_px=(256.0, 226.0))
    record = exposed(scene)
    places = beam_search(record, spot_contrast(record)).candidates(near=((256.0, 226.0),))
    assert abs(places[0].centre_px[1] - 256) < 1.5, "the middle of the set pairs all of them"
    assert bool(found.rivals) == any("not unique" in said for said in doubts)


def test_the_stated_error_is_the_scatter():
    """Over records of other noise and lattice, the error is what was stated, within what so few can tell."""
    ratios = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        centre = tuple(256 + rng.uniform(-30, 30, 2))
        found = find_beam_centre(exposed(pattern(centre, uneven=rng.uniform(0, 0.6), seed=seed), seed))
        ratios += list((np.array(found.centre_px) - centre) / found.standard_error_px)
    assert 0.5 < np.sqrt(np.mean(np.square(ratios))) < 1.7
