"""The session without a window: states of steps, undo, pause and stop, errors, steering, projects, recovery."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io.cxi import read_cxi
from napari_subangstrom_cdi.io.mask_text import PackedMask
from napari_subangstrom_cdi.job.pipeline import load_plan, run
from napari_subangstrom_cdi.job.plan import Inputs, Plan, plan_from_toml
from napari_subangstrom_cdi.session import recovery
from napari_subangstrom_cdi.session.session import Happening, Session, State, Step

from .jobs import PATIENCE_S, advance, job

SCHEDULE = (
    Stage("with image", 10, "hio", ("image", "real", "support")),
    Stage("refine", 20, "hio", ("real", "support")),
)


def prepared_for(case: Path, *, members: int = 2, recovery_folder: Path | None = None) -> Session:
    session = job(case, recovery_folder=recovery_folder)
    session.change("retrieval", schedule=SCHEDULE)
    session.change("ensemble", members=members)
    return session


@pytest.fixture
def session(small_case: Path) -> Iterator[Session]:
    session = prepared_for(small_case)
    yield session
    session.close()


@pytest.fixture(scope="module")
def masked(small_case: Path) -> Iterator[Session]:
    """A session whose masks are done; tests of a run start from it and leave its settings as they were."""
    session = prepared_for(small_case)
    advance(session, Step.MASKS)
    yield session
    session.close()


def states(session: Session) -> dict[Step, State]:
    return {step: session.state(step) for step in Step}


def until(condition, seconds: float = PATIENCE_S) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def iterations(session: Session) -> int:
    return 0 if session.live is None else sum(len(member.r_factor) for member in session.live.history)


# States


def test_nothing_can_be_done_without_a_pattern():
    session = Session()
    assert states(session) == {step: State.UNUSED if step is Step.MODEL else State.TODO for step in Step}
    with pytest.raises(InputError, match="no pattern"):
        session.start(Step.DATA)
    session.close()


def test_a_change_makes_its_step_and_all_later_ones_stale(session):
    assert session.state(Step.DATA) is State.READY
    assert session.state(Step.BACKGROUND) is State.TODO
    advance(session, Step.MASKS)
    assert session.state(Step.PHASE) is State.READY
    session.change("image", mirrored=None)
    assert [session.state(step) for step in (Step.DATA, Step.BACKGROUND, Step.ALIGN, Step.MASKS, Step.PHASE)] == [
        State.DONE,
        State.DONE,
        State.STALE,
        State.STALE,
        State.TODO,
    ]
    assert session.needed(Step.PHASE) == (Step.ALIGN, Step.MASKS, Step.PHASE)
    assert session.undo()
    assert session.state(Step.MASKS) is State.DONE, "what is as it was need not be done again"
    assert session.redo()
    assert session.state(Step.MASKS) is State.STALE


def test_a_slider_is_undone_in_one_step(session):
    before = session.plan
    for alpha in (0.31, 0.35, 0.4):
        session.change("regions", alpha=alpha)
    session.undo()
    assert session.plan == before


def test_an_impossible_value_changes_nothing(session):
    before = session.plan
    with pytest.raises(InputError):
        session.change("image", rotation_deg=5.0)
    assert session.plan is before


def test_steps_do_what_the_command_line_does(masked):
    advance(masked, Step.PHASE)
    outcome = run(masked.plan)
    np.testing.assert_array_equal(masked.result.object, outcome.reconstruction.object)
    np.testing.assert_array_equal(masked.result.members, outcome.reconstruction.members)
    assert masked.result.recipe == outcome.reconstruction.recipe
    told = dict(outcome.reconstruction.metrics)
    found = {key: masked.result.metrics[key] for key in told}
    assert found == told
    assert set(masked.result.metrics["seconds"]) >= set(outcome.seconds)


# The model


@pytest.fixture
def modelled(modelled_job: Session) -> Iterator[Session]:
    """With a fitted crystal; its settings are as they were at the end."""
    before = modelled_job.plan
    yield modelled_job
    modelled_job.stop()
    modelled_job.wait(PATIENCE_S)
    modelled_job.poll()
    modelled_job.set_plan(before)


def test_a_model_is_a_step_only_where_members_start_from_it(masked):
    before = masked.plan
    masked.change("ensemble", seed=17)  # not run yet
    assert masked.state(Step.MODEL) is State.UNUSED
    assert masked.needed(Step.PHASE) == (Step.PHASE,)
    masked.change("model", use=True)
    assert masked.state(Step.MODEL) is State.READY and masked.state(Step.PHASE) is not State.DONE
    assert masked.needed(Step.PHASE) == (Step.MODEL, Step.PHASE) and masked.pending is Step.MODEL
    masked.start(Step.PHASE)
    assert masked.wait(PATIENCE_S)
    assert masked.state(Step.MODEL) is State.FAILED, "no crystal is named"
    assert "no crystal is named" in masked.errors[Step.MODEL]
    masked.set_plan(before)
    assert masked.state(Step.MODEL) is State.UNUSED


def test_a_crystal_that_is_none_is_said_before_anything_is_done(session):
    session.change("inputs", crystal="CdSS")
    session.change("model", zone="0 0 0 1", use=True)
    session.start(Step.PHASE)
    assert session.wait(PATIENCE_S)
    assert session.output(Step.DATA) is None
    assert session.errors[Step.MODEL].startswith("no crystal named 'CdSS'"), "no option of the command line is named"


def test_a_fit_outlives_what_it_does_not_depend_on(modelled):
    modelled.use_preset("model")
    assert modelled.state(Step.MODEL) is State.DONE
    modelled.change("regions", alpha=0.7, reading="upper-limit")
    modelled.change("retrieval", schedule=SCHEDULE)
    assert modelled.state(Step.MASKS) is State.STALE and modelled.state(Step.MODEL) is State.DONE
    assert modelled.needed(Step.PHASE) == (Step.MASKS, Step.PHASE)
    for section, values in (
        ("regions", {"noise_multiple": 4.0}),
        ("support", {"grow_angstrom": 2.0}),
        ("model", {"zone": "1 1 2"}),
        ("model", {"tilt_deg": (0.5, 0.0)}),
        ("inputs", {"crystal": "CdSe-wurtzite"}),
        ("image", {"mirrored": None}),
    ):
        modelled.settle()
        modelled.change(section, **values)
        assert modelled.state(Step.MODEL) is State.STALE, (section, values)
        assert Step.MODEL in modelled.needed(Step.PHASE)
        assert modelled.state(Step.DATA) is State.DONE
        modelled.undo()
        assert modelled.state(Step.MODEL) is State.DONE


def test_a_fit_can_be_stopped_and_the_one_before_it_is_kept(modelled):
    found = modelled.model
    modelled.change("model", b_factor=0.5)
    modelled.start(Step.MODEL)
    until(lambda: "tilt and thickness" in modelled.activity)
    modelled.stop()
    assert modelled.wait(PATIENCE_S)
    assert Happening.STOPPED in [event.happening for event in modelled.poll()]
    assert modelled.model is found and modelled.state(Step.MODEL) is State.UNUSED
    modelled.undo()
    assert modelled.state(Step.MODEL) is State.DONE


def test_members_start_from_the_fitted_model(modelled, run_from_model, tmp_path):
    modelled.set_plan(run_from_model.plan)
    assert modelled.state(Step.PHASE) is State.DONE
    fitted, result = modelled.model, modelled.result
    assert result.metrics["model"]["atoms"] == fitted.readings["atoms"]
    assert result.omit_map.shape == result.object.shape
    # three iterations from the model are near it; from the image alone they would be near a real object
    start = fourier.shift(fitted.fitted.object_field, result.metrics["origin_shift_px"])
    assert abs(np.vdot(start, result.object)) > 0.9 * np.linalg.norm(start) * np.linalg.norm(result.object)
    modelled.save(tmp_path / "model.cxi")
    other = Session()
    other.load(tmp_path / "model.cxi")
    assert other.plan.model == modelled.plan.model and other.plan.inputs.crystal == "CdS-wurtzite"
    assert other.state(Step.PHASE) is State.DONE
    np.testing.assert_array_equal(other.result.omit_map, result.omit_map)
    other.close()


def test_a_trial_at_the_fitted_values_is_the_fit_and_a_thick_one_is_not(modelled):
    trial, report = modelled.model_trial, modelled.model.readings
    assert trial.at(*trial.values) is trial.fitted
    assert trial.fitted.r_pattern == pytest.approx(report["r_pattern"], rel=1e-6)
    tilt, thickness, roundness = trial.values
    thick = trial.at(tilt, 8 * thickness, roundness)
    assert len(thick.atoms.numbers) > 6 * report["atoms"] and thick.r_pattern > 1.5 * trial.fitted.r_pattern
    modelled.change("model", thickness_angstrom=8 * thickness)
    assert modelled.model_trial is trial, "what is set by hand is tried with it"
    good = modelled.prepared.problem.regions == 2
    measured = modelled.prepared.pattern.intensity[good]
    assert np.corrcoef(np.sqrt(trial.fitted.power[good]), np.sqrt(np.maximum(measured, 0)))[0, 1] > 0.95


# Errors


def test_bad_input_is_a_failed_step_with_its_sentence(session, tmp_path):
    (tmp_path / "empty.tif").write_bytes(b"")
    session.set_input("pattern", tmp_path / "empty.tif")
    session.start(Step.MASKS)
    session.wait(PATIENCE_S)
    assert session.state(Step.DATA) is State.FAILED
    assert "empty.tif" in session.errors[Step.DATA]
    assert session.state(Step.BACKGROUND) is State.TODO
    happened = [event.happening for event in session.poll()]
    assert happened[-2:] == [Happening.FAILED, Happening.IDLE]
    session.undo()
    advance(session, Step.DATA)
    assert Step.DATA not in session.errors


@pytest.mark.parametrize("error", [RuntimeError("in a library"), ArithmeticError("nan"), MemoryError(), KeyError("x")])
def test_errors_of_every_kind_reach_the_user(session, monkeypatch, error):
    def broken(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("scipy.ndimage.gaussian_filter", broken)
    session.start(Step.MASKS)
    assert session.wait(PATIENCE_S)
    failed = [step for step in Step if session.state(step) is State.FAILED]
    assert len(failed) == 1
    assert type(error).__name__ in session.errors[failed[0]]
    assert type(error).__name__ in session.traceback


def test_one_thing_at_a_time(session):
    session.start(Step.MASKS)
    with pytest.raises(InputError, match="still going on"):
        session.start(Step.DATA)
    session.stop()
    assert session.wait(PATIENCE_S)


def test_a_step_can_be_stopped_before_it_is_done(session):
    session.start(Step.MASKS)
    session.stop()
    assert session.wait(PATIENCE_S)
    assert session.state(Step.MASKS) is not State.DONE
    assert Happening.STOPPED in [event.happening for event in session.poll()]
    advance(session, Step.DATA)


# Pause, step, stop


def long_run(session: Session) -> None:
    before = session.live
    session.change("ensemble", members=50)
    session.start(Step.PHASE)
    until(lambda: session.live is not before and iterations(session) > 3)


@pytest.fixture
def running(masked):
    before = masked.plan
    long_run(masked)
    yield masked
    masked.stop()
    masked.wait(PATIENCE_S)
    masked.set_plan(before)


def test_pause_holds_step_does_one_and_resume_goes_on(running):
    running.pause()
    time.sleep(0.2)
    held = iterations(running)
    began = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - began < 0.05, "a paused run leaves the processor alone"
    assert iterations(running) == held
    assert running.paused
    for k in range(1, 4):
        running.step_once()
        until(lambda k=k: iterations(running) == held + k)
        time.sleep(0.05)
        assert iterations(running) == held + k
    assert running.live.take_frame() is not None, "what a paused run stands at can be seen"
    running.resume()
    until(lambda: iterations(running) > held + 10)


def test_stop_keeps_the_finished_members(running):
    until(lambda: running.live.average is not None and running.live.average.members >= 3)
    running.stop()
    assert running.wait(PATIENCE_S)
    result = running.result
    assert not result.complete
    kept = len(result.members)
    assert kept >= 3
    assert plan_from_toml(result.recipe, where="result").ensemble.members == kept
    assert f"{kept} of 50 members" in " ".join(running.warnings[Step.PHASE])


def test_stop_out_of_a_pause(running):
    running.pause()
    time.sleep(0.1)
    running.stop()
    assert running.wait(PATIENCE_S)


def test_frames_come_only_when_asked_for(running):
    running.live.take_frame()
    time.sleep(0.1)
    assert running.live.take_frame() is None
    running.live.request_frame()
    frames = []
    until(lambda: frames.append(running.live.take_frame()) or frames[-1] is not None)
    frame = frames[-1]
    assert frame.estimate.shape == tuple(part.stop - part.start for part in frame.box)
    assert frame.estimate.any()
    assert 0.3 < frame.agreement <= 1


def test_progress_counts_and_foretells(running):
    until(lambda: iterations(running) > 40)
    progress = running.live.progress
    assert progress.members == 50 and progress.iterations == 30
    assert progress.iterations_per_second > 0
    left = (50 * 30 - progress.member * 30 - progress.iteration) / progress.iterations_per_second
    assert progress.seconds_left == pytest.approx(left, rel=0.5)


# Steering


def test_a_steered_run_is_replayed_bit_for_bit(running, tmp_path):
    support = running.prepared.problem.support
    smaller = support.copy()
    smaller[: support.shape[0] // 2 - 6] = False
    excluded = np.zeros_like(support)
    excluded[200:210, 190:200] = True
    running.change("regions", alpha=0.6, noise_multiple=2.0)
    until(lambda: len(running.live.marks) == 1)
    running.steer(beta=0.5)
    until(lambda: len(running.live.marks) == 2)
    running.steer_masks(support=PackedMask.of(smaller))
    running.steer_masks(excluded=PackedMask.of(excluded))
    until(lambda: len(running.live.marks) >= 3)
    members = running.live.average.members if running.live.average else 0
    until(lambda: running.live.average is not None and running.live.average.members >= members + 2)
    running.stop()
    assert running.wait(PATIENCE_S)
    result = running.result
    changes = plan_from_toml(result.recipe, where="result").steering
    assert len(changes) >= 3
    assert {c.beta for c in changes} >= {0.5} and {c.alpha for c in changes} >= {0.6}
    running.save(tmp_path / "steered.cxi")
    again = run(load_plan(tmp_path / "steered.cxi", tmp_path)).reconstruction
    np.testing.assert_array_equal(again.members, result.members)
    np.testing.assert_array_equal(again.r_history, result.r_history)
    np.testing.assert_array_equal(again.object, result.object)
    assert again.recipe == plan_from_toml(again.recipe, where="again").to_toml()
    plain = run(replace(load_plan(tmp_path / "steered.cxi", tmp_path), steering=())).reconstruction
    assert not np.array_equal(plain.members, result.members), "the changes made a difference"


def test_a_change_that_cannot_be_followed_is_refused_and_the_run_goes_on(running):
    with pytest.raises(InputError):
        running.steer(beta=3.0)
    running.change("regions", noise_multiple=900.0)
    until(lambda: any("not followed" in event.message for event in running.poll()))
    held = iterations(running)
    until(lambda: iterations(running) > held + 5)
    assert not running.live.marks
    assert running.state(Step.MASKS) is State.STALE, "what is set is not what the run was done with"


def in_force(session: Session) -> tuple[float, float, str | None]:
    settings = session.steering.settings
    return settings.alpha, settings.noise_multiple, settings.excluded or None


def test_undo_and_redo_steer_the_run_back_and_forth(running):
    """What is shown is what is in force: α, the noise multiple, M and the support."""
    prepared = running.prepared
    automatic = prepared.automatic_support
    grid = prepared.problem.grid
    smaller = binary_erosion(automatic, iterations=3)
    removed = PackedMask.of(automatic & ~smaller)
    excluded = np.zeros(grid.shape, bool)
    excluded[5:9, 7:12] = True
    before = in_force(running)
    running.change("regions", alpha=0.7)
    running.settle()
    running.change("regions", noise_multiple=4.0)
    running.settle()
    running.steer_masks(excluded=PackedMask.of(excluded))
    running.settle()
    running.steer_masks(support=PackedMask.of(smaller), added=None, removed=removed)
    after = (0.7, 4.0, PackedMask.of(excluded))
    until(lambda: in_force(running) == after and np.array_equal(running.steering.problem.support, smaller))
    for _ in range(4):
        assert running.undo()
    assert running.plan.regions.alpha == before[0] and running.plan.support.removed is None
    until(lambda: in_force(running) == before and np.array_equal(running.steering.problem.support, automatic))
    for _ in range(4):
        assert running.redo()
    until(lambda: in_force(running) == after and np.array_equal(running.steering.problem.support, smaller))
    until(lambda: len(running.live.marks) >= 3)
    until(lambda: running.live.average is not None)
    running.stop()
    assert running.wait(PATIENCE_S) and running.state(Step.PHASE) is State.DONE


def test_what_did_not_take_effect_before_the_end_is_said_and_makes_stale(running):
    """Paused, changed and stopped: the result was not made with the change, and nothing says that it was."""
    until(lambda: running.live.average is not None)
    running.pause()
    until(lambda: running.paused)
    time.sleep(0.3)
    automatic = running.prepared.automatic_support
    running.change("regions", alpha=0.9)
    smaller = binary_erosion(automatic, iterations=3)
    running.steer_masks(support=PackedMask.of(smaller), added=None, removed=PackedMask.of(automatic & ~smaller))
    running.poll()
    running.stop()
    assert running.wait(PATIENCE_S)
    assert not running.live.marks
    assert plan_from_toml(running.result.recipe, where="result").regions.alpha != 0.9
    assert any("α = 0.9" in event.message for event in running.poll() if event.happening is Happening.WARNED)
    assert running.state(Step.MASKS) is State.STALE and running.state(Step.RESULTS) is State.STALE
    assert running.undo() and running.undo()
    assert running.state(Step.PHASE) is State.DONE


def test_a_steered_run_is_not_stale(running):
    running.change("regions", alpha=0.7)
    until(lambda: running.live.marks and running.live.average is not None)
    running.stop()
    running.wait(PATIENCE_S)
    assert running.state(Step.PHASE) is State.DONE
    assert running.state(Step.MASKS) is State.DONE
    assert running.needed(Step.PHASE) == (Step.MASKS, Step.PHASE), "they were made with the α of the beginning"
    running.change("regions", alpha=0.2)
    assert running.state(Step.MASKS) is State.STALE


def test_nothing_to_steer_without_a_run(session):
    with pytest.raises(InputError, match="no phase retrieval"):
        session.steer(beta=0.5)


# Layers as inputs


def test_an_array_is_kept_as_a_file_and_goes_into_the_project(session, tmp_path):
    counts = np.arange(384 * 384, dtype=np.uint32).reshape(384, 384)
    path = Path(session.set_input("mask", counts > 100, name="my mask / odd"))
    assert path.is_file() and path.parent != Path.cwd()
    np.testing.assert_array_equal(np.load(path), counts > 100)
    session.save(tmp_path / "p.cxi")
    session.close()
    assert not path.exists()


# Projects


def test_a_project_comes_back_as_it_was(masked, tmp_path):
    advance(masked, Step.PHASE)
    assert masked.state(Step.RESULTS) is State.READY and masked.unsaved
    masked.save(tmp_path / "p.cxi", view={"note": "as it looked"})
    assert masked.state(Step.RESULTS) is State.DONE and not masked.unsaved
    other = Session()
    view = other.load(tmp_path / "p.cxi")
    assert view["note"] == "as it looked"
    assert replace(other.plan, inputs=masked.plan.inputs) == masked.plan
    np.testing.assert_array_equal(other.result.object, masked.result.object)
    assert other.state(Step.DATA) is State.READY
    advance(other, Step.MASKS)
    assert states(other) == states(masked)
    np.testing.assert_array_equal(other.prepared.problem.support, masked.prepared.problem.support)
    np.testing.assert_array_equal(other.prepared.problem.band.upper, masked.prepared.problem.band.upper)
    other.close()
    np.testing.assert_array_equal(read_cxi(tmp_path / "p.cxi").object, masked.result.object)


def test_a_file_says_what_saving_over_it_would_cost(masked, tmp_path):
    path = tmp_path / "p.cxi"
    assert masked.would_replace(path) is None, "there is no such file"
    advance(masked, Step.PHASE)
    masked.save(path)
    assert masked.would_replace(path) is None, "it holds this result"
    empty = Session()
    assert empty.would_replace(path).members == 2
    empty.save(tmp_path / "empty.cxi")
    assert masked.would_replace(tmp_path / "empty.cxi") is None, "nothing computed is in it"
    (tmp_path / "notes.cxi").write_text("no HDF5")
    assert masked.would_replace(tmp_path / "notes.cxi") is None
    empty.save(path)  # a script is not asked
    assert empty.would_replace(path) is None
    empty.close()
    before = masked.plan
    masked.save(path)
    masked.change("ensemble", seed=23)
    advance(masked, Step.PHASE)
    assert masked.would_replace(path).members == 2, "as many, but others"
    masked.set_plan(before)


def test_a_job_that_is_opened_or_begun_ends_the_undo_of_the_one_before(masked, tmp_path):
    advance(masked, Step.PHASE)
    masked.save(tmp_path / "p.cxi")
    other = Session()
    other.change("regions", alpha=0.9)
    other.change("ensemble", seed=5)
    other.load(tmp_path / "p.cxi")
    opened = other.plan
    assert not other.can_undo and not other.undo() and other.plan == opened
    other.change("regions", alpha=0.5)
    assert other.undo() and not other.undo() and other.plan == opened
    other.redo()
    other.begin_anew(Plan(Inputs("")))
    assert not other.can_undo and not other.can_redo
    assert other.result is None and not other.unsaved and other.live is None
    assert states(other)[Step.PHASE] is State.TODO
    other.close()


def test_outputs_of_another_session_are_taken_over(masked):
    advance(masked, Step.PHASE)
    other = Session(plan=masked.plan)
    other.adopt_outputs(masked, Step.DATA, Step.BACKGROUND, Step.ALIGN, Step.MASKS, Step.PHASE)
    assert states(other) == states(masked)
    assert other.result is masked.result and other.unsaved == masked.unsaved
    assert other.support_finder is masked.support_finder
    other.change("image", mirrored=None)
    assert other.state(Step.ALIGN) is State.STALE and masked.state(Step.ALIGN) is State.DONE
    other.close()


def test_a_stale_result_is_stale_when_it_comes_back(masked, tmp_path):
    advance(masked, Step.PHASE)
    masked.change("ensemble", seed=9)
    masked.save(tmp_path / "p.cxi")
    masked.undo()
    other = Session()
    other.load(tmp_path / "p.cxi")
    assert other.plan.ensemble.seed == 9
    advance(other, Step.MASKS)
    assert other.state(Step.PHASE) is State.STALE
    assert other.state(Step.RESULTS) is State.STALE
    other.close()


def test_a_project_without_a_result_runs_headless(session, tmp_path):
    session.change("support", grow_angstrom=2.0)
    session.save(tmp_path / "p.cxi")
    plan = load_plan(tmp_path / "p.cxi", tmp_path)
    assert plan.support.grow_angstrom == 2.0
    assert run(plan).reconstruction.object.any()


def test_painted_masks_are_in_the_problem_and_the_recipe(masked):
    before = masked.plan
    automatic = masked.prepared.automatic_support
    y, x = np.argwhere(automatic)[0]
    added, removed = np.zeros_like(automatic), np.zeros_like(automatic)
    added[y - 3 : y, x], removed[automatic.shape[0] // 2, automatic.shape[1] // 2] = True, True
    masked.change("support", added=PackedMask.of(added), removed=PackedMask.of(removed))
    masked.change("regions", excluded=PackedMask.of(added))
    advance(masked, Step.MASKS)
    np.testing.assert_array_equal(masked.prepared.support.mask, (automatic | added) & ~removed)
    np.testing.assert_array_equal(masked.prepared.automatic_support, automatic)
    assert (masked.prepared.problem.regions[added] == 0).all()
    assert plan_from_toml(masked.plan.to_toml(), where="x") == masked.plan
    masked.set_plan(before)
    advance(masked, Step.MASKS)


# Recovery


def test_finished_members_are_found_again(small_case, tmp_path):
    folder = tmp_path / "recovery"
    session = prepared_for(small_case, members=3, recovery_folder=folder)
    advance(session, Step.PHASE)
    wanted = session.result
    assert recovery.found(folder) == [], "a run of a living session is not left behind"
    session.close(keep_recovery=True)
    [left] = recovery.found(folder)
    assert (left.members_done, left.members_planned) == (3, 3)
    other = Session(recovery_folder=folder)
    other.recover(left)
    assert other.wait(PATIENCE_S)
    assert not other.errors
    np.testing.assert_array_equal(other.result.object, wanted.object)
    assert other.unsaved
    other.save(tmp_path / "rescued.cxi")
    other.close()
    left.discard()
    assert recovery.found(folder) == []


def test_saving_ends_the_recovery_files(small_case, tmp_path):
    folder = tmp_path / "recovery"
    session = prepared_for(small_case, recovery_folder=folder)
    advance(session, Step.PHASE)
    assert list(folder.iterdir())
    session.save(tmp_path / "p.cxi")
    assert not list(folder.iterdir())
    session.close()


def test_a_run_goes_on_where_members_cannot_be_kept(small_case, tmp_path):
    (tmp_path / "file").write_text("in the way")
    session = prepared_for(small_case, recovery_folder=tmp_path / "file")
    advance(session, Step.PHASE)
    assert any(event.happening is Happening.WARNED and "kept on disk" in event.message for event in session.poll())
    session.close()
