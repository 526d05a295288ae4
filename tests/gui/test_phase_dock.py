"""The Phase dock in a real window: a run through its buttons, steering, settings, errors; and napari's activity."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from napari.utils.progress import progress
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_subangstrom_cdi.gui.docks.phase import PhaseDock
from napari_subangstrom_cdi.gui.docks.r_factor import RFactorDock
from napari_subangstrom_cdi.gui.window.preferences import Preferences
from napari_subangstrom_cdi.job.pipeline import run
from napari_subangstrom_cdi.job.plan import plan_from_toml
from napari_subangstrom_cdi.session.session import State, Step

MANY = 400  # members: a run that is still going on when it is stopped


@pytest.fixture
def short_run(ready_run):
    return ready_run


@pytest.fixture
def dock(viewer, short_run, qtbot):
    dock = PhaseDock(viewer)
    viewer.window.add_dock_widget(dock, name="Phase")
    qtbot.waitExposed(dock)
    return dock


def click(qtbot, button):
    assert button.isEnabled() and button.isVisible()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def enter(qtbot, form, name, text):
    """Type a value into the field of a form."""
    box = form.editor(name)
    assert box.isEnabled()
    box.setFocus()
    box.selectAll()
    qtbot.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Return)


def choose(qtbot, form, name, text):
    box = form.editor(name)
    box.setFocus()
    qtbot.wait(QApplication.keyboardInputInterval() + 50)  # else it is one word with what was typed before
    qtbot.keyClicks(box, text[0])
    assert box.currentText() == text


def position(controller):
    live = controller.session.live
    return (0, 0) if live is None or live.progress is None else (live.progress.member, live.progress.iteration)


def start_and_wait_for_iterations(qtbot, dock, controller):
    click(qtbot, dock.button)
    qtbot.waitUntil(lambda: controller.session.steerable and position(controller) > (0, 2))
    qtbot.waitUntil(lambda: dock.button.text() == "Pause" and dock.button.isEnabled())


def test_run_to_the_end_is_the_command_lines(dock, short_run, qtbot, picture):
    assert dock.button.text() == "Run"
    assert dock.badge.state() == "ready"
    click(qtbot, dock.button)
    qtbot.waitUntil(lambda: dock.badge.state() == "done")
    result = short_run.session.result
    assert "R " in dock.status.text() and "of 2 members averaged" in dock.status.text()
    assert dock.numbers.text("member") == "2/2"
    assert dock.button.text() == "Run" and not dock.stop_button.isEnabled()
    picture(dock, "phase")
    expected = run(short_run.session.plan).reconstruction
    np.testing.assert_array_equal(result.object, expected.object)
    np.testing.assert_array_equal(result.r_history, expected.r_history)


def test_pause_step_resume_and_stop(dock, short_run, qtbot):
    short_run.change("ensemble", members=MANY)
    start_and_wait_for_iterations(qtbot, dock, short_run)

    click(qtbot, dock.button)
    qtbot.waitUntil(lambda: dock.button.text() == "Resume")
    qtbot.waitUntil(lambda: short_run.session.at_rest and not short_run.real.is_making)
    held = position(short_run)
    for _ in range(10):  # what was still to be painted takes a slow machine its time
        cpu, wall = time.process_time(), time.perf_counter()
        qtbot.wait(500)
        share = (time.process_time() - cpu) / (time.perf_counter() - wall)
        if share < 0.1:
            break
    assert position(short_run) == held
    assert share < 0.1
    assert dock.numbers.text("time") == "–"

    for _ in range(3):
        before = position(short_run)
        click(qtbot, dock.step_button)
        qtbot.waitUntil(lambda before=before: short_run.session.at_rest and position(short_run) > before)
        member, iteration = position(short_run)
        assert (member, iteration) in (
            (before[0], before[1] + 1),
            (before[0] + 1, 1),
        )
        assert dock.button.text() == "Resume"

    click(qtbot, dock.button)
    qtbot.waitUntil(lambda: dock.button.text() == "Pause")
    qtbot.waitUntil(lambda: short_run.session.live.average is not None)

    at = position(short_run)
    click(qtbot, dock.stop_button)
    assert dock.stop_button.text() == "Stopping…" and not dock.stop_button.isEnabled()
    assert not dock.button.isEnabled()
    qtbot.waitUntil(lambda: not short_run.session.steerable)
    after = position(short_run)
    assert (after[0] - at[0]) * 60 + after[1] - at[1] <= 2
    qtbot.waitUntil(lambda: dock.badge.state() == "done")
    assert dock.stop_button.text() == "Stop"
    assert "stopped after" in dock.status.text()
    assert not short_run.session.result.complete


def test_step_from_rest_does_one_iteration(dock, short_run, qtbot):
    click(qtbot, dock.step_button)
    qtbot.waitUntil(lambda: short_run.session.at_rest and position(short_run) > (0, 0))
    assert position(short_run) == (0, 1)
    qtbot.waitUntil(lambda: dock.button.text() == "Resume")
    click(qtbot, dock.stop_button)
    qtbot.waitUntil(lambda: not short_run.session.busy)
    qtbot.waitUntil(lambda: "nothing was finished" in dock.status.text())
    assert short_run.session.result is None
    assert dock.button.text() == "Run" and dock.button.isEnabled()


def test_steering_is_marked_listed_and_replayed(dock, viewer, short_run, qtbot):
    curve = RFactorDock(viewer)
    viewer.window.add_dock_widget(curve, name="R-factor", area="bottom")
    assert not dock.steering.form.editor("beta").isEnabled()
    enter(qtbot, dock.steering.form, "alpha", "0.4")  # before a run it is a setting like others
    assert short_run.session.plan.regions.alpha == 0.4
    short_run.change("ensemble", members=MANY)
    start_and_wait_for_iterations(qtbot, dock, short_run)
    click(qtbot, dock.button)
    qtbot.waitUntil(lambda: short_run.session.at_rest and dock.button.text() == "Resume")
    enter(qtbot, dock.steering.form, "alpha", "0.7")
    enter(qtbot, dock.steering.form, "beta", "0.5")
    enter(qtbot, dock.steering.form, "noise_multiple", "4")
    for _ in range(2):
        before = position(short_run)
        click(qtbot, dock.step_button)
        qtbot.waitUntil(lambda before=before: short_run.session.at_rest and position(short_run) > before)
    qtbot.waitUntil(lambda: dock.steering.changes.count() > 0)
    changes = [dock.steering.changes.item(i).text() for i in range(dock.steering.changes.count())]
    assert len(changes) == 1 and "α = 0.7" in changes[0] and "β = 0.5" in changes[0] and "4 σ" in changes[0]
    assert [text for _, _, text in short_run.session.live.marks] == [changes[0].split(": ", 1)[1]]
    qtbot.waitUntil(lambda: len(curve.plot._record.marks) > 0)
    marks = curve.plot._record.marks
    assert [mark.text for mark in marks] == [text for _, _, text in short_run.session.live.marks]
    click(qtbot, dock.button)
    member = position(short_run)[0]
    qtbot.waitUntil(lambda: position(short_run)[0] > member)
    click(qtbot, dock.stop_button)
    qtbot.waitUntil(lambda: dock.badge.state() == "done")

    result = short_run.session.result
    recipe = plan_from_toml(result.recipe, where="test")
    [change] = recipe.steering
    assert (change.alpha, change.beta, change.noise_multiple) == (0.7, 0.5, 4.0)
    again = run(replace(recipe, inputs=short_run.session.plan.inputs)).reconstruction
    np.testing.assert_array_equal(again.object, result.object)
    assert [mark.text for mark in curve.plot._record.marks] == [marks[0].text]
    assert not dock.steering.form.editor("beta").isEnabled()


def test_a_preset_chosen_after_a_run_shows_no_stages_of_the_other(dock, short_run, do, qtbot):
    do(short_run, Step.PHASE)
    choose(qtbot, dock.form, "preset", "paper")
    assert dock.form.values()["preset"] == "paper"
    assert not dock.table.isVisible() and "paper" in dock.schedule_hint.text()
    assert "align, masks" in dock.status.text(), "what the preset made stale is said"
    do(short_run, Step.MASKS)
    qtbot.waitUntil(dock.table.isVisible)
    assert dock.table.schedule() == short_run.session.schedule


def test_settings_go_into_the_plan_and_come_back_by_undo(dock, short_run, qtbot):
    enter(qtbot, dock.form, "members", "7")
    enter(qtbot, dock.form, "seed", "5")
    enter(qtbot, dock.form, "noise", "0.25")
    ensemble = short_run.session.plan.ensemble
    assert (ensemble.members, ensemble.seed, ensemble.noise) == (7, 5, 0.25)
    qtbot.mouseClick(dock.form.findChild(object, "advanced_button"), Qt.MouseButton.LeftButton)
    enter(qtbot, dock.form, "spread", "0.1")
    enter(qtbot, dock.form, "free_fraction", "0.05")
    enter(qtbot, dock.form, "reject_below", "0.5")
    ensemble = short_run.session.plan.ensemble
    assert (ensemble.spread, ensemble.free_fraction, ensemble.reject_below) == (0.1, 0.05, 0.5)
    short_run.undo()
    assert dock.form.values()["reject_below"] == short_run.session.plan.ensemble.reject_below != 0.5

    # how often frames are shown is no setting of the job, and is remembered
    automatic = dock.form.findChild(object, "frames_per_second_auto")
    assert automatic.isChecked()
    qtbot.mouseClick(automatic, Qt.MouseButton.LeftButton)
    enter(qtbot, dock.form, "frames_per_second", "8")
    assert short_run.preferences.frames_per_second == 8
    assert Preferences.read().frames_per_second == 8
    qtbot.mouseClick(automatic, Qt.MouseButton.LeftButton)
    assert Preferences.read().frames_per_second == 0


def test_preset_and_own_schedule(dock, short_run, do, qtbot):
    assert dock.form.values()["preset"] == "own"
    short_run.change("support", grow_angstrom=2.0)  # the masks are to be made again
    choose(qtbot, dock.form, "preset", "extend")
    assert short_run.session.plan.retrieval.schedule == ()
    assert not dock.table.isVisible() and dock.schedule_hint.isVisible()
    do(short_run, Step.MASKS)
    qtbot.waitUntil(dock.table.isVisible)
    preset = dock.table.schedule()
    assert [stage.name for stage in preset] == ["image", "extend", "settle", "complex"]

    table = dock.table.findChild(object, "schedule")
    table.setCurrentIndex(table.model().index(3, 0))
    click(qtbot, dock.table.findChild(object, "schedule_remove"))
    assert short_run.session.plan.retrieval.schedule == preset[:3]
    assert dock.form.values()["preset"] == "own"
    assert dock.badge.state() != "done"
    short_run.change("ensemble", members=1)
    do(short_run, Step.PHASE)
    assert [name for name, _ in short_run.session.result.stage_ends] == ["image", "extend", "settle"]

    click(qtbot, dock.table.findChild(object, "schedule_preset"))
    assert short_run.session.plan.retrieval.schedule == ()
    assert dock.form.values()["preset"] == "extend"
    assert dock.table.schedule() == preset
    choose(qtbot, dock.form, "preset", "own")
    assert short_run.session.plan.retrieval.schedule == preset
    choose(qtbot, dock.form, "preset", "paper")
    assert short_run.session.plan.retrieval.preset == "paper"
    assert short_run.session.plan.ensemble.spread == 0
    assert short_run.session.state(Step.MASKS) is State.STALE


def test_file_damaged_after_it_was_chosen_is_said_where_the_user_looks(dock, short_run, small_case, tmp_path, qtbot):
    chosen = tmp_path / "chosen.tif"
    shutil.copy(small_case / "particle.tif", chosen)
    assert short_run.set_input("pattern", chosen)
    chosen.write_bytes(b"II*\x00 this is no picture")
    click(qtbot, dock.button)
    qtbot.waitUntil(lambda: dock.status.level() == "error" and bool(dock.status.text()))
    assert "chosen.tif" in dock.status.text()
    qtbot.waitUntil(lambda: dock.button.isEnabled() and dock.button.text() == "Run")


def test_errors_of_libraries_are_said_and_the_window_lives_on(dock, short_run, do, qtbot, monkeypatch):
    short_run.change("ensemble", members=1)
    do(short_run, Step.MASKS)
    for kind in (RuntimeError, ArithmeticError, MemoryError):

        def fail(*arguments, kind=kind, **options):
            raise kind(f"out of luck: {kind.__name__}")

        with monkeypatch.context() as patch:
            for name in ("fft", "fft2", "ifft", "ifft2"):
                patch.setattr(f"scipy.fft.{name}", fail)
            click(qtbot, dock.button)
            qtbot.waitUntil(lambda kind=kind: dock.badge.state() == "failed" and kind.__name__ in dock.status.text())
        assert "out of luck" in dock.status.text() and dock.status.level() == "error"
        qtbot.waitUntil(dock.button.isEnabled)
    click(qtbot, dock.button)
    qtbot.waitUntil(lambda: dock.badge.state() == "done")


def test_activity_shows_the_run_which_outlives_its_dock(dock, viewer, short_run, qtbot):
    short_run.change("ensemble", members=MANY)
    assert not progress._all_instances
    start_and_wait_for_iterations(qtbot, dock, short_run)
    qtbot.waitUntil(lambda: any(bar.n > 3 for bar in progress._all_instances))
    [bar] = progress._all_instances
    assert bar.total == MANY * 60
    assert "Sub-Å CDI" in bar.desc and f"of {MANY}" in bar.desc
    assert dock.bar.maximum() == MANY * 60 and dock.bar.value() > 0
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    qtbot.wait(100)
    before = position(short_run)
    qtbot.waitUntil(lambda: position(short_run) > before)
    another = PhaseDock(viewer)
    viewer.window.add_dock_widget(another, name="Phase")
    qtbot.waitUntil(another.stop_button.isVisible)
    assert another.button.text() == "Pause"
    click(qtbot, another.stop_button)
    qtbot.waitUntil(lambda: not short_run.session.busy)
    qtbot.waitUntil(lambda: not progress._all_instances)
