"""The benchmark of the live tools: that it times what the window asks. How fast they are is no test."""

import json
from itertools import pairwise

import pytest

from napari_subangstrom_cdi.cli.bench_hand import format_tools_bench, measure_tools
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.session.session import Session, Step

from .jobs import advance, job


@pytest.fixture(scope="module")
def session(small_case):
    session = advance(job(small_case), Step.MASKS)
    yield session
    session.close()


def test_every_tool_is_timed_with_a_new_setting_each_time(session, monkeypatch):
    asked = []
    finder = session.support_finder
    monkeypatch.setattr(finder, "find", lambda find=finder.find, **values: asked.append(values) or find(**values))
    result = measure_tools(session, repeats=3)
    assert result.n == session.prepared.problem.grid.n and result.pair_ms > 0
    assert {timing.name.split(":")[0] for timing in result.tools} == {"beam centre", "alignment", "support", "regions"}
    for timing in result.tools:
        assert timing.ratio == pytest.approx(timing.milliseconds / result.pair_ms) and timing.ratio > 0
    thresholds = [values["threshold"] for values in asked]
    assert len(thresholds) >= 3 and all(a != b for a, b in pairwise(thresholds))
    assert json.loads(result.to_json())["tools"][0]["name"] in format_tools_bench(result)


def test_a_job_that_is_not_prepared_is_refused(session):
    empty = Session()
    with pytest.raises(InputError, match="masks"):
        measure_tools(empty)
    empty.close()
    masks = session.plan.support
    session.change("support", threshold=0.31)
    with pytest.raises(InputError, match="masks"):
        measure_tools(session)
    session.undo()
    assert session.plan.support == masks
