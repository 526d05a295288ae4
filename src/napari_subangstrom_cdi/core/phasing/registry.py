"""Constraints and update rules by the names that recipes use: the built-in ones, a script's, and those of packages.

A recipe holds names alone, never a module: reading a colleague's file runs no code but what is installed.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

import numpy as np

from napari_subangstrom_cdi.errors import InputError, doubt
from napari_subangstrom_cdi.parameters import Declared, check, declared

_Part = TypeVar("_Part")
_Own = TypeVar("_Own", bound=type)

FACTORS = ("density", "image")
"""What a parameter may be varied by in an ensemble: the two random factors that each member draws."""


class Registry(Generic[_Part]):
    """Classes by name; each is a frozen dataclass of declared parameters whose objects can be called.

    Parameters
    ----------
    what : str
        What the classes are, for messages.
    group : str
        Entry points of installed packages that bring more; they are loaded when first needed.
    arguments : tuple of str
        What an object is called with.
    """

    def __init__(self, what: str, group: str, arguments: tuple[str, ...]) -> None:
        self._what, self._group, self._arguments = what, group, arguments
        self._classes: dict[str, type[_Part]] = {}
        self._waiting: list[EntryPoint] | None = None  # None until looked for, which takes a moment
        self._failed: dict[str, str] = {}

    def register(self, name: str) -> Callable[[_Own], _Own]:
        """Decorate a class so that recipes, schedules and the window know it by a name.

        The class becomes a frozen dataclass if it is none. Every field is a parameter, declared as
        ``Annotated[float, Parameter(...)]`` (or of int, bool, str or Literal) and with a default; values out of
        range are refused when an object is made.

        Raises
        ------
        InputError
            If another class has the name.
        TypeError
            If the class cannot be called as it must, or a field is no declared parameter.
        """

        def take(cls: _Own) -> _Own:
            other = self._classes.get(name)
            if other is not None and _origin(other) != _origin(cls):
                raise InputError(
                    f"the {self._what} {name!r} is registered already, by {'.'.join(_origin(other))}",
                    where=".".join(_origin(cls)),
                    mend="choose another name",
                )
            self._classes[name] = _prepared(cls, name, self._arguments)
            return cls

        return take

    def names(self) -> tuple[str, ...]:
        """All that are registered, those of installed packages too."""
        self._load()
        return tuple(self._classes)

    def named(self, name: str) -> type[_Part]:
        """The class with a name.

        Raises
        ------
        InputError
            If nobody registered it.
        """
        if name not in self._classes:
            self._load(name)
        if name not in self._classes:
            raise InputError(f"unknown {self._what} {name!r}", mend=self._how_to_get(name))
        return self._classes[name]

    def made(self, said: Any, where: str) -> _Part:
        """An object from what a schedule says: itself, a name, or a table of ``kind`` and parameters.

        Raises
        ------
        InputError
            If nobody registered the name, or a parameter is unknown or impossible.
        """
        if isinstance(said, str):
            said = {"kind": said}
        if not isinstance(said, Mapping):
            return self._known(said, where)
        values = {key: value for key, value in said.items() if key != "kind"}
        try:
            cls = self.named(str(said.get("kind", "")))
            _check_names(cls, values)
            return cls(**values)
        except InputError as error:
            place = f"{where}: {error.where}" if error.where else where
            raise error.at(place) from error

    def _known(self, said: Any, where: str) -> _Part:
        cls = self._classes.get(getattr(said, "kind", ""))
        if cls is None or _origin(cls) != _origin(type(said)):
            raise InputError(
                f"{said!r} is no registered {self._what}", where=where, mend="decorate its class, and give an object"
            )
        known: _Part = said
        return known

    def _how_to_get(self, name: str) -> str:
        if name in self._failed:
            return f"mend the package that brings it: {self._failed[name]}"
        near = difflib.get_close_matches(name, self.names(), 1)
        return (
            f"{f'did you mean {near[0]!r}? There are' if near else 'use one of'} {', '.join(self.names())}; nobody"
            f" registered {name!r}: install the package that brings it, or first run the script that registers it"
        )

    def _load(self, name: str | None = None) -> None:
        """Load what installed packages bring under a name, or all of it; each once."""
        if self._waiting is None:
            self._waiting = list(entry_points(group=self._group))
        wanted = [entry for entry in self._waiting if name in (None, entry.name)]
        self._waiting = [entry for entry in self._waiting if entry not in wanted]
        for entry in wanted:
            try:
                self._take(entry.name, entry.load())
            except Exception as error:  # it is another's code: whatever it raises must not stop the rest
                package = entry.dist.name if entry.dist is not None else entry.value
                self._failed[entry.name] = f"{package}: {type(error).__name__}: {error}"
                doubt(f"the {self._what} {entry.name!r} of the package {self._failed[entry.name]}")

    def _take(self, name: str, cls: Any) -> None:
        """Register what an entry point has loaded, unless its own decorator did."""
        kind = vars(cls).get("kind", name)
        if kind != name:
            raise InputError(f"it calls itself {kind!r}", mend="give the entry point this name")
        if self._classes.get(name) is not cls:
            self.register(name)(cls)


def kind_of(part: Any) -> str:
    """The name under which an object's class is registered."""
    return str(part.kind)


