"""Where the beam is: roughly from the halo and the whole frame's spots, from pairs of ±g to hundredths of a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_subangstrom_cdi.core.types import Float32
from napari_subangstrom_cdi.errors import InputError, doubt

from .beam_search import BeamCandidate, BeamSearch
from .detector import Record, fill_invalid, grow, settled_variance

Float64 = NDArray[np.float64]

_SPOT_PX, _SURROUND_PX = 2.0, 6.0
_DETECTION, _SPOT_WINDOW_PX, _MOST_SPOTS, _BEAM_PX = 8.0, 15, 300, 40.0
FEWEST_PAIRS, _N_ROUNDS, _LEAST_ERROR_PX = 3, 4, 0.02


def rough_beam_centre(record: Record) -> tuple[float, float]:
    """Middle of the beam's halo, to a pixel or two: the smoothed record with its spots filtered out.

    Raises
    ------
    InputError
        If no valid pixel holds any intensity.
    """
    block = _block_of(record)
    level, known = spotless_blocks(record, block)
    level = ndimage.median_filter(level, 3)
    level = level - (np.median(level[known]) if known.any() else 0)
    halo = _normalised_smooth(np.maximum(level, 0), known, 2.0)
    if not halo.max() > 0:
        raise InputError("the record holds no intensity to find the beam by", mend="choose another record")
    brightest = np.unravel_index(int(np.argmax(halo)), halo.shape)
    row, column = float(brightest[0]), float(brightest[1])
    for _ in range(5):
        row, column = _centroid(halo, row, column, 6.0)
    return ((row + 0.5) * block - 0.5, (column + 0.5) * block - 0.5)


def _block_of(record: Record) -> int:
    return 8 if min(record.shape) >= 512 else 4


def spotless_blocks(record: Record, block: int) -> tuple[Float64, NDArray[np.bool_]]:
    """Mean of the second and third fifth of the valid pixels of each block, and which blocks have enough."""
    ny, nx = (size // block for size in record.shape)
    tiles = np.where(record.valid, record.electrons, np.nan)[: ny * block, : nx * block]
    tiles = tiles.reshape(ny, block, nx, block).transpose(0, 2, 1, 3).reshape(ny, nx, block * block)
    n_known = np.isfinite(tiles).sum(axis=2)
    known = n_known > 0.25 * block**2
    # NaN sorts last. A mean of ranks, and not one rank, since whole electrons come in steps.
    rank = np.arange(block**2) / np.maximum(n_known - 1, 1)[..., None]
    chosen = (rank >= 0.2) & (rank <= 0.6)
    total = np.where(chosen, np.sort(tiles, axis=2), 0).sum(axis=2)
    level = total / np.maximum(chosen.sum(axis=2), 1)
    level = np.where(known, level, 0).astype(np.float64)
    return level, known


def _normalised_smooth(image: NDArray[np.float64], known: NDArray[np.bool_], width: float) -> NDArray[np.float64]:
    weight = ndimage.gaussian_filter(known.astype(np.float64), width)
    return np.asarray(ndimage.gaussian_filter(np.where(known, image, 0), width) / np.maximum(weight, 1e-6))


def _centroid(image: NDArray[np.float64], row: float, column: float, width: float) -> tuple[float, float]:
    y, x = np.arange(image.shape[0]) - row, np.arange(image.shape[1]) - column
    weight = image * np.exp(-(y[:, None] ** 2 + x**2) / (2 * width**2))
    total = weight.sum()
    # The window pulls towards its own middle, so that the centroid of a wide halo falls short: step further.
    step_y, step_x = float((weight.sum(1) @ y) / total), float((weight.sum(0) @ x) / total)
    return row + 1.4 * step_y, column + 1.4 * step_x


def spot_contrast(record: Record) -> Float32:
    """Difference of Gaussians over its noise: spots stand out, halo and rings do not; 0 where invalid."""
    filled = fill_invalid(record.electrons, record.valid)
    narrow = ndimage.gaussian_filter(filled, _SPOT_PX)
    wide = ndimage.gaussian_filter(filled, _SURROUND_PX)
    variance = settled_variance(record.variance, record.valid)
    noise = np.sqrt(ndimage.gaussian_filter(variance, _SURROUND_PX) / (4 * math.pi * _SPOT_PX**2))
    contrast = (narrow - wide) / np.maximum(noise, 1e-6)
    reach = grow(~record.valid, math.ceil(2 * _SPOT_PX))
    return np.where(reach, 0, contrast).astype(np.float32)


@dataclass(frozen=True)
class BeamCentre:
    """The beam's position from ±g pairs of spots.

    Parameters
    ----------
    centre_px : tuple of float
        (y, x) in pixels of the record, from its first pixel.
    standard_error_px : tuple of float
        From the scatter between pairs, (y, x).
    n_pairs : int
        Pairs used.
    pair_centres_px : ndarray, shape (n_pairs, 2)
        Midpoint of each pair, (y, x).
    spots_px : ndarray, shape (n_pairs, 2)
        One spot of each pair, (y, x); the other lies opposite.
    rivals : tuple of BeamCandidate
        Other places about which the spots pair as well, within the errors; empty if the centre is unique.
    """

    centre_px: tuple[float, float]
    standard_error_px: tuple[float, float]
    n_pairs: int
    pair_centres_px: NDArray[np.float64]
    spots_px: NDArray[np.float64]
    rivals: tuple[BeamCandidate, ...] = ()


def find_beam_centre(
    record: Record,
    *,
    start_px: tuple[float, float] | None = None,
    search_px: float = 15.0,
    contrast: Float32 | None = None,
) -> BeamCentre:
    """Centre a pattern by the correlation of its ±g spots.

    Where the spots of the whole frame pair better about another place than near ``start_px``, beyond the errors of
    both, the search begins there. Spots opposite each other vote for the centre near it; each pair is then correlated,
    one patch turned by 180°, and the centre is the robust mean of the midpoints. Only the shape and place of
    the spots count, each patch being normalised, so that a tilted crystal, whose g and -g differ in intensity,
    is centred as well as another.

    Parameters
    ----------
    record : Record
        Calibrated record; a background may be left in or taken out.
    start_px : tuple of float, optional
        Rough position of the beam, (y, x); None: the middle of its halo.
    search_px : float
        How far the beam may lie from the start; below a quarter of the distance between spots.
    contrast : ndarray of float32, optional
        :func:`spot_contrast` of the record, where it is known.

    Raises
    ------
    InputError
        If fewer than three spots have a partner on the other side.

    Warns
    -----
    QualityWarning
        If the pairs disagree by more than a fifth of a pixel, or the spots pair about other places as well.
    """
    contrast = spot_contrast(record) if contrast is None else contrast
    start, rivals = _best_start(record, contrast, np.asarray(start_px or rough_beam_centre(record)), search_px)
    spots, strength = find_spots(contrast, record, start)
    pairs, centre = vote_for_centre(spots, strength, start, search_px)
    if len(pairs) < FEWEST_PAIRS:
        raise InputError(
            f"{len(spots)} diffraction spots are visible and {len(pairs)} pairs of them lie opposite each other about "
            f"y = {start[0]:.0f}, x = {start[1]:.0f}",
            mend="check that this is the record with the particle, or give the beam's rough position",
        )
    coefficients = flattened_spline(record)
    first = spots[pairs[:, 0]]
    half = patch_half_width(spots)
    for _ in range(_N_ROUNDS):
        midpoints, errors = correlate_pairs(coefficients, first, centre, half)
        centre, deviation, kept = robust_mean(midpoints, errors)
    if kept.sum() < FEWEST_PAIRS:
        raise InputError(f"only {kept.sum()} pairs of spots agree on a centre", mend="give the beam's rough position")
    if max(deviation) > 0.2:
        doubt(
            f"the beam's position is uncertain by {max(deviation):.2f} px: the spot pairs disagree",
        )
    return BeamCentre(
        (float(centre[0]), float(centre[1])),
        (float(deviation[0]), float(deviation[1])),
        int(kept.sum()),
        midpoints[kept],
        first[kept],
        rivals,
    )


def beam_search(record: Record, contrast: Float32) -> BeamSearch:
    """The spots of the whole frame, to be asked about which places they pair."""
    spots, strength = find_spots(contrast, record, np.full(2, math.inf))
    seen = ~grow(~record.valid, _SPOT_WINDOW_PX // 2)
    block = _block_of(record)
    level, known = spotless_blocks(record, block)
    between = np.where(known, level, np.nan)
    return BeamSearch(spots, strength, seen, detection=_DETECTION, between=between, block=block)


def place_of_beam(record: Record, contrast: Float32) -> tuple[float, float] | None:
    """The one place in the frame about which the spots pair, to a pixel or two; None if there is none or several."""
    search = beam_search(record, contrast)
    found = search.candidates()
    if not found or not _is_sound(found[0]) or search.rivals(found[0], found):
        return None
    return found[0].centre_px


def _is_sound(place: BeamCandidate) -> bool:
    return place.n_pairs >= 2 * FEWEST_PAIRS and place.score > 0


def _best_start(
    record: Record, contrast: Float32, start: Float64, search_px: float
) -> tuple[Float64, tuple[BeamCandidate, ...]]:
    """The start, or the place about which the whole frame's spots pair better; and what rivals it has."""
    search = beam_search(record, contrast)
    found = search.candidates(near=((float(start[0]), float(start[1])),))
    here = [one for one in found if np.hypot(*(one.centre_px - start)) < search_px]
    if not found or not _is_sound(found[0]) or found[0] in here:
        best = found[0] if here else None
    elif here and here[0] in search.rivals(found[0], found):
        best = here[0]
    elif not search.rivals(found[0], found):
        best, start = found[0], np.asarray(found[0].centre_px)
    else:
        best = here[0] if here else None
    rivals = search.rivals(best, found) if best is not None and _is_sound(best) else ()
    if best is not None and rivals:
        told = ", ".join(f"{_place(one)} ({one.score:.0f} ± {search.error(best, one):.0f})" for one in rivals[:4])
        doubt(
            f"the beam's place is not unique: the spots pair about {_place(best)} (score {best.score:.0f}), which is "
            f"taken, and as well about {told}; beam_centre_px can say which is meant"
        )
    return start, rivals


