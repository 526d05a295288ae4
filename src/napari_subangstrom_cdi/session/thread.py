"""The thread of a session: one step after the other, and the run, which is watched, steered and kept."""

from __future__ import annotations

import threading
import traceback
from collections import Counter
from dataclasses import replace
from typing import Any

from napari_subangstrom_cdi.core.phasing.retrieval import Retrieval
from napari_subangstrom_cdi.core.result import InputFile, Result
from napari_subangstrom_cdi.errors import InputError, Said, collected_doubts
from napari_subangstrom_cdi.job.pipeline import (
    Members,
    Outcome,
    Stop,
    embedded_inputs,
    finish,
    retrieve_members,
    with_timing,
)
from napari_subangstrom_cdi.job.plan import Change, Plan
from napari_subangstrom_cdi.job.preparation import Clock, Prepared, Step
from napari_subangstrom_cdi.job.preparation.model import check_model
from napari_subangstrom_cdi.job.preparation.steps import STEPS, assembled, key_of, steps_before
from napari_subangstrom_cdi.job.steering import Steering, described

from .by_hand import HandTools
from .follow import Following
from .news import Happening, News
from .recovery import Keeper
from .steps import Ledger
from .watch import Control, Live

_NAME = "subangstrom-cdi"
_NEVER_STOPPED = ("average", "metrics")
"""What is finished is averaged, even if told to stop."""


