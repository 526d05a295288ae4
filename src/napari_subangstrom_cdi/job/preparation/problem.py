"""From a plan to a problem that phase retrieval can solve."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.spatial
from numpy.typing import NDArray

from napari_subangstrom_cdi.core import electron, fourier
from napari_subangstrom_cdi.core.fit.model_fit import Evidence, FittedModel
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.potential import NormalisedImage
from napari_subangstrom_cdi.core.image.support import Support, apply_edits, object_support, support_from_mask
from napari_subangstrom_cdi.core.phasing.regions import (
    AmplitudeBand,
    Region,
    amplitude_band,
    find_regions,
    noise_level,
)
from napari_subangstrom_cdi.core.phasing.retrieval import Problem
from napari_subangstrom_cdi.core.phasing.schedule import (
    Schedule,
    extend_schedule,
    model_schedule,
    paper_schedule,
    support_only_schedule,
)
from napari_subangstrom_cdi.core.record.embedding import Pattern, embed, filter_autocorrelation
from napari_subangstrom_cdi.core.types import Bool, Float32
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import read_mask
from napari_subangstrom_cdi.io.mask_text import unpack_mask
from napari_subangstrom_cdi.job.plan import Plan, RegionSettings, SupportSettings

from .clock import Clock, naming
from .image import RegisteredImage, image_diameter, read_normalised, register
from .model import StartingModel, check_model, start_from_model
from .record import Calibration, CentredRecord, Records, centre_record, load_records, reciprocal_pixel

_OVERSAMPLING = 3.5
_LARGEST_ARRAY = 1024
_AUTOCORRELATION_MARGIN = 1.1
_LARGEST_RADIUS = 0.4  # of the array: beyond, there is no noise to remove


@dataclass(frozen=True)
class Loaded:
    """The first step: every file read, the image normalised, the calibration known."""

    records: Records
    calibration: Calibration
    normalised: NormalisedImage | None
    diameter_angstrom: float | None
    given_support: Bool | None


@dataclass(frozen=True)
class Centred:
    """The second step: the pattern without background, beam at element n // 2, on its grid."""

    record: CentredRecord
    binning: int
    grid: Grid
    pattern: Pattern


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


@dataclass(frozen=True)
class Prepared:
    """What the retrieval starts from.

    Parameters
    ----------
    problem : Problem
        In the object's units: σ_e V in radians if there is an image, √electrons without one.
    schedule : tuple of Stage
        The preset's, filled in for these data, or the plan's own.
    amplitudes : Amplitudes
        What the problem's band follows from.
    support : Support
        Object support and its oversampling ratio.
    automatic_support : ndarray of bool
        The support before anything was painted.
    calibrated : bool
        False if the reciprocal pixel is unknown and the grid counts pixels.
    readings : dict
        Numbers of every step, ready for JSON.
    model : FittedModel, optional
        From which members start.
    evidence : Evidence, optional
        What that was fitted to.
    unaided : tuple of Stage, optional
        What would phase these data without the model.
    """

    problem: Problem
    schedule: Schedule
    amplitudes: Amplitudes
    support: Support
    automatic_support: Bool
    calibrated: bool
    readings: dict[str, Any]
    model: FittedModel | None = None
    evidence: Evidence | None = None
    unaided: Schedule | None = None

    @property
    def pattern(self) -> Pattern:
        """Prepared pattern, electrons."""
        return self.amplitudes.pattern


def prepare(plan: Plan, clock: Clock) -> Prepared:
    """Do every step before phase retrieval.

    Raises
    ------
    InputError
        If a file cannot be used, a value is missing, or a step finds nothing to work with.
    """
    if plan.model.use:
        check_model(plan)  # what costs nothing goes first
    loaded = load(plan, clock)
    centred = centre(plan, loaded, clock)
    image = align(plan, loaded, centred, clock)
    prepared = mask(plan, loaded, centred, image, clock)
    if not plan.model.use:
        return prepared
    return started(prepared, model(plan, loaded, image, prepared, clock), image)


