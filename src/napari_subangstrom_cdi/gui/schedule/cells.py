"""The columns of the schedule table: how a stage is shown, what an entry changes, and the editors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from qtpy.QtCore import QAbstractItemModel, QLocale, QModelIndex, Qt
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QSpinBox, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from napari_subangstrom_cdi.core.phasing.registry import explained, kind_of, parameters_of
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.core.phasing.updates import UPDATES, Update, check_beta, with_beta
from napari_subangstrom_cdi.errors import InputError


@dataclass(frozen=True)
class Column:
    """A column: the field of `Stage` behind it, its heading, help, text, and where it has an effect.

    ``show`` gives the text of the cell, ``tell`` the lines of its tooltip where these are others.
    """

    field: str
    heading: str
    tooltip: str
    show: Callable[[Stage], str]
    used: Callable[[Stage], bool] = lambda stage: True
    why_unused: str = ""
    tell: Callable[[Stage], str] | None = None


def _values(part: Any) -> list[tuple[str, str]]:
    """Captions and values of the parameters of a constraint or an update rule."""
    return [
        (known.parameter.caption, f"{_text(getattr(part, name))} {known.parameter.unit}".strip())
        for name, known in parameters_of(part).items()
    ]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:g}"


def _arrows(stage: Stage) -> str:
    """Constraints with their values; a line may end at the spaces round an arrow and nowhere else."""
    words = (" ".join([kind_of(each), *(value for _, value in _values(each))]) for each in stage.constraints)
    return " → ".join(text.replace(" ", "\N{NO-BREAK SPACE}").replace("-", "\N{NON-BREAKING HYPHEN}") for text in words)


def _constraints_in_words(stage: Stage) -> str:
    said = [(kind_of(each), _values(each)) for each in stage.constraints]
    lines = [f"{kind}: {caption} {value}" for kind, values in said for caption, value in values]
    return "\n".join([" → ".join(kind for kind, _ in said), *lines])


def _feedback(stage: Stage) -> str:
    """β alone as a number; every parameter of a rule that has others by its caption."""
    values = _values(stage.update)
    if has_beta_alone(stage):
        return values[0][1]
    return ", ".join(f"{caption} {value}" for caption, value in values)


def has_beta_alone(stage: Stage) -> bool:
    """Whether the update rule's only parameter is β."""
    return parameters_of(stage.update).keys() == {"beta"}


def _limits(stage: Stage) -> str:
    limits = stage.q_limits_per_angstrom
    return "" if limits is None else " – ".join(f"{limit:g}" for limit in limits)


def _update_in_words(stage: Stage) -> str:
    return f"{kind_of(stage.update)}: {explained(type(stage.update))}"


COLUMNS: Final = (
    Column("name", "Stage", "Name of the stage, shown beside the R-factor", lambda stage: stage.name),
    Column("iterations", "Iter.", "Number of iterations, 0 or more", lambda stage: str(stage.iterations)),
    Column(
        "update",
        "Update",
        "Update rule: how the next iterate is made",
        lambda stage: kind_of(stage.update),
        tell=_update_in_words,
    ),
    Column(
        "constraints",
        "Constraints",
        "Constraints on the object, in the order in which they act, and their parameters",
        _arrows,
        tell=_constraints_in_words,
    ),
    Column(
        "beta",
        "β",
        "Feedback of the update rule, above 0 and at most 1, and its other parameters",
        _feedback,
        lambda stage: bool(parameters_of(stage.update)),
        "the update rule has no feedback and no other parameters",
    ),
    Column(
        "q_limits_per_angstrom",
        "q limits (Å⁻¹)",
        "Amplitudes are demanded up to a |q| that grows from the first number to the second during the stage,"
        " and are upper limits beyond; empty: all are demanded",
        _limits,
    ),
)


