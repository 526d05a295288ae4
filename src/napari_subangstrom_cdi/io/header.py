"""What a file says of the record in it: pixel, energy, detector, and where each stood."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple

PixelUnit = Literal["Å", "1/Å"]
Role = Literal["pattern", "image"]

ANGSTROM_IN: Mapping[str, float] = {
    "m": 1e10, "meter": 1e10, "metre": 1e10, "mm": 1e7, "millimeter": 1e7,
    "um": 1e4, "µm": 1e4, "μm": 1e4, "micron": 1e4, "microns": 1e4, "micrometer": 1e4, "\\u00b5m": 1e4,
    "nm": 10.0, "nanometer": 10.0, "pm": 0.01, "picometer": 0.01,
    "a": 1.0, "å": 1.0, "Å".lower(): 1.0, "\\u00c5": 1.0, "ang": 1.0, "angstrom": 1.0, "ångström": 1.0,
}  # fmt: skip
"""Å in a unit of length, by the unit's spellings in lower case; they are those of many programs."""

_RECIPROCAL_MARKS = ("1/", "1 / ", "/")
_POWERS = ("^{-1}", "^-1", "**-1", "⁻¹", "-1")


class Pixel(NamedTuple):
    """Size of a pixel along both axes, in Å of real or 1/Å of reciprocal space."""

    size: tuple[float, float]
    """(y, x)."""

    unit: PixelUnit

    @property
    def is_square(self) -> bool:
        """Whether both axes have the same to 1 in 1,000."""
        y, x = self.size
        return abs(y - x) <= 1e-3 * max(abs(y), abs(x))


def pixel_in(unit: str, y: float, x: float) -> Pixel | None:
    """A pixel that a file states in a unit of real or reciprocal length; None if it makes no sense.

    Parameters
    ----------
    unit : str
        As the file spells it, such as ``nm``, ``µm``, ``1/nm``, ``nm^-1`` or ``$A^{-1}$``.
    y, x : float
        Pixel along both axes, in that unit; the sign, which some programs use for the direction, is left out.
    """
    found = _meaning(unit)
    sizes = abs(y), abs(x)
    if found is None or not all(math.isfinite(size) and size > 0 for size in sizes):
        return None
    factor, kind = found
    # Headers in single precision: 0.36 Å must not come back as 0.36000001.
    return Pixel((_rounded(sizes[0] * factor), _rounded(sizes[1] * factor)), kind)


def _meaning(unit: str) -> tuple[float, PixelUnit] | None:
    """Factor to Å or 1/Å, and which of them; None for a unit of something else."""
    text = unit.strip().strip("$()[] ").replace("\\mathrm", "").lower()
    for power in _POWERS:
        if text.endswith(power):
            return _reciprocal(text.removesuffix(power))
    for mark in _RECIPROCAL_MARKS:
        if text.startswith(mark):
            return _reciprocal(text.removeprefix(mark))
    return (ANGSTROM_IN[text], "Å") if text in ANGSTROM_IN else None


def _reciprocal(length: str) -> tuple[float, PixelUnit] | None:
    name = length.strip("{}()_ ")
    return (1 / ANGSTROM_IN[name], "1/Å") if name in ANGSTROM_IN else None


def _rounded(value: float) -> float:
    return float(f"{value:.7g}")


