"""What to iterate: stages as data. The paper's schedule and ours are two presets of one type."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from napari_subangstrom_cdi.errors import InputError

from .constraints import CONSTRAINTS, Constraint, Image, LowDensity, Support
from .registry import kind_of, parameters_of
from .updates import UPDATES, Update, beta_of, check_beta, with_beta


@dataclass(frozen=True, init=False)
class Stage:
    """A run of iterations with one update rule and one set of object constraints.

    Parameters
    ----------
    name : str
        Shown beside the R-factor.
    iterations : int
        How many.
    update : object, str or mapping
        Update rule: one of :mod:`.updates` or of your own, its name, or a table of ``kind`` and parameters.
    constraints : iterable of object, str or mapping
        Object constraints, said likewise, in the order in which they act, see :mod:`.constraints`. Without
        ``real`` or a constraint that implies it, the object is complex.
    beta : float, optional
        Feedback of the update rule, where it has one, in place of the rule's own.
    q_limits_per_angstrom : (float, float), optional
        The measured amplitudes are demanded up to a |q| that grows from the first value to the
        second during the stage, and are upper limits beyond: phase extension.

    Raises
    ------
    InputError
        If a name was registered by nobody, or a value is impossible.
    """

    name: str
    iterations: int
    update: Update
    constraints: tuple[Constraint, ...]
    q_limits_per_angstrom: tuple[float, float] | None

    def __init__(
        self,
        name: str,
        iterations: int,
        update: Update | str | Mapping[str, Any] = "er",
        constraints: Iterable[Constraint | str | Mapping[str, Any]] = ("support",),
        beta: float | None = None,
        q_limits_per_angstrom: tuple[float, float] | None = None,
    ) -> None:
        where = f"stage {name!r}"
        check_beta(beta, where)
        said = (constraints,) if isinstance(constraints, str) else constraints
        values = {
            "name": name,
            "iterations": iterations,
            "update": with_beta(UPDATES.made(update, where), beta),
            "constraints": tuple(CONSTRAINTS.made(each, where) for each in said),
            "q_limits_per_angstrom": q_limits_per_angstrom and tuple(q_limits_per_angstrom),
        }
        for field, value in values.items():
            object.__setattr__(self, field, value)  # it is frozen from here on
        self._check(where)

    def _check(self, where: str) -> None:
        if self.iterations < 0:
            raise InputError(f"{self.iterations} iterations", where=where, mend="give zero or more")
        if not any(isinstance(each, Support) for each in self.constraints):
            raise InputError("no support among the constraints", where=where, mend="add 'support', usually last")
        for each in self.constraints:
            allowed = getattr(each, "only_with", None)
            if allowed is not None and kind_of(self.update) not in allowed:
                raise InputError(
                    f"the constraint {kind_of(each)!r} with the update {kind_of(self.update)!r}",
                    where=where,
                    mend=f"use the update {' or '.join(map(repr, allowed))} with it",
                )
        for limit in self.q_limits_per_angstrom or ():
            if not limit > 0:
                raise InputError(f"a q limit of {limit:g} Å⁻¹", where=where, mend="give positive numbers")

    @property
    def beta(self) -> float | None:
        """Feedback of the update rule; None where it has none."""
        return beta_of(self.update)

    def q_limit(self, iteration: int) -> float:
        """The |q| in Å⁻¹ up to which amplitudes are demanded at an iteration of this stage."""
        if self.q_limits_per_angstrom is None:
            return math.inf
        first, last = self.q_limits_per_angstrom
        return first + (last - first) * iteration / max(1, self.iterations)


Schedule = tuple[Stage, ...]


def paper_schedule(*, with_image: bool = True) -> Schedule:
    """Twenty HIO iterations with the image, 75 with a real object, 75 with a complex one (Methods)."""
    real = ("real", "support")
    stages = (
        Stage("image", 20, "hio", ("image", *real)),
        Stage("real", 75, "hio", real),
        Stage("complex", 75, "hio", ("support",)),
    )
    return stages if with_image else stages[1:]


def extend_schedule(image_limit_per_angstrom: float, q_max_per_angstrom: float) -> Schedule:
    """Phase extension: from the image's band outward, shell by shell, by low-density elimination.

    The phases inside the image's information limit are known; the estimate with its low density
    removed predicts the next shell, whose amplitudes are then demanded. At the end the object may
    be complex, as thick particles are.
    """
    low, high = min(image_limit_per_angstrom, q_max_per_angstrom), q_max_per_angstrom
    sparse = (Image(0.3), "real", LowDensity(0.8), "support")
    return (
        Stage("image", 15, "er", (Image(0.5), "real", "support"), q_limits_per_angstrom=(low, low)),
        Stage("extend", 100, "er", sparse, q_limits_per_angstrom=(low, high)),
        Stage("settle", 30, "er", sparse),
        Stage("complex", 40, "er", ("support",)),
    )


def model_schedule() -> Schedule:
    """From a model that scatters dynamically: a complex object that the pattern corrects, and nothing else."""
    return (Stage("complex", 80, "er", ("support",)),)


def support_only_schedule() -> Schedule:
    """For a pattern without an image: RAAR with a non-negative object, then error reduction."""
    sparse = ("real", "non-negative", "support")
    return (
        Stage("search", 400, "raar", sparse, beta=0.87),
        Stage("refine", 60, "er", sparse),
        Stage("complex", 60, "er", ("support",)),
    )


def vary(schedule: Schedule, factor_threshold: float, factor_image: float) -> Schedule:
    """The same schedule with density thresholds and image weights multiplied by two factors.

    Which parameters of a constraint they are, their declaration says (``varied_by``).
    """
    factors = {"density": factor_threshold, "image": factor_image}
    return tuple(
        replace(stage, constraints=tuple(_varied(each, factors) for each in stage.constraints)) for stage in schedule
    )


def _varied(each: Constraint, factors: Mapping[str, float]) -> Constraint:
    changes = {
        name: known.parameter.clipped(getattr(each, name) * factors[known.parameter.varied_by])
        for name, known in parameters_of(each).items()
        if known.parameter.varied_by
    }
    varied: Constraint = replace(each, **changes)  # type: ignore[type-var]  # every registered one is a dataclass
    return varied
