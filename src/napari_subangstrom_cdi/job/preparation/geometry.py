"""The pattern's geometry: its ellipse as it is stated or measured, and whether it is undone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from napari_subangstrom_cdi.core.crystal.unit_cell import crystal, zone_axis
from napari_subangstrom_cdi.core.fit.lattice import lattice_vectors
from napari_subangstrom_cdi.core.fit.lattice_ellipse import (
    MeasuredLattice,
    against_zone,
    measured_lattice,
    near_symmetry,
)
from napari_subangstrom_cdi.core.fit.zones import unique_zones, zone_lattice
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.distortion import check_directions, ellipse_by_image
from napari_subangstrom_cdi.core.image.geometry import Candidate
from napari_subangstrom_cdi.core.image.normalisation import NormalisedImage
from napari_subangstrom_cdi.core.image.pair import Pair
from napari_subangstrom_cdi.core.image.registration import rough_alignment
from napari_subangstrom_cdi.core.record.distortion import Distortion, MeasuredEllipse, combined
from napari_subangstrom_cdi.core.record.embedding import Pattern
from napari_subangstrom_cdi.core.record.rings import ellipse_of_rings
from napari_subangstrom_cdi.errors import InputError, collected_doubts, doubt
from napari_subangstrom_cdi.job.particle import likely_particle
from napari_subangstrom_cdi.job.plan import Plan

from .amplitudes import amplitudes_of, regions_of
from .clock import Clock
from .image import pair_of
from .load import Loaded, image_diameter, imaging_conditions
from .record import CentredRecord

_Found = TypeVar("_Found")
_AUTOMATIC_ZONE = "auto"
_SIGNIFICANT = 3.5  # standard errors; of two components, which chance exceeds once in 500
_HARMLESS = 0.05  # of a spot's width 1/D, by which the outermost reflections may be off
_DOUBTED_PERCENT = 0.5
_TELLING_PERCENT = 0.5  # error of an ellipse that can tell a symmetric lattice from one by chance nearly so
_GOOD_PERCENT = 0.1
_USUAL_PERCENT = 6.0  # projector lenses do no more
_FLOOR = 1e-4  # what a lattice is bent by shape and tilt of the particle
_ALIKE = 0.6  # correlation of two spectra of one particle, laid on each other rightly
_LIKE_AT_ALL = 0.3
_SAME_CRYSTAL = 0.015  # by more no image is distorted: the zone is another


@dataclass(frozen=True)
class PatternGeometry:
    """What the pattern suffered, and what is undone of it.

    Parameters
    ----------
    distortion : Distortion
        What is undone.
    measured : MeasuredEllipse, optional
        The whole ellipse, as it was measured.
    """

    distortion: Distortion
    measured: MeasuredEllipse | None = None

    def readings(self) -> dict[str, Any]:
        """Ready for JSON."""
        found, undone = self.measured, self.distortion
        shown: dict[str, Any] = {
            "undone": undone.ellipse_percent != 0,
            "pixel_ratio_percent": undone.pixel_ratio_percent,
        }
        if found is not None:
            shown |= {"percent": found.percent, "error_percent": found.error_percent, "deg": found.deg}
            shown["source"] = found.source
        elif undone.ellipse_percent:
            shown |= {"percent": undone.ellipse_percent, "deg": undone.ellipse_deg, "source": "stated"}
        return shown


def stated_distortion(plan: Plan) -> Distortion:
    """What the acquisition states, as far as the plan wants it undone."""
    stated = plan.acquisition.distortion
    return Distortion(pixel_ratio_percent=stated.pixel_ratio_percent) if plan.pattern.ellipse == "off" else stated


def pattern_geometry(
    plan: Plan, loaded: Loaded, record: CentredRecord, pattern: Pattern, grid: Grid, clock: Clock
) -> PatternGeometry:
    """The pattern's ellipse, by what tells it best.

    Parameters
    ----------
    plan, loaded, record, clock
        The job, its files, the centred record.
    pattern : Pattern
        With what is stated undone already.
    grid : Grid
        Its sampling.
    """
    stated = stated_distortion(plan)
    if plan.pattern.ellipse in ("off", "stated"):
        return PatternGeometry(stated)
    if plan.pattern.ellipse == "crystal":
        _check_crystal(plan)
    with clock.step("geometry"):
        found = _Evidence(plan, loaded, record, pattern, grid).ellipse()
    if found is None:
        return PatternGeometry(stated)
    significant = found.deviates() > _SIGNIFICANT and found.percent > _harmless_percent(loaded, grid)
    if plan.acquisition.states_ellipse:
        if significant and found.percent > _DOUBTED_PERCENT:
            doubt(
                f"the pattern is still {_in_words(found)} when the ellipse is undone that the acquisition states; "
                "check ellipse_percent and ellipse_deg there, or leave them out"
            )
        return PatternGeometry(stated)
    if found.deviates() <= _SIGNIFICANT and found.deviates() > 2 and found.percent > _DOUBTED_PERCENT:
        doubt(
            f"by the {found.source} the pattern may be elliptical by {found.percent:.1f} ± {found.error_percent:.1f} %"
            ", too unsure to be undone; name the crystal and choose “by the crystal too” for the ellipse "
            "(--ellipse crystal), or state it in the acquisition (ellipse_percent, ellipse_deg)"
        )
    if not significant:
        return PatternGeometry(stated, found)
    undone = Distortion.of_components(found.components, stated.pixel_ratio_percent)
    return PatternGeometry(undone, found)


def _check_crystal(plan: Plan) -> None:
    if plan.inputs.crystal is None or not plan.model.zone.strip():
        raise InputError(
            "the ellipse is to be measured by the crystal, and no crystal or zone axis is named",
            where="pattern.ellipse",
            mend="name both (--crystal, --zone), or leave the ellipse to be measured",
        )


def _harmless_percent(loaded: Loaded, grid: Grid) -> float:
    """The ellipse that moves no recorded reflection by a telling part of its width."""
    if loaded.diameter_angstrom is None:
        return _GOOD_PERCENT
    return 100 * 2 * _HARMLESS / (loaded.diameter_angstrom * grid.q_max_per_angstrom)


def _in_words(found: MeasuredEllipse) -> str:
    return f"elliptical by {found.percent:.2f} ± {found.error_percent:.2f} % along {found.deg:.0f}°"


class _Evidence:
    """What tells the ellipse: image, lattice, crystal, rings; each looked at when it is needed."""

    def __init__(self, plan: Plan, loaded: Loaded, record: CentredRecord, pattern: Pattern, grid: Grid) -> None:
        self._plan, self._loaded, self._record, self._pattern, self._grid = plan, loaded, record, pattern, grid

    def ellipse(self) -> MeasuredEllipse | None:
        image = _tried(self._by_image)
        lattice = _tried(self._lattice) if image is not None or self._plan.pattern.ellipse == "crystal" else None
        snapped = None if image is None or lattice is None else _symmetric(lattice, image)
        rings = _tried(self._by_rings) if snapped is None else None
        known = _reconciled(image, rings)
        if snapped is None and lattice is None and rings is not None:
            lattice = _tried(self._lattice)
        if snapped is None and known is not None and lattice is not None:
            snapped = _symmetric(lattice, known)
        told = snapped or known
        if self._plan.pattern.ellipse == "crystal" and lattice is not None:
            return self._by_crystal(lattice, known) or told
        if snapped is None and (known is None or known.largest_error_percent > _TELLING_PERCENT):
            if lattice is None and self._loaded.normalised is not None:
                lattice = _tried(self._lattice)
            if lattice is not None:
                _doubt_near_symmetry(lattice, known)
        return told

    def _by_image(self) -> MeasuredEllipse:
        particles = self._loaded.particles
        if not particles:
            raise InputError("no image")
        if self._plan.image.particle_px is not None:
            particles = (likely_particle(self._plan, particles),)
        laid = [one for each in particles if (one := _tried(partial(self._laid, each))) is not None]
        if not laid or max(found.correlation for _, found in laid) < _LIKE_AT_ALL:
            raise InputError("image and pattern do not match")  # the registration says so to the user
        pair, found = max(laid, key=lambda one: one[1].correlation)
        return ellipse_by_image(pair, found)

    def _laid(self, image: NormalisedImage) -> tuple[Pair, Candidate]:
        """A particle of the image, and how it lies on the pattern at best."""
        plan = self._plan
        pair = pair_of(image, self._pattern, self._grid, imaging_conditions(plan))
        nominal = image_diameter(plan, image) / image.diameter_px
        check_directions(pair, nominal)
        rotation = plan.acquisition.image_to_pattern_rotation_deg
        start, turned = (
            partial(rough_alignment, pair, image_pixel_angstrom=nominal, rotation_deg=rotation, mirrored=mirrored)
            for mirrored in (False, True)
        )
        found = start()
        if found.correlation < _ALIKE:  # whether the image is mirrored is settled later, when the image is laid on
            found = max(found, turned(), key=lambda candidate: candidate.correlation)
        return pair, found

    def _lattice(self) -> MeasuredLattice:
        amplitudes = amplitudes_of(self._plan, self._pattern, self._grid)
        regions = regions_of(self._plan, amplitudes, self._grid)
        intensity = self._pattern.intensity
        near = lattice_vectors(np.sqrt(np.maximum(intensity, 0)), regions, self._grid).vectors_per_angstrom
        return measured_lattice(intensity, self._pattern.variance, regions, self._grid, near)

    def _by_rings(self) -> MeasuredEllipse:
        background, found = self._loaded.records.background, self._record.readings["background"]
        if background is None or "shift_px" not in found:
            raise InputError("no background record")
        y, x = (a + b for a, b in zip(self._record.centre_px, found["shift_px"], strict=True))
        return ellipse_of_rings(background, (y, x), "substrate's spots")

    def _by_crystal(self, lattice: MeasuredLattice, known: MeasuredEllipse | None) -> MeasuredEllipse | None:
        """By the crystal's zone, unless what is known otherwise says that it is another."""
        plan = self._plan
        cell = crystal(str(plan.inputs.crystal))
        automatic = plan.model.zone.strip().lower() == _AUTOMATIC_ZONE
        zones = unique_zones(cell) if automatic else [zone_axis(plan.model.zone)]
        fits: list[tuple[float, MeasuredEllipse]] = []
        for zone in zones:
            basis = zone_lattice(cell, zone)
            one = None if basis is None else against_zone(lattice, basis, f"{cell.name} lattice", known)
            if one is not None:
                ellipse, scale = one
                away = ellipse.components - (np.zeros(2) if known is None else known.components)
                fits.append((math.hypot(*away, math.log(scale) / 2), _with_floor(ellipse)))
        if not fits:
            doubt(f"the spots' lattice is none of {cell.name}'s, distorted by up to 10 %: it does not tell the ellipse")
            return None
        best = min(fits, key=lambda fit: fit[0])[1]
        if known is not None and _apart(best, known) > _SIGNIFICANT:
            if float(np.hypot(*(best.components - known.components))) > _SAME_CRYSTAL:
                doubt(
                    f"by the lattice of {cell.name} the pattern is {_in_words(best)}, by the {known.source} "
                    f"{_in_words(known)}; the latter is undone: check the crystal and its zone axis"
                )
                return None
            doubt(
                f"by the lattice of {cell.name} the pattern is {_in_words(best)}, by the {known.source} "
                f"{_in_words(known)}; the former is undone, and the image itself may be distorted"
            )
            return best
        return best if known is None else combined(best, known)


