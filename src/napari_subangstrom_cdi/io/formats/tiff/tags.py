"""What camera software wrote into the tags of a TIFF.

Layouts: TVIPS EM-MENU (tag 37706, structure TemData of its manual), JEOL SightX (XML in ImageDescription), Olympus iTEM
(tag 33560), Gatan DigitalMicrograph (tags 65003 to 65025, a DM file's calibrations), ImageJ (ImageDescription).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.io.header import HeaderWriter, pixel_in

_TVIPS_1 = np.dtype([
    ("Version", "i4"), ("", "S80"), ("HighTension", "i4"), ("SphericalAberration", "i4"), ("", "i4"),
    ("Magnification", "i4"), ("PostMagnification", "i4"), ("", "9i4"), ("ImageMode", "i4"), ("", "8i4"),
    ("PhysicalPixelSize", "i4"), ("Binning", "i4"), ("", "3i4"), ("ExposureTime", "i4"), ("", "11i4"),
])  # fmt: skip
_TVIPS_2 = np.dtype([
    ("", "V320"), ("", "7i4"), ("", "V2048"), ("", "16f4"), ("", "16c16"), ("", "2i4"), ("PixelSizeX", "f4"),
    ("PixelSizeY", "f4"), ("", "34f4"), ("TemType", "V160"), ("TemHighTension", "f4"), ("", "64f4"), ("TemMode", "i4"),
    ("TemMagnification", "f4"), ("", "2f4"), ("", "i4"), ("", "21f4"), ("", "i4"), ("", "32f4"), ("CameraType", "V160"),
    ("PhysicalPixelSizeX", "f4"), ("PhysicalPixelSizeY", "f4"), ("", "2i4"), ("BinningX", "i4"), ("BinningY", "i4"),
    ("ExposureTime", "f4"), ("", "2f4"), ("", "V160"), ("", "34f4"), ("", "V2048"), ("Magic", "u4"),
])  # fmt: skip
_MAGIC = 0xAAAAAAAA
_IMAGING, _DIFFRACTION = 0, 3
_V1 = 1e-4  # values of version 1 are integers: 10,000 times kV, kx, µm, ms, mm
_METRES = {2: 0.0254, 3: 0.01}
_LARGEST_XML = 2**22


def say_tags(tif: tifffile.TiffFile, page: Any, found: HeaderWriter) -> None:
    """Put what the camera's software says of the page into `found`; the first that knows a value wins."""
    programs: tuple[tuple[str, Callable[[tifffile.TiffFile, Any, HeaderWriter], None]], ...] = (
        ("TVIPS EM-MENU", _tvips),
        ("JEOL SightX", _jeol),
        ("Olympus iTEM", _item),
        ("DigitalMicrograph", _digital_micrograph),
        ("ImageJ", _imagej),
    )
    for name, say in programs:
        with _damage_said(name, found):
            say(tif, page, found)


@contextmanager
def _damage_said(name: str, found: HeaderWriter) -> Iterator[None]:
    """A damaged tag costs what it says, not the pixels: tags hold anything, so any error is caught here."""
    try:
        yield
    except Exception as error:
        found.doubt(f"what {name} wrote into its tags cannot be read ({type(error).__name__}): calibration left out")


def _text(page: Any, code: int) -> str:
    tag = page.tags.get(code)
    return "" if tag is None else str(tag.value).strip(" \0")


def _number(page: Any, code: int) -> float | None:
    tag = page.tags.get(code)
    return None if tag is None or not isinstance(tag.value, int | float) else float(tag.value)


def _resolution_m(page: Any) -> tuple[float, float] | None:
    """Size of a printed pixel (y, x) by the resolution tags, m."""
    unit, tags = page.tags.get("ResolutionUnit"), [page.tags.get(n) for n in ("YResolution", "XResolution")]
    metres = None if unit is None else _METRES.get(int(unit.value))
    if metres is None or any(tag is None or not tag.value[0] or not tag.value[1] for tag in tags):
        return None
    y, x = (metres * tag.value[1] / tag.value[0] for tag in tags)
    return y, x


# ---- TVIPS EM-MENU


def _tvips(tif: tifffile.TiffFile, page: Any, found: HeaderWriter) -> None:
    tag = page.tags.get(37706)
    if tag is None:
        return
    # The bytes themselves: versions of tifffile differ in the units that they give.
    stream = tif.filehandle
    stream.seek(tag.valueoffset)
    raw = stream.read(_TVIPS_1.itemsize + _TVIPS_2.itemsize)
    order: Literal["<", ">"] = "<" if tif.byteorder == "<" else ">"
    first = np.frombuffer(raw, _TVIPS_1.newbyteorder(order), 1)[0]
    version = int(first["Version"])
    if version == 2:
        second = np.frombuffer(raw, _TVIPS_2.newbyteorder(order), 1, _TVIPS_1.itemsize)[0]
        if int(second["Magic"]) != _MAGIC:
            raise ValueError("another magic number")
        _tvips_2(second, found)
    if version in (1, 2):
        _tvips_1(first, found)


