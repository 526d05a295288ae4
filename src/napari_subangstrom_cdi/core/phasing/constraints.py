"""What is known of the object, as projections (or reflections) of the estimate on its box.

A constraint is a small frozen dataclass: its fields are its parameters, calling it constrains an estimate. Those
of a stage act in the stage's order. :func:`constraint` registers one of your own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, dataclass_transform

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.types import Bool, Complex64, Float32
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.parameters import Parameter

from .registry import Registry, kind_of

_Own = TypeVar("_Own", bound=type)


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


@dataclass(frozen=True)
class Scene:
    """What a constraint may look at besides the estimate; nothing in it is to be changed.

    Parameters
    ----------
    support : ndarray of bool, shape (height, width)
        Object support on the estimate's box, the smallest rectangle that holds it.
    pixel_angstrom : float
        Side of a pixel of the box.
    image : LowBand, optional
        The low-resolution image on the box; None without one.
    """

    support: Bool
    pixel_angstrom: float
    image: LowBand | None = None


class Constraint(Protocol):
    """What a stage calls: ``constraint(estimate, scene) -> estimate``."""

    def __call__(self, estimate: Complex64, scene: Scene, /) -> Complex64:
        """The constrained estimate."""
        ...


CONSTRAINTS: Registry[Constraint] = Registry("constraint", "napari_subangstrom_cdi.constraints", ("estimate", "scene"))


@dataclass_transform(frozen_default=True)
def constraint(name: str) -> Callable[[_Own], _Own]:
    """Register a constraint: decorate a class with the name that schedules and recipes use.

    The class becomes a frozen dataclass. Its fields are parameters, each declared as
    ``Annotated[float, Parameter(...)]`` with a default; checks, recipes and the window's editors follow from them.
    The first line of its docstring says in the window what it does.

    ``__call__(self, estimate, scene)`` returns the constrained estimate. ``estimate`` is complex64, shape
    (height, width): σ_e V in radians on the box that holds the support. It must not be changed in place. What is
    returned has its shape, and is taken as complex64. ``scene`` is a :class:`Scene` of the same box. Members are
    iterated one after the other; the same estimate must always give the same result.

    A class may declare, as class variables:

    - ``makes_real = True``: what it returns has no imaginary part;
    - ``real_part_alone = True``: the real part of what it returns follows from the real part of the estimate
      alone. If this holds for all constraints before one that makes the estimate real, a real object is
      transformed at half the cost, and the estimate may come as float32;
    - ``needs_image = True``: a run without an image is refused;
    - ``only_with = ("er",)``: the update rules with which it may be used.

    Raises
    ------
    InputError
        If another class has the name.
    TypeError
        If the class cannot be called as it must, or a field is no declared parameter.
    """
    return CONSTRAINTS.register(name)


DENSITY = Parameter(
    "threshold",
    "Density threshold, in standard deviations of the estimate's real part inside the support.",
    unit="σ",
    step=0.05,
    decimals=3,
    varied_by="density",
)


@constraint("image")
class Image:
    """Pull the low band to the image."""

    needs_image: ClassVar[bool] = True
    real_part_alone: ClassVar[bool] = True
    weight: Annotated[
        float,
        Parameter(
            "weight",
            "How far the low band of the estimate is pulled to the image's.",
            low=0, high=1, step=0.05, decimals=3, varied_by="image",
        ),
    ] = 1.0  # fmt: skip

    def __call__(self, estimate: Complex64, scene: Scene) -> Complex64:
        """``x + w (target − x ⊗ h₂)``."""
        if scene.image is None:
            raise InputError("the image constraint needs a TEM image", mend="give an image")
        difference = scene.image.target - scene.image.smooth(estimate)
        return (estimate + np.float32(self.weight) * difference).astype(np.complex64)


@constraint("real")
class Real:
    """Take the real part."""

    makes_real: ClassVar[bool] = True
    real_part_alone: ClassVar[bool] = True

    def __call__(self, estimate: Complex64, scene: Scene) -> Complex64:
        """See :func:`real`."""
        return real(estimate)


@constraint("non-negative")
class NonNegative:
    """Take the real part, and nothing below 0."""

    makes_real: ClassVar[bool] = True
    real_part_alone: ClassVar[bool] = True

    def __call__(self, estimate: Complex64, scene: Scene) -> Complex64:
        """See :func:`non_negative`."""
        return non_negative(estimate)


@constraint("low-density")
class LowDensity:
    """Remove what lies below the density threshold."""

    real_part_alone: ClassVar[bool] = True
    threshold: Annotated[float, DENSITY] = 0.5

    def __call__(self, estimate: Complex64, scene: Scene) -> Complex64:
        """See :func:`low_density`."""
        return low_density(estimate, scene.support, self.threshold)


@constraint("flip")
class Flip:
    """Turn the sign of what lies below the density threshold."""

    real_part_alone: ClassVar[bool] = True
    # a reflection is its own feedback; with more of it the iterate grows without bound
    only_with: ClassVar[tuple[str, ...]] = ("er",)
    threshold: Annotated[float, DENSITY] = 0.5

    def __call__(self, estimate: Complex64, scene: Scene) -> Complex64:
        """See :func:`flip`."""
        return flip(estimate, scene.support, self.threshold)


@constraint("support")
class Support:
    """Leave nothing outside the support (always needed, usually last)."""

    real_part_alone: ClassVar[bool] = True

    def __call__(self, estimate: Complex64, scene: Scene) -> Complex64:
        """The estimate inside the support, zero outside."""
        return np.where(scene.support, estimate, 0)


def declares(part: Any, flag: str) -> bool:
    """Whether the class of a constraint or an update rule declares this of itself."""
    return bool(getattr(part, flag, False))


def works_on_real_part(constraints: tuple[Constraint, ...]) -> bool:
    """Whether all that constraints look at, and leave, is the real part of the estimate."""
    for each in constraints:
        if not declares(each, "real_part_alone"):
            return False
        if declares(each, "makes_real"):
            return True
    return False


def check_image(constraints: tuple[Constraint, ...], has_image: bool, where: str) -> None:
    """Refuse constraints that need an image where there is none.

    Raises
    ------
    InputError
        Naming the constraint.
    """
    for each in constraints:
        if declares(each, "needs_image") and not has_image:
            kind = kind_of(each)
            raise InputError(
                f"the {kind} constraint needs a TEM image",
                where=where,
                mend=f"give an image or take {kind!r} out of the constraints",
            )


def compose(constraints: tuple[Constraint, ...], scene: Scene) -> Callable[[Complex64], Complex64]:
    """Constraints as one callable, acting in their order."""

    def constrain(estimate: Complex64) -> Complex64:
        for each in constraints:
            call = each if declares(each, "real_part_alone") else partial(_guarded, each)
            estimate = call(estimate, scene)
        return estimate

    return constrain


def _guarded(each: Constraint, estimate: Complex64, scene: Scene) -> Complex64:
    """Call a constraint so that it cannot change its estimate, and see to shape and type of what it returns."""
    lent = estimate.view()
    lent.flags.writeable = False
    array: NDArray[Any] = np.asarray(each(lent, scene))
    if array.shape != estimate.shape:
        raise InputError(
            f"it returned shape {array.shape} for an estimate of {estimate.shape}",
            where=f"constraint {kind_of(each)!r}",
            mend="return an estimate of the same shape",
        )
    return array.astype(np.complex64, copy=not array.flags.writeable)