def _tried(measure: Callable[[], _Found]) -> _Found | None:
    """What a measurement finds, or nothing; what it doubts is said again where the same is done for good."""
    with collected_doubts():
        try:
            return measure()
        except InputError:
            return None


def _with_floor(ellipse: MeasuredEllipse) -> MeasuredEllipse:
    return MeasuredEllipse(ellipse.components, ellipse.covariance + _FLOOR**2 * np.eye(2), ellipse.source)


def _apart(first: MeasuredEllipse, second: MeasuredEllipse) -> float:
    """Distance of two measurements in standard errors of both."""
    both = MeasuredEllipse(first.components, first.covariance + second.covariance, "")
    return both.deviates(second.components)


def _symmetric(lattice: MeasuredLattice, known: MeasuredEllipse) -> MeasuredEllipse | None:
    """The ellipse that leaves a lattice of high symmetry, if what is known of the ellipse says that it is one.

    That a lattice falls so near to one by chance is less likely than that it is one.
    """
    if known.largest_error_percent > _TELLING_PERCENT:
        return None
    for name, bare in near_symmetry(lattice):
        ellipse = _with_floor(bare)
        if _apart(ellipse, known) < _SIGNIFICANT:
            return MeasuredEllipse(ellipse.components, ellipse.covariance, f"{known.source} and {name} lattice")
    return None


