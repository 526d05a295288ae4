"""Tests in tests/gui open a window: marked ``gui``, and skipped, saying why, where none can be opened."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis
import mrcfile
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from .jobs import advance, job

SAMPLE = Path(__file__).parents[1] / "src" / "napari_subangstrom_cdi" / "simulation" / "sample"
_BINNING, _IMAGE_BINNING, _SIZE = 3, 2, 384
_GUI = Path(__file__).parent / "gui"

# How long an example takes is the machine's business, and a busy one's tests are as right as another's. The examples
# are the same each time, so that what fails was changed; HYPOTHESIS_PROFILE=exploring looks for others.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.register_profile("exploring", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


# What is imported stays: to look for garbage among it takes a sixth of the time of a collection of tests.
gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()


def _why_no_window() -> str | None:
    if find_spec("napari") is None or find_spec("pytestqt") is None:
        return "napari or pytest-qt is not installed"
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        return "no display: run `make test`, or under xvfb-run"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = _why_no_window()
    for item in items:
        if _GUI in item.path.parents:
            item.add_marker(pytest.mark.gui)
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def small_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with particle.tif, background.tif, image.mrc and acquisition.json: the sample, binned and cropped.

    Patterns of 384² pixels, 266 Å across; every step up to the masks takes 3 s, a member of ``short_run`` 0.2 s.
    """
    folder = tmp_path_factory.mktemp("small-case")
    for name in ("particle.tif", "background.tif"):
        record = _cropped(_binned(tifffile.imread(SAMPLE / name), _BINNING), _SIZE)
        tifffile.imwrite(folder / name, record.astype(np.uint32))
    known = json.loads((SAMPLE / "acquisition.json").read_text(encoding="utf-8"))
    known["detector_pixel_um"] *= _BINNING
    known["dark_noise_electrons"] *= _BINNING
    known["saturation_counts"] = 65535
    known["image_pixel_nominal_A"] *= _IMAGE_BINNING
    (folder / "acquisition.json").write_text(json.dumps(known), encoding="utf-8")
    with mrcfile.open(SAMPLE / "image.mrc") as record, mrcfile.new(folder / "image.mrc") as small:
        small.set_data(_binned(record.data, _IMAGE_BINNING).astype(np.float32))
        small.voxel_size = known["image_pixel_nominal_A"]
    return folder


@pytest.fixture(scope="session")
def modelled_job(_fit: tuple[Any, list[str]]) -> Any:
    """A session that has fitted the crystal of the small case, whose members do not start from it yet.

    Tests leave its settings as they were; the fit takes 15 s.
    """
    return _fit[0]


@pytest.fixture(scope="session")
def told_by_fit(_fit: tuple[Any, list[str]]) -> list[str]:
    """What that fit told of its parts, in order."""
    return _fit[1]


@pytest.fixture(scope="session")
def _fit(small_case: Path) -> Iterator[tuple[Any, list[str]]]:
    from napari_subangstrom_cdi.session.session import Step

    session = job(small_case)
    session.change("inputs", crystal="CdS-wurtzite")
    session.change("model", zone="0 0 0 1")
    advance(session, Step.MODEL)
    told = [event.message for event in session.poll() if event.step is Step.MODEL]
    yield session, [message for message in told if message.startswith("model: ")]
    session.close()


@dataclass(frozen=True)
class RunFromModel:
    """The settings of a short run that started from the fitted crystal, and a session that has its result."""

    plan: Any
    session: Any


@pytest.fixture(scope="session")
def run_from_model(modelled_job: Any) -> Iterator[RunFromModel]:
    """Three iterations of one member, with all that guards them."""
    from napari_subangstrom_cdi.core.phasing.schedule import Stage
    from napari_subangstrom_cdi.session.session import Session, Step

    before, fitted = modelled_job.plan, modelled_job.model
    modelled_job.use_preset("model")
    modelled_job.change("retrieval", schedule=(Stage("complex", 3, "er", ("support",)),))
    modelled_job.change("ensemble", members=1)
    advance(modelled_job, Step.PHASE)
    assert modelled_job.model is fitted, "no other fit was made"
    done = RunFromModel(modelled_job.plan, Session())
    done.session.adopt_outputs(modelled_job, Step.PHASE)
    modelled_job.set_plan(before)
    yield done
    done.session.close()


def _binned(record: NDArray[Any], factor: int) -> NDArray[np.float64]:
    height, width = (size // factor for size in record.shape)
    blocks = record[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return blocks.sum((1, 3), dtype=np.float64)


def _cropped(record: NDArray[Any], size: int) -> NDArray[Any]:
    y, x = (length // 2 - size // 2 for length in record.shape)
    return record[y : y + size, x : x + size]
