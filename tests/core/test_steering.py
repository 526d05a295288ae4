"""A run that is steered while it goes on: it follows, it stays honest, and it is replayed bit for bit."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage as ndi

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings, combine, iterate_ensemble
from napari_subangstrom_cdi.core.ensemble.metrics import r_factor
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region, amplitude_band
from napari_subangstrom_cdi.core.phasing.retrieval import InForce, Retrieval, iterate, retrieve
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.errors import InputError
from objects import GRID, constraints_of, correlation, outline, problem_of, random_particle

SUPPORT = outline()
SMALLER = ndi.binary_erosion(SUPPORT, iterations=2)
LARGER = ndi.binary_dilation(SUPPORT, iterations=3)
MOVED = np.roll(SUPPORT, (4, -3), (0, 1))
TRUTH = random_particle()
NOISY = problem_of(TRUTH, electrons=1e6, noise_std=0.01, beam_radius_px=3)


def problem_with(*, alpha=0.3, noise_multiple=3.0, support=SUPPORT):
    """The problem as it is with other settings; every array in it is a new one."""
    intensity = NOISY.measured**2
    sigma = np.full(GRID.shape, 0.01 * intensity.mean(), np.float32)
    regions = np.where(intensity > noise_multiple * sigma, Region.G, Region.B).astype(np.uint8)
    regions[NOISY.regions == Region.M] = Region.M
    band = amplitude_band(intensity, sigma, regions, alpha=alpha, noise_multiple=noise_multiple)
    return replace(NOISY, measured=np.sqrt(intensity), band=band, regions=regions, support=support.copy())


BEGIN = problem_with()
RULES = [("er", 0.8), ("hio", 0.8), ("raar", 0.8), ("difference-map", 0.8), ("difference-map", 1.0)]
CHANGES = {
    "alpha": lambda: InForce(problem_with(alpha=0.6)),
    "noise multiple": lambda: InForce(problem_with(noise_multiple=9.0)),
    "smaller support": lambda: InForce(problem_with(support=SMALLER)),
    "larger support": lambda: InForce(problem_with(support=LARGER)),
    "moved support": lambda: InForce(problem_with(support=MOVED)),
    "beta": lambda: InForce(problem_with(), 0.5),
}


def held_out_of(problem):
    return (np.random.default_rng(0).random(GRID.shape) < 0.03) & (problem.regions == Region.G)


def start_of(problem):
    return np.where(problem.support, problem.image, 0).astype(np.complex64)


def stage_of(update, beta=0.8, iterations=8, name="s"):
    return Stage(
        name,
        iterations,
        update,
        constraints_of(("image", "real", "low-density", "support"), 0.3, 0.1),
        beta,
        (0.5, 1.0),
    )  # the limits, and their steps in eight iterations, are binary fractions


def finish(run):
    """All snapshots and the end of a run."""
    snapshots = []
    while True:
        try:
            snapshots.append(next(run))
        except StopIteration as stop:
            return snapshots, stop.value


def steered_run(schedule, answers, *, problem=BEGIN, workers=1, **options):
    """A run with the answers (each made anew) to be given at an iteration."""
    start, held_out = start_of(problem), held_out_of(problem)
    options |= {"steer": lambda done: answers[done]() if done in answers else None}
    return finish(iterate(problem, schedule, start, held_out=held_out, workers=workers, **options))[1]


def assert_same(a: Retrieval, b: Retrieval):
    np.testing.assert_array_equal(a.estimate, b.estimate)
    np.testing.assert_array_equal([a.r_history, a.free_r_history], [b.r_history, b.free_r_history])
    assert (a.r_factor, a.free_r, a.stage_ends) == (b.r_factor, b.free_r, b.stage_ends)
    assert (a.image_agreement, a.constrained_r) == (b.image_agreement, b.constrained_r)


@pytest.mark.parametrize(("update", "beta"), RULES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_replayed_bit_for_bit_and_has_an_effect(update, beta, change):
    schedule = (stage_of(update, beta), Stage("settle", 4))
    answers = {3: CHANGES[change]}
    first, replayed = (steered_run(schedule, answers, workers=workers) for workers in (1, 3))
    assert_same(first, replayed)
    unsteered = steered_run(schedule, {})
    assert first.r_history[:3] == unsteered.r_history[:3]
    if change == "beta" and update == "er":
        assert_same(first, unsteered)
    else:
        assert np.linalg.norm(first.estimate - unsteered.estimate) > 1e-3 * np.linalg.norm(unsteered.estimate)


@pytest.mark.parametrize(("update", "beta"), RULES)
def test_many_changes_in_one_run_are_replayed_bit_for_bit(update, beta):
    schedule = (stage_of(update, beta), stage_of("er", name="t"), stage_of(update, beta, name="u"))
    answers = dict(zip((0, 2, 7, 8, 16, 20), CHANGES.values(), strict=True))
    first, second = (steered_run(schedule, answers, workers=workers) for workers in (1, 2))
    assert_same(first, second)
    assert first.stage_ends == (("s", 8), ("t", 16), ("u", 24))


@pytest.mark.parametrize(("update", "beta"), RULES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_steered_run_is_two_runs_the_second_from_the_firsts_estimate(update, beta, change):
    """The estimate goes on inside the new support, new pixels at zero; the stage's q limit goes on too."""
    whole = stage_of(update, beta)
    answer = CHANGES[change]()
    steered = steered_run((whole,), {4: lambda: answer})
    half = replace(whole, iterations=4)
    first = steered_run((replace(half, q_limits_per_angstrom=(0.5, 0.75)),), {})
    second = retrieve(
        answer.problem,
        (replace(half, q_limits_per_angstrom=(0.75, 1.0), beta=answer.beta or beta),),
        first.estimate,
        held_out=held_out_of(BEGIN) & (answer.problem.regions == Region.G),
        workers=1,
    )
    assert steered.r_history == first.r_history + second.r_history
    assert steered.free_r_history == first.free_r_history + second.free_r_history
    np.testing.assert_array_equal(steered.estimate, second.estimate)
    assert steered.image_agreement == second.image_agreement


