"""Image and pattern of one particle, with all that is needed to compare them."""

from __future__ import annotations

from dataclasses import dataclass

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.types import Bool, Float32

from .potential import ImagingConditions, NormalisedImage


@dataclass(frozen=True)
class Pair:
    """A TEM image and a diffraction pattern.

    Parameters
    ----------
    image : NormalisedImage
        From :func:`~napari_subangstrom_cdi.core.image.potential.normalise_to_vacuum`.
    pattern : ndarray, shape (n, n)
        Intensity on ``grid``, background subtracted, beam at element n // 2.
    grid : Grid
        Sampling of the pattern.
    conditions : ImagingConditions, optional
        Nominal aberrations of the image, and its information limit.
    valid : ndarray of bool, shape (n, n), optional
        Where the pattern was recorded and not saturated.
    noise_std : ndarray, shape (n, n), optional
        Standard deviation of the pattern; estimated from its outermost ring if not given.
    """

    image: NormalisedImage
    pattern: Float32
    grid: Grid
    conditions: ImagingConditions | None = None
    valid: Bool | None = None
    noise_std: Float32 | None = None
