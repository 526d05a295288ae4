"""Numbers that say how far a reconstruction can be trusted. The R-factor alone says little."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.fourier import transform
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.types import Complex64, Float32, Float64

_NEIGHBOURHOOD, _REFLECTION_SHARE, _ABOVE_ITS_RING = 0.25, 0.02, 3.0


def r_factor(spectrum: Complex64, measured: Float32, chosen: NDArray[np.bool_]) -> float:
    """Σ||F| − √I| / Σ√I over the chosen pixels (Methods); NaN if their amplitudes sum to zero."""
    total = float(measured[chosen].sum(dtype=np.float64))
    misfit = float(np.abs(np.abs(spectrum[chosen]) - measured[chosen]).sum(dtype=np.float64))
    return misfit / total if total > 0 else float("nan")


@dataclass(frozen=True)
class RadialCurve:
    """A quantity averaged in rings of |q|.

    Parameters
    ----------
    q_per_angstrom : ndarray of float64, shape (k,)
        Centre of each ring, Å⁻¹.
    value : ndarray of float64, shape (k,)
        Its value; NaN for an empty ring.
    """

    q_per_angstrom: Float64
    value: Float64


def _rings(grid: Grid, width_per_angstrom: float) -> tuple[NDArray[np.intp], Float64]:
    width = min(width_per_angstrom, _wide(grid))  # a coarse pattern has rings too
    index = (grid.q_per_angstrom() / np.float32(width)).astype(np.intp)
    count = int(grid.q_max_per_angstrom / width + 1e-6)
    rings: NDArray[np.intp] = np.minimum(index, count)
    return rings, (np.arange(count, dtype=np.float64) + 0.5) * width


def _wide(grid: Grid) -> float:
    """Rings of a thirteenth of the range: a crystal's reflections leave narrower ones empty."""
    return grid.q_max_per_angstrom / 13


def _ring_sums(values: NDArray[np.float64], index: NDArray[np.intp], count: int) -> Float64:
    sums: Float64 = np.bincount(index.ravel(), values.ravel(), minlength=count + 1)[:count].astype(np.float64)
    return sums


def radial_power(spectrum: Complex64, grid: Grid, *, width_per_angstrom: float = 0.02) -> RadialCurve:
    """Mean of |F|² in rings."""
    index, q = _rings(grid, width_per_angstrom)
    total = _ring_sums(np.abs(spectrum).astype(np.float64) ** 2, index, q.size)
    pixels = _ring_sums(np.ones(grid.shape), index, q.size)
    return RadialCurve(q, total / np.maximum(pixels, 1))


def transfer_function(
    members: Complex64, measured: Float32, regions: NDArray[np.uint8], grid: Grid, box: tuple[slice, slice]
) -> RadialCurve:
    """Phase-retrieval transfer function |⟨F⟩| / √I over G, intensity-weighted in rings.

    Source: Chapman et al., J. Opt. Soc. Am. A 23, 1179 (2006), doi:10.1364/JOSAA.23.001179, with
    each pixel weighed by its intensity so that spots decide, not the noise between them.

    Parameters
    ----------
    members : ndarray of complex64, shape (k, height, width)
        Aligned members on ``box``.
    measured : ndarray of float32, shape (n, n)
        Measured amplitude √I, in the object's units.
    regions : ndarray of uint8, shape (n, n)
        Codes of :class:`.Region`.
    grid : Grid
        Sampling.
    box : tuple of slice
        Where the members lie.
    """
    mean = np.zeros(grid.shape, np.complex64)
    mean[box] = members.mean(axis=0)
    index, q = _rings(grid, _wide(grid))
    good = regions == Region.G
    weight = np.where(good, measured.astype(np.float64), 0)
    above = _ring_sums(np.where(good, np.abs(transform(mean)), 0) * weight, index, q.size)
    below = _ring_sums(weight * weight, index, q.size)
    return RadialCurve(q, np.where(below > 0, above / np.where(below > 0, below, 1), np.nan))


