"""Read a whole stack of frames from a file of any supported format."""

from __future__ import annotations

import os

import numpy as np

from napari_subangstrom_cdi.errors import InputError, doubt

from ._common import bytes_text, image_shape, library_errors, native, nbytes, shape_text
from .image import ImageFile, _identify

MAX_BYTES = 2**30
"""Largest stack that is read unless the caller says otherwise."""


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
