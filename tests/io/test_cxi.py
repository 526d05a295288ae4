"""The result file: everything comes back, other programs find what they look for, and damage is noticed."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.result import InputFile, Result
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io.cxi import beside_role, extract_inputs, read_cxi, write_cxi
from results import RAW, result, same


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "out.cxi"
    write_cxi(path, result())
    return path


def test_every_field_comes_back(path):
    same(read_cxi(path), result())


@pytest.mark.parametrize(
    "change",
    [
        {"potential": None},
        {"inputs": ()},
        {"curves": {}},
        {"complete": False},
        {"calibrated": False, "grid": Grid(32, 64.0)},
        {"kept": (True,), "members": np.zeros((1, 4, 4), np.complex64)},
        {"r_history": np.zeros((0, 0), np.float32), "free_r_history": np.zeros((0, 0), np.float32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_may_be_absent_may_be_absent(tmp_path, change):
    given = replace(result(), **change)
    write_cxi(tmp_path / "out.cxi", given)
    same(read_cxi(tmp_path / "out.cxi"), given)


def test_other_programs_find_the_object_and_its_pixel_in_metres(path):
    with h5py.File(path) as file:
        assert file["cxi_version"][()] == 160
        image = file["entry_1/image_1"]
        np.testing.assert_array_equal(image["data"][()], result().object)
        assert image["data"].dtype == np.complex64
        for axis in "xy":
            assert image[f"{axis}_pixel_size"][()] == pytest.approx(49.0 / 32 * 1e-10)
        assert image["data_space"][()] == b"real"
        assert not image["is_fft_shifted"][()]
        np.testing.assert_allclose(image["image_size"][()], [49e-10, 49e-10])
        assert file["entry_1/data_1/reciprocal_pixel_per_angstrom"][()] == pytest.approx(1 / 49)
        assert file["entry_1/process_1/recipe"][()].decode() == result().recipe
        libraries = json.loads(file["entry_1/process_1/libraries"][()])
        assert libraries["numpy"] == np.__version__
        assert set(libraries) == {"python", "numpy", "scipy"}


def test_without_a_calibration_no_length_is_claimed(tmp_path):
    write_cxi(tmp_path / "out.cxi", replace(result(), calibrated=False))
    names = []
    with h5py.File(tmp_path / "out.cxi") as file:
        file.visit(names.append)
        assert file["entry_1/process_1/field_of_view"].attrs["unit"] == "pixel"
    assert len(names) > 20
    assert not [
        name for name in names if name.endswith(("pixel_size", "image_size", "per_angstrom")) and "curves" not in name
    ]
    assert not read_cxi(tmp_path / "out.cxi").calibrated


def test_the_raw_files_come_out_byte_for_byte(path, tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    paths = extract_inputs(read_cxi(path), folder)
    assert list(paths) == ["pattern", "background", "acquisition"]
    assert [p.read_bytes() for p in paths.values()] == [RAW, b"", b"{}"]
    assert paths["pattern"].suffix == ".tif"
    assert all(folder in p.parents for p in paths.values())


def test_two_raw_files_of_one_name_do_not_overwrite_each_other(tmp_path):
    twice = replace(result(), inputs=(InputFile("pattern", "x.tif", b"1"), InputFile("image", "x.tif", b"2")))
    paths = extract_inputs(twice, tmp_path)
    assert [p.read_bytes() for p in paths.values()] == [b"1", b"2"]


@pytest.mark.parametrize("name", ["../../evil.tif", "/etc/evil.tif", ".."])
def test_a_name_in_the_file_cannot_lead_out_of_the_folder(tmp_path, name):
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    extract_inputs(replace(result(), inputs=(InputFile("pattern", name, b"x"),)), folder)
    (written,) = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert folder in written.parents


def test_files_that_lie_beside_another_come_to_lie_beside_it_again(tmp_path):
    inputs = (InputFile("pattern", "x_1.ser", b"1"), InputFile(beside_role("pattern", 0), "x.emi", b"2"))
    write_cxi(tmp_path / "out.cxi", replace(result(), inputs=inputs))
    paths = extract_inputs(read_cxi(tmp_path / "out.cxi"), tmp_path)
    assert list(paths) == ["pattern"] and paths["pattern"].with_name("x.emi").read_bytes() == b"2"


def test_a_file_of_two_roles_is_kept_once(tmp_path):
    inputs = tuple(InputFile(role, "x.h5", RAW) for role in ("pattern", "image"))
    write_cxi(tmp_path / "out.cxi", replace(result(), inputs=inputs))
    with h5py.File(tmp_path / "out.cxi") as file:
        kept = file["entry_1/inputs"]
        assert kept["pattern"] == kept["image"]
    assert read_cxi(tmp_path / "out.cxi").inputs == inputs


def test_a_raw_file_that_was_changed_is_noticed(path):
    with h5py.File(path, "r+") as file:
        file["entry_1/inputs/pattern"][5] = 99
    with pytest.raises(InputError, match=r"pattern record.*digest"):
        read_cxi(path)


@pytest.mark.parametrize(
    "missing", ["entry_1", "entry_1/image_1/data", "entry_1/members/kept", "entry_1/process_1/recipe", "entry_1/inputs"]
)
def test_a_file_that_lacks_something_is_not_ours(path, missing):
    with h5py.File(path, "r+") as file:
        del file[missing]
    with pytest.raises(InputError, match="no result of this program"):
        read_cxi(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("entry_1/image_1/data", 3.0),
        ("entry_1/image_1/data", np.zeros((31, 31), np.complex64)),
        ("entry_1/process_1/metrics", "{"),
        ("entry_1/process_1/stages", "[1]"),
        ("entry_1/process_1/field_of_view", -1.0),
        ("entry_1/members/origin", np.array([3])),
        ("entry_1/process_1/metrics", b"\xff\xfe"),
    ],
)
def test_a_file_with_something_else_in_its_place_is_damaged(path, name, value):
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = value
    with pytest.raises(InputError, match="cannot be read"):
        read_cxi(path)


def test_files_that_are_no_result(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_cxi(tmp_path / "none.cxi")
    with pytest.raises(InputError, match="no such file"):
        read_cxi(tmp_path)
    for name, content in (("text.cxi", b"not HDF5"), ("empty.cxi", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            read_cxi(tmp_path / name)
    with h5py.File(tmp_path / "other.cxi", "w") as file:
        file["entry_1/instrument_1/detector_1/data"] = np.zeros((4, 4))
    with pytest.raises(InputError, match="no result of this program"):
        read_cxi(tmp_path / "other.cxi")


def test_a_cut_file_is_refused_wherever_it_is_cut(path):
    whole = path.read_bytes()
    for kept in np.linspace(1, len(whole) - 1, 25).astype(int):
        path.write_bytes(whole[:kept])
        with pytest.raises(InputError):
            read_cxi(path)


def test_a_flipped_byte_ends_in_a_message_or_does_no_harm(path):
    """HDF5 keeps no sum over its structure: some flips pass unseen, none may end in a traceback."""
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(whole), 150):
        whole[place] ^= 0xFF
        path.write_bytes(whole)
        try:
            assert isinstance(read_cxi(path), Result)
        except InputError:
            refused += 1
        whole[place] ^= 0xFF
    assert refused > 5


def test_an_older_result_is_left_as_it_was_when_writing_fails(path):
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_cxi(path, replace(result(), metrics={"unwritable": object()}))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        write_cxi(tmp_path / "nowhere" / "out.cxi", result())
