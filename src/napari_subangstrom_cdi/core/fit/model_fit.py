"""A model of the particle from its crystal: tilt, thickness, shape and place, by diffraction and the image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel, Multislice, spectrum_of
from napari_subangstrom_cdi.core.crystal.nanocrystal import Shape
from napari_subangstrom_cdi.core.crystal.unit_cell import Crystal, Zone
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.microscope import image_intensity
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.types import Complex64, Float64

from .indexing import match_zone
from .lattice_place import LatticeImage
from .left_out import structure_correlation
from .particle import Particle
from .reflection_fit import Columns, Evidence, Fit, Held, Reflections

__all__ = [
    "Evidence",
    "Fit",
    "FittedModel",
    "Held",
    "alike_in_fringes",
    "fit_model",
    "fit_reflections",
    "image_likeness",
    "images_by_lens",
    "object_spectrum",
    "pattern_r_factor",
    "r_before_phasing",
    "scaled_object",
    "seen_by_lens",
]

_SEARCH_BEAMS_TO = 1.35  # Å⁻¹: enough to find the basin
_BEAMS_TO, _MOST_BEAMS = 2.0, 400  # well beyond what is compared: beams couple
_SEARCH_WAVE_TO, _WAVE_TO = 1.35, 1.7
_INSETS_ANGSTROM = (1.0, 2.5, 4.0, 5.5, 7.0)
_HEIGHTS = 8
_AS_ROUND = 1.5  # times the R of the best roundness
_DEFOCUS_CHANGES_NM = (-6.0, -3.0, 0.0, 3.0, 6.0)


@dataclass(frozen=True)
class FittedModel:
    """A particle's model, and what speaks for it.

    Parameters
    ----------
    particle : Particle
        Its crystal scaled to the pattern.
    fit : Fit
        The best orientation; its R is that of the shape that suits the reflections best, as the rivals' is.
    rivals : tuple of Fit
        Other orientations of the same zone, the best first.
    tilt_error_deg, thickness_error_angstrom : float
        Standard deviation over refits to resampled reflections; that of the tilt no less than the landscape's width.
        NaN for what was held.
    image_correlation : float
        Of the model's reflections with those of the image that the lens passed; NaN without an image.
    atoms : AtomicModel
        Of the particle.
    object_field : ndarray of complex64, shape (n, n)
        −i(ψ − 1) on the grid, scaled to the pattern's amplitudes, fall-off included.
    scale : float
        By which that was multiplied: the pattern's amplitudes over those of a wave of modulus 1.
    r_pattern : float
        R of the model over the pixels of G, before any phasing.
    landscape : ndarray, shape (tilts, tilts)
        Lowest ``r_reflections`` at each tilt, rows d y/dz, columns d x/dz, over ``tilts_deg``; NaN where not asked.
    tilts_deg : ndarray
        Of the landscape.
    """

    particle: Particle
    fit: Fit
    rivals: tuple[Fit, ...]
    tilt_error_deg: float
    thickness_error_angstrom: float
    image_correlation: float
    atoms: AtomicModel
    object_field: Complex64
    scale: float
    r_pattern: float
    landscape: Float64
    tilts_deg: Float64


def fit_model(
    evidence: Evidence,
    crystal: Crystal,
    zone: Zone,
    *,
    energy_ev: float,
    b_factor: float = 0.8,
    held: Held | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> FittedModel:
    """Fit a particle of a known crystal to pattern, outline and image.

    Azimuths come from the spots. Tilt, thickness and roundness from the reflections' integrated intensities: an
    area average of |ψ_g(t)|², t the thickness at each place (columns, Parseval), with ψ_g of all thicknesses
    from one diagonalisation a tilt. The place from the reflections that the image holds. The edge's inset and the
    layers at the surfaces from the whole pattern by multislice.

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
    held : Held, optional
        What is told instead of fitted.
    told : callable, optional
        Hears of each part, several times a second; it may raise to end the fit.

    Raises
    ------
    InputError
        If the zone does not show in the pattern.
    """
    held = held or Held()
    told("indexing")
    best, *rivals = _fitted(_orientations(evidence, crystal, zone, energy_ev, b_factor, held), told)
    view = _View(LatticeImage(evidence, best.many) if evidence.contrast is not None else None)
    tilt_error, thickness_error = _errors(best, view, held, partial(told, "errors"))
    scaled = crystal.scaled(1 / best.fit.match.scale)
    trials = _Trials(evidence, scaled, energy_ev, b_factor, partial(told, "edge"))
    chosen = trials.best(_worth_a_trial(best, view))
    told("wave")
    atoms = chosen.particle.atoms()
    object_field, r_pattern, scale = scaled_object(atoms, evidence, energy_ev, best.fit.falloff_angstrom2)
    return FittedModel(
        particle=chosen.particle,
        fit=replace(chosen.placed.fit, r_reflections=best.fit.r_reflections),
        rivals=tuple(rival.fit for rival in rivals),
        tilt_error_deg=tilt_error,
        thickness_error_angstrom=thickness_error,
        image_correlation=chosen.placed.correlation,
        atoms=atoms,
        object_field=object_field,
        scale=scale,
        r_pattern=r_pattern,
        landscape=best.few.landscape,
        tilts_deg=best.few.tilts_deg,
    )


def fit_reflections(
    evidence: Evidence,
    crystal: Crystal,
    zone: Zone,
    *,
    energy_ev: float,
    b_factor: float = 0.8,
    heartbeat: Callable[[], None] = lambda: None,
) -> Fit:
    """The best orientation, tilt and thickness by the reflections' intensities alone: quick, to compare crystals.

    Parameters
    ----------
    evidence, crystal, zone, energy_ev, b_factor
        As of :func:`fit_model`.
    heartbeat : callable
        Called several times a second; it may raise to end the fit.

    Raises
    ------
    InputError
        If the zone does not show in the pattern.
    """
    orientations = _orientations(evidence, crystal, zone, energy_ev, b_factor, Held())
    return min((one.best_fit(heartbeat) for one in orientations), key=lambda fit: fit.r_reflections)


@dataclass(frozen=True)
class _Orientation:
    """One way in which the crystal may lie on the spots: with few beams to search, with many to refine."""

    few: Reflections
    many: Reflections

    def best_fit(self, heartbeat: Callable[[], None]) -> Fit:
        """Tilt, thickness and roundness that suit the reflections best."""
        return self.many.refine(self.few.search(heartbeat))


@dataclass(frozen=True)
class _Fitted(_Orientation):
    """An orientation, and what suits its reflections best."""

    fit: Fit


def _orientations(
    evidence: Evidence, crystal: Crystal, zone: Zone, energy_ev: float, b_factor: float, held: Held
) -> list[_Orientation]:
    """Azimuths of [uvw] and its opposite that differ in intensities."""
    amplitude = np.sqrt(np.maximum(evidence.intensity, 0))
    columns = Columns(evidence.support, evidence.grid, held)
    area = crystal.volume / crystal.zone_period_angstrom(zone)  # of the projected cell, Å²
    beams_to = min(_BEAMS_TO, math.sqrt(_MOST_BEAMS / (math.pi * area)))
    found: list[_Orientation] = []
    for way in (zone, (-zone[0], -zone[1], -zone[2])):
        few, many = (
            ZoneBeams(crystal, way, energy_ev=energy_ev, q_max_per_angstrom=q, b_factor=b_factor)
            for q in (min(beams_to, _SEARCH_BEAMS_TO), beams_to)
        )
        for match in match_zone(amplitude, evidence.regions, evidence.grid, few):
            coarse = Reflections(evidence, few, way, match, columns, held.lean)
            if not any(coarse.same_as(other.few) for other in found):
                found.append(_Orientation(coarse, Reflections(evidence, many, way, match, columns, held.lean)))
    return found


def _fitted(orientations: list[_Orientation], told: Callable[[str], None]) -> list[_Fitted]:
    """Every orientation fitted, the best first."""
    fitted = []
    for k, one in enumerate(orientations):
        part = f"tilt and thickness, orientation {k + 1} of {len(orientations)}"
        fitted.append(_Fitted(one.few, one.many, one.best_fit(partial(told, part))))
    return sorted(fitted, key=lambda one: one.fit.r_reflections)


@dataclass(frozen=True)
class _Placed:
    """A fit, and where the crystal's origin lies."""

    fit: Fit
    offset_angstrom: tuple[float, float]
    correlation: float


