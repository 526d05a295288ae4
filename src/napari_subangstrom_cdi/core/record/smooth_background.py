"""The background under the particle's pattern where there is no second record: smooth rings, fitted.

The particle adds intensity and never takes any away, so the fit runs along the floor between the spots.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate

from napari_subangstrom_cdi.core.types import Float32
from napari_subangstrom_cdi.errors import InputError, doubt

from .background import one_sided_weight
from .centring import spotless_blocks
from .detector import Record

Float64 = NDArray[np.float64]

_ELLIPSE_SIGMAS, _LEAST_ELLIPSE = 6.0, 0.008
_LARGEST_FORM = 0.35


@dataclass(frozen=True)
class SmoothBackground:
    """A smooth background of elliptic rings about the beam.

    Parameters
    ----------
    electrons, variance : ndarray of float32, shape (ny, nx)
        Background and the variance of the fit.
    ellipticity : float
        Long over short axis of the rings, minus 1.
    axis_deg : float
        Direction of the long axis, from +x towards +y, within -90° to 90°.
    radius_px, profile : ndarray, shape (n,)
        Mean elliptic radius of each annulus and the level there, electrons.
    """

    electrons: Float32
    variance: Float32
    ellipticity: float
    axis_deg: float
    radius_px: Float64
    profile: Float64


def fit_smooth_background(record: Record, centre_px: tuple[float, float], *, elliptic: bool = True) -> SmoothBackground:
    """Fit rings about the beam to what lies between the spots, for want of a background record.

    The level of an annulus is the mean of its pixels within three standard deviations of noise, starting
    from a low quantile: spots only add. A smoothing spline runs through the levels. What the particle
    itself scatters evenly around cannot be told from background and is lost.

    Parameters
    ----------
    record : Record
        Calibrated record.
    centre_px : tuple of float
        Beam, (y, x).
    elliptic : bool
        Let the rings be ellipses; otherwise circles.

    Raises
    ------
    InputError
        If fewer than eight annuli hold enough valid pixels.
    """
    shape = _ellipse(record, centre_px) if elliptic else (0.0, 0.0)
    radius = _elliptic_radius(record.shape, centre_px, shape)
    at, level, error = _annulus_levels(record, radius)
    if len(at) < 8:
        raise InputError("too few valid pixels to fit a background", mend="check the mask and the beam's position")
    log_at = np.log(at + 5)
    spline = interpolate.make_smoothing_spline(log_at, level, w=1 / error**2, lam=_roughness(log_at, level, error))
    grid = np.arange(math.ceil(float(radius.max())) + 2)
    profile = np.maximum(spline(np.log(np.clip(grid, at[0], at[-1]) + 5)), 0)
    spread = np.interp(grid, at, error**2)
    electrons, variance = (np.interp(radius, grid, curve).astype(np.float32) for curve in (profile, spread))
    size = math.hypot(*shape)
    ratio = math.sqrt((1 + size) / (1 - size)) - 1
    axis = 0.5 * math.degrees(math.atan2(shape[1], shape[0]))
    return SmoothBackground(electrons, variance, ratio, axis, at, level)


def subtract_smooth_background(record: Record, background: SmoothBackground) -> Record:
    """The record minus a fitted background, the variance of the fit added."""
    return Record(record.electrons - background.electrons, record.variance + background.variance, record.valid)


def _elliptic_radius(shape: tuple[int, int], centre: tuple[float, float], form: tuple[float, float]) -> Float32:
    """Radius of the circle of equal area through each pixel of an ellipse, ``form`` = e (cos 2φ, sin 2φ)."""
    y = (np.arange(shape[0]) - centre[0]).astype(np.float32)[:, None]
    x = (np.arange(shape[1]) - centre[1]).astype(np.float32)
    along, across = np.float32(form[0]), np.float32(form[1])
    squared = (1 - along) * x**2 + (1 + along) * y**2 - 2 * across * x * y
    return np.asarray(np.sqrt(np.maximum(squared, 0) / np.float32(math.sqrt(1 - along**2 - across**2))))


def _ellipse(record: Record, centre: tuple[float, float]) -> tuple[float, float]:
    """Form of the rings by robust Gauss-Newton on blocks freed of spots; a circle unless significant."""
    block = max(4, min(record.shape) // 256)
    level, known = spotless_blocks(record, block)
    shape, middle = (level.shape[0], level.shape[1]), ((centre[0] + 0.5) / block - 0.5, (centre[1] + 0.5) / block - 0.5)
    y, x = np.indices(shape, dtype=np.float64) - np.array(middle)[:, None, None]
    used = known & (np.hypot(y, x) > 3) & (np.hypot(y, x) < 0.5 * min(shape))
    values, double_angle = level[used], 2 * np.arctan2(y, x)[used]
    form, covariance = np.zeros(2), np.eye(2)
    for _ in range(20):
        rho = _elliptic_radius(shape, middle, (form[0], form[1]))[used].astype(np.float64)
        at, height = _ring_quantiles(rho, values)
        rest = values - np.interp(rho, at, height)
        spread = np.interp(rho, *_ring_quantiles(rho, np.abs(rest))) * 1.4826 + 1e-6
        weight = one_sided_weight(rest / spread) / spread**2
        steepness = -0.5 * rho * np.interp(rho, at, np.gradient(height, at))
        design = steepness * np.stack([np.cos(double_angle), np.sin(double_angle)])
        covariance = np.linalg.pinv((design * weight) @ design.T)
        form = np.clip(form + np.clip(covariance @ (design * weight) @ rest, -0.1, 0.1), -_LARGEST_FORM, _LARGEST_FORM)
    # Blocks share streaks and rings of spots, so that their errors are not independent.
    significant = form @ np.linalg.pinv(covariance) @ form > _ELLIPSE_SIGMAS**2 and math.hypot(*form) > _LEAST_ELLIPSE
    if significant and np.abs(form).max() >= _LARGEST_FORM:
        doubt(
            "the fitted background is no rings about the beam: their ellipse ends at the largest that is tried; check "
            "beam and mask (a stop, or its shadow?), or give a background record"
        )
    return (float(form[0]), float(form[1])) if significant else (0.0, 0.0)


def _ring_quantiles(radius: Float64, values: Float64) -> tuple[Float64, Float64]:
    """Median radius and median value of rings two blocks wide."""
    order = np.argsort(radius, kind="stable")
    rings = np.split(order, np.searchsorted(radius[order], np.arange(4, radius.max(), 2)))
    table = np.array([(np.median(radius[ring]), np.median(values[ring])) for ring in rings if len(ring) > 8])
    return table[:, 0], table[:, 1]


def _annulus_levels(record: Record, radius: Float32) -> tuple[Float64, Float64, Float64]:
    """Mean radius, background level and its error in annuli that widen outwards."""
    edges = np.concatenate([np.arange(0, 64, 1), np.arange(64, 192, 2), np.arange(192, radius.max() + 8, 8)])
    ring = np.searchsorted(edges, radius[record.valid], side="right").astype(np.int16)
    order = np.argsort(ring, kind="stable")
    bounds = np.searchsorted(ring[order], np.arange(1, len(edges) + 1))
    rows = []
    values, noise, where = (a[record.valid][order] for a in (record.electrons, record.variance, radius))
    for start, stop in itertools.pairwise(bounds):
        if stop - start >= 12:
            floor = float(np.median(noise[start:stop] - np.maximum(values[start:stop], 0)))
            rows.append((float(where[start:stop].mean()), *_floor_level(values[start:stop], floor)))
    table = np.array(rows).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _floor_level(values: Float32, noise_floor: float) -> tuple[float, float]:
    """Mean of the pixels that noise alone explains, and its error."""
    level = float(np.percentile(values, 30))
    kept = values
    for _ in range(12):
        sigma = math.sqrt(max(level, 0.0) + noise_floor)
        inside = values[np.abs(values - level) < 3 * sigma]
        if len(inside) < 6:
            break
        kept, previous, level = inside, level, float(inside.mean())
        if abs(level - previous) < 1e-3 * sigma:
            break
    return level, math.sqrt((max(level, 0.0) + noise_floor) / len(kept)) + 0.01 * abs(level)


def _roughness(position: Float64, level: Float64, error: Float64) -> float:
    """Smoothing that leaves residuals about as large as the errors (bisection on the logarithm)."""
    low, high = -12.0, 2.0
    for _ in range(12):
        middle = (low + high) / 2
        curve = interpolate.make_smoothing_spline(position, level, w=1 / error**2, lam=10**middle)
        if float(np.mean(((level - curve(position)) / error) ** 2)) > 1:
            high = middle
        else:
            low = middle
    return float(10**low)
