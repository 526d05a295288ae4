"""Rows of parameters made from plain descriptions: label, value with unit, what it means, what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from qtpy.QtCore import Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from .field_editors import Editor, make_editor
from .fold import Fold
from .style import StatusLine

Kind = Literal["float", "int", "choice", "bool", "text"]


@dataclass(frozen=True)
class Field:
    """One parameter.

    Parameters
    ----------
    name : str
        Key in `FieldForm.values`, and object name of the editor.
    label : str
        As shown, with the symbol of the paper where there is one.
    kind : {'float', 'int', 'choice', 'bool', 'text'}
        Kind of value.
    unit, tooltip : str
        Unit behind the value; one or two sentences that say what the parameter does.
    minimum, maximum, step : float, optional
        Range of a number and the step of its arrows.
    choices : sequence
        Values of a choice, or pairs ``(value, text)``.
    decimals : int, optional
        Digits shown behind the point of a float; the value itself is kept whole. By default 4.
    optional : bool
        The value may be None, shown as ``auto_text`` with the value found automatically.
    auto_text : str
        What None is called.
    """

    name: str
    label: str
    kind: Kind
    unit: str = ""
    tooltip: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: Sequence[Any] = ()
    decimals: int | None = None
    optional: bool = False
    auto_text: str = "automatic"

    def pairs(self) -> list[tuple[Any, str]]:
        """Values of the choice with the text for each."""
        return [choice if isinstance(choice, tuple) else (choice, str(choice)) for choice in self.choices]

    def number(self, value: float) -> str:
        """A value as it is shown, without its unit."""
        if self.kind == "int":
            return f"{value:.0f}"
        places = self.places()
        text = f"{value:.{places}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text

    def places(self) -> int:
        """Digits behind the point of a float."""
        return 4 if self.decimals is None else self.decimals

    def help(self) -> str:
        """The tooltip: name and unit, what it does, range, what automatic means."""
        unit = f" ({escape(self.unit)})" if self.unit else ""
        lines = [f"<b>{escape(self.label)}</b>{unit}"]
        if self.tooltip:
            lines.append(escape(self.tooltip))
        low, high = self.minimum, self.maximum
        if low is not None and high is not None:
            lines.append(f"Range: {self.number(low)} to {self.number(high)}{_with_unit(self.unit)}")
        elif low is not None:
            lines.append(f"Range: {self.number(low)}{_with_unit(self.unit)} or more")
        elif high is not None:
            lines.append(f"Range: {self.number(high)}{_with_unit(self.unit)} or less")
        if self.optional:
            lines.append(f"May be left {escape(self.auto_text)}.")
        return "<br>".join(lines)


class FieldForm(QWidget):
    """Rows of parameters, the advanced ones folded away.

    ``changed(name, value)`` is emitted when the user has entered another value, not while typing and
    not for `set_values`.
    """

    changed = Signal(str, object)

    def __init__(
        self, fields: Sequence[Field], *, advanced: Sequence[Field] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._rows: dict[str, _Row] = {}
        self._advanced_names = frozenset(field.name for field in advanced)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._grids = [self._add_grid(layout, fields)]
        self._advanced: Fold | None = None
        if advanced:
            body = QWidget()
            body_layout = QVBoxLayout(body)
            body_layout.setContentsMargins(0, 0, 0, 0)
            self._grids.append(self._add_grid(body_layout, advanced))
            self._advanced = Fold("Advanced", body)
            self._advanced.setObjectName("advanced")
            self._advanced.button.setObjectName("advanced_button")
            layout.addWidget(self._advanced)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Bring the editors of both parts into one column, now that the fonts are known."""
        width = max((row.label.sizeHint().width() for row in self._rows.values()), default=0)
        for grid in self._grids:
            grid.setColumnMinimumWidth(0, width)
        super().showEvent(event)

    def values(self) -> dict[str, Any]:
        """Value of each parameter; None where an optional one is automatic."""
        return {name: row.editor.value for name, row in self._rows.items()}

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show these values, exactly; emits nothing. Rows not named keep theirs."""
        unknown = values.keys() - self._rows.keys()
        if unknown:
            raise KeyError(f"no such field: {', '.join(sorted(unknown))}")
        for name, value in values.items():
            self._rows[name].show_value(value)

    def set_automatic(self, name: str, value: Any) -> None:
        """Say what the program found for an optional parameter, None if that is not known."""
        self._rows[name].editor.set_automatic(value)

    def set_error(self, name: str, text: str) -> None:
        """Mark a row as wrong, with a sentence under it, until the next change; an empty text clears it."""
        self._rows[name].set_error(text)
        if text and name in self._advanced_names:
            self.set_advanced_open(True)

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Grey a row that has no effect at present."""
        self._rows[name].set_enabled(enabled)

    def set_advanced_open(self, is_open: bool) -> None:
        """Unfold or fold the advanced rows."""
        if self._advanced is not None:
            self._advanced.button.setChecked(is_open)

    def editor(self, name: str) -> QWidget:
        """The widget that edits a parameter; its object name is the parameter's."""
        return self._rows[name].editor.widget

    def _add_grid(self, layout: QVBoxLayout, fields: Sequence[Field]) -> QGridLayout:
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        grid.setVerticalSpacing(max(2, self.fontMetrics().height() // 4))
        layout.addLayout(grid)
        for i, field in enumerate(fields):
            if field.name in self._rows:
                raise ValueError(f"two fields are named {field.name!r}")
            self._rows[field.name] = row = _Row(field, self)
            row.add_to(grid, 2 * i)
            row.editor.edited.connect(lambda value, name=field.name: self._on_edited(name, value))
        return grid

    def _on_edited(self, name: str, value: Any) -> None:
        self._rows[name].set_error("")
        self.changed.emit(name, value)


class _Row:
    """Label, editor, box for "automatic", and the sentence that says what is wrong."""

    def __init__(self, field: Field, parent: QWidget) -> None:
        self.editor: Editor = make_editor(field, parent)
        self.label = QLabel(field.label)
        self.label.setBuddy(self.editor.widget)
        self._error = StatusLine()
        self._error.setObjectName(f"{field.name}_error")
        self._auto: QCheckBox | None = None
        if self.editor.needs_box:
            self._auto = QCheckBox("auto")
            self._auto.setObjectName(f"{field.name}_auto")
            self._auto.setAccessibleName(f"{field.label}: {field.auto_text}")
            self._auto.setToolTip(f"{field.auto_text}: let the program find it")
            self._auto.setChecked(True)
            self._auto.clicked.connect(self.editor.user_set_automatic)
        for widget in (self.label, self.editor.widget):
            widget.setToolTip(field.help())
        self.editor.widget.setObjectName(field.name)
        self.editor.widget.setAccessibleName(field.label)
        self.editor.widget.setAccessibleDescription(field.tooltip)
        self.editor.widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def add_to(self, grid: QGridLayout, row: int) -> None:
        grid.addWidget(self.label, row, 0)
        grid.addWidget(self.editor.widget, row, 1, 1, 1 if self._auto else 2)
        if self._auto:
            grid.addWidget(self._auto, row, 2)
        grid.addWidget(self._error, row + 1, 0, 1, 3)

    def show_value(self, value: Any) -> None:
        self.editor.set_value(value)
        if self._auto:
            self._auto.setChecked(value is None)
        self.set_error("")

    def set_error(self, text: str) -> None:
        self._error.show_message(text, "error")
        self.editor.widget.setStyleSheet(_WRONG if text else "")

    def set_enabled(self, enabled: bool) -> None:
        self.label.setEnabled(enabled)
        self.editor.set_enabled(enabled)
        if self._auto:
            self._auto.setEnabled(enabled)


_WRONG = "QAbstractSpinBox, QComboBox, QLineEdit, QCheckBox { border: 1px solid #e5484d; }"


def _with_unit(unit: str) -> str:
    return f" {escape(unit)}" if unit else ""
