"""Model: a known crystal, fitted to pattern and image, from which the phases may start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QProgressBar, QPushButton

from napari_subangstrom_cdi.core.crystal.unit_cell import zone_axis
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.canvas.reciprocal_view import MODEL_PATTERN
from napari_subangstrom_cdi.gui.docks.parts.dock import StepDock
from napari_subangstrom_cdi.gui.docks.parts.model_crystal import CrystalRow
from napari_subangstrom_cdi.gui.docks.parts.model_hand import ModelByHand, Values
from napari_subangstrom_cdi.gui.docks.parts.model_landscape import Landscape
from napari_subangstrom_cdi.gui.docks.parts.model_table import ModelTable, headline, others
from napari_subangstrom_cdi.gui.loop.background_task import BackgroundTask
from napari_subangstrom_cdi.gui.widgets.fields import FieldForm
from napari_subangstrom_cdi.gui.widgets.file_dialogs import ask_where_to_save
from napari_subangstrom_cdi.gui.widgets.style import QuietLabel
from napari_subangstrom_cdi.gui.window.atoms_view import show_atoms
from napari_subangstrom_cdi.gui.window.layout import show_reciprocal
from napari_subangstrom_cdi.io import split_address
from napari_subangstrom_cdi.io.atoms import write_atoms
from napari_subangstrom_cdi.job.plan import PRESETS, ModelSettings
from napari_subangstrom_cdi.job.preparation.model import AUTOMATIC
from napari_subangstrom_cdi.parameters import declared, picked
from napari_subangstrom_cdi.session.session import Event, Happening, State, Step
from napari_subangstrom_cdi.session.trials import ModelTrial, TriedModel

# Shares of the time that a fit takes, by its parts in their order.
_PARTS = (
    ("image", 0.01),
    ("zone axes", 0.05),
    ("indexing", 0.1),
    ("tilt and thickness", 0.22),
    ("errors", 0.13),
    ("edge", 0.16),
    ("wave", 0.02),
    ("rebuilding, by the image", 0.06),
    ("rebuilding, by the data", 0.2),
    ("other crystals", 0.04),
    ("pattern", 0.01),
)
_BAR_STEPS = 1000
_ATOMS = "XYZ (*.xyz);;CIF (*.cif);;PDB (*.pdb)"


class ModelDock(StepDock):
    """The step that fits a crystal."""

    step = Step.MODEL
    title = "Model"
    action = "Fit"
    help = "Find tilt, thickness, shape and place of the crystal from pattern and image"

    def build(self) -> None:
        """Crystal and zone, what was found, the panel for the hand."""
        self.crystal = CrystalRow(self.controller.previews)
        self.form = FieldForm(picked(ModelSettings, "zone", "b_factor"))
        use = declared(ModelSettings)["use"].parameter
        self.use = QCheckBox(use.caption)
        self.use.setObjectName("model-use")
        self.use.setToolTip(use.help)
        self.table = ModelTable()
        self.landscape = Landscape(theme=self.controller.viewer.theme)
        self.landscape.setVisible(False)
        self.table.setVisible(False)
        self.rivals = QuietLabel()
        self.rivals.setVisible(False)
        self.rivals.setObjectName("model-rivals")
        self.rivals.setWordWrap(True)
        self.by_hand = QPushButton("By hand")
        self.by_hand.setObjectName("model-by-hand")
        self.by_hand.setCheckable(True)
        self.beside = QCheckBox("Pattern beside the record")
        self.beside.setObjectName("model-beside")
        self.beside.setToolTip("The model's pattern on the right half of reciprocal space, the record's on the left")
        self.hand = ModelByHand()
        self.hand.setVisible(False)
        self.bar = QProgressBar()
        self.bar.setObjectName("model-progress")
        self.bar.setTextVisible(False)
        self.bar.setRange(0, _BAR_STEPS)
        self.bar.setMaximumHeight(max(6, self.fontMetrics().height() // 2))
        self.cancel = QPushButton("Cancel")
        self.cancel.setObjectName("model-cancel")
        self.cancel.setToolTip("End the fit; what was found before is kept")
        self.show_3d = QPushButton("Show in 3-D")
        self.show_3d.setObjectName("model-3d")
        self.show_3d.setToolTip("The atoms of the particle whose pattern is shown, in a window of their own")
        self.save_atoms = QPushButton("Save atoms…")
        self.save_atoms.setObjectName("model-save-atoms")
        self.save_atoms.setToolTip("Write the atoms of the particle whose pattern is shown, as XYZ, CIF or PDB")
        self.calibrate = QPushButton("Calibrate by this crystal")
        self.calibrate.setObjectName("model-calibrate")
        self._writing = BackgroundTask(self)
        self._tried: TriedModel | None = None
        self._lay_out()
        self._connect()
        self._task = f"model-pattern-{id(self)}"
        self._trying = False
        self._shown: tuple[ModelTrial | None, Values | None] = (None, None)
        self._zone_error = ""
        self._readings: Mapping[str, Any] | None = None

    def _lay_out(self) -> None:
        switches = QHBoxLayout()
        switches.addWidget(self.by_hand)
        switches.addWidget(self.beside)
        switches.addStretch(1)
        kept = QHBoxLayout()
        for button in (self.show_3d, self.save_atoms):
            kept.addWidget(button)
        kept.addStretch(1)
        self.foot.addWidget(self.cancel)
        scale = QHBoxLayout()
        scale.addWidget(self.calibrate)
        scale.addStretch(1)
        for part in (self.crystal, self.form, self.use, self.table):
            self.body.addWidget(part)
        self.body.addLayout(scale)
        for part in (self.rivals, self.landscape):
            self.body.addWidget(part)
        self.body.addLayout(switches)
        self.body.addWidget(self.hand)
        self.body.addLayout(kept)
        below = self.content.layout()
        if below is not None:  # under the buttons
            below.addWidget(self.bar)

    def _connect(self) -> None:
        self.crystal.picked.connect(self._on_crystal)
        self.form.changed.connect(self._on_field)
        self.use.clicked.connect(self._on_use)
        self.beside.clicked.connect(self._on_beside)
        self.by_hand.toggled.connect(self._on_by_hand)
        self.hand.tried.connect(self._try)
        self.hand.settled.connect(self._commit)
        self.hand.back.connect(self._back)
        self.landscape.picked.connect(self._on_picked)
        self.show_3d.clicked.connect(self._show_3d)
        self.save_atoms.clicked.connect(self._save_atoms)
        self.calibrate.clicked.connect(self._calibrate)
        self._writing.done.connect(self._on_written)
        self._writing.failed.connect(lambda why: self.say(why, "error"))
        self.cancel.clicked.connect(self.controller.stop)
        self.controller.previews.ready.connect(self._on_tried)
        self.controller.previews.refused.connect(self._on_refused)
        self._theme = self.controller.viewer.events.theme
        self._theme.connect(self._on_theme)

    def release(self) -> None:
        """Let go of the viewer's theme."""
        self._theme.disconnect(self._on_theme)

    def _on_theme(self, event: Any) -> None:
        self.landscape.set_theme(self.controller.viewer.theme)

    # What is shown

    def refresh(self) -> None:
        """Show plan and fit; the pattern by the values that are planned, also after an undo."""
        session, settings = self.session, self.session.plan.model
        running = session.state(Step.MODEL) is State.RUNNING
        self.crystal.show_crystal(session.plan.inputs.crystal)
        shown = self.form.values()
        wanted = {"zone": settings.zone, "b_factor": settings.b_factor}
        self.form.set_values({name: value for name, value in wanted.items() if shown[name] != value})
        self._judge_zone(settings.zone)
        self.use.setChecked(settings.use)
        self.use.setEnabled(not session.steerable)
        self.cancel.setEnabled(running and not session.stopping)
        self.bar.setVisible(running)
        self._show_found()
        self._show_hand()
        if not self._trying:
            self._show_planned()

    def _judge_zone(self, text: str) -> None:
        said = ""
        if text.strip() and text.strip().lower() != AUTOMATIC:
            try:
                zone_axis(text)
            except InputError as error:
                said = f"{error.problem}; {error.mend}"
        if said != self._zone_error:
            self._zone_error = said
            self.form.set_error("zone", said)

    def _show_found(self) -> None:
        readings = self._known_readings()
        model = self.session.model
        if readings is not self._readings:
            self._readings = readings
            self.table.show_model(readings)
            self.rivals.setText(others(readings))
            self.rivals.setVisible(bool(self.rivals.text()))
            self.table.setVisible(readings is not None)
            if model is not None and np.isfinite(model.fitted.landscape).any():
                self.landscape.show_landscape(model.fitted.landscape, model.fitted.tilts_deg)
                self.landscape.setVisible(True)
        self._show_calibration(readings)
        fitted = None if model is None else model.fitted.fit.tilt_deg
        marks = (fitted, self.session.plan.model.tilt_deg)
        if marks != self.landscape.marks:
            self.landscape.mark(*marks)

    def _show_calibration(self, readings: Mapping[str, Any] | None) -> None:
        self.calibrate.setVisible(readings is not None)
        found = () if readings is None else _spacings(readings)
        self.calibrate.setEnabled(bool(found) and found != self.session.plan.pattern.known_spacings)
        self.calibrate.setToolTip(
            "Take the crystal's spacings for the pattern's calibration, in place of the camera length: they go to "
            "Spacings of the Data step, and Undo takes them back"
        )

    def _known_readings(self) -> Mapping[str, Any] | None:
        """Of the fit; else of the result, as after a project was opened."""
        if self.session.model is not None:
            return self.session.model.readings
        result = self.session.result
        return None if result is None else result.metrics.get("model")

    def _show_hand(self) -> None:
        trial = self.session.model_trial
        self.by_hand.setEnabled(trial is not None or self.by_hand.isChecked())
        self.by_hand.setToolTip(
            "Move tilt, thickness and shape yourself, and see the pattern beside the record's"
            if trial is not None
            else "Fit once first; tilt and thickness can then be moved by hand"
        )
        self.hand.setEnabled(trial is not None)
        for button in (self.show_3d, self.save_atoms):
            button.setEnabled(trial is not None)
        settings = self.session.plan.model
        told = (settings.tilt_deg, settings.thickness_angstrom, settings.roundness)
        self.hand.back_button.setEnabled(any(value is not None for value in told))
        layer = self.controller.reciprocal.layer(MODEL_PATTERN)
        self.beside.setEnabled(layer is not None)
        self.beside.setChecked(layer is not None and layer.visible)

    def _planned(self, trial: ModelTrial) -> Values:
        """As set by hand, else as fitted."""
        settings, (tilt, thickness, roundness) = self.session.plan.model, trial.values
        return (
            tilt if settings.tilt_deg is None else settings.tilt_deg,
            thickness if settings.thickness_angstrom is None else settings.thickness_angstrom,
            roundness if settings.roundness is None else settings.roundness,
        )

    def _show_planned(self) -> None:
        """Show the planned values, and their pattern if it is not there yet."""
        trial = self.session.model_trial
        if trial is None:
            self._shown, self._tried = (None, None), None
            return
        values = self._planned(trial)
        if self._shown == (trial, values):
            return
        is_new = self._shown[0] is not trial
        self._shown = (trial, values)
        self.hand.show_values(values)
        if is_new and values == trial.values:  # the presenter shows it
            self._tried = trial.fitted
            self.hand.show_r(trial.fitted.r_pattern, trial.fitted.r_pattern)
        else:
            self._ask_pattern(trial, values)

    def _ask_pattern(self, trial: ModelTrial, values: Values) -> None:
        self.controller.previews.ask(self._task, lambda: (trial, trial.at(*values)))

    def _on_tried(self, name: str, answer: Any) -> None:
        if name != self._task:
            return
        trial: ModelTrial
        tried: TriedModel
        trial, tried = answer
        if trial is self.session.model_trial:
            self._tried = tried
            self.controller.presenter.show_model_pattern(tried.power, trial.grid)
            self.hand.show_r(tried.r_pattern, trial.fitted.r_pattern)

    def _on_refused(self, name: str, why: str) -> None:
        if name == self._task:
            self.say(why, "error")

    def on_event(self, event: Event) -> None:
        """How far the fit is."""
        if event.step is not Step.MODEL:
            return
        if event.happening is Happening.STARTED:
            self.bar.setValue(0)
        elif event.happening is Happening.CHANGED and event.message:
            self.bar.setValue(round(_BAR_STEPS * share_done(event.message)))

    def summary(self) -> str:
        """The main numbers in a sentence."""
        model = self.session.model
        return "" if model is None else headline(model.readings)

    # What the user does

    def do(self) -> None:
        """Fit, if it is said what."""
        plan = self.session.plan
        if not plan.inputs.crystal:
            self.say("Which crystal it is must be known: choose its name, or a CIF", "error")
            self.crystal.combo.setFocus()
        elif not plan.model.zone.strip():
            self.say("Which zone axis lies along the beam must be said, such as 0 0 0 1, or auto", "error")
            self.form.editor("zone").setFocus()
        else:
            super().do()

    def _on_crystal(self, name: str | None) -> None:
        if name != self.session.plan.inputs.crystal:
            self.session.settle()
            self.controller.change("inputs", crystal=name)
        self.refresh()

    def _on_field(self, name: str, value: Any) -> None:
        self.session.settle()
        if not self.controller.change("model", **{name: value}):
            self.refresh()

    def _on_use(self, use: bool) -> None:
        """The preset belongs to it; a schedule of one's own stays."""
        session = self.session
        if session.plan.retrieval.schedule:
            self.controller.change("model", use=use)
        else:
            usual = self.controller.preferences.preset
            session.use_preset("model" if use else usual if usual in PRESETS else PRESETS[0])
        self.controller.poll()
        self.refresh()

    def _on_beside(self, on: bool) -> None:
        if on:
            show_reciprocal(self, self.controller)
        self.controller.reciprocal.set_visible(MODEL_PATTERN, on)

    def _on_by_hand(self, on: bool) -> None:
        self.hand.setVisible(on)
        if on and not self.beside.isChecked():
            self.beside.setChecked(True)
            self._on_beside(True)

    def _try(self, values: Values) -> None:
        trial = self.session.model_trial
        if trial is not None:
            self._trying = True
            self._shown = (trial, values)
            self._ask_pattern(trial, values)

    def _commit(self, values: Values) -> None:
        """Keep what differs from what was planned."""
        self._trying = False
        trial = self.session.model_trial
        if trial is None:
            return
        names = ("tilt_deg", "thickness_angstrom", "roundness")
        planned = dict(zip(names, self._planned(trial), strict=True))
        changed = {name: value for name, value in zip(names, values, strict=True) if value != planned[name]}
        self.session.settle()
        if changed and not self.controller.change("model", **changed):
            self._shown = (None, None)
        self.refresh()

    def _on_picked(self, tilt_x: float, tilt_y: float) -> None:
        self.session.settle()
        self.controller.change("model", tilt_deg=(tilt_x, tilt_y))
        self.by_hand.setChecked(True)
        self.refresh()

    def _calibrate(self) -> None:
        readings = self._known_readings()
        if readings is None:
            return
        self.session.settle()
        if self.controller.change("pattern", known_spacings=_spacings(readings)):
            self.say("The crystal's spacings calibrate the pattern now; what follows is to be done again", "info")
        self.refresh()

    def _show_3d(self) -> None:
        """Those of the particle that is shown: fitted, or tried by hand."""
        if self._tried is not None and self.session.model is not None:
            title = self.session.model.readings["crystal"]
            show_atoms(self, self._tried.atoms, title=title, theme=self.controller.viewer.theme)

    def _save_atoms(self) -> None:
        """The same in a file."""
        if self._tried is None or self.session.model is None:
            return
        atoms, name = self._tried.atoms, self.session.model.readings["crystal"]
        folder = split_address(self.session.plan.inputs.pattern)[0].parent
        path = ask_where_to_save(self, "Save the atoms of the model", folder / f"{name}.xyz", _ATOMS)
        if path is None:
            return

        def write() -> tuple[Path, int]:
            write_atoms(path, atoms)
            return path, len(atoms.numbers)

        self._writing.start(write)

    def _on_written(self, done: tuple[Path, int], doubts: tuple[str, ...]) -> None:
        path, count = done
        self.say("\n".join((f"{count:,} atoms saved to {path}", *doubts)), "warning" if doubts else "info")

    def _back(self) -> None:
        self.session.settle()
        self.controller.change("model", tilt_deg=None, thickness_angstrom=None, roundness=None)
        self.refresh()


def _spacings(readings: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    """What the pattern can be calibrated by: radii in raw pixels and spacings in Å."""
    return tuple((radius, spacing) for radius, spacing in readings.get("known_spacings", ()))


def share_done(message: str) -> float:
    """How much of a fit is behind it at the beginning of one of its parts, 0 to 1."""
    part = message.removeprefix("model: ")
    done = 0.0
    for name, share in _PARTS:
        if part.startswith(name):
            among = re.search(r"(\d+) of (\d+)", part)
            return done + (share * (int(among[1]) - 1) / int(among[2]) if among else 0.0)
        done += share
    return 0.0
