"""What opens over a cell of the schedule table: the constraints to tick, order and set, or a rule's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QEvent, QObject, QPoint, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_subangstrom_cdi.core.phasing.constraints import CONSTRAINTS, Constraint
from napari_subangstrom_cdi.core.phasing.registry import explained, kind_of

from .part_editor import PartEditor

Table = Mapping[str, Any]


class CellPopup(QFrame):
    """Opens over a cell. Enter, Done and a click elsewhere take over what it shows, Escape drops it."""

    accepted = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._cancelled = False
        self._before: Any = None
        self.setStyleSheet("CellPopup { border: 1px solid palette(mid); }")

    def entry(self) -> Any:
        """What it shows, as the stage takes it."""
        raise NotImplementedError

    def first(self) -> QWidget:
        """What has the focus when it opens."""
        raise NotImplementedError

    def open_at(self, position: QPoint) -> None:
        """Open with the upper left corner at a point of the screen, moved so that all is seen."""
        self._before = self.entry()
        self.adjustSize()
        screen = self.screen().availableGeometry()
        x = min(position.x(), screen.right() - self.width())
        y = min(position.y(), screen.bottom() - self.height())
        self.move(max(screen.left(), x), max(screen.top(), y))
        self.show()
        self.first().setFocus()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Enter takes over, Escape drops, from wherever the focus is."""
        if event is None or not self._ended_by(event):
            super().keyPressEvent(event)

    def _ended_by(self, event: QKeyEvent) -> bool:
        if event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape):
            return False
        self._cancelled = event.key() == Qt.Key.Key_Escape
        self.close()
        return True

    def closeEvent(self, event: Any) -> None:
        """A click elsewhere takes over, as Enter does."""
        super().closeEvent(event)
        editing = self.focusWidget()
        if editing is not None and not self._cancelled:
            editing.clearFocus()  # what is typed in it counts
        if not self._cancelled and self.entry() != self._before:
            self._before = self.entry()
            self.accepted.emit(self._before)

    def _done_button(self) -> QPushButton:
        done = QPushButton("Done")
        done.setObjectName("popup_done")
        done.clicked.connect(self.close)
        return done


class ParametersPopup(CellPopup):
    """The parameters of one update rule."""

    def __init__(self, part: Any, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("parameters_popup")
        self._editor = PartEditor(part)
        layout = QVBoxLayout(self)
        layout.addWidget(self._editor)
        layout.addWidget(self._done_button(), alignment=Qt.AlignmentFlag.AlignRight)

    def entry(self) -> Table:
        """Name and parameters of the rule."""
        return self._editor.table()

    def first(self) -> QWidget:
        """The editor of the first parameter."""
        children = self._editor.findChildren(QWidget)
        return next(child for child in children if child.focusPolicy() != Qt.FocusPolicy.NoFocus)


class ConstraintsPopup(CellPopup):
    """The constraints as a list to tick and to bring into order, and the parameters of those ticked."""

    def __init__(self, constraints: tuple[Constraint, ...], parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("constraints_popup")
        names = {kind_of(each) for each in constraints}
        parts = (*constraints, *(CONSTRAINTS.named(name)() for name in CONSTRAINTS.names() if name not in names))
        self._editors = [PartEditor(part) for part in parts]
        self.list = QListWidget()
        self.list.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.list.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for i, part in enumerate(parts):
            item = QListWidgetItem(kind_of(part))
            item.setData(Qt.ItemDataRole.UserRole, i)
            item.setToolTip(explained(type(part)))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if i < len(constraints) else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        line = self.fontMetrics().height()
        self.list.setFixedHeight(self.list.sizeHintForRow(0) * self.list.count() + line // 2)
        self.list.setMinimumWidth(self.list.sizeHintForColumn(0) + 2 * line)
        self._lay_out()
        self._show_editors()
        self.list.itemChanged.connect(self._show_editors)

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
        row.addStretch(1)
        row.addWidget(self._done_button())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.list)
        for editor in self._editors:
            layout.addWidget(editor)
        layout.addLayout(row)
        self.list.installEventFilter(self)

    def _show_editors(self, *_: Any) -> None:
        """Editors of the constraints that are ticked, and of no others."""
        ticked = [self._editors[item.data(Qt.ItemDataRole.UserRole)] for item in self._ticked()]
        for editor in self._editors:
            editor.setVisible(editor in ticked and not editor.is_empty)
        if self.isVisible():
            self.adjustSize()

    def _ticked(self) -> list[QListWidgetItem]:
        items = (self.list.item(row) for row in range(self.list.count()))
        return [item for item in items if item.checkState() == Qt.CheckState.Checked]

    def constraints(self) -> tuple[str, ...]:
        """Names of the constraints ticked, in their order."""
        return tuple(item.text() for item in self._ticked())

    def entry(self) -> tuple[Table, ...]:
        """The constraints ticked with their parameters, in their order."""
        return tuple(self._editors[item.data(Qt.ItemDataRole.UserRole)].table() for item in self._ticked())

    def first(self) -> QWidget:
        """The list."""
        return self.list

    def move_current(self, step: int) -> None:
        """Move the current constraint earlier (-1) or later (1)."""
        row = self.list.currentRow()
        if 0 <= row + step < self.list.count():
            item = self.list.takeItem(row)
            self.list.insertItem(row + step, item)
            self.list.setCurrentRow(row + step)

    def eventFilter(self, watched: QObject | None, event: Any) -> bool:
        """Enter takes the list over, Escape drops it, Ctrl with an arrow moves."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if self._ended_by(event):
                return True
            key = event.key()
            if event.modifiers() & Qt.KeyboardModifier.ControlModifier and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
                self.move_current(-1 if key == Qt.Key.Key_Up else 1)
                return True
        return bool(super().eventFilter(watched, event))
