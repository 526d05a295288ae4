"""The second canvas, driven by real mouse and key events."""

from __future__ import annotations

import gc
import json
import math

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.qt import QtViewer
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QCheckBox, QSlider

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.record.distortion import Distortion
from napari_subangstrom_cdi.gui.canvas import reciprocal_view as rv
from napari_subangstrom_cdi.gui.canvas._q_scale_bar import round_length

GRID = Grid(128, 64.0)
Q_RAW = 0.008
CENTRE = (101.3, 97.6)
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def told():
    return {"deleted": [], "painted": [], "dragged": [], "dropped": [], "aligned": []}


@pytest.fixture
def view(qtbot, told):
    view = rv.ReciprocalView(on_deleted=told["deleted"].append, on_painted=told["painted"].append)
    view.resize(700, 620)
    view.centre_dragged.connect(told["dragged"].append)
    view.centre_dropped.connect(told["dropped"].append)
    view.align_dragged.connect(lambda turn, factor: told["aligned"].append((turn, factor)))
    with qtbot.waitExposed(view):
        view.show()
    qtbot.wait(50)
    yield view
    dispose(view, qtbot)


def dispose(view, qtbot) -> None:
    """Nothing is left for the next test, which counts the canvases alive."""
    view.close()
    view.deleteLater()
    qtbot.wait(20)
    gc.collect()
    assert not [canvas for canvas in QtViewer._instances if canvas.viewer is view.model]


def record() -> np.ndarray:
    """Friedel pairs about CENTRE, and one spot that has no mate."""
    y, x = np.mgrid[:200, :200]
    counts = np.full(y.shape, 3.0)
    for dy, dx in ((30, 10), (-30, -10), (50, -40)):
        counts += 1e4 * np.exp(-((y - CENTRE[0] - dy) ** 2 + (x - CENTRE[1] - dx) ** 2) / 8)
    return counts.astype(np.float32)


def pattern() -> tuple[np.ndarray, np.ndarray]:
    intensity = np.random.default_rng(0).normal(0, 1, GRID.shape).astype(np.float32)
    intensity[64 + 20, 64 - 12] = 5000
    regions = np.full(GRID.shape, Region.B, np.uint8)
    regions[64 + 20, 64 - 12] = Region.G
    regions[:4] = Region.M
    return intensity, regions


def native(view):
    return view.qt_viewer.canvas.native


def at(view, qy: float, qx: float) -> QPoint:
    """Canvas pixel of a place in Å⁻¹."""
    camera, canvas = view.model.scene.camera, native(view)
    y, x = camera.center[-2:]
    return QPoint(
        round(canvas.width() / 2 + (qx - x) * camera.zoom), round(canvas.height() / 2 + (qy - y) * camera.zoom)
    )


def move(qtbot, view, point: QPoint, *, held=Qt.MouseButton.NoButton, modifier=NONE) -> None:
    """qtbot.mouseMove cannot hold a modifier."""
    canvas = native(view)
    where = QPointF(point)
    event = QMouseEvent(QMouseEvent.Type.MouseMove, where, canvas.mapToGlobal(where), held, held, modifier)
    QApplication.sendEvent(canvas, event)
    qtbot.wait(25)


def drag(qtbot, view, *places, modifier=NONE):
    left = Qt.MouseButton.LeftButton
    points = [at(view, *place) for place in places]
    move(qtbot, view, points[0], modifier=modifier)
    qtbot.mousePress(native(view), left, modifier, points[0])
    for point in points[1:]:
        move(qtbot, view, point, held=left, modifier=modifier)
    qtbot.mouseRelease(native(view), left, modifier, points[-1])
    qtbot.wait(50)


def show_record(view, qtbot):
    layer = view.show_record(record(), centre_px=CENTRE, q_pixel_per_angstrom=Q_RAW)
    view.home()
    qtbot.wait(50)
    return layer


