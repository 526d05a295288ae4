"""The images in a TIFF: which one is the record, and how its pixels become counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array, Item, nbytes, shape_text
from napari_subangstrom_cdi.io.header import HeaderWriter

from .gel import Gel

_AS_STORED = "/stored"
_COLOURS = (2, 5, 6, 8)  # RGB, CMYK, YCbCr, CIELab
_MIN_IS_WHITE, _RGB, _PALETTE = 0, 2, 3
_SEPARATE_PLANES = 2
_PROBED_BYTES = 2**20
_ANNOTATION = 0.01  # of a picture's pixels, at most, may be in colour: a scale bar, a label
_ORIENTATIONS = {
    2: "columns from right to left",
    3: "rows from the bottom upwards and columns from right to left",
    4: "rows from the bottom upwards",
    5: "rows and columns exchanged",
    6: "rows and columns exchanged, and turned by 90° clockwise",
    7: "rows and columns exchanged, from the bottom right",
    8: "rows and columns exchanged, and turned by 90° anticlockwise",
}


def colour_error(path: Path, shape: tuple[int, ...]) -> InputError:
    """Error for a picture whose red, green and blue differ."""
    return InputError(
        f"is a colour image ({shape_text(shape)}), and colours are not counts",
        where=str(path),
        mend="export the detector's counts, or convert it to grey",
    )


def images_in(tif: tifffile.TiffFile, path: Path) -> dict[str, tifffile.TiffPageSeries]:
    """Images by the number of their (first) page; thumbnails and reduced copies are left out.

    Raises
    ------
    InputError
        If there is none.
    """
    if not tif.pages:
        raise InputError("holds no image", where=str(path), mend="the file is cut short: copy or export it again")
    all_series = tif.series
    full = [s for s in all_series if not s.keyframe.is_reduced] or list(all_series)
    return {str(s.keyframe.index): s for s in full}


def items_of(tif: tifffile.TiffFile, path: Path) -> tuple[Item, ...]:
    """What may be chosen as ``FILE::NAME``; empty if there is nothing to choose."""
    found = []
    for name, series in images_in(tif, path).items():
        shape = tuple(int(n) for n in series.shape)
        item = Item(name, shape, str(series.dtype), _kind(series.keyframe))
        found.append(item)
        if _is_inverted(series):
            found.append(Item(name + _AS_STORED, shape, str(series.dtype), "as stored, larger is darker"))
    return tuple(found) if len(found) > 1 else ()


@dataclass(frozen=True)
class Choice:
    """The image that is meant.

    Parameters
    ----------
    name : str
        As in ``FILE::NAME``.
    series : tifffile.TiffPageSeries
        Its pages.
    as_stored : bool
        True if values are wanted as stored although larger ones are darker.
    caution : str or None
        Which was taken, if nobody named one.
    """

    name: str
    series: tifffile.TiffPageSeries
    as_stored: bool = False
    caution: str | None = None


def choose(images: dict[str, tifffile.TiffPageSeries], wanted: str | None, path: Path) -> Choice:
    """The image named, the only one, or the only page of grey counts beside pictures.

    Raises
    ------
    InputError
        If none is named and several may be meant, or there is none of that name.
    """
    listing = ", ".join(f"{path.name}::{name} ({_described(series)})" for name, series in list(images.items())[:6])
    if wanted is not None:
        name = wanted.removesuffix(_AS_STORED)
        if name not in images:
            stacks = any(len(series.pages) > 1 for series in images.values())
            more = "; of a stack one frame is chosen by its number, as by --pattern-frame" if stacks else ""
            raise InputError(f"has no page {wanted!r}", where=str(path), mend=f"it holds {listing}{more}")
        return Choice(name, images[name], as_stored=wanted.endswith(_AS_STORED))
    if len(images) == 1:
        return Choice(*next(iter(images.items())))
    for is_record in (_is_grey, _is_deep_grey):
        records = [name for name, series in images.items() if is_record(series)]
        if len(records) == 1:
            (name,) = records
            others = ", ".join(f"page {other} is {_kind(s.keyframe)}" for other, s in images.items() if other != name)
            caution = (
                f"holds {len(images)} images: page {name} ({_described(images[name])}) is taken; {others} "
                f"({path.name}::NUMBER names another)"
            )
            return Choice(name, images[name], caution=caution)
    shapes = ", ".join(shape_text(tuple(series.shape)) for series in list(images.values())[:5])
    raise InputError(
        f"holds {len(images)} images of different kinds ({shapes})",
        where=str(path),
        mend=f"name the one that is meant: {listing}",
    )


def _is_grey(series: tifffile.TiffPageSeries) -> bool:
    page = series.keyframe
    return page.photometric in (0, 1) and int(page.samplesperpixel) == 1


def _is_deep_grey(series: tifffile.TiffPageSeries) -> bool:
    """True of grey values of more bits than a picture has."""
    return _is_grey(series) and int(series.keyframe.bitspersample) > 8


def _described(series: tifffile.TiffPageSeries) -> str:
    return f"{shape_text(tuple(series.shape))}, {_kind(series.keyframe)}"


def _kind(page: Any) -> str:
    bits = f"{page.bitspersample}-bit"
    if page.photometric == _PALETTE:
        return f"{bits} with a colour table"
    return f"{bits} colour" if int(page.samplesperpixel) > 1 or page.photometric in _COLOURS else f"{bits} grey"


@dataclass
class Layout:
    """How the pixels of an image become frames of counts.

    Parameters
    ----------
    shape, dtype
        Of the counts: (y, x), (frame, y, x), or that of a colour picture.
    stored_shape : tuple of int
        Shape of one stored page.
    decode : callable
        Turns what is stored of a frame into its (y, x) counts.
    marked : callable, optional
        Takes the same, and returns which pixels, (y, x), are none of the record.
    colour : bool
        True if the pixels are colours.
    planes : bool
        True if the frames are the planes of one page.
    held_bytes : int
        As of `Stored`.
    cautions : list of str
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stored_shape: tuple[int, ...]
    decode: Callable[[Array], Array] = field(default=lambda data: data)
    marked: Callable[[Array], Array] | None = None
    colour: bool = False
    planes: bool = False
    held_bytes: int = 0
    cautions: list[str] = field(default_factory=list)


