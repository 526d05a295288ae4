"""Layers as the inputs of a job: which can be chosen, what they seem to be, and what they know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Literal

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.io import Acquisition, read_image, split_address
from napari_subangstrom_cdi.io.shown import in_words, placed, role_by
from napari_subangstrom_cdi.io.stack import StackInfo, describe, read_stack

Role = Literal["pattern", "background", "image", "support", "mask"]
ROLES: tuple[Role, ...] = ("pattern", "background", "image", "support", "mask")
PLACED = "placed"
"""In the metadata of a layer: it lies in reciprocal space where a calibration put it."""
RECORDS: tuple[Role, ...] = ("pattern", "background", "image")
"""Roles of which one frame of a stack may be chosen."""

_NAMELESS = re.compile(r"Image( \[\d+\])?")
# The first that is found in a name tells: a background pattern is a background, a particle image an image.
_WORDS: tuple[tuple[Role, frozenset[str]], ...] = (
    ("background", frozenset({"background", "bkg", "bg", "substrate", "blank"})),
    ("pattern", frozenset({"pattern", "diffraction", "diff", "saed", "nbed", "ned", "dp"})),
    ("image", frozenset({"image", "tem", "hrtem", "micrograph"})),
    ("pattern", frozenset({"particle", "record"})),
)
_ANGSTROM_IN = {"angstrom": 1.0, "nanometer": 10.0, "picometer": 0.01, "micrometer": 1e4, "meter": 1e10}
_PER_ANGSTROM_IN = {f"1 / {unit}": 1 / factor for unit, factor in _ANGSTROM_IN.items()}


def source_of(layer: Layer) -> str | NDArray[Any]:
    """The address that a layer was read from if it still holds just that, else the layer's pixels.

    Raises
    ------
    InputError
        If the layer is no image of one or more grey frames.
    """
    problem = _unusable(layer)
    if problem is not None:
        raise InputError(problem, where=layer.name, mend="choose the raw record, one image or a stack of them")
    named = layer.metadata.get("path") or layer.source.path
    if named and split_address(named)[0].is_file() and _holds(str(named), layer):
        return str(named)
    return np.asarray(layer.data)


def _unusable(layer: Layer) -> str | None:
    if getattr(layer, "rgb", False):
        return "the layer is a colour picture"
    if not isinstance(layer, Image | Labels):
        return f"the layer holds {type(layer).__name__.lower()}, no pixels"
    if layer.multiscale:
        return "the layer is a pyramid of several resolutions"
    if layer.ndim not in (2, 3):
        return f"the layer has {layer.ndim} axes"
    if 0 in layer.data.shape:
        return f"the layer is empty ({' × '.join(map(str, layer.data.shape))} pixels)"
    return None


def _holds(address: str, layer: Layer) -> bool:
    try:
        with collected_doubts():
            kept = read_image(address).data if layer.ndim == 2 else read_stack(address).data
        return bool(np.array_equal(kept, np.asarray(layer.data)))
    except InputError:
        return False


def is_record(layer: Layer) -> bool:
    """Whether a layer may be a pattern, background or image: grey pixels."""
    return isinstance(layer, Image) and not layer.rgb


def is_mask(layer: Layer) -> bool:
    """Whether a layer may be a mask: labels, or grey pixels."""
    return isinstance(layer, Labels) or is_record(layer)


def frames_of(layer: Layer) -> int:
    """Frames of a stack; 1 for an image."""
    return int(layer.data.shape[0]) if layer.ndim == 3 else 1


def frame_shape(layer: Layer) -> tuple[int, int]:
    """Shape (y, x) of a frame."""
    return int(layer.data.shape[-2]), int(layer.data.shape[-1])


def role_of(layer: Layer) -> Role | None:
    """What a layer says it is, or what its name says; None if that tells nothing."""
    stated = layer.metadata.get("role")
    if stated in ROLES:
        return stated
    if not is_record(layer) or _NAMELESS.fullmatch(layer.name):
        return None
    words = set(re.findall(r"[a-z]+", layer.name.lower()))
    return next((role for role, known in _WORDS if words & known), None)


def acquisition_of(layer: Layer) -> tuple[Acquisition, tuple[str, ...]]:
    """What a layer's metadata say of the acquisition, and what is to be doubted in it; all unknown if nothing."""
    stated = layer.metadata.get("acquisition")
    if not isinstance(stated, Mapping):
        return Acquisition(), ()
    with collected_doubts() as doubts:
        try:
            return Acquisition.from_mapping(stated, where=layer.name), tuple(doubts)
        except InputError as error:
            return Acquisition(), (f"the values in its metadata were not taken: {error}",)


