"""One of several arrays of a file: the dialog by itself, and from the rows of the Data dock."""

from __future__ import annotations

import time

import h5py
import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QComboBox, QDialog, QDialogButtonBox, QLabel

from napari_subangstrom_cdi.errors import InputError, QualityWarning, doubt
from napari_subangstrom_cdi.io import Item, contents

LEFT = Qt.MouseButton.LeftButton
RAMP = np.add.outer(np.arange(30.0), np.arange(40.0)).astype(np.float32)


@pytest.fixture
def scan(tmp_path):
    """Two patterns and a mask in groups, a stack, and what can be no image."""
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["entry/first/data"] = RAMP
        file["entry/second/data"] = 2 * RAMP
        file["entry/second/stack"] = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)
        file["entry/phases"] = np.ones((8, 8), np.complex64)
    return path


@pytest.fixture
def chooser(scan, qtbot):
    from napari_subangstrom_cdi.gui.widgets.array_chooser import ArrayChooser

    dialog = ArrayChooser(str(scan), contents(scan), "pattern")
    qtbot.addWidget(dialog)
    dialog.chosen_ones = []
    dialog.chosen.connect(dialog.chosen_ones.append)
    dialog.show()
    qtbot.waitUntil(dialog.isVisible)
    return dialog


def shown(dialog) -> list[str]:
    """Names of the rows in sight."""
    return [row.text(0) for row in dialog.tree.rows() if not row.isHidden()]


def pixmap_of(dialog):
    return dialog.findChild(QLabel, "array-preview").pixmap()


def test_arrays_stand_in_a_tree_with_shape_and_type_and_what_is_no_image_is_grey(chooser, qtbot, picture):
    assert shown(chooser) == ["entry", "phases", "first", "data", "second", "data", "stack"]
    rows = {row.toolTip(0).strip(): row for row in chooser.tree.rows() if row.toolTip(0)}
    assert [rows["/entry/second/stack"].text(k) for k in (1, 2)] == ["3 × 8 × 9", "uint16"]
    assert rows["/entry/phases"].isDisabled() and "complex" in rows["/entry/phases"].text(3)
    assert chooser.tree.current.name == "/entry/first/data"
    said = chooser.findChild(QLabel, "array-said")
    qtbot.waitUntil(lambda: said.text() == "0 to 68")
    assert pixmap_of(chooser).width() == 220 and pixmap_of(chooser).height() == 165
    corners = pixmap_of(chooser).toImage()
    assert corners.pixelColor(2, 2).lightness() < 10 < 245 < corners.pixelColor(217, 162).lightness()
    qtbot.keyClick(chooser.tree, Qt.Key.Key_Down)  # to the group: nothing to open
    assert chooser.tree.current is None and not chooser.buttons.button(QDialogButtonBox.StandardButton.Open).isEnabled()
    qtbot.keyClick(chooser.tree, Qt.Key.Key_Down)
    assert chooser.tree.current.name == "/entry/second/data"
    qtbot.waitUntil(lambda: said.text() == "0 to 136")
    picture(chooser, "array-chooser")
    qtbot.keyClick(chooser.tree, Qt.Key.Key_Return)
    assert chooser.chosen_ones == [f"{chooser._path}::/entry/second/data"]
    assert chooser.result() == QDialog.DialogCode.Accepted


def test_the_filter_leaves_what_has_all_of_its_words(chooser, qtbot):
    chooser.filter.setFocus()
    qtbot.keyClicks(chooser.filter, "data seco")
    assert shown(chooser) == ["entry", "second", "data"]
    assert chooser.tree.current.name == "/entry/second/data"
    chooser.filter.clear()
    qtbot.keyClicks(chooser.filter, "3x8")
    assert shown(chooser) == ["entry", "second", "stack"]
    chooser.filter.clear()
    qtbot.keyClicks(chooser.filter, "nothing")
    assert shown(chooser) == []
    assert not chooser.buttons.button(QDialogButtonBox.StandardButton.Open).isEnabled()
    qtbot.keyClick(chooser.filter, Qt.Key.Key_Return)
    assert chooser.chosen_ones == []
    chooser.filter.clear()
    qtbot.keyClick(chooser.filter, Qt.Key.Key_Down)
    assert chooser.focusWidget() is chooser.tree
    row = next(row for row in chooser.tree.rows() if row.text(0) == "stack")
    place = chooser.tree.visualItemRect(row).center()
    qtbot.mouseClick(chooser.tree.viewport(), LEFT, pos=place)
    said = chooser.findChild(QLabel, "array-said")
    qtbot.waitUntil(lambda: said.text() == "first frame: 0 to 71")
    qtbot.mouseDClick(chooser.tree.viewport(), LEFT, pos=place)
    assert chooser.chosen_ones == [f"{chooser._path}::/entry/second/stack"]


