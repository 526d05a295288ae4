"""From the raw diffraction records to one record without background, its beam and its calibration."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.support import apply_edits
from napari_subangstrom_cdi.core.record import calibration
from napari_subangstrom_cdi.core.record.background import align_background, subtract_background
from napari_subangstrom_cdi.core.record.beam_stop import find_beam_stop
from napari_subangstrom_cdi.core.record.centring import find_beam_centre, place_of_beam, spot_contrast
from napari_subangstrom_cdi.core.record.detector import Detector, Record, calibrate, calibrate_pair
from napari_subangstrom_cdi.core.record.distortion import Distortion
from napari_subangstrom_cdi.core.record.embedding import Pattern
from napari_subangstrom_cdi.core.record.photon_transfer import gain_of
from napari_subangstrom_cdi.core.record.smooth_background import fit_smooth_background, subtract_smooth_background
from napari_subangstrom_cdi.core.types import Bool, Float32
from napari_subangstrom_cdi.errors import InputError, Remedy, doubt
from napari_subangstrom_cdi.io import ImageFile, read_image, read_mask
from napari_subangstrom_cdi.io.image import short_name
from napari_subangstrom_cdi.job.headers import required
from napari_subangstrom_cdi.job.plan import PatternSettings, Plan

from .clock import Clock, naming, reading

_SAME_LENGTH = 0.01
_STATED = "stated pixel"
_MOST_MARKED = 0.3
_SURE_PX, _HINT_PX = 0.2, 15.0
_NO_SPOTS = np.empty((0, 2))
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

    ``spots_px`` are those whose pairs told the centre, (y, x) in raw pixels; empty if it was told. ``found_stop`` is
    the shade of a beam stop as it was found, before anything was painted onto it or erased; None where there is none.
    """

    record: Record
    centre_px: tuple[float, float]
    spots_px: NDArray[np.float64]
    readings: dict[str, Any]
    found_stop: Bool | None = None


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
        if plan.acquisition.pixel_ratio_percent is None:
            _doubt_binned_one_way(pattern.data.shape)
        detector, by_noise = _detector(plan), False
        frames = _stated_of(pattern, detector)
        stated = plan.acquisition.counts_per_electron
        difference = inputs.background == "none"
        gain, by_noise = gain_of(pattern.data, stated, bad_pixels=bad, frames=frames, difference=difference)
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


def _doubt_binned_one_way(shape: tuple[int, ...]) -> None:
    """A frame that is twice, three times ... as long as it is wide was binned one way, or is of such a detector."""
    height, width = shape[-2:]
    factor = max(height, width) / min(height, width)
    if round(factor) < 2 or abs(factor / round(factor) - 1) > _SAME_LENGTH:
        return
    ratio, axis = (round(factor), "y") if width > height else (1 / round(factor), "x")
    percent = 100 * (ratio - 1)
    key = "acquisition.pixel_ratio_percent"
    doubt(
        f"the frame has {height} x {width} pixels (y, x): if it was binned along {axis} alone, "
        f"its pixels are not square; state pixel_ratio_percent {percent:.3g} in the acquisition, or 0 if they are",
        (Remedy(f"binned along {axis}", ((key, percent),)), Remedy("square pixels", ((key, 0.0),))),
    )


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
        if bad is not None:
            bad = _upright(bad, pattern.data, short_name(str(inputs.mask)))
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


