"""The one driver of phase retrieval: a generator that yields after every iteration."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError

from ._kernel import FourierKernel, default_workers
from .constraints import Constraint, LowBand, compose, low_band
from .grid import Grid
from .regions import AmplitudeBand, Region
from .schedule import Schedule, Stage
from .updates import UPDATE_RULES, mixture_outside, no_projection

Complex = NDArray[np.complex64]
Float = NDArray[np.float32]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Problem:
    """Everything that a retrieval needs and none of it changes. Arrays are centred, shape (n, n).

    Parameters
    ----------
    grid : Grid
        Sampling.
    measured : ndarray of float32
        Amplitude √I, in the units of the object's Fourier transform.
    band : AmplitudeBand
        Limits on |F|, in the same units.
    regions : ndarray of uint8
        Codes of :class:`.Region`.
    support : ndarray of bool
        Object support.
    image : ndarray of float32, optional
        The potential from the image, V_exp, as σ_e V in radians.
    image_transfer : callable, optional
        h(|q|) of the image, |q| in Å⁻¹; needed with ``image``.

    Raises
    ------
    InputError
        If shapes disagree, the support is empty or touches the border, or the amplitudes are not
        finite.
    """

    grid: Grid
    measured: Float
    band: AmplitudeBand
    regions: NDArray[np.uint8]
    support: Bool
    image: Float | None = None
    image_transfer: Callable[[Float], Float] | None = None

    def __post_init__(self) -> None:
        arrays: dict[str, NDArray[Any] | None] = {
            "pattern": self.measured,
            "band": self.band.lower,
            "regions": self.regions,
            "support": self.support,
            "image": self.image,
        }
        for name, array in arrays.items():
            if array is not None and array.shape != self.grid.shape:
                raise InputError(f"the {name} has shape {array.shape}, the grid {self.grid.shape}")
        if not np.isfinite(self.measured).all():
            raise InputError("the pattern's amplitude has NaN or infinite values", mend="send these pixels to M")
        if not (self.regions == Region.G).any():
            raise InputError("no pixel of the pattern is in G", mend="lower the noise multiple")
        if not self.support.any():
            raise InputError("the support is empty", mend="lower its threshold or draw one")
        if self.support.all():
            raise InputError("the support fills the array", mend="draw a support around the particle")
        if (self.image is None) != (self.image_transfer is None):
            raise InputError("an image needs its transfer function, and the other way round")

    @property
    def box(self) -> tuple[slice, slice]:
        """The smallest rectangle of the array that holds the support."""
        return support_box(self.support)


def support_box(support: Bool) -> tuple[slice, slice]:
    """Smallest rectangle that holds every True pixel, as two slices."""
    rows, columns = np.flatnonzero(support.any(axis=1)), np.flatnonzero(support.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


@dataclass(frozen=True)
class Snapshot:
    """One iteration, as seen from outside.

    ``r_factor`` and ``free_r`` are those of a support-constrained estimate: with error reduction the one that
    went into the iteration (its spectrum is at hand), with the rules that have feedback the one that came out.
    ``estimate`` is a copy that the receiver owns, on the problem's box; None unless it was due.
    """

    iteration: int
    stage: str
    stage_iteration: int
    r_factor: float
    free_r: float
    estimate: Complex | None = None


@dataclass(frozen=True)
class Retrieval:
    """The end of one run.

    Parameters
    ----------
    estimate : ndarray of complex64, shape (n, n)
        Support-constrained object P_S P_M x, centred.
    r_factor, free_r : float
        Of that estimate.
    r_history, free_r_history : tuple of float
        One value an iteration.
    stage_ends : tuple of (str, int)
        Name of each stage and the iteration after its last.
    image_agreement : float
        Correlation with the image in its band; NaN without an image.
    """

    estimate: Complex
    r_factor: float
    free_r: float
    r_history: tuple[float, ...]
    free_r_history: tuple[float, ...]
    stage_ends: tuple[tuple[str, int], ...]
    image_agreement: float = float("nan")
    constrained_r: float = field(default=float("nan"))


def iterate(
    problem: Problem,
    schedule: Schedule,
    start: Complex,
    *,
    held_out: Bool | None = None,
    estimate_every: int = 0,
    workers: int | None = None,
) -> Generator[Snapshot, None, Retrieval]:
    """Run a schedule; yield a :class:`Snapshot` each iteration and return a :class:`Retrieval`.

    Closing the generator ends the run within one iteration.

    Parameters
    ----------
    problem : Problem
        The data.
    schedule : tuple of Stage
        The stages, in order.
    start : ndarray of complex64, shape (n, n)
        First estimate, centred; taken inside the support.
    held_out : ndarray of bool, shape (n, n), optional
        Pixels of G to leave free and judge the run by.
    estimate_every : int
        Attach the estimate to every so many-th snapshot; 0 never.
    workers : int, optional
        Threads; by default the processors at hand.

    Raises
    ------
    InputError
        If the start has the wrong shape or is zero inside the support, the schedule is empty or
        asks for an image that is not there, or ``workers`` is below 1.
    ArithmeticError
        If the estimate ceases to be finite.
    """
    if start.shape != problem.grid.shape:
        raise InputError(f"the start has shape {start.shape}, the grid {problem.grid.shape}")
    if workers is not None and workers < 1:
        raise InputError(f"{workers} threads", mend="give at least one, or leave the number out")
    if not sum(stage.iterations for stage in schedule):
        raise InputError("the schedule has no iterations", mend="give at least one stage")
    for stage in schedule:
        compose(stage, problem.support, _EMPTY_BAND if problem.image is not None else None)
    if not np.any(start[problem.support]):
        raise InputError("the start is zero inside the support", mend="check the image's potential and the support")
    return _run(problem, schedule, start, held_out, estimate_every, workers or default_workers())


_EMPTY_BAND = LowBand(np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32))


def _run(
    problem: Problem,
    schedule: Schedule,
    start: Complex,
    held_out: Bool | None,
    estimate_every: int,
    workers: int,
) -> Generator[Snapshot, None, Retrieval]:
    if held_out is None:
        held_out = np.zeros(problem.grid.shape, np.bool_)
    kernel = FourierKernel(
        problem.band,
        problem.measured,
        problem.regions,
        held_out,
        problem.grid.q_per_angstrom(),
        workers=workers,
    )
    try:
        return (yield from _stages(problem, schedule, start, kernel, estimate_every))
    finally:
        kernel.close()


def _stages(
    problem: Problem, schedule: Schedule, start: Complex, kernel: FourierKernel, estimate_every: int
) -> Generator[Snapshot, None, Retrieval]:
    box = problem.box
    estimate = np.where(problem.support, start, 0)[box].astype(np.complex64)
    image = image_on(problem, box)
    history: list[tuple[float, float]] = []
    ends: list[tuple[str, int]] = []
    constrained_r = float("nan")
    for stage in schedule:
        estimate = yield from _one_stage(problem, stage, estimate, kernel, history, estimate_every)
        ends.append((stage.name, len(history)))
        if set(stage.constraints) > {"support"} and history:
            constrained_r = kernel.r_factors(estimate)[0]
    r_factor, free_r = kernel.r_factors(estimate)
    full = np.zeros(problem.grid.shape, np.complex64)
    full[box] = estimate
    return Retrieval(
        full,
        r_factor,
        free_r,
        tuple(r for r, _ in history),
        tuple(f for _, f in history),
        tuple(ends),
        image.agreement(estimate, problem.support[box]) if image else float("nan"),
        constrained_r,
    )


def image_on(problem: Problem, box: tuple[slice, slice]) -> LowBand | None:
    """The image constraint for a box of the problem's array, or None without an image."""
    if problem.image is None or problem.image_transfer is None:
        return None
    return low_band(problem.image[box], problem.support[box], problem.image_transfer, problem.grid.pixel_angstrom)


