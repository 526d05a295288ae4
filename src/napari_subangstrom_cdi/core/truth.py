"""How near a reconstruction comes to an object that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import scipy.optimize
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError

from .fourier import inverse, transform
from .grid import Grid
from .types import Complex64, Float64

BANDS_PER_ANGSTROM = ((0.12, 0.35), (0.35, 0.55), (0.55, 0.8), (0.8, 1.0), (1.0, 1.15), (1.15, 1.28))
RECOVERED = 0.7
_COMPARED = (0.08, 1.279)
_LEAST_ELECTRONS = 3.0
_DISC_PX = 7
_APART_PX = 25
_PEAKS = 12
_DECIDING = 4000  # pixels of the patterns that a translation is found by


@dataclass(frozen=True)
class Band:
    """Reflections of one range of |q|.

    Parameters
    ----------
    q_per_angstrom : (float, float)
        From and to.
    reflections : int
        In it.
    correlation : float
        With the truth, weighted by intensity.
    """

    q_per_angstrom: tuple[float, float]
    reflections: int
    correlation: float


@dataclass(frozen=True)
class TruthScore:
    """A reconstruction against the truth.

    Parameters
    ----------
    correlation : float
        Modulus of the complex correlation inside the particle.
    bands : tuple of Band
        Those that hold reflections.
    resolution_angstrom : float or None
        1/q of the end of the last band up to which every one correlates by 0.7 or more.
    translation_angstrom : (float, float)
        By which the reconstruction was moved, (y, x).
    """

    correlation: float
    bands: tuple[Band, ...]
    resolution_angstrom: float | None
    translation_angstrom: tuple[float, float]


def score_against(truth: Complex64, reconstruction: Complex64, grid: Grid, electrons_per_pixel: float) -> TruthScore:
    """Compare; free are one phase, one scale and one translation, sub-pixel.

    Parameters
    ----------
    truth, reconstruction : ndarray of complex64, shape (n, n)
        Centred, on ``grid``.
    grid : Grid
        Sampling.
    electrons_per_pixel : float
        That fall on a pixel of the object: reflections of fewer than three electrons in the pattern do not count.

    Raises
    ------
    InputError
        If the truth has no reflections.
    """
    true, found, place = _spectra(truth, reconstruction, grid)
    q = grid.q_per_angstrom()
    keep = _compared(grid)
    bands = _bands(true, found, q, electrons_per_pixel / grid.n**2)
    if not bands:
        raise InputError("the truth has no reflections", mend="check that it is the right record set")
    fine = [inverse(np.where(keep, spectrum, 0).astype(np.complex64)) for spectrum in (true, found)]
    envelope = ndi.gaussian_filter(np.abs(truth), 4)
    inside = envelope > 0.05 * envelope.max()
    norms = np.linalg.norm(fine[0][inside]) * np.linalg.norm(fine[1][inside])
    correlation = float(abs(np.vdot(fine[1][inside], fine[0][inside])) / max(norms, 1e-30))
    y, x = (float(at) * grid.pixel_angstrom for at in place)
    return TruthScore(correlation, bands, _resolution(bands), (y, x))


def laid_over(truth: Complex64, reconstruction: Complex64, grid: Grid) -> Complex64:
    """The reconstruction moved, and multiplied by the one complex number, that lays it over the truth.

    Parameters
    ----------
    truth, reconstruction, grid
        As of :func:`score_against`.
    """
    return inverse(_spectra(truth, reconstruction, grid)[1])


def _compared(grid: Grid) -> NDArray[np.bool_]:
    q = grid.q_per_angstrom()
    return np.asarray((q > _COMPARED[0]) & (q < _COMPARED[1]), np.bool_)


def _spectra(
    truth: Complex64, reconstruction: Complex64, grid: Grid
) -> tuple[Complex64, Complex64, tuple[float, float]]:
    """Transforms of both, the second laid over the first, and by how much it was moved (y, x), pixels."""
    keep = _compared(grid)
    true, found = transform(truth), transform(reconstruction)
    place = _translation(true, found, keep, grid)
    index = grid.index() / grid.n
    lines = [np.exp(-2j * np.pi * index * at).astype(np.complex64) for at in place]
    found = found * lines[0][:, None] * lines[1][None]
    found *= np.complex64(np.vdot(found[keep], true[keep]) / max(np.vdot(found[keep], found[keep]).real, 1e-30))
    return true, found, place


def _translation(true: Complex64, found: Complex64, keep: NDArray[np.bool_], grid: Grid) -> tuple[float, float]:
    """Of several peaks of the correlation the highest between pixels: a lattice has many that are nearly as high."""
    cross = np.where(keep, true * found.conj(), 0)
    peaks = np.abs(inverse(cross.astype(np.complex64)))
    local = np.flatnonzero((peaks == ndi.maximum_filter(peaks, 3)).ravel())
    best = local[np.argsort(-peaks.ravel()[local])[:_PEAKS]]
    count = min(_DECIDING, cross.size)
    strong = np.unravel_index(np.argpartition(np.abs(cross).ravel(), -count)[-count:], cross.shape)
    weight, (fy, fx) = cross[strong], (grid.index()[axis] / grid.n for axis in strong)

    def misfit(at: Float64) -> float:
        return -float(np.abs(np.sum(weight * np.exp(2j * np.pi * (fy * at[0] + fx * at[1])))))

    found_at = []
    for k in best:
        start = np.array(np.unravel_index(k, peaks.shape), float) - grid.n // 2
        simplex = start + np.array([[0, 0], [0.4, 0], [0, 0.4]])
        options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-6}
        end = scipy.optimize.minimize(misfit, start, method="Nelder-Mead", options=options)
        found_at.append((float(end.fun), float(end.x[0]), float(end.x[1])))
    _, y, x = min(found_at)
    return y, x


def _bands(true: Complex64, found: Complex64, q: NDArray[np.floating], electrons: float) -> tuple[Band, ...]:
    power = ndi.gaussian_filter(np.abs(true) ** 2 * electrons, 2.0, mode="wrap")
    peak = (power == ndi.maximum_filter(power, size=_APART_PX, mode="wrap")) & (power > _LEAST_ELECTRONS)
    offsets = np.arange(-_DISC_PX, _DISC_PX + 1)
    disc = offsets[:, None] ** 2 + offsets[None] ** 2 <= _DISC_PX**2
    places = np.argwhere(peak & (q > BANDS_PER_ANGSTROM[0][0]) & (q < _COMPARED[1]))
    n = len(true)
    values = []
    for row, column in places:
        rows, columns = (row + offsets) % n, (column + offsets) % n
        a, b = (spectrum[np.ix_(rows, columns)][disc].astype(np.complex128) for spectrum in (true, found))
        norm = float(np.linalg.norm(a) * np.linalg.norm(b))
        values.append((q[row, column], power[row, column], float(np.vdot(a, b).real) / max(norm, 1e-30)))
    table = np.array(values).reshape(-1, 3)
    bands = []
    for low, high in BANDS_PER_ANGSTROM:
        mine = table[(table[:, 0] >= low) & (table[:, 0] < high)]
        if len(mine):
            bands.append(Band((low, high), len(mine), float(mine[:, 1] @ mine[:, 2] / mine[:, 1].sum())))
    return tuple(bands)


def _resolution(bands: tuple[Band, ...]) -> float | None:
    reached = None
    for band in bands:
        if band.correlation < RECOVERED:
            break
        reached = 1 / band.q_per_angstrom[1]
    return reached
