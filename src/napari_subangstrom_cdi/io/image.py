"""Read a pattern, image or mask from a file of any supported format."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError, doubt

from . import packed
from ._common import (
    HEAD_BYTES,
    Array,
    Format,
    Item,
    Stored,
    image_shape,
    library_errors,
    native,
    read_bytes,
    shape_text,
    tell,
)
from .formats import ditabis, dm, edf, fuji, hdf5, mrc, npy, rosettasciio, ser, tiff
from .header import Header, Pixel, Role

FORMATS: tuple[Format, ...] = (
    tiff.FORMAT,
    mrc.FORMAT,
    npy.NPY,
    npy.NPZ,
    hdf5.FORMAT,
    edf.FORMAT,
    dm.FORMAT,
    ser.FORMAT,
    ser.EMI,
    *rosettasciio.FORMATS,
    ditabis.FORMAT,
    fuji.FORMAT,
)
"""The formats that `read_image` knows, in the order in which they are tried."""

MAX_BYTES = 2 * 2**30
"""Largest image that is read unless the caller says otherwise: a float32 image of 23,170 x 23,170 pixels."""

_FOREIGN = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"BM": "a BMP picture",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive inside an archive",
    b"BZh": "a bzip2 archive inside an archive",
    b"\xfd7zXZ": "an xz archive inside an archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"HDR,": "the text beside the MIB file that holds the pixels",
}


@dataclass(frozen=True)
class ImageFile:
    """A pattern or image, and what its file says about it.

    Parameters
    ----------
    data : ndarray, shape (y, x)
        Values as stored, in native byte order; of a stack read whole, (frame, y, x).
    path : pathlib.Path
        The file that it came from.
    format_name : str
        Format, by content.
    header : Header
        What the file says: pixel, energy, detector, and where each stood.
    frames : int
        How many stored frames `data` is the sum of.
    stored_frames : int
        How many the file holds.
    mask : ndarray of bool or None, shape (y, x)
        Pixels that the file marks as not to be trusted.
    dataset : str or None
        Which of several arrays of the file.
    metadata : dict of str
        Header entries.
    """

    data: NDArray[Any]
    path: Path
    format_name: str
    header: Header = field(default_factory=Header)
    frames: int = 1
    stored_frames: int = 1
    mask: NDArray[np.bool_] | None = None
    dataset: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def pixel(self) -> Pixel | None:
        """Size (y, x) of a pixel and its unit, ``Å`` or ``1/Å``."""
        return self.header.pixel

    @property
    def pixel_angstrom(self) -> float | None:
        """The pixel if it is one of real space and square, Å."""
        return self.header.pixel_angstrom

    @property
    def role(self) -> Role | None:
        """``pattern`` or ``image``, by the microscope's mode."""
        return self.header.role

    @property
    def energy_ev(self) -> float | None:
        """Beam energy, eV."""
        return self.header.energy_ev

    @property
    def camera_length_mm(self) -> float | None:
        """Camera length as the file states it, mm."""
        return self.header.camera_length_mm

    @property
    def said(self) -> Mapping[str, str]:
        """Where in the file each of the header's values stood, and the mask; and which of its frames `data` is."""
        return {**self.header.said, "frames": self._frames_said()}

    def _frames_said(self) -> str:
        if self.stored_frames == 1:
            return "the only one of the file"
        if self.frames == 1:
            return "all of the file" if self.data.ndim == 3 else f"one of {self.stored_frames} in the file"
        return f"all {self.frames} of the file, added up"


