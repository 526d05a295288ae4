"""The project file: a result file, or what there is before the first result, with the state of the window.

A project with a result is a result file with one more group, ``/entry_1/view``, so that every program that
reads the one reads the other. Without a result it holds the recipe, the raw files and that group.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi import __version__
from napari_subangstrom_cdi.core.result import InputFile, Result
from napari_subangstrom_cdi.errors import InputError

from ._common import bytes_text
from .atomic import atomic_hdf5
from .cxi import (
    extract_files,
    has_result,
    new_entry,
    open_entry,
    read_inputs,
    read_result,
    text_of,
    write_inputs,
    write_origin,
    write_result,
)

__all__ = [
    "MAX_TEXT_BYTES",
    "Held",
    "Project",
    "extract_files",
    "held_in",
    "read_project",
    "read_recipe_and_inputs",
    "write_project",
]

MAX_TEXT_BYTES = 2**20
"""Largest state of a window, as JSON, in bytes."""

_MAX_SETTINGS_BYTES = 64 * 2**20  # painted masks are in them
_MAX_HISTORY_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Project:
    """All that a window holds.

    Parameters
    ----------
    recipe : str
        The plan as TOML: that of the result, or the current one while there is no result.
    inputs : tuple of InputFile
        The raw files in use now.
    result : Result or None
        What the last run left.
    view : mapping
        The state of the window, in plain values: text, numbers, True, False, None, lists and mappings by text.
    settings : str
        The current plan as TOML where it is no longer the recipe; else empty.
    history : mapping of str to ndarray of float32
        Curves of a run that has not become a result, by name.

    Raises
    ------
    ValueError
        If there is a result, and the recipe is not the result's.
    """

    recipe: str
    inputs: tuple[InputFile, ...]
    result: Result | None
    view: Mapping[str, Any]
    settings: str = ""
    history: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.result is not None and self.recipe != self.result.recipe:
            raise ValueError("the recipe of a project is that of its result; what is current belongs in settings")


def write_project(path: str | Path, project: Project) -> None:
    """Write a project atomically.

    Raises
    ------
    InputError
        If the folder is not writable, the disk is full, or the window's state is too large; an older file is
        then left as it was.
    TypeError, ValueError
        If the view holds anything but plain, finite values.
    """
    view = _to_json(project.view, where=str(path))
    with atomic_hdf5(path) as file:
        entry = new_entry(file)
        if project.result is not None:
            write_result(entry, project.result)
        else:
            write_origin(entry.create_group("process_1"), project.recipe, __version__)
            write_inputs(entry, project.inputs)
        group = entry.create_group("view")
        group["state"] = np.frombuffer(view, np.uint8)
        group["settings"] = np.frombuffer(project.settings.encode(), np.uint8)
        for name, curve in project.history.items():
            group.create_dataset(f"history/{name}", data=np.asarray(curve, np.float32))
        if project.result is not None and project.inputs != project.result.inputs:
            write_inputs(group, project.inputs)


def read_project(path: str | Path) -> Project:
    """Read a project, or a plain result as a project whose window was never opened.

    Raises
    ------
    InputError
        If the file is missing, damaged, or neither.
    """
    with open_entry(path) as entry:
        result = read_result(entry) if has_result(entry) else None
        recipe = text_of(entry["process_1/recipe"]) if result is None else result.recipe
        inputs = read_inputs(entry) if result is None else result.inputs
        if "view" not in entry:
            return Project(recipe, inputs, result, {})
        group = entry["view"]
        return Project(
            recipe,
            read_inputs(group) if "inputs" in group else inputs,
            result,
            _from_json(_bytes(group["state"], MAX_TEXT_BYTES)),
            _checked_toml(_bytes(group["settings"], _MAX_SETTINGS_BYTES).decode()),
            {name: _curve(group["history"], name) for name in group.get("history", ())},
        )


def read_recipe_and_inputs(path: str | Path) -> tuple[str, tuple[InputFile, ...]]:
    """What repeats the run of a result, or runs a project that has none yet: the recipe and its raw files.

    Raises
    ------
    InputError
        If the file is missing, damaged, or neither result nor project.
    """
    with open_entry(path) as entry:
        return text_of(entry["process_1/recipe"]), read_inputs(entry)


@dataclass(frozen=True)
class Held:
    """What tells the result in a file from others, without its arrays.

    Parameters
    ----------
    recipe : str
        What repeats it.
    r_history : ndarray of float32, shape (k, iterations)
        R-factors of each member.
    """

    recipe: str
    r_history: NDArray[np.float32]

    @property
    def members(self) -> int:
        """How many there are."""
        return len(self.r_history)

    def is_of(self, result: Result) -> bool:
        """Whether it is this result: made by the same recipe, with the same R at every iteration."""
        return self.recipe == result.recipe and np.array_equal(self.r_history, result.r_history, equal_nan=True)


def held_in(path: str | Path) -> Held | None:
    """The result that a file holds; None if there is no such file, or it holds none that can be read."""
    try:
        with open_entry(path) as entry:
            if not has_result(entry):
                return None
            return Held(text_of(entry["process_1/recipe"]), entry["members/r_factor"][()])
    except InputError:
        return None


def _to_json(view: Mapping[str, Any], *, where: str) -> bytes:
    _check_keys(view)
    text = json.dumps(dict(view), allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    if len(text) > MAX_TEXT_BYTES:
        raise InputError(
            f"the state of the window takes {bytes_text(len(text))}",
            where=where,
            mend=f"at most {bytes_text(MAX_TEXT_BYTES)} are kept: shorten the notes",
        )
    return text


def _check_keys(value: Any) -> None:
    """JSON would turn the key 1 into '1' and say nothing."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} of the window's state is no text")
            _check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_keys(item)


def _from_json(content: bytes) -> dict[str, Any]:
    view = json.loads(content.decode(), parse_constant=_no_constant)
    if not isinstance(view, dict):
        raise ValueError("the state of its window is no JSON object")
    return view


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"the state of its window holds {name}")


def _checked_toml(text: str) -> str:
    tomllib.loads(text)
    return text


def _bytes(dataset: h5py.Dataset, limit: int) -> bytes:
    if dataset.dtype != np.uint8 or dataset.ndim != 1 or dataset.size > limit:
        raise ValueError(f"{dataset.name} is not up to {bytes_text(limit)} of text")
    return bytes(dataset[()].tobytes())


def _curve(group: h5py.Group, name: str) -> NDArray[np.float32]:
    dataset = group[name]
    if dataset.dtype != np.float32 or dataset.nbytes > _MAX_HISTORY_BYTES:
        raise ValueError(f"{dataset.name} is no curve")
    return np.asarray(dataset[()])
