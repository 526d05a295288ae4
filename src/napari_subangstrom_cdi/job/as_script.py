"""A plan as something to paste: a shell command, or a Python script, that does the same job without a window."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.core.result import Result
from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.io.image import split_address

from .arguments import SECTIONS
from .plan import ALL_PRESETS, FILE_ROLES, Inputs, Plan, paths_of, plan_from_toml, preset_plan, with_paths
from .recipe_stages import stage_table

_PROGRAM = "napari-subangstrom-cdi"

_SCRIPT = '''"""Repeat a reconstruction of {program}."""

import napari_subangstrom_cdi as sacdi

result = {call}
for warning in result.warnings:
    print(f"warning: {{warning}}")
result.save({output})
print(result)
'''
_WIDTH = 100


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
    """A script that does the job with this package and writes the result beside it.

    It says no more than what differs from the preset and the defaults.
    """
    plan = _with_absolute_paths(plan)
    arguments = [_source(plan.inputs.pattern), *(f"{name}={_source(value)}" for name, value in _keywords(plan).items())]
    return _SCRIPT.format(
        program=_PROGRAM,
        call=_bracketed("sacdi.reconstruct(", arguments, ")"),
        output=_source(f"{_stem(plan)}_result.cxi"),
    )


def _keywords(plan: Plan) -> dict[str, Any]:
    """Keyword arguments of :func:`~napari_subangstrom_cdi.reconstruct` that say the same as the plan."""
    retrieval, ensemble = plan.retrieval, plan.ensemble
    preset = retrieval.preset if retrieval.preset in ALL_PRESETS else "extend"
    usual = preset_plan(preset, plan.inputs, Acquisition(), EnsembleSettings())
    said = _differing(plan.inputs, Inputs(plan.inputs.pattern))
    if plan.acquisition != usual.acquisition:
        readable = _survives_json(plan.acquisition)
        said["acquisition"] = plan.acquisition.to_dict() if readable else plan.acquisition
    if retrieval.preset != "extend":
        said["preset"] = retrieval.preset
    if retrieval.schedule:
        said["schedule"] = list(retrieval.schedule)
    said |= _differing(ensemble, usual.ensemble, ("members", "seed"))
    if plan.model.zone:
        said["zone"] = plan.model.zone
    for keyword, section in SECTIONS.items():
        elsewhere = {"ensemble": ("members", "seed"), "model": ("zone",)}.get(section, ())
        changed = _differing(getattr(plan, section), getattr(usual, section))
        changed = {name: value for name, value in changed.items() if name not in elsewhere}
        if changed:
            said[keyword] = changed
    if plan.steering:
        said["steering"] = list(plan.steering)
    return said


def _differing(settings: Any, usual: Any, names: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Fields of a dataclass, of those named, that are not as in another."""
    values = {name: getattr(settings, name) for name in names or (f.name for f in fields(settings))}
    return {name: value for name, value in values.items() if value != getattr(usual, name)}


def _source(value: Any) -> str:
    """A value as Python source."""
    if isinstance(value, Stage):
        return _bracketed("sacdi.Stage(", _stage_arguments(value), ")")
    if is_dataclass(value) and not isinstance(value, type):
        return _bracketed(f"sacdi.{type(value).__name__}(", _arguments(value), ")")
    if isinstance(value, Mapping):
        return _bracketed("{", [f"{_source(key)}: {_source(item)}" for key, item in value.items()], "}")
    if isinstance(value, list):
        return _bracketed("[", [_source(item) for item in value], "]")
    if isinstance(value, tuple):
        inside = ", ".join(_source(item) for item in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, str):
        return _text(value)
    return repr(value)


def _stage_arguments(stage: Stage) -> list[str]:
    """Arguments that make a stage again, constraints and rule by their names, so that nothing is to be imported."""
    usual = stage_table(Stage(stage.name, stage.iterations))
    said = {key: value for key, value in stage_table(stage).items() if value != usual.get(key)}
    without_beta = {key: value for key, value in said.items() if key != "beta"}
    if Stage(stage.name, stage.iterations, **without_beta) == stage:
        said = without_beta
    named = (f"{key}={_source(value)}" for key, value in said.items())
    return [_source(stage.name), _source(stage.iterations), *named]


def _arguments(value: Any) -> list[str]:
    """Arguments that make a dataclass again: by place where there is no default, by name where it differs."""
    said = []
    for item in fields(value):
        given = getattr(value, item.name)
        if item.default is MISSING and item.default_factory is MISSING:
            said.append(_source(given))
        elif given != item.default:
            said.append(f"{item.name}={_source(given)}")
    return said


def _bracketed(opening: str, items: list[str], closing: str) -> str:
    """Items between brackets: on one line, or each on its own if that would be too long."""
    line = f"{opening}{', '.join(items)}{closing}"
    if "\n" not in line and len(line) <= _WIDTH:
        return line
    inside = "".join(f"{item},\n" for item in items)
    return f"{opening}\n{textwrap.indent(inside, '    ')}{closing}"


def _text(value: str) -> str:
    """A text as a literal; a packed mask, which has no spaces, in pieces."""
    if len(value) <= _WIDTH or " " in value:
        return _double_quoted(value)
    pieces = "".join(f"    {_double_quoted(value[i : i + _WIDTH])}\n" for i in range(0, len(value), _WIDTH))
    return f"(\n{pieces})"


def _double_quoted(value: str) -> str:
    """As a formatter of sources writes it, where that is as simple."""
    plain = repr(value)
    return f'"{value}"' if plain == f"'{value}'" and '"' not in value else plain


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
    absolute = {role: path.absolute() for role, path in paths_of(plan.inputs).items()}
    return replace(plan, inputs=with_paths(plan.inputs, absolute))


def _stem(plan: Plan) -> str:
    """Name for what is written, of characters that no shell and no system minds."""
    stem = split_address(plan.inputs.pattern)[0].stem
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
