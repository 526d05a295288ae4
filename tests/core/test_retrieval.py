"""The driver: known objects are recovered, by every rule and constraint; and it keeps its promises."""

import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.ensemble.metrics import r_factor
from napari_subangstrom_cdi.core.phasing.constraints import Scene, compose
from napari_subangstrom_cdi.core.phasing.regions import AmplitudeBand, Region
from napari_subangstrom_cdi.core.phasing.retrieval import image_on, iterate, retrieve
from napari_subangstrom_cdi.core.phasing.schedule import Stage, extend_schedule, paper_schedule, support_only_schedule
from napari_subangstrom_cdi.core.phasing.updates import UPDATES
from napari_subangstrom_cdi.errors import InputError
from objects import GRID, constraints_of, correlation, crystal, low_pass, outline, problem_of, random_particle

SUPPORT = outline()
REAL = (
    ("real", "support"),
    ("real", "non-negative", "support"),
    ("real", "low-density", "support"),
    ("image", "real", "support"),
    ("image", "real", "non-negative", "support"),
    ("image", "real", "low-density", "support"),
)
COMPLEX = (("support",), ("image", "support"))
EVERY = [(update, constraints) for update in UPDATES.names() for constraints in REAL + COMPLEX] + [
    ("er", ("flip", "support")),
    ("er", ("real", "flip", "support")),
    ("er", ("image", "real", "flip", "support")),
]


def disturbed(field, seed=5):
    """The object with white noise all over the support: every phase is wrong by some ten degrees."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(field.shape) + 1j * np.any(field.imag) * rng.standard_normal(field.shape)
    scale = 0.7 * np.linalg.norm(field[SUPPORT]) / np.linalg.norm(noise[SUPPORT])
    return np.where(SUPPORT, field + scale * noise, 0).astype(np.complex64)


def from_image(problem):
    return np.where(problem.support, problem.image, 0).astype(np.complex64)


def run(problem, start, update, constraints, iterations, *, beta=0.9, refine=20):
    """A search by the rule, and some error reduction to settle."""
    search = Stage("search", iterations, update, constraints_of(constraints, 0.3, 0.1), beta)
    settle = replace(search, name="settle", iterations=refine, update="er")
    return retrieve(problem, (search, settle), start, workers=1)


@pytest.mark.parametrize(
    ("update", "constraints"), EVERY, ids=lambda value: value if isinstance(value, str) else "+".join(value)
)
def test_every_rule_and_constraint_mends_a_disturbed_start(update, constraints):
    imaginary = 0.0 if "real" in constraints else 0.25
    truth = random_particle(imaginary=imaginary)
    problem = problem_of(truth)
    start = disturbed(truth)
    assert correlation(start, truth, SUPPORT) < 0.85
    result = run(problem, start, update, constraints, 60)
    assert correlation(result.estimate, truth, SUPPORT) > 0.98
    assert result.r_factor < 0.1


@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize(
    ("update", "constraints"),
    [
        ("hio", ("image", "real", "support")),
        ("difference-map", ("image", "real", "support")),
        ("raar", ("image", "real", "low-density", "support")),
        ("hio", ("real", "non-negative", "support")),
        ("difference-map", ("real", "non-negative", "support")),
        ("raar", ("real", "non-negative", "support")),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_a_low_resolution_image_grows_into_the_object(update, constraints, seed):
    """The image ends at 2.9 Å; the object is asked for to 0.8 Å, also beyond the image's band alone."""
    truth = random_particle(seed=seed)
    problem = problem_of(truth, seed=seed)
    start = from_image(problem)
    result = run(problem, start, update, constraints, 150, refine=30)
    q = GRID.q_per_angstrom()
    beyond = (q > 0.45) & (q < 1.2)
    fine = [fourier.transform(field)[beyond] for field in (start, result.estimate, truth)]
    assert correlation(start, truth, SUPPORT) < 0.86
    assert correlation(fine[0], fine[2]) < 0.6
    assert correlation(result.estimate, truth, SUPPORT) > 0.94
    assert correlation(fine[1], fine[2]) > 0.85


