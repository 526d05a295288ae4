"""Closing a window, and what is found at the next start: nothing computed is lost without a question."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, Qt, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QMainWindow, QMessageBox, QVBoxLayout, QWidget

from napari_subangstrom_cdi.gui.window.closing import RecoveryBanner
from napari_subangstrom_cdi.gui.window.main_window import adopt_window
from napari_subangstrom_cdi.gui.window.preferences import PLUGIN
from napari_subangstrom_cdi.io.project import read_project
from napari_subangstrom_cdi.session.recovery import DATA_VARIABLE, default_folder, found
from napari_subangstrom_cdi.session.session import State, Step

from ..hands import take_over

MANY = 400
BUTTON = QMessageBox.StandardButton


def let_go(view) -> None:
    """Delete a second canvas now: napari looks for those left over."""
    view.deleteLater()
    QCoreApplication.sendPostedEvents(view, QEvent.Type.DeferredDelete.value)
    del view.qt_viewer


def main_window(viewer) -> QMainWindow:
    return viewer.window._qt_window


def answer(button, answers):
    """Press a button of the question when it comes."""

    def press() -> None:
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox) and box.objectName() == "subangstrom-unsaved":
            answers.append(box.text())
            box.button(button).click()
        else:
            QTimer.singleShot(50, press)

    QTimer.singleShot(50, press)


def type_name(path, proposals):
    """Type a name into the file dialog when it comes."""

    def enter() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QFileDialog):
            proposals.append(dialog.selectedFiles()[0])
            dialog.findChild(QLineEdit).setText(str(path))
            dialog.accept()
        else:
            QTimer.singleShot(50, enter)

    QTimer.singleShot(50, enter)


def close_by_user(viewer) -> bool:
    """Close the window as its own button does; True if it went. Then napari's own close is told, too."""
    main_window(viewer).close()
    if main_window(viewer).isVisible():
        return False
    viewer.close()
    return True


@pytest.fixture
def watched(viewer, short_run):
    # The window itself is not given to the tests: pytest would hold it beyond its end.
    adopt_window(main_window(viewer), short_run)
    adopt_window(main_window(viewer), short_run)  # a second dock does not ask a second time
    return short_run


@pytest.fixture(scope="module")
def done(prepared_job):
    """The same with its run done, for all tests that need none of their own."""
    prepared_job.start(Step.PHASE)
    assert prepared_job.wait(60) and prepared_job.state(Step.PHASE) is State.DONE, prepared_job.errors
    return prepared_job


@pytest.fixture
def ready(watched, prepared_job):
    """The run comes next."""
    take_over(watched, prepared_job, Step.DATA, Step.BACKGROUND, Step.ALIGN, Step.MASKS, shown=())
    return watched


@pytest.fixture
def finished(watched, done):
    take_over(watched, done, *(step for step in Step if done.state(step) is State.DONE), shown=())
    assert watched.session.state(Step.PHASE) is State.DONE
    assert watched.session.unsaved
    return watched


def test_cancel_and_a_failed_save_keep_everything_and_a_save_lets_go(viewer, finished, qtbot, tmp_path):
    said, proposals = [], []
    for count in (1, 2):
        answer(BUTTON.Cancel, said)
        assert not close_by_user(viewer)
        assert len(said) == count and "not saved" in said[0]
        assert finished.is_open and finished.session.unsaved
        qtbot.wait(50)
    main_window(viewer).hide()  # which is no closing
    qtbot.wait(50)
    assert finished.is_open
    main_window(viewer).show()

    finished.project_path = tmp_path / "no such folder" / "job.cxi"
    answer(BUTTON.Save, said)
    assert not close_by_user(viewer)
    assert finished.session.unsaved
    qtbot.wait(50)

    finished.project_path = None
    answer(BUTTON.Save, said)
    type_name(tmp_path / "named.cxi", proposals)
    assert close_by_user(viewer)
    assert not finished.is_open
    assert Path(proposals[0]).name == "particle.cxi"
    np.testing.assert_array_equal(read_project(tmp_path / "named.cxi").result.object, finished.session.result.object)
    assert found(default_folder()) == []


def test_opening_a_file_asks_about_unsaved_work_first(viewer, finished, qtbot, tmp_path):
    finished.session.save(tmp_path / "other.cxi")
    finished.change("ensemble", seed=3)
    finished.run(Step.PHASE)
    qtbot.waitUntil(lambda: not finished.session.busy)
    finished.poll()
    mine, said = finished.session.result, []
    assert finished.session.unsaved
    answer(BUTTON.Cancel, said)
    viewer.open(tmp_path / "other.cxi", plugin=PLUGIN)
    qtbot.waitUntil(lambda: bool(said))
    qtbot.wait(50)
    assert finished.session.result is mine and finished.session.unsaved
    answer(BUTTON.Discard, said)
    viewer.open(tmp_path / "other.cxi", plugin=PLUGIN)
    qtbot.waitUntil(lambda: finished.session.result is not mine)
    qtbot.waitUntil(lambda: not finished.session.busy)


def test_discard_ends_everything(viewer, finished):
    said = []
    answer(BUTTON.Discard, said)
    assert close_by_user(viewer)
    assert said and not finished.is_open
    assert found(default_folder()) == []


def test_nothing_unsaved_nothing_asked(viewer, watched):
    assert close_by_user(viewer)
    assert not watched.is_open


