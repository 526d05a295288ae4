"""From the raw diffraction records to one record without background, its beam and its calibration."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.record import calibration
from napari_subangstrom_cdi.core.record.background import register_background, subtract_background
from napari_subangstrom_cdi.core.record.centring import find_beam_centre
from napari_subangstrom_cdi.core.record.detector import Detector, Record, calibrate, calibrate_pair
from napari_subangstrom_cdi.core.record.distortion import Distortion
from napari_subangstrom_cdi.core.record.embedding import Pattern
from napari_subangstrom_cdi.core.record.photon_transfer import gain_of
from napari_subangstrom_cdi.core.record.smooth_background import fit_smooth_background, subtract_smooth_background
from napari_subangstrom_cdi.core.types import Bool
from napari_subangstrom_cdi.errors import InputError, doubt
from napari_subangstrom_cdi.io import ImageFile, read_image, read_mask
from napari_subangstrom_cdi.io.image import short_name
from napari_subangstrom_cdi.job.headers import required
from napari_subangstrom_cdi.job.plan import Plan

from .clock import Clock, naming, reading

_MOST_MARKED = 0.3
_DARK_PERCENT, _DARK_MARGIN = 10, 1.05


@dataclass(frozen=True)
class Records:
    """The particle's record in electrons, that of the background if there is one, and the detector's state."""

    particle: Record
    background: Record | None
    readings: dict[str, Any]


@dataclass(frozen=True)
class CentredRecord:
    """The particle's record in electrons, without its background, and where the beam is.

    ``spots_px`` are those whose pairs told the centre, (y, x) in raw pixels; empty if it was told.
    """

    record: Record
    centre_px: tuple[float, float]
    spots_px: NDArray[np.float64]
    readings: dict[str, Any]


@dataclass(frozen=True)
class Centred:
    """The second step: the pattern without background, beam at element n // 2, on its grid, its distortion undone."""

    record: CentredRecord
    binning: int
    grid: Grid
    pattern: Pattern
    distortion: Distortion = field(default_factory=Distortion)


def load_records(plan: Plan, clock: Clock) -> Records:
    """Read the pattern and its background and turn counts into electrons."""
    inputs = plan.inputs
    pattern, other, bad, by_file = _read(plan, clock)
    with clock.step("calibrate"), naming(inputs.pattern):
        detector, by_noise = _detector(plan), False
        frames = _stated_of(pattern, detector)
        if inputs.background != "none":  # of a difference the noise tells no gain
            stated = plan.acquisition.counts_per_electron
            gain, by_noise = gain_of(pattern.data, stated, bad_pixels=bad, frames=frames)
            detector = replace(detector, counts_per_electron=gain)
        if other is None:
            subtracted = inputs.background == "none"
            record, seen = calibrate(pattern.data, detector, bad_pixels=bad, subtracted=subtracted, frames=frames)
            background = None
        else:
            (record, seen), (background, _) = calibrate_pair(
                pattern.data,
                other.data,
                detector,
                bad_pixels=bad,
                names=(short_name(inputs.pattern), short_name(inputs.background)),
                frames=(frames, _stated_of(other, detector)),
            )
    found = {
        "offset_counts": seen.offset_counts,
        "offset_estimated": seen.offset_estimated,
        "counts_per_electron": detector.counts_per_electron,
        "gain_by_noise": by_noise,
        "saturated_pixels": seen.n_saturated,
        "hot_pixels": seen.n_hot,
        "dead_pixels": seen.n_dead,
        "line_pixels": seen.n_line,
        "unmeasured_pixels": seen.n_unmeasured,
        "masked_by_file_pixels": 0 if by_file is None else int(np.count_nonzero(by_file)),
    }
    exposures = {"pattern": _exposures(pattern)} | ({} if other is None else {"background": _exposures(other)})
    return Records(record, background, {"detector": found, "frames": exposures})


