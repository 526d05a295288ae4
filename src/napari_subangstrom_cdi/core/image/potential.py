"""From a TEM image to an estimate of the projected potential, as the phase O = σ_e V in radians.

Signs: the wave after the specimen is ``ψ = 1 + iO``. The lens multiplies its spectrum by
``exp(-iχ)`` with ``χ(q) = πλΔf q² + (π/2) C_s λ³ q⁴`` and underfocus negative, so a weak phase
object has the image ``I - 1 = 2 O ⊗ F⁻¹[sin χ]`` and, near Scherzer underfocus where ``sin χ ≈ -1``,
dark atoms: ``(1 - I)/2 ≈ O``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
from numpy.typing import ArrayLike, NDArray

from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.core.types import Bool, Float32, Float64
from napari_subangstrom_cdi.errors import InputError, doubt

from .normalisation import NormalisedImage, normalise_to_vacuum

__all__ = [
    "ImagingConditions",
    "NormalisedImage",
    "aberration_phase",
    "coherence_envelope",
    "ctf",
    "normalise_to_vacuum",
    "particle_window",
    "point_resolution_per_angstrom",
    "vacuum_power",
    "weak_phase_potential",
    "wiener_potential",
]

_DOWNWARD_SKEWNESS = -0.5


@dataclass(frozen=True)
class ImagingConditions:
    """What of the microscope's state enters the image of a thin object.

    Parameters
    ----------
    energy_ev : float
        Beam energy, eV.
    cs_mm : float
        Spherical aberration, mm.
    defocus_nm : float
        Defocus, nm; underfocus is negative.
    defocus_spread_nm : float
        Standard deviation of the defocus (temporal coherence), nm.
    information_limit_per_angstrom : float
        Highest spatial frequency that the image holds, Å⁻¹.
    """

    energy_ev: float
    cs_mm: float
    defocus_nm: float
    defocus_spread_nm: float = 0.0
    information_limit_per_angstrom: float = math.inf

    def __post_init__(self) -> None:
        wavelength_angstrom(self.energy_ev)
        for name in ("cs_mm", "defocus_nm", "defocus_spread_nm"):
            if not math.isfinite(getattr(self, name)):
                raise InputError(f"{name} is {getattr(self, name)}", mend="give a finite number")
        if abs(self.defocus_nm) > 1e5:
            raise InputError(f"a defocus of {self.defocus_nm:g} nm", where="defocus_nm", mend="give it in nanometres")
        if self.defocus_spread_nm < 0:
            raise InputError(f"{self.defocus_spread_nm:g} nm", where="defocus_spread_nm", mend="give 0 or more")
        if not self.information_limit_per_angstrom > 0:
            raise InputError(
                f"{self.information_limit_per_angstrom:g}",
                where="information_limit",
                mend="give it in 1/Å, above 0",
            )


def point_resolution_per_angstrom(energy_ev: float, cs_mm: float) -> float:
    """Highest |q| = 1/d that Scherzer's focus transfers in one band, d = 0.66 (Cs λ³)^¼, in Å⁻¹.

    Source: D. B. Williams and C. B. Carter, *Transmission Electron Microscopy*, chapter 28,
    doi:10.1007/978-0-387-76501-3.

    Examples
    --------
    >>> round(1 / point_resolution_per_angstrom(200e3, 1.0), 2)
    2.34
    """
    return float((abs(cs_mm) * 1e7 * wavelength_angstrom(energy_ev) ** 3) ** -0.25 / 0.66)


def weak_phase_potential(intensity: ArrayLike, /) -> Float32:
    """Weak-phase estimate of O = σ_e V at Scherzer underfocus: ``O = (1 - I)/2``.

    Parameters
    ----------
    intensity : array_like, shape (y, x)
        Image with its vacuum at 1.

    References
    ----------
    W. J. Huang et al., Nature Physics 5, 129 (2009), Methods; doi:10.1038/nphys1161.
    """
    return 0.5 * (1 - np.asarray(intensity, dtype=np.float32))


def aberration_phase(q: ArrayLike, conditions: ImagingConditions, /) -> Float64:
    """χ(q) = πλΔf q² + (π/2) C_s λ³ q⁴, radians; underfocus negative.

    Parameters
    ----------
    q : array_like
        Spatial frequency, Å⁻¹.
    """
    q2 = np.square(np.asarray(q, dtype=np.float64))
    wavelength = wavelength_angstrom(conditions.energy_ev)
    defocus, cs = conditions.defocus_nm * 10, conditions.cs_mm * 1e7
    return np.asarray(math.pi * wavelength * defocus * q2 + 0.5 * math.pi * cs * wavelength**3 * q2**2)


def coherence_envelope(q: ArrayLike, conditions: ImagingConditions, /) -> Float64:
    """Envelope of the linear image: defocus spread, and a smooth fall to 1/e at the information limit.

    The defocus spread Δ gives ``exp(-(πλΔ)² q⁴ / 2)``. What else limits the image (detector, vibration,
    beam divergence) is known only through the information limit q_i and taken as ``exp(-(q/q_i)⁶)``.

    References
    ----------
    E. J. Kirkland, *Advanced Computing in Electron Microscopy*, sec. 3.2, doi:10.1007/978-1-4419-6533-2.
    """
    q = np.asarray(q, dtype=np.float64)
    wavelength = wavelength_angstrom(conditions.energy_ev)
    temporal = np.exp(-0.5 * (math.pi * wavelength * conditions.defocus_spread_nm * 10) ** 2 * q**4)
    limit = conditions.information_limit_per_angstrom
    if not math.isfinite(limit):
        return np.asarray(temporal)
    return np.asarray(temporal * np.exp(-((q / limit) ** 6)))


def ctf(q: ArrayLike, conditions: ImagingConditions, /, *, object_phase_deg: float = 0.0) -> Float64:
    """Transfer H(q) of the object to the contrast: ``1 - I = F⁻¹[H F[o]]``, positive for dark atoms.

    ``H = -2 sin(χ - θ) E`` for an object ``O = o exp(iθ)`` with real o. A weak phase object has θ = 0;
    in a thick crystal the mean phase of O turns towards 90°, seen as a dark particle.

    Parameters
    ----------
    q : array_like
        Spatial frequency, Å⁻¹.
    conditions : ImagingConditions
        Aberrations and envelope.
    object_phase_deg : float, optional
        θ, degrees.
    """
    chi = aberration_phase(q, conditions)
    return np.asarray(-2 * np.sin(chi - math.radians(object_phase_deg)) * coherence_envelope(q, conditions))


def particle_window(image: NormalisedImage, /, *, margin_px: float | None = None) -> Float32:
    """Soft window, 1 on the particle and its surroundings up to ``margin_px``, 0 far away.

    The margin, by default 12 % of the particle's diameter, holds the fringes that defocus spreads outwards.
    """
    margin_px = 0.12 * image.diameter_px if margin_px is None else margin_px
    distance = ndi.distance_transform_edt(~image.particle)
    ramp = np.clip((distance - margin_px) / max(margin_px / 2, 2.0), 0, 1)
    window = np.asarray(0.5 * (1 + np.cos(np.pi * ramp)), dtype=np.float32)
    if image.elsewhere is None:
        return window
    clear = np.clip(ndi.distance_transform_edt(~image.elsewhere) / max(margin_px / 2, 2.0), 0, 1)
    return np.where(image.particle, 1, window * clear.astype(np.float32))


def vacuum_power(image: NormalisedImage, /, *, bins: int = 100) -> Float64:
    """Power of the vacuum's contrast per pixel, in ``bins`` rings up to 0.5 cycles per pixel."""
    far = _vacuum_of(image)
    window = np.asarray(ndi.gaussian_filter(far.astype(np.float32), 5))
    rows, columns = image.intensity.shape
    power = np.abs(scipy.fft.rfft2((1 - image.intensity) * window)) ** 2 / float(np.sum(window**2))
    f = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    ring = np.minimum((f * 2 * bins).astype(int), bins).ravel()
    total = np.bincount(ring, power.ravel(), minlength=bins + 1)
    return np.asarray(total / np.maximum(np.bincount(ring, minlength=bins + 1), 1))[:bins]