def _place(candidate: BeamCandidate) -> str:
    return "y = {:.0f}, x = {:.0f}".format(*candidate.centre_px)


def flattened_spline(record: Record) -> Float32:
    """Cubic spline coefficients of the record with noise smoothed and halo taken away."""
    filled = fill_invalid(record.electrons, record.valid)
    flat = np.asarray(ndimage.gaussian_filter(filled, 1.0) - ndimage.gaussian_filter(filled, 4 * _SURROUND_PX))
    return np.asarray(ndimage.spline_filter(flat, order=3).astype(np.float32))


def find_spots(contrast: Float32, record: Record, beam_px: Float64) -> tuple[Float64, Float64]:
    """Local maxima of :func:`spot_contrast`, away from beam, edge and invalid pixels.

    Returns
    -------
    positions : ndarray, shape (n, 2)
        (y, x) of the brightest pixel of each spot, strongest first.
    contrast : ndarray, shape (n,)
    """
    peak = (contrast == ndimage.maximum_filter(contrast, _SPOT_WINDOW_PX)) & (contrast > _DETECTION)
    edge = _SPOT_WINDOW_PX // 2
    clear = ~grow(~record.valid, edge)
    clear[:edge] = clear[-edge:] = clear[:, :edge] = clear[:, -edge:] = False
    y, x = np.nonzero(peak & clear)
    far = np.hypot(y - beam_px[0], x - beam_px[1]) > _BEAM_PX
    y, x = y[far], x[far]
    order = np.argsort(contrast[y, x])[::-1][:_MOST_SPOTS]
    return np.stack([y, x], axis=1)[order].astype(np.float64), contrast[y, x][order].astype(np.float64)


