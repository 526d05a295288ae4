"""What is off whenever records are taken: turned, shifted, told a little wrong; drawn from the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .settings import Simulation


@dataclass(frozen=True)
class UsualFaults:
    """What is off when records are taken; drawn from the seed.

    Parameters
    ----------
    rotation_deg : float
        That brings the image's axes onto the pattern's.
    magnification : float
        True over nominal pixel of the image.
    beam_px, background_beam_px : (float, float)
        Where the beam falls, from the detector's middle, (y, x).
    background_turn_deg : float
        Of the background record about its beam.
    image_centre_px : (float, float)
        Where the particle is in the image.
    told_rotation_deg, told_defocus_nm : float
        What the microscopist writes down.
    """

    rotation_deg: float = 0.0
    magnification: float = 1.0
    beam_px: tuple[float, float] = (0.0, 0.0)
    background_beam_px: tuple[float, float] = (0.0, 0.0)
    background_turn_deg: float = 0.0
    image_centre_px: tuple[float, float] = (512.0, 512.0)
    told_rotation_deg: float = 0.0
    told_defocus_nm: float = -61.3


def usual_faults(settings: Simulation) -> UsualFaults:
    """What goes wrong, drawn from the seed; nothing if the settings say so."""
    microscope = settings.microscope
    if not microscope.faults:
        middle = microscope.image_px / 2
        return UsualFaults(image_centre_px=(middle, middle), told_defocus_nm=microscope.defocus_nm)
    rng = np.random.default_rng([settings.seed, 1])
    rotation = float(rng.uniform(-180, 180))
    pixels = 25.0 / microscope.detector_pixel_um  # of an imaging plate, in the detector's
    beam = rng.uniform(-15, 15, 2) * pixels
    moved = rng.uniform(-3, 3, 2) * pixels
    return UsualFaults(
        rotation_deg=rotation,
        magnification=float(rng.uniform(0.975, 1.025)),
        beam_px=(float(beam[0]), float(beam[1])),
        background_beam_px=(float(beam[0] + moved[0]), float(beam[1] + moved[1])),
        background_turn_deg=float(rng.uniform(-0.4, 0.4)),
        image_centre_px=(_off_centre(microscope.image_px, rng), _off_centre(microscope.image_px, rng)),
        told_rotation_deg=round(rotation + float(rng.uniform(-3.5, 3.5)), 1),
        told_defocus_nm=round(microscope.defocus_nm + float(rng.normal(0, 2.0)), 1),
    )


def _off_centre(size: int, rng: np.random.Generator) -> float:
    return size / 2 + float(rng.uniform(-40, 40)) * size / 1024
