"""The command line: the whole job on the bundled sample in a subprocess, as a user runs it, and bad input.

What needs the sample's resolution runs on it; everything else on the small case. Bad input goes to the same ``main``
in this process, which saves the seconds of an import each time.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.build
import ase.io
import h5py
import mrcfile
import numpy as np
import pytest
import tifffile

from napari_subangstrom_cdi.cli.main import main
from napari_subangstrom_cdi.core.crystal.unit_cell import crystal as read_crystal
from napari_subangstrom_cdi.core.ensemble.superposition import align
from napari_subangstrom_cdi.core.record import calibration
from napari_subangstrom_cdi.io.cxi import read_cxi
from napari_subangstrom_cdi.job.pipeline import load_plan

from .results import undeclared
from .scoring import score

SAMPLE = Path(__file__).parents[1] / "src" / "napari_subangstrom_cdi" / "simulation" / "sample"
TRUTH = Path(__file__).parent / "data" / "platelet"


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "napari_subangstrom_cdi", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def here(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The same command in this process."""
    words = list(map(str, arguments))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as end:  # of argparse
            code = int(end.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def sample_arguments(folder: Path = SAMPLE, **other: object) -> list[object]:
    """Options that name the sample's records, or those of another folder, some of them replaced or left out."""
    given = {
        "pattern": folder / "particle.tif",
        "background": folder / "background.tif",
        "image": folder / "image.mrc",
        "acquisition": folder / "acquisition.json",
    } | other
    return [word for name, value in given.items() if value is not None for word in (f"--{name}", value)]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], Path]:
    folder = tmp_path_factory.mktemp("sample")
    out = folder / "out.cxi"
    done = command("reconstruct", *sample_arguments(), "-o", out, "--members", 2, "--json")
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout), folder