def test_every_layer_is_in_inverse_angstrom_with_the_beam_at_zero(view, qtbot):
    show_record(view, qtbot)
    view.show_mate()
    intensity, regions = pattern()
    view.show_pattern(intensity, GRID)
    view.show_model_pattern(intensity, GRID)
    view.show_regions(regions, GRID)
    view.show_painted(np.zeros(GRID.shape, bool), GRID)
    view.show_spots([(0.1, 0.2)], "pattern")
    view.show_spots([(0.1, 0.2), (0.3, 0.4)], "image")
    view.show_ellipse(Distortion(2.0, 30.0), 0.8)
    view.show_stop(np.zeros((160, 160), bool), Distortion(2.0, 30.0), CENTRE, 0.01)
    view.show_image_power(np.ones((64, 64), np.float32), np.eye(2), 0.01)
    view.show_reconstruction_power(np.ones((40, 30), np.complex64), GRID)
    view.start_centre_drag()
    assert {layer.metadata["subangstrom_cdi"] for layer in view.model.layers} == set(rv.ROLES)
    assert [layer.name for layer in view.model.layers] == list(rv.ROLES)
    for layer in view.model.layers:
        assert {str(unit) for unit in layer.units} == {"1 / angstrom"}
        assert layer.axis_labels == ("qy", "qx")
    for role, origin in {
        rv.RECORD: CENTRE,
        rv.PATTERN: (64, 64),
        rv.MODEL_PATTERN: (64, 0),
        rv.REGIONS: (64, 64),
        rv.STOP: CENTRE,
        rv.IMAGE_POWER: (32, 32),
    }.items():
        np.testing.assert_allclose(view.layer(role).world_to_data((0, 0)), origin)
    assert {str(unit) for unit in view.model.layers.units} == {"1 / angstrom"}
    view.stop_centre_drag()


def test_the_mate_of_a_friedel_pair_lies_on_its_partner(view, qtbot):
    show_record(view, qtbot)
    mate = view.show_mate()
    for centre in (CENTRE, (95.0, 110.5)):
        view.move_centre(centre)
        for layer, sign in ((view.layer(rv.RECORD), 1), (mate, -1)):
            y, x = 150.0, 58.0  # a raw pixel
            q = sign * Q_RAW * (np.array([y, x]) - centre)
            index = layer.world_to_data(q)
            np.testing.assert_allclose(
                layer.data[tuple(np.rint(index).astype(int))], np.log10(record()[150, 58]), rtol=1e-5
            )
    colours = {layer.colormap.name for layer in (view.layer(rv.RECORD), mate)}
    assert len(colours) == 2 and mate.blending == "additive"
    view.hide_mate()
    assert not mate.visible and view.layer(rv.RECORD).colormap.name == "gray"


def test_dragging_moves_the_record_under_the_origin(view, qtbot, told):
    layer = show_record(view, qtbot)
    view.start_centre_drag()
    camera_before = tuple(view.model.scene.camera.center)
    drag(qtbot, view, (0.1, 0.1), (0.13, 0.12), (0.164, 0.052))
    zoom = view.model.scene.camera.zoom
    assert len(told["dragged"]) >= 2 and len(told["dropped"]) == 1
    expected = (CENTRE[0] - 0.064 / Q_RAW, CENTRE[1] + 0.048 / Q_RAW)
    np.testing.assert_allclose(told["dropped"][0], expected, atol=1.5 / zoom / Q_RAW)
    np.testing.assert_allclose(layer.world_to_data((0, 0)), told["dropped"][0])
    assert tuple(view.model.scene.camera.center) == camera_before
    cross = view.layer(rv.CROSS)
    assert cross.visible
    view.stop_centre_drag()
    assert not cross.visible
    drag(qtbot, view, (0.1, 0.1), (0.2, 0.2))
    assert len(told["dropped"]) == 1
    assert tuple(view.model.scene.camera.center) != camera_before


def test_arrow_keys_move_the_record_by_a_tenth_of_a_pixel(view, qtbot, told):
    show_record(view, qtbot)
    view.start_centre_drag()
    assert view.window().focusWidget() is native(view)
    qtbot.keyClick(native(view), Qt.Key.Key_Up)
    np.testing.assert_allclose(told["dropped"][-1], (CENTRE[0] + 0.1, CENTRE[1]))
    qtbot.keyClick(native(view), Qt.Key.Key_Right, SHIFT)
    np.testing.assert_allclose(told["dropped"][-1], (CENTRE[0] + 0.1, CENTRE[1] - 1))
    view.stop_centre_drag()
    qtbot.keyClick(native(view), Qt.Key.Key_Up)
    assert len(told["dropped"]) == 2


def test_dragging_about_the_origin_turns_and_with_shift_scales(view, qtbot, told):
    view.show_image_power(np.ones((128, 128), np.float32), np.eye(2), 0.01)
    view.home()
    qtbot.wait(50)
    view.start_align_drag()
    drag(qtbot, view, (0.0, 0.4), (0.2, 0.346), (0.4, 0.0))
    turns, factors = zip(*told["aligned"], strict=True)
    assert sum(turns) == pytest.approx(90, abs=1) and set(factors) == {1.0}
    told["aligned"].clear()
    drag(qtbot, view, (0.0, 0.2), (0.0, 0.3), (0.0, 0.4), modifier=SHIFT)
    turns, factors = zip(*told["aligned"], strict=True)
    assert math.prod(factors) == pytest.approx(2, rel=0.02) and set(turns) == {0.0}
    view.stop_align_drag()
    told["aligned"].clear()
    drag(qtbot, view, (0.0, 0.2), (0.0, 0.3))
    assert told["aligned"] == []


