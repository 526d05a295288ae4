"""A file cut or changed anywhere is refused or read, and never ends in another error."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.io import read_image


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


def test_bytes_changed_anywhere(sample: tuple[Path, NDArray[Any]]) -> None:
    path, _ = sample
    whole = path.read_bytes()
    if path.suffix == ".h5":  # HDF5's own parser is trusted with its trees, not with noise in them
        return
    rng = np.random.default_rng(8)
    headers = min(len(whole), 1024)
    refused = 0
    for i in range(200):
        changed = bytearray(whole)
        reach = headers if i % 2 else len(whole)
        for at in rng.integers(0, reach, int(rng.integers(1, 6))):
            changed[at] = rng.integers(256)
        path.write_bytes(changed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", QualityWarning)
            try:
                read_image(path, max_bytes=2**24)
            except InputError as error:
                refused += 1
                assert "\n" not in str(error)
    assert refused > 0