def _one_stage(
    problem: Problem,
    stage: Stage,
    estimate: Complex,
    kernel: FourierKernel,
    history: list[tuple[float, float]],
    estimate_every: int,
) -> Generator[Snapshot, None, Complex]:
    """Iterate one stage from a support-constrained estimate on the box to another."""
    constrain = compose(stage, problem.support[problem.box], image_on(problem, problem.box))
    steps = _steps(stage)(stage, estimate, constrain, kernel)
    for i in range(stage.iterations):
        kernel.limit_q(stage.q_limit(i))
        estimate, r_factor, free_r = next(steps)
        if not np.isfinite(r_factor):
            raise ArithmeticError(f"the estimate is not finite after iteration {len(history)} ({stage.name})")
        history.append((r_factor, free_r))
        due = estimate_every > 0 and len(history) % estimate_every == 0
        yield Snapshot(len(history), stage.name, i + 1, r_factor, free_r, estimate.copy() if due else None)
    kernel.limit_q(np.inf)
    return estimate


Steps = Iterator[tuple[Complex, float, float]]


def _steps(stage: Stage) -> Callable[[Stage, Complex, Constraint, FourierKernel], Steps]:
    """The fastest way to iterate a stage; all yield support-constrained estimates and their R-factors."""
    if stage.update == "er":
        return _steps_on_box
    if stage.update == "difference-map" and stage.beta != 1:
        return _steps_on_array
    return _steps_with_feedback


