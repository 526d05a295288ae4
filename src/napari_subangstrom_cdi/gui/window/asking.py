"""Questions before something computed is lost: a result that is not saved, and one in a file that is written over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox, QWidget

import napari_subangstrom_cdi
from napari_subangstrom_cdi.gui.widgets.file_dialogs import ask_where_to_save
from napari_subangstrom_cdi.io import split_address
from napari_subangstrom_cdi.session.session import Session

PROJECT_FILTER = "Project (*.cxi)"
_SUFFIXES = (".cxi", ".h5", ".hdf5")
_BUTTON, _ROLE = QMessageBox.StandardButton, QMessageBox.ButtonRole


class Job(Protocol):
    """What is asked about: a window's session, and the file it is kept in."""

    session: Session
    project_path: Path | None

    def stop(self) -> None:
        """End what goes on."""

    def poll(self) -> None:
        """Pass on what happened."""

    def save(self, path: str | Path) -> bool:
        """Write the project; False if that failed, which is said."""


def has_unsaved_work(job: Job) -> bool:
    """Whether there is a result, or a finished member of a run that goes on, that is in no project."""
    session = job.session
    live = session.live
    return session.unsaved or (session.steerable and live is not None and live.average is not None)


def ask_about_unsaved(parent: QWidget | None, job: Job, *, because: str = "") -> bool:
    """Offer to save; True if the result may go: saved, or the user does not want it.

    Parameters
    ----------
    parent : QWidget or None
        The window that asks.
    job : Job
        Whose result it is.
    because : str
        Why it would go, to follow "is not saved"; empty where that is plain, as at the end.
    """
    box = _question(parent, "subangstrom-unsaved")
    if job.session.steerable:
        box.setText("A run goes on. Stop it and save the average of the members that are finished?")
    elif because:
        box.setText(f"The reconstruction is not saved, {because}. Save it in a project first?")
    else:
        box.setText("The reconstruction is not saved. Save it in a project?")
    box.setStandardButtons(_BUTTON.Save | _BUTTON.Discard | _BUTTON.Cancel)
    box.setDefaultButton(_BUTTON.Save)
    answer = box.exec()
    box.deleteLater()
    if answer == _BUTTON.Discard:
        return True
    return answer == _BUTTON.Save and _stop_and_save(parent, job)


def may_run(job: Job) -> bool:
    """Whether a new run may take the place of the result; asks if that is in no project."""
    if not job.session.unsaved or job.session.busy:
        return True
    return ask_about_unsaved(QApplication.activeWindow(), job, because="and a new run replaces it")


def _stop_and_save(parent: QWidget | None, job: Job) -> bool:
    path = job.project_path or ask_where_to_save(parent, "Save the project", proposed_project(job), PROJECT_FILTER)
    if path is None:
        return False
    if job.session.busy:
        job.stop()
        _wait(lambda: not job.session.busy)
        job.poll()
    path = where_to_save(parent, job, path)
    return path is not None and job.save(path)


def where_to_save(parent: QWidget | None, job: Job, path: Path) -> Path | None:
    """Where the project goes: there, beside it, or nowhere.

    Asks if a project or result there holds members that the window has not; a suffix that is missing is added.
    """
    if path.suffix.lower() not in _SUFFIXES:
        path = path.with_name(f"{path.name}.cxi")
    held = job.session.would_replace(path)
    if held is None:
        return path
    result = job.session.result
    mine = "no reconstruction" if result is None else f"one of {_members(len(result.members))}"
    box = _question(parent, "subangstrom-replace")
    box.setText(f"{path.name} holds another reconstruction, of {_members(held.members)}; this window has {mine}.")
    box.setInformativeText("What is in the file would be gone.")
    beside = box.addButton("Save beside it", _ROLE.AcceptRole)
    replacing = box.addButton("Replace it", _ROLE.DestructiveRole)
    box.addButton(_BUTTON.Cancel)
    box.setDefaultButton(beside)
    box.exec()
    chosen = box.clickedButton()
    box.deleteLater()
    if chosen is beside:
        return _beside(path)
    return path if chosen is replacing else None


def ask_about_new_job(parent: QWidget | None, job: Job, names: list[str]) -> bool:
    """Whether records that came shall be the inputs of a new job; asks about the old one's result, too."""
    if QApplication.activeModalWidget() is not None:  # one question at a time
        return False
    box = _question(parent, "subangstrom-new-job")
    box.setText(f"Begin a new job with {', '.join(f'“{name}”' for name in names)}?")
    box.setInformativeText("Settings and results of the present one leave this window.")
    begin = box.addButton("New job", _ROLE.AcceptRole)
    box.addButton("Keep this one", _ROLE.RejectRole)
    box.setDefaultButton(begin)
    box.exec()
    chosen = box.clickedButton()
    box.deleteLater()
    return chosen is begin and may_begin(parent, job)


def may_begin(parent: QWidget | None, job: Job) -> bool:
    """Whether another job may take the place of this one; asks if there is a result in no project."""
    return not job.session.unsaved or ask_about_unsaved(parent, job, because="and another job takes its place")


def proposed_project(job: Job, suffix: str = ".cxi") -> Path:
    """Where a file about this job may go: beside the project, or beside the pattern under its name."""
    if job.project_path is not None:
        return job.project_path.with_suffix(suffix)
    session = job.session
    pattern, _ = split_address(session.plan.inputs.pattern or "reconstruction")
    ours = Path(napari_subangstrom_cdi.__file__).parent
    nobody_s = "pattern" in session.temporary_inputs or not pattern.name or ours in pattern.resolve().parents
    folder = Path.home() if nobody_s else pattern.parent
    return folder / f"{pattern.stem}{suffix}"


def _question(parent: QWidget | None, name: str) -> QMessageBox:
    box = QMessageBox(parent)
    box.setObjectName(name)
    box.setOption(QMessageBox.Option.DontUseNativeDialog)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Sub-Å CDI")
    return box


def _members(count: int) -> str:
    return "one member" if count == 1 else f"{count} members"


def _beside(path: Path) -> Path:
    """The first of name_2, name_3 … that is free."""
    number = 2
    while (other := path.with_name(f"{path.stem}_{number}{path.suffix}")).exists():
        number += 1
    return other


def _wait(done: Callable[[], bool]) -> None:
    """Let the window live until something is done."""
    loop, timer = QEventLoop(), QTimer()
    timer.timeout.connect(lambda: loop.quit() if done() else None)
    timer.start(20)
    if not done():
        loop.exec()
    timer.stop()