def test_the_cursor_reads_out_q_d_value_and_region(view, qtbot):
    intensity, regions = pattern()
    view.show_pattern(intensity, GRID)
    view.show_regions(regions, GRID)
    view.home()
    qtbot.wait(50)
    qy, qx = 20 * GRID.q_pixel_per_angstrom, -12 * GRID.q_pixel_per_angstrom
    move(qtbot, view, at(view, qy, qx))
    text = view.readout.text()
    assert "I = 5000 e⁻" in text and "region G" in text and "q = (−0.18" in text
    spacing = float(text.split("d = ")[1].split(" Å")[0])
    assert spacing == pytest.approx(1 / math.hypot(qy, qx), rel=0.02)
    move(qtbot, view, at(view, 3 * qy, 3 * qx))
    assert "region B" in view.readout.text()


def test_the_cursor_reads_the_raw_record_and_nothing_beyond_it(view, qtbot):
    show_record(view, qtbot)
    move(qtbot, view, at(view, 30 * Q_RAW, 10 * Q_RAW))
    value = float(view.readout.text().split("record ")[1].split()[0])
    assert value > 5000
    move(qtbot, view, QPoint(3, 300))
    assert "record" not in view.readout.text() and "d = " in view.readout.text()


def test_at_the_origin_the_spacing_is_infinite():
    assert rv.describe_q(0, 0).endswith("d = ∞")


def test_painting_with_the_tool_bar_is_told_undone_and_redone(view, qtbot, told):
    view.show_pattern(pattern()[0], GRID)
    layer = view.show_painted(np.zeros(GRID.shape, bool), GRID)
    view.home()
    qtbot.wait(50)
    left = Qt.MouseButton.LeftButton
    qtbot.mouseClick(view.bar.buttons["paint"], left)
    assert layer.mode == "paint"
    view.bar.brush.setValue(6)
    assert layer.brush_size == 6
    drag(qtbot, view, (0.3, -0.3), (0.3, 0.3))
    [painted] = told["painted"]
    row = round(0.3 / GRID.q_pixel_per_angstrom) + 64
    assert painted[row, 50:78].all() and not painted[row + 10].any()
    qtbot.mouseClick(view.bar.buttons["undo"], left)
    qtbot.wait(30)
    assert not told["painted"][-1].any()
    qtbot.mouseClick(view.bar.buttons["redo"], left)
    qtbot.wait(30)
    np.testing.assert_array_equal(told["painted"][-1], painted)
    qtbot.mouseClick(view.bar.buttons["erase"], left)
    drag(qtbot, view, (0.3, 0.0))
    assert not told["painted"][-1][row, 64] and told["painted"][-1][row, 54]
    qtbot.mouseClick(view.bar.buttons["pan_zoom"], left)
    drag(qtbot, view, (0.0, 0.0), (0.1, 0.1))
    assert len(told["painted"]) == 4


def test_without_a_painted_layer_its_tools_are_off(view, told):
    assert not view.bar.buttons["paint"].isEnabled() and view.bar.buttons["home"].isEnabled()
    layer = view.show_painted(np.zeros(GRID.shape, bool), GRID)
    assert view.bar.buttons["paint"].isEnabled()
    layer.mode = "erase"
    assert view.bar.buttons["erase"].isChecked()
    view.model.layers.remove(layer)
    assert told["deleted"] == [rv.PAINTED]
    assert not view.bar.buttons["paint"].isEnabled()
    assert view.show_painted(np.ones(GRID.shape, bool), GRID) is None
    view.forget_deletions()
    assert view.show_painted(np.ones(GRID.shape, bool), GRID).data.all()
    assert view.bar.buttons["paint"].isEnabled()


