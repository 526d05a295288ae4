"""The Align dock: by itself, by sliders, by dragging, undone, and replayed without a window."""

from __future__ import annotations

import math

import numpy as np
import pytest
from qtpy.QtCore import Qt

from hands import LEFT, SliderDrag, choose, main_canvas, move, place_in, stroke, take_over, type_into
from jobs import advance, job
from napari_subangstrom_cdi.gui.canvas import real_view as rv
from napari_subangstrom_cdi.gui.canvas import reciprocal_view as cv
from napari_subangstrom_cdi.gui.docks.align import AlignDock
from napari_subangstrom_cdi.job.preparation import Clock, prepare
from napari_subangstrom_cdi.session.session import State, Step


@pytest.fixture(scope="module")
def done(small_case):
    """The steps before, done once for all tests."""
    session = advance(job(small_case), Step.BACKGROUND)
    yield session
    session.close()


@pytest.fixture
def dock(controller, viewer, done, qtbot):
    take_over(controller, done, Step.DATA, Step.BACKGROUND)
    dock = AlignDock(viewer)
    viewer.window.add_dock_widget(controller.reciprocal, name="Reciprocal space", area="left")
    viewer.window.add_dock_widget(dock, name="Align image", area="right")
    qtbot.waitExposed(dock)
    return dock


@pytest.fixture
def aligned(dock, prepared_job, qtbot):
    take_over(dock.controller, prepared_job, Step.ALIGN)
    settle(dock, qtbot)
    return dock


def settle(dock, qtbot) -> None:
    session, previews = dock.session, dock.controller.previews
    qtbot.waitUntil(lambda: not session.busy)
    dock.controller.poll()
    qtbot.waitUntil(lambda: not previews.busy)


def open_hand(dock, qtbot) -> None:
    qtbot.mouseClick(dock.by_hand, LEFT)
    settle(dock, qtbot)
    dock.controller.reciprocal.home()
    qtbot.wait(100)


def turn_of(layer) -> float:
    """How far the image's layer is turned on the screen, degrees, clockwise."""
    linear = layer.affine.affine_matrix[:2, :2]
    return math.degrees(math.atan2(linear[0, 1], linear[0, 0]))


def image_spots(dock) -> np.ndarray:
    return np.array(dock.controller.reciprocal.layer(cv.IMAGE_SPOTS).data)


def test_before_anything_is_aligned_the_hand_has_nothing_to_move(dock):
    assert not dock.by_hand.isEnabled()
    assert "Align once first" in dock.by_hand.toolTip()
    assert not dock.hand.isVisible()
    assert dock.table.values["rotation"].text() == "–"


def test_the_button_aligns_and_the_dock_shows_what_was_found(dock, qtbot, picture):
    qtbot.mouseClick(dock.button, LEFT)
    settle(dock, qtbot)
    assert dock.session.state(Step.ALIGN) is State.DONE, dock.session.errors
    found = dock.session.image.registration
    texts = {name: label.text() for name, label in dock.table.values.items()}
    rotation, error = texts["rotation"].rstrip("°").split(" ± ")
    assert float(rotation) == pytest.approx(found.rotation_deg, abs=found.rotation_error_deg)
    assert float(error) == pytest.approx(found.rotation_error_deg, rel=0.06)
    assert texts["pixel"].startswith(f"{found.image_pixel_angstrom:.3f}") and texts["pixel"].endswith(" Å")
    assert texts["correlation"].startswith(f"{found.correlation:.4f}, {found.n_reflections} ")
    assert texts["phase"] == f"{found.object_phase_deg:.1f}°".replace("-", "−")
    assert texts["defocus"] == f"{found.defocus_nm:.1f} nm".replace("-", "−")
    assert "correlation" in dock.status.text()
    shown = dock.candidates.tree.topLevelItemCount()
    assert 1 < shown <= len(found.candidates)
    assert np.hypot(*image_spots(dock).T).max() > 0.2
    picture(dock, "align")


