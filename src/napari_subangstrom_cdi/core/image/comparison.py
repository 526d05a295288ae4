"""Compare image and pattern at any rotation and pixel at once, for alignment by hand."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.types import Bool, Float32, Float64

from ._reflections import reflection_tops
from ._spectra import PADDED, Spectrum, checked_diameter, checked_pattern, particle_spectrum, polar_mesh, standardised
from ._transfer import Transfer
from .geometry import Geometry, pattern_from_image_frequency
from .pair import Pair
from .potential import NormalisedImage

_MOST_SPOTS = 60
_ABOVE_VACUUM = 10.0
# Of the strongest reflection's height: what is weaker may be a side lobe of it or of the central beam.
_OF_STRONGEST = 0.02
_DISPLAY_PX = 512
# Shown a little beyond the information limit, so that the eye sees where the spots end.
_DISPLAY_MARGIN = 1.1


class PowerDisplay(NamedTuple):
    """The image's power spectrum as a picture.

    Attributes
    ----------
    power : ndarray of float32, shape (m, m)
        log10(1 + power / vacuum power), origin at element m // 2, m odd and at most 512.
    step_cycles_per_px : float
        Its pixel, cycles per pixel of the image.
    """

    power: Float32
    step_cycles_per_px: float

    def affine(self, rotation_deg: float, image_pixel_angstrom: float, mirrored: bool) -> Float64:
        """Matrix, shape (3, 3), from array index (row, column, 1) to (qy, qx, 1) in Å⁻¹ of the pattern."""
        matrix = np.eye(3)
        matrix[:2, :2] = self.step_cycles_per_px * pattern_from_image_frequency(
            rotation_deg, image_pixel_angstrom, mirrored
        )
        matrix[:2, 2] = -matrix[:2, :2] @ np.full(2, self.power.shape[0] // 2)
        return matrix


class LiveComparison:
    """Image and pattern with all that does not depend on the geometry computed once.

    Parameters
    ----------
    pair : Pair
        Image and pattern.
    image_pixel_angstrom : float
        Nominal pixel of the image, Å: it sets the band that is compared.
    object_phase_deg : float, optional
        Mean phase of the object. With this and the defocus that a registration has found the correlation is highest
        where the registration is; with nominal ones some tenths of a per cent beside it.

    Attributes
    ----------
    spots_pattern : ndarray, shape (k, 2)
        (qy, qx) in Å⁻¹ of the strongest reflections of the pattern in the band, at most 60, strongest first.
    spots_image : ndarray, shape (m, 2)
        (fy, fx) in cycles per image pixel of the strongest of the image, at most 60, strongest first.
    power_display : PowerDisplay
        The image's power spectrum, to be laid over the pattern.

    Raises
    ------
    InputError
        As :func:`~napari_subangstrom_cdi.core.image.registration.register_image` does for such data.
    """

    def __init__(
        self,
        pair: Pair,
        /,
        *,
        image_pixel_angstrom: float,
        object_phase_deg: float = 0.0,
    ) -> None:
        grid = pair.grid
        diameter = checked_diameter(pair, image_pixel_angstrom)
        observed = checked_pattern(pair, diameter, image_pixel_angstrom)
        spectrum = particle_spectrum(pair.image)
        self._spectrum = spectrum
        qx, qy, q, weight = polar_mesh(observed)
        where = [a / grid.q_pixel_per_angstrom + grid.n // 2 for a in (qy, qx)]
        known = ndi.map_coordinates(observed.valid.astype(np.float32), where, order=1) > 0.99
        smooth = ndi.gaussian_filter(np.clip(observed.intensity, 0, None), 1.0)
        polar = ndi.map_coordinates(smooth, where, order=1)
        amplitude = np.sqrt(polar * Transfer(pair.conditions, object_phase_deg).power(q)) * weight
        self._qx, self._qy, self._weight = qx[known], qy[known], np.broadcast_to(weight, q.shape)[known]
        self._reference = standardised(amplitude[known])
        self.spots_pattern = _strongest(*reflection_tops(observed, diameter)) * grid.q_pixel_per_angstrom
        self.spots_image = _image_spots(spectrum, pair.image, observed.q_min, observed.q_max, image_pixel_angstrom)
        self.power_display = _power_display(spectrum, _DISPLAY_MARGIN * observed.q_max * image_pixel_angstrom)

    def correlation(self, rotation_deg: float, image_pixel_angstrom: float, mirrored: bool) -> float:
        """Correlation of the two amplitude spectra over the common band, -1 to 1, as a guide for the hand."""
        geometry = Geometry(rotation_deg, image_pixel_angstrom, mirrored)
        fx, fy = geometry.to_image(self._qx, self._qy)
        power = self._spectrum.above_noise(fx, fy, order=1)
        return float(self._reference @ standardised(np.sqrt(np.clip(power, 0, None)) * self._weight))

    def spots_on_pattern(self, rotation_deg: float, image_pixel_angstrom: float, mirrored: bool) -> Float64:
        """``spots_image`` in the pattern's frame: (qy, qx) in Å⁻¹, shape (m, 2)."""
        return self.spots_image @ pattern_from_image_frequency(rotation_deg, image_pixel_angstrom, mirrored).T


