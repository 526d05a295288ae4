"""What the PRZ of CEOS's Panta Rhei says: an NPZ with a description in JSON beside the data."""

from __future__ import annotations

import json
from typing import Any

from napari_subangstrom_cdi.io._common import finite_number
from napari_subangstrom_cdi.io.header import Header, HeaderWriter, Pixel, pixel_in

DESCRIPTION = "meta_data_json"
"""Name of the array that holds the text; that of older versions is a pickled object, which is not loaded."""

# What a person calibrated goes before what another image or the device states.
_CALIBRATIONS = ("user.calib", "inherited.calib", "device.calib")


def header_of(text: str) -> Header:
    """What the description says of the data; nothing if it cannot be read."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return Header()
    tree = tree[0] if isinstance(tree, list) and tree else tree
    if not isinstance(tree, dict):
        return Header()
    found = HeaderWriter()
    for name in _CALIBRATIONS:
        _put_pixel(tree.get(name), name, found)
    volts, metres = finite_number(tree.get("electron_gun.voltage")), finite_number(tree.get("projector.camera_length"))
    found.put("energy_ev", volts, f"electron_gun.voltage = {volts} V")
    pixel = found.header().pixel
    if pixel is not None:
        found.put("role", "pattern" if pixel.unit == "1/Å" else "image", "unit of the pixel")
    if metres is not None and (pixel is None or pixel.unit == "1/Å"):
        found.put("camera_length_mm", metres * 1e3, f"projector.camera_length = {metres} m")
    return found.header()


def _put_pixel(axes: Any, name: str, found: HeaderWriter) -> None:
    """Pixel from the calibrations of x and y, in this order."""
    if not isinstance(axes, list) or len(axes) < 2 or not all(isinstance(axis, dict) for axis in axes[:2]):
        return
    sizes = []
    for axis in axes[1::-1]:
        value, factor = finite_number(axis.get("value")), finite_number(axis.get("pixel_factor", 1))
        one = None if value is None or factor is None else pixel_in(str(axis.get("unit", "")), *(2 * [value * factor]))
        if one is None:
            return
        sizes.append(one)
    y, x = sizes
    if y.unit == x.unit:
        pixel = Pixel((y.size[0], x.size[1]), y.unit)
        found.put(
            "pixel", pixel, f"{name}: value x pixel_factor = {pixel.size[0]:g}, {pixel.size[1]:g} {y.unit} (y, x)"
        )
