"""The table of readings: complete, written alike everywhere, read from old files, and what the docs are made from."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from napari_subangstrom_cdi.io.cxi import read_cxi
from napari_subangstrom_cdi.job.readings import (
    CURVES,
    LIVE,
    NONE,
    READINGS,
    SECTIONS,
    is_doubtful,
    is_known,
    marked,
    shown_in,
    summary,
    text,
    value,
    written,
)
from napari_subangstrom_cdi.job.report import draw_report

from .results import GUARD, guarded, undeclared

ROOT = Path(__file__).parents[1]
OLD = Path(__file__).parent / "data" / "from_0_1_0" / "result.cxi"
_OF_KIND = {
    "number": 0.5,
    "percent": 0.5,
    "change": 1.02,
    "pair": [1.0, -2.0],
    "length": [3.0, 4.0],
    "range": [0.25, 0.75],
    "count": 3,
    "members": 3,
    "yes or no": True,
    "word": "so",
    "indices": [1, -1, 0],
    "list": [{}, {}],
}


@pytest.fixture(scope="module")
def old():
    return read_cxi(OLD)


def nested(key, found):
    """Metrics with one value at a dotted key."""
    for name in reversed(key.split(".")):
        found = {name: found}
    return found


def test_every_number_of_a_result_is_declared_once(old):
    assert undeclared(old.metrics) == []
    assert undeclared({"r_factor": 0.1, "guard": {"new": 1}}) == ["guard.new"]
    assert sum(map(len, SECTIONS.values())) == len(READINGS)
    assert set(CURVES) | {"power_object", "power_image"} >= set(old.curves)


@pytest.mark.parametrize("reading", [*READINGS.values(), *LIVE.values()], ids=lambda reading: reading.key)
def test_every_reading_is_described_and_written(reading):
    assert reading.caption and reading.meaning.endswith(".")
    known = written(reading, _OF_KIND[reading.kind])
    assert known != NONE and (reading.unit in known or reading.unit == "s, m, h" or reading.kind in ("list", "members"))
    for nothing in (None, math.nan, -math.inf):
        assert written(reading, nothing) == NONE
    if reading.kind in ("pair", "length", "range", "indices"):
        assert written(reading, []) == written(reading, [math.nan, None]) == written(reading, "12") == NONE
    assert text(reading, {}) == NONE and text(reading, nested(reading.key, None)) == NONE
    assert not is_known(reading, {}) and not is_doubtful(reading, {})


@pytest.mark.parametrize(
    ("key", "metrics", "said"),
    [
        ("r_factor", {"r_factor": 0.09123}, "9.1 %"),
        ("r_factor", {"r_factor": np.float32(0.05)}, "5.0 %"),
        ("r_factor", {"r_factor": True}, NONE),
        ("free_r", {"free_r": "0.1"}, NONE),
        ("image_agreement", {"image_agreement": 0.98764}, "0.988"),
        ("resolution_angstrom", {"resolution_angstrom": 0.8125}, "0.81 Å"),
        ("resolution_angstrom", {"resolution_angstrom": None, "members_kept": 1}, "unknown with one member"),
        ("resolution_angstrom", {"resolution_angstrom": None, "members_kept": 2}, NONE),
        ("members", {"members": 20, "members_kept": 19}, "19 of 20"),
        ("members", {"members": 20}, "20 of 20"),
        ("beam_centre_px", {"beam_centre_px": [1.25, -3.5]}, "+1.25, −3.50 px"),
        ("beam_centre_px", {"beam_centre_px": [1.25, None]}, NONE),
        ("beam_centre_px", {"beam_centre_px": "ab"}, NONE),
        ("guard.omit_correlations", {"guard": {"omit_correlations": [0.9, 0.95]}}, "0.900 to 0.950"),
        ("guard.omit_correlations", {"guard": {"omit_correlations": [0.9, None]}}, "– to 0.900"),
        ("seconds.total", {"seconds": "?"}, NONE),
        ("registration.rotation_deg", {"registration": None}, NONE),
        (
            "registration.rotation_deg",
            {"registration": {"rotation_deg": -8.9035, "rotation_error_deg": 0.0029}},
            "−8.9035 ± 0.0029°",
        ),
        ("registration.rotation_deg", {"registration": {"rotation_deg": 8.9}}, "8.9000° (by hand)"),
        ("model.tilt_deg", {"model": {"tilt_deg": [-0.001, -0.82], "tilt_error_deg": 0.06}}, "0.00°, −0.82° ± 0.06°"),
        ("model.tilt_deg", {"model": {"tilt_deg": [0.0, 1.0], "tilt_error_deg": None}}, "0.00°, 1.00° (by hand)"),
        (
            "model.thickness_angstrom",
            {"model": {"thickness_angstrom": 56.0, "thickness_error_angstrom": 12.5}},
            "56 ± 12 Å",
        ),
        ("model.roundness", {"model": {"roundness": 0.5}}, "0.5 (ellipsoid)"),
        ("model.roundness", {"model": {"roundness": 0.3}}, "0.3"),
        ("model.lattice_scale", {"model": {"lattice_scale": 0.9983}}, "−0.17 %"),
        ("model.boundary.shift_angstrom", {"model": {"boundary": {"shift_angstrom": [-0.3, 0.4]}}}, "0.50 Å (by hand)"),
        ("model.zone", {"model": {"zone": [1, -1, 0]}}, "[1 −1 0]"),
    ],
)
def test_numbers_are_written_with_the_digits_they_are_good_for(key, metrics, said):
    assert text(READINGS[key], metrics) == said


@pytest.mark.parametrize(
    ("key", "good", "bad", "remark"),
    [
        ("image_agreement", {"image_agreement": 0.86}, {"image_agreement": 0.85}, "below 0.86"),
        ("image_agreement", {"image_agreement": 0.2, "guard": GUARD}, {"image_agreement": 0.2}, "below 0.86"),
        (
            "guard.omit_correlations",
            {"guard": GUARD},
            {"guard": {"omit_correlations": [0.9, 0.7]}},
            "below 0.7",
        ),
        (
            "guard.omit_correlations",
            {"guard": {"omit_correlations": []}},
            {"guard": {"omit_correlations": [None, 0.9]}},
            "below 0.7",
        ),
        ("guard.image_likeness", {"guard": GUARD}, {"guard": {"image_likeness": 0.74}}, "below 0.75"),
        (
            "guard.without_model.free_r_with_model",
            {"guard": GUARD},
            {"guard": {"without_model": {"free_r": 0.1, "free_r_with_model": 0.21}}},
            "worse",
        ),
        ("oversampling_ratio", {"oversampling_ratio": 2.0}, {"oversampling_ratio": 1.9}, "below 2"),
        ("members", {"members": 2, "complete": True}, {"members": 2, "complete": False}, "stopped"),
    ],
)
def test_what_the_program_warns_of_is_marked(key, good, bad, remark):
    reading = READINGS[key]
    assert marked(reading, good) == (text(reading, good), False)
    assert marked(reading, bad) == (f"{text(reading, bad)} ({remark})", True)


def test_the_summary_says_the_same_as_before():
    metrics = {
        "r_factor": 0.0912,
        "free_r": 0.1189,
        "image_agreement": 0.9888,
        "resolution_angstrom": 0.81,
        "members": 20,
        "members_kept": 19,
        "seconds": {"total": 86.7},
    }
    assert summary(metrics) == (
        "R 9.1 %, free R 11.9 %, image agreement 0.989, members agree to 0.81 Å (PRTF > 1/e), "
        "19 of 20 members averaged, 87 s"
    )
    alone = {"r_factor": 0.1, "free_r": None, "members": 1, "members_kept": 1, "guard": GUARD}
    assert summary(alone) == (
        "R 10.0 %, free R –, reproducibility unknown with one member, "
        "to 0.81 Å from the data alone (omit test), 1 of 1 members averaged"
    )


def test_a_file_of_a_former_version_is_read(old):
    assert summary(old.metrics).startswith("R 30.4 %, free R 32.2 %, image agreement 0.798, members agree to 2.17 Å")
    assert value(old.metrics, "guard.image_likeness") is None
    assert value({"r_factor": 0.1}, "r_factor.of") is None
    assert value(old.metrics, "registration.reflections") == 3


def test_the_report_shows_what_was_found_without_the_model(old):
    said, curves = drawn(old)
    assert {"R", "30.4 %", "free R", "32.2 %"} <= set(said) and "omit test" not in said
    assert curves == {"PRTF", "FRC"}
    said, curves = drawn(guarded(old))
    beside = dict(pairwise(said))
    assert beside["omit test"] == "0.952 to 0.962"
    assert beside["from the data alone to"] == "0.81 Å"
    assert beside["image likeness, without model"] == "0.915, 0.270"
    assert beside["without model, correlation, agrees to"] == "0.925, 0.97 Å"
    assert beside["free R with model, without model"] == "7.5 %, 10.5 %"
    assert curves == {"PRTF", "FRC", "omit map", "without model"}


def drawn(result):
    """Texts of a report in the order in which they were written, and the curves of its resolution panel."""
    figure = draw_report(result, "case")
    panel = next(axes for axes in figure.axes if axes.get_xlabel() == "q (1/Å)")
    captions = {curve.caption for curve in CURVES.values()}
    return [text.get_text() for text in figure.texts], captions & {line.get_label() for line in panel.get_lines()}


def test_the_report_marks_what_is_doubtful(old):
    doubtful = guarded(replace(old, metrics={**old.metrics, "complete": False}), image_likeness=0.6)
    figure = draw_report(doubtful, "case")
    bold = {text.get_text() for text in figure.texts if text.get_weight() == "bold"}
    assert {"0.600, 0.270", "2 of 2 (stopped)"} <= bold and "0.952 to 0.962" not in bold


def test_every_place_shows_r_alike():
    for place in ("summary", "report", "Results", "Phase", "R-factor"):
        assert READINGS["r_factor"] in shown_in(place) and READINGS["image_agreement"] in shown_in(place)
    assert {key for key, reading in READINGS.items() if key.startswith("guard.") and "Results" in reading.shown} >= {
        f"guard.{name}" for name in ("omit_correlations", "data_alone_angstrom", "image_likeness")
    }


def make_tables(*arguments):
    command = [sys.executable, ROOT / "tools" / "make_docs_tables.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_tables_of_the_documentation_are_up_to_date(tmp_path):
    done = make_tables("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs, ignore=shutil.ignore_patterns("*.png"))
    page = docs / "readings.md"
    right = page.read_text(encoding="utf-8")
    assert all(f"| `{key}` |" in right for key in READINGS)
    page.write_text(right.replace("| R | R |", "| R | Q |"), encoding="utf-8")
    done = make_tables("--check", "--docs", docs)
    assert done.returncode == 1 and "readings.md" in done.stdout
    assert make_tables("--docs", docs).returncode == 0 and page.read_text(encoding="utf-8") == right
