"""200 random actions of an impatient user, by events of mouse and keys: nothing breaks, nothing is left running."""

from __future__ import annotations

import os
import random
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels, Layer
from qtpy.compat import isalive
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QDockWidget,
    QDoubleSpinBox,
    QFileDialog,
    QLineEdit,
    QMessageBox,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.gui.canvas.real_view import SUPPORT
from napari_subangstrom_cdi.gui.canvas.reciprocal_view import PAINTED
from napari_subangstrom_cdi.gui.window.opening import R_FACTOR, RECIPROCAL, open_dock, open_workflow
from napari_subangstrom_cdi.gui.window.preferences import PLUGIN
from napari_subangstrom_cdi.io import read_acquisition
from napari_subangstrom_cdi.session.session import State, Step

from ..hands import LEFT, SliderDrag, handle_at, main_canvas, stroke

SEED = int(os.environ.get("SUBANGSTROM_SOAK_SEED", "20090129"))
ACTIONS = 200
LARGEST_NUMBER = 400.0  # typed into a field: more is asked of the machine, not of the window
GROWTH_MB = 500
SHORT = (Stage("with image", 20, "hio", ("image", "real", "support")), Stage("refine", 40, "hio", ("real", "support")))


class Dialogs:
    """Answers each dialog that comes up, somehow."""

    def __init__(self, chance: random.Random, folder: Path) -> None:
        self._chance, self._folder = chance, folder
        self._timer = QTimer()
        self._timer.timeout.connect(self._answer)
        self._timer.start(40)

    def stop(self) -> None:
        self._timer.stop()

    def _answer(self) -> None:
        popup = QApplication.activePopupWidget()
        if popup is not None:
            popup.close()
            return
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QFileDialog):
            self._answer_files(dialog)
        elif isinstance(dialog, QMessageBox):
            self._chance.choice(dialog.buttons()).click()
        elif isinstance(dialog, QDialog):
            dialog.reject()

    def _answer_files(self, dialog: QFileDialog) -> None:
        there = sorted(self._folder.iterdir())
        saves = dialog.acceptMode() is QFileDialog.AcceptMode.AcceptSave
        if self._chance.random() < 0.3 or not (saves or there):
            dialog.reject()
            return
        name = self._folder / f"file{self._chance.randrange(4)}" if saves else self._chance.choice(there)
        dialog.findChild(QLineEdit).setText(str(name))
        dialog.accept()


