"""Where the docks stand in napari's window: the steps to the right, reciprocal space and R-factor below the canvas."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from .controller import Controller
from .main_window import adopt_window
from .settings import PLUGIN

RECIPROCAL, R_FACTOR = "Reciprocal space", "R-factor"
_BELOW_SHARE = 0.45


def arrange(workflow: QWidget, controller: Controller) -> None:
    """Open the views that belong to the steps and give each its place; nothing that is open already is moved."""
    window = workflow.window()
    if not isinstance(window, QMainWindow):
        return
    adopt_window(window, controller)
    viewer = controller.viewer.window
    opened = [
        viewer.add_plugin_dock_widget(PLUGIN, name)[0] for name in (RECIPROCAL, R_FACTOR) if not _is_open(window, name)
    ]
    window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
    window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
    for dock in opened:
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
    if len(opened) == 2:
        window.splitDockWidget(opened[0], opened[1], Qt.Orientation.Horizontal)
        # once they stand: until then their hints decide
        QTimer.singleShot(0, lambda: _halve(window, opened))
    below = round(window.height() * _BELOW_SHARE)
    window.resizeDocks(opened, [below] * len(opened), Qt.Orientation.Vertical)
    own = _dock_of(workflow)
    if own is not None:
        window.resizeDocks([own], [workflow.sizeHint().width()], Qt.Orientation.Horizontal)


def _halve(window: QMainWindow, docks: list[QDockWidget]) -> None:
    half = sum(dock.width() for dock in docks) // len(docks)
    window.resizeDocks(docks, [half] * len(docks), Qt.Orientation.Horizontal)


def _is_open(window: QMainWindow, name: str) -> bool:
    return any(name in dock.objectName() and dock.isVisible() for dock in window.findChildren(QDockWidget))


def _dock_of(widget: QWidget) -> QDockWidget | None:
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent
