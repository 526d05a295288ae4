"""The reciprocal mask: where the pattern is signal (G), noise (B) or was not recorded (M).

Source: Huang et al., Nature Physics 5, 129 (2009), Methods, doi:10.1038/nphys1161.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Literal

import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.types import Bool, Float32
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.parameters import Parameter, check_value, described

Alpha = Annotated[
    float,
    Parameter(
        "α",
        "Share of the amplitude that is kept where the pattern does not stand above the noise (region B).",
        low=0,
        high=1,
        step=0.01,
        decimals=3,
    ),
]
NoiseMultiple = Annotated[
    float,
    Parameter(
        "Noise multiple",
        "Signal (region G) is where the intensity exceeds this many σ of the background; the paper takes 3.",
        unit="σ",
        above=0,
        high=1000,
        step=0.05,
        decimals=2,
        reach=(0.5, 10),
    ),
]
Reading = Annotated[
    Literal["methods", "upper-limit"],
    Parameter(
        "In region B",
        "The paper has two readings: its Methods fix the amplitude to α times the lesser of √I and √(kσ), its main "
        "text only forbids intensities above kσ.",
        words=(("methods", "fix |F| (Methods)"), ("upper-limit", "upper limit only")),
        advanced=True,
    ),
]
ALPHA, NOISE_MULTIPLE = 0.3, 3.0
"""The paper's."""


class Region(IntEnum):
    """Codes of the reciprocal mask."""

    M = 0
    """Not recorded: beam, stop, saturated or dead pixels, beyond the detector."""
    B = 1
    """Recorded, but not above the background noise."""
    G = 2
    """Recorded and above the background noise."""


