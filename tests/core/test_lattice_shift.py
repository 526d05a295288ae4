"""How one lattice lies against another, where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.crystal.nanocrystal import Shape
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal
from napari_subangstrom_cdi.core.fit.indexing import turned
from napari_subangstrom_cdi.core.fit.lattice_shift import Fault, lattice_shift
from napari_subangstrom_cdi.core.fit.particle import Particle
from napari_subangstrom_cdi.core.fourier import inverse
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.errors import InputError

GRID = Grid(320, 120.0)
CDS, ZONE, AZIMUTH = crystal("CdS-zincblende"), (1, 1, 2), 20.0
SUPPORT = GRID.r_angstrom() < 32.0
BEAMS = ZoneBeams(CDS, ZONE, energy_ev=200e3, q_max_per_angstrom=1.2)
G = turned(BEAMS.g_per_angstrom[np.abs(BEAMS.potential_volt) > 0.1], AZIMUTH)  # those that the lattice allows


def particle(**changed) -> Particle:
    shape = Shape(SUPPORT, GRID, 8.0)
    given = {"orientation": Orientation(ZONE, AZIMUTH), "offset_angstrom": (0.0, 0.0), **changed}
    return Particle(CDS, shape=shape, **given)


def density(model: Particle) -> np.ndarray:
    """Atoms as points, band-limited: no scattering, so an independent picture of the lattice."""
    atoms = model.atoms()
    q = GRID.index() * GRID.q_pixel_per_angstrom
    waves_x, waves_y = (np.exp(-2j * np.pi * np.outer(atoms.positions_angstrom[:, axis], q)) for axis in (0, 1))
    spectrum = (waves_y * atoms.numbers[:, None]).T @ waves_x
    spectrum = np.where(GRID.q_per_angstrom() < 1.2, spectrum, 0) * np.exp(0.7j)  # a phase that must not matter
    return inverse(spectrum.astype(np.complex64))


REFERENCE = density(particle())


def compared(**changed):
    return lattice_shift(density(particle(**changed)), REFERENCE, GRID, SUPPORT, G)


def test_the_same_lattice_is_neither_moved_nor_strained():
    same = lattice_shift(REFERENCE, REFERENCE, GRID, SUPPORT, G)
    assert same.fault is None and same.agreement == pytest.approx(1, abs=1e-3)
    assert same.rotation_deg == pytest.approx(0, abs=1e-3) and same.offset_angstrom == pytest.approx((0, 0), abs=1e-3)
    assert same.strain == pytest.approx((0, 0, 0), abs=1e-5)


@pytest.mark.parametrize("degrees", [0.5, -0.3])
def test_a_rotation_is_measured(degrees):
    found = compared(orientation=Orientation(ZONE, AZIMUTH + degrees))
    assert found.rotation_deg == pytest.approx(degrees, abs=0.02) and found.fault is None


def test_a_displacement_and_a_strain_are_measured():
    found = compared(offset_angstrom=(0.4, -0.25), strain=(0.004, -0.002, 0.001))
    assert found.fault is None and found.rotation_deg == pytest.approx(0, abs=0.02)
    assert found.strain == pytest.approx((0.004, -0.002, 0.001), abs=3e-4)
    # what is strained about the crystal's origin is displaced by so much in the middle of the array
    assert found.offset_angstrom == pytest.approx((0.4, -0.25), abs=0.02)


@pytest.mark.parametrize(("normal_deg", "position", "along"), [(110.0, 4.0, -0.5), (20.0, -6.0, 0.6)])
def test_a_boundary_and_its_shift_are_found(normal_deg, position, along):
    angle = np.radians(AZIMUTH)
    fault = Fault(normal_deg, position, (along * np.cos(angle), along * np.sin(angle)), 0.0)
    found = compared(fault=fault, orientation=Orientation(ZONE, AZIMUTH + 0.3)).fault
    assert found is not None
    flipped = np.cos(np.radians(found.normal_deg - normal_deg)) < 0  # either grain may be the shifted one
    sign = -1 if flipped else 1
    assert abs(np.sin(np.radians(found.normal_deg - normal_deg))) < 0.15
    assert sign * found.position_angstrom == pytest.approx(position, abs=3.0)
    found_along = sign * (found.shift_angstrom @ np.array([np.cos(angle), np.sin(angle)]))
    period = CDS.cell_angstrom[0, 0] / np.sqrt(8)  # of the columns along [1-10]
    assert (found_along - along + period / 2) % period - period / 2 == pytest.approx(0, abs=0.1)
    lengths = [np.hypot(*shift) for shift in found.equivalents_angstrom]
    assert lengths == sorted(lengths) and len(lengths) >= 3
    assert min(abs(length - (period - abs(along))) for length in lengths) < 0.1


def test_two_reflections_are_too_few():
    with pytest.raises(InputError, match="reflections to compare"):
        lattice_shift(REFERENCE, REFERENCE, GRID, SUPPORT, G[:2])


def test_a_small_support_is_said():
    with pytest.raises(InputError, match="too small"):
        lattice_shift(REFERENCE, REFERENCE, GRID, GRID.r_angstrom() < 6.0, G)
