"""The whole path as a user goes it, by menus, mouse and keys: from Open Sample to a project to be repeated headless."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy import API as QT_API
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QMenu

from napari_subangstrom_cdi.gui.window.controller import Controller
from napari_subangstrom_cdi.gui.window.opening import WORKFLOW
from napari_subangstrom_cdi.io.cxi import read_cxi
from napari_subangstrom_cdi.session.session import State, Step

from ..scoring import score
from .conftest import let_go

PLUGIN = "napari-subangstrom-cdi"
TRUTH = Path(__file__).parents[1] / "data" / "platelet" / "truth.npz"
LEFT = Qt.MouseButton.LeftButton
MEMBERS = 2


def choose_in_menu(qtbot: Any, viewer: Any, *path: str) -> None:
    """Click through napari's menu bar."""
    bar = viewer.window._qt_window.menuBar()
    action = named(bar.actions(), path[0])
    qtbot.mouseClick(bar, LEFT, pos=bar.actionGeometry(action).center())
    for name in path[1:]:
        menu: QMenu = action.menu()
        qtbot.waitUntil(menu.isVisible)
        action = named(menu.actions(), name)
        qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(action).center())
    qtbot.wait(50)


def named(actions: list[Any], name: str) -> Any:
    texts = [action.text().replace("&", "") for action in actions]
    assert name in texts, texts
    return actions[texts.index(name)]


def click(qtbot: Any, button: Any) -> None:
    """Click on a button that the user sees, after scrolling to it as they would."""
    parent = button.parentWidget()
    while parent is not None and not hasattr(parent, "ensureWidgetVisible"):
        parent = parent.parentWidget()
    if parent is not None:
        parent.ensureWidgetVisible(button)
    qtbot.waitUntil(lambda: button.isVisible() and button.isEnabled())
    qtbot.mouseClick(button, LEFT, pos=QPoint(button.width() // 2, button.height() // 2))


def do_step(qtbot: Any, workflow: Any, step: Step) -> None:
    """Press a step's button and wait until its badge says that it is done."""
    dock = workflow.steps[step]
    assert not dock.header.is_folded, f"{step}: its turn has come, so it must stand open"
    click(qtbot, dock.button)
    qtbot.waitUntil(lambda: dock.badge.state() in ("done", "failed"))
    assert dock.badge.state() == "done", dock.status.text()
    qtbot.waitUntil(lambda: not dock.session.busy)
    qtbot.wait(100)


def type_members(qtbot: Any, workflow: Any) -> None:
    box = workflow.steps[Step.PHASE].form.editor("members")
    assert box.isVisible()
    box.setFocus()
    box.selectAll()
    qtbot.keyClicks(box, str(MEMBERS))
    qtbot.keyClick(box, Qt.Key.Key_Return)


def type_into_dialog(path: Path) -> None:
    """Type a name into the file dialog when it comes, and press Return."""

    def enter() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QFileDialog):
            QTimer.singleShot(50, enter)
            return
        dialog.findChild(QLineEdit).setText(str(path))
        dialog.accept()

    QTimer.singleShot(50, enter)


def workflow_of(viewer: Any) -> Any:
    return viewer.window._qt_window.findChild(object, "subangstrom-workflow")


def command_line(recipe: Path, out: Path) -> subprocess.Popen[str]:
    words = ["reconstruct", "--recipe", str(recipe), "-o", str(out), "--no-report", "--quiet"]
    command = [sys.executable, "-m", "napari_subangstrom_cdi", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def scored(result: Any) -> Any:
    truth = np.zeros((1024, 1024), np.complex64)
    truth[256:768, 256:768] = np.load(TRUTH)["object"]
    return score(result.object, result.grid.pixel_angstrom, truth, 400 / 1024)


@pytest.fixture
def controllers() -> Any:
    """Those opened by the test, closed at its end."""
    opened: list[Controller] = []
    yield opened
    for controller in opened:
        controller.close()
        let_go(controller.reciprocal)


def test_from_open_sample_to_a_project_that_the_command_line_repeats(
    viewer, make_napari_viewer, controllers, qtbot, tmp_path, picture
):
    viewer.window._qt_window.setAnimated(True)  # as the user has it
    choose_in_menu(qtbot, viewer, "Plugins", "Sub-Å CDI", WORKFLOW)
    qtbot.waitUntil(lambda: workflow_of(viewer) is not None and workflow_of(viewer).isVisible())
    workflow = workflow_of(viewer)
    controllers.append(workflow.controller)
    session = workflow.controller.session
    choose_in_menu(
        qtbot, viewer, "File", "Open Sample", "Sub-Å CDI", "CdS platelet, the three raw records (detector pixels)"
    )
    qtbot.waitUntil(lambda: workflow.steps[Step.DATA].button.isEnabled())
    assert session.state(Step.DATA) is State.READY

    for step in (Step.DATA, Step.BACKGROUND, Step.ALIGN, Step.MASKS):
        do_step(qtbot, workflow, step)
    assert {str(unit) for unit in viewer.layers.units} == {"angstrom"}
    type_members(qtbot, workflow)
    assert session.plan.ensemble.members == MEMBERS
    do_step(qtbot, workflow, Step.PHASE)
    picture(viewer.window._qt_window, "whole-path")
    assert session.unsaved

    project = tmp_path / "platelet.cxi"
    results = workflow.steps[Step.RESULTS]
    type_into_dialog(project)
    click(qtbot, results.button)
    qtbot.waitUntil(lambda: results.badge.state() == "done")
    assert str(project) in results.status.text()
    qtbot.waitUntil(lambda: not session.unsaved)

    saved = read_cxi(project)
    assert len(saved.members) == MEMBERS
    if QT_API == "pyside6":  # the commands know no Qt: the run on PyQt6 repeats its project
        open_again(make_napari_viewer, controllers, qtbot, project)
        assert scored(saved).correlation >= 0.95
        return
    with command_line(project, tmp_path / "again.cxi") as headless:  # while another window opens the project
        open_again(make_napari_viewer, controllers, qtbot, project)
        _, said = headless.communicate(timeout=600)
    assert headless.returncode == 0, said
    repeated = read_cxi(tmp_path / "again.cxi")
    for name in ("object", "members", "deviation", "support", "r_history", "free_r_history"):
        np.testing.assert_array_equal(getattr(saved, name), getattr(repeated, name))
    assert saved.grid == repeated.grid
    both = scored(saved)  # what is the same in each pixel scores the same
    assert both.correlation >= 0.95 and both.resolution_angstrom <= 0.875


def open_again(make_napari_viewer, controllers, qtbot, project):
    """A second window reads the project, and stands as the first one does."""
    session = controllers[0].session
    states = {step: session.state(step) for step in Step}
    second = make_napari_viewer(show=True)
    second.window.resize(1280, 800)
    second.open(project, plugin=PLUGIN)
    qtbot.waitUntil(lambda: workflow_of(second) is not None)
    controllers.append(workflow_of(second).controller)
    opened = controllers[-1].session
    assert opened is not session
    qtbot.waitUntil(lambda: not opened.busy and opened.prepared is not None)
    controllers[-1].poll()
    assert {step: opened.state(step) for step in Step} == states
    assert {step: dock.badge.state() for step, dock in workflow_of(second).steps.items()} == {
        step: state.value for step, state in states.items()
    }
    np.testing.assert_array_equal(opened.result.members, session.result.members)
    np.testing.assert_array_equal(
        controllers[-1].real.layer("real part").data, controllers[0].real.layer("real part").data
    )
