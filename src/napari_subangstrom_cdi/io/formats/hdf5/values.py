"""Attributes and single values of an HDF5 file, whatever they hold: damage and nonsense count as nothing said."""

from __future__ import annotations

import math
import mmap
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

DAMAGE = (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError, AttributeError, MemoryError)
"""What h5py raises where a file is not as it should be."""

_LARGEST = 4096
"""Values of one attribute or small dataset that are looked at."""

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NOWHERE = b"\xff" * 8
_HEAP = b"GCOL\x01\0\0\0"
_NAMES = b"HEAP\0\0\0\0"
_MOST_TEXTS = 100_000
_LOOKED_AT = 2**25
_LONGEST_TEXT = 2**20

_NEWER_HEADER = b"OHDR"
_ATTRIBUTE_MESSAGE, _CONTINUATION_MESSAGE = 0x0C, 0x10
_MOST_BLOCKS = 10_000
"""Of an object's header: more are damage that leads round in a circle."""

_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*([^\d\s]\S*)?\s*")


def is_whole(path: str | Path) -> bool:
    """Whether HDF5 comes to an end with a file, in no more memory than it holds.

    HDF5 2.0 goes round for ever in a heap of texts in which a length is damaged to zero, or to so much that it comes
    round to zero (``H5HG__cache_heap_deserialize``), and in a heap of names whose list of free places is a circle
    (``H5HL__fl_deserialize``, which takes memory at each turn). It takes what a driver's block claims to hold, up to
    4 GB, though only files that are a part of several have such a block. Looked at is the beginning of the file, where
    most heaps are.
    """
    with _beginning(path) as view:
        base = view.find(SIGNATURE)
        return (
            base < 0  # data of no form, to which another file refers
            or (
                _needs_no_driver(view, base)
                and all(_heap_ends(view, at) for at in _places(view, _HEAP, len(view)))
                and all(_free_places_end(view, at, base) for at in _places(view, _NAMES, len(view)))
            )
        )


def _needs_no_driver(view: mmap.mmap | bytes, base: int) -> bool:
    version = view[base + 8] if base + 8 < len(view) else None
    if version not in (0, 1):  # newer ones have a checksum, and the block elsewhere
        return True
    driver = base + 48 + 4 * version
    return view[driver : driver + 8] == _NOWHERE


@contextmanager
def _beginning(path: str | Path) -> Iterator[mmap.mmap | bytes]:
    with open(path, "rb") as stream:
        length = min(os.fstat(stream.fileno()).st_size, _LOOKED_AT)
        if not length:
            yield b""
            return
        with mmap.mmap(stream.fileno(), length, access=mmap.ACCESS_READ) as view:
            yield view


def _places(view: mmap.mmap | bytes, wanted: bytes, end: int) -> Iterator[int]:
    at = view.find(wanted, 0, end)
    while at >= 0:
        yield at
        at = view.find(wanted, at + len(wanted), end)


def _heap_ends(view: mmap.mmap | bytes, start: int) -> bool:
    """Whether the texts in a heap, and its free space, which has number 0, follow one another to its end."""
    (size,) = struct.unpack_from("<Q", view, start + 8) if start + 16 <= len(view) else (0,)
    at, end = start + 16, start + size
    for _ in range(_MOST_TEXTS):
        if at + 16 > min(end, len(view)):
            return True
        number, space = struct.unpack_from("<H6xQ", view, at)
        length = space if number == 0 else 16 + (space + 7) // 8 * 8
        if not 0 < length <= end - at:
            return False
        at += length
    return True


def _free_places_end(view: mmap.mmap | bytes, start: int, base: int) -> bool:
    """Whether the list of free places in a heap of names ends: each names the next, 1 is the end."""
    if start + 32 > len(view):
        return True
    place, segment = struct.unpack_from("<QQ", view, start + 16)
    met: set[int] = set()
    while place != 1 and base + segment + place + 8 <= len(view):
        if place in met:
            return False
        met.add(place)
        (place,) = struct.unpack_from("<Q", view, base + segment + place)
    return True


