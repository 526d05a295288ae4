"""Object constraints: projections where they claim to be, and the order in which they act."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.phasing.constraints import (
    Scene,
    compose,
    flip,
    low_band,
    low_density,
    non_negative,
    real,
)
from napari_subangstrom_cdi.core.phasing.retrieval import iterate
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.errors import InputError
from objects import GRID, constraints_of, low_pass, outline, problem_of, random_particle

SHAPE = (12, 17)


def field_of(seed):
    rng = np.random.default_rng([seed, 0])
    field = rng.choice([1e-3, 1, 1e3]) * (rng.standard_normal(SHAPE) + 1j * rng.standard_normal(SHAPE))
    return np.where(rng.random(SHAPE) < 0.1, 0, field).astype(np.complex64)


def support_of(seed):
    rng = np.random.default_rng([seed, 1])
    support = rng.random(SHAPE) < rng.uniform(0.02, 1)
    support[tuple(rng.integers(SHAPE))] = True
    return support


def constrain_by(names, support, image=None, **values):
    constraints = Stage("s", 1, constraints=constraints_of(names, **values)).constraints
    return compose(constraints, Scene(support, GRID.pixel_angstrom, image))


SEEDS = st.integers(0, 2**32 - 1)
FIELDS, SUPPORTS = SEEDS.map(field_of), SEEDS.map(support_of)


@settings(max_examples=40, deadline=None)
@given(FIELDS)
def test_real_is_a_projection(field):
    once = real(field)
    np.testing.assert_array_equal(once, field.real)
    np.testing.assert_array_equal(real(once), once)
    assert once.dtype == np.complex64


@settings(max_examples=40, deadline=None)
@given(FIELDS, FIELDS)
def test_non_negative_is_the_nearest_non_negative(field, other):
    once = non_negative(field)
    assert np.all(once.real >= 0)
    assert not once.imag.any()
    np.testing.assert_array_equal(non_negative(once), once)
    assert np.all(np.abs(field - once) <= np.abs(field - non_negative(other)) * (1 + 1e-5) + 1e-6)


@settings(max_examples=40, deadline=None)
@given(FIELDS, SUPPORTS)
def test_support_is_a_projection(field, support):
    constrain = constrain_by(("support",), support)
    once = constrain(field)
    np.testing.assert_array_equal(once, np.where(support, field, 0))
    np.testing.assert_array_equal(constrain(once), once)


@settings(max_examples=60, deadline=None)
@given(FIELDS, SUPPORTS, st.floats(-1, 2))
def test_low_density_keeps_what_is_dense_and_nothing_else(field, support, threshold):
    limit = threshold * float(field.real[support].std())
    out = low_density(field, support, threshold)
    dense = field.real >= limit
    np.testing.assert_array_equal(out[dense], field[dense])
    assert not out[~dense].any()


def test_low_density_is_idempotent_for_a_fixed_limit():
    """Removing raises the standard deviation, so the limit moves; with atoms far above it nothing else goes."""
    support = outline()
    once = low_density(random_particle(), support, 0.3)
    twice = low_density(once, support, 0.3)
    removed = np.count_nonzero(once) - np.count_nonzero(twice)
    assert removed < 0.05 * np.count_nonzero(once)


@settings(max_examples=60, deadline=None)
@given(FIELDS, SUPPORTS)
def test_flip_changes_signs_only(field, support):
    limit = 0.5 * float(field.real[support].std())
    out = flip(field, support, 0.5)
    np.testing.assert_array_equal(np.abs(out), np.abs(field))
    np.testing.assert_array_equal(out[field.real >= limit], field[field.real >= limit])
    np.testing.assert_array_equal(out[field.real < limit], -field[field.real < limit])


@settings(max_examples=40, deadline=None)
@given(FIELDS, SUPPORTS)
def test_flip_at_zero_is_an_involution_of_signs(field, support):
    """With the threshold at zero negative density becomes positive, and there is nothing left to flip."""
    once = flip(field, support, 0.0)
    assert np.all(once.real >= 0)
    np.testing.assert_array_equal(flip(once, support, 0.0), once)


def test_flip_undoes_itself_where_its_threshold_holds():
    """Weak density of both signs below the limit returns after two flips."""
    support = np.ones(SHAPE, bool)
    field = np.full(SHAPE, 0.01 + 0.02j, np.complex64)
    field[::3, ::2] = -0.02
    field[4, 4:9] = 10
    np.testing.assert_array_equal(flip(flip(field, support, 0.5), support, 0.5), field)
    assert np.any(flip(field, support, 0.5) != field)


def _image():
    particle = random_particle()
    return particle, low_band(particle.real.astype(np.float32), outline(), low_pass, GRID.pixel_angstrom)


def test_the_low_band_smooths_as_the_transfer_function_says():
    """Against the transform of the whole periodic array, far from the edges of which the particle lies."""
    particle, image = _image()
    inside = np.where(outline(), particle, 0)
    expected = fourier.inverse(fourier.transform(inside) * low_pass(GRID.q_per_angstrom()))
    np.testing.assert_allclose(image.smooth(inside), expected, atol=2e-3)
    np.testing.assert_allclose(image.target, expected.real, atol=2e-3)


def test_the_filter_does_not_wrap_around_the_box():
    """A point at the box's edge leaves the opposite edge dark; in the box itself, periodic, it would not."""
    box = np.zeros((20, 20), np.float32)
    image = low_band(box, np.ones(box.shape, bool), low_pass, GRID.pixel_angstrom)
    box[0, 10] = 1
    smoothed = np.abs(image.smooth(box))
    periodic = np.fft.ifft2(np.fft.fft2(box) * low_pass(np.hypot(*np.meshgrid(*[np.fft.fftfreq(20, 0.4)] * 2)))).real
    assert abs(periodic[-1, 10]) > 0.5 * smoothed[0, 10]
    assert smoothed[-1, 10] < 0.02 * smoothed[0, 10]


