"""DM3 and DM4 of DigitalMicrograph, packed by hand: a tree of groups (dict, list) whose leaves say their type.

Layout: https://www.er-c.org/cbb/info/dmformat/.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# DigitalMicrograph's number of an image's type, and the number of its elements' type.
IMAGE_TYPES = {"int16": 1, "float32": 2, "complex64": 3, "uint8": 6, "int32": 7, "int8": 9, "uint16": 10, "uint32": 11,
               "float64": 12, "uint64": 40, "int64": 39}  # fmt: skip
ELEMENTS = {"int16": 2, "int32": 3, "uint16": 4, "uint32": 5, "float32": 6, "float64": 7, "int8": 9, "uint8": 10,
            "int64": 11, "uint64": 12}  # fmt: skip
RGB = 23
THUMBNAIL = {
    "ImageData": {"Data": np.zeros(16, "<u4"), "DataType": RGB, "Dimensions": [4, 4], "PixelDepth": 4},
    "Name": "thumbnail",
}


def image(
    data: NDArray[Any], *, units: tuple[str, ...] = ("", ""), scales: tuple[float, ...] = (1.0, 1.0), **tags: Any
) -> dict[str, Any]:
    """Entry of the list of images; units and scales as in the file, x first."""
    axes = [{"Origin": 0.0, "Scale": float(s), "Units": u} for s, u in zip(scales, units, strict=True)]
    pixels: Any = data.ravel()
    if data.dtype.kind == "c":
        pixels = ("complex", data)
    return {
        "ImageData": {
            "Calibrations": {"Dimension": axes, "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""}},
            "Data": pixels,
            "DataType": IMAGE_TYPES[data.dtype.name],
            "Dimensions": list(data.shape[::-1]),
            "PixelDepth": data.itemsize,
        },
        "ImageTags": tags,
        "Name": "record",
    }


def dm_bytes(*images: dict[str, Any], version: int = 3, shown: int | None = None, thumbnail: bool = True) -> bytes:
    """File that shows one of its images (the first), after a thumbnail."""
    listed = [THUMBNAIL, *images] if thumbnail else list(images)
    tree = {
        "DocumentObjectList": [{"ImageSource": 0}],
        "ImageList": listed,
        "ImageSourceList": [{"ClassName": "ImageSource:Simple", "ImageRef": shown or int(thumbnail)}],
        "Thumbnails": [{"ImageIndex": 0}] if thumbnail else [],
    }
    return tree_bytes(tree, version)


def tree_bytes(tree: Any, version: int = 3, *, order: int = 1) -> bytes:
    """Any tree of tags as a file."""
    word = ">L" if version == 3 else ">Q"
    root = _group(tree, word)
    return struct.pack(">l", version) + struct.pack(word, len(root) + 4) + struct.pack(">l", order) + root + bytes(8)


def _group(node: Any, word: str) -> bytes:
    named = isinstance(node, dict)
    entries = node.items() if named else (("", value) for value in node)
    body = b"".join(_entry(name, value, word) for name, value in entries)
    return struct.pack(">bb", named, 0) + struct.pack(word, len(node)) + body


def _entry(name: str, value: Any, word: str) -> bytes:
    is_group = isinstance(value, dict | list)
    body = _group(value, word) if is_group else _leaf(value, word)
    text = name.encode("latin-1")
    size = struct.pack(word, len(body)) if word == ">Q" else b""
    return struct.pack(">bH", 20 if is_group else 21, len(text)) + text + size + body


def _leaf(value: Any, word: str) -> bytes:
    info, stored = _value(value)
    return b"%%%%" + struct.pack(f">{len(info) + 1}{word[1]}", len(info), *info) + stored


def _value(value: Any) -> tuple[list[int], bytes]:
    """Words that describe a value, and its bytes."""
    if isinstance(value, bool):
        return [8], struct.pack("<b", value)
    if isinstance(value, int):
        return [3], struct.pack("<i", value)
    if isinstance(value, float):
        return [7], struct.pack("<d", value)
    if isinstance(value, str):
        text = value.encode("utf-16-le")
        return [20, 4, len(text) // 2], text
    if isinstance(value, np.ndarray):
        return [20, ELEMENTS[value.dtype.name], value.size], value.astype(value.dtype.newbyteorder("<")).tobytes()
    if value[0] == "complex":
        return [20, 15, 0, 2, 0, 6, 0, 6, value[1].size], value[1].tobytes()
    described = [word for _ in value for word in (0, 7)]
    return [15, 0, len(value), *described], struct.pack(f"<{len(value)}d", *value)


def seeds(folder: Path) -> list[Path]:
    """A pattern with all tags that are read, a stack, two images, a colour picture, in both versions."""
    data = np.arange(5 * 7, dtype="<u2").reshape(5, 7)
    pattern = image(data, units=("1/nm", "1/nm"), scales=(0.17, 0.17), **DIFFRACTION)
    files = {
        "pattern.dm3": dm_bytes(pattern),
        "pattern.dm4": dm_bytes(pattern, version=4),
        "stack.dm4": dm_bytes(image(np.stack([data] * 3), units=("nm", "nm", ""), scales=(0.1, 0.1, 1.0)), version=4),
        "two.dm3": dm_bytes(image(data.astype("f4"), units=("nm", "µm")), image(data.astype("u1")), shown=2),
        "rgb.dm3": dm_bytes(THUMBNAIL, thumbnail=False),
        "complex.dm3": dm_bytes(image(data.astype("c8"))),
    }
    for name, written in files.items():
        (folder / name).write_bytes(written)
    return [folder / name for name in files]


DIFFRACTION = {
    "Microscope Info": {
        "Voltage": 200000.0,
        "Imaging Mode": "DIFFRACTION",
        "Illumination Mode": "TEM",
        "Operation Mode": "DIFFRACTION",
        "Actual Magnification": 32.0,
        "Indicated Magnification": 320.0,
        "Cs(mm)": 0.0,
        "Name": "a microscope",
    },
    "Acquisition": {
        "Device": {"CCD": {"Pixel Size (um)": (14.0, 14.0)}, "Name": "a camera"},
        "Parameters": {"High Level": {"Binning": (2.0, 2.0), "Exposure (s)": 0.2, "Processing": "Gain Normalized"}},
        "Frame": {
            "Intensity": {"Range": {"Dark Level (counts)": 250.0, "Saturation Level (counts)": 65785.0}},
            "Reference Images": {"Dark": {"Standard Deviation (counts)": 3.43}},
        },
    },
}
"""Tags of a camera in diffraction mode, as a file of an UltraScan has them."""
