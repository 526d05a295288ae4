"""How the image lies on the pattern: rotation, pixel and mirror; and how to lay it there.

``r_pattern = R(φ) M r_image`` with ``r = (x, y)``, y down, φ from +x towards +y, and M the mirror ``x → -x``
of the image if there is one. R and M are orthogonal, so frequencies turn as positions do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.types import Float32, Float64
from napari_subangstrom_cdi.errors import InputError


@dataclass(frozen=True)
class Geometry:
    """Rotation, pixel and mirror, and what they do to frequencies."""

    rotation_deg: float
    pixel_angstrom: float
    mirrored: bool

    def to_image(self, qx: Float64, qy: Float64) -> tuple[Float64, Float64]:
        """Frequencies in the image, cycles per pixel, of frequencies in the pattern, Å⁻¹."""
        angle = math.radians(self.rotation_deg)
        fx = (math.cos(angle) * qx + math.sin(angle) * qy) * self.pixel_angstrom
        fy = (-math.sin(angle) * qx + math.cos(angle) * qy) * self.pixel_angstrom
        return (-fx if self.mirrored else fx), fy


def pattern_from_image_frequency(rotation_deg: float, image_pixel_angstrom: float, mirrored: bool) -> Float64:
    """Matrix that takes a frequency of the image to the pattern.

    Parameters
    ----------
    rotation_deg, image_pixel_angstrom, mirrored
        See :class:`Candidate`.

    Returns
    -------
    ndarray, shape (2, 2)
        Maps (fy, fx) in cycles per image pixel to (qy, qx) in Å⁻¹; for rows of points, ``points @ matrix.T``.

    Raises
    ------
    InputError
        If the pixel is not positive.
    """
    if not (math.isfinite(image_pixel_angstrom) and image_pixel_angstrom > 0):
        raise InputError(
            f"an image pixel of {image_pixel_angstrom:g} Å",
            where="image pixel",
            mend="give a positive length in ångström",
        )
    angle, hand = math.radians(rotation_deg), -1 if mirrored else 1
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, sine * hand], [-sine, cosine * hand]]) / image_pixel_angstrom


def wrap_deg(angle_deg: float, period: float) -> float:
    """Angle brought into half a period either side of 0."""
    return (angle_deg + period / 2) % period - period / 2


@dataclass(frozen=True)
class Candidate:
    """One way to lay the image onto the pattern.

    Attributes
    ----------
    rotation_deg : float
        Rotation from the image's axes to the pattern's, +x towards +y, in (-180, 180].
    image_pixel_angstrom : float
        Pixel of the image, Å.
    mirrored : bool
        True if the image's x axis is reversed before the rotation.
    correlation : float
        Correlation of the two amplitude spectra over the common band.
    """

    rotation_deg: float
    image_pixel_angstrom: float
    mirrored: bool
    correlation: float


@dataclass(frozen=True)
class ImageRegistration:
    """How the image lies on the pattern.

    Attributes
    ----------
    rotation_deg, image_pixel_angstrom, mirrored
        See :class:`Candidate`.
    rotation_error_deg, image_pixel_error_angstrom : float
        Standard errors, from how well the common reflections agree with each other.
    correlation : float
        Mean correlation of the shapes of the common reflections, 0 to 1.
    n_reflections : int
        Common reflections used, Friedel pairs counted once.
    object_phase_deg, defocus_nm : float
        Mean phase of the object and defocus for which the contrast transfer explains the image's power
        relative to the pattern's, ring by ring.
    transfer_residual : float
        Mean absolute deviation of the logarithm of that ratio; about 0.1 to 0.3 is good.
    candidates : tuple of Candidate
        Other rotations, best first, before refinement. A power spectrum is centrosymmetric: the
        rotations by 180° more are as good and not listed.
    """

    rotation_deg: float
    image_pixel_angstrom: float
    mirrored: bool
    rotation_error_deg: float
    image_pixel_error_angstrom: float
    correlation: float
    n_reflections: int
    object_phase_deg: float
    defocus_nm: float
    transfer_residual: float
    candidates: tuple[Candidate, ...]


def resample_to_pattern(
    estimate: Float32,
    registration: ImageRegistration,
    grid: Grid,
    /,
    *,
    centre_px: tuple[float, float],
    order: int = 5,
) -> Float32:
    """Lay an estimate made from the image onto the pattern's real-space grid, particle at the centre.

    Rotation, pixel size, mirror and centring are one spline interpolation; outside the image is 0.

    Parameters
    ----------
    estimate : ndarray, shape (y, x)
        Potential estimate on the image's pixels, 0 in the vacuum.
    registration : ImageRegistration
        From :func:`.register_image`.
    grid : Grid
        Grid of the object.
    centre_px : tuple of float
        Image pixel (y, x) that comes to element n // 2.
    order : int, optional
        Order of the spline; 5 keeps a band up to two thirds of Nyquist within a per cent.

    Returns
    -------
    ndarray of float32, shape (n, n)
    """
    if estimate.ndim != 2 or np.iscomplexobj(estimate):
        raise InputError("a potential estimate is a real array of two axes")
    angle, scale = (
        math.radians(registration.rotation_deg),
        grid.pixel_angstrom / registration.image_pixel_angstrom,
    )
    index = grid.index()
    x, y = index[None, :] * scale, index[:, None] * scale
    u = math.cos(angle) * x + math.sin(angle) * y
    v = -math.sin(angle) * x + math.cos(angle) * y
    where = np.stack([v + centre_px[0], (-u if registration.mirrored else u) + centre_px[1]])
    resampled = ndi.map_coordinates(estimate.astype(np.float32), where, order=order, mode="constant", cval=0.0)
    return np.asarray(resampled, dtype=np.float32)
