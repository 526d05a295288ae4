"""The support's half of the Masks dock: threshold, smoothing and growth with a preview, painting, numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton, QVBoxLayout, QWidget

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.support import Support, SupportFinder
from napari_subangstrom_cdi.core.types import Bool
from napari_subangstrom_cdi.gui.canvas.real_view import SUPPORT
from napari_subangstrom_cdi.gui.plots.number_table import NumberTable
from napari_subangstrom_cdi.gui.widgets.fields import FieldForm
from napari_subangstrom_cdi.gui.widgets.hand_slider import HandSlider
from napari_subangstrom_cdi.gui.widgets.paint_tools import PaintTools
from napari_subangstrom_cdi.gui.widgets.style import section_title
from napari_subangstrom_cdi.gui.window.controller import Controller
from napari_subangstrom_cdi.job.plan import SupportSettings
from napari_subangstrom_cdi.job.readings import LIVE, READINGS, marked
from napari_subangstrom_cdi.parameters import picked
from napari_subangstrom_cdi.session.trials import TriedSupport, measured_support, try_support

_BY_HAND = "by hand"
_THRESHOLD, _SMOOTH, _GROW = picked(SupportSettings, "threshold", "smooth_angstrom", "grow_angstrom")
_RULE = _THRESHOLD.offering(*_THRESHOLD.choices, _BY_HAND)
_LEVEL = _THRESHOLD.but(
    "level",
    caption="Level",
    help="Level of the smoothed potential, as a fraction of its highest value, above which the particle lies.",
)
_COLUMNS = {
    "support-oversampling": READINGS["oversampling_ratio"],
    "support-area": LIVE["support_area_nm2"],
    "support-diameter": LIVE["support_extent_nm"],
}
_RUNNING = "A run goes on that began with this; stop it first, or paint the support, which takes effect at once."
_FROM_FILE = "The support comes from a file: it can be painted on only."
_NOT_YET = "Align the image first."


class SupportPart(QWidget):
    """Settings of the support."""

    said = Signal(str, str)
    """A sentence for the status line and its level."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self.rule = FieldForm([_RULE])
        self.level, self.smooth, self.grow = (HandSlider(known, self) for known in (_LEVEL, _SMOOTH, _GROW))
        self.numbers = NumberTable(_COLUMNS, across=len(_COLUMNS), bold=True, capitals=True)
        self.tools = PaintTools(controller.viewer, lambda: controller.real.layer(SUPPORT), "support")
        self.keep = QCheckBox("Keep what is painted")
        self.keep.setObjectName("support-keep")
        self.keep.setChecked(True)
        self.keep.setToolTip(
            "When a setting above changes. Not kept, what was painted is then set aside; Undo brings it back"
        )
        self.back = QPushButton("Back to automatic")
        self.back.setObjectName("support-automatic")
        self.back.setToolTip("Take away what was painted and erased; Undo brings it back")
        self._tried: SupportSettings | None = None
        self._asked: object = None
        self._task = f"support-{id(self)}"
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        grid = QGridLayout()
        for row, slider in enumerate((self.level, self.smooth, self.grow)):
            slider.add_to(grid, row)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(section_title("Support, real space"))
        layout.addWidget(self.rule)
        layout.addLayout(grid)
        layout.addWidget(self.numbers)
        layout.addWidget(self.tools)
        layout.addWidget(self.keep)
        layout.addWidget(self.back, alignment=Qt.AlignmentFlag.AlignRight)

    def _connect(self) -> None:
        self.rule.changed.connect(self._on_rule)
        for slider, name in ((self.level, "threshold"), (self.smooth, "smooth_angstrom"), (self.grow, "grow_angstrom")):
            slider.moved.connect(lambda value, name=name: self._try(name, value))
            slider.settled.connect(lambda value, name=name: self._commit(name, value))
        self.back.clicked.connect(self._back_to_automatic)
        self.tools.undo_clicked.connect(self.controller.undo)
        self.controller.support_edited.connect(self._on_edited)
        self.controller.previews.ready.connect(self._on_ready)
        self.controller.previews.refused.connect(self._on_refused)

    # What is shown

    def refresh(self) -> None:
        """Show the plan; preview what it gives."""
        settings = self.controller.session.plan.support
        self._enable()
        self.tools.follow()
        self.back.setEnabled(bool(settings.added or settings.removed))
        if self._tried is None:
            self._show_settings(settings)
            self._preview(settings)

    def _show_settings(self, settings: SupportSettings) -> None:
        by_hand = not isinstance(settings.threshold, str)
        self.rule.set_values({"threshold": _BY_HAND if by_hand else settings.threshold})
        if isinstance(settings.threshold, float | int):
            self.level.set_value(float(settings.threshold))
        self.smooth.set_value(settings.smooth_angstrom)
        self.grow.set_value(settings.grow_angstrom)

    def _enable(self) -> None:
        session = self.controller.session
        given = session.plan.inputs.support is not None
        why = _RUNNING if session.steerable else _FROM_FILE if given else "" if self._source() is not None else _NOT_YET
        self.rule.set_enabled("threshold", not why)
        for slider in (self.level, self.smooth, self.grow):
            slider.set_enabled(not why, why)
        self.rule.setToolTip(why)

    def _source(self) -> SupportFinder | Support | None:
        """What the support is made from: the image, or the mask given."""
        session = self.controller.session
        if session.plan.inputs.support is None:
            return session.support_finder
        prepared = session.prepared
        if prepared is None:
            return None
        return replace(prepared.support, mask=prepared.automatic_support)

    @property
    def _grid(self) -> Grid | None:
        centred = self.controller.session.centred
        return None if centred is None else centred.grid

    def _preview(self, settings: SupportSettings) -> None:
        """Have the support found that these settings give, unless it is shown or the steps are doing so anyway."""
        session, source, grid = self.controller.session, self._source(), self._grid
        if source is None or grid is None or (session.busy and not session.steerable):
            return
        key = (settings, source if isinstance(source, SupportFinder) else source.mask.shape, grid)
        if key == self._asked:
            return
        self._asked = key
        self.controller.previews.ask(self._task, lambda: (key, try_support(settings, source, grid)))

    def _on_ready(self, name: str, answer: Any) -> None:
        if name != self._task:
            return
        key, tried = answer
        asked = self._asked
        if key is not None:
            self.controller.presenter.preview_support(tried.automatic, tried.support.mask)
            self.tools.follow()
        self._show_numbers(tried)
        if self._asked != asked:  # a stroke that was not told yet has come to light, and was painted over
            self._asked = None
            self.refresh()

    def _on_refused(self, name: str, why: str) -> None:
        if name == self._task:
            self.said.emit(why, "error")

    def _show_numbers(self, tried: TriedSupport) -> None:
        support, extent = tried.support, tried.diameter_angstrom
        text, few = marked(READINGS["oversampling_ratio"], {"oversampling_ratio": support.oversampling_ratio})
        self.numbers.show_number("support-oversampling", text, alarming=few)
        self.numbers.show_value("support-area", support.area_angstrom2 / 100)
        self.numbers.show_value("support-diameter", extent / 10)
        by_rule = isinstance((self._tried or self.controller.session.plan.support).threshold, str)
        if by_rule and math.isfinite(support.threshold):
            self.level.set_value(round(support.threshold, 4))

    # What the user does

    def _on_rule(self, _: str, value: str) -> None:
        self._commit("threshold", self.level.value if value == _BY_HAND else value)

    def _try(self, name: str, value: Any) -> None:
        self._tried = self._with(name, value)
        self._show_settings(self._tried)
        self._preview(self._tried)

    def _with(self, name: str, value: Any) -> SupportSettings:
        settings = self.controller.session.plan.support
        if not self.keep.isChecked():
            settings = replace(settings, added=None, removed=None)
        values: dict[str, Any] = {name: value}
        return replace(settings, **values)

    def _commit(self, name: str, value: Any) -> None:
        self._tried = None
        settings = self.controller.session.plan.support
        changed = {name: value}
        aside = not self.keep.isChecked() and bool(settings.added or settings.removed)
        if getattr(settings, name) == value:
            self.refresh()
            return
        if aside:
            changed |= {"added": None, "removed": None}
        self.controller.session.settle()
        if self.controller.change("support", **changed):
            self.said.emit("what was painted was set aside; Undo brings it back" if aside else "", "info")

    def _on_edited(self, mask: Bool) -> None:
        """The user painted: the layer shows it already, only the numbers change."""
        session, grid, automatic = (
            self.controller.session,
            self._grid,
            self.controller.presenter.automatic_support,
        )
        source = self._source()
        if grid is None or automatic is None or source is None:
            return
        self.said.emit("takes effect at the next iteration" if session.steerable else "", "info")
        settings = session.plan.support
        self._asked = (settings, source if isinstance(source, SupportFinder) else source.mask.shape, grid)
        self.controller.previews.forget(self._task)
        self.controller.previews.ask(self._task, lambda: (None, measured_support(automatic, mask, grid)))

    def _back_to_automatic(self) -> None:
        presenter, grid = self.controller.presenter, self._grid
        automatic = presenter.automatic_support
        if automatic is None or grid is None or automatic.shape != grid.shape:  # of an array that is no more
            self.controller.change("support", added=None, removed=None)
            return
        self.controller.paint_support(presenter.in_shown_frame(automatic))
        presenter.preview_support(automatic, automatic)
        self.said.emit("what was painted was taken away; Undo brings it back", "info")
