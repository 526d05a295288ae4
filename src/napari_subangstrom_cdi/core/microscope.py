"""What a microscope would record of a particle whose atoms are known: exit wave, pattern, image."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel, Multislice, spectrum_of
from napari_subangstrom_cdi.core.crystal.scattering import electron_scattering_factor
from napari_subangstrom_cdi.core.image.potential import ImagingConditions, aberration_phase
from napari_subangstrom_cdi.parameters import Parameter, check

from .electron import wavelength_angstrom
from .faults import carbon_power, speckle
from .fourier import fit_to_size, inverse, transform
from .grid import Grid
from .types import Complex64, Float64

Wave = Literal["multislice", "phase-object", "kinematic"]

WAVES: tuple[Wave, ...] = get_args(Wave)
WAVE_TO = 1.8  # Å⁻¹; waves reach to 2.7 then: well beyond a pattern to 1.28 Å⁻¹, which would cut what couples to it
_FOCUS_STEPS = 9
_GRAPHENE_A = 2.461  # Å
_GRAPHENE_REACH = 1.4  # Å⁻¹


@dataclass(frozen=True)
class Exposure:
    """How a diffraction record is taken.

    Parameters
    ----------
    dose_per_angstrom2 : float
        Electrons that fall on each Å² of the particle: 10⁴ is 10⁶ per nm².
    beam_fwhm_angstrom : float
        Diameter of the (Gaussian) beam.
    coherence_angstrom : float
        Lateral coherence length L: the degree of coherence of two points r apart is exp(−r²/2L²).
    counts_per_electron, dark_noise_electrons, offset_counts : float
        Gain, dark noise and offset of the detector.
    saturation_counts : int
        Highest count.
    beam_stop_per_angstrom : float
        Radius of a beam stop; 0 for none.
    inelastic : float
        Scattering of substrate and particle between the spots, in units of the usual; 0 for none.
    graphene_layers : int
        Of the substrate.
    noise : bool
        Whether electrons are counted and the detector is noisy; otherwise counts are those expected, rounded.
    """

    dose_per_angstrom2: Annotated[
        float,
        Parameter("Dose", "On the particle, in a pattern.", unit="e⁻/Å²", above=0, below=1e9, step=1000, decimals=0),
    ] = 1e4
    beam_fwhm_angstrom: Annotated[
        float,
        Parameter(
            "Beam width", "Full width of the beam at half its maximum.", unit="Å", above=0, below=1e9, decimals=0
        ),
    ] = 400.0
    coherence_angstrom: Annotated[
        float,
        Parameter("Coherence", "Lateral coherence length.", unit="Å", above=0, below=1e9, step=10, decimals=0),
    ] = 350.0
    counts_per_electron: Annotated[
        float,
        Parameter("Gain", "Counts that one electron gives.", unit="counts/e⁻", above=0, below=1e9),
    ] = 0.8
    dark_noise_electrons: Annotated[
        float,
        Parameter("Dark noise", "Of the detector, a pixel.", unit="e⁻", low=0, below=1e6),
    ] = 1.0
    offset_counts: float = 20.0
    saturation_counts: Annotated[
        int,
        Parameter("Saturation", "Highest count of the detector.", unit="counts", low=1, high=65535, step=1000),
    ] = 65535
    beam_stop_per_angstrom: Annotated[
        float,
        Parameter("Beam stop", "Its radius; 0 for none.", unit="Å⁻¹", low=0, below=1e6, step=0.01, decimals=3),
    ] = 0.0
    inelastic: Annotated[
        float,
        Parameter("Inelastic", "Scattering between the spots, in units of the usual; 0 for none.", low=0, below=1e6),
    ] = 1.0
    graphene_layers: Annotated[
        int,
        Parameter("Graphene", "Layers of the substrate.", unit="layers", low=0, below=1e6),
    ] = 2
    noise: Annotated[bool, Parameter("Noise", "Counting noise and the detector's.")] = True

    def __post_init__(self) -> None:
        check(self)


def exit_spectrum(
    atoms: AtomicModel,
    q_rows_per_angstrom: Float64,
    q_columns_per_angstrom: Float64,
    *,
    energy_ev: float,
    wave: Wave = "multislice",
) -> Complex64:
    """∫ O(r) exp(−2πi q·r) d²r of the object O = −i(ψ − 1), Å², shape (rows, columns).

    Parameters
    ----------
    atoms : AtomicModel
        The particle.
    q_rows_per_angstrom, q_columns_per_angstrom : ndarray
        q_y of each row and q_x of each column.
    energy_ev : float
        Of the beam.
    wave : {'multislice', 'phase-object', 'kinematic'}
        Dynamical scattering slice by slice; exp(iσV) of the whole projection; single scattering.
    """
    return spectrum_of(*_wave(atoms, energy_ev, wave), q_rows_per_angstrom, q_columns_per_angstrom)


def _stretched_spectrum(
    atoms: AtomicModel, rows: Float64, columns: Float64, matrix: Float64, energy_ev: float, wave: Wave
) -> Complex64:
    """The object's transform at q = matrix · (row, column), exactly: no interpolation.

    The matrix is a turn, which the atoms take the other way, after one that keeps q_y the same along a row.
    """
    turn, triangle = np.linalg.qr(matrix[::-1, ::-1])
    turn, triangle = turn[::-1, ::-1], triangle[::-1, ::-1]
    sign = np.sign(np.diag(triangle))
    turn, triangle = turn * sign, sign[:, None] * triangle
    places = atoms.positions_angstrom.copy()
    places[:, [1, 0]] = places[:, [1, 0]] @ turn
    turned = replace(atoms, positions_angstrom=places)
    moved = triangle[1, 0] * rows
    return spectrum_of(*_wave(turned, energy_ev, wave), triangle[0, 0] * rows, triangle[1, 1] * columns, moved)


def _q_of(rows: Float64, columns: Float64, matrix: Float64) -> tuple[Float64, Float64]:
    """q_y and q_x of each pixel, from places of rows and columns."""
    y, x = rows[:, None], columns[None]
    return matrix[0, 0] * y + matrix[0, 1] * x, matrix[1, 0] * y + matrix[1, 1] * x


def _axes(shape: tuple[int, int], at: tuple[float, float], step: float) -> tuple[Float64, Float64]:
    """Coordinates of rows and columns from a place (y, x) in pixels."""
    y, x = ((np.arange(n, dtype=np.float64) - middle) * step for n, middle in zip(shape, at, strict=True))
    return y, x


def _wave(atoms: AtomicModel, energy_ev: float, wave: Wave) -> tuple[Complex64, Grid]:
    if wave == "kinematic":
        return Multislice(energy_ev, WAVE_TO).kinematic_wave(atoms)
    return Multislice(energy_ev, WAVE_TO, 2.0 if wave == "multislice" else math.inf).wave(atoms)


def pattern_electrons(
    atoms: AtomicModel,
    shape: tuple[int, int],
    q_pixel_per_angstrom: float,
    beam_px: tuple[float, float],
    exposure: Exposure,
    *,
    energy_ev: float,
    wave: Wave = "multislice",
    matrix: Float64 | None = None,
) -> Float64:
    """Electrons that a particle scatters into each pixel, the direct beam with them, shape (rows, columns).

    The beam's amplitude and the particle's interfere where they overlap. A source of finite size convolves.

    Parameters
    ----------
    atoms, exposure, energy_ev, wave
        What is seen, and how.
    shape, q_pixel_per_angstrom, beam_px
        The detector, and where the beam falls, (y, x).
    matrix : ndarray, shape (2, 2), optional
        Brings places on the detector, (y, x) from the beam, onto q, where the pattern is stretched.
    """
    q_rows, q_columns = _axes(shape, beam_px, q_pixel_per_angstrom)
    if matrix is None:
        amplitude = exit_spectrum(atoms, q_rows, q_columns, energy_ev=energy_ev, wave=wave) * np.complex64(1j)
        amplitude += beam_amplitude(q_rows, q_columns, exposure.beam_fwhm_angstrom)
    else:
        amplitude = _stretched_spectrum(atoms, q_rows, q_columns, matrix, energy_ev, wave) * np.complex64(1j)
        amplitude += _beam_at(np.hypot(*_q_of(q_rows, q_columns, matrix)), exposure.beam_fwhm_angstrom)
    intensity = np.square(amplitude.real, dtype=np.float32) + np.square(amplitude.imag, dtype=np.float32)
    blur = 1 / (2 * math.pi * exposure.coherence_angstrom) / q_pixel_per_angstrom
    per_pixel = exposure.dose_per_angstrom2 * q_pixel_per_angstrom**2
    if matrix is not None:
        per_pixel *= abs(float(np.linalg.det(matrix)))
    return np.asarray(ndi.gaussian_filter(intensity.astype(np.float64), blur) * per_pixel, np.float64)


def beam_amplitude(q_rows: Float64, q_columns: Float64, fwhm_angstrom: float) -> Complex64:
    """Transform of a Gaussian beam's amplitude, 1 in its middle, Å²."""
    width = _beam_width(fwhm_angstrom)
    lines = [np.exp(-2 * (math.pi * width * q) ** 2) for q in (q_rows, q_columns)]
    return (2 * math.pi * width**2 * np.outer(*lines)).astype(np.complex64)


