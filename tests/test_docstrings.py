"""The examples in docstrings do what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import napari_subangstrom_cdi

_PACKAGE = Path(napari_subangstrom_cdi.__file__).parent
_WITH_EXAMPLES = sorted(
    ".".join([_PACKAGE.name, *path.relative_to(_PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
    for path in _PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def test_there_are_examples_and_none_needs_a_window():
    assert len(_WITH_EXAMPLES) >= 5
    assert not [name for name in _WITH_EXAMPLES if name.startswith(f"{_PACKAGE.name}.gui")]


@pytest.mark.parametrize("name", _WITH_EXAMPLES)
def test_examples_of_a_module_hold(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0
