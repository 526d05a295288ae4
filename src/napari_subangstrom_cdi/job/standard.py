"""A pattern of rings calibrated by a crystal, in files: the beam, the reciprocal pixel and the ellipse."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_subangstrom_cdi.core.crystal.unit_cell import crystal as crystal_of
from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.core.fit.rings import RingCalibration, calibrate_by_rings
from napari_subangstrom_cdi.errors import InputError, doubt
from napari_subangstrom_cdi.io.acquisition import Acquisition

from .arguments import Data, plan_of
from .headers import taken
from .plan import Frame, Plan
from .preparation.clock import Clock, naming
from .preparation.record import load_records, reciprocal_pixel

_SIGNIFICANT = 3.5  # standard errors, from which on an ellipse is one
_DIFFERENT = 0.01


def calibrate_standard(
    record: Data,
    crystal: str | os.PathLike[str],
    scratch: Path,
    *,
    mask: Data | None = None,
    frame: Frame = None,
    acquisition: str | os.PathLike[str] | Mapping[str, Any] | Acquisition | None = None,
) -> tuple[RingCalibration, Acquisition]:
    """Calibrate by the rings of a standard; and what is known of the record, with the pixel that was found.

    Where the reciprocal pixel is known, from the acquisition or from the file, it names the rings; where they are not
    the crystal's with it, every pixel is tried, and that is said.

    Parameters
    ----------
    record : path or array
        The pattern.
    crystal : str or path
        Name or CIF of the standard.
    scratch : Path
        Folder for arrays.
    mask : path or array, optional
        Pixels not to be trusted, non-zero.
    frame : int or 'sum', optional
        Of a stack.
    acquisition : path, mapping or Acquisition, optional
        What is known of the record.

    Raises
    ------
    InputError
        If it cannot be read, or its rings are not those of the crystal.
    """
    sections = {} if frame is None else {"pattern_frame": frame}
    data = {"pattern": record, "mask": mask, "crystal": os.fspath(crystal)}
    plan = taken(plan_of(data, scratch, acquisition=acquisition, sections=sections))
    standard = crystal_of(str(plan.inputs.crystal))
    records = load_records(plan, Clock())
    known = reciprocal_pixel(plan)
    told = known.q_pixel_per_angstrom if known.known else None
    with naming(plan.inputs.pattern):
        try:
            found = calibrate_by_rings(records.particle, standard, q_pixel_per_angstrom=told)
        except InputError:
            if told is None:
                raise
            found = calibrate_by_rings(records.particle, standard)
    if told is not None and abs(found.q_pixel_per_angstrom / told - 1) > _DIFFERENT:
        doubt(
            f"the rings of {standard.name} give a reciprocal pixel of {found.q_pixel_per_angstrom:.6g} Å⁻¹, "
            f"{100 * (found.q_pixel_per_angstrom / told - 1):+.1f} % from that of the {known.source}"
        )
    return found, _with_pixel(plan, found)


def _with_pixel(plan: Plan, found: RingCalibration) -> Acquisition:
    """What is known, for records taken with the same camera length: the beam of the standard is not theirs."""
    known = plan.acquisition.to_dict()
    for key in ("camera_length_mm", "beam_centre_px", "ellipse_percent", "ellipse_deg"):
        known.pop(key, None)
    known["reciprocal_pixel_per_A"] = found.q_pixel_per_angstrom
    if found.ratio - 1 > _SIGNIFICANT * found.form_error:
        known |= {"ellipse_percent": 100 * (found.ratio - 1), "ellipse_deg": found.axis_deg}
    return Acquisition.from_mapping(known)


def standard_readings(found: RingCalibration, known: Acquisition) -> dict[str, Any]:
    """The numbers of a calibration, ready for JSON.

    Parameters
    ----------
    found : RingCalibration
        What the rings told.
    known : Acquisition
        Of the record; the camera length follows where it holds beam energy and detector pixel.
    """
    readings: dict[str, Any] = {
        "reciprocal_pixel_per_A": found.q_pixel_per_angstrom,
        "reciprocal_pixel_error_per_A": found.q_pixel_error_per_angstrom,
        "ellipse": found.ratio,
        "ellipse_error": found.form_error * found.ratio,
        "ellipse_deg": found.axis_deg,
        "ellipse_deg_error": found.axis_error_deg,
        "beam_px": list(found.centre_px),
        "beam_error_px": list(found.centre_error_px),
        "correlation": found.correlation,
        "rings": [
            {"hkl": list(ring.hkl), "q_per_angstrom": ring.q_per_angstrom, "radius_px": ring.radius_px}
            for ring in found.rings
        ],
    }
    if known.energy_ev is not None and known.detector_pixel_um is not None:
        camera_length = known.detector_pixel_um * 1e-3 / wavelength_angstrom(known.energy_ev)
        readings["camera_length_mm"] = camera_length / found.q_pixel_per_angstrom
    return readings
