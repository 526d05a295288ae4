"""The spots of a pattern: how large they are, where they lie, and what of the intensity stands above what is around."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError

Regions = NDArray[np.uint8]

LOWEST_Q, HIGHEST_Q = 0.1, 1.28
_SMOOTH_PX = 2.0
_APART_PER_ANGSTROM = 0.08
_MOST_SPOTS = 80
_SPOT_SHARE = 0.004  # of the strongest
_LARGEST_SPOT = 0.25  # Å⁻¹
_WHOLE = 1.4  # of the half-width at half maximum of the autocorrelation: 95 % of a Gaussian, all of an even disc
_FINE_LAGS = 4


@dataclass(frozen=True)
class Spots:
    """The maxima of a pattern, the strongest first.

    Parameters
    ----------
    places_per_angstrom : ndarray, shape (spots, 2)
        x and y from the beam.
    amplitude : ndarray, shape (spots,)
        Of the smoothed pattern there.
    radius_per_angstrom : float
        As of :func:`spot_size`.
    """

    places_per_angstrom: Float64
    amplitude: Float64
    radius_per_angstrom: float


def spot_size(amplitude: NDArray[np.floating], regions: Regions, grid: Grid) -> float:
    """Radius within which a spot of a pattern lies, Å⁻¹, by the pattern's autocorrelation; 0 if there is no spot.

    The middle of the autocorrelation is that of the spots' mean shape, wherever they lie and on whatever level: an
    even disc of radius R falls to half at 0.81 R, a Gaussian at 1.67 σ.

    Parameters
    ----------
    amplitude : ndarray, shape (n, n)
        √I, centred.
    regions : ndarray of uint8, shape (n, n)
        Codes of :class:`.Region`; what is not G does not count.
    grid : Grid
        Sampling.
    """
    q = grid.q_per_angstrom()
    good = np.where((regions == Region.G) & (q > LOWEST_Q) & (q < HIGHEST_Q), amplitude, 0).astype(np.float32)
    size = scipy.fft.next_fast_len(grid.n + math.ceil(_LARGEST_SPOT / grid.q_pixel_per_angstrom), real=True)
    correlation = scipy.fft.irfft2(np.abs(scipy.fft.rfft2(good, (size, size))) ** 2, (size, size))
    reach = min(math.ceil(_LARGEST_SPOT / grid.q_pixel_per_angstrom), size // 2 - 1)
    lags = np.arange(-reach, reach + 1)
    block = correlation[np.ix_(lags, lags)]
    # rings half a pixel wide; the pixel at zero holds the noise of every other one
    ring = np.rint(2 * np.hypot(lags[:, None], lags)).astype(np.intp)
    counts = np.bincount(ring.ravel())[1 : 2 * reach]
    total = np.bincount(ring.ravel(), block.ravel())[1 : 2 * reach]
    lag: Float64 = (np.flatnonzero(counts) + 1) / 2
    profile: Float64 = total[counts > 0] / counts[counts > 0]
    if not len(profile) or profile[0] <= 0:
        return 0.0
    smooth = ndi.uniform_filter1d(profile, _FINE_LAGS, mode="nearest")
    rises = np.flatnonzero(np.diff(smooth) > 0)
    lowest = float(profile[: rises[0] + 1 if len(rises) else None].min())
    # on from the first lags by a parabola to zero
    top = max(float(np.polyval(np.polyfit(lag[:_FINE_LAGS] ** 2, profile[:_FINE_LAGS], 1), 0)), float(profile[0]))
    below = np.flatnonzero(profile < (top + lowest) / 2)
    if not len(below):
        return 0.0
    k = int(below[0])
    before, value = (0.0, top) if k == 0 else (float(lag[k - 1]), float(profile[k - 1]))
    share = (value - (top + lowest) / 2) / max(value - float(profile[k]), 1e-30)
    return _WHOLE * (before + share * (float(lag[k]) - before)) * grid.q_pixel_per_angstrom


def above_surroundings(intensity: NDArray[np.floating], radius_per_angstrom: float, grid: Grid) -> NDArray[np.floating]:
    """What of an intensity stands above what is around it, by an opening that is wider than a spot.

    Parameters
    ----------
    intensity : ndarray, shape (n, n)
        Of the pattern, 0 where nothing is known.
    radius_per_angstrom : float
        Of a spot.
    grid : Grid
        Sampling.
    """
    radius_px = radius_per_angstrom / grid.q_pixel_per_angstrom
    width = 2 * math.ceil(1.5 * radius_px) + 1
    level = ndi.grey_opening(ndi.gaussian_filter(intensity, max(1.0, radius_px / 3)), size=(width, width))
    found: NDArray[np.floating] = np.maximum(intensity - level, 0)
    return found


def find_spots(amplitude: NDArray[np.floating], regions: Regions, grid: Grid) -> Spots:
    """The maxima of a pattern smoothed by a part of its spots' size.

    Parameters
    ----------
    amplitude, regions, grid
        As of :func:`spot_size`.

    Raises
    ------
    InputError
        If there are fewer than four.
    """
    radius = spot_size(amplitude, regions, grid)
    good = np.where(regions == Region.G, amplitude, 0).astype(np.float32)
    smooth = ndi.gaussian_filter(good, max(_SMOOTH_PX, 0.5 * radius / grid.q_pixel_per_angstrom))
    apart = max(_APART_PER_ANGSTROM, 2 * radius)
    wide = 2 * math.ceil(apart / grid.q_pixel_per_angstrom / 2) + 1
    q = grid.q_per_angstrom()
    top = (smooth == ndi.maximum_filter(smooth, wide)) & (q > LOWEST_Q) & (q < HIGHEST_Q) & (smooth > 0)
    rows, columns = np.nonzero(top)
    order = np.argsort(-smooth[rows, columns])[:_MOST_SPOTS]
    order = order[smooth[rows[order], columns[order]] > _SPOT_SHARE * smooth[rows[order[:1]], columns[order[:1]]]]
    if len(order) < 4:
        raise InputError(f"{len(order)} spots in the pattern", mend="check centre, background and regions")
    reach = max(1, min(wide // 4, max(8, math.ceil(radius / grid.q_pixel_per_angstrom))))
    spots = [_centroid(smooth, rows[k], columns[k], reach) for k in order]
    places = (np.array(spots) - grid.n // 2) * grid.q_pixel_per_angstrom
    return Spots(places[:, ::-1], smooth[rows[order], columns[order]].astype(np.float64), radius)


def _centroid(smooth: NDArray[np.float32], row: int, column: int, reach: int) -> tuple[float, float]:
    block = smooth[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
    weight = np.square(block, dtype=np.float64)
    y, x = ndi.center_of_mass(weight)
    return y + max(row - reach, 0), x + max(column - reach, 0)
