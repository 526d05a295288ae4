"""Tests in tests/gui open a window: marked ``gui``, and skipped, saying why, where none can be opened."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

_GUI = Path(__file__).parent / "gui"


def _why_no_window() -> str | None:
    if find_spec("napari") is None or find_spec("pytestqt") is None:
        return "napari or pytest-qt is not installed"
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        return "no display: run `make test`, or under xvfb-run"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = _why_no_window()
    for item in items:
        if _GUI in item.path.parents:
            item.add_marker(pytest.mark.gui)
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))
