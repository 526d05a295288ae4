"""Many runs from many starts: what they agree on is the result, where they differ is its error."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError

from .alignment import Alignment, align, inversion_centre
from .fourier import fit_to_size, shift
from .grid import Grid
from .regions import Region
from .retrieval import Problem, Retrieval, Snapshot, iterate, support_box
from .schedule import Schedule, vary

Complex = NDArray[np.complex64]
Float = NDArray[np.float32]
Bool = NDArray[np.bool_]


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

    members: int = 20
    seed: int = 0
    noise: float = 0.5
    spread: float = 0.2
    free_fraction: float = 0.02
    reject_below: float = 0.85

    def __post_init__(self) -> None:
        if self.members < 1:
            raise InputError(f"{self.members} members", mend="give at least one")
        if self.seed < 0:
            raise InputError(f"a seed of {self.seed}", mend="give zero or a positive whole number")
        if not 0 <= self.free_fraction < 0.5:
            raise InputError(f"a free fraction of {self.free_fraction:g}", mend="give 0 to 0.5, usually 0.02")
        for name, value in (("noise", self.noise), ("spread", self.spread)):
            if not 0 <= value < np.inf:
                raise InputError(f"a {name} of {value:g}", mend="give zero or more")
        if not 0 <= self.reject_below <= 1:
            raise InputError(f"a rejection level of {self.reject_below:g}", mend="give 0 to 1")


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
        How far the reference was moved to put its centre of inversion at element n // 2.
    """

    mean: Complex
    deviation: Float
    members: Complex
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


def start_estimate(problem: Problem, noise: float, rng: np.random.Generator) -> Complex:
    """First estimate of a member: the image's potential with N, or random without an image.

    Without an image the start is a random field inside the support that has the pattern's total
    intensity.
    """
    support = problem.support
    field = rng.standard_normal(support.shape, dtype=np.float32)
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
    estimate_every: int = 0,
    workers: int | None = None,
    on_member: Callable[[int, Retrieval], None] | None = None,
) -> Generator[tuple[int, Snapshot], None, list[Retrieval]]:
    """Run the members one after another; yield ``(member, snapshot)`` every iteration.

    ``on_member`` hears of each finished member, so that nothing finished is lost if the generator
    is closed.
    """
    finished: list[Retrieval] = []
    for member in range(settings.members):
        rng = member_generator(settings.seed, member)
        start = start_estimate(problem, settings.noise, rng)
        factors = np.exp(settings.spread * rng.standard_normal(2))
        held_out = hold_out(problem.regions, settings.free_fraction, rng)
        run = iterate(
            problem,
            vary(schedule, float(factors[0]), float(factors[1])),
            start,
            held_out=held_out,
            estimate_every=estimate_every,
            workers=workers,
        )
        while True:
            try:
                yield member, next(run)
            except StopIteration as stop:
                finished.append(stop.value)
                break
        if on_member is not None:
            on_member(member, finished[-1])
    return finished


def combine(problem: Problem, runs: list[Retrieval], settings: EnsembleSettings) -> Ensemble:
    """Align finished members and average those that agree.

    Raises
    ------
    InputError
        If there is no member.
    """
    if not runs:
        raise InputError("no finished member to average", mend="let at least one member finish")
    frame = _frame(problem)
    fields = [fit_to_size(run.estimate, frame.n) for run in runs]
    twin = problem.image is None
    first = int(np.argmax([_fitness(run) for run in runs]))
    aligned, _ = _align_all(fields, fields[first], frame, twin)
    correlations = _correlations(aligned, fit_to_size(problem.support, frame.n))
    reference = first if twin else int(np.argmax(np.median(correlations, axis=1)))
    centre = inversion_centre(aligned[reference], frame)
    origin = (-centre[0], -centre[1])
    aligned, how = _align_all(fields, shift(aligned[reference], origin), frame, twin)
    support = moved_mask(problem.support, origin)
    correlations = _correlations(aligned, fit_to_size(support, frame.n))
    # Without an image most members may be stuck; the one of lowest R judges them then, not their majority.
    agreement = correlations[reference] if twin else np.median(correlations, axis=1)
    kept = agreement >= settings.reject_below * agreement.max()
    stack = np.stack([field for field, keep in zip(aligned, kept, strict=True) if keep])
    mean = stack.mean(axis=0, dtype=np.complex64)
    deviation = np.sqrt(np.mean(np.abs(stack - mean) ** 2, axis=0, dtype=np.float32))
    n = problem.grid.n
    box = _padded(support_box(support), n, margin=8)
    return Ensemble(
        fit_to_size(mean, n),
        fit_to_size(deviation.astype(np.float32), n),
        np.stack([fit_to_size(field, n)[box] for field in aligned]),
        box,
        tuple(bool(k) for k in kept),
        tuple(how),
        tuple(replace(run, estimate=run.estimate[:0, :0]) for run in runs),
        reference,
        origin,
    )


def _frame(problem: Problem) -> Grid:
    """The centred square that holds the support with room to move: members are zero outside it."""
    n, middle = problem.grid.n, problem.grid.n // 2
    reach = max(max(middle - part.start, part.stop - middle) for part in problem.box)
    size = scipy.fft.next_fast_len(2 * (reach + 24))
    size = min(n, size + size % 2)
    return Grid(size, size * problem.grid.pixel_angstrom)


def moved_mask(mask: Bool, shift_px: tuple[float, float]) -> Bool:
    """A mask moved by the nearest whole number of pixels."""
    return np.roll(mask, (round(shift_px[0]), round(shift_px[1])), (0, 1))


def _fitness(run: Retrieval) -> float:
    """A first guess at the best member: agreement with the image, or a low R without one."""
    return run.image_agreement if np.isfinite(run.image_agreement) else -run.r_factor


def _align_all(
    fields: list[Complex], reference: Complex, frame: Grid, twin: bool
) -> tuple[list[Complex], list[Alignment]]:
    pairs = [align(field, reference, frame.pixel_angstrom, allow_twin=twin) for field in fields]
    return [field for field, _ in pairs], [how for _, how in pairs]


def _correlations(fields: list[Complex], support: Bool) -> NDArray[np.float64]:
    """Modulus of the complex correlation of every pair, inside the support."""
    rows = np.stack([field[support] for field in fields]).astype(np.complex128)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    return np.abs(rows.conj() @ rows.T)


def _padded(box: tuple[slice, slice], n: int, *, margin: int) -> tuple[slice, slice]:
    rows, columns = (slice(max(0, part.start - margin), min(n, part.stop + margin)) for part in box)
    return rows, columns
