"""SER of FEI's TIA, with the EMI that belongs to it.

The numbers are in ``NAME_1.ser``, in a layout found by C. Boothroyd, https://www.er-c.org/cbb/info/TIAformat/; what the
microscope was doing is in ``NAME.emi``, as XML. Either may be opened. TIA counts y upwards: the first row of the file
is the lowest one that it shows, and the last one here.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array, Format, Item, Stored, cut_short, nbytes, shape_text
from napari_subangstrom_cdi.io.header import Header, HeaderWriter, pixel_in

from .emi import MAGIC as _EMI_MAGIC
from .emi import Emi, emi_beside, read_emi

_MAGIC = b"II\x97\x01"
_VERSION_64 = 0x0220  # offsets of 8 bytes from this version on
_IMAGES, _SPECTRA = 0x4122, 0x4120
_DTYPES: Mapping[int, str] = {
    1: "u1", 2: "<u2", 3: "<u4", 4: "i1", 5: "<i2", 6: "<i4", 7: "<f4", 8: "<f8", 9: "<c8", 10: "<c16",
}  # fmt: skip
_ELEMENT = struct.Struct("<ddiddihii")  # offset, pixel and centre of x, of y; type; width and height
_MOST_ELEMENTS = 300_000  # above a scan of 512 x 512

# A pixel of TIA in metres is less than a millimetre; in 1/m, of reciprocal space, it is more than a thousand.
_LENGTHS, _RECIPROCALS = 1e-3, 1e3


@dataclass(frozen=True)
class _Element:
    """One image of the series."""

    start: int
    """Of its pixels, in bytes."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    pixel: tuple[float, float]
    """(y, x), in m or 1/m; the file does not say which."""


@dataclass(frozen=True)
class _Series:
    """The images of a file.

    Parameters
    ----------
    elements : list of _Element
        Those that were recorded.
    planned : int
        How many were meant.
    size : int
        Of the file, bytes.
    """

    elements: list[_Element]
    planned: int
    size: int

    @property
    def alike(self) -> bool:
        """Whether they are frames of one stack."""
        return len({(e.shape, e.dtype) for e in self.elements}) == 1


@contextmanager
def _open(path: Path, dataset: str | None) -> Iterator[Stored]:
    yield _stored(path, dataset)


@contextmanager
def _open_emi(path: Path, dataset: str | None) -> Iterator[Stored]:
    files = _data_of(path)
    if dataset is None:
        shown = [n for n, file in files.items() if _listing(file)] if len(files) > 1 else list(files)
        if len(shown) > 1:
            raise InputError(
                f"has several records: {', '.join(files[n].name for n in shown[:8])}",
                where=str(path),
                mend=f"give one of these files, or {path.name}::{shown[0]}",
            )
        number = shown[0] if shown else next(iter(files))
    else:
        number = int(dataset) if dataset.isdecimal() and len(dataset) < 9 else -1
    if number not in files:
        raise InputError(
            f"has no record {dataset!r}",
            where=str(path),
            mend=f"it has {', '.join(str(n) for n in files)}",
        )
    yield _stored(files[number], None)


def _stored(path: Path, dataset: str | None) -> Stored:
    series = _read(path)
    elements, first = series.elements, 0
    if not series.alike or dataset is not None:
        first = _chosen(series, dataset, path)
        elements = elements[first : first + 1]
    one, frames = elements[first if series.alike and dataset is None else 0], len(elements)
    claimed = frames * nbytes(one.shape, one.dtype)
    recorded = len(series.elements)
    cautions = [f"only {recorded} of {series.planned} images were recorded"] if recorded < series.planned else []
    return Stored(
        shape=one.shape if frames == 1 else (frames, *one.shape),
        dtype=one.dtype,
        stored_bytes=min(claimed, series.size),
        read_frame=partial(_read_frame, path, elements),
        header=_header(one, read_emi(path)),
        metadata={"dataset": str(first)} if dataset is not None or not series.alike else {},
        cautions=tuple(cautions),
    )


