"""From a raw, off-centre record to a centred, binned pattern; and what lies between its spots.

The intensity of a particle is band-limited: its Fourier transform is the autocorrelation of the exit
wave, which is zero beyond the particle's diameter. A record that samples it finely is therefore shifted
by a fraction of a pixel almost without error, and the noise that lies outside the autocorrelation can
be taken away (:func:`filter_autocorrelation`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage

from napari_subangstrom_cdi.core.types import Bool, Float32
from napari_subangstrom_cdi.errors import InputError

from .detector import Record, bin_record, fill_invalid, grow, settled_variance
from .distortion import Distortion

_SPLINE_ORDER = 3
_SPLINE_REACH_PX = 1
_PAD_PX = 16
_EDGE_FRACTION = 0.1


class Pattern(NamedTuple):
    """A centred pattern with the origin at ``n // 2``.

    Parameters
    ----------
    intensity : ndarray of float32, shape (n, n)
        Electrons in each pixel; may be slightly negative where there is only noise.
    variance : ndarray of float32, shape (n, n)
        Variance of each pixel, electrons². Neighbouring pixels are correlated.
    valid : ndarray of bool, shape (n, n)
        False where nothing was recorded; ``intensity`` is filled in smoothly there.
    """

    intensity: Float32
    variance: Float32
    valid: Bool


def embed(
    record: Record,
    centre_px: tuple[float, float],
    *,
    binning: int,
    n: int,
    autocorrelation_radius_px: float | None = None,
    distortion: Distortion | None = None,
) -> Pattern:
    """Centre, bin and embed a record in an ``n`` x ``n`` array, resampling it once.

    A binned pixel gathers ``binning`` x ``binning`` raw pixels placed symmetrically about its own
    centre, so that pixel ``n // 2`` is centred on the beam. Outside the record the pattern is 0 and
    invalid; so is every pixel whose spline reaches an invalid one.

    Parameters
    ----------
    record : Record
        Background-subtracted record, raw pixels.
    centre_px : tuple of float
        Beam in the record, (y, x) raw pixels.
    binning : int
        Raw pixels along a side of a binned one.
    n : int
        Side of the result, binned pixels.
    autocorrelation_radius_px : float, optional
        If given, :func:`filter_autocorrelation` with this radius (real-space pixels of the result),
        which also undoes the blur of the binning.
    distortion : Distortion, optional
        What the pattern suffered: it is undone in the same interpolation.

    Returns
    -------
    Pattern

    Raises
    ------
    InputError
        If binning or ``n`` is not positive, or the centre lies outside the record.
    """
    _check_embedding(record, centre_px, binning, n)
    shape = (binning * n, binning * n)
    place = _Place.of(centre_px, binning, n, distortion)
    filled = fill_invalid(record.electrons, record.valid)
    reach = grow(~record.valid, _SPLINE_REACH_PX)
    electrons = place.sample(filled, shape, order=_SPLINE_ORDER) * place.area
    variance = np.maximum(place.sample(settled_variance(record.variance, record.valid), shape, order=1), 0)
    valid = place.sample((~reach).astype(np.float32), shape, order=1) > 0.999
    gain = np.float32(place.noise_gain(binning))
    binned = bin_record(Record(electrons, variance * gain, valid), binning)
    pattern = Pattern(binned.electrons, binned.variance, binned.valid)
    if autocorrelation_radius_px is None:
        return pattern
    return filter_autocorrelation(pattern, autocorrelation_radius_px, binning=binning)


def filter_autocorrelation(pattern: Pattern, radius_px: float, *, binning: int = 1, n_iterations: int = 20) -> Pattern:
    """Keep the part of a pattern whose autocorrelation lies within a radius.

    The noise variance falls by about the fraction of the area kept. Invalid pixels are first given the
    values that put least power outside the radius (conjugate gradients on the invalid pixels alone), so
    that the missing beam does not ring into its surroundings.

    Parameters
    ----------
    pattern : Pattern
        Centred pattern.
    radius_px : float
        Radius in pixels of real space, of ``1 / (n q_pixel)`` each: at least the particle's diameter.
        The window falls to 0 over a further tenth of it.
    binning : int
        The binning that made the pattern; the blur of its box is undone within the radius.
    n_iterations : int
        Steps of conjugate gradients; they also keep a large hole from being filled wildly.

    Raises
    ------
    InputError
        If the radius is not positive or does not fit into the array.
    """
    n = pattern.intensity.shape[0]
    if not 0 < radius_px * (1 + _EDGE_FRACTION) <= n / 2:
        raise InputError(
            f"an autocorrelation radius of {radius_px:g} pixels in an array of {n}",
            mend=f"give a radius between 1 and {n / 2 / (1 + _EDGE_FRACTION):.0f} pixels, or a larger field of view",
        )
    size = n + 2 * _PAD_PX
    keep, restore = _windows(size, radius_px / n, binning)
    padded = np.pad(pattern.intensity, _PAD_PX, mode="symmetric")
    hole = np.pad(~pattern.valid, _PAD_PX, mode="symmetric")
    filled = _fill_band_limited(fill_invalid(padded, ~hole), hole, keep, n_iterations)
    inner = np.s_[_PAD_PX:-_PAD_PX, _PAD_PX:-_PAD_PX]
    intensity = _apply(filled, keep * restore)[inner]
    kernel = scipy.fft.irfft2(keep * restore, s=(size, size))
    spread = scipy.fft.rfft2((kernel**2).astype(np.float32)).real
    variance = _apply(np.pad(pattern.variance, _PAD_PX, mode="symmetric"), spread)[inner]
    return Pattern(intensity, np.maximum(variance, 0), pattern.valid)


def _check_embedding(record: Record, centre_px: tuple[float, float], binning: int, n: int) -> None:
    if binning < 1 or n < 2 or n % 2:
        raise InputError(
            f"binning by {binning} into an array of {n}", mend="give a binning of at least 1 and an even n"
        )
    if not all(0 <= c <= size - 1 for c, size in zip(centre_px, record.shape, strict=True)):
        y, x = centre_px
        raise InputError(
            f"the beam at y = {y:.1f}, x = {x:.1f} lies outside a record of {record.shape} pixels",
            mend="give it in pixels from the first one",
        )


@dataclass(frozen=True)
class _Place:
    """Where in the record the pixels of a fine array lie: matrix · (row, column) + first."""

    matrix: NDArray[np.float64]
    first: NDArray[np.float64]

    @classmethod
    def of(cls, centre_px: tuple[float, float], binning: int, n: int, distortion: Distortion | None) -> _Place:
        to_beam = binning * (n // 2) + (binning - 1) / 2
        if distortion is None or distortion.is_none:
            first = [c - binning * (n // 2) - (binning - 1) / 2 for c in centre_px]
            return cls(np.ones(2), np.array(first))
        matrix = np.asarray(np.linalg.inv(distortion.matrix), np.float64)
        return cls(matrix, np.asarray(centre_px) - matrix @ np.full(2, to_beam))

    @property
    def area(self) -> np.float32:
        """Raw pixels in a pixel of the fine array."""
        return np.float32(1 if self.matrix.ndim == 1 else abs(np.linalg.det(self.matrix)))

    def sample(self, image: Float32, shape: tuple[int, int], *, order: int) -> Float32:
        sampled = ndimage.affine_transform(
            image, self.matrix, offset=self.first, output_shape=shape, order=order, mode="constant", cval=0.0
        )
        return np.asarray(sampled, dtype=np.float32)

    def noise_gain(self, binning: int) -> float:
        """Factor on the variance of a binned sum of interpolated pixels."""
        if self.matrix.ndim == 1:
            fraction = [position - math.floor(position) for position in self.first]
            return _noise_gain(fraction[0], binning) * _noise_gain(fraction[1], binning)
        steps = np.diag(self.matrix)
        return float(self.area**2) * math.prod(_mean_noise_gain(float(step), binning) for step in steps)


def _noise_gain(fraction: float, binning: int) -> float:
    """Factor on the variance of a binned sum, along one axis, when the spline shifts by a fraction."""
    length = 32 * binning
    totals = np.zeros(length // binning)
    for phase in range(binning):
        impulse = np.zeros(length)
        impulse[length // 2 + phase] = 1
        response = ndimage.shift(impulse, -fraction, order=_SPLINE_ORDER)
        totals += response.reshape(-1, binning).sum(axis=1) ** 2
    return float(totals.sum()) / binning


def _mean_noise_gain(step: float, binning: int) -> float:
    """The same where pixels follow one another at a step other than 1, and so at every fraction in turn."""
    length = 64
    starts = length / 2 + np.arange(16) / 16
    places = starts[:, None] + step * (np.arange(binning) - (binning - 1) / 2)
    row, column = np.broadcast_arrays(places[:, None], np.arange(length)[:, None])
    weights = ndimage.map_coordinates(np.eye(length), [row, column], order=_SPLINE_ORDER).sum(axis=2)
    return float(np.sum(weights**2)) / len(starts) / binning


def _windows(size: int, radius: float, binning: int) -> tuple[Float32, Float32]:
    """Window on the autocorrelation (radius in cycles a pixel), and what undoes the binning's blur."""
    fy, fx = scipy.fft.fftfreq(size), scipy.fft.rfftfreq(size)
    distance = np.hypot(fy[:, None], fx)
    ramp = np.clip((distance / radius - 1) / _EDGE_FRACTION, 0, 1)
    keep = 0.5 * (1 + np.cos(np.pi * ramp))
    blur = _box_response(fy, binning)[:, None] * _box_response(fx, binning)
    return keep.astype(np.float32), (1 / blur).astype(np.float32)


