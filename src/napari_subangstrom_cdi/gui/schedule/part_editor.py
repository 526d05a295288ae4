"""Editors of a constraint's or an update rule's parameters, made from their declaration."""

from __future__ import annotations

from functools import partial
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit, SpinBox
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import QLocale
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_subangstrom_cdi.core.phasing.registry import kind_of, parameters_of, table_of
from napari_subangstrom_cdi.parameters import Declared

_FAR = 1e9  # of a number that has no limit
_PLACES = 4


class PartEditor(QWidget):
    """One row a parameter. A value that the user leaves alone stays as it is, whatever digits are shown of it."""

    def __init__(self, part: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = table_of(part)
        self._editors: dict[str, ValueWidget[Any]] = {}
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for name, known in parameters_of(part).items():
            editor = editor_of(known, self._table[name])
            editor.native.setObjectName(f"{kind_of(part)}.{name}")
            editor.changed.connect(partial(self._table.__setitem__, name))
            label = QLabel(f"{kind_of(part)}: {known.parameter.caption}")
            label.setToolTip(editor.tooltip)
            layout.addRow(label, editor.native)
            self._editors[name] = editor

    @property
    def is_empty(self) -> bool:
        """Whether there is no parameter to edit."""
        return not self._editors

    def table(self) -> dict[str, Any]:
        """Name and parameters, as a stage takes them."""
        return dict(self._table)


def editor_of(known: Declared, value: Any) -> ValueWidget[Any]:
    """A magicgui widget for one declared parameter."""
    parameter = known.parameter
    allowed = parameter.range_in_words()
    tooltip = "\n".join(text for text in (parameter.help, allowed) if text)
    if known.kind == "bool":
        return CheckBox(value=value, tooltip=tooltip)
    if known.kind == "choice":
        words = dict(parameter.words)
        choices = [(str(words.get(choice, choice)), choice) for choice in known.choices]
        return ComboBox(value=value, choices=choices, tooltip=tooltip)
    if known.kind == "text":
        return LineEdit(value=value, tooltip=tooltip)
    return _number(known, value, tooltip)


def _number(known: Declared, value: Any, tooltip: str) -> ValueWidget[Any]:
    """A spin box over the declared range; what it still lets through, the declaration refuses."""
    parameter = known.parameter
    low = next((limit for limit in (parameter.low, parameter.above) if limit is not None), -_FAR)
    high = next((limit for limit in (parameter.high, parameter.below) if limit is not None), _FAR)
    box: SpinBox | FloatSpinBox
    if known.kind == "int":
        box = SpinBox(value=int(value), min=int(low), max=int(high), step=int(parameter.step or 1), tooltip=tooltip)
    else:
        box = FloatSpinBox(value=float(value), min=low, max=high, step=parameter.step or 0.1, tooltip=tooltip)
        box.native.setDecimals(_PLACES if parameter.decimals is None else parameter.decimals)
        box.native.setLocale(QLocale.c())
    box.native.setSuffix(f" {parameter.unit}" if parameter.unit else "")
    return box
