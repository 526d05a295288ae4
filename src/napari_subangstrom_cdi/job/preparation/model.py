"""From a crystal's name to the object that members start from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.crystal.habit import point_group
from napari_subangstrom_cdi.core.crystal.scattering import SOURCE
from napari_subangstrom_cdi.core.crystal.unit_cell import Crystal, Zone, crystal, crystal_names, zone_axis
from napari_subangstrom_cdi.core.fit.indexing import Match, spot_radii, turned
from napari_subangstrom_cdi.core.fit.lattice_shift import LatticeShift, lattice_shift
from napari_subangstrom_cdi.core.fit.model_fit import (
    Evidence,
    FittedModel,
    Held,
    fit_model,
    fit_reflections,
    seen_by_lens,
)
from napari_subangstrom_cdi.core.fit.model_rebuild import placed_by_image, rebuilt, reshaped
from napari_subangstrom_cdi.core.fit.zones import FITS, RankedZone, rank_zones, same_zone
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.geometry import resample_to_pattern
from napari_subangstrom_cdi.core.image.potential import NormalisedImage, particle_window
from napari_subangstrom_cdi.core.phasing.retrieval import Problem, retrieve
from napari_subangstrom_cdi.core.phasing.schedule import model_schedule
from napari_subangstrom_cdi.errors import InputError, doubt
from napari_subangstrom_cdi.io import require
from napari_subangstrom_cdi.job.plan import Plan

from .clock import Clock, naming
from .image import RegisteredImage, imaging_conditions

Intensity = NDArray[np.floating]

AUTOMATIC = "auto"  # instead of a zone axis
_LARGEST_MISFIT = 0.15
_AS_GOOD_A_ZONE = 0.5
_BETTER = 0.85  # of the named crystal's R
LARGEST_SCALE_ERROR = 0.02
_LEAST_EXPLAINED = 0.8
_LEAST_IMAGE_CORRELATION = 0.8
_LARGEST_TILT_ERROR_DEG = 0.5
_RIVAL = 1.3  # times the R of the best
_FRINGES_TO = 1.28  # Å⁻¹
_FORBIDDEN = 0.01  # of the strongest: surfaces make such reflections, and they do not have the lattice's periods
_LOWER, _MOST_REBUILT = 0.97, 4
_LEAST_FRINGES = 4
_AS_IT_IS = LatticeShift(0.0, (0.0, 0.0, 0.0), math.nan, (0.0, 0.0), None, math.nan)


@dataclass(frozen=True)
class StartingModel:
    """The particle as its crystal makes it, what it was fitted to, and its numbers ready for JSON."""

    fitted: FittedModel
    evidence: Evidence
    readings: dict[str, Any]


def check_model(plan: Plan) -> None:
    """Raise InputError unless a plan names a crystal that there is, and a zone."""
    if plan.inputs.crystal is None:
        raise InputError("no crystal is named", mend="give its name, or a CIF (--crystal)")
    if not plan.model.zone.strip():
        raise InputError("no zone axis is named", mend='give it, such as "0 0 0 1" (--zone)')
    require(plan.acquisition, "energy_ev")
    crystal(plan.inputs.crystal)
    if plan.model.zone.strip().lower() != AUTOMATIC:
        zone_axis(plan.model.zone)


def start_from_model(
    plan: Plan,
    problem: Problem,
    intensity: Intensity,
    normalised: NormalisedImage | None,
    image: RegisteredImage | None,
    q_pixel_per_angstrom: float,
    clock: Clock,
) -> StartingModel:
    """Fit the crystal to a problem: the particle whose object members may start from.

    The model is rebuilt from a reconstruction that it started, as long as that lowers its R before phasing.

    Parameters
    ----------
    plan, problem
        The job, and its problem so far.
    intensity : ndarray, shape (n, n)
        Of the pattern, in the square of the problem's units, negative where noise is.
    normalised, image
        The image as recorded, and as registered.
    q_pixel_per_angstrom : float
        Of the raw pattern, to say where in it the crystal's spacings lie.
    clock : Clock
        Told of the parts of the fit.
    """
    evidence = Evidence(problem.grid, intensity, problem.regions, problem.support)
    if normalised is not None and image is not None:
        with clock.step("model: image"):
            contrast = (1 - normalised.intensity) * particle_window(normalised)
            placed = resample_to_pattern(contrast, image.registration, problem.grid, centre_px=normalised.centre_px)
            conditions = replace(imaging_conditions(plan), defocus_nm=image.registration.defocus_nm)
            evidence = replace(evidence, contrast=placed, conditions=conditions)
    (energy_ev,) = require(plan.acquisition, "energy_ev")
    cell = crystal(str(plan.inputs.crystal))
    with clock.step("model"), naming(plan.inputs.crystal):
        clock.on_step("model: zone axes")
        zone, ranked = choose_zone(plan, intensity, problem.regions, problem.grid, cell, energy_ev)
        held = Held(plan.model.tilt_deg, plan.model.thickness_angstrom, plan.model.roundness)
        first = fit_model(
            evidence,
            cell,
            zone,
            energy_ev=energy_ev,
            b_factor=plan.model.b_factor,
            held=held,
            told=_telling(clock),
        )
        found, shift, r_factors = _rebuilt(first, problem, evidence, energy_ev, held, clock)
        other = _polymorph(evidence, cell, found.fit.r_reflections, energy_ev, clock)
        spacings = _spacings(first, cell, problem, intensity, energy_ev, q_pixel_per_angstrom)
    _say_doubts(found)
    zones = {"zones": [_zone_readings(one) for one in ranked], "polymorph": other, "known_spacings": spacings}
    readings = {**_readings(found), "r_rebuilt": r_factors, **_lattice_readings(found, shift), **zones}
    return StartingModel(found, evidence, readings)


def _spacings(
    model: FittedModel, cell: Crystal, problem: Problem, intensity: Intensity, energy_ev: float, q_pixel: float
) -> list[list[float]]:
    """As of :func:`crystal_spacings`, of the zone that was fitted; none where too few spots are in the pattern."""
    beams = ZoneBeams(cell, model.fit.zone, energy_ev=energy_ev, q_max_per_angstrom=_FRINGES_TO)
    try:
        found = crystal_spacings(intensity, problem.regions, problem.grid, beams, model.fit.match, q_pixel)
    except InputError:
        return []
    return [list(one) for one in found]


def choose_zone(
    plan: Plan, intensity: Intensity, regions: NDArray[np.uint8], grid: Grid, cell: Crystal, energy_ev: float
) -> tuple[Zone, tuple[RankedZone, ...]]:
    """The zone axis that is named, or the best; and all that have a lattice like the pattern's.

    Parameters
    ----------
    plan : Plan
        The job.
    intensity, regions : ndarray, shape (n, n)
        Of the pattern.
    grid : Grid
        Its sampling.
    cell : Crystal
        The crystal that the plan names.
    energy_ev : float
        Of the beam.

    Raises
    ------
    InputError
        If it is to be found and none fits.
    """
    amplitude = np.sqrt(np.maximum(intensity, 0))
    automatic = plan.model.zone.strip().lower() == AUTOMATIC
    try:
        ranked = rank_zones(amplitude, regions, grid, cell, energy_ev=energy_ev, b_factor=plan.model.b_factor)
    except InputError:
        if automatic:
            raise
        ranked = ()  # a pattern without a lattice is said by the fit
    best = ranked[0] if ranked and ranked[0].score >= FITS else None
    if automatic:
        if best is None:
            raise InputError(
                f"no zone axis of {cell.name} fits the spots", mend="check crystal and camera length, or name the zone"
            )
        return best.zone, ranked
    zone = zone_axis(plan.model.zone)
    if best is None:
        doubt(f"no zone axis of {cell.name} fits the spots: another crystal, or a wrong camera length")
    elif not any(one.score > _AS_GOOD_A_ZONE * best.score and same_zone(cell, zone, one.zone) for one in ranked):
        doubt(f"the spots are those of {_words(best.zone)} of {cell.name} rather than of {_words(zone)}")
    return zone, ranked


def crystal_spacings(
    intensity: Intensity,
    regions: NDArray[np.uint8],
    grid: Grid,
    beams: ZoneBeams,
    match: Match,
    q_pixel_per_angstrom: float,
) -> tuple[tuple[float, float], ...]:
    """Radii in raw pixels and spacings in Å of the crystal's strongest spots: what the pattern can be calibrated by.

    Parameters
    ----------
    intensity, regions : ndarray, shape (n, n)
        Of the pattern.
    grid : Grid
        Its sampling.
    beams : ZoneBeams
        Crystal and zone.
    match : Match
        How they lie on the pattern.
    q_pixel_per_angstrom : float
        Of the raw pattern, by which the grid was made.

    Raises
    ------
    InputError
        If fewer than three pairs of spots are in the pattern.
    """
    measured, own = spot_radii(np.sqrt(np.maximum(intensity, 0)), regions, grid, beams, match)
    # six digits: what is read again from a plan or a form is then the same
    return tuple(
        (float(f"{q / q_pixel_per_angstrom:.6g}"), float(f"{1 / g:.6g}")) for q, g in zip(measured, own, strict=True)
    )


def _polymorph(
    evidence: Evidence, cell: Crystal, r_reflections: float, energy_ev: float, clock: Clock
) -> dict[str, Any] | None:
    """The other crystal of the same elements that fits best, and a doubt if it fits better; None if none does."""
    best: dict[str, Any] | None = None
    amplitude = np.sqrt(np.maximum(evidence.intensity, 0))
    elements = set(cell.numbers.tolist())
    for name in crystal_names():
        other = crystal(name)
        if set(other.numbers.tolist()) != elements or _same_cell(other, cell):
            continue
        clock.on_step(f"model: other crystals, {name}")
        ranked = rank_zones(amplitude, evidence.regions, evidence.grid, other, energy_ev=energy_ev)
        if not ranked or ranked[0].score < FITS:
            continue
        fit = fit_reflections(
            evidence,
            other,
            ranked[0].zone,
            energy_ev=energy_ev,
            told=partial(clock.on_step, f"model: other crystals, {name}"),
        )
        if best is None or fit.r_reflections < best["r_reflections"]:
            best = {"crystal": name, "zone": list(fit.zone), "r_reflections": fit.r_reflections}
    if best is not None and best["r_reflections"] < _BETTER * r_reflections:
        doubt(
            f"{best['crystal']} on {_words(tuple(best['zone']))} fits better than {cell.name} (R "
            f"{100 * best['r_reflections']:.1f} % against {100 * r_reflections:.1f} %): check the crystal"
        )
    return best


def _same_cell(first: Crystal, second: Crystal) -> bool:
    """Whether two cells are of one volume an atom within 5 % and of one point group: the same crystal, near enough."""
    per_atom = first.volume / len(first.numbers) * len(second.numbers) / second.volume
    return abs(per_atom - 1) < 0.05 and len(point_group(first)) == len(point_group(second))


def _zone_readings(ranked: RankedZone) -> dict[str, Any]:
    return {
        "zone": list(ranked.zone),
        "score": ranked.score,
        "lattice_scale": 1 / ranked.match.scale,
        "explained": ranked.match.explained,
        "present": ranked.present,
        "misfit": ranked.misfit,
    }


def _rebuilt(
    model: FittedModel, problem: Problem, evidence: Evidence, energy_ev: float, held: Held, clock: Clock
) -> tuple[FittedModel, LatticeShift, list[float]]:
    """The model as image and reconstruction say it is; how that lay against the last model; R of each before phasing.

    The image goes first: a shift of one grain by half a lattice vector has the lattice placed between both, and no
    reconstruction finds out of that.
    """

    def told() -> None:
        clock.on_step("model: rebuilding, by the data")

    r_factors = [model.r_pattern]
    in_image = _against_image(model, evidence, energy_ev, clock)
    if in_image is not None:
        trial = rebuilt(model, replace(in_image, strain=(0.0, 0.0, 0.0)), evidence, energy_ev=energy_ev)
        if trial.r_pattern < _LOWER * model.r_pattern:
            model = trial
            r_factors.append(trial.r_pattern)
    while True:
        shift = _against_data(model, problem, energy_ev, told)
        trial = model
        if shift is not _AS_IT_IS:
            trial = _placed(rebuilt(model, shift, evidence, energy_ev=energy_ev), evidence, energy_ev)
        trial = reshaped(trial, evidence, energy_ev=energy_ev, held=held, told=told)
        if trial.r_pattern > _LOWER * model.r_pattern or len(r_factors) > _MOST_REBUILT:
            return model, shift, r_factors
        model = trial
        r_factors.append(trial.r_pattern)


def _placed(model: FittedModel, evidence: Evidence, energy_ev: float) -> FittedModel:
    """The model where the image has it: a reconstruction that the image did not hold may have drifted."""
    if evidence.contrast is None or evidence.conditions is None:
        return model
    g = _reflections_to(model, energy_ev, evidence.conditions.information_limit_per_angstrom)
    return placed_by_image(model, g, evidence, energy_ev=energy_ev) if len(g) else model


def _against_image(model: FittedModel, evidence: Evidence, energy_ev: float, clock: Clock) -> LatticeShift | None:
    """How the lattice lies in the image against the model's; None where the image has too few fringes to tell."""
    if evidence.contrast is None or evidence.conditions is None:
        return None
    clock.on_step("model: rebuilding, by the image")
    g = _reflections_to(model, energy_ev, evidence.conditions.information_limit_per_angstrom)
    if len(g) < _LEAST_FRINGES:
        return None
    seen, expected = (
        image.astype(np.complex64) for image in (evidence.contrast, seen_by_lens(model.atoms, evidence, energy_ev))
    )
    try:
        return lattice_shift(seen, expected, evidence.grid, evidence.support, g)
    except InputError:
        return None


