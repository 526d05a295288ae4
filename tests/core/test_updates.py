"""Update rules: their formulas where they are known, and their fixed points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.phasing.constraints import Scene, compose
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.core.phasing.updates import UPDATES, with_beta
from objects import constraints_of, outline, problem_of, random_particle

SHAPE = (20, 20)
BETAS = st.floats(0.1, 1.0)


def rule_of(update, beta):
    return with_beta(UPDATES.named(update)(), beta)


def constrain_by(names, support, threshold=0.5):
    constraints = Stage("s", 1, constraints=constraints_of(names, threshold=threshold)).constraints
    return compose(constraints, Scene(support, 1.0))


def fields(seed, count):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, *SHAPE)) + 1j * rng.standard_normal((count, *SHAPE))).astype(np.complex64)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), BETAS)
def test_hio_is_fienups_elementwise_rule(seed, beta):
    """P_M x inside the support, x − β P_M x outside (Fienup 1982, eq. 44)."""
    x, projected = fields(seed, 2)
    support = np.random.default_rng(seed).random(SHAPE) < 0.4
    constrain = constrain_by(("support",), support)
    found = rule_of("hio", beta)(x, projected, constrain, np.copy)
    np.testing.assert_allclose(found, np.where(support, projected, x - beta * projected), atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), BETAS)
def test_hio_of_a_real_object_treats_the_imaginary_part_as_outside(seed, beta):
    x, projected = fields(seed, 2)
    support = np.random.default_rng(seed).random(SHAPE) < 0.4
    constrain = constrain_by(("real", "support"), support)
    found = rule_of("hio", beta)(x, projected, constrain, np.copy)
    np.testing.assert_allclose(found.real, np.where(support, projected.real, (x - beta * projected).real), atol=1e-5)
    np.testing.assert_allclose(found.imag, (x - beta * projected).imag, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), BETAS)
def test_raar_by_support_has_lukes_elementwise_form(seed, beta):
    """For the support alone: P_M x inside, β x + (1 − 2β) P_M x outside (Luke 2005)."""
    x, projected = fields(seed, 2)
    support = np.random.default_rng(seed).random(SHAPE) < 0.4
    found = rule_of("raar", beta)(x, projected, constrain_by(("support",), support), np.copy)
    np.testing.assert_allclose(found, np.where(support, projected, beta * x + (1 - 2 * beta) * projected), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_with_full_feedback_the_rules_agree(seed):
    """At β = 1 HIO, RAAR and the difference map are one rule, Douglas-Rachford, for a linear constraint."""
    x, projected = fields(seed, 2)
    constrain = constrain_by(("support",), np.random.default_rng(seed).random(SHAPE) < 0.4)
    first, *others = (rule_of(name, 1.0)(x, projected, constrain, np.copy) for name in UPDATES.names() if name != "er")
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-5)


def test_the_difference_map_asks_for_the_projection_of_its_second_estimate():
    x, projected = fields(3, 2)
    support = np.random.default_rng(3).random(SHAPE) < 0.4
    asked = []

    def fourier_projection(field):
        asked.append(field)
        return 0.5 * field

    beta = 0.7
    found = rule_of("difference-map", beta)(x, projected, lambda f: np.where(support, f, 0), fourier_projection)
    second = (1 - 1 / beta) * np.where(support, x, 0) + x / beta
    first = np.where(support, (1 + 1 / beta) * projected - x / beta, 0)
    np.testing.assert_allclose(asked, [second], atol=1e-5)
    np.testing.assert_allclose(found, x + beta * (first - 0.5 * second), atol=1e-5)


CONSTRAINTS = (("support",), ("real", "support"), ("real", "non-negative", "support"))
PAIRS = [(update, constraints) for update in UPDATES.names() for constraints in CONSTRAINTS]


@pytest.mark.parametrize(("update", "constraints"), [*PAIRS, ("er", ("real", "flip", "support"))])
@pytest.mark.parametrize("beta", [0.5, 0.9, 1.0])
def test_a_solution_is_a_fixed_point(update, constraints, beta):
    support = outline()
    solution = np.where(support, random_particle(), 0).astype(np.complex64)
    band = problem_of(solution).band
    constrain = constrain_by(constraints, support, threshold=0.0)

    def fourier_projection(field):
        return fourier.inverse(band.project(fourier.transform(field)))

    found = rule_of(update, beta)(solution, fourier_projection(solution), constrain, fourier_projection)
    np.testing.assert_allclose(found, solution, atol=1e-5 * np.abs(solution).max())
    # and only a solution is: an object elsewhere moves
    moved = np.roll(solution, 4, axis=0)
    found = rule_of(update, beta)(moved, fourier_projection(moved), constrain, fourier_projection)
    assert np.linalg.norm(found - moved) > 0.05 * np.linalg.norm(moved)
