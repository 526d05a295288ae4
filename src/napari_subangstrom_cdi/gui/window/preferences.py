"""The plugin's preferences, kept by napari and shown in its Preferences dialog."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

PLUGIN = "napari-subangstrom-cdi"
TITLE = "Sub-Å CDI"
"""The plugin's name in menus and titles, as the manifest has it."""


@dataclass(frozen=True)
class Preferences:
    """What the manifest's ``configurations`` declare, with the same defaults.

    Parameters
    ----------
    frames_per_second : float
        Of the live reconstruction; 0 lets the window choose, so that watching costs the run little.
    autosave : bool
        Keep finished members on disk until the project is saved.
    preset : str
        Of a new job.
    members : int
        Of a new job.
    """

    frames_per_second: float = 0.0
    autosave: bool = True
    preset: str = "extend"
    members: int = 20

    @classmethod
    def read(cls) -> Preferences:
        """The preferences as they stand; the defaults where napari keeps none."""
        kept = kept_by_napari()
        return cls() if kept is None else cls(**{f.name: getattr(kept, f.name) for f in fields(cls)})


def remember(name: str, value: Any) -> None:
    """Have napari keep one preference, which it saves at once."""
    kept = kept_by_napari()
    if kept is not None:
        setattr(kept, name, value)


def kept_by_napari() -> Any:
    """Napari's own object of these preferences, with an event for each; None if it does not know the plugin."""
    from napari.settings import get_plugin_settings

    try:
        return get_plugin_settings(PLUGIN).window
    except (KeyError, AttributeError):
        return None
