"""Zone axes of a crystal, from kinematic patterns whose zone is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.crystal.unit_cell import crystal
from napari_subangstrom_cdi.core.fit.indexing import match_zone, spot_radii, turned
from napari_subangstrom_cdi.core.fit.lattice import lattice_vectors, reduced
from napari_subangstrom_cdi.core.fit.zones import (
    FITS,
    _zone_lattice,
    rank_zones,
    same_zone,
    unique_zones,
)
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.record.calibration import q_pixel_from_spacings
from napari_subangstrom_cdi.errors import InputError

GRID = Grid(512, 190.0)


def pattern(name: str, zone: tuple[int, int, int], azimuth_deg: float = 17.0, scale: float = 1.0):
    """Spots of a small particle with the structure factors' strength, and the regions that noise would leave."""
    beams = ZoneBeams(crystal(name), zone, energy_ev=200e3, q_max_per_angstrom=1.25)
    g = turned(beams.g_per_angstrom[1:], azimuth_deg, scale)
    q = GRID.index() * GRID.q_pixel_per_angstrom
    amplitude = np.full(GRID.shape, 1e-4)
    for (x, y), strength in zip(g, np.abs(beams.potential_volt[1:]), strict=True):
        line_x, line_y = (np.exp(-((q - at) ** 2) / (2 * 0.008**2)) for at in (x, y))
        amplitude += strength * np.outer(line_y, line_x)
    regions = np.where(amplitude > 0.01 * amplitude.max(), Region.G, Region.B).astype(np.uint8)
    return amplitude.astype(np.float32), regions


def test_lattice_vectors_of_a_square_and_a_rectangle():
    found = lattice_vectors(*pattern("PbS", (0, 0, 1)), GRID)
    lengths = np.linalg.norm(found.vectors_per_angstrom, axis=1)
    np.testing.assert_allclose(lengths, 2 / 5.9362, rtol=2e-3)
    assert found.explained > 0.95 and found.errors_per_angstrom.max() < 2e-3
    a, b = lattice_vectors(*pattern("Au", (1, 1, 0)), GRID).vectors_per_angstrom
    assert np.linalg.norm(a) == pytest.approx(math.sqrt(3) / 4.0782, rel=3e-3)
    assert np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))) == pytest.approx(70.5, abs=0.5)


def test_reduction_ends_at_the_shortest_vectors():
    basis = np.array([[0.3, 0.0], [0.1, 0.4]])
    skewed = np.array([[7, 3], [2, 1]]) @ basis
    np.testing.assert_allclose(np.linalg.norm(reduced(skewed), axis=1), np.linalg.norm(reduced(basis), axis=1))


@pytest.mark.parametrize(
    ("name", "zone"),
    [("CdS-wurtzite", (0, 0, 1)), ("CdS-zincblende", (1, 1, 2)), ("Au", (1, 1, 0)), ("TiO2-rutile", (0, 1, 0))],
)
def test_the_zone_is_the_best(name, zone):
    best = rank_zones(*pattern(name, zone, scale=1.008), GRID, crystal(name), energy_ev=200e3)[0]
    assert same_zone(crystal(name), zone, best.zone)
    assert best.score > 0.7 and best.match.scale == pytest.approx(1.008, abs=2e-3)
    assert best.misfit < 0.01 and best.present > 0.95


@pytest.mark.parametrize(
    ("shown", "zone", "named"),
    [
        ("CdS-wurtzite", (0, 0, 1), "CdSe-wurtzite"),  # 4 % in spacing
        ("CdS-wurtzite", (0, 0, 1), "Au"),
        ("CdS-zincblende", (0, 0, 1), "CdS-wurtzite"),
        ("PbS", (0, 0, 1), "PbTe"),
    ],
)
def test_another_crystal_does_not_fit(shown, zone, named):
    ranked = rank_zones(*pattern(shown, zone), GRID, crystal(named), energy_ev=200e3)
    assert not ranked or ranked[0].score < FITS


def test_zones_are_unique_under_symmetry():
    gold = unique_zones(crystal("Au"), 2)
    assert len(gold) == 6  # 001, 011, 111, 012, 112, 122
    assert same_zone(crystal("Au"), (1, 1, 2), (-2, 1, 1)) and not same_zone(crystal("Au"), (1, 1, 2), (1, 1, 1))
    assert len(unique_zones(crystal("CdS-wurtzite"), 1)) > 4


