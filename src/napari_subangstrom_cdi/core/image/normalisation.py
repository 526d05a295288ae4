"""The vacuum of a TEM image brought to 1, and the particles found in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.ndimage as ndi
from numpy.typing import ArrayLike

from napari_subangstrom_cdi.core.types import Bool, Float32, Float64
from napari_subangstrom_cdi.errors import InputError, doubt

from ._frame import drawn_over, fringe_activity, quiet_part

# A particle is where the image's local activity exceeds the vacuum's by this many robust deviations.
_ACTIVITY_DEVIATIONS = 10.0
_MOST_PARTICLES = 8
_LEAST_VACUUM = 0.02
_SCARCE_VACUUM = 0.25
_STEP = 0.04  # of the level about a particle from the frame's, for it to lie on a step of the substrate
_LEAST_WEIGHT = 0.01  # of the most active one's activity, for another to be a particle


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
    elsewhere : ndarray of bool, shape (y, x), optional
        Other particles and what is drawn over the image; None where there is none.
    vacuum : ndarray of bool, shape (y, x), optional
        Where the vacuum is that was taken; None where it is all that is far from the particle.
    binning : int
        Pixels of the file a side that one pixel of the image stands for.
    """

    intensity: Float32
    particle: Bool
    centre_px: tuple[float, float]
    vacuum_noise_std: float
    vacuum_tilt: float
    elsewhere: Bool | None = None
    vacuum: Bool | None = None
    binning: int = 1

    @property
    def diameter_px(self) -> float:
        """Diameter of the disc with the particle's area, pixels."""
        return 2.0 * math.sqrt(np.count_nonzero(self.particle) / math.pi)


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
    """Divide an image by its vacuum level, with the most prominent particle found in it; see ``particles_in``.

    Warns
    -----
    QualityWarning
        If the particle reaches the border of the image, or counts are negative.
    """
    found = particles_in(image, order=order, smooth_px=smooth_px, iterations=iterations)[0]
    check_border(found)
    return found


def particles_in(
    image: ArrayLike, /, *, order: int = 2, smooth_px: float = 12.0, iterations: int = 4
) -> tuple[NormalisedImage, ...]:
    """Divide an image by its vacuum level, a low-order surface fitted with the particles left out.

    A particle is where the image's local activity (smoothed squared deviation from the vacuum
    level) stands out; the fit and the outlines are found in turn. Where particles take so much of the frame that
    its median is no vacuum any more, the level and the noise are those of the frame's quiet part. What a program
    drew into the image is left out. Fringes on an active area of another level, as of a particle on a step of the
    substrate, are a further candidate, with the level about them.

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

    Returns
    -------
    tuple of NormalisedImage
        One for each particle that there may be, the most active first, at most 8.

    Raises
    ------
    InputError
        If nothing stands out from the vacuum, or no vacuum is left, or the level is not positive.

    Warns
    -----
    QualityWarning
        If counts are negative, or the vacuum is that of a small part of the frame.
    """
    counts = checked_image(image)
    drawn = drawn_over(counts)
    if drawn.any():
        if drawn.mean() > 0.9:
            raise InputError("nearly all of the image is of one value", mend="check that the right file was chosen")
        counts = np.where(drawn, np.median(counts[~drawn]), counts).astype(np.float32)
    quiet = quiet_part(counts, drawn, smooth_px)
    # The first fit has to do without a particle mask: leave out what is far from the median.
    flat = ndi.gaussian_filter(counts, smooth_px / 4)
    centre, spread = _robust_level(flat)
    vacuum = (np.abs(flat - centre) < 4 * max(spread, 1e-12)) & ~drawn if quiet is None else quiet
    for _ in range(iterations):
        level = _polynomial_surface(counts, vacuum, order if quiet is None else min(order, 1))
        if not level.min() > 0:
            raise InputError(
                f"the image's vacuum level reaches {float(level.min()):.3g} counts",
                mend="give the image as recorded, with a positive background",
            )
        intensity = counts / level
        if drawn.any():
            intensity[drawn] = 1
        found = _find_particles(intensity, smooth_px, quiet)
        active = np.logical_or.reduce(found)
        vacuum = ~ndi.binary_dilation(active, iterations=round(smooth_px)) & ~drawn
        if np.count_nonzero(vacuum) < _LEAST_VACUUM * vacuum.size and quiet is not None:
            vacuum = quiet & ~active
        if np.count_nonzero(vacuum) < _LEAST_VACUUM * vacuum.size:
            raise InputError(
                "no vacuum is left around the particle, and without it neither its outline nor its contrast is known",
                mend="give an image with some of the bare substrate around the particle",
            )
    _check_offset(counts)
    if vacuum.mean() < _SCARCE_VACUUM:
        doubt(
            f"vacuum is only {vacuum.mean():.0%} of the image: its level and noise are taken from there; an image with "
            "more of the bare substrate tells the particle's outline better"
        )
    whole = NormalisedImage(
        intensity=intensity.astype(np.float32),
        particle=found[0],
        centre_px=(0.0, 0.0),
        vacuum_noise_std=float(_robust_level(intensity[vacuum])[1]),
        vacuum_tilt=float(np.ptp(level) / level.mean()),
        vacuum=None if quiet is None else vacuum,
    )
    several = len(found) > 1 or bool(drawn.any())
    alone = tuple(
        _on_its_level(_with_particle(whole, p, active & ~p | drawn if several else None), active | drawn) for p in found
    )
    return (alone + _on_other_levels(whole, found, active, drawn, smooth_px))[:_MOST_PARTICLES]


