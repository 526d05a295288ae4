"""From files to a problem that phase retrieval can solve: read, subtract, centre, register, mask."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.spatial
from numpy.typing import NDArray

from .core import calibration, fourier
from .core.background import (
    fit_smooth_background,
    register_background,
    subtract_background,
    subtract_smooth_background,
)
from .core.centring import find_beam_centre
from .core.detector import Detector, Record, calibrate, calibrate_pair
from .core.embedding import Pattern, embed
from .core.grid import Grid
from .core.potential import (
    ImagingConditions,
    NormalisedImage,
    ctf,
    normalise_to_vacuum,
    weak_phase_potential,
    wiener_potential,
)
from .core.regions import AmplitudeBand, Region, amplitude_band, find_regions, noise_level
from .core.registration import ImageRegistration, register_image, resample_to_pattern
from .core.retrieval import Problem
from .core.schedule import Schedule, extend_schedule, paper_schedule, support_only_schedule
from .core.support import Support, object_support, support_from_mask
from .errors import InputError, QualityWarning
from .io import read_image, read_mask, require
from .plan import Plan, RegionSettings

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

_OVERSAMPLING = 3.5
_LARGEST_ARRAY = 1024
_AUTOCORRELATION_MARGIN = 1.1
_WIENER_FLOOR = 0.1
_LOWEST_IMAGE_Q = 0.05


@dataclass
class Clock:
    """Seconds of each step, in the order of the steps; tells a listener when one begins."""

    on_step: Callable[[str], None] = lambda name: None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; the same name adds up."""
        self.on_step(name)
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


@dataclass(frozen=True)
class CentredRecord:
    """The particle's record in electrons, without its background, and where the beam is."""

    record: Record
    centre_px: tuple[float, float]
    report: dict[str, Any]


@dataclass(frozen=True)
class RegisteredImage:
    """The potential from the image on the pattern's grid, and how it came there."""

    potential: Float
    transfer: Callable[[Float], Float]
    band_limit_per_angstrom: float
    registration: ImageRegistration
    report: dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """What the retrieval starts from.

    Parameters
    ----------
    problem : Problem
        In the object's units: σ_e V in radians if there is an image, √electrons without one.
    schedule : tuple of Stage
        The preset's, filled in for these data, or the plan's own.
    pattern : Pattern
        Prepared pattern, electrons.
    support : Support
        Object support and its oversampling ratio.
    calibrated : bool
        False if the reciprocal pixel is unknown and the grid counts pixels.
    report : dict
        Numbers of every step, ready for JSON.
    """

    problem: Problem
    schedule: Schedule
    pattern: Pattern
    support: Support
    calibrated: bool
    report: dict[str, Any]


def prepare(plan: Plan, clock: Clock) -> Prepared:
    """Do every step before phase retrieval.

    Raises
    ------
    InputError
        If a file cannot be used, a value is missing, or a step finds nothing to work with.
    """
    if plan.inputs.image is None and plan.inputs.support is None:
        raise InputError(
            "neither an image nor a support is given", mend="give --image, or --support with a mask of the object"
        )
    centred = prepare_record(plan, clock)
    q_pixel, calibrated = reciprocal_pixel(plan)
    normalised = _read_image(plan, clock) if plan.inputs.image is not None else None
    diameter = _image_diameter(plan, normalised) if normalised is not None else None
    binning, n = choose_sampling(plan, centred, q_pixel, diameter)
    grid = Grid(n, 1 / (q_pixel * binning))
    with clock.step("embed"):
        pattern = embed(centred.record, centred.centre_px, binning=binning, n=n)
    image = _register(plan, normalised, pattern, grid, clock) if normalised is not None else None
    with clock.step("support"):
        support = find_support(plan, image, grid)
    with clock.step("noise filter"):
        if plan.pattern.remove_noise_between_spots and image is not None:
            radius = _AUTOCORRELATION_MARGIN * largest_extent_px(support.mask)
            if radius * 1.2 < n / 2:
                pattern = embed(
                    centred.record, centred.centre_px, binning=binning, n=n, autocorrelation_radius_px=radius
                )
    with clock.step("regions"):
        problem, regions_report = _problem(plan, pattern, grid, support, image)
    report = {
        **centred.report,
        **(image.report if image else {}),
        **regions_report,
        "binning": binning,
        "array_size": n,
        "field_of_view_angstrom": grid.field_of_view_angstrom if calibrated else None,
        "oversampling_ratio": support.oversampling_ratio,
        "support_threshold": support.threshold,
    }
    return Prepared(problem, choose_schedule(plan, image, problem), pattern, support, calibrated, report)