@pytest.mark.parametrize(("update", "constraints"), [("hio", ("support",)), ("difference-map", ("image", "support"))])
def test_a_complex_object_is_found_from_the_image_of_its_real_part(update, constraints):
    truth = random_particle(imaginary=0.25)
    problem = problem_of(truth)
    start = from_image(problem)
    assert correlation(start, truth, SUPPORT) < 0.83
    result = run(problem, start, update, constraints, 150, refine=30)
    assert correlation(result.estimate, truth, SUPPORT) > 0.95
    inside = result.estimate[SUPPORT] * np.exp(-1j * np.angle(np.vdot(truth, result.estimate)))
    imaginary = float(np.dot(inside.imag, truth[SUPPORT].imag))
    assert imaginary > 0.8 * np.linalg.norm(inside.imag) * np.linalg.norm(truth[SUPPORT].imag)


def test_a_real_object_constraint_cannot_fit_a_complex_object():
    """What tells a thick crystal: R falls when the object may be complex."""
    truth = random_particle(imaginary=0.25)
    problem = problem_of(truth)
    real, free = (run(problem, disturbed(truth), "er", c, 80).r_factor for c in (("real", "support"), ("support",)))
    assert real > 0.15
    assert free < 0.3 * real


def test_without_an_image_the_best_of_three_starts_is_the_object():
    truth = random_particle()
    problem = problem_of(truth, image_limit=None)
    results, starts = [], []
    for member in range(3):
        noise = np.abs(np.random.default_rng(member).standard_normal(GRID.shape))
        starts.append(np.where(SUPPORT, noise, 0).astype(np.complex64))
        results.append(retrieve(problem, support_only_schedule(), starts[-1], workers=1))
    best = min(results, key=lambda result: result.r_factor)
    assert max(correlation(start, truth, SUPPORT) for start in starts) < 0.6
    assert correlation(best.estimate, truth, SUPPORT) > 0.97


@pytest.mark.parametrize("reading", ["methods", "upper-limit"])
@pytest.mark.parametrize("beam_radius_px", [0, 4])
@pytest.mark.parametrize("update", ["er", "raar"])
def test_counting_noise_both_readings_of_b_and_a_missing_beam(reading, beam_radius_px, update):
    truth = random_particle()
    problem = problem_of(truth, electrons=1e6, noise_std=0.01, reading=reading, beam_radius_px=beam_radius_px)
    share = [np.mean(problem.regions == region) for region in (Region.G, Region.B)]
    assert min(share) > 0.3
    assert np.any(problem.regions == Region.M) == (beam_radius_px > 0)
    result = run(problem, disturbed(truth), update, ("image", "real", "support"), 60, beta=0.8)
    assert correlation(result.estimate, truth, SUPPORT) > 0.975
    if beam_radius_px:
        missing = problem.regions == Region.M
        found, wanted = (fourier.transform(field)[missing] for field in (result.estimate, truth))
        assert correlation(found, wanted) > 0.99
        assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(wanted), rel=0.1)


def test_the_presets_extend_the_image_of_a_crystal():
    grid, truth, support = crystal()
    limit = 0.52
    problem = problem_of(
        truth, grid=grid, support=support, image_limit=limit, electrons=1e7, noise_std=0.01, beam_radius_px=3
    )
    start = from_image(problem)
    q = grid.q_per_angstrom()
    beyond = (q > 0.5) & (q < 1.1)

    def fine(field):
        return correlation(fourier.transform(field)[beyond], fourier.transform(truth)[beyond])

    extended = retrieve(problem, extend_schedule(limit, grid.q_max_per_angstrom), start, workers=1)
    paper = retrieve(problem, paper_schedule(), start, workers=1)
    assert fine(start) < 0.4
    assert fine(paper.estimate) > 0.65
    assert fine(extended.estimate) > 0.85
    assert correlation(extended.estimate, truth, support) > 0.975 > correlation(start, truth, support)
    assert extended.image_agreement > 0.99


