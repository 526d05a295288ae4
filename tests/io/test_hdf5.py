"""HDF5 of no dialect: which array is meant, links, masks, stacks of any order of axes, and what is strange."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from writers.hdf5 import write_hdf5, write_loops, write_strange

from napari_subangstrom_cdi.errors import InputError, QualityWarning
from napari_subangstrom_cdi.io.formats.hdf5.values import attribute
from napari_subangstrom_cdi.io.image import contents, read_image, read_mask
from napari_subangstrom_cdi.io.stack import read_stack

Array = NDArray[Any]
Counts = Callable[..., Array]


# ---- which array is meant -----------------------------------------------------------------------


def test_the_record_is_told_from_gain_and_dark(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.h5"
    helpers = ("gain", "dark", "flatField", "pixel_mask", "calib/bad_pixels", "x/weights")
    write_hdf5(path, {"raw": counts(), **{name: counts() % 3 for name in helpers}})
    read = read_image(path)
    assert read.dataset == "/raw"
    np.testing.assert_array_equal(read.data, counts())
    assert {item.name for item in contents(path)} == {"/raw", *(f"/{name}" for name in helpers)}
    assert contents(path)[0].name == "/raw"


def test_a_dark_field_is_an_image(tmp_path: Path, counts: Counts) -> None:
    write_hdf5(tmp_path / "a.h5", {"annular_dark_field": counts(), "dark": counts((4, 4))})
    assert read_image(tmp_path / "a.h5").dataset == "/annular_dark_field"


@pytest.mark.parametrize("place", ["entry/data", "entry/data/data", "entry_1/data"])
def test_an_entry_s_data_go_before_others_and_it_is_said(tmp_path: Path, counts: Counts, place: str) -> None:
    path = tmp_path / "a.h5"
    write_hdf5(path, {"processed/sum": counts((4, 5)), place: counts()})
    with pytest.warns(QualityWarning, match=rf"took /{place}; it also holds /processed/sum \(4 x 5\)"):
        assert read_image(path).dataset == f"/{place}"


def test_several_images_are_a_question_whose_answer_is_named(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.h5"
    write_hdf5(path, {"a/one": counts(), "b/two": counts() + 1})
    with pytest.raises(InputError, match=r"several images: .*such as FILE::/a/one, or choose it from the list"):
        read_image(path)
    np.testing.assert_array_equal(read_image(f"{path}::/b/two").data, counts() + 1)
    np.testing.assert_array_equal(read_image(f"{path}::b/two").data, counts() + 1)
    assert [(item.name, item.shape, item.dtype) for item in contents(path)] == [
        ("/a/one", (23, 31), "uint16"),
        ("/b/two", (23, 31), "uint16"),
    ]


def test_lists_of_numbers_are_no_images(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.h5"
    write_hdf5(
        path, {"frame": counts(), "positions": np.zeros((100, 2)), "xyz": np.zeros((50, 3)), "cell": np.ones((1, 6))}
    )
    assert read_image(path).dataset == "/frame"
    write_hdf5(path, {"positions": np.zeros((100, 2)), "cell": np.ones((1, 6))})
    with pytest.raises(InputError, match="none of which is plainly an image"):
        read_image(path)


def test_text_as_bytes_is_no_image(tmp_path: Path, counts: Counts) -> None:
    text = np.zeros((6000, 2), np.uint8)
    write_hdf5(tmp_path / "a.h5", {"x/Metadata": text, "x/frame": counts()})
    assert read_image(tmp_path / "a.h5").dataset == "/x/frame"
    assert contents(tmp_path / "a.h5") == ()


def test_strange_contents_hide_no_image(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.h5"
    write_strange(path, counts())
    np.testing.assert_array_equal(read_image(path).data, counts())
    for name, problem in {
        "compound": "not numbers",
        "references": "not numbers",
        "regions": "not numbers",
        "words": "not numbers",
        "ragged": "not numbers",
        "opaque": "not numbers",
        "empty": "is empty",
        "type": "no dataset",
        "absent/deeper": "no dataset",
        "image/deeper": "no dataset",
    }.items():
        with pytest.raises(InputError, match=problem):
            read_image(f"{path}::{name}")


# ---- links ----------------------------------------------------------------------------------------


def test_links_that_go_round_end(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.h5"
    write_loops(path, counts())
    started = time.perf_counter()
    with pytest.warns(QualityWarning, match="points to"):
        np.testing.assert_array_equal(read_image(path).data, counts())
    np.testing.assert_array_equal(read_image(f"{path}::/a/b/up/b/whole/a/b/frame").data, counts())
    for name in ("itself", "ping"):
        with pytest.raises(InputError, match="points to"):
            read_image(f"{path}::/a/b/{name}")
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("absolute", [False, True])
def test_data_in_another_folder_s_file(tmp_path: Path, counts: Counts, absolute: bool) -> None:
    for folder in ("raw", "work"):
        (tmp_path / folder).mkdir()
    other, path = tmp_path / "raw" / "frames.h5", tmp_path / "work" / "a.h5"
    write_hdf5(other, {"x/counts": counts()})
    write_hdf5(path, {"record": h5py.ExternalLink(str(other) if absolute else "../raw/frames.h5", "/x/counts")})
    read = read_image(path)
    np.testing.assert_array_equal(read.data, counts())
    assert read.dataset == "/record"
    other.unlink()
    for address in (path, f"{path}::record"):
        with pytest.raises(InputError, match=r"data of /record are in .*frames.h5, which is missing .*copy that file"):
            read_image(address)


def test_a_link_to_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes")
    os.mkfifo(tmp_path / "pipe.h5")
    write_hdf5(tmp_path / "a.h5", {"record": h5py.ExternalLink("pipe.h5", "/x")})
    for name in ("", "::record"):
        with pytest.raises(InputError, match=r"pipe.h5, which is missing"):
            read_image(f"{tmp_path / 'a.h5'}{name}")


def test_a_missing_link_beside_an_image_is_said(tmp_path: Path, counts: Counts) -> None:
    write_hdf5(tmp_path / "a.h5", {"frame": counts(), "other": h5py.ExternalLink("gone.h5", "/x")})
    with pytest.warns(QualityWarning, match=r"/other are in gone.h5, which is missing"):
        np.testing.assert_array_equal(read_image(tmp_path / "a.h5").data, counts())


def _virtual(path: Path, **sources: tuple[str, str]) -> None:
    with h5py.File(path, "w") as file:
        for name, (other, dataset) in sources.items():
            layout = h5py.VirtualLayout((4, 5), "u2")
            layout[:] = h5py.VirtualSource(other, dataset, (4, 5))
            file.create_virtual_dataset(name, layout)


def test_virtual_data_that_are_to_be_found_in_themselves(tmp_path: Path) -> None:
    # HDF5 2.0 ends the whole program where it reads such a file
    _virtual(tmp_path / "a.h5", a=(".", "a"))
    _virtual(tmp_path / "b.h5", a=(".", "b"), b=(".", "a"))
    _virtual(tmp_path / "c.h5", a=("d.h5", "a"))
    _virtual(tmp_path / "d.h5", a=("c.h5", "a"))
    for name in "abc":
        with pytest.raises(InputError, match="to be found in itself"):
            read_image(f"{tmp_path / name}.h5::a")


def test_virtual_data_whose_source_has_gone(tmp_path: Path, counts: Counts) -> None:
    # HDF5 would read zeros
    _virtual(tmp_path / "a.h5", a=(".", "nothing"))
    with pytest.raises(InputError, match=r"\[nothing\], which is missing"):
        read_image(tmp_path / "a.h5")
    _virtual(tmp_path / "b.h5", a=("raw.h5", "frames"))
    write_hdf5(tmp_path / "raw.h5", {"other": counts((4, 5))})
    with pytest.raises(InputError, match=r"raw.h5 \[frames\], which is missing"):
        read_image(tmp_path / "b.h5")
    write_hdf5(tmp_path / "raw.h5", {"frames": counts((4, 5))})
    np.testing.assert_array_equal(read_image(tmp_path / "b.h5").data, counts((4, 5)))


def test_raw_data_of_another_file(tmp_path: Path, counts: Counts) -> None:
    raw = tmp_path / "frames.raw"
    raw.write_bytes(counts().tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", counts().shape, "u2", external=[(str(raw), 0, h5py.h5f.UNLIMITED)])
    np.testing.assert_array_equal(read_image(tmp_path / "a.h5").data, counts())
    raw.unlink()
    with pytest.raises(InputError, match=r"data are in .*frames.raw, which is missing"):
        read_image(tmp_path / "a.h5")


# ---- masks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mask", "pixel_mask", "bad_pixels", "valid"])
def test_a_mask_beside_the_data_is_used(tmp_path: Path, counts: Counts, name: str) -> None:
    bad = counts() % 9 == 0
    path = tmp_path / "a.h5"
    write_hdf5(path, {"x/frame": counts(), f"x/{name}": (~bad if name == "valid" else bad * 4).astype(np.uint8)})
    read = read_image(path)
    np.testing.assert_array_equal(read.mask, bad)
    assert read.said["mask"] == f"/x/{name}"


def test_a_mask_of_each_frame_is_added_up_as_the_frames_are(tmp_path: Path, counts: Counts) -> None:
    bad = counts((3, 23, 31)) % 9 == 0
    path = tmp_path / "a.h5"
    write_hdf5(path, {"frames": counts((3, 23, 31)), "mask": bad})
    np.testing.assert_array_equal(read_image(path, frame=1).mask, bad[1])
    np.testing.assert_array_equal(read_image(path, frame="sum").mask, bad.any(axis=0))


def test_a_mask_that_does_not_fit_is_left(tmp_path: Path, counts: Counts) -> None:
    for mask in (np.ones((4, 4), bool), np.full(counts().shape, 0.5), np.ones(7, bool)):
        write_hdf5(tmp_path / "a.h5", {"frame": counts(), "mask": mask})
        assert read_image(tmp_path / "a.h5").mask is None


def test_a_mask_of_nearly_all_pixels_is_doubted_and_not_used(tmp_path: Path, counts: Counts) -> None:
    write_hdf5(tmp_path / "a.h5", {"frame": counts(), "mask": counts() % 99 != 0})
    with pytest.warns(QualityWarning, match=r"/mask would mark 9\d% .*perhaps marks the good: it is not used"):
        assert read_image(tmp_path / "a.h5").mask is None


def test_a_mask_is_read_as_a_mask_by_its_name(tmp_path: Path, counts: Counts) -> None:
    bad = counts() % 9 == 0
    write_hdf5(tmp_path / "a.h5", {"frame": counts(), "mask": bad})
    np.testing.assert_array_equal(read_mask(f"{tmp_path / 'a.h5'}::mask"), bad)


# ---- axes, and how frames are read ----------------------------------------------------------------


def test_one_frame_behind_its_axes(tmp_path: Path, counts: Counts) -> None:
    write_hdf5(tmp_path / "a.h5", {"d": counts()[..., None]})
    np.testing.assert_array_equal(read_image(tmp_path / "a.h5").data, counts())


def test_frames_behind_their_axes_are_told_by_the_shape(tmp_path: Path, counts: Counts) -> None:
    data = counts((60, 70, 5))
    write_hdf5(tmp_path / "a.h5", {"d": data}, chunks=(16, 16, 5), compression="gzip")
    with pytest.warns(QualityWarning, match="60 x 70 x 5 was taken for 5 frames of 60 x 70"):
        np.testing.assert_array_equal(read_image(tmp_path / "a.h5", frame=3).data, data[..., 3])
    with pytest.warns(QualityWarning, match="frames"):
        np.testing.assert_array_equal(read_image(tmp_path / "a.h5", frame="sum").data, data.sum(axis=2, dtype=np.int64))
    with pytest.warns(QualityWarning, match="frames"):
        np.testing.assert_array_equal(read_stack(tmp_path / "a.h5").data, np.moveaxis(data, 2, 0))


@pytest.mark.parametrize("shape", [(2, 3, 12, 9), (1, 3, 1, 12, 9), (3, 2, 2, 12, 9)])
def test_a_scan_is_a_stack_of_its_patterns(tmp_path: Path, counts: Counts, shape: tuple[int, ...]) -> None:
    data = counts(shape)
    frames = data.reshape(-1, *shape[-2:])
    write_hdf5(tmp_path / "a.h5", {"d": data}, chunks=(1, 2, *(1,) * (len(shape) - 4), 12, 9))
    with pytest.raises(InputError, match=f"a stack of {len(frames)} frames of 12 x 9 pixels"):
        read_image(tmp_path / "a.h5")
    for k in range(len(frames)):
        np.testing.assert_array_equal(read_image(tmp_path / "a.h5", frame=k).data, frames[k])
    np.testing.assert_array_equal(read_stack(tmp_path / "a.h5").data, frames)


def test_frames_that_share_chunks_are_unpacked_once(tmp_path: Path) -> None:
    frame = np.random.default_rng(3).integers(0, 200, (256, 256)).astype(np.uint16)
    path, alone = tmp_path / "a.h5", tmp_path / "b.h5"
    n = 24
    data = np.repeat(frame[..., None], n, axis=2)
    write_hdf5(path, {"d": data}, chunks=(256, 256, n), compression="gzip", compression_opts=1)
    write_hdf5(alone, {"d": np.moveaxis(data, 2, 0)}, chunks=(1, 256, 256), compression="gzip", compression_opts=1)

    def spent(file: Path, number: Any) -> float:
        started = time.process_time()
        read_image(file, frame=number)
        return time.process_time() - started

    with pytest.warns(QualityWarning, match="frames"):
        spent(path, "sum")  # warm
        one, total = min(spent(path, 0) for _ in range(3)), min(spent(path, "sum") for _ in range(3))
    # Unpacked anew for each frame it would take n times as long as for one
    assert total < max(6 * one, 4 * min(spent(alone, "sum") for _ in range(3)))


def test_memory_of_a_sum_stays_with_the_frames(tmp_path: Path, counts: Counts) -> None:
    data = np.zeros((512, 512, 40), np.uint16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", data=data, chunks=(64, 64, 40), compression="gzip", compression_opts=1)
    tracemalloc.start()
    with pytest.warns(QualityWarning, match="frames"):
        read_image(tmp_path / "a.h5", frame="sum")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * data.nbytes


def test_chunks_that_claim_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        d = file.create_dataset("d", (64, 64), "u1", chunks=(2**15, 2**15), maxshape=(None, None), compression="gzip")
        d.id.write_direct_chunk((0, 0), b"\x78\x9c\x63\0\0\0\1\0\1")
    with pytest.raises(InputError, match=r"claims chunks of 32768 x 32768 values, 1.07 GB"):
        read_image(path)


def test_damage_in_a_chunk_is_said(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.h5"
    write_hdf5(path, {"d": counts()}, chunks=(23, 31), compression="gzip")
    with h5py.File(path) as file:
        place = file["d"].id.get_chunk_info(0).byte_offset
    raw = bytearray(path.read_bytes())
    raw[place + 20 : place + 60] = b"\xff" * 40
    path.write_bytes(raw)
    with pytest.raises(InputError, match="damaged or cut short"):
        read_image(path)


def test_a_text_that_claims_gigabytes_is_not_read(tmp_path: Path, counts: Counts) -> None:
    # HDF5 takes the memory first and looks then
    path = tmp_path / "a.cxi"
    for block in (0, 512):
        with h5py.File(path, "w", userblock_size=block) as file:
            file["entry_1/image_1/data"] = counts()
            file["entry_1/image_1/title"] = "object"
            file["entry_1/image_2/data"] = counts()
            place = file["entry_1/image_1/title"].id.get_offset()
        assert contents(path)[0].caption == "object"
        raw = bytearray(path.read_bytes())
        raw[place : place + 4] = (2**30).to_bytes(4, "little")
        path.write_bytes(raw)
        assert contents(path)[0].caption == "image"


def test_a_user_block_of_xmp(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w", userblock_size=32768) as file:
        file["d"] = counts()
    with open(path, "r+b") as stream:
        stream.write(b"\x89HMP\r\n\x1a\n<?xpacket ?>")
    np.testing.assert_array_equal(read_image(path).data, counts())


@pytest.mark.skipif(sys.platform != "linux", reason="locks of other systems differ")
def test_a_file_that_is_being_written(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.h5"
    code = (
        "import h5py, sys; f = h5py.File(sys.argv[1], 'w', locking=True); f['d'] = 1; print('on', flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdout.readline()
        try:
            with pytest.raises(InputError, match="another program is still writing it"):
                read_image(path)
        finally:
            writer.communicate(b"\n")


def test_thousands_of_groups_take_no_time(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for k in range(4000):
            file.create_group(f"g/{k}")
        file["frame"] = counts()
    started = time.process_time()
    np.testing.assert_array_equal(read_image(path).data, counts())
    assert time.process_time() - started < 2.5


@pytest.mark.parametrize(
    ("object_number", "length"), [(0, 0), (2, 2**64 - 16), (2, 2**64 - 1)], ids=["free", "round", "beyond"]
)
def test_a_heap_of_texts_without_an_end(tmp_path: Path, counts: Counts, object_number: int, length: int) -> None:
    # HDF5 2.0 goes round in it for ever
    path = tmp_path / "a.h5"
    write_hdf5(path, {"frame": counts()})
    with h5py.File(path, "r+") as file:
        file["frame"].attrs["units"] = "counts"
    raw = path.read_bytes()
    heap = raw.index(b"GCOL")
    free = heap + 16 + 16 + 8  # behind the heap's head and its only text
    assert raw[free : free + 2] == b"\0\0"
    damaged = object_number.to_bytes(8, "little") + length.to_bytes(8, "little")
    path.write_bytes(raw[:free] + damaged + raw[free + 16 :])
    with pytest.raises(InputError, match="its texts or names have no end"):
        read_image(path)
    write_hdf5(tmp_path / "b.h5", {"record": h5py.ExternalLink("a.h5", "/frame")})
    with pytest.raises(InputError, match=r"a.h5, which is missing or"):
        read_image(tmp_path / "b.h5")


def test_a_text_longer_than_its_heap_takes_no_memory(tmp_path: Path, counts: Counts) -> None:
    # HDF5 2.0 takes what the length claims, here 2 GB, before it looks for the text
    path = tmp_path / "a.h5"
    write_hdf5(path, {"frame": counts()})
    with h5py.File(path, "r+") as file:
        file["frame"].attrs["units"] = "counts per pixel"
        file["frame"].attrs["note"] = "x" * 2**21  # long, but there
    with h5py.File(path) as file:
        assert attribute(file["frame"], "units") == "counts per pixel"
        assert attribute(file["frame"], "note") == "x" * 2**21
    raw = bytearray(path.read_bytes())
    text = raw.index((16).to_bytes(4, "little") + raw.index(b"GCOL").to_bytes(8, "little"))
    raw[text : text + 4] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(raw)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with h5py.File(path) as file:
        assert attribute(file["frame"], "units") is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # in kB
    np.testing.assert_array_equal(read_image(path).data, counts())


@pytest.mark.parametrize("user_block", [0, 512])
def test_texts_are_found_wherever_the_header_goes_on(tmp_path: Path, counts: Counts, user_block: int) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", userblock_size=user_block) as file:
        file["frame"] = counts()
        for k in range(40):
            file["frame"].attrs[f"name of some length {k}"] = f"text {k}"
        file["frame"].attrs["three"] = ["a", "bc", "def"]
    with h5py.File(path) as file:
        assert all(attribute(file["frame"], f"name of some length {k}") == f"text {k}" for k in range(40))
        assert attribute(file["frame"], "three") == ["a", "bc", "def"]


def test_a_text_in_a_heap_that_is_not_there_takes_no_memory(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "a.h5"
    write_hdf5(path, {"frame": counts()})
    with h5py.File(path, "r+") as file:
        file["frame"].attrs["units"] = "counts per pixel"
    raw = bytearray(path.read_bytes())
    text = raw.index((16).to_bytes(4, "little") + raw.index(b"GCOL").to_bytes(8, "little"))
    raw[text : text + 12] = (2**30).to_bytes(4, "little") + (len(raw) - 64).to_bytes(8, "little")
    path.write_bytes(raw)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with h5py.File(path) as file:
        assert attribute(file["frame"], "units") is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18


def test_a_block_of_a_driver_takes_no_memory(tmp_path: Path, counts: Counts) -> None:
    # HDF5 2.0 takes what the block of a damaged file claims to hold, here 1 GB
    path = tmp_path / "a.h5"
    write_hdf5(path, {"frame": counts()})
    raw = bytearray(path.read_bytes())
    raw[48:56] = len(raw).to_bytes(8, "little")
    path.write_bytes(bytes(raw) + bytes(4) + (2**30).to_bytes(4, "little") + b"NCSAmult")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="one of several parts"):
        read_image(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18


def test_a_circle_of_free_places_takes_no_memory(tmp_path: Path, counts: Counts) -> None:
    # HDF5 2.0 goes round in it for ever, and takes memory at each turn
    path = tmp_path / "a.h5"
    write_hdf5(path, {"frame": counts()})
    raw = bytearray(path.read_bytes())
    heap = raw.index(b"HEAP")
    free, segment = (int.from_bytes(raw[heap + k : heap + k + 8], "little") for k in (16, 24))
    assert raw[segment + free : segment + free + 8] == (1).to_bytes(8, "little"), "the only free place, and the end"
    raw[segment + free : segment + free + 8] = free.to_bytes(8, "little")
    path.write_bytes(raw)
    with pytest.raises(InputError, match="have no end"):
        read_image(path)
