"""Bring reconstructions of one particle into one frame: global phase and the *true* translation.

A crystal correlates with itself at every lattice vector. The outline decides which of these
correlation peaks is the translation; the peak then gives its precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.fourier import fit_to_size, inverse, shift, transform
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.types import Complex64, Float32

_OUTLINE_SIGMA_ANGSTROM = 3.0
_OUTLINE_TOLERANCE_ANGSTROM = 2.5
_OUTLINE_LEVEL = 0.2
_STRUCTURE_FROM_PER_ANGSTROM = 0.08
_HAS_A_CENTRE = 0.8


@dataclass(frozen=True)
class Alignment:
    """How an object was brought onto a reference.

    ``shift_px`` (y, x) and ``phase_rad`` were applied to the object; ``inverted`` says that its
    twin, conjugated and turned by 180°, fits better; ``correlation`` is the modulus of the complex
    correlation with the reference after that.
    """

    shift_px: tuple[float, float]
    phase_rad: float
    inverted: bool
    correlation: float


def align(
    moving: Complex64, reference: Complex64, pixel_angstrom: float, *, allow_twin: bool = False
) -> tuple[Complex64, Alignment]:
    """Shift and rotate the phase of ``moving`` so that it lies on ``reference``.

    Parameters
    ----------
    moving, reference : ndarray of complex64, shape (n, n)
        Two reconstructions of one object, centred.
    pixel_angstrom : float
        Pixel, Å.
    allow_twin : bool
        Try the twin image too: a pattern alone cannot tell it from the object.

    Returns
    -------
    ndarray of complex64, Alignment
        The aligned object and what was done.
    """
    best = _align_one(moving, reference, pixel_angstrom)
    if allow_twin:
        twin = np.roll(moving[::-1, ::-1], (1 - moving.shape[0] % 2, 1 - moving.shape[1] % 2), (0, 1)).conj()
        other = _align_one(twin, reference, pixel_angstrom)
        if other[1].correlation > best[1].correlation:
            how = other[1]
            return other[0], Alignment(how.shift_px, how.phase_rad, True, how.correlation)
    return best


def inversion_centre(field: Complex64, grid: Grid, *, within_angstrom: float = 3.0) -> tuple[float, float]:
    """The point about which an object is most nearly centrosymmetric, (y, x) pixels from element n // 2.

    A pattern leaves the translation free, and an image fixes it only to the precision with which its
    particle has a centre. As in crystallography, a centre of inversion is the natural origin: it is where
    the object's convolution with itself, ``∫O(r)O(2c − r)dr``, peaks. Of its peaks, one for each centre of
    the lattice, the highest counts after weighing by the distance from the outline's centroid.

    Parameters
    ----------
    field : ndarray of complex64, shape (n, n)
        An object, centred.
    grid : Grid
        Its sampling.
    within_angstrom : float
        Standard deviation of that weight, Å.
    """
    n = grid.n
    q = grid.q_per_angstrom()
    fine = (q > _STRUCTURE_FROM_PER_ANGSTROM) & (q < grid.q_max_per_angstrom)
    squared = np.where(fine, transform(field), 0) ** 2
    # Twice the centre is where the peak lies: one pixel of the padded transform is a quarter of a pixel.
    peak = np.abs(inverse(fit_to_size(squared.astype(np.complex64), 2 * n)))
    outline = _outline(field, grid.pixel_angstrom)
    centroid = [float(np.sum(outline.sum(axis=1 - axis) * grid.index()) / outline.sum()) for axis in (0, 1)]
    at = (np.arange(2 * n) - n) / 4
    distance = np.hypot(at[:, None] - centroid[0], at[None, :] - centroid[1]) * grid.pixel_angstrom
    local = peak == ndi.maximum_filter(peak, size=3)
    weighed = np.where(local, peak * np.exp(-(distance**2) / (2 * within_angstrom**2)), 0)
    best = np.unravel_index(int(weighed.argmax()), peak.shape)
    shifted = np.roll(peak, (-n, -n), (0, 1))
    row, column = _parabolic(shifted, ((best[0] - n) % (2 * n), (best[1] - n) % (2 * n)))
    return row / 4, column / 4


def centrosymmetry(field: Complex64, grid: Grid, centre_px: tuple[float, float]) -> float:
    """How much of an object's structure is its own inverse about a point (y, x) from element n // 2: 1 is all."""
    q = grid.q_per_angstrom()
    fine = (q > _STRUCTURE_FROM_PER_ANGSTROM) & (q < grid.q_max_per_angstrom)
    spectrum = np.where(fine, transform(field), 0).astype(np.complex128)
    turns = (np.exp(4j * np.pi * grid.index() * at / grid.n) for at in centre_px)
    column, row = next(turns)[:, None], next(turns)[None]
    power = float(np.sum(np.abs(spectrum) ** 2))
    return float(abs(np.sum(spectrum**2 * column * row))) / power if power > 0 else 0.0


def object_origin(field: Complex64, grid: Grid) -> tuple[float, float]:
    """Where an object's origin is, (y, x) pixels from element n // 2: its centre of inversion if it has one.

    Of an object that has none, such as a polar crystal or one with a boundary, the nearest whole pixel to what comes
    nearest: it means little, and the object is then not interpolated for it.

    Parameters
    ----------
    field : ndarray of complex64, shape (n, n)
        An object, centred.
    grid : Grid
        Its sampling.
    """
    centre = inversion_centre(field, grid)
    if centrosymmetry(field, grid, centre) >= _HAS_A_CENTRE:
        return centre
    return float(round(centre[0])), float(round(centre[1]))


