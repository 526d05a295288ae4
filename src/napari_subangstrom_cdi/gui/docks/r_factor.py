"""The R-factor's dock: the live curve, or that of a result, and the numbers of the moment."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QBoxLayout, QWidget

from napari_subangstrom_cdi.core.result import Result
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.docks.parts.docked import Docked
from napari_subangstrom_cdi.gui.plots.r_plot import RPlot
from napari_subangstrom_cdi.gui.plots.run_numbers import RunNumbers
from napari_subangstrom_cdi.gui.window.controller import Controller
from napari_subangstrom_cdi.job.plan import plan_from_toml
from napari_subangstrom_cdi.job.readings import or_nan
from napari_subangstrom_cdi.job.steering import described
from napari_subangstrom_cdi.session.session import Event, Happening, Step
from napari_subangstrom_cdi.session.watch import Live, Progress

_BESIDE_FROM_RATIO = 2.2


class RFactorDock(Docked):
    """R, free R and image agreement of every member while they come in, and afterwards."""

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("subangstrom-r-factor")
        self.controller = Controller.of(napari_viewer)
        self.plot = RPlot(theme=self.controller.viewer.theme)
        self.numbers = RunNumbers()
        self._feed: LiveFeed | None = None
        self._result: Result | None = None
        self._layout = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._layout.addWidget(self.plot, 1)
        self._layout.addWidget(self.numbers, 0, Qt.AlignmentFlag.AlignTop)
        self._theme = self.controller.viewer.events.theme
        self._theme.connect(self._on_theme)
        self.controller.progressed.connect(self._on_progress)
        self.controller.happened.connect(self._on_event)
        self.controller.changed.connect(self._show_what_there_is)
        self._show_what_there_is()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """In a low and wide place the numbers stand beside the curve."""
        super().resizeEvent(event)
        beside = self.width() > _BESIDE_FROM_RATIO * self.height()
        self._layout.setDirection(QBoxLayout.Direction.LeftToRight if beside else QBoxLayout.Direction.TopToBottom)

    def release(self) -> None:
        """Let go of the viewer's theme."""
        self._theme.disconnect(self._on_theme)

    def _on_theme(self, event: Any) -> None:
        self.plot.set_theme(self.controller.viewer.theme)

    def _on_progress(self, _: Progress) -> None:
        if self._result is None:
            self._pull()

    def _on_event(self, event: Event) -> None:
        if event.step is Step.PHASE and event.happening is Happening.STARTED:
            self._result = None
        if event.happening is Happening.IDLE and self._result is None:
            self._pull()

    def _pull(self) -> None:
        """Curve and numbers of the same moment."""
        live = self.controller.session.live
        progress = None if live is None else live.progress
        if live is None or progress is None:
            return
        show_progress(self.numbers, progress, paused=self.controller.session.paused)
        if self._feed is None or self._feed.live is not live:
            self._feed = LiveFeed(live, self.plot)
        self._feed.pull()

    def _show_what_there_is(self) -> None:
        """A result that was loaded or has just been finished, or the run that goes on."""
        session = self.controller.session
        if session.busy and session.live is not None:
            if self._feed is None or self._feed.live is not session.live:  # else with all other news of it
                self._pull()
            return
        result = session.result
        if result is None and session.live is None and (self._feed is not None or self._result is not None):
            self._feed, self._result = None, None  # another project
            self.plot.start((), 0)
            self.numbers.clear()
        elif result is None or result.r_history.size == 0:
            self._pull()
        elif result is not self._result:
            self._result = result
            live = session.live
            self._feed = None
            show_result(self.plot, result, live if live is not None and live.history else None)
            show_result_numbers(self.numbers, result)


class LiveFeed:
    """Carries what is new in a run to a plot, in batches."""

    def __init__(self, live: Live, plot: RPlot) -> None:
        self.live = live
        self._plot = plot
        self._fed: list[int] = []
        self._agreements: list[int] = []
        self._marks = 0
        plot.start([(stage.name, stage.iterations) for stage in live.schedule], live.members)

    def pull(self) -> None:
        """Add what came since the last time."""
        for member, history in enumerate(list(self.live.history)):
            if member == len(self._fed):
                self._fed.append(0)
                self._agreements.append(0)
            first, last = self._fed[member], len(history.r_factor)  # free R is written before R
            if last > first:
                self._plot.append(member, first + 1, history.r_factor[first:last], history.free_r[first:last])
                self._fed[member] = last
            known = history.agreement[self._agreements[member] :]
            if known:
                self._plot.add_agreements(member, known)
                self._agreements[member] += len(known)
        for member, iteration, text in self.live.marks[self._marks :]:
            self._plot.mark(member, max(1, iteration), text)
            self._marks += 1
        self._plot.flush()


def show_result(plot: RPlot, result: Result, live: Live | None) -> None:
    """Show a result's histories, with what was steered; of the run that made it also the image agreement."""
    plot.show_history(result.r_history, result.free_r_history, result.stage_ends, result.kept)
    if live is not None:
        for member, history in enumerate(live.history[: len(result.r_history)]):
            plot.add_agreements(member, history.agreement)
    try:
        steering = plan_from_toml(result.recipe, where="the result's recipe").steering
    except InputError:
        return  # a curve is still a curve
    for change in steering:
        plot.mark(change.member, max(1, change.iteration), described(change))


def show_progress(numbers: RunNumbers, progress: Progress, *, paused: bool = False) -> None:
    """Write the numbers of the moment; time does not run out while the run waits."""
    nothing = float("nan")
    numbers.set(
        member=progress.member + 1,
        members=progress.members,
        stage=progress.stage,
        iteration=progress.iteration,
        iterations=progress.iterations,
        r=progress.r_factor,
        free_r=progress.free_r,
        agreement=progress.agreement,
        rate=nothing if paused else progress.iterations_per_second,
        seconds_left=nothing if paused else progress.seconds_left,
    )


def show_result_numbers(numbers: RunNumbers, result: Result) -> None:
    """Write the numbers of a finished run."""
    found = result.metrics
    members, iterations = result.r_history.shape
    nothing = float("nan")
    numbers.set(
        member=members,
        members=members,
        stage="average",
        iteration=iterations,
        iterations=iterations,
        r=or_nan(found.get("r_factor")),
        free_r=or_nan(found.get("free_r")),
        agreement=or_nan(found.get("image_agreement")),
        rate=nothing,
        seconds_left=nothing,
    )
