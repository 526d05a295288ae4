"""What every step's dock has: title and state, its body, one button that does it, and a line that says how it went."""

from __future__ import annotations

from typing import Any, ClassVar

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QMouseEvent, QShowEvent
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_subangstrom_cdi.errors import Remedy
from napari_subangstrom_cdi.gui.widgets.style import Level, StateBadge, StatusLine, primary_button, section_title
from napari_subangstrom_cdi.gui.window.controller import Controller
from napari_subangstrom_cdi.gui.window.main_window import adopt_window, main_window_of
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.job.plan import ImageSettings, PatternSettings
from napari_subangstrom_cdi.parameters import declared
from napari_subangstrom_cdi.session.session import Event, Happening, Session, State, Step

from .docked import Docked

_WIDTH_IN_LETTERS = 58
_SECTIONS: dict[str, type] = {"acquisition": Acquisition, "pattern": PatternSettings, "image": ImageSettings}


class StepDock(Docked):
    """A step of the job. Subclasses fill :attr:`body` and override :meth:`refresh`.

    Parameters
    ----------
    viewer
        napari's viewer; docks of one viewer share its controller.
    """

    step: ClassVar[Step]
    title: ClassVar[str]
    action: ClassVar[str]
    """What the button says."""
    help: ClassVar[str]
    """What the button does, in a sentence."""

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = Controller.of(napari_viewer)
        self.setObjectName(f"subangstrom-{self.step.value}")
        self.badge = StateBadge("to do")
        self.header = Header(self.title, self.badge)
        self.button: QPushButton = primary_button(self.action, self.help)
        self.button.setObjectName(f"{self.step.value}-do")
        self.status = StatusLine()
        self.body = QVBoxLayout()
        self.foot = QHBoxLayout()
        self.foot.addWidget(self.button)
        self.content = QWidget()
        inside = QVBoxLayout(self.content)
        inside.setContentsMargins(0, 0, 0, 0)
        for part in (self.body, self.foot):
            inside.addLayout(part)
        inside.addWidget(self.status)
        self.remedies = RemedyButtons()
        inside.addWidget(self.remedies)
        self._scroll: UprightScroll | None = UprightScroll(self.content)
        layout = QVBoxLayout(self)
        layout.addWidget(self.header)
        layout.addWidget(self._scroll, stretch=1)
        self.build()
        self.button.clicked.connect(self.do)
        self.remedies.chosen.connect(self._on_remedy)
        self.controller.changed.connect(self._refresh)
        self.controller.happened.connect(self._on_event)
        self.controller.said.connect(self._on_said)
        self._refresh()

    @property
    def session(self) -> Session:
        """The viewer's session."""
        return self.controller.session

    def build(self) -> None:
        """Fill the body."""

    def refresh(self) -> None:
        """Show the session as it stands; called whenever it may have changed."""

    def summary(self) -> str:
        """What was found, when the step is done."""
        return ""

    def headline(self) -> str:
        """The same in a few words, for those who look elsewhere."""
        return "; ".join(self.summary().splitlines())

    def do(self) -> None:
        """The button."""
        self.controller.run(self.step)

    def make_foldable(self) -> None:
        """Let a click on the header fold the step away, as among other steps, which scroll together."""
        self.header.make_foldable()
        self.header.folded.connect(lambda folded: self.content.setVisible(not folded))
        layout, scroll = self.layout(), self._scroll
        if layout is None or scroll is None:
            return
        self._scroll = None
        layout.replaceWidget(scroll, scroll.takeWidget())
        scroll.setParent(None)
        self.content.show()
        layout.setContentsMargins(6, 2, 6, 2)

    def set_folded(self, folded: bool) -> None:
        """Fold the step away or open it."""
        self.header.set_folded(folded)

    def say(self, text: str, level: Level = "info") -> None:
        """Show a sentence under the button."""
        self.status.show_message(text, level)

    def on_event(self, event: Event) -> None:
        """News of the session."""

    def _refresh(self) -> None:
        state = self.session.state(self.step)
        self.badge.set_state(state.value)
        self.button.setEnabled(not self.session.busy)
        self.remedies.show_remedies(self.session.remedies(self.step))
        self.refresh()

    def _on_event(self, event: Event) -> None:
        if event.step is self.step:
            self._say_how_it_went(event)
        self.on_event(event)

    def _say_how_it_went(self, event: Event) -> None:
        if event.happening is Happening.FAILED:
            self.say("\n".join((event.message, *self.session.warnings.get(self.step, ()))), "error")
        elif event.happening is Happening.STOPPED:
            self.say(event.message, "warning")
        elif event.happening is Happening.STARTED:
            self.say("")
        elif event.happening is Happening.CHANGED and event.message not in ("", "phase retrieval"):
            self.say(f"{event.message} …")
        elif event.happening is Happening.DONE:
            warned = self.session.warnings.get(self.step, ())
            self.say("\n".join((self.summary(), *warned)).strip(), "warning" if warned else "info")

    def _on_remedy(self, remedy: Remedy) -> None:
        if self.controller.take_over(remedy):
            done = self.session.state(self.step) is State.DONE
            self.say(f"taken over: {remedy.title}" + ("" if done else f"; {self.action} does the step with it"))

    def _on_said(self, text: str, level: str) -> None:
        if self.isVisible() and self.session.state(self.step) is not State.RUNNING and self._is_active():
            self.status.show_message(text, level)  # type: ignore[arg-type]

    def _is_active(self) -> bool:
        """Whether a sentence from the controller belongs here: the dock that the user works in."""
        focused = self.window().focusWidget()
        return focused is None or self.isAncestorOf(focused)

    def showEvent(self, event: QShowEvent | None) -> None:
        """From now on unsaved work is asked about when the window closes."""
        super().showEvent(event)
        window = main_window_of(self)
        if window is not None:
            adopt_window(window, self.controller)

    def sizeHint(self) -> QSize:
        """As wide as some words."""
        return QSize(_WIDTH_IN_LETTERS * self.fontMetrics().averageCharWidth(), super().sizeHint().height())


