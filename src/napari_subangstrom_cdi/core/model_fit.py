"""A model of the particle from its crystal: tilt, thickness, shape and place, by diffraction and the image."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError

from .bloch import ZoneBeams
from .crystal import Crystal, Orientation, Zone
from .fourier import inverse
from .grid import Grid
from .indexing import Match, disc_sums, match_zone, spot_radius, turned
from .multislice import AtomicModel, Multislice
from .nanocrystal import Shape, cut, edge_profile
from .potential import ImagingConditions, aberration_phase, coherence_envelope
from .regions import Region

Float = NDArray[np.float64]
Complex = NDArray[np.complex64]
Bool = NDArray[np.bool_]

_BEAMS_TO = 1.8  # Å⁻¹, well beyond what is compared: beams couple
_WAVE_TO = 1.35
_COMPARED = (0.05, 1.28)
_TILT_RANGE_DEG, _TILT_STEP_DEG = 2.0, 0.2
_REFINE_STEP_DEG = 0.1
_THICKNESS_STEP = 2.0
_ROUNDNESS = (0.0, 0.25, 0.5)
_LEAST_REFLECTIONS = 6
_TEST_LEAN, _TEST_THICKNESS = (0.011, 0.006), 60.0
_ALIKE = 0.02
_PLACE_STEP, _PLACE_RANGE = 0.1, 14.0
_LEAST_TRANSFER = 0.05
_USUAL_INSET_ANGSTROM = 3.0
_INSETS_ANGSTROM = (1.0, 2.5, 4.0, 5.5, 7.0)
_HEIGHTS = 8
_RESAMPLED = 6
_DEFOCUS_CHANGES_NM = np.arange(-9.0, 9.1, 1.5)
_DEFOCUS_ERROR_NM, _DEFOCUS_PRIOR = 3.0, 0.01
_CONTRAST_SHARE = 0.1
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
    r_reflections : float
        Σ|k A_calc − A| / Σ A over the reflections' amplitudes.
    """

    zone: Zone
    match: Match
    lean: tuple[float, float]
    thickness_angstrom: float
    roundness: float
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
class FittedModel:
    """A particle's model, and what speaks for it.

    Parameters
    ----------
    crystal : Crystal
        Scaled to the pattern.
    fit : Fit
        The best.
    rivals : tuple of Fit
        Other orientations of the same zone, the best first.
    tilt_error_deg, thickness_error_angstrom : float
        Standard deviation over refits to resampled reflections; that of the tilt no less than the landscape's width.
    shape : Shape
        Outline, thickness, inset.
    offset_angstrom : (float, float)
        x and y of the crystal's origin.
    image_correlation : float
        Of the model's reflections with those of the image that the lens passed; NaN without an image.
    atoms : AtomicModel
        The particle.
    object_field : ndarray of complex64, shape (n, n)
        −i(ψ − 1) on the grid, scaled to the pattern's amplitudes.
    r_pattern : float
        R of the model over the pixels of G, before any phasing.
    landscape : ndarray, shape (tilts, tilts)
        Lowest ``r_reflections`` at each tilt, rows d y/dz, columns d x/dz, over ``tilts_deg``; NaN where not asked.
    tilts_deg : ndarray
        Of the landscape.
    """

    crystal: Crystal
    fit: Fit
    rivals: tuple[Fit, ...]
    tilt_error_deg: float
    thickness_error_angstrom: float
    shape: Shape
    offset_angstrom: tuple[float, float]
    image_correlation: float
    atoms: AtomicModel
    object_field: Complex
    r_pattern: float
    landscape: Float
    tilts_deg: Float


