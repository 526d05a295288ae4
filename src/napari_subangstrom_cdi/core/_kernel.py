"""The fast Fourier projection: pruned, cache-blocked, in place. Its reference is ``AmplitudeBand.project``.

The estimate lives on a box that encloses the support; everything around it is zero. So the first
pass of the transform runs over the box's rows only, and the last one writes only these. Between
them, a block of columns is transformed, clipped to its amplitude band and transformed back while it
is in the cache. The box sits in the array's corner: a translation changes phases only, and an
amplitude band does not see them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from .fourier import to_fft_order
from .regions import AmplitudeBand, Region

Complex = NDArray[np.complex64]
Float = NDArray[np.float32]
Item = TypeVar("Item")
Result = TypeVar("Result")

_BLOCK = 64
_TINY = np.float32(1e-30)


def default_workers() -> int:
    """Threads for the transforms: the processors this process may use, at most eight."""
    import os

    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, available))


class FourierKernel:
    """Amplitude projection of an estimate on a box, and the sums that its R-factors need.

    Parameters
    ----------
    band : AmplitudeBand
        Limits of the amplitude, centred, shape (n, n).
    measured : ndarray of float32, shape (n, n)
        Measured amplitude √I, centred.
    regions : ndarray of uint8, shape (n, n)
        Codes of :class:`.Region`, centred.
    held_out : ndarray of bool, shape (n, n)
        Pixels of G that are left free and judged by the free R-factor.
    q_px : ndarray of float32, shape (n, n)
        |q| of each pixel in the unit of the q limits, centred.
    workers : int
        Threads.

    Notes
    -----
    Blocks are the same whatever the number of threads, and sums are taken in block order, so the
    result does not depend on ``workers``.
    """

    def __init__(
        self,
        band: AmplitudeBand,
        measured: Float,
        regions: NDArray[np.uint8],
        held_out: NDArray[np.bool_],
        q_per_angstrom: Float,
        *,
        workers: int,
    ) -> None:
        self.n = measured.shape[0]
        self.step = min(_BLOCK, self.n)
        good = (regions == Region.G) & ~held_out
        lower = np.where(held_out, np.float32(0), band.lower)
        upper = np.where(held_out, np.float32(np.inf), band.upper)
        self._demanded = self._blocks(lower)
        self._upper = self._blocks(upper)
        self._lower = [block.copy() for block in self._demanded]
        self._q = self._blocks(q_per_angstrom)
        self._q_limit = np.inf
        amplitude, kept, free = (self._blocks(a) for a in (measured, good, held_out))
        self._good = [
            (np.flatnonzero(k), a.ravel()[np.flatnonzero(k)]) for k, a in zip(kept, amplitude, strict=True)
        ]
        self._free = [
            (np.flatnonzero(k), a.ravel()[np.flatnonzero(k)]) for k, a in zip(free, amplitude, strict=True)
        ]
        self._good_total = sum(float(a.sum(dtype=np.float64)) for _, a in self._good)
        self._free_total = sum(float(a.sum(dtype=np.float64)) for _, a in self._free)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="retrieval") if workers > 1 else None
        self._workers = workers

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def limit_q(self, q_limit: float) -> None:
        """Demand amplitudes only up to this |q|; beyond, the measured ones are upper limits."""
        if q_limit == self._q_limit:
            return
        self._q_limit = q_limit

        def set_block(k: int) -> None:
            np.multiply(self._demanded[k], self._q[k] <= q_limit, out=self._lower[k])

        self._map(set_block, range(len(self._lower)))

    def project(self, estimate: Complex) -> tuple[Complex, float, float]:
        """Project a box onto the band.

        Parameters
        ----------
        estimate : ndarray of complex64, shape (height, width)
            The box; not changed.

        Returns
        -------
        projected : ndarray of complex64, shape (height, width)
            The projection, cropped to the box.
        r_factor, free_r : float
            Σ||F| − √I| / Σ√I of ``estimate`` over G and over the held-out pixels (NaN if none).
        """
        rows = self._forward_rows(estimate)
        back = np.empty_like(rows)

        def column_block(k: int) -> tuple[float, float]:
            columns = slice(k * self.step, (k + 1) * self.step)
            spectrum, amplitude = self._column_spectrum(rows[:, columns])
            sums = self._misfit(k, amplitude)
            wanted = np.minimum(amplitude, self._upper[k])
            np.maximum(wanted, self._lower[k], out=wanted)
            np.maximum(amplitude, _TINY, out=amplitude)
            wanted /= amplitude
            spectrum *= wanted
            field = scipy.fft.ifft(spectrum, axis=0, overwrite_x=True)
            back[:, columns] = field[: rows.shape[0]]
            return sums

        r_factor, free_r = self._r_factors(self._map(column_block, range(len(self._upper))))
        projected = np.empty(estimate.shape, np.complex64)

        def row_block(part: slice) -> None:
            projected[part] = scipy.fft.ifft(back[part], axis=1, overwrite_x=True)[:, : estimate.shape[1]]

        self._map(row_block, self._row_parts(estimate.shape[0]))
        return projected, r_factor, free_r

    def r_factors(self, estimate: Complex) -> tuple[float, float]:
        """R-factor and free R of a box, without projecting it."""
        rows = self._forward_rows(estimate)

        def column_block(k: int) -> tuple[float, float]:
            return self._misfit(k, self._column_spectrum(rows[:, k * self.step : (k + 1) * self.step])[1])

        return self._r_factors(self._map(column_block, range(len(self._upper))))

    def _blocks(self, centred: NDArray[np.generic]) -> list[NDArray[np.generic]]:  # type: ignore[type-arg]
        ordered = to_fft_order(centred)
        return [np.ascontiguousarray(ordered[:, k : k + self.step]) for k in range(0, self.n, self.step)]

    def _map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        if self._pool is None:
            return [function(item) for item in items]
        return list(self._pool.map(function, items))

    def _row_parts(self, height: int) -> list[slice]:
        size = -(-height // max(1, self._workers))
        return [slice(start, min(height, start + size)) for start in range(0, height, size)]

    def _forward_rows(self, estimate: Complex) -> Complex:
        rows = np.empty((estimate.shape[0], self.n), np.complex64)

        def part(block: slice) -> None:
            padded = np.zeros((block.stop - block.start, self.n), np.complex64)
            padded[:, : estimate.shape[1]] = estimate[block]
            rows[block] = scipy.fft.fft(padded, axis=1, overwrite_x=True)

        self._map(part, self._row_parts(estimate.shape[0]))
        return rows

    def _column_spectrum(self, rows: Complex) -> tuple[Complex, Float]:
        padded = np.zeros((self.n, rows.shape[1]), np.complex64)
        padded[: rows.shape[0]] = rows
        spectrum = scipy.fft.fft(padded, axis=0, overwrite_x=True)
        return spectrum, np.abs(spectrum)

    def _misfit(self, k: int, amplitude: Float) -> tuple[float, float]:
        flat = amplitude.ravel()
        return tuple(  # type: ignore[return-value]
            float(np.abs(flat[index] - measured).sum(dtype=np.float64))
            for index, measured in (self._good[k], self._free[k])
        )

    def _r_factors(self, sums: list[tuple[float, float]]) -> tuple[float, float]:
        good, free = (sum(column) for column in zip(*sums, strict=True))
        return (
            good / self._good_total if self._good_total else float("nan"),
            free / self._free_total if self._free_total else float("nan"),
        )
