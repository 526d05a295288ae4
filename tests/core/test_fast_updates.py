"""Rules with feedback on the spectrum alone, against the same rules on the whole array."""

import numpy as np
import pytest

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing._kernel import FourierKernel
from napari_subangstrom_cdi.core.phasing.regions import Region, amplitude_band
from napari_subangstrom_cdi.core.phasing.updates import UPDATES, mixture_outside, no_projection

N = 96
BOX = (34, 27)
SINGLE = [("hio", 0.7), ("hio", 1.0), ("raar", 0.87), ("raar", 0.5), ("difference-map", 1.0)]


def rule_of(update, beta):
    return UPDATES.named(update)(beta=beta)


def random_field(shape, rng):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.fixture(scope="module")
def pattern():
    """A kernel's arguments: a pattern of all regions, not centrosymmetric, and pixels held out."""
    rng = np.random.default_rng(3)
    measured = np.abs(fourier.transform(fourier.fit_to_size(random_field(BOX, rng), N)))
    measured = (measured * rng.uniform(0.8, 1.2, measured.shape)).astype(np.float32)
    regions = rng.choice(np.array([Region.M, Region.B, Region.G, Region.G], np.uint8), (N, N))
    sigma = np.full((N, N), np.mean(measured**2) / 6, np.float32)
    band = amplitude_band(measured**2, sigma, regions)
    held_out = (regions == Region.G) & (rng.random((N, N)) < 0.05)
    return band, measured, regions, held_out, Grid(N, 40.0).q_per_angstrom()


@pytest.fixture
def kernel(pattern):
    made = FourierKernel(*pattern, workers=1)
    yield made
    made.close()


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize(("keep", "gain"), [(1.0, -0.8), (0.87, -0.74), (0.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("q_limit", [0.4, np.inf])
def test_feeding_back_is_mixing_the_whole_array_with_its_projection(kernel, keep, gain, q_limit):
    rng = np.random.default_rng(1)
    kernel.limit_q(q_limit)
    spectrum = kernel.zero_spectrum()
    x = np.zeros((N, N), np.complex64)
    for _ in range(3):
        change = random_field(BOX, rng)
        x[: BOX[0], : BOX[1]] += change
        whole = kernel.project(x)[0]
        assert relative(kernel.feed_back(spectrum, change, keep, gain), whole[: BOX[0], : BOX[1]]) < 1e-5
        x = keep * x + gain * whole


@pytest.mark.parametrize(("update", "beta"), SINGLE)
def test_the_mixture_outside_is_what_the_rule_does_there(update, beta):
    rng = np.random.default_rng(2)
    x, projected = random_field((5, 7), rng), random_field((5, 7), rng)
    keep, gain = mixture_outside(rule_of(update, beta))
    outside = rule_of(update, beta)(x, projected, np.zeros_like, no_projection)
    np.testing.assert_allclose(keep * x + gain * projected, outside, atol=1e-5)


def test_a_rule_that_projects_twice_has_no_mixture():
    with pytest.raises(NotImplementedError, match="projects twice"):
        mixture_outside(rule_of("difference-map", 0.8))


def test_the_number_of_threads_changes_no_bit(pattern):
    results = []
    for workers in (1, 2, 3):
        rng = np.random.default_rng(4)
        kernel = FourierKernel(*pattern, workers=workers)
        spectrum = kernel.zero_spectrum()
        results.append([kernel.feed_back(spectrum, random_field(BOX, rng), 1.0, -0.8) for _ in range(3)])
        kernel.close()
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_the_spectrum_does_not_drift_from_the_object_in_a_long_run(kernel):
    """The box is followed both in the spectrum and in real space, each with its own rounding."""
    rng = np.random.default_rng(5)
    x = random_field(BOX, rng)
    support = np.ones(BOX, np.bool_)
    support[:4, :6] = False
    change, spectrum = x, kernel.zero_spectrum()
    for _ in range(500):
        projected = kernel.feed_back(spectrum, change, 1.0, -0.8)
        updated = rule_of("hio", 0.8)(x, projected, lambda a: np.where(support, a, 0), no_projection)
        x, change = updated, updated - (x - np.float32(0.8) * projected)
    columns = np.concatenate(spectrum, axis=1) * N * N
    kept = np.fft.ifft2(columns)[: BOX[0], : BOX[1]] + change
    assert relative(kept, x) < 1e-4
