"""The schedule table: every entry goes through `Stage`, nothing invalid stays, everything can be undone."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QLabel, QMainWindow, QPushButton, QTableView, QWidget

from napari_subangstrom_cdi.core.phasing.constraints import Image, LowDensity, Real, Support
from napari_subangstrom_cdi.core.phasing.schedule import Stage, extend_schedule, paper_schedule
from napari_subangstrom_cdi.core.phasing.updates import HybridInputOutput
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.schedule.cells import COLUMNS, parse_limits
from napari_subangstrom_cdi.gui.schedule.popups import ConstraintsPopup
from napari_subangstrom_cdi.gui.schedule.table import ScheduleTable

EXTEND = extend_schedule(0.4, 1.2)
COLUMN = {column.field: i for i, column in enumerate(COLUMNS)}


@pytest.fixture
def table(qtbot):
    window = QMainWindow()
    qtbot.addWidget(window)
    table = ScheduleTable()
    window.setCentralWidget(table)
    window.resize(380, 320)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    table.set_schedule(EXTEND)
    table.heard = 0
    table.kept = window  # pytest-qt holds it weakly

    def hear() -> None:
        table.heard += 1

    table.changed.connect(hear)
    return table


def view_of(table: ScheduleTable) -> QTableView:
    return table.findChild(QTableView, "schedule")


def go_to(qtbot, table: ScheduleTable, row: int, field: str):
    view = view_of(table)
    index = view.model().index(row, COLUMN[field])
    view.scrollTo(index)
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(index).center())
    return index


def enter(qtbot, table: ScheduleTable, row: int, field: str, text: str) -> None:
    """Go to a cell, press F2, type, press Enter."""
    view = view_of(table)
    go_to(qtbot, table, row, field)
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_F2)
    editor = next(
        child for child in view.viewport().findChildren(QWidget) if child.isVisible() and hasattr(child, "selectAll")
    )
    editor.selectAll()
    qtbot.keyClicks(editor, text) if text else qtbot.keyClick(editor, Qt.Key.Key_Delete)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.wait(10)


def open_constraints(qtbot, table: ScheduleTable, row: int) -> ConstraintsPopup:
    """Go to the constraints of a stage and press F2."""
    go_to(qtbot, table, row, "constraints")
    view = view_of(table)
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_F2)
    return next(popup for popup in table.findChildren(ConstraintsPopup) if popup.isVisible())


def set_value(qtbot, popup: QWidget, name: str, text: str) -> None:
    """Type a value of a parameter in a popup."""
    editor = popup.findChild(QAbstractSpinBox, name)
    assert editor.isVisible()
    editor.setFocus()
    editor.selectAll()
    qtbot.keyClicks(editor, text)


def press(qtbot, table: ScheduleTable, name: str) -> None:
    button = table.findChild(QPushButton, f"schedule_{name}")
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def error_of(table: ScheduleTable) -> str:
    label = table.findChild(QLabel, "schedule_status")
    return label.text() if label.isVisible() else ""


def test_every_kind_of_cell_can_be_edited(table, qtbot):
    enter(qtbot, table, 0, "name", "first")
    enter(qtbot, table, 0, "iterations", "25")
    popup = open_constraints(qtbot, table, 0)
    set_value(qtbot, popup, "image.weight", "0.75")
    qtbot.keyClick(popup.findChild(QAbstractSpinBox, "image.weight"), Qt.Key.Key_Return)
    popup = open_constraints(qtbot, table, 1)
    set_value(qtbot, popup, "low-density.threshold", "1.25")
    qtbot.mouseClick(popup.findChild(QPushButton, "popup_done"), Qt.MouseButton.LeftButton)
    enter(qtbot, table, 1, "q_limits_per_angstrom", "0.5 - 1.1")
    enter(qtbot, table, 0, "q_limits_per_angstrom", "")
    expected = (
        Stage("first", 25, "er", (Image(0.75), "real", "support")),
        Stage("extend", 100, "er", (Image(0.3), "real", LowDensity(1.25), "support"), q_limits_per_angstrom=(0.5, 1.1)),
        *EXTEND[2:],
    )
    assert table.schedule() == expected
    assert table.heard == 6
    assert "195 iterations" in table.findChild(QLabel, "schedule_total").text()


def test_the_update_is_chosen_from_a_list(table, qtbot):
    go_to(qtbot, table, 3, "update")
    view = view_of(table)
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_F2)
    box = view.viewport().findChild(QComboBox)
    qtbot.keyClick(box, Qt.Key.Key_Down)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    qtbot.wait(10)
    assert table.schedule()[3].update == HybridInputOutput()


def test_an_invalid_entry_is_refused_with_a_sentence_and_the_last_value_stays(table, qtbot):
    table.set_schedule(paper_schedule())
    enter(qtbot, table, 1, "beta", "3")
    assert table.schedule() == paper_schedule() and table.heard == 0
    assert "β = 3; give above 0 and at most 1" in error_of(table)
    header = view_of(table).model().headerData(1, Qt.Orientation.Vertical)
    assert header == "!"
    enter(qtbot, table, 1, "beta", "0.9")
    assert table.schedule()[1].beta == 0.9 and error_of(table) == ""
    enter(qtbot, table, 1, "q_limits_per_angstrom", "0.4 high")
    assert "give two numbers" in error_of(table)
    enter(qtbot, table, 1, "name", " ")
    assert "an empty name" in error_of(table)


def test_constraints_are_ticked_and_ordered_in_a_popup(table, qtbot):
    go_to(qtbot, table, 3, "constraints")
    view = view_of(table)
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Return)
    popup = table.findChild(ConstraintsPopup)
    assert popup.isVisible() and popup.constraints() == ("support",)
    names = [popup.list.item(row).text() for row in range(popup.list.count())]
    popup.list.setCurrentRow(names.index("real"))
    qtbot.keyClick(popup.list, Qt.Key.Key_Space)
    for _ in range(names.index("real")):
        qtbot.mouseClick(popup.findChild(QPushButton, "constraint_up"), Qt.MouseButton.LeftButton)
    assert popup.constraints() == ("real", "support")
    qtbot.mouseClick(popup.findChild(QPushButton, "popup_done"), Qt.MouseButton.LeftButton)
    assert table.schedule()[3].constraints == (Real(), Support())
    index = view.model().index(3, COLUMN["constraints"])
    assert index.data() == "real → support"
    qtbot.wait(10)


def test_constraints_without_support_are_refused_and_escape_drops_them(table, qtbot):
    for key, sentence in ((Qt.Key.Key_Escape, ""), (Qt.Key.Key_Return, "no support among the constraints")):
        go_to(qtbot, table, 3, "constraints")
        view = view_of(table)
        view.setFocus()
        qtbot.keyClick(view, Qt.Key.Key_F2)
        popup = next(p for p in table.findChildren(ConstraintsPopup) if p.isVisible())
        qtbot.keyClick(popup.list, Qt.Key.Key_Space)  # unticks support
        qtbot.keyClick(popup.list, key)
        assert table.schedule() == EXTEND and table.heard == 0
        assert sentence in error_of(table) and bool(sentence) == bool(error_of(table))
        qtbot.wait(10)


def test_columns_without_effect_are_grey_and_locked(table, qtbot):
    table.set_schedule((Stage("a", 1), Stage("b", 1, "hio", ("image", "real", "low-density", "support"))))
    model = view_of(table).model()
    idle, used = model.index(0, COLUMN["beta"]), model.index(1, COLUMN["beta"])
    assert not model.flags(idle) & Qt.ItemFlag.ItemIsEditable
    assert model.flags(used) & Qt.ItemFlag.ItemIsEditable
    assert idle.data(Qt.ItemDataRole.ForegroundRole).alpha() < 128
    assert used.data(Qt.ItemDataRole.ForegroundRole) is None
    assert "No effect" in idle.data(Qt.ItemDataRole.ToolTipRole)
    go_to(qtbot, table, 0, "beta")
    qtbot.keyClicks(view_of(table), "0.5")
    assert table.heard == 0


def test_parameters_without_effect_are_not_shown_and_those_left_alone_stay_exact(table, qtbot):
    exact = Image(0.123456789)
    table.set_schedule((Stage("a", 1, constraints=(exact, "support")),))
    popup = open_constraints(qtbot, table, 0)
    weight, threshold = (popup.findChild(QAbstractSpinBox, name) for name in ("image.weight", "low-density.threshold"))
    assert weight.isVisible() and not threshold.isVisible()
    names = [popup.list.item(row).text() for row in range(popup.list.count())]
    popup.list.setCurrentRow(names.index("low-density"))
    qtbot.keyClick(popup.list, Qt.Key.Key_Space)
    assert threshold.isVisible() and "standard deviations" in threshold.toolTip()
    set_value(qtbot, popup, "low-density.threshold", "-0.25")
    qtbot.keyClick(threshold, Qt.Key.Key_Return)
    assert table.schedule()[0].constraints == (exact, Support(), LowDensity(-0.25))
    popup = open_constraints(qtbot, table, 0)
    qtbot.keyClick(popup.list, Qt.Key.Key_Space)  # unticks the image
    set_value(qtbot, popup, "low-density.threshold", "2")
    qtbot.keyClick(popup.findChild(QAbstractSpinBox, "low-density.threshold"), Qt.Key.Key_Escape)
    assert table.schedule()[0].constraints == (exact, Support(), LowDensity(-0.25)) and table.heard == 1


def test_what_is_typed_counts_when_a_popup_is_left_by_a_click_elsewhere(table, qtbot):
    popup = open_constraints(qtbot, table, 0)
    set_value(qtbot, popup, "image.weight", "0.75")
    popup.close()  # as the window system does for a click outside it
    assert table.schedule()[0].constraints[0] == Image(0.75) and table.heard == 1
    qtbot.wait(10)


def test_the_feedback_stays_when_the_rule_changes(table, qtbot):
    table.set_schedule((Stage("a", 1, "hio", beta=0.123456789),))
    go_to(qtbot, table, 0, "update")
    view = view_of(table)
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_F2)
    box = view.viewport().findChild(QComboBox)
    assert "averaged" in box.itemData(box.findText("raar"), Qt.ItemDataRole.ToolTipRole)
    qtbot.keyClick(box, Qt.Key.Key_Down)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    qtbot.wait(10)
    assert table.schedule()[0] == Stage("a", 1, "raar", beta=0.123456789)


def test_every_constraint_can_be_read_in_a_narrow_dock_and_its_values_too(table, qtbot):
    view = view_of(table)
    column, metrics = COLUMN["constraints"], view.fontMetrics()
    for row in range(4):
        text, cell = view.model().index(row, column).data(), view.visualRect(view.model().index(row, column))
        flags = Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignLeft
        assert metrics.boundingRect(0, 0, cell.width() - 6, 1000, flags, text).height() <= cell.height()
        assert max(metrics.horizontalAdvance(words) for words in text.split(" ")) < cell.width()
    assert "image\N{NO-BREAK SPACE}0.3 → real" in view.model().index(1, column).data()
    wide = view.columnWidth(column)
    table.window().resize(800, 320)
    qtbot.waitUntil(lambda: view.columnWidth(column) > wide)
    assert view.rowHeight(1) == view.rowHeight(3)


def test_buttons_add_copy_remove_and_move(table, qtbot):
    go_to(qtbot, table, 1, "name")
    press(qtbot, table, "duplicate")
    assert [stage.name for stage in table.schedule()] == ["image", "extend", "extend 2", "settle", "complex"]
    press(qtbot, table, "down")
    press(qtbot, table, "down")
    assert [stage.name for stage in table.schedule()] == ["image", "extend", "settle", "complex", "extend 2"]
    assert not table.findChild(QPushButton, "schedule_down").isEnabled()
    press(qtbot, table, "up")
    press(qtbot, table, "add")
    assert [stage.name for stage in table.schedule()] == ["image", "extend", "settle", "extend 2", "stage", "complex"]
    press(qtbot, table, "remove")
    view_of(table).setFocus()
    qtbot.keyClick(view_of(table), Qt.Key.Key_Delete)
    assert [stage.name for stage in table.schedule()] == ["image", "extend", "settle", "extend 2"]
    table.set_schedule(EXTEND[:1])
    go_to(qtbot, table, 0, "name")
    assert not table.findChild(QPushButton, "schedule_remove").isEnabled()


def test_back_to_preset_can_be_undone(table, qtbot):
    button = table.findChild(QPushButton, "schedule_preset")
    assert not button.isEnabled()
    table.set_preset(paper_schedule(), "paper")
    assert "paper" in button.toolTip()
    press(qtbot, table, "preset")
    assert table.schedule() == paper_schedule() and not button.isEnabled()
    view_of(table).setFocus()
    qtbot.keyClick(view_of(table), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert table.schedule() == EXTEND


def test_undo_and_redo_with_keys_even_where_the_window_has_them_too(table, qtbot):
    window = table.window()
    stolen = []
    action = QAction("Undo", window)
    action.setShortcut("Ctrl+Z")
    action.triggered.connect(lambda: stolen.append(1))
    window.addAction(action)
    enter(qtbot, table, 0, "iterations", "25")
    enter(qtbot, table, 0, "iterations", "35")
    view, control = view_of(table), Qt.KeyboardModifier.ControlModifier
    view.setFocus()
    for key, expected in ((Qt.Key.Key_Z, 25), (Qt.Key.Key_Z, 15), (Qt.Key.Key_Y, 25), (Qt.Key.Key_Y, 35)):
        qtbot.keyClick(view, key, control)
        assert table.schedule()[0].iterations == expected
    assert not stolen and table.heard == 6
    qtbot.keyClick(view, Qt.Key.Key_Z, control)
    enter(qtbot, table, 1, "iterations", "5")
    qtbot.keyClick(view, Qt.Key.Key_Y, control)  # a new change has cut off what was taken back
    assert table.schedule()[0].iterations == 25 and table.schedule()[1].iterations == 5


def test_the_same_schedule_from_outside_keeps_the_undo_steps(table, qtbot):
    enter(qtbot, table, 0, "iterations", "25")
    table.set_schedule(table.schedule())
    table.undo()
    assert table.schedule() == EXTEND
    table.set_schedule(paper_schedule())
    table.undo()
    assert table.schedule() == paper_schedule()


def test_it_fits_a_narrow_dock_and_tells_the_full_words(table):
    assert table.minimumSizeHint().width() <= 370
    model = view_of(table).model()
    tooltip = model.index(1, COLUMN["constraints"]).data(Qt.ItemDataRole.ToolTipRole)
    assert "image → real → low-density → support" in tooltip
    assert "image: weight 0.3\nlow-density: threshold 0.8 σ" in tooltip
    for i in range(len(COLUMNS)):
        assert len(model.headerData(i, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)) > 15


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("0.4 – 1.2", (0.4, 1.2)),
        ("0.4-1.2", (0.4, 1.2)),
        ("0.4, 1.2", (0.4, 1.2)),
        ("0.4 to 1.2", (0.4, 1.2)),
        ("0.8", (0.8, 0.8)),
    ],
)
def test_q_limits_are_read(text, expected):
    assert parse_limits(text, "a") == expected


@pytest.mark.parametrize("text", ["0.4 high", "1 2 3", "–"])
def test_other_q_limits_are_refused(text):
    with pytest.raises(InputError, match="give two numbers"):
        parse_limits(text, "a")
