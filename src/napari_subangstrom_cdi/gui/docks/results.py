"""The Results step: the numbers of a result, what of it is shown, and how it is kept and shared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QButtonGroup, QComboBox, QGridLayout, QLabel, QPushButton

from napari_subangstrom_cdi.core.result import Result
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.canvas.real_view import (
    AMPLITUDE,
    COMPOSITE,
    DEVIATION,
    MEAN,
    MODEL,
    OMIT,
    PHASE,
    REAL,
)
from napari_subangstrom_cdi.gui.docks.parts.dock import StepDock
from napari_subangstrom_cdi.gui.loop.background_task import BackgroundTask
from napari_subangstrom_cdi.gui.plots.number_table import NumberTable
from napari_subangstrom_cdi.gui.plots.resolution_plot import ResolutionPlot
from napari_subangstrom_cdi.gui.widgets.file_dialogs import ask_where_to_save, ask_which_to_open
from napari_subangstrom_cdi.gui.widgets.style import QuietLabel, StatusLine, section_title
from napari_subangstrom_cdi.gui.window.asking import PROJECT_FILTER, may_begin, proposed_project, where_to_save
from napari_subangstrom_cdi.io.export import export_image, export_table
from napari_subangstrom_cdi.job.as_script import as_command, as_python, plan_that_repeats
from napari_subangstrom_cdi.job.plan import Plan
from napari_subangstrom_cdi.job.readings import shown_in
from napari_subangstrom_cdi.session.session import State, Step

_ROWS = {reading.key: reading for reading in shown_in("Results")}
_TO_OPEN = "Project or result (*.cxi *.h5 *.hdf5)"
_IMAGES = "TIFF, for ImageJ (*.tif);;MRC (*.mrc);;NumPy (*.npy)"
_SHOWN = (
    (REAL, "Real"),
    (AMPLITUDE, "Amplitude"),
    (PHASE, "Phase"),
    (COMPOSITE, "HSV"),
    (MEAN, "Mean"),
    (DEVIATION, "Deviation"),
    (MODEL, "Model"),
    (OMIT, "Omit map"),
)
_EXPORTS: dict[str, Callable[[Result], NDArray[Any]]] = {
    "real part": lambda result: result.object.real,
    "amplitude": lambda result: np.abs(result.object),
    "phase": lambda result: np.angle(result.object),
    "deviation": lambda result: result.deviation,
}
_UNIT = {"phase": "rad", "deviation": "sigma_e V, rad", "real part": "sigma_e V, rad", "amplitude": "sigma_e V, rad"}


_STILL_WRITING = "Another file is still being written; try again"


@dataclass(frozen=True)
class _Saved:
    """The project was written."""

    path: Path


class ResultsDock(StepDock):
    """Numbers and curves of the result; project, exports, and copies to paste elsewhere."""

    step = Step.RESULTS
    title = "Results"
    action = "Save project…"
    help = "Keep raw files, settings, masks, history and result in one file (.cxi), from which all comes back"

    def build(self) -> None:
        """Fill the body."""
        self._result: Result | None = None
        self._task = BackgroundTask(self)
        self._task.done.connect(self._written)
        self._task.failed.connect(self._not_written)
        self.hint = QuietLabel("There is no result yet: run the Phase step, or open a project.")
        self.hint.setWordWrap(True)
        self.numbers = NumberTable(_ROWS, "results-", optional=_ROWS)
        self.plot = ResolutionPlot(theme=self.controller.viewer.theme)
        self.doubts = StatusLine()
        self.doubts.setObjectName("results-warnings")
        self.body.addWidget(self.hint)
        self.body.addWidget(self.numbers)
        self.body.addWidget(self.doubts)
        self.body.addWidget(self.plot)
        self.body.addWidget(section_title("Show"))
        self.body.addLayout(self._layer_buttons())
        self.body.addLayout(self._export_buttons())
        self.save_as = self._push("Save as…", "results-save-as", "Save the project in another file", self._save_as)
        self.open_button = self._push(
            "Open project…", "results-open", "Take over a project or result, with everything in it", self._open
        )
        self.foot.addWidget(self.save_as)
        self.foot.addWidget(self.open_button)
        self._theme = self.controller.viewer.events.theme
        self._theme.connect(self._on_theme)

    def release(self) -> None:
        """Let go of the viewer's theme."""
        self._theme.disconnect(self._on_theme)

    def _push(self, text: str, name: str, tooltip: str, slot: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.setToolTip(tooltip)
        button.clicked.connect(slot)
        return button

    def _layer_buttons(self) -> QGridLayout:
        grid = QGridLayout()
        self._group = QButtonGroup(self)
        self.layer_buttons: dict[str, QPushButton] = {}
        for i, (role, text) in enumerate(_SHOWN):
            button = QPushButton(text)
            button.setObjectName(f"results-show-{text.lower()}")
            button.setToolTip(f"Show the layer “{role}” alone among those of the reconstruction")
            button.setCheckable(True)
            button.clicked.connect(partial(self._show_only, role))
            self._group.addButton(button)
            grid.addWidget(button, i // 3, i % 3)
            self.layer_buttons[role] = button
        contrast = self._push(
            "Automatic contrast",
            "results-contrast",
            "Let the contrast of all layers follow their data again, after it was set by hand",
            self.controller.follow_contrast,
        )
        grid.addWidget(contrast, -(-len(_SHOWN) // 3), 0, 1, 3)
        return grid

    def _export_buttons(self) -> QGridLayout:
        self.what = QComboBox()
        self.what.setObjectName("results-what")
        self.what.setToolTip("Of the average of the members")
        self.what.addItems(list(_EXPORTS))
        image = self._push("image…", "results-image", "Write it as TIFF, MRC or NPY with its pixel size", self._image)
        curves = self._push("curves…", "results-curves", "Write all curves and power spectra as CSV", self._curves)
        figure = self._push("figure…", "results-figure", "Draw a page for a slide, as PNG and PDF", self._figure)
        command = self._push("command", "results-command", "A shell command that does the same job", self._copy_command)
        python = self._push("Python", "results-python", "A script that does the same job", self._copy_python)
        self._needs_result = [self.what, image, curves, figure]
        self._copies = [command, python]
        grid = QGridLayout()
        rows = (("Export", self.what, image), ("", curves, figure), ("Copy as", command, python))
        for row, (text, left, right) in enumerate(rows):
            grid.addWidget(QLabel(text), row, 0)
            for column, widget in ((1, left), (2, right)):
                grid.addWidget(widget, row, column)
                if text and isinstance(widget, QPushButton):
                    widget.setAccessibleName(f"{text} {widget.text()}")
        curves.setAccessibleName("Export curves…")
        figure.setAccessibleName("Export figure…")
        for column in (1, 2):
            grid.setColumnStretch(column, 1)
        return grid

    # What is shown

    def refresh(self) -> None:
        """Show the result as it stands."""
        session, result = self.session, self.session.result
        idle = not session.busy
        self.button.setText("Save" if self.controller.project_path is not None else "Save project…")
        self.button.setEnabled(idle and bool(session.plan.inputs.pattern or result))
        self.save_as.setVisible(self.controller.project_path is not None)
        self.save_as.setEnabled(self.button.isEnabled())
        self.open_button.setEnabled(idle)
        for widget in self._needs_result:
            widget.setEnabled(result is not None)
        for button in self._copies:
            button.setEnabled(bool(session.plan.inputs.pattern))
        if result is not self._result:
            self._result = result
            if session.unsaved:
                self.say("")  # what was said of the one before does not hold for this one
            self.numbers.show_metrics(None if result is None else result.metrics)
            self.plot.show_curves({} if result is None else dict(result.curves), calibrated=_calibrated(result))
            warned = () if result is None else result.metrics.get("warnings", ())
            self.doubts.show_message("\n".join(warned), "warning")
        self.hint.setVisible(result is None)
        self.plot.setVisible(result is not None)
        self._sync_layer_buttons()

    def _sync_layer_buttons(self) -> None:
        visible, result = None, self.session.result
        there = {MODEL: self.session.model is not None, OMIT: result is not None and result.omit_map is not None}
        for role, button in self.layer_buttons.items():
            layer = self.controller.real.layer(role)
            button.setEnabled(layer is not None)
            if role in there:
                button.setVisible(layer is not None and there[role])
            if visible is None and layer is not None and layer.visible:
                visible = role
        self._group.setExclusive(False)
        for role, button in self.layer_buttons.items():
            if button.isChecked() != (role == visible):
                button.setChecked(role == visible)
        self._group.setExclusive(True)

    def _show_only(self, role: str, checked: bool = True) -> None:
        for other in self.layer_buttons:
            self.controller.real.set_visible(other, other == role)
        layer = self.controller.real.layer(role)
        if layer is not None:  # contrast and colours that the user then sets are to act on what is seen
            self.controller.viewer.layers.selection.active = layer
        self._sync_layer_buttons()

    def enterEvent(self, event: QEvent | None) -> None:
        """The user may have shown or hidden layers in napari's own list."""
        super().enterEvent(event)
        self._sync_layer_buttons()

    def _on_theme(self, event: Any) -> None:
        self.plot.set_theme(self.controller.viewer.theme)

    # Project

    def do(self) -> None:
        """Save, to the project's file if it has one."""
        if self.controller.project_path is None:
            self._save_as()
        else:
            self._save(self.controller.project_path)

    def _save_as(self) -> None:
        path = ask_where_to_save(self, "Save the project", proposed_project(self.controller), PROJECT_FILTER)
        if path is not None:
            self._save(path)

    def _save(self, path: Path) -> None:
        target = None if self._task.busy else where_to_save(self.window(), self.controller, path)
        if target is None:
            if self._task.busy:
                self.say(_STILL_WRITING)
            return
        session, view = self.session, self.controller.view_state()

        def write() -> _Saved:
            session.save(target, view=view)
            return _Saved(target)

        self._in_background(write, "saving")

    def _open(self) -> None:
        if not may_begin(self.window(), self.controller):
            return
        path = ask_which_to_open(self, "Open a project", proposed_project(self.controller).parent, _TO_OPEN)
        if path is not None and self.controller.load(path):
            self.say(f"Opened: {path}")
            self._refresh()

    # Export

    def _image(self) -> None:
        what, result = self.what.currentText(), self.session.result
        if result is None:
            return
        proposal = self._proposal(f"_{what.replace(' ', '_')}.tif")
        path = ask_where_to_save(self, f"Export the {what}", proposal, _IMAGES)
        if path is None:
            return
        pixel = result.grid.pixel_angstrom if result.calibrated else None
        text = f"{what} ({_UNIT[what]}), average of {sum(result.kept)} members, napari-subangstrom-cdi {result.version}"

        def write() -> tuple[Path, ...]:
            export_image(path, _EXPORTS[what](result), pixel, description=text)
            return (path,)

        self._in_background(write, "writing")

    def _curves(self) -> None:
        result = self.session.result
        if result is None:
            return
        path = ask_where_to_save(self, "Export the curves", self._proposal("_curves.csv"), "Table (*.csv)")
        if path is None:
            return
        unit = "per_angstrom" if result.calibrated else "per_px"
        columns = {}
        for name, curve in result.curves.items():
            columns[f"{name}_q_{unit}"], columns[name] = curve.q_per_angstrom, curve.value

        def write() -> tuple[Path, ...]:
            export_table(path, columns)
            return (path,)

        self._in_background(write, "writing")

    def _figure(self) -> None:
        result = self.session.result
        if result is None:
            return
        path = ask_where_to_save(self, "Export the figure", self._proposal(".png"), "PNG, and PDF beside it (*.png)")
        if path is None:
            return

        def draw() -> tuple[Path, ...]:
            from napari_subangstrom_cdi.job.report import write_report  # matplotlib takes a second to import

            return write_report(result, path.with_suffix(""))

        self._in_background(draw, "drawing the figure")

    def _proposal(self, ending: str) -> Path:
        project = proposed_project(self.controller)
        return project.with_name(f"{project.stem}{ending}")

    def _in_background(self, task: Callable[[], Any], text: str) -> None:
        started = self._task.start(task)
        self.say(f"{text} …" if started else _STILL_WRITING)

    def _written(self, done: Any, doubts: Any) -> None:
        if isinstance(done, _Saved):
            self.controller.project_path = done.path
            self.controller.poll()
            self._refresh()
            self.say(f"Saved: {done.path}")
        else:
            self.say("\n".join((f"Written: {', '.join(map(str, done))}", *doubts)))

    def _not_written(self, problem: str) -> None:
        self.say(problem, "error")

    # Copy

    def _plan(self) -> Plan:
        """What repeats the result if it is current, else what Run would do now."""
        session = self.session
        if session.result is None or session.state(Step.PHASE) is not State.DONE:
            return session.plan
        return plan_that_repeats(session.plan, session.result)

    def _current_project(self) -> Path | None:
        """The project's file if it holds the result as it stands."""
        session, path = self.session, self.controller.project_path
        current = session.result is not None and not session.unsaved and session.state(Step.PHASE) is State.DONE
        return path if current and path is not None and path.is_file() else None

    def _copy_command(self) -> None:
        self._copy(lambda: as_command(self._plan(), self._current_project()), "The command", self._current_project())

    def _copy_python(self) -> None:
        self._copy(lambda: as_python(self._plan()), "The script", None)

    def _copy(self, make: Callable[[], str], what: str, project: Path | None) -> None:
        try:
            text = make()
        except InputError as error:
            self.say(str(error), "error")
            return
        QApplication.clipboard().setText(text)
        temporary = self.session.temporary_inputs
        if project is None and temporary:
            lost = " and ".join(temporary)
            self.say(
                f"{what} is copied, but the files of {lost} last only as long as this window: "
                "save the project and copy the command again",
                "warning",
            )
        else:
            self.say(f"{what} is copied; paste it where you like")


def _calibrated(result: Result | None) -> bool:
    return result is None or result.calibrated
