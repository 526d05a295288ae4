"""Where the beam may be anywhere in a frame: the places about which its spots pair, ranked, and how surely."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_subangstrom_cdi.core.types import Bool, Float64

_CELL_PX, _MATE_PX, _APART_PX = 2.0, 3.0, 8.0
_MOST_CANDIDATES = 30
_ERRORS = 2.0
_LESS_ALIKE, _FEWEST_BLOCKS = 1.25, 100
FEWEST_SPOTS = 6


@dataclass(frozen=True)
class BeamCandidate:
    """A place about which spots pair.

    Parameters
    ----------
    centre_px : tuple of float
        (y, x) from the first pixel, to a pixel or two.
    score : float
        A spot with a mate counts 1 if both are of one strength, and 1/2 if they are as unlike as any two spots; one
        without, where it would be seen, down to -1. Summed over the spots.
    n_pairs : int
        Spots that have a mate.
    """

    centre_px: tuple[float, float]
    score: float
    n_pairs: int


class BeamSearch:
    """The spots of a record, asked for the places about which they pair.

    The beam is where spots and their mates, g and −g, are alike in place and strength. A lattice of spots lies on
    itself about each half of its vectors too; there strengths differ, and the pattern's outer spots have no mates.
    What lies outside the frame or is not valid counts for nothing, so that the frame may be cut and a stop may hide
    some.

    Parameters
    ----------
    spots : ndarray, shape (n, 2)
        (y, x) of each spot.
    strength : ndarray, shape (n,)
        How far each stands above the noise, all above ``detection``.
    seen : ndarray of bool, shape (ny, nx)
        Where a spot would have been found.
    detection : float
        Strength below which none is found.
    between : ndarray, shape (my, mx)
        Level of the light between the spots, a value for each block of pixels; NaN where it is not known.
    block : int
        Side of a block, pixels.
    """

    def __init__(
        self, spots: Float64, strength: Float64, seen: Bool, *, detection: float, between: Float64, block: int
    ) -> None:
        self._spots, self._log = spots, np.log(np.maximum(strength / detection, 1.0))
        self._seen = seen
        self._between = np.log(np.where(between > 0, between, np.nan))
        self._bright = float(np.nanmedian(self._between)) if (between > 0).any() else np.inf
        self._block = block
        self._usual = max(_mean_difference(self._log), 1e-3) if len(spots) > 1 else 1.0
        self._tree = cKDTree(spots) if len(spots) else None

    def candidates(self, *, near: tuple[tuple[float, float], ...] = ()) -> tuple[BeamCandidate, ...]:
        """The best places, best first; and of those given, what lies there.

        The beam is not where the light between the spots is much less alike on both sides than about a place that
        is given, or about which spots pair more than by chance.
        """
        if self._tree is None or len(self._spots) < FEWEST_SPOTS:
            return ()
        places = [*self._gathered(), *(np.asarray(place, dtype=np.float64) for place in near)]
        found = [self._settled(place) for place in places]
        found.sort(key=lambda one: one.score, reverse=True)
        apart: list[BeamCandidate] = []
        for one in found:
            if all(_distance(one, other) > _APART_PX for other in apart):
                apart.append(one)
        unlike = [self._halo_unlike(one) for one in apart]
        known = [value for one, value in zip(apart, unlike, strict=True) if one.score > _ERRORS * self.error(one)]
        known += [self._halo_unlike(BeamCandidate(place, 0.0, 0)) for place in near]
        limit = _LESS_ALIKE * min((value for value in known if np.isfinite(value)), default=np.inf)
        return tuple(one for one, value in zip(apart, unlike, strict=True) if not value > limit)

    def _halo_unlike(self, one: BeamCandidate) -> float:
        """Median difference of the logarithms of the light between spots and of that opposite, where it is bright."""
        size = self._between.shape
        rows, columns = (
            np.rint(2 * ((c + 0.5) / self._block - 0.5) - np.arange(n)).astype(np.intp)
            for c, n in zip(one.centre_px, size, strict=True)
        )
        y, x = ((at >= 0) & (at < n) for at, n in zip((rows, columns), size, strict=True))
        here, there = self._between[np.ix_(y, x)], self._between[np.ix_(rows[y], columns[x])]
        differences = np.abs(here - there)
        # Where there is little light, its noise is what differs.
        known = np.isfinite(differences) & (np.fmax(here, there) > self._bright)
        return float(np.median(differences[known])) if np.count_nonzero(known) >= _FEWEST_BLOCKS else np.nan

    def rivals(self, this: BeamCandidate, candidates: tuple[BeamCandidate, ...]) -> tuple[BeamCandidate, ...]:
        """Those whose score is above chance, and not below another's by more than two standard errors."""
        return tuple(
            one
            for one in candidates
            if one is not this
            and one.score > _ERRORS * self.error(one)
            and this.score - one.score < _ERRORS * self.error(this, one)
        )

    def error(self, one: BeamCandidate, other: BeamCandidate | None = None) -> float:
        """Standard error of a score, or of the difference of two, from what the single spots say."""
        differences = self._agreement(np.asarray(one.centre_px))[0]
        if other is not None:
            differences = differences - self._agreement(np.asarray(other.centre_px))[0]
        # A spot and its mate say the same thing twice.
        return float(np.sqrt(2 * len(differences)) * differences.std())

    def _gathered(self) -> list[Float64]:
        """Places where midpoints of pairs lie close together, those of like ones the most."""
        i, j = np.triu_indices(len(self._spots), 1)
        midpoint = (self._spots[i] + self._spots[j]) / 2
        alike = 1 / (1 + ((self._log[i] - self._log[j]) / self._usual) ** 2)
        size = [int(n / _CELL_PX) + 2 for n in self._seen.shape]
        cell = np.rint(midpoint / _CELL_PX).astype(np.intp)
        votes = np.zeros(size)
        np.add.at(votes, tuple(cell.T), alike)
        votes = ndimage.uniform_filter(votes, 3, mode="constant") * 9
        peaks = np.argwhere((votes == ndimage.maximum_filter(votes, 5)) & (votes > 0))
        order = np.argsort(votes[tuple(peaks.T)])[::-1]
        return list(islice((peaks[k] * _CELL_PX for k in order), _MOST_CANDIDATES))

    def _settled(self, place: Float64) -> BeamCandidate:
        """The middle of the pairs about a place, and how well they agree about it."""
        for reach in (2 * _MATE_PX, _MATE_PX):
            mate, distance = self._mates(place)
            paired = (distance < 2 * reach) & (mate != np.arange(len(mate)))
            if paired.any():
                place = np.median((self._spots[paired] + self._spots[mate[paired]]) / 2, axis=0)
        agreement, n_pairs = self._agreement(place)
        return BeamCandidate((float(place[0]), float(place[1])), float(agreement.sum()), n_pairs)

    def _mates(self, centre: Float64) -> tuple[NDArray[np.intp], Float64]:
        assert self._tree is not None
        distance, mate = self._tree.query(2 * centre - self._spots)
        return np.asarray(mate, dtype=np.intp), np.asarray(distance, dtype=np.float64)

    def _agreement(self, centre: Float64) -> tuple[Float64, int]:
        """What each spot says for a centre, and how many have mates."""
        mate, distance = self._mates(centre)
        opposite = 2 * centre - self._spots
        row, column = np.rint(opposite).astype(np.intp).T
        ny, nx = self._seen.shape
        inside = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
        visible = np.zeros(len(mate), dtype=np.bool_)
        visible[inside] = self._seen[row[inside], column[inside]]
        paired = distance < _MATE_PX
        itself = np.hypot(*(opposite - self._spots).T) < 2 * _APART_PX
        unlike = np.where(paired, np.abs(self._log - self._log[mate]), self._log) / self._usual
        says = np.where(paired, 1 / (1 + unlike**2), np.clip(1 - unlike, -1, 0))
        says = np.where(itself | ~(visible | paired), 0, says)
        return says, int(np.count_nonzero(paired & ~itself))


def _mean_difference(values: Float64) -> float:
    """Mean of |a − b| over all pairs of values."""
    ordered, n = np.sort(values), len(values)
    weight = 2 * np.arange(n) - (n - 1)
    return float(2 * (weight @ ordered) / (n * (n - 1)))


def _distance(one: BeamCandidate, other: BeamCandidate) -> float:
    return float(np.hypot(*(np.asarray(one.centre_px) - np.asarray(other.centre_px))))
