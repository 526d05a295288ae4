"""The particle that the pattern is of: by the pattern, typed as a place, or pointed at in the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QShortcut, QSizePolicy, QWidget

from napari_subangstrom_cdi.core.image.normalisation import NormalisedImage
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.canvas.real_view import IMAGE, PARTICLE
from napari_subangstrom_cdi.job.particle import choice_in_words, particle_at
from napari_subangstrom_cdi.job.plan import ImageSettings
from napari_subangstrom_cdi.job.preparation.load import Loaded
from napari_subangstrom_cdi.parameters import declared

from .place_field import PlaceField

if TYPE_CHECKING:
    from napari_subangstrom_cdi.gui.window.controller import Controller

Pair = tuple[float, float]

_POINT = "Show the image and click on the particle that the pattern is of; Esc or the button again leaves it as it is"
_NO_IMAGE = "Load the data first: the image is then shown, and its particles can be pointed at"


class ParticleTool(QWidget):
    """A line for the particle's place, and a button to point at it in the image.

    While it points, and where one was named, the particles are ringed in the image.

    Signals
    -------
    chosen : object
        Another place, (y, x) in pixels of the image's file, or None.
    pointing : bool
        Whether the image is being pointed at.
    said : str, str
        A sentence for the dock's status line, and its level.
    """

    chosen = Signal(object)
    pointing = Signal(bool)
    said = Signal(str, str)

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._shown: tuple[Loaded, NormalisedImage | None] | None = None
        self.field = PlaceField(declared(ImageSettings)["particle_px"])
        self.line = self.field.line
        self.button = QPushButton("Point at it")
        self.button.setObjectName("point-at-particle")
        self.button.setCheckable(True)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.field, stretch=1)
        row.addWidget(self.button)
        leave = QShortcut(QKeySequence(Qt.Key.Key_Escape), self)
        leave.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        leave.activated.connect(self.leave)
        self.field.changed.connect(self.chosen)
        self.button.toggled.connect(self._on_toggled)

    def refresh(self) -> None:
        """Follow the session."""
        loaded = self._controller.session.loaded
        can_point = loaded is not None and bool(loaded.particles)
        self.button.setEnabled(can_point)
        self.button.setToolTip(_POINT if can_point else _NO_IMAGE)
        if not can_point:
            self.leave()
        self.field.show_place(self._controller.session.plan.image.particle_px)
        self._show_particles()

    def leave(self) -> None:
        """No longer point."""
        self.button.setChecked(False)

    def put_away(self) -> None:
        """Leave, and take the rings out of sight."""
        self.leave()
        self._shown = None
        self._controller.real.hide_particles()

    def _show_particles(self) -> None:
        """Ring them where there is something to tell; drawn anew only if something changed."""
        loaded, on = self._controller.session.loaded, self.button.isChecked()
        told = self._controller.session.plan.image.particle_px
        taken = self._taken()
        if loaded is None or not (on or told is not None):
            self._shown = None
            self._controller.real.hide_particles()
            return
        shown = (loaded, taken)
        missing = self._controller.real.layer(PARTICLE) is None
        if missing or self._shown is None or any(a is not b for a, b in zip(shown, self._shown, strict=True)):
            self._shown = shown
            self._controller.presenter.show_particles(taken)

    def _taken(self) -> NormalisedImage | None:
        """The particle that was named, or else the one that the alignment took."""
        session = self._controller.session
        if session.loaded is None:
            return None
        told = session.plan.image.particle_px
        if told is None:
            return None if session.image is None else session.image.normalised
        try:
            return particle_at(told, session.loaded.particles)
        except InputError:
            return None

    def _on_toggled(self, on: bool) -> None:
        if not self._controller.is_open:
            return
        if on and self._controller.real.layer(IMAGE) is None:
            self.leave()
            self.said.emit("the image's layer was deleted; Load in the Data step brings it back", "warning")
        elif on:
            self.pointing.emit(True)
            self._controller.real.start_pointing(self._on_place, self.leave)
            self.said.emit("click on the particle in the image", "info")
        else:
            self._controller.real.stop_pointing()
            self.pointing.emit(False)
            self.said.emit("", "info")
        self._show_particles()

    def _on_place(self, shown_px: Pair) -> None:
        """One change to be undone, as if it had been typed; a click beside every particle is refused."""
        session = self._controller.session
        if session.loaded is None:
            return
        y, x = self._controller.presenter.place_in_file(shown_px)
        place = (float(round(max(y, 0.0))), float(round(max(x, 0.0))))
        try:
            found = particle_at(place, session.loaded.particles)
        except InputError as error:
            self.said.emit(error.problem, "warning")
            return
        words = choice_in_words(session.loaded.particles, found)
        self.leave()
        session.settle()
        self.chosen.emit(place)
        session.settle()
        self.said.emit(f"{words}; Align applies it", "info")
