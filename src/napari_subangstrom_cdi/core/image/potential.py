"""From a TEM image to an estimate of the projected potential, as the phase O = σ_e V in radians.

Signs: the wave after the specimen is ``ψ = 1 + iO``. The lens multiplies its spectrum by
``exp(-iχ)`` with ``χ(q) = πλΔf q² + (π/2) C_s λ³ q⁴`` and underfocus negative, so a weak phase
object has the image ``I - 1 = 2 O ⊗ F⁻¹[sin χ]`` and, near Scherzer underfocus where ``sin χ ≈ -1``,
dark atoms: ``(1 - I)/2 ≈ O``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
from numpy.typing import ArrayLike, NDArray

from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.core.types import Bool, Float32, Float64
from napari_subangstrom_cdi.errors import InputError, doubt

# A particle is where the image's local activity exceeds the vacuum's by this many robust deviations.
_ACTIVITY_DEVIATIONS = 10.0
_DOWNWARD_SKEWNESS = -0.5


@dataclass(frozen=True)
class NormalisedImage:
    """An image whose vacuum (bare substrate) has intensity 1, with the particle found in it.

    Attributes
    ----------
    intensity : ndarray of float32, shape (y, x)
        Image divided by the fitted vacuum level.
    particle : ndarray of bool, shape (y, x)
        Where the particle is, roughly: its outline smoothed, holes filled.
    centre_px : tuple of float
        Centroid (y, x) of the particle, pixels.
    vacuum_noise_std : float
        Standard deviation of the vacuum about 1.
    vacuum_tilt : float
        Highest minus lowest fitted vacuum level, relative to their mean.
    """

    intensity: Float32
    particle: Bool
    centre_px: tuple[float, float]
    vacuum_noise_std: float
    vacuum_tilt: float

    @property
    def diameter_px(self) -> float:
        """Diameter of the disc with the particle's area, pixels."""
        return 2.0 * math.sqrt(np.count_nonzero(self.particle) / math.pi)


@dataclass(frozen=True)
class ImagingConditions:
    """What of the microscope's state enters the image of a thin object.

    Parameters
    ----------
    energy_ev : float
        Beam energy, eV.
    cs_mm : float
        Spherical aberration, mm.
    defocus_nm : float
        Defocus, nm; underfocus is negative.
    defocus_spread_nm : float
        Standard deviation of the defocus (temporal coherence), nm.
    information_limit_per_angstrom : float
        Highest spatial frequency that the image holds, Å⁻¹.
    """

    energy_ev: float
    cs_mm: float
    defocus_nm: float
    defocus_spread_nm: float = 0.0
    information_limit_per_angstrom: float = math.inf

    def __post_init__(self) -> None:
        wavelength_angstrom(self.energy_ev)
        for name in ("cs_mm", "defocus_nm", "defocus_spread_nm"):
            if not math.isfinite(getattr(self, name)):
                raise InputError(f"{name} is {getattr(self, name)}", mend="give a finite number")
        if abs(self.defocus_nm) > 1e5:
            raise InputError(f"a defocus of {self.defocus_nm:g} nm", where="defocus_nm", mend="give it in nanometres")
        if self.defocus_spread_nm < 0:
            raise InputError(f"{self.defocus_spread_nm:g} nm", where="defocus_spread_nm", mend="give 0 or more")
        if not self.information_limit_per_angstrom > 0:
            raise InputError(
                f"{self.information_limit_per_angstrom:g}",
                where="information_limit",
                mend="give it in 1/Å, above 0",
            )


def point_resolution_per_angstrom(energy_ev: float, cs_mm: float) -> float:
    """Highest |q| = 1/d that Scherzer's focus transfers in one band, d = 0.66 (Cs λ³)^¼, in Å⁻¹.

    Source: D. B. Williams and C. B. Carter, *Transmission Electron Microscopy*, chapter 28,
    doi:10.1007/978-0-387-76501-3.

    Examples
    --------
    >>> round(1 / point_resolution_per_angstrom(200e3, 1.0), 2)
    2.34
    """
    return float((abs(cs_mm) * 1e7 * wavelength_angstrom(energy_ev) ** 3) ** -0.25 / 0.66)