def _against_data(model: FittedModel, problem: Problem, energy_ev: float, told: Callable[[], None]) -> LatticeShift:
    """How the lattice lies that the data make of a model; as it is where lattices cannot be compared."""
    estimate = retrieve(problem, model_schedule(), model.object_field, told=told).estimate
    g = _reflections_to(model, energy_ev, _FRINGES_TO)
    try:
        return lattice_shift(estimate, model.object_field, problem.grid, problem.support, g)
    except InputError:  # too small a particle, or too few reflections
        return _AS_IT_IS


def _reflections_to(model: FittedModel, energy_ev: float, q_per_angstrom: float) -> NDArray[np.float64]:
    """Reflections (k, 2) that the model's crystal has, as it stands."""
    cell, fit = model.particle.crystal, model.fit
    reach = min(q_per_angstrom, _FRINGES_TO)
    beams = ZoneBeams(cell, fit.zone, energy_ev=energy_ev, q_max_per_angstrom=reach)
    strength = np.abs(beams.potential_volt)
    return turned(beams.g_per_angstrom[strength > _FORBIDDEN * strength.max()], fit.match.azimuth_deg)


def _telling(clock: Clock) -> Callable[[str], None]:
    """The fit names its part several times a second; whoever hears may raise to end it."""
    return lambda part: clock.on_step(f"model: {part}")


