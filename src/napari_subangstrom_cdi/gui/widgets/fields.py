"""Rows of parameters as their dataclasses declare them: caption, value with unit, what it means, what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QPixmap, QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_subangstrom_cdi.parameters import Declared

from .editors import Number, editor_of, help_of
from .style import QuietLabel, StatusLine

_WRONG = "QAbstractSpinBox, QComboBox, QLineEdit, QCheckBox { border: 1px solid #e5484d; }"
_NO_LIMIT = 16777215  # Qt's own for the height of a widget


class FieldForm(QWidget):
    """Rows of parameters, the advanced ones folded away.

    ``changed(name, value)`` is emitted when the user has entered another value, not while typing and
    not for `set_values`; ``given_back(name)`` when the button beside a row's note was pressed.

    Parameters
    ----------
    fields : sequence of Declared
        The rows, the advanced ones by their declaration under a fold; magicgui's own containers have neither a line
        for what is wrong nor a place for "auto".
    """

    changed = Signal(str, object)
    given_back = Signal(str)

    def __init__(self, fields: Sequence[Declared], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: dict[str, _Row] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._grids = [self._add_grid(layout, [known for known in fields if not known.parameter.advanced])]
        advanced = [known for known in fields if known.parameter.advanced]
        self._advanced_names = frozenset(known.name for known in advanced)
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

    def set_note(self, name: str, text: str, tooltip: str = "", button: str = "") -> None:
        """Say something quietly under a row, such as where its value is from; with a button if that has a text."""
        self._rows[name].set_note(text, tooltip, button, lambda: self.given_back.emit(name))

    def note(self, name: str) -> str:
        """What stands quietly under a row."""
        return self._rows[name].note

    def set_enabled(self, name: str, enabled: bool, why: str = "") -> None:
        """Grey a row that has no effect at present, and say why, or not."""
        self._rows[name].set_enabled(enabled, why)

    def set_advanced_open(self, is_open: bool) -> None:
        """Unfold or fold the advanced rows."""
        if self._advanced is not None:
            self._advanced.button.setChecked(is_open)

    def editor(self, name: str) -> QWidget:
        """The widget that edits a parameter; its object name is the parameter's."""
        native: QWidget = self._rows[name].editor.native
        return native

    def _add_grid(self, layout: QVBoxLayout, fields: Sequence[Declared]) -> QGridLayout:
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        grid.setVerticalSpacing(max(2, self.fontMetrics().height() // 4))
        layout.addLayout(grid)
        for i, known in enumerate(fields):
            if known.name in self._rows:
                raise ValueError(f"two fields are named {known.name!r}")
            self._rows[known.name] = row = _Row(known)
            row.add_to(grid, 3 * i)
            row.editor.changed.connect(partial(self._on_edited, known.name))
        return grid

    def _on_edited(self, name: str, value: Any) -> None:
        self._rows[name].set_error("")
        self.changed.emit(name, value)


class _Row:
    """Label, editor, box for "automatic", and the sentence that says what is wrong."""

    def __init__(self, known: Declared) -> None:
        self.editor = editor_of(known)
        self.label = QLabel(known.parameter.caption)
        self.label.setBuddy(self.editor.native)
        self._error = StatusLine()
        self._error.setObjectName(f"{known.name}_error")
        self._note: _Note | None = None
        self._place: tuple[QGridLayout, int] | None = None
        self._auto = _auto_box(self.editor) if isinstance(self.editor, Number) and known.optional else None
        self.editor.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.set_enabled(True, "")

    def add_to(self, grid: QGridLayout, row: int) -> None:
        grid.addWidget(self.label, row, 0)
        grid.addWidget(self.editor.native, row, 1, 1, 1 if self._auto else 2)
        if self._auto:
            grid.addWidget(self._auto, row, 2)
        grid.addWidget(self._error, row + 2, 0, 1, 3)
        self._place = (grid, row + 1)

    def show_value(self, value: Any) -> None:
        self.editor.value = value
        if self._auto:
            self._auto.setChecked(value is None)
        self.set_error("")

    def set_error(self, text: str) -> None:
        self._error.show_message(text, "error")
        self.editor.native.setStyleSheet(_WRONG if text else "")

    @property
    def note(self) -> str:
        return "" if self._note is None else self._note.text.text()

    def set_note(self, text: str, tooltip: str, button: str, pressed: Callable[[], None]) -> None:
        if self._note is None:
            if not text or self._place is None:
                return
            self._note = _Note(self.editor.known, pressed)
            grid, row = self._place
            grid.addWidget(self._note, row, 0, 1, 3)
        self._note.show_text(text, tooltip, button)

    def set_enabled(self, enabled: bool, why: str) -> None:
        self.editor.allow(enabled)
        for beside in (self.label, self._auto):
            if beside is not None:
                beside.setEnabled(enabled)
        for widget in (self.label, self.editor.native):
            widget.setToolTip(help_of(self.editor.known) + (f"<br><i>{escape(why)}</i>" if why else ""))


class _Note(QWidget):
    """A quiet text under a row, and a button beside it; made when there is one to show."""

    def __init__(self, known: Declared, pressed: Callable[[], None]) -> None:
        super().__init__()
        self.text = QuietLabel()
        self.text.setObjectName(f"{known.name}_note")
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.button = QToolButton()
        self.button.setObjectName(f"{known.name}_reset")
        self.button.clicked.connect(lambda: pressed())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.text, stretch=1)
        row.addWidget(self.button)
        self._caption = known.parameter.caption

    def show_text(self, text: str, tooltip: str, button: str) -> None:
        self.setVisible(bool(text))
        self.text.setText(text)
        self.button.setVisible(bool(button))
        self.button.setText(button)
        self.button.setAccessibleName(f"{self._caption}: {button}")
        for widget in (self.text, self.button):
            widget.setToolTip(f"<qt>{escape(tooltip)}</qt>" if tooltip else "")  # wrapped


def _auto_box(editor: Number) -> QCheckBox:
    caption, word = editor.known.parameter.caption, editor.known.parameter.automatic
    box = QCheckBox("auto")
    box.setObjectName(f"{editor.known.name}_auto")
    box.setAccessibleName(f"{caption}: {word}")
    box.setToolTip(f"{word}: let the program find it")
    box.setChecked(editor.value is None)
    box.clicked.connect(editor.set_to_automatic)
    return box


class Fold(QCollapsible):
    """A title to click on, and below it what it opens; folded at first.

    Superqt's own keeps to the height that the inside needed when it was opened, and hides it by a height of nothing:
    here the inside may grow, as by a line that says what is wrong, and takes no focus while it is folded away.
    """

    def __init__(self, title: str, inside: QWidget, parent: QWidget | None = None) -> None:
        nothing = QPixmap(1, 1)  # superqt's icons keep the colour of the theme in which they are made
        nothing.fill(Qt.GlobalColor.transparent)
        super().__init__(title, parent, QIcon(nothing), QIcon(nothing))
        self.inside, self._title = inside, title
        self.button = self.toggleButton()
        self.button.setStyleSheet(
            "QPushButton { border: none; background: transparent; text-align: left; padding: 2px; }"
            "QPushButton:focus { text-decoration: underline; }"
        )
        self.button.setIconSize(QSize(1, 1))
        self.setDuration(0)
        self.setContent(inside)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(2)
        self.toggled.connect(self._on_toggled)
        self._on_toggled(False)

    def _on_toggled(self, is_open: bool) -> None:
        self.setText(f"{'▾' if is_open else '▸'} {self._title}")
        self.inside.setMaximumHeight(_NO_LIMIT)
        self.inside.setVisible(is_open)