def table_of(part: Any) -> dict[str, Any]:
    """Name and parameters of an object, as :meth:`Registry.made` reads them."""
    return {"kind": kind_of(part), **{name: _plain(getattr(part, name)) for name in parameters_of(part)}}


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's, which every file can hold."""
    return value.item() if isinstance(value, np.generic) else value


def parameters_of(part: Any) -> Mapping[str, Declared]:
    """The declared parameters of an object, or of its class."""
    cls: Any = part if inspect.isclass(part) else type(part)
    return declared(cls)


def explained(cls: type[Any]) -> str:
    """What a class is for: the first line of its docstring, without the full stop."""
    text = inspect.getdoc(cls) or ""
    return "" if text.startswith(f"{cls.__name__}(") else text.partition("\n")[0].rstrip(".")


def _origin(cls: type[Any]) -> tuple[str, str]:
    """The same for a class that a notebook's cell defines again."""
    return cls.__module__, cls.__qualname__


def _prepared(cls: type[Any], name: str, arguments: tuple[str, ...]) -> type[Any]:
    """The class as a frozen dataclass that knows its name and checks its parameters."""
    _check_call(cls, arguments)
    if not is_dataclass(cls):
        dataclass(frozen=True)(cls)
    elif not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]  # what a dataclass keeps of its decorator
        raise TypeError(f"{cls.__qualname__} is a dataclass that can change; use @dataclass(frozen=True), or none")
    _check_fields(cls)
    cls.kind = name
    made = cls.__init__

    @wraps(made)
    def __init__(self: Any, *args: Any, **values: Any) -> None:
        made(self, *args, **values)
        check(self, name)

    cls.__init__ = __init__
    return cls


def _check_call(cls: Any, arguments: tuple[str, ...]) -> None:
    wanted = f"define __call__(self, {', '.join(arguments)})"
    if not inspect.isclass(cls) or "__call__" not in dir(cls):
        raise TypeError(f"{getattr(cls, '__qualname__', cls)!s} is no class whose objects can be called; {wanted}")
    try:
        inspect.signature(cls.__call__).bind(None, *arguments)
    except TypeError as error:
        raise TypeError(f"{cls.__qualname__} cannot be called as it must: {error}; {wanted}") from error


def _check_fields(cls: type[Any]) -> None:
    known = parameters_of(cls)
    for field in fields(cls):
        where = f"{cls.__qualname__}.{field.name}"
        if field.name not in known:
            raise TypeError(f"{where} is no parameter; declare it as Annotated[float, Parameter(...)]")
        one = known[field.name]
        if one.default is MISSING:
            raise TypeError(f"{where} has no default; a name alone must be enough")
        if one.optional or one.length is not None:
            raise TypeError(f"{where} must be a single number, text, choice, or true or false")
        factor = one.parameter.varied_by
        if factor and (factor not in FACTORS or one.kind != "float"):
            raise TypeError(f"{where} cannot be varied by {factor!r}; a float can, by one of {', '.join(FACTORS)}")


def _check_names(cls: type[Any], values: Mapping[str, Any]) -> None:
    unknown = [name for name in values if name not in parameters_of(cls)]
    if unknown:
        kind, known = kind_of(cls), ", ".join(parameters_of(cls))
        mend = f"use {known}" if known else f"{kind!r} has none"
        raise InputError(f"unknown parameter {unknown[0]!r} of {kind!r}", mend=mend)
