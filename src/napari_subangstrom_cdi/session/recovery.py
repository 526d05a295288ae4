"""Finished members on the disk while a run goes on, so that a crash costs one member and no more.

A run has a folder of its own with the recipe, the raw files and one file a member, each written whole or not at
all, and a file that the running process keeps locked. The system lifts the lock when the process ends, however
it ends; so a folder whose lock is free was left behind, and no number of a process has to be trusted.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

import h5py
import numpy as np
import platformdirs

from napari_subangstrom_cdi.core.phasing.retrieval import Retrieval, support_box
from napari_subangstrom_cdi.core.result import InputFile
from napari_subangstrom_cdi.errors import InputError, doubt
from napari_subangstrom_cdi.io import atomic_hdf5, atomic_path
from napari_subangstrom_cdi.io.cxi import new_entry, open_entry, read_inputs, write_inputs
from napari_subangstrom_cdi.io.image import short_name
from napari_subangstrom_cdi.job.plan import Change, Plan, plan_from_toml

from ._lock import is_held, take

DATA_VARIABLE = "NAPARI_SUBANGSTROM_CDI_DATA"
"""Environment variable that names another folder for the program's data."""

_RUN, _GONE = "run-", "gone-"
_RECIPE, _INPUTS, _LOCK = "recipe.toml", "inputs.h5", "running.lock"
_MEMBER = re.compile(r"member_([0-9]{1,6})\.h5")
_LARGEST_SIDE = 8192
_MAX_RECIPE_BYTES = 64 * 2**20
_FORSAKEN_S = 86400.0
_SCALARS = ("r_factor", "free_r", "image_agreement", "constrained_r")
_HISTORIES = ("r_history", "free_r_history")


def default_folder() -> Path:
    """Where runs are kept: the user's data folder, or that of the environment variable `DATA_VARIABLE`."""
    named = os.environ.get(DATA_VARIABLE)
    return Path(named or platformdirs.user_data_dir("napari-subangstrom-cdi", appauthor=False)) / "recovery"


class Recovery:
    """The recovery files of one run that goes on; made by :meth:`begin`."""

    def __init__(self, folder: Path, lock: IO[bytes]) -> None:
        self.folder = folder
        self._lock = lock

    @classmethod
    def begin(cls, folder: Path, recipe: str, inputs: tuple[InputFile, ...]) -> Recovery:
        """Make the folder of a run inside ``folder``.

        Parameters
        ----------
        folder : Path
            As `default_folder`; made if it is missing.
        recipe : str
            The plan as TOML.
        inputs : tuple of InputFile
            The raw files.

        Raises
        ------
        InputError
            If nothing can be written there.
        """
        run = folder / f"{_RUN}{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(4)}"
        try:
            run.mkdir(parents=True)
            lock = take(run / _LOCK)
        except OSError as error:
            raise _unwritable(run, error) from error
        self = cls(run, lock)
        try:
            with atomic_hdf5(run / _INPUTS) as file:
                write_inputs(new_entry(file), inputs)
            self.record(recipe)
        except BaseException:
            self.leave()
            with contextlib.suppress(InputError):
                _remove(run)
            raise
        return self

    def record(self, recipe: str) -> None:
        """Write the recipe anew, with what was steered since.

        Raises
        ------
        InputError
            If it cannot be written; the earlier one is left as it was.
        """
        with atomic_path(self.folder / _RECIPE) as temporary:
            temporary.write_text(recipe, encoding="utf-8", newline="\n")

    def add(self, member: int, retrieval: Retrieval) -> None:
        """Write a finished member; it is on the disk when this returns.

        Raises
        ------
        InputError
            If it cannot be written; the members before it are left as they were.
        """
        with atomic_hdf5(self.folder / f"member_{member:04d}.h5") as file:
            _write_member(file, retrieval)

    def done(self) -> None:
        """Remove the files of the run: its result is safe elsewhere, or not wanted.

        Raises
        ------
        InputError
            If they cannot be removed.
        """
        self.leave()
        _remove(self.folder)

    def leave(self) -> None:
        """Keep the files, and let the next start find them."""
        self._lock.close()

    def __del__(self) -> None:
        """Leave the files: a run that nobody holds any more does not go on."""
        self._lock.close()


class Recovered(NamedTuple):
    """What a run left: its recipe, its raw files, and its finished members in their order."""

    recipe: str
    inputs: tuple[InputFile, ...]
    members: list[Retrieval]


