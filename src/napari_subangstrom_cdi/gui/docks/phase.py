"""The Phase step: how the phases are retrieved, the run itself, and steering while it goes on."""

from __future__ import annotations

import time
from typing import Annotated, Any

from qtpy.QtWidgets import QProgressBar, QPushButton

from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.docks.parts.dock import StepDock
from napari_subangstrom_cdi.gui.docks.parts.steering_panel import SteeringPanel
from napari_subangstrom_cdi.gui.plots.run_numbers import RunNumbers
from napari_subangstrom_cdi.gui.schedule.table import ScheduleTable
from napari_subangstrom_cdi.gui.widgets.fields import FieldForm
from napari_subangstrom_cdi.gui.widgets.style import QuietLabel, section_title
from napari_subangstrom_cdi.gui.window.preferences import remember
from napari_subangstrom_cdi.job.plan import ALL_PRESETS
from napari_subangstrom_cdi.job.readings import summary
from napari_subangstrom_cdi.parameters import Parameter, declared, described
from napari_subangstrom_cdi.session.session import Event, Happening, State, Step
from napari_subangstrom_cdi.session.watch import Progress

from .r_factor import show_progress, show_result_numbers

OWN = "own"
_BAR_EVERY_S = 0.2
_PRESET = described(
    "preset",
    Annotated[
        str,
        Parameter(
            "Preset",
            "Schedule and settings that belong together: extend goes outward from the image's band, paper follows the "
            "Methods, model starts from the crystal of the Model step, own is the schedule below as edited. What was "
            "set by hand elsewhere stays.",
        ),
    ],
).offering(*ALL_PRESETS, OWN)
_FRAMES = described(
    "frames_per_second",
    Annotated[
        float | None,
        Parameter(
            "Frames",
            "How often the picture is drawn while it forms. Automatic: so that watching costs the run little.",
            unit="/s",
            low=0.2,
            high=30,
            step=1,
            decimals=1,
            advanced=True,
        ),
    ],
    None,
)


