"""DM3 and DM4 of Gatan's DigitalMicrograph; the tags through nionswift-io."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array, Format, Item, Stored, cut_short, finite_number, nbytes, shape_text
from napari_subangstrom_cdi.io.header import Header, HeaderWriter, Pixel, pixel_in

from .dm_tags import Extent, Tags, read_tags

# Types by DigitalMicrograph's number, ImageData.DataType. Packed complex numbers are half of a transform.
_DTYPES: Mapping[int, str] = {
    1: "<i2", 2: "<f4", 3: "<c8", 5: "<c8", 6: "u1", 7: "<i4", 9: "i1", 10: "<u2", 11: "<u4", 12: "<f8", 13: "<c16",
    14: "u1", 27: "<c8", 28: "<c16", 39: "<i8", 40: "<u8",
}  # fmt: skip
_PACKED = (5, 27, 28)
_RGBA = 23
_COLOURS = (8, _RGBA)

# Where the tags of a record stand if another one was computed from it.
_TAG_ROOTS = ((), ("source", "Tags at creation"))


@dataclass(frozen=True)
class _Image:
    """One entry of the file's list of images."""

    number: int
    """In the list, from 0, the thumbnail counted in."""

    tags: Mapping[str, Any]
    extent: Extent
    shape: tuple[int, ...]
    data_type: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values; a colour is one number of four bytes."""
        return np.dtype("<u4" if self.data_type in _COLOURS else _DTYPES[self.data_type])

    @property
    def is_image(self) -> bool:
        """Whether it has two axes or more, and numbers for values."""
        return len(self.shape) >= 2 and self.data_type not in _COLOURS

    @property
    def name(self) -> str:
        return str(self.tags.get("Name", ""))


def _matches(head: bytes) -> bool:
    # Version, size and byte order, and the root group's two flags.
    if head[:4] == b"\0\0\0\3":
        return head[8:11] == b"\0\0\0" and head[11:12] in (b"\0", b"\1")
    return head[:4] == b"\0\0\0\4" and head[12:15] == b"\0\0\0" and head[15:16] in (b"\0", b"\1")


@contextmanager
def _open(path: Path, dataset: str | None) -> Iterator[Stored]:
    images, first = _images(read_tags(path), path)
    image = images[first] if dataset is None else _named(images, dataset, path)
    _check(image, path)
    if image.data_type == _RGBA and len(image.shape) == 2 and _is_grey(image, path):
        yield _grey(image, path)
        return
    others = [i for i, other in enumerate(images) if other is not image and other.is_image]
    caution = f"holds other images, too: {', '.join(f'{path.name}::{i}' for i in others)}"
    yield Stored(
        shape=_frames(image, path),
        dtype=image.dtype,
        stored_bytes=image.extent.nbytes,
        read_frame=partial(_read_frame, path, image),
        header=_header(image),
        metadata=_metadata(image) | ({"dataset": str(images.index(image))} if others else {}),
        cautions=(caution,) if others and dataset is None else (),
        colour=image.data_type in _COLOURS,
    )


def _is_grey(image: _Image, path: Path) -> bool:
    """Whether red, green and blue are the same everywhere, as in a picture of a single image."""
    rows, width = image.shape
    return all(
        (np.ptp(_colours(image, path, row, min(row + 256, rows))[..., :3], axis=-1) == 0).all()
        for row in range(0, rows, 256)
    ) and width > 0  # fmt: skip


def _colours(image: _Image, path: Path, start: int, stop: int) -> Array:
    """Rows of a picture, (row, x, 4)."""
    width = image.shape[1]
    at = image.extent.start + 4 * start * width
    return np.fromfile(path, "u1", count=4 * (stop - start) * width, offset=at).reshape(stop - start, width, 4)


def _grey(image: _Image, path: Path) -> Stored:
    return Stored(
        shape=image.shape,
        dtype=np.dtype("u1"),
        stored_bytes=image.extent.nbytes,
        read_frame=lambda k: _colours(image, path, 0, image.shape[0])[..., 0],
        held_bytes=4 * math.prod(image.shape),
        header=_header(image),
        metadata=_metadata(image),
        cautions=("is a picture in grey (red, green and blue are the same): values as shown, perhaps not counts",),
    )


def _contents(path: Path) -> tuple[Item, ...]:
    images, _ = _images(read_tags(path), path)
    items = tuple(Item(str(i), m.shape, str(m.dtype), m.name) for i, m in enumerate(images) if m.is_image)
    return items if len(items) > 1 else ()


def _images(tags: Tags, path: Path) -> tuple[list[_Image], int]:
    """All images but the thumbnail, and which of them the file shows."""
    listed = tags.root.get("ImageList")
    if not isinstance(listed, list) or not listed:
        raise InputError("holds no image", where=str(path), mend="save the image itself in DigitalMicrograph")
    thumbnails = _thumbnails(tags.root, len(listed))
    images = [_image(tags, i, path) for i in range(len(listed)) if i not in thumbnails]
    shown = _shown(tags.root)
    first = next((i for i, image in enumerate(images) if image.number == shown), None)
    if first is None or not images[first].is_image:
        # An annotation of the image, such as a profile, may come first.
        first = next((i for i, image in enumerate(images) if image.is_image), first or 0)
    return images, first


def _thumbnails(root: Mapping[str, Any], images: int) -> set[int]:
    found = {_integer(_at(t, "ImageIndex")) for t in _items(root, "Thumbnails")} - {None}
    if images > 1 and not found and _integer(_at(root, "ImageList", 0, "ImageData", "DataType")) in _COLOURS:
        found = {0}
    return {i for i in found if i is not None} if len(found) < images else set()


def _shown(root: Mapping[str, Any]) -> int | None:
    """Number of the image of the first object in the document."""
    source = _integer(_at(root, "DocumentObjectList", 0, "ImageSource"))
    return None if source is None else _integer(_at(root, "ImageSourceList", source, "ImageRef"))


def _image(tags: Tags, number: int, path: Path) -> _Image:
    entry = tags.root["ImageList"][number]
    extent = tags.arrays.get(("ImageList", number, "ImageData", "Data"))
    sizes = [_integer(n) for n in _items(_at(entry, "ImageData"), "Dimensions")]
    data_type = _integer(_at(entry, "ImageData", "DataType"))
    if extent is None or data_type is None or not sizes or any(n is None or n < 0 for n in sizes):
        raise InputError(
            f"image {number} of its list has no data, type or size",
            where=str(path),
            mend="the file is damaged: copy or export it again",
        )
    return _Image(number, entry, extent, tuple(n for n in reversed(sizes) if n is not None), data_type)


def _named(images: list[_Image], name: str, path: Path) -> _Image:
    if name.isdecimal() and len(name) < 6 and int(name) < len(images):
        return images[int(name)]
    listing = ", ".join(
        f"{i} ({shape_text(m.shape)}{f', {m.name}' if m.name else ''})" for i, m in enumerate(images[:8])
    )
    raise InputError(f"has no image {name!r}", where=str(path), mend=f"it holds {listing}")


def _check(image: _Image, path: Path) -> None:
    """Refuse what is no image, or whose sizes contradict each other."""
    if image.data_type not in _COLOURS and image.data_type not in _DTYPES:
        raise InputError(
            f"its values are of DigitalMicrograph's type {image.data_type}, which is not read",
            where=str(path),
            mend="in DigitalMicrograph, change the data type to real or integer and save it again",
        )
    kind = str(_said(image, "Meta Data", "Format")[0] or "").lower()
    lines = len(image.shape) == 1 or (kind.startswith("spectrum") and image.shape[:-1] == (1,))
    if lines or (kind.startswith("spectrum") and len(image.shape) > 2):
        what = "spectrum" if lines else "spectrum image"
        raise InputError(
            f"holds a {what} ({shape_text(image.shape)} values), no image",
            where=str(path),
            mend="give the pattern or image; in DigitalMicrograph, a slice of a spectrum image can be saved by itself",
        )
    needed = nbytes(image.shape, image.dtype)
    if needed > image.extent.nbytes and image.data_type not in _PACKED:
        raise cut_short(path, needed, image.extent.nbytes)


def _frames(image: _Image, path: Path) -> tuple[int, ...]:
    """Shape, in which the positions of a scan count as frames where each holds a pattern."""
    shape = image.shape
    if len(shape) <= 3:
        return shape
    pixel = _calibration(image, None, HeaderWriter())
    if pixel is None or pixel.unit != "1/Å":
        raise InputError(
            f"holds an array of {len(shape)} dimensions ({shape_text(shape)}), whose last two are no pattern's",
            where=str(path),
            mend="in DigitalMicrograph, save the slice that is meant as an image of its own",
        )
    return (math.prod(shape[:-2]), *shape[-2:])


def _read_frame(path: Path, image: _Image, k: int) -> Array:
    height, width = image.shape[-2:]
    start = image.extent.start + k * nbytes((height, width), image.dtype)
    return np.fromfile(path, image.dtype, count=height * width, offset=start).reshape(height, width)


def _header(image: _Image) -> Header:
    found = HeaderWriter()
    voltage, place = _said(image, "Microscope Info", "Voltage")
    found.put("energy_ev", finite_number(voltage), f"{place} = {voltage} V")
    energy = finite_number(voltage)
    pixel = _calibration(image, energy if energy and energy > 0 else None, found)
    _put_role(image, pixel, found)
    _put_camera(image, found)
    _put_counts(image, found)
    defocus, place = _said(image, "Microscope Info", "Defocus")
    if finite_number(defocus):
        found.put("defocus_nm", finite_number(defocus), f"{place} = {defocus}")
    spherical, place = _said(image, "Microscope Info", "Cs(mm)")
    if finite_number(spherical):  # 0 stands for "not known"; a corrected microscope has a small one of either sign
        found.put("cs_mm", finite_number(spherical), f"{place} = {spherical} mm")
    return found.header()


def _calibration(image: _Image, energy_ev: float | None, found: HeaderWriter) -> Pixel | None:
    """Pixel (y, x), each axis with its own unit."""
    where = f"ImageList.{image.number}.ImageData.Calibrations.Dimension"
    axes = [_at(image.tags, "ImageData", "Calibrations", "Dimension", i) for i in (1, 0)]
    scales = [finite_number(_at(axis, "Scale")) for axis in axes]
    units = [str(_at(axis, "Units") or "").strip() for axis in axes]
    if scales[0] is None or scales[1] is None or not any(units):
        return None
    y, x = (
        _one_axis(unit, scale, energy_ev) if scale is not None else None
        for unit, scale in zip(units, scales, strict=True)
    )
    text = f"{scales[0]:.7g} {units[0]}, {scales[1]:.7g} {units[1]} (y, x)"
    if y is None or x is None or y.unit != x.unit:
        found.doubt(f"{where} states pixels of {text}, of which no length follows; state the pixel yourself")
        return None
    pixel = Pixel((y.size[0], x.size[1]), y.unit)
    found.put("pixel", pixel, f"{where}[1, 0].Scale = {text}")
    return pixel


def _one_axis(unit: str, scale: float, energy_ev: float | None) -> Pixel | None:
    """Of an angle, the reciprocal length that it means at the beam's energy."""
    radians = {"rad": 1.0, "mrad": 1e-3, "µrad": 1e-6, "μrad": 1e-6}.get(unit)
    if radians is None:
        return pixel_in(unit, scale, scale)
    if energy_ev is None:
        return None
    reciprocal = scale * radians / wavelength_angstrom(energy_ev)
    return pixel_in("1/Å", reciprocal, reciprocal)


