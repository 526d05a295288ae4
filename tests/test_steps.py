"""The table of steps: what each depends on, in which order, and what a plan uses."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.io.mask_text import PackedMask
from napari_subangstrom_cdi.job.plan import Inputs, Plan
from napari_subangstrom_cdi.job.preparation import Step
from napari_subangstrom_cdi.job.preparation.steps import STEPS, key_of, steps_before

MASK = PackedMask.of(np.ones((4, 4), bool))
PLAN = Plan(Inputs("pattern.tif", image="image.mrc", crystal="CdS-wurtzite"))
ORDER = (Step.DATA, Step.BACKGROUND, Step.ALIGN, Step.MASKS, Step.MODEL, Step.PHASE)


def changed(section: str, **values: object) -> Plan:
    part = getattr(PLAN, section)
    return replace(PLAN, **{section: replace(part, **values)})


def with_model(plan: Plan) -> Plan:
    return replace(plan, model=replace(plan.model, use=True))


def stale(before: Plan, after: Plan) -> set[Step]:
    return {step for step in ORDER if key_of(before, step) != key_of(after, step)}


def test_every_step_comes_after_what_it_needs():
    assert tuple(STEPS) == ORDER
    for step, spec in STEPS.items():
        assert all(ORDER.index(needed) < ORDER.index(step) for needed in spec.needs)
        assert (spec.do is None) == (step is Step.PHASE)


def test_a_plan_without_a_crystal_does_without_its_step():
    assert steps_before(Step.PHASE, PLAN) == ORDER[:4]
    assert steps_before(Step.PHASE, with_model(PLAN)) == ORDER[:5]
    assert steps_before(Step.MODEL, PLAN) == ORDER[:4], "it can be done for its own sake"


@pytest.mark.parametrize(
    ("after", "first"),
    [
        (changed("inputs", image="other.mrc"), Step.DATA),
        (replace(PLAN, acquisition=Acquisition(energy_ev=2e5)), Step.DATA),
        (changed("pattern", known_spacings=((100.0, 3.0),)), Step.DATA),
        (changed("pattern", binning=2), Step.BACKGROUND),
        (changed("image", mirrored=None), Step.ALIGN),
        (changed("support", grow_angstrom=3.0), Step.MASKS),
        (changed("regions", noise_multiple=4.0), Step.MASKS),
        (changed("pattern", remove_noise_between_spots=False), Step.MASKS),
    ],
)
def test_a_setting_makes_its_step_stale_and_all_that_follow(after, first):
    assert stale(PLAN, after) == set(ORDER[ORDER.index(first) :])


def test_the_fit_of_a_crystal_knows_nothing_of_alpha():
    for values in ({"alpha": 0.8}, {"reading": "upper-limit"}):
        after = changed("regions", **values)
        assert stale(PLAN, after) == {Step.MASKS, Step.PHASE}
        assert stale(with_model(PLAN), with_model(after)) == {Step.MASKS, Step.PHASE}


def test_a_run_depends_on_the_crystal_only_if_members_start_from_it():
    after = changed("model", zone="0 0 0 1")
    assert stale(PLAN, after) == {Step.MODEL}
    assert stale(with_model(PLAN), with_model(after)) == {Step.MODEL, Step.PHASE}
    assert stale(PLAN, with_model(PLAN)) == {Step.PHASE}, "the fit is the same whether it is used or not"


def test_the_pattern_depends_on_the_crystal_only_if_its_ellipse_is_told_by_it():
    told = replace(PLAN, pattern=replace(PLAN.pattern, ellipse="crystal"))
    assert stale(told, replace(told, model=replace(told.model, zone="0 0 0 1"))) == set(ORDER[1:])


def test_a_preset_is_only_a_name_once_there_is_a_schedule():
    own = (Stage("own", 3, "er", ("support",)),)
    assert stale(changed("retrieval", schedule=own), changed("retrieval", schedule=own, preset="paper")) == set()
    assert stale(PLAN, changed("retrieval", preset="paper")) == {Step.PHASE}


OTHERS = {
    "pattern": {
        "binning": 2,
        "array_size": 64,
        "remove_noise_between_spots": False,
        "known_spacings": ((100.0, 3.0),),
        "beam_centre_px": (1.0, 2.0),
        "background_scale": 0.9,
        "ellipse": "off",
        "find_beam_stop": False,
        "stop_added": MASK,
        "stop_removed": MASK,
    },
    "image": {
        "potential": "weak-phase",
        "mirrored": None,
        "rotation_deg": 3.0,
        "pixel_angstrom": 0.3,
        "particle_px": (40.0, 50.0),
    },
    "support": {"threshold": 0.4, "smooth_angstrom": 3.0, "grow_angstrom": 2.0, "added": MASK, "removed": MASK},
    "regions": {
        "noise_multiple": 4.0,
        "alpha": 0.5,
        "reading": "upper-limit",
        "beam_radius_per_angstrom": 0.02,
        "excluded": MASK,
    },
    "retrieval": {"preset": "paper", "schedule": (Stage("own", 3, "er", ("support",)),)},
    "ensemble": {"members": 3, "seed": 4, "noise": 0.4, "spread": 0.4, "free_fraction": 0.1, "reject_below": 0.2},
    "model": {"zone": "1 1 2", "b_factor": 0.5, "tilt_deg": (0.1, 0.0), "thickness_angstrom": 50.0, "roundness": 0.1},
}


def test_no_setting_is_left_out():
    """Or a change of it would leave a result that looks current; what is steered is the run's own record."""
    assert {section.name for section in fields(Plan)} == {*OTHERS, "inputs", "acquisition", "steering"}
    start = with_model(changed("image", rotation_deg=1.0, pixel_angstrom=0.4))
    for section, values in OTHERS.items():
        part = getattr(start, section)
        assert {one.name for one in fields(part)} - {"use"} == set(values), section
        for name, value in values.items():
            after = replace(start, **{section: replace(part, **{name: value})})
            assert key_of(start, Step.PHASE) != key_of(after, Step.PHASE), (section, name)
