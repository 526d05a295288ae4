"""A fault of the Qt binding that no program can mend: told of once, when the window starts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from platform import python_version

import qtpy
from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer

_CALLS = 100


@cache
def warn_of_binding(call: Callable[[], object] | None = None) -> None:
    """Warn, the first time only, if the binding is one that ends the program sooner or later.

    Parameters
    ----------
    call : callable, optional
        What is tried; without it, something of Qt that changes nothing.
    """
    if loses_none(call or QTimer().stop):
        show_warning(text_of_warning())


def loses_none(call: Callable[[], object]) -> bool:
    """Whether calls that return nothing take references of ``None`` away, which end the program when none is left.

    PySide6 6.12.0 with Python 3.11 loses one at each call of Qt that returns nothing, in napari's own window as well:
    some thousands at a change of theme. Python 3.12 and newer do not count them. It is tried, not looked up: releases
    that are not out yet may have it, or have it no more.

    Parameters
    ----------
    call : callable
        Called a hundred times.
    """
    before = sys.getrefcount(None)
    for _ in range(_CALLS):
        call()
    return before - sys.getrefcount(None) > _CALLS // 2  # other threads may come and go meanwhile


def text_of_warning() -> str:
    """What is the matter and what mends it, in one sentence."""
    return (
        f"{qtpy.API_NAME} {qtpy.QT_VERSION} with Python {python_version()} ends napari sooner or later, without notice"
        ' (“deallocating None”). Save often, and use Python 3.12 or newer, or run: pip install "pyside6<6.12"'
    )
