"""TIFF: which page is the record, and its pixels."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import tifffile

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array, Format, Item, Stored, collected_log, cut_short, nbytes
from napari_subangstrom_cdi.io.header import HeaderWriter

from .gel import gel_of
from .pages import Layout, choose, images_in, items_of, layout_of
from .strips import pixels
from .tags import say_tags

_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _matches(head: bytes) -> bool:
    return head.startswith(_MAGICS)


@contextmanager
def _file(path: Path) -> Iterator[tuple[tifffile.TiffFile, list[str]]]:
    _check_chain(path)
    # An OME header may send the reader to other files: only the pages of this one count. What a GEL holds is decoded
    # here, since tifffile leaves its square roots as they are in some ways of reading.
    with collected_log("tifffile") as log, tifffile.TiffFile(path, is_ome=False, is_mdgel=False) as tif:
        yield tif, log


def _check_chain(path: Path) -> None:
    """Refuse pages of which one names an earlier one as the next: tifffile would count them for ever."""
    seen: set[int] = set()
    with open(path, "rb") as stream:
        head = stream.read(16).ljust(16, b"\0")
        order = "<" if head.startswith(b"II") else ">"
        big = struct.unpack_from(f"{order}H", head, 2)[0] == 43
        offset = struct.unpack_from(f"{order}Q", head, 8)[0] if big else struct.unpack_from(f"{order}I", head, 4)[0]
        count, entry, link = (f"{order}Q", 20, f"{order}Q") if big else (f"{order}H", 12, f"{order}I")
        size = path.stat().st_size
        while 0 < offset < size:
            if offset in seen:
                raise InputError(
                    "the file is damaged: its list of pages runs in a circle",
                    where=str(path),
                    mend="copy or export it again",
                )
            seen.add(offset)
            offset = _next_page(stream, offset, count, entry, link)


def _next_page(stream: IO[bytes], offset: int, count: str, entry: int, link: str) -> int:
    """Where the page behind that at `offset` begins; 0 if there is none, or the file ends before."""
    stream.seek(offset)
    raw = stream.read(struct.calcsize(count))
    if len(raw) < struct.calcsize(count):
        return 0
    stream.seek(min(struct.unpack(count, raw)[0] * entry, 2**40), 1)
    raw = stream.read(struct.calcsize(link))
    return int(struct.unpack(link, raw)[0]) if len(raw) == struct.calcsize(link) else 0


@contextmanager
def _open(path: Path, dataset: str | None) -> Iterator[Stored]:
    with _file(path) as (tif, log):
        images = images_in(tif, path)
        choice = choose(images, dataset, path)
        series = choice.series
        damage = [m for m in log if re.search(r"corrupted tag|page offset|offset to page|circular", m)]
        if damage or not series.shape:
            raise InputError(
                "the file is damaged or cut short: its list of pages breaks off",
                where=str(path),
                mend="copy or download it again",
            )
        page = series.keyframe
        _check_codec(page, path)
        stored_bytes = _check_extent(series, path, path.stat().st_size)
        found = HeaderWriter()
        layout = layout_of(choice, gel_of(tif, path), path, found)
        say_tags(tif, page, found)
        pixels = _Pixels(series, layout, path)
        yield Stored(
            shape=layout.shape,
            dtype=layout.dtype,
            stored_bytes=stored_bytes,
            read_frame=pixels.frame,
            read_mask=None if layout.marked is None else pixels.mask,
            held_bytes=layout.held_bytes,
            header=found.header(),
            metadata=_metadata(page) | ({"dataset": choice.name} if len(images) > 1 else {}),
            cautions=tuple(layout.cautions),
            colour=layout.colour,
            frame_number=int(choice.name) if choice.name.isdecimal() else 0,
        )


def _contents(path: Path) -> tuple[Item, ...]:
    with _file(path) as (tif, _):
        return items_of(tif, path)


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


class _Pixels:
    """Frames of an image as counts, and which pixels of a picture are annotation."""

    def __init__(self, series: tifffile.TiffPageSeries, layout: Layout, path: Path) -> None:
        self._series, self._layout, self._path = series, layout, path
        self._marked: Array | None = None

    def frame(self, k: int) -> Array:
        stored = self._stored(k)
        if self._layout.marked is not None:
            self._marked = self._layout.marked(stored)
        return self._layout.decode(stored)

    def mask(self) -> Array:
        """Of the frame read last."""
        if self._marked is None:
            self.frame(0)
        assert self._marked is not None
        return self._marked

    def _stored(self, k: int) -> Array:
        series, shape = self._series, self._layout.stored_shape
        dtype = np.dtype(series.dtype)
        if series.dataoffset is not None:
            start = series.dataoffset + k * nbytes(shape, dtype)
            in_file = dtype.newbyteorder(series.keyframe.parent.byteorder)
            return np.fromfile(self._path, in_file, count=math.prod(shape), offset=start).reshape(shape)
        page = series.pages[0 if self._layout.planes else k]
        if page is None:
            raise InputError(f"frame {k} is missing", where=str(self._path), mend="choose another frame")
        data = pixels(page, self._path)
        return data[k].reshape(shape) if self._layout.planes else data.reshape(shape)


def _metadata(page: Any) -> dict[str, str]:
    tags = ("ImageDescription", "Software", "DateTime", "Make", "Model")
    found = {name: page.tags.get(name) for name in tags}
    return {name: str(tag.value)[:2000] for name, tag in found.items() if tag is not None}


FORMAT = Format("TIFF", (".tif", ".tiff", ".gel"), _matches, _open, has_datasets=True, contents=_contents)
