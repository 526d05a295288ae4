"""Reconstructions (CXI) and records of microscopes as layers with scale and unit; other programs' files are left alone.

napari draws no complex image, so one is opened as amplitude, phase and real part.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from os import PathLike, fspath
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError, collected_doubts, doubt
from napari_subangstrom_cdi.io import FORMATS, split_address
from napari_subangstrom_cdi.io._common import is_absurd

from .records import LayerData, is_record, read_records

Path = str | PathLike[str]

UNITS = ("Å", "pixel", "1 / angstrom")
"""Units of saved layers, as napari writes them."""

LEFT_TO_NAPARI = frozenset((".tif", ".tiff", ".npy", ".npz"))
"""Suffixes that napari's own reader shows; the rows of the Data dock take such files as well."""

_SUFFIXES = {suffix for known in FORMATS for suffix in known.suffixes} - LEFT_TO_NAPARI
_ALONE = frozenset(
    (".cxi", ".mrc", ".mrcs", ".dm3", ".dm4", ".ser", ".emi", ".emd", ".hspy", ".gel", ".ipl", ".iph", ".ipr", ".ipc")
)
"""Suffixes that mean nothing else: of a file that is none after all, a sentence says why."""
_IMAGES = "/entry_1/image_"
_IMAGE = f"{_IMAGES}1"
_LARGEST_PX = 2**26
_MOST_IMAGES = 64
_METRE_IN_ANGSTROM = 1e10
_LARGEST_M = 1e-2


def get_reader(path: Path | Sequence[Path]) -> Callable[[Path | Sequence[Path]], list[LayerData]] | None:
    """Return the reader if every file can be shown, by its content, else None (the npe2 reader contract).

    A file that is missing, empty or damaged is taken where its suffix is one of microscopes, for the reader to say so.
    """
    paths = _as_list(path)
    return read_layers if paths and all(_is_ours(p) for p in paths) else None


def read_layers(path: Path | Sequence[Path]) -> list[LayerData]:
    """Layers of one or more files.

    Parameters
    ----------
    path : path or sequence of paths
        Results, layers saved as CXI, and files of any format of `io`.

    Returns
    -------
    list of layer data tuples
        Of each result amplitude, phase and real part, and the object support; world coordinates with the origin
        at the array's centre, element ``n // 2``. Of a file with layers saved from napari these layers, where
        they were. Of any other its image, or its frames as one stack, and its mask as labels; of several images of one
        size all, up to 8. Units are Å or 1/Å, or pixels where the file gives no pixel size; reciprocal space has its
        origin at the middle. ``metadata["path"]`` is the file, with ``::NAME`` if it holds several images;
        ``metadata["header"]`` what it says, in words. A single project or result opens in the plugin's docks instead
        where napari has a window.

    Raises
    ------
    InputError
        If a file cannot be read or holds no such image.
    """
    paths = _as_list(path)
    if len(paths) == 1 and _is_project(paths[0]) and _opened_in_window(paths[0]):
        return [(None,)]  # type: ignore[list-item]  # npe2's word for: read, and nothing to add
    return [layer for one in paths for layer in _read_file(one)]


def _is_project(path: str) -> bool:
    """Whether a file can be gone on with in the window: a project or a result, not just images."""
    try:
        with h5py.File(path, "r") as file:
            return "entry_1/process_1/recipe" in file
    except OSError:
        return False


def _opened_in_window(path: str) -> bool:
    """Open a project in the plugin's docks if napari has a window; whoever has none gets layers."""
    if "napari" not in sys.modules:
        return False
    from napari_subangstrom_cdi.gui.window.opening import open_project

    return open_project(path)


def _as_list(path: Path | Sequence[Path]) -> list[str]:
    return [fspath(path)] if isinstance(path, str | PathLike) else [fspath(one) for one in path]


def _is_ours(path: str) -> bool:
    suffix = split_address(path)[0].suffix.lower()
    with collected_doubts():
        try:
            if is_record(path) or _is_reconstruction(path):
                return True
        except InputError:  # not there, empty, or forbidden
            return suffix in _SUFFIXES
    return suffix in _ALONE and not _is_hdf5(path)  # of HDF5 without an image others may make something


