"""What is known of the object, as projections (or reflections) of the estimate on its box.

A constraint is a callable ``estimate -> estimate``; constraints compose in tuple order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.fft

from napari_subangstrom_cdi.core.types import Bool, Complex64, Float32
from napari_subangstrom_cdi.errors import InputError

from .schedule import Stage

Constraint = Callable[[Complex64], Complex64]


@dataclass(frozen=True)
class LowBand:
    """The low-resolution image as a constraint: ``V_exp ⊗ h₁ ≈ Ṽ ⊗ h₂`` (Methods).

    Parameters
    ----------
    target : ndarray of float32, shape (height, width)
        ``V_exp ⊗ h₁`` on the box, in the estimate's units.
    transfer : ndarray of float32, shape (m, m // 2 + 1)
        ``h₂`` in FFT order as :func:`scipy.fft.rfft2` lays it out; ``m`` exceeds the box so that
        the filter does not wrap around it.
    """

    target: Float32
    transfer: Float32

    def smooth(self, estimate: Float32 | Complex64) -> Float32 | Complex64:
        """``estimate ⊗ h₂`` on the box."""
        height, width = estimate.shape
        m = self.transfer.shape[0]
        if np.iscomplexobj(estimate):
            return (self.smooth(estimate.real) + 1j * self.smooth(estimate.imag)).astype(np.complex64)
        spectrum = scipy.fft.rfft2(estimate.astype(np.float32), s=(m, m)) * self.transfer
        smoothed: Float32 = scipy.fft.irfft2(spectrum, s=(m, m))[:height, :width]
        return smoothed

    def agreement(self, estimate: Complex64, support: Bool) -> float:
        """Correlation of the estimate with the image in the band, inside the support.

        The global phase is not observable and turns freely once the object is complex, so the estimate
        is first turned to lie on the image; NaN if either is zero.
        """
        a, b = self.smooth(estimate)[support], self.target[support]
        turn = np.exp(1j * np.angle(np.vdot(a, b)))
        a = (a * turn).real
        norm = float(np.linalg.norm(a) * np.linalg.norm(b))
        return float(np.dot(a, b)) / norm if norm > 0 else float("nan")


def low_band(
    estimate: Float32, support: Bool, band_transfer: Callable[[Float32], Float32], pixel_angstrom: float
) -> LowBand:
    """Build the image constraint for a box.

    Parameters
    ----------
    estimate : ndarray of float32, shape (height, width)
        ``V_exp`` on the box.
    support : ndarray of bool, shape (height, width)
        Object support; the image outside is noise.
    band_transfer : callable
        h(|q|) for |q| in Å⁻¹: what the image transfers, 0 to 1; used as h₁ and h₂.
    pixel_angstrom : float
        Real-space pixel of the box.
    """
    m = scipy.fft.next_fast_len(int(1.25 * max(estimate.shape)) + 16, real=True)
    m += m % 2
    qy = scipy.fft.fftfreq(m, pixel_angstrom)[:, None]
    qx = scipy.fft.rfftfreq(m, pixel_angstrom)[None, :]
    transfer = band_transfer(np.hypot(qy, qx).astype(np.float32)).astype(np.float32)
    inside = np.where(support, estimate, 0).astype(np.float32)
    constraint = LowBand(np.zeros_like(inside), transfer)
    return LowBand(np.asarray(constraint.smooth(inside), np.float32), transfer)


def real(estimate: Complex64) -> Complex64:
    """Drop the imaginary part: a weak phase object."""
    return estimate.real.astype(np.complex64)


def non_negative(estimate: Complex64) -> Complex64:
    """Real part clipped at zero: a projected potential has one sign. Not linear."""
    return np.maximum(estimate.real, 0).astype(np.complex64)


def low_density(estimate: Complex64, support: Bool, threshold: float) -> Complex64:
    """Low-density elimination: what lies below ``threshold`` standard deviations is no atom.

    The standard deviation is that of the real part inside the support; the real part decides and
    the imaginary part goes with it. Source: Shiono & Woolfson, Acta Cryst. A48, 451 (1992),
    doi:10.1107/S0108767392000503.
    """
    limit = threshold * float(estimate.real[support].std())
    return np.where(estimate.real >= limit, estimate, 0)


def flip(estimate: Complex64, support: Bool, threshold: float) -> Complex64:
    """Charge flipping: change the sign of what lies below ``threshold`` standard deviations.

    Source: Oszlányi & Sütő, Acta Cryst. A60, 134 (2004), doi:10.1107/S0108767303027569.
    """
    limit = threshold * float(estimate.real[support].std())
    return np.where(estimate.real >= limit, estimate, -estimate)


def compose(stage: Stage, support: Bool, image: LowBand | None) -> Constraint:
    """The constraints of a stage as one callable, acting in the stage's order.

    Raises
    ------
    InputError
        If the stage asks for the image and there is none.
    """
    steps: list[Constraint] = []
    for name in stage.constraints:
        if name == "image":
            if image is None:
                raise InputError(
                    "the image constraint needs a TEM image",
                    where=f"stage {stage.name!r}",
                    mend="give an image or take 'image' out of the constraints",
                )
            steps.append(_pull_to_image(image, stage.image_weight))
        elif name == "real":
            steps.append(real)
        elif name == "non-negative":
            steps.append(non_negative)
        elif name == "low-density":
            steps.append(lambda x: low_density(x, support, stage.density_threshold))
        elif name == "flip":
            steps.append(lambda x: flip(x, support, stage.density_threshold))
        elif name == "support":
            steps.append(lambda x: np.where(support, x, 0))

    def constrain(estimate: Complex64) -> Complex64:
        for step in steps:
            estimate = step(estimate)
        return estimate

    return constrain


def _pull_to_image(image: LowBand, weight: float) -> Constraint:
    def pull(estimate: Complex64) -> Complex64:
        return (estimate + np.float32(weight) * (image.target - image.smooth(estimate))).astype(np.complex64)

    return pull
