"""Which crystal: one of those built in, or a CIF."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCompleter, QLineEdit, QWidget

from napari_subangstrom_cdi.core.crystal.unit_cell import Crystal, crystal, crystal_names
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.loop.previews import Previews
from napari_subangstrom_cdi.gui.widgets.editors import ComboBox
from napari_subangstrom_cdi.gui.widgets.file_dialogs import pick_file
from napari_subangstrom_cdi.gui.widgets.input_row import ChoiceRow

_FILTER = "Crystal (*.cif);;All files (*)"
_LONG = 80
_TIP = "What the particle is made of: the name of a crystal that is built in, or the path of a CIF"


class CrystalRow(ChoiceRow):
    """A list to choose from or to type into, "Browse…", and a line that says what the crystal is, or what is wrong."""

    welcome_suffix = ".cif"
    picked = Signal(object)
    """Name or path, None for nothing."""

    def __init__(self, previews: Previews, parent: QWidget | None = None) -> None:
        super().__init__(("model-crystal", "browse-crystal"), "Crystal", _TIP, "a CIF", parent)
        self._previews = previews
        self._task = f"crystal-{id(self)}"
        self._asked: str | None = ""
        self.combo.setEditable(True)
        self.combo.setInsertPolicy(ComboBox.InsertPolicy.NoInsert)
        self.combo.addItems(crystal_names())
        completer = QCompleter(list(crystal_names()), self)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.combo.setCompleter(completer)
        self.line.setPlaceholderText("name, or path of a CIF")
        self.lay_out()
        self.combo.setCurrentIndex(-1)
        self.combo.activated.connect(self._on_entered)
        self.line.editingFinished.connect(self._on_entered)
        self.browse.clicked.connect(self._ask)
        previews.ready.connect(self._on_read)

    @property
    def line(self) -> QLineEdit:
        """Where a name or a path is typed; asked of the list each time, which owns it."""
        return self.combo.lineEdit()

    def show_crystal(self, name: str | None) -> None:
        """Show which it is, and look what it is; emits nothing."""
        if self.line.text() != (name or "") and not self.line.isModified():
            with QSignalBlocker(self.combo):
                self.combo.setEditText(name or "")
        if name == self._asked:
            return
        self._asked = name
        if name is None:
            self._previews.forget(self._task)
            self.note.show_message("")
        else:
            self._previews.ask(self._task, lambda: (name, _read(name)))

    def _on_read(self, task: str, answer: Any) -> None:
        if task != self._task:
            return
        _, found = answer
        if isinstance(found, Crystal):
            self.note.show_message(described(found))
        else:
            self.note.show_message(found, "error")

    # What the user does

    def _on_entered(self, _: int = 0) -> None:
        self.line.setModified(False)
        self.picked.emit(self.line.text().strip() or None)

    def _ask(self) -> None:
        pick_file(self, "Choose a crystal", _FILTER, self.picked.emit)

    def take_file(self, path: str) -> None:
        """A CIF that was dropped here."""
        self.picked.emit(path)


def _read(name: str) -> Crystal | str:
    """The crystal, or why there is none."""
    try:
        return crystal(name)
    except InputError as error:
        mend = error.mend or ""
        if len(mend) > _LONG:  # all the names, which are in the list
            mend = "choose one of the list, or give the path of a CIF"
        return f"{error.problem}; {mend}" if mend else error.problem


def described(found: Crystal) -> str:
    """Formula and cell in a line."""
    formula = Atoms(found.numbers).get_chemical_formula("metal", empirical=True)
    lengths = np.linalg.norm(found.cell_angstrom, axis=1)
    axes = ", ".join(f"{name} {length:.3f} Å" for name, length in zip("abc", lengths, strict=True))
    return f"{formula}; {axes}; {len(found.numbers)} atoms in the cell"
