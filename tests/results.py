"""A small result with every field filled, and what it is for two to be the same."""

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np

from napari_subangstrom_cdi.core.ensemble.metrics import RadialCurve
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.result import InputFile, Result
from napari_subangstrom_cdi.job.readings import READINGS

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


def undeclared(metrics, prefix=""):
    """Keys of metrics that the table of readings does not know."""
    unknown = []
    for name, value in metrics.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            unknown += undeclared(value, f"{key}.")
        elif not {key, f"{prefix}*"} & set(READINGS):
            unknown.append(key)
    return unknown


GUARD = {
    "omit_correlations": [0.9585, 0.9522, 0.9600, 0.9552, 0.9621, 0.9535],
    "data_alone_angstrom": 0.8125,
    "data_alone_criterion": "FRC of the omit map with the result above 0.5",
    "image_likeness": 0.9153,
    "without_model": {
        "members": 3,
        "correlation": 0.9251,
        "agrees_to_angstrom": 0.9673,
        "free_r": 0.1052,
        "free_r_with_model": 0.0752,
        "image_likeness": 0.2697,
    },
}
"""What the cross-checks of a run from a model find."""


def guarded(result, **found):
    """A result as if it came from a model: with the numbers and curves of the cross-checks, some of them others."""
    q = result.curves["prtf"].q_per_angstrom
    curves = {"omit": RadialCurve(q, np.linspace(1, 0.9, q.size)), "unaided": RadialCurve(q, np.linspace(1, 0, q.size))}
    return replace(result, curves={**result.curves, **curves}, metrics={**result.metrics, "guard": {**GUARD, **found}})
