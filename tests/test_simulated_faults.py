"""Record sets with one fault each: what the settings say is in the records, and in the truth beside them."""

from __future__ import annotations

import json
from dataclasses import replace

import mrcfile
import numpy as np
import pytest
import tifffile

import napari_subangstrom_cdi as sacdi
from napari_subangstrom_cdi.cli.main import main
from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel
from napari_subangstrom_cdi.core.image.potential import ImagingConditions
from napari_subangstrom_cdi.core.microscope import (
    image_intensity,
    pattern_electrons,
    recorded,
    seen_by_camera,
    substrate_electrons,
)
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.parameters import declared
from napari_subangstrom_cdi.simulation.faults import FaultSettings
from napari_subangstrom_cdi.simulation.records import TRUTH_GRID, Detector, recorded_image, simulate
from napari_subangstrom_cdi.simulation.settings import MicroscopeSettings, ParticleSettings, Simulation, read_simulation
from napari_subangstrom_cdi.simulation.usual_faults import usual_faults

PARTICLE = ParticleSettings("MgO", "0 0 1", diameter_angstrom=20.0)
MICROSCOPE = MicroscopeSettings(detector_px=128, detector_pixel_um=400.0, image_px=256)
NOTHING = AtomicModel(np.zeros(0, int), np.zeros((0, 3)))
SOUND = Simulation(PARTICLE, MICROSCOPE, seed=4)


@pytest.fixture(scope="module")
def sound():
    return simulate(SOUND)


def spoiled(**faults) -> Simulation:
    return replace(SOUND, faults=FaultSettings(**faults))


def image_with(sound, **faults):
    """The image without noise."""
    quiet = replace(SOUND, microscope=replace(MICROSCOPE, noise=False, faults=False, image_electrons_per_pixel=5e4))
    settings = replace(quiet, faults=FaultSettings(**faults))
    rng = np.random.default_rng(0)
    return recorded_image(sound.truth, settings, usual_faults(settings), rng).astype(float) / 5e4


@pytest.fixture(scope="module")
def plain(sound):
    return image_with(sound)


def test_without_faults_the_records_are_what_they_were_before_there_were_any(sound):
    """Bit for bit: substrate, particle and detector in the order in which they always drew their numbers."""
    usual, q_pixel, energy = sound.usual, MICROSCOPE.q_pixel_per_angstrom, MICROSCOPE.energy_ev
    rng = np.random.default_rng([SOUND.seed, 2])
    layers = tuple(float(a) for a in rng.uniform(0, 60, MICROSCOPE.graphene_layers))
    at = (64 + usual.beam_px[0], 64 + usual.beam_px[1])
    electrons = substrate_electrons((128, 128), q_pixel, at, MICROSCOPE, turned_deg=0.0, layers_deg=layers)
    electrons += pattern_electrons(sound.atoms, (128, 128), q_pixel, at, MICROSCOPE, energy_ev=energy)
    np.testing.assert_array_equal(sound.pattern, recorded(electrons, MICROSCOPE, rng))
    fainter = replace(MICROSCOPE, dose_per_angstrom2=0.97 * MICROSCOPE.dose_per_angstrom2)
    at, turn = (64 + usual.background_beam_px[0], 64 + usual.background_beam_px[1]), usual.background_turn_deg
    electrons = substrate_electrons((128, 128), q_pixel, at, fainter, turned_deg=turn, layers_deg=layers)
    electrons += pattern_electrons(NOTHING, (128, 128), q_pixel, at, fainter, energy_ev=energy)
    np.testing.assert_array_equal(sound.background, recorded(electrons, fainter, rng))
    lens = ImagingConditions(energy, 1.0, -61.3, 4.0, 0.52)
    seen = seen_by_camera(
        image_intensity(sound.truth, TRUTH_GRID, lens),
        TRUTH_GRID,
        (256, 256),
        MICROSCOPE.image_pixel_angstrom * usual.magnification,
        rotation_deg=usual.rotation_deg,
        centre_px=usual.image_centre_px,
    )
    grainy = np.maximum(seen + 0.02 * rng.standard_normal((256, 256)), 0) * 200.0
    np.testing.assert_array_equal(sound.image, rng.poisson(grainy).astype(np.uint16))
    assert sound.pattern.dtype == sound.background.dtype == np.uint16 and sound.mask is None
    assert "[faults]" not in SOUND.to_toml()


