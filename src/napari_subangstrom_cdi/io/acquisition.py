"""What the microscopist knows of a record, from a JSON or TOML file."""

from __future__ import annotations

import difflib
import json
import math
import numbers
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.core.record.distortion import Distortion
from napari_subangstrom_cdi.errors import InputError, doubt
from napari_subangstrom_cdi.parameters import Parameter

from ._common import bytes_text, decoded, read_bytes

_LARGEST_FILE = 2**20
_ANY = (-math.inf, math.inf)
# Not within a list, where a comma separates.
_DECIMAL_COMMA = re.compile(r"""(?P<key>[\w-]+)["']?\s*[:=]\s*(?P<number>[+-]?\d+,\d+)\s*(?:[,}\n\r#]|$)""")


@dataclass(frozen=True)
class Key:
    """A key of the file, and which of its values make sense; noted on the field of `Acquisition` that it fills.

    Parameters
    ----------
    name : str
        Key in the file, with its unit.
    example : float
        A usual value, for messages.
    possible, usual : tuple of float
        Outside `possible` a value is refused, outside `usual` it is warned of.
    smallest : tuple of float
        The same two bounds for the modulus of a value that is not zero, where its sign is free.
    scale : float
        Field = value * scale.
    mistaken : tuple of (str, float)
        Units in which the value is given by mistake, and the factor to the right one, the likelier first.
    """

    name: str
    example: float
    possible: tuple[float, float]
    usual: tuple[float, float] = _ANY
    smallest: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    mistaken: tuple[tuple[str, float], ...] = ()

    def is_possible(self, value: float) -> bool:
        """Whether a value can be meant at all."""
        return self.possible[0] <= value <= self.possible[1] and (value == 0 or abs(value) >= self.smallest[0])

    def is_usual(self, value: float) -> bool:
        """Whether a value is one that instruments have."""
        inside = self.usual[0] <= value <= self.usual[1] and (value == 0 or abs(value) >= self.smallest[1])
        return inside and self.is_possible(value)

    def in_right_unit(self, value: float) -> tuple[str, float] | None:
        """Return the unit in which the value would be usual, and what it is in the key's own."""
        return next(((unit, value * f) for unit, f in self.mistaken if self.is_usual(value * f)), None)