@dataclass(frozen=True)
class _View:
    """What the image says of a fit, if there is one."""

    image: LatticeImage | None

    def choose(self, trials: list[Fit]) -> Fit:
        """The thickness of lowest R; with an image, R and the misfit of its contrast together.

        Of a thin crystal the reflections' ratios say little about the thickness, but the contrast is in proportion.
        """
        image = self.image
        if image is None:
            return trials[0]
        return min(trials, key=lambda trial: trial.r_reflections + image.misfit(trial))

    def place(self, fit: Fit) -> _Placed:
        """The fit where the image has it; in the middle without one."""
        if self.image is None:
            return _Placed(fit, (0.0, 0.0), math.nan)
        return _Placed(fit, *self.image.place(fit))


def _errors(best: _Fitted, view: _View, held: Held, heartbeat: Callable[[], None]) -> tuple[float, float]:
    """Of tilt (degrees) and thickness (Å); NaN of what is held."""
    tilt, thickness = best.few.errors(best.fit, view.choose, heartbeat)
    tilt = math.nan if held.tilt_deg is not None else max(tilt, best.few.as_good(best.fit))
    return tilt, math.nan if held.thickness_angstrom is not None else thickness


def _worth_a_trial(best: _Fitted, view: _View) -> list[_Placed]:
    """Of each roundness the likeliest thickness, in its place; those left out whose reflections fit much worse."""
    placed = [view.place(view.choose(best.many.likely(best.fit, roundness))) for roundness in best.many.roundness]
    limit = _AS_ROUND * min(candidate.fit.r_reflections for candidate in placed)
    return [candidate for candidate in placed if candidate.fit.r_reflections <= limit]


