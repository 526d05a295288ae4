"""Files in and out.

- ``formats``: room: formats of images and patterns, one a file
- ``header``: what a file says of the record in it, and where each value stood
- ``image``: a pattern, image or mask from a file of any of them
- ``packed``: what is packed in a gzip, bzip2, xz or zip archive
- ``stack``: a whole stack of frames
- ``shown``: what a file says, as a viewer of layers wants it
- ``acquisition``: what the microscopist knows of the records, from JSON or TOML
- ``cxi``: the result file, complete enough to repeat the run
- ``project``: the same with the window's state
- ``mask_text``: a painted mask as one line of text
- ``export``: images and tables for other programs
- ``atoms``: atoms as XYZ, CIF or PDB
- ``atomic``: files written whole or not at all
- ``_common``: what every reader of images shares, and the checks before memory is taken

A new image format is a module of ``formats`` with a `Format` and one entry in `image.FORMATS`.
"""

from ._common import Format, Item, Stored
from .acquisition import Acquisition, read_acquisition, require
from .atomic import atomic_hdf5, atomic_path, check_writable
from .image import FORMATS, ImageFile, contents, read_image, read_mask, split_address

__all__ = [
    "FORMATS",
    "Acquisition",
    "Format",
    "ImageFile",
    "Item",
    "Stored",
    "atomic_hdf5",
    "atomic_path",
    "check_writable",
    "contents",
    "read_acquisition",
    "read_image",
    "read_mask",
    "require",
    "split_address",
]
