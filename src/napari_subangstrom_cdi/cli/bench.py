"""How fast an iteration is, beside the fastest Fourier transform that the same process has to offer."""

from __future__ import annotations

import json
import platform
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from statistics import median
from typing import Any

import numpy as np
import scipy.fft

from napari_subangstrom_cdi.core.fourier import transform
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing._crew import default_workers
from napari_subangstrom_cdi.core.phasing.regions import AmplitudeBand, Region
from napari_subangstrom_cdi.core.phasing.retrieval import Problem, iterate
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.core.types import Complex64
from napari_subangstrom_cdi.errors import InputError

Pair = Callable[[Complex64], Complex64]

ITERATIONS = {
    "ER, complex object": Stage("bench", 1 << 30, "er", ("support",)),
    "ER, real object": Stage("bench", 1 << 30, "er", ("real", "low-density", "support")),
    "HIO, complex object": Stage("bench", 1 << 30, "hio", ("support",)),
    "HIO, real object": Stage("bench", 1 << 30, "hio", ("real", "support")),
    "RAAR, non-negative object": Stage("bench", 1 << 30, "raar", ("real", "non-negative", "support"), beta=0.87),
}
"""What is timed; every iteration includes the R-factor and the free R-factor of its estimate."""

SUPPORT_SIDE = 0.25
"""Support over array, along a side: as in the sample, 260 of 1,024 pixels."""
MAX_SIDE = 8192


@dataclass(frozen=True)
class Timing:
    """Median time of one iteration, and its ratio to the fastest transform pair of that size."""

    name: str
    milliseconds: float
    ratio: float


@dataclass(frozen=True)
class SizeResult:
    """The figures of one array size.

    Parameters
    ----------
    n : int
        Side of the array.
    fft_pairs : tuple of (str, float)
        Libraries and the median ms of a forward and an inverse complex64 transform, fastest first.
    iterations : tuple of Timing
        One for each of :data:`ITERATIONS`.
    memory_mb : float
        Peak memory of the problem and one run on it, 10⁶ bytes: the largest of the iterations'.
    """

    n: int
    fft_pairs: tuple[tuple[str, float], ...]
    iterations: tuple[Timing, ...]
    memory_mb: float


@dataclass(frozen=True)
class BenchResult:
    """The whole benchmark; ``asdict`` of it can be written as JSON."""

    workers: int
    repeats: int
    machine: str
    sizes: tuple[SizeResult, ...]

    def to_json(self) -> str:
        """The figures for machines."""
        return json.dumps(asdict(self), indent=2)


def run_bench(
    sizes: Sequence[int] = (512, 1024, 2048), *, repeats: int = 15, workers: int | None = None
) -> BenchResult:
    """Time iterations and transforms in turn, so that whatever else the machine does hits both.

    Parameters
    ----------
    sizes : sequence of int
        Sides of the arrays.
    repeats : int
        Rounds; in each, every library and every iteration has its turn. Medians are kept.
    workers : int, optional
        Threads for both; by default the processors at hand, at most eight.

    Raises
    ------
    InputError
        If a size is odd, too small or too large, or there are no repeats.
    """
    if repeats < 1:
        raise InputError(f"{repeats} repeats", mend="give at least one")
    for n in sizes:
        if n < 64 or n > MAX_SIDE or n % 2:
            raise InputError(f"an array of {n} pixels a side", mend=f"give even numbers from 64 to {MAX_SIDE}")
    threads = workers or default_workers()
    results = tuple(_bench_size(n, repeats, threads) for n in sizes)
    return BenchResult(threads, repeats, platform.processor() or platform.machine(), results)


