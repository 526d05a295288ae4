"""The slim tool bar above the second canvas: tools of the painted mask, layers, home."""

from __future__ import annotations

from functools import partial

from napari.components import ViewerModel
from napari.layers import Labels, Layer
from napari.resources import get_colorized_svg, get_icon_path
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QPixmap, QShowEvent
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSlider,
    QSpinBox,
    QToolButton,
    QWidget,
    QWidgetAction,
)

_TOOLS = (
    ("pan_zoom", "pan_arrows", "Move the view"),
    ("paint", "paint", "Paint what is not to be trusted"),
    ("erase", "erase", "Erase the painted"),
    ("polygon", "polygon_lasso", "Draw a polygon; a double click closes it"),
    ("fill", "fill", "Fill an enclosed area"),
)
_ICON_PX = 18
_ARROW = (
    '<svg viewBox="0 0 24 24" xmlns="http://www.w3.org/2000/svg"><path d="M10 5 3 11l7 6v-4c5 0 8 1.5 10 5'
    '-.5-5.500-4-9-10-9.300z"/></svg>'
)
_MIRRORED_ARROW = _ARROW.replace("<path", '<path transform="matrix(-1 0 0 1 24 0)"')
_OPACITY_STEPS = 100


class CanvasBar(QWidget):
    """Buttons that act on a viewer and on the mask painted in it."""

    home_clicked = Signal()

    def __init__(self, model: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._layer: Labels | None = None
        self._icons: list[tuple[QToolButton, str]] = []
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 2, 4, 2)
        row.setSpacing(2)
        self._tools = QButtonGroup(self)
        self.buttons = {mode: self._tool(mode, icon, tip) for mode, icon, tip in _TOOLS}
        self.brush = self._brush()
        self.buttons["undo"] = self._button(_ARROW, "Undo the last stroke (Ctrl+Z)", self._undo)
        self.buttons["redo"] = self._button(_MIRRORED_ARROW, "Redo (Ctrl+Shift+Z)", self._redo)
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.buttons["layers"] = self._button(get_icon_path("visibility"), "Show and hide layers", None)
        self.buttons["layers"].setMenu(self.menu)
        self.buttons["layers"].setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.buttons["home"] = self._button(get_icon_path("home"), "Show everything", self.home_clicked.emit)
        for name in ("pan_zoom", "paint", "erase", "polygon", "fill"):
            row.addWidget(self.buttons[name])
        row.addWidget(self.brush)
        row.addWidget(self.buttons["undo"])
        row.addWidget(self.buttons["redo"])
        row.addStretch(1)
        row.addWidget(self.buttons["layers"])
        row.addWidget(self.buttons["home"])
        self.set_theme(model.theme)
        self.follow(None)

    def _button(self, icon: str, tip: str, clicked: object) -> QToolButton:
        button = QToolButton(self)
        button.setAutoRaise(True)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setIconSize(QSize(_ICON_PX, _ICON_PX))
        # A click here leaves the keys with the canvas.
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        if clicked is not None:
            button.clicked.connect(clicked)
        self._icons.append((button, icon))
        return button

    def _tool(self, mode: str, icon: str, tip: str) -> QToolButton:
        button = self._button(get_icon_path(icon), tip, partial(self._choose, mode))
        button.setCheckable(True)
        self._tools.addButton(button)
        return button

    def _brush(self) -> QSpinBox:
        box = QSpinBox(self)
        box.setRange(1, 200)
        box.setToolTip("Diameter of brush and eraser, pixels; arrow keys and mouse wheel change it")
        box.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        box.setAlignment(Qt.AlignmentFlag.AlignCenter)
        box.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        box.valueChanged.connect(self._set_brush)
        return box

    def showEvent(self, event: QShowEvent | None) -> None:
        """The font is known now: the brush takes as much room as its widest text, and no more."""
        self.brush.setFixedWidth(self.brush.fontMetrics().horizontalAdvance("200") + 12)
        super().showEvent(event)

    def follow(self, layer: Labels | None) -> None:
        """Act on this layer from now on; None where there is nothing to paint in."""
        if layer is self._layer and layer is not None:
            return
        self.release()
        self._layer = layer
        for name in ("paint", "erase", "polygon", "fill", "undo", "redo"):
            self.buttons[name].setEnabled(layer is not None)
        self.brush.setEnabled(layer is not None)
        if layer is None:
            self.buttons["pan_zoom"].setChecked(True)
            return
        layer.events.mode.connect(self._show_mode)
        layer.events.brush_size.connect(self._show_brush)
        self._show_mode()
        self._show_brush()

    def release(self) -> None:
        """Stop following the layer; touches no widget, which may be gone with its window."""
        if self._layer is not None:
            self._layer.events.mode.disconnect(self._show_mode)
            self._layer.events.brush_size.disconnect(self._show_brush)
            self._layer = None

    def set_theme(self, theme: str) -> None:
        """Draw the icons in the theme's colour."""
        colours = get_theme(theme)
        colour = colours.icon.as_hex()
        self.setStyleSheet(
            "QToolButton { border: none; border-radius: 3px; padding: 3px; background: transparent; }"
            f"QToolButton:hover {{ background: {colours.foreground.as_hex()}; }}"
            f"QToolButton:checked {{ background: {colours.current.as_hex()}; }}"
            "QToolButton::menu-indicator { image: none; }"
            "QSpinBox { padding: 1px 2px; }"  # napari leaves room for buttons that are not there
        )
        for button, icon in self._icons:
            pixmap = QPixmap()
            pixmap.loadFromData(get_colorized_svg(icon, colour).encode(), "SVG")
            button.setIcon(QIcon(pixmap))

    def _choose(self, mode: str) -> None:
        if self._layer is None:
            return
        self._layer.visible = True
        self._layer.selected_label = 1
        self._model.layers.selection.active = self._layer
        self._layer.mode = mode

    def _show_mode(self) -> None:
        if self._layer is not None:
            shown = self.buttons.get(str(self._layer.mode), self.buttons["pan_zoom"])
            shown.setChecked(True)

    def _show_brush(self) -> None:
        if self._layer is not None and self.brush.value() != round(self._layer.brush_size):
            self.brush.setValue(round(self._layer.brush_size))

    def _set_brush(self, size: int) -> None:
        if self._layer is not None:
            self._layer.brush_size = size

    def _undo(self) -> None:
        if self._layer is not None:
            self._layer.undo()

    def _redo(self) -> None:
        if self._layer is not None:
            self._layer.redo()

    def _fill_menu(self) -> None:
        """A row for each layer, the top one first, as the canvas has them now."""
        self.menu.clear()
        rows = QWidget(self.menu)
        grid = QGridLayout(rows)
        grid.setContentsMargins(10, 8, 10, 8)
        grid.setVerticalSpacing(4)
        if not self._model.layers:
            grid.addWidget(QLabel("nothing to show yet", rows), 0, 0)
        for index, layer in enumerate(reversed(self._model.layers)):
            grid.addWidget(_visibility(layer, rows), index, 0)
            grid.addWidget(_opacity(layer, rows), index, 1)
        action = QWidgetAction(self.menu)
        action.setDefaultWidget(rows)
        self.menu.addAction(action)


def _visibility(layer: Layer, parent: QWidget) -> QCheckBox:
    box = QCheckBox(layer.name, parent)
    box.setChecked(layer.visible)
    box.toggled.connect(partial(setattr, layer, "visible"))
    return box


def _opacity(layer: Layer, parent: QWidget) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal, parent)
    slider.setRange(0, _OPACITY_STEPS)
    slider.setFixedWidth(90)
    slider.setValue(round(layer.opacity * _OPACITY_STEPS))
    slider.setToolTip("Opacity")
    slider.setAccessibleName(f"opacity of {layer.name}")
    slider.valueChanged.connect(partial(_set_opacity, layer))
    return slider


def _set_opacity(layer: Layer, percent: int) -> None:
    layer.opacity = percent / _OPACITY_STEPS
