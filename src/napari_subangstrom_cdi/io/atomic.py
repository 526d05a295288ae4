"""Write files whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py

from napari_subangstrom_cdi.errors import InputError

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_CORE_BLOCK = 2**24
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Path of an output file, resolved, once it is sure that a file can be written there.

    Call it before a long run, so that a mistyped folder is found at the start.

    Parameters
    ----------
    path : path-like
        File to be written; an existing one may be replaced.

    Returns
    -------
    pathlib.Path
        Absolute, symbolic links followed.

    Raises
    ------
    InputError
        If the folder is missing or not writable, or the path is a folder or a write-protected file.
    """
    try:
        final = Path(path).expanduser().resolve()
        if final.is_dir():
            raise InputError("is a folder", where=str(path), mend="give the name of the file to write in it")
        if not final.parent.is_dir():
            what = "is not a folder" if final.parent.exists() else "does not exist"
            raise InputError(f"the folder {final.parent} {what}", where=str(path), mend="create it or choose another")
        if final.exists() and not os.access(final, os.W_OK):
            raise InputError("exists and is write-protected", where=str(path), mend="choose another name")
        # os.access does not see read-only file systems everywhere, nor a full disk: try.
        with tempfile.TemporaryFile(dir=final.parent):
            pass
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise _as_input_error(error, Path(path)) or InputError(
            f"cannot be written ({getattr(error, 'strerror', None) or error})",
            where=str(path),
            mend="choose another",
        ) from error
    return final


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside the final one, and rename it when the block ends well.

    For HDF5 use `atomic_hdf5`.

    If the block raises, also by Ctrl-C, the temporary file is removed and an existing final file is left
    as it was.

    Parameters
    ----------
    path : path-like
        File to be written.

    Yields
    ------
    pathlib.Path
        Path to write to and close, in the same folder and with the same suffix.

    Raises
    ------
    InputError
        If the file cannot be written: no such folder, no permission, disk full.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, atomic_path(f"{folder}/a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    """
    final = check_writable(path)
    temporary = final.with_name(f".{secrets.token_hex(6)}.part{final.suffix}")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, final)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        mended = _as_input_error(error, Path(path), temporary)
        if mended is not None:
            raise mended from error
        raise
    _sync_folder(final.parent)


@contextmanager
def atomic_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Give a new HDF5 file that is built in memory, and write it whole when the block ends well.

    A process in which HDF5 itself meets a full disk may crash when it closes the file (seen with HDF5 1.14
    and chunked data), so HDF5 is kept away from the disk.

    Parameters
    ----------
    path : path-like
        File to be written.

    Yields
    ------
    h5py.File
        Open for writing; takes as much memory as it will take space on the disk.

    Raises
    ------
    InputError
        If the file cannot be written: no such folder, no permission, disk full.
    """
    with (
        atomic_path(path) as temporary,
        h5py.File(temporary, "w", driver="core", backing_store=False, block_size=_CORE_BLOCK) as file,
    ):
        yield file
        file.flush()
        temporary.write_bytes(file.id.get_file_image())


def _sync(path: Path) -> None:
    with open(path, "rb+") as stream:
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _as_input_error(error: BaseException, path: Path, temporary: Path | None = None) -> InputError | None:
    """`InputError` for a failure to write that the user can mend, None for any other error."""
    if isinstance(error, InputError) or not isinstance(error, Exception):
        return None
    for link in _chain(error):
        # An error that names another file has nothing to do with this one.
        if isinstance(link, OSError) and temporary is not None and link.filename is not None:
            named = Path(os.fsdecode(link.filename)) if not isinstance(link.filename, int) else temporary
            if named.name not in (temporary.name, path.name):
                continue
        if _is(link, _FULL):
            return InputError("the disk is full", where=str(path), mend="free some space or choose another folder")
        if _is(link, (errno.EFBIG,)):
            return InputError(
                "the file grows larger than the file system or a limit of this account allows",
                where=str(path),
                mend="choose another disk or raise the limit (ulimit -f)",
            )
        if _is(link, _FORBIDDEN):
            return InputError(
                "may not be written (permission denied, or a read-only disk)",
                where=str(path),
                mend="choose another folder, and close the file where it is open in another program",
            )
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _is(error: BaseException, codes: tuple[int, ...]) -> bool:
    """True if the error has one of the codes, or hides it in its message, as those of h5py and numpy do."""
    if isinstance(error, OSError) and error.errno in codes:
        return True
    text = str(error)
    if errno.ENOSPC in codes and re.search(r"\d+ requested and \d+ written", text):
        return True
    return any(f"errno = {code}," in text or os.strerror(code) in text for code in codes)
