"""Reader and writers of the manifest, as plain functions: what is written is read back where it was."""

import os
import struct
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import pytest

from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.io import FORMATS, ImageFile
from napari_subangstrom_cdi.io.cxi import write_cxi
from napari_subangstrom_cdi.io.header import HeaderWriter, pixel_in
from napari_subangstrom_cdi.io.packed import SUFFIXES as PACKED
from napari_subangstrom_cdi.io.project import Project, write_project
from napari_subangstrom_cdi.io.stack import read_stack
from napari_subangstrom_cdi.plugin.reader import LEFT_TO_NAPARI, get_reader, read_layers
from napari_subangstrom_cdi.plugin.records import layers_of
from napari_subangstrom_cdi.plugin.writer import NotSavedError, write_image_mrc, write_layers_cxi
from results import result

IMAGE = np.random.default_rng(0).normal(size=(12, 20)).astype(np.float32)
LABELS = (IMAGE > 0).astype(np.int64) * 3
ANGSTROM = {"name": "real part", "scale": (0.39, 0.41), "translate": (-2.5, 7.0), "units": ("angstrom", "angstrom")}


def mrc(path, data, voxel=0.0):
    with mrcfile.new(path) as file:
        file.set_data(data)
        file.voxel_size = voxel
    return path


def test_mrc_opens_in_angstrom_with_its_corner_at_the_origin(tmp_path):
    path = mrc(tmp_path / "A.MRC", IMAGE, 0.36)
    [(data, options, kind)] = get_reader(str(path))(str(path))
    np.testing.assert_array_equal(data, IMAGE)
    metadata = options.pop("metadata")
    assert kind == "image" and options == {
        "name": "A", "scale": (0.36, 0.36), "units": ("Å", "Å"), "axis_labels": ("y", "x"),
    }  # fmt: skip
    assert metadata["path"] == str(path) and "role" not in metadata
    assert metadata["header"]["format"] == "MRC"
    assert metadata["header"]["pixel"].startswith("0.36 × 0.36 Å  [")


def test_a_stack_opens_as_frames(tmp_path):
    stack = np.arange(2 * 5 * 6, dtype=np.int16).reshape(2, 5, 6)
    [(data, options, _)] = read_layers(mrc(tmp_path / "s.mrcs", stack, 0.5))
    np.testing.assert_array_equal(data, stack)
    assert options["scale"] == (1.0, 0.5, 0.5)
    assert options["units"] == ("pixel", "Å", "Å") and options["axis_labels"] == ("frame", "y", "x")


def test_edf_opens_in_pixels(tmp_path, edf_bytes):
    data = np.arange(30, dtype=np.uint16).reshape(5, 6)
    path = tmp_path / "p.edf"
    path.write_bytes(edf_bytes(data))
    [(found, options, _)] = get_reader(path)(path)
    np.testing.assert_array_equal(found, data)
    assert options["units"] == ("pixel", "pixel") and options["scale"] == (1.0, 1.0)


def test_a_pixel_that_is_not_square_is_shown_so_and_doubted(tmp_path):
    path = mrc(tmp_path / "a.mrc", IMAGE, (0.3, 0.4, 0.0))
    with pytest.warns(QualityWarning, match="not square"):
        [(_, options, _)] = read_layers(path)
    assert options["units"] == ("Å", "Å") and options["scale"] == (0.4, 0.3)


def write_h5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, data in arrays.items():
            file[name.replace("__", "/")] = data
    return path


def test_several_images_of_one_size_open_as_layers_with_their_addresses(tmp_path):
    path = write_h5(tmp_path / "scan.h5", a__one=IMAGE, a__two=2 * IMAGE, spectrum=np.arange(7.0))
    layers = get_reader(str(path))(str(path))
    assert [options["name"] for _, options, _ in layers] == ["scan a one", "scan a two"]
    assert [options["metadata"]["path"] for _, options, _ in layers] == [f"{path}::/a/one", f"{path}::/a/two"]
    np.testing.assert_array_equal(layers[1][0], 2 * IMAGE)
    [(data, options, _)] = read_layers(f"{path}::/a/two")
    np.testing.assert_array_equal(data, 2 * IMAGE)
    assert options["metadata"]["path"] == f"{path}::/a/two"


