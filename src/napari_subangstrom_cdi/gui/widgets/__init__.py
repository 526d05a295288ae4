"""Widgets that know nothing of the session.

- ``style``: state badge, status line, titles, buttons; colours of both themes
- ``painting``: many changes painted in one go, and none for nothing new
- ``editors``: magicgui's widgets from what a parameter declares: exact, and told of the user's changes only
- ``fields``: rows of them: caption, value with unit, what is wrong; a part of a dock that can be folded away
- ``hand_slider``: a number set by hand: superqt's slider and a box, exact in both
- ``acquisition_form``: what is known of the records, as a form
- ``input_row``: one input of a job: which layer or file, and which frame
- ``inputs``: layers as inputs: which can be chosen, and what they know
- ``file_dialogs``: files that a user picks or drops
- ``paint_tools``: buttons that choose how a mask is painted
- ``schedule_table``: the schedule, one row a stage
- ``schedule_cells``: its columns and editors
- ``schedule_popups``: what opens over its cells: constraints, and parameters of a rule
- ``part_editor``: editors of a constraint's parameters, made from their declaration
- ``previews``: short computations in a thread; what is outdated is not begun
- ``background_task``: something longer beside the session, such as drawing a figure
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "background_task": ["BackgroundTask"],
        "input_row": ["InputRow"],
        "paint_tools": ["PaintTools"],
        "previews": ["Previews"],
        "schedule_table": ["ScheduleTable"],
        "style": ["StateBadge", "StatusLine"],
    },
)