@pytest.fixture(scope="module")
def small_result(small_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("small") / "out.cxi"
    done = here("reconstruct", *sample_arguments(small_case), "-o", out, "--members", 2, "--no-report", "--quiet")
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def truth() -> np.ndarray:
    stored = np.load(TRUTH / "truth.npz")["object"]
    full = np.zeros((1024, 1024), np.complex64)
    full[256:768, 256:768] = stored
    return full


def test_sample_is_recovered_to_its_full_resolution(result, truth) -> None:
    reconstruction = read_cxi(result[0])
    scored = score(reconstruction.object, reconstruction.grid.pixel_angstrom, truth, 400 / 1024)
    assert scored.correlation >= 0.95
    assert scored.resolution_angstrom is not None
    assert scored.resolution_angstrom <= 0.875


def test_registration_finds_what_the_simulation_did(result) -> None:
    numbers, answer = result[1], json.loads((TRUTH / "answer.json").read_text())
    assert numbers["beam_centre_px"] == pytest.approx(answer["ctr"], abs=0.2)
    assert numbers["background"]["shift_px"] == pytest.approx(answer["bshift"], abs=0.15)
    assert numbers["background"]["rotation_deg"] == pytest.approx(answer["brot"], abs=0.05)
    assert numbers["background"]["scale"] == pytest.approx(1 / 0.97, rel=0.01)
    assert numbers["registration"]["rotation_deg"] == pytest.approx(answer["phi"], abs=0.3)
    assert numbers["registration"]["image_pixel_angstrom"] == pytest.approx(0.36 * answer["mag"], rel=0.005)


def test_result_has_the_layout_promised(result) -> None:
    out, numbers, folder = result
    with h5py.File(out) as file:
        image = file["entry_1/image_1"]
        assert image["data"].dtype == np.complex64
        assert image["data"].shape == (1024, 1024)
        pixel = float(image["x_pixel_size"][()])
        assert pixel == pytest.approx(0.390625e-10, rel=1e-3)
        assert float(image["y_pixel_size"][()]) == pixel
    assert {"r_factor", "free_r", "image_agreement", "imaginary_over_real", "seconds", "warnings"} <= numbers.keys()
    assert numbers["interaction_constant_rad_per_volt_angstrom"] == pytest.approx(7.288e-4, rel=1e-3)
    assert {"read", "background", "phase retrieval", "report"} <= numbers["seconds"].keys()
    assert (folder / "out.png").stat().st_size > 50_000
    assert (folder / "out.pdf").read_bytes().startswith(b"%PDF")


def test_result_alone_repeats_the_run_bit_for_bit(small_result, small_case, tmp_path) -> None:
    """The raw files are those in the result: the paths of its recipe lead nowhere."""
    moved = tmp_path / "alone.cxi"
    shutil.copy(small_result, moved)
    with h5py.File(moved, "r+") as file:
        recipe = file["entry_1/process_1/recipe"].asstr()[()].replace(str(small_case), "/nowhere")
        del file["entry_1/process_1/recipe"]
        file["entry_1/process_1/recipe"] = recipe
    again = tmp_path / "again.cxi"
    done = command("reconstruct", "--recipe", moved, "-o", again, "--no-report", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = read_cxi(small_result), read_cxi(again)
    np.testing.assert_array_equal(first.object, second.object)
    np.testing.assert_array_equal(first.members, second.members)


def test_recipe_file_repeats_the_run_too(small_result, tmp_path) -> None:
    recipe = tmp_path / "recipe.toml"
    assert here("analyse", small_result, "--recipe", recipe).returncode == 0
    again = tmp_path / "again.cxi"
    done = here("reconstruct", "--recipe", recipe, "--members", 1, "-o", again, "--no-report", "--quiet")
    assert done.returncode == 0, done.stderr
    once, twice = read_cxi(again), read_cxi(small_result)
    assert len(once.members) == 1
    np.testing.assert_array_equal(once.r_history[0], twice.r_history[0])


def test_interruption_keeps_finished_members(small_case, tmp_path) -> None:
    out = tmp_path / "out.cxi"
    with subprocess.Popen(
        [sys.executable, "-m", "napari_subangstrom_cdi", "reconstruct", *map(str, sample_arguments(small_case)),
         "-o", str(out), "--members", "500", "--no-report"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        seen = ""
        began = time.monotonic()
        while not re.search(r"member ([2-9]|\d{2,})/500", seen) and time.monotonic() - began < 300:
            seen += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "finished members are kept" in errors
    assert "stopped after" in errors
    reconstruction = read_cxi(out)
    assert not reconstruction.complete
    assert 1 <= len(reconstruction.members) < 500
    assert np.isfinite(reconstruction.object).all()
    assert "averaged" in said


def test_interruption_before_the_first_member_writes_nothing(tmp_path) -> None:
    out = tmp_path / "out.cxi"
    with subprocess.Popen(
        [sys.executable, "-m", "napari_subangstrom_cdi", "reconstruct", *map(str, sample_arguments()),
         "-o", str(out)], stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert "read" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def refused(tmp_path: Path, *arguments: object, **options: object) -> str:
    """Run a job that must be refused, in this process unless it needs options of its own; what it said."""
    words = ["reconstruct", *arguments, "-o", tmp_path / "refused.cxi", "--members", 1, "--quiet"]
    done = command(*words, **options) if options else here(*words)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if not line.startswith("warning:")]
    assert len(said) == 1, done.stderr
    assert not list(tmp_path.glob("refused*"))
    return said[0]


def with_acquisition(tmp_path: Path, folder: Path = SAMPLE, **changes: object) -> Path:
    values = json.loads((folder / "acquisition.json").read_text()) | changes
    path = tmp_path / "acquisition.json"
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
    return path


def record_with(tmp_path: Path, folder: Path, change) -> Path:
    counts = change(tifffile.imread(folder / "particle.tif"))
    path = tmp_path / "changed.tif"
    tifffile.imwrite(path, counts)
    return path


def test_missing_file(tmp_path) -> None:
    said = refused(tmp_path, *sample_arguments(pattern=tmp_path / "nowhere.tif"))
    assert "nowhere.tif" in said


def test_unreadable_file(tmp_path) -> None:
    path = tmp_path / "folder.tif"
    path.mkdir()
    assert "folder.tif" in refused(tmp_path, *sample_arguments(pattern=path))


@pytest.mark.parametrize("name", ["particle.tif", "image.mrc"])
def test_truncated_file(tmp_path, name) -> None:
    path = tmp_path / name
    content = (SAMPLE / name).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    role = "pattern" if name.endswith("tif") else "image"
    assert name in refused(tmp_path, *sample_arguments(**{role: path}))


def test_truncated_hdf5(tmp_path) -> None:
    path = tmp_path / "particle.h5"
    with h5py.File(path, "w") as file:
        file["data"] = tifffile.imread(SAMPLE / "particle.tif")
    path.write_bytes(path.read_bytes()[:100_000])
    assert "particle.h5" in refused(tmp_path, *sample_arguments(pattern=path))


def test_text_named_tif(tmp_path) -> None:
    path = tmp_path / "notes.tif"
    path.write_text("dear diary, the lens gave out today")
    assert "text" in refused(tmp_path, *sample_arguments(pattern=path))


def test_stack_where_an_image_belongs(tmp_path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.ones((3, 64, 64), np.uint16), photometric="minisblack")
    said = refused(tmp_path, *sample_arguments(pattern=path))
    assert "3" in said
    assert "sum" in said


def test_shapes_that_disagree(tmp_path) -> None:
    said = refused(tmp_path, *sample_arguments(background=record_with(tmp_path, SAMPLE, lambda a: a[:1024, :1024])))
    assert "(1024, 1024)" in said
    assert "(2048, 2048)" in said


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda a: np.zeros_like(a), "zero"),
        (lambda a: np.full_like(a, 7), "constant"),
        (lambda a: a.astype(np.float32) - 270, "negative"),
        (lambda a: np.random.default_rng(0).poisson(270, a.shape).astype(np.uint16), "spots"),
    ],
)
def test_records_with_nothing_to_phase(small_case, tmp_path, change, word) -> None:
    pattern = record_with(tmp_path, small_case, change)
    assert word in refused(tmp_path, *sample_arguments(small_case, pattern=pattern))


def test_a_record_whose_spots_are_cut_out(tmp_path, truth) -> None:
    """NaN is for what the detector masks, so it is only doubted; what is left of each spot tells enough."""
    pattern = record_with(tmp_path, SAMPLE, lambda a: np.where(a > 200, np.nan, a.astype(np.float32)))
    out = tmp_path / "out.cxi"
    done = here("reconstruct", *sample_arguments(pattern=pattern), "--members", 1, "-o", out, "--no-report", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "strong spots may have been cut out" in done.stderr
    found = read_cxi(out)
    assert score(found.object, found.grid.pixel_angstrom, truth, 400 / 1024).correlation > 0.93


@pytest.mark.parametrize(("change", "word"), [(np.zeros_like, "zero"), (lambda a: np.full_like(a, 7), "constant")])
def test_background_records_with_nothing_in_them(small_case, tmp_path, change, word) -> None:
    background = record_with(tmp_path, small_case, change)
    said = refused(tmp_path, *sample_arguments(small_case, background=background))
    assert word in said
    assert "changed.tif" in said


def test_the_same_record_twice(small_case, tmp_path) -> None:
    refused(tmp_path, *sample_arguments(small_case, background=small_case / "particle.tif"))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_image_of_nothing(tmp_path, value) -> None:
    path = tmp_path / "image.npy"
    np.save(path, np.full((256, 256), value, np.float32))
    assert "image.npy" in refused(tmp_path, *sample_arguments(image=path))


def test_output_that_is_an_input(tmp_path) -> None:
    path = tmp_path / "record.h5"
    with h5py.File(path, "w") as file:
        file["data"] = tifffile.imread(SAMPLE / "particle.tif")
    before = path.read_bytes()
    done = here("reconstruct", *sample_arguments(pattern=path), "-o", path)
    assert done.returncode == 2
    assert "--pattern" in done.stderr
    assert path.read_bytes() == before


def test_recipe_is_not_written_over_its_result(small_result) -> None:
    before = small_result.read_bytes()
    assert here("analyse", small_result, "--recipe", small_result).returncode == 2
    assert small_result.read_bytes() == before


@pytest.mark.parametrize(
    "words", [["--workers", "-1"], ["--members", "0"], ["--seed", "-1"], ["--spacing", "3"], ["--preset", "magic"]]
)
def test_impossible_options(tmp_path, words) -> None:
    done = here("reconstruct", *sample_arguments(), "-o", tmp_path / "out.cxi", *words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_had_enough_is_no_error(small_result) -> None:
    """As of ``analyse … | head -1``: the pipe is closed before anything is written."""
    words = [sys.executable, "-m", "napari_subangstrom_cdi", "analyse", str(small_result)]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 141 and not done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--crystal"),
        (["--crystal", "CdS-wurtzite"], "--zone"),
        (["--calibrate-by-crystal", "--preset", "extend"], "--crystal"),
        (["--crystal", "CdS", "--zone", "0 0 1"], "CdS-wurtzite or CdS-zincblende"),
        (["--crystal", "none.cif", "--zone", "0 0 1"], "none.cif"),
        (["--crystal", "CdS-wurtzite", "--zone", "1 1 1 0"], "do not add up"),
    ],
)
def test_a_model_needs_a_crystal_and_a_zone(tmp_path, small_case, words, said) -> None:
    inputs = sample_arguments(small_case)
    done = here("reconstruct", *inputs, "--preset", "model", *words, "-o", tmp_path / "out.cxi", "--quiet")
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_model_starts_the_phases_and_its_result_holds_the_crystal(tmp_path, small_case) -> None:
    """The small case is a thin particle at low resolution: its tilt, which is 0, is hardly determined."""
    out = tmp_path / "out.cxi"
    cif = tmp_path / "CdS.cif"
    ase.io.write(cif, ase.build.bulk("CdS", "wurtzite", a=4.1367, c=6.7161, u=0.377))
    crystal = ["--crystal", cif, "--zone", "0 0 0 1"]
    usual = ["--members", 1, "--no-report", "--quiet"]
    done = here("reconstruct", *sample_arguments(small_case), "--preset", "model", *crystal, *usual, "-o", out)
    assert done.returncode == 0, done.stderr
    first = read_cxi(out)
    model = first.metrics["model"]
    assert np.hypot(*model["tilt_deg"]) < 2 * model["tilt_error_deg"] + 0.1
    assert model["lattice_scale"] == pytest.approx(1, abs=0.01)
    assert first.metrics["image_agreement"] > 0.9
    assert model["zones"][0]["zone"] == [0, 0, 1] and model["zones"][0]["score"] > 0.7
    assert "boundary" not in model and model["polymorph"] is None  # zinc blende has no such lattice
    assert not undeclared(first.metrics)
    guard = first.metrics["guard"]
    assert len(guard["omit_correlations"]) == 6 and min(guard["omit_correlations"]) > 0.7
    assert guard["image_likeness"] > 0.9 and guard["without_model"]["image_likeness"] > 0.75
    assert guard["without_model"]["members"] == 3 and guard["without_model"]["correlation"] > 0.7
    assert first.omit_map.shape == first.object.shape and np.any(first.omit_map[first.support])
    assert {"omit", "unaided"} <= set(first.curves)
    cif.unlink()  # a copy is in the result
    plan = load_plan(out, tmp_path)
    assert plan.model.use and plan.model.zone == "0 0 0 1" and tmp_path in Path(plan.inputs.crystal).parents
    np.testing.assert_allclose(read_crystal(plan.inputs.crystal).cell_angstrom[0, 0], 4.1367)


def test_a_wrong_camera_length_is_mended_by_the_crystal(small_case, tmp_path) -> None:
    """Lengths come out as they were, whatever the microscope told; members start from the image here."""
    stated = json.loads((small_case / "acquisition.json").read_text())["camera_length_mm"]
    usual = ["--members", 1, "--no-report", "--quiet"]
    crystal = ["--crystal", "CdS-wurtzite", "--zone", "0 0 0 1", "--calibrate-by-crystal"]
    pixels, said = [], []
    for factor in (1.0, 1.03):
        acquisition = with_acquisition(tmp_path, small_case, camera_length_mm=factor * stated)
        out = tmp_path / f"{factor}.cxi"
        done = here("reconstruct", *sample_arguments(small_case, acquisition=acquisition), *crystal, *usual, "-o", out)
        assert done.returncode == 0, done.stderr
        result = read_cxi(out)
        assert result.metrics["calibration"] == "known spacings"
        assert load_plan(out, tmp_path).pattern.known_spacings
        pixels.append(result.metrics["reciprocal_pixel_per_angstrom"])
        said.append("changes all spacings" in done.stderr)
    q_pixel = calibration.q_pixel_from_camera_length(
        stated, detector_pixel_um=json.loads(acquisition.read_text())["detector_pixel_um"], energy_ev=200e3
    )
    assert pixels == pytest.approx([q_pixel] * 2, rel=2e-3) and pixels[0] == pytest.approx(pixels[1], rel=2e-4)
    assert said == [False, True]


def test_a_wrong_rotation_is_asked_about(small_case, tmp_path) -> None:
    """The lattice repeats every 60°, so a rotation wrong by 30° has no match near it; a mirror cannot be told here."""
    acquisition = with_acquisition(tmp_path, small_case, image_to_pattern_rotation_deg=41.0)
    inputs = sample_arguments(small_case, acquisition=acquisition)
    done = here("reconstruct", *inputs, "--members", 1, "-o", tmp_path / "out.cxi", "--no-report", "--quiet")
    assert done.returncode == 2
    true = json.loads((TRUTH / "answer.json").read_text())["phi"]
    _, mend = done.stderr.split("say which it is:")
    as_stated, mirrored = (float(text) for text in re.findall(r"image_to_pattern_rotation_deg (-?[\d.]+)", mend))
    assert (as_stated - true + 30) % 60 - 30 == pytest.approx(0, abs=0.3)
    assert mirrored != as_stated and "with --mirrored" in mend
    assert not (tmp_path / "out.cxi").exists()


def test_image_without_a_particle(tmp_path) -> None:
    path = tmp_path / "empty.mrc"
    with mrcfile.new(path) as file:
        file.set_data(np.random.default_rng(0).poisson(200, (1024, 1024)).astype(np.uint16))
        file.voxel_size = 0.36
    assert "no particle" in refused(tmp_path, *sample_arguments(image=path))


def test_image_and_pattern_of_incompatible_fields(small_case, tmp_path) -> None:
    acquisition = with_acquisition(tmp_path, small_case, image_pixel_nominal_A=7.2)
    said = refused(tmp_path, *sample_arguments(small_case, acquisition=acquisition))
    assert "field of view" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"camera_length_mm": None}, ["camera_length_mm", "reciprocal_pixel_per_A"]),
        ({"defocus_nm": None}, ["defocus_nm"]),
        ({"beam_energy_kV": None, "beam_energy_eV": 200}, ["200", "kV"]),
        ({"beam_energy_kV": 200_000}, ["200000", "eV"]),
        ({"camera_length_mm": "80 cm"}, ["camera_length_mm", "80 cm"]),
        ({"cs_mm": float("nan")}, ["cs_mm"]),
    ],
)
def test_missing_or_absurd_acquisition(tmp_path, changes, words) -> None:
    said = refused(tmp_path, *sample_arguments(acquisition=with_acquisition(tmp_path, **changes)))
    for word in words:
        assert word in said