def is_bare(layer: Layer) -> bool:
    """Whether a layer was read by napari's own reader, which knows no headers, and lies in pixels as it left it."""
    return (
        isinstance(layer, Image)
        and layer.source.reader_plugin == "napari"
        and bool(layer.source.path)
        and all(str(unit) == "pixel" for unit in layer.units)
        and bool(np.all(layer.scale == 1))
        and not np.any(layer.translate)
    )


def said_of(path: str) -> StackInfo | None:
    """What a file says by its header; None if it is no record."""
    with collected_doubts():
        try:
            return describe(path)
        except InputError:
            return None


def dress(layer: Layer, told: StackInfo) -> bool:
    """Give a layer what its file says: scale and units if it states a pixel, role and header; False if nothing."""
    header = told.header
    if tuple(layer.data.shape) != told.shape or not header.said:
        return False
    role = role_by(header)
    own = {"header": in_words(header), **({"role": role} if role is not None else {})}
    layer.metadata = {**own, **layer.metadata}
    if header.pixel is not None:
        for name, value in placed(told.shape, header.pixel).items():
            setattr(layer, name, value)
    return header.pixel is not None


def pixel_angstrom_of(layer: Layer) -> float | None:
    """Pixel of real space that a layer is drawn with; None if it is drawn in pixels or reciprocal units."""
    return _pixel_in(_ANGSTROM_IN, layer)


def reciprocal_pixel_of(layer: Layer) -> float | None:
    """Pixel of reciprocal space, Å⁻¹, that a layer came with; None if it is drawn otherwise, or was placed here."""
    return None if layer.metadata.get(PLACED) else _pixel_in(_PER_ANGSTROM_IN, layer)


def is_reciprocal(layer: Layer) -> bool:
    """Whether a layer is drawn in units of reciprocal space."""
    return str(layer.units[-1]) in _PER_ANGSTROM_IN


def put_in_per_angstrom(layer: Layer) -> None:
    """Draw a layer of reciprocal space where it is, but in Å⁻¹, as its canvas is."""
    factor = _PER_ANGSTROM_IN[str(layer.units[-1])]
    if factor != 1:
        frames = layer.ndim - 2
        layer.scale = (*layer.scale[:frames], *(layer.scale[frames:] * factor))
        layer.translate = (*layer.translate[:frames], *(layer.translate[frames:] * factor))
    layer.units = (*layer.units[:-2], "1/Å", "1/Å")


def _pixel_in(factors: Mapping[str, float], layer: Layer) -> float | None:
    scale, units = tuple(layer.scale)[-2:], tuple(layer.units)[-2:]
    factor = factors.get(str(units[-1]))
    if factor is None or units[0] != units[1] or abs(scale[0] - scale[1]) > 1e-6 * abs(scale[1]):
        return None
    return float(f"{float(scale[1]) * factor:.12g}")


def filled_in(known: Acquisition, other: Acquisition) -> dict[str, Any]:
    """What another acquisition knows that this one does not."""
    mine, theirs = ({f.name: getattr(a, f.name) for f in fields(Acquisition)} for a in (known, other))
    return {name: value for name, value in theirs.items() if value not in (None, "") and mine[name] in (None, "")}


def with_pixel_of(known: Acquisition, layer: Layer, role: Role) -> Acquisition:
    """An acquisition with the pixel that an image or a pattern is drawn with, where none is stated."""
    name = {"image": "image_pixel_angstrom", "pattern": "reciprocal_pixel_per_angstrom"}.get(role)
    pixel = pixel_angstrom_of(layer) if role == "image" else reciprocal_pixel_of(layer)
    if name is None or pixel is None or getattr(known, name) is not None:
        return known
    try:
        return replace(known, **{name: pixel})  # type: ignore[arg-type]
    except InputError:
        return known
