"""Changes of a window painted in one go, also those that Qt would paint at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QLabel, QMainWindow, QProgressBar, QVBoxLayout, QWidget

from napari_subangstrom_cdi.gui.painting import painted_at_once
from napari_subangstrom_cdi.gui.style import RoomForText


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
