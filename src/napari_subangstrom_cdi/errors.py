"""The errors a user can mend, told apart from the faults of the program."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


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

    Notes
    -----
    ``str(error)`` is one sentence of the form ``where: problem; mend``. Commands print it and
    end with exit code 2; nothing else is caught, so that a bug keeps its traceback.
    """

    def __init__(self, problem: str, *, where: str | None = None, mend: str | None = None) -> None:
        self.problem = problem
        self.where = where
        self.mend = mend
        text = f"{where}: {problem}" if where else problem
        super().__init__(f"{text}; {mend}" if mend else text)


class QualityWarning(UserWarning):
    """The run goes on, but a careful colleague would look at this before trusting the result."""


_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


def doubt(message: str) -> None:
    """Warn of something that a careful colleague would look at.

    Inside :func:`collected_doubts` it is kept there; elsewhere it is a :class:`QualityWarning`. Python's own
    capture of warnings belongs to the whole process, and a window computes in a thread.
    """
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