@pytest.mark.parametrize("iteration", range(12))
@pytest.mark.parametrize("same", [lambda: BEGIN, problem_with], ids=["itself", "a copy"])
def test_error_reduction_has_no_memory(iteration, same):
    schedule = (stage_of("er"), Stage("settle", 4))
    assert_same(steered_run(schedule, {iteration: lambda: InForce(same())}), steered_run(schedule, {}))


@pytest.mark.parametrize("name", ["band", "measured", "regions", "support"])
def test_one_new_array_does_what_a_new_problem_with_it_does(name):
    """Whatever is kept from the old problem, it is not what changed."""
    other = replace(problem_with(alpha=0.6, noise_multiple=9.0, support=LARGER), measured=1.5 * BEGIN.measured)
    one = {name: getattr(other, name)}
    shared, new = (
        steered_run((stage_of("hio"),), {3: lambda p=problem: InForce(replace(p, **one))})
        for problem in (BEGIN, problem_with())
    )
    assert_same(shared, new)
    assert shared.r_history[3:] != steered_run((stage_of("hio"),), {3: lambda: InForce(BEGIN)}).r_history[3:]


@pytest.mark.parametrize("update", ["hio", "raar", "difference-map"])
def test_rules_with_feedback_forget_what_lay_outside(update):
    schedule = (stage_of(update),)
    restarted = steered_run(schedule, {4: lambda: InForce(BEGIN)})
    assert restarted.r_history[:4] == steered_run(schedule, {}).r_history[:4]
    assert restarted.r_history[6:] != steered_run(schedule, {}).r_history[6:]


@pytest.mark.parametrize("update", ["hio", "difference-map"])
def test_beta_replaces_that_of_every_stage_until_the_next_answer(update):
    schedule = (stage_of(update, 0.9), stage_of("raar", 0.7, name="t"))
    half = tuple(replace(stage, beta=0.5) for stage in schedule)
    assert_same(steered_run(schedule, {}, beta=0.5), steered_run(half, {}))
    assert_same(steered_run(schedule, {0: lambda: InForce(BEGIN, 0.5)}), steered_run(half, {}))
    own_again = (half[0], schedule[1])
    assert_same(steered_run(schedule, {8: lambda: InForce(BEGIN)}, beta=0.5), steered_run(own_again, {}))


