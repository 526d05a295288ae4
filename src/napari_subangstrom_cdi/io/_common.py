"""What every reader shares: the array found in a file, and the checks made before it is read."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError

from .header import Header

Array = NDArray[Any]

_LOGGERS = ("tifffile", "fabio", "rsciio")
# Deflate cannot exceed 1032:1, and no detector record comes near it; below the floor a lie does no harm.
_LARGEST_COMPRESSION = 2000
_HARMLESS_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Stored:
    """An array found in a file: what its header claims, and how to read one frame of it.

    Parameters
    ----------
    shape : tuple of int
        (y, x) or (frame, y, x); leading axes of length one are dropped by `image_shape`.
    dtype : numpy.dtype
        As stored.
    stored_bytes : int or None
        Bytes that the file spends on the array, None if unknown.
    read_frame : callable
        Takes the frame number (0 for a single image) and returns its (y, x) array.
    held_bytes : int, optional
        Bytes that reading one frame takes, where that is more than the frame.
    header : Header
        What the file says of the array.
    read_mask : callable, optional
        Returns the mask, (y, x), non-zero where pixels are not to be trusted, if the file holds one.
    metadata : dict
        Header entries worth keeping.
    cautions : tuple of str
        What a careful colleague would mention; issued as QualityWarning once the file is read.
    colour : bool
        True if the pixels are colours.
    frame_number : int
        Number by which a single image may be asked for, beside 0: that of its page among others.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stored_bytes: int | None
    read_frame: Callable[[int], Array]
    held_bytes: int = 0
    header: Header = Header()  # noqa: RUF009  (frozen)
    read_mask: Callable[[], Array] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    cautions: tuple[str, ...] = ()
    colour: bool = False
    frame_number: int = 0


@dataclass(frozen=True)
class Item:
    """One of several arrays in a file.

    Parameters
    ----------
    name : str
        What follows ``::`` in the file's address.
    shape : tuple of int
        As stored.
    dtype : str
        Type of the values, for people.
    caption : str
        What it is, as far as the file says.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    caption: str = ""


@dataclass(frozen=True)
class Format:
    """One file format.

    Parameters
    ----------
    name : str
        As shown to the user.
    suffixes : tuple of str
        Usual file name endings, lower case, with the dot.
    matches : callable
        Takes the first `HEAD_BYTES` of a file; True if they are of this format.
    open : callable
        Takes the path and the name of a dataset (None: choose); context manager yielding a `Stored`.
    has_datasets : bool
        True if a file may hold several named arrays.
    by_suffix : bool
        True if files of this format exist without a mark to know them by.
    claims : callable, optional
        Takes the path; True if a file beside it shows that it is of this format. Asked before its content.
    contents : callable, optional
        Takes the path and returns an `Item` for each array that may be chosen; None if a file holds one only.
    companions : callable, optional
        Takes the path and returns the files that lie beside it, as far as they are there, which it is read with, such
        as its header; they are kept in a result with it.
    """

    name: str
    suffixes: tuple[str, ...]
    matches: Callable[[bytes], bool]
    open: Callable[[Path, str | None], AbstractContextManager[Stored]]
    has_datasets: bool = False
    by_suffix: bool = False
    claims: Callable[[Path], bool] | None = None
    contents: Callable[[Path], tuple[Item, ...]] | None = None
    companions: Callable[[Path], tuple[Path, ...]] | None = None


HEAD_BYTES = 4096


def read_bytes(path: Path, limit: int) -> bytes:
    """First bytes of a file, at most `limit`.

    Raises
    ------
    InputError
        If there is no such file, it is no plain file, or it may not be read.
    """
    where = str(path)
    try:
        if path.is_dir():
            raise InputError("is a folder, not a file", where=where, mend="give the file in it")
        if path.exists() and not path.is_file():
            raise InputError("is a device or pipe, not a file", where=where, mend="give a file")
        with open(path, "rb") as stream:
            return stream.read(limit)
    except FileNotFoundError as error:
        raise InputError("there is no such file", where=where, mend="check path and spelling") from error
    except PermissionError as error:
        raise InputError("may not be read (permission denied)", where=where, mend="change its permissions") from error
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror or error})", where=where, mend="check path and disk"
        ) from error


def bytes_text(n: int) -> str:
    """Size for a message, e.g. ``'3.1 GB'``."""
    size = float(n)
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} EB"


def shape_text(shape: tuple[int, ...]) -> str:
    """Shape for a message, e.g. ``'1024 x 1024'``."""
    return " x ".join(map(str, shape)) if shape else "single value"


def nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Bytes of an array, in Python integers so that a false header cannot overflow."""
    return math.prod(map(int, shape)) * dtype.itemsize


def is_absurd(claimed: int, stored: int) -> bool:
    """True if no compression could make the bytes that are stored from those that are claimed."""
    return claimed > max(stored * _LARGEST_COMPRESSION, _HARMLESS_BYTES)


def two_sizes(one: int, other: int) -> tuple[str, str]:
    """Both sizes for a message, in single bytes where rounding would make them look alike."""
    if abs(one - other) < 0.05 * max(one, other):
        return f"{one:,} bytes", f"{other:,} bytes"
    return bytes_text(one), bytes_text(other)


