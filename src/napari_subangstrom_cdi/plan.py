"""The plan of a job: every choice as frozen data, to and from a TOML recipe."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BeforeValidator, TypeAdapter, ValidationError, with_config

from .core.ensemble import EnsembleSettings
from .core.schedule import Schedule
from .errors import InputError
from .io import Acquisition

Frame = int | Literal["sum"] | None
PRESETS = ("extend", "paper")
_UNKNOWN = "unknown"  # what a recipe says for None where that is not the default: TOML has no null


@with_config(extra="forbid")
@dataclass(frozen=True)
class Inputs:
    """Files, by path.

    Parameters
    ----------
    pattern : str
        Diffraction record with the particle.
    background : str
        Record without it; ``fit`` for a smooth background fitted to the pattern, ``none`` if the
        pattern is already background-subtracted.
    image : str, optional
        Low-resolution TEM image of the particle.
    support : str, optional
        Object support (non-zero inside), centred, on the pattern's array; needed without an image.
    mask : str, optional
        Pixels of the raw pattern not to be trusted (non-zero), e.g. a beam stop; they go to M.
    pattern_frame, background_frame, image_frame : int, 'sum' or None
        Which frame of a stack.
    """

    pattern: str
    background: str = "fit"
    image: str | None = None
    support: str | None = None
    mask: str | None = None
    pattern_frame: Frame = None
    background_frame: Frame = None
    image_frame: Frame = None


@with_config(extra="forbid")
@dataclass(frozen=True)
class PatternSettings:
    """From the raw records to the centred pattern.

    Parameters
    ----------
    binning : int, optional
        Raw pixels a side per binned pixel; None chooses the coarsest that still oversamples the
        particle well, down to arrays of 1,024.
    array_size : int, optional
        Side of the array, binned pixels; None for the record's own.
    remove_noise_between_spots : bool
        Keep only what an object of the support's size can scatter (its autocorrelation).
    known_spacings : tuple of (float, float)
        Radius in raw pixels and lattice spacing in Å of known reflections or rings; if given, they
        calibrate the reciprocal pixel by least squares and the camera length is not used.
    """

    binning: int | None = None
    array_size: int | None = None
    remove_noise_between_spots: bool = True
    known_spacings: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.binning is not None and not 1 <= self.binning <= 16:
            raise InputError(f"a binning of {self.binning}", where="pattern.binning", mend="give 1 to 16")
        if self.array_size is not None and (self.array_size % 2 or not 32 <= self.array_size <= 8192):
            raise InputError(
                f"an array of {self.array_size} pixels", where="pattern.array_size", mend="give an even 32 to 8192"
            )


@with_config(extra="forbid")
@dataclass(frozen=True)
class ImageSettings:
    """From the image to the potential on the pattern's grid.

    Parameters
    ----------
    potential : {'wiener', 'weak-phase'}
        Inversion of the contrast transfer, or the paper's (1 − I)/2.
    mirrored : bool, optional
        Whether image and pattern are mirror images; None tries both.
    """

    potential: Literal["wiener", "weak-phase"] = "wiener"
    mirrored: Annotated[bool | None, BeforeValidator(lambda value: None if value == _UNKNOWN else value)] = False


@with_config(extra="forbid")
@dataclass(frozen=True)
class SupportSettings:
    """Object support from the potential: smooth, threshold, fill, keep the largest, grow."""

    threshold: Literal["otsu", "li", "triangle"] | float = "li"
    smooth_angstrom: float = 2.0
    grow_angstrom: float = 1.0


@with_config(extra="forbid")
@dataclass(frozen=True)
class RegionSettings:
    """The reciprocal mask and what is demanded in it; see :mod:`.core.regions`."""

    noise_multiple: float = 3.0
    alpha: float = 0.3
    reading: Literal["methods", "upper-limit"] = "methods"
    beam_radius_per_angstrom: float = 0.012


@with_config(extra="forbid")
@dataclass(frozen=True)
class RetrievalSettings:
    """The preset that fills the schedule, or a schedule of one's own (then the preset is only a name)."""

    preset: str = "extend"
    schedule: Schedule = ()

    def __post_init__(self) -> None:
        if not self.schedule and self.preset not in PRESETS:
            raise InputError(
                f"unknown preset {self.preset!r}", mend=f"use one of {', '.join(PRESETS)}, or give a schedule"
            )


