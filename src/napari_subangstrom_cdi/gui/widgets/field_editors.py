"""Editors of single values: they keep the exact value, and speak up for the user's changes only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QLocale, QObject, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QResizeEvent, QValidator, QWheelEvent
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QWidget

if TYPE_CHECKING:
    from .fields import Field

_LARGEST = 1e9


class Editor(QObject):
    """Base of the editors: a widget, the value it stands for, and a signal for the user's changes."""

    edited = Signal(object)
    needs_box = False  # a check box beside it says "automatic"

    def __init__(self, field: Field, widget: QWidget, parent: QObject) -> None:
        super().__init__(parent)
        self.field = field
        self.widget = widget
        self.value: Any = None
        self.automatic: Any = None
        self._enabled = True

    def set_value(self, value: Any) -> None:
        """Show a value; emits nothing."""
        self.value = value
        self.show()

    def set_automatic(self, value: Any) -> None:
        """Take the value found automatically, shown while the own value is None."""
        self.automatic = value
        self.show()

    def set_enabled(self, enabled: bool) -> None:
        """Whether the value may be edited."""
        self._enabled = enabled
        self.show()

    def user_set_automatic(self, automatic: bool) -> None:
        """The user has ticked or cleared the box."""
        raise NotImplementedError

    def show(self) -> None:
        """Bring the widget in line with the value."""
        raise NotImplementedError

    def automatic_text(self) -> str:
        """What is shown for None."""
        if self.automatic is None:
            return self.field.auto_text
        return f"{self.field.auto_text} ({self._as_text(self.automatic)})"

    def _as_text(self, value: Any) -> str:
        return str(value)

    def _take(self, value: Any) -> None:
        if value != self.value or type(value) is not type(self.value):
            self.value = value
            self.edited.emit(value)


