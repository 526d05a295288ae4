"""Samples as napari layers: the bundled records of one CdS platelet (simulated), and particles simulated on demand.

A raw record knows detector pixels only, so the three together are shown in pixels. Calibrations stand
in each layer's metadata: one viewer cannot hold Å and Å⁻¹ at once, and napari drops every unit then.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import platformdirs
import tifffile
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.session.recovery import DATA_VARIABLE
from napari_subangstrom_cdi.simulation.bundled import sample_folder
from napari_subangstrom_cdi.simulation.files import RECORD_FILES, write_records
from napari_subangstrom_cdi.simulation.records import RecordSet, acquisition_of, simulate
from napari_subangstrom_cdi.simulation.settings import ParticleSettings, Simulation

LayerData = tuple[NDArray[Any], dict[str, Any], str]

_GAP_PX = 64
_WURTZITE = Simulation(ParticleSettings("CdS-wurtzite", "0 0 0 1", 90.0, tilt_deg=(0.6, -0.3)), seed=11)
_BOUNDARY = Simulation(
    ParticleSettings("CdS-zincblende", "1 1 2", 70.0, tilt_deg=(-0.2, 0.3), boundary_shift_angstrom=1.6), seed=12
)


@dataclass(frozen=True)
class _Records:
    """Raw records, where their files are, and what is known of them."""

    pattern: NDArray[Any]
    background: NDArray[Any]
    image: NDArray[Any]
    acquisition: dict[str, Any]
    folder: Path | None

    def layer(self, role: str, name: str, **options: Any) -> LayerData:
        """One record as a layer."""
        record = getattr(self, role)
        # a file's path, unless they are in memory alone
        path = {"path": str(self.folder / RECORD_FILES[role])} if self.folder is not None else {}
        common = {
            "name": name,
            "scale": (1.0, 1.0),
            "units": ("pixel", "pixel"),
            "axis_labels": ("y", "x"),
            "contrast_limits": tuple(np.percentile(record[::4, ::4], (1.0, 99.8))),
            "metadata": {"role": role, "acquisition": self.acquisition, **path},
        }
        return record, common | options, "image"

    def layers(self) -> list[LayerData]:
        """Background and particle pattern, one above the other, and to the right of them the image; all in pixels."""
        below = (self.pattern.shape[0] - self.image.shape[0]) / 2
        return [
            self.layer("background", "background pattern", colormap="magma", gamma=0.5),
            self.layer("pattern", "particle pattern", colormap="magma", gamma=0.5),
            self.layer("image", "TEM image", translate=(below, self.pattern.shape[1] + _GAP_PX)),
        ]


def platelet_records() -> list[LayerData]:
    """Background pattern, particle pattern and, to the right of them, the TEM image; all in pixels.

    Returns
    -------
    list of layer data tuples
        Patterns uint16 (2048, 2048), image uint16 (1024, 1024). In a layer's metadata stand the file
        (``path``), what it is to a reconstruction (``role``) and the nominal values (``acquisition``).
    """
    return _read(sample_folder()).layers()


def platelet_image() -> list[LayerData]:
    """Give the TEM image alone, in ångström by the microscope's nominal pixel.

    Returns
    -------
    list of layer data tuples
        One layer, uint16 (1024, 1024).
    """
    records = _read(sample_folder())
    pixel_angstrom = records.acquisition["image_pixel_nominal_A"]
    return [records.layer("image", "TEM image (nominal Å)", scale=(pixel_angstrom,) * 2, units=("Å", "Å"))]


def wurtzite_records() -> list[LayerData]:
    """Records of 9 nm of wurtzite CdS on [0001], 0.67° off the zone axis; laid out as :func:`platelet_records`."""
    return _simulated("wurtzite", _WURTZITE).layers()


def boundary_records() -> list[LayerData]:
    """Records of 7 nm of zinc blende CdS on [112] whose lattice is shifted by 1.6 Å beyond a boundary."""
    return _simulated("boundary", _BOUNDARY).layers()


def cache_folder() -> Path:
    """Where simulated samples are kept, so that they are simulated once."""
    named = os.environ.get(DATA_VARIABLE)
    return Path(named or platformdirs.user_cache_dir("napari-subangstrom-cdi", appauthor=False)) / "samples"


def _simulated(name: str, settings: Simulation) -> _Records:
    """A sample from the cache, or simulated now; kept in memory where nothing can be written."""
    folder = cache_folder() / f"{name}-{version('napari-subangstrom-cdi')}"
    try:
        # the settings are written last: a set that has them is whole
        if (folder / "simulation.toml").read_text(encoding="utf-8") == settings.to_toml():
            return _read(folder)
    except (OSError, ValueError):
        pass  # simulated anew
    records = simulate(settings)
    try:
        write_records(records, folder)
    except (InputError, OSError):
        return _in_memory(records)
    return _read(folder)


def _in_memory(records: RecordSet) -> _Records:
    return _Records(records.pattern, records.background, records.image, acquisition_of(records), None)


def _read(folder: Path) -> _Records:
    pattern, background = (tifffile.imread(folder / RECORD_FILES[role]) for role in ("pattern", "background"))
    with mrcfile.open(folder / RECORD_FILES["image"]) as record:
        image = np.array(record.data)
    acquisition = json.loads((folder / "acquisition.json").read_text(encoding="utf-8"))
    return _Records(pattern, background, image, acquisition, folder)
