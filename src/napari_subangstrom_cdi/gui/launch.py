"""Open napari with the bundled sample."""

from __future__ import annotations

import os
import sys

from napari_subangstrom_cdi.errors import InputError

_INSTALL = 'run: pip install "napari[all]"'


def launch() -> int:
    """Open napari with the sample's three raw records and return when its window is closed.

    Returns
    -------
    int
        0, for the command's exit code.

    Raises
    ------
    InputError
        If napari or Qt is not installed, or there is no display.
    """
    try:
        import napari
        import qtpy.QtWidgets  # noqa: F401  (napari alone does not tell that every Qt is missing)
    except ImportError as error:
        raise InputError(f"the window needs napari and Qt ({error})", mend=_INSTALL) from error
    _check_display()
    viewer = napari.Viewer(title="Sub-Å CDI")
    viewer.open_sample("napari-subangstrom-cdi", "platelet_records")
    napari.run()
    return 0


def _check_display() -> None:
    """Qt ends the whole process where it finds no display, so look first."""
    known = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in known):
        raise InputError(
            "there is no display to open a window on",
            mend="start it from a desktop, or use the commands reconstruct and demo, which need none",
        )
