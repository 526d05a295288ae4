"""The fast kernel against the plain projection of the whole, centred array."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.ensemble.metrics import r_factor
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing._kernel import FourierKernel
from napari_subangstrom_cdi.core.phasing.regions import AmplitudeBand, Region, amplitude_band


class Case:
    """A random pattern with its regions, an estimate on a random box, and pixels held out."""

    def __init__(self, seed, n, *, real=False):
        rng = np.random.default_rng(seed)
        self.grid = Grid(n, 0.4 * n)
        self.q = self.grid.q_per_angstrom()
        self.shape = tuple(int(size) for size in rng.integers(1, n + 1, 2))
        self.corner = tuple(int(rng.integers(0, n - size + 1)) for size in self.shape)
        field = rng.standard_normal(self.shape) + 1j * rng.standard_normal(self.shape)
        self.estimate = field.real.astype(np.float32) if real else field.astype(np.complex64)
        size = np.sqrt(self.estimate.size)
        self.measured = (size * rng.gamma(1.0, 1.0, (n, n))).astype(np.float32)
        self.regions = rng.choice(np.array([0, 1, 2, 2], np.uint8), (n, n))
        self.regions[0, 0] = Region.G
        self.held_out = (self.regions == Region.G) & (rng.random((n, n)) < 0.1)
        self.held_out[0, 0] = False
        sigma = np.full((n, n), size**2 / 3, np.float32)
        reading = str(rng.choice(["methods", "upper-limit"]))
        self.band = amplitude_band(self.measured**2, sigma, self.regions, alpha=rng.random(), reading=reading)
        self.q_limit = float(rng.choice([0.3, 0.9, np.inf]))

    def kernel(self, workers=1):
        kernel = FourierKernel(self.band, self.measured, self.regions, self.held_out, self.q, workers=workers)
        kernel.limit_q(self.q_limit)
        return kernel

    def whole(self, corner):
        field = np.zeros(self.grid.shape, np.complex128)
        field[self.part(corner)] = self.estimate
        return field

    def part(self, corner):
        return tuple(slice(start, start + size) for start, size in zip(corner, self.shape, strict=True))

    def plain_band(self):
        lower = np.where(self.held_out | (self.q > np.float32(self.q_limit)), 0, self.band.lower)
        return AmplitudeBand(lower, np.where(self.held_out, np.float32(np.inf), self.band.upper))

    def plain_projection(self, corner):
        spectrum = self.plain_band().project(fourier.transform(self.whole(corner)))
        return fourier.inverse(spectrum)[self.part(corner)]


CASES = st.tuples(st.integers(0, 10**6), st.sampled_from([16, 64, 96, 160]))


@settings(max_examples=40, deadline=None)
@given(CASES)
def test_projection_is_that_of_the_centred_array_wherever_the_box_lies(drawn):
    case = Case(*drawn)
    kernel = case.kernel()
    projected, _, _ = kernel.project(case.estimate)
    kernel.close()
    tolerance = 3e-5 * np.abs(projected).max()
    for corner in (case.corner, (0, 0)):
        np.testing.assert_allclose(projected, case.plain_projection(corner), atol=tolerance)
    assert projected.dtype == np.complex64


@settings(max_examples=40, deadline=None)
@given(CASES)
def test_a_real_estimate_gives_the_real_part_of_the_same_projection(drawn):
    case = Case(*drawn, real=True)
    kernel = case.kernel()
    projected, *factors = kernel.project(case.estimate)
    _, *expected = kernel.project(case.estimate.astype(np.complex64))
    kernel.close()
    wanted = case.plain_projection(case.corner).real
    np.testing.assert_allclose(projected, wanted, atol=3e-5 * np.abs(wanted).max())
    assert projected.dtype == np.float32
    np.testing.assert_allclose(factors, expected, rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(CASES, st.booleans())
def test_r_factors_are_those_of_the_definition(drawn, real):
    case = Case(*drawn, real=real)
    spectrum = fourier.transform(case.whole(case.corner))
    good = (case.regions == Region.G) & ~case.held_out
    expected = [r_factor(spectrum, case.measured, chosen) for chosen in (good, case.held_out)]
    kernel = case.kernel()
    np.testing.assert_allclose(kernel.r_factors(case.estimate), expected, rtol=1e-4)
    np.testing.assert_allclose(kernel.project(case.estimate)[1:], expected, rtol=1e-4)
    kernel.close()


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("n", [96, 256])
def test_the_number_of_threads_changes_no_bit(n, real):
    case = Case(7, n, real=real)
    found = []
    for workers in (1, 2, 3):
        kernel = case.kernel(workers)
        first = kernel.project(case.estimate)
        second = kernel.project(first[0])
        found.append((*first, *second, *kernel.r_factors(second[0])))
        kernel.close()
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_estimate_is_not_changed():
    case = Case(3, 64)
    before = case.estimate.copy()
    kernel = case.kernel()
    kernel.project(case.estimate)
    kernel.r_factors(case.estimate)
    kernel.close()
    np.testing.assert_array_equal(case.estimate, before)


def test_what_was_projected_stays_when_the_kernel_goes_on():
    """Its buffers are its own: a result is not overwritten by the next call."""
    case = Case(3, 64)
    kernel = case.kernel()
    projected, _, _ = kernel.project(case.estimate)
    kept = projected.copy()
    kernel.project(case.estimate * 2)
    kernel.close()
    np.testing.assert_array_equal(projected, kept)


def test_the_q_limit_can_be_raised_and_lowered():
    case = Case(11, 96)
    kernel = case.kernel()
    for limit in (0.9, 0.2, np.inf, 0.5, 0.0):
        case.q_limit = limit
        kernel.limit_q(limit)
        projected, _, _ = kernel.project(case.estimate)
        np.testing.assert_allclose(projected, case.plain_projection((0, 0)), atol=3e-5 * np.abs(projected).max())
    kernel.close()


@pytest.mark.parametrize("dtype", [np.complex64, np.float32])
def test_an_empty_estimate_and_an_empty_pattern_stay_finite(dtype):
    case = Case(5, 64)
    kernel = case.kernel()
    projected, r, free_r = kernel.project(np.zeros((9, 30), dtype))
    kernel.close()
    assert np.isfinite(projected).all()
    assert (r, free_r) == (pytest.approx(1), pytest.approx(1))
    case.measured[:] = 0
    case.band = amplitude_band(case.measured, case.measured, case.regions)
    kernel = case.kernel()
    projected, r, _ = kernel.project(case.estimate)
    kernel.close()
    assert np.isfinite(projected).all()
    assert np.isnan(r)


def test_without_held_out_pixels_there_is_no_free_r():
    case = Case(5, 64)
    case.held_out[:] = False
    kernel = case.kernel()
    assert np.isnan(kernel.project(case.estimate)[2])
    kernel.close()


def test_closing_ends_the_threads():
    before = threading.active_count()
    kernel = Case(5, 256).kernel(workers=3)
    kernel.project(np.ones((200, 200), np.complex64))
    kernel.close()
    assert threading.active_count() == before
    kernel.close()
