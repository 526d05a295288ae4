"""A scale bar in Å⁻¹: napari's own writes 0.2 Å⁻¹ as 200 1/kÅ."""

from __future__ import annotations

import math

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QObject, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

_WIDTH, _HEIGHT, _EDGE, _LONGEST = 170, 44, 10, 140
_ROUND = (1.0, 2.0, 5.0, 10.0)


def round_length(at_most: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not above a length."""
    decade = 10.0 ** math.floor(math.log10(at_most))
    return decade * max(step for step in _ROUND if step * decade <= at_most * (1 + 1e-9))


class QScaleBar(QWidget):
    """Lies in the lower right corner of a canvas and lets every mouse event through.

    Parameters
    ----------
    canvas : QWidget
        The canvas's native widget.
    model : ViewerModel
        Its viewer; world coordinates are Å⁻¹.
    """

    def __init__(self, canvas: QWidget, model: ViewerModel) -> None:
        super().__init__(canvas)
        self._model = model
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.resize(_WIDTH, _HEIGHT)
        canvas.installEventFilter(self)
        self._news = (model.scene.camera.events.zoom, model.layers.events.inserted, model.layers.events.removed)
        for event in self._news:
            event.connect(self._on_news)
        self._place(canvas)

    @property
    def text(self) -> str:
        """What is written over the bar."""
        return f"{self._length():g} Å⁻¹"

    def _length(self) -> float:
        return round_length(_LONGEST / self._model.scene.camera.zoom)

    def _on_news(self) -> None:
        self.update()

    def _place(self, canvas: QWidget) -> None:
        self.move(canvas.width() - _WIDTH - _EDGE, canvas.height() - _HEIGHT - _EDGE)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the canvas's corner."""
        if event is not None and event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self._place(watched)
        return False

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw bar and length in a tinted box that reads on any picture; nothing where there is none."""
        if not self._model.layers:
            return
        length_px = self._length() * self._model.scene.camera.zoom
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 150))
        painter.drawRoundedRect(QRectF(_WIDTH - length_px - 22, 0, length_px + 22, _HEIGHT), 4, 4)
        painter.setBrush(QColor(255, 255, 255))
        painter.drawRect(QRectF(_WIDTH - 11 - length_px, _HEIGHT - 12, length_px, 3))
        painter.setPen(QColor(255, 255, 255))
        font = painter.font()
        font.setPointSizeF(10.5)
        painter.setFont(font)
        where = QRectF(_WIDTH - length_px - 22, 4, length_px + 22, _HEIGHT - 18)
        painter.drawText(where, Qt.AlignmentFlag.AlignCenter, self.text)
        painter.end()

    def release(self) -> None:
        """Stop following the canvas."""
        for event in self._news:
            event.disconnect(self._on_news)