def _read(plan: Plan, clock: Clock) -> tuple[ImageFile, ImageFile | None, Bool | None, Bool | None]:
    """Pattern and background record, the pixels that are not to be trusted, and those of them that the files mark."""
    inputs = plan.inputs
    with reading(clock):
        pattern = read_image(inputs.pattern, frame=inputs.pattern_frame)
        shape = pattern.data.shape
        bad = read_mask(inputs.mask) if inputs.mask else None
        if bad is not None and bad.shape != shape:
            raise InputError(
                f"has shape {bad.shape}, the pattern {shape}",
                where=str(inputs.mask),
                mend="give a mask of the raw pattern's pixels",
            )
        other = None
        if inputs.background not in ("fit", "none"):
            other = read_image(inputs.background, frame=inputs.background_frame)
            if other.data.shape != shape:
                raise InputError(
                    f"has shape {other.data.shape}, the pattern {shape}",
                    where=inputs.background,
                    mend="give two records of the same detector and binning",
                )
        by_file = _marked_by_files(pattern, other)
    if by_file is not None:
        bad = by_file if bad is None else bad | by_file
    return pattern, other, bad, by_file


def _marked_by_files(*records: ImageFile | None) -> Bool | None:
    """Pixels that the files themselves say not to trust, by a mask or by a value that stands for none."""
    found: Bool | None = None
    for record in records:
        marked = None if record is None else marked_by_file(record)
        if marked is not None:
            found = marked if found is None else found | marked
    return found


def marked_by_file(record: ImageFile) -> Bool | None:
    """Pixels that a file says not to trust; None if it says nothing.

    A value that stands for "not measured" adds up with the frames.
    """
    found = record.mask
    for value in record.header.invalid_values:
        marked = np.isnan(record.data) if np.isnan(value) else record.data == value
        if record.frames > 1 and not np.isnan(value):
            marked = marked | (record.data == value * record.frames)
        found = marked if found is None else found | marked
    if found is not None and found.mean() > _MOST_MARKED:
        places = " and ".join(record.said[name] for name in ("mask", "invalid_values") if name in record.said)
        doubt(f"{record.path.name} marks {found.mean():.0%} of its pixels as not to be trusted ({places})")
    return found


def _exposures(record: ImageFile) -> int:
    return record.frames * (record.header.frames_summed or 1)


def _stated_of(record: ImageFile, detector: Detector) -> int:
    """How many of the frames that the detector's stated values mean are in a record.

    Frames that were added up here each have the offset that is stated. Of those that the camera added up a person may
    state the offset of one, or that of the file: where all of them together would lie above the record's dark
    part, it is the file's.
    """
    offset, whole = detector.offset_counts or 0.0, _exposures(record)
    if whole == record.frames or offset <= 0:
        return whole
    dark = float(np.nanpercentile(record.data, _DARK_PERCENT))
    return whole if offset * whole <= dark * _DARK_MARGIN else record.frames


def _detector(plan: Plan) -> Detector:
    acquisition = plan.acquisition
    return Detector(
        counts_per_electron=acquisition.counts_per_electron or 1.0,
        offset_counts=acquisition.offset_counts,
        dark_noise_electrons=acquisition.dark_noise_electrons or 0.0,
        saturation_counts=acquisition.saturation_counts,
    )


