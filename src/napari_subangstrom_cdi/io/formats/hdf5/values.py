"""Attributes and single values of an HDF5 file, whatever they hold: damage and nonsense count as nothing said."""

from __future__ import annotations

import math
import re
from typing import Any

import h5py
import numpy as np

DAMAGE = (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError, AttributeError, MemoryError)
"""What h5py raises where a file is not as it should be."""

_LARGEST = 4096
"""Values of one attribute or small dataset that are looked at."""

_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*([^\d\s]\S*)?\s*")


def attribute(item: h5py.HLObject, name: str) -> Any:
    """An attribute as str, float or list of those; None if it is not there, is too long or means nothing."""
    try:
        if name not in item.attrs:
            return None
        found = item.attrs.get_id(name)
        if found.shape is None or math.prod(found.shape) > _LARGEST or found.dtype.itemsize > _LARGEST:
            return None
        return _simple(item.attrs[name])
    except DAMAGE:
        return None


def text(item: h5py.HLObject, name: str) -> str:
    """An attribute that is one text; empty if it is none."""
    found = attribute(item, name)
    return found if isinstance(found, str) else ""


def number(item: h5py.HLObject, name: str) -> float | None:
    """An attribute that is one number, though it may be written as text."""
    return as_number(attribute(item, name))


def value(item: Any) -> Any:
    """What a small dataset holds, as `attribute`; None for anything else."""
    try:
        if not isinstance(item, h5py.Dataset) or item.shape is None or item.size > _LARGEST:
            return None
        if item.dtype.kind not in "buifSO" or item.dtype.itemsize > _LARGEST or item.is_virtual or item.external:
            return None
        return _simple(item[()])
    except DAMAGE:
        return None


def as_number(found: Any) -> float | None:
    """A number, or a text that is one and nothing else."""
    if isinstance(found, bool) or found is None:
        return None
    try:
        return float(found) if isinstance(found, int | float | str) and math.isfinite(float(found)) else None
    except ValueError:
        return None


def number_and_unit(found: Any) -> tuple[float, str] | None:
    """A number that may have its unit behind it, such as ``300kV``."""
    plain = as_number(found)
    if plain is not None:
        return plain, ""
    match = _NUMBER.fullmatch(found[:100]) if isinstance(found, str) else None
    return (float(match[1]), match[2] or "") if match else None


def _simple(found: Any) -> Any:
    """Python's own types of what h5py gives."""
    if isinstance(found, np.ndarray):
        items = [_simple(item) for item in found.ravel().tolist()]
        return items[0] if len(items) == 1 else items
    if isinstance(found, np.generic):
        found = found.item()
    if isinstance(found, bytes):
        return found.decode("utf-8", errors="replace").rstrip("\0").strip()
    return found.strip() if isinstance(found, str) else found if isinstance(found, bool | int | float) else None