@dataclass(frozen=True)
class Found:
    """A run that was left behind.

    Parameters
    ----------
    folder : Path
        Where its files are.
    when : datetime
        Time of its last finished member, or of its beginning; local.
    members_done, members_planned : int
        Finished, and asked for; 0 where that cannot be read.
    pattern_name : str
        Name of the pattern's file.
    problem : str or None
        Why it cannot be recovered.
    """

    folder: Path
    when: datetime
    members_done: int
    members_planned: int
    pattern_name: str
    problem: str | None = None

    def load(self) -> Recovered:
        """Read it; a member that cannot be read is left out, with a `QualityWarning`.

        Raises
        ------
        InputError
            If the recipe or the raw files cannot be read.
        """
        recipe = _read_recipe(self.folder)
        with open_entry(self.folder / _INPUTS) as entry:
            inputs = read_inputs(entry)
        members = []
        for number, path in _member_files(self.folder):
            try:
                members.append(_read_member(path))
            except InputError as error:
                doubt(f"member {number + 1} of the run left behind is lost ({error.problem})")
        return Recovered(recipe, inputs, members)

    def discard(self) -> None:
        """Remove its files.

        Raises
        ------
        InputError
            If they cannot be removed.
        """
        _remove(self.folder)


class Keeper:
    """Keeps the finished members of a session's runs, one run at a time, until they are saved or not wanted.

    Where they cannot be kept, that is said once, and the run goes on without.

    Parameters
    ----------
    folder : Path or None
        As `default_folder`; None keeps nothing. It may be changed, for the next run.
    say : callable
        Takes a sentence for the user.

    Attributes
    ----------
    restored : Found or None
        A run of an earlier session that this one has taken over; its files go when its members are safe.
    """

    def __init__(self, folder: Path | None, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.restored: Found | None = None
        self._say = say
        self._recovery: Recovery | None = None
        self._plan: Plan | None = None

    def begin(self, plan: Plan, inputs: tuple[InputFile, ...]) -> None:
        """Drop what was kept before, and begin a run."""
        self.drop()
        self._plan = plan
        if self.folder is None:
            return
        try:
            self._recovery = Recovery.begin(self.folder, plan.to_toml(), inputs)
        except InputError as error:
            self._say(f"finished members cannot be kept on disk: {error}")

    def add(self, member: int, retrieval: Retrieval) -> None:
        """Keep a finished member."""
        self._try(lambda recovery: recovery.add(member, retrieval))

    def steered(self, changes: tuple[Change, ...]) -> None:
        """Record what the run was steered by so far."""
        if self._plan is not None:
            plan = replace(self._plan, steering=changes)
            self._try(lambda recovery: recovery.record(plan.to_toml()))

    def drop(self) -> None:
        """Remove what is kept: it is safe elsewhere, or not wanted."""
        self._try(Recovery.done)
        self._recovery = None
        if self.restored is not None:
            with contextlib.suppress(InputError):  # it is then offered again, which loses nothing
                self.restored.discard()
            self.restored = None

    def leave(self) -> None:
        """Let the next start find what is kept."""
        if self._recovery is not None:
            self._recovery.leave()
        self._recovery = self.restored = None

    def _try(self, task: Callable[[Recovery], None]) -> None:
        if self._recovery is None:
            return
        try:
            task(self._recovery)
        except InputError as error:
            self._recovery.leave()
            self._recovery = None
            self._say(f"finished members are no longer kept on disk: {error}")


def found(folder: Path) -> list[Found]:
    """Runs that were left behind in ``folder``, the latest first; those of living processes are not among them.

    Raises
    ------
    InputError
        If the folder is there and cannot be read.
    """
    try:
        runs = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=str(folder), mend="check its permissions"
        ) from error
    for run in runs:
        if run.name.startswith(_GONE):
            shutil.rmtree(run, ignore_errors=True)
    left = [_describe(run) for run in runs if run.name.startswith(_RUN) and run.is_dir() and _is_left(run)]
    return sorted(left, key=lambda one: one.when, reverse=True)


def _is_left(run: Path) -> bool:
    """True if no process holds the run and there is anything in it; an empty one is swept up in time."""
    if is_held(run / _LOCK):
        return False
    if (run / _RECIPE).exists() or _member_files(run):
        return True
    # It may be beginning at this moment, between its folder and its lock.
    with contextlib.suppress(OSError):
        if time.time() - run.stat().st_mtime > _FORSAKEN_S:
            shutil.rmtree(run, ignore_errors=True)
    return False


