"""The Background dock: parameters, what was found, and the centre by hand in the second canvas."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QLabel, QPushButton

from napari_subangstrom_cdi.gui.canvas.reciprocal_view import MATE, PATTERN, RECORD
from napari_subangstrom_cdi.session.session import State, Step

TRUE_CENTRE = (1.134, 1.633)  # of the small case, by its own spots


@pytest.fixture
def dock(with_inputs, viewer, qtbot):
    from napari_subangstrom_cdi.gui.docks.background import BackgroundDock

    dock = BackgroundDock(viewer)
    viewer.window.add_dock_widget(dock, name="Background", area="right")
    viewer.window.add_dock_widget(with_inputs.reciprocal, name="Reciprocal space", area="bottom")
    qtbot.waitUntil(with_inputs.reciprocal.isVisible)
    return dock


def press(dock, qtbot, name) -> None:
    qtbot.mouseClick(dock.findChild(QPushButton, name), Qt.MouseButton.LeftButton)


def run(dock, controller, qtbot) -> None:
    qtbot.mouseClick(dock.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not controller.session.busy)
    qtbot.wait(100)
    assert controller.session.state(Step.BACKGROUND) is State.DONE, controller.session.errors


def drag(canvas, qtbot, by: QPoint) -> None:
    start = canvas.rect().center()
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    for k in range(1, 6):
        qtbot.mouseMove(canvas, start + by * k / 5)
        qtbot.wait(20)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=start + by)


def by_hand(controller):
    return controller.session.plan.pattern.beam_centre_px


def test_the_step_says_what_it_found_and_parameters_are_checked(dock, controller, qtbot):
    assert dock.findChild(QLabel, "centre-match").text() == ""
    assert not dock.centre.isEnabled()
    run(dock, controller, qtbot)
    y, x = (box.value() for box in dock.centre.boxes)
    assert (y, x) == pytest.approx(TRUE_CENTRE, abs=0.02)
    assert "pairs of spots" in dock.centre.origin.text()
    said = dock.found.text()
    assert "turned by +0.1" in said
    assert "Array 384² px, binned 1 × 1" in said
    scale = dock.findChild(QAbstractSpinBox, "background_scale")
    assert "1.05" in scale.text()
    qtbot.waitUntil(lambda: "correlation 0.9" in dock.centre.match.text())

    for box in ("binning_auto", "array_size_auto"):
        qtbot.mouseClick(dock.findChild(QCheckBox, box), Qt.MouseButton.LeftButton)
    assert controller.session.plan.pattern.binning == 1  # the value in use is where one begins
    size = dock.findChild(QAbstractSpinBox, "array_size")
    enter(size, qtbot, "333")
    assert "an array of 333 pixels" in dock.findChild(QLabel, "array_size_error").text()
    assert controller.session.plan.pattern.array_size == 384
    enter(size, qtbot, "320")
    assert controller.session.plan.pattern.array_size == 320
    assert controller.session.state(Step.BACKGROUND) is State.STALE
    qtbot.mouseClick(dock.findChild(QCheckBox, "background_scale_auto"), Qt.MouseButton.LeftButton)
    enter(scale, qtbot, "1.2")
    run(dock, controller, qtbot)
    assert "Array 320² px" in dock.found.text()
    assert "times 1.2000" in dock.found.text()
    assert controller.session.centred.record.readings["background"]["scale"] == 1.2
    controller.undo()
    assert controller.session.plan.pattern.background_scale != 1.2
    controller.change("inputs", background="fit")
    assert not scale.isEnabled()


def enter(box, qtbot, text) -> None:
    box.setFocus()
    box.selectAll()
    qtbot.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Return)


def test_the_centre_is_dragged_stepped_typed_snapped_and_given_back(dock, controller, qtbot, do):
    do(controller, Step.DATA)
    reciprocal = controller.reciprocal
    press(dock, qtbot, "centre-by-hand")
    qtbot.waitUntil(lambda: dock.centre.residual is not None)  # the spots are found beside the window
    assert reciprocal.layer(MATE).visible
    qtbot.wait(200)
    drawn = reciprocal.qt_viewer.screenshot(flash=False)[..., :3].astype(int)
    assert (np.abs(drawn[..., 0] - drawn[..., 2]) > 40).any()  # record and mate in two colours

    canvas, q = reciprocal.qt_viewer.canvas.native, controller.session.loaded.calibration.q_pixel_per_angstrom
    pixels = 1 / (q * reciprocal.model.scene.camera.zoom)  # raw pixels a pixel of the screen
    drag(canvas, qtbot, QPoint(3, -2))
    y, x = by_hand(controller)
    assert (y, x) == pytest.approx((2 * pixels, -3 * pixels), rel=0.02)
    assert controller.session.state(Step.BACKGROUND) is State.READY
    qtbot.waitUntil(lambda: dock.centre.residual.distance_px > 0.5)
    assert "away" in dock.centre.match.text()
    enter(dock.centre.boxes[1], qtbot, "-77.7")
    qtbot.waitUntil(lambda: "Hardly" in dock.centre.match.text())
    assert not dock.centre.snap.isEnabled()
    controller.undo()
    assert by_hand(controller) == pytest.approx((y, x)), "the drag is a step of its own"
    controller.undo()
    assert by_hand(controller) is None
    drag(canvas, qtbot, QPoint(3, -2))

    qtbot.keyClick(canvas, Qt.Key.Key_Up)
    qtbot.keyClick(canvas, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert by_hand(controller) == pytest.approx((y + 0.1, x + 1.0))
    enter(dock.centre.boxes[0], qtbot, "2.5")
    assert by_hand(controller) == pytest.approx((2.5, x + 1.0))
    qtbot.waitUntil(dock.centre.snap.isEnabled)
    qtbot.wait(100)
    press(dock, qtbot, "centre-snap")
    assert by_hand(controller) == pytest.approx(TRUE_CENTRE, abs=0.05)
    record = reciprocal.layer(RECORD)
    np.testing.assert_allclose(record.world_to_data((0, 0)), np.add(by_hand(controller), 192), atol=1e-6)

    while controller.session.undo():  # whatever was done by hand can be taken back
        if by_hand(controller) is None:
            break
    controller.poll()
    assert by_hand(controller) is None
    np.testing.assert_allclose(record.world_to_data((0, 0)), (192, 192), atol=1e-6)
    controller.redo()

    run(dock, controller, qtbot)
    assert not dock.centre.by_hand.isChecked()
    assert not reciprocal.layer(MATE).visible
    assert reciprocal.layer(PATTERN).visible
    assert "Set by hand" in dock.centre.origin.text()
    press(dock, qtbot, "centre-automatic")
    assert by_hand(controller) is None
    run(dock, controller, qtbot)
    assert "Found to" in dock.centre.origin.text()


def test_centring_by_hand_leaves_the_canvas_as_it_was(dock, controller, qtbot):
    run(dock, controller, qtbot)
    reciprocal = controller.reciprocal
    before = {layer.name: layer.visible for layer in reciprocal.model.layers}
    press(dock, qtbot, "centre-by-hand")
    assert reciprocal.layer(RECORD).visible
    assert not reciprocal.layer(PATTERN).visible
    reciprocal.model.layers.remove(reciprocal.layer(MATE))  # deleted under our hands
    drag(reciprocal.qt_viewer.canvas.native, qtbot, QPoint(4, 4))
    assert by_hand(controller) is not None
    press(dock, qtbot, "centre-by-hand")
    after = {layer.name: layer.visible for layer in reciprocal.model.layers}
    assert {name: seen for name, seen in after.items() if name in before} == before
    assert not reciprocal.drags_centre
    # Another tool that takes the mouse ends this one.
    press(dock, qtbot, "centre-by-hand")
    reciprocal.start_align_drag()
    controller.changed.emit()
    assert not dock.centre.by_hand.isChecked()
    reciprocal.stop_align_drag()
