"""Bring the TEM image onto the diffraction pattern: rotation, pixel size and, if wanted, mirror.

A diffraction pattern and an image's power spectrum show the same reflections with the same shapes
(the particle's own shape transform), each reflection with its own factor. They are compared reflection
by reflection, so neither the contrast transfer nor dynamical scattering pulls the result.

Conventions: ``r_pattern = R(φ) M r_image`` with ``r = (x, y)``, y down, φ from +x towards +y, and M the
mirror ``x → -x`` of the image if there is one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
from numpy.typing import NDArray
from scipy.optimize import minimize

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.potential import (
    ImagingConditions,
    NormalisedImage,
    coherence_envelope,
    ctf,
    particle_window,
    vacuum_power,
)
from napari_subangstrom_cdi.errors import InputError, QualityWarning

Float = NDArray[np.float32]
Double = NDArray[np.float64]
Mask = NDArray[np.bool_]

_PADDED = 2048
_ANGLE_STEP_DEG = 0.25
_SCALE_STEP = 0.0025
# Zeros of the transfer are never complete: a thick crystal's reflections differ in phase.
_TRANSFER_COHERENCE = 0.93
_DEFOCUS_ERROR_NM = 3.0
_RING_LOG_ERROR = 0.15
_RING_WIDTH = 0.02
# Relative misfit of a reflection's shape that is expected without any noise.
_MODEL_ERROR = 0.02


@dataclass(frozen=True)
class Candidate:
    """One way to lay the image onto the pattern.

    Attributes
    ----------
    rotation_deg : float
        Rotation from the image's axes to the pattern's, +x towards +y, in (-180, 180].
    image_pixel_angstrom : float
        Pixel of the image, Å.
    mirrored : bool
        True if the image's x axis is reversed before the rotation.
    correlation : float
        Correlation of the two amplitude spectra over the common band.
    """

    rotation_deg: float
    image_pixel_angstrom: float
    mirrored: bool
    correlation: float


@dataclass(frozen=True)
class ImageRegistration:
    """How the image lies on the pattern.

    Attributes
    ----------
    rotation_deg, image_pixel_angstrom, mirrored
        See :class:`Candidate`.
    rotation_error_deg, image_pixel_error_angstrom : float
        Standard errors, from how well the common reflections agree with each other.
    correlation : float
        Mean correlation of the shapes of the common reflections, 0 to 1.
    n_reflections : int
        Common reflections used, Friedel pairs counted once.
    object_phase_deg, defocus_nm : float
        Mean phase of the object and defocus for which the contrast transfer explains the image's power
        relative to the pattern's, ring by ring.
    transfer_residual : float
        Mean absolute deviation of the logarithm of that ratio; about 0.1 to 0.3 is good.
    candidates : tuple of Candidate
        Other rotations, best first, before refinement. A power spectrum is centrosymmetric: the
        rotations by 180° more are as good and not listed.
    """

    rotation_deg: float
    image_pixel_angstrom: float
    mirrored: bool
    rotation_error_deg: float
    image_pixel_error_angstrom: float
    correlation: float
    n_reflections: int
    object_phase_deg: float
    defocus_nm: float
    transfer_residual: float
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class _Spectrum:
    """Power spectrum of the windowed particle, oversampled, origin at the centre, and of the vacuum."""

    power: Float
    spline: Float
    noise_curve: Double

    def noise(self, frequency: Double) -> Double:
        """Vacuum power at a frequency in cycles per image pixel."""
        return np.interp(frequency * 200 - 0.5, np.arange(self.noise_curve.size), self.noise_curve)

    def above_noise(self, fx: Double, fy: Double, *, order: int = 3) -> Double:
        """Power less the vacuum's at frequencies in cycles per image pixel."""
        centre = _PADDED // 2
        source = self.power if order < 2 else self.spline
        where = [fy * _PADDED + centre, fx * _PADDED + centre]
        power = ndi.map_coordinates(source, where, order=order, prefilter=False, mode="nearest")
        return np.asarray(power - self.noise(np.hypot(fx, fy)), dtype=np.float64)


@dataclass(frozen=True)
class _Pattern:
    """The pattern's intensity, its standard deviation and where it can be trusted."""

    intensity: Double
    noise_std: Double
    valid: Mask
    grid: Grid
    q_min: float
    q_max: float


