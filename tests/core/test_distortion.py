"""Ellipse and unequal pixels of a pattern: undone exactly, and measured where they are known."""

from __future__ import annotations

import numpy as np
import pytest

from lattice_image import CONDITIONS, GRID, atoms, image_of, pattern_of
from napari_subangstrom_cdi.core.crystal.unit_cell import crystal
from napari_subangstrom_cdi.core.fit.lattice_ellipse import against_zone, measured_lattice, near_symmetry
from napari_subangstrom_cdi.core.fit.zones import zone_lattice
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.distortion import ellipse_by_image
from napari_subangstrom_cdi.core.image.geometry import Candidate
from napari_subangstrom_cdi.core.image.pair import Pair
from napari_subangstrom_cdi.core.image.potential import normalise_to_vacuum
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.record.detector import Record
from napari_subangstrom_cdi.core.record.distortion import (
    Distortion,
    MeasuredEllipse,
    combined,
    components_of,
    stretch_matrix,
)
from napari_subangstrom_cdi.core.record.embedding import embed
from napari_subangstrom_cdi.core.record.rings import ellipse_of_rings
from napari_subangstrom_cdi.errors import InputError

DISTORTIONS = [Distortion(2.0, 31.0), Distortion(5.8, 118.0), Distortion(1.0, 75.0, 4.0), Distortion(0, 0, 100.0)]


@pytest.mark.parametrize("distortion", DISTORTIONS[:3])
def test_components_name_the_ellipse_that_the_matrix_makes(distortion):
    lens = np.linalg.inv(stretch_matrix(distortion.ellipse_percent, distortion.ellipse_deg))
    turned = np.array([[0.8, -0.6], [0.6, 0.8]])
    np.testing.assert_allclose(components_of(1.7 * lens @ turned), distortion.components, atol=1e-12)
    back = Distortion.of_components(distortion.components)
    assert back.ellipse_percent == pytest.approx(distortion.ellipse_percent)
    assert back.ellipse_deg == pytest.approx(distortion.ellipse_deg)


def blobs(shape, centre, matrix, step, places, width):
    """Gaussians at places q, as a detector records them whose pixels lie at step · matrix · (y, x)."""
    y, x = (np.arange(n) - c for n, c in zip(shape, centre, strict=True))
    q = step * np.einsum("ij,jyx->iyx", matrix, np.stack(np.meshgrid(y, x, indexing="ij")))
    density = sum(np.exp(-((q[0] - qy) ** 2 + (q[1] - qx) ** 2) / (2 * width**2)) for qx, qy in places)
    return (1e4 * density * abs(np.linalg.det(matrix))).astype(np.float32)


