"""Ring standards: beam, pixel and ellipse of simulated rings that are known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import napari_subangstrom_cdi as sacdi
from napari_subangstrom_cdi.cli.main import main
from napari_subangstrom_cdi.core.crystal.unit_cell import crystal
from napari_subangstrom_cdi.core.fit.rings import calibrate_by_rings, powder_rings, stretch_of
from napari_subangstrom_cdi.core.record.detector import Record
from napari_subangstrom_cdi.errors import InputError

PIXEL = 0.0102


def counts(seed: int, centre: tuple[float, float], form=(0.0, 0.0), name: str = "Au", n: int = 192) -> np.ndarray:
    """Rings of the crystal with Poisson noise on a halo, and the direct beam."""
    _, q, height = powder_rings(crystal(name))
    dx, dy = (np.arange(n) - centre[1])[None], (np.arange(n) - centre[0])[:, None]
    back = stretch_of((-form[0], -form[1]))
    radius = PIXEL * np.hypot(back[0, 0] * dx + back[0, 1] * dy, back[1, 0] * dx + back[1, 1] * dy)
    rings = sum(h * np.exp(-((radius - at) ** 2) / 2 / 0.012**2) for h, at in zip(height, q, strict=True))
    level = 400 * (0.5 * np.exp(-radius / 0.25) + rings) + 3e4 * np.exp(-(radius**2) / 2 / 0.02**2)
    return np.random.default_rng(seed).poisson(level).astype(np.float32)


def record(values: np.ndarray, valid: np.ndarray | None = None) -> Record:
    valid = np.ones(values.shape, bool) if valid is None else valid
    return Record(values, np.maximum(values, 1), valid)


def test_rings_of_gold_are_those_of_a_face_centred_lattice():
    names, q, height = powder_rings(crystal("Au"), 1.0)
    assert names[:4] == [(1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1)]
    np.testing.assert_allclose(q[:4] * 4.0782, np.sqrt([3, 4, 8, 11]), rtol=1e-9)
    assert height[0] == 1 and (height[1:] < 0.6).all()


@pytest.mark.parametrize(("seed", "stopped", "told"), [(0, False, None), (1, True, None), (2, True, PIXEL * 1.06)])
def test_beam_pixel_and_ellipse_are_found(seed, stopped, told):
    centre, form = (101.3 - 7 * seed, 92.7 + 3 * seed), (0.03, -0.02)
    values = counts(seed, centre, form)
    y, x = np.indices(values.shape)
    valid = np.ones(values.shape, bool)
    if stopped:
        valid = (np.hypot(y - centre[0], x - centre[1]) > 13) & ~((abs(y - centre[0]) < 5) & (x < centre[1]))
    found = calibrate_by_rings(record(values, valid), crystal("Au"), q_pixel_per_angstrom=told)
    assert found.q_pixel_error_per_angstrom < 1e-3 * PIXEL
    assert abs(found.q_pixel_per_angstrom - PIXEL) < 4 * found.q_pixel_error_per_angstrom
    np.testing.assert_allclose(found.centre_px, centre, atol=4 * max(found.centre_error_px))
    np.testing.assert_allclose(found.form, form, atol=4 * found.form_error)
    assert max(found.centre_error_px) < 0.05 and found.form_error < 1e-3
    assert found.ratio == pytest.approx(math.exp(math.hypot(*form)), abs=2e-3)
    assert len(found.rings) > 5 and found.rings[0].hkl == (1, 1, 1)
    np.testing.assert_allclose([ring.radius_px * PIXEL / ring.q_per_angstrom for ring in found.rings], 1, atol=3e-3)


def test_rings_of_another_crystal_and_no_rings_are_refused():
    values = counts(3, (96.0, 96.0), name="TiO2-rutile")
    with pytest.raises(InputError, match="not those of Au"):
        calibrate_by_rings(record(values), crystal("Au"), q_pixel_per_angstrom=PIXEL)
    y, x = np.indices(values.shape)
    halo = np.random.default_rng(0).poisson(1e3 * np.exp(-np.hypot(y - 90, x - 99) / 25) + 2).astype(np.float32)
    for nothing in (halo, np.zeros_like(halo)):
        with pytest.raises(InputError, match="rings"):
            calibrate_by_rings(record(nothing), crystal("Au"))


def test_the_command_writes_an_acquisition_and_the_call_agrees(tmp_path, capsys):
    values, known = counts(4, (100.0, 90.0), (0.0, 0.02)), tmp_path / "known.json"
    np.save(tmp_path / "rings.npy", values.astype(np.uint32))
    known.write_text(json.dumps({"beam_energy_kV": 200, "detector_pixel_um": 55, "reciprocal_pixel_per_A": 0.0130}))
    out = tmp_path / "calibrated.json"
    arguments = ["calibrate", str(tmp_path / "rings.npy"), "--crystal", "Au", "--acquisition", str(known)]
    assert main([*arguments, "--write", str(out), "--json"]) == 0
    said = capsys.readouterr()
    numbers = json.loads(said.out)
    assert "from that of the stated pixel" in said.err  # 0.0130 is a quarter off
    assert numbers["reciprocal_pixel_per_A"] == pytest.approx(PIXEL, rel=1e-3)
    assert numbers["ellipse"] == pytest.approx(math.exp(0.02), abs=2e-3)
    assert numbers["ellipse_deg"] == pytest.approx(45, abs=2)
    written = sacdi.Acquisition.from_mapping(json.loads(out.read_text()))
    assert written.reciprocal_pixel_per_angstrom == numbers["reciprocal_pixel_per_A"]
    assert written.energy_ev == 200e3 and written.camera_length_mm is None
    told = {"reciprocal_pixel_per_A": PIXEL, "offset_counts": 0}
    found = sacdi.calibrate(values.astype(np.uint32), "Au", acquisition=told)
    assert found.q_pixel_per_angstrom == pytest.approx(PIXEL, rel=1e-3)
    # What is written undoes what the rings suffered; one matrix is of (y, x), the other of (x, y).
    np.testing.assert_allclose(written.distortion.matrix[::-1, ::-1] @ found.stretch, np.eye(2), atol=1e-3)
    assert main(["calibrate", str(tmp_path / "rings.npy"), "--crystal", "Au", "--write", arguments[1]]) == 2
    assert "is the record itself" in capsys.readouterr().err
