"""Widgets that know nothing of the session.

- ``style``: state badge, status line, titles, buttons; colours of both themes
- ``editors``: magicgui's widgets from what a parameter declares: exact, and told of the user's changes only
- ``fields``: rows of them: caption, value with unit, what is wrong; a part of a dock that can be folded away
- ``hand_slider``: a number set by hand: superqt's slider and a box, exact in both
- ``acquisition_form``: what is known of the records, as a form
- ``input_row``: one input of a job: which layer or file, and which frame
- ``inputs``: layers as inputs: which can be chosen, and what they know
- ``array_chooser``: which of several arrays of a file: a tree, and a small picture of the one that is looked at
- ``known_files``: what the headers of files say, asked once
- ``file_dialogs``: files that a user picks or drops
- ``paint_tools``: buttons that choose how a mask is painted
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "acquisition_form": ["AcquisitionForm"],
        "array_chooser": ["ArrayChooser"],
        "fields": ["FieldForm"],
        "hand_slider": ["HandSlider"],
        "input_row": ["InputRow"],
        "paint_tools": ["PaintTools"],
        "style": ["StateBadge", "StatusLine"],
    },
)
