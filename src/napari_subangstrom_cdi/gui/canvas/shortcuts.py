"""Keyboard shortcuts: what they do, bound to a viewer, and a window that lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from napari.components import ViewerModel
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QGridLayout, QLabel, QVBoxLayout, QWidget


class Commands(Protocol):
    """What the shortcuts do."""

    def toggle_run(self) -> None:
        """Run, pause or go on."""

    def step_once(self) -> None:
        """One iteration, then wait."""

    def stop(self) -> None:
        """End what goes on."""

    def next_step(self) -> None:
        """Do the first step that is not done."""

    def toggle_masks(self) -> None:
        """Show or hide support and regions."""

    def undo(self) -> None:
        """Take back the last change of settings."""

    def redo(self) -> None:
        """Make it again."""


@dataclass(frozen=True)
class Shortcut:
    """Keys, as napari writes them, what they do in words, and what does it."""

    keys: str
    does: str
    act: Callable[[Commands], None]


SHORTCUTS = (
    Shortcut("Control-Shift-R", "Run, pause or resume the phase retrieval", lambda commands: commands.toggle_run()),
    Shortcut("Control-Shift-I", "One iteration, then wait", lambda commands: commands.step_once()),
    Shortcut("Control-Shift-X", "Stop what goes on; finished members are kept", lambda commands: commands.stop()),
    Shortcut("Control-Shift-N", "Do the next step", lambda commands: commands.next_step()),
    Shortcut("Control-Shift-M", "Show or hide support and regions", lambda commands: commands.toggle_masks()),
    Shortcut("Control-Alt-Z", "Undo the last change of settings", lambda commands: commands.undo()),
    Shortcut("Control-Alt-Y", "Redo it", lambda commands: commands.redo()),
)


def bind(viewer: ViewerModel, commands: Commands) -> None:
    """Bind the shortcuts on a canvas."""
    for shortcut in SHORTCUTS:
        viewer.bind_key(shortcut.keys, _caller(shortcut, commands), overwrite=True)


def unbind(viewer: ViewerModel) -> None:
    """Let them go."""
    for shortcut in SHORTCUTS:
        viewer.bind_key(shortcut.keys, None, overwrite=True)


def _caller(shortcut: Shortcut, commands: Commands) -> Callable[[ViewerModel], None]:
    def call(viewer: ViewerModel) -> None:
        shortcut.act(commands)

    call.__doc__ = shortcut.does
    return call


class ShortcutHelp(QDialog):
    """The list of shortcuts."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Sub-Å CDI: keyboard shortcuts")
        grid = QGridLayout()
        for row, shortcut in enumerate(SHORTCUTS):
            keys = QLabel(shortcut.keys.replace("Control", "Ctrl").replace("-", "+"))
            font = keys.font()
            font.setBold(True)
            keys.setFont(font)
            grid.addWidget(keys, row, 0)
            grid.addWidget(QLabel(shortcut.does), row, 1)
        note = QLabel("They hold while one of the two canvases has the keyboard: click on it first.")
        note.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addLayout(grid)
        layout.addWidget(note)
        layout.addWidget(buttons)
