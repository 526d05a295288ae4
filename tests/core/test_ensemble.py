"""Members from a seed: reproducible bit for bit, aligned, averaged, and the odd one left out."""

from dataclasses import replace

import numpy as np
import pytest

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.ensemble.members import (
    EnsembleSettings,
    combine,
    hold_out,
    iterate_ensemble,
    member_generator,
    start_estimate,
)
from napari_subangstrom_cdi.core.ensemble.superposition import align
from napari_subangstrom_cdi.core.fourier import fit_to_size
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.phasing.retrieval import Retrieval
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.errors import InputError
from objects import GRID, constraints_of, outline, problem_of, random_particle

SUPPORT = outline()
TRUTH = random_particle()
PROBLEM = problem_of(TRUTH, electrons=1e6, noise_std=0.01)
SCHEDULE = (
    Stage("image", 15, "hio", constraints_of(("image", "real", "low-density", "support"), 0.3, 0.1)),
    Stage("settle", 10, "er", ("real", "support")),
)


def members_of(settings, problem=PROBLEM, schedule=SCHEDULE, **options):
    runs = []
    for _ in iterate_ensemble(problem, schedule, settings, on_member=lambda _, run: runs.append(run), **options):
        pass
    return runs


def agreement(found, truth):
    """Correlation up to phase and translation: the ensemble chooses an origin of its own."""
    return align(found.astype(np.complex64), truth, GRID.pixel_angstrom)[1].correlation


def made_up(estimate, agreement=0.9):
    """The end of a run as if it had given this estimate."""
    return Retrieval(estimate.astype(np.complex64), 0.1, 0.2, (0.1,), (0.2,), (("s", 1),), agreement)


def test_a_seed_gives_the_same_bits_whatever_the_threads():
    settings = EnsembleSettings(members=2, seed=3)
    first, second = members_of(settings, workers=1), members_of(settings, workers=2)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.estimate, b.estimate)
        assert (a.r_history, a.free_r_history) == (b.r_history, b.free_r_history)
    means = [combine(PROBLEM, runs, settings) for runs in (first, second)]
    np.testing.assert_array_equal(means[0].mean, means[1].mean)
    np.testing.assert_array_equal(means[0].members, means[1].members)
    np.testing.assert_array_equal(means[0].deviation, means[1].deviation)


def test_a_member_does_not_depend_on_how_many_there_are():
    few, more = (members_of(EnsembleSettings(members=n, seed=3), workers=1) for n in (1, 3))
    np.testing.assert_array_equal(few[0].estimate, more[0].estimate)


def test_members_and_seeds_differ():
    a, b = members_of(EnsembleSettings(members=2, seed=3), workers=1)
    (c,) = members_of(EnsembleSettings(members=1, seed=4), workers=1)
    for other in (b, c):
        assert np.any(a.estimate != other.estimate)
        assert a.free_r != other.free_r
    draws = {member_generator(seed, member).random() for seed in range(5) for member in range(5)}
    assert len(draws) == 25


def test_snapshots_tell_the_member_and_the_finished_are_handed_over_at_once():
    settings = EnsembleSettings(members=3, seed=1)
    finished = []
    generator = iterate_ensemble(
        PROBLEM,
        SCHEDULE,
        settings,
        wants_estimate=lambda _, i: i == 25,
        workers=1,
        on_member=lambda k, run: finished.append((k, run)),
    )
    seen = []
    for member, snapshot in generator:
        seen.append((member, snapshot.iteration))
        assert (snapshot.estimate is not None) == (snapshot.iteration == 25)
        if seen[-1] == (1, 4):
            generator.close()
    assert seen == [(0, i) for i in range(1, 26)] + [(1, i) for i in range(1, 5)]
    assert [k for k, _ in finished] == [0]
    assert len(finished[0][1].r_history) == 25


def test_an_ensemble_is_nearer_the_truth_than_its_start():
    settings = EnsembleSettings(members=4, seed=0, noise=0.5)
    runs = members_of(settings, schedule=(replace(SCHEDULE[0], iterations=100), SCHEDULE[1]), workers=1)
    ensemble = combine(PROBLEM, runs, settings)
    start = start_estimate(PROBLEM, settings.noise, member_generator(0, 0))
    single = [agreement(fit_to_size(run.estimate, PROBLEM.grid.n), TRUTH) for run in runs]
    assert agreement(start, TRUTH) < 0.82
    assert agreement(ensemble.mean, TRUTH) > max(0.99, float(np.median(single)))


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.2])
def test_hold_out_takes_its_share_of_g_alone_and_with_it_the_friedel_mates(fraction):
    rng = np.random.default_rng(0)
    regions = rng.choice(np.array([0, 1, 2, 2, 2], np.uint8), (512, 512))
    chosen = hold_out(regions, fraction, np.random.default_rng(1))
    good = regions == Region.G
    assert not np.any(chosen & ~good)
    assert chosen.sum() / good.sum() == pytest.approx(fraction, rel=0.1)
    mates = np.roll(chosen[::-1, ::-1], (1, 1), (0, 1))
    both = good & np.roll(good[::-1, ::-1], (1, 1), (0, 1))
    inner = (slice(2, -2), slice(2, -2))  # at the array's edge patches are cut
    np.testing.assert_array_equal((chosen & both)[inner], (mates & both)[inner])


def test_hold_out_of_nothing_is_nothing():
    assert not hold_out(np.full((64, 64), Region.G, np.uint8), 0.0, np.random.default_rng(0)).any()


def test_held_out_pixels_are_patches():
    chosen = hold_out(np.full((256, 256), Region.G, np.uint8), 0.01, np.random.default_rng(0))
    neighbours = np.roll(chosen, 1, 0) | np.roll(chosen, -1, 0)
    assert np.all(neighbours[chosen])


