"""The background under the particle's pattern: a second record registered to it.

The background record is taken beside the particle. It is moved, turned about the beam and exposed
differently, and shares with the particle record only what the film and the microscope scatter: the
halo of the beam, the rings and the spots of the film. The particle adds intensity and never takes
any away, so every estimate here lets the particle's record be higher than the background, not lower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage, special

from napari_subangstrom_cdi.core.types import Bool, Float32
from napari_subangstrom_cdi.errors import InputError, doubt

from .centring import find_beam_centre, find_spots, rough_beam_centre, spot_contrast
from .detector import Record, block_all, block_sum, fill_invalid, grow, settled_variance

Float64 = NDArray[np.float64]

_SMOOTH_PX = 1.5
_LARGEST_CONTRAST = 8.0
_FEATURE_CONTRAST, _LEAST_CORRELATION = 5.0, 0.2
_FEWEST_FILM_SPOTS, _FILM_SPOT_PX = 4, 6
_HALO_ERROR_PX = 0.2
_NO_FILM_SPOTS = (
    "the background record shows no spots of the film: the middle of its halo gives the shift to some "
    "tenths of a pixel, and its rotation is taken as 0"
)
_BLOCK_PX = 8
_LARGEST_FACTOR = 10.0
_N_ANNULI = 30
_CLEAN_FRACTION = 0.5
_INNER_PX = 30.0


@dataclass(frozen=True)
class BackgroundFit:
    """How the background record lies on the particle record.

    A pixel at ``x`` of the particle record is compared with the background record at
    ``c + shift + R (x - c)``, where c is the beam in the particle record and R turns by ``rotation_deg``
    from +x towards +y.

    Parameters
    ----------
    beam_centre_px : tuple of float
        The beam c in the particle record, (y, x) pixels.
    shift_px : tuple of float
        Beam in the background record minus beam in the particle record, (y, x) pixels.
    rotation_deg : float
        Turn of the background record about the beam against the particle record.
    scale : float
        Factor by which the background record is multiplied.
    shift_error_px, rotation_error_deg, scale_error : float
        Standard errors; of the rotation NaN if it could not be measured.
    correlation_before, correlation_after : float
        Correlation of the features that both records can share, before and after alignment.
    residual_sigmas : float
        Root mean square of particle minus background over its noise, in the least affected half
        of the blocks; 1 is noise alone.
    """

    beam_centre_px: tuple[float, float]
    shift_px: tuple[float, float]
    rotation_deg: float
    scale: float
    shift_error_px: float
    rotation_error_deg: float
    scale_error: float
    correlation_before: float
    correlation_after: float
    residual_sigmas: float


class _Pose(NamedTuple):
    """Shift (y, x) in pixels and rotation in radians."""

    dy: float
    dx: float
    angle: float

    def matrix(self) -> Float64:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.array([[cos, sin], [-sin, cos]])

    def offset(self, centre: tuple[float, float]) -> Float64:
        point = np.asarray(centre)
        return np.asarray(point + np.array([self.dy, self.dx]) - self.matrix() @ point)


def register_background(particle: Record, background: Record, **options: Any) -> BackgroundFit:
    """How the background record lies on the particle record: the fit of :func:`align_background` alone."""
    return align_background(particle, background, **options)[0]


def align_background(
    particle: Record,
    background: Record,
    *,
    beam_centre_px: tuple[float, float] | None = None,
    max_shift_px: float = 20.0,
    max_rotation_deg: float = 3.0,
    contrast: Float32 | None = None,
) -> tuple[BackgroundFit, Record]:
    """Find shift, rotation and exposure of the background record, and resample it so that it lies on the particle's.

    The rotation is first found by correlating both records' spots along the angle, the shift by
    correlating them in the plane; both are then refined by robust least squares on the flanks of the
    film's spots. Without such spots the middle of the background's halo gives the shift. The exposure
    follows from the pixels between the particle's spots, see :func:`background_scale`.

    Parameters
    ----------
    particle, background : Record
        Records of one shape, in electrons, calibrated with one common offset.
    beam_centre_px : tuple of float, optional
        Beam in the particle record, (y, x); None: from its ±g spots.
    max_shift_px, max_rotation_deg : float
        Bounds of the search.
    contrast : ndarray of float32, optional
        :func:`~napari_subangstrom_cdi.core.record.centring.spot_contrast` of the particle record, where it is known.

    Returns
    -------
    fit : BackgroundFit
    aligned : Record
        The background record, resampled so that it lies on the particle's; its exposure is its own.

    Raises
    ------
    InputError
        If the shapes differ, or too little of the records is valid.

    Warns
    -----
    QualityWarning
        If the film shows no spots, the records have little in common, the search ends at its bounds, or the
        exposures are too unlike.
    """
    _check_pair(particle, background)
    centre = beam_centre_px or _beam_centre(particle)
    contrast_p = spot_contrast(particle) if contrast is None else contrast
    contrast_b = spot_contrast(background)
    beam_b = rough_beam_centre(background)
    film, brightest = _film_spots(contrast_b, background, beam_b)
    contrast_p = np.where(grow(contrast_p > 2 * brightest, 2 * _FILM_SPOT_PX), 0, contrast_p)
    contrast_p, contrast_b = (np.clip(contrast, 0, _LARGEST_CONTRAST) for contrast in (contrast_p, contrast_b))
    start = _Pose(beam_b[0] - centre[0], beam_b[1] - centre[1], 0.0)
    if film.any():
        start = _coarse_pose(contrast_p, contrast_b, centre, start, max_shift_px, max_rotation_deg)
        pose, errors = _refine_pose(particle, background, film, centre, start, _rough_scale(particle, background))
    else:
        pose, errors = start, (_HALO_ERROR_PX, math.nan)
        doubt(_NO_FILM_SPOTS)
    _warn_at_bounds(pose, max_shift_px, max_rotation_deg)
    pose = _Pose(pose.dy, pose.dx, math.radians(math.degrees(pose.angle)))  # as whoever has the fit reads it
    moved = _moved(background, centre, pose)
    factor, factor_error, residual = background_scale(particle, moved, centre)
    if not 1 / _LARGEST_FACTOR < factor < _LARGEST_FACTOR:
        doubt(
            f"the background record has to be multiplied by {factor:.3g} to fit; are the two records exchanged?",
        )
    before, after = _correlations(contrast_p, contrast_b, particle.valid & moved.valid, centre, pose)
    fit = BackgroundFit(
        (float(centre[0]), float(centre[1])),
        (pose.dy, pose.dx),
        math.degrees(pose.angle),
        factor,
        errors[0],
        math.degrees(errors[1]),
        factor_error,
        before,
        after,
        residual,
    )
    return fit, moved


def subtract_background(
    particle: Record, background: Record, fit: BackgroundFit, *, aligned: Record | None = None
) -> Record:
    """Particle record minus the aligned, scaled background record.

    The background is resampled once, by a cubic spline. The variance is that of the particle record plus
    that of the background times scale², plus what the alignment's standard error can leave where the
    background is steep. ``aligned`` is the resampled background of :func:`align_background`, where it is known.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    _check_pair(particle, background)
    pose = _Pose(fit.shift_px[0], fit.shift_px[1], math.radians(fit.rotation_deg))
    moved = aligned or _moved(background, fit.beam_centre_px, pose)
    slope = ndimage.gaussian_gradient_magnitude(moved.electrons, 1.0)
    variance = settled_variance(particle.variance, particle.valid) + np.float32(fit.scale**2) * (
        moved.variance + np.float32(fit.shift_error_px**2) * slope**2
    )
    electrons = particle.electrons - np.float32(fit.scale) * moved.electrons
    return Record(electrons, variance.astype(np.float32), particle.valid & moved.valid)