def _beam_width(fwhm_angstrom: float) -> float:
    return fwhm_angstrom / (2 * math.sqrt(math.log(2)))  # exp(−r²/2w²) in amplitude, its square is half at fwhm/2


def _beam_at(q: Float64, fwhm_angstrom: float) -> Complex64:
    width = _beam_width(fwhm_angstrom)
    return (2 * math.pi * width**2 * np.exp(-2 * (math.pi * width * q) ** 2)).astype(np.complex64)


def film_electrons(
    shape: tuple[int, int],
    q_pixel_per_angstrom: float,
    beam_px: tuple[float, float],
    exposure: Exposure,
    *,
    thickness_angstrom: float,
    energy_ev: float,
    rng: np.random.Generator,
    matrix: Float64 | None = None,
) -> Float64:
    """Electrons that a film of amorphous carbon scatters from the beam: rings and their speckle, shape (rows, columns).

    Single scattering; it does not interfere with the particle's.

    Parameters
    ----------
    shape, q_pixel_per_angstrom, beam_px, exposure, energy_ev, matrix
        As of :func:`pattern_electrons`.
    thickness_angstrom : float
        Of the film.
    rng : numpy.random.Generator
        Of the speckle: another place on the film has another.
    """
    rows, columns = _axes(shape, beam_px, q_pixel_per_angstrom)
    linear = np.eye(2) if matrix is None else matrix
    power = carbon_power(np.hypot(*_q_of(rows, columns, linear)), thickness_angstrom, energy_ev)
    area = math.pi * exposure.beam_fwhm_angstrom**2 / (4 * math.log(2))
    share = exposure.dose_per_angstrom2 * area * q_pixel_per_angstrom**2 * abs(float(np.linalg.det(linear)))
    grain = 1 / (2 * math.pi * _beam_width(exposure.beam_fwhm_angstrom)) / q_pixel_per_angstrom
    blur = 1 / (2 * math.pi * exposure.coherence_angstrom) / q_pixel_per_angstrom
    return np.asarray(ndi.gaussian_filter(share * power * speckle(shape, grain, rng), blur), np.float64)


