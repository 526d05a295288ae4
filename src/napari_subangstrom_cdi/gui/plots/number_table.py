"""Captions with the numbers that go with them, some of them doubtful."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_subangstrom_cdi.gui.loop.painting import write
from napari_subangstrom_cdi.gui.widgets.style import FollowsTheme, QuietLabel, colours_of
from napari_subangstrom_cdi.job.readings import NONE, Metrics, Reading, marked, written


class NumberTable(QWidget):
    """Readings: a caption and a value each, which can be selected and copied.

    Parameters
    ----------
    rows : dict of str to Reading
        What is shown, by the names under which it is asked for.
    prefix : str
        Before the names, for the values' object names.
    across : int
        How many stand side by side, each value below its caption; 0: a row each, the value beside its caption.
    bold : bool
        Whether values are bold.
    capitals : bool
        Whether captions begin with a capital.
    brief : bool
        Whether captions are short, for want of room.
    optional : collection of str
        Names of what is hidden while it is not known.
    """

    def __init__(
        self,
        rows: Mapping[str, Reading],
        prefix: str = "",
        parent: QWidget | None = None,
        *,
        across: int = 0,
        bold: bool = False,
        capitals: bool = False,
        brief: bool = False,
        optional: Collection[str] = (),
    ) -> None:
        super().__init__(parent)
        self.readings = dict(rows)
        self.values: dict[str, Number] = {}
        self.captions: dict[str, QuietLabel] = {}
        self._optional = frozenset(optional)
        self.grid = QGridLayout(self)
        self.grid.setContentsMargins(0, 2 if across else 0, 0, 2 if across else 0)
        self.grid.setVerticalSpacing(0 if across else 2)
        for i, (name, reading) in enumerate(self.readings.items()):
            text = reading.brief if brief else reading.caption
            caption = self.captions[name] = QuietLabel(f"{text[0].upper()}{text[1:]}" if capitals else text)
            value = self.values[name] = Number(bold=bold)
            value.setObjectName(f"{prefix}{name}")
            value.setAccessibleName(caption.text())
            value.setWordWrap(not across)
            for label in (caption, value):
                label.setToolTip(reading.meaning)
            place = (2 * (i // across), i % across) if across else (i, 0)
            self.grid.addWidget(caption, *place)
            self.grid.addWidget(value, place[0] + bool(across), place[1] + (not across))
        if not across:
            self.grid.setColumnStretch(1, 1)
        self.show_metrics(None)

    def show_metrics(self, metrics: Metrics | None) -> None:
        """Show what metrics hold, or that there are none; what is doubtful with a remark, in the colour of warnings."""
        for name, reading in self.readings.items():
            text, doubtful = (NONE, False) if metrics is None else marked(reading, metrics)
            self.show_number(name, text, alarming=doubtful)

    def show_value(self, name: str, value: object) -> None:
        """Show a value as its reading is written; None or NaN as a dash."""
        self.show_number(name, written(self.readings[name], value))

    def show_number(self, name: str, text: str, *, alarming: bool = False) -> None:
        """Show a text as it is; an alarming one in the colour of warnings."""
        self.values[name].show_text(text, alarming)
        if name in self._optional:
            for label in (self.captions[name], self.values[name]):
                label.setVisible(text != NONE)

    def text(self, name: str) -> str:
        """What is shown."""
        return self.values[name].text()


class Number(FollowsTheme, QLabel):
    """A value that can be copied."""

    def __init__(self, *, bold: bool = False) -> None:
        super().__init__(NONE)
        self.alarming = False
        self._style = ""
        self._weight = "font-weight: bold;" if bold else ""
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._recolour()

    def show_text(self, text: str, alarming: bool) -> None:
        """Show a value; nothing is done if it is shown, so that a selection stays."""
        self.alarming = alarming
        if text != self.text():
            write(self, text)
        self._recolour()

    def _recolour(self) -> None:
        style = self._weight + (f" color: {colours_of(self).warning};" if self.alarming else "")
        if style != self._style:  # setting a style sheet is a change of style itself
            self._style = style
            self.setStyleSheet(style)