@dataclass(frozen=True)
class _Geometry:
    rotation_deg: float
    pixel_angstrom: float
    mirrored: bool

    def to_image(self, qx: Double, qy: Double) -> tuple[Double, Double]:
        """Frequencies in the image, cycles per pixel, of frequencies in the pattern, Å⁻¹."""
        angle = math.radians(self.rotation_deg)
        fx = (math.cos(angle) * qx + math.sin(angle) * qy) * self.pixel_angstrom
        fy = (-math.sin(angle) * qx + math.cos(angle) * qy) * self.pixel_angstrom
        return (-fx if self.mirrored else fx), fy


@dataclass(frozen=True)
class _Transfer:
    """Contrast transfer of the particle, as far as the comparison of powers needs it."""

    conditions: ImagingConditions | None
    object_phase_deg: float = 0.0

    def power(self, q: Double) -> Double:
        """Mean |H(q)|², never quite zero."""
        if self.conditions is None:
            return np.ones_like(q)
        signal = ctf(q, self.conditions, object_phase_deg=self.object_phase_deg) ** 2
        spread = 2 * coherence_envelope(q, self.conditions) ** 2
        return _TRANSFER_COHERENCE * signal + (1 - _TRANSFER_COHERENCE) * spread


def _particle_spectrum(image: NormalisedImage) -> _Spectrum:
    window = particle_window(image)
    rows, columns = np.nonzero(window > 0)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    contrast = ((1 - image.intensity) * window)[box]
    if max(contrast.shape) > _PADDED // 2:
        raise InputError(f"the particle spans {max(contrast.shape)} image pixels", mend="bin the image to at most 1000")
    power = scipy.fft.fftshift(np.abs(scipy.fft.fft2(contrast, s=(_PADDED, _PADDED))) ** 2).astype(np.float32)
    noise = vacuum_power(image) * float(np.sum(window**2))
    return _Spectrum(power, np.asarray(ndi.spline_filter(power, order=3, output=np.float32)), noise)


def register_image(
    image: NormalisedImage,
    pattern: Float,
    grid: Grid,
    /,
    *,
    image_pixel_angstrom: float,
    conditions: ImagingConditions | None = None,
    rotation_deg: float | None = None,
    rotation_tolerance_deg: float = 6.0,
    pixel_tolerance: float = 0.05,
    mirrored: bool | None = False,
    valid: Mask | None = None,
    noise_std: Float | None = None,
) -> ImageRegistration:
    """Find rotation, pixel size and mirror that bring the image onto the pattern.

    A polar correlation of the two amplitude spectra gives the candidates; the best near the nominal
    values is then refined on the shapes of the reflections that both have. Where the imaging conditions are
    given, the mean phase of the object and the defocus are fitted to the ratio of the two powers in rings
    and the pattern is weighted by the transfer before shapes are compared, else a steep transfer pulls
    the reflections' centroids and with them the pixel size.

    Parameters
    ----------
    image : NormalisedImage
        From :func:`~napari_subangstrom_cdi.core.potential.normalise_to_vacuum`.
    pattern : ndarray, shape (n, n)
        Intensity on ``grid``, background subtracted, beam at element n // 2.
    grid : Grid
        Sampling of the pattern.
    image_pixel_angstrom : float
        Nominal pixel of the image, Å.
    conditions : ImagingConditions, optional
        Nominal aberrations of the image, and its information limit.
    rotation_deg : float, optional
        Nominal rotation. Without it the best of all candidates is taken; 180° cannot be told.
    rotation_tolerance_deg, pixel_tolerance : float, optional
        How far from nominal to search: degrees, and fraction of the pixel.
    mirrored : bool or None, optional
        Whether the image's x axis is reversed; None tries both.
    valid : ndarray of bool, shape (n, n), optional
        Where the pattern was recorded and not saturated.
    noise_std : ndarray, shape (n, n), optional
        Standard deviation of the pattern; estimated from its outermost ring if not given.

    Raises
    ------
    InputError
        If shapes disagree, the nominal pixel is not positive, the particle does not fit twice into the field
        of view, or no reflection is found in both.

    References
    ----------
    W. J. Huang et al., Nature Physics 5, 129 (2009), Methods; doi:10.1038/nphys1161.
    """
    diameter = _checked_diameter(image, image_pixel_angstrom, grid)
    spectrum = _particle_spectrum(image)
    observed = _checked_pattern(pattern, grid, valid, noise_std, diameter, image_pixel_angstrom, conditions)
    transfer = _Transfer(conditions)
    nominal = None if rotation_deg is None else (rotation_deg, rotation_tolerance_deg)
    mirrors = (False, True) if mirrored is None else (mirrored,)
    candidates = _rank(spectrum, observed, transfer, image_pixel_angstrom, pixel_tolerance, mirrors)
    start = _choose(candidates, nominal)
    geometry = _Geometry(start.rotation_deg, start.image_pixel_angstrom, start.mirrored)
    patches = _common_reflections(spectrum, observed, geometry, diameter)
    residual = math.nan
    for _ in range(3):
        # A free slope is left to the end: with a transfer not yet fitted it can pass for a change of pixel.
        geometry, agreement, errors = _refine(spectrum, patches, transfer, geometry, free_slope=False)
        patches = patches.subset(agreement > 0.9 * agreement.max())
        if conditions is not None:
            transfer, residual = _fit_transfer(spectrum, observed, geometry, conditions)
    geometry, agreement, errors = _refine(spectrum, patches, transfer, geometry, free_slope=True)
    if conditions is not None:
        _check_defocus_sign(spectrum, observed, geometry, conditions, residual)
    if abs(geometry.pixel_angstrom / image_pixel_angstrom - 1) > pixel_tolerance:
        warnings.warn(
            f"the image pixel found, {geometry.pixel_angstrom:.4f} Å, is further from the nominal "
            f"{image_pixel_angstrom:g} Å than {pixel_tolerance:.0%}",
            QualityWarning,
            stacklevel=2,
        )
    return ImageRegistration(
        rotation_deg=_wrap(geometry.rotation_deg, 360),
        image_pixel_angstrom=geometry.pixel_angstrom,
        mirrored=geometry.mirrored,
        rotation_error_deg=errors[0],
        image_pixel_error_angstrom=errors[1],
        correlation=float(agreement.mean()),
        n_reflections=math.ceil(len(patches.qx) / 2),
        object_phase_deg=transfer.object_phase_deg,
        defocus_nm=math.nan if transfer.conditions is None else transfer.conditions.defocus_nm,
        transfer_residual=residual,
        candidates=candidates,
    )