def test_smoothing_is_linear_in_real_and_imaginary_part():
    _, image = _image()
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, *GRID.shape)).astype(np.float32)
    np.testing.assert_allclose(image.smooth(a + 1j * b), image.smooth(a) + 1j * image.smooth(b), atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_image_pulls_the_low_band_by_its_weight_and_leaves_the_rest(weight):
    particle, image = _image()
    estimate = np.random.default_rng(1).standard_normal(GRID.shape).astype(np.complex64)
    pulled = constrain_by(("image", "support"), np.ones(GRID.shape, bool), image, weight=weight)(estimate)
    inside = np.where(outline(), particle, 0)
    q = GRID.q_per_angstrom()
    before, after, wanted = (fourier.transform(f) for f in (estimate, pulled, inside))
    low, high = q < 0.15, q > 0.6
    np.testing.assert_allclose(after[high], before[high], atol=0.03 * np.abs(before[high]).max())
    error = np.linalg.norm((after - (1 - weight) * before - weight * wanted)[low])
    # the box's edges, where the filter is cut, disturb a few per cent
    assert error < 0.15 * np.linalg.norm(before[low])


def test_agreement_is_one_for_the_image_itself_and_ignores_fine_detail():
    particle, image = _image()
    support = outline()
    inside = np.where(support, particle, 0)
    assert image.agreement(inside, support) == pytest.approx(1, abs=1e-5)
    for phase in (0.3, 1.5, np.pi):  # the global phase is not observable
        assert image.agreement((inside * np.exp(1j * phase)).astype(np.complex64), support) == pytest.approx(
            1, abs=1e-5
        )
    noise = np.random.default_rng(3).standard_normal(inside.shape)
    assert image.agreement(np.where(support, noise, 0).astype(np.complex64), support) < 0.5
    q = GRID.q_per_angstrom()
    fine = fourier.inverse(fourier.transform(np.random.default_rng(2).standard_normal(GRID.shape)) * (q > 0.6)).real
    assert image.agreement((inside + 3 * fine).astype(np.complex64), support) > 0.99
    assert np.isnan(image.agreement(np.zeros_like(inside), support))


def test_constraints_act_in_the_stage_s_order():
    """Low density before real keeps a pixel's imaginary part out; support last leaves nothing outside."""
    support = np.zeros((4, 4), bool)
    support[1:3, 1:3] = True
    field = np.full((4, 4), 1 + 1j, np.complex64)
    field[1, 1] = -5 + 2j
    field[2, 2] = 20
    first = constrain_by(("non-negative", "low-density", "support"), support, threshold=1.0)
    second = constrain_by(("low-density", "non-negative", "support"), support, threshold=-1.0)
    by_hand = np.where(support, low_density(non_negative(field), support, 1.0), 0)
    np.testing.assert_array_equal(first(field), by_hand)
    np.testing.assert_array_equal(second(field), np.where(support, non_negative(low_density(field, support, -1.0)), 0))
    flip_then_clip = constrain_by(("flip", "non-negative", "support"), support, threshold=0.0)
    clip_then_flip = constrain_by(("non-negative", "flip", "support"), support, threshold=0.0)
    assert flip_then_clip(field)[1, 1] == 5
    assert clip_then_flip(field)[1, 1] == 0


def test_the_image_constraint_without_an_image_is_refused():
    blind = replace(problem_of(random_particle()), image=None, image_transfer=None)
    with pytest.raises(InputError, match=r"'guided'.*TEM image"):
        iterate(blind, (Stage("guided", 3, constraints=("image", "support")),), random_particle())