def _align_one(moving: Complex64, reference: Complex64, pixel_angstrom: float) -> tuple[Complex64, Alignment]:
    rough = _outline_shift(moving, reference, pixel_angstrom)
    cross = scipy.fft.fft2(reference) * np.conj(scipy.fft.fft2(moving))
    near = _sub_pixel_peak(np.abs(scipy.fft.ifft2(cross)), rough, _OUTLINE_TOLERANCE_ANGSTROM / pixel_angstrom)
    offset = _climb(cross, near)
    moved = shift(moving, offset)
    overlap = complex(np.sum(moved.conj() * reference, dtype=np.complex128))
    phase = float(np.angle(overlap))
    norm = math.sqrt(_power(moved) * _power(reference))
    aligned = (moved * np.exp(1j * phase)).astype(np.complex64)
    return aligned, Alignment(offset, phase, False, float(abs(overlap)) / norm if norm else 0.0)


def _power(field: Complex64) -> float:
    return float(np.sum(field.real**2 + field.imag**2, dtype=np.float64))


def _outline(field: Complex64, pixel_angstrom: float) -> Float32:
    """Smooth envelope, saturated so that the outline counts and not what is in it; 0 to 1."""
    envelope = ndi.gaussian_filter(np.abs(field), _OUTLINE_SIGMA_ANGSTROM / pixel_angstrom, mode="wrap")
    usual = float(np.median(envelope[envelope >= 0.1 * envelope.max()]))  # one bright part must not set the scale
    return np.minimum(envelope / max(_OUTLINE_LEVEL * usual, 1e-30), 1.0).astype(np.float32)


def _outline_shift(moving: Complex64, reference: Complex64, pixel_angstrom: float) -> tuple[float, float]:
    """Translation between the two outlines."""
    first, second = (scipy.fft.rfft2(_outline(field, pixel_angstrom)) for field in (moving, reference))
    cross = scipy.fft.irfft2(second * np.conj(first), s=moving.shape)
    return _parabolic(cross, np.unravel_index(int(cross.argmax()), cross.shape))


def _sub_pixel_peak(
    modulus: NDArray[np.float32], near: tuple[float, float], tolerance_px: float
) -> tuple[float, float]:
    """Among the peaks of the correlation, the highest after weighing by distance from the outlines'."""
    ny, nx = modulus.shape
    y = (np.arange(ny)[:, None] - near[0] + ny / 2) % ny - ny / 2
    x = (np.arange(nx)[None, :] - near[1] + nx / 2) % nx - nx / 2
    weighed = modulus * np.exp(-(y**2 + x**2) / (2 * tolerance_px**2))
    peaks = modulus == ndi.maximum_filter(modulus, size=3, mode="wrap")
    return _parabolic(modulus, np.unravel_index(int(np.where(peaks, weighed, 0).argmax()), modulus.shape))


def _climb(cross: Complex64, near: tuple[float, float]) -> tuple[float, float]:
    """Top of the correlation's squared modulus, by Newton's method from within a pixel of it.

    A parabola through three pixels misses it by up to a tenth of a pixel, which at the finest reflections is a phase.
    """
    ny, nx = cross.shape
    wy, wx = (2j * np.pi * scipy.fft.fftfreq(size) for size in (ny, nx))
    at = np.array(near)
    for _ in range(5):
        ey, ex = np.exp(wy * at[0]), np.exp(wx * at[1])
        columns = cross @ np.stack([ex, wx * ex, wx**2 * ex], axis=1).astype(cross.dtype)
        value, slope_x, bend_xx = ey @ columns
        slope_y, bend_xy, _ = (wy * ey) @ columns
        bend_yy = (wy**2 * ey) @ columns[:, 0]
        slope = np.array([slope_y, slope_x])
        bend = np.array([[bend_yy, bend_xy], [bend_xy, bend_xx]])
        gradient = (np.conj(value) * slope).real
        curvature = (np.outer(slope.conj(), slope) + np.conj(value) * bend).real
        if np.linalg.eigvalsh(curvature)[1] >= 0:
            break
        step = np.linalg.solve(curvature, -gradient)
        if np.abs(at + step - near).max() > 1:
            break
        at = at + step
    return float(at[0]), float(at[1])


def _parabolic(surface: NDArray[np.float32], peak: tuple[np.intp, ...]) -> tuple[float, float]:
    """Vertex of the parabola through a maximum and its neighbours, as a signed shift."""
    result = []
    for axis, size in enumerate(surface.shape):
        index = [int(i) for i in peak]
        values = []
        for step in (-1, 0, 1):
            index[axis] = (int(peak[axis]) + step) % size
            values.append(float(surface[tuple(index)]))
        curvature = values[0] - 2 * values[1] + values[2]
        delta = 0.5 * (values[0] - values[2]) / curvature if curvature < 0 else 0.0
        where = int(peak[axis]) + min(0.5, max(-0.5, delta))
        result.append((where + size / 2) % size - size / 2)
    return result[0], result[1]
