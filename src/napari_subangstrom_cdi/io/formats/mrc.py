"""MRC (MRC2014 and its forerunners), through mrcfile."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mrcfile
import mrcfile.utils
import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array, Format, Stored, cut_short, nbytes
from napari_subangstrom_cdi.io.header import HeaderWriter, Role, pixel_in

_MODES = "0, 1, 2, 6 or 12 (8- and 16-bit integers, 16- and 32-bit reals)"

_IMOD_STAMP = 1146047817
_SAMPLED_VALUES = 2**20
_ROLES: dict[int, Role] = {1: "pattern", 2: "image"}


def _matches(head: bytes) -> bool:
    return head[208:211] == b"MAP"


@contextmanager
def _open(path: Path, dataset: str | None) -> Iterator[Stored]:
    """Yield the array of an MRC file.

    Row 0 is the first row of the file, wherever the writing program shows it.
    """
    shape, dtype = _check_header(path)
    # Old programs leave out the MAP mark or the machine stamp; the header was found consistent above.
    with mrcfile.mmap(path, mode="r", permissive=True) as mrc:
        if mrc.data is None:
            raise InputError("the data cannot be read", where=str(path), mend="convert it, e.g. with IMOD's newstack")
        found = HeaderWriter()
        data = _with_sign(mrc.data.reshape(shape), mrc.header, found)
        role = _say_extended(mrc, found)
        _say_cell(mrc.voxel_size, role, found)
        yield Stored(
            shape=shape,
            dtype=data.dtype,
            stored_bytes=nbytes(shape, dtype),
            read_frame=lambda k: data[k] if data.ndim == 3 else data,
            header=found.header(),
            metadata=_metadata(mrc.header),
        )


def _with_sign(data: Array, header: Any, found: HeaderWriter) -> Array:
    """Integers of modes 0 and 1 as the file's flag or, without one, its values show them to be.

    MRC2014 has both signed. Most programs before it wrote unsigned bytes in mode 0, and IMOD says in a flag of its
    own which it wrote; unsigned 16 bits belong into mode 6, but stand in mode 1, too.
    """
    if data.dtype.kind != "i" or data.dtype.itemsize > 2:
        return data
    bits = 8 * data.dtype.itemsize
    unsigned = data.view(np.dtype(data.dtype.str.replace("i", "u")))
    stamp, flags = _imod_flags(header)
    if bits == 8 and stamp:
        return data if flags & 1 else unsigned
    sample = _sample(data)
    negative = sample[sample < 0]
    if not negative.size:
        return unsigned if bits == 8 else data
    wrapped = _is_wrapped(sample, bits)
    if bits == 8 and wrapped:
        found.doubt(
            "is of mode 0, signed bytes by MRC2014, but its values make sense as unsigned ones only, and are taken so"
        )
    elif wrapped:
        found.doubt(
            "is of mode 1, signed numbers, but its values wrap around at 32,767: unsigned counts, and taken so (they "
            "belong into mode 6)"
        )
    return unsigned if wrapped else data


def _imod_flags(header: Any) -> tuple[bool, int]:
    """Whether IMOD wrote the header, and its flags; words 39 and 40."""
    raw = header.tobytes()
    order = ">" if header.dtype["nx"].byteorder == ">" else "<"
    stamp, flags = struct.unpack_from(f"{order}2i", raw, 152)
    return stamp == _IMOD_STAMP, flags


def _sample(data: Array) -> Array:
    """Some rows of all over the file: enough to see how its values lie."""
    rows = data.reshape(-1, data.shape[-1])
    step = max(1, rows.size // _SAMPLED_VALUES)
    return np.asarray(rows[::step, :_SAMPLED_VALUES]).ravel()


def _is_wrapped(values: Array, bits: int) -> bool:
    """True if signed values run on across the end of their range, but not across zero.

    What is unsigned and read as signed breaks in two where a smooth histogram has its middle. The very ends are left
    out: there lies what was clipped.
    """
    top = 2 ** (bits - 1) - 1
    near = 2 ** (bits - 5)
    across_end = min(
        np.count_nonzero((values < top) & (values >= top - near)),
        np.count_nonzero((values > -top - 1) & (values <= -top - 1 + near)),
    )
    across_zero = min(
        np.count_nonzero((values > 0) & (values <= near)), np.count_nonzero((values < -1) & (values >= -1 - near))
    )
    if across_end == across_zero:  # both none: negative counts throughout are no counts, a few may be noise
        return bool(bits == 8 or values.max() < 0)
    return bool(across_end > across_zero)


def _check_header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that the header claims, checked against the size of the file."""
    size = path.stat().st_size
    if size < HEADER_DTYPE.itemsize:
        raise cut_short(path, HEADER_DTYPE.itemsize, size)
    header = _header(path)
    mode = int(header["mode"])
    try:
        dtype = mrcfile.utils.dtype_from_mode(mode)
    except ValueError as error:
        raise InputError(
            f"is no MRC file, or one of data mode {mode}, which is not supported",
            where=str(path),
            mend=f"save it with mode {_MODES}",
        ) from error
    nx, ny, nz = (int(header[key]) for key in ("nx", "ny", "nz"))
    extended = int(header["nsymbt"])
    if min(nx, ny, nz, extended) < 0:
        raise InputError(
            f"the header is damaged: {nx} x {ny} x {nz} pixels, {extended} bytes of extended header",
            where=str(path),
            mend="copy or export it again",
        )
    if min(nx, ny, nz) == 0:
        raise InputError(
            f"the image is empty ({nx} x {ny} x {nz} pixels)",
            where=str(path),
            mend="record or export it again",
        )
    shape = (nz, ny, nx) if nz != 1 else (ny, nx)
    needed = HEADER_DTYPE.itemsize + extended + nbytes(shape, dtype)
    if needed > size:
        raise cut_short(path, needed, size)
    return shape, dtype


