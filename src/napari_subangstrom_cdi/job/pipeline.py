"""The whole job, headless: prepare, retrieve, average, judge. The command line and the window call this."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi import __version__
from napari_subangstrom_cdi.core.ensemble import metrics
from napari_subangstrom_cdi.core.ensemble.members import Ensemble, combine, iterate_ensemble, moved_mask
from napari_subangstrom_cdi.core.fourier import shift, transform
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.phasing.retrieval import Problem, Retrieval, Snapshot
from napari_subangstrom_cdi.core.result import InputFile, Result
from napari_subangstrom_cdi.errors import InputError, collected_doubts, doubt
from napari_subangstrom_cdi.io.cxi import SUFFIXES, beside_role, extract_files
from napari_subangstrom_cdi.io.image import companions
from napari_subangstrom_cdi.io.project import read_recipe_and_inputs

from .cross_checks import CrossChecks, cross_check
from .plan import Change, Plan, paths_of, plan_from_toml, read_recipe, with_paths
from .preparation import Clock, Prepared, calibrated_by_crystal, prepare
from .readings import CURVES, READINGS, is_doubtful
from .steering import Steering

_EMBED_AT_MOST_BYTES = 512 * 1024**2


@runtime_checkable
class Listener(Protocol):
    """What a run tells while it goes on; any of it may raise :class:`Stop`."""

    def step(self, name: str) -> None:
        """A step of the job begins."""

    def started(self, members: int, iterations: int) -> None:
        """Phase retrieval begins: so many members of so many iterations."""

    def wants_estimate(self, member: int, iteration: int) -> bool:
        """Whether the snapshot of this iteration shall carry the estimate."""

    def iteration(self, member: int, snapshot: Snapshot) -> None:
        """One iteration is done."""

    def finished(self, member: int, result: Retrieval) -> None:
        """One member is done."""


class Silent:
    """A listener that does not listen."""

    def step(self, name: str) -> None:
        """Nothing."""

    def started(self, members: int, iterations: int) -> None:
        """Nothing."""

    def wants_estimate(self, member: int, iteration: int) -> bool:
        """No."""
        return False

    def iteration(self, member: int, snapshot: Snapshot) -> None:
        """Nothing."""

    def finished(self, member: int, result: Retrieval) -> None:
        """Nothing."""


class Stop(Exception):
    """Raised by a listener: end the phase retrieval and keep the members that are finished."""


@dataclass(frozen=True)
class Outcome:
    """A reconstruction, the seconds of each step and the warnings on the way."""

    reconstruction: Result
    seconds: dict[str, float]
    warnings: tuple[str, ...]


def run(
    plan: Plan, listener: Listener | None = None, *, workers: int | None = None, by_crystal: bool = False
) -> Outcome:
    """Do a job from files to a reconstruction in memory.

    A KeyboardInterrupt during phase retrieval ends it; the members finished so far are averaged and
    the result is marked as not complete.

    Parameters
    ----------
    plan : Plan
        What to do.
    listener : Listener, optional
        Told of steps and iterations.
    workers : int, optional
        Threads of the retrieval.
    by_crystal : bool
        Calibrate the pattern by the plan's crystal first; the result's plan holds the spacings.

    Raises
    ------
    InputError
        If a file or setting is wrong.
    KeyboardInterrupt
        If interrupted before the first member was finished.
    """
    listener = listener or Silent()
    clock = Clock(listener.step)
    with noted_doubts() as doubts:
        inputs = embedded_inputs(plan)
        if by_crystal:
            plan = calibrated_by_crystal(plan, clock)
        prepared = prepare(plan, clock)
        members = retrieve_members(plan, prepared, Steering(plan, prepared), listener, clock, workers=workers)
        result = finish(plan, prepared, members, inputs, clock)
    return Outcome(result, dict(clock.seconds), tuple(doubts))


@contextmanager
def noted_doubts() -> Iterator[list[str]]:
    """Collect what is doubted inside; an `InputError` takes it along as notes."""
    with collected_doubts() as doubts:
        try:
            yield doubts
        except InputError as error:
            for said in doubts:
                error.add_note(said)
            raise


def with_timing(outcome: Outcome, seconds: dict[str, float]) -> Result:
    """The reconstruction with the seconds of each step and the warnings among its metrics."""
    total = {**seconds, "total": sum(seconds.values())}
    numbers = {**outcome.reconstruction.metrics, "seconds": total, "warnings": list(outcome.warnings)}
    return replace(outcome.reconstruction, metrics=numbers)


def _warn_of_doubt(numbers: Mapping[str, Any]) -> None:
    agreement = numbers["image_agreement"]
    if is_doubtful(READINGS["image_agreement"], numbers):
        doubt(
            f"the result agrees with the image by only {agreement:.2f} (1 is full): check rotation, mirror, image "
            "pixel, defocus, astigmatism, support and background before you trust it",
        )


def embedded_inputs(plan: Plan) -> tuple[InputFile, ...]:
    """The raw files of a plan, to be kept in the result; none if they are too large together."""
    found = {
        kept_as: path
        for role, named in paths_of(plan.inputs).items()
        if named.is_file()
        for kept_as, path in _with_companions(role, named)
    }
    if sum(path.stat().st_size for path in set(found.values())) > _EMBED_AT_MOST_BYTES:
        doubt(
            "the raw files are too large to be kept in the result; repeating the run will need them",
        )
        return ()
    try:
        contents = {path: path.read_bytes() for path in set(found.values())}
        return tuple(InputFile(role, path.name, contents[path]) for role, path in found.items())
    except OSError as error:
        raise InputError(
            error.strerror or str(error), where=str(error.filename), mend="check its permissions"
        ) from error


def _with_companions(role: str, path: Path) -> Iterator[tuple[str, Path]]:
    """A file, and those that its format needs beside it, each under a name of its own."""
    yield role, path
    try:
        beside = companions(path)
    except InputError:  # the step that reads it will say why
        return
    for k, other in enumerate(beside):
        yield beside_role(role, k), other


def load_plan(source: Path, scratch: Path) -> Plan:
    """A plan from a TOML recipe, or from a result or project, whose raw files are unpacked into ``scratch``.

    Raises
    ------
    InputError
        If the file is neither, or the raw files of a result are neither in it nor at their old place.
    """
    if source.suffix.lower() not in SUFFIXES:
        return read_recipe(source)
    recipe, files = read_recipe_and_inputs(source)
    plan = plan_from_toml(recipe, where=str(source))
    return replace(plan, inputs=with_paths(plan.inputs, extract_files(files, scratch)))


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for unpacked inputs that goes away with its context."""
    return tempfile.TemporaryDirectory(prefix="subangstrom-")


