"""File dialogs: Qt's own, which look the same everywhere and take part in tests."""

from __future__ import annotations

from pathlib import Path

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


def _dialog(parent: QWidget, title: str, folder: Path, filters: str) -> QFileDialog:
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
