"""Something that takes its time beside the session, such as drawing a figure: a thread, and a timer that asks it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_subangstrom_cdi.errors import InputError, collected_doubts

_ASK_EVERY_MS = 50


class BackgroundTask(QObject):
    """One task at a time. The thread never touches Qt, so that the window may go at any moment.

    Signals
    -------
    done : object, tuple of str
        What the task returned, and what was doubted on the way.
    failed : str
        Why it could not be done.
    """

    done = Signal(object, object)
    failed = Signal(str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._thread: threading.Thread | None = None
        self._outcome: tuple[Any, tuple[str, ...], str | None] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_ASK_EVERY_MS)
        self._timer.timeout.connect(self._ask)

    @property
    def busy(self) -> bool:
        """Whether a task is being done or its outcome not told yet."""
        return self._thread is not None

    def start(self, task: Callable[[], Any]) -> bool:
        """Do a task; False if another is still being done."""
        if self.busy:
            return False
        self._outcome = None
        self._thread = threading.Thread(target=self._work, args=(task,), name="subangstrom-cdi-task")
        self._thread.start()
        self._timer.start()
        return True

    def _work(self, task: Callable[[], Any]) -> None:
        with collected_doubts() as doubts:
            try:
                value, problem = task(), None
            except InputError as error:
                value, problem = None, str(error)
            except Exception as error:  # the user hears of it, whatever it is
                value, problem = None, f"unexpected {type(error).__name__}: {error}"
        self._outcome = value, tuple(doubts), problem

    def _ask(self) -> None:
        if self._thread is None or self._thread.is_alive():
            return
        self._timer.stop()
        self._thread.join()
        self._thread = None
        if self._outcome is None:
            return
        value, doubts, problem = self._outcome
        self._outcome = None
        if problem is None:
            self.done.emit(value, doubts)
        else:
            self.failed.emit(problem)
