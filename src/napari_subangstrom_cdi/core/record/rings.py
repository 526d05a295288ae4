"""The ellipse of a pattern, told by rings of spots: those of a substrate or a standard, whatever its spacings are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError

from .centring import find_spots, spot_contrast
from .detector import Record
from .distortion import MeasuredEllipse

_LARGEST, _STEP = 0.08, 0.0025
_SAME_RING = 0.004
"""Relative difference of distances within which spots may be of one ring."""
_MOST_SPOTS = 120
_LEAST_FREEDOM = 2
_LARGEST_MISFIT = 0.004
_CENTRE_ROUNDS, _CENTRE_REACH = 4, 4
_OPPOSITE = 0.03
_LEAST_ERROR = 3e-4


def ellipse_of_rings(record: Record, beam_px: tuple[float, float], source: str = "rings") -> MeasuredEllipse:
    """The ellipse that makes the distances of spots from the beam those of as few rings as possible.

    Layers of a substrate turned against each other, grains of a standard and its rings have spots in many directions at
    the same few distances; what the distances are does not matter.

    Parameters
    ----------
    record : Record
        Of the substrate or standard.
    beam_px : tuple of float
        Where the beam is in it, (y, x), to a few pixels.
    source : str
        Of the measurement, in words.

    Raises
    ------
    InputError
        If the spots do not lie on rings, or in too few directions.
    """
    spots = _spots(record, np.asarray(beam_px, np.float64))
    logarithm, angle = np.log(np.hypot(*spots.T)), np.arctan2(spots[:, 0], spots[:, 1])
    design = np.stack([np.cos(2 * angle), np.sin(2 * angle)], axis=1) / 2
    start = _fewest_rings(logarithm, design, angle)
    return _fitted(logarithm, design, start, source)


def _spots(record: Record, beam: Float64) -> Float64:
    """Places (y, x) of the spots from the middle of their pairs, each pair once, shape (pairs, 2)."""
    contrast = spot_contrast(record)
    places, _ = find_spots(contrast, record, beam)
    places = np.array([_centroid(contrast, place) for place in places[:_MOST_SPOTS]]).reshape(-1, 2)
    first, second = _opposites(places, beam)
    if len(first) < 3:
        raise InputError(
            f"{len(first)} pairs of spots to see rings by", mend="state the ellipse in the acquisition, if there is one"
        )
    return (places[first] - places[second]) / 2


def _centroid(contrast: NDArray[np.float32], place: Float64) -> Float64:
    at = place.copy()
    for _ in range(_CENTRE_ROUNDS):
        row, column = (round(float(value)) for value in at)
        box = np.s_[
            max(row - _CENTRE_REACH, 0) : row + _CENTRE_REACH + 1,
            max(column - _CENTRE_REACH, 0) : column + _CENTRE_REACH + 1,
        ]
        rows, columns = np.ogrid[box]
        weight = np.maximum(contrast[box], 0)
        total = float(weight.sum())
        if total <= 0:
            break
        at = np.array([float((weight * rows).sum()), float((weight * columns).sum())]) / total
    return at


def _opposites(places: Float64, beam: Float64) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Spots that lie opposite each other, to within 3 % of their distance."""
    from_beam = places - beam
    apart = np.hypot(*(from_beam[:, None] + from_beam[None]).transpose(2, 0, 1))
    partner = apart.argmin(axis=1)
    mutual = partner[partner] == np.arange(len(places))
    near = apart.min(axis=1) < 2 * _OPPOSITE * np.hypot(*from_beam.T)
    first = np.flatnonzero(mutual & near & (np.arange(len(places)) < partner))
    return first, partner[first]


def _fewest_rings(logarithm: Float64, design: Float64, angle: Float64) -> Float64:
    """Components for which most pairs of spots in different directions are as far from the beam."""
    i, j = np.triu_indices(len(logarithm), 1)
    other_way = np.abs(np.sin(angle[i] - angle[j])) > 0.1
    i, j = i[other_way], j[other_way]
    apart, turned = logarithm[i] - logarithm[j], design[i] - design[j]
    steps = np.arange(-_LARGEST, _LARGEST + _STEP / 2, _STEP)
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    score = np.array([np.exp(-(((apart - turned @ one) / _SAME_RING) ** 2) / 2).sum() for one in grid])
    best: Float64 = grid[int(np.argmax(score))]
    return best


def _fitted(logarithm: Float64, design: Float64, start: Float64, source: str) -> MeasuredEllipse:
    """Least squares of the ellipse and of the rings' radii."""
    components = start
    for _ in range(4):
        ring = _rings(logarithm - design @ components)
        several = np.flatnonzero(np.bincount(ring)[ring] >= 3)
        rings, ring_of = np.unique(ring[several], return_inverse=True)
        freedom = len(several) - len(rings) - 2
        if freedom < _LEAST_FREEDOM:
            raise InputError("the spots lie on no rings", mend="state the ellipse in the acquisition, if there is one")
        columns = np.concatenate([design[several], np.eye(len(rings))[ring_of]], axis=1)
        solution, *_ = np.linalg.lstsq(columns, logarithm[several], rcond=None)
        components = solution[:2]
    residual = logarithm[several] - columns @ solution
    misfit = math.sqrt(float(residual @ residual) / freedom)
    if misfit > _LARGEST_MISFIT or float(np.hypot(*components)) > _LARGEST:
        raise InputError("the spots lie on no rings", mend="state the ellipse in the acquisition, if there is one")
    covariance = np.linalg.pinv(columns.T @ columns)[:2, :2] * max(misfit, _LEAST_ERROR) ** 2
    return MeasuredEllipse(np.asarray(components), covariance, source)


def _rings(logarithm: Float64) -> NDArray[np.intp]:
    """Number of the ring of each spot: those whose distances follow closely on one another."""
    order = np.argsort(logarithm)
    number = np.concatenate([[0], np.cumsum(np.diff(logarithm[order]) > 2 * _SAME_RING)])
    found = np.empty(len(order), np.intp)
    found[order] = number
    return found
