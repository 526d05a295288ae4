"""The settings of a job as they stand, and how they came to stand so."""

from __future__ import annotations

import time

from napari_subangstrom_cdi.job.plan import Plan

_MOST_STEPS = 200
_ONE_MOVE_S = 1.0
"""Changes of the same setting that follow each other so soon are one, as by a slider."""


class History:
    """A plan with undo and redo.

    Attributes
    ----------
    plan : Plan
        As it stands.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._undo: list[Plan] = []
        self._redo: list[Plan] = []
        self._last: tuple[str, ...] = ()
        self._last_at = 0.0

    def adopt(self, plan: Plan, what: tuple[str, ...]) -> bool:
        """Take over a plan; False if it is the one that stands. ``what`` names the settings that were changed."""
        if plan == self.plan:
            return False
        now = time.monotonic()
        if what != self._last or now - self._last_at > _ONE_MOVE_S:
            self._undo.append(self.plan)
            del self._undo[:-_MOST_STEPS]
        self._redo.clear()
        self._last, self._last_at = what, now
        self.plan = plan
        return True

    def begin_anew(self, plan: Plan) -> None:
        """Another job begins: nothing of the one before can be brought back."""
        self._undo.clear()
        self._redo.clear()
        self.plan = plan
        self.settle()

    def settle(self) -> None:
        """Let the next change be undone by itself, even if it is to the same setting as the last one."""
        self._last = ()

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether one that was taken back can be made again."""
        return bool(self._redo)

    def undo(self) -> bool:
        """Take back the last change; False if there is none."""
        return self._travel(self._undo, self._redo)

    def redo(self) -> bool:
        """Make the change again that was last taken back; False if there is none."""
        return self._travel(self._redo, self._undo)

    def _travel(self, source: list[Plan], target: list[Plan]) -> bool:
        if not source:
            return False
        target.append(self.plan)
        self.plan = source.pop()
        self.settle()
        return True