def _steps_on_box(stage: Stage, estimate: Complex, constrain: Constraint, kernel: FourierKernel) -> Steps:
    """Error reduction leaves nothing outside the support. A real object needs half a transform."""
    while True:
        projected, r_factor, free_r = kernel.project(_real_if(stage, estimate))
        estimate = constrain(cast(Complex, projected))  # float32 if real: the image filter then has half to do
        yield estimate, r_factor, free_r


def _steps_with_feedback(stage: Stage, estimate: Complex, constrain: Constraint, kernel: FourierKernel) -> Steps:
    """Outside the box the constraints give zero, and a rule is a mixture of x and P_M x."""
    rule = UPDATE_RULES[stage.update]
    keep, gain = mixture_outside(rule, stage.beta)
    spectrum = kernel.zero_spectrum()
    x = change = estimate
    while True:
        projected = kernel.feed_back(spectrum, change, keep, gain)
        updated = rule(x, projected, constrain, no_projection, stage.beta)
        x, change = updated, updated - (np.float32(keep) * x + np.float32(gain) * projected)
        estimate = constrain(projected)
        yield estimate, *kernel.r_factors(_real_if(stage, estimate))


def _steps_on_array(stage: Stage, estimate: Complex, constrain: Constraint, kernel: FourierKernel) -> Steps:
    """The rules as they are written, on the whole array: the reference, for those that project twice."""
    box = slice(estimate.shape[0]), slice(estimate.shape[1])
    x = np.zeros((kernel.n, kernel.n), np.complex64)
    x[box] = estimate

    def constrain_array(field_: Complex) -> Complex:
        constrained = np.zeros_like(field_)
        constrained[box] = constrain(field_[box])
        return constrained

    def fourier(field_: Complex) -> Complex:
        return kernel.project(field_)[0]

    while True:
        projected = fourier(x)
        estimate = constrain(projected[box])
        x = UPDATE_RULES[stage.update](x, projected, constrain_array, fourier, stage.beta)
        yield estimate, *kernel.r_factors(_real_if(stage, estimate))


def _real_if(stage: Stage, estimate: Complex) -> Complex | Float:
    """The real part if that is all that the stage's constraints look at and leave."""
    if {"real", "non-negative"}.isdisjoint(stage.constraints) or estimate.imag.any():
        return estimate
    return np.ascontiguousarray(estimate.real)


def retrieve(
    problem: Problem,
    schedule: Schedule,
    start: Complex,
    *,
    held_out: Bool | None = None,
    workers: int | None = None,
) -> Retrieval:
    """Run a schedule to its end; see :func:`iterate` for parameters and errors."""
    run = iterate(problem, schedule, start, held_out=held_out, workers=workers)
    while True:
        try:
            next(run)
        except StopIteration as stop:
            result: Retrieval = stop.value
            return result
