"""The Background dock: parameters, what was found, and the centre by hand in the second canvas."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import tifffile
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QLabel, QPushButton

from hands import stroke
from napari_subangstrom_cdi.core.faults import outside_stop, passed_by_stop
from napari_subangstrom_cdi.gui.canvas.reciprocal_view import MATE, PATTERN, RECORD, STOP
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


@pytest.fixture
def behind_a_stop(dock, controller, small_case, tmp_path):
    """The small case recorded with a beam stop and its arm."""
    for role in ("particle", "background"):
        counts = tifffile.imread(small_case / f"{role}.tif").astype(float)
        dark = np.percentile(counts, 1) + np.random.default_rng(0).normal(0, 2, counts.shape)
        centre = [size // 2 + at for size, at in zip(counts.shape, TRUE_CENTRE, strict=True)]
        lit = passed_by_stop(outside_stop(counts.shape, centre, disc_px=14, arm_px=7, direction_deg=-90), 0)
        tifffile.imwrite(tmp_path / f"{role}.tif", np.where(lit > 0, counts, dark).astype(np.uint16))
        controller.set_input("pattern" if role == "particle" else role, tmp_path / f"{role}.tif")
    return dock


def test_a_beam_stop_is_shown_and_what_is_erased_of_it_is_measured_again(behind_a_stop, controller, qtbot, picture):
    dock, session, view = behind_a_stop, controller.session, controller.reciprocal
    assert not dock.stop.isVisible()
    run(dock, controller, qtbot)
    assert "a beam stop was found" in dock.status.text() and dock.stop.isVisible()
    found, centre = session.centred.record.found_stop, session.centred.record.centre_px
    shown = view.layer(STOP)
    np.testing.assert_array_equal(np.asarray(shown.data, bool), found)
    np.testing.assert_allclose(shown.data_to_world(centre), (0, 0), atol=1e-9)
    before = session.plan
    view.home()
    arm = (round(centre[0]) - 60, round(centre[1]))  # the arm points up
    assert found[arm]
    qtbot.mouseClick(dock.stop.tools.buttons["erase"], Qt.MouseButton.LeftButton)
    shown.brush_size = 30
    reach = view.layer(STOP).data_to_world
    along = [tuple(reach((y, arm[1]))) for y in range(arm[0], 100, -10)]
    stroke(qtbot, view.model, view.qt_viewer.canvas.native, *along)
    removed = session.plan.pattern.stop_removed.pixels(where="here")
    assert removed[arm] and session.plan.pattern.stop_added is None
    assert 0 < removed.sum() < found.sum() and not (removed & ~found).any()
    assert f"{removed.sum():,} px erased" in dock.stop.count.text()
    assert session.state(Step.BACKGROUND) is State.STALE
    picture(controller.viewer.window._qt_window, "beam-stop-erased")
    run(dock, controller, qtbot)
    record = session.centred.record
    np.testing.assert_array_equal(record.found_stop, found)
    assert record.readings["beam_stop_pixels"] == np.count_nonzero(found & ~removed)
    assert not record.record.valid[found & ~removed].any()
    # what is left reaches farther in the background's record, which is moved and turned onto the pattern
    clear = removed & (scipy.ndimage.distance_transform_edt(~(found & ~removed)) > 4)
    assert clear[arm] and record.record.valid[clear].all()
    assert session.centred.pattern.valid[192 - 60, 192]
    assert "a beam stop was found" not in dock.status.text()
    controller.undo()
    assert session.plan == before
    np.testing.assert_array_equal(np.asarray(view.layer(STOP).data, bool), found)
    controller.redo()
    np.testing.assert_array_equal(np.asarray(view.layer(STOP).data, bool), found & ~removed)
    press(dock, qtbot, "stop-automatic")
    assert session.plan == before and dock.stop.count.text() == "as found"