def ring_correlation(
    first: Complex64, second: Complex64, grid: Grid, *, chosen: NDArray[np.bool_] | None = None
) -> RadialCurve:
    """Fourier ring correlation of two centred objects; the real part of the complex correlation.

    Source: van Heel & Schatz, J. Struct. Biol. 151, 250 (2005), doi:10.1016/j.jsb.2005.05.009.

    Parameters
    ----------
    first, second : ndarray of complex64, shape (n, n)
        The objects.
    grid : Grid
        Sampling.
    chosen : ndarray of bool, shape (n, n), optional
        Pixels of reciprocal space that count; rings without any are NaN.
    """
    index, q = _rings(grid, _wide(grid))
    a, b = transform(first), transform(second)
    if chosen is not None:
        a, b = np.where(chosen, a, 0), np.where(chosen, b, 0)
    cross = _ring_sums((a * b.conj()).real.astype(np.float64), index, q.size)
    norm = _ring_sums(np.abs(a).astype(np.float64) ** 2, index, q.size) * _ring_sums(
        np.abs(b).astype(np.float64) ** 2, index, q.size
    )
    return RadialCurve(q, np.where(norm > 0, cross / np.sqrt(np.where(norm > 0, norm, 1)), np.nan))


def reflections(measured: Float32, regions: NDArray[np.uint8], grid: Grid) -> NDArray[np.bool_]:
    """Pixels of G above a fiftieth of the strongest within 0.25 Å⁻¹ of |q|, and above three times their ring's mean.

    Parameters
    ----------
    measured : ndarray of float32, shape (n, n)
        Amplitude √I.
    regions : ndarray of uint8, shape (n, n)
        Codes of :class:`.Region`.
    grid : Grid
        Sampling.
    """
    index, q = _rings(grid, 0.02)
    intensity = np.where(regions == Region.G, np.square(measured, dtype=np.float64), 0)
    highest = np.zeros(q.size + 1)
    np.maximum.at(highest, index.ravel(), intensity.ravel())
    reach = max(1, round(_NEIGHBOURHOOD / (q[1] - q[0])))
    near = ndi.maximum_filter1d(highest, 2 * reach + 1, mode="constant")
    mean = _ring_sums(intensity, index, q.size) / np.maximum(_ring_sums(np.ones(grid.shape), index, q.size), 1)
    least = np.maximum(_REFLECTION_SHARE * near, _ABOVE_ITS_RING * np.append(mean, np.inf))
    found: NDArray[np.bool_] = intensity > least[index]
    return found


def split_half_correlation(members: Complex64, grid: Grid, box: tuple[slice, slice]) -> RadialCurve | None:
    """FRC between the averages of the even and the odd members; None with fewer than two.

    The halves share the data, so this measures the reproducibility of the phases, not the
    signal-to-noise ratio of two experiments.
    """
    if len(members) < 2:
        return None
    halves = []
    for part in (members[::2], members[1::2]):
        field = np.zeros(grid.shape, np.complex64)
        field[box] = part.mean(axis=0)
        halves.append(field)
    return ring_correlation(halves[0], halves[1], grid)


def resolution_angstrom(curve: RadialCurve, threshold: float) -> float | None:
    """1/q of the finest ring before the curve first stays below a threshold for two rings.

    None if the curve never reaches it. Empty rings (NaN) between reflections are passed over.
    """
    known = np.isfinite(curve.value)
    q, above = curve.q_per_angstrom[known], curve.value[known] >= threshold
    if not above.any():
        return None
    below = ~above
    fails = np.flatnonzero(below[:-1] & below[1:])
    fails = fails[fails > int(np.argmax(above))]
    last = int(fails[0]) if fails.size else q.size
    reached = np.flatnonzero(above[:last])
    return float(1 / q[reached[-1]])


def imaginary_over_real(field: Complex64, support: NDArray[np.bool_]) -> float:
    """‖imag‖ / ‖real‖ in the support, after the global phase that makes the object most real.

    A diffraction pattern does not know the global phase of the object, so it is taken out.
    """
    inside = field[support].astype(np.complex128)
    inside = inside * np.exp(-0.5j * np.angle(np.sum(inside**2)))
    real = float(np.linalg.norm(inside.real))
    return float(np.linalg.norm(inside.imag)) / real if real > 0 else float("nan")
