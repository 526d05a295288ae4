"""The object's support: where the particle is, found in the potential estimate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.ndimage as ndi
from skimage import filters

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.types import Bool, Float32
from napari_subangstrom_cdi.errors import InputError, doubt

ThresholdRule = Literal["otsu", "li", "triangle"]

_RULES: dict[str, Callable[[Float32], float]] = {
    "otsu": filters.threshold_otsu,
    "li": filters.threshold_li,
    "triangle": filters.threshold_triangle,
}


@dataclass(frozen=True)
class Support:
    """Where the object may differ from zero.

    Attributes
    ----------
    mask : ndarray of bool, shape (n, n)
        The support.
    threshold : float
        Level of the envelope, as a fraction of its highest value, that bounds it before growing.
    oversampling_ratio : float
        Pixels of the array per pixel of the support; phases are determined only above 2.
    area_angstrom2 : float
        Area, Å².
    n_parts : int
        Separate parts found, before the largest was kept.
    """

    mask: Bool
    threshold: float
    oversampling_ratio: float
    area_angstrom2: float
    n_parts: int


def object_support(
    estimate: Float32,
    grid: Grid,
    /,
    *,
    smooth_angstrom: float = 2.0,
    threshold: ThresholdRule | float = "li",
    fill: bool = True,
    keep_largest: bool = True,
    grow_angstrom: float = 0.0,
) -> Support:
    """Support of a particle from an estimate of its potential: smooth, threshold, fill, keep, grow.

    What is smoothed is the square of the estimate: a band-limited lattice image oscillates about zero, so
    its own mean says nothing of where the particle is, its local power does.

    Parameters
    ----------
    estimate : ndarray, shape (n, n)
        Potential estimate, about 0 in the vacuum.
    grid : Grid
        Its sampling.
    smooth_angstrom : float, optional
        Standard deviation of the smoothing, Å; about one lattice spacing.
    threshold : {"otsu", "li", "triangle"} or float, optional
        Rule that splits the envelope (the root of the smoothed square), or a fraction of its plateau.
    fill, keep_largest : bool, optional
        Fill holes; keep only the largest connected part.
    grow_angstrom : float, optional
        Dilation after that, Å; negative erodes.

    Raises
    ------
    InputError
        If nothing stands out, or the shape or a number is unusable.

    References
    ----------
    Otsu, doi:10.1109/TSMC.1979.4310076; Li and Lee, doi:10.1016/0031-3203(93)90115-D.
    """
    return SupportFinder(estimate, grid).find(
        smooth_angstrom=smooth_angstrom,
        threshold=threshold,
        fill=fill,
        keep_largest=keep_largest,
        grow_angstrom=grow_angstrom,
    )


class SupportFinder:
    """Find supports of one estimate again and again, as its threshold is moved.

    The envelope and its levels are kept as long as the smoothing stays the same, and masks are worked on only where
    the envelope is above the level.

    Parameters
    ----------
    estimate : ndarray, shape (n, n)
        Potential estimate, about 0 in the vacuum.
    grid : Grid
        Its sampling.

    Raises
    ------
    InputError
        If the shape is not the grid's or the estimate not finite.
    """

    def __init__(self, estimate: Float32, grid: Grid, /) -> None:
        if estimate.shape != grid.shape:
            raise InputError(f"the estimate has shape {estimate.shape}, the grid {grid.shape}")
        if not np.isfinite(estimate).all():
            raise InputError("the potential estimate holds NaN or infinity")
        self._estimate, self._grid = estimate, grid
        self._kept: tuple[float, _Envelope] | None = None

    def envelope(self, smooth_angstrom: float = 2.0) -> Float32:
        """What is thresholded: root of the smoothed square of the estimate, shape (n, n); do not write to it."""
        return self._envelope(smooth_angstrom).values

    def find(
        self,
        *,
        smooth_angstrom: float = 2.0,
        threshold: ThresholdRule | float = "li",
        fill: bool = True,
        keep_largest: bool = True,
        grow_angstrom: float = 0.0,
    ) -> Support:
        """Give the support; parameters and errors are those of :func:`object_support`."""
        envelope = self._envelope(smooth_angstrom)
        level, relative = envelope.level(threshold)
        radius_px = grow_angstrom / self._grid.pixel_angstrom
        part, where, count = _part_above(envelope.values > level, keep_largest=keep_largest)
        if fill:
            part = ndi.binary_fill_holes(part)
        mask = np.zeros(self._grid.shape, dtype=bool)
        mask[where] = part
        if part.any() and radius_px != 0:
            near = _box(mask, margin=1 + max(0, math.ceil(radius_px)))
            mask[near] = _grown(mask[near], radius_px)
        return support_from_mask(mask, self._grid, relative, count)

    def _envelope(self, smooth_angstrom: float) -> _Envelope:
        if self._kept is None or self._kept[0] != smooth_angstrom:
            values = local_envelope(self._estimate, smooth_angstrom / self._grid.pixel_angstrom)
            self._kept = (smooth_angstrom, _Envelope(values))
        return self._kept[1]


def apply_edits(mask: Bool, added: Bool | None, removed: Bool | None, /) -> Bool:
    """Support with what was painted: ``added`` joined, then ``removed`` taken away.

    Parameters
    ----------
    mask : ndarray of bool, shape (n, n)
        The support found automatically.
    added, removed : ndarray of bool, shape (n, n), optional
        What :func:`edits` gives.

    Raises
    ------
    InputError
        If a shape differs from the mask's.
    """
    edited = np.array(mask, dtype=bool)
    for name, painted in (("added", added), ("removed", removed)):
        if painted is not None and painted.shape != mask.shape:
            raise InputError(f"the mask of {name} pixels has shape {painted.shape}, the support {mask.shape}")
    if added is not None:
        edited |= added
    if removed is not None:
        edited &= ~removed
    return edited


def edits(automatic: Bool, edited: Bool, /) -> tuple[Bool, Bool]:
    """What painting has added to an automatic support and what it has removed, each shape (n, n).

    Raises
    ------
    InputError
        If the shapes differ.
    """
    if automatic.shape != edited.shape:
        raise InputError(f"the painted support has shape {edited.shape}, the automatic one {automatic.shape}")
    return edited & ~automatic, automatic & ~edited


def support_from_mask(mask: Bool, grid: Grid, threshold: float = math.nan, n_parts: int = 1, /) -> Support:
    """Measure a given support and check that it can do its work.

    Raises
    ------
    InputError
        If it is empty, everything, or not on the grid.
    """
    if mask.shape != grid.shape:
        raise InputError(f"the support has shape {mask.shape}, the grid {grid.shape}")
    pixels = int(np.count_nonzero(mask))
    if not 0 < pixels < mask.size:
        raise InputError(f"the support covers {pixels} of {mask.size} pixels", mend="choose another threshold")
    ratio = mask.size / pixels
    if ratio < 2:
        doubt(f"the oversampling ratio is {ratio:.2f}; below 2 the pattern does not determine the phases")
    return Support(np.asarray(mask, dtype=bool), threshold, ratio, pixels * grid.pixel_angstrom**2, n_parts)


def local_envelope(estimate: Float32, smooth_px: float, /) -> Float32:
    """Root of the locally averaged square of a real or complex estimate, Gaussian of width ``smooth_px``."""
    square = np.abs(estimate).astype(np.float32) ** 2
    mean = ndi.gaussian_filter(square, smooth_px, mode="constant", truncate=4.0)
    return np.asarray(np.sqrt(np.clip(mean, 0, None)), dtype=np.float32)


class _Envelope:
    """An envelope and the levels that bound the particle in it, each worked out once."""

    def __init__(self, values: Float32) -> None:
        self.values = values
        self.top = float(values.max())
        base = float(np.median(values))
        spread = 1.4826 * float(np.median(np.abs(values - base)))
        self.stands_out = self.top > 0 and self.top >= base + 6 * spread and self.top >= 1.5 * base
        self._by_rule: dict[str, float] = {}

    def level(self, threshold: ThresholdRule | float) -> tuple[float, float]:
        """Level that bounds the particle, absolute and as a fraction of the envelope's plateau."""
        if not self.stands_out:
            raise InputError(
                "no particle stands out in the potential estimate", mend="check the image and its normalisation"
            )
        if isinstance(threshold, str):
            if threshold not in _RULES:
                raise InputError(
                    f"unknown rule {threshold!r}", where="threshold", mend=f"use one of {', '.join(_RULES)}"
                )
            if threshold not in self._by_rule:
                self._by_rule[threshold] = float(_RULES[threshold](self.values))
            level = self._by_rule[threshold]
        else:
            if not 0 < threshold < 1:
                raise InputError(f"{threshold:g}", where="threshold", mend="give a fraction between 0 and 1")
            level = threshold * self.top
        return level, level / self.top


