"""Layers are removed in the OpenGL context that drew them."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import QObject
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget


class RemovalGuard(QObject):
    """Makes a canvas's context current before napari frees what a layer was drawn with.

    napari 0.9 frees it at once, in whatever context happens to be current: the window's own after a painting, or
    that of the other canvas. Mesa 22, of Debian 12, then unbinds the shader that the canvas goes on drawing with,
    and the next painting ends the process.

    Parameters
    ----------
    model : ViewerModel
        Whose layers are drawn in the canvas.
    parent : QWidget
        What holds the canvas; the guard ends with it.
    """

    def __init__(self, model: ViewerModel, parent: QWidget) -> None:
        super().__init__(parent)
        model.layers.events.removing.connect(self._make_current)

    def _make_current(self, _: Any = None) -> None:
        canvas = self.parent().findChild(QOpenGLWidget) if isalive(self) else None
        if canvas is not None and canvas.isValid():
            canvas.makeCurrent()
