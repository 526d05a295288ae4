"""What is checked of a dataset before it is read: that it is there, can be unpacked, and is no false claim."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import h5py

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import bytes_text, cut_short, is_absurd, nbytes, shape_text

from .links import Missing, find, is_there

_DEEPEST = 8
_MOST_SOURCES = 500


def stored_bytes(parts: tuple[h5py.Dataset, ...], path: Path) -> int | None:
    """Bytes that the file spends on an array, None if they are in other files.

    Raises
    ------
    InputError
        If data are missing, cut short or packed by what is not here, or chunks are a false claim.
    """
    sizes = [_stored_bytes(part, path) for part in parts]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _stored_bytes(dataset: h5py.Dataset, path: Path) -> int | None:
    where = f"{path} [{dataset.name}]"
    _check_filters(dataset, where)
    claimed = nbytes(dataset.shape, dataset.dtype)
    if dataset.is_virtual:
        check_virtual(dataset, where)
        return None
    if dataset.external:
        _check_sources(dataset, [name for name, _, _ in dataset.external], where)
        return None
    stored = int(dataset.id.get_storage_size())
    if claimed and not stored:
        raise InputError("the dataset was never written", where=where, mend="name another dataset, or save it again")
    if dataset.chunks is None and stored < claimed:
        raise cut_short(path, claimed, stored)
    _check_chunks(dataset, stored, where)
    return stored


def check_virtual(dataset: h5py.Dataset, where: str, above: tuple[tuple[str, str], ...] = ()) -> None:
    """Refuse a virtual dataset whose sources are missing, or lead back to it.

    HDF5 fills gaps with zeros and says nothing, and ends the program where sources go round.
    """
    here = (str(Path(dataset.file.filename).resolve()), str(dataset.name))
    if here in above or len(above) > _DEEPEST:
        raise InputError("its data are to be found in itself", where=where, mend="the file is false: export it again")
    names = sorted({(source.file_name, source.dset_name) for source in dataset.virtual_sources()})
    _check_sources(dataset, [file for file, _ in names], where)
    for file, name in names[:_MOST_SOURCES]:
        if "%" in file or "%" in name:  # numbered sources, of which the last may be yet to come
            continue
        with contextlib.nullcontext(dataset.file) if file == "." else _beside(dataset, file) as root:
            source = find(root, name)
            if not isinstance(source, h5py.Dataset):
                at = source.file if isinstance(source, Missing) and source.file else file
                problem = f"its data are in {dataset.file.filename if at == '.' else at} [{name}], which is missing"
                raise InputError(problem, where=where, mend="copy that file too")
            if source.is_virtual:
                check_virtual(source, where, (*above, here))


def _beside(dataset: h5py.Dataset, name: str) -> h5py.File:
    folder = Path(dataset.file.filename).parent
    return h5py.File(next(place for place in (folder / name, Path(name)) if place.is_file()), "r")


def _check_sources(dataset: h5py.Dataset, names: list[str], where: str) -> None:
    missing = [name for name in names if name != "." and "%" not in name and not is_there(name, dataset)]
    if missing:
        # HDF5 would fill the gap with zeros and say nothing.
        raise InputError(f"its data are in {missing[0]}, which is missing", where=where, mend="copy that file too")


def _check_chunks(dataset: h5py.Dataset, stored: int, where: str) -> None:
    chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    if is_absurd(chunk, stored):
        raise InputError(
            f"the header claims chunks of {shape_text(dataset.chunks)} values, {bytes_text(chunk)}, but the file "
            f"stores only {bytes_text(stored)}",
            where=where,
            mend="the file is damaged or false: export it again",
        )


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
