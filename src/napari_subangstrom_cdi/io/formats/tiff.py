"""TIFF, through tifffile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import (
    Array,
    Format,
    Stored,
    collected_log,
    cut_short,
    nbytes,
    shape_text,
)
from napari_subangstrom_cdi.io.header import Header, HeaderWriter, pixel_in

_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _matches(head: bytes) -> bool:
    return head.startswith(_MAGICS)


@contextmanager
def _open(path: Path, dataset: str | None) -> Iterator[Stored]:
    # An OME header may send the reader to other files: only the pages of this one count.
    with collected_log("tifffile") as log, tifffile.TiffFile(path, is_ome=False) as tif:
        series = _only_series(tif, path)
        damage = [m for m in log if re.search(r"corrupted tag|page offset|offset to page|circular", m)]
        if damage or not series.shape:
            raise InputError(
                "the file is damaged or cut short: its list of pages breaks off",
                where=str(path),
                mend="copy or download it again",
            )
        page = series.keyframe
        _check_codec(page, path)
        size = path.stat().st_size
        colour = int(page.samplesperpixel) > 1 or page.photometric in (2, 5, 6, 8)
        palette = page.photometric == 3
        yield Stored(
            shape=tuple(int(n) for n in series.shape),
            dtype=np.dtype(series.dtype),
            stored_bytes=_check_extent(series, path, size),
            read_frame=lambda k: _read_frame(series, k, path),
            header=_imagej_header(tif),
            metadata=_metadata(page),
            cautions=("has a colour table: its stored values are taken, not its colours",) if palette else (),
            colour=colour,
        )


def _only_series(tif: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    if not tif.pages:
        raise InputError("holds no image", where=str(path), mend="the file is cut short: copy or export it again")
    all_series = tif.series
    full = [s for s in all_series if not s.keyframe.is_reduced] or list(all_series)
    if len(full) > 1:
        shapes = ", ".join(shape_text(tuple(s.shape)) for s in full[:5])
        raise InputError(
            f"holds {len(full)} images of different kinds ({shapes})",
            where=str(path),
            mend="save the one that is meant as a file of its own",
        )
    return full[0]


def _check_codec(page: Any, path: Path) -> None:
    """Refuse what tifffile cannot decode with the packages installed here, before anything is read."""
    if page.dtype is None:
        raise InputError(
            f"stores {page.bitspersample} bits a pixel in a way that is not supported",
            where=str(path),
            mend="save the image with 8, 16 or 32 bits a pixel",
        )
    tables = ((page.compression, tifffile.TIFF.DECOMPRESSORS), (page.predictor, tifffile.TIFF.UNPREDICTORS))
    for code, table in tables:
        try:
            table[code]
        except (KeyError, ImportError, NotImplementedError) as error:
            raise InputError(
                f"is compressed with {getattr(code, 'name', code)}, which needs the package imagecodecs",
                where=str(path),
                mend="run 'pip install imagecodecs', or save the image uncompressed",
            ) from error


def _check_extent(series: tifffile.TiffPageSeries, path: Path, size: int) -> int:
    """Bytes stored for the series; raise if any lie beyond the end of the file."""
    whole = nbytes(tuple(series.shape), np.dtype(series.dtype))
    if series.dataoffset is not None:
        if series.dataoffset + whole > size:
            raise cut_short(path, series.dataoffset + whole, size)
        return whole
    stored = 0
    for page in series.pages:
        if page is None:
            continue
        offsets, counts = page.dataoffsets, page.databytecounts
        page_bytes = sum(counts)
        end = max((o + c for o, c in zip(offsets, counts, strict=False)), default=0)
        if end > size:
            raise cut_short(path, end, size)
        keyframe: Any = page.keyframe
        expected = nbytes(keyframe.shape, np.dtype(keyframe.dtype))
        whole_pixels = keyframe.compression == 1 and keyframe.bitspersample % 8 == 0
        if not page_bytes or (whole_pixels and page_bytes < expected):
            raise cut_short(path, expected, page_bytes)
        stored += page_bytes
    return stored


def _read_frame(series: tifffile.TiffPageSeries, k: int, path: Path) -> Array:
    shape, dtype = tuple(series.shape)[-2:], np.dtype(series.dtype)
    if series.dataoffset is not None:
        start = series.dataoffset + k * nbytes(shape, dtype)
        stored = dtype.newbyteorder(series.keyframe.parent.byteorder)
        return np.fromfile(path, stored, count=shape[0] * shape[1], offset=start).reshape(shape)
    page = series.pages[k]
    if page is None:
        raise InputError(f"frame {k} is missing", where=str(path), mend="choose another frame")
    data: Array = page.asarray()
    return data.reshape(shape)


def _imagej_header(tif: tifffile.TiffFile) -> Header:
    """Pixel where ImageJ wrote a unit; a bare resolution tag mostly holds a printer's 72 dpi."""
    found = HeaderWriter()
    unit = str((tif.imagej_metadata or {}).get("unit", ""))
    tag = tif.pages.first.tags.get("XResolution")
    if unit and tag is not None and tag.value[0]:
        pixels, length = tag.value
        pixel = length / pixels
        found.put("pixel", pixel_in(unit, pixel, pixel), f"XResolution, with ImageJ's unit = {pixel:.6g} {unit}")
    return found.header()


def _metadata(page: Any) -> dict[str, str]:
    tags = ("ImageDescription", "Software", "DateTime", "Make", "Model")
    found = {name: page.tags.get(name) for name in tags}
    return {name: str(tag.value)[:2000] for name, tag in found.items() if tag is not None}


FORMAT = Format("TIFF", (".tif", ".tiff"), _matches, _open)
