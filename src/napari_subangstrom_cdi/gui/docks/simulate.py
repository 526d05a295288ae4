"""Simulate: records of a particle that is known to the last atom, as the job of the workflow."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from qtpy.QtCore import QSize, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QProgressBar, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.docks.parts.dock import UprightScroll
from napari_subangstrom_cdi.gui.docks.parts.docked import Docked
from napari_subangstrom_cdi.gui.docks.parts.model_crystal import CrystalRow
from napari_subangstrom_cdi.gui.loop.background_task import BackgroundTask
from napari_subangstrom_cdi.gui.widgets.fields import FieldForm, Fold
from napari_subangstrom_cdi.gui.widgets.file_dialogs import ask_which_folder
from napari_subangstrom_cdi.gui.widgets.inputs import RECORDS
from napari_subangstrom_cdi.gui.widgets.style import QuietLabel, StatusLine, primary_button
from napari_subangstrom_cdi.gui.window.asking import may_begin
from napari_subangstrom_cdi.gui.window.controller import Controller
from napari_subangstrom_cdi.gui.window.main_window import adopt_window, main_window_of
from napari_subangstrom_cdi.gui.window.opening import WORKFLOW, open_dock
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.job.plan import Inputs, preset_plan, with_paths
from napari_subangstrom_cdi.parameters import Parameter, declared, described, picked
from napari_subangstrom_cdi.session.session import Step
from napari_subangstrom_cdi.simulation.faults import FaultSettings
from napari_subangstrom_cdi.simulation.files import RECORD_FILES, check_folder, write_records
from napari_subangstrom_cdi.simulation.records import RecordSet, acquisition_of, simulate
from napari_subangstrom_cdi.simulation.settings import MicroscopeSettings, ParticleSettings, Simulation, facet

_TILT = declared(ParticleSettings)["tilt_deg"]
_PARTICLE = (
    *picked(ParticleSettings, "zone", "diameter_angstrom", "thickness_angstrom", "prism"),
    replace(declared(ParticleSettings)["facets"], kind="text", optional=True, default=None),
    _TILT.element(0, "tilt_x_deg", "Tilt about x"),
    _TILT.element(1, "tilt_y_deg", "Tilt about y"),
    *picked(ParticleSettings, "azimuth_deg", "boundary_shift_angstrom"),
)
_MICROSCOPE = (
    *picked(MicroscopeSettings, "wave", "dose_per_angstrom2", "coherence_angstrom", "beam_stop_per_angstrom"),
    *picked(MicroscopeSettings, "detector_px", "detector_pixel_um", "saturation_counts", "defocus_nm"),
    *picked(MicroscopeSettings, "information_limit_per_angstrom", "image_electrons_per_pixel"),
    *picked(ParticleSettings, "b_factor"),
    described(
        "substrate",
        Annotated[bool, Parameter("Substrate", "Few-layer graphene, and inelastic scattering between the spots.")],
    ),
    *picked(MicroscopeSettings, "noise", "faults"),
    *picked(Simulation, "seed"),
)
_PARTS = ("particle", "pattern", "background", "image", "files")
_LOOK_EVERY_MS = 200
_WIDTH_IN_LETTERS = 58


class _CancelledError(InputError):
    """The user has changed their mind."""


@dataclass
class _Progress:
    """What the thread tells the window and the window the thread; no Qt."""

    part: str = _PARTS[0]
    cancelled: bool = False

    def told(self, part: str) -> None:
        """Hear of a part that begins; ends the simulation if that was asked for."""
        if self.cancelled:
            raise _CancelledError("cancelled")
        self.part = part


class SimulateDock(Docked):
    """Settings of particle and microscope, and a button that takes the records."""

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = Controller.of(napari_viewer)
        self.setObjectName("subangstrom-simulate")
        usual = Simulation()
        self._crystal_name = usual.particle.crystal
        self.crystal = CrystalRow(self.controller.previews)
        self.form = FieldForm([*_PARTICLE, *(known.but(advanced=True) for known in _MICROSCOPE)])
        self.form.set_values(_values_of(usual))
        self.faults = FieldForm(tuple(declared(FaultSettings).values()))
        self.faults.set_values(asdict(usual.faults))
        self.faults_fold = Fold("Faults", self.faults)
        self.faults_fold.setObjectName("simulate-faults")
        self.folder = QLineEdit()
        self.folder.setObjectName("simulate-folder")
        self.folder.setAccessibleName("Folder to keep the records in")
        self.folder.setPlaceholderText("not kept")
        self.browse = QToolButton()
        self.browse.setObjectName("simulate-browse")
        self.browse.setText("Browse…")
        self.button = primary_button("Simulate", "Take both patterns and the image, and open them as the job")
        self.button.setObjectName("simulate-do")
        self.cancel = QPushButton("Cancel")
        self.cancel.setObjectName("simulate-cancel")
        self.cancel.setToolTip("End after the part that goes on; nothing is written")
        self.bar = QProgressBar()
        self.bar.setObjectName("simulate-progress")
        self.bar.setRange(0, len(_PARTS))
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(max(6, self.fontMetrics().height() // 2))
        self.status = StatusLine()
        self.status.setObjectName("simulate-status")
        self._progress = _Progress()
        self._settings = usual
        self._kept_in: Path | None = None
        self._ready: RecordSet | None = None
        self._task = BackgroundTask(self)
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._lay_out()
        self._connect()
        self.crystal.show_crystal(self._crystal_name)
        self._show_state()

    def _lay_out(self) -> None:
        where = QHBoxLayout()
        where.addWidget(QuietLabel("Keep in"))
        where.addWidget(self.folder, stretch=1)
        where.addWidget(self.browse)
        buttons = QHBoxLayout()
        buttons.addWidget(self.button)
        buttons.addWidget(self.cancel)
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, 0, 0)
        for widget in (self.crystal, self.form, self.faults_fold):
            inside.addWidget(widget)
        for row in (where, buttons):
            inside.addLayout(row)
        for widget in (self.bar, self.status):
            inside.addWidget(widget)
        inside.addStretch(1)
        QVBoxLayout(self).addWidget(UprightScroll(content))

    def _connect(self) -> None:
        self.crystal.picked.connect(self._on_crystal)
        self.browse.clicked.connect(self._ask_folder)
        self.button.clicked.connect(self.do)
        self.cancel.clicked.connect(self._on_cancel)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)
        self._timer.timeout.connect(self._show_state)
        self.controller.changed.connect(self._open_when_idle)

    def sizeHint(self) -> QSize:
        """As wide as some words."""
        return QSize(_WIDTH_IN_LETTERS * self.fontMetrics().averageCharWidth(), super().sizeHint().height())

    def leave(self) -> None:
        """End what goes on."""
        self._progress.cancelled = True

    def release(self) -> None:
        """The thread ends after the part that it is at."""
        self._progress.cancelled = True

    # What the user does

    def settings(self) -> Simulation:
        """The simulation as it is set.

        Raises
        ------
        InputError
            If a setting makes no sense.
        """
        values = dict(self.form.values())
        tilt = (values.pop("tilt_x_deg"), values.pop("tilt_y_deg"))
        seed, substrate = values.pop("seed"), values.pop("substrate")
        facets = dict(facet(one) for one in (values.pop("facets") or "").split(",") if one.strip())
        microscope = {field.name: values.pop(field.name) for field in _MICROSCOPE if field.name in values}
        values |= {"tilt_deg": tilt, "facets": facets, "b_factor": microscope.pop("b_factor")}
        particle = ParticleSettings(self._crystal_name, **values)
        if not substrate:
            microscope |= {"inelastic": 0.0, "graphene_layers": 0}
        return Simulation(particle, MicroscopeSettings(**microscope), seed, FaultSettings(**self.faults.values()))

    def do(self) -> None:
        """Take the records in a thread."""
        if self._task.busy:
            return
        text = self.folder.text().strip()
        folder = Path(text).expanduser() if text else None
        try:
            settings = self.settings()
            if folder is not None:
                check_folder(folder)
        except InputError as error:
            self.status.show_message(str(error), "error")
            return
        session, window = self.controller.session, main_window_of(self)
        if session.busy:
            self.status.show_message("a step goes on: stop it, or wait until it is done", "warning")
            return
        if window is not None and not may_begin(window, self.controller):
            return
        progress = self._progress = _Progress()
        self._settings, self._kept_in = settings, folder

        def work() -> RecordSet:
            records = simulate(settings, progress.told)
            if folder is not None:
                progress.told(_PARTS[-1])
                write_records(records, folder)
            return records

        self.status.clear_message()
        self._task.start(work)
        self._timer.start()
        self._show_state()

    def _on_crystal(self, name: str | None) -> None:
        self._crystal_name = name or ""
        self.crystal.show_crystal(name)

    def _ask_folder(self) -> None:
        chosen = ask_which_folder(self, "Keep the records in", Path(self.folder.text() or Path.home()))
        if chosen is not None:
            self.folder.setText(str(chosen))

    def _on_cancel(self) -> None:
        self._progress.cancelled = True
        self._show_state()

    # How it goes

    def _show_state(self) -> None:
        busy, cancelled = self._task.busy, self._progress.cancelled
        self.button.setEnabled(not busy)
        self.cancel.setEnabled(busy and not cancelled)
        self.cancel.setText("Cancelling…" if busy and cancelled else "Cancel")
        self.bar.setVisible(busy)
        self.bar.setValue(_PARTS.index(self._progress.part) if self._progress.part in _PARTS else 0)
        if busy and not cancelled:
            self.status.show_message(f"{self._progress.part} …")
        if not busy:
            self._timer.stop()

    def _on_failed(self, problem: str) -> None:
        self._show_state()
        if self._progress.cancelled:
            self.status.show_message("cancelled; the job is as it was", "warning")
        else:
            self.status.show_message(problem, "error")

    def _on_done(self, records: RecordSet, doubts: tuple[str, ...]) -> None:
        self._show_state()
        if self._progress.cancelled and self._kept_in is None:
            self._on_failed("")
            return
        self._ready = records
        kept = f"; kept in {self._kept_in}" if self._kept_in is not None else ""
        said = "\n".join((f"{len(records.atoms.numbers)} atoms recorded{kept}", *doubts))
        self.status.show_message(said, "warning" if doubts else "info")
        self._open_when_idle()

    def _open_when_idle(self) -> None:
        """Make the records the job's; they wait while a step goes on."""
        records = self._ready
        if records is None or self.controller.session.busy:
            return
        self._ready = None
        controller, session = self.controller, self.controller.session
        known = Acquisition.from_mapping(acquisition_of(records), where="simulation")
        particle = records.settings.particle
        plan = preset_plan(controller.preferences.preset, self._inputs_of(records), known, session.plan.ensemble)
        window = main_window_of(self)
        if window is not None and not may_begin(window, controller):  # a run may have ended meanwhile
            return
        controller.begin_job(replace(plan, model=replace(plan.model, zone=particle.zone, b_factor=particle.b_factor)))
        for role in RECORDS:
            controller.inputs.touch(role)
        if window is not None:
            adopt_window(window, controller)
            open_dock(controller.viewer, WORKFLOW)
        controller.poll()
        controller.run(Step.DATA)

    def _inputs_of(self, records: RecordSet) -> Inputs:
        """The records by file: where they were kept, or the session's own."""
        named = Inputs("", crystal=records.settings.particle.crystal)
        if self._kept_in is not None:
            return with_paths(named, {role: self._kept_in / RECORD_FILES[role] for role in RECORDS})
        file_of = self.controller.session.file_of
        return with_paths(named, {role: file_of(role, getattr(records, role), name="simulated") for role in RECORDS})


def _values_of(settings: Simulation) -> dict[str, Any]:
    """What the form shows of a simulation."""
    particle, microscope = settings.particle, settings.microscope
    special = {
        "tilt_x_deg": particle.tilt_deg[0],
        "tilt_y_deg": particle.tilt_deg[1],
        "facets": ", ".join(f"{plane}:{distance:g}" for plane, distance in particle.facets.items()) or None,
        "substrate": microscope.inelastic > 0 or microscope.graphene_layers > 0,
        "seed": settings.seed,
    }
    names = [field.name for field in (*_PARTICLE, *_MICROSCOPE) if field.name not in special]
    return special | {name: getattr(particle if hasattr(particle, name) else microscope, name) for name in names}
