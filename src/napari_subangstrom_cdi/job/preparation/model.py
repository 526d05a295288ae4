"""From a crystal's name to the object that members start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.crystal.habit import point_group
from napari_subangstrom_cdi.core.crystal.unit_cell import Crystal, Zone, crystal, crystal_names, zone_axis
from napari_subangstrom_cdi.core.fit.indexing import Match, spot_radii
from napari_subangstrom_cdi.core.fit.model_fit import Evidence, FittedModel, Held, fit_model, fit_reflections
from napari_subangstrom_cdi.core.fit.zones import FITS, SCALE_ERROR, RankedZone, rank_zones, same_zone
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.geometry import resample_to_pattern
from napari_subangstrom_cdi.core.image.potential import particle_window
from napari_subangstrom_cdi.core.phasing.retrieval import Problem
from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError, doubt
from napari_subangstrom_cdi.job.headers import required
from napari_subangstrom_cdi.job.plan import Plan, RegionSettings

from .clock import Clock, naming
from .image import RegisteredImage
from .load import Loaded, imaging_conditions
from .masks import Prepared, extended_schedule
from .model_readings import in_words, lattice_readings, model_readings, say_distortion, say_doubts, zone_readings
from .rebuild import FRINGES_TO, Rebuilding

Intensity = NDArray[np.floating]

AUTOMATIC = "auto"  # instead of a zone axis
_AS_GOOD_A_ZONE = 0.5
_BETTER = 0.85  # of the named crystal's R


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
    required(plan, "energy_ev")
    crystal(plan.inputs.crystal)
    if plan.model.zone.strip().lower() != AUTOMATIC:
        zone_axis(plan.model.zone)


def fit_crystal(
    plan: Plan, loaded: Loaded, image: RegisteredImage | None, prepared: Prepared, clock: Clock
) -> StartingModel:
    """Fit the crystal that the plan names, whether members then start from it or not.

    The model is rebuilt from a reconstruction that it started, as long as that lowers its R before phasing. It does
    not depend on α and how it is read: that reconstruction is made with their defaults.

    Raises
    ------
    InputError
        If there is no such crystal or zone, or the zone does not show in the pattern.
    """
    check_model(plan)
    (energy_ev,) = required(plan, "energy_ev")
    problem = _with_usual_band(plan, prepared)
    evidence = _evidence(plan, loaded, image, prepared, clock)
    cell = crystal(str(plan.inputs.crystal))
    with clock.step("model"), naming(plan.inputs.crystal):
        clock.on_step("model: zone axes")
        zone, ranked = choose_zone(plan, evidence.intensity, problem.regions, problem.grid, cell, energy_ev)
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
        models, shift = Rebuilding(problem, evidence, energy_ev, held, clock).models_from(first)
        found = models[-1]
        other = _polymorph(evidence, cell, found.fit.r_reflections, energy_ev, clock)
        spacings = _spacings(first, cell, evidence, energy_ev, loaded.calibration.q_pixel_per_angstrom)
    say_doubts(found)
    readings = {
        **model_readings(found),
        "r_rebuilt": [model.r_pattern for model in models],
        **lattice_readings(found, shift),
        "zones": [zone_readings(one) for one in ranked],
        "polymorph": other,
        "known_spacings": spacings,
    }
    return StartingModel(found, evidence, readings)


def _with_usual_band(plan: Plan, prepared: Prepared) -> Problem:
    usual = RegionSettings()
    settings = replace(plan.regions, alpha=usual.alpha, reading=usual.reading)
    problem = prepared.problem
    return replace(problem, band=prepared.amplitudes.band(problem.regions, settings))


def _evidence(plan: Plan, loaded: Loaded, image: RegisteredImage | None, prepared: Prepared, clock: Clock) -> Evidence:
    """The pattern in the square of the problem's units, negative where noise is; and the image, if there is one."""
    problem, amplitudes = prepared.problem, prepared.amplitudes
    intensity = amplitudes.pattern.intensity * np.float32(amplitudes.scale**2)
    evidence = Evidence(problem.grid, intensity, problem.regions, problem.support)
    if image is None:
        return evidence
    normalised = image.normalised
    with clock.step("model: image"):
        contrast = (1 - normalised.intensity) * particle_window(normalised)
        placed = resample_to_pattern(contrast, image.registration, problem.grid, centre_px=normalised.centre_px)
        conditions = replace(imaging_conditions(plan), defocus_nm=image.registration.defocus_nm)
        return replace(evidence, contrast=placed, conditions=conditions)