def prepare_record(plan: Plan, clock: Clock) -> CentredRecord:
    """Read the pattern, take its background away and find the beam."""
    inputs, acquisition = plan.inputs, plan.acquisition
    with clock.step("read"):
        counts = read_image(inputs.pattern, frame=inputs.pattern_frame).data
        bad = read_mask(inputs.mask) if inputs.mask else None
        if bad is not None and bad.shape != counts.shape:
            raise InputError(f"has shape {bad.shape}, the pattern {counts.shape}", where=str(inputs.mask))
        record_b = None
        if inputs.background not in ("fit", "none"):
            record_b = read_image(inputs.background, frame=inputs.background_frame).data
            if record_b.shape != counts.shape:
                raise InputError(
                    f"has shape {record_b.shape}, the pattern {counts.shape}",
                    where=inputs.background,
                    mend="give two records of the same detector and binning",
                )
    with clock.step("calibrate"), _naming(inputs.pattern):
        detector = Detector(
            counts_per_electron=acquisition.counts_per_electron or 1.0,
            offset_counts=acquisition.offset_counts,
            dark_noise_electrons=acquisition.dark_noise_electrons or 0.0,
            saturation_counts=acquisition.saturation_counts,
        )
        if record_b is None:
            subtracted = inputs.background == "none"
            record, seen = calibrate(counts, detector, bad_pixels=bad, subtracted=subtracted)
            background = None
        else:
            (record, seen), (background, _) = calibrate_pair(counts, record_b, detector, bad_pixels=bad)
    # The substrate's spots are Friedel pairs too: the beam is found before they are subtracted.
    with clock.step("centre"), _naming(inputs.pattern):
        centre, uncertainty = _beam_centre(plan, record)
    with clock.step("background"):
        record, subtraction = _subtract(plan, record, background, centre)
    report: dict[str, Any] = {
        "detector": {
            "offset_counts": seen.offset_counts,
            "offset_estimated": seen.offset_estimated,
            "saturated_pixels": seen.n_saturated,
            "hot_pixels": seen.n_hot,
            "dead_pixels": seen.n_dead,
        },
        "background": subtraction,
    }
    middle = [size // 2 for size in record.shape]
    report["beam_centre_px"] = [centre[0] - middle[0], centre[1] - middle[1]]
    report["beam_centre_error_px"] = uncertainty
    return CentredRecord(record, centre, report)


def reciprocal_pixel(plan: Plan) -> tuple[float, bool]:
    """Reciprocal pixel of the raw pattern in Å⁻¹, and whether it is calibrated.

    Without an image an uncalibrated pattern can still be phased; its pixel is then such that the
    raw array's real-space pixel counts as 1.

    Raises
    ------
    InputError
        If there is an image but no calibration.
    """
    acquisition = plan.acquisition
    if acquisition.reciprocal_pixel_per_angstrom is not None:
        return acquisition.reciprocal_pixel_per_angstrom, True
    known = (acquisition.camera_length_mm, acquisition.detector_pixel_um, acquisition.energy_ev)
    if plan.inputs.image is None and any(value is None for value in known):
        return 1.0 / max(read_image(plan.inputs.pattern, frame=plan.inputs.pattern_frame).data.shape), False
    camera_length, pixel, energy = require(acquisition, "camera_length_mm", "detector_pixel_um", "energy_ev")
    return calibration.q_pixel_from_camera_length(camera_length, detector_pixel_um=pixel, energy_ev=energy), True


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
            mend="check the image pixel and the camera length, or use a smaller binning",
        )
    n = plan.pattern.array_size or -(-raw // binning)
    return binning, n + n % 2


def largest_extent_px(mask: Bool) -> float:
    """Largest distance between two points of a mask, pixels."""
    points = np.argwhere(mask)
    hull = points[scipy.spatial.ConvexHull(points).vertices]
    return float(scipy.spatial.distance.pdist(hull).max()) + 1


def find_support(plan: Plan, image: RegisteredImage | None, grid: Grid) -> Support:
    """Object support: from the file given, else from the image's potential."""
    if plan.inputs.support is not None:
        mask = read_mask(plan.inputs.support)
        with _naming(plan.inputs.support):
            if max(mask.shape) > grid.n or mask.shape[0] != mask.shape[1]:
                raise InputError(
                    f"the support has shape {mask.shape}, the pattern's array {grid.shape}",
                    mend="give a centred mask on the pattern's array",
                )
            return support_from_mask(fourier.fit_to_size(mask, grid.n), grid)
    if image is None:
        raise InputError("no support without an image", mend="give --support")
    settings = plan.support
    return object_support(
        image.potential,
        grid,
        smooth_angstrom=settings.smooth_angstrom,
        threshold=settings.threshold,
        grow_angstrom=settings.grow_angstrom,
    )


def choose_schedule(plan: Plan, image: RegisteredImage | None, problem: Problem) -> Schedule:
    """The plan's own schedule, or its preset's for these data."""
    if plan.retrieval.schedule:
        return plan.retrieval.schedule
    if plan.retrieval.preset == "paper":
        return paper_schedule(with_image=image is not None)
    if image is None:
        return support_only_schedule()
    good = problem.regions == Region.G
    q_last = float(problem.grid.q_per_angstrom()[good].max())
    return extend_schedule(round(image.band_limit_per_angstrom, 4), round(q_last, 4))


def amplitude_scale(pattern: Float, regions: NDArray[np.uint8], image: RegisteredImage, grid: Grid) -> float:
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


@contextmanager
def _naming(path: str | None) -> Iterator[None]:
    """Put the file's name before an error that does not say where it is."""
    try:
        yield
    except InputError as error:
        if error.where is None and path is not None:
            raise InputError(error.problem, where=Path(path).name, mend=error.mend) from error
        raise


def _subtract(
    plan: Plan, record: Record, background: Record | None, centre_px: tuple[float, float]
) -> tuple[Record, dict[str, Any]]:
    """Take away the background record, a fitted one, or nothing; and what was done."""
    if plan.inputs.background == "none":
        return record, {"kind": "none"}
    if background is None:
        warnings.warn(
            "no background record: a smooth background is fitted to the pattern; spots of the substrate stay in it",
            QualityWarning,
            stacklevel=2,
        )
        fitted = fit_smooth_background(record, centre_px)
        return subtract_smooth_background(record, fitted), {"kind": "fit", "ellipticity": fitted.ellipticity}
    with _naming(plan.inputs.background):
        fit = register_background(record, background, beam_centre_px=centre_px)
        numbers = {key: value for key, value in asdict(fit).items() if key != "beam_centre_px"}
        return subtract_background(record, background, fit), {"kind": "record", **numbers}


def _beam_centre(plan: Plan, record: Record) -> tuple[tuple[float, float], list[float] | None]:
    """Beam in the raw record: by ±g spots, or as told where a pattern has no image and no spots."""
    hint = plan.acquisition.beam_centre_px
    middle = (record.shape[0] // 2, record.shape[1] // 2)
    if plan.inputs.image is None:
        if hint is None:
            warnings.warn(
                "the beam is taken to be at the pattern's centre; beam_centre_px in the acquisition can say otherwise",
                QualityWarning,
                stacklevel=2,
            )
        offset = hint or (0.0, 0.0)
        return (middle[0] + offset[0], middle[1] + offset[1]), None
    start = None if hint is None else (middle[0] + hint[0], middle[1] + hint[1])
    found = find_beam_centre(record, start_px=start)
    return found.centre_px, list(found.standard_error_px)


def _read_image(plan: Plan, clock: Clock) -> NormalisedImage:
    with clock.step("read"):
        data = read_image(str(plan.inputs.image), frame=plan.inputs.image_frame).data
    with clock.step("potential"), _naming(plan.inputs.image):
        return normalise_to_vacuum(data)


def _image_diameter(plan: Plan, image: NormalisedImage) -> float:
    (pixel,) = require(plan.acquisition, "image_pixel_angstrom")
    return image.diameter_px * pixel


def _conditions(plan: Plan) -> ImagingConditions:
    energy, cs, defocus, limit = require(
        plan.acquisition, "energy_ev", "cs_mm", "defocus_nm", "information_limit_per_angstrom"
    )
    return ImagingConditions(energy, cs, defocus, plan.acquisition.defocus_spread_nm or 0.0, limit)


def _register(plan: Plan, image: NormalisedImage, pattern: Pattern, grid: Grid, clock: Clock) -> RegisteredImage:
    nominal, conditions = _image_diameter(plan, image) / image.diameter_px, _conditions(plan)
    with clock.step("register image"), _naming(plan.inputs.image):
        found = register_image(
            image,
            pattern.intensity,
            grid,
            image_pixel_angstrom=nominal,
            conditions=conditions,
            rotation_deg=plan.acquisition.image_to_pattern_rotation_deg,
            mirrored=plan.image.mirrored,
            valid=pattern.valid,
            noise_std=np.sqrt(pattern.variance),
        )
    conditions = replace(conditions, defocus_nm=found.defocus_nm)
    with clock.step("potential"), _naming(plan.inputs.image):
        if plan.image.potential == "wiener":
            estimate = wiener_potential(
                image,
                pixel_angstrom=found.image_pixel_angstrom,
                conditions=conditions,
                object_phase_deg=found.object_phase_deg,
            )
        else:
            estimate = weak_phase_potential(image.intensity)
        potential = resample_to_pattern(estimate, found, grid, centre_px=image.centre_px)
    transfer = _image_transfer(plan, conditions, found.object_phase_deg)
    return RegisteredImage(
        potential, transfer, conditions.information_limit_per_angstrom, found, _registration_report(found)
    )


def _image_transfer(plan: Plan, conditions: ImagingConditions, object_phase_deg: float) -> Callable[[Float], Float]:
    """h(|q|): what of the object the potential from the image holds, 0 to 1."""
    limit = conditions.information_limit_per_angstrom

    def transfer(q: Float) -> Float:
        inside = (q <= limit) & (q >= _LOWEST_IMAGE_Q)
        if plan.image.potential == "weak-phase":
            return inside.astype(np.float32)
        power = ctf(q, conditions, object_phase_deg=object_phase_deg) ** 2
        return np.where(inside, power / (power + _WIENER_FLOOR), 0).astype(np.float32)

    return transfer


def _registration_report(found: ImageRegistration) -> dict[str, Any]:
    return {
        "registration": {
            "rotation_deg": found.rotation_deg,
            "rotation_error_deg": found.rotation_error_deg,
            "image_pixel_angstrom": found.image_pixel_angstrom,
            "image_pixel_error_angstrom": found.image_pixel_error_angstrom,
            "mirrored": found.mirrored,
            "correlation": found.correlation,
            "reflections": found.n_reflections,
            "defocus_nm": found.defocus_nm,
            "object_phase_deg": found.object_phase_deg,
            "candidates": [
                {
                    "rotation_deg": c.rotation_deg,
                    "image_pixel_angstrom": c.image_pixel_angstrom,
                    "mirrored": c.mirrored,
                    "correlation": c.correlation,
                }
                for c in found.candidates[:6]
            ],
        }
    }


def _problem(
    plan: Plan, pattern: Pattern, grid: Grid, support: Support, image: RegisteredImage | None
) -> tuple[Problem, dict[str, Any]]:
    settings = plan.regions
    noise_std = noise_level(pattern.intensity, pattern.variance, pattern.valid)
    regions = find_regions(
        pattern.intensity,
        noise_std,
        pattern.valid,
        noise_multiple=settings.noise_multiple,
        beam_radius_px=_beam_radius_px(settings, grid, image),
    )
    band = amplitude_band(
        pattern.intensity,
        noise_std,
        regions,
        alpha=settings.alpha,
        noise_multiple=settings.noise_multiple,
        reading=settings.reading,
    )
    scale = np.float32(amplitude_scale(pattern.intensity, regions, image, grid) if image else 1.0)
    problem = Problem(
        grid,
        np.sqrt(np.maximum(pattern.intensity, 0)) * scale,
        AmplitudeBand(band.lower * scale, band.upper * scale),
        regions,
        support.mask,
        image.potential if image else None,
        image.transfer if image else None,
    )
    shares = np.bincount(regions.ravel(), minlength=3) / regions.size
    return problem, {
        "regions": {"G": float(shares[Region.G]), "B": float(shares[Region.B]), "M": float(shares[Region.M])},
        "amplitude_scale": float(scale),
        "median_noise_electrons": float(np.median(noise_std[regions != Region.M])),
    }


def _beam_radius_px(settings: RegionSettings, grid: Grid, image: RegisteredImage | None) -> float:
    return settings.beam_radius_per_angstrom / grid.q_pixel_per_angstrom if image else 0.0
