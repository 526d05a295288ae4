"""A fitted model made anew: as a reconstruction's lattice, the whole pattern, and the image have it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.types import Float64

from .lattice_place import nearest_place
from .lattice_shift import Fault, LatticeShift
from .model_fit import FittedModel, alike_in_fringes, images_by_lens, r_before_phasing, scaled_object
from .particle import Particle
from .reflection_fit import Evidence, Held

_WORTH_ANOTHER = 0.99
_THICKNESS_STEP, _ROUNDNESS_STEP, _INSET_STEP, _BOUNDARY_STEP, _NORMAL_STEP_DEG = 2.0, 0.125, 1.0, 1.0, 1.0
_ROUNDEST = 0.75
_SAME_NORMAL_DEG, _SAME_POSITION_ANGSTROM = 20.0, 8.0


def rebuilt(model: FittedModel, shift: LatticeShift, evidence: Evidence, *, energy_ev: float) -> FittedModel:
    """The model with its lattice turned, strained and shifted as a reconstruction's lies against it.

    Parameters
    ----------
    model : FittedModel
        What the reconstruction was compared with.
    shift : LatticeShift
        How it differs.
    evidence : Evidence
        The data, for the new R.
    energy_ev : float
        Of the beam.
    """
    return _made_of(_moved(model.particle, shift), model, evidence, energy_ev)


def _made_of(particle: Particle, model: FittedModel, evidence: Evidence, energy_ev: float) -> FittedModel:
    match = replace(model.fit.match, azimuth_deg=particle.orientation.azimuth_deg)
    atoms = particle.atoms()
    object_field, r_pattern, scale = scaled_object(atoms, evidence, energy_ev, model.fit.falloff_angstrom2)
    shape = particle.shape
    fit = replace(model.fit, match=match, thickness_angstrom=shape.thickness_angstrom, roundness=shape.roundness)
    return replace(
        model,
        particle=particle,
        fit=fit,
        atoms=atoms,
        object_field=object_field,
        scale=scale,
        r_pattern=r_pattern,
    )


def reshaped(
    model: FittedModel,
    evidence: Evidence,
    *,
    energy_ev: float,
    held: Held | None = None,
    heartbeat: Callable[[], None] = lambda: None,
) -> FittedModel:
    """The model with the thickness, roundness and edge, and the boundary's place, that fit the whole pattern best.

    The reflections' intensities tell the thicknesses that there are, the pattern between them where they are.

    Parameters
    ----------
    model : FittedModel
        What to begin with.
    evidence : Evidence
        The data.
    energy_ev : float
        Of the beam.
    held : Held, optional
        What is told and stays.
    heartbeat : callable
        Called several times a second; it may raise to end it.
    """
    held = held or Held()
    changes = [_further_in, _boundary_beyond, _boundary_turned]
    if held.roundness is None:
        changes.insert(0, _rounder)
    if held.thickness_angstrom is None:
        changes.insert(0, _thicker)

    def r_of(particle: Particle) -> float:
        heartbeat()
        return r_before_phasing(particle, evidence, energy_ev, model.fit.falloff_angstrom2)

    best = (r_of(model.particle), model.particle)
    before = math.inf
    while best[0] < _WORTH_ANOTHER * before:
        before = best[0]
        for changed in changes:
            for way in (1, -1):
                best = _descended(best, partial(changed, way), r_of)
    return model if best[1] is model.particle else _made_of(best[1], model, evidence, energy_ev)


def _descended(
    best: tuple[float, Particle], changed: Callable[[Particle], Particle | None], r_of: Callable[[Particle], float]
) -> tuple[float, Particle]:
    """Go on in one direction as long as that lowers R."""
    while (other := changed(best[1])) is not None:
        trial = (r_of(other), other)
        if trial[0] >= best[0]:
            break
        best = trial
    return best


def _thicker(way: int, particle: Particle) -> Particle | None:
    thickness = particle.shape.thickness_angstrom + way * _THICKNESS_STEP
    return replace(particle, shape=replace(particle.shape, thickness_angstrom=thickness)) if thickness > 0 else None


def _rounder(way: int, particle: Particle) -> Particle | None:
    roundness = particle.shape.roundness + way * _ROUNDNESS_STEP
    within = 0 <= roundness <= _ROUNDEST
    return replace(particle, shape=replace(particle.shape, roundness=roundness)) if within else None


def _further_in(way: int, particle: Particle) -> Particle | None:
    inset = particle.shape.inset_angstrom + way * _INSET_STEP
    return replace(particle, shape=replace(particle.shape, inset_angstrom=inset)) if inset >= 0 else None


def _boundary_beyond(way: int, particle: Particle) -> Particle | None:
    fault = particle.fault
    if fault is None:
        return None
    position = fault.position_angstrom + way * _BOUNDARY_STEP
    return replace(particle, fault=replace(fault, position_angstrom=position))


def _boundary_turned(way: int, particle: Particle) -> Particle | None:
    fault = particle.fault
    if fault is None:
        return None
    return replace(particle, fault=replace(fault, normal_deg=fault.normal_deg + way * _NORMAL_STEP_DEG))


def placed_by_image(
    model: FittedModel, g_per_angstrom: Float64, evidence: Evidence, *, energy_ev: float
) -> FittedModel:
    """The model moved so that its image lies over the one that was taken.

    A reconstruction's lattice says how a model is to be turned and strained; where it lies in the outline is known by
    the image alone: phases of a pattern do not change with it.

    Parameters
    ----------
    model : FittedModel
        What to move, by less than a lattice vector where that suffices.
    g_per_angstrom : ndarray, shape (k, 2)
        Reflections that the image holds.
    evidence : Evidence
        With contrast and conditions.
    energy_ev : float
        Of the beam.
    """
    assert evidence.contrast is not None
    seen, grid, support = evidence.contrast, evidence.grid, evidence.support
    found: list[tuple[float, tuple[float, float], float]] = []
    for contrast in images_by_lens(model.atoms, evidence, energy_ev):
        place, correlation = nearest_place(seen, contrast, grid, support, g_per_angstrom)
        laid = fourier.shift(contrast, (place[1] / grid.pixel_angstrom, place[0] / grid.pixel_angstrom))
        found.append((alike_in_fringes(laid, evidence), place, correlation))
    _, offset, correlation = max(found)
    shift = LatticeShift(0.0, (0.0, 0.0, 0.0), math.nan, offset, None, math.nan)
    return replace(rebuilt(model, shift, evidence, energy_ev=energy_ev), image_correlation=correlation)


def _moved(particle: Particle, shift: LatticeShift) -> Particle:
    omega = math.radians(shift.rotation_deg)
    xx, yy, xy = shift.strain
    x, y = particle.offset_angstrom
    offset = (
        x + shift.offset_angstrom[0] + xx * x + (xy - omega) * y,
        y + shift.offset_angstrom[1] + yy * y + (xy + omega) * x,
    )
    turned = replace(particle.orientation, azimuth_deg=particle.orientation.azimuth_deg + shift.rotation_deg)
    strain = (particle.strain[0] + xx, particle.strain[1] + yy, particle.strain[2] + xy)
    fault = _together(particle.fault, shift.fault)
    return replace(particle, orientation=turned, offset_angstrom=offset, strain=strain, fault=fault)


def _together(known: Fault | None, found: Fault | None) -> Fault | None:
    """One boundary: what is found at the place of a known one is a correction of its shift."""
    if known is None or found is None:
        return known or found
    same = abs(math.remainder(found.normal_deg - known.normal_deg, 360.0)) < _SAME_NORMAL_DEG
    if not same or abs(found.position_angstrom - known.position_angstrom) > _SAME_POSITION_ANGSTROM:
        return known
    x, y = found.shift_angstrom
    same_shifts = sorted(((a + x, b + y) for a, b in known.equivalents_angstrom), key=lambda one: math.hypot(*one))
    return replace(
        found,
        shift_angstrom=(known.shift_angstrom[0] + x, known.shift_angstrom[1] + y),
        equivalents_angstrom=tuple(same_shifts),
    )
