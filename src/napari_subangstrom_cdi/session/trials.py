"""What work by hand asks again and again, built once in the session's thread; no part of any result.

No Qt. The functions at the end are what a window previews: the same that the Masks step then does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel
from napari_subangstrom_cdi.core.fit.model_fit import (
    Evidence,
    FittedModel,
    fallen_off,
    object_spectrum,
    pattern_r_factor,
)
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.comparison import LiveComparison
from napari_subangstrom_cdi.core.image.geometry import ImageRegistration
from napari_subangstrom_cdi.core.image.normalisation import NormalisedImage
from napari_subangstrom_cdi.core.image.support import Support, SupportFinder, support_from_mask
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.record.friedel import FriedelCheck
from napari_subangstrom_cdi.core.types import Bool, Float32
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io.mask_text import painted_on
from napari_subangstrom_cdi.job.headers import completed
from napari_subangstrom_cdi.job.particle import likely_particle
from napari_subangstrom_cdi.job.plan import Plan, RegionSettings, SupportSettings
from napari_subangstrom_cdi.job.preparation import Prepared
from napari_subangstrom_cdi.job.preparation.amplitudes import Amplitudes
from napari_subangstrom_cdi.job.preparation.image import pair_of
from napari_subangstrom_cdi.job.preparation.load import Loaded, imaging_conditions
from napari_subangstrom_cdi.job.preparation.record import Centred
from napari_subangstrom_cdi.job.preparation.support import largest_extent_px, painted_support


def friedel_check(plan: Plan, loaded: Loaded) -> FriedelCheck | None:
    """The particle's record with its spots found; None where there are none to find."""
    record, hint = loaded.records.particle, plan.acquisition.beam_centre_px
    near = None if hint is None else tuple(size // 2 + h for size, h in zip(record.shape, hint, strict=True))
    try:
        return FriedelCheck(record, near_px=None if near is None else (near[0], near[1]))
    except InputError:
        return None


def live_comparison(
    plan: Plan,
    loaded: Loaded,
    centred: Centred,
    found: ImageRegistration | None,
    image: NormalisedImage | None = None,
) -> LiveComparison | None:
    """Image and pattern to be compared at any geometry, with the phase and defocus of a registration if there is one.

    ``image`` is the particle that was chosen; without it the one at the place that the plan names, or the most active.
    None without an image, or where the two have nothing in common to compare.
    """
    pixel = completed(plan).acquisition.image_pixel_angstrom
    if image is None and loaded.particles:
        image = likely_particle(plan, loaded.particles)
    if image is None or pixel is None:
        return None
    conditions = imaging_conditions(plan)
    if found is not None:
        conditions = replace(conditions, defocus_nm=found.defocus_nm)
    try:
        return LiveComparison(
            pair_of(image, centred.pattern, centred.grid, conditions),
            image_pixel_angstrom=pixel * image.binning,
            object_phase_deg=0.0 if found is None else found.object_phase_deg,
        )
    except InputError:
        return None


@dataclass(frozen=True)
class TriedSupport:
    """A support by settings that are being tried.

    Attributes
    ----------
    automatic : ndarray of bool, shape (n, n)
        Before what was painted.
    support : Support
        With it.
    diameter_angstrom : float
        Its largest extent.
    """

    automatic: Bool
    support: Support
    diameter_angstrom: float


def try_support(settings: SupportSettings, automatic: SupportFinder | Support, grid: Grid) -> TriedSupport:
    """The support that these settings give, found, or given and only painted on.

    Raises
    ------
    InputError
        If there is none.
    """
    if isinstance(automatic, SupportFinder):
        automatic = automatic.find(
            smooth_angstrom=settings.smooth_angstrom,
            threshold=settings.threshold,
            grow_angstrom=settings.grow_angstrom,
        )
    support = painted_support(settings, automatic, grid)
    return TriedSupport(automatic.mask, support, _extent_angstrom(support.mask, grid))


def measured_support(automatic: Bool, mask: Bool, grid: Grid) -> TriedSupport:
    """A painted support in numbers."""
    return TriedSupport(automatic, support_from_mask(mask, grid), _extent_angstrom(mask, grid))


def _extent_angstrom(mask: Bool, grid: Grid) -> float:
    """Largest extent; NaN for a mask without area."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if min(len(rows), len(columns)) < 2:
        return math.nan
    return largest_extent_px(_outline(mask)) * grid.pixel_angstrom


def _outline(mask: Bool) -> Bool:
    """First and last pixel of every row: all that a convex hull needs."""
    ends = np.zeros_like(mask)
    rows = np.flatnonzero(mask.any(axis=1))
    ends[rows, mask[rows].argmax(axis=1)] = True
    ends[rows, mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)] = True
    return ends


@dataclass(frozen=True)
class TriedRegions:
    """Regions by settings that are being tried.

    Attributes
    ----------
    regions : ndarray of uint8, shape (n, n)
        Codes of Region.
    shares : dict
        Fraction of the pixels in each.
    median_noise_electrons : float
        Of σ outside M.
    """

    regions: NDArray[np.uint8]
    shares: dict[Region, float]
    median_noise_electrons: float


def try_regions(settings: RegionSettings, amplitudes: Amplitudes, grid: Grid, *, with_image: bool) -> TriedRegions:
    """The regions that these settings give.

    Raises
    ------
    InputError
        If nothing stands above the noise, or the painted mask is of another array.
    """
    beam_px = settings.beam_radius_per_angstrom / grid.q_pixel_per_angstrom if with_image else 0.0
    excluded = painted_on(grid, settings.excluded, where="regions.excluded")
    regions = replace(amplitudes, beam_radius_px=beam_px).regions(settings, excluded)
    shares = np.bincount(regions.ravel(), minlength=len(Region)) / regions.size
    recorded = amplitudes.noise_std[regions != Region.M]
    return TriedRegions(
        regions,
        {region: float(shares[region]) for region in Region},
        float(np.median(recorded)) if recorded.size else math.nan,
    )


@dataclass(frozen=True)
class TriedModel:
    """A model by values that are being tried.

    Attributes
    ----------
    power : ndarray of float32, shape (n, n)
        Intensity of its pattern, electrons, on the scale of the record.
    r_pattern : float
        R over the pixels of G, before any phasing.
    atoms : AtomicModel
        Of the particle.
    """

    power: Float32
    r_pattern: float
    atoms: AtomicModel


class ModelTrial:
    """A fitted particle to be tilted and thinned by hand, everything else as fitted.

    Parameters
    ----------
    model : FittedModel
        What was fitted.
    prepared : Prepared
        To what.
    energy_ev : float
        Of the beam.
    """

    def __init__(self, model: FittedModel, prepared: Prepared, energy_ev: float) -> None:
        self.model, self._energy_ev = model, energy_ev
        problem, amplitudes = prepared.problem, prepared.amplitudes
        self._electrons = np.float32(1 / amplitudes.scale**2)
        intensity = amplitudes.pattern.intensity / self._electrons
        self._evidence = Evidence(problem.grid, intensity, problem.regions, problem.support)
        self.fitted = self._tried(model.atoms)

    @property
    def grid(self) -> Grid:
        """Of the patterns."""
        return self._evidence.grid

    @property
    def values(self) -> tuple[tuple[float, float], float, float]:
        """Tilt, thickness and roundness as fitted."""
        particle = self.model.particle
        shape = particle.shape
        return particle.orientation.tilt_deg, shape.thickness_angstrom, shape.roundness

    def at(self, tilt_deg: tuple[float, float], thickness_angstrom: float, roundness: float) -> TriedModel:
        """The pattern by multislice, 0.2 s for a thin particle and 1 s for a thick one.

        Parameters
        ----------
        tilt_deg : (float, float)
            Rotation vector about x and y.
        thickness_angstrom, roundness : float
            As of :class:`.core.crystal.nanocrystal.Shape`.

        Raises
        ------
        InputError
            If no atom is left.
        """
        particle = self.model.particle
        orientation = replace(particle.orientation, tilt_deg=tilt_deg)
        shape = replace(particle.shape, thickness_angstrom=thickness_angstrom, roundness=roundness)
        if self.values == (tilt_deg, thickness_angstrom, roundness):
            return self.fitted
        return self._tried(replace(particle, orientation=orientation, shape=shape).atoms())

    def _tried(self, atoms: AtomicModel) -> TriedModel:
        grid = self._evidence.grid
        spectrum = fallen_off(object_spectrum(atoms, grid, self._energy_ev), grid, self.model.fit.falloff_angstrom2)
        r_pattern, scale = pattern_r_factor(spectrum, self._evidence)
        power = np.square(np.abs(spectrum)) * (np.float32(scale**2) * self._electrons)
        return TriedModel(power.astype(np.float32), r_pattern, atoms)
