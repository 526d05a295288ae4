"""Short computations in a thread beside the window; what was asked for and is outdated is not even begun."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_subangstrom_cdi.errors import InputError, collected_doubts

_LOOK_EVERY_MS = 10
Task = Callable[[], Any]


class Previews(QObject):
    """Does what was last asked for under each name, one at a time; what waited there before is never done.

    What was begun is told even if something newer waits, so that a slider held in motion shows something. The
    thread lives only while there is something to do. Tasks must not touch Qt.
    """

    ready = Signal(str, object)
    """Name, and what the task returned."""
    refused = Signal(str, str)
    """Name, and the sentence of an InputError."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[int, Task]] = {}
        self._newest: dict[str, int] = {}
        self._forgotten: dict[str, int] = {}
        self._done: queue.SimpleQueue[tuple[str, int, Any]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._open = 0
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)

    @property
    def busy(self) -> bool:
        """Whether something asked for is still to be told."""
        return self._open > 0

    def ask(self, name: str, task: Task) -> None:
        """Do this soon, in place of what else waits under the name."""
        with self._lock:
            number = self._newest[name] = self._newest.get(name, 0) + 1
            if name not in self._waiting:
                self._open += 1
            self._waiting[name] = (number, task)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="subangstrom-cdi-preview", daemon=True)
                self._thread.start()
        self._timer.start()

    def forget(self, name: str) -> None:
        """Do not tell what was asked for under this name until now."""
        self._forgotten[name] = self._newest.get(name, 0)

    def close(self) -> None:
        """End the thread after what it does now; nothing more is told."""
        self._timer.stop()
        with self._lock:
            self._waiting.clear()
            self._open = 0
            thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                name = next(iter(self._waiting))
                number, task = self._waiting.pop(name)
            self._done.put((name, number, _outcome(task)))

    def _look(self) -> None:
        while True:
            try:
                name, number, value = self._done.get_nowait()
            except queue.Empty:
                break
            self._open = max(0, self._open - 1)
            if number <= self._forgotten.get(name, 0):
                continue
            if isinstance(value, Exception):
                self.refused.emit(name, str(value))
            else:
                self.ready.emit(name, value)
        if not self._open:
            self._timer.stop()


def _outcome(task: Task) -> Any:
    """What a task returns, or what it raised; what it doubts is the step's to say."""
    with collected_doubts():
        try:
            return task()
        except InputError as error:
            return error
        except Exception as error:  # the window goes on, and the user hears of it
            return RuntimeError(f"unexpected {type(error).__name__}: {error}")
