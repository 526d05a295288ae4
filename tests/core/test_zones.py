"""Zone axes of a crystal, from kinematic patterns whose zone is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.crystal.unit_cell import crystal
from napari_subangstrom_cdi.core.fit.distortion import fit_distortion
from napari_subangstrom_cdi.core.fit.indexing import match_zone, spot_radii, turned
from napari_subangstrom_cdi.core.fit.lattice import lattice_vectors, reduced, related_lattices
from napari_subangstrom_cdi.core.fit.rings import stretch_of
from napari_subangstrom_cdi.core.fit.spots import spot_size
from napari_subangstrom_cdi.core.fit.zones import (
    FITS,
    rank_zones,
    same_zone,
    unique_zones,
    zone_lattice,
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
        lattice = zone_lattice(made, zone)
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


def disc_pattern(
    name: str, zone: tuple[int, int, int], *, disc: float = 0.0, stretch: np.ndarray | None = None, seed: int = 0
):
    """√I of points or discs with Poisson noise on an even level, stretched; and the regions above 3 σ."""
    grid = Grid(256, 95.0)
    rng = np.random.default_rng(seed)
    beams = ZoneBeams(crystal(name), zone, energy_ev=200e3, q_max_per_angstrom=1.25)
    g = turned(beams.g_per_angstrom[1:], 17.0) @ (np.eye(2) if stretch is None else stretch)
    q = grid.index() * grid.q_pixel_per_angstrom
    electrons = np.zeros(grid.shape)
    for (x, y), strength in zip(g, np.abs(beams.potential_volt[1:]) ** 2, strict=True):
        r = np.hypot(q[:, None] - y, q[None] - x)
        shape = 1 / (1 + np.exp(np.minimum((r - disc) / 0.006, 50))) if disc else np.exp(-(r**2) / 2 / 0.007**2)
        electrons += strength * shape / shape.sum()
    counts = rng.poisson(2e6 * electrons / electrons.sum() + 1.0)
    intensity = (counts - 1.0).astype(np.float32)
    regions = np.where(intensity > 3.0, Region.G, Region.B).astype(np.uint8)
    return np.sqrt(np.maximum(intensity, 0)), regions, grid


@pytest.mark.parametrize("disc", [0.0, 0.05, 0.08])
def test_scores_are_those_of_points_on_discs(disc):
    amplitude, regions, grid = disc_pattern("Ag", (1, 1, 0), disc=disc)
    best, *others = rank_zones(amplitude, regions, grid, crystal("Ag"), energy_ev=200e3)
    assert same_zone(crystal("Ag"), best.zone, (1, 1, 0)) and best.score > 0.8
    assert best.match.explained > 0.95 and all(one.score < FITS for one in others)
    wrong = rank_zones(amplitude, regions, grid, crystal("Cu"), energy_ev=200e3)
    assert not wrong or wrong[0].score < FITS
    # a spot is found as large as it is, with its soft edge
    assert disc < spot_size(amplitude, regions, grid) < disc + 0.045


@pytest.mark.parametrize("form", [(0.0, 0.0), (0.02, -0.01), (-0.03, 0.03), (0.0, 0.057)])
def test_an_ellipse_is_measured_and_hides_no_zone(form):
    amplitude, regions, grid = disc_pattern("Ag", (1, 1, 0), disc=0.04, stretch=stretch_of(form))
    best = rank_zones(amplitude, regions, grid, crystal("Ag"), energy_ev=200e3)[0]
    assert same_zone(crystal("Ag"), best.zone, (1, 1, 0)) and best.score > FITS
    found = best.distortion
    np.testing.assert_allclose(found.form, form, atol=max(8 * found.error, 1e-3))
    assert found.error < 1e-3 and found.scale == pytest.approx(1, abs=2e-3)
    np.testing.assert_allclose(found.stretch, stretch_of(form), atol=2e-3)
    assert found.azimuth_deg % 180 == pytest.approx(17.0, abs=0.3)
    # spacings measured before the stretch are the crystal's
    beams = ZoneBeams(crystal("Ag"), best.zone, energy_ev=200e3, q_max_per_angstrom=1.25)
    measured, own = spot_radii(amplitude, regions, grid, beams, best.match, found.stretch)
    np.testing.assert_allclose(measured, own, rtol=6e-3)


def test_weak_spots_between_the_reflections_hide_no_zone():
    """Spots of half the indices, as of surface steps: the lattice seen is a quarter of the zone's."""
    made, zone = crystal("Au"), (0, 0, 1)
    amplitude, _ = pattern("Au", zone)
    basis = turned(zone_lattice(made, zone), 17.0)
    q = GRID.index() * GRID.q_pixel_per_angstrom
    for i, j in np.stack(np.meshgrid(np.arange(-5, 6), np.arange(-5, 6)), -1).reshape(-1, 2):
        if i % 2 or j % 2:
            x, y = np.array([i, j]) @ basis / 2
            line_x, line_y = (np.exp(-((q - at) ** 2) / (2 * 0.008**2)) for at in (x, y))
            amplitude += np.float32(0.06 * amplitude.max()) * np.outer(line_y, line_x).astype(np.float32)
    scores = []
    for share in (0.01, 0.03, 0.1):  # whatever is taken for signal
        regions = np.where(amplitude > share * amplitude.max(), Region.G, Region.B).astype(np.uint8)
        best = rank_zones(amplitude, regions, GRID, made, energy_ev=200e3)[0]
        assert same_zone(made, best.zone, zone)
        scores.append(best.score)
    assert min(scores) > FITS


