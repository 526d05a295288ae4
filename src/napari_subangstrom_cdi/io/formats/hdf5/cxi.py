"""CXI, of this and of other programs.

Layout: F. R. N. C. Maia, Nature Methods 9, 854 (2012), doi:10.1038/nmeth.2110; https://www.cxidb.org/cxi.html, 1.6.
All values are in SI units, energies in joule.
"""

from __future__ import annotations

import re

import h5py
from scipy import constants

from napari_subangstrom_cdi.io.header import Header, HeaderWriter, Pixel, pixel_in

from . import links, masks, plain
from .arrays import HELPER, LIKELY, OBVIOUS, Dialect, HdfArray, MaskPlace
from .beams import put_energy
from .values import as_number, value

_DATA = re.compile(r"/entry_\d+/data_\d+/data")
_IMAGE = re.compile(r"/entry_\d+/image_\d+/data")
_FIRST = "/entry_1/data_1/data"
_LARGEST_PIXEL_M = 1e-3


def _knows(root: h5py.File, tree: links.Tree) -> bool:
    return "cxi_version" in root or any(_kind(path) for path in tree.datasets)


def _kind(path: str) -> str:
    return "data" if _DATA.fullmatch(path) else "image" if _IMAGE.fullmatch(path) else ""


def _arrays(root: h5py.File, tree: links.Tree) -> tuple[HdfArray, ...]:
    """Patterns in data_N, images in image_N; the first pattern is what a program is to show, by the layout."""
    found = []
    for path, item in tree.datasets.items():
        if not plain.is_numbers(item) or item.ndim < 2:
            continue
        names = tree.names.get(path, [path])
        name = next((name for name in names if _kind(name)), names[0])
        if not _kind(name):
            array = plain.plain_array(item, name)
            found.append(HdfArray(name, (item,), array.yx, rank=HELPER, cautions=array.cautions))
            continue
        rank = OBVIOUS if _FIRST in names else LIKELY
        aliases = (*(other for other in names if other != name), name.removesuffix("/data"))
        caption = _title(links.group(root, name.rpartition("/")[0])) or _kind(name)
        found.append(HdfArray(name, (item,), caption=caption, rank=rank, aliases=aliases))
    real = [array for array in found if array.rank == LIKELY and array.dtype.kind != "c"]
    if real:  # a complex object beside real images cannot be meant
        found = [array for array in found if array.rank != LIKELY or array.dtype.kind != "c"] + [
            _as_helper(array) for array in found if array.rank == LIKELY and array.dtype.kind == "c"
        ]
    return tuple(found)


def _as_helper(array: HdfArray) -> HdfArray:
    return HdfArray(array.name, array.parts, array.yx, array.caption, HELPER, array.aliases)


def _title(group: h5py.Group | None) -> str:
    found = value(links.find(group, "title")) if group is not None else None
    return found[:80] if isinstance(found, str) else ""


def _header(root: h5py.File, array: HdfArray) -> Header:
    found = HeaderWriter()
    parent = links.group(root, array.name.rpartition("/")[0]) or array.dataset.parent
    entry = links.group(root, "/".join(array.name.split("/")[:2])) or root
    kind = _kind(array.name)
    if kind == "image":
        _put_image(found, parent, array)
    elif kind == "data":
        found.put("role", "pattern", f"{array.name}, by the layout of CXI")
    for detector in _detectors(entry, parent) if kind == "data" else ():
        _put_detector(found, detector)
    source = links.group(entry, "instrument_1/source_1") or links.group(entry, "source_1")
    joules = as_number(value(links.find(source, "energy"))) if source is not None else None
    if joules is not None:
        # The layout wants joule; some programs write eV, which is told by its size.
        electronvolts, unit = (joules / constants.e, "J") if joules < 1e-6 else (joules, "eV")
        put_energy(found, electronvolts, f"source_1/energy = {joules:.7g} {unit}", probe="")
    return found.header()


def _detectors(entry: h5py.Group, parent: h5py.Group) -> list[h5py.Group]:
    places = (
        links.group(parent, "detector_1"),
        links.group(entry, "instrument_1/detector_1"),
        links.group(entry, "detector_1"),
    )
    return [place for place in places if place is not None]


def _put_image(found: HeaderWriter, parent: h5py.Group, array: HdfArray) -> None:
    if str(value(links.find(parent, "data_space"))).lower() in ("fourier", "reciprocal", "diffraction"):
        return
    found.put("role", "image", f"{array.name}, by the layout of CXI")
    y, x = (as_number(value(links.find(parent, f"{axis}_pixel_size"))) for axis in "yx")
    if y is not None and x is not None:
        place = f"{parent.name}/y_pixel_size, x_pixel_size = {y:g}, {x:g} m"
        found.put("pixel", _pixel(y, x), place)
    sides = value(links.find(parent, "image_size"))
    sides = [sides] * 2 if isinstance(sides, float | int) else sides
    if isinstance(sides, list) and len(sides) in (2, 3) and all(as_number(side) for side in sides):
        rows, columns = array.shape[-2:]
        pixel = _pixel(sides[1] / rows, sides[0] / columns)  # (x, y, z)
        found.put("pixel", pixel, f"{parent.name}/image_size = {', '.join(f'{side:g}' for side in sides)} m")
    shifted = value(links.find(parent, "is_fft_shifted"))
    if shifted not in (None, False, 0, "False", "FALSE"):
        place = f"{parent.name}/is_fft_shifted = {shifted}"
        found.put("orientation", "its quadrants are exchanged: the middle is at the corners", place)


def _pixel(y: float, x: float) -> Pixel | None:
    """In m; some programs write counts of pixels in the place of lengths."""
    return pixel_in("m", y, x) if max(abs(y), abs(x)) < _LARGEST_PIXEL_M else None


def _put_detector(found: HeaderWriter, detector: h5py.Group) -> None:
    y, x = (as_number(value(links.find(detector, f"{axis}_pixel_size"))) for axis in "yx")
    if y is not None and x is not None and abs(y - x) <= 1e-3 * abs(x):
        said = f"{detector.name}/x_pixel_size = {x:g} m"
        found.put("detector_pixel_um", float(f"{x * 1e6:.7g}"), said)
    metres = as_number(value(links.find(detector, "distance")))
    if metres is not None:
        found.put("camera_length_mm", float(f"{metres * 1e3:.7g}"), f"{detector.name}/distance = {metres:g} m")
    electrons = as_number(value(links.find(detector, "counts_per_joule")))
    if electrons is not None:
        found.doubt(f"{detector.name}/counts_per_joule is not used: state counts_per_electron")


def _mask(root: h5py.File, array: HdfArray) -> MaskPlace | None:
    folder = array.name.rpartition("/")[0]
    parent = links.group(root, folder) or array.dataset.parent
    entry_path = "/".join(array.name.split("/")[:2])
    places: list[tuple[str, h5py.Group, str, bool]] = [(f"{folder}/mask", parent, "mask", False)]
    if _kind(array.name) == "data":
        for detector in _detectors(links.group(root, entry_path) or root, parent):
            places += [(f"{detector.name}/{name}", detector, name, False) for name in ("mask", "mask_shared")]
    return masks.first_that_fits(array, places, masks.CXI_BAD_BITS) or masks.beside(root, array)


DIALECT = Dialect("CXI", _knows, _arrays, _header, _mask)
