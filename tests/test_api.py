"""The front door: the same bits from files, arrays, steps and scripts; what is misspelt is said."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import tifffile

import napari_subangstrom_cdi as sacdi
from napari_subangstrom_cdi.cli.main import main
from napari_subangstrom_cdi.io.cxi import read_cxi
from napari_subangstrom_cdi.job.arguments import plan_of
from napari_subangstrom_cdi.job.as_script import as_python
from napari_subangstrom_cdi.job.pipeline import run
from napari_subangstrom_cdi.job.plan import Plan
from napari_subangstrom_cdi.job.readings import READINGS, text

RECORDS = Path(__file__).parent / "data" / "from_0_1_0"
SCHEDULE = (
    sacdi.Stage("with image", 4, "er", ("image", "real", "support")),
    sacdi.Stage("refine", 4, "hio", ("real", "support"), beta=0.7),
)
HEAVY = ("ase", "h5py", "matplotlib", "napari", "numpy", "pydantic", "qtpy", "scipy", "skimage", "tqdm")


def asked(**other: Any) -> dict[str, Any]:
    """Arguments of a short job with the small records."""
    return {**sacdi.sample_records(RECORDS), "members": 2, "schedule": SCHEDULE, "progress": False, **other}


def as_arrays() -> dict[str, np.ndarray]:
    paths = sacdi.sample_records(RECORDS)
    with mrcfile.open(paths["image"]) as file:
        image = np.array(file.data)
    return {"image": image, **{role: tifffile.imread(paths[role]) for role in ("pattern", "background")}}


def assert_same(found: Any, expected: Any) -> None:
    found, expected = (getattr(each, "result", each) for each in (found, expected))
    for name in ("object", "deviation", "support", "regions", "members", "r_history", "free_r_history"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.fixture(scope="module")
def done() -> sacdi.Reconstruction:
    return sacdi.reconstruct(**asked())


@pytest.fixture(scope="module")
def prepared() -> sacdi.Prepared:
    return sacdi.prepare(**asked())


def test_import_loads_nothing_heavy():
    script = f"import sys, napari_subangstrom_cdi; print(sorted(set(sys.modules) & {set(HEAVY)!r}))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_using_it_loads_no_window_and_no_matplotlib():
    script = (
        "import sys, napari_subangstrom_cdi as sacdi\n"
        "for name in sacdi.__all__: getattr(sacdi, name)\n"
        "print(sorted({'matplotlib', 'napari', 'qtpy', 'pyqtgraph'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_types_are_told_of_the_names_that_there_are():
    tree = ast.parse(Path(sacdi.__file__).read_text(encoding="utf-8"))
    [typed] = [node for node in tree.body if isinstance(node, ast.If)]
    told = {alias.asname for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert told == set(sacdi.__all__)


def test_a_reconstruction_says_what_it_is(done):
    n = done.result.grid.n
    assert done.object.shape == done.support.shape == (n, n)
    assert done.object.dtype == np.complex64 and done.support.any()
    assert done.pixel_angstrom == pytest.approx(1.042, abs=0.001)
    assert done.readings["members"] == 2 and "total" in done.readings["seconds"]
    assert done.plan.retrieval.schedule == SCHEDULE
    assert done.warnings == tuple(done.readings["warnings"]) and "agrees with the image" in done.warnings[0]
    text = repr(done)
    assert "\n" not in text and "2 of 2 members averaged" in text and "1 warning" in text


def test_a_notebook_shows_picture_and_numbers(done):
    html = done._repr_html_()
    assert 'src="data:image/png;base64,iVBOR' in html
    for key in ("r_factor", "free_r", "members"):
        reading = READINGS[key]
        assert reading.caption in html and text(reading, done.readings) in html
    assert "agrees with the image" in html


def test_arrays_give_the_same_bits_as_files(done):
    acquisition = json.loads(sacdi.sample_records(RECORDS)["acquisition"].read_text())
    assert_same(sacdi.reconstruct(**asked(**as_arrays(), acquisition=acquisition)), done)


def test_acquisition_is_a_file_a_mapping_or_an_object(tmp_path):
    file = sacdi.sample_records(RECORDS)["acquisition"]
    mapping = json.loads(file.read_text())
    forms = [file, str(file), mapping, sacdi.Acquisition.from_mapping(mapping)]
    plans = [plan_of({"pattern": "p.tif"}, tmp_path, acquisition=form) for form in forms]
    assert all(plan == plans[0] for plan in plans)
    assert plans[0].acquisition.energy_ev == 200e3
    assert plan_of({"pattern": "p.tif"}, tmp_path).acquisition == sacdi.Acquisition()


def test_settings_are_mappings_over_a_preset_or_objects(tmp_path):
    paper = plan_of({"pattern": "p.tif"}, tmp_path, preset="paper")
    sections = {"regions": {"alpha": 0.4}, "ensemble": {"spread": 0.1}, "image_settings": {"mirrored": None}}
    plan = plan_of({"pattern": "p.tif"}, tmp_path, preset="paper", members=3, sections=sections)
    assert plan == replace(
        paper,
        regions=replace(paper.regions, alpha=0.4),
        ensemble=replace(paper.ensemble, members=3, spread=0.1),
        image=replace(paper.image, mirrored=None),
    )
    whole = sacdi.SupportSettings(threshold=0.4)
    assert plan_of({"pattern": "p.tif"}, tmp_path, sections={"support_settings": whole}).support is whole


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"regoins": {}}, r"no argument 'regoins'; did you mean 'regions'\? There are pattern_settings, image_sett"),
        ({"nonsense": {}}, "no argument 'nonsense'; use pattern_settings, image_settings, support_settings, regions"),
        ({"regions": {"alhpa": 0.4}}, r"regions: there is no setting 'alhpa'; did you mean 'alpha'\? There are noise"),
        ({"regions": {"alpha": "much"}}, "regions: alpha: "),
        ({"regions": 0.4}, r"regions: takes a mapping or RegionSettings, not float; give it as regions=\{...\}"),
        ({"support": {"threshold": 0.4}}, r"support: is data: .*; give settings as support_settings=\{...\}"),
        ({"image": sacdi.ImageSettings()}, r"image: is data: .*; give settings as image_settings=\{...\}"),
        ({"image": np.zeros((4, 4), complex)}, "image: is no array of real numbers but of complex128"),
        ({"mask": None, "crystal": 3}, "crystal: is no name and no path"),
        ({"preset": "best", "schedule": None}, "unknown preset 'best'; use one of extend, paper, model"),
        ({"schedule": ["er"]}, "schedule: 'er' is no Stage"),
        ({"schedule": []}, "schedule: has no stages"),
        ({"members": 0}, r"ensemble\.members: Members = 0; give 1 or more"),
        ({"pattern": np.zeros(7)}, "pattern.npy: "),
    ],
)
def test_what_is_misspelt_or_impossible_is_said(wrong, said):
    with pytest.raises(sacdi.InputError, match=said):
        sacdi.prepare(**asked(**wrong))


def test_saved_read_and_repeated_by_the_command_line(tmp_path):
    first = sacdi.reconstruct(**asked(**as_arrays(), members=1, regions={"alpha": 0.4}))
    saved = first.save(tmp_path / "result.cxi")
    again = sacdi.read(saved)
    assert_same(again, first)
    assert again.plan == first.plan and again.warnings == first.warnings
    repeated = tmp_path / "repeated.cxi"
    assert main(["reconstruct", "--recipe", str(saved), "-o", str(repeated), "--no-report", "--quiet"]) == 0
    assert_same(read_cxi(repeated), first)
    assert_same(sacdi.repeat(saved, progress=False), first)


def test_results_are_saved_under_names_that_are_found_again(done, tmp_path):
    with pytest.raises(sacdi.InputError, match=r"result.tif does not end in .cxi"):
        done.save(tmp_path / "result.tif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["page", "page.png", "page.PDF"])
def test_figure_is_drawn_as_png_and_pdf(done, tmp_path, name):
    png, pdf = done.figure(tmp_path / name)
    assert (png, pdf) == (tmp_path / "page.png", tmp_path / "page.pdf")
    assert png.read_bytes().startswith(b"\x89PNG") and pdf.read_bytes().startswith(b"%PDF")


def test_prepared_once_and_phased_gives_the_same_bits(prepared, done):
    assert "schedule: with image 4, refine 4" in repr(prepared)
    assert prepared.readings["array_size"] == 256
    result = sacdi.phase(prepared, progress=False)
    assert_same(result, done)
    assert result.result.recipe == done.result.recipe


def test_phased_with_another_schedule_seed_and_number(prepared):
    schedule = [sacdi.Stage("complex", 3)]
    result = sacdi.phase(prepared, schedule, members=1, seed=7, progress=False)
    assert_same(result, sacdi.reconstruct(**asked(schedule=schedule, members=1, seed=7)))
    assert result.plan.retrieval.schedule == tuple(schedule) and result.plan.ensemble.seed == 7


def test_another_alpha_needs_no_new_preparation(prepared):
    result = sacdi.phase(prepared.with_alpha(0.6), members=1, progress=False)
    assert_same(result, sacdi.reconstruct(**asked(members=1, regions={"alpha": 0.6})))
    assert result.plan.regions.alpha == 0.6
    with pytest.raises(sacdi.InputError):
        prepared.with_alpha("much")


def test_a_function_watches_every_iteration_and_may_stop(prepared):
    seen = []

    def watch(member, snapshot):
        seen.append((member, snapshot.iteration, snapshot.estimate.shape))
        if member == 1:
            raise sacdi.Stop

    result = sacdi.phase(prepared, progress=watch)
    box = prepared.problem.box
    shape = (box[0].stop - box[0].start, box[1].stop - box[1].start)
    assert seen == [*((0, i, shape) for i in range(1, 9)), (1, 1, shape)]
    assert not result.result.complete and result.readings["members"] == 1
    assert any("stopped after 1 of 2" in said for said in result.warnings)


def test_an_interruption_keeps_the_finished_members(prepared):
    def interrupt(member, snapshot):
        if member == 1:
            raise KeyboardInterrupt

    assert sacdi.phase(prepared, progress=interrupt).readings["members"] == 1


def test_progress_is_shown_or_not(prepared, capsys):
    sacdi.phase(prepared, members=1, progress=True)
    shown = capsys.readouterr().err
    assert "8/8" in shown and "average ..." in shown
    sacdi.phase(prepared, members=1, progress=False)
    assert capsys.readouterr().err == ""


def test_iterating_is_what_a_member_does(prepared, done):
    loop = sacdi.iterate(prepared, member=1)
    snapshots = []
    while True:
        try:
            snapshots.append(next(loop))
        except StopIteration as stop:
            end = stop.value
            break
    assert [s.stage for s in snapshots] == ["with image"] * 4 + ["refine"] * 4
    np.testing.assert_array_equal(np.float32(end.r_history), done.result.r_history[1])
    last = np.zeros(prepared.problem.grid.shape, np.complex64)
    last[snapshots[-1].box] = snapshots[-1].estimate
    np.testing.assert_array_equal(last, end.estimate)


def test_iterating_a_problem_of_ones_own(prepared):
    problem = prepared.problem
    start = np.where(problem.support, 1, 0).astype(np.complex64)
    [first, second] = sacdi.iterate(problem, [sacdi.Stage("complex", 2)], start=start)
    assert (first.iteration, second.iteration) == (1, 2)
    with pytest.raises(sacdi.InputError, match="no iterations"):
        sacdi.iterate(problem)


def test_a_loop_is_steered(prepared):
    other = replace(prepared.problem, support=np.roll(prepared.problem.support, 2, 0))
    loop = sacdi.iterate(prepared, steer=lambda done: sacdi.InForce(other) if done == 2 else None)
    boxes = [snapshot.box for snapshot in loop]
    assert boxes[1] == prepared.problem.box and boxes[2] == other.box


def test_simulated_records_go_straight_in(tmp_path):
    microscope = {"detector_px": 256, "detector_pixel_um": 200.0, "image_px": 512, "wave": "kinematic"}
    records = sacdi.simulate({"diameter_angstrom": 40.0}, microscope, seed=3, folder=tmp_path / "set")
    assert records.pattern.shape == (256, 256)
    files = sacdi.sample_records(tmp_path / "set")
    assert json.loads(files["acquisition"].read_text()) == records.acquisition
    np.testing.assert_array_equal(tifffile.imread(files["pattern"]), records.pattern)
    prepared = sacdi.prepare(
        records.pattern, background=records.background, image=records.image, acquisition=records.acquisition,
        progress=False,
    )  # fmt: skip
    assert prepared.problem.support.any()
    with pytest.raises(sacdi.InputError, match="particle: there is no setting 'diameter'; did you mean 'diameter_an"):
        sacdi.simulate({"diameter": 40.0})


def test_records_that_are_not_there_are_said(tmp_path):
    with pytest.raises(sacdi.InputError, match=r"there is no particle\.tif, the pattern"):
        sacdi.sample_records(tmp_path)


def plan_of_script(script: str, monkeypatch: pytest.MonkeyPatch, scratch: Path) -> Plan:
    """The plan that a script's call asks for, without running it."""
    calls: list[Plan] = []

    class Called(Exception):
        pass

    def reconstruct(pattern: Any, **given: Any) -> None:
        roles = ("background", "image", "support", "mask", "crystal")
        data = {"pattern": pattern, "background": "fit"} | {role: given.pop(role) for role in roles if role in given}
        names = ("acquisition", "preset", "schedule", "members", "seed", "zone")
        own = {name: given.pop(name) for name in names if name in given}
        calls.append(plan_of(data, scratch, **own, sections=given))
        raise Called

    monkeypatch.setattr(sacdi, "reconstruct", reconstruct)
    with pytest.raises(Called):
        exec(compile(script, "script", "exec"), {})
    [plan] = calls
    return plan