class RemedyButtons(QWidget):
    """A button for each change of settings that would mend what a step says.

    Signals
    -------
    chosen : Remedy
        One that is to be taken over.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Remedy, ...] = ()
        self.buttons: tuple[QPushButton, ...] = ()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.setVisible(False)

    def show_remedies(self, remedies: tuple[Remedy, ...]) -> None:
        """Offer these and no others."""
        if remedies == self._shown:
            return
        self._shown = remedies
        for button in self.buttons:
            self._column.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.buttons = tuple(self._button(remedy) for remedy in remedies)
        self.setVisible(bool(remedies))

    def _button(self, remedy: Remedy) -> QPushButton:
        button = QPushButton(f"Take over: {remedy.title}")
        button.setObjectName("take-over")
        button.setToolTip(f"Sets {' and '.join(map(_in_words, remedy.settings))}; Undo takes it back")
        button.clicked.connect(lambda: self.chosen.emit(remedy))
        self._column.addWidget(button)
        return button


def _in_words(setting: tuple[str, Any]) -> str:
    """A setting by its caption, and its value."""
    (section, name), value = setting[0].split("."), setting[1]
    known = declared(_SECTIONS[section])[name]
    if isinstance(value, bool):
        return f"“{known.parameter.caption}” to {known.shown(value)}"
    numbers = value if isinstance(value, tuple) else (value,)
    told = ", ".join(f"{number:g}".replace("-", "−") for number in numbers)
    return f"“{known.parameter.caption}” to {told} {known.parameter.unit}"


class Header(QWidget):
    """Title and state of a step; foldable, it is a button for mouse and keyboard.

    Signals
    -------
    folded : bool
        Whether the step is folded away now.
    """

    folded = Signal(bool)

    def __init__(self, title: str, badge: StateBadge) -> None:
        super().__init__()
        self._title = title
        self._folded = False
        self._arrow = QToolButton()
        self._arrow.setAutoRaise(True)
        self._arrow.setVisible(False)
        self._arrow.clicked.connect(self.toggle)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._arrow)
        layout.addWidget(section_title(title))
        layout.addStretch(1)
        layout.addWidget(badge)

    def make_foldable(self) -> None:
        """Show the arrow and listen to clicks."""
        self._arrow.setVisible(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._show()

    @property
    def is_folded(self) -> bool:
        """Whether the step is folded away."""
        return self._folded

    def set_folded(self, folded: bool) -> None:
        """Fold or open."""
        if folded != self._folded:
            self._folded = folded
            self._show()
            self.folded.emit(folded)

    def toggle(self) -> None:
        """Fold if open, open if folded."""
        self.set_folded(not self._folded)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """A click anywhere on it folds or opens."""
        if event is not None and not self._arrow.isHidden() and event.button() == Qt.MouseButton.LeftButton:
            self.toggle()
        super().mouseReleaseEvent(event)

    def _show(self) -> None:
        self._arrow.setArrowType(Qt.ArrowType.RightArrow if self._folded else Qt.ArrowType.DownArrow)
        self._arrow.setAccessibleName(f"{'open' if self._folded else 'fold'} {self._title}")


class UprightScroll(QScrollArea):
    """Scrolls its widget up and down where the screen is too low, and is never narrower than the widget can be."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setWidget(widget)

    def minimumSizeHint(self) -> QSize:
        """As wide as the widget must be, with the bar beside it; hardly any height."""
        bar, inside = self.verticalScrollBar(), self.widget()
        width = (0 if inside is None else inside.minimumSizeHint().width()) + (
            0 if bar is None else bar.sizeHint().width()
        )
        return QSize(width, 8 * self.fontMetrics().height())
