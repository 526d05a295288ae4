"""What is declared of a parameter, and what is refused because of it."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest

from napari_subangstrom_cdi.core.phasing.regions import Alpha, NoiseMultiple
from napari_subangstrom_cdi.core.phasing.updates import Beta
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.job.plan import Change, RegionSettings
from napari_subangstrom_cdi.parameters import Parameter, check, declared, described, picked

ROOT = Path(__file__).parents[1]


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


def test_what_a_person_reads_follows_from_the_declaration():
    known = declared(Settings)
    assert known["alpha"].shown(0.30000001) == "0.3" and known["members"].with_unit(3) == "3 runs"
    assert known["tilt_deg"].shown(None) == "automatic" and known["use"].shown(True) == "yes"
    assert known["alpha"].help_line() == "Share. (0 to 1)"
    assert known["members"].help_line() == "(1 runs or more; default: 20)"
    assert known["reading"].pairs() == (("methods", "methods"), ("upper-limit", "upper-limit"))
    worded = described("mirrored", Annotated[bool | None, Parameter("", words=((False, "no"), (None, "try both")))])
    assert dict(worded.pairs()) == {None: "try both", True: "yes", False: "no"}
    x = known["tilt_deg"].element(0, "tilt_x", "tilt x")
    assert (x.name, x.parameter.caption, x.parameter.high) == ("tilt_x", "tilt x", 10)
    assert x.length is None and not x.optional
    assert known["reading"].offering("mine").choices == ("mine",)
    assert [one.name for one in picked(Settings, "beta", "alpha")] == ["beta", "alpha"]
    with pytest.raises(TypeError, match="says nothing"):
        described("alpha", float)


@pytest.mark.parametrize(
    ("range_of", "words"),
    [({"low": 0}, "0 Å or more"), ({"above": 0}, "above 0 Å"), ({"high": 1e9}, "at most 1e9 Å"), ({}, ""),
     ({"above": 0, "below": 0.5}, "above 0 and below 0.5 Å"), ({"low": -1.5, "high": 2}, "-1.5 to 2 Å")],
)  # fmt: skip
def test_a_range_is_said_in_words(range_of, words):
    assert Parameter("d", unit="Å", **range_of).range_in_words() == words


def test_what_a_recipe_and_a_change_during_a_run_share_is_declared_once():
    for settings in (RegionSettings, Change):
        assert declared(settings)["alpha"].parameter is described("alpha", Alpha).parameter
        assert declared(settings)["noise_multiple"].parameter is described("k", NoiseMultiple).parameter
    assert declared(Change)["beta"].parameter is described("beta", Beta).parameter


def test_the_tables_of_the_documentation_are_up_to_date(tmp_path):
    script = str(ROOT / "tools" / "make_docs_tables.py")
    checked = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    page = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    (tmp_path / "parameters.md").write_text(page.replace("| 0 to 1 |", "| 0 to 2 |"), encoding="utf-8")
    stale = subprocess.run([sys.executable, script, "--check", "--docs", str(tmp_path)], capture_output=True, text=True)
    assert stale.returncode == 1 and "parameters.md: out of date" in stale.stdout
