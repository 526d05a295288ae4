"""Steering a run: what may be changed while it goes on, and what was."""

from __future__ import annotations

from dataclasses import MISSING, replace
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QListWidget, QVBoxLayout, QWidget

from napari_subangstrom_cdi.core.phasing.updates import HybridInputOutput
from napari_subangstrom_cdi.gui.widgets.fields import FieldForm
from napari_subangstrom_cdi.gui.widgets.style import QuietLabel, section_title
from napari_subangstrom_cdi.job.plan import Change
from napari_subangstrom_cdi.parameters import picked

if TYPE_CHECKING:
    from napari_subangstrom_cdi.gui.window.controller import Controller

_ALPHA, _MULTIPLE, _BETA = picked(Change, "alpha", "noise_multiple", "beta")
_BETA_TIP = "Feedback of HIO, RAAR and the difference map, in every stage from here on."
_KNOWN = (_ALPHA, _MULTIPLE, _BETA.but(help=_BETA_TIP))
_MOST_LINES = 4


class SteeringPanel(QWidget):
    """α and noise multiple of the next run, and β too of the one that goes on; what was changed in it and when."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("subangstrom-steering")
        self._controller = controller
        self._run: Any = None
        self._listed = -1
        self.form = FieldForm([replace(known, optional=False, default=MISSING) for known in _KNOWN])
        self.form.changed.connect(self._on_changed)
        self._hint = QuietLabel()
        self._hint.setWordWrap(True)
        self.changes = QListWidget()
        self.changes.setObjectName("steering-changes")
        self.changes.setAccessibleName("Changes made during the run")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(section_title("Amplitudes and feedback"))
        layout.addWidget(self.form)
        layout.addWidget(self._hint)
        layout.addWidget(self.changes)

    def refresh(self) -> None:
        """Show what is in force, and what was changed so far."""
        session = self._controller.session
        steerable = session.steerable and not session.stopping
        if session.live is not self._run:
            self._run, self._listed = session.live, -1
        wanted: dict[str, Any] = {
            "alpha": session.plan.regions.alpha,
            "noise_multiple": session.plan.regions.noise_multiple,
            "beta": self._beta_in_force(),
        }
        shown = self.form.values()
        self.form.set_values({name: value for name, value in wanted.items() if shown[name] != value})
        for name in wanted:
            enabled = steerable or (name != "beta" and not session.busy)
            if self.form.editor(name).isEnabled() != enabled:
                self.form.set_enabled(name, enabled)
        self._hint.setText(
            "From the next iteration on. Painting the support or M steers the run, too."
            if steerable
            else "During a run, too: each change is then marked on the curve and kept in the recipe. β before a run is "
            "that of each stage."
        )
        self._list_changes()

    def _beta_in_force(self) -> float:
        """As steered; else that of the stage that goes on."""
        session = self._controller.session
        live = session.live
        if live is not None and live.beta is not None:
            return live.beta
        schedule = session.schedule if live is None else live.schedule
        progress = None if live is None else live.progress
        stage = next((s for s in schedule if progress is not None and s.name == progress.stage), None)
        with_feedback = [s.beta for s in (stage, *schedule) if s is not None and s.beta is not None]
        return with_feedback[0] if with_feedback else HybridInputOutput().beta

    def _list_changes(self) -> None:
        marks = [] if self._run is None else list(self._run.marks)
        if len(marks) == self._listed:
            return
        self._listed = len(marks)
        self.changes.clear()
        for member, iteration, text in marks:
            self.changes.addItem(f"member {member + 1}, after iteration {iteration}: {text}")
        self.changes.setVisible(bool(marks))
        self.changes.scrollToBottom()
        row = self.changes.sizeHintForRow(0) if marks else 0
        self.changes.setFixedHeight(row * min(_MOST_LINES, len(marks)) + 2 * self.changes.frameWidth() + 2)

    def _on_changed(self, name: str, value: Any) -> None:
        if name == "beta":
            self._controller.steer(beta=float(value))
        else:
            self._controller.change("regions", **{name: float(value)})