@pytest.mark.parametrize("scale", [0.96, 1.0, 1.013])
def test_spacings_calibrate_a_pattern(scale):
    beams = ZoneBeams(crystal("Au"), (1, 1, 0), energy_ev=200e3, q_max_per_angstrom=1.25)
    amplitude, regions = pattern("Au", (1, 1, 0), scale=scale)
    (match, *_) = match_zone(amplitude, regions, GRID, beams)
    measured, own = spot_radii(amplitude, regions, GRID, beams, match)
    assert len(measured) > 5 and own.min() == pytest.approx(math.sqrt(3) / 4.0782, rel=1e-3)
    found = q_pixel_from_spacings(measured / GRID.q_pixel_per_angstrom, 1 / own)
    assert found.q_pixel_per_angstrom * scale == pytest.approx(GRID.q_pixel_per_angstrom, rel=5e-4)
    regions[:, GRID.n // 2 :] = Region.M  # a spot without its opposite tells nothing
    with pytest.raises(InputError, match="pairs of spots"):
        spot_radii(amplitude, regions, GRID, beams, match)


def test_no_spots_are_said():
    with pytest.raises(InputError, match="spots"):
        lattice_vectors(np.zeros(GRID.shape, np.float32), np.full(GRID.shape, Region.B, np.uint8), GRID)


def test_a_lattice_of_two_equal_vectors_is_reduced_however_they_round():
    """Where two choices are as short, rounding must not send the reduction round and round."""
    rng = np.random.default_rng(1)
    hexagonal = np.array([[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    rhombic = np.array([[2.0, 0.0], [1.0, 3.0]])
    for basis in (hexagonal, rhombic, np.eye(2)):
        for angle in rng.uniform(0, 360, 40):
            mixed = np.array([[1, int(rng.integers(-5, 6))], [0, 1]])[:: int(rng.choice([-1, 1]))]
            a, b = reduced(mixed @ turned(basis, angle))
            shortest = sorted(np.linalg.norm(k * basis[0] + m * basis[1]) for k in (-1, 0, 1) for m in (-1, 0, 1))
            assert np.linalg.norm(a) == pytest.approx(shortest[1])
            assert abs(a[0] * b[1] - a[1] * b[0]) == pytest.approx(abs(np.linalg.det(basis)))
            assert -1e-6 < a @ b / (a @ a) < 0.5 + 1e-6


@pytest.mark.parametrize("name", ["CdS-wurtzite", "Ge", "TiO2-rutile"])
def test_every_zone_of_a_crystal_has_the_lattice_of_its_reflections(name):
    made = crystal(name)
    for zone in unique_zones(made):
        beams = ZoneBeams(made, zone, energy_ev=200e3, q_max_per_angstrom=0.9)
        lattice = _zone_lattice(made, zone)
        allowed = np.abs(beams.potential_volt) > 0.01 * np.abs(beams.potential_volt).max()
        if lattice is None:  # reflections of one row alone
            assert np.linalg.matrix_rank(beams.g_per_angstrom[allowed], tol=1e-6) < 2
            continue
        # all lengths that there are are those of lattice points
        steps = np.arange(-9, 10)
        points = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2) @ lattice
        lengths = np.sort(np.linalg.norm(points, axis=1))
        q = np.linalg.norm(beams.g_per_angstrom[allowed], axis=1)
        nearest = lengths[np.clip(np.searchsorted(lengths, q), 1, len(lengths) - 1)]
        before = lengths[np.clip(np.searchsorted(lengths, q), 1, len(lengths) - 1) - 1]
        assert np.minimum(np.abs(nearest - q), np.abs(before - q)).max() < 1e-6


def test_spots_of_double_diffraction_do_not_hide_the_zone():
    """CdSe [11-20] with its forbidden (0001): two that are allowed do not span its lattice."""
    made = crystal("CdSe-wurtzite")
    amplitude, regions = pattern("CdSe-wurtzite", (1, 0, 0))
    beams = ZoneBeams(made, (1, 0, 0), energy_ev=200e3, q_max_per_angstrom=1.25)
    q = GRID.index() * GRID.q_pixel_per_angstrom
    for x, y in turned(beams.g_per_angstrom[1:], 17.0):
        lines = [np.exp(-((q - at) ** 2) / (2 * 0.008**2)) for at in (y, x)]
        amplitude += np.float32(0.05 * amplitude.max()) * np.outer(*lines).astype(np.float32)
    regions = np.where(amplitude > 0.01 * amplitude.max(), Region.G, Region.B).astype(np.uint8)
    found = lattice_vectors(amplitude, regions, GRID)
    assert np.linalg.norm(found.vectors_per_angstrom[0]) == pytest.approx(1 / 7.0152, rel=5e-3)
    best = rank_zones(amplitude, regions, GRID, made, energy_ev=200e3)[0]
    assert same_zone(made, (1, 0, 0), best.zone) and best.score > 0.7


def test_strong_reflections_that_are_absent_count_against_a_crystal():
    """Silicon's pattern for rock salt with silicon's cell: its strong (002) and (222) are not there, noise is."""
    silicon = crystal("Si")
    rock_salt = crystal("MgO").scaled(5.4310 / 4.2112)
    amplitude, regions = pattern("Si", (1, 1, 0))
    noise = np.random.default_rng(0).normal(0, 0.004 * amplitude.max(), GRID.shape)
    noisy = np.hypot(amplitude, noise).astype(np.float32)
    own, other = (rank_zones(noisy, regions, GRID, one, energy_ev=200e3)[0] for one in (silicon, rock_salt))
    assert own.present > 0.95 and other.present < 0.85
    assert other.score < own.score - 0.1
