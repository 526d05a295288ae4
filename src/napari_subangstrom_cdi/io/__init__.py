"""Files in and out; one format a file.

A new image format is a module with a `Format` and one entry in `image.FORMATS`.
"""

from .acquisition import Acquisition, read_acquisition, require
from .atomic import atomic_hdf5, atomic_path, check_writable
from .image import FORMATS, ImageFile, read_image, read_mask

__all__ = [
    "FORMATS",
    "Acquisition",
    "ImageFile",
    "atomic_hdf5",
    "atomic_path",
    "check_writable",
    "read_acquisition",
    "read_image",
    "read_mask",
    "require",
]
