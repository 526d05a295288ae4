"""Packed files: what is in a gzip, bzip2, xz or zip archive, in a temporary file as long as it is read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from napari_subangstrom_cdi.errors import InputError

from ._common import HEAD_BYTES, Format, bytes_text, is_absurd

MAX_UNPACKED = 4 * 2**30
"""Largest file that is unpacked, bytes."""

SUFFIXES = (".gz", ".bz2", ".xz", ".zip")
"""Usual endings of packed files."""

_STREAMS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_DICTIONARY = 256 * 2**20
_ZIP = (b"PK\3\4", b"PK\5\6")
_CHUNK = 2**20
_LARGEST_COMPANION = 64 * 2**20
_COMPANIONS = frozenset((".inf", ".emi", ".hdr"))
_SEPARATOR = "::"


@dataclass(frozen=True)
class Unpacked:
    """A file to be read, which may have been unpacked for it.

    Parameters
    ----------
    given : pathlib.Path
        What the user gave.
    path : pathlib.Path
        Where it lies now.
    dataset : str or None
        What is left of the dataset's name once that of the member is taken off.
    member : str or None
        The file inside the archive, if that holds several.
    """

    given: Path
    path: Path
    dataset: str | None
    member: str | None = None

    def named(self, text: str) -> str:
        """The same text with the user's file where it names the temporary one."""
        if self.path == self.given:
            return text
        shown = f"{self.given} [{self.member or self.path.name}]"
        text = text.replace(str(self.path), shown).replace(str(self.path.parent), str(self.given))
        address = self.given.name + _SEPARATOR + (self.member + _SEPARATOR if self.member else "")
        return text.replace(self.path.name + _SEPARATOR, address)