def test_names_without_groups_are_a_list_and_the_present_one_is_looked_at(scan, qtbot):
    from napari_subangstrom_cdi.gui.widgets.array_chooser import ArrayChooser

    pages = [
        Item("0", (8, 9, 3), "words", "colour picture"),
        Item("1/a", (8, 9), "uint16", "data"),
        Item("2", (7,), "f4"),
    ]
    dialog = ArrayChooser(str(scan), pages, "image", "1/a")
    qtbot.addWidget(dialog)
    dialog.show()
    assert not dialog.tree.rootIsDecorated()
    assert [row.text(3) for row in dialog.tree.rows()] == ["colour picture", "data", "an image has two axes"]
    assert dialog.tree.current.name == "1/a"
    said = dialog.findChild(QLabel, "array-said")
    qtbot.waitUntil(lambda: "no dataset" in said.text())  # what cannot be shown is said
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.result() == QDialog.DialogCode.Rejected


def test_what_takes_its_time_leaves_the_window_alive(qtbot):
    from napari_subangstrom_cdi.gui.loop.later import once
    from napari_subangstrom_cdi.gui.loop.patience import patiently

    turns = []
    timer = once(None, lambda: turns.append(time.perf_counter()), 50)
    timer.setSingleShot(False)
    timer.start()
    assert patiently(lambda: time.sleep(1.5) or 3, "sleeping") == 3
    timer.stop()
    assert len(turns) >= 5

    def refuse():
        doubt("odd")
        raise InputError("no")

    with pytest.warns(QualityWarning, match="odd"), pytest.raises(InputError, match="no"):
        patiently(refuse, "")


def drop(row, path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    how = (Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(row, QDragEnterEvent(QPoint(5, 5), *how))
    QApplication.sendEvent(row, QDropEvent(QPointF(5, 5), *how))


def test_a_row_asks_which_array_is_meant_and_offers_the_others_later(controller, viewer, scan, qtbot, picture):
    from napari_subangstrom_cdi.gui.docks.data import DataDock
    from napari_subangstrom_cdi.gui.widgets.array_chooser import ArrayChooser

    dock = DataDock(viewer)
    viewer.window.add_dock_widget(dock, name="Data", area="right")
    qtbot.waitUntil(dock.isVisible)
    row = dock.rows["pattern"]
    drop(row, scan)
    dialog = dock.findChild(ArrayChooser)
    qtbot.waitUntil(dialog.isVisible)
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: dock.findChild(ArrayChooser) is None)
    assert controller.session.plan.inputs.pattern == ""
    assert "scan.h5 holds 4 arrays, and none is chosen" in row.note.text()
    assert not row.arrays.isVisible()
    drop(dock.rows["mask"], scan)  # of a mask, too
    dialog = dock.findChild(ArrayChooser)
    qtbot.waitUntil(dialog.isVisible)
    qtbot.keyClick(dialog.tree, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: dock.findChild(ArrayChooser) is None)
    assert controller.session.plan.inputs.mask == f"{scan}::/entry/first/data"

    drop(row, scan)
    dialog = dock.findChild(ArrayChooser)
    qtbot.waitUntil(dialog.isVisible)
    qtbot.keyClicks(dialog.filter, "stack")
    qtbot.mouseClick(dialog.buttons.button(QDialogButtonBox.StandardButton.Open), LEFT)
    qtbot.waitUntil(lambda: dock.findChild(ArrayChooser) is None)
    inputs = controller.session.plan.inputs
    assert (inputs.pattern, inputs.pattern_frame) == (f"{scan}::/entry/second/stack", "sum")
    assert dock.findChild(QComboBox, "input-pattern").currentText() == "scan.h5::/entry/second/stack"
    assert row.frame_mode.isVisible() and row.note.text() == ""

    qtbot.mouseClick(row.arrays, LEFT)  # another one of the same file
    dialog = dock.findChild(ArrayChooser)
    qtbot.waitUntil(dialog.isVisible)
    assert dialog.tree.current.name == "/entry/second/stack"
    dialog.tree.setFocus()
    qtbot.keyClick(dialog.tree, Qt.Key.Key_Up)
    picture(dock, "data-with-arrays")
    qtbot.keyClick(dialog.tree, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: dock.findChild(ArrayChooser) is None)
    assert controller.session.plan.inputs.pattern == f"{scan}::/entry/second/data"
    assert not row.frame_mode.isVisible()
