"""Small shared pieces of the docks: state badge, status line, titles, buttons, colours of both themes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

ThemeType = Literal["dark", "light"]
State = Literal["to do", "ready", "running", "done", "stale", "failed", "not used"]
Level = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Colours:
    """Colours with a meaning, as hexadecimal text; all readable as text on napari's background."""

    text: str
    muted: str
    accent: str
    good: str
    warning: str
    error: str
    r: str
    free_r: str
    agreement: str
    mark: str


# After Okabe & Ito, made lighter or darker until each has a contrast of 4.5 with napari's background.
COLOURS: Final[dict[ThemeType, Colours]] = {
    "dark": Colours(
        text="#f0f1f2",
        muted="#a3a8b0",
        accent="#6ea8ff",
        good="#45c78f",
        warning="#f0b429",
        error="#ff8a80",
        r="#5fbcf0",
        free_r="#f2a72e",
        agreement="#45c78f",
        mark="#f3e45a",
    ),
    "light": Colours(
        text="#1e1e21",
        muted="#5c5c61",
        accent="#1c58b8",
        good="#0b6b47",
        warning="#855100",
        error="#b3231b",
        r="#0a61a5",
        free_r="#a84a00",
        agreement="#0b6b47",
        mark="#8a1f86",
    ),
}

_STATE_TIPS: Final[dict[State, str]] = {
    "to do": "To do: a step before this one must be done first",
    "ready": "Ready: all this step needs is there",
    "running": "Running",
    "done": "Done, and up to date",
    "stale": "Stale: something before this step has changed since; do it again",
    "failed": "Failed: the message below says why",
    "not used": "Not used: the members do not start from it",
}
STATES: Final[tuple[State, ...]] = tuple(_STATE_TIPS)


def theme_of(widget: QWidget) -> ThemeType:
    """Whether a widget stands on a dark or a light ground, whatever the theme is called."""
    # A parent is asked, because the widget may have a text colour of its own.
    source = widget.parentWidget() or widget
    source.ensurePolished()
    return "dark" if source.palette().color(source.foregroundRole()).lightness() > 127 else "light"


def colours_of(widget: QWidget) -> Colours:
    """The colours to use on a widget."""
    return COLOURS[theme_of(widget)]


def is_style_change(event: QEvent | None) -> bool:
    """True for the events after which a widget may stand on another ground."""
    return event is not None and event.type() in (
        QEvent.Type.StyleChange,
        QEvent.Type.PaletteChange,
        QEvent.Type.ParentChange,
    )


