"""A particle that is known to the last atom, and the records that a microscope would take of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel
from napari_subangstrom_cdi.core.faults import (
    drifted,
    film_phase,
    module_cross,
    outside_stop,
    passed_by_stop,
    uneven_phase,
)
from napari_subangstrom_cdi.core.fourier import inverse
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.potential import ImagingConditions
from napari_subangstrom_cdi.core.microscope import (
    Exposure,
    exit_spectrum,
    film_electrons,
    image_intensity,
    pattern_electrons,
    recorded,
    seen_by_camera,
    substrate_electrons,
)
from napari_subangstrom_cdi.core.record.distortion import stretch_matrix

from .particle import enlarged, particle_atoms
from .settings import MicroscopeSettings, Simulation
from .usual_faults import UsualFaults, usual_faults

TRUTH_GRID = Grid(1024, 400.0)
_BACKGROUND_EXPOSURE = 0.97
_SPECKLE = 0.02
_FILM, _GAIN = 3, 4  # of the seed's own streams of numbers: what else is drawn stays as it is without them
_SHADOWS = 3.0
_GAP_HOLDS: dict[str, tuple[Any, float]] = {
    "0": (np.uint16, 0),
    "-1": (np.int32, -1),
    "65535": (np.uint16, 65535),
    "4294967295": (np.uint32, 2**32 - 1),
    "nan": (np.float32, np.nan),
}


@dataclass(frozen=True)
class RecordSet:
    """Records, and the truth about them.

    Patterns are whole numbers, of the type that holds what stands in the detector's gaps, or float32 where that is NaN
    or a gain reference was used. ``mask`` is True where a pattern's pixel is in a gap or in the beam stop's shadow;
    None where the records have neither.
    """

    settings: Simulation
    usual: UsualFaults
    pattern: NDArray[Any]
    background: NDArray[Any]
    image: NDArray[np.uint16]
    truth: NDArray[np.complex64]
    atoms: AtomicModel
    mask: NDArray[np.bool_] | None = None

    @property
    def acquisition(self) -> dict[str, Any]:
        """What the microscopist knows, as ``acquisition.json`` holds it."""
        return acquisition_of(self)


def simulate(settings: Simulation, told: Callable[[str], None] = lambda part: None) -> RecordSet:
    """Take the records.

    Parameters
    ----------
    settings : Simulation
        Particle, microscope and faults.
    told : callable
        Hears of each part; it may raise to end the simulation.

    Raises
    ------
    InputError
        If a setting makes no sense.
    """
    microscope, usual = settings.microscope, usual_faults(settings)
    told("particle")
    atoms = particle_atoms(settings.particle)
    rng = np.random.default_rng([settings.seed, 2])
    told("pattern")
    layers = tuple(float(a) for a in rng.uniform(0, 60, max(microscope.graphene_layers, 0)))
    detector = Detector.of(settings, usual.beam_px)
    pattern = _record(settings, microscope, detector, usual.beam_px, 0.0, layers, atoms, rng)
    told("background")
    elsewhere = replace(microscope, dose_per_angstrom2=microscope.dose_per_angstrom2 * _BACKGROUND_EXPOSURE)
    turn = usual.background_turn_deg
    background = _record(settings, elsewhere, detector, usual.background_beam_px, turn, layers, None, rng)
    told("image")
    truth = true_object(atoms, microscope)
    image = recorded_image(truth, settings, usual, rng)
    return RecordSet(settings, usual, pattern, background, image, truth, atoms, detector.mask)


def true_object(atoms: AtomicModel, microscope: MicroscopeSettings) -> NDArray[np.complex64]:
    """−i(ψ − 1) on 1,024² pixels over 400 Å, in the pattern's frame."""
    q = TRUTH_GRID.index() * TRUTH_GRID.q_pixel_per_angstrom
    spectrum = exit_spectrum(atoms, q, q, energy_ev=microscope.energy_ev, wave=microscope.wave)
    return inverse((spectrum / TRUTH_GRID.pixel_angstrom**2).astype(np.complex64))


def _record(
    settings: Simulation,
    exposure: Exposure,
    detector: Detector,
    beam_px: tuple[float, float],
    turn_deg: float,
    layers: tuple[float, ...],
    atoms: AtomicModel | None,
    rng: np.random.Generator,
) -> NDArray[Any]:
    microscope, thickness = settings.microscope, settings.faults.film_angstrom
    size = microscope.detector_px
    shape, at = (size, size), (size / 2 + beam_px[0], size / 2 + beam_px[1])
    q_pixel, energy, matrix = microscope.q_pixel_per_angstrom, microscope.energy_ev, detector.matrix
    electrons = substrate_electrons(shape, q_pixel, at, exposure, turned_deg=turn_deg, layers_deg=layers, matrix=matrix)
    seen = atoms if atoms is not None else AtomicModel(np.zeros(0, int), np.zeros((0, 3)))
    electrons += pattern_electrons(
        seen, shape, q_pixel, at, exposure, energy_ev=energy, wave=microscope.wave, matrix=matrix
    )
    if thickness:
        place = np.random.default_rng([settings.seed, _FILM, int(atoms is None)])  # the background has another
        electrons += film_electrons(
            shape, q_pixel, at, exposure, thickness_angstrom=thickness, energy_ev=energy, rng=place, matrix=matrix
        )
    return detector.read_out(electrons, at, exposure, rng)


