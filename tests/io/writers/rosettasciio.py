"""TVIPS streams, MIB of a Merlin, BLO of ASTAR and EMPAD, packed by hand from the layouts of their headers."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

IMAGING, DIFFRACTION = 1, 2


def tvips_bytes(frames: NDArray[Any], *, pixel_nm: int = 15600, binning: int = 2, mode: int = DIFFRACTION) -> bytes:
    """Stream of frames (frame, y, x) of 8 or 16 bits; the mode stands in each frame's header."""
    n, height, width = frames.shape
    bits, frame_header = 8 * frames.itemsize, 60
    words = (256, 2, width, height, bits, 0, 0, binning, binning, pixel_nm, 200, 80, frame_header)
    head = struct.pack("<13I", *words).ljust(256, b"T")
    body = b""
    for k in range(n):
        fields = struct.pack("<4If2I", k, 1_600_000_000, 10 * k, 0, 0.0, 80, mode)
        body += fields.ljust(frame_header, b"\0") + frames[k].astype(frames.dtype.newbyteorder("<")).tobytes()
    return head + body


def mib_bytes(frames: NDArray[Any]) -> bytes:
    """Frames (frame, 256, 256) of one chip, 16 bits; a Merlin counts rows from below."""
    body = b""
    for k, frame in enumerate(frames):
        text = (
            f"MQ1,{k + 1:06d},00384,01,0256,0256,U16,   1x1,01,2021-04-15 14:43:47.008505,0.001000,0,0,0,"
            + "2.000000E+0,5.110000E+2," + ",".join(["0.000000E+0"] * 6) + ",3RX," + ",".join(["000"] * 27)
            + ",MQ1A,2021-04-15T13:43:47.008505401Z,1000000ns,12,"
        )  # fmt: skip
        body += text.encode().ljust(384) + frame[::-1].astype(">u2").tobytes()
    return body


def blo_bytes(patterns: NDArray[np.uint8]) -> bytes:
    """Patterns (y, x, size, size) of a scan, after a virtual image of it."""
    rows, columns, size, _ = patterns.shape
    virtual = 4096
    start = virtual + rows * columns
    head = b"IMGBLO" + struct.pack("<H3I", 258, virtual, start, 0)
    head += struct.pack("<5H2d", size, 0, columns, rows, 0, 12.8, 12.8)
    head += struct.pack("<IHId", 200000, 6226, 2000, 42339.65) + bytes(22 * 8)
    body = bytes(rows * columns)
    for k, pattern in enumerate(patterns.reshape(-1, size, size)):
        body += struct.pack("<HI", 0x55AA, k) + pattern.tobytes()
    return head.ljust(virtual, b"\0") + body


def write_empad(path: Path, patterns: NDArray[np.float32]) -> None:
    """Patterns (y, x, 128, 128) of a scan in a raw file, described by XML at `path`."""
    rows, columns = patterns.shape[:2]
    with_footer = np.zeros((rows, columns, 130, 128), "<f4")
    with_footer[:, :, :128] = patterns
    raw = path.with_name(f"scan_x{columns}_y{rows}.raw")
    raw.write_bytes(with_footer.tobytes())
    path.write_text(
        '<root name="acquisition"><timestamp isoformat="2019-06-06T13:30:00"/><type>scan</type>'
        f'<pix_x>{columns}</pix_x><pix_y>{rows}</pix_y><raw_file filename="{raw.name}"/></root>'
    )


def seeds(folder: Path) -> list[Path]:
    """A stream, a Merlin's frame and a scan."""
    files = {
        "stream_000.tvips": tvips_bytes(np.arange(3 * 4 * 5, dtype="u2").reshape(3, 4, 5)),
        "frame.mib": mib_bytes(np.arange(256 * 256, dtype="u2").reshape(1, 256, 256)),
        "scan.blo": blo_bytes(np.arange(2 * 3 * 5 * 5, dtype="u1").reshape(2, 3, 5, 5)),
    }
    for name, written in files.items():
        (folder / name).write_bytes(written)
    return [folder / name for name in files]
