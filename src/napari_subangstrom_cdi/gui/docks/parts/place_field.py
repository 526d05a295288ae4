"""A line for a place in an image: y and x, or nothing."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QWidget

from napari_subangstrom_cdi.parameters import Declared


class PlaceField(QWidget):
    """Caption and line of a parameter that is y and x in pixels, or None.

    ``changed(place)`` is emitted when the user has entered another place or emptied the line; what is no place is
    taken back.
    """

    changed = Signal(object)

    def __init__(self, known: Declared, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        parameter = known.parameter
        self._place: tuple[float, float] | None = None
        self.line = QLineEdit()
        self.line.setObjectName(known.name)
        self.line.setPlaceholderText(parameter.automatic)
        label = QLabel(f"{parameter.caption} (y, x)")
        label.setBuddy(self.line)
        for widget in (label, self.line):
            widget.setToolTip(parameter.help)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(label)
        layout.addWidget(self.line)
        self.line.editingFinished.connect(self._on_finished)

    def show_place(self, place: tuple[float, float] | None) -> None:
        """Show what is set; nothing is emitted."""
        self._place = place
        self.line.setText("" if place is None else f"{place[0]:g}, {place[1]:g}")

    def _on_finished(self) -> None:
        text = self.line.text().strip()
        try:
            y, x = (float(part) for part in text.split(",")) if text else (-1.0, -1.0)
        except ValueError:
            self.show_place(self._place)
            return
        place = (y, x) if text else None
        if text and min(y, x) < 0:
            self.show_place(self._place)
        elif place != self._place:
            self.changed.emit(place)
