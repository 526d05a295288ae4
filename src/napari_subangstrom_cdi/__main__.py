"""``python -m napari_subangstrom_cdi``, and the console script: importing the science takes a second, too."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; an interruption while it is being imported ends as quietly as a later one."""
    try:
        from napari_subangstrom_cdi.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("napari-subangstrom-cdi: interrupted; nothing is written\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
