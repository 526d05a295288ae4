"""What the docks of one viewer share: the session, both canvases, and the timer that carries news from the thread."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_subangstrom_cdi.core.image.support import edits
from napari_subangstrom_cdi.core.phasing.regions import with_friedel_mates
from napari_subangstrom_cdi.core.types import Bool
from napari_subangstrom_cdi.errors import InputError, Remedy, collected_doubts
from napari_subangstrom_cdi.gui.canvas import shortcuts
from napari_subangstrom_cdi.gui.canvas.real_view import RealView
from napari_subangstrom_cdi.gui.canvas.reciprocal_view import ReciprocalView
from napari_subangstrom_cdi.gui.loop.later import later
from napari_subangstrom_cdi.gui.loop.painting import painted_at_once
from napari_subangstrom_cdi.gui.loop.patience import patiently
from napari_subangstrom_cdi.gui.loop.previews import Previews
from napari_subangstrom_cdi.gui.widgets.inputs import Role
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.io.mask_text import PackedMask, painted_on
from napari_subangstrom_cdi.job.headers import Completed, completed
from napari_subangstrom_cdi.job.plan import Inputs, Plan, with_preset
from napari_subangstrom_cdi.session.pace import Pace
from napari_subangstrom_cdi.session.recovery import default_folder
from napari_subangstrom_cdi.session.session import Event, Happening, Session, Step
from napari_subangstrom_cdi.session.watch import Frame, Live, Progress

from .activity import Activity
from .asking import may_run
from .input_layers import InputLayers
from .preferences import Preferences, kept_by_napari
from .presenter import Presenter

_POLL_MS = 40


def _new_job(preferences: Preferences) -> Plan:
    plan = Plan(Inputs(""))
    plan = replace(plan, ensemble=replace(plan.ensemble, members=preferences.members))
    return with_preset(plan, preferences.preset)


def unwrapped(viewer: Any) -> ViewerModel:
    """The viewer itself: docks are handed a proxy, and layers and callbacks of a proxy are proxies too."""
    return getattr(viewer, "__wrapped__", viewer)


class Controller(QObject):
    """One for each viewer; :meth:`of` gives it.

    Signals
    -------
    changed
        Settings or states of steps may have changed.
    happened : Event
        News of the session.
    progressed : Progress
        Numbers of the run, some times a second.
    framed : Frame
        A frame was shown.
    support_edited, excluded_edited : ndarray of bool
        The user painted; the whole mask in the problem's frame.
    said : str, str
        A sentence for the status lines, and its level: ``info``, ``warning`` or ``error``.
    """

    changed = Signal()
    happened = Signal(object)
    progressed = Signal(object)
    framed = Signal(object)
    said = Signal(str, str)
    support_edited = Signal(object)
    excluded_edited = Signal(object)

    _of_viewer: dict[int, Controller] = {}  # noqa: RUF012  (one for all)

    @classmethod
    def of(cls, viewer: Any) -> Controller:
        """The controller of a viewer, made at the first call."""
        model = unwrapped(viewer)
        if id(model) not in cls._of_viewer:
            cls._of_viewer[id(model)] = cls(model)
        return cls._of_viewer[id(model)]

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = viewer
        self.preferences = Preferences.read()
        self.session = Session(recovery_folder=self._recovery_folder(), plan=_new_job(self.preferences))
        self._kept = kept_by_napari()
        if self._kept is not None:
            self._kept.events.connect(self._on_preferences)
        self.real = RealView(
            viewer, on_deleted=self._deleted, on_support_painted=self.paint_support, on_made=self.changed.emit
        )
        self.reciprocal = ReciprocalView(
            viewer, on_deleted=self._deleted, on_painted=self.paint_excluded, on_stop_painted=self.paint_stop
        )
        self.presenter = Presenter(
            self.session, self.real, self.reciprocal, lambda: self.inputs.image_to_adopt() is not None
        )
        self.inputs = InputLayers(self.session, self.presenter, self)
        self.inputs.said.connect(self._on_said_of_inputs)
        self.project_path: Path | None = None
        self._asked_inputs: Inputs | None = None
        self.friedel_mates = False
        self.previews = Previews(self)
        self.activity = Activity(self.session, self)
        self.happened.connect(self.activity.on_event)
        self._pace = Pace(self.preferences.frames_per_second)
        self._told: Progress | None = None
        self._average_due = False
        self._marked = (0, 0)
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self.poll)
        for canvas in (viewer, self.reciprocal.model):
            shortcuts.bind(canvas, self)

    def _recovery_folder(self) -> Path | None:
        return default_folder() if self.preferences.autosave else None

    def _on_preferences(self) -> None:
        self.use(Preferences.read())

    def use(self, preferences: Preferences) -> None:
        """Take over preferences: how often frames are shown, and whether finished members are kept on the disk."""
        self.preferences = preferences
        self.session.recovery_folder = self._recovery_folder()
        self._pace.frames_per_second = self.preferences.frames_per_second
        self._pace.hurry()
        self.changed.emit()

    # What is known

    @property
    def known(self) -> Completed:
        """The settings with the acquisition as it is in force: what the user states, filled from the files' headers."""
        plan = self.session.plan
        if plan.inputs != self._asked_inputs:  # headers are read once, without freezing the window
            self._asked_inputs = plan.inputs
            return patiently(lambda: completed(plan), "reading headers")
        return completed(plan)

    @property
    def said_by_files(self) -> Completed:
        """The same, had the user stated nothing."""
        return completed(replace(self.session.plan, acquisition=Acquisition()))

    # What the docks do

    def change(self, section: str, **values: Any) -> bool:
        """Change settings; says why if they cannot be, and returns False."""
        try:
            self.session.change(section, **values)
        except InputError as error:
            self.said.emit(str(error), "error")
            return False
        self.poll()
        return True

    def take_over(self, remedy: Remedy) -> bool:
        """Take over what would mend an error or a doubt; says why if it cannot be, and returns False."""
        try:
            self.session.take_over(remedy)
        except InputError as error:
            self.said.emit(str(error), "error")
            return False
        self.poll()
        return True

    def run(self, step: Step, *, paused: bool = False) -> None:
        """Do a step in the session's thread."""
        try:
            self.session.start(step, paused=paused)
        except InputError as error:
            self.said.emit(str(error), "error")
            return
        self.real.forget_deletions()
        self.reciprocal.forget_deletions()
        self._timer.start()
        self.poll()

    def toggle_run(self) -> None:
        """Run, pause or go on, whichever comes next."""
        if not self.session.busy:
            self._run_if_asked()
        elif self.session.paused:
            self.session.resume()
        else:
            self.session.pause()
        self._pace.hurry()  # what it stands at is to be seen
        self.changed.emit()

    def step_once(self) -> None:
        """One iteration, then wait."""
        if self.session.busy:
            self.session.step_once()
            self._pace.hurry()
            self.changed.emit()
        else:
            self._run_if_asked(paused=True)

    def stop(self) -> None:
        """End what goes on."""
        self.session.stop()
        self.changed.emit()

    def next_step(self) -> None:
        """Do the first step that is not done."""
        pending = self.session.pending
        if pending is Step.PHASE:
            self._run_if_asked()
        elif pending is not None:
            self.run(pending)

    def _run_if_asked(self, *, paused: bool = False) -> None:
        """Run, unless the user would rather keep the result that is there."""
        if may_run(self):
            self.run(Step.PHASE, paused=paused)

    def toggle_masks(self) -> None:
        """Show or hide support and regions."""
        self.real.toggle_masks()
        self.reciprocal.toggle_masks()

    def follow_contrast(self) -> None:
        """Let the contrast of every layer follow its data again, whatever the user set."""
        self.real.follow_contrast()
        self.reciprocal.follow_contrast()

    def steer(self, **values: Any) -> None:
        """Change the run that goes on; see :meth:`.session.Session.steer`."""
        try:
            self.session.steer(**values)
        except InputError as error:
            self.said.emit(str(error), "error")
        self.poll()

    def undo(self) -> None:
        """Take back the last change of settings."""
        self.said.emit("" if self.session.undo() else "nothing to undo", "info")
        self.poll()

    def redo(self) -> None:
        """Make it again."""
        self.said.emit("" if self.session.redo() else "nothing to redo", "info")
        self.poll()

    def set_input(self, role: Role, source: Layer | str | Path | None, *, frame: int | str | None = None) -> bool:
        """Take a layer, a file, or a word such as ``fit`` as pattern, background, image, support or mask.

        Of a stack all frames are added up unless ``frame`` is given, of images the first is taken. Says why if
        it cannot be, and returns False.
        """
        try:
            self.inputs.take(role, source, frame=frame)
        except InputError as error:
            self.said.emit(str(error), "error")
            return False
        self.poll()
        return True

    # Painting

    def paint_support(self, mask: Bool) -> None:
        """Take over a support that the user edited, at once in a run that goes on."""
        automatic = self.presenter.automatic_support
        if automatic is None or automatic.shape != mask.shape:
            return
        mask = self.presenter.in_problem_frame(mask)
        added, removed = (PackedMask.of(part) or None for part in edits(automatic, mask))
        self.session.settle()
        try:
            with collected_doubts() as doubts:
                if self.session.steerable:
                    self.session.steer_masks(support=PackedMask.of(mask), added=added, removed=removed)
                else:
                    self.session.change("support", added=added, removed=removed)
        except InputError as error:
            self.said.emit(str(error), "error")
        for doubt in doubts:
            self.said.emit(doubt, "warning")
        self.support_edited.emit(mask)
        self.poll()

    def paint_excluded(self, mask: Bool) -> None:
        """Take over the pixels that the user sent to M, at once in a run that goes on."""
        if self.friedel_mates:
            mask = self._with_mates(mask)
        packed = PackedMask.of(mask)
        self.session.settle()
        try:
            if self.session.steerable:
                self.session.steer_masks(excluded=packed)
            else:
                self.session.change("regions", excluded=packed or None)
        except InputError as error:
            self.said.emit(str(error), "error")
        self.excluded_edited.emit(mask)
        self.poll()

    def paint_stop(self, mask: Bool) -> None:
        """Take over what the user painted onto the beam stop that was found, and erased from it; shape (h, w)."""
        centred = self.session.centred
        if centred is None or centred.record.record.shape != mask.shape:
            return
        found = centred.record.found_stop
        added, removed = edits(np.zeros_like(mask) if found is None else found, mask)
        self.session.settle()
        self.change("pattern", stop_added=PackedMask.of(added) or None, stop_removed=PackedMask.of(removed) or None)
        self.session.settle()

    def _with_mates(self, mask: Bool) -> Bool:
        """What was painted or erased just now is painted or erased at -q as well, and shown so."""
        prepared = self.session.prepared
        if prepared is None or prepared.problem.grid.shape != mask.shape:
            return mask
        before = painted_on(prepared.problem.grid, self.session.plan.regions.excluded, where="regions.excluded")
        if before is None:
            before = np.zeros_like(mask)
        mask = (mask | with_friedel_mates(mask & ~before)) & ~with_friedel_mates(before & ~mask)
        self.reciprocal.show_painted(mask, prepared.problem.grid)
        return mask

    # Jobs

    def begin_job(self, plan: Plan | None = None) -> None:
        """Begin another job in this window, by default with nothing chosen; what the last one showed goes.

        Raises
        ------
        InputError
            If something is being done.
        """
        self.session.begin_anew(_new_job(self.preferences) if plan is None else plan)
        self.project_path = None
        self.presenter.begin_anew()
        self.poll()

    def save(self, path: str | Path) -> bool:
        """Write the project; False if that failed, which is said."""
        try:
            self.session.save(path, view=self.view_state())
        except InputError as error:
            self.said.emit(str(error), "error")
            return False
        self.project_path = Path(path)
        self.said.emit(f"saved to {path}", "info")
        self.poll()
        return True

    def load(self, path: str | Path) -> bool:
        """Open a project or a result, and bring its steps back in the background."""
        try:
            view = self.session.load(path)
        except InputError as error:
            self.said.emit(str(error), "error")
            return False
        self.project_path = Path(path)
        self.presenter.begin_anew()
        self.presenter.show_loaded()
        self.real.restore(view.get("real", {}))
        self.reciprocal.restore(view.get("reciprocal", {}))
        self.poll()
        if self.session.plan.inputs.pattern:
            self.run(Step.MODEL if self.session.plan.model.use else Step.MASKS)
        return True

    def view_state(self) -> dict[str, Any]:
        """How both canvases look, as plain values."""
        return {"real": self.real.state(), "reciprocal": self.reciprocal.state()}

    # News

    def poll(self) -> None:
        """Pass on what happened, and show the newest frame if one is due."""
        self._pass_on_all()
        if self.session.busy:
            self._watch()
            if not self._timer.isActive():
                self._timer.start()
        elif self._timer.isActive():
            self._timer.stop()
            self._pass_on_all()
            self.changed.emit()

    def _pass_on_all(self) -> None:
        events = self.session.poll()
        if events:
            with painted_at_once():
                for event in events:
                    self._pass_on(event)

    def _pass_on(self, event: Event) -> None:
        if event.happening is Happening.DONE and event.step is not None:
            self.presenter.show(event.step)
            self.inputs.after(event.step)
        elif event.happening is Happening.MEMBER:
            self._average_due = True  # shown with the next frame: whatever is painted costs as much as all of it
            self.happened.emit(event)
            return
        elif event.happening is Happening.STARTED and event.step is not None:
            self.presenter.begin(event.step)
        elif event.happening is Happening.WARNED:
            self.said.emit(event.message, "warning")
        self.happened.emit(event)
        self.changed.emit()

    def _watch(self) -> None:
        """Show the newest frame and numbers when they are due.

        Both in one turn of the event loop: whatever is painted, the whole window is put together anew, and where
        no graphics card does it, that costs more than anything else here.
        """
        live, now, pace = self.session.live, time.perf_counter(), self._pace
        if live is None:
            return
        self._notice_change(live, now)
        if pace.wants_frame(now):
            live.request_frame()
        if not pace.is_due(now):
            return
        frame = live.take_frame() if self._is_ready_for_frames else None
        news = live.progress if live.progress != self._told else None
        pace.wait(now, is_news=frame is not None or news is not None)
        if frame is None and news is None:
            return
        with painted_at_once():
            self._show_news(news if pace.wants_numbers(now) else None, frame, now)
        if pace.is_automatic:
            # After what was posted, the painting, comes the end of the turn after; then the time is known.
            later(self, lambda: later(self, lambda: self._painted(now)))

    def _notice_change(self, live: Live, now: float) -> None:
        """A run that begins, or was steered, is to be seen at once."""
        marked = (id(live), len(live.marks))
        if marked == self._marked:
            return
        if marked[0] != self._marked[0]:
            self._told = None
        self._marked = marked
        self._pace.begin(now)

    @property
    def _is_ready_for_frames(self) -> bool:
        """Not while layers are made one by one: a frame between them would make the window wait longer.

        And a new run's curve is drawn up, with its first numbers, before its first frame for the same reason.
        """
        return not self.real.is_making and self._told is not None

    def _show_news(self, numbers: Progress | None, frame: Frame | None, now: float) -> None:
        if numbers is not None:
            self._pace.numbers_shown(now)
            self._told = numbers
            self.progressed.emit(numbers)
        if frame is None:
            return
        if self._average_due:
            self._average_due = False
            self.presenter.show_average()
        self.presenter.show_frame(frame)
        self.framed.emit(frame)

    def _painted(self, began: float) -> None:
        at_leisure = self.session.paused or self.real.is_making
        self._pace.painted(began, time.perf_counter(), at_leisure=at_leisure)

    def _on_said_of_inputs(self, text: str, level: str) -> None:
        self.said.emit(text, level)
        self.changed.emit()

    def _deleted(self, role: str) -> None:
        self.said.emit(f"the layer “{role}” was deleted; it comes back when its step is done again", "info")

    @property
    def is_open(self) -> bool:
        """Whether it still is its viewer's controller."""
        viewer = getattr(self, "viewer", None)  # gone if the garbage collector has been here before Qt
        return viewer is not None and Controller._of_viewer.get(id(viewer)) is self

    def close(self, *, keep_recovery: bool = False) -> None:
        """End the thread, let go of the viewer and forget it; unsaved members stay on the disk if told so."""
        if Controller._of_viewer.pop(id(self.viewer), None) is None:
            return
        self._timer.stop()
        if self._kept is not None:
            self._kept.events.disconnect(self._on_preferences)
        self.previews.close()
        self.activity.close()
        self.session.close(keep_recovery=keep_recovery)
        self.inputs.close()
        for canvas in (self.viewer, self.reciprocal.model):
            shortcuts.unbind(canvas)
        self.real.close()
        self.reciprocal.release()