def checked_image(image: ArrayLike) -> Float32:
    """Return the image as float32 (y, x), or raise what a user can mend.

    Raises
    ------
    InputError
        If the image is not two-dimensional, holds NaN or infinity, or is constant.
    """
    array = np.asarray(image, dtype=np.float32)
    if array.ndim != 2:
        raise InputError(f"an image has two axes, this one has {array.ndim}", mend="choose or sum the frames first")
    if min(array.shape) < 64:
        raise InputError(
            f"an image of {array.shape[0]} x {array.shape[1]} pixels is too small", mend="give at least 64"
        )
    if not np.isfinite(array).all():
        count = np.count_nonzero(~np.isfinite(array))
        raise InputError(f"the image holds {count} NaN or infinite pixels", mend="replace them before loading")
    if float(np.ptp(array)) == 0.0:
        raise InputError(f"every pixel of the image is {array.flat[0]:g}", mend="check that the right file was chosen")
    return array


def normalise_to_vacuum(
    image: ArrayLike, /, *, order: int = 2, smooth_px: float = 12.0, iterations: int = 4
) -> NormalisedImage:
    """Divide an image by its vacuum level, a low-order surface fitted with the particle left out.

    The particle is where the image's local activity (smoothed squared deviation from the vacuum
    level) stands out; the fit and the particle's outline are found in turn.

    Parameters
    ----------
    image : array_like, shape (y, x)
        Counts, or any linear measure of intensity.
    order : int, optional
        Degree of the two-dimensional polynomial of the vacuum level.
    smooth_px : float, optional
        Scale over which activity is averaged, pixels.
    iterations : int, optional
        Rounds of fit and outline.

    Raises
    ------
    InputError
        If nothing stands out from the vacuum, or the vacuum is not a small enough part of the
        image to be told from the particle, or the level is not positive.

    Warns
    -----
    QualityWarning
        If the particle reaches the border of the image, or counts are negative.
    """
    counts = checked_image(image)
    vacuum = np.ones(counts.shape, dtype=bool)
    # The first fit has to do without a particle mask: leave out what is far from the median.
    flat = ndi.gaussian_filter(counts, smooth_px / 4)
    centre, spread = _robust_level(flat)
    vacuum = np.abs(flat - centre) < 4 * max(spread, 1e-12)
    for _ in range(iterations):
        level = _polynomial_surface(counts, vacuum, order)
        if not level.min() > 0:
            raise InputError(
                f"the image's vacuum level reaches {float(level.min()):.3g} counts",
                mend="give the image as recorded, with a positive background",
            )
        intensity = counts / level
        particle = _find_particle(intensity, smooth_px)
        vacuum = ~ndi.binary_dilation(particle, iterations=round(smooth_px))
        if np.count_nonzero(vacuum) < 0.1 * vacuum.size:
            raise InputError(
                "the particle leaves less than a tenth of the image as vacuum",
                mend="give an image with more of the bare substrate around the particle",
            )
    _check_border(particle, round(smooth_px) + 2)
    _check_offset(counts)
    noise = float(_robust_level(intensity[vacuum])[1])
    centroid = ndi.center_of_mass(particle)
    return NormalisedImage(
        intensity=intensity.astype(np.float32),
        particle=particle,
        centre_px=(float(centroid[0]), float(centroid[1])),
        vacuum_noise_std=noise,
        vacuum_tilt=float(np.ptp(level) / level.mean()),
    )


def _check_border(particle: Bool, margin: int) -> None:
    if np.count_nonzero(particle[margin:-margin, margin:-margin]) < np.count_nonzero(particle):
        doubt(
            "the particle reaches the border of the image; what lies outside is missing",
        )


def _check_offset(counts: Float32) -> None:
    lowest = float(counts.min())
    if lowest < 0:
        doubt(
            f"the image holds negative counts, down to {lowest:.3g}: was an offset subtracted? Its contrast, and with "
            "it the scale of the potential, cannot be trusted",
        )


