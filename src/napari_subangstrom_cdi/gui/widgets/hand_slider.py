"""A number set by hand: a slider to drag and a box to type into, with the value exact in both."""

from __future__ import annotations

from qtpy.QtCore import QObject, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QSlider, QWidget

from .field_editors import NumberBox
from .fields import Field

_BOX_IN_LETTERS = 22
_LEAST_SLIDER_PX = 48
_WIDE = 1.5  # times the range that is wanted


class HandSlider(QObject):
    """Label, slider and box of one float.

    Parameters
    ----------
    field : Field
        What it is; its step is the slider's, its range the box's.
    low, high : float, optional
        Range of the slider, by default the field's.
    """

    moved = Signal(float)
    """The user moved it: a value to be tried."""
    settled = Signal(float)
    """The user let it go, or entered a value."""

    def __init__(self, field: Field, parent: QWidget, *, low: float | None = None, high: float | None = None) -> None:
        super().__init__(parent)
        self.field = field
        self.label = QLabel(field.label, parent)
        self.slider = _Slider(parent)
        self.slider.setObjectName(f"{field.name}-slider")
        self.box = NumberBox(field, parent)
        self.box.setObjectName(field.name)
        self.box.setSuffix(f" {field.unit}" if field.unit else "")
        self.box.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.box.setFixedWidth(_BOX_IN_LETTERS * self.box.fontMetrics().averageCharWidth())
        self.label.setBuddy(self.box)
        self._value = 0.0
        self._low, self._step = 0.0, field.step or 0.01
        self.set_range(field.minimum or 0.0 if low is None else low, field.maximum or 1.0 if high is None else high)
        self.set_enabled(True)
        for widget in (self.slider, self.box):
            widget.setAccessibleName(field.label)
            widget.setAccessibleDescription(field.tooltip)
        self.slider.valueChanged.connect(self._on_slider)
        self.slider.sliderReleased.connect(self._on_released)
        self.box.valueChanged.connect(self._on_box)

    def add_to(self, grid: QGridLayout, row: int) -> None:
        """Put label, slider and box into a row."""
        for column, widget in enumerate((self.label, self.slider, self.box)):
            grid.addWidget(widget, row, column)
        grid.setColumnStretch(1, 1)

    @property
    def value(self) -> float:
        """The value, exactly."""
        return self._value

    @property
    def is_held(self) -> bool:
        """Whether the user holds the slider."""
        return self.slider.isSliderDown()

    def set_value(self, value: float) -> None:
        """Show a value; emits nothing."""
        self._value = value
        with QSignalBlocker(self.slider), QSignalBlocker(self.box):
            self.slider.setValue(round((value - self._low) / self._step))
            self.box.setRange(min(self.box.minimum(), value), max(self.box.maximum(), value))
            self.box.setValue(value)

    def set_range(self, low: float, high: float) -> None:
        """Let the slider go from one value to another; emits nothing."""
        self._low = low
        with QSignalBlocker(self.slider):
            steps = max(1, round((high - low) / self._step))
            self.slider.setRange(0, steps)
            self.slider.setPageStep(max(1, steps // 20))
            self.slider.setValue(round((self._value - low) / self._step))

    def near_end(self, reach: float) -> bool:
        """Whether the slider is about to run out of its range, or has one much wider than so far to either side."""
        share, span = self.slider.value() / self.slider.maximum(), self.slider.maximum() * self._step
        return not 0.1 < share < 0.9 or span > _WIDE * 2 * reach

    def set_enabled(self, enabled: bool, why: str = "") -> None:
        """Grey it, and say why, or not."""
        for widget in (self.label, self.slider, self.box):
            widget.setEnabled(enabled)
            widget.setToolTip(self.field.help() if enabled else f"{self.field.help()}<br><i>{why}</i>")

    def _on_slider(self, position: int) -> None:
        self._take(self._low + position * self._step)
        if not self.slider.isSliderDown():
            self.settled.emit(self._value)

    def _on_released(self) -> None:
        self.settled.emit(self._value)

    def _on_box(self, value: float) -> None:
        self._take(value)
        self.settled.emit(self._value)

    def _take(self, value: float) -> None:
        self.set_value(round(value, 9))
        self.moved.emit(self._value)


class _Slider(QSlider):
    """Leaves the wheel to the dock unless it has the focus."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(_LEAST_SLIDER_PX)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        if event is not None and not self.hasFocus():
            event.ignore()
            return
        super().wheelEvent(event)