def vote_for_centre(
    spots: Float64, strength: Float64, start: Float64, search_px: float
) -> tuple[NDArray[np.intp], Float64]:
    """Pairs whose midpoints gather at one place, and that place."""
    none = np.zeros((0, 2), dtype=np.intp)
    if len(spots) < 2:
        return none, start
    i, j = np.triu_indices(len(spots), 1)
    midpoint = (spots[i] + spots[j]) / 2
    near = np.hypot(*(midpoint - start).T) < search_px
    i, j, midpoint = i[near], j[near], midpoint[near]
    if len(midpoint) == 0:
        return none, start
    # A pair counts by its weaker spot; the logarithm keeps one strong pair from deciding alone.
    vote = np.log1p(np.minimum(strength[i], strength[j]))
    gathered = np.array([vote[np.hypot(*(midpoint - m).T) < 2].sum() for m in midpoint])
    centre = midpoint[np.argmax(gathered)]
    member = np.hypot(*(midpoint - centre).T) < 2
    centre = np.median(midpoint[member], axis=0)
    return np.stack([i[member], j[member]], axis=1), centre


def patch_half_width(spots: Float64) -> int:
    """Half the distance to the nearest other spot, typically, within 6 to 14 pixels."""
    separation = np.hypot(*(spots[:, None] - spots[None]).transpose(2, 0, 1))
    np.fill_diagonal(separation, np.inf)
    return int(np.clip(np.percentile(separation.min(axis=1), 25) / 2, 6, 14))


