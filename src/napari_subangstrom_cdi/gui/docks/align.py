"""Align image: lay the TEM image onto the pattern, by itself or by hand."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtWidgets import QPushButton

from napari_subangstrom_cdi.core.image.comparison import LiveComparison
from napari_subangstrom_cdi.core.image.geometry import Candidate
from napari_subangstrom_cdi.gui.canvas.real_view import IMAGE, PARTICLE, ROLES, SUPPORT
from napari_subangstrom_cdi.gui.canvas.reciprocal_view import IMAGE_POWER, IMAGE_SPOTS, PATTERN_SPOTS
from napari_subangstrom_cdi.gui.docks.parts.by_hand import ByHand, Geometry
from napari_subangstrom_cdi.gui.docks.parts.dock import StepDock
from napari_subangstrom_cdi.gui.docks.parts.particle_tool import ParticleTool
from napari_subangstrom_cdi.gui.docks.parts.registration_table import CandidateList, RegistrationTable, described
from napari_subangstrom_cdi.gui.widgets.fields import FieldForm, Fold
from napari_subangstrom_cdi.gui.window.layout import show_reciprocal
from napari_subangstrom_cdi.job.particle import choice_in_words
from napari_subangstrom_cdi.job.plan import ImageSettings
from napari_subangstrom_cdi.parameters import picked
from napari_subangstrom_cdi.session.session import Event, Happening, State, Step


class AlignDock(StepDock):
    """The step that aligns the image."""

    step = Step.ALIGN
    title = "Align image"
    action = "Align"
    help = "Find rotation and pixel of the image from the reflections that image and pattern share"

    def build(self) -> None:
        """Parameters, what was found, and the panel for the hand."""
        self.form = FieldForm(picked(ImageSettings, "potential", "mirrored"))
        self.particle = ParticleTool(self.controller)
        self.table = RegistrationTable()
        self.candidates = CandidateList()
        self.others = Fold("Other candidates", self.candidates)
        self.by_hand = QPushButton("Align by hand")
        self.by_hand.setObjectName("align-by-hand")
        self.by_hand.setCheckable(True)
        self.hand = ByHand()
        self.hand.setVisible(False)
        for widget in (self.form, self.particle, self.table, self.others, self.by_hand, self.hand):
            self.body.addWidget(widget)
        self._shown: Geometry | None = None
        self._trying = False
        self._mirrored_before: bool | None = False
        self._correlations: tuple[Geometry | None, float, float] = (None, math.nan, math.nan)
        self._automatic: tuple[LiveComparison | None, float] = (None, math.nan)
        self._hidden: dict[str, bool] = {}
        self._task = f"correlation-{id(self)}"
        self.form.changed.connect(self._on_field)
        self.particle.chosen.connect(lambda place: self._on_field("particle_px", place))
        self.particle.pointing.connect(self._on_pointing)
        self.particle.said.connect(self.say)
        self.candidates.chosen.connect(self._on_candidate)
        self.by_hand.toggled.connect(self._on_by_hand)
        self.hand.tried.connect(self._try)
        self.hand.settled.connect(self._commit)
        self.hand.back.connect(self._back)
        self.controller.reciprocal.align_dragged.connect(self._on_dragged)
        self.controller.reciprocal.align_dropped.connect(self._on_dropped)
        self.controller.previews.ready.connect(self._on_correlation)

    # What is shown

    def refresh(self) -> None:
        """Show plan and result; lay the image as the plan says, also after an undo."""
        settings, image = self.session.plan.image, self.session.image
        self.form.set_values({"potential": settings.potential, "mirrored": settings.mirrored})
        self.particle.refresh()
        self.form.set_enabled("mirrored", not self._is_by_hand)
        self.table.show_registration(None if image is None else image.registration)
        found = self.session.automatic_registration
        self.candidates.show_candidates(() if found is None else found.candidates)
        self.others.setVisible(found is not None and len(found.candidates) > 0)
        comparison = self.session.comparison
        self.by_hand.setEnabled(comparison is not None or self.by_hand.isChecked())
        self.by_hand.setToolTip(
            "Move rotation and pixel yourself, and see the spots of both"
            if comparison is not None
            else "Align once first: whether that succeeds or not, image and pattern can then be moved by hand"
        )
        self.hand.back_button.setEnabled(self._is_by_hand)
        geometry = self._planned()
        if comparison is not None and geometry is not None and not self._trying:
            self._show(geometry)

    @property
    def _is_by_hand(self) -> bool:
        return self.session.plan.image.rotation_deg is not None

    def _planned(self) -> Geometry | None:
        """As set by hand, as found, or as the acquisition says."""
        plan, found = self.session.plan, self.session.automatic_registration
        settings = plan.image
        if settings.rotation_deg is not None and settings.pixel_angstrom is not None:
            return (settings.rotation_deg, settings.pixel_angstrom, bool(settings.mirrored))
        if found is not None:
            return (float(found.rotation_deg), float(found.image_pixel_angstrom), found.mirrored)
        pixel = self.controller.known.acquisition.image_pixel_angstrom
        if pixel is None:
            return None
        return (plan.acquisition.image_to_pattern_rotation_deg or 0.0, pixel, bool(settings.mirrored))

    def _show(self, geometry: Geometry) -> None:
        """Lay image, spots and spectrum so, and ask how well they fit."""
        if geometry != self._shown:
            self._shown = geometry
            self.hand.show_geometry(geometry)
            self.controller.presenter.show_geometry(*geometry)
        if self.hand.isVisible() and self._correlations[0] != geometry:
            self._ask_correlation(geometry)

    def _ask_correlation(self, geometry: Geometry) -> None:
        comparison, found = self.session.comparison, self.session.automatic_registration
        if comparison is None:
            return
        known = self._automatic[1] if self._automatic[0] is comparison else None

        def task() -> tuple[LiveComparison, Geometry, float, float]:
            automatic = known
            if automatic is None:
                at = (found.rotation_deg, found.image_pixel_angstrom, found.mirrored) if found is not None else None
                automatic = math.nan if at is None else comparison.correlation(*at)
            return comparison, geometry, comparison.correlation(*geometry), automatic

        self.controller.previews.ask(self._task, task)

    def _on_correlation(self, name: str, answer: Any) -> None:
        if name != self._task:
            return
        comparison, geometry, value, automatic = answer
        self._automatic = (comparison, automatic)
        self._correlations = (geometry, value, automatic)
        self.hand.show_correlation(value, automatic)

    def on_event(self, event: Event) -> None:
        """What the presenter shows when the step is done need not be shown again."""
        if event.step is Step.ALIGN and event.happening is Happening.DONE:
            self._shown = None
            self._correlations = (None, math.nan, math.nan)

    def summary(self) -> str:
        """Rotation and pixel in a sentence."""
        image = self.session.image
        if image is None:
            return "no image: nothing to align"
        texts = described(image.registration)
        how = "set by hand" if self._is_by_hand else "found"
        said = f"{how}: {texts['rotation']}, {texts['pixel']}; correlation {texts['correlation']}"
        loaded = self.session.loaded
        if self.session.plan.image.particle_px is None or loaded is None:
            return said
        return f"{said}\nof {choice_in_words(loaded.particles, image.normalised)}"

    def leave(self) -> None:
        """Back from aligning by hand and from pointing."""
        self.by_hand.setChecked(False)
        self.particle.put_away()

    def do(self) -> None:
        """Back from aligning by hand and from pointing first: what it gives is to be seen."""
        self.by_hand.setChecked(False)
        self.particle.leave()
        super().do()

    # What the user does

    def _on_field(self, name: str, value: Any) -> None:
        self.controller.change("image", **{name: value})

    def _on_candidate(self, candidate: Candidate) -> None:
        self._commit((candidate.rotation_deg, candidate.image_pixel_angstrom, candidate.mirrored))

    def _on_by_hand(self, on: bool) -> None:
        self.hand.setVisible(on)
        views = self.controller
        if not on:
            views.reciprocal.stop_align_drag()
            self._show_the_rest()
            return
        self.particle.leave()
        show_reciprocal(self, self.controller)
        comparison = self.session.comparison
        if comparison is not None:
            views.reciprocal.show_spots(comparison.spots_pattern, "pattern")
        self._shown = None
        self.refresh()
        for role in (IMAGE_POWER, IMAGE_SPOTS, PATTERN_SPOTS):
            views.reciprocal.set_visible(role, True)
        self._show_image_alone()
        views.reciprocal.start_align_drag()

    def _show_image_alone(self) -> None:
        """What lies over the image is hidden, to be shown again when the hand is done."""
        real = self.controller.real
        layers = {role: real.layer(role) for role in ROLES if role not in (SUPPORT, PARTICLE)}
        self._hidden = {role: bool(layer.visible) for role, layer in layers.items() if layer is not None}
        for role in self._hidden:
            real.set_visible(role, role == IMAGE)

    def _show_the_rest(self) -> None:
        for role, visible in self._hidden.items():
            self.controller.real.set_visible(role, visible)
        self._hidden = {}

    def _on_pointing(self, on: bool) -> None:
        """The image alone is pointed at."""
        if on:
            self.by_hand.setChecked(False)
            self._show_image_alone()
        else:
            self._show_the_rest()

    def _on_dragged(self, turn_deg: float, factor_of_q: float) -> None:
        if self.by_hand.isChecked():
            self.hand.drag(turn_deg, factor_of_q)

    def _on_dropped(self) -> None:
        if self.by_hand.isChecked():
            self.hand.drop()

    def _try(self, geometry: Geometry) -> None:
        self._trying = True
        self._show(geometry)

    def _commit(self, geometry: Geometry) -> None:
        """One change, which can be undone; Align then applies it."""
        self._trying = False
        if not self._is_by_hand:
            self._mirrored_before = self.session.plan.image.mirrored
        if geometry == self._planned():
            self.refresh()
            return
        rotation, pixel, mirrored = geometry
        self.session.settle()
        if self.controller.change(
            "image", rotation_deg=float(rotation), pixel_angstrom=float(pixel), mirrored=bool(mirrored)
        ):
            self.say("set by hand; Align applies it")
        self.refresh()

    def _back(self) -> None:
        self.session.settle()
        if self.controller.change("image", rotation_deg=None, pixel_angstrom=None, mirrored=self._mirrored_before):
            done = self.session.state(Step.ALIGN) is State.DONE
            self.say("" if done else "rotation and pixel are found anew by Align")
