"""The size of a pattern's pixel in reciprocal space.

The pattern is read as a plane section: ``q = s / (λ L)`` for a pixel at distance ``s`` from the beam
and a camera length ``L``. This is the small-angle form of ``q = 2 sin(θ) / λ`` with
``tan(2θ) = s / L``, and differs from it by the fraction ``3 (λq)² / 8``: 0.04 % at 1.28 Å⁻¹ and 200 kV,
a seventh of a pixel there, and below the accuracy of a camera length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.errors import InputError, doubt


@dataclass(frozen=True)
class ReciprocalPixel:
    """A reciprocal pixel fitted to known spacings.

    Parameters
    ----------
    q_pixel_per_angstrom : float
        Reciprocal pixel, Å⁻¹.
    standard_error_per_angstrom : float
        Its standard error, Å⁻¹; NaN from a single spot.
    residual_px : tuple of float
        Measured minus calculated radius of each spot, pixels.
    """

    q_pixel_per_angstrom: float
    standard_error_per_angstrom: float
    residual_px: tuple[float, ...]


def q_pixel_from_camera_length(camera_length_mm: float, *, detector_pixel_um: float, energy_ev: float) -> float:
    """Reciprocal pixel ``p / (λ L)`` in Å⁻¹.

    Parameters
    ----------
    camera_length_mm : float
        Camera length L, mm.
    detector_pixel_um : float
        Detector pixel p, µm.
    energy_ev : float
        Beam energy, eV.

    Raises
    ------
    InputError
        If a length is not positive and finite, or the energy is out of range.

    Examples
    --------
    >>> q = q_pixel_from_camera_length(797.48, detector_pixel_um=25, energy_ev=200e3)
    >>> round(q, 6)
    0.00125
    """
    _check_positive(camera_length_mm, "camera length", "mm")
    _check_positive(detector_pixel_um, "detector pixel", "µm")
    return detector_pixel_um * 1e-3 / (camera_length_mm * wavelength_angstrom(energy_ev))


def q_pixel_from_spacings(radii_px: ArrayLike, spacings_angstrom: ArrayLike) -> ReciprocalPixel:
    """Reciprocal pixel from the radii of spots or rings of known lattice spacing.

    Least squares of ``radius = 1 / (d k)`` over the reciprocal pixel ``k``, radii equally uncertain;
    the standard error comes from the residuals.

    Parameters
    ----------
    radii_px : array_like, shape (n,)
        Distances from the beam, pixels.
    spacings_angstrom : array_like, shape (n,)
        Lattice spacings d, Å.

    Raises
    ------
    InputError
        If the lists differ in length, are empty, or hold numbers that are not positive and finite.

    Examples
    --------
    >>> fit = q_pixel_from_spacings([100.0, 200.0], [4.0, 2.0])
    >>> fit.q_pixel_per_angstrom
    0.0025
    """
    radii = np.atleast_1d(np.asarray(radii_px, dtype=np.float64))
    spacings = np.atleast_1d(np.asarray(spacings_angstrom, dtype=np.float64))
    if radii.ndim != 1 or radii.shape != spacings.shape or radii.size == 0:
        raise InputError(
            f"{radii.size} radii for {spacings.size} spacings", mend="give one radius for each spacing, at least one"
        )
    for values, name, unit in ((radii, "radius", "px"), (spacings, "lattice spacing", "Å")):
        for value in values:
            _check_positive(float(value), name, unit)
    q = 1 / spacings
    scale = float(radii @ q / (q @ q))
    residual = radii - scale * q
    error = math.nan
    if radii.size > 1:
        error = math.sqrt(float(residual @ residual) / (radii.size - 1) / float(q @ q)) / scale**2
        _warn_of_outliers(radii, q)
    return ReciprocalPixel(1 / scale, error, tuple(residual.tolist()))


def _warn_of_outliers(radii: NDArray[np.float64], q: NDArray[np.float64]) -> None:
    """Warn of a spot far from the line through the others; the median is not drawn along by it."""
    residual = radii - float(np.median(radii / q)) * q
    spread = 1.4826 * float(np.median(np.abs(residual)))
    worst = int(np.argmax(np.abs(residual)))
    if residual.size > 2 and abs(residual[worst]) > max(6 * spread, 2.0):
        doubt(
            f"the spot given d = {1 / q[worst]:.4g} Å lies {residual[worst]:+.1f} px from where the others put it; "
            "check its indices",
        )


def _check_positive(value: float, name: str, unit: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"a {name} of {value:g} {unit}", mend="give a positive, finite number")
