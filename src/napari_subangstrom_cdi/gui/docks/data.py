"""The Data step: which records, and how they were taken."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from napari.layers import Layer
from qtpy.QtGui import QShowEvent

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.docks.parts.dock import StepDock
from napari_subangstrom_cdi.gui.widgets.acquisition_form import (
    AcquisitionForm,
    in_words,
    missing,
    with_labels,
    with_values,
)
from napari_subangstrom_cdi.gui.widgets.array_chooser import choose_array
from napari_subangstrom_cdi.gui.widgets.fields import Fold
from napari_subangstrom_cdi.gui.widgets.input_row import Choice, InputRow
from napari_subangstrom_cdi.gui.widgets.inputs import ROLES, Role, frame_shape, frames_of
from napari_subangstrom_cdi.gui.widgets.known_files import KnownFiles
from napari_subangstrom_cdi.gui.widgets.style import StatusLine
from napari_subangstrom_cdi.gui.window.asking import ask_about_new_job
from napari_subangstrom_cdi.gui.window.layout import show_reciprocal
from napari_subangstrom_cdi.io import Acquisition, split_address
from napari_subangstrom_cdi.io.image import short_name
from napari_subangstrom_cdi.job.preparation.load import Loaded
from napari_subangstrom_cdi.job.readings import READINGS, written
from napari_subangstrom_cdi.session.session import State, Step

_LABELS: dict[Role, tuple[str, str]] = {
    "pattern": ("Pattern", "Diffraction record with the particle, as the detector gave it"),
    "background": (
        "Background",
        "Record of the same place without the particle; without one, a smooth background can be fitted",
    ),
    "image": ("Image", "Low-resolution TEM image of the same particle; it gives the outline and the first phases"),
    "support": ("Support", "Mask of the particle's outline, centred, on the pattern's array; replaces the image's"),
    "mask": ("Bad pixels", "Mask of pixels of the raw pattern that are not to be trusted, such as a beam stop"),
}
_WORDS: dict[Role, tuple[tuple[str, str | None], ...]] = {
    "pattern": (("choose…", None),),
    "background": (("fit a smooth one", "fit"), ("already subtracted", "none")),
    "image": (("none", None),),
    "support": (("from the image", None),),
    "mask": (("none", None),),
}
_NO_FILE = (None, "", "fit", "none")


class DataDock(StepDock):
    """Choose the records and say how they were taken."""

    step = Step.DATA
    title = "Data"
    action = "Load"
    help = "Read the records, turn counts into electrons and find the particle in the image"

    def build(self) -> None:
        """Rows of inputs, the acquisition, and what is still needed."""
        self.rows = {role: InputRow(role, *_LABELS[role]) for role in ROLES}
        for role, row in self.rows.items():
            self.body.addWidget(row)
            row.picked.connect(partial(self._pick, role))
            row.frame_picked.connect(partial(self._pick_frame, role))
            row.another_wanted.connect(partial(self._ask_for_array, role))
        self.acquisition = AcquisitionForm()
        self.acquisition.changed.connect(self._on_value)
        self.acquisition.loaded.connect(self._on_loaded)
        self.fold = Fold("Acquisition", self.acquisition)
        self.fold.button.setObjectName("acquisition-fold")
        self.fold.button.clicked.connect(self._on_fold_clicked)
        self._user_folds = False
        self.body.addWidget(self.fold)
        self.needed = StatusLine()
        self.needed.setObjectName("data-needed")
        self.doubted = StatusLine()
        self.doubted.setObjectName("data-doubted")
        self.body.addWidget(self.needed)
        self.body.addWidget(self.doubted)
        self.found = StatusLine()
        self.found.setObjectName("data-found")
        self.foot.setDirection(self.foot.Direction.TopToBottom)
        self.foot.addWidget(self.found)
        self._described: Any = None
        self._files = KnownFiles()
        self.controller.inputs.choices_changed.connect(self._on_choices)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Layers that were there before the dock are looked at when it opens."""
        super().showEvent(event)
        width = max(row.label.sizeHint().width() for row in self.rows.values())
        for row in self.rows.values():
            row.label.setMinimumWidth(width)
        self._on_choices()

    def do(self) -> None:
        """Load, with the pixels that the layers have now."""
        try:
            self.controller.inputs.retake_edited()
        except InputError as error:
            self.say(str(error), "error")
            return
        show_reciprocal(self, self.controller)  # where the patterns go
        super().do()

    # What the user does

    def _pick(self, role: Role, source: Layer | str | None) -> None:
        row = self.rows[role]
        if isinstance(source, str) and self._is_unclear(source):
            self._refresh_rows()
            row.say(
                f"{short_name(source)} holds {len(self._files.arrays(source))} arrays, and none is chosen", "warning"
            )
            self._ask_for_array(role, source)
            return
        self.controller.inputs.touch(role)
        try:
            self.controller.inputs.take(role, source)
        except InputError as error:
            self._refresh_rows()
            row.say(str(error), "error")
            return
        row.say("")
        if isinstance(source, Layer):
            self._tell(self.controller.inputs.learn_from(role, source))
        self.controller.poll()

    def _is_unclear(self, source: str) -> bool:
        """Whether a file holds several arrays of which none is named, nor meant more than the others."""
        if source in _NO_FILE or split_address(source)[1] is not None or self._files.described(source) is not None:
            return False
        return len(self._files.arrays(source)) > 1

    def _ask_for_array(self, role: Role, of: str | None = None) -> None:
        """Offer the arrays of a file, by default of the one that is chosen; nothing if it holds one only."""
        address = str(getattr(self.session.plan.inputs, role)) if of is None else of
        file, current = split_address(address)
        arrays = self._files.arrays(address)
        if len(arrays) > 1:
            choose_array(self, str(file), arrays, _LABELS[role][0].lower(), partial(self._pick, role), current)

    def _pick_frame(self, role: Role, frame: int | str) -> None:
        self.controller.inputs.touch(role)
        self.controller.change("inputs", **{f"{role}_frame": frame})

    def _on_value(self, section: str, values: dict[str, Any]) -> None:
        self.controller.change(section, **values)

    def _on_loaded(self, acquisition: Acquisition, said: str) -> None:
        if self.controller.change("acquisition", **with_values(acquisition)):
            self.say(said)

    def _on_choices(self) -> None:
        if not self.controller.is_open:
            return
        self.controller.inputs.complete()
        if self.controller.inputs.bring_reciprocal():
            show_reciprocal(self, self.controller)
        said = self.controller.inputs.choose_automatically() or self._offer_job()
        self.controller.poll()
        self._refresh_rows()
        self._tell(said)

    def _offer_job(self) -> tuple[str, ...]:
        """Records of another sample came: ask whether they are another job; what is to be doubted in them."""
        records = self.controller.inputs.records_of_another_job()
        if not records or not ask_about_new_job(self.window(), self.controller, [one.name for one in records.values()]):
            return ()
        try:
            self.controller.begin_job()
            return self.controller.inputs.begin_job(records)
        except InputError as error:
            return (str(error),)

    def _on_fold_clicked(self) -> None:
        self._user_folds = True

    def _tell(self, doubts: tuple[str, ...]) -> None:
        if doubts:
            self.say("\n".join(doubts), "warning")

    # What is shown

    def refresh(self) -> None:
        """Bring rows, form and summary in line with the session."""
        plan = self.session.plan
        self._refresh_rows()
        known = self.controller.known
        self.acquisition.show_known(plan, known, self.controller.said_by_files)
        self.doubted.show_message("\n".join(map(with_labels, known.doubts)), "warning")
        lacking = missing(known.plan)
        fields = [name for item in lacking for name in item.fields]
        self.acquisition.show_needed(fields)
        self.needed.show_message(in_words(lacking), "warning" if plan.inputs.pattern else "info")
        self.button.setEnabled(not self.session.busy and not lacking)
        if not self._user_folds:
            self.fold.button.setChecked(bool(fields))
        self._refresh_found()

    def _refresh_rows(self) -> None:
        for role, row in self.rows.items():
            self._refresh_row(role, row)
        self._compare_shapes()

    def _refresh_row(self, role: Role, row: InputRow) -> None:
        inputs = self.controller.inputs
        value = getattr(self.session.plan.inputs, role) or None
        chosen = inputs.chosen(role)
        choices = [Choice(text, word) for text, word in _WORDS[role]]
        choices += [Choice(layer.name, layer, _size_text(layer)) for layer in inputs.choices(role)]
        sources = [choice.source for choice in choices]
        wanted = value if chosen is None else chosen
        if not any(source is wanted or (isinstance(source, str) and source == wanted) for source in sources):
            text = chosen.name if chosen is not None else inputs.name_of(str(value))
            choices.append(Choice(text, wanted, str(value)))
            sources.append(wanted)
        matches = (source is wanted or (isinstance(source, str) and source == wanted) for source in sources)
        row.show_choices(choices, next(index for index, match in enumerate(matches) if match))
        row.show_frames(self._frames(value), getattr(self.session.plan.inputs, f"{role}_frame", None))
        row.show_arrays(0 if value in _NO_FILE else len(self._files.arrays(value)))

    def _frames(self, value: str | None) -> int:
        shape = self._shape(value)
        return shape[0] if len(shape) == 3 else 1

    def _shape(self, value: str | None) -> tuple[int, ...]:
        """Shape of an input's file by its header; empty if it has none."""
        if value in _NO_FILE:
            return ()
        known = self._files.described(value)
        return () if known is None else known.shape

    def _compare_shapes(self) -> None:
        """Say at once that a background or a mask does not fit."""
        inputs = self.session.plan.inputs
        pattern = self._shape(inputs.pattern or None)[-2:]
        for role in ("background", "mask"):
            row, other = self.rows[role], self._shape(getattr(inputs, role))[-2:]
            if pattern and other and pattern != other:
                row.say(f"{_by(other)} pixels, but the pattern has {_by(pattern)}: choose one of its size", "error")
            elif row.note.text().endswith("choose one of its size"):
                row.say("")

    def headline(self) -> str:
        """What was loaded, in a few words."""
        loaded = self.session.loaded
        if loaded is None:
            return ""
        pattern = f"pattern of {_by(loaded.records.particle.shape)} px"
        if loaded.diameter_angstrom is None:
            return pattern
        return f"{pattern}, particle of {loaded.diameter_angstrom:.0f}\N{NO-BREAK SPACE}Å across"

    def _refresh_found(self) -> None:
        loaded, state = self.session.loaded, self.session.state(Step.DATA)
        if loaded is None or state is not State.DONE:
            self.found.clear_message()
            self._described = None
        elif self._described is not loaded:
            self._described = loaded
            self.found.show_message(described(loaded))
            self.acquisition.show_found(loaded.records.readings["detector"]["offset_counts"])