def _say_doubts(found: FittedModel) -> None:
    name, fit = found.particle.crystal.name, found.fit
    if fit.match.explained < _LEAST_EXPLAINED:
        doubt(
            f"only {100 * fit.match.explained:.0f} % of the pattern's intensity lies on reflections of {name} on this "
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
            f"{100 * fit.r_reflections:.1f} %): {_words(other.zone)} at {other.match.azimuth_deg:.1f}°; the "
            "polarity may be the other"
        )


def _words(zone: Zone) -> str:
    return "[" + " ".join(map(str, zone)) + "]"


def _readings(found: FittedModel) -> dict[str, Any]:
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


def _lattice_readings(found: FittedModel, shift: LatticeShift) -> dict[str, Any]:
    """What the reconstruction added to the perfect crystal: strain, and a boundary."""
    fault = found.particle.fault
    strain = [mine + rest for mine, rest in zip(found.particle.strain, shift.strain, strict=True)]
    readings: dict[str, Any] = {"strain": strain, "strain_error": shift.strain_error}
    if fault is not None:
        readings["boundary"] = {
            "normal_deg": fault.normal_deg,
            "position_angstrom": fault.position_angstrom,
            "shift_angstrom": list(fault.shift_angstrom),
            "shift_error_angstrom": fault.error_angstrom,
            "equivalent_lengths_angstrom": [math.hypot(x, y) for x, y in fault.equivalents_angstrom],
        }
    return readings