def check_border(image: NormalisedImage, /, *, smooth_px: float = 12.0) -> None:
    """Doubt a particle that the image's frame cuts."""
    margin, particle = round(smooth_px) + 2, image.particle
    if np.count_nonzero(particle[margin:-margin, margin:-margin]) < np.count_nonzero(particle):
        doubt(
            "the particle reaches the border of the image; what lies outside is missing",
        )


def _with_particle(whole: NormalisedImage, particle: Bool, elsewhere: Bool | None) -> NormalisedImage:
    y, x = ndi.center_of_mass(particle)
    return replace(whole, particle=particle, centre_px=(float(y), float(x)), elsewhere=elsewhere)


def _on_its_level(image: NormalisedImage, taken: Bool) -> NormalisedImage:
    """The image with the vacuum about the particle at 1, where that differs from the frame's by a step."""
    distance = ndi.distance_transform_edt(~image.particle)
    ring = (distance > 0.15 * image.diameter_px) & (distance < 0.5 * image.diameter_px)
    free = ring & ~taken
    ring = free if np.count_nonzero(free) > 0.3 * np.count_nonzero(ring) else ring
    if np.count_nonzero(ring) < _LEAST_VACUUM * np.count_nonzero(image.particle):
        return image
    level = float(np.median(image.intensity[ring]))
    if abs(level - 1) < _STEP:
        return image
    intensity = (image.intensity / np.float32(level)).astype(np.float32)
    return replace(image, intensity=intensity, vacuum=ring if image.vacuum is None else image.vacuum & ring)


def _on_other_levels(
    whole: NormalisedImage, found: list[Bool], active: Bool, drawn: Bool, smooth_px: float
) -> tuple[NormalisedImage, ...]:
    """Patches of fringes within an active area that is much larger: particles where the vacuum has another level."""
    activity = fringe_activity(whole.intensity, smooth_px)
    base, spread = _robust_level(activity if whole.vacuum is None else activity[whole.vacuum])
    candidates = []
    for patch in _patches(activity, base, spread, smooth_px):
        overlap = max(np.count_nonzero(patch & p) / np.count_nonzero(patch | p) for p in found)
        hidden = np.count_nonzero(patch & active) > 0.5 * np.count_nonzero(patch)
        if overlap > 0.5 or not hidden:
            continue
        candidates.append(_on_its_level(_with_particle(whole, patch, drawn if drawn.any() else None), drawn))
    return tuple(candidates)


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


def _find_particles(intensity: Float32, smooth_px: float, quiet: Bool | None) -> list[Bool]:
    """Outlines of the regions whose activity stands out from the vacuum, the most active first."""
    # Light smoothing first: lattice fringes survive it, most of the counting noise does not.
    deviation = ndi.gaussian_filter(intensity, 1.2) - 1
    activity = ndi.gaussian_filter(deviation**2, smooth_px / 2)
    base, spread = _robust_level(activity if quiet is None else activity[quiet])
    found = _patches(activity, base, spread, smooth_px)
    if not found:
        inner = round(smooth_px)
        times = math.sqrt(float(activity[inner:-inner, inner:-inner].max()) / max(base, 1e-30))
        raise InputError(
            f"no particle in the image: its strongest contrast is {times:.2f} times the vacuum's",
            mend="check that the image shows the particle with bare substrate around it, in focus and not saturated",
        )
    return found


def _patches(activity: Float32, base: float, spread: float, smooth_px: float) -> list[Bool]:
    """Areas of high activity, each bounded by its own height above the vacuum's, the most active first."""
    # Along the border fewer pixels are averaged, so noise stands out there.
    inner = np.zeros(activity.shape, dtype=bool)
    margin = round(smooth_px)
    inner[margin:-margin, margin:-margin] = True
    stands_out = base + max(_ACTIVITY_DEVIATIONS * spread, 2 * base)
    areas, _ = ndi.label((activity > base + _ACTIVITY_DEVIATIONS * spread / 2) & inner)
    found: list[tuple[float, Bool]] = []
    for index, box in enumerate(ndi.find_objects(areas), start=1):
        area = areas[box] == index
        peak = float(activity[box][area].max())
        if peak < stands_out:
            continue
        # Well below the plateau, so that thin edges and parts of weak contrast count as particle.
        values = activity[box][area]
        plateau = float(np.median(values[values > base + 0.25 * (peak - base)]))
        threshold = max(base + _ACTIVITY_DEVIATIONS * spread / 2, base + 0.15 * (plateau - base))
        labels, count = ndi.label((activity[box] > threshold) & area)
        sizes = np.bincount(labels.ravel(), weights=activity[box].ravel())[1 : count + 1]
        largest = labels == 1 + int(np.argmax(sizes))
        if np.count_nonzero(largest) < smooth_px**2:
            continue
        mask = np.zeros(activity.shape, dtype=bool)
        mask[box] = largest
        found.append(
            (float(sizes.max()), np.asarray(ndi.binary_fill_holes(_to_border(mask, activity, threshold, margin))))
        )
    found.sort(key=lambda each: -each[0])
    return [mask for weight, mask in found if weight >= _LEAST_WEIGHT * found[0][0]]


def _to_border(mask: Bool, activity: Float32, threshold: float, margin: int) -> Bool:
    """A patch that ends where the border's strip begins, continued to the border as far as it is active."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    ends = (rows[0], mask.shape[0] - 1 - rows[-1], columns[0], mask.shape[1] - 1 - columns[-1])
    if min(ends) > margin:
        return mask
    strip = np.ones(mask.shape, dtype=bool)
    strip[margin:-margin, margin:-margin] = False
    near = ndi.binary_dilation(mask, iterations=margin)
    return np.asarray(ndi.binary_propagation(mask, mask=mask | (strip & near & (activity > threshold))))
