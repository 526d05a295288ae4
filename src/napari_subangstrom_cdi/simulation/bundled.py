"""The bundled sample: records of one simulated CdS platelet, as files."""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from napari_subangstrom_cdi.errors import InputError

from .files import RECORD_FILES


@cache
def sample_folder() -> Path:
    """The folder of the bundled sample; out of a packed package it is unpacked until the program ends."""
    keeper = ExitStack()
    atexit.register(keeper.close)
    return keeper.enter_context(as_file(files("napari_subangstrom_cdi") / "simulation" / "sample"))


def sample_records(folder: Path | str | None = None) -> dict[str, Path]:
    """The files of a record set, by what they are called when a reconstruction is asked for.

    Parameters
    ----------
    folder : path-like, optional
        Folder as :func:`.files.write_records` writes it; the bundled sample by default.

    Returns
    -------
    dict of str to Path
        ``pattern``, ``background``, ``image`` and ``acquisition``.

    Raises
    ------
    InputError
        If one of them is not there.
    """
    where = sample_folder() if folder is None else Path(folder).expanduser()
    paths = {role: where / name for role, name in (*RECORD_FILES.items(), ("acquisition", "acquisition.json"))}
    for role, path in paths.items():
        if not path.is_file():
            raise InputError(f"there is no {path.name}, the {role}", where=str(where), mend="give another folder")
    return paths
