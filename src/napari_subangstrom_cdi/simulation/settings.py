"""Particle, microscope and faults as settings, and reading them from a file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import TypeAdapter, ValidationError, with_config

from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.core.microscope import Exposure, Wave
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.parameters import Parameter, check, wrong_key

from .faults import FaultSettings


@with_config(extra="forbid")
@dataclass(frozen=True)
class ParticleSettings:
    """What is in the beam.

    Parameters
    ----------
    crystal, zone : str
        Name or CIF, and the zone axis along the beam.
    diameter_angstrom : float
        Of the sphere, or across a prism's flats.
    thickness_angstrom : float, optional
        Along the beam: cuts top and bottom off.
    prism : str, optional
        Miller indices of a prism's side faces, for instance ``"1 0 -1 0"``; None for a sphere.
    facets : mapping of str to float
        Distances of forms of facets from the middle, Å, for instance ``{"1 1 1" = 35.0}``; replaces the sphere.
    azimuth_deg : float
        Of the zone's shortest reflection.
    tilt_deg : (float, float)
        About x and y.
    boundary_shift_angstrom : float
        By which the lattice beyond a boundary through the particle is shifted, along the boundary; 0 for none.
    boundary_normal_deg, boundary_position_angstrom : float
        Where the boundary is.
    strain_percent : float
        By which the lattice is stretched, the same in all directions.
    b_factor : float
        Debye-Waller factor, Å².
    """

    crystal: Annotated[str, Parameter("Crystal", "Name of one that is built in, or the path of a CIF.")] = (
        "CdS-wurtzite"
    )
    zone: Annotated[
        str, Parameter("Zone axis", "Along the beam: three indices such as 1 1 2, or four such as 0 0 0 1.")
    ] = "0 0 0 1"
    diameter_angstrom: Annotated[
        float,
        Parameter("Diameter", "Of a sphere, or across a prism's flats.", unit="Å", low=5, high=400, step=5, decimals=1),
    ] = 90.0
    thickness_angstrom: Annotated[
        float | None,
        Parameter(
            "Thickness",
            "Along the beam: top and bottom are cut off. A prism needs one.",
            unit="Å",
            low=2,
            high=2000,
            step=5,
            decimals=1,
            automatic="whole",
        ),
    ] = None
    prism: Annotated[
        str | None,
        Parameter(
            "Side faces",
            "Miller indices of a prism's side faces, such as 1 0 -1 0.",
            automatic="none: a sphere",
        ),
    ] = None
    facets: Annotated[
        Mapping[str, float],
        Parameter(
            "Facets",
            "Forms of facets and their distances from the middle in Å, instead of a sphere or prism: "
            "1 1 1:35, 1 0 0:38.",
            automatic="none",
        ),
    ] = field(default_factory=dict)
    azimuth_deg: Annotated[
        float,
        Parameter(
            "Azimuth", "Of the zone's shortest reflection, clockwise.", unit="°", low=-360, high=360, step=5, decimals=1
        ),
    ] = 0.0
    tilt_deg: Annotated[
        tuple[float, float],
        Parameter("Tilt", "Off the zone axis, about x and y.", unit="°", low=-90, high=90, step=0.1, decimals=2),
    ] = (0.0, 0.0)
    boundary_shift_angstrom: Annotated[
        float,
        Parameter(
            "Boundary shift",
            "By which the lattice is shifted beyond a boundary through the particle, along it; 0 for none.",
            unit="Å",
            low=-100,
            high=100,
            step=0.1,
            decimals=2,
        ),
    ] = 0.0
    boundary_normal_deg: Annotated[float, Parameter("Boundary normal", "Which way the boundary faces.", unit="°")] = (
        90.0
    )
    boundary_position_angstrom: Annotated[
        float, Parameter("Boundary position", "Of the boundary along its normal.", unit="Å")
    ] = 0.0
    strain_percent: Annotated[
        float,
        Parameter(
            "Strain", "By which the lattice is stretched, the same in all directions.", unit="%", low=-10, high=10
        ),
    ] = 0.0
    b_factor: Annotated[
        float,
        Parameter("B factor", "Debye-Waller factor of all atoms.", unit="Å²", low=0, below=100, step=0.1, decimals=2),
    ] = 0.8

    def __post_init__(self) -> None:
        check(self, "particle")


@with_config(extra="forbid")
@dataclass(frozen=True)
class MicroscopeSettings(Exposure):
    """How it is seen; what a microscopist knows of it has a microscope's usual errors (see the record set).

    How the diffraction records are taken is an :class:`.core.microscope.Exposure`'s; the rest is here.
    """

    energy_ev: Annotated[float, Parameter("Beam energy", "Of the electrons.", unit="eV", low=1e3, high=5e6)] = 200e3
    wave: Annotated[Wave, Parameter("Scattering", "How the exit wave is calculated.")] = "multislice"
    camera_length_mm: Annotated[
        float, Parameter("Camera length", "Effective, of the pattern.", unit="mm", low=10, high=1e5)
    ] = 797.48
    detector_pixel_um: Annotated[
        float, Parameter("Detector pixel", "Of the detector.", unit="µm", low=0.5, high=1000, step=1, decimals=1)
    ] = 25.0
    detector_px: Annotated[int, Parameter("Detector", "Pixels a side; even.", unit="px", low=64, high=8192, step=2)] = (
        2048
    )
    cs_mm: Annotated[
        float, Parameter("Aberration Cs", "Spherical aberration of the image.", unit="mm", low=-50, high=50)
    ] = 1.0
    defocus_nm: Annotated[
        float,
        Parameter("Defocus", "Of the image, underfocus negative.", unit="nm", low=-1e5, high=1e5, step=1, decimals=1),
    ] = -61.3
    defocus_spread_nm: Annotated[
        float, Parameter("Defocus spread", "Standard deviation of the defocus.", unit="nm", low=0, high=1000)
    ] = 4.0
    information_limit_per_angstrom: Annotated[
        float, Parameter("Information limit", "Of the image.", unit="Å⁻¹", low=0.01, high=5, step=0.01, decimals=3)
    ] = 0.52
    image_pixel_angstrom: Annotated[
        float, Parameter("Image pixel", "Nominal, of the image.", unit="Å", low=0.05, high=2)
    ] = 0.36
    image_px: Annotated[
        int, Parameter("Image", "Pixels a side of the image; even.", unit="px", low=64, high=8192, step=2)
    ] = 1024
    image_electrons_per_pixel: Annotated[
        float, Parameter("Image dose", "Of the image.", unit="e⁻/px", above=0, below=6e4, step=10, decimals=0)
    ] = 200.0
    faults: Annotated[
        bool, Parameter("Usual faults", "Records turned and shifted, and a microscopist who errs a little.")
    ] = True

    def __post_init__(self) -> None:
        check(self, "microscope")
        for name in ("detector_px", "image_px"):
            if getattr(self, name) % 2:
                raise InputError(
                    f"a detector of {getattr(self, name)} pixels",
                    where=f"microscope.{name}",
                    mend="give an even number",
                )

    @property
    def q_pixel_per_angstrom(self) -> float:
        """Reciprocal pixel of the detector."""
        return self.detector_pixel_um * 1e-3 / (self.camera_length_mm * wavelength_angstrom(self.energy_ev))


@with_config(extra="forbid")
@dataclass(frozen=True)
class Simulation:
    """A whole simulation; the same settings give the same files."""

    particle: ParticleSettings = field(default_factory=ParticleSettings)
    microscope: MicroscopeSettings = field(default_factory=MicroscopeSettings)
    seed: Annotated[int, Parameter("Seed", "Of noise and faults.", low=0)] = 0
    faults: FaultSettings = field(default_factory=FaultSettings)

    def __post_init__(self) -> None:
        check(self)

    def to_toml(self) -> str:
        """The settings as TOML, which :func:`read_simulation` takes; faults where there are any."""
        table = asdict(self)
        if not self.faults.any():
            del table["faults"]
        return tomli_w.dumps(_without_none(table))


def read_simulation(path: Path) -> Simulation:
    """Read settings from TOML.

    Raises
    ------
    InputError
        If the file cannot be read, or a key or value in it is wrong.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot be read as TOML ({error})", where=str(path)) from error
    try:
        return TypeAdapter(Simulation).validate_python(table)
    except ValidationError as error:
        raise wrong_key(error, where=str(path)) from error


def facet(text: str) -> tuple[str, float]:
    """A form of facets and its distance from the middle, Å, as written ``h k l:distance``.

    Raises
    ------
    InputError
        If it is written otherwise.
    """
    plane, _, distance = text.rpartition(":")
    try:
        return plane.strip(), float(distance)
    except ValueError:
        raise InputError(f"{text.strip()!r} is no facet", mend='give "h k l:distance", such as "1 1 1:35"') from None


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in table.items() if value is not None}
    return {key: _without_none(value) if isinstance(value, Mapping) else value for key, value in kept.items()}
