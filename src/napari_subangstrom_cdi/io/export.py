"""Images and tables for other programs; the pixel goes with the image where the format has a place for it."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError

from .atomic import atomic_path

Array = NDArray[Any]

_LABEL_CHARACTERS = 80
_EXACT_IN_FLOAT32 = 2**24


def export_image(
    path: str | os.PathLike[str], data: Array, pixel_angstrom: float | None, *, description: str = ""
) -> None:
    """Write an image, atomically, in the format of the path's suffix.

    Parameters
    ----------
    path : path-like
        ``.tif`` or ``.tiff`` (32-bit, as ImageJ writes it, pixel in nm), ``.mrc`` (voxel size in Å), or
        ``.npy``, which has no place for pixel and description.
    data : ndarray, shape (y, x)
        Real values; stored as float32.
    pixel_angstrom : float or None
        Pixel, Å; None if it is not known.
    description : str
        What it shows: ImageJ's *Show Info*, or the labels of an MRC header.

    Raises
    ------
    InputError
        If the suffix is unknown, the data are complex or not two-dimensional, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _IMAGE_WRITERS:
        raise InputError(
            f"images are not written as {suffix or 'a file without suffix'}",
            where=str(path),
            mend=f"end the name in {', '.join(_IMAGE_WRITERS)}",
        )
    data = np.asarray(data)
    if data.ndim != 2 or data.size == 0 or data.dtype.kind not in "buif":
        raise InputError(
            f"no real image but an array of shape {data.shape} and type {data.dtype}",
            where=str(path),
            mend="choose one image, of complex values the amplitude, phase or real part",
        )
    if pixel_angstrom is not None and not (math.isfinite(pixel_angstrom) and pixel_angstrom > 0):
        raise InputError(f"a pixel of {pixel_angstrom} Å", where=str(path), mend="calibrate it, or leave it out")
    with atomic_path(path) as temporary:
        _IMAGE_WRITERS[suffix](temporary, data.astype(np.float32), pixel_angstrom, description)


def export_table(path: str | os.PathLike[str], columns: Mapping[str, Array]) -> None:
    """Write columns as CSV (UTF-8, a row of names first), atomically.

    Parameters
    ----------
    path : path-like
        Ends in ``.csv``.
    columns : mapping of str to ndarray, shape (k,)
        They may differ in length; what is missing, and what is not finite, is left empty.

    Raises
    ------
    InputError
        If the suffix is another, there is no column, a column is no list of values, or the file cannot be written.
    """
    if Path(path).suffix.lower() != ".csv":
        raise InputError("tables are written as CSV", where=str(path), mend="end the name in .csv")
    values = {name: np.asarray(column) for name, column in columns.items()}
    if not values or any(column.ndim != 1 for column in values.values()):
        raise InputError("there is no table to write", where=str(path), mend="choose a curve")
    rows = max(len(column) for column in values.values())
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(values)
        for i in range(rows):
            writer.writerow([_cell(column[i]) if i < len(column) else "" for column in values.values()])


def write_mrc(
    path: Path, data: Array, pixel_yx_angstrom: tuple[float, float] | None, *, description: str = "", where: str = ""
) -> None:
    """Write an image or a stack of frames as MRC, in the mode that keeps its values.

    Parameters
    ----------
    path : Path
        A new file.
    data : ndarray, shape (y, x) or (frame, y, x)
        Of 8 to 32 bits; float64 is rounded to float32.
    pixel_yx_angstrom : (float, float) or None
        Pixel along y and x, Å.
    description : str
        For the header's labels: ASCII, at most ten of 80 characters.
    where : str
        Name of the file for the message, if ``path`` is a temporary one.

    Raises
    ------
    InputError
        If no mode of MRC keeps the values: complex numbers, integers beyond 24 bits.
    """
    stored = _for_mrc(np.asarray(data), where or str(path))
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(stored)
        if stored.ndim == 3:
            mrc.set_image_stack()
        if pixel_yx_angstrom is not None:
            y, x = pixel_yx_angstrom
            mrc.voxel_size = (x, y, x if stored.ndim == 3 else 0.0)
        for line in _labels(description):
            mrc.add_label(line)


def _for_mrc(data: Array, where: str) -> Array:
    """The data in the smallest type of MRC that keeps every value."""
    if data.dtype.kind == "f":
        return data.astype(np.float16 if data.dtype == np.float16 else np.float32)
    if data.dtype.kind in "bui" and data.size:
        low, high = int(data.min()), int(data.max())
        for dtype in (np.int16, np.uint16):  # one byte is read as signed by some programs only
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return data.astype(dtype)
        if max(-low, high) <= _EXACT_IN_FLOAT32:
            return data.astype(np.float32)
    raise InputError(
        f"MRC cannot keep these values (type {data.dtype})",
        where=where,
        mend="of complex values save amplitude, phase or real part; save large integers as TIFF",
    )


def _labels(description: str) -> list[str]:
    text = " ".join(description.encode("ascii", "replace").decode().split())
    # mrcfile's own label is the first of ten.
    return [text[i : i + _LABEL_CHARACTERS] for i in range(0, len(text), _LABEL_CHARACTERS)][:9]


def _cell(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return "" if isinstance(plain, float) and not math.isfinite(plain) else plain


def _tiff(path: Path, data: Array, pixel_angstrom: float | None, description: str) -> None:
    if pixel_angstrom is None:
        tifffile.imwrite(path, data, imagej=True, metadata={"Info": description})
        return
    per_nm = 10.0 / pixel_angstrom
    tifffile.imwrite(path, data, imagej=True, resolution=(per_nm, per_nm), metadata={"unit": "nm", "Info": description})


def _mrc(path: Path, data: Array, pixel_angstrom: float | None, description: str) -> None:
    write_mrc(path, data, None if pixel_angstrom is None else (pixel_angstrom,) * 2, description=description)


def _npy(path: Path, data: Array, pixel_angstrom: float | None, description: str) -> None:
    with open(path, "wb") as stream:
        np.save(stream, data, allow_pickle=False)


_IMAGE_WRITERS: Mapping[str, Callable[[Path, Array, float | None, str], None]] = {
    ".tif": _tiff,
    ".tiff": _tiff,
    ".mrc": _mrc,
    ".npy": _npy,
}
