"""HSPY as HyperSpy writes it: https://hyperspy.org/rosettasciio/file_specification/hspy_spec.html."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Axis = tuple[str, str, float, bool | None]
"""Name, unit, scale, and whether it is navigated (None: not said, as by old versions)."""


def write_hyperspy(
    path: Path,
    data: Array,
    axes: tuple[Axis, ...],
    *,
    title: str = "pattern",
    tem: dict[str, Any] | None = None,
    exposure_s: float | None = None,
    record_by: str = "",
    version: str = "3.3",
) -> None:
    """Write one signal, into a new file or beside others."""
    with h5py.File(path, "a") as file:
        file.attrs["file_format"], file.attrs["file_format_version"] = "HyperSpy", version
        group = file.create_group(f"Experiments/{title or '__unnamed__'}")
        group.create_dataset("data", data=data, compression="gzip")
        for k, (name, unit, scale, navigate) in enumerate(axes):
            axis = group.create_group(f"axis-{k}")
            axis.attrs.update({"name": name, "units": unit, "scale": scale, "offset": 0.0, "size": data.shape[k]})
            if navigate is not None:
                axis.attrs["navigate"] = navigate
        group.create_group("metadata/General").attrs["title"] = title
        group.create_group("metadata/Signal").attrs["record_by"] = record_by
        if tem is not None:
            group.create_group("metadata/Acquisition_instrument/TEM").attrs.update(tem)
            if exposure_s is not None:
                group.create_group("metadata/Acquisition_instrument/TEM/Detector/Camera").attrs["exposure"] = exposure_s


def seeds(folder: Path) -> list[Path]:
    """Small files to begin with where inputs are made at random."""
    flat, stack = folder / "hyperspy_flat.hspy", folder / "hyperspy_stack.hspy"
    data = np.arange(48, dtype=np.uint16).reshape(6, 8)
    axes: tuple[Axis, ...] = (("ky", "$A^{-1}$", 0.02, False), ("kx", "$A^{-1}$", 0.02, False))
    write_hyperspy(flat, data, axes, tem={"beam_energy": 200.0, "camera_length": 320.0}, exposure_s=0.5)
    write_hyperspy(stack, np.stack([data] * 3), (("z", "", 1.0, True), *axes))
    return [flat, stack]
