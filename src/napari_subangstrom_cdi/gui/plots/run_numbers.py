"""The numbers of a run, in figures that keep their place."""

from __future__ import annotations

import math
from typing import Final

from qtpy.QtCore import Qt
from qtpy.QtGui import QFont, QFontDatabase, QShowEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_subangstrom_cdi.gui.widgets.painting import write
from napari_subangstrom_cdi.gui.widgets.style import QuietLabel

_NONE: Final = "–"
_MOST_LETTERS: Final = 7
# name, caption, tooltip, the widest text that is usual
_CELLS: Final = (
    ("member", "member", "Member of the ensemble, and how many there are", "100/100"),
    ("stage", "stage", "Stage of the schedule", "complex"),
    ("iteration", "iteration", "Iteration of this member, and how many it has", "150/170"),
    ("time", "time left", "Until the last member has finished, at the present rate", "1 h 59 m"),
    ("r", "R", "R-factor: misfit of the amplitudes inside G, of the estimate demanded to obey the support", "100.0 %"),
    ("free_r", "free R", "R-factor of the pixels of G that this member was not shown", "100.0 %"),
    ("agreement", "image", "Agreement with the image: 1 is full", "0.999"),
    ("rate", "it./s", "Iterations per second", "1000"),
)


class RunNumbers(QWidget):
    """Member, stage, iteration, time left; R, free R, image agreement, iterations per second.

    The figures have one width, so that the text does not jump, and can be selected with the mouse.
    """

    _COLUMNS = 4

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values: dict[str, QLabel] = {}
        self._state: dict[str, int | None] = {}
        self._padding = 0
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(0)
        layout.setHorizontalSpacing(max(4, self.fontMetrics().height() // 3))
        for i, (name, caption, tooltip, _) in enumerate(_CELLS):
            row, column = 2 * (i // self._COLUMNS), i % self._COLUMNS
            layout.addWidget(_caption(caption, tooltip), row, column)
            value = _value(name, caption, tooltip)
            layout.addWidget(value, row + 1, column)
            layout.setColumnStretch(column, 1)
            self._values[name] = value
        self.clear()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Font and theme are known now, and with them the room that the widest text needs."""
        self._padding = _padding_of(self._values["r"])
        for name, _, _, widest in _CELLS:
            value = self._values[name]
            width = value.fontMetrics().horizontalAdvance(widest) + self._padding
            value.setFixedSize(width, value.sizeHint().height())
            self._make_room(value)
        super().showEvent(event)

    def clear(self) -> None:
        """Forget all numbers."""
        self._state = dict.fromkeys(("member", "members", "iteration", "iterations"))
        for label in self._values.values():
            label.setText(_NONE)

    def set(
        self,
        *,
        member: int | None = None,
        members: int | None = None,
        stage: str | None = None,
        iteration: int | None = None,
        iterations: int | None = None,
        r: float | None = None,
        free_r: float | None = None,
        agreement: float | None = None,
        rate: float | None = None,
        seconds_left: float | None = None,
    ) -> None:
        """Change what is given and leave the rest; NaN shows a dash. Members and iterations count from 1."""
        counts = {"member": member, "members": members, "iteration": iteration, "iterations": iterations}
        self._state.update({name: value for name, value in counts.items() if value is not None})
        self._write("member", _of(self._state["member"], self._state["members"]))
        self._write("iteration", _of(self._state["iteration"], self._state["iterations"]))
        if stage is not None:
            self._write("stage", _shortened(stage))
            self._values["stage"].setToolTip(f"Stage of the schedule: {stage}")
        if r is not None:
            self._write("r", percent(r))
        if free_r is not None:
            self._write("free_r", percent(free_r))
        if agreement is not None:
            self._write("agreement", f"{agreement:.3f}" if math.isfinite(agreement) else _NONE)
        if rate is not None:
            self._write("rate", f"{rate:.{1 if rate < 100 else 0}f}" if math.isfinite(rate) else _NONE)
        if seconds_left is not None:
            self._write("time", duration(seconds_left))

    def text(self, name: str) -> str:
        """What is shown as member, stage, iteration, time, r, free_r, agreement or rate."""
        return self._values[name].text()

    def _write(self, name: str, text: str) -> None:
        label = self._values[name]
        if label.text() != text:  # writing drops a selection
            write(label, text)
            self._make_room(label)

    def _make_room(self, label: QLabel) -> None:
        """Of fixed size, a label whose text changes has nothing laid out anew; only a text too wide for it does."""
        wanted = label.fontMetrics().horizontalAdvance(label.text()) + self._padding
        if label.minimumWidth() == label.maximumWidth() < wanted:
            label.setFixedWidth(wanted)


def _shortened(stage: str) -> str:
    """A long name of a stage would make the window outgrow a small screen."""
    return stage if len(stage) <= _MOST_LETTERS else stage[: _MOST_LETTERS - 1] + "…"


def _padding_of(like: QLabel) -> int:
    """Width that the theme adds to the text of a label; a fixed size leaves its own hint behind."""
    probe = QLabel("0", like.parentWidget())
    probe.setFont(like.font())
    probe.ensurePolished()
    padding = probe.sizeHint().width() - probe.fontMetrics().horizontalAdvance("0")
    probe.setParent(None)
    return max(padding, 0) + 1  # what figures are wide is rounded


def percent(value: float) -> str:
    """An R-factor in percent, a dash if there is none."""
    if not math.isfinite(value):
        return _NONE
    return f"{100 * value:.{1 if value >= 0.1 else 2}f} %"


def duration(seconds: float) -> str:
    """A time to wait, to a sensible accuracy."""
    if not math.isfinite(seconds) or seconds < 0:
        return _NONE
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"


def _of(value: int | None, total: int | None) -> str:
    if value is None:
        return _NONE
    if total is None:
        return str(value)
    return f"{value:>{len(str(total))}}/{total}"


def _caption(text: str, tooltip: str) -> QuietLabel:
    label = QuietLabel(text)
    label.setToolTip(tooltip)
    return label


def _value(name: str, caption: str, tooltip: str) -> QLabel:
    label = QLabel(_NONE)
    label.setObjectName(f"run_{name}")
    label.setAccessibleName(caption)
    label.setToolTip(tooltip)
    fixed = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    fixed.setPointSizeF(label.font().pointSizeF())
    fixed.setStyleHint(QFont.StyleHint.Monospace)
    label.setFont(fixed)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
