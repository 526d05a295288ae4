"""NeXus, and the masters of Dectris: what ``default`` and ``signal`` point to, joined from its data files.

Layout: https://manual.nexusformat.org/, NXdata, NXdetector, NXmx; DECTRIS SIMPLON API 1.8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import h5py

from napari_subangstrom_cdi.io.header import Header, HeaderWriter

from . import links, masks, plain
from .arrays import HELPER, LIKELY, OBVIOUS, TABLE, Dialect, HdfArray, MaskPlace
from .beams import put_energy, put_wavelength
from .links import Missing
from .steps import put_pixel, step
from .values import DAMAGE, as_number, attribute, text, value

_PART = re.compile(r"(.*?)_?(\d{6})")
_METRES = {
    "m": 1.0,
    "meter": 1.0,
    "metre": 1.0,
    "mm": 1e-3,
    "cm": 1e-2,
    "um": 1e-6,
    "µm": 1e-6,
    "micron": 1e-6,
    "nm": 1e-9,
}
_EV = {"ev": 1.0, "kev": 1e3, "mev": 1e6, "j": 6.241509074e18}
_LARGEST_PIXEL_M, _LONGEST_M = 1e-3, 50.0
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_ANGSTROM = {"angstrom": 1.0, "angstroms": 1.0, "å": 1.0, "a": 1.0, "nm": 10.0, "pm": 0.01, "m": 1e10}


def _knows(root: h5py.File, tree: links.Tree) -> bool:
    return any(text(group, "NX_class") in ("NXentry", "NXdata", "NXroot") for group in tree.groups.values())


def _arrays(root: h5py.File, tree: links.Tree) -> tuple[HdfArray, ...]:
    signals = _each_once(dict(_signals(root, tree)))
    pointed = bool(signals) or any(_lost(group) for group in tree.groups.values())
    named = {_key(array) for array in signals.values()}
    others = []
    for array in plain.arrays(root, tree):
        if _key(array) not in named:
            rank = max(array.rank, HELPER) if pointed else max(array.rank, LIKELY)
            others.append(HdfArray(array.name, array.parts, array.yx, array.caption, rank, (), None, array.cautions))
    return (*signals.values(), *others)


def _each_once(signals: dict[str, HdfArray]) -> dict[str, HdfArray]:
    """Without those that are the same array as another, of which the more obvious is kept."""
    kept: dict[tuple[object, ...], str] = {}
    for path, array in sorted(signals.items(), key=lambda item: item[1].rank):
        kept.setdefault(_key(array), path)
    return {path: array for path, array in signals.items() if path in kept.values()}


def _lost(group: h5py.Group) -> bool:
    """Whether a group names a signal that is behind a link which leads nowhere."""
    name = _signal(group) if text(group, "NX_class") == "NXdata" else None
    return name is not None and isinstance(links.follow(group, name, name), Missing)


def _key(array: HdfArray) -> tuple[object, ...]:
    """What tells arrays apart: the joined ones by name, others by their dataset."""
    return (array.name,) if len(array.parts) > 1 or array.missing else links.identity(array.dataset)


def _signals(root: h5py.File, tree: links.Tree) -> Iterator[tuple[str, HdfArray]]:
    """The arrays that NXdata groups name as what is to be shown; those that `default` leads to come first."""
    default = _default(root)
    for path, group in tree.groups.items():
        if text(group, "NX_class") != "NXdata":
            continue
        name = _signal(group)
        if name is None:
            continue
        array = _array(path, group, name, rank=OBVIOUS if path == default else LIKELY)
        if array is not None:
            yield path, array


def _default(root: h5py.File) -> str:
    """The group that `default` leads to; of a file without it the data of its only entry."""
    group: h5py.Group = root
    path = ""
    for _ in range(8):
        name = text(group, "default")
        below = links.group(group, name) if name and "/" not in name else None
        if below is None:
            break
        group, path = below, f"{path}/{name}"
    if path and text(group, "NX_class") == "NXdata":
        return path
    entries = [name for name, item in _groups(group) if text(item, "NX_class") == "NXentry"] if not path else []
    return f"/{entries[0]}/data" if len(entries) == 1 else f"{path}/data" if path else "/entry/data"


def _groups(group: h5py.Group) -> Iterator[tuple[str, h5py.Group]]:
    try:
        names = list(group)[:1000]
    except DAMAGE:
        return
    for name in names:
        found = links.group(group, name)
        if found is not None:
            yield name, found


def _signal(group: h5py.Group) -> str | None:
    named = text(group, "signal")
    if named and named in group:
        return named
    try:
        members = sorted(group)[:1000]
    except DAMAGE:
        return None
    for name in members:  # as before 2014: an attribute of the dataset
        item = links.dataset(group, name)
        if item is not None and str(attribute(item, "signal")) in ("1", "1.0"):
            return name
    plain_names = ("data", "data_000001", *(name for name in members if _PART.fullmatch(name)))
    return next((name for name in plain_names if name in members), None)


def _array(path: str, group: h5py.Group, signal: str, rank: int) -> HdfArray | None:
    names = _series(group, signal)
    items = [links.follow(group, name, f"{path}/{name}") for name in names]
    parts = tuple(item for item in items if isinstance(item, h5py.Dataset) and plain.is_numbers(item))
    missing = next((item for item in items if isinstance(item, Missing)), None)
    if missing is not None and not parts:
        parts = ()
    parts = tuple(part for part in parts if part.shape[1:] == parts[0].shape[1:] and part.dtype == parts[0].dtype)
    if not parts or parts[0].ndim < 2:
        return None
    name = path if len(names) > 1 else f"{path}/{signal}"
    kind = text(parts[0], "interpretation") or text(group, "interpretation")
    if kind in ("spectrum", "scalar") or (len(parts) > 1 and parts[0].ndim < 3):
        return HdfArray(name, parts, caption="spectra", rank=TABLE)
    array = plain.plain_array(parts[0], name)
    yx = (-2, -1) if kind == "image" or len(parts) > 1 else array.yx
    caption = f"{len(names)} data files joined" if len(names) > 1 else "signal"
    rank = rank if array.rank != TABLE else TABLE
    cautions = array.cautions if yx == array.yx else ()
    return HdfArray(
        name, parts, yx, caption, rank, (path, f"{path}/{signal}")[: 1 + (len(names) == 1)], missing, cautions
    )


def _series(group: h5py.Group, signal: str) -> list[str]:
    """The members that go on with the one that is named: data_000001, data_000002, ..."""
    match = _PART.fullmatch(signal)
    if match is None:
        return [signal]
    try:
        names = [name for name in group if (other := _PART.fullmatch(name)) and other[1] == match[1]]
    except DAMAGE:
        return [signal]
    return sorted(names)


def _header(root: h5py.File, array: HdfArray) -> Header:
    found = HeaderWriter()
    entry = links.group(root, "/" + array.name.strip("/").split("/")[0]) or root
    group = links.group(root, array.name) or links.group(root, array.name.rpartition("/")[0]) or array.dataset.parent
    _put_axes(found, group, array)
    probe = _probe(entry)
    detector = _of_class(entry, "NXdetector", ("instrument/detector", "instrument/detector_1", "instrument"))
    if detector is not None:
        _put_detector(found, detector, array)
    _put_beam(found, entry, detector, probe)
    return found.header()


def _probe(entry: h5py.Group) -> str:
    found = value(links.find(entry, "instrument/source/probe")) or value(links.find(entry, "source/probe"))
    return found if isinstance(found, str) else ""


def _of_class(entry: h5py.Group, kind: str, places: tuple[str, ...]) -> h5py.Group | None:
    for place in places:
        found = links.group(entry, place)
        if found is not None and text(found, "NX_class") == kind:
            return found
        below = [item for _, item in _groups(found) if text(item, "NX_class") == kind] if found is not None else []
        if len(below) == 1:
            return below[0]
    return None


def _put_axes(found: HeaderWriter, group: h5py.Group, array: HdfArray) -> None:
    named = attribute(group, "axes")
    names = named if isinstance(named, list) else re.split(r"[:,]", named) if isinstance(named, str) else []
    if len(names) != array.dataset.ndim:
        return
    rows, columns = (links.dataset(group, str(names[axis])) for axis in (array.axes.y, array.axes.x))
    if rows is not None and columns is not None:
        y, x = step(rows), step(columns)
        place = f"{group.name}: steps of {names[array.axes.y]}, {names[array.axes.x]} = {y}, {x} {text(rows, 'units')}"
        put_pixel(found, (y, text(rows, "units")), (x, text(columns, "units")), place)


def _put_detector(found: HeaderWriter, detector: h5py.Group, array: HdfArray) -> None:
    y, x = (_measured(detector, f"{axis}_pixel_size", _METRES) for axis in "yx")
    if y is not None and x is not None and abs(y - x) <= 1e-3 * abs(x):
        found.put("detector_pixel_um", _short(x * 1e6), f"{detector.name}/x_pixel_size = {x:g} m")
    for name in ("detector_distance", "distance"):
        metres = _measured(detector, name, _METRES)
        if metres:
            found.put("camera_length_mm", _short(metres * 1e3), f"{detector.name}/{name} = {metres:g} m")
    for name in ("count_time", "frame_time"):
        seconds = _measured(detector, name, _SECONDS)
        found.put("exposure_s", seconds, f"{detector.name}/{name} = {seconds} s")
    for name in ("saturation_value", "detectorSpecific/countrate_correction_count_cutoff"):
        counts = as_number(value(links.find(detector, name)))
        found.put("saturation_counts", counts, f"{detector.name}/{name} = {counts}")
    _put_sentinel(found, detector, array)


def _put_sentinel(found: HeaderWriter, detector: h5py.Group, array: HdfArray) -> None:
    """Dectris: the largest value of the image's depth stands for gaps and bad pixels."""
    bits = as_number(value(links.find(detector, "bit_depth_image")))
    if array.dtype.kind == "u" and bits is not None and bits in (8, 16, 32) and bits <= 8 * array.dtype.itemsize:
        largest = float(2 ** int(bits) - 1)
        place = f"{detector.name}/bit_depth_image = {bits:g}: 2^{bits:g} - 1 stands for no value"
        found.put("invalid_values", (largest,), place)


