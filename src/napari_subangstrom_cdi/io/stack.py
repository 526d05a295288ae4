"""Read a whole stack of frames from a file of any supported format."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from napari_subangstrom_cdi.errors import InputError, doubt

from ._common import bytes_text, image_shape, library_errors, native, nbytes, shape_text
from .image import ImageFile, _identify

MAX_BYTES = 2**30
"""Largest stack that is read unless the caller says otherwise."""


@dataclass(frozen=True)
class StackInfo:
    """What the header of an image file says.

    Parameters
    ----------
    shape : tuple of int
        (y, x), or (frame, y, x) of a stack.
    pixel_angstrom : float or None
        Pixel of real space, Å, where the format states it.
    """

    shape: tuple[int, ...]
    pixel_angstrom: float | None

    @property
    def frames(self) -> int:
        """How many frames it holds."""
        return self.shape[0] if len(self.shape) == 3 else 1


def describe(path: str | os.PathLike[str], *, max_bytes: int = 2 * MAX_BYTES) -> StackInfo:
    """What a file holds, by its header; no pixel is read.

    Raises
    ------
    InputError
        As `read_stack`.
    """
    path, found = _identify(path)
    with library_errors(path, found.name), found.open(path, None) as stored:
        shape = image_shape(stored, path, max_bytes)
        return StackInfo(shape if len(shape) == 2 or shape[0] > 1 else shape[1:], stored.pixel_angstrom)


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
    path, found = _identify(path)
    with library_errors(path, found.name), found.open(path, None) as stored:
        shape = image_shape(stored, path, max_bytes)
        whole = nbytes(shape, stored.dtype)
        if whole > max_bytes:
            raise InputError(
                f"is a stack of {shape_text(shape)} pixels, {bytes_text(whole)}, above the limit of "
                f"{bytes_text(max_bytes)}",
                where=str(path),
                mend="save the frames that are meant as a file of their own",
            )
        if len(shape) == 2:
            data = native(stored.read_frame(0))
        else:
            data = np.empty(shape, stored.dtype.newbyteorder("="))
            for k in range(shape[0]):
                data[k] = stored.read_frame(k)
    for caution in stored.cautions:
        doubt(f"{path}: {caution}")
    return ImageFile(data, stored.pixel_angstrom, path, found.name, stored.metadata)