@dataclass(frozen=True)
class Acquisition:
    """How pattern and image were recorded; None where unknown.

    Parameters
    ----------
    energy_ev : float, optional
        Beam energy, eV.
    camera_length_mm : float, optional
        Effective camera length, mm.
    detector_pixel_um : float, optional
        Pixel of the pattern's detector, µm.
    reciprocal_pixel_per_angstrom : float, optional
        Pixel of the pattern, Å⁻¹; goes before camera length and detector pixel.
    ellipse_percent, ellipse_deg : float, optional
        Ellipse that lenses make of a ring in the pattern: by how much its long axis is longer than its short one, and
        where it points, from +x towards +y with y down. Both or neither.
    pixel_ratio_percent : float, optional
        By how much a pixel of the pattern is taller than wide; its width is the pixel that is stated.
    counts_per_electron, dark_noise_electrons : float, optional
        Gain of the detector, and its noise without a beam (standard deviation a pixel).
    offset_counts, saturation_counts : float, optional
        Counts without a beam, and the counts at which the detector saturates.
    image_pixel_angstrom : float, optional
        Nominal pixel of the image, Å.
    cs_mm, defocus_nm, defocus_spread_nm : float, optional
        Spherical aberration; defocus, negative for underfocus; its standard deviation.
    information_limit_per_angstrom : float, optional
        Highest |q| in the image, Å⁻¹.
    image_to_pattern_rotation_deg : float, optional
        Nominal rotation that brings the image's axes onto the pattern's, from +x towards +y with y down.
    beam_centre_px : tuple of float, optional
        Beam in the pattern, (y, x) in raw pixels relative to the array's centre, as a hint.
    note : str
        Free text.

    Raises
    ------
    InputError
        If a value is impossible.
    """

    energy_ev: Annotated[
        float | None,
        Parameter(
            "Beam energy E",
            "E₀, the accelerating voltage; from it follow the wavelength λ and the contrast transfer. Usually 60 to "
            "300 kV.",
            unit="kV",
            automatic="unknown",
        ),
        Key("beam_energy_kV", 200, (1, 5000), scale=1e3, mistaken=(("eV", 1e-3), ("MeV", 1e3))),
        Key("beam_energy_eV", 200000, (1e3, 5e6), mistaken=(("kV", 1e3), ("MeV", 1e6))),
    ] = None
    camera_length_mm: Annotated[
        float | None,
        Parameter(
            "Camera length L",
            "Effective camera length of the pattern; with pixel and wavelength it gives Δq = p / (λ L).",
            unit="mm",
            automatic="unknown",
        ),
        Key("camera_length_mm", 800, (10, 1e5), (150, 2e4), mistaken=(("m", 1e3), ("cm", 10), ("µm", 1e-3))),
    ] = None
    detector_pixel_um: Annotated[
        float | None,
        Parameter(
            "Detector pixel p",
            "Pixel of the detector of the pattern, as recorded (after binning in the camera).",
            unit="µm",
            automatic="unknown",
        ),
        Key("detector_pixel_um", 25, (0.5, 1000), (2, 400), mistaken=(("m", 1e6), ("mm", 1e3), ("nm", 1e-3))),
    ] = None
    reciprocal_pixel_per_angstrom: Annotated[
        float | None,
        Parameter(
            "or pixel Δq",
            "Pixel of the pattern in reciprocal space, q = 1/d. If given, it goes before camera length and detector "
            "pixel.",
            unit="Å⁻¹",
            automatic="from camera length",
        ),
        Key("reciprocal_pixel_per_A", 0.00125, (1e-6, 0.1), (1e-5, 0.05), mistaken=(("1/m", 1e-10), ("1/nm", 0.1))),
    ] = None
    ellipse_percent: Annotated[
        float | None,
        Parameter(
            "Ellipse",
            "By how much the long axis of a ring in the pattern is longer than its short one, as lenses make it. "
            "Without it the ellipse is measured.",
            unit="%",
            automatic="measured",
            advanced=True,
        ),
        Key("ellipse_percent", 1.5, (0, 50), (0, 10)),
    ] = None
    ellipse_deg: Annotated[
        float | None,
        Parameter(
            "Ellipse along",
            "Direction of that long axis in the pattern, from +x towards +y with y down.",
            unit="°",
            automatic="measured",
            advanced=True,
        ),
        Key("ellipse_deg", 30, (-360, 360)),
    ] = None
    pixel_ratio_percent: Annotated[
        float | None,
        Parameter(
            "Unequal pixels",
            "By how much a pixel of the pattern is taller than wide, −50 if it is half as tall; its width is the pixel "
            "that is stated. Rows binned by two make it 100.",
            unit="%",
            automatic="square",
            advanced=True,
        ),
        Key("pixel_ratio_percent", 100, (-90, 1000), (-75, 300)),
    ] = None
    counts_per_electron: Annotated[
        float | None,
        Parameter(
            "Gain",
            "Counts that one electron gives in the pattern. Without it the record's noise tells; where that tells "
            "nothing, or about 1, it is 1.",
            unit="counts/e⁻",
            automatic="by the noise",
            advanced=True,
        ),
        Key("counts_per_electron", 0.8, (1e-4, 1e6)),
    ] = None
    dark_noise_electrons: Annotated[
        float | None,
        Parameter(
            "Dark noise",
            "Standard deviation of a pixel without a beam, in electrons.",
            unit="e⁻",
            automatic="0",
            advanced=True,
        ),
        Key("dark_noise_electrons", 1, (0, 1e5)),
    ] = None
    offset_counts: Annotated[
        float | None,
        Parameter(
            "Offset",
            "Counts of a pixel that received nothing.",
            unit="counts",
            automatic="estimated",
            advanced=True,
        ),
        Key("offset_counts", 20, (-1e6, 1e6)),
    ] = None
    saturation_counts: Annotated[
        float | None,
        Parameter(
            "Saturation",
            "Counts at and above which a pixel is saturated.",
            unit="counts",
            automatic="found",
            advanced=True,
        ),
        Key("saturation_counts", 65535, (1, 1e12)),
    ] = None
    image_pixel_angstrom: Annotated[
        float | None,
        Parameter(
            "Image pixel",
            "Nominal pixel of the TEM image; it is refined when the image is laid onto the pattern.",
            unit="Å",
            automatic="unknown",
        ),
        Key("image_pixel_nominal_A", 0.36, (1e-3, 100), (0.05, 5), mistaken=(("m", 1e10), ("nm", 10), ("pm", 0.01))),
    ] = None
    cs_mm: Annotated[
        float | None,
        Parameter(
            "Aberration Cs",
            "C₃ = Cs, spherical aberration of the objective lens; about 1 mm without a corrector.",
            unit="mm",
            automatic="unknown",
        ),
        # An aberration corrector leaves some µm: such a value is possible, and still more often metres.
        Key("cs_mm", 1, (-50, 50), (-10, 10), smallest=(0, 6e-3),
            mistaken=(("m", 1e3), ("µm", 1e-3), ("nm", 1e-6), ("Å", 1e-7))),
    ] = None  # fmt: skip
    defocus_nm: Annotated[
        float | None,
        Parameter(
            "Defocus Δf",
            "Defocus of the image: negative is underfocus, in which atoms are dark near Scherzer's focus, about "
            "−60 nm at 200 kV.",
            unit="nm",
            automatic="unknown",
        ),
        Key("defocus_nm", -60, (-1e5, 1e5), (-5000, 5000), smallest=(1e-3, 0.5),
            mistaken=(("m", 1e9), ("µm", 1e3), ("Å", 0.1), ("pm", 1e-3))),
    ] = None  # fmt: skip
    defocus_spread_nm: Annotated[
        float | None,
        Parameter(
            "Defocus spread δ",
            "Standard deviation of the defocus (chromatic); it damps the contrast transfer.",
            unit="nm",
            automatic="none",
        ),
        Key("defocus_spread_nm", 4, (0, 1000), (0, 50), smallest=(1e-6, 0.01),
            mistaken=(("m", 1e9), ("µm", 1e3), ("Å", 0.1), ("pm", 1e-3))),
    ] = None  # fmt: skip
    information_limit_per_angstrom: Annotated[
        float | None,
        Parameter(
            "Information limit",
            "Highest |q| = 1/d that the image transfers. Without it the image is used up to the point resolution of "
            "energy and Cs.",
            unit="Å⁻¹",
            automatic="point resolution",
        ),
        Key("information_limit_per_A", 0.52, (0.01, 5), (0.05, 2.5), mistaken=(("1/nm", 0.1), ("1/m", 1e-10))),
    ] = None
    image_to_pattern_rotation_deg: Annotated[
        float | None,
        Parameter(
            "Rotation φ",
            "Nominal rotation that brings the image's axes onto the pattern's, from +x towards +y with y down. "
            "Without it every angle is tried.",
            unit="°",
            automatic="any",
        ),
        Key("image_to_pattern_rotation_deg", 11.5, (-360, 360)),
    ] = None
    beam_centre_px: Annotated[
        tuple[float, float] | None,
        Parameter(
            "Beam hint y, x",
            "Roughly where the beam is in the raw pattern, relative to its middle, such as 3.5, -2; the search for it "
            "starts there.",
            unit="px",
            automatic="middle",
            advanced=True,
        ),
    ] = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse impossible values, however the object was made."""
        for field, keys in keys_by_field().items():
            value = getattr(self, field)
            if value is not None:
                _check_possible(keys.own, _number(value, keys.own.name, None, keys.own.example), None)
        if self.beam_centre_px is not None:
            _pair(self.beam_centre_px, None)

    @property
    def states_ellipse(self) -> bool:
        """Whether the pattern's ellipse, or that it has none, is stated."""
        return self.ellipse_percent == 0 or (self.ellipse_percent is not None and self.ellipse_deg is not None)

    @property
    def distortion(self) -> Distortion:
        """What is stated of the pattern's distortion; an ellipse needs both its numbers."""
        known = self.states_ellipse
        ellipse = (self.ellipse_percent or 0.0, self.ellipse_deg or 0.0) if known else (0.0, 0.0)
        return Distortion(*ellipse, self.pixel_ratio_percent or 0.0)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, where: str | None = None) -> Acquisition:
        """Check the keys and values of a mapping, as read from a file or stored in a recipe.

        Parameters
        ----------
        mapping : mapping
            Keys with units, such as ``beam_energy_kV``; a value of None counts as absent.
        where : str, optional
            File that it came from, for messages.

        Raises
        ------
        InputError
            If a value is no number or is impossible, or two keys say the same.

        Warns
        -----
        QualityWarning
            For unknown keys and unusual values.
        """
        _warn_of_unknown(mapping, where)
        given = {name: value for name, value in mapping.items() if value is not None}
        if "beam_energy_kV" in given and "beam_energy_eV" in given:
            raise InputError("gives both beam_energy_kV and beam_energy_eV", where=where, mend="give one of them")
        fields: dict[str, Any] = {}
        for field, key in ((field, key) for field, keys in keys_by_field().items() for key in keys):
            if key.name in given:
                value = _number(given[key.name], key.name, where, key.example)
                _check_possible(key, value, where)
                _warn_of_unusual(key, value, where)
                fields[field] = value * key.scale
        if "beam_centre_px" in given:
            fields["beam_centre_px"] = _pair(given["beam_centre_px"], where)
        acquisition = cls(note=str(given.get("note", "")), **fields)
        _warn_of_contradiction(acquisition, where)
        return acquisition

    def to_dict(self) -> dict[str, Any]:
        """Return what is known under the keys of the file; `from_mapping` turns it into the same object."""
        values = {keys.own.name: getattr(self, field) for field, keys in keys_by_field().items()}
        known: dict[str, Any] = {name: float(value) for name, value in values.items() if value is not None}
        if self.beam_centre_px is not None:
            known["beam_centre_px"] = [float(v) for v in self.beam_centre_px]
        if self.note:
            known["note"] = self.note
        return known