@pytest.mark.parametrize("distortion", DISTORTIONS)
@pytest.mark.parametrize("binning", [1, 2])
def test_embedding_undoes_a_distortion(distortion, binning):
    places = [(0.0, 0.0), (11.0, -7.0), (-9.0, 13.0), (14.0, 12.0)]
    shape, centre = (150, 161), (71.3, 79.8)
    raw = blobs(shape, centre, distortion.matrix, 0.5, places, 2.5)
    record = Record(raw, raw + 1, np.ones(shape, bool))
    found = embed(record, centre, binning=binning, n=96 // binning, distortion=distortion)
    plain = blobs((160, 160), (80, 80), np.eye(2), 0.5, places, 2.5)
    sound = Record(plain, plain + 1, np.ones(plain.shape, bool))
    pattern = embed(sound, (80, 80), binning=binning, n=96 // binning)
    both = found.valid & pattern.valid
    assert both.mean() > 0.7
    error = np.abs(found.intensity - pattern.intensity)[both].max()
    assert error < 0.01 * pattern.intensity.max()


@pytest.mark.parametrize(("distortion", "binning"), [(Distortion(2.0, 31.0), 1), (Distortion(2.0, 31.0), 2)])
def test_the_variance_is_that_of_the_noise_where_a_distortion_is_undone(distortion, binning):
    noise = np.random.default_rng(3).normal(0, 3, (400, 400)).astype(np.float32)
    record = Record(noise, np.full(noise.shape, 9, np.float32), np.ones(noise.shape, bool))
    found = embed(record, (200.2, 199.7), binning=binning, n=300 // binning, distortion=distortion)
    assert found.variance[found.valid].mean() == pytest.approx(found.intensity[found.valid].var(), rel=0.05)


def test_nothing_to_undo_changes_no_bit():
    raw = np.random.default_rng(1).poisson(30, (90, 90)).astype(np.float32)
    record = Record(raw, raw + 1, np.ones(raw.shape, bool))
    plain, undone = (embed(record, (44.3, 45.1), binning=2, n=40, distortion=one) for one in (None, Distortion()))
    np.testing.assert_array_equal(plain.intensity, undone.intensity)
    np.testing.assert_array_equal(plain.variance, undone.variance)


@pytest.mark.parametrize("numbers", [(np.nan, 0, 0), (-100, 0, 0), (0, 0, -120)])
def test_impossible_distortions_are_refused(numbers):
    with pytest.raises(InputError, match="distortion"):
        Distortion(*numbers)


def spots(basis, distortion, rng=None, noise=0.0):
    """Spots of a lattice on GRID_OF_SPOTS as recorded, intensity, variance and regions."""
    index = np.array([(h, k) for h in range(-8, 9) for k in range(-8, 9) if (h, k) != (0, 0)])
    g = index @ basis
    g = g[np.hypot(*g.T) < 1.2]
    recorded = g @ np.linalg.inv(distortion.matrix)[::-1, ::-1].T
    if noise:
        recorded = recorded + rng.normal(0, noise, recorded.shape)
    q = SPOTS.index() * SPOTS.q_pixel_per_angstrom
    intensity = np.zeros(SPOTS.shape)
    for x, y in recorded:
        lines = [np.exp(-((q - at) ** 2) / (2 * 0.006**2)) for at in (y, x)]
        intensity += 1e4 * np.exp(-2 * np.hypot(x, y)) * np.outer(*lines)
    regions = np.where(intensity > 5, Region.G, Region.B).astype(np.uint8)
    return intensity.astype(np.float32), (intensity + 1).astype(np.float32), regions


SPOTS = Grid(512, 190.0)


@pytest.mark.parametrize("distortion", DISTORTIONS[:2])
@pytest.mark.parametrize(("name", "symmetry"), [("CdS-wurtzite", "hexagonal"), ("PbS", "square")])
def test_the_lattice_tells_the_ellipse(distortion, name, symmetry):
    basis = zone_lattice(crystal(name), (0, 0, 1))
    turned = basis @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    lattice = measured_lattice(*spots(turned, distortion), SPOTS, turned)
    by_zone, scale = against_zone(lattice, basis, "crystal")
    assert scale == pytest.approx(1, abs=1e-3)
    found = dict(near_symmetry(lattice))
    for ellipse in (by_zone, found[symmetry]):
        assert ellipse.percent == pytest.approx(distortion.ellipse_percent, abs=0.05)
        assert ellipse.deg == pytest.approx(distortion.ellipse_deg, abs=1)


def test_the_lattice_s_error_is_that_of_its_spots():
    basis = np.array([[0.28, 0.0], [0.14, 0.28 * np.sqrt(0.75)]])
    away = []
    for seed in range(6):
        lattice = measured_lattice(*spots(basis, DISTORTIONS[0], np.random.default_rng(seed), 2e-3), SPOTS, basis)
        ((_, ellipse), *_) = near_symmetry(lattice)
        away.append(ellipse.deviates(DISTORTIONS[0].components))
    assert 0.5 < np.sqrt(np.mean(np.square(away)) / 2) < 1.6


def layers(distortion, angles):
    """A record of hexagonal layers turned against each other."""
    places = []
    for angle in np.radians(angles):
        for k in range(6):
            for length, turn in ((0.47, 0.0), (0.47 * np.sqrt(3), np.pi / 6)):
                direction = angle + k * np.pi / 3 + turn
                places.append((length * np.cos(direction), length * np.sin(direction)))
    raw = blobs((640, 640), (322.4, 317.7), distortion.matrix, 0.003, places, 0.006) + 4
    electrons = np.random.default_rng(5).poisson(raw).astype(np.float32)
    return Record(electrons, electrons + 1, np.ones(electrons.shape, bool))


@pytest.mark.parametrize("distortion", [Distortion(2.0, 31.0), Distortion(5.0, 140.0), Distortion()])
def test_spots_on_rings_tell_the_ellipse(distortion):
    found = ellipse_of_rings(layers(distortion, (7.0, 25.0)), (323.0, 317.0))
    assert np.abs(found.components - distortion.components).max() < 1e-3
    assert found.error_percent < 0.1


def test_spots_of_one_oblique_lattice_are_on_too_few_rings():
    places = [(0.5 * h, 0.31 * k + 0.1 * h) for h in (-1, 0, 1) for k in (-2, -1, 0, 1, 2) if (h, k) != (0, 0)]
    raw = blobs((640, 640), (320, 320), np.eye(2), 0.003, places, 0.006) + 4
    electrons = np.random.default_rng(5).poisson(raw).astype(np.float32)
    with pytest.raises(InputError):
        ellipse_of_rings(Record(electrons, electrons + 1, np.ones(raw.shape, bool)), (320.0, 320.0))


@pytest.mark.parametrize("distortion", [Distortion(2.0, 31.0), Distortion()])
def test_the_image_tells_the_ellipse(distortion):
    r = atoms()
    stretched = (np.linalg.inv(stretch_matrix(distortion.ellipse_percent, distortion.ellipse_deg)))[::-1, ::-1]
    image = normalise_to_vacuum(image_of(r, 12.0, 0.36))
    pattern = pattern_of(np.linalg.solve(stretched, np.asarray(r)))
    found = ellipse_by_image(Pair(image, pattern, GRID, conditions=CONDITIONS), Candidate(12.2, 0.3605, False, 1.0))
    assert np.abs(found.components - distortion.components).max() < 3 * found.largest_error_percent / 100
    assert found.largest_error_percent < 0.4


def test_two_measurements_weigh_by_their_errors():
    one = MeasuredEllipse(np.array([0.02, 0.0]), np.diag([1e-6, 1e-6]), "image")
    other = MeasuredEllipse(np.array([0.01, 0.0]), np.diag([4e-6, 4e-6]), "rings")
    both = combined(one, other)
    assert both.components[0] == pytest.approx(0.018)
    assert both.source == "image and rings"
    assert both.error_percent == pytest.approx(100 * np.exp(0.018) * np.sqrt(0.8e-6))