@dataclass(frozen=True)
class Header:
    """What a file says of one array in it; None where it says nothing.

    Parameters
    ----------
    pixel : Pixel, optional
        Of real or reciprocal space.
    role : {'pattern', 'image'}, optional
        By the microscope's mode.
    energy_ev, camera_length_mm : float, optional
        Beam energy; camera length, mostly a nominal one.
    detector_pixel_um : float, optional
        Pixel of the detector as recorded, binning counted in.
    exposure_s : float, optional
        Exposure of one frame.
    binning : (int, int), optional
        (y, x), in the camera.
    frames_summed : int, optional
        Frames that the camera or its program added up to the stored one.
    counts_per_electron, offset_counts, saturation_counts, dark_noise_counts : float, optional
        Of the detector, in the units of the stored values.
    defocus_nm : float, optional
        As stated. Programs differ in its sign and in where it counts from.
    cs_mm : float, optional
        Spherical aberration.
    invalid_values : tuple of float
        Values that stand for "not measured".
    polarity : {'min-is-white'}, optional
        If larger values are darker, though the values here are as stored.
    orientation : str, optional
        If the file says that rows or columns are to be shown in another order than they are stored.
    said : mapping of str to str
        For each of the fields that is set, and for ``mask``: where in the file it stood, with the value as
        written there.
    doubts : tuple of str
        What is stated, but not to be relied on, and why.

    Raises
    ------
    ValueError
        If a field is set that `said` does not explain: an error of the reader.
    """

    pixel: Pixel | None = None
    role: Role | None = None
    energy_ev: float | None = None
    camera_length_mm: float | None = None
    detector_pixel_um: float | None = None
    exposure_s: float | None = None
    binning: tuple[int, int] | None = None
    frames_summed: int | None = None
    counts_per_electron: float | None = None
    offset_counts: float | None = None
    saturation_counts: float | None = None
    dark_noise_counts: float | None = None
    defocus_nm: float | None = None
    cs_mm: float | None = None
    invalid_values: tuple[float, ...] = ()
    polarity: Literal["min-is-white"] | None = None
    orientation: str | None = None
    said: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unexplained = set(self.stated()) - set(self.said)
        if unexplained:
            raise ValueError(f"it is not said where {', '.join(sorted(unexplained))} stood")

    def stated(self) -> dict[str, Any]:
        """What is known, by field."""
        names = (f.name for f in fields(self) if f.name not in ("said", "doubts"))
        return {name: value for name in names if (value := getattr(self, name)) not in (None, ())}

    def all_doubts(self) -> tuple[str, ...]:
        """The doubts, and pixels that are not square."""
        if self.pixel is None or self.pixel.is_square:
            return self.doubts
        (y, x), unit = self.pixel
        return (f"the header states pixels of {y:.6g} x {x:.6g} {unit}, not square", *self.doubts)

    @property
    def pixel_angstrom(self) -> float | None:
        """The pixel if it is one of real space and square, Å."""
        if self.pixel is None or self.pixel.unit != "Å" or not self.pixel.is_square:
            return None
        return self.pixel.size[1]


class HeaderWriter:
    """Collects what a reader finds, value by value with its place; what makes no sense is left out.

    >>> found = HeaderWriter()
    >>> found.put("energy_ev", 200e3, "Microscope Info.Voltage = 200000 V")
    >>> found.header().energy_ev
    200000.0
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._said: dict[str, str] = {}
        self._doubts: list[str] = []

    def put(self, name: str, value: Any, place: str) -> None:
        """Set a field unless the value is None; the first place that knows it wins.

        Numbers that are not finite are left out, and so are those that are not positive, but for a defocus, an
        offset and a noise, which may be zero.
        """
        if value is None or name in self._values:
            return
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value)
            free = name in ("defocus_nm", "offset_counts", "dark_noise_counts")
            if not math.isfinite(number) or (number <= 0 and not free):
                return
            value = int(value) if name == "frames_summed" else number
        self._values[name], self._said[name] = value, place

    def say(self, name: str, place: str) -> None:
        """Note where something stood that is no field, such as a mask."""
        self._said[name] = place

    def doubt(self, text: str) -> None:
        """Note what is stated, but not to be relied on."""
        self._doubts.append(text)

    def header(self) -> Header:
        """All that was found."""
        return Header(**self._values, said=dict(self._said), doubts=tuple(self._doubts))


def with_mask_said(header: Header, place: str) -> Header:
    """The same header, saying where a mask stood."""
    return replace(header, said={**header.said, "mask": place})
