"""Every number that a person sees, once: where it stands among the metrics, how it is called, written and doubted.

Summary line, picture report, docks and documentation are made from it.

- ``reading``: what there is to know of a number, and how it is read and written.
- ``doubts``: when the program warns of one.
- ``table``: all of them, and the curves.
"""

from .reading import (
    NONE,
    Doubt,
    Metrics,
    Place,
    Reading,
    is_doubtful,
    is_known,
    marked,
    number,
    or_nan,
    text,
    value,
    written,
)
from .table import CURVES, LIVE, READINGS, SECTIONS, CurveReading, shown_in, summary

__all__ = [
    "CURVES",
    "LIVE",
    "NONE",
    "READINGS",
    "SECTIONS",
    "CurveReading",
    "Doubt",
    "Metrics",
    "Place",
    "Reading",
    "is_doubtful",
    "is_known",
    "marked",
    "number",
    "or_nan",
    "shown_in",
    "summary",
    "text",
    "value",
    "written",
]