def _upright(bad: Bool, counts: NDArray[Any], name: str) -> Bool:
    """The mask of bad pixels, or its inverse: one that marks most pixels, and those with most of the light."""
    if not 0.5 < bad.mean() < 1:
        return bad
    values = np.nan_to_num(counts.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    light = np.clip(values, *np.percentile(values, [50, 99.9])) - np.median(values)
    if light[bad].sum() <= light[~bad].sum():
        return bad
    doubt(
        f"{name} marks {bad.mean():.0%} of the pixels as not to be trusted, and with them most of the light: it is "
        "taken to be inverted, its zeros as the bad pixels; save it with non-zero where nothing is to be trusted"
    )
    return ~bad


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
    record, background = records.particle, records.background
    # The substrate's spots are Friedel pairs too: the beam is found before they are subtracted.
    with clock.step("centre"), naming(plan.inputs.pattern):
        contrast, found = spot_contrast(record), None
        if plan.pattern.find_beam_stop:
            found = _beam_stop(plan, record, contrast)
        stop = stop_as_painted(plan.pattern, found, record.shape)
        if stop is not None:
            record, background = _without(record, stop), None if background is None else _without(background, stop)
            contrast = spot_contrast(record)
        centre, uncertainty, spots = _beam_centre(plan, record, contrast)
    with clock.step("background"):
        record, subtraction = _subtract(plan, record, background, centre, contrast)
    middle = [size // 2 for size in record.shape]
    readings: dict[str, Any] = {
        **records.readings,
        "background": subtraction,
        "beam_centre_px": [centre[0] - middle[0], centre[1] - middle[1]],
        "beam_centre_error_px": uncertainty,
        "beam_stop_pixels": 0 if stop is None else int(np.count_nonzero(stop)),
    }
    return CentredRecord(record, centre, spots, readings, found)


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
        return Calibration(acquisition.reciprocal_pixel_per_angstrom, None, _STATED)
    known = (acquisition.camera_length_mm, acquisition.detector_pixel_um, acquisition.energy_ev)
    if plan.inputs.image is None and any(value is None for value in known):
        raw = max(read_image(plan.inputs.pattern, frame=plan.inputs.pattern_frame).data.shape)
        return Calibration(1.0 / raw, None, "none")
    try:
        camera_length, pixel, energy = required(plan, "camera_length_mm", "detector_pixel_um", "energy_ev")
    except InputError as error:
        mend = "; ".join(filter(None, (error.mend, "or state reciprocal_pixel_per_A alone, if it is calibrated")))
        raise InputError(error.problem, where=error.where, mend=mend) from error
    q_pixel = calibration.q_pixel_from_camera_length(camera_length, detector_pixel_um=pixel, energy_ev=energy)
    return Calibration(q_pixel, None, "camera length")


def reciprocal_remedies(calibrated: Calibration, units: tuple[tuple[float, str], ...]) -> tuple[Remedy, ...]:
    """To read a stated reciprocal pixel in other units, each that many to one of 1/Å; none where it was not stated."""
    if calibrated.source != _STATED:
        return ()
    stated = calibrated.q_pixel_per_angstrom
    return tuple(
        Remedy(
            f"reciprocal pixel in {unit}",
            (("acquisition.reciprocal_pixel_per_angstrom", float(f"{stated / factor:.6g}")),),
        )
        for factor, unit in units
    )


def _subtract(
    plan: Plan, record: Record, background: Record | None, centre_px: tuple[float, float], contrast: Float32 | None
) -> tuple[Record, dict[str, Any]]:
    """Take away the background record, a fitted one, or nothing; and what was done."""
    if plan.inputs.background == "none":
        return record, {"kind": "none"}
    if background is None:
        doubt("no background record: a smooth background is fitted to the pattern; spots of the substrate stay in it")
        fitted = fit_smooth_background(record, centre_px)
        return subtract_smooth_background(record, fitted), {"kind": "fit", "ellipticity": fitted.ellipticity}
    with naming(plan.inputs.background):
        fit, aligned = align_background(record, background, beam_centre_px=centre_px, contrast=contrast)
        if plan.pattern.background_scale is not None:
            fit = replace(fit, scale=plan.pattern.background_scale)
        numbers = {key: value for key, value in asdict(fit).items() if key != "beam_centre_px"}
        return subtract_background(record, background, fit, aligned=aligned), {"kind": "record", **numbers}


def _beam_stop(plan: Plan, record: Record, contrast: Float32) -> Bool | None:
    """Pixels that a beam stop shades; None if there is none, or nothing tells where the beam is."""
    told = plan.pattern.beam_centre_px
    place = place_of_beam(record, contrast) if told is None else _from_middle(record, told)
    stop = None if place is None else find_beam_stop(record, place) & record.valid
    if stop is None or not stop.any():
        return None
    if not (plan.pattern.stop_added or plan.pattern.stop_removed):  # else somebody has looked
        doubt(
            f"a beam stop was found: {np.count_nonzero(stop)} pixels in its shade go to M; if it is none, "
            "switch the search off (--no-beam-stop, or in the Background dock); if it is not all, give a mask of the "
            "raw pattern, or paint there what is missing"
        )
    return stop


def stop_as_painted(settings: PatternSettings, found: Bool | None, shape: tuple[int, ...]) -> Bool | None:
    """The shade of a beam stop as painted and erased by hand, bool (ny, nx); None if nothing is left.

    Raises
    ------
    InputError
        If it was painted on a record of another size.
    """
    painted = {name: getattr(settings, name) for name in ("stop_added", "stop_removed")}
    masks = {name: text.pixels(where=f"pattern.{name}") for name, text in painted.items() if text}
    for name, mask in masks.items():
        if mask.shape != shape:
            raise InputError(
                f"was painted on a record of {mask.shape[0]} x {mask.shape[1]} pixels, this one has "
                f"{shape[0]} x {shape[1]}",
                where=f"pattern.{name}",
                mend="take it back (As found in the Background dock), or take this line out of the recipe",
            )
    stop = np.zeros(shape, np.bool_) if found is None else found
    stop = apply_edits(stop, masks.get("stop_added"), masks.get("stop_removed"))
    return stop if stop.any() else None


def _without(record: Record, shade: Bool) -> Record:
    return replace(record, valid=record.valid & ~shade)


def _beam_centre(
    plan: Plan, record: Record, contrast: Float32
) -> tuple[tuple[float, float], list[float] | None, NDArray[np.float64]]:
    """Beam in the raw record, its error and the spots that told it; or as told, by hand or for want of spots."""
    told, hint = plan.pattern.beam_centre_px, plan.acquisition.beam_centre_px
    if told is not None:
        _check_inside(record, told)
        return _from_middle(record, told), None, _NO_SPOTS
    start = None if hint is None else _start(record, hint)
    try:
        found = find_beam_centre(record, start_px=start, contrast=contrast)
    except InputError:
        if plan.inputs.image is not None:
            raise
        found = None
    if plan.inputs.image is None and (found is None or max(found.standard_error_px) > _SURE_PX):
        # A pattern without spots, as of an object that is no crystal, is phased all the same.
        if hint is None:
            doubt(
                "the beam is taken to be at the pattern's centre; beam_centre_px in the acquisition can say otherwise"
            )
        return start or _from_middle(record, (0.0, 0.0)), None, _NO_SPOTS
    assert found is not None
    if hint is not None:
        _compare_with_hint(record, hint, found.centre_px)
    return found.centre_px, list(found.standard_error_px), found.spots_px


def _from_middle(record: Record, offset_px: tuple[float, float]) -> tuple[float, float]:
    y, x = (size // 2 + offset for size, offset in zip(record.shape, offset_px, strict=True))
    return y, x


def _is_inside(record: Record, place_px: tuple[float, float]) -> bool:
    return all(0 <= at <= size - 1 for at, size in zip(place_px, record.shape, strict=True))


def _said_from_corner(record: Record, given_px: tuple[float, float]) -> str:
    """What a pair would be from the middle if it was counted from the first pixel."""
    y, x = (at - size // 2 for at, size in zip(given_px, record.shape, strict=True))
    return f"[{y:g}, {x:g}]"


def _check_inside(record: Record, told: tuple[float, float]) -> None:
    """Refuse a beam set by hand that is outside the frame."""
    if _is_inside(record, _from_middle(record, told)):
        return
    meant = (
        f"did you mean {_said_from_corner(record, told)}?"
        if _is_inside(record, told)
        else "correct it, or leave it out"
    )
    raise InputError(
        f"beam_centre_px [{told[0]:g}, {told[1]:g}] lies outside the frame of {record.shape[0]} x {record.shape[1]} "
        "pixels: it counts from its middle",
        mend=meant,
        remedies=(_counted_from_corner(record, told, "pattern"),) if _is_inside(record, told) else (),
    )


def _counted_from_corner(record: Record, given_px: tuple[float, float], section: str) -> Remedy:
    """To read a pair as counted from the first pixel."""
    y, x = (at - size // 2 for at, size in zip(given_px, record.shape, strict=True))
    return Remedy("beam counted from the corner", ((f"{section}.beam_centre_px", (float(y), float(x))),))


def _start(record: Record, hint: tuple[float, float]) -> tuple[float, float] | None:
    """Where the search for the beam begins: as told, or as counted from the corner if only that lies in the frame."""
    if _is_inside(record, _from_middle(record, hint)):
        return _from_middle(record, hint)
    told = f"beam_centre_px [{hint[0]:g}, {hint[1]:g}] lies outside the frame: it counts from the frame's middle"
    if _is_inside(record, hint):
        doubt(
            f"{told}; it is read as from the corner: did you mean {_said_from_corner(record, hint)}?",
            (_counted_from_corner(record, hint, "acquisition"),),
        )
        return hint
    doubt(f"{told}; it is left out")
    return None


def _compare_with_hint(record: Record, hint: tuple[float, float], found: tuple[float, float]) -> None:
    """Say that the spots put the beam far from where it was told to be."""
    if not _is_inside(record, _from_middle(record, hint)) or math.dist(found, _from_middle(record, hint)) <= _HINT_PX:
        return
    y, x = (at - size // 2 for at, size in zip(found, record.shape, strict=True))
    corner = math.dist(found, hint) <= _HINT_PX
    doubt(
        f"beam_centre_px [{hint[0]:g}, {hint[1]:g}] is far from [{y:.1f}, {x:.1f}], about which the spots pair and "
        "which is taken"
        + (f"; it counts from the frame's middle: did you mean {_said_from_corner(record, hint)}?" if corner else ""),
        (_counted_from_corner(record, hint, "acquisition"),) if corner else (),
    )
