"""Centred transforms against analytic ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.grid import Grid

GRID = Grid(128, 64.0)
seeds = st.integers(0, 2**32 - 1)


def random_field(seed, n=32, kind="complex"):
    rng = np.random.default_rng(seed)
    real = rng.normal(size=(n, n))
    return real + 1j * rng.normal(size=(n, n)) if kind == "complex" else real


@given(seed=seeds, n=st.integers(8, 33))
def test_inverse_undoes_transform(seed, n):
    field = random_field(seed, n)
    np.testing.assert_allclose(fourier.inverse(fourier.transform(field)), field, atol=1e-12)


def test_single_precision_stays_single():
    assert fourier.transform(np.ones((16, 16), np.float32)).dtype == np.complex64


def test_gaussian_transforms_to_its_analytic_gaussian():
    width = 3.0
    gaussian = np.exp(-(GRID.r_angstrom().astype(float) ** 2) / (2 * width**2))
    expected = 2 * np.pi * width**2 * np.exp(-2 * (np.pi * width * GRID.q_per_angstrom().astype(float)) ** 2)
    np.testing.assert_allclose(fourier.transform(gaussian) * GRID.pixel_angstrom**2, expected, atol=1e-5)


def test_a_shifted_point_carries_the_phase_of_the_forward_sign():
    point = np.zeros(GRID.shape)
    point[64 + 3, 64 - 5] = 1
    q = GRID.index() * GRID.q_pixel_per_angstrom
    y, x = 3 * GRID.pixel_angstrom, -5 * GRID.pixel_angstrom
    expected = np.exp(-2j * np.pi * (q[:, None] * y + q * x))
    np.testing.assert_allclose(fourier.transform(point), expected, atol=1e-12)


@given(seed=seeds)
def test_a_real_object_has_a_friedel_symmetric_intensity(seed):
    intensity = np.abs(fourier.transform(random_field(seed, kind="real"))) ** 2
    inner = intensity[1:, 1:]
    np.testing.assert_allclose(inner, inner[::-1, ::-1], rtol=1e-9)


@given(seed=seeds)
def test_parseval(seed):
    field = random_field(seed)
    assert np.sum(np.abs(fourier.transform(field)) ** 2) == pytest.approx(field.size * np.sum(np.abs(field) ** 2))


@settings(deadline=None)
@given(
    seed=seeds,
    dy=st.floats(-20, 20),
    dx=st.floats(-20, 20),
    kind=st.sampled_from(["real", "complex"]),
    n=st.integers(8, 33),
)
def test_shift_there_and_back(seed, dy, dx, kind, n):
    field = random_field(seed, n, kind)
    smooth = fourier.transform(field)
    smooth[np.hypot(*(np.indices((n, n)) - n // 2)) >= n // 2 - 0.5] = 0
    field = fourier.inverse(smooth)
    field = field.real if kind == "real" else field
    back = fourier.shift(fourier.shift(field, (dy, dx)), (-dy, -dx))
    np.testing.assert_allclose(back, field, atol=1e-9)


@given(seed=seeds, dy=st.integers(-40, 40), dx=st.integers(-40, 40), n=st.integers(8, 33))
def test_a_whole_shift_rolls(seed, dy, dx, n):
    field = random_field(seed, n, "real")
    np.testing.assert_allclose(fourier.shift(field, (dy, dx)), np.roll(field, (dy, dx), (0, 1)), atol=1e-9)


def test_shift_moves_a_gaussian_by_a_fraction():
    y, x = np.indices((64, 64)) - 32.0
    moved = fourier.shift(np.exp(-(y**2 + x**2) / 18), (0.3, -1.7))
    np.testing.assert_allclose(moved, np.exp(-((y - 0.3) ** 2 + (x + 1.7) ** 2) / 18), atol=1e-6)


@given(small=st.integers(4, 40), large=st.integers(4, 40))
def test_fit_to_size_keeps_the_origin(small, large):
    field = np.zeros((small, small + 3))
    field[small // 2, (small + 3) // 2] = 1
    out = fourier.fit_to_size(field, large, fill=-1.0)
    assert out.shape == (large, large)
    assert np.argwhere(out == 1).tolist() == [[large // 2, large // 2]]
    assert np.count_nonzero(out == -1) == large**2 - min(small, large) * min(small + 3, large)
