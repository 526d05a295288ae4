"""The one driver of phase retrieval: a generator that yields after every iteration."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.types import Bool, Complex64, Float32
from napari_subangstrom_cdi.errors import InputError

from ._kernel import FourierKernel, default_workers
from ._steps import Steps, steps_of
from .constraints import LowBand, Scene, Support, check_image, compose, low_band
from .regions import AmplitudeBand, Region
from .schedule import Schedule, Stage
from .updates import check_beta, with_beta

Box = tuple[slice, slice]


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
    model : ndarray of complex64, optional
        Object of a known part, from which members start; zero where nothing is known.

    Raises
    ------
    InputError
        If shapes disagree, the support is empty or touches the border, or the amplitudes are not
        finite.
    """

    grid: Grid
    measured: Float32
    band: AmplitudeBand
    regions: NDArray[np.uint8]
    support: Bool
    image: Float32 | None = None
    image_transfer: Callable[[Float32], Float32] | None = None
    model: Complex64 | None = None

    def __post_init__(self) -> None:
        arrays: dict[str, NDArray[Any] | None] = {
            "pattern": self.measured,
            "band": self.band.lower,
            "regions": self.regions,
            "support": self.support,
            "image": self.image,
            "model": self.model,
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
    def box(self) -> Box:
        """The smallest rectangle of the array that holds the support."""
        return support_box(self.support)


def support_box(support: Bool) -> Box:
    """Smallest rectangle that holds every True pixel, as two slices."""
    rows, columns = np.flatnonzero(support.any(axis=1)), np.flatnonzero(support.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


@dataclass(frozen=True)
class InForce:
    """What a run is steered to: it holds for the next iteration and all later ones.

    Parameters
    ----------
    problem : Problem
        The data from now on, on the grid that the run began with.
    beta : float, optional
        Replaces β of every stage with feedback; None for the stages' own.

    Raises
    ------
    InputError
        If ``beta`` is not above 0 and at most 1.
    """

    problem: Problem
    beta: float | None = None

    def __post_init__(self) -> None:
        check_beta(self.beta)

    def check_follows(self, before: Problem) -> None:
        """Raise InputError unless the problem is on the same grid, and has an image, as the one before."""
        grid, other = self.problem.grid, before.grid
        if grid != other:
            raise InputError(
                f"a run cannot change its grid from {_words(other)} to {_words(grid)} while it goes on",
                mend="start a new run",
            )
        if (self.problem.image is None) != (before.image is None):
            had, has = ("without" if image is None else "with" for image in (before.image, self.problem.image))
            raise InputError(f"a run that began {had} an image cannot go on {has} one", mend="start a new run")


def _words(grid: Grid) -> str:
    return f"{grid.n} pixels of {grid.pixel_angstrom:g} Å"


@dataclass(frozen=True)
class Snapshot:
    """One iteration, as seen from outside.

    ``r_factor`` and ``free_r`` are those of a support-constrained estimate: with error reduction the one that
    went into the iteration (its spectrum is at hand), with the rules that have feedback the one that came out.
    ``box`` is where the estimate lies in the array: that of the problem in force. ``estimate`` is a copy that
    the receiver owns, on this box; None unless it was wanted.
    """

    iteration: int
    stage: str
    stage_iteration: int
    r_factor: float
    free_r: float
    box: Box
    estimate: Complex64 | None = None


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

    estimate: Complex64
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
    start: Complex64,
    *,
    held_out: Bool | None = None,
    wants_estimate: Callable[[int], bool] | None = None,
    workers: int | None = None,
    steer: Callable[[int], InForce | None] | None = None,
    beta: float | None = None,
) -> Generator[Snapshot, None, Retrieval]:
    """Run a schedule; yield a :class:`Snapshot` each iteration and return a :class:`Retrieval`.

    Closing the generator ends the run within one iteration.

    A steered run goes on from its support-constrained estimate: what lies outside the new support is dropped,
    pixels new in it begin at zero. A rule with feedback begins again from there, as at the start of a stage:
    what it remembered outside the support is forgotten. Error reduction remembers nothing. The stage, its count
    of iterations and its q limit go on. The same answers at the same iterations give the same bits.

    Parameters
    ----------
    problem : Problem
        The data.
    schedule : tuple of Stage
        The stages, in order.
    start : ndarray of complex64, shape (n, n)
        First estimate, centred; taken inside the support.
    held_out : ndarray of bool, shape (n, n), optional
        Pixels to leave free and judge the run by; those outside the G of the problem in force do not count.
    wants_estimate : callable, optional
        ``wants_estimate(iteration)``, asked after each iteration with its number from 1: whether the snapshot
        shall carry the estimate. By default none does.
    workers : int, optional
        Threads; by default the processors at hand.
    steer : callable, optional
        ``steer(done)``, asked before each iteration with the number of iterations done: what the run is steered
        to, or None to let it go on.
    beta : float, optional
        Replaces β of every stage with feedback until the run is steered.

    Raises
    ------
    InputError
        If the start has the wrong shape or is zero inside the support, the schedule is empty or
        asks for an image that is not there, ``beta`` is not above 0 and at most 1, or ``workers`` is below 1;
        while it runs, if it is steered to another grid, to a problem that has an image where the first has
        none or the other way round, or to a support that holds nothing of the estimate.
    ArithmeticError
        If the estimate ceases to be finite.
    """
    if start.shape != problem.grid.shape:
        raise InputError(f"the start has shape {start.shape}, the grid {problem.grid.shape}")
    if workers is not None and workers < 1:
        raise InputError(f"{workers} threads", mend="give at least one, or leave the number out")
    if not sum(stage.iterations for stage in schedule):
        raise InputError("the schedule has no iterations", mend="give at least one stage")
    check_beta(beta)
    for stage in schedule:
        check_image(stage.constraints, problem.image is not None, f"stage {stage.name!r}")
    if not np.any(start[problem.support]):
        raise InputError("the start is zero inside the support", mend="check the image's potential and the support")
    asked = wants_estimate or _never, steer or _straight_on
    return _run(problem, schedule, start, held_out, beta, workers or default_workers(), *asked)


def _never(iteration: int) -> bool:
    return False


def _straight_on(done: int) -> InForce | None:
    return None


class _Course:
    """What is in force while a run goes on, and how far it has come."""

    def __init__(
        self, problem: Problem, start: Complex64, held_out: Bool | None, beta: float | None, workers: int
    ) -> None:
        self._held_out = np.zeros(problem.grid.shape, np.bool_) if held_out is None else held_out
        self._workers = workers
        self.history: list[tuple[float, float]] = []
        self.kernel = self._new_kernel(problem)
        self._take(problem, beta, start)

    def steer(self, steered: InForce) -> None:
        """Go on from the estimate with another problem and β."""
        steered.check_follows(self.problem)
        old, new = self.problem, steered.problem
        field_ = self.whole_estimate()
        if not field_[new.support].any():
            raise InputError(
                f"nothing of the estimate after iteration {len(self.history)} lies inside the new support",
                mend="draw the support where the particle is",
            )
        # the kernel knows nothing of the support: it stays if nothing else changed
        if any(getattr(new, name) is not getattr(old, name) for name in ("band", "measured", "regions")):
            self.kernel.close()
            self.kernel = self._new_kernel(new)
        self._take(new, steered.beta, field_)

    def steps(self, stage: Stage) -> Steps:
        """Iterate a stage from the estimate on, with what is in force."""
        stage = replace(stage, update=with_beta(stage.update, self.beta))
        scene = Scene(self.problem.support[self.box], self.problem.grid.pixel_angstrom, self.image)
        constrain = compose(stage.constraints, scene)
        return steps_of(stage)(stage, self.estimate, constrain, self.kernel)

    def whole_estimate(self) -> Complex64:
        """The estimate in an array of the grid's shape."""
        full = np.zeros(self.problem.grid.shape, np.complex64)
        full[self.box] = self.estimate
        return full

    def image_agreement(self) -> float:
        """Correlation with the image in its band; NaN without an image."""
        if self.image is None:
            return float("nan")
        return self.image.agreement(self.estimate, self.problem.support[self.box])

    def _take(self, problem: Problem, beta: float | None, field_: Complex64) -> None:
        self.problem, self.beta, self.box = problem, beta, problem.box
        self.image = image_on(problem, self.box)
        self.estimate = np.where(problem.support, field_, 0)[self.box].astype(np.complex64)

    def _new_kernel(self, problem: Problem) -> FourierKernel:
        return FourierKernel(
            problem.band,
            problem.measured,
            problem.regions,
            self._held_out & (problem.regions == Region.G),
            problem.grid.q_per_angstrom(),
            workers=self._workers,
        )


def _run(
    problem: Problem,
    schedule: Schedule,
    start: Complex64,
    held_out: Bool | None,
    beta: float | None,
    workers: int,
    wants_estimate: Callable[[int], bool],
    steer: Callable[[int], InForce | None],
) -> Generator[Snapshot, None, Retrieval]:
    course = _Course(problem, start, held_out, beta, workers)
    try:
        return (yield from _stages(course, schedule, wants_estimate, steer))
    finally:
        course.kernel.close()


def _stages(
    course: _Course,
    schedule: Schedule,
    wants_estimate: Callable[[int], bool],
    steer: Callable[[int], InForce | None],
) -> Generator[Snapshot, None, Retrieval]:
    ends: list[tuple[str, int]] = []
    constrained_r = float("nan")
    for stage in schedule:
        yield from _one_stage(course, stage, wants_estimate, steer)
        ends.append((stage.name, len(course.history)))
        if course.history and not all(isinstance(each, Support) for each in stage.constraints):
            constrained_r = course.kernel.r_factors(course.estimate)[0]
    r_factor, free_r = course.kernel.r_factors(course.estimate)
    return Retrieval(
        course.whole_estimate(),
        r_factor,
        free_r,
        tuple(r for r, _ in course.history),
        tuple(f for _, f in course.history),
        tuple(ends),
        course.image_agreement(),
        constrained_r,
    )


def image_on(problem: Problem, box: Box) -> LowBand | None:
    """The image constraint for a box of the problem's array, or None without an image."""
    if problem.image is None or problem.image_transfer is None:
        return None
    return low_band(problem.image[box], problem.support[box], problem.image_transfer, problem.grid.pixel_angstrom)


def _one_stage(
    course: _Course,
    stage: Stage,
    wants_estimate: Callable[[int], bool],
    steer: Callable[[int], InForce | None],
) -> Generator[Snapshot, None, None]:
    """Iterate one stage from a support-constrained estimate on the box to another."""
    steps: Steps | None = None
    for i in range(stage.iterations):
        steered = steer(len(course.history))
        if steered is not None:
            steps = None  # first, so that old and new need not share the memory
            course.steer(steered)
        if steps is None:
            steps = course.steps(stage)
        course.kernel.limit_q(stage.q_limit(i))
        course.estimate, r_factor, free_r = next(steps)
        if not np.isfinite(r_factor):
            raise ArithmeticError(f"the estimate is not finite after iteration {len(course.history)} ({stage.name})")
        course.history.append((r_factor, free_r))
        done = len(course.history)
        estimate = course.estimate.copy() if wants_estimate(done) else None
        yield Snapshot(done, stage.name, i + 1, r_factor, free_r, course.box, estimate)
    course.kernel.limit_q(np.inf)


def retrieve(
    problem: Problem,
    schedule: Schedule,
    start: Complex64,
    *,
    held_out: Bool | None = None,
    workers: int | None = None,
    heartbeat: Callable[[], None] = lambda: None,
) -> Retrieval:
    """Run a schedule to its end; see :func:`iterate` for parameters and errors.

    ``heartbeat`` is called before each iteration; it may raise to end the run.
    """
    run = iterate(problem, schedule, start, held_out=held_out, workers=workers)
    try:
        while True:
            heartbeat()
            next(run)
    except StopIteration as stop:
        result: Retrieval = stop.value
        return result
    finally:
        run.close()