def layout_of(choice: Choice, gel: Gel | None, path: Path, found: HeaderWriter) -> Layout:
    """Layout of the image that was chosen; polarity and orientation go into `found`."""
    page = choice.series.keyframe
    shape = tuple(int(n) for n in choice.series.shape)
    layout = Layout(shape, np.dtype(choice.series.dtype), shape[-2:])
    if choice.caution:
        layout.cautions.append(choice.caution)
    samples = int(page.samplesperpixel)
    if samples > 1:
        _planes_or_colour(layout, page, samples, path, found)
    elif page.photometric in _COLOURS:
        layout.colour = True
    elif page.photometric == _PALETTE:
        layout.cautions.append("has a colour table: its stored values are taken, not its colours")
    if gel is not None:
        layout.dtype, layout.decode = gel.dtype(layout.dtype), gel.counts
        gel.say(page, found)
    elif page.photometric == _MIN_IS_WHITE:
        _say_polarity(layout, choice, page, found)
    _say_orientation(page, found)
    return layout


def _planes_or_colour(layout: Layout, page: Any, samples: int, path: Path, found: HeaderWriter) -> None:
    separate = page.planarconfig == _SEPARATE_PLANES
    if separate and int(page.bitspersample) >= 16 and len(layout.shape) == 3:
        layout.planes = True
        layout.cautions.append(
            f"its {samples} planes of 16 or more bits are tagged as colours of one picture: taken as {samples} frames"
        )
        return
    plain = page.photometric == _RGB and samples in (3, 4) and len(layout.shape) == 3
    if not plain or not _looks_grey(page, samples, separate):
        layout.colour = True
        return
    whole = layout.shape
    layout.held_bytes = nbytes(whole, layout.dtype)
    layout.shape, layout.stored_shape = (int(page.imagelength), int(page.imagewidth)), whole
    layout.decode = lambda data: _channels(data, separate)[0]
    layout.marked = lambda data: _coloured(_channels(data, separate), whole, path)
    found.say("mask", "where red, green and blue differ")
    layout.cautions.append(
        "was exported as a picture: red, green and blue are alike and taken as grey, what is in colour (a scale bar?) "
        "is masked; its contrast may be stretched, so that its values are no counts"
    )


def _channels(data: Array, separate: bool) -> Array:
    return data[:3] if separate else np.moveaxis(data[..., :3], -1, 0)


def _coloured(channels: Array, shape: tuple[int, ...], path: Path) -> Array:
    """Pixels in colour, such as those of a scale bar; an error if they are more than a few."""
    red, green, blue = channels
    coloured: Array = (red != green) | (green != blue)
    if np.count_nonzero(coloured) > _ANNOTATION * coloured.size:
        raise colour_error(path, shape)
    return coloured


def _looks_grey(page: Any, samples: int, separate: bool) -> bool:
    """False if the first pixels tell that a picture has colours; all are compared once it is read."""
    if separate or page.compression != 1 or not page.dataoffsets:
        return True
    dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
    stream = page.parent.filehandle
    stream.seek(page.dataoffsets[0])
    start = stream.read(min(int(page.databytecounts[0]), _PROBED_BYTES))
    pixel = samples * dtype.itemsize
    values = np.frombuffer(start[: len(start) // pixel * pixel], dtype).reshape(-1, samples)
    grey = (values[:, 0] == values[:, 1]) & (values[:, 0] == values[:, 2])
    return 2 * np.count_nonzero(grey) >= grey.size


def _is_inverted(series: tifffile.TiffPageSeries) -> bool:
    page = series.keyframe
    kind = np.dtype(series.dtype).kind
    return page.photometric == _MIN_IS_WHITE and int(page.samplesperpixel) == 1 and kind in "bu"


def _say_polarity(layout: Layout, choice: Choice, page: Any, found: HeaderWriter) -> None:
    """Scanners of film and plates store the brightest as 0 and say so; counts then are what is missing to the top."""
    place = "PhotometricInterpretation = 0 (white is zero)"
    if choice.as_stored or not _is_inverted(choice.series):
        found.put("polarity", "min-is-white", place)
        found.doubt(f"{place}: larger values are darker; they are taken as stored")
        return
    ceiling = 2 ** int(page.bitspersample) - 1
    if layout.dtype.kind == "b":
        layout.decode = np.logical_not
    else:
        top = layout.dtype.type(ceiling)
        layout.decode = lambda data: top - data
    found.say("polarity", f"{place}: taken as {ceiling} - stored")
    found.doubt(
        f"{place}: its values are taken as {ceiling} - stored, so that larger is brighter "
        f"(::{choice.name}{_AS_STORED} behind the file's name takes them as stored)"
    )


def _say_orientation(page: Any, found: HeaderWriter) -> None:
    tag = page.tags.get("Orientation")
    text = _ORIENTATIONS.get(int(tag.value)) if tag is not None else None
    if text is not None and tag is not None:
        place = f"Orientation = {int(tag.value)}"
        found.put("orientation", text, place)
        found.doubt(f"the tag {place} wants it shown with {text}; it is taken as stored, as other programs do")