class NumberBox(QDoubleSpinBox):
    """A spin box for floats and integers that scrolls only with the focus and takes a comma for a point."""

    def __init__(self, field: Field, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._field = field
        self.none_texts: tuple[str, str] | None = None  # long and short, shown in place of the number
        self.setLocale(QLocale.c())
        self.setKeyboardTracking(False)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setDecimals(field.places() if field.kind == "float" else 0)
        self.setRange(
            -_LARGEST if field.minimum is None else field.minimum, _LARGEST if field.maximum is None else field.maximum
        )
        self.setSingleStep(field.step or (1 if field.kind == "int" else 10.0 ** -min(2, field.places())))

    def textFromValue(self, value: float) -> str:
        """Without trailing zeros; None in long if there is room."""
        if self.none_texts is None:
            return self._field.number(value)
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

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Leave the wheel to the dock unless the box has the focus."""
        if event is not None and not self.hasFocus():
            event.ignore()
            return
        super().wheelEvent(event)

    def refresh(self) -> None:
        """Write the text anew."""
        self.lineEdit().setText(f"{self.textFromValue(self.value())}{self.suffix()}")
        if self.none_texts is not None:
            self.lineEdit().setCursorPosition(0)


class NumberEditor(Editor):
    """A float or an integer, with its unit."""

    def __init__(self, field: Field, parent: QWidget) -> None:
        box = NumberBox(field)
        super().__init__(field, box, parent)
        self.needs_box = field.optional
        self._box = box
        self._last: Any = None  # the last value that was a number
        if not field.optional:
            self.value = self._number(box.value())
        self.show()
        box.valueChanged.connect(lambda value: self._take(self._number(value)))

    def user_set_automatic(self, automatic: bool) -> None:
        """Put None, or the last number known, in the place of the value."""
        if automatic:
            self._last, value = self.value, None
        else:
            candidates = (self._last, self.automatic, max(0.0, self._box.minimum()))
            value = self._number(next(number for number in candidates if number is not None))
        self._take(value)
        self.show()
        if not automatic:
            self._box.setFocus()
            self._box.selectAll()

    def show(self) -> None:
        """Write the number with its unit, or what stands for None."""
        box = self._box
        with QSignalBlocker(box):
            short = self.field.auto_text if self.automatic is None else self._as_text(self.automatic)
            box.none_texts = (self.automatic_text(), short) if self.value is None else None
            symbols = QAbstractSpinBox.ButtonSymbols  # no buttons where there is nothing to step
            box.setButtonSymbols(symbols.NoButtons if self.value is None else symbols.UpDownArrows)
            box.setSuffix(f" {self.field.unit}" if self.field.unit and self.value is not None else "")
            if self.value is not None:
                # A value from a recipe is shown as it is, even beyond the usual range.
                box.setRange(min(box.minimum(), self.value), max(box.maximum(), self.value))
                box.setValue(self.value)
            box.refresh()
        box.setEnabled(self._enabled and self.value is not None)

    def _number(self, value: float) -> float | int:
        return round(value) if self.field.kind == "int" else float(value)

    def _as_text(self, value: Any) -> str:
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            return str(value)
        return f"{self.field.number(value)}{' ' if self.field.unit else ''}{self.field.unit}"


class ComboBox(QComboBox):
    """A list that leaves the wheel to the dock unless it has the focus, and is as narrow as need be."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Leave the wheel to the dock unless the list has the focus."""
        if event is not None and not self.hasFocus():
            event.ignore()
            return
        super().wheelEvent(event)


class ChoiceEditor(Editor):
    """One of several values; an optional one, or an optional yes or no, has "automatic" as its first entry."""

    def __init__(self, field: Field, parent: QWidget) -> None:
        self._box = ComboBox()
        super().__init__(field, self._box, parent)
        self._pairs: list[tuple[Any, str]] = [(True, "yes"), (False, "no")] if field.kind == "bool" else field.pairs()
        if field.optional:
            self._pairs.insert(0, (None, field.auto_text))
        for _, text in self._pairs:
            self._box.addItem(text)
        self.value = self._pairs[0][0] if self._pairs else None
        self._box.activated.connect(lambda index: self._take(self._pairs[index][0]))

    def show(self) -> None:
        """Select the entry of the value; one that was not foreseen is added."""
        if self.field.optional:
            self._box.setItemText(0, self.automatic_text())
        values = [value for value, _ in self._pairs]
        if self.value not in values:
            self._pairs.append((self.value, str(self.value)))
            self._box.addItem(str(self.value))
            values.append(self.value)
        self._box.setCurrentIndex(values.index(self.value))
        self._box.setEnabled(self._enabled)

    def _as_text(self, value: Any) -> str:
        return next((text for other, text in self._pairs if other == value), str(value))


class BoolEditor(Editor):
    """Yes or no."""

    def __init__(self, field: Field, parent: QWidget) -> None:
        self._box = QCheckBox()
        super().__init__(field, self._box, parent)
        self.value = False
        self._box.clicked.connect(self._take)

    def show(self) -> None:
        """Tick the box or clear it."""
        self._box.setChecked(bool(self.value))
        self._box.setEnabled(self._enabled)


class TextEditor(Editor):
    """A line of text; an empty optional one is automatic."""

    def __init__(self, field: Field, parent: QWidget) -> None:
        self._line = QLineEdit()
        super().__init__(field, self._line, parent)
        self.value = None if field.optional else ""
        self.show()
        self._line.editingFinished.connect(self._on_finished)

    def _on_finished(self) -> None:
        text = self._line.text()
        self._take(None if self.field.optional and not text.strip() else text)

    def show(self) -> None:
        """Write the text, greyed what stands for None."""
        self._line.setPlaceholderText(self.automatic_text() if self.field.optional else "")
        if self._line.text() != (self.value or ""):
            self._line.setText(self.value or "")
        self._line.setEnabled(self._enabled)


def make_editor(field: Field, parent: QWidget) -> Editor:
    """The editor for a kind of field."""
    if field.kind in ("float", "int"):
        return NumberEditor(field, parent)
    if field.kind == "choice" or (field.kind == "bool" and field.optional):
        return ChoiceEditor(field, parent)
    if field.kind == "bool":
        return BoolEditor(field, parent)
    if field.kind == "text":
        return TextEditor(field, parent)
    raise ValueError(f"field {field.name!r} is of unknown kind {field.kind!r}")
