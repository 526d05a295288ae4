"""One job as a window shows it: what the user wants, what is done, what is stale, and a thread that does the next step.

No Qt: a watcher calls :meth:`Session.poll` now and then. Everything that changes a result is in the session's plan
(:mod:`.job.plan`), so that what was done by hand here is repeated by the command line from the recipe that is saved.
"""

from __future__ import annotations

import queue
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.image.comparison import LiveComparison
from napari_subangstrom_cdi.core.image.geometry import ImageRegistration
from napari_subangstrom_cdi.core.image.support import SupportFinder, edits
from napari_subangstrom_cdi.core.phasing.retrieval import Retrieval
from napari_subangstrom_cdi.core.phasing.schedule import Schedule
from napari_subangstrom_cdi.core.record.friedel import FriedelCheck
from napari_subangstrom_cdi.core.result import InputFile, Result
from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.io import require
from napari_subangstrom_cdi.io.mask_text import pack_mask
from napari_subangstrom_cdi.io.project import Project, extract_files, read_project, write_project
from napari_subangstrom_cdi.job.pipeline import (
    Members,
    Outcome,
    Stop,
    embedded_inputs,
    finish,
    retrieve_members,
    with_timing,
)
from napari_subangstrom_cdi.job.plan import (
    ALL_PRESETS,
    Change,
    Inputs,
    Plan,
    RegionSettings,
    RetrievalSettings,
    named_files,
    plan_from_toml,
    with_paths,
    with_preset,
)
from napari_subangstrom_cdi.job.preparation import Clock
from napari_subangstrom_cdi.job.preparation.image import RegisteredImage
from napari_subangstrom_cdi.job.preparation.model import StartingModel, check_model
from napari_subangstrom_cdi.job.preparation.problem import (
    Centred,
    Loaded,
    Prepared,
    align,
    centre,
    choose_schedule,
    load,
    mask,
    model,
    painted_support,
    started,
)
from napari_subangstrom_cdi.job.steering import Steering, described

from .history import History
from .recovery import Found, Keeper
from .trials import ModelTrial, friedel_check, live_comparison
from .watch import Control, Live


class Step(StrEnum):
    """The steps of a job, in order."""

    DATA = "data"
    BACKGROUND = "background"
    ALIGN = "align"
    MASKS = "masks"
    MODEL = "model"
    """Only if the members start from it."""
    PHASE = "phase"
    RESULTS = "results"


class State(StrEnum):
    """How a step stands."""

    TODO = "to do"
    """Something before it is missing."""
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    STALE = "stale"
    """Done once, but something before it, or its own settings, changed."""
    FAILED = "failed"
    UNUSED = "not used"
    """The plan does without it."""


class Happening(StrEnum):
    """What :meth:`Session.poll` tells of."""

    CHANGED = "changed"
    """The plan: by the user, by undo or by a project."""
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    IDLE = "idle"
    """The thread has ended."""
    WARNED = "warned"
    MEMBER = "member"


@dataclass(frozen=True)
class Event:
    """Something that happened, to which step, and a sentence."""

    happening: Happening
    step: Step | None = None
    message: str = ""


@dataclass(frozen=True)
class _Output:
    key: tuple[Any, ...]
    value: Any


_COMPUTED = (Step.DATA, Step.BACKGROUND, Step.ALIGN, Step.MASKS, Step.MODEL, Step.PHASE)
_STEERED = ("alpha", "noise_multiple")


