"""Exported images open elsewhere with their pixel, tables with their columns."""

import csv
import os

import mrcfile
import numpy as np
import pytest
import tifffile

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import read_image
from napari_subangstrom_cdi.io.export import export_image, export_table, write_mrc

IMAGE = np.random.default_rng(0).normal(size=(21, 30)).astype(np.float32)


@pytest.mark.parametrize("pixel", [0.39, 0.0123456, 3.3333, None])
@pytest.mark.parametrize("name", ["a.tif", "a.TIFF", "a.mrc", "a.Npy"])
def test_image_and_pixel_come_back(tmp_path, name, pixel):
    export_image(tmp_path / name, IMAGE, pixel, description="Re O, σ_e V in Å")
    found = read_image(tmp_path / name)
    assert found.data.dtype == np.float32
    np.testing.assert_array_equal(found.data, IMAGE)
    if pixel is None or "npy" in name.lower():
        assert found.pixel_angstrom is None
    else:
        assert found.pixel_angstrom == pytest.approx(pixel, rel=1e-5)
    assert os.listdir(tmp_path) == [name]


def test_imagej_finds_scale_unit_and_description(tmp_path):
    export_image(tmp_path / "a.tif", IMAGE, 0.5, description="Re O, Å")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.imagej_metadata["unit"] == "nm"
        assert file.imagej_metadata["Info"] == "Re O, Å"
        pixels, length = file.pages.first.tags["XResolution"].value
    assert pixels / length == pytest.approx(20)  # pixels a nanometre


def test_mrc_is_valid_and_says_what_it_shows(tmp_path, capsys):
    export_image(tmp_path / "a.mrc", IMAGE, 0.39, description="real part " * 100)
    assert mrcfile.validate(tmp_path / "a.mrc")
    capsys.readouterr()
    with mrcfile.open(tmp_path / "a.mrc") as file:
        np.testing.assert_allclose([file.voxel_size.x, file.voxel_size.y], 0.39, rtol=1e-6)
        assert b"real part" in bytes(file.header.label[1])


@pytest.mark.parametrize(
    ("name", "data", "pixel", "problem"),
    [
        ("a.png", IMAGE, 1.0, r"\.tif.*\.mrc.*\.npy"),
        ("a", IMAGE, 1.0, "without suffix"),
        ("a.tif", IMAGE.astype(complex), 1.0, "amplitude"),
        ("a.tif", np.zeros((2, 3, 4)), 1.0, r"\(2, 3, 4\)"),
        ("a.mrc", np.zeros((0, 4)), 1.0, r"\(0, 4\)"),
        ("a.tif", IMAGE, 0.0, "pixel"),
        ("a.mrc", IMAGE, float("nan"), "pixel"),
        ("nowhere/a.tif", IMAGE, 1.0, "nowhere"),
    ],
)
def test_what_cannot_be_exported_is_said(tmp_path, name, data, pixel, problem):
    with pytest.raises(InputError, match=problem):
        export_image(tmp_path / name, data, pixel)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        np.array([[0, 127], [3, 4]], np.uint8),
        np.array([[-5, 127], [3, 4]], np.int64),
        np.array([[0, 65535], [3, 4]], np.uint32),
        np.array([[0, 2**24], [-(2**24), 4]], np.int32),
        np.array([[True, False], [False, False]]),
        np.arange(24, dtype=np.float16).reshape(2, 3, 4),
    ],
    ids=lambda data: str(data.dtype),
)
def test_mrc_keeps_every_value(tmp_path, data):
    write_mrc(tmp_path / "a.mrc", data, None)
    with mrcfile.open(tmp_path / "a.mrc") as file:
        np.testing.assert_array_equal(file.data.astype(np.float64), data.astype(np.float64))
        assert file.is_image_stack() == (data.ndim == 3)
        assert file.voxel_size.x == 0


@pytest.mark.parametrize("data", [np.full((2, 2), 2**24 + 1), np.zeros((2, 2), np.complex64)])
def test_mrc_refuses_what_it_would_change(tmp_path, data):
    with pytest.raises(InputError, match="MRC cannot keep"):
        write_mrc(tmp_path / "a.mrc", data, None, where="a.mrc")
    assert not os.listdir(tmp_path)


def test_table_comes_back_in_full_precision(tmp_path):
    r = np.array([1 / 3, np.nan, 1e-30])
    export_table(tmp_path / "r.csv", {"iteration": np.arange(1, 5), "R, σ": r, "stage": np.array(["a", 'b"', "ψ"])})
    with open(tmp_path / "r.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["iteration", "R, σ", "stage"]
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4"]
    assert [row[2] for row in rows[1:]] == ["a", 'b"', "ψ", ""]
    assert float(rows[1][1]) == 1 / 3 and rows[2][1] == "" and float(rows[3][1]) == 1e-30 and rows[4][1] == ""


def test_what_is_no_table_is_said(tmp_path):
    for name, columns in (("a.xlsx", {"r": IMAGE[0]}), ("a.csv", {}), ("a.csv", {"r": IMAGE})):
        with pytest.raises(InputError):
            export_table(tmp_path / name, columns)
    assert not os.listdir(tmp_path)