@dataclass(frozen=True)
class _Trial:
    """A particle against the whole pattern."""

    r_factor: float
    placed: _Placed
    particle: Particle


class _Trials:
    """Particles of one crystal, their edges and surfaces tried by multislice."""

    def __init__(
        self, evidence: Evidence, crystal: Crystal, energy_ev: float, b_factor: float, heartbeat: Callable[[], None]
    ) -> None:
        self._evidence, self._crystal, self._energy_ev = evidence, crystal, energy_ev
        self._b_factor, self._heartbeat = b_factor, heartbeat

    def best(self, candidates: list[_Placed]) -> _Trial:
        """Of roundnesses, insets and layers at the surfaces, those that fit the pattern best."""
        found = min((self._best_inset(placed) for placed in candidates), key=lambda trial: trial.r_factor)
        period = self._crystal.zone_period_angstrom(found.placed.fit.zone)
        heights = [period * k / _HEIGHTS for k in range(1, _HEIGHTS)]
        inset = found.particle.shape.inset_angstrom
        others = [self._trial(found.placed, inset, height) for height in heights]
        return min([found, *others], key=lambda trial: trial.r_factor)

    def _best_inset(self, placed: _Placed) -> _Trial:
        mine: list[_Trial] = []
        for inset in _INSETS_ANGSTROM:
            mine.append(self._trial(placed, inset))
            if len(mine) > 1 and mine[-1].r_factor > mine[-2].r_factor:
                break
        return min(mine, key=lambda trial: trial.r_factor)

    def _trial(self, placed: _Placed, inset: float, height: float = 0.0) -> _Trial:
        self._heartbeat()
        fit, grid = placed.fit, self._evidence.grid
        shape = Shape(self._evidence.support, grid, fit.thickness_angstrom, fit.roundness, inset)
        particle = Particle(self._crystal, fit.orientation, shape, placed.offset_angstrom, height, self._b_factor)
        r_factor = r_before_phasing(particle, self._evidence, self._energy_ev, fit.falloff_angstrom2)
        return _Trial(r_factor, placed, particle)


def r_before_phasing(particle: Particle, evidence: Evidence, energy_ev: float, falloff_angstrom2: float) -> float:
    """R of a particle that is tried: its wave no finer than needed to compare."""
    spectrum = object_spectrum(particle.atoms(), evidence.grid, energy_ev, wave_to_per_angstrom=_SEARCH_WAVE_TO)
    return pattern_r_factor(fallen_off(spectrum, evidence.grid, falloff_angstrom2), evidence)[0]


def scaled_object(
    atoms: AtomicModel, evidence: Evidence, energy_ev: float, falloff_angstrom2: float
) -> tuple[Complex64, float, float]:
    """−i(ψ − 1) of a particle, fall-off included, scaled to the pattern; its R before any phasing, and the scale."""
    spectrum = fallen_off(object_spectrum(atoms, evidence.grid, energy_ev), evidence.grid, falloff_angstrom2)
    r_factor, scale = pattern_r_factor(spectrum, evidence)
    return fourier.inverse((spectrum * scale).astype(np.complex64)), r_factor, scale


