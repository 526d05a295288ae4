"""From detector counts to electrons: offset, gain, noise, and which pixels can be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_subangstrom_cdi.core.types import Bool, Float32
from napari_subangstrom_cdi.errors import InputError, doubt

from .blemishes import bad_lines, holes, isolated_dips, isolated_peaks, smeared_ceiling, zingers
from .unmeasured import straight_lines, unmeasured

BLOCK_PX = 16
_NEARLY_ALL_PERCENT = 95
_BLOOMING_PX = 2
_SMALLEST_PLATEAU_PX = 4
_MOST_SATURATED = 0.3
_MOST_APART = 100.0
_BRIGHT_EDGE = 3.0
_MOST_SILENT = 0.3
_FEWEST_BLOCKS = 16
_LEAST_GAIN = 1e-12


@dataclass(frozen=True)
class Detector:
    """How counts come from electrons: ``counts = counts_per_electron * electrons + offset_counts``.

    Parameters
    ----------
    counts_per_electron : float
        Gain.
    offset_counts : float, optional
        Counts of a pixel that received nothing; None: estimated from the record's noise.
    dark_noise_electrons : float
        Standard deviation of the read-out and dark noise of a pixel, electrons.
    saturation_counts : float, optional
        Counts at and above which a pixel is saturated; None: the largest value that the integer
        type holds, or the plateau found at the maximum of the record.

    Raises
    ------
    InputError
        If a number is not finite, the gain or saturation not positive, or the noise negative.
    """

    counts_per_electron: float = 1.0
    offset_counts: float | None = None
    dark_noise_electrons: float = 0.0
    saturation_counts: float | None = None

    def __post_init__(self) -> None:
        gain, noise, top = self.counts_per_electron, self.dark_noise_electrons, self.saturation_counts
        if not (math.isfinite(gain) and gain > 0):
            raise InputError(f"{gain} counts per electron", mend="give a positive number")
        if not (math.isfinite(noise) and noise >= 0):
            raise InputError(f"a dark noise of {noise} electrons", mend="give 0 or a positive number")
        if self.offset_counts is not None and not math.isfinite(self.offset_counts):
            raise InputError(f"an offset of {self.offset_counts} counts", mend="give a finite number or none")
        if top is not None and not (math.isfinite(top) and top > 0):
            raise InputError(f"saturation at {top} counts", mend="give a positive number or none")


@dataclass(frozen=True)
class Record:
    """A diffraction record in electrons.

    Parameters
    ----------
    electrons : ndarray of float32, shape (ny, nx)
        Electrons in each pixel, offset removed.
    variance : ndarray of float32, shape (ny, nx)
        Variance of ``electrons``, electrons².
    valid : ndarray of bool, shape (ny, nx)
        False where the pixel says nothing: saturated, hot, dead or masked by the user.
    """

    electrons: Float32
    variance: Float32
    valid: Bool

    def __post_init__(self) -> None:
        if self.electrons.ndim != 2 or not self.electrons.shape == self.variance.shape == self.valid.shape:
            shapes = f"{self.electrons.shape}, {self.variance.shape}, {self.valid.shape}"
            raise InputError(
                f"electrons, variance and valid have the shapes {shapes}", mend="give three images of one shape"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Array shape (y, x)."""
        return (self.electrons.shape[0], self.electrons.shape[1])


@dataclass(frozen=True)
class DetectorReport:
    """What :func:`calibrate` found.

    Parameters
    ----------
    offset_counts : float
        Offset that was subtracted.
    offset_estimated : bool
        Whether it was estimated from the record.
    saturation_counts : float
        Level at and above which pixels are called saturated; infinite if there is none.
    n_saturated, n_hot, n_dead : int
        Pixels found, the neighbours that are masked with the saturated ones not counted.
    n_unmeasured : int
        Pixels that hold a value for "not measured", those under the mask not counted.
    n_line : int
        Pixels of rows and columns whose level is another than that of both sides.
    """

    offset_counts: float
    offset_estimated: bool
    saturation_counts: float
    n_saturated: int
    n_hot: int
    n_dead: int
    n_unmeasured: int = 0
    n_line: int = 0