def _tvips_2(said: Any, found: HeaderWriter) -> None:
    volts, mode = float(said["TemHighTension"]), int(said["TemMode"])
    found.put("energy_ev", volts, f"TVIPS TemHighTension = {volts:g} V")
    y, x = float(said["PixelSizeY"]), float(said["PixelSizeX"])
    magnification = float(said["TemMagnification"])
    if mode == _IMAGING:
        found.put("role", "image", "TVIPS TemMode = 0")
        found.put("pixel", pixel_in("nm", y, x), f"TVIPS PixelSizeX = {x:.6g} nm")
    elif mode == _DIFFRACTION:
        found.put("role", "pattern", f"TVIPS TemMode = {mode}")
        found.put("camera_length_mm", magnification, f"TVIPS TemMagnification = {magnification:g} mm in diffraction")
        pixel = pixel_in("1/nm", y, x)
        found.put("pixel", pixel, f"TVIPS PixelSizeX = {x:.6g} 1/nm in diffraction")
        if pixel is not None:
            found.doubt(
                f"TVIPS TemMode = {mode} is diffraction, where PixelSizeX = {x:.6g} is taken as 1/nm and "
                f"TemMagnification = {magnification:g} as a camera length in mm: check both"
            )
    elif min(y, x) > 0:
        found.doubt(f"TVIPS TemMode = {mode} is not known: its PixelSizeX = {x:.6g} is left out")
    binning = int(said["BinningY"]), int(said["BinningX"])
    _say_binned_detector(found, float(said["PhysicalPixelSizeX"]) / 1e3, binning, "PhysicalPixelSizeX, Binning")
    found.put("exposure_s", float(said["ExposureTime"]) / 1e3, f"TVIPS ExposureTime = {said['ExposureTime']:g} ms")


def _tvips_1(said: Any, found: HeaderWriter) -> None:
    volts = int(said["HighTension"]) / 10
    found.put("energy_ev", volts, f"TVIPS HighTension = {said['HighTension']} (1/10 V)")
    cs = int(said["SphericalAberration"]) * _V1
    found.put("cs_mm", cs if cs < 20 else None, f"TVIPS SphericalAberration = {said['SphericalAberration']} (1/10 µm)")
    binning, um = round(int(said["Binning"]) * _V1), int(said["PhysicalPixelSize"]) * _V1
    _say_binned_detector(found, um, (binning, binning), "PhysicalPixelSize, Binning")
    ms = int(said["ExposureTime"]) * _V1
    found.put("exposure_s", ms / 1e3, f"TVIPS ExposureTime = {said['ExposureTime']} (1/10 µs)")
    magnification = int(said["Magnification"]) * _V1 * 1e3 * (int(said["PostMagnification"]) * _V1 or 1)
    if int(said["Version"]) == 1 and int(said["ImageMode"]) == _IMAGING and magnification > 100 and binning and um > 0:
        nm = 1e3 * um * binning / magnification
        place = f"TVIPS PhysicalPixelSize x Binning / (Magnification x PostMagnification) = {nm:.6g} nm"
        found.put("pixel", pixel_in("nm", nm, nm), place)


def _say_binned_detector(found: HeaderWriter, um: float, binning: tuple[int, int], names: str) -> None:
    y, x = binning
    if min(binning) < 1 or not 0 < um < 1e4:
        return
    found.put("binning", binning, f"TVIPS Binning = {y} x {x}")
    found.put("detector_pixel_um", um * x, f"TVIPS {names} = {um:g} µm x {x}")


# ---- JEOL SightX