@dataclass(frozen=True)
class Members:
    """What the phase retrieval leaves.

    Parameters
    ----------
    runs : list of Retrieval
        Finished members.
    problem : Problem
        In force when the last of them was finished.
    reach : ndarray of bool
        Every pixel of a support that was in force until then.
    steering : tuple of Change
        What was changed on the way to it.
    """

    runs: list[Retrieval]
    problem: Problem
    reach: NDArray[np.bool_]
    steering: tuple[Change, ...]


def retrieve_members(
    plan: Plan,
    prepared: Prepared,
    steering: Steering,
    listener: Listener,
    clock: Clock,
    *,
    workers: int | None = None,
) -> Members:
    """Retrieve the phases, member by member.

    Raises
    ------
    Stop, KeyboardInterrupt
        If stopped before the first member was finished.
    """
    runs: list[Retrieval] = []
    left = Members(runs, prepared.problem, prepared.problem.support, ())

    def keep(member: int, result: Retrieval) -> None:
        nonlocal left
        runs.append(result)
        left = Members(runs, steering.problem, steering.reach.copy(), steering.applied)
        listener.finished(member, result)

    steps = iterate_ensemble(
        prepared.problem,
        prepared.schedule,
        plan.ensemble,
        workers=workers,
        on_member=keep,
        wants_estimate=listener.wants_estimate,
        steer=steering.at,
    )
    listener.started(plan.ensemble.members, sum(stage.iterations for stage in prepared.schedule))
    with clock.step("phase retrieval"):
        try:
            for member, snapshot in steps:
                listener.iteration(member, snapshot)
        except (KeyboardInterrupt, Stop):
            if not runs:
                raise
        finally:
            steps.close()
    if len(runs) < plan.ensemble.members:
        doubt(f"stopped after {len(runs)} of {plan.ensemble.members} members; the average is of these")
    return left


def finish(plan: Plan, prepared: Prepared, members: Members, inputs: tuple[InputFile, ...], clock: Clock) -> Result:
    """Average the members and judge the result."""
    with clock.step("average"):
        ensemble = combine(members.problem, members.runs, plan.ensemble, reach=members.reach)
    checks = _cross_checked(plan, prepared, members, ensemble, clock) if prepared.model is not None else None
    with clock.step("metrics"):
        result = _reconstruction(plan, prepared, members, ensemble, checks, inputs)
        _warn_of_doubt(result.metrics)
    return result


def _cross_checked(
    plan: Plan, prepared: Prepared, members: Members, ensemble: Ensemble, clock: Clock
) -> CrossChecks | None:
    """What the data say without the model; None if stopped, for the result is there already."""
    try:
        with clock.step("guard"):
            return cross_check(prepared, members.problem, ensemble, plan.ensemble.seed, clock.on_step)
    except (KeyboardInterrupt, Stop):
        doubt("stopped before the model was left out in turn: how much of the result is the model's is not known")
        return None