def test_a_slider_turns_image_and_spots_at_once_and_is_one_change(aligned, qtbot, picture):
    controller, session = aligned.controller, aligned.session
    open_hand(aligned, qtbot)
    found, before = session.image.registration, session.plan
    image, spots = controller.real.layer(rv.IMAGE), image_spots(aligned)
    assert image.visible and not controller.real.layer(rv.POTENTIAL).visible
    automatic = float(aligned.hand.number.text())
    assert f"{automatic:.3f}" in aligned.hand.automatic.text()
    assert turn_of(image) == pytest.approx(found.rotation_deg, abs=1e-6)
    with SliderDrag(qtbot, aligned.hand.rotation.slider) as held:
        held.by(1)
        assert 0 < aligned.hand.rotation.value - found.rotation_deg < 0.25, "fine enough to align by"
        held.by(11)
        qtbot.waitUntil(lambda: not controller.previews.busy)
        tried = aligned.hand.rotation.value
        assert tried > found.rotation_deg + 0.5
        assert session.plan is before
        assert turn_of(image) == pytest.approx(tried, abs=1e-6)
        turned = np.angle(np.exp(1j * (angles(image_spots(aligned)) - angles(spots))))
        np.testing.assert_allclose(np.degrees(turned), tried - found.rotation_deg, atol=1e-6)
        assert float(aligned.hand.number.text().replace("−", "-")) < automatic - 0.02
        held.by(5)
    picture(aligned, "align-by-hand")
    by_hand = session.plan.image
    assert by_hand.rotation_deg == aligned.hand.rotation.value > tried
    assert by_hand.pixel_angstrom == pytest.approx(found.image_pixel_angstrom, rel=1e-12)
    assert session.state(Step.ALIGN) is State.STALE
    with SliderDrag(qtbot, aligned.hand.pixel.slider) as held:
        held.by(6)
    assert session.plan.image.pixel_angstrom > by_hand.pixel_angstrom
    controller.undo()
    assert session.plan.image == by_hand
    controller.undo()
    assert session.plan == before and session.state(Step.ALIGN) is State.DONE
    assert turn_of(image) == pytest.approx(found.rotation_deg, abs=1e-6)
    assert aligned.hand.rotation.value == pytest.approx(found.rotation_deg)
    qtbot.mouseClick(aligned.by_hand, LEFT)
    assert controller.real.layer(rv.POTENTIAL).visible and not image.visible


def angles(points: np.ndarray) -> np.ndarray:
    return np.arctan2(points[:, 0], points[:, 1])


def test_align_applies_what_was_typed_as_the_command_line_does(aligned, qtbot):
    open_hand(aligned, qtbot)
    session = aligned.session
    comparison = session.comparison
    found = session.image.registration
    type_into(qtbot, aligned.hand.rotation.box, f"{found.rotation_deg + 0.5:.3f}")
    qtbot.mouseClick(aligned.button, LEFT)
    settle(aligned, qtbot)
    assert session.state(Step.ALIGN) is State.DONE
    typed = round(found.rotation_deg + 0.5, 3)
    assert session.image.registration.rotation_deg == pytest.approx(typed)
    assert "by hand" in aligned.table.values["rotation"].text()
    assert session.comparison is comparison  # built once, with what was found
    assert session.automatic_registration is found
    headless = prepare(session.plan, Clock())
    np.testing.assert_array_equal(headless.problem.image, session.image.potential)
    qtbot.mouseClick(aligned.hand.back_button, LEFT)
    assert session.plan.image.rotation_deg is None and session.plan.image.mirrored is False
    assert session.state(Step.ALIGN) is State.STALE
    assert aligned.hand.rotation.value == pytest.approx(found.rotation_deg)


def test_dragging_in_reciprocal_space_turns_and_with_shift_scales(aligned, qtbot):
    open_hand(aligned, qtbot)
    session, view = aligned.session, aligned.controller.reciprocal
    found, canvas = session.image.registration, view.qt_viewer.canvas.native
    angle = math.radians(10)
    stroke(qtbot, view.model, canvas, (0, 0.5), (0.5 * math.sin(angle), 0.5 * math.cos(angle)))
    pixels = 0.5 * view.model.scene.camera.zoom
    assert session.plan.image.rotation_deg == pytest.approx(found.rotation_deg + 10, abs=60 / pixels)
    assert session.plan.image.pixel_angstrom == pytest.approx(found.image_pixel_angstrom, rel=1e-6)
    turned = session.plan
    stroke(qtbot, view.model, canvas, (0, 0.5), (0, 0.52), modifier=Qt.KeyboardModifier.ShiftModifier)
    factor = _moved(view, 0.5, 0.52)
    assert session.plan.image.pixel_angstrom == pytest.approx(found.image_pixel_angstrom / factor, rel=1e-4)
    assert session.plan.image.rotation_deg == turned.image.rotation_deg
    aligned.controller.undo()
    assert session.plan == turned
    qtbot.mouseClick(aligned.by_hand, LEFT)
    stroke(qtbot, view.model, canvas, (0, 0.3), (0.2, 0.3))
    assert session.plan == turned


