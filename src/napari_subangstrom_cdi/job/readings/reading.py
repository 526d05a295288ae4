"""One number that a person sees: what there is to know of it, and how it is read and written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal

Metrics = Mapping[str, Any]
Kind = Literal[
    "number", "percent", "change", "pair", "length", "range", "count", "members", "yes or no", "word", "indices", "list"
]
Place = Literal[
    "summary", "report", "Results", "Phase", "R-factor", "Data", "Background", "Align image", "Masks", "Model"
]

NONE = "–"
"""Written where a number is not known."""

_NEGATIVE_ZERO = re.compile(r"-(0(?:\.0*)?)(?![\d.])")


@dataclass(frozen=True)
class Doubt:
    """When the program itself warns of a number.

    Parameters
    ----------
    test : callable
        Of all metrics; whether the number is doubtful.
    remark : str
        Said in brackets behind it.
    """

    test: Callable[[Metrics], bool]
    remark: str


@dataclass(frozen=True)
class Reading:
    """What a person needs to know of a number.

    Parameters
    ----------
    key : str
        Its place among the metrics, a dot between the names: ``guard.image_likeness``. A last name ``*`` stands for
        any.
    caption : str
        Beside the value.
    meaning : str
        In one or two sentences; captions and values have it as a tooltip.
    unit : str
        Of the value as it is written.
    symbol : str
        Of the literature, where there is one.
    short : str
        For the caption where there is hardly room; the caption itself by default.
    kind : str
        ``percent``: a fraction; ``change``: a factor, whose difference from 1 is written in percent; ``length``: of a
        vector; ``range``: lowest to highest of several; the others as they are called.
    spec : str
        How a number is formatted, as of ``format``.
    shown : tuple of str
        Where; that it is in the output of ``--json`` goes without saying.
    error : str
        Key of its standard error. It then is written with as many digits as it is good for.
    most : int, optional
        Digits behind the point if the error is small; those of ``spec`` by default.
    phrase : str
        In the summary line: ``{caption} {text}`` by default.
    always : bool
        In the summary line even if it is not known.
    alone : str
        Written if it is not known because there is one member only.
    words : tuple of (value, str)
        What some values are called.
    doubt : Doubt, optional
        When the program warns of it.
    """

    key: str
    caption: str
    meaning: str
    unit: str = ""
    symbol: str = ""
    short: str = ""
    kind: Kind = "number"
    spec: str = ".3f"
    shown: tuple[Place, ...] = ()
    error: str = ""
    most: int | None = None
    phrase: str = "{caption} {text}"
    always: bool = False
    alone: str = ""
    words: tuple[tuple[Any, str], ...] = ()
    doubt: Doubt | None = None

    @property
    def brief(self) -> str:
        """The caption where there is hardly room."""
        return self.short or self.caption


def value(metrics: Metrics, key: str) -> Any:
    """What stands at a dotted key; None if nothing does, as in files of former versions."""
    found: Any = metrics
    for name in key.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def number(found: Any) -> float | None:
    """A finite float, or None for everything else."""
    if isinstance(found, bool) or not isinstance(found, Real) or not math.isfinite(found):
        return None
    return float(found)


def or_nan(found: Any) -> float:
    """A finite float, or NaN for everything else."""
    known = number(found)
    return math.nan if known is None else known


def text(reading: Reading, metrics: Metrics) -> str:
    """A number as it is written, with its error and unit; a dash if it is not known."""
    found = value(metrics, reading.key)
    if reading.kind == "members":
        kept, of = value(metrics, "members_kept"), number(found)
        return NONE if of is None else f"{of if kept is None else kept:.0f} of {of:.0f}"
    if found is None and reading.alone and value(metrics, "members_kept") == 1:
        return reading.alone
    if not reading.error:
        return written(reading, found)
    return _with_error(reading, found, number(value(metrics, reading.error)))


def marked(reading: Reading, metrics: Metrics) -> tuple[str, bool]:
    """The same with a remark behind it where it is doubtful, and whether it is."""
    doubtful = is_doubtful(reading, metrics)
    remark = f" ({reading.doubt.remark})" if doubtful and reading.doubt else ""
    return text(reading, metrics) + remark, doubtful


def written(reading: Reading, found: Any) -> str:
    """A value as it is written, without its error; a dash for None, NaN and what it cannot be."""
    said = _WRITERS[reading.kind](reading, found)
    return NONE if said is None else said


def is_known(reading: Reading, metrics: Metrics) -> bool:
    """Whether there is something to show."""
    return text(reading, metrics) != NONE


def is_doubtful(reading: Reading, metrics: Metrics) -> bool:
    """Whether the program warns of it."""
    return reading.doubt is not None and reading.doubt.test(metrics)


def _numbers(found: Any) -> list[float] | None:
    """Finite numbers of a sequence; None if it is none, or one of them is not known."""
    if not isinstance(found, Sequence) or isinstance(found, str) or not found:
        return None
    known = [number(one) for one in found]
    return [one for one in known if one is not None] if None not in known else None


def _signed(said: str) -> str:
    """With a true minus, and none before zero."""
    return _NEGATIVE_ZERO.sub(r"\1", said).replace("-", "−")


def _unit(reading: Reading) -> str:
    return reading.unit if reading.unit in ("", "°") else f" {reading.unit}"


def _number(reading: Reading, found: Any) -> str | None:
    known = number(found)
    if known is None:
        return None
    name = dict(reading.words).get(known)
    return _signed(f"{known:{reading.spec}}{_unit(reading)}") + (f" ({name})" if name else "")


def _percent(reading: Reading, found: Any) -> str | None:
    known = number(found)
    return None if known is None else _number(reading, 100 * known)


def _change(reading: Reading, found: Any) -> str | None:
    known = number(found)
    return None if known is None else _number(reading, 100 * (known - 1))


def _pair(reading: Reading, found: Any) -> str | None:
    known = _numbers(found)
    if known is None:
        return None
    between = ", " if reading.unit != "°" else "°, "
    return _signed(between.join(f"{one:{reading.spec}}" for one in known) + _unit(reading))


def _length(reading: Reading, found: Any) -> str | None:
    known = _numbers(found)
    return None if known is None else _number(reading, math.hypot(*known))


def _range(reading: Reading, found: Any) -> str | None:
    if not isinstance(found, Sequence) or isinstance(found, str):
        return None
    known = sorted(one for one in map(number, found) if one is not None)
    if not known:
        return None
    ends = (known[0] if len(known) == len(found) else math.nan, known[-1])
    said = [f"{end:{reading.spec}}" if math.isfinite(end) else NONE for end in ends]
    return _signed((said[0] if said[0] == said[1] else " to ".join(said)) + _unit(reading))


def _count(reading: Reading, found: Any) -> str | None:
    whole = isinstance(found, Integral) and not isinstance(found, bool)
    return f"{int(found)}{_unit(reading)}" if whole else None


def _yes_or_no(reading: Reading, found: Any) -> str | None:
    return ("yes" if found else "no") if isinstance(found, bool) else None


def _word(reading: Reading, found: Any) -> str | None:
    return found if isinstance(found, str) and found else None


def _indices(reading: Reading, found: Any) -> str | None:
    known = _numbers(found)
    return None if known is None else _signed(f"[{' '.join(f'{one:.0f}' for one in known)}]")


def _list(reading: Reading, found: Any) -> str | None:
    return str(len(found)) if isinstance(found, Sequence | Mapping) and not isinstance(found, str) else None


_WRITERS: Mapping[Kind, Callable[[Reading, Any], str | None]] = {
    "number": _number,
    "percent": _percent,
    "change": _change,
    "pair": _pair,
    "length": _length,
    "range": _range,
    "count": _count,
    "members": _count,
    "yes or no": _yes_or_no,
    "word": _word,
    "indices": _indices,
    "list": _list,
}


def _with_error(reading: Reading, found: Any, error: float | None) -> str:
    """With as many digits as it is good for: its error has two. Without an error it was set by hand."""
    usual = int(reading.spec[1:-1])
    if error is None or error <= 0:
        said = written(reading, found)
        return said if said == NONE else f"{said} (by hand)"
    digits = max(0, min(usual if reading.most is None else reading.most, 1 - math.floor(math.log10(error))))
    said = written(replace(reading, spec=f".{digits}f"), found)
    if said == NONE:
        return said
    pure = said if reading.kind == "pair" else said.removesuffix(_unit(reading))
    return f"{pure} ± {error:.{digits}f}{_unit(reading)}"
