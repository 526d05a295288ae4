"""Open napari with the plugin, from the command line."""

from __future__ import annotations

import os
import sys
from typing import Any

from napari_subangstrom_cdi.errors import InputError

_INSTALL = 'run: pip install "napari[all]"'


def launch(project: str | None = None) -> int:
    """Open napari with the workflow docked and return when its window is closed.

    Parameters
    ----------
    project : str, optional
        A project or result to open; without one the sample's raw records are shown.

    Returns
    -------
    int
        0, for the command's exit code.

    Raises
    ------
    InputError
        If napari or Qt is not installed, or there is no display.
    """
    napari = _napari()
    _share_contexts()
    from .opening import open_workflow

    viewer = napari.Viewer(title="Sub-Å CDI")
    controller = open_workflow(viewer)
    if project is not None:
        controller.load(project)
    else:
        viewer.open_sample("napari-subangstrom-cdi", "platelet_records")
    napari.run()
    return 0


def run_window_bench(frames_per_second: float, *, json: bool) -> str:
    """The benchmark of the window as text; see :mod:`.bench_window`.

    Raises
    ------
    InputError
        If napari or Qt is not installed, or there is no display.
    """
    _napari()
    from .bench_window import format_window_bench, run_window_bench

    result = run_window_bench(frames_per_second=frames_per_second)
    return result.to_json() if json else format_window_bench(result)


def _napari() -> Any:
    """The module, if it, a Qt and a display are there."""
    try:
        import napari
        import qtpy.QtWidgets  # noqa: F401  (napari alone does not tell that every Qt is missing)
    except ImportError as error:
        raise InputError(f"the window needs napari and Qt ({error})", mend=_INSTALL) from error
    _check_display()
    return napari


def _share_contexts() -> None:
    """Let the second canvas outlive a change of windows, so that its dock can float; only before Qt starts."""
    from qtpy.QtCore import QCoreApplication, Qt

    if QCoreApplication.instance() is None:
        QCoreApplication.setAttribute(Qt.ApplicationAttribute.AA_ShareOpenGLContexts)


def _check_display() -> None:
    """Qt ends the whole process where it finds no display, so look first."""
    known = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in known):
        raise InputError(
            "there is no display to open a window on",
            mend="start it from a desktop, or use the commands reconstruct and demo, which need none",
        )