def background_scale(
    particle: Record, background: Record, centre_px: tuple[float, float], *, start: float = 1.0
) -> tuple[float, float, float]:
    """Exposure factor of an aligned background record, its standard error, and the residual in sigmas.

    In annuli of equal information about the factor, the half of the blocks whose *neighbours* are
    least above the background are compared (chosen by their own values they would be biased). Each
    annulus gives a factor that is right, or too high by an unknown part that the particle scatters
    between its spots; this excess is modelled as absent or exponentially distributed, and the factor is
    the posterior mean.

    Parameters
    ----------
    particle, background : Record
        Aligned records.
    centre_px : tuple of float
        Beam, (y, x).
    start : float
        First guess of the factor.
    """
    blocks = _scale_blocks(particle, background, centre_px)
    factor, error, residual = start, math.inf, math.nan
    for _ in range(3):
        factors, errors, residual = _annulus_factors(blocks, factor)
        factor, error = _clean_factor(factors, errors)
    return factor, error, residual


def _check_pair(particle: Record, background: Record) -> None:
    if particle.shape != background.shape:
        raise InputError(
            f"the particle record has {particle.shape} pixels and the background record {background.shape}",
            mend="give two records of one shape and binning",
        )
    for record, name in ((particle, "particle"), (background, "background")):
        if record.valid.mean() < 0.1:
            raise InputError(
                f"only {record.valid.mean():.0%} of the {name} record is valid", mend="check mask and saturation"
            )


