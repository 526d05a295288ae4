"""The wave behind a particle: its atoms slice by slice, or at once."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.electron import interaction_constant, wavelength_angstrom
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing._kernel import default_workers
from napari_subangstrom_cdi.core.types import Complex64, Float32, Float64
from napari_subangstrom_cdi.errors import InputError

from .scattering import POTENTIAL_PER_FACTOR, electron_scattering_factor

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")

# Waves are cut at Nyquist and not at 2/3 of it, below which products cannot fold back: what that cuts changes strong
# reflections of 7 nm of CdS on 0.175 Å pixels by up to a tenth, what folds back by 1 %.
_FINER = 1.5  # Nyquist over the highest |q| that is to be right
_EDGE_ANGSTROM = 5.0
_LARGEST_FIELD = 8192
_BEHIND_ANGSTROM = 1.0  # the exit plane, behind the last atom


@dataclass(frozen=True)
class AtomicModel:
    """Atoms of a particle, in Å from the field's middle.

    Parameters
    ----------
    numbers : ndarray of int, shape (atoms,)
        Atomic numbers.
    positions_angstrom : ndarray, shape (atoms, 3)
        x (along the columns), y (along the rows) and z (along the beam).
    b_factor : float
        Debye-Waller factor B = 8π²⟨u²⟩ of all atoms, Å².

    Raises
    ------
    InputError
        If the arrays do not belong together or a value is not finite.
    """

    numbers: NDArray[np.integer]
    positions_angstrom: NDArray[np.floating]
    b_factor: float = 0.0

    def __post_init__(self) -> None:
        if self.positions_angstrom.shape != (len(self.numbers), 3):
            raise InputError(
                f"{len(self.numbers)} atoms with positions of shape {self.positions_angstrom.shape}",
                mend="give x, y and z of each atom",
            )
        if not np.isfinite(self.positions_angstrom).all():
            raise InputError("an atom whose position is not finite")
        if not 0 <= self.b_factor < 100:
            raise InputError(f"a Debye-Waller factor of {self.b_factor:g} Å²", mend="give 0 to 100, usually near 1")


@dataclass(frozen=True)
class Multislice:
    """How waves are calculated.

    Parameters
    ----------
    energy_ev : float
        Of the beam.
    q_max_per_angstrom : float
        Highest |q| that is to be right; the field is sampled so that the band limit lies beyond.
    slice_angstrom : float
        Thickness of a slice; infinite for a phase object.
    """

    energy_ev: float
    q_max_per_angstrom: float
    slice_angstrom: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.q_max_per_angstrom < 20:
            raise InputError(f"a highest |q| of {self.q_max_per_angstrom:g} Å⁻¹", mend="give a few Å⁻¹")
        if not self.slice_angstrom > 0:
            raise InputError(f"slices of {self.slice_angstrom:g} Å", mend="give a positive thickness, usually 2 Å")

    def field(self, model: AtomicModel) -> Grid:
        """The square about the particle on which its wave is calculated.

        Raises
        ------
        InputError
            If it would take more than 8,192 pixels a side.
        """
        places = model.positions_angstrom
        thickness = float(np.ptp(places[:, 2])) if len(places) else 0.0
        sideways = wavelength_angstrom(self.energy_ev) * self.q_max_per_angstrom * thickness
        reach = float(np.abs(places[:, :2]).max(initial=0.0)) + _EDGE_ANGSTROM + sideways / 2
        pixel = 0.5 / (_FINER * self.q_max_per_angstrom)
        n = 2 * scipy.fft.next_fast_len(math.ceil(reach / pixel), real=True)  # no factors of 7 and 11, which are slower
        if n > _LARGEST_FIELD:
            raise InputError(
                f"a particle of {2 * reach:.0f} Å takes a field of {n} pixels", mend="lower the highest |q|"
            )
        return Grid(n, n * pixel)

    def wave(self, model: AtomicModel, *, workers: int | None = None) -> tuple[Complex64, Grid]:
        """Exit wave ψ of a plane wave, by the multislice method of Cowley and Moodie.

        doi:10.1107/S0365110X57002194

        Returns
        -------
        wave : ndarray of complex64, shape (n, n)
            1 in the vacuum, centred on the field.
        grid : Grid
            The field.
        """
        grid = self.field(model)
        workers = workers or default_workers()
        others = workers // 2  # what make the slices' transmissions while this one propagates
        plane = _Plane(grid, model, self.energy_ev)
        slices, step = self._slices(model)
        onward, out = (_propagator(grid, self.energy_ev, distance) for distance in (step, self._behind(step)))
        wave = np.ones(grid.shape, np.complex64)
        for k, transmission in enumerate(_made_ahead(plane.transmission, slices, others)):
            wave *= transmission
            wave = _propagated(wave, onward if k < len(slices) - 1 else out, workers - others)
        return wave, grid

    def kinematic_wave(self, model: AtomicModel, *, workers: int | None = None) -> tuple[Complex64, Grid]:
        """Exit wave of single scattering (first Born approximation), each slice's propagated to the exit surface.

        Returns
        -------
        wave, grid
            As of :meth:`wave`.
        """
        grid = self.field(model)
        plane = _Plane(grid, model, self.energy_ev)
        slices, step = self._slices(model)
        phase = _propagation_phase(plane.radius2, self.energy_ev)
        real, imaginary = np.zeros_like(plane.radius2, np.complex64), np.zeros_like(plane.radius2, np.complex64)
        for k, spectrum in enumerate(_made_ahead(plane.spectrum, slices, (workers or default_workers()) - 1)):
            distance = np.float32((len(slices) - k - 1) * step + self._behind(step))
            real += spectrum * np.cos(distance * phase)
            imaginary += spectrum * np.sin(distance * phase)
        wave = np.empty(grid.shape, np.complex64)
        wave.real = 1 - plane.field(imaginary)
        wave.imag = plane.field(real)
        return wave, grid

    def _behind(self, step: float) -> float:
        """From the middle of the last slice, where its atoms count as being, to the exit plane, Å."""
        return step / 2 + _BEHIND_ANGSTROM if step else 0.0

    def _slices(self, model: AtomicModel) -> tuple[list[NDArray[np.intp]], float]:
        """Atoms of each slice, in the beam's order, and the distance between slices, Å."""
        z = model.positions_angstrom[:, 2]
        thickness = float(np.ptp(z)) if len(z) else 0.0
        if not math.isfinite(self.slice_angstrom) or not len(z):
            return [np.arange(len(z))], 0.0
        count = max(1, math.ceil(thickness / self.slice_angstrom))
        index = np.minimum((z - z.min()) / max(thickness, 1e-9) * count, count - 1).astype(np.intp)
        order = np.argsort(index, kind="stable")
        return np.split(order, np.searchsorted(index[order], np.arange(1, count))), thickness / count