def test_steered_before_the_first_iteration_a_run_begins_with_the_new_problem():
    schedule = (stage_of("hio"),)
    other = problem_with(alpha=0.6, support=SMALLER)
    held_out = held_out_of(BEGIN)
    steered = steered_run(schedule, {0: lambda: InForce(other)})
    assert_same(steered, retrieve(other, schedule, start_of(BEGIN), held_out=held_out, workers=1))


def test_each_iteration_asks_once_before_and_once_after():
    before, after = [], []
    run = iterate(
        BEGIN,
        (stage_of("er"), Stage("none", 0), stage_of("hio", iterations=3, name="t")),
        start_of(BEGIN),
        wants_estimate=lambda i: after.append(i) or i % 4 == 0,
        workers=1,
        steer=before.append,
    )
    snapshots, _ = finish(run)
    assert before == list(range(11))
    assert after == list(range(1, 12))
    assert [s.iteration for s in snapshots if s.estimate is not None] == [4, 8]


@pytest.mark.parametrize(("update", "beta"), RULES)
def test_snapshots_tell_where_the_estimate_lies(update, beta):
    """Stages and their counts go on; the estimate is that of the support in force."""
    force = {3: problem_with(support=LARGER), 5: problem_with(support=MOVED), 9: problem_with(support=SMALLER)}
    schedule = (stage_of(update, beta), Stage("settle", 4))
    run = iterate(
        BEGIN,
        schedule,
        start_of(BEGIN),
        wants_estimate=lambda _: True,
        workers=1,
        steer=lambda done: InForce(force[done]) if done in force else None,
    )
    snapshots, end = finish(run)
    problem = BEGIN
    for done, snapshot in enumerate(snapshots):
        problem = force.get(done, problem)
        assert snapshot.box == problem.box
        assert snapshot.estimate.shape == problem.support[problem.box].shape
        assert not snapshot.estimate[~problem.support[problem.box]].any()
        assert (snapshot.stage, snapshot.stage_iteration) == (("s", done + 1) if done < 8 else ("settle", done - 7))
    np.testing.assert_array_equal(end.estimate[problem.box], snapshots[-1].estimate)
    assert not end.estimate[~SMALLER].any()
    assert len({str(s.box) for s in snapshots}) == 4


@pytest.mark.parametrize("noise_multiple", [1.0, 9.0])
def test_the_free_r_is_taken_over_what_is_still_good(noise_multiple):
    other = problem_with(noise_multiple=noise_multiple)
    result = steered_run((stage_of("er"), Stage("settle", 4)), {5: lambda: InForce(other)})
    held_out = held_out_of(BEGIN)
    good = other.regions == Region.G
    assert (held_out & ~good).any() == (noise_multiple > 3)
    spectrum = fourier.transform(result.estimate)
    assert result.free_r == pytest.approx(r_factor(spectrum, other.measured, held_out & good), rel=1e-3)
    assert result.r_factor == pytest.approx(r_factor(spectrum, other.measured, good & ~held_out), rel=1e-3)


