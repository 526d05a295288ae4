"""Tables of the readings for the documentation, from the table that all of them stand in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from napari_subangstrom_cdi.job.readings import CURVES, LIVE, READINGS, SECTIONS, Place, Reading
from parameter_tables import markdown


def readings() -> str:
    """Every reading of a result, by what it is about."""
    head = ("key", "caption", "symbol", "unit", "meaning", "shown in")
    parts = []
    for title, section in SECTIONS.items():
        rows = ((f"`{r.key}`", r.caption, r.symbol, r.unit, _meaning(r), ", ".join(r.shown)) for r in section)
        parts.append(f"### {title}\n\n{markdown(head, rows)}")
    return "\n".join(parts)


def live_readings() -> str:
    """Numbers of the moment."""
    rows = ((r.caption, r.unit, r.meaning, ", ".join(r.shown)) for r in LIVE.values())
    return markdown(("caption", "unit", "meaning", "shown in"), rows)


def curves() -> str:
    """Curves against q."""
    rows = ((f"`{c.key}`", c.caption, c.limit_text, c.meaning) for c in CURVES.values())
    return markdown(("key", "caption", "limit", "meaning"), rows)


def shown_in(place: Place, *, capitals: bool = False, brief: bool = False) -> str:
    """The numbers of one dock."""
    rows = []
    for reading in (*(LIVE.values() if brief else ()), *READINGS.values()):
        if place in reading.shown:
            caption = reading.brief if brief else reading.caption
            caption = caption[0].upper() + caption[1:] if capitals else caption
            rows.append((caption, reading.unit, reading.meaning if brief else _meaning(reading)))
    return markdown(("number", "unit", "meaning"), rows)


def _meaning(reading: Reading) -> str:
    if reading.doubt is None:
        return reading.meaning
    return f"{reading.meaning} Marked if {reading.doubt.remark}."


TABLES: dict[str, Callable[[], str]] = {
    "readings": readings,
    "readings-live": live_readings,
    "curves": curves,
    "readings-results": partial(shown_in, "Results"),
    "readings-r-factor": partial(shown_in, "R-factor", brief=True),
    "readings-align": partial(shown_in, "Align image", capitals=True),
    "readings-model": partial(shown_in, "Model", capitals=True),
}
