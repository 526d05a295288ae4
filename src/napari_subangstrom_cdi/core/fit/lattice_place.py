"""Where a crystal's lattice lies in the outline, from the phases of the image's reflections."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.crystal.nanocrystal import edge_profile
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.potential import aberration_phase, coherence_envelope
from napari_subangstrom_cdi.core.types import Bool, Float64
from napari_subangstrom_cdi.errors import InputError

from .reflection_fit import USUAL_INSET_ANGSTROM, Evidence, Fit, Reflections

_LOWEST_Q = 0.05
_STEP, _RANGE = 0.1, 14.0
_LEAST_TRANSFER = 0.05
_DEFOCUS_CHANGES_NM = np.arange(-9.0, 9.1, 1.5)
_DEFOCUS_ERROR_NM, _DEFOCUS_PRIOR = 3.0, 0.01
_CONTRAST_SHARE = 0.1
_NEARER = 0.005  # correlation that a place 1 Å away must gain


class LatticeImage:
    """The reflections of 1 − I in the image, seen and calculated.

    Parameters
    ----------
    evidence : Evidence
        With contrast and conditions.
    reflections : Reflections
        The crystal's.

    Raises
    ------
    InputError
        If the image holds no reflection of the zone.
    """

    def __init__(self, evidence: Evidence, reflections: Reflections) -> None:
        assert evidence.contrast is not None and evidence.conditions is not None
        self._reflections = reflections
        self._kept: tuple[Fit, NDArray[np.complex128], Float64] | None = None
        self._g, self._conditions = reflections.g_per_angstrom, evidence.conditions
        self._q = np.linalg.norm(self._g, axis=1)
        passed = coherence_envelope(self._q, self._conditions)
        self._chosen = np.flatnonzero((passed > _LEAST_TRANSFER) & (self._q > _LOWEST_Q))
        if not len(self._chosen):
            raise InputError(
                "the image holds no reflection of the zone",
                mend="check the information limit, or take an image of higher resolution",
            )
        hkl = reflections.hkl
        index = {tuple(row): k for k, row in enumerate(hkl.tolist())}
        self._pairs = np.array([[index.get(tuple(row), -1) for row in (hkl + hkl[k]).tolist()] for k in self._chosen])
        particle = edge_profile(evidence.support, evidence.grid, USUAL_INSET_ANGSTROM) > 0
        self._seen = _fourier_at(evidence.contrast, evidence.support, evidence.grid, self._g[self._chosen])
        self._seen /= particle.sum()

    def calculated(self, fit: Fit, defocus_change_nm: float = 0.0) -> NDArray[np.complex128]:
        """Reflections of 1 − I for a crystal whose origin is the grid's.

        Every pair of beams that the lens passes interferes, column by column: their products are averaged over the
        thicknesses, not the beams.
        """
        conditions = replace(self._conditions, defocus_nm=self._conditions.defocus_nm + defocus_change_nm)
        lens = np.exp(-1j * aberration_phase(self._q, conditions)) * coherence_envelope(self._q, conditions)
        passed = np.flatnonzero(np.abs(lens) > 1e-3)
        waves, shares = self._columns(fit)
        waves = np.vstack([waves[passed] * lens[passed, None], np.zeros_like(waves[:1])])  # the last for what is lost
        where = np.full(len(lens) + 1, len(passed))
        where[passed] = np.arange(len(passed))
        partners = waves[where[self._pairs[:, passed]]]  # (reflections, beams, thicknesses)
        return -np.einsum("kbt,bt,t->k", partners, waves[:-1].conj(), shares, optimize=True)

    def _columns(self, fit: Fit) -> tuple[NDArray[np.complex128], Float64]:
        """Beams in the particle's middle plane, where the lattice's place is told, and shares of the thicknesses."""
        if self._kept is None or self._kept[0] != fit:
            waves, thicknesses, shares = self._reflections.columns(fit)
            # from the exit surface, where the leaning columns end, to the middle
            back = np.exp(-1j * math.pi * np.outer(self._g @ np.array(fit.lean), thicknesses))
            self._kept = (fit, waves * back, shares)
        return self._kept[1], self._kept[2]

    def place(self, fit: Fit) -> tuple[tuple[float, float], float]:
        """Shift (x, y) in Å of the crystal's origin, and the correlation there; the defocus may be a little off."""
        found = []
        for change in _DEFOCUS_CHANGES_NM:
            offset, correlation = _best_offset(self._seen, self.calculated(fit, change), self._g[self._chosen])
            found.append((correlation - _DEFOCUS_PRIOR * (change / _DEFOCUS_ERROR_NM) ** 2, offset, correlation))
        return max(found)[1:]

    def misfit(self, fit: Fit) -> float:
        """In units of an R-factor: by the contrast's pattern, and by its strength."""
        model = self.calculated(fit)
        _, correlation = _best_offset(self._seen, model, self._g[self._chosen])
        ratio = float(np.linalg.norm(self._seen)) / max(float(np.linalg.norm(model)), 1e-30)
        return _CONTRAST_SHARE * (1 - correlation + math.log(max(ratio, 1e-6)) ** 2)


