"""Slips of the pen between image and pattern, on a particle that has neither a mirror nor a turn of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lattice_image import CONDITIONS, GRID, atoms, image_of, pattern_of
from napari_subangstrom_cdi.core.image.pair import Pair
from napari_subangstrom_cdi.core.image.potential import normalise_to_vacuum
from napari_subangstrom_cdi.core.image.registration import register_image
from napari_subangstrom_cdi.core.image.slips import Slip, Stated, attempt
from napari_subangstrom_cdi.errors import InputError, QualityWarning, Remedy, collected_doubts, remedies_of
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.job.particle import choice_in_words, chosen_fit, likely_particle, remedy_of
from napari_subangstrom_cdi.job.plan import ImageSettings, Inputs, PatternSettings, Plan

STATED = Stated(0.36, 31.0, False)


@pytest.fixture(scope="module")
def mirrored():
    """A particle whose image is mirrored, though nobody says so."""
    r = atoms()
    return Pair(normalise_to_vacuum(image_of(r, 33.0, 0.36, mirrored=True)), pattern_of(r), GRID, CONDITIONS)


def test_what_fits_as_stated_is_taken_as_it_is(mirrored):
    fit = attempt(mirrored, replace(STATED, mirrored=True))
    assert fit.fits
    assert fit.consistent


def test_the_only_explanation_is_taken_with_a_doubt(mirrored):
    plan = Plan(Inputs("pattern.tif", image="image.tif"))
    plan = replace(plan, acquisition=replace(plan.acquisition, image_to_pattern_rotation_deg=31.0))
    with collected_doubts() as doubts:
        image, found, as_stated = chosen_fit(plan, (mirrored,), 0.36)
    assert any("fit if the image is mirrored" in doubt for doubt in doubts)
    assert remedies_of(*doubts) == (Remedy("mirrored", (("image.mirrored", True),)),)
    assert image is mirrored.image
    assert found.mirrored
    assert found.rotation_deg == pytest.approx(33, abs=0.3)
    assert not as_stated


def test_a_pattern_that_was_binned_is_mended_by_the_pixel_that_was_stated(mirrored):
    stated = replace(STATED, mirrored=True)
    slip = Slip("binning", attempt(mirrored, stated), factor=2.0)
    plan = Plan(Inputs("pattern.tif", image="image.tif"))
    for name, value in (("detector_pixel_um", 25.0), ("reciprocal_pixel_per_angstrom", 0.004)):
        told = replace(plan, acquisition=Acquisition(camera_length_mm=800.0, **{name: value}))
        remedy = remedy_of(slip, stated, told)
        assert remedy is not None and remedy.settings == ((f"acquisition.{name}", 2 * value),)
    known = replace(told, pattern=PatternSettings(known_spacings=((10.0, 2.0),)))
    assert remedy_of(slip, stated, known) is None, "the spacings tell the pixel"


def test_half_a_turn_is_said_to_be_open_where_no_rotation_is_stated(mirrored):
    plan = Plan(Inputs("pattern.tif", image="image.tif"), image=ImageSettings(mirrored=True))
    with pytest.warns(QualityWarning, match="half a turn open"):
        _, found, as_stated = chosen_fit(plan, (mirrored,), 0.36)
    assert as_stated
    assert found.rotation_deg % 180 == pytest.approx(33, abs=0.3)


def test_a_defocus_in_other_units_is_found_and_said(mirrored):
    wrong = replace(mirrored, conditions=replace(CONDITIONS, defocus_nm=10 * CONDITIONS.defocus_nm))
    with collected_doubts() as doubts:
        found = register_image(wrong, image_pixel_angstrom=0.36, rotation_deg=31.0, mirrored=True)
    assert "may be in Å" in doubts[0]
    ((setting, defocus),) = remedies_of(*doubts)[0].settings
    assert setting == "acquisition.defocus_nm" and defocus == pytest.approx(found.defocus_nm, abs=0.05)
    assert found.defocus_nm == pytest.approx(CONDITIONS.defocus_nm, abs=6)


def test_a_point_names_the_particle_or_is_refused(mirrored):
    y, x = mirrored.image.centre_px
    plan = Plan(Inputs("pattern.tif", image="image.tif"), image=ImageSettings(particle_px=(y + 5, x)))
    assert likely_particle(plan, (mirrored.image,)) is mirrored.image
    far = replace(plan, image=ImageSettings(particle_px=(0.0, 5000.0)))
    with pytest.raises(InputError, match="no particle is found at y = 0, x = 5000"):
        likely_particle(far, (mirrored.image,))


def test_who_chose_is_told_where_the_others_are(mirrored):
    one = replace(mirrored.image, centre_px=(40.0, 50.0), binning=2)
    other = replace(one, centre_px=(100.0, 200.0))
    assert choice_in_words((one,), one) == "the particle about (y, x) (80, 100) px of the image"
    assert choice_in_words((one, other), other).endswith("(200, 400) px of the image; not that at (80, 100)")