def starting_from_model(prepared: Prepared, model: StartingModel, image: RegisteredImage | None) -> Prepared:
    """The same with members that start from a model."""
    problem = replace(prepared.problem, model=model.fitted.object_field)
    unaided = None if image is None else extended_schedule(image, problem)
    readings = {**prepared.readings, "model": model.readings}
    return replace(
        prepared, problem=problem, readings=readings, model=model.fitted, evidence=model.evidence, unaided=unaided
    )


def _spacings(
    model: FittedModel, cell: Crystal, evidence: Evidence, energy_ev: float, q_pixel: float
) -> list[list[float]]:
    """As of :func:`crystal_spacings`, of the zone that was fitted; none where too few spots are in the pattern."""
    beams = ZoneBeams(cell, model.fit.zone, energy_ev=energy_ev, q_max_per_angstrom=FRINGES_TO)
    try:
        found = crystal_spacings(evidence.intensity, evidence.regions, evidence.grid, beams, model.fit.match, q_pixel)
    except InputError:
        return []
    return [list(one) for one in found]


def choose_zone(
    plan: Plan,
    intensity: Intensity,
    regions: NDArray[np.uint8],
    grid: Grid,
    cell: Crystal,
    energy_ev: float,
    scale_error: float = SCALE_ERROR,
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
    scale_error : float
        As of :func:`.rank_zones`.

    Raises
    ------
    InputError
        If it is to be found and none fits.
    """
    amplitude = np.sqrt(np.maximum(intensity, 0))
    automatic = plan.model.zone.strip().lower() == AUTOMATIC
    try:
        ranked = rank_zones(
            amplitude,
            regions,
            grid,
            cell,
            energy_ev=energy_ev,
            b_factor=plan.model.b_factor,
            scale_error=scale_error,
        )
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
        say_distortion(best, cell.name)
        return best.zone, ranked
    zone = zone_axis(plan.model.zone)
    named = next((one for one in ranked if one.score >= FITS and same_zone(cell, zone, one.zone)), None)
    if named is not None:
        say_distortion(named, cell.name)
    if best is None:
        doubt(f"no zone axis of {cell.name} fits the spots: another crystal, or a wrong camera length")
    elif not any(one.score > _AS_GOOD_A_ZONE * best.score and same_zone(cell, zone, one.zone) for one in ranked):
        doubt(f"the spots are those of {in_words(best.zone)} of {cell.name} rather than of {in_words(zone)}")
    return zone, ranked


def crystal_spacings(
    intensity: Intensity,
    regions: NDArray[np.uint8],
    grid: Grid,
    beams: ZoneBeams,
    match: Match,
    q_pixel_per_angstrom: float,
    stretch: Float64 | None = None,
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
    stretch : ndarray, shape (2, 2), optional
        As of :func:`.spot_radii`.

    Raises
    ------
    InputError
        If fewer than three pairs of spots are in the pattern.
    """
    measured, own = spot_radii(np.sqrt(np.maximum(intensity, 0)), regions, grid, beams, match, stretch)
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
            heartbeat=partial(clock.on_step, f"model: other crystals, {name}"),
        )
        if best is None or fit.r_reflections < best["r_reflections"]:
            best = {"crystal": name, "zone": list(fit.zone), "r_reflections": fit.r_reflections}
    if best is not None and best["r_reflections"] < _BETTER * r_reflections:
        doubt(
            f"{best['crystal']} on {in_words(tuple(best['zone']))} fits better than {cell.name} (R "
            f"{100 * best['r_reflections']:.1f} % against {100 * r_reflections:.1f} %): check the crystal"
        )
    return best


def _same_cell(first: Crystal, second: Crystal) -> bool:
    """Whether two cells are of one volume an atom within 5 % and of one point group: the same crystal, near enough."""
    per_atom = first.volume / len(first.numbers) * len(second.numbers) / second.volume
    return abs(per_atom - 1) < 0.05 and len(point_group(first)) == len(point_group(second))


def _telling(clock: Clock) -> Callable[[str], None]:
    """The fit names its part several times a second; whoever hears may raise to end it."""
    return lambda part: clock.on_step(f"model: {part}")
