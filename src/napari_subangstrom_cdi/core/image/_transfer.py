"""Contrast transfer of the particle, fitted to the ratio of the image's power to the pattern's in rings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import Remedy, doubt

from ._spectra import ObservedPattern, Spectrum
from .geometry import Geometry
from .potential import ImagingConditions, aberration_phase, coherence_envelope

# Zeros of the transfer are never complete: a thick crystal's reflections differ in phase.
_TRANSFER_COHERENCE = 0.93
_DEFOCUS_ERROR_NM = 3.0
_RING_LOG_ERROR = 0.15
_RING_WIDTH = 0.02
_PHASES_DEG = np.arange(-10.0, 70.1, 2.5)
_COARSE_DEG = np.arange(-10.0, 70.1, 5.0)
# The search for a defocus far from the nominal one. Residuals are mean deviations of the powers' logarithm.
_WIDE_NM, _SAME_NM = 40.0, 12.0
_LARGE_NM, _SMALL_NM = 200.0, 1.0
_LEAST_RINGS = 16
_WELL_EXPLAINED, _POORLY_EXPLAINED, _MUCH_BETTER = 0.2, 0.4, 0.6


@dataclass(frozen=True)
class Transfer:
    """Contrast transfer of the particle, as far as the comparison of powers needs it."""

    conditions: ImagingConditions | None
    object_phase_deg: float = 0.0

    def power(self, q: Float64) -> Float64:
        """Mean |H(q)|², never quite zero."""
        if self.conditions is None:
            return np.ones_like(q)
        return self.powers(q, np.array([self.object_phase_deg]))[0]

    def powers(self, q: Float64, phases_deg: Float64) -> Float64:
        """The same for several mean phases of the object, shape (phases, *q.shape)."""
        assert self.conditions is not None
        chi, envelope = aberration_phase(q, self.conditions), coherence_envelope(q, self.conditions)
        phases = np.radians(phases_deg).reshape(-1, *(1,) * q.ndim)
        signal = (-2 * np.sin(chi - phases) * envelope) ** 2
        return np.asarray(_TRANSFER_COHERENCE * signal + (1 - _TRANSFER_COHERENCE) * (2 * envelope**2))


def fit_transfer(
    spectrum: Spectrum, observed: ObservedPattern, geometry: Geometry, nominal: ImagingConditions
) -> tuple[Transfer, float]:
    """Mean object phase and defocus from the ratio of the image's to the pattern's power in rings.

    The nominal defocus counts as a measurement with an error of 3 nm: over the passband a change of defocus
    and of phase are nearly alike. Powers that would have it two errors away are not those of one transfer, as of a
    thick crystal, whose reflections differ in phase; the nominal one is kept then.
    """
    rings = _ring_ratio(spectrum, observed, geometry)
    if rings[2].size < 4:
        return Transfer(nominal), math.nan
    found = _best_transfer(rings, nominal, np.arange(-2.0, 2.01, 1 / 6) * _DEFOCUS_ERROR_NM)
    assert found[0].conditions is not None
    if abs(found[0].conditions.defocus_nm - nominal.defocus_nm) > 1.9 * _DEFOCUS_ERROR_NM:
        return _best_transfer(rings, nominal, np.zeros(1))
    return found


def _best_transfer(
    rings: tuple[Float64, Float64, Float64, NDArray[np.int64]],
    nominal: ImagingConditions,
    changes_nm: Float64,
    phases_deg: Float64 = _PHASES_DEG,
) -> tuple[Transfer, float]:
    best, best_cost, residual = Transfer(nominal), math.inf, math.nan
    for defocus in nominal.defocus_nm + changes_nm:
        conditions = replace(nominal, defocus_nm=float(defocus))
        prior = 0.5 * ((defocus - nominal.defocus_nm) / _DEFOCUS_ERROR_NM) ** 2
        for phase, deviation in zip(phases_deg, _ring_deviations(conditions, *rings, phases_deg), strict=True):
            cost = deviation * rings[2].size / _RING_LOG_ERROR / math.sqrt(2) + prior
            if cost < best_cost:
                best, best_cost, residual = Transfer(conditions, float(phase)), cost, float(deviation)
    return best, residual


def better_defocus(
    spectrum: Spectrum, observed: ObservedPattern, geometry: Geometry, nominal: ImagingConditions, residual: float
) -> float | None:
    """A defocus far from the nominal one that explains the powers much better, and is the only one that does.

    Searched are 40 nm about the nominal defocus and about its opposite, and where it would be in other
    units (Å or µm) by its size. The powers' ratio in rings has its zeros where the transfer has them, which no other
    defocus imitates in a thin crystal; in a thick one none explains it well, and none is found.

    Warns
    -----
    QualityWarning
        If one explains the powers better but is not the only one.
    """
    rings = _ring_ratio(spectrum, observed, geometry)
    if not residual > _WELL_EXPLAINED:
        return None
    if rings[2].size < _LEAST_RINGS:
        # Too few to tell one defocus from all others; the sign can still be wrong.
        opposite = fit_transfer(spectrum, observed, geometry, replace(nominal, defocus_nm=-nominal.defocus_nm))[1]
        if opposite < _MUCH_BETTER * residual:
            doubt(
                f"a defocus of {-nominal.defocus_nm:g} nm explains the image better than the "
                f"{nominal.defocus_nm:g} nm given; underfocus is negative",
                (defocus_remedy(-nominal.defocus_nm),),
            )
        return None
    centres = [nominal.defocus_nm, -nominal.defocus_nm]
    if abs(nominal.defocus_nm) > _LARGE_NM:
        centres += [centre / 10 for centre in centres]
    elif 0 < abs(nominal.defocus_nm) < _SMALL_NM:
        centres += [centre * 1000 for centre in centres]
    steps = np.arange(-_WIDE_NM, _WIDE_NM + 1, 2.0)
    found = [
        (
            _best_transfer(rings, replace(nominal, defocus_nm=float(defocus)), np.zeros(1), _COARSE_DEG)[1],
            float(defocus),
        )
        for defocus in np.unique([centre + step for centre in centres for step in steps])
    ]
    best, defocus = min(found)
    if best >= _MUCH_BETTER * residual or best > _POORLY_EXPLAINED:
        return None
    rival, other = min(((cost, nm) for cost, nm in found if abs(nm - defocus) > _SAME_NM), default=(math.inf, 0.0))
    if best >= _MUCH_BETTER * rival:
        doubt(
            f"a defocus of {defocus:.0f} nm, or of {other:.0f} nm, explains the image better than the "
            f"{nominal.defocus_nm:g} nm given; underfocus is negative",
            (defocus_remedy(defocus), defocus_remedy(other)),
        )
        return None
    return defocus


def defocus_remedy(defocus_nm: float) -> Remedy:
    """To state another defocus."""
    title = f"defocus {defocus_nm:.0f} nm".replace("-", "−")
    return Remedy(title, (("acquisition.defocus_nm", round(defocus_nm, 1)),))


def say_phase_at_bound(transfer: Transfer, residual: float) -> None:
    """Doubt a mean phase of the object that ends where its search does."""
    if transfer.object_phase_deg in (_PHASES_DEG[0], _PHASES_DEG[-1]) and residual > _WELL_EXPLAINED:
        doubt(
            f"the mean phase of the object ends at the bound of its search, {transfer.object_phase_deg:.0f}°: defocus, "
            "Cs or an astigmatism of the image are not as stated"
        )


def _ring_deviations(
    conditions: ImagingConditions,
    q: Float64,
    intensity: Float64,
    ratio: Float64,
    ring: NDArray[np.int64],
    phases_deg: Float64,
) -> Float64:
    """Mean absolute deviation of the logarithm of the observed over the expected ratio of powers, by object phase."""
    power = intensity * Transfer(conditions).powers(q, phases_deg)
    apart = ring + ratio.size * np.arange(len(power))[:, None]
    expected = np.bincount(apart.ravel(), weights=power.ravel()).reshape(len(power), -1)
    deviation = np.log(ratio / (expected / np.bincount(ring, weights=intensity)))
    return np.asarray(np.mean(np.abs(deviation - np.median(deviation, axis=1, keepdims=True)), axis=1))


def _ring_ratio(
    spectrum: Spectrum, observed: ObservedPattern, geometry: Geometry
) -> tuple[Float64, Float64, Float64, NDArray[np.int64]]:
    """Fine rings' q and pattern power, and for wide rings the ratio of powers where both stand out."""
    q = observed.grid.q_per_angstrom().astype(np.float64)
    use = observed.valid & (q > 0.5 * observed.q_min) & (q < observed.q_max)
    step, centre = observed.grid.q_pixel_per_angstrom, observed.grid.n // 2
    qy, qx = ((i - centre) * np.float64(step) for i in np.nonzero(use))
    fx, fy = geometry.to_image(np.asarray(qx), np.asarray(qy))
    image, vacuum = spectrum.above_noise(fx, fy, order=1), spectrum.noise(np.hypot(fx, fy))
    fine = np.rint(q[use] / step).astype(np.int64)
    values = (observed.intensity[use], observed.noise_std[use] ** 2, image, vacuum)
    fine_sums = [np.bincount(fine, weights=v) for v in values]
    # Wide rings of about 0.02 1/Å, made of whole fine ones.
    wide = (np.arange(fine_sums[0].size) * step / _RING_WIDTH).astype(np.int64)
    pattern_sum, variance, image_sum, vacuum_sum = (np.bincount(wide, weights=t) for t in fine_sums)
    ok = (pattern_sum > 10 * np.sqrt(variance)) & (image_sum > 0.3 * vacuum_sum) & (image_sum > 0)
    inside = ok[wide] & (fine_sums[0] > 0)
    ring = (np.cumsum(ok) - 1)[wide[inside]].astype(np.int64)
    radius = np.asarray(np.nonzero(inside)[0] * step, dtype=np.float64)
    return radius, np.asarray(fine_sums[0][inside], float), image_sum[ok] / pattern_sum[ok], ring