def _put_role(image: _Image, pixel: Pixel | None, found: HeaderWriter) -> None:
    """Role by the mode, which must agree with the unit; a scanned image is taken in diffraction mode, too."""
    modes = {name: str(_said(image, "Microscope Info", name)[0] or "").upper() for name in _MODES}
    said = f"{_said(image, 'Microscope Info', 'Imaging Mode')[1].rsplit('.', 1)[0]}: " + ", ".join(
        f"{name} = {mode}" for name, mode in modes.items() if mode
    )
    scanned = "SCANNING" in modes["Operation Mode"] or modes["Illumination Mode"].startswith("STEM")
    diffraction = any("DIFF" in modes[name] for name in ("Imaging Mode", "Operation Mode"))
    imaging = any(
        modes[name].split() and modes[name].split()[-1] in _IMAGING for name in ("Imaging Mode", "Operation Mode")
    )
    by_mode = "pattern" if diffraction else "image" if imaging else None
    by_unit = None if pixel is None else "pattern" if pixel.unit == "1/Å" else "image"
    if by_unit is not None and (scanned or by_mode is None or by_mode == by_unit):
        found.put("role", by_unit, f"unit of the pixel{f'; {said}' if any(modes.values()) else ''}")
    elif by_unit is not None:
        found.doubt(f"its pixel is that of {_articles[by_unit]}, but its mode that of {_articles[by_mode]} ({said})")
    elif by_mode is not None and not scanned:
        found.put("role", by_mode, said)
    if (diffraction or by_unit == "pattern") and by_unit != "image":
        _put_camera_length(image, found, scanned=scanned)


