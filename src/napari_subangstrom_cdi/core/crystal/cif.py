"""Crystal structures from CIF, through gemmi."""

from __future__ import annotations


def is_cif(name: str) -> bool:
    """Whether a crystal's name means a file: ``FILE.cif``, or ``FILE.cif::BLOCK`` for one of several structures."""
    return name.partition("::")[0].lower().endswith(".cif")
