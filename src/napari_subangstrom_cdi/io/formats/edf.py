"""EDF of the ESRF, through fabio."""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fabio.edfimage import EdfImage

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array, Format, Stored, collected_log, cut_short, nbytes
from napari_subangstrom_cdi.io.header import Header, HeaderWriter


def _matches(head: bytes) -> bool:
    # JSON starts with a brace too, but has no "key = value ;" lines.
    text = head.lstrip()[:1024]
    return text.startswith(b"{") and b"=" in text and (b";" in text or b"EDF_" in text or b"HeaderID" in text)


def _check_dimensions(path: Path) -> None:
    """Refuse a header that names dimension 10 or beyond: fabio would count up to whatever number stands there."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        found = re.search(rb"dim_0*([1-9]\d+)", raw, re.IGNORECASE)
        if found is not None:
            raise InputError(
                f"the header is damaged: it names a dimension {found[1][:12].decode()}",
                where=str(path),
                mend="copy or export it again",
            )


@contextmanager
def _open(path: Path, dataset: str | None) -> Iterator[Stored]:
    _check_dimensions(path)
    with collected_log("fabio") as log, EdfImage().read(str(path)) as image:
        frames = [image.get_frame(k) for k in range(image.nframes)]
        first = frames[0]
        shape, dtype = tuple(int(n) for n in first.shape), np.dtype(first.dtype)
        stored = sum(_check_frame(frame, path) for frame in frames)
        if image.incomplete_file:
            raise InputError("the file is cut short", where=str(path), mend="copy or download it again")

        def read_frame(k: int) -> Array:
            data: Array = frames[k if len(frames) > 1 else 0].data
            if log:  # fabio logs missing data and puts zeros in their place
                raise InputError(f"the data are incomplete ({log[0]})", where=str(path), mend="copy it again")
            return data[k] if data.ndim == 3 else data

        if any(tuple(frame.shape) != shape for frame in frames):
            raise InputError(
                "holds images of different sizes",
                where=str(path),
                mend="save the one meant as a file of its own",
            )
        yield Stored(
            shape=shape if len(frames) == 1 else (len(frames), *shape),
            dtype=dtype,
            stored_bytes=stored,
            read_frame=read_frame,
            header=_header(first.header, dtype),
            metadata={str(key): str(value) for key, value in first.header.items()},
        )


def _header(keys: Mapping[str, Any], dtype: np.dtype[Any]) -> Header:
    """What SPEC, LIMA and pyFAI write: pixel of the detector in m, exposure in s, value of what was not measured."""
    found = HeaderWriter()
    y, x = _number(keys, "PSize_2"), _number(keys, "PSize_1")
    if y is not None and y == x:
        found.put("detector_pixel_um", x * 1e6, f"PSize_1 = {x:g} m")
    for key in ("ExposureTime", "acq_expo_time", "count_time"):
        seconds = _number(keys, key)
        if seconds is not None:
            found.put("exposure_s", seconds, f"{key} = {seconds:g} s")
    dummy = _number(keys, "Dummy")
    if dummy is not None and (dtype.kind == "f" or dummy.is_integer()):
        found.put("invalid_values", (dummy,), f"Dummy = {dummy:g}")
    return found.header()


def _number(keys: Mapping[str, Any], key: str) -> float | None:
    """Value of a key, whose case differs between programs."""
    for name, text in keys.items():
        if str(name).lower() == key.lower():
            try:
                value = float(str(text).split()[0])
            except (ValueError, IndexError):
                return None
            return value if math.isfinite(value) else None
    return None


def _check_frame(frame: Any, path: Path) -> int:
    """Bytes stored for a frame; raise if they are fewer than its header needs."""
    if frame.bfname is not None:
        raise InputError(
            f"its data are in another file, {Path(frame.bfname).name}",
            where=str(path),
            mend="save both as one file",
        )
    size = path.stat().st_size
    stored = int(frame.blobsize)
    if frame.start + stored > size:
        raise cut_short(path, frame.start + stored, size)
    needed = nbytes(frame.shape, np.dtype(frame.dtype))
    if frame._data_compression is None and stored < needed:
        raise cut_short(path, needed, stored)
    return stored


FORMAT = Format("EDF", (".edf", ".cor"), _matches, _open)
