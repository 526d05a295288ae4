"""NeXus, and a Dectris master with its data files: https://manual.nexusformat.org/, DECTRIS SIMPLON API 1.8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def nexus_group(file: h5py.Group, path: str, kind: str, **attributes: Any) -> h5py.Group:
    """A group that says what it is."""
    group = file.require_group(path)
    group.attrs["NX_class"] = np.bytes_(kind)
    group.attrs.update(attributes)
    return group


def put(group: h5py.Group, name: str, value: Any, units: str = "") -> None:
    """A field with its unit."""
    group[name] = value
    if units:
        group[name].attrs["units"] = np.bytes_(units)


def write_master(
    path: Path,
    files: list[Array],
    *,
    signal: str = "data_000001",
    old: bool = False,
    mask: Array | None = None,
    bits: int | None = 32,
    photon_energy: float = 300e3,
    distance: float = 0.7,
) -> list[Path]:
    """Write a master and a data file for each stack; an old one states no `default` and no signal."""
    stem = path.name.removesuffix("_master.h5")
    parts = []
    with h5py.File(path, "w") as file:
        if not old:
            file.attrs["default"] = np.bytes_("entry")
        entry = nexus_group(file, "entry", "NXentry", **({} if old else {"default": np.bytes_("data")}))
        data = nexus_group(entry, "data", "NXdata", **({} if old else {"signal": np.bytes_(signal)}))
        for k, stack in enumerate(files, 1):
            part = path.with_name(f"{stem}_data_{k:06d}.h5")
            with h5py.File(part, "w") as other:
                other.create_dataset("entry/data/data", data=stack, chunks=(1, *stack.shape[1:]), compression="gzip")
            data[f"data_{k:06d}"] = h5py.ExternalLink(part.name, "/entry/data/data")
            parts.append(part)
        detector = nexus_group(entry, "instrument/detector", "NXdetector")
        nexus_group(entry, "instrument", "NXinstrument")
        put(detector, "x_pixel_size", 1e-4, "m")
        put(detector, "y_pixel_size", 1e-4, "m")
        put(detector, "detector_distance", distance, "m")
        put(detector, "count_time", 0.002, "s")
        detector["saturation_value"] = 8352
        if bits is not None:
            detector["bit_depth_image"] = np.uint16(bits)
        specific = nexus_group(detector, "detectorSpecific", "NXcollection")
        put(specific, "photon_energy", photon_energy, "eV")
        specific["flatfield"] = np.ones(files[0].shape[1:], np.float32)
        if mask is not None:
            specific["pixel_mask"] = mask
        detector["distance"] = h5py.SoftLink("/entry/instrument/detector/detector_distance")
    return parts


def write_nexus(path: Path, data: Array, axes: dict[str, tuple[Array, str]], *, probe: str = "electron") -> None:
    """Write one NXdata whose signal is `counts`, with its axes in order."""
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "scan"
        entry = nexus_group(file, "scan", "NXentry", default="pattern")
        group = nexus_group(entry, "pattern", "NXdata", signal="counts", axes=list(axes))
        group["counts"] = data
        for name, (positions, units) in axes.items():
            put(group, name, positions, units)
        nexus_group(entry, "instrument", "NXinstrument")
        source = nexus_group(entry, "instrument/source", "NXsource")
        source["probe"] = probe
        beam = nexus_group(entry, "instrument/beam", "NXbeam")
        put(beam, "incident_wavelength", 0.0250793, "angstrom")


def seeds(folder: Path) -> list[Path]:
    """Small files to begin with where inputs are made at random."""
    data = np.arange(2 * 6 * 8, dtype=np.uint32).reshape(2, 6, 8)
    master, plain = folder / "nexus_master.h5", folder / "nexus_axes.nxs"
    parts = write_master(master, [data, data], mask=np.zeros((6, 8), np.uint32))
    write_nexus(plain, data[0], {"ky": (np.arange(6) * 0.2, "1/nm"), "kx": (np.arange(8) * 0.2, "1/nm")})
    return [master, plain, parts[0]]