@dataclass(frozen=True)
class Detector:
    """What stands between the electrons and the files: its pixels' q, the beam stop, gains, gaps.

    Parameters
    ----------
    settings : Simulation
        That it belongs to.
    matrix : ndarray, shape (2, 2), optional
        Brings places on it onto q, where they differ.
    passed : ndarray, optional
        Share of the electrons that pass a beam stop with arm or shadow.
    gains : ndarray, optional
        Gain reference, about 1.
    gaps, mask : ndarray of bool, optional
        Pixels between modules; all pixels that hold nothing.
    """

    settings: Simulation
    matrix: NDArray[np.float64] | None
    passed: NDArray[np.float64] | None
    gains: NDArray[np.float64] | None
    gaps: NDArray[np.bool_] | None
    mask: NDArray[np.bool_] | None

    @classmethod
    def of(cls, settings: Simulation, beam_px: tuple[float, float]) -> Detector:
        """The detector of a simulation, the beam stop where the beam of the particle's pattern falls."""
        microscope, faults = settings.microscope, settings.faults
        size = microscope.detector_px
        shape, q_pixel = (size, size), microscope.q_pixel_per_angstrom
        at = (size / 2 + beam_px[0], size / 2 + beam_px[1])
        passed = gains = gaps = mask = None
        disc = microscope.beam_stop_per_angstrom
        if disc or faults.stop_arm_per_angstrom:
            distance = outside_stop(
                shape,
                at,
                disc_px=disc / q_pixel,
                arm_px=faults.stop_arm_per_angstrom / q_pixel,
                direction_deg=faults.stop_arm_deg,
            )
            mask = distance < max(_SHADOWS * faults.stop_shadow_px, 1e-9)
            if faults.stop_arm_per_angstrom or faults.stop_shadow_px:  # otherwise a disc that follows the beam
                passed = passed_by_stop(distance, faults.stop_shadow_px)
        if faults.gap_px:
            gaps = module_cross(shape, faults.gap_px)
            mask = gaps if mask is None else mask | gaps
        if faults.gain_percent:
            scatter = np.random.default_rng([settings.seed, _GAIN]).standard_normal(shape)
            gains = np.clip(1 + faults.gain_percent / 100 * scatter, 0.2, None)
        return cls(settings, distortion(settings), passed, gains, gaps, mask)

    def read_out(
        self, electrons: NDArray[np.float64], at: tuple[float, float], exposure: Exposure, rng: np.random.Generator
    ) -> NDArray[Any]:
        """Counts as a file has them."""
        if self.passed is not None:
            electrons = electrons * self.passed
        elif exposure.beam_stop_per_angstrom:
            y, x = (np.arange(n) - middle for n, middle in zip(electrons.shape, at, strict=True))
            q = np.hypot(y[:, None], x[None]) * self.settings.microscope.q_pixel_per_angstrom
            electrons[q < exposure.beam_stop_per_angstrom] = 0
        if self.gains is None:
            counts: NDArray[Any] = recorded(electrons, exposure, rng)
        else:  # a pixel of low gain is multiplied by more, and so is the ceiling
            counts = recorded(electrons, exposure, rng, 1 / self.gains).astype(np.float32)
            counts = ((counts - exposure.offset_counts) * self.gains + exposure.offset_counts).astype(np.float32)
        if self.gaps is not None:
            kind, value = _GAP_HOLDS[self.settings.faults.gap_value]
            counts = counts if counts.dtype == np.float32 else counts.astype(kind)
            counts[self.gaps] = value
        return counts


def distortion(settings: Simulation) -> NDArray[np.float64] | None:
    """What brings places on the detector onto q, (y, x) from the beam, shape (2, 2); None where they are the same."""
    faults = settings.faults
    if not faults.ellipse_percent and not faults.pixel_ratio_percent:
        return None
    return stretch_matrix(faults.ellipse_percent, faults.ellipse_deg, faults.pixel_ratio_percent)


