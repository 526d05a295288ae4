"""The command calibrate: reciprocal pixel and ellipse by the rings of a standard."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.io.atomic import atomic_path, check_writable
from napari_subangstrom_cdi.job.pipeline import noted_doubts, scratch_folder, to_json
from napari_subangstrom_cdi.job.plan import Frame
from napari_subangstrom_cdi.job.standard import calibrate_standard, standard_readings


def add_calibrate(commands: Any, frame: Callable[[str], Frame]) -> None:
    """Add the command to a parser's.

    Parameters
    ----------
    commands
        Of the parser.
    frame : callable
        Reads which frame of a stack is meant.
    """
    parser = commands.add_parser(
        "calibrate",
        help="reciprocal pixel and ellipse of a camera length by the rings of a standard",
        description="Find beam, reciprocal pixel and elliptic distortion of a pattern of rings, such as that of a gold "
        "cross grating, with their standard errors. For spots of a known crystal see reconstruct "
        "--calibrate-by-crystal.",
    )
    parser.add_argument("record", metavar="RECORD", help="pattern of the standard")
    parser.add_argument("--crystal", metavar="NAME|FILE.cif", required=True, help="what the standard is made of")
    parser.add_argument("--mask", metavar="FILE", help="pixels not to be trusted, non-zero (beam stop)")
    parser.add_argument("--frame", metavar="N|sum", type=frame, help="frame of a stacked file")
    parser.add_argument("--acquisition", metavar="FILE", help="JSON or TOML with what is known of the record")
    parser.add_argument(
        "--write",
        metavar="FILE.json",
        help="write an acquisition with this pixel, for records of the same camera length",
    )
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON")
    parser.set_defaults(command=_calibrate)


def _calibrate(arguments: argparse.Namespace) -> int:
    target = None if arguments.write is None else _target(arguments)
    with scratch_folder() as scratch, noted_doubts() as doubts:
        found, known = calibrate_standard(
            arguments.record,
            arguments.crystal,
            Path(scratch),
            mask=arguments.mask,
            frame=arguments.frame,
            acquisition=arguments.acquisition,
        )
    for said in doubts:
        print(f"warning: {said}", file=sys.stderr)
    numbers = standard_readings(found, known)
    print(to_json(numbers) if arguments.json else text_of(numbers, arguments.crystal))
    if target is not None:
        _write(target, known)
        print(target, file=sys.stderr)
    return 0


def _target(arguments: argparse.Namespace) -> Path:
    target = check_writable(arguments.write)
    if target.resolve() == Path(arguments.record).expanduser().resolve():
        raise InputError("is the record itself", where="--write", mend="choose another file")
    return target


def _write(target: Path, known: Acquisition) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text(json.dumps(known.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def text_of(numbers: Mapping[str, Any], crystal: str) -> str:
    """The same for a person.

    Parameters
    ----------
    numbers : mapping
        As of :func:`.standard_readings`.
    crystal : str
        The standard's name.
    """
    y, x = numbers["beam_px"]
    error_y, error_x = numbers["beam_error_px"]
    named = ", ".join(" ".join(map(str, ring["hkl"])) for ring in numbers["rings"])
    pixel, ratio, axis = (_with_error(numbers, key) for key in ("reciprocal_pixel", "ellipse", "ellipse_deg"))
    lines = [
        f"reciprocal pixel  {pixel[0]:.6g} ± {pixel[1]:.1g} Å⁻¹",
        f"ellipse           {100 * (ratio[0] - 1):.2f} ± {100 * ratio[1]:.2f} %, long axis at {axis[0]:.1f} ± "
        f"{axis[1]:.1f}° from +x towards +y",
        f"beam              y {y:.2f} ± {error_y:.2f}, x {x:.2f} ± {error_x:.2f} px",
        f"rings of {crystal}: {named}; correlation {numbers['correlation']:.2f}",
    ]
    if "camera_length_mm" in numbers:
        lines.insert(1, f"camera length     {numbers['camera_length_mm']:.5g} mm")
    return "\n".join(lines)


def _with_error(numbers: Mapping[str, Any], name: str) -> tuple[float, float]:
    unit = "_per_A" if name == "reciprocal_pixel" else ""
    return numbers[f"{name}{unit}"], numbers[f"{name}_error{unit}"]
