"""What the microscopist knows of the records, as a form: empty where unknown, checked as it is typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.io import Acquisition, read_acquisition
from napari_subangstrom_cdi.job.plan import Plan

from .fields import Field, FieldForm
from .style import StatusLine

_SPACINGS, _CENTRE = "known_spacings", "beam_centre_px"


@dataclass(frozen=True)
class _Value:
    """A value of the acquisition: its field, its key in a file, and how it is asked for."""

    name: str
    key: str
    label: str
    unit: str
    tooltip: str
    empty: str = "unknown"
    scale: float = 1.0

    def field(self) -> Field:
        label = f"{self.label} ({self.unit})" if self.unit else self.label
        return Field(self.name, label, "text", tooltip=self.tooltip, optional=True, auto_text=self.empty)


_MAIN = (
    _Value("energy_ev", "beam_energy_kV", "Beam energy E", "kV",
           "E₀, the accelerating voltage; from it follow the wavelength λ and the contrast transfer. "
           "Usually 60 to 300 kV.", scale=1e3),
    _Value("camera_length_mm", "camera_length_mm", "Camera length L", "mm",
           "Effective camera length of the pattern; with pixel and wavelength it gives Δq = p / (λ L). "
           "Usually 150 to 20000 mm."),
    _Value("detector_pixel_um", "detector_pixel_um", "Detector pixel p", "µm",
           "Pixel of the detector of the pattern, as recorded (after binning in the camera). Usually 2 to 400 µm."),
    _Value("reciprocal_pixel_per_angstrom", "reciprocal_pixel_per_A", "or pixel Δq", "Å⁻¹",
           "Pixel of the pattern in reciprocal space, q = 1/d. If given, it goes before camera length and "
           "detector pixel. Usually 0.00001 to 0.02 Å⁻¹.", empty="from camera length"),
    _Value("image_pixel_angstrom", "image_pixel_nominal_A", "Image pixel", "Å",
           "Nominal pixel of the TEM image; it is refined when the image is laid onto the pattern. "
           "Usually 0.05 to 5 Å."),
    _Value("cs_mm", "cs_mm", "Aberration Cs", "mm",
           "C₃ = Cs, spherical aberration of the objective lens. Usually −10 to 10 mm; about 1 without a corrector."),
    _Value("defocus_nm", "defocus_nm", "Defocus Δf", "nm",
           "Defocus of the image: negative is underfocus, in which atoms are dark near Scherzer's focus, "
           "about −60 nm at 200 kV."),
    _Value("information_limit_per_angstrom", "information_limit_per_A", "Information limit", "Å⁻¹",
           "Highest |q| = 1/d that the image transfers. Usually 0.05 to 2.5 Å⁻¹."),
    _Value("defocus_spread_nm", "defocus_spread_nm", "Defocus spread δ", "nm",
           "Standard deviation of the defocus (chromatic); it damps the contrast transfer. Usually 0 to 50 nm.",
           empty="none"),
    _Value("image_to_pattern_rotation_deg", "image_to_pattern_rotation_deg", "Rotation φ", "°",
           "Nominal rotation that brings the image's axes onto the pattern's, from +x towards +y with y down. "
           "Without it every angle is tried. −360 to 360°.", empty="any"),
)  # fmt: skip
_ADVANCED = (
    _Value("counts_per_electron", "counts_per_electron", "Gain", "counts/e⁻",
           "Counts that one electron gives in the pattern.", empty="1"),
    _Value("offset_counts", "offset_counts", "Offset", "counts", "Counts of a pixel that received nothing.",
           empty="estimated"),
    _Value("dark_noise_electrons", "dark_noise_electrons", "Dark noise", "e⁻",
           "Standard deviation of a pixel without a beam, in electrons.", empty="0"),
    _Value("saturation_counts", "saturation_counts", "Saturation", "counts",
           "Counts at and above which a pixel is saturated.", empty="found"),
    _Value(_CENTRE, "beam_centre_px", "Beam hint y, x", "px",
           "Roughly where the beam is in the raw pattern, relative to its middle, such as 3.5, -2; "
           "the search for it starts there.", empty="middle"),
)  # fmt: skip
_VALUES = {value.name: value for value in (*_MAIN, *_ADVANCED)}
_KNOWN_SPACINGS = Field(
    _SPACINGS,
    "Known spacings (px:Å)",
    "text",
    tooltip="Radius in raw pixels and lattice spacing in Å of reflections or rings that are known, such as "
    "223.5:3.58, 365:2.19. They calibrate Δq, and the camera length is not used.",
    optional=True,
    auto_text="none",
)


class AcquisitionForm(QWidget):
    """Rows for the plan's acquisition and known spacings.

    Signals
    -------
    changed : str, dict
        Section of the plan and its new values, checked, after an edit of the user's.
    loaded : Acquisition, str
        From a file, and what to say about it.
    """

    changed = Signal(str, object)
    loaded = Signal(object, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._acquisition = Acquisition()
        self._shown: dict[str, str | None] = {}
        advanced = [*(value.field() for value in _ADVANCED), _KNOWN_SPACINGS]
        self.form = FieldForm([value.field() for value in _MAIN], advanced=advanced)
        self.form.changed.connect(self._on_changed)
        self.notes = StatusLine()
        self.notes.setObjectName("acquisition-notes")
        self.load_button = QPushButton("Load acquisition file…")
        self.load_button.setObjectName("load-acquisition")
        self.load_button.setToolTip("A JSON or TOML file with keys such as beam_energy_kV")
        self.load_button.clicked.connect(self._ask)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.load_button)
        layout.addWidget(self.form)
        layout.addWidget(self.notes)

    def show_plan(self, plan: Plan) -> None:
        """Show the values of a plan; what is being typed and is wrong stays until the plan's value changes."""
        texts = {name: _text(value, getattr(plan.acquisition, name)) for name, value in _VALUES.items()}
        texts[_SPACINGS] = ", ".join(f"{radius:.12g}:{d:.12g}" for radius, d in plan.pattern.known_spacings) or None
        self.form.set_values({name: text for name, text in texts.items() if self._shown.get(name, "") != text})
        self._shown = texts
        if plan.acquisition != self._acquisition:
            self._acquisition = plan.acquisition
            self._show_doubts()

    def show_needed(self, names: Sequence[str]) -> None:
        """Mark the rows whose values are still needed."""
        for name in _VALUES:
            line = self.form.editor(name)
            line.setProperty("needed", name in names)
            line.setPlaceholderText("needed" if name in names else _VALUES[name].empty)

    def show_found(self, offset_counts: float | None) -> None:
        """Say what was estimated for values that were left open."""
        if offset_counts is not None and self._acquisition.offset_counts is None:
            self.form.editor("offset_counts").setPlaceholderText(f"estimated ({offset_counts:.2f})")

    def read(self, path: str) -> None:
        """Take over a file; says why if it cannot be."""
        with collected_doubts() as doubts:
            try:
                found = read_acquisition(path)
            except InputError as error:
                self.notes.show_message(str(error), "error")
                return
        self.loaded.emit(found, "\n".join((f"read {Path(path).name}", *doubts)))
        if doubts:
            self.notes.show_message("\n".join(doubts), "warning")

    def _on_changed(self, name: str, text: str | None) -> None:
        try:
            if name == _SPACINGS:
                self.changed.emit("pattern", {name: _spacings(text)})
            else:
                self.changed.emit("acquisition", {name: self._checked(name, text)})
        except InputError as error:
            self.form.set_error(name, _in_words(error))

    def _checked(self, name: str, text: str | None) -> Any:
        """The value of a field; refused by the acquisition's own checks."""
        value = _VALUES[name]
        number: Any = None
        if text is not None:
            number = _numbers(text) if name == _CENTRE else _number(text)
        with collected_doubts():
            checked = Acquisition.from_mapping({value.key: number})
        return getattr(checked, name)

    def _show_doubts(self) -> None:
        """What the acquisition's own checks find unusual."""
        with collected_doubts() as doubts:
            Acquisition.from_mapping(_as_file(self._acquisition))
        self.notes.show_message("\n".join(_with_labels(text) for text in doubts), "warning")

    def _ask(self) -> None:
        dialog = QFileDialog(self, "Load acquisition file", "", "Acquisition (*.json *.toml);;All files (*)")
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self.read)
        dialog.open()