def plain_iterate(problem, stage, start, held_out):
    """The same iterations as they are written: whole centred arrays, one projection, no shortcuts."""
    x = np.where(problem.support, start, 0)
    image = image_on(problem, (slice(None), slice(None)))
    constrain = compose(stage.constraints, Scene(problem.support, problem.grid.pixel_angstrom, image))
    q = problem.grid.q_per_angstrom()
    good = (problem.regions == Region.G) & ~held_out
    for i in range(stage.iterations):
        lower = np.where((q <= stage.q_limit(i)) & ~held_out, problem.band.lower, 0)
        band = AmplitudeBand(lower, np.where(held_out, np.float32(np.inf), problem.band.upper))

        def project(field, band=band):
            return fourier.inverse(band.project(fourier.transform(field)))

        projected = project(x)
        r_before = r_factor(fourier.transform(x), problem.measured, good)
        estimate = constrain(projected)
        x = stage.update(x, projected, constrain, project)
    if stage.update.kind == "er":
        return x, r_before
    return estimate, r_factor(fourier.transform(estimate), problem.measured, good)


@pytest.mark.parametrize("update", UPDATES.names())
@pytest.mark.parametrize(
    "constraints",
    [("support",), ("real", "support"), ("real", "non-negative", "support"), ("low-density", "real", "support")],
    ids="+".join,
)
@pytest.mark.parametrize("beta", [0.7, 1.0])
def test_the_fast_driver_does_what_the_formulas_say(update, constraints, beta):
    truth = random_particle(imaginary=0.2)
    problem = problem_of(truth, electrons=1e6, noise_std=0.01, beam_radius_px=3)
    held_out = (np.random.default_rng(0).random(GRID.shape) < 0.03) & (problem.regions == Region.G)
    stage = Stage("s", 6, update, constraints, beta, q_limits_per_angstrom=(0.6, 1.0))
    start = disturbed(truth)
    *_, last = iterate(problem, (stage,), start, held_out=held_out, wants_estimate=lambda i: i == 6, workers=1)
    expected, expected_r = plain_iterate(problem, stage, start, held_out)
    assert last.r_factor == pytest.approx(expected_r, rel=1e-3)
    assert np.linalg.norm(last.estimate - expected[problem.box]) < 2e-3 * np.linalg.norm(expected)


def test_the_end_reports_what_the_estimate_is():
    truth = random_particle()
    problem = problem_of(truth)
    held_out = (np.random.default_rng(0).random(GRID.shape) < 0.03) & (problem.regions == Region.G)
    schedule = (
        Stage("guided", 12, "hio", ("image", "real", "support")),
        Stage("real", 9, "raar", ("real", "support")),
        Stage("complex", 5),
    )
    result = retrieve(problem, schedule, from_image(problem), held_out=held_out, workers=1)
    assert result.stage_ends == (("guided", 12), ("real", 21), ("complex", 26))
    assert len(result.r_history) == len(result.free_r_history) == 26
    spectrum = fourier.transform(result.estimate)
    good = (problem.regions == Region.G) & ~held_out
    assert result.r_factor == pytest.approx(r_factor(spectrum, problem.measured, good), rel=1e-3)
    assert result.free_r == pytest.approx(r_factor(spectrum, problem.measured, held_out), rel=1e-3)
    assert result.free_r > result.r_factor
    assert result.constrained_r == pytest.approx(result.r_history[20], rel=0.2)
    assert result.estimate.dtype == np.complex64
    assert result.estimate.shape == GRID.shape
    assert not result.estimate[~SUPPORT].any()
    assert result.estimate[SUPPORT].any()
    low = image_on(problem, problem.box)
    agreement = low.agreement(result.estimate[problem.box], SUPPORT[problem.box])
    assert result.image_agreement == pytest.approx(agreement)
    bare = replace(problem, image=None, image_transfer=None)
    assert np.isnan(retrieve(bare, (Stage("one", 1),), from_image(problem), workers=1).image_agreement)


