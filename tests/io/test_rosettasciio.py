"""Formats through rosettasciio: what is read with it, and what is said without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from writers.rosettasciio import IMAGING, blo_bytes, mib_bytes, tvips_bytes, write_empad

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import read_image
from napari_subangstrom_cdi.io.stack import read_stack

FRAMES = np.arange(3 * 4 * 5, dtype="u2").reshape(3, 4, 5)


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    path = tmp_path / "stream_000.tvips"
    path.write_bytes(tvips_bytes(FRAMES))
    return path


def test_without_the_extra_the_way_to_it_is_said(stream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "rsciio"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rsciio", None)
    with pytest.raises(InputError, match=r"is a TVIPS file, .* pip install 'napari-subangstrom-cdi\[rosettasciio\]'"):
        read_image(stream)


def test_it_is_not_imported_for_other_files(tmp_path: Path) -> None:
    code = "import sys, napari_subangstrom_cdi.io.image; print('rsciio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


class TestWithTheExtra:
    """Run where rosettasciio is installed, and skipped elsewhere."""

    @pytest.fixture(autouse=True)
    def _needed(self) -> None:
        pytest.importorskip("rsciio")

    def test_a_tvips_stream(self, stream: Path) -> None:
        read = read_stack(stream)
        np.testing.assert_array_equal(read.data, FRAMES)
        said = read.header
        assert (said.role, said.energy_ev, said.binning) == ("pattern", 200e3, (2, 2))
        assert (
            said.detector_pixel_um == 31.2
        )  # 15.6 µm, binned by 2: no pixel of the record, which rosettasciio calls it
        assert said.pixel is None
        stream.write_bytes(tvips_bytes(FRAMES, mode=IMAGING))
        assert read_image(stream, frame=2).role == "image"

    @pytest.mark.skipif(sys.platform != "linux", reason="memory is limited in another way elsewhere")
    def test_a_header_that_claims_more_than_memory_is_at_fault(self, tmp_path: Path) -> None:
        path = tmp_path / "scan.blo"
        raw = bytearray(blo_bytes(np.zeros((2, 3, 5, 5), np.uint8)))
        raw[8:12] = (2**32 - 1).to_bytes(4, "little")  # where the data begin
        path.write_bytes(raw)
        script = (
            "import resource, sys; from napari_subangstrom_cdi.errors import InputError;"
            "from napari_subangstrom_cdi.io import read_image; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
            "try: read_image(sys.argv[1])\nexcept InputError as error: print(error)"
        )
        done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
        assert "its header claims more than there is memory for" in done.stdout

    def test_later_parts_of_a_stream_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "stream_001.tvips"
        path.write_bytes(bytes(range(256)) * 4)
        with pytest.raises(InputError, match="starting with part 000"):
            read_image(path)

    def test_frames_of_a_merlin(self, tmp_path: Path) -> None:
        frames = np.arange(2 * 256 * 256, dtype="u2").reshape(2, 256, 256) % 4096
        path = tmp_path / "a.mib"
        path.write_bytes(mib_bytes(frames))
        read = read_stack(path)
        np.testing.assert_array_equal(read.data, frames)
        assert (read.data.dtype, read.header.exposure_s) == (np.dtype("u2"), 0.001)

    def test_patterns_of_a_scan_are_frames(self, tmp_path: Path) -> None:
        patterns = np.arange(2 * 3 * 5 * 5, dtype="u1").reshape(2, 3, 5, 5)
        path = tmp_path / "scan.blo"
        path.write_bytes(blo_bytes(patterns))
        read = read_image(path, frame=4)
        np.testing.assert_array_equal(read.data, patterns[1, 1])
        assert (read.role, read.energy_ev, read.camera_length_mm) == ("pattern", 200e3, 200)
        assert read.header.detector_pixel_um == pytest.approx(1e4 / 62.26)
        assert read.pixel is None

    def test_patterns_of_an_empad(self, tmp_path: Path) -> None:
        patterns = np.random.default_rng(1).random((2, 2, 128, 128)).astype("f4")
        path = tmp_path / "scan.xml"
        write_empad(path, patterns)
        np.testing.assert_array_equal(read_image(path, frame=3).data, patterns[1, 1])

    def test_cut_files_are_refused(self, stream: Path) -> None:
        stream.write_bytes(stream.read_bytes()[:270])
        with pytest.raises(InputError):
            read_image(stream, frame=1)
