"""The manifest's contributions in a real napari window: they appear, at the right scale, and are drawn."""

from __future__ import annotations

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

PLUGIN = "napari-subangstrom-cdi"


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


def test_launch_opens_the_sample_and_returns_zero():
    script = """
import napari
from napari.qt import get_qapp
from qtpy.QtCore import QTimer
from napari_subangstrom_cdi.gui.launch import launch

def look():
    viewer = napari.current_viewer()
    print("LAYERS", [layer.name for layer in viewer.layers], flush=True)
    viewer.close()

app = get_qapp()
QTimer.singleShot(1500, look)
raise SystemExit(launch())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "LAYERS ['background pattern', 'particle pattern', 'TEM image']" in done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
def test_launch_without_a_display_says_so():
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    script = """
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.launch import launch
try:
    launch()
except InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "there is no display" in done.stdout
