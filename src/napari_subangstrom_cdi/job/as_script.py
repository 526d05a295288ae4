"""A plan as something to paste: a shell command, or a Python script, that does the same job without a window."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings
from napari_subangstrom_cdi.core.result import Result
from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.io import Acquisition

from .plan import ALL_PRESETS, FILE_ROLES, Plan, named_files, plan_from_toml, preset_plan

_PROGRAM = "napari-subangstrom-cdi"

_SCRIPT = '''"""Repeat a reconstruction of {program}."""

from napari_subangstrom_cdi.io.cxi import write_cxi
from napari_subangstrom_cdi.pipeline import run, summary, with_timing
from napari_subangstrom_cdi.plan import plan_from_toml

RECIPE = {recipe}

outcome = run(plan_from_toml(RECIPE, where="the recipe in this script"))
for warning in outcome.warnings:
    print(f"warning: {{warning}}")
result = with_timing(outcome, outcome.seconds)
write_cxi({output}, result)
print(summary(result.metrics))
'''


def plan_that_repeats(plan: Plan, result: Result) -> Plan:
    """The plan that gives a result again: with what was steered, and no members but those that were finished.

    Parameters
    ----------
    plan : Plan
        The settings as they stand, from which the result follows; its files are used.
    result : Result
        What the run left.

    Raises
    ------
    InputError
        If the result's recipe is damaged.
    """
    recipe = plan_from_toml(result.recipe, where="the result's recipe")
    if recipe.steering:
        return replace(recipe, inputs=plan.inputs)
    return replace(plan, ensemble=recipe.ensemble)


def as_command(plan: Plan, project: Path | None = None) -> str:
    """A command for a POSIX shell that does the job.

    With options alone where they say all that the plan does; else with a recipe, which the command writes first.

    Parameters
    ----------
    plan : Plan
        What to do.
    project : Path, optional
        A saved project that holds just this plan and its files; it then is the recipe.
    """
    if project is not None:
        output = f"{project.stem}_again.cxi"
        return _joined([_PROGRAM, "reconstruct", "--recipe", str(project.absolute()), "-o", output])
    plan = _with_absolute_paths(plan)
    stem = _stem(plan)
    options = _options(plan)
    if options is None:
        recipe = f"{stem}_recipe.toml"
        words = [_PROGRAM, "reconstruct", "--recipe", recipe, "-o", f"{stem}_result.cxi"]
        return f"{_here_document(recipe, plan.to_toml())}\n{_joined(words)}"
    command = [_PROGRAM, "reconstruct", *options]
    if plan.acquisition == Acquisition():
        return _joined([*command, "-o", f"{stem}_result.cxi"])
    known = f"{stem}_acquisition.json"
    command += ["--acquisition", known, "-o", f"{stem}_result.cxi"]
    return f"{_here_document(known, _acquisition_text(plan.acquisition))}\n{_joined(command)}"


def as_python(plan: Plan) -> str:
    """A script that does the job with this package and writes the result beside it."""
    plan = _with_absolute_paths(plan)
    return _SCRIPT.format(program=_PROGRAM, recipe=_literal(plan.to_toml()), output=repr(f"{_stem(plan)}_result.cxi"))


def _options(plan: Plan) -> list[str] | None:
    """Options of the command line that say the same as the plan; None if they cannot."""
    preset, ensemble = plan.retrieval.preset, plan.ensemble
    if preset not in ALL_PRESETS or not _survives_json(plan.acquisition):
        return None
    said = preset_plan(preset, plan.inputs, plan.acquisition, EnsembleSettings(ensemble.members, ensemble.seed))
    said = replace(said, pattern=replace(said.pattern, known_spacings=plan.pattern.known_spacings))
    said = replace(said, model=replace(said.model, zone=plan.model.zone))
    if said != plan:
        return None
    options: list[str] = []
    for role in FILE_ROLES:
        value = getattr(plan.inputs, role)
        if value is not None:
            options += [f"--{role}", value]
    for role in ("pattern", "background", "image"):
        frame = getattr(plan.inputs, f"{role}_frame")
        if frame is not None:
            options.append(f"--{role}-frame={frame}")
    for radius_px, spacing_angstrom in plan.pattern.known_spacings:
        options.append(f"--spacing={radius_px!r}:{spacing_angstrom!r}")
    if plan.model.zone:
        options.append(f"--zone={plan.model.zone}")  # it may begin with a minus
    return [*options, "--preset", preset, "--members", str(ensemble.members), "--seed", str(ensemble.seed)]


def _acquisition_text(acquisition: Acquisition) -> str:
    return json.dumps(acquisition.to_dict(), indent=1, ensure_ascii=False)


def _survives_json(acquisition: Acquisition) -> bool:
    with collected_doubts():  # they were said when it was first read
        try:
            return Acquisition.from_mapping(json.loads(_acquisition_text(acquisition))) == acquisition
        except InputError:
            return False


def _with_absolute_paths(plan: Plan) -> Plan:
    """The same files from every folder."""
    absolute = {role: str(Path(path).expanduser().absolute()) for role, path in named_files(plan.inputs).items()}
    return replace(plan, inputs=replace(plan.inputs, **absolute))  # type: ignore[arg-type]  # all are text


def _stem(plan: Plan) -> str:
    """Name for what is written, of characters that no shell and no system minds."""
    stem = Path(plan.inputs.pattern).stem
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in stem).lstrip("-.") or "pattern"


def _joined(words: list[str]) -> str:
    """A command with each option on a line of its own."""
    lines: list[str] = []
    for word in words:
        if lines and not word.startswith("-"):
            lines[-1] += f" {shlex.quote(word)}"
        else:
            lines.append(shlex.quote(word))
    return " \\\n  ".join(lines)


def _here_document(name: str, text: str) -> str:
    end = "END"
    while end in text.splitlines():
        end += "_"
    return f"cat > {shlex.quote(name)} <<'{end}'\n{text.rstrip()}\n{end}"


def _literal(text: str) -> str:
    """Text as Python source, readable where it can be."""
    if "'''" in text or text.endswith("\\"):
        return repr(text)
    return f"r'''\n{text}'''"
