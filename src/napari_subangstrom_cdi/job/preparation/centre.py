"""The second step: the beam found, the background taken away, the pattern embedded in its array."""

from __future__ import annotations

from dataclasses import replace

from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.record.distortion import Distortion
from napari_subangstrom_cdi.core.record.embedding import embed
from napari_subangstrom_cdi.errors import InputError, Remedy
from napari_subangstrom_cdi.job.plan import Plan

from .clock import Clock
from .geometry import pattern_geometry, stated_distortion
from .load import FARTHEST_PER_ANGSTROM, Loaded
from .record import Centred, CentredRecord, centre_record, reciprocal_pixel, reciprocal_remedies

_OVERSAMPLING = 3.5
_LARGEST_ARRAY = 1024


def centre_pattern(plan: Plan, loaded: Loaded, clock: Clock) -> Centred:
    """Find the beam, take the background away, and embed the pattern in its array."""
    record = centre_record(plan, loaded.records, clock)
    q_pixel = loaded.calibration.q_pixel_per_angstrom
    stated = stated_distortion(plan)
    binning, n = choose_sampling(plan, record, q_pixel, loaded.diameter_angstrom, stated)
    with clock.step("embed"):
        pattern = embed(record.record, record.centre_px, binning=binning, n=n, distortion=stated)
    grid = Grid(n, 1 / (q_pixel * binning))
    geometry = pattern_geometry(plan, loaded, record, pattern, grid, clock)
    if geometry.distortion != stated:
        with clock.step("embed"):
            pattern = embed(record.record, record.centre_px, binning=binning, n=n, distortion=geometry.distortion)
    record = replace(record, readings={**record.readings, "geometry": geometry.readings()})
    return Centred(record, binning, grid, pattern, geometry.distortion)


def _mend_of_field(plan: Plan, q_pixel: float, raw: int) -> str:
    """Names a reciprocal pixel by which the pattern would reach too far, and what it would be in other units."""
    stated, energy = plan.acquisition.reciprocal_pixel_per_angstrom, plan.acquisition.energy_ev
    if stated is None or plan.pattern.known_spacings or q_pixel * raw / 2 < FARTHEST_PER_ANGSTROM:
        return ""
    reach = q_pixel * raw / 2
    mrad = "" if energy is None else f", or {stated / (1e3 * wavelength_angstrom(energy)):.3g} if it is in mrad"
    return (
        f"reciprocal_pixel_per_A {stated:g} makes the pattern reach {reach:.3g} Å⁻¹: "
        f"give {stated / 10:.3g} if it is in 1/nm{mrad}"
    )


def _other_units(plan: Plan) -> tuple[Remedy, ...]:
    """The stated reciprocal pixel in the units of :func:`_mend_of_field`."""
    energy = plan.acquisition.energy_ev
    mrad = () if energy is None else ((1e3 * wavelength_angstrom(energy), "mrad"),)
    return reciprocal_remedies(reciprocal_pixel(plan), ((10.0, "1/nm"), *mrad))


def choose_sampling(
    plan: Plan,
    centred: CentredRecord,
    q_pixel: float,
    diameter_angstrom: float | None,
    distortion: Distortion | None = None,
) -> tuple[int, int]:
    """Binning and array size: the smallest array up to 1,024 that still oversamples the particle well.

    Raises
    ------
    InputError
        If the particle does not fit into the field of view of the pattern.
    """
    raw = (distortion or Distortion()).reach(centred.record.shape)
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
            where=plan.inputs.image,
            mend=_mend_of_field(plan, q_pixel, raw)
            or "check the image pixel and the camera length" + (", or use a smaller binning" if binning > 1 else ""),
            remedies=_other_units(plan) if _mend_of_field(plan, q_pixel, raw) else (),
        )
    n = plan.pattern.array_size or -(-raw // binning)
    return binning, n + n % 2