class Session:
    """A job in the making.

    Parameters
    ----------
    recovery_folder : Path, optional
        Where finished members are kept until they are saved; None keeps them in memory only. It may be changed, for
        the next run.
    plan : Plan, optional
        The settings to begin with.
    workers : int, optional
        Threads of the retrieval.

    Attributes
    ----------
    warnings : dict
        Of each step when it last ran.
    errors : dict
        Why a step failed.
    live : Live or None
        The run that goes on, or the last one.
    """

    def __init__(
        self, *, recovery_folder: Path | None = None, plan: Plan | None = None, workers: int | None = None
    ) -> None:
        self.warnings: dict[Step, tuple[str, ...]] = {}
        self.errors: dict[Step, str] = {}
        self.live: Live | None = None
        self.traceback = ""
        self.activity = ""
        self._history = History(Plan(Inputs("")) if plan is None else plan)
        self._outputs: dict[Step, _Output] = {}
        self._tools: dict[str, _Output] = {}
        self._failed: dict[Step, tuple[Any, bool]] = {}
        self._saved = True
        self._running: Step | None = None
        self._thread: threading.Thread | None = None
        self._control = Control()
        self._doubts: list[str] = []
        self._steering: Steering | None = None
        self._preset_schedule: tuple[str, int, Schedule] | None = None
        self._followed: Plan | None = None
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._seconds: dict[Step, dict[str, float]] = {}
        self._keeper = Keeper(recovery_folder, lambda said: self._tell(Happening.WARNED, Step.PHASE, said))
        self._workers = workers
        self._scratch = tempfile.TemporaryDirectory(prefix="subangstrom-")

    # What the user wants

    @property
    def plan(self) -> Plan:
        """The settings as they stand."""
        return self._history.plan

    @property
    def recovery_folder(self) -> Path | None:
        """Where finished members are kept until they are saved; a new one is that of the next run."""
        return self._keeper.folder

    @recovery_folder.setter
    def recovery_folder(self, folder: Path | None) -> None:
        self._keeper.folder = folder

    def change(self, section: str, **values: Any) -> None:
        """Change settings of one section of the plan, such as ``change("regions", alpha=0.4)``.

        While a run goes on, α and the noise multiple steer it as well.

        Raises
        ------
        InputError
            If a value is impossible; nothing is changed then.
        """
        part = replace(getattr(self.plan, section), **values)
        plan = replace(self.plan, **{section: part})
        if plan == self.plan:
            return
        steered = {name: value for name, value in values.items() if section == "regions" and name in _STEERED}
        if steered and self._steering is not None:
            self.steer(**steered)
        self._adopt(plan, (section, *sorted(values)))

    def set_plan(self, plan: Plan) -> None:
        """Take over a whole plan, as one change that can be undone."""
        self.settle()
        self._adopt(plan, ("plan",))
        self.settle()

    def use_preset(self, preset: str) -> None:
        """Take over a preset's settings and leave what was set by hand: centre, alignment, masks, members, seed."""
        self._adopt(with_preset(self.plan, preset), ("preset", preset))

    def settle(self) -> None:
        """Let the next change be undone by itself, even if it is to the same setting as the last one."""
        self._history.settle()

    @property
    def can_undo(self) -> bool:
        """Whether there is a change of settings to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether one that was taken back can be made again."""
        return self._history.can_redo

    def undo(self) -> bool:
        """Take back the last change of settings; False if there is none."""
        return self._travelled(self._history.undo())

    def redo(self) -> bool:
        """Make the change again that was last taken back."""
        return self._travelled(self._history.redo())

    def set_input(
        self,
        role: str,
        source: str | Path | NDArray[Any] | None,
        *,
        name: str = "layer",
        frame: int | str | None = None,
    ) -> str | None:
        """Give a file or an array as pattern, background, image, support or mask, and which frame of a stack.

        An array is first written to a file that lives as long as the session and goes into the project as
        it is. Returns the path; None and, for the background, ``fit`` and ``none`` are passed on.
        """
        if isinstance(source, np.ndarray):
            stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:40] or "layer"
            path = Path(self._scratch.name) / f"{role}_{stem}_{len(list(Path(self._scratch.name).iterdir()))}.npy"
            np.save(path, source, allow_pickle=False)
            source = path
        value = None if source is None else str(source)
        default: dict[str, Any] = {"pattern": "", "background": "fit"}
        values = {role: default.get(role) if value is None else value}
        if role in ("pattern", "background", "image"):
            values[f"{role}_frame"] = frame
        self.change("inputs", **values)
        return value

    @property
    def temporary_inputs(self) -> tuple[str, ...]:
        """Roles of the inputs whose files go away with the session: layers, and the raw files of a project."""
        folder = Path(self._scratch.name)
        return tuple(role for role, path in named_files(self.plan.inputs).items() if folder in Path(path).parents)

    # What is done

    def output(self, step: Step) -> Any:
        """What a step left when it was last done, stale or not; None if it never was."""
        found = self._outputs.get(step)
        return None if found is None else found.value

    @property
    def loaded(self) -> Loaded | None:
        """The raw records."""
        return self.output(Step.DATA)

    @property
    def centred(self) -> Centred | None:
        """The centred pattern."""
        return self.output(Step.BACKGROUND)

    @property
    def image(self) -> RegisteredImage | None:
        """The image on the pattern's grid."""
        return self.output(Step.ALIGN)

    @property
    def prepared(self) -> Prepared | None:
        """The problem."""
        return self.output(Step.MASKS)

    @property
    def model(self) -> StartingModel | None:
        """The fitted particle, whether members start from it or not."""
        return self.output(Step.MODEL)

    @property
    def result(self) -> Result | None:
        """The reconstruction."""
        return self.output(Step.PHASE)

    @property
    def friedel(self) -> FriedelCheck | None:
        """Tells how well a beam centre fits the record; there once Background was tried, well or not."""
        found: FriedelCheck | None = self._tool("friedel", Step.DATA)
        return found

    @property
    def comparison(self) -> LiveComparison | None:
        """Compares image and pattern at any geometry; there once Align was tried, well or not."""
        found: LiveComparison | None = self._tool("comparison", Step.BACKGROUND)
        return found

    @property
    def automatic_registration(self) -> ImageRegistration | None:
        """The registration that was last found for these records, whatever was then set by hand."""
        found: ImageRegistration | None = self._tool("registration", Step.BACKGROUND)
        return found

    @property
    def support_finder(self) -> SupportFinder | None:
        """Finds supports of the image as it is aligned now; for one thread at a time."""
        found: SupportFinder | None = self._tool("support_finder", Step.ALIGN)
        return found

    @property
    def model_trial(self) -> ModelTrial | None:
        """Calculates patterns of the fitted particle by other values, whichever were then set by hand."""
        found: ModelTrial | None = self._tool("model_trial", Step.MODEL)
        return found

    def _tool(self, name: str, since: Step) -> Any:
        """A tool, unless what it was made from is stale."""
        made = self._tools.get(name)
        plan = _without_hand(self.plan) if since is Step.MODEL else self.plan
        return made.value if made is not None and made.key == self._key(plan, since) else None

    @property
    def schedule(self) -> Schedule:
        """The plan's own schedule, or the preset's for these data; empty while that is not known."""
        return self.plan.retrieval.schedule or self.preset_schedule

    @property
    def preset_schedule(self) -> Schedule:
        """The preset's schedule for these data; empty while that is not known."""
        preset, prepared = self.plan.retrieval.preset, self.prepared
        if preset not in ALL_PRESETS or prepared is None or self.state(Step.MASKS) is not State.DONE:
            return ()
        if self._preset_schedule is None or self._preset_schedule[:2] != (preset, id(prepared)):
            plan = replace(self.plan, retrieval=RetrievalSettings(preset))
            self._preset_schedule = (preset, id(prepared), choose_schedule(plan, self.image, prepared.problem))
        return self._preset_schedule[2]

    @property
    def unsaved(self) -> bool:
        """Whether there is a result that is not in a project yet."""
        return self.result is not None and not self._saved

    def state(self, step: Step) -> State:
        """How a step stands."""
        if self._running is step:
            return State.RUNNING
        if step is Step.RESULTS:
            return self._state_of_results()
        found, key = self._outputs.get(step), self._key(self.plan, step)
        used = step is not Step.MODEL or self.plan.model.use
        if found is not None and (self._is_current(step) or (used and self._is_steered_to())):
            return State.DONE
        if self._failed.get(step) == (key, used and step is Step.MODEL):
            return State.FAILED
        if not used:
            return State.UNUSED
        if found is not None:
            return State.STALE
        before = _before(step, self.plan)
        ready = bool(self.plan.inputs.pattern) and all(self.state(s) is State.DONE for s in before)
        return State.READY if ready else State.TODO

    def _is_current(self, step: Step) -> bool:
        """Whether a step's output was made with the settings as they are."""
        found = self._outputs.get(step)
        return found is not None and found.key == self._key(self.plan, step)

    def _is_steered_to(self) -> bool:
        """Whether the run that goes on, or the last one, was steered to the settings as they are.

        Its masks were made with those of its beginning; what is in force is what was steered to.
        """
        if self._steering is not None and self._followed is not None:
            return self._key(self._followed, Step.PHASE) == self._key(self.plan, Step.PHASE)
        return self._is_current(Step.PHASE)

    def _state_of_results(self) -> State:
        phase = self.state(Step.PHASE)
        if self.result is None:
            return State.TODO
        if phase is not State.DONE:
            return State.STALE
        return State.DONE if self._saved else State.READY

    def needed(self, step: Step) -> tuple[Step, ...]:
        """The steps to be done for this one: those before it that are not done, and itself."""
        before = _before(step, self.plan)
        first = next((k for k, s in enumerate(before) if not self._is_current(s)), len(before))
        # a model that is current is so whatever is done again before it
        return (*(s for s in before[first:] if s is not Step.MODEL or not self._is_current(s)), step)

    @property
    def pending(self) -> Step | None:
        """The first step that is to be done; None if all are."""
        steps = (*_before(Step.PHASE, self.plan), Step.PHASE)
        return next((step for step in steps if self.state(step) is not State.DONE), None)

    # Doing

    @property
    def busy(self) -> bool:
        """Whether a step is being done."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def paused(self) -> bool:
        """Whether the run waits, or will after this iteration."""
        return self.busy and self._control.paused

    @property
    def stopping(self) -> bool:
        """Whether the step was told to end and has not yet."""
        return self.busy and self._control.stopping

    @property
    def steerable(self) -> bool:
        """Whether a phase retrieval goes on that :meth:`steer` can change."""
        return self._steering is not None

    def start(self, step: Step, *, paused: bool = False) -> None:
        """Do a step, and before it those that it needs, in a thread.

        Parameters
        ----------
        step : Step
            Any but RESULTS, which follow from PHASE.
        paused : bool
            Wait after the first iteration of a phase retrieval: for single steps.

        Raises
        ------
        InputError
            If something is being done already, or no pattern is chosen.
        """
        if self.busy:
            raise InputError(f"{self.activity or 'a step'} is still going on", mend="wait for it, or stop it")
        if not self.plan.inputs.pattern:
            raise InputError("no pattern is chosen", mend="choose the record with the particle in the Data step")
        if self._thread is not None:
            self._thread.join()
        steps, self._control, self._followed = self.needed(step), Control(), None
        if paused:  # which it does after the first iteration
            self._control.pause()
        self._thread = threading.Thread(target=self._work, args=(steps, self.plan), name="subangstrom-cdi", daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the thread to end; False if it has not in this time (seconds)."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.busy

    def pause(self) -> None:
        """Wait after the iteration that is under way."""
        self._control.pause()

    def resume(self) -> None:
        """Go on after a pause."""
        self._control.resume()

    def step_once(self) -> None:
        """Do one iteration and wait."""
        self._control.step_once()

    def stop(self) -> None:
        """End what goes on; finished members are kept and averaged."""
        self._control.stop()

    def steer(self, **values: Any) -> None:
        """Change α, the noise multiple, β or a mask of the run that goes on, from its next iteration.

        Raises
        ------
        InputError
            If nothing runs or a value is impossible.
        """
        if self._steering is None or self._followed is None:
            raise InputError("no phase retrieval is going on", mend="start it first")
        self._steering.push(Change(0, 0, **values))
        steered = {name: value for name, value in values.items() if name in _STEERED}
        self._followed = replace(self._followed, regions=replace(self._followed.regions, **steered))

    def steer_masks(self, *, support: str | None = None, excluded: str | None = None, **painted: Any) -> None:
        """Change a mask of the run that goes on, packed, and the settings that will give it next time.

        ``painted`` are those settings: ``added`` and ``removed`` of the support.
        """
        if self._steering is None or self._followed is None:
            raise InputError("no phase retrieval is going on", mend="start it first")
        self._steering.push(Change(0, 0, support=support, excluded=excluded))
        self._followed = _with_masks(self._followed, excluded, painted)
        self._adopt(_with_masks(self.plan, excluded, painted), ("masks",))

    def poll(self) -> list[Event]:
        """What happened since the last time."""
        events = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                return events

    def close(self, *, keep_recovery: bool = False) -> None:
        """End the thread and remove the session's own files.

        What was not saved is dropped, or kept for the next start to find.
        """
        self.stop()
        self.wait()
        if keep_recovery:
            self._keeper.leave()
        self._keeper.drop()
        self._scratch.cleanup()

    # Keeping

    def save(self, path: str | Path, *, view: Mapping[str, Any] | None = None) -> None:
        """Write the project: raw files, settings, result and the window's state.

        Raises
        ------
        InputError
            If the file cannot be written; an older one is then left as it was.
        """
        result = self.result  # a run may replace it meanwhile
        recipe = self.plan.to_toml() if result is None else result.recipe
        files = self._input_files()
        state = {**(view or {}), "result_is_current": self.state(Step.PHASE) is State.DONE}
        write_project(path, Project(recipe, files, result, state, self.plan.to_toml()))
        if result is not None and result is self.result:
            self._saved = True
            if not self.busy:
                self._keeper.drop()
        self._tell(Happening.CHANGED)

    def load(self, path: str | Path) -> Mapping[str, Any]:
        """Take over a project and return the window's state in it; :meth:`start` MASKS brings the steps back.

        Raises
        ------
        InputError
            If the file is none, or something is being done.
        """
        if self.busy:
            raise InputError("a step is still going on", mend="wait for it, or stop it")
        project = read_project(path)
        paths = self._unpack(project.inputs)
        plan = plan_from_toml(project.settings or project.recipe, where=str(path))
        plan = replace(plan, inputs=with_paths(plan.inputs, paths), steering=())
        self._forget()
        if project.result is not None:
            current = project.view.get("result_is_current", True)
            self._outputs[Step.PHASE] = _Output(self._key(plan, Step.PHASE) if current else (), project.result)
        self._adopt(plan, ("project", str(path)))
        return project.view

    def recover(self, found: Found) -> None:
        """Average the members that an earlier session left behind; the result is unsaved.

        Raises
        ------
        InputError
            If they cannot be read, or something is being done.
        """
        if self.busy:
            raise InputError("a step is still going on", mend="wait for it, or stop it")
        recipe, files, runs = found.load()
        plan = plan_from_toml(recipe, where="recovered run")
        paths = self._unpack(files)
        plan = replace(plan, inputs=with_paths(plan.inputs, paths))
        self._forget()
        self._keeper.restored = found
        self._adopt(replace(plan, steering=()), ("recovery",))
        self._control, self._followed = Control(), None
        self._thread = threading.Thread(
            target=self._work, args=(self.needed(Step.PHASE), plan, runs), name="subangstrom-cdi", daemon=True
        )
        self._thread.start()

    # The thread

    def _work(self, steps: tuple[Step, ...], plan: Plan, recovered: list[Retrieval] | None = None) -> None:
        if Step.MODEL in steps and not self._has_crystal(plan):
            steps = ()
        for step in steps:
            if not self._do(step, plan, recovered):
                break
        self._running = None
        self.activity = ""
        self._tell(Happening.IDLE)

    def _has_crystal(self, plan: Plan) -> bool:
        """Whether the crystal is known; if not that is said before anything else is done."""
        try:
            check_model(plan)
        except InputError as error:
            option = error.where is not None and error.where.startswith("--")
            said = InputError(error.problem, where=None if option else error.where, mend=error.mend)
            self._fail(Step.MODEL, plan, str(said))
            return False
        return True

    def _do(self, step: Step, plan: Plan, recovered: list[Retrieval] | None) -> bool:
        """Do one step and say how it went; True if the next one may follow."""
        key = self._key(plan, step)
        self._running = step
        self._tell(Happening.STARTED, step)
        with collected_doubts() as doubts:
            self._doubts = doubts
            try:
                value = self._compute(step, plan, recovered)
            except Stop:
                self._running = None
                self._tell(Happening.STOPPED, step, "stopped; nothing was finished")
                return False
            except InputError as error:
                self._fail(step, plan, str(error))
                return False
            except BaseException as error:  # whatever it is, the user hears of it and the window lives on
                self.traceback = traceback.format_exc()
                self._fail(step, plan, f"unexpected {type(error).__name__}: {error}")
                return False
            finally:
                self.warnings[step] = tuple(doubts)
        if step is Step.PHASE:
            key = self._key(self._followed or plan, step)
            self._saved = False
        self._outputs[step] = _Output(key, value)
        self.errors.pop(step, None)
        self._failed.pop(step, None)
        self._running = None
        self._tell(Happening.DONE, step)
        return True

    def _fail(self, step: Step, plan: Plan, message: str) -> None:
        self.errors[step] = message
        # a fit that failed for its own sake is no failure of the run that then uses it, nor the other way round
        self._failed[step] = (self._key(plan, step), step is Step.MODEL and plan.model.use)
        self._running = None
        self._tell(Happening.FAILED, step, message)

    def _compute(self, step: Step, plan: Plan, recovered: list[Retrieval] | None) -> Any:
        clock = Clock(self._at_substep)
        try:
            if step is Step.DATA:
                return load(plan, clock)
            if step is Step.BACKGROUND:
                self._make_friedel(plan)
                return centre(plan, self._outputs[Step.DATA].value, clock)
            if step is Step.ALIGN:
                return self._align(plan, clock)
            if step is Step.MASKS:
                loaded, centred, image = (self._outputs[s].value for s in _COMPUTED[:3])
                return mask(plan, loaded, centred, image, clock)
            if step is Step.MODEL:
                return self._model(plan, clock)
            if recovered is not None:
                return self._average_again(plan, recovered, clock)
            return self._phase(plan, clock)
        finally:
            self._seconds[step] = clock.seconds

    def _make_friedel(self, plan: Plan) -> None:
        """Before the centre is looked for: where that fails, the hand needs it."""
        key = self._key(plan, Step.DATA)
        if not self._has_tool("friedel", key):
            self._at_substep("find spots")
            self._tools["friedel"] = _Output(key, friedel_check(plan, self._outputs[Step.DATA].value))

    def _align(self, plan: Plan, clock: Clock) -> RegisteredImage | None:
        """Align, and leave behind what aligning by hand needs, all the more if it fails."""
        loaded, centred = self._outputs[Step.DATA].value, self._outputs[Step.BACKGROUND].value
        key, image = self._key(plan, Step.BACKGROUND), None
        by_hand = plan.image.rotation_deg is not None
        try:
            image = align(plan, loaded, centred, clock)
        except InputError:
            if not self._has_tool("comparison", key):
                self._tools["comparison"] = _Output(key, live_comparison(plan, loaded, centred, None))
            raise
        if image is None:
            return None
        if not by_hand:
            self._tools["registration"] = _Output(key, image.registration)
        if not (by_hand and self._has_tool("comparison", key)):
            self._at_substep("compare")
            found = None if by_hand else image.registration
            self._tools["comparison"] = _Output(key, live_comparison(plan, loaded, centred, found))
        self._tools["support_finder"] = _Output(self._key(plan, Step.ALIGN), SupportFinder(image.outline, centred.grid))
        return image

    def _model(self, plan: Plan, clock: Clock) -> StartingModel:
        """Fit the crystal, and leave behind what trying other values needs."""
        loaded, image, prepared = (self._outputs[s].value for s in (Step.DATA, Step.ALIGN, Step.MASKS))
        found = model(plan, loaded, image, prepared, clock)
        self._at_substep("model: pattern")
        (energy_ev,) = require(plan.acquisition, "energy_ev")
        trial = ModelTrial(found.fitted, prepared, energy_ev)
        self._tools["model_trial"] = _Output(self._key(_without_hand(plan), Step.MODEL), trial)
        return found

    def _has_tool(self, name: str, key: tuple[Any, ...]) -> bool:
        made = self._tools.get(name)
        return made is not None and made.key == key and made.value is not None

    def _at_substep(self, name: str) -> None:
        if self._control.stopping and name not in ("average", "metrics"):  # what is finished is averaged
            raise Stop
        if name == self.activity:  # long parts tell many times a second that they go on
            return
        self.activity = name
        self._tell(Happening.CHANGED, self._running, name)

    def _prepared_for(self, plan: Plan) -> Prepared:
        """The problem, with the model if members start from it, and the schedule, edited since or not."""
        prepared: Prepared = self._outputs[Step.MASKS].value
        image = self._outputs[Step.ALIGN].value
        if plan.model.use:
            prepared = started(prepared, self._outputs[Step.MODEL].value, image)
        return replace(prepared, schedule=choose_schedule(plan, image, prepared.problem))

    def _phase(self, plan: Plan, clock: Clock) -> Result:
        prepared = self._prepared_for(plan)
        files = embedded_inputs(plan)
        steering = Steering(plan, prepared, on_applied=self._mark, on_refused=self._refused)
        self.live = Live(lambda: steering.problem, prepared.schedule, self._control, self._keep_member)
        self._keeper.begin(replace(plan, retrieval=replace(plan.retrieval, schedule=prepared.schedule)), files)
        self._steering, self._followed = steering, plan
        try:
            members = retrieve_members(plan, prepared, steering, self.live, clock, workers=self._workers)
        finally:
            self._steering = None
        self._followed = _as_done(plan, prepared, steering)
        if steering.waiting is not None:
            late = f"the run ended before this took effect: {described(steering.waiting)}"
            self._tell(Happening.WARNED, Step.PHASE, late)
        return self._finish(plan, prepared, members, files, clock)

    def _average_again(self, plan: Plan, runs: list[Retrieval], clock: Clock) -> Result:
        prepared = self._prepared_for(plan)
        steering = Steering(plan, prepared)
        for change in plan.steering:
            steering.at(change.member, change.iteration)
        left = Members(runs, steering.problem, steering.reach, steering.applied)
        return self._finish(plan, prepared, left, embedded_inputs(plan), clock)

    def _finish(
        self, plan: Plan, prepared: Prepared, members: Members, files: tuple[InputFile, ...], clock: Clock
    ) -> Result:
        result = finish(plan, prepared, members, files, clock)
        seconds = Counter[str]()
        before = _before(Step.PHASE, plan)
        for of_step in (*(self._seconds.get(step, {}) for step in before), clock.seconds):
            seconds.update(of_step)
        said = tuple(message for step in before for message in self.warnings.get(step, ()))
        return with_timing(Outcome(result, dict(seconds), (*said, *self._doubts)), dict(seconds))

    def _keep_member(self, member: int, result: Retrieval) -> None:
        self._keeper.add(member, result)
        self._tell(Happening.MEMBER, Step.PHASE)

    def _mark(self, change: Change) -> None:
        if self.live is not None:
            self.live.beta = self.live.beta if change.beta is None else change.beta
            self.live.marks.append((change.member, change.iteration, described(change)))
        if self._steering is not None:
            self._keeper.steered(self._steering.applied)

    def _refused(self, error: InputError) -> None:
        steering, followed = self._steering, self._followed
        if steering is not None and followed is not None:
            self._followed = replace(followed, regions=steering.settings)
        self._tell(Happening.WARNED, Step.PHASE, f"the change was not followed: {error}")

    # Small things

    def _adopt(self, plan: Plan, what: tuple[str, ...]) -> None:
        if self._history.adopt(plan, what):
            self._tell(Happening.CHANGED)

    def _travelled(self, moved: bool) -> bool:
        """After an undo or redo."""
        if moved:
            try:
                self._steer_to_plan()
            except InputError as error:
                self._refused(error)
            self._tell(Happening.CHANGED)
        return moved

    def _steer_to_plan(self) -> None:
        """Let the run that goes on follow an undo or redo of what it was steered by."""
        steering, followed = self._steering, self._followed
        if steering is None or followed is None:
            return
        regions, support = self.plan.regions, self.plan.support
        steered = {name: getattr(regions, name) for name in _STEERED}
        changed = {name: value for name, value in steered.items() if value != getattr(followed.regions, name)}
        excluded = None if regions.excluded == followed.regions.excluded else regions.excluded or ""
        painted = {"added": support.added, "removed": support.removed}
        mask = None
        if any(value != getattr(followed.support, name) for name, value in painted.items()):
            prepared: Prepared = self._outputs[Step.MASKS].value
            automatic = replace(prepared.support, mask=prepared.automatic_support)
            mask = pack_mask(painted_support(support, automatic, prepared.problem.grid).mask)
        if changed or excluded is not None or mask is not None:
            steering.push(Change(0, 0, **changed, support=mask, excluded=excluded))
            followed = replace(followed, regions=replace(followed.regions, **changed))
            self._followed = _with_masks(followed, excluded, painted)

    def _key(self, plan: Plan, step: Step) -> tuple[Any, ...]:
        """The settings that a step and all before it depend on."""
        retrieval, regions = plan.retrieval, plan.regions
        if step is Step.MODEL:  # which knows nothing of α
            usual = RegionSettings()
            regions = replace(regions, alpha=usual.alpha, reading=usual.reading)
        with_model = step is Step.MODEL or plan.model.use
        parts = {
            Step.DATA: (replace(plan.inputs, crystal=None), plan.acquisition, plan.pattern.known_spacings),
            Step.BACKGROUND: replace(plan.pattern, known_spacings=(), remove_noise_between_spots=False),
            Step.ALIGN: plan.image,
            Step.MASKS: (plan.support, regions, plan.pattern.remove_noise_between_spots),
            Step.MODEL: (plan.inputs.crystal, replace(plan.model, use=True)) if with_model else None,
            Step.PHASE: (retrieval.schedule or retrieval.preset, plan.ensemble),
        }
        return tuple(parts[s] for s in _COMPUTED[: _COMPUTED.index(step) + 1])

    def _forget(self) -> None:
        self._outputs.clear()
        self._tools.clear()
        self._failed.clear()
        self.errors.clear()
        self.warnings.clear()
        self.live = None
        self._saved = True

    def _input_files(self) -> tuple[InputFile, ...]:
        """The raw files in use; those of the result where they are gone."""
        if not self.plan.inputs.pattern:
            return ()
        with collected_doubts():
            files = embedded_inputs(self.plan)
        return files or (self.result.inputs if self.result is not None else ())

    def _unpack(self, files: tuple[InputFile, ...]) -> dict[str, Path]:
        folder = Path(tempfile.mkdtemp(dir=self._scratch.name))
        return extract_files(files, folder)

    def _tell(self, happening: Happening, step: Step | None = None, message: str = "") -> None:
        self._events.put(Event(happening, step, message))


def _before(step: Step, plan: Plan) -> tuple[Step, ...]:
    """What comes before a step, of what the plan uses."""
    before = _COMPUTED[: _COMPUTED.index(step)]
    return before if plan.model.use else tuple(s for s in before if s is not Step.MODEL)


def _without_hand(plan: Plan) -> Plan:
    """The same with everything about the model fitted."""
    return replace(plan, model=replace(plan.model, tilt_deg=None, thickness_angstrom=None, roundness=None))


def _as_done(plan: Plan, prepared: Prepared, steering: Steering) -> Plan:
    """The settings that a run which began with ``plan`` has come to."""
    regions, support = steering.settings, plan.support
    if any(change.support is not None for change in steering.applied):
        painted = edits(prepared.automatic_support, steering.problem.support)
        added, removed = (pack_mask(part) or None for part in painted)
        support = replace(support, added=added, removed=removed)
    return replace(plan, regions=replace(regions, excluded=regions.excluded or None), support=support)


def _with_masks(plan: Plan, excluded: str | None, painted: Mapping[str, Any]) -> Plan:
    regions = plan.regions if excluded is None else replace(plan.regions, excluded=excluded or None)
    return replace(plan, regions=regions, support=replace(plan.support, **painted))
