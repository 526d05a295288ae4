"""The commands ``simulate`` and ``score``, which ask whether it would work on one's own particle."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.parameters import Declared, declared
from napari_subangstrom_cdi.simulation.faults import FaultSettings
from napari_subangstrom_cdi.simulation.files import RECORD_FILES, check_folder, write_records
from napari_subangstrom_cdi.simulation.records import simulate
from napari_subangstrom_cdi.simulation.settings import (
    MicroscopeSettings,
    ParticleSettings,
    Simulation,
    facet,
    read_simulation,
)

_Settings = TypeVar("_Settings", ParticleSettings, MicroscopeSettings, FaultSettings)


@dataclass(frozen=True)
class _Option:
    """An option that gives one setting: its flag, the setting's field, and what stands for the value."""

    flag: str
    name: str
    metavar: str | tuple[str, ...] | None

    def add_to(self, group: Any, settings: Any) -> None:
        """Add it, with the help that the setting declares."""
        known = declared(settings)[self.name]
        group.add_argument(
            self.flag,
            dest=self.name,
            metavar=self.metavar,
            type={"float": float, "int": int}.get(known.kind, str),
            nargs=known.length,
            choices=known.choices or None,
            help=help_of(known),
        )


_PARTICLE = (
    _Option("--crystal", "crystal", "NAME|FILE.cif"),
    _Option("--zone", "zone", '"u v w"'),
    _Option("--diameter", "diameter_angstrom", "A"),
    _Option("--thickness", "thickness_angstrom", "A"),
    _Option("--prism", "prism", '"h k l"'),
    _Option("--azimuth", "azimuth_deg", "DEG"),
    _Option("--tilt", "tilt_deg", ("X", "Y")),
    _Option("--boundary", "boundary_shift_angstrom", "A"),
    _Option("--boundary-normal", "boundary_normal_deg", "DEG"),
    _Option("--boundary-position", "boundary_position_angstrom", "A"),
    _Option("--strain", "strain_percent", "PERCENT"),
    _Option("--b-factor", "b_factor", "A2"),
)
_MICROSCOPE = (
    _Option("--wave", "wave", None),
    _Option("--dose", "dose_per_angstrom2", "E"),
    _Option("--coherence", "coherence_angstrom", "A"),
    _Option("--beam-stop", "beam_stop_per_angstrom", "Q"),
    _Option("--beam", "beam_fwhm_angstrom", "A"),
    _Option("--detector", "detector_px", "PX"),
    _Option("--detector-pixel", "detector_pixel_um", "UM"),
    _Option("--gain", "counts_per_electron", "G"),
    _Option("--dark-noise", "dark_noise_electrons", "E"),
    _Option("--saturation", "saturation_counts", "COUNTS"),
    _Option("--defocus", "defocus_nm", "NM"),
    _Option("--information-limit", "information_limit_per_angstrom", "Q"),
    _Option("--image-dose", "image_electrons_per_pixel", "E"),
)
_FAULTS = (
    _Option("--ellipse", "ellipse_percent", "PERCENT"),
    _Option("--ellipse-along", "ellipse_deg", "DEG"),
    _Option("--unequal-pixels", "pixel_ratio_percent", "PERCENT"),
    _Option("--stop-arm", "stop_arm_per_angstrom", "Q"),
    _Option("--stop-arm-towards", "stop_arm_deg", "DEG"),
    _Option("--stop-shadow", "stop_shadow_px", "PX"),
    _Option("--gap", "gap_px", "PX"),
    _Option("--gap-value", "gap_value", None),
    _Option("--gain-reference", "gain_percent", "PERCENT"),
    _Option("--film", "film_angstrom", "A"),
    _Option("--astigmatism", "astigmatism_nm", "NM"),
    _Option("--astigmatism-along", "astigmatism_deg", "DEG"),
    _Option("--coma", "coma_nm", "NM"),
    _Option("--coma-along", "coma_deg", "DEG"),
    _Option("--neighbour", "neighbour_angstrom", "A"),
    _Option("--neighbour-towards", "neighbour_deg", "DEG"),
    _Option("--neighbour-turn", "neighbour_turn_deg", "DEG"),
    _Option("--neighbour-size", "neighbour_size", "RATIO"),
    _Option("--drift", "drift_angstrom", "A"),
    _Option("--drift-along", "drift_deg", "DEG"),
)


def help_of(known: Declared) -> str:
    """The help of an option from what its parameter declares; to argparse a per cent sign is a code."""
    return known.help_line().replace("%", "%%")


