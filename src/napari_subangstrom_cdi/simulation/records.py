"""A particle that is known to the last atom, and the records that a microscope would take of it."""

from __future__ import annotations

import json
import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import mrcfile
import numpy as np
import tifffile
import tomli_w
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError, with_config

from napari_subangstrom_cdi.core.crystal.habit import Solid, cut_solid, equivalent_planes, faceted
from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel
from napari_subangstrom_cdi.core.crystal.nanocrystal import Boundary
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal, zone_axis
from napari_subangstrom_cdi.core.electron import wavelength_angstrom
from napari_subangstrom_cdi.core.fourier import inverse
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.potential import ImagingConditions
from napari_subangstrom_cdi.core.microscope import (
    Exposure,
    Wave,
    exit_spectrum,
    image_intensity,
    pattern_electrons,
    recorded,
    seen_by_camera,
    substrate_electrons,
)
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import check_writable
from napari_subangstrom_cdi.io.atomic import atomic_path
from napari_subangstrom_cdi.parameters import Parameter, check, wrong_key

TRUTH_GRID = Grid(1024, 400.0)
_TRUTH_KEPT = 512
RECORD_FILES = {"pattern": "particle.tif", "background": "background.tif", "image": "image.mrc"}
_BACKGROUND_EXPOSURE = 0.97
_SPECKLE = 0.02


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

    def __post_init__(self) -> None:
        check(self)

    def to_toml(self) -> str:
        """The settings as TOML, which :func:`read_simulation` takes."""
        return tomli_w.dumps(_without_none(asdict(self)))


@dataclass(frozen=True)
class Faults:
    """What is off when records are taken; drawn from the seed.

    Parameters
    ----------
    rotation_deg : float
        That brings the image's axes onto the pattern's.
    magnification : float
        True over nominal pixel of the image.
    beam_px, background_beam_px : (float, float)
        Where the beam falls, from the detector's middle, (y, x).
    background_turn_deg : float
        Of the background record about its beam.
    image_centre_px : (float, float)
        Where the particle is in the image.
    told_rotation_deg, told_defocus_nm : float
        What the microscopist writes down.
    """

    rotation_deg: float = 0.0
    magnification: float = 1.0
    beam_px: tuple[float, float] = (0.0, 0.0)
    background_beam_px: tuple[float, float] = (0.0, 0.0)
    background_turn_deg: float = 0.0
    image_centre_px: tuple[float, float] = (512.0, 512.0)
    told_rotation_deg: float = 0.0
    told_defocus_nm: float = -61.3


@dataclass(frozen=True)
class RecordSet:
    """Records, and the truth about them."""

    settings: Simulation
    faults: Faults
    pattern: NDArray[np.uint16]
    background: NDArray[np.uint16]
    image: NDArray[np.uint16]
    truth: NDArray[np.complex64]
    atoms: AtomicModel

    @property
    def acquisition(self) -> dict[str, Any]:
        """What the microscopist knows, as ``acquisition.json`` holds it."""
        return acquisition_of(self)


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


def particle_atoms(settings: ParticleSettings) -> AtomicModel:
    """The atoms of a particle, centred on the beam.

    Raises
    ------
    InputError
        If crystal, zone or shape make no sense.
    """
    cell = crystal(settings.crystal).scaled(1 + settings.strain_percent / 100)
    zone = zone_axis(settings.zone)
    orientation = Orientation(zone, settings.azimuth_deg, settings.tilt_deg)
    boundary = None
    if settings.boundary_shift_angstrom:
        along = math.radians(settings.boundary_normal_deg - 90)
        shift = settings.boundary_shift_angstrom
        boundary = Boundary.edge_on(
            settings.boundary_normal_deg,
            settings.boundary_position_angstrom,
            (shift * math.cos(along), shift * math.sin(along)),
        )
    return cut_solid(cell, orientation, particle_solid(settings), b_factor=settings.b_factor, boundary=boundary)


def particle_solid(settings: ParticleSettings) -> Solid:
    """The body that a particle is cut to, in its crystal's axes."""
    cell = crystal(settings.crystal)
    if settings.facets:
        body = faceted(cell, {_plane(text): distance for text, distance in settings.facets.items()})
        normals, distances, radius = body.normals, body.distances_angstrom, body.radius_angstrom
    elif settings.prism is not None:
        if settings.thickness_angstrom is None:
            raise InputError("a prism without a thickness", mend="give --thickness")
        normals = np.array([g / np.linalg.norm(g) for g in _side_faces(settings)])
        distances, radius = np.full(len(normals), settings.diameter_angstrom / 2), math.inf
    else:
        normals, distances, radius = np.zeros((0, 3)), np.zeros(0), settings.diameter_angstrom / 2
    if settings.thickness_angstrom is not None:
        up, half = cell.zone_direction(zone_axis(settings.zone)), settings.thickness_angstrom / 2
        normals, distances = np.vstack([normals, up, -up]), np.append(distances, [half, half])
    return Solid(normals, distances, radius)