def format_bench(result: BenchResult) -> str:
    """The benchmark as text."""
    lines = [f"one iteration, {result.workers} thread(s), complex64, medians of {result.repeats} interleaved rounds"]
    for size in result.sizes:
        (fastest, pair_ms), *others = size.fft_pairs
        lines += ["", f"{size.n} x {size.n}, support about {round(size.n * SUPPORT_SIDE)} pixels a side"]
        lines.append(f"  {'fastest FFT pair: ' + fastest:<34}{pair_ms:9.2f} ms   ratio 1.00")
        lines += [f"  {t.name:<34}{t.milliseconds:9.2f} ms   ratio {t.ratio:.2f}" for t in size.iterations]
        lines.append(f"  {'memory of a problem and its run':<34}{size.memory_mb:9.0f} MB")
        if others:
            lines.append("  other FFT pairs: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in others))
    return "\n".join(lines)


def fft_pairs(workers: int) -> dict[str, Pair]:
    """Forward and inverse 2-D complex transforms, one after the other, by every library that is installed.

    Each leaves its input as it was. None of them is a dependency but scipy.
    """
    pairs: dict[str, Pair] = {}
    for count in sorted({1, workers}):
        pairs[f"scipy.fft, {count} thread(s)"] = _scipy_pair(count)
    for name, make in (("pyfftw", _pyfftw_pair), ("mkl_fft", _mkl_pair), ("ducc0", _ducc_pair), ("torch", _torch_pair)):
        try:
            pairs[f"{name}, {workers} thread(s)"] = make(workers)
        except ImportError:
            continue
    return pairs


def example_problem(n: int, *, seed: int = 0) -> Problem:
    """A particle of bright columns whose pattern has all three regions and noise."""
    rng = np.random.default_rng(seed)
    grid = Grid(n, 400.0 * n / 1024)
    radius = grid.radius_px()
    support = radius <= 0.5 * SUPPORT_SIDE * n
    columns = np.where(support, rng.random(grid.shape, dtype=np.float32) ** 8, 0)
    amplitude = np.abs(transform(columns.astype(np.complex64)))
    measured = (amplitude * rng.uniform(0.95, 1.05, grid.shape)).astype(np.float32)
    threshold = np.quantile(measured, 0.9)
    regions = np.where(measured > threshold, Region.G, Region.B).astype(np.uint8)
    regions[(radius < n / 64) | (radius > 0.49 * n)] = Region.M
    fixed = np.where(regions == Region.G, measured, 0.3 * measured).astype(np.float32)
    missing = regions == Region.M
    band = AmplitudeBand(np.where(missing, np.float32(0), fixed), np.where(missing, np.float32(np.inf), fixed))
    return Problem(grid, measured, band, regions, support)


def _bench_size(n: int, repeats: int, workers: int) -> SizeResult:
    problem = example_problem(n)
    rng = np.random.default_rng(1)
    field = rng.standard_normal((n, n), dtype=np.float32).astype(np.complex64)
    start = np.where(problem.support, np.abs(field), 0).astype(np.complex64)
    pairs = fft_pairs(workers)
    runs = {name: iterate(problem, (stage,), start, workers=workers) for name, stage in ITERATIONS.items()}
    calls: dict[str, Callable[[], object]] = {name: partial(pair, field) for name, pair in pairs.items()}
    calls |= {name: run.__next__ for name, run in runs.items()}
    try:
        times = interleaved(calls, repeats)
    finally:
        for run in runs.values():
            run.close()
    ranked = sorted(((name, times[name]) for name in pairs), key=lambda item: item[1])
    fastest = ranked[0][1]
    timings = tuple(Timing(name, times[name], times[name] / fastest) for name in runs)
    return SizeResult(
        n, tuple(ranked), timings, max(_peak_memory_mb(n, stage, workers) for stage in ITERATIONS.values())
    )


def interleaved(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median ms of each call, in rounds; the first calls plan and allocate and do not count."""
    for call in calls.values():
        call()
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: median(values) for name, values in times.items()}


def _peak_memory_mb(n: int, stage: Stage, workers: int) -> float:
    """Peak of what Python and numpy allocate for one problem and two of its iterations."""
    tracemalloc.start()
    try:
        problem = example_problem(n)
        start = problem.support.astype(np.complex64)
        tracemalloc.reset_peak()  # making up the example costs more than holding it
        run = iterate(problem, (stage,), start, workers=workers)
        for _ in range(2):
            next(run)
        run.close()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def _scipy_pair(workers: int) -> Pair:
    def pair(field: Complex64) -> Complex64:
        spectrum = scipy.fft.fft2(field, workers=workers)
        return scipy.fft.ifft2(spectrum, workers=workers, overwrite_x=True)

    return pair


def _pyfftw_pair(workers: int) -> Pair:
    pyfftw: Any = import_module("pyfftw")
    plans: dict[tuple[int, ...], Any] = {}

    def pair(field: Complex64) -> Complex64:
        if field.shape not in plans:
            buffers = [pyfftw.empty_aligned(field.shape, "complex64") for _ in range(2)]
            options = {"axes": (0, 1), "threads": workers, "flags": ("FFTW_MEASURE",)}
            plans[field.shape] = (
                pyfftw.FFTW(*buffers, **options),
                pyfftw.FFTW(*buffers[::-1], direction="FFTW_BACKWARD", **options),
            )
        forward, backward = plans[field.shape]
        forward.input_array[...] = field
        forward()
        result: Complex64 = backward()
        return result

    return pair


def _mkl_pair(workers: int) -> Pair:
    mkl_fft: Any = import_module("mkl_fft")

    def pair(field: Complex64) -> Complex64:
        result: Complex64 = mkl_fft.ifft2(mkl_fft.fft2(field))
        return result

    return pair


def _ducc_pair(workers: int) -> Pair:
    ducc: Any = import_module("ducc0.fft")

    def pair(field: Complex64) -> Complex64:
        spectrum = ducc.c2c(field, nthreads=workers)
        result: Complex64 = ducc.c2c(spectrum, forward=False, inorm=2, nthreads=workers, out=spectrum)
        return result

    return pair


def _torch_pair(workers: int) -> Pair:
    torch: Any = import_module("torch")
    torch.set_num_threads(workers)

    def pair(field: Complex64) -> Complex64:
        result: Complex64 = torch.fft.ifft2(torch.fft.fft2(torch.from_numpy(field))).numpy()
        return result

    return pair
