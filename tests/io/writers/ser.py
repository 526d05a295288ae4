"""SER and EMI of FEI's TIA, packed by hand.

Layout: https://www.er-c.org/cbb/info/TIAformat/.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TYPES = {"uint8": 1, "uint16": 2, "uint32": 3, "int8": 4, "int16": 5, "int32": 6, "float32": 7, "float64": 8,
         "complex64": 9}  # fmt: skip
IMAGES, SPECTRA = 0x4122, 0x4120


def ser_bytes(
    images: Sequence[NDArray[Any]],
    *,
    pixel: tuple[float, float] = (1e-10, 1e-10),
    version: int = 0x0210,
    planned: int | None = None,
    kind: int = IMAGES,
) -> bytes:
    """Series of images as TIA stores them, lowest row first; pixel (y, x) in m or 1/m."""
    planned = len(images) if planned is None else planned
    word = "q" if version >= 0x0220 else "i"
    head = struct.pack("<hhhiiii", 0x4949, 0x0197, version, kind, 0x4152, planned, len(images))
    dimension = struct.pack("<idd2i", planned, 0.0, 1.0, 0, 6) + b"Number" + struct.pack("<i", 0)
    table = len(head) + struct.calcsize(f"<{word}") + 4 + len(dimension)
    body, offsets, at = b"", [], table + 2 * planned * struct.calcsize(f"<{word}")
    for data in images:
        offsets.append(at + len(body))
        height, width = data.shape
        body += struct.pack("<ddiddi", 0.0, pixel[1], 0, 0.0, pixel[0], 0)
        body += struct.pack("<hii", TYPES[data.dtype.name], width, height)
        body += data[::-1].astype(data.dtype.newbyteorder("<")).tobytes()
    listed = offsets + [0] * (planned - len(offsets))
    tables = struct.pack(f"<{2 * planned}{word}", *listed, *[0] * planned)
    return head + struct.pack(f"<{word}i", table, 1) + dimension + tables + body


def emi_bytes(*objects: dict[str, Any]) -> bytes:
    """EMI around the XML of its objects; only the XML is of known layout."""
    return b"JK\0\2" + bytes(100) + b"\0\0".join(_object(**values) for values in objects) + bytes(50)


def _object(
    mode: str = "TEM uP SA Zoom Image",
    volts: float = 200000,
    data: Sequence[tuple[str, str, str]] = (),
    acquisition: str = "",
) -> bytes:
    listed = (("High tension", str(volts / 1e3), "kV"), ("Mode", f" {mode}", ""), *data)
    values = "".join(f"<Data><Label>{k}</Label><Value>{v}</Value><Unit>{u}</Unit></Data>" for k, v, u in listed)
    return (
        "<ObjectInfo><ExperimentalConditions><MicroscopeConditions>"
        f"<AcceleratingVoltage>{volts}</AcceleratingVoltage></MicroscopeConditions></ExperimentalConditions>"
        f"<ExperimentalDescription><Root>{values}</Root>\n</ExperimentalDescription>"
        f"<AcquireInfo>{acquisition}</AcquireInfo></ObjectInfo>"
    ).encode()


CAMERA = "<DwellTimePath>0.0625</DwellTimePath><CameraNamePath>a camera</CameraNamePath><Binning>4</Binning>"
PATTERN: dict[str, Any] = {
    "mode": "TEM uP SA Zoom Diffraction",
    "data": (("Camera length", "0.490", "m"), ("Defocus", "-3.218", "")),
    "acquisition": CAMERA,
}
"""What TIA writes of a camera in diffraction mode."""


def seeds(folder: Path) -> list[Path]:
    """A pattern and a stack, each with its EMI, in both versions; images of different sizes; one alone."""
    data = np.arange(5 * 7, dtype="<u2").reshape(5, 7)
    files = {
        "pattern_1.ser": ser_bytes([data.astype("f4")], pixel=(1e8, 1e8)),
        "pattern.emi": emi_bytes(PATTERN),
        "stack_1.ser": ser_bytes([data] * 3, version=0x0220, planned=4),
        "stack.emi": emi_bytes({}),
        "sizes_1.ser": ser_bytes([data, data[:3]]),
        "alone_1.ser": ser_bytes([data.astype("i4")], pixel=(1.0, 1.0)),
    }
    for name, written in files.items():
        (folder / name).write_bytes(written)
    return [folder / name for name in files]
