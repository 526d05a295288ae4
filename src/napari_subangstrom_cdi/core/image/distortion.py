"""The ellipse of a pattern, told by the image: its reflections against the pattern's.

Each reflection that both have is shifted for itself until its shape in the image agrees best with that in the pattern.
The shifts are those of one linear map; what it turns and enlarges is the registration's, the rest is the ellipse. An
image that is distorted itself cannot be told from a pattern that is so the other way.
"""

from __future__ import annotations

import math

import numpy as np

from napari_subangstrom_cdi.core.record.distortion import MeasuredEllipse, components_of
from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError

from ._reflections import Patches, common_reflections, lack_parts, reflection_tops
from ._spectra import Spectrum, checked_diameter, checked_pattern, particle_spectrum
from ._transfer import Transfer
from .geometry import Candidate, Geometry
from .pair import Pair

_SHIFTS = 4  # either side, in fractions of a reflection's radius
_FINE = 5.0
_LEAST_CORRELATION = 0.7
_PRIOR_SHARE = 0.03  # of a reflection's radius: what a shape tells of its place, before residuals say more
_PRIOR_DOF = 2.0
_LARGEST_CONDITION = 6.0
_LEAST_MISFIT = 0.02  # of shapes that agree as well as they can


def ellipse_by_image(pair: Pair, start: Candidate) -> MeasuredEllipse:
    """The ellipse of a pattern by the reflections that it shares with the image.

    Parameters
    ----------
    pair : Pair
        Image and pattern, as recorded.
    start : Candidate
        Roughly how the image lies on the pattern.

    Raises
    ------
    InputError
        If they share no two reflections in directions that differ.
    """
    diameter = checked_diameter(pair, start.image_pixel_angstrom)
    spectrum, observed = particle_spectrum(pair.image), checked_pattern(pair, diameter, start.image_pixel_angstrom)
    geometry = Geometry(start.rotation_deg, start.image_pixel_angstrom, start.mirrored)
    gaps = lack_parts(observed, diameter)
    patches = common_reflections(spectrum, observed, geometry, diameter, gaps=gaps)
    basis = _shapes(patches, Transfer(pair.conditions))
    linear, q, error = np.eye(2), np.zeros((0, 2)), 0.0
    for fine in (1.0, _FINE, _FINE):
        shift, correlation, radius = _shifts(spectrum, patches, basis, geometry, linear, fine)
        kept = correlation > max(_LEAST_CORRELATION, 0.8 * float(correlation.max()))
        q = np.stack([patches.qx.mean(axis=1), patches.qy.mean(axis=1)], axis=1)[kept]
        weight = 1 / (_LEAST_MISFIT + 1 - correlation[kept])
        weight /= weight.mean()
        linear, error = _linear_map(q, q @ linear.T + shift[kept], weight, _PRIOR_SHARE * radius)
    return _as_ellipse(linear, q, weight, error)


