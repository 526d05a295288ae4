"""TIFF with the tags of camera software, packed by hand; pixels through tifffile."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

Array = NDArray[Any]
ExtraTag = tuple[int, int | str, int, Any, bool]


def counts(shape: tuple[int, ...] = (24, 32), dtype: str = "u2", largest: int = 60000) -> Array:
    """Counts that differ from pixel to pixel."""
    return np.random.default_rng(3).integers(1, largest, shape).astype(dtype)


def tvips_tag(version: int = 2, **said: float) -> ExtraTag:
    """Tag 37706: TemData of EM-MENU, 40 integers of version 1 and what version 2 adds; lengths in nm, times in ms."""
    ints = [0] * 40
    for place, name in {0: "HighTension", 1: "SphericalAberration", 3: "Magnification", 4: "PostMagnification"}.items():
        ints[place] = round(said.get(name, 0))
    for place, name in {14: "ImageMode", 23: "PhysicalPixelSize", 24: "Binning", 28: "ExposureTimeV1"}.items():
        ints[place] = round(said.get(name, 0))
    data = struct.pack("<i80s40i", version, b"", *ints)
    if version == 2:
        data += b"".join((
            bytes(320 + 28 + 2048 + 64 + 256 + 8),  # name, folder, sizes, comment, history, scaling, statistics, types
            struct.pack("<2f", said.get("PixelSizeX", 0), said.get("PixelSizeY", said.get("PixelSizeX", 0))),
            bytes(34 * 4) + "a microscope".encode("utf-16-le").ljust(160, b"\0"),
            struct.pack("<f", said.get("TemHighTension", 0)) + bytes(64 * 4),
            struct.pack("<if", round(said.get("TemMode", 0)), said.get("TemMagnification", 0)),
            bytes(2 * 4 + 4 + 21 * 4 + 4 + 32 * 4 + 160),  # corrections, stage, shifts, shutter, misc, camera's type
            struct.pack("<2f", said.get("PhysicalPixelSizeX", 0), said.get("PhysicalPixelSizeX", 0)),
            struct.pack("<4i", 0, 0, round(said.get("BinningX", 1)), round(said.get("BinningY", 1))),
            struct.pack("<f", said.get("ExposureTime", 0)),
            bytes(2 * 4 + 160 + 34 * 4 + 2048),
            struct.pack("<I", round(said.get("Magic", 0xAAAAAAAA))),
        ))  # fmt: skip
    return (37706, "B", len(data), data, True)


def dm_tags(unit: str, x: float, y: float, **more: Any) -> list[ExtraTag]:
    """Tags 65003 to 65013 of DigitalMicrograph; `more` by number, as ``_65024``."""
    doubles = {65009: x, 65010: y} | {int(k[1:]): v for k, v in more.items() if isinstance(v, float)}
    texts = {65003: unit, 65004: unit} | {int(k[1:]): v for k, v in more.items() if isinstance(v, str)}
    tags: list[ExtraTag] = [(code, "s", 0, text.encode(), True) for code, text in texts.items()]
    return tags + [(code, "d", 1, value, True) for code, value in doubles.items()]


def jeol_xml(mode: str = "modeDIFF", selector: float = 400, volts: float = 200000, eos: str = "eosTEM") -> str:
    """ImageDescription of SightX: what a TemReporter holds of use here."""
    return (
        '<?xml version="1.0"?>\n<TemReporter>'
        f"<ElectronGun><AccelerationVoltage>{volts:g}</AccelerationVoltage></ElectronGun><Eos><EosMode>{eos}</EosMode></Eos>"
        f"<ImageFormingSystem><ImageFormingMode>{mode}</ImageFormingMode><SelectorValue>{selector:g}</SelectorValue>"
        "</ImageFormingSystem><Camera><Parameter><BinningHorizontalSize>2</BinningHorizontalSize>"
        "<BinningVerticalSize>2</BinningVerticalSize><ExposureTimeValue>250000</ExposureTimeValue><ImageDataInformation>"
        "<PixelsPerMeter><Horizontal>4000</Horizontal><Vertical>4000</Vertical></PixelsPerMeter></ImageDataInformation>"
        "<FrameIntegration>3</FrameIntegration></Parameter></Camera><Scan><ExposureTimeValue>0</ExposureTimeValue></Scan>"
        "</TemReporter>"
    )


def jeol(path: Path, data: Array, **said: Any) -> None:
    """A record of SightX, of 100 dpi."""
    tifffile.imwrite(
        path, data, description=jeol_xml(**said), metadata=None, resolution=(100, 100), resolutionunit="INCH"
    )


def item_tag(x_m: float) -> bytes:
    """Structure of tag 33560 of iTEM, and the calibration that it points to; to be put behind the file."""
    general = struct.pack("<10xhdd8xd2x34s32s", -9, x_m * 1e9, x_m * 1e9, 6e5, b"camera", b"")
    return general


def item(path: Path, pages: Sequence[Array], x_m: float) -> None:
    """Pages as iTEM writes them, the last with its calibration."""
    with tifffile.TiffWriter(path) as tif:
        for page in pages[:-1]:
            tif.write(page, photometric="rgb" if page.ndim == 3 else "minisblack", metadata=None)
        placeholder = b"SIS0" + bytes(64)
        tif.write(pages[-1], photometric="minisblack", metadata=None, extratags=[(33560, "B", 68, placeholder, True)])
    raw = bytearray(path.read_bytes())
    where = raw.rindex(b"SIS0")
    raw[where : where + 68] = struct.pack("<4s6x5h6x32sHhhI", b"SIS0", 42, 19, 15, 10, 118, b"", 1, 1, 1, len(raw))
    path.write_bytes(bytes(raw) + item_tag(x_m))


def seeds(folder: Path) -> list[Path]:
    """Every camera's tags, two pages, a grey picture, planes, compressed tiles, 0 as white, and ImageJ's unit."""
    data = counts((12, 16))
    grey = (data // 256).astype("u1")
    paths = {
        "tvips.tif": lambda p: tifffile.imwrite(p, data, metadata=None, extratags=[tvips_tag(TemHighTension=2e5)]),
        "dm.tif": lambda p: tifffile.imwrite(p, data, metadata=None, extratags=dm_tags("1/nm", 0.1, 0.1)),
        "jeol.tif": lambda p: jeol(p, data),
        "item.tif": lambda p: item(p, [np.stack([grey] * 3, -1), data], 1e-10),
        "grey.tif": lambda p: tifffile.imwrite(p, np.stack([grey] * 3, -1), photometric="rgb"),
        "planes.tif": lambda p: tifffile.imwrite(p, np.stack([data] * 3), photometric="rgb", planarconfig="separate"),
        "tiles.tif": lambda p: tifffile.imwrite(p, data, tile=(16, 16), compression="zlib", predictor=True),
        "white.tif": lambda p: tifffile.imwrite(p, data, photometric="miniswhite", extratags=[(274, "H", 1, 4, True)]),
        "imagej.tif": lambda p: tifffile.imwrite(p, data, imagej=True, resolution=(5, 5), metadata={"unit": "nm"}),
    }
    for name, write in paths.items():
        write(folder / name)
    return [folder / name for name in paths]
