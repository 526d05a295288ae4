"""MRC, packed by hand: header of 1024 bytes, an extended header of EPU, data."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

IMOD_STAMP = 1146047817
_FEI_DOUBLES = {"HT": 84, "Pixel size X": 156, "Pixel size Y": 164, "Defocus": 220, "Applied defocus": 236}
_FEI_DOUBLES |= {"Camera length": 301, "Integration time": 419}
_FEI_INTS = {"Instrument mode": 244, "Projection mode": 248, "Binning Width": 427, "Binning Height": 431}
_FEI_SIZE = {"FEI1": 768, "FEI2": 888}


def fei_bytes(kind: str = "FEI2", order: str = "<", **said: float) -> bytes:
    """Extended header of one frame: numbers by the names of its layout, ``_`` for a space."""
    record = bytearray(_FEI_SIZE[kind])
    struct.pack_into(f"{order}2i", record, 0, len(record), 2 if kind == "FEI2" else 0)
    for name, value in said.items():
        name = name.replace("_", " ")
        if name in _FEI_DOUBLES:
            struct.pack_into(f"{order}d", record, _FEI_DOUBLES[name], value)
        else:
            struct.pack_into(f"{order}i", record, _FEI_INTS[name], round(value))
    return bytes(record)


def mrc_bytes(
    data: NDArray[Any], mode: int, *, extended: bytes = b"", kind: str = "", imod_flags: int | None = None,
    cell: tuple[float, float, float] = (0, 0, 0), order: str = "<",
) -> bytes:  # fmt: skip
    """An MRC2014 of (y, x) or (frame, y, x) data as they are, `mode` being what the header claims."""
    nx, ny, nz = (*data.shape[::-1], 1)[:3]
    header = bytearray(1024)
    struct.pack_into(f"{order}10i", header, 0, nx, ny, nz, mode, 0, 0, 0, nx, ny, nz)
    struct.pack_into(f"{order}6f", header, 40, *cell, 90, 90, 90)
    struct.pack_into(f"{order}3i", header, 64, 1, 2, 3)
    struct.pack_into(f"{order}2i", header, 88, 0, len(extended))
    header[104:108] = kind.encode().ljust(4, b"\0")
    struct.pack_into(f"{order}i", header, 108, 20140)
    if imod_flags is not None:
        struct.pack_into(f"{order}2i", header, 152, IMOD_STAMP, imod_flags)
    header[208:212] = b"MAP "
    header[212:216] = b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0"
    body = data.astype(data.dtype.newbyteorder(order)).tobytes()
    return bytes(header) + extended + body


def seeds(folder: Path) -> list[Path]:
    """EPU's headers, a stack, and signed and unsigned bytes."""
    data = np.arange(12 * 16, dtype="u2").reshape(12, 16)
    fei = fei_bytes("FEI1", HT=3e5, Pixel_size_X=1e-10, Pixel_size_Y=1e-10, Projection_mode=2)
    files = {
        "fei1.mrc": mrc_bytes(data, 6, extended=fei, kind="FEI1"),
        "fei2.mrc": mrc_bytes(data, 6, extended=fei_bytes("FEI2", ">", HT=2e5), kind="FEI2", order=">"),
        "stack.mrc": mrc_bytes(np.stack([data] * 3), 6, cell=(12, 16, 0)),
        "bytes.mrc": mrc_bytes((data + 60).astype("u1"), 0),
        "imod.mrc": mrc_bytes(data.astype("i1"), 0, imod_flags=1),
        "wrapped.mrc": mrc_bytes(data + 32700, 1),
    }
    for name, written in files.items():
        (folder / name).write_bytes(written)
    return [folder / name for name in files]
