"""A lattice image and the pattern of the same atoms, made without interpolation; and the bundled records."""

import functools
import json
import math
from pathlib import Path

import mrcfile
import numpy as np
import tifffile

import napari_subangstrom_cdi
from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.potential import ImagingConditions, ctf, normalise_to_vacuum
from napari_subangstrom_cdi.core.record.background import BackgroundFit, subtract_background
from napari_subangstrom_cdi.core.record.calibration import q_pixel_from_camera_length
from napari_subangstrom_cdi.core.record.centring import find_beam_centre
from napari_subangstrom_cdi.core.record.detector import Detector, calibrate_pair
from napari_subangstrom_cdi.core.record.embedding import embed

GRID = Grid(512, 200.0)
CONDITIONS = ImagingConditions(200e3, 1.0, -61.0, 4.0, 0.55)
IMAGE_SHAPE = (400, 416)


def atoms(a=3.6, b=3.1, gamma_deg=80.0, radius=26.0):
    """Positions (x, y) of an oblique lattice inside a shape without symmetry, centroid at the origin."""
    m = np.arange(-25, 26)
    i, j = (k.ravel() for k in np.meshgrid(m, m))
    x = a * i + b * math.cos(math.radians(gamma_deg)) * j
    y = b * math.sin(math.radians(gamma_deg)) * j
    keep = (np.hypot(x, y) < radius) & (y < 0.7 * radius) & (x + 0.5 * y < 0.8 * radius)
    r = np.stack([x[keep], y[keep]])
    return r - r.mean(axis=1, keepdims=True)


def draw(x, y, shape, pixel, width=0.45):
    axes = [(np.arange(n) - n // 2) * pixel for n in shape]
    gy, gx = (np.exp(-((axis - r[:, None]) ** 2) / (2 * width**2)) for axis, r in zip(axes, (y, x), strict=True))
    return gy.T @ gx


def pattern_of(r, seed=0, grid=GRID):
    intensity = 0.02 * np.abs(fourier.transform(draw(*r, grid.shape, grid.pixel_angstrom))) ** 2
    return (
        np.random.default_rng(seed).poisson(intensity) + np.random.default_rng(seed).normal(size=grid.shape)
    ).astype(np.float32)


def image_of(r, rotation_deg, pixel, mirrored=False, centre_angstrom=(6.0, -9.0), seed=1):
    """Linear image of the atoms seen in the image's own axes; no interpolation anywhere."""
    angle = math.radians(rotation_deg)
    x = math.cos(angle) * r[0] + math.sin(angle) * r[1]
    y = -math.sin(angle) * r[0] + math.cos(angle) * r[1]
    x = -x if mirrored else x
    phase = 0.15 * draw(x + centre_angstrom[1], y + centre_angstrom[0], IMAGE_SHAPE, pixel)
    f = [np.fft.fftfreq(n, pixel) for n in IMAGE_SHAPE]
    transfer = ctf(np.hypot(f[0][:, None], f[1][None]), CONDITIONS)
    contrast = np.fft.ifft2(np.fft.fft2(phase) * transfer).real
    return np.random.default_rng(seed).poisson(400 * (1 - contrast)).astype(float)


def sample():
    """The bundled record and the truth of an independent multislice simulation."""
    folder = Path(napari_subangstrom_cdi.__file__).parent / "simulation" / "sample"
    truth = Path(__file__).parent / "data" / "platelet"
    with mrcfile.open(folder / "image.mrc") as record:
        image = np.asarray(record.data, dtype=np.float32)
    acquisition = json.loads((folder / "acquisition.json").read_text())
    answer = json.loads((truth / "answer.json").read_text())
    return image, acquisition, answer, np.load(truth / "truth.npz")["object"]


@functools.cache
def sample_records():
    """The bundled raw patterns as calibrated records, the beam's place in them, and what was found of the detector."""
    folder = Path(napari_subangstrom_cdi.__file__).parent / "simulation" / "sample"
    acquisition = sample()[1]
    detector = Detector(
        counts_per_electron=acquisition["counts_per_electron"],
        dark_noise_electrons=acquisition.get("dark_noise_electrons", 0.0),
    )
    particle, background = (tifffile.imread(folder / f"{name}.tif") for name in ("particle", "background"))
    (record, found), (empty, _) = calibrate_pair(particle, background, detector)
    return record, empty, find_beam_centre(record), found


@functools.cache
def sample_pattern():
    """The bundled image, the prepared pattern, its grid, the imaging conditions and the acquisition."""
    image, acquisition, answer, _ = sample()
    record, empty, beam, _ = sample_records()
    # How the background lies is known, and finding it is tested elsewhere.
    fit = BackgroundFit(beam.centre_px, tuple(answer["bshift"]), answer["brot"], 1 / 0.97, 0, 0, 0, 0, 1, 1)
    q_pixel = 2 * q_pixel_from_camera_length(
        acquisition["camera_length_mm"],
        detector_pixel_um=acquisition["detector_pixel_um"],
        energy_ev=acquisition["beam_energy_kV"] * 1e3,
    )
    pattern = embed(subtract_background(record, empty, fit), beam.centre_px, binning=2, n=1024)
    conditions = ImagingConditions(
        acquisition["beam_energy_kV"] * 1e3,
        acquisition["cs_mm"],
        acquisition["defocus_nm"],
        acquisition["defocus_spread_nm"],
        acquisition["information_limit_per_A"],
    )
    return normalise_to_vacuum(image), pattern, Grid(1024, 1 / q_pixel), conditions, acquisition