def _wrap(angle_deg: float, period: float) -> float:
    return (angle_deg + period / 2) % period - period / 2


def _checked_diameter(image: NormalisedImage, pixel_angstrom: float, grid: Grid) -> float:
    if not (math.isfinite(pixel_angstrom) and pixel_angstrom > 0):
        raise InputError(
            f"an image pixel of {pixel_angstrom:g} Å",
            where="image pixel",
            mend="give a positive length in ångström",
        )
    diameter = image.diameter_px * pixel_angstrom
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


def _checked_pattern(
    pattern: Float,
    grid: Grid,
    valid: Mask | None,
    noise_std: Float | None,
    diameter: float,
    pixel_angstrom: float,
    conditions: ImagingConditions | None,
) -> _Pattern:
    if pattern.shape != grid.shape:
        raise InputError(f"the pattern has shape {pattern.shape}, the grid {grid.shape}")
    good = np.isfinite(pattern) if valid is None else valid & np.isfinite(pattern)
    intensity = np.where(good, pattern, 0).astype(np.float64)
    q = grid.q_per_angstrom()
    if noise_std is None:
        outer = intensity[good & (q > 0.85 * grid.q_max_per_angstrom)]
        level = 1.4826 * float(np.median(np.abs(outer - np.median(outer)))) if outer.size else 0.0
        noise_std = np.sqrt(level**2 + np.clip(intensity, 0, None)).astype(np.float32)
    limit = math.inf if conditions is None else conditions.information_limit_per_angstrom
    # Below a few times 1/diameter the shape transform of the central beam drowns the reflections.
    q_min, q_max = 4.0 / diameter, min(limit, 0.45 / pixel_angstrom, grid.q_max_per_angstrom)
    if q_max < 1.5 * q_min:
        raise InputError(
            f"image and pattern share only the band {q_min:.3f} to {q_max:.3f} 1/Å",
            mend="check image pixel, camera length and information limit",
        )
    return _Pattern(intensity, noise_std.astype(np.float64), good, grid, q_min, q_max)