class Keys(tuple[Key, ...]):
    """The keys that may fill a field: the first is the one that users are told of."""

    __slots__ = ()

    @property
    def shown(self) -> Key:
        """The one that users are told of."""
        return self[0]

    @property
    def own(self) -> Key:
        """The one in the field's own unit."""
        return next(key for key in self if key.scale == 1.0)


@cache
def keys_by_field() -> Mapping[str, Keys]:
    """The keys of the file, by the field of `Acquisition` that they fill."""
    hints = get_type_hints(Acquisition, include_extras=True)
    notes = {field: getattr(hint, "__metadata__", ()) for field, hint in hints.items()}
    found = {field: Keys(note for note in noted if isinstance(note, Key)) for field, noted in notes.items()}
    return {field: keys for field, keys in found.items() if keys}


def read_acquisition(path: str | os.PathLike[str]) -> Acquisition:
    """Read an acquisition file, JSON or (if it is named ``.toml``) TOML.

    Raises
    ------
    InputError
        If the file is missing, unreadable or malformed, or a value is impossible.

    Warns
    -----
    QualityWarning
        For unknown keys and unusual values.
    """
    path = Path(path).expanduser()
    text = _read_text(path)
    kind = "TOML" if path.suffix.lower() == ".toml" else "JSON"
    try:
        loaded = tomllib.loads(text) if kind == "TOML" else json.loads(text, object_pairs_hook=_no_duplicates)
    except InputError as error:
        raise error.at(str(path)) from error
    except (ValueError, RecursionError) as error:
        comma = _DECIMAL_COMMA.search(text)
        if comma is not None:
            raise InputError(
                f"is not valid {kind}: {comma['key']} is {comma['number']}, with a decimal comma",
                where=str(path),
                mend=f"write {comma['number'].replace(',', '.')}",
            ) from error
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"is not valid {kind} ({reason})", where=str(path), mend="correct it there") from error
    if not isinstance(loaded, dict):
        raise InputError(
            f"holds {_kind(loaded)} where keys and values belong",
            where=str(path),
            mend='write it as {"beam_energy_kV": 200, ...}',
        )
    return Acquisition.from_mapping(loaded, where=str(path))