def _beam_centre(particle: Record) -> tuple[float, float]:
    """From the spots, or, where there are none, from the halo: a pixel matters little to the rotation."""
    try:
        return find_beam_centre(particle).centre_px
    except InputError:
        return rough_beam_centre(particle)


def _warp(image: Float32, centre: tuple[float, float], pose: _Pose, *, order: int, fill: str = "nearest") -> Float32:
    warped = ndimage.affine_transform(image, pose.matrix(), pose.offset(centre), order=order, mode=fill)
    return np.asarray(warped, dtype=np.float32)


def _moved(record: Record, centre: tuple[float, float], pose: _Pose) -> Record:
    """The record resampled so that ``centre`` and axes agree with the particle record's."""
    filled = fill_invalid(record.electrons, record.valid)
    valid = _warp(record.valid.astype(np.float32), centre, pose, order=1, fill="constant") > 0.999
    variance = np.maximum(_warp(settled_variance(record.variance, record.valid), centre, pose, order=1), 0)
    return Record(_warp(filled, centre, pose, order=3), variance, valid)


def _film_spots(contrast: Float32, background: Record, beam: tuple[float, float]) -> tuple[Bool, float]:
    """Pixels about the spots of the film (none if there are too few), and the highest contrast of these."""
    spots, heights = find_spots(contrast, background, np.asarray(beam))
    mask = np.zeros(background.shape, dtype=np.bool_)
    if len(spots) >= _FEWEST_FILM_SPOTS:
        mask[tuple(spots.astype(np.intp).T)] = True
        return grow(mask, _FILM_SPOT_PX), float(heights[0])
    return mask, math.inf


def _correlations(
    contrast_p: Float32, contrast_b: Float32, valid: Bool, centre: tuple[float, float], pose: _Pose
) -> tuple[float, float]:
    """Correlation where the background record has features, without and with alignment."""
    aligned = _warp(contrast_b, centre, pose, order=1)
    place = grow(aligned > _FEATURE_CONTRAST, _FILM_SPOT_PX) & valid
    before, after = (_correlation(contrast_p[place], contrast[place]) for contrast in (contrast_b, aligned))
    if after < _LEAST_CORRELATION and place.any():
        doubt(
            f"particle and background record correlate by only {after:.2f} after alignment; check that they "
            "belong together",
        )
    return before, after


def _correlation(a: Float32, b: Float32) -> float:
    if a.size == 0:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / norm if norm else 0.0


def _coarse_pose(
    contrast_p: Float32,
    contrast_b: Float32,
    centre: tuple[float, float],
    halo: _Pose,
    max_shift_px: float,
    max_rotation_deg: float,
) -> _Pose:
    """Rotation from the spots along the angle, then the shift from the spots in the plane."""
    dy, dx = (float(np.clip(step, -max_shift_px, max_shift_px)) for step in (halo.dy, halo.dx))
    beam_b = (centre[0] + dy, centre[1] + dx)
    best, highest = _Pose(dy, dx, 0.0), -math.inf
    for angle in (_angle_by_correlation(contrast_p, contrast_b, centre, beam_b, max_rotation_deg), 0.0):
        turned = _warp(contrast_b, centre, _Pose(dy, dx, angle), order=1)
        step, height = _shift_by_correlation(contrast_p, turned, max_shift_px)
        if height > highest:
            best, highest = _Pose(dy + step[0], dx + step[1], angle), height
    return best