def centre_record(plan: Plan, records: Records, clock: Clock) -> CentredRecord:
    """Find the beam and take the background away."""
    record = records.particle
    # The substrate's spots are Friedel pairs too: the beam is found before they are subtracted.
    with clock.step("centre"), naming(plan.inputs.pattern):
        centre, uncertainty, spots = _beam_centre(plan, record)
    with clock.step("background"):
        record, subtraction = _subtract(plan, record, records.background, centre)
    middle = [size // 2 for size in record.shape]
    readings: dict[str, Any] = {
        **records.readings,
        "background": subtraction,
        "beam_centre_px": [centre[0] - middle[0], centre[1] - middle[1]],
        "beam_centre_error_px": uncertainty,
    }
    return CentredRecord(record, centre, spots, readings)


@dataclass(frozen=True)
class Calibration:
    """Reciprocal pixel of the raw pattern, its standard error where it is known, and where it came from."""

    q_pixel_per_angstrom: float
    error_per_angstrom: float | None
    source: str

    @property
    def known(self) -> bool:
        """False if the unit is the pixel, for want of a calibration."""
        return self.source != "none"


def reciprocal_pixel(plan: Plan) -> Calibration:
    """Reciprocal pixel from known spacings, from a stated value, or from camera length and detector pixel.

    Without an image an uncalibrated pattern can still be phased; its pixel is then such that the
    raw array's real-space pixel counts as 1.

    Raises
    ------
    InputError
        If there is an image but no calibration.
    """
    acquisition = plan.acquisition
    if plan.pattern.known_spacings:
        fitted = calibration.q_pixel_from_spacings(*zip(*plan.pattern.known_spacings, strict=True))
        return Calibration(fitted.q_pixel_per_angstrom, fitted.standard_error_per_angstrom, "known spacings")
    if acquisition.reciprocal_pixel_per_angstrom is not None:
        return Calibration(acquisition.reciprocal_pixel_per_angstrom, None, "acquisition")
    known = (acquisition.camera_length_mm, acquisition.detector_pixel_um, acquisition.energy_ev)
    if plan.inputs.image is None and any(value is None for value in known):
        raw = max(read_image(plan.inputs.pattern, frame=plan.inputs.pattern_frame).data.shape)
        return Calibration(1.0 / raw, None, "none")
    camera_length, pixel, energy = required(plan, "camera_length_mm", "detector_pixel_um", "energy_ev")
    q_pixel = calibration.q_pixel_from_camera_length(camera_length, detector_pixel_um=pixel, energy_ev=energy)
    return Calibration(q_pixel, None, "camera length")


def _subtract(
    plan: Plan, record: Record, background: Record | None, centre_px: tuple[float, float]
) -> tuple[Record, dict[str, Any]]:
    """Take away the background record, a fitted one, or nothing; and what was done."""
    if plan.inputs.background == "none":
        return record, {"kind": "none"}
    if background is None:
        doubt("no background record: a smooth background is fitted to the pattern; spots of the substrate stay in it")
        fitted = fit_smooth_background(record, centre_px)
        return subtract_smooth_background(record, fitted), {"kind": "fit", "ellipticity": fitted.ellipticity}
    with naming(plan.inputs.background):
        fit = register_background(record, background, beam_centre_px=centre_px)
        if plan.pattern.background_scale is not None:
            fit = replace(fit, scale=plan.pattern.background_scale)
        numbers = {key: value for key, value in asdict(fit).items() if key != "beam_centre_px"}
        return subtract_background(record, background, fit), {"kind": "record", **numbers}


def _beam_centre(plan: Plan, record: Record) -> tuple[tuple[float, float], list[float] | None, NDArray[np.float64]]:
    """Beam in the raw record, its error and the spots that told it; or as told, by hand or for want of spots."""
    told, hint = plan.pattern.beam_centre_px, plan.acquisition.beam_centre_px
    middle = (record.shape[0] // 2, record.shape[1] // 2)
    if told is None and plan.inputs.image is None:
        if hint is None:
            doubt(
                "the beam is taken to be at the pattern's centre; beam_centre_px in the acquisition can say otherwise"
            )
        told = hint or (0.0, 0.0)
    if told is not None:
        return (middle[0] + told[0], middle[1] + told[1]), None, np.empty((0, 2))
    start = None if hint is None else (middle[0] + hint[0], middle[1] + hint[1])
    found = find_beam_centre(record, start_px=start)
    return found.centre_px, list(found.standard_error_px), found.spots_px