def _is_reconstruction(path: str) -> bool:
    """Whether a file holds a complex image, layers or a project of this plugin's."""
    try:
        with h5py.File(path, "r") as file:
            image = file.get(f"{_IMAGE}/data")
            is_complex = isinstance(image, h5py.Dataset) and image.ndim == 2 and image.dtype.kind == "c"
            ours = ("entry_1/process_1/recipe", "entry_1/view", f"{_IMAGE}/layer_type")
            return is_complex or any(name in file for name in ours)
    except (OSError, RuntimeError, KeyError):
        return False


def _is_hdf5(path: str) -> bool:
    return bool(h5py.is_hdf5(path))


def _read_file(path: str) -> list[LayerData]:
    if _is_reconstruction(path):
        layers = _read_cxi(path)
        for _, options, _ in layers:
            options["metadata"] = {"path": path}
        return layers
    return read_records(path)


def _read_cxi(path: str) -> list[LayerData]:
    try:
        with h5py.File(path, "r") as file:
            if "entry_1/view" in file and _IMAGE not in file:
                raise InputError(
                    "is a project with no result in it yet", where=path, mend="open it in the Sub-Å CDI window"
                )
            if f"{_IMAGE}/layer_type" in file:
                return _read_saved_layers(file, path)
            if "entry_1/process_1/recipe" not in file and f"{_IMAGES}2/data" in file:
                return _read_images_of_others(file, path)
            image, mask = _image(file, path), _mask(file)
            place = _place(image.shape, _pixel_angstrom(file[_IMAGE], image.shape))
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(
            f"not a readable CXI (HDF5) file ({error})", where=path, mend="write it again, or choose another"
        ) from error
    layers = _complex_layers(image, place) if np.iscomplexobj(image) else [_image_layer(image, "image", place)]
    if mask is not None and mask.shape == image.shape:
        options = place | {"name": "support", "visible": False, "opacity": 0.4}
        layers.append(((mask != 0).astype(np.uint8), options, "labels"))
    return layers


def _read_images_of_others(file: h5py.File, path: str) -> list[LayerData]:
    """All images of another program's result, each with its number."""
    layers: list[LayerData] = []
    for k in range(1, _MOST_IMAGES + 1):
        stored = file.get(f"{_IMAGES}{k}/data")
        if not isinstance(stored, h5py.Dataset):
            break
        if stored.ndim != 2:
            doubt(f"{path}: image_{k} is not opened, as it has {stored.ndim} axes")
            continue
        image = _image(file, path, f"{_IMAGES}{k}")
        place = _place(image.shape, _pixel_angstrom(file[f"{_IMAGES}{k}"], image.shape))
        parts = _complex_layers(image, place) if np.iscomplexobj(image) else [_image_layer(image, "image", place)]
        layers += [(data, {**options, "name": f"image_{k} {options['name']}"}, kind) for data, options, kind in parts]
    return layers


def _read_saved_layers(file: h5py.File, path: str) -> list[LayerData]:
    """The layers that the writer of this plugin saved, where they were."""
    layers: list[LayerData] = []
    for k in range(1, _MOST_IMAGES + 1):
        group = file.get(f"/entry_1/image_{k}")
        if group is None:
            break
        image = _image(file, path, f"/entry_1/image_{k}")
        try:
            layers.append((image, *_saved_options(group)))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"image_{k} is no saved layer ({error})", where=path, mend="save the layers again"
            ) from error
    return layers


