"""Layers as files: an image as MRC, images and labels as CXI.

What is saved is the data, the name, the scale, the position and the unit; not colours and contrast. To save a
reconstruction with all that belongs to it, save the project in the Sub-Å CDI window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError, doubt
from napari_subangstrom_cdi.io.atomic import atomic_hdf5, atomic_path
from napari_subangstrom_cdi.io.cxi import new_entry
from napari_subangstrom_cdi.io.export import write_mrc

_ANGSTROM = {"angstrom": 1.0, "Å": 1.0, "picometer": 0.01, "nanometer": 10.0, "nm": 10.0, "micrometer": 1e4}
_RECIPROCAL = ("1 / angstrom", "1/angstrom", "1/Å")
_MOST_LAYERS = 64


_P = ParamSpec("_P")


class NotSavedError(OSError):
    """Layers were not saved, and why. An InputError is a ValueError, which napari takes for a missing plugin."""


def _said(write: Callable[_P, list[str]]) -> Callable[_P, list[str]]:
    @wraps(write)
    def write_or_say(*args: _P.args, **kwargs: _P.kwargs) -> list[str]:
        try:
            return write(*args, **kwargs)
        except InputError as error:
            raise NotSavedError(str(error)) from error

    return write_or_say


@_said
def write_image_mrc(path: str | PathLike[str], data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write an image layer, or a stack of frames, as MRC.

    The voxel size is the layer's scale if its unit is a length, else 0, which means unknown.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    NotSavedError
        If the layer is in colour, of one or more than three dimensions, or of values that MRC cannot keep, or
        the file cannot be written.
    """
    image = _pixels(data, attributes, str(path))
    if image.ndim not in (2, 3):
        raise InputError(
            f"the layer has {image.ndim} dimensions", where=str(path), mend="MRC keeps an image or a stack of frames"
        )
    scale, unit = _scale_and_unit(attributes, image.ndim)
    with atomic_path(path) as temporary:
        write_mrc(
            temporary,
            image,
            scale if unit == "Å" else None,
            description=str(attributes.get("name", "")),
            where=str(path),
        )
    return [str(path)]


@_said
def write_layers_cxi(path: str | PathLike[str], layers: Sequence[tuple[Any, Mapping[str, Any], str]]) -> list[str]:
    """Write image and labels layers as ``image_1``, ``image_2``, ... of a CXI file.

    The pixel size is written in metres where the layer's unit is a length, as the format wants it. Layer type,
    scale, position and unit stand beside it for this plugin's reader.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    NotSavedError
        If there is no layer, one is not a grey image of two dimensions, the file there holds a reconstruction or
        project, or it cannot be written.
    """
    where = str(path)
    if not 0 < len(layers) <= _MOST_LAYERS:
        raise InputError(
            f"{len(layers)} layers to save", where=where, mend=f"select 1 to {_MOST_LAYERS} image or labels layers"
        )
    images = [(_pixels(data, attributes, where), attributes, kind) for data, attributes, kind in layers]
    for image, attributes, _ in images:
        if image.ndim != 2 or image.size == 0:
            raise InputError(
                f"the layer {attributes.get('name', '')!r} has the shape {image.shape}",
                where=where,
                mend="CXI is written from images of two dimensions; save stacks as MRC or TIFF",
            )
    _refuse_to_replace_work(Path(path))
    with atomic_hdf5(path) as file:
        entry = new_entry(file)
        for k, (image, attributes, kind) in enumerate(images, start=1):
            _write_layer(entry.create_group(f"image_{k}"), image, attributes, kind)
    return [where]


def _write_layer(group: h5py.Group, image: NDArray[Any], attributes: Mapping[str, Any], kind: str) -> None:
    scale, unit = _scale_and_unit(attributes, 2)
    factor = _length_factor(attributes, 2) if unit == "Å" else 1.0
    translate = np.asarray(attributes.get("translate", (0.0, 0.0)), np.float64)[-2:] * factor
    group["title"] = str(attributes.get("name", kind))
    group["data_space"] = "reciprocal" if unit in _RECIPROCAL else "real"
    group["is_fft_shifted"] = False
    packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    group.create_dataset("data", data=image.astype(np.uint8) if image.dtype == np.bool_ else image, **packed)
    if unit == "Å":
        group["y_pixel_size"], group["x_pixel_size"] = scale[0] * 1e-10, scale[1] * 1e-10
    group["layer_type"] = kind
    group["layer_scale"], group["layer_translate"] = np.array(scale), translate
    group["layer_units"] = np.array([unit] * 2, h5py.string_dtype())


def _pixels(data: Any, attributes: Mapping[str, Any], where: str) -> NDArray[Any]:
    """The array of a layer, the finest of a pyramid; in grey and in memory."""
    if attributes.get("rgb"):
        raise InputError("the layer is in colour", where=where, mend="save colour pictures as PNG or TIFF")
    finest = data[0] if isinstance(data, list | tuple) or type(data).__name__ == "MultiScaleData" else data
    image = np.asarray(finest)
    turned = [np.asarray(attributes[key], float) for key in ("rotate", "affine") if attributes.get(key) is not None]
    # Rotations of more than two axes, and those not by a matrix, are none of a flat image.
    matrices = [matrix for matrix in turned if matrix.ndim == 2]
    if any(not np.allclose(matrix, np.eye(len(matrix))) for matrix in matrices):
        doubt(f"{where}: the layer is turned or moved by a transform, which is not saved; its pixels are")
    return image


def _scale_and_unit(attributes: Mapping[str, Any], ndim: int) -> tuple[tuple[float, float], str]:
    """Pixel along y and x, and its unit: Å for every length, else 1 / angstrom or pixel."""
    scale = [float(v) for v in np.asarray(attributes.get("scale", (1.0,) * ndim), np.float64)[-2:]]
    names = _units(attributes, ndim)
    if all(name in _ANGSTROM for name in names):
        return (scale[0] * _ANGSTROM[names[0]], scale[1] * _ANGSTROM[names[1]]), "Å"
    if all(name in _RECIPROCAL for name in names):
        return (scale[0], scale[1]), "1 / angstrom"
    if names != ["pixel", "pixel"]:
        doubt(f"the unit {' x '.join(names)} is not saved: the scale stands for pixels")
    return (scale[0], scale[1]), "pixel"


def _length_factor(attributes: Mapping[str, Any], ndim: int) -> NDArray[np.float64]:
    return np.array([_ANGSTROM[name] for name in _units(attributes, ndim)])


def _units(attributes: Mapping[str, Any], ndim: int) -> list[str]:
    return [str(unit) for unit in attributes.get("units") or ("pixel",) * ndim][-2:]


def _refuse_to_replace_work(path: Path) -> None:
    """A file of layers is less than a project: it must not take its place."""
    if not path.is_file():
        return
    try:
        with h5py.File(path, "r") as file:
            precious = "entry_1/process_1" in file or "entry_1/view" in file
    except (OSError, RuntimeError):
        return
    if precious:
        raise InputError(
            "holds a reconstruction or project, of which layers are only a part",
            where=str(path),
            mend="choose another name, or save the project in the Sub-Å CDI window",
        )
