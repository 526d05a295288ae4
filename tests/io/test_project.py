"""The project file: a result with the window's state, or what there is before the first result."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from napari_subangstrom_cdi.core.result import InputFile
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io.cxi import read_cxi, write_cxi
from napari_subangstrom_cdi.io.project import (
    MAX_TEXT_BYTES,
    Project,
    extract_files,
    read_project,
    read_recipe_and_inputs,
    write_project,
)
from results import result, same

VIEW = {"notes": "Ångström ψ\n", "layers": [{"name": "phase", "visible": False, "limits": [-3.25, 1e-3]}], "none": None}
INPUTS = (InputFile("pattern", "p é.tif", bytes(range(256))), InputFile("image", "i.mrc", b""))
RECIPE = '[inputs]\npattern = "p.tif"\n'


def empty_project(**changes):
    curves = {"r_factor": np.array([[0.5, np.nan]], np.float32)}
    return replace(Project(RECIPE, INPUTS, None, VIEW, history=curves), **changes)


def full_project(**changes):
    return replace(Project(result().recipe, result().inputs, result(), VIEW, settings=RECIPE), **changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "project.cxi"


def test_a_project_without_a_result_comes_back(path):
    write_project(path, empty_project())
    again = read_project(path)
    assert (again.recipe, again.inputs, again.result, again.view, again.settings) == (RECIPE, INPUTS, None, VIEW, "")
    np.testing.assert_array_equal(again.history["r_factor"], empty_project().history["r_factor"])


def test_a_project_with_a_result_comes_back_and_is_a_result(path):
    write_project(path, full_project())
    again = read_project(path)
    assert (again.recipe, again.inputs, again.view, again.settings) == (result().recipe, result().inputs, VIEW, RECIPE)
    same(again.result, result())
    same(read_cxi(path), result())


def test_a_plain_result_is_a_project_with_nothing_to_see(path):
    write_cxi(path, result())
    again = read_project(path)
    assert (again.view, again.settings, again.history) == ({}, "", {})
    assert again.inputs == result().inputs
    same(again.result, result())
    with h5py.File(path) as file:
        assert "view" not in file["entry_1"]


def test_other_raw_files_than_those_of_the_result_are_kept_beside_them(path):
    write_project(path, full_project(inputs=INPUTS))
    assert read_project(path).inputs == INPUTS
    assert read_project(path).result.inputs == read_cxi(path).inputs == result().inputs
    assert read_recipe_and_inputs(path) == (result().recipe, result().inputs)


def test_recipe_and_raw_files_suffice_to_run_a_project_that_has_no_result(path, tmp_path):
    write_project(path, empty_project())
    recipe, inputs = read_recipe_and_inputs(path)
    assert recipe == RECIPE
    assert extract_files(inputs, tmp_path)["pattern"].read_bytes() == INPUTS[0].content
    with pytest.raises(InputError, match="no result in it yet"):
        read_cxi(path)


def test_a_recipe_that_is_not_the_results_is_a_fault_of_the_program():
    with pytest.raises(ValueError, match="recipe"):
        full_project(recipe="other")


@pytest.mark.parametrize(
    ("view", "error"), [({1: 2}, TypeError), ({"a": {2: 3}}, TypeError), ({"a": object()}, TypeError),
                        ({"a": float("nan")}, ValueError), ({"a": {1, 2}}, TypeError)]
)  # fmt: skip
def test_a_state_that_would_not_come_back_is_not_written(path, view, error):
    write_project(path, empty_project())
    before = path.read_bytes()
    with pytest.raises(error):
        write_project(path, empty_project(view=view))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_too_large_a_state_is_refused_in_a_sentence(path):
    with pytest.raises(InputError, match="shorten the notes"):
        write_project(path, empty_project(view={"notes": "x" * MAX_TEXT_BYTES}))


def array_of(text: bytes):
    return np.frombuffer(text, np.uint8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", array_of(b"[]")),
        ("state", array_of(b'{"a": NaN}')),
        ("state", array_of(b'{"a": ')),
        ("state", array_of(b"\xff")),
        ("state", array_of(b"[" * 100_000)),
        ("state", np.full(MAX_TEXT_BYTES + 1, 32, np.uint8)),
        ("state", "{}"),
        ("state", 3.0),
        ("settings", array_of(b"a = ")),
        ("history/r_factor", "text"),
    ],
)
def test_a_damaged_state_is_said(path, name, value):
    write_project(path, empty_project())
    with h5py.File(path, "r+") as file:
        del file[f"entry_1/view/{name}"]
        file[f"entry_1/view/{name}"] = value
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_project(path)
    assert len(str(caught.value)) < 400


def test_a_changed_raw_file_is_noticed(path):
    write_project(path, empty_project())
    with h5py.File(path, "r+") as file:
        file["entry_1/inputs/pattern"][5] = 99
    for read in (read_project, read_recipe_and_inputs):
        with pytest.raises(InputError, match="digest"):
            read(path)


@pytest.mark.parametrize("missing", ["view/state", "view/settings", "inputs", "process_1", "process_1/recipe"])
def test_a_file_that_lacks_something_is_not_ours(path, missing):
    write_project(path, empty_project())
    with h5py.File(path, "r+") as file:
        del file[f"entry_1/{missing}"]
    with pytest.raises(InputError, match="no result of this program"):
        read_project(path)


@pytest.mark.parametrize("read", [read_project, read_recipe_and_inputs])
def test_files_that_are_no_project(tmp_path, read):
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.cxi")
    for name, content in (("text.cxi", b"not HDF5"), ("empty.cxi", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            read(tmp_path / name)


@pytest.mark.parametrize("name", ["image_1/data", "view/state", "inputs/pattern"])
def test_a_false_size_is_refused_before_memory_is_taken(path, name):
    write_project(path, full_project())
    with h5py.File(path, "r+") as file:
        del file[f"entry_1/{name}"]
        file.create_dataset(f"entry_1/{name}", shape=(2**18, 2**18), dtype="c8", chunks=(64, 64))
    with pytest.raises(InputError, match="claims"):
        read_project(path)


def test_a_cut_file_is_refused_wherever_it_is_cut(path):
    write_project(path, empty_project())
    whole = path.read_bytes()
    for kept in np.linspace(1, len(whole) - 1, 25).astype(int):
        path.write_bytes(whole[:kept])
        with pytest.raises(InputError):
            read_project(path)


def test_other_programs_read_the_state_as_json(path):
    write_project(path, full_project())
    with h5py.File(path) as file:
        assert json.loads(file["entry_1/view/state"][()].tobytes()) == VIEW
