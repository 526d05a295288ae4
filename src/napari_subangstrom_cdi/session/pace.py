"""When a run that goes on is shown: often enough to be watched, seldom enough to cost it little. No Qt."""

from __future__ import annotations

_NUMBERS_EVERY_S = 0.25
_ASKED_BEFORE_S = 0.12
"""A frame is asked for so long before it is due: it comes with the next iteration."""
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_PAINTING_SHARE = 0.025
"""Of the time, at most, is spent on painting while the pace is automatic."""


class Pace:
    """Times at which frames and numbers are due, s of one clock that the caller reads.

    Parameters
    ----------
    frames_per_second : float
        As the user wants it; 0 lets what painting costs decide.
    """

    def __init__(self, frames_per_second: float) -> None:
        self.frames_per_second = frames_per_second
        self._frame_at = 0.0
        self._numbers_at = 0.0

    @property
    def is_automatic(self) -> bool:
        """Whether :meth:`painted` is to be told what it cost."""
        return self.frames_per_second <= 0

    def hurry(self) -> None:
        """What there is shall be seen at once."""
        self._frame_at = 0.0

    def begin(self, now: float) -> None:
        """Another run, or another change of it: frame and numbers are due."""
        self._frame_at = self._numbers_at = now

    def wants_frame(self, now: float) -> bool:
        """Whether a frame is to be asked for, to be there in time."""
        return now >= self._frame_at - _ASKED_BEFORE_S

    def is_due(self, now: float) -> bool:
        """Whether to show what there is."""
        return now >= self._frame_at

    def wants_numbers(self, now: float) -> bool:
        """Whether numbers are due with a frame that is."""
        return self.is_automatic or now >= self._numbers_at

    def wait(self, now: float, *, is_news: bool) -> None:
        """Something was due, and is shown now if there is news; without, the run waits, and so does the processor."""
        usual = _LONGEST_PAUSE_S if self.is_automatic else 1 / self.frames_per_second
        self._frame_at = now + (usual if is_news else _SHORTEST_PAUSE_S)

    def numbers_shown(self, now: float) -> None:
        """The next ones can wait."""
        self._numbers_at = now + _NUMBERS_EVERY_S

    def painted(self, began: float, ended: float, *, at_leisure: bool) -> None:
        """Choose when to show more, so that showing takes no more than its share of the time.

        Parameters
        ----------
        began, ended : float
            Of the painting.
        at_leisure : bool
            Whether nobody is slowed by it, as in a pause.
        """
        pause = 0.0 if at_leisure else (ended - began) / _PAINTING_SHARE
        self._frame_at = began + min(_LONGEST_PAUSE_S, max(_SHORTEST_PAUSE_S, pause))
