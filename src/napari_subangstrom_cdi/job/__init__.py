"""A job without a window: planned, prepared, run, judged and drawn.

- ``plan``: every choice of a job as frozen data, to and from a recipe in TOML; presets
- ``recipe_stages``: a stage as the table of a recipe, and back
- ``headers``: what the files say of the records, as far as the user does not
- ``preparation``: room: from files to a problem that phase retrieval can solve
- ``standard``: a pattern of rings calibrated by a crystal
- ``particle``: which particle of the image the pattern is of, and what a slip has to do with it
- ``steering``: what is changed while a run goes on, recorded and replayed
- ``pipeline``: the whole job: prepare, retrieve, average, judge
- ``readings``: room: every number that a person sees, described once, and how it is written
- ``cross_checks``: whether a result that began with a model is the data's or the model's
- ``progress``: who listens to a job: a bar on the terminal, or a function that watches
- ``arguments``: what a script asks for, as a plan: arrays as files, settings over a preset
- ``as_script``: the other way round: a plan as a command or a script to paste
- ``report``: the picture report, one page
- ``notebook``: a result as a notebook shows it
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "arguments": ["plan_of"],
        "as_script": ["as_command", "as_python"],
        "cross_checks": ["CrossChecks", "cross_check"],
        "pipeline": [
            "Listener",
            "Members",
            "Outcome",
            "Silent",
            "Stop",
            "finish",
            "load_plan",
            "retrieve_members",
            "run",
            "to_json",
        ],
        "plan": ["Change", "Inputs", "Plan", "plan_from_toml", "preset_plan", "read_recipe"],
        "progress": ["Bar", "listening"],
        "readings": ["READINGS", "Reading", "summary"],
        "report": ["write_report"],
        "steering": ["Steering"],
    },
)
