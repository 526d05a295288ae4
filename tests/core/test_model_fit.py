"""The model fit on a particle whose every atom is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel
from napari_subangstrom_cdi.core.crystal.nanocrystal import Shape, cut
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal
from napari_subangstrom_cdi.core.fit.indexing import turned
from napari_subangstrom_cdi.core.fit.lattice_shift import Fault, LatticeShift
from napari_subangstrom_cdi.core.fit.model_fit import (
    Evidence,
    FittedModel,
    Held,
    fit_model,
    image_likeness,
    object_spectrum,
    pattern_r_factor,
)
from napari_subangstrom_cdi.core.fit.model_rebuild import _moved, placed_by_image, rebuilt, reshaped
from napari_subangstrom_cdi.core.fit.particle import Particle
from napari_subangstrom_cdi.core.fourier import inverse, shift
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.potential import ImagingConditions, aberration_phase, coherence_envelope
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.errors import InputError

GRID = Grid(384, 150.0)
CONDITIONS = ImagingConditions(200e3, 1.0, -60.0, 4.0, 0.45)
ZONE, AZIMUTH, TILT, THICKNESS, OFFSET = (1, 1, 2), 197.0, (0.5, -0.4), 50.0, (0.6, -0.9)


def outline() -> np.ndarray:
    return GRID.r_angstrom() < 25.0


def particle() -> AtomicModel:
    orientation = Orientation(ZONE, AZIMUTH, TILT)
    shape = Shape(outline(), GRID, THICKNESS)
    return cut(crystal("CdS-zincblende"), orientation, shape, offset_angstrom=OFFSET, b_factor=1.0)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """Pattern and image of 5 nm of zinc-blende CdS, a polar zone, tilted; noise at the weakest spots' level."""
    spectrum = object_spectrum(particle(), GRID, 200e3)
    intensity = np.abs(spectrum) ** 2
    q = GRID.q_per_angstrom()
    noise = 1e-5 * float(intensity[q > 0.05].max())
    intensity = intensity + noise * np.random.default_rng(0).standard_normal(intensity.shape)
    regions = np.where(intensity > 3 * noise, Region.G, Region.B).astype(np.uint8)
    regions[q < 0.02] = Region.M
    lens = np.exp(-1j * aberration_phase(q, CONDITIONS)) * coherence_envelope(q, CONDITIONS)
    wave = 1 + np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(1j * spectrum * lens)))
    support = GRID.r_angstrom() < 28.0  # as a support is: a little large
    return Evidence(GRID, intensity, regions, support, 1 - np.abs(wave) ** 2, CONDITIONS)


@pytest.fixture(scope="module")
def found(evidence) -> FittedModel:
    return fit_model(evidence, crystal("CdS-zincblende"), ZONE, energy_ev=200e3)


def test_tilt_thickness_polarity_and_place_are_found(evidence, found):
    fit = found.fit
    assert fit.match.azimuth_deg == pytest.approx(AZIMUTH, abs=0.5) and fit.zone == ZONE
    assert fit.match.scale == pytest.approx(1, abs=0.005) and fit.match.explained > 0.85  # a small one's spots are wide
    assert fit.tilt_deg == pytest.approx(TILT, abs=0.15)
    assert fit.thickness_angstrom == pytest.approx(THICKNESS, rel=0.1)
    assert found.image_correlation > 0.95
    # the opposite polarity loses clearly
    assert all(rival.r_reflections > 1.5 * fit.r_reflections for rival in found.rivals)
    # the place, modulo the lattice that the image shows: the model's object is the true one
    spectrum = object_spectrum(particle(), GRID, 200e3)
    true = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectrum)))
    inside = outline()
    correlation = np.vdot(true[inside], found.object_field[inside])
    assert abs(correlation) / np.linalg.norm(true[inside]) / np.linalg.norm(found.object_field[inside]) > 0.93
    # before any phasing, R tells right from wrong
    opposite = Orientation(ZONE, AZIMUTH + 180, TILT)
    other = cut(crystal("CdS-zincblende"), opposite, Shape(outline(), GRID, THICKNESS), b_factor=1.0)
    assert found.r_pattern < 0.7 * pattern_r_factor(object_spectrum(other, GRID, 200e3), evidence)[0]


