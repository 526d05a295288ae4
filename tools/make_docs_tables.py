"""Write the tables of the documentation that are made from the code, between their marks; or check that they are.

    python tools/make_docs_tables.py [--check] [--docs docs]

A page says where a table belongs by two comments on lines of their own:

    <!-- table: NAME -->
    <!-- end of table -->

What stands between them is written by the function of that name in TABLES.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from napari_subangstrom_cdi.job.readings import CURVES, LIVE, READINGS, SECTIONS, Place, Reading

_MARKED = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


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


def with_tables(page: str) -> str:
    """The text of a page with its tables as they should be."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found['name']]()}\n{found[3]}", page)


def main() -> int:
    """Write or check; 1 if a page is out of date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    parser.add_argument("--docs", type=Path, default=Path(__file__).parents[1] / "docs", help="folder of the pages")
    arguments = parser.parse_args()
    stale = []
    for path in sorted(arguments.docs.rglob("*.md")):
        page = path.read_text(encoding="utf-8")
        wanted = with_tables(page)
        if wanted != page:
            stale.append(path)
            if not arguments.check:
                path.write_text(wanted, encoding="utf-8")
    for path in stale:
        print(f"{path}: {'out of date; run tools/make_docs_tables.py' if arguments.check else 'written'}")
    return 1 if stale and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