def _side_faces(settings: ParticleSettings) -> list[NDArray[np.float64]]:
    """Normals of a prism's faces: those of the form that hold the zone axis."""
    cell, zone = crystal(settings.crystal), zone_axis(settings.zone)
    planes = equivalent_planes(cell, _plane(str(settings.prism)))
    planes += [(-h, -k, -m) for h, k, m in planes]
    sides = {plane for plane in planes if np.dot(plane, zone) == 0}
    if len(sides) < 3:
        raise InputError(
            f"the faces {settings.prism} do not close a prism along [{settings.zone}]",
            mend="give faces that hold the zone axis",
        )
    return [np.asarray(plane, float) @ cell.reciprocal_per_angstrom for plane in sorted(sides)]


def _plane(text: str) -> tuple[int, int, int]:
    """(hkl) from three indices or four."""
    try:
        indices = [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        indices = []
    if len(indices) == 4 and indices[0] + indices[1] + indices[2] == 0:
        indices = [indices[0], indices[1], indices[3]]
    if len(indices) != 3 or not any(indices):
        raise InputError(f"{text!r} are no Miller indices", mend='give three such as "1 1 1", or four')
    return indices[0], indices[1], indices[2]


def usual_faults(settings: Simulation) -> Faults:
    """What goes wrong, drawn from the seed; nothing if the settings say so."""
    microscope = settings.microscope
    if not microscope.faults:
        middle = microscope.image_px / 2
        return Faults(image_centre_px=(middle, middle), told_defocus_nm=microscope.defocus_nm)
    rng = np.random.default_rng([settings.seed, 1])
    rotation = float(rng.uniform(-180, 180))
    pixels = 25.0 / microscope.detector_pixel_um  # of an imaging plate, in the detector's
    beam = rng.uniform(-15, 15, 2) * pixels
    moved = rng.uniform(-3, 3, 2) * pixels
    return Faults(
        rotation_deg=rotation,
        magnification=float(rng.uniform(0.975, 1.025)),
        beam_px=(float(beam[0]), float(beam[1])),
        background_beam_px=(float(beam[0] + moved[0]), float(beam[1] + moved[1])),
        background_turn_deg=float(rng.uniform(-0.4, 0.4)),
        image_centre_px=(_off_centre(microscope.image_px, rng), _off_centre(microscope.image_px, rng)),
        told_rotation_deg=round(rotation + float(rng.uniform(-3.5, 3.5)), 1),
        told_defocus_nm=round(microscope.defocus_nm + float(rng.normal(0, 2.0)), 1),
    )


def _off_centre(size: int, rng: np.random.Generator) -> float:
    return size / 2 + float(rng.uniform(-40, 40)) * size / 1024


def simulate(settings: Simulation, told: Callable[[str], None] = lambda part: None) -> RecordSet:
    """Take the records.

    Parameters
    ----------
    settings : Simulation
        Particle and microscope.
    told : callable
        Hears of each part; it may raise to end the simulation.

    Raises
    ------
    InputError
        If a setting makes no sense.
    """
    microscope, faults = settings.microscope, usual_faults(settings)
    told("particle")
    atoms = particle_atoms(settings.particle)
    rng = np.random.default_rng([settings.seed, 2])
    told("pattern")
    layers = tuple(float(a) for a in rng.uniform(0, 60, max(microscope.graphene_layers, 0)))
    pattern = _record(settings, microscope, faults.beam_px, 0.0, layers, atoms, rng)
    told("background")
    elsewhere = replace(microscope, dose_per_angstrom2=microscope.dose_per_angstrom2 * _BACKGROUND_EXPOSURE)
    turn = faults.background_turn_deg
    background = _record(settings, elsewhere, faults.background_beam_px, turn, layers, None, rng)
    told("image")
    truth = true_object(atoms, microscope)
    image = _image(truth, settings, faults, rng)
    return RecordSet(settings, faults, pattern, background, image, truth, atoms)


def true_object(atoms: AtomicModel, microscope: MicroscopeSettings) -> NDArray[np.complex64]:
    """−i(ψ − 1) on 1,024² pixels over 400 Å, in the pattern's frame."""
    q = TRUTH_GRID.index() * TRUTH_GRID.q_pixel_per_angstrom
    spectrum = exit_spectrum(atoms, q, q, energy_ev=microscope.energy_ev, wave=microscope.wave)
    return inverse((spectrum / TRUTH_GRID.pixel_angstrom**2).astype(np.complex64))


def _record(
    settings: Simulation,
    exposure: Exposure,
    beam_px: tuple[float, float],
    turn_deg: float,
    layers: tuple[float, ...],
    atoms: AtomicModel | None,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    microscope = settings.microscope
    size = microscope.detector_px
    shape, at = (size, size), (size / 2 + beam_px[0], size / 2 + beam_px[1])
    q_pixel = microscope.q_pixel_per_angstrom
    electrons = substrate_electrons(shape, q_pixel, at, exposure, turned_deg=turn_deg, layers_deg=layers)
    seen = atoms if atoms is not None else AtomicModel(np.zeros(0, int), np.zeros((0, 3)))
    electrons += pattern_electrons(
        seen, shape, q_pixel, at, exposure, energy_ev=microscope.energy_ev, wave=microscope.wave
    )
    if exposure.beam_stop_per_angstrom:
        y, x = (np.arange(n) - middle for n, middle in zip(shape, at, strict=True))
        electrons[np.hypot(y[:, None], x[None]) * q_pixel < exposure.beam_stop_per_angstrom] = 0
    return recorded(electrons, exposure, rng)


def _image(
    truth: NDArray[np.complex64], settings: Simulation, faults: Faults, rng: np.random.Generator
) -> NDArray[np.uint16]:
    microscope = settings.microscope
    conditions = ImagingConditions(
        microscope.energy_ev,
        microscope.cs_mm,
        microscope.defocus_nm,
        microscope.defocus_spread_nm,
        microscope.information_limit_per_angstrom,
    )
    camera = (microscope.image_px, microscope.image_px)
    seen = seen_by_camera(
        image_intensity(truth, TRUTH_GRID, conditions),
        TRUTH_GRID,
        camera,
        microscope.image_pixel_angstrom * faults.magnification,
        rotation_deg=faults.rotation_deg,
        centre_px=faults.image_centre_px,
    )
    if microscope.faults:  # a substrate's speckle
        seen = seen + _SPECKLE * rng.standard_normal(camera)
    electrons = np.maximum(seen, 0) * microscope.image_electrons_per_pixel
    return (rng.poisson(electrons) if microscope.noise else np.rint(electrons)).clip(0, 65535).astype(np.uint16)


def acquisition_of(records: RecordSet) -> dict[str, Any]:
    """What the microscopist knows, as ``acquisition.json`` holds it."""
    microscope, faults = records.settings.microscope, records.faults
    return {
        "beam_energy_kV": microscope.energy_ev / 1e3,
        "camera_length_mm": microscope.camera_length_mm,
        "detector_pixel_um": microscope.detector_pixel_um,
        "counts_per_electron": microscope.counts_per_electron,
        "dark_noise_electrons": microscope.dark_noise_electrons,
        "image_pixel_nominal_A": microscope.image_pixel_angstrom,
        "cs_mm": microscope.cs_mm,
        "defocus_nm": faults.told_defocus_nm,
        "defocus_spread_nm": microscope.defocus_spread_nm,
        "information_limit_per_A": microscope.information_limit_per_angstrom,
        "image_to_pattern_rotation_deg": faults.told_rotation_deg,
        "note": "simulated; nominal values carry a microscope's usual errors",
    }


def answer_of(records: RecordSet) -> dict[str, Any]:
    """What alignment and fit should find."""
    faults, microscope = records.faults, records.settings.microscope
    moved = [b - a for a, b in zip(faults.beam_px, faults.background_beam_px, strict=True)]
    return {
        "phi": faults.rotation_deg,
        "mag": faults.magnification,
        "ctr": list(faults.beam_px),
        "bshift": moved,
        "brot": faults.background_turn_deg,
        "dose": microscope.dose_per_angstrom2 / 1e4,
        "res": microscope.information_limit_per_angstrom,
        "seed": records.settings.seed,
        "defocus_nm": microscope.defocus_nm,
    }


def check_folder(folder: Path) -> None:
    """Whether a record set could be written there, before time is spent on it; nothing is made.

    Raises
    ------
    InputError
        If it could not.
    """
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError("nothing can be written there", where=str(folder), mend="give another folder")


def write_records(records: RecordSet, folder: Path) -> None:
    """Write a record set into a folder: every file whole or not at all.

    Raises
    ------
    InputError
        If the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(error.strerror or str(error), where=str(folder), mend="give another folder") from error
    check_writable(folder / "truth.npz")
    for role, record in (("pattern", records.pattern), ("background", records.background)):
        with atomic_path(folder / RECORD_FILES[role]) as path:
            tifffile.imwrite(path, record, compression="zlib")
    with atomic_path(folder / RECORD_FILES["image"]) as path, mrcfile.new(path, overwrite=True) as file:
        file.set_data(records.image)
        file.voxel_size = records.settings.microscope.image_pixel_angstrom
    for name, values in (("acquisition.json", acquisition_of(records)), ("answer.json", answer_of(records))):
        with atomic_path(folder / name) as path:
            path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    edge = (TRUTH_GRID.n - _TRUTH_KEPT) // 2
    middle = slice(edge, edge + _TRUTH_KEPT)
    with atomic_path(folder / "truth.npz") as path, path.open("wb") as stream:
        np.savez_compressed(stream, object=records.truth[middle, middle], pixel_A=TRUTH_GRID.pixel_angstrom)
    with atomic_path(folder / "model.npz") as path, path.open("wb") as stream:
        positions = records.atoms.positions_angstrom.astype(np.float32)
        np.savez_compressed(stream, numbers=records.atoms.numbers, positions_A=positions)
    with atomic_path(folder / "simulation.toml") as path:
        path.write_text(records.settings.to_toml(), encoding="utf-8")


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in table.items() if value is not None}
    return {key: _without_none(value) if isinstance(value, Mapping) else value for key, value in kept.items()}
