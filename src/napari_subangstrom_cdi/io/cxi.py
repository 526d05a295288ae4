"""The result file: HDF5 in the CXI 1.6 layout, complete enough to repeat the run from it alone.

CXI: F. R. N. C. Maia, Nature Methods 9, 854 (2012), doi:10.1038/nmeth.2110.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy

from napari_subangstrom_cdi.core.ensemble.metrics import RadialCurve
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.result import InputFile, Result
from napari_subangstrom_cdi.errors import InputError

from ._common import bytes_text, is_absurd, nbytes
from .atomic import atomic_hdf5, check_writable

CXI_VERSION = 160
SUFFIXES = (".cxi", ".h5", ".hdf5")
"""Of the files of results and projects."""
_DAMAGE = (OSError, ValueError, TypeError, IndexError, AttributeError, RuntimeError, OverflowError, MemoryError)
_BESIDE = "+beside."
_PACKED: Mapping[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def write_cxi(path: str | Path, result: Result) -> None:
    """Write a result atomically.

    Raises
    ------
    InputError
        If the folder is not writable or the disk is full; an older file is then left as it was.
    """
    with atomic_hdf5(path) as file:
        write_result(new_entry(file), result)


def check_output(path: str | Path, *, where: str) -> Path:
    """The path of a result to be written, before time is spent on it.

    Raises
    ------
    InputError
        If it does not end as a result's does, or nothing can be written there.
    """
    output = check_writable(path)
    if output.suffix.lower() not in SUFFIXES:
        raise InputError(f"{output.name} does not end in .cxi", where=where, mend=f"use {output.name}.cxi")
    return output


def new_entry(file: h5py.File) -> h5py.Group:
    """The first entry of a new CXI file."""
    file["cxi_version"] = CXI_VERSION
    entry = file.create_group("entry_1")
    entry["program_name"] = "napari-subangstrom-cdi"
    return entry


def write_result(entry: h5py.Group, result: Result) -> None:
    """Write a result into an empty entry."""
    _write_image(entry.create_group("image_1"), result)
    if result.potential is not None:
        potential = entry.create_group("image_2")
        potential["title"] = "projected potential from the TEM image, sigma_e V in radians"
        potential.create_dataset("data", data=result.potential, **_PACKED)
        _write_pixel(potential, result)
    if result.omit_map is not None:
        omitted = entry.create_group("image_3")
        omitted["title"] = "omit map: each sixth of the object, brought back by a run whose model left it out"
        omitted.create_dataset("data", data=result.omit_map, **_PACKED)
        _write_pixel(omitted, result)
    pattern = entry.create_group("data_1")
    pattern.create_dataset("data", data=result.pattern, **_PACKED)
    pattern.create_dataset("regions", data=result.regions, **_PACKED)
    pattern["regions"].attrs["codes"] = "0 = M (not recorded), 1 = B (background), 2 = G (signal)"
    if result.calibrated:
        pattern["reciprocal_pixel_per_angstrom"] = result.grid.q_pixel_per_angstrom
    _write_members(entry.create_group("members"), result)
    process = entry.create_group("process_1")
    write_origin(process, result.recipe, result.version)
    _write_process(process, result)
    write_inputs(entry, result.inputs)


def read_cxi(path: str | Path) -> Result:
    """Read what :func:`write_cxi` wrote, or the result in a project.

    Raises
    ------
    InputError
        If the file is missing, damaged, no result of this program, or a project without a result.
    """
    with open_entry(path) as entry:
        result = read_result(entry) if has_result(entry) else None
    if result is None:
        raise InputError(
            "is a project with no result in it yet",
            where=str(path),
            mend="run it (reconstruct --recipe takes it as it is), or give the .cxi file of a run",
        )
    return result


def has_result(entry: h5py.Group) -> bool:
    """False for a project that was saved before its first run ended."""
    return "view" not in entry or "image_1" in entry


@contextmanager
def open_entry(path: str | Path) -> Iterator[h5py.Group]:
    """The entry of a result or project, for reading; whatever is wrong with the file becomes an `InputError`."""
    where = str(path)
    if not Path(path).is_file():
        raise InputError("there is no such file", where=where, mend="check the path")
    try:
        with h5py.File(path, "r") as file:
            _check_claims(file)
            yield file["entry_1"]
    except KeyError as error:
        raise InputError(
            f"is no result of this program ({error.args[0]})", where=where, mend="give the .cxi file of a run"
        ) from error
    except _DAMAGE as error:
        raise InputError(
            f"cannot be read ({error})", where=where, mend="the file is damaged or no HDF5 file"
        ) from error


def _check_claims(file: h5py.File) -> None:
    """Refuse arrays that claim far more than the file stores for them, before memory is taken."""

    def check(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            claimed, stored = nbytes(item.shape, item.dtype), int(item.id.get_storage_size())
            if is_absurd(claimed, stored):
                raise ValueError(f"{item.name} claims {bytes_text(claimed)} and stores {bytes_text(stored)}")

    file.visititems(check)


def extract_inputs(result: Result, folder: Path) -> dict[str, Path]:
    """Write the raw files of a result into a folder; their paths by role."""
    return extract_files(result.inputs, folder)


def extract_files(inputs: tuple[InputFile, ...], folder: Path) -> dict[str, Path]:
    """Write raw files into a folder, those of each role into one of its own, under their names; their paths by role."""
    paths = {}
    for item in inputs:
        role, _, beside = item.role.partition(_BESIDE)
        target = folder / (role.strip(".") or "file") / (Path(item.name).name.strip(".") or "record")
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(item.content)
        if not beside:
            paths[role] = target
    return paths


def beside_role(role: str, number: int) -> str:
    """Under which a file is kept that the file of a role needs beside it."""
    return f"{role}{_BESIDE}{number}"


def _write_pixel(group: h5py.Group, result: Result) -> None:
    if result.calibrated:
        pixel_m = result.grid.pixel_angstrom * 1e-10
        group["x_pixel_size"], group["y_pixel_size"] = pixel_m, pixel_m
        group["image_size"] = np.array([result.grid.field_of_view_angstrom * 1e-10] * 2)


def _write_image(group: h5py.Group, result: Result) -> None:
    group["title"] = "complex object O of the exit wave 1 + iO, average of the members kept"
    group["data_space"], group["data_type"], group["is_fft_shifted"] = "real", "object", False
    group.create_dataset("data", data=result.object)
    group.create_dataset("deviation", data=result.deviation, **_PACKED)
    group.create_dataset("support", data=result.support.astype(np.uint8), **_PACKED)
    group["complete"] = result.complete
    _write_pixel(group, result)


def _write_members(group: h5py.Group, result: Result) -> None:
    group.create_dataset("data", data=result.members)
    group["origin"] = np.array(result.members_origin)
    group["kept"] = np.array(result.kept)
    group["r_factor"], group["free_r_factor"] = result.r_history, result.free_r_history


def write_origin(group: h5py.Group, recipe: str, version: str) -> None:
    """What repeats the run: command, versions, recipe."""
    group["command"] = "napari-subangstrom-cdi reconstruct"
    group["version"], group["recipe"] = version, recipe
    libraries = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
    group["libraries"] = json.dumps(libraries)


def _write_process(group: h5py.Group, result: Result) -> None:
    group["field_of_view"] = result.grid.field_of_view_angstrom
    group["field_of_view"].attrs["unit"] = "angstrom" if result.calibrated else "pixel"
    group["metrics"] = json.dumps(dict(result.metrics))
    group["stages"] = json.dumps(result.stage_ends)
    for name, curve in result.curves.items():
        group[f"curves/{name}/q_per_angstrom"] = curve.q_per_angstrom
        group[f"curves/{name}/value"] = curve.value


def write_inputs(parent: h5py.Group, inputs: tuple[InputFile, ...]) -> None:
    """Write raw files, byte for byte, into a new group ``inputs``."""
    group = parent.create_group("inputs", track_order=True)
    for k, item in enumerate(inputs):
        same = [other for other in inputs[:k] if (other.name, other.content) == (item.name, item.content)]
        if same:  # two datasets of one file: it is kept once
            group[item.role] = group[same[0].role]
            continue
        dataset = group.create_dataset(item.role, data=np.frombuffer(item.content, np.uint8))
        dataset.attrs["name"], dataset.attrs["sha256"] = item.name, item.sha256


def text_of(dataset: h5py.Dataset) -> str:
    """Text of a string dataset."""
    value = dataset[()]
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def read_result(entry: h5py.Group) -> Result:
    """The result of an entry that `open_entry` gave."""
    image, pattern, members, process = (entry[k] for k in ("image_1", "data_1", "members", "process_1"))
    obj = image["data"][()]
    curves = {
        name: RadialCurve(group["q_per_angstrom"][()], group["value"][()])
        for name, group in process.get("curves", {}).items()
    }
    return Result(
        grid=Grid(obj.shape[0], float(process["field_of_view"][()])),
        calibrated="x_pixel_size" in image,
        object=obj,
        deviation=image["deviation"][()],
        support=image["support"][()].astype(bool),
        regions=pattern["regions"][()],
        pattern=pattern["data"][()],
        members=members["data"][()],
        members_origin=(int(members["origin"][0]), int(members["origin"][1])),
        kept=tuple(bool(k) for k in members["kept"][()]),
        r_history=members["r_factor"][()],
        free_r_history=members["free_r_factor"][()],
        stage_ends=tuple((str(name), int(end)) for name, end in json.loads(text_of(process["stages"]))),
        potential=entry["image_2/data"][()] if "image_2" in entry else None,
        curves=curves,
        metrics=json.loads(text_of(process["metrics"])),
        recipe=text_of(process["recipe"]),
        version=text_of(process["version"]),
        inputs=read_inputs(entry),
        complete=bool(image["complete"][()]),
        omit_map=entry["image_3/data"][()] if "image_3" in entry else None,
    )


def read_inputs(parent: h5py.Group) -> tuple[InputFile, ...]:
    """The raw files that `write_inputs` wrote, in their order."""
    return tuple(_read_input(parent["inputs"], role) for role in parent["inputs"])


def _read_input(group: h5py.Group, role: str) -> InputFile:
    dataset = group[role]
    item = InputFile(role, str(dataset.attrs["name"]), dataset[()].tobytes())
    if item.sha256 != dataset.attrs["sha256"]:
        raise ValueError(f"the {role} record in it does not match its digest")
    return item
