"""The regions' half of the Masks dock: α, the noise multiple, what is not trusted, and how much is G, B and M."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.types import Bool
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.canvas.reciprocal_view import PAINTED
from napari_subangstrom_cdi.gui.plots.number_table import NumberTable
from napari_subangstrom_cdi.gui.widgets.fields import FieldForm
from napari_subangstrom_cdi.gui.widgets.hand_slider import HandSlider
from napari_subangstrom_cdi.gui.widgets.paint_tools import PaintTools
from napari_subangstrom_cdi.gui.widgets.style import QuietLabel, section_title
from napari_subangstrom_cdi.gui.window.controller import Controller
from napari_subangstrom_cdi.io.mask_text import painted_on
from napari_subangstrom_cdi.job.plan import PatternSettings, RegionSettings
from napari_subangstrom_cdi.job.preparation.amplitudes import Amplitudes
from napari_subangstrom_cdi.job.readings import READINGS
from napari_subangstrom_cdi.parameters import picked
from napari_subangstrom_cdi.session.trials import TriedRegions, try_regions

_ADVANCED = (
    *picked(RegionSettings, "reading", "beam_radius_per_angstrom"),
    *picked(PatternSettings, "remove_noise_between_spots"),
)
_COLUMNS = {
    **{f"region-{region.name}": READINGS[f"regions.{region.name}"] for region in (Region.G, Region.B, Region.M)},
    "region-noise": READINGS["median_noise_electrons"],
}
_RUNNING = "A run goes on that began with this; stop it first."


class RegionsPart(QWidget):
    """Settings of the reciprocal mask."""

    said = Signal(str, str)
    """A sentence for the status line and its level."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self.alpha, self.multiple = (
            HandSlider(known, self) for known in picked(RegionSettings, "alpha", "noise_multiple")
        )
        self.form = FieldForm(_ADVANCED)
        self.numbers = NumberTable(_COLUMNS, across=len(_COLUMNS), bold=True, capitals=True)
        view = controller.reciprocal
        self.tools = PaintTools(view.model, lambda: view.layer(PAINTED), "excluded")
        self.mates = QCheckBox("with Friedel mate")
        self.mates.setObjectName("excluded-mates")
        self.mates.setToolTip("What is painted or erased at q is painted or erased at −q as well")
        self.count = QLabel()
        self.count.setObjectName("excluded-count")
        self.clear = QPushButton("Clear painted")
        self.clear.setObjectName("excluded-clear")
        self.clear.setToolTip("Trust everything again that was painted; Undo brings it back")
        self.steers = QuietLabel("α, the noise multiple and both masks take effect at the next iteration.")
        self.steers.setObjectName("masks-steer")
        self.steers.setWordWrap(True)
        self._tried: RegionSettings | None = None
        self._asked: RegionSettings | None = None
        self._asked_of: Amplitudes | None = None
        self._painted: str | None = ""  # neither a mask nor none: nothing was shown yet
        self._task = f"regions-{id(self)}"
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        grid = QGridLayout()
        for row, slider in enumerate((self.alpha, self.multiple)):
            slider.add_to(grid, row)
        counting = QHBoxLayout()
        counting.addWidget(self.count)
        counting.addStretch(1)
        counting.addWidget(self.clear)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(section_title("Regions, reciprocal space"))
        layout.addLayout(grid)
        layout.addWidget(self.numbers)
        hint = QuietLabel("Paint what is not to be trusted: it goes to M.")
        hint.setWordWrap(True)
        layout.addWidget(hint)
        layout.addWidget(self.tools)
        layout.addWidget(self.mates)
        layout.addLayout(counting)
        layout.addWidget(self.form)
        layout.addWidget(self.steers)

    def _connect(self) -> None:
        for slider, name in ((self.alpha, "alpha"), (self.multiple, "noise_multiple")):
            slider.moved.connect(lambda value, name=name: self._try(name, value))
            slider.settled.connect(lambda value, name=name: self._commit(name, value))
        self.form.changed.connect(self._on_field)
        self.mates.toggled.connect(self._on_mates)
        self.clear.clicked.connect(self._clear)
        self.tools.undo_clicked.connect(self.controller.undo)
        self.controller.excluded_edited.connect(self._on_edited)
        self.controller.previews.ready.connect(self._on_ready)
        self.controller.previews.refused.connect(self._on_refused)

    # What is shown

    def refresh(self) -> None:
        """Show the plan; preview what it gives."""
        plan, steerable = self.controller.session.plan, self.controller.session.steerable
        self.tools.follow()
        self.clear.setEnabled(bool(plan.regions.excluded))
        self.mates.setChecked(self.controller.friedel_mates)
        self.steers.setVisible(steerable)
        self._enable(steerable)
        if self._tried is None:
            self._show_settings(plan.regions)
            self.form.set_values({"remove_noise_between_spots": plan.pattern.remove_noise_between_spots})
            self._preview(plan.regions)
        self._show_painted()

    def _show_settings(self, settings: RegionSettings) -> None:
        self.alpha.set_value(settings.alpha)
        self.multiple.set_value(settings.noise_multiple)
        self.form.set_values(
            {"reading": settings.reading, "beam_radius_per_angstrom": settings.beam_radius_per_angstrom}
        )

    def _enable(self, steerable: bool) -> None:
        for known in _ADVANCED:
            self.form.set_enabled(known.name, not steerable, _RUNNING if steerable else "")
        fixed = self.controller.session.plan.regions.reading == "methods"
        self.alpha.set_enabled(fixed, "With an upper limit only, α is not used.")

    def _preview(self, settings: RegionSettings) -> None:
        """Have the regions found that these settings give, unless they are shown or the steps do so anyway."""
        session = self.controller.session
        prepared = session.prepared
        if prepared is None or (session.busy and not session.steerable):
            return
        amplitudes, grid, with_image = prepared.amplitudes, prepared.problem.grid, prepared.problem.image is not None
        settings = replace(settings, alpha=0.0)  # it moves no border
        if amplitudes is self._asked_of and settings == self._asked:
            return
        self._asked, self._asked_of = settings, amplitudes
        self.controller.previews.ask(self._task, lambda: try_regions(settings, amplitudes, grid, with_image=with_image))

    def _on_ready(self, name: str, tried: TriedRegions) -> None:
        if name != self._task:
            return
        self.controller.presenter.preview_regions(tried.regions)
        for region in Region:
            self.numbers.show_value(f"region-{region.name}", tried.shares[region])
        self.numbers.show_value("region-noise", tried.median_noise_electrons)

    def _on_refused(self, name: str, why: str) -> None:
        if name == self._task:
            self.said.emit(why, "error")

    def _show_painted(self) -> None:
        """Bring the painted layer in line with the plan, as after an undo."""
        packed, prepared = self.controller.session.plan.regions.excluded, self.controller.session.prepared
        if prepared is None or packed == self._painted:
            return
        grid = prepared.problem.grid
        try:
            mask = painted_on(grid, packed, where="regions.excluded")
        except InputError:
            return  # the step says so
        self._painted = packed
        mask = np.zeros(grid.shape, bool) if mask is None else mask
        self._show_count(mask)
        self.controller.reciprocal.show_painted(mask, grid)

    def _show_count(self, mask: Bool) -> None:
        count = int(np.count_nonzero(mask))
        self.count.setText(f"{count:,} px painted" if count else "nothing painted")

    # What the user does

    def _try(self, name: str, value: float) -> None:
        values: dict[str, Any] = {name: value}
        self._tried = replace(self.controller.session.plan.regions, **values)
        self._preview(self._tried)

    def _commit(self, name: str, value: Any) -> None:
        self._tried = None
        session = self.controller.session
        if getattr(session.plan.regions, name) == value:
            self.refresh()
            return
        steered = session.steerable
        session.settle()
        if self.controller.change("regions", **{name: value}):
            self.said.emit("takes effect at the next iteration" if steered else "", "info")
        self.refresh()

    def _on_field(self, name: str, value: Any) -> None:
        self.controller.session.settle()
        section = "pattern" if name == "remove_noise_between_spots" else "regions"
        self.controller.change(section, **{name: value})

    def _on_mates(self, on: bool) -> None:
        self.controller.friedel_mates = on

    def _on_edited(self, mask: Bool) -> None:
        self._painted = self.controller.session.plan.regions.excluded
        self._show_count(mask)
        self.said.emit("takes effect at the next iteration" if self.controller.session.steerable else "", "info")

    def _clear(self) -> None:
        prepared = self.controller.session.prepared
        if prepared is None:
            self.controller.change("regions", excluded=None)
            return
        nothing = np.zeros(prepared.problem.grid.shape, bool)
        self.controller.paint_excluded(nothing)
        self.controller.reciprocal.show_painted(nothing, prepared.problem.grid)
        self.said.emit("everything is trusted again that was painted; Undo brings it back", "info")