def recorded_image(
    truth: NDArray[np.complex64], settings: Simulation, usual: UsualFaults, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Counts of the TEM image of an object on the truth's grid."""
    microscope = settings.microscope
    camera = (microscope.image_px, microscope.image_px)
    seen = _seen(truth, settings, usual)
    if microscope.faults:  # a substrate's speckle
        seen = seen + _SPECKLE * rng.standard_normal(camera)
    electrons = np.maximum(seen, 0) * microscope.image_electrons_per_pixel
    counts = (rng.poisson(electrons) if microscope.noise else np.rint(electrons)).clip(0, 65535).astype(np.uint16)
    return np.ascontiguousarray(counts[:, ::-1]) if settings.faults.mirrored else counts


def _seen(truth: NDArray[np.complex64], settings: Simulation, usual: UsualFaults) -> NDArray[np.float64]:
    """What falls on the image's camera, the vacuum at 1: particle, film and neighbour."""
    microscope, faults = settings.microscope, settings.faults
    pixel = microscope.image_pixel_angstrom * usual.magnification
    taken = partial(
        seen_by_camera,
        grid=TRUTH_GRID,
        shape=(microscope.image_px, microscope.image_px),
        pixel_angstrom=pixel,
        rotation_deg=usual.rotation_deg,
        centre_px=usual.image_centre_px,
    )
    if faults.film_angstrom:
        rng = np.random.default_rng([settings.seed, _FILM])
        film = np.exp(1j * film_phase(TRUTH_GRID, faults.film_angstrom, microscope.energy_ev, rng))
        fields = (-1j * (film - 1), -1j * ((1 + 1j * truth) * film - 1))
        bare, both = (_lens_image(one.astype(np.complex64), settings, usual.rotation_deg) for one in fields)
        seen = taken(bare, periodic=True) + taken(1 + both - bare) - 1  # the film is everywhere, the particle once
    else:
        seen = taken(_lens_image(truth, settings, usual.rotation_deg))
    if faults.neighbour_angstrom:
        seen = seen + _neighbour(settings, usual, pixel) - 1
    return seen


def _lens_image(field: NDArray[np.complex64], settings: Simulation, rotation_deg: float) -> NDArray[np.float64]:
    """Intensity behind the lens, on the truth's grid, whose axes are those of the image turned by the rotation."""
    microscope, faults = settings.microscope, settings.faults
    conditions = ImagingConditions(
        microscope.energy_ev,
        microscope.cs_mm,
        microscope.defocus_nm,
        microscope.defocus_spread_nm,
        microscope.information_limit_per_angstrom,
    )
    added = None
    if faults.astigmatism_nm or faults.coma_nm:
        q = TRUTH_GRID.index() * TRUTH_GRID.q_pixel_per_angstrom
        added = uneven_phase(
            q[:, None],
            q[None],
            microscope.energy_ev,
            astigmatism_nm=faults.astigmatism_nm,
            astigmatism_deg=faults.astigmatism_deg + rotation_deg,
            coma_nm=faults.coma_nm,
            coma_deg=faults.coma_deg + rotation_deg,
        )
    intensity = image_intensity(field, TRUTH_GRID, conditions, added)
    if faults.drift_angstrom:
        intensity = drifted(intensity, TRUTH_GRID, faults.drift_angstrom, faults.drift_deg + rotation_deg)
    return intensity


def _neighbour(settings: Simulation, usual: UsualFaults, pixel_angstrom: float) -> NDArray[np.float64]:
    """The image of the second particle alone; its wave and the first one's do not interfere."""
    microscope, faults = settings.microscope, settings.faults
    field = true_object(particle_atoms(enlarged(settings.particle, faults.neighbour_size)), microscope)
    rotation = usual.rotation_deg - faults.neighbour_turn_deg
    angle, way = np.radians(faults.neighbour_deg), faults.neighbour_angstrom / pixel_angstrom
    y, x = usual.image_centre_px
    return seen_by_camera(
        _lens_image(field, settings, rotation),
        TRUTH_GRID,
        (microscope.image_px, microscope.image_px),
        pixel_angstrom,
        rotation_deg=rotation,
        centre_px=(y + way * float(np.sin(angle)), x + way * float(np.cos(angle))),
    )


def acquisition_of(records: RecordSet) -> dict[str, Any]:
    """What the microscopist knows, as ``acquisition.json`` holds it."""
    microscope, usual = records.settings.microscope, records.usual
    return {
        "beam_energy_kV": microscope.energy_ev / 1e3,
        "camera_length_mm": microscope.camera_length_mm,
        "detector_pixel_um": microscope.detector_pixel_um,
        "counts_per_electron": microscope.counts_per_electron,
        "dark_noise_electrons": microscope.dark_noise_electrons,
        "image_pixel_nominal_A": microscope.image_pixel_angstrom,
        "cs_mm": microscope.cs_mm,
        "defocus_nm": usual.told_defocus_nm,
        "defocus_spread_nm": microscope.defocus_spread_nm,
        "information_limit_per_A": microscope.information_limit_per_angstrom,
        "image_to_pattern_rotation_deg": usual.told_rotation_deg,
        "note": "simulated; nominal values carry a microscope's usual errors",
    }


def answer_of(records: RecordSet) -> dict[str, Any]:
    """What alignment and fit should find."""
    usual, microscope = records.usual, records.settings.microscope
    moved = [b - a for a, b in zip(usual.beam_px, usual.background_beam_px, strict=True)]
    answer = {
        "phi": usual.rotation_deg,
        "mag": usual.magnification,
        "ctr": list(usual.beam_px),
        "bshift": moved,
        "brot": usual.background_turn_deg,
        "dose": microscope.dose_per_angstrom2 / 1e4,
        "res": microscope.information_limit_per_angstrom,
        "seed": records.settings.seed,
        "defocus_nm": microscope.defocus_nm,
    }
    if not records.settings.faults.any():
        return answer
    matrix = distortion(records.settings)
    stretched = {} if matrix is None else {"q_of_detector": matrix.tolist()}
    return answer | stretched | {"faults": records.settings.faults.given()}
