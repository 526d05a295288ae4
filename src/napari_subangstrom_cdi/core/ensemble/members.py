"""Many runs from many starts: what they agree on is the result, where they differ is its error."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.fourier import fit_to_size, shift
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.phasing.retrieval import InForce, Problem, Retrieval, Snapshot, iterate, support_box
from napari_subangstrom_cdi.core.phasing.schedule import Schedule, vary
from napari_subangstrom_cdi.core.types import Bool, Complex64, Float32
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.parameters import Parameter, check

from .superposition import Alignment, align, object_origin


@dataclass(frozen=True)
class EnsembleSettings:
    """How members differ and how they are put together.

    Parameters
    ----------
    members : int
        Runs.
    seed : int
        Member k of a seed is the same in every run of the same version on the same machine.
    noise : float
        Standard deviation of the noise N added to the image, in units of the image's own inside
        the support.
    spread : float
        Members differ in density threshold and image weight by a factor drawn log-normally with
        this standard deviation; 0 for N alone, as in the paper.
    free_fraction : float
        Share of the pixels of G that each member leaves out and is judged by; another set each.
    reject_below : float
        Members whose median correlation with the others is lower than this share of the best
        member's are left out of the average.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # recipes: no misspelt keys

    members: Annotated[int, Parameter("Members", "Independent runs that are averaged.", low=1)] = 20
    seed: Annotated[int, Parameter("Seed", "The same seed gives the same members.", low=0)] = 0
    noise: Annotated[
        float,
        Parameter(
            "N",
            "Noise added to the image each member starts from, in standard deviations of the image itself.",
            unit="σ",
            low=0,
            step=0.05,
        ),
    ] = 0.5
    spread: Annotated[
        float,
        Parameter(
            "Spread",
            "Members differ in density threshold and image weight by factors of this scatter; the paper's is 0.",
            low=0,
            step=0.05,
            advanced=True,
        ),
    ] = 0.2
    free_fraction: Annotated[
        float,
        Parameter(
            "Free fraction",
            "Share of the pixels of G that each member is not shown and is judged by: free R.",
            low=0,
            below=0.5,
            step=0.01,
            advanced=True,
        ),
    ] = 0.02
    reject_below: Annotated[
        float,
        Parameter(
            "Reject below",
            "Members that correlate with the others less than this share of the best one are not averaged.",
            low=0,
            high=1,
            step=0.05,
            advanced=True,
        ),
    ] = 0.85

    def __post_init__(self) -> None:
        check(self, "ensemble")


@dataclass(frozen=True)
class Ensemble:
    """Aligned members and their average. Arrays are centred, shape (n, n) unless said.

    Parameters
    ----------
    mean : ndarray of complex64
        Average of the members kept.
    deviation : ndarray of float32
        Standard deviation between them, of the complex value.
    members : ndarray of complex64, shape (members, height, width)
        Every member on the box, aligned.
    box : tuple of slice
        Where the members lie in the array.
    kept : tuple of bool
        Which members are in the average.
    alignments : tuple of Alignment
        What brought each member onto the reference.
    runs : tuple of Retrieval
        R-factors and history of each; their estimates are dropped.
    reference : int
        The member that agrees best with the others.
    origin_shift_px : (float, float)
        How far the reference was moved to put its origin at element n // 2; see :func:`.superposition.object_origin`.
    """

    mean: Complex64
    deviation: Float32
    members: Complex64
    box: tuple[slice, slice]
    kept: tuple[bool, ...]
    alignments: tuple[Alignment, ...]
    runs: tuple[Retrieval, ...]
    reference: int
    origin_shift_px: tuple[float, float]


def member_generator(seed: int, member: int) -> np.random.Generator:
    """The random numbers of one member: independent of how many members there are."""
    return np.random.default_rng([seed, member])


def hold_out(regions: NDArray[np.uint8], fraction: float, rng: np.random.Generator) -> Bool:
    """Choose about this share of G in patches of 3 x 3 pixels, so that neighbours do not tell.

    With each pixel goes its Friedel mate, which tells the same of a real object.
    """
    good = regions == Region.G
    share = 1 - (1 - fraction) ** (1 / 18)  # of the seeds: each pixel is in reach of 2 x 9 of them
    seeds = rng.random(good.shape, dtype=np.float32) < share
    seeds |= np.roll(seeds[::-1, ::-1], (1, 1), (0, 1))
    return ndi.binary_dilation(seeds, np.ones((3, 3))) & good


