"""The reflections that image and pattern have in common, and how well their shapes agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
from scipy.optimize import minimize

from napari_subangstrom_cdi.core.types import Bool, Float64
from napari_subangstrom_cdi.errors import InputError

from ._spectra import ObservedPattern, Spectrum
from ._transfer import Transfer
from .geometry import Geometry

# Relative misfit of a reflection's shape that is expected without any noise.
_MODEL_ERROR = 0.02
# With fewer whole strong ones, reflections count whose discs are measured in part: cut off by a ceiling, a stop, a gap.
_WHOLE_REFLECTIONS = 3
FEW = 3
"""Pairs of reflections from which the transfer's slope and the pixel can be told apart."""
_TOP_MOVES = 0.07  # of a reflection's width, by how a reflection's own shape may differ in image and pattern
_LEAST_MEASURED = 0.5
_LEAST_SHARE = 0.02  # of a smoothing kernel, to be measured


@dataclass(frozen=True)
class Patches:
    """Discs about the reflections that both spectra have, shape (reflections, pixels); 0 where nothing is measured."""

    qx: Float64
    qy: Float64
    intensity: Float64
    measured: Bool

    def subset(self, keep: Bool) -> Patches:
        return Patches(self.qx[keep], self.qy[keep], self.intensity[keep], self.measured[keep])


def _reflection_radius_px(observed: ObservedPattern, diameter: float) -> float:
    """Radius of a reflection's disc in pixels of the pattern: beyond its first zero, short of the next one."""
    return 1.6 / diameter / observed.grid.q_pixel_per_angstrom


def reflection_tops(observed: ObservedPattern, diameter: float, *, over_gaps: bool = False) -> tuple[Float64, Bool]:
    """The pattern, lightly smoothed, and its local maxima in the common band that stand out from the noise.

    Over gaps the smoothing goes by what is measured, so that a reflection without its middle still has a top.
    """
    radius = _reflection_radius_px(observed, diameter)
    width = radius / 3 if over_gaps else radius / 6
    smooth = ndi.gaussian_filter(observed.intensity, width)
    if over_gaps:
        share = ndi.gaussian_filter(observed.valid.astype(np.float64), width)
        smooth = np.where(share > _LEAST_SHARE, smooth / np.maximum(share, _LEAST_SHARE), 0)
    sigma = observed.noise_std / max(width * math.sqrt(4 * math.pi), 1)
    q = observed.grid.q_per_angstrom()
    top = (smooth == ndi.maximum_filter(smooth, round(1.5 * radius) | 1)) & (smooth > 10 * sigma)
    top &= (q > observed.q_min) & (q < observed.q_max)
    return smooth, top


def common_reflections(
    spectrum: Spectrum, observed: ObservedPattern, geometry: Geometry, diameter: float, *, gaps: bool
) -> Patches:
    """Discs about the reflections that image and pattern both have; with gaps those that are measured in part, too.

    Raises
    ------
    InputError
        If there is none.
    """
    least = _LEAST_MEASURED if gaps else 1.0
    found = _in_both(spectrum, geometry, _discs(observed, diameter, least=least))
    if not len(found.qx):
        raise InputError(
            f"no reflection between {observed.q_min:.2f} and {observed.q_max:.2f} 1/Å is found in both image "
            "and pattern",
            mend="check rotation, image pixel, camera length and information limit",
        )
    return found


def lack_parts(observed: ObservedPattern, diameter: float) -> bool:
    """Whether most strong reflections of the pattern are measured in part only."""
    if observed.valid.all():
        return False
    discs = _discs(observed, diameter, least=_LEAST_MEASURED)
    strong = discs.subset(_strong(discs))
    return int(strong.measured.all(axis=1).sum()) < min(2 * _WHOLE_REFLECTIONS, len(strong.qx))


