"""Rows of parameters: the user's changes are told once, values stay exact, the wheel does no harm."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QCheckBox, QComboBox, QDoubleSpinBox, QLabel, QLineEdit, QToolButton

from napari_subangstrom_cdi.gui.widgets.fields import Field, FieldForm

FIELDS = (
    Field("alpha", "α", "float", tooltip="Share of the misfit taken back.", minimum=0, maximum=1, step=0.05),
    Field("pixel", "Image pixel", "float", "Å", minimum=0.001, maximum=100, optional=True),
    Field("members", "Members N", "int", minimum=1, maximum=500),
    Field("preset", "Schedule", "choice", choices=[("paper", "as in the paper"), ("extend", "phase extension")]),
    Field("mirror", "Mirrored", "bool", optional=True),
    Field("friedel", "Friedel mates too", "bool"),
    Field("title", "Title", "text", optional=True),
)
ADVANCED = (
    Field("smoothing", "Smoothing", "float", "Å", minimum=0, maximum=50),
    Field("seed", "Seed", "int", minimum=0),
)


@pytest.fixture
def form(qtbot):
    form = FieldForm(FIELDS, advanced=ADVANCED)
    qtbot.addWidget(form)
    form.resize(370, 400)
    form.show()
    qtbot.waitExposed(form)
    form.activateWindow()
    qtbot.waitUntil(form.isActiveWindow)
    form.set_values({"alpha": 0.9, "members": 20, "preset": "extend"})
    form.heard = []
    form.changed.connect(lambda name, value: form.heard.append((name, value)))
    return form


def type_over(qtbot, widget, text: str, end=Qt.Key.Key_Return) -> None:
    widget.setFocus()
    widget.selectAll()
    qtbot.keyClicks(widget, text)
    if end is not None:
        qtbot.keyClick(widget, end)


def test_a_typed_number_is_told_once_at_enter(form, qtbot):
    box = form.findChild(QDoubleSpinBox, "alpha")
    type_over(qtbot, box, "0.75", end=None)
    assert form.heard == []
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert form.heard == [("alpha", 0.75)]
    qtbot.keyClick(box, Qt.Key.Key_Up)
    assert form.heard[-1] == ("alpha", pytest.approx(0.8))
    type_over(qtbot, box, "0,5", end=Qt.Key.Key_Tab)  # a comma, and the focus goes on
    assert form.heard[-1] == ("alpha", 0.5)
    type_over(qtbot, form.findChild(QDoubleSpinBox, "members"), "30")
    assert form.heard[-1] == ("members", 30) and isinstance(form.values()["members"], int)


def test_set_values_is_exact_and_silent(form):
    form.set_values({"alpha": 0.123456789, "smoothing": 72.5})  # finer than shown; beyond the usual range
    assert form.values()["alpha"] == 0.123456789
    assert form.values()["smoothing"] == 72.5
    assert form.findChild(QDoubleSpinBox, "alpha").text() == "0.1235"
    assert form.findChild(QDoubleSpinBox, "smoothing").text() == "72.5 Å"
    assert form.heard == []
    with pytest.raises(KeyError, match="beta"):
        form.set_values({"beta": 1})


def test_leaving_a_box_untouched_keeps_the_exact_value(form, qtbot):
    form.set_values({"alpha": 0.123456789})
    box = form.findChild(QDoubleSpinBox, "alpha")
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Return)
    qtbot.keyClick(box, Qt.Key.Key_Tab)
    assert form.values()["alpha"] == 0.123456789 and form.heard == []


def test_automatic_shows_the_value_found_and_gives_way_to_the_users(form, qtbot):
    box, auto = form.findChild(QDoubleSpinBox, "pixel"), form.findChild(QCheckBox, "pixel_auto")
    assert form.values()["pixel"] is None and auto.isChecked() and not box.isEnabled()
    assert "automatic" in box.text()
    form.set_automatic("pixel", 0.36021)
    form.resize(600, 400)
    qtbot.waitUntil(lambda: box.text() == "automatic (0.3602 Å)")
    qtbot.mouseClick(auto, Qt.MouseButton.LeftButton, pos=QPoint(8, auto.height() // 2))
    assert form.heard == [("pixel", 0.36021)]
    assert box.isEnabled() and box.text() == "0.3602 Å"
    type_over(qtbot, box, "0.37")
    qtbot.mouseClick(auto, Qt.MouseButton.LeftButton, pos=QPoint(8, auto.height() // 2))
    assert form.heard[1:] == [("pixel", 0.37), ("pixel", None)]
    qtbot.mouseClick(auto, Qt.MouseButton.LeftButton, pos=QPoint(8, auto.height() // 2))
    assert form.values()["pixel"] == 0.37  # the user's own value comes back
    form.set_values({"pixel": None})
    assert auto.isChecked()


def test_choices_booleans_and_text(form, qtbot):
    preset = form.findChild(QComboBox, "preset")
    assert preset.currentText() == "phase extension"
    preset.setFocus()
    qtbot.keyClick(preset, Qt.Key.Key_Up)
    mirror = form.findChild(QComboBox, "mirror")
    assert mirror.currentText() == "automatic" and form.values()["mirror"] is None
    form.set_automatic("mirror", True)
    assert mirror.currentText() == "automatic (yes)"
    mirror.setFocus()
    qtbot.keyClick(mirror, Qt.Key.Key_Down)
    friedel = form.findChild(QCheckBox, "friedel")
    qtbot.mouseClick(friedel, Qt.MouseButton.LeftButton, pos=QPoint(8, friedel.height() // 2))
    title = form.findChild(QLineEdit, "title")
    qtbot.keyClicks(title, "platelet")
    qtbot.keyClick(title, Qt.Key.Key_Return)
    expected = [("preset", "paper"), ("mirror", True), ("friedel", True), ("title", "platelet")]
    assert form.heard == expected
    type_over(qtbot, title, " ")
    assert form.heard[-1] == ("title", None)


def scroll(widget) -> bool:
    """Turn the wheel over a widget; whether it took the event."""
    at = QPointF(widget.rect().center())
    event = QWheelEvent(
        at,
        QPointF(widget.mapToGlobal(widget.rect().center())),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def test_the_wheel_changes_only_what_has_the_focus(form, qtbot):
    alpha, preset = form.findChild(QDoubleSpinBox, "alpha"), form.findChild(QComboBox, "preset")
    form.findChild(QLineEdit, "title").setFocus()
    for widget in (alpha, preset):
        scroll(widget)
    assert form.heard == []
    alpha.setFocus()
    qtbot.waitUntil(alpha.hasFocus)
    assert scroll(alpha)
    assert form.heard == [("alpha", pytest.approx(0.95))]


def test_an_error_stands_under_its_row_until_the_next_change(form, qtbot):
    form.set_error("alpha", "α = 2; give 0 to 1")
    error = form.findChild(QLabel, "alpha_error")
    assert error.isVisible() and "give 0 to 1" in error.text()
    box = form.findChild(QDoubleSpinBox, "alpha")
    assert error.y() > box.y() and "border" in box.styleSheet()
    type_over(qtbot, box, "0.7")
    assert not error.isVisible() and not box.styleSheet()


def test_advanced_unfolds_by_click_and_for_an_error(form, qtbot):
    smoothing, button = form.findChild(QDoubleSpinBox, "smoothing"), form.findChild(QToolButton, "advanced_button")

    def shown() -> bool:
        return not smoothing.visibleRegion().isEmpty()

    assert not shown()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(shown)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not shown())
    form.set_error("smoothing", "wider than the particle; give less")
    qtbot.waitUntil(shown)
    qtbot.waitUntil(lambda: not form.findChild(QLabel, "smoothing_error").visibleRegion().isEmpty())


def test_rows_tell_what_they_are(form):
    box = form.findChild(QDoubleSpinBox, "alpha")
    assert box.accessibleName() == "α"
    for words in ("α", "Share of the misfit", "Range: 0 to 1"):
        assert words in box.toolTip()
    assert "0.001 Å" not in form.findChild(QDoubleSpinBox, "pixel").toolTip()  # one unit for the range
    assert "0.001 to 100 Å" in form.findChild(QDoubleSpinBox, "pixel").toolTip()
    form.set_enabled("alpha", False)
    assert not box.isEnabled()
    assert form.minimumSizeHint().width() <= 370
    with pytest.raises(ValueError, match="two fields"):
        FieldForm([FIELDS[0], FIELDS[0]])
