"""Registration of the image to the pattern from known transforms."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lattice_image import CONDITIONS, GRID, IMAGE_SHAPE, atoms, draw, image_of, pattern_of, sample, sample_pattern
from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.pair import Pair
from napari_subangstrom_cdi.core.image.potential import (
    ImagingConditions,
    NormalisedImage,
    normalise_to_vacuum,
    wiener_potential,
)
from napari_subangstrom_cdi.core.image.registration import (
    ImageRegistration,
    register_image,
    registration_at,
    resample_to_pattern,
)
from napari_subangstrom_cdi.errors import InputError, QualityWarning


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
        Pair(image, pattern_of(r), GRID, conditions=CONDITIONS),
        image_pixel_angstrom=0.36,
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
    found = register_image(
        Pair(image, pattern_of(r), GRID, conditions=CONDITIONS), image_pixel_angstrom=0.365, mirrored=None
    )
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
    found = register_image(Pair(image, pattern_of(r), GRID), image_pixel_angstrom=0.37, rotation_deg=-52.0)
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
        Pair(image, pattern, GRID, conditions=CONDITIONS, valid=valid), image_pixel_angstrom=0.36, rotation_deg=12.0
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
        Pair(normalised, np.abs(fourier.transform(full)) ** 2, grid, conditions=conditions),
        image_pixel_angstrom=acquisition["image_pixel_nominal_A"],
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
            Pair(normalise_to_vacuum(image), pattern, Grid(1024, 400.0), conditions=wrong),
            image_pixel_angstrom=0.36,
            rotation_deg=answer["phi"],
        )


def plain_image():
    return normalise_to_vacuum(image_of(atoms(), 0.0, 0.36))


def test_incompatible_fields_of_view():
    image, pattern = plain_image(), pattern_of(atoms())
    with pytest.raises(InputError, match="half of the pattern's field of view"):
        register_image(Pair(image, pattern, GRID), image_pixel_angstrom=3.6)
    with pytest.raises(InputError, match="in ångström"):
        register_image(Pair(image, pattern, GRID), image_pixel_angstrom=0.036)
    with pytest.raises(InputError, match="positive"):
        register_image(Pair(image, pattern, GRID), image_pixel_angstrom=0.0)
    with pytest.raises(InputError, match="shape"):
        register_image(Pair(image, pattern[:100], GRID), image_pixel_angstrom=0.36)


def test_pattern_without_reflections():
    blank = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    with pytest.raises(InputError, match="no reflection"), warnings.catch_warnings():
        warnings.simplefilter("ignore", QualityWarning)
        register_image(
            Pair(plain_image(), blank, GRID, conditions=CONDITIONS), image_pixel_angstrom=0.36, rotation_deg=0
        )


def test_information_limit_below_the_particle():
    low = ImagingConditions(200e3, 1.0, -61.0, 4.0, 0.06)
    with pytest.raises(InputError, match="share only the band"):
        register_image(Pair(plain_image(), pattern_of(atoms()), GRID, conditions=low), image_pixel_angstrom=0.36)


def test_complex_estimate_is_refused():
    registration = ImageRegistration(0, 0.36, False, 0, 0, 1, 1, 0, 0, 0, ())
    with pytest.raises(InputError, match="real"):
        resample_to_pattern(np.zeros((64, 64), complex), registration, GRID, centre_px=(32, 32))


def test_normalised_image_reports_its_size():
    image = plain_image()
    assert isinstance(image, NormalisedImage)
    assert image.diameter_px * 0.36 == pytest.approx(48, abs=8)


def test_a_found_geometry_set_by_hand_is_described_alike():
    image, pattern, grid, conditions, acquisition = sample_pattern()
    common = {"conditions": conditions, "valid": pattern.valid, "noise_std": np.sqrt(pattern.variance)}
    found = register_image(
        Pair(image, pattern.intensity, grid, **common),
        image_pixel_angstrom=acquisition["image_pixel_nominal_A"],
        rotation_deg=acquisition["image_to_pattern_rotation_deg"],
    )
    at = registration_at(
        Pair(image, pattern.intensity, grid, **common),
        rotation_deg=found.rotation_deg,
        image_pixel_angstrom=found.image_pixel_angstrom,
        mirrored=found.mirrored,
    )
    assert (at.rotation_deg, at.image_pixel_angstrom) == (found.rotation_deg, found.image_pixel_angstrom)
    assert at.correlation == pytest.approx(found.correlation, abs=2e-3)
    assert at.n_reflections == found.n_reflections
    assert at.object_phase_deg == pytest.approx(found.object_phase_deg, abs=2.6)
    assert at.defocus_nm == pytest.approx(found.defocus_nm, abs=0.6)
    assert at.transfer_residual == pytest.approx(found.transfer_residual, abs=0.01)
    assert math.isnan(at.rotation_error_deg)
    assert math.isnan(at.image_pixel_error_angstrom)
    assert at.candidates == ()


def test_a_geometry_set_by_hand_stays_and_shows_that_it_is_wrong():
    r = atoms()
    image, pattern = normalise_to_vacuum(image_of(r, 33.0, 0.36, mirrored=True)), pattern_of(r)
    right, off = (
        registration_at(Pair(image, pattern, GRID), rotation_deg=turn, image_pixel_angstrom=0.36, mirrored=True)
        for turn in (33.0, 35.0)
    )
    assert off.rotation_deg == 35.0
    assert off.mirrored
    assert right.correlation > 0.95
    assert off.correlation < right.correlation - 0.05
    assert math.isnan(right.defocus_nm)


@pytest.mark.parametrize(("rotation", "pixel", "match"), [(math.nan, 0.36, "degrees"), (0.0, -1.0, "positive")])
def test_an_impossible_geometry_is_refused(rotation, pixel, match):
    with pytest.raises(InputError, match=match):
        registration_at(
            Pair(plain_image(), pattern_of(atoms()), GRID), rotation_deg=rotation, image_pixel_angstrom=pixel
        )


@pytest.mark.parametrize("ceiling", [0.5, 0.2])
def test_reflections_without_their_middle_still_tell(ceiling):
    """A ceiling takes the middle of what the image shows; what is left of each disc says where it lies."""
    r, grid = atoms(), Grid(1024, 400.0)
    pattern = pattern_of(r, grid=grid)
    band = (grid.q_per_angstrom() > 0.1) & (grid.q_per_angstrom() < CONDITIONS.information_limit_per_angstrom)
    valid = pattern < ceiling * pattern[band].max()
    image = normalise_to_vacuum(image_of(r, 20.0, 0.36))
    found = register_image(
        Pair(image, np.where(valid, pattern, np.nan), grid, conditions=CONDITIONS, valid=valid),
        image_pixel_angstrom=0.368,
        rotation_deg=17.0,
    )
    assert found.n_reflections == 4
    assert found.rotation_deg == pytest.approx(20, abs=0.05)
    assert found.image_pixel_angstrom == pytest.approx(0.36, rel=2e-3)


def test_one_reflection_tells_the_pixel_as_well_as_it_says():
    """Beyond the image's limit lie all but one: a slope of the transfer could pass for another pixel."""
    r = atoms()
    conditions = replace(CONDITIONS, information_limit_per_angstrom=0.3)
    image = normalise_to_vacuum(image_of(r, 20.0, 0.36))
    found = register_image(
        Pair(image, pattern_of(r), GRID, conditions=conditions), image_pixel_angstrom=0.368, rotation_deg=18.0
    )
    assert found.n_reflections == 1
    assert found.rotation_deg == pytest.approx(20, abs=0.1)
    off = abs(found.image_pixel_angstrom / 0.36 - 1)
    assert off < 2 * found.image_pixel_error_angstrom / 0.36 < 0.02


def test_shapes_that_disagree_do_not_lead_away_from_the_lattice():
    """The lattices of two particles agree, the shapes of their reflections do not."""
    image = normalise_to_vacuum(image_of(atoms(radius=26.0), 20.0, 0.36))
    other = atoms(radius=26.0)
    other = other[:, np.hypot(*other) < 9]
    pair = Pair(image, pattern_of(other - other.mean(axis=1, keepdims=True)), GRID, conditions=CONDITIONS)
    found = register_image(pair, image_pixel_angstrom=0.36, rotation_deg=18.0)
    assert found.correlation < 0.9
    assert found.rotation_deg == pytest.approx(20, abs=2 * found.rotation_error_deg)
    assert found.image_pixel_angstrom == pytest.approx(0.36, rel=0.01)