def _saved_options(group: h5py.Group) -> tuple[dict[str, Any], str]:
    kind, name = group["layer_type"].asstr()[()], group["title"].asstr()[()]
    scale, translate = (tuple(float(v) for v in group[key][()]) for key in ("layer_scale", "layer_translate"))
    units = tuple(str(unit) for unit in group["layer_units"].asstr()[()])
    if kind not in ("image", "labels") or not len(scale) == len(translate) == len(units) == 2:
        raise ValueError(f"a layer of type {kind!r}")
    if kind == "labels" and group["data"].dtype.kind not in "ui":
        raise ValueError("labels that are no integers")
    if not all(math.isfinite(v) for v in (*scale, *translate)) or min(scale) <= 0 or not set(units) <= set(UNITS):
        raise ValueError("its place is damaged")
    place = {"scale": scale, "translate": translate, "units": units, "axis_labels": ("y", "x")}
    return place | {"name": name}, kind


def _image(file: h5py.File, path: str, group: str = _IMAGE) -> NDArray[Any]:
    data = file.get(f"{group}/data")
    if not isinstance(data, h5py.Dataset) or data.ndim != 2 or data.dtype.kind not in "fciu":
        raise InputError(
            f"no two-dimensional image at {group}/data",
            where=path,
            mend="choose a file that `napari-subangstrom-cdi reconstruct` wrote",
        )
    if not 0 < data.size <= _LARGEST_PX:
        raise InputError(
            f"an image of {' x '.join(map(str, data.shape))} pixels at {group}/data",
            where=path,
            mend=f"the plugin opens up to {_LARGEST_PX} pixels",
        )
    if is_absurd(data.nbytes, int(data.id.get_storage_size())):
        raise InputError(
            f"{group}/data claims more pixels than the file can hold", where=path, mend="copy or export it again"
        )
    return np.asarray(data[()])


def _mask(file: h5py.File) -> NDArray[Any] | None:
    mask = file.get(f"{_IMAGE}/support")
    known = isinstance(mask, h5py.Dataset) and mask.ndim == 2 and mask.size <= _LARGEST_PX
    return np.asarray(mask[()]) if known else None


def _pixel_angstrom(group: h5py.Group, shape: tuple[int, ...]) -> tuple[float, float] | None:
    """Pixel (y, x), as this plugin writes it, or by CXI's ``image_size``, the length of all pixels along x, y, z."""
    metres = [_numbers(group, f"{axis}_pixel_size", (1,)) for axis in "yx"]
    sides = _numbers(group, "image_size", (2, 3))
    if all(metres):
        y, x = (one[0] * _METRE_IN_ANGSTROM for one in metres)
    elif sides and max(sides) < _LARGEST_M:  # some programs write counts of pixels there
        y, x = (sides[k] / n * _METRE_IN_ANGSTROM for k, n in zip((1, 0), shape, strict=True))
    else:
        return None
    return (y, x) if all(math.isfinite(size) and size > 0 for size in (y, x)) else None


def _numbers(group: h5py.Group, name: str, counts: Sequence[int]) -> list[float]:
    """Numbers of a dataset that holds as many; none otherwise."""
    found = group.get(name)
    if not isinstance(found, h5py.Dataset) or found.size not in counts or found.dtype.kind not in "uif":
        return []
    return [float(number) for number in np.ravel(found[()])]


def _place(shape: tuple[int, ...], pixel_angstrom: tuple[float, float] | None) -> dict[str, Any]:
    unit, scale = ("pixel", (1.0, 1.0)) if pixel_angstrom is None else ("Å", pixel_angstrom)
    return {
        "scale": scale,
        "translate": tuple(-(n // 2) * step for n, step in zip(shape, scale, strict=True)),
        "units": (unit, unit),
        "axis_labels": ("y", "x"),
    }


def _complex_layers(image: NDArray[Any], place: dict[str, Any]) -> list[LayerData]:
    phase = _image_layer(np.angle(image), "phase", place, colormap="twilight", visible=False)
    phase[1]["contrast_limits"] = (-math.pi, math.pi)
    return [
        _image_layer(np.abs(image), "amplitude", place, colormap="magma", visible=False),
        phase,
        _image_layer(image.real, "real part", place),
    ]


def _image_layer(values: NDArray[Any], name: str, place: dict[str, Any], **options: Any) -> LayerData:
    return np.ascontiguousarray(values), place | {"name": name, **options}, "image"