@dataclass(frozen=True)
class Missing:
    """A value that is needed: in words, what for, and the rows that can give it."""

    what: str
    purpose: str
    fields: tuple[str, ...] = ()


_FOR_IMAGE = (
    ("image_pixel_angstrom", "the image pixel", "to know the particle's size"),
    ("energy_ev", "the beam energy", "for the wavelength"),
    ("cs_mm", "Cs", "to invert the contrast transfer of the image"),
    ("defocus_nm", "the defocus", "to invert the contrast transfer of the image"),
    ("information_limit_per_angstrom", "the information limit", "to know how far the image can be trusted"),
)
_FOR_CALIBRATION = {
    "camera_length_mm": "the camera length",
    "detector_pixel_um": "the detector pixel",
    "energy_ev": "the beam energy",
}


def missing(plan: Plan) -> list[Missing]:
    """What the Data step still needs, the inputs first."""
    found, known = [], asdict(plan.acquisition)
    if not plan.inputs.pattern:
        found.append(Missing("the pattern", "the diffraction record of the particle"))
    if plan.inputs.image is None and plan.inputs.support is None:
        found.append(Missing("an image or a support mask", "to know the particle's outline"))
    if plan.inputs.image is None:
        return found
    found += [Missing(what, why, (name,)) for name, what, why in _FOR_IMAGE if known[name] is None]
    if known["reciprocal_pixel_per_angstrom"] is None and not plan.pattern.known_spacings:
        found += [
            Missing(what, "to calibrate the pattern (or give Δq, or known spacings)", (name,))
            for name, what in _FOR_CALIBRATION.items()
            if known[name] is None and not any(name in other.fields for other in found)
        ]
    return found


