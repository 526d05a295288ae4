"""What is declared of a parameter, and what is refused because of it."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass
from typing import Annotated, Literal

import numpy as np
import pytest

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.parameters import Parameter, check, declared


@dataclass(frozen=True)
class Settings:
    """One of each kind."""

    alpha: Annotated[float, Parameter("α", "Share.", low=0, high=1, step=0.01)]
    beta: Annotated[float, Parameter("β", above=0, high=1)] = 0.8
    members: Annotated[int, Parameter("members", low=1, unit="runs")] = 20
    threshold: Annotated[Literal["otsu", "li"] | float, Parameter("threshold", low=0, below=1)] = "li"
    tilt_deg: Annotated[tuple[float, float] | None, Parameter("tilt", unit="°", low=-10, high=10)] = None
    use: Annotated[bool, Parameter("use")] = False
    reading: Annotated[Literal["methods", "upper-limit"], Parameter("reading")] = "methods"
    zone: Annotated[str, Parameter("zone axis")] = ""
    undeclared: str = "anything"

    def __post_init__(self) -> None:
        check(self, "regions")


def test_everything_declared_is_read_from_the_fields():
    known = declared(Settings)
    assert list(known) == ["alpha", "beta", "members", "threshold", "tilt_deg", "use", "reading", "zone"]
    kinds = ["float", "float", "int", "float", "float", "bool", "choice", "text"]
    assert [one.kind for one in known.values()] == kinds
    assert known["alpha"].default is MISSING and known["beta"].default == 0.8
    assert known["threshold"].choices == ("otsu", "li") and known["reading"].choices == ("methods", "upper-limit")
    assert (known["tilt_deg"].length, known["tilt_deg"].optional) == (2, True)
    assert not known["alpha"].optional


@pytest.mark.parametrize(
    "values",
    [
        {"alpha": 0}, {"alpha": 1.0}, {"alpha": np.float32(0.5)}, {"beta": 1}, {"members": np.int64(3)},
        {"threshold": "otsu"}, {"threshold": 0.0}, {"tilt_deg": (1, -10)}, {"use": True}, {"zone": "0 0 0 1"},
    ],
)  # fmt: skip
def test_what_is_possible_is_taken(values):
    Settings(**{"alpha": 0.3, **values})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"alpha": 7}, "regions.alpha: α = 7; give 0 to 1"),
        ({"alpha": -1e-9}, "regions.alpha: α = -1e-09; give 0 to 1"),
        ({"alpha": math.nan}, "regions.alpha: α = nan; give 0 to 1"),
        ({"alpha": "much"}, "regions.alpha: 'much' is no number; give a number"),
        ({"alpha": True}, "regions.alpha: True is no number; give a number"),
        ({"alpha": np.zeros(2)}, "is no number"),
        ({"beta": 0}, "regions.beta: β = 0; give above 0 and at most 1"),
        ({"members": 0}, "regions.members: members = 0 runs; give 1 runs or more"),
        ({"members": 2.5}, "regions.members: 2.5 is no whole number; give a whole number"),
        ({"members": math.inf}, "regions.members"),
        ({"threshold": "huang"}, "regions.threshold: 'huang' is no number; give a number, or otsu, li"),
        ({"threshold": 1.0}, "regions.threshold: threshold = 1; give at least 0 and below 1"),
        ({"tilt_deg": (0, 11)}, "regions.tilt_deg: tilt = 11 °; give -10 to 10 °"),
        ({"tilt_deg": (0, 1, 2)}, "regions.tilt_deg: (0, 1, 2) is not 2 values; give 2"),
        ({"use": 1}, "regions.use: 1 is neither true nor false; give true or false"),
        ({"reading": "mine"}, "regions.reading: unknown reading 'mine'; use one of methods, upper-limit"),
        ({"reading": None}, "regions.reading: unknown reading None"),
        ({"zone": 1}, "regions.zone: 1 is no text; give text"),
    ],
)
def test_what_is_impossible_is_refused_with_where_and_the_mend(values, said):
    with pytest.raises(InputError) as caught:
        Settings(**{"alpha": 0.3, **values})
    assert said in str(caught.value)
