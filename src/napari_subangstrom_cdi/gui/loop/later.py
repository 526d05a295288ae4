"""What is done in a later turn of the event loop, unless the object that it is for is gone by then.

A bare ``QTimer.singleShot`` of a Python function knows no object: it comes even after the window was deleted. PyQt6
then drops a method of a deleted object without a word, PySide6 calls it, which raises in the middle of the event loop.
What belongs to the object goes with it, in both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QCoreApplication, QEvent, QObject, QTimer


def later(owner: QObject, task: Callable[[], Any]) -> None:
    """Do something in the event loop's next turn, after what waits there already, unless the owner is gone by then.

    Parameters
    ----------
    owner : QObject
        Whom it is for: what the task touches is it, or lives as long.
    task : callable
        What is done.
    """
    _Errand(owner, task)


def once(owner: QObject | None, task: Callable[[], Any], after_ms: int = 0) -> QTimer:
    """A timer that does something once, however often it was started before; to be started and stopped at will.

    Parameters
    ----------
    owner : QObject or None
        The timer goes with it; None if who makes it is no QObject, keeps it and stops it at its own end.
    task : callable
        What is done.
    after_ms : int
        How long after the last start, ms; 0 is the event loop's next turn.
    """
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.setInterval(after_ms)
    timer.timeout.connect(task)
    return timer


class _Errand(QObject):
    """A child of its owner that sends itself an event; Qt drops the event with the child."""

    def __init__(self, owner: QObject, task: Callable[[], Any]) -> None:
        super().__init__(owner)
        self._task = task
        QCoreApplication.postEvent(self, QEvent(QEvent.Type.User))

    def customEvent(self, event: QEvent | None) -> None:
        """Its own event has come."""
        self.deleteLater()
        self._task()
