"""The photon-transfer line of a record: its noise against its level, which tells the gain and whether it is linear."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.types import Bool
from napari_subangstrom_cdi.errors import InputError, doubt

from .detector import BLOCK_PX, noise_by_block, usable_pixels

Float64 = NDArray[np.float64]

_SCENE_ERROR = 0.02
_N_WEIGHINGS, _MEAN_OVER_MEDIAN = 3, 1.01
_N_BINS, _FEWEST_BLOCKS = 24, 48
_BRIGHT_BINS = 4
_BENT = 0.7
_CERTAIN, _HIGH_SIGMAS, _CHANCE_SIGMAS = 5.0, 4.0, 6.0
_NEARLY_ONE, _CONTRADICTION, _ABSURD, _FEWEST_ELECTRONS = 0.1, 3.0, 30.0, 2.0


@dataclass(frozen=True)
class TransferLine:
    """Variance of the noise against the mean, by blocks: ``variance = gain * mean + constant``.

    Parameters
    ----------
    counts_per_electron : float
        Slope of the line, which is the gain.
    error : float
        Its standard error; a fiftieth of the gain, for what is no noise in the scene, is in it.
    bends : bool
        The noise of the brightest parts is far below the line of the others: values are not linear in electrons.
    """

    counts_per_electron: float
    error: float
    bends: bool

    @property
    def is_certain(self) -> bool:
        """Whether the record holds levels enough to tell a gain."""
        return not self.bends and self.counts_per_electron > _CERTAIN * self.error


def transfer_line(counts: NDArray[Any], *, bad_pixels: Bool | None = None, frames: int = 1) -> TransferLine | None:
    """Fit the photon-transfer line of one record; None if too little of it is valid.

    Noise is what remains of mixed second differences within blocks of 16 x 16 pixels, in which halos and rings
    cancel. Blocks with spots have more, and are left out step by step as they lie above the line. See J. R. Janesick,
    *Photon Transfer*, doi:10.1117/3.725073.

    Parameters
    ----------
    counts : ndarray, shape (ny, nx)
        As stored.
    bad_pixels : ndarray of bool, optional
        True where nothing was measured.
    frames : int
        How many exposures it is the sum of.

    Raises
    ------
    InputError
        As :func:`~napari_subangstrom_cdi.core.record.detector.calibrate`.
    """
    values, usable = usable_pixels(counts, bad_pixels, frames)
    mean, variance = noise_by_block(values, usable)
    if mean.size < _FEWEST_BLOCKS:
        return None
    return _fitted(*_binned(mean, variance))


def gain_of(
    counts: NDArray[Any],
    stated: float | None,
    *,
    bad_pixels: Bool | None = None,
    frames: int = 1,
    difference: bool = False,
) -> tuple[float, bool]:
    """Counts per electron of a record, and whether they are by its noise: what is stated goes before.

    Within a tenth of 1 it is 1, as of a camera that counts. In the difference of two records the noise is that of both,
    so that it tells how large the gain is at most: it is taken only where that is far below 1, as in an average of
    frames or a record that was scaled down.

    Parameters
    ----------
    counts : ndarray, shape (ny, nx)
        As stored.
    stated : float, optional
        What the user says.
    bad_pixels : ndarray of bool, optional
        True where nothing was measured.
    frames : int
        How many exposures it is the sum of.
    difference : bool
        Whether a background was already taken away.

    Raises
    ------
    InputError
        If by the gain that is stated the record holds hardly an electron, as one divided by its maximum does.

    Warns
    -----
    QualityWarning
        If the values are not linear in electrons, the noise contradicts what is stated, or tells the gain.
    """
    if difference and stated is not None:
        return stated, False
    line = transfer_line(counts, bad_pixels=bad_pixels, frames=frames)
    if difference and (line is None or line.bends or line.counts_per_electron > 1 / _CONTRADICTION):
        return 1.0, False
    if line is None or not (line.is_certain or line.bends):
        return stated or 1.0, False
    if line.bends:
        doubt(
            f"the noise of the record hardly grows where it is brighter, as after a logarithm or the contrast of a "
            f"display{' in 8 bits' if counts.dtype.itemsize == 1 else ''}: its values are not linear in electrons, and "
            "what follows is wrong; give the raw counts"
        )
        return stated or 1.0, False
    found, error = line.counts_per_electron, line.error
    if stated is None:
        if abs(found - 1) <= max(_NEARLY_ONE, 2 * error):
            return 1.0, False
        doubt(
            f"no counts_per_electron is stated: {found:.3g} ± {error:.1g} are taken, as the record's noise tells; "
            "the acquisition can say otherwise"
        )
        return found, True
    if max(found / stated, stated / found) > _CONTRADICTION:
        _say_contradiction(counts, stated, found, bad_pixels)
    return stated, False


def _say_contradiction(counts: NDArray[Any], stated: float, found: float, bad_pixels: Bool | None) -> None:
    top = float(np.nanmax(counts if bad_pixels is None else np.where(bad_pixels, 0, counts)))
    if found < stated / _ABSURD and top < _FEWEST_ELECTRONS * stated:
        raise InputError(
            f"its largest value is {top:.3g}, {top / stated:.2g} electrons by counts_per_electron {stated:g}: it was "
            "normalised",
            mend=f"give the raw counts, or counts_per_electron {found:.3g}, as the noise tells",
        )
    doubt(
        f"counts_per_electron {stated:g} is stated, but the record's noise is that of {found:.3g}; if it was scaled, "
        "averaged or smoothed, give that"
    )


def _binned(mean: Float64, variance: Float64) -> tuple[Float64, Float64, Float64]:
    """Median mean and variance of bins of blocks, dark to bright, and the relative error of the variance.

    Bins hold equally many blocks, but for the last, which is divided: there lies most of the range. Where the levels
    differ by no more than the noise of a block's mean they are one bin: among those sorted by chance the noise
    follows the mean by its skewness, not by the gain.
    """
    order = np.argsort(mean)
    step = _CHANCE_SIGMAS * np.sqrt(np.median(variance[order[: mean.size // 2]])) / BLOCK_PX
    bins: list[NDArray[np.intp]] = []
    for chosen in np.array_split(order, min(_N_BINS, mean.size // 4)):
        if bins and mean[chosen[-1]] - mean[bins[-1][0]] < step:
            bins[-1] = np.concatenate([bins[-1], chosen])
        else:
            bins.append(chosen)
    if len(bins[-1]) >= 4 * _BRIGHT_BINS:
        bins = [*bins[:-1], *np.array_split(bins[-1], _BRIGHT_BINS)]
    level = np.array([np.median(mean[chosen]) for chosen in bins])
    # Mixed differences of 256 pixels are worth 68 independent ones; the median of such sums is 1 % below their mean.
    noise = _MEAN_OVER_MEDIAN * np.array([np.median(variance[chosen]) for chosen in bins])
    relative = np.array([0.2 / np.sqrt(len(chosen)) for chosen in bins])
    return level, noise, relative


def _fitted(level: Float64, noise: Float64, relative: Float64) -> TransferLine | None:
    """The line, and whether the brightest bins keep to that of the others."""
    if len(level) < 2 * _BRIGHT_BINS or not (noise > 0).all():
        return None
    slope, _, error = _line(level, noise, relative)
    lower = slice(0, max(len(level) - 2 * _BRIGHT_BINS, _BRIGHT_BINS))
    start, constant, uncertain = _line(level[lower], noise[lower], relative[lower])
    bright = noise[-_BRIGHT_BINS:] / (start * level[-_BRIGHT_BINS:] + constant)
    bent = start > _CERTAIN * uncertain and bool(bright[-2:].max() < _BENT)
    sinks = slope < -_CERTAIN * error
    return TransferLine(slope, math.hypot(error, _SCENE_ERROR * slope), bent or sinks)


def _line(level: Float64, noise: Float64, relative: Float64) -> tuple[float, float, float]:
    """Slope, constant and the slope's error by weighted least squares; bins that lie high are left out one by one."""
    kept = np.ones(len(level), dtype=np.bool_)
    expected, least = noise, 0.1 * float(np.median(noise))
    slope, constant, error = 0.0, 0.0, np.inf
    for step in range(_N_WEIGHINGS + len(level) // 3):
        sigma = relative * np.maximum(expected, least)
        design = np.stack([level, np.ones_like(level)])[:, kept] / sigma[kept]
        covariance = np.linalg.pinv(design @ design.T, hermitian=True)
        slope, constant = (float(part) for part in covariance @ (design @ (noise[kept] / sigma[kept])))
        expected = slope * level + constant
        rest = (noise - expected) / (relative * np.maximum(expected, least))
        error = float(np.sqrt(covariance[0, 0])) * max(1.0, float(np.sqrt(np.mean(rest[kept] ** 2))))
        high = int(np.argmax(np.where(kept, rest, -np.inf)))
        if step < _N_WEIGHINGS:
            continue  # weights by the noise that was found would favour the bins that are low by chance
        if rest[high] < _HIGH_SIGMAS or kept.sum() <= len(level) // 2:
            break
        kept[high] = False
    return slope, constant, error