def fit_model(
    evidence: Evidence,
    crystal: Crystal,
    zone: Zone,
    *,
    energy_ev: float,
    b_factor: float = 1.0,
    told: Callable[[str], None] = lambda text: None,
) -> FittedModel:
    """Fit a particle of a known crystal to pattern, outline and image.

    Azimuths come from the spots. Tilt, thickness and roundness from the reflections' integrated intensities: an
    area average of |ψ_g(t)|², t the thickness at each place (columns, Parseval), with ψ_g of all thicknesses
    from one diagonalisation a tilt. The place from the reflections that the image holds. The edge's inset from
    the whole pattern by multislice.

    Parameters
    ----------
    evidence : Evidence
        The data.
    crystal, zone
        What it is, and the zone axis along the beam; [uvw] and its opposite are both tried.
    energy_ev : float
        Of the beam.
    b_factor : float
        Debye-Waller factor, Å².
    told : callable, optional
        Hears of each part; it may raise to end the fit.

    Raises
    ------
    InputError
        If the zone does not show in the pattern.
    """
    told("indexing")
    amplitude = np.sqrt(np.maximum(evidence.intensity, 0))
    choices: list[_Reflections] = []
    for way in (zone, (-zone[0], -zone[1], -zone[2])):
        beams = ZoneBeams(crystal, way, energy_ev=energy_ev, q_max_per_angstrom=_BEAMS_TO, b_factor=b_factor)
        for match in match_zone(amplitude, evidence.regions, evidence.grid, beams):
            candidate = _Reflections(evidence, beams, way, match)
            if not any(candidate.same_as(other) for other in choices):
                choices.append(candidate)
    fits = []
    for k, reflections in enumerate(choices):
        told(f"tilt and thickness, orientation {k + 1} of {len(choices)}")
        fits.append(reflections.fit())
    order = sorted(range(len(fits)), key=lambda k: fits[k].r_reflections)
    reflections, best = choices[order[0]], fits[order[0]]
    told("errors")
    image = _Contrast(evidence, reflections) if evidence.contrast is not None else None
    tilt_error, thickness_error = reflections.errors(best, image)
    told("multislice")
    scaled = crystal.scaled(1 / best.match.scale)
    placed = [_Placed(fit, *_place(image, reflections, fit)) for fit in reflections.with_each_roundness(best, image)]
    chosen = _edge(evidence, scaled, placed, energy_ev, b_factor)
    return FittedModel(
        scaled,
        chosen.placed.fit,
        tuple(fits[k] for k in order[1:]),
        tilt_error,
        thickness_error,
        chosen.shape,
        chosen.placed.offset_angstrom,
        chosen.placed.correlation,
        chosen.atoms,
        inverse(chosen.spectrum),
        chosen.r_factor,
        reflections.landscape,
        reflections.tilts_deg,
    )


