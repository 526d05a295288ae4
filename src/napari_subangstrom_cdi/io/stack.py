"""Read a whole stack of frames from a file of any supported format."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from napari_subangstrom_cdi.errors import InputError

from ._common import bytes_text, image_shape, native, nbytes, shape_text, tell
from .header import Header
from .image import ImageFile, opened, read_with, say_cautions, split_address

MAX_BYTES = 2**30
"""Largest stack that is read unless the caller says otherwise."""


@dataclass(frozen=True)
class StackInfo:
    """What the header of an image file says.

    Parameters
    ----------
    shape : tuple of int
        (y, x), or (frame, y, x) of a stack.
    header : Header
        What else it says: pixel, energy, detector.
    format_name : str
        By its content.
    dtype : str
        Type of the stored values.
    dataset : str or None
        Which of several arrays of the file.
    has_mask : bool
        Whether it marks pixels as not to be trusted.
    cautions : tuple of str
        What a careful colleague would mention, the header's doubts left out.
    """

    shape: tuple[int, ...]
    header: Header
    format_name: str = ""
    dtype: str = ""
    dataset: str | None = None
    has_mask: bool = False
    cautions: tuple[str, ...] = ()

    @property
    def pixel_angstrom(self) -> float | None:
        """The pixel if it is one of real space and square, Å."""
        return self.header.pixel_angstrom

    @property
    def frames(self) -> int:
        """How many frames it holds."""
        return self.shape[0] if len(self.shape) == 3 else 1


def state_of(address: str | os.PathLike[str]) -> tuple[int, ...] | None:
    """What changes when an address's file does, or the folder in which files belonging to it lie; None without it."""
    path, _ = split_address(address)
    try:
        found, folder = path.stat(), path.parent.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, folder.st_mtime_ns


def describe(path: str | os.PathLike[str], *, max_bytes: int = 2 * MAX_BYTES) -> StackInfo:
    """What a file holds, by its header; no pixel is read.

    Raises
    ------
    InputError
        As `read_stack`.
    """
    with opened(path) as (found, stored):
        shape = image_shape(stored, found.address(stored), max_bytes)
        return StackInfo(
            shape if len(shape) == 2 or shape[0] > 1 else shape[1:],
            stored.header,
            found.format.name,
            stored.dtype.name,
            stored.metadata.get("dataset", found.dataset),
            stored.read_mask is not None,
            stored.cautions,
        )


def read_stack(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> ImageFile:
    """Read all that a file holds; the format is known by its content.

    Parameters
    ----------
    path : path-like
        As of `read_image`.
    max_bytes : int, optional
        Largest stack to read, checked against the header before anything is allocated.

    Returns
    -------
    ImageFile
        With `data` of shape (y, x), or (frame, y, x) if the file holds several frames.

    Raises
    ------
    InputError
        As `read_image`, and if the frames together are larger than `max_bytes`.

    Warns
    -----
    QualityWarning
        If the header says something to be looked at, such as pixels that are not square.
    """
    with opened(path) as (found, stored):
        shape = image_shape(stored, found.address(stored), max_bytes)
        whole = nbytes(shape, stored.dtype)
        if whole > max_bytes:
            raise InputError(
                f"is a stack of {shape_text(shape)} pixels, {bytes_text(whole)}, above the limit of "
                f"{bytes_text(max_bytes)}",
                where=found.address(stored),
                mend="save the frames that are meant as a file of their own",
            )
        if len(shape) == 2:
            data = native(stored.read_frame(0))
        else:
            data = np.empty(shape, stored.dtype.newbyteorder("="))
            for k in range(shape[0]):
                data[k] = stored.read_frame(k)
                tell(k + 1, shape[0])
        data = data[0] if data.ndim == 3 and len(data) == 1 else data
        read = read_with(found, stored, data, frames=1, stored_frames=shape[0] if len(shape) == 3 else 1)
    say_cautions(found.path, stored)
    return read