def check_directions(pair: Pair, image_pixel_angstrom: float) -> None:
    """Raise InputError unless the pattern has reflections in two directions where the image could show them.

    Which costs next to nothing, unlike to look for them in the image.
    """
    diameter = checked_diameter(pair, image_pixel_angstrom)
    observed = checked_pattern(pair, diameter, image_pixel_angstrom)
    rows, columns = np.nonzero(reflection_tops(observed, diameter)[1])
    _check_spread(np.stack([columns, rows], axis=1).astype(np.float64) - pair.grid.n // 2)


def _check_spread(q: Float64) -> None:
    spread = np.linalg.svd(q, compute_uv=False) if len(q) > 1 else np.zeros(2)
    if spread[1] * _LARGEST_CONDITION < spread[0] or spread[1] == 0:
        raise InputError(
            "image and pattern share reflections along one line only",
            mend="name the crystal (--crystal, --zone), or state the ellipse in the acquisition",
        )


def _shapes(patches: Patches, transfer: Transfer) -> Float64:
    """Expected amplitude of each reflection, of unit length, shape (reflections, pixels)."""
    amplitude = np.sqrt(patches.intensity * transfer.power(np.hypot(patches.qx, patches.qy)))
    return np.asarray(amplitude / (np.linalg.norm(amplitude, axis=1, keepdims=True) + 1e-30))


def _shifts(
    spectrum: Spectrum, patches: Patches, basis: Float64, geometry: Geometry, linear: Float64, fine: float
) -> tuple[Float64, Float64, float]:
    """Where each reflection's shape agrees best, from where the map lays it, its correlation there, and the radius."""
    middle = np.stack([patches.qx.mean(axis=1), patches.qy.mean(axis=1)])
    radius = float(np.hypot(patches.qx - middle[0][:, None], patches.qy - middle[1][:, None]).max())
    x = linear[0, 0] * patches.qx + linear[0, 1] * patches.qy
    y = linear[1, 0] * patches.qx + linear[1, 1] * patches.qy
    steps = np.arange(-_SHIFTS, _SHIFTS + 1) * radius / _SHIFTS / fine
    found = np.zeros((len(steps), len(steps), len(basis)))
    for row, dy in enumerate(steps):
        for column, dx in enumerate(steps):
            power = spectrum.above_noise(*geometry.to_image(x + dx, y + dy), order=1 if fine == 1 else 3)
            amplitude = np.where(patches.measured, np.sqrt(np.clip(power, 0, None)), 0)
            found[row, column] = np.sum(basis * amplitude, axis=1) / (np.linalg.norm(amplitude, axis=1) + 1e-30)
    places = [_top(found[..., k]) for k in range(len(basis))]
    shift = np.array([[px, py] for py, px, _ in places]) * (steps[1] - steps[0]) + steps[0]
    return shift, np.array([height for *_, height in places]), radius


def _top(scores: Float64) -> tuple[float, float, float]:
    """Maximum of a square of scores by a paraboloid through the nine about the highest: row, column, height."""
    row, column = np.unravel_index(int(np.argmax(scores)), scores.shape)
    height = float(scores[row, column])
    if not (0 < row < scores.shape[0] - 1 and 0 < column < scores.shape[1] - 1):
        return float(row), float(column), 0.0 if height < 1 else height
    near = scores[row - 1 : row + 2, column - 1 : column + 2]
    gradient = np.array([near[2].mean() - near[0].mean(), near[:, 2].mean() - near[:, 0].mean()]) / 2
    cross = (near[2, 2] + near[0, 0] - near[0, 2] - near[2, 0]) / 4
    second = [near[2].mean() - 2 * near[1].mean() + near[0].mean(), (near[:, 2] - 2 * near[:, 1] + near[:, 0]).mean()]
    step = -np.linalg.pinv(np.array([[second[0], cross], [cross, second[1]]])) @ gradient
    step = np.clip(step, -1, 1)
    return float(row + step[0]), float(column + step[1]), height


def _linear_map(q: Float64, there: Float64, weight: Float64, prior: float) -> tuple[Float64, float]:
    """Least squares of there = map · q, and the standard error of one coordinate of a reflection.

    Raises
    ------
    InputError
        If the reflections lie along one line.
    """
    _check_spread(q)
    root = np.sqrt(weight)[:, None]
    linear = np.linalg.lstsq(q * root, there * root, rcond=None)[0].T
    residual = (there - q @ linear.T) * root
    # Friedel mates are one measurement, not two
    dof = max(len(q) - 4, 0)
    error = math.sqrt((float(np.sum(residual**2)) / 2 + _PRIOR_DOF * prior**2) / (dof + _PRIOR_DOF))
    return np.asarray(linear), error


def _as_ellipse(linear: Float64, q: Float64, weight: Float64, error: float) -> MeasuredEllipse:
    """The ellipse of a map of (x, y), of which coordinates of a reflection of mean weight have this error."""
    recorded = np.asarray(np.linalg.inv(linear), np.float64)
    components = components_of(recorded[::-1, ::-1])  # from x, y to y, x
    # u = d − a and v = −(b + c) of a map I + ((a, b), (c, d)) are independent and as uncertain; mates count once
    inverse = np.linalg.inv((q * weight[:, None]).T @ q)
    return MeasuredEllipse(components, 2 * error**2 * float(np.trace(inverse)) * np.eye(2), "image")
