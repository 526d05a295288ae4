"""The command inspect: what files say of the records in them, and where each value stands."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import shape_text
from napari_subangstrom_cdi.io.header import Pixel
from napari_subangstrom_cdi.io.image import address_of, contents, split_address
from napari_subangstrom_cdi.io.stack import StackInfo, describe

_WIDTH = 100
_INDENT = 22
_MOST_DATASETS = 40


def add_inspect(commands: Any) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser(
        "inspect",
        help="what files say of the records in them",
        description="Print what files say of the records in them: shape, pixel, energy, ... each with its place in the "
        "file, and the datasets of which one may be chosen as FILE::DATASET. No pixel is read.",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="file, or FILE::DATASET")
    parser.add_argument("--json", action="store_true", help="print JSON, a list with an object for each file")
    parser.set_defaults(command=_inspect)


def _inspect(arguments: argparse.Namespace) -> int:
    """All that can be read are printed; the code is 2 if one cannot."""
    found = [facts(address) for address in arguments.files]
    if arguments.json:
        print(json.dumps(found, indent=1, allow_nan=False, ensure_ascii=False))
    else:
        _print(found)
    return 2 if any("error" in one for one in found) else 0


def _print(found: Sequence[Mapping[str, Any]]) -> None:
    separator = ""
    for one in found:
        if "error" in one:
            sys.stdout.flush()  # where both go to one place, they stay in order
            print(f"napari-subangstrom-cdi: {one['error']}", file=sys.stderr)
        else:
            print(separator + text_of(one))
            separator = "\n"


def facts(address: str) -> dict[str, Any]:
    """What a file says, ready for JSON; ``error`` is why it cannot be read.

    Parameters
    ----------
    address : str
        ``FILE`` or ``FILE::DATASET``.
    """
    named = split_address(address)[1] is not None
    try:
        choice = (
            []
            if named
            else [
                {"name": item.name, "shape": list(item.shape), "dtype": item.dtype, "caption": item.caption}
                for item in contents(address)
                if len(item.shape) > 1 or not item.dtype  # of a file in an archive no more than its name is known
            ]
        )
    except InputError as error:
        return {"file": address, "error": str(error)}
    try:
        info = describe(address)
    except InputError as error:
        if len(choice) < 2:
            return {"file": address, "error": str(error)}
        chosen = address_of(split_address(address)[0], "NAME")
        return {"file": address, "datasets": choice, "doubts": [f"nothing is chosen: give {chosen}"]}
    return {"file": address, **_described(info), **({"datasets": choice} if len(choice) > 1 else {})}


def _described(info: StackInfo) -> dict[str, Any]:
    header = info.header
    said = {
        name: {"value": _plain(value), "place": header.said.get(name, "")} for name, value in header.stated().items()
    }
    if info.has_mask:
        said["mask"] = {"value": True, "place": header.said.get("mask", "")}
    return {
        "format": info.format_name,
        "shape": list(info.shape[-2:]),
        "dtype": info.dtype,
        "frames": info.frames,
        **({"dataset": info.dataset} if info.dataset else {}),
        "said": said,
        "doubts": [*info.cautions, *header.all_doubts()],
    }


def _plain(value: Any) -> Any:
    """A value of a header in what JSON has."""
    if isinstance(value, Pixel):
        return {"y": value.size[0], "x": value.size[1], "unit": value.unit}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, float) and value != value else value  # NaN as a sentinel


def _pixel(value: Mapping[str, Any]) -> str:
    y, x = value["y"], value["x"]
    return f"{y:.6g} {value['unit']}" if y == x else f"{y:.6g} x {x:.6g} {value['unit']} (y, x)"


def _with_unit(unit: str) -> Callable[[Any], str]:
    return lambda value: f"{value:.7g} {unit}"


_SHOWN: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "pixel": ("pixel", _pixel),
    "role": ("role", str),
    "energy_ev": ("energy", lambda value: f"{value / 1e3:.6g} kV"),
    "camera_length_mm": ("camera length", _with_unit("mm")),
    "detector_pixel_um": ("detector pixel", _with_unit("µm")),
    "exposure_s": ("exposure", _with_unit("s")),
    "binning": ("binning", lambda value: " x ".join(map(str, value))),
    "frames_summed": ("frames added up", str),
    "counts_per_electron": ("gain", _with_unit("counts/e⁻")),
    "offset_counts": ("offset", _with_unit("counts")),
    "saturation_counts": ("saturation", _with_unit("counts")),
    "dark_noise_counts": ("dark noise", _with_unit("counts")),
    "defocus_nm": ("defocus", _with_unit("nm")),
    "cs_mm": ("Cs", _with_unit("mm")),
    "invalid_values": ("not measured", lambda value: ", ".join(map(str, value))),
    "polarity": ("polarity", str),
    "orientation": ("orientation", str),
    "mask": ("mask", lambda value: "yes"),
}
"""How each field of a header is called and written, in order."""


def text_of(found: Mapping[str, Any]) -> str:
    """The same for a person, in lines of up to 100 columns."""
    lines = [found["file"]]
    if "format" in found:
        frames = "" if found["frames"] == 1 else f", {found['frames']} frames"
        lines += _row("format", found["format"])
        lines += _row("size", f"{shape_text(tuple(found['shape']))} pixels (y, x), {found['dtype']}{frames}")
    if "dataset" in found:
        lines += _row("dataset", found["dataset"])
    said = found.get("said", {})
    for name in [name for name in _SHOWN if name in said] + [name for name in said if name not in _SHOWN]:
        caption, write = _SHOWN.get(name, (name, str))
        place = f"  [{said[name]['place']}]" if said[name]["place"] else ""
        lines += _row(caption, f"{write(said[name]['value'])}{place}")
    lines += _choice(found.get("datasets", ()))
    for doubt in found["doubts"]:
        lines += _row("doubt", doubt)
    return "\n".join(lines)


def _choice(items: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for k, item in enumerate(items[:_MOST_DATASETS]):
        shape = shape_text(tuple(item["shape"]))
        caption = f", {item['caption']}" if item["caption"] else ""
        kind = f"{shape}, {item['dtype']}{caption}" if item["dtype"] else item["caption"]
        lines += _row("choose ::" if k == 0 else "", f"{item['name']}  ({kind})")
    if len(items) > _MOST_DATASETS:
        lines += _row("", f"... {len(items)} in all; --json lists them")
    return lines


def _row(caption: str, text: str) -> list[str]:
    """A caption and what stands beside it, broken where it is too long."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {caption}".ljust(_INDENT),
        subsequent_indent=" " * (_INDENT + 2),
        break_on_hyphens=False,
    )
