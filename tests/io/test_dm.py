"""DM3 and DM4: values, the record among the images, and what the tags say."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from writers.dm import DIFFRACTION, IMAGE_TYPES, THUMBNAIL, dm_bytes, image, tree_bytes

from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.io import read_image
from napari_subangstrom_cdi.io.header import Header
from napari_subangstrom_cdi.io.image import contents
from napari_subangstrom_cdi.io.stack import read_stack

COLOURED = {"ImageData": THUMBNAIL["ImageData"] | {"Data": np.arange(16, dtype="<u4")}}
DATA = np.arange(5 * 7, dtype="<u2").reshape(5, 7)
NANOMETRES = {"units": ("nm", "nm"), "scales": (0.1, 0.1)}


def header_of(path: Path, entry: dict[str, Any]) -> Header:
    path.write_bytes(dm_bytes(entry))
    return read_image(path).header


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("kind", [k for k in IMAGE_TYPES if not k.startswith("complex")])
def test_every_type_of_both_versions_reads_to_its_values(tmp_path: Path, kind: str, version: int) -> None:
    data = (np.arange(35) * 7 - (0 if kind.startswith("u") else 100)).astype(kind).reshape(5, 7)
    path = tmp_path / "image.dm"
    path.write_bytes(dm_bytes(image(data), version=version))
    read = read_image(path)
    np.testing.assert_array_equal(read.data, data)
    assert (read.data.dtype.name, read.format_name) == (kind, "DM3/DM4")


def test_a_stack_is_read_frame_by_frame(tmp_path: Path) -> None:
    data = np.arange(3 * 5 * 7, dtype="<i4").reshape(3, 5, 7)
    path = tmp_path / "stack.dm4"
    path.write_bytes(dm_bytes(image(data, units=("nm", "nm", "s"), scales=(0.1, 0.1, 1.0)), version=4))
    np.testing.assert_array_equal(read_stack(path).data, data)
    np.testing.assert_array_equal(read_image(path, frame=2).data, data[2])
    assert read_image(path, frame="sum").header.pixel_angstrom == 1.0


def test_the_shown_image_is_the_record_and_the_others_have_names(tmp_path: Path) -> None:
    path = tmp_path / "two.dm3"
    path.write_bytes(dm_bytes(image(DATA), image(DATA + 100), shown=2))
    with pytest.warns(QualityWarning, match=r"holds other images, too: two\.dm3::0"):
        read = read_image(path)
    assert (read.data[0, 0], read.dataset) == (100, "1")
    assert read_image(f"{path}::0").data[0, 0] == 0
    assert [(item.name, item.shape, item.dtype) for item in contents(path)] == [
        ("0", (5, 7), "uint16"),
        ("1", (5, 7), "uint16"),
    ]
    with pytest.raises(InputError, match="has no image '2'; it holds 0"):
        read_image(f"{path}::2")


def test_one_image_beside_its_thumbnail_offers_no_choice(tmp_path: Path) -> None:
    path = tmp_path / "one.dm3"
    path.write_bytes(dm_bytes(image(DATA)))
    assert contents(path) == ()
    assert read_image(path).dataset is None


def test_the_tags_of_diffraction_mode(tmp_path: Path) -> None:
    said = header_of(tmp_path / "p.dm3", image(DATA, units=("1/nm", "1/nm"), scales=(0.17, 0.17), **DIFFRACTION))
    assert said.pixel == ((0.017, 0.017), "1/Å")
    assert said.role == "pattern"
    assert said.energy_ev == 200e3
    assert said.camera_length_mm == 32.0  # the actual one, not the nominal 320
    assert said.detector_pixel_um == 28.0  # 14 µm, binned by 2
    assert said.binning == (2, 2)
    assert said.exposure_s == 0.2
    assert said.saturation_counts == 65785 - 250
    assert said.offset_counts is None  # subtracted in a gain-normalised frame
    assert said.dark_noise_counts == 3.43
    assert said.cs_mm is None  # 0 stands for unknown
    assert said.said["energy_ev"] == "ImageList.1.ImageTags.Microscope Info.Voltage = 200000.0 V"


def test_an_unprocessed_frame_has_its_dark_level_as_offset(tmp_path: Path) -> None:
    acquisition = DIFFRACTION["Acquisition"] | {"Parameters": {"High Level": {"Processing": "Unprocessed"}}}
    said = header_of(tmp_path / "raw.dm3", image(DATA, **NANOMETRES, Acquisition=acquisition))
    assert (said.offset_counts, said.saturation_counts) == (250, 65785)


def test_each_axis_has_its_own_unit(tmp_path: Path) -> None:
    said = header_of(tmp_path / "n.dm3", image(DATA, units=("nm", "A"), scales=(1.0, 10.0)))
    assert said.pixel == ((10.0, 10.0), "Å")


def test_milliradians_are_reciprocal_lengths_at_the_beams_energy(tmp_path: Path) -> None:
    info = {"Microscope Info": {"Voltage": 200000.0}}
    said = header_of(tmp_path / "m.dm3", image(DATA, units=("mrad", "mrad"), scales=(1.0, 1.0), **info))
    assert said.pixel is not None
    assert said.pixel.unit == "1/Å"
    assert said.pixel.size[0] == pytest.approx(1e-3 / 0.0250793, rel=1e-5)


def test_a_scanned_image_is_an_image_in_diffraction_mode(tmp_path: Path) -> None:
    modes = {"Imaging Mode": "DIFFRACTION", "Illumination Mode": "STEM NANOPROBE", "Operation Mode": "SCANNING"}
    info = modes | {"STEM Camera Length": 77.0, "Indicated Magnification": 1e7}
    said = header_of(tmp_path / "s.dm3", image(DATA, **NANOMETRES, **{"Microscope Info": info}))
    assert (said.role, said.camera_length_mm) == ("image", None)


def test_magnification_is_no_camera_length_in_imaging_mode(tmp_path: Path) -> None:
    info = {"Imaging Mode": "IMAGING", "Actual Magnification": 25000.0}
    said = header_of(tmp_path / "i.dm3", image(DATA, **NANOMETRES, **{"Microscope Info": info}))
    assert (said.role, said.camera_length_mm) == ("image", None)


def test_a_mode_against_the_unit_is_doubted(tmp_path: Path) -> None:
    path = tmp_path / "c.dm3"
    path.write_bytes(dm_bytes(image(DATA, **NANOMETRES, **{"Microscope Info": {"Imaging Mode": "DIFFRACTION"}})))
    with pytest.warns(QualityWarning, match="that of an image, but its mode that of a pattern"):
        assert read_image(path).role is None


def test_an_unknown_unit_is_said(tmp_path: Path) -> None:
    path = tmp_path / "u.dm3"
    path.write_bytes(dm_bytes(image(DATA, units=("eV", "nm"))))
    with pytest.warns(QualityWarning, match="of which no length follows"):
        assert read_image(path).pixel is None


def test_what_is_no_image_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "x.dm3"
    spectrum = {"Meta Data": {"Format": "Spectrum image"}}
    cube = image(DATA.reshape(5, 7, 1), units=("", "", "eV"), scales=(1.0, 1.0, 1.0), **spectrum)
    four = image(DATA.reshape(1, 5, 7, 1), units=("nm", "nm", "", ""), scales=(1.0,) * 4)
    reasons = {
        "holds a spectrum image": cube,
        "holds a spectrum": image(DATA.ravel(), units=("eV",), scales=(1.0,)),
        "complex numbers": image(DATA.astype("c8")),
        "is a colour image": COLOURED,
        "holds an array of 4 dimensions": four,
    }
    for reason, entry in reasons.items():
        path.write_bytes(dm_bytes(entry, thumbnail=False))
        with pytest.raises(InputError, match=reason):
            read_image(path)


def test_a_picture_in_grey_is_read_with_a_doubt(tmp_path: Path) -> None:
    path = tmp_path / "grey.dm3"
    grey = np.arange(300 * 7, dtype="u4").reshape(300, 7) % 256
    entry = {"ImageData": {"Data": (grey * 0x010101).ravel(), "DataType": 23, "Dimensions": [7, 300], "PixelDepth": 4}}
    path.write_bytes(dm_bytes(entry, thumbnail=False))
    with pytest.warns(QualityWarning, match="is a picture in grey"):
        np.testing.assert_array_equal(read_image(path).data, grey)
    entry["ImageData"]["Data"][-1] ^= 1
    path.write_bytes(dm_bytes(entry, thumbnail=False))
    with pytest.raises(InputError, match="is a colour image"):
        read_image(path)


def test_patterns_of_a_scan_are_frames(tmp_path: Path) -> None:
    data = np.arange(2 * 3 * 5 * 7, dtype="<u2").reshape(2, 3, 5, 7)
    path = tmp_path / "scan.dm4"
    path.write_bytes(dm_bytes(image(data, units=("1/nm", "1/nm", "nm", "nm"), scales=(0.1, 0.1, 1.0, 1.0)), version=4))
    np.testing.assert_array_equal(read_image(path, frame=4).data, data[1, 1])


def test_false_claims_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "false.dm3"
    whole = bytearray(dm_bytes(image(DATA)))
    claimed = image(DATA)
    claimed["ImageData"]["Dimensions"] = [2**30, 2**30]
    length = whole.rindex(DATA.tobytes()) - 4
    struct.pack_into(">L", whole, length, 2**31)
    tracemalloc.start()
    for written, reason in ((dm_bytes(claimed), "cut short"), (bytes(whole), "cut short")):
        path.write_bytes(written)
        with pytest.raises(InputError, match=reason):
            read_image(path)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_damaged_trees_are_refused_in_one_sentence(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(200):
        deep = {"a": deep}
    path = tmp_path / "bad.dm3"
    for tree, reason in (
        ({"ImageList": []}, "holds no image"),
        ({"a": deep}, "nested"),
        ({"ImageList": [{"a": 1}]}, "no data"),
    ):
        path.write_bytes(tree_bytes(tree))
        with pytest.raises(InputError, match=reason):
            read_image(path)
    path.write_bytes(tree_bytes({"a": 1}, order=0))
    with pytest.raises(InputError, match="old Macintosh"):
        read_image(path)
    path.write_bytes(dm_bytes(image(DATA)).replace(b"\0\0\0\3", b"\0\0\0\5", 1))
    with pytest.raises(InputError, match="no known format"):
        read_image(path)


def test_reading_takes_no_more_than_twice_the_data(tmp_path: Path) -> None:
    data = np.zeros((2000, 2000), "<u2")
    path = tmp_path / "large.dm3"
    path.write_bytes(dm_bytes(image(data)))
    read_image(path)  # imports
    tracemalloc.start()
    read_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.1 * data.nbytes
