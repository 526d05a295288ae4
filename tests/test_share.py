"""What is copied from the window does the same job elsewhere: run for real, in a shell and in Python."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_subangstrom_cdi.cli import main as cli
from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.core.result import Result
from napari_subangstrom_cdi.io import Acquisition, read_acquisition
from napari_subangstrom_cdi.io.cxi import read_cxi, write_cxi
from napari_subangstrom_cdi.job.as_script import as_command, as_python, plan_that_repeats
from napari_subangstrom_cdi.job.pipeline import run
from napari_subangstrom_cdi.job.plan import Change, Inputs, Plan, preset_plan

SCHEDULE = (
    Stage("with image", 10, "hio", ("image", "real", "support")),
    Stage("refine", 20, "hio", ("real", "support")),
)


@pytest.fixture(scope="module")
def plan(small_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The small case with files whose names a shell could stumble over."""
    folder = tmp_path_factory.mktemp("share") / "it's a $HOME & more"
    folder.mkdir()
    names = {}
    for role, name in (("pattern", "particle.tif"), ("background", "background.tif"), ("image", "image.mrc")):
        names[role] = str(folder / f"my {name}")
        os.link(small_case / name, names[role])
    acquisition = read_acquisition(small_case / "acquisition.json")
    return preset_plan("paper", Inputs(**names), acquisition, EnsembleSettings(members=2, seed=3))


@pytest.fixture(scope="module")
def short(plan: Plan) -> Plan:
    """With a schedule of its own."""
    return own_schedule(plan)


@pytest.fixture(scope="module")
def short_result(short: Plan) -> Result:
    return run(short).reconstruction


@pytest.fixture(scope="module")
def steered(short: Plan) -> Plan:
    return replace(short, steering=(Change(0, 5, alpha=0.8), Change(1, 12, beta=0.5)))


@pytest.fixture(scope="module")
def steered_result(steered: Plan) -> Result:
    return run(steered).reconstruction


def own_schedule(plan: Plan) -> Plan:
    return replace(plan, retrieval=replace(plan.retrieval, preset="extend", schedule=SCHEDULE))


def run_in_shell(command: str, folder: Path) -> Path:
    folder.mkdir()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [result] = folder.glob("*.cxi")
    return result


def assert_same(found: Result, expected: Result) -> None:
    for name in ("object", "deviation", "support", "regions", "members", "r_history", "free_r_history"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert found.kept == expected.kept


def test_command_with_options_gives_the_same_arrays(plan, tmp_path):
    command = as_command(plan)
    assert "--recipe" not in command
    assert "--preset paper" in command and "--members 2" in command and "--seed 3" in command
    assert_same(read_cxi(run_in_shell(command, tmp_path / "shell")), run(plan).reconstruction)


def test_command_with_recipe_gives_the_same_arrays(steered, steered_result, short_result, tmp_path):
    assert not np.array_equal(steered_result.object, short_result.object)
    command = as_command(steered)
    assert command.startswith("cat > my_particle_recipe.toml")
    assert_same(read_cxi(run_in_shell(command, tmp_path / "shell")), steered_result)


def test_script_gives_the_same_arrays(short, short_result, tmp_path):
    folder = tmp_path / "python"
    folder.mkdir()
    done = subprocess.run([sys.executable, "-c", as_python(short)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "members averaged" in done.stdout
    [result] = folder.glob("*.cxi")
    assert_same(read_cxi(result), short_result)


def test_command_of_a_project_gives_the_same_arrays(short, short_result, tmp_path):
    project = tmp_path / "a project.cxi"
    write_cxi(project, short_result)
    command = as_command(short, project)
    assert f"'{project}'" in command and "cat" not in command
    assert_same(read_cxi(run_in_shell(command, tmp_path / "shell")), short_result)


def test_plan_that_repeats_a_steered_run(short, steered, steered_result):
    now = replace(short, regions=replace(short.regions, alpha=0.8))  # as the window has it after the change
    again = plan_that_repeats(now, steered_result)
    assert again.steering == steered.steering
    assert again.regions.alpha == short.regions.alpha
    assert again.inputs == short.inputs


def test_plan_that_repeats_a_stopped_run_asks_for_the_finished_members(short, short_result):
    asked = replace(short, ensemble=replace(short.ensemble, members=9))
    assert plan_that_repeats(asked, short_result) == short


def test_what_options_cannot_say_goes_into_a_recipe(plan):
    for other in (
        replace(plan, regions=replace(plan.regions, alpha=0.4)),
        replace(plan, pattern=replace(plan.pattern, beam_centre_px=(0.5, 1.0))),
        replace(plan, ensemble=replace(plan.ensemble, spread=0.3)),
        replace(plan, support=replace(plan.support, grow_angstrom=2.0)),
    ):
        assert "_recipe.toml" in as_command(other)


def test_frames_spacings_and_words_are_options(plan):
    inputs = replace(plan.inputs, background="fit", pattern_frame="sum", image_frame=-1)
    pattern = replace(plan.pattern, known_spacings=((223.5, 3.58),))
    command = as_command(replace(plan, inputs=inputs, pattern=pattern, acquisition=Acquisition()))
    for option in ("--background fit", "--pattern-frame=sum", "--image-frame=-1", "--spacing=223.5:3.58"):
        assert option in command
    assert "cat" not in command


@pytest.mark.parametrize("preset", ["extend", "model"])
def test_a_model_is_said_by_crystal_and_zone(plan, preset, tmp_path):
    ensemble = EnsembleSettings(members=2, seed=3)
    inputs = replace(plan.inputs, crystal="CdS-wurtzite")
    wanted = preset_plan(preset, inputs, plan.acquisition, ensemble)
    wanted = replace(wanted, model=replace(wanted.model, zone="-1 2 -1 0"))
    command = as_command(wanted)
    assert "--recipe" not in command and "--crystal CdS-wurtzite" in command and "'--zone=-1 2 -1 0'" in command
    (tmp_path / "my_particle_acquisition.json").write_text(json.dumps(plan.acquisition.to_dict()))
    words = shlex.split(
        command.partition("\nEND\n")[2].replace("\\\n", "").replace("--acquisition my", f"--acquisition {tmp_path}/my")
    )
    read = cli._plan(cli._parser().parse_args(words[1:]), tmp_path)
    assert read == wanted
    # what is set by hand goes into a recipe
    by_hand = replace(wanted, model=replace(wanted.model, tilt_deg=(0.5, 0.0)))
    assert "tilt_deg = [\n    0.5,\n    0.0,\n]" in as_command(by_hand)


def test_relative_paths_are_made_absolute(plan, monkeypatch):
    folder = Path(plan.inputs.pattern).parent
    monkeypatch.chdir(folder)
    relative = replace(plan, inputs=replace(plan.inputs, pattern="my particle.tif"))
    assert as_command(relative) == as_command(plan)
    assert as_python(relative) == as_python(plan)
