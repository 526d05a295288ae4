"""The picture report of a run: one 16:9 page as PNG and PDF, fit for a slide."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import scipy.fft
import scipy.ndimage as ndi
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, Locator, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray
from skimage.color import lab2rgb

from napari_subangstrom_cdi.core.fourier import to_centred, to_fft_order, transform
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.result import Result
from napari_subangstrom_cdi.io.atomic import atomic_path

from .readings import CURVES, READINGS, Reading, is_doubtful, is_known, marked, number, shown_in, value, written

Array = NDArray[Any]
Window = tuple[slice, slice]

DPI = 180
_PROGRAM = b"napari-subangstrom-cdi"
_WIDTH_IN, _HEIGHT_IN = 13.0 + 1 / 3, 7.5

_INK, _GREY, _PALE = "#1c2126", "#6b7480", "#d5dae0"
_ACCENT, _SECOND = "#c8442e", "#1f6fa8"
_REGION_COLOURS = {Region.G: "#1f6fa8", Region.B: "#dfe5eb", Region.M: "#3a4048"}
_DENSITY, _SPECTRUM = "inferno", "magma"
_TITLE_PT, _PANEL_PT, _LABEL_PT, _TICK_PT = 20.0, 10.5, 8.0, 7.5
_POINTS_PER_IN = 72
_CURVE_STYLES = {"prtf": (_SECOND, "-"), "frc": (_ACCENT, "-"), "omit": ("#2e8b57", "--"), "unaided": ("#7a4fa0", ":")}
_LEFT_OUT = tuple(CURVES[name].caption for name in ("omit", "unaided"))
# Of a reading and the one that stands beside it in the table of numbers.
_SIDE_BY_SIDE = {
    "registration.rotation_deg": "registration.image_pixel_angstrom",
    "guard.image_likeness": "guard.without_model.image_likeness",
    "guard.without_model.correlation": "guard.without_model.agrees_to_angstrom",
    "guard.without_model.free_r_with_model": "guard.without_model.free_r",
}
_ELSEWHERE = ("resolution_angstrom", "resolution_px", "regions.G", "regions.B", "regions.M")

# Left, top, width, height of each panel from the page's top left corner, inches.
_BOXES: Mapping[str, tuple[float, float, float, float]] = {
    "pattern": (0.35, 1.20, 1.78, 1.78),
    "regions": (0.35, 3.27, 1.78, 1.78),
    "potential": (0.35, 5.34, 1.78, 1.78),
    "hero": (2.98, 1.20, 3.85, 3.85),
    "zoom": (7.62, 1.20, 2.05, 2.05),
    "numbers": (10.02, 1.20, 2.96, 2.20),
    "amplitude": (7.62, 3.67, 1.38, 1.38),
    "phase": (9.42, 3.67, 1.38, 1.38),
    "deviation": (11.22, 3.67, 1.38, 1.38),
    "power_image": (2.98, 5.34, 1.78, 1.78),
    "power_object": (4.84, 5.34, 1.78, 1.78),
    "r_factor": (7.72, 5.64, 2.16, 1.10),
    "radial": (10.42, 5.64, 2.30, 1.10),
}

_STYLE: Any = {  # its keys are literals to a type checker
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": _LABEL_PT,
    "text.usetex": False,
    "text.color": _INK,
    "mathtext.fontset": "dejavusans",
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.6,
    "axes.labelsize": _LABEL_PT,
    "axes.labelpad": 2.0,
    "axes.facecolor": "white",
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.labelsize": _TICK_PT,
    "ytick.labelsize": _TICK_PT,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "image.origin": "upper",
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "savefig.bbox": None,
    "pdf.fonttype": 42,
}


def write_report(result: Result, stem: Path) -> tuple[Path, Path]:
    """Write ``STEM.png`` and ``STEM.pdf``, both or neither.

    The same result gives the same PNG, byte for byte, with the same version of matplotlib.

    Parameters
    ----------
    result : Result
        What to show. What it lacks (image, second member, calibration) is said on the page.
    stem : path-like
        Path without suffix; its last part is the title.

    Returns
    -------
    (Path, Path)
        The PNG and the PDF.

    Raises
    ------
    InputError
        If the folder is missing or not writable, or the disk is full.
    """
    stem = Path(stem)
    png, pdf = (stem.with_name(stem.name + suffix) for suffix in (".png", ".pdf"))
    program = f"{_PROGRAM.decode()} {result.version}"
    with atomic_path(png) as png_part, atomic_path(pdf) as pdf_part, matplotlib.rc_context(_STYLE):
        figure = draw_report(result, stem.name)
        figure.savefig(png_part, format="png", metadata={"Software": program, "Title": stem.name})
        figure.savefig(pdf_part, format="pdf", metadata={"Creator": program, "Title": stem.name, "CreationDate": None})
    return png, pdf


def stem_beside(output: Path) -> Path:
    """Where the report of a result goes that nobody named: beside it, over an earlier report but over nothing else."""
    stem = output.with_suffix("")
    others = (stem.with_name(f"{stem.name}.report{number}") for number in ("", *(f"-{k}" for k in range(2, 1000))))
    return next(one for one in (stem, *others) if all(_is_free(one, suffix) for suffix in (".png", ".pdf")))


def _is_free(stem: Path, suffix: str) -> bool:
    """Whether nothing is lost by a report of that name."""
    path = stem.with_name(stem.name + suffix)
    try:
        return not path.exists() or _PROGRAM in path.read_bytes()
    except OSError:
        return False


def draw_report(result: Result, title: str) -> Figure:
    """Draw the page on a figure of its own, apart from pyplot.

    Parameters
    ----------
    result : Result
        What to show.
    title : str
        Name of the case.
    """
    figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    page = _Page(figure, result, _look(result))
    _header(page, title)
    _pattern(page)
    _regions(page)
    _potential(page)
    _hero(page)
    _zoom(page)
    _amplitude_and_phase(page)
    _deviation(page)
    _power_spectra(page)
    _r_curves(page)
    _radial_curves(page)
    _numbers(page)
    return figure


@dataclass(frozen=True)
class _Look:
    """What several panels share."""

    field: NDArray[np.complex64]
    """Object on the window, with its global phase taken out."""
    window: Window
    zoom: Window
    """Within the window."""
    unit: str
    pixel: float
    """Of real space, in that unit: an uncalibrated grid counts pixels where it says ångström."""
    fine: Array
    """Real part on the window, interpolated."""
    factor: int
    """Pixels of ``fine`` per pixel."""
    norm: Normalize
    """Brightness of the real part."""


@dataclass(frozen=True)
class _Page:
    figure: Figure
    result: Result
    look: _Look

    def axes(self, name: str) -> Axes:
        """Add the axes of a panel."""
        return self.at(*_BOXES[name])

    def at(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes by inches from the top left."""
        return self.figure.add_axes(
            (left / _WIDTH_IN, 1 - (top + height) / _HEIGHT_IN, width / _WIDTH_IN, height / _HEIGHT_IN)
        )

    def title(self, name: str, text: str, note: str = "") -> None:
        """Write a panel's title, and a note in grey at the right end of its line."""
        left, top, width, _ = _BOXES[name]
        if name in ("r_factor", "radial"):  # labels stand between these axes and their title
            left, top = _BOXES["zoom"][0] if name == "r_factor" else left, _BOXES["potential"][1]
        self.text(left, top - 0.07, text, size=_PANEL_PT, weight="bold")
        if note:
            self.text(left + width, top - 0.07, note, size=_TICK_PT, color=_GREY, ha="right")

    def text(self, x: float, y: float, text: str, **style: Any) -> Text:
        """Write text with its baseline at inches from the top left."""
        return self.figure.text(x / _WIDTH_IN, 1 - y / _HEIGHT_IN, text, **{"va": "baseline", **style})

    def key(self, name: str, entries: Sequence[tuple[str, str, str]]) -> None:
        """Name lines (label, colour, style) at the right end of a panel's title."""
        left, _, width, _ = _BOXES[name]
        x, y = left + width + (0.25 if name == "radial" else 0.0), _BOXES["potential"][1] - 0.07
        for label, colour, style in reversed(entries):
            text = self.text(x, y, label, size=_TICK_PT, ha="right")
            x = text.get_window_extent().x0 / DPI - 0.06
            ends = ([(x - 0.18) / _WIDTH_IN, x / _WIDTH_IN], [1 - (y - 0.035) / _HEIGHT_IN] * 2)
            self.figure.add_artist(Line2D(*ends, color=colour, lw=1.6, ls=style if style == "-" else (0, (2.2, 1))))
            x -= 0.32

    def image(self, name: str, data: Array, **style: Any) -> tuple[Axes, AxesImage]:
        """Show an array without ticks."""
        axes = self.axes(name)
        axes.set_axis_off()
        return axes, axes.imshow(data, aspect="equal", rasterized=True, **style)

    def colour_bar(
        self, name: str, image: ScalarMappable, label: str, ticks: Sequence[float] | Locator | None = None
    ) -> Axes:
        """Add a thin bar at the right of a panel."""
        left, top, width, height = _BOXES[name]
        axes = self.at(left + width + 0.06, top, 0.07, height)
        if ticks is None and not isinstance(image.norm, LogNorm):
            ticks = MaxNLocator(6 if height > 2 else 4, steps=[1, 2, 2.5, 5, 10])
        bar = self.figure.colorbar(image, cax=axes, ticks=ticks)
        bar.outline.set_visible(False)
        axes.minorticks_off()
        axes.tick_params(length=2, pad=1.5)
        axes.set_ylabel(label, labelpad=3)
        return axes

    def missing(self, name: str, text: str) -> None:
        """Say in a panel why there is nothing to see."""
        axes = self.axes(name)
        axes.set(xticks=[], yticks=[], facecolor="#f3f5f7")
        axes.spines[:].set_visible(False)
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=_GREY)