class PhaseDock(StepDock):
    """Preset, ensemble and schedule; Run, Pause, Step and Stop; numbers of the run; steering."""

    step = Step.PHASE
    title = "Phase"
    action = "Run"
    help = "Retrieve the phases of every member and average them; does the steps before it first if need be"

    def build(self) -> None:
        """Fill the body and the row of buttons."""
        self.form = FieldForm([_PRESET, *declared(EnsembleSettings).values(), _FRAMES])
        self.form.changed.connect(self._on_field)
        self.schedule_hint = QuietLabel("The schedule is known once the masks are done.")
        self.schedule_hint.setWordWrap(True)
        self.table = ScheduleTable()
        self.table.changed.connect(self._on_schedule)
        self.numbers = RunNumbers()
        self.bar = QProgressBar()
        self.bar.setObjectName("phase-progress")
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(max(6, self.fontMetrics().height() // 2))
        self.steering = SteeringPanel(self.controller)
        self._bar_due = 0.0
        self._shown_result: Any = None
        for widget in (self.form, section_title("Schedule"), self.schedule_hint, self.table):
            self.body.addWidget(widget)
        below = self.content.layout()
        if below is not None:  # under the buttons, so that these stay in sight
            for widget in (self.numbers, self.bar, self.steering):
                below.addWidget(widget)
        self.step_button = self._small_button("Step", "One iteration, then wait", self.controller.step_once)
        self.stop_button = self._small_button(
            "Stop", "End the run after this iteration; members that are finished are averaged", self.controller.stop
        )
        self.controller.progressed.connect(self._on_progress)

    def _small_button(self, text: str, tooltip: str, slot: Any) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(f"phase-{text.lower()}")
        button.setToolTip(tooltip)
        button.clicked.connect(slot)
        self.foot.addWidget(button)
        return button

    def do(self) -> None:
        """Run, pause or go on."""
        self.controller.toggle_run()

    def summary(self) -> str:
        """The numbers of the result."""
        result = self.session.result
        return "" if result is None else summary(result.metrics)

    # What is shown

    def refresh(self) -> None:
        """Show settings, buttons and numbers as they stand."""
        self._show_buttons()
        self._show_settings()
        self._show_schedule()
        self.steering.refresh()
        if not self.session.busy:
            self._show_end()

    def _show_buttons(self) -> None:
        session = self.session
        running = session.busy and session.state(Step.PHASE) is State.RUNNING
        self.button.setText("Resume" if running and session.paused else "Pause" if running else "Run")
        self.button.setToolTip(_RUN_TIPS.get(self.button.text(), self.help))
        self.button.setEnabled(((running and session.steerable) or not session.busy) and not session.stopping)
        self.step_button.setEnabled(self.button.isEnabled())
        self.stop_button.setEnabled(session.busy and not session.stopping)
        self.stop_button.setText("Stopping…" if session.stopping else "Stop")

    def _show_settings(self) -> None:
        plan = self.session.plan
        wanted: dict[str, Any] = {name: getattr(plan.ensemble, name) for name in declared(EnsembleSettings)}
        wanted["preset"] = OWN if plan.retrieval.schedule else plan.retrieval.preset
        wanted["frames_per_second"] = self.controller.preferences.frames_per_second or None
        shown = self.form.values()
        self.form.set_values({name: value for name, value in wanted.items() if shown[name] != value})

    def _show_schedule(self) -> None:
        session = self.session
        running = session.live if session.busy else None
        schedule = session.schedule or (() if running is None else running.schedule)
        preset = session.plan.retrieval.preset
        self.schedule_hint.setText(f"The schedule of “{preset}” is known once the masks are done.")
        self.schedule_hint.setVisible(not schedule)
        self.table.setVisible(bool(schedule))
        if schedule:
            self.table.set_schedule(schedule)
        self.table.set_preset(session.preset_schedule, preset)

    def _show_end(self) -> None:
        result, live = self.session.result, self.session.live
        if result is not None and result is not self._shown_result:
            self._shown_result = result
            show_result_numbers(self.numbers, result)
        elif result is None and live is None:
            self._shown_result = None
            self.numbers.clear()
        self.bar.setRange(0, 1)
        self.bar.setValue(1 if self.session.state(Step.PHASE) is State.DONE else 0)

    def _on_progress(self, progress: Progress) -> None:
        show_progress(self.numbers, progress, paused=self.session.paused)
        self.steering.refresh()
        now = time.perf_counter()
        if now < self._bar_due:
            return
        self._bar_due = now + _BAR_EVERY_S
        total = max(1, progress.members * progress.iterations)
        if self.bar.maximum() != total:
            self.bar.setRange(0, total)
        self.bar.setValue(progress.member * progress.iterations + progress.iteration)

    def on_event(self, event: Event) -> None:
        """While steps before it are done for a run, say which."""
        if event.happening is Happening.CHANGED and event.message and event.step is not self.step:
            self.say(f"{event.message} …")
        elif event.happening is Happening.FAILED and event.step is not self.step and event.step is not None:
            self.say(f"{event.step.value}: {event.message}", "error")
        elif event.happening is Happening.DONE and event.step is not self.step:
            self.say("")

    # What the user does

    def _on_field(self, name: str, value: Any) -> None:
        if name == "preset":
            self._choose_preset(value)
        elif name == "frames_per_second":
            remember("frames_per_second", float(value or 0))
        elif not self.controller.change("ensemble", **{name: value}):
            self.refresh()

    def _choose_preset(self, preset: str) -> None:
        session = self.session
        if preset in ALL_PRESETS:
            before = {step for step in Step if session.state(step) is State.DONE}
            try:
                session.use_preset(preset)
            except InputError as error:
                self.say(str(error), "error")
            else:
                stale = [step.value for step in Step if step in before and session.state(step) is State.STALE]
                self.say(f"changes {', '.join(stale)}: done again by Run, or one by one" if stale else "")
                if session.state(Step.MODEL) in (State.TODO, State.READY):
                    self.say("Run fits the crystal of the Model step first, which must be named there")
        elif self.session.schedule:
            self.controller.change("retrieval", schedule=self.session.schedule)
        else:
            self.say("The schedule can be edited once the masks are done", "warning")
        self.controller.poll()
        self.refresh()

    def _on_schedule(self) -> None:
        schedule = self.table.schedule()
        is_preset = schedule == self.session.preset_schedule
        self.controller.change("retrieval", schedule=() if is_preset else schedule)


_RUN_TIPS = {
    "Pause": "Wait after this iteration; nothing is lost",
    "Resume": "Go on where the run waits",
}
