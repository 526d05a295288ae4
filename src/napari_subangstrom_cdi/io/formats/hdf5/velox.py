"""EMD of Velox (Thermo Fisher): images (y, x, frame) below ``/Data/Image``, each with its metadata as JSON.

There is no public description; keys and units are those of files of Velox 2.9 to 3.17.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import h5py

from napari_subangstrom_cdi.io.header import Header, HeaderWriter, pixel_in

from . import links, plain
from .arrays import HELPER, LIKELY, Dialect, HdfArray
from .values import DAMAGE, as_number, value

_IMAGES = "/Data/Image"
_LONGEST = 2**22
_CETA_UM, _CETA_PIXELS = 14.0, 4096


def _knows(root: h5py.File, tree: links.Tree) -> bool:
    return any(_is_image(group) for path, group in tree.groups.items() if path.rpartition("/")[0] == _IMAGES) or (
        "Velox" in str(value(links.find(root, "/Version"))) and "/Data" in tree.groups
    )


def _is_image(group: h5py.Group) -> bool:
    return "Data" in group and "Metadata" in group


def _arrays(root: h5py.File, tree: links.Tree) -> tuple[HdfArray, ...]:
    labels = _labels(root, tree)
    found = []
    for path, group in tree.groups.items():
        data = links.dataset(group, "Data") if path.rpartition("/")[0] == _IMAGES else None
        if data is not None and data.shape is not None and data.ndim in (2, 3):
            found.append(_array(path, group, data, labels.get(path, "")))
    # Where nothing else is there, say that it is a transform
    return tuple(array for array in found if array.rank == LIKELY) or tuple(found)


def _array(path: str, group: h5py.Group, data: h5py.Dataset, label: str) -> HdfArray:
    detector = _text(_metadata(group, 0), "BinaryResult", "Detector")
    caption = label if detector in label else f"{label}, {detector}" if label else detector
    aliases = (*(name for name in (label, detector) if name), path.rpartition("/")[2], path)
    rank = LIKELY if plain.is_numbers(data) else HELPER
    return HdfArray(f"{path}/Data", (data,), (0, 1), caption=caption, rank=rank, aliases=aliases)


def _labels(root: h5py.File, tree: links.Tree) -> dict[str, str]:
    """What Velox calls each image, by its path."""
    found = {}
    for path, item in tree.datasets.items():
        if path.startswith("/Presentation/Displays/ImageDisplay/"):
            told = _parsed(value(item))
            label = _text(told, "display", "label")  # as in an address of the web
            found[_text(told, "dataPath")] = unquote(label)
    return found


def _header(root: h5py.File, array: HdfArray) -> Header:
    found = HeaderWriter()
    told = _metadata(array.dataset.parent, 0)
    if told is None:
        found.doubt(f"{array.name.rpartition('/')[0]}/Metadata cannot be read: pixel, energy and mode are not known")
        return found.header()
    _put_pixel(found, told)
    _put_optics(found, told)
    _put_detector(found, told, array)
    return found.header()


def _put_pixel(found: HeaderWriter, told: Any) -> None:
    width, height = (_number(told, "BinaryResult", "PixelSize", side) for side in ("width", "height"))
    unit = _text(told, "BinaryResult", "PixelUnitX")
    if width is not None and height is not None and _text(told, "BinaryResult", "PixelUnitY") in ("", unit):
        place = f"BinaryResult.PixelSize = {width:.7g} x {height:.7g} (width x height) {unit}"
        found.put("pixel", pixel_in(unit, height, width), place)


def _put_optics(found: HeaderWriter, told: Any) -> None:
    volts = _number(told, "Optics", "AccelerationVoltage")
    found.put("energy_ev", volts, f"Optics.AccelerationVoltage = {volts:g} V" if volts else "")
    operating, projector = (_text(told, "Optics", key) for key in ("OperatingMode", "ProjectorMode"))
    modes = f"Optics.OperatingMode = {operating}, ProjectorMode = {projector}"
    transform = _text(told, "BinaryResult", "PixelUnitX") == "1/m" and (operating, projector) != ("1", "1")
    if transform:
        found.doubt(f"its pixel is one of reciprocal space though the microscope made an image ({modes}): a transform?")
    elif operating == "2":
        found.put("role", "image", f"{modes} (STEM)")
    elif (operating, projector) == ("1", "2"):
        found.put("role", "image", f"{modes} (imaging)")
    elif (operating, projector) == ("1", "1"):
        found.put("role", "pattern", f"{modes} (diffraction)")
        metres = _number(told, "Optics", "CameraLength")
        found.put("camera_length_mm", _times(metres, 1e3), f"Optics.CameraLength = {metres} m, nominal")
    if not transform and projector == "2":  # in diffraction mode it means something else
        metres = _number(told, "Optics", "Defocus")
        if metres:  # 0 is where it was last reset
            note = "counted from where it was last reset; the sign's meaning is not known"
            found.put("defocus_nm", _times(metres, 1e9), f"Optics.Defocus = {metres:.7g} m, {note}")


def _put_detector(found: HeaderWriter, told: Any, array: HdfArray) -> None:
    name = _text(told, "BinaryResult", "Detector")
    key = _detector_key(told, name)
    if key is None or _text(told, "Detectors", key, "DetectorType") == "ScanningDetector":
        found.put(
            "saturation_counts",
            _custom(told, "MaxPossiblePixelValue"),
            f"CustomProperties.MaxPossiblePixelValue = {_custom(told, 'MaxPossiblePixelValue')}",
        )
        return
    place = f"Detectors.{key}"
    seconds = _number(told, "Detectors", key, "ExposureTime")
    found.put("exposure_s", seconds, f"{place}.ExposureTime = {seconds} s")
    binning = [_number(told, "Detectors", key, "Binning", side) for side in ("height", "width")]
    if all(factor is not None and 1 <= factor <= 64 and factor == int(factor) for factor in binning):
        y, x = (int(factor or 1) for factor in binning)
        found.put("binning", (y, x), f"{place}.Binning = {y} x {x}")
        if "ceta" in name.lower() and y == x and max(array.shape[-2:]) * x <= _CETA_PIXELS:
            said = f"{_CETA_UM:g} µm of a Ceta camera ({place}.DetectorName = {name}) x binning {x}"
            found.put("detector_pixel_um", _CETA_UM * x, said)
    _put_counts(found, told, f"Detectors[{name}].")


def _put_counts(found: HeaderWriter, told: Any, prefix: str) -> None:
    place = f"CustomProperties.{prefix}"
    electrons, factor = (_custom(told, prefix + key) for key in ("CountsToElectrons", "PixelValueToCameraCounts"))
    if electrons:
        note = f"; beside it PixelValueToCameraCounts = {factor:g}" if factor not in (None, 1.0) else ""
        said = f"1/{place}CountsToElectrons = 1/{electrons:.7g}{note}: check it against the noise"
        found.put("counts_per_electron", 1 / electrons, said)
    for key in ("SaturationPoint", "MaxPossiblePixelValue"):
        found.put("saturation_counts", _custom(told, prefix + key), f"{place}{key} = {_custom(told, prefix + key)}")
    summed = _custom(told, prefix + "CombinedSubFrames")
    if summed is not None and summed == int(summed):
        found.put("frames_summed", summed, f"{place}CombinedSubFrames = {summed:g}")


def _detector_key(told: Any, name: str) -> str | None:
    """Which of the detectors took the image: by its number if the name there is the same, else by name."""
    detectors = _at(told, "Detectors")
    if not isinstance(detectors, dict) or not name:
        return None
    numbered = f"Detector-{_text(told, 'BinaryResult', 'DetectorIndex')}"
    return next(
        (key for key in (numbered, *detectors) if _text(told, "Detectors", key, "DetectorName") == name),
        None,
    )


def _metadata(group: h5py.Group, frame: int) -> Any:
    """The JSON of a frame, padded with NULs; None if it is none."""
    try:
        stored = links.dataset(group, "Metadata")
        if stored is None or stored.dtype.itemsize != 1 or not 1 <= stored.ndim <= 2 or stored.shape[0] > _LONGEST:
            return None
        column = stored[:, min(frame, stored.shape[1] - 1)] if stored.ndim == 2 else stored[:]
        return _parsed(column.tobytes().partition(b"\0")[0].decode("utf-8", errors="replace"))
    except DAMAGE:
        return None


def _parsed(text: Any) -> Any:
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _at(told: Any, *keys: str) -> Any:
    for key in keys:
        told = told.get(key) if isinstance(told, dict) else None
    return told


def _text(told: Any, *keys: str) -> str:
    found = _at(told, *keys)
    return found.strip()[:200] if isinstance(found, str) else ""


def _number(told: Any, *keys: str) -> float | None:
    return as_number(_at(told, *keys))


def _custom(told: Any, key: str) -> float | None:
    return _number(told, "CustomProperties", key, "value")


def _times(number: float | None, factor: float) -> float | None:
    return None if number is None else float(f"{number * factor:.10g}")


DIALECT = Dialect(
    "Velox EMD",
    _knows,
    _arrays,
    _header,
    nothing="holds no image (Velox keeps them in /Data/Image), perhaps spectra only",
)
