"""The R-factor dock: fed in batches while a run goes on, and from a result."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from qtpy.QtWidgets import QLabel

from napari_subangstrom_cdi.gui.docks.r_factor import LiveFeed, RFactorDock
from napari_subangstrom_cdi.gui.plots.r_plot import RPlot
from napari_subangstrom_cdi.session.session import Happening, Step
from napari_subangstrom_cdi.session.watch import Control, Live, MemberHistory


@pytest.fixture
def short_run(ready_run):
    return ready_run


@pytest.fixture
def dock(viewer, short_run, qtbot):
    dock = RFactorDock(viewer)
    viewer.window.add_dock_widget(dock, name="R-factor", area="bottom")
    qtbot.waitUntil(dock.isVisible)
    return dock


def test_curve_of_a_run_and_of_its_project(dock, viewer, short_run, do, qtbot, tmp_path, picture):
    short_run.change("ensemble", members=3)
    drawn = []
    short_run.progressed.connect(lambda progress: drawn.append(np.isfinite(dock.plot._record.r).sum()))
    do(short_run, Step.PHASE)
    qtbot.wait(100)
    result = short_run.session.result
    np.testing.assert_allclose(dock.plot._record.r[:, :60], result.r_history, rtol=1e-6)
    np.testing.assert_allclose(dock.plot._record.free_r[:, :60], result.free_r_history, rtol=1e-6)
    assert np.isfinite(dock.plot._record.agreement).any()
    assert drawn and drawn[0] > 0
    assert dock.numbers.text("stage") == "average" and dock.numbers.text("member") == "3/3"
    for label in dock.numbers.findChildren(QLabel):
        assert label.width() >= label.sizeHint().width(), f"{label.text()!r} is cut off"
    picture(dock, "r_factor")
    dock.plot.export_csv(tmp_path / "r.csv")
    with open(tmp_path / "r.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 180
    assert float(rows[-1]["r"]) == pytest.approx(result.r_history[-1, -1], rel=1e-5)

    assert short_run.save(tmp_path / "job.cxi")
    short_run.session.change("inputs", pattern="")
    assert short_run.load(tmp_path / "job.cxi")
    qtbot.waitUntil(lambda: not short_run.session.busy)
    short_run.poll()
    np.testing.assert_allclose(dock.plot._record.r[:, :60], result.r_history, rtol=1e-6)


def test_after_a_stop_the_curves_are_those_of_the_result(dock, short_run, qtbot):
    short_run.change("ensemble", members=300)
    numbers = []
    short_run.happened.connect(
        lambda event: (
            numbers.append((dock.numbers.text("member"), dock.plot._record.current + 1))
            if event.happening is Happening.MEMBER
            else None
        )
    )
    short_run.run(Step.PHASE)
    qtbot.waitUntil(lambda: len(numbers) > 3)
    short_run.stop()
    qtbot.waitUntil(lambda: not short_run.session.busy)
    short_run.poll()
    qtbot.wait(300)
    members = len(short_run.session.result.r_history)
    assert dock.plot._record.rows == members
    assert dock.numbers.text("member") == f"{members}/{members}" and dock.numbers.text("stage") == "average"
    for shown, current in numbers:
        assert int(shown.split("/")[0]) == current, "numbers and curve are of the same moment"


def test_wide_dock_has_the_numbers_beside_the_curve(dock, qtbot):
    dock.resize(900, 250)
    qtbot.wait(20)
    assert dock.numbers.x() > dock.plot.x() + dock.plot.width() - 5
    dock.parentWidget().setFloating(True)
    dock.parentWidget().resize(400, 600)
    qtbot.waitUntil(lambda: dock.numbers.y() > dock.plot.y() + dock.plot.height() - 5)


def test_colours_follow_the_theme(dock, viewer, qtbot):
    before = dock.plot._background.lightness()
    viewer.theme = "light"
    assert before < 128 < dock.plot._background.lightness()


def test_theme_may_change_after_the_dock_is_gone(dock, viewer, qtbot):
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    qtbot.wait(50)
    viewer.theme = "light"


def test_a_long_run_is_fed_in_batches(qtbot, viewer, short_run, do):
    """Twenty members of 2,000 iterations, of which each batch brings fifty."""
    do(short_run, Step.MASKS)
    prepared = short_run.session.prepared
    live = Live(lambda: prepared.problem, prepared.schedule, Control(), lambda *_: None)
    live.members, live.iterations = 20, 2000
    plot = RPlot()
    qtbot.addWidget(plot)
    plot.resize(800, 300)
    plot.show()
    qtbot.waitExposed(plot)
    feed = LiveFeed(live, plot)
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = list(0.1 + 0.5 * np.exp(-np.arange(2000) / 300) + 0.01 * rng.random(2000))
        live.history.append(MemberHistory(values, values, [(k, 0.9) for k in range(50, 2000, 50)]))
    feed.pull()
    live.history[-1].r_factor.clear()
    feed._fed[-1] = 0
    for start in range(0, 1000, 50):
        live.history[-1].r_factor.extend([0.2] * 50)
        feed.pull()
        qtbot.wait(5)
        assert feed._fed[-1] == start + 50
        np.testing.assert_allclose(plot._record.r[-1, start : start + 50], 0.2)
