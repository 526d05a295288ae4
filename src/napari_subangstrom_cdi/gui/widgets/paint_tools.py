"""Buttons of a dock that choose how a mask is painted in one of the canvases."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from napari.components import ViewerModel
from napari.layers import Labels
from napari.resources import get_colorized_svg, get_icon_path
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QSpinBox, QToolButton, QWidget

from .style import FollowsTheme, colours_of

_MODES = (
    ("pan_zoom", "pan_arrows", "Move the view"),
    ("paint", "paint", "Paint with a brush"),
    ("erase", "erase", "Erase with a brush"),
    ("polygon", "polygon_lasso", "Draw a polygon: a double click closes it"),
    ("fill", "fill", "Fill an enclosed area with a click"),
)
_ICON_PX = 18
_BRUSH_IN_LETTERS = 13
_UNDO = (
    '<svg viewBox="0 0 24 24" xmlns="http://www.w3.org/2000/svg"><path d="M10 5 3 11l7 6v-4c5 0 8 1.5 10 5'
    '-.5-5.500-4-9-10-9.300z"/></svg>'
)


class PaintTools(FollowsTheme, QWidget):
    """Chooses layer and mode in a canvas, and follows them when they are chosen there.

    Parameters
    ----------
    model : ViewerModel
        Of the canvas.
    layer : callable
        Gives the layer to paint in, None where there is none.
    name : str
        Prefix of the buttons' object names.
    """

    undo_clicked = Signal()

    def __init__(
        self, model: ViewerModel, layer: Callable[[], Labels | None], name: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._model, self._layer = model, layer
        self._followed: Labels | None = None
        self._colour = ""
        self._group = QButtonGroup(self)
        self._icons: list[tuple[QToolButton, str]] = []
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        self.buttons: dict[str, QToolButton] = {}
        for mode, icon, tip in _MODES:
            button = self.buttons[mode] = self._button(get_icon_path(icon), tip, f"{name}-{mode}")
            button.setCheckable(True)
            button.clicked.connect(partial(self._choose, mode))
            self._group.addButton(button)
            row.addWidget(button)
        self.brush = self._brush(name)
        row.addWidget(self.brush)
        self.undo = self._button(_UNDO, "Take back the last stroke or change of settings", f"{name}-undo")
        self.undo.clicked.connect(self.undo_clicked)
        row.addWidget(self.undo)
        row.addStretch(1)
        self._recolour()
        self.follow()

    def _button(self, icon: str, tip: str, name: str) -> QToolButton:
        button = QToolButton(self)
        button.setObjectName(name)
        button.setAutoRaise(True)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setIconSize(QSize(_ICON_PX, _ICON_PX))
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._icons.append((button, icon))
        return button

    def _brush(self, name: str) -> QSpinBox:
        box = QSpinBox(self)
        box.setObjectName(f"{name}-brush")
        box.setRange(1, 200)
        box.setFixedWidth(_BRUSH_IN_LETTERS * box.fontMetrics().averageCharWidth())
        box.setToolTip("Diameter of brush and eraser, pixels")
        box.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        box.valueChanged.connect(self._set_brush)
        return box

    def follow(self) -> None:
        """Act on the layer that is there now."""
        layer = self._layer()
        for mode in self.buttons:
            self.buttons[mode].setEnabled(layer is not None)
        self.brush.setEnabled(layer is not None)
        if layer is self._followed:
            return
        self.release()
        self._followed = layer
        if layer is not None:
            layer.events.mode.connect(self._show)
            layer.events.brush_size.connect(self._show)
        self._show()

    def release(self) -> None:
        """Stop following the layer; touches no widget, which may be gone."""
        if self._followed is not None:
            self._followed.events.mode.disconnect(self._show)
            self._followed.events.brush_size.disconnect(self._show)
            self._followed = None

    def _choose(self, mode: str) -> None:
        layer = self._layer()
        if layer is not None:
            layer.visible = True
            layer.selected_label = 1
            self._model.layers.selection.active = layer
            layer.mode = mode

    def _set_brush(self, size: int) -> None:
        if self._followed is not None:
            self._followed.brush_size = size

    def _show(self) -> None:
        layer = self._followed
        mode = "pan_zoom" if layer is None else str(layer.mode)
        self.buttons.get(mode, self.buttons["pan_zoom"]).setChecked(True)
        if layer is not None:
            with QSignalBlocker(self.brush):
                self.brush.setValue(round(layer.brush_size))

    def _recolour(self) -> None:
        """Draw the icons in the colour of the text around them."""
        colours = colours_of(self)
        if colours.text == self._colour:
            return
        self._colour = colours.text
        self.setStyleSheet(
            "QToolButton { border: 1px solid transparent; border-radius: 3px; padding: 2px; background: transparent; }"
            f"QToolButton:hover {{ border-color: {colours.muted}; }}"
            f"QToolButton:checked {{ border-color: {colours.accent}; background: rgba(110, 168, 255, 60); }}"
        )
        for button, icon in self._icons:
            pixmap = QPixmap()
            pixmap.loadFromData(get_colorized_svg(icon, colours.text).encode(), "SVG")
            button.setIcon(QIcon(pixmap))