def calibrate(
    counts: NDArray[Any],
    detector: Detector,
    *,
    bad_pixels: Bool | None = None,
    subtracted: bool = False,
    frames: int = 1,
) -> tuple[Record, DetectorReport]:
    """Turn counts into electrons with their variance, and find the pixels that cannot be trusted.

    The variance is Poisson plus dark noise; where the offset is not given it is the value at which
    the photon-transfer line (variance against mean) of the record meets the dark noise. A record with
    negative counts had its dark image subtracted: its offset is 0 unless given.

    Parameters
    ----------
    counts : ndarray, shape (ny, nx)
        Integer or floating-point detector counts.
    detector : Detector
        Gain, offset, noise and saturation.
    bad_pixels : ndarray of bool, optional
        True where the user knows the pixel to be bad; values there may be anything, NaN too.
    subtracted : bool
        The record had a background subtracted: the offset is 0 unless given, and the noise that the
        subtraction left is measured and added to the variance.
    frames : int
        How many exposures the record is the sum of. Offset, dark noise and saturation are those of one.

    Returns
    -------
    record : Record
    report : DetectorReport

    Raises
    ------
    InputError
        If the record is not a 2-D image of real numbers, is all zero or constant, holds no finite
        number, or offset or saturation cannot be its own.

    Warns
    -----
    QualityWarning
        If much of the record was not measured, or its negative counts do not fit the offset.
    """
    detector = of_frames(detector, frames)
    good, n_unmeasured = _measured_pixels(counts, bad_pixels, frames)
    values = np.where(good, counts, 0).astype(np.float32)
    level = _saturation_level(counts, good, detector)
    saturated = good & (values >= level)
    _check_saturation(saturated, good, level)
    usable = good & ~grow(saturated, _BLOOMING_PX)
    clear = ~grow(~good, 1)
    no_dark = bool((values[good] < 0).any())
    estimated = detector.offset_counts is None and not subtracted and not no_dark
    offset = _estimate_offset(values, usable & clear, detector, frames) if estimated else detector.offset_counts or 0.0
    _check_offset(offset, values, usable, subtracted=subtracted)
    if no_dark and not subtracted:
        _check_dark_level(offset, values, usable & clear)
    electrons = (values - np.float32(offset)) / np.float32(detector.counts_per_electron)
    variance = _variance(
        electrons,
        usable & clear,
        detector.dark_noise_electrons,
        subtracted=subtracted,
        measured=no_dark and not subtracted,
    )
    hot = usable & isolated_peaks(electrons, variance)
    hot |= zingers(electrons, variance, usable)
    line = usable & bad_lines(electrons, variance, usable, step=_step(counts, detector))
    hole = usable & holes(values, electrons, variance)
    dead = usable & (isolated_dips(electrons, variance) | hole)
    line &= ~hot & ~dead
    valid = usable & ~hot & ~dead & ~line
    # A saturated pixel tells the least that its variance can be; these tell nothing.
    silent = ~good | hot | hole | line
    if silent.any() and valid.any():
        variance = np.where(silent, fill_invalid(variance, valid), variance)
    record = Record(electrons, variance, valid)
    n_saturated, n_hot, n_dead, n_line = (int(np.count_nonzero(found)) for found in (saturated, hot, dead, line))
    return record, DetectorReport(float(offset), estimated, level, n_saturated, n_hot, n_dead, n_unmeasured, n_line)


def _step(counts: NDArray[Any], detector: Detector) -> float:
    """Electrons in the step between two values of integers; 0 for real numbers."""
    return 1 / detector.counts_per_electron if counts.dtype.kind in "ui" else 0.0


def of_frames(detector: Detector, frames: int) -> Detector:
    """The detector of a sum of frames: offset and ceiling add up, the dark noise as its square root."""
    if frames == 1:
        return detector
    offset, top = detector.offset_counts, detector.saturation_counts
    return replace(
        detector,
        offset_counts=None if offset is None else offset * frames,
        dark_noise_electrons=detector.dark_noise_electrons * math.sqrt(frames),
        saturation_counts=None if top is None else top * frames,
    )