def finite_number(value: Any) -> float | None:
    """A number as float; None for anything else, infinities and NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def cut_short(path: Path, needed: int, found: int) -> InputError:
    """Error for a file that ends before its data do."""
    sizes = two_sizes(needed, found)
    return InputError(
        f"the file is cut short: its header needs {sizes[0]} and {sizes[1]} are there",
        where=str(path),
        mend="copy or download it again",
    )


def image_shape(stored: Stored, where: str, max_bytes: int) -> tuple[int, ...]:
    """Shape as (y, x) or (frame, y, x), once the claims of the header have been found sound.

    Raises
    ------
    InputError
        If the array is no real-valued image or stack of images, or claims more than it can hold.
    """
    shape = stored.shape
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    if stored.dtype.kind == "c":
        raise InputError(
            "the data are complex numbers where an intensity belongs",
            where=where,
            mend="save the modulus squared (or the real part) and give that file",
        )
    if stored.dtype.kind not in "buif":
        raise InputError(f"the data are of type {stored.dtype}, not numbers", where=where, mend="save them as numbers")
    if len(shape) < 2 or len(shape) > 3:
        raise InputError(
            f"holds an array of {len(shape)} dimension{'s' * (len(shape) != 1)} ({shape_text(shape)})",
            where=where,
            mend="an image has 2 dimensions: save the one that is meant as a file of its own",
        )
    if 0 in shape:
        raise InputError(
            f"the image is empty ({shape_text(shape)} pixels)", where=where, mend="record or export it again"
        )
    if stored.colour or (len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) > 4):
        raise InputError(
            f"is a colour image ({shape_text(shape)}), and colours are not counts",
            where=where,
            mend="export the detector's counts, or convert it to grey",
        )
    _check_claims(stored, shape, where, max_bytes)
    return shape


def _check_claims(stored: Stored, shape: tuple[int, ...], where: str, max_bytes: int) -> None:
    whole = nbytes(shape, stored.dtype)
    held = max(nbytes(shape[-2:], stored.dtype), stored.held_bytes)
    if held > max_bytes:
        claimed = shape if stored.held_bytes else shape[-2:]
        sizes = two_sizes(held, max_bytes)
        raise InputError(
            f"the header claims {shape_text(claimed)} pixels, {sizes[0]}, above the limit of {sizes[1]}",
            where=where,
            mend="check that the file is sound, or crop or bin the image first",
        )
    if stored.stored_bytes is None:
        return
    if is_absurd(whole, stored.stored_bytes):
        raise InputError(
            f"the header claims {shape_text(shape)} pixels, {bytes_text(whole)}, but the file stores only "
            f"{bytes_text(stored.stored_bytes)} for them",
            where=where,
            mend="the file is damaged or false: export it again",
        )


@contextmanager
def library_errors(path: Path, format_name: str) -> Iterator[None]:
    """Turn whatever a format's library raises on a broken file into an `InputError`; keep it silent.

    A damaged header makes these libraries raise errors of nearly any class, so all are caught here,
    around the reading alone, and chained.
    """
    with _quiet():
        try:
            yield
        except InputError:
            raise
        except MemoryError as error:
            raise InputError(
                "there is not enough memory to read it", where=str(path), mend="crop or bin the image first"
            ) from error
        except Exception as error:
            raise InputError(
                f"cannot be read as {format_name}: the file is damaged or cut short ({_one_line(error)})",
                where=str(path),
                mend="copy or export it again",
            ) from error


def _one_line(error: Exception) -> str:
    text = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    text = re.sub(r"<[^>]*>\s*", "", text)
    return text if len(text) <= 120 else f"{text[:117]}..."


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' warnings and logs off the terminal: what matters becomes an error or a caution."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.propagate, logger.handlers) for logger in loggers]
    for logger in loggers:
        logger.propagate, logger.handlers = False, [logging.NullHandler()]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, (propagate, handlers) in zip(loggers, before, strict=True):
            logger.propagate, logger.handlers = propagate, handlers


class LogCollector(logging.Handler):
    """Collects what a library logs while a file is read."""

    def __init__(self, level: int = logging.ERROR) -> None:
        super().__init__(level)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.messages.append(record.getMessage())


@contextmanager
def collected_log(name: str, level: int = logging.ERROR) -> Iterator[list[str]]:
    """Messages that the named logger gets inside the block, at `level` or above."""
    collector = LogCollector(level)
    logger = logging.getLogger(name)
    logger.addHandler(collector)
    try:
        yield collector.messages
    finally:
        logger.removeHandler(collector)


_told: ContextVar[Callable[[int, int], None] | None] = ContextVar("told", default=None)


@contextmanager
def telling(told: Callable[[int, int], None]) -> Iterator[None]:
    """Have a function called with the frames read and those to be read, while a stack is read inside."""
    token = _told.set(told)
    try:
        yield
    finally:
        _told.reset(token)


def tell(done: int, frames: int) -> None:
    """Say how far the reading of a stack has come."""
    told = _told.get()
    if told is not None:
        told(done, frames)


def decoded(raw: bytes, where: str) -> str:
    """The text of a file in UTF-8, or in UTF-16 as Windows marks it.

    Raises
    ------
    InputError
        If it is neither.
    """
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in raw:
        if b"\0\0" in (raw[1:4:2], raw[0:3:2]):
            raise InputError("is saved as UTF-16", where=where, mend="save it as UTF-8")
        raise InputError("is no text in UTF-8", where=where, mend="give a text file saved as UTF-8, not the data")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError("is no text in UTF-8", where=where, mend="save it as UTF-8") from error


def native(data: Array) -> Array:
    """The array in C order and this machine's byte order, independent of the file it came from; copied if need be."""
    if _is_whole(data) and data.dtype.isnative and data.flags.c_contiguous and data.flags.writeable:
        return data
    return np.array(data, dtype=data.dtype.newbyteorder("="), order="C", copy=True, subok=False)


def _is_whole(data: Array) -> bool:
    """Whether an array has its memory to itself: no part of a larger one, of a file, or of another object."""
    root: Any = data
    while isinstance(root, np.ndarray) and not root.flags.owndata:
        root = root.base
    return type(data) is np.ndarray and type(root) is np.ndarray and root.nbytes == data.nbytes
