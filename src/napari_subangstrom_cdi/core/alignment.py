"""Bring reconstructions of one particle into one frame: global phase and the *true* translation.

A crystal correlates with itself at every lattice vector. The outline decides which of these
correlation peaks is the translation; the peak then gives its precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
from numpy.typing import NDArray

from .fourier import shift

Complex = NDArray[np.complex64]

_OUTLINE_SIGMA_ANGSTROM = 3.0
_OUTLINE_TOLERANCE_ANGSTROM = 1.5


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
    moving: Complex, reference: Complex, pixel_angstrom: float, *, allow_twin: bool = False
) -> tuple[Complex, Alignment]:
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


def _align_one(moving: Complex, reference: Complex, pixel_angstrom: float) -> tuple[Complex, Alignment]:
    rough = _outline_shift(moving, reference, pixel_angstrom)
    cross = scipy.fft.ifft2(scipy.fft.fft2(reference) * np.conj(scipy.fft.fft2(moving)))
    offset = _sub_pixel_peak(np.abs(cross), rough, _OUTLINE_TOLERANCE_ANGSTROM / pixel_angstrom)
    moved = shift(moving, offset)
    overlap = np.vdot(moved, reference)
    phase = float(np.angle(overlap))
    norm = float(np.linalg.norm(moved) * np.linalg.norm(reference))
    aligned = (moved * np.exp(1j * phase)).astype(np.complex64)
    return aligned, Alignment(offset, phase, False, float(abs(overlap)) / norm if norm else 0.0)


def _outline_shift(moving: Complex, reference: Complex, pixel_angstrom: float) -> tuple[float, float]:
    """Translation between the two outlines: smooth envelopes, saturated so that edges count."""
    sigma = _OUTLINE_SIGMA_ANGSTROM / pixel_angstrom
    outlines = []
    for field in (moving, reference):
        envelope = ndi.gaussian_filter(np.abs(field), sigma, mode="wrap")
        outlines.append(np.minimum(envelope / max(float(envelope.max()), 1e-30) / 0.4, 1.0))
    cross = scipy.fft.irfft2(
        scipy.fft.rfft2(outlines[1]) * np.conj(scipy.fft.rfft2(outlines[0])), s=moving.shape
    )
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