def test_of_many_arrays_some_open_and_the_others_are_said(tmp_path):
    path = write_h5(tmp_path / "many.h5", odd=np.ones((3, 4)), **{f"n{k:02}": IMAGE + k for k in range(11)})
    with pytest.warns(QualityWarning, match=r"holds 12 arrays, of which 8 are opened; not /n08, .*, /odd"):
        layers = read_layers(path)
    assert len(layers) == 8 and all(data.shape == IMAGE.shape for data, _, _ in layers)


def test_cxi_of_other_programs_opens_where_it_holds_an_image(tmp_path):
    path = write_h5(tmp_path / "other.cxi", entry_1__data_1__data=np.ones((3, 12, 20), np.uint16))
    [(data, options, _)] = get_reader(path)(path)
    assert data.shape == (3, 12, 20) and options["axis_labels"] == ("frame", "y", "x")
    table = write_h5(tmp_path / "table.cxi", entry_1__events=np.arange(9.0))
    assert get_reader(table) is None  # somebody else's
    assert get_reader(write_h5(tmp_path / "table.h5", events=np.arange(9.0))) is None


def test_all_complex_images_of_another_program_open_with_the_pixel_that_their_size_means(tmp_path):
    wave = np.exp(1j * np.arange(12 * 20).reshape(12, 20)).astype(np.complex64)
    with h5py.File(tmp_path / "others.cxi", "w") as file:
        for k, data in ((1, wave), (2, wave[None]), (3, 2 * wave)):
            file[f"entry_1/image_{k}/data"] = data
            file[f"entry_1/image_{k}/image_size"] = (20 * 0.5e-10, 12 * 0.4e-10)  # x, y
    with pytest.warns(QualityWarning, match="image_2 is not opened, as it has 3 axes"):
        layers = read_layers(str(tmp_path / "others.cxi"))
    kinds = ("amplitude", "phase", "real part")
    assert [options["name"] for _, options, _ in layers] == [f"image_{k} {kind}" for k in (1, 3) for kind in kinds]
    assert np.allclose(layers[3][0], 2)
    for _, options, _ in layers:
        assert options["scale"] == pytest.approx((0.4, 0.5)) and options["units"] == ("Å", "Å")


def test_what_napari_shows_itself_is_not_claimed_in_the_manifest_but_by_content(tmp_path):
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_distribution("napari-subangstrom-cdi")
    claimed = {one for reader in manifest.contributions.readers for one in reader.filename_patterns}
    suffixes = {f"*{suffix}" for known in FORMATS for suffix in known.suffixes}
    assert suffixes - claimed <= {f"*{suffix}" for suffix in LEFT_TO_NAPARI}
    assert not claimed & {f"*{suffix}" for suffix in LEFT_TO_NAPARI}
    packed = {one.removesuffix(kind) for kind in PACKED for one in claimed if one.endswith(kind)}
    assert "*.dm4" in packed and {one + kind for one in packed for kind in PACKED} <= claimed
    np.save(tmp_path / "a.npy", IMAGE)
    assert get_reader(tmp_path / "a.npy") is read_layers  # whoever names the plugin gets it
    (tmp_path / "notes.h5").write_text("nothing but text")
    assert get_reader(tmp_path / "notes.h5") is None


def found(header, mask=None, data=IMAGE):
    return ImageFile(data, Path("a.dm4"), "DM4", header, mask=mask)


def test_reciprocal_space_lies_about_its_middle_in_its_unit_with_its_mask():
    header = HeaderWriter()
    header.put("pixel", pixel_in("1/nm", 0.05, 0.05), "Calibrations.Dimension = 0.05 1/nm")
    header.put("energy_ev", 200e3, "Microscope Info.Voltage = 200000 V")
    mask = IMAGE > 1
    (data, options, _), (marked, other, kind) = layers_of(found(header.header(), mask), "a.dm4", "a")
    assert options["scale"] == (0.005, 0.005) and options["units"] == ("1/Å", "1/Å")
    assert options["translate"] == pytest.approx((-6 * 0.005, -10 * 0.005)) and options["axis_labels"] == ("qy", "qx")
    assert options["metadata"]["role"] == "pattern"
    assert options["metadata"]["header"]["energy_ev"] == "200000  [Microscope Info.Voltage = 200000 V]"
    assert kind == "labels" and other["translate"] == options["translate"] and other["name"] == "a mask"
    np.testing.assert_array_equal(marked, mask)
    assert data is IMAGE