@with_config(extra="forbid")
@dataclass(frozen=True)
class Plan:
    """A whole job. Everything that changes its result is in here."""

    inputs: Inputs
    acquisition: Acquisition = field(default_factory=Acquisition)
    pattern: PatternSettings = field(default_factory=PatternSettings)
    image: ImageSettings = field(default_factory=ImageSettings)
    support: SupportSettings = field(default_factory=SupportSettings)
    regions: RegionSettings = field(default_factory=RegionSettings)
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    ensemble: EnsembleSettings = field(default_factory=EnsembleSettings)

    def to_toml(self) -> str:
        """The plan as a recipe."""
        table = {key: value for key, value in _as_table(self).items() if key != "acquisition"}
        table["acquisition"] = self.acquisition.to_dict()
        return tomli_w.dumps({name: value for name, value in table.items() if value != {}})


def preset_plan(preset: str, inputs: Inputs, acquisition: Acquisition, ensemble: EnsembleSettings) -> Plan:
    """A plan by preset.

    ``paper`` follows the Methods: the image as it is, (1 − I)/2, the pattern as recorded, members
    that differ in N alone. ``extend`` is the default; see docs/method.md for what differs and why.

    Raises
    ------
    InputError
        If there is no such preset.
    """
    if preset == "extend":
        return Plan(inputs, acquisition, retrieval=RetrievalSettings("extend"), ensemble=ensemble)
    if preset == "paper":
        return Plan(
            inputs,
            acquisition,
            pattern=PatternSettings(remove_noise_between_spots=False),
            image=ImageSettings("weak-phase"),
            retrieval=RetrievalSettings("paper"),
            ensemble=EnsembleSettings(
                ensemble.members, ensemble.seed, noise=0.05, spread=0.0, free_fraction=ensemble.free_fraction,
                reject_below=0.0,
            ),
        )  # fmt: skip
    raise InputError(f"unknown preset {preset!r}", where="--preset", mend=f"use one of {', '.join(PRESETS)}")


def read_recipe(path: Path) -> Plan:
    """Read a TOML recipe.

    Raises
    ------
    InputError
        If the file cannot be read, is no TOML, or a key or value in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as a text recipe ({error})", where=str(path)) from error
    return plan_from_toml(text, where=str(path))


def plan_from_toml(text: str, *, where: str) -> Plan:
    """The plan that :meth:`Plan.to_toml` wrote, or that a user edited.

    Raises
    ------
    InputError
        Naming the key at fault.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is no valid TOML: {error}", where=where) from error
    known = table.pop("acquisition", {})
    if not isinstance(known, dict):
        raise InputError("acquisition: input should be a table", where=where, mend="correct the recipe")
    acquisition = Acquisition.from_mapping(known, where=where)
    try:
        return _ADAPTER.validate_python({**table, "acquisition": acquisition})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("literal", "function")))
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{key}: {message[0].lower()}{message[1:]}", where=where, mend="correct the recipe") from error


def _as_table(value: Any) -> Any:
    """Dataclasses to tables, tuples to lists, None left out or named: what TOML can hold."""
    if is_dataclass(value):
        pairs = ((f, getattr(value, f.name)) for f in fields(value))
        given = {f.name: _UNKNOWN if item is None and f.default is not None else item for f, item in pairs}
        return {name: _as_table(item) for name, item in given.items() if item is not None and item != ()}
    if isinstance(value, tuple | list):
        return [_as_table(item) for item in value]
    return value


_ADAPTER: TypeAdapter[Plan] = TypeAdapter(Plan)
