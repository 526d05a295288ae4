"""One job as a window shows it: what the user wants, what is done, what is stale, and a thread that does the next step.

No Qt: a watcher calls :meth:`Session.poll` now and then. Everything that changes a result is in the session's plan
(:mod:`.job.plan`), so that what was done by hand here is repeated by the command line from the recipe that is saved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.image.comparison import LiveComparison
from napari_subangstrom_cdi.core.image.geometry import ImageRegistration
from napari_subangstrom_cdi.core.image.support import SupportFinder
from napari_subangstrom_cdi.core.phasing.schedule import Schedule
from napari_subangstrom_cdi.core.record.friedel import FriedelCheck
from napari_subangstrom_cdi.core.result import InputFile, Result
from napari_subangstrom_cdi.errors import InputError, Remedy, collected_doubts, remedies_of
from napari_subangstrom_cdi.io.mask_text import PackedMask
from napari_subangstrom_cdi.io.project import Held, Project, extract_files, held_in, read_project, write_project
from napari_subangstrom_cdi.job.pipeline import embedded_inputs
from napari_subangstrom_cdi.job.plan import (
    ALL_PRESETS,
    Inputs,
    Plan,
    RetrievalSettings,
    paths_of,
    plan_from_toml,
    with_paths,
    with_preset,
)
from napari_subangstrom_cdi.job.preparation import Prepared, Step
from napari_subangstrom_cdi.job.preparation.image import RegisteredImage
from napari_subangstrom_cdi.job.preparation.load import Loaded
from napari_subangstrom_cdi.job.preparation.masks import choose_schedule
from napari_subangstrom_cdi.job.preparation.model import StartingModel
from napari_subangstrom_cdi.job.preparation.record import Centred
from napari_subangstrom_cdi.job.preparation.steps import key_of, steps_before
from napari_subangstrom_cdi.job.steering import Steering

from .by_hand import HandTools
from .follow import STEERED, Following, with_masks
from .history import History
from .news import Event, Happening, News
from .recovery import Found, Keeper
from .steps import Ledger, State
from .thread import Worker
from .trials import ModelTrial
from .watch import Live

__all__ = ["Event", "Happening", "Session", "State", "Step"]


class Session:
    """A job in the making.

    What the user wants is in a :class:`.history.History`, what is done in a :class:`.steps.Ledger`; a
    :class:`.thread.Worker` does it, and a :class:`.follow.Following` keeps what a run was steered to.

    Parameters
    ----------
    recovery_folder : Path, optional
        Where finished members are kept until they are saved; None keeps them in memory only. It may be changed, for
        the next run.
    plan : Plan, optional
        The settings to begin with.
    workers : int, optional
        Threads of the retrieval.
    """

    def __init__(
        self, *, recovery_folder: Path | None = None, plan: Plan | None = None, workers: int | None = None
    ) -> None:
        self._history = History(Plan(Inputs("")) if plan is None else plan)
        self._ledger = Ledger()
        self._tools = HandTools()
        self._following = Following()
        self._news = News()
        self._keeper = Keeper(recovery_folder, lambda said: self._news.tell(Happening.WARNED, Step.PHASE, said))
        self._worker = Worker(self._ledger, self._tools, self._following, self._keeper, self._news, workers)
        self._preset_schedule: tuple[str, int, Schedule] | None = None
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
        steered = {name: value for name, value in values.items() if section == "regions" and name in STEERED}
        if steered and self.steerable:
            self.steer(**steered)
        self._adopt(plan, (section, *sorted(values)))

    def set_plan(self, plan: Plan) -> None:
        """Take over a whole plan, as one change that can be undone."""
        self.settle()
        self._adopt(plan, ("plan",))
        self.settle()

    def take_over(self, remedy: Remedy) -> None:
        """Change the settings that a remedy names, as one change that can be undone.

        Raises
        ------
        InputError
            If a value is impossible; nothing is changed then.
        """
        plan = self.plan
        for setting, value in remedy.settings:
            section, name = setting.split(".")
            plan = replace(plan, **{section: replace(getattr(plan, section), **{name: value})})
        self.settle()
        self._adopt(plan, ("remedy", *(setting for setting, _ in remedy.settings)))
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
            source = self.file_of(role, source, name=name)
        value = None if source is None else str(source)
        default: dict[str, Any] = {"pattern": "", "background": "fit"}
        values = {role: default.get(role) if value is None else value}
        if role in ("pattern", "background", "image"):
            values[f"{role}_frame"] = frame
        self.change("inputs", **values)
        return value

    def file_of(self, role: str, array: NDArray[Any], *, name: str = "layer") -> Path:
        """Write an array to a file that lives as long as the session, to be an input."""
        folder = Path(self._scratch.name)
        stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:40] or "layer"
        path = folder / f"{role}_{stem}_{len(list(folder.iterdir()))}.npy"
        np.save(path, array, allow_pickle=False)
        return path

    @property
    def temporary_inputs(self) -> tuple[str, ...]:
        """Roles of the inputs whose files go away with the session: layers, and the raw files of a project."""
        folder = Path(self._scratch.name)
        return tuple(role for role, path in paths_of(self.plan.inputs).items() if folder in path.parents)

    # What is done

    @property
    def warnings(self) -> Mapping[Step, tuple[str, ...]]:
        """Of each step when it last ran."""
        return self._ledger.warnings

    @property
    def errors(self) -> Mapping[Step, str]:
        """Why a step failed."""
        return self._ledger.errors

    def remedies(self, step: Step) -> tuple[Remedy, ...]:
        """Changes of settings that would mend why a step failed, or settle what is doubted of it as it is done."""
        state, error = self.state(step), self.errors.get(step)
        if state is State.FAILED and error is not None:
            return remedies_of(error, *self.warnings.get(step, ()))
        if state is State.DONE and error is None:
            return remedies_of(*self.warnings.get(step, ()))
        return ()

    @property
    def traceback(self) -> str:
        """Of the last error that nobody foresaw."""
        return self._worker.traceback

    def output(self, step: Step) -> Any:
        """What a step left when it was last done, stale or not; None if it never was."""
        return self._ledger.output(step)

    def adopt_outputs(self, other: Session, *steps: Step) -> None:
        """Have what another session's steps left, with what work by hand needs of them, instead of doing them again.

        They are current here where both sessions have the same settings, and stale where they do not. A result that
        is unsaved there is so here.
        """
        self._ledger.take_over(other._ledger, *steps)
        self._tools.take_over(other._tools)

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
        found: FriedelCheck | None = self._tools.get("friedel", self.plan)
        return found

    @property
    def comparison(self) -> LiveComparison | None:
        """Compares image and pattern at any geometry; there once Align was tried, well or not."""
        found: LiveComparison | None = self._tools.get("comparison", self.plan)
        return found

    @property
    def automatic_registration(self) -> ImageRegistration | None:
        """The registration that was last found for these records, whatever was then set by hand."""
        found: ImageRegistration | None = self._tools.get("registration", self.plan)
        return found

    @property
    def support_finder(self) -> SupportFinder | None:
        """Finds supports of the image as it is aligned now; for one thread at a time."""
        found: SupportFinder | None = self._tools.get("support_finder", self.plan)
        return found

    @property
    def model_trial(self) -> ModelTrial | None:
        """Calculates patterns of the fitted particle by other values, whichever were then set by hand."""
        found: ModelTrial | None = self._tools.get("model_trial", self.plan)
        return found

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
        return self.result is not None and not self._ledger.saved

    def state(self, step: Step) -> State:
        """How a step stands."""
        return self._ledger.state(step, self.plan, self._following.steered)

    def needed(self, step: Step) -> tuple[Step, ...]:
        """The steps to be done for this one: those before it that are not current, and itself."""
        return self._ledger.needed(step, self.plan)

    @property
    def pending(self) -> Step | None:
        """The first step that is to be done; None if all are."""
        steps = (*steps_before(Step.PHASE, self.plan), Step.PHASE)
        return next((step for step in steps if self.state(step) is not State.DONE), None)

    # Doing

    @property
    def busy(self) -> bool:
        """Whether a step is being done."""
        return self._worker.busy

    @property
    def activity(self) -> str:
        """What is being done, in words; empty if nothing is."""
        return self._worker.activity

    @property
    def live(self) -> Live | None:
        """The run that goes on, or the last one."""
        return self._worker.live

    @property
    def paused(self) -> bool:
        """Whether the run waits, or will after this iteration."""
        return self.busy and self._worker.control.paused

    @property
    def at_rest(self) -> bool:
        """Whether a paused run has come to its pause, and no iteration is under way."""
        return self.paused and self._worker.control.waiting

    @property
    def stopping(self) -> bool:
        """Whether the step was told to end and has not yet."""
        return self.busy and self._worker.control.stopping

    @property
    def steerable(self) -> bool:
        """Whether a phase retrieval goes on that :meth:`steer` can change."""
        return self.steering is not None

    @property
    def steering(self) -> Steering | None:
        """The changes of the run that goes on, and what is in force in it; None without one."""
        return self._following.steering

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
        self._worker.start(self.needed(step), self.plan, paused=paused)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the thread to end; False if it has not in this time (seconds)."""
        return self._worker.wait(timeout)

    def pause(self) -> None:
        """Wait after the iteration that is under way."""
        self._worker.control.pause()

    def resume(self) -> None:
        """Go on after a pause."""
        self._worker.control.resume()

    def step_once(self) -> None:
        """Do one iteration and wait."""
        self._worker.control.step_once()

    def stop(self) -> None:
        """End what goes on; finished members are kept and averaged."""
        self._worker.control.stop()

    def steer(self, **values: Any) -> None:
        """Change α, the noise multiple, β or a mask of the run that goes on, from its next iteration.

        Raises
        ------
        InputError
            If nothing runs or a value is impossible.
        """
        self._following.steer(**values)

    def steer_masks(
        self, *, support: PackedMask | None = None, excluded: PackedMask | None = None, **painted: PackedMask | None
    ) -> None:
        """Change a mask of the run that goes on, and the settings that will give it next time.

        ``painted`` are those settings: ``added`` and ``removed`` of the support.

        Raises
        ------
        InputError
            If nothing runs or a mask is none.
        """
        self._following.steer_masks(support, excluded, painted)
        self._adopt(with_masks(self.plan, excluded, painted), ("masks",))

    def poll(self) -> list[Event]:
        """What happened since the last time."""
        return self._news.take()

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

    def would_replace(self, path: str | Path) -> Held | None:
        """The result in a file that :meth:`save` would put another in the place of, or none; None if nothing is lost.

        For whoever can ask before; :meth:`save` itself asks nobody.
        """
        held = held_in(path)
        kept = held is None or (self.result is not None and held.is_of(self.result))
        return None if kept else held

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
            self._ledger.saved = True
            if not self.busy:
                self._keeper.drop()
        self._news.tell(Happening.CHANGED)

    def begin_anew(self, plan: Plan) -> None:
        """Begin another job with these settings: nothing of it is done, and no undo leads back to the one before.

        Raises
        ------
        InputError
            If something is being done.
        """
        self._check_idle()
        self._ledger.forget()
        self._tools.forget()
        self._following.reset()
        self._worker.live = None
        self._history.begin_anew(plan)
        self._news.tell(Happening.CHANGED)

    def load(self, path: str | Path) -> Mapping[str, Any]:
        """Take over a project and return the window's state in it; :meth:`start` MASKS brings the steps back.

        Raises
        ------
        InputError
            If the file is none, or something is being done.
        """
        self._check_idle()
        project = read_project(path)
        plan = plan_from_toml(project.settings or project.recipe, where=str(path))
        plan = replace(self._with_unpacked(plan, project.inputs), steering=())
        self.begin_anew(plan)
        if project.result is not None:
            current = project.view.get("result_is_current", True)
            self._ledger.keep(Step.PHASE, key_of(plan, Step.PHASE) if current else (), project.result)
        return project.view

    def recover(self, found: Found) -> None:
        """Average the members that an earlier session left behind; the result is unsaved.

        Raises
        ------
        InputError
            If they cannot be read, or something is being done.
        """
        self._check_idle()
        recipe, files, runs = found.load()
        plan = self._with_unpacked(plan_from_toml(recipe, where="recovered run"), files)
        self.begin_anew(replace(plan, steering=()))
        self._keeper.restored = found
        self._worker.start(self.needed(Step.PHASE), plan, recovered=runs)

    # Small things

    def _check_idle(self) -> None:
        if self.busy:
            raise InputError("a step is still going on", mend="wait for it, or stop it")

    def _adopt(self, plan: Plan, what: tuple[str, ...]) -> None:
        if self._history.adopt(plan, what):
            self._news.tell(Happening.CHANGED)

    def _travelled(self, moved: bool) -> bool:
        """After an undo or redo."""
        if moved:
            try:
                self._following.go_to(self.plan, self.prepared)
            except InputError as error:
                self._worker.refused(error)
            self._news.tell(Happening.CHANGED)
        return moved

    def _input_files(self) -> tuple[InputFile, ...]:
        """The raw files in use; those of the result where they are gone."""
        if not self.plan.inputs.pattern:
            return ()
        with collected_doubts():
            files = embedded_inputs(self.plan)
        return files or (self.result.inputs if self.result is not None else ())

    def _with_unpacked(self, plan: Plan, files: tuple[InputFile, ...]) -> Plan:
        """The plan with raw files that were unpacked into the session's own folder."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch.name))
        return replace(plan, inputs=with_paths(plan.inputs, extract_files(files, folder)))
