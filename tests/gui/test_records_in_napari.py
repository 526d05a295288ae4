"""Files opened in napari beside the Data dock: each goes to the canvas of its units, and is chosen by what it says."""

from __future__ import annotations

import mrcfile
import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QComboBox, QLabel, QLineEdit

PATTERN = np.random.default_rng(0).poisson(9, (64, 80)).astype(np.uint16)


@pytest.fixture
def dock(controller, viewer, qtbot):
    from napari_subangstrom_cdi.gui.docks.data import DataDock

    dock = DataDock(viewer)
    viewer.window.add_dock_widget(dock, name="Data", area="right")
    qtbot.waitUntil(dock.isVisible)
    return dock


def drop_on_canvas(viewer, path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    how = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    canvas = viewer.window._qt_viewer
    QApplication.sendEvent(canvas, QDragEnterEvent(QPoint(50, 50), *how))
    QApplication.sendEvent(canvas, QDropEvent(QPointF(50, 50), *how))


def test_reciprocal_layers_go_to_their_canvas_and_real_ones_stay(dock, controller, viewer, tmp_path, qtbot):
    with mrcfile.new(tmp_path / "image.mrc") as file:
        file.set_data(PATTERN.astype(np.float32))
        file.voxel_size = 0.36
    drop_on_canvas(viewer, tmp_path / "image.mrc")
    [image] = viewer.layers
    assert image.metadata["path"] == str(tmp_path / "image.mrc")
    assert image.metadata["header"]["pixel"].startswith("0.36 × 0.36 Å")
    place = {"scale": (0.05, 0.05), "translate": (-1.6, -2.0), "units": ("1/nm", "1/nm")}
    told = {"role": "pattern", "acquisition": {"beam_energy_kV": 200}}
    pattern = viewer.add_image(PATTERN, name="a", metadata=told, **place)
    mask = viewer.add_labels((PATTERN > 15).astype(np.uint8), name="a mask", **place)
    reciprocal = controller.reciprocal.model.layers
    qtbot.waitUntil(lambda: list(reciprocal) == [pattern, mask] and list(viewer.layers) == [image])
    assert controller.reciprocal.isVisible() and pattern.visible
    np.testing.assert_allclose(pattern.scale, 0.005)
    np.testing.assert_allclose(pattern.translate, (-0.16, -0.2))
    assert {str(unit) for unit in reciprocal.units} == {"1 / angstrom"}
    assert {str(unit) for unit in viewer.layers.units} == {"angstrom"}
    np.testing.assert_allclose(reciprocal.extent.world[0], (-0.16, -0.2))
    # chosen by its role, with what it says
    qtbot.waitUntil(lambda: dock.findChild(QComboBox, "input-pattern").currentText() == "a")
    assert controller.known.acquisition.reciprocal_pixel_per_angstrom == pytest.approx(0.005)
    assert dock.findChild(QLineEdit, "energy_ev").text() == "200"
    drawn = controller.reciprocal.qt_viewer.screenshot(flash=False)[..., :3]
    assert (drawn.max(axis=-1) > 60).mean() > 0.02
    assert dock.findChild(QLabel, "data-doubted").isHidden()
    # a TIFF is read by napari itself, in pixels; beside the dock it gets what its file states
    imagej = {"resolution": (10, 10), "metadata": {"unit": "nm"}}
    tifffile.imwrite(tmp_path / "particle TEM.tif", PATTERN, imagej=True, **imagej)
    drop_on_canvas(viewer, tmp_path / "particle TEM.tif")
    layer = viewer.layers["particle TEM"]
    assert layer.source.reader_plugin == "napari"
    qtbot.waitUntil(lambda: str(layer.units[-1]) == "angstrom")
    np.testing.assert_allclose(layer.scale, 1.0)
    assert layer.metadata["header"]["pixel"].startswith("1 × 1 Å  [XResolution")
    assert {str(unit) for unit in viewer.layers.units} == {"angstrom"}