class Worker:
    """Does steps in a thread and notes what they leave.

    Parameters
    ----------
    ledger : Ledger
        Where that is noted.
    tools : HandTools
        Made on the way.
    following : Following
        Told of runs.
    keeper : Keeper
        Keeps finished members.
    news : News
        Where it is told how it goes.
    threads : int, optional
        Of the retrieval.

    Attributes
    ----------
    control : Control
        Pause and stop of what goes on.
    live : Live or None
        The run that goes on, or the last one.
    activity : str
        What is being done, in words.
    traceback : str
        Of the last error that nobody foresaw.
    """

    def __init__(
        self, ledger: Ledger, tools: HandTools, following: Following, keeper: Keeper, news: News, threads: int | None
    ) -> None:
        self.control = Control()
        self.live: Live | None = None
        self.activity = ""
        self.traceback = ""
        self._ledger, self._tools, self._following = ledger, tools, following
        self._keeper, self._news = keeper, news
        self._threads = threads
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a step is being done."""
        return self._thread is not None and self._thread.is_alive()

    def start(
        self, steps: tuple[Step, ...], plan: Plan, *, paused: bool = False, recovered: list[Retrieval] | None = None
    ) -> None:
        """Do these steps in a thread.

        Parameters
        ----------
        steps : tuple of Step
            In order.
        plan : Plan
            The settings; later changes of them are not looked at, but may steer the run.
        paused : bool
            Wait after the first iteration of the run.
        recovered : list of Retrieval, optional
            Members that are averaged instead of a run.
        """
        self.wait()
        self.control = Control()
        self._following.reset()
        if paused:  # which it does after the first iteration
            self.control.pause()
        self._thread = threading.Thread(target=self._work, args=(steps, plan, recovered), name=_NAME, daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the thread to end; False if it has not in this time (seconds)."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.busy

    # In the thread

    def _work(self, steps: tuple[Step, ...], plan: Plan, recovered: list[Retrieval] | None) -> None:
        if Step.MODEL not in steps or self._has_crystal(plan):
            for step in steps:
                if not self._do(step, plan, recovered):
                    break
        self._ledger.running = None
        self.activity = ""
        self._news.tell(Happening.IDLE)

    def _has_crystal(self, plan: Plan) -> bool:
        """Whether the crystal is known; if not that is said before anything else is done."""
        try:
            check_model(plan)
        except InputError as error:
            option = error.where is not None and error.where.startswith("--")
            said = error.at(None if option else error.where)
            self._fail(Step.MODEL, plan, str(said))
            return False
        return True

    def _do(self, step: Step, plan: Plan, recovered: list[Retrieval] | None) -> bool:
        """Do one step and say how it went; True if the next one may follow."""
        self._ledger.running = step
        self._news.tell(Happening.STARTED, step)
        with collected_doubts() as doubts:
            try:
                value = self._compute(step, plan, recovered, doubts)
            except Stop:
                self._ledger.running = None
                self._news.tell(Happening.STOPPED, step, "stopped; nothing was finished")
                return False
            except InputError as error:
                self._fail(step, plan, Said(str(error), error.remedies))
                return False
            except BaseException as error:  # whatever it is, the user hears of it and the window lives on
                self.traceback = traceback.format_exc()
                self._fail(step, plan, f"unexpected {type(error).__name__}: {error}")
                return False
            finally:
                self._ledger.warnings[step] = tuple(doubts)
        made_with = plan
        if step is Step.PHASE:
            made_with = self._following.plan or plan
            self._ledger.saved = False
        self._ledger.keep(step, key_of(made_with, step), value)
        self._ledger.running = None
        self._news.tell(Happening.DONE, step)
        return True

    def _fail(self, step: Step, plan: Plan, message: str) -> None:
        self._ledger.fail(step, plan, message)
        self._ledger.running = None
        self._news.tell(Happening.FAILED, step, message)

    def _compute(self, step: Step, plan: Plan, recovered: list[Retrieval] | None, doubts: list[str]) -> Any:
        clock = Clock(self._at_part)
        try:
            if step is not Step.PHASE:
                return self._prepare(step, plan, clock)
            if recovered is not None:
                return self._average_again(plan, recovered, clock, doubts)
            return self._phase(plan, clock, doubts)
        finally:
            self._ledger.seconds[step] = clock.seconds

    def _prepare(self, step: Step, plan: Plan, clock: Clock) -> Any:
        """One of the steps before the run, and what work by hand needs of it."""
        left = self._ledger.left()
        self._tools.before(step, plan, left, self._at_part)
        try:
            value = STEPS[step].run(plan, left, clock)
        except InputError:
            self._tools.after_failure(step, plan, left)
            raise
        self._tools.after(step, plan, left, value, self._at_part)
        return value

    def _at_part(self, name: str) -> None:
        """A part of a step begins, or goes on."""
        if self.control.stopping and name not in _NEVER_STOPPED:
            raise Stop
        if name == self.activity:  # long parts tell many times a second that they go on
            return
        self.activity = name
        self._news.tell(Happening.CHANGED, self._ledger.running, name)

    # The run

    def _phase(self, plan: Plan, clock: Clock, doubts: list[str]) -> Result:
        prepared = assembled(plan, self._ledger.left())
        files = embedded_inputs(plan)
        steering = Steering(plan, prepared, on_applied=self._mark, on_refused=self.refused)
        self.live = Live(lambda: steering.problem, prepared.schedule, self.control, self._keep_member)
        self._keeper.begin(replace(plan, retrieval=replace(plan.retrieval, schedule=prepared.schedule)), files)
        self._following.begin(plan, steering)
        try:
            members = retrieve_members(plan, prepared, steering, self.live, clock, workers=self._threads)
        finally:
            self._following.end()
        self._following.settle(plan, prepared, steering)
        if steering.waiting is not None:
            late = f"the run ended before this took effect: {described(steering.waiting)}"
            self._news.tell(Happening.WARNED, Step.PHASE, late)
        return self._finish(plan, prepared, members, files, clock, doubts)

    def _average_again(self, plan: Plan, runs: list[Retrieval], clock: Clock, doubts: list[str]) -> Result:
        prepared = assembled(plan, self._ledger.left())
        steering = Steering(plan, prepared)
        for change in plan.steering:
            steering.at(change.member, change.iteration)
        members = Members(runs, steering.problem, steering.reach, steering.applied)
        return self._finish(plan, prepared, members, embedded_inputs(plan), clock, doubts)

    def _finish(
        self,
        plan: Plan,
        prepared: Prepared,
        members: Members,
        files: tuple[InputFile, ...],
        clock: Clock,
        doubts: list[str],
    ) -> Result:
        """The result, with the time and the warnings of every step."""
        result = finish(plan, prepared, members, files, clock)
        seconds = Counter[str]()
        before = steps_before(Step.PHASE, plan)
        for of_step in (*(self._ledger.seconds.get(step, {}) for step in before), clock.seconds):
            seconds.update(of_step)
        said = tuple(message for step in before for message in self._ledger.warnings.get(step, ()))
        return with_timing(Outcome(result, dict(seconds), (*said, *doubts)), dict(seconds))

    def _keep_member(self, member: int, result: Retrieval) -> None:
        self._keeper.add(member, result)
        self._news.tell(Happening.MEMBER, Step.PHASE)

    def _mark(self, change: Change) -> None:
        """A change took effect."""
        if self.live is not None:
            self.live.beta = self.live.beta if change.beta is None else change.beta
            self.live.marks.append((change.member, change.iteration, described(change)))
        if self._following.steering is not None:
            self._keeper.steered(self._following.steering.applied)

    def refused(self, error: InputError) -> None:
        """A change could not be followed."""
        self._following.refuse()
        self._news.tell(Happening.WARNED, Step.PHASE, f"the change was not followed: {error}")
