"""PRZ of Panta Rhei: an NPZ whose description is read without loading its objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from writers.npy import prz_bytes

from napari_subangstrom_cdi.errors import QualityWarning
from napari_subangstrom_cdi.io import read_image
from napari_subangstrom_cdi.io.image import contents

DATA = np.arange(5 * 7, dtype="<u2").reshape(5, 7)


def test_pixel_energy_and_role(tmp_path: Path) -> None:
    path = tmp_path / "a.prz"
    path.write_bytes(prz_bytes(DATA, **{"projector.camera_length": 0.02}))
    with pytest.warns(QualityWarning, match="not square"):
        read = read_image(path)
    np.testing.assert_array_equal(read.data, DATA)
    assert read.pixel == ((2.0, 1.0), "Å")
    assert (read.role, read.energy_ev, read.camera_length_mm) == ("image", 200e3, None)
    assert contents(path) == ()


def test_what_a_person_calibrated_goes_before_the_device(tmp_path: Path) -> None:
    path = tmp_path / "a.prz"
    axes = [{"value": 0.1, "unit": "1/nm"}] * 2
    path.write_bytes(prz_bytes(DATA, **{"user.calib": axes, "projector.camera_length": 0.02}))
    read = read_image(path)
    assert read.pixel == ((0.01, 0.01), "1/Å")
    assert (read.role, read.camera_length_mm) == ("pattern", 20)


@pytest.mark.parametrize("text", ["", "[", "[[]]", "{}", '{"electron_gun.voltage": 1e999}', "[" * 100_000])
def test_a_description_that_makes_no_sense_is_left_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.prz"
    np.savez(tmp_path / "a.npz", data=DATA, meta_data_json=text)
    (tmp_path / "a.npz").rename(path)
    assert read_image(path).header.stated() == {}
