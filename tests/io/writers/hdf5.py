"""HDF5 of no dialect, and what is strange in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def write_hdf5(path: Path, arrays: dict[str, Any], **options: Any) -> None:
    """Write arrays and links by their paths."""
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            if isinstance(value, np.ndarray) and value.ndim:
                file.create_dataset(name, data=value, **options)
            else:
                file[name] = value


def write_loops(path: Path, data: Array) -> None:
    """Links that go round, of every kind, beside one image."""
    with h5py.File(path, "w") as file:
        group = file.create_group("a/b")
        group["frame"] = data
        group["up"] = h5py.SoftLink("/a")
        group["hard"] = file["a"]
        group["itself"] = h5py.SoftLink("/a/b/itself")
        group["ping"], group["pong"] = h5py.SoftLink("/a/b/pong"), h5py.SoftLink("/a/b/ping")
        group["whole"] = h5py.ExternalLink(path.name, "/")


def write_strange(path: Path, data: Array) -> None:
    """References, compounds, text of any length and large attributes beside one image."""
    with h5py.File(path, "w") as file:
        image = file.create_dataset("image", data=data, chunks=(2, 2), shuffle=True, compression="gzip")
        image.attrs["long"] = np.zeros(8000)
        image.attrs["units"] = h5py.Empty("f4")
        file["references"] = np.array([[image.ref, file.ref]], dtype=h5py.ref_dtype)
        file["regions"] = np.array([[image.regionref[:2, :2]]], dtype=h5py.regionref_dtype)
        file["compound"] = np.zeros((4, 4), dtype=[("x", "f4"), ("y", "u2", (3,))])
        file["words"] = np.array([["a", "bc"]], dtype=h5py.string_dtype())
        file["ragged"] = np.array([[np.arange(3), np.arange(2)]], dtype=object).astype(h5py.vlen_dtype(np.int32))
        file["empty"] = h5py.Empty("u2")
        file["opaque"] = np.zeros((3, 3), dtype="V5")
        file["type"] = np.dtype("f8")
        file["time"] = np.array([["2020-01-01"]], dtype="datetime64[s]").astype(h5py.opaque_dtype("datetime64[s]"))


def seeds(folder: Path) -> list[Path]:
    """Small files to begin with where inputs are made at random."""
    data = np.arange(48, dtype=np.uint16).reshape(6, 8)
    plain, strange, loops = (folder / f"hdf5_{name}.h5" for name in ("plain", "strange", "loops"))
    write_hdf5(plain, {"entry/data": data, "entry/mask": data % 7 == 0, "gain": data})
    write_strange(strange, data)
    write_loops(loops, data)
    return [plain, strange, loops]
