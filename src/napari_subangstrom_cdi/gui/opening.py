"""Open the plugin in the window that is there, and a project in it."""

from __future__ import annotations

from pathlib import Path

import napari
from qtpy.QtCore import QTimer

from .controller import Controller
from .settings import PLUGIN

WORKFLOW = "Sub-Å CDI"


def open_workflow(viewer: napari.Viewer) -> Controller:
    """Dock the workflow, if it is not there yet, and give its controller."""
    viewer.window.add_plugin_dock_widget(PLUGIN, WORKFLOW)
    return Controller.of(viewer)


def open_project(path: str | Path) -> bool:
    """Open a project in the current window once it is idle; False if there is no window."""
    viewer = napari.current_viewer()
    if viewer is None or not hasattr(viewer, "window"):
        return False

    def load() -> None:
        open_workflow(viewer).load(path)

    # napari is still in the middle of opening a file
    QTimer.singleShot(0, load)
    return True
