"""A reconstruction beside the object that it should be, and what lies between them, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import scipy.ndimage as ndi

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.truth import TruthScore
from napari_subangstrom_cdi.core.types import Complex64
from napari_subangstrom_cdi.io import check_writable
from napari_subangstrom_cdi.io.atomic import atomic_path

_MARGIN_ANGSTROM = 4.0
_EDGE = 0.05  # of the envelope
_BRIGHTEST = 99.8  # percentile


def draw_comparison(path: Path, title: str, truth: Complex64, found: Complex64, grid: Grid, score: TruthScore) -> None:
    """Draw the moduli of truth, result and difference in one grey scale.

    Parameters
    ----------
    path : Path
        PNG, PDF or SVG.
    title : str
        Of the case.
    truth, found : ndarray of complex64, shape (n, n)
        The second laid over the first, as :func:`.core.truth.laid_over` does.
    grid : Grid
        Their sampling.
    score : TruthScore
        What is told below the title.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    check_writable(path)
    rows, columns = _particle(truth, grid)
    middle, pixel = grid.n // 2, grid.pixel_angstrom
    extent = [(columns.start - middle) * pixel, (columns.stop - middle) * pixel]
    extent += [(rows.stop - middle) * pixel, (rows.start - middle) * pixel]
    brightest = float(np.percentile(np.abs(truth[rows, columns]), _BRIGHTEST))
    figure = matplotlib.figure.Figure(figsize=(10.2, 3.9), layout="constrained")
    axes: Any = figure.subplots(1, 3, sharex=True, sharey=True)
    pictures = (("truth", truth), ("result", found), ("difference", truth - found))
    for one, (name, field) in zip(axes, pictures, strict=True):
        shown = np.abs(field[rows, columns])
        one.imshow(shown, cmap="gray", vmin=0, vmax=brightest, extent=extent, interpolation="nearest")
        one.set_title(name, fontsize=10)
        one.set_xlabel("x (Å)")
    axes[0].set_ylabel("y (Å)")
    reached = score.resolution_angstrom
    figure.suptitle(
        f"{title}: correlation {score.correlation:.3f}, "
        + (f"resolution {reached:.2f} Å" if reached else "no band recovered"),
        fontsize=11,
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format=path.suffix.lstrip(".") or "png")


def _particle(truth: Complex64, grid: Grid) -> tuple[slice, slice]:
    """Rows and columns around the particle."""
    envelope = ndi.gaussian_filter(np.abs(truth), 4)
    ((rows, columns),) = ndi.find_objects((envelope > _EDGE * envelope.max()).astype(np.int8))
    margin = round(_MARGIN_ANGSTROM / grid.pixel_angstrom)

    def wider(part: slice) -> slice:
        return slice(max(part.start - margin, 0), min(part.stop + margin, grid.n))

    return wider(rows), wider(columns)
