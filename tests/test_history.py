"""Undo and redo of a job's settings."""

from dataclasses import replace

from napari_subangstrom_cdi.job.plan import Inputs, Plan
from napari_subangstrom_cdi.session.history import History


def with_alpha(alpha: float) -> Plan:
    plan = Plan(Inputs("pattern.tif"))
    return replace(plan, regions=replace(plan.regions, alpha=alpha))


def alphas_on_the_way_back(history: History) -> list[float]:
    found = []
    while history.undo():
        found.append(history.plan.regions.alpha)
    return found


def test_what_changes_nothing_is_no_change():
    history = History(with_alpha(0.3))
    assert not history.adopt(with_alpha(0.3), ("alpha",))
    assert not history.can_undo and not history.undo() and not history.redo()


def test_a_move_is_one_change_and_ends_where_it_is_settled_or_another_setting_is_changed():
    history = History(with_alpha(0.1))
    for alpha in (0.2, 0.3, 0.4):
        assert history.adopt(with_alpha(alpha), ("regions", "alpha"))
    history.settle()
    history.adopt(with_alpha(0.5), ("regions", "alpha"))
    history.adopt(with_alpha(0.6), ("preset",))
    assert alphas_on_the_way_back(history) == [0.5, 0.4, 0.1]


def test_a_setting_changed_again_after_a_while_is_a_change_of_its_own(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("napari_subangstrom_cdi.session.history.time.monotonic", lambda: now[0])
    history = History(with_alpha(0.1))
    for alpha, now[0] in ((0.2, 10.0), (0.3, 10.9), (0.4, 12.5)):
        history.adopt(with_alpha(alpha), ("regions", "alpha"))
    assert alphas_on_the_way_back(history) == [0.3, 0.1]


def test_redo_goes_forward_until_something_else_is_changed():
    history = History(with_alpha(0.1))
    for alpha in (0.2, 0.3):
        history.settle()
        history.adopt(with_alpha(alpha), ("alpha",))
    assert history.undo() and history.undo() and history.can_redo
    assert history.redo() and history.plan == with_alpha(0.2)
    assert history.adopt(with_alpha(0.9), ("alpha",)) and not history.can_redo
    assert history.undo() and history.plan == with_alpha(0.2)


def test_nothing_leads_back_from_a_job_that_begins():
    history = History(with_alpha(0.1))
    for alpha in (0.2, 0.3):
        history.settle()
        history.adopt(with_alpha(alpha), ("alpha",))
    history.undo()
    history.begin_anew(with_alpha(0.7))
    assert history.plan == with_alpha(0.7) and not history.can_undo and not history.can_redo
    assert not history.undo() and not history.redo() and history.plan == with_alpha(0.7)
    history.adopt(with_alpha(0.8), ("alpha",))
    assert alphas_on_the_way_back(history) == [0.7], "even if the same setting was the last one before"


def test_the_oldest_changes_are_let_go():
    history = History(with_alpha(0.0))
    for k in range(1, 301):
        history.settle()
        history.adopt(with_alpha(k / 1000), ("alpha",))
    assert len(alphas_on_the_way_back(history)) == 200
