"""The Background step: the beam, the background taken away, and the array that the pattern is laid into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.canvas.reciprocal_view import STOP
from napari_subangstrom_cdi.gui.docks.parts.centre_tool import CentreTool
from napari_subangstrom_cdi.gui.docks.parts.dock import StepDock
from napari_subangstrom_cdi.gui.widgets.fields import FieldForm
from napari_subangstrom_cdi.gui.widgets.paint_tools import PaintTools
from napari_subangstrom_cdi.gui.widgets.style import QuietLabel, StatusLine, section_title
from napari_subangstrom_cdi.gui.window.controller import Controller
from napari_subangstrom_cdi.io.mask_text import PackedMask
from napari_subangstrom_cdi.job.plan import PatternSettings
from napari_subangstrom_cdi.job.preparation.record import Centred
from napari_subangstrom_cdi.job.readings import NONE, READINGS, text, written
from napari_subangstrom_cdi.parameters import picked
from napari_subangstrom_cdi.session.session import State, Step

_NAMES = ("binning", "array_size", "background_scale", "find_beam_stop", "ellipse")


class BackgroundDock(StepDock):
    """Take the background away and centre the pattern."""

    step = Step.BACKGROUND
    title = "Background & centre"
    action = "Centre and subtract"
    help = "Find the beam, align the background record with the pattern, take it away, and centre the pattern"

    def build(self) -> None:
        """Parameters, the centre, and what was found."""
        self.form = FieldForm(picked(PatternSettings, *_NAMES))
        self.form.changed.connect(self._on_value)
        self.centre = CentreTool(self.controller)
        self.centre.said.connect(self.say)
        self.body.addWidget(self.form)
        self.body.addWidget(self.centre)
        self.stop = StopPart(self.controller)
        self.body.addWidget(self.stop)
        self.found = StatusLine()
        self.found.setObjectName("background-found")
        self.foot.setDirection(self.foot.Direction.TopToBottom)
        self.foot.addWidget(self.found)
        self._shown: dict[str, Any] = {}
        self._described: Centred | None = None

    def do(self) -> None:
        """Back from centring by hand first: the prepared pattern is to be seen."""
        self.centre.by_hand.setChecked(False)
        super().do()

    def leave(self) -> None:
        """Back from centring by hand."""
        self.centre.by_hand.setChecked(False)

    def refresh(self) -> None:
        """Bring everything in line with the session."""
        pattern = self.session.plan.pattern
        values = {name: getattr(pattern, name) for name in _NAMES}
        self.form.set_values({n: v for n, v in values.items() if n not in self._shown or self._shown[n] != v})
        self._shown = values
        self.form.set_enabled("background_scale", self.session.plan.inputs.background not in ("fit", "none"))
        self.centre.refresh()
        self.stop.refresh()
        self._refresh_found()

    def _on_value(self, name: str, value: Any) -> None:
        try:
            replace(self.session.plan.pattern, **{name: value})
        except InputError as error:
            self.form.set_error(name, f"{error.problem}; {error.mend}")
            return
        self.controller.change("pattern", **{name: value})

    def headline(self) -> str:
        """What was found, in a few words."""
        centred = self.session.centred
        if centred is None:
            return ""
        y, x = _of_pair("beam_centre_px", centred.record.readings["beam_centre_px"])
        return f"beam at y {y}, x {x} px; {_background(centred.record.readings['background'])[-1]}"

    def _refresh_found(self) -> None:
        centred = self.session.centred if self.session.state(Step.BACKGROUND) is State.DONE else None
        if centred is None:
            self.found.clear_message()
        elif centred is not self._described:
            self.found.show_message(described(centred))
            self._show_automatic(centred)
        self._described = centred

    def _show_automatic(self, centred: Centred) -> None:
        pattern = self.session.plan.pattern
        used = {
            "binning": centred.binning,
            "array_size": centred.grid.n,
            "background_scale": centred.record.readings["background"].get("scale"),
        }
        for name, value in used.items():
            if getattr(pattern, name) is None:
                self.form.set_automatic(name, value)


class StopPart(QWidget):
    """The beam stop that was found, to be painted and erased; there only with one."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        view = controller.reciprocal
        self.tools = PaintTools(view.model, lambda: view.layer(STOP), "stop")
        self.count = QLabel()
        self.count.setObjectName("stop-count")
        self.back = QPushButton("As found")
        self.back.setObjectName("stop-automatic")
        self.back.setToolTip("Take away what was painted onto the stop and erased from it; Undo brings it back")
        self._shown: tuple[Centred, PackedMask | None, PackedMask | None] | None = None
        hint = QuietLabel("Erase what is no stop: it is measured then. Paint what is missing: it goes to M.")
        hint.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.count)
        row.addStretch(1)
        row.addWidget(self.back)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(section_title("Beam stop"))
        layout.addWidget(hint)
        layout.addWidget(self.tools)
        layout.addLayout(row)
        self.tools.undo_clicked.connect(controller.undo)
        self.back.clicked.connect(lambda: controller.change("pattern", stop_added=None, stop_removed=None))

    def refresh(self) -> None:
        """Follow the session, as after an undo."""
        session = self.controller.session
        centred, pattern = session.centred, session.plan.pattern
        edited = bool(pattern.stop_added or pattern.stop_removed)
        self.setVisible(centred is not None and (edited or centred.record.found_stop is not None))
        self.back.setEnabled(edited)
        self.tools.follow()
        if centred is None:
            return
        shown = (centred, pattern.stop_added, pattern.stop_removed)
        if self._shown is None or self._shown[0] is not centred or self._shown[1:] != shown[1:]:
            self._shown = shown
            self.controller.presenter.show_stop()
            self._show_count()

    def _show_count(self) -> None:
        _, added, removed = self._shown or (None, None, None)
        pixels = (
            (mask.pixels(where="pattern"), how) for mask, how in ((added, "painted"), (removed, "erased")) if mask
        )
        parts = [f"{np.count_nonzero(mask):,} px {how}" for mask, how in pixels if mask is not None]
        self.count.setText(", ".join(parts) or "as found")