def require(acquisition: Acquisition, *fields: str | tuple[str, ...], where: str | None = None) -> tuple[float, ...]:
    """Values that a step cannot do without.

    Parameters
    ----------
    acquisition : Acquisition
        What is known.
    fields : str or tuple of str
        Fields of `Acquisition`; of a tuple any one will do, and the first that is known is returned.
    where : str, optional
        File or step, for the message.

    Returns
    -------
    tuple of float
        One value for each field.

    Raises
    ------
    InputError
        Naming the keys that are missing, each with an example.
    """
    values: list[float] = []
    missing: list[tuple[str, ...]] = []
    for choice in fields:
        names = (choice,) if isinstance(choice, str) else choice
        found = (getattr(acquisition, name) for name in names)
        known = [value for value in found if value is not None]
        if known:
            values.append(float(known[0]))
        else:
            missing.append(names)
    if missing:
        shown = {field: keys.shown for field, keys in keys_by_field().items()}
        keys = [" or ".join(shown[name].name for name in names) for names in missing]
        examples = ", ".join(f'"{shown[names[0]].name}": {shown[names[0]].example:g}' for names in missing)
        raise InputError(
            f"the acquisition lacks {' and '.join(keys)}",
            where=where,
            mend=f"add to its file (--acquisition FILE), e.g. {examples}",
        )
    return tuple(values)