def changed_stage(stage: Stage, column: Column, entry: Any) -> Stage:
    """The stage with an entry taken over; raises InputError if it is no good."""
    where = f"stage {stage.name!r}"
    if column.field == "update":
        return replace(stage, update=with_beta(UPDATES.made(entry, where), stage.beta))
    if column.field == "beta":
        return replace(stage, update=_with_parameters(stage, entry, where))
    if column.field == "q_limits_per_angstrom":
        entry = parse_limits(str(entry), stage.name)
    elif column.field == "name":
        entry = str(entry).strip()
        if not entry:
            raise InputError("an empty name", where=where, mend="give the stage a name")
    return replace(stage, **{column.field: entry})


def _with_parameters(stage: Stage, entry: Any, where: str) -> Update:
    """The stage's rule with another β, or as a popup's table says."""
    if isinstance(entry, Mapping):
        return UPDATES.made(entry, where)
    check_beta(entry, where)
    return with_beta(stage.update, entry)


def parse_limits(text: str, stage: str) -> tuple[float, float] | None:
    """Two numbers, or one for both, apart from each other by anything sensible; None for no text."""
    if not text.strip():
        return None
    words = [word for word in re.split(r"(?:[\s–—;,…]|(?<=[\d\s])-|\bto\b)+", text.strip()) if word]
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise InputError(
            f"q limits {text!r}",
            where=f"stage {stage!r}",
            mend="give two numbers in Å⁻¹, such as 0.4 – 1.2, or nothing",
        )
    return numbers[0], numbers[-1]


class CellDelegate(QStyledItemDelegate):
    """Editors in the cells: a spin box, a list, or a line of text."""

    def createEditor(self, parent: QWidget | None, option: QStyleOptionViewItem, index: QModelIndex) -> QWidget | None:
        """The editor of a column."""
        field = COLUMNS[index.column()].field
        if field == "iterations":
            whole = QSpinBox(parent)
            whole.setRange(0, 1_000_000)
            return _plain(whole)
        if field == "beta":
            # wider than what is allowed: the stage itself says what is wrong with a value
            number = QDoubleSpinBox(parent)
            number.setLocale(QLocale.c())
            number.setDecimals(3)
            number.setRange(-100, 100)
            number.setSingleStep(0.05)
            return _plain(number)
        if field == "update":
            box = QComboBox(parent)
            for name in UPDATES.names():
                box.addItem(name)
                box.setItemData(box.count() - 1, explained(UPDATES.named(name)), Qt.ItemDataRole.ToolTipRole)
            box.activated.connect(lambda _: self._finish(box))
            return box
        editor: QWidget | None = super().createEditor(parent, option, index)
        return editor

    def setEditorData(self, editor: QWidget | None, index: QModelIndex) -> None:
        """Fill an editor."""
        value = index.data(Qt.ItemDataRole.EditRole)
        if isinstance(editor, QComboBox):
            editor.setCurrentText(str(value))
        elif isinstance(editor, (QSpinBox, QDoubleSpinBox)):
            editor.setValue(value)
            editor.selectAll()
        else:
            super().setEditorData(editor, index)

    def setModelData(self, editor: QWidget | None, model: QAbstractItemModel | None, index: QModelIndex) -> None:
        """Hand an entry to the model."""
        if model is None:
            return
        if isinstance(editor, QComboBox):
            model.setData(index, editor.currentText())
        elif isinstance(editor, (QSpinBox, QDoubleSpinBox)):
            editor.interpretText()
            model.setData(index, editor.value())
        else:
            super().setModelData(editor, model, index)

    def _finish(self, editor: QWidget) -> None:
        self.commitData.emit(editor)
        self.closeEditor.emit(editor)


def _plain(box: QSpinBox | QDoubleSpinBox) -> QSpinBox | QDoubleSpinBox:
    """A spin box that fits into a cell."""
    box.setButtonSymbols(box.ButtonSymbols.NoButtons)
    box.setFrame(False)
    box.setStyleSheet("QAbstractSpinBox { min-width: 0; padding: 0 2px; }")
    return box
