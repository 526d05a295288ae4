"""Tilt, thickness and shape of a crystal from the integrated intensities of its reflections."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.crystal.nanocrystal import edge_profile
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, Zone
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.potential import ImagingConditions
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.types import Bool, Float64
from napari_subangstrom_cdi.errors import InputError

from .indexing import Match, disc_sums, spot_radius, turned
from .spots import spot_size

USUAL_INSET_ANGSTROM = 3.0
ROUNDNESS = (0.0, 0.25, 0.5)
_COMPARED = (0.05, 1.28)
_TILT_RANGE_DEG, _TILT_STEP_DEG = 2.0, 0.2
_REFINE_STEP_DEG = 0.1
_FALLOFFS = np.arange(0.0, 2.6, 0.5)
_LARGEST_FALLOFF = 8.0
_THICKNESS_STEP = 2.0
_LEAST_REFLECTIONS = 6
_TEST_LEAN, _TEST_THICKNESS = (0.011, 0.006), 60.0
_ALIKE = 0.02
_RESAMPLED = 6
_WORTH_A_LOOK = 1.3


@dataclass(frozen=True)
class Evidence:
    """What a model is fitted to. Arrays are centred, shape (n, n).

    Parameters
    ----------
    grid : Grid
        Sampling.
    intensity : ndarray
        Of the pattern, background taken away, negative where noise is; any unit.
    regions : ndarray of uint8
        Codes of :class:`.Region`.
    support : ndarray of bool
        Outline of the particle.
    contrast : ndarray, optional
        1 − I of the image, the vacuum at 0, laid onto the pattern's frame.
    conditions : ImagingConditions, optional
        Of the image; needed with it.
    """

    grid: Grid
    intensity: NDArray[np.floating]
    regions: NDArray[np.uint8]
    support: Bool
    contrast: NDArray[np.floating] | None = None
    conditions: ImagingConditions | None = None

    @cached_property
    def spot_size_per_angstrom(self) -> float:
        """As of :func:`.spot_size`."""
        return spot_size(np.sqrt(np.maximum(self.intensity, 0)), self.regions, self.grid)


@dataclass(frozen=True)
class Fit:
    """One orientation with its best tilt, thickness and shape.

    Parameters
    ----------
    zone : (int, int, int)
        Against the beam.
    match : Match
        Azimuth, scale, share of the pattern explained.
    lean : (float, float)
        d(x, y)/dz of the columns, in the pattern's frame.
    thickness_angstrom, roundness : float
        As of :class:`.nanocrystal.Shape`.
    falloff_angstrom2 : float
        b of exp(−b q²/4) by which the recorded amplitudes fall off more than the model's: what blurs a wave behind
        the crystal, a Debye-Waller factor told too small, or scattering factors.
    r_reflections : float
        Σ|k A_calc − A| / Σ A over the reflections' amplitudes.
    """

    zone: Zone
    match: Match
    lean: tuple[float, float]
    thickness_angstrom: float
    roundness: float
    falloff_angstrom2: float
    r_reflections: float

    @property
    def tilt_deg(self) -> tuple[float, float]:
        """Rotation vector about x and y."""
        return -math.degrees(math.atan(self.lean[1])), math.degrees(math.atan(self.lean[0]))

    @property
    def orientation(self) -> Orientation:
        """How the crystal stands."""
        return Orientation(self.zone, self.match.azimuth_deg, self.tilt_deg)


@dataclass(frozen=True)
class Held:
    """What is told instead of fitted; None is fitted.

    Parameters
    ----------
    tilt_deg : (float, float), optional
        As of :class:`.Orientation`.
    thickness_angstrom, roundness : float, optional
        As of :class:`.nanocrystal.Shape`.
    """

    tilt_deg: tuple[float, float] | None = None
    thickness_angstrom: float | None = None
    roundness: float | None = None

    @property
    def lean(self) -> Float64 | None:
        """d(x, y)/dz of the columns."""
        if self.tilt_deg is None:
            return None
        return np.array([math.tan(math.radians(self.tilt_deg[1])), -math.tan(math.radians(self.tilt_deg[0]))])


class Columns:
    """The shapes that are tried, each as the share of its area at every thickness.

    Attributes
    ----------
    thicknesses_angstrom : ndarray, shape (thicknesses,)
        Up to 1.6 times the outline's width.
    shapes : list of (float, float)
        Largest thickness and roundness of each.
    shares : ndarray, shape (thicknesses, shapes)
        Columns add up to 1.
    roundness : tuple of float
        Those of the shapes.
    """

    def __init__(self, support: Bool, grid: Grid, held: Held | None = None) -> None:
        held = held or Held()
        self.roundness = ROUNDNESS if held.roundness is None else (held.roundness,)
        profile = edge_profile(support, grid, USUAL_INSET_ANGSTROM)
        profile = profile[profile > 0]
        thickest = held.thickness_angstrom or 1.6 * 2 * math.sqrt(float(support.sum()) / math.pi) * grid.pixel_angstrom
        step = _THICKNESS_STEP
        self.thicknesses_angstrom = np.arange(step, thickest + 2 * step, step)
        edges = np.append(self.thicknesses_angstrom, self.thicknesses_angstrom[-1] + step) - step / 2
        given = held.thickness_angstrom
        tried = self.thicknesses_angstrom[1:].tolist() if given is None else [given]
        self.shapes = [(t, roundness) for roundness in self.roundness for t in tried]
        counts = [np.histogram(np.maximum(t * profile**roundness, edges[0]), edges)[0] for t, roundness in self.shapes]
        self.shares = np.array(counts).T / len(profile)


class Reflections:
    """The reflections of one orientation: measured amplitudes, and those of a particle of the outline's shape.

    An integrated intensity is the area average of |ψ_g(t)|², t the thickness at each place (columns, Parseval).

    Parameters
    ----------
    evidence : Evidence
        The data.
    beams : ZoneBeams
        Crystal and zone.
    zone : (int, int, int)
        Against the beam.
    match : Match
        Where the reflections lie.
    columns : Columns
        The shapes.
    lean : ndarray, optional
        To be held, not fitted; the landscape then stays empty.

    Raises
    ------
    InputError
        If too few reflections are in the pattern.
    """

    def __init__(
        self,
        evidence: Evidence,
        beams: ZoneBeams,
        zone: Zone,
        match: Match,
        columns: Columns,
        lean: Float64 | None = None,
    ) -> None:
        self._beams, self._zone, self._match, self._columns, self._lean = beams, zone, match, columns, lean
        self._g = turned(beams.g_per_angstrom, match.azimuth_deg, match.scale)
        radius = spot_radius(beams, evidence.spot_size_per_angstrom) * match.scale
        sums = disc_sums(evidence.intensity, evidence.grid, self._g, radius)
        lost = disc_sums((evidence.regions == Region.M).astype(np.float32), evidence.grid, self._g, radius)
        q = np.linalg.norm(self._g, axis=1)
        self._used = (q > _COMPARED[0]) & (q < _COMPARED[1]) & np.isfinite(sums) & (lost == 0)
        if self._used.sum() < _LEAST_REFLECTIONS:
            raise InputError(
                f"only {self._used.sum()} reflections of the zone are in the pattern",
                mend="check crystal, zone axis and camera length",
            )
        self._measured = np.sqrt(np.maximum(sums[self._used], 0))
        self._weight = np.ones(len(self._measured))
        self._quarter_q2 = q[self._used] ** 2 / 4
        self.tilts_deg = np.arange(-_TILT_RANGE_DEG, _TILT_RANGE_DEG + 1e-9, _TILT_STEP_DEG)
        self.landscape = np.full((len(self.tilts_deg),) * 2, np.nan)

    @property
    def match(self) -> Match:
        """Where the reflections lie."""
        return self._match

    @property
    def roundness(self) -> tuple[float, ...]:
        """Those that are tried."""
        return self._columns.roundness

    @property
    def zone(self) -> Zone:
        """Against the beam."""
        return self._zone

    @property
    def g_per_angstrom(self) -> Float64:
        """All beams, x and y in the pattern's frame."""
        return self._g

    @property
    def hkl(self) -> NDArray[np.integer]:
        """Indices of all beams."""
        return self._beams.hkl

    def same_as(self, other: Reflections) -> bool:
        """Whether both give the same intensities at every tilt: an axis of the crystal's."""
        mine, theirs = self._test(), other._test()
        distance = np.linalg.norm(self._g[:, None] - other._g[None], axis=2)
        nearest = distance.argmin(axis=1)
        if distance.min(axis=1).max() > 0.02:
            return False
        return bool(np.abs(mine - theirs[nearest]).sum() < _ALIKE * mine.sum())

    def _test(self) -> Float64:
        amplitude: Float64 = np.abs(self._amplitudes(np.array(_TEST_LEAN), np.array([_TEST_THICKNESS])))[1:, 0]
        return np.concatenate([[0.0], amplitude])

    def _amplitudes(self, lean: Float64, thicknesses: Float64) -> NDArray[np.complex128]:
        """ψ_g for a lean in the pattern's frame."""
        return self._beams.amplitudes(turned(lean[None], -self._match.azimuth_deg)[0], thicknesses)

    def _calculated(self, lean: Float64) -> Float64:
        """Amplitudes of the reflections used, shape (reflections, shapes)."""
        waves = self._amplitudes(lean, self._columns.thicknesses_angstrom)[self._used]
        return np.sqrt(np.square(np.abs(waves)) @ self._columns.shares)

    def _r_factors(self, calculated: Float64, falloff: float) -> Float64:
        """R of every shape."""
        # the fall-off goes into the weights, so that the large array is read only
        damping = np.exp(-falloff * self._quarter_q2)
        weight = self._weight * damping
        below = (weight * damping) @ np.square(calculated)
        scale = (weight * self._measured) @ calculated / np.maximum(below, 1e-30)
        misfit = np.abs(damping[:, None] * calculated * scale - self._measured[:, None])
        result: Float64 = self._weight @ misfit / (self._weight @ self._measured)
        return result

    def search(self, heartbeat: Callable[[], None] = lambda: None) -> Float64:
        """Fill the landscape; the lean of its lowest place.

        Parameters
        ----------
        heartbeat : callable
            Called before each row of it; it may raise to end the search.
        """
        if self._lean is not None:
            return self._lean
        for row, y in enumerate(self.tilts_deg.tolist()):
            heartbeat()
            for column, x in enumerate(self.tilts_deg.tolist()):
                if math.hypot(x, y) <= _TILT_RANGE_DEG + 1e-9:
                    calculated = self._calculated(np.tan(np.radians([x, y])))
                    self.landscape[row, column] = min(self._r_factors(calculated, b).min() for b in _FALLOFFS)
        row, column = map(int, np.unravel_index(np.nanargmin(self.landscape), self.landscape.shape))
        return np.tan(np.radians([self.tilts_deg[column], self.tilts_deg[row]]))

    def refine(self, lean: Float64) -> Fit:
        """The best tilt, fall-off, thickness and roundness near a lean."""
        step = math.radians(_REFINE_STEP_DEG)
        calculated = self._calculated(lean)
        falloff = min(_FALLOFFS, key=lambda b: self._r_factors(calculated, b).min())
        if self._lean is not None:
            held = scipy.optimize.minimize_scalar(
                lambda b: self._r_factors(calculated, b).min(), bounds=(0, _LARGEST_FALLOFF), method="bounded"
            )
            return self._fit(lean, float(held.x))
        start = np.array([*lean, falloff * step])  # all three of one size
        simplex = start + step * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0.3]])
        end = scipy.optimize.minimize(
            lambda p: self._r_factors(self._calculated(p[:2]), _within(p[2] / step)).min(),
            start,
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "xatol": 0.02 * step, "fatol": 1e-5},
        )
        return self._fit(end.x[:2], _within(end.x[2] / step))

    def _fit(self, lean: Float64, falloff: float) -> Fit:
        """The best thickness and roundness at a lean."""
        r_factors = self._r_factors(self._calculated(lean), falloff)
        k = int(r_factors.argmin())
        thickness, roundness = self._columns.shapes[k]
        place = (float(lean[0]), float(lean[1]))
        return Fit(self._zone, self._match, place, thickness, roundness, falloff, float(r_factors[k]))

    def likely(self, fit: Fit, roundness: float | None = None) -> list[Fit]:
        """The same tilt with every thickness, of one roundness or all, whose R is near the lowest; the best first."""
        r_factors = self._r_factors(self._calculated(np.array(fit.lean)), fit.falloff_angstrom2)
        mine = [k for k, shape in enumerate(self._columns.shapes) if roundness in (None, shape[1])]
        mine.sort(key=lambda k: r_factors[k])
        return [
            replace(
                fit,
                thickness_angstrom=self._columns.shapes[k][0],
                roundness=self._columns.shapes[k][1],
                r_reflections=float(r_factors[k]),
            )
            for k in mine
            if r_factors[k] <= _WORTH_A_LOOK * r_factors[mine[0]]
        ]

    def errors(
        self, best: Fit, choose: Callable[[list[Fit]], Fit], heartbeat: Callable[[], None] = lambda: None
    ) -> tuple[float, float]:
        """Standard deviations of tilt (degrees) and thickness (Å): over reflections drawn with replacement.

        That of the tilt is at least the distance of tilts that fit as well within the accuracy of R, 1/√N of it.

        Parameters
        ----------
        best : Fit
            Where the refits begin.
        choose : callable
            Takes one of the likely thicknesses.
        heartbeat : callable
            Called before each refit; it may raise.
        """
        rng = np.random.default_rng(0)
        tilts, thicknesses, whole = [], [], self._weight
        try:
            for _ in range(_RESAMPLED):
                heartbeat()
                drawn = rng.integers(0, len(whole), len(whole))
                self._weight = np.bincount(drawn, minlength=len(whole)).astype(float)
                again = self.refine(np.array(best.lean))
                tilts.append(again.tilt_deg)
                thicknesses.append(choose(self.likely(again, best.roundness)).thickness_angstrom)
        finally:
            self._weight = whole
        found = float(np.linalg.norm(np.std(tilts, axis=0)))
        return found, max(float(np.std(thicknesses)), _THICKNESS_STEP / math.sqrt(12))

    def as_good(self, best: Fit) -> float:
        """Root mean square distance, degrees, of the landscape's tilts whose R is the best within its accuracy.

        NaN where the tilt is held.
        """
        if self._lean is not None:
            return math.nan
        limit = np.nanmin(self.landscape) * (1 + 1 / math.sqrt(len(self._measured)))
        rows, columns = np.nonzero(self.landscape <= limit)
        x, y = (math.degrees(math.atan(lean)) for lean in best.lean)
        return float(np.sqrt(np.mean((self.tilts_deg[columns] - x) ** 2 + (self.tilts_deg[rows] - y) ** 2)))

    def columns(self, fit: Fit) -> tuple[NDArray[np.complex128], Float64, Float64]:
        """ψ_g of all beams behind each thickness, shape (beams, k), those thicknesses, and their shares of the area."""
        shape = self._columns.shapes.index((fit.thickness_angstrom, fit.roundness))
        shares = self._columns.shares[:, shape]
        there = shares > 0
        thicknesses = self._columns.thicknesses_angstrom[there]
        return self._amplitudes(np.array(fit.lean), thicknesses), thicknesses, shares[there]


def _within(falloff: float) -> float:
    """A record is never sharper than the wave."""
    return float(min(max(falloff, 0.0), _LARGEST_FALLOFF))
