"""Fuji BAS: imaging plates, an IMG of logarithmic pixels with an INF of text beside it.

PSL = (R/100)² · (4000/S) · 10^(L · (G/(2^bits - 1) - 1/2)), and 0 where G is 0, with the pixel R in µm, the
sensitivity S and the latitude L, in decades, of the INF.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array, Format, Stored, cut_short, nbytes, read_bytes
from napari_subangstrom_cdi.io.header import Header, HeaderWriter

_MAGIC = b"BAS_IMAGE_FILE"
_LARGEST_INF = 2**16
_ROWS = 64
_IMG, _INF = ".img", ".inf"


@dataclass(frozen=True)
class _Inf:
    """What an INF says, line by line."""

    pixel_um: tuple[float, float]
    """(y, x)."""

    bits: int
    shape: tuple[int, int]
    sensitivity: float
    latitude: float
    overflow: int | None

    @property
    def bytes_per_pixel(self) -> int:
        return 1 if self.bits <= 8 else 2

    @property
    def top(self) -> int:
        """Largest value that can be stored."""
        return 2**self.bits - 1

    def psl(self, levels: Array) -> Array:
        """Exposure (photostimulated luminescence) of stored values, float32, linear."""
        y, x = self.pixel_um
        decades = self.latitude * (levels / self.top - 0.5)
        values = y * x / 1e4 * (4000 / self.sensitivity) * 10.0**decades
        return np.where(levels > 0, values, 0).astype(np.float32)


@contextmanager
def _open(path: Path, dataset: str | None) -> Iterator[Stored]:
    image, inf = _both(path)
    said = _read_inf(inf)
    size, width = image.stat().st_size, said.bytes_per_pixel
    needed = math.prod(said.shape) * width
    if needed > size:
        raise cut_short(image, needed, size)

    def read_frame(k: int) -> Array:
        stored = np.memmap(image, f">u{width}", "r", 0, said.shape)
        if int(stored.max()) > said.top:
            raise InputError(
                f"holds values above the {said.bits} bits that its {_INF} states",
                where=str(image),
                mend="copy both files again",
            )
        table, values = said.psl(np.arange(said.top + 1)), np.empty(said.shape, np.float32)
        for first in range(0, said.shape[0], _ROWS):  # as an index a pixel takes 8 bytes
            values[first : first + _ROWS] = table[stored[first : first + _ROWS]]
        return values

    yield Stored(
        shape=said.shape,
        dtype=np.dtype(np.float32),
        stored_bytes=needed,
        read_frame=read_frame,
        held_bytes=nbytes(said.shape, np.dtype(np.float32)),
        header=_header(said, inf.name),
        metadata={"bits": str(said.bits), "sensitivity": f"{said.sensitivity:g}", "latitude": f"{said.latitude:g}"},
    )


def _both(path: Path) -> tuple[Path, Path]:
    """The IMG and the INF of either."""
    is_inf = read_bytes(path, len(_MAGIC)) == _MAGIC
    other = _beside(path, _IMG if is_inf else _INF)
    if other is None and is_inf:
        raise InputError(
            "describes an imaging plate whose pixels are not beside it",
            where=str(path),
            mend=f"copy {path.with_suffix(_IMG).name} into the same folder",
        )
    if other is None:
        raise InputError(
            f"holds bare pixels; how to read those of an imaging plate stands in its {_INF}, which is not beside it",
            where=str(path),
            mend=f"copy {path.with_suffix(_INF).name} into the same folder, or export it as TIFF if it is none of "
            "Fuji's imaging plates",
        )
    return (other, path) if is_inf else (path, other)


def _beside(path: Path, suffix: str) -> Path | None:
    for name in (suffix, suffix.upper(), suffix.capitalize()):
        other = path.with_suffix(name)
        if other.is_file():
            return other
    return None


def _companions(path: Path) -> tuple[Path, ...]:
    other = _beside(path, _IMG if path.suffix.lower() == _INF else _INF)
    return () if other is None else (other,)


def _claims(path: Path) -> bool:
    """True of pixels with the text of an imaging plate beside them."""
    inf = _beside(path, _INF) if path.suffix.lower() == _IMG else None
    return inf is not None and read_bytes(inf, len(_MAGIC)) == _MAGIC


def _read_inf(path: Path) -> _Inf:
    raw = read_bytes(path, _LARGEST_INF)
    if not raw.startswith(_MAGIC):
        raise InputError(
            f"does not start with {_MAGIC.decode()}", where=str(path), mend="copy the imaging plate's own .inf again"
        )
    lines = [line.strip() for line in raw.decode("latin-1").splitlines()]
    # 0 mark, 1 name, 2 plate, 3 and 4 pixel, 5 bits, 6 and 7 size, 8 sensitivity, 9 latitude, 12 overflow
    x_um, y_um, bits, columns, rows, sensitivity, latitude = (
        _number(lines, k, what, path)
        for k, what in (
            (3, "pixel along x"), (4, "pixel along y"), (5, "bits"), (6, "width"), (7, "height"), (8, "sensitivity"),
            (9, "latitude"),
        )
    )  # fmt: skip
    if not 2 <= bits <= 16:
        raise InputError(
            f"states {bits:g} bits a pixel, where 8 or 16 belong", where=str(path), mend="copy both files again"
        )
    overflow = lines[12] if len(lines) > 12 else ""
    return _Inf(
        (y_um, x_um),
        int(bits),
        (int(rows), int(columns)),
        sensitivity,
        latitude,
        int(overflow) if overflow.isdecimal() and len(overflow) < 12 else None,
    )


def _number(lines: list[str], k: int, what: str, path: Path) -> float:
    text = lines[k] if k < len(lines) else ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    largest = 100 if what == "latitude" else 1e9
    broken = what in ("bits", "width", "height") and not value.is_integer()
    if broken or not 0 < value <= largest:
        raise InputError(
            f"line {k + 1} should be the {what}, and is {text[:20]!r}",
            where=str(path),
            mend="copy the imaging plate's own .inf again",
        )
    return value


def _header(said: _Inf, inf: str) -> Header:
    found = HeaderWriter()
    y, x = said.pixel_um
    if y == x:
        found.put("detector_pixel_um", x, f"{inf}, line 4 = {x:g} µm")
    else:
        found.doubt(f"its pixels are not square ({y:g} x {x:g} µm in {inf}): the detector's pixel is left out")
    counted = "" if said.overflow is None else f"; line 13 counts {said.overflow} such pixels"
    found.put(
        "saturation_counts", float(said.psl(np.array(said.top))), f"{inf}: largest value of {said.bits} bits{counted}"
    )
    return found.header()


FORMAT = Format(
    "Fuji BAS",
    (_IMG, _INF),
    lambda head: head.startswith(_MAGIC),
    _open,
    by_suffix=True,
    companions=_companions,
    claims=_claims,
)
