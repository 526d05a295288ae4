"""The support of known shapes."""

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.support import local_envelope, object_support, support_from_mask
from napari_subangstrom_cdi.errors import InputError, QualityWarning

GRID = Grid(512, 200.0)
Y, X = np.meshgrid(GRID.index() * GRID.pixel_angstrom, GRID.index() * GRID.pixel_angstrom, indexing="ij")


def fringes(inside, spacing=3.3, noise=0.02, angle=0.4, seed=0):
    """A band-passed lattice image: mean zero inside, as a Wiener estimate is."""
    wave = np.cos(2 * np.pi * (np.cos(angle) * X + np.sin(angle) * Y) / spacing)
    field = np.where(inside, wave, 0) + noise * np.random.default_rng(seed).normal(size=GRID.shape)
    return field.astype(np.float32)


def ellipse(a, b, angle):
    u, v = np.cos(angle) * X + np.sin(angle) * Y, -np.sin(angle) * X + np.cos(angle) * Y
    return (u / a) ** 2 + (v / b) ** 2 < 1


@given(a=st.floats(25, 45), b=st.floats(20, 40), angle=st.floats(0, np.pi), spacing=st.floats(2.0, 3.6))
@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_support_holds_the_particle_and_little_more(a, b, angle, spacing):
    inside = ellipse(a, b, angle)
    found = object_support(fringes(inside, spacing, angle=angle + 1), GRID)
    assert np.count_nonzero(inside & ~found.mask) < 0.005 * np.count_nonzero(inside)
    outside_by = ndi.distance_transform_edt(~inside) * GRID.pixel_angstrom
    assert outside_by[found.mask].max() < 4.5
    assert found.oversampling_ratio == pytest.approx(GRID.n**2 / np.count_nonzero(found.mask))
    assert found.area_angstrom2 == pytest.approx(np.count_nonzero(found.mask) * GRID.pixel_angstrom**2)


@pytest.mark.parametrize("rule", ["otsu", "li", "triangle", 0.3])
def test_every_rule_finds_the_particle(rule):
    inside = ellipse(35, 35, 0)
    found = object_support(fringes(inside, noise=0.05), GRID, threshold=rule, smooth_angstrom=3)
    assert np.count_nonzero(inside & ~found.mask) < 0.05 * np.count_nonzero(inside)


def test_grow_and_erode_move_the_edge_by_so_much():
    inside = ellipse(35, 35, 0)
    radius = {}
    for grow in (-2.0, 0.0, 3.0):
        area = object_support(fringes(inside), GRID, grow_angstrom=grow).area_angstrom2
        radius[grow] = np.sqrt(area / np.pi)
    assert radius[3.0] - radius[0.0] == pytest.approx(3, abs=0.4)
    assert radius[0.0] - radius[-2.0] == pytest.approx(2, abs=0.4)


def test_holes_are_filled_and_specks_dropped():
    hollow = ellipse(35, 35, 0) & ~ellipse(12, 12, 0)
    speck = (X + 70) ** 2 + (Y - 60) ** 2 < 6**2
    estimate = fringes(hollow | speck)
    found = object_support(estimate, GRID)
    assert found.n_parts == 2
    assert found.mask[GRID.n // 2, GRID.n // 2]
    assert not found.mask[speck].any()
    everything = object_support(estimate, GRID, fill=False, keep_largest=False)
    assert not everything.mask[GRID.n // 2, GRID.n // 2]
    assert everything.mask[speck].all()


def test_envelope_of_a_fringe_is_flat():
    envelope = local_envelope(fringes(np.ones(GRID.shape, bool), noise=0.0), 8)
    assert envelope[100:-100, 100:-100] == pytest.approx(np.sqrt(0.5), rel=0.01)


def test_nothing_there():
    noise = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    with pytest.raises(InputError, match="no particle"):
        object_support(noise, GRID)
    with pytest.raises(InputError, match="no particle"):
        object_support(np.zeros(GRID.shape, np.float32), GRID)


def test_unusable_input():
    estimate = fringes(ellipse(30, 30, 0))
    with pytest.raises(InputError, match="shape"):
        object_support(estimate[:-2], GRID)
    with pytest.raises(InputError, match="NaN"):
        object_support(np.full(GRID.shape, np.nan, np.float32), GRID)
    with pytest.raises(InputError, match="threshold"):
        object_support(estimate, GRID, threshold=1.5)
    with pytest.raises(InputError, match="otsu"):
        object_support(estimate, GRID, threshold="magic")
    with pytest.raises(InputError, match="another threshold"):
        object_support(estimate, GRID, grow_angstrom=-100)
    with pytest.raises(InputError, match="covers"):
        support_from_mask(np.ones(GRID.shape, bool), GRID)


def test_low_oversampling_is_noticed():
    with pytest.warns(QualityWarning, match="oversampling"):
        support_from_mask(ellipse(90, 90, 0), GRID)
