"""EMD as openNCEM, Prismatic and py4DSTEM write it: https://emdatasets.com/format/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Dimension = tuple[str, str, Any]
"""Name, unit, and step or positions."""


def write_berkeley(
    path: Path,
    data: Array,
    dimensions: tuple[Dimension, ...],
    *,
    version: str = "0.2",
    group: str = "data/single",
    dataset: str = "data",
    microscope: dict[str, Any] | None = None,
    two_positions: bool = False,
) -> None:
    """Write one array with its dimensions; version 1.0 counts them from 0 and marks groups by words."""
    first = 0 if version == "1.0" else 1
    with h5py.File(path, "a") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = map(int, version.split("."))
        inner = file.create_group(group)
        inner.attrs["emd_group_type"] = "array" if version == "1.0" else 1
        inner.create_dataset(dataset, data=data)
        for k, (name, unit, step) in enumerate(dimensions):
            count = 2 if two_positions else data.shape[k]
            values = np.arange(count) * step if np.isscalar(step) else np.asarray(step)
            axis = inner.create_dataset(f"dim{k + first}", data=values)
            axis.attrs["name"], axis.attrs["units"] = np.bytes_(name), np.bytes_(unit)
        if microscope is not None:
            file.require_group("microscope").attrs.update(microscope)


MICROSCOPE = {"high tension": "200000.0", "camera length": 0.085, "defocus": "-6.5e-08", "binning": "4", "voltage": ""}


def seeds(folder: Path) -> list[Path]:
    """Small files to begin with where inputs are made at random."""
    image, cube = folder / "berkeley_image.emd", folder / "berkeley_cube.h5"
    data = np.arange(48, dtype=np.uint16).reshape(6, 8)
    write_berkeley(image, data, (("Y", "n_m", 0.012), ("X", "n_m", 0.012)), microscope=MICROSCOPE)
    axes = (("Rx", "nm", 0.1), ("Ry", "nm", 0.1), ("Qx", "A^-1", 0.05), ("Qy", "A^-1", 0.05))
    write_berkeley(
        cube, np.ones((2, 3, 6, 8), np.float32), axes, version="1.0", group="root/datacube", two_positions=True
    )
    return [image, cube]