def test_regions_are_drawn_in_their_colours(view, qtbot):
    regions = np.full(GRID.shape, Region.G, np.uint8)
    regions[:, :43], regions[:, 43:85] = Region.M, Region.B
    layer = view.show_regions(regions, GRID)
    view.home()
    qtbot.wait(300)
    picture = view.qt_viewer.screenshot(flash=False)[..., :3].astype(int)
    middle = picture[picture.shape[0] // 2]
    zoom = view.model.scene.camera.zoom
    columns = [round(middle.shape[0] / 2 + column * GRID.q_pixel_per_angstrom * zoom) for column in (-40, 0, 40)]
    m, b, g = (middle[column] for column in columns)
    assert m.argmax() == 0 and b.argmax() == 2 and g.argmax() == 1
    assert b.max() < m.max()
    assert not layer.editable


def test_the_pattern_first_hides_the_record_but_not_again(view, qtbot):
    show_record(view, qtbot)
    view.show_pattern(pattern()[0], GRID)
    assert not view.layer(rv.RECORD).visible
    view.set_visible(rv.RECORD, True)
    view.show_pattern(pattern()[0] * 2, GRID)
    assert view.layer(rv.RECORD).visible


def test_the_reconstructions_power_peaks_where_its_fringes_say(view):
    q = 0.5  # Å⁻¹
    box = (slice(44, 84), slice(40, 90))
    _, x = np.mgrid[box] * GRID.pixel_angstrom
    estimate = np.cos(2 * np.pi * q * x).astype(np.complex64)
    layer = view.show_reconstruction_power(estimate, GRID)
    assert not layer.visible
    held = layer.data.copy()
    view.show_reconstruction_power(np.zeros_like(estimate), GRID)
    np.testing.assert_array_equal(layer.data, held)  # hidden: only remembered
    view.show_reconstruction_power(estimate, GRID)
    view.set_visible(rv.RECONSTRUCTION, True)
    peak = np.unravel_index(layer.data.argmax(), layer.data.shape)
    qy, qx = layer.data_to_world(peak)
    assert abs(qy) < 0.02 and abs(qx) == pytest.approx(q, abs=0.02)
    extent = np.ptp(layer.extent.world, axis=0)
    np.testing.assert_allclose(extent, 2 * GRID.q_max_per_angstrom, rtol=0.03)


def test_its_layer_waits_hidden_for_a_run(view):
    view.expect_reconstruction_power(GRID)
    layer = view.layer(rv.RECONSTRUCTION)
    assert not layer.visible and rv.RECONSTRUCTION not in view.state()
    estimate = np.random.default_rng(0).standard_normal((40, 50)).astype(np.complex64)
    view.show_reconstruction_power(1e6 * estimate, GRID)
    view.expect_reconstruction_power(GRID)
    view.set_visible(rv.RECONSTRUCTION, True)
    assert view.layer(rv.RECONSTRUCTION) is layer
    assert layer.data.max() > 12 and layer.contrast_limits[1] > 12
    assert rv.RECONSTRUCTION in view.state()


def test_image_power_is_turned_by_its_affine(view):
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    layer = view.show_image_power(np.ones((64, 64), np.float32), turn, 0.01)
    np.testing.assert_allclose(layer.data_to_world((32, 42)), (0.0 + 0.1 * turn[0, 1], 0.1 * turn[1, 1]), atol=1e-12)
    view.place_image_power(np.eye(2), 0.02)
    np.testing.assert_allclose(layer.data_to_world((32, 42)), (0.0, 0.2), atol=1e-12)


def test_spots_are_updated_in_place(view):
    layer = view.show_spots([(0.1, 0.2)], "pattern")
    assert view.show_spots(np.zeros((5, 2)), "pattern") is layer and len(layer.data) == 5
    view.show_spots(np.zeros((0, 2)), "pattern")
    view.show_spots(np.zeros((5, 2)), "pattern")
    layer.visible = False
    view.show_spots(np.zeros((0, 2)), "pattern")
    layer.opacity = 0.5  # napari draws a thumbnail of what it takes to be in view
    assert len(layer.data) == 0


def test_the_recorded_ellipse_lies_over_the_pattern_where_it_was_undone(view):
    view.show_pattern(pattern()[0], GRID)
    assert view.show_ellipse(Distortion(), 1.0) is None and view.layer(rv.ELLIPSE) is None
    layer = view.show_ellipse(Distortion(4.0, 30.0), 1.0)
    ring = layer.data[:-1, 0]
    radius, angle = np.hypot(*ring.T), np.degrees(np.arctan2(*ring.T)) % 180
    assert radius.max() / radius.min() == pytest.approx(1.04, abs=1e-3)
    assert angle[radius.argmax()] == pytest.approx(30, abs=1)
    start, way = layer.data[-1]
    assert np.hypot(*way) == pytest.approx(2 * radius.max(), rel=1e-3)
    assert np.hypot(*start) == pytest.approx(radius.max(), rel=1e-3)
    assert view.show_ellipse(Distortion(1.0, 80.0), 1.0) is layer and layer.visible
    view.show_ellipse(Distortion(), 1.0)
    assert not layer.visible


def test_the_layer_menu_hides_and_fades(view, qtbot):
    layer = view.show_pattern(pattern()[0], GRID)
    view.bar.menu.popup(view.bar.mapToGlobal(QPoint(0, 30)))
    qtbot.wait(50)
    [box], [slider] = view.bar.menu.findChildren(QCheckBox), view.bar.menu.findChildren(QSlider)
    assert box.text() == rv.PATTERN
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))
    assert not layer.visible
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Home)
    assert layer.opacity == 0
    view.bar.menu.close()


