"""From the TEM image to the potential on the pattern's grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.normalisation import NormalisedImage
from napari_subangstrom_cdi.core.image.pair import Pair
from napari_subangstrom_cdi.core.image.potential import (
    ImagingConditions,
    ctf,
    particle_window,
    weak_phase_potential,
    wiener_potential,
)
from napari_subangstrom_cdi.core.image.registration import (
    ImageRegistration,
    registration_at,
    resample_to_pattern,
)
from napari_subangstrom_cdi.core.record.embedding import Pattern
from napari_subangstrom_cdi.core.types import Float32
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.job.particle import chosen_fit, likely_particle, place_of
from napari_subangstrom_cdi.job.plan import Plan

from .clock import Clock, naming
from .load import Loaded, image_diameter, imaging_conditions
from .record import Centred

_WIENER_FLOOR = 0.1
_PIXEL_TOLERANCE = 0.05
_ROTATION_TOLERANCE_DEG = 6.0
_LOWEST_IMAGE_Q = 0.05


@dataclass(frozen=True)
class RegisteredImage:
    """The potential from the image on the pattern's grid, and how it came there.

    ``outline`` is the estimate that the support is taken from: always the Wiener inversion, because the
    noise of (1 - I)/2 beyond the information limit hides where the particle ends. ``normalised`` is the image with
    the particle that was chosen.
    """

    normalised: NormalisedImage
    potential: Float32
    outline: Float32
    transfer: Callable[[Float32], Float32]
    band_limit_per_angstrom: float
    registration: ImageRegistration
    readings: dict[str, Any]


def align_image(plan: Plan, loaded: Loaded, centred: Centred, clock: Clock) -> RegisteredImage | None:
    """Lay the image onto the pattern; None without an image."""
    if not loaded.particles:
        return None
    return _register(plan, loaded.particles, centred.pattern, centred.grid, clock)


def _register(
    plan: Plan, particles: tuple[NormalisedImage, ...], pattern: Pattern, grid: Grid, clock: Clock
) -> RegisteredImage:
    """Lay the image onto the pattern and invert its contrast transfer."""
    first, conditions = particles[0], imaging_conditions(plan)
    nominal = image_diameter(plan, first) / first.diameter_px
    with clock.step("register image"), naming(plan.inputs.image):
        pairs = tuple(pair_of(each, pattern, grid, conditions) for each in particles)
        image, found = _registration(plan, pairs, nominal)
    conditions = replace(conditions, defocus_nm=found.defocus_nm)
    with clock.step("potential"), naming(plan.inputs.image):
        sharp = wiener_potential(
            image,
            pixel_angstrom=found.image_pixel_angstrom,
            conditions=conditions,
            object_phase_deg=found.object_phase_deg,
        )
        outline = potential = resample_to_pattern(sharp, found, grid, centre_px=image.centre_px)
        if plan.image.potential == "weak-phase":
            weak = weak_phase_potential(image.intensity) * particle_window(image)
            potential = resample_to_pattern(weak, found, grid, centre_px=image.centre_px)
    transfer = _image_transfer(plan, conditions, found.object_phase_deg)
    limit = conditions.information_limit_per_angstrom
    readings = registration_readings(found)
    readings["registration"] |= {"particle_px": list(place_of(image)), "particles": len(particles)}
    return RegisteredImage(image, potential, outline, transfer, limit, found, readings)


def pair_of(image: NormalisedImage, pattern: Pattern, grid: Grid, conditions: ImagingConditions) -> Pair:
    """Image and prepared pattern, to be compared."""
    return Pair(image, pattern.intensity, grid, conditions, pattern.valid, np.sqrt(pattern.variance))


def _registration(
    plan: Plan, pairs: tuple[Pair, ...], nominal_pixel: float
) -> tuple[NormalisedImage, ImageRegistration]:
    """The particle and how it lies, as set by hand, or found."""
    by_hand = plan.image
    if by_hand.rotation_deg is not None and by_hand.pixel_angstrom is not None:
        image = likely_particle(plan, tuple(pair.image for pair in pairs))
        found = registration_at(
            next(pair for pair in pairs if pair.image is image),
            rotation_deg=by_hand.rotation_deg,
            image_pixel_angstrom=by_hand.pixel_angstrom,
            mirrored=bool(by_hand.mirrored),
        )
        return image, found
    image, found, as_stated = chosen_fit(plan, pairs, nominal_pixel)
    if as_stated:
        _refuse_misfit(plan, found, nominal_pixel)
    return image, found


def _refuse_misfit(plan: Plan, found: ImageRegistration, nominal_pixel: float) -> None:
    """Far off in pixel *and* rotation, the best fit is none."""
    rotation = plan.acquisition.image_to_pattern_rotation_deg
    if rotation is None or abs(found.image_pixel_angstrom / nominal_pixel - 1) <= _PIXEL_TOLERANCE:
        return
    turn = (found.rotation_deg - rotation + 180) % 360 - 180
    if abs(turn) > _ROTATION_TOLERANCE_DEG:
        raise InputError(
            f"image and pattern do not match: the best fit needs a pixel of {found.image_pixel_angstrom:.3f} Å "
            f"(stated: {nominal_pixel:g}) and a rotation of {found.rotation_deg:.1f}° (stated: {rotation:g})",
            mend="check image_pixel_nominal_A, the camera length and that both are of one particle",
        )


def _image_transfer(plan: Plan, conditions: ImagingConditions, object_phase_deg: float) -> Callable[[Float32], Float32]:
    """h(|q|): what of the object the potential from the image holds, 0 to 1."""
    limit = conditions.information_limit_per_angstrom

    def transfer(q: Float32) -> Float32:
        inside = (q <= limit) & (q >= _LOWEST_IMAGE_Q)
        if plan.image.potential == "weak-phase":
            return inside.astype(np.float32)
        power = ctf(q, conditions, object_phase_deg=object_phase_deg) ** 2
        return np.where(inside, power / (power + _WIENER_FLOOR), 0).astype(np.float32)

    return transfer


def registration_readings(found: ImageRegistration) -> dict[str, Any]:
    """What an alignment found, ready for JSON."""
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
