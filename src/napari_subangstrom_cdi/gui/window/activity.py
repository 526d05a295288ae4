"""What goes on, in napari's activity dock."""

from __future__ import annotations

from typing import Any

from napari.utils.progress import progress
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication, QLabel

from napari_subangstrom_cdi.session.session import Event, Happening, Session, Step

_UPDATE_EVERY_MS = 1000  # a progress bar may take 60 ms to draw
_AT_ONCE_MS = 250
_INDICATOR = "loading.gif"
_NAMES = {
    Step.DATA: "reading the records",
    Step.BACKGROUND: "background and centre",
    Step.ALIGN: "aligning the image",
    Step.MASKS: "masks",
    Step.MODEL: "fitting the crystal",
    Step.PHASE: "phases",
}


class Activity(QObject):
    """One bar from the start of a step to the end of the session's thread.

    napari runs its event loop at each change of a bar. That must not happen while events are passed on, nor in the
    middle of news, half of which would then be painted; so a timer of its own does it.

    Parameters
    ----------
    session : Session
        Whose steps they are.
    parent : QObject
        With which it ends.
    """

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._bar: Any = None
        self._step = Step.DATA
        self._text = ""
        self._updating = False
        self._timer = QTimer(self)
        self._timer.setInterval(_UPDATE_EVERY_MS)
        self._timer.timeout.connect(self.update)

    def close(self) -> None:
        """Take the bar away."""
        self._timer.stop()
        if self._bar is not None:
            bar, self._bar = self._bar, None
            bar.close()
            _turn_indicator(True)

    def update(self) -> None:
        """Bring the bar in line with the session."""
        if self._updating:  # in the event loop that napari runs below
            return
        self._updating = True
        try:
            self._update()
        finally:
            self._updating = False

    def _update(self) -> None:
        session = self._session
        self._timer.setInterval(_UPDATE_EVERY_MS)
        if not session.busy:
            self.close()
            return
        live = session.live if self._step is Step.PHASE and session.steerable else None
        numbers = None if live is None else live.progress
        text = f"Sub-Å CDI: {_NAMES[self._step]}"
        total = done = 0
        if numbers is not None:
            text += f", member {numbers.member + 1} of {numbers.members}"
            total = numbers.members * numbers.iterations
            done = numbers.member * numbers.iterations + numbers.iteration
        if self._bar is None:
            self._bar, self._text = progress(total=total, desc=text), text
            _turn_indicator(False)
        self._show(text, done, total)

    def _show(self, text: str, done: int, total: int) -> None:
        bar = self._bar
        if text != self._text:
            self._text = text
            bar.set_description(text)
        if bar.total != total:
            bar.total = total
        if done > bar.n and self._bar is bar:  # it may have been closed meanwhile
            bar.update(done - bar.n)

    def on_event(self, event: Event) -> None:
        """News of the session."""
        if event.happening is Happening.STARTED and event.step is not None:
            self._step = event.step
            self._timer.start(_AT_ONCE_MS)
        elif event.happening is Happening.IDLE:
            self._timer.start(_AT_ONCE_MS)


def _turn_indicator(on: bool) -> None:
    """Let napari's sign turn, or stand still: turning, it takes 0.4 of a core away from the run."""
    for widget in QApplication.allWidgets():
        movie = widget.movie() if isinstance(widget, QLabel) else None
        if movie is not None and movie.fileName().endswith(_INDICATOR):
            movie.setPaused(not on)
