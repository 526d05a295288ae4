"""HDF5 and its dialects (CXI, NeXus, EMD), through h5py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Array, Format, Stored, cut_short, nbytes, shape_text
from napari_subangstrom_cdi.io.header import Header, HeaderWriter, pixel_in

with contextlib.suppress(ImportError):
    import hdf5plugin  # noqa: F401  (registers the compressions that detectors use)

_MAGIC = b"\x89HDF\r\n\x1a\n"
# Where CXI puts the pattern and the image; https://www.cxidb.org/cxi.html, version 1.6.
_CXI_DATA = ("/entry_1/data_1/data", "/entry_1/image_1/data")


def _matches(head: bytes) -> bool:
    # A user block of 512, 1024, ... bytes may precede the mark.
    return any(head[start : start + 8] == _MAGIC for start in (0, 512, 1024, 2048))


@contextmanager
def _open(path: Path, dataset: str | None) -> Iterator[Stored]:
    with h5py.File(path, "r") as file:
        found = _named(file, dataset, path) if dataset is not None else _most_obvious(file, path)
        where = f"{path} [{found.name}]"
        if found.shape is None:
            raise InputError("the dataset is empty", where=where, mend="name another dataset")
        shape = found.shape
        _check_filters(found, where)

        def read_frame(k: int) -> Array:
            # Beyond three axes only leading ones of length one pass the checks.
            index = (0,) * (len(shape) - 3) + (k,) if len(shape) > 2 else ()
            return np.asarray(found[index])

        yield Stored(
            shape=shape,
            dtype=found.dtype,
            stored_bytes=_stored_bytes(found, path, where),
            read_frame=read_frame,
            header=_header(found),
            metadata={"dataset": str(found.name)},
        )


def _named(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    try:
        found = file[name]
    except (KeyError, ValueError) as error:
        raise InputError(
            f"has no dataset {name!r}",
            where=str(path),
            mend=f"it holds {_listing(_images(file)) or 'no image'}",
        ) from error
    if not isinstance(found, h5py.Dataset):
        inside = _listing(_images(found))
        raise InputError(
            f"{name!r} is a group, not a dataset", where=str(path), mend=f"it holds {inside or 'no image'}"
        )
    return found


def _most_obvious(file: h5py.File, path: Path) -> h5py.Dataset:
    for name in _CXI_DATA:
        if isinstance(file.get(name), h5py.Dataset):
            return file[name]
    images = _images(file)
    flat = [d for d in images if d.ndim == 2]
    for candidates in (images, flat):
        if len(candidates) == 1:
            return candidates[0]
    if not images:
        raise InputError(
            "holds no dataset of two or three dimensions",
            where=str(path),
            mend="give the file that holds the image",
        )
    raise InputError(
        f"holds several images: {_listing(images)}", where=str(path), mend="name the dataset that is meant"
    )


def _images(group: h5py.Group) -> list[h5py.Dataset]:
    """Numerical datasets of two or more dimensions below the group, each once, links left out."""
    images: list[h5py.Dataset] = []

    def visit(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim >= 2 and item.dtype.kind in "buifc":
            images.append(item)

    group.visititems(visit)
    return images


def _listing(images: list[h5py.Dataset]) -> str:
    shown = ", ".join(f"{d.name} ({shape_text(d.shape)})" for d in images[:8])
    return f"{shown}, ... ({len(images)} in all)" if len(images) > 8 else shown


def _check_filters(dataset: h5py.Dataset, where: str) -> None:
    plist = dataset.id.get_create_plist()
    for i in range(plist.get_nfilters()):
        code, _, _, name = plist.get_filter(i)
        if not h5py.h5z.filter_avail(code):
            label = name.decode(errors="replace").split(";")[0] or f"filter number {code}"
            raise InputError(
                f"is compressed with {label}, which is not available here",
                where=where,
                mend="run 'pip install hdf5plugin', or save the data with gzip",
            )


def _stored_bytes(dataset: h5py.Dataset, path: Path, where: str) -> int | None:
    """Bytes that the file spends on the dataset, None if they are in other files."""
    claimed = nbytes(dataset.shape, dataset.dtype)
    if dataset.is_virtual:
        missing = [s.file_name for s in dataset.virtual_sources() if not _source_exists(s.file_name, path)]
        if missing:
            # HDF5 would fill the gap with zeros and say nothing.
            raise InputError(f"its data are in {missing[0]}, which is missing", where=where, mend="copy that file too")
        return None
    if dataset.external:
        return None
    stored = int(dataset.id.get_storage_size())
    if claimed and not stored:
        raise InputError("the dataset was never written", where=where, mend="name another dataset, or save it again")
    if dataset.chunks is None and stored < claimed:
        raise cut_short(path, claimed, stored)
    return stored


def _source_exists(name: str, path: Path) -> bool:
    return name == "." or "%" in name or (path.parent / name).exists()


def _header(dataset: h5py.Dataset) -> Header:
    """Pixel of a CXI image; beside a pattern the same name means the detector's pixel."""
    group, found = dataset.parent, HeaderWriter()
    metres = [group.get(name) for name in ("y_pixel_size", "x_pixel_size")]
    if str(group.name).rsplit("/", 1)[-1].startswith("image") and all(
        isinstance(m, h5py.Dataset) and m.size == 1 and m.dtype.kind in "uif" for m in metres
    ):
        y, x = (float(np.asarray(m[()]).ravel()[0]) for m in metres)
        found.put("pixel", pixel_in("m", y, x), f"{group.name}/y_pixel_size, x_pixel_size = {y:g}, {x:g} m")
    return found.header()


FORMAT = Format("HDF5", (".h5", ".hdf5", ".cxi", ".nxs", ".emd", ".hdf"), _matches, _open, has_datasets=True)