class _Reflections:
    """The reflections of one orientation: measured amplitudes, and those of a particle of the outline's shape."""

    def __init__(self, evidence: Evidence, beams: ZoneBeams, zone: Zone, match: Match) -> None:
        self._beams, self._zone, self._match = beams, zone, match
        self._g = turned(beams.g_per_angstrom, match.azimuth_deg, match.scale)
        radius = spot_radius(beams) * match.scale
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
        self._weight = np.ones(self._used.sum())
        self._thicknesses, self._shapes, self._mixtures = _mixtures(evidence, _USUAL_INSET_ANGSTROM)
        self.tilts_deg = np.arange(-_TILT_RANGE_DEG, _TILT_RANGE_DEG + 1e-9, _TILT_STEP_DEG)
        self.landscape = np.full((len(self.tilts_deg),) * 2, np.nan)

    def same_as(self, other: _Reflections) -> bool:
        """Whether both give the same intensities at every tilt: an axis of the crystal's."""
        mine, theirs = self._test(), other._test()
        distance = np.linalg.norm(self._g[:, None] - other._g[None], axis=2)
        nearest = distance.argmin(axis=1)
        if distance.min(axis=1).max() > 0.02:
            return False
        return bool(np.abs(mine - theirs[nearest]).sum() < _ALIKE * mine.sum())

    def _test(self) -> Float:
        amplitude: Float = np.abs(self._amplitudes(np.array(_TEST_LEAN), np.array([_TEST_THICKNESS])))[1:, 0]
        return np.concatenate([[0.0], amplitude])

    def _amplitudes(self, lean: Float, thicknesses: Float) -> NDArray[np.complex128]:
        """ψ_g for a lean in the pattern's frame."""
        return self._beams.amplitudes(turned(lean[None], -self._match.azimuth_deg)[0], thicknesses)

    def _r_factors(self, lean: Float) -> Float:
        """R of every shape at this lean."""
        intensity = np.abs(self._amplitudes(lean, self._thicknesses)[self._used]) ** 2
        calculated = np.sqrt(intensity @ self._mixtures)
        measured, weight = self._measured[:, None], self._weight[:, None]
        scale = (weight * measured * calculated).sum(0) / np.maximum((weight * calculated**2).sum(0), 1e-30)
        result: Float = (weight * np.abs(scale * calculated - measured)).sum(0) / (weight * measured).sum(0)
        return result

    def fit(self) -> Fit:
        """Over all tilts first, then from the best."""
        for row, y in enumerate(self.tilts_deg.tolist()):
            for column, x in enumerate(self.tilts_deg.tolist()):
                if math.hypot(x, y) <= _TILT_RANGE_DEG + 1e-9:
                    self.landscape[row, column] = self._r_factors(np.tan(np.radians([x, y]))).min()
        row, column = map(int, np.unravel_index(np.nanargmin(self.landscape), self.landscape.shape))
        return self._refined(np.tan(np.radians([self.tilts_deg[column], self.tilts_deg[row]])))

    def _refined(self, lean: Float) -> Fit:
        step = math.radians(_REFINE_STEP_DEG)
        simplex = lean + step * np.array([[0, 0], [1, 0], [0, 1]])
        end = scipy.optimize.minimize(
            lambda p: self._r_factors(p).min(),
            lean,
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "xatol": 1e-5, "fatol": 1e-5},
        )
        r_factors = self._r_factors(end.x)
        k = int(r_factors.argmin())
        thickness, roundness = self._shapes[k]
        refined = (float(end.x[0]), float(end.x[1]))
        return Fit(self._zone, self._match, refined, thickness, roundness, float(r_factors[k]))

    def with_each_roundness(self, fit: Fit, image: _Contrast | None) -> list[Fit]:
        """The same lean, with the thickness of each roundness that suits reflections and image best."""
        return [self._thickest_likely(fit, image, roundness) for roundness in _ROUNDNESS]

    def _thickest_likely(self, fit: Fit, image: _Contrast | None, roundness: float | None = None) -> Fit:
        """The thickness of lowest R; with an image, R and the misfit of its contrast together.

        Of a thin crystal the reflections' ratios say little about the thickness, but the contrast is in proportion.
        """
        r_factors = self._r_factors(np.array(fit.lean))
        mine = [k for k, shape in enumerate(self._shapes) if roundness in (None, shape[1])]
        lowest = min(r_factors[k] for k in mine)
        likely = [k for k in mine if r_factors[k] < _WORTH_A_LOOK * lowest]
        trials = [
            replace(
                fit,
                thickness_angstrom=self._shapes[k][0],
                roundness=self._shapes[k][1],
                r_reflections=float(r_factors[k]),
            )
            for k in likely
        ]
        return min(trials, key=lambda trial: trial.r_reflections + (0 if image is None else image.misfit(self, trial)))

    def errors(self, best: Fit, image: _Contrast | None) -> tuple[float, float]:
        """Standard deviations of tilt (degrees) and thickness (Å): over reflections drawn with replacement.

        That of the tilt is at least the distance of tilts that fit as well within the accuracy of R, 1/√N of it.
        """
        rng = np.random.default_rng(0)
        tilts, thicknesses, whole = [], [], self._weight
        for _ in range(_RESAMPLED):
            self._weight = np.bincount(rng.integers(0, len(whole), len(whole)), minlength=len(whole)).astype(float)
            again = self._refined(np.array(best.lean))
            tilts.append(again.tilt_deg)
            thicknesses.append(self._thickest_likely(again, image, best.roundness).thickness_angstrom)
        self._weight = whole
        spread = np.array(tilts) - best.tilt_deg
        drawn = float(np.sqrt(np.mean(np.sum(spread**2, axis=1))))
        return max(drawn, self._as_good(best)), float(np.std(thicknesses))

    def _as_good(self, best: Fit) -> float:
        """Root mean square distance, degrees, of the tilts whose R is that of the best within its accuracy."""
        limit = np.nanmin(self.landscape) * (1 + 1 / math.sqrt(len(self._measured)))
        rows, columns = np.nonzero(self.landscape <= limit)
        x, y = (math.degrees(math.atan(lean)) for lean in best.lean)
        return float(np.sqrt(np.mean((self.tilts_deg[columns] - x) ** 2 + (self.tilts_deg[rows] - y) ** 2)))

    @property
    def g_per_angstrom(self) -> Float:
        """All beams, x and y in the pattern's frame."""
        return self._g

    @property
    def hkl(self) -> NDArray[np.integer]:
        """Indices of all beams."""
        return self._beams.hkl

    def mean_amplitudes(self, fit: Fit) -> NDArray[np.complex128]:
        """ψ_g averaged over the outline."""
        k = self._shapes.index((fit.thickness_angstrom, fit.roundness))
        amplitude: NDArray[np.complex128] = (
            self._amplitudes(np.array(fit.lean), self._thicknesses) @ self._mixtures[:, k]
        )
        return amplitude


