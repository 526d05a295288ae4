"""How often a run is shown: times only, no clock."""

import pytest

from napari_subangstrom_cdi.session.pace import Pace


def test_a_fixed_rate_is_kept_and_a_frame_asked_for_in_time():
    pace = Pace(2.0)
    assert pace.is_due(10.0) and pace.wants_frame(10.0) and not pace.is_automatic
    pace.wait(10.0, is_news=True)
    assert not pace.is_due(10.49) and pace.is_due(10.5)
    assert not pace.wants_frame(10.3) and pace.wants_frame(10.4)


def test_without_news_it_looks_again_soon():
    pace = Pace(0.2)
    pace.wait(10.0, is_news=False)
    assert not pace.is_due(10.05) and pace.is_due(10.11)


def test_numbers_are_rarer_than_frames_at_a_fixed_rate_only():
    pace = Pace(30.0)
    pace.numbers_shown(10.0)
    assert not pace.wants_numbers(10.2) and pace.wants_numbers(10.25)
    pace.frames_per_second = 0.0
    assert pace.wants_numbers(10.01)


@pytest.mark.parametrize(("cost", "pause"), [(0.001, 0.1), (0.02, 0.8), (1.0, 5.0)])
def test_the_automatic_pace_follows_the_cost_of_painting(cost, pause):
    pace = Pace(0.0)
    pace.wait(10.0, is_news=True)
    assert not pace.is_due(14.9), "until it is known what it cost"
    pace.painted(10.0, 10.0 + cost, at_leisure=False)
    assert not pace.is_due(10.0 + 0.99 * pause) and pace.is_due(10.0 + 1.01 * pause)
    pace.painted(10.0, 10.0 + cost, at_leisure=True)
    assert pace.is_due(10.11)


def test_a_change_or_a_hurry_is_due_at_once():
    pace = Pace(0.2)
    pace.wait(10.0, is_news=True)
    pace.numbers_shown(10.0)
    pace.hurry()
    assert pace.is_due(10.01) and not pace.wants_numbers(10.01)
    pace.wait(10.01, is_news=True)
    pace.begin(10.02)
    assert pace.is_due(10.02) and pace.wants_numbers(10.02)
