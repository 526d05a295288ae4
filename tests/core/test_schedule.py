"""Stages as data, and the presets made of them."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_subangstrom_cdi.core.phasing.schedule import (
    CONSTRAINTS,
    UPDATES,
    Stage,
    extend_schedule,
    paper_schedule,
    support_only_schedule,
    vary,
)
from napari_subangstrom_cdi.core.phasing.updates import UPDATE_RULES
from napari_subangstrom_cdi.errors import InputError


def test_every_update_that_a_stage_may_name_exists():
    assert set(UPDATES) == set(UPDATE_RULES)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"iterations": -1}, "-1 iterations"),
        ({"update": "hoi"}, "'hoi'"),
        ({"constraints": ("positive", "support")}, "'positive'"),
        ({"constraints": ("real",)}, "no support"),
        ({"beta": 0}, "β = 0"),
        ({"beta": 1.01}, "β = 1.01"),
        ({"beta": math.nan}, "β = nan"),
        ({"image_weight": 1.5}, "1.5"),
        ({"image_weight": math.nan}, "nan"),
        ({"density_threshold": math.inf}, "inf"),
        ({"q_limits_per_angstrom": (0.5, math.nan)}, "nan"),
        ({"q_limits_per_angstrom": (-0.5, 1.0)}, "-0.5"),
        ({"update": "hio", "constraints": ("flip", "support")}, "flip"),
    ],
)
def test_a_wrong_stage_is_refused_by_name(change, found):
    with pytest.raises(InputError, match=found) as refused:
        replace(Stage("odd one", 5), **change)
    assert "odd one" in str(refused.value)


@given(st.floats(0.05, 2), st.floats(0.05, 2), st.integers(1, 200))
def test_the_q_limit_runs_from_its_first_value_to_its_last(first, last, iterations):
    stage = Stage("grow", iterations, q_limits_per_angstrom=(first, last))
    limits = [stage.q_limit(i) for i in range(iterations + 1)]
    assert limits[0] == first
    assert limits[-1] == pytest.approx(last)
    assert limits == sorted(limits, reverse=first > last)


def test_without_q_limits_everything_is_demanded():
    assert Stage("all", 3).q_limit(0) == math.inf


def test_the_paper_schedule_is_that_of_the_methods():
    image, real, free = paper_schedule()
    assert (image.iterations, image.update) == (20, "hio")
    assert 50 <= real.iterations <= 100
    assert 50 <= free.iterations <= 100
    assert {"image", "real"} <= set(image.constraints)
    assert real.constraints == ("real", "support")
    assert free.constraints == ("support",)
    assert paper_schedule(with_image=False) == (real, free)


def test_the_extension_ends_with_all_amplitudes_and_a_complex_object():
    stages = extend_schedule(0.5, 1.2)
    limits = [stage.q_limit(i) for stage in stages for i in range(stage.iterations)]
    assert limits[0] == 0.5
    assert limits == sorted(limits)
    assert limits[-1] == math.inf
    assert stages[-1].constraints == ("support",)


def test_an_image_finer_than_the_pattern_extends_nothing():
    limits = {stage.q_limit(i) for stage in extend_schedule(2.0, 1.2) for i in range(stage.iterations)}
    assert limits == {1.2, math.inf}


def test_without_an_image_none_is_asked_for():
    assert not any("image" in stage.constraints for stage in support_only_schedule())


@given(st.floats(0.2, 5), st.floats(0.2, 5))
def test_varied_schedules_stay_valid_and_keep_their_shape(threshold, image):
    schedule = extend_schedule(0.5, 1.2)
    for before, after in zip(schedule, vary(schedule, threshold, image), strict=True):
        assert after.density_threshold == pytest.approx(before.density_threshold * threshold)
        assert after.image_weight == pytest.approx(min(1, before.image_weight * image))
        same = {"density_threshold": before.density_threshold, "image_weight": before.image_weight}
        assert replace(after, **same) == before


def test_constraints_are_known_by_name():
    assert Stage("all", 1, "er", CONSTRAINTS).constraints == CONSTRAINTS
