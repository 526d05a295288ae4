"""Nothing computed is dropped without a question, and no undo leads from one job into another."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_subangstrom_cdi.gui.canvas import real_view as rv
from napari_subangstrom_cdi.gui.docks.data import DataDock
from napari_subangstrom_cdi.gui.docks.phase import PhaseDock
from napari_subangstrom_cdi.gui.docks.results import ResultsDock
from napari_subangstrom_cdi.gui.docks.simulate import SimulateDock
from napari_subangstrom_cdi.io.project import held_in, read_project
from napari_subangstrom_cdi.session.session import Session, State, Step

from ..hands import take_over
from .questions import Answers

CTRL_SHIFT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
BEFORE = (Step.DATA, Step.BACKGROUND, Step.ALIGN, Step.MASKS)


@pytest.fixture(scope="module")
def done(prepared_job):
    """A run of two members; its settings are left as they were."""
    prepared_job.start(Step.PHASE)
    assert prepared_job.wait(300) and prepared_job.state(Step.PHASE) is State.DONE, prepared_job.errors
    return prepared_job


@pytest.fixture
def finished(controller, done):
    """A window with a result that is in no project."""
    take_over(controller, done, *BEFORE, Step.PHASE)
    assert controller.session.unsaved
    return controller


@pytest.fixture
def results(viewer, finished, qtbot):
    dock = ResultsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Results")
    qtbot.waitUntil(dock.isVisible)
    qtbot.waitUntil(lambda: not finished.real.is_making)
    return dock


def press(qtbot, button) -> None:
    assert button.isVisible() and button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def run_again(controller, qtbot, *, members: int) -> None:
    """By a program, which is not asked."""
    controller.change("ensemble", members=members)
    controller.run(Step.PHASE)
    qtbot.waitUntil(lambda: not controller.session.busy)
    controller.poll()
    assert len(controller.session.result.members) == members


def test_save_over_more_members_asks(results, finished, qtbot, tmp_path):
    path, session = tmp_path / "job.cxi", finished.session
    assert finished.save(path)
    two = session.result
    with Answers() as nobody:
        press(qtbot, results.button)  # the same again
        qtbot.waitUntil(lambda: results.status.text() == f"Saved: {path}")
    assert not nobody.asked
    run_again(finished, qtbot, members=1)
    assert results.status.text() == "", "the new result is not what was saved"
    assert session.would_replace(path).members == 2

    with Answers("Cancel") as answers:
        press(qtbot, results.button)
    assert "job.cxi holds another reconstruction, of 2 members; this window has one of one member" in answers.asked[0]
    assert held_in(path).is_of(two) and session.unsaved

    with Answers("Save beside it"):
        press(qtbot, results.button)
        qtbot.waitUntil(lambda: results.status.text() == f"Saved: {tmp_path / 'job_2.cxi'}")
    assert held_in(path).is_of(two) and not session.unsaved
    np.testing.assert_array_equal(read_project(tmp_path / "job_2.cxi").result.object, session.result.object)
    assert finished.project_path == tmp_path / "job_2.cxi"

    finished.project_path = path
    with Answers("Replace it"):
        press(qtbot, results.button)
        qtbot.waitUntil(lambda: results.status.text() == f"Saved: {path}")
    assert held_in(path).is_of(session.result)


def test_a_project_without_its_result_is_not_written_over_it(results, finished, qtbot, tmp_path):
    path = tmp_path / "job.cxi"
    finished.save(path)
    finished.begin_job(finished.session.plan)
    finished.project_path = path
    finished.changed.emit()
    with Answers("Cancel") as answers:
        press(qtbot, results.button)
    assert "this window has no reconstruction" in answers.asked[0]
    assert held_in(path).members == 2


def test_run_over_an_unsaved_result_asks(viewer, finished, qtbot, tmp_path):
    dock, mine = PhaseDock(viewer), finished.session.result
    viewer.window.add_dock_widget(dock, name="Phase")
    qtbot.waitUntil(dock.isVisible)
    canvas = viewer.window._qt_viewer.canvas.native
    for ask in (
        lambda: press(qtbot, dock.button),
        lambda: press(qtbot, dock.step_button),
        lambda: qtbot.keyClick(canvas, Qt.Key.Key_R, CTRL_SHIFT),
    ):
        with Answers("Cancel") as answers:
            ask()
        assert "is not saved, and a new run replaces it" in answers.asked[0]
        assert finished.session.result is mine and not finished.session.busy
    finished.project_path = tmp_path / "first.cxi"
    with Answers("Save"):
        press(qtbot, dock.button)
    qtbot.waitUntil(lambda: not finished.session.busy)
    finished.poll()
    assert held_in(tmp_path / "first.cxi").is_of(mine) and finished.session.result is not mine
    second = finished.session.result
    with Answers("Discard"):
        press(qtbot, dock.button)
    qtbot.waitUntil(lambda: not finished.session.busy)
    finished.poll()
    assert finished.session.result is not second
    assert finished.save(tmp_path / "third.cxi")
    with Answers() as nobody:
        press(qtbot, dock.button)
        qtbot.waitUntil(lambda: not finished.session.busy)
    assert not nobody.asked, "a saved one may go"


def test_open_asks_and_undo_stops_at_the_job_s_start(results, finished, done, qtbot, tmp_path):
    session, path = finished.session, tmp_path / "other.cxi"
    other = Session(plan=done.plan)
    other.adopt_outputs(done, Step.PHASE)
    other.save(path)
    other.close()
    finished.change("support", grow_angstrom=2.0)
    mine = session.result
    with Answers("Cancel") as answers:
        press(qtbot, results.open_button)
    assert "is not saved, and another job takes its place" in answers.asked[0]
    assert session.result is mine and QApplication.activeModalWidget() is None

    assert finished.load(path)
    qtbot.waitUntil(lambda: not session.busy)
    finished.poll()
    plan = session.plan
    assert not session.can_undo and not session.can_redo
    finished.undo()
    assert session.plan == plan and session.state(Step.PHASE) is State.DONE
    finished.change("support", grow_angstrom=1.5)
    finished.undo()
    finished.undo()
    assert session.plan == plan


def test_a_second_sample_is_offered_as_a_new_job(viewer, finished, qtbot):
    dock, session = DataDock(viewer), finished.session
    viewer.window.add_dock_widget(dock, name="Data")
    qtbot.waitUntil(dock.isVisible)
    mine, plan = session.result, session.plan
    with Answers("Keep this one") as answers:
        viewer.open_sample("napari-subangstrom-cdi", "platelet_records")
        qtbot.waitUntil(lambda: bool(answers.asked))
    assert "Begin a new job with “particle pattern”, “background pattern”, “TEM image" in answers.asked[0]
    assert session.result is mine and session.plan == plan
    qtbot.waitUntil(lambda: QApplication.activeModalWidget() is None)

    with Answers("New job", "Cancel") as answers:
        viewer.open_sample("napari-subangstrom-cdi", "platelet_records")
        qtbot.waitUntil(lambda: len(answers.asked) == 2)
    assert "another job takes its place" in answers.asked[1] and session.result is mine

    qtbot.waitUntil(lambda: QApplication.activeModalWidget() is None)
    with Answers("New job", "Discard") as answers:
        viewer.open_sample("napari-subangstrom-cdi", "platelet_records")
        qtbot.waitUntil(lambda: len(answers.asked) == 2)
        qtbot.waitUntil(lambda: session.result is None)
    qtbot.wait(100)
    assert session.plan.inputs.pattern.endswith("particle.tif") and session.plan.inputs.image.endswith("image.mrc")
    assert session.plan.acquisition.defocus_nm is not None
    assert session.state(Step.DATA) is State.READY and not session.can_undo
    assert not finished.real.layer(rv.REAL).visible and not finished.real.layer(rv.REAL).data.any()
    assert not finished.real.layer(rv.SUPPORT).visible


def test_simulate_asks_and_begins_a_job(viewer, finished, qtbot):
    dock, session = SimulateDock(viewer), finished.session
    viewer.window.add_dock_widget(dock, name="Simulate", area="right")
    qtbot.waitUntil(dock.isVisible)
    mine = session.result
    with Answers("Cancel") as answers:
        press(qtbot, dock.button)
    assert "another job takes its place" in answers.asked[0]
    assert session.result is mine and dock.button.isEnabled()
