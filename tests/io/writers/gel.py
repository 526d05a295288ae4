"""GEL of Molecular Dynamics: a TIFF whose tags say how its values become counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray


def gel(
    path: Path, counts: NDArray[Any], kind: int = 2, scale: tuple[int, int] = (1, 21025), **options: Any
) -> NDArray[Any]:
    """Write counts as square roots (MDFileTag 2) or as they are (128), and return what was stored."""
    linear = counts.astype(float) * scale[1] / max(scale[0], 1)
    stored = np.clip(np.rint(np.sqrt(linear) if kind == 2 else linear), 0, 65535).astype("u2")
    tags = [(33445, "I", 1, kind, True), (33446, "2I", 1, scale, True), (33452, "s", 0, "Counts", True)]
    tifffile.imwrite(path, stored, **({"photometric": "minisblack", "metadata": None, "extratags": tags} | options))
    return stored


def seeds(folder: Path) -> list[Path]:
    """Square roots and linear values."""
    counts = np.arange(12 * 16).reshape(12, 16)
    paths = [folder / "roots.gel", folder / "linear.gel"]
    gel(paths[0], counts)
    gel(paths[1], counts, kind=128, scale=(1, 2))
    return paths
