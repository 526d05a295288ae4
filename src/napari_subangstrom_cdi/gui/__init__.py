"""The window: the only package that imports Qt or napari, and Qt always through qtpy.

- ``widgets``: room: widgets that know nothing of the session
- ``loop``: room: what waits for the event loop, and what runs beside it
- ``schedule``: room: the schedule as a table
- ``plots``: room: curves of R and of resolution, and tables of numbers
- ``canvas``: room: real space, reciprocal space, and their layers
- ``window``: room: what the docks of one viewer share, and the manners of the window
- ``docks``: room: one dock a step, and those that are no steps
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["widgets", "loop", "schedule", "plots", "canvas", "window", "docks"]
)
