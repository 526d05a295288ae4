"""How the lattice of an object lies against that of a reference: turned, strained, and shifted across a boundary.

Geometric phases (M. J. Hytch, E. Snoeck, R. Kilaas, Ultramicroscopy 74 (1998) 131,
doi:10.1016/S0304-3991(98)00035-7) of many reflections at once, so that displacements of half a lattice vector and more
are no ambiguity of one set of fringes but only of the lattice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
import scipy.optimize
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.fourier import fit_to_size, inverse, transform
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.retrieval import support_box
from napari_subangstrom_cdi.core.types import Bool, Complex64, Float64
from napari_subangstrom_cdi.errors import InputError

_WINDOW = 0.035  # Å⁻¹, standard deviation about a reflection: 4.5 Å in the object
_MOST_REFLECTIONS = 40
_LEAST_REFLECTIONS, _LEAST_PLACES = 3, 12
_SPACING_ANGSTROM = 5.0
_SHIFT_STEP = 0.125
_ROTATIONS_DEG = np.arange(-1.0, 1.01, 0.1)
_NORMALS_DEG = np.arange(0.0, 180.0, 10.0)
_POSITION_STEP = 4.0
_LEAST_GRAIN = 0.15  # of the places
_LEAST_GAIN = 0.02
_LEAST_SHIFT_ANGSTROM = 0.15
_NEARLY_THE_SAME, _THE_SAME, _LONGEST = 0.7, 0.95, 3.0
_RESAMPLED = 8
_BLURRED_ANGSTROM = 6.0  # on either side of a boundary both lattices are seen


@dataclass(frozen=True)
class Fault:
    """A straight boundary seen edge on, and by how much the lattice beyond it is shifted.

    Parameters
    ----------
    normal_deg : float
        Direction of its normal from +x towards +y; the shifted grain lies beyond it.
    position_angstrom : float
        Of the boundary along the normal, from the middle of the array.
    shift_angstrom : (float, float)
        x and y, the shortest of those that differ by a lattice vector.
    error_angstrom : float
        Standard deviation of its length, by resampling places and reflections.
    equivalents_angstrom : tuple of (float, float)
        Shifts of up to 3 Å that no reflection can tell from it, the shortest first.
    """

    normal_deg: float
    position_angstrom: float
    shift_angstrom: tuple[float, float]
    error_angstrom: float
    equivalents_angstrom: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class LatticeShift:
    """A lattice against its reference.

    Parameters
    ----------
    rotation_deg : float
        From +x towards +y.
    strain : (float, float, float)
        ε_xx, ε_yy, ε_xy of a homogeneous deformation besides.
    strain_error : float
        Standard deviation of one component.
    offset_angstrom : (float, float)
        Displacement x, y at the middle of the array.
    fault : Fault or None
        A boundary, where one explains clearly more.
    agreement : float
        Share of the fringes' amplitude that the description explains, 0 to 1.
    """

    rotation_deg: float
    strain: tuple[float, float, float]
    strain_error: float
    offset_angstrom: tuple[float, float]
    fault: Fault | None
    agreement: float


def lattice_shift(
    object_field: Complex64, reference: Complex64, grid: Grid, support: Bool, g_per_angstrom: Float64
) -> LatticeShift:
    """Compare two objects of one lattice.

    Parameters
    ----------
    object_field, reference : ndarray of complex64, shape (n, n)
        Centred; a phase factor between them does not matter.
    grid : Grid
        Sampling.
    support : ndarray of bool, shape (n, n)
        Where to compare.
    g_per_angstrom : ndarray, shape (k, 2)
        x and y of the reference's reflections, without the beam.

    Raises
    ------
    InputError
        If there are fewer than three reflections, or the support is too small to compare places.
    """
    fringes = _Fringes(object_field, reference, grid, support, g_per_angstrom)
    whole, split = fringes.starts()
    alone = fringes.refined(whole)
    if split is None or split.value < (1 + _LEAST_GAIN) * whole.value:
        return fringes.described(alone)
    both = fringes.refined(split)
    if both.value < (1 + _LEAST_GAIN) * alone.value or np.hypot(*both.shift) < _LEAST_SHIFT_ANGSTROM:
        return fringes.described(alone)
    return fringes.described(both)


@dataclass(frozen=True)
class _State:
    """Displacement u = offset + rotation and strain times r, and the shift beyond a boundary."""

    value: float
    offset: Float64
    gradient: Float64  # ω, ε_xx, ε_yy, ε_xy
    shift: Float64
    split: tuple[float, float] | None  # the normal's direction, degrees, and the position

    @property
    def vector(self) -> Float64:
        """All that is free."""
        return np.concatenate([self.offset, self.gradient, self.shift] if self.split else [self.offset, self.gradient])


class _Fringes:
    """What each reflection's fringes say at each place: P_g = a_g b_g*, whose phase is −2π g·u."""

    def __init__(self, object_field: Complex64, reference: Complex64, grid: Grid, support: Bool, g: Float64) -> None:
        middle = grid.n // 2
        reach = max(max(middle - part.start, part.stop - middle) for part in support_box(support))
        size = min(grid.n, scipy.fft.next_fast_len(2 * (reach + round(12 / grid.pixel_angstrom)), real=True))
        size -= size % 2
        self._grid = Grid(size, size * grid.pixel_angstrom)
        spectra = [transform(fit_to_size(field, size)) for field in (object_field, reference)]
        self._g = self._strongest(spectra[1], g)
        if len(self._g) < _LEAST_REFLECTIONS:
            raise InputError(f"{len(self._g)} reflections to compare lattices by", mend="give at least three")
        self._places = self._raster(fit_to_size(support, size))
        if len(self._places) < _LEAST_PLACES:
            raise InputError("the support is too small to compare lattices in it", mend="check the support")
        self._overlap = self._overlaps(spectra)
        self._weight = np.ones(len(self._places))
        self._trials = _square(0.6 / float(np.linalg.norm(self._g, axis=1).min()))

    def _strongest(self, spectrum: Complex64, g: Float64) -> Float64:
        q = np.linalg.norm(g, axis=1)
        inside = g[(q < self._grid.q_max_per_angstrom - 3 * _WINDOW) & (q > 3 * _WINDOW)]
        index = np.rint(inside / self._grid.q_pixel_per_angstrom).astype(int) + self._grid.n // 2
        order = np.argsort(-np.abs(spectrum[index[:, 1], index[:, 0]]))
        return np.asarray(inside[order[:_MOST_REFLECTIONS]], np.float64)

    def _raster(self, support: Bool) -> Float64:
        step = max(1, round(_SPACING_ANGSTROM / self._grid.pixel_angstrom))
        rows, columns = np.nonzero(support[::step, ::step])
        index = np.stack([columns, rows], -1) * step - self._grid.n // 2
        places: Float64 = index.astype(np.float64) * self._grid.pixel_angstrom
        return places

    def _overlaps(self, spectra: list[Complex64]) -> NDArray[np.complex128]:
        q = self._grid.index() * self._grid.q_pixel_per_angstrom
        columns, rows = (np.rint(self._places / self._grid.pixel_angstrom).astype(int) + self._grid.n // 2).T
        found = np.empty((len(self._places), len(self._g)), np.complex128)
        for k, (x, y) in enumerate(self._g):
            line_x, line_y = (np.exp(-((q - at) ** 2) / (2 * _WINDOW**2)).astype(np.float32) for at in (x, y))
            mine, other = (
                inverse((spectrum * line_y[:, None] * line_x[None]).astype(np.complex64))[rows, columns]
                for spectrum in spectra
            )
            # in proportion to the amplitude: the product itself would leave the word to the strongest reflection
            found[:, k] = mine * other.conj() / max(math.sqrt(float(np.mean(np.abs(mine) * np.abs(other)))), 1e-30)
        found /= np.abs(found).sum()
        return found

    def splits(self) -> list[tuple[float, float, Bool]]:
        """Boundaries that leave a grain on either side."""
        found = []
        for normal in _NORMALS_DEG.tolist():
            across = self._places @ (math.cos(math.radians(normal)), math.sin(math.radians(normal)))
            for position in np.arange(across.min(), across.max(), _POSITION_STEP).tolist():
                beyond = across > position
                if _LEAST_GRAIN < beyond.mean() < 1 - _LEAST_GRAIN:
                    found.append((normal, position, beyond))
        return found

    def starts(self) -> tuple[_State, _State | None]:
        """The best of all rotations and shifts without a boundary, and with each."""
        splits = self.splits()
        masks = np.array([beyond for _, _, beyond in splits], float)
        phases = np.exp(2j * np.pi * self._g @ self._trials.T)
        whole: _State | None = None
        split: _State | None = None
        for degrees in _ROTATIONS_DEG:
            gradient = np.array([math.radians(degrees), 0, 0, 0])
            turned = self._overlap * np.exp(2j * np.pi * self._displaced(gradient) @ self._g.T)
            agreement = np.abs(turned @ phases)
            total = agreement.sum(axis=0)
            k = int(total.argmax())
            if whole is None or total[k] > whole.value:
                whole = _State(float(total[k]), self._trials[k], gradient, np.zeros(2), None)
            if not splits:
                continue
            there = masks @ agreement
            here = total - there
            values = here.max(axis=1) + there.max(axis=1)
            k = int(values.argmax())
            if split is None or values[k] > split.value:
                first, second = self._trials[here[k].argmax()], self._trials[there[k].argmax()]
                split = _State(float(values[k]), first, gradient, second - first, splits[k][:2])
        assert whole is not None
        return whole, split

    def _displaced(self, gradient: Float64) -> Float64:
        """Displacement of every place by rotation and strain."""
        omega, xx, yy, xy = gradient
        return self._places @ np.array([[xx, xy + omega], [xy - omega, yy]])

    def _value(self, vector: Float64, beyond: Bool | None) -> float:
        return self._value_and_slope(vector, beyond, 1.0)[0]

    def _value_and_slope(self, vector: Float64, beyond: Bool | None, share: Float64 | float) -> tuple[float, Float64]:
        """Agreement of the places, and its derivative by each part of the vector."""
        displacement = vector[:2] + self._displaced(vector[2:6])
        if beyond is not None:
            displacement = displacement + beyond[:, None] * vector[6:]
        phase = 2 * np.pi * displacement @ self._g.T
        waves = np.empty_like(self._overlap)
        np.cos(phase, out=waves.real)
        np.sin(phase, out=waves.imag)
        waves *= self._overlap
        total = waves.sum(axis=1)
        size, weight = np.abs(total), self._weight * share
        along = (total.conj() / np.maximum(size, 1e-300))[:, None] * (waves @ self._g)
        dx, dy = -2 * np.pi * along.imag.T * weight
        x, y = self._places.T
        slope = [dx.sum(), dy.sum(), x @ dy - y @ dx, x @ dx, y @ dy, x @ dy + y @ dx]
        if beyond is not None:
            slope += [dx @ beyond, dy @ beyond]
        return float(np.sum(weight * size)), np.array(slope)

    def refined(self, start: _State) -> _State:
        """The best near a start; a boundary's direction and position with it."""
        state = self._climbed(start)
        for step_deg, step_angstrom in ((5.0, 2.0), (2.5, 1.0)):
            if state.split is None:
                break
            normal, position = state.split
            trials = [
                replace(state, split=(normal + a * step_deg, position + b * step_angstrom))
                for a in (-1, 0, 1)
                for b in (-1, 0, 1)
            ]
            state = self._climbed(max(trials, key=lambda trial: self._value(trial.vector, self._beyond(trial))))
        return state

    def _climbed(self, state: _State) -> _State:
        beyond = self._beyond(state)
        size = float(np.abs(self._places).max())
        scale = np.array([1, 1, *[1 / size] * 4, 1, 1])[: len(state.vector)]
        clear = np.ones(len(self._places)) if state.split is None else self._clear(state.split)

        def falling(p: Float64) -> tuple[float, Float64]:
            value, slope = self._value_and_slope(p * scale, beyond, clear)
            return -value, -slope * scale

        end = scipy.optimize.minimize(falling, state.vector / scale, jac=True, method="BFGS", options={"gtol": 1e-6})
        vector = end.x * scale
        return replace(
            state,
            value=self._value(vector, beyond),
            offset=vector[:2],
            gradient=vector[2:6],
            shift=self._equivalents(vector[6:])[0] if beyond is not None else state.shift,
        )

    def _beyond(self, state: _State) -> Bool | None:
        return None if state.split is None else np.asarray(self._across(state.split) > 0, np.bool_)

    def _across(self, split: tuple[float, float]) -> Float64:
        normal = math.radians(split[0])
        return self._places @ (math.cos(normal), math.sin(normal)) - split[1]

    def _clear(self, split: tuple[float, float]) -> Float64:
        """1 where only one grain is seen."""
        return (np.abs(self._across(split)) > _BLURRED_ANGSTROM).astype(float)

    def _equivalents(self, shift: Float64) -> list[Float64]:
        """Shifts that differ from this one by a lattice vector, the shortest first."""
        strength = np.abs(self._overlap).sum(axis=0)
        strength /= strength.sum()
        trials = _square(_LONGEST)
        same = (strength @ np.exp(2j * np.pi * self._g @ (trials - shift).T)).real
        found: list[Float64] = []
        for start in trials[same > _NEARLY_THE_SAME]:
            end = scipy.optimize.minimize(
                lambda p: -float((strength @ np.exp(2j * np.pi * self._g @ (p - shift))).real), start, method="BFGS"
            )
            if -end.fun > _THE_SAME and all(np.linalg.norm(end.x - other) > _SHIFT_STEP for other in found):
                found.append(end.x)
        return sorted(found, key=lambda one: float(np.linalg.norm(one))) or [shift]

    def described(self, state: _State) -> LatticeShift:
        """In the words of the result, with errors from places and reflections drawn with replacement."""
        rng = np.random.default_rng(0)
        whole, again = self._overlap, []
        for _ in range(_RESAMPLED):
            self._weight = _drawn(rng, len(self._places))
            self._overlap = whole * _drawn(rng, len(self._g))
            again.append(self._climbed(state))
        self._overlap, self._weight = whole, np.ones(len(self._places))
        omega, xx, yy, xy = state.gradient.tolist()
        strain_error = float(np.mean(np.std([one.gradient[1:] for one in again], axis=0)))
        fault = None
        if state.split is not None:
            spread = float(np.linalg.norm(np.std([one.shift for one in again], axis=0)))
            same = [(float(x), float(y)) for x, y in self._equivalents(state.shift) if math.hypot(x, y) < _LONGEST]
            fault = Fault(*state.split, same[0], spread, tuple(same))
        ox, oy = state.offset.tolist()
        return LatticeShift(math.degrees(omega), (xx, yy, xy), strain_error, (ox, oy), fault, state.value)


def _square(half_angstrom: float) -> Float64:
    """Shifts (x, y) on a raster, shape (k, 2)."""
    steps = np.arange(-half_angstrom, half_angstrom + _SHIFT_STEP / 2, _SHIFT_STEP)
    return np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)


def _drawn(rng: np.random.Generator, count: int) -> Float64:
    """How often each of them comes when as many are drawn with replacement."""
    return np.bincount(rng.integers(0, count, count), minlength=count).astype(float)