class _Contrast:
    """The reflections of 1 − I in the image, seen and calculated."""

    def __init__(self, evidence: Evidence, reflections: _Reflections) -> None:
        assert evidence.contrast is not None and evidence.conditions is not None
        self._g, self._conditions = reflections.g_per_angstrom, evidence.conditions
        self._q = np.linalg.norm(self._g, axis=1)
        passed = coherence_envelope(self._q, self._conditions)
        self._chosen = np.flatnonzero((passed > _LEAST_TRANSFER) & (self._q > _COMPARED[0]))
        if not len(self._chosen):
            raise InputError(
                "the image holds no reflection of the zone",
                mend="check the information limit, or take an image of higher resolution",
            )
        hkl = reflections.hkl
        index = {tuple(row): k for k, row in enumerate(hkl.tolist())}
        self._pairs = np.array([[index.get(tuple(row), -1) for row in (hkl + hkl[k]).tolist()] for k in self._chosen])
        particle = edge_profile(evidence.support, evidence.grid, _USUAL_INSET_ANGSTROM) > 0
        self._seen = _fourier_at(evidence.contrast, evidence.support, evidence.grid, self._g[self._chosen])
        self._seen /= particle.sum()

    def calculated(self, reflections: _Reflections, fit: Fit, defocus_change_nm: float = 0.0) -> NDArray[np.complex128]:
        """Every pair of beams that the lens passes interferes; for a crystal whose origin is the grid's."""
        conditions = replace(self._conditions, defocus_nm=self._conditions.defocus_nm + defocus_change_nm)
        lens = np.exp(-1j * aberration_phase(self._q, conditions)) * coherence_envelope(self._q, conditions)
        # from the exit surface, where the leaning columns end, to the middle of the particle
        back = np.exp(-1j * math.pi * fit.thickness_angstrom * self._g @ np.array(fit.lean))
        passed = np.where(np.abs(lens) > 1e-3, reflections.mean_amplitudes(fit) * back * lens, 0)
        return -np.sum(np.where(self._pairs >= 0, passed[self._pairs], 0) * passed.conj(), axis=1)

    def best(self, reflections: _Reflections, fit: Fit) -> tuple[tuple[float, float], float]:
        """Shift (x, y) in Å of the crystal's origin, and the correlation there; the defocus may be a little off."""
        found = []
        for change in _DEFOCUS_CHANGES_NM:
            model = self.calculated(reflections, fit, change)
            offset, correlation = _best_offset(self._seen, model, self._g[self._chosen])
            found.append((correlation - _DEFOCUS_PRIOR * (change / _DEFOCUS_ERROR_NM) ** 2, offset, correlation))
        return max(found)[1:]

    def misfit(self, reflections: _Reflections, fit: Fit) -> float:
        """In units of an R-factor: by the contrast's pattern, and by its strength."""
        model = self.calculated(reflections, fit)
        _, correlation = _best_offset(self._seen, model, self._g[self._chosen])
        ratio = float(np.linalg.norm(self._seen)) / max(float(np.linalg.norm(model)), 1e-30)
        return _CONTRAST_SHARE * (1 - correlation + math.log(max(ratio, 1e-6)) ** 2)


@dataclass(frozen=True)
class _Placed:
    """A fit, and where the crystal's origin lies."""

    fit: Fit
    offset_angstrom: tuple[float, float]
    correlation: float


def _place(image: _Contrast | None, reflections: _Reflections, fit: Fit) -> tuple[tuple[float, float], float]:
    return ((0.0, 0.0), math.nan) if image is None else image.best(reflections, fit)


def _best_offset(
    seen: NDArray[np.complex128], model: NDArray[np.complex128], g: Float
) -> tuple[tuple[float, float], float]:
    """Shift (x, y) in Å of the model that lays it over what is seen, and the correlation."""
    steps = np.arange(-_PLACE_RANGE / 2, _PLACE_RANGE / 2, _PLACE_STEP)
    phase_x, phase_y = (np.exp(2j * np.pi * g[:, axis, None] * steps) for axis in (0, 1))
    overlap = np.einsum("g,gy,gx->yx", seen * model.conj(), phase_y, phase_x, optimize=True).real
    row, column = np.unravel_index(overlap.argmax(), overlap.shape)
    norm = float(np.linalg.norm(seen) * np.linalg.norm(model))
    return (float(steps[column]), float(steps[row])), float(overlap[row, column]) / max(norm, 1e-30)