def nearest_place(
    seen: NDArray[np.floating], expected: NDArray[np.floating], grid: Grid, support: Bool, g_per_angstrom: Float64
) -> tuple[tuple[float, float], float]:
    """Shift (x, y) in Å that lays a model's image over the one that is seen, and the correlation there.

    Of places that the reflections cannot tell from one another it is the nearest: where all lie on one line, the
    model does not move across it.

    Parameters
    ----------
    seen, expected : ndarray, shape (n, n)
        1 − I of image and model.
    grid : Grid
        Their sampling.
    support : ndarray of bool, shape (n, n)
        Where to compare.
    g_per_angstrom : ndarray, shape (k, 2)
        x and y of the reflections that the image holds.
    """
    image, model = (_fourier_at(one, support, grid, g_per_angstrom) for one in (seen, expected))
    steps, correlations = _correlations(image, model, g_per_angstrom)
    nearest = correlations - _NEARER * (steps[:, None] ** 2 + steps**2)
    row, column = np.unravel_index(nearest.argmax(), nearest.shape)
    overlaps = image * model.conj() / max(float(np.linalg.norm(image) * np.linalg.norm(model)), 1e-30)

    def correlation(place: Float64) -> float:
        return float((overlaps @ np.exp(2j * np.pi * g_per_angstrom @ place)).real)

    start = np.array([steps[column], steps[row]])
    place = scipy.optimize.minimize(lambda p: _NEARER * float(p @ p) - correlation(p), start).x
    return (float(place[0]), float(place[1])), correlation(place)


def _best_offset(
    seen: NDArray[np.complex128], model: NDArray[np.complex128], g: Float64
) -> tuple[tuple[float, float], float]:
    """Shift (x, y) in Å of the model that lays it over what is seen, and the correlation."""
    steps, correlation = _correlations(seen, model, g)
    row, column = np.unravel_index(correlation.argmax(), correlation.shape)
    return (float(steps[column]), float(steps[row])), float(correlation[row, column])


def _correlations(seen: NDArray[np.complex128], model: NDArray[np.complex128], g: Float64) -> tuple[Float64, Float64]:
    """Shifts in Å along either axis, and the correlation at each (y, x)."""
    steps = np.arange(-_RANGE / 2, _RANGE / 2, _STEP)
    phase_x, phase_y = (np.exp(2j * np.pi * g[:, axis, None] * steps) for axis in (0, 1))
    overlap = np.einsum("g,gy,gx->yx", seen * model.conj(), phase_y, phase_x, optimize=True).real
    norm = float(np.linalg.norm(seen) * np.linalg.norm(model))
    return steps, overlap / max(norm, 1e-30)


def _fourier_at(image: NDArray[np.floating], support: Bool, grid: Grid, g: Float64) -> NDArray[np.complex128]:
    """Transform of the image inside the support, less its mean there, at each g (x, y)."""
    rows, columns = np.nonzero(support)
    values = image[support] - image[support].mean(dtype=np.float64)
    y, x = ((index - grid.n // 2) * grid.pixel_angstrom for index in (rows, columns))
    return np.array([np.sum(values * np.exp(-2j * np.pi * (gx * x + gy * y))) for gx, gy in g])
