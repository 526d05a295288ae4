"""The benchmark: that it measures what it says. How fast anything is depends on the machine and is no test."""

import json
import sys

import numpy as np
import pytest

from napari_subangstrom_cdi.cli.bench import ITERATIONS, example_problem, fft_pairs, format_bench, run_bench
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.phasing.retrieval import retrieve
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.errors import InputError


@pytest.fixture(scope="module")
def result():
    return run_bench((128, 96), repeats=3, workers=2)


def test_every_iteration_is_timed_against_the_fastest_pair(result):
    assert [size.n for size in result.sizes] == [128, 96]
    for size in result.sizes:
        names, times = zip(*size.fft_pairs, strict=True)
        assert times[0] == min(times) > 0
        assert {"scipy.fft, 1 thread(s)", "scipy.fft, 2 thread(s)"} <= set(names)
        assert {timing.name for timing in size.iterations} == set(ITERATIONS)
        for timing in size.iterations:
            assert timing.ratio == pytest.approx(timing.milliseconds / times[0])
            assert timing.ratio > 0


def test_memory_holds_at_least_the_band_and_one_spectrum_and_grows_with_the_array(result):
    large, small = (size.memory_mb for size in result.sizes)
    assert large > 1e-6 * 128**2 * (4 + 4 + 8)
    assert large > small


@pytest.mark.parametrize("workers", [1, 2])
def test_each_pair_is_a_forward_and_an_inverse_transform(workers):
    rng = np.random.default_rng(0)
    field = (rng.standard_normal((96, 96)) + 1j * rng.standard_normal((96, 96))).astype(np.complex64)
    before = field.copy()
    for name, pair in fft_pairs(workers).items():
        result = pair(field)
        assert result.dtype == np.complex64, name
        np.testing.assert_allclose(result, before, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(field, before, err_msg=name)


def test_a_library_that_is_not_installed_is_left_out(monkeypatch):
    for name in ("pyfftw", "mkl_fft", "ducc0", "ducc0.fft", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    assert set(fft_pairs(1)) == {"scipy.fft, 1 thread(s)"}


def test_the_example_is_a_problem_worth_solving():
    problem = example_problem(128)
    assert {*np.unique(problem.regions)} == {Region.M, Region.B, Region.G}
    height, width = (part.stop - part.start for part in problem.box)
    assert 0.2 * 128 < height < 0.3 * 128 and 0.2 * 128 < width < 0.3 * 128
    start = problem.support.astype(np.complex64)
    run = retrieve(problem, (Stage("refine", 30, "er", ("real", "non-negative", "support")),), start)
    assert run.r_history[-1] < 0.8 * run.r_history[0]


def test_text_and_json_hold_the_figures(result):
    text = format_bench(result)
    for size in result.sizes:
        assert f"{size.n} x {size.n}" in text
        assert size.fft_pairs[0][0] in text
        for timing in size.iterations:
            assert f"{timing.milliseconds:.2f} ms   ratio {timing.ratio:.2f}" in text
    table = json.loads(result.to_json())
    assert table["sizes"][0]["iterations"][0]["name"] in ITERATIONS
    assert table["workers"] == 2


@pytest.mark.parametrize("sizes", [(127,), (0,), (32,), (1 << 20,), (128, -128)])
def test_absurd_sizes_are_refused(sizes):
    with pytest.raises(InputError, match="pixels a side"):
        run_bench(sizes, repeats=1)


def test_no_repeats_are_refused():
    with pytest.raises(InputError, match="0 repeats"):
        run_bench((128,), repeats=0)
