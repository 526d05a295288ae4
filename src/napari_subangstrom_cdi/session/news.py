"""What happens in a session, told from its thread to whoever polls."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from enum import StrEnum

from napari_subangstrom_cdi.job.preparation import Step


class Happening(StrEnum):
    """What :meth:`.session.Session.poll` tells of."""

    CHANGED = "changed"
    """The plan: by the user, by undo or by a project."""
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    IDLE = "idle"
    """The thread has ended."""
    WARNED = "warned"
    MEMBER = "member"


@dataclass(frozen=True)
class Event:
    """Something that happened, to which step, and a sentence."""

    happening: Happening
    step: Step | None = None
    message: str = ""


class News:
    """Events, told by any thread and taken by one."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def tell(self, happening: Happening, step: Step | None = None, message: str = "") -> None:
        """Something happened."""
        self._events.put(Event(happening, step, message))

    def take(self) -> list[Event]:
        """What happened since the last time."""
        events = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                return events