@dataclass(frozen=True)
class AmplitudeBand:
    """Per-pixel limits of the Fourier amplitude, ``lower <= |F| <= upper``, centred, shape (n, n).

    G has ``lower == upper``; M has 0 and infinity; B lies between, by either reading of the paper.
    """

    lower: Float32
    upper: Float32

    def __post_init__(self) -> None:
        if self.lower.shape != self.upper.shape:
            raise InputError(f"band limits of shapes {self.lower.shape} and {self.upper.shape}")
        if np.isnan(self.lower).any() or np.isnan(self.upper).any():
            raise InputError("an amplitude band with NaN limits", mend="send these pixels to M")
        if np.any(self.lower > self.upper) or np.any(self.lower < 0):
            raise InputError("an amplitude band with a lower limit below zero or above the upper one")

    def project(self, spectrum: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Move every amplitude to the nearest one inside the band; phases stay.

        A zero coefficient where the band demands an amplitude gets phase zero.
        """
        amplitude = np.abs(spectrum)
        wanted = np.clip(amplitude, self.lower, self.upper)
        known = amplitude >= np.finfo(np.float32).tiny  # a subnormal number has no phase to speak of
        phase = np.where(known, spectrum / np.where(known, amplitude, 1), 1)
        return (wanted * phase).astype(spectrum.dtype)


def find_regions(
    intensity: Float32,
    noise_std: Float32,
    valid: Bool,
    *,
    noise_multiple: NoiseMultiple = NOISE_MULTIPLE,
    beam_radius_px: float = 0.0,
    min_pixels: int = 3,
    user_mask: Bool | None = None,
) -> NDArray[np.uint8]:
    """Divide the pattern into G, B and M.

    Parameters
    ----------
    intensity : ndarray of float32, shape (n, n)
        Background-subtracted pattern, centred, electrons.
    noise_std : ndarray of float32, shape (n, n)
        Standard deviation of the background intensity σ at each pixel, electrons.
    valid : ndarray of bool, shape (n, n)
        False where nothing was recorded.
    noise_multiple : float
        G is where the intensity exceeds this many σ.
    beam_radius_px : float
        Radius around the origin that goes to M: the direct beam.
    min_pixels : int
        Connected groups of G with fewer pixels are noise and go to B.
    user_mask : ndarray of bool, optional
        True sends a pixel to M.

    Returns
    -------
    ndarray of uint8, shape (n, n)
        Codes of :class:`Region`.

    Raises
    ------
    InputError
        If the shapes differ, the multiple is impossible or no pixel stands above the noise.
    """
    for name, array in (("noise", noise_std), ("valid mask", valid), ("user mask", user_mask)):
        if array is not None and array.shape != intensity.shape:
            raise InputError(f"the {name} has shape {array.shape}, the pattern {intensity.shape}")
    check_value(described("noise_multiple", NoiseMultiple), noise_multiple)
    missing = ~valid
    if user_mask is not None:
        missing = missing | user_mask
    if beam_radius_px > 0:
        centre = [size // 2 for size in intensity.shape]
        y, x = np.ogrid[: intensity.shape[0], : intensity.shape[1]]
        missing = missing | (np.hypot(y - centre[0], x - centre[1]) <= beam_radius_px)
    signal = (intensity > noise_multiple * noise_std) & ~missing
    labels, count = ndi.label(signal, np.ones((3, 3)))
    if count:
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        signal &= sizes[labels] >= min_pixels
    if not signal.any():
        raise InputError(
            f"no pixel of the pattern stands {noise_multiple:g} σ above the background",
            mend="check the background record and the noise multiple",
        )
    regions = np.full(intensity.shape, Region.B, np.uint8)
    regions[signal] = Region.G
    regions[missing] = Region.M
    return regions


def with_friedel_mates(mask: Bool, /) -> Bool:
    """Add the pixel at -q for every pixel at q of a centred mask.

    The origin is element n // 2. Along an even side element 0 has no other at -q: it is its own mate.

    Parameters
    ----------
    mask : ndarray of bool, shape (ny, nx)
        For example what a user has painted over a beam stop.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
    """
    turned = np.roll(mask[::-1, ::-1], [1 - size % 2 for size in mask.shape], axis=(0, 1))
    return np.asarray(mask | turned, dtype=bool)


def noise_level(intensity: Float32, variance: Float32, valid: Bool, *, block_px: int = 32) -> Float32:
    """Standard deviation of the background intensity, from the data where they tell it.

    The expected variance (counting and dark noise) is scaled block-wise to the scatter actually
    seen in the lower half of each block's pixels, so that spots do not count; it is never lowered
    below the expectation by more than a factor of two.

    Parameters
    ----------
    intensity, variance : ndarray of float32, shape (n, n)
        Pattern and its expected variance, electrons and electrons².
    valid : ndarray of bool
        Pixels to use.
    block_px : int
        Side of a block.

    Returns
    -------
    ndarray of float32, shape (n, n)
        σ at each pixel, electrons.
    """
    block_px = min(block_px, *intensity.shape)
    expected = np.sqrt(np.maximum(variance, 1e-12))
    score = np.where(valid, intensity / expected, np.nan)
    ny, nx = (size // block_px for size in score.shape)
    blocks = score[: ny * block_px, : nx * block_px].reshape(ny, block_px, nx, block_px)
    flat = blocks.transpose(0, 2, 1, 3).reshape(ny, nx, -1)
    enough = np.isfinite(flat).mean(axis=2) > 0.25
    with np.errstate(all="ignore"):
        low, middle = np.nanpercentile(np.where(enough[..., None], flat, 0.0), [15.87, 50], axis=2)
    ratio = np.where(enough, np.clip(middle - low, 0.5, 10.0), 1.0)
    smooth = ndi.median_filter(ratio, size=3, mode="nearest")
    zoom = [size / count for size, count in zip(score.shape, smooth.shape, strict=True)]
    factor = ndi.zoom(smooth, zoom, order=1, mode="nearest", grid_mode=True)
    return (expected * factor).astype(np.float32)


def amplitude_band(
    intensity: Float32,
    noise_std: Float32,
    regions: NDArray[np.uint8],
    *,
    alpha: Alpha = ALPHA,
    noise_multiple: NoiseMultiple = NOISE_MULTIPLE,
    reading: Reading = "methods",
) -> AmplitudeBand:
    """Limits on |F| from the pattern, by either of the paper's two readings of region B.

    ``methods`` fixes ``|F| = α min(√I, √(kσ))`` in B, as the formula of the Methods does;
    ``upper-limit`` only forbids ``|F|² > kσ`` there, as the main text does. k is ``noise_multiple``.

    Parameters
    ----------
    intensity, noise_std : ndarray of float32, shape (n, n)
        Pattern and σ, electrons, centred.
    regions : ndarray of uint8
        Codes of :class:`Region`.
    alpha : float
        The paper's α, 0 to 1.
    noise_multiple : float
        The paper's 3.
    reading : {'methods', 'upper-limit'}
        Which of the two.

    Raises
    ------
    InputError
        If ``alpha`` is outside 0 to 1 or ``reading`` is unknown.
    """
    check_value(described("alpha", Alpha), alpha)
    check_value(described("reading", Reading), reading)
    amplitude = np.sqrt(np.maximum(intensity, 0)).astype(np.float32)
    ceiling = np.sqrt(noise_multiple * noise_std).astype(np.float32)
    good, background = regions == Region.G, regions == Region.B
    lower = np.where(good, amplitude, np.float32(0))
    upper = np.where(good, amplitude, np.float32(np.inf))
    if reading == "methods":
        held = np.float32(alpha) * np.minimum(amplitude, ceiling)
        lower[background] = upper[background] = held[background]
    else:
        upper[background] = ceiling[background]
    return AmplitudeBand(lower, upper)
