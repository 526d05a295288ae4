"""What spoils records: stretched patterns, uneven lenses, a film of carbon, beam stops, gaps, drift.

Directions run from +x towards +y with y down.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
import scipy.special

from .crystal.scattering import POTENTIAL_PER_FACTOR, electron_scattering_factor
from .electron import interaction_constant, wavelength_angstrom
from .grid import Grid
from .types import Bool, Float64

_CARBON_PER_ANGSTROM3 = 0.1  # atoms: 2 g/cm³
_RINGS = ((0.75, 0.48, 0.06), (-0.25, 0.65, 0.08), (0.3, 0.84, 0.08))  # Å⁻¹


def uneven_phase(
    q_y: Float64,
    q_x: Float64,
    energy_ev: float,
    *,
    astigmatism_nm: float = 0.0,
    astigmatism_deg: float = 0.0,
    coma_nm: float = 0.0,
    coma_deg: float = 0.0,
) -> Float64:
    """What twofold astigmatism A1 and axial coma B2 add to χ(q), radians.

    χ = (2π/λ) [½ A1 w² cos 2(φ − φ_A) + B2 w³ cos(φ − φ_B)] with w = λ|q|, in the notation of S. Uhlemann and
    M. Haider, *Ultramicroscopy* 72 (1998) 109, doi:10.1016/S0304-3991(97)00102-2. The defocus is larger by A1 along its
    direction.
    """
    wavelength = wavelength_angstrom(energy_ev)
    square = np.square(q_y) + np.square(q_x)
    angle = np.arctan2(q_y, q_x)
    twofold = astigmatism_nm * 10 * math.pi * wavelength * np.cos(2 * (angle - math.radians(astigmatism_deg)))
    onefold = coma_nm * 10 * 2 * math.pi * wavelength**2 * np.sqrt(square) * np.cos(angle - math.radians(coma_deg))
    return np.asarray(square * (twofold + onefold), np.float64)


def drifted(intensity: Float64, grid: Grid, way_angstrom: float, direction_deg: float) -> Float64:
    """An image whose particle moved evenly along a line during the exposure; its middle stays."""
    q = scipy.fft.fftfreq(grid.n, grid.pixel_angstrom)
    angle = math.radians(direction_deg)
    along = math.sin(angle) * q[:, None] + math.cos(angle) * q[None, : grid.n // 2 + 1]
    blurred: Float64 = scipy.fft.irfft2(scipy.fft.rfft2(intensity) * np.sinc(way_angstrom * along), s=grid.shape)
    return blurred


def carbon_power(q_per_angstrom: Float64, thickness_angstrom: float, energy_ev: float) -> Float64:
    """Power spectrum of the phase of an amorphous carbon film, rad² Å²: ⟨|Φ(q)|²⟩ of a unit of area.

    Independent atoms times an interference function with the two broad rings of amorphous carbon, at 2.1 and 1.2 Å,
    and little scattering at small angles.
    """
    q = np.asarray(q_per_angstrom, np.float64)
    factor = electron_scattering_factor(6, q) * POTENTIAL_PER_FACTOR * interaction_constant(energy_ev)
    order = 1 - 0.9 * np.exp(-((q / 0.38) ** 2))
    for height, middle, width in _RINGS:
        order += height * np.exp(-(((q - middle) / width) ** 2))
    return np.asarray(_CARBON_PER_ANGSTROM3 * thickness_angstrom * order * factor**2, np.float64)


def film_phase(grid: Grid, thickness_angstrom: float, energy_ev: float, rng: np.random.Generator) -> Float64:
    """Phase of a film of amorphous carbon about its mean, radians, periodic on the grid, shape (n, n)."""
    axis = scipy.fft.fftfreq(grid.n, grid.pixel_angstrom)
    q = np.hypot(axis[:, None], axis[None, : grid.n // 2 + 1])
    strength = np.sqrt(carbon_power(q, thickness_angstrom, energy_ev)) / grid.pixel_angstrom
    strength[0, 0] = 0
    phase: Float64 = scipy.fft.irfft2(scipy.fft.rfft2(rng.standard_normal(grid.shape)) * strength, s=grid.shape)
    return phase


def speckle(shape: tuple[int, int], width_px: float, rng: np.random.Generator) -> Float64:
    """Intensity of a random wave that a coherent beam scatters, 1 on average, shape as asked.

    Parameters
    ----------
    width_px : float
        Standard deviation of the beam's amplitude in the pattern.
    """
    parts = [ndi.gaussian_filter(rng.standard_normal(shape), width_px, mode="wrap") for _ in range(2)]
    power = np.square(parts[0]) + np.square(parts[1])
    return np.asarray(power / power.mean(), np.float64)


def outside_stop(
    shape: tuple[int, int],
    at: tuple[float, float],
    *,
    disc_px: float,
    arm_px: float,
    direction_deg: float = -90.0,
) -> Float64:
    """Distance in pixels from a beam stop: a disc at a place (y, x) and an arm from there; negative within."""
    y, x = (np.arange(n, dtype=np.float64) - middle for n, middle in zip(shape, at, strict=True))
    angle = math.radians(direction_deg)
    along = math.sin(angle) * y[:, None] + math.cos(angle) * x
    across = np.abs(math.cos(angle) * y[:, None] - math.sin(angle) * x)
    radius = np.hypot(y[:, None], x)
    distance = radius - disc_px
    if arm_px:
        distance = np.minimum(distance, np.where(along > 0, across, radius) - arm_px / 2)
    return np.asarray(distance, np.float64)


def passed_by_stop(distance_px: Float64, shadow_px: float) -> Float64:
    """Share of the electrons that pass at a distance from the stop's edge, which is blurred by a standard deviation."""
    if not shadow_px:
        return np.asarray(distance_px > 0, np.float64)
    return np.asarray(scipy.special.ndtr(distance_px / shadow_px), np.float64)


def module_cross(shape: tuple[int, int], width_px: int) -> Bool:
    """The gaps between four modules of a detector: a cross through its middle."""
    cross = np.zeros(shape, bool)
    rows, columns = (slice(n // 2 - width_px // 2, n // 2 - width_px // 2 + width_px) for n in shape)
    cross[rows] = True
    cross[:, columns] = True
    return cross
