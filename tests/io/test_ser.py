"""SER and EMI of TIA: values, frames, and what the unit of a pixel without unit is."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from writers.ser import CAMERA, PATTERN, SPECTRA, TYPES, emi_bytes, ser_bytes

from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.io import read_image
from napari_subangstrom_cdi.io.image import contents
from napari_subangstrom_cdi.io.stack import read_stack

DATA = np.arange(5 * 7, dtype="<u2").reshape(5, 7)


@pytest.fixture
def ser(tmp_path: Path) -> Path:
    (tmp_path / "a.emi").write_bytes(emi_bytes({"acquisition": CAMERA}))
    return tmp_path / "a_1.ser"


@pytest.mark.parametrize("version", [0x0210, 0x0220])
@pytest.mark.parametrize("kind", [k for k in TYPES if not k.startswith("complex")])
def test_every_type_of_both_versions_reads_to_its_values(ser: Path, kind: str, version: int) -> None:
    data = (np.arange(35) * 7 - (0 if kind.startswith("u") else 100)).astype(kind).reshape(5, 7)
    ser.write_bytes(ser_bytes([data], version=version))
    read = read_image(ser)
    np.testing.assert_array_equal(read.data, data)
    assert (read.data.dtype.name, read.format_name) == (kind, "SER")


def test_a_series_is_a_stack_of_those_recorded(ser: Path) -> None:
    frames = [DATA, DATA + 100, DATA + 200]
    ser.write_bytes(ser_bytes(frames, planned=5, version=0x0220))
    with pytest.warns(QualityWarning, match="only 3 of 5 images were recorded"):
        np.testing.assert_array_equal(read_stack(ser).data, frames)
    with pytest.warns(QualityWarning):
        assert read_image(ser, frame=2).data[0, 0] == 200


def test_images_of_different_sizes_are_chosen_by_number(ser: Path) -> None:
    ser.write_bytes(ser_bytes([DATA, DATA[:3]]))
    with pytest.raises(InputError, match=r"different sizes: 0 \(5 x 7\), 1 \(3 x 7\); choose one, as a_1\.ser::0"):
        read_image(ser)
    assert [item.shape for item in contents(ser)] == [(5, 7), (3, 7)]
    np.testing.assert_array_equal(read_image(f"{ser}::1").data, DATA[:3])
    with pytest.raises(InputError, match="has no image '2'"):
        read_image(f"{ser}::2")


def test_the_emi_says_mode_energy_and_camera(ser: Path) -> None:
    ser.with_name("a.emi").write_bytes(emi_bytes(PATTERN))
    ser.write_bytes(ser_bytes([DATA], pixel=(1.01572e8, 1.01572e8)))
    said = read_image(ser).header
    assert said.pixel == ((0.0101572, 0.0101572), "1/Å")
    assert (said.role, said.energy_ev, said.camera_length_mm) == ("pattern", 200e3, 490)
    assert (said.exposure_s, said.binning) == (0.0625, (4, 4))
    assert said.defocus_nm is None  # of no unit in diffraction mode
    assert said.said["role"] == "a.emi: Mode = TEM uP SA Zoom Diffraction"


def test_the_emi_opens_its_data(ser: Path) -> None:
    ser.write_bytes(ser_bytes([DATA]))
    emi = ser.with_name("a.emi")
    read = read_image(emi)
    np.testing.assert_array_equal(read.data, DATA)
    assert (read.role, read.pixel_angstrom, read.format_name) == ("image", 1.0, "EMI")
    ser.with_name("a_2.ser").write_bytes(ser_bytes([DATA + 5]))
    with pytest.raises(InputError, match=r"several records: a_1\.ser, a_2\.ser; give one of these files, or a\.emi::1"):
        read_image(emi)
    assert [(item.name, item.caption) for item in contents(emi)] == [("1", "a_1.ser"), ("2", "a_2.ser")]
    assert read_image(f"{emi}::2").data[0, 0] == 5
    with pytest.raises(InputError, match="has no record '3'; it has 1, 2"):
        read_image(f"{emi}::3")


def test_spectra_beside_an_image_do_not_hide_it(ser: Path) -> None:
    ser.write_bytes(ser_bytes([DATA], kind=SPECTRA))
    ser.with_name("a_2.ser").write_bytes(ser_bytes([DATA + 5]))
    assert read_image(ser.with_name("a.emi")).data[0, 0] == 5
    with pytest.raises(InputError, match="holds spectra, no images"):
        read_image(ser)


def test_how_one_of_several_was_recorded_is_taken_only_if_each_is_described(ser: Path) -> None:
    ser.write_bytes(ser_bytes([DATA]))
    ser.with_name("a_2.ser").write_bytes(ser_bytes([DATA]))
    assert read_image(ser).header.exposure_s is None
    assert read_image(ser).energy_ev == 200e3
    ser.with_name("a.emi").write_bytes(emi_bytes({"acquisition": CAMERA}, {"mode": PATTERN["mode"]}))
    assert read_image(ser).header.exposure_s == 0.0625
    with pytest.warns(QualityWarning, match="that of an image, but its mode that of a pattern"):
        assert read_image(ser.with_name("a_2.ser")).role is None


def test_without_its_emi_the_size_of_the_pixel_tells_its_unit(tmp_path: Path) -> None:
    path = tmp_path / "b_1.ser"
    for pixel, role in ((2e-10, "image"), (2e8, "pattern")):
        path.write_bytes(ser_bytes([DATA], pixel=(pixel, pixel)))
        with pytest.warns(QualityWarning, match=r"b\.emi is not beside it"):
            said = read_image(path)
        assert (said.role, said.energy_ev) == (role, None)
    assert said.pixel == ((0.02, 0.02), "1/Å")


def test_a_pixel_of_1_is_no_calibration(ser: Path) -> None:
    ser.write_bytes(ser_bytes([DATA], pixel=(1.0, 1.0)))
    with pytest.warns(QualityWarning, match="was not calibrated"):
        read = read_image(ser)
    assert (read.pixel, read.role) == (None, "image")


def test_scanning_records_images_and_patterns_in_diffraction_mode(ser: Path) -> None:
    ser.with_name("a.emi").write_bytes(emi_bytes(PATTERN | {"mode": "STEM nP SA Zoom Diffraction"}))
    for pixel, role, length in ((1e-10, "image", None), (1e8, "pattern", 490)):
        ser.write_bytes(ser_bytes([DATA], pixel=(pixel, pixel)))
        read = read_image(ser)
        assert (read.role, read.camera_length_mm) == (role, length)


def test_an_emi_alone_or_broken_is_said(tmp_path: Path, ser: Path) -> None:
    with pytest.raises(InputError, match=r"its numbers are in a_1\.ser, which is not beside it"):
        read_image(tmp_path / "a.emi")
    ser.write_bytes(ser_bytes([DATA]))
    (tmp_path / "a.emi").write_bytes(emi_bytes({}).replace(b"</Root>", b""))
    with pytest.warns(QualityWarning, match="beside it cannot be read"):
        read_image(ser)


def test_false_headers_are_refused_before_memory_is_taken(ser: Path) -> None:
    whole = ser_bytes([DATA])
    start = struct.unpack_from("<i", whole, struct.unpack_from("<i", whole, 22)[0])[0]
    changes = {14: 2**31 - 1, 22: -5, start + 42: 2**30, start + 46: -1, 18: 0}
    tracemalloc.start()
    for at, value in changes.items():
        changed = bytearray(whole)
        struct.pack_into("<i", changed, at, value)
        if at == 14:
            struct.pack_into("<i", changed, 18, 900_000)
        ser.write_bytes(changed)
        with pytest.raises(InputError):
            read_image(ser)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    ser.write_bytes(whole[:-1])
    with pytest.raises(InputError, match="cut short"):
        read_image(ser)
    ser.write_bytes(ser_bytes([DATA.astype("c8")]))
    with pytest.raises(InputError, match="complex"):
        read_image(ser)
