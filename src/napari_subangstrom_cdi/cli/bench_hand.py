"""How soon what a hand moves is answered: each live tool on the bundled sample, beside an FFT pair of its array."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import cycle

import numpy as np

from napari_subangstrom_cdi.core.phasing._crew import default_workers
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import read_acquisition
from napari_subangstrom_cdi.session.session import Session, State, Step
from napari_subangstrom_cdi.simulation.bundled import sample_records

from .bench import Timing, fft_pairs, interleaved

_FFT = "an FFT pair"


@dataclass(frozen=True)
class ToolsResult:
    """The figures of the live tools.

    Parameters
    ----------
    n : int
        Side of the array that the ratios' FFT pair is of.
    pair_ms : float
        Its median, by the fastest library at hand.
    tools : tuple of Timing
        One for each tool, a new setting each time.
    """

    n: int
    pair_ms: float
    tools: tuple[Timing, ...]

    def to_json(self) -> str:
        """The figures for machines."""
        return json.dumps(asdict(self), indent=2)


def run_tools_bench(*, repeats: int = 15) -> ToolsResult:
    """Prepare the bundled sample and time its tools."""
    session = Session()
    try:
        records = sample_records()
        acquisition = read_acquisition(records.pop("acquisition"))
        for role, path in records.items():
            session.set_input(role, path)
        session.set_plan(replace(session.plan, acquisition=acquisition))
        session.start(Step.MASKS)
        session.wait()
        return measure_tools(session, repeats=repeats)
    finally:
        session.close()


def measure_tools(session: Session, *, repeats: int = 15) -> ToolsResult:
    """The same with any job whose masks are done.

    Raises
    ------
    InputError
        If they are not, or the job has no image.
    """
    calls = _tools(session)
    prepared = session.prepared
    assert prepared is not None
    n = prepared.problem.grid.n
    field = np.random.default_rng(0).standard_normal((n, n), dtype=np.float32).astype(np.complex64)
    pairs: dict[str, Callable[[], object]] = {
        f"{_FFT}: {name}": partial(pair, field) for name, pair in fft_pairs(default_workers()).items()
    }
    times = interleaved({**pairs, **calls}, repeats)
    fastest = min(times[name] for name in pairs)
    return ToolsResult(n, fastest, tuple(Timing(name, times[name], times[name] / fastest) for name in calls))


def format_tools_bench(result: ToolsResult) -> str:
    """The figures for a person."""
    lines = [f"{_FFT} of {result.n} x {result.n}: {result.pair_ms:.1f} ms"]
    lines += [f"  {t.name:<46}{t.milliseconds:8.1f} ms   ratio {t.ratio:.1f}" for t in result.tools]
    return "\n".join(lines)


def _tools(session: Session) -> dict[str, Callable[[], object]]:
    """Each gets a new setting at every call, so that nothing kept from the last one answers."""
    centred, image, prepared = session.centred, session.image, session.prepared
    friedel, comparison, finder = session.friedel, session.comparison, session.support_finder
    if centred is None or prepared is None or session.state(Step.MASKS) is not State.DONE:
        raise InputError("the masks are not done", mend="do the steps up to Masks first")
    if image is None or friedel is None or comparison is None or finder is None:
        raise InputError("the job has no image", mend="choose one in the Data step")
    (y, x), found, settings = centred.record.centre_px, image.registration, session.plan.regions
    near, thresholds, multiples = cycle(np.linspace(-3, 3, 7)), cycle(np.linspace(0.2, 0.6, 7)), cycle((2, 3, 4, 5, 6))

    def correlation() -> object:
        return comparison.correlation(found.rotation_deg + next(near), found.image_pixel_angstrom, found.mirrored)

    def regions() -> object:
        return prepared.amplitudes.regions(replace(settings, noise_multiple=next(multiples)))

    return {
        "beam centre: agreement with its Friedel mates": lambda: friedel.at((y + next(near), x)),
        "alignment: correlation with the pattern": correlation,
        "support: another threshold": lambda: finder.find(threshold=float(next(thresholds)), grow_angstrom=2.0),
        "regions: another noise multiple": regions,
    }
