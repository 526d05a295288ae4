"""The schedule as a table to edit: one row a stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QEvent, QModelIndex, QObject, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QHBoxLayout, QPushButton, QSizePolicy, QTableView, QVBoxLayout, QWidget

from napari_subangstrom_cdi.core.phasing.schedule import Schedule, Stage
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.widgets.style import QuietLabel, StatusLine, colours_of

from .cells import COLUMNS, CellDelegate, changed_stage, has_beta_alone
from .popups import CellPopup, ConstraintsPopup, ParametersPopup

_NO_INDEX = QModelIndex()
_MOST_UNDO = 100
_CONSTRAINTS, _BETA = (
    next(i for i, column in enumerate(COLUMNS) if column.field == field) for field in ("constraints", "beta")
)


class ScheduleTable(QWidget):
    """An editable schedule, with undo of its own.

    ``changed()`` is emitted when the user has changed the schedule, not for `set_schedule`. An entry that
    a stage cannot take is refused with a sentence under the table, and the last valid value stays.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preset: Schedule = ()
        self._undo: list[Schedule] = []
        self._redo: list[Schedule] = []
        self._model = _Model(self)
        self._model.entered.connect(self._apply)
        self._model.refused.connect(self._on_refused)
        self._view = _View(self)
        self._view.setModel(self._model)
        self._view.setItemDelegate(CellDelegate(self._view))
        self._view.popup_wanted.connect(self._open_popup)
        self._view.installEventFilter(self)
        self._view.selectionModel().currentRowChanged.connect(self._update_buttons)
        self._status = StatusLine()
        self._status.setObjectName("schedule_status")
        self._total = QuietLabel()
        self._total.setObjectName("schedule_total")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)
        layout.addLayout(self._make_buttons())
        layout.addWidget(self._total)
        layout.addWidget(self._status)
        layout.addStretch(1)
        self._total.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._after_change()

    # -- schedule ------------------------------------------------------------------------------

    def schedule(self) -> Schedule:
        """The schedule as it stands; always valid."""
        return self._model.schedule

    def set_schedule(self, schedule: Schedule) -> None:
        """Show a schedule; emits nothing, and forgets the undo steps if it is another."""
        schedule = tuple(schedule)
        if schedule == self._model.schedule:
            return
        self._undo.clear()
        self._redo.clear()
        self._model.set_schedule(schedule)
        self._after_change()

    def set_preset(self, schedule: Schedule, name: str = "") -> None:
        """Say what "Back to preset" brings back."""
        self._preset = tuple(schedule)
        self._buttons["preset"].setToolTip(
            f"Back to the schedule ‘{name}’ as it comes" if name else "Back to the schedule as it comes"
        )
        self._update_buttons()

    def undo(self) -> None:
        """Take back the last change."""
        self._travel(self._undo, self._redo)

    def redo(self) -> None:
        """Bring back what was taken back."""
        self._travel(self._redo, self._undo)

    def _travel(self, source: list[Schedule], target: list[Schedule]) -> None:
        if source:
            target.append(self.schedule())
            self._model.set_schedule(source.pop())
            self._after_change()
            self.changed.emit()

    def _apply(self, schedule: Schedule, row: int) -> None:
        """Take a schedule that the user has made."""
        self._status.clear_message()
        self._model.set_wrong_row(None)
        if schedule == self.schedule():
            return
        self._undo.append(self.schedule())
        del self._undo[:-_MOST_UNDO]
        self._redo.clear()
        column = max(0, self._view.currentIndex().column())
        self._model.set_schedule(schedule)
        self._view.setCurrentIndex(self._model.index(min(row, len(schedule) - 1), column))
        self._after_change()
        self.changed.emit()

    def _after_change(self) -> None:
        self._status.clear_message()
        schedule = self.schedule()
        stages = "1 stage" if len(schedule) == 1 else f"{len(schedule)} stages"
        self._total.setText(f"{stages}, {sum(stage.iterations for stage in schedule)} iterations for each member")
        self._view.fit()
        self._update_buttons()

    def _on_refused(self, row: int, text: str) -> None:
        self._model.set_wrong_row(row, text)
        self._status.show_message(text, "error")

    # -- buttons -------------------------------------------------------------------------------

    def _make_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(max(2, self.fontMetrics().height() // 5))
        self._buttons: dict[str, QPushButton] = {}
        for name, text, tooltip, slot in (
            ("add", "Add", "Add a stage after the current one", self._add),
            ("duplicate", "Duplicate", "Add a copy of the current stage after it", self._duplicate),
            ("remove", "Remove", "Remove the current stage (Delete)", self._remove),
            ("up", "↑", "Move the current stage earlier", lambda: self._move(-1)),
            ("down", "↓", "Move the current stage later", lambda: self._move(1)),
            ("preset", "Reset", "Back to the schedule as it comes", self._back_to_preset),
        ):
            button = QPushButton()
            button.setObjectName(f"schedule_{name}")
            button.setText(text)
            button.setToolTip(tooltip)
            button.setAccessibleName(tooltip)
            button.setStyleSheet("QPushButton { padding: 0.25em 0.35em; }")
            button.clicked.connect(slot)
            if name == "preset":
                row.addStretch(1)
            row.addWidget(button)
            self._buttons[name] = button
        return row

    def _update_buttons(self, *_: Any) -> None:
        row, count = self._row(), len(self.schedule())
        self._buttons["duplicate"].setEnabled(row is not None)
        self._buttons["remove"].setEnabled(row is not None and count > 1)
        self._buttons["up"].setEnabled(row is not None and row > 0)
        self._buttons["down"].setEnabled(row is not None and row < count - 1)
        self._buttons["preset"].setEnabled(bool(self._preset) and self._preset != self.schedule())

    def _row(self) -> int | None:
        index = self._view.currentIndex()
        return index.row() if index.isValid() else None

    def _insert(self, stage: Stage) -> None:
        current = self._row()
        row = len(self.schedule()) if current is None else current + 1
        self._apply((*self.schedule()[:row], stage, *self.schedule()[row:]), row)

    def _add(self) -> None:
        self._insert(Stage(self._free_name("stage"), 20))

    def _duplicate(self) -> None:
        row = self._row()
        if row is not None:
            stage = self.schedule()[row]
            self._insert(replace(stage, name=self._free_name(stage.name)))

    def _free_name(self, name: str) -> str:
        names = {stage.name for stage in self.schedule()}
        stem, _, last = name.rpartition(" ")
        stem = stem if last.isdigit() and stem else name
        tries = (stem, *(f"{stem} {i}" for i in range(2, len(names) + 3)))
        return next(text for text in tries if text not in names)

    def _remove(self) -> None:
        row = self._row()
        if row is not None and len(self.schedule()) > 1:
            self._apply((*self.schedule()[:row], *self.schedule()[row + 1 :]), row)

    def _move(self, step: int) -> None:
        row = self._row()
        if row is not None and 0 <= row + step < len(self.schedule()):
            stages = list(self.schedule())
            stages.insert(row + step, stages.pop(row))
            self._apply(tuple(stages), row + step)

    def _back_to_preset(self) -> None:
        if self._preset:
            self._apply(self._preset, 0)

    # -- editing -------------------------------------------------------------------------------

    def _open_popup(self, index: QModelIndex) -> None:
        row, column = index.row(), index.column()
        stage = self.schedule()[row]
        popup: CellPopup
        if column == _CONSTRAINTS:
            popup = ConstraintsPopup(stage.constraints, self)
        else:
            popup = ParametersPopup(stage.update, self)
        popup.accepted.connect(lambda entry: self._model.enter(row, column, entry))
        corner = self._view.visualRect(index).bottomLeft()
        popup.open_at(self._view.viewport().mapToGlobal(corner))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Undo, redo and delete with keys, before the window's own shortcuts see them."""
        kinds = (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress)
        if isinstance(event, QKeyEvent) and event.type() in kinds:
            standard = QKeySequence.StandardKey
            slots = ((standard.Undo, self.undo), (standard.Redo, self.redo), (standard.Delete, self._remove))
            is_redo = event.keyCombination().toCombined() == _CTRL_Y
            slot = self.redo if is_redo else next((slot for key, slot in slots if event.matches(key)), None)
            if slot is not None:
                event.accept()
                if event.type() == QEvent.Type.KeyPress:
                    slot()
                return True
        return bool(super().eventFilter(watched, event))


_CTRL_Y = QKeySequence("Ctrl+Y")[0].toCombined()


class _View(QTableView):
    """The table itself: cells that fit, and a popup in place of an editor where there is more than one value."""

    popup_wanted = Signal(QModelIndex)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("schedule")
        self.setAccessibleName("Schedule: one row a stage")
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
            | QAbstractItemView.EditTrigger.AnyKeyPressed
        )
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setTabKeyNavigation(False)  # Tab leaves the table, arrows move in it
        self.verticalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignCenter)

    def edit(self, index: QModelIndex, trigger: Any = None, event: Any = None) -> bool:
        """Open a popup where constraints, or several parameters, are to be edited."""
        if trigger is None:
            super().edit(index)
            return True
        if index.isValid() and self._has_popup(index) and self._opens(trigger, event):
            self.popup_wanted.emit(index)
            return True
        return bool(super().edit(index, trigger, event))

    def _has_popup(self, index: QModelIndex) -> bool:
        """Whether there is more than one value in the cell; Qt would edit β alone in it."""
        model: Any = self.model()
        stage = model.schedule[index.row()]
        editable = bool(model.flags(index) & Qt.ItemFlag.ItemIsEditable)
        return index.column() == _CONSTRAINTS or (index.column() == _BETA and editable and not has_beta_alone(stage))

    def _opens(self, trigger: Any, event: Any) -> bool:
        triggers = QAbstractItemView.EditTrigger
        if trigger == triggers.AnyKeyPressed:
            return isinstance(event, QKeyEvent) and event.text() == " "
        return trigger in (triggers.DoubleClicked, triggers.EditKeyPressed)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Enter edits, as F2 does."""
        index = self.currentIndex()
        editing = self.state() == QAbstractItemView.State.EditingState
        if (
            event is not None
            and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            and index.isValid()
            and not editing
        ):
            self.edit(index, QAbstractItemView.EditTrigger.EditKeyPressed, event)
            return
        super().keyPressEvent(event)

    def fit(self) -> None:
        """Column widths from the text, rows as high as their constraints in lines, and the height of 3 to 8 lines."""
        metrics = self.fontMetrics()
        self.resizeColumnsToContents()
        self.setColumnWidth(0, min(self.columnWidth(0), metrics.horizontalAdvance("m" * 10)))
        wanted = self.columnWidth(_CONSTRAINTS)
        left = self.viewport().width() - (self.horizontalHeader().length() - wanted)
        self.setColumnWidth(_CONSTRAINTS, min(wanted, max(left, metrics.horizontalAdvance("m" * 12))))
        row = round(1.6 * metrics.height())
        self.verticalHeader().setDefaultSectionSize(row)
        self.resizeRowsToContents()
        heights = [max(row, self.rowHeight(i)) for i in range(self.model().rowCount())]
        for i, height in enumerate(heights):
            self.setRowHeight(i, height)
        bars = self.horizontalScrollBar().sizeHint().height() + self.horizontalHeader().sizeHint().height()
        lines = max(3 * row, min(8 * row, sum(heights)))
        self.setFixedHeight(lines + bars + 2 * self.frameWidth() + 2)

    def resizeEvent(self, event: Any) -> None:
        """The constraints take the room there is."""
        super().resizeEvent(event)
        if event is not None and event.size().width() != event.oldSize().width():
            self.fit()

    def showEvent(self, event: Any) -> None:
        """The fonts are known now."""
        super().showEvent(event)
        self.fit()


class _Model(QAbstractTableModel):
    """Stages as rows; an entry is checked by `Stage` and handed on, or refused."""

    entered = Signal(tuple, int)
    refused = Signal(int, str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._widget = parent
        self.schedule: Schedule = ()
        self._wrong: tuple[int, str] | None = None

    def set_schedule(self, schedule: Schedule) -> None:
        self.beginResetModel()
        self.schedule = schedule
        self._wrong = None
        self.endResetModel()

    def set_wrong_row(self, row: int | None, text: str = "") -> None:
        self._wrong = None if row is None else (row, text)
        if self.schedule:
            last = len(self.schedule) - 1
            self.dataChanged.emit(self.index(0, 0), self.index(last, len(COLUMNS) - 1))
            self.headerDataChanged.emit(Qt.Orientation.Vertical, 0, last)

    def enter(self, row: int, column: int, entry: Any) -> bool:
        """Take an entry of the user."""
        try:
            stage = changed_stage(self.schedule[row], COLUMNS[column], entry)
        except InputError as error:
            self.refused.emit(row, str(error))
            return False
        self.entered.emit((*self.schedule[:row], stage, *self.schedule[row + 1 :]), row)
        return True

    def rowCount(self, parent: QModelIndex = _NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self.schedule)

    def columnCount(self, parent: QModelIndex = _NO_INDEX) -> int:
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        stage, column = self.schedule[index.row()], COLUMNS[index.column()]
        is_text = column.field in ("name", "constraints", "q_limits_per_angstrom")
        if role == Qt.ItemDataRole.DisplayRole or (role == Qt.ItemDataRole.EditRole and is_text):
            return column.show(stage)
        if role == Qt.ItemDataRole.EditRole:
            return column.show(stage) if column.field == "update" else getattr(stage, column.field)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tooltip(index.row(), stage, index.column())
        if role == Qt.ItemDataRole.ForegroundRole:
            return self._foreground(index.row(), index.column())
        if role == Qt.ItemDataRole.TextAlignmentRole and not is_text and column.field != "update":
            return Qt.AlignmentFlag.AlignCenter
        return None

    def _foreground(self, row: int, column: int) -> QColor | None:
        colours = colours_of(self._widget)
        if self._wrong is not None and self._wrong[0] == row:
            return QColor(colours.error)
        if not COLUMNS[column].used(self.schedule[row]):
            quiet = QColor(colours.text)
            quiet.setAlpha(90)
            return quiet
        return None

    def _tooltip(self, row: int, stage: Stage, column: int) -> str:
        described = COLUMNS[column]
        if self._wrong is not None and self._wrong[0] == row:
            return self._wrong[1]
        if not described.used(stage):
            return f"No effect in this stage: {described.why_unused}"
        text = (described.tell or described.show)(stage)
        return f"{text}\n{described.tooltip}" if text else described.tooltip

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if not index.isValid() or role != Qt.ItemDataRole.EditRole:
            return False
        return self.enter(index.row(), index.column(), value)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
        if index.isValid() and COLUMNS[index.column()].used(self.schedule[index.row()]):
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        wrong = orientation == Qt.Orientation.Vertical and self._wrong is not None and self._wrong[0] == section
        if role == Qt.ItemDataRole.DisplayRole:
            if orientation == Qt.Orientation.Horizontal:
                return COLUMNS[section].heading
            return "!" if wrong else str(section + 1)
        if role == Qt.ItemDataRole.ToolTipRole:
            if orientation == Qt.Orientation.Horizontal:
                return COLUMNS[section].tooltip
            return self._wrong[1] if wrong and self._wrong is not None else None
        return None
