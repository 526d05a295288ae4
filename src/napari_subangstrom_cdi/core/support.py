"""The object's support: where the particle is, found in the potential estimate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray
from skimage import filters

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.errors import InputError, QualityWarning

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
ThresholdRule = Literal["otsu", "li", "triangle"]

_RULES: dict[str, Callable[[Float], float]] = {
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

    mask: Mask
    threshold: float
    oversampling_ratio: float
    area_angstrom2: float
    n_parts: int


def object_support(
    estimate: Float,
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
    if estimate.shape != grid.shape:
        raise InputError(f"the estimate has shape {estimate.shape}, the grid {grid.shape}")
    if not np.isfinite(estimate).all():
        raise InputError("the potential estimate holds NaN or infinity")
    envelope = local_envelope(estimate, smooth_angstrom / grid.pixel_angstrom)
    level, relative = _level(envelope, threshold)
    labels, count = ndi.label(envelope > level)
    mask = labels > 0
    if keep_largest and count > 1:
        mask = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    if fill:
        mask = ndi.binary_fill_holes(mask)
    return support_from_mask(_grown(mask, grow_angstrom / grid.pixel_angstrom), grid, relative, count)


def support_from_mask(mask: Mask, grid: Grid, threshold: float = math.nan, n_parts: int = 1, /) -> Support:
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
        warnings.warn(
            f"the oversampling ratio is {ratio:.2f}; below 2 the pattern does not determine the phases",
            QualityWarning,
            stacklevel=2,
        )
    return Support(np.asarray(mask, dtype=bool), threshold, ratio, pixels * grid.pixel_angstrom**2, n_parts)


def local_envelope(estimate: Float, smooth_px: float, /) -> Float:
    """Root of the locally averaged square of a real or complex estimate, Gaussian of width ``smooth_px``."""
    square = np.abs(estimate).astype(np.float32) ** 2
    mean = ndi.gaussian_filter(square, smooth_px, mode="constant", truncate=4.0)
    return np.asarray(np.sqrt(np.clip(mean, 0, None)), dtype=np.float32)


def _level(envelope: Float, threshold: ThresholdRule | float) -> tuple[float, float]:
    """Level that bounds the particle, absolute and as a fraction of the envelope's plateau."""
    top = float(envelope.max())
    base = float(np.median(envelope))
    spread = 1.4826 * float(np.median(np.abs(envelope - base)))
    if top <= 0 or top < base + 6 * spread or top < 1.5 * base:
        raise InputError(
            "no particle stands out in the potential estimate", mend="check the image and its normalisation"
        )
    if isinstance(threshold, str):
        if threshold not in _RULES:
            raise InputError(f"unknown rule {threshold!r}", where="threshold", mend=f"use one of {', '.join(_RULES)}")
        level = float(_RULES[threshold](envelope))
    else:
        if not 0 < threshold < 1:
            raise InputError(f"{threshold:g}", where="threshold", mend="give a fraction between 0 and 1")
        level = threshold * top
    return level, level / top


def _grown(mask: Mask, radius_px: float) -> Mask:
    """Dilate (or, negative, erode) by a disc."""
    if radius_px == 0:
        return mask
    if radius_px > 0:
        return np.asarray(ndi.distance_transform_edt(~mask) <= radius_px)
    return np.asarray(ndi.distance_transform_edt(mask) > -radius_px)
