"""NPY and NPZ, by NumPy itself."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def seeds(folder: Path) -> list[Path]:
    """Images of both byte orders and axis orders, a stack, archives of one and of two arrays."""
    data = np.arange(5 * 7, dtype="<u2").reshape(5, 7)
    arrays = {
        "image": data,
        "swapped": data.astype(">f4"),
        "fortran": np.asfortranarray(data),
        "stack": np.stack([data] * 3),
    }
    paths = [folder / f"{name}.npy" for name in arrays]
    for path, array in zip(paths, arrays.values(), strict=True):
        np.save(path, array)
    np.savez_compressed(folder / "one.npz", counts=data)
    np.savez(folder / "two.npz", counts=data, mask=data > 3)
    prz = folder / "pantarhei.prz"
    prz.write_bytes(prz_bytes(data))
    return [*paths, folder / "one.npz", folder / "two.npz", prz]


def prz_bytes(data: NDArray[Any], *, unit: str = "m", **said: Any) -> bytes:
    """PRZ of Panta Rhei, version 7; the pixel is 1e-10 (x) and 2e-10 (y) of the unit."""
    axes = [{"name": "Length", "value": v, "unit": unit, "offset": 0.0, "pixel_factor": 10.0} for v in (1e-11, 2e-11)]
    text = json.dumps([{"type": "2D", "electron_gun.voltage": 200000, "device.calib": axes} | said])
    stream = io.BytesIO()
    np.savez(stream, data=data, meta_data_json=text, file_format_version=7)
    return stream.getvalue()