def test_masks_are_toggled_together(view):
    regions = view.show_regions(pattern()[1], GRID)
    painted = view.show_painted(np.zeros(GRID.shape, bool), GRID)
    painted.visible = False
    view.toggle_masks()
    assert not regions.visible and not painted.visible
    view.toggle_masks()
    assert regions.visible and painted.visible


@pytest.mark.parametrize(("at_most", "length"), [(0.7, 0.5), (0.2, 0.2), (1.9, 1.0), (99.0, 50.0), (0.012, 0.01)])
def test_the_scale_bar_has_a_round_length(at_most, length):
    assert round_length(at_most) == pytest.approx(length)


def test_the_scale_bar_is_in_inverse_angstrom_and_follows_the_zoom(view, qtbot):
    view.show_pattern(pattern()[0], GRID)
    view.model.scene.camera.zoom = 300.0
    assert view.scale_bar.text == "0.2 Å⁻¹"
    view.model.scene.camera.zoom = 3000.0
    assert view.scale_bar.text == "0.02 Å⁻¹"
    view.resize(500, 500)
    qtbot.wait(50)
    assert view.scale_bar.geometry().right() < native(view).width()


def test_state_survives_json(view, qtbot):
    layer = view.show_pattern(pattern()[0], GRID)
    layer.opacity, layer.contrast_limits, layer.name = 0.4, (0.0, 2.5), "spots"
    state = json.loads(json.dumps(view.state()))
    layer.opacity, layer.contrast_limits, layer.name = 1.0, (0.0, 1.0), "other"
    view.restore(state)
    assert (layer.opacity, list(layer.contrast_limits), layer.name) == (0.4, [0.0, 2.5], "spots")


def test_the_theme_follows_the_main_viewer(qtbot):
    main = ViewerModel()
    main.theme = "dark"
    view = rv.ReciprocalView(main)
    main.theme = "light"
    assert view.model.theme == "light"
    dispose(view, qtbot)


def test_docked_in_two_viewers_nothing_is_left_after_closing(make_napari_viewer, qtbot):
    viewers = [make_napari_viewer(show=True) for _ in range(2)]
    views = [rv.ReciprocalView(viewer) for viewer in viewers]
    for viewer, view in zip(viewers, views, strict=True):
        viewer.window.add_dock_widget(view, name="Reciprocal space")
        view.show_pattern(pattern()[0], GRID)
        view.show_painted(np.zeros(GRID.shape, bool), GRID)
    qtbot.wait(200)
    views[0].close()
    views[0].close()  # closing twice does no harm
    qtbot.wait(50)
    views[1].show_pattern(pattern()[0] * 2, GRID)
    assert views[1].model is not views[0].model
    views[1].close()
    for viewer, view in zip(viewers, views, strict=True):
        viewer.window.remove_dock_widget(view)
        view.deleteLater()
    views.clear()
    view = None
    qtbot.wait(50)
    gc.collect()
    mains = {viewer.window._qt_viewer for viewer in viewers}
    assert set(QtViewer._instances) == mains


@pytest.mark.parametrize("when", ["before", "after", "never"])
def test_a_view_may_be_released_before_or_after_its_window_goes(make_napari_viewer, qtbot, when):
    """The viewer fixture itself fails a test that leaks a QtViewer."""
    viewer = make_napari_viewer(show=True)
    view = rv.ReciprocalView(viewer)
    viewer.window.add_dock_widget(view, name="Reciprocal space")
    view.show_pattern(pattern()[0], GRID)
    view.show_painted(np.zeros(GRID.shape, bool), GRID)
    view.start_centre_drag()
    qtbot.wait(50)
    if when == "before":
        view.release()
    viewer.close()
    qtbot.wait(50)
    if when == "after":
        view.release()
