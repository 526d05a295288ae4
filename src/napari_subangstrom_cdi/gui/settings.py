"""The plugin's preferences, kept by napari and shown in its Preferences dialog."""

from __future__ import annotations

from dataclasses import dataclass, fields

PLUGIN = "napari-subangstrom-cdi"
TITLE = "Sub-Å CDI"
"""The plugin's name in menus and titles, as the manifest has it."""


@dataclass(frozen=True)
class Settings:
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
    def read(cls) -> Settings:
        """The preferences as they stand; the defaults where napari keeps none."""
        from napari.settings import get_plugin_settings

        try:
            kept = get_plugin_settings(PLUGIN).window
        except (KeyError, AttributeError):  # the plugin is not registered with this napari
            return cls()
        return cls(**{f.name: getattr(kept, f.name) for f in fields(cls)})

    def write(self) -> None:
        """Have napari keep these preferences; it saves each that differs at once."""
        from napari.settings import get_plugin_settings

        try:
            kept = get_plugin_settings(PLUGIN).window
        except (KeyError, AttributeError):
            return
        for f in fields(self):
            if getattr(kept, f.name) != getattr(self, f.name):
                setattr(kept, f.name, getattr(self, f.name))