def _claims_hold(item: h5py.HLObject, name: str) -> bool:
    """Whether no text of any length in an attribute claims to be longer than the file.

    HDF5 takes the memory that a text's length claims, up to 4 GB, before it looks for the text. Each is stored as its
    length, an address and an index: 4, 8 and 4 bytes. Headers of the newer kind have a checksum, which damage breaks.
    """
    with open(item.file.filename, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        base = item.file.userblock_size
        start = base + h5py.h5o.get_info(item.id).addr
        if view[start : start + 4] == _NEWER_HEADER:
            return True
        for kind, body in _messages(view, start, base):
            if kind == _ATTRIBUTE_MESSAGE and len(body) >= 9:
                called, stored = _attribute_parts(body)
                if called == name.encode():
                    claims = np.frombuffer(stored[: len(stored) // 16 * 16], dtype="<u4")[::4]
                    return int(claims.max(initial=0)) <= len(view)
    return False


def _messages(view: mmap.mmap, start: int, base: int) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each message of an object's header (version 1), wherever the header is continued."""
    if start + 16 > len(view) or view[start] != 1:
        return
    blocks = [(start + 16, *struct.unpack_from("<I", view, start + 8))]
    for _ in range(_MOST_BLOCKS):
        if not blocks:
            return
        at, length = blocks.pop(0)
        end = min(at + length, len(view))
        while at + 8 <= end:
            kind, size = struct.unpack_from("<HH", view, at)
            body = view[at + 8 : at + 8 + size]
            if kind == _CONTINUATION_MESSAGE and len(body) >= 16:
                place, length = struct.unpack_from("<QQ", body)
                blocks.append((base + place, length))
            yield kind, body
            at += 8 + size


def _attribute_parts(body: bytes) -> tuple[bytes, bytes]:
    """Name and stored value of an attribute's message."""
    version, *lengths = struct.unpack_from("<BxHHH", body)
    starts = [8 + (version == 3)]
    for length in lengths:
        starts.append(starts[-1] + (length if version > 1 else (length + 7) // 8 * 8))
    return body[starts[0] : starts[0] + lengths[0]].rstrip(b"\0"), body[starts[-1] :]


def attribute(item: h5py.HLObject, name: str) -> Any:
    """An attribute as str, float or list of those; None if it is not there, is too long or means nothing."""
    try:
        if name not in item.attrs:
            return None
        found = item.attrs.get_id(name)
        if found.shape is None or math.prod(found.shape) > _LARGEST or found.dtype.itemsize > _LARGEST:
            return None
        if not _is_readable(item, name, found):
            return None
        return _simple(item.attrs[name])
    except DAMAGE:
        return None


def _is_readable(item: h5py.HLObject, name: str, found: h5py.h5a.AttrID) -> bool:
    """Numbers and texts; HDF5 2.0 ends the program in converting other values of any length, which damage makes."""
    if found.dtype.kind in "buifS":
        return True
    kind = found.get_type()
    texts = isinstance(kind, h5py.h5t.TypeStringID) and bool(kind.is_variable_str())
    return texts and _claims_hold(item, name)


def text(item: h5py.HLObject, name: str) -> str:
    """An attribute that is one text; empty if it is none."""
    found = attribute(item, name)
    return found if isinstance(found, str) else ""


def number(item: h5py.HLObject, name: str) -> float | None:
    """An attribute that is one number, though it may be written as text."""
    return as_number(attribute(item, name))


def value(item: Any) -> Any:
    """What a small dataset holds, as `attribute`; None for anything else."""
    try:
        if not isinstance(item, h5py.Dataset) or item.shape is None or item.size > _LARGEST:
            return None
        if item.dtype.kind not in "buifSO" or item.dtype.itemsize > _LARGEST or item.is_virtual or item.external:
            return None
        if item.dtype.kind == "O" and not _texts_are_short(item):
            return None
        return _simple(item[()])
    except DAMAGE:
        return None


def _texts_are_short(item: h5py.Dataset) -> bool:
    """Whether texts of any length are as short as they should be.

    HDF5 takes the memory that a text's length claims before it looks whether the file holds that much, so the lengths
    are read here first. Each text is stored as its length, an address and an index: 4, 8 and 4 bytes.
    """
    if h5py.check_string_dtype(item.dtype) is None:
        return False
    if item.chunks is None:
        offset = item.id.get_offset()
    else:
        packed = item.id.get_create_plist().get_nfilters()
        offset = None if packed or item.id.get_num_chunks() != 1 else item.id.get_chunk_info(0).byte_offset
    if offset is None:
        return False
    with open(item.file.filename, "rb") as stream:
        stream.seek(offset)
        stored = np.frombuffer(stream.read(16 * item.size), dtype="<u4")
    return len(stored) == 4 * item.size and int(stored[::4].max(initial=0)) <= _LONGEST_TEXT


def as_number(found: Any) -> float | None:
    """A number, or a text that is one and nothing else."""
    if isinstance(found, bool) or found is None:
        return None
    try:
        return float(found) if isinstance(found, int | float | str) and math.isfinite(float(found)) else None
    except ValueError:
        return None


def number_and_unit(found: Any) -> tuple[float, str] | None:
    """A number that may have its unit behind it, such as ``300kV``."""
    plain = as_number(found)
    if plain is not None:
        return plain, ""
    match = _NUMBER.fullmatch(found[:100]) if isinstance(found, str) else None
    return (float(match[1]), match[2] or "") if match else None


def _simple(found: Any) -> Any:
    """Python's own types of what h5py gives."""
    if isinstance(found, np.ndarray):
        items = [_simple(item) for item in found.ravel().tolist()]
        return items[0] if len(items) == 1 else items
    if isinstance(found, np.generic):
        found = found.item()
    if isinstance(found, bytes):
        return found.decode("utf-8", errors="replace").rstrip("\0").strip()
    return found.strip() if isinstance(found, str) else found if isinstance(found, bool | int | float) else None
