"""Update rules: how the next iterate follows from the two projections.

``fourier`` is P_M, ``constrain`` is P_S. The projections may be nonlinear (low density, positivity);
the formulas are then used as written, which for positivity is hybrid projection reflection. A rule is a small frozen
dataclass: its fields are its parameters, calling it updates. :func:`update` registers one of your own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, dataclass_transform

import numpy as np

from napari_subangstrom_cdi.core.types import Complex64
from napari_subangstrom_cdi.parameters import Parameter, check_value

from .registry import Registry, parameters_of

Projection = Callable[[Complex64], Complex64]
_Rule = TypeVar("_Rule")
_Own = TypeVar("_Own", bound=type)


class Update(Protocol):
    """What a stage calls: ``update(x, projected, constrain, fourier) -> x``."""

    def __call__(self, x: Complex64, projected: Complex64, constrain: Projection, fourier: Projection, /) -> Complex64:
        """The next iterate."""
        ...


UPDATES: Registry[Update] = Registry(
    "update", "napari_subangstrom_cdi.updates", ("x", "projected", "constrain", "fourier")
)


@dataclass_transform(frozen_default=True)
def update(name: str) -> Callable[[_Own], _Own]:
    """Register an update rule: decorate a class with the name that schedules and recipes use.

    The class becomes a frozen dataclass. Its fields are parameters, each declared as
    ``Annotated[float, Parameter(...)]`` with a default. A feedback that is to follow the β steered during a run is
    named ``beta``. The first line of its docstring says in the window what it is.

    ``__call__(self, x, projected, constrain, fourier)`` returns the next iterate: ``x`` is the iterate, ``projected``
    is P_M x, and ``constrain`` and ``fourier`` are P_S and P_M. The arrays are complex64 and hold the box of the
    support, or the whole field; nothing is to be changed in place. What is returned has their shape, and is taken as
    complex64. The same arrays must always give the same result.

    A class may declare, as class variables (or properties), what lets it run faster than on the whole array:

    - ``linear_outside = True``: it never calls ``fourier``, and where ``constrain`` gives zero it is a mixture of
      ``x`` and ``projected`` with fixed weights;
    - ``in_support = True``: it never calls ``fourier``, and what it returns has been through ``constrain``; while
      the object is real, ``projected`` may come as float32.

    Raises
    ------
    InputError
        If another class has the name.
    TypeError
        If the class cannot be called as it must, or a field is no declared parameter.
    """
    return UPDATES.register(name)


Beta = Annotated[
    float, Parameter("β", "Feedback of what the constraints remove.", above=0, high=1, step=0.05, decimals=3)
]


@update("er")
class ErrorReduction:
    """Error reduction.

    P_S P_M x. Source: Fienup, Appl. Opt. 21, 2758 (1982), doi:10.1364/AO.21.002758.
    """

    in_support: ClassVar[bool] = True

    def __call__(self, x: Complex64, projected: Complex64, constrain: Projection, fourier: Projection) -> Complex64:
        """The constrained projection."""
        return constrain(projected)


@update("hio")
class HybridInputOutput:
    """Hybrid input-output.

    P_S((1+β)P_M x − x) + x − βP_M x: P_M x where P_S holds, x − βP_M x elsewhere (Fienup 1982).
    Exactly Fienup's rule for linear P_S; Bauschke, Combettes & Luke, J. Opt. Soc. Am. A 19, 1334
    (2002), doi:10.1364/JOSAA.19.001334.
    """

    linear_outside: ClassVar[bool] = True
    beta: Beta = 0.8

    def __call__(self, x: Complex64, projected: Complex64, constrain: Projection, fourier: Projection) -> Complex64:
        """The formula, as it is written."""
        b = np.float32(self.beta)
        return constrain((1 + b) * projected - x) + x - b * projected


@update("raar")
class RelaxedAveragedAlternatingReflections:
    """Relaxed averaged alternating reflections.

    ½β(R_S R_M + 1)x + (1−β)P_M x, with R = 2P − 1.
    Source: Luke, Inverse Problems 21, 37 (2005), doi:10.1088/0266-5611/21/1/004.
    """

    linear_outside: ClassVar[bool] = True
    beta: Beta = 0.8

    def __call__(self, x: Complex64, projected: Complex64, constrain: Projection, fourier: Projection) -> Complex64:
        """The formula, as it is written."""
        b = np.float32(self.beta)
        reflected = 2 * projected - x
        return b * (constrain(reflected) - projected + x) + (1 - b) * projected


@update("difference-map")
class DifferenceMap:
    """Difference map.

    X + β(P_S f_M − P_M f_S), f_M = (1+1/β)P_M x − x/β, f_S = (1−1/β)P_S x + x/β.
    Source: Elser, J. Opt. Soc. Am. A 20, 40 (2003), doi:10.1364/JOSAA.20.000040.
    """

    beta: Beta = 0.8

    @property
    def linear_outside(self) -> bool:
        """With full feedback the second projection is the first."""
        return self.beta == 1

    def __call__(self, x: Complex64, projected: Complex64, constrain: Projection, fourier: Projection) -> Complex64:
        """The formula, as it is written."""
        b, inverse = np.float32(self.beta), np.float32(1 / self.beta)
        f_m = (1 + inverse) * projected - inverse * x
        second = projected if self.beta == 1 else fourier((1 - inverse) * constrain(x) + inverse * x)
        return x + b * (constrain(f_m) - second)


def beta_of(rule: Any) -> float | None:
    """β of an update rule; None where it has none."""
    return float(rule.beta) if "beta" in parameters_of(rule) else None


def with_beta(rule: _Rule, beta: float | None) -> _Rule:
    """The rule with another β; as it is for None, and where it has no β."""
    if beta is None or beta_of(rule) is None:
        return rule
    changed: _Rule = replace(rule, beta=beta)  # type: ignore[type-var]  # every registered rule is a dataclass
    return changed


def check_beta(beta: float | None, where: str = "") -> None:
    """Refuse an impossible β, whichever rule it is for.

    Raises
    ------
    InputError
        If it is not above 0 and at most 1.
    """
    if beta is not None:
        check_value(parameters_of(HybridInputOutput)["beta"], beta, where)


def mixture_outside(rule: Update) -> tuple[float, float]:
    """Weights of x and P_M x where P_S gives zero, for a rule that projects once: it is linear there."""
    one, zero = np.ones((1, 1), np.complex64), np.zeros((1, 1), np.complex64)
    keep, gain = (rule(x, projected, np.zeros_like, no_projection) for x, projected in ((one, zero), (zero, one)))
    return float(keep[0, 0].real), float(gain[0, 0].real)


def no_projection(estimate: Complex64) -> Complex64:
    """Stands for P_M in a rule that has no second use of it."""
    raise NotImplementedError("this rule projects twice")
