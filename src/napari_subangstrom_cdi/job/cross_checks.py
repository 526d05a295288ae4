"""Whether a reconstruction that began with a model is the data's or the model's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_subangstrom_cdi.core.ensemble.members import Ensemble, EnsembleSettings, combine, iterate_ensemble
from napari_subangstrom_cdi.core.ensemble.metrics import (
    RadialCurve,
    reflections,
    resolution_angstrom,
    ring_correlation,
)
from napari_subangstrom_cdi.core.ensemble.superposition import align
from napari_subangstrom_cdi.core.fit.left_out import OmitTest, omit_test
from napari_subangstrom_cdi.core.fit.model_fit import image_likeness
from napari_subangstrom_cdi.core.fourier import shift
from napari_subangstrom_cdi.core.phasing.retrieval import Problem, Retrieval
from napari_subangstrom_cdi.core.phasing.schedule import Schedule
from napari_subangstrom_cdi.core.types import Complex64
from napari_subangstrom_cdi.errors import doubt

from .preparation import Prepared
from .readings import CURVES, READINGS, is_doubtful

_UNAIDED_MEMBERS = 3


@dataclass(frozen=True)
class CrossChecks:
    """What was found, in the frame of the result.

    Parameters
    ----------
    omit_map : ndarray of complex64, shape (n, n)
        As of :class:`.core.fit.left_out.OmitTest`.
    curves : dict of str to RadialCurve
        ``omit``: of omit map and result; ``unaided``: of the ensemble without a model and the result.
    readings : dict
        Numbers, ready for JSON.
    """

    omit_map: Complex64
    curves: dict[str, RadialCurve]
    readings: dict[str, Any]


def cross_check(
    prepared: Prepared, problem: Problem, ensemble: Ensemble, seed: int, told: Callable[[str], None]
) -> CrossChecks:
    """Leave the model out in parts, and wholly, and compare.

    Parameters
    ----------
    prepared : Prepared
        With a model.
    problem : Problem
        In force at the end of the run.
    ensemble : Ensemble
        The result.
    seed : int
        Of its random numbers.
    told : callable
        Hears of each part, every iteration; it may raise.
    """
    origin = ensemble.origin_shift_px
    result = shift(ensemble.mean, (-origin[0], -origin[1]))
    omitted = omit_test(
        problem, prepared.schedule, result, on_sector=lambda sector: told(f"guard: without sector {sector + 1}")
    )
    curves = {"omit": omitted.curve}
    readings = _omit_readings(omitted)
    readings["image_likeness"] = _likeness(result, prepared)
    if prepared.unaided is not None and problem.image is not None:
        runs = _unaided(replace(problem, model=None), prepared.unaided, seed, told)
        alone = combine(replace(problem, model=None), runs, EnsembleSettings(_UNAIDED_MEMBERS, seed))
        readings["without_model"], curves["unaided"] = _compared(problem, alone, ensemble)
        where = alone.origin_shift_px
        readings["without_model"]["image_likeness"] = _likeness(shift(alone.mean, (-where[0], -where[1])), prepared)
    _say_doubts(readings)
    return CrossChecks(shift(omitted.omit_map, origin), curves, readings)


def _likeness(field: Complex64, prepared: Prepared) -> float:
    """Of the image that a result makes with the one that was taken; NaN without one."""
    assert prepared.model is not None and prepared.evidence is not None
    if prepared.evidence.contrast is None:
        return math.nan
    return image_likeness(field / np.float32(prepared.model.scale), prepared.evidence)


def _omit_readings(omitted: OmitTest) -> dict[str, Any]:
    return {
        "omit_correlations": list(omitted.correlations),
        "data_alone_angstrom": resolution_angstrom(omitted.curve, CURVES["omit"].limit),
        "data_alone_criterion": "FRC of the omit map with the result above 0.5",
    }


def _unaided(problem: Problem, schedule: Schedule, seed: int, told: Callable[[str], None]) -> list[Retrieval]:
    runs: list[Retrieval] = []
    settings = EnsembleSettings(_UNAIDED_MEMBERS, seed)
    steps = iterate_ensemble(problem, schedule, settings, on_member=lambda _, run: runs.append(run))
    try:
        for member, _ in steps:
            told(f"guard: no model, member {member + 1} of {_UNAIDED_MEMBERS}")
    finally:
        steps.close()
    return runs


def _compared(problem: Problem, alone: Ensemble, ensemble: Ensemble) -> tuple[dict[str, Any], RadialCurve]:
    """The ensemble without a model against the result."""
    aligned, how = align(alone.mean, ensemble.mean, problem.grid.pixel_angstrom, allow_twin=False)
    spots = reflections(problem.measured, problem.regions, problem.grid)
    curve = ring_correlation(aligned, ensemble.mean, problem.grid, chosen=spots)
    readings = {
        "members": len(alone.runs),
        "correlation": how.correlation,
        "agrees_to_angstrom": resolution_angstrom(curve, CURVES["unaided"].limit),
        "free_r": _median(alone, "free_r"),
        "free_r_with_model": _median(ensemble, "free_r"),
    }
    return readings, curve


def _median(ensemble: Ensemble, name: str) -> float:
    return float(np.median([getattr(run, name) for run in ensemble.runs]))


def _say_doubts(readings: dict[str, Any]) -> None:
    def doubtful(key: str) -> bool:
        return is_doubtful(READINGS[f"guard.{key}"], {"guard": readings})

    if doubtful("omit_correlations"):
        lowest = min(readings["omit_correlations"])
        doubt(
            f"a sixth of the model that was left out came back with a correlation of only {lowest:.2f}: what is seen "
            "there is the model's, not the data's"
        )
    likeness, alone = readings["image_likeness"], readings.get("without_model")
    if doubtful("image_likeness"):
        doubt(
            f"the image that the result makes is like the one taken by only {likeness:.2f} (1 is full)"
            + (f", without the model by {alone['image_likeness']:.2f}" if alone else "")
            + ": check crystal, zone axis, place and defocus"
        )
    if alone and doubtful("without_model.free_r_with_model"):
        doubt(
            f"held-out pixels fit worse with the model (free R {100 * alone['free_r_with_model']:.0f} %) than without "
            f"({100 * alone['free_r']:.0f} %): check crystal and zone axis"
        )
