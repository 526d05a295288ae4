"""Rows of parameters: the user's changes are told once, values stay exact, the wheel does no harm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from magicgui.widgets import Widget
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSlider,
    QWidget,
)
from superqt import QCollapsible, QDoubleSlider

from hands import SliderDrag
from napari_subangstrom_cdi.gui.widgets.fields import FieldForm
from napari_subangstrom_cdi.gui.widgets.hand_slider import HandSlider
from napari_subangstrom_cdi.parameters import Parameter, declared


@dataclass(frozen=True)
class Settings:
    """One row of each kind."""

    alpha: Annotated[float, Parameter("α", "Share of the misfit taken back.", low=0, high=1, step=0.05)] = 0.9
    pixel: Annotated[float | None, Parameter("Image pixel", unit="Å", low=0.001, high=100)] = None
    members: Annotated[int, Parameter("Members N", low=1, high=500)] = 20
    preset: Annotated[
        Literal["paper", "extend"],
        Parameter("Schedule", words=(("paper", "as in the paper"), ("extend", "phase extension"))),
    ] = "paper"
    mirror: Annotated[bool | None, Parameter("Mirrored")] = None
    friedel: Annotated[bool, Parameter("Friedel mates too")] = False
    title: Annotated[str | None, Parameter("Title")] = None
    smoothing: Annotated[float, Parameter("Smoothing", unit="Å", low=0, high=50, advanced=True)] = 1.0
    seed: Annotated[int, Parameter("Seed", low=0, advanced=True)] = 0


FIELDS = tuple(declared(Settings).values())


@pytest.fixture
def form(qtbot):
    form = FieldForm(FIELDS)
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


def test_rows_are_magicguis_widgets_under_superqts_fold(form):
    for known in FIELDS:
        widget = form.editor(known.name)._magic_widget
        assert isinstance(widget, Widget) and widget.name == known.name and widget.native is form.editor(known.name)
    assert isinstance(form.findChild(QWidget, "advanced"), QCollapsible)


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
    smoothing, button = form.findChild(QDoubleSpinBox, "smoothing"), form.findChild(QPushButton, "advanced_button")

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
    assert box.accessibleDescription() == "Share of the misfit taken back."
    for words in ("α", "Share of the misfit", "Range: 0 to 1"):
        assert words in box.toolTip()
    assert "0.001 Å" not in form.findChild(QDoubleSpinBox, "pixel").toolTip()  # one unit for the range
    assert "0.001 to 100 Å" in form.findChild(QDoubleSpinBox, "pixel").toolTip()
    form.set_enabled("alpha", False)
    assert not box.isEnabled()
    assert form.minimumSizeHint().width() <= 370
    with pytest.raises(ValueError, match="two fields"):
        FieldForm([FIELDS[0], FIELDS[0]])


def test_a_row_says_why_it_has_no_effect(form):
    form.set_enabled("alpha", False, "A run goes on.")
    assert (
        "Share of the misfit" in form.editor("alpha").toolTip() and "A run goes on." in form.editor("alpha").toolTip()
    )
    form.set_enabled("alpha", True)
    assert "A run goes on." not in form.editor("alpha").toolTip() and form.editor("alpha").isEnabled()


def test_what_is_folded_away_takes_no_focus(form, qtbot):
    title, button = form.findChild(QLineEdit, "title"), form.findChild(QPushButton, "advanced_button")
    title.setFocus()
    qtbot.keyClick(title, Qt.Key.Key_Tab)
    assert button.hasFocus()
    qtbot.keyClick(button, Qt.Key.Key_Tab)
    assert not form.findChild(QDoubleSpinBox, "smoothing").hasFocus()
    button.setFocus()
    qtbot.keyClick(button, Qt.Key.Key_Space)
    qtbot.keyClick(button, Qt.Key.Key_Tab)
    assert form.findChild(QDoubleSpinBox, "smoothing").hasFocus()


@dataclass(frozen=True)
class Hand:
    """Set by hand."""

    level: Annotated[float | None, Parameter("Level", "Where.", low=0, high=100, step=0.5, reach=(0, 10), decimals=2)]


@pytest.fixture
def hand(qtbot):
    panel = QWidget()
    hand = HandSlider(declared(Hand)["level"], panel)
    hand.add_to(QGridLayout(panel), 0)
    qtbot.addWidget(panel)
    panel.resize(370, 60)
    panel.show()
    qtbot.waitExposed(panel)
    panel.activateWindow()
    qtbot.waitUntil(panel.isActiveWindow)
    hand.set_value(5.0)
    hand.moves, hand.ends = [], []
    hand.moved.connect(hand.moves.append)
    hand.settled.connect(hand.ends.append)
    yield hand


def test_a_slider_tries_while_it_is_held_and_settles_once(hand, qtbot):
    assert isinstance(hand.slider, QDoubleSlider) and isinstance(hand.slider, QSlider)
    with SliderDrag(qtbot, hand.slider) as drag:
        assert hand.moves == []  # to take hold of it moves nothing
        drag.by(30)
        assert hand.is_held and hand.ends == []
        assert len(hand.moves) > 1 and all(2 * value == round(2 * value) for value in hand.moves)  # by its step
    assert hand.ends == [hand.moves[-1]] and hand.value > 5


def test_a_slider_obeys_keys_and_only_with_the_focus_the_wheel(hand, qtbot):
    hand.box.setFocus()
    assert not scroll(hand.slider) and hand.moves == []
    hand.slider.setFocus()
    keys = (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_End, Qt.Key.Key_Home)
    for key in keys:
        qtbot.keyClick(hand.slider, key)
    assert hand.ends == hand.moves == [5.5, 5.0, 5.5, 10.0, 0.0]
    assert scroll(hand.slider) and hand.value > 0


def test_the_box_of_a_slider_takes_what_the_slider_does_not_reach(hand, qtbot):
    type_over(qtbot, hand.box, "72,25")
    assert hand.ends == [72.25] and hand.value == 72.25 and hand.slider.value() == 10.0
    hand.set_value(1.23456)
    assert hand.value == 1.23456 and hand.box.text() == "1.23" and hand.ends == [72.25]
    hand.set_enabled(False, "Align first.")
    assert not hand.slider.isEnabled() and "Align first." in hand.slider.toolTip()