def test_a_suffix_that_others_use_too_is_left_to_them(tmp_path):
    for name, content in (("eeg.edf", b"0       X X" + b" " * 300), ("bundle.js.map", b'{"version":3}')):
        (tmp_path / name).write_bytes(content)
        assert get_reader(tmp_path / name) is None
    assert get_reader([mrc(tmp_path / "a.map", IMAGE), tmp_path / "eeg.edf"]) is None
    assert get_reader(tmp_path / "a.map") is read_layers
    assert get_reader("a.tif") is None


def huge_mrc(mrc_header):
    return mrc_header(2**20, 2**20, 1, 2)


@pytest.mark.parametrize("suffix", [".mrc", ".mrcs", ".map", ".edf", ".cxi"])
def test_empty_absent_and_forbidden_files_are_said(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(InputError, match="a" + suffix):
        get_reader(path)(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="a" + suffix):
        get_reader(path)(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="a" + suffix):
        get_reader(path)(path)


def test_false_mrc_files_are_said(tmp_path, mrc_header):
    path = tmp_path / "a.mrc"
    whole = mrc(tmp_path / "w.mrc", IMAGE).read_bytes()
    for content, problem in [
        (b"some text that is long enough for a line", "text"),
        (whole[:-4], "cut short"),
        (huge_mrc(mrc_header), "cut short"),
        (mrc_header(4, 4, 1, 4) + bytes(128), "complex"),
        (struct.pack("<4i", -1, 4, 1, 2) + whole[16:], "damaged"),
    ]:
        path.write_bytes(content)
        with pytest.raises(InputError, match=problem):
            read_layers(path)


def test_a_stack_that_is_too_large_is_not_read(tmp_path):
    path = mrc(tmp_path / "s.mrcs", np.zeros((4, 8, 8), np.float32))
    assert read_stack(path, max_bytes=1024).data.shape == (4, 8, 8)
    with pytest.raises(InputError, match=r"4 x 8 x 8 pixels.*above the limit"):
        read_stack(path, max_bytes=1023)


@pytest.mark.parametrize(
    ("units", "voxel"),
    [(("angstrom",) * 2, 0.4), (("nanometer",) * 2, 4.0), (("pixel",) * 2, 0.0), (("1 / angstrom",) * 2, 0.0)],
)
def test_mrc_is_written_with_the_pixel_of_the_layer(tmp_path, units, voxel):
    attributes = {"name": "real ψ", "scale": np.array([0.4, 0.4]), "units": units, "rgb": False}
    path = str(tmp_path / "a.mrc")
    assert write_image_mrc(path, IMAGE, attributes) == [path]
    with mrcfile.open(path) as file:
        assert file.voxel_size.x == file.voxel_size.y == pytest.approx(voxel)
    [(data, options, _)] = read_layers(path)
    np.testing.assert_array_equal(data, IMAGE)
    assert options["scale"] == pytest.approx((voxel or 1.0,) * 2)


def test_layers_come_back_where_they_were(tmp_path):
    nm = ANGSTROM | {"name": "support ψ", "units": ("nanometer", "angstrom")}
    reciprocal = {"name": "spectrum", "scale": (0.01, 0.01), "translate": (0, 1), "units": ("1 / angstrom",) * 2}
    path = str(tmp_path / "a.cxi")
    bare = {"name": "no place"}
    assert write_layers_cxi(
        path,
        [
            (IMAGE, ANGSTROM, "image"),
            (LABELS, nm, "labels"),
            (IMAGE > 0, reciprocal, "image"),
            (IMAGE, bare, "image"),
        ],
    ) == [path]
    layers = read_layers(path)
    assert [(options["name"], kind) for _, options, kind in layers] == [
        ("real part", "image"), ("support ψ", "labels"), ("spectrum", "image"), ("no place", "image")
    ]  # fmt: skip
    for (data, _, _), expected in zip(layers, (IMAGE, LABELS, IMAGE > 0, IMAGE), strict=True):
        np.testing.assert_array_equal(data, expected)
    assert layers[1][0].dtype == LABELS.dtype
    for (_, options, _), place in zip(
        layers,
        [
            ((0.39, 0.41), (-2.5, 7.0), "Å"),
            ((3.9, 0.41), (-25.0, 7.0), "Å"),
            ((0.01, 0.01), (0, 1), "1 / angstrom"),
            ((1, 1), (0, 0), "pixel"),
        ],
        strict=True,
    ):
        assert options["scale"] == pytest.approx(place[0])
        assert options["translate"] == pytest.approx(place[1])
        assert options["units"] == (place[2],) * 2
        assert options["metadata"] == {"path": path}


def test_other_programs_find_titles_and_pixels_in_metres(tmp_path):
    write_layers_cxi(tmp_path / "a.cxi", [(IMAGE, ANGSTROM, "image"), (LABELS, {"name": "mask"}, "labels")])
    with h5py.File(tmp_path / "a.cxi") as file:
        first, second = file["entry_1/image_1"], file["entry_1/image_2"]
        assert first["title"][()] == b"real part"
        assert first["y_pixel_size"][()] == pytest.approx(0.39e-10)
        assert first["x_pixel_size"][()] == pytest.approx(0.41e-10)
        assert "x_pixel_size" not in second
        np.testing.assert_array_equal(second["data"], LABELS)


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ([], "0 layers"),
        ([(IMAGE, {}, "image")] * 65, "65 layers"),
        ([(np.zeros((2, 3, 4)), {"name": "s"}, "image")], "two dimensions"),
        ([(np.zeros((5, 4, 3), np.uint8), {"rgb": True}, "image")], "colour"),
    ],
)
def test_layers_that_cxi_cannot_keep_are_said(tmp_path, layers, problem):
    with pytest.raises(NotSavedError, match=problem):
        write_layers_cxi(tmp_path / "a.cxi", layers)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("data", [np.zeros((2, 2, 2, 2)), np.zeros(4), np.full((2, 2), 2**30)])
