"""The R-factor while it falls: a plot with stages, members, marks and read-out, and the numbers under it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import ArrayLike
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QPointF, Qt
from qtpy.QtGui import QAction, QColor, QFontMetricsF, QImage, QPen
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QMenu, QToolButton, QVBoxLayout, QWidget

from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.loop.painting import write
from napari_subangstrom_cdi.gui.widgets.style import COLOURS, RoomForText, StatusLine, ThemeType
from napari_subangstrom_cdi.io.atomic import atomic_path
from napari_subangstrom_cdi.job.readings import READINGS, written

from .r_record import Mark, RRecord, history_record, joined, log10
from .run_numbers import RunNumbers

__all__ = ["RPlot", "RunNumbers"]

_EXPORT_WIDTH = 2000  # pixels of an exported picture, at least


class RPlot(QWidget):
    """R (log) and free R of every member against iteration, and agreement with the image below.

    Members count from 0 and iterations from 1, as the pipeline counts them; on the screen members
    count from 1. The member appended to last is drawn strong, those before it faint.

    Parameters
    ----------
    theme : str
        Name of a napari theme, see `set_theme`.
    """

    def __init__(self, parent: QWidget | None = None, *, theme: str = "dark") -> None:
        super().__init__(parent)
        self._record = RRecord()
        self._kept: tuple[bool, ...] | None = None
        self._drawn_members: tuple[int, int] | None = None
        self._zoomed = False
        self._pixel_ratio = 1.0
        self._boundaries: list[tuple[pg.InfiniteLine, pg.TextItem, str, int]] = []
        self._name_font = self.font()
        self._name_font.setPointSizeF(0.9 * self.font().pointSizeF())
        self._graphics = pg.GraphicsLayoutWidget()
        self._graphics.setAccessibleName("R-factor against iteration")
        self._make_plots()
        self._make_curves()
        self._make_readout()
        self.set_theme(theme)
        self.start((), 0)

    # -- what comes in -------------------------------------------------------------------------

    def start(self, stages: Sequence[tuple[str, int]], members: int) -> None:
        """Clear, and get ready for members with these stages ``(name, iterations)``."""
        self._show(RRecord(stages, members), None)

    def append(self, member: int, first_iteration: int, r: Sequence[float], free_r: Sequence[float]) -> None:
        """Add values of a member, from an iteration on; NaN where there is none."""
        room = self._record.iterations
        self._record.append(member, first_iteration, r, free_r)
        if self._record.iterations != room:
            self._set_x_range()
        self._draw()

    def add_agreement(self, member: int, iteration: int, value: float) -> None:
        """Add a member's agreement with the image (0 to 1) at one iteration."""
        self.add_agreements(member, [(iteration, value)])

    def add_agreements(self, member: int, values: Iterable[tuple[int, float]]) -> None:
        """Add a member's agreement with the image (0 to 1) at some iterations."""
        for iteration, value in values:
            self._record.add_agreement(member, iteration, value)
        if not self._lower.isVisible() and np.isfinite(self._record.agreement).any():
            self._show_lower(True)
        self._draw_agreement()

    def flush(self) -> None:
        """Have what changed painted with the rest of the window; the scene would tell its view in a later turn.

        pyqtgraph moves its items when it is painted, and would be painted again for that.
        """
        self._graphics.scene().prepareForPaint()
        QCoreApplication.sendPostedEvents(self._graphics.scene(), QEvent.Type.MetaCall.value)

    def mark(self, member: int, iteration: int, text: str) -> None:
        """Mark a change made by the user; the text shows when the mouse is over the mark."""
        self._record.add_mark(Mark(member, iteration, text))
        self._draw_marks()

    def show_history(
        self,
        r_history: ArrayLike,
        free_r_history: ArrayLike,
        stage_ends: Iterable[tuple[str, int]],
        kept: Sequence[bool],
    ) -> None:
        """Show a finished run: histories of shape (members, iterations), names of stages and where they end.

        The kept member of lowest R is drawn strong, members not kept grey.
        """
        stages, before = [], 0
        for name, end in stage_ends:
            stages.append((name, end - before))
            before = end
        record = history_record(r_history, free_r_history, stages)
        if record.rows != len(kept):
            raise ValueError(f"{record.rows} members but {len(kept)} flags")
        last = [record.r[row, record.last_iteration(row) - 1] for row in range(record.rows)]
        if last:
            judged = np.where(np.array(kept, bool) if any(kept) else True, last, np.inf)
            record.current = int(np.nanargmin(judged)) if np.isfinite(judged).any() else 0
        self._show(record, tuple(map(bool, kept)))

    # -- what goes out -------------------------------------------------------------------------

    def export_csv(self, path: str | PathLike[str]) -> None:
        """Write the values as a table; raises InputError if the file cannot be written."""
        self._record.write_csv(path)

    def export_png(self, path: str | PathLike[str]) -> None:
        """Write the plot as it is seen, finer; raises InputError if the file cannot be written."""
        scale = max(2, math.ceil(_EXPORT_WIDTH / max(1, self._graphics.width())))
        image = QImage(self._graphics.size() * scale, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(scale)
        image.fill(self._background)
        self._colour_all(scale)
        try:
            self._graphics.viewport().render(image)
        finally:
            self._colour_all(self.devicePixelRatioF())
        with atomic_path(path) as temporary:
            if not image.save(str(temporary), "PNG"):
                raise InputError("the picture could not be written", where=str(path), mend="choose another folder")

    def set_theme(self, name: str) -> None:
        """Take the colours of a napari theme."""
        from napari.utils.theme import get_theme

        self._background = QColor(get_theme(name).background.as_hex(format="long"))
        kind: ThemeType = "dark" if self._background.lightness() < 128 else "light"
        self._colours = COLOURS[kind]
        self._graphics.setBackground(self._background)
        self._colour_all(self.devicePixelRatioF())

    # -- building ------------------------------------------------------------------------------

    def _make_plots(self) -> None:
        layout = self._graphics.ci
        layout.setContentsMargins(0, 0, 0, 0)
        metrics = QFontMetricsF(self.font())
        layout.layout.setVerticalSpacing(0.5 * metrics.height())
        self._upper = pg.PlotItem(axisItems={"left": _PercentAxis("left")})
        self._lower = pg.PlotItem()
        layout.addItem(self._upper, 0, 0)
        layout.addItem(self._lower, 1, 0)
        layout.layout.setRowStretchFactor(0, 3)
        layout.layout.setRowStretchFactor(1, 1)
        for plot in (self._upper, self._lower):
            plot.hideButtons()
            plot.setMenuEnabled(False)
            plot.getViewBox().setDefaultPadding(0)
            plot.getViewBox().disableAutoRange()
            plot.getViewBox().setMouseMode(pg.ViewBox.RectMode)
            plot.getViewBox().sigRangeChangedManually.connect(self._on_zoom)
            for side in ("left", "bottom"):
                axis = plot.getAxis(side)
                axis.enableAutoSIPrefix(False)
                axis.setStyle(tickFont=self.font(), tickLength=-int(metrics.height() / 3))
            plot.getAxis("left").setWidth(metrics.horizontalAdvance("0.05 %  ") + metrics.height() * 1.6)
        self._upper.setLabel("left", "R")
        self._lower.setLabel("left", "image")
        self._lower.setLabel("bottom", "iteration")
        self._lower.setXLink(self._upper)
        self._lower.getAxis("left").setTicks([[(0, "0"), (0.5, "0.5"), (1, "1")]])
        self._lower.setToolTip("Agreement with the image: correlation inside the support and the image's band")
        self._upper.getViewBox().sigResized.connect(self._on_resized)

    def _make_curves(self) -> None:
        self._legend = self._upper.addLegend(offset=(4, -1), labelTextSize=f"{self._name_font.pointSizeF():g}pt")
        self._legend.setColumnCount(4)
        self._earlier_sample, self._rejected_sample = _curve(), _curve()  # strong enough to be seen in the legend
        self._rejected, self._earlier = _curve(), _curve()
        self._hovered_curve = _curve()
        self._free_r = _curve(antialias=True)
        self._r = _curve(antialias=True)
        self._agreement = _curve(antialias=True)
        self._earlier_agreement = _curve()
        self._agreement_points = pg.ScatterPlotItem(symbol="o", size=5, pen=None, useCache=False)
        side = QFontMetricsF(self.font()).height()
        self._marks = pg.ScatterPlotItem(symbol="d", size=0.75 * side, hoverable=True, useCache=False, tip=_mark_tip)
        self._hovered_point = pg.ScatterPlotItem(symbol="o", size=0.6 * side, brush=None, useCache=False)
        for item in (self._rejected, self._earlier, self._hovered_curve, self._free_r, self._r):
            self._upper.addItem(item)
        self._upper.addItem(self._marks)
        self._upper.addItem(self._hovered_point)
        self._lower.addItem(self._earlier_agreement)
        self._lower.addItem(self._agreement)
        self._lower.addItem(self._agreement_points)

    def _make_readout(self) -> None:
        self._readout = QLabel()
        self._readout.setObjectName("r_readout")
        self._readout.setWordWrap(True)
        self._readout.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._readout.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._message = StatusLine()
        menu = QMenu(self)
        actions: tuple[tuple[str, Callable[[], None]], ...] = (
            ("Export CSV…", lambda: self._ask_and_export("csv", self.export_csv)),
            ("Export PNG…", lambda: self._ask_and_export("png", self.export_png)),
            ("Show everything", self.show_everything),
        )
        for text, slot in actions:
            action = QAction(text, self)
            action.triggered.connect(slot)
            menu.addAction(action)
            self._graphics.addAction(action)
        self._graphics.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        button = QToolButton()
        button.setObjectName("r_menu")
        button.setText("⋯")
        button.setToolTip("Export the curve, or show all of it again after zooming (also: right click)")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        button.setMenu(menu)
        row = QHBoxLayout()
        row.addWidget(RoomForText(self._readout, lines=2), 1)
        row.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._graphics, 1)
        layout.addLayout(row)
        layout.addWidget(self._message)
        height = self.fontMetrics().height()
        self._graphics.setMinimumHeight(11 * height)
        self._graphics.scene().sigMouseMoved.connect(self._on_mouse)
        self._graphics.viewport().installEventFilter(self)

    def _ask_and_export(self, suffix: str, export: Callable[[str], None]) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Export", f"r_factor.{suffix}", f"{suffix.upper()} (*.{suffix})")
        if not path:
            return
        try:
            export(path)
        except InputError as error:
            self._message.show_message(str(error), "error")
        else:
            self._message.show_message(f"Written: {path}")

    # -- drawing -------------------------------------------------------------------------------

    def _show(self, record: RRecord, kept: tuple[bool, ...] | None) -> None:
        self._record, self._kept = record, kept
        self._drawn_members = None
        self._zoomed = False
        self._hovered: tuple[int, int] | None = None
        self._hovered_curve.clear()
        self._hovered_point.clear()
        self._message.clear_message()
        self._make_boundaries()
        self._show_lower(bool(np.isfinite(record.agreement).any()))
        self._fill_legend()
        self.show_everything()
        self._draw()
        self._draw_agreement()

    def _draw(self) -> None:
        record = self._record
        current = record.current
        if self._drawn_members != (current, record.iterations):
            self._drawn_members = (current, record.iterations)
            self._draw_earlier()
            self._draw_agreement()
        if current < record.rows:
            x = np.arange(1, record.iterations + 2)
            self._r.setData(x, log10(record.r[current]))
            self._free_r.setData(x, log10(record.free_r[current]))
        else:
            self._r.clear()
            self._free_r.clear()
        if record.marks or len(self._marks.data):
            self._draw_marks()
        self._set_y_range()
        if self._hovered is None:
            self._write_readout(current, record.last_iteration(current))

    def _draw_earlier(self) -> None:
        """All other members as one curve with breaks, so that hundreds cost little more than one."""
        record = self._record
        others = np.arange(record.rows) != record.current
        kept = np.ones(record.rows, bool) if self._kept is None else np.array(self._kept)
        _set_many(self._earlier, log10(record.r[others & kept]))
        _set_many(self._rejected, log10(record.r[others & ~kept]))
        _set_many(self._earlier_agreement, joined(record.agreement[others]))
        self._colour_faint()

    def _draw_agreement(self) -> None:
        record = self._record
        if not self._lower.isVisible() or record.current >= record.rows:
            self._agreement.clear()
            self._agreement_points.clear()
            return
        values = record.agreement[record.current]
        known = np.isfinite(values)  # not every iteration has one, and the curve goes through all that have
        self._agreement.setData(np.flatnonzero(known) + 1, values[known])
        self._agreement_points.setData(np.flatnonzero(known) + 1, values[known])
        low = np.nanmin(record.agreement, initial=0.0)
        self._lower.setYRange(min(-0.05, low - 0.05), 1.08, padding=0)

    def _draw_marks(self) -> None:
        spots = []
        for mark in self._record.marks:
            known = log10(self._record.r[mark.member, : mark.iteration])
            finite = known[np.isfinite(known)]
            spots.append({"pos": (mark.iteration, finite[-1] if finite.size else 0.0), "data": mark.text})
        self._marks.setData(spots)

    def _fill_legend(self) -> None:
        self._legend.clear()
        self._legend.addItem(self._r, "R")
        self._legend.addItem(self._free_r, READINGS["free_r"].caption)
        if self._record.members > 1:
            self._legend.addItem(self._earlier_sample, "earlier" if self._kept is None else "others")
        if self._kept is not None and not all(self._kept):
            self._legend.addItem(self._rejected_sample, "not kept")

    def _show_lower(self, visible: bool) -> None:
        self._lower.setVisible(visible)
        self._lower.setMaximumHeight(1e6 if visible else 0)
        self._upper.getAxis("bottom").setStyle(showValues=not visible)
        self._upper.setLabel("bottom", "" if visible else "iteration")
        self._upper.showLabel("bottom", not visible)

    def _make_boundaries(self) -> None:
        for line, label, *_ in self._boundaries:
            self._upper.removeItem(line)
            self._upper.removeItem(label)
        self._boundaries, first = [], 0
        for name, length in self._record.stages:
            line = pg.InfiniteLine(first + 0.5, angle=90)
            line.setVisible(first > 0)  # the first stage starts at the axis
            label = pg.TextItem("", anchor=(0, 0))
            label.setFont(self._name_font)
            label.setZValue(-1)
            label.textItem.document().setDocumentMargin(0)
            label.setToolTip(f"stage {name}: {length} iterations, from {first + 1}")
            self._upper.addItem(line, ignoreBounds=True)
            self._upper.addItem(label, ignoreBounds=True)
            self._boundaries.append((line, label, name, first))
            first += length
        self._colour_boundaries()

    def _place_names(self, *_: Any) -> None:
        """Put the names of the stages at the top, in a second row what does not fit in the first."""
        box = self._upper.getViewBox()
        (left, right), (bottom, top) = box.viewRange()
        across, down = (right - left) / max(1.0, box.width()), (top - bottom) / max(1.0, box.height())
        metrics = QFontMetricsF(self._name_font)
        ends = [0.0, 0.0]  # where the last name of each row ends
        for _, label, name, first in self._boundaries:
            begin = (first + 0.5 - left) / across
            row = next((row for row, end in enumerate(ends) if end <= begin), None)
            label.setVisible(row is not None)
            if row is not None:
                room = (right - left) / across - begin - 0.6 * metrics.height()
                label.setText(metrics.elidedText(name, Qt.TextElideMode.ElideRight, room))
                line = metrics.height()
                label.setPos(first + 0.5 + 0.3 * line * across, top - (0.1 + 1.15 * row) * line * down)
                ends[row] = begin + metrics.horizontalAdvance(name) + 0.6 * metrics.height()

    # -- colours ----------------------------------------------------------------------------------

    def _colour_all(self, pixel_ratio: float) -> None:
        """Give all items their pens; pyqtgraph's are in pixels of the device, hence the ratio."""
        self._pixel_ratio = pixel_ratio
        colours = self._colours
        for plot in (self._upper, self._lower):
            for side in ("left", "bottom"):
                _colour_axis(plot.getAxis(side), colours.text, self._pen(colours.muted))
        self._r.setPen(self._pen(colours.r, width=2))
        self._free_r.setPen(self._pen(colours.free_r, width=1.5, dashes=(5, 3)))
        self._agreement.setPen(self._pen(colours.agreement, width=2))
        self._agreement_points.setBrush(pg.mkBrush(colours.agreement))
        self._hovered_curve.setPen(self._pen(colours.text))
        self._hovered_point.setPen(self._pen(colours.text))
        self._marks.setPen(self._pen(colours.text))
        self._marks.setBrush(pg.mkBrush(colours.mark))
        self._earlier_sample.setPen(self._pen(colours.r, alpha=120))
        self._rejected_sample.setPen(self._pen(colours.muted, alpha=150))
        self._legend.setLabelTextColor(colours.text)
        for _, label in self._legend.items:
            label.setText(label.text)  # only then is the new colour drawn
        self._colour_faint()
        self._colour_boundaries()

    def _colour_faint(self) -> None:
        """The more curves there are, the fainter each."""
        alpha = round(max(20, min(90, 1800 / max(1, self._record.rows))))
        self._earlier.setPen(self._pen(self._colours.r, alpha=alpha))
        self._rejected.setPen(self._pen(self._colours.muted, alpha=alpha))
        self._earlier_agreement.setPen(self._pen(self._colours.agreement, alpha=alpha))

    def _colour_boundaries(self) -> None:
        for line, label, *_ in self._boundaries:
            line.setPen(self._pen(self._colours.muted, alpha=170, dashes=(3, 4)))
            label.setColor(self._colours.text)
        self._place_names()

    def _pen(self, colour: str, *, width: float = 1, alpha: int = 255, dashes: tuple[int, ...] = ()) -> QPen:
        shade = QColor(colour)
        shade.setAlpha(alpha)
        pen: QPen = pg.mkPen(shade, width=width * self._pixel_ratio)
        if dashes:
            pen.setDashPattern([float(dash) for dash in dashes])
        return pen

    def event(self, event: QEvent | None) -> bool:
        """Keep lines as wide as they were when the window comes to another screen."""
        if event is not None and event.type() in (QEvent.Type.DevicePixelRatioChange, QEvent.Type.Show):
            ratio = self.devicePixelRatioF()
            if ratio != self._pixel_ratio:
                self._colour_all(ratio)
        return bool(super().event(event))

    # -- ranges --------------------------------------------------------------------------------

    def show_everything(self) -> None:
        """Undo any zoom."""
        self._zoomed = False
        self._set_x_range()
        self._set_y_range()

    def _set_x_range(self) -> None:
        if not self._zoomed:
            self._upper.setXRange(0.5, max(10, self._record.iterations) + 0.5, padding=0)
            self._place_names()

    def _set_y_range(self) -> None:
        """From the next tick below the lowest value to 100 % or more; in steps, so that it stays still."""
        if self._zoomed:
            return
        low, high = self._record.log_range()
        # the names of the stages stand above the curves, the legend below
        line = QFontMetricsF(self._name_font).height() / max(1.0, self._upper.getViewBox().height())
        above = min(0.3, (2.5 if len(self._record.stages) > 1 else 1.5) * line)
        below = min(0.2, 2.2 * line)
        span = (high - low) / (1 - above - below)
        wanted = (low - below * span, high + above * span)
        if not np.allclose(self._upper.viewRange()[1], wanted, atol=1e-6):
            self._upper.setYRange(*wanted, padding=0)
            self._place_names()

    def _on_zoom(self, *_: Any) -> None:
        self._zoomed = True
        self._place_names()

    def _on_resized(self, *_: Any) -> None:
        self._set_y_range()  # the names of the stages need room in pixels
        self._place_names()

    # -- mouse ---------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Notice the mouse leaving the plot, and double clicks on it."""
        if event is not None and event.type() == QEvent.Type.Leave:
            self._leave()
        elif event is not None and event.type() == QEvent.Type.MouseButtonDblClick:
            self.show_everything()
        return bool(super().eventFilter(watched, event))

    def _on_mouse(self, position: QPointF) -> None:
        boxes = (self._upper.getViewBox(), self._lower.getViewBox())
        over = next((box for box in boxes if box.isVisible() and box.sceneBoundingRect().contains(position)), None)
        record = self._record
        if over is None:
            self._leave()
            return
        point = over.mapSceneToView(position)
        iteration = round(point.x())
        upper = over is boxes[0]
        member = record.nearest_member(iteration, point.y()) if upper else record.current
        if member is None or member >= record.rows or not 1 <= iteration <= record.iterations:
            self._leave()
            return
        self._hovered = (member, iteration)
        y = log10(record.r[member])
        self._hovered_point.setData([iteration], [y[iteration - 1]])
        if member == record.current:
            self._hovered_curve.clear()
        else:
            self._hovered_curve.setData(np.arange(1, y.size + 1), y)
        self._write_readout(member, iteration)

    def _leave(self) -> None:
        if self._hovered is not None:
            self._hovered = None
            self._hovered_curve.clear()
            self._hovered_point.clear()
            self._write_readout(self._record.current, self._record.last_iteration(self._record.current))

    def _write_readout(self, member: int, iteration: int) -> None:
        record = self._record
        if not iteration or member >= record.rows:
            self._readout.setText("No iteration yet")
            return
        r, free_r, agreement = (table[member, iteration - 1] for table in (record.r, record.free_r, record.agreement))
        name, within, length = record.stage_of(iteration)
        stage = f" ({name} {within}/{length})" if name else ""
        numbers = (("r_factor", r), ("free_r", free_r), ("image_agreement", agreement))
        said = [_said(key, value) for key, value in numbers if key == "r_factor" or math.isfinite(value)]
        parts = [f"Member {member + 1}, iteration {iteration}{stage}: {said[0]}", *said[1:]]
        parts += [mark.text for mark in record.marks if (mark.member, mark.iteration) == (member, iteration)]
        if self._kept is not None and not self._kept[member]:
            parts.append("not kept")
        write(self._readout, ", ".join(parts).replace(" %", "\u00a0%"))


