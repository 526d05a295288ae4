"""How a stage is iterated: on the support's box alone, with feedback outside it, or on the whole array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np

from napari_subangstrom_cdi.core.types import Complex64, Float32

from ._kernel import FourierKernel
from .constraints import Constraint
from .schedule import Stage
from .updates import UPDATE_RULES, mixture_outside, no_projection

Steps = Iterator[tuple[Complex64, float, float]]


def steps_of(stage: Stage) -> Callable[[Stage, Complex64, Constraint, FourierKernel], Steps]:
    """The fastest way to iterate a stage; all yield support-constrained estimates and their R-factors."""
    if stage.update == "er":
        return _on_box
    if stage.update == "difference-map" and stage.beta != 1:
        return _on_array
    return _with_feedback


def _on_box(stage: Stage, estimate: Complex64, constrain: Constraint, kernel: FourierKernel) -> Steps:
    """Error reduction leaves nothing outside the support. A real object needs half a transform."""
    while True:
        projected, r_factor, free_r = kernel.project(_real_if(stage, estimate))
        estimate = constrain(cast(Complex64, projected))  # float32 if real: the image filter then has half to do
        yield estimate, r_factor, free_r


def _with_feedback(stage: Stage, estimate: Complex64, constrain: Constraint, kernel: FourierKernel) -> Steps:
    """Outside the box the constraints give zero, and a rule is a mixture of x and P_M x."""
    rule = UPDATE_RULES[stage.update]
    keep, gain = mixture_outside(rule, stage.beta)
    spectrum = kernel.zero_spectrum()
    x = change = estimate
    while True:
        projected = kernel.feed_back(spectrum, change, keep, gain)
        updated = rule(x, projected, constrain, no_projection, stage.beta)
        x, change = updated, updated - (np.float32(keep) * x + np.float32(gain) * projected)
        estimate = constrain(projected)
        yield estimate, *kernel.r_factors(_real_if(stage, estimate))


def _on_array(stage: Stage, estimate: Complex64, constrain: Constraint, kernel: FourierKernel) -> Steps:
    """The rules as they are written, on the whole array: the reference, for those that project twice."""
    box = slice(estimate.shape[0]), slice(estimate.shape[1])
    x = np.zeros((kernel.n, kernel.n), np.complex64)
    x[box] = estimate

    def constrain_array(field_: Complex64) -> Complex64:
        constrained = np.zeros_like(field_)
        constrained[box] = constrain(field_[box])
        return constrained

    def fourier(field_: Complex64) -> Complex64:
        return kernel.project(field_)[0]

    while True:
        projected = fourier(x)
        estimate = constrain(projected[box])
        x = UPDATE_RULES[stage.update](x, projected, constrain_array, fourier, stage.beta)
        yield estimate, *kernel.r_factors(_real_if(stage, estimate))


def _real_if(stage: Stage, estimate: Complex64) -> Complex64 | Float32:
    """The real part if that is all that the stage's constraints look at and leave."""
    if {"real", "non-negative"}.isdisjoint(stage.constraints) or estimate.imag.any():
        return estimate
    return np.ascontiguousarray(estimate.real)
