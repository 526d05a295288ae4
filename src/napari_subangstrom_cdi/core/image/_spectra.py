"""The two spectra that a registration compares: the image's power and the pattern's intensity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.types import Bool, Float32, Float64
from napari_subangstrom_cdi.errors import InputError

from .pair import Pair
from .potential import NormalisedImage, particle_window, vacuum_power

PADDED = 2048
ANGLE_STEP_DEG = 0.25  # of the polar mesh


@dataclass(frozen=True)
class Spectrum:
    """Power spectrum of the windowed particle, oversampled, origin at the centre, and of the vacuum."""

    power: Float32
    spline: Float32
    noise_curve: Float64

    def noise(self, frequency: Float64) -> Float64:
        """Vacuum power at a frequency in cycles per image pixel."""
        return np.interp(frequency * 200 - 0.5, np.arange(self.noise_curve.size), self.noise_curve)

    def above_noise(self, fx: Float64, fy: Float64, *, order: int = 3) -> Float64:
        """Power less the vacuum's at frequencies in cycles per image pixel, by a spline of order 3 or below 2."""
        centre = PADDED // 2
        source = self.power if order < 2 else self.spline
        where = [fy * PADDED + centre, fx * PADDED + centre]
        power = ndi.map_coordinates(source, where, order=order, prefilter=False, mode="nearest")
        return np.asarray(power - self.noise(np.hypot(fx, fy)), dtype=np.float64)


@dataclass(frozen=True)
class ObservedPattern:
    """The pattern's intensity, its standard deviation and where it can be trusted."""

    intensity: Float64
    noise_std: Float64
    valid: Bool
    grid: Grid
    q_min: float
    q_max: float


def particle_spectrum(image: NormalisedImage) -> Spectrum:
    window = particle_window(image)
    rows, columns = np.nonzero(window > 0)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    contrast = ((1 - image.intensity) * window)[box]
    if max(contrast.shape) > PADDED // 2:
        raise InputError(f"the particle spans {max(contrast.shape)} image pixels", mend="bin the image to at most 1000")
    power = scipy.fft.fftshift(np.abs(scipy.fft.fft2(contrast, s=(PADDED, PADDED))) ** 2).astype(np.float32)
    noise = vacuum_power(image) * float(np.sum(window**2))
    return Spectrum(power, np.asarray(ndi.spline_filter(power, order=3, output=np.float32)), noise)


def checked_diameter(pair: Pair, pixel_angstrom: float) -> float:
    if not (math.isfinite(pixel_angstrom) and pixel_angstrom > 0):
        raise InputError(
            f"an image pixel of {pixel_angstrom:g} Å",
            where="image pixel",
            mend="give a positive length in ångström",
        )
    diameter, grid = pair.image.diameter_px * pixel_angstrom, pair.grid
    if diameter > grid.field_of_view_angstrom / 2:
        raise InputError(
            f"the particle is {diameter:.0f} Å wide, more than half of the pattern's field of view of "
            f"{grid.field_of_view_angstrom:.0f} Å",
            mend="check the image pixel and the camera length, or bin the pattern less",
        )
    if diameter < 16 * grid.pixel_angstrom:
        raise InputError(
            f"the particle is only {diameter:.1f} Å wide, {diameter / grid.pixel_angstrom:.0f} pixels",
            mend="check that the image pixel is in ångström",
        )
    return diameter


def checked_pattern(pair: Pair, diameter: float, pixel_angstrom: float) -> ObservedPattern:
    pattern, grid, noise_std = pair.pattern, pair.grid, pair.noise_std
    if pattern.shape != grid.shape:
        raise InputError(f"the pattern has shape {pattern.shape}, the grid {grid.shape}")
    good = np.isfinite(pattern) if pair.valid is None else pair.valid & np.isfinite(pattern)
    intensity = np.where(good, pattern, 0).astype(np.float64)
    q = grid.q_per_angstrom()
    if noise_std is None:
        outer = intensity[good & (q > 0.85 * grid.q_max_per_angstrom)]
        level = 1.4826 * float(np.median(np.abs(outer - np.median(outer)))) if outer.size else 0.0
        noise_std = np.sqrt(level**2 + np.clip(intensity, 0, None)).astype(np.float32)
    limit = math.inf if pair.conditions is None else pair.conditions.information_limit_per_angstrom
    # Below a few times 1/diameter the shape transform of the central beam drowns the reflections.
    q_min, q_max = 4.0 / diameter, min(limit, 0.45 / pixel_angstrom, grid.q_max_per_angstrom)
    if q_max < 1.5 * q_min:
        raise InputError(
            f"image and pattern share only the band {q_min:.3f} to {q_max:.3f} 1/Å",
            mend="check image pixel, camera length and information limit",
        )
    return ObservedPattern(intensity, noise_std.astype(np.float64), good, grid, q_min, q_max)


def polar_mesh(observed: ObservedPattern) -> tuple[Float64, Float64, Float64, Float64]:
    """Polar mesh of the common band: qx, qy, q of shape (angles, radii) and area weights."""
    step = observed.grid.q_pixel_per_angstrom
    q = np.arange(observed.q_min, observed.q_max, step)
    angle = np.deg2rad(np.arange(0, 180, ANGLE_STEP_DEG))[:, None]
    return np.cos(angle) * q, np.sin(angle) * q, np.broadcast_to(q, (angle.size, q.size)), np.sqrt(q)


def standardised(values: Float64) -> Float64:
    centred = values - values.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-30))


def angular_correlations(reference: Float64, known: Bool | None) -> Callable[[Float64], Float64]:
    """Correlation of a polar array (angles, radii) with another turned by each angle, where the first is known.

    Without gaps each array is standardised once; with them the other's mean and spread are those of what the gaps
    leave of it at each angle.
    """
    n = len(reference)

    def along(first_f: NDArray[Any], second: Float64) -> Float64:
        product = first_f * np.fft.rfft(second, axis=0).conj()
        return np.asarray(np.fft.irfft(product.sum(axis=1), n=n))

    if known is None:
        whole_f = np.fft.rfft(standardised(reference), axis=0)
        return lambda other: along(whole_f, standardised(other))
    weight = known.astype(np.float64)
    count = max(float(weight.sum()), 1.0)
    measured = np.where(known, reference - float(reference[known].mean()) if known.any() else 0.0, 0.0)
    measured_f, known_f = np.fft.rfft(measured, axis=0), np.fft.rfft(weight, axis=0)
    norm = float(np.linalg.norm(measured))

    def correlations(other: Float64) -> Float64:
        spread = along(known_f, other**2) - along(known_f, other) ** 2 / count
        return np.asarray(along(measured_f, other) / (norm * np.sqrt(np.clip(spread, 0, None)) + 1e-30))

    return correlations