def test_one_snapshot_an_iteration_and_the_estimate_when_it_is_due():
    problem = problem_of(random_particle())
    schedule = (Stage("first", 4, "raar"), Stage("none", 0), Stage("second", 3))
    snapshots = list(iterate(problem, schedule, from_image(problem), wants_estimate=lambda i: i % 3 == 0, workers=1))
    assert [s.iteration for s in snapshots] == list(range(1, 8))
    assert [(s.stage, s.stage_iteration) for s in snapshots] == [
        *(("first", i) for i in (1, 2, 3, 4)),
        *(("second", i) for i in (1, 2, 3)),
    ]
    assert [s.estimate is not None for s in snapshots] == [s.iteration % 3 == 0 for s in snapshots]
    silent = list(iterate(problem, schedule, from_image(problem), workers=1))
    assert all(s.estimate is None for s in silent)
    assert [s.r_factor for s in silent] == [s.r_factor for s in snapshots]


def test_a_receiver_may_do_with_its_estimate_what_it_likes():
    """A snapshot is a copy: scribbling on it, or keeping it, changes nothing."""
    problem = problem_of(random_particle())
    schedule = (Stage("a", 5, "hio"), Stage("b", 5, "er", ("real", "support")))
    expected = retrieve(problem, schedule, from_image(problem), workers=1)
    generator = iterate(problem, schedule, from_image(problem), wants_estimate=lambda _: True, workers=1)
    kept = []
    while True:
        try:
            snapshot = next(generator)
        except StopIteration as stop:
            result = stop.value
            break
        kept.append(snapshot.estimate)
        snapshot.estimate[:] = np.nan
    np.testing.assert_array_equal(result.estimate, expected.estimate)
    assert all(np.isnan(estimate).all() for estimate in kept)
    assert not any(np.shares_memory(a, b) for a, b in pairwise(kept))


@pytest.mark.parametrize("update", UPDATES.names())
def test_no_estimate_reaches_beyond_the_support(update):
    problem = problem_of(random_particle())
    outside = ~SUPPORT[problem.box]
    for snapshot in iterate(
        problem, (Stage("s", 5, update),), from_image(problem), wants_estimate=lambda _: True, workers=1
    ):
        assert not snapshot.estimate[outside].any()


def test_inputs_are_left_alone():
    problem = problem_of(random_particle())
    start = from_image(problem)
    arrays = (start, problem.measured, problem.band.lower, problem.band.upper, problem.regions, problem.image)
    before = [array.copy() for array in arrays]
    retrieve(problem, (Stage("a", 3, "hio", q_limits_per_angstrom=(0.3, 0.9)), Stage("b", 3)), start, workers=1)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("update", UPDATES.names())
def test_threads_change_no_bit(update):
    problem = problem_of(random_particle(), electrons=1e6, noise_std=0.01)
    stage = Stage("s", 8, update, ("image", "real", "low-density", "support"))
    runs = [retrieve(problem, (stage, Stage("c", 4)), from_image(problem), workers=w) for w in (1, 2)]
    np.testing.assert_array_equal(runs[0].estimate, runs[1].estimate)
    assert runs[0].r_history == runs[1].r_history


def test_closing_mid_run_leaves_no_threads():
    problem = problem_of(random_particle())
    before = threading.active_count()
    generator = iterate(problem, (Stage("long", 10_000, "hio"),), from_image(problem), workers=3)
    for _ in range(3):
        next(generator)
    generator.close()
    assert threading.active_count() == before
    assert list(generator) == []
    finished = retrieve(problem, (Stage("short", 2),), from_image(problem), workers=3)
    assert threading.active_count() == before
    assert len(finished.r_history) == 2