def load(plan: Plan, clock: Clock) -> Loaded:
    """Read every file and turn counts into electrons. What costs nothing to check goes first."""
    if plan.inputs.image is None and plan.inputs.support is None:
        raise InputError(
            "neither an image nor a support is given", mend="give --image, or --support with a mask of the object"
        )
    calibrated = reciprocal_pixel(plan)
    given = _given_support(plan)
    normalised = read_normalised(plan, clock) if plan.inputs.image is not None else None
    diameter = image_diameter(plan, normalised) if normalised is not None else None
    return Loaded(load_records(plan, clock), calibrated, normalised, diameter, given)


def centre(plan: Plan, loaded: Loaded, clock: Clock) -> Centred:
    """Find the beam, take the background away, and embed the pattern in its array."""
    record = centre_record(plan, loaded.records, clock)
    q_pixel = loaded.calibration.q_pixel_per_angstrom
    binning, n = choose_sampling(plan, record, q_pixel, loaded.diameter_angstrom)
    with clock.step("embed"):
        pattern = embed(record.record, record.centre_px, binning=binning, n=n)
    return Centred(record, binning, Grid(n, 1 / (q_pixel * binning)), pattern)


def align(plan: Plan, loaded: Loaded, centred: Centred, clock: Clock) -> RegisteredImage | None:
    """Lay the image onto the pattern; None without an image."""
    if loaded.normalised is None:
        return None
    return register(plan, loaded.normalised, centred.pattern, centred.grid, clock)


def mask(plan: Plan, loaded: Loaded, centred: Centred, image: RegisteredImage | None, clock: Clock) -> Prepared:
    """Find the support and the regions, and with them the problem."""
    grid, pattern = centred.grid, centred.pattern
    with clock.step("support"):
        automatic = find_support(plan, loaded.given_support, image, grid)
        support = painted_support(plan.support, automatic, grid)
    if plan.pattern.remove_noise_between_spots and image is not None:
        radius = _AUTOCORRELATION_MARGIN * largest_extent_px(support.mask)
        if radius < _LARGEST_RADIUS * grid.n:
            with clock.step("noise filter"):
                pattern = filter_autocorrelation(pattern, radius, binning=centred.binning)
    with clock.step("regions"):
        problem, amplitudes, region_readings = _problem(plan, pattern, grid, support, image)
    calibration = loaded.calibration
    readings = {
        **centred.record.readings,
        **(image.readings if image else {}),
        **region_readings,
        "binning": centred.binning,
        "array_size": grid.n,
        "calibration": calibration.source,
        "reciprocal_pixel_per_angstrom": calibration.q_pixel_per_angstrom if calibration.known else None,
        "reciprocal_pixel_error_per_angstrom": calibration.error_per_angstrom,
        **_electrons(plan.acquisition.energy_ev),
        "field_of_view_angstrom": grid.field_of_view_angstrom if calibration.known else None,
        "oversampling_ratio": support.oversampling_ratio,
        "support_threshold": support.threshold,
    }
    schedule = choose_schedule(plan, image, problem)
    return Prepared(problem, schedule, amplitudes, support, automatic.mask, calibration.known, readings)


def model(plan: Plan, loaded: Loaded, image: RegisteredImage | None, prepared: Prepared, clock: Clock) -> StartingModel:
    """Fit the crystal that the plan names, whether members then start from it or not.

    It does not depend on α and how it is read: where the model is rebuilt from a reconstruction, that is made with
    their defaults.

    Raises
    ------
    InputError
        If there is no such crystal or zone, or the zone does not show in the pattern.
    """
    check_model(plan)
    usual = RegionSettings()
    settings = replace(plan.regions, alpha=usual.alpha, reading=usual.reading)
    amplitudes, problem = prepared.amplitudes, prepared.problem
    problem = replace(problem, band=amplitudes.band(problem.regions, settings))
    intensity = amplitudes.pattern.intensity * np.float32(amplitudes.scale**2)
    q_pixel = loaded.calibration.q_pixel_per_angstrom
    return start_from_model(plan, problem, intensity, loaded.normalised, image, q_pixel, clock)


