"""Open the plugin in the window that is there: its docks, the workflow, a project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari
from npe2 import PluginManager
from qtpy.QtWidgets import QDockWidget

from napari_subangstrom_cdi.gui.canvas.reciprocal_view import dock_of
from napari_subangstrom_cdi.gui.loop.later import later

from .asking import may_begin
from .controller import Controller
from .main_window import main_window_of
from .preferences import PLUGIN, TITLE

WORKFLOW, RECIPROCAL, R_FACTOR = TITLE, "Reciprocal space", "R-factor"


def find_dock(viewer: napari.Viewer, name: str) -> QDockWidget | None:
    """A dock of the plugin's, hidden or not; None if it was never opened, or closed for good.

    napari's menu and its ``add_plugin_dock_widget`` give the same dock different names.
    """
    docked = viewer.window.dock_widgets
    for full_name in (_full_name(name), f"{name} ({PLUGIN})"):
        if full_name in docked:
            return dock_of(docked[full_name])
    return None


def open_dock(viewer: napari.Viewer, name: str) -> QDockWidget:
    """Bring a dock of the plugin's to sight; one that is not there yet is made as napari's menu would.

    Parameters
    ----------
    viewer : napari.Viewer
        In whose window.
    name : str
        As in the menu.
    """
    dock = find_dock(viewer, name)
    if dock is None:
        dock = viewer.window.add_dock_widget(_widget_class(name)(viewer), name=_full_name(name))
    dock.show()
    dock.raise_()
    return dock


def _full_name(name: str) -> str:
    return f"{name} ({TITLE})"


def _widget_class(name: str) -> Any:
    widgets = PluginManager.instance().iter_widgets()
    return next(w for w in widgets if (w.plugin_name, w.display_name) == (PLUGIN, name)).get_callable()


def open_workflow(viewer: napari.Viewer) -> Controller:
    """Dock the workflow, if it is not there yet, and give its controller."""
    open_dock(viewer, WORKFLOW)
    return Controller.of(viewer)


def open_project(path: str | Path) -> bool:
    """Open a project in the current window once it is idle; False if there is no window."""
    viewer = napari.current_viewer()
    if viewer is None or not hasattr(viewer, "window"):
        return False

    def load() -> None:
        controller = open_workflow(viewer)
        window = main_window_of(open_dock(viewer, WORKFLOW))
        if window is None or controller.session.busy or may_begin(window, controller):
            controller.load(path)

    # napari is still in the middle of opening a file
    later(viewer.window.main_menu, load)
    return True