def test_images_that_mrc_cannot_keep_are_said(tmp_path, data):
    with pytest.raises(NotSavedError, match="MRC"):
        write_image_mrc(tmp_path / "a.mrc", data, {})
    assert not os.listdir(tmp_path)


def test_layers_do_not_take_the_place_of_a_result_or_project(tmp_path):
    path = tmp_path / "a.cxi"
    write_layers_cxi(path, [(IMAGE, {}, "image")])
    write_layers_cxi(path, [(LABELS, {}, "labels")])
    assert read_layers(path)[0][2] == "labels"
    for write in (
        lambda: write_cxi(path, result()),
        lambda: write_project(path, Project("", (), None, {})),
    ):
        write()
        before = path.read_bytes()
        with pytest.raises(NotSavedError, match="save the project"):
            write_layers_cxi(path, [(IMAGE, {}, "image")])
        assert path.read_bytes() == before


def test_a_turned_layer_and_an_unknown_unit_are_doubted(tmp_path):
    turned = {"name": "a", "rotate": np.array([[0.0, -1.0], [1.0, 0.0]])}
    with pytest.warns(QualityWarning, match="turned"):
        write_layers_cxi(tmp_path / "a.cxi", [(IMAGE, turned, "image")])
    with pytest.warns(QualityWarning, match="second"):
        write_image_mrc(tmp_path / "a.mrc", IMAGE, {"units": ("second", "angstrom")})


def test_a_false_size_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "a.cxi"
    with h5py.File(path, "w") as file:
        file.create_dataset("entry_1/image_1/data", shape=(8192, 8192), dtype="c8", chunks=(64, 64))
    with pytest.raises(InputError, match="claims more pixels"):
        read_layers(path)


def test_a_project_without_a_result_is_no_picture(tmp_path):
    write_project(tmp_path / "a.cxi", Project("", (), None, {}))
    with pytest.raises(InputError, match="no result in it yet"):
        read_layers(tmp_path / "a.cxi")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layer_type", "surface"),
        ("layer_type", "labels"),
        ("layer_type", 3),
        ("layer_scale", np.array([0.0, 1.0])),
        ("layer_scale", np.array([np.nan, 1.0])),
        ("layer_translate", np.zeros(3)),
        ("layer_units", np.zeros(2)),
        ("title", 1.0),
        ("data", np.zeros((2, 3, 4))),
        ("data", "text"),
    ],
)
def test_a_damaged_layer_is_said(tmp_path, name, value):
    path = tmp_path / "a.cxi"
    write_layers_cxi(path, [(IMAGE, ANGSTROM, "image")])
    with h5py.File(path, "r+") as file:
        del file[f"entry_1/image_1/{name}"]
        file[f"entry_1/image_1/{name}"] = value
    with pytest.raises(InputError, match="image"):
        read_layers(path)
