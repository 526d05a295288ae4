"""Sampling of real and reciprocal space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.errors import InputError

grids = st.builds(Grid, st.integers(8, 256).map(lambda k: 2 * k), st.floats(1.0, 1e4))


@given(grid=grids)
def test_real_and_reciprocal_pixels_are_conjugate(grid):
    assert grid.pixel_angstrom * grid.q_pixel_per_angstrom * grid.n == pytest.approx(1)
    assert grid.q_max_per_angstrom == pytest.approx(grid.q_pixel_per_angstrom * grid.n / 2)


@given(grid=grids)
def test_the_origin_is_pixel_half_n(grid):
    for radius in (grid.radius_px(), grid.r_angstrom(), grid.q_per_angstrom()):
        assert radius.shape == grid.shape
        assert radius.dtype == np.float32
        assert np.argwhere(radius == 0).tolist() == [[grid.n // 2, grid.n // 2]]


def test_q_agrees_with_numpy():
    grid = Grid(64, 32.0)
    q = np.fft.fftshift(np.fft.fftfreq(64, grid.pixel_angstrom))
    np.testing.assert_allclose(grid.q_per_angstrom(), np.hypot(q[:, None], q), rtol=1e-6)


@pytest.mark.parametrize("n", [15, 14, 0, -64, 101])
def test_odd_and_tiny_arrays_are_refused(n):
    with pytest.raises(InputError, match=f"{n} pixels"):
        Grid(n, 400.0)


@pytest.mark.parametrize("fov", [0.0, -1.0, float("nan"), float("inf")])
def test_an_absurd_field_of_view_is_refused(fov):
    with pytest.raises(InputError, match="field of view"):
        Grid(64, fov)
