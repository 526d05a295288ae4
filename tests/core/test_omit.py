"""An omit test brings back what the data hold and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from napari_subangstrom_cdi.core.crystal.nanocrystal import Shape
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal
from napari_subangstrom_cdi.core.fit.left_out import SECTORS, omit_test, sectors_of, structure_correlation
from napari_subangstrom_cdi.core.fit.model_fit import object_spectrum
from napari_subangstrom_cdi.core.fit.particle import Particle
from napari_subangstrom_cdi.core.fourier import inverse
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import AmplitudeBand, Region
from napari_subangstrom_cdi.core.phasing.retrieval import Problem
from napari_subangstrom_cdi.core.phasing.schedule import Stage

GRID = Grid(288, 110.0)
SUPPORT = GRID.r_angstrom() < 17.0
SCHEDULE = (Stage("complex", 60, "er", ("support",)),)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    shape = Shape(GRID.r_angstrom() < 16.0, GRID, 20.0)
    atoms = Particle(crystal("CdS-zincblende"), Orientation((1, 1, 2), 20.0), shape).atoms()
    return np.where(SUPPORT, inverse(object_spectrum(atoms, GRID, 200e3)), 0).astype(np.complex64)


@pytest.fixture(scope="module")
def problem(truth) -> Problem:
    amplitude = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(truth)))).astype(np.float32)
    regions = np.full(GRID.shape, Region.G, np.uint8)
    return Problem(GRID, amplitude, AmplitudeBand(amplitude, amplitude), regions, SUPPORT, model=truth)


def test_sectors_share_the_support():
    sectors = sectors_of(SUPPORT, GRID)
    counts = np.bincount(sectors[SUPPORT], minlength=SECTORS)
    assert (sectors[~SUPPORT] == -1).all() and np.ptp(counts) <= 1


def test_what_is_left_out_comes_back(problem, truth):
    told: list[int] = []
    found = omit_test(problem, SCHEDULE, truth, on_sector=told.append)
    assert min(found.correlations) > 0.95 and len(found.correlations) == SECTORS
    assert structure_correlation(found.omit_map, truth, SUPPORT, GRID) > 0.95
    assert sorted(set(told)) == list(range(SECTORS)) and len(told) >= SECTORS * 60


def test_nothing_comes_back_from_a_pattern_of_something_else(problem, truth):
    """The reconstruction that is compared is the model, the pattern another's: the data do not say so."""
    rng = np.random.default_rng(1)
    other = np.where(SUPPORT, rng.standard_normal(GRID.shape), 0)
    amplitude = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(other)))).astype(np.float32)
    wrong = Problem(GRID, amplitude, AmplitudeBand(amplitude, amplitude), problem.regions, SUPPORT, model=truth)
    assert max(omit_test(wrong, SCHEDULE, truth).correlations) < 0.5


def test_whoever_hears_may_end_it(problem, truth):
    def stop(sector: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        omit_test(problem, SCHEDULE, truth, on_sector=stop)