@pytest.mark.parametrize("update", ["hio", "raar"])
def test_a_support_mended_on_the_way_brings_the_object_back(update):
    """A third of the particle was cut off; once the support is mended, the object grows into it."""
    clean = problem_of(TRUTH)
    cut = SUPPORT.copy()
    cut[:, GRID.n // 2 + 5 :] = False
    start = np.where(cut, clean.image, 0).astype(np.complex64)
    schedule = (
        Stage("search", 120, update, constraints_of(("image", "real", "non-negative", "support"), 0.3), 0.8),
        Stage("settle", 30, "er", constraints_of(("image", "real", "non-negative", "support"), 0.3), 0.8),
    )

    def end(steer):
        return finish(iterate(replace(clean, support=cut), schedule, start, workers=1, steer=steer))[1]

    left, mended = end(None), end(lambda done: InForce(clean) if done == 20 else None)
    assert correlation(left.estimate, TRUTH, SUPPORT) < 0.9
    assert left.r_factor > 0.2
    assert correlation(mended.estimate, TRUTH, SUPPORT) > 0.98
    assert mended.r_factor < 0.1


@pytest.mark.parametrize("update", ["er", "hio"])
def test_threads_end_with_their_kernel_and_with_the_run(update):
    before = threading.active_count()
    kinds = [CHANGES["alpha"], CHANGES["noise multiple"], CHANGES["larger support"]]
    run = iterate(
        BEGIN, (stage_of(update, iterations=1000),), start_of(BEGIN), workers=3, steer=lambda done: kinds[done % 3]()
    )
    for _ in range(12):
        next(run)
        assert threading.active_count() <= before + 2
    run.close()
    assert threading.active_count() == before


def next_error(answer, problem=BEGIN):
    """What a run says to an answer before its third iteration; its threads must have ended."""
    before = threading.active_count()
    run = iterate(
        problem,
        (stage_of("er") if problem.image is not None else Stage("s", 8),),
        start_of(BEGIN),
        workers=2,
        steer=lambda done: answer if done == 2 else None,
    )
    next(run), next(run)
    with pytest.raises(InputError) as caught:
        next(run)
    assert threading.active_count() == before
    return str(caught.value)


def test_what_a_run_cannot_be_steered_to():
    blind = replace(BEGIN, image=None, image_transfer=None)
    small = Grid(64, 25.6)
    other = problem_of(random_particle(small, radius_angstrom=5), grid=small)
    stretched = replace(BEGIN, grid=Grid(GRID.n, 2 * GRID.field_of_view_angstrom))
    far = np.zeros_like(SUPPORT)
    far[2:9, 2:9] = True
    assert "from 96 pixels of 0.4 Å to 64 pixels of 0.4 Å" in next_error(InForce(other))
    assert "from 96 pixels of 0.4 Å to 96 pixels of 0.8 Å" in next_error(InForce(stretched))
    assert "began with an image cannot go on without" in next_error(InForce(blind))
    assert "began without an image cannot go on with" in next_error(InForce(BEGIN), blind)
    assert "nothing of the estimate after iteration 2" in next_error(InForce(problem_with(support=far)))


@pytest.mark.parametrize("beta", [0.0, -0.5, 1.5, float("nan")])
def test_an_impossible_beta_is_refused(beta):
    with pytest.raises(InputError, match=r"β = .*above 0 and at most 1"):
        InForce(BEGIN, beta)
    with pytest.raises(InputError, match=r"β = .*above 0 and at most 1"):
        iterate(BEGIN, (stage_of("hio"),), start_of(BEGIN), beta=beta)


SETTINGS = EnsembleSettings(members=3, seed=5)
SCHEDULE = (stage_of("hio"), Stage("settle", 4, "er", ("real", "support")))


def members_of(problem=BEGIN, schedule=SCHEDULE, *, answers=None, workers=1, **options):
    """The members, with the answers (each made anew) to be given at a member and iteration."""
    answers = answers or {}
    run = iterate_ensemble(
        problem,
        schedule,
        SETTINGS,
        workers=workers,
        steer=lambda member, done: answers[member, done]() if (member, done) in answers else None,
        **options,
    )
    return finish(run)[1]


@pytest.mark.parametrize(("update", "beta"), RULES)
def test_an_ensemble_is_replayed_bit_for_bit(update, beta):
    schedule = (stage_of(update, beta), SCHEDULE[1])
    answers = dict(zip([(0, 0), (0, 5), (1, 0), (1, 8), (2, 3), (2, 11)], CHANGES.values(), strict=True))
    for first, second in zip(
        members_of(schedule=schedule, answers=answers),
        members_of(schedule=schedule, answers=answers, workers=2),
        strict=True,
    ):
        assert_same(first, second)


def test_what_was_steered_stays_for_the_members_that_follow():
    other = problem_with(alpha=0.6, noise_multiple=2.0, support=MOVED)
    half = tuple(replace(stage, beta=0.5) for stage in SCHEDULE)
    steered = members_of(answers={(1, 3): lambda: InForce(other, 0.5)})
    before, after = members_of(), members_of(other, half)
    assert_same(steered[0], before[0])
    assert steered[1].r_history[:3] == before[1].r_history[:3]
    assert steered[1].r_history[3:] != before[1].r_history[3:]
    assert_same(steered[2], after[2])


def test_a_member_steered_at_its_beginning_starts_there():
    other = problem_with(noise_multiple=2.0, support=SMALLER)
    steered = members_of(answers={(1, 0): lambda: InForce(other, 0.5)})
    assert_same(steered[0], members_of()[0])
    half = tuple(replace(stage, beta=0.5) for stage in SCHEDULE)
    for one, expected in zip(steered[1:], members_of(other, half)[1:], strict=True):
        assert_same(one, expected)


def test_an_ensemble_asks_once_an_iteration():
    before, after = [], []
    run = iterate_ensemble(
        BEGIN,
        SCHEDULE,
        SETTINGS,
        wants_estimate=lambda *at: after.append(at) or at == (1, 7),
        workers=1,
        steer=lambda *at: before.append(at),
    )
    carried = [(member, s.iteration) for member, s in run if s.estimate is not None]
    assert before == [(member, done) for member in range(3) for done in range(12)]
    assert after == [(member, done + 1) for member, done in before]
    assert carried == [(1, 7)]


def test_an_ensemble_refuses_what_a_run_does():
    blind = replace(BEGIN, image=None, image_transfer=None)
    for at in ((0, 0), (0, 3), (1, 0)):
        with pytest.raises(InputError, match="cannot go on without"):
            members_of(answers={at: lambda: InForce(blind)})


def made_up(field):
    return Retrieval(field.astype(np.complex64), 0.1, 0.2, (0.1,), (0.2,), (("s", 1),), 0.9)


CORE = ndi.binary_erosion(SUPPORT, iterations=9)


def test_members_of_a_larger_support_are_not_cropped():
    """The support shrank to its core on the way; with the reach the early members come through whole."""
    final = replace(BEGIN, support=CORE)
    runs = [made_up(TRUTH), made_up(np.where(SMALLER, TRUTH, 0))]
    settings = EnsembleSettings(members=2, reject_below=0.0)
    cropped, whole = combine(final, runs, settings), combine(final, runs, settings, reach=SUPPORT)
    # The early member may be any whole translation away: its power tells whether all of it is there.
    power = float(np.sum(np.abs(TRUTH) ** 2))
    assert float(np.sum(np.abs(whole.members[0]) ** 2)) == pytest.approx(power, rel=1e-3)
    assert float(np.sum(np.abs(cropped.members[0]) ** 2)) < 0.99 * power
    np.testing.assert_allclose(whole.mean[whole.box], whole.members.mean(axis=0), atol=1e-6)


def test_members_are_compared_wherever_one_may_reach():
    """One member is right in the final support, and wrong where only the earlier ones reached."""
    odd = np.where(CORE, TRUTH, random_particle(seed=9))
    runs = [made_up(TRUTH), made_up(TRUTH), made_up(TRUTH), made_up(np.where(SUPPORT, odd, 0))]
    settings = EnsembleSettings(members=4, reject_below=0.85)
    assert combine(replace(BEGIN, support=CORE), runs, settings, reach=SUPPORT).kept == (True, True, True, False)


def test_a_reach_within_the_support_changes_nothing():
    runs = [made_up(TRUTH), made_up(np.where(SMALLER, TRUTH, 0))]
    plain = combine(BEGIN, runs, EnsembleSettings(members=2))
    within = combine(BEGIN, runs, EnsembleSettings(members=2), reach=SMALLER)
    assert plain.box == within.box
    np.testing.assert_array_equal(plain.members, within.members)
    np.testing.assert_array_equal(plain.mean, within.mean)
    with pytest.raises(InputError, match=r"reach has shape \(64, 96\)"):
        combine(BEGIN, runs, EnsembleSettings(members=2), reach=SUPPORT[:64])
