"""Writers of small valid files, one module a format, from the formats' layouts alone; no code of the readers.

A module offers plain functions that return bytes or write a path, and ``seeds(folder) -> list[Path]``, which writes a
few small valid files of its format: `tools/fuzz_readers.py` changes them at random and reads them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path


def _found() -> dict[str, Callable[[Path], list[Path]]]:
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    return {m.__name__.rsplit(".", 1)[-1]: m.seeds for m in modules if hasattr(m, "seeds")}


SEEDS: dict[str, Callable[[Path], list[Path]]] = _found()
"""By module: writes small valid files into a folder and returns their paths."""
