"""What is told of a Qt binding that loses references of None."""

from __future__ import annotations

import ctypes
import sys

import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QTimer

from napari_subangstrom_cdi.gui.window.binding import loses_none, text_of_warning, warn_of_binding

COUNTED = sys.version_info < (3, 12)  # later Pythons do not count references of None
PLENTY = 10_000


@pytest.fixture
def losing():
    """A call that takes a reference of None away, as PySide6 6.12.0 does; they are given back."""
    give, take = ctypes.pythonapi.Py_IncRef, ctypes.pythonapi.Py_DecRef
    give.argtypes = take.argtypes = [ctypes.py_object]
    give.restype = take.restype = None
    calls = []

    def call() -> None:
        take(None)
        calls.append(1)

    yield call
    for _ in calls:
        give(None)


@pytest.fixture
def warnings_told():
    told = []
    notification_manager.notification_ready.connect(told.append)
    yield lambda: [one.message for one in told if one.message == text_of_warning()]
    notification_manager.notification_ready.disconnect(told.append)


def test_a_binding_that_loses_references_is_told_of_once(losing, warnings_told):
    assert loses_none(losing) is COUNTED
    for _ in range(3):
        warn_of_binding(losing)
    assert len(warnings_told()) == (1 if COUNTED else 0)


def test_the_binding_of_this_run_loses_none_and_nothing_is_told(warnings_told, qapp):
    before = sys.getrefcount(None)
    timer = QTimer()
    for _ in range(PLENTY):
        timer.stop()
    assert before - sys.getrefcount(None) < PLENTY // 10
    warn_of_binding.cache_clear()
    warn_of_binding()
    assert warnings_told() == []