def test_a_set_with_many_faults_is_written_with_its_truth(tmp_path, sound):
    words = ["simulate", "--crystal", "MgO", "--zone", "0 0 1", "--diameter", "20", "--detector", "128"]
    words += ["--detector-pixel", "400", "--seed", "4", "--saturation", "3000", "-o", str(tmp_path)]
    wrong = ["--ellipse", "2", "--ellipse-along", "30", "--gap", "3", "--stop-arm", "0.3", "--stop-shadow", "1"]
    assert main([*words, *wrong, "--mirrored"]) == 0
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert answer["faults"] == {
        "ellipse_percent": 2.0, "ellipse_deg": 30.0, "gap_px": 3, "stop_arm_per_angstrom": 0.3,
        "stop_shadow_px": 1.0, "mirrored": True,
    }  # fmt: skip
    axes = np.linalg.svd(np.array(answer["q_of_detector"]), compute_uv=False)
    assert axes[0] / axes[1] == pytest.approx(1.02)
    known = json.loads((tmp_path / "acquisition.json").read_text())
    assert known.keys() == sound.acquisition.keys()  # nothing of it is told
    settings = read_simulation(tmp_path / "simulation.toml")
    assert settings.faults.given() == answer["faults"] and settings.microscope.saturation_counts == 3000
    pattern, mask = (tifffile.imread(tmp_path / name) for name in ("particle.tif", "mask.tif"))
    assert pattern.dtype == np.int32 and mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 1}
    assert (pattern[:, 63:66] == -1).all() and (pattern[63:66] == -1).all() and mask[63:66].all()
    assert pattern.max() <= 3000
    beam = 64 + answer["ctr"][1]
    arm = pattern[:30, round(beam) - 1 : round(beam) + 2]  # from above; the camera's offset and noise
    assert np.median(arm[arm >= 0]) == pytest.approx(20, abs=2) and mask[:30, round(beam)].all()
    with mrcfile.open(tmp_path / "image.mrc") as image:
        assert image.data.shape == (1024, 1024)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [("0", np.uint16), ("-1", np.int32), ("65535", np.uint16), ("4294967295", np.uint32), ("nan", np.float32)],
)
def test_gaps_hold_what_they_are_asked_to(value, dtype):
    detector = Detector.of(spoiled(gap_px=2, gap_value=value), (0.0, 0.0))
    record = detector.read_out(np.full((128, 128), 50.0), (64.0, 64.0), MICROSCOPE, np.random.default_rng(1))
    assert record.dtype == dtype
    np.testing.assert_array_equal(record[detector.gaps], np.array(float(value)).astype(dtype))
    assert np.median(record[~detector.gaps]) == pytest.approx(60, abs=2) and detector.gaps[63:65].all()
    np.testing.assert_array_equal(detector.mask, detector.gaps)


def test_a_gain_reference_smears_the_ceiling_and_nothing_else():
    quiet = replace(MICROSCOPE, noise=False, saturation_counts=3000, counts_per_electron=1.0)
    detector = Detector.of(replace(spoiled(gain_percent=2.0), microscope=quiet), (0.0, 0.0))
    electrons = np.full((128, 128), 1000.0)
    electrons[:64] = 1e5
    record = detector.read_out(electrons, (64.0, 64.0), quiet, np.random.default_rng(1))
    assert record.dtype == np.float32
    np.testing.assert_allclose(record[64:], 1020, atol=0.7)
    assert record[:64].std() == pytest.approx(0.02 * 2980, rel=0.05)
    assert record[:64].mean() == pytest.approx(3000, rel=0.002)


def test_a_film_is_all_over_the_image(sound, plain):
    """Grain in every corner, however the image is turned; the particle is where it was."""
    film = image_with(sound, film_angstrom=60.0)
    corners = (slice(0, 40), slice(-40, None))
    grain = [film[y, x].std() for y in corners for x in corners]
    assert min(grain) > 0.03 and max(grain) < 2 * min(grain)
    assert plain[:40, :40].std() < 0.01
    both, far = film - plain, np.hypot(*(np.indices(plain.shape) - 128)) > 90
    assert both.std() == pytest.approx(both[far].std(), rel=0.15)


def test_a_neighbour_is_the_particle_again_somewhere_else(sound, plain):
    """Not turned and of the same size it is the same picture, moved along +x; mirrored, all of it is reversed."""
    way = 80 * MICROSCOPE.image_pixel_angstrom
    beside = {"neighbour_angstrom": way, "neighbour_deg": 0.0, "neighbour_turn_deg": 0.0}
    pair = image_with(sound, **beside, mirrored=True)[:, ::-1]
    moved = np.roll(plain - 1, 80, axis=1)
    moved[:, :80] = 0
    np.testing.assert_allclose(pair - plain, moved, atol=2e-3)


def test_drift_and_astigmatism_take_the_directions_of_the_image(sound):
    """With the image turned against the pattern, a drift along x blurs along x."""
    quiet = replace(MICROSCOPE, noise=False, faults=False, image_electrons_per_pixel=5e4)
    turned = replace(sound.usual, rotation_deg=40.0, image_centre_px=(128.0, 128.0), magnification=1.0)
    frequency = np.fft.fftfreq(256, 0.36)

    def power(**faults):
        settings = Simulation(PARTICLE, quiet, 4, FaultSettings(**faults))
        image = recorded_image(sound.truth, settings, turned, np.random.default_rng(0)).astype(float) / 5e4 - 1
        return np.abs(np.fft.fft2(image))

    plain, drifted = power(), power(drift_angstrom=2.0, drift_deg=0.0)
    strong = plain > 0.05 * plain.max()
    q_x = np.broadcast_to(frequency[None], plain.shape)
    np.testing.assert_allclose((drifted / plain)[strong], np.abs(np.sinc(2.0 * q_x))[strong], atol=0.03)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ellipse_percent": -1}, "faults.ellipse_percent"),
        ({"gap_value": "7"}, "gap_value"),
        ({"gap_px": 2.5}, "gap_px"),
        ({"elipse": 1}, "elipse"),
    ],
)
def test_faults_that_make_no_sense_are_said(given, said):
    with pytest.raises(InputError, match=said):
        sacdi.simulate(PARTICLE, MICROSCOPE, faults=given)


def test_every_fault_is_an_option_and_none_is_on():
    assert not FaultSettings().any()
    assert set(declared(FaultSettings)) == set(FaultSettings.__dataclass_fields__)