def spectrum_of(
    wave: Complex64,
    field: Grid,
    q_rows_per_angstrom: Float64,
    q_columns_per_angstrom: Float64,
    moved_per_angstrom: Float64 | None = None,
) -> Complex64:
    """∫ O(r) exp(−2πi q·r) d²r of the object O = −i(ψ − 1) of a wave, Å², shape (rows, columns), exactly at each q.

    Parameters
    ----------
    wave, field
        As of :meth:`Multislice.wave`.
    q_rows_per_angstrom, q_columns_per_angstrom : ndarray
        q_y of each row and q_x of each column.
    moved_per_angstrom : ndarray, shape (rows,), optional
        What is added to q_x along a row: the rows of a pattern that is sheared.
    """
    place = (field.index() * field.pixel_angstrom).astype(np.float32)
    rows, columns = (
        np.exp(-2j * np.pi * np.outer(q, place)).astype(np.complex64)
        for q in (q_rows_per_angstrom, q_columns_per_angstrom)
    )
    seen = rows @ (np.complex64(-1j * field.pixel_angstrom**2) * (wave - 1))
    if moved_per_angstrom is not None:
        seen = seen * np.exp(-2j * np.pi * np.outer(moved_per_angstrom, place)).astype(np.complex64)
    return seen @ columns.T


def _made_ahead(make: Callable[[_Item], _Made], items: Sequence[_Item], threads: int) -> Iterator[_Made]:
    """``make`` of each item, in order; the next ones are made in threads while one is used."""
    if threads < 1:
        yield from map(make, items)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="multislice") as pool:
        waiting: deque[Future[_Made]] = deque()
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _propagation_phase(radius2: Float32, energy_ev: float) -> Float32:
    return np.float32(-math.pi * wavelength_angstrom(energy_ev)) * radius2


