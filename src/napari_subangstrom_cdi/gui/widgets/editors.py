"""Magicgui's widgets, made from what a parameter declares, with what they lack.

A widget of magicgui holds what it shows, so a number with fewer digits, and tells of every change, whoever made it.
Here a value is kept exactly, and ``changed`` speaks up for the user's changes only. Qt's boxes themselves get a comma
for a point, no idle zeros, and a wheel that does no harm.
"""

from __future__ import annotations

from dataclasses import MISSING
from html import escape
from typing import Any

from magicgui.backends._qtpy import widgets as backend
from magicgui.widgets import CheckBox, LineEdit
from magicgui.widgets.bases import CategoricalWidget, RangedWidget
from qtpy.QtCore import QLocale, QSignalBlocker, Qt
from qtpy.QtGui import QResizeEvent, QValidator, QWheelEvent
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QWidget

from napari_subangstrom_cdi.parameters import Declared

_LARGEST = 2.0**31 - 1  # of a number that has no bound


class CalmWheel:
    """Leaves the wheel to the dock unless it has the focus; comes before a widget's Qt class."""

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Scroll the dock, not the value."""
        if event is not None and not self.hasFocus():  # type: ignore[attr-defined]
            event.ignore()
            return
        super().wheelEvent(event)  # type: ignore[misc]


class NumberBox(CalmWheel, QDoubleSpinBox):
    """A spin box for floats and integers: no zeros at its end, a comma is a point, and it may show words instead."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._known: Declared | None = None
        self.none_texts: tuple[str, str] | None = None  # long and short, shown in place of the number
        self.setLocale(QLocale.c())
        self.setKeyboardTracking(False)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def describe(self, known: Declared) -> None:
        """Take digits, range, step and unit of a parameter."""
        self._known = known
        parameter, least = known.parameter, 10.0**-known.places
        low = parameter.low if parameter.above is None else parameter.above + least
        high = parameter.high if parameter.below is None else parameter.below - least
        self.setDecimals(known.places)
        self.setRange(-_LARGEST if low is None else low, _LARGEST if high is None else min(high, _LARGEST))
        self.setSingleStep(parameter.step or 10.0 ** -min(2, known.places))
        self.setSuffix(f" {parameter.unit}" if parameter.unit else "")

    def show_value(self, value: float) -> None:
        """Show a value as it is, even beyond the usual range, as one from a recipe may be."""
        self.setRange(min(self.minimum(), value), max(self.maximum(), value))
        self.setValue(value)

    def textFromValue(self, value: float) -> str:
        """Without zeros at its end; None in long if there is room."""
        if self.none_texts is None:
            return f"{value:g}" if self._known is None else self._known.shown(value)
        long, short = self.none_texts
        room = self.lineEdit().contentsRect().width() - self.fontMetrics().height() // 2
        return long if self.fontMetrics().horizontalAdvance(long) <= room else short

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Room for the long text may have come or gone."""
        super().resizeEvent(event)
        if self.none_texts is not None:
            self.refresh()

    def valueFromText(self, text: str | None) -> float:
        """A comma is a point."""
        return float(super().valueFromText((text or "").replace(",", ".")))

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """A comma is a point, and "automatic" is no error."""
        if self.none_texts is not None:
            return QValidator.State.Acceptable, text or "", position
        state, _, position = super().validate((text or "").replace(",", "."), position)
        return state, text or "", position

    def refresh(self) -> None:
        """Write the text anew."""
        self.lineEdit().setText(f"{self.textFromValue(self.value())}{self.suffix()}")
        if self.none_texts is not None:
            self.lineEdit().setCursorPosition(0)


class ComboBox(CalmWheel, QComboBox):
    """A list that is as narrow as need be."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)


class _NumberBackend(backend.QBaseRangedWidget):
    """As magicgui's own, with our box."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(NumberBox, **kwargs)


class _ChoiceBackend(backend.ComboBox):
    """As magicgui's own, with our list."""

    def __init__(self, **kwargs: Any) -> None:
        backend.QBaseValueWidget.__init__(self, ComboBox, "currentIndex", "setCurrentIndex", "", **kwargs)
        self._qwidget.currentIndexChanged.connect(self._emit_data)


class Editor:
    """What the editors have in common; comes before a magicgui widget.

    Parameters
    ----------
    known : Declared
        What is edited; the name of the native widget is the parameter's.
    """

    native: Any
    changed: Any

    def __init__(self, known: Declared, **kwargs: Any) -> None:
        self.known = known
        self.automatic: Any = None  # the value found, shown while the own is None
        self._exact: Any = None
        self._allowed = True
        super().__init__(name=known.name, **kwargs)  # type: ignore[call-arg]  # magicgui's
        # Magicgui's filter asks Python at every event whether the parent has changed, which nothing here needs, and
        # would be left to the garbage collector, which runs in any thread.
        watcher = self._widget._event_filter  # type: ignore[attr-defined]
        self.native.removeEventFilter(watcher)
        watcher.setParent(self.native)
        self.native.setObjectName(known.name)
        self.native.setAccessibleName(known.parameter.caption)
        self.native.setAccessibleDescription(known.parameter.help)
        self._prepare()
        self._exact = self._first() if known.default is MISSING or known.kind == "other" else known.default
        self.show_value()

    @property
    def value(self) -> Any:
        """The value, exactly; to set it tells nobody."""
        return self._exact

    @value.setter
    def value(self, value: Any) -> None:
        self._exact = value
        self.show_value()

    def set_automatic(self, value: Any) -> None:
        """Take the value found automatically."""
        self.automatic = value
        self.show_value()

    def allow(self, allowed: bool) -> None:
        """Whether the user may edit it at present."""
        self._allowed = allowed
        self.show_value()

    def show_value(self) -> None:
        """Bring the widget in line with the value."""
        with QSignalBlocker(self.native):
            self._show()
        self.native.setEnabled(self._allowed)

    def take(self, value: Any) -> None:
        """The user has entered a value."""
        if value != self._exact or type(value) is not type(self._exact):
            self._exact = value
            self.changed.emit(value)

    def automatic_text(self) -> str:
        """What is shown for None."""
        word = self.known.parameter.automatic
        return word if self.automatic is None else f"{word} ({self.known.with_unit(self.automatic)})"

    def _on_value_change(self, _: Any = None) -> None:
        self.take(self._read())

    def _prepare(self) -> None:
        """Make the native widget ready."""

    def _first(self) -> Any:
        """Where nothing is declared."""
        return None

    def _show(self) -> None:
        raise NotImplementedError

    def _read(self) -> Any:
        raise NotImplementedError


