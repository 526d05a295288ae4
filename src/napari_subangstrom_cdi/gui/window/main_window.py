"""The main window that a dock stands in, and what it needs from then on."""

from __future__ import annotations

from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_subangstrom_cdi.gui.canvas.gl_guard import RemovalGuard

from .binding import warn_of_binding
from .closing import Closing
from .controller import Controller


def adopt_window(window: QMainWindow, controller: Controller) -> None:
    """Ask about unsaved work when the window is closed, and have layers removed safely; done once for each window.

    What the Qt binding is known to break is told.
    """
    name = f"subangstrom-closing-{id(controller)}"
    if window.findChild(QObject, name, Qt.FindChildOption.FindDirectChildrenOnly) is not None:
        return
    warn_of_binding()
    Closing(window, controller).setObjectName(name)
    content = window.centralWidget()
    if content is not None:
        RemovalGuard(controller.viewer, content)


def main_window_of(widget: QWidget) -> QMainWindow | None:
    """The main window that a widget belongs to, also from a dock that floats."""
    parent: QWidget | None = widget
    while parent is not None and not isinstance(parent, QMainWindow):
        parent = parent.parentWidget()
    return parent
