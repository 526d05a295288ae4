"""The numbers of a run, in figures that keep their place."""

from __future__ import annotations

import math
from typing import Final

from qtpy.QtGui import QFont, QFontDatabase, QShowEvent
from qtpy.QtWidgets import QLabel, QWidget

from napari_subangstrom_cdi.job.readings import LIVE, NONE, READINGS

from .number_table import NumberTable

_MOST_LETTERS: Final = 7
# name, what it is, the widest text that is usual
_CELLS: Final = (
    ("member", LIVE["member"], "100/100"),
    ("stage", LIVE["stage"], "complex"),
    ("iteration", LIVE["iteration"], "150/170"),
    ("time", LIVE["seconds_left"], "1 h 59 m"),
    ("r", READINGS["r_factor"], "100.0 %"),
    ("free_r", READINGS["free_r"], "100.0 %"),
    ("agreement", READINGS["image_agreement"], "0.999"),
    ("rate", LIVE["iterations_per_second"], "1000"),
)


class RunNumbers(NumberTable):
    """Member, stage, iteration, time left; R, free R, image agreement, iterations per second.

    The figures have one width, so that the text does not jump, and can be selected with the mouse.
    """

    _COLUMNS = 4
    _padding = 0

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            {name: reading for name, reading, _ in _CELLS}, "run_", parent, across=self._COLUMNS, brief=True
        )
        self.grid.setContentsMargins(0, 0, 0, 0)
        self.grid.setHorizontalSpacing(max(4, self.fontMetrics().height() // 3))
        for column in range(self._COLUMNS):
            self.grid.setColumnStretch(column, 1)
        for label in self.values.values():
            label.setFont(_figures(label))
        self.clear()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Font and theme are known now, and with them the room that the widest text needs."""
        self._padding = _padding_of(self.values["r"])
        for name, _, widest in _CELLS:
            value = self.values[name]
            width = value.fontMetrics().horizontalAdvance(widest) + self._padding
            value.setFixedSize(width, value.sizeHint().height())
            self._make_room(value)
        super().showEvent(event)

    def clear(self) -> None:
        """Forget all numbers."""
        self._state: dict[str, int | None] = dict.fromkeys(("member", "members", "iteration", "iterations"))
        self.show_metrics(None)

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
        self.show_number("member", _of(self._state["member"], self._state["members"]))
        self.show_number("iteration", _of(self._state["iteration"], self._state["iterations"]))
        if stage is not None:
            self.show_number("stage", _shortened(stage))
            self.values["stage"].setToolTip(f"Stage of the schedule: {stage}")
        if r is not None:
            self.show_value("r", r)
        if free_r is not None:
            self.show_value("free_r", free_r)
        if agreement is not None:
            self.show_value("agreement", agreement)
        if rate is not None:
            self.show_number("rate", f"{rate:.{1 if rate < 100 else 0}f}" if math.isfinite(rate) else NONE)
        if seconds_left is not None:
            self.show_number("time", duration(seconds_left))

    def show_number(self, name: str, text: str, *, alarming: bool = False) -> None:
        """Show a text, in more room if it needs it."""
        label = self.values[name]
        if label.text() != text:
            super().show_number(name, text, alarming=alarming)
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


def duration(seconds: float) -> str:
    """A time to wait, to a sensible accuracy."""
    if not math.isfinite(seconds) or seconds < 0:
        return NONE
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"


def _of(value: int | None, total: int | None) -> str:
    if value is None:
        return NONE
    if total is None:
        return str(value)
    return f"{value:>{len(str(total))}}/{total}"


def _figures(label: QLabel) -> QFont:
    """Of one width, as large as the label's own."""
    fixed = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    fixed.setPointSizeF(label.font().pointSizeF())
    fixed.setStyleHint(QFont.StyleHint.Monospace)
    return fixed
