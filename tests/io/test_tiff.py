"""TIFF: which page is the record, what becomes of its values, and what camera software says in its tags."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from writers.gel import gel
from writers.tiff import counts, dm_tags, item, jeol, tvips_tag

from napari_subangstrom_cdi.errors import InputError, QualityWarning, collected_doubts
from napari_subangstrom_cdi.io import ImageFile, read_image
from napari_subangstrom_cdi.io.image import contents

DATA = counts()


def read(path: Path | str, **how: Any) -> tuple[ImageFile, list[str]]:
    """A file, and what is doubted of it."""
    with collected_doubts() as doubts:
        return read_image(path, **how), doubts


def written(path: Path, data: NDArray[Any] = DATA, **options: Any) -> Path:
    tifffile.imwrite(path, data, **({"metadata": None} | options))
    return path


# ---- strips


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
def test_one_deflated_strip_gives_the_same_pixels(tmp_path: Path, dtype: str, predictor: bool, byteorder: Any) -> None:
    data = np.random.default_rng(0).poisson(90, (70, 50)).astype(dtype)
    how = {"compression": "zlib", "predictor": predictor and dtype != "f4", "rowsperstrip": 70, "byteorder": byteorder}
    path = written(tmp_path / "one.tif", data, **how)
    with tifffile.TiffFile(path) as tif:
        assert len(tif.pages.first.dataoffsets) == 1
        np.testing.assert_array_equal(tif.asarray(), data)
    np.testing.assert_array_equal(read(path)[0].data, data)


def test_a_deflated_strip_of_too_few_pixels_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "one.tif", DATA, compression="zlib", rowsperstrip=len(DATA))
    raw = path.read_bytes()
    [strip] = tifffile.TiffFile(path).pages.first.dataoffsets
    short = zlib.compress(DATA.tobytes()[:100])
    path.write_bytes(raw[:strip] + short + raw[strip + len(short) :])
    with pytest.raises(InputError, match="cut short"):
        read(path)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units elsewhere")
@pytest.mark.parametrize("rows", [4000, 16])
def test_packed_strips_take_no_more_than_twice_the_pixels(tmp_path: Path, rows: int) -> None:
    data = np.random.default_rng(0).poisson(30_000, (4000, 4000)).astype(np.uint16)
    path = written(tmp_path / "large.tif", data, compression="zlib", rowsperstrip=rows)
    script = (
        "import resource, sys; from napari_subangstrom_cdi.io import read_image;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024; before = peak();"
        "data = read_image(sys.argv[1]).data; print((peak() - before) / data.nbytes)"
    )
    said = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert float(said.stdout) < 2


# ---- pages


def test_the_grey_page_beside_a_picture_is_the_record(tmp_path: Path) -> None:
    path = tmp_path / "both.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(counts((12, 16, 3), "u1", 255), photometric="rgb")
        tif.write(DATA, photometric="minisblack")
    found, doubts = read(path)
    np.testing.assert_array_equal(found.data, DATA)
    assert len(doubts) == 1 and "page 1 (24 x 32, 16-bit grey) is taken; page 0 is 8-bit colour" in doubts[0]
    assert found.dataset == "1"
    assert [(item.name, item.caption) for item in contents(path)] == [("0", "8-bit colour"), ("1", "16-bit grey")]
    named, doubts = read(f"{path}::1")
    np.testing.assert_array_equal(named.data, DATA)
    assert not doubts
    np.testing.assert_array_equal(read(path, frame=1)[0].data, DATA)
    with pytest.raises(InputError, match="there is no frame 2"):
        read(path, frame=2)
    with pytest.raises(InputError, match="is a colour image"):
        read_image(f"{path}::0")
    with pytest.raises(InputError, match=r"has no page '2'; it holds both.tif::0 .*, both.tif::1"):
        read_image(f"{path}::2")


def test_of_a_display_copy_and_a_deeper_page_the_deeper_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "both.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(counts((12, 16), "u1", 255), photometric="minisblack")
        tif.write(DATA, photometric="minisblack")
    found, doubts = read(path)
    np.testing.assert_array_equal(found.data, DATA)
    assert "page 0 is 8-bit grey" in doubts[0]


def test_two_records_in_one_file_are_both_offered(tmp_path: Path) -> None:
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(DATA, photometric="minisblack", metadata=None)
        tif.write(DATA[:10], photometric="minisblack", metadata=None)
    with pytest.raises(InputError, match=r"2 images of different kinds .*; name the one that is meant: two.tif::0"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, dataset="1").data, DATA[:10])


def test_a_single_page_offers_no_choice(tmp_path: Path) -> None:
    path = written(tmp_path / "one.tif")
    assert contents(path) == ()
    np.testing.assert_array_equal(read_image(f"{path}::0").data, DATA)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"tile": (16, 16)}])
@pytest.mark.parametrize("planes", [3, 4])
def test_planes_of_16_bits_are_frames(tmp_path: Path, planes: int, options: dict[str, Any]) -> None:
    data = counts((planes, 24, 32))
    path = written(tmp_path / "a.tif", data, photometric="rgb", planarconfig="separate", **options)
    with pytest.raises(InputError, match=f"is a stack of {planes} frames"):
        read_image(path)
    found, doubts = read(path, frame=2)
    np.testing.assert_array_equal(found.data, data[2])
    assert f"its {planes} planes" in doubts[0]
    assert (found.frames, found.stored_frames) == (1, planes)
    total = read(path, frame="sum")[0]
    np.testing.assert_array_equal(total.data, data.sum(0))
    assert total.frames == planes


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("samples", [3, 4])
def test_a_grey_picture_is_offered_with_a_doubt(tmp_path: Path, samples: int, compression: Any, planar: str) -> None:
    grey = counts((12, 16), "u1", 255)
    axis = -1 if planar == "contig" else 0
    path = written(
        tmp_path / "a.tif", np.stack([grey] * samples, axis), photometric="rgb", planarconfig=planar,
        compression=compression,
    )  # fmt: skip
    found, doubts = read(path)
    np.testing.assert_array_equal(found.data, grey)
    assert found.mask is not None and not found.mask.any()
    assert len(doubts) == 1 and "its values are no counts" in doubts[0]


def test_a_coloured_scale_bar_in_a_grey_picture_is_masked(tmp_path: Path) -> None:
    grey = counts((40, 50), "u1", 255)
    picture = np.stack([grey] * 3, -1)
    picture[35, 5:15] = (0, 0, 255)
    found, _ = read(written(tmp_path / "a.tif", picture, photometric="rgb"))
    assert found.mask is not None
    assert found.mask.sum() == 10 and found.mask[35, 5:15].all()
    np.testing.assert_array_equal(found.data[~found.mask], grey[~found.mask])


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_colours_behind_a_grey_beginning_are_refused_as_well(tmp_path: Path, compression: Any) -> None:
    picture = np.zeros((40, 50, 3), "u1")
    picture[30:] = counts((10, 50, 3), "u1", 255)
    path = written(tmp_path / "a.tif", picture, photometric="rgb", compression=compression, rowsperstrip=4)
    with pytest.raises(InputError, match=r"is a colour image \(40 x 50 x 3\), and colours are not counts"):
        read_image(path)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_pages_in_a_circle_are_refused_and_not_counted(tmp_path: Path, order: Any, big: bool) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, byteorder=order, bigtiff=big) as tif:
        for _ in range(3):
            tif.write(DATA, photometric="minisblack", metadata=None, contiguous=False)
    with tifffile.TiffFile(path) as tif:
        pages = [page.offset for page in tif.pages]
    raw = bytearray(path.read_bytes())
    size, mark = (8, "Q") if big else (4, "I")
    tags = struct.unpack_from(f"{order}{'Q' if big else 'H'}", raw, pages[2])[0]
    end = pages[2] + (8 + 20 * tags if big else 2 + 12 * tags)
    assert raw[end : end + size] == bytes(size)
    raw[end : end + size] = struct.pack(f"{order}{mark}", pages[1])
    path.write_bytes(raw)
    with pytest.raises(InputError, match="its list of pages runs in a circle"):
        read_image(path)
    with pytest.raises(InputError, match="its list of pages runs in a circle"):
        contents(path)


# ---- values and their order


@pytest.mark.parametrize(("dtype", "top"), [("u1", 255), ("u2", 65535), ("u4", 2**32 - 1)])
def test_where_0_is_white_larger_is_made_brighter(tmp_path: Path, dtype: str, top: int) -> None:
    data = counts(dtype=dtype, largest=200)
    path = written(tmp_path / "a.tif", (top - data).astype(dtype), photometric="miniswhite")
    found, doubts = read(path)
    np.testing.assert_array_equal(found.data, data)
    assert found.data.dtype == np.dtype(dtype)
    assert "PhotometricInterpretation = 0" in found.said["polarity"] and found.header.polarity is None
    assert len(doubts) == 1 and "::0/stored" in doubts[0]


def test_values_are_had_as_stored_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", photometric="miniswhite")
    assert [item.name for item in contents(path)] == ["0", "0/stored"]
    found, doubts = read(f"{path}::0/stored")
    np.testing.assert_array_equal(found.data, DATA)
    assert found.header.polarity == "min-is-white" and "larger values are darker" in doubts[0]


def test_floats_where_0_is_white_stay_as_stored(tmp_path: Path) -> None:
    found, doubts = read(written(tmp_path / "a.tif", DATA.astype("f4"), photometric="miniswhite"))
    np.testing.assert_array_equal(found.data, DATA)
    assert found.header.polarity == "min-is-white" and doubts


@pytest.mark.parametrize("turned", range(1, 9))
def test_an_orientation_is_said_and_the_values_stay(tmp_path: Path, turned: int) -> None:
    found, doubts = read(written(tmp_path / "a.tif", extratags=[(274, "H", 1, turned, True)]))
    np.testing.assert_array_equal(found.data, DATA)
    assert (found.header.orientation is None) == (turned == 1) == (not doubts)
    if turned == 4:
        assert found.header.orientation == "rows from the bottom upwards"


# ---- GEL


@pytest.mark.parametrize("kind", [2, 128])
def test_a_gel_gives_counts_and_never_its_roots(tmp_path: Path, kind: int) -> None:
    truth = np.random.default_rng(1).integers(0, 30000, (24, 32))
    stored = gel(tmp_path / "a.gel", truth, kind, (1, 21025) if kind == 2 else (1, 2))
    found, _ = read(tmp_path / "a.gel")
    expected = stored.astype(float) ** 2 / 21025 if kind == 2 else stored / 2
    np.testing.assert_allclose(found.data, expected, rtol=1e-6)
    np.testing.assert_allclose(found.data, truth, rtol=2e-2, atol=1)
    assert found.data.dtype == np.float32
    assert found.header.saturation_counts == pytest.approx(65535**2 / 21025 if kind == 2 else 65535 / 2)


def test_a_linear_gel_of_scale_1_keeps_its_type(tmp_path: Path) -> None:
    gel(tmp_path / "a.gel", DATA, 128, (1, 1))
    np.testing.assert_array_equal(read_image(tmp_path / "a.gel").data, DATA)
    assert read_image(tmp_path / "a.gel").data.dtype == np.uint16


def test_a_gel_is_decoded_whatever_its_colours_and_name(tmp_path: Path) -> None:
    tags = [(33445, "I", 1, 2, True), (33446, "2I", 1, (1, 1), True)]
    roots = counts(largest=300)
    path = written(
        tmp_path / "a.tif", roots, extratags=tags, photometric="miniswhite", resolution=(400, 400), resolutionunit=3
    )
    found, doubts = read(path)
    np.testing.assert_array_equal(found.data, roots.astype("f4") ** 2)
    assert not doubts and found.header.detector_pixel_um == pytest.approx(25)


@pytest.mark.parametrize(
    ("kind", "scale", "said"),
    [(3, (1, 1), r"unknown way \(MDFileTag = 3\)"), (2, (0, 1), "without the scale"), (2, (1, 0), "without the scale")],
)
def test_a_gel_that_does_not_say_how_is_refused(tmp_path: Path, kind: int, scale: tuple[int, int], said: str) -> None:
    gel(tmp_path / "a.gel", DATA, kind, scale)
    with pytest.raises(InputError, match=said):
        read_image(tmp_path / "a.gel")


# ---- tags of camera software


def test_tvips_version_2_states_energy_pixel_and_camera(tmp_path: Path) -> None:
    tag = tvips_tag(
        TemHighTension=200e3, TemMode=0, PixelSizeX=0.0625, PhysicalPixelSizeX=15600, BinningX=4, BinningY=4,
        ExposureTime=400, SphericalAberration=12000, HighTension=990000,
    )  # fmt: skip
    header = read(written(tmp_path / "a.tif", extratags=[tag]))[0].header
    assert header.pixel == ((0.625, 0.625), "Å")
    assert (header.role, header.energy_ev, header.binning) == ("image", 200e3, (4, 4))
    assert header.detector_pixel_um == pytest.approx(62.4)
    assert header.exposure_s == pytest.approx(0.4)
    assert header.cs_mm == pytest.approx(1.2)
    assert header.said["energy_ev"] == "TVIPS TemHighTension = 200000 V"


def test_tvips_version_1_counts_in_ten_thousandths(tmp_path: Path) -> None:
    tag = tvips_tag(
        1, HighTension=990000, Magnification=320000, PostMagnification=15700, PhysicalPixelSize=156000, Binning=40000,
        ExposureTimeV1=4000000,
    )  # fmt: skip
    header = read(written(tmp_path / "a.tif", extratags=[tag]))[0].header
    assert header.energy_ev == pytest.approx(99e3)
    assert header.pixel_angstrom == pytest.approx(1e4 * 15.6 * 4 / (32e3 * 1.57), rel=1e-6)
    assert (header.binning, header.exposure_s, header.cs_mm) == ((4, 4), pytest.approx(0.4), None)


def test_tvips_in_diffraction_is_a_pattern_with_a_doubt(tmp_path: Path) -> None:
    tag = tvips_tag(TemHighTension=2e5, TemMode=3, PixelSizeX=0.25, TemMagnification=800)
    found, doubts = read(written(tmp_path / "a.tif", extratags=[tag]))
    assert (found.role, found.pixel, found.camera_length_mm) == ("pattern", ((0.025, 0.025), "1/Å"), 800)
    assert "check both" in doubts[0]
    found, doubts = read(written(tmp_path / "b.tif", extratags=[tvips_tag(TemMode=1, PixelSizeX=0.25)]))
    assert (found.role, found.pixel) == (None, None) and "TemMode = 1 is not known" in doubts[0]


@pytest.mark.parametrize("unit", ["nm", "1/nm", "µm"])
def test_digital_micrograph_names_unit_and_size(tmp_path: Path, unit: str) -> None:
    path = written(tmp_path / "a.tif", extratags=dm_tags(unit, 0.25, 0.25))
    expected = {"nm": (2.5, "Å"), "1/nm": (0.025, "1/Å"), "µm": (2500, "Å")}[unit]
    pixel = read_image(path).pixel
    assert pixel is not None
    assert (pixel.size, pixel.unit) == ((expected[0], expected[0]), expected[1])


def test_digital_micrograph_has_x_first_and_counts_per_electron(tmp_path: Path) -> None:
    tags = dm_tags("nm", 0.1, 0.2, _65022="e-", _65024=12.0, _65025=0.25)
    with pytest.warns(QualityWarning, match="not square"):
        header = read_image(written(tmp_path / "a.tif", extratags=tags)).header
    assert header.pixel == ((2.0, 1.0), "Å")
    assert (header.counts_per_electron, header.offset_counts) == (4, 12)


def test_jeol_in_diffraction_and_in_imaging(tmp_path: Path) -> None:
    jeol(tmp_path / "a.tif", DATA)
    header = read_image(tmp_path / "a.tif").header
    wavelength = 0.0250793  # Å, 200 kV
    assert header.pixel is not None and header.pixel.unit == "1/Å"
    assert header.pixel.size[1] == pytest.approx(0.000254 / (0.4 * wavelength), rel=1e-5)
    assert (header.role, header.energy_ev, header.camera_length_mm) == ("pattern", 200e3, 400)
    assert (header.exposure_s, header.binning, header.frames_summed) == (0.25, (2, 2), 3)
    assert header.detector_pixel_um == 250
    jeol(tmp_path / "b.tif", DATA, mode="modeMAG1", selector=400e3)
    header = read_image(tmp_path / "b.tif").header
    assert (header.role, header.camera_length_mm) == ("image", None)
    assert header.pixel_angstrom == pytest.approx(0.000254e10 / 400e3)
    jeol(tmp_path / "c.tif", DATA, mode="modeMAG1", selector=400e3, eos="eosASID")
    header = read_image(tmp_path / "c.tif").header
    assert (header.role, header.pixel, header.energy_ev) == (None, None, 200e3)


def test_item_states_the_pixel_of_its_grey_page(tmp_path: Path) -> None:
    item(tmp_path / "a.tif", [counts((24, 32, 3), "u1", 255), DATA], 2.5e-11)
    found, _ = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, DATA)
    assert found.header.pixel_angstrom == 0.25


@pytest.mark.parametrize(
    "damaged",
    [
        {"extratags": [(37706, "B", 40, bytes([2] + [0] * 39), True)]},
        {"description": "<TemReporter><ElectronGun>"},
        {"description": "<!DOCTYPE x [<!ENTITY a 'b'>]><TemReporter>&a;</TemReporter>"},
        {"extratags": [(33560, "B", 4, b"SIS0", True)]},
    ],
)
def test_damaged_tags_cost_the_calibration_only(tmp_path: Path, damaged: dict[str, Any]) -> None:
    found, _ = read(written(tmp_path / "a.tif", **damaged))
    np.testing.assert_array_equal(found.data, DATA)
    assert found.header.stated() == {}


def test_a_tvips_tag_of_another_magic_number_is_not_read(tmp_path: Path) -> None:
    tag = tvips_tag(TemHighTension=2e5, HighTension=2e6, PixelSizeX=0.1, Magic=1)
    found, doubts = read(written(tmp_path / "a.tif", extratags=[tag]))
    assert found.header.stated() == {} and "TVIPS EM-MENU" in doubts[0]