class StateBadge(QWidget):
    """A glyph, its colour and a word for the state of a step; the shapes alone tell the states apart."""

    def __init__(self, state: State = "to do", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._glyph = _Glyph(self)
        self._label = QLabel(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(max(2, self.fontMetrics().height() // 4))
        layout.addWidget(self._glyph)
        layout.addWidget(self._label)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.set_state(state)

    def state(self) -> State:
        """The state shown."""
        return self._glyph.state

    def set_state(self, state: State, tooltip: str = "") -> None:
        """Show a state; ``tooltip`` may say more than the usual explanation."""
        if state not in STATES:
            raise ValueError(f"unknown state {state!r}")
        if state == self._glyph.state and self._label.text() and not tooltip:
            return  # painting it again would have the whole window put together anew
        self._glyph.state = state
        self._glyph.update()
        self._label.setText(state)
        self.setToolTip(tooltip or _STATE_TIPS[state])
        self.setAccessibleName(f"state: {state}")


class _Glyph(QWidget):
    """The sign of a state, drawn as lines so that no font need have it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.state: State = "to do"
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        side = self.fontMetrics().height()
        return QSize(side, side)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        colours = colours_of(self)
        colour = {
            "to do": colours.muted,
            "ready": colours.accent,
            "running": colours.accent,
            "done": colours.good,
            "stale": colours.warning,
            "failed": colours.error,
            "not used": colours.muted,
        }[self.state]
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        side = min(self.width(), self.height())
        painter.translate(self.width() / 2, self.height() / 2)
        painter.scale(side / 2, side / 2)
        _draw_glyph(painter, self.state, QColor(colour))
        painter.end()


def _draw_glyph(painter: QPainter, state: State, colour: QColor) -> None:
    """Draw a state's sign about the origin, one unit in radius."""
    pen = QPen(colour, 0.22, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    disc = QRectF(-0.72, -0.72, 1.44, 1.44)
    if state == "to do":
        painter.drawEllipse(disc)
    elif state == "ready":
        painter.setBrush(colour)
        painter.drawPolygon(QPolygonF([QPointF(-0.45, -0.6), QPointF(0.65, 0), QPointF(-0.45, 0.6)]))
    elif state == "running":
        painter.drawArc(disc, 90 * 16, -270 * 16)
        painter.setBrush(colour)
        painter.drawEllipse(QPointF(0, 0), 0.16, 0.16)
    elif state == "done":
        painter.setPen(QPen(pen.brush(), 0.3, pen.style(), pen.capStyle(), pen.joinStyle()))
        painter.drawPolyline(QPolygonF([QPointF(-0.65, 0.05), QPointF(-0.15, 0.55), QPointF(0.7, -0.5)]))
    elif state == "stale":
        corners = [QPointF(0.85 * math.sin(a), 0.12 - 0.85 * math.cos(a)) for a in (0, math.tau / 3, -math.tau / 3)]
        painter.drawPolygon(QPolygonF(corners))
        painter.drawLine(QPointF(0, -0.2), QPointF(0, 0.1))
        painter.drawPoint(QPointF(0, 0.36))
    elif state == "not used":
        painter.drawLine(QPointF(-0.6, 0), QPointF(0.6, 0))
    else:
        painter.setPen(QPen(pen.brush(), 0.3, pen.style(), pen.capStyle(), pen.joinStyle()))
        painter.drawLine(QPointF(-0.5, -0.5), QPointF(0.5, 0.5))
        painter.drawLine(QPointF(-0.5, 0.5), QPointF(0.5, -0.5))


class FollowsTheme:
    """What a widget has whose colours are its own: among its bases before Qt's class, coloured anew with the theme."""

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)  # type: ignore[misc]
        if is_style_change(event):
            self._recolour()

    def _recolour(self) -> None:
        """Take the colours of the theme; called often, so do nothing if they are the same."""
        raise NotImplementedError


class StatusLine(FollowsTheme, QLabel):
    """One message that wraps and can be selected and copied; hidden text takes no place."""

    _SIGNS: Final[dict[Level, str]] = {"info": "", "warning": "Note: ", "error": "Error: "}

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._level: Level = "info"
        self._colour = ""
        self.setTextFormat(Qt.TextFormat.PlainText)  # file names may hold anything
        self.setWordWrap(True)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.setVisible(False)

    def level(self) -> Level:
        """How grave the message shown is."""
        return self._level

    def show_message(self, text: str, level: Level = "info") -> None:
        """Show a message; an empty one clears the line."""
        self._level = level
        self.setText(f"{self._SIGNS[level]}{text}" if text else "")
        self.setAccessibleName(self.text())
        self._recolour()
        self.setVisible(bool(text))

    def clear_message(self) -> None:
        """Show nothing."""
        self.show_message("")

    def _recolour(self) -> None:
        colours = colours_of(self)
        colour = {"info": colours.text, "warning": colours.warning, "error": colours.error}[self._level]
        if colour != self._colour:  # setting a style sheet is a change of style itself
            self._colour = colour
            self.setStyleSheet(f"color: {colour};")


class RoomForText(QWidget):
    """A label in a room of so many lines; whatever its text, nothing is laid out anew.

    Parameters
    ----------
    label : QLabel
        Wraps its text if there is more than a line.
    lines : int
        Height of the room.
    """

    def __init__(self, label: QLabel, lines: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        label.setParent(self)
        self._label, self._lines = label, lines
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def showEvent(self, event: QShowEvent | None) -> None:
        """The font is known now, and with it the height of a line."""
        self.setFixedHeight(self._lines * self._label.fontMetrics().lineSpacing() + 4)
        super().showEvent(event)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Of fixed size, a label tells no layout of its text."""
        super().resizeEvent(event)
        self._label.setFixedSize(self.size())


class QuietLabel(FollowsTheme, QLabel):
    """A caption or unit in a quiet colour that is still readable."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self._colour = ""
        self._recolour()

    def _recolour(self) -> None:
        colour = colours_of(self).muted
        if colour != self._colour:
            self._colour = colour
            self.setStyleSheet(f"color: {colour};")


def section_title(text: str, parent: QWidget | None = None) -> QLabel:
    """The title of a part of a dock."""
    label = QLabel(text, parent)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label


def primary_button(text: str, tooltip: str = "", parent: QWidget | None = None) -> QPushButton:
    """The one button of a step that does it; white on blue is readable in both themes."""
    button = QPushButton(text, parent)
    button.setToolTip(tooltip)
    button.setStyleSheet(
        "QPushButton { background-color: #2a66c8; color: #ffffff; font-weight: bold; padding: 0.4em 1em;"
        " border: 1px solid transparent; border-radius: 3px; }"
        "QPushButton:hover { background-color: #3b79dd; }"
        "QPushButton:pressed { background-color: #1f4f9f; }"
        "QPushButton:focus { border-color: #ffffff; }"
        "QPushButton:disabled { background-color: rgba(128, 128, 128, 60); color: #808080; }"
    )
    return button
