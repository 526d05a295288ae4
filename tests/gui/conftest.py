"""What the tests of the window share: a small case of the sample, a viewer, and a controller that is closed again."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_subangstrom_cdi.core.phasing.schedule import Stage

from ..hands import take_over
from ..jobs import advance, job

THREAD = "subangstrom-cdi"
_PATIENCE_MS = 300_000
_FEW_WINDOWS = 4
_SHORT_SCHEDULE = (
    Stage("with image", 20, "hio", ("image", "real", "support")),
    Stage("refine", 40, "hio", ("real", "support")),
)


_left_out: list[str] = []


@pytest.fixture(autouse=True)
def cheap_collections(request: pytest.FixtureRequest) -> Iterator[None]:
    """What is imported is left out of garbage collections; napari does a whole one for each layer that goes.

    So is what the first windows leave for the next ones: patterns, keymaps, shaders, plugins.
    """
    import napari.layers
    import napari.qt  # noqa: F401

    if len(_left_out) < _FEW_WINDOWS and "make_napari_viewer" in request.fixturenames:
        _left_out.append(request.node.nodeid)
        gc.collect()
        gc.freeze()
    yield


@pytest.fixture
def make_napari_viewer(make_napari_viewer: Callable[..., Any]) -> Callable[..., Any]:
    """napari's, whose docks are in their place at once: each picture of their animation paints both canvases."""

    def make(*arguments: Any, **options: Any) -> Any:
        viewer = make_napari_viewer(*arguments, **options)
        viewer.window._qt_window.setAnimated(False)
        return viewer

    return make


@pytest.fixture
def qtbot(qtbot: Any) -> Any:
    """pytest-qt's, but it waits as long as a busy machine may need: how fast something is, is for the benchmarks."""
    wait_until = qtbot.waitUntil
    qtbot.waitUntil = lambda condition: wait_until(condition, timeout=_PATIENCE_MS)
    return qtbot


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recovery files never touch those of the user."""
    folder = tmp_path / "user-data"
    monkeypatch.setenv("NAPARI_SUBANGSTROM_CDI_DATA", str(folder))
    return folder


@pytest.fixture(autouse=True)
def usual_preferences() -> Iterator[None]:
    """napari keeps a plugin's preferences in a file of the user's: none of a test stays there, or comes from there."""
    from napari.settings import get_plugin_settings

    kept = get_plugin_settings("napari-subangstrom-cdi").window
    before, usual = kept.model_dump(), type(kept)().model_dump()
    for name, value in usual.items():
        setattr(kept, name, value)
    yield
    for name, value in before.items():
        setattr(kept, name, value)


@pytest.fixture(autouse=True)
def no_thread_left(own_data_folder: Path) -> Iterator[None]:
    """A test whose thread goes on after it fails."""
    yield
    left = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD)]
    for thread in left:
        thread.join(60)
    assert not left, f"left running: {left}"


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Any:
    """A napari window of 1280 x 800."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    return viewer


@pytest.fixture
def controller(viewer: Any) -> Iterator[Any]:
    """The viewer's controller with no input chosen, closed at the end."""
    from napari_subangstrom_cdi.gui.window.controller import Controller

    controller = Controller.of(viewer)
    yield controller
    controller.close()
    # pytest holds what a fixture gave until after napari has looked for canvases that were not let go.
    let_go(controller.reciprocal)


def let_go(view: Any) -> None:
    """Delete the second canvas now, not at the next turn of the event loop."""
    from qtpy.QtCore import QCoreApplication, QEvent

    with suppress(RuntimeError):  # Qt may have taken it with its window
        view.deleteLater()
        QCoreApplication.sendPostedEvents(view, QEvent.Type.DeferredDelete.value)
        del view.qt_viewer


@pytest.fixture
def with_inputs(controller: Any, small_case: Path) -> Any:
    """The controller with the small case's files as inputs, and nothing done yet."""
    from napari_subangstrom_cdi.io import read_acquisition

    for role, name in (("pattern", "particle.tif"), ("background", "background.tif"), ("image", "image.mrc")):
        controller.set_input(role, small_case / name)
    plan = controller.session.plan
    controller.session.set_plan(replace(plan, acquisition=read_acquisition(small_case / "acquisition.json")))
    controller.poll()
    return controller


@pytest.fixture
def short_run(with_inputs: Any) -> Any:
    """The same with a schedule of 60 iterations and two members."""
    with_inputs.change("retrieval", schedule=_SHORT_SCHEDULE)
    with_inputs.change("ensemble", members=2)
    return with_inputs


@pytest.fixture(scope="session")
def prepared_job(small_case: Path) -> Iterator[Any]:
    """A session that has done every step but the run, with the settings of ``short_run``."""
    from napari_subangstrom_cdi.session.session import Step

    session = advance(job(small_case), Step.MASKS)
    session.change("retrieval", schedule=_SHORT_SCHEDULE)
    session.change("ensemble", members=2)
    yield session
    session.close()


@pytest.fixture
def ready_run(controller: Any, prepared_job: Any) -> Any:
    """``short_run`` with every step but the run done: saves a test that time.

    Without the layers that those steps show, as if the user had deleted them: making them takes longer than all else.
    """
    from napari_subangstrom_cdi.session.session import Step

    take_over(controller, prepared_job, Step.DATA, Step.BACKGROUND, Step.ALIGN, Step.MASKS, shown=())
    return controller


@pytest.fixture
def do(qtbot: Any) -> Callable[..., None]:
    """``do(controller, step)`` does a step, and those before it, and returns when it is done.

    Fails with the session's own words if it is not.
    """
    from napari_subangstrom_cdi.session.session import State

    def run(controller: Any, step: Any) -> None:
        controller.run(step)
        qtbot.waitUntil(lambda: not controller.session.busy)
        controller.poll()
        session = controller.session
        assert session.state(step) is State.DONE, f"{session.errors}\n{session.traceback}"
        qtbot.waitUntil(lambda: not controller.real.is_making)

    return run


@pytest.fixture
def picture() -> Callable[[Any, str], None]:
    """``picture(widget, name)`` saves a widget as PNG in the folder named by SUBANGSTROM_PICTURES, if there is one."""

    def save(widget: Any, name: str) -> None:
        folder = os.environ.get("SUBANGSTROM_PICTURES")
        if folder:
            widget.grab().save(str(Path(folder) / f"{name}.png"))

    return save
