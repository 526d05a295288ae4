"""The pattern's pixel from the spacings of a known crystal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.crystal.unit_cell import crystal
from napari_subangstrom_cdi.core.fit.indexing import match_zone
from napari_subangstrom_cdi.core.fit.zones import FITS, LARGEST_SCALE_ERROR, same_zone
from napari_subangstrom_cdi.errors import doubt
from napari_subangstrom_cdi.job.headers import required, taken
from napari_subangstrom_cdi.job.plan import Plan

from .amplitudes import amplitudes_of, regions_of
from .centre import centre_pattern
from .clock import Clock, naming
from .load import load_inputs
from .model import check_model, choose_zone, crystal_spacings
from .model_readings import LARGEST_SCALE_ERROR as DOUBTED_SCALE_ERROR

_FINEST = 1.28  # Å⁻¹


def calibrated_by_crystal(plan: Plan, clock: Clock) -> Plan:
    """The plan with the spacings of its crystal as the pattern's calibration.

    Camera length or reciprocal pixel need only be right within some per cent, for the zone axis to be recognised.
    What is found stands in the plan as known spacings, as if it had been given by hand.

    Raises
    ------
    InputError
        If the plan names no crystal or no zone, or its spots are not in the pattern.
    """
    check_model(plan)
    (energy_ev,) = required(plan, "energy_ev")
    stated, plan = plan, taken(plan)
    loaded = load_inputs(plan, clock)
    centred = centre_pattern(plan, loaded, clock)
    amplitudes = amplitudes_of(plan, centred.pattern, centred.grid)
    regions = regions_of(plan, amplitudes, centred.grid)
    with clock.step("calibrate by the crystal"), naming(plan.inputs.crystal):
        cell, intensity = crystal(str(plan.inputs.crystal)), centred.pattern.intensity
        zone, ranked = choose_zone(plan, intensity, regions, centred.grid, cell, energy_ev, LARGEST_SCALE_ERROR)
        beams = ZoneBeams(cell, zone, energy_ev=energy_ev, q_max_per_angstrom=_FINEST, b_factor=plan.model.b_factor)
        laid = next((one for one in ranked if one.score >= FITS and same_zone(cell, zone, one.zone)), None)
        q_pixel, stretch = loaded.calibration.q_pixel_per_angstrom, None
        if laid is None:
            match = match_zone(np.sqrt(np.maximum(intensity, 0)), regions, centred.grid, beams)[0]
        else:
            beams = ZoneBeams(
                cell, laid.zone, energy_ev=energy_ev, q_max_per_angstrom=_FINEST, b_factor=plan.model.b_factor
            )
            match, stretch = laid.match, laid.distortion.stretch
        spacings = crystal_spacings(intensity, regions, centred.grid, beams, match, q_pixel, stretch)
    if abs(match.scale - 1) > DOUBTED_SCALE_ERROR:
        doubt(
            f"calibrated by {cell.name}, which changes all spacings by {100 * (match.scale - 1):+.1f} %: check that it "
            "is this crystal"
        )
    return replace(stated, pattern=replace(plan.pattern, known_spacings=spacings))
