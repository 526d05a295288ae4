"""The columns of the schedule table: how a stage is shown, what an entry changes, and the editors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from qtpy.QtCore import QAbstractItemModel, QLocale, QModelIndex, QObject, QPoint, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSpinBox,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from napari_subangstrom_cdi.core.phasing.schedule import CONSTRAINTS, UPDATES, Stage
from napari_subangstrom_cdi.errors import InputError

UPDATE_WORDS: Final = {
    "er": "error reduction",
    "hio": "hybrid input-output",
    "raar": "relaxed averaged alternating reflections",
    "difference-map": "difference map",
}
CONSTRAINT_WORDS: Final = {
    "image": "pull the low band to the image",
    "real": "take the real part",
    "non-negative": "take the real part, and nothing below 0",
    "low-density": "remove what lies below the density threshold",
    "flip": "turn the sign of what lies below the density threshold (update 'er' only)",
    "support": "nothing outside the support (always needed, usually last)",
}


@dataclass(frozen=True)
class Column:
    """A column: the field of `Stage` behind it, its heading, help, text, and where it has an effect."""

    field: str
    heading: str
    tooltip: str
    show: Callable[[Stage], str]
    used: Callable[[Stage], bool] = lambda stage: True
    why_unused: str = ""


def _arrows(stage: Stage) -> str:
    return " → ".join(stage.constraints)


def _limits(stage: Stage) -> str:
    limits = stage.q_limits_per_angstrom
    return "" if limits is None else " – ".join(f"{limit:g}" for limit in limits)


COLUMNS: Final = (
    Column("name", "Stage", "Name of the stage, shown beside the R-factor", lambda stage: stage.name),
    Column("iterations", "Iter.", "Number of iterations, 0 or more", lambda stage: str(stage.iterations)),
    Column(
        "update",
        "Update",
        "Update rule: " + "; ".join(f"{name} = {words}" for name, words in UPDATE_WORDS.items()),
        lambda stage: stage.update,
    ),
    Column("constraints", "Constraints", "Constraints on the object, in the order in which they act", _arrows),
    Column(
        "beta",
        "β",
        "Feedback of hio, raar and difference-map, above 0 and at most 1",
        lambda stage: f"{stage.beta:g}",
        lambda stage: stage.update != "er",
        "error reduction has no feedback",
    ),
    Column(
        "image_weight",
        "Image wt.",
        "Image weight: how far 'image' pulls the low band to the image's, 0 to 1",
        lambda stage: f"{stage.image_weight:g}",
        lambda stage: "image" in stage.constraints,
        "there is no 'image' among the constraints",
    ),
    Column(
        "density_threshold",
        "Density",
        "Density threshold of 'low-density' and 'flip', in standard deviations of the estimate in the support",
        lambda stage: f"{stage.density_threshold:g}",
        lambda stage: bool({"low-density", "flip"} & set(stage.constraints)),
        "there is neither 'low-density' nor 'flip' among the constraints",
    ),
    Column(
        "q_limits_per_angstrom",
        "q limits (Å⁻¹)",
        "Amplitudes are demanded up to a |q| that grows from the first number to the second during the stage,"
        " and are upper limits beyond; empty: all are demanded",
        _limits,
    ),
)


def changed_stage(stage: Stage, column: Column, entry: Any) -> Stage:
    """The stage with an entry taken over; raises InputError if it is no good."""
    if column.field == "q_limits_per_angstrom":
        entry = parse_limits(str(entry), stage.name)
    elif column.field == "name":
        entry = str(entry).strip()
        if not entry:
            raise InputError("an empty name", where=f"stage {stage.name!r}", mend="give the stage a name")
    return replace(stage, **{column.field: entry})


def parse_limits(text: str, stage: str) -> tuple[float, float] | None:
    """Two numbers, or one for both, apart from each other by anything sensible; None for no text."""
    if not text.strip():
        return None
    words = [word for word in re.split(r"(?:[\s–—;,…]|(?<=[\d\s])-|\bto\b)+", text.strip()) if word]
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise InputError(
            f"q limits {text!r}",
            where=f"stage {stage!r}",
            mend="give two numbers in Å⁻¹, such as 0.4 – 1.2, or nothing",
        )
    return numbers[0], numbers[-1]


class CellDelegate(QStyledItemDelegate):
    """Editors in the cells: a spin box, a list, or a line of text."""

    def createEditor(self, parent: QWidget | None, option: QStyleOptionViewItem, index: QModelIndex) -> QWidget | None:
        """The editor of a column."""
        field = COLUMNS[index.column()].field
        if field == "iterations":
            whole = QSpinBox(parent)
            whole.setRange(0, 1_000_000)
            return _plain(whole)
        if field in ("beta", "image_weight", "density_threshold"):
            # wider than what is allowed: the stage itself says what is wrong with a value
            number = QDoubleSpinBox(parent)
            number.setLocale(QLocale.c())
            number.setDecimals(3)
            number.setRange(-100, 100)
            number.setSingleStep(0.05)
            return _plain(number)
        if field == "update":
            box = QComboBox(parent)
            for name in UPDATES:
                box.addItem(name)
                box.setItemData(box.count() - 1, UPDATE_WORDS.get(name, ""), Qt.ItemDataRole.ToolTipRole)
            box.activated.connect(lambda _: self._finish(box))
            return box
        editor: QWidget | None = super().createEditor(parent, option, index)
        return editor

    def setEditorData(self, editor: QWidget | None, index: QModelIndex) -> None:
        """Fill an editor."""
        value = index.data(Qt.ItemDataRole.EditRole)
        if isinstance(editor, QComboBox):
            editor.setCurrentText(str(value))
        elif isinstance(editor, (QSpinBox, QDoubleSpinBox)):
            editor.setValue(value)
            editor.selectAll()
        else:
            super().setEditorData(editor, index)

    def setModelData(self, editor: QWidget | None, model: QAbstractItemModel | None, index: QModelIndex) -> None:
        """Hand an entry to the model."""
        if model is None:
            return
        if isinstance(editor, QComboBox):
            model.setData(index, editor.currentText())
        elif isinstance(editor, (QSpinBox, QDoubleSpinBox)):
            editor.interpretText()
            model.setData(index, editor.value())
        else:
            super().setModelData(editor, model, index)

    def _finish(self, editor: QWidget) -> None:
        self.commitData.emit(editor)
        self.closeEditor.emit(editor)


def _plain(box: QSpinBox | QDoubleSpinBox) -> QSpinBox | QDoubleSpinBox:
    """A spin box that fits into a cell."""
    box.setButtonSymbols(box.ButtonSymbols.NoButtons)
    box.setFrame(False)
    box.setStyleSheet("QAbstractSpinBox { min-width: 0; padding: 0 2px; }")
    return box


class ConstraintsPopup(QFrame):
    """The constraints as a list to tick and to bring into order; ``accepted`` gives those ticked."""

    accepted = Signal(tuple)

    def __init__(self, constraints: tuple[str, ...], parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("constraints_popup")
        self._before = constraints
        self._cancelled = False
        self.list = QListWidget()
        self.list.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.list.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for name in (*constraints, *(name for name in CONSTRAINTS if name not in constraints)):
            item = QListWidgetItem(name)
            item.setToolTip(CONSTRAINT_WORDS.get(name, ""))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if name in constraints else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        line = self.fontMetrics().height()
        self.list.setFixedHeight(self.list.sizeHintForRow(0) * self.list.count() + line // 2)
        self.list.setMinimumWidth(self.list.sizeHintForColumn(0) + 2 * line)
        self._lay_out()
        self.setStyleSheet("ConstraintsPopup { border: 1px solid palette(mid); }")

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        for name, text, tooltip, step in (
            ("constraint_up", "↑", "Earlier (Ctrl+Up)", -1),
            ("constraint_down", "↓", "Later (Ctrl+Down)", 1),
        ):
            button = QPushButton()
            button.setObjectName(name)
            button.setText(text)
            button.setToolTip(tooltip)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _=False, step=step: self.move_current(step))
            row.addWidget(button)
        done = QPushButton("Done")
        done.setObjectName("constraints_done")
        done.clicked.connect(self.close)
        row.addStretch(1)
        row.addWidget(done)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.list)
        layout.addLayout(row)
        self.list.installEventFilter(self)

    def constraints(self) -> tuple[str, ...]:
        """The constraints ticked, in their order."""
        items = (self.list.item(row) for row in range(self.list.count()))
        return tuple(item.text() for item in items if item.checkState() == Qt.CheckState.Checked)

    def move_current(self, step: int) -> None:
        """Move the current constraint earlier (-1) or later (1)."""
        row = self.list.currentRow()
        if 0 <= row + step < self.list.count():
            item = self.list.takeItem(row)
            self.list.insertItem(row + step, item)
            self.list.setCurrentRow(row + step)

    def open_at(self, position: QPoint) -> None:
        """Open with the upper left corner at a point of the screen, moved so that all is seen."""
        self.adjustSize()
        screen = self.screen().availableGeometry()
        x = min(position.x(), screen.right() - self.width())
        y = min(position.y(), screen.bottom() - self.height())
        self.move(max(screen.left(), x), max(screen.top(), y))
        self.show()
        self.list.setFocus()

    def eventFilter(self, watched: QObject | None, event: Any) -> bool:
        """Enter takes the list over, Escape drops it, Ctrl with an arrow moves."""
        if isinstance(event, QKeyEvent) and event.type() == event.Type.KeyPress:
            key = event.key()
            if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.close()
                return True
            if key == Qt.Key.Key_Escape:
                self._cancelled = True
                self.close()
                return True
            if event.modifiers() & Qt.KeyboardModifier.ControlModifier and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
                self.move_current(-1 if key == Qt.Key.Key_Up else 1)
                return True
        return bool(super().eventFilter(watched, event))

    def closeEvent(self, event: Any) -> None:
        """A click elsewhere takes the list over, as Enter does."""
        super().closeEvent(event)
        if not self._cancelled and self.constraints() != self._before:
            self._before = self.constraints()
            self.accepted.emit(self._before)
