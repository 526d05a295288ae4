"""Ditabis micron: text header, pixels by rows, thumbnail. XPIXEL counts rows, YPIXEL columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def ditabis_bytes(data: NDArray[Any], width: int = 4, **changed: object) -> bytes:
    """A file of `width` bytes a pixel; `changed` replaces values of the header, None leaves a key out."""
    rows, columns = data.shape
    keys = {
        "CREATED": "Mon Nov 30 12:00:00 2026", "HEADER": 2048, "YPIXEL": columns, "XPIXEL": rows,
        "BYTE PER PIXEL": width, "XRESOLUTION": "25000 (25000.00)", "YRESOLUTION": "25000 (25000.00)",
        "MAGNIFICATION": 1, "THUMB-NAIL-ZOOM": 10, "CHANNEL": "PMT LOWSENS", "GAIN": 20000, "OFFSET": 0,
        "COMMENT": "a plate\r\nXPIXEL = 7",
    } | {key.replace("_", " "): value for key, value in changed.items()}  # fmt: skip
    lines = ["DITABIS micron Data File", *(f"{key} = {value} " for key, value in keys.items() if value is not None)]
    body = np.ascontiguousarray(data, "<u4")[..., None].view("u1")[..., :width].tobytes()
    thumb = data[::10, ::10].astype("<u2").tobytes()
    return "\r\n".join(lines).encode("ascii").ljust(2048, b"\0") + body + thumb


def seeds(folder: Path) -> list[Path]:
    """One of each number of bytes a pixel."""
    data = np.arange(12 * 16).reshape(12, 16)
    paths = [folder / f"{width}bytes.ipl" for width in (2, 3, 4)]
    for width, path in zip((2, 3, 4), paths, strict=True):
        path.write_bytes(ditabis_bytes(data, width))
    return paths
