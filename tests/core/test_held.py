"""What is told about a model instead of fitted: tilt, thickness and shape."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.crystal.nanocrystal import Shape, cut
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal
from napari_subangstrom_cdi.core.fit.indexing import match_zone
from napari_subangstrom_cdi.core.fit.model_fit import Evidence, Held, fit_model, object_spectrum
from napari_subangstrom_cdi.core.fit.reflection_fit import Columns, Fit, Reflections
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region

GRID = Grid(256, 100.0)
ZONE, TILT, THICKNESS = (1, 1, 2), (0.5, -0.4), 37.0


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """The pattern of 3.6 nm of zinc-blende CdS."""
    outline = GRID.r_angstrom() < 18.0
    atoms = cut(crystal("CdS-zincblende"), Orientation(ZONE, 20.0, TILT), Shape(outline, GRID, THICKNESS), b_factor=0.8)
    intensity = np.abs(object_spectrum(atoms, GRID, 200e3)) ** 2
    regions = np.where(intensity > 1e-4 * intensity.max(), Region.G, Region.B).astype(np.uint8)
    regions[GRID.q_per_angstrom() < 0.03] = Region.M
    return Evidence(GRID, intensity, regions, GRID.r_angstrom() < 21.0)  # as a support is: a little large


def best(evidence: Evidence, held: Held) -> tuple[Reflections, Fit]:
    """Of the azimuths that the spots allow, the one that the reflections' intensities choose."""
    beams = ZoneBeams(crystal("CdS-zincblende"), ZONE, energy_ev=200e3, q_max_per_angstrom=1.35, b_factor=0.8)
    columns = Columns(evidence.support, GRID, held)
    found = []
    for match in match_zone(np.sqrt(evidence.intensity), evidence.regions, GRID, beams):
        known = Reflections(evidence, beams, ZONE, match, columns, held.lean)
        found.append((known, known.refine(known.search())))
    return min(found, key=lambda one: one[1].r_reflections)


def test_what_is_told_is_kept_and_has_no_error(evidence):
    held = Held(TILT, THICKNESS, 0.0)
    found = fit_model(evidence, crystal("CdS-zincblende"), ZONE, energy_ev=200e3, held=held)
    assert found.fit.tilt_deg == pytest.approx(TILT, abs=1e-9)
    assert found.particle.orientation.tilt_deg == pytest.approx(TILT, abs=1e-9)
    assert (found.fit.thickness_angstrom, found.fit.roundness) == (THICKNESS, 0.0)
    assert found.particle.shape.thickness_angstrom == THICKNESS
    assert math.isnan(found.tilt_error_deg) and math.isnan(found.thickness_error_angstrom)
    assert np.isnan(found.landscape).all(), "no other tilt was asked for"


def test_with_the_tilt_told_thickness_and_shape_are_still_found(evidence):
    known, fit = best(evidence, Held(tilt_deg=TILT))
    assert fit.tilt_deg == pytest.approx(TILT, abs=1e-9) and math.isnan(known.as_good(fit))
    assert fit.thickness_angstrom == pytest.approx(THICKNESS, abs=3) and fit.roundness == 0
    _, wrong = best(evidence, Held(tilt_deg=(-1.0, 1.2)))
    assert wrong.r_reflections > 1.5 * fit.r_reflections


def test_with_a_shape_told_no_other_is_tried(evidence):
    known, fit = best(evidence, Held(TILT, roundness=0.5))
    assert fit.roundness == 0.5 and {other.roundness for other in known.likely(fit)} == {0.5}
