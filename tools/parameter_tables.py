"""Tables of the parameters for the documentation, from what their dataclasses declare."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, replace
from functools import partial
from typing import Any

from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings
from napari_subangstrom_cdi.core.phasing.constraints import CONSTRAINTS
from napari_subangstrom_cdi.core.phasing.registry import Registry, explained
from napari_subangstrom_cdi.core.phasing.updates import UPDATES
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.io.acquisition import Key, keys_by_field
from napari_subangstrom_cdi.job.plan import (
    Change,
    ImageSettings,
    ModelSettings,
    PatternSettings,
    RegionSettings,
    SupportSettings,
)
from napari_subangstrom_cdi.parameters import Declared, declared, picked
from napari_subangstrom_cdi.simulation.faults import FaultSettings
from napari_subangstrom_cdi.simulation.settings import MicroscopeSettings, ParticleSettings, Simulation

RECIPE = {
    "pattern": PatternSettings,
    "image": ImageSettings,
    "support": SupportSettings,
    "regions": RegionSettings,
    "model": ModelSettings,
    "ensemble": EnsembleSettings,
    "steering": Change,
}
"""Sections of a recipe with settings of their own."""


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def sections(of: dict[str, Any]) -> str:
    """Every parameter, by section: as a file names it, what may be given, and what it means."""
    head = ("key", "caption", "unit", "range", "default", "meaning")
    parts = []
    for name, settings in of.items():
        rows = (_row(known) for known in declared(settings).values())
        parts.append(f"### {name}\n\n{markdown(head, rows)}")
    return "\n".join(parts)


def _row(known: Declared) -> Sequence[str]:
    told = known.parameter
    return f"`{known.name}`", told.caption, told.unit, _range(known, in_a_file=True), _default(known), told.help


def acquisition() -> str:
    """What is known of the records: key in a file, possible and usual values."""
    head = ("row", "key in a file", "unit", "possible", "usual", "meaning", "empty")
    return markdown(head, _acquisition_rows())


def _acquisition_rows() -> Iterator[Sequence[str]]:
    for name, known in declared(Acquisition).items():
        keys = keys_by_field().get(name)
        parameter = known.parameter
        key = f"`{keys.shown.name if keys else name}`"
        possible, usual = ("", "") if keys is None else _possible(keys.shown)
        yield parameter.caption, key, parameter.unit, possible, usual, parameter.help, parameter.automatic


def _possible(key: Key) -> tuple[str, str]:
    (low, high), usual = key.possible, key.usual
    return f"{low:g} to {high:g}", f"{usual[0]:g} to {usual[1]:g}" if math.isfinite(usual[0]) else ""


def rows(*fields: tuple[Any, Sequence[str]]) -> str:
    """The rows of a dock's form: what may be given, and what it does."""
    found = []
    for settings, names in fields:
        for known in picked(settings, *names):
            caption = f"{known.parameter.caption}{' (Advanced)' if known.parameter.advanced else ''}"
            known = known if settings is not Change else replace(known, optional=False)
            found.append((caption, known.parameter.unit, _range(known), known.parameter.help))
    return markdown(("setting", "unit", "range", "what it does"), found)


def kinds(registry: Registry[Any], what: str) -> str:
    """Our own constraints, or update rules, with their parameters; not those of packages that happen to be there."""
    found = []
    for name in registry.names():
        cls: Any = registry.named(name)
        if cls.__module__.startswith("napari_subangstrom_cdi."):
            parameters = [
                (f"`{one.name}`", one.parameter.unit, _range(one), _default(one)) for one in declared(cls).values()
            ]
            found += [(name, explained(cls), *said) for said in parameters or [("",) * 4]]
    return markdown((what, "what it does", "parameter", "unit", "range", "default"), found)


def _range(known: Declared, *, in_a_file: bool = False) -> str:
    """The range without its unit, or what can be chosen: in words, or as a file has it."""
    choices = [value for value, _ in known.pairs() if value is not None]
    texts = [_raw(value) if in_a_file else known.shown(value) for value in choices] if known.kind != "text" else []
    bounds = known.parameter.range_in_words()
    if known.parameter.unit:
        bounds = bounds.replace(f" {known.parameter.unit}", "")
    left = [known.parameter.automatic] if known.optional else []
    if left and in_a_file:
        left = ["left out" if known.default is None else "`unknown`"]
    return ", or ".join(part for part in (", ".join(texts), bounds, *left) if part)


def _default(known: Declared) -> str:
    """As a file has it."""
    if known.default is MISSING or known.default in ("", ()):
        return ""
    if known.default is None:
        return f"left out: {known.parameter.automatic}"
    return _raw(known.default)


def _raw(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(f'{part:g}' for part in value)}]`"
    return f"`{value}`" if isinstance(value, str) else f"{value:.12g}"


TABLES: dict[str, Callable[[], str]] = {
    "parameters-recipe": partial(sections, RECIPE),
    "parameters-simulation": partial(
        sections,
        {"particle": ParticleSettings, "microscope": MicroscopeSettings, "seed": Simulation, "faults": FaultSettings},
    ),
    "parameters-acquisition": acquisition,
    "settings-background": partial(rows, (PatternSettings, ("binning", "array_size", "background_scale", "ellipse"))),
    "settings-align": partial(rows, (ImageSettings, ("potential", "mirrored"))),
    "settings-align-by-hand": partial(rows, (ImageSettings, ("rotation_deg", "pixel_angstrom"))),
    "settings-support": partial(rows, (SupportSettings, ("threshold", "smooth_angstrom", "grow_angstrom"))),
    "settings-regions": partial(
        rows,
        (RegionSettings, ("alpha", "noise_multiple", "reading", "beam_radius_per_angstrom")),
        (PatternSettings, ("remove_noise_between_spots",)),
    ),
    "settings-model": partial(rows, (ModelSettings, ("zone", "b_factor"))),
    "settings-model-by-hand": partial(rows, (ModelSettings, ("tilt_deg", "thickness_angstrom", "roundness"))),
    "constraints": partial(kinds, CONSTRAINTS, "constraint"),
    "updates": partial(kinds, UPDATES, "update"),
    "settings-phase": partial(rows, (EnsembleSettings, tuple(declared(EnsembleSettings)))),
    "settings-steering": partial(rows, (Change, ("alpha", "noise_multiple", "beta"))),
}
