"""The beam's centre: what was found, and moving it by hand over its Friedel mate."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_subangstrom_cdi.core.record.friedel import FriedelCheck, FriedelResidual
from napari_subangstrom_cdi.gui.canvas.reciprocal_view import (
    IMAGE_POWER,
    IMAGE_SPOTS,
    PATTERN,
    PATTERN_SPOTS,
    RECONSTRUCTION,
    RECORD,
    REGIONS,
)
from napari_subangstrom_cdi.gui.loop.background_task import BackgroundTask
from napari_subangstrom_cdi.gui.loop.later import once
from napari_subangstrom_cdi.gui.widgets.editors import Number, help_of
from napari_subangstrom_cdi.gui.widgets.style import QuietLabel, section_title
from napari_subangstrom_cdi.gui.window.layout import show_reciprocal
from napari_subangstrom_cdi.job.plan import PatternSettings
from napari_subangstrom_cdi.parameters import declared
from napari_subangstrom_cdi.session.session import State, Step
from napari_subangstrom_cdi.session.trials import friedel_check

if TYPE_CHECKING:
    from napari_subangstrom_cdi.gui.window.controller import Controller

Pair = tuple[float, float]

_IN_THE_WAY = (PATTERN, REGIONS, IMAGE_POWER, IMAGE_SPOTS, PATTERN_SPOTS, RECONSTRUCTION)
_RESIDUAL_EVERY_MS = 40
_BOX_LETTERS = 12
_FEW_PAIRS = 6
_CENTRE = declared(PatternSettings)["beam_centre_px"]
_AXES = (
    _CENTRE.element(0, "centre_y", "y").but(help="Beam centre, rows below the middle of the raw pattern."),
    _CENTRE.element(1, "centre_x", "x").but(help="Beam centre, columns to the right of the middle of the raw pattern."),
)


class CentreTool(QWidget):
    """Shows the centre; by hand it is dragged in reciprocal space, typed, or stepped with the arrow keys.

    Signals
    -------
    said : str
        A sentence for the dock's status line.
    """

    said = Signal(str)

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._check: FriedelCheck | None = None
        self._check_of: Any = None
        self._hidden: list[str] = []
        self._shown: Pair | None = None
        self._dragged: Pair | None = None
        self.residual: FriedelResidual | None = None
        self._task = BackgroundTask(self)
        self._task.done.connect(self._on_check)
        self._task.failed.connect(self.said)
        self._due = once(self, self._measure, _RESIDUAL_EVERY_MS)
        self._build()
        controller.reciprocal.centre_dragged.connect(self._on_dragged)
        controller.reciprocal.centre_dropped.connect(self._on_dropped)

    def _build(self) -> None:
        self.by_hand = QPushButton("Centre by hand")
        self.by_hand.setObjectName("centre-by-hand")
        self.by_hand.setCheckable(True)
        self.by_hand.setToolTip(
            "Show the record over itself turned by 180° and drag it in reciprocal space until both agree; "
            "arrow keys move it by 0.1 px, with Shift by 1 px"
        )
        self.snap = QPushButton("Snap to best")
        self.snap.setObjectName("centre-snap")
        self.snap.setToolTip("Move to where the spots match their Friedel mates best")
        self.automatic = QPushButton("Back to automatic")
        self.automatic.setObjectName("centre-automatic")
        self.automatic.setToolTip("Forget the centre that was set by hand; the step then finds it again")
        self._numbers = tuple(Number(known) for known in _AXES)
        self.boxes = tuple(number.native for number in self._numbers)
        self.origin = QuietLabel()
        self.origin.setWordWrap(True)
        self.match = QLabel()
        self.match.setObjectName("centre-match")
        self.match.setWordWrap(True)
        self._lay_out()
        self.by_hand.toggled.connect(self._on_toggled)
        self.snap.clicked.connect(self._on_snap)
        self.automatic.clicked.connect(self._on_automatic)
        for axis, number in enumerate(self._numbers):
            number.changed.connect(partial(self._on_typed, axis))

    def _lay_out(self) -> None:
        places = QHBoxLayout()
        for known, box in zip(_AXES, self.boxes, strict=True):
            label = QLabel(known.parameter.caption)
            label.setBuddy(box)
            box.setAccessibleName(f"beam centre {known.parameter.caption}")
            box.setMinimumWidth(_BOX_LETTERS * box.fontMetrics().averageCharWidth())
            for widget in (label, box):
                widget.setToolTip(help_of(known))
            places.addWidget(label)
            places.addWidget(box, stretch=1)
        buttons = QGridLayout()
        for place, button in enumerate((self.by_hand, self.automatic, self.snap)):
            buttons.addWidget(button, *divmod(place, 2))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(section_title("Beam centre"))
        column.addLayout(places)
        column.addWidget(self.origin)
        column.addWidget(self.match)
        column.addLayout(buttons)

    # What is shown

    def refresh(self) -> None:
        """Follow the session: the centre as set, as found, or as hinted."""
        loaded = self._controller.session.loaded
        told = self._controller.session.plan.pattern.beam_centre_px
        self.setEnabled(loaded is not None)
        self.automatic.setEnabled(told is not None)
        if loaded is None:
            self.origin.setText("Load the data first.")
            self._set_boxes((0.0, 0.0))
            return
        if self.by_hand.isChecked() and not self._controller.reciprocal.drags_centre:
            self.by_hand.setChecked(False)
        if self._dragged is not None:
            return
        centre = self._controller.presenter.raw_centre_px
        self._set_boxes(self._relative(centre))
        self.origin.setText(self._where_from(told))
        if centre != self._shown:
            self._shown = centre
            self._controller.reciprocal.move_centre(centre)
            self._due.start()
        self._find_check()

    def _where_from(self, told: Pair | None) -> str:
        centred = self._controller.session.centred
        if told is not None:
            return "Set by hand."
        errors = None if centred is None else centred.record.readings["beam_centre_error_px"]
        if errors is None:
            return "Taken from the hint or the middle; the step finds it." if centred is None else "Not measured."
        count = len(centred.record.spots_px) if centred is not None else 0
        return f"Found to ± {errors[0]:.3f}, ± {errors[1]:.3f} px from {count} pairs of spots."

    def _set_boxes(self, relative: Pair) -> None:
        for number, value in zip(self._numbers, relative, strict=True):
            number.value = value

    def _relative(self, centre_px: Pair) -> Pair:
        middle = self._middle()
        return centre_px[0] - middle[0], centre_px[1] - middle[1]

    def _middle(self) -> tuple[int, int]:
        loaded = self._controller.session.loaded
        assert loaded is not None
        height, width = loaded.records.particle.shape
        return height // 2, width // 2

    # What the user does

    def _on_toggled(self, on: bool) -> None:
        if not self._controller.is_open:
            return
        reciprocal = self._controller.reciprocal
        if not on:
            reciprocal.stop_centre_drag()
            reciprocal.hide_mate()
            for role in self._hidden:
                reciprocal.set_visible(role, True)
            reciprocal.set_visible(RECORD, PATTERN not in self._hidden)
            self._hidden.clear()
            self._dragged = None
            return
        show_reciprocal(self, self._controller)
        if reciprocal.layer(RECORD) is None:
            self._controller.presenter.show_record()
        layers = {role: reciprocal.layer(role) for role in _IN_THE_WAY}
        self._hidden = [role for role, layer in layers.items() if layer is not None and layer.visible]
        for role in self._hidden:
            reciprocal.set_visible(role, False)
        reciprocal.set_visible(RECORD, True)
        reciprocal.show_mate()
        reciprocal.start_centre_drag()
        self._find_check()
        self._due.start()

    def _on_dragged(self, centre_px: Pair) -> None:
        self._dragged = (float(centre_px[0]), float(centre_px[1]))
        self._shown = self._dragged
        self._set_boxes(self._relative(self._dragged))
        self.origin.setText("Being moved by hand.")
        if not self._due.isActive():
            self._due.start()

    def _on_dropped(self, centre_px: Pair) -> None:
        self._dragged = None
        self._settle((float(centre_px[0]), float(centre_px[1])))

    def _on_typed(self, axis: int, value: float) -> None:
        """Only what was typed is rounded to what the box shows."""
        centre = list(self._relative(self._shown or self._controller.presenter.raw_centre_px))
        centre[axis] = float(value)
        self._controller.change("pattern", beam_centre_px=(centre[0], centre[1]))

    def _on_snap(self) -> None:
        found = self.residual
        if found is None or not can_snap(found) or self._shown is None:
            return
        self._settle((self._shown[0] + found.offset_px[0], self._shown[1] + found.offset_px[1]))

    def _on_automatic(self) -> None:
        self._controller.session.settle()
        self._controller.change("pattern", beam_centre_px=None)

    def _settle(self, centre_px: Pair) -> None:
        """One step to be undone, whatever was done to the centre just before or is after."""
        self._controller.session.settle()
        self._controller.change("pattern", beam_centre_px=self._relative(centre_px))
        self._controller.session.settle()

    # How well it fits

    def _find_check(self) -> None:
        """The spots of these records: from the session, or found now beside the window."""
        session = self._controller.session
        loaded = session.loaded
        if session.friedel is not None and session.friedel is not self._check:
            self._check, self._check_of = session.friedel, loaded
            self._due.start()
        if self._check_of is loaded or loaded is None or session.busy or self._task.busy:
            return
        if self.by_hand.isChecked() and session.state(Step.DATA) is State.DONE:
            plan = session.plan
            self.match.setText("Looking for spots …")
            self._task.start(lambda: (loaded, friedel_check(plan, loaded)))

    def _on_check(self, found: tuple[Any, FriedelCheck | None], _: Any) -> None:
        self._check_of, self._check = found
        self._measure()

    def _measure(self) -> None:
        loaded = self._controller.session.loaded if self._controller.is_open else None
        self.residual = None
        if loaded is not None and self._check_of is loaded:
            centre = self._shown or self._controller.presenter.raw_centre_px
            self.residual = None if self._check is None else self._check.at(centre)
            self.match.setText(residual_in_words(self.residual))
        self.snap.setEnabled(self.residual is not None and can_snap(self.residual))


def can_snap(found: FriedelResidual) -> bool:
    """Whether enough pairs agree on a better centre; a few do so by chance."""
    return found.n_pairs >= _FEW_PAIRS and math.isfinite(found.distance_px)


def residual_in_words(found: FriedelResidual | None) -> str:
    """How well spots and mates agree, and which way the centre should go."""
    if found is None or found.n_pairs < _FEW_PAIRS:
        return "Hardly a spot meets its Friedel mate: the centre is far off, or there are few spots."
    text = f"{found.n_pairs} Friedel pairs, correlation {found.correlation:.3f}".replace("-", "−")
    if not math.isfinite(found.distance_px):
        return f"{text}; no better centre within reach"
    dy, dx = (f"{value:+.2f}".replace("-", "−") for value in found.offset_px)
    return f"{text}; best centre is {found.distance_px:.2f} px away (y {dy}, x {dx})"