def split_address(address: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """File and dataset of ``FILE`` or ``FILE::DATASET``; a file whose own name holds ``::`` goes before.

    >>> split_address("scan.h5::/entry/data")
    (PosixPath('scan.h5'), '/entry/data')
    """
    whole = os.fspath(address)
    file, mark, dataset = whole.partition("::")
    if not mark or _is_there(whole):
        return Path(whole).expanduser(), None
    return Path(file).expanduser(), dataset or None


def address_of(path: str | os.PathLike[str], dataset: str | None) -> str:
    """The other way round."""
    return f"{os.fspath(path)}::{dataset}" if dataset else os.fspath(path)


def short_name(address: str | os.PathLike[str]) -> str:
    """An address without the folder, for messages."""
    path, dataset = split_address(address)
    return address_of(path.name, dataset)


def _is_there(name: str) -> bool:
    try:
        return Path(name).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # too long for a name, a null in it, no such home
        return False


def read_image(
    path: str | os.PathLike[str],
    *,
    frame: int | Literal["sum"] | None = None,
    dataset: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> ImageFile:
    """Read one image; the format is known by the content of the file, not by its name.

    Parameters
    ----------
    path : path-like
        File of one of `FORMATS`; ``FILE::DATASET`` names one of several arrays in it.
    frame : int or 'sum', optional
        Which frame of a stack, from 0, or the sum of all (in 64 bits).
    dataset : str, optional
        Which of several arrays in the file; as in the address, before which it goes.
    max_bytes : int, optional
        Largest image to read, checked against the header before anything is allocated.

    Returns
    -------
    ImageFile
        With `data` of shape (y, x).

    Raises
    ------
    InputError
        If the file is missing, unreadable, damaged, cut short, of no known format, or holds no single
        real image.

    Warns
    -----
    QualityWarning
        If the header says something to be looked at, such as pixels that are not square.
    """
    with opened(path, dataset) as (found, stored):
        shape = image_shape(stored, found.address(stored), max_bytes)
        n = shape[0] if len(shape) == 3 else 1
        data = _select(stored, shape, frame, found.address(stored))
        read = read_with(found, stored, data, frames=n if frame == "sum" else 1, stored_frames=n)
    say_cautions(found.path, stored)
    return read


def read_record(
    path: str | os.PathLike[str], dataset: str | None = None, frame: int | Literal["sum"] | None = None
) -> ImageFile:
    """Read a pattern or an image with all that its file says of it.

    Parameters
    ----------
    path : path-like
        File of any of the formats that are known, by its content; ``FILE::DATASET`` names one of several arrays in it.
    dataset : str, optional
        The same by itself.
    frame : int or 'sum', optional
        Which frame of a stack, from 0, or the sum of all.

    Returns
    -------
    ImageFile
        ``.data`` (y, x) as it is stored; ``.pixel``, which is ``(y, x), unit``; ``.role``, ``.energy_ev``,
        ``.camera_length_mm`` and ``.mask``, each None where the file does not say; ``.frames``, of how many frames
        ``.data`` is the sum; ``.said`` tells where in the file each stood, and ``.header`` holds what else it says.

    Raises
    ------
    InputError
        If the file is missing, unreadable, damaged, of no known format, or holds several arrays or frames of which
        none is chosen.
    """
    return read_image(path, dataset=dataset, frame=frame)


@dataclass(frozen=True)
class Found:
    """Which file and format an address means, and which array in it."""

    path: Path
    format: Format
    dataset: str | None

    def address(self, stored: Stored) -> str:
        """File and array, for messages."""
        return address_of(self.path, stored.metadata.get("dataset", self.dataset))


@contextmanager
def opened(path: str | os.PathLike[str], dataset: str | None = None) -> Iterator[tuple[Found, Stored]]:
    """Open the array that an address means; whatever fails inside the block is an `InputError`.

    Raises
    ------
    InputError
        If there is no such file or array, or the format is unknown.
    """
    file, named = split_address(path)
    with _unpacked(file, dataset or named) as inner:
        _, known = _identify(inner.path)
        dataset = inner.dataset
        if dataset is not None and not known.has_datasets:
            raise InputError(
                f"holds one array only, as files of {known.name} do, and no {dataset!r}",
                where=str(file),
                mend="leave out :: and what follows it",
            )
        with library_errors(inner.path, known.name), known.open(inner.path, dataset) as stored:
            yield Found(file, known, inner.dataset), _as_given(stored, inner)


def _unpacked(file: Path, dataset: str | None) -> AbstractContextManager[packed.Unpacked]:
    return packed.unpacked(file, read_bytes(file, HEAD_BYTES), dataset, FORMATS)


def _as_given(stored: Stored, inner: packed.Unpacked) -> Stored:
    """The same, naming the user's file where it was unpacked."""
    if inner.path == inner.given:
        return stored
    metadata = dict(stored.metadata)
    if inner.member is not None:
        inside = metadata.get("dataset", inner.dataset)
        metadata["dataset"] = f"{inner.member}::{inside}" if inside else inner.member
    return replace(stored, metadata=metadata, cautions=tuple(inner.named(text) for text in stored.cautions))


def read_with(found: Found, stored: Stored, data: Array, *, frames: int, stored_frames: int) -> ImageFile:
    """What was read, with all that its file says."""
    mask = None if stored.read_mask is None else np.asarray(stored.read_mask()) != 0
    if mask is not None and mask.shape != data.shape[-2:]:
        raise InputError(
            f"its mask has {shape_text(mask.shape)} pixels, the data {shape_text(data.shape[-2:])}",
            where=found.address(stored),
            mend="name the dataset that the mask belongs to, or save them without it",
        )
    return ImageFile(
        data,
        found.path,
        found.format.name,
        stored.header,
        frames,
        stored_frames,
        mask,
        stored.metadata.get("dataset", found.dataset),
        stored.metadata,
    )


def say_cautions(path: Path, stored: Stored) -> None:
    """Issue what a careful colleague would mention."""
    for caution in (*stored.cautions, *stored.header.all_doubts()):
        doubt(f"{path}: {caution}")


def contents(path: str | os.PathLike[str]) -> tuple[Item, ...]:
    """The arrays in a file of which one may be chosen as ``FILE::NAME``; empty if it holds one only.

    Raises
    ------
    InputError
        If the file is missing, unreadable, damaged or of no known format.
    """
    file, dataset = split_address(path)
    if dataset is None and packed.is_zip_of_files(file, read_bytes(file, HEAD_BYTES)):
        names = packed.members(file, FORMATS)
        if len(names) > 1:
            return tuple(Item(name, (), "", "file in the archive") for name in names)
    with _unpacked(file, dataset) as inner:
        _, known = _identify(inner.path)
        if known.contents is None:
            return ()
        with library_errors(inner.path, known.name):
            items = known.contents(inner.path)
        return tuple(replace(item, name=f"{inner.member}::{item.name}") if inner.member else item for item in items)


def companions(path: Path) -> tuple[Path, ...]:
    """Files beside a file that it is read with, such as a header of its own; none if it is no image.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        path, known = _identify(path)
    except InputError:
        return ()
    if known.companions is None:
        return ()
    with library_errors(path, known.name):
        return known.companions(path)


def read_mask(
    path: str | os.PathLike[str],
    *,
    frame: int | Literal["sum"] | None = None,
    dataset: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> NDArray[np.bool_]:
    """Read a mask: True wherever the file holds anything but zero.

    Parameters
    ----------
    path, frame, dataset, max_bytes
        As of `read_image`.

    Returns
    -------
    ndarray of bool, shape (y, x)

    Raises
    ------
    InputError
        As `read_image`, and if values are not finite.

    Warns
    -----
    QualityWarning
        If the file holds more than two values, as an image does.
    """
    image = read_image(path, frame=frame, dataset=dataset, max_bytes=max_bytes)
    if not np.isfinite(image.data).all():
        raise InputError("the mask holds NaN or infinity", where=str(path), mend="save it with 0 and 1 only")
    marked: NDArray[np.bool_] = image.data != 0
    if marked.any() and np.ptp(image.data[marked].astype(np.float64)) > 0:
        doubt(
            f"{path}: the mask holds more than two values; all but 0 count as marked",
        )
    return marked


def _select(stored: Stored, shape: tuple[int, ...], frame: int | str | None, where: str) -> Array:
    """Read the wanted frame, or the sum of all, one frame in memory at a time."""
    n = shape[0] if len(shape) == 3 else 1
    if frame is None and n > 1:
        raise InputError(
            f"is a stack of {n} frames of {shape_text(shape[1:])} pixels where one image belongs",
            where=where,
            mend=f"choose a frame from 0 to {n - 1}, or 'sum' to add them up (--pattern-frame and the like; of a mask, "
            "save the one that is meant as a file of its own)",
        )
    if frame == "sum" and n > 1:
        total = stored.read_frame(0).astype(np.float64 if stored.dtype.kind == "f" else np.int64)
        for k in range(1, n):
            total += stored.read_frame(k).astype(total.dtype)
            tell(k + 1, n)
        return native(total)
    number = 0 if frame in (None, "sum") or (n == 1 and frame == stored.frame_number) else frame
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 0 <= number < n:
        raise InputError(
            f"there is no frame {frame!r}: the file holds {n}",
            where=where,
            mend=f"choose a frame from 0 to {n - 1}, or 'sum'" if n > 1 else "leave the frame out",
        )
    return native(stored.read_frame(int(number)))


def _identify(path: Path) -> tuple[Path, Format]:
    head = read_bytes(path, HEAD_BYTES)
    if not head:
        raise InputError("the file is empty", where=str(path), mend="copy or export it again")
    for known in FORMATS:
        if known.claims is not None and known.claims(path):
            return path, known
    for known in FORMATS:
        if known.matches(head):
            return path, known
    what = _foreign(head)
    named = next((f for f in FORMATS if path.suffix.lower() in f.suffixes), None)
    if named is not None and named.by_suffix and what is None:
        return path, named
    called = f"is named {path.suffix} but " if named else ""
    names = ", ".join(f.name for f in FORMATS)
    raise InputError(f"{called}{what or 'is of no known format'}", where=str(path), mend=f"give a {names} file")


def _foreign(head: bytes) -> str | None:
    """What a file of no supported format seems to be, None if there is nothing to tell it by."""
    if len(head) < 8:
        return f"holds only {len(head)} bytes"
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            return f"is {name}"
    if head[257:262] == b"ustar":
        return "is a tar archive, which has to be unpacked first"
    text = head.decode("utf-8", errors="ignore")
    if b"\0" in head or len(text.encode()) < 0.95 * len(head) or not all(c.isprintable() or c.isspace() for c in text):
        return None
    start = " ".join(text[:200].split())[:30]
    kind = "a web page" if start.lower().startswith(("<!doctype html", "<html")) else "text"
    return f"holds {kind} (it starts with {start!r})"
