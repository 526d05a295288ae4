"""A record set in a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mrcfile
import numpy as np
import tifffile

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import check_writable
from napari_subangstrom_cdi.io.atomic import atomic_path

from .records import TRUTH_GRID, RecordSet, acquisition_of, answer_of

RECORD_FILES = {"pattern": "particle.tif", "background": "background.tif", "image": "image.mrc"}
MASK_FILE = "mask.tif"
_TRUTH_KEPT = 512


def check_folder(folder: Path) -> None:
    """Whether a record set could be written there, before time is spent on it; nothing is made.

    Raises
    ------
    InputError
        If it could not.
    """
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError("nothing can be written there", where=str(folder), mend="give another folder")


def write_records(records: RecordSet, folder: Path) -> None:
    """Write a record set into a folder: every file whole or not at all.

    Raises
    ------
    InputError
        If the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(error.strerror or str(error), where=str(folder), mend="give another folder") from error
    check_writable(folder / "truth.npz")
    for role, record in (("pattern", records.pattern), ("background", records.background)):
        with atomic_path(folder / RECORD_FILES[role]) as path:
            tifffile.imwrite(path, record, compression="zlib")
    if records.mask is not None:
        with atomic_path(folder / MASK_FILE) as path:
            tifffile.imwrite(path, records.mask.astype(np.uint8), compression="zlib")
    with atomic_path(folder / RECORD_FILES["image"]) as path, mrcfile.new(path, overwrite=True) as file:
        file.set_data(records.image)
        file.voxel_size = records.settings.microscope.image_pixel_angstrom
    for name, values in (("acquisition.json", acquisition_of(records)), ("answer.json", answer_of(records))):
        with atomic_path(folder / name) as path:
            path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    edge = (TRUTH_GRID.n - _TRUTH_KEPT) // 2
    middle = slice(edge, edge + _TRUTH_KEPT)
    with atomic_path(folder / "truth.npz") as path, path.open("wb") as stream:
        np.savez_compressed(stream, object=records.truth[middle, middle], pixel_A=TRUTH_GRID.pixel_angstrom)
    with atomic_path(folder / "model.npz") as path, path.open("wb") as stream:
        positions = records.atoms.positions_angstrom.astype(np.float32)
        np.savez_compressed(stream, numbers=records.atoms.numbers, positions_A=positions)
    with atomic_path(folder / "simulation.toml") as path:
        path.write_text(records.settings.to_toml(), encoding="utf-8")