def start_estimate(problem: Problem, noise: float, rng: np.random.Generator) -> Complex64:
    """First estimate of a member: the model or the image's potential with N, or random without either.

    Without an image the start is a random field inside the support that has the pattern's total
    intensity.
    """
    support = problem.support
    field = rng.standard_normal(support.shape, dtype=np.float32)
    if problem.model is not None:
        spread = noise * float(np.abs(problem.model[support]).std())
        return np.where(support, problem.model + np.float32(spread) * field, 0).astype(np.complex64)
    if problem.image is not None:
        scale = noise * float(problem.image[support].std())
        return np.where(support, problem.image + np.float32(scale) * field, 0).astype(np.complex64)
    flat = np.where(support, np.abs(field), 0)
    wanted = float(np.sum(problem.measured.astype(np.float64) ** 2)) / support.size
    return (flat * np.sqrt(wanted / np.sum(flat.astype(np.float64) ** 2))).astype(np.complex64)


def iterate_ensemble(
    problem: Problem,
    schedule: Schedule,
    settings: EnsembleSettings,
    *,
    wants_estimate: Callable[[int, int], bool] | None = None,
    workers: int | None = None,
    on_member: Callable[[int, Retrieval], None] | None = None,
    steer: Callable[[int, int], InForce | None] | None = None,
) -> Generator[tuple[int, Snapshot], None, list[Retrieval]]:
    """Run the members one after another; yield ``(member, snapshot)`` every iteration.

    What is steered stays in force for the rest of the run: a member begins, its start and held-out pixels too,
    with the problem and β that the one before ended with. The same answers at the same member and iteration
    give the same bits. Finished members are cut to the centred square that holds their support.

    Parameters
    ----------
    problem, schedule, settings
        The data, the stages, and how the members differ.
    wants_estimate : callable, optional
        ``wants_estimate(member, iteration)``, asked after each iteration with its number from 1: whether the
        snapshot shall carry the estimate. By default none does.
    workers : int, optional
        Threads; by default the processors at hand.
    on_member : callable, optional
        Hears of each finished member, so that nothing finished is lost if the generator is closed.
    steer : callable, optional
        ``steer(member, done)``, asked before each iteration with the number of iterations that the member has
        done, with 0 before its start is made: what the run is steered to, or None to let it go on.

    Raises
    ------
    InputError, ArithmeticError
        As :func:`.retrieval.iterate` does.
    """
    force = _InForce(problem, steer)
    finished: list[Retrieval] = []
    for member in range(settings.members):
        force.begin(member)
        start, held_out, own_schedule = member_inputs(force.problem, schedule, settings, member)
        run = iterate(
            force.problem,
            own_schedule,
            start,
            held_out=held_out,
            wants_estimate=partial(wants_estimate, member) if wants_estimate is not None else None,
            workers=workers,
            steer=partial(force.later, member),
            beta=force.beta,
        )
        while True:
            try:
                yield member, next(run)
            except StopIteration as stop:
                finished.append(_compact(stop.value, force.problem.support))
                break
        if on_member is not None:
            on_member(member, finished[-1])
    return finished


def _compact(result: Retrieval, support: Bool) -> Retrieval:
    """Without the zeros around the support: at 1,024² they are 8 MB a member."""
    middle = support.shape[0] // 2
    reach = max(max(middle - part.start, part.stop - middle) for part in support_box(support))
    return replace(result, estimate=fit_to_size(result.estimate, min(support.shape[0], 2 * reach)))


class _InForce:
    """The problem and β that hold: those of the last answer, through all members."""

    def __init__(self, problem: Problem, steer: Callable[[int, int], InForce | None] | None) -> None:
        self._steer = steer
        self._take(InForce(problem))

    def begin(self, member: int) -> None:
        """Ask before the member's start is made."""
        steered = self._steer(member, 0) if self._steer is not None else None
        if steered is not None:
            steered.check_follows(self.problem)
            self._take(steered)

    def later(self, member: int, done: int) -> InForce | None:
        """Ask between its iterations; before the first it has been asked."""
        steered = self._steer(member, done) if self._steer is not None and done else None
        if steered is not None:
            self._take(steered)
        return steered

    def _take(self, steered: InForce) -> None:
        self.problem, self.beta = steered.problem, steered.beta


def member_inputs(
    problem: Problem, schedule: Schedule, settings: EnsembleSettings, member: int
) -> tuple[Complex64, Bool, Schedule]:
    """Start, held-out pixels and schedule of one member, drawn in this order from its own random numbers."""
    rng = member_generator(settings.seed, member)
    start = start_estimate(problem, settings.noise, rng)
    factors = np.exp(settings.spread * rng.standard_normal(2))
    held_out = hold_out(problem.regions, settings.free_fraction, rng)
    return start, held_out, vary(schedule, float(factors[0]), float(factors[1]))


