"""Imaging plates of Ditabis and Fuji: linear counts, and the plate's pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from writers.ditabis import ditabis_bytes
from writers.fuji import fuji

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import read_image
from napari_subangstrom_cdi.io.formats.fuji import FORMAT

PSL = np.random.default_rng(5).gamma(1.0, 3.0, (24, 32))
PSL[3, 4] = 0


@pytest.mark.parametrize("width", [2, 3, 4])
def test_a_ditabis_plate_is_linear_and_has_its_rows_in_xpixel(tmp_path: Path, width: int) -> None:
    data = np.random.default_rng(2).integers(0, 256**width, (24, 32))
    path = tmp_path / "a.ipl"
    path.write_bytes(ditabis_bytes(data, width))
    found = read_image(path)
    np.testing.assert_array_equal(found.data, data)
    assert found.data.dtype == (np.uint16 if width == 2 else np.uint32)
    assert (found.format_name, found.header.detector_pixel_um, found.pixel) == ("Ditabis", 25, None)
    assert found.metadata["CHANNEL"] == "PMT LOWSENS"


def test_pixels_of_a_plate_that_are_not_square_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.ipl"
    path.write_bytes(ditabis_bytes(np.ones((24, 32)), YRESOLUTION="12500 (12500.00)"))
    with pytest.warns(match="25000, 12500 nm"):
        assert read_image(path).header.detector_pixel_um is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"BYTE_PER_PIXEL": 5}, "has 5 bytes a pixel"),
        ({"XPIXEL": None}, "XPIXEL of its header is missing"),
        ({"HEADER": "-1"}, "HEADER of its header is '-1'"),
        ({"YPIXEL": 10**8}, "cut short"),
        ({"YPIXEL": "1" * 30}, "YPIXEL of its header is '1111"),
        ({"XPIXEL": 0}, "the image is empty"),
        ({"HEADER": 10**8}, "cut short"),
    ],
)
def test_a_false_header_of_ditabis(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    path = tmp_path / "a.ipl"
    path.write_bytes(ditabis_bytes(np.ones((24, 32)), **changed))
    with pytest.raises(InputError, match=said):
        read_image(path)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("opened", [".img", ".inf"])
def test_a_fuji_plate_is_made_linear(tmp_path: Path, bits: int, opened: str) -> None:
    stored = fuji(tmp_path / "a", PSL, bits, 25)
    found = read_image(tmp_path / f"a{opened}")
    step = 10 ** (5 / (2**bits - 1) / 2)
    inside = PSL > 0.0625 * 10**-2.5  # what the latitude holds
    np.testing.assert_allclose(found.data[inside], PSL[inside], rtol=1.01 * (step - 1))
    assert found.data[3, 4] == 0 == stored[3, 4]
    assert found.data.dtype == np.float32
    assert found.header.detector_pixel_um == 25
    assert found.header.saturation_counts == pytest.approx(0.0625 * 10**2.5)
    assert found.format_name == "Fuji BAS"


def test_sensitivity_and_latitude_are_those_of_the_file(tmp_path: Path) -> None:
    fuji(tmp_path / "a", PSL, sensitivity=1000, latitude=4, overflow=7)
    found = read_image(tmp_path / "a.img")
    inside = (PSL > 0.0101) & (PSL < 100)
    np.testing.assert_allclose(found.data[inside], PSL[inside], rtol=1e-4)
    assert "line 13 counts 7 such pixels" in found.said["saturation_counts"]


def test_what_lies_beside_decides_before_the_first_bytes(tmp_path: Path) -> None:
    fuji(tmp_path / "a", PSL)
    raw = (tmp_path / "a.img").read_bytes()
    (tmp_path / "a.img").write_bytes(b"II*\0" + raw[4:])
    assert read_image(tmp_path / "a.img").format_name == "Fuji BAS"
    (tmp_path / "a.img").rename(tmp_path / "a.IMG")
    (tmp_path / "a.inf").rename(tmp_path / "a.INF")
    assert read_image(tmp_path / "a.IMG").format_name == "Fuji BAS"


def test_each_file_is_the_others_companion(tmp_path: Path) -> None:
    fuji(tmp_path / "a", PSL)
    assert FORMAT.companions is not None
    assert FORMAT.companions(tmp_path / "a.img") == (tmp_path / "a.inf",)
    assert FORMAT.companions(tmp_path / "a.inf") == (tmp_path / "a.img",)
    assert FORMAT.companions(tmp_path / "b.img") == ()


def test_either_file_alone_asks_for_the_other(tmp_path: Path) -> None:
    fuji(tmp_path / "a", PSL)
    (tmp_path / "a.inf").rename(tmp_path / "b.inf")
    with pytest.raises(InputError, match=r"a.img: .*stands in its .inf, which is not beside it; copy a.inf into"):
        read_image(tmp_path / "a.img")
    with pytest.raises(InputError, match=r"b.inf: .*are not beside it; copy b.img into the same folder"):
        read_image(tmp_path / "b.inf")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"bits": 40}, "states 40 bits"),
        ({"bits": 8.5}, "line 6 should be the bits"),
        ({"width": 10**8}, "cut short"),
        ({"width": 1e300}, "line 7 should be the width"),
        ({"height": "many"}, "line 8 should be the height, and is 'many'"),
        ({"sensitivity": 0}, "line 9 should be the sensitivity"),
        ({"latitude": "nan"}, "line 10 should be the latitude"),
        ({"mark": "BAS_IMAGE"}, "does not start with BAS_IMAGE_FILE"),
    ],
)
def test_a_false_text_of_fuji(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    fuji(tmp_path / "a", PSL)
    lines = (tmp_path / "a.inf").read_text().splitlines()
    places = {"mark": 0, "bits": 5, "width": 6, "height": 7, "sensitivity": 8, "latitude": 9}
    for name, value in changed.items():
        lines[places[name]] = str(value)
    (tmp_path / "a.inf").write_text("\n".join(lines))
    with pytest.raises(InputError, match=said):
        read_image(tmp_path / "a.img")


def test_values_above_the_stated_bits(tmp_path: Path) -> None:
    fuji(tmp_path / "a", PSL)
    text = (tmp_path / "a.inf").read_text().replace("\n16\n", "\n10\n")
    (tmp_path / "a.inf").write_text(text)
    with pytest.raises(InputError, match="holds values above the 10 bits"):
        read_image(tmp_path / "a.img")
