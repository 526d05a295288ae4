"""A result as a notebook shows it: a picture of the object, and the numbers to judge it by."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_subangstrom_cdi.core.phasing.retrieval import support_box
from napari_subangstrom_cdi.core.result import Result

from .readings import is_known, marked, shown_in
from .report import most_real

_INCHES, _DPI = 3.2, 110
_MARGIN_PX = 8


def html_of(result: Result) -> str:
    """Picture and table side by side, as one piece of HTML that holds all it needs."""
    picture = base64.b64encode(png_of(result)).decode("ascii")
    rows = "".join(
        f'<tr><td style="text-align:left">{escape(name)}</td><td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in rows_of(result)
    )
    return (
        '<div style="display:flex;gap:1.5em;align-items:flex-start">'
        f'<img alt="real part of the object" src="data:image/png;base64,{picture}"/>'
        f"<table>{rows}</table></div>"
    )


def png_of(result: Result) -> bytes:
    """The object's real part around its support, most real by its global phase, as a PNG."""
    rows, columns = (
        slice(max(0, part.start - _MARGIN_PX), part.stop + _MARGIN_PX) for part in support_box(result.support)
    )
    window = most_real(result.object, result.support).real[rows, columns]
    inside = window[result.support[rows, columns]]
    figure = Figure(figsize=(_INCHES, _INCHES * window.shape[0] / window.shape[1]), dpi=_DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    low, high = np.percentile(inside, (1, 99.8))
    axes.imshow(window, cmap="inferno", vmin=min(0.0, float(low)), vmax=float(high), interpolation="lanczos")
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def rows_of(result: Result) -> list[tuple[str, str]]:
    """Names and values of the table."""
    numbers: dict[str, Any] = dict(result.metrics)
    n, unit = result.grid.n, "Å" if result.calibrated else "px"
    rows = [("object", f"{n} × {n} pixels of {result.grid.pixel_angstrom:.4g} {unit}")]
    rows += [(r.caption, marked(r, numbers)[0]) for r in shown_in("Results") if is_known(r, numbers)]
    rows += [("warning", str(said)) for said in numbers.get("warnings", ())]
    return rows