def substrate_electrons(
    shape: tuple[int, int],
    q_pixel_per_angstrom: float,
    beam_px: tuple[float, float],
    exposure: Exposure,
    *,
    turned_deg: float = 0.0,
    layers_deg: tuple[float, ...] = (),
    matrix: Float64 | None = None,
) -> Float64:
    """Electrons that go elsewhere than into the particle's pattern: substrate, inelastic, shape (rows, columns).

    Parameters
    ----------
    shape, q_pixel_per_angstrom, beam_px, exposure, matrix
        As of :func:`pattern_electrons`.
    turned_deg : float
        By which the record is turned about the beam, from +x towards +y.
    layers_deg : tuple of float
        Azimuths of the graphene layers.
    """
    rows, columns = _axes(shape, beam_px, q_pixel_per_angstrom)
    q = np.hypot(rows[:, None], columns[None]) if matrix is None else np.hypot(*_q_of(rows, columns, matrix))
    # a sharp and a wide exponential: what few-layer carbon and a particle of some nm leave between the spots
    density = 1.75e9 * np.exp(-q / 0.0128) + 3.4e7 * np.exp(-q / 0.17) + 9e5
    share = exposure.dose_per_angstrom2 / 1e4 * q_pixel_per_angstrom**2
    if matrix is not None:
        share *= abs(float(np.linalg.det(matrix)))
    found = exposure.inelastic * density * share
    for layer in layers_deg[: exposure.graphene_layers]:
        _add_graphene(found, rows, columns, layer + turned_deg, share, q_pixel_per_angstrom, matrix)
    return np.asarray(found, np.float64)


