"""TVIPS, MIB, BLO and EMPAD through rosettasciio, an extra under the GPL-3, imported only to read such a file.

What it reports of the pixel is taken with care: of a TVIPS stream it gives the detector's pixel in nm as that of the
record, of a BLO the pixel on the camera's screen.
"""

from __future__ import annotations

import importlib
import logging
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array, Format, Stored
from napari_subangstrom_cdi.io.header import Header, HeaderWriter, pixel_in

INSTALL = "pip install 'napari-subangstrom-cdi[rosettasciio]'"
_BLOCK_BYTES = 16 * 2**20
_NO_UNITS = ("", "none", "<undefined>", "px", "pixel", "pixels")


@dataclass(frozen=True)
class _Signal:
    """What rosettasciio returns for a file."""

    data: Any
    axes: list[dict[str, Any]]
    metadata: dict[str, Any]
    original: dict[str, Any]


_Tell = Callable[[_Signal, HeaderWriter], None]


@contextmanager
def _open(plugin: str, name: str, tell: _Tell, path: Path, dataset: str | None) -> Iterator[Stored]:
    signal = _read(plugin, name, path)
    shape = tuple(int(n) for n in signal.data.shape)
    # The positions of a scan count as frames.
    frames = math.prod(shape[:-2])
    yield Stored(
        shape=(frames, *shape[-2:]) if len(shape) > 2 else shape,
        dtype=np.dtype(signal.data.dtype),
        stored_bytes=None if plugin == "empad" else path.stat().st_size,
        read_frame=_Frames(signal.data, shape),
        header=_header(signal, tell),
    )


def _read(plugin: str, name: str, path: Path) -> _Signal:
    """First signal of the file whose frames are images; none of its values are read."""
    try:
        importlib.import_module("rsciio")
        logging.getLogger("rsciio").handlers = [logging.NullHandler()]  # its own one writes to the terminal
        reader = importlib.import_module(f"rsciio.{plugin}")
    except ImportError as error:
        raise InputError(
            f"is a {name} file, for which rosettasciio is needed", where=str(path), mend=f"run {INSTALL}"
        ) from error
    try:
        signals = reader.file_reader(str(path), lazy=True)
    except MemoryError:  # before any value is read: so much is only claimed
        raise InputError(
            "its header claims more than there is memory for",
            where=str(path),
            mend="the file is damaged, or cut it on a larger machine",
        ) from None
    except Exception as error:
        text = re.sub(r"\s+", " ", str(error)).strip().rstrip(".") or type(error).__name__
        raise InputError(
            f"rosettasciio cannot read it ({text[:120]})",
            where=str(path),
            mend=f"check that the file is whole, and of a kind of {name} that rosettasciio reads; else save it as TIFF",
        ) from error
    for signal in signals:
        shape, axes = tuple(signal["data"].shape), list(signal.get("axes", ()))
        if len(shape) >= 2 and not any(axis.get("navigate") for axis in axes[-2:]):
            return _Signal(
                signal["data"], axes, _plain(signal.get("metadata")), _plain(signal.get("original_metadata"))
            )
    raise InputError("holds no image", where=str(path), mend="give the pattern or image")


def _plain(tree: Any) -> dict[str, Any]:
    return dict(tree) if hasattr(tree, "keys") else {}