def add_simulate(commands: Any) -> None:
    """Add the command to those of the program."""
    parser = commands.add_parser(
        "simulate",
        help="records of a particle that is known to the last atom",
        description="Simulate the two diffraction records and the TEM image of a nanocrystal by multislice, with a "
        "microscope's usual faults, and write them with what is known and what is true. Or draw the calculated "
        "diffraction pattern alone (--figure).",
    )
    parser.add_argument("--settings", metavar="FILE.toml", help="settings as simulate writes them; options override")
    what = parser.add_argument_group("particle")
    for option in _PARTICLE:
        option.add_to(what, ParticleSettings)
    what.add_argument(
        "--facet",
        metavar='"h k l":A',
        action="append",
        type=_facet,
        help="a form of facets at a distance, Å; repeat it",
    )
    how = parser.add_argument_group("microscope")
    how.add_argument("--energy", type=float, metavar="KV", help="beam energy, kV (default: 200)")
    for option in _MICROSCOPE:
        option.add_to(how, MicroscopeSettings)
    how.add_argument("--noiseless", action="store_true", help="counts as expected, in patterns and image")
    how.add_argument("--no-substrate", action="store_true", help="neither graphene nor inelastic scattering")
    how.add_argument("--no-faults", action="store_true", help="nothing rotated, shifted or told wrong")
    wrong = parser.add_argument_group("faults", "what else is wrong with the records; nothing of it is told")
    for option in _FAULTS:
        option.add_to(wrong, FaultSettings)
    wrong.add_argument("--mirrored", action="store_true", help=help_of(declared(FaultSettings)["mirrored"]))
    _Option("--seed", "seed", "N").add_to(parser, Simulation)
    out = parser.add_argument_group("output")
    out.add_argument("-o", "--output", metavar="FOLDER", help="where the record set goes")
    out.add_argument("--figure", metavar="FILE", help="draw the pattern, 0.0067 Å⁻¹ a pixel, and write nothing else")
    parser.set_defaults(command=_simulate)


def add_score(commands: Any) -> None:
    """Add the command to those of the program."""
    parser = commands.add_parser(
        "score",
        help="compare a reconstruction with the truth of a simulated record set",
        description="Correlation with the true object inside the particle, and the resolution to which every band of "
        "reflections correlates by 0.7 or more; free are one phase, one scale and one translation.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="that simulate wrote")
    parser.add_argument("result", metavar="RESULT.cxi")
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON")
    parser.add_argument("--figure", metavar="FILE.png", type=Path, help="draw truth, result and their difference")
    parser.set_defaults(command=_score)


def _facet(text: str) -> tuple[str, float]:
    try:
        return facet(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _settings(arguments: argparse.Namespace) -> Simulation:
    base = read_simulation(Path(arguments.settings)) if arguments.settings else Simulation()
    particle: dict[str, Any] = {option.name: getattr(arguments, option.name) for option in _PARTICLE}
    particle["tilt_deg"] = tuple(arguments.tilt_deg) if arguments.tilt_deg else None
    particle["facets"] = dict(arguments.facet) if arguments.facet else None
    microscope: dict[str, Any] = {option.name: getattr(arguments, option.name) for option in _MICROSCOPE}
    microscope |= {
        "energy_ev": 1e3 * arguments.energy if arguments.energy is not None else None,
        "noise": False if arguments.noiseless else None,
        "inelastic": 0.0 if arguments.no_substrate else None,
        "graphene_layers": 0 if arguments.no_substrate else None,
        "faults": False if arguments.no_faults else None,
    }
    faults: dict[str, Any] = {option.name: getattr(arguments, option.name) for option in _FAULTS}
    faults["mirrored"] = True if arguments.mirrored else None
    return Simulation(
        _changed(base.particle, particle),
        _changed(base.microscope, microscope),
        base.seed if arguments.seed is None else arguments.seed,
        _changed(base.faults, faults),
    )


def _changed(base: _Settings, given: dict[str, Any]) -> _Settings:
    return replace(base, **{name: value for name, value in given.items() if value is not None})


def _simulate(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    if arguments.figure:
        from napari_subangstrom_cdi.simulation.pattern_figure import draw_pattern  # matplotlib takes a second

        print(draw_pattern(settings, Path(arguments.figure)))
        return 0
    if not arguments.output:
        raise InputError("nowhere to write to", mend="give -o FOLDER, or --figure FILE")
    check_folder(Path(arguments.output))
    records = simulate(settings, lambda part: print(f"  {part} ...", file=sys.stderr))
    write_records(records, Path(arguments.output))
    print(_how_on(settings, len(records.atoms.numbers), Path(arguments.output)))
    return 0


def _how_on(settings: Simulation, atoms: int, folder: Path) -> str:
    names = {**RECORD_FILES, "acquisition": "acquisition.json"}
    files = " ".join(f"--{role} {folder / name}" for role, name in names.items())
    what = f'--preset model --crystal {settings.particle.crystal} --zone "{settings.particle.zone}"'
    return (
        f"{atoms} atoms recorded in {folder}. Reconstruct and score them by\n"
        f"  napari-subangstrom-cdi reconstruct {files} {what} -o {folder / 'out.cxi'}\n"
        f"  napari-subangstrom-cdi score {folder} {folder / 'out.cxi'}"
    )


def _score(arguments: argparse.Namespace) -> int:
    from napari_subangstrom_cdi.simulation.score import score_result

    found = score_result(Path(arguments.folder), Path(arguments.result), arguments.figure)
    if arguments.json:
        print(json.dumps(found.to_dict(), indent=1))
    else:
        print(found.summary())
    return 0