def _robust_level(values: Float32) -> tuple[float, float]:
    """Median and the standard deviation that the median absolute deviation stands for."""
    median = float(np.median(values))
    return median, 1.4826 * float(np.median(np.abs(values - median)))


def _polynomial_surface(counts: Float32, where: Bool, order: int) -> Float32:
    """Least-squares polynomial of the given degree through the pixels ``where``, clipped at 4 σ."""
    bin_px = max(1, min(counts.shape) // 128)
    rows, columns = (size // bin_px * bin_px for size in counts.shape)
    blocks = (rows // bin_px, bin_px, columns // bin_px, bin_px)
    weight = where[:rows, :columns].reshape(blocks).sum((1, 3)).astype(np.float64)
    total = np.where(where, counts, 0)[:rows, :columns].reshape(blocks).sum((1, 3), dtype=np.float64)
    use = weight >= 0.5 * bin_px**2
    if np.count_nonzero(use) < 20:
        use = weight > 0
    mean = total[use] / weight[use]
    v, u = np.mgrid[: blocks[0], : blocks[2]] * float(bin_px) + (bin_px - 1) / 2
    design = _polynomial_terms(u[use], v[use], counts.shape, order)
    keep = np.ones(mean.size, dtype=bool)
    for _ in range(4):
        coefficients = np.linalg.lstsq(design[keep], mean[keep], rcond=None)[0]
        residual = mean - design @ coefficients
        keep = np.abs(residual - np.median(residual)) <= 4 * max(_robust_level(residual[keep])[1], 1e-9)
    y = np.arange(counts.shape[0], dtype=np.float64)
    x = np.arange(counts.shape[1], dtype=np.float64)
    surface = np.zeros(counts.shape)
    for coefficient, (i, j) in zip(coefficients, _powers(order), strict=True):
        surface += coefficient * _unit(y, counts.shape[0])[:, None] ** i * _unit(x, counts.shape[1])[None] ** j
    return surface.astype(np.float32)


def _powers(order: int) -> list[tuple[int, int]]:
    return [(i, total - i) for total in range(order + 1) for i in range(total + 1)]


def _unit(index: Float64, size: int) -> Float64:
    return 2 * index / max(size - 1, 1) - 1


def _polynomial_terms(x: Float64, y: Float64, shape: tuple[int, ...], order: int) -> Float64:
    u, v = _unit(x, shape[1]), _unit(y, shape[0])
    return np.stack([v**i * u**j for i, j in _powers(order)], axis=-1)


def _find_particle(intensity: Float32, smooth_px: float) -> Bool:
    """Outline of the largest region whose activity stands out from the vacuum."""
    # Light smoothing first: lattice fringes survive it, most of the counting noise does not.
    deviation = ndi.gaussian_filter(intensity, 1.2) - 1
    activity = ndi.gaussian_filter(deviation**2, smooth_px / 2)
    base, spread = _robust_level(activity)
    # Along the border fewer pixels are averaged, so noise stands out there.
    inner = np.zeros(activity.shape, dtype=bool)
    margin = round(smooth_px)
    inner[margin:-margin, margin:-margin] = True
    peak = float(activity[inner].max())
    if peak < base + max(_ACTIVITY_DEVIATIONS * spread, 2 * base):
        times = math.sqrt(peak / max(base, 1e-30))
        raise InputError(
            f"no particle in the image: its strongest contrast is {times:.2f} times the vacuum's",
            mend="check that the image shows the particle with bare substrate around it, in focus and not saturated",
        )
    # Well below the plateau, so that thin edges and parts of weak contrast count as particle.
    plateau = float(np.median(activity[activity > base + 0.25 * (peak - base)]))
    threshold = max(base + _ACTIVITY_DEVIATIONS * spread / 2, base + 0.15 * (plateau - base))
    labels, count = ndi.label((activity > threshold) & inner)
    sizes = np.bincount(labels.ravel(), weights=activity.ravel())[1 : count + 1]
    largest = labels == 1 + int(np.argmax(sizes))
    return np.asarray(ndi.binary_fill_holes(largest), dtype=bool)


def weak_phase_potential(intensity: ArrayLike, /) -> Float32:
    """Weak-phase estimate of O = σ_e V at Scherzer underfocus: ``O = (1 - I)/2``.

    Parameters
    ----------
    intensity : array_like, shape (y, x)
        Image with its vacuum at 1.

    References
    ----------
    W. J. Huang et al., Nature Physics 5, 129 (2009), Methods; doi:10.1038/nphys1161.
    """
    return 0.5 * (1 - np.asarray(intensity, dtype=np.float32))


def aberration_phase(q: ArrayLike, conditions: ImagingConditions, /) -> Float64:
    """χ(q) = πλΔf q² + (π/2) C_s λ³ q⁴, radians; underfocus negative.

    Parameters
    ----------
    q : array_like
        Spatial frequency, Å⁻¹.
    """
    q2 = np.square(np.asarray(q, dtype=np.float64))
    wavelength = wavelength_angstrom(conditions.energy_ev)
    defocus, cs = conditions.defocus_nm * 10, conditions.cs_mm * 1e7
    return np.asarray(math.pi * wavelength * defocus * q2 + 0.5 * math.pi * cs * wavelength**3 * q2**2)


def coherence_envelope(q: ArrayLike, conditions: ImagingConditions, /) -> Float64:
    """Envelope of the linear image: defocus spread, and a smooth fall to 1/e at the information limit.

    The defocus spread Δ gives ``exp(-(πλΔ)² q⁴ / 2)``. What else limits the image (detector, vibration,
    beam divergence) is known only through the information limit q_i and taken as ``exp(-(q/q_i)⁶)``.

    References
    ----------
    E. J. Kirkland, *Advanced Computing in Electron Microscopy*, sec. 3.2, doi:10.1007/978-1-4419-6533-2.
    """
    q = np.asarray(q, dtype=np.float64)
    wavelength = wavelength_angstrom(conditions.energy_ev)
    temporal = np.exp(-0.5 * (math.pi * wavelength * conditions.defocus_spread_nm * 10) ** 2 * q**4)
    limit = conditions.information_limit_per_angstrom
    if not math.isfinite(limit):
        return np.asarray(temporal)
    return np.asarray(temporal * np.exp(-((q / limit) ** 6)))


def ctf(q: ArrayLike, conditions: ImagingConditions, /, *, object_phase_deg: float = 0.0) -> Float64:
    """Transfer H(q) of the object to the contrast: ``1 - I = F⁻¹[H F[o]]``, positive for dark atoms.

    ``H = -2 sin(χ - θ) E`` for an object ``O = o exp(iθ)`` with real o. A weak phase object has θ = 0;
    in a thick crystal the mean phase of O turns towards 90°, seen as a dark particle.

    Parameters
    ----------
    q : array_like
        Spatial frequency, Å⁻¹.
    conditions : ImagingConditions
        Aberrations and envelope.
    object_phase_deg : float, optional
        θ, degrees.
    """
    chi = aberration_phase(q, conditions)
    return np.asarray(-2 * np.sin(chi - math.radians(object_phase_deg)) * coherence_envelope(q, conditions))


def particle_window(image: NormalisedImage, /, *, margin_px: float | None = None) -> Float32:
    """Soft window, 1 on the particle and its surroundings up to ``margin_px``, 0 far away.

    The margin, by default 12 % of the particle's diameter, holds the fringes that defocus spreads outwards.
    """
    margin_px = 0.12 * image.diameter_px if margin_px is None else margin_px
    distance = ndi.distance_transform_edt(~image.particle)
    ramp = np.clip((distance - margin_px) / max(margin_px / 2, 2.0), 0, 1)
    return np.asarray(0.5 * (1 + np.cos(np.pi * ramp)), dtype=np.float32)


def vacuum_power(image: NormalisedImage, /, *, bins: int = 100) -> Float64:
    """Power of the vacuum's contrast per pixel, in ``bins`` rings up to 0.5 cycles per pixel."""
    far = ndi.distance_transform_edt(~image.particle) > 0.24 * image.diameter_px
    window = np.asarray(ndi.gaussian_filter(far.astype(np.float32), 5))
    rows, columns = image.intensity.shape
    power = np.abs(scipy.fft.rfft2((1 - image.intensity) * window)) ** 2 / float(np.sum(window**2))
    f = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    ring = np.minimum((f * 2 * bins).astype(int), bins).ravel()
    total = np.bincount(ring, power.ravel(), minlength=bins + 1)
    return np.asarray(total / np.maximum(np.bincount(ring, minlength=bins + 1), 1))[:bins]


def wiener_potential(
    image: NormalisedImage,
    /,
    *,
    pixel_angstrom: float,
    conditions: ImagingConditions,
    object_phase_deg: float = 0.0,
    floor: float = 0.05,
) -> Float32:
    """Estimate of O by a Wiener filter on the contrast transfer, up to the information limit.

    ``F[O] = H P / ((H² + floor) (P + N)) F[1 - I]`` with N the vacuum's power (counting noise and
    substrate) and P the signal's power about each frequency, so that the noise between reflections and
    the bands near a zero of H are left out and nothing is blown up.

    Parameters
    ----------
    image : NormalisedImage
        From :func:`normalise_to_vacuum`.
    pixel_angstrom : float
        Pixel of the image, Å, calibrated.
    conditions : ImagingConditions
        Aberrations, envelope and information limit.
    object_phase_deg : float, optional
        Mean phase θ of the object; see :func:`ctf`. The estimate is then of o in ``O = o exp(iθ)``.
    floor : float, optional
        Least |H|² that is trusted.

    Returns
    -------
    ndarray of float32, shape (y, x)
        σ_e V in radians, about 0 away from the particle.
    """
    rows, columns = image.intensity.shape
    window = particle_window(image)
    spectrum = scipy.fft.rfft2((1 - image.intensity) * window)
    f = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    q = f / pixel_angstrom
    curve = vacuum_power(image)
    noise = np.interp(2 * f * curve.size - 0.5, np.arange(curve.size), curve) * float(np.sum(window**2))
    width = np.array([rows, columns]) * 0.35 / image.diameter_px
    signal = np.clip(_smoothed_power(spectrum, width, columns) - noise, 0, None)
    transfer = ctf(q, conditions, object_phase_deg=object_phase_deg)
    gain = transfer * signal / ((transfer**2 + floor) * (signal + noise))
    gain *= q <= conditions.information_limit_per_angstrom
    estimate: Float32 = scipy.fft.irfft2(spectrum * gain.astype(np.float32), s=(rows, columns)).astype(np.float32)
    _check_sign(estimate, image.particle)
    return estimate


def _smoothed_power(half: NDArray[np.complex64], width: Float64, columns: int) -> Float64:
    """Power of a half spectrum, averaged over neighbours, across its Hermitian edge too."""
    correlation = scipy.fft.irfft2(np.abs(half) ** 2, s=(half.shape[0], columns))
    y = np.fft.fftfreq(half.shape[0])[:, None] * width[0]
    x = np.fft.fftfreq(columns)[None] * width[1]
    return np.asarray(scipy.fft.rfft2(correlation * np.exp(-2 * math.pi**2 * (y**2 + x**2))).real)


def _check_sign(estimate: Float32, particle: Bool) -> None:
    """Warn when the particle's peaks point clearly down: atoms are peaks of the potential.

    A mild negative skewness is no fault: a honeycomb seen at low resolution has deep holes.
    """
    values = estimate[particle].astype(np.float64)
    values -= values.mean()
    skewness = float(np.mean(values**3) / (np.mean(values**2) ** 1.5 + 1e-30))
    if skewness < _DOWNWARD_SKEWNESS:
        doubt(
            f"the potential estimate has its peaks downwards (skewness {skewness:.2f}): a thick crystal can do that, "
            "and so does a wrong sign of the defocus (underfocus is negative)",
        )
