"""The end of a window, and what an earlier one left behind: nothing computed is lost without a question."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QMainWindow, QPushButton, QVBoxLayout, QWidget

from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.gui.loop.later import later
from napari_subangstrom_cdi.gui.widgets.style import StatusLine
from napari_subangstrom_cdi.session.recovery import Found

from .asking import ask_about_unsaved, has_unsaved_work
from .controller import Controller

# A tint that shows on dark and light ground; its name keeps it from the widgets inside.
_BANNER_LOOK = (
    "#subangstrom-recovery { background: rgba(232, 160, 30, 40); border: 1px solid rgba(232, 160, 30, 160);"
    " border-radius: 4px; }"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Closing(QObject):
    """Asks about unsaved work when a main window is closed, then ends the controller; an event filter of the window."""

    def __init__(self, window: QMainWindow, controller: Controller) -> None:
        super().__init__(window)
        self._controller = controller
        self._keep = False
        self._leaving = False
        window.installEventFilter(self)
        window.destroyed.connect(_Abandoned(controller))

    @property
    def _window(self) -> QMainWindow:
        """Asked for, not kept: a window that is kept in Python outlives its closing."""
        return self.parent()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Ask at the close event; end the controller once the window has really gone."""
        if event is None or watched is not self._window or not self._controller.is_open:
            return False
        if isinstance(event, QCloseEvent):
            return self._on_close(event)
        if event.type() == QEvent.Type.Hide and self._leaving and not event.spontaneous():
            self._end()
        return False

    def _on_close(self, event: QCloseEvent) -> bool:
        """True, and the window stays, if the user changed their mind."""
        if not self._is_attended():  # closed by a program: nobody to ask, so what is finished stays on the disk
            self._keep = has_unsaved_work(self._controller)
            self._end()
            return False
        if self._leaving:  # in the dialog already
            event.ignore()
            return True
        self._leaving = True
        if has_unsaved_work(self._controller) and not ask_about_unsaved(self._window, self._controller):
            self._leaving = False
            event.ignore()
            return True
        later(self, self._stay_if_visible)  # napari may ask a question of its own
        return False

    def _is_attended(self) -> bool:
        """Whether a user sees the window; ``viewer.close()`` closes its content before the window itself."""
        content = self._window.centralWidget()
        direct = Qt.FindChildOption.FindDirectChildrenOnly
        children = [] if content is None else content.findChildren(QWidget, options=direct)
        return self._window.isVisible() and any(child.isVisible() for child in children)

    def _stay_if_visible(self) -> None:
        if self._window.isVisible():
            self._leaving = False

    def _end(self) -> None:
        self._controller.close(keep_recovery=self._keep)


class _Abandoned:
    """What is done when a window is destroyed that was never closed: the thread ends, recovery files stay."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def __call__(self, *_: Any) -> None:
        if self._controller.is_open:
            self._controller.session.close(keep_recovery=True)
            with contextlib.suppress(RuntimeError):  # widgets of the window are gone already
                self._controller.close(keep_recovery=True)


class RecoveryBanner(QWidget):
    """Offers the runs that were left behind, one after the other; takes no place when there is none."""

    def __init__(self, controller: Controller, runs: list[Found], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("subangstrom-recovery")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet(_BANNER_LOOK)
        self._controller = controller
        self._runs = list(runs)
        self._text = QLabel()
        self._text.setObjectName("recovery-text")
        self._text.setTextFormat(Qt.TextFormat.PlainText)  # file names may hold anything
        self._text.setWordWrap(True)
        self._status = StatusLine()
        self._restore = self._button("Restore", "Average its finished members; they are kept until you save", self._do)
        self._discard = self._button("Discard", "Remove its files", self._drop)
        self._later = self._button("Later", "Leave its files; they are offered again at the next start", self._skip)
        row = QHBoxLayout()
        for button in (self._restore, self._discard, self._later):
            row.addWidget(button)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self._text)
        layout.addLayout(row)
        layout.addWidget(self._status)
        controller.changed.connect(self._enable)
        self._show_first()

    @property
    def runs(self) -> tuple[Found, ...]:
        """What is still to be decided."""
        return tuple(self._runs)

    def _button(self, text: str, tooltip: str, slot: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(f"recovery-{text.lower()}")
        button.setToolTip(tooltip)
        button.clicked.connect(slot)
        return button

    def _show_first(self) -> None:
        self.setVisible(bool(self._runs))
        if self._runs:
            self._text.setText(describe(self._runs[0], len(self._runs)))
            self._status.clear_message()
            self._enable()

    def _enable(self) -> None:
        if not self._runs:
            return
        first, session = self._runs[0], self._controller.session
        self._restore.setEnabled(
            first.problem is None and first.members_done > 0 and not session.busy and not session.unsaved
        )

    def _do(self) -> None:
        try:
            with collected_doubts() as doubts:
                self._controller.session.recover(self._runs[0])
        except InputError as error:
            self._status.show_message(str(error), "error")
            return
        self._controller.project_path = None
        self._controller.poll()
        for text in doubts:
            self._controller.said.emit(text, "warning")
        self._runs.pop(0)
        self._show_first()

    def _drop(self) -> None:
        try:
            self._runs[0].discard()
        except InputError as error:
            self._status.show_message(str(error), "error")
            return
        self._skip()

    def _skip(self) -> None:
        self._runs.pop(0)
        self._show_first()


def describe(run: Found, count: int = 1) -> str:
    """A run that was left behind, in a sentence."""
    day = f"{run.when.day} {_MONTHS[run.when.month - 1]} {run.when:%H:%M}"
    more = f" ({count - 1} more after this)" if count > 1 else ""
    if run.problem is not None:
        return f"Unsaved run of {day} that cannot be restored: {run.problem}{more}"
    planned = f" of {run.members_planned}" if run.members_planned else ""
    return f"Unsaved run of {day}, {run.members_done}{planned} members finished, {run.pattern_name}{more}"
