"""Answers to the questions of a window, given by a click when the question comes."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox

_LOOK_EVERY_MS = 50


class Answers:
    """Clicks on a button of every question that comes, in the order given, and keeps what was asked.

    Used as a context: at its end every answer was asked for, and no question is left open.
    """

    def __init__(self, *buttons: str) -> None:
        self.asked: list[str] = []
        self._wanted = list(buttons)
        self._timer = QTimer()
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)

    def __enter__(self) -> Answers:
        self._timer.start()
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        self._timer.stop()
        if kind is None:
            assert not self._wanted, f"nobody asked for {self._wanted}; asked was {self.asked}"

    def _look(self) -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox) or not box.isVisible():
            return
        self.asked.append(f"{box.objectName()}: {box.text()}")
        wanted = self._wanted.pop(0) if self._wanted else "Cancel"
        found = [button for button in box.buttons() if button.text().replace("&", "") == wanted]
        if not found:
            names = [button.text() for button in box.buttons()]
            box.reject()
            raise AssertionError(f"no button {wanted!r} among {names}")
        QTest.mouseClick(found[0], Qt.MouseButton.LeftButton)
