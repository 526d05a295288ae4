"""How a stage is iterated: on the support's box alone, with feedback outside it, or on the whole array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np

from napari_subangstrom_cdi.core.types import Complex64, Float32
from napari_subangstrom_cdi.errors import InputError

from ._kernel import FourierKernel
from .constraints import declares, works_on_real_part
from .registry import kind_of
from .schedule import Stage
from .updates import Projection, mixture_outside, no_projection

Steps = Iterator[tuple[Complex64, float, float]]


def steps_of(stage: Stage) -> Callable[[Stage, Complex64, Projection, FourierKernel], Steps]:
    """The fastest way to iterate a stage; all yield support-constrained estimates and their R-factors."""
    if declares(stage.update, "in_support"):
        return _on_box
    return _with_feedback if declares(stage.update, "linear_outside") else _on_array


def _on_box(stage: Stage, estimate: Complex64, constrain: Projection, kernel: FourierKernel) -> Steps:
    """Such a rule leaves nothing outside the support. A real object needs half a transform."""
    while True:
        projected, r_factor, free_r = kernel.project(_real_if(stage, estimate))
        # float32 if real: the image filter then has half to do
        estimate = _updated(stage, estimate, cast(Complex64, projected), constrain, no_projection)
        yield estimate, r_factor, free_r


def _with_feedback(stage: Stage, estimate: Complex64, constrain: Projection, kernel: FourierKernel) -> Steps:
    """Outside the box the constraints give zero, and a rule is a mixture of x and P_M x."""
    keep, gain = mixture_outside(stage.update)
    spectrum = kernel.zero_spectrum()
    x = change = estimate
    while True:
        projected = kernel.feed_back(spectrum, change, keep, gain)
        updated = _updated(stage, x, projected, constrain, no_projection)
        x, change = updated, updated - (np.float32(keep) * x + np.float32(gain) * projected)
        estimate = constrain(projected)
        yield estimate, *kernel.r_factors(_real_if(stage, estimate))


def _on_array(stage: Stage, estimate: Complex64, constrain: Projection, kernel: FourierKernel) -> Steps:
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
        x = _updated(stage, x, projected, constrain_array, fourier)
        yield estimate, *kernel.r_factors(_real_if(stage, estimate))


def _updated(stage: Stage, x: Complex64, projected: Complex64, constrain: Projection, fourier: Projection) -> Complex64:
    """What the stage's rule makes of an iterate."""
    updated = np.asarray(stage.update(x, projected, constrain, fourier), np.complex64)
    if updated.shape != x.shape:
        raise InputError(
            f"it returned shape {updated.shape} for an iterate of {x.shape}",
            where=f"update {kind_of(stage.update)!r}",
            mend="return an iterate of the same shape",
        )
    return updated


def _real_if(stage: Stage, estimate: Complex64) -> Complex64 | Float32:
    """The real part if that is all that the stage's constraints look at and leave."""
    if not works_on_real_part(stage.constraints) or estimate.imag.any():
        return estimate
    return np.ascontiguousarray(estimate.real)