def _polar(observed: _Pattern) -> tuple[Double, Double, Double, Double]:
    """Polar mesh of the common band: qx, qy, q of shape (angles, radii) and area weights."""
    step = observed.grid.q_pixel_per_angstrom
    q = np.arange(observed.q_min, observed.q_max, step)
    angle = np.deg2rad(np.arange(0, 180, _ANGLE_STEP_DEG))[:, None]
    return np.cos(angle) * q, np.sin(angle) * q, np.broadcast_to(q, (angle.size, q.size)), np.sqrt(q)


def _rank(
    spectrum: _Spectrum,
    observed: _Pattern,
    transfer: _Transfer,
    nominal_pixel: float,
    pixel_tolerance: float,
    mirrors: tuple[bool, ...],
) -> tuple[Candidate, ...]:
    """Rotations by local maxima of the polar correlation over angle, best scale for each."""
    qx, qy, q, weight = _polar(observed)
    centre, step = observed.grid.n // 2, observed.grid.q_pixel_per_angstrom
    smooth = ndi.gaussian_filter(np.clip(observed.intensity, 0, None), 1.0)
    polar = ndi.map_coordinates(smooth, [qy / step + centre, qx / step + centre], order=1)
    reference = _standard(np.sqrt(polar * transfer.power(q)) * weight)
    reference_f = np.fft.rfft(reference, axis=0)
    half = max(1, math.ceil(pixel_tolerance / _SCALE_STEP))
    found: list[Candidate] = []
    for mirrored in mirrors:
        scores = []
        scales = 1 + pixel_tolerance * np.arange(-half, half + 1) / half
        for scale in scales:
            fx, fy = _Geometry(0.0, nominal_pixel * scale, mirrored).to_image(qx, qy)
            power = np.clip(spectrum.above_noise(fx, fy, order=1), 0, None)
            sample = _standard(np.sqrt(power) * weight)
            product = reference_f * np.fft.rfft(sample, axis=0).conj()
            scores.append(np.fft.irfft(product.sum(axis=1), n=q.shape[0]))
        found += _peaks(np.array(scores), scales * nominal_pixel, mirrored)
    return tuple(sorted(found, key=lambda candidate: -candidate.correlation)[:12])


def _standard(values: Double) -> Double:
    centred = values - values.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-30))


def _peaks(scores: Double, pixels: Double, mirrored: bool) -> list[Candidate]:
    best = scores.max(axis=0)
    window = round(4 / _ANGLE_STEP_DEG) | 1
    tops = np.nonzero(best == ndi.maximum_filter1d(best, window, mode="wrap"))[0]
    pixel = pixels[np.argmax(scores, axis=0)]
    return [
        Candidate(_wrap(float(top) * _ANGLE_STEP_DEG, 180), float(pixel[top]), mirrored, float(best[top]))
        for top in tops
    ]


def _choose(candidates: tuple[Candidate, ...], nominal: tuple[float, float] | None) -> Candidate:
    """Best candidate near the nominal rotation, turned by 180° where that brings it there."""
    if nominal is None:
        return candidates[0]
    rotation, tolerance = nominal
    near = [c for c in candidates if abs(_wrap(c.rotation_deg - rotation, 180)) <= tolerance]
    if not near:
        warnings.warn(
            f"no agreement of image and pattern within {tolerance:g}° of the nominal rotation {rotation:g}°; "
            f"the best is {candidates[0].rotation_deg:.1f}°, and the nearest is taken",
            QualityWarning,
            stacklevel=3,
        )
        near = sorted(candidates, key=lambda c: abs(_wrap(c.rotation_deg - rotation, 180)))[:1]
    best = near[0]
    turned = rotation + _wrap(best.rotation_deg - rotation, 180)
    return Candidate(turned, best.image_pixel_angstrom, best.mirrored, best.correlation)


@dataclass(frozen=True)
class _Patches:
    """Discs about the reflections that both spectra have, shape (reflections, pixels)."""

    qx: Double
    qy: Double
    intensity: Double

    def subset(self, keep: Mask) -> _Patches:
        return _Patches(self.qx[keep], self.qy[keep], self.intensity[keep])


