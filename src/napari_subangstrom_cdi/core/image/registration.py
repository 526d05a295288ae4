"""Bring the TEM image onto the diffraction pattern: rotation, pixel size and, if wanted, mirror.

A diffraction pattern and an image's power spectrum show the same reflections with the same shapes
(the particle's own shape transform), each reflection with its own factor. They are compared reflection
by reflection, so neither the contrast transfer nor dynamical scattering pulls the result.

Conventions are those of :mod:`~napari_subangstrom_cdi.core.image.geometry`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import scipy.ndimage as ndi

from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError, doubt

from ._reflections import FEW, common_reflections, lack_parts, refine, shape_correlations, slope_error
from ._spectra import (
    ANGLE_STEP_DEG,
    ObservedPattern,
    Spectrum,
    angular_correlations,
    checked_diameter,
    checked_pattern,
    particle_spectrum,
    polar_mesh,
)
from ._transfer import Transfer, better_defocus, defocus_remedy, fit_transfer, say_phase_at_bound
from .geometry import Candidate, Geometry, ImageRegistration, resample_to_pattern, wrap_deg
from .pair import Pair

__all__ = ["Candidate", "ImageRegistration", "register_image", "registration_at", "resample_to_pattern"]


_SCALE_STEP = 0.0025
_ROUNDS = 3
# Of the best reflection's correlation: those below it are left out.
_AGREEING = 0.9
# How well the whole spectra tell, without the reflections' shapes.
_COARSE_DEG, _COARSE_PIXEL = 0.5, 0.005
FITS = 0.9
"""Mean shape correlation from which image and pattern are taken to be of one particle."""
_ALL = 0.99  # of the pixels about a place


def register_image(
    pair: Pair,
    /,
    *,
    image_pixel_angstrom: float,
    rotation_deg: float | None = None,
    rotation_tolerance_deg: float = 6.0,
    pixel_tolerance: float = 0.05,
    mirrored: bool | None = False,
    search_defocus: bool = True,
) -> ImageRegistration:
    """Find rotation, pixel size and mirror that bring the image onto the pattern.

    A polar correlation of the two amplitude spectra gives the candidates; the best near the nominal
    values is then refined on the shapes of the reflections that both have. Where the imaging conditions are
    given, the mean phase of the object and the defocus are fitted to the ratio of the two powers in rings
    and the pattern is weighted by the transfer before shapes are compared, else a steep transfer pulls
    the reflections' centroids and with them the pixel size.

    Parameters
    ----------
    pair : Pair
        Image and pattern.
    image_pixel_angstrom : float
        Nominal pixel of the image, Å.
    rotation_deg : float, optional
        Nominal rotation. Without it the best of all candidates is taken; 180° cannot be told.
    rotation_tolerance_deg, pixel_tolerance : float, optional
        How far from nominal to search: degrees, and fraction of the pixel.
    mirrored : bool or None, optional
        Whether the image's x axis is reversed; None tries both.
    search_defocus : bool, optional
        Whether a defocus far from the nominal one is taken, with a doubt, where it alone explains the image.

    Raises
    ------
    InputError
        If shapes disagree, the nominal pixel is not positive, the particle does not fit twice into the field
        of view, or no reflection is found in both.

    References
    ----------
    W. J. Huang et al., Nature Physics 5, 129 (2009), Methods; doi:10.1038/nphys1161.
    """
    conditions = pair.conditions
    diameter = checked_diameter(pair, image_pixel_angstrom)
    spectrum = particle_spectrum(pair.image)
    observed = checked_pattern(pair, diameter, image_pixel_angstrom)
    transfer = Transfer(conditions)
    nominal = None if rotation_deg is None else (rotation_deg, rotation_tolerance_deg)
    mirrors = (False, True) if mirrored is None else (mirrored,)
    gaps = lack_parts(observed, diameter)
    candidates = _rank(spectrum, observed, transfer, image_pixel_angstrom, pixel_tolerance, mirrors, gaps=gaps)
    start = _choose(candidates, nominal)
    coarse = geometry = Geometry(start.rotation_deg, start.image_pixel_angstrom, start.mirrored)
    patches = common_reflections(spectrum, observed, geometry, diameter, gaps=gaps)
    residual = math.nan
    for _ in range(_ROUNDS):
        # A free slope is left to the end: with a transfer not yet fitted it can pass for a change of pixel.
        geometry, agreement, errors = refine(spectrum, patches, transfer, geometry, free_slope=False)
        patches = patches.subset(agreement > _AGREEING * agreement.max())
        if conditions is not None:
            transfer, residual = fit_transfer(spectrum, observed, geometry, conditions)
    geometry, agreement, errors = refine(spectrum, patches, transfer, geometry, free_slope=True)
    if agreement.mean() < FITS and _has_left(start, geometry):
        geometry, errors = coarse, (_COARSE_DEG, _COARSE_PIXEL * coarse.pixel_angstrom)
        agreement = shape_correlations(spectrum, patches, transfer, geometry, free_slope=True)
    elif len(agreement) < 2 * FEW:
        floor = slope_error(spectrum, patches, transfer, geometry, diameter)
        errors = errors[0], math.hypot(errors[1], floor * geometry.pixel_angstrom)
    if conditions is not None:
        better = better_defocus(spectrum, observed, geometry, conditions, residual) if search_defocus else None
        if better is not None:
            return _with_defocus(pair, better, image_pixel_angstrom, nominal, pixel_tolerance, mirrored)
        say_phase_at_bound(transfer, residual)
    if errors[1] > _COARSE_PIXEL * geometry.pixel_angstrom and math.isfinite(errors[1]):
        n = math.ceil(len(agreement) / 2)
        doubt(
            f"image and pattern share {n} reflection{'s' * (n > 1)} only, which tell the image's pixel to "
            f"{100 * errors[1] / geometry.pixel_angstrom:.1f} %: {geometry.pixel_angstrom:.4f} Å"
        )
    if abs(geometry.pixel_angstrom / image_pixel_angstrom - 1) > pixel_tolerance:
        doubt(
            f"the image pixel found, {geometry.pixel_angstrom:.4f} Å, is further from the nominal "
            f"{image_pixel_angstrom:g} Å than {pixel_tolerance:.0%}",
        )
    return _result(geometry, agreement, transfer, residual, errors=errors, candidates=candidates)


def _has_left(start: Candidate, geometry: Geometry) -> bool:
    """Whether a refinement went further than the whole spectra leave open: few shapes that disagree lead anywhere."""
    turn = abs(wrap_deg(geometry.rotation_deg - start.rotation_deg, 360))
    return turn > 2 * _COARSE_DEG or abs(geometry.pixel_angstrom / start.image_pixel_angstrom - 1) > 2 * _COARSE_PIXEL


def rough_alignment(
    pair: Pair,
    /,
    *,
    image_pixel_angstrom: float,
    rotation_deg: float | None = None,
    rotation_tolerance_deg: float = 6.0,
    pixel_tolerance: float = 0.05,
    mirrored: bool | None = False,
) -> Candidate:
    """How the image lies on the pattern, to half a degree and half a per cent: where :func:`register_image` begins.

    Parameters and errors are the same.
    """
    diameter = checked_diameter(pair, image_pixel_angstrom)
    spectrum, observed = particle_spectrum(pair.image), checked_pattern(pair, diameter, image_pixel_angstrom)
    nominal = None if rotation_deg is None else (rotation_deg, rotation_tolerance_deg)
    mirrors = (False, True) if mirrored is None else (mirrored,)
    transfer = Transfer(pair.conditions)
    gaps = lack_parts(observed, diameter)
    found = _rank(spectrum, observed, transfer, image_pixel_angstrom, pixel_tolerance, mirrors, gaps=gaps)
    return _choose(found, nominal)


def registration_at(
    pair: Pair,
    /,
    *,
    rotation_deg: float,
    image_pixel_angstrom: float,
    mirrored: bool = False,
) -> ImageRegistration:
    """Describe a geometry set by hand as :func:`register_image` describes the one it finds; nothing is refined.

    Parameters
    ----------
    pair : Pair
        Image and pattern.
    rotation_deg, image_pixel_angstrom, mirrored
        The geometry, as in :class:`~napari_subangstrom_cdi.core.image.geometry.Candidate`.

    Returns
    -------
    ImageRegistration
        Its standard errors are NaN, and it has no candidates.

    Raises
    ------
    InputError
        If shapes disagree, the rotation is not finite or the pixel not positive, the particle does not fit twice
        into the field of view, or no reflection is found in both where this geometry lays them.
    """
    if not math.isfinite(rotation_deg):
        raise InputError(f"a rotation of {rotation_deg:g}°", where="image rotation", mend="give it in degrees")
    conditions = pair.conditions
    diameter = checked_diameter(pair, image_pixel_angstrom)
    spectrum = particle_spectrum(pair.image)
    observed = checked_pattern(pair, diameter, image_pixel_angstrom)
    geometry, transfer, residual = (
        Geometry(rotation_deg, image_pixel_angstrom, mirrored),
        Transfer(conditions),
        math.nan,
    )
    gaps = lack_parts(observed, diameter)
    patches = common_reflections(spectrum, observed, geometry, diameter, gaps=gaps)
    for _ in range(_ROUNDS):
        agreement = shape_correlations(spectrum, patches, transfer, geometry, free_slope=False)
        patches = patches.subset(agreement > _AGREEING * agreement.max())
        if conditions is not None:
            transfer, residual = fit_transfer(spectrum, observed, geometry, conditions)
    agreement = shape_correlations(spectrum, patches, transfer, geometry, free_slope=True)
    if conditions is not None:
        better = better_defocus(spectrum, observed, geometry, conditions, residual)
        if better is not None:
            _say_defocus(better, conditions.defocus_nm, "")
    return _result(geometry, agreement, transfer, residual)


def _with_defocus(
    pair: Pair,
    defocus_nm: float,
    image_pixel_angstrom: float,
    nominal: tuple[float, float] | None,
    pixel_tolerance: float,
    mirrored: bool | None,
) -> ImageRegistration:
    """The registration with another defocus than the nominal one."""
    assert pair.conditions is not None
    rotation, tolerance = (None, 0.0) if nominal is None else nominal
    found = register_image(
        replace(pair, conditions=replace(pair.conditions, defocus_nm=defocus_nm)),
        image_pixel_angstrom=image_pixel_angstrom,
        rotation_deg=rotation,
        rotation_tolerance_deg=tolerance,
        pixel_tolerance=pixel_tolerance,
        mirrored=mirrored,
        search_defocus=False,
    )
    _say_defocus(found.defocus_nm, pair.conditions.defocus_nm, " and is taken")
    return found


def _say_defocus(better_nm: float, given_nm: float, taken: str) -> None:
    units = ""
    if abs(given_nm) > 5 * abs(better_nm):
        units = f"; {given_nm:g} may be in Å: {given_nm / 10:g} in nm"
    elif abs(better_nm) > 100 * abs(given_nm) > 0:
        units = f"; {given_nm:g} may be in µm: {given_nm * 1000:g} in nm"
    doubt(
        f"a defocus of {better_nm:.0f} nm explains the image better than the {given_nm:g} nm given{taken}; "
        f"underfocus is negative{units}",
        (defocus_remedy(better_nm),),
    )


def _result(
    geometry: Geometry,
    agreement: Float64,
    transfer: Transfer,
    residual: float,
    *,
    errors: tuple[float, float] = (math.nan, math.nan),
    candidates: tuple[Candidate, ...] = (),
) -> ImageRegistration:
    return ImageRegistration(
        rotation_deg=wrap_deg(geometry.rotation_deg, 360),
        image_pixel_angstrom=geometry.pixel_angstrom,
        mirrored=geometry.mirrored,
        rotation_error_deg=errors[0],
        image_pixel_error_angstrom=errors[1],
        correlation=float(agreement.mean()),
        n_reflections=math.ceil(len(agreement) / 2),
        object_phase_deg=transfer.object_phase_deg,
        defocus_nm=math.nan if transfer.conditions is None else transfer.conditions.defocus_nm,
        transfer_residual=residual,
        candidates=candidates,
    )


def _rank(
    spectrum: Spectrum,
    observed: ObservedPattern,
    transfer: Transfer,
    nominal_pixel: float,
    pixel_tolerance: float,
    mirrors: tuple[bool, ...],
    *,
    gaps: bool,
) -> tuple[Candidate, ...]:
    """Rotations by local maxima of the polar correlation over angle, best scale for each.

    With gaps in the reflections only what is measured is compared: else their remains pull the peak aside.
    """
    qx, qy, q, weight = polar_mesh(observed)
    centre, step = observed.grid.n // 2, observed.grid.q_pixel_per_angstrom
    where = [qy / step + centre, qx / step + centre]
    smooth = ndi.gaussian_filter(np.clip(observed.intensity, 0, None), 1.0)
    reference = np.sqrt(ndi.map_coordinates(smooth, where, order=1) * transfer.power(q)) * weight
    known = ndi.map_coordinates(observed.valid.astype(np.float64), where, order=1) > _ALL if gaps else None
    correlations = angular_correlations(reference, known)
    half = max(1, math.ceil(pixel_tolerance / _SCALE_STEP))
    found: list[Candidate] = []
    for mirrored in mirrors:
        scores = []
        scales = 1 + pixel_tolerance * np.arange(-half, half + 1) / half
        for scale in scales:
            fx, fy = Geometry(0.0, nominal_pixel * scale, mirrored).to_image(qx, qy)
            power = np.clip(spectrum.above_noise(fx, fy, order=1), 0, None)
            scores.append(correlations(np.sqrt(power) * weight))
        found += _peaks(np.array(scores), scales * nominal_pixel, mirrored)
    return tuple(sorted(found, key=lambda candidate: -candidate.correlation)[:12])


def _peaks(scores: Float64, pixels: Float64, mirrored: bool) -> list[Candidate]:
    best = scores.max(axis=0)
    window = round(4 / ANGLE_STEP_DEG) | 1
    tops = np.nonzero(best == ndi.maximum_filter1d(best, window, mode="wrap"))[0]
    pixel = pixels[np.argmax(scores, axis=0)]
    return [
        Candidate(wrap_deg(float(top) * ANGLE_STEP_DEG, 180), float(pixel[top]), mirrored, float(best[top]))
        for top in tops
    ]


def _choose(candidates: tuple[Candidate, ...], nominal: tuple[float, float] | None) -> Candidate:
    """Best candidate near the nominal rotation, turned by 180° where that brings it there."""
    if nominal is None:
        return candidates[0]
    rotation, tolerance = nominal
    near = [c for c in candidates if abs(wrap_deg(c.rotation_deg - rotation, 180)) <= tolerance]
    if not near:
        doubt(
            f"no agreement of image and pattern within {tolerance:g}° of the nominal rotation {rotation:g}°; "
            f"the best is {candidates[0].rotation_deg:.1f}°, and the nearest is taken",
        )
        near = sorted(candidates, key=lambda c: abs(wrap_deg(c.rotation_deg - rotation, 180)))[:1]
    best = near[0]
    turned = rotation + wrap_deg(best.rotation_deg - rotation, 180)
    return Candidate(turned, best.image_pixel_angstrom, best.mirrored, best.correlation)