def test_a_growing_q_limit_leaves_the_rest_of_the_pattern_out():
    """With the limit at 0.4 Å⁻¹ the amplitudes beyond are upper limits: a smooth start stays smooth."""
    truth = random_particle()
    problem = problem_of(truth)
    q = GRID.q_per_angstrom()
    beyond = q > 0.5
    power = {}
    for limits in ((0.4, 0.4), (0.4, 1.3), None):
        stage = Stage("s", 10, q_limits_per_angstrom=limits)
        result = retrieve(problem, (stage,), fourier.inverse(fourier.transform(truth) * low_pass(q)), workers=1)
        power[limits] = float(np.linalg.norm(fourier.transform(result.estimate)[beyond]))
    whole = float(np.linalg.norm(problem.measured[beyond]))
    assert power[0.4, 0.4] < 0.35 * whole
    assert power[None] > 0.5 * whole
    assert power[0.4, 0.4] < power[0.4, 1.3] < power[None]


def test_held_out_pixels_do_not_steer_the_run():
    """Other amplitudes there change the free R, and nothing else."""
    truth = random_particle()
    problem = problem_of(truth)
    held_out = (np.random.default_rng(0).random(GRID.shape) < 0.05) & (problem.regions == Region.G)
    false = np.where(held_out, 3 * problem.measured + 5, problem.measured).astype(np.float32)
    other = replace(problem, measured=false, band=AmplitudeBand(false, false))
    first, second = (
        retrieve(p, (Stage("s", 10, "raar"),), from_image(problem), held_out=held_out, workers=1)
        for p in (problem, other)
    )
    np.testing.assert_array_equal(first.estimate, second.estimate)
    assert first.r_history == second.r_history
    assert first.free_r != second.free_r


def test_what_iterate_refuses():
    problem = problem_of(random_particle())
    start = from_image(problem)
    with pytest.raises(InputError, match=r"start has shape \(64, 96\)"):
        iterate(problem, (Stage("s", 1),), start[:64])
    for schedule in ((), (Stage("none", 0),)):
        with pytest.raises(InputError, match="no iterations"):
            iterate(problem, schedule, start)
    with pytest.raises(InputError, match="-1 threads"):
        iterate(problem, (Stage("s", 1),), start, workers=-1)
    with pytest.raises(InputError, match="zero"):
        iterate(problem, (Stage("s", 1),), np.where(SUPPORT, 0, 1).astype(np.complex64))
    blind = replace(problem, image=None, image_transfer=None)
    with pytest.raises(InputError, match=r"'guided'.*TEM image"):
        iterate(blind, (Stage("plain", 1), Stage("guided", 1, constraints=("image", "support"))), start)


@pytest.mark.parametrize("update", UPDATES.names())
def test_a_start_that_is_not_finite_ends_the_run_and_its_threads(update):
    problem = problem_of(random_particle())
    start = from_image(problem)
    start[GRID.n // 2, GRID.n // 2] = np.nan
    before = threading.active_count()
    with np.errstate(all="ignore"), pytest.raises(ArithmeticError, match="iteration 0"):
        retrieve(problem, (Stage("s", 3, update),), start, workers=2)
    assert threading.active_count() == before


def test_what_a_problem_refuses():
    problem = problem_of(random_particle())
    spoilt = problem.measured.copy()
    spoilt[3, 4] = np.nan
    wrong = {
        r"regions has shape \(64, 96\)": {"regions": problem.regions[:64]},
        r"support has shape \(64, 96\)": {"support": SUPPORT[:64]},
        r"image has shape \(64, 96\)": {"image": problem.image[:64]},
        r"pattern has shape \(64, 96\)": {"measured": problem.measured[:64]},
        "NaN": {"measured": spoilt},
        "no pixel of the pattern is in G": {"regions": np.zeros_like(problem.regions)},
        "support is empty": {"support": np.zeros_like(SUPPORT)},
        "fills the array": {"support": np.ones_like(SUPPORT)},
        "transfer function": {"image_transfer": None},
    }
    for message, change in wrong.items():
        with pytest.raises(InputError, match=message):
            replace(problem, **change)
