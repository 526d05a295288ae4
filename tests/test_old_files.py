"""Files that version 0.1.0 wrote: they are read, and what they hold is repeated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_subangstrom_cdi.core.phasing.constraints import Flip, Image, LowDensity, NonNegative, Real, Support
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.core.phasing.updates import HybridInputOutput
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io.cxi import read_cxi
from napari_subangstrom_cdi.io.project import read_project
from napari_subangstrom_cdi.job.pipeline import load_plan, run
from napari_subangstrom_cdi.job.plan import Change, plan_from_toml, read_recipe, with_paths

OLD = Path(__file__).parent / "data" / "from_0_1_0"
ROLES = {"pattern": "particle.tif", "background": "background.tif", "image": "image.mrc"}
SCHEDULE = (
    Stage("image", 3, "er", (Image(0.5), Real(), Support()), q_limits_per_angstrom=(0.52, 0.52)),
    Stage("extend", 8, "er", (Image(0.3), Real(), LowDensity(0.8), Support()), q_limits_per_angstrom=(0.52, 0.5721)),
    Stage("settle", 3, "er", (Image(0.3), Real(), LowDensity(0.8), Support())),
    Stage("complex", 3, "er", (Support(),)),
    Stage("feedback", 4, HybridInputOutput(0.7), (Real(), NonNegative(), Support())),
    Stage("flip", 3, "er", (Image(0.4), Real(), Flip(0.6), Support())),
)


def here(plan):
    """The plan with its files in the folder of the test data."""
    return replace(plan, inputs=with_paths(plan.inputs, {role: OLD / name for role, name in ROLES.items()}))


@pytest.fixture(scope="module")
def recipe():
    return here(read_recipe(OLD / "recipe.toml"))


def test_the_keys_of_a_stage_become_parameters_of_its_constraints_and_its_rule(recipe):
    assert recipe.retrieval.schedule == SCHEDULE
    again = plan_from_toml(recipe.to_toml(), where="the recipe, written anew")
    assert again == recipe
    for key in ("image_weight", "density_threshold"):
        assert key in (OLD / "recipe.toml").read_text(encoding="utf-8") and key not in recipe.to_toml()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            'constraints = ["image", "flip", "support"]\nimage_weight = 0.2',
            '[{kind="image", weight=0.2}, "flip", "support"]',
        ),
        (
            'constraints = ["flip", "low-density", "support"]\ndensity_threshold = -1',
            '[{kind="flip", threshold=-1}, {kind="low-density", threshold=-1}, "support"]',
        ),
        (
            'constraints = [{kind = "flip", threshold = 2}, {kind = "low-density"}, "support"]\ndensity_threshold = 3',
            '[{kind="flip", threshold=2}, {kind="low-density", threshold=3}, "support"]',
        ),
        ('constraints = ["support"]\nimage_weight = 0.2\ndensity_threshold = 3', '["support"]'),
    ],
)
def test_old_and_new_keys_say_the_same(old, new):
    stage = '[inputs]\npattern = "p"\n[[retrieval.schedule]]\nname = "s"\niterations = 3\n'
    assert plan_from_toml(stage + old, where="old") == plan_from_toml(f"{stage}constraints = {new}", where="new")


@pytest.mark.parametrize("said", ["image_weight = 1.5", "density_threshold = nan", "beta = 0.0"])
def test_an_impossible_old_value_is_refused_even_where_it_has_no_effect(said):
    text = '[inputs]\npattern = "p"\n[[retrieval.schedule]]\nname = "s"\niterations = 3\n' + said
    with pytest.raises(InputError, match=r"old\.toml: retrieval\.schedule\.0: stage 's': "):
        plan_from_toml(text, where="old.toml")


@pytest.mark.parametrize("name", ["result.cxi", "project.cxi"])
def test_results_and_projects_hold_the_same_plan_and_their_own_records(name, recipe, tmp_path):
    plan = load_plan(OLD / name, tmp_path)
    for role, file in ROLES.items():
        assert Path(getattr(plan.inputs, role)).read_bytes() == (OLD / file).read_bytes()
    assert here(plan) == replace(recipe, steering=(Change(0, 1, alpha=0.5, beta=0.6),))


def test_a_project_is_read_with_its_result():
    project = read_project(OLD / "project.cxi")
    assert project.result is not None
    np.testing.assert_array_equal(project.result.object, read_cxi(OLD / "result.cxi").object)
    assert {file.role for file in project.inputs} == set(ROLES)


def test_a_result_is_repeated_from_its_own_file(tmp_path):
    old = read_cxi(OLD / "result.cxi")
    new = run(load_plan(OLD / "result.cxi", tmp_path), workers=1).reconstruction
    assert new.metrics["r_factor"] == pytest.approx(old.metrics["r_factor"], rel=1e-6)
    assert new.metrics["free_r"] == pytest.approx(old.metrics["free_r"], rel=1e-6)
    np.testing.assert_allclose(new.r_history, old.r_history, rtol=1e-5)
    assert new.stage_ends == old.stage_ends and new.kept == old.kept
    overlap = np.vdot(new.object, old.object) / (np.linalg.norm(new.object) * np.linalg.norm(old.object))
    assert abs(overlap) > 0.9999
    assert plan_from_toml(new.recipe, where="the new recipe").retrieval.schedule == SCHEDULE
