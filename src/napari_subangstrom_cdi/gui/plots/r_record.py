"""R-factors of an ensemble as they come in: plain arrays for the live plot and for its export."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike

from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.io.atomic import atomic_path


@dataclass(frozen=True)
class Mark:
    """Something the user changed during the run; members count from 0, iterations from 1."""

    member: int
    iteration: int
    text: str


class RRecord:
    """R, free R and image agreement of members (rows, from 0) at iterations (columns, iteration 1 first).

    The last column is always NaN, so that the flattened arrays can be drawn as one curve with breaks.
    """

    def __init__(self, stages: Sequence[tuple[str, int]] = (), members: int = 0) -> None:
        self.stages = tuple((str(name), int(iterations)) for name, iterations in stages)
        self.members = members
        self.marks: list[Mark] = []
        self.current = 0
        shape = (0, sum(iterations for _, iterations in self.stages) + 1)
        self.r, self.free_r, self.agreement = (np.full(shape, np.nan) for _ in range(3))

    @property
    def iterations(self) -> int:
        """Iterations there is room for."""
        return self.r.shape[1] - 1

    @property
    def rows(self) -> int:
        """Members of which something is known."""
        return self.r.shape[0]

    def append(self, member: int, first_iteration: int, r: Sequence[float], free_r: Sequence[float]) -> None:
        """Take new values of a member, which becomes the current one."""
        if len(r) != len(free_r) or first_iteration < 1:
            raise ValueError(f"{len(r)} values of R but {len(free_r)} of free R, from iteration {first_iteration}")
        if not len(r):
            return
        self._make_room(member, first_iteration + len(r) - 1)
        columns = slice(first_iteration - 1, first_iteration - 1 + len(r))
        self.r[member, columns] = r
        self.free_r[member, columns] = free_r
        self.current = member

    def add_agreement(self, member: int, iteration: int, value: float) -> None:
        """Take a member's agreement with the image at one iteration."""
        self._make_room(member, iteration)
        self.agreement[member, iteration - 1] = value

    def add_mark(self, mark: Mark) -> None:
        """Take a mark; it may come before its iteration does."""
        self._make_room(mark.member, mark.iteration)
        self.marks.append(mark)

    def last_iteration(self, member: int) -> int:
        """The last iteration of a member with an R, 0 if there is none."""
        if not 0 <= member < self.rows:
            return 0
        known = np.flatnonzero(np.isfinite(self.r[member]))
        return int(known[-1]) + 1 if known.size else 0

    def stage_of(self, iteration: int) -> tuple[str, int, int]:
        """Name of the stage of an iteration, the iteration within it, and its length."""
        first = 0
        for name, length in self.stages:
            if iteration <= first + length:
                return name, iteration - first, length
            first += length
        return "", iteration - first, 0

    def nearest_member(self, iteration: int, log_r: float) -> int | None:
        """The member whose R (or free R) at an iteration is nearest to 10 ** ``log_r``."""
        if not 1 <= iteration <= self.iterations or not self.rows:
            return None
        values = log10(np.stack([self.r[:, iteration - 1], self.free_r[:, iteration - 1]]))
        away = np.abs(values - log_r)
        return None if np.isnan(away).all() else int(np.nanargmin(away)) % self.rows

    def log_range(self) -> tuple[float, float]:
        """Decades to show: in thirds below, tenths above, from 10 % or less to 100 % or more."""
        low, high = -1.0, 0.0
        for values in (self.r, self.free_r[self.current : self.current + 1]):
            positive = values[np.isfinite(values) & (values > 0)]
            if positive.size:
                low = min(low, math.floor(3 * math.log10(positive.min()) - 0.05) / 3)
                high = max(high, math.ceil(10 * math.log10(positive.max())) / 10)
        return low, high

    def write_csv(self, path: str | PathLike[str]) -> None:
        """Write one row an iteration and member, whole or not at all; members count from 1 as on the screen.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        marks: dict[tuple[int, int], list[str]] = {}
        for mark in self.marks:
            marks.setdefault((mark.member, mark.iteration), []).append(mark.text)
        known = np.isfinite(self.r) | np.isfinite(self.free_r) | np.isfinite(self.agreement)
        for member, iteration in marks:
            known[member, iteration - 1] = True
        with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["member", "iteration", "stage", "r", "free_r", "image_agreement", "mark"])
            for member, column in np.argwhere(known).tolist():
                values = (table[member, column] for table in (self.r, self.free_r, self.agreement))
                row = [_as_text(value) for value in values]
                text = "; ".join(marks.get((member, column + 1), ()))
                writer.writerow([member + 1, column + 1, self.stage_of(column + 1)[0], *row, text])

    def _make_room(self, member: int, iteration: int) -> None:
        if member < 0 or iteration < 1:
            raise ValueError(f"member {member}, iteration {iteration}")
        extra = (max(0, member + 1 - self.rows), max(0, iteration - self.iterations))
        if any(extra):
            self.r, self.free_r, self.agreement = (
                np.pad(table, ((0, extra[0]), (0, extra[1])), constant_values=np.nan)
                for table in (self.r, self.free_r, self.agreement)
            )


def history_record(r_history: ArrayLike, free_r_history: ArrayLike, stages: Sequence[tuple[str, int]]) -> RRecord:
    """The record of a finished run, from arrays of shape (members, iterations)."""
    r, free_r = (np.atleast_2d(np.asarray(table, float)) for table in (r_history, free_r_history))
    if r.ndim != 2 or r.shape != free_r.shape:
        raise ValueError(f"histories of shapes {r.shape} and {free_r.shape}")
    record = RRecord(stages, len(r))
    if not r.size:
        return record
    record._make_room(len(r) - 1, r.shape[1])
    record.r[:, : r.shape[1]] = r
    record.free_r[:, : r.shape[1]] = free_r
    return record


def log10(values: ArrayLike) -> Float64:
    """Decadic logarithm, NaN for what has none."""
    values = np.asarray(values, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isfinite(values) & (values > 0), np.log10(values), np.nan)


def _as_text(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else ""


def joined(rows: Float64) -> Float64:
    """Values of some iterations of each row, with those between them by straight lines: a curve without breaks."""
    filled = np.full_like(rows, np.nan)
    for values, line in zip(rows, filled, strict=True):
        known = np.flatnonzero(np.isfinite(values))
        if known.size:
            between = np.arange(known[0], known[-1] + 1)
            line[between] = np.interp(between, known, values[known])
    return filled
