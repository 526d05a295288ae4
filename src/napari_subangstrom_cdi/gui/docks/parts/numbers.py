"""Captions with the numbers that go with them, some of them alarming."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_subangstrom_cdi.gui.widgets.style import QuietLabel, colours_of, is_style_change


class Numbers(QWidget):
    """A row of captions, and below each its value.

    Parameters
    ----------
    columns : sequence of (str, str, str)
        Object name, caption and tooltip.
    """

    def __init__(self, columns: Sequence[tuple[str, str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.values: dict[str, Number] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 2)
        grid.setVerticalSpacing(0)
        for column, (name, text, tip) in enumerate(columns):
            caption = QuietLabel(text)
            number = self.values[name] = Number()
            number.setObjectName(name)
            number.setAccessibleName(text)
            grid.addWidget(caption, 0, column)
            grid.addWidget(number, 1, column)
            caption.setToolTip(tip)
            number.setToolTip(tip)

    def show_number(self, name: str, text: str, *, alarming: bool = False) -> None:
        """Show a value; an alarming one in the colour of warnings."""
        self.values[name].show_text(text, alarming)


def labelled_values(
    grid: QGridLayout, rows: Sequence[tuple[str, str, str]], prefix: str
) -> tuple[dict[str, QLabel], dict[str, QuietLabel]]:
    """Rows of a caption and a value that can be copied, laid into a grid; values and captions by name.

    Parameters
    ----------
    grid : QGridLayout
        Of the widget that they belong to; its first two columns are taken.
    rows : sequence of (str, str, str)
        Name, caption and tooltip of each.
    prefix : str
        Before the names, for the values' object names.
    """
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setVerticalSpacing(2)
    values, captions = {}, {}
    for row, (name, label, tip) in enumerate(rows):
        caption = captions[name] = QuietLabel(label)
        value = values[name] = QLabel("–")
        value.setObjectName(f"{prefix}-{name}")
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        for widget in (caption, value):
            widget.setToolTip(tip)
        grid.addWidget(caption, row, 0)
        grid.addWidget(value, row, 1)
    grid.setColumnStretch(1, 1)
    return values, captions


class Number(QLabel):
    """A value that can be copied."""

    def __init__(self) -> None:
        super().__init__("–")
        self.alarming = False
        self._colour = ""
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def show_text(self, text: str, alarming: bool) -> None:
        """Show a value."""
        self.alarming = alarming
        if text != self.text():
            self.setText(text)
        self._recolour()

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if is_style_change(event):
            self._recolour()

    def _recolour(self) -> None:
        colours = colours_of(self)
        colour = colours.warning if self.alarming else colours.text
        if colour != self._colour:
            self._colour = colour
            self.setStyleSheet(f"color: {colour}; font-weight: bold;")
