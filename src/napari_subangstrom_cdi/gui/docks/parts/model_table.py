"""What the fit of a crystal found, in rows, with errors, and the orientations that it might have been."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtWidgets import QGridLayout, QWidget

from napari_subangstrom_cdi.gui.widgets.painting import write

from .numbers import labelled_values

_ROWS = (
    ("zone", "Zone found", "Against the beam: it points towards the source"),
    ("tilt", "Tilt x, y", "Rotation about x and y that takes the zone axis out of the beam, and its error"),
    ("azimuth", "Azimuth", "Of the zone's shortest reflection, clockwise on the screen"),
    ("thickness", "Thickness", "Where the particle is thickest"),
    ("roundness", "Roundness", "0: a prism, its outline extruded; 0.5: an ellipsoid"),
    ("spacings", "Spacings", "Against those of the crystal as it is tabled, by the calibration of the pattern"),
    ("explained", "On reflections", "Share of the pattern's intensity that lies on reflections of the zone"),
    ("reflections", "R, reflections", "Of their integrated amplitudes, by Bloch waves"),
    ("pattern", "R, pattern", "Of the whole pattern, by multislice, before any phasing"),
    ("image", "Image", "Correlation of the model's lattice fringes with those of the image; 1 is full agreement"),
    ("boundary", "Boundary", "Shift of the lattice beyond a boundary that the reconstruction has"),
)
_SHAPES = {0.0: "prism", 0.25: "rounded", 0.5: "ellipsoid"}
_MOST_RIVALS = 3
_NEGATIVE_ZERO = re.compile(r"-(0(?:\.0*)?)(?![\d.])")


class ModelTable(QWidget):
    """The numbers of a fit."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout(self)
        self.values, self._captions = labelled_values(grid, _ROWS, "model")
        grid.setRowStretch(len(_ROWS), 1)
        self._shown: dict[str, str] = {}
        self.show_model(None)

    def show_model(self, readings: Mapping[str, Any] | None) -> None:
        """Show the numbers of a fit, as its readings have them, or that there are none."""
        texts = dict.fromkeys(self.values, "–") if readings is None else described(readings)
        if texts == self._shown:
            return
        self._shown = texts
        for name, label in self.values.items():
            write(label, texts.get(name, ""))
        for widget in (self._captions["boundary"], self.values["boundary"]):
            widget.setVisible(texts.get("boundary", "–") != "–")


def described(readings: Mapping[str, Any]) -> dict[str, str]:
    """The numbers of a fit as text, with as many digits as they are good for."""
    x, y = readings["tilt_deg"]
    error = readings["tilt_error_deg"]
    digits = _digits(error, 2)
    roundness = readings["roundness"]
    boundary = readings.get("boundary")
    return {
        "zone": _signed(_words(readings["zone"])),
        "tilt": _signed(f"{x:.{digits}f}°, {y:.{digits}f}°{_error(error, digits, '°')}"),
        "azimuth": _signed(f"{readings['azimuth_deg']:.2f}°"),
        "thickness": _with_error(readings["thickness_angstrom"], readings["thickness_error_angstrom"], " Å", 1),
        "roundness": _named(f"{roundness:g}", _SHAPES.get(roundness, "")),
        "spacings": _signed(f"{100 * (readings['lattice_scale'] - 1):+.2f} %"),
        "explained": f"{100 * readings['pattern_explained']:.0f} %",
        "reflections": f"{100 * readings['r_reflections']:.1f} %",
        "pattern": f"{100 * readings['r_pattern']:.1f} %",
        "image": f"{readings['image_correlation']:.3f}" if _is_known(readings["image_correlation"]) else "–",
        "boundary": "–" if not boundary else _shift(boundary),
    }


def others(readings: Mapping[str, Any] | None) -> str:
    """What else it might have been, orientations and zone axes, in a line each; empty if there is nothing."""
    if readings is None:
        return ""
    orientations = [
        f"{_words(rival['zone'])} at {rival['azimuth_deg']:.1f}°, R {100 * rival['r_reflections']:.1f} %"
        for rival in readings["rivals"][:_MOST_RIVALS]
    ]
    found = {tuple(readings["zone"]), tuple(-index for index in readings["zone"])}
    zones = [
        f"{_words(one['zone'])} ({one['score']:.2f})"
        for one in readings.get("zones", ())[: _MOST_RIVALS + 1]
        if tuple(one["zone"]) not in found
    ]
    lines = [
        f"{title}: {'; '.join(said)}"
        for title, said in (("Other orientations", orientations), ("Other zone axes by the spots (score)", zones))
        if said
    ]
    return _signed("\n".join(lines))


def headline(readings: Mapping[str, Any]) -> str:
    """The same in a sentence."""
    texts = described(readings)
    return f"tilt {texts['tilt']}; {texts['thickness']} thick; R {texts['pattern']} before phasing"


def _words(zone: Sequence[int]) -> str:
    return f"[{' '.join(map(str, zone))}]"


def _shift(boundary: Mapping[str, Any]) -> str:
    length = math.hypot(*boundary["shift_angstrom"])
    return _with_error(length, boundary.get("shift_error_angstrom"), " Å", 2)


def _is_known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _digits(error: float | None, usual: int) -> int:
    """Behind the point, so that an error has two digits at most."""
    if error is None or not math.isfinite(error) or error <= 0:
        return usual
    return max(0, min(usual, 1 - math.floor(math.log10(error))))


def _error(error: float | None, digits: int, unit: str) -> str:
    return f" ± {error:.{digits}f}{unit}" if error is not None and math.isfinite(error) else " (by hand)"


def _with_error(value: float, error: float | None, unit: str, usual: int) -> str:
    digits = _digits(error, usual)
    if error is not None and math.isfinite(error):
        return f"{value:.{digits}f}{_error(error, digits, unit)}"
    return f"{value:.{digits}f}{unit}{_error(error, digits, unit)}"


def _named(number: str, name: str) -> str:
    return f"{number} ({name})" if name else number


def _signed(text: str) -> str:
    return _NEGATIVE_ZERO.sub(r"\1", text).replace("-", "−")
