"""What waits for the event loop, and what runs beside it.

- ``later``: what is done in a later turn, unless what it is for is gone by then
- ``painting``: many changes painted in one go, and none for nothing new
- ``previews``: short computations in a thread; what is outdated is not begun
- ``patience``: what must be known before the window goes on, asked without freezing it
- ``background_task``: something longer beside the session, such as drawing a figure
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "background_task": ["BackgroundTask"],
        "patience": ["patiently"],
        "previews": ["Previews"],
    },
)