def _describe(run: Path) -> Found:
    files = _member_files(run)
    times = [0.0]
    for path in (run, run / _RECIPE, *(path for _, path in files)):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    when = datetime.fromtimestamp(max(times[2:] or times))
    try:
        plan = plan_from_toml(_read_recipe(run), where=str(run / _RECIPE))
        with open_entry(run / _INPUTS) as entry:
            inputs = entry["inputs"]
            name = str(inputs["pattern"].attrs["name"]) if "pattern" in inputs else short_name(plan.inputs.pattern)
    except InputError as error:
        return Found(run, when, len(files), 0, "", str(error))
    return Found(run, when, len(files), plan.ensemble.members, name)


def _member_files(run: Path) -> list[tuple[int, Path]]:
    try:
        named = [(_MEMBER.fullmatch(path.name), path) for path in run.iterdir()]
    except OSError:
        return []
    return sorted((int(match[1]), path) for match, path in named if match is not None)


def _read_recipe(run: Path) -> str:
    path = run / _RECIPE
    try:
        if path.stat().st_size > _MAX_RECIPE_BYTES:
            raise InputError("is too large for a recipe", where=str(path), mend="discard this run")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path), mend="discard this run") from error


def _write_member(file: h5py.File, retrieval: Retrieval) -> None:
    entry = new_entry(file)
    estimate = np.asarray(retrieval.estimate, np.complex64)
    box = support_box(estimate != 0) if estimate.any() else (slice(0, 1), slice(0, 1))
    # Fletcher's sum, because HDF5 itself would not notice a flipped bit.
    entry.create_dataset("estimate", data=estimate[box], chunks=True, fletcher32=True)
    entry["shape"] = np.array(estimate.shape)
    entry["origin"] = np.array([part.start for part in box])
    for name in _SCALARS:
        entry[name] = float(getattr(retrieval, name))
    for name in _HISTORIES:
        entry[name] = np.array(getattr(retrieval, name), np.float64)
    ends = entry.create_group("stage_ends")
    ends["name"] = np.array([name for name, _ in retrieval.stage_ends], h5py.string_dtype())
    ends["iteration"] = np.array([end for _, end in retrieval.stage_ends], np.int64)


def _read_member(path: Path) -> Retrieval:
    with open_entry(path) as entry:
        part = entry["estimate"][()]
        n, m = (int(side) for side in entry["shape"][()])
        y, x = (int(start) for start in entry["origin"][()])
        if part.dtype != np.complex64 or part.ndim != 2 or n != m or not 0 < n <= _LARGEST_SIDE:
            raise ValueError("its estimate is no image")
        if not (0 <= y <= n - part.shape[0] and 0 <= x <= n - part.shape[1]) or not np.isfinite(part).all():
            raise ValueError("its estimate is damaged")
        full = np.zeros((n, n), np.complex64)
        full[y : y + part.shape[0], x : x + part.shape[1]] = part
        histories = [tuple(float(r) for r in entry[name][()]) for name in _HISTORIES]
        if len(histories[0]) != len(histories[1]):
            raise ValueError("its histories differ in length")
        names, ends = entry["stage_ends/name"].asstr()[()], entry["stage_ends/iteration"][()]
        stage_ends = tuple((str(name), int(end)) for name, end in zip(names, ends, strict=True))
        scalars = {name: float(entry[name][()]) for name in _SCALARS}
    return Retrieval(
        estimate=full,
        r_history=histories[0],
        free_r_history=histories[1],
        stage_ends=stage_ends,
        **scalars,
    )


def _remove(run: Path) -> None:
    """Remove a run: at once for everyone who looks, then file by file."""
    if not run.exists():
        return
    gone = run.with_name(_GONE + secrets.token_hex(6))
    try:
        run.rename(gone)
    except OSError as error:
        raise InputError(
            f"cannot be removed ({error.strerror or error})", where=str(run), mend="remove this folder by hand"
        ) from error
    shutil.rmtree(gone, ignore_errors=True)


def _unwritable(run: Path, error: OSError) -> InputError:
    return InputError(
        f"finished members cannot be kept here ({error.strerror or error})",
        where=str(run.parent),
        mend=f"make the folder writable, or name another in the environment variable {DATA_VARIABLE}",
    )