def _jeol(tif: tifffile.TiffFile, page: Any, found: HeaderWriter) -> None:
    text = _text(page, 270)
    if "<TemReporter" not in text[:2000] or len(text) > _LARGEST_XML:
        return
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("XML with definitions of its own")
    root = ElementTree.fromstring(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", text))
    volts = _xml_number(root, "ElectronGun/AccelerationVoltage")
    found.put("energy_ev", volts, f"JEOL AccelerationVoltage = {volts:g} V" if volts else "")
    if root.findtext("Eos/EosMode") == "eosTEM":
        _jeol_optics(root, page, volts, found)
    for camera in root.iter("Parameter"):
        us = _xml_number(camera, "ExposureTimeValue")
        if us:
            found.put("exposure_s", us / 1e6, f"JEOL ExposureTimeValue = {us:g} µs")
            _jeol_detector(camera, found)
            break


def _jeol_optics(root: ElementTree.Element, page: Any, volts: float | None, found: HeaderWriter) -> None:
    mode = root.findtext("ImageFormingSystem/ImageFormingMode") or ""
    value = _xml_number(root, "ImageFormingSystem/SelectorValue")
    printed = _resolution_m(page)
    if not value or value < 0:
        return
    if mode == "modeDIFF":
        found.put("role", "pattern", f"JEOL ImageFormingMode = {mode}")
        found.put("camera_length_mm", value, f"JEOL SelectorValue = {value:g} mm in {mode}")
        if printed is not None and volts:
            per_angstrom = 1 / (value / 1e3 * wavelength_angstrom(volts))
            y, x = (size * per_angstrom for size in printed)
            place = f"XResolution / (JEOL SelectorValue = {value:g} mm x wavelength) = {x:.6g} 1/Å"
            found.put("pixel", pixel_in("1/Å", y, x), place)
    elif "MAG" in mode.upper():
        found.put("role", "image", f"JEOL ImageFormingMode = {mode}")
        if printed is not None:
            y, x = (size / value for size in printed)
            found.put("pixel", pixel_in("m", y, x), f"XResolution / (JEOL SelectorValue = {value:g} times) = {x:.6g} m")


def _jeol_detector(camera: ElementTree.Element, found: HeaderWriter) -> None:
    y, x = (_xml_number(camera, f"Binning{axis}Size") for axis in ("Vertical", "Horizontal"))
    if y and x and min(y, x) >= 1:
        found.put("binning", (int(y), int(x)), f"JEOL BinningVerticalSize, BinningHorizontalSize = {y:g}, {x:g}")
    per_m = _xml_number(camera, "ImageDataInformation/PixelsPerMeter/Horizontal")
    if per_m:
        found.put("detector_pixel_um", 1e6 / per_m, f"JEOL PixelsPerMeter = {per_m:g}")
    frames = _xml_number(camera, "FrameIntegration")
    if frames and frames >= 1:
        found.put("frames_summed", int(frames), f"JEOL FrameIntegration = {frames:g}")


def _xml_number(element: ElementTree.Element, path: str) -> float | None:
    try:
        value = float(element.findtext(path) or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# ---- Olympus iTEM


def _item(tif: tifffile.TiffFile, page: Any, found: HeaderWriter) -> None:
    tag = page.tags.get(33560)
    said = tag.value if tag is not None and isinstance(tag.value, dict) else {}
    if "pixelsizex" in said:
        y, x = abs(float(said["pixelsizey"])), abs(float(said["pixelsizex"]))
        found.put("pixel", pixel_in("m", y, x), f"iTEM pixelsizex = {x:.6g} m")


# ---- DigitalMicrograph, which HyperSpy follows


def _digital_micrograph(tif: tifffile.TiffFile, page: Any, found: HeaderWriter) -> None:
    x, y = _number(page, 65009), _number(page, 65010)
    units = {_text(page, code) or _text(page, full) for code, full in ((65003, 65012), (65004, 65013))}
    if x is not None and y is not None and len(units) == 1:
        (unit,) = units
        found.put("pixel", pixel_in(unit, y, x), f"DigitalMicrograph 65009, 65010 = {x:.6g}, {y:.6g} {unit} (x, y)")
    origin, scale, counted_in = _number(page, 65024), _number(page, 65025), _text(page, 65022)
    if scale is not None and counted_in in ("e-", "e", "electrons"):
        found.put("counts_per_electron", 1 / scale if scale else None, f"tag 65025 = {scale:g} {counted_in} per count")
    if origin:
        found.put("offset_counts", origin, f"DigitalMicrograph tag 65024 = {origin:g}")


# ---- ImageJ


def _imagej(tif: tifffile.TiffFile, page: Any, found: HeaderWriter) -> None:
    """Pixel where ImageJ wrote a unit; a bare resolution tag mostly holds a printer's 72 dpi."""
    unit = str((tif.imagej_metadata or {}).get("unit", ""))
    along_x = tif.pages.first.tags.get("XResolution")
    along_y = tif.pages.first.tags.get("YResolution") or along_x
    if not unit or along_x is None or along_y is None or not (along_x.value[0] and along_y.value[0]):
        return
    y, x = (tag.value[1] / tag.value[0] for tag in (along_y, along_x))
    found.put("pixel", pixel_in(unit, y, x), f"XResolution, with ImageJ's unit = {x:.6g} {unit}")