# What to show --------------------------------------------------------------------------------


def _look(result: Result) -> _Look:
    window = _window(result.support)
    field = most_real(result.object, result.support)[window]
    unit = "Å" if result.calibrated else "px"
    pixel = result.grid.pixel_angstrom
    inside = result.support[window]
    zoom = _zoom_window(field.real, inside, pixel, result.calibrated)
    # About twice the pixels of the panel; between pixels a band-limited peak is higher than on them.
    factor = int(np.clip(1400 // len(inside), 1, 8))
    fine = _upsample(field.real, factor)
    norm = Normalize(*_limits(fine, inside.repeat(factor, 0).repeat(factor, 1)))
    return _Look(field, window, zoom, unit, pixel, fine, factor, norm)


def most_real(field: NDArray[np.complex64], support: NDArray[np.bool_]) -> NDArray[np.complex64]:
    """Take out the global phase, which a pattern does not know: most real in the support, positive sum.

    Parameters
    ----------
    field : ndarray of complex64, shape (n, n)
        Object.
    support : ndarray of bool, shape (n, n)
        Where to look.
    """
    inside = field[support].astype(np.complex128)
    factor = np.exp(-0.5j * np.angle(np.sum(inside**2)))
    if np.sum((inside * factor).real) < 0:
        factor = -factor
    return (field * np.complex64(factor)).astype(np.complex64)


def _window(support: NDArray[np.bool_], margin: float = 0.06) -> Window:
    """Square around the support with a margin on each side, inside the array."""
    n = support.shape[0]
    if not support.any():
        return slice(0, n), slice(0, n)
    ends = [np.flatnonzero(support.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    side = min(n, math.ceil(max(b - a + 1 for a, b in ends) * (1 + 2 * margin)) + 2)
    starts = [min(max(0, (int(a) + int(b) + 1 - side) // 2), n - side) for a, b in ends]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def _zoom_window(density: Array, support: NDArray[np.bool_], pixel: float, calibrated: bool) -> Window:
    """Square of about 20 Å, inside the support if it can, where the density varies most."""
    size = density.shape[0]
    wanted = 20 / pixel if calibrated else size / 4
    side = int(np.clip(round(wanted), max(4, size // 6), max(4, size // 3)))
    mean = ndi.uniform_filter(density.astype(np.float64), side)
    spread = ndi.uniform_filter(density.astype(np.float64) ** 2, side) - mean**2
    filled = ndi.uniform_filter(support.astype(np.float64), side)
    half = side // 2
    inner = (slice(half, size - side + half + 1),) * 2
    merit = np.where(filled > 0.999, spread, spread * filled**4 * 1e-3)[inner]
    y, x = np.unravel_index(int(np.argmax(merit)), merit.shape)
    return slice(int(y), int(y) + side), slice(int(x), int(x) + side)


def _upsample(field: Array, factor: int) -> Array:
    """Fourier interpolation of a real array that is about zero at its border."""
    ny, nx = field.shape
    spectrum = to_centred(scipy.fft.fft2(field))
    wide = np.zeros((ny * factor, nx * factor), spectrum.dtype)
    y, x = ny * factor // 2 - ny // 2, nx * factor // 2 - nx // 2
    wide[y : y + ny, x : x + nx] = spectrum
    return scipy.fft.ifft2(to_fft_order(wide)).real * factor**2


def _pooled(values: Array, most: int) -> Array:
    """Shrink by an integer to at most ``most`` pixels a side, keeping the highest of each block: spots stay."""
    factor = max(1, math.ceil(values.shape[0] / most))
    n = values.shape[0] // factor * factor
    return values[:n, :n].reshape(n // factor, factor, n // factor, factor).max(axis=(1, 3))


def _shrunk_colours(codes: NDArray[np.uint8], most: int) -> Array:
    """Regions as colours, each block of pixels the mean of its own."""
    table = np.array([_rgb(_REGION_COLOURS[Region(code)]) for code in range(3)], np.float32)
    factor = max(1, codes.shape[0] // most)
    n = codes.shape[0] // factor * factor
    colours = table[codes[:n, :n]]
    return colours.reshape(n // factor, factor, n // factor, factor, 3).mean(axis=(1, 3))


def _rgb(colour: str) -> tuple[float, float, float]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]


def _resolution(result: Result) -> float | None:
    return number(value(result.metrics, _agreement(result).key))


def _agreement(result: Result) -> Reading:
    """How far the members agree, in the unit of the result."""
    return READINGS["resolution_angstrom" if result.calibrated else "resolution_px"]


def _information_limit(result: Result) -> float | None:
    """Of the image, Å⁻¹, from the acquisition in the recipe."""
    if not result.calibrated or result.potential is None:
        return None
    try:
        acquisition = tomllib.loads(result.recipe).get("acquisition", {})
    except tomllib.TOMLDecodeError:
        return None
    return number(acquisition.get("information_limit_per_A")) if isinstance(acquisition, Mapping) else None


def _nice(value: float, steps: Sequence[float] = (1, 2, 5)) -> float:
    """The largest of ``steps`` times a power of ten that is not above a value."""
    power = 10.0 ** math.floor(math.log10(value))
    return max((step * power for step in steps if step * power <= value * 1.0001), default=power)


def _length(value: float, unit: str) -> str:
    """A length in the unit that reads best."""
    if unit == "Å" and value >= 9.99e3:
        return f"{value / 1e4:g} µm"
    if unit == "Å" and value >= 10:
        return f"{value / 10:g} nm"
    return f"{value:g} {unit}"


def _spacings(q_max: float, wanted: int) -> list[float]:
    """Round d-spacings whose 1/d divide the radius about evenly."""
    spacings = []
    for i in range(1, wanted + 1):
        d = 1 / (q_max * i / (wanted + 0.35))
        power = 10.0 ** math.floor(math.log10(d))
        spacings.append(power * min((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10), key=lambda s: abs(s * power / d - 1)))
    return sorted(set(spacings), reverse=True)


# Panels --------------------------------------------------------------------------------------


def _header(page: _Page, title: str) -> None:
    result = page.result
    page.text(0.35, 0.62, title, size=_TITLE_PT, weight="bold")
    kept, total = sum(result.kept), len(result.kept)
    preset = f"preset {result.metrics['preset']}, " if result.metrics.get("preset") else ""
    members = f"average of {kept} of {total} members" if total > 1 else "one member"
    page.text(0.35, 0.86, f"Diffractive imaging, {preset}{members}", size=_PANEL_PT, color=_GREY)
    if not result.complete:
        text = f"stopped after {total} member{'s' if total != 1 else ''}"
        box = {"boxstyle": "round,pad=0.4", "facecolor": _ACCENT, "edgecolor": "none"}
        page.text(6.67, 0.62, text, size=_PANEL_PT, color="white", weight="bold", ha="center", bbox=box)
    resolution, agreement = _resolution(result), _agreement(result)
    right = _WIDTH_IN - 0.35
    reached = f"{agreement.caption} {written(agreement, resolution)}" if resolution else "members do not agree"
    criterion = result.metrics.get("resolution_criterion") or "criterion not given"
    if kept < 2:  # what one member agrees with is only itself
        reached, criterion = "one member", "reproducibility not tested"
    page.text(right, 0.62, reached, size=_TITLE_PT, weight="bold", color=_ACCENT if kept > 1 else _GREY, ha="right")
    page.text(right, 0.86, criterion, size=_PANEL_PT, color=_GREY, ha="right")


def _pattern(page: _Page) -> None:
    result = page.result
    page.title("pattern", "Diffraction pattern")
    values = _pooled(np.where(result.regions == Region.M, 0, result.pattern), 400)
    top = max(float(values.max()), 1e-12)
    good = result.pattern[result.regions == Region.G]
    floor = float(np.percentile(good, 2)) / 10 if good.size else top / 1e5
    floor = min(max(floor, top / 1e7), top / 10)
    axes, image = page.image("pattern", np.maximum(values, floor), cmap=_SPECTRUM, norm=LogNorm(floor, top))
    page.colour_bar("pattern", image, "electrons" if result.calibrated else "counts")
    q_max = result.grid.q_max_per_angstrom
    for d in _spacings(q_max, 3):
        _ring(axes, values.shape[0], 1 / d / q_max, _length(d, page.look.unit), "white", angle=-45)


def _ring(axes: Axes, size: int, radius: float, label: str, colour: str, *, angle: float, style: str = "-") -> None:
    """Circle of a radius given as a fraction of the half width, labelled on itself."""
    centre, r = size / 2 - 0.5, radius * size / 2
    axes.add_patch(Circle((centre, centre), r, fill=False, ec=colour, lw=0.6, ls=style, alpha=0.75))
    x, y = (centre + r * f(math.radians(angle)) for f in (math.cos, math.sin))
    axes.text(
        x, y, label, color=colour, size=_TICK_PT, ha="center", va="center", clip_on=True,
        path_effects=[withStroke(linewidth=2.2, foreground="black")],
    )  # fmt: skip


def _regions(page: _Page) -> None:
    result = page.result
    page.title("regions", "Regions")
    axes, _ = page.image("regions", _shrunk_colours(result.regions, 400), interpolation="antialiased")
    axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, ec=_PALE, lw=0.6))
    left, top, width, height = _BOXES["regions"]
    x = left + width + 0.08
    names = {Region.G: "signal", Region.B: "noise", Region.M: "no data"}
    for row, (region, meaning) in enumerate(names.items()):
        y = top + 0.11 + row * 0.36
        square = ((x / _WIDTH_IN, 1 - y / _HEIGHT_IN), 0.1 / _WIDTH_IN, 0.1 / _HEIGHT_IN)
        page.figure.add_artist(Rectangle(*square, fc=_REGION_COLOURS[region], ec=_GREY, lw=0.4))
        page.text(x + 0.14, y, region.name, size=_TICK_PT, weight="bold")
        page.text(x + 0.28, y, meaning, size=_TICK_PT)
        share = np.count_nonzero(result.regions == region) / result.regions.size
        page.text(x + 0.14, y + 0.15, written(READINGS[f"regions.{region.name}"], share), size=_TICK_PT, color=_GREY)
    inset = page.at(x, top + height - 0.52, 0.52, 0.52)
    inset.imshow(_pooled(result.support, 200), cmap="gray", rasterized=True, interpolation="nearest")
    inset.set_axis_off()
    page.text(x, top + height - 0.56, "support", size=_TICK_PT)


def _potential(page: _Page) -> None:
    result, look = page.result, page.look
    page.title("potential", "Image: potential")
    if result.potential is None:
        page.missing("potential", "no image")
        return
    crop, inside = result.potential[look.window], result.support[look.window]
    low, high = _limits(crop, inside)
    axes, image = page.image("potential", crop, cmap=_DENSITY, norm=Normalize(low, high), interpolation="bicubic")
    axes.contour(inside, [0.5], colors="white", linewidths=0.8)
    _scale_bar(axes, crop.shape[0], look)
    page.colour_bar("potential", image, _density_label(result))


def _density_label(result: Result) -> str:
    return "σV (rad)" if _density_unit(result) == "rad" else "arb. units"


def _density_unit(result: Result) -> str:
    """The image gives the scale of the object; without it the pattern's is arbitrary."""
    return "rad" if result.calibrated and result.potential is not None else "arb. u."


def _limits(values: Array, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Display range that a few extreme pixels do not set; zero is in it."""
    chosen = values[inside] if inside.any() else values
    low, high = np.percentile(chosen, [1, 99.5])
    low = min(0.0, float(low))
    return low, max(float(high), low + 1e-9)


def _scale_bar(axes: Axes, pixels: int, look: _Look, *, width: float = 2.5) -> None:
    length = _nice(pixels * look.pixel / 3.5)
    x = pixels * 0.05
    y = pixels * 0.945
    axes.plot([x, x + length / look.pixel], [y, y], color="white", lw=width, solid_capstyle="butt")
    axes.text(
        x + length / look.pixel / 2, y - pixels * 0.025, _length(length, look.unit), color="white",
        size=_LABEL_PT if width < 3 else _PANEL_PT, weight="bold", ha="center", va="bottom",
        path_effects=[withStroke(linewidth=1.5, foreground="black")],
    )  # fmt: skip


def _hero(page: _Page) -> None:
    look = page.look
    page.title("hero", "Reconstruction, real part")
    axes, image = page.image("hero", look.fine, cmap=_DENSITY, norm=look.norm)
    _scale_bar(axes, len(look.fine), replace(look, pixel=look.pixel / look.factor), width=4)
    rows, columns = look.zoom
    corner = (columns.start * look.factor - 0.5, rows.start * look.factor - 0.5)
    side = (rows.stop - rows.start) * look.factor
    axes.add_patch(Rectangle(corner, side, side, fill=False, ec="white", lw=1.0))
    page.colour_bar("hero", image, _density_label(page.result))


def _zoom(page: _Page) -> None:
    look = page.look
    page.title("zoom", "Framed area", f"{_length(float(f'{_zoom_side(look):.2g}'), look.unit)} wide")
    factor = look.factor
    rows, columns = (slice(part.start * factor, part.stop * factor) for part in look.zoom)
    axes, _ = page.image("zoom", look.fine[rows, columns], cmap=_DENSITY, norm=look.norm, interpolation="bicubic")
    _scale_bar(axes, rows.stop - rows.start, replace(look, pixel=look.pixel / factor))


def _zoom_side(look: _Look) -> float:
    return (look.zoom[0].stop - look.zoom[0].start) * look.pixel


def _amplitude_and_phase(page: _Page) -> None:
    look = page.look
    amplitude, phase = np.abs(look.field), np.angle(look.field)
    inside = page.result.support[look.window]
    high = max(float(np.percentile(amplitude[inside], 99.9)) if inside.any() else 0.0, 1e-9)
    page.title("amplitude", "Amplitude", _density_unit(page.result))
    _, image = page.image("amplitude", amplitude, cmap=_DENSITY, norm=Normalize(0, high), interpolation="bicubic")
    page.colour_bar("amplitude", image, "")
    page.title("phase", "Phase", "rad")
    scale = ScalarMappable(Normalize(-math.pi, math.pi), _hue_circle())
    # Where there is no amplitude the phase means nothing: fade it out.
    weight = np.clip(amplitude / (0.3 * high), 0, 1)[..., None]
    page.image("phase", scale.to_rgba(phase)[..., :3] * weight, interpolation="antialiased")
    bar = page.colour_bar("phase", scale, "", [-math.pi, 0, math.pi])
    bar.set_yticklabels(["−π", "0", "π"])


def _hue_circle() -> ListedColormap:
    """Hues of equal lightness and chroma: warm for phase 0, so that real and positive looks warm."""
    angle = np.linspace(-math.pi, math.pi, 256, endpoint=False) + math.radians(60)
    lab = np.stack([np.full(256, 72.0), 42 * np.cos(angle), 42 * np.sin(angle)], axis=-1)
    return ListedColormap(lab2rgb(lab), name="hue-circle")


def _deviation(page: _Page) -> None:
    result, look = page.result, page.look
    page.title("deviation", "Deviation", _density_unit(result))
    if sum(result.kept) < 2:
        page.missing("deviation", "one member:\nno deviation")
        return
    crop = result.deviation[look.window]
    _, high = _limits(crop, result.support[look.window])
    _, image = page.image("deviation", crop, cmap=_DENSITY, norm=Normalize(0, high), interpolation="bicubic")
    page.colour_bar("deviation", image, "")


def _power_spectra(page: _Page) -> None:
    result = page.result
    power = _pooled(np.abs(transform(np.where(result.support, result.object, 0))) ** 2, 400)
    top = max(float(np.sort(power, axis=None)[-9]), 1e-30)
    norm = LogNorm(top * 1e-6, top)
    page.title("power_image", "Power spectra")
    axes, image = page.image("power_object", np.maximum(power, top * 1e-6), cmap=_SPECTRUM, norm=norm)
    _rings_of_resolution(page, axes, power.shape[0])
    _caption(axes, "reconstruction")
    page.colour_bar("power_object", image, "|FT|² (rad²)" if result.potential is not None else "|FT|²")
    if result.potential is None:
        page.missing("power_image", "no image")
        return
    inside = np.where(result.support, result.potential, 0).astype(np.float32)
    power = _pooled(np.abs(transform(inside)) ** 2, 400)
    axes, _ = page.image("power_image", np.maximum(power, top * 1e-6), cmap=_SPECTRUM, norm=norm)
    _rings_of_resolution(page, axes, power.shape[0])
    _caption(axes, "image")


def _caption(axes: Axes, text: str) -> None:
    """Name of an image within it."""
    axes.text(
        0.03, 0.97, text, transform=axes.transAxes, color="white", size=_LABEL_PT, weight="bold", va="top",
        path_effects=[withStroke(linewidth=1.5, foreground="black")],
    )  # fmt: skip


def _rings_of_resolution(page: _Page, axes: Axes, size: int) -> None:
    q_max = page.result.grid.q_max_per_angstrom
    limit, reached = _information_limit(page.result), _resolution(page.result)
    if limit:
        _ring(axes, size, limit / q_max, f"{1 / limit:.2f} Å", "white", angle=135, style="--")
    if reached:
        label = written(_agreement(page.result), reached)
        _ring(axes, size, 1 / reached / q_max, label, "#ffb347", angle=-45)


def _r_curves(page: _Page) -> None:
    result = page.result
    page.title("r_factor", "R-factor")
    axes = page.axes("r_factor")
    history, free = np.atleast_2d(result.r_history), np.atleast_2d(result.free_r_history)
    if history.size == 0:
        return
    steps = np.arange(1, history.shape[1] + 1)
    for row in history:
        axes.plot(steps, row, color=_SECOND, lw=0.6, alpha=0.3)
    # The medians that stand in the table: a member that fits best by a hair says nothing of the rest.
    middle, held_out = np.median(history, axis=0), np.median(free, axis=0)
    axes.plot(steps, middle, color=_SECOND, lw=1.6)
    if np.isfinite(held_out).any():
        axes.plot(steps, held_out, color=_ACCENT, lw=1.2, ls=(0, (3, 1.5)))
    known = np.concatenate([history[np.isfinite(history)], held_out[np.isfinite(held_out)]])
    known = known[known > 0]
    axes.set_yscale("log")
    axes.set_xlim(0, steps[-1])
    if known.size:
        low, high = float(known.min()) * 0.85, float(np.percentile(known, 99.8)) * 1.5
        axes.set_ylim(low, high)
    _stages(axes, result.stage_ends, int(steps[-1]))
    _plain_log_ticks(axes)
    axes.set_xlabel("iteration")
    page.key("r_factor", [(READINGS["r_factor"].caption, _SECOND, "-"), (READINGS["free_r"].caption, _ACCENT, "--")])


def _stages(axes: Axes, stage_ends: Sequence[tuple[str, int]], last: int) -> None:
    start, width_in = 0, _BOXES["r_factor"][2]
    taken = [-math.inf, -math.inf]  # right end of what stands in the lower and upper row, inches
    for name, end in stage_ends:
        if end < last:
            axes.axvline(end, color=_PALE, lw=0.8, zorder=0)
        middle, half = (start + end) / 2 / last * width_in, 0.034 * len(name)
        row = 0 if middle - half > taken[0] else 1
        taken[row] = middle + half
        axes.text(
            middle / width_in, 1.03 + 0.12 * row, name, transform=axes.transAxes, size=_TICK_PT, color=_GREY,
            ha="center", va="bottom",
        )  # fmt: skip
        start = end


def _plain_log_ticks(axes: Axes) -> None:
    """Label a log axis of about one decade with plain numbers."""
    low, high = axes.get_ylim()
    steps = (1, 2, 5) if high > 8 * low else (1, 1.5, 2, 3, 5, 7)
    ticks = [t for t in LogLocator(subs=steps).tick_values(low, high) if low <= t <= high]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.set_yticklabels([f"{tick:g}" for tick in ticks])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def _radial_curves(page: _Page) -> None:
    result = page.result
    page.title("radial", "Reproducibility")
    axes = page.axes("radial")
    drawn = [(name, curve) for name, curve in CURVES.items() if name in result.curves]
    for name, curve in drawn:
        known = np.isfinite(result.curves[name].value)
        q, values = result.curves[name].q_per_angstrom[known], result.curves[name].value[known]
        colour, style = _CURVE_STYLES[name]
        axes.plot(q, values, color=colour, lw=1.4, ls=style, label=curve.caption)
    q_max = result.grid.q_max_per_angstrom
    for level, name in {curve.limit: curve.limit_text for curve in CURVES.values()}.items():
        axes.axhline(level, color=_GREY, lw=0.6, ls=":")
        axes.text(1.01, level, name, transform=axes.get_yaxis_transform(), size=_TICK_PT, color=_GREY, va="center")
    axes.set(xlim=(0, q_max), ylim=(0, 1.05), xlabel=f"q (1/{page.look.unit})", yticks=[0, 0.5, 1])
    resolution = _resolution(result)
    if resolution:
        axes.axvline(1 / resolution, color="#ffb347", lw=1.0, zorder=0)
    top = axes.secondary_xaxis("top")
    ticks = [d for d in _spacings(q_max, 4) if 1 / d > 0.22 * q_max]
    top.set_xticks([1 / d for d in ticks], [f"{d:g}" for d in ticks])
    top.tick_params(length=2, pad=1)
    axes.text(0, 1.055, f"d ({page.look.unit})", transform=axes.transAxes, size=_TICK_PT)
    above = [(curve.caption, *_CURVE_STYLES[name]) for name, curve in drawn if name in ("prtf", "frc")]
    page.key("radial", above)
    if len(drawn) > len(above):  # a model was left out; no room beside the title for what then came
        lines = [line for line in axes.get_lines() if line.get_label() in _LEFT_OUT]
        axes.legend(handles=lines, loc="lower left", fontsize=_TICK_PT, frameon=False, borderpad=0, labelspacing=0.2)


def _numbers(page: _Page) -> None:
    page.title("numbers", "Numbers")
    left, top, width, height = _BOXES["numbers"]
    rows = _rows(page.result, page.look)
    step = min(0.19, height / max(1, len(rows)))
    size = min(_LABEL_PT, 0.88 * step * _POINTS_PER_IN)
    for i, (name, said, doubtful) in enumerate(rows):
        y = top + (i + 0.72) * step
        look = {"color": _ACCENT, "weight": "bold"} if doubtful else {}
        page.text(left, y, name, size=size, color=_GREY)
        page.text(left + width, y, said, size=size, ha="right", **look)


def _rows(result: Result, look: _Look) -> list[tuple[str, str, bool]]:
    """The table: names, values, and whether they are doubtful; what is not known left out."""
    shown = [reading for reading in shown_in("report") if is_known(reading, result.metrics)]
    known = {reading.key for reading in shown}
    beside = {second for first, second in _SIDE_BY_SIDE.items() if first in known and second in known}
    rows = [
        _side_by_side(reading, READINGS[_SIDE_BY_SIDE[reading.key]], result)
        if _SIDE_BY_SIDE.get(reading.key) in beside
        else (reading.caption, *marked(reading, result.metrics))
        for reading in shown
        if reading.key not in beside and reading.key not in _ELSEWHERE
    ]
    field = look.pixel * result.grid.n
    sampling = f"{look.pixel:.4g} {look.unit}, {_length(float(f'{field:.4g}'), look.unit)}"
    return [*rows, ("pixel, field of view", sampling, False), ("version", result.version, False)]


def _side_by_side(first: Reading, second: Reading, result: Result) -> tuple[str, str, bool]:
    """Two readings in a row; words that both captions begin with stand once."""
    metrics, both = result.metrics, (first, second)
    words = [reading.caption.split() for reading in both]
    same = next((i for i, (a, b) in enumerate(zip(*words, strict=False)) if a != b), min(map(len, words)))
    said = ", ".join(written(reading, value(metrics, reading.key)) for reading in both)
    return f"{first.caption}, {' '.join(words[1][same:])}", said, any(is_doubtful(one, metrics) for one in both)
