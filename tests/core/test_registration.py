"""Registration of the image to the pattern from known transforms."""

import json
import math
import warnings
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import napari_subangstrom_cdi
from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.potential import (
    ImagingConditions,
    NormalisedImage,
    ctf,
    normalise_to_vacuum,
    wiener_potential,
)
from napari_subangstrom_cdi.core.registration import ImageRegistration, register_image, resample_to_pattern
from napari_subangstrom_cdi.errors import InputError, QualityWarning

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


def pattern_of(r, seed=0):
    intensity = 0.02 * np.abs(fourier.transform(draw(*r, GRID.shape, GRID.pixel_angstrom))) ** 2
    return (
        np.random.default_rng(seed).poisson(intensity) + np.random.default_rng(seed).normal(size=GRID.shape)
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


@given(
    rotation=st.floats(-179, 179),
    scale=st.floats(0.97, 1.03),
    nominal_error=st.floats(-3.5, 3.5),
    mirrored=st.booleans(),
    a=st.floats(3.2, 4.4),
    gamma=st.floats(70, 88),
)
@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_random_known_transforms(rotation, scale, nominal_error, mirrored, a, gamma):
    r = atoms(a, 3.0, gamma)
    image = normalise_to_vacuum(image_of(r, rotation, 0.36 * scale, mirrored))
    found = register_image(
        image,
        pattern_of(r),
        GRID,
        image_pixel_angstrom=0.36,
        conditions=CONDITIONS,
        rotation_deg=rotation + nominal_error,
        mirrored=mirrored,
    )
    assert abs((found.rotation_deg - rotation + 180) % 360 - 180) < 0.1
    assert found.image_pixel_angstrom == pytest.approx(0.36 * scale, rel=4e-3)
    assert found.correlation > 0.9
    assert found.mirrored == mirrored


def test_mirror_is_found_and_rotation_too_without_nominal_values():
    r = atoms()
    image = normalise_to_vacuum(image_of(r, 33.0, 0.36, mirrored=True))
    found = register_image(image, pattern_of(r), GRID, image_pixel_angstrom=0.365, conditions=CONDITIONS, mirrored=None)
    assert found.mirrored
    assert abs((found.rotation_deg - 33 + 90) % 180 - 90) < 0.1
    best = found.candidates[0]
    assert best.mirrored
    ranks = [candidate.correlation for candidate in found.candidates]
    assert ranks == sorted(ranks, reverse=True)
    assert best.correlation > 1.2 * max(c.correlation for c in found.candidates if not c.mirrored)


def test_without_imaging_conditions():
    r = atoms()
    image = normalise_to_vacuum(image_of(r, -50.0, 0.36))
    found = register_image(image, pattern_of(r), GRID, image_pixel_angstrom=0.37, rotation_deg=-52.0)
    assert found.rotation_deg == pytest.approx(-50, abs=0.15)
    assert found.image_pixel_angstrom == pytest.approx(0.36, rel=5e-3)
    assert math.isnan(found.defocus_nm)


def test_unrecorded_beam_is_left_out():
    r = atoms()
    pattern = pattern_of(r)
    valid = GRID.q_per_angstrom() > 0.05
    pattern[~valid] = np.nan
    image = normalise_to_vacuum(image_of(r, 10.0, 0.36))
    found = register_image(
        image, pattern, GRID, image_pixel_angstrom=0.36, conditions=CONDITIONS, rotation_deg=12.0, valid=valid
    )
    assert found.rotation_deg == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("mirrored", [False, True])
def test_resampling_lays_the_atoms_where_the_pattern_has_them(mirrored):
    r, pixel, rotation = atoms(), 0.355, 37.0
    angle = math.radians(rotation)
    x, y = math.cos(angle) * r[0] + math.sin(angle) * r[1], -math.sin(angle) * r[0] + math.cos(angle) * r[1]
    drawn = draw((-x if mirrored else x) - 9 * pixel, y + 6 * pixel, IMAGE_SHAPE, pixel)
    registration = ImageRegistration(rotation, pixel, mirrored, 0, 0, 1, 1, 0, 0, 0, ())
    centre = (IMAGE_SHAPE[0] // 2 + 6, IMAGE_SHAPE[1] // 2 - 9)
    found = resample_to_pattern(drawn.astype(np.float32), registration, GRID, centre_px=centre)
    expected = draw(*r, GRID.shape, GRID.pixel_angstrom)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 0.01 * expected.max()


def sample():
    """The bundled record and the truth of an independent multislice simulation."""
    folder = Path(napari_subangstrom_cdi.__file__).parent / "sample"
    truth = Path(__file__).parents[1] / "data" / "platelet"
    with mrcfile.open(folder / "image.mrc") as record:
        image = np.asarray(record.data, dtype=np.float32)
    acquisition = json.loads((folder / "acquisition.json").read_text())
    answer = json.loads((truth / "answer.json").read_text())
    return image, acquisition, answer, np.load(truth / "truth.npz")["object"]


def test_bundled_sample_against_its_truth():
    image, acquisition, answer, truth = sample()
    grid = Grid(1024, 400.0)
    full = fourier.fit_to_size(truth.astype(np.complex64), grid.n)
    conditions = ImagingConditions(
        acquisition["beam_energy_kV"] * 1e3,
        acquisition["cs_mm"],
        acquisition["defocus_nm"],
        acquisition["defocus_spread_nm"],
        acquisition["information_limit_per_A"],
    )
    normalised = normalise_to_vacuum(image)
    found = register_image(
        normalised,
        np.abs(fourier.transform(full)) ** 2,
        grid,
        image_pixel_angstrom=acquisition["image_pixel_nominal_A"],
        conditions=conditions,
        rotation_deg=acquisition["image_to_pattern_rotation_deg"],
    )
    assert found.rotation_deg == pytest.approx(answer["phi"], abs=0.05)
    true_pixel = answer["mag"] * acquisition["image_pixel_nominal_A"]
    assert found.image_pixel_angstrom == pytest.approx(true_pixel, rel=1e-3)
    assert found.defocus_nm == pytest.approx(answer["defocus_nm"], abs=2.5)
    estimate = wiener_potential(
        normalised,
        pixel_angstrom=found.image_pixel_angstrom,
        conditions=conditions,
        object_phase_deg=found.object_phase_deg,
    )
    laid = resample_to_pattern(estimate, found, grid, centre_px=normalised.centre_px)
    q = grid.q_per_angstrom()
    band = (q > 0.05) & (q < acquisition["information_limit_per_A"])
    a, b = fourier.transform(full.real) * band, fourier.transform(laid) * band
    correlation = fourier.inverse(a * b.conj()).real * a.size / np.linalg.norm(a) / np.linalg.norm(b)
    peak = np.unravel_index(correlation.argmax(), correlation.shape)
    assert correlation.max() > 0.92
    assert max(abs(k - grid.n // 2) for k in peak) < 12


def test_opposite_defocus_is_noticed():
    image, _, answer, truth = sample()
    pattern = np.abs(fourier.transform(fourier.fit_to_size(truth.astype(np.complex64), 1024))) ** 2
    wrong = ImagingConditions(200e3, 1.0, +61.0, 4.0, 0.52)
    with pytest.warns(QualityWarning, match="underfocus is negative"):
        register_image(
            normalise_to_vacuum(image),
            pattern,
            Grid(1024, 400.0),
            image_pixel_angstrom=0.36,
            conditions=wrong,
            rotation_deg=answer["phi"],
        )


def plain_image():
    return normalise_to_vacuum(image_of(atoms(), 0.0, 0.36))


def test_incompatible_fields_of_view():
    image, pattern = plain_image(), pattern_of(atoms())
    with pytest.raises(InputError, match="half of the pattern's field of view"):
        register_image(image, pattern, GRID, image_pixel_angstrom=3.6)
    with pytest.raises(InputError, match="in ångström"):
        register_image(image, pattern, GRID, image_pixel_angstrom=0.036)
    with pytest.raises(InputError, match="positive"):
        register_image(image, pattern, GRID, image_pixel_angstrom=0.0)
    with pytest.raises(InputError, match="shape"):
        register_image(image, pattern[:100], GRID, image_pixel_angstrom=0.36)


def test_pattern_without_reflections():
    blank = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    with pytest.raises(InputError, match="no reflection"), warnings.catch_warnings():
        warnings.simplefilter("ignore", QualityWarning)
        register_image(plain_image(), blank, GRID, image_pixel_angstrom=0.36, conditions=CONDITIONS, rotation_deg=0)


def test_information_limit_below_the_particle():
    low = ImagingConditions(200e3, 1.0, -61.0, 4.0, 0.06)
    with pytest.raises(InputError, match="share only the band"):
        register_image(plain_image(), pattern_of(atoms()), GRID, image_pixel_angstrom=0.36, conditions=low)


def test_complex_estimate_is_refused():
    registration = ImageRegistration(0, 0.36, False, 0, 0, 1, 1, 0, 0, 0, ())
    with pytest.raises(InputError, match="real"):
        resample_to_pattern(np.zeros((64, 64), complex), registration, GRID, centre_px=(32, 32))


def test_normalised_image_reports_its_size():
    image = plain_image()
    assert isinstance(image, NormalisedImage)
    assert image.diameter_px * 0.36 == pytest.approx(48, abs=8)
