"""How far a result reaches: transfer function and ring correlations against |q|, with their thresholds."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPen
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_subangstrom_cdi.core.ensemble.metrics import RadialCurve
from napari_subangstrom_cdi.gui.widgets.style import COLOURS, Colours, ThemeType
from napari_subangstrom_cdi.job.readings import CURVES

# the limit of a curve, the curves that it is of, and whether its text stands below the line
_LIMITS: Final = {"prtf": (("prtf",), True), "frc": (("frc", "omit", "unaided"), False)}
_COLOURS: Final = {"prtf": "r", "frc": "free_r", "omit": "agreement", "unaided": "mark"}
_STYLES: Final = {"omit": Qt.PenStyle.DashLine, "unaided": Qt.PenStyle.DotLine}


class ResolutionPlot(QWidget):
    """PRTF and FRC of a result, and what was found without its model; thresholds in the colours of the first two."""

    def __init__(self, parent: QWidget | None = None, *, theme: str = "dark") -> None:
        super().__init__(parent)
        self._graphics = pg.PlotWidget()
        self._graphics.setAccessibleName("Transfer function and ring correlations against |q|")
        self._plot = self._graphics.getPlotItem()
        self._plot.hideButtons()
        self._plot.setMenuEnabled(False)
        self._plot.setMouseEnabled(False, False)
        metrics = QFontMetricsF(self.font())
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setStyle(tickFont=self.font(), tickLength=-int(metrics.height() / 3))
        self._plot.getAxis("bottom").setHeight(round(3.1 * metrics.height()))
        self._plot.layout.setContentsMargins(0, 0, round(metrics.height() / 2), 6)
        self._plot.getAxis("left").setTicks([[(0, "0"), (0.5, "0.5"), (1, "1")]])
        self._legend = self._plot.addLegend(offset=(-4, -4), labelTextSize=f"{0.9 * self.font().pointSizeF():g}pt")
        self._curves = {name: pg.PlotCurveItem(connect="finite", antialias=True) for name in CURVES}
        self._limits: dict[str, pg.InfiniteLine] = {}
        for name, (_, below) in _LIMITS.items():
            curve, anchor = CURVES[name], (0, 0) if below else (0, 1)
            self._limits[name] = pg.InfiniteLine(
                curve.limit, angle=0, label=curve.limit_text, labelOpts={"position": 0.02, "anchors": [anchor, anchor]}
            )
            self._plot.addItem(self._limits[name])
        for item in self._curves.values():
            self._plot.addItem(item)
        self._graphics.setMinimumHeight(round(9 * metrics.height()))
        self.setMaximumHeight(round(14 * metrics.height()))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._graphics)
        self.set_theme(theme)
        self.show_curves({}, calibrated=True)

    def show_curves(self, curves: dict[str, RadialCurve], *, calibrated: bool) -> None:
        """Show those of the curves of ``job.readings`` that there are, against q in 1/Å, or in 1/px if uncalibrated."""
        self._plot.setLabel("bottom", "q (1/Å)" if calibrated else "q (1/px)")
        self._legend.clear()
        furthest = 0.0
        for name, item in self._curves.items():
            curve = curves.get(name)
            known = curve is not None and bool(np.isfinite(curve.value).any())
            item.setVisible(known)
            if curve is not None and known:
                good = np.isfinite(curve.value)
                item.setData(curve.q_per_angstrom[good], curve.value[good])
                furthest = max(furthest, float(curve.q_per_angstrom[good].max()))
                self._legend.addItem(item, CURVES[name].caption)
        self._place_legend()
        for name, (of, _) in _LIMITS.items():
            self._limits[name].setVisible(any(self._curves[curve].isVisible() for curve in of))
        self._plot.setRange(xRange=(0, furthest or 1), yRange=(-0.05, 1.1), padding=0)

    def _place_legend(self) -> None:
        """At the right; many entries in two columns at the left, beside the limits, where curves seldom are so low."""
        many = len(self.shown()) > 2
        self._legend.setColumnCount(2 if many else 1)
        self._legend.setOffset((3 * self.font().pointSize(), -4) if many else (-4, -4))

    def shown(self) -> tuple[str, ...]:
        """Names of the curves that are seen."""
        return tuple(name for name, item in self._curves.items() if item.isVisible())

    def legend(self) -> tuple[str, ...]:
        """What they are called."""
        return tuple(label.text for _, label in self._legend.items)

    def set_theme(self, name: str) -> None:
        """Take the colours of a napari theme."""
        from napari.utils.theme import get_theme

        background = QColor(get_theme(name).background.as_hex(format="long"))
        kind: ThemeType = "dark" if background.lightness() < 128 else "light"
        self._graphics.setBackground(background)
        self._colour(COLOURS[kind])

    def _colour(self, colours: Colours) -> None:
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setTextPen(colours.text)
            axis.setPen(_pen(colours.muted))
            axis.setTickPen(_pen(colours.muted))
            axis.labelStyle["color"] = colours.text
            axis.setLabel(axis.labelText)
        self._legend.setLabelTextColor(colours.text)
        for _, label in self._legend.items:
            label.setText(label.text)  # only then is the new colour drawn
        for name, role in _COLOURS.items():
            self._curves[name].setPen(_pen(getattr(colours, role), 2, _STYLES.get(name, Qt.PenStyle.SolidLine)))
        for name, limit in self._limits.items():
            colour = getattr(colours, _COLOURS[name])
            limit.setPen(_pen(colour, 1, Qt.PenStyle.DashLine))
            limit.label.setColor(colour)

    def event(self, event: QEvent | None) -> bool:
        """Nothing but what Qt does: the wheel belongs to the dock."""
        if event is not None and event.type() == QEvent.Type.Wheel:
            event.ignore()
            return False
        return bool(super().event(event))


def _pen(colour: str, width: float = 1, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
    return pg.mkPen(colour, width=width, style=style)
