"""A layer's textures and programs are freed in the context that drew it, whichever was current before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtGui import QOpenGLContext

from napari_subangstrom_cdi.gui.window.opening import open_workflow

from ..hands import main_canvas


@pytest.fixture
def canvases(viewer: Any, controller: Any, qtbot: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Model and native canvas of both, with a layer that was drawn in each."""
    open_workflow(viewer)
    pairs = (
        (viewer, main_canvas(viewer)),
        (controller.reciprocal.model, controller.reciprocal.qt_viewer.canvas.native),
    )
    for model, _ in pairs:
        model.add_image(np.eye(8), name="to go")
    qtbot.wait(300)
    return pairs


def test_a_layer_is_removed_in_its_own_context(canvases, qtbot):
    for (model, canvas), (_, other) in (canvases, canvases[::-1]):
        other.makeCurrent()
        assert canvas.context() is not None and QOpenGLContext.currentContext() != canvas.context()
        model.layers.remove("to go")
        assert QOpenGLContext.currentContext() == canvas.context()
        qtbot.wait(50)


def test_a_canvas_that_was_never_drawn_does_no_harm(controller):
    controller.reciprocal.model.add_image(np.eye(8), name="to go")
    controller.reciprocal.model.layers.remove("to go")
    assert not controller.reciprocal.model.layers
