"""EMD of Berkeley (openNCEM), of Prismatic and of py4DSTEM: groups marked ``emd_group_type``, with axes ``dim1`` ...

Layout: https://emdatasets.com/format/, versions 0.2 to 1.0. The array's first axis is that of ``dim1`` (``dim0`` in
1.0), as ncempy reads it: rows come first.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import h5py

from napari_subangstrom_cdi.io.header import Header, HeaderWriter

from . import links, masks, plain
from .arrays import HELPER, LIKELY, TABLE, Dialect, HdfArray
from .steps import put_pixel, step
from .values import attribute, number_and_unit, text

_MARKS = ("1", "1.0", "array")
_DIMENSION = re.compile(r"dim(\d+)")
# py4DSTEM's "Rx" and "Qx" mean rows; only those of others would have columns there.
_ROWS_CALLED_X, _COLUMNS_CALLED_Y = re.compile(r"([RQ]_)?[xX]"), re.compile(r"([RQ]_)?[yY]")
_NAMES = ("data", "datacube", "realslice", "diffractionslice")


def _knows(root: h5py.File, tree: links.Tree) -> bool:
    return any(_is_array(group) for group in tree.groups.values())


def _is_array(group: h5py.Group) -> bool:
    return str(attribute(group, "emd_group_type")) in _MARKS


class _Dimension(NamedTuple):
    """One axis."""

    name: str
    unit: str
    step: float | None
    is_words: bool


def _arrays(root: h5py.File, tree: links.Tree) -> tuple[HdfArray, ...]:
    found = []
    for path, group in tree.groups.items():
        if _is_array(group):
            data = _data(group)
            if data is not None and plain.is_numbers(data) and data.ndim >= 2:
                found.append(_array(path, group, data))
    return tuple(found)


def _data(group: h5py.Group) -> h5py.Dataset | None:
    named = (links.dataset(group, name) for name in (*_NAMES, *(n for n in group if not _DIMENSION.fullmatch(n))))
    return next((item for item in named if item is not None), None)


def _array(path: str, group: h5py.Group, data: h5py.Dataset) -> HdfArray:
    axes = _dimensions(group, data.ndim)
    yx, caution = _image_axes(axes)
    rank = TABLE if caution == "" and yx == (-2, -1) and plain.rank_of("", data.shape) == TABLE else LIKELY
    if "potential" in path.rsplit("/", 1)[-1]:
        rank = HELPER
    name = f"{path}/{str(data.name).rsplit('/', 1)[-1]}"
    caption = ", ".join(axis.name for axis in axes if axis.name)
    cautions = (f"{name}: {caution}",) if caution else ()
    return HdfArray(name, (data,), yx, caption=caption, rank=rank, aliases=(path,), cautions=cautions)


def _dimensions(group: h5py.Group, ndim: int) -> tuple[_Dimension, ...]:
    first = 0 if "dim0" in group else 1
    found = []
    for k in range(first, first + ndim):
        positions = links.dataset(group, f"dim{k}")
        if positions is None:
            found.append(_Dimension("", "", None, is_words=False))
            continue
        unit = text(positions, "units").replace("_", "")
        words = positions.dtype.kind in "SOU"
        found.append(_Dimension(text(positions, "name"), unit, step(positions), words))
    return tuple(found)


def _image_axes(axes: tuple[_Dimension, ...]) -> tuple[tuple[int, int], str]:
    """The last two, unless the last is one of depth, of angles beside lengths, or of words."""
    if len(axes) < 3:
        return (-2, -1), ""
    last = axes[-1]
    is_depth = last.name.lower().replace("_", "").endswith("z")
    is_other = last.unit != axes[-2].unit and axes[0].unit == axes[1].unit != ""
    if last.is_words or is_depth or (is_other and len(axes) == 3):
        return (0, 1), f"its axes are {', '.join(axis.name or '?' for axis in axes)}: the last was taken for frames"
    return (-2, -1), ""


def _header(root: h5py.File, array: HdfArray) -> Header:
    found = HeaderWriter()
    group = array.dataset.parent
    axes = _dimensions(group, array.dataset.ndim)
    y, x = (axes[axis] for axis in array.yx)
    place = f"{group.name}/dim*: steps {_shown(y.step)}, {_shown(x.step)} {y.unit}"
    pixel = put_pixel(found, (y.step, y.unit), (x.step, x.unit), place)
    if _ROWS_CALLED_X.fullmatch(y.name) and _COLUMNS_CALLED_Y.fullmatch(x.name):  # as Prismatic does
        found.put("orientation", "rows are called x, columns y", f"{group.name}/dim*: names {y.name}, {x.name}")
    _put_microscope(found, links.group(root, "/microscope"), is_pattern=pixel is not None and pixel.unit == "1/Å")
    return found.header()


def _shown(number: float | None) -> str:
    return "?" if number is None else f"{number:.7g}"


def _put_microscope(found: HeaderWriter, microscope: h5py.Group | None, *, is_pattern: bool) -> None:
    if microscope is None:
        return
    for key in ("high tension", "voltage"):
        stated = number_and_unit(attribute(microscope, key))
        if stated is not None:
            kilo = stated[1].lower() in ("kv", "kev")
            found.put(
                "energy_ev", stated[0] * (1e3 if kilo else 1), f"microscope@{key} = {_written(microscope, key)} V"
            )
    metres = number_and_unit(attribute(microscope, "camera length"))
    if metres is not None and is_pattern:  # it is written beside images, too
        said = f"microscope@camera length = {metres[0]:.7g} m, nominal"
        found.put("camera_length_mm", metres[0] * 1e3, said)
    defocus = number_and_unit(attribute(microscope, "defocus"))
    if defocus is not None and defocus[0] and not is_pattern:
        said = f"microscope@defocus = {defocus[0]:.7g} m; the sign's meaning is not known"
        found.put("defocus_nm", float(f"{defocus[0] * 1e9:.10g}"), said)
    factor = number_and_unit(attribute(microscope, "binning"))
    if factor is not None and factor[0] == int(factor[0]) and 1 <= factor[0] <= 64:
        found.put("binning", (int(factor[0]), int(factor[0])), f"microscope@binning = {factor[0]:g}")


def _written(microscope: h5py.Group, key: str) -> str:
    return str(attribute(microscope, key)).removesuffix("V").strip()


DIALECT = Dialect("Berkeley EMD", _knows, _arrays, _header, masks.beside)
