"""Records of microscopes as layers: every format of `io`, with scale, units and what the file says.

A layer's metadata hold the address it was read from (``path``), what the file says in words (``header``), and what it
is to a reconstruction (``role``) and how it was taken (``acquisition``, by the keys of an acquisition file), where the
file says so.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError, collected_doubts, doubt
from napari_subangstrom_cdi.io import FORMATS, ImageFile, Item, contents, split_address
from napari_subangstrom_cdi.io._common import HEAD_BYTES, read_bytes
from napari_subangstrom_cdi.io.image import address_of, short_name
from napari_subangstrom_cdi.io.shown import in_words, placed, role_by
from napari_subangstrom_cdi.io.stack import describe, read_stack
from napari_subangstrom_cdi.job.headers import filled
from napari_subangstrom_cdi.job.plan import Inputs, Plan

LayerData = tuple[NDArray[Any], dict[str, Any], str]

MOST_LAYERS = 8
"""Arrays of one file that are opened at once."""

_LARGEST_BYTES = 2**30
_T = TypeVar("_T")


def is_record(path: str) -> bool:
    """Whether an address is of a file whose content is of a known format, with an image in it that can be shown.

    Raises
    ------
    InputError
        If the file cannot be read at all, or is empty.
    """
    file, _ = split_address(path)
    head = read_bytes(file, HEAD_BYTES)
    if not head:
        raise InputError("the file is empty", where=path, mend="copy or export it again")
    known = next((known for known in FORMATS if known.matches(head)), None)
    if known is not None and known.contents is None and not known.has_datasets:
        return True  # what may be wrong with it is said when it is read
    with collected_doubts():
        try:
            describe(path)
        except InputError:
            return known is not None and any(could_be_image(item) for item in _contents(file))
    return True


def could_be_image(item: Item) -> bool:
    """Whether an array can be an image or a stack of them, by its shape and type."""
    try:
        is_real = np.dtype(item.dtype).kind in "buif"
    except TypeError:  # in words
        is_real = True
    return is_real and sum(size > 1 for size in item.shape) in (2, 3)


def _contents(file: Path) -> tuple[Item, ...]:
    try:
        return contents(file)
    except InputError:
        return ()


def read_records(path: str) -> list[LayerData]:
    """Layers of what a file or address holds.

    Of several arrays the one that is meant and those of its shape, or, if none is meant more than others, all that may
    be images; at most `MOST_LAYERS`. What is not opened is said.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no image.
    """
    return _in_peace(lambda: _read(path), f"reading {short_name(path)}")


def _in_peace(task: Callable[[], _T], said: str) -> _T:
    """Where napari has a window, it goes on being painted."""
    if "napari" not in sys.modules or "qtpy" not in sys.modules:
        return task()
    from napari_subangstrom_cdi.gui.loop.patience import patiently

    return patiently(task, said)


def _read(path: str) -> list[LayerData]:
    file, dataset = split_address(path)
    items = () if dataset is not None else contents(file)
    if len(items) < 2:
        return layers_of(read_stack(path, max_bytes=_LARGEST_BYTES), path, split_address(path)[0].stem)
    opened, left = _chosen(path, items)
    if left:
        doubt(
            f"{path}: holds {len(items)} arrays, of which {len(opened)} {'is' if len(opened) == 1 else 'are'} opened; "
            f"not {_listed(left)}: the rows of the Data dock offer them"
        )
    layers: list[LayerData] = []
    for item in opened:
        address = address_of(path, item.name)
        name = item.caption or item.name.strip("/").replace("/", " ")
        layers += layers_of(read_stack(address, max_bytes=_LARGEST_BYTES), address, f"{file.stem} {name}")
    return layers


def _chosen(path: str, items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Which of a file's arrays are opened, and which others could be."""
    possible = [item for item in items if could_be_image(item)]
    with collected_doubts():
        try:
            meant = describe(path).dataset
        except InputError:
            if not possible:
                raise
            meant = None
    shape = next((item.shape for item in items if item.name == meant), None)
    if shape is None and len(possible) > MOST_LAYERS:
        [(shape, _)] = Counter(item.shape for item in possible).most_common(1)
    opened = [item for item in possible if shape is None or item.shape == shape]
    if len(opened) > MOST_LAYERS:
        opened = [item for item in opened if item.name == meant] if meant else opened[:MOST_LAYERS]
    names = {item.name for item in opened}
    return opened, [item for item in possible if item.name not in names]


def _listed(items: Sequence[Item]) -> str:
    shown = ", ".join(item.name for item in items[:MOST_LAYERS])
    return f"{shown} and {len(items) - MOST_LAYERS} more" if len(items) > MOST_LAYERS else shown


def layers_of(found: ImageFile, address: str, name: str) -> list[LayerData]:
    """Layers of what was read: an image or a stack, and its mask if the file has one."""
    header = found.header
    role = role_by(header)
    options: dict[str, Any] = {"name": name, **placed(found.data.shape, header.pixel)}
    metadata: dict[str, Any] = {"path": address, "header": _words(found)}
    if role is not None:
        metadata["role"] = role
        inputs = Inputs(address) if role == "pattern" else Inputs("", image=address)
        taken = filled(Plan(inputs), {role: header}).acquisition.to_dict()
        metadata |= {"acquisition": taken} if taken else {}
    if role == "pattern":
        options |= {"colormap": "magma", "gamma": 0.5, "contrast_limits": _limits(found.data)}
    layers: list[LayerData] = [(found.data, {**options, "metadata": metadata}, "image")]
    if found.mask is not None:
        place = placed(found.mask.shape, header.pixel)
        told = {"path": address, "role": "mask"}
        mask = {"name": f"{name} mask", **place, "opacity": 0.4, "metadata": told}
        layers.append((found.mask.astype(np.uint8), mask, "labels"))
    return layers


def _limits(data: NDArray[Any]) -> tuple[float, float]:
    """Contrast limits that a bright beam does not decide on."""
    low, high = (float(v) for v in np.nanpercentile(data[..., ::4, ::4].astype(np.float64), (1.0, 99.8)))
    return (low, high) if high > low else (low, low + 1)


def _words(found: ImageFile) -> dict[str, str]:
    words = {"format": found.format_name} | ({"dataset": found.dataset} if found.dataset is not None else {})
    return words | in_words(found.header) | dict(found.metadata)