@contextmanager
def unpacked(path: Path, head: bytes, dataset: str | None, formats: Sequence[Format]) -> Iterator[Unpacked]:
    """The file itself, or what is packed in it; errors inside the block name the file that the user gave.

    Of what no format can read only the beginning is unpacked, by which it is told.

    Parameters
    ----------
    path : pathlib.Path
        What the user gave.
    head : bytes
        Its first bytes.
    dataset : str or None
        ``MEMBER``, ``MEMBER::DATASET`` or ``DATASET``.
    formats : sequence of Format
        Those that can be read: what else an archive holds is passed over, by its ending.

    Raises
    ------
    InputError
        If the archive is damaged, encrypted, too large unpacked, or holds several files and none is named.
    """
    kind = next((known for magic, known in _STREAMS.items() if head.startswith(magic)), None)
    if kind is None and not is_zip_of_files(path, head):
        yield Unpacked(path, path, dataset)
        return
    with tempfile.TemporaryDirectory(prefix="subangstrom-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if kind is not None:
            found = Unpacked(path, _from_stream(path, folder, kind, formats), dataset)
        else:
            found = _from_zip(path, folder, dataset, formats)
        with _errors_named(found):
            yield found


def is_zip_of_files(path: Path, head: bytes) -> bool:
    """True of a zip archive of files; False of NumPy's own, and of one too damaged to tell."""
    if not head.startswith(_ZIP) or path.suffix.lower() in (".npz", ".prz"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except Exception:  # of nearly any class, where an archive is damaged
        return False
    return not all(name.endswith(".npy") for name in names)


def members(path: Path, formats: Sequence[Format]) -> tuple[str, ...]:
    """Names of the files in a zip archive that can be read, by their endings, or of all if none can.

    Raises
    ------
    InputError
        If the archive is damaged.
    """
    suffixes = {suffix for known in formats for suffix in known.suffixes}
    with _damage_named(path, "zip"), zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    known = [name for name in names if PurePosixPath(name).suffix.lower() in suffixes] or names
    return tuple(name for name in known if not _is_companion(name, known))


def _is_companion(name: str, names: Collection[str]) -> bool:
    """True of a text that belongs to another file of the archive."""
    path = PurePosixPath(name)
    return path.suffix.lower() in _COMPANIONS and any(
        other != name and PurePosixPath(other).parent == path.parent and PurePosixPath(other).stem.startswith(path.stem)
        for other in names
    )


def _from_stream(path: Path, folder: Path, kind: str, formats: Sequence[Format]) -> Path:
    inner = folder / _safe(path.stem if path.suffix.lower() in SUFFIXES else path.name)
    with _damage_named(path, kind), open(path, "rb") as packed:
        pieces = _xz_pieces(packed) if kind == "xz" else _pieces(_OPENERS[kind](packed))
        _copy(_while_known(pieces, inner, formats), inner, path.stat().st_size, path)
    return inner


_OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {
    "gzip": lambda stream: gzip.GzipFile(fileobj=stream),
    "bzip2": lambda stream: bz2.BZ2File(stream),
}


def _pieces(stream: Any) -> Iterator[bytes]:
    while piece := stream.read(_CHUNK):
        yield piece


def _xz_pieces(packed: IO[bytes]) -> Iterator[bytes]:
    """As `_pieces`; a file of a few bytes may ask for a dictionary of gigabytes, which LZMAFile would give it."""
    decoder, rest = lzma.LZMADecompressor(memlimit=_DICTIONARY), b""
    while True:
        if decoder.eof:
            rest = (decoder.unused_data + packed.read(_CHUNK)).lstrip(b"\0")
            if not rest:
                return
            decoder = lzma.LZMADecompressor(memlimit=_DICTIONARY)
        elif decoder.needs_input:
            rest = packed.read(_CHUNK)
            if not rest:
                raise EOFError("the end is missing")
        yield decoder.decompress(rest, _CHUNK)
        rest = b""


def _from_zip(path: Path, folder: Path, dataset: str | None, formats: Sequence[Format]) -> Unpacked:
    names = members(path, formats)
    name, rest = _named(path, names, dataset)
    with _damage_named(path, "zip"), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            target, is_text = folder / _safe(PurePosixPath(info.filename).name), _is_companion(info.filename, (name,))
            if info.is_dir() or not (info.filename == name or is_text):
                continue
            _check_member(info, path)
            with archive.open(info) as stream:
                pieces = _pieces(stream)
                most = _LARGEST_COMPANION if is_text else MAX_UNPACKED
                _copy(
                    pieces if is_text else _while_known(pieces, target, formats), target, info.compress_size, path, most
                )
    inner = folder / _safe(PurePosixPath(name).name)
    return Unpacked(path, inner, rest, name if len(names) > 1 else None)


def _named(path: Path, names: tuple[str, ...], dataset: str | None) -> tuple[str, str | None]:
    """The member that is meant, and what remains of the dataset's name."""
    listing = ", ".join(f"{path.name}{_SEPARATOR}{name}" for name in names[:8])
    wanted, mark, rest = (dataset or "").partition(_SEPARATOR)
    if wanted in names:
        return wanted, rest if mark and rest else None
    if len(names) == 1:
        return names[0], dataset
    if not names:
        raise InputError("is a zip archive without files", where=str(path), mend="give the image file itself")
    more = f", ... ({len(names)} in all)" if len(names) > 8 else ""
    if dataset is not None:
        raise InputError(f"has no file {wanted!r} in it", where=str(path), mend=f"it holds {listing}{more}")
    raise InputError(
        f"is a zip archive of {len(names)} files", where=str(path), mend=f"name the one that is meant: {listing}{more}"
    )


def _check_member(info: zipfile.ZipInfo, path: Path) -> None:
    if info.flag_bits & 1:
        raise InputError(f"{info.filename} in it is encrypted", where=str(path), mend="unpack it, and give that file")
    if info.file_size > MAX_UNPACKED or is_absurd(info.file_size, info.compress_size):
        raise _too_large(path, info.file_size)


def _while_known(pieces: Iterator[bytes], target: Path, formats: Sequence[Format]) -> Iterator[bytes]:
    """All pieces of a file that may be read, the first of another."""
    by_name = any(target.suffix.lower() in known.suffixes and (known.by_suffix or known.claims) for known in formats)
    first = b""
    for piece in pieces:
        first += piece
        if len(first) >= HEAD_BYTES:
            break
    yield first
    if by_name or any(known.matches(first[:HEAD_BYTES]) for known in formats):
        yield from pieces


def _copy(pieces: Iterator[bytes], target: Path, packed_bytes: int, path: Path, most: int | None = None) -> None:
    """Unpack piece by piece, up to what a record may hold and the disk has room for."""
    room = min(most or MAX_UNPACKED, shutil.disk_usage(target.parent).free // 2)
    written = 0
    with open(target, "wb") as out:
        for piece in pieces:
            written += len(piece)
            if written > room or is_absurd(written, packed_bytes):
                raise _too_large(path, written)
            out.write(piece)


def _too_large(path: Path, size: int) -> InputError:
    return InputError(
        f"unpacks to {bytes_text(size)} or more, above what is unpacked here",
        where=str(path),
        mend="unpack it yourself, and give that file",
    )


def _safe(name: str) -> str:
    """A file name for the temporary folder: neither a path nor too long, its ending kept."""
    kept = "".join(c if c.isalnum() or c in "._- " else "_" for c in name)
    return kept[-100:].lstrip(". ") or "unpacked"


@contextmanager
def _damage_named(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            f"is a {kind} archive that takes too much memory to unpack", where=str(path), mend="unpack it yourself"
        ) from error
    except Exception as error:  # of nearly any class, where an archive is damaged
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(
                f"cannot be unpacked ({error.strerror})", where=str(path), mend="check the disk's free space"
            ) from error
        raise InputError(
            f"is a {kind} archive, and damaged or cut short ({' '.join(str(error).split())[:100]})",
            where=str(path),
            mend="copy or download it again",
        ) from error


@contextmanager
def _errors_named(found: Unpacked) -> Iterator[None]:
    """Name the user's file where a reader names the temporary one."""
    try:
        yield
    except InputError as error:
        problem, where, mend = (found.named(text or "") for text in (error.problem, error.where, error.mend))
        raise InputError(problem, where=where or None, mend=mend or None) from error
