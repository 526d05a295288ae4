"""What every step of the preparation uses: its time, and the name of its file in its errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import telling
from napari_subangstrom_cdi.io.image import short_name

_SAY_AFTER_S = 1.0


@dataclass
class Clock:
    """Seconds of each step, in the order of the steps; tells a listener when one begins."""

    on_step: Callable[[str], None] = lambda name: None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; the same name adds up."""
        self.on_step(name)
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


@contextmanager
def reading(clock: Clock) -> Iterator[None]:
    """The step that reads files; where a stack takes more than a second, it says how far it has come."""
    last = time.perf_counter()

    def told(done: int, frames: int) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last > _SAY_AFTER_S:
            last = now
            clock.on_step(f"read: frame {done} of {frames}")

    with clock.step("read"), telling(told):
        yield


@contextmanager
def naming(path: str | None) -> Iterator[None]:
    """Put the file's name before an error that does not say where it is."""
    try:
        yield
    except InputError as error:
        if error.where is None and path is not None:
            raise error.at(short_name(path)) from error
        raise
