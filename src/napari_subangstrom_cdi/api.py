"""The front door: from records to a reconstruction in one call, or step by step, in a script or a notebook."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings, member_inputs
from napari_subangstrom_cdi.core.fit.rings import RingCalibration
from napari_subangstrom_cdi.core.phasing.retrieval import InForce, Problem, Retrieval, Snapshot
from napari_subangstrom_cdi.core.phasing.retrieval import iterate as iterate_problem
from napari_subangstrom_cdi.core.phasing.schedule import Schedule, Stage
from napari_subangstrom_cdi.core.result import InputFile, Result
from napari_subangstrom_cdi.core.types import Complex64
from napari_subangstrom_cdi.io.cxi import check_output, read_cxi, write_cxi
from napari_subangstrom_cdi.job.arguments import Data, Sections, plan_of, with_numbers, with_schedule, with_settings
from napari_subangstrom_cdi.job.pipeline import (
    Listener,
    Outcome,
    embedded_inputs,
    finish,
    load_plan,
    noted_doubts,
    retrieve_members,
    run,
    scratch_folder,
    with_timing,
)
from napari_subangstrom_cdi.job.plan import Frame, Plan, plan_from_toml
from napari_subangstrom_cdi.job.preparation import Clock, calibrated_by_crystal
from napari_subangstrom_cdi.job.progress import Watcher, listening
from napari_subangstrom_cdi.job.readings import summary
from napari_subangstrom_cdi.job.standard import calibrate_standard
from napari_subangstrom_cdi.job.steering import Steering
from napari_subangstrom_cdi.simulation.faults import FaultSettings
from napari_subangstrom_cdi.simulation.files import write_records
from napari_subangstrom_cdi.simulation.records import RecordSet
from napari_subangstrom_cdi.simulation.records import simulate as simulate_records
from napari_subangstrom_cdi.simulation.settings import MicroscopeSettings, ParticleSettings, Simulation

from .errors import InputError
from .io import Acquisition
from .job import preparation

Known = str | os.PathLike[str] | Mapping[str, Any] | Acquisition
"""What is known of the records: a JSON or TOML file, its keys and values, or the object made from them."""
Progress = bool | Listener | Watcher


class Reconstruction:
    """A reconstruction: the object, what it is judged by, and everything that repeats it.

    A notebook shows it as a picture beside its numbers.

    Parameters
    ----------
    result : Result
        What a job left; all of its arrays and curves stay at hand as ``.result``.
    """

    def __init__(self, result: Result) -> None:
        self.result = result

    @property
    def object(self) -> Complex64:
        """The averaged object O of the exit wave 1 + iO, complex64, shape (n, n), centred."""
        return self.result.object

    @property
    def pixel_angstrom(self) -> float | None:
        """Pixel of the object, Å; None if the pattern was not calibrated."""
        return self.result.grid.pixel_angstrom if self.result.calibrated else None

    @property
    def support(self) -> NDArray[np.bool_]:
        """Where the object may be other than zero, bool, shape (n, n)."""
        return self.result.support

    @property
    def readings(self) -> Mapping[str, Any]:
        """All numbers of the run, by the keys that ``--json`` prints."""
        return self.result.metrics

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a careful colleague would look at before trusting the result."""
        return tuple(self.result.metrics.get("warnings", ()))

    @property
    def plan(self) -> Plan:
        """The plan that repeats the run, its schedule filled in."""
        return plan_from_toml(self.result.recipe, where="the recipe of the result")

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the result, with the raw records and the plan, as CXI; the whole path.

        ``napari-subangstrom-cdi reconstruct --recipe`` repeats the run from this file alone.

        Raises
        ------
        InputError
            If the name does not end in ``.cxi`` (or ``.h5``, ``.hdf5``), or nothing can be written there.
        """
        output = check_output(os.fspath(path), where="save")
        write_cxi(output, self.result)
        return output

    def figure(self, path: str | os.PathLike[str]) -> tuple[Path, Path]:
        """Draw the report, one page, to ``STEM.png`` and ``STEM.pdf``; the two paths.

        Parameters
        ----------
        path : path-like
            The stem, or a name that ends in ``.png`` or ``.pdf``.

        Raises
        ------
        InputError
            If nothing can be written there.
        """
        from napari_subangstrom_cdi.job.report import write_report  # matplotlib takes a second to import

        stem = Path(path).expanduser()
        return write_report(self.result, stem.with_suffix("") if stem.suffix.lower() in (".png", ".pdf") else stem)

    def __repr__(self) -> str:
        n, pixel = self.result.grid.n, self.pixel_angstrom
        sampling = f"{n} × {n} pixels" + (f" of {pixel:.4g} Å" if pixel is not None else "")
        count = len(self.warnings)
        doubts = f"; {count} warning{'s' if count > 1 else ''}, see .warnings" if count else ""
        return f"Reconstruction, {sampling}: {summary(dict(self.readings))}{doubts}"

    def _repr_html_(self) -> str:
        from napari_subangstrom_cdi.job.notebook import html_of

        return html_of(self.result)


@dataclass(frozen=True, repr=False)
class Prepared:
    """A job that is ready for phase retrieval.

    Parameters
    ----------
    plan : Plan
        What was asked for.
    outputs : preparation.Prepared
        What the steps before phase retrieval gave.
    inputs : tuple of InputFile
        The raw files, which go into the result.
    seconds : mapping of str to float
        Of each step.
    warnings : tuple of str
        What was doubted on the way.
    """

    plan: Plan
    outputs: preparation.Prepared
    inputs: tuple[InputFile, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def problem(self) -> Problem:
        """Amplitudes, regions, support and image on one grid: all that an iteration needs."""
        return self.outputs.problem

    @property
    def schedule(self) -> Schedule:
        """The stages of the plan, or those of its preset for these data."""
        return self.outputs.schedule

    @property
    def readings(self) -> Mapping[str, Any]:
        """What the steps found: centre, background, registration, regions."""
        return self.outputs.readings

    def with_alpha(self, alpha: float) -> Prepared:
        """The same with another α: nothing before the amplitudes' band depends on it.

        Raises
        ------
        InputError
            If it is not from 0 to 1.
        """
        settings = with_settings(self.plan.regions, {"alpha": alpha}, where="regions")
        band = self.outputs.amplitudes.band(self.problem.regions, settings)
        problem = replace(self.problem, band=band)
        return replace(self, plan=replace(self.plan, regions=settings), outputs=replace(self.outputs, problem=problem))

    def __repr__(self) -> str:
        grid, stages = self.problem.grid, ", ".join(f"{stage.name} {stage.iterations}" for stage in self.schedule)
        unit = "Å" if self.outputs.calibrated else "px"
        return f"Prepared, {grid.n} × {grid.n} pixels of {grid.pixel_angstrom:.4g} {unit}; schedule: {stages}"


def reconstruct(
    pattern: Data,
    *,
    background: Data = "fit",
    image: Data | None = None,
    support: Data | None = None,
    mask: Data | None = None,
    acquisition: Known | None = None,
    preset: str = "extend",
    schedule: Iterable[Stage] | None = None,
    members: int | None = None,
    seed: int | None = None,
    crystal: str | os.PathLike[str] | None = None,
    zone: str | None = None,
    calibrate_by_crystal: bool = False,
    progress: Progress = True,
    workers: int | None = None,
    **sections: Unpack[Sections],
) -> Reconstruction:
    """Reconstruct an object from its records.

    The same arguments give the same bits on the same machine and version. Ctrl-C during the phase retrieval ends
    it and keeps the members that are finished; the result is then marked as not complete.

    Parameters
    ----------
    pattern : path or array, shape (y, x)
        Diffraction record with the particle, counts.
    background : path, array, 'fit' or 'none'
        Record without it; ``'fit'`` fits a smooth one, ``'none'`` says that it is already subtracted.
    image : path or array, optional
        Low-resolution TEM image of the particle.
    support : path or array, optional
        Mask of the object, centred, non-zero inside; needed without an image.
    mask : path or array, optional
        Raw pixels of the pattern not to be trusted, non-zero, such as a beam stop.
    acquisition : path, mapping or Acquisition, optional
        What is known of the records: a JSON or TOML file, its keys and values, or the object.
    preset : {'extend', 'paper', 'model'}
        Schedule and settings to begin with.
    schedule : iterable of Stage, optional
        Stages of your own, in place of the preset's.
    members, seed : int, optional
        Of the ensemble; 20 and 0 by default.
    crystal, zone : str, optional
        Built-in crystal or CIF, and zone axis along the beam, for the preset ``model``.
    calibrate_by_crystal : bool
        Replace the camera length by the spacings of the crystal on its zone first.
    progress : bool, callable or Listener
        True prints steps and a bar, False nothing. A function is called as ``progress(member, snapshot)`` after every
        iteration, with the estimate in the snapshot; it may raise :class:`Stop`. A listener is told of steps, too.
    workers : int, optional
        Threads; by default the processors at hand.
    **sections
        Settings, each a mapping of the values that differ from the preset's (``regions={"alpha": 0.4}``) or a whole
        settings object: ``regions``, ``model``, ``ensemble``, and, since pattern, image and support are data,
        ``pattern_settings``, ``image_settings``, ``support_settings``. Besides them ``pattern_frame``,
        ``background_frame`` and ``image_frame``, the frame of a stack (a number or ``'sum'``), and ``steering``, what
        to change while it runs.

    Raises
    ------
    InputError
        If data cannot be used, a value is missing or impossible, or an argument is not known.
    KeyboardInterrupt, Stop
        If stopped before the first member was finished.
    """
    data = _data(pattern, background, image, support, mask, crystal)
    with listening(progress) as listener:
        ready = _prepared(
            data, listener, calibrate_by_crystal, acquisition=acquisition, preset=preset, schedule=schedule,
            members=members, seed=seed, zone=zone, sections=sections,
        )  # fmt: skip
        return _phased(ready, listener, workers)


def repeat(path: str | os.PathLike[str], *, progress: Progress = True, workers: int | None = None) -> Reconstruction:
    """Do a job again, from its recipe, or from a result or project that holds its records and its plan.

    On the same machine and version it gives the same bits. Constraints and update rules of your own are known by
    their names: import the script that registers them first.

    Parameters
    ----------
    path : path-like
        TOML recipe, result or project.
    progress, workers
        As of :func:`reconstruct`.

    Raises
    ------
    InputError
        If the file cannot be used, its records are gone, or it names what nobody registered.
    KeyboardInterrupt, Stop
        If stopped before the first member was finished.
    """
    with listening(progress) as listener, scratch_folder() as scratch:
        outcome = run(load_plan(Path(path).expanduser(), Path(scratch)), listener, workers=workers)
    return Reconstruction(with_timing(outcome, outcome.seconds))


def prepare(
    pattern: Data,
    *,
    background: Data = "fit",
    image: Data | None = None,
    support: Data | None = None,
    mask: Data | None = None,
    acquisition: Known | None = None,
    preset: str = "extend",
    schedule: Iterable[Stage] | None = None,
    members: int | None = None,
    seed: int | None = None,
    crystal: str | os.PathLike[str] | None = None,
    zone: str | None = None,
    calibrate_by_crystal: bool = False,
    progress: Progress = True,
    **sections: Unpack[Sections],
) -> Prepared:
    """Do every step before phase retrieval: read, subtract, centre, register, mask.

    Parameters and errors are those of :func:`reconstruct`; ``phase(prepare(...))`` gives the same bits.
    """
    data = _data(pattern, background, image, support, mask, crystal)
    with listening(progress) as listener:
        return _prepared(
            data, listener, calibrate_by_crystal, acquisition=acquisition, preset=preset, schedule=schedule,
            members=members, seed=seed, zone=zone, sections=sections,
        )  # fmt: skip


def phase(
    prepared: Prepared,
    schedule: Iterable[Stage] | None = None,
    *,
    members: int | None = None,
    seed: int | None = None,
    progress: Progress = True,
    workers: int | None = None,
) -> Reconstruction:
    """Retrieve the phases of an ensemble, average it and judge the result.

    Parameters
    ----------
    prepared : Prepared
        What :func:`prepare` gave; it may be phased again and again.
    schedule : iterable of Stage, optional
        Stages in place of those that it holds.
    members, seed, progress, workers
        As of :func:`reconstruct`; by default those that it was prepared with.

    Raises
    ------
    InputError
        If the schedule asks for what the data do not have.
    KeyboardInterrupt, Stop
        If stopped before the first member was finished.
    """
    plan, outputs = with_numbers(prepared.plan, members=members, seed=seed), prepared.outputs
    if schedule is not None:
        plan = with_schedule(plan, schedule)
        outputs = replace(outputs, schedule=plan.retrieval.schedule)
    with listening(progress) as listener:
        return _phased(replace(prepared, plan=plan, outputs=outputs), listener, workers)


def iterate(
    job: Prepared | Problem,
    schedule: Iterable[Stage] | None = None,
    *,
    member: int = 0,
    seed: int | None = None,
    start: Complex64 | None = None,
    steer: Callable[[int], InForce | None] | None = None,
    workers: int | None = None,
) -> Generator[Snapshot, None, Retrieval]:
    """Stand inside the loop: one member of an ensemble, iteration by iteration.

    Closing the generator ends the run; run to its end it returns the member's
    :class:`~napari_subangstrom_cdi.core.phasing.retrieval.Retrieval`.

    Parameters
    ----------
    job : Prepared or Problem
        What :func:`prepare` gave, or a problem of your own making.
    schedule : iterable of Stage, optional
        The stages; by default those that the job was prepared with. A problem needs them.
    member, seed : int
        Which member of which ensemble: start, noise and held-out pixels follow from them.
    start : ndarray of complex64, shape (n, n), optional
        First estimate, centred, in place of the member's own.
    steer : callable, optional
        ``steer(done)``, asked before each iteration: another problem or β from now on, or None.
    workers : int, optional
        Threads; by default the processors at hand.

    Yields
    ------
    Snapshot
        After each iteration: its number and stage, R and free R, and a copy of the estimate on ``box``, the
        rectangle of the array that holds the support.

    Raises
    ------
    InputError
        If there is no schedule, or it asks for what the data do not have.
    ArithmeticError
        If the estimate ceases to be finite.
    """
    problem = job if isinstance(job, Problem) else job.problem
    stages = tuple(schedule) if schedule is not None else () if isinstance(job, Problem) else job.schedule
    settings = EnsembleSettings() if isinstance(job, Problem) else job.plan.ensemble
    if seed is not None:
        settings = replace(settings, seed=seed)
    drawn, held_out, stages = member_inputs(problem, stages, settings, member)
    first = drawn if start is None else start
    return iterate_problem(
        problem, stages, first, held_out=held_out, wants_estimate=lambda done: True, workers=workers, steer=steer
    )


def read(path: str | os.PathLike[str]) -> Reconstruction:
    """Read a reconstruction from a result or a project.

    Raises
    ------
    InputError
        If the file is missing, damaged, or holds no result.
    """
    return Reconstruction(read_cxi(Path(path).expanduser()))


def simulate(
    particle: ParticleSettings | Mapping[str, Any] | None = None,
    microscope: MicroscopeSettings | Mapping[str, Any] | None = None,
    *,
    faults: FaultSettings | Mapping[str, Any] | None = None,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    told: Callable[[str], None] = lambda part: None,
) -> RecordSet:
    """Take the records of a particle that is known to the last atom, by multislice.

    Parameters
    ----------
    particle, microscope : mapping or settings, optional
        What is in the beam and how it is seen; values that are not given are the usual ones.
    faults : mapping or settings, optional
        What else is wrong with the records, such as ``{"ellipse_percent": 1.5, "mirrored": True}``; nothing by default.
    seed : int
        Of noise and faults.
    folder : path-like, optional
        Where to write the record set, with what is known and what is true.
    told : callable
        Hears of each part; it may raise to end the simulation.

    Returns
    -------
    RecordSet
        Arrays ``pattern``, ``background`` and ``image``, the mapping ``acquisition``, the ``truth``, and the ``mask``
        of gaps and beam stop if there are any.

    Raises
    ------
    InputError
        If a setting makes no sense, or the folder cannot be written.
    """
    settings = Simulation(
        with_settings(ParticleSettings(), particle or {}, where="particle"),
        with_settings(MicroscopeSettings(), microscope or {}, where="microscope"),
        seed,
        with_settings(FaultSettings(), faults or {}, where="faults"),
    )
    records = simulate_records(settings, told)
    if folder is not None:
        write_records(records, Path(folder).expanduser())
    return records


def calibrate(
    record: Data,
    crystal: str | os.PathLike[str],
    *,
    mask: Data | None = None,
    frame: Frame = None,
    acquisition: Known | None = None,
) -> RingCalibration:
    """Beam, reciprocal pixel and ellipse of a pattern of rings, by the spacings of the standard that made it.

    Parameters
    ----------
    record : array or path
        The pattern, such as that of a gold cross grating.
    crystal : str or path
        Name or CIF of the standard.
    mask : array or path, optional
        Pixels not to be trusted, non-zero, for example those of a beam stop.
    frame : int or 'sum', optional
        Of a stacked file.
    acquisition : path, mapping or Acquisition, optional
        What is known of the record. A camera length or reciprocal pixel names the rings where they are ambiguous.

    Raises
    ------
    InputError
        If the record has no rings, or not those of the crystal.
    """
    with scratch_folder() as scratch:
        return calibrate_standard(record, crystal, Path(scratch), mask=mask, frame=frame, acquisition=acquisition)[0]


def _data(
    pattern: Data,
    background: Data,
    image: Data | None,
    support: Data | None,
    mask: Data | None,
    crystal: str | os.PathLike[str] | None,
) -> dict[str, Data | None]:
    if crystal is not None and not isinstance(crystal, str | os.PathLike):
        raise InputError("is no name and no path", where="crystal", mend="give a crystal's name or a CIF")
    return {
        "pattern": pattern,
        "background": background,
        "image": image,
        "support": support,
        "mask": mask,
        "crystal": crystal,
    }


def _prepared(data: Mapping[str, Data | None], listener: Listener, by_crystal: bool, **arguments: Any) -> Prepared:
    """Arrays are in files as long as this takes: what it gives holds them byte for byte."""
    clock = Clock(listener.step)
    with scratch_folder() as scratch, noted_doubts() as doubts:
        plan = plan_of(data, Path(scratch), **arguments)
        inputs = embedded_inputs(plan)
        if by_crystal:
            plan = calibrated_by_crystal(plan, clock)
        outputs = preparation.prepare(plan, clock)
    return Prepared(plan, outputs, inputs, dict(clock.seconds), tuple(doubts))


def _phased(ready: Prepared, listener: Listener, workers: int | None) -> Reconstruction:
    clock = Clock(listener.step, dict(ready.seconds))
    plan, outputs = ready.plan, ready.outputs
    with noted_doubts() as doubts:
        members = retrieve_members(plan, outputs, Steering(plan, outputs), listener, clock, workers=workers)
        result = finish(plan, outputs, members, ready.inputs, clock)
    outcome = Outcome(result, clock.seconds, (*ready.warnings, *doubts))
    return Reconstruction(with_timing(outcome, outcome.seconds))