_MODES = ("Illumination Mode", "Imaging Mode", "Operation Mode")
_IMAGING = ("IMAGING", "MAG", "MAG1", "MAG2", "LOWMAG", "SAMAG", "LM", "HIGHMAG")
_articles = {"pattern": "a pattern", "image": "an image", None: ""}


def _put_camera_length(image: _Image, found: HeaderWriter, *, scanned: bool) -> None:
    """In diffraction mode the magnification is the camera length in mm: the actual one goes before the nominal one."""
    names = ("STEM Camera Length",) if scanned else ("Actual Magnification", "Indicated Magnification")
    for name in names:
        length, place = _said(image, "Microscope Info", name)
        found.put("camera_length_mm", finite_number(length), f"{place} = {length} mm")


def _put_camera(image: _Image, found: HeaderWriter) -> None:
    binning, place = _pair(image, "Acquisition", "Parameters", "High Level", "Binning")
    if binning is not None and min(binning) >= 1:
        by = int(binning[1]), int(binning[0])
        found.put("binning", by, f"{place} = {by[1]}, {by[0]} (x, y)")
    else:
        by = None
    for branch in (("Device", "CCD"), ("Frame", "CCD")):
        size, place = _pair(image, "Acquisition", *branch, "Pixel Size (um)")
        if size is None or by is None or size[0] != size[1] or by[0] != by[1]:
            continue
        found.put("detector_pixel_um", size[0] * by[0], f"{place} = {size[0]:g} µm, unbinned; binning {by[0]}")
    for names, unit in _EXPOSURES.items():
        exposure, place = _said(image, *names)
        number = finite_number(exposure)
        found.put("exposure_s", None if number is None else number * unit, f"{place} = {exposure}")


