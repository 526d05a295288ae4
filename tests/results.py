"""A small result with every field filled, and what it is for two to be the same."""

from dataclasses import fields

import numpy as np

from napari_subangstrom_cdi.core.ensemble.metrics import RadialCurve
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.result import InputFile, Result

RAW = bytes(range(256)) * 3 + b"\0\n\r\x1a"


def result():
    grid = Grid(32, 49.0)  # 1 / (1 / 49) is not 49 in floating point
    rng = np.random.default_rng(0)

    def field(*shape):
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)

    q = np.arange(4) / 7
    return Result(
        grid=grid,
        calibrated=True,
        object=field(*grid.shape),
        deviation=rng.random(grid.shape, np.float32),
        support=rng.random(grid.shape) > 0.5,
        regions=rng.integers(0, 3, grid.shape).astype(np.uint8),
        pattern=rng.random(grid.shape, np.float32),
        members=field(3, 10, 12),
        members_origin=(11, 9),
        kept=(True, False, True),
        r_history=rng.random((3, 5), np.float32),
        free_r_history=np.full((3, 5), np.nan, np.float32),
        stage_ends=(("Bild", 2), ("ψ → O", 5)),
        potential=rng.random(grid.shape, np.float32),
        curves={"prtf": RadialCurve(q, q**2), "frc": RadialCurve(q, np.array([1, np.nan, 0.5, 0]))},
        metrics={"r_factor": 0.0625, "resolution_angstrom": None, "background": {"shift_px": [1.5, -2.0]}, "n": 3},
        recipe='[inputs]\npattern = "Å.tif"\n',
        version="1.2.3",
        inputs=(
            InputFile("pattern", "p.tif", RAW),
            InputFile("background", "b é.tif", b""),
            InputFile("acquisition", "a.json", b"{}"),
        ),
    )


def same(first, second):
    for item in fields(Result):
        a, b = getattr(first, item.name), getattr(second, item.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, item.name
            np.testing.assert_array_equal(a, b, err_msg=item.name)
        elif item.name == "curves":
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(a[name].q_per_angstrom, b[name].q_per_angstrom)
                np.testing.assert_array_equal(a[name].value, b[name].value)
        else:
            assert a == b, item.name
