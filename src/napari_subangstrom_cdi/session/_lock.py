"""A file that says that its process lives: locked by it, and unlocked by the system when it ends."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def take(path: Path) -> IO[bytes]:
    """Make the file and lock it for as long as it is open.

    On a file system that knows no locks the file is made all the same; it then protects nothing.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    file = open(path, "xb")  # noqa: SIM115  (open as long as the lock shall hold)
    with contextlib.suppress(OSError):
        _lock(file)
    return file


def is_held(path: Path) -> bool:
    """True if the file is locked, by another process or elsewhere in this one."""
    try:
        with open(path, "rb+") as file:
            try:
                _lock(file)
            except (BlockingIOError, PermissionError):  # what flock and msvcrt say of a lock that is held
                return True
    except OSError:
        pass
    return False
