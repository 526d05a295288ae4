"""The job of a window, without Qt: what is done, what is stale, and a thread that does the next step.

- ``session``: one job as a window has it: what the user wants, what is done, how it is kept
- ``steps``: what each step left and with which settings: what is stale, what is to be done
- ``thread``: does one step after the other, and the run
- ``follow``: a run that is steered, and the settings that it has come to
- ``news``: what happens, told to whoever polls
- ``by_hand``: the tools that work by hand needs, made with the steps and kept until they are stale
- ``history``: the settings as they stand, with undo and redo
- ``watch``: a run as it is seen: pause, step, stop, the newest frame, R-factors, running average
- ``pace``: how often what is watched is shown
- ``trials``: what these tools answer: supports, regions and models by settings that are being tried
- ``recovery``: finished members on the disk until they are saved
- ``_lock``: a file that says that its process lives
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "history": ["History"],
        "recovery": ["Keeper", "Recovered", "Recovery", "found"],
        "news": ["Event", "Happening"],
        "session": ["Session", "Step"],
        "steps": ["State"],
        "watch": ["Control", "Live"],
    },
)