class _Frames:
    """Frames by number; a block of them is read at a time, since each request costs milliseconds."""

    def __init__(self, data: Any, shape: tuple[int, ...]) -> None:
        self.data, self.shape = data, shape
        frame = max(1, math.prod(shape[-2:]) * np.dtype(data.dtype).itemsize)
        self.length = max(1, _BLOCK_BYTES // frame)
        self.held: tuple[int, int, Array] | None = None

    def __call__(self, k: int) -> Array:
        """Frame k, counted along the scan line by line."""
        if len(self.shape) == 2:
            return _computed(self.data)
        line, j = divmod(k, self.shape[-3])
        start = j - j % self.length
        if self.held is None or self.held[:2] != (line, start):
            self.held = None  # before the next block is in memory, too
            lead = tuple(int(n) for n in np.unravel_index(line, self.shape[:-3])) if len(self.shape) > 3 else ()
            self.held = line, start, _computed(self.data[(*lead, slice(start, start + self.length))])
        return self.held[2][j - start]


def _computed(data: Any) -> Array:
    return np.asarray(data.compute(scheduler="synchronous") if hasattr(data, "compute") else data)


def _header(signal: _Signal, tell: _Tell) -> Header:
    found = HeaderWriter()
    tell(signal, found)
    return found.header()


def _tell_tvips(signal: _Signal, found: HeaderWriter) -> None:
    """The stream's header: pixel of the detector in nm, high tension in kV; the mode is in the frames' headers."""
    head = signal.original.get("tvips_header") or {}
    unit = str(signal.axes[-1].get("units", "")) if signal.axes else ""
    role = {"1/nm": "pattern", "nm": "image"}.get(unit)
    found.put("role", role, f"frame header: mode = {'diffraction' if role == 'pattern' else 'image'}")
    tension = _number(head, "ht")
    if tension is not None and 30 <= tension <= 1500:
        found.put("energy_ev", tension * 1e3, f"header: ht = {tension:g} kV")
    elif tension is not None and 30e3 <= tension <= 1500e3:
        found.put("energy_ev", tension, f"header: ht = {tension:g} V")
    x, y, pixel = _number(head, "binx"), _number(head, "biny"), _number(head, "pixelsize")
    if x is not None and y is not None and min(x, y) >= 1:
        found.put("binning", (int(y), int(x)), f"header: biny, binx = {y:g}, {x:g}")
        if pixel is not None and 1e3 <= pixel <= 1e6 and x == y:
            found.put("detector_pixel_um", pixel * 1e-3 * x, f"header: pixelsize = {pixel:g} nm, times the binning")
    elif pixel is not None and pixel > 0:
        found.doubt(f"its header states a pixel of {pixel:g} nm, but no binning; state the pixel yourself")


def _tell_mib(signal: _Signal, found: HeaderWriter) -> None:
    """Exposure; a Merlin knows nothing of the microscope."""
    exposure = _number(_at(signal.metadata, "Acquisition_instrument"), "dwell_time")
    found.put("exposure_s", exposure, f"frame header: exposure = {exposure} s")


def _tell_blo(signal: _Signal, found: HeaderWriter) -> None:
    """Precession patterns of ASTAR, taken with a camera that looks at the screen."""
    head = signal.original.get("blockfile_header") or {}
    found.put("role", "pattern", "a BLO file holds patterns")
    tension, scale = _number(head, "Beam_energy"), _number(head, "SDP")
    found.put("energy_ev", tension, f"header: Beam_energy = {tension} V")
    if scale:
        found.put("detector_pixel_um", 1e6 / scale, f"header: SDP = {scale:g} / 100 pixels per cm of the screen")
    length = _number(head, "Camera_length")
    if length:
        found.put("camera_length_mm", length / 10, f"header: Camera_length = {length:g} tenths of a mm")


def _tell_empad(signal: _Signal, found: HeaderWriter) -> None:
    """Pixel where an old version states it."""
    if len(signal.axes) < 2:
        return
    y, x = signal.axes[-2:]
    units = str(y.get("units"))
    high, wide = _number(y, "scale"), _number(x, "scale")
    if units.lower() in _NO_UNITS or str(x.get("units")) != units or high is None or wide is None:
        return
    found.put("pixel", pixel_in(units, high, wide), f"calibration = {high:g}, {wide:g} {units} (y, x)")


def _at(tree: Any, name: str) -> Any:
    return tree[name] if hasattr(tree, "keys") and name in tree else {}


def _number(tree: Any, name: str) -> float | None:
    """A number of the file's header, which may stand in an array of one."""
    value = _at(tree, name)
    try:
        number = float(np.asarray(value).ravel()[0])
    except (TypeError, ValueError, IndexError):
        return None
    return number if math.isfinite(number) else None


def _is_tvips(head: bytes) -> bool:
    # Size of the header, version and, below, bits per pixel: little-endian words.
    words = [int.from_bytes(head[i : i + 4], "little") for i in range(0, 20, 4)]
    return len(head) >= 256 and words[0] == 256 and words[1] in (1, 2) and words[4] in (8, 16)


def _is_empad(head: bytes) -> bool:
    text = head.lstrip()
    return text.startswith((b"<root", b"<?xml")) and b"<root" in text and b"<raw_file" in text


def _format(name: str, plugin: str, suffixes: tuple[str, ...], matches: Callable[[bytes], bool], tell: _Tell) -> Format:
    @contextmanager
    def open_(path: Path, dataset: str | None) -> Iterator[Stored]:
        with _open(plugin, name, tell, path, dataset) as stored:
            yield stored

    # The later parts of a TVIPS stream have no header; rosettasciio says which file to give.
    return Format(name, suffixes, matches, open_, by_suffix=plugin == "tvips")


FORMATS = (
    _format("TVIPS", "tvips", (".tvips",), _is_tvips, _tell_tvips),
    _format("MIB", "quantumdetector", (".mib",), lambda head: head.startswith(b"MQ1,"), _tell_mib),
    _format("BLO", "blockfile", (".blo",), lambda head: head.startswith(b"IMGBLO"), _tell_blo),
    _format("EMPAD", "empad", (".xml",), _is_empad, _tell_empad),
)
