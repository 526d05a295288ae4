"""What is changed while a run goes on: recorded where it took effect, so that a recipe replays it bit for bit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import fields, replace

from napari_subangstrom_cdi.core.image.support import support_from_mask
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.phasing.retrieval import InForce
from napari_subangstrom_cdi.core.types import Bool
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io.mask_text import PackedMask, painted_on

from .plan import Change, Plan
from .preparation import Prepared


class Steering:
    """The changes of one run, replayed and new.

    The pattern, its noise and its scale stay those of the run's beginning; regions, band, support and β follow
    the changes. :meth:`push` may be called from any thread, :meth:`at` is the run's own.

    Parameters
    ----------
    plan : Plan
        With the changes recorded earlier in ``plan.steering``.
    prepared : Prepared
        What the run began with.
    on_applied : callable, optional
        Told of every change when it takes effect.
    on_refused : callable, optional
        Told why a pushed change cannot be followed; the run then goes on as before. A recorded one raises.

    Attributes
    ----------
    problem : Problem
        In force now.
    settings : RegionSettings
        In force now.
    reach : ndarray of bool
        Every pixel that was in a support that was in force.
    applied : tuple of Change
        The changes so far, where they took effect.
    """

    def __init__(
        self,
        plan: Plan,
        prepared: Prepared,
        *,
        on_applied: Callable[[Change], None] = lambda change: None,
        on_refused: Callable[[InputError], None] | None = None,
    ) -> None:
        self.problem = prepared.problem
        self.reach = prepared.problem.support.copy()
        self.applied: tuple[Change, ...] = ()
        self.settings = plan.regions
        self._amplitudes = prepared.amplitudes
        self._beta: float | None = None
        self._recorded = sorted(plan.steering, key=lambda change: (change.member, change.iteration))
        self._on_applied = on_applied
        self._on_refused = on_refused
        self._lock = threading.Lock()
        self._waiting: Change | None = None

    def push(self, change: Change) -> None:
        """Let a change take effect at the next iteration; its own member and iteration are not looked at.

        Raises
        ------
        InputError
            If a mask in it is damaged, or no support.
        """
        painted_on(self.problem.grid, change.excluded, where="excluded")
        if change.support is not None:
            self._support(change.support)
        with self._lock:
            self._waiting = change if self._waiting is None else _merged(self._waiting, change)

    @property
    def waiting(self) -> Change | None:
        """What was pushed and has not taken effect."""
        return self._waiting

    def at(self, member: int, iteration: int) -> InForce | None:
        """The problem and β from this iteration on, if they change here."""
        changed = None
        while self._recorded and (self._recorded[0].member, self._recorded[0].iteration) <= (member, iteration):
            recorded = self._recorded.pop(0)
            if (recorded.member, recorded.iteration) == (member, iteration):
                changed = self._apply(recorded)
        with self._lock:
            new, self._waiting = self._waiting, None
        if new is not None:
            try:
                changed = self._apply(replace(new, member=member, iteration=iteration))
            except InputError as error:
                if self._on_refused is None:
                    raise
                self._on_refused(error)
        return changed

    def _apply(self, change: Change) -> InForce:
        settings = replace(
            self.settings,
            alpha=self.settings.alpha if change.alpha is None else change.alpha,
            noise_multiple=self.settings.noise_multiple if change.noise_multiple is None else change.noise_multiple,
            excluded=self.settings.excluded if change.excluded is None else change.excluded,
        )
        problem = self.problem
        if settings != self.settings:
            excluded = painted_on(problem.grid, settings.excluded, where="excluded")
            regions = self._amplitudes.regions(settings, excluded)
            problem = replace(problem, regions=regions, band=self._amplitudes.band(regions, settings))
        if change.support is not None:
            problem = replace(problem, support=self._support(change.support))
        # Nothing is taken over before all of it is known to be sound.
        self.settings, self.problem = settings, problem
        self._beta = self._beta if change.beta is None else change.beta
        self.reach |= problem.support
        self.applied = (*self.applied, change)
        self._on_applied(change)
        return InForce(problem, self._beta)

    def _support(self, painted: PackedMask) -> Bool:
        mask = painted.on(self.problem.grid, where="support")
        if mask is None:
            raise InputError("the support is empty", mend="paint one")
        return support_from_mask(mask, self.problem.grid).mask


def _merged(first: Change, second: Change) -> Change:
    """Two changes at once: what the later one says goes over the earlier."""
    later = {f.name: getattr(second, f.name) for f in fields(second) if getattr(second, f.name) is not None}
    return replace(first, **later)


def described(change: Change) -> str:
    """A change in a few words, for a mark on a curve."""
    said = []
    if change.alpha is not None:
        said.append(f"α = {change.alpha:g}")
    if change.noise_multiple is not None:
        said.append(f"{change.noise_multiple:g} σ")
    if change.beta is not None:
        said.append(f"β = {change.beta:g}")
    if change.support is not None:
        said.append(f"support of {_marked(change.support)} px")
    if change.excluded is not None:
        said.append(f"{_marked(change.excluded)} px painted {Region.M.name}")
    return ", ".join(said)


def _marked(painted: PackedMask) -> int:
    mask = painted.pixels(where="steering")
    return 0 if mask is None else int(mask.sum())
