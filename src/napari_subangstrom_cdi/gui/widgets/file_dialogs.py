"""Files that a user picks: Qt's own dialogs, which look the same everywhere and take part in tests, and drops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog, QWidget


def ask_where_to_save(parent: QWidget, title: str, proposal: Path, filters: str) -> Path | None:
    """Ask for a file to write; None if the user changed their mind.

    Parameters
    ----------
    parent : QWidget
        Widget that asks.
    title : str
        Of the dialog.
    proposal : Path
        Folder and name proposed.
    filters : str
        As Qt has them, such as ``TIFF (*.tif);;MRC (*.mrc)``; the one chosen gives a missing suffix.
    """
    dialog = _dialog(parent, title, proposal.parent, filters)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setFileMode(QFileDialog.FileMode.AnyFile)

    def follow_filter(chosen: str) -> None:
        dialog.setDefaultSuffix(_first_suffix(chosen))

    dialog.filterSelected.connect(follow_filter)
    follow_filter(dialog.selectedNameFilter())
    dialog.selectFile(proposal.name)
    return _answer(dialog)


def ask_which_to_open(parent: QWidget, title: str, folder: Path, filters: str) -> Path | None:
    """Ask for a file to read; None if the user changed their mind."""
    dialog = _dialog(parent, title, folder, filters)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    return _answer(dialog)


def ask_which_folder(parent: QWidget, title: str, folder: Path) -> Path | None:
    """Ask for a folder, which may be new; None if the user changed their mind."""
    dialog = _dialog(parent, title, folder, "")
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    return _answer(dialog)


def pick_file(parent: QWidget, title: str, filters: str, picked: Callable[[str], Any]) -> None:
    """Ask for a file to read without stopping the window; ``picked`` hears its path."""
    dialog = _dialog(parent, title, "", filters)  # where Qt was last
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.fileSelected.connect(picked)
    dialog.open()


class TakesFiles(QWidget):
    """A widget onto which a file may be dropped; the first that is welcome is taken."""

    welcome_suffix = ""
    """Of the files that are welcome, in lower case; empty for any."""

    def take_file(self, path: str) -> None:
        """What becomes of it."""
        raise NotImplementedError

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Say whether it is welcome."""
        if event is not None and self._dropped(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Take the first file."""
        path = None if event is None else self._dropped(event)
        if event is not None and path is not None:
            event.acceptProposedAction()
            self.take_file(path)

    def _dropped(self, event: QDropEvent) -> str | None:
        data = event.mimeData()
        if data is None:
            return None
        paths = (url.toLocalFile() for url in data.urls())
        return next(
            (path for path in paths if path.lower().endswith(self.welcome_suffix) and Path(path).is_file()), None
        )


def _dialog(parent: QWidget, title: str, folder: Path | str, filters: str) -> QFileDialog:
    dialog = QFileDialog(parent, title, str(folder), filters)
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    return dialog


def _answer(dialog: QFileDialog) -> Path | None:
    accepted = dialog.exec() == QFileDialog.DialogCode.Accepted
    chosen = dialog.selectedFiles()
    dialog.deleteLater()
    return Path(chosen[0]) if accepted and chosen else None


def _first_suffix(name_filter: str) -> str:
    _, _, patterns = name_filter.partition("(*.")
    return patterns.split(")")[0].split(" ")[0]
