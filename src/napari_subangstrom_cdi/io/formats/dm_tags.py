"""The tags of a DM3 or DM4 file, without its pixels.

The layout is that found by C. Boothroyd, https://www.er-c.org/cbb/info/dmformat/: a tree of groups, in which each leaf
says its type and length. nionswift-io turns it into Python's values, but would take memory for whatever length a
damaged file claims, and would read every pixel for one number. So the tree is walked here first: every length is
compared with the file, and nionswift-io is given the same tree with its long arrays emptied.
"""

from __future__ import annotations

import io
import mmap
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import cut_short

# Element sizes by the number of the type in the file.
_SIZES: Mapping[int, int] = {2: 2, 3: 4, 4: 2, 5: 4, 6: 4, 7: 8, 8: 1, 9: 1, 10: 1, 11: 8, 12: 8}
_STRUCT, _STRING, _ARRAY = 15, 18, 20
_LEAF, _GROUP = 21, 20
_MARK = b"%%%%"

_LONGEST_TEXT = 4096  # bytes; longer arrays are left in the file
_MOST_TAGS = 100_000  # of a real file: some 3,000
_DEEPEST = 64
_LARGEST_TREE = 64 * 2**20

Branch = tuple[str | int, ...]

# nionswift-io keeps the version of the file that it reads in a global variable.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Extent:
    """Where an array lies in the file."""

    start: int
    nbytes: int


@dataclass(frozen=True)
class Tags:
    """The tree of a file.

    Parameters
    ----------
    root : dict
        Groups as dict and list, texts as str.
    arrays : mapping of tuple to Extent
        By the path through the tree: the arrays that were left in the file, of which `root` has empty ones.
    """

    root: dict[str, Any]
    arrays: Mapping[Branch, Extent]


def read_tags(path: Path) -> Tags:
    """Read the tree.

    Raises
    ------
    InputError
        If the file is cut short, or is one of a byte order or size that does not occur.
    Exception
        Of any kind if the tree is damaged; the caller turns it into an `InputError`.
    """
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        walk = _Walk(raw, path)
        walk.file()
    from nionswift_plugin.DM_IO import parse_dm3

    with _ONE_AT_A_TIME:
        root = parse_dm3.dm_read_header(io.BytesIO(walk.kept))
    if not isinstance(root, dict):
        raise ValueError("the tags have no names")
    return Tags(_readable(root), walk.arrays)


class _Walk:
    """One pass through the tree, that checks every length and keeps all but the long arrays."""

    def __init__(self, raw: mmap.mmap, path: Path) -> None:
        self.raw, self.path = raw, path
        self.at = self.tags = 0
        self.kept = bytearray()
        self.arrays: dict[Branch, Extent] = {}
        self.word = ">L"

    def file(self) -> None:
        """The whole file."""
        version, size = self._take(">l"), len(self.raw)
        self.word = ">L" if version == 3 else ">Q"
        if version not in (3, 4):
            raise ValueError(f"version {version}")
        self._take(self.word)
        if self._take(">l") != 1:
            raise InputError(
                "is a DM file of an old Macintosh, whose byte order is not read",
                where=str(self.path),
                mend="open it in DigitalMicrograph or ImageJ and save it as TIFF",
            )
        self._group((), 0)
        if self.at > size:
            raise cut_short(self.path, self.at, size)
        self.kept += bytes(8)

    def _take(self, form: str) -> int:
        """The next number, which is kept."""
        size = struct.calcsize(form)
        self._need(size)
        value: int = struct.unpack_from(form, self.raw, self.at)[0]
        self._keep(size)
        return value

    def _need(self, size: int) -> None:
        if self.at + size > len(self.raw):
            raise cut_short(self.path, self.at + size, len(self.raw))

    def _keep(self, size: int) -> None:
        self.kept += self.raw[self.at : self.at + size]
        self.at += size
        if len(self.kept) > _LARGEST_TREE:
            raise ValueError("its tags are larger than those of any microscope")

    def _group(self, path: Branch, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError("its tags are nested without end")
        self._take(">b")
        self._take(">b")
        for i in range(self._take(self.word)):
            self._entry(path, i, depth)

    def _entry(self, path: Branch, i: int, depth: int) -> None:
        self.tags += 1
        if self.tags > _MOST_TAGS:
            raise ValueError("it has more tags than any microscope writes")
        kind, length = self._take(">b"), self._take(">H")
        self._need(length)
        name = self.raw[self.at : self.at + length].decode("latin-1") if length else i
        self._keep(length)
        if self.word == ">Q":
            self._take(self.word)
        if kind == _GROUP:
            self._group((*path, name), depth + 1)
        elif kind == _LEAF:
            self._leaf((*path, name))
        else:
            raise ValueError(f"a tag of kind {kind}")

    def _leaf(self, path: Branch) -> None:
        self._need(len(_MARK))
        if self.raw[self.at : self.at + 4] != _MARK:
            raise ValueError(f"a tag without its mark at byte {self.at}")
        self._keep(4)
        self._take(self.word)
        kind = self._take(self.word)
        if kind == _ARRAY:
            element = self._take(self.word)
            size = self._struct() if element == _STRUCT else _size_of(element)
            self._array(path, size, texts=element != _STRUCT)
        elif kind == _STRING:
            raise ValueError("a tag of a type that DigitalMicrograph does not write")
        else:
            size = self._struct() if kind == _STRUCT else _size_of(kind)
            self._need(size)
            self._keep(size)

    def _struct(self) -> int:
        """Bytes of a structure, whose description is kept."""
        self._take(self.word)
        size = 0
        for _ in range(self._take(self.word)):
            self._take(self.word)
            size += _size_of(self._take(self.word))
        return size

    def _array(self, path: Branch, element: int, *, texts: bool) -> None:
        length_at = len(self.kept)
        nbytes = self._take(self.word) * element
        self._need(nbytes)
        if texts and nbytes <= _LONGEST_TEXT and path[-1] != "Data":
            self._keep(nbytes)
            return
        self.arrays[path] = Extent(self.at, nbytes)
        self.kept[length_at:] = struct.pack(self.word, 0)
        self.at += nbytes


def _size_of(kind: int) -> int:
    if kind not in _SIZES:
        raise ValueError(f"a value of type {kind}")
    return _SIZES[kind]


def _readable(node: Any) -> Any:
    """The same tree with its texts, which DigitalMicrograph stores as arrays of 16 bits, as str."""
    if isinstance(node, dict):
        return {key: _readable(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_readable(value) for value in node]
    if getattr(node, "typecode", None) == "H":
        return node.tobytes().decode("utf-16-le", errors="replace").rstrip("\0")
    return node