def _common_reflections(spectrum: _Spectrum, observed: _Pattern, geometry: _Geometry, diameter: float) -> _Patches:
    grid = observed.grid
    radius = 1.6 / diameter / grid.q_pixel_per_angstrom
    smooth = ndi.gaussian_filter(observed.intensity, radius / 6)
    sigma = observed.noise_std / max(radius / 6 * math.sqrt(4 * math.pi), 1)
    q = grid.q_per_angstrom()
    top = (smooth == ndi.maximum_filter(smooth, round(1.5 * radius) | 1)) & (smooth > 10 * sigma)
    top &= (q > observed.q_min) & (q < observed.q_max)
    rows, columns = np.nonzero(top)
    reach = math.ceil(radius)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.hypot(dy, dx) <= radius
    y, x = rows[:, None] + dy[disc], columns[:, None] + dx[disc]
    inside = ((y >= 0) & (y < grid.n) & (x >= 0) & (x < grid.n)).all(axis=1)
    y, x = y[inside], x[inside]
    y, x = (a[observed.valid[y, x].all(axis=1)] for a in (y, x))
    qx, qy = ((a - grid.n // 2) * grid.q_pixel_per_angstrom for a in (x, y))
    power = spectrum.above_noise(*geometry.to_image(qx, qy), order=1)
    noise = spectrum.noise(np.hypot(qx, qy) * geometry.pixel_angstrom)
    strong = power.max(axis=1, initial=0) > 10 * noise.mean(axis=1)
    if strong.size:
        total = observed.intensity[y, x].sum(axis=1)
        strong &= total > 0.02 * total.max()
    if not strong.any():
        raise InputError(
            f"no reflection between {observed.q_min:.2f} and {observed.q_max:.2f} 1/Å is found in both image "
            "and pattern",
            mend="check rotation, image pixel, camera length and information limit",
        )
    intensity = np.clip(observed.intensity[y[strong], x[strong]], 0, None)
    return _Patches(qx[strong], qy[strong], intensity)


def _refine(
    spectrum: _Spectrum, patches: _Patches, transfer: _Transfer, start: _Geometry, *, free_slope: bool
) -> tuple[_Geometry, Double, tuple[float, float]]:
    """Maximise the mean shape correlation of the reflections over rotation and pixel."""
    basis = _shape_basis(patches, transfer, free_slope=free_slope)

    def at(step: Double) -> _Geometry:
        return _Geometry(start.rotation_deg + step[0], start.pixel_angstrom * (1 + step[1] / 100), start.mirrored)

    def correlations(step: Double) -> Double:
        power = spectrum.above_noise(*at(step).to_image(patches.qx, patches.qy))
        amplitude = np.sqrt(np.clip(power, 0, None))
        projection = np.einsum("kpb,kp->kb", basis, amplitude)
        return np.asarray(np.linalg.norm(projection, axis=1) / (np.linalg.norm(amplitude, axis=1) + 1e-30))

    weight = _reflection_weights(spectrum, patches, start)
    simplex = np.array([[0.0, 0.0], [0.4, 0.0], [0.0, 0.5]])
    options = {"xatol": 1e-3, "fatol": 1e-7, "initial_simplex": simplex, "maxiter": 150}
    best = minimize(
        lambda step: -np.sum(weight * correlations(step)), simplex[0], method="Nelder-Mead", options=options
    ).x
    errors = _step_errors(correlations, weight, best)
    geometry = at(best)
    return geometry, correlations(best), (errors[0], errors[1] / 100 * geometry.pixel_angstrom)


def _shape_basis(patches: _Patches, transfer: _Transfer, *, free_slope: bool) -> Double:
    """Orthonormal basis of each reflection's expected amplitude, shape (reflections, pixels, functions).

    The transfer's slope across a reflection is never known well. With several reflections it is left free:
    the zeros and side lobes of the shape transform, which no slope moves, then fix the pixel. With one
    pair alone there is not enough to tell slope from scale, and the known transfer has to do.
    """
    q = np.hypot(patches.qx, patches.qy)
    amplitude = np.sqrt(patches.intensity * transfer.power(q))
    functions = [amplitude]
    if free_slope and len(q) >= 6:
        centre = q.mean(axis=1)
        functions.append(amplitude * (q - centre[:, None]))
    return np.asarray(np.linalg.qr(np.stack(functions, axis=-1))[0])


def _reflection_weights(spectrum: _Spectrum, patches: _Patches, geometry: _Geometry) -> Double:
    """Signal over noise of each reflection in the image, levelling off where the model's own faults rule."""
    fx, fy = geometry.to_image(patches.qx, patches.qy)
    signal = spectrum.above_noise(fx, fy, order=1).sum(axis=1)
    ratio = np.clip(signal / spectrum.noise(np.hypot(fx, fy)).sum(axis=1), 0.1, None)
    weight = ratio / (1 + _MODEL_ERROR * ratio)
    return np.asarray(weight / weight.sum())


def _step_errors(correlations: Callable[[Double], Double], weight: Double, best: Double) -> tuple[float, float]:
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


def _fit_transfer(
    spectrum: _Spectrum, observed: _Pattern, geometry: _Geometry, nominal: ImagingConditions
) -> tuple[_Transfer, float]:
    """Mean object phase and defocus from the ratio of the image's to the pattern's power in rings.

    The nominal defocus counts as a measurement with an error of 3 nm: over the passband a change of defocus
    and of phase are nearly alike.
    """
    rings = _ring_ratio(spectrum, observed, geometry)
    if rings[2].size < 4:
        return _Transfer(nominal), math.nan
    best, best_cost, residual = _Transfer(nominal), math.inf, math.nan
    for defocus in nominal.defocus_nm + np.arange(-6.0, 6.1, 0.5):
        conditions = replace(nominal, defocus_nm=float(defocus))
        prior = 0.5 * ((defocus - nominal.defocus_nm) / _DEFOCUS_ERROR_NM) ** 2
        for phase in np.arange(-10.0, 70.1, 2.5):
            trial = _Transfer(conditions, float(phase))
            deviation = _ring_deviation(trial, *rings)
            cost = deviation * rings[2].size / _RING_LOG_ERROR / math.sqrt(2) + prior
            if cost < best_cost:
                best, best_cost, residual = trial, cost, deviation
    return best, residual


def _check_defocus_sign(
    spectrum: _Spectrum,
    observed: _Pattern,
    geometry: _Geometry,
    nominal: ImagingConditions,
    residual: float,
) -> None:
    """Warn if the opposite defocus explains the powers much better."""
    opposite = _fit_transfer(spectrum, observed, geometry, replace(nominal, defocus_nm=-nominal.defocus_nm))[1]
    if opposite < 0.6 * residual:
        warnings.warn(
            f"a defocus of {-nominal.defocus_nm:g} nm explains the image better than the "
            f"{nominal.defocus_nm:g} nm given; underfocus is negative",
            QualityWarning,
            stacklevel=3,
        )


def _ring_deviation(transfer: _Transfer, q: Double, intensity: Double, ratio: Double, ring: NDArray[np.int64]) -> float:
    """Mean absolute deviation of the logarithm of the observed over the expected ratio of powers."""
    expected = np.bincount(ring, weights=intensity * transfer.power(q)) / np.bincount(ring, weights=intensity)
    deviation = np.log(ratio / expected)
    return float(np.mean(np.abs(deviation - np.median(deviation))))


def _ring_ratio(
    spectrum: _Spectrum, observed: _Pattern, geometry: _Geometry
) -> tuple[Double, Double, Double, NDArray[np.int64]]:
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


def resample_to_pattern(
    estimate: Float,
    registration: ImageRegistration,
    grid: Grid,
    /,
    *,
    centre_px: tuple[float, float],
    order: int = 5,
) -> Float:
    """Lay an estimate made from the image onto the pattern's real-space grid, particle at the centre.

    Rotation, pixel size, mirror and centring are one spline interpolation; outside the image is 0.

    Parameters
    ----------
    estimate : ndarray, shape (y, x)
        Potential estimate on the image's pixels, 0 in the vacuum.
    registration : ImageRegistration
        From :func:`register_image`.
    grid : Grid
        Grid of the object.
    centre_px : tuple of float
        Image pixel (y, x) that comes to element n // 2.
    order : int, optional
        Order of the spline; 5 keeps a band up to two thirds of Nyquist within a per cent.

    Returns
    -------
    ndarray of float32, shape (n, n)
    """
    if estimate.ndim != 2 or np.iscomplexobj(estimate):
        raise InputError("a potential estimate is a real array of two axes")
    angle, scale = (
        math.radians(registration.rotation_deg),
        grid.pixel_angstrom / registration.image_pixel_angstrom,
    )
    index = grid.index()
    x, y = index[None, :] * scale, index[:, None] * scale
    u = math.cos(angle) * x + math.sin(angle) * y
    v = -math.sin(angle) * x + math.cos(angle) * y
    where = np.stack([v + centre_px[0], (-u if registration.mirrored else u) + centre_px[1]])
    resampled = ndi.map_coordinates(estimate.astype(np.float32), where, order=order, mode="constant", cval=0.0)
    return np.asarray(resampled, dtype=np.float32)
