"""Compare a reconstruction with the truth, on simulated data.

A pattern fixes neither the global phase nor, without a reference, the origin; so one phase, one scale and one
translation are free, and nothing else. Two objects of any sampling are compared: their continuous Fourier
transforms are evaluated at the same frequencies, so that nothing is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
import scipy.optimize
from numpy.typing import NDArray

Array = NDArray[Any]

BAND_EDGES_PER_ANGSTROM = (0.12, 0.35, 0.55, 0.80, 1.00, 1.15, 1.28)
STRUCTURE_PER_ANGSTROM = (0.08, 1.279)  # within: structure; below: the beam and the mean potential
RECOVERED = 0.7  # complex correlation from which a reflection, or a band, counts as recovered

_SPOT_RADIUS = 0.0175
_SPOT_DISTANCE = 0.03
_SPOT_BLUR = 0.005
_CANDIDATES = 12
_STRONG = 3000


@dataclass(frozen=True)
class Band:
    """Reflections between two |q|: how many, and their intensity-weighted complex correlation with the truth."""

    low_per_angstrom: float
    high_per_angstrom: float
    reflections: int
    correlation: float


@dataclass(frozen=True)
class Score:
    """Agreement of an object with the truth.

    ``correlation`` is the modulus of the complex correlation inside the particle; ``resolution_angstrom`` the
    fine end of the last band up to which every band that has reflections is recovered (None if not even the first);
    ``shift_angstrom`` (y, x) and ``factor`` were applied to the object.
    """

    correlation: float
    bands: tuple[Band, ...]
    resolution_angstrom: float | None
    shift_angstrom: tuple[float, float]
    factor: complex


def score(
    found: Array,
    pixel_angstrom: float,
    truth: Array,
    truth_pixel_angstrom: float,
    *,
    electrons_per_angstrom2: float = 1e4,
) -> Score:
    """Score a centred object against a centred truth; the dose decides which reflections can be seen at all."""
    n = 2 * truth.shape[0]  # twice the truth's extent: its power spectrum is then sampled without loss
    step = 1 / (n * truth_pixel_angstrom)
    axis = (np.arange(n) - n // 2) * step
    q = np.hypot(axis[:, None], axis[None, :])
    structure = (q > STRUCTURE_PER_ANGSTROM[0]) & (q < STRUCTURE_PER_ANGSTROM[1])
    wanted = np.where(structure, _spectrum(truth, truth_pixel_angstrom, axis), 0)
    spectrum = np.where(structure, _spectrum(found, pixel_angstrom, axis), 0)
    shift = _translation(spectrum, wanted, axis)
    spectrum = spectrum * np.exp(-2j * np.pi * (axis[:, None] * shift[0] + axis[None, :] * shift[1]))
    power = float(np.vdot(spectrum, spectrum).real)
    factor = complex(np.vdot(spectrum, wanted) / power) if power > 0 else 0j
    spectrum = spectrum * factor
    bands = _bands(spectrum, wanted, q, step, electrons_per_angstrom2)
    inside = _particle(truth, truth_pixel_angstrom)
    return Score(_correlation(spectrum, wanted, inside), bands, _resolution(bands), shift, factor)


def _spectrum(field: Array, pixel: float, axis: Array) -> Array:
    """Transform of a centred field, in Å², at the frequencies of two axes."""
    rows, columns = (np.arange(size) - size // 2 for size in field.shape)
    kernel_y = np.exp(-2j * np.pi * pixel * axis[:, None] * rows[None, :]).astype(np.complex64)
    kernel_x = np.exp(-2j * np.pi * pixel * columns[:, None] * axis[None, :]).astype(np.complex64)
    beyond = 0.5 / pixel  # a sampled field says nothing there
    known = (np.abs(axis) < beyond)[:, None] & (np.abs(axis) < beyond)[None, :]
    return np.where(known, kernel_y @ field.astype(np.complex64) @ kernel_x, 0) * pixel**2


def _translation(spectrum: Array, wanted: Array, axis: Array) -> tuple[float, float]:
    """Shift (y, x) in Å that brings one object onto the other.

    Peaks at neighbouring lattice vectors differ by less than a peak loses between two pixels, so the highest few are
    refined before the best is chosen.
    """
    cross = wanted * spectrum.conj()
    surface = np.abs(np.fft.fftshift(scipy.fft.ifft2(np.fft.ifftshift(cross))))
    summit = np.where(surface == ndi.maximum_filter(surface, 5, mode="wrap"), surface, 0)
    highest = np.argsort(summit, axis=None)[-_CANDIDATES:]
    starts = (np.stack(np.unravel_index(highest, surface.shape), axis=1) - axis.size // 2) / (
        axis.size * (axis[1] - axis[0])
    )
    strong = np.abs(cross) >= np.partition(np.abs(cross), -_STRONG, axis=None)[-_STRONG]
    y, x = np.nonzero(strong)
    weight, qy, qx = cross[strong] / max(float(np.abs(cross[strong]).sum()), 1e-30), axis[y], axis[x]

    def misfit(shift: Array) -> tuple[float, Array]:
        terms = weight * np.exp(2j * np.pi * (qy * shift[0] + qx * shift[1]))
        total = terms.sum()
        slope = [2 * (np.conj(total) * (2j * np.pi * along * terms).sum()).real for along in (qy, qx)]
        return -float(abs(total) ** 2), -np.array(slope)

    fits = [scipy.optimize.minimize(misfit, start, jac=True, method="BFGS") for start in starts]
    best = min(fits, key=lambda fit: float(fit.fun)).x
    return float(best[0]), float(best[1])


def _particle(truth: Array, pixel: float) -> Array:
    """Where the particle is, on an array of twice the side, as the spectra are sampled."""
    blurred = ndi.gaussian_filter(np.abs(truth), 1.5 / pixel)
    margin = [(size - size // 2, size // 2) for size in truth.shape]
    return np.pad(blurred > 0.05 * blurred.max(), margin)


def _correlation(spectrum: Array, wanted: Array, inside: Array) -> float:
    a, b = (np.fft.fftshift(scipy.fft.ifft2(np.fft.ifftshift(s)))[inside] for s in (spectrum, wanted))
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(abs(np.vdot(a, b))) / norm if norm > 0 else 0.0


def _bands(spectrum: Array, wanted: Array, q: Array, step: float, dose: float) -> tuple[Band, ...]:
    """Correlation of the discs around the truth's reflections, weighed by intensity."""
    intensity = ndi.gaussian_filter(np.abs(wanted) ** 2 * step**2 * dose, _SPOT_BLUR / step, mode="wrap")
    side = 2 * round(_SPOT_DISTANCE / step) + 1
    summit = (intensity == ndi.maximum_filter(intensity, side, mode="wrap")) & (intensity > 3)
    reach = max(1, round(_SPOT_RADIUS / step))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.hypot(dy, dx) <= reach
    bands = []
    for low, high in pairwise(BAND_EDGES_PER_ANGSTROM):
        y, x = np.nonzero(summit & (q >= low) & (q < high))
        rows, columns = ((c[:, None] + d[disc]) % q.shape[0] for c, d in ((y, dy), (x, dx)))
        a, b = spectrum[rows, columns], wanted[rows, columns]
        norm = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        each = np.sum(a.conj() * b, axis=1).real / np.maximum(norm, 1e-30)
        mean = float(np.average(each, weights=intensity[y, x])) if y.size else float("nan")
        bands.append(Band(low, high, int(y.size), mean))
    return tuple(bands)


def _resolution(bands: tuple[Band, ...]) -> float | None:
    reached = None
    for band in bands:
        if band.reflections and band.correlation < RECOVERED:
            break
        if band.reflections:
            reached = 1 / band.high_per_angstrom
    return reached