def test_doubts_of_the_acquisition_are_said_when_the_run_ends_in_an_error(tmp_path) -> None:
    known = with_acquisition(tmp_path, camera_length_mm=None, camera_length_cm=79.748)
    done = here("reconstruct", *sample_arguments(acquisition=known), "-o", tmp_path / "out.cxi")
    assert done.returncode == 2 and "lacks camera_length_mm" in done.stderr
    assert "unknown key 'camera_length_cm'; did you mean camera_length_mm?" in done.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_name_that_the_terminal_cannot_show_is_no_error(small_result, tmp_path, encoding) -> None:
    output = tmp_path / "粒子.cxi"
    shutil.copy(small_result, output)
    done = command("analyse", output, env={**os.environ, "PYTHONIOENCODING": encoding}, encoding=encoding)
    assert done.returncode == 0 and "\\u7c92\\u5b50.cxi" in done.stdout and not done.stderr


def test_the_pixel_of_the_image_is_taken_from_its_header(small_case, tmp_path) -> None:
    """And with it the same bits as if it had been stated; the recipe of the result does not state it."""
    known = with_acquisition(tmp_path, small_case, image_pixel_nominal_A=None)
    results = []
    for k, acquisition in enumerate((known, small_case / "acquisition.json")):
        out = tmp_path / f"{k}.cxi"
        words = [*sample_arguments(small_case, acquisition=acquisition), "-o", out, "--members", 1]
        done = here("reconstruct", *words, "--no-report", "--json")
        assert done.returncode == 0, done.stderr
        results.append((read_cxi(out), json.loads(done.stdout), load_plan(out, tmp_path)))
    (taken, numbers, plan), (stated, as_stated, _) = results
    np.testing.assert_array_equal(taken.object, stated.object)
    assert plan.acquisition.image_pixel_angstrom is None
    assert numbers["acquisition"] == as_stated["acquisition"]
    assert numbers["acquisition_from"]["image_pixel_nominal_A"].startswith("image.mrc: cell / sampling = 0.72")
    assert as_stated["acquisition_from"]["image_pixel_nominal_A"] == "stated in the acquisition"