def _part_above(above: Bool, *, keep_largest: bool) -> tuple[Bool, tuple[slice, slice], int]:
    """The largest connected part or all of them, on the box that holds it, and how many there are."""
    outer = _box(above)
    labels, count = ndi.label(above[outer])
    if not keep_largest or count < 2:
        return labels > 0, outer, count
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    inner = ndi.find_objects(labels, max_label=largest)[largest - 1]
    where = tuple(slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True))
    return labels[inner] == largest, (where[0], where[1]), count


def _box(mask: Bool, margin: int = 0) -> tuple[slice, slice]:
    """Smallest box that holds the mask, with a margin as far as the array goes; all of it if the mask is empty."""
    slices = []
    for axis, size in enumerate(mask.shape):
        occupied = np.flatnonzero(mask.any(axis=1 - axis))
        if occupied.size == 0:
            return slice(0, mask.shape[0]), slice(0, mask.shape[1])
        slices.append(slice(max(0, int(occupied[0]) - margin), min(size, int(occupied[-1]) + 1 + margin)))
    return slices[0], slices[1]


def _grown(mask: Bool, radius_px: float) -> Bool:
    """Dilate (or, negative, erode) by a disc."""
    if radius_px == 0:
        return mask
    if radius_px > 0:
        return np.asarray(ndi.distance_transform_edt(~mask) <= radius_px)
    return np.asarray(ndi.distance_transform_edt(mask) > -radius_px)
