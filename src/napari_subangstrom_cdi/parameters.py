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
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import InputError

if TYPE_CHECKING:
    from pydantic import ValidationError

Kind = Literal["float", "int", "bool", "choice", "text", "other"]
_PLACES = 4  # digits shown behind the point, unless a parameter says how many


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
    varied_by : str
        The factor, drawn for each member of an ensemble, that multiplies it; none by default.
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
    varied_by: str = ""

    def admits(self, value: float) -> bool:
        """Whether a number is finite and in the range."""
        return (
            math.isfinite(value)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def clipped(self, value: float) -> float:
        """The nearest number between ``low`` and ``high``."""
        value = value if self.low is None else max(self.low, value)
        return value if self.high is None else min(self.high, value)

    def range_in_words(self) -> str:
        """Such as ``0 to 1``, ``above 0 and at most 1`` or ``0 or more``, with the unit; empty where all is allowed."""
        lower = _bound(self.low, "", self.above, "above ")
        upper = _bound(self.high, "at most ", self.below, "below ")
        unit = f" {self.unit}" if self.unit and (lower or upper) else ""
        if self.low is not None and self.high is not None:
            return f"{_plain(self.low)} to {_plain(self.high)}{unit}"
        if lower and upper:
            return f"{'at least ' if self.low is not None else ''}{lower} and {upper}{unit}"
        more = " or more" if self.low is not None else ""
        return f"{lower or upper}{unit}{more}"


@dataclass(frozen=True)
class Declared:
    """A parameter as its dataclass declares it.

    Parameters
    ----------
    name : str
        Of the field.
    parameter : Parameter
        What the field's annotation says.
    kind : {'float', 'int', 'bool', 'choice', 'text', 'other'}
        Kind of value, or of each element; ``other`` is checked by its dataclass.
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

    @property
    def places(self) -> int:
        """Digits shown behind the point."""
        if self.kind == "int":
            return 0
        return _PLACES if self.parameter.decimals is None else self.parameter.decimals

    def shown(self, value: Any) -> str:
        """A value in words, or as a number without zeros at its end; without its unit."""
        words = {word: text for word, text in self.parameter.words if type(word) is type(value)}
        if value in words:
            return words[value]
        if value is None:
            return self.parameter.automatic
        if isinstance(value, bool):
            return "yes" if value else "no"
        number = _as_number(value)
        if number is None or not math.isfinite(number):
            return str(value)
        text = f"{number:.{self.places}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text

    def with_unit(self, value: Any) -> str:
        """The same with the unit behind a number."""
        is_number = self.parameter.unit and _as_number(value) is not None
        return f"{self.shown(value)} {self.parameter.unit}" if is_number else self.shown(value)

    def pairs(self) -> tuple[tuple[Any, str], ...]:
        """What can be chosen, each value with its text: in the order of the words, where there are any for all."""
        values = (True, False) if self.kind == "bool" else self.choices
        if self.optional:
            values = (None, *values)
        worded = tuple(value for value, _ in self.parameter.words)
        return tuple((value, self.shown(value)) for value in (worded if set(worded) == set(values) else values))

    def help_line(self, default: Any = MISSING) -> str:
        """What it does, the range and the default in a line, as a command line has it."""
        default = self.default if default is MISSING else default
        usual = "" if default in (MISSING, None, "") else f"default: {_plain(default)}"
        unit = f"in {self.parameter.unit}" if self.parameter.unit else ""
        notes = "; ".join(note for note in (self.parameter.range_in_words() or unit, usual) if note)
        return " ".join(part for part in (self.parameter.help, f"({notes})" if notes else "") if part)

    def but(self, name: str | None = None, **changes: Any) -> Declared:
        """The same with another name, or something else in its :class:`Parameter`."""
        return replace(self, name=name or self.name, parameter=replace(self.parameter, **changes))

    def offering(self, *choices: Any) -> Declared:
        """The same as a choice among these."""
        return replace(self, kind="choice", choices=choices)

    def element(self, index: int, name: str, caption: str) -> Declared:
        """One element of a tuple as a parameter of its own."""
        default = self.default[index] if isinstance(self.default, tuple) else MISSING
        return replace(self.but(name, caption=caption), length=None, optional=False, default=default)


def picked(cls: Any, *names: str) -> tuple[Declared, ...]:
    """Some parameters of a dataclass, in the order of their names here."""
    known = declared(cls)
    return tuple(known[name] for name in names)


@cache
def declared(cls: type[Any]) -> Mapping[str, Declared]:
    """The parameters that a dataclass declares, by the names of their fields, in order."""
    hints = get_type_hints(cls, include_extras=True)
    found = {}
    for field in fields(cls):
        if _parameter(hints[field.name]) is not None:
            found[field.name] = described(field.name, hints[field.name], field.default)
    return types.MappingProxyType(found)


def described(name: str, hint: Any, default: Any = MISSING) -> Declared:
    """A parameter that stands on its own, outside any dataclass, from an annotated type.

    Raises
    ------
    TypeError
        If the type has no :class:`Parameter`.
    """
    parameter = _parameter(hint)
    if parameter is None:
        raise TypeError(f"the type of {name} says nothing of the parameter")
    kind, optional, choices, length = _shape(hint)
    return Declared(name, parameter, kind, optional, choices, length, default)


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


def check_value(known: Declared, value: Any, where: str = "") -> None:
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


def wrong_key(error: ValidationError, *, where: str, mend: str | None = None) -> InputError:
    """The first complaint of a check of types, naming the key at fault, which a section's own check may know better."""
    first = error.errors()[0]
    places = [str(part) for part in first["loc"] if not str(part).startswith(("literal", "function"))]
    section, key = places[0] if places else "", ".".join(places)
    own = first.get("ctx", {}).get("error")
    if not isinstance(own, InputError):
        message = first["msg"].removeprefix("Value error, ")
        text = f"{message[0].lower()}{message[1:]}"
        return InputError(f"{key}: {text}" if key else text, where=where, mend=mend)
    inner = own.where or ""
    if section and inner.startswith(f"{section}."):
        key += inner.removeprefix(section)
    elif inner != key:
        key = ": ".join(part for part in (key, inner.removeprefix(f"{where}.")) if part)
    place = f"{where}.{key}" if inner == f"{where}.{key}" else f"{where}: {key}" if key else where
    return InputError(own.problem, where=place, mend=own.mend or mend)


def _check_one(known: Declared, value: Any, where: str) -> None:
    if known.kind in ("float", "int"):
        if isinstance(value, str) and value in known.choices:
            return
        _check_number(known, value, where)
    elif known.kind == "choice" and value not in known.choices:
        raise InputError(
            f"unknown {known.name.replace('_', ' ')} {value!r}",
            where=where,
            mend=f"use one of {_listed(known.choices)}",
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
        raise InputError(f"{parameter.caption} = {number:.12g}{unit}", where=where, mend=f"give {allowed}")


def _plain(value: Any) -> str:
    """As it is typed."""
    if isinstance(value, tuple):
        return " ".join(_plain(part) for part in value)
    number = _as_number(value)
    if number is None:
        return str(value)
    return f"{number:.12g}" if abs(number) < 1e6 else f"{number:g}".replace("e+0", "e")


def _as_number(value: Any) -> float | None:
    """A real number, whichever of Python's or numpy's it is, as float; None for anything else, True and False too."""
    return float(value) if not isinstance(value, bool) and isinstance(value, numbers.Real) else None


def _bound(inclusive: float | None, words: str, exclusive: float | None, exclusive_words: str) -> str:
    if inclusive is not None:
        return f"{words}{_plain(inclusive)}"
    return "" if exclusive is None else f"{exclusive_words}{_plain(exclusive)}"


def _listed(choices: tuple[Any, ...]) -> str:
    return ", ".join(str(choice) for choice in choices)


def _parameter(hint: Any) -> Parameter | None:
    return next((note for note in _metadata(hint) if isinstance(note, Parameter)), None)


def _metadata(hint: Any) -> tuple[Any, ...]:
    """What is noted on a type, or on one that may be None besides."""
    if get_origin(hint) is Annotated:
        return (*hint.__metadata__, *_metadata(get_args(hint)[0]))
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(note for part in get_args(hint) for note in _metadata(part))
    return ()


def _shape(hint: Any) -> tuple[Kind, bool, tuple[Any, ...], int | None]:
    """Kind, whether None is allowed, choices, and the length of a tuple."""
    hint = _bare(hint)
    parts = [_bare(part) for part in get_args(hint)] if get_origin(hint) in (Union, types.UnionType) else [hint]
    optional = type(None) in parts
    parts = [part for part in parts if part is not type(None)]
    choices = tuple(value for part in parts if get_origin(part) is Literal for value in get_args(part))
    others = [part for part in parts if get_origin(part) is not Literal]
    if not others:
        return "choice", optional, choices, None
    elements = get_args(others[0]) if get_origin(others[0]) is tuple else ()
    if elements and all(element in _KINDS for element in elements):
        return _KINDS[elements[0]], optional, choices, len(elements)
    return _KINDS.get(others[0], "other"), optional, choices, None


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


_KINDS: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "text"}