def test_output_folder_that_is_missing(tmp_path) -> None:
    done = here("reconstruct", *sample_arguments(), "-o", tmp_path / "nowhere" / "out.cxi")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_disk_that_fills_up(small_case, tmp_path) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    said = refused(tmp_path, *sample_arguments(small_case), "--no-report", preexec_fn=small_files)
    assert "refused.cxi" in said


def test_header_that_claims_terabytes(tmp_path) -> None:
    path = tmp_path / "huge.npy"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    header = header.ljust(118) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert "huge.npy" in refused(tmp_path, *sample_arguments(pattern=path))


def test_neither_image_nor_support(tmp_path) -> None:
    assert "--support" in refused(tmp_path, *sample_arguments(image=None))


def test_no_pattern(tmp_path) -> None:
    assert "--pattern" in refused(tmp_path)


def test_recipe_with_a_misspelt_key(tmp_path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[inputs]\npattern = "a.tif"\n[regions]\nalfa = 0.3\n')
    assert "alfa" in refused(tmp_path, "--recipe", path)


def test_help_explains_every_command() -> None:
    said = here("--help").stdout
    for name in ("reconstruct", "demo", "analyse", "bench", "gui"):
        assert name in said
        helped = here(name, "--help")
        assert helped.returncode == 0 and f"{name} [-h]" in helped.stdout


def test_pattern_alone_with_a_support(tmp_path) -> None:
    """A pattern without calibration, image or background, phased from its support, letters and all."""
    rng = np.random.default_rng(5)
    n = 128
    truth = np.zeros((n, n), np.complex64)
    support = np.zeros((n, n), np.uint8)
    support[48:80, 44:88] = 1
    support[48:60, 70:88] = 0
    truth[50:78, 48:52] = truth[50:54, 52:66] = truth[62:66, 52:62] = 1
    truth[66:78, 72:84] = rng.random((12, 12))
    counts = np.abs(np.fft.fftshift(np.fft.fft2(truth))) ** 2
    tifffile.imwrite(tmp_path / "pattern.tif", rng.poisson(counts * 50).astype(np.float32))
    tifffile.imwrite(tmp_path / "support.tif", support)
    out = tmp_path / "out.cxi"
    done = here(
        "reconstruct", "--pattern", tmp_path / "pattern.tif", "--background", "none", "--support",
        tmp_path / "support.tif", "--members", 3, "-o", out, "--no-report", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = read_cxi(out)
    assert not found.calibrated and not undeclared(found.metrics)
    assert align(found.object, truth, 1.0, allow_twin=True)[1].correlation > 0.95


def test_known_spacings_replace_the_camera_length(small_case, tmp_path) -> None:
    """Two reflections of the platelet, {10-10} and {11-20} of wurtzite CdS, at the simulated camera length."""
    acquisition = with_acquisition(tmp_path, small_case, camera_length_mm=None)
    field_of_view = 800 / 3  # Å, of the small case
    spacings = [word for d in (3.5819, 2.068) for word in ("--spacing", f"{field_of_view / d:.3f}:{d}")]
    inputs, out = sample_arguments(small_case, acquisition=acquisition), tmp_path / "out.cxi"
    without = ("--ellipse", "off", "--no-beam-stop")
    done = here("reconstruct", *inputs, *spacings, *without, "--members", 1, "-o", out, "--no-report", "--json")
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout)
    assert numbers["geometry"] == {"undone": False, "pixel_ratio_percent": 0.0}, "the ellipse was not looked for"
    assert "find_beam_stop = false" in read_cxi(out).recipe
    assert numbers["calibration"] == "known spacings"
    assert numbers["reciprocal_pixel_per_angstrom"] == pytest.approx(1 / field_of_view, rel=1e-4)
    assert 0 < numbers["reciprocal_pixel_error_per_angstrom"] < 1e-6


def test_no_background_record(tmp_path, truth) -> None:
    """A fitted background leaves the substrate's spots in: warned of, and the particle still comes out."""
    out = tmp_path / "out.cxi"
    done = command(
        "reconstruct", *sample_arguments(background=None), "--members", 1, "-o", out, "--no-report", "--quiet"
    )
    assert done.returncode == 0, done.stderr
    assert "no background record" in done.stderr
    found = read_cxi(out)
    scored = score(found.object, found.grid.pixel_angstrom, truth, 400 / 1024)
    assert scored.correlation > 0.8


def test_runs_without_a_display_or_qt() -> None:
    script = (
        "import sys, napari_subangstrom_cdi.cli.main; print([m for m in sys.modules if 'Qt' in m or m == 'napari'])"
    )
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert said.stdout.strip() == "[]"
