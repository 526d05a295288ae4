"""Sessions with the small case's records, for tests with and without a window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_subangstrom_cdi.io import read_acquisition
from napari_subangstrom_cdi.session.session import Session, State, Step

PATIENCE_S = 300.0


def job(case: Path, **options: Any) -> Session:
    """A session with the case's files as inputs, and nothing done yet."""
    session = Session(**options)
    for role, name in (("pattern", "particle.tif"), ("background", "background.tif"), ("image", "image.mrc")):
        session.set_input(role, case / name)
    session.set_plan(replace(session.plan, acquisition=read_acquisition(case / "acquisition.json")))
    return session


def advance(session: Session, step: Step) -> Session:
    """The session after a step and those before it."""
    session.start(step)
    assert session.wait(PATIENCE_S)
    assert session.state(step) is State.DONE, f"{session.errors}\n{session.traceback}"
    return session