def _put_beam(found: HeaderWriter, entry: h5py.Group, detector: h5py.Group | None, probe: str) -> None:
    for path in ("instrument/beam", "sample/beam", "instrument/monochromator"):
        beam = links.group(entry, path)
        if beam is None:
            continue
        for name in ("incident_wavelength", "wavelength"):
            angstrom = _measured(beam, name, _ANGSTROM)
            if angstrom:
                return put_wavelength(found, angstrom, f"{beam.name}/{name} = {angstrom:.7g} Å", probe=probe)
        for name in ("incident_energy", "incident_beam_energy", "energy"):
            energy = _measured(beam, name, _EV)
            if energy:
                return put_energy(found, energy, f"{beam.name}/{name} = {energy:.7g} eV", probe=probe)
    energy = _measured(detector, "detectorSpecific/photon_energy", _EV) if detector is not None else None
    if energy and detector is not None:
        put_energy(found, energy, f"{detector.name}/detectorSpecific/photon_energy = {energy:.7g} eV", probe=probe)
    return None


def _measured(group: h5py.Group, name: str, units: dict[str, float]) -> float | None:
    """A number in the unit for which `units` has 1; without a unit it is taken to be in that."""
    item = links.find(group, name)
    number = as_number(value(item))
    if number is None or not isinstance(item, h5py.Dataset):
        return None
    unit = text(item, "units").lower()
    if unit and unit not in units:
        return None
    # Some files state no unit, and then often mean millimetres
    is_length = units is _METRES and not unit
    if is_length and not abs(number) <= (_LARGEST_PIXEL_M if "pixel" in name else _LONGEST_M):
        return None
    return _short(number * units.get(unit, 1.0))


def _short(number: float) -> float:
    return float(f"{number:.9g}")


def _mask(root: h5py.File, array: HdfArray) -> MaskPlace | None:
    entry_path = "/" + array.name.strip("/").split("/")[0]
    entry = links.group(root, entry_path) or root
    detector = _of_class(entry, "NXdetector", ("instrument/detector", "instrument/detector_1", "instrument"))
    if detector is not None:
        names = ("pixel_mask", "pixel_mask_1", "detectorSpecific/pixel_mask", "mask")
        places = ((f"{detector.name}/{name}", detector, name, False) for name in names)
        place = masks.first_that_fits(array, places)
        if place is not None:
            return place
    return masks.beside(root, array)


DIALECT = Dialect("NeXus", _knows, _arrays, _header, _mask, nothing="holds no image, though it is a NeXus file")