def _propagator(grid: Grid, energy_ev: float, distance_angstrom: float) -> Complex64:
    """Of free space, FFT order, shape (n, n); 0 beyond Nyquist."""
    q = scipy.fft.fftfreq(grid.n, grid.pixel_angstrom).astype(np.float32)
    radius2 = np.square(q)[:, None] + np.square(q)[None]
    factor = np.exp(1j * np.float32(distance_angstrom) * _propagation_phase(radius2, energy_ev))
    return np.where(radius2 <= grid.q_max_per_angstrom**2, factor, 0).astype(np.complex64)


def _propagated(wave: Complex64, propagator: Complex64, workers: int) -> Complex64:
    spectrum = scipy.fft.fft2(wave, workers=workers, overwrite_x=True)
    spectrum *= propagator
    return scipy.fft.ifft2(spectrum, workers=workers, overwrite_x=True)


class _Plane:
    """Potentials on one field: atoms are spread by a cubic B-spline, whose transform is divided out.

    Spectra are those of σV, and hold the columns from q_x = 0 up.
    """

    def __init__(self, grid: Grid, model: AtomicModel, energy_ev: float) -> None:
        self._n, self._columns = grid.n, grid.n // 2 + 1
        self._numbers = model.numbers
        self._place = model.positions_angstrom[:, 1::-1] / grid.pixel_angstrom + grid.n // 2  # y, x
        q = scipy.fft.fftfreq(grid.n, grid.pixel_angstrom).astype(np.float32)
        half = np.abs(q[: self._columns])
        self.radius2 = np.square(q)[:, None] + np.square(half)[None]
        radius = np.sqrt(self.radius2)
        spline = np.sinc(q * grid.pixel_angstrom) ** 4
        scale = interaction_constant(energy_ev) * POTENTIAL_PER_FACTOR / grid.pixel_angstrom**2
        damping = scale * np.exp(-model.b_factor * self.radius2 / 4) / (spline[:, None] * spline[None, : len(half)])
        self._factors = {
            int(number): (electron_scattering_factor(number, radius) * damping).astype(np.float32)
            for number in np.unique(model.numbers)
        }

    def transmission(self, atoms: NDArray[np.intp]) -> Complex64:
        """exp(iσV) of some atoms, shape (n, n)."""
        phase = self.field(self.spectrum(atoms))
        made = np.empty(phase.shape, np.complex64)
        # sine and cosine of reals are many times as fast as the exponential of complex numbers
        np.cos(phase, out=made.real)
        np.sin(phase, out=made.imag)
        return made

    def spectrum(self, atoms: NDArray[np.intp]) -> Complex64:
        """Of σV of some atoms, shape (n, columns)."""
        total = np.zeros((self._n, self._columns), np.complex64)
        for number, factor in self._factors.items():
            chosen = atoms[self._numbers[atoms] == number]
            if len(chosen):
                rows, spread = self._spread(self._place[chosen])
                lines = np.zeros_like(total)
                lines[rows] = scipy.fft.rfft(spread, axis=1, overwrite_x=True)
                lines = scipy.fft.fft(lines, axis=0, overwrite_x=True)
                lines *= factor
                total += lines
        return total

    def field(self, spectrum: Complex64) -> Float32:
        """The real field whose transform it is, shape (n, n)."""
        lines = scipy.fft.ifft(spectrum, axis=0)
        return scipy.fft.irfft(lines, self._n, axis=1, overwrite_x=True)

    def _spread(self, place: NDArray[np.float64]) -> tuple[slice, Float32]:
        """Weights of atoms on the pixels around them, and the rows that these are in."""
        first = np.floor(place).astype(np.intp)
        weights = _cubic((place - first).astype(np.float32))  # (atoms, axis, 4)
        index = first[:, :, None] + np.arange(-1, 3)
        rows = slice(int(index[:, 0].min()), int(index[:, 0].max()) + 1)
        flat = (index[:, 0, :, None] - rows.start) * self._n + index[:, 1, None, :]
        weight = weights[:, 0, :, None] * weights[:, 1, None, :]
        counts = np.bincount(flat.ravel(), weight.ravel(), (rows.stop - rows.start) * self._n)
        return rows, counts.reshape(-1, self._n).astype(np.float32)


def _cubic(t: NDArray[np.floating]) -> NDArray[np.floating]:
    """Weights of the cubic B-spline at the four nodes about a point, t behind the second of them."""
    u = 1 - t
    return np.stack([u**3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * u**2 + 3 * u**3, t**3], -1) / 6
