"""Finished members survive a crash, a full disk and damage; those of a living process are left alone."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from dataclasses import fields, replace
from datetime import datetime

import h5py
import numpy as np
import pytest

from napari_subangstrom_cdi.core.phasing.retrieval import Retrieval
from napari_subangstrom_cdi.core.result import InputFile
from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.session import recovery
from napari_subangstrom_cdi.session.recovery import Recovery, default_folder, found

RECIPE = '[inputs]\npattern = "platelet.tif"\n\n[ensemble]\nmembers = 5\n'
INPUTS = (InputFile("pattern", "particle é.tif", bytes(range(256))), InputFile("image", "i.mrc", b""))


def member(k=0, n=256):
    rng = np.random.default_rng(k)
    estimate = np.zeros((n, n), np.complex64)
    estimate[90:150, 80:170] = rng.normal(size=(60, 90)) + 1j * rng.normal(size=(60, 90))
    history = tuple(float(r) for r in rng.random(7))
    return Retrieval(
        estimate, 0.1 + k, 0.2, history, (float("nan"), *history[1:]), (("Bild → ψ", 3), ("er", 7)), 0.9, float("nan")
    )


def same(a, b):
    for item in fields(Retrieval):
        first, second = getattr(a, item.name), getattr(b, item.name)
        assert type(first) is type(second), item.name
        if item.name == "estimate":
            assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second, err_msg=item.name)


def left_behind(folder, members=2):
    """A run of this process that was left as a crash leaves it."""
    run = Recovery.begin(folder, RECIPE, INPUTS)
    for k in range(members):
        run.add(k, member(k))
    run.leave()
    return run.folder


def test_members_come_back_bit_for_bit(tmp_path):
    left_behind(tmp_path / "new" / "folder", members=3)
    [one] = found(tmp_path / "new" / "folder")
    assert (one.members_done, one.members_planned, one.pattern_name, one.problem) == (3, 5, "particle é.tif", None)
    assert abs((datetime.now() - one.when).total_seconds()) < 60
    recipe, inputs, members = one.load()
    assert (recipe, inputs) == (RECIPE, INPUTS)
    assert len(members) == 3
    for k, again in enumerate(members):
        same(again, member(k))


def test_nothing_of_a_retrieval_is_forgotten():
    kept = {"estimate", "stage_ends", *recovery._SCALARS, *recovery._HISTORIES}
    assert {item.name for item in fields(Retrieval)} == kept


def test_an_estimate_of_zeros_comes_back(tmp_path):
    run = Recovery.begin(tmp_path, RECIPE, ())
    run.add(0, replace(member(), estimate=np.zeros((32, 32), np.complex64), stage_ends=()))
    run.leave()
    [one] = found(tmp_path)
    assert one.pattern_name == "platelet.tif"
    assert not one.load().members[0].estimate.any()


def test_the_recipe_may_be_written_anew(tmp_path):
    run = Recovery.begin(tmp_path, RECIPE, ())
    run.record(RECIPE.replace("5", "7"))
    run.leave()
    assert found(tmp_path)[0].members_planned == 7


def test_a_member_takes_little_more_than_its_box(tmp_path):
    run = left_behind(tmp_path, members=1)
    assert (run / "member_0000.h5").stat().st_size < 60 * 90 * 8 + 20_000


def test_a_run_that_is_done_leaves_nothing(tmp_path):
    run = Recovery.begin(tmp_path, RECIPE, INPUTS)
    run.add(0, member())
    run.done()
    assert not os.listdir(tmp_path)
    run.done()


def test_a_run_that_goes_on_is_not_found_and_one_that_is_dropped_is(tmp_path):
    run = Recovery.begin(tmp_path, RECIPE, INPUTS)
    assert found(tmp_path) == []
    del run
    assert len(found(tmp_path)) == 1


SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_recovery import INPUTS, RECIPE, Recovery, member
run = Recovery.begin(Path({folder!r}), RECIPE, INPUTS)
run.add(0, member(0))
print("ready", flush=True)
time.sleep(60)
"""


