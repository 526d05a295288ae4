"""From the pattern to regions and limits of the amplitudes, whatever is then set for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import (
    AmplitudeBand,
    Region,
    amplitude_band,
    find_regions,
    noise_level,
)
from napari_subangstrom_cdi.core.record.embedding import Pattern
from napari_subangstrom_cdi.core.types import Bool, Float32
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io.mask_text import painted_on
from napari_subangstrom_cdi.job.plan import Plan, RegionSettings

from .image import RegisteredImage


@dataclass(frozen=True)
class Amplitudes:
    """What the measured amplitudes follow from, whatever is then set for the regions.

    Parameters
    ----------
    pattern : Pattern
        Prepared pattern, electrons.
    noise_std : ndarray of float32, shape (n, n)
        σ of the background intensity, electrons.
    scale : float
        From √electrons to the units of the object's transform.
    beam_radius_px : float
        Of the direct beam.
    """

    pattern: Pattern
    noise_std: Float32
    scale: float
    beam_radius_px: float

    def regions(self, settings: RegionSettings, excluded: Bool | None = None) -> NDArray[np.uint8]:
        """Divide the pattern into M, B and G by these settings."""
        return find_regions(
            self.pattern.intensity,
            self.noise_std,
            self.pattern.valid,
            noise_multiple=settings.noise_multiple,
            beam_radius_px=self.beam_radius_px,
            user_mask=excluded,
        )

    def band(self, regions: NDArray[np.uint8], settings: RegionSettings) -> AmplitudeBand:
        """Limits of the amplitudes in the units of the object's transform."""
        band = amplitude_band(
            self.pattern.intensity,
            self.noise_std,
            regions,
            alpha=settings.alpha,
            noise_multiple=settings.noise_multiple,
            reading=settings.reading,
        )
        scale = np.float32(self.scale)
        return AmplitudeBand(band.lower * scale, band.upper * scale)


def amplitudes_of(plan: Plan, pattern: Pattern, grid: Grid) -> Amplitudes:
    """Noise and beam of a pattern, its amplitudes in √electrons still."""
    if plan.inputs.image is None:  # it may be speckle all over, and has no scatter between spots to measure
        return Amplitudes(pattern, np.sqrt(pattern.variance), 1.0, 0.0)
    noise_std = noise_level(pattern.intensity, pattern.variance, pattern.valid)
    return Amplitudes(pattern, noise_std, 1.0, plan.regions.beam_radius_per_angstrom / grid.q_pixel_per_angstrom)


def regions_of(plan: Plan, amplitudes: Amplitudes, grid: Grid) -> NDArray[np.uint8]:
    """M, B and G of a pattern by the plan's settings, and what was excluded by hand."""
    return amplitudes.regions(plan.regions, painted_on(grid, plan.regions.excluded, where="regions.excluded"))


def amplitude_scale(pattern: Float32, regions: NDArray[np.uint8], image: RegisteredImage, grid: Grid) -> float:
    """Factor from √electrons to the units of the potential's transform: least squares over the common band.

    Only pixels of G weigh in, so that the noise of the image between the spots does not.
    """
    spectrum = np.abs(fourier.transform(image.potential.astype(np.complex64)))
    weight = image.transfer(grid.q_per_angstrom())
    chosen = (regions == Region.G) & (weight > 0.5)
    amplitude = np.sqrt(np.maximum(pattern, 0))
    below = float(np.sum(amplitude[chosen].astype(np.float64) ** 2))
    if below <= 0:
        raise InputError(
            "image and pattern have no reflection in common",
            mend="check the image pixel, the camera length and the information limit",
        )
    return float(np.sum(spectrum[chosen].astype(np.float64) * amplitude[chosen])) / below
