"""The steps of a job: what each needs, what makes it stale, and what it does, in one table.

:func:`prepare` walks it from files to a problem; a session walks it one step at a time and asks it what is to be
done again after a change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from napari_subangstrom_cdi.job.headers import completed, taken
from napari_subangstrom_cdi.job.plan import Plan, RegionSettings

from .centre import centre_pattern
from .clock import Clock
from .image import align_image
from .load import load_inputs
from .masks import Prepared, choose_schedule, find_masks
from .model import check_model, fit_crystal, starting_from_model


class Step(StrEnum):
    """The steps of a job, in order."""

    DATA = "data"
    BACKGROUND = "background"
    ALIGN = "align"
    MASKS = "masks"
    MODEL = "model"
    """Only if the members start from it."""
    PHASE = "phase"
    RESULTS = "results"


Left = Mapping[Step, Any]
"""What the steps left, by step."""


def _always(plan: Plan) -> bool:
    return True


def _whole(plan: Plan) -> Plan:
    return plan


@dataclass(frozen=True)
class StepSpec:
    """A step that computes something.

    Parameters
    ----------
    step : Step
        Which.
    settings : callable
        Those of a plan that the step itself looks at. With those of the steps before it they make it stale.
    needs : tuple of Step
        Whose outputs it is given.
    do : callable
        From the plan, those outputs, and a clock to what it leaves; None where that takes more than a plan and a
        clock, as the phase retrieval does.
    used : callable
        Whether a plan does this step at all. One that it does not can still be done for its own sake.
    sees : callable
        The plan as the step sees it, with what it does not depend on, though a step before it does, as usual.
    """

    step: Step
    settings: Callable[[Plan], Any]
    needs: tuple[Step, ...] = ()
    do: Callable[..., Any] | None = None
    used: Callable[[Plan], bool] = _always
    sees: Callable[[Plan], Plan] = _whole

    def run(self, plan: Plan, left: Left, clock: Clock) -> Any:
        """Do it, with what the headers of the plan's files say of the records."""
        if self.do is None:
            raise ValueError(f"{self.step} is done by the pipeline")
        known = taken(plan) if self.step is Step.DATA else completed(plan).plan
        return self.do(known, *(left[step] for step in self.needs), clock)


def _without_alpha(plan: Plan) -> Plan:
    usual = RegionSettings()
    return replace(plan, regions=replace(plan.regions, alpha=usual.alpha, reading=usual.reading))


STEPS = {
    spec.step: spec
    for spec in (
        StepSpec(
            Step.DATA,
            lambda plan: (replace(plan.inputs, crystal=None), plan.acquisition, plan.pattern.known_spacings),
            do=load_inputs,
        ),
        StepSpec(
            Step.BACKGROUND,
            lambda plan: (
                replace(plan.pattern, known_spacings=(), remove_noise_between_spots=False),
                (plan.inputs.crystal, plan.model.zone) if plan.pattern.ellipse == "crystal" else None,
            ),
            needs=(Step.DATA,),
            do=centre_pattern,
        ),
        StepSpec(
            Step.ALIGN,
            lambda plan: plan.image,
            needs=(Step.DATA, Step.BACKGROUND),
            do=align_image,
        ),
        StepSpec(
            Step.MASKS,
            lambda plan: (plan.support, plan.regions, plan.pattern.remove_noise_between_spots),
            needs=(Step.DATA, Step.BACKGROUND, Step.ALIGN),
            do=find_masks,
        ),
        StepSpec(
            Step.MODEL,
            lambda plan: (plan.inputs.crystal, replace(plan.model, use=True)),
            needs=(Step.DATA, Step.ALIGN, Step.MASKS),
            do=fit_crystal,
            used=lambda plan: plan.model.use,
            sees=_without_alpha,
        ),
        StepSpec(
            Step.PHASE,
            lambda plan: (plan.retrieval.schedule or plan.retrieval.preset, plan.ensemble),
            needs=(Step.ALIGN, Step.MASKS, Step.MODEL),
        ),
    )
}
"""What is computed, in order. The results are no step that does anything: they follow from the phase."""


def steps_before(step: Step, plan: Plan) -> tuple[Step, ...]:
    """What comes before a step, of what the plan uses."""
    return tuple(spec.step for spec in _up_to(step)[:-1] if spec.used(plan))


def key_of(plan: Plan, step: Step) -> tuple[Any, ...]:
    """The settings that a step and all before it depend on: two plans with the same leave the same of it."""
    seen = STEPS[step].sees(plan)
    return tuple(spec.settings(seen) if spec.step is step or spec.used(plan) else None for spec in _up_to(step))


def _up_to(step: Step) -> tuple[StepSpec, ...]:
    order = tuple(STEPS)
    return tuple(STEPS[one] for one in order[: order.index(step) + 1])


def prepare(plan: Plan, clock: Clock) -> Prepared:
    """Do every step before phase retrieval.

    Raises
    ------
    InputError
        If a file cannot be used, a value is missing, or a step finds nothing to work with.
    """
    if STEPS[Step.MODEL].used(plan):
        check_model(plan)  # what costs nothing goes first
    left: dict[Step, Any] = {}
    for step in steps_before(Step.PHASE, plan):
        left[step] = STEPS[step].run(plan, left, clock)
    return assembled(plan, left)


def assembled(plan: Plan, left: Left) -> Prepared:
    """What the retrieval starts from: the problem, the model if members start from it, and the schedule."""
    prepared: Prepared = left[Step.MASKS]
    image = left[Step.ALIGN]
    if STEPS[Step.MODEL].used(plan):
        prepared = starting_from_model(prepared, left[Step.MODEL], image)
    schedule = choose_schedule(plan, image, prepared.problem)
    return replace(prepared, schedule=schedule, readings={**prepared.readings, **completed(plan).readings()})