def described(loaded: Loaded) -> str:
    """What was loaded, in a few lines."""
    particle, background = loaded.records.particle, loaded.records.background
    seen, calibration = loaded.records.readings["detector"], loaded.calibration
    offset = written(READINGS["detector.offset_counts"], seen["offset_counts"])
    lines = [f"Pattern {_by(particle.shape)} px, {_electrons(particle.electrons)}"]
    if background is not None:
        lines.append(f"Background {_by(background.shape)} px, {_electrons(background.electrons)}")
    lines.append(
        f"Pixels: {seen['saturated_pixels']} saturated, {seen['dead_pixels']} dead, {seen['hot_pixels']} hot; "
        f"offset {offset}{' (estimated)' if seen['offset_estimated'] else ''}"
    )
    if calibration.known:
        q = calibration.q_pixel_per_angstrom
        pixel = written(READINGS["reciprocal_pixel_per_angstrom"], q)
        lines.append(f"Δq = {pixel} by {calibration.source}; field of view {1 / q:.0f}\N{NO-BREAK SPACE}Å")
    else:
        lines.append("Not calibrated: lengths are in pixels")
    if loaded.normalised is not None and loaded.diameter_angstrom is not None:
        shape = loaded.normalised.intensity.shape
        lines.append(f"Image {_by(shape)} px; particle of {loaded.diameter_angstrom:.0f}\N{NO-BREAK SPACE}Å across")
    return "\n".join(lines)


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(str(size) for size in shape)


def _electrons(values: Any) -> str:
    total = float(np.sum(values, dtype=np.float64))
    mantissa, exponent = f"{total:.2e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} × 10{raised} e⁻"


def _size_text(layer: Layer) -> str:
    frames = frames_of(layer)
    return f"{layer.name}: {_by(frame_shape(layer))} pixels" + (f", {frames} frames" if frames > 1 else "")
