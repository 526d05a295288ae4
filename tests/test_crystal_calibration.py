"""A small record of discs, as of a scanned pattern: calibrated by its crystal, whose zone is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_subangstrom_cdi.core.crystal.bloch import ZoneBeams
from napari_subangstrom_cdi.core.crystal.unit_cell import crystal
from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings
from napari_subangstrom_cdi.core.fit.indexing import turned
from napari_subangstrom_cdi.core.fit.rings import stretch_of
from napari_subangstrom_cdi.core.record.calibration import q_pixel_from_spacings
from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.job.plan import Inputs, Plan, preset_plan
from napari_subangstrom_cdi.job.preparation import Clock, calibrated_by_crystal

PIXEL, SIDE = 0.0235, 128


def plan_of(folder, form: tuple[float, float], stated: float, name: str, zone: str = "auto") -> Plan:
    """The plan for 128 x 128 pixels of silver [110], the pixel as stated."""
    beams = ZoneBeams(crystal("Ag"), (1, 1, 0), energy_ev=200e3, q_max_per_angstrom=1.25)
    g = turned(beams.g_per_angstrom, 17.0) @ stretch_of(form) / PIXEL + SIDE // 2
    strength = np.abs(beams.potential_volt) ** 2
    strength[0] = strength.max() * 30
    y, x = np.indices((SIDE, SIDE))
    level = 3.0 + 60 * np.exp(-np.hypot(y - SIDE // 2, x - SIDE // 2) / 15)
    for (gx, gy), height in zip(g, 4e3 * strength / strength[1:].max(), strict=True):
        level += height / (1 + np.exp(np.minimum((np.hypot(y - gy, x - gx) - 3.0) / 0.4, 50)))
    np.save(folder / "discs.npy", np.random.default_rng(1).poisson(level).astype(np.uint32))
    np.save(folder / "support.npy", (np.hypot(y - SIDE // 2, x - SIDE // 2) < 12).astype(np.uint8))
    known = {"beam_energy_kV": 200, "reciprocal_pixel_per_A": stated, "beam_centre_px": [0, 0], "offset_counts": 0}
    inputs = Inputs(str(folder / "discs.npy"), support=str(folder / "support.npy"), crystal=name)
    plan = preset_plan("model", inputs, Acquisition.from_mapping(known), EnsembleSettings())
    return replace(plan, model=replace(plan.model, zone=zone))


@pytest.mark.parametrize(("form", "off", "zone"), [((0.0, 0.0), 1.0, "1 1 0"), ((0.03, 0.02), 1.04, "auto")])
def test_discs_calibrate_a_small_record(tmp_path, form, off, zone):
    with collected_doubts() as doubts:
        plan = calibrated_by_crystal(plan_of(tmp_path, form, off * PIXEL, "Ag", zone), Clock())
    found = q_pixel_from_spacings(*zip(*plan.pattern.known_spacings, strict=True))
    assert found.q_pixel_per_angstrom == pytest.approx(PIXEL, rel=4e-3)
    said = " ".join(doubts)
    assert ("stretched by 3." in said) == (form != (0.0, 0.0))
    assert ("changes all spacings by" in said) == (off != 1.0)
    assert "no zone axis" not in said and "rather than" not in said


def test_a_wrong_crystal_or_zone_of_discs_is_refused_or_said(tmp_path):
    with collected_doubts(), pytest.raises(InputError, match="no zone axis of Cu fits"):
        calibrated_by_crystal(plan_of(tmp_path, (0.0, 0.0), PIXEL, "Cu"), Clock())
    with collected_doubts() as doubts:
        calibrated_by_crystal(plan_of(tmp_path, (0.0, 0.0), PIXEL, "Ag", "1 0 0"), Clock())
    assert any("rather than of [1 0 0]" in one for one in doubts)
