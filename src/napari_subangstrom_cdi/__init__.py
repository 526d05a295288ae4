"""Electron diffractive imaging of single nanocrystals at sub-ångström resolution.

The front door is this package's own names, loaded when they are first asked for::

    import napari_subangstrom_cdi as sacdi

    result = sacdi.reconstruct(**sacdi.sample_records(), members=2)

- ``reconstruct``: from records to a ``Reconstruction``; ``prepare``, ``phase`` and ``iterate`` do it step by step
- ``read``: a reconstruction from its file; ``repeat``: the job of that file done again
- ``read_record``: a pattern or image from any file, with all that the file says of it
- ``simulate``: records of a particle that is known; ``sample_records``: those that come with the package
- ``constraint``, ``update``: register your own, with ``Parameter`` to declare what can be set; ``Scene`` is what
  a constraint sees
- ``Stage``: one line of a schedule; ``Plan``, ``Change``, ``Acquisition`` and the ``…Settings``: what a job is made of
- ``InputError``: something that the user can mend; ``Stop``: ends a run and keeps its finished members

Behind it are the rooms; each lists its files. Imports point one way, from the last of them to the first:

- ``errors``, ``parameters``: what everything may use
- ``core``: the science, plain functions on arrays
- ``io``: files in and out
- ``simulation``: records of a particle that is known, and the bundled sample
- ``job``: a job without a window: plan, preparation, run, report
- ``api``: the functions above
- ``session``: the job of a window, without Qt
- ``gui``: the window
- ``cli``, ``plugin``: the command line, and what napari asks for; ``__main__`` starts the first
"""

from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:  # the same names for type checkers
    __version__: str
    from napari_subangstrom_cdi.core.ensemble.members import EnsembleSettings as EnsembleSettings
    from napari_subangstrom_cdi.core.phasing.constraints import Scene as Scene
    from napari_subangstrom_cdi.core.phasing.constraints import constraint as constraint
    from napari_subangstrom_cdi.core.phasing.retrieval import InForce as InForce
    from napari_subangstrom_cdi.core.phasing.retrieval import Problem as Problem
    from napari_subangstrom_cdi.core.phasing.retrieval import Snapshot as Snapshot
    from napari_subangstrom_cdi.core.phasing.schedule import Stage as Stage
    from napari_subangstrom_cdi.core.phasing.updates import update as update
    from napari_subangstrom_cdi.io.acquisition import Acquisition as Acquisition
    from napari_subangstrom_cdi.io.image import read_record as read_record
    from napari_subangstrom_cdi.job.pipeline import Stop as Stop
    from napari_subangstrom_cdi.job.plan import Change as Change
    from napari_subangstrom_cdi.job.plan import ImageSettings as ImageSettings
    from napari_subangstrom_cdi.job.plan import ModelSettings as ModelSettings
    from napari_subangstrom_cdi.job.plan import PatternSettings as PatternSettings
    from napari_subangstrom_cdi.job.plan import Plan as Plan
    from napari_subangstrom_cdi.job.plan import RegionSettings as RegionSettings
    from napari_subangstrom_cdi.job.plan import SupportSettings as SupportSettings
    from napari_subangstrom_cdi.simulation.bundled import sample_records as sample_records
    from napari_subangstrom_cdi.simulation.faults import FaultSettings as FaultSettings
    from napari_subangstrom_cdi.simulation.settings import MicroscopeSettings as MicroscopeSettings
    from napari_subangstrom_cdi.simulation.settings import ParticleSettings as ParticleSettings

    from .api import Prepared as Prepared
    from .api import Reconstruction as Reconstruction
    from .api import calibrate as calibrate
    from .api import iterate as iterate
    from .api import phase as phase
    from .api import prepare as prepare
    from .api import read as read
    from .api import reconstruct as reconstruct
    from .api import repeat as repeat
    from .api import simulate as simulate
    from .errors import InputError as InputError
    from .errors import QualityWarning as QualityWarning
    from .parameters import Parameter as Parameter

_public, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "api": [
            "Prepared",
            "Reconstruction",
            "calibrate",
            "iterate",
            "phase",
            "prepare",
            "read",
            "reconstruct",
            "repeat",
            "simulate",
        ],
        "core.ensemble.members": ["EnsembleSettings"],
        "core.phasing.constraints": ["Scene", "constraint"],
        "core.phasing.retrieval": ["InForce", "Problem", "Snapshot"],
        "core.phasing.schedule": ["Stage"],
        "core.phasing.updates": ["update"],
        "errors": ["InputError", "QualityWarning"],
        "io.acquisition": ["Acquisition"],
        "io.image": ["read_record"],
        "job.pipeline": ["Stop"],
        "job.plan": [
            "Change",
            "ImageSettings",
            "ModelSettings",
            "PatternSettings",
            "Plan",
            "RegionSettings",
            "SupportSettings",
        ],
        "parameters": ["Parameter"],
        "simulation.bundled": ["sample_records"],
        "simulation.faults": ["FaultSettings"],
        "simulation.settings": ["MicroscopeSettings", "ParticleSettings"],
    },
)


def __getattr__(name: str) -> Any:
    if name == "__version__":  # to look it up takes longer than all the rest
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("napari-subangstrom-cdi")
        except PackageNotFoundError:  # run from a source tree that was never installed
            return "0.0.0"
    return _public(name)
