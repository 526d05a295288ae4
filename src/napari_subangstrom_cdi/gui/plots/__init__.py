"""Curves and numbers of a run and of its result.

- ``r_plot``: R and free R of all members, with stages, marks and a read-out
- ``r_record``: their values as they come in, as plain arrays
- ``number_table``: captions and numbers of readings, marked where there is doubt
- ``run_numbers``: the numbers of the moment, in figures that keep their place
- ``resolution_plot``: transfer function and ring correlation against |q|
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "number_table": ["NumberTable"],
        "r_plot": ["RPlot"],
        "r_record": ["RRecord"],
        "resolution_plot": ["ResolutionPlot"],
        "run_numbers": ["RunNumbers"],
    },
)
