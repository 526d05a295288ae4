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
from pathlib import Path

import parameter_tables
import reading_tables

TABLES = {**parameter_tables.TABLES, **reading_tables.TABLES}
_MARKED = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


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
