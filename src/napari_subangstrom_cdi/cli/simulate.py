"""The commands ``simulate`` and ``score``, which ask whether it would work on one's own particle."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from napari_subangstrom_cdi.core.microscope import WAVES
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.simulation.records import (
    RECORD_FILES,
    MicroscopeSettings,
    ParticleSettings,
    Simulation,
    check_folder,
    facet,
    read_simulation,
    simulate,
    write_records,
)

_Settings = TypeVar("_Settings", ParticleSettings, MicroscopeSettings)


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
    what.add_argument("--crystal", metavar="NAME|FILE.cif", help="(default: CdS-wurtzite)")
    what.add_argument("--zone", metavar='"u v w"', help="zone axis along the beam (default: 0 0 0 1)")
    what.add_argument("--diameter", type=float, metavar="A", help="of a sphere, or across a prism, Å (default: 90)")
    what.add_argument("--thickness", type=float, metavar="A", help="along the beam, Å: top and bottom are cut off")
    what.add_argument("--prism", metavar='"h k l"', help="side faces of a prism along the zone axis")
    what.add_argument(
        "--facet",
        metavar='"h k l":A',
        action="append",
        type=_facet,
        help="a form of facets at a distance, Å; repeat it",
    )
    what.add_argument("--azimuth", type=float, metavar="DEG", help="of the shortest reflection, from +x towards +y")
    what.add_argument("--tilt", type=float, nargs=2, metavar=("X", "Y"), help="about x and y, degrees")
    what.add_argument("--boundary", type=float, metavar="A", help="lattice shift across a boundary, Å")
    what.add_argument("--boundary-normal", type=float, metavar="DEG", help="of the boundary (default: 90)")
    what.add_argument("--boundary-position", type=float, metavar="A", help="of it along its normal, Å (default: 0)")
    what.add_argument("--strain", type=float, metavar="PERCENT", help="by which the lattice is stretched (default: 0)")
    what.add_argument("--b-factor", type=float, metavar="A2", help="Debye-Waller factor, Å² (default: 0.8)")
    how = parser.add_argument_group("microscope")
    how.add_argument("--energy", type=float, metavar="KV", help="beam energy, kV (default: 200)")
    how.add_argument("--wave", choices=WAVES, help="how electrons scatter (default: multislice)")
    how.add_argument("--dose", type=float, metavar="E", help="electrons on each Å² (default: 10000)")
    how.add_argument("--coherence", type=float, metavar="A", help="lateral coherence length, Å (default: 350)")
    how.add_argument("--beam-stop", type=float, metavar="Q", help="its radius, Å⁻¹ (default: none)")
    how.add_argument("--beam", type=float, metavar="A", help="full width of the beam, Å (default: 400)")
    how.add_argument("--detector", type=int, metavar="PX", help="pixels a side of the detector (default: 2048)")
    how.add_argument("--detector-pixel", type=float, metavar="UM", help="its pixel, µm (default: 25)")
    how.add_argument("--gain", type=float, metavar="G", help="counts an electron (default: 0.8)")
    how.add_argument("--dark-noise", type=float, metavar="E", help="of the detector, electrons (default: 1)")
    how.add_argument("--saturation", type=int, metavar="COUNTS", help="highest count (default: 65535)")
    how.add_argument("--noiseless", action="store_true", help="counts as expected, in patterns and image")
    how.add_argument("--no-substrate", action="store_true", help="neither graphene nor inelastic scattering")
    how.add_argument("--defocus", type=float, metavar="NM", help="of the image, underfocus negative (default: -61.3)")
    how.add_argument("--information-limit", type=float, metavar="Q", help="of the image, Å⁻¹ (default: 0.52)")
    how.add_argument("--image-dose", type=float, metavar="E", help="electrons a pixel of the image (default: 200)")
    how.add_argument("--no-faults", action="store_true", help="nothing rotated, shifted or told wrong")
    parser.add_argument("--seed", type=int, metavar="N", help="of noise and faults (default: 0)")
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
    particle: dict[str, Any] = {
        "crystal": arguments.crystal,
        "zone": arguments.zone,
        "diameter_angstrom": arguments.diameter,
        "thickness_angstrom": arguments.thickness,
        "prism": arguments.prism,
        "facets": dict(arguments.facet) if arguments.facet else None,
        "azimuth_deg": arguments.azimuth,
        "tilt_deg": tuple(arguments.tilt) if arguments.tilt else None,
        "boundary_shift_angstrom": arguments.boundary,
        "boundary_normal_deg": arguments.boundary_normal,
        "boundary_position_angstrom": arguments.boundary_position,
        "strain_percent": arguments.strain,
        "b_factor": arguments.b_factor,
    }
    microscope: dict[str, Any] = {
        "energy_ev": 1e3 * arguments.energy if arguments.energy is not None else None,
        "wave": arguments.wave,
        "dose_per_angstrom2": arguments.dose,
        "coherence_angstrom": arguments.coherence,
        "beam_stop_per_angstrom": arguments.beam_stop,
        "beam_fwhm_angstrom": arguments.beam,
        "detector_px": arguments.detector,
        "detector_pixel_um": arguments.detector_pixel,
        "counts_per_electron": arguments.gain,
        "dark_noise_electrons": arguments.dark_noise,
        "saturation_counts": arguments.saturation,
        "noise": False if arguments.noiseless else None,
        "inelastic": 0.0 if arguments.no_substrate else None,
        "graphene_layers": 0 if arguments.no_substrate else None,
        "defocus_nm": arguments.defocus,
        "information_limit_per_angstrom": arguments.information_limit,
        "image_electrons_per_pixel": arguments.image_dose,
        "faults": False if arguments.no_faults else None,
    }
    return Simulation(
        _changed(base.particle, particle),
        _changed(base.microscope, microscope),
        base.seed if arguments.seed is None else arguments.seed,
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