class User:
    """Does what comes to mind."""

    def __init__(self, controller: Any, case: Path, folder: Path, qtbot: Any) -> None:
        self.controller, self.case, self.folder, self.qtbot = controller, case, folder, qtbot
        self.viewer = controller.viewer
        self.window = self.viewer.window._qt_window
        self.chance = random.Random(SEED)
        self.count: Counter[str] = Counter()
        self.actions: dict[Callable[[], str | None], int] = {
            self.press_a_button: 24,
            self.change_a_field: 22,
            self.drag_a_slider: 10,
            self.choose_in_a_list: 8,
            self.tick_a_box: 6,
            self.paint_support: 10,
            self.paint_regions: 8,
            self.run_or_pause: 14,
            self.one_iteration: 6,
            self.stop: 5,
            self.do_a_step: 18,
            self.choose_inputs: 12,
            self.undo_or_redo: 10,
            self.wait: 8,
            self.fold_a_step: 8,
            self.delete_a_layer: 4,
            self.rename_a_layer: 4,
            self.move_a_layer: 4,
            self.show_or_hide_a_layer: 5,
            self.duplicate_a_layer: 2,
            self.undo_in_napari: 5,
            self.change_theme: 2,
            self.switch_dimensions: 2,
            self.close_or_open_a_dock: 5,
            self.add_layers: 3,
            self.save: 4,
            self.load: 3,
            self.resize: 2,
        }

    def act(self) -> None:
        """One action that can be done now."""
        while True:
            [action] = self.chance.choices(list(self.actions), list(self.actions.values()))
            print(action.__name__, end="", flush=True)  # seen with -s even where the process itself ends
            done = action()
            print("," if done is None else f": {done}")
            if done is not None:
                self.count[action.__name__] += 1
                return

    # Widgets of the docks

    def seen(self, kind: type[QWidget]) -> list[Any]:
        """Widgets of a kind in the plugin's docks that can be used now."""
        docks = [dock for dock in self.docks() if dock.isVisible()]
        found = [widget for dock in docks for widget in dock.findChildren(kind)]
        return [widget for widget in found if widget.isVisible() and widget.isEnabled() and widget.width() > 1]

    def docks(self) -> list[QDockWidget]:
        return [
            dock
            for dock in self.window.findChildren(QDockWidget)
            if PLUGIN in dock.objectName() or "Sub-Å" in dock.objectName()
        ]

    def press_a_button(self) -> str | None:
        buttons = [button for button in self.seen(QAbstractButton) if not isinstance(button, QCheckBox)]
        if not buttons:
            return None
        button = self.chance.choice(buttons)
        text = button.objectName() or button.text() or button.toolTip()
        dock = next(dock for dock in self.docks() if button in dock.findChildren(QAbstractButton)).objectName()
        self.qtbot.mouseClick(button, LEFT, pos=QPoint(button.width() // 2, button.height() // 2))
        return f"{text} in {dock}"

    def change_a_field(self) -> str | None:
        boxes = [*self.seen(QSpinBox), *self.seen(QDoubleSpinBox)]
        if not boxes:
            return None
        box = self.chance.choice(boxes)
        low, high = max(-LARGEST_NUMBER, box.minimum()), min(LARGEST_NUMBER, box.maximum())
        value = self.chance.uniform(low, high)
        text = str(round(value)) if isinstance(box, QSpinBox) else f"{value:.3g}"
        name = f"{box.objectName()} = {text}"
        box.setFocus()
        box.selectAll()
        self.qtbot.keyClicks(box, text)
        self.qtbot.keyClick(box, Qt.Key.Key_Return)
        return name

    def drag_a_slider(self) -> str | None:
        sliders = [slider for slider in self.seen(QSlider) if slider.rect().contains(handle_at(slider))]
        if not sliders:
            return None
        slider, way = self.chance.choice(sliders), self.chance.randint(-40, 40)
        with SliderDrag(self.qtbot, slider) as drag:
            drag.by(way)
        return f"{slider.objectName()} by {way}"

    def choose_in_a_list(self) -> str | None:
        boxes = [box for box in self.seen(QComboBox) if box.count() > 1]
        if not boxes:
            return None
        box = self.chance.choice(boxes)
        name = box.objectName()
        box.setFocus()
        self.qtbot.keyClick(box, self.chance.choice([Qt.Key.Key_Down, Qt.Key.Key_Up]))
        return f"{name} -> {box.currentText()}" if isalive(box) else name

    def tick_a_box(self) -> str | None:
        boxes = self.seen(QCheckBox)
        if not boxes:
            return None
        box = self.chance.choice(boxes)
        self.qtbot.mouseClick(box, LEFT, pos=QPoint(8, box.height() // 2))
        return box.objectName() or box.text()

    def fold_a_step(self) -> str | None:
        workflow = self.workflow()
        if workflow is None:
            return None
        step = self.chance.choice(list(Step))
        self.qtbot.mouseClick(workflow.steps[step].header, LEFT)
        return str(step)

    def workflow(self) -> Any:
        found = self.window.findChild(QWidget, "subangstrom-workflow")
        return found if found is not None and found.isVisible() else None

    # The canvases

    def paint_support(self) -> str | None:
        return self._paint(self.viewer, main_canvas(self.viewer), self.controller.real.layer(SUPPORT))

    def paint_regions(self) -> str | None:
        view = self.controller.reciprocal
        return self._paint(view.model, view.qt_viewer.canvas.native, view.layer(PAINTED))

    def _paint(self, model: Any, canvas: Any, layer: Labels | None) -> str | None:
        if layer is None or not canvas.isVisible() or not layer.visible:
            return None
        model.layers.selection.active = layer
        layer.mode = self.chance.choice(["paint", "erase", "polygon", "fill"])
        layer.brush_size = self.chance.choice([3, 20])
        (top, left), (bottom, right) = layer.extent.world
        y, x = ([self.chance.uniform(0.3, 0.7) for _ in range(4)] for _ in "yx")
        places = [(top + a * (bottom - top), left + b * (right - left)) for a, b in zip(y, x, strict=True)]
        stroke(self.qtbot, model, canvas, *places)
        if self.chance.random() < 0.5:
            layer.mode = "pan_zoom"
        return f"{layer.name}, {layer.mode}"

    def undo_in_napari(self) -> str | None:
        model, canvas = self.chance.choice(self._canvases())
        if not isinstance(model.layers.selection.active, Labels) or not canvas.isVisible():
            return None
        key = self.chance.choice(["undo", "undo", "redo"])
        modifier = Qt.KeyboardModifier.ControlModifier
        if key == "redo":
            modifier |= Qt.KeyboardModifier.ShiftModifier
        self.qtbot.keyClick(canvas, Qt.Key.Key_Z, modifier)
        return f"{key} in {model.layers.selection.active}"

    def switch_dimensions(self) -> str:
        model, _ = self.chance.choice(self._canvases())
        model.dims.ndisplay = 3
        self.qtbot.wait(50)
        model.dims.ndisplay = 2  # drawn by software, a turn in three dimensions takes seconds
        return f"{model.title}: there and back"

    def _canvases(self) -> list[tuple[Any, Any]]:
        view = self.controller.reciprocal
        return [(self.viewer, main_canvas(self.viewer)), (view.model, view.qt_viewer.canvas.native)]

    # The job

    def _key(self, key: Qt.Key) -> None:
        _, canvas = self.chance.choice(self._canvases())
        undoes = key in (Qt.Key.Key_Z, Qt.Key.Key_Y)
        second = Qt.KeyboardModifier.AltModifier if undoes else Qt.KeyboardModifier.ShiftModifier
        self.qtbot.keyClick(canvas, key, Qt.KeyboardModifier.ControlModifier | second)

    def run_or_pause(self) -> str:
        self._key(Qt.Key.Key_R)
        return str(self.controller.session.state(Step.PHASE))

    def one_iteration(self) -> str:
        self._key(Qt.Key.Key_I)
        return str(self.controller.session.state(Step.PHASE))

    def stop(self) -> str:
        self._key(Qt.Key.Key_X)
        return f"stopping: {self.controller.session.stopping}"

    def undo_or_redo(self) -> str:
        key = self.chance.choice([Qt.Key.Key_Z, Qt.Key.Key_Y])
        self._key(key)
        return key.name

    def do_a_step(self) -> str:
        self._key(Qt.Key.Key_N)
        for _ in range(40):
            self.qtbot.wait(25)
            if not self.controller.session.busy:
                break
        return str(self.states())

    def choose_inputs(self) -> str | None:
        """Take the small case where something was chosen away; a short run, mostly."""
        plan, case = self.controller.session.plan, self.case
        if self.controller.session.state(Step.DATA) in (State.DONE, State.RUNNING) and self.chance.random() < 0.8:
            return None
        for role, name in (("pattern", "particle.tif"), ("background", "background.tif"), ("image", "image.mrc")):
            self.controller.set_input(role, case / name)
        whole = replace(self.controller.session.plan, acquisition=read_acquisition(case / "acquisition.json"))
        whole = replace(whole, inputs=replace(whole.inputs, support=None, mask=None))
        self.controller.session.set_plan(whole)
        self.controller.change("pattern", **{f.name: f.default for f in fields(plan.pattern)})
        self.controller.change("image", **{f.name: f.default for f in fields(plan.image)})
        self.controller.change("retrieval", schedule=SHORT)
        self.controller.change("ensemble", members=self.chance.choice([1, 2, 300]))
        return "the small case"

    def states(self) -> dict[str, str]:
        return {step.value: self.controller.session.state(step).value for step in Step}

    def wait(self) -> str:
        time_ms = self.chance.choice([20, 200, 800])
        self.qtbot.wait(time_ms)
        return f"{time_ms} ms"

    # Layers, windows, files

    def _a_layer(self) -> tuple[Any, Layer] | None:
        model, _ = self.chance.choice(self._canvases())
        return (model, self.chance.choice(list(model.layers))) if model.layers else None

    def delete_a_layer(self) -> str | None:
        found = self._a_layer()
        if found is None:
            return None
        model, layer = found
        if model is self.viewer:
            model.layers.selection.active = layer
            self.qtbot.mouseClick(self.viewer.window._qt_viewer.layerButtons.deleteButton, LEFT)
        else:  # the second canvas has no list of layers
            model.layers.remove(layer)
        self.qtbot.wait(30)
        return f"{layer.name} in {model.title}"

    def rename_a_layer(self) -> str | None:
        found = self._a_layer()
        if found is None:
            return None
        before = found[1].name
        found[1].name = self.chance.choice(["support", "Å", "real part", "x" * 200, ""])
        return f"{before} -> {found[1].name}"

    def move_a_layer(self) -> str | None:
        found = self._a_layer()
        if found is None:
            return None
        layers = found[0].layers
        a, b = self.chance.randrange(len(layers)), self.chance.randrange(len(layers) + 1)
        layers.move(a, b)
        return f"{a} to {b}"

    def show_or_hide_a_layer(self) -> str | None:
        found = self._a_layer()
        if found is None:
            return None
        found[1].visible = not found[1].visible
        return f"{found[1].name} {found[1].visible}"

    def duplicate_a_layer(self) -> str | None:
        found = self._a_layer()
        if found is None or len(found[0].layers) > 25:
            return None
        data, options, kind = found[1].as_layer_data_tuple()
        found[0].layers.append(Layer.create(np.copy(data), {**options, "name": "a copy"}, kind))
        self.qtbot.wait(30)
        return f"{found[1].name} in {found[0].title}"

    def change_theme(self) -> str:
        self.viewer.theme = "light" if self.viewer.theme == "dark" else "dark"
        self.qtbot.wait(50)
        return str(self.viewer.theme)

    def close_or_open_a_dock(self) -> str:
        name = self.chance.choice(["Sub-Å CDI", "Data", "Masks", "Phase", RECIPROCAL, R_FACTOR])
        visible = [dock for dock in self.docks() if dock.isVisible() and dock.objectName().startswith(name)]
        if visible:
            visible[0].close()
        else:
            open_dock(self.viewer, name)
        self.qtbot.wait(80)
        return f"{name} {'closed' if visible else 'opened'}"

    def add_layers(self) -> str | None:
        if len(self.viewer.layers) > 25:
            return None
        name = self.chance.choice(["particle.tif", "background.tif", "image.mrc"])
        self.viewer.open(self.case / name, plugin=PLUGIN if name.endswith("mrc") else "napari")
        self.qtbot.wait(30)
        return name

    def save(self) -> str:
        path = self.folder / f"saved{self.chance.randrange(3)}.cxi"
        return f"{path.name} {self.controller.save(path)}"

    def load(self) -> str | None:
        there = sorted(self.folder.glob("*.cxi"))
        if not there:
            return None
        path = self.chance.choice(there)
        return f"{path.name} {self.controller.load(path)}"

    def resize(self) -> str:
        width, height = self.chance.randint(900, 1590), self.chance.randint(600, 990)
        self.window.resize(width, height)
        return f"{width} × {height}"


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def assert_coherent(user: User) -> None:
    """What must hold whatever was done."""
    controller, session = user.controller, user.controller.session
    assert not session.traceback, session.traceback
    states = {step: session.state(step) for step in Step}
    running = [step for step, state in states.items() if state is State.RUNNING]
    assert len(running) <= 1
    if not session.busy:
        controller.poll()
        assert not running and not session.paused and not session.stopping and not session.steerable
    assert (states[Step.RESULTS] is State.TODO) == (session.result is None)
    for step in (Step.DATA, Step.BACKGROUND, Step.ALIGN, Step.MASKS):
        assert states[step] is not State.DONE or session.output(step) is not None or step is Step.ALIGN
    for canvas in (controller.real._layers, controller.reciprocal._layers.set):
        for role, layer in canvas._layers.items():
            assert layer in canvas._model.layers, role


def assert_shown_as_it_is(user: User) -> None:
    """Badges and buttons of a window at rest."""
    session, workflow = user.controller.session, user.workflow()
    user.controller.poll()
    if workflow is not None and not session.busy:
        shown = {step.value: dock.badge.state() for step, dock in workflow.steps.items()}
        assert shown == user.states()
        assert workflow.next_button.isEnabled() and not workflow.stop_button.isEnabled()


@pytest.fixture
def user(viewer: Any, short_run: Any, small_case: Path, tmp_path: Path, qtbot: Any) -> Any:
    open_workflow(viewer)
    qtbot.wait(300)
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "broken.cxi").write_text("nothing but text")
    user = User(short_run, small_case, folder, qtbot)
    dialogs = Dialogs(random.Random(SEED), folder)
    yield user
    dialogs.stop()
    user.__dict__.clear()  # pytest holds what a fixture gave until after napari has looked for windows left over


def close_during_a_run(user: User, qtbot: Any) -> None:
    """As a user does, whatever the answers to the questions that are asked on the way."""
    user.choose_inputs()
    user.controller.run(Step.PHASE)
    qtbot.wait(500)
    for _ in range(40):
        user.window.close()
        if not user.window.isVisible():
            break
        qtbot.wait(50)
    assert not user.window.isVisible() and not user.controller.is_open
    assert not user.controller.session.busy
    user.viewer.close()


def test_two_hundred_random_actions(user: User, qtbot: Any) -> None:
    print(f"seed {SEED}")
    try:
        soak(user, qtbot)
    finally:
        user.controller.session.stop()
        user.controller.session.wait()
    print(dict(user.count))


def soak(user: User, qtbot: Any) -> None:
    memory = 0.0
    for number in range(ACTIONS):
        with qtbot.capture_exceptions() as exceptions:
            user.act()
            qtbot.wait(user.chance.choice([0, 10, 60]))
        assert not exceptions, "".join(line for error in exceptions for line in traceback.format_exception(*error))
        assert_coherent(user)
        if number == ACTIONS // 4:
            memory = resident_mb()
    user.controller.stop()
    qtbot.waitUntil(lambda: not user.controller.session.busy)
    qtbot.wait(200)
    assert_shown_as_it_is(user)
    assert resident_mb() - memory < GROWTH_MB
    assert len(user.count) >= 20, user.count
    close_during_a_run(user, qtbot)