def _moved(view, start: float, end: float) -> float:
    """The factor that whole pixels of the screen make of it."""
    canvas = view.qt_viewer.canvas.native
    zero = canvas.width() / 2 - view.model.scene.camera.center[-1] * view.model.scene.camera.zoom
    first, last = (place_in(view.model, canvas, 0, q).x() for q in (start, end))
    return (last - zero) / (first - zero)


def test_another_candidate_is_used_by_a_double_click(aligned, qtbot):
    qtbot.mouseClick(aligned.others.button, LEFT)
    tree, candidates = aligned.candidates.tree, aligned.session.image.registration.candidates
    qtbot.wait(50)
    row = next(
        i for i, c in enumerate(candidates) if abs(c.rotation_deg - aligned.session.image.registration.rotation_deg) > 5
    )
    item = tree.visualItemRect(tree.topLevelItem(row)).center()
    qtbot.mouseClick(tree.viewport(), LEFT, pos=item)
    qtbot.mouseDClick(tree.viewport(), LEFT, pos=item)
    by_hand = aligned.session.plan.image
    assert (by_hand.rotation_deg, by_hand.pixel_angstrom) == (
        candidates[row].rotation_deg,
        candidates[row].image_pixel_angstrom,
    )
    aligned.controller.undo()
    assert aligned.session.plan.image.rotation_deg is None
    qtbot.mouseClick(tree.viewport(), LEFT, pos=item)
    qtbot.mouseClick(aligned.candidates.use, LEFT)
    assert aligned.session.plan.image == by_hand


def test_parameters_make_the_step_stale(aligned, qtbot):
    choose(qtbot, aligned.form.editor("potential"), "(1 − I)/2")
    assert aligned.session.plan.image.potential == "weak-phase"
    assert aligned.badge.state() == "stale"
    choose(qtbot, aligned.form.editor("mirrored"), "try both")
    assert aligned.session.plan.image.mirrored is None
    aligned.controller.undo()
    aligned.controller.undo()
    assert aligned.badge.state() == "done"


def test_an_alignment_that_fails_leaves_it_to_the_hand(dock, qtbot):
    session = dock.session
    nominal = session.plan.acquisition.image_pixel_angstrom
    dock.controller.change("image", rotation_deg=9.0, pixel_angstrom=20 * nominal)
    qtbot.mouseClick(dock.button, LEFT)
    settle(dock, qtbot)
    assert session.state(Step.ALIGN) is State.FAILED
    assert dock.status.level() == "error" and "field of view" in dock.status.text()
    open_hand(dock, qtbot)
    type_into(qtbot, dock.hand.pixel.box, f"{nominal}")
    assert session.plan.image.pixel_angstrom == nominal
    settle(dock, qtbot)
    close = float(dock.hand.number.text())
    type_into(qtbot, dock.hand.rotation.box, "30")
    settle(dock, qtbot)
    assert float(dock.hand.number.text().replace("−", "-")) < close - 0.2
    dock.controller.undo()
    qtbot.mouseClick(dock.button, LEFT)
    settle(dock, qtbot)
    assert session.state(Step.ALIGN) is State.DONE
    assert session.image.registration.correlation > 0.9


def point(dock, qtbot, place_px: tuple[float, float]) -> None:
    """Click on a pixel of the image as the canvas shows it."""
    controller = dock.controller
    world = controller.real.layer(rv.IMAGE).data_to_world(place_px)
    canvas = main_canvas(controller.viewer)
    where = place_in(controller.viewer, canvas, *world)
    move(canvas, where)
    qtbot.mouseClick(canvas, LEFT, pos=where)
    qtbot.wait(40)


def shown_rings(dock) -> bool:
    layer = dock.controller.real.layer(rv.PARTICLE)
    return layer is not None and layer.visible


