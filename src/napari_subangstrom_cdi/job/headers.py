"""The acquisition filled from the headers of the files: what is taken of them, and what only a person can decide on.

What the user states goes before what a file says; a pixel that a file gives in reciprocal space goes before its camera
length, which mostly is a nominal one. Two that differ by more than rounding are named with both values. What programs
write in different senses, or cannot know, is never taken: defocus, spherical aberration, gain, an offset, and a camera
length that stands in the header of an image. :func:`required` says what of these a file states where it is missed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from napari_subangstrom_cdi.core.record.calibration import q_pixel_from_camera_length
from napari_subangstrom_cdi.errors import InputError, doubt
from napari_subangstrom_cdi.io import Acquisition, require
from napari_subangstrom_cdi.io.acquisition import keys_by_field
from napari_subangstrom_cdi.io.header import Header, Pixel
from napari_subangstrom_cdi.io.image import short_name
from napari_subangstrom_cdi.io.stack import describe, state_of

from .plan import Plan, named_files

_RECORDS = ("pattern", "background", "image")
_STATED = "stated in the acquisition"
_NEARLY_SQUARE = 0.05
_TOLERANCE = {
    "energy_ev": 0.01,
    "reciprocal_pixel_per_angstrom": 0.02,
    "detector_pixel_um": 0.02,
    "camera_length_mm": 0.05,
    "image_pixel_angstrom": 0.02,
    "saturation_counts": 0.02,
    "counts_per_electron": 0.05,
    "pixel_ratio_percent": 0.05,
    "cs_mm": 0.05,
}
"""By how much two statements may differ, as a fraction, before both are named."""


@dataclass(frozen=True)
class Statement:
    """A value, and where it stands: the file, and the place in it with how it is written there."""

    value: float
    file: str = ""
    said: str = ""

    @property
    def place(self) -> str:
        """File and place."""
        return f"{self.file}: {self.said}" if self.file else self.said


@dataclass(frozen=True)
class Completed:
    """A plan with its acquisition filled from the files' headers.

    Parameters
    ----------
    plan : Plan
        The same plan if the files say nothing.
    said : mapping of str to str
        For each field of the acquisition that is known: who says it.
    doubts : tuple of str
        Contradictions, and what was taken although it is not to be relied on.
    offers : mapping of str to str
        For fields that are still missing: what a file states, and why it was not taken.
    unread : mapping of str to InputError
        Roles of files whose header cannot be read, and why.
    """

    plan: Plan
    said: Mapping[str, str]
    doubts: tuple[str, ...]
    offers: Mapping[str, str]
    unread: Mapping[str, InputError] = field(default_factory=dict)

    @property
    def acquisition(self) -> Acquisition:
        """What is known of the records."""
        return self.plan.acquisition

    def readings(self) -> dict[str, Any]:
        """The values in force and who says them, ready for JSON, by the keys of an acquisition file."""
        values = {name: value for name, value in self.acquisition.to_dict().items() if name != "note"}
        names = {name: keys.own.name for name, keys in keys_by_field().items()}
        said = {names.get(name, name): place for name, place in self.said.items()}
        return {"acquisition": values, "acquisition_from": said}


def completed(plan: Plan) -> Completed:
    """The plan with what its files' headers say of the records, as far as the user does not.

    Headers are read without their pixels, and kept until the file changes. A file that cannot be read says nothing
    here; the step that reads its pixels will say why.
    """
    headers, unread = {}, {}
    for role, address in _records_of(plan).items():
        try:
            headers[role] = header_of(address)
        except InputError as error:
            unread[role] = error
    return filled(plan, headers, unread)


def filled(plan: Plan, headers: Mapping[str, Header], unread: Mapping[str, InputError] | None = None) -> Completed:
    """The same with headers that are at hand.

    Parameters
    ----------
    plan : Plan
        What the user states.
    headers : mapping of str to Header
        Of ``pattern``, ``background`` and ``image``, as far as they are known.
    unread : mapping of str to InputError
        Why the others are not.
    """
    return _Filling(plan, headers).done(unread or {})


def _records_of(plan: Plan) -> dict[str, str]:
    files = named_files(plan.inputs)
    return {role: files[role] for role in _RECORDS if role in files}


def taken(plan: Plan) -> Plan:
    """The same, having said what is to be doubted."""
    known = completed(plan)
    for said in known.doubts:
        doubt(said)
    return known.plan


def required(plan: Plan, *fields: str) -> tuple[float, ...]:
    """Values of the acquisition that a step cannot do without, stated by the user or by a file.

    Raises
    ------
    InputError
        Naming the keys that are missing, and what a file states of them.
    """
    known = completed(plan)
    try:
        return require(known.acquisition, *fields)
    except InputError as error:
        for unread in known.unread.values():
            raise unread from error
        missed = (known.offers[name] for name in fields if name in known.offers)
        raise InputError(error.problem, where=error.where, mend="; ".join((error.mend or "", *missed))) from error


@lru_cache(maxsize=64)
def _header(address: str, state: tuple[int, ...]) -> Header:
    return describe(address).header


_REFUSED_FOR_S = 5.0  # what was wrong may be mended elsewhere: a file that this one links to, a permission


class _Refusal(NamedTuple):
    """Why a header could not be read: of a file in this state, and until when it is not tried again."""

    state: tuple[int, ...]
    until_s: float
    problem: str
    where: str | None
    mend: str | None


_refused: dict[str, _Refusal] = {}


def header_of(address: str) -> Header:
    """What a file says of itself, by its header; kept until the file changes, a refusal for a few seconds only.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    state = state_of(address)
    if state is None:
        return describe(address).header  # it knows what to say
    refused = _refused.get(address)
    if refused is not None and refused.state == state and time.monotonic() < refused.until_s:
        raise InputError(refused.problem, where=refused.where, mend=refused.mend)
    try:
        return _header(address, state)
    except InputError as error:
        until = time.monotonic() + _REFUSED_FOR_S
        _refused[address] = _Refusal(state, until, error.problem, error.where, error.mend)
        raise