class Number(Editor, RangedWidget[Any]):
    """A float or an integer, with its unit."""

    native: NumberBox
    _last: Any = None  # the last value that was a number

    def __init__(self, known: Declared) -> None:
        super().__init__(known, widget_type=_NumberBackend, step=1)

    def set_to_automatic(self, automatic: bool) -> None:
        """The user wants None, or the last number known, in the place of the value."""
        if automatic:
            self._last, value = self.value, None
        else:
            known = (self._last, self.automatic, max(0.0, self.native.minimum()))
            value = self._number(next(number for number in known if number is not None))
        self.take(value)
        self.show_value()
        if not automatic:
            self.native.setFocus()
            self.native.selectAll()

    def show_value(self) -> None:
        """There is nothing to type where None is shown."""
        super().show_value()
        self.native.setEnabled(self._allowed and self.value is not None)

    def _prepare(self) -> None:
        self.native.describe(self.known)

    def _first(self) -> Any:
        return None if self.known.optional else self._number(max(0.0, self.native.minimum()))

    def _show(self) -> None:
        box, unit, is_none = self.native, self.known.parameter.unit, self.value is None
        symbols = QAbstractSpinBox.ButtonSymbols
        box.none_texts = (self.automatic_text(), self.known.with_unit(self.automatic)) if is_none else None
        box.setButtonSymbols(symbols.NoButtons if is_none else symbols.UpDownArrows)
        box.setSuffix(f" {unit}" if unit and not is_none else "")
        if not is_none:
            box.show_value(self.value)
        box.refresh()

    def _read(self) -> Any:
        return self._number(self.native.value())

    def _number(self, value: float) -> float | int:
        return round(value) if self.known.kind == "int" else float(value)


class Choice(Editor, CategoricalWidget[Any]):
    """One of several values, None among them where it is allowed."""

    def __init__(self, known: Declared) -> None:
        self._values = [value for value, _ in known.pairs()]
        choices = [(text, index) for index, (_, text) in enumerate(known.pairs())]
        super().__init__(known, widget_type=_ChoiceBackend, choices=choices)

    def _first(self) -> Any:
        return self._values[0]

    def _show(self) -> None:
        if None in self._values:
            self.native.setItemText(self._values.index(None), self.automatic_text())
        if self.value not in self._values:  # one that was not foreseen
            self._values.append(self.value)
            self.native.addItem(str(self.value), len(self._values) - 1)
        self.native.setCurrentIndex(self._values.index(self.value))

    def _read(self) -> Any:
        return self._values[self.native.currentIndex()]


class Tick(Editor, CheckBox):
    """Yes or no."""

    def _prepare(self) -> None:
        self.native.setText("")

    def _first(self) -> Any:
        return False

    def _show(self) -> None:
        self.native.setChecked(bool(self.value))

    def _read(self) -> Any:
        return self.native.isChecked()


class Text(Editor, LineEdit):
    """A line of text, told of when it is complete; an empty optional one is None."""

    def _prepare(self) -> None:
        self.native.textChanged.disconnect()
        self.native.editingFinished.connect(self._on_value_change)

    def _first(self) -> Any:
        return None if self.known.optional else ""

    def _show(self) -> None:
        self.native.setPlaceholderText(self.automatic_text() if self.known.optional else "")
        if self.native.text() != (self.value or ""):
            self.native.setText(self.value or "")

    def _read(self) -> Any:
        text = self.native.text()
        return None if self.known.optional and not text.strip() else text


def editor_of(known: Declared) -> Any:
    """The editor for a parameter, by its kind."""
    if known.kind in ("float", "int"):
        return Number(known)
    if known.kind == "choice" or (known.kind == "bool" and known.optional):
        return Choice(known)
    return Tick(known) if known.kind == "bool" else Text(known)


def help_of(known: Declared) -> str:
    """The tooltip: name and unit, what it does, range, what automatic means."""
    parameter = known.parameter
    unit = f" ({escape(parameter.unit)})" if parameter.unit else ""
    lines = [f"<b>{escape(parameter.caption)}</b>{unit}", escape(parameter.help)]
    if parameter.range_in_words():
        lines.append(f"Range: {escape(parameter.range_in_words())}")
    if known.optional:
        lines.append(f"May be left {escape(parameter.automatic)}.")
    return "<br>".join(line for line in lines if line)
