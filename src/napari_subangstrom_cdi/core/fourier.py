"""Fourier transforms of centred arrays; the only place where the centred and FFT orders meet.

The forward transform is unnormalised and carries ``exp(-2πi q·r)``; the inverse divides by the
number of elements. Both take and return arrays whose origin is element ``n // 2``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Array = NDArray[Any]


def to_fft_order(centred: Array) -> Array:
    """Move the origin from element ``n // 2`` to element 0 (last two axes)."""
    return np.fft.ifftshift(centred, axes=(-2, -1))


def to_centred(fft_ordered: Array) -> Array:
    """Move the origin from element 0 to element ``n // 2`` (last two axes)."""
    return np.fft.fftshift(fft_ordered, axes=(-2, -1))


def transform(field: Array, *, workers: int | None = None) -> Array:
    """Fourier transform of a centred array, centred; complex64 for single-precision input."""
    return to_centred(scipy.fft.fft2(to_fft_order(field), workers=workers))


def inverse(spectrum: Array, *, workers: int | None = None) -> Array:
    """Inverse of :func:`transform`."""
    return to_centred(scipy.fft.ifft2(to_fft_order(spectrum), workers=workers))


def shift(field: Array, offset_px: tuple[float, float]) -> Array:
    """Translate a periodic array by ``offset_px`` (y, x), exactly for a band-limited field.

    Real input gives real output. The Nyquist terms, which have no defined sub-pixel shift, are
    treated as their real part.
    """
    ny, nx = field.shape[-2:]
    ramp_y = np.exp(-2j * np.pi * np.fft.fftfreq(ny) * offset_px[0])
    if ny % 2 == 0:
        ramp_y[ny // 2] = ramp_y[ny // 2].real
    if np.iscomplexobj(field):
        ramp_x = np.exp(-2j * np.pi * np.fft.fftfreq(nx) * offset_px[1])
        if nx % 2 == 0:
            ramp_x[nx // 2] = ramp_x[nx // 2].real
        spectrum = scipy.fft.fft2(field)
        return scipy.fft.ifft2(spectrum * (ramp_y[:, None] * ramp_x).astype(spectrum.dtype))
    ramp_x = np.exp(-2j * np.pi * np.fft.rfftfreq(nx) * offset_px[1])
    if nx % 2 == 0:
        ramp_x[-1] = ramp_x[-1].real
    spectrum = scipy.fft.rfft2(field)
    return scipy.fft.irfft2(spectrum * (ramp_y[:, None] * ramp_x).astype(spectrum.dtype), s=(ny, nx))


def fit_to_size(field: Array, n: int, fill: float = 0.0) -> Array:
    """Crop or pad a centred array to ``n`` x ``n``, keeping the origin at the centre."""
    out = np.full((n, n), fill, dtype=field.dtype)
    source, target = [], []
    for size in field.shape:
        first = max(0, size // 2 - n // 2)
        start = max(0, n // 2 - size // 2)
        length = min(size - first, n - start)
        source.append(slice(first, first + length))
        target.append(slice(start, start + length))
    out[tuple(target)] = field[tuple(source)]
    return out
