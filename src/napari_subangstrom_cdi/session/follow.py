"""A run that is steered while it goes on, and the settings that it has come to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from napari_subangstrom_cdi.core.image.support import edits
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io.mask_text import PackedMask
from napari_subangstrom_cdi.job.plan import Change, Plan
from napari_subangstrom_cdi.job.preparation import Prepared
from napari_subangstrom_cdi.job.preparation.support import painted_support
from napari_subangstrom_cdi.job.steering import Steering

STEERED = ("alpha", "noise_multiple")
"""Settings of the regions that steer a run."""


class Following:
    """Keeps the plan that the run that goes on, or the last one, was steered to.

    Attributes
    ----------
    steering : Steering or None
        The changes of the run that goes on.
    plan : Plan or None
        The settings that the last run came to; None before the first.
    """

    def __init__(self) -> None:
        self.steering: Steering | None = None
        self.plan: Plan | None = None

    def reset(self) -> None:
        """Another thread begins, which may or may not come to a run."""
        self.plan = None

    def begin(self, plan: Plan, steering: Steering) -> None:
        """A run begins with these settings."""
        self.steering, self.plan = steering, plan

    def end(self) -> None:
        """It has ended, well or not."""
        self.steering = None

    def settle(self, plan: Plan, prepared: Prepared, steering: Steering) -> None:
        """A run that began with ``plan`` ended well: what took effect is what it came to."""
        self.plan = _as_done(plan, prepared, steering)

    @property
    def steered(self) -> Plan | None:
        """What the run that goes on was steered to; None without one."""
        return None if self.steering is None else self.plan

    def steer(self, **values: Any) -> None:
        """Change α, the noise multiple or β from the next iteration.

        Raises
        ------
        InputError
            If nothing runs or a value is impossible.
        """
        steering, plan = self._going_on()
        steering.push(Change(0, 0, **values))
        steered = {name: value for name, value in values.items() if name in STEERED}
        self.plan = replace(plan, regions=replace(plan.regions, **steered))

    def steer_masks(self, support: PackedMask | None, excluded: PackedMask | None, painted: dict[str, Any]) -> None:
        """Change a mask from the next iteration; ``painted`` are the support's settings that give it next time.

        Raises
        ------
        InputError
            If nothing runs or a mask is none.
        """
        steering, plan = self._going_on()
        steering.push(Change(0, 0, support=support, excluded=excluded))
        self.plan = with_masks(plan, excluded, painted)

    def go_to(self, wanted: Plan, prepared: Prepared | None) -> None:
        """Let the run that goes on follow an undo or redo of what it was steered by."""
        steering, plan = self.steering, self.plan
        if steering is None or plan is None or prepared is None:
            return
        changed = _changed(plan, wanted)
        excluded = None
        if wanted.regions.excluded != plan.regions.excluded:
            excluded = wanted.regions.excluded or PackedMask("")
        support, painted = None, {"added": wanted.support.added, "removed": wanted.support.removed}
        if painted != {"added": plan.support.added, "removed": plan.support.removed}:
            automatic = replace(prepared.support, mask=prepared.automatic_support)
            support = PackedMask.of(painted_support(wanted.support, automatic, prepared.problem.grid).mask)
        if changed or excluded is not None or support is not None:
            steering.push(Change(0, 0, **changed, support=support, excluded=excluded))
            self.plan = with_masks(replace(plan, regions=replace(plan.regions, **changed)), excluded, painted)

    def refuse(self) -> None:
        """A change could not be followed: what is in force is what it was before."""
        if self.steering is not None and self.plan is not None:
            self.plan = replace(self.plan, regions=self.steering.settings)

    def _going_on(self) -> tuple[Steering, Plan]:
        if self.steering is None or self.plan is None:
            raise InputError("no phase retrieval is going on", mend="start it first")
        return self.steering, self.plan


def with_masks(plan: Plan, excluded: PackedMask | None, painted: dict[str, Any]) -> Plan:
    """The same with other masks painted; ``excluded`` is left as it is if None."""
    regions = plan.regions if excluded is None else replace(plan.regions, excluded=excluded or None)
    return replace(plan, regions=regions, support=replace(plan.support, **painted))


def _changed(plan: Plan, wanted: Plan) -> dict[str, Any]:
    steered = {name: getattr(wanted.regions, name) for name in STEERED}
    return {name: value for name, value in steered.items() if value != getattr(plan.regions, name)}


def _as_done(plan: Plan, prepared: Prepared, steering: Steering) -> Plan:
    """The settings that a run which began with ``plan`` has come to."""
    regions, support = steering.settings, plan.support
    if any(change.support is not None for change in steering.applied):
        painted = edits(prepared.automatic_support, steering.problem.support)
        added, removed = (PackedMask.of(part) or None for part in painted)
        support = replace(support, added=added, removed=removed)
    return replace(plan, regions=replace(regions, excluded=regions.excluded or None), support=support)