def test_a_run_is_stopped_and_its_members_offered(viewer, ready, qtbot, tmp_path):
    ready.change("ensemble", members=MANY)
    ready.run(Step.PHASE)
    live = ready.session
    qtbot.waitUntil(lambda: live.live is not None and live.live.average is not None)
    ready.project_path = tmp_path / "job.cxi"
    said = []
    answer(BUTTON.Save, said)
    assert close_by_user(viewer)
    assert "A run goes on" in said[0]
    assert not ready.session.busy
    result = read_project(tmp_path / "job.cxi").result
    assert result is not None and not result.complete and len(result.members) >= 1


def test_a_run_without_a_finished_member_is_just_stopped(viewer, watched, qtbot):
    watched.run(Step.PHASE)
    qtbot.waitUntil(lambda: watched.session.state(Step.BACKGROUND) is State.RUNNING)
    assert close_by_user(viewer)
    assert not watched.session.busy


def test_closed_by_a_program_nobody_is_asked_and_members_stay_on_disk(viewer, ready, do):
    finished = ready
    do(finished, Step.PHASE)
    assert finished.session.unsaved
    viewer.close()
    assert not finished.is_open
    [left] = found(default_folder())
    assert (left.members_done, left.members_planned, left.pattern_name) == (2, 2, "particle.tif")


def banner_of(controller, viewer, qtbot):
    holder = QWidget()
    banner = RecoveryBanner(controller, found(default_folder()))
    QVBoxLayout(holder).addWidget(banner)
    viewer.window.add_dock_widget(holder)
    qtbot.wait(50)
    return banner


@pytest.fixture(scope="module")
def dead_run(small_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a run whose process died after its first members."""
    folder = tmp_path_factory.mktemp("dead-run")
    script = f"""
import os, time
from dataclasses import replace
from pathlib import Path
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.io import read_acquisition
from napari_subangstrom_cdi.session.recovery import DATA_VARIABLE, default_folder, found
from napari_subangstrom_cdi.session.session import Happening, Session, Step
case = Path({str(small_case)!r})
session = Session(recovery_folder=default_folder())
for role, name in (("pattern", "particle.tif"), ("background", "background.tif"), ("image", "image.mrc")):
    session.set_input(role, case / name)
session.set_plan(replace(session.plan, acquisition=read_acquisition(case / "acquisition.json")))
schedule = (Stage("with image", 20, "hio", ("image", "real", "support")), Stage("refine", 40, "hio", ("support",)))
session.change("retrieval", schedule=schedule)
session.change("ensemble", members=400)
session.start(Step.PHASE)
while sum(event.happening is Happening.MEMBER for event in session.poll()) < 1:
    time.sleep(0.01)
os._exit(9)
"""
    environment = {**os.environ, DATA_VARIABLE: str(folder)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 9, done.stderr
    return folder


@pytest.fixture
def left_behind(dead_run: Path, own_data_folder: Path) -> None:
    shutil.copytree(dead_run, own_data_folder)


def test_a_dead_run_is_found_restored_and_gone_once_saved(left_behind, viewer, controller, qtbot, tmp_path):
    banner = banner_of(controller, viewer, qtbot)
    assert banner.isVisible()
    [run] = banner.runs
    text = banner.findChild(object, "recovery-text").text()
    assert f"{run.members_done} of 400 members" in text and "particle.tif" in text
    qtbot.mouseClick(banner.findChild(object, "recovery-restore"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: controller.session.state(Step.PHASE) is State.DONE)
    assert not banner.isVisible()
    assert controller.session.unsaved
    assert len(controller.session.result.members) == run.members_done
    assert [left.folder for left in found(default_folder())] == [run.folder]
    assert controller.save(tmp_path / "restored.cxi")
    assert found(default_folder()) == []


def test_a_dead_run_can_wait_or_be_discarded_even_if_it_cannot_be_read(
    dead_run, own_data_folder, viewer, controller, qtbot
):
    assert not banner_of(controller, viewer, qtbot).isVisible(), "nothing was left behind"

    shutil.copytree(dead_run, own_data_folder, dirs_exist_ok=True)
    banner = banner_of(controller, viewer, qtbot)
    qtbot.mouseClick(banner.findChild(object, "recovery-later"), Qt.MouseButton.LeftButton)
    assert not banner.isVisible() and len(found(default_folder())) == 1
    again = banner_of(controller, viewer, qtbot)
    qtbot.mouseClick(again.findChild(object, "recovery-discard"), Qt.MouseButton.LeftButton)
    assert not again.isVisible() and found(default_folder()) == []

    shutil.copytree(dead_run, own_data_folder, dirs_exist_ok=True)
    [run] = found(default_folder())
    (run.folder / "recipe.toml").write_text("not = [toml")
    banner = banner_of(controller, viewer, qtbot)
    assert "cannot be restored" in banner.findChild(object, "recovery-text").text()
    assert not banner.findChild(object, "recovery-restore").isEnabled()
    qtbot.mouseClick(banner.findChild(object, "recovery-discard"), Qt.MouseButton.LeftButton)
    assert found(default_folder()) == []


def test_two_windows_each_end_their_own(viewer, watched, make_napari_viewer):
    from napari_subangstrom_cdi.gui.window.controller import Controller

    other_viewer = make_napari_viewer(show=True)
    other = Controller.of(other_viewer)
    adopt_window(main_window(other_viewer), other)
    assert close_by_user(other_viewer)
    assert not other.is_open and watched.is_open
    let_go(other.reciprocal)