def in_words(needed: Sequence[Missing]) -> str:
    """The same as a sentence, each purpose said once."""
    by_purpose: dict[str, list[str]] = {}
    for item in needed:
        by_purpose.setdefault(item.purpose, []).append(item.what)
    parts = [f"{_listed(names)}, {purpose}" for purpose, names in by_purpose.items()]
    return "Still needed: " + "; ".join(parts) + "." if parts else ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _text(value: _Value, number: Any) -> str | None:
    if number is None:
        return None
    if isinstance(number, tuple):
        return ", ".join(f"{part:.12g}" for part in number)
    return f"{number / value.scale:.12g}"


def _number(text: str) -> float:
    plain = text.strip().replace("−", "-")
    if plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        return float(plain)
    except ValueError:
        raise InputError(f"{text.strip()!r:.30} is no number", mend="give the bare number, without its unit") from None


def _numbers(text: str) -> list[float]:
    parts = text.replace(";", ",").split(",")
    if len(parts) != 2:
        raise InputError(f"{text.strip()!r:.30} is no pair y, x", mend="give two numbers, such as 3.5, -2")
    return [_number(part) for part in parts]


def _spacings(text: str | None) -> tuple[tuple[float, float], ...]:
    pairs = []
    for part in (text or "").replace(";", ",").split(","):
        if not part.strip():
            continue
        radius, colon, spacing = part.partition(":")
        if not colon:
            raise InputError(f"{part.strip()!r:.30} has no colon", mend="write radius in px : spacing in Å")
        pair = (_number(radius), _number(spacing))
        if not (0 < pair[0] < 1e6 and 0 < pair[1] < 1e3):
            raise InputError(f"{part.strip()!r:.30} is impossible", mend="give a radius in px and a spacing in Å")
        pairs.append(pair)
    return tuple(pairs)


def _as_file(acquisition: Acquisition) -> dict[str, Any]:
    """Under the keys that a user is shown: the energy in kV."""
    values: dict[str, Any] = {}
    for name, value in _VALUES.items():
        number = getattr(acquisition, name)
        if number is not None:
            values[value.key] = list(number) if isinstance(number, tuple) else number / value.scale
    return values


def _in_words(error: InputError) -> str:
    return _with_labels(f"{error.problem}; {error.mend}" if error.mend else error.problem)


def _with_labels(text: str) -> str:
    """Keys of the file as the form calls them."""
    for value in sorted(_VALUES.values(), key=lambda value: -len(value.key)):
        text = text.replace(value.key, value.label)
    return text


def with_values(acquisition: Acquisition) -> dict[str, Any]:
    """All values of an acquisition, to be taken over at once."""
    return {field.name: getattr(acquisition, field.name) for field in fields(acquisition)}
