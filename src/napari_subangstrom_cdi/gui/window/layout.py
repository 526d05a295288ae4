"""Where the docks stand in napari's window: the steps to the right, reciprocal space and R-factor below the canvas."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_subangstrom_cdi.gui.canvas.reciprocal_view import dock_of
from napari_subangstrom_cdi.gui.loop.later import later

from .controller import Controller
from .main_window import adopt_window, main_window_of
from .opening import R_FACTOR, RECIPROCAL, find_dock, open_dock

_BELOW_SHARE = 0.45


def arrange(workflow: QWidget, controller: Controller) -> None:
    """Open the views that belong to the steps and give each its place; nothing that is open already is moved."""
    window = workflow.window()
    if not isinstance(window, QMainWindow):
        return
    adopt_window(window, controller)
    missing = [name for name in (RECIPROCAL, R_FACTOR) if not _is_open(controller, name)]
    opened = [_open_below(controller, window, name) for name in missing]
    if len(opened) == 2:
        window.splitDockWidget(opened[0], opened[1], Qt.Orientation.Horizontal)
        # once they stand: until then their hints decide
        later(window, lambda: _halve(window, opened))
    below = round(window.height() * _BELOW_SHARE)
    window.resizeDocks(opened, [below] * len(opened), Qt.Orientation.Vertical)
    own = dock_of(workflow)
    if own is not None:
        window.resizeDocks([own], [workflow.sizeHint().width()], Qt.Orientation.Horizontal)


def show_reciprocal(widget: QWidget, controller: Controller) -> None:
    """Bring the second canvas to sight in a widget's window: something is to be seen or done by hand there."""
    window = main_window_of(widget)
    if window is not None and not _is_open(controller, RECIPROCAL):
        dock = _open_below(controller, window, RECIPROCAL)
        window.resizeDocks([dock], [round(window.height() * _BELOW_SHARE)], Qt.Orientation.Vertical)


def _open_below(controller: Controller, window: QMainWindow, name: str) -> QDockWidget:
    known = find_dock(controller.viewer, name) is not None
    dock = open_dock(controller.viewer, name)
    if not known:
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
    return dock


def _halve(window: QMainWindow, docks: list[QDockWidget]) -> None:
    half = sum(dock.width() for dock in docks) // len(docks)
    window.resizeDocks(docks, [half] * len(docks), Qt.Orientation.Horizontal)


def _is_open(controller: Controller, name: str) -> bool:
    dock = find_dock(controller.viewer, name)
    return dock is not None and dock.isVisible()
