"""Axes of an array that state where their pixels lie: how far apart, and in which unit."""

from __future__ import annotations

import h5py
import numpy as np

from napari_subangstrom_cdi.io.header import HeaderWriter, Pixel, pixel_in

from .values import DAMAGE

_LONGEST = 2**20
_UNEVEN = 0.01


def step(positions: h5py.Dataset | None) -> float | None:
    """Distance of neighbouring positions; None if they are none or not evenly spaced.

    Some programs write the first two only.
    """
    try:
        if positions is None or positions.ndim != 1 or not 2 <= positions.size <= _LONGEST:
            return None
        if positions.dtype.kind not in "uif" or positions.is_virtual or positions.external:
            return None
        values = np.asarray(positions[()], dtype=np.float64)
    except DAMAGE:
        return None
    steps = np.diff(values)
    mean = float(steps.mean())
    if not np.isfinite(mean) or mean == 0 or float(np.abs(steps - mean).max()) > _UNEVEN * abs(mean):
        return None
    return mean


def put_pixel(
    found: HeaderWriter, y: tuple[float | None, str], x: tuple[float | None, str], place: str
) -> Pixel | None:
    """Set the pixel, and the role that its unit means, from steps along both axes with their units."""
    if y[0] is None or x[0] is None:
        return None
    rows, columns = pixel_in(y[1], y[0], y[0]), pixel_in(x[1], x[0], x[0])
    if rows is None or columns is None or rows.unit != columns.unit:
        return None
    pixel = Pixel((rows.size[0], columns.size[1]), rows.unit)
    # An electron microscope's pixel lies between a picometre and a centimetre, or the same in reciprocal space.
    if not all(1e-7 < size < 1e7 for size in pixel.size):
        found.doubt(f"{place} makes pixels of {pixel.size[0]:.3g} {pixel.unit}, which cannot be: they are not used")
        return None
    found.put("pixel", pixel, place)
    found.put("role", "pattern" if pixel.unit == "1/Å" else "image", f"{place}, the pixel's unit")
    return pixel
