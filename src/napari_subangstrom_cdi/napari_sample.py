"""The bundled sample as napari layers: three raw records of one CdS platelet (simulated).

A raw record knows detector pixels only, so the three together are shown in pixels. Calibrations stand
in each layer's metadata: one viewer cannot hold Å and Å⁻¹ at once, and napari drops every unit then.
"""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import tifffile
from numpy.typing import NDArray

LayerData = tuple[NDArray[Any], dict[str, Any], str]

_FOLDER = files("napari_subangstrom_cdi") / "sample"
_FILES = {"background": "background.tif", "pattern": "particle.tif", "image": "image.mrc"}
_GAP_PX = 64


def platelet_records() -> list[LayerData]:
    """Background pattern, particle pattern and, to the right of them, the TEM image; all in pixels.

    Returns
    -------
    list of layer data tuples
        Patterns uint16 (2048, 2048), image uint16 (1024, 1024). In a layer's metadata stand the file
        (``path``), what it is to a reconstruction (``role``) and the nominal values (``acquisition``).
    """
    background, particle = (_read_pattern(_FILES[role]) for role in ("background", "pattern"))
    image = _read_image()
    below = (particle.shape[0] - image.shape[0]) / 2
    return [
        _layer(background, "background pattern", "background", colormap="magma", gamma=0.5),
        _layer(particle, "particle pattern", "pattern", colormap="magma", gamma=0.5),
        _layer(image, "TEM image", "image", translate=(below, particle.shape[1] + _GAP_PX)),
    ]


def platelet_image() -> list[LayerData]:
    """Give the TEM image alone, in ångström by the microscope's nominal pixel.

    Returns
    -------
    list of layer data tuples
        One layer, uint16 (1024, 1024).
    """
    pixel_angstrom = _acquisition()["image_pixel_nominal_A"]
    return [_layer(_read_image(), "TEM image (nominal Å)", "image", scale=(pixel_angstrom,) * 2, units=("Å", "Å"))]


def _layer(record: NDArray[Any], name: str, role: str, **options: Any) -> LayerData:
    common = {
        "name": name,
        "scale": (1.0, 1.0),
        "units": ("pixel", "pixel"),
        "axis_labels": ("y", "x"),
        "contrast_limits": tuple(np.percentile(record[::4, ::4], (1.0, 99.8))),
        "metadata": {"role": role, "acquisition": _acquisition(), **_path(_FILES[role])},
    }
    return record, common | options, "image"


def _path(name: str) -> dict[str, str]:
    """The file, unless the package is in an archive and has none."""
    return {"path": str(_FOLDER / name)} if isinstance(_FOLDER, Path) else {}


def _acquisition() -> dict[str, Any]:
    values: dict[str, Any] = json.loads((_FOLDER / "acquisition.json").read_text(encoding="utf-8"))
    return values


def _read_pattern(name: str) -> NDArray[Any]:
    with as_file(_FOLDER / name) as path:
        return np.asarray(tifffile.imread(path))


def _read_image() -> NDArray[Any]:
    with as_file(_FOLDER / _FILES["image"]) as path, mrcfile.open(path) as record:
        return np.array(record.data)
