"""Changes of a window painted in one go, also those that Qt would paint at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QSortFilterProxyModel
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QLabel, QListView, QMainWindow, QProgressBar, QVBoxLayout, QWidget

from napari_subangstrom_cdi.gui.loop.painting import RestingLists, painted_at_once
from napari_subangstrom_cdi.gui.widgets.style import RoomForText


class Bar(QProgressBar):
    """Counts how often it is painted, and at which value."""

    def __init__(self) -> None:
        super().__init__()
        self.painted: list[int] = []

    def paintEvent(self, event: QPaintEvent | None) -> None:
        self.painted.append(self.value())
        super().paintEvent(event)


@pytest.fixture
def bar(qtbot: Any) -> Iterator[Bar]:
    window, content, bar = QMainWindow(), QWidget(), Bar()
    layout = QVBoxLayout(content)
    layout.addWidget(bar)
    window.setCentralWidget(content)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    qtbot.wait(50)
    bar.painted.clear()
    yield bar  # and the window, which Python would let go of


def test_a_progress_bar_alone_is_painted_at_each_value(bar):
    for value in (10, 20, 30):
        bar.setValue(value)
    assert bar.painted == [10, 20, 30], "else there is nothing to hold back"


def test_held_back_it_is_painted_once_with_the_last(bar, qtbot):
    with painted_at_once():
        for value in (10, 20, 30):
            bar.setValue(value)
        assert not bar.painted
    qtbot.waitUntil(lambda: bar.painted == [30])
    bar.setValue(40)
    assert bar.painted == [30, 40], "and from then on as usual"


def test_an_error_inside_leaves_the_window_as_it_was(bar, qtbot):
    with pytest.raises(ZeroDivisionError), painted_at_once():
        bar.setValue(10)
        raise ZeroDivisionError
    qtbot.waitUntil(lambda: bar.painted == [10])
    assert bar.window().updatesEnabled()


def test_a_text_in_its_room_lays_out_nothing_anew(bar, qtbot):
    label = QLabel()
    label.setWordWrap(True)
    room = RoomForText(label, lines=2)
    layout = bar.parentWidget().layout()
    layout.addWidget(room)
    qtbot.wait(50)
    height = room.height()
    assert height >= 2 * label.fontMetrics().lineSpacing()
    before = bar.geometry()
    label.setText("a long text that needs more than one line of this window and yet moves nothing in it " * 3)
    assert layout.isEnabled() and bar.geometry() == before
    qtbot.wait(50)
    assert bar.geometry() == before and label.size() == room.size() and room.height() == height


def test_a_layer_list_rests_while_only_data_change_and_hears_of_the_rest_again(viewer):
    layer = viewer.add_image(np.zeros((8, 8), np.float32))
    views = viewer.window._qt_window.findChildren(QListView)
    [view] = [view for view in views if isinstance(view.model(), QSortFilterProxyModel)]
    told: list[int] = []
    view.model().dataChanged.connect(lambda first, *_: told.append(first.row()))
    layer.translate = (1, 2)
    assert told, "napari takes it for news, which is why there is something to rest from"
    told.clear()
    at_rest = RestingLists()
    for k in range(2):
        with at_rest():
            layer.translate = (3, k)
            layer.data = np.full((8, 8), k, np.float32)
            layer.contrast_limits = (0, 2 + k)
    assert told == []
    layer.visible = False
    assert told
