"""Docks that are no steps, made once for each viewer."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QWidget

from napari_subangstrom_cdi.gui.canvas.reciprocal_view import ReciprocalView
from napari_subangstrom_cdi.gui.window.controller import Controller


class ReciprocalSpace(QWidget):
    """The second canvas of a viewer; closed and opened again it is the same one.

    napari wants a class of widgets, and looks at its ``__init__`` to learn that a viewer is wanted; there is never an
    instance of this one.
    """

    def __new__(cls, napari_viewer: Any) -> ReciprocalView:
        """The controller's own view."""
        return Controller.of(napari_viewer).reciprocal

    def __init__(self, napari_viewer: Any) -> None: ...