def seen_by_lens(atoms: AtomicModel, evidence: Evidence, energy_ev: float) -> Float64:
    """1 − I of a particle's image as the evidence's lens would make it, shape (n, n).

    The defocus is that which suits best within 6 nm of what is told.

    Parameters
    ----------
    atoms : AtomicModel
        The particle.
    evidence : Evidence
        With contrast and conditions.
    energy_ev : float
        Of the beam.
    """
    return max(images_by_lens(atoms, evidence, energy_ev), key=lambda contrast: alike_in_fringes(contrast, evidence))


def image_likeness(field: Complex64, evidence: Evidence) -> float:
    """Correlation of the image that a wave makes with the one that was taken, inside the support; −1 to 1.

    Of a thick particle the image is not in proportion to the object: it is calculated, at the defocus that suits
    best within 6 nm of what is told.

    Parameters
    ----------
    field : ndarray of complex64, shape (n, n)
        −i(ψ − 1).
    evidence : Evidence
        With contrast and conditions.
    """
    assert evidence.contrast is not None
    seen = evidence.contrast[evidence.support].astype(np.float64)
    return max(float(np.corrcoef(contrast[evidence.support], seen)[0, 1]) for contrast in _images_of(field, evidence))


def images_by_lens(atoms: AtomicModel, evidence: Evidence, energy_ev: float) -> Iterator[Float64]:
    """1 − I of a particle's image at some defoci about what is told, each of shape (n, n)."""
    spectrum = object_spectrum(atoms, evidence.grid, energy_ev, wave_to_per_angstrom=_SEARCH_WAVE_TO)
    return _images_of(fourier.inverse(spectrum), evidence)


def _images_of(field: Complex64, evidence: Evidence) -> Iterator[Float64]:
    """1 − I of the image at some defoci about what is told."""
    assert evidence.conditions is not None
    for change in _DEFOCUS_CHANGES_NM:
        lens = replace(evidence.conditions, defocus_nm=evidence.conditions.defocus_nm + change)
        yield 1 - image_intensity(field, evidence.grid, lens)


def alike_in_fringes(contrast: Float64, evidence: Evidence) -> float:
    """Correlation of the fringes of an image with those that were seen."""
    assert evidence.contrast is not None
    calculated, seen = contrast.astype(np.complex64), evidence.contrast.astype(np.complex64)
    return structure_correlation(calculated, seen, evidence.support, evidence.grid)


def object_spectrum(
    atoms: AtomicModel, grid: Grid, energy_ev: float, *, wave_to_per_angstrom: float = _WAVE_TO
) -> Complex64:
    """Transform of −i(ψ − 1) of a particle on a grid, shape (n, n), centred, as :func:`.fourier.transform` gives it.

    The wave is calculated on its own finer field; the grid's frequencies are taken from there exactly.

    Parameters
    ----------
    atoms : AtomicModel
        The particle.
    grid : Grid
        Sampling of the result.
    energy_ev : float
        Of the beam.
    wave_to_per_angstrom : float
        Highest |q| of the wave: beams beyond what is recorded couple to those within.
    """
    wave, field = Multislice(energy_ev, wave_to_per_angstrom).wave(atoms)
    q = grid.index() * grid.q_pixel_per_angstrom
    within = np.abs(q) <= wave_to_per_angstrom
    spectrum = np.zeros(grid.shape, np.complex64)
    spectrum[np.ix_(within, within)] = spectrum_of(wave, field, q[within], q[within])
    spectrum /= np.float32(grid.pixel_angstrom**2)
    return spectrum


def fallen_off(spectrum: Complex64, grid: Grid, falloff_angstrom2: float) -> Complex64:
    """A centred spectrum times exp(−b q²/4), shape (n, n)."""
    q2 = np.square(grid.index() * grid.q_pixel_per_angstrom)
    line = np.exp(-falloff_angstrom2 * q2 / 4).astype(np.float32)
    return spectrum * line[:, None] * line[None]


def pattern_r_factor(spectrum: Complex64, evidence: Evidence) -> tuple[float, float]:
    """Σ_G | k|F| − √I | / Σ_G √I of a model, and the k of least squares."""
    good = evidence.regions == Region.G
    measured = np.sqrt(np.maximum(evidence.intensity[good], 0)).astype(np.float64)
    calculated = np.abs(spectrum[good]).astype(np.float64)
    scale = float(calculated @ measured) / max(float(calculated @ calculated), 1e-30)
    return float(np.abs(scale * calculated - measured).sum() / measured.sum()), scale
