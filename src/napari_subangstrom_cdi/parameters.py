"""One declaration a parameter: caption, unit, range, step and help stand on the dataclass field that holds its value.

A field says ``alpha: Annotated[float, Parameter("α", "Share of …", low=0, high=1, step=0.01)] = 0.3``. From that follow
the check when the object is made (:func:`check`), the editors of the window, the help of the command line and the
tables of the documentation (:func:`declared`).
"""

from __future__ import annotations

import math
import numbers
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import InputError

Kind = Literal["float", "int", "bool", "choice", "text"]


@dataclass(frozen=True)
class Parameter:
    """What a person needs to know of a parameter, and what is refused.

    Parameters
    ----------
    caption : str
        As shown beside the value: the symbol of the paper where there is one.
    help : str
        What it does, in one or two sentences.
    unit : str
        Of the value; empty for a pure number.
    low, high : float, optional
        Smallest and largest value; of each element of a tuple.
    above, below : float, optional
        The value is greater, or smaller, than this.
    step : float, optional
        Of the arrows of a spin box.
    decimals : int, optional
        Digits shown behind the point; the value itself is kept whole.
    reach : (float, float), optional
        What a slider covers, where that is less than the range.
    words : tuple of (value, str)
        What the values of a choice are called; they themselves by default.
    automatic : str
        What None is called.
    advanced : bool
        Folded away where the others are shown.
    """

    caption: str
    help: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    step: float | None = None
    decimals: int | None = None
    reach: tuple[float, float] | None = None
    words: tuple[tuple[Any, str], ...] = ()
    automatic: str = "automatic"
    advanced: bool = False

    def admits(self, value: float) -> bool:
        """Whether a number is finite and in the range."""
        return (
            math.isfinite(value)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def range_in_words(self) -> str:
        """Such as ``0 to 1``, ``above 0 and at most 1`` or ``0 or more``, with the unit; empty where all is allowed."""
        lower = _bound(self.low, "", self.above, "above ")
        upper = _bound(self.high, "at most ", self.below, "below ")
        unit = f" {self.unit}" if self.unit else ""
        if self.low is not None and self.high is not None:
            return f"{self.low:.12g} to {self.high:.12g}{unit}"
        if lower and upper:
            return f"{'at least ' if self.low is not None else ''}{lower} and {upper}{unit}"
        if upper:
            return f"{upper}{unit}"
        if self.low is not None:
            return f"{lower}{unit} or more"
        return f"{lower}{unit}"


@dataclass(frozen=True)
class Declared:
    """A parameter as its dataclass declares it.

    Parameters
    ----------
    name : str
        Of the field.
    parameter : Parameter
        What the field's annotation says.
    kind : {'float', 'int', 'bool', 'choice', 'text'}
        Kind of value, or of each element.
    optional : bool
        Whether it may be None.
    choices : tuple
        Values of a choice, or words that may stand for a number.
    length : int or None
        Elements of a tuple; None for a single value.
    default : object
        ``dataclasses.MISSING`` where there is none.
    """

    name: str
    parameter: Parameter
    kind: Kind
    optional: bool
    choices: tuple[Any, ...]
    length: int | None
    default: Any


@cache
def declared(cls: type[Any]) -> Mapping[str, Declared]:
    """The parameters that a dataclass declares, by the names of their fields, in order."""
    hints = get_type_hints(cls, include_extras=True)
    found = {}
    for field in fields(cls):
        parameter = next((m for m in _metadata(hints[field.name]) if isinstance(m, Parameter)), None)
        if parameter is not None:
            kind, optional, choices, length = _shape(hints[field.name])
            found[field.name] = Declared(field.name, parameter, kind, optional, choices, length, field.default)
    return types.MappingProxyType(found)


def check(values: Any, where: str = "") -> None:
    """Refuse a dataclass object one of whose parameters is impossible.

    Parameters
    ----------
    values : dataclass instance
        Called from its ``__post_init__``.
    where : str
        What the error names before the field, such as the section of a recipe.

    Raises
    ------
    InputError
        Naming the field, the value found and the range.
    """
    for name, known in declared(values.__class__).items():
        check_value(known, getattr(values, name), f"{where}.{name}" if where else name)


def check_value(known: Declared, value: Any, where: str) -> None:
    """Refuse an impossible value of one parameter.

    Raises
    ------
    InputError
        Naming ``where``, the value found and the range.
    """
    if value is None and known.optional:
        return
    if known.length is None:
        _check_one(known, value, where)
        return
    if not isinstance(value, tuple | list) or len(value) != known.length:
        raise InputError(f"{value!r} is not {known.length} values", where=where, mend=f"give {known.length}")
    for part in value:
        _check_one(known, part, where)


def _check_one(known: Declared, value: Any, where: str) -> None:
    if known.kind in ("float", "int"):
        if isinstance(value, str) and value in known.choices:
            return
        _check_number(known, value, where)
    elif known.kind == "choice" and value not in known.choices:
        raise InputError(
            f"unknown {known.parameter.caption} {value!r}", where=where, mend=f"use one of {_listed(known.choices)}"
        )
    elif known.kind == "bool" and not isinstance(value, bool):
        raise InputError(f"{value!r} is neither true nor false", where=where, mend="give true or false")
    elif known.kind == "text" and not isinstance(value, str):
        raise InputError(f"{value!r} is no text", where=where, mend="give text")


def _check_number(known: Declared, value: Any, where: str) -> None:
    parameter = known.parameter
    number = _as_number(value)
    whole = known.kind == "float" or (number is not None and number == int(number if math.isfinite(number) else 0))
    if number is None or not whole:
        kind = "whole number" if known.kind == "int" else "number"
        words = f", or {_listed(known.choices)}" if known.choices else ""
        raise InputError(f"{value!r} is no {kind}", where=where, mend=f"give a {kind}{words}")
    if not parameter.admits(number):
        unit = f" {parameter.unit}" if parameter.unit else ""
        allowed = parameter.range_in_words() or "a finite number"
        raise InputError(f"{parameter.caption} = {number:.6g}{unit}", where=where, mend=f"give {allowed}")


def _as_number(value: Any) -> float | None:
    """A real number, whichever of Python's or numpy's it is, as float; None for anything else, True and False too."""
    return float(value) if not isinstance(value, bool) and isinstance(value, numbers.Real) else None


def _bound(inclusive: float | None, words: str, exclusive: float | None, exclusive_words: str) -> str:
    if inclusive is not None:
        return f"{words}{inclusive:.12g}"
    return "" if exclusive is None else f"{exclusive_words}{exclusive:.12g}"


def _listed(choices: tuple[Any, ...]) -> str:
    return ", ".join(str(choice) for choice in choices)


def _metadata(hint: Any) -> tuple[Any, ...]:
    return tuple(hint.__metadata__) if get_origin(hint) is Annotated else ()


def _shape(hint: Any) -> tuple[Kind, bool, tuple[Any, ...], int | None]:
    """Kind, whether None is allowed, choices, and the length of a tuple."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    parts = list(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else [hint]
    optional = type(None) in parts
    parts = [part for part in parts if part is not type(None)]
    choices = tuple(value for part in parts if get_origin(part) is Literal for value in get_args(part))
    others = [part for part in parts if get_origin(part) is not Literal]
    if not others:
        return "choice", optional, choices, None
    if get_origin(others[0]) is tuple:
        elements = get_args(others[0])
        return _kind(elements[0]), optional, choices, len(elements)
    return _kind(others[0]), optional, choices, None


def _kind(of: type) -> Kind:
    kinds: dict[type, Kind] = {bool: "bool", int: "int", float: "float", str: "text"}
    return kinds[of]
