"""Manners of the window: several viewers, deleted and renamed layers, themes, small and large screens, keys, errors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.settings import get_plugin_settings
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QComboBox, QDockWidget, QFileDialog, QLabel, QLineEdit, QListWidget

from napari_subangstrom_cdi.gui.canvas.shortcuts import SHORTCUTS, ShortcutHelp
from napari_subangstrom_cdi.gui.window.controller import Controller
from napari_subangstrom_cdi.gui.window.opening import R_FACTOR, RECIPROCAL, open_workflow
from napari_subangstrom_cdi.gui.window.preferences import PLUGIN, Preferences, remember
from napari_subangstrom_cdi.job.pipeline import run
from napari_subangstrom_cdi.session.session import State, Step

from ..hands import LEFT, main_canvas
from .conftest import let_go
from .questions import Answers

MANY = 400
CTRL_SHIFT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
CTRL_ALT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier


@pytest.fixture
def short_run(ready_run):
    return ready_run


@pytest.fixture
def workflow(viewer: Any, short_run: Any, qtbot: Any) -> Any:
    open_workflow(viewer)
    qtbot.wait(300)
    return workflow_of(viewer)


def workflow_of(viewer: Any) -> Any:
    return viewer.window._qt_window.findChild(object, "subangstrom-workflow")


def press(qtbot: Any, canvas: Any, key: Qt.Key) -> None:
    undoes = key in (Qt.Key.Key_Z, Qt.Key.Key_Y)  # with Ctrl+Shift they are napari's own
    qtbot.keyClick(canvas, key, CTRL_ALT if undoes else CTRL_SHIFT)
    qtbot.wait(20)


def is_running(controller: Any) -> bool:
    live = controller.session.live
    return controller.session.steerable and live is not None and live.progress is not None


# Viewers and layers


def test_two_viewers_run_side_by_side_and_do_not_mix(viewer, short_run, make_napari_viewer, qtbot):
    other_viewer = make_napari_viewer(show=True)
    other = Controller.of(other_viewer)
    try:
        assert other is not short_run and Controller.of(viewer) is short_run
        other.session.set_plan(short_run.session.plan)
        other.change("ensemble", seed=77)
        for controller in (short_run, other):
            controller.run(Step.PHASE)
        qtbot.waitUntil(lambda: not (short_run.session.busy or other.session.busy))
        for controller in (short_run, other):
            controller.poll()
            expected = run(controller.session.plan).reconstruction
            np.testing.assert_array_equal(controller.session.result.object, expected.object)
        assert not np.array_equal(short_run.session.result.object, other.session.result.object)
        for mine, its in ((viewer, short_run), (other_viewer, other)):
            assert its.real.layer("real part") in mine.layers
    finally:
        other.close()
        let_go(other.reciprocal)


def test_closing_the_window_during_a_run_ends_the_thread(viewer, workflow, short_run, qtbot):
    short_run.change(
        "retrieval", schedule=tuple(replace(stage, iterations=9000) for stage in short_run.session.schedule)
    )
    short_run.run(Step.PHASE)
    qtbot.waitUntil(lambda: is_running(short_run))
    viewer.window._qt_window.close()
    assert not short_run.session.busy and not short_run.is_open
    viewer.close()


def test_a_deleted_input_is_said_and_stays_in_use(viewer, workflow, controller, small_case, qtbot, do):
    [layer] = viewer.open(small_case / "image.mrc", plugin=PLUGIN)
    controller.set_input("image", layer)
    do(controller, Step.MASKS)
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: "deleted" in workflow.message.text())
    assert "image" in workflow.message.text()
    controller.change("image", potential="weak-phase")
    do(controller, Step.PHASE)


def test_units_and_scale_bars_after_the_data_step(viewer, workflow, controller, small_case, qtbot, do):
    records = (("particle.tif", "napari"), ("background.tif", "napari"), ("image.mrc", PLUGIN))
    layers = [viewer.open(small_case / name, plugin=plugin)[0] for name, plugin in records]
    for role, layer in zip(("pattern", "background", "image"), layers, strict=True):
        controller.set_input(role, layer)
    do(controller, Step.DATA)
    qtbot.waitUntil(lambda: layers[0] in controller.reciprocal.model.layers and layers[0] not in viewer.layers)
    qtbot.waitUntil(lambda: layers[1] in controller.reciprocal.model.layers and layers[1] not in viewer.layers)
    qtbot.wait(100)
    assert layers[2] in viewer.layers
    for step in (None, Step.ALIGN, Step.PHASE):
        if step is not None:
            do(controller, step)
            qtbot.wait(50)
        assert {str(unit) for layer in viewer.layers for unit in layer.units} == {"angstrom"}
        assert {str(unit) for layer in controller.reciprocal.model.layers for unit in layer.units} == {"1 / angstrom"}
        assert {layer.axis_labels for layer in viewer.layers} == {("y", "x")}
        assert {str(unit) for unit in viewer.layers.units} == {"angstrom"}
    assert viewer.canvas.overlays.scale_bar.visible


# Looks


def test_a_window_after_a_run(viewer, workflow, short_run, do, qtbot, picture):
    """One window and one run for what needs no other: they are what takes the time."""
    for step in (Step.DATA, Step.BACKGROUND, Step.ALIGN, Step.MASKS):
        short_run.presenter.show(step)
    do(short_run, Step.PHASE)
    themes_are_followed_everywhere(viewer, workflow, short_run, qtbot, picture)
    every_dock_fits_a_small_window(viewer, workflow, qtbot)
    renamed_and_moved_layers_are_still_the_same(viewer, short_run, qtbot, do)
    a_layer_of_the_plugin_that_is_deleted_is_said_and_comes_back(viewer, workflow, short_run, qtbot, do)


def themes_are_followed_everywhere(viewer, workflow, short_run, qtbot, picture):
    light = {}
    for theme in ("light", "dark", "light", "dark"):
        viewer.theme = theme
        qtbot.wait(150)
        picture(viewer.window._qt_window, f"manners-{theme}")
        assert short_run.reciprocal.model.theme == theme
        grey = (
            workflow.grab()
            .toImage()
            .scaled(1, 1, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)
            .pixelColor(0, 0)
        )
        light[theme] = grey.lightness()
    assert light["light"] > 150 > 100 > light["dark"]


def every_dock_fits_a_small_window(viewer, workflow, qtbot):
    assert viewer.window._qt_window.width() == 1280 and viewer.window._qt_window.height() == 800
    for step, dock in workflow.steps.items():
        workflow.open_only(step)
        for fold in dock.findChildren(object, "advanced_button"):
            qtbot.mouseClick(fold, LEFT)
        qtbot.wait(50)
        assert workflow._scroll.horizontalScrollBar().maximum() == 0, step
        assert dock.minimumSizeHint().width() <= workflow._scroll.viewport().width(), step
    assert viewer.window._qt_window.width() == 1280
    docks = {d for d in viewer.window._qt_window.findChildren(QDockWidget) if d.isVisible() and is_ours(d)}
    assert len(docks) == 3
    whole = viewer.window._qt_window.rect()
    for dock in docks:
        assert whole.contains(dock.geometry()), dock.objectName()


def a_layer_of_the_plugin_that_is_deleted_is_said_and_comes_back(viewer, workflow, short_run, qtbot, do):
    viewer.layers.remove(short_run.real.layer("support"))
    qtbot.waitUntil(lambda: "support" in workflow.message.text() and "deleted" in workflow.message.text())
    short_run.reciprocal.model.layers.clear()
    qtbot.wait(50)
    short_run.change("ensemble", seed=5)
    do(short_run, Step.PHASE)
    assert short_run.real.layer("support") in viewer.layers
    assert short_run.reciprocal.layer("pattern") in short_run.reciprocal.model.layers


def renamed_and_moved_layers_are_still_the_same(viewer, short_run, qtbot, do):
    canvases = (viewer, short_run.reciprocal.model)
    known = [list(canvas.layers) for canvas in canvases]
    for layers in known:
        for layer in layers:
            layer.name = "real part"
    for canvas in canvases:
        canvas.layers.reverse()
        canvas.layers.selection.clear()
    named = short_run.real.layer("real part")
    before = np.array(named.data)
    short_run.change("ensemble", seed=4)
    do(short_run, Step.PHASE)
    qtbot.wait(50)
    assert [set(canvas.layers) for canvas in canvases] == [set(layers) for layers in known]
    assert short_run.real.layer("real part") is named and not np.array_equal(named.data, before)


def is_ours(dock: QDockWidget) -> bool:
    return any(dock.objectName().startswith(name) for name in ("Sub-Å CDI", RECIPROCAL, R_FACTOR))


_LARGE = """
import napari
from napari.qt import get_qapp
from qtpy.QtCore import QTimer
from qtpy.QtTest import QTest
from napari_subangstrom_cdi.gui.window.opening import open_workflow

