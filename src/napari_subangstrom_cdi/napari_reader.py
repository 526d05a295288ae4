"""Reconstructions (CXI files) as napari layers with their scale and unit.

napari draws no complex image, so one is opened as amplitude, phase and real part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from os import PathLike, fspath
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError

LayerData = tuple[NDArray[Any], dict[str, Any], str]
Path = str | PathLike[str]

_IMAGE = "/entry_1/image_1"
_LARGEST_PX = 2**26
_METRE_IN_ANGSTROM = 1e10


def get_reader(path: Path | Sequence[Path]) -> Callable[[Path | Sequence[Path]], list[LayerData]] | None:
    """Return the reader if every path ends in ``.cxi``, else None (the npe2 reader contract)."""
    paths = _as_list(path)
    return read_layers if paths and all(p.lower().endswith(".cxi") for p in paths) else None


def read_layers(path: Path | Sequence[Path]) -> list[LayerData]:
    """Layers of one or more reconstructions.

    Parameters
    ----------
    path : path or sequence of paths
        CXI files with a 2-D image at ``/entry_1/image_1/data``.

    Returns
    -------
    list of layer data tuples
        Of each file amplitude, phase and real part (or the image itself, if real), and the object
        support where the file has one. World coordinates are Å, or pixels where the file gives no
        pixel size, with the origin at the array's centre, element ``n // 2``.

    Raises
    ------
    InputError
        If a file cannot be read or holds no such image.
    """
    return [layer for one in _as_list(path) for layer in _read_file(one)]


def _as_list(path: Path | Sequence[Path]) -> list[str]:
    return [fspath(path)] if isinstance(path, str | PathLike) else [fspath(one) for one in path]


def _read_file(path: str) -> list[LayerData]:
    try:
        with h5py.File(path, "r") as file:
            image, mask = _image(file, path), _mask(file)
            pixel_angstrom = _pixel_angstrom(file)
    except OSError as error:
        raise InputError(
            f"not a readable CXI (HDF5) file ({error})", where=path, mend="write it again, or choose another"
        ) from error
    place = _place(image.shape, pixel_angstrom)
    layers = _complex_layers(image, place) if np.iscomplexobj(image) else [_image_layer(image, "image", place)]
    if mask is not None and mask.shape == image.shape:
        options = place | {"name": "support", "visible": False, "opacity": 0.4}
        layers.append(((mask != 0).astype(np.uint8), options, "labels"))
    return layers


def _image(file: h5py.File, path: str) -> NDArray[Any]:
    data = file.get(f"{_IMAGE}/data")
    if not isinstance(data, h5py.Dataset) or data.ndim != 2 or data.dtype.kind not in "fciu":
        raise InputError(
            f"no two-dimensional image at {_IMAGE}/data",
            where=path,
            mend="choose a file that `napari-subangstrom-cdi reconstruct` wrote",
        )
    if not 0 < data.size <= _LARGEST_PX:
        raise InputError(
            f"an image of {' x '.join(map(str, data.shape))} pixels at {_IMAGE}/data",
            where=path,
            mend=f"the plugin opens up to {_LARGEST_PX} pixels",
        )
    return np.asarray(data[()])


def _mask(file: h5py.File) -> NDArray[Any] | None:
    mask = file.get(f"{_IMAGE}/support")
    known = isinstance(mask, h5py.Dataset) and mask.ndim == 2 and mask.size <= _LARGEST_PX
    return np.asarray(mask[()]) if known else None


def _pixel_angstrom(file: h5py.File) -> tuple[float, float] | None:
    sizes = []
    for axis in "yx":
        size = file.get(f"{_IMAGE}/{axis}_pixel_size")
        if not isinstance(size, h5py.Dataset) or size.size != 1:
            return None
        sizes.append(float(np.ravel(size[()])[0]) * _METRE_IN_ANGSTROM)
    usable = all(math.isfinite(size) and size > 0 for size in sizes)
    return (sizes[0], sizes[1]) if usable else None


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
