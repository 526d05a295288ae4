"""Record sets from settings, by the command, and what a score says of a result."""

from __future__ import annotations

import json
from dataclasses import replace

import mrcfile
import numpy as np
import pytest
import scipy.spatial
import skimage.io
import tifffile

from napari_subangstrom_cdi.cli.main import main
from napari_subangstrom_cdi.core.fourier import fit_to_size, inverse, shift, transform
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.truth import laid_over, score_against
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import read_acquisition
from napari_subangstrom_cdi.simulation.particle import particle_atoms
from napari_subangstrom_cdi.simulation.pattern_figure import calculated_pattern, interference
from napari_subangstrom_cdi.simulation.settings import MicroscopeSettings, ParticleSettings, Simulation, read_simulation
from napari_subangstrom_cdi.simulation.truth_figure import draw_comparison

SMALL = ["--detector", "512", "--detector-pixel", "100"]
WORDS = ["--crystal", "CdS-zincblende", "--zone", "1 1 0", "--diameter", "40", "--tilt", "0.3", "-0.2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "new"
    assert main(["simulate", *WORDS, "--boundary", "1.2", "--seed", "5", "-o", str(path)]) == 0
    return path


def test_a_record_set_is_whole(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "particle.tif", "background.tif", "image.mrc", "acquisition.json", "answer.json", "truth.npz", "model.npz",
        "simulation.toml",
    }  # fmt: skip
    pattern, background = (tifffile.imread(folder / name) for name in ("particle.tif", "background.tif"))
    assert pattern.shape == background.shape == (2048, 2048) and pattern.dtype == np.uint16
    known, answer = read_acquisition(folder / "acquisition.json"), json.loads((folder / "answer.json").read_text())
    assert abs(known.image_to_pattern_rotation_deg - answer["phi"]) < 4
    y, x = (round(1024 + at) for at in answer["ctr"])
    assert pattern[y, x] == 65535  # the beam saturates
    assert np.median(background[:50, :50]) == pytest.approx(21, abs=1)
    with mrcfile.open(folder / "image.mrc") as image:
        assert image.data.shape == (1024, 1024)
        assert float(image.voxel_size.x) == pytest.approx(0.36)
        assert np.median(image.data) == pytest.approx(200, rel=0.03)
    with np.load(folder / "truth.npz") as truth, np.load(folder / "model.npz") as model:
        assert truth["object"].shape == (512, 512) and float(truth["pixel_A"]) == 400 / 1024
        assert len(model["numbers"]) == len(model["positions_A"]) > 1000


def test_settings_come_back_and_say_the_same_particle(folder):
    settings = read_simulation(folder / "simulation.toml")
    assert settings.particle.boundary_shift_angstrom == 1.2 and settings.seed == 5
    with np.load(folder / "model.npz") as model:
        np.testing.assert_allclose(
            particle_atoms(settings.particle).positions_angstrom, model["positions_A"], atol=1e-4
        )


def test_a_second_set_of_other_conditions(tmp_path):
    """What the options say is in the records: no noise, a beam stop, a low saturation, another gain, no faults."""
    words = [
        "simulate",
        *SMALL,
        "--crystal",
        "MgO",
        "--zone",
        "0 0 1",
        "--diameter",
        "25",
        "--noiseless",
        "--no-faults",
    ]
    words += ["--beam-stop", "0.05", "--saturation", "60", "--gain", "2", "--no-substrate", "--strain", "1.5"]
    assert main([*words, "-o", str(tmp_path)]) == 0
    pattern, background = (tifffile.imread(tmp_path / name) for name in ("particle.tif", "background.tif"))
    y, x = np.indices(pattern.shape) - 256
    stopped = np.hypot(y, x) * 0.005 < 0.049
    assert (pattern[stopped] == 20).all() and (background == 20).all()  # the offset, and nothing else
    assert pattern.shape == (512, 512) and pattern[~stopped].max() == 60
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert (answer["phi"], answer["mag"], answer["ctr"]) == (0.0, 1.0, [0.0, 0.0])
    settings = read_simulation(tmp_path / "simulation.toml")
    assert settings.microscope.counts_per_electron == 2 and not settings.microscope.noise
    plain, strained = (particle_atoms(replace(settings.particle, strain_percent=strain)) for strain in (0.0, 1.5))
    nearest = [scipy.spatial.cKDTree(p.positions_angstrom).query([0, 0, 0], 2)[0][1] for p in (plain, strained)]
    assert nearest[1] / nearest[0] == pytest.approx(1.015)


def test_the_truth_scores_itself_wherever_it_lies(folder):
    with np.load(folder / "truth.npz") as stored:
        truth, grid = fit_to_size(stored["object"], 1024), Grid(1024, 400.0)
    moved = 3 * np.exp(0.8j) * shift(truth, (3.4, -7.45))  # between pixels, where lattice translations tempt
    score = score_against(truth, moved.astype(np.complex64), grid, 1500.0)
    assert score.correlation > 0.999 and score.resolution_angstrom == pytest.approx(1 / 1.28)
    assert score.translation_angstrom == pytest.approx((-3.4 * 0.390625, 7.45 * 0.390625), abs=0.01)
    laid = laid_over(truth, moved.astype(np.complex64), grid)
    assert np.linalg.norm(laid - truth) < 0.01 * np.linalg.norm(truth)
    spectrum = transform(truth)
    wrong = np.where(grid.q_per_angstrom() > 0.8, spectrum * np.exp(2j), spectrum)
    score = score_against(truth, inverse(wrong.astype(np.complex64)), grid, 1500.0)
    assert score.resolution_angstrom == pytest.approx(1 / 0.8) and score.correlation < 0.999


def test_the_paper_s_statement_about_interference():
    """Fig. 1: between the reflections of 9 nm of wurtzite the intensity is 2 to 3 orders below their peaks."""
    low, high = interference(calculated_pattern(Simulation()))
    assert 2 <= low <= high <= 3.5


def test_a_figure_and_no_records(tmp_path, capsys):
    figure = tmp_path / "fig.png"
    assert main(["simulate", "--diameter", "30", "--wave", "kinematic", "--figure", str(figure)]) == 0
    assert figure.stat().st_size > 10_000 and "0.0067" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [figure]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--crystal", "Unobtainium"], "no crystal named"),
        (["--zone", "0 0"], "no zone axis"),
        (["--diameter", "-4"], "-4 Å"),
        (["--prism", "1 0 0"], "without a thickness"),
        (["--prism", "0 0 0 1", "--thickness", "30"], "do not close a prism"),
        (["--facet", "1 1:30"], "no Miller indices"),
        (["--dose", "0"], "dose"),
        (["--beam-stop", "-1"], "beam_stop"),
        (["--strain", "40"], "strain_percent: Strain = 40 %; give -10 to 10 %"),
        (["--settings", "absent.toml"], "absent.toml"),
    ],
)
def test_what_makes_no_sense_is_said(tmp_path, capsys, words, said):
    assert main(["simulate", *words, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert said in error and "Traceback" not in error


def test_nowhere_to_write_is_said(capsys):
    assert main(["simulate"]) == 2
    assert "-o FOLDER" in capsys.readouterr().err


def test_a_misspelt_setting_is_named(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text("[particle]\ndiametre_angstrom = 3\n")
    with pytest.raises(InputError, match="diametre_angstrom"):
        read_simulation(path)


def test_shapes():
    sphere = particle_atoms(ParticleSettings(diameter_angstrom=40))
    plate = particle_atoms(ParticleSettings(diameter_angstrom=40, thickness_angstrom=12, prism="1 0 -1 0"))
    needle = particle_atoms(ParticleSettings(diameter_angstrom=15, thickness_angstrom=70, prism="1 0 -1 0"))
    assert np.ptp(needle.positions_angstrom[:, 2]) == pytest.approx(70, abs=4)
    assert np.abs(needle.positions_angstrom[:, :2]).max() <= 7.5 * 2 / np.sqrt(3) + 1e-6
    cube = particle_atoms(ParticleSettings("MgO", "0 0 1", facets={"1 0 0": 15.0}))
    assert np.linalg.norm(sphere.positions_angstrom, axis=1).max() <= 20
    assert np.abs(plate.positions_angstrom[:, 2]).max() <= 6
    assert np.abs(cube.positions_angstrom).max() <= 15 + 1e-6
    assert MicroscopeSettings().q_pixel_per_angstrom == pytest.approx(0.00125, rel=1e-3)


def test_a_result_is_drawn_beside_the_truth(folder, tmp_path, capsys):
    """Bright columns on black; what is right leaves nothing in the difference, what is wrong is there."""
    with np.load(folder / "truth.npz") as stored:
        truth, grid = fit_to_size(stored["object"], 1024), Grid(1024, 400.0)
    lost = truth.copy()
    lost[:, 512:] = 0  # half of the particle
    score = score_against(truth, lost, grid, 1500.0)
    draw_comparison(tmp_path / "half.png", "half", truth, lost, grid, score)
    picture = skimage.io.imread(tmp_path / "half.png")[..., 0].astype(float)
    height, width = picture.shape
    middle = picture[height // 3 : 2 * height // 3]
    thirds = [middle[:, round(width * (k + 0.15) / 3) : round(width * (k + 0.95) / 3)] for k in range(3)]
    halves = [[half[half < 250].mean() for half in np.array_split(third, 2, axis=1)] for third in thirds]
    (left, right), (kept, gone), (nothing, missing) = halves
    assert kept > 0.7 * left and gone < 0.3 * right and nothing < 0.3 * left and missing > 0.7 * right
    assert main(["score", str(folder), "any.cxi", "--figure", str(tmp_path / "none" / "a.png")]) == 2
    assert "none" in capsys.readouterr().err


def test_a_score_needs_a_truth(tmp_path, capsys):
    assert main(["score", str(tmp_path), "any.cxi"]) == 2
    assert "holds no truth" in capsys.readouterr().err