def calibrate_pair(
    particle: NDArray[Any],
    background: NDArray[Any],
    detector: Detector,
    *,
    bad_pixels: Bool | None = None,
    names: tuple[str, str] = ("particle record", "background record"),
    frames: tuple[int, int] = (1, 1),
) -> tuple[tuple[Record, DetectorReport], tuple[Record, DetectorReport]]:
    """Calibrate the particle and background record of one detector with one common offset.

    An offset that is estimated twice differs by its noise, and where the background is faint a hundredth
    of a count is a per cent of it. Here the two estimates are averaged, each frame of a sum having its own
    offset; where that is more than nearly all of a record holds, each keeps its own, with a doubt. If one of
    them holds negative counts, the offset of both is 0. ``names`` tell in an error which of the two is at
    fault, ``frames`` how many exposures each is the sum of.

    Raises
    ------
    InputError
        As :func:`calibrate`, if both records are the same, or if the dark image was subtracted from one only.
    """
    if np.array_equal(particle, background):
        raise InputError("particle and background record are the same", where=names[1], mend="give the other record")
    records = list(zip(names, (particle, background), frames, strict=True))
    offsets = [detector.offset_counts] * 2
    if detector.offset_counts is None:
        estimates = []
        for name, counts, n in records:
            with _saying_where(name):
                estimates.append(estimate_offset(counts, detector, bad_pixels=bad_pixels, frames=n))
        _check_alike(estimates, names, detector)
        known = [each for each in estimates if each is not None]
        offsets = _of_one_frame(known, (particle, background), frames) if len(known) == 2 else [0.0, 0.0]
    pair = []
    for (name, counts, n), offset in zip(records, offsets, strict=True):
        with _saying_where(name):
            record, report = calibrate(counts, replace(detector, offset_counts=offset), bad_pixels=bad_pixels, frames=n)
        pair.append((record, replace(report, offset_estimated=detector.offset_counts is None and offset != 0)))
    return pair[0], pair[1]


def _check_alike(offsets: list[float | None], names: tuple[str, str], detector: Detector) -> None:
    """Refuse a pair of which one had its dark image subtracted and the other plainly had not."""
    known = [offset for offset in offsets if offset is not None]
    least = max(1.0, 3 * detector.counts_per_electron * detector.dark_noise_electrons)
    if len(known) == 1 and known[0] > least:
        without = offsets.index(None)
        raise InputError(
            f"it holds negative counts, as after a dark image is subtracted, but {names[1 - without]} has an offset of "
            f"{known[0]:.3g} counts",
            where=names[without],
            mend="give both as the detector wrote them, or both without their dark image",
        )


def _of_one_frame(
    offsets: list[float], records: tuple[NDArray[Any], NDArray[Any]], frames: tuple[int, int]
) -> list[float | None]:
    """The offset of one frame by two sums, for each of them.

    Of sums of unequal length the larger counts, as noise from elsewhere lowers it.
    """
    if frames[0] == frames[1]:
        return [sum(offsets) / sum(frames)] * 2
    own = [offset / n for offset, n in zip(offsets, frames, strict=True)]
    tops = [_nearly_all(counts) for counts in records]
    if all(max(own) * n <= top for n, top in zip(frames, tops, strict=True)):
        return [max(own)] * 2
    doubt(
        f"the offsets of one frame differ: {own[0]:.3g} counts in the particle record, {own[1]:.3g} in the background; "
        "each is taken as it is; check how many frames each record is the sum of, or state offset_counts"
    )
    return list(own)


def _nearly_all(counts: NDArray[Any]) -> float:
    return float(np.percentile(counts[np.isfinite(counts)], _NEARLY_ALL_PERCENT))


