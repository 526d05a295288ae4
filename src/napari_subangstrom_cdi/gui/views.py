"""Docks that are no steps, made once for each viewer."""

from __future__ import annotations

from typing import Any

from .controller import Controller
from .reciprocal_view import ReciprocalView


class ReciprocalSpace:
    """The second canvas of a viewer; closed and opened again it is the same one.

    napari asks a class for its dock and looks at ``__init__`` to learn that a viewer is wanted.
    """

    def __new__(cls, napari_viewer: Any) -> ReciprocalView:
        """The controller's own view."""
        return Controller.of(napari_viewer).reciprocal

    def __init__(self, napari_viewer: Any) -> None: ...
