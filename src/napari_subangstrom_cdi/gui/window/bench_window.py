"""How the window behaves while a run of 1,024² streams into it: late events, memory, and what watching costs.

The bundled sample is reconstructed in a real window, as a user would see it, and without one, in turns.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import median

import napari
import numpy as np
import psutil
from qtpy.QtCore import QEventLoop, Qt, QTimer

from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings
from napari_subangstrom_cdi.io import read_acquisition
from napari_subangstrom_cdi.job.plan import Inputs, Plan, preset_plan, with_paths
from napari_subangstrom_cdi.session.session import Session, Step
from napari_subangstrom_cdi.simulation.bundled import sample_records

from .controller import Controller
from .opening import open_workflow

_TICK_MS = 10
_LATE_MS = 100.0
_COMPARED_MEMBERS = 10


@dataclass(frozen=True)
class WindowResult:
    """Figures of a watched run.

    Parameters
    ----------
    frames_per_second : float
        Asked for; 0 is the automatic rate.
    members, frames : int
        Of the run watched.
    seconds : float
        That its phase retrieval took.
    late_share : float
        Of the ticks of a 10 ms timer in the window's thread, those later than 100 ms.
    late_median_ms, late_99_ms, late_worst_ms : float
        How late the ticks were.
    memory_growth_mb : float
        Of the process, from the second member to the last.
    slowdown : float
        Seconds an iteration watched over unwatched, less one: the median of paired runs.
    """

    frames_per_second: float
    members: int
    frames: int
    seconds: float
    late_share: float
    late_median_ms: float
    late_99_ms: float
    late_worst_ms: float
    memory_growth_mb: float
    slowdown: float

    def to_json(self) -> str:
        """The figures for machines."""
        return json.dumps(asdict(self), indent=1)


class _Lateness:
    """How late a 10 ms timer of the window's thread comes, ms."""

    def __init__(self) -> None:
        self.ms: list[float] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._last = time.perf_counter()

    def start(self) -> None:
        self._last = time.perf_counter()
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.ms.append(max(0.0, 1e3 * (now - self._last) - _TICK_MS))
        self._last = now


def run_window_bench(*, frames_per_second: float = 10.0, members: int = 20, pairs: int = 3) -> WindowResult:
    """Measure; a window opens and closes.

    Parameters
    ----------
    frames_per_second : float
        Of the live reconstruction; 0 for the automatic rate.
    members : int
        Of the run whose lateness and memory are measured.
    pairs : int
        Runs of ten members, watched and unwatched in turns, for the slowdown.
    """
    records = sample_records()
    acquisition = read_acquisition(records.pop("acquisition"))
    inputs = with_paths(Inputs(""), records)
    plan = preset_plan("extend", inputs, acquisition, EnsembleSettings(members=members))
    return measure_in_a_window(plan, frames_per_second, pairs)


def measure_in_a_window(plan: Plan, frames_per_second: float, pairs: int) -> WindowResult:
    """The same with any job."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1600, 1000)
    controller = open_workflow(viewer)
    controller.use(replace(controller.preferences, frames_per_second=frames_per_second, autosave=False))
    frames: list[None] = []
    controller.framed.connect(lambda frame: frames.append(None))
    controller.session.set_plan(plan)
    alone = Session()
    alone.set_plan(plan)
    try:
        _do(controller, Step.MASKS)
        _wait(lambda: False, 2.0)
        gc.collect()
        lateness, memory = _Lateness(), _Memory(controller)
        lateness.start()
        _run(controller, Step.PHASE)
        lateness.stop()
        seconds = _phase_seconds(controller.session)
        shown, growth = len(frames), memory.growth_mb()
        alone.start(Step.MASKS)
        _wait(lambda: not alone.busy)
        slowdown = _slowdown(controller, alone, pairs)
    finally:
        alone.close()
        controller.close()
        viewer.close()
    late = np.array(lateness.ms)
    return WindowResult(
        frames_per_second,
        plan.ensemble.members,
        shown,
        seconds,
        float((late > _LATE_MS).mean()),
        float(np.median(late)),
        float(np.percentile(late, 99)),
        float(late.max()),
        growth,
        slowdown,
    )


def _slowdown(controller: Controller, alone: Session, pairs: int) -> float:
    ratios = []
    for k in range(pairs):
        seconds = {}
        order = ("watched", "alone") if k % 2 else ("alone", "watched")
        for how in order:
            session = controller.session if how == "watched" else alone
            session.change("ensemble", members=_COMPARED_MEMBERS, seed=100 + k)
            if how == "watched":
                _do(controller, Step.PHASE)
            else:
                alone.start(Step.PHASE)
                alone.wait()
            seconds[how] = _phase_seconds(session)
        ratios.append(seconds["watched"] / seconds["alone"] - 1)
    return median(ratios)


def _phase_seconds(session: Session) -> float:
    result = session.result
    if result is None:
        raise RuntimeError(f"the run failed: {session.errors}")
    return float(result.metrics["seconds"]["phase retrieval"])


class _Memory:
    """Memory of the process whenever a member is finished."""

    def __init__(self, controller: Controller) -> None:
        self.mb: list[float] = []
        controller.happened.connect(self._look)

    def _look(self, event: object) -> None:
        if getattr(event, "happening", None) == "member":
            self.mb.append(memory_mb())

    def growth_mb(self) -> float:
        return self.mb[-1] - self.mb[1] if len(self.mb) > 2 else 0.0


def memory_mb() -> float:
    """Resident memory of this process."""
    return psutil.Process().memory_info().rss / 1e6


def _do(controller: Controller, step: Step) -> None:
    gc.collect()
    _run(controller, step)


def _run(controller: Controller, step: Step) -> None:
    controller.run(step)
    _wait(lambda: not controller.session.busy)


def _wait(done: Callable[[], bool], seconds: float = 600.0) -> None:
    """Let the window live as it does in use, by an event loop, until something is so."""
    loop, looking = QEventLoop(), QTimer()
    end = time.perf_counter() + seconds
    looking.timeout.connect(lambda: loop.quit() if done() or time.perf_counter() > end else None)
    looking.start(20)
    loop.exec()
    looking.stop()


def format_window_bench(result: WindowResult) -> str:
    """The figures for a person."""
    rate = f"{result.frames_per_second:g} frames/s" if result.frames_per_second else "automatic rate"
    return "\n".join(
        (
            f"{result.members} members in {result.seconds:.1f} s, {result.frames} frames shown ({rate})",
            f"10 ms timer in the window's thread: median {result.late_median_ms:.1f} ms late, 99 % within "
            f"{result.late_99_ms:.0f} ms, worst {result.late_worst_ms:.0f} ms; "
            f"later than 100 ms: {100 * result.late_share:.2f} %",
            f"memory from the second member to the last: {result.memory_growth_mb:+.0f} MB",
            f"watching slows the run by {100 * result.slowdown:+.1f} %",
        )
    )
