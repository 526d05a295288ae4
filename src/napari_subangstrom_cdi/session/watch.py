"""A run as seen while it goes on: pause, step and stop, the newest frame, the R-factors, the running average.

The run's thread writes; a watcher of another thread reads whenever it likes. Frames are pulled: the estimate is
copied only when a watcher has asked for one, so that frames never queue and nobody's slowness delays the run.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.ensemble.superposition import align
from napari_subangstrom_cdi.core.fourier import fit_to_size
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.constraints import LowBand
from napari_subangstrom_cdi.core.phasing.retrieval import Problem, Retrieval, Snapshot, image_on
from napari_subangstrom_cdi.core.phasing.schedule import Schedule
from napari_subangstrom_cdi.core.types import Complex64, Float32
from napari_subangstrom_cdi.job.pipeline import Silent, Stop

Box = tuple[slice, slice]

_AGREEMENT_EVERY_S = 0.4
_RATE_OVER_S = 3.0


class Control:
    """Pause, single steps and stop, obeyed at the run's next checkpoint."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._paused = False
        self._stopping = False
        self._single = 0
        self._waiting = False

    @property
    def waiting(self) -> bool:
        """Whether the run stands at a checkpoint: what is steered now counts from the next iteration."""
        return self._waiting

    @property
    def paused(self) -> bool:
        """Whether the run waits, or will at its next checkpoint."""
        return self._paused

    @property
    def stopping(self) -> bool:
        """Whether the run was told to end."""
        return self._stopping

    def pause(self) -> None:
        """Wait at the next checkpoint."""
        with self._condition:
            self._paused = True

    def resume(self) -> None:
        """Go on."""
        with self._condition:
            self._paused, self._single, self._waiting = False, 0, False
            self._condition.notify_all()

    def step_once(self) -> None:
        """Do one iteration and wait again."""
        with self._condition:
            self._paused, self._single, self._waiting = True, self._single + 1, False
            self._condition.notify_all()

    def stop(self) -> None:
        """End at the next checkpoint, also out of a pause."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()

    def checkpoint(self) -> None:
        """Called by the run between iterations.

        Raises
        ------
        Stop
            If it was told to end.
        """
        with self._condition:
            while self._paused and not self._stopping and not self._single:
                self._waiting = True
                self._condition.wait()
            self._waiting = False
            self._single = max(0, self._single - 1)
        if self._stopping:
            raise Stop


@dataclass(frozen=True)
class Frame:
    """The estimate of one iteration, on its box of the centred array. ``agreement`` may be NaN."""

    member: int
    iteration: int
    stage: str
    estimate: Complex64
    box: Box
    grid: Grid
    agreement: float


@dataclass(frozen=True)
class Average:
    """Mean and standard deviation of the finished members on a box of the centred array."""

    mean: Complex64
    deviation: Float32
    box: Box
    members: int


class RunningAverage:
    """Average of the members finished so far, turned to a common phase.

    Members that start from an image stand where it stands. Others are first aligned, since their translation
    and their twin are free. The final average aligns them all once more and leaves out those that disagree.
    """

    def __init__(self, problem: Problem) -> None:
        self._free = problem.image is None
        self._pixel_angstrom = problem.grid.pixel_angstrom
        self._first: Complex64 | None = None
        self._mean: NDArray[np.complex128] | None = None
        self._squares: NDArray[np.float64] | None = None
        self._box: Box = problem.box
        self._n = problem.grid.n
        self.count = 0

    def add(self, estimate: Complex64) -> Average:
        """Take in a member, centred, of any size that holds its support."""
        if self._first is None:
            self._first = estimate
        elif self._free:
            same = fit_to_size(estimate, len(self._first))  # a few pixels more than the support: enough to align
            estimate, _ = align(same, self._first, self._pixel_angstrom, allow_twin=True)
        estimate = fit_to_size(estimate, self._n)
        first = fit_to_size(self._first, self._n)
        part = estimate[self._box].astype(np.complex128)
        turn = np.vdot(part, first[self._box])
        part *= turn / abs(turn) if abs(turn) > 0 else 1
        if self._mean is None or self._squares is None:
            self._mean, self._squares = np.zeros_like(part), np.zeros(part.shape)
        self.count += 1
        before = part - self._mean
        self._mean += before / self.count
        self._squares += (before.conj() * (part - self._mean)).real
        deviation = np.sqrt(np.maximum(self._squares, 0) / self.count)
        return Average(self._mean.astype(np.complex64), deviation.astype(np.float32), self._box, self.count)


@dataclass
class MemberHistory:
    """R-factors of one member, one value an iteration, and the agreement with the image where it was measured."""

    r_factor: list[float] = field(default_factory=list)
    free_r: list[float] = field(default_factory=list)
    agreement: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Progress:
    """Numbers of the moment."""

    member: int
    members: int
    iteration: int
    iterations: int
    stage: str
    r_factor: float
    free_r: float
    agreement: float
    iterations_per_second: float
    seconds_left: float


class Live(Silent):
    """Listens to a run and keeps what a watcher may want.

    Parameters
    ----------
    problem : callable
        Gives the problem in force.
    schedule : tuple of Stage
        Of the run.
    control : Control
        Asked after each iteration.
    on_member : callable
        Told of each finished member, in the run's thread.

    Attributes
    ----------
    history : list of MemberHistory
        Of each member so far.
    marks : list of (int, int, str)
        What was changed: member, iterations it had done, and what, in words.
    average : Average or None
        Of the finished members.
    beta : float or None
        As it was steered; None while each stage has its own.
    """

    def __init__(
        self,
        problem: Callable[[], Problem],
        schedule: Schedule,
        control: Control,
        on_member: Callable[[int, Retrieval], None],
    ) -> None:
        self.schedule = schedule
        self.members = 0
        self.iterations = 0
        self.history: list[MemberHistory] = []
        self.marks: list[tuple[int, int, str]] = []
        self.average: Average | None = None
        self.beta: float | None = None
        self._problem = problem
        self._control = control
        self._on_member = on_member
        self._running_average = RunningAverage(problem())
        self._band: tuple[Problem, LowBand | None] | None = None
        self._last: Snapshot | None = None
        self._frame: Frame | None = None
        self._frame_wanted = True
        self._agreement = float("nan")
        self._agreement_at = float("-inf")
        self._times: deque[tuple[float, int]] = deque()
        self._rate = 0.0
        self._done = 0

    def request_frame(self) -> None:
        """Have the estimate of the next iteration copied."""
        self._frame_wanted = True

    def take_frame(self) -> Frame | None:
        """The newest frame, once."""
        frame, self._frame = self._frame, None
        return frame

    @property
    def progress(self) -> Progress | None:
        """Numbers of the moment; None before the first iteration."""
        last = self._last
        if last is None:
            return None
        rate = self._rate
        left = (self.members * self.iterations - self._done) / rate if rate > 0 else float("nan")
        return Progress(
            len(self.history) - 1,
            self.members,
            last.iteration,
            self.iterations,
            last.stage,
            last.r_factor,
            last.free_r,
            self._agreement,
            rate,
            left,
        )

    def started(self, members: int, iterations: int) -> None:
        """Begin."""
        self.members, self.iterations = members, iterations

    def wants_estimate(self, member: int, iteration: int) -> bool:
        """When a watcher has asked, when the image agreement is due, and whenever the run is about to wait."""
        due = time.perf_counter() - self._agreement_at > _AGREEMENT_EVERY_S
        return self._frame_wanted or self._control.paused or due

    def iteration(self, member: int, snapshot: Snapshot) -> None:
        """Keep the numbers, and the frame if there is one; then obey."""
        if len(self.history) <= member:
            self.history.append(MemberHistory())
        history = self.history[member]
        history.free_r.append(snapshot.free_r)
        history.r_factor.append(snapshot.r_factor)
        self._last = snapshot
        self._done += 1
        self._count(time.perf_counter())
        if snapshot.estimate is not None:
            self._keep_frame(member, snapshot, snapshot.estimate)
        paused = self._control.paused
        self._control.checkpoint()
        if paused:
            self._times.clear()

    def finished(self, member: int, result: Retrieval) -> None:
        """Add to the running average and tell."""
        if math.isfinite(result.image_agreement):
            self.history[member].agreement.append((len(result.r_history), result.image_agreement))
        self.average = self._running_average.add(result.estimate)
        self._on_member(member, result)

    def _keep_frame(self, member: int, snapshot: Snapshot, estimate: Complex64) -> None:
        problem = self._problem()
        now = time.perf_counter()
        if now - self._agreement_at > _AGREEMENT_EVERY_S:
            self._agreement_at = now
            band = self._band_of(problem)
            if band is not None:
                self._agreement = band.agreement(estimate, problem.support[snapshot.box])
                self.history[member].agreement.append((snapshot.iteration, self._agreement))
        if self._frame_wanted or self._control.paused:
            self._frame_wanted = False
            self._frame = Frame(
                member, snapshot.iteration, snapshot.stage, estimate, snapshot.box, problem.grid, self._agreement
            )

    def _band_of(self, problem: Problem) -> LowBand | None:
        if self._band is None or self._band[0] is not problem:
            self._band = problem, image_on(problem, problem.box)
        return self._band[1]

    def _count(self, now: float) -> None:
        times = self._times
        times.append((now, self._done))
        while now - times[0][0] > _RATE_OVER_S:
            times.popleft()
        if now > times[0][0]:
            self._rate = (self._done - times[0][1]) / (now - times[0][0])
