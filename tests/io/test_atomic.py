"""Output files appear whole or not at all, also on a disk that is full."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import atomic_hdf5, atomic_path, check_writable

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits and permissions")


def _files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    final = tmp_path / "out.cxi"
    with atomic_path(final) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".cxi"
        temporary.write_bytes(b"whole")
        assert not final.exists()
    assert _files(tmp_path) == ["out.cxi"] and final.read_bytes() == b"whole"


def test_an_existing_file_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    final = tmp_path / "out.cxi"
    final.write_bytes(b"old")
    for error in (RuntimeError("fault"), KeyboardInterrupt()):
        with pytest.raises(type(error)), atomic_path(final) as temporary:
            temporary.write_bytes(b"half")
            raise error
        assert _files(tmp_path) == ["out.cxi"] and final.read_bytes() == b"old"
    with atomic_path(final) as temporary:
        temporary.write_bytes(b"new")
    assert final.read_bytes() == b"new"


def test_an_error_before_anything_is_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "out.cxi"):
        raise ZeroDivisionError
    assert _files(tmp_path) == []


def test_a_bug_keeps_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "out.cxi") as temporary:
        pass  # nothing written: the caller's fault, not the user's
    assert not temporary.exists()
    other = PermissionError(errno.EACCES, "Permission denied", "/some/other/input.tif")
    with pytest.raises(PermissionError), atomic_path(tmp_path / "out.cxi"):
        raise other


def test_a_link_is_followed(tmp_path: Path) -> None:
    real = tmp_path / "real.cxi"
    real.write_bytes(b"old")
    link = tmp_path / "link.cxi"
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("no symbolic links here")
    with atomic_path(link) as temporary:
        temporary.write_bytes(b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"


def test_a_name_of_the_greatest_length(tmp_path: Path) -> None:
    final = tmp_path / ("n" * 251 + ".cxi")
    with atomic_path(final) as temporary:
        temporary.write_bytes(b"whole")
    assert final.read_bytes() == b"whole"


def test_folders_that_cannot_hold_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cases = {
        tmp_path / "none" / "out.cxi": "the folder .*none does not exist; create it",
        tmp_path / "file" / "out.cxi": "the folder .*file is not a folder",
        tmp_path: "is a folder; give the name of the file",
    }
    for path, pattern in cases.items():
        for function in (check_writable, lambda p: atomic_path(p).__enter__()):
            with pytest.raises(InputError, match=pattern) as caught:
                function(path)
            assert "cannot be written" not in str(caught.value)
    assert check_writable(tmp_path / "out.cxi") == tmp_path.resolve() / "out.cxi"
    assert _files(tmp_path) == ["file"]


@contextmanager
def _no_privileges() -> Iterator[None]:
    """Run the block as nobody where the tests run as root, who may write everywhere."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@posix
def test_a_folder_without_permission() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with _no_privileges():
            with pytest.raises(InputError, match=r"out.cxi: may not be written \(permission denied"):
                check_writable(folder / "out.cxi")
            with pytest.raises(InputError, match="may not be written"), atomic_path(folder / "out.cxi"):
                raise AssertionError("the block must not run")
            assert _files(folder) == []
        folder.chmod(0o755)


@posix
def test_a_write_protected_file() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        final = folder / "out.cxi"
        final.write_bytes(b"old")
        final.chmod(0o444)
        with _no_privileges():
            with pytest.raises(InputError, match="exists and is write-protected; choose another name"):
                check_writable(final)
            assert final.read_bytes() == b"old"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc here")
def test_a_file_system_that_takes_no_files() -> None:
    with pytest.raises(InputError, match=r"cannot be written|may not be written"):
        check_writable("/proc/out.cxi")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    final = tmp_path / "out.cxi"
    final.write_bytes(b"old")
    with (
        pytest.raises(InputError, match=r"out.cxi: the disk is full; free some space"),
        atomic_path(final) as temporary,
    ):
        temporary.write_bytes(b"half")
        with open("/dev/full", "wb") as full:
            full.write(bytes(2**16))
    assert _files(tmp_path) == ["out.cxi"] and final.read_bytes() == b"old"


# What is done when the disk runs full: by Python, by numpy, and by HDF5, which meets it late, or crashes.
WRITES = {
    "python": "with atomic_path(sys.argv[1]) as out: open(out, 'wb').write(data)",
    "numpy": "with atomic_path(sys.argv[1]) as out: np.save(open(out, 'wb'), data)",
    "hdf5 by path": "with atomic_path(sys.argv[1]) as out, h5py.File(out, 'w') as f: f['d'] = data",
    "hdf5": "with atomic_hdf5(sys.argv[1]) as f: f['d'] = data",
    "hdf5 chunked": "with atomic_hdf5(sys.argv[1]) as f: f.create_dataset('d', data=data, chunks=(64, 64))",
    "hdf5 groups": "with atomic_hdf5(sys.argv[1]) as f: [f.create_group(f'g{i}') for i in range(9000)]",
}

SCRIPT = """
    import os, sys
    import h5py, numpy as np
    from napari_subangstrom_cdi.errors import InputError
    from napari_subangstrom_cdi.io import atomic_hdf5, atomic_path
    {limit}
    data = np.random.default_rng(0).random((1024, 1024))
    try:
        {write}
    except InputError as error:
        print(error)
        sys.exit(2)
"""
LIMIT = """import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, 2**19))"""


def _run(final: Path, write: str, limit: str) -> subprocess.CompletedProcess[str]:
    script = textwrap.dedent(SCRIPT).format(write=write, limit=limit)
    return subprocess.run(
        [sys.executable, "-c", script, str(final)], capture_output=True, text=True, timeout=60, check=False
    )


@posix
@pytest.mark.parametrize("how", sorted(WRITES))
def test_a_limit_on_file_size(tmp_path: Path, how: str) -> None:
    final = tmp_path / "out.cxi"
    final.write_bytes(b"old")
    done = _run(final, WRITES[how], LIMIT)
    assert done.returncode == 2, done.stderr
    # numpy does not tell why it could not write
    expected = "the disk is full" if how == "numpy" else "the file grows larger than"
    assert done.stdout.startswith(f"{final}: {expected}"), done.stdout
    assert _files(tmp_path) == ["out.cxi"] and final.read_bytes() == b"old"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """File system of 1 MB, where this account may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("how", sorted(WRITES))
def test_a_disk_that_runs_full(small_disk: Path, how: str) -> None:
    final = small_disk / "out.cxi"
    final.write_bytes(b"old")
    done = _run(final, WRITES[how], "")
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith(f"{final}: the disk is full"), done.stdout
    assert _files(small_disk) == ["out.cxi"] and final.read_bytes() == b"old"


def test_hdf5_files_come_out_whole(tmp_path: Path) -> None:
    final = tmp_path / "out.cxi"
    data = np.random.default_rng(0).random((300, 400)).astype(np.complex64)
    with atomic_hdf5(final) as file:
        file.create_dataset("chunked", data=data, chunks=(50, 50), compression="gzip")
        file["plain"] = data
        file["link"] = h5py.SoftLink("/plain")
        assert not final.exists()
    with h5py.File(final) as file:
        for name in ("chunked", "plain", "link"):
            np.testing.assert_array_equal(file[name][()], data)
    with pytest.raises(ZeroDivisionError), atomic_hdf5(final) as file:
        file["plain"] = 0
        raise ZeroDivisionError
    with h5py.File(final) as file:
        assert set(file) == {"chunked", "plain", "link"}
    assert _files(tmp_path) == ["out.cxi"]
