"""The panel by which a crystal is tilted and its particle shaped by hand."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_subangstrom_cdi.gui.widgets.editors import ComboBox
from napari_subangstrom_cdi.gui.widgets.hand_slider import HandSlider
from napari_subangstrom_cdi.gui.widgets.style import QuietLabel
from napari_subangstrom_cdi.job.plan import ModelSettings
from napari_subangstrom_cdi.job.readings import READINGS, written
from napari_subangstrom_cdi.parameters import picked

Values = tuple[tuple[float, float], float, float]
"""Tilt in degrees, thickness in Å, roundness."""

_TILT, _THICKNESS, _ROUNDNESS = picked(ModelSettings, "tilt_deg", "thickness_angstrom", "roundness")
_R = READINGS["model.r_pattern"]
_TILTS = tuple(
    _TILT.element(index, f"tilt_{axis}", f"Tilt {axis}").but(
        help=f"Rotation of the crystal about {axis}, out of the zone axis."
    )
    for index, axis in enumerate("xy")
)
_SHAPES = _ROUNDNESS.parameter.words


class ModelByHand(QWidget):
    """Tilt, thickness and shape to be moved, and how well the pattern fits."""

    tried = Signal(object)
    """Values while they are moved."""
    settled = Signal(object)
    """Values when they are let go."""
    back = Signal()
    """To what is fitted."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tilt_x, self.tilt_y, self.thickness = (HandSlider(known, self) for known in (*_TILTS, _THICKNESS))
        self.shape = ComboBox()
        self.shape.setObjectName("model-shape")
        self.shape.setToolTip(_ROUNDNESS.parameter.help)
        for roundness, name in _SHAPES:
            self.shape.addItem(name, roundness)
        self.number = QLabel("–")
        self.number.setObjectName("model-r-live")
        self.number.setToolTip("Of the whole pattern, before any phasing, by these values and by those fitted")
        self.back_button = QPushButton("Back to automatic")
        self.back_button.setObjectName("model-automatic")
        self.back_button.setToolTip("Forget what was set by hand; Fit then finds everything again")
        hint = QuietLabel("The right half of the pattern is the model's. Fit keeps what was set here.")
        hint.setWordWrap(True)
        grid = QGridLayout()
        for row, slider in enumerate(self._sliders):
            slider.add_to(grid, row)
            slider.moved.connect(self._on_moved)
            slider.settled.connect(self._on_settled)
        row = len(self._sliders)
        grid.addWidget(QLabel(_ROUNDNESS.parameter.caption), row, 0)
        grid.addWidget(self.shape, row, 1, 1, 2)
        grid.addWidget(QLabel("R, pattern"), row + 1, 0)
        grid.addWidget(self.number, row + 1, 1, 1, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(grid)
        layout.addWidget(hint)
        layout.addWidget(self.back_button, alignment=Qt.AlignmentFlag.AlignRight)
        self.shape.activated.connect(self._on_settled)
        self.back_button.clicked.connect(self.back)

    @property
    def _sliders(self) -> tuple[HandSlider, HandSlider, HandSlider]:
        return (self.tilt_x, self.tilt_y, self.thickness)

    @property
    def values_set(self) -> Values:
        """As the panel stands."""
        tilt = (self.tilt_x.value, self.tilt_y.value)
        return tilt, self.thickness.value, float(self.shape.currentData())

    @property
    def is_held(self) -> bool:
        """Whether a slider is held."""
        return any(slider.is_held for slider in self._sliders)

    def show_values(self, values: Values) -> None:
        """Show values; emits nothing."""
        (x, y), thickness, roundness = values
        self.tilt_x.set_value(x)
        self.tilt_y.set_value(y)
        self.thickness.set_value(thickness)
        if not self.is_held and self.thickness.near_end(thickness):
            self.thickness.set_range(2.0, max(20.0, 2 * thickness))
        self._show_roundness(roundness)

    def _show_roundness(self, roundness: float) -> None:
        """A fit may lie between the shapes that have a name: it then has an entry of its own."""
        index = self.shape.findData(roundness)
        if index < 0:
            if self.shape.count() > len(_SHAPES):
                self.shape.removeItem(len(_SHAPES))
            self.shape.addItem(f"roundness {roundness:g}", roundness)
            index = len(_SHAPES)
        self.shape.setCurrentIndex(index)

    def show_r(self, value: float, fitted: float) -> None:
        """Show how well the pattern fits; NaN for what is not known."""
        text = "–"
        if math.isfinite(value):
            text = f"{written(_R, value)}, as fitted {written(_R, fitted)}"
        if text != self.number.text():
            self.number.setText(text)

    def _on_moved(self, _: float) -> None:
        self.tried.emit(self.values_set)

    def _on_settled(self, _: object) -> None:
        self.settled.emit(self.values_set)
