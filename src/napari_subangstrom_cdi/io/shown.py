"""What a file says, as a viewer of layers wants it: a place with units, and words."""

from __future__ import annotations

from typing import Any

from .header import Header, Pixel, Role


def placed(shape: tuple[int, ...], pixel: Pixel | None) -> dict[str, Any]:
    """Scale, units and axis labels of a layer, and where it lies.

    Real space lies with a corner at the origin, as napari puts every image; reciprocal space about its middle,
    element ``n // 2``, as patterns do.

    Parameters
    ----------
    shape : tuple of int
        (y, x) or (frame, y, x).
    pixel : Pixel or None
        Of real or reciprocal space; without one the unit is ``pixel``.
    """
    frames = len(shape) - 2
    size, unit = ((1.0, 1.0), "pixel") if pixel is None else (pixel.size, pixel.unit)
    axes = ("y", "x") if unit != "1/Å" else ("qy", "qx")
    place = {
        "scale": (1.0,) * frames + tuple(size),
        "units": ("pixel",) * frames + (unit, unit),
        "axis_labels": ("frame",) * frames + axes,
    }
    if unit == "1/Å":
        middle = tuple(-(n // 2) * step for n, step in zip(shape[-2:], size, strict=True))
        place["translate"] = (0.0,) * frames + middle
    return place


def role_by(header: Header) -> Role | None:
    """What a record is by its header: as the microscope's mode says, or a pattern by a pixel of reciprocal space."""
    if header.role is not None:
        return header.role
    return "pattern" if header.pixel is not None and header.pixel.unit == "1/Å" else None


def in_words(header: Header) -> dict[str, str]:
    """Every value that a file states, with its place in the file."""
    words = {name: _with_place(_written(value), header.said.get(name)) for name, value in header.stated().items()}
    if "mask" in header.said:
        words["mask"] = _with_place("yes", header.said["mask"])
    doubts = header.all_doubts()
    return words | ({"doubts": "; ".join(doubts)} if doubts else {})


def _with_place(text: str, place: str | None) -> str:
    return f"{text}  [{place}]" if place else text


def _written(value: Any) -> str:
    if isinstance(value, Pixel):
        return f"{value.size[0]:.6g} × {value.size[1]:.6g} {value.unit}"
    if isinstance(value, tuple):
        return " × ".join(map(str, value))
    return f"{value:.7g}" if isinstance(value, float) else str(value)
