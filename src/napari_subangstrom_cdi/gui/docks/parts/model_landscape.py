"""How well a crystal's reflections fit at every tilt, as a picture to click on."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QEvent, QPointF, Qt, Signal
from qtpy.QtGui import QColor, QFontMetricsF
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.gui.widgets.style import COLOURS, QuietLabel, ThemeType
from napari_subangstrom_cdi.job.readings import READINGS, written

Tilt = tuple[float, float]

_R = READINGS["model.r_reflections"]
_HINT = "R of the reflections; a click sets the tilt"
_BRIGHTEST = 85.0  # percentile of R: the heights beyond are all alike
_LEAST_RANGE = 1.5  # times the lowest, so that what is flat looks flat
_SIDE_IN_LINES = 11


class Landscape(QWidget):
    """R against both tilts: dark where the reflections fit. A cross is the fit, a ring what was set by hand."""

    picked = Signal(float, float)
    """Tilt about x and about y, degrees, that the user clicked on."""

    def __init__(self, parent: QWidget | None = None, *, theme: str = "dark") -> None:
        super().__init__(parent)
        self._graphics = pg.PlotWidget()
        self._graphics.setObjectName("model-landscape")
        self._graphics.setAccessibleName("R of the reflections against tilt about x and y")
        self._graphics.setToolTip(
            "Lowest R of the reflections over all thicknesses and shapes, at each tilt of the crystal: dark is good. "
            "The cross is the fit, the ring a tilt set by hand; a click sets it."
        )
        self._plot = self._graphics.getPlotItem()
        self._plot.hideButtons()
        self._plot.setMenuEnabled(False)
        self._plot.setMouseEnabled(False, False)
        self._plot.setAspectLocked(True)
        line = QFontMetricsF(self.font()).height()
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setStyle(tickFont=self.font(), tickLength=-int(line / 3))
        self._plot.setLabel("bottom", "tilt x (°)")
        self._plot.setLabel("left", "tilt y (°)")
        self._image = pg.ImageItem(axisOrder="row-major")
        self._image.setColorMap(pg.colormap.get("viridis"))
        self._fitted = pg.ScatterPlotItem(symbol="+", size=line)
        self._hand = pg.ScatterPlotItem(symbol="o", size=0.9 * line)
        for item in (self._image, self._fitted, self._hand):
            self._plot.addItem(item)
        self._readout = QuietLabel(_HINT)
        self._readout.setObjectName("model-landscape-readout")
        self._tilts: Float64 | None = None
        self._r: Float64 | None = None
        self._graphics.setMinimumHeight(round(_SIDE_IN_LINES * line))
        self._graphics.setMinimumWidth(round(_SIDE_IN_LINES * line))
        self._graphics.setMaximumSize(round(1.6 * _SIDE_IN_LINES * line), round(1.3 * _SIDE_IN_LINES * line))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._graphics, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self._readout, alignment=Qt.AlignmentFlag.AlignHCenter)
        scene = self._graphics.scene()
        scene.sigMouseClicked.connect(self._on_clicked)
        scene.sigMouseMoved.connect(self._on_moved)
        self.set_theme(theme)

    def show_landscape(self, r_factors: Float64, tilts_deg: Float64) -> None:
        """Show R, shape (tilts, tilts), rows the lean along y and columns along x, as the fit leaves it."""
        # A column that leans along −y is tilted about +x, one that leans along +x about +y.
        r = r_factors[::-1].T
        if self._r is not None and np.array_equal(r, self._r, equal_nan=True):
            return
        self._r, self._tilts = r, tilts_deg
        step = float(tilts_deg[1] - tilts_deg[0])
        low, span = float(tilts_deg[0]) - step / 2, float(tilts_deg[-1] - tilts_deg[0]) + step
        lowest = float(np.nanmin(r))
        highest = max(float(np.nanpercentile(r, _BRIGHTEST)), _LEAST_RANGE * lowest, 1e-6)
        self._image.setImage(r, levels=(lowest, highest))
        self._image.setRect(low, low, span, span)
        self._plot.setRange(xRange=(low, low + span), yRange=(low, low + span), padding=0)

    def mark(self, fitted: Tilt | None, by_hand: Tilt | None) -> None:
        """Show where the fit lies, and what is set by hand."""
        for item, tilt in ((self._fitted, fitted), (self._hand, by_hand)):
            item.setData(*([] if tilt is None else [tilt[0]], [] if tilt is None else [tilt[1]]))

    @property
    def marks(self) -> tuple[Tilt | None, Tilt | None]:
        """What is marked: the fit, and the hand."""
        found = []
        for item in (self._fitted, self._hand):
            x, y = item.getData()
            found.append((float(x[0]), float(y[0])) if len(x) else None)
        return found[0], found[1]

    def r_at(self, tilt_x: float, tilt_y: float) -> float:
        """R at the nearest tilt of the picture; NaN beyond it."""
        if self._r is None or self._tilts is None:
            return math.nan
        step = float(self._tilts[1] - self._tilts[0])
        column, row = (round((tilt - float(self._tilts[0])) / step) for tilt in (tilt_x, tilt_y))
        inside = 0 <= row < len(self._tilts) and 0 <= column < len(self._tilts)
        return float(self._r[row, column]) if inside else math.nan

    def place_of(self, tilt_x: float, tilt_y: float) -> QPointF:
        """Where a tilt lies in the picture's viewport."""
        scene = self._plot.vb.mapViewToScene(QPointF(tilt_x, tilt_y))
        return QPointF(self._graphics.mapFromScene(scene))

    @property
    def viewport(self) -> QWidget:
        """What takes the mouse."""
        return self._graphics.viewport()

    def _tilt_at(self, scene: QPointF) -> Tilt | None:
        place = self._plot.vb.mapSceneToView(scene)
        tilt = (place.x(), place.y())
        return tilt if math.isfinite(self.r_at(*tilt)) else None

    def _on_clicked(self, event: pg.GraphicsScene.mouseEvents.MouseClickEvent) -> None:
        tilt = self._tilt_at(event.scenePos())
        if event.button() == Qt.MouseButton.LeftButton and tilt is not None:
            self.picked.emit(round(tilt[0], 2), round(tilt[1], 2))

    def _on_moved(self, scene: QPointF) -> None:
        tilt = self._tilt_at(scene)
        text = _HINT
        if tilt is not None:
            text = f"{tilt[0]:.2f}°, {tilt[1]:.2f}°: R {written(_R, self.r_at(*tilt))}".replace("-", "−")
        if text != self._readout.text():
            self._readout.setText(text)

    def set_theme(self, name: str) -> None:
        """Take the colours of a napari theme."""
        from napari.utils.theme import get_theme

        background = QColor(get_theme(name).background.as_hex(format="long"))
        kind: ThemeType = "dark" if background.lightness() < 128 else "light"
        colours = COLOURS[kind]
        self._graphics.setBackground(background)
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setTextPen(colours.text)
            axis.setPen(pg.mkPen(colours.muted))
            axis.setTickPen(pg.mkPen(colours.muted))
            axis.labelStyle["color"] = colours.text
            axis.setLabel(axis.labelText)
        # on the picture, which is as dark in both themes
        self._fitted.setPen(pg.mkPen("#ffffff", width=2))
        self._fitted.setBrush(pg.mkBrush("#ffffff"))
        self._hand.setPen(pg.mkPen(COLOURS["dark"].error, width=2))
        self._hand.setBrush(pg.mkBrush(None))

    def event(self, event: QEvent | None) -> bool:
        """Nothing but what Qt does: the wheel belongs to the dock."""
        if event is not None and event.type() == QEvent.Type.Wheel:
            event.ignore()
            return False
        return bool(super().event(event))