def combine(
    problem: Problem, runs: list[Retrieval], settings: EnsembleSettings, *, reach: Bool | None = None
) -> Ensemble:
    """Align finished members and average those that agree.

    Parameters
    ----------
    problem : Problem
        The data; after a steered run, those in force at its end.
    runs : list of Retrieval
        The finished members.
    settings : EnsembleSettings
        Which members to reject.
    reach : ndarray of bool, shape (n, n), optional
        Where any member may be other than zero: the union of the supports that were in force, if these
        changed. Members are compared in it and none is cropped to less. The problem's support is always in it.

    Raises
    ------
    InputError
        If there is no member, or ``reach`` has the wrong shape.
    """
    if not runs:
        raise InputError("no finished member to average", mend="let at least one member finish")
    reach = _reach(problem, reach)
    frame = _frame(problem.grid, reach)
    fields = [fit_to_size(run.estimate, frame.n) for run in runs]
    first = int(np.argmax([_fitness(run) for run in runs]))
    # Without an image members may be twins, and most may be stuck: the one of lowest R judges, not their majority.
    judge = first if problem.image is None else None
    rough = _aligned(fields, fields[first], reach, frame, judge)
    reference = int(np.argmax(rough.agreement())) if judge is None else judge
    centre = object_origin(rough.fields[reference], frame)
    origin = (-centre[0], -centre[1])
    reach = moved_mask(reach, origin)
    final = _aligned(fields, shift(rough.fields[reference], origin), reach, frame, judge)
    agreement = final.agreement()
    kept = agreement >= settings.reject_below * agreement.max()
    mean, deviation = _mean_and_deviation([field for field, keep in zip(final.fields, kept, strict=True) if keep])
    n = problem.grid.n
    box = _padded(support_box(reach), n, margin=8)
    return Ensemble(
        mean=fit_to_size(mean, n),
        deviation=fit_to_size(deviation, n),
        members=np.stack([fit_to_size(field, n)[box] for field in final.fields]),
        box=box,
        kept=tuple(bool(k) for k in kept),
        alignments=tuple(final.alignments),
        runs=tuple(replace(run, estimate=run.estimate[:0, :0]) for run in runs),
        reference=reference,
        origin_shift_px=origin,
    )


@dataclass(frozen=True)
class _Aligned:
    """Members in one frame, how they came there, and how they agree.

    Parameters
    ----------
    fields : list of ndarray of complex64
        The members.
    alignments : list of Alignment
        What was done to each.
    correlations : ndarray, shape (k, k)
        Modulus of the complex correlation of every pair, where any of them may be other than zero.
    judge : int or None
        The member that the others have to agree with; None for their majority.
    """

    fields: list[Complex64]
    alignments: list[Alignment]
    correlations: NDArray[np.float64]
    judge: int | None

    def agreement(self) -> NDArray[np.float64]:
        """Of each member, with the judge or with the majority."""
        if self.judge is not None:
            return self.correlations[self.judge]
        return np.asarray(np.median(self.correlations, axis=1))


def _aligned(fields: list[Complex64], reference: Complex64, reach: Bool, frame: Grid, judge: int | None) -> _Aligned:
    """Members brought onto a reference; their twins, too, where one of them judges."""
    pairs = [align(field, reference, frame.pixel_angstrom, allow_twin=judge is not None) for field in fields]
    moved = [field for field, _ in pairs]
    return _Aligned(moved, [how for _, how in pairs], _correlations(moved, fit_to_size(reach, frame.n)), judge)


def _mean_and_deviation(fields: list[Complex64]) -> tuple[Complex64, Float32]:
    stack = np.stack(fields)
    mean = stack.mean(axis=0, dtype=np.complex64)
    return mean, np.sqrt(np.mean(np.abs(stack - mean) ** 2, axis=0, dtype=np.float32)).astype(np.float32)


def _reach(problem: Problem, reach: Bool | None) -> Bool:
    if reach is None:
        return problem.support
    if reach.shape != problem.grid.shape:
        raise InputError(f"the reach has shape {reach.shape}, the grid {problem.grid.shape}")
    return reach | problem.support


def _frame(grid: Grid, reach: Bool) -> Grid:
    """The centred square that holds all members with room to move: they are zero outside it."""
    n, middle = grid.n, grid.n // 2
    edge = max(max(middle - part.start, part.stop - middle) for part in support_box(reach))
    size = scipy.fft.next_fast_len(2 * (edge + 24))
    size = min(n, size + size % 2)
    return Grid(size, size * grid.pixel_angstrom)


def moved_mask(mask: Bool, shift_px: tuple[float, float]) -> Bool:
    """A mask moved by the nearest whole number of pixels."""
    return np.roll(mask, (round(shift_px[0]), round(shift_px[1])), (0, 1))


def _fitness(run: Retrieval) -> float:
    """A first guess at the best member: agreement with the image, or a low R without one."""
    return run.image_agreement if np.isfinite(run.image_agreement) else -run.r_factor


def _correlations(fields: list[Complex64], support: Bool) -> NDArray[np.float64]:
    """Modulus of the complex correlation of every pair, inside the support."""
    rows = np.stack([field[support] for field in fields]).astype(np.complex128)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    return np.abs(rows.conj() @ rows.T)


def _padded(box: tuple[slice, slice], n: int, *, margin: int) -> tuple[slice, slice]:
    rows, columns = (slice(max(0, part.start - margin), min(n, part.stop + margin)) for part in box)
    return rows, columns