def plans() -> list[Plan]:
    paths = {role: str(path) for role, path in sacdi.sample_records(RECORDS).items()}
    acquisition = sacdi.Acquisition(energy_ev=200e3, camera_length_mm=797.48, beam_centre_px=(1.5, -2.0), note='a "b"')
    data = {"pattern": paths["pattern"], "background": paths["background"], "image": paths["image"]}
    here = Path()
    made = [
        plan_of({"pattern": paths["pattern"]}, here),
        plan_of(data, here, acquisition=acquisition, preset="paper", members=2, seed=3),
        plan_of({**data, "crystal": "CdS-wurtzite"}, here, preset="model", zone="-1 2 -1 0", sections={
            "model": {"tilt_deg": (0.5, 0.0)}, "pattern_settings": {"known_spacings": ((223.5, 3.58),)},
        }),
        plan_of(data, here, preset="a name", schedule=SCHEDULE, sections={
            "steering": [sacdi.Change(0, 5, alpha=0.8), sacdi.Change(1, 0, support="x" * 300)],
            "image_settings": {"mirrored": None}, "regions": {"reading": "upper-limit", "excluded": "y" * 301},
            "ensemble": {"noise": 0.25}, "pattern_frame": "sum", "image_frame": -1,
        }),
    ]  # fmt: skip
    return [*made, replace(made[0], acquisition=replace(acquisition, energy_ev=200e3 + 1e-11 * 3))]


@pytest.mark.parametrize("plan", plans(), ids=["bare", "paper", "model", "by hand", "exact"])
def test_a_script_says_the_same_as_its_plan(plan, monkeypatch, tmp_path):
    script = as_python(plan)
    assert max(map(len, script.splitlines())) <= 120 + len(str(RECORDS))
    assert plan_of_script(script, monkeypatch, tmp_path) == plan


def test_a_script_says_only_what_differs():
    bare, paper, *_ = plans()
    call = ast.parse(as_python(bare)).body[2]
    assert isinstance(call, ast.Assign) and ast.unparse(call.value) == f"sacdi.reconstruct({bare.inputs.pattern!r})"
    text = as_python(paper)
    assert 'preset="paper"' in text and "alpha" not in text and "spread" not in text and "potential" not in text


def test_a_script_gives_the_same_bits(done, tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", as_python(done.plan)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "2 of 2 members averaged" in told.stdout and "warning: " in told.stdout
    assert_same(sacdi.read(tmp_path / "particle_result.cxi"), done)
    assert_same(run(done.plan).reconstruction, done)
