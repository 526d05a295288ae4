"""The command inspect, and the same in Python: what a file says, and where."""

from __future__ import annotations

import json

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile

import napari_subangstrom_cdi as sacdi
from napari_subangstrom_cdi.cli.main import main


@pytest.fixture
def folder(tmp_path):
    counts = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    with mrcfile.new(tmp_path / "image.mrc") as file:
        file.set_data(counts.astype(np.float32))
        file.voxel_size = 0.36
    tifffile.imwrite(
        tmp_path / "pattern.tif", np.stack([counts] * 3), imagej=True, resolution=(80, 80), metadata={"unit": "1/nm"}
    )
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/a"], file["entry/b"] = counts, counts + 1
    (tmp_path / "notes.md").write_text("# what was done, and when, and by whom")
    return tmp_path


def test_each_value_is_printed_with_its_place(folder, capsys):
    assert main(["inspect", str(folder / "image.mrc"), str(folder / "pattern.tif")]) == 0
    said = capsys.readouterr().out
    assert "0.36 Å  [cell / sampling = 0.36, 0.36 Å (y, x)]" in said
    assert "64 x 48 pixels (y, x), uint16, 3 frames" in said
    assert "0.00125 1/Å  [XResolution, with ImageJ's unit = 0.0125 1/nm]" in said
    assert max(map(len, said.splitlines())) <= max(100, len(str(folder)) + 20)


def test_what_can_be_read_is_printed_though_other_files_cannot(folder, capsys):
    assert main(["inspect", str(folder / "notes.md"), str(folder / "gone.tif"), str(folder / "image.mrc")]) == 2
    out, err = capsys.readouterr()
    assert "image.mrc" in out and "notes.md" not in out
    notes, gone = err.splitlines()
    assert "notes.md: holds text" in notes and "gone.tif: there is no such file" in gone


def test_json_has_an_object_for_each_file(folder, capsys):
    assert main(["inspect", "--json", str(folder / "image.mrc"), str(folder / "notes.md")]) == 2
    image, notes = json.loads(capsys.readouterr().out)
    assert image["said"]["pixel"] == {
        "value": {"y": 0.36, "x": 0.36, "unit": "Å"},
        "place": "cell / sampling = 0.36, 0.36 Å (y, x)",
    }
    assert (image["shape"], image["dtype"], image["frames"], image["doubts"]) == ([64, 48], "float32", 1, [])
    assert set(notes) == {"file", "error"}


def test_one_of_several_datasets_is_inspected_by_its_address(folder, capsys):
    assert main(["inspect", "--json", f"{folder / 'scan.h5'}::/entry/b"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["dataset"] == "/entry/b" and found["shape"] == [64, 48]


def test_a_file_of_several_arrays_says_how_one_is_named(folder, capsys):
    for address in ("scan.h5", "scan.h5::"):
        assert main(["inspect", str(folder / address)]) == 0
        assert f"give {folder / 'scan.h5'}::NAME" in " ".join(capsys.readouterr().out.split())
    assert main(["inspect", f"{folder / 'image.mrc'}::/data"]) == 2
    assert "holds one array only" in capsys.readouterr().err


def test_a_record_tells_what_its_file_says(folder):
    record = sacdi.read_record(folder / "pattern.tif", frame="sum")
    (y, x), unit = record.pixel
    assert (y, x, unit) == (0.00125, 0.00125, "1/Å")
    assert record.frames == 3 and record.said["frames"] == "all 3 of the file, added up"
    assert record.data.shape == (64, 48) and record.data[1, 2] == 3 * 50
    assert record.said["pixel"].startswith("XResolution")
    assert record.role is record.energy_ev is record.camera_length_mm is record.mask is None
    assert sacdi.read_record(folder / "pattern.tif", frame=1).said["frames"] == "one of 3 in the file"


def test_a_record_is_chosen_by_address_or_by_name(folder):
    by_name = sacdi.read_record(folder / "scan.h5", dataset="/entry/b")
    by_address = sacdi.read_record(f"{folder / 'scan.h5'}::/entry/b")
    assert by_name.data[0, 0] == by_address.data[0, 0] == 1 and by_name.dataset == "/entry/b"


def test_a_file_whose_name_holds_two_colons_is_opened(folder):
    (folder / "image.mrc").rename(folder / "a::b.mrc")
    assert sacdi.read_record(folder / "a::b.mrc").data.shape == (64, 48)