def _reconciled(image: MeasuredEllipse | None, rings: MeasuredEllipse | None) -> MeasuredEllipse | None:
    """Both together; where they contradict, the substrate, which knows nothing of the image's own distortion."""
    if image is None or rings is None:
        return image or rings
    if _apart(image, rings) < _SIGNIFICANT:
        return combined(image, rings)
    if float(np.hypot(*(image.components - rings.components))) > _DOUBTED_PERCENT / 100:
        doubt(
            f"by the {rings.source} the pattern is {_in_words(rings)}, by the image {_in_words(image)}; the former is "
            "undone, and the image itself may be distorted"
        )
    return rings


def _doubt_near_symmetry(lattice: MeasuredLattice, known: MeasuredEllipse | None) -> None:
    """A lattice that would be hexagonal or square but for an ellipse, with nothing to tell whether it is."""
    for name, ellipse in near_symmetry(lattice):
        likely = _DOUBTED_PERCENT < ellipse.percent < _USUAL_PERCENT and ellipse.deviates() > _SIGNIFICANT
        if likely and (known is None or _apart(ellipse, known) < _SIGNIFICANT):
            doubt(
                f"the spots' lattice would be {name} if the pattern were not {_in_words(ellipse)}, and nothing in the "
                "records tells; if the crystal's lattice is so, state it (ellipse_percent, ellipse_deg in the "
                "acquisition), or name the crystal and choose “by the crystal too” (--ellipse crystal)"
            )
            return