def _mixtures(evidence: Evidence, inset_angstrom: float) -> tuple[Float, list[tuple[float, float]], Float]:
    """Thicknesses, the shapes tried, and the share of each thickness in each shape: (thicknesses, shapes)."""
    profile = edge_profile(evidence.support, evidence.grid, inset_angstrom)
    profile = profile[profile > 0]
    width = 2 * math.sqrt(float(evidence.support.sum()) / math.pi) * evidence.grid.pixel_angstrom
    thickest = 1.6 * width
    thicknesses = np.arange(_THICKNESS_STEP, thickest + 2 * _THICKNESS_STEP, _THICKNESS_STEP)
    edges = np.append(thicknesses - _THICKNESS_STEP / 2, thicknesses[-1] + _THICKNESS_STEP / 2)
    shapes, shares = [], []
    for roundness in _ROUNDNESS:
        for thickness in thicknesses[1:]:
            counts = np.histogram(np.maximum(thickness * profile**roundness, edges[0]), edges)[0]
            shapes.append((float(thickness), roundness))
            shares.append(counts / counts.sum())
    return thicknesses, shapes, np.array(shares).T


def _fourier_at(image: NDArray[np.floating], support: Bool, grid: Grid, g: Float) -> NDArray[np.complex128]:
    """Transform of the image inside the support, less its mean there, at each g (x, y)."""
    rows, columns = np.nonzero(support)
    values = image[support] - image[support].mean(dtype=np.float64)
    y, x = ((index - grid.n // 2) * grid.pixel_angstrom for index in (rows, columns))
    return np.array([np.sum(values * np.exp(-2j * np.pi * (gx * x + gy * y))) for gx, gy in g])


@dataclass(frozen=True)
class _Trial:
    """A particle and its wave, against the whole pattern."""

    r_factor: float
    placed: _Placed
    shape: Shape
    atoms: AtomicModel
    spectrum: Complex


def _edge(evidence: Evidence, crystal: Crystal, candidates: list[_Placed], energy_ev: float, b_factor: float) -> _Trial:
    """Of roundnesses, insets and layers at the surfaces, those whose multislice wave fits the whole pattern best."""

    def trial(placed: _Placed, inset: float, height: float = 0.0) -> _Trial:
        fit, place = placed.fit, placed.offset_angstrom
        shape = Shape(evidence.support, evidence.grid, fit.thickness_angstrom, fit.roundness, inset)
        atoms = cut(crystal, fit.orientation, shape, offset_angstrom=place, height_angstrom=height, b_factor=b_factor)
        spectrum = object_spectrum(atoms, evidence.grid, energy_ev)
        r_factor, scale = pattern_r_factor(spectrum, evidence)
        return _Trial(r_factor, placed, shape, atoms, (spectrum * scale).astype(np.complex64))

    best: list[_Trial] = []
    for placed in candidates:
        mine: list[_Trial] = []
        for inset in _INSETS_ANGSTROM:
            mine.append(trial(placed, inset))
            if len(mine) > 1 and mine[-1].r_factor > mine[-2].r_factor:
                break
        best.append(min(mine, key=lambda t: t.r_factor))
    found = min(best, key=lambda t: t.r_factor)
    period = crystal.zone_period_angstrom(found.placed.fit.zone)
    heights = [period * k / _HEIGHTS for k in range(1, _HEIGHTS)]
    others = [trial(found.placed, found.shape.inset_angstrom, height) for height in heights]
    return min([found, *others], key=lambda t: t.r_factor)


def object_spectrum(atoms: AtomicModel, grid: Grid, energy_ev: float) -> Complex:
    """Transform of −i(ψ − 1) of a particle on a grid, shape (n, n), centred, as :func:`.fourier.transform` gives it.

    The wave is calculated on its own finer field; the grid's frequencies are taken from there exactly.
    """
    wave, field = Multislice(energy_ev, min(_WAVE_TO, grid.q_max_per_angstrom)).wave(atoms)
    place = (field.index() * field.pixel_angstrom).astype(np.float32)
    q = grid.index() * grid.q_pixel_per_angstrom
    within = np.abs(q) <= _WAVE_TO
    kernel = np.exp(-2j * np.pi * q[within, None] * place[None]).astype(np.complex64)
    area = (field.pixel_angstrom / grid.pixel_angstrom) ** 2
    spectrum = np.zeros(grid.shape, np.complex64)
    spectrum[np.ix_(within, within)] = kernel @ (np.complex64(-1j * area) * (wave - 1)) @ kernel.T
    return spectrum


def pattern_r_factor(spectrum: Complex, evidence: Evidence) -> tuple[float, float]:
    """Σ_G | k|F| − √I | / Σ_G √I of a model, and the k of least squares."""
    good = evidence.regions == Region.G
    measured = np.sqrt(np.maximum(evidence.intensity[good], 0)).astype(np.float64)
    calculated = np.abs(spectrum[good]).astype(np.float64)
    scale = float(calculated @ measured) / max(float(calculated @ calculated), 1e-30)
    return float(np.abs(scale * calculated - measured).sum() / measured.sum()), scale
