"""Update rules: how the next iterate follows from the two projections.

``fourier`` is P_M, ``constrain`` is P_S. The projections may be nonlinear (low density, positivity);
the formulas are then used as written, which for positivity is hybrid projection reflection.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_subangstrom_cdi.core.types import Complex64

Projection = Callable[[Complex64], Complex64]
Update = Callable[[Complex64, Complex64, Projection, Projection, float], Complex64]


def error_reduction(
    x: Complex64, projected: Complex64, constrain: Projection, fourier: Projection, beta: float
) -> Complex64:
    """P_S P_M x. Source: Fienup, Appl. Opt. 21, 2758 (1982), doi:10.1364/AO.21.002758."""
    return constrain(projected)


def hybrid_input_output(
    x: Complex64, projected: Complex64, constrain: Projection, fourier: Projection, beta: float
) -> Complex64:
    """P_S((1+β)P_M x − x) + x − βP_M x: P_M x where P_S holds, x − βP_M x elsewhere (Fienup 1982).

    Exactly Fienup's rule for linear P_S; Bauschke, Combettes & Luke, J. Opt. Soc. Am. A 19, 1334
    (2002), doi:10.1364/JOSAA.19.001334.
    """
    b = np.float32(beta)
    return constrain((1 + b) * projected - x) + x - b * projected


def relaxed_averaged_alternating_reflections(
    x: Complex64, projected: Complex64, constrain: Projection, fourier: Projection, beta: float
) -> Complex64:
    """½β(R_S R_M + 1)x + (1−β)P_M x, with R = 2P − 1.

    Source: Luke, Inverse Problems 21, 37 (2005), doi:10.1088/0266-5611/21/1/004.
    """
    b = np.float32(beta)
    reflected = 2 * projected - x
    return b * (constrain(reflected) - projected + x) + (1 - b) * projected


def difference_map(
    x: Complex64, projected: Complex64, constrain: Projection, fourier: Projection, beta: float
) -> Complex64:
    """X + β(P_S f_M − P_M f_S), f_M = (1+1/β)P_M x − x/β, f_S = (1−1/β)P_S x + x/β.

    Source: Elser, J. Opt. Soc. Am. A 20, 40 (2003), doi:10.1364/JOSAA.20.000040.
    """
    b, inverse = np.float32(beta), np.float32(1 / beta)
    f_m = (1 + inverse) * projected - inverse * x
    second = projected if beta == 1 else fourier((1 - inverse) * constrain(x) + inverse * x)
    return x + b * (constrain(f_m) - second)


UPDATE_RULES: dict[str, Update] = {
    "er": error_reduction,
    "hio": hybrid_input_output,
    "raar": relaxed_averaged_alternating_reflections,
    "difference-map": difference_map,
}


def mixture_outside(rule: Update, beta: float) -> tuple[float, float]:
    """Weights of x and P_M x where P_S gives zero, for a rule that projects once: it is linear there."""
    one, zero = np.ones((1, 1), np.complex64), np.zeros((1, 1), np.complex64)
    keep, gain = (rule(x, projected, np.zeros_like, no_projection, beta) for x, projected in ((one, zero), (zero, one)))
    return float(keep[0, 0].real), float(gain[0, 0].real)


def no_projection(estimate: Complex64) -> Complex64:
    """Stands for P_M in a rule that has no second use of it."""
    raise NotImplementedError("this rule projects twice")
