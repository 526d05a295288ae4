"""The fast Fourier projection: pruned, cache-blocked, in place. Its reference is ``AmplitudeBand.project``.

The estimate lives on a box that encloses the support; everything around it is zero. So the first
pass of the transform runs over the box's rows only, and the last one writes only these. Between
them, a block of columns is transformed, clipped to its amplitude band and transformed back while it
is in the cache. The box sits in the array's corner: a translation changes phases only, and an
amplitude band does not see them.

A real estimate needs half of the plane. The pattern is not centrosymmetric, so the band at q and
the band at -q differ; but F(-q) = F(q)*, so the real part of the projection has the spectrum
F(q) (t(q) + t(-q)) / 2, where t is the factor by which a band changes an amplitude.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.types import Bool, Complex64, Float32

from ._crew import Crew, default_workers
from ._plane import BLOCK_ELEMENTS, Block, Maps, Plane, Workspace
from .regions import AmplitudeBand

__all__ = ["FourierKernel", "default_workers"]

Estimate = TypeVar("Estimate", bound=Complex64 | Float32)


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
    q_per_angstrom : ndarray of float32, shape (n, n)
        |q| of each pixel, centred.
    workers : int
        Threads.

    Notes
    -----
    Blocks are the same whatever the number of threads, and sums are taken in block order, so the
    result does not depend on ``workers``. An estimate of dtype float32 is real: its projection is
    the real part of that of the same complex array, for half of the work.
    """

    def __init__(
        self,
        band: AmplitudeBand,
        measured: Float32,
        regions: NDArray[np.uint8],
        held_out: Bool,
        q_per_angstrom: Float32,
        *,
        workers: int,
    ) -> None:
        self.n = measured.shape[0]
        self._maps = Maps.from_centred(band, measured, regions, held_out, q_per_angstrom)
        self._q_limit = np.inf
        self._rows = np.empty((0, 0), np.complex64)
        self._crew = Crew(workers, partial(Workspace, 2 * max(BLOCK_ELEMENTS, self.n)))

    def close(self) -> None:
        """End the threads."""
        self._crew.close()

    def limit_q(self, q_limit: float) -> None:
        """Demand amplitudes only up to this |q|; beyond, the measured ones are upper limits."""
        self._q_limit = q_limit

    def project(self, estimate: Estimate) -> tuple[Estimate, float, float]:
        """Project a box onto the band.

        Parameters
        ----------
        estimate : ndarray of complex64 or float32, shape (height, width)
            The box; not changed.

        Returns
        -------
        projected : ndarray, shape (height, width)
            The projection, cropped to the box; of a real estimate its real part.
        r_factor, free_r : float
            Σ||F| − √I| / Σ√I of ``estimate`` over G and over the held-out pixels (NaN if none).
        """
        plane = self._plane(estimate)
        rows = self._transform_rows(estimate)

        def column_block(k: int, work: Workspace) -> tuple[float, float]:
            block = plane.blocks[k]
            np.abs(_column_spectrum(rows, block, work), out=work.amplitude)
            misfit = block.misfit(work.amplitude)
            block.limit_q(self._q_limit)
            block.clip(work.spectrum, work.amplitude, work)
            _columns_back(rows, block, work)
            return misfit

        r_factor, free_r = plane.r_factors(self._crew.run(column_block, len(plane.blocks)))
        return self._rows_back(rows, np.empty_like(estimate)), r_factor, free_r

    def zero_spectrum(self) -> list[Complex64]:
        """Spectrum of an empty array, in blocks: where :meth:`feed_back` begins."""
        return [np.zeros(block.q.shape, np.complex64) for block in self._whole.blocks]

    def feed_back(self, spectrum: list[Complex64], change: Complex64, keep: float, gain: float) -> Complex64:
        """Project an array that reaches beyond the box, and mix it with its projection.

        Only its spectrum is kept. Outside the box a rule with feedback mixes two arrays whose
        spectra are at hand; what it does otherwise lies on the box. So both transforms are
        those of the box, and the whole array is never formed.

        Parameters
        ----------
        spectrum : list of ndarray
            Spectrum X of the array, from :meth:`zero_spectrum`; becomes ``keep`` (X + C) +
            ``gain`` P(X + C), with C the spectrum of ``change`` and P the projection.
        change : ndarray of complex64, shape (height, width)
            What is to be added to the array first, on the box.
        keep, gain : float
            Weights.

        Returns
        -------
        ndarray of complex64, shape (height, width)
            The projection on the box, unweighted.
        """
        rows = self._transform_rows(change)

        def column_block(k: int, work: Workspace) -> None:
            block, x = self._whole.blocks[k], spectrum[k]
            x += _column_spectrum(rows, block, work)
            np.copyto(work.spectrum, x)
            np.abs(x, out=work.amplitude)
            block.limit_q(self._q_limit)
            block.clip(work.spectrum, work.amplitude, work)
            _mix(x, work.spectrum, keep, gain, work)
            _columns_back(rows, block, work)

        self._crew.run(column_block, len(self._whole.blocks))
        return self._rows_back(rows, np.empty_like(change))

    def r_factors(self, estimate: Complex64 | Float32) -> tuple[float, float]:
        """R-factor and free R of a box, without projecting it."""
        plane = self._plane(estimate)
        rows = self._transform_rows(estimate)

        def column_block(k: int, work: Workspace) -> tuple[float, float]:
            block = plane.blocks[k]
            return block.misfit(np.abs(_column_spectrum(rows, block, work), out=work.amplitude))

        return plane.r_factors(self._crew.run(column_block, len(plane.blocks)))

    @cached_property
    def _whole(self) -> Plane:
        return Plane.whole(self._maps)

    @cached_property
    def _half(self) -> Plane:
        return Plane.half(self._maps)

    def _plane(self, estimate: Complex64 | Float32) -> Plane:
        return self._half if _is_real(estimate) else self._whole

    def _transform_rows(self, estimate: Complex64 | Float32) -> Complex64:
        """First pass, with the plane's scale."""
        height, width = estimate.shape
        if len(self._rows) < height:
            # eight columns more: at a power of two, the elements of a column share few cache lines
            self._rows = np.empty((height, self.n + 8), np.complex64)
        plane = self._plane(estimate)
        rows = self._rows[:height, : plane.columns]

        def real(part: slice) -> None:
            rows[part] = scipy.fft.rfft(estimate[part] * plane.scale, n=self.n, axis=1)

        def whole(part: slice) -> None:
            np.multiply(estimate[part], plane.scale, out=rows[part, :width])
            rows[part, width:] = 0
            scipy.fft.fft(rows[part], axis=1, overwrite_x=True)

        self._in_row_blocks(real if _is_real(estimate) else whole, height)
        return rows

    def _rows_back(self, rows: Complex64, out: Estimate) -> Estimate:
        """Last pass, cropped to ``out``; ``rows`` are spent."""

        def real(part: slice) -> None:
            out[part] = scipy.fft.irfft(rows[part], n=self.n, axis=1, norm="forward")[:, : out.shape[1]]

        def whole(part: slice) -> None:
            field = scipy.fft.ifft(rows[part], axis=1, norm="forward", overwrite_x=True)
            out[part] = field[:, : out.shape[1]]

        self._in_row_blocks(real if _is_real(out) else whole, len(rows))
        return out

    def _in_row_blocks(self, task: Callable[[slice], None], height: int) -> None:
        count = 2 * -(-height * self.n // (2 * BLOCK_ELEMENTS))
        edges = [height * k // count for k in range(count + 1)]
        self._crew.run(lambda k, _: task(slice(edges[k], edges[k + 1])), count)


def _is_real(estimate: Complex64 | Float32) -> bool:
    return estimate.dtype == np.float32


def _column_spectrum(rows: Complex64, block: Block, work: Workspace) -> Complex64:
    """Second pass of a block of columns, in the thread's buffer."""
    work.lay_out(block.q.shape)
    work.spectrum[: len(rows)] = rows[:, block.columns]
    work.spectrum[len(rows) :] = 0
    work.spectrum = scipy.fft.fft(work.spectrum, axis=0, overwrite_x=True)
    return work.spectrum


def _columns_back(rows: Complex64, block: Block, work: Workspace) -> None:
    """Third pass, from the thread's buffer to the rows."""
    field = scipy.fft.ifft(work.spectrum, axis=0, norm="forward", overwrite_x=True)
    rows[:, block.columns] = field[: len(rows)]


def _mix(x: Complex64, projected: Complex64, keep: float, gain: float, work: Workspace) -> None:
    """Replace ``x`` by ``keep x + gain projected``, by real numbers: complex ones take twice as long."""
    kept = x.view(np.float32)
    added = np.multiply(projected.view(np.float32), np.float32(gain), out=work.pair)
    if keep != 1:
        kept *= np.float32(keep)
    kept += added