def _chosen(series: _Series, dataset: str | None, path: Path) -> int:
    if dataset is not None and dataset.isdecimal() and len(dataset) < 9 and int(dataset) < len(series.elements):
        return int(dataset)
    shapes = ", ".join(f"{i} ({shape_text(e.shape)})" for i, e in enumerate(series.elements[:8]))
    if dataset is None:
        raise InputError(
            f"holds images of different sizes: {shapes}",
            where=str(path),
            mend=f"choose one, as {path.name}::0",
        )
    raise InputError(f"has no image {dataset!r}", where=str(path), mend=f"it holds {shapes}")


def _contents(path: Path) -> tuple[Item, ...]:
    series = _read(path)
    if series.alike:
        return ()
    return tuple(Item(str(i), e.shape, str(e.dtype)) for i, e in enumerate(series.elements))


def _contents_emi(path: Path) -> tuple[Item, ...]:
    files = _data_of(path)
    found = ((number, file, _listing(file)) for number, file in files.items())
    items = tuple(Item(str(n), item.shape, item.dtype, file.name) for n, file, item in found if item is not None)
    return items if len(items) > 1 else ()


def _listing(path: Path) -> Item | None:
    """What a file among others holds; None if that is no image or cannot be read."""
    try:
        series = _read(path)
    except (InputError, OSError, ValueError, struct.error):
        return None
    one, n = series.elements[0], len(series.elements)
    return Item("", one.shape if n == 1 or not series.alike else (n, *one.shape), str(one.dtype))


def _data_of(path: Path) -> dict[int, Path]:
    """The SER files that belong to an EMI, by number."""
    name = re.compile(re.escape(path.stem) + r"_(\d{1,6})\.ser", re.IGNORECASE)
    found = {int(match[1]): file for file in path.parent.iterdir() if (match := name.fullmatch(file.name))}
    if not found:
        raise InputError(
            f"its numbers are in {path.stem}_1.ser, which is not beside it",
            where=str(path),
            mend="copy that file there, too, or give it alone",
        )
    return dict(sorted(found.items()))