def test_a_model_that_drifted_is_laid_where_the_image_has_it(evidence, found):
    """The image holds {111} alone: it tells the place along that direction, and across it nothing."""
    along = turned(np.array([[0.0, 1.0]]), AZIMUTH)[0]  # x is (1 -1 0)
    g = np.stack([along, -along]) / (5.835 / np.sqrt(3))
    across = np.array([-along[1], along[0]])
    drift = 0.7 * along - 0.6 * across
    drifted = rebuilt(found, LatticeShift(0, (0, 0, 0), 0, tuple(drift), None, 1), evidence, energy_ev=200e3)
    assert np.subtract(drifted.particle.offset_angstrom, found.particle.offset_angstrom) == pytest.approx(drift)
    placed = placed_by_image(drifted, g, evidence, energy_ev=200e3)
    moved = np.subtract(placed.particle.offset_angstrom, found.particle.offset_angstrom)
    assert moved @ along == pytest.approx(0, abs=0.1) and moved @ across == pytest.approx(-0.6, abs=0.02)
    assert placed.image_correlation > 0.95


def test_the_image_tells_a_right_object_from_those_that_the_pattern_cannot_tell(evidence):
    """Moved, conjugate and turned objects have the same diffraction pattern, or nearly."""
    true = inverse(object_spectrum(particle(), GRID, 200e3))
    assert image_likeness(true, evidence) > 0.95
    moved = shift(true, (1.0 / GRID.pixel_angstrom, 1.5 / GRID.pixel_angstrom))
    for other in (moved, true.conj(), true[::-1, ::-1]):
        assert image_likeness(np.ascontiguousarray(other), evidence) < 0.75


def test_shape_and_thickness_come_back_by_the_whole_pattern(evidence, found):
    """A model too thick, too round and too small, which the reflections' intensities alone would not mend."""
    shape = replace(found.particle.shape, thickness_angstrom=58.0, roundness=0.25, inset_angstrom=6.0)
    wrong = rebuilt(
        replace(found, particle=replace(found.particle, shape=shape)),
        LatticeShift(0, (0, 0, 0), 0, (0.0, 0.0), None, 1),
        evidence,
        energy_ev=200e3,
    )
    mended = reshaped(wrong, evidence, energy_ev=200e3)
    assert mended.r_pattern < 0.5 * wrong.r_pattern and mended.r_pattern < 1.1 * found.r_pattern
    assert mended.fit.thickness_angstrom == pytest.approx(THICKNESS, rel=0.1) and mended.fit.roundness < 0.2
    assert mended.particle.shape.inset_angstrom == pytest.approx(3.0, abs=1.6)  # the support is 3 Å too large
    told = Held(thickness_angstrom=58.0, roundness=0.25)
    kept = reshaped(wrong, evidence, energy_ev=200e3, held=told)
    assert (kept.fit.thickness_angstrom, kept.fit.roundness) == (58.0, 0.25)


def test_a_boundary_is_moved_to_where_the_pattern_has_it(evidence, found):
    shifted = replace(found.particle, fault=Fault(30.0, 4.0, (0.0, 1.0), 0.0))
    spectrum = object_spectrum(shifted.atoms(), GRID, 200e3)
    there = replace(evidence, intensity=np.abs(spectrum) ** 2)
    off = replace(found, particle=replace(shifted, fault=Fault(33.0, 1.0, (0.0, 1.0), 0.0)))
    mended = reshaped(off, there, energy_ev=200e3).particle.fault
    assert mended.position_angstrom == pytest.approx(4.0, abs=1.0) and mended.normal_deg == pytest.approx(30, abs=2)


def test_a_pattern_without_the_zone_is_said(evidence):
    empty = replace(evidence, regions=np.full(GRID.shape, Region.M, np.uint8))
    with pytest.raises(InputError, match="reflections of the zone"):
        fit_model(empty, crystal("Au"), (0, 0, 1), energy_ev=200e3)


def test_a_correction_of_a_boundary_moves_all_its_equivalents():
    shape = Shape(outline(), GRID, THICKNESS)
    known = Fault(90.0, 5.0, (-0.4, 0.0), 0.01, ((-0.4, 0.0), (1.66, 0.0)))
    model = Particle(crystal("CdS-zincblende"), Orientation(ZONE), shape, fault=known)
    small = Fault(88.0, 4.0, (-0.02, 0.01), 0.02, ((-0.02, 0.01), (2.04, 0.01)))
    moved = _moved(model, LatticeShift(0.0, (0.0, 0.0, 0.0), 0.0, (0.0, 0.0), small, 1.0)).fault
    assert moved is not None and moved.shift_angstrom == pytest.approx((-0.42, 0.01))
    np.testing.assert_allclose(moved.equivalents_angstrom, [(-0.42, 0.01), (1.64, 0.01)])
    assert (moved.normal_deg, moved.position_angstrom, moved.error_angstrom) == (88.0, 4.0, 0.02)
    elsewhere = replace(small, position_angstrom=-15.0)  # another boundary: one is all that a model has
    assert _moved(model, LatticeShift(0.0, (0.0, 0.0, 0.0), 0.0, (0.0, 0.0), elsewhere, 1.0)).fault == known