def _header(path: Path) -> Any:
    """Header in the byte order of its machine stamp, or else the one in which its mode makes sense."""
    raw = np.fromfile(path, HEADER_DTYPE, count=1)
    stamp = bytes(raw["machst"][0])
    try:
        order = mrcfile.utils.byte_order_from_machine_stamp(bytearray(stamp))
    except ValueError:
        order = "<"
    header = raw.view(HEADER_DTYPE.newbyteorder(order))[0]
    if 0 <= int(header["mode"]) <= 1000:
        return header
    return raw.view(HEADER_DTYPE.newbyteorder(">" if order == "<" else "<"))[0]


def _say_cell(voxel: Any, role: Role | None, found: HeaderWriter) -> None:
    """What the cell says; 0 or less stands for an unknown one."""
    y, x = float(voxel.y), float(voxel.x)
    if role == "pattern" and min(y, x) > 0:
        found.doubt(
            f"is a diffraction pattern by its extended header, so that its cell ({x:.6g} Å a pixel) is left out"
        )
    elif min(y, x) > 0:
        found.put("pixel", pixel_in("Å", y, x), f"cell / sampling = {y:.6g}, {x:.6g} Å (y, x)")


def _say_extended(mrc: Any, found: HeaderWriter) -> Role | None:
    """What FEI and Thermo Fisher write of each frame, that of the first; lengths are in m, energies in V.

    Layout: MRC2014 extended header of EPU, versions 1 and 2, as mrcfile knows it. Its ``Gain`` is that of a scanning
    detector's amplifier, no counts per electron, and is left out.
    """
    kind = bytes(mrc.header.exttyp).decode("latin-1").strip(" \0")
    if kind not in ("FEI1", "FEI2"):
        return None
    try:
        rows = mrc.indexed_extended_header
        first = {} if rows is None or not len(rows) else {n: rows[0][n] for n in rows.dtype.names}
    except Exception as error:  # a damaged extended header costs what it says, not the pixels
        found.doubt(f"its extended header ({kind}) cannot be read ({type(error).__name__})")
        return None
    said = {n: float(v) for n, v in first.items() if np.asarray(v).dtype.kind in "iuf" and np.isfinite(v)}
    if not said:
        return None
    _say_camera(said, kind, found)
    return _say_optics(said, kind, found)


def _say_optics(said: dict[str, float], kind: str, found: HeaderWriter) -> Role | None:
    """Energy, mode and lenses; the role, if the mode tells it."""
    volts = said.get("HT", 0)
    found.put("energy_ev", volts if volts < 1e7 else None, f"{kind} HT = {volts:g} V")
    mode = int(said.get("Projection mode", 0))
    scanned = said.get("Instrument mode") == 2  # both modes of projection record images then
    role: Role | None = None if scanned else _ROLES.get(mode)
    found.put("role", role, f"{kind} Projection mode = {mode}")
    y, x = said.get("Pixel size Y", 0), said.get("Pixel size X", 0)
    if role != "pattern" and min(y, x) > 0:
        found.put("pixel", pixel_in("m", y, x), f"{kind} Pixel size X = {x:.6g} m")
    metres = said.get("Camera length", 0)
    found.put("camera_length_mm", metres * 1e3, f"{kind} Camera length = {metres:g} m")
    reached, applied = said.get("Defocus", 0), said.get("Applied defocus", 0)
    if (reached or applied) and not scanned:
        place = f"{kind} Defocus = {reached:g} m, Applied defocus = {applied:g} m"
        found.put("defocus_nm", (reached or applied) * 1e9, place)
        if reached * applied < 0:
            found.doubt(f"{place}: their signs differ")
    return role


def _say_camera(said: dict[str, float], kind: str, found: HeaderWriter) -> None:
    seconds = said.get("Integration time", 0)
    found.put("exposure_s", seconds, f"{kind} Integration time = {seconds:g} s")
    y, x = (int(said.get(f"Binning {side}", 0)) for side in ("Height", "Width"))
    if min(y, x) >= 1:
        found.put("binning", (y, x), f"{kind} Binning Height, Binning Width = {y}, {x}")
    frames = said.get("Ceta frames summed", 0)
    found.put("frames_summed", frames if frames >= 1 else None, f"{kind} Ceta frames summed = {frames:g}")


def _metadata(header: Any) -> dict[str, str]:
    labels = [bytes(label).decode("latin-1").strip(" \0") for label in header.label]
    return {f"label_{i}": text for i, text in enumerate(labels) if text}


FORMAT = Format("MRC", (".mrc", ".mrcs", ".map", ".ccp4"), _matches, _open, by_suffix=True)
