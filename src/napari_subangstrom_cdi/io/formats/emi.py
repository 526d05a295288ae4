"""The XML in an EMI of FEI's TIA: what the microscope was doing. The rest of such a file is of no known layout."""

from __future__ import annotations

import math
import mmap
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MAGIC = b"JK\0\2"
_BEGIN, _END = b"<ObjectInfo>", b"</ObjectInfo>"
_LONGEST, _MOST = 2**18, 64  # of a real file: 10 kB, 9
_ACQUISITION = ("DwellTimePath", "CameraNamePath", "Binning")


@dataclass(frozen=True)
class Emi:
    """What is stated for one SER.

    Parameters
    ----------
    values : mapping of str to (str, str, str)
        Value, unit and place, by name.
    missing : str or None
        Why nothing is known, if so.
    """

    values: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    missing: str | None = None

    def text(self, name: str) -> tuple[str, str] | None:
        """Value and its place, with the value."""
        if name not in self.values:
            return None
        value, unit, place = self.values[name]
        return value, f"{place} = {value} {unit}".rstrip()

    def number(self, name: str, unit: str = "") -> tuple[float, str] | None:
        """Value as a number if it is one, with that unit, and its place."""
        found = self.text(name)
        if found is None or self.values[name][1] != unit:
            return None
        try:
            value = float(found[0])
        except ValueError:
            return None
        return (value, found[1]) if math.isfinite(value) else None


def emi_beside(ser: Path) -> Path | None:
    """The EMI that belongs to a SER, if it lies beside it."""
    match = re.fullmatch(r"(.*)_(\d{1,6})", ser.stem)
    return None if match is None else _beside(ser, f"{match[1]}.emi")


def read_emi(ser: Path) -> Emi:
    """What is stated for a SER in the EMI beside it.

    Several records share one EMI. What they have in common is taken for all; how one was recorded is taken only if
    there are as many descriptions as files.
    """
    match = re.fullmatch(r"(.*)_(\d{1,6})", ser.stem)
    if match is None:  # not TIA's name any more: nobody expects an EMI beside it
        return Emi()
    path = _beside(ser, f"{match[1]}.emi")
    if path is None:
        return Emi(missing=f"{match[1]}.emi is not beside it: energy, camera length and mode are unknown")
    objects = [found for raw in _objects(path) if (found := _parsed(raw, path.name))]
    if not objects:
        return Emi(missing=f"{path.name} beside it cannot be read: energy, camera length and mode are unknown")
    common = {k: v for k, v in objects[0].items() if all(o.get(k, v)[:2] == v[:2] for o in objects)}
    files = sum(
        1 for file in path.parent.iterdir() if re.fullmatch(re.escape(match[1]) + r"_\d+\.ser", file.name, re.I)
    )
    number = int(match[2])
    if len(objects) == files and 1 <= number <= files:
        return Emi(objects[number - 1])
    return Emi({k: v for k, v in common.items() if k not in _ACQUISITION})


def _beside(path: Path, name: str) -> Path | None:
    """A file in the same folder, whichever way its name is capitalised."""
    exact = path.with_name(name)
    if exact.exists():
        return exact
    return next((file for file in path.parent.iterdir() if file.name.lower() == name.lower()), None)


def _objects(path: Path) -> list[bytes]:
    """The pieces of XML in the file."""
    if not path.is_file() or not path.stat().st_size:
        return []
    found: list[bytes] = []
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        at = raw.find(_BEGIN)
        while at >= 0 and len(found) < _MOST:
            end = raw.find(_END, at, at + _LONGEST)
            if end < 0:
                break
            found.append(raw[at : end + len(_END)])
            at = raw.find(_BEGIN, end)
    return found


def _parsed(raw: bytes, file: str) -> dict[str, tuple[str, str, str]]:
    """Conditions and settings of one object; empty if it holds none."""
    try:
        root = ET.fromstring(raw.decode("utf-8", errors="replace"))
    except ET.ParseError:
        return {}
    found: dict[str, tuple[str, str, str]] = {}
    for data in root.iterfind("ExperimentalDescription/Root/Data"):
        label, value, unit = ((data.findtext(tag) or "").strip() for tag in ("Label", "Value", "Unit"))
        if label and value:
            found.setdefault(label, (value, unit, f"{file}: {label}"))
    voltage = root.findtext("ExperimentalConditions/MicroscopeConditions/AcceleratingVoltage")
    plain = {"AcceleratingVoltage": voltage} | {name: root.findtext(f"AcquireInfo/{name}") for name in _ACQUISITION}
    for name, text in plain.items():
        if text and text.strip():
            found[name] = (text.strip(), "", f"{file}: {name}")
    return found
