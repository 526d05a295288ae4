"""The panel by which the image is laid onto the pattern by hand."""

from __future__ import annotations

import math

from qtpy.QtCore import QEvent, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_subangstrom_cdi.gui.widgets.hand_slider import HandSlider
from napari_subangstrom_cdi.gui.widgets.style import QuietLabel, colours_of
from napari_subangstrom_cdi.job.plan import ImageSettings
from napari_subangstrom_cdi.parameters import picked

Geometry = tuple[float, float, bool]
"""Rotation in degrees, image pixel in Å, mirrored."""

_ROTATION_REACH_DEG, _PIXEL_REACH = 6.0, 0.05
_ROTATION, _PIXEL = picked(ImageSettings, "rotation_deg", "pixel_angstrom")
_ROTATION_TIP = (
    "The slider reaches 6° to either side of where it was let go; type larger turns, or drag in reciprocal space."
)
_PIXEL_TIP = (
    "The slider reaches 5 % to either side of where it was let go; with Shift, dragging in reciprocal space changes "
    "it too."
)


class ByHand(QWidget):
    """Rotation, pixel and mirror to be moved, and how well they fit."""

    tried = Signal(object)
    """A geometry while it is moved."""
    settled = Signal(object)
    """A geometry when it is let go."""
    back = Signal()
    """To the automatic alignment."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rotation, self.pixel = (
            HandSlider(known.but(help=f"{known.parameter.help} {tip}"), self)
            for known, tip in ((_ROTATION, _ROTATION_TIP), (_PIXEL, _PIXEL_TIP))
        )
        self.mirrored = QCheckBox("mirrored")
        self.mirrored.setObjectName("mirrored-by-hand")
        self.mirrored.setToolTip("The image's x axis is reversed before it is turned")
        self.back_button = QPushButton("Back to automatic")
        self.back_button.setObjectName("align-automatic")
        self.back_button.setToolTip("Forget what was set by hand; Align then finds rotation and pixel again")
        self.match = MatchBar()
        self.number = QLabel()
        self.number.setObjectName("align-correlation-live")
        self.automatic = QuietLabel()
        hint = QuietLabel("Drag in reciprocal space to turn the image, with Shift to scale it.")
        hint.setWordWrap(True)
        grid = QGridLayout()
        self.rotation.add_to(grid, 0)
        self.pixel.add_to(grid, 1)
        grid.addWidget(QLabel("Overlap"), 2, 0)
        grid.addWidget(self.match, 2, 1)
        grid.addWidget(self.number, 2, 2)
        grid.addWidget(self.automatic, 3, 1, 1, 2)
        below = QHBoxLayout()
        below.addWidget(self.mirrored)
        below.addStretch(1)
        below.addWidget(self.back_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (grid, below):
            layout.addLayout(part)
        layout.addWidget(hint)
        for slider in (self.rotation, self.pixel):
            slider.moved.connect(self._on_moved)
            slider.settled.connect(self._on_settled)
        self.mirrored.clicked.connect(self._on_settled)
        self.back_button.clicked.connect(self.back)

    @property
    def geometry_set(self) -> Geometry:
        """As the panel stands."""
        return (self.rotation.value, self.pixel.value, self.mirrored.isChecked())

    @property
    def is_held(self) -> bool:
        """Whether a slider is held."""
        return self.rotation.is_held or self.pixel.is_held

    def show_geometry(self, geometry: Geometry) -> None:
        """Show a geometry, with room for the sliders to either side; emits nothing."""
        rotation, pixel, mirrored = geometry
        if not self.is_held:
            self._make_room(rotation, pixel)
        self.rotation.set_value(rotation)
        self.pixel.set_value(pixel)
        self.mirrored.setChecked(mirrored)

    def _make_room(self, rotation: float, pixel: float) -> None:
        """A slider that stays well inside its range keeps it, so that its handle does not jump."""
        self.rotation.set_value(rotation)
        self.pixel.set_value(pixel)
        if self.rotation.near_end(_ROTATION_REACH_DEG):
            self.rotation.set_range(rotation - _ROTATION_REACH_DEG, rotation + _ROTATION_REACH_DEG)
        if self.pixel.near_end(pixel * _PIXEL_REACH):
            self.pixel.set_range(pixel * (1 - _PIXEL_REACH), pixel * (1 + _PIXEL_REACH))

    def drag(self, turn_deg: float, factor_of_q: float) -> None:
        """Follow a drag in reciprocal space."""
        rotation, pixel, mirrored = self.geometry_set
        turned = (rotation + turn_deg + 180) % 360 - 180
        self.show_geometry((round(turned, 4), round(pixel / factor_of_q, 6), mirrored))
        self.tried.emit(self.geometry_set)

    def drop(self) -> None:
        """The drag is over."""
        self.settled.emit(self.geometry_set)

    def show_correlation(self, value: float, automatic: float) -> None:
        """Show how well image and pattern agree; NaN for what is not known."""
        self.match.show_values(value, automatic)
        self.number.setText(f"{value:.3f}".replace("-", "−") if math.isfinite(value) else "")
        self.automatic.setText(f"automatic: {automatic:.3f}" if math.isfinite(automatic) else "")

    def _on_moved(self, _: float) -> None:
        self.tried.emit(self.geometry_set)

    def _on_settled(self, _: object) -> None:
        self.settled.emit(self.geometry_set)


class MatchBar(QWidget):
    """A bar from 0 to 1, and a mark for another value to be reached."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.value = self.mark = math.nan
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Correlation of the two amplitude spectra; the line is the automatic alignment's")

    def show_values(self, value: float, mark: float) -> None:
        """Show a value and the mark."""
        self.value, self.mark = value, mark
        self.update()

    def sizeHint(self) -> QSize:
        """A slim line."""
        return QSize(60, max(10, self.fontMetrics().height() * 2 // 3))

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Groove, bar, mark."""
        colours = colours_of(self)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        whole = QRectF(0.5, 2.5, self.width() - 1, self.height() - 5)
        groove = QColor(colours.muted)
        groove.setAlphaF(0.25)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(groove)
        painter.drawRoundedRect(whole, 2, 2)
        if math.isfinite(self.value) and self.value > 0:
            good = not math.isfinite(self.mark) or self.value >= 0.97 * self.mark
            painter.setBrush(QColor(colours.good if good else colours.warning))
            share = min(1.0, self.value)
            painter.drawRoundedRect(QRectF(whole.x(), whole.y(), whole.width() * share, whole.height()), 2, 2)
        if math.isfinite(self.mark):
            painter.setPen(QPen(QColor(colours.text), 2))
            x = round(whole.x() + whole.width() * max(0.0, min(1.0, self.mark)))
            painter.drawLine(x, 0, x, self.height())
        painter.end()
