"""The job of a window, without Qt: what is done, what is stale, and a thread that does the next step.

- ``session``: one job: its settings, the states of its steps, and their outputs
- ``history``: the settings as they stand, with undo and redo
- ``watch``: a run as it is seen: pause, step, stop, the newest frame, R-factors, running average
- ``trials``: what work by hand asks again and again, built once in the session's thread
- ``recovery``: finished members on the disk until they are saved
- ``_lock``: a file that says that its process lives
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "history": ["History"],
        "recovery": ["Keeper", "Recovered", "Recovery", "found"],
        "session": ["Event", "Session", "State", "Step"],
        "watch": ["Control", "Live"],
    },
)