@contextmanager
def _saying_where(name: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise error.at(error.where or name) from error


def estimate_offset(
    counts: NDArray[Any], detector: Detector, *, bad_pixels: Bool | None = None, frames: int = 1
) -> float | None:
    """Offset in counts at which the photon-transfer line of a record meets its dark noise.

    None for a record with negative counts: its dark image was subtracted, and with it the offset.

    With ``variance = gain * (mean - offset) + (gain * dark_noise)²`` in counts, each dark block of the
    record gives an offset; the result is their trimmed mean. See J. R. Janesick, *Photon Transfer*,
    doi:10.1117/3.725073.

    Raises
    ------
    InputError
        As :func:`calibrate`.

    Warns
    -----
    QualityWarning
        If the noise does not fit the detector, so that the offset is a guess.
    """
    detector = of_frames(detector, frames)
    good, _ = _measured_pixels(counts, bad_pixels, frames)
    if (counts[good] < 0).any():
        return None
    values = np.where(good, counts, 0).astype(np.float32)
    saturated = good & (values >= _saturation_level(counts, good, detector))
    return _estimate_offset(values, good & ~grow(saturated, _BLOOMING_PX) & ~grow(~good, 1), detector, frames)


def usable_pixels(counts: NDArray[Any], bad_pixels: Bool | None, frames: int) -> tuple[Float32, Bool]:
    """The counts, 0 where nothing was measured, and the pixels that were and are not saturated, whatever the gain.

    Raises
    ------
    InputError
        As :func:`calibrate`.
    """
    good, _ = _measured_pixels(counts, bad_pixels, frames)
    values = np.where(good, counts, 0).astype(np.float32)
    saturated = good & (values >= _saturation_level(counts, good, Detector(_LEAST_GAIN)))
    silent = grow(~good | straight_lines(values == 0), 1)
    return values, good & ~grow(saturated, _BLOOMING_PX) & ~silent


def bin_record(record: Record, factor: int) -> Record:
    """Sum blocks of ``factor`` x ``factor`` pixels; rows and columns left over at the end are dropped.

    Electrons and variance are summed. A binned pixel is valid if all of its pixels are.

    Raises
    ------
    InputError
        If the factor is below 1 or exceeds the record.
    """
    ny, nx = record.shape
    if factor < 1 or factor > min(ny, nx):
        raise InputError(f"binning by {factor} of a record of {ny} x {nx} pixels", mend="use a factor of 1 to 8")
    if factor == 1:
        return record
    return Record(
        block_sum(record.electrons, factor), block_sum(record.variance, factor), block_all(record.valid, factor)
    )


def block_sum(image: Float32, factor: int) -> Float32:
    """Sum of each whole block of ``factor`` x ``factor`` pixels."""
    return np.asarray(_blocks(image, factor).sum(axis=(1, 3)), dtype=np.float32)


def block_all(mask: Bool, factor: int) -> Bool:
    """Whether all pixels of each whole block are True."""
    return np.asarray(_blocks(mask, factor).all(axis=(1, 3)), dtype=np.bool_)


def _blocks(image: NDArray[Any], factor: int) -> NDArray[Any]:
    ny, nx = (size // factor for size in image.shape)
    return image[: ny * factor, : nx * factor].reshape(ny, factor, nx, factor)


def _good_pixels(counts: NDArray[Any], bad_pixels: Bool | None) -> Bool:
    if counts.ndim != 2:
        raise InputError(f"an array of shape {counts.shape} where a 2-D image belongs", mend="choose or sum its frames")
    if min(counts.shape) < BLOCK_PX:
        raise InputError(f"a record of {counts.shape} pixels", mend=f"give at least {BLOCK_PX} pixels a side")
    if counts.dtype.kind not in "uif":
        raise InputError(f"pixels of type {counts.dtype}", mend="give integers or real numbers")
    if bad_pixels is None:
        return np.ones(counts.shape, dtype=np.bool_)
    if bad_pixels.shape != counts.shape:
        raise InputError(
            f"a bad-pixel mask of shape {bad_pixels.shape} for a record of shape {counts.shape}",
            mend="give a mask of the record's shape",
        )
    return ~bad_pixels.astype(np.bool_)


def _measured_pixels(counts: NDArray[Any], bad_pixels: Bool | None, frames: int) -> tuple[Bool, int]:
    """Pixels that hold a measured value, and how many outside the mask do not."""
    good = _good_pixels(counts, bad_pixels)
    if not good.any():
        raise InputError("the bad-pixel mask covers the whole record", mend="check that True means bad")
    silent = good & unmeasured(counts, good, frames=frames)
    n_silent, n_good = int(np.count_nonzero(silent)), int(np.count_nonzero(good))
    if n_silent == n_good:
        raise InputError(
            f"the record holds NaN or infinity in {n_silent} pixels, in all of them",
            mend="choose the file that holds the exposure, or save it anew",
        )
    if n_silent > _MOST_SILENT * n_good:
        doubt(
            f"{n_silent / n_good:.0%} of the record's pixels hold no measured value (NaN, infinity or a limit of the "
            "type of numbers) and are left out; choose another file if that is not a mask"
        )
    good = good & ~silent
    values = counts[good]
    lowest, highest = float(values.min()), float(values.max())
    if lowest == highest:
        found = "is all zero" if lowest == 0 else f"is constant at {lowest:g} counts"
        raise InputError(f"the record {found}", mend="choose the file that holds the exposure")
    _check_place_of_silence(counts, silent, good, highest)
    return good, n_silent


def _check_place_of_silence(counts: NDArray[Any], silent: Bool, good: Bool, highest: float) -> None:
    """Doubt pixels without a value about which the record is brightest: its spots were cut out; a gap lies anywhere."""
    edge = grow(silent, 1) & good if silent.any() else silent
    if not edge.any():
        return
    beside = float(np.median(counts[edge]))
    if beside > _BRIGHT_EDGE * float(np.median(counts[good])) and highest < _BRIGHT_EDGE * beside:
        doubt(
            "the pixels without a measured value (NaN or what stands for it) lie where the record is brightest: "
            "strong spots may have been cut out; give the record as the detector wrote it"
        )


def _saturation_level(counts: NDArray[Any], good: Bool, detector: Detector) -> float:
    if detector.saturation_counts is not None:
        return detector.saturation_counts
    top = counts[good].max()
    if counts.dtype.kind in "ui" and top == np.iinfo(counts.dtype).max:
        return float(top)
    # Noise never repeats a large maximum exactly over touching pixels: that is a clipped plateau.
    labels, n_labels = ndimage.label(good & (counts == top))
    high = float(top) > 1000 * detector.counts_per_electron
    if high and n_labels and np.bincount(labels.ravel())[1:].max() >= _SMALLEST_PLATEAU_PX:
        return float(top)
    smeared = smeared_ceiling(np.where(good, counts, 0).astype(np.float32), good)
    if smeared is None:
        return math.inf
    doubt(
        f"the brightest values pile up from {smeared:.5g} counts, as at a ceiling that a gain reference smears; they "
        "go to M; saturation_counts in the acquisition can say otherwise"
    )
    return smeared


def _check_saturation(saturated: Bool, good: Bool, level: float) -> None:
    share = np.count_nonzero(saturated) / np.count_nonzero(good)
    if share > _MOST_SATURATED:
        raise InputError(
            f"{share:.0%} of the record's pixels reach the saturation of {level:g} counts",
            mend="check saturation_counts in the acquisition, or expose for a shorter time",
        )


def _check_offset(offset: float, values: Float32, usable: Bool, *, subtracted: bool) -> None:
    if subtracted or not usable.any():
        return
    high = _nearly_all(values[usable])
    if offset > high:
        if high < 0:
            raise InputError(
                f"95 % of the record's counts lie below {high:g}, and {offset:g} is taken for nothing received",
                mend="give what a dark pixel holds as offset_counts in the acquisition, or the raw record",
            )
        raise InputError(
            f"the offset of {offset:g} counts is above nearly all of the record, of which 95 % lie below {high:g}",
            mend="check offset_counts in the acquisition, or leave it out to have it estimated",
        )


def _check_dark_level(offset: float, values: Float32, usable: Bool) -> None:
    """Doubt an offset that the dark part of a dark-subtracted record does not fit."""
    mean, variance = noise_by_block(values, usable)
    if mean.size < _FEWEST_BLOCKS:
        return
    dark = mean <= np.percentile(mean, 10)
    level, noise = float(np.median(mean[dark])), math.sqrt(max(float(np.median(variance[dark])), 0.0))
    if level < offset - max(noise, 0.05 * abs(offset)):
        doubt(
            f"the record holds negative counts, down to {values[usable].min():g}, and its dark part lies at "
            f"{level:.3g} counts, below the offset of {offset:g}: if a dark image was subtracted, the offset is what "
            "that left; give offset_counts in the acquisition, 0 for nothing"
        )


def noise_by_block(values: Float32, usable: Bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and noise variance of whole usable blocks; slopes cancel in the second differences."""
    roughness = np.zeros_like(values)
    along_x = values[:, 1:-1] - (values[:, :-2] + values[:, 2:]) / 2
    roughness[1:-1, 1:-1] = along_x[1:-1] - (along_x[:-2] + along_x[2:]) / 2
    usable = usable & ~_frame(values.shape)
    complete = block_all(usable, BLOCK_PX)
    mean = block_sum(values, BLOCK_PX)[complete] / BLOCK_PX**2
    variance = block_sum(roughness**2, BLOCK_PX)[complete] / (BLOCK_PX**2 * 1.5**2)
    return mean.astype(np.float64), variance.astype(np.float64)


def _frame(shape: tuple[int, ...]) -> Bool:
    frame = np.ones(shape, dtype=np.bool_)
    frame[1:-1, 1:-1] = False
    return frame


def _estimate_offset(values: Float32, usable: Bool, detector: Detector, frames: int) -> float:
    # A line of zeros is a gap; its edge is no noise.
    mean, variance = noise_by_block(values, usable & ~grow(straight_lines(values == 0), 1))
    if mean.size < _FEWEST_BLOCKS:
        return 0.0
    # The darkest blocks hold no spots; a spot's curvature would pass for noise.
    dark = mean <= np.percentile(mean, 50)
    mean, variance = mean[dark], variance[dark]
    gain = detector.counts_per_electron
    rounding = frames / 12 if np.array_equal(values, np.round(values)) else 0.0
    poisson = variance - rounding - (gain * detector.dark_noise_electrons) ** 2
    offset = _trimmed_mean(mean - poisson / gain)
    lowest = float(np.percentile(mean, 1))
    if not -0.05 * lowest <= offset <= lowest or np.median(variance) <= 0:
        doubt(
            f"the noise of the record does not fit {gain:g} counts per electron and "
            f"{detector.dark_noise_electrons:g} electrons of dark noise, so its offset cannot be estimated "
            f"and {min(max(offset, 0.0), lowest):.3g} counts are assumed; give the offset",
        )
    return min(max(offset, 0.0), lowest)


def _trimmed_mean(sample: NDArray[np.float64]) -> float:
    low, high = np.percentile(sample, [5, 95])
    return float(sample[(sample >= low) & (sample <= high)].mean())


def _variance(electrons: Float32, usable: Bool, dark_noise: float, *, subtracted: bool, measured: bool) -> Float32:
    floor = dark_noise**2
    if subtracted:
        _, noise = noise_by_block(electrons, usable)
        if noise.size:
            floor = max(floor, float(np.percentile(noise, 5)))
    elif measured and not floor:
        mean, noise = noise_by_block(electrons, usable)
        if mean.size >= _FEWEST_BLOCKS:
            dark = mean <= np.percentile(mean, 50)
            floor = _trimmed_mean((noise - np.maximum(mean, 0))[dark])
    return np.maximum(electrons, 0) + np.float32(max(floor, 1e-6))


def fill_invalid(image: Float32, valid: Bool) -> Float32:
    """Replace invalid pixels by the nearest valid ones, so that filters and splines do not ring."""
    if valid.all() or not valid.any():
        return image
    rim = grow(~valid, 1) & valid
    invalid_at, rim_at = np.argwhere(~valid), np.argwhere(rim)
    _, nearest = cKDTree(rim_at).query(invalid_at)
    filled = image.copy()
    filled[tuple(invalid_at.T)] = image[tuple(rim_at[nearest].T)]
    return filled


def settled_variance(variance: Float32, valid: Bool) -> Float32:
    """The variance with nothing in it that invalid pixels could spread into their surroundings by a filter.

    The core of a saturated beam is some ten times as bright as the first pixels beside it that can be trusted, and its
    variance is kept, as the least that it can be. An invalid pixel whose variance stands farther apart from theirs,
    or is no number, holds no light but what stands for a gap, and gets the variance of the nearest valid pixel.
    """
    if valid.all() or not valid.any():
        return variance
    around = fill_invalid(variance, valid)
    with np.errstate(invalid="ignore"):
        near = (variance <= _MOST_APART * around) & (around <= _MOST_APART * variance)
    return np.where(valid | near, variance, around)


def grow(mask: Bool, reach_px: int) -> Bool:
    """The mask and all pixels within a square of ``2 * reach_px + 1`` pixels about it."""
    if not mask.any() or reach_px < 1:
        return mask
    return _spread(_spread(mask, reach_px, 0), reach_px, 1)


def _spread(mask: Bool, reach_px: int, axis: int) -> Bool:
    """The mask grown along one axis: by 1, 3, 7 ... pixels, each step from the one before."""
    grown = np.moveaxis(mask, axis, 0).copy()
    reach, end = 0, min(reach_px, len(grown) - 1)
    while reach < end:
        step = min(reach + 1, end - reach)
        before = grown.copy()
        grown[step:] |= before[:-step]
        grown[:-step] |= before[step:]
        reach += step
    return np.moveaxis(grown, 0, axis)