def test_a_click_on_the_image_names_the_particle_as_typing_does(aligned, qtbot, picture):
    controller, session, tool = aligned.controller, aligned.session, aligned.particle
    before = session.plan
    assert not shown_rings(aligned)
    qtbot.mouseClick(tool.button, LEFT)
    assert tool.button.isChecked() and shown_rings(aligned)
    assert controller.real.layer(rv.IMAGE).visible and not controller.real.layer(rv.POTENTIAL).visible
    controller.viewer.reset_view()
    particle = session.loaded.particles[0]
    y, x = particle.centre_px
    aside = (y + 0.2 * particle.diameter_px, x - 0.1 * particle.diameter_px)
    point(aligned, qtbot, aside)
    told = session.plan.image.particle_px
    pixel = 1 / (controller.viewer.scene.camera.zoom * session.image.registration.image_pixel_angstrom)
    np.testing.assert_allclose(told, aside, atol=0.5 + pixel)
    assert not tool.button.isChecked() and tool.line.text() == f"{told[0]:g}, {told[1]:g}"
    assert f"({y:.0f}, {x:.0f})" in aligned.status.text()
    assert controller.real.layer(rv.POTENTIAL).visible and shown_rings(aligned)
    assert session.state(Step.ALIGN) is State.STALE
    picture(controller.viewer.window._qt_window, "particle-pointed-at")
    controller.undo()
    assert session.plan == before and session.state(Step.ALIGN) is State.DONE
    assert tool.line.text() == "" and not shown_rings(aligned)
    controller.redo()
    assert session.plan.image.particle_px == told
    qtbot.mouseClick(aligned.button, LEFT)
    settle(aligned, qtbot)
    assert session.state(Step.ALIGN) is State.DONE, session.errors
    assert f"of the particle about (y, x) ({y:.0f}, {x:.0f})" in aligned.status.text()


def test_a_click_beside_every_particle_is_refused_and_escape_leaves(aligned, qtbot):
    controller, session, tool = aligned.controller, aligned.session, aligned.particle
    before = session.plan
    qtbot.mouseClick(tool.button, LEFT)
    controller.viewer.reset_view()
    point(aligned, qtbot, (2.0, 2.0))
    assert session.plan == before and tool.button.isChecked()
    assert "no particle is found at y = " in aligned.status.text()
    middle = session.loaded.particles[0].centre_px
    canvas = main_canvas(controller.viewer)
    places = [controller.real.layer(rv.IMAGE).data_to_world(np.add(middle, (0, dx))) for dx in (0, 20)]
    stroke(qtbot, controller.viewer, canvas, *(tuple(place) for place in places))
    assert session.plan == before and tool.button.isChecked(), "a drag names no place"
    qtbot.keyClick(tool.button, Qt.Key.Key_Escape)
    assert not tool.button.isChecked() and not shown_rings(aligned)
    qtbot.mouseClick(tool.button, LEFT)
    canvas.setFocus()
    qtbot.keyClick(canvas, Qt.Key.Key_Escape)
    assert not tool.button.isChecked()
    qtbot.mouseClick(tool.button, LEFT)
    qtbot.mouseClick(aligned.by_hand, LEFT)
    assert not tool.button.isChecked() and aligned.by_hand.isChecked()
    qtbot.mouseClick(tool.button, LEFT)
    assert tool.button.isChecked() and not aligned.by_hand.isChecked()
    qtbot.mouseClick(tool.button, LEFT)
    assert not tool.button.isChecked()
    point(aligned, qtbot, middle)
    assert session.plan == before


def test_a_button_takes_a_slip_over_and_undo_brings_it_back(aligned, qtbot, picture):
    controller, session = aligned.controller, aligned.session
    sound = session.plan
    assert not aligned.remedies.buttons and not aligned.remedies.isVisible()
    controller.change("image", mirrored=True)
    qtbot.mouseClick(aligned.button, LEFT)
    settle(aligned, qtbot)
    assert session.state(Step.ALIGN) is State.FAILED
    assert "fit if the image is not mirrored" in aligned.status.text()
    slipped = session.plan
    titles = [button.text() for button in aligned.remedies.buttons]
    assert titles[0] == "Take over: not mirrored" and len(titles) > 1
    for button, remedy in zip(aligned.remedies.buttons, session.remedies(Step.ALIGN), strict=True):
        assert button.isVisible() and button.text().endswith(remedy.title)
    rotation = next(i for i, title in enumerate(titles) if "rotation" in title)
    assert "“Rotation φ” to −" in aligned.remedies.buttons[rotation].toolTip()
    picture(aligned, "align-slip")
    qtbot.mouseClick(aligned.remedies.buttons[rotation], LEFT)
    told = sound.acquisition.image_to_pattern_rotation_deg
    assert session.plan.acquisition.image_to_pattern_rotation_deg == -told and session.plan.image.mirrored
    assert session.state(Step.DATA) is State.STALE
    controller.undo()
    assert session.plan == slipped and session.state(Step.ALIGN) is State.FAILED
    assert [button.text() for button in aligned.remedies.buttons] == titles
    qtbot.mouseClick(aligned.remedies.buttons[0], LEFT)
    assert session.plan == sound and session.state(Step.ALIGN) is State.DONE
    assert not aligned.remedies.buttons and aligned.status.text() == "taken over: not mirrored"