def _said(key: str, value: float) -> str:
    return f"{READINGS[key].brief} {written(READINGS[key], value)}"


class _PercentAxis(pg.AxisItem):
    """Ticks at 100 %, 30 %, 10 % ... for values that are logarithms of R."""

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        """Decades, and between them as many as have room."""
        room = size / max(1e-9, maxVal - minVal) / QFontMetricsF(self.font()).height()  # lines of text a decade
        digits = (3,) if room < 9 else (2, 5) if room < 18 else (2, 3, 4, 5, 7)
        decades = range(math.floor(minVal) - 1, math.ceil(maxVal) + 1)
        major = [float(decade) for decade in decades if minVal <= decade <= maxVal]
        minor = [decade + math.log10(digit) for decade in decades for digit in digits]
        return [(1.0, major), (0.5, [value for value in minor if minVal <= value <= maxVal])]

    def tickStrings(self, values: Iterable[float], scale: float, spacing: float) -> list[str]:
        """In percent."""
        return [f"{100 * 10**value:.3g} %" for value in values]


def _curve(*, antialias: bool = False) -> pg.PlotCurveItem:
    return pg.PlotCurveItem(connect="finite", antialias=antialias)


def _set_many(curve: pg.PlotCurveItem, rows: Float64) -> None:
    """Draw rows that end with NaN as one curve."""
    if rows.size and np.isfinite(rows).any():
        curve.setData(np.tile(np.arange(1.0, rows.shape[1] + 1), rows.shape[0]), rows.ravel())
    else:
        curve.clear()


def _mark_tip(x: float, y: float, data: str) -> str:
    return f"iteration {x:.0f}: {data}"


def _colour_axis(axis: pg.AxisItem, text: str, line: QPen) -> None:
    axis.setTextPen(text)
    axis.setPen(line)
    axis.setTickPen(line)
    axis.labelStyle["color"] = text
    axis.setLabel(axis.labelText)
