"""NPY and NPZ, by NumPy itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np


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
    return [*paths, folder / "one.npz", folder / "two.npz"]
