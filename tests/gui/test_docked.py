"""Docks that the user closes for good end at once, in the middle of nothing, and can be opened again."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from qtpy.compat import isalive
from qtpy.QtWidgets import QDockWidget, QPushButton, QWidget

from napari_subangstrom_cdi.gui.window import opening
from napari_subangstrom_cdi.gui.window.opening import RECIPROCAL, WORKFLOW
from napari_subangstrom_cdi.session.session import Step

from ..hands import LEFT, choose

DOCKS = (WORKFLOW, "Data", "Background & centre", "Align image", "Masks", "Phase", "Results", "R-factor")


@pytest.fixture
def no_garbage_collector() -> Any:
    gc.disable()
    yield
    gc.enable()


def open_dock(viewer: Any, name: str, qtbot: Any) -> tuple[QDockWidget, QWidget]:
    dock = opening.open_dock(viewer, name)
    qtbot.wait(60)
    return dock, dock.inner_widget()


def close_dock(dock: QDockWidget, qtbot: Any) -> None:
    qtbot.mouseClick(dock.findChild(QPushButton, "QTitleBarCloseButton"), LEFT)
    qtbot.wait(60)


def test_a_closed_dock_ends_without_the_garbage_collector(viewer, with_inputs, no_garbage_collector, qtbot):
    for number, name in enumerate(DOCKS):
        dock, widget = open_dock(viewer, name, qtbot)
        close_dock(dock, qtbot)
        qtbot.waitUntil(lambda widget=widget: not isalive(widget))
        with_inputs.inputs.choices_changed.emit()
        with_inputs.change("ensemble", members=3 + number)
        viewer.theme = "dark" if number % 2 else "light"
        again, other = open_dock(viewer, name, qtbot)
        assert again.isVisible() and isalive(other) and other is not widget


def test_a_dock_that_floats_or_is_put_elsewhere_lives_on(viewer, with_inputs, qtbot):
    dock, widget = open_dock(viewer, "Data", qtbot)
    dock.setFloating(True)
    qtbot.wait(60)
    assert isalive(widget) and widget.isVisible()
    viewer.window.remove_dock_widget(dock)
    viewer.window.add_dock_widget(widget, name="again")
    qtbot.wait(60)
    assert isalive(widget) and widget.isVisible()


def test_closing_the_masks_dock_lets_go_of_the_painted_layers(viewer, ready_run, no_garbage_collector, qtbot):
    dock, widget = open_dock(viewer, "Masks", qtbot)
    layer = ready_run.real.layer("support")
    close_dock(dock, qtbot)
    qtbot.waitUntil(lambda: not isalive(widget))
    layer.mode = "paint"
    layer.brush_size = 7


def test_closing_the_dock_ends_centring_by_hand(viewer, short_run, do, qtbot):
    dock, widget = open_dock(viewer, "Background & centre", qtbot)
    do(short_run, Step.DATA)
    qtbot.mouseClick(widget.centre.by_hand, LEFT)
    assert short_run.reciprocal.drags_centre
    close_dock(dock, qtbot)
    qtbot.waitUntil(lambda: not short_run.reciprocal.drags_centre)
    assert not short_run.reciprocal.layer("Friedel mate").visible


def test_closing_the_workflow_ends_aligning_by_hand(viewer, short_run, do, qtbot):
    dock, workflow = open_dock(viewer, WORKFLOW, qtbot)
    do(short_run, Step.ALIGN)
    workflow.open_only(Step.ALIGN)
    visible = {layer.name: layer.visible for layer in viewer.layers}
    workflow.steps[Step.ALIGN].by_hand.click()
    assert {layer.name: layer.visible for layer in viewer.layers} != visible
    close_dock(dock, qtbot)
    qtbot.waitUntil(lambda: visible.items() <= {layer.name: layer.visible for layer in viewer.layers}.items())


def test_a_dock_closed_by_what_it_shows_itself_does_no_harm(viewer, with_inputs, qtbot):
    """The list of layers changes in the very turn in which the dock goes."""
    dock, widget = open_dock(viewer, "Data", qtbot)
    with_inputs.inputs.choices_changed.connect(lambda: viewer.window.remove_dock_widget(dock))
    choose(qtbot, widget.rows["background"].combo, "already subtracted")
    with_inputs.inputs.choices_changed.emit()
    qtbot.waitUntil(lambda: not isalive(widget))


def test_steps_on_their_own_fit_a_small_screen_and_open_what_they_need(viewer, with_inputs, small_case, do, qtbot):
    height = viewer.window._qt_window.height()
    layer = viewer.open(small_case / "particle.tif", plugin="napari")[0]
    with_inputs.set_input("pattern", layer)
    _, data = open_dock(viewer, "Data", qtbot)
    assert opening.find_dock(viewer, RECIPROCAL) is None
    qtbot.mouseClick(data.button, LEFT)
    qtbot.waitUntil(lambda: layer in with_inputs.reciprocal.model.layers)
    assert opening.find_dock(viewer, RECIPROCAL).isVisible() and with_inputs.reciprocal.isVisible()
    for name in ("Background & centre", "Masks", "Phase"):
        open_dock(viewer, name, qtbot)
    assert viewer.window._qt_window.height() == height == 800
    opening.find_dock(viewer, RECIPROCAL).hide()
    background = opening.find_dock(viewer, "Background & centre").inner_widget()
    background.centre.by_hand.click()
    assert with_inputs.reciprocal.isVisible()
    background.centre.by_hand.click()
