"""The one dock that leads from raw records to a result: every step in order, and what belongs to none of them."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSize
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from napari_subangstrom_cdi.gui.canvas.shortcuts import ShortcutHelp
from napari_subangstrom_cdi.gui.docks.parts.dock import StepDock, UprightScroll
from napari_subangstrom_cdi.gui.docks.parts.docked import Docked
from napari_subangstrom_cdi.gui.loop.later import later
from napari_subangstrom_cdi.gui.widgets.style import StatusLine
from napari_subangstrom_cdi.gui.window.closing import RecoveryBanner
from napari_subangstrom_cdi.gui.window.controller import Controller
from napari_subangstrom_cdi.gui.window.layout import arrange
from napari_subangstrom_cdi.session.recovery import default_folder, found
from napari_subangstrom_cdi.session.session import Event, Happening, State, Step

from .align import AlignDock
from .background import BackgroundDock
from .data import DataDock
from .masks import MasksDock
from .model import ModelDock
from .phase import PhaseDock
from .results import ResultsDock

_WIDTH_IN_LETTERS = 64


class Workflow(Docked):
    """All steps, one below the other; the one whose turn it is stands open."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.controller = Controller.of(napari_viewer)
        self.setObjectName("subangstrom-workflow")
        self.steps: dict[Step, StepDock] = {
            dock.step: dock(napari_viewer)
            for dock in (DataDock, BackgroundDock, AlignDock, MasksDock, ModelDock, PhaseDock, ResultsDock)
        }
        self.message = StatusLine()
        self.banner = RecoveryBanner(self.controller, found(default_folder()))
        page = QWidget()
        pages = QVBoxLayout(page)
        pages.setContentsMargins(0, 0, 0, 0)
        pages.setSpacing(0)
        for step in self.steps.values():
            step.make_foldable()
            pages.addWidget(step)
        pages.addStretch(1)
        self._scroll = UprightScroll(page)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addLayout(self._tools())
        layout.addWidget(self.banner)
        layout.addWidget(self._scroll, stretch=1)
        layout.addWidget(self.message)
        self._arranged = False
        self._last = Step.DATA
        self.controller.happened.connect(self._on_event)
        self.controller.said.connect(self._say)
        self.controller.changed.connect(self._refresh)
        self.open_only(self._current())
        self._refresh()

    def _tools(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.next_button = _tool("Next step", "Do the first step that is not done", self.controller.next_step)
        self.undo_button = _tool("Undo", "Take back the last change of settings", self.controller.undo)
        self.redo_button = _tool("Redo", "Make it again", self.controller.redo)
        self.stop_button = _tool("Stop", "End what goes on; finished members are kept", self.controller.stop)
        self.help_button = _tool("Keys", "The keyboard shortcuts", self._show_help)
        for button in (self.next_button, self.stop_button, self.undo_button, self.redo_button):
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(self.help_button)
        return row

    def open_only(self, *steps: Step) -> None:
        """Open these steps and fold the others."""
        for each, dock in self.steps.items():
            dock.set_folded(each not in steps)

    def leave(self) -> None:
        """All steps put down what they have in hand."""
        for step in self.steps.values():
            step.leave()

    def _current(self) -> Step:
        """The first step that is to be done."""
        return self.controller.session.pending or Step.RESULTS

    def _on_event(self, event: Event) -> None:
        if event.happening is Happening.STARTED and event.step is not None:
            self._last = event.step
            self.open_only(event.step)
        elif event.happening is Happening.FAILED and event.step is not None:
            self._last = event.step
        elif event.happening is Happening.DONE and event.step is not None:
            dock = self.steps[event.step]
            warned = self.controller.session.warnings.get(event.step, ())
            found = dock.headline()
            self._say(f"{dock.title}: {found}" if found else f"{dock.title} done", "warning" if warned else "info")
        elif event.happening is Happening.IDLE:
            # what a step found stays in sight, and what comes next is at hand; model and results need all the room
            current = self._current()
            failed = [step for step in (current, self._last) if self.controller.session.state(step) is State.FAILED]
            alone = next((step for step in (current, self._last) if step in (Step.RESULTS, Step.MODEL)), None)
            self.open_only(*(failed[:1] or ((alone,) if alone else (self._last, current))))
            later(self, self._scroll_to_open)

    def _scroll_to_open(self) -> None:
        for dock in self.steps.values():
            if not dock.header.is_folded:
                self._scroll.ensureWidgetVisible(dock.header)
                self._scroll.ensureWidgetVisible(dock.button)

    def _say(self, text: str, level: str) -> None:
        self.message.show_message(text, level)  # type: ignore[arg-type]

    def _refresh(self) -> None:
        session = self.controller.session
        self.next_button.setEnabled(not session.busy)
        self.undo_button.setEnabled(session.can_undo)
        self.redo_button.setEnabled(session.can_redo)
        self.stop_button.setEnabled(session.busy and not session.stopping)
        self.stop_button.setText("Stopping…" if session.stopping else "Stop")

    def _show_help(self) -> None:
        ShortcutHelp(self).show()

    def showEvent(self, event: QShowEvent | None) -> None:
        """When first shown, the views that belong to the steps are opened as well."""
        super().showEvent(event)
        if not self._arranged:
            self._arranged = True
            later(self, lambda: arrange(self, self.controller))

    def sizeHint(self) -> QSize:
        """As wide as the steps need to show a schedule whole."""
        return QSize(_WIDTH_IN_LETTERS * self.fontMetrics().averageCharWidth(), 30 * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """A little narrower than it likes to be, where the screen is small."""
        return QSize(max(super().minimumSizeHint().width(), round(0.85 * self.sizeHint().width())), 0)


def _tool(text: str, tooltip: str, task: Any) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tooltip)
    button.setObjectName(f"workflow-{text.split()[0].lower()}")
    button.clicked.connect(lambda: task())
    return button
