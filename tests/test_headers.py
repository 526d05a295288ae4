"""What the headers of the files say goes into the acquisition, as far as the user does not say it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import Acquisition, ImageFile, read_acquisition
from napari_subangstrom_cdi.io.cxi import extract_files
from napari_subangstrom_cdi.io.header import HeaderWriter, Pixel
from napari_subangstrom_cdi.io.stack import describe
from napari_subangstrom_cdi.job import headers
from napari_subangstrom_cdi.job.headers import completed, filled, required
from napari_subangstrom_cdi.job.pipeline import embedded_inputs
from napari_subangstrom_cdi.job.plan import Inputs, Plan, named_files, paths_of, with_paths
from napari_subangstrom_cdi.job.preparation.record import marked_by_file

OLD = Path(__file__).parent / "data" / "from_0_1_0"
INPUTS = Inputs("pattern.dm4", "background.dm4", "image.dm4")


def header(**values):
    """A header that says these, each at a place called after itself."""
    found = HeaderWriter()
    for name, value in values.items():
        found.put(name, value, f"place of {name}")
    return found.header()


def reciprocal(size, other=None):
    return Pixel((size, size if other is None else other), "1/Å")


def real(size, other=None):
    return Pixel((size, size if other is None else other), "Å")


def plan(**stated):
    return Plan(INPUTS, Acquisition(**stated))


def test_headers_that_say_nothing_leave_the_plan_as_it_is():
    asked = plan(cs_mm=1.0)
    known = filled(asked, {"pattern": header(), "image": header()})
    assert known.plan is asked and not known.doubts and known.said == {"cs_mm": "stated in the acquisition"}


def test_energy_and_pixels_are_taken_with_their_places():
    known = filled(
        plan(cs_mm=1.0),
        {
            "pattern": header(pixel=reciprocal(0.00125), energy_ev=200e3, role="pattern", saturation_counts=65535.0),
            "image": header(pixel=real(0.36), energy_ev=200e3, role="image"),
        },
    )
    assert known.acquisition == Acquisition(
        energy_ev=200e3,
        reciprocal_pixel_per_angstrom=0.00125,
        image_pixel_angstrom=0.36,
        saturation_counts=65535.0,
        cs_mm=1.0,
    )
    assert not known.doubts
    assert known.said["energy_ev"] == "pattern.dm4: place of energy_ev"
    assert known.said["image_pixel_angstrom"] == "image.dm4: place of pixel"
    assert known.readings()["acquisition"]["reciprocal_pixel_per_A"] == 0.00125
    assert known.readings()["acquisition_from"]["reciprocal_pixel_per_A"] == "pattern.dm4: place of pixel"


def test_what_the_user_states_wins_and_a_contradiction_is_named_with_both_values():
    known = filled(
        plan(energy_ev=300e3, image_pixel_angstrom=0.36),
        {"pattern": header(energy_ev=200e3), "image": header(pixel=real(0.72), energy_ev=300e3)},
    )
    assert (known.acquisition.energy_ev, known.acquisition.image_pixel_angstrom) == (300e3, 0.36)
    energy, pixel = known.doubts
    for word in ("beam_energy_kV 300", "in the acquisition", "beam_energy_kV 200", "pattern.dm4: place of energy_ev"):
        assert word in energy
    for word in ("image_pixel_nominal_A 0.36", "image_pixel_nominal_A 0.72", "image.dm4: place of pixel"):
        assert word in pixel


def test_rounding_is_no_contradiction():
    headers = {"pattern": header(energy_ev=200e3), "image": header(pixel=real(0.3604), energy_ev=199.9e3)}
    assert not filled(plan(energy_ev=200.5e3, image_pixel_angstrom=0.36), headers).doubts


def test_files_that_disagree_on_the_energy_are_named():
    known = filled(plan(), {"pattern": header(energy_ev=200e3), "image": header(energy_ev=300e3)})
    assert known.acquisition.energy_ev == 200e3
    (said,) = known.doubts
    assert "200 (pattern.dm4: place of energy_ev)" in said and "300 (image.dm4: place of energy_ev)" in said


def test_a_calibrated_pixel_goes_before_the_camera_length_of_the_file():
    says = header(pixel=reciprocal(0.00125), energy_ev=200e3, camera_length_mm=490.0, detector_pixel_um=29.6)
    known = filled(plan(), {"pattern": says}).acquisition
    assert known.reciprocal_pixel_per_angstrom == 0.00125
    assert known.camera_length_mm is None and known.detector_pixel_um is None


def test_a_stated_camera_length_goes_before_the_pixel_of_the_file():
    says = header(pixel=reciprocal(0.0025), energy_ev=200e3, detector_pixel_um=25.0)
    known = filled(plan(camera_length_mm=797.48), {"pattern": says})
    assert known.acquisition.reciprocal_pixel_per_angstrom is None
    assert known.acquisition.detector_pixel_um == 25.0
    (said,) = known.doubts
    assert "camera_length_mm 797.48" in said and "0.00124998" in said and "0.0025" in said and "place of pixel" in said


def test_a_stated_camera_length_that_gives_no_pixel_leaves_it_to_the_file():
    known = filled(plan(camera_length_mm=797.48), {"pattern": header(pixel=reciprocal(0.0025))}).acquisition
    assert known.reciprocal_pixel_per_angstrom == 0.0025


def test_a_nominal_camera_length_is_taken_with_a_doubt():
    says = header(energy_ev=200e3, camera_length_mm=490.0, detector_pixel_um=29.6, role="pattern")
    known = filled(plan(), {"pattern": says})
    assert (known.acquisition.camera_length_mm, known.acquisition.detector_pixel_um) == (490.0, 29.6)
    (said,) = known.doubts
    assert "nominal" in said and "place of camera_length_mm" in said


def test_a_camera_length_in_imaging_mode_is_not_taken():
    known = filled(plan(), {"pattern": header(role="image", camera_length_mm=378.0, energy_ev=200e3)})
    assert known.acquisition.camera_length_mm is None
    assert "given as pattern, but says that it is an image" in known.doubts[0]
    image_alone = filled(plan(), {"image": header(role="image", camera_length_mm=378.0)})
    assert image_alone.acquisition == Acquisition()


def test_known_spacings_need_no_calibration_of_the_file():
    asked = plan()
    asked = replace(asked, pattern=replace(asked.pattern, known_spacings=((223.5, 3.58),)))
    says = header(pixel=reciprocal(0.0025), energy_ev=200e3)
    assert filled(asked, {"pattern": says}).acquisition == Acquisition(energy_ev=200e3)


def test_a_background_at_another_camera_length_is_named():
    known = filled(plan(), {"pattern": header(pixel=reciprocal(0.0025)), "background": header(pixel=reciprocal(0.002))})
    assert "background.dm4: place of pixel" in known.doubts[0]


@pytest.mark.parametrize(
    ("role", "says", "words"),
    [
        ("pattern", header(role="image"), "given as pattern, but says that it is an image"),
        ("background", header(role="image"), "given as background, but says that it is an image"),
        ("image", header(role="pattern"), "given as image, but says that it is a pattern"),
        ("pattern", header(pixel=real(0.36)), "states a pixel of real space"),
        ("image", header(pixel=reciprocal(0.01)), "states a pixel of reciprocal space"),
    ],
)
def test_a_file_that_is_something_else_is_doubted(role, says, words):
    (said,) = filled(plan(), {role: says}).doubts
    assert said.startswith(f"{role}.dm4 ") and words in said


def test_pixels_that_are_nearly_square_are_averaged_with_a_doubt():
    known = filled(plan(), {"image": header(pixel=real(0.36, 0.35))})
    assert known.acquisition.image_pixel_angstrom == pytest.approx(0.355)
    assert "0.36 x 0.35 Å (y, x), which are not square; their mean is used" in known.doubts[0]


def test_pixels_of_an_image_that_are_not_square_at_all_are_left_to_the_user():
    known = filled(plan(), {"image": header(pixel=real(0.36, 0.72), energy_ev=200e3)})
    assert known.acquisition.image_pixel_angstrom is None
    assert "0.36 x 0.72 Å" in known.offers["image_pixel_angstrom"]


def test_pixels_of_a_pattern_that_are_not_square_are_undone():
    known = filled(plan(), {"pattern": header(pixel=reciprocal(0.02, 0.01), energy_ev=200e3)})
    assert known.acquisition.reciprocal_pixel_per_angstrom == pytest.approx(0.01)
    assert known.acquisition.pixel_ratio_percent == pytest.approx(100)
    assert known.acquisition.distortion.matrix == pytest.approx(np.diag([2.0, 1.0]))
    assert "0.02 x 0.01 1/Å (y, x), which are not square" in known.doubts[0]


def test_an_impossible_value_of_a_file_is_left_out_and_said():
    known = filled(plan(), {"image": header(pixel=real(1686.7))})
    assert known.acquisition.image_pixel_angstrom is None
    assert (
        "image.dm4 states image_pixel_nominal_A 1686.7 (place of pixel), which is impossible; it is left out"
        in known.doubts[0]
    )


def test_defocus_and_aberration_and_gain_are_offered_and_never_taken():
    says = {"image": header(defocus_nm=998.0, cs_mm=1.2), "pattern": header(counts_per_electron=2.78)}
    known = filled(plan(), says)
    assert known.acquisition == Acquisition()
    assert "programs differ in its sign" in known.offers["defocus_nm"]
    assert "place of cs_mm" in known.offers["cs_mm"]
    (said,) = known.doubts
    assert said.startswith("the counts per electron are taken from the noise")
    assert "place of counts_per_electron" in said
    stated = filled(plan(cs_mm=0.5, defocus_nm=-60.0, counts_per_electron=1.0), says)
    assert stated.acquisition == plan(cs_mm=0.5, defocus_nm=-60.0, counts_per_electron=1.0).acquisition
    assert [("cs_mm" in said, "counts_per_electron" in said) for said in stated.doubts] == [
        (True, False),
        (False, True),
    ]


def test_where_a_frame_saturates_says_nothing_of_a_sum_of_frames():
    says = {"pattern": header(saturation_counts=4095.0)}
    assert filled(plan(), says).acquisition.saturation_counts == 4095
    added = filled(Plan(replace(INPUTS, pattern_frame="sum"), Acquisition()), says)
    assert added.acquisition.saturation_counts is None
    assert added.offers["saturation_counts"] == (
        "pattern.dm4 states where a frame saturates (place of saturation_counts), but all its frames are added up"
    )


def test_a_file_that_says_where_it_stands_in_itself_is_named_once():
    found = HeaderWriter()
    found.put("energy_ev", 200e3, "image.dm4: AcceleratingVoltage = 200000 V")
    assert filled(plan(), {"image": found.header()}).said["energy_ev"] == "image.dm4: AcceleratingVoltage = 200000 V"


@pytest.fixture
def with_pixels(tmp_path):
    """A pattern whose pixel is in 1/nm, and an image in nm, both as ImageJ writes them."""
    counts = np.random.default_rng(0).poisson(20, (64, 64)).astype(np.uint16)
    for name, pixel, unit in (("pattern.tif", 0.0125, "1/nm"), ("image.tif", 0.036, "nm")):
        tifffile.imwrite(
            tmp_path / name, counts, imagej=True, resolution=(1 / pixel, 1 / pixel), metadata={"unit": unit}
        )
    return Inputs(str(tmp_path / "pattern.tif"), image=str(tmp_path / "image.tif"))


def test_headers_are_read_from_files_and_anew_when_these_change(with_pixels, tmp_path):
    first = completed(Plan(with_pixels)).acquisition
    assert first.reciprocal_pixel_per_angstrom == pytest.approx(0.00125)
    assert first.image_pixel_angstrom == pytest.approx(0.36)
    with mrcfile.new(tmp_path / "other.mrc") as file:
        file.set_data(np.ones((64, 64), np.float32))
        file.voxel_size = 0.5
    (tmp_path / "other.mrc").replace(tmp_path / "image.tif")
    assert completed(Plan(with_pixels)).acquisition.image_pixel_angstrom == 0.5


def test_a_header_that_cannot_be_read_is_not_tried_at_every_look(tmp_path, monkeypatch):
    path = tmp_path / "image.mrc"
    path.write_bytes(b"nothing that anybody knows" * 100)
    tried = []
    monkeypatch.setattr(headers, "describe", lambda address: tried.append(address) or describe(address))
    asked = Plan(Inputs(str(path)))
    says = [str(completed(asked).unread["pattern"]) for _ in range(3)]
    assert len(tried) == 1 and len(set(says)) == 1
    np.save(tmp_path / "image.npy", np.ones((4, 4)))
    (tmp_path / "image.npy").replace(path)
    assert not completed(asked).unread


def test_a_value_that_is_missing_is_asked_for_with_what_the_files_are(with_pixels, tmp_path):
    assert required(Plan(with_pixels), "image_pixel_angstrom") == (pytest.approx(0.36),)
    with pytest.raises(InputError, match="the acquisition lacks beam_energy_kV"):
        required(Plan(with_pixels), "image_pixel_angstrom", "energy_ev")
    gone = replace(with_pixels, image=str(tmp_path / "gone.dm4"))
    with pytest.raises(InputError, match=r"gone\.dm4: there is no such file"):
        required(Plan(gone), "image_pixel_angstrom")


def test_masks_and_values_that_stand_for_none_are_marked():
    data = np.full((4, 4), 7, np.uint32)
    data[0, 0], data[1, 1] = 2**32 - 1, 3
    says = header(invalid_values=(float(2**32 - 1),))
    record = ImageFile(data, Path("a.h5"), "HDF5", says)
    assert np.argwhere(marked_by_file(record)).tolist() == [[0, 0]]
    mask = np.zeros((4, 4), bool)
    mask[1, 1] = True
    assert np.argwhere(marked_by_file(replace(record, mask=mask))).tolist() == [[0, 0], [1, 1]]
    summed = replace(record, data=data.astype(np.int64) * 3, frames=3)
    assert np.argwhere(marked_by_file(summed)).tolist() == [[0, 0]]
    floats = np.where(data == 3, math.nan, 1.0)
    lacking = replace(record, data=floats, header=header(invalid_values=(math.nan,)))
    assert np.argwhere(marked_by_file(lacking)).tolist() == [[1, 1]]
    assert marked_by_file(replace(record, header=header())) is None


@pytest.fixture
def scan(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/a"], file["entry/b"] = np.full((8, 8), 3, np.uint16), np.full((8, 8), 4, np.uint16)
    return tmp_path / "scan.h5"


def test_a_dataset_stays_with_its_file_when_that_is_moved(scan, tmp_path):
    inputs = Inputs(f"{scan}::/entry/a", image=f"{scan}::/entry/b")
    assert paths_of(inputs) == {"pattern": scan, "image": scan}
    moved = with_paths(inputs, {"pattern": tmp_path / "x.h5"})
    assert moved.pattern == f"{tmp_path / 'x.h5'}::/entry/a" and moved.image == inputs.image
    assert named_files(Inputs("p.tif", crystal="MoO3.cif::one"))["crystal"] == "MoO3.cif::one"
    assert "crystal" not in named_files(Inputs("p.tif", crystal="CdS-wurtzite"))


def test_files_of_datasets_are_kept_once_and_unpacked_under_their_names(scan, tmp_path):
    kept = embedded_inputs(Plan(Inputs(f"{scan}::/entry/a", image=f"{scan}::/entry/b")))
    assert [(file.role, file.name) for file in kept] == [("pattern", "scan.h5"), ("image", "scan.h5")]
    folder = tmp_path / "unpacked"
    folder.mkdir()
    paths = extract_files(kept, folder)
    assert {path.name for path in paths.values()} == {"scan.h5"} and len(set(paths.values())) == 2


def test_an_acquisition_file_is_read_as_before():
    stated = read_acquisition(OLD / "acquisition.json")
    known = completed(
        Plan(with_paths(Inputs(""), {"pattern": OLD / "particle.tif", "image": OLD / "image.mrc"}), stated)
    )
    assert known.acquisition == stated and not known.doubts
    assert json.loads(json.dumps(known.readings()))["acquisition"]["camera_length_mm"] == 797.48
