"""CXI as other programs write it: https://www.cxidb.org/cxi.html, version 1.6; all in SI units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def write_cxi_pattern(
    path: Path,
    data: Array,
    *,
    mask: Array | None = None,
    mask_at: str = "data_1/mask",
    energy_joule: float = 3.204353e-14,
) -> None:
    """Write a pattern, behind a link from data_1 to its detector as the layout wants it."""
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        entry = file.create_group("entry_1")
        detector = entry.create_group("instrument_1/detector_1")
        detector["data"] = data
        detector["x_pixel_size"] = detector["y_pixel_size"] = 75e-6
        detector["distance"] = 0.7
        entry["instrument_1/source_1/energy"] = energy_joule
        entry.create_group("data_1")["data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        if mask is not None:
            entry[mask_at] = mask


def write_cxi_images(path: Path, *images: Array, size_m: Any = None, title: str = "object") -> None:
    """Write image_1, image_2, ... with what the layout says of their size, x before y."""
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 150
        for k, data in enumerate(images, 1):
            group = file.create_group(f"entry_1/image_{k}")
            group["data"] = data
            group["title"] = f"{title} {k}"
            if size_m is not None:
                group["image_size"] = size_m


def seeds(folder: Path) -> list[Path]:
    """Small files to begin with where inputs are made at random."""
    data = np.arange(48, dtype=np.uint16).reshape(6, 8)
    pattern, images = folder / "cxi_pattern.cxi", folder / "cxi_images.cxi"
    write_cxi_pattern(pattern, data[None], mask=np.zeros((6, 8), np.uint16))
    write_cxi_images(images, data.astype(np.float32), data.astype(np.complex64), size_m=[8e-10, 6e-10])
    return [pattern, images]
