"""Who listens to a job: a bar on the terminal with step, member, stage, R-factor, time left; or a function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from tqdm import tqdm

from napari_subangstrom_cdi.core.phasing.retrieval import Snapshot

from .pipeline import Listener, Silent

Watcher = Callable[[int, Snapshot], object]
"""Called with the member and a snapshot that carries the estimate, after every iteration."""


class Bar(Silent):
    """A listener that prints the names of steps and draws a bar of iterations, both to stderr.

    Parameters
    ----------
    quiet : bool
        Print nothing.
    averaging : callable
        Called when the phase retrieval is over and its members are averaged.
    """

    def __init__(self, *, quiet: bool = False, averaging: Callable[[], None] = lambda: None) -> None:
        self._averaging = averaging
        self._quiet = quiet
        self._bar: tqdm[None] | None = None
        self._members = 0
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def step(self, name: str) -> None:
        """Print its name."""
        if name == "average":
            self._averaging()
            self._close()
        if not self._quiet and name not in ("phase retrieval", self._said):
            print(f"  {name} ...", file=sys.stderr)
        self._said = name

    def started(self, members: int, iterations: int) -> None:
        """Begin the bar."""
        self._members = members
        total = members * iterations
        often = 0.2 if sys.stderr.isatty() else 5.0  # a log is read line by line
        self._bar = tqdm(
            total=total, unit="it", disable=self._quiet, mininterval=often, file=sys.stderr, dynamic_ncols=True
        )

    def iteration(self, member: int, snapshot: Snapshot) -> None:
        """Move the bar."""
        if self._bar is None or self._quiet:
            return
        self._bar.update(1)
        if snapshot.iteration % 10 == 0:
            self._bar.set_description_str(
                f"member {member + 1}/{self._members} {snapshot.stage:<8} R {100 * snapshot.r_factor:5.1f} %",
                refresh=False,
            )

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Watched(Silent):
    """A listener that hands every iteration to a function.

    Parameters
    ----------
    watcher : callable
        ``watcher(member, snapshot)``; the snapshot carries the estimate. It may raise :class:`.pipeline.Stop`.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def wants_estimate(self, member: int, iteration: int) -> bool:
        """Yes."""
        return True

    def iteration(self, member: int, snapshot: Snapshot) -> None:
        """Hand it on."""
        self._watcher(member, snapshot)


@contextmanager
def listening(progress: bool | Listener | Watcher) -> Iterator[Listener]:
    """The listener that is meant: a bar for True, none for False, a listener itself, or a function that watches."""
    if isinstance(progress, bool):
        with Bar(quiet=not progress) as bar:
            yield bar
    elif isinstance(progress, Listener):
        yield progress
    else:
        yield Watched(progress)
