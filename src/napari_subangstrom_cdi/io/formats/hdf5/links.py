"""Groups walked and names followed, through soft and external links.

HDF5 itself would follow them as well, but it opens whatever an external link names, be it a pipe, and a walk would
go round where a link leads back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import h5py

from .values import DAMAGE, is_whole

_MOST_OBJECTS = 20_000
_DEEPEST = 40
_MOST_LINKS = 16


@dataclass(frozen=True)
class Missing:
    """A link that leads nowhere.

    Parameters
    ----------
    name : str
        Path of the link.
    file : str
        The file that it names; empty for a link inside the file.
    path : str
        What is to be found there.
    """

    name: str
    file: str
    path: str

    @property
    def sentence(self) -> str:
        """What is wrong."""
        if self.file:
            return f"the data of {self.name} are in {self.file}, which is missing or has no {self.path}"
        return f"{self.name} points to {self.path}, which is not there"


@dataclass
class Tree:
    """All that a walk has found.

    Parameters
    ----------
    groups : dict
        Groups by path, each once.
    datasets : dict
        Datasets by path, each once: by its first name that needs no link.
    names : dict
        By that path, all paths that lead to the dataset.
    missing : list of Missing
        Links that lead nowhere.
    """

    groups: dict[str, h5py.Group] = field(default_factory=dict)
    datasets: dict[str, h5py.Dataset] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)


def walk(root: h5py.Group) -> Tree:
    """Find all groups and datasets below a group, nearer ones first, and those behind links last."""
    tree = Tree()
    seen: dict[tuple[int, int], str] = {}
    waiting: list[tuple[str, h5py.Group]] = [("", root)]
    behind: list[tuple[str, h5py.Group, str]] = []
    while waiting or behind:
        if waiting:
            path, group = waiting.pop(0)
            if not _is_new(group, path, seen):
                continue
            tree.groups[path or "/"] = group
            found = _children(group, path, behind)
        else:
            path, group, name = behind.pop(0)
            reached = follow(group, name, path)
            if isinstance(reached, Missing):
                tree.missing.append(reached)
                continue
            found = [(path, reached)]
        for below, item in found:
            if isinstance(item, h5py.Group) and below.count("/") < _DEEPEST:
                waiting.append((below, item))
            elif isinstance(item, h5py.Dataset):
                _note(tree, below, item, seen)
        if len(seen) > _MOST_OBJECTS:
            break
    return tree


def _children(group: h5py.Group, path: str, behind: list[tuple[str, h5py.Group, str]]) -> list[tuple[str, Any]]:
    found = []
    for name in _names(group):
        try:
            if isinstance(group.get(name, getlink=True), h5py.HardLink):
                found.append((f"{path}/{name}", group[name]))
            else:
                behind.append((f"{path}/{name}", group, name))
        except DAMAGE:  # a damaged member hides no other
            continue
    return found


def _names(group: h5py.Group) -> Iterator[str]:
    try:
        yield from islice(group, _MOST_OBJECTS)
    except DAMAGE:
        return


def _note(tree: Tree, path: str, item: h5py.Dataset, seen: dict[tuple[int, int], str]) -> None:
    if _is_new(item, path, seen):
        tree.datasets[path] = item
    first = seen[identity(item)]
    tree.names.setdefault(first, []).append(path)


def _is_new(item: h5py.HLObject, path: str, seen: dict[tuple[int, int], str]) -> bool:
    return seen.setdefault(identity(item), path) == path


def identity(item: h5py.HLObject) -> tuple[int, int]:
    """Which file and place in it, by whatever name it was reached."""
    info = h5py.h5o.get_info(item.id)
    return int(info.fileno), int(info.addr)


def find(root: h5py.Group, path: str) -> h5py.Group | h5py.Dataset | Missing | None:
    """What a path leads to, one member after the other; None if there is nothing of that name."""
    return _find(root, path, _MOST_LINKS)


def dataset(root: h5py.Group, path: str) -> h5py.Dataset | None:
    """The dataset that a path leads to, None for anything else."""
    found = find(root, path)
    return found if isinstance(found, h5py.Dataset) else None


def group(root: h5py.Group, path: str) -> h5py.Group | None:
    """The group that a path leads to, None for anything else."""
    found = find(root, path)
    return found if isinstance(found, h5py.Group) else None


def follow(parent: h5py.Group, name: str, path: str) -> h5py.Group | h5py.Dataset | Missing:
    """The member of a group, through whatever link it is."""
    found = _member(parent, name, path, _MOST_LINKS)
    return Missing(path, "", name) if found is None else found


def _find(root: h5py.Group, path: str, links: int) -> h5py.Group | h5py.Dataset | Missing | None:
    here: Any = root.file["/"] if path.startswith("/") else root
    way = [part for part in path.split("/") if part not in ("", ".")]
    for k, part in enumerate(way[: 4 * _DEEPEST]):
        if not isinstance(here, h5py.Group):
            return None
        here = _member(here, part, "/" + "/".join(way[: k + 1]), links)
        if here is None or isinstance(here, Missing):
            return here
    return here


def _member(parent: h5py.Group, name: str, path: str, links: int) -> h5py.Group | h5py.Dataset | Missing | None:
    try:
        link = parent.get(name, getlink=True)
        if isinstance(link, h5py.HardLink):
            return _no_type(parent[name])
        if links and isinstance(link, h5py.SoftLink):
            return _find(parent, link.path, links - 1) or Missing(path, "", link.path)
        if links and isinstance(link, h5py.ExternalLink):
            return _in_other_file(parent, name, link, path)
    except DAMAGE:
        return None
    return None


def _no_type(item: Any) -> Any:
    return item if isinstance(item, h5py.Group | h5py.Dataset) else None


def _in_other_file(
    parent: h5py.Group, name: str, link: h5py.ExternalLink, path: str
) -> h5py.Group | h5py.Dataset | Missing:
    missing = Missing(path, link.filename, link.path)
    if not is_there(link.filename, parent):
        return missing
    try:
        # h5py follows the link itself: the other file then stays open for as long as what was found in it.
        return _no_type(parent[name]) or missing
    except DAMAGE:
        return missing


def files_beside(path: Path) -> tuple[Path, ...]:
    """Files in the same folder that hold data of this one, by external links or as sources of a virtual dataset."""
    names: dict[str, None] = {}
    with h5py.File(path, "r") as file:
        tree = walk(file)
        for found in tree.groups.values():
            for name in _names(found):
                link = found.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    names[link.filename] = None
        for item in tree.datasets.values():
            if item.is_virtual:
                names |= dict.fromkeys(source.file_name for source in item.virtual_sources())
            names |= dict.fromkeys(str(name) for name, *_ in item.external or ())
    folder = path.parent
    return tuple(folder / name for name in names if Path(name).name == name != "." and (folder / name).is_file())


def is_there(file_name: str, beside: h5py.HLObject) -> bool:
    """Whether HDF5 would find a plain file of this name, wherever it looks for it, and no pipe or device."""
    if "\0" in file_name:
        return False
    folder = Path(beside.file.filename).parent
    places = [Path(file_name), folder / file_name, folder / Path(file_name).name]
    try:
        there = [place for place in places if place.exists()]
        # What is no HDF5 file has no heap, and data of no form may be in it
        return bool(there) and all(place.is_file() and is_whole(place) for place in there)
    except OSError:
        return False