_EXPOSURES = {
    ("Acquisition", "Frame", "Sequence", "Exposure Time (ns)"): 1e-9,
    ("Acquisition", "Parameters", "High Level", "Exposure (s)"): 1.0,
    ("DataBar", "Exposure Time (s)"): 1.0,
}


def _put_counts(image: _Image, found: HeaderWriter) -> None:
    """Levels of the detector; of corrected frames the dark level is subtracted already."""
    levels = ("Acquisition", "Frame", "Intensity", "Range")
    saturation, place = _said(image, *levels, "Saturation Level (counts)")
    dark, dark_place = _said(image, *levels, "Dark Level (counts)")
    processing, _ = _said(image, "Acquisition", "Parameters", "High Level", "Processing")
    raw = "unprocessed" in str(processing or "").lower()
    high, low = finite_number(saturation), finite_number(dark)
    if raw and low is not None:
        found.put("offset_counts", low, f"{dark_place} = {dark}, of an unprocessed frame")
    if high is not None and raw:
        found.put("saturation_counts", high, f"{place} = {saturation}")
    elif high is not None and low is not None and processing:
        text = f"{place} = {saturation}, less the dark level {dark}, as it is {str(processing).lower()}"
        found.put("saturation_counts", high - low, text)
    noise, place = _said(
        image, "Acquisition", "Frame", "Reference Images", "Dark", "Standard Deviation (counts)"
    )  # fmt: skip
    found.put("dark_noise_counts", finite_number(noise), f"{place} = {noise}")
    _put_electrons(image, found)


def _put_electrons(image: _Image, found: HeaderWriter) -> None:
    """Electrons are (value - Origin) Scale, if that is the unit of brightness."""
    brightness = _at(image.tags, "ImageData", "Calibrations", "Brightness")
    scale, origin = finite_number(_at(brightness, "Scale")), finite_number(_at(brightness, "Origin"))
    if str(_at(brightness, "Units") or "").strip().lower() not in ("e-", "e", "electrons") or not scale:
        return
    where = f"ImageList.{image.number}.ImageData.Calibrations.Brightness"
    found.put("counts_per_electron", 1 / scale, f"{where}.Scale = {scale:.7g} e-")
    if origin:
        found.put("offset_counts", origin, f"{where}.Origin = {origin:.7g}")


def _metadata(image: _Image) -> dict[str, str]:
    wanted = {
        "microscope": ("Microscope Info", "Name"),
        "camera": ("Acquisition", "Device", "Name"),
        "processing": ("Acquisition", "Parameters", "High Level", "Processing"),
        "date": ("DataBar", "Acquisition Date"),
        "time": ("DataBar", "Acquisition Time"),
        "signal": ("Meta Data", "Signal"),
    }
    found = {key: str(_said(image, *names)[0] or "") for key, names in wanted.items()}
    return {"name": image.name} | {key: value for key, value in found.items() if value}


def _said(image: _Image, *names: str) -> tuple[Any, str]:
    """Value among the image's tags, None if there is none, and its place."""
    for root in _TAG_ROOTS:
        value = _at(image.tags, "ImageTags", *root, *names)
        if value is not None:
            return value, f"ImageList.{image.number}.ImageTags." + ".".join((*root, *names))
    return None, f"ImageList.{image.number}.ImageTags." + ".".join(names)


def _pair(image: _Image, *names: str) -> tuple[tuple[float, float] | None, str]:
    """Value of two numbers, (x, y), and its place."""
    value, place = _said(image, *names)
    if not isinstance(value, tuple | list) or len(value) != 2:
        return None, place
    x, y = finite_number(value[0]), finite_number(value[1])
    return (None if x is None or y is None else (x, y)), place


def _at(node: Any, *path: str | int) -> Any:
    """What the tree holds at a path; None if there is nothing."""
    for step in path:
        if isinstance(node, Mapping):
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int) and 0 <= step < len(node):
            node = node[step]
        else:
            return None
    return node


def _items(node: Any, name: str) -> list[Any]:
    found = _at(node, name)
    return found if isinstance(found, list) else []


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


FORMAT = Format("DM3/DM4", (".dm3", ".dm4"), _matches, _open, has_datasets=True, contents=_contents)
