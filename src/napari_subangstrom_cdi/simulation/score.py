"""A result against the record set that it is of."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_subangstrom_cdi.core.fourier import fit_to_size, inverse, transform
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.truth import RECOVERED, TruthScore, laid_over, score_against
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io import check_writable
from napari_subangstrom_cdi.io.cxi import read_cxi

_SAME_FIELD = 5e-4
_ELECTRONS_PER_ANGSTROM2 = 1e4  # of a dose of 1


@dataclass(frozen=True)
class Scored:
    """A score with the case's name."""

    case: str
    score: TruthScore

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"case": self.case, **asdict(self.score)}

    def summary(self) -> str:
        """A few lines for a person."""
        reached = self.score.resolution_angstrom
        lines = [
            f"{self.case}: correlation with the truth {self.score.correlation:.3f}, "
            + (f"resolution {reached:.2f} Å" if reached else "no band of reflections recovered")
        ]
        for band in self.score.bands:
            low, high = band.q_per_angstrom
            mark = "" if band.correlation >= RECOVERED else "  lost"
            of = f"{band.reflections:3d} reflections, {band.correlation:+.3f}"
            lines.append(f"  {1 / low:5.2f} to {1 / high:.2f} Å: {of}{mark}")
        return "\n".join(lines)


def score_result(folder: Path, result: Path, figure: Path | None = None) -> Scored:
    """Score a result by the truth in a record set's folder; with ``figure``, draw both and their difference.

    Raises
    ------
    InputError
        If the folder holds no truth, the result has no calibration, or the figure cannot be written.
    """
    if figure is not None:
        check_writable(figure)
    truth, grid, dose = _truth(folder)
    found = read_cxi(result)
    if not found.calibrated:
        raise InputError("has no pixel size", where=str(result), mend="reconstruct with the camera length known")
    moved = _on_grid(found.object, found.grid, grid)
    scored = Scored(folder.name, score_against(truth, moved, grid, dose * grid.pixel_angstrom**2))
    if figure is not None:
        from .truth_figure import draw_comparison  # matplotlib takes a second to import

        draw_comparison(figure, folder.name, truth, laid_over(truth, moved, grid), grid, scored.score)
    return scored


def _truth(folder: Path) -> tuple[np.ndarray[Any, np.dtype[np.complex64]], Grid, float]:
    try:
        with np.load(folder / "truth.npz", allow_pickle=False) as stored:
            kept, pixel = stored["object"].astype(np.complex64), float(stored["pixel_A"])
        answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        dose = _ELECTRONS_PER_ANGSTROM2 * float(answer["dose"])
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"holds no truth to score by ({error})", where=str(folder), mend="give a folder that simulate wrote"
        ) from error
    n = 2 * len(kept)
    return fit_to_size(kept, n), Grid(n, n * pixel), dose


def _on_grid(
    field: np.ndarray[Any, np.dtype[np.complex64]], mine: Grid, wanted: Grid
) -> np.ndarray[Any, np.dtype[np.complex64]]:
    """Resample by cutting or padding the transform; fields of another size are cut or padded to it before."""
    if abs(mine.field_of_view_angstrom / wanted.field_of_view_angstrom - 1) > _SAME_FIELD:
        n = round(wanted.field_of_view_angstrom / mine.pixel_angstrom)
        n += n % 2
        field, mine = fit_to_size(field, n), Grid(n, n * mine.pixel_angstrom)
    spectrum = fit_to_size(transform(field), wanted.n)
    return inverse((spectrum * np.float32((wanted.n / mine.n) ** 2)).astype(np.complex64))
