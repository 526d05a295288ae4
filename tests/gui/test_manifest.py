"""The manifest's contributions in a real napari window: they appear, at the right scale, and are drawn."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import h5py
import mrcfile
import numpy as np
import pytest
from npe2 import PluginManager
from qtpy.QtWidgets import QDockWidget

from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.gui.window import opening
from napari_subangstrom_cdi.gui.window.preferences import PLUGIN, TITLE


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    return viewer


def drawn_canvas(viewer, qtbot) -> np.ndarray:
    """The canvas as RGB, after the event loop had time to draw it."""
    viewer.reset_view()
    qtbot.wait(300)
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3]


def entries(viewer) -> dict[str, Any]:
    """The plugin's entries in napari's menu, by their text."""
    [submenu] = [a.menu() for a in viewer.window.plugins_menu.actions() if a.menu() and a.menu().title() == TITLE]
    return {action.text().replace("&&", "&"): action for action in submenu.actions()}


def plugin_docks(viewer) -> list[str]:
    docks = viewer.window._qt_window.findChildren(QDockWidget)
    return sorted(dock.objectName() for dock in docks if TITLE in dock.objectName() or PLUGIN in dock.objectName())


def test_the_menu_opens_reciprocal_space(viewer, controller, qtbot):
    entries(viewer)[opening.RECIPROCAL].trigger()
    qtbot.waitUntil(controller.reciprocal.isVisible)


def test_every_entry_of_the_menu_opens_its_dock_once(viewer, controller, qtbot):
    names = [widget.display_name for widget in PluginManager.instance().get_manifest(PLUGIN).contributions.widgets]
    assert set(entries(viewer)) == set(names) and len(names) == len(set(names)) >= 10
    for name in names:
        if opening.find_dock(viewer, name) is None:  # the workflow brings some along
            entries(viewer)[name].trigger()
            qtbot.waitUntil(lambda name=name: opening.find_dock(viewer, name) is not None)
            qtbot.wait(60)
        assert opening.find_dock(viewer, name).isVisible(), name
    assert plugin_docks(viewer) == sorted(f"{name} ({TITLE})" for name in names), "the workflow opens none twice"
    for name in names:  # a second click hides it, and opening by a program brings it back
        entries(viewer)[name].trigger()
        qtbot.wait(20)
        assert not opening.find_dock(viewer, name).isVisible(), name
        assert opening.open_dock(viewer, name).isVisible()
    assert len(plugin_docks(viewer)) == len(names)
    assert PluginManager.instance().get_manifest(PLUGIN).display_name == TITLE


def test_sample_records_open_in_pixels_and_are_drawn(viewer, qtbot):
    viewer.open_sample(PLUGIN, "platelet_records")
    assert [layer.name for layer in viewer.layers] == ["background pattern", "particle pattern", "TEM image"]
    assert {str(unit) for unit in viewer.layers.units} == {"pixel"}
    assert viewer.layers["particle pattern"].axis_labels == ("y", "x")
    picture = drawn_canvas(viewer, qtbot)
    bright = (picture.max(axis=-1) > 60).mean()
    assert 0.1 < bright < 0.9
    # The grey image stands to the right of the coloured patterns.
    coloured = np.ptp(picture.astype(int), axis=-1) > 20
    grey = (np.ptp(picture.astype(int), axis=-1) < 3) & (picture.max(axis=-1) > 60)
    columns = np.arange(picture.shape[1])
    assert np.average(columns, weights=grey.sum(axis=0)) > np.average(columns, weights=coloured.sum(axis=0))


def test_sample_image_opens_in_angstrom(viewer):
    [layer] = viewer.open_sample(PLUGIN, "platelet_image")
    np.testing.assert_allclose(layer.scale, 0.36)
    assert {str(unit) for unit in viewer.layers.units} == {"angstrom"}
    np.testing.assert_allclose(np.ptp(viewer.layers.extent.world, axis=0), 1023 * 0.36)


def test_result_opens_calibrated_and_is_drawn(viewer, qtbot, tmp_path):
    n, pixel_angstrom = 64, 0.39
    y, x = np.mgrid[:n, :n] - n // 2
    inside = np.hypot(y, x) < 12
    with h5py.File(tmp_path / "result.cxi", "w") as file:
        group = file.create_group("entry_1/image_1")
        group["data"] = (inside * np.exp(1.2j)).astype(np.complex64)
        group["support"] = inside
        group["x_pixel_size"] = group["y_pixel_size"] = pixel_angstrom * 1e-10
    viewer.open(tmp_path / "result.cxi", plugin=PLUGIN)
    assert [layer.name for layer in viewer.layers] == ["amplitude", "phase", "real part", "support"]
    assert {str(unit) for unit in viewer.layers.units} == {"angstrom"}
    for layer in viewer.layers:
        np.testing.assert_allclose(layer.scale, pixel_angstrom)
        np.testing.assert_allclose(layer.world_to_data((0, 0)), (n // 2, n // 2))
    for name in ("real part", "amplitude", "phase"):
        for layer in viewer.layers:
            layer.visible = layer.name == name
        picture = drawn_canvas(viewer, qtbot)
        centre = picture[picture.shape[0] // 2, picture.shape[1] // 2]
        corner = picture[picture.shape[0] // 2 - 200, picture.shape[1] // 2 - 200]
        assert centre.max() > 60, name
        assert np.abs(centre.astype(int) - corner).max() > 40, name


def test_mrc_opens_without_naming_the_plugin_and_is_saved_again(viewer, tmp_path):
    data = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
    with mrcfile.new(tmp_path / "image.mrc") as file:
        file.set_data(data)
        file.voxel_size = 0.36
    [layer] = viewer.open(tmp_path / "image.mrc", plugin=None)
    assert layer.name == "image" and layer.source.reader_plugin == PLUGIN
    assert layer.metadata["path"] == str(tmp_path / "image.mrc")
    np.testing.assert_array_equal(layer.data, data)
    np.testing.assert_allclose(layer.scale, 0.36)
    assert {str(unit) for unit in viewer.layers.units} == {"angstrom"}
    assert layer.save(str(tmp_path / "again.mrc")) == [str(tmp_path / "again.mrc")]
    with mrcfile.open(tmp_path / "again.mrc") as file:
        np.testing.assert_array_equal(file.data, data)
        assert file.voxel_size.x == pytest.approx(0.36)


def test_stack_stands_beside_an_image_with_its_units(viewer, tmp_path):
    with mrcfile.new(tmp_path / "stack.mrcs") as file:
        file.set_data(np.zeros((3, 30, 40), np.float32))
        file.voxel_size = 0.36
    viewer.open_sample(PLUGIN, "platelet_image")
    [layer] = viewer.open(tmp_path / "stack.mrcs", plugin=PLUGIN)
    assert layer.ndim == 3
    assert [str(unit) for unit in viewer.layers.units] == ["pixel", "angstrom", "angstrom"]


@pytest.mark.parametrize("options", [{}, {"plugin": PLUGIN}])
def test_layers_saved_as_cxi_come_back_where_they_were(viewer, tmp_path, options):
    data = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
    place = {"scale": (0.5, 0.5), "translate": (-7.5, -10.0)}
    viewer.add_image(data, name="real part", units=("nm", "nm"), **place)
    viewer.add_labels((data > 0).astype(np.uint8) * 2, name="support", units=("nm", "nm"), **place)
    path = str(tmp_path / "layers.cxi")
    assert viewer.layers.save(path, **options) == [path]
    world = viewer.layers.extent.world
    viewer.layers.clear()
    viewer.open(path, plugin=PLUGIN)
    image, support = viewer.layers
    assert (image.name, support.name) == ("real part", "support")
    np.testing.assert_array_equal(image.data, data)
    np.testing.assert_array_equal(support.data, (data > 0) * 2)
    assert {str(unit) for unit in viewer.layers.units} == {"angstrom"}
    np.testing.assert_allclose(viewer.layers.extent.world, world * 10)


def test_what_cannot_be_saved_is_said_through_napari(viewer, tmp_path):
    """napari takes a ValueError of a writer for a missing plugin."""
    viewer.add_image(np.zeros((8, 8)), name="grey")
    viewer.add_image(np.zeros((8, 8, 3), np.uint8), name="colour", rgb=True)
    with pytest.raises(OSError, match="colour"):
        viewer.layers.save(str(tmp_path / "all.cxi"), plugin=PLUGIN)
    with pytest.raises(OSError, match="colour"):
        viewer.layers["colour"].save(str(tmp_path / "one.mrc"), plugin=PLUGIN)


def test_one_layer_in_reciprocal_space_is_saved_as_cxi(viewer, tmp_path):
    layer = viewer.add_image(np.eye(16), name="pattern", scale=(0.01, 0.01), units=("1/angstrom", "1/angstrom"))
    path = str(tmp_path / "pattern.cxi")
    assert layer.save(path) == [path]
    [again] = viewer.open(path, plugin=PLUGIN)
    np.testing.assert_array_equal(again.data, np.eye(16))
    np.testing.assert_allclose(again.scale, 0.01)
    assert again.units == layer.units
    assert {str(unit) for unit in viewer.layers.units} == {"1 / angstrom"}


def test_a_turned_layer_is_saved_with_a_warning(viewer, tmp_path):
    layer = viewer.add_image(np.eye(16), rotate=30)
    with pytest.warns(QualityWarning, match="turned"):
        layer.save(str(tmp_path / "turned.cxi"))
    assert (tmp_path / "turned.cxi").exists()


@pytest.mark.parametrize("name", ["text.mrc", "text.cxi", "empty.mrc", "empty.cxi", "empty.edf"])
def test_a_file_that_is_none_ends_in_a_sentence(viewer, tmp_path, name):
    (tmp_path / name).write_text("nothing but text here\n" * 50 if name.startswith("text") else "")
    with pytest.raises(InputError, match=name):
        viewer.open(tmp_path / name, plugin=PLUGIN)
    assert not viewer.layers


def test_launch_opens_the_sample_and_returns_zero():
    script = """
import napari
from napari.qt import get_qapp
from qtpy.QtCore import QTimer
from napari_subangstrom_cdi.gui.window.launch import launch

def look():
    viewer = napari.current_viewer()
    print("LAYERS", [layer.name for layer in viewer.layers], flush=True)
    viewer.close()

app = get_qapp()
QTimer.singleShot(1500, look)
raise SystemExit(launch())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "LAYERS ['background pattern', 'particle pattern', 'TEM image']" in done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
def test_launch_without_a_display_says_so():
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    script = """
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.window.launch import launch
try:
    launch()
except InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "there is no display" in done.stdout