app = get_qapp()
viewer = napari.Viewer(show=True)
window = viewer.window._qt_window
window.resize(1920, 1080)
controller = open_workflow(viewer)
QTest.qWait(800)
workflow = window.findChild(object, "subangstrom-workflow")
for step in workflow.steps:
    workflow.open_only(step)
    QTest.qWait(50)
    assert workflow._scroll.horizontalScrollBar().maximum() == 0, step
picture = window.grab()
print("RATIO", window.devicePixelRatio(), picture.width(), picture.height(), window.width(), window.height())
canvas = controller.reciprocal.qt_viewer.canvas.native
print("CANVAS", canvas.devicePixelRatio(), canvas.width() > 200)
QTimer.singleShot(0, viewer.close)
napari.run()
assert not controller.is_open
"""


@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="needs a second display")
def test_a_screen_of_four_thousand_pixels():
    """Twice as many pixels to the point: everything is as large as before, and sharper."""
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    environment |= {"QT_SCALE_FACTOR": "2"}
    display = ["xvfb-run", "-a", "-s", "-screen 0 3840x2160x24"]
    done = subprocess.run(
        [*display, sys.executable, "-c", _LARGE], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "RATIO 2.0 3840 2160 1920 1080" in done.stdout
    assert "CANVAS 2.0 True" in done.stdout


# Keys and preferences


def test_keys_work_on_both_canvases(viewer, workflow, short_run, qtbot):
    keys_do_what_they_say(main_canvas(viewer), short_run, qtbot, grown_angstrom=0.5)
    keys_do_what_they_say(short_run.reciprocal.qt_viewer.canvas.native, short_run, qtbot, grown_angstrom=0.7)


def keys_do_what_they_say(canvas, short_run, qtbot, grown_angstrom):
    """With a support that is grown, so that the masks are the next step."""
    session = short_run.session
    known = session.plan
    short_run.change("support", grow_angstrom=known.support.grow_angstrom + grown_angstrom)
    press(qtbot, canvas, Qt.Key.Key_N)
    qtbot.waitUntil(lambda: session.state(Step.MASKS) is State.DONE and not session.busy)
    support = short_run.real.layer("support")
    shown = support.visible
    press(qtbot, canvas, Qt.Key.Key_M)
    assert support.visible is not shown

    short_run.change("ensemble", members=MANY)
    with Answers(*["Discard"] * session.unsaved) as answers:
        press(qtbot, canvas, Qt.Key.Key_R)
    assert len(answers.asked) == (session.result is not None), "what the canvas before has left is not saved"
    qtbot.waitUntil(lambda: is_running(short_run))
    press(qtbot, canvas, Qt.Key.Key_R)
    assert session.paused
    qtbot.wait(100)
    before = session.live.progress
    press(qtbot, canvas, Qt.Key.Key_I)
    qtbot.waitUntil(lambda: session.live.progress != before)
    after = session.live.progress
    assert (after.member - before.member) * after.iterations + after.iteration - before.iteration == 1
    press(qtbot, canvas, Qt.Key.Key_R)
    assert not session.paused
    press(qtbot, canvas, Qt.Key.Key_X)
    qtbot.waitUntil(lambda: not session.busy)

    press(qtbot, canvas, Qt.Key.Key_Z)
    assert session.plan.ensemble.members == 2
    press(qtbot, canvas, Qt.Key.Key_Y)
    assert session.plan.ensemble.members == MANY
    session.set_plan(known)


def test_a_window_at_rest(viewer, workflow, short_run, small_case, tmp_path, qtbot):
    """One window for what needs no run of its own."""
    keys_are_listed_in_the_help(workflow, qtbot)
    settings_are_remembered_and_stand_in_preferences(viewer, workflow, qtbot)
    a_wrong_file_gives_a_sentence_in_the_dock(workflow, short_run, small_case, tmp_path, qtbot)


def keys_are_listed_in_the_help(workflow, qtbot):
    qtbot.mouseClick(workflow.help_button, LEFT)
    [help_window] = [w for w in QApplication.topLevelWidgets() if isinstance(w, ShortcutHelp) and w.isVisible()]
    texts = [label.text() for label in help_window.findChildren(QLabel)]
    for shortcut in SHORTCUTS:
        assert shortcut.does in texts
        assert shortcut.keys.replace("Control", "Ctrl").replace("-", "+") in texts
    help_window.close()


def settings_are_remembered_and_stand_in_preferences(viewer, workflow, qtbot):
    phase = workflow.steps[Step.PHASE]
    workflow.open_only(Step.PHASE)
    qtbot.mouseClick(phase.form.findChild(object, "advanced_button"), LEFT)
    qtbot.mouseClick(phase.form.findChild(object, "frames_per_second_auto"), LEFT)
    box = phase.form.editor("frames_per_second")
    box.setFocus()
    box.selectAll()
    qtbot.keyClicks(box, "7")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert get_plugin_settings(PLUGIN).window.frames_per_second == 7
    assert Preferences.read().frames_per_second == 7
    pages: list[str] = []

    def look() -> None:
        for dialog in QApplication.topLevelWidgets():
            if type(dialog).__name__ == "PreferencesDialog":
                [names] = dialog.findChildren(QListWidget)[:1]
                pages.extend(names.item(k).text() for k in range(names.count()))
                dialog.reject()

    QTimer.singleShot(1500, look)
    viewer.window._open_preferences_dialog()
    qtbot.waitUntil(lambda: bool(pages))
    assert any("Sub-Å" in page or PLUGIN in page for page in pages), pages


def test_preferences_reach_an_open_window_and_new_jobs(viewer, workflow, short_run, make_napari_viewer, qtbot):
    kept = get_plugin_settings(PLUGIN).window
    kept.members, kept.preset, kept.autosave, kept.frames_per_second = 7, "paper", False, 3.0
    assert short_run.preferences == Preferences(3.0, False, "paper", 7)
    assert short_run.session.recovery_folder is None
    assert workflow.steps[Step.PHASE].form.values()["frames_per_second"] == 3.0
    assert short_run.session.plan.ensemble.members == 2, "a job that was begun stays as it is"
    remember("frames_per_second", 5.0)
    assert (kept.members, kept.preset, kept.frames_per_second) == (7, "paper", 5.0)
    other = Controller.of(make_napari_viewer(show=False))
    try:
        plan = other.session.plan
        assert (plan.ensemble.members, plan.retrieval.preset, plan.image.potential) == (7, "paper", "weak-phase")
        assert not other.session.can_undo
    finally:
        other.close()
        let_go(other.reciprocal)


# Errors


def a_wrong_file_gives_a_sentence_in_the_dock(workflow, short_run, small_case, tmp_path, qtbot):
    good = (small_case / "particle.tif").read_bytes()
    workflow.open_only(Step.DATA)
    for name, content in (("text", b"nothing but text\n" * 99), ("truncated", good[:5000]), ("empty", b"")):
        wrong = tmp_path / f"{name}.tif"
        wrong.write_bytes(content)
        choose_a_wrong_file(qtbot, workflow.steps[Step.DATA], short_run, wrong)


def choose_a_wrong_file(qtbot: Any, data: Any, short_run: Any, wrong: Path) -> None:
    qtbot.mouseClick(data.rows["pattern"].browse, LEFT)
    qtbot.waitUntil(lambda: isinstance(QApplication.activeModalWidget(), QFileDialog))
    dialog = QApplication.activeModalWidget()
    dialog.findChild(QLineEdit).setText(str(wrong))
    dialog.accept()
    qtbot.wait(100)
    assert wrong.name in data.findChild(QComboBox, "input-pattern").currentText() or "particle.tif" in str(
        short_run.session.plan.inputs.pattern
    )
    if data.button.isEnabled() and short_run.session.plan.inputs.pattern == str(wrong):
        qtbot.mouseClick(data.button, LEFT)
        qtbot.waitUntil(lambda: data.badge.state() == "failed")
        said = data.status.text()
    else:
        said = data.rows["pattern"].note.text()
    assert wrong.name in said or str(wrong) in said
    assert "Traceback" not in said and "unexpected" not in said
    assert QApplication.activeModalWidget() is None
    assert not short_run.session.busy


KINDS = (RuntimeError, OSError, RecursionError, StopIteration, AssertionError, SystemExit, KeyboardInterrupt)


def test_errors_of_every_kind_reach_the_status_line(workflow, short_run, do, qtbot, monkeypatch):
    phase = workflow.steps[Step.PHASE]
    for kind in KINDS:

        def fail(*arguments: Any, kind: type[BaseException] = kind, **options: Any) -> None:
            raise kind("out of luck")

        with monkeypatch.context() as patch:
            for name in ("fft2", "rfft2", "fft", "ifft2"):
                patch.setattr(f"scipy.fft.{name}", fail)
            qtbot.mouseClick(workflow.next_button, LEFT)
            qtbot.waitUntil(lambda kind=kind: kind.__name__ in phase.status.text())
        # Python itself makes another error of a StopIteration that leaves a generator
        assert kind is StopIteration or "out of luck" in phase.status.text()
        assert phase.status.level() == "error"
        assert phase.badge.state() == "failed" and not phase.header.is_folded
        qtbot.waitUntil(lambda: not short_run.session.busy)
        assert short_run.session.state(Step.PHASE) is State.FAILED
    do(short_run, Step.PHASE)
    assert not phase.status.text().startswith("unexpected")
