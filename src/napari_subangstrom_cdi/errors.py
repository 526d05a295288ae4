"""The errors a user can mend, told apart from the faults of the program."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Remedy:
    """A change of settings that would mend what an error or a doubt is about, for a button to take over.

    Parameters
    ----------
    title : str
        What is taken to be so, in a few words.
    settings : tuple of (str, object)
        Settings of the plan by section and name, such as ``image.mirrored``, and their values.
    """

    title: str
    settings: tuple[tuple[str, Any], ...]


class Said(str):
    """A sentence of an error or a doubt, with what would mend it.

    Parameters
    ----------
    text : str
        The sentence.
    remedies : tuple of Remedy
        Each of them would do by itself.
    """

    remedies: tuple[Remedy, ...]

    def __new__(cls, text: str, remedies: tuple[Remedy, ...] = ()) -> Said:
        """A string like any other, but for what it carries."""
        said = super().__new__(cls, text)
        said.remedies = remedies
        return said


def remedies_of(*texts: str) -> tuple[Remedy, ...]:
    """What would mend what these sentences are about, each once."""
    found = dict.fromkeys(remedy for text in texts if isinstance(text, Said) for remedy in text.remedies)
    return tuple(found)


class InputError(ValueError):
    """Something in the user's data or settings is wrong, and the user can mend it.

    Parameters
    ----------
    problem : str
        What is wrong, with the value found.
    where : str, optional
        The file, key or option concerned.
    mend : str, optional
        What to do about it.
    remedies : tuple of Remedy, optional
        The same as changes of settings, where the program knows them.

    Notes
    -----
    ``str(error)`` is one sentence of the form ``where: problem; mend``. Commands print it and
    end with exit code 2; nothing else is caught, so that a bug keeps its traceback.
    """

    def __init__(
        self, problem: str, *, where: str | None = None, mend: str | None = None, remedies: tuple[Remedy, ...] = ()
    ) -> None:
        self.problem = problem
        self.remedies = remedies
        self.where = where
        self.mend = mend
        text = f"{where}: {problem}" if where else problem
        super().__init__(f"{text}; {mend}" if mend else text)

    def at(self, where: str | None) -> InputError:
        """Give the same error about another file, key or option."""
        return InputError(self.problem, where=where, mend=self.mend, remedies=self.remedies)


class QualityWarning(UserWarning):
    """The run goes on, but a careful colleague would look at this before trusting the result."""


_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


def doubt(message: str, remedies: tuple[Remedy, ...] = ()) -> None:
    """Warn of something that a careful colleague would look at, and say which changes of settings would settle it.

    Inside :func:`collected_doubts` it is kept there; elsewhere it is a :class:`QualityWarning`. Python's own
    capture of warnings belongs to the whole process, and a window computes in a thread.
    """
    if remedies:
        message = Said(message, remedies)
    collected = _collected.get()
    if collected is None:
        warnings.warn(message, QualityWarning, stacklevel=3)
    elif message not in collected:
        collected.append(message)


@contextmanager
def collected_doubts() -> Iterator[list[str]]:
    """Collect what is doubted inside, each once, in this thread."""
    messages: list[str] = []
    token = _collected.set(messages)
    try:
        yield messages
    finally:
        _collected.reset(token)
