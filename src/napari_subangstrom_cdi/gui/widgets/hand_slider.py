"""A number set by hand: superqt's slider to drag and a box to type into, with the value exact in both."""

from __future__ import annotations

from dataclasses import MISSING, replace

from qtpy.QtCore import QObject, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QKeyEvent, QMouseEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QStyle, QStyleOptionSlider, QWidget
from superqt import QDoubleSlider

from napari_subangstrom_cdi.parameters import Declared

from .editors import CalmWheel, Number, help_of

_BOX_IN_LETTERS = 22
_LEAST_SLIDER_PX = 48
_WIDE = 1.5  # times the range that is wanted
_ARROWS = {Qt.Key.Key_Right: 1, Qt.Key.Key_Up: 1, Qt.Key.Key_Left: -1, Qt.Key.Key_Down: -1}


class HandSlider(QObject):
    """Label, slider and box of one float.

    Superqt's labelled slider lets type only what the slider reaches; here the slider covers the parameter's reach, and
    the box its range. The slider goes by the parameter's step, and the box keeps what was typed.

    Parameters
    ----------
    known : Declared
        What it is.
    """

    moved = Signal(float)
    """The user moved it: a value to be tried."""
    settled = Signal(float)
    """The user let it go, or entered a value."""

    def __init__(self, known: Declared, parent: QWidget) -> None:
        super().__init__(parent)
        parameter = known.parameter
        self.known = replace(known, optional=False, choices=(), default=MISSING)
        self._number = Number(self.known)
        self.label = QLabel(parameter.caption, parent)
        self.slider = _Slider(parent)
        self.slider.setObjectName(f"{known.name}-slider")
        self.box = self._number.native
        self.box.setParent(parent)
        self.box.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.box.setFixedWidth(_BOX_IN_LETTERS * self.box.fontMetrics().averageCharWidth())
        self.label.setBuddy(self.box)
        self._step = parameter.step or 0.01
        self.slider.setSingleStep(self._step)
        self.set_range(*(parameter.reach or (parameter.low or 0.0, parameter.high or 1.0)))
        self.set_enabled(True)
        self.slider.setAccessibleName(parameter.caption)
        self.slider.setAccessibleDescription(parameter.help)
        self.slider.valueChanged.connect(self._on_slider)
        self.slider.sliderReleased.connect(self._on_released)
        self._number.changed.connect(self._on_typed)

    def add_to(self, grid: QGridLayout, row: int) -> None:
        """Put label, slider and box into a row."""
        for column, widget in enumerate((self.label, self.slider, self.box)):
            grid.addWidget(widget, row, column)
        grid.setColumnStretch(1, 1)

    @property
    def value(self) -> float:
        """The value, exactly."""
        return float(self._number.value)

    @property
    def is_held(self) -> bool:
        """Whether the user holds the slider."""
        return bool(self.slider.isSliderDown())

    def set_value(self, value: float) -> None:
        """Show a value; emits nothing."""
        self._number.value = value
        with QSignalBlocker(self.slider):
            self.slider.setValue(value)

    def set_range(self, low: float, high: float) -> None:
        """Let the slider go from one value to another; emits nothing."""
        with QSignalBlocker(self.slider):
            self.slider.setRange(low, high)
            self.slider.setPageStep(max(self._step, (high - low) / 20))
            self.slider.setValue(self.value)

    def near_end(self, reach: float) -> bool:
        """Whether the slider is about to run out of its range, or has one much wider than so far to either side."""
        span = self.slider.maximum() - self.slider.minimum()
        share = (self.slider.value() - self.slider.minimum()) / span
        return not 0.1 < share < 0.9 or span > _WIDE * 2 * reach

    def set_enabled(self, enabled: bool, why: str = "") -> None:
        """Grey it, and say why, or not."""
        for widget in (self.label, self.slider, self.box):
            widget.setEnabled(enabled)
            widget.setToolTip(help_of(self.known) if enabled else f"{help_of(self.known)}<br><i>{why}</i>")

    def _on_slider(self, position: float) -> None:
        low = self.slider.minimum()
        self._take(low + round((position - low) / self._step) * self._step)
        if not self.slider.isSliderDown():
            self.settled.emit(self.value)

    def _on_released(self) -> None:
        self.settled.emit(self.value)

    def _on_typed(self, value: float) -> None:
        self._take(value)
        self.settled.emit(self.value)

    def _take(self, value: float) -> None:
        self.set_value(round(value, 9))
        self.moved.emit(self.value)


class _Slider(CalmWheel, QDoubleSlider):
    """What superqt's lacks: keys, and to be held from the press on; pressed on its handle it stays where it is."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(_LEAST_SLIDER_PX)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """By steps, by pages, to either end."""
        steps, key = {key: sign * self.singleStep() for key, sign in _ARROWS.items()}, event.key()
        steps |= {Qt.Key.Key_PageUp: self.pageStep(), Qt.Key.Key_PageDown: -self.pageStep()}
        ends = {Qt.Key.Key_Home: self.minimum(), Qt.Key.Key_End: self.maximum()}
        if key in steps:
            self.setValue(self.value() + steps[key])
        elif key in ends:
            self.setValue(ends[key])
        else:
            event.ignore()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of it."""
        left, value = event.button() == Qt.MouseButton.LeftButton, float(self.value())
        if left:
            self.setSliderDown(True)
        if left and self._handle_is_at(event):
            with QSignalBlocker(self):
                super().mousePressEvent(event)
                self.setValue(value)
        else:
            super().mousePressEvent(event)

    def _handle_is_at(self, event: QMouseEvent) -> bool:
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        control, part = QStyle.ComplexControl.CC_Slider, QStyle.SubControl.SC_SliderHandle
        handle = self.style().subControlRect(control, option, part, self)
        return bool(handle.contains(event.position().toPoint()))