def started(prepared: Prepared, model: StartingModel, image: RegisteredImage | None) -> Prepared:
    """The same with members that start from a model."""
    problem = replace(prepared.problem, model=model.fitted.object_field)
    unaided = None if image is None else extended_schedule(image, problem)
    readings = {**prepared.readings, "model": model.readings}
    return replace(
        prepared, problem=problem, readings=readings, model=model.fitted, evidence=model.evidence, unaided=unaided
    )


def _electrons(energy_ev: float | None) -> dict[str, float]:
    """What turns the object into volts: V = O / σ_e, in V Å."""
    if energy_ev is None:
        return {}
    return {
        "wavelength_angstrom": electron.wavelength_angstrom(energy_ev),
        "interaction_constant_rad_per_volt_angstrom": electron.interaction_constant(energy_ev),
    }


def choose_sampling(
    plan: Plan, centred: CentredRecord, q_pixel: float, diameter_angstrom: float | None
) -> tuple[int, int]:
    """Binning and array size: the smallest array up to 1,024 that still oversamples the particle well.

    Raises
    ------
    InputError
        If the particle does not fit into the field of view of the pattern.
    """
    raw = max(centred.record.shape)
    binning = plan.pattern.binning
    if binning is None:
        binning = 1
        if diameter_angstrom is not None:
            most = int(1 / q_pixel / (_OVERSAMPLING * diameter_angstrom))
            binning = max(1, min(most, -(-raw // _LARGEST_ARRAY)))
    if diameter_angstrom is not None and 1 / (q_pixel * binning) < 2 * diameter_angstrom:
        raise InputError(
            f"the particle of {diameter_angstrom:.0f} Å does not fit twice into the pattern's field of view of "
            f"{1 / (q_pixel * binning):.0f} Å",
            where=plan.inputs.image,
            mend="check the image pixel and the camera length" + (", or use a smaller binning" if binning > 1 else ""),
        )
    n = plan.pattern.array_size or -(-raw // binning)
    return binning, n + n % 2


def _given_support(plan: Plan) -> Bool | None:
    if plan.inputs.support is None:
        return None
    mask = read_mask(plan.inputs.support)
    if not mask.any() or mask.all():
        raise InputError(
            f"the mask is {'empty' if not mask.any() else 'full'}",
            where=plan.inputs.support,
            mend="give a mask that is non-zero on the object and zero around it",
        )
    return mask


def find_support(plan: Plan, given: Bool | None, image: RegisteredImage | None, grid: Grid) -> Support:
    """Object support: the mask given, else from the image's potential."""
    if given is not None:
        with naming(plan.inputs.support):
            if max(given.shape) > grid.n or given.shape[0] != given.shape[1]:
                raise InputError(
                    f"the support has shape {given.shape}, the pattern's array {grid.shape}",
                    mend="give a centred square mask, no larger than the pattern's array",
                )
            return support_from_mask(fourier.fit_to_size(given, grid.n), grid)
    if image is None:
        raise InputError("no support without an image", mend="give --support")
    settings = plan.support
    return object_support(
        image.outline,
        grid,
        smooth_angstrom=settings.smooth_angstrom,
        threshold=settings.threshold,
        grow_angstrom=settings.grow_angstrom,
    )


def painted_support(settings: SupportSettings, automatic: Support, grid: Grid) -> Support:
    """The support with what was painted onto it and erased from it."""
    added = unpack_on(grid, settings.added, where="support.added")
    removed = unpack_on(grid, settings.removed, where="support.removed")
    if added is None and removed is None:
        return automatic
    painted = apply_edits(automatic.mask, added, removed)
    return support_from_mask(painted, grid, automatic.threshold, automatic.n_parts)


def unpack_on(grid: Grid, text: str | None, *, where: str) -> Bool | None:
    """A mask that was painted on this grid; None if nothing was.

    Raises
    ------
    InputError
        If the text is damaged or the mask was painted on another array.
    """
    mask = unpack_mask(text, where=where) if text else None
    if mask is not None and mask.shape != grid.shape:
        raise InputError(
            f"was painted on an array of {mask.shape[0]} pixels, the pattern's has {grid.n}",
            where=where,
            mend="set binning and array size as they were, or clear what was painted",
        )
    return mask


def choose_schedule(plan: Plan, image: RegisteredImage | None, problem: Problem) -> Schedule:
    """The plan's own schedule, or its preset's for these data."""
    if plan.retrieval.schedule:
        return plan.retrieval.schedule
    if plan.retrieval.preset == "model":
        return model_schedule()
    if plan.retrieval.preset == "paper":
        return paper_schedule(with_image=image is not None)
    if image is None:
        return support_only_schedule()
    return extended_schedule(image, problem)


def extended_schedule(image: RegisteredImage, problem: Problem) -> Schedule:
    """From the image's band to the last amplitude of G."""
    good = problem.regions == Region.G
    q_last = float(problem.grid.q_per_angstrom()[good].max())
    return extend_schedule(round(image.band_limit_per_angstrom, 4), round(q_last, 4))


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


def largest_extent_px(mask: Bool) -> float:
    """Largest distance between two points of a mask, pixels."""
    points = np.argwhere(mask)
    hull = points[scipy.spatial.ConvexHull(points).vertices]
    return float(scipy.spatial.distance.pdist(hull).max()) + 1


def amplitudes_of(plan: Plan, pattern: Pattern, grid: Grid) -> Amplitudes:
    """Noise and beam of a pattern, its amplitudes in √electrons still."""
    if plan.inputs.image is None:  # it may be speckle all over, and has no scatter between spots to measure
        return Amplitudes(pattern, np.sqrt(pattern.variance), 1.0, 0.0)
    noise_std = noise_level(pattern.intensity, pattern.variance, pattern.valid)
    return Amplitudes(pattern, noise_std, 1.0, plan.regions.beam_radius_per_angstrom / grid.q_pixel_per_angstrom)


def regions_of(plan: Plan, amplitudes: Amplitudes, grid: Grid) -> NDArray[np.uint8]:
    """M, B and G of a pattern by the plan's settings, and what was excluded by hand."""
    return amplitudes.regions(plan.regions, unpack_on(grid, plan.regions.excluded, where="regions.excluded"))


def _problem(
    plan: Plan, pattern: Pattern, grid: Grid, support: Support, image: RegisteredImage | None
) -> tuple[Problem, Amplitudes, dict[str, Any]]:
    amplitudes = amplitudes_of(plan, pattern, grid)
    regions = regions_of(plan, amplitudes, grid)
    if image is not None:
        amplitudes = replace(amplitudes, scale=amplitude_scale(pattern.intensity, regions, image, grid))
    problem = Problem(
        grid,
        np.sqrt(np.maximum(pattern.intensity, 0)) * np.float32(amplitudes.scale),
        amplitudes.band(regions, plan.regions),
        regions,
        support.mask,
        image.potential if image else None,
        image.transfer if image else None,
    )
    shares = np.bincount(regions.ravel(), minlength=3) / regions.size
    return (
        problem,
        amplitudes,
        {
            "regions": {"G": float(shares[Region.G]), "B": float(shares[Region.B]), "M": float(shares[Region.M])},
            "amplitude_scale": float(np.float32(amplitudes.scale)),
            "median_noise_electrons": float(np.median(amplitudes.noise_std[regions != Region.M])),
        },
    )