def _reconstruction(
    plan: Plan,
    prepared: Prepared,
    members: Members,
    ensemble: Ensemble,
    checks: CrossChecks | None,
    inputs: tuple[InputFile, ...],
) -> Result:
    problem = moved(members.problem, ensemble.origin_shift_px)
    curves = _curves(problem, ensemble)
    numbers = {**_numbers(plan, problem, prepared.calibrated, ensemble, curves), **prepared.readings}
    if checks is not None:
        curves = {**curves, **checks.curves}
        numbers["guard"] = checks.readings
    schedule = replace(plan.retrieval, schedule=prepared.schedule)
    done = replace(plan.ensemble, members=len(members.runs))
    replay = replace(plan, retrieval=schedule, ensemble=done, steering=members.steering)
    reference = ensemble.runs[ensemble.reference]
    return Result(
        grid=problem.grid,
        calibrated=prepared.calibrated,
        object=ensemble.mean,
        deviation=ensemble.deviation,
        support=problem.support,
        regions=problem.regions,
        pattern=prepared.pattern.intensity,
        members=ensemble.members,
        members_origin=(ensemble.box[0].start, ensemble.box[1].start),
        kept=ensemble.kept,
        r_history=np.array([run.r_history for run in ensemble.runs], np.float32),
        free_r_history=np.array([run.free_r_history for run in ensemble.runs], np.float32),
        stage_ends=reference.stage_ends,
        potential=problem.image,
        curves=curves,
        metrics=_finite(numbers),
        recipe=replay.to_toml(),
        version=__version__,
        inputs=inputs,
        complete=len(members.runs) == plan.ensemble.members,
        omit_map=checks.omit_map if checks is not None else None,
    )


def moved(problem: Problem, shift_px: tuple[float, float]) -> Problem:
    """The problem with its real-space arrays moved; the support by whole pixels."""
    image = None if problem.image is None else shift(problem.image, shift_px)
    return replace(problem, support=moved_mask(problem.support, shift_px), image=image)


def _curves(problem: Problem, ensemble: Ensemble) -> dict[str, metrics.RadialCurve]:
    kept = np.array(ensemble.kept)
    members = ensemble.members[kept]
    curves = {
        "prtf": metrics.transfer_function(members, problem.measured, problem.regions, problem.grid, ensemble.box),
        "power_object": metrics.radial_power(transform(ensemble.mean), problem.grid),
    }
    halves = metrics.split_half_correlation(members, problem.grid, ensemble.box)
    if halves is not None:
        curves["frc"] = halves
    if problem.image is not None:
        inside = np.where(problem.support, problem.image, 0).astype(np.complex64)
        curves["power_image"] = metrics.radial_power(transform(inside), problem.grid)
    return curves


def _numbers(
    plan: Plan, problem: Problem, calibrated: bool, ensemble: Ensemble, curves: dict[str, metrics.RadialCurve]
) -> dict[str, Any]:
    runs = ensemble.runs
    kept = [run for run, keep in zip(runs, ensemble.kept, strict=True) if keep]
    spectrum = transform(ensemble.mean)
    # One member reproduces itself perfectly, which says nothing.
    resolution = metrics.resolution_angstrom(curves["prtf"], CURVES["prtf"].limit) if len(kept) > 1 else None
    halves = metrics.resolution_angstrom(curves["frc"], CURVES["frc"].limit) if "frc" in curves else None
    unit = "angstrom" if calibrated else "px"
    return {
        "preset": plan.retrieval.preset,
        "members": len(runs),
        "members_kept": len(kept),
        "r_factor": metrics.r_factor(spectrum, problem.measured, problem.regions == Region.G),
        "member_r_factor": _median([run.r_factor for run in kept]),
        "constrained_r_factor": _median([run.constrained_r for run in kept]),
        "free_r": _median([run.free_r for run in kept]),
        "image_agreement": _median([run.image_agreement for run in kept]),
        "member_correlation": _median([how.correlation for how in ensemble.alignments]),
        "imaginary_over_real": metrics.imaginary_over_real(ensemble.mean, problem.support),
        "resolution_angstrom": resolution if unit == "angstrom" else None,
        "resolution_px": resolution if unit == "px" else None,
        "resolution_criterion": "PRTF over G above 1/e: reproducible phases, no proof that they are right",
        "frc_resolution_angstrom": halves if unit == "angstrom" else None,
        "frc_criterion": "split-half FRC of the members above 0.5",
        "complete": len(runs) == plan.ensemble.members,
        "origin_shift_px": list(ensemble.origin_shift_px),
    }


def _median(values: list[float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else None


def to_json(numbers: dict[str, Any]) -> str:
    """Metrics as strict JSON: no NaN, no infinity."""
    return json.dumps(_finite(numbers), indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
