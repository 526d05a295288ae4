"""Check a beam centre by hand: how well the pattern agrees with itself turned by 180°."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_subangstrom_cdi.core.types import Float32, Float64

from .centring import (
    FEWEST_PAIRS,
    correlate_pairs,
    find_spots,
    flattened_spline,
    patch_half_width,
    robust_mean,
    spot_contrast,
    vote_for_centre,
)
from .detector import Record

_MOST_PAIRS, _N_ROUNDS = 24, 2
# Below it pairs have gathered by chance.
_LEAST_CORRELATION = 0.3


@dataclass(frozen=True)
class FriedelResidual:
    """How well spots and their mates agree about a centre.

    Attributes
    ----------
    correlation : float
        Mean correlation of the patches about the spots with those opposite, turned by 180°; near 1 at the centre.
        NaN without pairs.
    offset_px : tuple of float
        (dy, dx) by which the centre should be moved; NaN if no centre is in reach.
    spots_px, mates_px : ndarray, shape (n_pairs, 2)
        (y, x) of each spot, and where the centre puts its mate.
    """

    correlation: float
    offset_px: tuple[float, float]
    spots_px: Float64
    mates_px: Float64

    @property
    def n_pairs(self) -> int:
        """Pairs used."""
        return len(self.spots_px)

    @property
    def distance_px(self) -> float:
        """Length of the offset, pixels."""
        return math.hypot(*self.offset_px)


class FriedelCheck:
    """A record with its spots found once, to be asked about one centre after another.

    Only the shape and the place of spots count, not their heights, which differ between g and -g.

    Parameters
    ----------
    record : Record
        Calibrated record; a background may be left in or taken out.
    near_px : tuple of float, optional
        Roughly where the beam is, (y, x), for its own surroundings hold no spots; None: the middle of the record.
    search_px : float, optional
        How far from a given centre the true one may lie; below a quarter of the distance between spots.
    """

    def __init__(
        self, record: Record, /, *, near_px: tuple[float, float] | None = None, search_px: float = 15.0
    ) -> None:
        beam = np.asarray(near_px or [size / 2 for size in record.shape], dtype=np.float64)
        self._spots, self._strength = find_spots(spot_contrast(record), record, beam)
        self._spline = flattened_spline(record)
        self._half = patch_half_width(self._spots) if len(self._spots) > 1 else 6
        self._search_px = search_px

    def at(self, centre_px: tuple[float, float], /) -> FriedelResidual:
        """Compare the spots with their mates about a centre (y, x)."""
        centre = np.asarray(centre_px, dtype=np.float64)
        pairs, better = vote_for_centre(self._spots, self._strength, centre, self._search_px)
        first = self._spots[pairs[:_MOST_PAIRS, 0]] if len(pairs) >= FEWEST_PAIRS else np.zeros((0, 2))
        return FriedelResidual(
            self._correlation(first, centre), self._offset(first, centre, better), first, 2 * centre - first
        )

    def _offset(self, first: Float64, centre: Float64, better: Float64) -> tuple[float, float]:
        """From the centre to where the pairs match best; NaN if they do not match there either."""
        for _ in range(_N_ROUNDS if len(first) else 0):
            midpoints, errors = correlate_pairs(self._spline, first, better, self._half)
            better = robust_mean(midpoints, errors)[0]
        if not self._correlation(first, better) > _LEAST_CORRELATION:
            return math.nan, math.nan
        return float(better[0] - centre[0]), float(better[1] - centre[1])

    def _correlation(self, first: Float64, centre: Float64) -> float:
        if len(first) == 0:
            return math.nan
        steps = np.arange(-self._half, self._half + 1, dtype=np.float64)
        offset = np.stack(np.meshgrid(steps, steps, indexing="ij"))
        here, there = (
            _standardised(
                ndimage.map_coordinates(
                    self._spline,
                    np.moveaxis(places[..., None, None] + sign * offset, 1, 0),
                    order=3,
                    prefilter=False,
                    mode="nearest",
                )
            )
            for places, sign in ((first, 1), (2 * centre - first, -1))
        )
        return float((here * there).sum(axis=(1, 2)).mean())


def friedel_residual(record: Record, centre_px: tuple[float, float], /) -> FriedelResidual:
    """How well a record agrees with itself turned by 180° about a centre; for one centre only.

    Parameters
    ----------
    record : Record
        Calibrated record.
    centre_px : tuple of float
        (y, x) from the first pixel.
    """
    return FriedelCheck(record, near_px=centre_px).at(centre_px)


def _standardised(patches: Float64) -> Float64:
    centred = patches - patches.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True))
    return np.asarray(centred / np.maximum(norm, 1e-30))


def friedel_mate(image: NDArray[np.generic], centre_px: tuple[float, float], /) -> Float32:
    """The image turned by 180° about a centre, to be laid over itself.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Pattern, or its logarithm.
    centre_px : tuple of float
        (y, x) of the centre, from the first pixel; fractions are interpolated linearly.

    Returns
    -------
    ndarray of float32, shape (ny, nx)
        Pixel p holds the image at ``2 centre - p``; 0 where that lies outside.
    """
    turned = np.asarray(image[::-1, ::-1], dtype=np.float32)
    for axis, (size, centre) in enumerate(zip(image.shape, centre_px, strict=True)):
        turned = _shifted(turned, 2 * centre - (size - 1), axis)
    return turned


def _shifted(image: Float32, shift_px: float, axis: int) -> Float32:
    """Image moved along an axis by linear interpolation; 0 where nothing comes from."""
    whole = math.floor(shift_px)
    part = np.float32(shift_px - whole)
    moved = _rolled_in(image, whole, axis)
    if part == 0:
        return moved
    return (1 - part) * moved + part * _rolled_in(image, whole + 1, axis)


def _rolled_in(image: Float32, shift: int, axis: int) -> Float32:
    size = image.shape[axis]
    moved = np.zeros(image.shape, dtype=np.float32)
    if abs(shift) < size:
        target, source = [slice(None)] * 2, [slice(None)] * 2
        target[axis] = slice(max(0, shift), min(size, size + shift))
        source[axis] = slice(max(0, -shift), min(size, size - shift))
        moved[tuple(target)] = image[tuple(source)]
    return moved
