"""What to iterate: stages as data. The paper's schedule and ours are two presets of one type."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from napari_subangstrom_cdi.errors import InputError

UPDATES = ("er", "hio", "raar", "difference-map")
CONSTRAINTS = ("image", "real", "non-negative", "low-density", "flip", "support")


@dataclass(frozen=True)
class Stage:
    """A run of iterations with one update rule and one set of object constraints.

    Parameters
    ----------
    name : str
        Shown beside the R-factor.
    iterations : int
        How many.
    update : {'er', 'hio', 'raar', 'difference-map'}
        Update rule, see :mod:`.updates`.
    constraints : tuple of str
        Object constraints in the order in which they act, see :mod:`.constraints`. Without
        ``real`` or a constraint that implies it, the object is complex.
    beta : float
        Feedback of HIO, RAAR and the difference map; error reduction has none.
    image_weight : float
        How far ``image`` pulls the low band of the estimate to the image's, 0 to 1.
    density_threshold : float
        ``low-density`` removes and ``flip`` inverts what lies below this many standard
        deviations of the estimate inside the support.
    q_limits_per_angstrom : (float, float), optional
        The measured amplitudes are demanded up to a |q| that grows from the first value to the
        second during the stage, and are upper limits beyond: phase extension.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # recipes: no misspelt keys

    name: str
    iterations: int
    update: str = "er"
    constraints: tuple[str, ...] = ("support",)
    beta: float = 0.8
    image_weight: float = 1.0
    density_threshold: float = 0.5
    q_limits_per_angstrom: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        where = f"stage {self.name!r}"
        if self.iterations < 0:
            raise InputError(f"{self.iterations} iterations", where=where, mend="give zero or more")
        if self.update not in UPDATES:
            raise InputError(f"unknown update {self.update!r}", where=where, mend=f"use one of {', '.join(UPDATES)}")
        unknown = [name for name in self.constraints if name not in CONSTRAINTS]
        if unknown:
            raise InputError(
                f"unknown constraint {unknown[0]!r}",
                where=where,
                mend=f"use some of {', '.join(CONSTRAINTS)}",
            )
        if "support" not in self.constraints:
            raise InputError("no support among the constraints", where=where, mend="add 'support', usually last")
        if not 0 < self.beta <= 1:
            raise InputError(f"β = {self.beta:g}", where=where, mend="give a value above 0 and at most 1")
        if not 0 <= self.image_weight <= 1:
            raise InputError(f"an image weight of {self.image_weight:g}", where=where, mend="give 0 to 1")
        if not math.isfinite(self.density_threshold):
            raise InputError(f"a density threshold of {self.density_threshold}", where=where, mend="give a number")
        if "flip" in self.constraints and self.update != "er":
            # a reflection is its own feedback; with more of it the iterate grows without bound
            raise InputError(f"charge flipping with {self.update!r}", where=where, mend="use the update 'er' with it")
        for limit in self.q_limits_per_angstrom or ():
            if not limit > 0:
                raise InputError(f"a q limit of {limit:g} Å⁻¹", where=where, mend="give positive numbers")

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
    sparse = ("image", "real", "low-density", "support")
    return (
        Stage(
            "image",
            15,
            "er",
            ("image", "real", "support"),
            image_weight=0.5,
            q_limits_per_angstrom=(low, low),
        ),
        Stage("extend", 100, "er", sparse, image_weight=0.3, density_threshold=0.8, q_limits_per_angstrom=(low, high)),
        Stage("settle", 30, "er", sparse, image_weight=0.3, density_threshold=0.8),
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
    """The same schedule with density thresholds and image weights multiplied by two factors."""
    return tuple(
        replace(
            stage,
            density_threshold=stage.density_threshold * factor_threshold,
            image_weight=min(1.0, stage.image_weight * factor_image),
        )
        for stage in schedule
    )