def _read_text(path: Path) -> str:
    where = str(path)
    raw = read_bytes(path, _LARGEST_FILE + 1)
    if len(raw) > _LARGEST_FILE:
        raise InputError(
            f"has more than {bytes_text(_LARGEST_FILE)}, too much for an acquisition",
            where=where,
            mend="give the JSON or TOML file, not the data",
        )
    if not raw.strip():
        raise InputError("the file is empty", where=where, mend='write e.g. {"beam_energy_kV": 200} into it')
    return decoded(raw, where)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"gives {twice} twice", mend="leave one of them")
    return found


def _kind(value: Any) -> str:
    """Type of a loaded value, in words."""
    words = {
        bool: "true or false",
        str: "a text",
        list: "a list",
        dict: "a group of keys",
        type(None): "null",
    }
    return words.get(type(value), f"a {type(value).__name__}")


def _number(value: Any, name: str, where: str | None, example: float) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        shown = f"{value!r:.40}" if isinstance(value, str) else _kind(value)
        comma = isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+,\d+\s*", value)
        right = str(value).strip().replace(",", ".") if comma else f"e.g. {example:g}"
        raise InputError(
            f"{name} is {shown}, not a number",
            where=where,
            mend=f"write the bare number, {right}, without quotes",
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{name} is {number}", where=where, mend=f"give a finite number, e.g. {example:g}")
    return number


def _pair(value: Any, where: str | None) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InputError("beam_centre_px is not a pair of numbers", where=where, mend="write it as [y, x]")
    y, x = (_number(v, "beam_centre_px", where, 12.5) for v in value)
    return y, x


def _check_possible(key: Key, value: float, where: str | None) -> None:
    if key.is_possible(value):
        return
    guess = key.in_right_unit(value)
    low, high = key.possible
    if guess is not None:
        unit, right = guess
        raise InputError(
            f"{key.name} is {value:.6g}, which looks like {unit}",
            where=where,
            mend=f"did you mean {right:.6g}?",
        )
    if low <= value <= high:
        raise InputError(
            f"{key.name} is {value:.6g}, too small to be meant",
            where=where,
            mend=f"a usual value is {key.example:g}",
        )
    raise InputError(
        f"{key.name} is {value:.6g}, outside {low:g} to {high:g}",
        where=where,
        mend=f"a usual value is {key.example:g}",
    )


def _warn_of_unusual(key: Key, value: float, where: str | None) -> None:
    prefix = f"{where}: " if where else ""
    if key.name == "defocus_nm" and value > 0:
        _warn(
            f"{prefix}defocus_nm is {value:g}, positive, which means overfocus here; "
            f"if the image was taken at underfocus, give {-value:g}"
        )
    if key.is_usual(value):
        return
    guess = key.in_right_unit(value)
    hint = f"if it is in {guess[0]}, give {guess[1]:.6g}" if guess else f"a usual one is {key.example:g}"
    _warn(f"{prefix}{key.name} is {value:.6g}, an unusual value; {hint}")


def _warn_of_unknown(mapping: Mapping[str, Any], where: str | None) -> None:
    prefix = f"{where}: " if where else ""
    known = {key.name for keys in keys_by_field().values() for key in keys} | {"beam_centre_px", "note"}
    lower = {name.lower(): name for name in sorted(known)}
    for name in mapping:
        if name in known or str(name).startswith("_"):
            continue
        near = difflib.get_close_matches(str(name).lower(), lower, n=1)
        hint = f"did you mean {lower[near[0]]}?" if near else "it is left out"
        _warn(f"{prefix}unknown key {name!r}; {hint}")


def _warn_of_contradiction(acquisition: Acquisition, where: str | None) -> None:
    a = acquisition
    if (a.ellipse_percent is None) != (a.ellipse_deg is None) and a.ellipse_percent != 0:
        prefix = f"{where}: " if where else ""
        _warn(f"{prefix}ellipse_percent and ellipse_deg belong together; one alone is left out")
    stated = a.reciprocal_pixel_per_angstrom
    if stated is None or a.energy_ev is None or a.camera_length_mm is None or a.detector_pixel_um is None:
        return
    computed = a.detector_pixel_um * 1e-3 / (a.camera_length_mm * wavelength_angstrom(a.energy_ev))
    if abs(computed / stated - 1) > 0.05:
        prefix = f"{where}: " if where else ""
        _warn(
            f"{prefix}reciprocal_pixel_per_A is {stated:.6g}, but camera length and detector pixel give "
            f"{computed:.6g}; the former is used"
        )


def _warn(message: str) -> None:
    # The level of from_mapping's caller, through the two functions in between.
    doubt(message)
