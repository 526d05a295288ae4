"""What a script asks for, as a plan: data become files, and settings go over a preset's."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from pydantic import TypeAdapter, ValidationError

from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import Acquisition, read_acquisition
from napari_subangstrom_cdi.parameters import wrong_key

from .plan import (
    ALL_PRESETS,
    Change,
    Frame,
    ImageSettings,
    Inputs,
    ModelSettings,
    PatternSettings,
    Plan,
    RegionSettings,
    RetrievalSettings,
    SupportSettings,
    preset_plan,
)

Data = str | os.PathLike[str] | ArrayLike
"""A file's path, or an array."""
Given = Mapping[str, Any]
_Settings = TypeVar("_Settings")

SECTIONS = {
    "pattern_settings": "pattern",
    "image_settings": "image",
    "support_settings": "support",
    "regions": "regions",
    "model": "model",
    "ensemble": "ensemble",
}
"""Keywords for settings, and the sections of the plan that they set."""
FRAMES = ("pattern_frame", "background_frame", "image_frame")


class Sections(TypedDict, total=False):
    """Settings by keyword: a mapping changes some of a preset's values, an object replaces the whole section.

    Pattern, image and support are data, so the sections of the plan of these names are ``pattern_settings``,
    ``image_settings`` and ``support_settings``; ``regions``, ``model`` and ``ensemble`` go by their own.
    """

    pattern_settings: Given | PatternSettings
    image_settings: Given | ImageSettings
    support_settings: Given | SupportSettings
    regions: Given | RegionSettings
    model: Given | ModelSettings
    ensemble: Given | EnsembleSettings
    steering: Sequence[Change]
    pattern_frame: Frame
    background_frame: Frame
    image_frame: Frame


def plan_of(
    data: Mapping[str, Data | None],
    scratch: Path,
    *,
    acquisition: str | os.PathLike[str] | Given | Acquisition | None = None,
    preset: str = "extend",
    schedule: Iterable[Stage] | None = None,
    members: int | None = None,
    seed: int | None = None,
    zone: str | None = None,
    sections: Given | None = None,
) -> Plan:
    """The plan that a call asks for.

    Parameters
    ----------
    data : mapping of str to path or array
        By role, as the fields of :class:`.plan.Inputs` are called.
    scratch : Path
        Folder where arrays are written as NPY; it must stay until the plan's files have been read.
    acquisition : path, mapping or Acquisition, optional
        What is known of the records.
    preset, schedule, members, seed, zone
        As of the function :func:`~napari_subangstrom_cdi.reconstruct`.
    sections : mapping
        As :class:`Sections` says.

    Raises
    ------
    InputError
        If a keyword or a key is not known, or a value is impossible.
    """
    given = dict(sections or {})
    _check_names(given, (*SECTIONS, "steering", *FRAMES), "argument")
    inputs = _inputs(data, {name: given[name] for name in FRAMES if name in given}, scratch)
    retrieval = RetrievalSettings(preset, _stages(schedule))
    usual = preset if preset in ALL_PRESETS else "extend"  # with a schedule of one's own any name will do
    plan = replace(
        preset_plan(usual, inputs, acquisition_of(acquisition), EnsembleSettings()),
        retrieval=retrieval,
        steering=tuple(given.get("steering", ())),
    )
    changed = {
        section: with_settings(getattr(plan, section), given[keyword], where=keyword)
        for keyword, section in SECTIONS.items()
        if keyword in given
    }
    return with_numbers(replace(plan, **changed), members=members, seed=seed, zone=zone)


def with_numbers(plan: Plan, *, members: int | None, seed: int | None, zone: str | None = None) -> Plan:
    """The plan with those of the values that are given."""
    numbers = {name: value for name, value in (("members", members), ("seed", seed)) if value is not None}
    plan = replace(plan, ensemble=with_settings(plan.ensemble, numbers, where="ensemble"))
    return plan if zone is None else replace(plan, model=replace(plan.model, zone=zone))


def with_schedule(plan: Plan, schedule: Iterable[Stage]) -> Plan:
    """The plan with a schedule of one's own."""
    return replace(plan, retrieval=RetrievalSettings(plan.retrieval.preset, _stages(schedule)))


def acquisition_of(given: str | os.PathLike[str] | Given | Acquisition | None) -> Acquisition:
    """What is known of the records, however it is given."""
    if given is None:
        return Acquisition()
    if isinstance(given, Acquisition):
        return given
    if isinstance(given, Mapping):
        return Acquisition.from_mapping(given, where="acquisition")
    return read_acquisition(given)


def with_settings(usual: _Settings, given: Given | _Settings, *, where: str) -> _Settings:
    """Settings with some of their values changed, types checked as in a recipe.

    Parameters
    ----------
    usual : dataclass
        The settings as they are.
    given : mapping or dataclass
        Values by field; settings of the same class replace the usual ones.
    where : str
        Keyword, for messages.

    Raises
    ------
    InputError
        Naming the field at fault, and those that there are.
    """
    kind = type(usual)
    if isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise InputError(
            f"takes a mapping or {kind.__name__}, not {type(given).__name__}",
            where=where,
            mend=f"give it as {where}={{...}}",
        )
    names = tuple(f.name for f in fields(usual))  # type: ignore[arg-type]  # every section is a dataclass
    _check_names(given, names, "setting", where)
    try:
        return TypeAdapter(kind).validate_python({**{name: getattr(usual, name) for name in names}, **given})
    except ValidationError as error:
        raise wrong_key(error, where=where) from error


def _check_names(given: Iterable[str], known: Sequence[str], what: str, where: str | None = None) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}? There are {', '.join(known)}" if near else f"use {', '.join(known)}"
            raise InputError(f"there is no {what} {name!r}", where=where, mend=hint)


def _stages(schedule: Iterable[Stage] | None) -> tuple[Stage, ...]:
    stages = () if schedule is None else (schedule,) if isinstance(schedule, Stage) else tuple(schedule)
    for stage in stages:
        if not isinstance(stage, Stage):
            raise InputError(f"{stage!r} is no Stage", where="schedule", mend='give Stage("name", iterations, ...)')
    if schedule is not None and not stages:
        raise InputError("has no stages", where="schedule", mend="give at least one, or leave it out")
    return stages


def _inputs(data: Mapping[str, Data | None], frames: Given, scratch: Path) -> Inputs:
    paths = {role: _path(role, value, scratch) for role, value in data.items() if value is not None}
    return Inputs(**{**paths, **frames})


def _path(role: str, value: Data, scratch: Path) -> str:
    """The path of a file, or of the file that an array is written to; so that the result can hold it."""
    if isinstance(value, str | os.PathLike):
        return os.path.expanduser(os.fspath(value))
    if isinstance(value, Mapping) or dataclasses.is_dataclass(value):
        keyword = {section: keyword for keyword, section in SECTIONS.items()}.get(role)
        mend = f"give settings as {keyword}={{...}}" if keyword else "give a path or an array"
        raise InputError("is data: a path or an array", where=role, mend=mend)
    array = np.asarray(value)
    if array.dtype.kind not in "buif":
        raise InputError(
            f"is no array of real numbers but of {array.dtype}", where=role, mend="give a path or an array"
        )
    path = scratch / f"{role}.npy"
    np.save(path, array, allow_pickle=False)
    return str(path)
