"""What the microscopist knows of the records, as a form: empty where unknown, checked as it is typed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.io import Acquisition, read_acquisition
from napari_subangstrom_cdi.io.acquisition import keys_by_field
from napari_subangstrom_cdi.job.headers import Completed
from napari_subangstrom_cdi.job.plan import PatternSettings, Plan
from napari_subangstrom_cdi.job.preparation.load import is_corrected
from napari_subangstrom_cdi.parameters import Declared, declared

from .fields import FieldForm
from .style import StatusLine

_SPACINGS, _CENTRE = "known_spacings", "beam_centre_px"


_UNITS = {
    "A": "Å", "um": "µm", "μm": "µm", "keV": "kV", "deg": "°", "1/A": "Å⁻¹", "1/Å": "Å⁻¹", "A^-1": "Å⁻¹",
    "Å^-1": "Å⁻¹", "nm⁻¹": "1/nm", "nm^-1": "1/nm",
}  # fmt: skip
"""Other ways to write a unit."""
_WITH_UNIT = re.compile(r"([-+]?[\d.,]+(?:[eE][-+]?\d+)?)(?:\s*([^\d\s.,eE+-].*|eV)|\s+(1/.*))")


def _fields() -> list[Declared]:
    """The rows: text, so that they are as they were typed and may be empty, with what is usual in the help."""
    rows = []
    for known in (*declared(Acquisition).values(), declared(PatternSettings)[_SPACINGS]):
        parameter, unit = known.parameter, known.parameter.unit
        caption = f"{parameter.caption} ({unit})" if unit else parameter.caption
        low, high = keys_by_field()[known.name].shown.usual if known.name in keys_by_field() else (-math.inf, math.inf)
        usual = f" Usually {low:.12g} to {high:.12g} {unit}." if math.isfinite(low) else ""
        text = replace(known, kind="text", optional=True, length=None, default=None)
        rows.append(text.but(caption=caption, help=f"{parameter.help}{usual}", unit=""))
    return rows


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
        self.form = FieldForm(_fields())
        self.form.changed.connect(self._on_changed)
        self.form.given_back.connect(self._on_given_back)
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

    def show_known(self, plan: Plan, known: Completed, files: Completed) -> None:
        """Show the values in force and where they are from.

        What is being typed and is wrong stays until the value changes.

        Parameters
        ----------
        plan : Plan
            What the user states.
        known : Completed
            The same, filled from the files.
        files : Completed
            What the files say where the user states nothing.
        """
        texts = {name: _text(name, getattr(known.acquisition, name)) for name in declared(Acquisition)}
        texts[_SPACINGS] = ", ".join(f"{radius:.12g}:{d:.12g}" for radius, d in plan.pattern.known_spacings) or None
        self.form.set_values({name: text for name, text in texts.items() if self._shown.get(name, "") != text})
        self._shown = texts
        for name in texts.keys() - {_SPACINGS}:
            self._show_source(name, plan.acquisition, known, files)
        if plan.acquisition != self._acquisition:
            self._acquisition = plan.acquisition
            self._show_doubts()

    def _show_source(self, name: str, stated: Acquisition, known: Completed, files: Completed) -> None:
        """Say quietly where a value is from; of one that the user states, what the file says."""
        own, place = getattr(files.acquisition, name), files.said.get(name, "")
        if getattr(stated, name) is None and own is not None:
            self.form.set_note(name, f"from {_file_in(place)}", place)
        elif getattr(stated, name) is not None and own is not None:
            says = f"{_file_in(place)} says {_text(name, own)}"
            self.form.set_note(name, says, f"{place}. Press to take it instead of your own.", "take it")
        elif getattr(stated, name) is None and name in known.offers:
            self.form.set_note(name, with_labels(known.offers[name]))
        else:
            self.form.set_note(name, "")

    def _on_given_back(self, name: str) -> None:
        self.changed.emit("acquisition", {name: None})

    def show_needed(self, names: Sequence[str]) -> None:
        """Mark the rows whose values are still needed."""
        for name, known in declared(Acquisition).items():
            line = self.form.editor(name)
            line.setProperty("needed", name in names)
            line.setPlaceholderText("needed" if name in names else known.parameter.automatic)

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
                self.changed.emit("pattern", {name: PatternSettings(known_spacings=_spacings(text)).known_spacings})
            else:
                self.changed.emit("acquisition", {name: _checked(name, text)})
                if text is None:  # a file may know it
                    self.form.set_values({name: self._shown[name]})
        except InputError as error:
            self.form.set_error(name, _in_words(error))

    def _show_doubts(self) -> None:
        """What the acquisition's own checks find unusual."""
        with collected_doubts() as doubts:
            Acquisition.from_mapping(_as_file(self._acquisition))
        self.notes.show_message("\n".join(with_labels(text) for text in doubts), "warning")

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
)
_LIMIT = Missing(
    "the information limit", "to know how far the image can be trusted", ("information_limit_per_angstrom",)
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
    cs_mm = plan.acquisition.cs_mm
    if known["information_limit_per_angstrom"] is None and cs_mm is not None and is_corrected(cs_mm):
        found.append(_LIMIT)
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


def _file_in(place: str) -> str:
    """The file in the place of a value, which begins with it."""
    return place.partition(": ")[0]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _checked(name: str, text: str | None) -> Any:
    """The value of a field from what was typed; refused by the acquisition's own checks."""
    key, number = _CENTRE, None
    if name != _CENTRE:
        key = keys_by_field()[name].shown.name
    if text is not None:
        number = _pair(text) if name == _CENTRE else _in_unit(name, text)
    with collected_doubts():
        return getattr(Acquisition.from_mapping({key: number}), name)


def _text(name: str, number: Any) -> str | None:
    if number is None:
        return None
    if isinstance(number, tuple):
        return ", ".join(f"{part:.12g}" for part in number)
    return f"{number / keys_by_field()[name].shown.scale:.12g}"


def _in_unit(name: str, text: str) -> float:
    """A number, in the unit of its row unless another one stands behind it that leaves no doubt."""
    parts = _WITH_UNIT.fullmatch(text.strip().replace("−", "-"))
    if parts is None:
        return _number(text)
    written = parts[2] or parts[3]
    unit, own = _UNITS.get(written, written), declared(Acquisition)[name].parameter.unit
    factors = {**dict(keys_by_field()[name].shown.mistaken), own: 1.0}
    if unit not in factors:
        raise InputError(f"{written!r:.30} is no unit for it", mend=f"give it in {own}" if own else "give the number")
    return _number(parts[1]) * factors[unit]


def _number(text: str) -> float:
    plain = text.strip().replace("−", "-")
    if plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        return float(plain)
    except ValueError:
        raise InputError(f"{text.strip()!r:.30} is no number", mend="give a number") from None


def _pair(text: str) -> list[float]:
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
        pairs.append((_number(radius), _number(spacing)))
    return tuple(pairs)


def _as_file(acquisition: Acquisition) -> dict[str, Any]:
    """Under the keys that a user is shown: the energy in kV."""
    known = {field: (keys.shown, getattr(acquisition, field)) for field, keys in keys_by_field().items()}
    values: dict[str, Any] = {key.name: number / key.scale for key, number in known.values() if number is not None}
    return values | ({_CENTRE: list(acquisition.beam_centre_px)} if acquisition.beam_centre_px is not None else {})


def _in_words(error: InputError) -> str:
    return with_labels(f"{error.problem}; {error.mend}" if error.mend else error.problem)


def with_labels(text: str) -> str:
    """Keys of the file as the form calls them."""
    words = {keys.shown.name: declared(Acquisition)[name].parameter.caption for name, keys in keys_by_field().items()}
    words[_CENTRE] = declared(Acquisition)[_CENTRE].parameter.caption
    for key in sorted(words, key=len, reverse=True):
        text = text.replace(key, words[key])
    return text


def with_values(acquisition: Acquisition) -> dict[str, Any]:
    """All values of an acquisition, to be taken over at once."""
    return {field.name: getattr(acquisition, field.name) for field in fields(acquisition)}
