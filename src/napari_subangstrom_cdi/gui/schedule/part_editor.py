"""Rows for the parameters of a constraint or an update rule, made from their declaration."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_subangstrom_cdi.core.phasing.registry import kind_of, parameters_of, table_of
from napari_subangstrom_cdi.gui.widgets.editors import editor_of, help_of


class PartEditor(QWidget):
    """One row a parameter. A value that the user leaves alone stays as it is, whatever digits are shown of it."""

    def __init__(self, part: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = table_of(part)
        self._editors: list[Any] = []
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for name, known in parameters_of(part).items():
            editor = editor_of(known)
            editor.value = self._table[name]
            editor.native.setObjectName(f"{kind_of(part)}.{name}")
            editor.native.setToolTip(help_of(known))
            editor.changed.connect(partial(self._table.__setitem__, name))
            label = QLabel(f"{kind_of(part)}: {known.parameter.caption}")
            label.setToolTip(help_of(known))
            layout.addRow(label, editor.native)
            self._editors.append(editor)

    @property
    def is_empty(self) -> bool:
        """Whether there is no parameter to edit."""
        return not self._editors

    def table(self) -> dict[str, Any]:
        """Name and parameters, as a stage takes them."""
        return dict(self._table)
