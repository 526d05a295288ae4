"""The command line, ``napari-subangstrom-cdi COMMAND``: the parser, and the commands that do a job."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

from napari_subangstrom_cdi import __version__
from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import Acquisition, atomic_path, check_writable, read_acquisition
from napari_subangstrom_cdi.io.cxi import check_output, read_cxi, write_cxi
from napari_subangstrom_cdi.job.pipeline import (
    Outcome,
    load_plan,
    noted_doubts,
    run,
    scratch_folder,
    to_json,
    with_timing,
)
from napari_subangstrom_cdi.job.plan import (
    ALL_PRESETS,
    ELLIPSES,
    FILE_ROLES,
    PRESETS,
    Frame,
    ImageSettings,
    Inputs,
    ModelSettings,
    Plan,
    paths_of,
    preset_plan,
    with_paths,
)
from napari_subangstrom_cdi.job.progress import Bar
from napari_subangstrom_cdi.job.readings import summary
from napari_subangstrom_cdi.parameters import declared
from napari_subangstrom_cdi.simulation.bundled import sample_records

from .calibrate import add_calibrate
from .inspect import add_inspect
from .simulate import add_score, add_simulate, help_of

_MIRRORED = {"yes": True, "no": False, "unknown": None}
_ENSEMBLE = ("members", "seed")
_INTERRUPTED, _BROKEN_PIPE = 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code.

    0 is success, 2 something that the user can mend (said in one sentence), 130 an interruption.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show is no reason to end
            stream.reconfigure(errors="backslashreplace")
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        code = command(arguments)
        sys.stdout.flush()
        return code
    except InputError as error:
        for warning in getattr(error, "__notes__", ()):
            print(f"warning: {warning}", file=sys.stderr)
        print(f"napari-subangstrom-cdi: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print("napari-subangstrom-cdi: not enough memory; use a larger binning or fewer members", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("napari-subangstrom-cdi: interrupted; nothing is written", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read the output, such as head, has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        return _BROKEN_PIPE


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the options in one sentence; subcommands inherit it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="napari-subangstrom-cdi",
        description="Electron diffractive imaging of single nanocrystals at sub-ångström resolution.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_reconstruct(commands)
    _add_demo(commands)
    _add_analyse(commands)
    add_inspect(commands)
    add_calibrate(commands, _frame)
    add_simulate(commands)
    add_score(commands)
    _add_bench(commands)
    gui = commands.add_parser("gui", help="open napari with the workflow", description="Open napari with the workflow.")
    gui.add_argument("project", metavar="PROJECT.cxi", nargs="?", help="project or result to open; else the sample")
    gui.set_defaults(command=_gui)
    return parser


def _add_reconstruct(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = commands.add_parser(
        "reconstruct",
        help="from raw records to a reconstruction",
        description="Subtract, centre, register and phase a diffraction pattern with a low-resolution image "
        "(or a support) of the same particle, and average an ensemble of reconstructions.",
    )
    data = parser.add_argument_group(
        "data",
        "FILE::NAME names one of several arrays in a file; 'inspect FILE' lists them, and what the file says. What the "
        "files say need not stand in the acquisition.",
    )
    data.add_argument("--pattern", metavar="FILE", help="diffraction record with the particle")
    data.add_argument(
        "--background",
        metavar="FILE|fit|none",
        help="record without the particle; 'fit' fits a smooth background (default); "
        "'none' says that it is already subtracted",
    )
    data.add_argument("--image", metavar="FILE", help="low-resolution TEM image of the particle")
    data.add_argument("--acquisition", metavar="FILE", help="JSON or TOML with what is known of the records")
    data.add_argument("--support", metavar="FILE", help="mask of the object, non-zero inside (needed without image)")
    data.add_argument("--mask", metavar="FILE", help="raw pattern pixels not to be trusted, non-zero (beam stop)")
    for role in ("pattern", "background", "image"):
        data.add_argument(f"--{role}-frame", metavar="N|sum", type=_frame, help=f"frame of a stacked {role} file")
    data.add_argument(
        "--spacing",
        metavar="PX:A",
        type=_spacing,
        action="append",
        help="radius (raw pixels) and spacing (Å) of a known reflection or ring, e.g. 223.5:3.58; "
        "repeat it; replaces the camera length",
    )
    data.add_argument(
        "--calibrate-by-crystal",
        action="store_true",
        help="replace the camera length by the spacings of --crystal on --zone; it need be right within 6 %% only",
    )
    data.add_argument(
        "--ellipse",
        choices=ELLIPSES,
        help="what the pattern's elliptical distortion is taken from: image and substrate (default), --crystal on "
        "--zone too, the acquisition only, or nothing",
    )
    data.add_argument(
        "--no-beam-stop",
        action="store_true",
        help="look for no beam stop: what is dark about the beam is the pattern's",
    )
    how = parser.add_argument_group("how")
    how.add_argument("--preset", choices=ALL_PRESETS, help="schedule and settings (default: extend)")
    how.add_argument("--crystal", metavar="NAME|FILE.cif", help="what the particle is made of, for the preset model")
    how.add_argument("--zone", metavar='"u v w"', help=help_of(declared(ModelSettings)["zone"]))
    for name in _ENSEMBLE:
        how.add_argument(f"--{name}", type=int, metavar="N", help=help_of(declared(EnsembleSettings)[name]))
    how.add_argument("--particle", metavar="Y,X", type=_place, help=help_of(declared(ImageSettings)["particle_px"]))
    how.add_argument(
        "--mirrored",
        nargs="?",
        const="yes",
        choices=tuple(_MIRRORED),
        help=help_of(declared(ImageSettings)["mirrored"]),
    )
    how.add_argument(
        "--recipe",
        metavar="FILE",
        help="plan as TOML, or an earlier result (.cxi) to repeat; options override it",
    )
    how.add_argument("--workers", type=_positive, metavar="N", help="threads (default: the processors at hand)")
    _add_output(parser, required=True)
    parser.set_defaults(command=_reconstruct)


def _add_demo(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = commands.add_parser(
        "demo", help="reconstruct the bundled sample", description="Reconstruct the bundled simulated CdS platelet."
    )
    parser.add_argument("--preset", choices=PRESETS, default="extend")
    for name in _ENSEMBLE:
        known = declared(EnsembleSettings)[name]
        parser.add_argument(f"--{name}", type=int, default=known.default, metavar="N", help=help_of(known))
    parser.add_argument("--workers", type=_positive, metavar="N")
    _add_output(parser, required=False)
    parser.set_defaults(command=_demo)


def _add_output(parser: argparse.ArgumentParser, *, required: bool) -> None:
    out = parser.add_argument_group("output")
    out.add_argument(
        "-o", "--output", metavar="OUT.cxi", required=required, default="platelet.cxi", help="result file (HDF5, CXI)"
    )
    out.add_argument("--json", action="store_true", help="print all numbers as JSON instead of the summary line")
    out.add_argument(
        "--no-report",
        action="store_true",
        help="do not draw the report: OUT.png and OUT.pdf, or OUT.report.png where another file has that name",
    )
    out.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_analyse(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = commands.add_parser(
        "analyse",
        help="numbers, report and recipe of a result",
        description="Print the numbers of a result file, and draw its report or write its recipe anew.",
    )
    parser.add_argument("result", metavar="RESULT.cxi")
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON instead of the summary line")
    parser.add_argument("--report", metavar="STEM", help="draw the report to STEM.png and STEM.pdf")
    parser.add_argument("--recipe", metavar="FILE", help="write the recipe (TOML)")
    parser.set_defaults(command=_analyse)


def _add_bench(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = commands.add_parser(
        "bench",
        help="time an iteration against the fastest FFT pair",
        description="Time one iteration as a ratio to the fastest forward and inverse FFT available, side by side.",
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048], metavar="N")
    parser.add_argument(
        "--tools",
        action="store_true",
        help="instead, time what follows the hand in the window, such as a slider's correlation, on the sample",
    )
    parser.add_argument(
        "--window",
        action="store_true",
        help="instead, open a window and measure how it answers while the sample's reconstruction streams into it",
    )
    parser.add_argument(
        "--frames-per-second", type=float, default=10.0, metavar="N", help="with --window; 0 for the automatic rate"
    )
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(command=_bench)


def _frame(text: str) -> Frame:
    if text == "sum":
        return "sum"
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a frame number nor 'sum'") from None


def _positive(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def _place(text: str) -> tuple[float, float]:
    y, separator, x = text.partition(",")
    try:
        if separator:
            return float(y), float(x)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not of the form 512,480 (y,x in pixels)")


def _spacing(text: str) -> tuple[float, float]:
    radius, separator, spacing = text.partition(":")
    try:
        if separator:
            return float(radius), float(spacing)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not of the form 223.5:3.58 (pixels:ångström)")


def _reconstruct(arguments: argparse.Namespace) -> int:
    output = check_output(arguments.output, where="--output")
    with scratch_folder() as scratch, noted_doubts() as doubts:
        plan = _plan(arguments, Path(scratch))
        _refuse_to_overwrite_inputs(output, plan, arguments)
        by_crystal = arguments.calibrate_by_crystal
        return _run_and_write(plan, output, arguments, warned=tuple(doubts), by_crystal=by_crystal)


def _demo(arguments: argparse.Namespace) -> int:
    output = check_output(arguments.output, where="--output")
    records = sample_records()
    acquisition = read_acquisition(records.pop("acquisition"))
    settings = EnsembleSettings(members=arguments.members, seed=arguments.seed)
    plan = preset_plan(arguments.preset, with_paths(Inputs(""), records), acquisition, settings)
    return _run_and_write(plan, output, arguments)


def _refuse_to_overwrite_inputs(output: Path, plan: Plan, arguments: argparse.Namespace) -> None:
    used = {f"--{role}": path for role, path in paths_of(plan.inputs).items()}
    if arguments.acquisition is not None:
        used["--acquisition"] = Path(arguments.acquisition).expanduser()
    for option, path in used.items():
        if path.resolve() == output.resolve():
            raise InputError(f"is the file of {option} too", where=str(output), mend="choose another output")


def _plan(arguments: argparse.Namespace, scratch: Path) -> Plan:
    """The recipe, or a preset, with what the options say over it."""
    if arguments.recipe is not None:
        plan = load_plan(Path(arguments.recipe), scratch)
    elif arguments.pattern is None:
        raise InputError("no pattern is given", mend="give --pattern FILE, or --recipe FILE")
    else:
        plan = preset_plan("extend", Inputs(arguments.pattern), Acquisition(), EnsembleSettings())
    names = (*FILE_ROLES, "pattern_frame", "background_frame", "image_frame")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    acquisition = read_acquisition(arguments.acquisition) if arguments.acquisition else plan.acquisition
    numbers = {name: getattr(arguments, name) for name in _ENSEMBLE if getattr(arguments, name) is not None}
    inputs, ensemble = replace(plan.inputs, **given), replace(plan.ensemble, **numbers)
    if arguments.preset is not None:
        plan = preset_plan(arguments.preset, inputs, acquisition, ensemble)
    else:
        plan = replace(plan, inputs=inputs, acquisition=acquisition, ensemble=ensemble)
    if arguments.zone is not None:
        plan = replace(plan, model=replace(plan.model, zone=arguments.zone))
    if arguments.spacing:
        plan = replace(plan, pattern=replace(plan.pattern, known_spacings=tuple(arguments.spacing)))
    if arguments.ellipse is not None:
        plan = replace(plan, pattern=replace(plan.pattern, ellipse=arguments.ellipse))
    if arguments.no_beam_stop:
        plan = replace(plan, pattern=replace(plan.pattern, find_beam_stop=False))
    if arguments.particle is not None:
        plan = replace(plan, image=replace(plan.image, particle_px=arguments.particle))
    if arguments.mirrored is not None:
        plan = replace(plan, image=replace(plan.image, mirrored=_MIRRORED[arguments.mirrored]))
    return plan


def _run_and_write(
    plan: Plan,
    output: Path,
    arguments: argparse.Namespace,
    *,
    warned: tuple[str, ...] = (),
    by_crystal: bool = False,
) -> int:
    with _Interruptible() as interruptible:
        with Bar(quiet=arguments.quiet or arguments.json, averaging=interruptible.finish) as bar:
            outcome = run(plan, bar, workers=arguments.workers, by_crystal=by_crystal)
        outcome = replace(outcome, warnings=warned + outcome.warnings)
        for warning in outcome.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        seconds = dict(outcome.seconds)
        _write(outcome, output, seconds, report=not arguments.no_report)
    numbers = dict(with_timing(outcome, seconds).metrics)
    if arguments.json:
        print(to_json(numbers))
    else:
        steps = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
        print(f"seconds: {steps}", file=sys.stderr)
        print(f"{output}: {summary(numbers)}")
    return 0


def _write(outcome: Outcome, output: Path, seconds: dict[str, float], *, report: bool) -> None:
    """Result first, so that nothing finished is lost if the report fails; then the report."""
    from napari_subangstrom_cdi.job.report import stem_beside, write_report  # matplotlib takes a second to import

    began = time.perf_counter()
    write_cxi(output, with_timing(outcome, seconds))
    seconds["write"] = time.perf_counter() - began
    if report:
        began = time.perf_counter()
        stem = stem_beside(output)
        if stem != output.with_suffix(""):
            print(
                f"warning: {output.with_suffix('.png')} or .pdf is there and not a report: the report is {stem}.png",
                file=sys.stderr,
            )
        write_report(with_timing(outcome, seconds), stem)
        seconds["report"] = time.perf_counter() - began


def _analyse(arguments: argparse.Namespace) -> int:
    result = read_cxi(arguments.result)
    if arguments.report is not None:
        from napari_subangstrom_cdi.job.report import write_report

        for path in write_report(result, check_writable(arguments.report)):
            print(path)
    if arguments.recipe is not None:
        target = check_writable(arguments.recipe)
        if target.resolve() == Path(arguments.result).resolve():
            raise InputError("is the result itself", where=arguments.recipe, mend="choose another file for the recipe")
        with atomic_path(target) as temporary:
            temporary.write_text(result.recipe, encoding="utf-8")
        print(target)
    numbers = dict(result.metrics)
    print(to_json(numbers) if arguments.json else f"{arguments.result}: {summary(numbers)}")
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    if arguments.window:
        from napari_subangstrom_cdi.gui.window.launch import run_window_bench

        print(run_window_bench(arguments.frames_per_second, json=arguments.json))
        return 0
    if arguments.tools:
        from .bench_hand import format_tools_bench, run_tools_bench

        tools = run_tools_bench()
        print(tools.to_json() if arguments.json else format_tools_bench(tools))
        return 0
    from .bench import format_bench, run_bench

    result = run_bench(tuple(arguments.sizes))
    print(result.to_json() if arguments.json else format_bench(result))
    return 0


def _gui(arguments: argparse.Namespace) -> int:
    from napari_subangstrom_cdi.gui.window.launch import launch

    return launch(arguments.project)


class _Interruptible:
    """The first Ctrl-C ends the phase retrieval cleanly, or waits for what is being written; a second one ends all."""

    def __init__(self) -> None:
        self._finishing = False

    def __enter__(self) -> Self:
        self._before = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, self._first)
        return self

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def finish(self) -> None:
        """From here on the result is being averaged and written."""
        self._finishing = True

    def _first(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Written past sys.stderr, which may be in the middle of a write that this signal interrupted.
        if self._finishing:
            os.write(2, b"\nthe result is being written (Ctrl-C again to drop it)\n")
            return
        os.write(2, b"\nending; finished members are kept (Ctrl-C again to drop them)\n")
        raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
