"""The wave behind a particle: its atoms slice by slice, or at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError

from ._kernel import default_workers
from .electron import interaction_constant, wavelength_angstrom
from .grid import Grid
from .scattering import POTENTIAL_PER_FACTOR, electron_scattering_factor

Float = NDArray[np.float32]
Complex = NDArray[np.complex64]

_BAND = 2 / 3  # of Nyquist: what a product of two waves does not fold back (Kirkland, doi:10.1007/978-1-4419-6533-2)
_EDGE_ANGSTROM = 12.0
_LARGEST_FIELD = 8192


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
        reach = float(np.abs(model.positions_angstrom[:, :2]).max(initial=0.0)) + _EDGE_ANGSTROM
        pixel = _BAND / 2 / self.q_max_per_angstrom
        n = scipy.fft.next_fast_len(math.ceil(2 * reach / pixel))
        while n % 2:
            n = scipy.fft.next_fast_len(n + 1)
        if n > _LARGEST_FIELD:
            raise InputError(
                f"a particle of {2 * reach:.0f} Å takes a field of {n} pixels", mend="lower the highest |q|"
            )
        return Grid(n, n * pixel)

    def wave(self, model: AtomicModel, *, workers: int | None = None) -> tuple[Complex, Grid]:
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
        sigma = np.float32(interaction_constant(self.energy_ev))
        plane = _Plane(grid, model, workers)
        band = plane.radius2() <= (_BAND * grid.q_max_per_angstrom) ** 2
        phase = -math.pi * wavelength_angstrom(self.energy_ev) * plane.radius2()
        wave = np.ones(grid.shape, np.complex64)
        slices, step = self._slices(model)
        propagator = np.where(band, np.exp(1j * step * phase), 0).astype(np.complex64)
        transmission = np.empty_like(wave)
        for atoms in slices:
            potential = plane.projected(atoms)
            potential *= sigma
            # sine and cosine of reals are many times as fast as the exponential of complex numbers
            np.cos(potential, out=transmission.real)
            np.sin(potential, out=transmission.imag)
            wave *= transmission
            wave = scipy.fft.fft2(wave, workers=workers, overwrite_x=True)
            wave *= propagator
            wave = scipy.fft.ifft2(wave, workers=workers, overwrite_x=True)
        return wave, grid

    def kinematic_wave(self, model: AtomicModel, *, workers: int | None = None) -> tuple[Complex, Grid]:
        """Exit wave of single scattering (first Born approximation), each slice's propagated to the exit surface.

        Returns
        -------
        wave, grid
            As of :meth:`wave`.
        """
        grid = self.field(model)
        plane = _Plane(grid, model, workers or default_workers())
        band = plane.radius2() <= (_BAND * grid.q_max_per_angstrom) ** 2
        phase = -math.pi * wavelength_angstrom(self.energy_ev) * plane.radius2()
        slices, step = self._slices(model)
        total = np.zeros(grid.shape, np.complex64)
        for k, atoms in enumerate(slices):
            total += scipy.fft.fft2(plane.projected(atoms)) * np.exp(1j * (len(slices) - k) * step * phase)
        scattered = scipy.fft.ifft2(np.where(band, total, 0))
        wave = 1 + np.complex64(1j * interaction_constant(self.energy_ev)) * scattered
        return wave.astype(np.complex64), grid

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


class _Plane:
    """Projected potentials on one field: atoms are spread by a cubic B-spline, whose transform is divided out."""

    def __init__(self, grid: Grid, model: AtomicModel, workers: int) -> None:
        self._n, self._pixel, self._workers = grid.n, grid.pixel_angstrom, workers
        self._numbers = model.numbers
        self._place = model.positions_angstrom[:, 1::-1] / grid.pixel_angstrom + grid.n // 2  # y, x
        q = scipy.fft.fftfreq(grid.n, grid.pixel_angstrom).astype(np.float32)
        self._q = q
        half = np.abs(q[: grid.n // 2 + 1])
        radius = np.hypot(q[:, None], half[None])
        spline = np.sinc(q * grid.pixel_angstrom) ** 4
        damping = np.exp(-model.b_factor * radius**2 / 4) / (spline[:, None] * spline[None, : len(half)])
        scale = POTENTIAL_PER_FACTOR / grid.pixel_angstrom**2
        self._factors = {
            int(number): (electron_scattering_factor(number, radius) * damping * scale).astype(np.float32)
            for number in np.unique(model.numbers)
        }

    def radius2(self) -> Float:
        """|q|², FFT order, Å⁻²."""
        return np.square(self._q)[:, None] + np.square(self._q)[None]

    def projected(self, atoms: NDArray[np.intp]) -> Float:
        """Projected potential of some atoms, V Å."""
        total = None
        for number, factor in self._factors.items():
            chosen = atoms[self._numbers[atoms] == number]
            if not len(chosen):
                continue
            spectrum = scipy.fft.rfft2(self._spread(self._place[chosen]), workers=self._workers)
            spectrum *= factor
            total = spectrum if total is None else total + spectrum
        if total is None:
            return np.zeros((self._n, self._n), np.float32)
        return scipy.fft.irfft2(total, (self._n, self._n), workers=self._workers, overwrite_x=True)

    def _spread(self, place: NDArray[np.float64]) -> Float:
        first = np.floor(place).astype(np.intp)
        weights = _cubic(place - first)  # (atoms, axis, 4)
        index = first[:, :, None] + np.arange(-1, 3)
        flat = (index[:, 0, :, None] % self._n) * self._n + index[:, 1, None, :] % self._n
        weight = weights[:, 0, :, None] * weights[:, 1, None, :]
        counts = np.bincount(flat.ravel(), weight.ravel(), self._n * self._n)
        return counts.reshape(self._n, self._n).astype(np.float32)


def _cubic(t: NDArray[np.floating]) -> NDArray[np.floating]:
    """Weights of the cubic B-spline at the four nodes about a point, t behind the second of them."""
    u = 1 - t
    return np.stack([u**3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * u**2 + 3 * u**3, t**3], -1) / 6
