"""What must be known before the window can go on, such as what a large file holds: asked without freezing it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from napari.utils.progress import progress
from qtpy.QtCore import QCoreApplication, QEventLoop, QThread

from napari_subangstrom_cdi.errors import collected_doubts, doubt

_T = TypeVar("_T")
_AT_ONCE_S = 0.3
_SLOW_S = 1.0
_TURN_S = 0.03


def patiently(task: Callable[[], _T], said: str) -> _T:
    """Do a task in a thread and return what it returns; the window is painted meanwhile, and takes no input.

    Parameters
    ----------
    task : callable
        Touches nothing of Qt. What it raises is raised here, and what it doubts is doubted here.
    said : str
        What napari's activity dock shows if it takes longer than a second, such as ``reading a.dm4``.
    """
    application = QCoreApplication.instance()
    if application is None or QThread.currentThread() is not application.thread():
        return task()
    asked = _Asked(task)
    asked.join(_AT_ONCE_S)
    bar: Any = None
    waited = _AT_ONCE_S
    try:
        while asked.is_alive():
            if bar is None and waited > _SLOW_S:
                bar = progress(total=0, desc=f"Sub-Å CDI: {said}")
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
            asked.join(_TURN_S)
            waited += _TURN_S
    finally:
        if bar is not None:
            bar.close()
    for text in asked.doubts:
        doubt(text)
    if asked.error is not None:
        raise asked.error
    return asked.outcome


class _Asked(threading.Thread, Generic[_T]):
    """Does the task from its beginning, and keeps what came of it."""

    outcome: _T

    def __init__(self, task: Callable[[], _T]) -> None:
        super().__init__(name="subangstrom-cdi-asked", daemon=True)
        self.error: BaseException | None = None
        self.doubts: tuple[str, ...] = ()
        self._task = task
        self.start()

    def run(self) -> None:
        """Do it."""
        with collected_doubts() as doubts:
            try:
                self.outcome = self._task()
            except BaseException as error:  # raised again where it was asked
                self.error = error
        self.doubts = tuple(doubts)
