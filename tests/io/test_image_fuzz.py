"""A file cut or changed anywhere is refused or read, and never ends in another error.

`tools/fuzz_readers.py` does the same at length, and in processes of their own.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from writers import SEEDS

from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.io import read_image

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def fuzzer() -> ModuleType:
    pytest.importorskip("resource")
    spec = importlib.util.spec_from_file_location("fuzz_readers", ROOT / "tools" / "fuzz_readers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def test_cut_at_any_byte(sample: tuple[Path, NDArray[Any]]) -> None:
    path, data = sample
    whole = path.read_bytes()
    rng = np.random.default_rng(7)
    refused = 0
    for kept in sorted({1, 7, 8, 100, len(whole) - 1, *rng.integers(1, len(whole), 120).tolist()}):
        path.write_bytes(whole[:kept])
        try:
            read = read_image(path).data
        except InputError as error:
            refused += 1
            assert str(error).startswith(str(path)) and "\n" not in str(error)
        else:  # what was cut off was not the image
            np.testing.assert_array_equal(read, data, err_msg=f"cut to {kept} of {len(whole)} bytes")
    assert refused > 100


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_damaged_files_end_in_one_sentence(name: str, fuzzer: ModuleType, tmp_path: Path) -> None:
    corpus = fuzzer.corpus_of(name, tmp_path)
    # HDF5's own parser may end the process on noise, which the tool survives and a test does not.
    kept = [i for i, whole in enumerate(corpus.whole) if b"\x89HDF" not in whole[:2052]]
    if not kept:
        pytest.skip("HDF5")
    some = fuzzer.Corpus(tmp_path, [corpus.paths[i] for i in kept])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in some.paths:  # imports are no part of a run's memory
            fuzzer.read_or_refuse(path)
        found = {run: problem for run in range(100) if (problem := fuzzer.check(some, 1, run))}
    assert not found


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "data" / "fuzz").glob("*/*")), ids=lambda p: p.name)
def test_what_was_found_before_is_refused(path: Path) -> None:
    with pytest.raises(InputError), warnings.catch_warnings():
        warnings.simplefilter("ignore", QualityWarning)
        read_image(path, frame="sum")


def test_the_valid_files_are_read(tmp_path: Path) -> None:
    """What is damaged elsewhere is sound: most are read, the rest is refused as no image."""
    for name, seeds in SEEDS.items():
        folder = tmp_path / name
        folder.mkdir()
        read = 0
        for path in seeds(folder):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", QualityWarning)
                try:
                    read += read_image(path, frame="sum").data.ndim == 2
                except InputError as error:
                    assert "damaged" not in str(error) and "cut short" not in str(error), path
        assert read or name == "rosettasciio", f"no valid file of {name} is read"
