"""A fitted crystal in numbers, and what of it is to be doubted."""

from __future__ import annotations

import math
from typing import Any

from napari_subangstrom_cdi.core.crystal.scattering import SOURCE
from napari_subangstrom_cdi.core.crystal.unit_cell import Zone
from napari_subangstrom_cdi.core.fit.lattice_shift import LatticeShift
from napari_subangstrom_cdi.core.fit.model_fit import FittedModel
from napari_subangstrom_cdi.core.fit.zones import RankedZone
from napari_subangstrom_cdi.errors import doubt

LARGEST_SCALE_ERROR = 0.02
_LARGEST_MISFIT = 0.15
_LEAST_EXPLAINED = 0.8
_LEAST_IMAGE_CORRELATION = 0.8
_LARGEST_TILT_ERROR_DEG = 0.5
_LARGEST_ELLIPSE, _CERTAIN = 0.01, 4.0  # spots of a few nanometres of crystal lie off their places by as much
_RIVAL = 1.3  # times the R of the best
_NO_STRAIN = (0.0, 0.0, 0.0)


def say_doubts(found: FittedModel) -> None:
    """Say what speaks against a fit."""
    name, fit = found.particle.crystal.name, found.fit
    if fit.match.explained < _LEAST_EXPLAINED:
        doubt(
            f"only {100 * fit.match.explained:.0f} % of the spots' intensity lies on reflections of {name} on this "
            "zone: check crystal and zone axis"
        )
    if abs(fit.match.scale - 1) > LARGEST_SCALE_ERROR:
        doubt(
            f"the lattice of {name} fits only when its spacings are changed by "
            f"{100 * (1 / fit.match.scale - 1):+.1f} %: another crystal, or a wrong camera length"
        )
    if fit.r_reflections > _LARGEST_MISFIT:
        doubt(
            f"the reflections' intensities are not those of {name} at any tilt and thickness "
            f"(R {100 * fit.r_reflections:.0f} %): check crystal and zone axis"
        )
    if found.tilt_error_deg > _LARGEST_TILT_ERROR_DEG:
        doubt(
            f"the reflections hardly tell the crystal's tilt (± {found.tilt_error_deg:.1f}°): the particle is thin, or "
            "they are few"
        )
    if math.isfinite(found.image_correlation) and found.image_correlation < _LEAST_IMAGE_CORRELATION:
        doubt(
            f"the model's lattice fringes are not those of the image (correlation {found.image_correlation:.2f}): "
            "where the lattice lies in the outline is not known"
        )
    if found.rivals and found.rivals[0].r_reflections < _RIVAL * fit.r_reflections:
        other = found.rivals[0]
        doubt(
            f"another orientation fits nearly as well (R {100 * other.r_reflections:.1f} % against "
            f"{100 * fit.r_reflections:.1f} %): {in_words(other.zone)} at {other.match.azimuth_deg:.1f}°; the "
            "polarity may be the other"
        )


def say_distortion(ranked: RankedZone, name: str) -> None:
    """Say that the zone's lattice is the pattern's only when it is stretched."""
    found = ranked.distortion
    excess = found.ratio - 1
    if excess > _LARGEST_ELLIPSE and excess > _CERTAIN * found.ratio_error:
        doubt(
            f"the spots are those of {in_words(ranked.zone)} of {name} stretched by {100 * excess:.1f} ± "
            f"{100 * found.ratio_error:.1f} % along {found.axis_deg:.0f}°: an ellipse of the projector lens, unequal "
            "pixels, a strained crystal or another one"
        )


def in_words(zone: Zone) -> str:
    """A zone axis as it is written."""
    return "[" + " ".join(map(str, zone)) + "]"


def model_readings(found: FittedModel) -> dict[str, Any]:
    """What was fitted."""
    fit = found.fit
    return {
        "crystal": found.particle.crystal.name,
        "zone": list(fit.zone),
        "azimuth_deg": fit.match.azimuth_deg,
        "lattice_scale": 1 / fit.match.scale,
        "pattern_explained": fit.match.explained,
        "tilt_deg": list(fit.tilt_deg),
        "tilt_error_deg": found.tilt_error_deg,
        "thickness_angstrom": fit.thickness_angstrom,
        "thickness_error_angstrom": found.thickness_error_angstrom,
        "roundness": fit.roundness,
        "falloff_angstrom2": fit.falloff_angstrom2,
        "inset_angstrom": found.particle.shape.inset_angstrom,
        "offset_angstrom": list(found.particle.offset_angstrom),
        "height_angstrom": found.particle.height_angstrom,
        "atoms": len(found.atoms.numbers),
        "r_reflections": fit.r_reflections,
        "r_pattern": found.r_pattern,
        "image_correlation": found.image_correlation,
        "rivals": [
            {"zone": list(rival.zone), "azimuth_deg": rival.match.azimuth_deg, "r_reflections": rival.r_reflections}
            for rival in found.rivals
        ],
        "scattering_factors": SOURCE,
    }


def lattice_readings(found: FittedModel, shift: LatticeShift | None) -> dict[str, Any]:
    """What the reconstruction added to the perfect crystal: strain, and a boundary."""
    fault = found.particle.fault
    left, error = (_NO_STRAIN, math.nan) if shift is None else (shift.strain, shift.strain_error)
    strain = [mine + rest for mine, rest in zip(found.particle.strain, left, strict=True)]
    readings: dict[str, Any] = {"strain": strain, "strain_error": error}
    if fault is not None:
        readings["boundary"] = {
            "normal_deg": fault.normal_deg,
            "position_angstrom": fault.position_angstrom,
            "shift_angstrom": list(fault.shift_angstrom),
            "shift_error_angstrom": fault.error_angstrom,
            "equivalent_lengths_angstrom": [math.hypot(x, y) for x, y in fault.equivalents_angstrom],
        }
    return readings


def zone_readings(ranked: RankedZone) -> dict[str, Any]:
    """How well a zone axis fits the spots."""
    return {
        "zone": list(ranked.zone),
        "score": ranked.score,
        "lattice_scale": 1 / ranked.match.scale,
        "explained": ranked.match.explained,
        "present": ranked.present,
        "misfit": ranked.misfit,
        "ellipse": ranked.distortion.ratio,
        "ellipse_error": ranked.distortion.ratio_error,
        "ellipse_deg": ranked.distortion.axis_deg,
    }
