"""Archives: a file packed alone, and several in a zip."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .ditabis import ditabis_bytes

PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def pack(path: Path, suffix: str) -> Path:
    """Pack a file as gzip, bzip2 or xz would, and take the file itself away."""
    packed = path.with_name(path.name + suffix)
    packed.write_bytes(PACK[suffix](path.read_bytes()))
    path.unlink()
    return packed


def zipped(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip archive of files by name."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def seeds(folder: Path) -> list[Path]:
    """A plate in each kind of archive, and a zip of two."""
    plate = ditabis_bytes(np.arange(12 * 16).reshape(12, 16), 2)
    paths = []
    for suffix in PACK:
        path = folder / "plate.ipl"
        path.write_bytes(plate)
        paths.append(pack(path, suffix))
    paths.append(zipped(folder / "one.zip", {"plate.ipl": plate}))
    paths.append(zipped(folder / "two.zip", {"a.ipl": plate, "b/c.ipl": plate, "readme.txt": b"two plates"}))
    return paths
