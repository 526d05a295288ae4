"""Many runs from many starts, put into one frame, averaged and judged.

- ``members``: how members differ, the runs one after another, and their average
- ``superposition``: one reconstruction laid onto another: global phase and the true translation
- ``metrics``: R, transfer function, ring correlation and other numbers to judge an average by
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "members": ["Ensemble", "EnsembleSettings", "combine", "iterate_ensemble"],
        "metrics": ["RadialCurve", "r_factor", "resolution_angstrom", "split_half_correlation", "transfer_function"],
        "superposition": ["Alignment", "align", "object_origin"],
    },
)
