"""How the steps of a session stand: what each left, with which settings, and what is to be done again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from napari_subangstrom_cdi.job.plan import Plan
from napari_subangstrom_cdi.job.preparation import Step
from napari_subangstrom_cdi.job.preparation.steps import STEPS, key_of, steps_before


class State(StrEnum):
    """How a step stands."""

    TODO = "to do"
    """Something before it is missing."""
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    STALE = "stale"
    """Done once, but something before it, or its own settings, changed."""
    FAILED = "failed"
    UNUSED = "not used"
    """The plan does without it."""


@dataclass(frozen=True)
class Made:
    """Something, and the settings it was made with, as of :func:`.job.preparation.steps.key_of`."""

    key: tuple[Any, ...]
    value: Any


class Ledger:
    """What the steps left, and how they went.

    Attributes
    ----------
    running : Step or None
        What is being done.
    warnings : dict
        Of each step when it last ran.
    errors : dict
        Why a step failed.
    seconds : dict
        What each step took, part by part.
    saved : bool
        Whether the result, if there is one, is in a project.
    """

    def __init__(self) -> None:
        self.running: Step | None = None
        self.warnings: dict[Step, tuple[str, ...]] = {}
        self.errors: dict[Step, str] = {}
        self.seconds: dict[Step, dict[str, float]] = {}
        self.saved = True
        self._made: dict[Step, Made] = {}
        self._failed: dict[Step, tuple[tuple[Any, ...], bool]] = {}

    def output(self, step: Step) -> Any:
        """What a step left when it was last done, stale or not; None if it never was."""
        found = self._made.get(step)
        return None if found is None else found.value

    def left(self) -> dict[Step, Any]:
        """What all steps left."""
        return {step: made.value for step, made in self._made.items()}

    def keep(self, step: Step, key: tuple[Any, ...], value: Any) -> None:
        """Note what a step left, and that it went well."""
        self._made[step] = Made(key, value)
        self.errors.pop(step, None)
        self._failed.pop(step, None)

    def fail(self, step: Step, plan: Plan, message: str) -> None:
        """Note that a step failed with these settings, and why."""
        self.errors[step] = message
        # a step that failed for its own sake is no failure of the run that then uses it, nor the other way round
        self._failed[step] = (key_of(plan, step), STEPS[step].used(plan))

    def take_over(self, other: Ledger, *steps: Step) -> None:
        """Have what other steps left, as if it had been made here."""
        for step in steps:
            self._made[step] = other._made[step]
        if Step.PHASE in steps:
            self.saved = other.saved

    def forget(self) -> None:
        """Nothing was done."""
        for kept in (self._made, self._failed, self.errors, self.warnings, self.seconds):
            kept.clear()
        self.saved = True

    def is_current(self, step: Step, plan: Plan) -> bool:
        """Whether what a step left was made with these settings."""
        found = self._made.get(step)
        return found is not None and found.key == key_of(plan, step)

    def needed(self, step: Step, plan: Plan) -> tuple[Step, ...]:
        """The steps to be done for this one: those before it that are not current, and itself."""
        return (*(one for one in steps_before(step, plan) if not self.is_current(one, plan)), step)

    def state(self, step: Step, plan: Plan, steered: Plan | None) -> State:
        """How a step stands.

        Parameters
        ----------
        step : Step
            Which.
        plan : Plan
            The settings as they are.
        steered : Plan or None
            What the run that goes on was steered to. Its masks were made with the settings of its beginning; what is
            in force is what was steered to.
        """
        if self.running is step:
            return State.RUNNING
        if step is Step.RESULTS:
            return self._state_of_results(plan, steered)
        done, used = step in self._made, STEPS[step].used(plan)
        if done and (self.is_current(step, plan) or (used and self._is_run_at(plan, steered))):
            return State.DONE
        if self._failed.get(step) == (key_of(plan, step), used):
            return State.FAILED
        if not used:
            return State.UNUSED
        if done:
            return State.STALE
        before = (self.state(one, plan, steered) for one in steps_before(step, plan))
        ready = bool(plan.inputs.pattern) and all(state is State.DONE for state in before)
        return State.READY if ready else State.TODO

    def _is_run_at(self, plan: Plan, steered: Plan | None) -> bool:
        """Whether the run that goes on, or the last one, stands at these settings."""
        if steered is not None:
            return key_of(steered, Step.PHASE) == key_of(plan, Step.PHASE)
        return self.is_current(Step.PHASE, plan)

    def _state_of_results(self, plan: Plan, steered: Plan | None) -> State:
        phase = self.state(Step.PHASE, plan, steered)
        if self.output(Step.PHASE) is None:
            return State.TODO
        if phase is not State.DONE:
            return State.STALE
        return State.DONE if self.saved else State.READY
