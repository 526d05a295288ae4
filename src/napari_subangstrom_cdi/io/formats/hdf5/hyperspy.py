"""HSPY of HyperSpy: ``Experiments/*/data``, with axes that state scale, unit and whether they are navigated."""

from __future__ import annotations

from typing import NamedTuple

import h5py

from napari_subangstrom_cdi.io.header import Header, HeaderWriter

from . import links, masks, plain
from .arrays import LIKELY, TABLE, Dialect, HdfArray
from .steps import put_pixel
from .values import attribute, number, text

_EXPERIMENTS = "/Experiments"


class _Axis(NamedTuple):
    name: str
    unit: str
    scale: float | None
    navigate: bool | None


def _knows(root: h5py.File, tree: links.Tree) -> bool:
    return text(root, "file_format") == "HyperSpy" or any(
        path.rpartition("/")[0] == _EXPERIMENTS and "data" in group and "axis-0" in group
        for path, group in tree.groups.items()
    )


def _arrays(root: h5py.File, tree: links.Tree) -> tuple[HdfArray, ...]:
    found = []
    for path, group in tree.groups.items():
        data = links.dataset(group, "data") if path.rpartition("/")[0] == _EXPERIMENTS else None
        if data is not None and plain.is_numbers(data) and data.ndim >= 2:
            title = text(links.group(group, "metadata/General") or group, "title") or path.rpartition("/")[2]
            yx = _image_axes(_axes(group, data.ndim), _record_by(group))
            caption = title if yx is not None else f"{title}, spectra"
            rank = LIKELY if yx is not None else TABLE
            aliases = (title, path) if not title.startswith("__") else (path,)
            found.append(HdfArray(f"{path}/data", (data,), yx or (-2, -1), caption=caption, rank=rank, aliases=aliases))
    images = tuple(array for array in found if array.rank == LIKELY)
    return images or ()


def _record_by(group: h5py.Group) -> str:
    return text(links.group(group, "metadata/Signal") or group, "record_by")


def _axes(group: h5py.Group, ndim: int) -> tuple[_Axis, ...]:
    """The axes of the array, first to last; files of before 1.3 do not say whether they are navigated."""
    found = []
    for k in range(ndim):
        axis = links.group(group, f"axis-{k}")
        if axis is None:
            found.append(_Axis("", "", None, None))
            continue
        navigate = attribute(axis, "navigate")
        unit = text(axis, "units")
        found.append(
            _Axis(
                text(axis, "name"),
                "" if unit in ("_None_", "<undefined>") else unit,
                number(axis, "scale"),
                navigate
                if isinstance(navigate, bool)
                else None
                if navigate is None
                else str(navigate) in ("1", "True"),
            )
        )
    return tuple(found)


def _image_axes(axes: tuple[_Axis, ...], record_by: str) -> tuple[int, int] | None:
    """Those that are not navigated; of a single spectrum at each place none."""
    ndim = len(axes)
    navigated = [axis.navigate for axis in axes]
    if all(one is None for one in navigated):
        return None if record_by == "spectrum" else (ndim - 2, ndim - 1)
    own = [k for k in range(ndim) if not navigated[k]]
    if not own and ndim == 2:
        return 0, 1
    return (own[0], own[1]) if len(own) == 2 else None


def _header(root: h5py.File, array: HdfArray) -> Header:
    found = HeaderWriter()
    group = array.dataset.parent
    axes = _axes(group, array.dataset.ndim)
    if array.axes.y < len(axes):
        y, x = axes[array.axes.y], axes[array.axes.x]
        place = f"{group.name}/axis-{array.axes.y}, axis-{array.axes.x}: scale {y.scale}, {x.scale} {y.unit}"
        put_pixel(found, (y.scale, y.unit), (x.scale, x.unit), place)
    for instrument in ("TEM", "SEM"):
        microscope = links.group(group, f"metadata/Acquisition_instrument/{instrument}")
        if microscope is not None:
            _put_microscope(found, microscope, f"Acquisition_instrument.{instrument}")
    return found.header()


def _put_microscope(found: HeaderWriter, microscope: h5py.Group, place: str) -> None:
    kilovolts = number(microscope, "beam_energy")
    if kilovolts is not None:
        found.put("energy_ev", kilovolts * 1e3, f"{place}.beam_energy = {kilovolts:g} keV")
    millimetres = number(microscope, "camera_length")
    if millimetres is not None and found.header().role != "image":
        found.put(
            "camera_length_mm", float(f"{millimetres:.9g}"), f"{place}.camera_length = {millimetres:g} mm, nominal"
        )
    for path in ("Detector/Camera", "Detector/Diffraction"):
        camera = links.group(microscope, path)
        seconds = None if camera is None else number(camera, "exposure")
        found.put("exposure_s", seconds, f"{place}.{path.replace('/', '.')}.exposure = {seconds} s")


DIALECT = Dialect(
    "HyperSpy",
    _knows,
    _arrays,
    _header,
    masks.beside,
    nothing="holds no image, but spectra or other signals",
)
