"""The example's own constraint: in the schedule table it is like one of ours, and nothing of ours knew of it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QMainWindow, QPushButton, QTableView

from napari_subangstrom_cdi.core.phasing.constraints import CONSTRAINTS
from napari_subangstrom_cdi.core.phasing.retrieval import retrieve
from napari_subangstrom_cdi.core.phasing.schedule import Stage, extend_schedule
from napari_subangstrom_cdi.core.phasing.updates import UPDATES, update
from napari_subangstrom_cdi.gui.schedule.cells import COLUMNS
from napari_subangstrom_cdi.gui.schedule.popups import ConstraintsPopup, ParametersPopup
from napari_subangstrom_cdi.gui.schedule.table import ScheduleTable
from napari_subangstrom_cdi.job.plan import Inputs, Plan, RetrievalSettings, plan_from_toml
from napari_subangstrom_cdi.parameters import Parameter
from objects import outline, problem_of, random_particle

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_constraint.py"


@pytest.fixture(autouse=True)
def what_was_registered(monkeypatch):
    """What a test registers is forgotten after it."""
    for registry in (CONSTRAINTS, UPDATES):
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))


@pytest.fixture
def own():
    return runpy.run_path(str(EXAMPLE))["SmoothPhase"]


@pytest.fixture
def table(qtbot):
    window = QMainWindow()
    qtbot.addWidget(window)
    table = ScheduleTable()
    window.setCentralWidget(table)
    window.resize(380, 420)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    table.kept = window  # pytest-qt holds it weakly
    return table


def edit_cell(qtbot, table, row, field):
    """Go to a cell and press F2."""
    view = table.findChild(QTableView, "schedule")
    index = view.model().index(row, next(i for i, column in enumerate(COLUMNS) if column.field == field))
    view.scrollTo(index)
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(index).center())
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_F2)
    return index


def test_it_is_one_short_file_that_needs_the_front_door_alone():
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 30
    ours = [line for line in lines if "import" in line and "napari_subangstrom_cdi" in line]
    assert ours == ["import napari_subangstrom_cdi as sacdi"]


def test_the_table_offers_it_with_an_editor_made_from_its_declaration(own, table, qtbot):
    table.set_schedule(extend_schedule(0.4, 1.2))
    index = edit_cell(qtbot, table, 3, "constraints")
    popup = next(popup for popup in table.findChildren(ConstraintsPopup) if popup.isVisible())
    names = [popup.list.item(row).text() for row in range(popup.list.count())]
    assert names.count("smooth-phase") == 1
    item = popup.list.item(names.index("smooth-phase"))
    assert item.toolTip() == "Smooth the phase and keep the amplitude"
    editor = popup.findChild(QAbstractSpinBox, "smooth-phase.width_angstrom")
    assert not editor.isVisible()
    popup.list.setCurrentItem(item)
    qtbot.keyClick(popup.list, Qt.Key.Key_Space)
    assert editor.isVisible() and "Å" in editor.text() and editor.singleStep() == pytest.approx(0.1)
    for _ in range(names.index("smooth-phase")):
        qtbot.keyClick(popup.list, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    editor.setFocus()
    editor.selectAll()
    qtbot.keyClicks(editor, "1.5")
    qtbot.mouseClick(popup.findChild(QPushButton, "popup_done"), Qt.MouseButton.LeftButton)
    assert table.schedule()[3].constraints[0] == own(1.5)
    assert "1.5" in index.data() and "smooth-phase: width 1.5 Å" in index.data(Qt.ItemDataRole.ToolTipRole)
    qtbot.wait(10)


def test_an_impossible_value_is_not_taken(own, table, qtbot):
    table.set_schedule((Stage("a", 5, "er", (own(0.7), "support")),))
    edit_cell(qtbot, table, 0, "constraints")
    popup = next(popup for popup in table.findChildren(ConstraintsPopup) if popup.isVisible())
    editor = popup.findChild(QAbstractSpinBox, "smooth-phase.width_angstrom")
    editor_help = editor.toolTip()
    editor.setFocus()
    editor.selectAll()
    qtbot.keyClicks(editor, "0")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    assert 0 < table.schedule()[0].constraints[0].width_angstrom <= 0.7
    assert "above 0" in editor_help


def test_a_schedule_with_it_runs_and_a_recipe_holds_it(own):
    stages = (Stage("real", 5, "er", ("image", "real", "support")), Stage("own", 5, "hio", (own(1.2), "support")))
    plan = Plan(Inputs("p.tif"), retrieval=RetrievalSettings("own", stages))
    assert plan_from_toml(plan.to_toml(), where="recipe") == plan
    truth = random_particle(imaginary=0.3)
    problem = problem_of(truth)
    start = np.where(outline(), problem.image, 0).astype(np.complex64)
    with_own = retrieve(problem, stages, start, workers=1).estimate
    without = retrieve(problem, (stages[0], Stage("own", 5, "hio")), start, workers=1).estimate
    assert np.isfinite(with_own).all() and not np.allclose(with_own, without)


def test_a_rule_of_ones_own_is_offered_with_its_parameters_beside_the_feedback(table, qtbot):
    @update("relaxed")
    class Relaxed:
        """Feedback with friction."""

        beta: Annotated[float, Parameter("β", above=0, high=1, step=0.05)] = 0.8
        friction: Annotated[float, Parameter("friction", "How far it is held back.", low=0, high=1)] = 0.25
        everywhere: Annotated[bool, Parameter("everywhere")] = False

        def __call__(self, x, projected, constrain, fourier):
            return (1 - self.friction) * constrain(projected) + self.friction * x

    table.set_schedule((Stage("a", 5, "hio", beta=0.65), Stage("b", 5)))
    edit_cell(qtbot, table, 0, "update")
    box = table.findChild(QTableView, "schedule").viewport().findChild(QComboBox)
    assert box.itemData(box.findText("relaxed"), Qt.ItemDataRole.ToolTipRole) == "Feedback with friction"
    qtbot.keyClick(box, Qt.Key.Key_End)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    qtbot.wait(10)
    assert table.schedule()[0].update == Relaxed(0.65)
    index = edit_cell(qtbot, table, 0, "beta")
    assert index.data() == "β 0.65, friction 0.25, everywhere no"
    popup = next(popup for popup in table.findChildren(ParametersPopup) if popup.isVisible())
    editor = popup.findChild(QAbstractSpinBox, "relaxed.friction")
    editor.setFocus()
    editor.selectAll()
    qtbot.keyClicks(editor, "0.5")
    qtbot.keyClick(popup.findChild(QCheckBox, "relaxed.everywhere"), Qt.Key.Key_Space)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    assert table.schedule()[0].update == Relaxed(0.65, 0.5, True)
    qtbot.wait(10)
    edit_cell(qtbot, table, 1, "beta")
    assert not any(popup.isVisible() for popup in table.findChildren(ParametersPopup))
