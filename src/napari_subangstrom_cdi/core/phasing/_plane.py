"""The amplitude band and the measured amplitudes, cut into blocks of columns for the fast projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.fourier import to_fft_order
from napari_subangstrom_cdi.core.types import Bool, Complex64, Float32

from .regions import AmplitudeBand, Region

Known = tuple[NDArray[np.intp], Float32]
"""Flat indices in a block and the measured amplitudes there."""

BLOCK_ELEMENTS = 1 << 16
"""Of a block: its spectrum, amplitudes and limits fit in a core's second-level cache."""
_TINY = np.float32(1e-18)
"""A coefficient below it has no phase and gets zero, as in ``AmplitudeBand.project``."""


@dataclass(frozen=True)
class Maps:
    """What is known of each pixel, in FFT order, shape (n, n)."""

    lower: Float32
    upper: Float32
    measured: Float32
    good: Bool
    free: Bool
    q: Float32

    @classmethod
    def from_centred(
        cls, band: AmplitudeBand, measured: Float32, regions: NDArray[np.uint8], held_out: Bool, q_per_angstrom: Float32
    ) -> Maps:
        """Take what a retrieval is given, with the held-out pixels free."""
        lower = np.where(held_out, np.float32(0), band.lower)
        upper = np.where(held_out, np.float32(np.inf), band.upper)
        good = (regions == Region.G) & ~held_out
        return cls(*(to_fft_order(a) for a in (lower, upper, measured, good, held_out, q_per_angstrom)))

    def mirrored(self) -> Maps:
        """The same at -q."""
        return Maps(*(np.roll(a[::-1, ::-1], 1, axis=(0, 1)) for a in vars(self).values()))


class Workspace:
    """Buffers of one thread, reused from block to block."""

    def __init__(self, size: int) -> None:
        self._complex = np.empty(size, np.complex64)
        self._real = np.empty((3, size), np.float32)

    def lay_out(self, shape: tuple[int, ...]) -> None:
        """Give the buffers the shape of a block."""
        size = shape[0] * shape[1]
        self.spectrum = self._complex[:size].reshape(shape)
        self.amplitude, self.wanted, self.other = (flat[:size].reshape(shape) for flat in self._real)
        self.pair = self._real[1:].ravel()[: 2 * size].reshape(shape[0], -1)  # over the last two


@dataclass
class _Limits:
    """The band in a block; ``lower`` is ``demanded`` up to the q limit and zero beyond."""

    demanded: Float32
    upper: Float32
    lower: Float32

    def clip(self, amplitude: Float32, out: Float32) -> Float32:
        np.minimum(amplitude, self.upper, out=out)
        return np.maximum(out, self.lower, out=out)


@dataclass
class Block:
    """Columns that are transformed together, and what is known of them."""

    columns: slice
    q: Float32
    limits: list[_Limits]
    good: Known
    free: Known
    q_limit: float = np.inf

    def limit_q(self, q_limit: float) -> None:
        """Demand amplitudes up to this |q| only."""
        if q_limit != self.q_limit:
            self.q_limit = q_limit
            for limits in self.limits:
                limits.lower = np.where(self.q <= q_limit, limits.demanded, np.float32(0))

    def misfit(self, amplitude: Float32) -> tuple[float, float]:
        """Σ||F| − √I| over G and over the held-out pixels."""
        return _misfit(amplitude, self.good), _misfit(amplitude, self.free)

    def clip(self, spectrum: Complex64, amplitude: Float32, work: Workspace) -> None:
        """Bring the spectrum into the band, in place; with two bands, to the sum of both results."""
        if amplitude.min() < _TINY:
            vanishing = amplitude < _TINY
            spectrum[vanishing] = amplitude[vanishing] = _TINY
        wanted = self.limits[0].clip(amplitude, work.wanted)
        for limits in self.limits[1:]:
            wanted += limits.clip(amplitude, work.other)
        wanted /= amplitude
        spectrum *= wanted


def _misfit(amplitude: Float32, known: Known) -> float:
    index, measured = known
    if not index.size:
        return 0.0
    difference = amplitude.ravel().take(index)
    difference -= measured
    return float(np.abs(difference, out=difference).sum(dtype=np.float64))


@dataclass(frozen=True)
class Plane:
    """Blocks of the whole Fourier plane, or of its half for a real estimate.

    All amplitudes are multiplied by ``scale``, which holds the norm of the inverse transform and
    the mean over the band at q and that at -q.
    """

    blocks: list[Block]
    columns: int
    scale: np.float32
    totals: tuple[float, float]

    @classmethod
    def whole(cls, maps: Maps) -> Plane:
        """Every column, for a complex estimate."""
        return cls._build([maps], maps.q.shape[1])

    @classmethod
    def half(cls, maps: Maps) -> Plane:
        """Columns 0 to n/2 with the band at q and that at -q, for a real estimate."""
        n = maps.q.shape[1]
        opposite = maps.mirrored()
        for own in (0, n // 2):  # these columns hold both q and -q: count their pixels once
            opposite.good[:, own] = opposite.free[:, own] = False
        return cls._build([maps, opposite], n // 2 + 1)

    @classmethod
    def _build(cls, sides: list[Maps], columns: int) -> Plane:
        n = sides[0].q.shape[0]
        scale = np.float32(1 / (n * n * len(sides)))
        count = max(1, columns * n // BLOCK_ELEMENTS)
        edges = [columns * k // count for k in range(count + 1)]
        blocks = [_cut(sides, slice(edges[k], edges[k + 1]), scale) for k in range(count)]
        good = sum(float(block.good[1].sum(dtype=np.float64)) for block in blocks)
        free = sum(float(block.free[1].sum(dtype=np.float64)) for block in blocks)
        return cls(blocks, columns, scale, (good, free))

    def r_factors(self, misfits: list[tuple[float, float]]) -> tuple[float, float]:
        """R-factor and free R from the blocks' misfits; NaN where there is no pixel."""
        sums = (sum(part) for part in zip(*misfits, strict=True))
        r_factor, free_r = (
            part / total if total else float("nan") for part, total in zip(sums, self.totals, strict=True)
        )
        return r_factor, free_r


def _cut(sides: list[Maps], columns: slice, scale: np.float32) -> Block:
    def known(masks: list[Bool]) -> Known:
        where = [np.flatnonzero(mask[:, columns]) for mask in masks]
        values = [side.measured[:, columns].ravel()[i] for side, i in zip(sides, where, strict=True)]
        return np.concatenate(where), np.concatenate(values) * scale

    limits = []
    for side in sides:
        lower, upper = side.lower[:, columns] * scale, side.upper[:, columns] * scale
        limits.append(_Limits(lower, upper, lower))
    q = np.ascontiguousarray(sides[0].q[:, columns])
    return Block(columns, q, limits, known([side.good for side in sides]), known([side.free for side in sides]))