class _Filling:
    """One acquisition being filled."""

    def __init__(self, plan: Plan, headers: Mapping[str, Header]) -> None:
        self._plan, self._stated, self._headers = plan, plan.acquisition, headers
        self._names = {role: short_name(address) for role, address in _records_of(plan).items()}
        self._taken: dict[str, Statement] = {}
        self._doubts: list[str] = []
        self._offers: dict[str, str] = {}

    def done(self, unread: Mapping[str, InputError]) -> Completed:
        if any(header.said for header in self._headers.values()):
            self._check_roles()
            self._energy()
            self._pattern()
            self._image()
            self._only_by_hand()
        values = {name: statement.value for name, statement in self._taken.items()}
        plan = replace(self._plan, acquisition=replace(self._stated, **values)) if values else self._plan  # type: ignore[arg-type]
        said = {name: _STATED for name in _known(self._stated)}
        said |= {name: statement.place for name, statement in self._taken.items()}
        return Completed(plan, said, tuple(self._doubts), self._offers, unread)

    def _check_roles(self) -> None:
        wanted = {"pattern": "pattern", "background": "pattern", "image": "image"}
        for role, header in self._headers.items():
            if header.role not in (None, wanted[role]):
                self._doubts.append(
                    f"{self._names[role]} is given as {role}, but says that it is "
                    f"{'an image' if header.role == 'image' else 'a pattern'} ({self._place(role, 'role')})"
                )

    def _energy(self) -> None:
        found = [self._statement(role, "energy_ev") for role in ("pattern", "image", "background")]
        self._fill("energy_ev", found)

    def _pattern(self) -> None:
        """The reciprocal pixel, or what gives it: what is stated, a calibrated pixel, a nominal camera length."""
        stated, header = self._stated, self._headers.get("pattern")
        self._saturation()
        pixel, detector = self._pattern_pixel("pattern"), self._statement("pattern", "detector_pixel_um")
        self._compare_background(pixel)
        self._unequal_pixels()
        if self._plan.pattern.known_spacings:
            return
        camera = self._statement("pattern", "camera_length_mm")
        if camera is not None and header is not None and header.role == "image":
            self._offers["camera_length_mm"] = (
                f"{camera.file} states a camera length ({camera.said}), but says that it is an image"
            )
            camera = None
        energy = stated.energy_ev or (self._taken["energy_ev"].value if "energy_ev" in self._taken else None)
        if stated.reciprocal_pixel_per_angstrom is not None:
            self._fill("reciprocal_pixel_per_angstrom", [pixel])
        elif stated.camera_length_mm is not None and energy and (stated.detector_pixel_um or detector):
            self._fill("detector_pixel_um", [detector])
            self._compare_with_length(pixel, camera, energy)
        elif pixel is not None:
            self._fill("reciprocal_pixel_per_angstrom", [pixel])
        else:
            self._fill("detector_pixel_um", [detector])
            self._fill("camera_length_mm", [camera])
            if "camera_length_mm" in self._taken:
                self._doubts.append(
                    f"the camera length is the file's ({self._taken['camera_length_mm'].place}), mostly a nominal one; "
                    "a pattern of something known calibrates it (--calibrate-by-crystal, --spacing)"
                )

    def _saturation(self) -> None:
        """Where the counts of one frame end; those of a sum of frames end nowhere that a file could say."""
        found = self._statement("pattern", "saturation_counts")
        if found is not None and self._plan.inputs.pattern_frame == "sum":
            if self._own("saturation_counts") is None:
                self._offers["saturation_counts"] = (
                    f"{found.file} states where a frame saturates ({found.said}), but all its frames are added up"
                )
            return
        self._fill("saturation_counts", [found])

    def _compare_with_length(self, pixel: Statement | None, camera: Statement | None, energy_ev: float) -> None:
        """What a stated camera length gives, against what the file says."""
        length = self._stated.camera_length_mm or 0.0
        detector = self._stated.detector_pixel_um or self._taken["detector_pixel_um"].value
        if pixel is None:
            self._fill("camera_length_mm", [camera])
            return
        given = Statement(
            q_pixel_from_camera_length(length, detector_pixel_um=detector, energy_ev=energy_ev),
            said=f"camera_length_mm {length:g} and a detector pixel of {detector:g} µm",
        )
        self._compare("reciprocal_pixel_per_angstrom", given, pixel)

    def _compare_background(self, pixel: Statement | None) -> None:
        other = self._pattern_pixel("background")
        if pixel is not None and other is not None:
            self._compare("reciprocal_pixel_per_angstrom", pixel, other)

    def _pattern_pixel(self, role: str) -> Statement | None:
        """The reciprocal pixel that a record states."""
        header = self._headers.get(role)
        if header is None or header.pixel is None:
            return None
        if header.pixel.unit != "1/Å":
            if _is_meant(header.pixel) and header.role != "image":
                self._doubts.append(
                    f"{self._names[role]} is given as {role}, but states a pixel of real space "
                    f"({self._place(role, 'pixel')}); it is left out"
                )
            return None
        return self._squared(role, header.pixel, "reciprocal_pixel_per_angstrom")

    def _unequal_pixels(self) -> None:
        """By how much the pattern's pixels are taller than wide."""
        header = self._headers.get("pattern")
        if header is None or header.pixel is None or header.pixel.unit != "1/Å" or header.pixel.is_square:
            return
        y, x = header.pixel.size
        said = Statement(100 * (y / x - 1), self._names["pattern"], self._place("pattern", "pixel"))
        self._fill("pixel_ratio_percent", [said])
        if self._own("pixel_ratio_percent") is None and "pixel_ratio_percent" in self._taken:
            self._doubts.append(
                f"{said.file} states pixels of {y:.6g} x {x:.6g} 1/Å (y, x), which are not square; the pattern is laid "
                "onto square ones"
            )

    def _image(self) -> None:
        header = self._headers.get("image")
        if header is None or header.pixel is None:
            return
        if header.pixel.unit != "Å":
            self._doubts.append(
                f"{self._names['image']} is given as image, but states a pixel of reciprocal space "
                f"({self._place('image', 'pixel')}); it is left out"
            )
            return
        self._fill("image_pixel_angstrom", [self._squared("image", header.pixel, "image_pixel_angstrom")])

    def _only_by_hand(self) -> None:
        """What a person must decide on."""
        defocus = self._statement("image", "defocus_nm")
        if defocus is not None and defocus.value and self._stated.defocus_nm is None:
            self._offers["defocus_nm"] = (
                f"{defocus.file} states a defocus ({defocus.said}), but programs differ in its sign and in where it "
                "counts from"
            )
        self._offer(
            "cs_mm", self._statement("image", "cs_mm"), "{file} states a Cs ({said}): give it if it is the objective's"
        )
        gain = self._statement("pattern", "counts_per_electron")
        self._offer(
            "counts_per_electron", gain, "{file} states a gain ({said}): give it if the stored counts are meant"
        )
        if gain is not None and "counts_per_electron" in self._offers:
            self._doubts.append(
                f"the counts per electron are taken from the noise or as 1, though {gain.file} states "
                f"{gain.value:.4g} ({gain.said}); counts_per_electron in the acquisition can say so"
            )

    def _offer(self, name: str, found: Statement | None, text: str) -> None:
        """Say what a file states of a field that is not taken from it; if the user states it, compare."""
        if found is None:
            return
        stated = self._own(name)
        if stated is None:
            self._offers[name] = text.format(file=found.file, said=found.said)
        else:
            self._compare(name, stated, found)

    def _squared(self, role: str, pixel: Pixel, name: str) -> Statement | None:
        """A pixel as one number; unequal sides are doubted, and very unequal ones are for the user to judge."""
        (y, x), said = pixel.size, self._place(role, "pixel")
        if pixel.is_square or name == "reciprocal_pixel_per_angstrom":
            return Statement(x, self._names[role], said)
        shown = f"{self._names[role]} states pixels of {y:.6g} x {x:.6g} {pixel.unit} (y, x), which are not square"
        if abs(y - x) > _NEARLY_SQUARE * max(y, x):
            self._offers[name] = f"{shown}: resample it, or state the pixel that you mean"
            return None
        if self._own(name) is None:
            self._doubts.append(f"{shown}; their mean is used")
        return Statement((y + x) / 2, self._names[role], said)

    def _statement(self, role: str, name: str) -> Statement | None:
        """What the header of a record states of a field."""
        header = self._headers.get(role)
        value = getattr(header, name, None)
        if header is None or value is None:
            return None
        return Statement(float(value), self._names[role], self._place(role, name))

    def _place(self, role: str, name: str) -> str:
        """Where in the file a value stands, without the file's name, which is said before it."""
        return self._headers[role].said[name].removeprefix(self._names[role]).lstrip(":, ")

    def _own(self, name: str) -> Statement | None:
        """What the user states."""
        value = getattr(self._stated, name)
        return None if value is None else Statement(value)

    def _fill(self, name: str, found: list[Statement | None]) -> None:
        """Take a field from the first that knows it, unless the user does; name those that say something else."""
        own, known = self._own(name), [statement for statement in found if statement is not None]
        used = own or next(iter(known), None)
        if used is None:
            return
        for other in known:
            if other is not used:
                self._compare(name, used, other)
        if own is not None:
            return
        key = keys_by_field()[name].own
        if not key.is_possible(used.value):
            self._offers[name] = f"{used.file} states {_written(name, used.value)} ({used.said}), which is impossible"
            self._doubts.append(f"{self._offers[name]}; it is left out")
            return
        if not key.is_usual(used.value):
            self._doubts.append(f"{used.file} states {_written(name, used.value)}, an unusual value ({used.said})")
        self._taken[name] = used

    def _compare(self, name: str, used: Statement, other: Statement) -> None:
        if abs(used.value - other.value) <= _TOLERANCE[name] * max(abs(used.value), abs(other.value)):
            return
        mine, theirs = _written(name, used.value), _written(name, other.value)
        who = f"{mine} ({used.place})" if used.place else f"{mine} in the acquisition"
        self._doubts.append(f"{who} contradicts {theirs} ({other.place}); the former is used")


def _known(acquisition: Acquisition) -> Iterator[str]:
    names = (*keys_by_field(), "beam_centre_px")
    return (name for name in names if getattr(acquisition, name) is not None)


def _written(name: str, value: float) -> str:
    key = keys_by_field()[name].shown
    return f"{key.name} {value / key.scale:.6g}"


def _is_meant(pixel: Pixel) -> bool:
    """False for 1 Å, which programs write where they know nothing, and for sizes of detectors and printers."""
    return pixel.size[0] != 1.0 and max(pixel.size) < 100