def test_the_start_is_the_image_with_noise_of_the_wanted_size():
    rng = np.random.default_rng(0)
    start = start_estimate(PROBLEM, 0.5, rng)
    assert start.dtype == np.complex64
    assert not start[~SUPPORT].any()
    noise = start[SUPPORT].real - PROBLEM.image[SUPPORT]
    assert float(noise.std()) == pytest.approx(0.5 * float(PROBLEM.image[SUPPORT].std()), rel=0.1)
    np.testing.assert_array_equal(
        start_estimate(PROBLEM, 0.0, rng)[SUPPORT], PROBLEM.image[SUPPORT].astype(np.complex64)
    )


def test_without_an_image_the_start_has_the_patterns_intensity():
    blind = problem_of(TRUTH, image_limit=None)
    start = start_estimate(blind, 0.5, np.random.default_rng(0))
    assert not start[~SUPPORT].any()
    assert np.all(start.real >= 0)
    power = float(np.sum(np.abs(fourier.transform(start)) ** 2))
    assert power == pytest.approx(float(np.sum(blind.measured.astype(np.float64) ** 2)), rel=1e-4)


def test_members_are_aligned_before_they_are_averaged():
    """Three copies with other phases and places: their mean is the object, and they do not deviate."""
    copies = [
        fourier.shift(TRUTH, offset) * np.exp(1j * phase)
        for offset, phase in (((0.0, 0.0), 0.0), ((1.25, -0.6), 2.0), ((-0.7, 2.3), -1.0))
    ]
    ensemble = combine(PROBLEM, [made_up(copy) for copy in copies], EnsembleSettings(members=3))
    assert ensemble.kept == (True, True, True)
    assert agreement(ensemble.mean, TRUTH) > 0.9999
    assert float(ensemble.deviation.max()) < 0.01 * float(np.abs(TRUTH).max())
    assert np.abs(np.mean(copies, axis=0)).max() < 0.8 * np.abs(TRUTH).max()
    assert all(how.correlation > 0.9999 for how in ensemble.alignments)


def test_mean_and_deviation_are_those_of_the_members_kept():
    rng = np.random.default_rng(0)
    noise = 0.05 * (rng.standard_normal((5, *GRID.shape)) + 1j * rng.standard_normal((5, *GRID.shape)))
    runs = [made_up(np.where(SUPPORT, TRUTH + n, 0)) for n in noise]
    ensemble = combine(PROBLEM, runs, EnsembleSettings(members=5, reject_below=0.0))
    box = ensemble.box
    np.testing.assert_allclose(ensemble.mean[box], ensemble.members.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(ensemble.deviation[box], ensemble.members.std(axis=0), atol=1e-6)
    support = np.roll(SUPPORT, np.round(ensemble.origin_shift_px).astype(int), (0, 1))
    inside = float(np.sqrt(np.mean(ensemble.deviation[support] ** 2)))
    assert inside == pytest.approx(0.05 * np.sqrt(2) * np.sqrt(4 / 5), rel=0.1)
    assert all(run.estimate.size == 0 for run in ensemble.runs)
    assert [run.r_factor for run in ensemble.runs] == [0.1] * 5


def test_a_member_that_agrees_with_no_other_is_left_out():
    rng = np.random.default_rng(0)
    good = [np.where(SUPPORT, TRUTH + 0.03 * rng.standard_normal(GRID.shape), 0) for _ in range(4)]
    odd = np.where(SUPPORT, random_particle(seed=9), 0)
    # the odd one pretends to agree best with the image: it is the first reference, and must not stay it
    runs = [made_up(g) for g in good[:2]] + [made_up(odd, 0.99)] + [made_up(g) for g in good[2:]]
    ensemble = combine(PROBLEM, runs, EnsembleSettings(members=5))
    assert ensemble.kept == (True, True, False, True, True)
    assert ensemble.reference != 2
    assert agreement(ensemble.mean, TRUTH) > 0.997
    assert len(ensemble.members) == 5
    everyone = combine(PROBLEM, runs, EnsembleSettings(members=5, reject_below=0.0))
    assert all(everyone.kept)
    assert agreement(everyone.mean, TRUTH) < 0.99


def test_twins_are_turned_only_where_there_is_no_image():
    twin = np.roll(TRUTH[::-1, ::-1], (1, 1), (0, 1)).conj()
    runs = [made_up(TRUTH), made_up(TRUTH), made_up(twin)]
    blind = problem_of(TRUTH, image_limit=None)
    turned = combine(blind, runs, EnsembleSettings(members=3))
    assert turned.kept == (True, True, True)
    assert [how.inverted for how in turned.alignments].count(True) in (1, 2)
    kept = combine(PROBLEM, runs, EnsembleSettings(members=3))
    assert not any(how.inverted for how in kept.alignments)
    assert kept.kept == (True, True, False)


def test_one_member_is_its_own_mean():
    ensemble = combine(PROBLEM, [made_up(TRUTH)], EnsembleSettings(members=1))
    assert ensemble.kept == (True,)
    assert not ensemble.deviation.any()
    assert agreement(ensemble.mean, TRUTH) > 0.9999


def test_no_member_cannot_be_averaged():
    with pytest.raises(InputError, match="no finished member"):
        combine(PROBLEM, [], EnsembleSettings())


@pytest.mark.parametrize(
    "change",
    [
        {"members": 0},
        {"seed": -1},
        {"free_fraction": 0.5},
        {"free_fraction": float("nan")},
        {"noise": -0.1},
        {"noise": float("nan")},
        {"spread": -1.0},
        {"spread": float("inf")},
        {"reject_below": 1.5},
    ],
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(InputError, match="give"):
        EnsembleSettings(**change)