def _read(path: Path) -> _Series:
    """All headers of a file, checked against its size."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        size = len(raw)
        _need(path, 30, size)
        version, kind, _, planned, valid = struct.unpack_from("<hiiii", raw, 4)
        wide = version >= _VERSION_64
        table = struct.unpack_from("<q" if wide else "<i", raw, 22)[0]
        if kind == _SPECTRA:
            raise InputError("holds spectra, no images", where=str(path), mend="give the pattern or image")
        if valid > _MOST_ELEMENTS:
            raise InputError(
                f"claims {valid:,} images, above the limit of {_MOST_ELEMENTS:,}",
                where=str(path),
                mend="check that the file is sound, or save those that are meant as a file of their own",
            )
        if kind != _IMAGES or table < 0 or planned < 0 or valid < 0 or valid > planned:
            raise InputError(
                f"the header is damaged (kind {kind:#x}, {valid} of {planned} images)",
                where=str(path),
                mend="copy or export it again",
            )
        if valid == 0:
            raise InputError(
                "holds no image: the recording ended before the first",
                where=str(path),
                mend="give a complete record",
            )
        _need(path, table + valid * (8 if wide else 4), size)
        offsets = struct.unpack_from(f"<{valid}{'q' if wide else 'i'}", raw, table)
        return _Series([_element(raw, start, path) for start in offsets], planned, size)


def _element(raw: mmap.mmap, start: int, path: Path) -> _Element:
    size = len(raw)
    if start < 0:
        raise ValueError("an image that starts before the file")
    _need(path, start + _ELEMENT.size, size)
    _, x, _, _, y, _, kind, width, height = _ELEMENT.unpack_from(raw, start)
    if kind not in _DTYPES or width < 0 or height < 0:
        raise ValueError(f"an image of type {kind} and {height} x {width} pixels")
    dtype = np.dtype(_DTYPES[kind])
    _need(path, start + _ELEMENT.size + nbytes((height, width), dtype), size)
    return _Element(start + _ELEMENT.size, (height, width), dtype, (y, x))


def _need(path: Path, needed: int, size: int) -> None:
    if needed > size:
        raise cut_short(path, needed, size)


def _read_frame(path: Path, elements: list[_Element], k: int) -> Array:
    one = elements[k]
    stored: Array = np.fromfile(path, one.dtype, count=math.prod(one.shape), offset=one.start).reshape(one.shape)
    return stored[::-1]


def _header(element: _Element, emi: Emi) -> Header:
    found = HeaderWriter()
    unit = _put_pixel(element, found)
    mode = emi.text("Mode")
    by_unit = {"m": "image", "1/m": "pattern"}.get(unit or "")
    if emi.missing is not None:
        found.doubt(emi.missing)
    if mode is None:
        found.put("role", by_unit, "CalibrationDelta, by its size")
    else:
        _put_role(by_unit, mode[0], mode[1], found)
    _put_conditions(emi, by_unit, found)
    return found.header()


def _put_pixel(element: _Element, found: HeaderWriter) -> str | None:
    """Pixel and its unit, which the file leaves out, but which the size of the number tells."""
    y, x = (abs(size) for size in element.pixel)
    unit = "m" if 0 < max(y, x) < _LENGTHS else "1/m" if _RECIPROCALS < min(y, x) < math.inf else None
    said = f"{y:.7g}, {x:.7g} (y, x)"
    if unit is None:
        if y > 0 or x > 0:
            found.doubt(
                f"CalibrationDelta = {said} is no pixel in m, nor in 1/m: it was not calibrated; state the pixel"
            )
        return None
    found.put("pixel", pixel_in(unit, y, x), f"CalibrationDeltaY, X = {said}, by its size in {unit}")
    return unit


def _put_role(by_unit: str | None, mode: str, place: str, found: HeaderWriter) -> None:
    """Role by the microscope's mode; scanned, it records images and patterns in diffraction mode."""
    words = mode.upper().split()
    by_mode = (
        None if "STEM" in words else "pattern" if "DIFFRACTION" in words else "image" if "IMAGE" in words else None
    )
    if by_mode is None or by_unit in (None, by_mode):
        said = place if by_mode else f"CalibrationDelta, by its size; {place}"
        found.put("role", by_mode or by_unit, said)
    else:
        found.doubt(f"its pixel is that of {_A[str(by_unit)]}, but its mode that of {_A[by_mode]} ({place})")


_A = {"pattern": "a pattern", "image": "an image"}


def _put_conditions(emi: Emi, by_unit: str | None, found: HeaderWriter) -> None:
    volts, kilovolts = emi.number("AcceleratingVoltage"), emi.number("High tension", "kV")
    if volts:
        found.put("energy_ev", volts[0], f"{volts[1]} V")
    if kilovolts:
        found.put("energy_ev", kilovolts[0] * 1e3, kilovolts[1])
    length, defocus = emi.number("Camera length", "m"), emi.number("Defocus", "um")
    if length and by_unit != "image":
        found.put("camera_length_mm", length[0] * 1e3, length[1])
    if defocus and by_unit != "pattern":  # in diffraction mode it has no unit
        found.put("defocus_nm", defocus[0] * 1e3, defocus[1])
    exposure, binning = emi.number("DwellTimePath"), emi.number("Binning")
    if exposure and emi.text("CameraNamePath"):
        found.put("exposure_s", exposure[0], f"{exposure[1]} s")
    if binning and binning[0] >= 1 and binning[0].is_integer():
        found.put("binning", (int(binning[0]),) * 2, binning[1])


def _companions(path: Path) -> tuple[Path, ...]:
    emi = emi_beside(path)
    return () if emi is None else (emi,)


FORMAT = Format(
    "SER",
    (".ser",),
    lambda head: head.startswith(_MAGIC),
    _open,
    has_datasets=True,
    contents=_contents,
    companions=_companions,
)
EMI = Format(
    "EMI",
    (".emi",),
    lambda head: head.startswith(_EMI_MAGIC),
    _open_emi,
    has_datasets=True,
    contents=_contents_emi,
    companions=lambda path: tuple(_data_of(path).values()),
)
