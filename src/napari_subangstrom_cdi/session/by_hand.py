"""What work by hand needs of each step: made in the session's thread while the step is done, and kept until stale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from napari_subangstrom_cdi.core.image.support import SupportFinder
from napari_subangstrom_cdi.job.headers import required
from napari_subangstrom_cdi.job.plan import Plan
from napari_subangstrom_cdi.job.preparation import Step
from napari_subangstrom_cdi.job.preparation.image import RegisteredImage
from napari_subangstrom_cdi.job.preparation.model import StartingModel
from napari_subangstrom_cdi.job.preparation.steps import Left, key_of

from .steps import Made
from .trials import ModelTrial, friedel_check, live_comparison


def _without_hand(plan: Plan) -> Plan:
    """The same with everything about the model fitted."""
    return replace(plan, model=replace(plan.model, tilt_deg=None, thickness_angstrom=None, roundness=None))


@dataclass(frozen=True)
class _Kind:
    """A tool depends on the settings of a step and those before it; ``sees`` leaves out what the tool is to try."""

    since: Step
    sees: Callable[[Plan], Plan] = lambda plan: plan


_KINDS = {
    "friedel": _Kind(Step.DATA),
    "comparison": _Kind(Step.BACKGROUND),
    "registration": _Kind(Step.BACKGROUND),
    "support_finder": _Kind(Step.ALIGN),
    "model_trial": _Kind(Step.MODEL, _without_hand),
}


class HandTools:
    """Tools by name; no part of any result.

    ``friedel`` tells how well a beam centre fits, ``comparison`` compares image and pattern at any geometry,
    ``registration`` is the one last found, ``support_finder`` finds supports of the image, and ``model_trial``
    calculates patterns of the fitted particle by other values.
    """

    def __init__(self) -> None:
        self._made: dict[str, Made] = {}

    def get(self, name: str, plan: Plan) -> Any:
        """A tool; None where there is none, or what it was made from is stale."""
        made = self._made.get(name)
        return made.value if made is not None and made.key == _key(name, plan) else None

    def take_over(self, other: HandTools) -> None:
        """Have what another has."""
        self._made.update(other._made)

    def forget(self) -> None:
        """There are none."""
        self._made.clear()

    def before(self, step: Step, plan: Plan, left: Left, say: Callable[[str], None]) -> None:
        """Before the centre is looked for: where that fails, the hand needs the spots."""
        if step is Step.BACKGROUND and self.get("friedel", plan) is None:
            say("find spots")
            self._keep("friedel", plan, friedel_check(plan, left[Step.DATA]))

    def after_failure(self, step: Step, plan: Plan, left: Left) -> None:
        """Where image and pattern could not be aligned, the hand is needed all the more."""
        if step is Step.ALIGN and self.get("comparison", plan) is None:
            self._keep("comparison", plan, live_comparison(plan, left[Step.DATA], left[Step.BACKGROUND], None))

    def after(self, step: Step, plan: Plan, left: Left, value: Any, say: Callable[[str], None]) -> None:
        """Make what can be made now that a step has left a value."""
        if step is Step.ALIGN and value is not None:
            self._after_alignment(plan, left, value, say)
        elif step is Step.MODEL:
            self._after_fit(plan, left, value, say)

    def _after_alignment(self, plan: Plan, left: Left, image: RegisteredImage, say: Callable[[str], None]) -> None:
        by_hand = plan.image.rotation_deg is not None
        found = None if by_hand else image.registration
        if found is not None:
            self._keep("registration", plan, found)
        if found is not None or self.get("comparison", plan) is None:
            say("compare")
            self._keep(
                "comparison",
                plan,
                live_comparison(plan, left[Step.DATA], left[Step.BACKGROUND], found, image.normalised),
            )
        self._keep("support_finder", plan, SupportFinder(image.outline, left[Step.BACKGROUND].grid))

    def _after_fit(self, plan: Plan, left: Left, found: StartingModel, say: Callable[[str], None]) -> None:
        say("model: pattern")
        (energy_ev,) = required(plan, "energy_ev")
        self._keep("model_trial", plan, ModelTrial(found.fitted, left[Step.MASKS], energy_ev))

    def _keep(self, name: str, plan: Plan, value: Any) -> None:
        self._made[name] = Made(_key(name, plan), value)


def _key(name: str, plan: Plan) -> tuple[Any, ...]:
    kind = _KINDS[name]
    return key_of(kind.sees(plan), kind.since)