def _angle_by_correlation(
    contrast_p: Float32,
    contrast_b: Float32,
    centre_p: tuple[float, float],
    centre_b: tuple[float, float],
    limit_deg: float,
) -> float:
    """Rotation (radians) that maximises the correlation of spots along the angle."""
    n_angles = 4096
    rows = [_polar(image, centre, n_angles) for image, centre in ((contrast_p, centre_p), (contrast_b, centre_b))]
    spectra = [scipy.fft.rfft(row - row.mean(axis=1, keepdims=True), axis=1) for row in rows]
    correlation = scipy.fft.irfft((np.conj(spectra[0]) * spectra[1]).sum(axis=0), n=n_angles)
    steps = np.arange(-n_angles // 2, n_angles // 2)
    allowed = steps[np.abs(steps) <= limit_deg / 360 * n_angles]
    best = int(allowed[np.argmax(correlation[allowed])])
    return (best + _vertex(correlation, best)) * 2 * math.pi / n_angles


def _vertex(values: Float64, peak: int) -> float:
    left, middle, right = (float(values[(peak + step) % len(values)]) for step in (-1, 0, 1))
    curvature = left - 2 * middle + right
    return 0.5 * (left - right) / curvature if curvature < 0 else 0.0


def _polar(image: Float32, centre: tuple[float, float], n_angles: int) -> Float32:
    angle = np.arange(n_angles) * (2 * np.pi / n_angles)
    radius = np.arange(_INNER_PX, 0.6 * min(image.shape), 2.0)
    y = centre[0] + radius[:, None] * np.sin(angle)
    x = centre[1] + radius[:, None] * np.cos(angle)
    sampled = ndimage.map_coordinates(image, [y, x], order=1, mode="constant")
    # A distant spot spans less angle: weigh by radius, as area does.
    return np.asarray(sampled * np.sqrt(radius / radius[-1])[:, None], dtype=np.float32)


def _shift_by_correlation(
    contrast_p: Float32, contrast_b: Float32, limit_px: float
) -> tuple[tuple[float, float], float]:
    """Step by which ``contrast_b`` must be read further to match, and the correlation there."""
    spectra = [scipy.fft.rfft2(image - image.mean()) for image in (contrast_p, contrast_b)]
    correlation = scipy.fft.irfft2(np.conj(spectra[0]) * spectra[1], s=contrast_p.shape)
    reach = int(limit_px)
    window = np.roll(correlation, (reach, reach), axis=(0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    row, column = np.unravel_index(int(np.argmax(window)), window.shape)
    return (float(row - reach), float(column - reach)), float(window[row, column])


def _rough_scale(particle: Record, background: Record) -> float:
    """Lower quartile of the ratio of large blocks: the particle only adds."""
    block = max(8, min(particle.shape) // 64)
    ok = block_all(particle.valid & background.valid, block)
    p, b = (block_sum(record.electrons, block)[ok] for record in (particle, background))
    bright = b > max(10.0, float(np.median(b)))
    if np.count_nonzero(bright) < 8:
        return 1.0
    return float(np.clip(np.percentile(p[bright] / b[bright], 20), 0.05, 20))


def _refine_pose(
    particle: Record, background: Record, film: Bool, centre: tuple[float, float], start: _Pose, factor: float
) -> tuple[_Pose, tuple[float, float]]:
    """Robust Gauss-Newton fit on the flanks of the film's spots."""
    smooth_p, noise_p = _smoothed(particle)
    smooth_b, noise_b = _smoothed(background)
    noise = noise_p + factor**2 * noise_b
    y, x = _steep_pixels(particle, film & background.valid, smooth_b, noise_b, centre, start)
    if len(y) < 100:
        raise InputError(
            "the background record has no feature to align it by", mend="choose another background, or go without"
        )
    target, sigma = smooth_p[y, x], np.sqrt(noise[y, x])
    coefficients = ndimage.spline_filter(smooth_b, order=3).astype(np.float32)
    position = np.stack([y - centre[0], x - centre[1]])
    values = np.array(start)
    hessian = np.eye(3)
    for step_index in range(12):
        model, jacobian = _model(coefficients, position, centre, _Pose(*values))
        residual = (target - factor * model) / sigma
        # Early on a true feature may be misplaced; the tolerance shrinks as the fit settles.
        reach = max(0.15, 1.0 * 0.5**step_index)
        steepness = factor * np.hypot(jacobian[0], jacobian[1]) / sigma
        weight = one_sided_weight(residual / np.hypot(1.0, reach * steepness))
        design = factor * jacobian / sigma
        hessian = (design * weight) @ design.T
        try:
            step = np.linalg.solve(hessian, (design * weight) @ residual)
        except np.linalg.LinAlgError as error:
            raise InputError(
                "the background record has nothing in common with the particle record to align it by",
                mend="check that both are of one detector and treated alike, or go without a background record",
            ) from error
        values = values + np.clip(step, [-1.0, -1.0, -0.003], [1.0, 1.0, 0.003])
        if np.all(np.abs(step) < [1e-4, 1e-4, 1e-7]):
            break
    # Smoothing correlates neighbours over 4πs² pixels.
    covariance = np.linalg.inv(hessian) * max(1.0, 4 * math.pi * _SMOOTH_PX**2)
    errors = np.sqrt(np.diag(covariance))
    return _Pose(*(float(v) for v in values)), (float(max(errors[0], errors[1])), float(errors[2]))


def _smoothed(record: Record) -> tuple[Float32, Float32]:
    filled = fill_invalid(record.electrons, record.valid)
    smooth = ndimage.gaussian_filter(filled, _SMOOTH_PX)
    variance = settled_variance(record.variance, record.valid)
    noise = ndimage.gaussian_filter(variance, _SMOOTH_PX / math.sqrt(2)) / (4 * math.pi * _SMOOTH_PX**2)
    return smooth, noise


def _steep_pixels(
    particle: Record, film: Bool, smooth_b: Float32, noise_b: Float32, centre: tuple[float, float], start: _Pose
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pixels of the particle record that meet a significant gradient of the film's spots."""
    slope = np.hypot(ndimage.sobel(smooth_b, 0), ndimage.sobel(smooth_b, 1)) / 8
    steep = film & (slope > 4 * np.sqrt(noise_b / (2 * _SMOOTH_PX**2)))
    met = _warp(steep.astype(np.float32), centre, start, order=1, fill="constant") > 0.5
    margin = math.ceil(3 * _SMOOTH_PX) + 1
    met &= ~grow(~particle.valid, margin)
    met[:margin] = met[-margin:] = False
    met[:, :margin] = met[:, -margin:] = False
    y, x = np.nonzero(met)
    return y, x


def _model(
    coefficients: Float32, position: Float64, centre: tuple[float, float], pose: _Pose
) -> tuple[Float64, Float64]:
    """Background under the given pixels, and its derivative by (dy, dx, angle), shape (3, n)."""
    turned = pose.matrix() @ position
    place = turned + np.array([[centre[0] + pose.dy], [centre[1] + pose.dx]])

    def read(dy: float, dx: float) -> Float64:
        shifted = place + np.array([[dy], [dx]])
        return np.asarray(
            ndimage.map_coordinates(coefficients, shifted, order=3, prefilter=False, mode="nearest"), dtype=np.float64
        )

    by_y = read(0.5, 0) - read(-0.5, 0)
    by_x = read(0, 0.5) - read(0, -0.5)
    by_angle = by_y * turned[1] - by_x * turned[0]
    return read(0, 0), np.stack([by_y, by_x, by_angle])


def one_sided_weight(residual: Float64) -> Float64:
    """Tukey's biweight, strict above (where the particle adds) and lenient below."""
    scaled = residual / np.where(residual > 0, 3.0, 6.0)
    return np.asarray(np.where(np.abs(scaled) < 1, (1 - scaled**2) ** 2, 0.0))


def _warn_at_bounds(pose: _Pose, max_shift_px: float, max_rotation_deg: float) -> None:
    if math.hypot(pose.dy, pose.dx) > max_shift_px or abs(math.degrees(pose.angle)) > max_rotation_deg:
        doubt(
            f"the background record lies {pose.dy:.1f}, {pose.dx:.1f} px and "
            f"{math.degrees(pose.angle):.2f}° off, at the bounds of the search",
        )


class _Blocks(NamedTuple):
    """Block means: particle, background, radial mean of the background; which count; radius."""

    particle: Float32
    background: Float32
    model: Float32
    usable: Bool
    radius: Float32


def _scale_blocks(particle: Record, background: Record, centre: tuple[float, float]) -> _Blocks:
    valid = particle.valid & background.valid
    ny, nx = particle.shape
    radius = np.hypot(np.arange(ny)[:, None] - centre[0], np.arange(nx) - centre[1]).astype(np.float32)
    ring = radius.astype(np.intp)
    count = np.bincount(ring[valid], minlength=int(ring.max()) + 1)
    profile = np.bincount(ring[valid], background.electrons[valid], minlength=len(count)) / np.maximum(count, 1)
    area = np.float32(_BLOCK_PX**2)
    images = (particle.electrons, background.electrons, profile.astype(np.float32)[ring])
    usable = block_all(valid, _BLOCK_PX)
    mean_radius = block_sum(radius, _BLOCK_PX) / area
    p, b, m = (block_sum(image, _BLOCK_PX) / area for image in images)
    return _Blocks(p, b, np.maximum(m, 0), usable, mean_radius)


def _annulus_factors(blocks: _Blocks, factor: float) -> tuple[Float64, Float64, float]:
    """Factor, standard error of each annulus, and the overall residual of the chosen blocks."""
    variance = (factor * (1 + factor) * blocks.model + 1 + factor**2) / _BLOCK_PX**2
    excess = np.where(blocks.usable, blocks.particle - factor * blocks.model, 0)
    around = np.ones((3, 3))
    around[1, 1] = 0
    n_around = ndimage.convolve(blocks.usable.astype(np.float32), around, mode="constant")
    spread = ndimage.convolve(np.where(blocks.usable, variance, 0), around, mode="constant")
    height = ndimage.convolve(excess, around, mode="constant") / np.sqrt(np.maximum(spread, 1e-12))
    candidate = blocks.usable & (n_around >= 5) & (blocks.radius > _INNER_PX) & (blocks.model > 0)
    if np.count_nonzero(candidate) < 4 * _N_ANNULI:
        raise InputError("too few valid pixels to compare the exposures of the two records", mend="check the mask")
    order = np.flatnonzero(candidate)[np.argsort(blocks.radius[candidate])]
    information = np.cumsum((blocks.model**2 / variance).ravel()[order])
    groups = np.split(order, np.searchsorted(information, information[-1] * np.arange(1, _N_ANNULI) / _N_ANNULI))
    p, b, m, v, h = (a.ravel() for a in (blocks.particle, blocks.background, blocks.model, variance, height))
    factors, errors, squares = [], [], []
    for group in groups:
        if len(group) < 8:
            continue
        clean = group[h[group] <= np.quantile(h[group], _CLEAN_FRACTION)]
        weight = m[clean] / v[clean]
        factors.append(float(weight @ p[clean]) / max(float(weight @ b[clean]), 1e-12))
        errors.append(1 / math.sqrt(float(weight @ m[clean])))
        squares.append(np.median((p[clean] - factor * b[clean]) ** 2 / v[clean]) / 0.4549)
    return np.array(factors), np.array(errors), math.sqrt(float(np.median(squares)))


def _clean_factor(factors: Float64, errors: Float64) -> tuple[float, float]:
    """Posterior mean and deviation of the factor when some annuli are too high by an unknown part."""
    low, high = float(np.min(factors - 2 * errors)), float(np.median(factors) + 2 * np.median(errors))
    trial = np.linspace(low, high, 600)[:, None, None, None]
    mean_excess = np.geomspace(0.005, 0.5, 12)[None, :, None, None]
    clean_share = np.linspace(0.05, 0.95, 10)[None, None, :, None]
    over = factors - trial
    clean = -0.5 * (over / errors) ** 2 - np.log(errors * math.sqrt(2 * math.pi))
    # Normal noise convolved with an exponential excess (exponentially modified Gaussian).
    raised = (
        0.5 * (errors / mean_excess) ** 2
        - over / mean_excess
        - np.log(mean_excess)
        + special.log_ndtr(over / errors - errors / mean_excess)
    )
    log_likelihood = np.logaddexp(np.log(clean_share) + clean, np.log1p(-clean_share) + raised).sum(axis=-1)
    posterior = np.exp(log_likelihood - log_likelihood.max()).sum(axis=(1, 2))
    posterior /= posterior.sum()
    mean = float(posterior @ trial.ravel())
    return mean, math.sqrt(float(posterior @ (trial.ravel() - mean) ** 2))
