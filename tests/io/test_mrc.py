"""MRC: signs of its integers, and what EPU writes of each frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from writers.mrc import fei_bytes, mrc_bytes

from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.io import ImageFile, read_image

RNG = np.random.default_rng(7)
DATA = RNG.integers(0, 60000, (24, 32)).astype("u2")


def read(tmp_path: Path, content: bytes, **how: Any) -> tuple[ImageFile, list[str]]:
    path = tmp_path / "a.mrc"
    path.write_bytes(content)
    with collected_doubts() as doubts:
        return read_image(path, **how), doubts


def image(level: float, spread: float) -> NDArray[Any]:
    return np.rint(RNG.normal(level, spread, (64, 48)))


@pytest.mark.parametrize(("level", "spread"), [(123, 20), (128, 6), (200, 15), (60, 40), (150, 3)])
def test_bytes_that_wrap_as_signed_are_unsigned(tmp_path: Path, level: float, spread: float) -> None:
    data = np.clip(image(level, spread), 0, 255).astype("u1")
    found, doubts = read(tmp_path, mrc_bytes(data, 0))
    np.testing.assert_array_equal(found.data, data)
    assert len(doubts) == (data.max() > 127) and all("is of mode 0" in text for text in doubts)


def test_a_sparse_record_with_few_bright_pixels_is_unsigned(tmp_path: Path) -> None:
    data = np.minimum(RNG.exponential(12, (64, 48)), 255).astype("u1")
    data[30:33, 20:23] = 255
    found, _ = read(tmp_path, mrc_bytes(data, 0))
    np.testing.assert_array_equal(found.data, data)


@pytest.mark.parametrize(("level", "spread"), [(0, 5), (0, 40), (-20, 20), (10, 8)])
def test_bytes_about_zero_are_signed(tmp_path: Path, level: float, spread: float) -> None:
    data = np.clip(image(level, spread), -128, 127).astype("i1")
    found, doubts = read(tmp_path, mrc_bytes(data, 0))
    np.testing.assert_array_equal(found.data, data)
    assert found.data.dtype == np.int8 and not doubts


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_flag_of_imod_decides_before_the_values(tmp_path: Path, order: str) -> None:
    data = image(123, 20).astype("u1")
    unsigned, doubts = read(tmp_path, mrc_bytes(data, 0, imod_flags=0, order=order))
    np.testing.assert_array_equal(unsigned.data, data)
    signed, more = read(tmp_path, mrc_bytes(data, 0, imod_flags=1, order=order))
    np.testing.assert_array_equal(signed.data, data.view("i1"))
    assert not doubts and not more


@pytest.mark.parametrize("level", [32768, 33000, 45000])
def test_unsigned_numbers_in_mode_1_are_named(tmp_path: Path, level: float) -> None:
    data = image(level, 500).astype("u2")
    found, doubts = read(tmp_path, mrc_bytes(data, 1))
    np.testing.assert_array_equal(found.data, data)
    assert len(doubts) == 1 and "is of mode 1" in doubts[0] and "mode 6" in doubts[0]


@pytest.mark.parametrize(("level", "spread"), [(0, 5), (-3, 2), (0, 9000), (300, 200), (20000, 9000)])
def test_signed_numbers_in_mode_1_stay(tmp_path: Path, level: float, spread: float) -> None:
    data = np.clip(image(level, spread), -32768, 32767).astype("i2")
    found, doubts = read(tmp_path, mrc_bytes(data, 1))
    np.testing.assert_array_equal(found.data, data)
    assert not doubts


def test_frames_of_a_stack_and_their_sum(tmp_path: Path) -> None:
    stack = np.stack([DATA // 4] * 3)
    content = mrc_bytes(stack, 6)
    np.testing.assert_array_equal(read(tmp_path, content, frame=1)[0].data, stack[1])
    total = read(tmp_path, content, frame="sum")[0]
    np.testing.assert_array_equal(total.data, stack.sum(0))
    assert total.frames == 3


@pytest.mark.parametrize("kind", ["FEI1", "FEI2"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_what_epu_writes_of_an_image(tmp_path: Path, kind: str, order: str) -> None:
    said = fei_bytes(
        kind, order, HT=300e3, Pixel_size_X=8.5e-11, Pixel_size_Y=8.5e-11, Projection_mode=2, Instrument_mode=1,
        Integration_time=2.5, Binning_Width=2, Binning_Height=2, Defocus=1.8e-6, Applied_defocus=-2.2e-6,
    )  # fmt: skip
    found, doubts = read(tmp_path, mrc_bytes(DATA, 6, extended=said, kind=kind, order=order, cell=(32, 24, 0)))
    np.testing.assert_array_equal(found.data, DATA)
    header = found.header
    assert header.pixel == ((0.85, 0.85), "Å")
    assert (header.role, header.energy_ev, header.exposure_s, header.binning) == ("image", 300e3, 2.5, (2, 2))
    assert header.defocus_nm == pytest.approx(1800)
    assert header.counts_per_electron is None
    assert header.said["pixel"] == f"{kind} Pixel size X = 8.5e-11 m"
    assert len(doubts) == 1 and "their signs differ" in doubts[0]


def test_the_cell_of_a_pattern_is_no_pixel(tmp_path: Path) -> None:
    said = fei_bytes(HT=200e3, Projection_mode=1, Instrument_mode=1, Camera_length=0.8, Pixel_size_X=1e-10)
    found, doubts = read(tmp_path, mrc_bytes(DATA, 6, extended=said, kind="FEI2", cell=(32, 24, 0)))
    assert (found.role, found.pixel, found.camera_length_mm) == ("pattern", None, pytest.approx(800))
    assert "its cell (1 Å a pixel) is left out" in doubts[0]


def test_scanned_images_state_no_role_or_defocus(tmp_path: Path) -> None:
    said = fei_bytes(
        HT=200e3, Projection_mode=1, Instrument_mode=2, Defocus=1e-6, Pixel_size_X=1e-10, Pixel_size_Y=1e-10
    )
    header = read(tmp_path, mrc_bytes(DATA, 6, extended=said, kind="FEI2"))[0].header
    assert (header.role, header.defocus_nm, header.pixel_angstrom) == (None, None, 1)


@pytest.mark.parametrize("cell", [(0, 0, 0), (-32, -24, 0), (float("nan"),) * 3])
def test_a_cell_that_is_none_states_no_pixel(tmp_path: Path, cell: tuple[float, float, float]) -> None:
    assert read(tmp_path, mrc_bytes(DATA, 6, cell=cell))[0].pixel is None


def test_a_damaged_extended_header_costs_what_it_says_only(tmp_path: Path) -> None:
    for extended in (b"\xff" * 888, b"\0" * 888, b"\0" * 100):
        found, _ = read(tmp_path, mrc_bytes(DATA, 6, extended=extended, kind="FEI2"))
        np.testing.assert_array_equal(found.data, DATA)
        assert found.energy_ev is None


def test_an_extended_header_larger_than_the_file(tmp_path: Path) -> None:
    content = bytearray(mrc_bytes(DATA, 6))
    content[92:96] = (10**9).to_bytes(4, "little")
    with pytest.raises(InputError, match="cut short"):
        read(tmp_path, bytes(content))
