"""Fuji BAS: an IMG of logarithmic pixels, and an INF of lines that say how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def fuji(path: Path, psl: NDArray[Any], bits: int = 16, pixel_um: int = 50, **changed: object) -> NDArray[Any]:
    """Write exposures (PSL) as `path`.img and `path`.inf, and return what was stored.

    `changed` replaces lines of the INF: ``pixel_x``, ``sensitivity``, ``latitude``, ``overflow``, ``width`` ...
    """
    rows, columns = psl.shape
    said: dict[str, object] = {
        "mark": "BAS_IMAGE_FILE", "name": path.stem, "plate": "20*25", "pixel_x": pixel_um, "pixel_y": pixel_um,
        "bits": bits, "width": columns, "height": rows, "sensitivity": 4000, "latitude": 5,
        "date": "Mon Nov 30 12:00:00 2026", "time": 1796040000, "overflow": 0, "blank": "", "comment": "a plate",
    } | changed  # fmt: skip
    with np.errstate(divide="ignore"):
        decades = np.log10(psl / ((pixel_um / 100) ** 2 * 4000 / float(str(said["sensitivity"]))))
    levels = np.rint((decades / float(str(said["latitude"])) + 0.5) * (2**bits - 1))
    stored = np.where(psl > 0, np.clip(levels, 0, 2**bits - 1), 0).astype(">u1" if bits <= 8 else ">u2")
    path.with_suffix(".img").write_bytes(stored.tobytes())
    path.with_suffix(".inf").write_text("\r\n".join(map(str, said.values())), newline="")
    return stored


def seeds(folder: Path) -> list[Path]:
    """16 and 8 bits, the pixels and their text."""
    psl = np.arange(12 * 16).reshape(12, 16) / 10
    for bits in (16, 8):
        fuji(folder / f"plate{bits}", psl, bits)
    return [folder / f"plate{bits}{suffix}" for bits in (16, 8) for suffix in (".img", ".inf")]
