"""The fourth step: support and regions, the problem that phase retrieval can solve, and which schedule does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_subangstrom_cdi.core import electron
from napari_subangstrom_cdi.core.fit.model_fit import Evidence, FittedModel
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.support import Support
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.phasing.retrieval import Problem
from napari_subangstrom_cdi.core.phasing.schedule import (
    Schedule,
    extend_schedule,
    model_schedule,
    paper_schedule,
    support_only_schedule,
)
from napari_subangstrom_cdi.core.record.embedding import Pattern, filter_autocorrelation
from napari_subangstrom_cdi.core.types import Bool
from napari_subangstrom_cdi.job.plan import Plan

from .amplitudes import Amplitudes, amplitude_scale, amplitudes_of, regions_of
from .clock import Clock
from .image import RegisteredImage
from .load import Loaded
from .record import Centred
from .support import find_support, largest_extent_px, painted_support

_AUTOCORRELATION_MARGIN = 1.1
_LARGEST_RADIUS = 0.4  # of the array: beyond, there is no noise to remove


@dataclass(frozen=True)
class Prepared:
    """What the retrieval starts from.

    Parameters
    ----------
    problem : Problem
        In the object's units: σ_e V in radians if there is an image, √electrons without one.
    schedule : tuple of Stage
        The preset's, filled in for these data, or the plan's own.
    amplitudes : Amplitudes
        What the problem's band follows from.
    support : Support
        Object support and its oversampling ratio.
    automatic_support : ndarray of bool
        The support before anything was painted.
    calibrated : bool
        False if the reciprocal pixel is unknown and the grid counts pixels.
    readings : dict
        Numbers of every step, ready for JSON.
    model : FittedModel, optional
        From which members start.
    evidence : Evidence, optional
        What that was fitted to.
    unaided : tuple of Stage, optional
        What would phase these data without the model.
    """

    problem: Problem
    schedule: Schedule
    amplitudes: Amplitudes
    support: Support
    automatic_support: Bool
    calibrated: bool
    readings: dict[str, Any]
    model: FittedModel | None = None
    evidence: Evidence | None = None
    unaided: Schedule | None = None

    @property
    def pattern(self) -> Pattern:
        """Prepared pattern, electrons."""
        return self.amplitudes.pattern


def find_masks(plan: Plan, loaded: Loaded, centred: Centred, image: RegisteredImage | None, clock: Clock) -> Prepared:
    """Find the support and the regions, and with them the problem."""
    grid, pattern = centred.grid, centred.pattern
    with clock.step("support"):
        automatic = find_support(plan, loaded.given_support, image, grid)
        support = painted_support(plan.support, automatic, grid)
    if plan.pattern.remove_noise_between_spots and image is not None:
        radius = _AUTOCORRELATION_MARGIN * largest_extent_px(support.mask)
        if radius < _LARGEST_RADIUS * grid.n:
            with clock.step("noise filter"):
                pattern = filter_autocorrelation(pattern, radius, binning=centred.binning)
    with clock.step("regions"):
        problem, amplitudes, region_readings = _problem(plan, pattern, grid, support, image)
    calibration = loaded.calibration
    readings = {
        **centred.record.readings,
        **(image.readings if image else {}),
        **region_readings,
        "binning": centred.binning,
        "array_size": grid.n,
        "calibration": calibration.source,
        "reciprocal_pixel_per_angstrom": calibration.q_pixel_per_angstrom if calibration.known else None,
        "reciprocal_pixel_error_per_angstrom": calibration.error_per_angstrom,
        **_electrons(plan.acquisition.energy_ev),
        "field_of_view_angstrom": grid.field_of_view_angstrom if calibration.known else None,
        "oversampling_ratio": support.oversampling_ratio,
        "support_threshold": support.threshold,
    }
    schedule = choose_schedule(plan, image, problem)
    return Prepared(problem, schedule, amplitudes, support, automatic.mask, calibration.known, readings)


def _electrons(energy_ev: float | None) -> dict[str, float]:
    """What turns the object into volts: V = O / σ_e, in V Å."""
    if energy_ev is None:
        return {}
    return {
        "wavelength_angstrom": electron.wavelength_angstrom(energy_ev),
        "interaction_constant_rad_per_volt_angstrom": electron.interaction_constant(energy_ev),
    }


def _problem(
    plan: Plan, pattern: Pattern, grid: Grid, support: Support, image: RegisteredImage | None
) -> tuple[Problem, Amplitudes, dict[str, Any]]:
    amplitudes = amplitudes_of(plan, pattern, grid)
    regions = regions_of(plan, amplitudes, grid)
    if image is not None:
        amplitudes = replace(amplitudes, scale=amplitude_scale(pattern.intensity, regions, image, grid))
    problem = Problem(
        grid,
        np.sqrt(np.maximum(pattern.intensity, 0)) * np.float32(amplitudes.scale),
        amplitudes.band(regions, plan.regions),
        regions,
        support.mask,
        image.potential if image else None,
        image.transfer if image else None,
    )
    shares = np.bincount(regions.ravel(), minlength=3) / regions.size
    return (
        problem,
        amplitudes,
        {
            "regions": {"G": float(shares[Region.G]), "B": float(shares[Region.B]), "M": float(shares[Region.M])},
            "amplitude_scale": float(np.float32(amplitudes.scale)),
            "median_noise_electrons": float(np.median(amplitudes.noise_std[regions != Region.M])),
        },
    )


def choose_schedule(plan: Plan, image: RegisteredImage | None, problem: Problem) -> Schedule:
    """The plan's own schedule, or its preset's for these data."""
    if plan.retrieval.schedule:
        return plan.retrieval.schedule
    if plan.retrieval.preset == "model":
        return model_schedule()
    if plan.retrieval.preset == "paper":
        return paper_schedule(with_image=image is not None)
    if image is None:
        return support_only_schedule()
    return extended_schedule(image, problem)


def extended_schedule(image: RegisteredImage, problem: Problem) -> Schedule:
    """From the image's band to the last amplitude of G."""
    good = problem.regions == Region.G
    q_last = float(problem.grid.q_per_angstrom()[good].max())
    return extend_schedule(round(image.band_limit_per_angstrom, 4), round(q_last, 4))
