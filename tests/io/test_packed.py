"""Packed files: what is inside is read, nothing is left behind, and no archive fills memory or disk."""

from __future__ import annotations

import gzip
import io
import lzma
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from writers.ditabis import ditabis_bytes
from writers.fuji import fuji
from writers.packed import PACK, pack, zipped

from napari_subangstrom_cdi.errors import InputError, collected_doubts
from napari_subangstrom_cdi.io import packed, read_image
from napari_subangstrom_cdi.io.image import contents

DATA = np.random.default_rng(1).integers(0, 60000, (24, 32)).astype("u2")


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert not list(folder.iterdir())


def hdf5_bytes(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return buffer.getvalue()


def tiff_bytes(data: np.ndarray = DATA, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, data, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.ipl", "a.h5"])
def test_a_packed_file_reads_as_what_is_in_it(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, DATA)
    else:
        path.write_bytes({"a.tif": tiff_bytes(), "a.ipl": ditabis_bytes(DATA, 2), "a.h5": hdf5_bytes(x=DATA)}[name])
    plain = read_image(path)
    found = read_image(pack(path, suffix))
    np.testing.assert_array_equal(found.data, DATA)
    assert (found.header, found.format_name) == (plain.header, plain.format_name)
    assert found.path == tmp_path / f"{name}{suffix}"


def test_a_zip_of_one_file_and_what_describes_it(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"folder/": b"", "folder/a.tif": tiff_bytes(), "readme.txt": b"a record"})
    np.testing.assert_array_equal(read_image(path).data, DATA)
    assert contents(path) == ()
    np.testing.assert_array_equal(read_image(f"{path}::folder/a.tif").data, DATA)


def test_a_zip_of_several_files_has_them_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.tif": tiff_bytes(), "b/c.ipl": ditabis_bytes(DATA[:10]), "d.txt": b"text"})
    with pytest.raises(InputError, match=r"zip archive of 2 files; .*: a.zip::a.tif, a.zip::b/c.ipl"):
        read_image(path)
    assert [item.name for item in contents(path)] == ["a.tif", "b/c.ipl"]
    found = read_image(f"{path}::b/c.ipl")
    np.testing.assert_array_equal(found.data, DATA[:10])
    assert found.dataset == "b/c.ipl"
    with pytest.raises(InputError, match=r"has no file 'e.tif' in it; it holds a.zip::a.tif"):
        read_image(f"{path}::e.tif")


def test_arrays_inside_a_packed_file_are_named_behind_it(tmp_path: Path) -> None:
    inside = hdf5_bytes(one=DATA, two=DATA[:10])
    path = zipped(tmp_path / "a.zip", {"a.h5": inside, "b.h5": inside})
    found = read_image(f"{path}::b.h5::/two")
    np.testing.assert_array_equal(found.data, DATA[:10])
    assert found.dataset == "b.h5::/two"
    alone = zipped(tmp_path / "alone.zip", {"a.h5": inside})
    np.testing.assert_array_equal(read_image(f"{alone}::/two").data, DATA[:10])
    (tmp_path / "a.h5").write_bytes(inside)
    np.testing.assert_array_equal(read_image(f"{pack(tmp_path / 'a.h5', '.gz')}::/two").data, DATA[:10])


def test_numpys_own_archives_stay_what_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=DATA)
    assert read_image(tmp_path / "a.npz").format_name == "NPZ"
    (tmp_path / "a.npz").rename(tmp_path / "a.zip")
    assert read_image(tmp_path / "a.zip").format_name == "NPZ"


def test_a_plate_in_a_zip_finds_its_text(tmp_path: Path) -> None:
    psl = np.random.default_rng(5).gamma(2.0, 3.0, (24, 32))
    fuji(tmp_path / "plate", psl)
    files = {f"plate{suffix}": (tmp_path / f"plate{suffix}").read_bytes() for suffix in (".img", ".inf")}
    path = zipped(tmp_path / "a.zip", files)
    np.testing.assert_allclose(read_image(path).data, psl, rtol=1e-3)


def test_messages_and_doubts_name_the_file_that_was_given(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"plate.ipl": ditabis_bytes(DATA)[:3000]})
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path} [plate.ipl]: the file is cut short")
    (tmp_path / "white.tif").write_bytes(tiff_bytes(photometric="miniswhite"))
    given = pack(tmp_path / "white.tif", ".gz")
    with collected_doubts() as doubts:
        read_image(given)
    assert doubts[0].startswith(f"{given}: ") and "temporary" not in doubts[0].replace(str(tmp_path), "")


@pytest.mark.parametrize("suffix", PACK)
def test_an_archive_cut_short(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a.tif").write_bytes(tiff_bytes())
    path = pack(tmp_path / "a.tif", suffix)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"a (gzip|bzip2|xz) archive, and damaged or cut short"):
        read_image(path)
    path.write_bytes(path.read_bytes()[:12])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_image(path)


def test_a_zip_whose_content_was_changed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.tif": tiff_bytes()}, zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    raw[200] ^= 255
    path.write_bytes(raw)
    with pytest.raises(InputError, match="zip archive, and damaged"):
        read_image(path)


def test_other_content_tells_what_it_is(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"notes.txt": b"nothing but text here"})
    with pytest.raises(InputError, match=r"a.zip \[notes.txt\]: holds text"):
        read_image(path)
    path = zipped(tmp_path / "b.zip", {"a.tif.gz": gzip.compress(tiff_bytes())})
    with pytest.raises(InputError, match="is a gzip archive inside an archive"):
        read_image(path)
    with pytest.raises(InputError, match=r"zip archive without (files|NumPy arrays)"):
        read_image(zipped(tmp_path / "c.zip", {}))


def test_an_encrypted_zip(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.tif": tiff_bytes()})
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\1\2") + 8] |= 1
    raw[6] |= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match="in it is encrypted"):
        read_image(path)


@pytest.mark.parametrize("kind", [".gz", ".bz2", ".xz", ".zip"])
def test_a_bomb_is_stopped_before_it_fills_memory_or_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(packed, "MAX_UNPACKED", 8 * 2**20)
    zeros = bytes(16 * 2**20)
    path = tmp_path / f"a.mrc{kind}"
    if kind == ".zip":
        zipped(path, {"a.mrc": zeros})
    else:
        path.write_bytes(PACK[kind](zeros))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"unpacks to .* or more; unpack it yourself|unpacks to .* or more, above"):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_of_what_nobody_can_read_only_the_beginning_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.log.gz"
    path.write_bytes(gzip.compress(bytes(64 * 2**20), 1))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"a.log\]: is of no known format"):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_an_xz_that_asks_for_a_gigantic_dictionary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_DICTIONARY", 2**22)
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**23}]
    path = tmp_path / "a.tif.xz"
    path.write_bytes(lzma.compress(tiff_bytes(), filters=filters, format=lzma.FORMAT_XZ))
    with pytest.raises(InputError, match="xz archive"):
        read_image(path)


def test_names_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"../../evil.tif": tiff_bytes(), "/etc/passwd.tif": tiff_bytes(DATA[:10])})
    np.testing.assert_array_equal(read_image(path, dataset="../../evil.tif").data, DATA)
    assert not (tmp_path.parent / "evil.tif").exists() and not (tmp_path / "evil.tif").exists()
    np.testing.assert_array_equal(read_image(f"{path}::/etc/passwd.tif").data, DATA[:10])
