"""Phase retrieval: what is demanded of the object and of its transform, and the loop that does it.

- ``regions``: G, B and M of the pattern, and the band of amplitudes that they demand
- ``schedule``: stages as data: the paper's schedule, phase extension and others
- ``constraints``: what is known of the object, as projections or reflections of the estimate
- ``updates``: how the next iterate follows from the two projections
- ``registry``: constraints and update rules by name: ours, a script's, and those of installed packages
- ``retrieval``: the one driver: a generator of snapshots that can be steered
- ``_kernel``: its fast Fourier projection, in place; the reference is ``AmplitudeBand.project``
- ``_plane``: band and amplitudes cut into blocks of columns for the kernel
- ``_crew``: threads that share out numbered tasks
- ``_steps``: how a stage is iterated: on the support's box, with feedback outside it, or on the whole array
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "constraints": ["Constraint", "LowBand", "Scene", "constraint"],
        "regions": ["AmplitudeBand", "Region", "amplitude_band", "find_regions"],
        "retrieval": ["InForce", "Problem", "Retrieval", "Snapshot", "iterate", "retrieve"],
        "schedule": [
            "Schedule",
            "Stage",
            "extend_schedule",
            "model_schedule",
            "paper_schedule",
            "support_only_schedule",
        ],
        "updates": ["Update", "update"],
    },
)
