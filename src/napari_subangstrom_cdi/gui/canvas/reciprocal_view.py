"""Reciprocal space in a canvas of its own: napari drops the units of a viewer that holds both Å and Å⁻¹."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Vectors
from napari.qt import QtViewer
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, Qt, Signal
from qtpy.QtGui import QCloseEvent, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QDockWidget, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.record.distortion import Distortion
from napari_subangstrom_cdi.core.types import Bool, Float32
from napari_subangstrom_cdi.gui.loop.later import once

from ._canvas_bar import CanvasBar
from ._drags import AlignDrag, CentreDrag
from ._q_scale_bar import QScaleBar
from ._reciprocal_layers import (
    CROSS,
    ELLIPSE,
    IMAGE_POWER,
    IMAGE_SPOTS,
    MATE,
    MODEL_PATTERN,
    PAINTED,
    PATTERN,
    PATTERN_SPOTS,
    RECONSTRUCTION,
    RECORD,
    REGIONS,
    ROLES,
    STOP,
    ReciprocalLayers,
)
from .gl_guard import RemovalGuard

__all__ = [
    "CROSS",
    "ELLIPSE",
    "IMAGE_POWER",
    "IMAGE_SPOTS",
    "MATE",
    "MODEL_PATTERN",
    "PAINTED",
    "PATTERN",
    "PATTERN_SPOTS",
    "RECONSTRUCTION",
    "RECORD",
    "REGIONS",
    "ROLES",
    "STOP",
    "ReciprocalView",
]

Pair = tuple[float, float]

_AT_REST = "q, d and the value under the cursor"


class ReciprocalView(QWidget):
    """The second canvas; world coordinates are Å⁻¹ from the direct beam.

    Parameters
    ----------
    viewer : ViewerModel, optional
        napari's main viewer, whose theme is followed.
    on_deleted : callable, optional
        Told the role of a layer that the user deleted.
    on_painted : callable, optional
        Told the mask, bool (n, n), after each edit of what is not trusted by the user.
    on_stop_painted : callable, optional
        The same of the beam stop's shade, bool (h, w) of the raw record.
    """

    centre_dragged = Signal(object)
    """(y, x) of the beam centre in raw pixels, while the record is dragged."""
    centre_dropped = Signal(object)
    """The same when it is let go."""
    align_dragged = Signal(float, float)
    """Turn of the image in degrees, and factor of its |q|, since the last signal."""
    align_dropped = Signal()
    """The mouse was let go after such a drag."""

    def __init__(
        self,
        viewer: ViewerModel | None = None,
        *,
        on_deleted: Callable[[str], None] | None = None,
        on_painted: Callable[[Bool], None] | None = None,
        on_stop_painted: Callable[[Bool], None] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._main = viewer
        self._on_deleted = on_deleted or _ignore
        self._closed = False
        self._home: tuple[float, ...] | None = None
        self._refit = once(self, self.home)  # when the canvas has its new size
        self._kept: QDockWidget | None = None
        self.model = ViewerModel(title="reciprocal space")
        if viewer is not None:
            self.model.theme = viewer.theme
        self.qt_viewer = QtViewer(self.model)
        self.qt_viewer.setAcceptDrops(False)
        RemovalGuard(self.model, self.qt_viewer)
        self.scale_bar = QScaleBar(self.qt_viewer.canvas.native, self.model)
        self.bar = CanvasBar(self.model, self)
        self.readout = QLabel(_AT_REST, self)
        self._lay_out()
        self._layers = ReciprocalLayers(
            self.model,
            on_deleted=self._on_layer_deleted,
            on_painted=on_painted or _ignore,
            on_stop_painted=on_stop_painted or _ignore,
        )
        self._centre_drag = CentreDrag(
            self.model,
            centre_px=lambda: self._layers.centre_px,
            q_pixel_per_angstrom=lambda: self._layers.q_pixel_per_angstrom,
            on_drag=self._on_centre_dragged,
            on_drop=self.centre_dropped.emit,
        )
        self._align_drag = AlignDrag(self.model, on_drag=self.align_dragged.emit, on_drop=self.align_dropped.emit)
        self.bar.home_clicked.connect(self.home)
        self.model.cursor.events.position.connect(self._read_out)
        if viewer is not None:
            viewer.events.theme.connect(self._on_theme)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.bar)
        column.addWidget(self.qt_viewer, stretch=1)
        self.readout.setContentsMargins(8, 3, 8, 3)
        # A long text must not widen the dock.
        self.readout.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.readout.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
        column.addWidget(self.readout)
        self.setFocusProxy(self.qt_viewer.canvas.native)
        self.setMinimumSize(260, 240)

    # the raw record

    def show_record(self, raw: NDArray[Any], *, centre_px: Pair, q_pixel_per_angstrom: float) -> Image | None:
        """Show a raw record on a logarithmic scale.

        Parameters
        ----------
        raw : ndarray, shape (h, w)
            Counts or electrons.
        centre_px : tuple of float
            The direct beam, element (y, x) of the array; it is laid to q = 0.
        q_pixel_per_angstrom : float
            Raw pixel, Å⁻¹.
        """
        return self._layers.show_record(raw, centre_px, q_pixel_per_angstrom)

    def move_centre(self, centre_px: Pair) -> None:
        """Move record and mate to another centre; the arrays stay, so it is cheap."""
        self._layers.move_centre(centre_px)

    def show_mate(self, raw: NDArray[Any] | None = None) -> Image | None:
        """Lay the record, turned by 180° about the centre, over itself in another colour."""
        raw = self._layers.raw if raw is None else raw
        return None if raw is None else self._layers.show_mate(raw)

    def hide_mate(self) -> None:
        """Show the record alone again."""
        self._layers.hide_mate()

    def start_centre_drag(self) -> None:
        """From now on a left-drag and the arrow keys (0.1 px, with Shift 1 px) move the record under a cross."""
        self._align_drag.stop()
        self._layers.show_cross(True)
        self._centre_drag.start()
        self.qt_viewer.canvas.native.setFocus()

    def stop_centre_drag(self) -> None:
        """Back to panning."""
        self._centre_drag.stop()
        self._layers.show_cross(False)

    def start_align_drag(self) -> None:
        """From now on a left-drag about the origin turns the image's spectrum; with Shift or Ctrl it scales it."""
        self.stop_centre_drag()
        self._align_drag.start()
        self.qt_viewer.canvas.native.setFocus()

    def stop_align_drag(self) -> None:
        """Back to panning."""
        self._align_drag.stop()

    @property
    def drags_centre(self) -> bool:
        """Whether a left-drag moves the record."""
        return self._centre_drag.on

    def _on_centre_dragged(self, centre_px: Pair) -> None:
        self._layers.move_centre(centre_px)
        self.centre_dragged.emit(centre_px)

    # the prepared pattern and what is laid over it

    def show_pattern(self, intensity: Float32, grid: Grid) -> Image | None:
        """Show the prepared pattern, electrons, shape (n, n), on a logarithmic scale; the first time, alone."""
        return self._layers.show_pattern(intensity, grid)

    def show_regions(self, regions: NDArray[np.uint8], grid: Grid) -> Labels | None:
        """Show the regions (codes of Region, shape (n, n)): M red, B faint blue, G green."""
        return self._layers.show_regions(regions, grid)

    def show_painted(self, mask: Bool, grid: Grid) -> Labels | None:
        """Show what the user does not trust, bool (n, n), in a layer to paint in."""
        layer = self._layers.show_painted(mask, grid)
        self.bar.follow(layer)
        return layer

    def show_stop(
        self, shade: Bool, distortion: Distortion, centre_px: Pair, q_pixel_per_angstrom: float
    ) -> Labels | None:
        """Show what a beam stop shades, bool (h, w) of the raw record, in a layer to paint in, over the pattern.

        Parameters
        ----------
        shade : ndarray of bool, shape (h, w)
            The mask.
        distortion : Distortion
            What is undone in the pattern.
        centre_px : tuple of float
            The beam in the raw record, (y, x).
        q_pixel_per_angstrom : float
            Raw pixel, Å⁻¹.
        """
        return self._layers.show_stop(shade, distortion, centre_px, q_pixel_per_angstrom)

    def hide_stop(self) -> None:
        """There is no beam stop to show."""
        self._layers.hide_stop()

    def show_ellipse(self, distortion: Distortion, radius_per_angstrom: float) -> Vectors | None:
        """Draw what became of a ring of this radius in the recorded pattern; nothing if it stayed round."""
        return self._layers.show_ellipse(distortion, radius_per_angstrom)

    def show_spots(self, points_q: NDArray[np.float64], which: Literal["pattern", "image"]) -> Points | None:
        """Mark reflections at (qy, qx) in Å⁻¹, shape (k, 2), by circles (pattern) or squares (image)."""
        return self._layers.show_spots(np.asarray(points_q, np.float64).reshape(-1, 2), which)

    def show_model_pattern(self, power: Float32, grid: Grid) -> Image | None:
        """Lay a model's pattern, electrons, shape (n, n), over the right half of the record's, in its contrast."""
        return self._layers.show_model_pattern(power, grid)

    def show_image_power(self, power: Float32, matrix_yx: NDArray[np.float64], step: float) -> Image | None:
        """Lay the image's power spectrum over the pattern, logarithmic, additive.

        Parameters
        ----------
        power : ndarray, shape (m, m)
            Centred power spectrum.
        matrix_yx : ndarray, shape (2, 2)
            Rotation and mirror from the image's axes (y, x) to the pattern's.
        step : float
            Pixel of the spectrum, Å⁻¹.
        """
        return self._layers.show_image_power(power, matrix_yx, step)

    def place_image_power(self, matrix_yx: NDArray[np.float64], step: float) -> None:
        """Turn or scale the image's power spectrum; the array stays, so it is cheap."""
        self._layers.place_image_power(matrix_yx, step)

    def expect_reconstruction_power(self, grid: Grid) -> None:
        """Make its layer, hidden and empty, so that a run need not wait for it."""
        self._layers.expect_reconstruction_power(grid)

    def show_reconstruction_power(
        self, estimate: NDArray[np.complex64], grid: Grid, *, live: bool = True
    ) -> Image | None:
        """Show |F|² of an estimate on a rectangle of the grid; while hidden it is only remembered.

        A live one shares its layer's memory with the next.
        """
        return self._layers.show_reconstruction_power(estimate, grid, live)

    # the canvas

    def home(self) -> None:
        """Fill the canvas with what is shown, until the user looks elsewhere; also when its size changes."""
        self.model.reset_view()
        self._home = self._looks_at()

    def _looks_at(self) -> tuple[float, ...]:
        camera = self.model.scene.camera
        return (*camera.center, camera.zoom)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """What fitted fits again."""
        super().resizeEvent(event)
        if self._home == self._looks_at():
            self._refit.start()

    def layer(self, role: str) -> Any:
        """The layer of a role, or None."""
        return self._layers.set.get(role)

    def set_visible(self, role: str, visible: bool) -> None:
        """Show or hide the layer of a role, if it is there."""
        self._layers.set.set_visible(role, visible)

    def begin_anew(self) -> None:
        """Another job begins: what the last one showed is out of sight until there is something new."""
        self._layers.begin_anew()

    def toggle_masks(self) -> None:
        """Show or hide the regions and what was painted, both alike."""
        layers = [layer for layer in map(self.layer, (REGIONS, STOP, PAINTED)) if layer is not None]
        show = not any(layer.visible for layer in layers)
        for layer in layers:
            layer.visible = show

    def follow_contrast(self) -> None:
        """Let the contrast of all layers follow their data again after the user set it."""
        self._layers.set.follow_contrast()

    def forget_deletions(self) -> None:
        """Let layers that the user deleted come back: a new run begins."""
        self._layers.set.forget_deletions()

    def state(self) -> dict[str, dict[str, Any]]:
        """How the layers look, as plain JSON values."""
        return self._layers.state()

    def restore(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Make the layers look as :meth:`state` said."""
        self._layers.restore(state)

    def _read_out(self) -> None:
        y, x = (float(value) for value in self.model.cursor.position[-2:])
        value = self._layers.value_at((y, x))
        parts = [f"{part:+.3f}".replace("-", "−") for part in (x, y)]
        said = [part for part in (describe_q(y, x), value, f"q = ({parts[0]}, {parts[1]})") if part]
        full, less = "  ".join(said), "  ".join(said[:-1])
        short = less.replace(" = ", " ").replace("region ", "")
        room, metrics = self.readout.contentsRect().width(), self.readout.fontMetrics()
        fits = (text for text in (full, less, short) if metrics.horizontalAdvance(text) <= room)
        self.readout.setText(next(fits, short))

    def _on_theme(self, event: Any) -> None:
        self.model.theme = event.value
        self.bar.set_theme(event.value)

    def _on_layer_deleted(self, role: str) -> None:
        if role == PAINTED:
            self.bar.follow(None)
        self._on_deleted(role)

    def showEvent(self, event: QShowEvent | None) -> None:
        """A dock that holds it stays in its window."""
        super().showEvent(event)
        dock = dock_of(self)
        if dock is not None and not QCoreApplication.testAttribute(Qt.ApplicationAttribute.AA_ShareOpenGLContexts):
            keep_docked(dock)
            if dock is not self._kept:
                self._kept = dock
                dock.dockLocationChanged.connect(self._keep_docked)

    def _keep_docked(self) -> None:
        """Napari makes a new title bar when a dock has moved."""
        dock = dock_of(self)
        if dock is not None:
            keep_docked(dock)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Release canvas, callbacks and layers; a closed view is not shown again."""
        self.release()
        super().closeEvent(event)

    def release(self) -> None:
        """What closing does, also after the view has gone with its window; may be called again."""
        if self._closed:
            return
        self._closed = True
        if isalive(self):
            self._refit.stop()
        self._centre_drag.stop()
        self._align_drag.stop()
        self.bar.release()
        self.model.cursor.events.position.disconnect(self._read_out)
        if self._main is not None:
            self._main.events.theme.disconnect(self._on_theme)
            self._main = None
        self.scale_bar.release()
        self._layers.close()
        if isalive(self):
            self.setFocusProxy(None)
            self.qt_viewer.close()
        # napari counts the canvases that are alive; ours is not to wait for the garbage collector with this widget.
        self.qt_viewer = None


def dock_of(widget: QWidget) -> QDockWidget | None:
    """The dock that a widget stands in."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent


def keep_docked(dock: QDockWidget) -> None:
    """Take away what makes a dock a window of its own, also while it is dragged, and what closes it.

    An OpenGL canvas that changes windows loses all it has drawn with, and napari does not draw again, unless
    ``AA_ShareOpenGLContexts`` was set before the application was made.
    """
    feature = QDockWidget.DockWidgetFeature
    wanted = dock.features() & ~(feature.DockWidgetFloatable | feature.DockWidgetMovable)
    if dock.features() != wanted:
        dock.setFeatures(wanted)
    # Closing would take it out of the window as well; hiding it does not.
    for name in ("QTitleBarFloatButton", "QTitleBarCloseButton"):
        button = dock.findChild(QPushButton, name)
        if button is not None:
            button.setVisible(False)


def describe_q(qy: float, qx: float) -> str:
    """A place of reciprocal space in words: length of q and the spacing d."""
    q = math.hypot(qy, qx)
    spacing = f"{1 / q:.3f} Å" if q > 1e-6 else "∞"
    return f"|q| = {q:.3f} Å⁻¹  d = {spacing}"


def _ignore(_: object) -> None:
    """Nobody asked to be told."""
