"""Stages as data, and the presets made of them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_subangstrom_cdi.core.phasing.constraints import (
    CONSTRAINTS,
    Flip,
    Image,
    LowDensity,
    NonNegative,
    Real,
    Support,
)
from napari_subangstrom_cdi.core.phasing.schedule import (
    Stage,
    extend_schedule,
    paper_schedule,
    support_only_schedule,
    vary,
)
from napari_subangstrom_cdi.core.phasing.updates import UPDATES, HybridInputOutput
from napari_subangstrom_cdi.errors import InputError


def kinds(stage):
    return tuple(each.kind for each in stage.constraints)


def test_every_update_that_a_stage_may_name_exists():
    assert UPDATES.names()[:4] == ("er", "hio", "raar", "difference-map")
    for name in UPDATES.names():
        assert Stage("s", 1, name).update == UPDATES.named(name)()


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
        ({"constraints": ({"kind": "image", "weight": 1.5}, "support")}, "1.5"),
        ({"constraints": ({"kind": "image", "weight": math.nan}, "support")}, "nan"),
        ({"constraints": ({"kind": "low-density", "threshold": math.inf}, "support")}, "inf"),
        ({"constraints": ({"kind": "flip", "threshold": math.nan}, "support")}, "nan"),
        ({"constraints": ({"kind": "flip", "treshold": 1.0}, "support")}, "'treshold' of 'flip'; use threshold"),
        ({"constraints": ({"kind": "real", "weight": 1.0}, "support")}, "'weight' of 'real'; 'real' has none"),
        ({"constraints": (print, "support")}, "no registered constraint"),
        ({"update": {"kind": "hio", "beta": 2.0}}, "β = 2"),
        ({"update": np.copy}, "no registered update"),
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
    assert (image.iterations, image.update.kind) == (20, "hio")
    assert 50 <= real.iterations <= 100
    assert 50 <= free.iterations <= 100
    assert {"image", "real"} <= set(kinds(image))
    assert kinds(real) == ("real", "support")
    assert kinds(free) == ("support",)
    assert paper_schedule(with_image=False) == (real, free)


def test_the_extension_ends_with_all_amplitudes_and_a_complex_object():
    stages = extend_schedule(0.5, 1.2)
    limits = [stage.q_limit(i) for stage in stages for i in range(stage.iterations)]
    assert limits[0] == 0.5
    assert limits == sorted(limits)
    assert limits[-1] == math.inf
    assert kinds(stages[-1]) == ("support",)


def test_an_image_finer_than_the_pattern_extends_nothing():
    limits = {stage.q_limit(i) for stage in extend_schedule(2.0, 1.2) for i in range(stage.iterations)}
    assert limits == {1.2, math.inf}


def test_without_an_image_none_is_asked_for():
    assert not any("image" in kinds(stage) for stage in support_only_schedule())


@given(st.floats(0.2, 5), st.floats(0.2, 5))
def test_varied_schedules_stay_valid_and_keep_their_shape(threshold, image):
    schedule = extend_schedule(0.5, 1.2)
    for before, after in zip(schedule, vary(schedule, threshold, image), strict=True):
        assert kinds(after) == kinds(before)
        for new, old in zip(after.constraints, before.constraints, strict=True):
            if old.kind == "low-density":
                assert new.threshold == pytest.approx(old.threshold * threshold)
            elif old.kind == "image":
                assert new.weight == pytest.approx(min(1, old.weight * image))
            else:
                assert new == old
        assert replace(after, constraints=before.constraints) == before


def test_constraints_are_known_by_name():
    names = CONSTRAINTS.names()
    assert names[:6] == ("image", "real", "non-negative", "low-density", "flip", "support")
    assert kinds(Stage("all", 1, "er", names)) == names
    objects = (Image(), Real(), NonNegative(), LowDensity(), Flip(), Support())
    assert Stage("all", 1, "er", names[:6]).constraints == objects


def test_the_feedback_is_the_rules_and_is_said_with_it_or_beside_its_name():
    stage = Stage("s", 5, "hio", beta=0.7)
    assert stage == Stage("s", 5, {"kind": "hio", "beta": 0.7}) == Stage("s", 5, HybridInputOutput(0.7))
    assert stage.beta == 0.7 and replace(stage, beta=0.5).update == HybridInputOutput(0.5)
    assert replace(stage, update=HybridInputOutput(0.9)).beta == 0.9
    assert Stage("s", 5, beta=0.7).beta is None