def test_missing_reflections_hide_no_zone():
    """PbS [001] without its odd half: all that is left lies on a lattice twice as coarse."""
    amplitude, regions = pattern("PbS", (0, 0, 1))
    basis = turned(zone_lattice(crystal("PbS"), (0, 0, 1)), 17.0)
    q = GRID.index() * GRID.q_pixel_per_angstrom
    points = np.stack(np.meshgrid(q, q), -1).reshape(-1, 2)
    index = np.rint(points @ np.linalg.inv(basis)).astype(int)
    regions = np.where((index.sum(axis=1) % 2).reshape(GRID.shape) == 1, Region.B, regions).astype(np.uint8)
    seen = lattice_vectors(amplitude, regions, GRID)
    assert abs(np.linalg.det(seen.vectors_per_angstrom)) == pytest.approx(2 * abs(np.linalg.det(basis)), rel=0.02)
    best = rank_zones(amplitude, regions, GRID, crystal("PbS"), energy_ev=200e3)[0]
    assert same_zone(crystal("PbS"), best.zone, (0, 0, 1))
    assert best.match.scale == pytest.approx(1, abs=5e-3)


def test_related_lattices_are_all_of_low_index_once():
    basis = np.array([[0.3, 0.02], [0.05, 0.41]])  # without symmetry
    related = related_lattices(basis, 3)
    areas = sorted(round(abs(np.linalg.det(one)) / abs(np.linalg.det(basis)), 6) for one in related)
    assert areas == [round(1 / 3, 6)] * 4 + [0.5] * 3 + [1.0] + [2.0] * 3 + [3.0] * 4
    grams = {tuple(np.round((one @ one.T).ravel(), 9)) for one in related}
    assert len(grams) == len(related)


def test_the_error_of_a_distortion_is_what_it_scatters_by():
    rng = np.random.default_rng(3)
    own = np.stack(np.meshgrid(np.arange(-3, 4), np.arange(-3, 4)), -1).reshape(-1, 2) @ np.array(
        [[0.3, 0], [0.1, 0.35]]
    )
    form, within = (0.02, -0.03), []
    for _ in range(200):
        places = turned(own, 30.0, 1.01) @ stretch_of(form) + rng.normal(0, 0.004, own.shape) + [0.01, -0.02]
        found = fit_distortion(places, own)
        within.append(
            [
                abs(math.log(found.scale / 1.01)) < found.error,
                abs(found.form[0] - form[0]) < 2 * found.error,
                abs(math.radians(found.azimuth_deg - 30)) < found.error,
                abs(found.ratio - math.exp(math.hypot(*form))) < found.ratio_error,
            ]
        )
    shares = np.mean(within, axis=0)
    assert (shares > 0.6).all() and (shares < 0.76).all()
    with pytest.raises(InputError, match="one line"):
        fit_distortion(own[:5] * [1, 0], own[:5] * [1, 0])
    with pytest.raises(InputError, match="3 spots"):
        fit_distortion(own[:3], own[:3])
