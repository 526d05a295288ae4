"""What the data say where the model says nothing: parts of it are left out in turn.

After the omit maps of crystallography (T. N. Bhat, J. Appl. Cryst. 21 (1988) 279, doi:10.1107/S0021889888000949).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.ensemble.metrics import RadialCurve, reflections, ring_correlation
from napari_subangstrom_cdi.core.fourier import inverse, transform
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.retrieval import Problem, retrieve
from napari_subangstrom_cdi.core.phasing.schedule import Schedule
from napari_subangstrom_cdi.core.types import Bool, Complex64

SECTORS = 6
_STRUCTURE_FROM = 0.1  # Å⁻¹: below, the outline alone correlates


@dataclass(frozen=True)
class OmitTest:
    """Runs that started from all of the model but one sector, put together of their omitted sectors.

    Parameters
    ----------
    omit_map : ndarray of complex64, shape (n, n)
        Nothing in it comes from the model at its own place.
    sectors : ndarray of int8, shape (n, n)
        Which run a place is from; −1 outside the support.
    correlations : tuple of float
        Of each sector brought back with the whole reconstruction there, |q| > 0.1 Å⁻¹: 1 is full.
    curve : RadialCurve
        Fourier ring correlation of omit map and reconstruction, over the reflections.
    """

    omit_map: Complex64
    sectors: NDArray[np.int8]
    correlations: tuple[float, ...]
    curve: RadialCurve


def sectors_of(support: Bool, grid: Grid) -> NDArray[np.int8]:
    """Sectors of equal area about the support's middle, numbered from 0; −1 outside; shape (n, n)."""
    rows, columns = np.nonzero(support)
    angle = np.arctan2(rows - rows.mean(), columns - columns.mean())
    rank = np.empty(len(angle), np.intp)
    rank[np.argsort(angle, kind="stable")] = np.arange(len(angle))
    found = np.full(support.shape, -1, np.int8)
    found[rows, columns] = rank * SECTORS // len(angle)
    return found


def omit_test(
    problem: Problem,
    schedule: Schedule,
    reconstruction: Complex64,
    *,
    workers: int | None = None,
    on_sector: Callable[[int], None] = lambda sector: None,
) -> OmitTest:
    """Leave out the problem's model sector by sector.

    Parameters
    ----------
    problem : Problem
        With a model.
    schedule : tuple of Stage
        As the reconstruction's.
    reconstruction : ndarray of complex64, shape (n, n)
        In the frame of the problem.
    workers : int, optional
        Threads.
    on_sector : callable
        Hears of the sector in hand, each iteration; it may raise.
    """
    assert problem.model is not None
    bare, sectors = replace(problem, model=None), sectors_of(problem.support, problem.grid)
    omit_map = np.zeros(problem.grid.shape, np.complex64)
    correlations = []
    for sector in range(SECTORS):
        left_out = sectors == sector
        start = np.where(left_out, 0, problem.model).astype(np.complex64)
        found = retrieve(bare, schedule, start, workers=workers, heartbeat=partial(on_sector, sector)).estimate
        rest = problem.support & ~left_out
        found = found * np.exp(1j * np.angle(np.vdot(found[rest], reconstruction[rest])))
        omit_map[left_out] = found[left_out]
        correlations.append(structure_correlation(found, reconstruction, left_out, problem.grid))
    spots = reflections(problem.measured, problem.regions, problem.grid)
    curve = ring_correlation(omit_map, reconstruction, problem.grid, chosen=spots)
    return OmitTest(omit_map, sectors, tuple(correlations), curve)


def structure_correlation(first: Complex64, second: Complex64, where: Bool, grid: Grid) -> float:
    """Real part of the complex correlation of two objects at some places, without what varies slowly."""
    fine = [_structure(field, grid)[where].astype(np.complex128) for field in (first, second)]
    norm = float(np.linalg.norm(fine[0]) * np.linalg.norm(fine[1]))
    return float(np.vdot(fine[0], fine[1]).real) / norm if norm > 0 else float("nan")


def _structure(field: Complex64, grid: Grid) -> Complex64:
    return inverse((transform(field) * (grid.q_per_angstrom() > _STRUCTURE_FROM)).astype(np.complex64))
