"""The plan of a job: every choice as frozen data, to and from a TOML recipe."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import BeforeValidator, GetPydanticSchema, TypeAdapter, ValidationError, with_config
from pydantic_core import core_schema

from napari_subangstrom_cdi.core.crystal.cif import is_cif
from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings
from napari_subangstrom_cdi.core.phasing.regions import ALPHA, NOISE_MULTIPLE, Alpha, NoiseMultiple, Reading
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.core.phasing.updates import Beta
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.io._common import decoded
from napari_subangstrom_cdi.io.image import address_of, split_address
from napari_subangstrom_cdi.io.mask_text import PackedMask
from napari_subangstrom_cdi.parameters import Parameter, check, wrong_key

from .recipe_stages import RecipeStage, stage_table

Frame = int | Literal["sum"] | None
PRESETS = ("extend", "paper")
"""Presets that need no more than the records."""
ALL_PRESETS = (*PRESETS, "model")
Ellipse = Literal["measured", "crystal", "stated", "off"]
ELLIPSES: tuple[Ellipse, ...] = get_args(Ellipse)
"""What the pattern's elliptical distortion can be taken from."""
FILE_ROLES = ("pattern", "background", "image", "support", "mask", "crystal")
"""Inputs that may be a file."""
PaintedMask = Annotated[
    PackedMask,
    GetPydanticSchema(lambda _, __: core_schema.no_info_after_validator_function(PackedMask, core_schema.str_schema())),
]
"""A mask painted by hand, on the pattern's array: in a recipe one line of text."""
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
    crystal : str, optional
        Name of a built-in crystal, or a CIF; for the preset ``model``.
    """

    pattern: str
    background: str = "fit"
    image: str | None = None
    support: str | None = None
    mask: str | None = None
    pattern_frame: Frame = None
    background_frame: Frame = None
    image_frame: Frame = None
    crystal: str | None = None


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
    ellipse : {'measured', 'crystal', 'stated', 'off'}
        What the pattern's elliptical distortion is taken from: the image and the record itself, the plan's crystal on
        its zone as well, only what the acquisition states, or nothing. What is stated goes before what is measured.
    beam_centre_px : (float, float), optional
        The beam as set by hand, (y, x) in raw pixels relative to the array's centre; None finds it.
    background_scale : float, optional
        Factor on the background record, set by hand; None fits it.
    find_beam_stop : bool
        Look for a beam stop, its arm and penumbra in the pattern, and send them to M.
    stop_added, stop_removed : PackedMask, optional
        What was painted onto the beam stop that is found, and erased from it, in pixels of the raw pattern.
    """

    binning: Annotated[
        int | None,
        Parameter(
            "Binning",
            "Raw pixels a side that are added up to one. The coarsest that still oversamples the particle well is the "
            "fastest.",
            unit="px",
            low=1,
            high=16,
        ),
    ] = None
    array_size: Annotated[
        int | None,
        Parameter(
            "Array size",
            "Side n of the array that the pattern is laid into, binned pixels, even. Less cuts the pattern's rim off.",
            unit="px",
            low=32,
            high=8192,
            step=2,
        ),
    ] = None
    remove_noise_between_spots: Annotated[
        bool,
        Parameter(
            "Noise filter",
            "Remove the noise between spots: keep only what an object of the support's size can scatter.",
            advanced=True,
        ),
    ] = True
    known_spacings: Annotated[
        tuple[tuple[float, float], ...],
        Parameter(
            "Known spacings (px:Å)",
            "Radius in raw pixels and lattice spacing in Å of reflections or rings that are known, such as "
            "223.5:3.58, 365:2.19. They calibrate Δq, and the camera length is not used.",
            automatic="none",
            advanced=True,
        ),
    ] = ()
    ellipse: Annotated[
        Ellipse,
        Parameter(
            "Ellipse",
            "The lenses' elliptical distortion of the pattern is undone as it is measured, by the image and by the "
            "substrate's spots, or by the crystal of the model too; or as the acquisition states it only; or not.",
            words=(
                ("measured", "measured"),
                ("crystal", "by the crystal too"),
                ("stated", "as stated"),
                ("off", "left as it is"),
            ),
        ),
    ] = "measured"
    beam_centre_px: Annotated[
        tuple[float, float] | None,
        Parameter(
            "Beam centre",
            "The beam as set by hand, y and x from the middle of the raw pattern.",
            unit="px",
            low=-1e5,
            high=1e5,
            step=0.1,
            decimals=2,
        ),
    ] = None
    background_scale: Annotated[
        float | None,
        Parameter(
            "Background scale",
            "Factor on the background record before it is subtracted; differs from 1 if the exposures differ.",
            low=0,
            below=100,
            step=0.01,
        ),
    ] = None
    find_beam_stop: Annotated[
        bool,
        Parameter(
            "Find a beam stop",
            "Look for the shade of a beam stop and its arm in the pattern and leave it out, as a mask does: it goes to "
            "region M. Without, only a mask tells.",
            advanced=True,
        ),
    ] = True
    stop_added: PaintedMask | None = None
    stop_removed: PaintedMask | None = None

    def __post_init__(self) -> None:
        check(self, "pattern")
        _pack(self, "stop_added", "stop_removed")
        if self.array_size is not None and self.array_size % 2:
            raise InputError(
                f"an array of {self.array_size} pixels", where="pattern.array_size", mend="give an even number"
            )
        for radius, spacing in self.known_spacings:
            if not (0 < radius < 1e6 and 0 < spacing < 1e3):
                raise InputError(
                    f"{radius:g}:{spacing:g} is impossible",
                    where="pattern.known_spacings",
                    mend="give a radius in px and a spacing in Å",
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
    rotation_deg, pixel_angstrom : float, optional
        Rotation onto the pattern and pixel of the image as set by hand, both or neither; None finds them.
    particle_px : (float, float), optional
        Where the particle is in the image, (y, x) in pixels; None takes the one that fits the pattern.
    """

    potential: Annotated[
        Literal["wiener", "weak-phase"],
        Parameter(
            "Potential",
            "How the contrast of the image becomes a potential: by inverting the contrast transfer, or the paper's "
            "(1 − I)/2, which takes the image as it is.",
            words=(("wiener", "Wiener inversion"), ("weak-phase", "(1 − I)/2")),
        ),
    ] = "wiener"
    mirrored: Annotated[
        bool | None,
        BeforeValidator(lambda value: None if value == _UNKNOWN else value),
        Parameter(
            "Mirrored",
            "Whether image and pattern are mirror images of each other, as they may be after scanning or an odd "
            "number of reflections. Set by hand it is told below.",
            words=((False, "no"), (True, "yes"), (None, "try both")),
            automatic="try both",
        ),
    ] = False
    rotation_deg: Annotated[
        float | None,
        Parameter(
            "Rotation φ",
            "From the image's axes to the pattern's, clockwise on the screen.",
            unit="°",
            low=-360,
            high=360,
            step=0.02,
            decimals=3,
        ),
    ] = None
    pixel_angstrom: Annotated[
        float | None,
        Parameter("Image pixel", "Pixel of the image.", unit="Å", above=0, below=100, step=0.0001, decimals=5),
    ] = None
    particle_px: Annotated[
        tuple[float, float] | None,
        Parameter(
            "Particle",
            "Where the particle is that the pattern is of: y and x of a point on it, in pixels of the image from its "
            "first one. Without it the particle is taken whose spectrum fits the pattern.",
            unit="px",
            low=0,
            high=1e5,
            step=1,
            decimals=0,
            automatic="by the pattern",
        ),
    ] = None

    def __post_init__(self) -> None:
        check(self, "image")
        if (self.rotation_deg is None) != (self.pixel_angstrom is None):
            raise InputError(
                "rotation and pixel of the image are set by hand together",
                where="image",
                mend="give both rotation_deg and pixel_angstrom, or neither",
            )


@with_config(extra="forbid")
@dataclass(frozen=True)
class SupportSettings:
    """Object support from the potential: smooth, threshold, fill, keep the largest, grow, then what was painted.

    Parameters
    ----------
    threshold : {'otsu', 'li', 'triangle'} or float
        Rule that splits the envelope, or a fraction of its highest value.
    smooth_angstrom, grow_angstrom : float
        Standard deviation of the smoothing; dilation at the end (negative erodes).
    added, removed : PackedMask, optional
        Masks painted by hand, on the pattern's array.
    """

    threshold: Annotated[
        Literal["otsu", "li", "triangle"] | float,
        Parameter(
            "Threshold",
            "Rule that splits the smoothed potential into particle and vacuum, or a level set by hand: a fraction of "
            "the highest value, above which the particle lies.",
            above=0,
            below=1,
            step=0.005,
            decimals=3,
            reach=(0.02, 0.98),
            words=(("li", "Li"), ("otsu", "Otsu"), ("triangle", "triangle")),
        ),
    ] = "li"
    smooth_angstrom: Annotated[
        float,
        Parameter(
            "Smoothing",
            "Standard deviation of the smoothing before the threshold; about one lattice spacing.",
            unit="Å",
            low=0,
            high=1000,
            step=0.1,
            decimals=2,
            reach=(0.5, 8),
        ),
    ] = 2.0
    grow_angstrom: Annotated[
        float,
        Parameter(
            "Growth",
            "How far the support is grown beyond the threshold; negative shrinks it.",
            unit="Å",
            low=-1000,
            high=1000,
            step=0.1,
            decimals=2,
            reach=(-10, 20),
        ),
    ] = 1.0
    added: PaintedMask | None = None
    removed: PaintedMask | None = None

    def __post_init__(self) -> None:
        check(self, "support")
        _pack(self, "added", "removed")


@with_config(extra="forbid")
@dataclass(frozen=True)
class RegionSettings:
    """The reciprocal mask and what is demanded in it; see :mod:`.core.phasing.regions`.

    Parameters
    ----------
    noise_multiple : float
        G is where the intensity exceeds this many σ of the background: the paper's 3.
    alpha : float
        The paper's α: the share of an amplitude in B that is kept.
    reading : {'methods', 'upper-limit'}
        Whether B fixes amplitudes or limits them.
    beam_radius_per_angstrom : float
        Radius of the direct beam, which goes to M.
    excluded : PackedMask, optional
        Pixels sent to M by hand, on the pattern's array.
    """

    noise_multiple: NoiseMultiple = NOISE_MULTIPLE
    alpha: Alpha = ALPHA
    reading: Reading = "methods"
    beam_radius_per_angstrom: Annotated[
        float,
        Parameter(
            "Beam radius",
            "Radius of the direct beam, which is not recorded well and goes to region M.",
            unit="Å⁻¹",
            low=0,
            high=5,
            step=0.001,
            advanced=True,
        ),
    ] = 0.012
    excluded: PaintedMask | None = None

    def __post_init__(self) -> None:
        check(self, "regions")
        _pack(self, "excluded")


@with_config(extra="forbid")
@dataclass(frozen=True)
class ModelSettings:
    """A model of the crystal as the start; see :mod:`.core.fit.model_fit`.

    Parameters
    ----------
    use : bool
        Whether members start from the model; the preset ``model`` says so.
    zone : str
        Zone axis along the beam, three indices or four.
    b_factor : float
        Debye-Waller factor of all atoms, Å².
    tilt_deg : (float, float), optional
        Rotation vector about x and y as set by hand, degrees; None fits it.
    thickness_angstrom : float, optional
        Where the particle is thickest, as set by hand; None fits it.
    roundness : float, optional
        0 for a prism to 0.5 for an ellipsoid, as set by hand; None fits it.
    """

    use: Annotated[
        bool,
        Parameter(
            "Start the members from this model",
            "The preset “model”: each member starts from the model's object with a little noise.",
        ),
    ] = False
    zone: Annotated[
        str,
        Parameter(
            "Zone axis",
            "Of the crystal, along the beam: three indices such as 1 1 2, four such as 0 0 0 1, or auto to take the "
            "one whose lattice the spots have. Which way it points is found.",
        ),
    ] = ""
    b_factor: Annotated[
        float,
        Parameter(
            "B factor",
            "Debye-Waller factor B = 8π²⟨u²⟩ of all atoms. A further fall-off with |q| is fitted.",
            unit="Å²",
            low=0,
            below=100,
            step=0.1,
            decimals=2,
        ),
    ] = 0.8
    tilt_deg: Annotated[
        tuple[float, float] | None,
        Parameter(
            "Tilt",
            "Rotation of the crystal about x and y, out of the zone axis, as set by hand.",
            unit="°",
            low=-10,
            high=10,
            step=0.02,
            decimals=3,
            reach=(-2, 2),
        ),
    ] = None
    thickness_angstrom: Annotated[
        float | None,
        Parameter(
            "Thickness",
            "Where the particle is thickest.",
            unit="Å",
            low=2,
            high=2000,
            step=0.5,
            decimals=1,
            reach=(2, 200),
        ),
    ] = None
    roundness: Annotated[
        float | None,
        Parameter(
            "Shape",
            "How the particle thins towards its edge: 0 for a prism to 0.5 for an ellipsoid.",
            low=0,
            high=1,
            words=((0.0, "prism"), (0.25, "rounded"), (0.5, "ellipsoid")),
        ),
    ] = None

    def __post_init__(self) -> None:
        check(self, "model")


@with_config(extra="forbid")
@dataclass(frozen=True)
class RetrievalSettings:
    """The preset that fills the schedule, or a schedule of one's own (then the preset is only a name)."""

    preset: str = "extend"
    schedule: tuple[RecipeStage, ...] = ()

    def __post_init__(self) -> None:
        if not self.schedule and self.preset not in ALL_PRESETS:
            raise InputError(
                f"unknown preset {self.preset!r}", mend=f"use one of {', '.join(ALL_PRESETS)}, or give a schedule"
            )


@with_config(extra="forbid")
@dataclass(frozen=True)
class Change:
    """What was changed while a run went on; None is as before.

    Parameters
    ----------
    member, iteration : int
        The change is in force from the iteration of this member that follows so many, and ever after.
    alpha, noise_multiple, beta : float, optional
        As in :class:`RegionSettings` and :class:`~.core.phasing.schedule.Stage`.
    support : PackedMask, optional
        The whole support.
    excluded : PackedMask, optional
        Pixels sent to M by hand; empty for none.
    """

    member: Annotated[int, Parameter("Member", "In which the change was made, counted from 0.", low=0)]
    iteration: Annotated[int, Parameter("Iteration", "After which it is in force.", low=0)]
    alpha: Alpha | None = None
    noise_multiple: NoiseMultiple | None = None
    beta: Beta | None = None
    support: PaintedMask | None = None
    excluded: PaintedMask | None = None

    def __post_init__(self) -> None:
        check(self, "steering")
        _pack(self, "support", "excluded")


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
    steering: tuple[Change, ...] = ()
    model: ModelSettings = field(default_factory=ModelSettings)

    def to_toml(self) -> str:
        """The plan as a recipe."""
        table = {key: value for key, value in _as_table(self).items() if key != "acquisition"}
        table["acquisition"] = self.acquisition.to_dict()
        return tomli_w.dumps({name: value for name, value in table.items() if value != {}})


def preset_plan(preset: str, inputs: Inputs, acquisition: Acquisition, ensemble: EnsembleSettings) -> Plan:
    """A plan by preset.

    ``paper`` follows the Methods: the image as it is, (1 − I)/2, the pattern as recorded, members
    that differ in N alone. ``extend`` is the default; see docs/method.md for what differs and why. ``model``
    starts from a known crystal, which ``inputs.crystal`` and ``model.zone`` name.

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
    if preset == "model":
        return Plan(
            inputs,
            acquisition,
            model=ModelSettings(use=True),
            retrieval=RetrievalSettings("model"),
            ensemble=EnsembleSettings(
                ensemble.members, ensemble.seed, noise=0.02, spread=0.0, free_fraction=ensemble.free_fraction
            ),
        )
    raise InputError(f"unknown preset {preset!r}", where="--preset", mend=f"use one of {', '.join(ALL_PRESETS)}")


def with_preset(plan: Plan, preset: str) -> Plan:
    """A plan with a preset's settings, and everything that was set by hand as it was.

    Raises
    ------
    InputError
        If there is no such preset.
    """
    ensemble = EnsembleSettings(plan.ensemble.members, plan.ensemble.seed, free_fraction=plan.ensemble.free_fraction)
    fresh = preset_plan(preset, plan.inputs, plan.acquisition, ensemble)
    keep = fresh.pattern.remove_noise_between_spots
    return replace(
        plan,
        pattern=replace(plan.pattern, remove_noise_between_spots=keep),
        image=replace(plan.image, potential=fresh.image.potential),
        model=replace(plan.model, use=fresh.model.use),
        retrieval=fresh.retrieval,
        ensemble=fresh.ensemble,
    )


def _pack(settings: Any, *names: str) -> None:
    """Let masks that a script gives as plain text know their pixels, as those of a recipe do."""
    for name in names:
        text = getattr(settings, name)
        if text is not None and not isinstance(text, PackedMask):
            object.__setattr__(settings, name, PackedMask(text))


def named_files(inputs: Inputs) -> dict[str, str]:
    """The inputs that are files, by role, as ``FILE`` or ``FILE::DATASET``.

    Neither the words of a background nor the name of a crystal are among them.
    """
    given = {role: getattr(inputs, role) for role in FILE_ROLES}
    if given["background"] in ("fit", "none"):
        del given["background"]
    if given["crystal"] is not None and not is_cif(given["crystal"]):
        del given["crystal"]
    return {role: path for role, path in given.items() if path}


def paths_of(inputs: Inputs) -> dict[str, Path]:
    """The files alone, by role."""
    return {role: split_address(address)[0] for role, address in named_files(inputs).items()}


def with_paths(inputs: Inputs, paths: Mapping[str, Path]) -> Inputs:
    """The same inputs with the files of some roles at other places; which dataset of a file is meant stays."""
    named = named_files(inputs)
    datasets = {role: split_address(named[role])[1] for role in paths if role in named}
    moved: dict[str, Any] = {role: address_of(path, datasets.get(role)) for role, path in paths.items()}
    return replace(inputs, **moved)


def read_recipe(path: Path) -> Plan:
    """Read a TOML recipe.

    Raises
    ------
    InputError
        If the file cannot be read, is no TOML, or a key or value in it is wrong.
    """
    try:
        text = decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"cannot be read as a text recipe ({error})", where=str(path)) from error
    except InputError as error:
        raise InputError(
            f"cannot be read as a text recipe: {error.problem}", where=str(path), mend=error.mend
        ) from error
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
        raise wrong_key(error, where=where, mend="correct the recipe") from error


def _as_table(value: Any) -> Any:
    """Dataclasses to tables, tuples to lists, None left out or named: what TOML can hold."""
    if isinstance(value, Stage):
        return stage_table(value)
    if is_dataclass(value):
        pairs = ((f, getattr(value, f.name)) for f in fields(value))
        given = {f.name: _UNKNOWN if item is None and f.default is not None else item for f, item in pairs}
        return {name: _as_table(item) for name, item in given.items() if item is not None and item != ()}
    if isinstance(value, tuple | list):
        return [_as_table(item) for item in value]
    return value


_ADAPTER: TypeAdapter[Plan] = TypeAdapter(Plan)
