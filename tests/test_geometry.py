"""The pattern's ellipse in a job: measured, stated, undone, left, or doubted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from lattice_image import GRID, atoms, image_of, pattern_of
from napari_subangstrom_cdi.core.image.potential import normalise_to_vacuum
from napari_subangstrom_cdi.core.record.detector import Record
from napari_subangstrom_cdi.core.record.distortion import Distortion, MeasuredEllipse
from napari_subangstrom_cdi.core.record.embedding import Pattern
from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.io import Acquisition, read_acquisition
from napari_subangstrom_cdi.job.plan import Inputs, ModelSettings, PatternSettings, Plan
from napari_subangstrom_cdi.job.preparation.clock import Clock
from napari_subangstrom_cdi.job.preparation.geometry import _reconciled, pattern_geometry
from napari_subangstrom_cdi.job.preparation.load import Loaded
from napari_subangstrom_cdi.job.preparation.record import Calibration, CentredRecord, Records, load_records

STATED = Acquisition(
    energy_ev=200e3,
    image_pixel_angstrom=0.36,
    cs_mm=1.0,
    defocus_nm=-61.0,
    defocus_spread_nm=4.0,
    information_limit_per_angstrom=0.55,
    image_to_pattern_rotation_deg=20.0,
)
HEXAGONAL = {"a": 3.6, "b": 3.6, "gamma_deg": 60.0}


def found_for(ellipse, *, how="measured", lattice=HEXAGONAL, acquisition=STATED, zone="", crystal=None):
    """Geometry and doubts of a job whose pattern has this ellipse."""
    r = atoms(**lattice)
    pattern = pattern_of(ellipse.matrix[::-1, ::-1] @ np.asarray(r))
    image = normalise_to_vacuum(image_of(r, 20.5, 0.362))
    plan = Plan(
        Inputs("p.tif", "fit", "i.mrc", crystal=crystal),
        acquisition,
        PatternSettings(ellipse=how),
        model=ModelSettings(zone=zone),
    )
    record = Record(pattern, np.abs(pattern) + 1, np.ones(pattern.shape, bool))
    loaded = Loaded(Records(record, None, {}), Calibration(0.005, None, "acquisition"), (image,), 52.0, None)
    centred = CentredRecord(record, (256.0, 256.0), np.empty((0, 2)), {"background": {"kind": "fit"}})
    with collected_doubts() as doubts:
        geometry = pattern_geometry(
            plan, loaded, centred, Pattern(record.electrons, record.variance, record.valid), GRID, Clock()
        )
    return geometry, doubts


def test_an_ellipse_that_leaves_a_hexagonal_lattice_is_undone():
    geometry, doubts = found_for(Distortion(2.0, 31.0))
    assert geometry.distortion.ellipse_percent == pytest.approx(2.0, abs=0.1)
    assert geometry.distortion.ellipse_deg == pytest.approx(31.0, abs=2)
    assert geometry.readings()["source"] == "image and hexagonal lattice" and geometry.readings()["undone"]
    assert not doubts


def test_a_pattern_without_an_ellipse_is_left_as_it_is():
    geometry, doubts = found_for(Distortion())
    assert geometry.distortion.is_none and not doubts
    assert geometry.readings()["percent"] < 0.15 and not geometry.readings()["undone"]


def test_what_is_stated_goes_before_what_is_measured_and_a_contradiction_is_said():
    stated = replace(STATED, ellipse_percent=0.0)
    geometry, (said,) = found_for(Distortion(2.0, 31.0), acquisition=stated)
    assert geometry.distortion.is_none
    assert "still elliptical by" in said and "check ellipse_percent" in said
    for how in ("stated", "off"):
        geometry, doubts = found_for(
            Distortion(2.0, 31.0), how=how, acquisition=replace(STATED, pixel_ratio_percent=3.0)
        )
        assert geometry.distortion == Distortion(0, 0, 3.0) and not doubts


def test_a_crystal_that_is_not_named_cannot_tell():
    with pytest.raises(InputError, match="no crystal or zone axis is named"):
        found_for(Distortion(), how="crystal")


def measured(percent, deg, error_percent, source):
    return MeasuredEllipse(Distortion(percent, deg).components, (error_percent / 100) ** 2 * np.eye(2), source)


def test_substrate_and_image_that_contradict_are_both_said():
    with collected_doubts() as doubts:
        told = _reconciled(measured(2.0, 30, 0.2, "image"), measured(0.5, 30, 0.05, "substrate's spots"))
    assert told is not None and told.source == "substrate's spots"
    assert "by 0.50 ± 0.05 % along 30°, by the image elliptical by 2.00 ± 0.20 %" in doubts[0]
    with collected_doubts() as doubts:
        told = _reconciled(measured(2.0, 30, 0.2, "image"), measured(2.1, 30, 0.05, "substrate's spots"))
    assert told is not None and told.percent == pytest.approx(2.1, abs=0.02) and not doubts


def test_a_lattice_nearly_hexagonal_is_doubted_where_nothing_tells_its_ellipse():
    # an image without reflections in two directions within its limit
    coarse = replace(STATED, information_limit_per_angstrom=0.3)
    geometry, doubts = found_for(Distortion(2.0, 31.0), acquisition=coarse)
    assert geometry.distortion.is_none
    assert any("would be hexagonal if the pattern were not elliptical by" in said for said in doubts)


@pytest.mark.parametrize(("axis", "stated", "said"), [(0, None, "100"), (1, None, "-50"), (0, 0.0, None)])
def test_a_frame_twice_as_long_as_wide_may_be_binned_one_way(small_case, tmp_path, axis, stated, said):
    for name in ("particle.tif", "background.tif"):
        counts = tifffile.imread(small_case / name)
        halves = (counts[::2] + counts[1::2]) if axis == 0 else (counts[:, ::2] + counts[:, 1::2])
        tifffile.imwrite(tmp_path / name, halves)
    acquisition = replace(read_acquisition(small_case / "acquisition.json"), pixel_ratio_percent=stated)
    inputs = Inputs(str(tmp_path / "particle.tif"), str(tmp_path / "background.tif"))
    with collected_doubts() as doubts:
        load_records(Plan(inputs, acquisition), Clock())
    told = [text for text in doubts if "pixels are not square" in text]
    assert bool(told) == (said is not None)
    assert not told or f"pixel_ratio_percent {said} in the acquisition" in told[0]