def _add_graphene(
    into: Float64,
    rows: Float64,
    columns: Float64,
    azimuth_deg: float,
    share: float,
    q_pixel: float,
    matrix: Float64 | None,
) -> None:
    """Spots of one layer, kinematic: widths of the beam's convergence, strength as |F|²."""
    angle = math.radians(azimuth_deg)
    first = 2 / (math.sqrt(3) * _GRAPHENE_A) * np.array([math.cos(angle), math.sin(angle)])
    second = 2 / (math.sqrt(3) * _GRAPHENE_A) * np.array([math.cos(angle + math.pi / 3), math.sin(angle + math.pi / 3)])
    width = 0.0019  # Å⁻¹
    for h in range(-4, 5):
        for k in range(-4, 5):
            g = h * first + k * second
            q = float(np.hypot(*g))
            if not 0 < q < _GRAPHENE_REACH:
                continue
            factor = float(electron_scattering_factor(6, np.array([q]))[0]) * abs(1 + np.exp(2j * np.pi * (h - k) / 3))
            total = 9e2 * factor**2 / (2 * math.pi * (width / q_pixel) ** 2) * share / 1.5625e-6
            if matrix is not None:
                _add_stretched_spot(into, rows, columns, g[::-1], width, total, matrix)
                continue
            line_y, line_x = (
                np.exp(-((axis - at) ** 2) / (2 * width**2)) for axis, at in ((rows, g[1]), (columns, g[0]))
            )
            near_y, near_x = line_y > 1e-6, line_x > 1e-6
            into[np.ix_(near_y, near_x)] += total * np.outer(line_y[near_y], line_x[near_x])


def _add_stretched_spot(
    into: Float64, rows: Float64, columns: Float64, g: Float64, width: float, total: float, matrix: Float64
) -> None:
    """A Gaussian at g = (q_y, q_x) on pixels whose q is matrix · (row, column)."""
    place = np.linalg.solve(matrix, g)
    reach = 6 * width / float(np.linalg.svd(matrix, compute_uv=False)[-1])
    near = np.ix_(*(np.abs(axis - at) < reach for axis, at in zip((rows, columns), place, strict=True)))
    y, x = _q_of(rows[near[0][:, 0]], columns[near[1][0]], matrix)
    into[near] += total * np.exp(-((y - g[0]) ** 2 + (x - g[1]) ** 2) / (2 * width**2))


def recorded(
    electrons: Float64, exposure: Exposure, rng: np.random.Generator, sensitivity: Float64 | float = 1.0
) -> NDArray[np.uint16]:
    """Counts of a detector: Poisson electrons, gain, dark noise, offset, saturation; rounded.

    ``sensitivity`` multiplies each pixel's gain.
    """
    caught = np.minimum(electrons, 1e12)
    if exposure.noise:
        caught = rng.poisson(caught) + exposure.dark_noise_electrons * rng.standard_normal(electrons.shape)
    counts = np.rint(caught * exposure.counts_per_electron * sensitivity + exposure.offset_counts)
    return np.clip(counts, 0, exposure.saturation_counts).astype(np.uint16)