def described(centred: Centred) -> str:
    """What was found, in a few lines."""
    found, grid = centred.record.readings["background"], centred.grid
    lines = [
        *_background(found),
        *_beam_stop(centred.record.readings["beam_stop_pixels"]),
        f"Array {grid.n}² px, binned {centred.binning} × {centred.binning}; Δq = {grid.q_pixel_per_angstrom:.6f} Å⁻¹, "
        f"to {grid.n / 2 * grid.q_pixel_per_angstrom:.2f} Å⁻¹",
        *_geometry(centred.record.readings.get("geometry", {})),
    ]
    return "\n".join(lines)


def _beam_stop(n_pixels: int) -> list[str]:
    return [f"A beam stop shades {n_pixels:,} px, which are left out"] if n_pixels else []


def _geometry(found: Mapping[str, Any]) -> list[str]:
    """The ellipse, where one was looked for."""
    if "percent" not in found:
        return []
    said = {key: text(READINGS[f"geometry.{key}"], {"geometry": found}) for key in found}
    done = "undone" if found["undone"] else "left as it is"
    return [f"Ellipse {said['percent']} along {said['deg']}, {done} (by: {said['source']})"]


def _background(found: Mapping[str, Any]) -> list[str]:
    if found["kind"] == "none":
        return ["No background was taken away"]
    said = {key: written(READINGS[f"background.{key}"], value) for key, value in found.items()}
    if found["kind"] == "fit":
        return [f"Smooth background, fitted; ellipticity {said['ellipticity']}"]
    y, x = _of_pair("background.shift_px", found["shift_px"])
    turn, error = said["rotation_deg"], said["rotation_error_deg"]
    if error != NONE:
        turn = f"{turn.removesuffix('°')} ± {error}"
    return [
        f"Background moved by y {y}, x {x} ± {said['shift_error_px']} and turned by {turn}, "
        f"times {said['scale']} ± {said['scale_error']}",
        f"Match of both records {said['correlation_before']} → {said['correlation_after']}; "
        f"what is left is {said['residual_sigmas']} times the noise",
    ]


def _of_pair(key: str, found: Sequence[float]) -> list[str]:
    """Both numbers of a pair as they are written."""
    reading = READINGS[key]
    return written(reading, found).removesuffix(f" {reading.unit}").split(", ")
