"""Hands for the tests: sliders, strokes and drags by events of the mouse, as Qt sends them."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QCheckBox, QComboBox, QDoubleSpinBox, QSlider, QStyle, QStyleOptionSlider

from napari_subangstrom_cdi.session.session import Session, State, Step

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def take_over(controller: Any, done: Session, *steps: Step, shown: Container[Step] = tuple(Step)) -> None:
    """Let a window's session have what another did with the same settings, and show it: a test saves that time."""
    session = controller.session
    session.set_plan(done.plan)
    session.adopt_outputs(done, *steps)
    for step in steps:
        assert session.state(step) is State.DONE
        if step in shown:
            controller.presenter.show(step)
    controller.poll()


def handle_at(slider: QSlider) -> QPoint:
    """Middle of a slider's handle."""
    option = QStyleOptionSlider()
    slider.initStyleOption(option)
    part = QStyle.SubControl.SC_SliderHandle
    return slider.style().subControlRect(QStyle.ComplexControl.CC_Slider, option, part, slider).center()


class SliderDrag:
    """Hold a slider and move it; let go at the end of the block."""

    def __init__(self, qtbot: Any, slider: QSlider) -> None:
        self.qtbot, self.slider = qtbot, slider

    def __enter__(self) -> SliderDrag:
        self.place = handle_at(self.slider)
        self.qtbot.mousePress(self.slider, LEFT, pos=self.place)
        assert self.slider.isSliderDown()
        return self

    def by(self, pixels: int) -> None:
        """Move by so many pixels of the screen."""
        for _ in range(abs(pixels)):
            self.place += QPoint(1 if pixels > 0 else -1, 0)
            move(self.slider, self.place, held=LEFT)
        self.qtbot.wait(20)

    def __exit__(self, *_: object) -> None:
        self.qtbot.mouseRelease(self.slider, LEFT, pos=self.place)
        self.qtbot.wait(20)


def tick(qtbot: Any, box: QCheckBox) -> None:
    """Click on a box, not on the empty place beside its text."""
    was = box.isChecked()
    qtbot.mouseClick(box, LEFT, pos=QPoint(10, box.height() // 2))
    assert box.isChecked() is not was


def type_into(qtbot: Any, box: QDoubleSpinBox, text: str) -> None:
    """Type a number and press Return."""
    box.setFocus()
    box.selectAll()
    qtbot.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Return)


def choose(qtbot: Any, box: QComboBox, text: str) -> None:
    """Choose an entry by keys."""
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Home)
    for _ in range(box.findText(text)):
        qtbot.keyClick(box, Qt.Key.Key_Down)
    assert box.currentText() == text


def main_canvas(viewer: Any) -> Any:
    """The native widget of the main canvas."""
    return viewer.window._qt_viewer.canvas.native


def place_in(model: Any, canvas: Any, y: float, x: float) -> QPoint:
    """Canvas pixel of a place in the canvas's world."""
    camera = model.scene.camera
    middle_y, middle_x = camera.center[-2:]
    return QPoint(
        round(canvas.width() / 2 + (x - middle_x) * camera.zoom),
        round(canvas.height() / 2 + (y - middle_y) * camera.zoom),
    )


def move(widget: Any, point: QPoint, *, held: Qt.MouseButton = Qt.MouseButton.NoButton, modifier: Any = NONE) -> None:
    """Move the mouse; unlike qtbot's, with buttons and keys held."""
    where = QPointF(point)
    event = QMouseEvent(QMouseEvent.Type.MouseMove, where, widget.mapToGlobal(where), held, held, modifier)
    QApplication.sendEvent(widget, event)


def stroke(
    qtbot: Any, model: Any, canvas: Any, *places: tuple[float, float], modifier: Any = NONE, let_go: bool = True
) -> None:
    """Drag the left button through places of the world."""
    points = [place_in(model, canvas, *place) for place in places]
    move(canvas, points[0], modifier=modifier)
    qtbot.wait(20)
    qtbot.mousePress(canvas, LEFT, modifier, points[0])
    for point in points[1:]:
        move(canvas, point, held=LEFT, modifier=modifier)
        qtbot.wait(20)
    if let_go:
        qtbot.mouseRelease(canvas, LEFT, modifier, points[-1])
    qtbot.wait(40)
