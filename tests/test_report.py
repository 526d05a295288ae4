from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage as ndi
from matplotlib.image import imread

from napari_subangstrom_cdi.core.ensemble import metrics
from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings, combine, iterate_ensemble
from napari_subangstrom_cdi.core.fourier import transform
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import amplitude_band, find_regions
from napari_subangstrom_cdi.core.phasing.retrieval import Problem
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.core.result import Result
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io.cxi import write_cxi
from napari_subangstrom_cdi.job.report import most_real, stem_beside, write_report

N = 128
SIZE = (1350, 2400)
# Left, top, right, bottom of panels in the picture, as fractions of its width and height.
POTENTIAL = (0.03, 0.72, 0.16, 0.94)
DEVIATION = (0.845, 0.50, 0.943, 0.67)
HERO = (0.23, 0.17, 0.51, 0.67)
BANNER = (0.40, 0.04, 0.60, 0.12)


def crystal(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """A disc of atoms on a square lattice, and the disc."""
    i = grid.index() * grid.pixel_angstrom
    y, x = i[:, None], i[None, :]
    disc = np.hypot(y, x) < 0.2 * grid.field_of_view_angstrom
    atoms = np.exp(6 * (np.cos(2 * np.pi * x / 2.4) * np.cos(2 * np.pi * y / 2.4) - 1))
    return (0.8 * disc * atoms).astype(np.float32), disc


def reconstruct(*, members: int = 3, with_image: bool = True) -> Result:
    grid = Grid(N, 50.0)
    density, support = crystal(grid)
    rng = np.random.default_rng(1)
    electrons = rng.poisson(np.abs(transform(density.astype(np.complex64))) ** 2 * 50).astype(np.float32)
    valid = grid.radius_px() > 3
    noise = np.full(grid.shape, 2.0, np.float32)
    regions = find_regions(electrons, noise, valid)
    pattern = np.where(valid, electrons, 0).astype(np.float32)
    band = amplitude_band(pattern / 50, noise / 50, regions)
    blurred = ndi.gaussian_filter(density, 1.5).astype(np.float32)
    image = {"image": blurred, "image_transfer": lambda q: (q < 0.5).astype(np.float32)} if with_image else {}
    problem = Problem(grid, np.sqrt(pattern / 50), band, regions, support, **image)
    settings = EnsembleSettings(members=members, seed=3)
    schedule = (Stage("real", 12, "hio", ("real", "support")), Stage("complex", 6))
    steps = iterate_ensemble(problem, schedule, settings)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            runs = stop.value
            break
    ensemble = combine(problem, runs, settings)
    curves = {"prtf": metrics.transfer_function(ensemble.members, problem.measured, regions, grid, ensemble.box)}
    halves = metrics.split_half_correlation(ensemble.members, grid, ensemble.box)
    if halves is not None:
        curves["frc"] = halves
    return Result(
        grid=grid,
        calibrated=True,
        object=ensemble.mean,
        deviation=ensemble.deviation,
        support=support,
        regions=regions,
        pattern=pattern,
        members=ensemble.members,
        members_origin=(ensemble.box[0].start, ensemble.box[1].start),
        kept=ensemble.kept,
        r_history=np.array([run.r_history for run in runs], np.float32),
        free_r_history=np.array([run.free_r_history for run in runs], np.float32),
        stage_ends=runs[0].stage_ends,
        potential=problem.image,
        curves=curves,
        metrics={
            "r_factor": runs[0].r_factor,
            "free_r": runs[0].free_r,
            "image_agreement": runs[0].image_agreement,
            "imaginary_over_real": metrics.imaginary_over_real(ensemble.mean, support),
            "resolution_angstrom": 1.1,
            "resolution_criterion": "PRTF above 1/e",
            "registration": {"rotation_deg": -58.31, "image_pixel_angstrom": 0.366},
            "beam_centre_px": [1.25, -3.5],
            "seconds": {"total": 12.0},
        },
        recipe="[acquisition]\ninformation_limit_per_A = 0.5\n",
        version="1.2.3",
    )


@pytest.fixture(scope="module")
def result() -> Result:
    return reconstruct()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("picture")


@pytest.fixture(scope="module")
def picture(result: Result, folder: Path) -> np.ndarray:
    return pixels(result, folder)


def pixels(result: Result, folder: Path) -> np.ndarray:
    """Write a report and return the decoded PNG, once both files are sound."""
    png, pdf = write_report(result, folder / "case.1")
    assert (png, pdf) == (folder / "case.1.png", folder / "case.1.pdf")
    assert sorted(folder.iterdir()) == [pdf, png]
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF")
    image = imread(png)[..., :3]
    assert image.shape[:2] == SIZE
    return image


def part(image: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    height, width = image.shape[:2]
    left, top, right, bottom = box
    return image[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]


def spread(image: np.ndarray, box: tuple[float, float, float, float]) -> float:
    """Standard deviation of the brightness in a part of the picture."""
    return float(part(image, box).mean(axis=2).std())


def test_the_page_is_wide_and_its_panels_are_filled(picture: np.ndarray) -> None:
    for box in (POTENTIAL, DEVIATION, HERO):
        assert spread(picture, box) > 0.08
    assert spread(picture, BANNER) == 0


def test_the_atoms_stand_where_the_object_has_them_whatever_its_global_phase(result: Result, tmp_path: Path) -> None:
    upper = np.arange(N)[:, None] < N // 2
    halved = np.where(upper, result.object, 0) * np.exp(2.1j)
    hero = part(pixels(replace(result, object=halved.astype(np.complex64)), tmp_path), HERO).mean(axis=2)
    rows = len(hero)
    assert hero[int(0.15 * rows) : int(0.45 * rows)].std() > 5 * hero[int(0.72 * rows) : int(0.8 * rows)].std()


def test_most_real_turns_a_real_object_positive() -> None:
    density, disc = crystal(Grid(N, 50.0))
    for angle in (0.4, 1.9, np.pi, -2.5):
        turned = most_real((density * np.exp(1j * angle)).astype(np.complex64), disc)
        np.testing.assert_allclose(turned, density, atol=1e-5)


def test_without_an_image(picture: np.ndarray, tmp_path: Path) -> None:
    image = pixels(reconstruct(with_image=False), tmp_path)
    assert spread(image, POTENTIAL) < 0.09 < spread(picture, POTENTIAL)  # text only
    assert spread(image, HERO) > 0.08


def test_a_run_stopped_after_one_member(tmp_path: Path) -> None:
    one = replace(reconstruct(members=1), complete=False)
    assert "frc" not in one.curves
    image = pixels(one, tmp_path)
    assert spread(image, BANNER) > 0.1  # it says so
    assert spread(image, DEVIATION) < 0.09  # text only
    assert spread(image, HERO) > 0.08


def test_uncalibrated_and_with_hardly_any_numbers(result: Result, tmp_path: Path) -> None:
    bare = replace(
        result,
        grid=Grid(N, float(N)),
        calibrated=False,
        potential=None,
        curves={},
        metrics={"r_factor": float("nan"), "registration": None, "beam_centre_px": None, "seconds": "?"},
        recipe="= no TOML",
        free_r_history=np.full_like(result.free_r_history, np.nan),
    )
    assert spread(pixels(bare, tmp_path), HERO) > 0.08


def test_an_empty_object_is_drawn(result: Result, tmp_path: Path) -> None:
    zero = replace(result, object=np.zeros_like(result.object), deviation=np.zeros_like(result.deviation))
    assert spread(pixels(zero, tmp_path), POTENTIAL) > 0.08


def test_two_writes_give_the_same_bytes(result: Result, picture: np.ndarray, folder: Path, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in sorted(folder.iterdir())]
    time.sleep(1.1)  # a time stamp of whole seconds would differ
    write_report(result, tmp_path / "case.1")
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == first


def test_a_users_matplotlibrc_and_pyplot_are_left_alone(result: Result, picture: np.ndarray, tmp_path: Path) -> None:
    write_cxi(tmp_path / "case.1.cxi", result)
    (tmp_path / "matplotlibrc").write_text("font.size: 31\nsavefig.dpi: 20\nsavefig.bbox: tight\n", encoding="utf-8")
    code = (
        "import sys, matplotlib\n"
        "from pathlib import Path\n"
        "from napari_subangstrom_cdi.io.cxi import read_cxi\n"
        "from napari_subangstrom_cdi.job.report import write_report\n"
        "def settings(): return {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = settings()\n"
        "write_report(read_cxi('case.1.cxi'), Path('case.1'))\n"
        "assert before == settings() and before['font.size'] == 31\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "MATPLOTLIBRC")}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=120)
    assert np.abs(imread(tmp_path / "case.1.png")[..., :3] - picture).mean() < 1e-4


def test_a_missing_folder_is_the_users_to_mend(result: Result, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        write_report(result, tmp_path / "nowhere" / "run")


def test_a_folder_that_is_not_writable(result: Result, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(InputError, match="not a folder"):
        write_report(result, tmp_path / "file" / "run")
    if os.name == "posix" and os.geteuid() != 0:
        tmp_path.chmod(0o500)
        try:
            with pytest.raises(InputError):
                write_report(result, tmp_path / "run")
        finally:
            tmp_path.chmod(0o700)


def test_neither_file_is_written_if_one_cannot_be(result: Result, tmp_path: Path) -> None:
    (tmp_path / "run.pdf").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write_report(result, tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run.pdf"]


def test_a_report_beside_a_result_goes_over_earlier_reports_only(tmp_path):
    output = tmp_path / "particle.cxi"
    assert stem_beside(output) == tmp_path / "particle"
    for path in write_report(reconstruct(), tmp_path / "particle"):
        kept = path.read_bytes()
        path.write_bytes(kept[:20] + b" of somebody else")
        assert stem_beside(output) == tmp_path / "particle.report"
        path.write_bytes(kept)
    assert stem_beside(output) == tmp_path / "particle"
    (tmp_path / "particle.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "particle.report.pdf").write_bytes(b"%PDF-1.4")
    assert stem_beside(output) == tmp_path / "particle.report-2"