def _vacuum_of(image: NormalisedImage) -> Bool:
    """Where the vacuum is, as far from the particle as it can be."""
    far = ndi.distance_transform_edt(~image.particle) > 0.24 * image.diameter_px
    if image.elsewhere is not None:
        far &= ndi.distance_transform_edt(~image.elsewhere) > 0.05 * image.diameter_px
    if image.vacuum is not None:
        far &= image.vacuum
        if np.count_nonzero(far) < 0.5 * np.count_nonzero(image.vacuum):
            return image.vacuum
    return np.asarray(far)


def wiener_potential(
    image: NormalisedImage,
    /,
    *,
    pixel_angstrom: float,
    conditions: ImagingConditions,
    object_phase_deg: float = 0.0,
    floor: float = 0.05,
) -> Float32:
    """Estimate of O by a Wiener filter on the contrast transfer, up to the information limit.

    ``F[O] = H P / ((H² + floor) (P + N)) F[1 - I]`` with N the vacuum's power (counting noise and
    substrate) and P the signal's power about each frequency, so that the noise between reflections and
    the bands near a zero of H are left out and nothing is blown up.

    Parameters
    ----------
    image : NormalisedImage
        From :func:`normalise_to_vacuum`.
    pixel_angstrom : float
        Pixel of the image, Å, calibrated.
    conditions : ImagingConditions
        Aberrations, envelope and information limit.
    object_phase_deg : float, optional
        Mean phase θ of the object; see :func:`ctf`. The estimate is then of o in ``O = o exp(iθ)``.
    floor : float, optional
        Least |H|² that is trusted.

    Returns
    -------
    ndarray of float32, shape (y, x)
        σ_e V in radians, about 0 away from the particle.
    """
    rows, columns = image.intensity.shape
    window = particle_window(image)
    spectrum = scipy.fft.rfft2((1 - image.intensity) * window)
    f = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    q = f / pixel_angstrom
    curve = vacuum_power(image)
    noise = np.interp(2 * f * curve.size - 0.5, np.arange(curve.size), curve) * float(np.sum(window**2))
    width = np.array([rows, columns]) * 0.35 / image.diameter_px
    signal = np.clip(_smoothed_power(spectrum, width, columns) - noise, 0, None)
    transfer = ctf(q, conditions, object_phase_deg=object_phase_deg)
    gain = transfer * signal / ((transfer**2 + floor) * (signal + noise))
    gain *= q <= conditions.information_limit_per_angstrom
    estimate: Float32 = scipy.fft.irfft2(spectrum * gain.astype(np.float32), s=(rows, columns)).astype(np.float32)
    _check_sign(estimate, image.particle)
    return estimate


def _smoothed_power(half: NDArray[np.complex64], width: Float64, columns: int) -> Float64:
    """Power of a half spectrum, averaged over neighbours, across its Hermitian edge too."""
    correlation = scipy.fft.irfft2(np.abs(half) ** 2, s=(half.shape[0], columns))
    y = np.fft.fftfreq(half.shape[0])[:, None] * width[0]
    x = np.fft.fftfreq(columns)[None] * width[1]
    return np.asarray(scipy.fft.rfft2(correlation * np.exp(-2 * math.pi**2 * (y**2 + x**2))).real)


def _check_sign(estimate: Float32, particle: Bool) -> None:
    """Warn when the particle's peaks point clearly down: atoms are peaks of the potential.

    A mild negative skewness is no fault: a honeycomb seen at low resolution has deep holes.
    """
    values = estimate[particle].astype(np.float64)
    values -= values.mean()
    skewness = float(np.mean(values**3) / (np.mean(values**2) ** 1.5 + 1e-30))
    if skewness < _DOWNWARD_SKEWNESS:
        doubt(
            f"the potential estimate has its peaks downwards (skewness {skewness:.2f}): a thick crystal can do that, "
            "and so does a wrong sign of the defocus (underfocus is negative)",
        )
