"""One dock a step, and those that are no steps; the manifest names them.

- ``workflow``: all steps in one dock, in order
- ``data``: which records, and how they were taken
- ``background``: the beam, the background taken away, the array
- ``align``: the image laid onto the pattern
- ``masks``: support and regions
- ``model``: a known crystal fitted to pattern and image
- ``phase``: schedule, ensemble, the run, and steering it
- ``results``: numbers, what is shown, files, and copying as command or script
- ``r_factor``: the curve of R and the numbers of the moment
- ``reciprocal``: the second canvas as a dock
- ``simulate``: records of a particle that is known, as the job of the workflow
- ``parts``: room: parts of docks, and what all docks have in common
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "align": ["AlignDock"],
        "background": ["BackgroundDock"],
        "data": ["DataDock"],
        "masks": ["MasksDock"],
        "model": ["ModelDock"],
        "phase": ["PhaseDock"],
        "r_factor": ["RFactorDock"],
        "reciprocal": ["ReciprocalSpace"],
        "results": ["ResultsDock"],
        "simulate": ["SimulateDock"],
        "workflow": ["Workflow"],
    },
)