def image_intensity(
    object_field: Complex64, grid: Grid, conditions: ImagingConditions, added_phase: Float64 | None = None
) -> Float64:
    """Intensity of a TEM image of −i(ψ − 1), the vacuum at 1, shape (n, n): focus spread summed incoherently.

    Parameters
    ----------
    object_field : ndarray of complex64, shape (n, n)
        Centred, on ``grid``.
    grid : Grid
        Sampling; the image has twice the object's band, which the grid must hold.
    conditions : ImagingConditions
        Of the lens.
    added_phase : ndarray, shape (n, n), optional
        Added to the round lens's χ(q), radians: see :func:`.core.faults.uneven_phase`.
    """
    q = grid.q_per_angstrom().astype(np.float64)
    passed = _other_envelope(q, conditions)
    inside = passed > 0
    q = q[inside]
    spectrum = transform(object_field)[inside] * passed[inside]
    if added_phase is not None:
        spectrum = spectrum * np.exp(-1j * added_phase[inside])
    lens = np.zeros(grid.shape, np.complex64)
    total = np.zeros(grid.shape)
    steps = np.linspace(-2, 2, _FOCUS_STEPS)
    weights = np.exp(-(steps**2) / 2)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        focus = conditions.defocus_nm + step * conditions.defocus_spread_nm
        lens[inside] = spectrum * np.exp(-1j * aberration_phase(q, replace(conditions, defocus_nm=focus)))
        wave = 1 + 1j * inverse(lens)
        total += weight * (np.square(wave.real) + np.square(wave.imag))
    return total


def _other_envelope(q: Float64, conditions: ImagingConditions) -> Float64:
    """What damps a wave besides the focus spread, so that together they come to 1/e² at the information limit."""
    limit = conditions.information_limit_per_angstrom
    if not math.isfinite(limit):
        return np.ones_like(q)
    spread = 10 * conditions.defocus_spread_nm  # Å
    by_focus = (math.pi * wavelength_angstrom(conditions.energy_ev) * spread * limit**2) ** 2 / 2
    damping: Float64 = np.where(q <= limit, np.exp(-max(0.0, 2 - by_focus) * (q / limit) ** 4), 0)
    return damping


def seen_by_camera(
    intensity: Float64,
    grid: Grid,
    shape: tuple[int, int],
    pixel_angstrom: float,
    *,
    rotation_deg: float = 0.0,
    centre_px: tuple[float, float] | None = None,
    periodic: bool = False,
) -> Float64:
    """An image on the camera's pixels, the vacuum around it, shape as asked.

    Parameters
    ----------
    intensity : ndarray, shape (n, n)
        On the object's grid, 1 at its border.
    grid : Grid
        Its sampling.
    shape, pixel_angstrom
        Of the camera.
    rotation_deg : float
        That brings the camera's axes onto the object's, from +x towards +y.
    centre_px : (float, float), optional
        Where the grid's middle falls, (y, x).
    periodic : bool
        Whether the image goes on around the grid as on it, in place of the vacuum.
    """
    fine = _finer(intensity - 1, 2 * grid.n)
    step = grid.pixel_angstrom / 2
    at = centre_px if centre_px is not None else (shape[0] // 2, shape[1] // 2)
    y, x = _axes(shape, at, pixel_angstrom)
    cosine, sine = math.cos(math.radians(rotation_deg)), math.sin(math.radians(rotation_deg))
    rows = (sine * x[None] + cosine * y[:, None]) / step + grid.n
    columns = (cosine * x[None] - sine * y[:, None]) / step + grid.n
    mode = "grid-wrap" if periodic else "constant"
    return 1 + np.asarray(ndi.map_coordinates(fine, [rows, columns], order=3, mode=mode), np.float64)


def _finer(field: Float64, n: int) -> Float64:
    spectrum = scipy.fft.fftshift(scipy.fft.fft2(scipy.fft.ifftshift(field)))
    padded = fit_to_size(spectrum, n)
    fine: Float64 = scipy.fft.fftshift(scipy.fft.ifft2(scipy.fft.ifftshift(padded))).real * (n / len(field)) ** 2
    return fine
