"""GEL of Molecular Dynamics' scanners (Typhoon, Storm): a TIFF whose pixels are square roots of counts.

Tags after libtiff's register of private tags: 33445 MDFileTag (2: square roots, 128: linear), 33446 MDScalePixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array
from napari_subangstrom_cdi.io.header import HeaderWriter

_FILE_TAG, _SCALE = 33445, 33446
_SQUARE_ROOTS, _LINEAR = 2, 128
_METRES = {2: 0.0254, 3: 0.01}


@dataclass(frozen=True)
class Gel:
    """How the stored values become counts: scale · stored², or scale · stored.

    Parameters
    ----------
    squared : bool
        True if square roots are stored.
    scale : float
        MDScalePixel.
    """

    squared: bool
    scale: float

    def dtype(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """Type of the counts. Roots of 16 bits are themselves no finer than 1 in 65,535."""
        return stored if self._is_plain else np.dtype(np.float32)

    def counts(self, stored: Array) -> Array:
        """Counts, linear in what the plate was exposed to."""
        if self._is_plain:
            return stored
        values = stored.astype(np.float32)
        if self.squared:
            np.square(values, out=values)
        values *= np.float32(self.scale)
        return values

    @property
    def _is_plain(self) -> bool:
        return not self.squared and self.scale == 1

    def say(self, page: tifffile.TiffPage, found: HeaderWriter) -> None:
        """Pixel of the scanner, and the counts of the largest root that can be stored."""
        ceiling = 2.0 ** int(page.bitspersample) - 1
        if page.dtype is not None and page.dtype.kind == "u":
            most = self.scale * (ceiling**2 if self.squared else ceiling)
            found.put("saturation_counts", most, f"largest value that the file can store, {ceiling:.0f}")
        tag = page.tags.get("XResolution")
        unit = page.tags.get("ResolutionUnit")
        metres = _METRES.get(int(unit.value)) if unit is not None else None
        if tag is not None and metres is not None and tag.value[0]:
            um = 1e6 * metres * tag.value[1] / tag.value[0]
            found.put("detector_pixel_um", um, f"XResolution = {tag.value[0] / tag.value[1]:g} = {um:.6g} µm")


def gel_of(tif: tifffile.TiffFile, path: Path) -> Gel | None:
    """How a GEL's pixels are coded; None for another TIFF.

    Raises
    ------
    InputError
        If it is a GEL, but does not say how its values become counts.
    """
    pages: list[Any] = [tif.pages[k] for k in range(min(2, len(tif.pages)))]
    tags = [page.tags for page in pages if hasattr(page, "tags") and _FILE_TAG in page.tags]
    if not tags:
        return None
    kind, scale = tags[0][_FILE_TAG].value, tags[0].get(_SCALE)
    if kind not in (_SQUARE_ROOTS, _LINEAR):
        raise InputError(
            f"is a GEL whose values are coded in an unknown way (MDFileTag = {kind})",
            where=str(path),
            mend="export it as linear TIFF in the scanner's software",
        )
    try:
        above, below = scale.value
        factor = float(above) / float(below)
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise InputError(
            "is a GEL without the scale of its values (MDScalePixel)",
            where=str(path),
            mend="copy it again, or export it as linear TIFF in the scanner's software",
        )
    return Gel(kind == _SQUARE_ROOTS, factor)
