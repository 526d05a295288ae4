"""The first step: every file read, counts turned into electrons, the image normalised."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.image.normalisation import NormalisedImage, check_border, particles_in
from napari_subangstrom_cdi.core.image.potential import (
    ImagingConditions,
    point_resolution_per_angstrom,
)
from napari_subangstrom_cdi.core.types import Bool
from napari_subangstrom_cdi.errors import InputError, doubt
from napari_subangstrom_cdi.io import read_image, read_mask
from napari_subangstrom_cdi.io.image import short_name
from napari_subangstrom_cdi.job.headers import required
from napari_subangstrom_cdi.job.plan import Plan

from .clock import Clock, naming, reading
from .record import Calibration, Records, load_records, reciprocal_pixel, reciprocal_remedies

_CORRECTED_MM = 0.05
_WHITE = 255
_LARGE_IMAGE, _USUAL_IMAGE = 2048, 1024
_SAMPLING = 0.2  # of a binned image's pixel, its information limit at most, cycles per pixel
FARTHEST_PER_ANGSTROM = 5.0


@dataclass(frozen=True)
class Loaded:
    """The first step: every file read, the image normalised, the calibration known.

    ``particles`` are those that there may be in the image, the most active first; which of them the pattern is of, the
    alignment tells. ``diameter_angstrom`` is that of the largest that fits twice into the pattern's field of view.
    """

    records: Records
    calibration: Calibration
    particles: tuple[NormalisedImage, ...]
    diameter_angstrom: float | None
    given_support: Bool | None

    @property
    def normalised(self) -> NormalisedImage | None:
        """The image with its most active particle."""
        return self.particles[0] if self.particles else None


def load_inputs(plan: Plan, clock: Clock) -> Loaded:
    """Read every file and turn counts into electrons. What costs nothing to check goes first."""
    if plan.inputs.image is None and plan.inputs.support is None:
        raise InputError(
            "neither an image nor a support is given", mend="give --image, or --support with a mask of the object"
        )
    calibrated = reciprocal_pixel(plan)
    given = _given_support(plan)
    particles = read_particles(plan, clock) if plan.inputs.image is not None else ()
    diameter = _diameter_to_sample(plan, particles, calibrated)
    records = load_records(plan, clock)
    _check_reach(calibrated, records)
    return Loaded(records, calibrated, particles, diameter, given)


def _diameter_to_sample(plan: Plan, particles: tuple[NormalisedImage, ...], calibrated: Calibration) -> float | None:
    """Of the largest particle that fits twice into the field of view, so that any that is chosen later does."""
    if not particles:
        return None
    diameters = [image_diameter(plan, each) for each in particles]
    fitting = [each for each in diameters if 2 * each <= 1 / calibrated.q_pixel_per_angstrom]
    return max(fitting, default=min(diameters))


def _check_reach(calibrated: Calibration, records: Records) -> None:
    """Doubt a reciprocal pixel by which the pattern goes farther than electrons are recorded."""
    reach = calibrated.q_pixel_per_angstrom * max(records.particle.shape) / 2
    if calibrated.known and reach > FARTHEST_PER_ANGSTROM:
        doubt(
            f"a pixel of {calibrated.q_pixel_per_angstrom:.4g} Å⁻¹ makes the pattern reach {reach:.3g} Å⁻¹, "
            f"{1 / reach:.2g} Å; if reciprocal_pixel_per_A was given in 1/nm, divide it by 10, else check the camera "
            "length",
            reciprocal_remedies(calibrated, ((10, "1/nm"),)),
        )


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


def read_particles(plan: Plan, clock: Clock) -> tuple[NormalisedImage, ...]:
    """The image with its vacuum at 1 and the particles found; the imaging conditions must be known."""
    imaging_conditions(plan)
    with reading(clock):
        data = read_image(str(plan.inputs.image), frame=plan.inputs.image_frame).data
    _doubt_display(data, short_name(str(plan.inputs.image)))
    with clock.step("potential"), naming(plan.inputs.image):
        binning = _image_binning(plan, data.shape)
        found = tuple(replace(each, binning=binning) for each in particles_in(_binned(data, binning)))
        if len(found) == 1:
            check_border(found[0])
        return found


def _image_binning(plan: Plan, shape: tuple[int, ...]) -> int:
    """Pixels a side of a large image to be added up: as many as leave its information limit well sampled."""
    if max(shape) <= _LARGE_IMAGE:
        return 1
    (pixel,) = required(plan, "image_pixel_angstrom")
    limit = imaging_conditions(plan).information_limit_per_angstrom
    return max(1, min(max(shape) // _USUAL_IMAGE, int(_SAMPLING / (limit * pixel))))


def _binned(data: NDArray[Any], binning: int) -> NDArray[Any]:
    if binning == 1:
        return data
    rows, columns = (size // binning for size in data.shape)
    whole = data[: rows * binning, : columns * binning].astype(np.float32)
    return np.asarray(whole.reshape(rows, binning, columns, binning).mean((1, 3)))


def _doubt_display(data: NDArray[Any], name: str) -> None:
    """Say that an image was stretched for a display: its zero is lost, and with it the object's scale."""
    if data.dtype.kind == "f":
        stretched, range_ = data.min() == 0 and data.max() == 1, "0 to 1"
    else:
        stretched, range_ = data.dtype.itemsize == 1 and np.ptp(data) == _WHITE, "all of its 8 bits"
    if stretched:
        doubt(
            f"{name} takes up {range_} exactly, as pictures do that are exported with the contrast of a display: its "
            "zero is lost, and with it the scale of the object in radians and volts; give the image as recorded"
        )


def image_diameter(plan: Plan, image: NormalisedImage) -> float:
    """Diameter of the particle by the nominal image pixel, Å."""
    (pixel,) = required(plan, "image_pixel_angstrom")
    return image.diameter_px * pixel * image.binning


def is_corrected(cs_mm: float) -> bool:
    """Whether Cs is so small that the point resolution says nothing, and an information limit has to be stated."""
    return abs(cs_mm) < _CORRECTED_MM


def imaging_conditions(plan: Plan) -> ImagingConditions:
    """The aberrations as the acquisition, or for the energy a file, states them.

    Raises
    ------
    InputError
        If one is missing.

    Warns
    -----
    QualityWarning
        If the information limit is: the point resolution stands in for it.
    """
    energy, cs, defocus = required(plan, "energy_ev", "cs_mm", "defocus_nm")
    limit = plan.acquisition.information_limit_per_angstrom
    if limit is None:
        if is_corrected(cs):
            required(plan, "information_limit_per_angstrom")
        limit = point_resolution_per_angstrom(energy, cs)
        doubt(
            f"no information limit is stated: the image is used up to {limit:.3g} Å⁻¹, the point resolution of this "
            "energy and Cs; information_limit_per_A in the acquisition can say more"
        )
    return ImagingConditions(energy, cs, defocus, plan.acquisition.defocus_spread_nm or 0.0, limit)