def test_a_process_that_is_killed_leaves_its_members_and_a_living_one_keeps_them(tmp_path):
    script = textwrap.dedent(SCRIPT).format(tests=os.path.dirname(__file__), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        assert found(tmp_path) == []
        process.kill()
    [one] = found(tmp_path)
    same(one.load().members[0], member(0))
    one.discard()
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full's kin: a limit on file size")
def test_a_full_disk_is_said_and_costs_no_earlier_member(tmp_path):
    script = textwrap.dedent("""
        import resource, signal, sys
        from pathlib import Path
        sys.path.insert(0, {tests!r})
        from test_recovery import INPUTS, RECIPE, InputError, Recovery, member
        run = Recovery.begin(Path({folder!r}), RECIPE, INPUTS)
        run.add(0, member(0))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
        try:
            run.add(1, member(1))
        except InputError as error:
            print(error)
    """).format(tests=os.path.dirname(__file__), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert "grows larger" in done.stdout
    [one] = found(tmp_path)
    assert one.members_done == 1
    same(one.load().members[0], member(0))
    assert sorted(p.name for p in one.folder.iterdir()) == [
        "inputs.h5",
        "member_0000.h5",
        "recipe.toml",
        "running.lock",
    ]


def test_the_latest_run_comes_first(tmp_path):
    older, newer = left_behind(tmp_path, 1), left_behind(tmp_path, 1)
    past = time.time() - 3600
    for path in older.iterdir():
        os.utime(path, (past, past))
    assert [one.folder for one in found(tmp_path)] == [newer, older]
    assert (found(tmp_path)[0].when - found(tmp_path)[1].when).total_seconds() == pytest.approx(3600, abs=60)


@pytest.mark.parametrize(
    "harm",
    [
        lambda run: (run / "recipe.toml").unlink(),
        lambda run: (run / "recipe.toml").write_bytes(b"\xff\xfe"),
        lambda run: (run / "recipe.toml").write_text("[inputs"),
        lambda run: (run / "inputs.h5").unlink(),
        lambda run: (run / "inputs.h5").write_bytes(b"text"),
        lambda run: (run / "inputs.h5").write_bytes((run / "inputs.h5").read_bytes()[:-100]),
    ],
)
def test_a_damaged_run_is_reported_and_can_be_discarded(tmp_path, harm):
    harm(left_behind(tmp_path))
    left_behind(tmp_path)
    damaged = [one for one in found(tmp_path) if one.problem]
    assert len(found(tmp_path)) == 2 and len(damaged) == 1
    assert damaged[0].members_done == 2 and damaged[0].members_planned == 0
    if "TOML" not in damaged[0].problem:
        with pytest.raises(InputError):
            damaged[0].load()
    damaged[0].discard()
    assert [one.problem for one in found(tmp_path)] == [None]


def set_value(path, name, value):
    with h5py.File(path, "r+") as file:
        del file[f"entry_1/{name}"]
        file[f"entry_1/{name}"] = value


def flip(path):
    content = bytearray(path.read_bytes())
    data = member(0).estimate[100, 90:100].tobytes()
    content[content.index(data)] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:3000]),
        flip,
        lambda path: set_value(path, "shape", np.array([2**20, 2**20])),
        lambda path: set_value(path, "shape", np.array([64, 64])),
        lambda path: set_value(path, "origin", np.array([-1, 0])),
        lambda path: set_value(path, "estimate", np.full((4, 4), np.nan, np.complex64)),
        lambda path: set_value(path, "estimate", np.zeros((4, 4), np.float32)),
        lambda path: set_value(path, "r_history", np.zeros(3)),
        lambda path: set_value(path, "stage_ends/name", np.zeros(2)),
        lambda path: set_value(path, "r_factor", "text"),
    ],
)
def test_a_damaged_member_is_left_out_and_said(tmp_path, harm):
    harm(left_behind(tmp_path) / "member_0000.h5")
    [one] = found(tmp_path)
    with pytest.warns(QualityWarning, match="member 1 of the run left behind is lost"):
        members = one.load().members
    assert len(members) == 1
    same(members[0], member(1))


def test_other_things_in_the_folder_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "run-file").write_text("mine")
    (tmp_path / "run-starting").mkdir()
    assert found(tmp_path) == []
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "run-file", "run-starting"]
    os.utime(tmp_path / "run-starting", (1e9, 1e9))
    (tmp_path / "gone-0123").mkdir()
    assert found(tmp_path) == []
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "run-file"]


def test_without_a_folder_nothing_is_found(tmp_path):
    assert found(tmp_path / "none") == []


def test_where_nothing_can_be_written_it_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="NAPARI_SUBANGSTROM_CDI_DATA"):
        Recovery.begin(tmp_path / "file", RECIPE, INPUTS)
    run = Recovery.begin(tmp_path / "folder", RECIPE, INPUTS)
    shutil.rmtree(run.folder)
    with pytest.raises(InputError, match="does not exist"):
        run.add(0, member())
    run.done()


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SUBANGSTROM_CDI_DATA", str(tmp_path))
    assert default_folder() == tmp_path / "recovery"
    monkeypatch.delenv("NAPARI_SUBANGSTROM_CDI_DATA")
    assert default_folder().name == "recovery" and "napari-subangstrom-cdi" in str(default_folder())
    assert not any(tmp_path.iterdir())
