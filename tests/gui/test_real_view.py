"""The layers of real space: placement, streaming, contrast, painting, deletion; in a real napari window."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QPoint, Qt, QTimer

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.canvas import real_view as rv
from napari_subangstrom_cdi.gui.canvas._contrast import SteadyLimits

GRID = Grid(128, 64.0)
BOX = (slice(40, 90), slice(36, 92))


@pytest.fixture
def told():
    return {"deleted": [], "painted": []}


@pytest.fixture
def window(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1100, 800)
    return viewer


@pytest.fixture
def viewer(request):
    """A window for the tests that ask for one; for the others the model alone, which is made in no time."""
    return request.getfixturevalue("window") if "window" in request.fixturenames else ViewerModel()


class Prompt(rv.RealView):
    """Without the time between one new layer and the next."""

    def show_frame(self, *arguments, **options):
        super().show_frame(*arguments, **options)
        self.make_all()

    def show_ensemble(self, *arguments):
        super().show_ensemble(*arguments)
        self.make_all()


@pytest.fixture
def view(viewer, told):
    view = Prompt(viewer, on_deleted=told["deleted"].append, on_support_painted=told["painted"].append)
    yield view
    view.close()


def frame(seed: int = 0, *, gain: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[BOX[0], BOX[1]]
    atoms = np.cos(y / 2.0) ** 8 * np.cos(x / 2.0) ** 8 + 0.03 * rng.standard_normal(y.shape)
    return (gain * atoms * np.exp(0.3j)).astype(np.complex64)


def disc(radius: float = 20.0) -> np.ndarray:
    return GRID.radius_px() < radius


def canvas(viewer):
    return viewer.window._qt_viewer.canvas.native


def at(viewer, y_angstrom: float, x_angstrom: float) -> QPoint:
    """Canvas pixel of a place in Å."""
    camera, native = viewer.scene.camera, canvas(viewer)
    y, x = camera.center[-2:]
    return QPoint(
        round(native.width() / 2 + (x_angstrom - x) * camera.zoom),
        round(native.height() / 2 + (y_angstrom - y) * camera.zoom),
    )


def drag(qtbot, viewer, *places, button=Qt.MouseButton.LeftButton):
    native = canvas(viewer)
    points = [at(viewer, *place) for place in places]
    qtbot.mouseMove(native, points[0])
    qtbot.wait(30)
    qtbot.mousePress(native, button, pos=points[0])
    for point in points[1:]:
        qtbot.mouseMove(native, point)
        qtbot.wait(30)
    qtbot.mouseRelease(native, button, pos=points[-1])
    qtbot.wait(50)


def test_every_layer_is_in_angstrom_with_the_origin_at_zero(window, view, viewer):
    view.show_image(np.ones((40, 60), np.float32), 0.4)
    view.show_potential(np.zeros(GRID.shape, np.float32), GRID)
    view.show_support(disc(), GRID)
    view.show_frame(frame(), BOX, GRID)
    view.show_model(disc().astype(np.complex64), disc(), GRID)
    view.show_ensemble(frame().real, np.abs(frame()), BOX, GRID)
    view.show_particles(np.array([[10.0, 20.0], [30.0, 40.0]]), np.array([8.0, 6.0]), 1)
    np.testing.assert_allclose(view.layer(rv.PARTICLE).data_to_world((20, 30)), (0, 0), atol=1e-12)
    assert {layer.metadata["subangstrom_cdi"] for layer in viewer.layers} == set(rv.ROLES) - {rv.OMIT}
    for layer in viewer.layers:
        assert {str(unit) for unit in layer.units} == {"angstrom"}
        assert layer.axis_labels == ("y", "x")
    for role in (rv.POTENTIAL, rv.SUPPORT):
        np.testing.assert_allclose(view.layer(role).world_to_data((0, 0)), (64, 64))
    np.testing.assert_allclose(view.layer(rv.IMAGE).world_to_data((0, 0)), (20, 30))
    for role in (rv.REAL, rv.PHASE, rv.COMPOSITE, rv.DEVIATION):
        np.testing.assert_allclose(view.layer(role).world_to_data((0, 0)), (64 - 40, 64 - 36), atol=1e-6)
    assert {str(unit) for unit in viewer.layers.units} == {"angstrom"}
    assert viewer.canvas.overlays.scale_bar.visible


def test_model_and_omit_map_are_hidden_and_follow_the_result(view):
    field = (disc() * (1 + 0.5j)).astype(np.complex64)
    view.show_result(field, np.abs(field), disc(), GRID, 2 * field)
    view.show_model(field, disc(), GRID, (1.0, -0.5))
    view.make_all()
    omit, model = view.layer(rv.OMIT), view.layer(rv.MODEL)
    assert not omit.visible and not model.visible
    np.testing.assert_array_equal(omit.data, 2 * field[rv.box_of(disc())].real)
    np.testing.assert_allclose(np.subtract(model.translate, omit.translate), (1.0, -0.5))
    view.show_model(3 * field, disc(), GRID)
    assert model.data.max() == 3, "a hidden layer has what it would show"
    view.set_visible(rv.OMIT, True)
    view.show_result(field, np.abs(field), disc(), GRID)
    assert not omit.visible, "this result has none"


def test_only_the_real_part_is_shown_at_first_and_the_support_is_on_top(view, viewer):
    view.show_support(disc(), GRID)
    view.show_image(np.ones((40, 60), np.float32), 0.4)
    view.show_potential(np.zeros(GRID.shape, np.float32), GRID)
    assert [layer.name for layer in viewer.layers] == [rv.IMAGE, rv.POTENTIAL, rv.SUPPORT]
    assert not view.layer(rv.IMAGE).visible
    view.show_frame(frame(), BOX, GRID)
    assert {layer.name for layer in viewer.layers if layer.visible} == {rv.REAL, rv.SUPPORT}
    assert viewer.layers[-1].name == rv.SUPPORT


def test_the_users_own_image_layer_is_adopted_in_place(view, viewer):
    own = viewer.add_image(np.random.default_rng(0).random((50, 70)), name="mine", units=("pixel", "pixel"))
    assert view.show_image(own.data, 0.5, layer=own) is own
    assert list(viewer.layers) == [own] and own.name == "mine"
    np.testing.assert_allclose(own.scale, 0.5)
    assert {str(unit) for unit in own.units} == {"angstrom"}
    np.testing.assert_allclose(own.world_to_data((0, 0)), (25, 35))


def test_the_image_is_turned_onto_the_pattern_by_its_affine(view):
    layer = view.show_image(np.ones((50, 70), np.float32), 0.4)
    angle = math.radians(30)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    mirror = np.diag([1.0, -1.0])
    matrix = 0.38 * turn @ mirror
    view.place_image(matrix, (21.5, 33.0))
    for pixel in ((21.5, 33.0), (0.0, 0.0), (49.0, 10.0)):
        expected = matrix @ (np.array(pixel) - (21.5, 33.0))
        np.testing.assert_allclose(layer.data_to_world(pixel), expected, atol=1e-9)
    np.testing.assert_allclose(layer.scale, 0.38)
    assert {str(unit) for unit in layer.units} == {"angstrom"}


def test_a_pixel_of_no_size_is_refused(view):
    view.show_image(np.ones((50, 70), np.float32), 0.4)
    with pytest.raises(InputError, match="pixel"):
        view.place_image(np.zeros((2, 2)), (0, 0))


def test_frames_go_into_the_same_layers_and_hidden_ones_get_the_newest_when_shown(window, view, viewer):
    view.show_frame(frame(0), BOX, GRID)
    before = list(viewer.layers)
    phase_before = view.layer(rv.PHASE).data.copy()
    for seed in range(1, 4):
        view.show_frame(frame(seed), BOX, GRID)
    assert list(viewer.layers) == before
    np.testing.assert_array_equal(view.layer(rv.REAL).data, frame(3).real)
    np.testing.assert_array_equal(view.layer(rv.PHASE).data, phase_before)
    view.set_visible(rv.PHASE, True)
    np.testing.assert_array_equal(view.layer(rv.PHASE).data, np.angle(frame(3)))
    np.testing.assert_allclose(view.layer(rv.PHASE).contrast_limits, (-np.pi, np.pi))
    view.set_visible(rv.COMPOSITE, True)
    assert view.layer(rv.COMPOSITE).data.shape == (50, 56, 3) and view.layer(rv.COMPOSITE).rgb


def test_the_result_is_shown_on_the_supports_box(view):
    field = np.zeros(GRID.shape, np.complex64)
    field[60, 70] = 2.0
    view.show_result(field, np.abs(field), disc(), GRID)
    layer = view.layer(rv.REAL)
    peak = np.unravel_index(layer.data.argmax(), layer.data.shape)
    np.testing.assert_allclose(layer.data_to_world(peak), ((60 - 64) * 0.5, (70 - 64) * 0.5), atol=1e-9)
    assert view.layer(rv.SUPPORT).data.sum() == disc().sum()


def test_hidden_layers_hold_the_result_too(window, view):
    view.show_frame(frame(0), BOX, GRID)
    view.make_all()
    field = np.zeros((128, 128), np.complex64)
    field[disc()] = 2 + 1j
    view.show_result(field, np.abs(field) / 4, disc(), GRID)
    largest = {rv.AMPLITUDE: math.sqrt(5), rv.PHASE: math.atan2(1, 2), rv.DEVIATION: math.sqrt(5) / 4}
    for role, expected in largest.items():
        layer = view.layer(role)
        assert not layer.visible
        assert layer.data.max() == pytest.approx(expected, rel=1e-6), role


def test_live_frames_share_one_array_and_are_seen(window, view):
    view.show_frame(frame(0), BOX, GRID)
    view.show_frame(frame(1), BOX, GRID)
    layer = view.layer(rv.REAL)
    array = layer.data
    view.home()
    before = window.screenshot(canvas_only=True, flash=False).astype(float)
    view.show_frame(-frame(1), BOX, GRID)
    assert layer.data is array
    np.testing.assert_array_equal(array, -frame(1).real)
    after = window.screenshot(canvas_only=True, flash=False).astype(float)
    assert np.abs(after - before).mean() > 5


RECONSTRUCTION = (rv.REAL, rv.AMPLITUDE, rv.PHASE, rv.COMPOSITE, rv.MEAN, rv.DEVIATION)


def test_layers_made_before_a_run_wait_hidden_and_begin_with_the_first_frame(window, view, viewer):
    view.show_image(np.ones((50, 70), np.float32), 0.4)
    view.expect_frames(GRID)
    view.make_all()
    assert not any(view.layer(role).visible for role in RECONSTRUCTION) and view.layer(rv.IMAGE).visible
    assert not set(RECONSTRUCTION) & set(view.state())
    made = {role: view.layer(role) for role in RECONSTRUCTION}
    view.show_frame(frame(gain=1000.0), BOX, GRID)
    assert {role: view.layer(role) for role in RECONSTRUCTION} == made
    assert [role for role in RECONSTRUCTION if made[role].visible] == [rv.REAL]
    assert not view.layer(rv.IMAGE).visible
    np.testing.assert_array_equal(made[rv.REAL].data, frame(gain=1000.0).real)
    assert made[rv.REAL].contrast_limits[1] > 500, "at once, not by and by from those of an empty layer"
    made[rv.AMPLITUDE].visible = True
    np.testing.assert_allclose(made[rv.AMPLITUDE].data, np.abs(frame(gain=1000.0)))
    assert made[rv.AMPLITUDE].contrast_limits[1] > 500
    assert {rv.REAL, rv.AMPLITUDE} <= set(view.state())


def test_frames_that_come_while_layers_are_being_made_are_the_ones_shown(view):
    view.expect_frames(GRID)
    view.show_frame(frame(), BOX, GRID)
    np.testing.assert_array_equal(view.layer(rv.REAL).data, frame().real)
    assert view.layer(rv.REAL).visible and not view.layer(rv.AMPLITUDE).visible


def test_layers_with_something_in_them_are_not_emptied(view):
    view.show_frame(frame(), BOX, GRID)
    view.expect_frames(GRID)
    view.make_all()
    np.testing.assert_array_equal(view.layer(rv.REAL).data, frame().real)
    assert view.layer(rv.REAL).visible


def test_a_result_is_never_written_over(view):
    view.show_frame(frame(0), BOX, GRID)
    field = np.zeros((128, 128), np.complex64)
    field[BOX] = frame(1)
    support = np.zeros((128, 128), bool)
    support[BOX] = True
    view.show_result(field, np.abs(field), support, GRID)
    held = {role: view.layer(role).data for role in (rv.REAL, rv.AMPLITUDE, rv.PHASE, rv.COMPOSITE)}
    copies = {role: data.copy() for role, data in held.items()}
    for role in held:
        view.set_visible(role, True)
    for seed in (2, 3):
        view.show_frame(frame(seed), BOX, GRID)
    for role, data in held.items():
        assert not np.shares_memory(view.layer(role).data, data)
        np.testing.assert_array_equal(data, copies[role])


def test_limits_rarely_move_with_noise_and_follow_a_real_change(window, view):
    changes = []
    view.show_frame(frame(0), BOX, GRID)
    view.layer(rv.REAL).events.contrast_limits.connect(lambda: changes.append(1))
    for seed in range(1, 40):
        view.show_frame(frame(seed, gain=1 + 0.05 * math.sin(seed)), BOX, GRID)
    assert len(changes) <= 1
    limits = [view.layer(rv.REAL).contrast_limits[1]]
    for seed in range(40, 60):
        time.sleep(0.03)
        view.show_frame(frame(seed, gain=3.0), BOX, GRID)
        limits.append(view.layer(rv.REAL).contrast_limits[1])
    steps = np.diff(limits)
    assert (steps >= -1e-6).all() and steps.max() < 0.5 * (limits[-1] - limits[0])
    assert limits[-1] == pytest.approx(3 * limits[0], rel=0.15)


def test_limits_arrive_as_soon_with_few_frames_as_with_many():
    values = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    reached = []
    for frames_per_second in (2, 20):
        steady = SteadyLimits()
        steady.follow(values, now=0.0)
        for number in range(1, frames_per_second + 1):
            limits = steady.follow(3 * values, now=number / frames_per_second)
        reached.append(limits[1])
    np.testing.assert_allclose(reached, 3.15, rtol=0.05)


def test_what_the_user_sets_stays_until_reset(window, view):
    view.show_frame(frame(0), BOX, GRID)
    layer = view.layer(rv.REAL)
    layer.contrast_limits = (0.1, 0.2)
    view.layer(rv.AMPLITUDE).visible = True
    view.layer(rv.AMPLITUDE).gamma = 0.5
    view.layer(rv.AMPLITUDE).colormap = "viridis"
    for gain in (1, 5, 25):
        time.sleep(0.2)
        view.show_frame(frame(1, gain=gain), BOX, GRID)
    assert layer.contrast_limits == [0.1, 0.2]
    assert view.layer(rv.AMPLITUDE).contrast_limits[1] > 10, "colours are no limits"
    assert (view.layer(rv.AMPLITUDE).gamma, view.layer(rv.AMPLITUDE).colormap.name) == (0.5, "viridis")
    view.follow_contrast()
    assert layer.contrast_limits[1] > 10
    time.sleep(0.2)
    view.show_frame(frame(1, gain=250), BOX, GRID)
    assert layer.contrast_limits[1] > 50


def test_renaming_breaks_nothing(view, viewer):
    view.show_frame(frame(0), BOX, GRID)
    layer = view.layer(rv.REAL)
    layer.name = "atoms"
    view.show_frame(frame(1), BOX, GRID)
    assert view.layer(rv.REAL) is layer and layer.name == "atoms"
    np.testing.assert_array_equal(layer.data, frame(1).real)


def test_a_deleted_layer_is_reported_and_comes_back_with_the_next_run_only(window, view, viewer, told):
    view.show_frame(frame(0), BOX, GRID)
    viewer.layers.remove(view.layer(rv.REAL))
    assert told["deleted"] == [rv.REAL]
    view.show_frame(frame(1), BOX, GRID)
    assert view.layer(rv.REAL) is None and rv.REAL not in [layer.name for layer in viewer.layers]
    view.forget_deletions()
    view.show_frame(frame(2), BOX, GRID)
    np.testing.assert_array_equal(view.layer(rv.REAL).data, frame(2).real)
    assert told["deleted"] == [rv.REAL]


def test_a_duplicate_is_the_users_own(view, viewer):
    view.show_frame(frame(0), BOX, GRID)
    data, options, kind = view.layer(rv.REAL).as_layer_data_tuple()
    copy = viewer._add_layer_from_data(data.copy(), options, kind)[0]
    view.show_frame(frame(1), BOX, GRID)
    np.testing.assert_array_equal(copy.data, frame(0).real)
    assert "subangstrom_cdi" not in copy.metadata


def test_what_is_selected_stays_selected_while_layers_come(view, viewer):
    support = view.show_support(disc(), GRID)
    viewer.layers.selection.active = support
    view.show_frame(frame(0), BOX, GRID)
    assert viewer.layers.selection.active is support


def test_state_survives_json_and_dresses_layers_that_come_later(view, viewer, told):
    view.show_frame(frame(0), BOX, GRID)
    layer = view.layer(rv.REAL)
    layer.name, layer.opacity, layer.contrast_limits, layer.colormap = "atoms", 0.5, (0.1, 0.7), "viridis"
    layer.gamma, layer.visible = 0.8, False
    state = json.loads(json.dumps(view.state()))
    view.close()
    viewer.layers.clear()
    again = Prompt(viewer)
    again.restore(state)
    again.show_frame(frame(1, gain=9), BOX, GRID)
    new = again.layer(rv.REAL)
    assert (new.name, new.opacity, new.colormap.name, new.visible) == ("atoms", 0.5, "viridis", False)
    assert new.gamma == pytest.approx(0.8)
    new.visible = True
    again.show_frame(frame(1, gain=9), BOX, GRID)
    np.testing.assert_allclose(new.contrast_limits, (0.1, 0.7))
    again.close()


def test_brush_eraser_undo_and_redo_are_told_once_each(window, view, viewer, told, qtbot):
    layer = view.show_support(disc(), GRID)
    view.home()
    qtbot.wait(100)
    assert told["painted"] == []
    viewer.layers.selection.active = layer
    layer.mode, layer.brush_size = "paint", 6
    drag(qtbot, viewer, (-11, -8), (-11, 0), (-11, 8))
    assert len(told["painted"]) == 1
    painted = told["painted"][-1]
    assert painted[64 - 22, 64] and not disc()[64 - 22, 64]
    assert (painted >= disc()).all()
    layer.mode = "erase"
    drag(qtbot, viewer, (0, -4), (0, 4))
    assert len(told["painted"]) == 2 and not told["painted"][-1][64, 64]
    qtbot.keyClick(canvas(viewer), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.wait(50)
    np.testing.assert_array_equal(told["painted"][-1], painted)
    redo = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(canvas(viewer), Qt.Key.Key_Z, redo)
    qtbot.wait(50)
    assert len(told["painted"]) == 4 and not told["painted"][-1][64, 64]


def test_a_polygon_and_a_fill_are_told(window, view, viewer, told, qtbot):
    layer = view.show_support(disc(), GRID)
    view.home()
    qtbot.wait(100)
    viewer.layers.selection.active = layer
    layer.mode = "polygon"
    native = canvas(viewer)
    corners = [(-11, -11), (-11, -7), (-7, -11)]
    for corner in corners:
        qtbot.mouseMove(native, at(viewer, *corner))
        qtbot.wait(30)
        qtbot.mouseClick(native, Qt.MouseButton.LeftButton, pos=at(viewer, *corner))
        qtbot.wait(30)
    assert told["painted"] == []
    qtbot.keyClick(native, Qt.Key.Key_Return)
    qtbot.wait(50)
    assert len(told["painted"]) == 1
    assert told["painted"][0][64 - 20, 64 - 20]
    layer.mode, layer.selected_label = "fill", 0
    drag(qtbot, viewer, (0, 0))
    assert len(told["painted"]) == 2 and not told["painted"][1][64, 64]


def test_a_programmatic_support_is_not_taken_for_painting_and_keeps_the_undo(window, view, viewer, told, qtbot):
    given = disc()
    layer = view.show_support(given, GRID)
    view.home()
    qtbot.wait(100)
    viewer.layers.selection.active = layer
    layer.mode, layer.brush_size = "paint", 6
    drag(qtbot, viewer, (-11, -3), (-11, 3))
    painted = told["painted"][-1]
    np.testing.assert_array_equal(given, disc())  # the caller's array is not painted in
    view.show_support(painted, GRID)
    view.show_support(painted | disc(24.0), GRID)
    qtbot.wait(50)
    assert len(told["painted"]) == 1
    layer.undo()
    qtbot.wait(50)
    assert len(told["painted"]) == 2
    assert not told["painted"][-1][64 - 22, 64] and told["painted"][-1][64, 64 + 23]


def test_two_viewers_at_once_do_not_hear_each_other(make_napari_viewer, qtbot):
    deleted = ([], [])
    viewers = [make_napari_viewer() for _ in deleted]
    views = [Prompt(v, on_deleted=d.append) for v, d in zip(viewers, deleted, strict=True)]
    for view in views:
        view.show_frame(frame(0), BOX, GRID)
    viewers[0].layers.clear()
    assert rv.REAL in deleted[0] and deleted[1] == []
    views[1].show_frame(frame(1), BOX, GRID)
    np.testing.assert_array_equal(views[1].layer(rv.REAL).data, frame(1).real)
    for view in views:
        view.close()


def test_a_closed_view_leaves_the_layers_and_reports_nothing(view, viewer, told):
    view.show_frame(frame(0), BOX, GRID)
    view.close()
    assert any(isinstance(layer, Image) for layer in viewer.layers)
    viewer.layers.clear()
    assert told["deleted"] == []


def test_new_layers_come_one_by_one_so_that_the_window_answers_in_between(window, qtbot):
    view = rv.RealView(window)
    roles = (rv.REAL, rv.AMPLITUDE, rv.PHASE, rv.COMPOSITE, rv.MEAN, rv.DEVIATION)
    seen: list[int] = []
    ticks = QTimer()
    ticks.timeout.connect(lambda: seen.append(sum(view.layer(role) is not None for role in roles)))
    ticks.start(5)
    view.show_frame(frame(), BOX, GRID)
    view.show_ensemble(frame().real, np.abs(frame()), BOX, GRID)
    assert view.is_making and view.layer(rv.REAL) is None
    qtbot.waitUntil(lambda: all(view.layer(role) is not None for role in roles))
    ticks.stop()
    qtbot.waitUntil(lambda: not view.is_making)
    assert set(seen) >= {0, 1, 2, 3, 4, 5}, "the timer came between any two"
    view.close()