def correlate_pairs(coefficients: Float32, first: Float64, centre: Float64, half: int) -> tuple[Float64, Float64]:
    """Midpoint of each pair, and its error, from patches at the spot and opposite it."""
    steps = np.arange(-half - 1, half + 2, dtype=np.float64)
    window = np.cos(np.pi * steps[1:-1] / (2 * half + 2)) ** 2
    offset = np.stack(np.meshgrid(steps, steps, indexing="ij"))
    midpoints, errors = np.zeros_like(first), np.zeros(len(first))
    for k, spot in enumerate(first):
        here, there = (
            ndimage.map_coordinates(
                coefficients, place[:, None, None] + sign * offset, order=3, prefilter=False, mode="nearest"
            )
            for place, sign in ((spot, 1), (2 * centre - spot, -1))
        )
        shift, errors[k] = _patch_shift(here, there, window[:, None] * window)
        # `there` is read backwards, so that the midpoint moves by half of the shift between the two.
        midpoints[k] = centre + shift / 2
    return midpoints, errors


def _patch_shift(here: Float64, there: Float64, window: Float64) -> tuple[Float64, float]:
    """Shift that carries ``there`` onto ``here`` by weighted least squares, and its error.

    Scale and level are free. The error counts what the shift leaves unexplained, so that a pair of unlike
    spots weighs little.
    """
    inner = np.s_[1:-1, 1:-1]
    weight = np.sqrt(window).ravel()
    for_scale = np.stack([there[inner].ravel() * weight, weight])
    fit, *_ = np.linalg.lstsq(for_scale.T, here[inner].ravel() * weight, rcond=None)
    if fit[0] <= 0:
        return np.zeros(2), math.inf
    mean = (here + fit[0] * there) / 2
    columns = [-np.gradient(mean, axis=axis)[inner].ravel() * weight for axis in (0, 1)]
    design = np.stack([*columns, *for_scale])
    solution, *_ = np.linalg.lstsq(design.T, here[inner].ravel() * weight, rcond=None)
    rest = here[inner].ravel() * weight - solution @ design
    covariance = np.linalg.pinv(design @ design.T)[:2, :2] * float(rest @ rest) / max(len(rest) / 4 - 4, 1)
    return np.clip(solution[:2], -2, 2), math.sqrt(max(float(np.trace(covariance)), 0))


def robust_mean(points: Float64, errors: Float64) -> tuple[Float64, Float64, NDArray[np.bool_]]:
    """Weighted Tukey mean of the midpoints, its standard error, and which points count."""
    kept = np.isfinite(errors)
    if not kept.any():
        return points.mean(axis=0), np.full(2, math.inf), kept
    expected = np.hypot(np.where(kept, errors, 1e6), _LEAST_ERROR_PX)
    mean = np.median(points[expected <= np.median(expected)], axis=0)
    weight = kept / expected**2
    for _ in range(20):
        distance = np.hypot(*(points - mean).T) / expected
        spread = max(1.4826 * float(np.median(distance[kept])), 1.0)
        weight = kept * np.maximum(1 - (distance / (4 * spread)) ** 2, 0) ** 2 / expected**2
        mean = (weight @ points) / weight.sum()
    share = weight / weight.sum()
    scatter = share**2 @ (points - mean) ** 2
    counted = 1 / float(share @ share)
    return mean, np.sqrt(scatter * counted / max(counted - 1, 0.5)), weight > 0
