"""What the headers of files say, asked once for each file as it stands on the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.gui.loop.patience import patiently
from napari_subangstrom_cdi.io import Item, contents, split_address
from napari_subangstrom_cdi.io.image import short_name
from napari_subangstrom_cdi.io.stack import StackInfo, describe, state_of


class KnownFiles:
    """Remembers what files hold; one that was written anew, or got company in its folder, is looked at again."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Any] = {}

    def described(self, address: str) -> StackInfo | None:
        """Shape and header of the array at an address; None if it cannot be read."""
        found: StackInfo | None = self._asked(describe, address, address)
        return found

    def arrays(self, address: str) -> tuple[Item, ...]:
        """All arrays of an address's file of which one may be chosen; empty if it holds one only."""
        return self._asked(contents, address, str(split_address(address)[0])) or ()

    def _asked(self, question: Callable[[str], Any], address: str, of: str) -> Any:
        state = state_of(address)
        if state is None:
            return None
        key = (question.__name__, of, state)
        if key not in self._known:
            self._known[key] = patiently(lambda: _answer(question, of), f"reading {short_name(of)}")
        return self._known[key]


def _answer(question: Callable[[str], Any], of: str) -> Any:
    with collected_doubts():  # the step that reads it says them
        try:
            return question(of)
        except InputError:
            return None


def is_file(address: str) -> bool:
    """Whether an address's file is there."""
    return split_address(address)[0].is_file()
