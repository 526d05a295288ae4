"""The format HDF5: which dialect a file speaks, which array of it is meant, and reading that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io._common import Format, Item, Stored, shape_text
from napari_subangstrom_cdi.io.header import with_mask_said

from . import berkeley, cxi, hyperspy, nexus, plain, velox
from .arrays import LIKELY, Dialect, Frames, HdfArray
from .checks import stored_bytes
from .links import Missing, Tree, files_beside, find, walk
from .masks import Marks, usable
from .values import SIGNATURE, is_whole

with contextlib.suppress(ImportError):
    import hdf5plugin  # noqa: F401  (registers the compressions that detectors use)

_CACHE_BYTES = 32 * 2**20

DIALECTS: tuple[Dialect, ...] = (
    velox.DIALECT,
    hyperspy.DIALECT,
    cxi.DIALECT,
    berkeley.DIALECT,
    nexus.DIALECT,
    plain.DIALECT,
)
"""Tried in this order; the last knows every file."""


def _matches(head: bytes) -> bool:
    # A user block of 512, 1024, ... bytes may precede the mark; XMP makes one that is longer, with a mark of its own.
    return head.startswith(b"\x89HMP\r\n\x1a\n") or any(
        head[start : start + 8] == SIGNATURE for start in (0, 512, 1024, 2048)
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[h5py.File, Tree, Dialect]]:
    if not is_whole(path):
        problem = "the file is damaged: its texts or names have no end, or it is one of several parts"
        raise InputError(problem, where=str(path), mend="copy or export it again")
    try:
        root = h5py.File(path, "r", rdcc_nbytes=_CACHE_BYTES)
    except BlockingIOError as error:
        raise InputError(
            "another program is still writing it", where=str(path), mend="end the acquisition there, or copy the file"
        ) from error
    with root:
        tree = walk(root)
        yield root, tree, next(dialect for dialect in DIALECTS if dialect.knows(root, tree))


@contextmanager
def _open(path: Path, dataset: str | None) -> Iterator[Stored]:
    with _opened(path) as (root, tree, dialect):
        found = dialect.arrays(root, tree)
        if dataset is None:
            array, cautions = _most_obvious(found, tree, dialect, path)
        else:
            array, cautions = _named(root, found, dataset, path), ()
        yield _stored(root, dialect, array, path, cautions)


def _stored(root: h5py.File, dialect: Dialect, array: HdfArray, path: Path, cautions: tuple[str, ...]) -> Stored:
    where = f"{path} [{array.name}]"
    if array.missing is not None:
        raise _missing(array.missing, path)
    if array.dataset.shape is None:
        raise InputError("the dataset is empty", where=where, mend="name another dataset")
    spent = stored_bytes(array.parts, path)
    header = dialect.header(root, array)
    place, said = usable(dialect.mask(root, array), array, path)
    marks = Marks(place, array, _sentinels(header.invalid_values, array))
    return Stored(
        shape=array.shape,
        dtype=array.dtype,
        stored_bytes=spent,
        read_frame=marks.reader(Frames(array)),
        header=header if place is None else with_mask_said(header, place.name),
        read_mask=marks if marks.any else None,
        metadata={"dataset": array.name},
        cautions=(*cautions, *array.cautions, *([said] if said else [])),
    )


def _sentinels(values: tuple[float, ...], array: HdfArray) -> tuple[float, ...]:
    return values if array.dataset.dtype.kind == "u" else ()


def _named(root: h5py.File, found: tuple[HdfArray, ...], name: str, path: Path) -> HdfArray:
    by_name = [array for array in found if _same(name, array)]
    if len(by_name) == 1:
        return by_name[0]
    if len(by_name) > 1:
        raise InputError(f"holds several arrays {name!r}: {_listing(by_name)}", where=str(path), mend=_ways(by_name))
    reached = find(root, name)
    if isinstance(reached, Missing):
        raise _missing(reached, path)
    if reached is None:
        raise InputError(f"has no dataset {name!r}", where=str(path), mend=f"it holds {_listing(found) or 'no image'}")
    if isinstance(reached, h5py.Group):
        inside = [array for array in found if array.name.startswith(f"/{name.strip('/')}/")]
        raise InputError(
            f"{name!r} is a group, not a dataset",
            where=str(path),
            mend=f"it holds {_listing(inside) or 'no image'}",
        )
    alone = (array for array in found if len(array.parts) == 1 and array.missing is None)
    known = next((array for array in alone if array.dataset == reached), None)
    if known is not None:
        return known
    shown = f"/{name.strip('/')}"
    return plain.plain_array(reached, shown) if reached.shape is not None else HdfArray(shown, (reached,))


def _same(name: str, array: HdfArray) -> bool:
    names = (array.name, *array.aliases)
    return any(name.strip("/").casefold() == other.strip("/").casefold() for other in names)


def _most_obvious(
    found: tuple[HdfArray, ...], tree: Tree, dialect: Dialect, path: Path
) -> tuple[HdfArray, tuple[str, ...]]:
    if not found:
        if tree.missing:
            raise _missing(_likeliest(tree.missing), path)
        raise InputError(dialect.nothing, where=str(path), mend="give the file that holds the image")
    rank = min(array.rank for array in found)
    first = [array for array in found if array.rank == rank]
    if rank > LIKELY and tree.missing:
        raise _missing(_likeliest(tree.missing), path)
    flat = [array for array in first if len(array.shape) == 2]
    chosen = first if len(first) == 1 else flat if dialect is plain.DIALECT and rank == LIKELY else []
    if len(chosen) != 1:
        kind = "several images" if rank <= LIKELY else "several arrays, none of which is plainly an image"
        raise InputError(f"holds {kind}: {_listing(first)}", where=str(path), mend=_ways(first))
    cautions = [missing.sentence for missing in tree.missing[:1] if rank == LIKELY]
    others = [array for array in found if array is not chosen[0] and array.rank <= LIKELY]
    if others and dialect is plain.DIALECT:
        cautions.append(f"took {chosen[0].name}; it also holds {_listing(others)}, which FILE::NAME would mean")
    return chosen[0], tuple(cautions)


def _likeliest(missing: list[Missing]) -> Missing:
    """The link that the record stood behind."""
    return next((one for one in missing if one.name.rsplit("/", 1)[-1].startswith("data")), missing[0])


def _missing(missing: Missing, path: Path) -> InputError:
    there = "name a dataset that is there, as FILE::/path"
    mend = f"copy that file beside it, or {there}" if missing.file else there
    return InputError(missing.sentence, where=str(path), mend=mend)


def _ways(arrays: list[HdfArray]) -> str:
    own = [alias for alias in arrays[0].aliases if sum(_same(alias, array) for array in arrays) == 1]
    short = next((alias for alias in own if not alias.startswith("/") and len(alias) < 32), arrays[0].name)
    return f"name the dataset that is meant, such as FILE::{short}, or choose it from the list in the window"


def _listing(arrays: tuple[HdfArray, ...] | list[HdfArray]) -> str:
    shown = ", ".join(
        f"{array.name} ({f'{array.caption}, ' if array.caption else ''}{shape_text(array.shape)})"
        for array in arrays[:8]
    )
    return f"{shown}, ... ({len(arrays)} in all)" if len(arrays) > 8 else shown


def _contents(path: Path) -> tuple[Item, ...]:
    with _opened(path) as (root, tree, dialect):
        found = sorted(dialect.arrays(root, tree), key=lambda array: array.rank)
        items = tuple(Item(a.name, a.shape, str(a.dtype), a.caption) for a in found)
    return items if len(items) > 1 else ()


FORMAT = Format(
    "HDF5",
    (".h5", ".hdf5", ".cxi", ".nxs", ".emd", ".hspy", ".hdf", ".nx5", ".he5"),
    _matches,
    _open,
    has_datasets=True,
    contents=_contents,
    companions=files_beside,
)
