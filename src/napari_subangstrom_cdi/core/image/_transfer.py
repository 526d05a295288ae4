"""Contrast transfer of the particle, fitted to the ratio of the image's power to the pattern's in rings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import doubt

from ._spectra import ObservedPattern, Spectrum
from .geometry import Geometry
from .potential import ImagingConditions, aberration_phase, coherence_envelope

# Zeros of the transfer are never complete: a thick crystal's reflections differ in phase.
_TRANSFER_COHERENCE = 0.93
_DEFOCUS_ERROR_NM = 3.0
_RING_LOG_ERROR = 0.15
_RING_WIDTH = 0.02
_PHASES_DEG = np.arange(-10.0, 70.1, 2.5)


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
    rings: tuple[Float64, Float64, Float64, NDArray[np.int64]], nominal: ImagingConditions, changes_nm: Float64
) -> tuple[Transfer, float]:
    best, best_cost, residual = Transfer(nominal), math.inf, math.nan
    for defocus in nominal.defocus_nm + changes_nm:
        conditions = replace(nominal, defocus_nm=float(defocus))
        prior = 0.5 * ((defocus - nominal.defocus_nm) / _DEFOCUS_ERROR_NM) ** 2
        for phase, deviation in zip(_PHASES_DEG, _ring_deviations(conditions, *rings), strict=True):
            cost = deviation * rings[2].size / _RING_LOG_ERROR / math.sqrt(2) + prior
            if cost < best_cost:
                best, best_cost, residual = Transfer(conditions, float(phase)), cost, float(deviation)
    return best, residual


def check_defocus_sign(
    spectrum: Spectrum,
    observed: ObservedPattern,
    geometry: Geometry,
    nominal: ImagingConditions,
    residual: float,
) -> None:
    """Warn if the opposite defocus explains the powers much better."""
    opposite = fit_transfer(spectrum, observed, geometry, replace(nominal, defocus_nm=-nominal.defocus_nm))[1]
    if opposite < 0.6 * residual:
        doubt(
            f"a defocus of {-nominal.defocus_nm:g} nm explains the image better than the "
            f"{nominal.defocus_nm:g} nm given; underfocus is negative",
        )


def _ring_deviations(
    conditions: ImagingConditions, q: Float64, intensity: Float64, ratio: Float64, ring: NDArray[np.int64]
) -> Float64:
    """Mean absolute deviation of the logarithm of the observed over the expected ratio of powers, by object phase."""
    power = intensity * Transfer(conditions).powers(q, _PHASES_DEG)
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