def _discs(observed: ObservedPattern, diameter: float, *, least: float) -> Patches:
    """Discs about the pattern's reflections of which a least share is measured."""
    grid = observed.grid
    radius = _reflection_radius_px(observed, diameter)
    rows, columns = np.nonzero(reflection_tops(observed, diameter, over_gaps=least < 1)[1])
    reach = math.ceil(radius)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.hypot(dy, dx) <= radius
    y, x = rows[:, None] + dy[disc], columns[:, None] + dx[disc]
    inside = ((y >= 0) & (y < grid.n) & (x >= 0) & (x < grid.n)).all(axis=1)
    y, x = y[inside], x[inside]
    measured = observed.valid[y, x]
    enough = measured.mean(axis=1) >= least
    y, x, measured = y[enough], x[enough], measured[enough]
    qx, qy = ((a - grid.n // 2) * grid.q_pixel_per_angstrom for a in (x, y))
    return Patches(qx, qy, np.where(measured, np.clip(observed.intensity[y, x], 0, None), 0), measured)


def _strong(discs: Patches) -> Bool:
    total = discs.intensity.sum(axis=1)
    return total > 0.02 * total.max(initial=0.0)


def _in_both(spectrum: Spectrum, geometry: Geometry, discs: Patches) -> Patches:
    """Those that stand out in the image, too."""
    power = spectrum.above_noise(*geometry.to_image(discs.qx, discs.qy), order=1)
    noise = spectrum.noise(np.hypot(discs.qx, discs.qy) * geometry.pixel_angstrom)
    return discs.subset((power.max(axis=1, initial=0) > 10 * noise.mean(axis=1)) & _strong(discs))


def refine(
    spectrum: Spectrum, patches: Patches, transfer: Transfer, start: Geometry, *, free_slope: bool
) -> tuple[Geometry, Float64, tuple[float, float]]:
    """Maximise the mean shape correlation of the reflections over rotation and pixel."""
    return _refined(spectrum, patches, _shape_basis(patches, transfer, free_slope=free_slope), start)


def _refined(
    spectrum: Spectrum, patches: Patches, basis: Float64, start: Geometry
) -> tuple[Geometry, Float64, tuple[float, float]]:
    def at(step: Float64) -> Geometry:
        return Geometry(start.rotation_deg + step[0], start.pixel_angstrom * (1 + step[1] / 100), start.mirrored)

    def correlations(step: Float64) -> Float64:
        return _correlations(spectrum, patches, basis, at(step))

    weight = _reflection_weights(spectrum, patches, start)
    simplex = np.array([[0.0, 0.0], [0.4, 0.0], [0.0, 0.5]])
    options = {"xatol": 1e-3, "fatol": 1e-7, "initial_simplex": simplex, "maxiter": 150}
    best = minimize(
        lambda step: -np.sum(weight * correlations(step)), simplex[0], method="Nelder-Mead", options=options
    ).x
    errors = _step_errors(correlations, weight, best)
    geometry = at(best)
    return geometry, correlations(best), (errors[0], errors[1] / 100 * geometry.pixel_angstrom)


def slope_error(spectrum: Spectrum, patches: Patches, transfer: Transfer, geometry: Geometry, diameter: float) -> float:
    """Standard error of the pixel, as a fraction of it, that a transfer with an unknown slope leaves.

    A slope moves a reflection outwards or inwards as another pixel would, and so does what a thick crystal does to the
    shape. With a few reflections nothing tells them apart: by 11 simulated particles of one to three reflections a
    top moves by 0.07 of a reflection's width (1 / diameter), and two reflections show some of it as what a free slope
    changes.
    """
    q = np.hypot(patches.qx, patches.qy)
    moved = _TOP_MOVES / diameter / float(q.mean())
    if len(q) < 4:
        return moved
    free = _shape_basis(patches, transfer, free_slope=True, least=4)
    best = _refined(spectrum, patches, free, geometry)[0]
    return math.hypot(moved, best.pixel_angstrom / geometry.pixel_angstrom - 1)


def shape_correlations(
    spectrum: Spectrum, patches: Patches, transfer: Transfer, geometry: Geometry, *, free_slope: bool
) -> Float64:
    """Correlation of each reflection's shape in the image with its shape in the pattern, the geometry as given."""
    return _correlations(spectrum, patches, _shape_basis(patches, transfer, free_slope=free_slope), geometry)


def _correlations(spectrum: Spectrum, patches: Patches, basis: Float64, geometry: Geometry) -> Float64:
    power = spectrum.above_noise(*geometry.to_image(patches.qx, patches.qy))
    amplitude = np.where(patches.measured, np.sqrt(np.clip(power, 0, None)), 0)
    projection = np.einsum("kpb,kp->kb", basis, amplitude)
    return np.asarray(np.linalg.norm(projection, axis=1) / (np.linalg.norm(amplitude, axis=1) + 1e-30))


def _shape_basis(patches: Patches, transfer: Transfer, *, free_slope: bool, least: int = 2 * FEW) -> Float64:
    """Orthonormal basis of each reflection's expected amplitude, shape (reflections, pixels, functions).

    The transfer's slope across a reflection is never known well. With several reflections it is left free:
    the zeros and side lobes of the shape transform, which no slope moves, then fix the pixel. With one
    pair alone there is not enough to tell slope from scale, and the known transfer has to do.
    """
    q = np.hypot(patches.qx, patches.qy)
    amplitude = np.sqrt(patches.intensity * transfer.power(q))
    functions = [amplitude]
    if free_slope and len(q) >= least:
        centre = q.mean(axis=1)
        functions.append(amplitude * (q - centre[:, None]))
    return np.asarray(np.linalg.qr(np.stack(functions, axis=-1))[0])


def _reflection_weights(spectrum: Spectrum, patches: Patches, geometry: Geometry) -> Float64:
    """Signal over noise of each reflection in the image, levelling off where the model's own faults rule."""
    fx, fy = geometry.to_image(patches.qx, patches.qy)
    signal = spectrum.above_noise(fx, fy, order=1).sum(axis=1, where=patches.measured)
    ratio = np.clip(signal / spectrum.noise(np.hypot(fx, fy)).sum(axis=1, where=patches.measured), 0.1, None)
    weight = ratio / (1 + _MODEL_ERROR * ratio)
    return np.asarray(weight / weight.sum())


def _step_errors(correlations: Callable[[Float64], Float64], weight: Float64, best: Float64) -> tuple[float, float]:
    """Standard errors by the jackknife's linear form: each reflection's own pull on the optimum."""
    h = 0.05
    errors = []
    for axis in range(2):
        step = np.zeros(2)
        step[axis] = h
        ahead, here, behind = correlations(best + step), correlations(best), correlations(best - step)
        pull = weight * (ahead - behind) / (2 * h)
        stiffness = -float(np.sum(weight * (ahead - 2 * here + behind))) / h**2
        # Friedel mates are one measurement, not two: hence the 2.
        errors.append(math.sqrt(2 * float(np.sum(pull**2))) / stiffness if stiffness > 0 else math.inf)
    return errors[0], errors[1]
