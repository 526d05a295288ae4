"""What is done in a later turn of the event loop, unless the object that it is for is gone by then.

A bare ``QTimer.singleShot`` of a Python function knows no object: it comes even after the window was deleted. PyQt6
then drops a method of a deleted object without a word, PySide6 calls it, which raises in the middle of the event loop.
What belongs to the object goes with it, in both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer


def later(owner: QObject, task: Callable[[], Any]) -> None:
    """Do something in the event loop's next turn, after what waits there already, unless the owner is gone by then.

    Parameters
    ----------
    owner : QObject
        Whom it is for: what the task touches is it, or lives as long.
    task : callable
        What is done.
    """
    direct = Qt.FindChildOption.FindDirectChildrenOnly
    errands = owner.findChild(_Errands, options=direct) or _Errands(owner)
    errands.add(task)


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


class _Errands(QObject):
    """A child of its owner that sends itself an event for each task; Qt drops the events with the child.

    It stays as long as its owner: an object that deletes itself in its own event may be deleted once more by a binding.
    """

    def __init__(self, owner: QObject) -> None:
        super().__init__(owner)
        self._tasks: deque[Callable[[], Any]] = deque()

    def add(self, task: Callable[[], Any]) -> None:
        """Do it when the event comes back."""
        self._tasks.append(task)
        QCoreApplication.postEvent(self, QEvent(QEvent.Type.User))

    def customEvent(self, event: QEvent | None) -> None:
        """Its own event has come."""
        if self._tasks:
            self._tasks.popleft()()