def _box_response(frequency: NDArray[np.float64], binning: int) -> NDArray[np.float64]:
    steps = np.arange(binning) - (binning - 1) / 2
    return np.asarray(np.cos(2 * np.pi * frequency[:, None] * steps / binning).mean(axis=1))


def _apply(image: Float32, window: Float32) -> Float32:
    filtered = scipy.fft.irfft2(scipy.fft.rfft2(image) * window, s=image.shape)
    return np.asarray(filtered, dtype=np.float32)


def _fill_band_limited(image: Float32, hole: Bool, keep: Float32, n_iterations: int) -> Float32:
    """Choose the pixels of the hole so that least power lies outside the window."""
    if not hole.any():
        return image
    outside = 1 - keep**2

    def power_gradient(field: Float32) -> Float32:
        return np.where(hole, _apply(field, outside), 0).astype(np.float32)

    filled = image.copy()
    residual = -power_gradient(filled)
    direction, norm = residual.copy(), float(np.vdot(residual, residual))
    start = norm
    for _ in range(n_iterations):
        if norm <= 1e-10 * start or norm == 0:
            break
        image_of = power_gradient(direction)
        length = norm / float(np.vdot(direction, image_of))
        filled += np.float32(length) * direction
        residual -= np.float32(length) * image_of
        previous, norm = norm, float(np.vdot(residual, residual))
        direction = residual + np.float32(norm / previous) * direction
    return filled