def _image_spots(
    spectrum: Spectrum, image: NormalisedImage, q_min: float, q_max: float, pixel_angstrom: float
) -> Float64:
    """Local maxima of the image's power in the band that stand out from the vacuum's, cycles per pixel."""
    half = min(math.ceil(q_max * pixel_angstrom * PADDED) + 4, PADDED // 2 - 1)
    index = np.arange(-half, half + 1)
    frequency = np.hypot(index[:, None], index) / PADDED
    centre = PADDED // 2
    power = spectrum.power[centre - half : centre + half + 1, centre - half : centre + half + 1]
    # The spectrum is sampled finely: 1/diameter is so many of its steps.
    period = PADDED / image.diameter_px
    smooth = ndi.gaussian_filter(power, period / 4)
    top = (frequency > q_min * pixel_angstrom) & (frequency < q_max * pixel_angstrom)
    top &= smooth == ndi.maximum_filter(smooth, round(2.4 * period) | 1)
    top &= smooth > _ABOVE_VACUUM * spectrum.noise(frequency)
    if top.any():
        top &= smooth > _OF_STRONGEST * float(smooth[top].max())
    return _strongest(smooth, top) / PADDED


def _strongest(smooth: NDArray[np.floating], top: Bool) -> Float64:
    """Positions (y, x) of the strongest maxima from element n // 2, to a fraction of a pixel by parabolas."""
    y, x = np.nonzero(top)
    order = np.argsort(smooth[y, x], kind="stable")[::-1][:_MOST_SPOTS]
    y, x = y[order], x[order]
    inner = (y > 0) & (x > 0) & (y < smooth.shape[0] - 1) & (x < smooth.shape[1] - 1)
    y, x = y[inner], x[inner]
    here = smooth[y, x]
    offsets = []
    for before, after in ((smooth[y - 1, x], smooth[y + 1, x]), (smooth[y, x - 1], smooth[y, x + 1])):
        bend = 2 * here - before - after
        offsets.append(np.where(bend > 0, (after - before) / np.where(bend > 0, 2 * bend, 1), 0))
    positions = np.stack([y, x], axis=1) + np.stack(offsets, axis=1)
    return np.asarray(positions - [size // 2 for size in smooth.shape], dtype=np.float64)


def _power_display(spectrum: Spectrum, limit_cycles_per_px: float) -> PowerDisplay:
    reach = min(math.ceil(limit_cycles_per_px * PADDED), PADDED // 2 - 1)
    thinned = math.ceil((2 * reach + 1) / _DISPLAY_PX)
    half = reach // thinned
    power = spectrum.power
    if thinned > 1:
        power = ndi.uniform_filter(power, thinned | 1)
    centre = PADDED // 2
    chosen = slice(centre - half * thinned, centre + half * thinned + 1, thinned)
    index = np.arange(-half, half + 1) * thinned / PADDED
    vacuum = spectrum.noise(np.hypot(index[:, None], index))
    floor = max(1e-6 * float(power.max()), 1e-30)
    shown = np.log10(1 + power[chosen, chosen] / np.maximum(vacuum, floor))
    return PowerDisplay(shown.astype(np.float32), thinned / PADDED)
