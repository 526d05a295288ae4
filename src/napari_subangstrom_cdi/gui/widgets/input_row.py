"""One input of a job: which layer or file it is, and which frame of a stack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSpinBox, QToolButton, QVBoxLayout, QWidget

from napari_subangstrom_cdi.io import FORMATS, packed

from .editors import CalmWheel, ComboBox
from .file_dialogs import TakesFiles, pick_file
from .inputs import Role
from .style import Level, StatusLine

_SUM, _ONE = "all added up", "one frame"


@dataclass(frozen=True)
class Choice:
    """An entry of the list: its text, what it says on hovering, and the layer, path or word that it stands for."""

    text: str
    source: Layer | str | None
    tooltip: str = ""


class ChoiceRow(TakesFiles):
    """Label, list, "Browse…", and a line under them that says what was chosen, or what is wrong; takes files by drop.

    Parameters
    ----------
    names : (str, str)
        Object names of the list, whose note is called after it, and of the button.
    label, tooltip : str
        Of the list.
    file : str
        What may be chosen as a file.
    """

    def __init__(
        self, names: tuple[str, str], label: str, tooltip: str, file: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setAcceptDrops(True)
        self.label = QLabel(label)
        self.combo = ComboBox()
        self.combo.setObjectName(names[0])
        self.combo.setAccessibleName(label)
        self.browse = QToolButton()
        self.browse.setText("Browse…")
        self.browse.setObjectName(names[1])
        self.browse.setAccessibleName(f"{label}: choose a file")
        self.browse.setToolTip(f"Choose {file}; it may also be dropped here")
        for widget in (self.label, self.combo):
            widget.setToolTip(tooltip)
        self.label.setBuddy(self.combo)
        self.note = StatusLine()
        self.note.setObjectName(f"{names[0]}-note")

    def lay_out(self, *between: QWidget) -> None:
        """One row, then what stands between, then the note."""
        row = QHBoxLayout()
        row.addWidget(self.label)
        row.addWidget(self.combo, stretch=1)
        row.addWidget(self.browse)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        for widget in (*between, self.note):
            column.addWidget(widget)


class InputRow(ChoiceRow):
    """A list of layers and files, and the frame of a stack.

    Signals
    -------
    picked : Layer, str or None
        What the user chose.
    frame_picked : int or str
        Which frame, or ``sum``.
    another_wanted
        Another array of the same file is to be chosen.
    """

    picked = Signal(object)
    frame_picked = Signal(object)
    another_wanted = Signal()

    def __init__(self, role: Role, label: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__((f"input-{role}", f"browse-{role}"), label, tooltip, "a file", parent)
        self.role = role
        self._choices: list[Choice] = []
        self._frames = self._frame_widgets()
        self.arrays = QToolButton()
        self.arrays.setText("Another array…")
        self.arrays.setObjectName(f"arrays-{role}")
        self.arrays.setAccessibleName(f"{label}: choose another array of this file")
        self.arrays.setVisible(False)
        self.arrays.clicked.connect(lambda: self.another_wanted.emit())
        self._beneath = QWidget()
        row = QHBoxLayout(self._beneath)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._frames)
        row.addWidget(self.arrays)
        row.addStretch(1)
        self._beneath.setVisible(False)
        self.lay_out(self._beneath)
        self.combo.activated.connect(self._on_activated)
        self.browse.clicked.connect(self._ask)

    def _frame_widgets(self) -> QWidget:
        self.frame_mode = ComboBox()
        self.frame_mode.addItems((_SUM, _ONE))
        self.frame_mode.setObjectName(f"frame-mode-{self.role}")
        self.frame_mode.setAccessibleName(f"frames of the {self.role}")
        self.frame_mode.setToolTip("Add up all frames of the stack, or take one of them")
        self.frame_number = _FrameBox()
        self.frame_number.setObjectName(f"frame-{self.role}")
        self.frame_number.setAccessibleName(f"frame of the {self.role}")
        self.frame_number.setToolTip("Which frame, from 0")
        self.frame_number.setKeyboardTracking(False)
        self.frame_number.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.frame_count = QLabel()
        box = QWidget()
        row = QHBoxLayout(box)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self.frame_count, self.frame_mode, self.frame_number):
            row.addWidget(widget)
        box.setVisible(False)
        self.frame_mode.activated.connect(self._on_frame)
        self.frame_number.valueChanged.connect(self._on_frame)
        return box

    # What is shown

    def show_choices(self, choices: Sequence[Choice], current: int) -> None:
        """Offer these, one of them chosen; emits nothing."""
        if [(c.text, c.source) for c in choices] != [(c.text, c.source) for c in self._choices]:
            self._choices = list(choices)
            with QSignalBlocker(self.combo):
                self.combo.clear()
                for index, choice in enumerate(choices):
                    self.combo.addItem(choice.text)
                    self.combo.setItemData(index, choice.tooltip or choice.text, Qt.ItemDataRole.ToolTipRole)
        if self.combo.currentIndex() != current:
            self.combo.setCurrentIndex(current)

    def show_frames(self, count: int, frame: Any) -> None:
        """Offer the frames of a stack; of a single image nothing is offered."""
        self._frames.setVisible(count > 1)
        self._show_beneath()
        if count <= 1:
            return
        with QSignalBlocker(self.frame_number):
            self.frame_number.setRange(0, count - 1)
            if isinstance(frame, int):
                self.frame_number.setValue(frame)
        self.frame_count.setText(f"{count} frames:")
        self.frame_mode.setCurrentIndex(1 if isinstance(frame, int) else 0)
        self.frame_number.setVisible(isinstance(frame, int))

    def show_arrays(self, count: int) -> None:
        """Offer the other arrays of the file, if it has any."""
        self.arrays.setVisible(count > 1)
        self.arrays.setToolTip(f"The file holds {count} arrays: choose another one")
        self._show_beneath()

    def _show_beneath(self) -> None:
        self._beneath.setVisible(not (self._frames.isHidden() and self.arrays.isHidden()))

    def say(self, text: str, level: Level = "info") -> None:
        """A sentence under the row."""
        self.note.show_message(text, level)

    # What the user does

    def _on_activated(self, index: int) -> None:
        self.picked.emit(self._choices[index].source)

    def _on_frame(self) -> None:
        self.frame_picked.emit(self.frame_number.value() if self.frame_mode.currentText() == _ONE else "sum")

    def _ask(self) -> None:
        pick_file(self, f"Choose the {self.role}", file_filters(), self.picked.emit)

    def take_file(self, path: str) -> None:
        """A file that was dropped here."""
        self.picked.emit(path)


class _FrameBox(CalmWheel, QSpinBox):
    """A number that leaves the wheel to the dock unless it has the focus."""


def file_filters() -> str:
    """The formats that can be read, as Qt's file dialog has them: all in one with packed ones, then each."""
    suffixes = dict.fromkeys(suffix for known in FORMATS for suffix in known.suffixes)
    each = [f"{known.name} ({_patterns(known.suffixes)})" for known in FORMATS if known.suffixes]
    every, archives = _patterns((*suffixes, *packed.SUFFIXES)), f"Packed ({_patterns(packed.SUFFIXES)})"
    return ";;".join((f"Images ({every})", *each, archives, "All files (*)"))


def _patterns(suffixes: Iterable[str]) -> str:
    return " ".join(f"*{suffix}" for suffix in suffixes)
