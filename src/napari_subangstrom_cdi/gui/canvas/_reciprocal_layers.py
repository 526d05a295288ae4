"""The layers of reciprocal space; world coordinates are Å⁻¹ from the direct beam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import scipy.fft
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Vectors
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.record.distortion import Distortion
from napari_subangstrom_cdi.core.types import Bool, Float32

from ._contrast import SteadyLimits
from ._layers import LayerSet, Placement, reciprocal_space
from ._mask_layer import MaskLayer

Pair = tuple[float, float]

RECORD, MATE, PATTERN, REGIONS = "record", "Friedel mate", "pattern", "regions"
PAINTED, IMAGE_POWER, RECONSTRUCTION = "not trusted (M)", "image power", "reconstruction power"
PATTERN_SPOTS, IMAGE_SPOTS, CROSS = "pattern spots", "image spots", "origin"
ELLIPSE = "ellipse as recorded"
MODEL_PATTERN = "model pattern"
STOP = "beam stop"

ROLES = (
    RECORD,
    MATE,
    PATTERN,
    MODEL_PATTERN,
    RECONSTRUCTION,
    IMAGE_POWER,
    REGIONS,
    STOP,
    PAINTED,
    PATTERN_SPOTS,
    IMAGE_SPOTS,
    ELLIPSE,
    CROSS,
)
"""Roles of the layers, from the bottom to the top."""

# Half of a pattern is noise: it is to be seen, but darkly.
_FAINT, _BRIGHT = 45.0, 99.95
_LOOKS: dict[str, dict[str, Any]] = {
    RECORD: {"colormap": "gray"},
    MATE: {"colormap": "bop orange", "blending": "additive"},
    PATTERN: {"colormap": "gray"},
    RECONSTRUCTION: {"colormap": "magma", "visible": False},
    MODEL_PATTERN: {"colormap": "gray"},
    IMAGE_POWER: {"colormap": "bop blue", "blending": "additive", "opacity": 0.85},
}
_RECORD_BESIDE_MATE = "bop blue"
# Labels begin at 1, because napari does not draw label 0.
_REGION_COLOURS = {
    None: "transparent",
    0: "transparent",
    Region.M + 1: (0.95, 0.22, 0.18, 0.55),
    Region.B + 1: (0.25, 0.50, 0.95, 0.16),
    Region.G + 1: (0.30, 0.95, 0.45, 0.50),
}
# Å⁻¹: a reflection of a 10 nm particle is about 0.01 Å⁻¹ wide, and is to be seen inside its marker.
_SPOT_LOOKS: dict[str, dict[str, Any]] = {
    # no canvas_size_limits: napari 0.9.2 then thickens the border until nothing is hollow
    PATTERN_SPOTS: {"symbol": "disc", "border_color": "#4fe3a1", "size": 0.115},
    IMAGE_SPOTS: {"symbol": "square", "border_color": "#ffb347", "size": 0.095},
}
_LINE_PX = 1.6
_RING_POINTS = 180
_FLAT: dict[str, Any] = {"units": ("1/Å", "1/Å"), "axis_labels": ("qy", "qx"), "scale": (1.0, 1.0)}
_LARGEST_DISPLAY = 512
_BLANK_PX = 16
_FAINTEST = 1e-6  # electrons of a calculated pattern


class ReciprocalLayers:
    """What the second canvas shows, by role.

    Parameters
    ----------
    model : ViewerModel
        The second canvas's own viewer.
    on_deleted : callable
        Told the role of a layer that the user deleted.
    on_painted : callable
        Told the mask, bool (n, n), after each edit of the painted layer by the user.
    on_stop_painted : callable
        The same of the beam stop's shade, bool (h, w) of the raw record.
    """

    def __init__(
        self,
        model: ViewerModel,
        *,
        on_deleted: Callable[[str], None],
        on_painted: Callable[[Bool], None],
        on_stop_painted: Callable[[Bool], None],
    ) -> None:
        self._model = model
        self.set = LayerSet(model, ROLES, on_deleted)
        model.scene.camera.events.zoom.connect(self._on_zoom)
        self._painted = MaskLayer(self.set, PAINTED, on_painted, colour="#ff5a36", look={"opacity": 0.6})
        self._stop = MaskLayer(self.set, STOP, on_stop_painted, colour="#ffb000", look={"opacity": 0.5})
        self._steady = {role: SteadyLimits((_FAINT, _BRIGHT)) for role in _LOOKS}
        self._steady[IMAGE_POWER] = SteadyLimits((75.0, 99.95))
        self._steady |= {role: SteadyLimits((1.0, 99.95)) for role in (RECORD, MATE)}
        self._estimate: tuple[NDArray[np.complex64], Grid, bool] | None = None
        self._watched: Layer | None = None
        self._compared: Layer | None = None
        self._blank = False
        self._stop_turned = ((1.0, 0.0), (0.0, 1.0))
        self.centre_px: Pair = (0.0, 0.0)
        self.q_pixel_per_angstrom = 0.0
        self.raw: NDArray[Any] | None = None
        self.pattern: tuple[Float32, Grid] | None = None
        self.regions: NDArray[np.uint8] | None = None

    def begin_anew(self) -> None:
        """Another job: nothing of the last one is in sight."""
        self._painted.put_away()
        self._stop.put_away()
        self.set.put_away(RECORD, PATTERN, REGIONS, PATTERN_SPOTS, IMAGE_SPOTS, ELLIPSE, IMAGE_POWER)
        for role in (MATE, MODEL_PATTERN, RECONSTRUCTION):
            self.set.set_visible(role, False)
        self.raw = self.pattern = self.regions = self._estimate = None

    # the raw record

    def show_record(self, raw: NDArray[Any], centre_px: Pair, q_pixel_per_angstrom: float) -> Image | None:
        self.raw, self.centre_px, self.q_pixel_per_angstrom = raw, centre_px, q_pixel_per_angstrom
        place = reciprocal_space(centre_px, q_pixel_per_angstrom)
        return self.set.show_image(RECORD, _log_counts(raw), place, steady=self._steady[RECORD], **_LOOKS[RECORD])

    def show_stop(
        self, shade: Bool, distortion: Distortion, centre_px: Pair, q_pixel_per_angstrom: float
    ) -> Labels | None:
        """The raw record's pixels where they are in the pattern, whose distortion is undone."""
        (a, b), (c, d) = distortion.matrix.tolist()
        self._stop_turned = ((a, b), (c, d))
        return self._stop.show(shade, self._place_of_stop(centre_px, q_pixel_per_angstrom))

    def _place_of_stop(self, centre_px: Pair, q_pixel_per_angstrom: float) -> Placement:
        return replace(reciprocal_space(centre_px, q_pixel_per_angstrom), linear_yx=self._stop_turned)

    def hide_stop(self) -> None:
        self._stop.put_away()

    def move_centre(self, centre_px: Pair) -> None:
        self.centre_px = centre_px
        for role, origin in ((RECORD, centre_px), (MATE, self._mate_origin())):
            layer = self.set.get(role)
            if layer is not None:
                reciprocal_space(origin, self.q_pixel_per_angstrom).apply(layer)
        stop = self.set.get(STOP)
        if stop is not None:
            self._place_of_stop(centre_px, self.q_pixel_per_angstrom).apply(stop)

    def show_mate(self, raw: NDArray[Any]) -> Image | None:
        """The record turned by 180° about the centre: an array read backwards, whose origin moves the other way."""
        place = reciprocal_space(self._mate_origin(raw.shape), self.q_pixel_per_angstrom)
        turned = _log_counts(raw)[::-1, ::-1]
        mate = self.set.show_image(MATE, turned, place, steady=self._steady[MATE], **_LOOKS[MATE])
        self.set.set_visible(MATE, True)
        self._colour_record(_RECORD_BESIDE_MATE)
        return mate

    def hide_mate(self) -> None:
        self.set.set_visible(MATE, False)
        self._colour_record(_LOOKS[RECORD]["colormap"])

    def _colour_record(self, colormap: str) -> None:
        layer = self.set.get(RECORD)
        if layer is not None:
            with self.set.ours(RECORD):
                layer.colormap = colormap

    def _mate_origin(self, shape: tuple[int, ...] | None = None) -> Pair:
        if shape is None:
            if self.raw is None:
                return (0.0, 0.0)
            shape = self.raw.shape
        return (shape[0] - 1 - self.centre_px[0], shape[1] - 1 - self.centre_px[1])

    def show_cross(self, visible: bool) -> None:
        """The fixed cross at q = 0, thin lines through the whole record."""
        if CROSS in self.set or not visible:
            self.set.set_visible(CROSS, visible)
            self._on_zoom()
            return
        if self.set.is_deleted(CROSS):
            return
        half = max(self.raw.shape) * self.q_pixel_per_angstrom / 2 if self.raw is not None else 1.0
        lines = np.array([[[0, -half], [0, 2 * half]], [[-half, 0], [2 * half, 0]]], np.float64)
        look = {"edge_color": "#ffe45c", "vector_style": "line", "opacity": 0.8, "edge_width": self._line_width()}
        self.set.add(CROSS, Vectors(lines, name=CROSS, ndim=2, **_FLAT, **look))

    def show_ellipse(self, distortion: Distortion, radius_per_angstrom: float) -> Vectors | None:
        """What became of a ring in the recorded pattern, and its long axis; nothing if it stayed round."""
        round_still = distortion.ellipse_percent == 0
        if round_still or self.set.is_deleted(ELLIPSE):
            self.set.set_visible(ELLIPSE, False)
            return None
        lines = _ring_as_recorded(distortion, radius_per_angstrom)
        layer = self.set.get(ELLIPSE)
        if layer is None:
            look = {"edge_color": "#7fd4ff", "vector_style": "line", "opacity": 0.8, "edge_width": self._line_width()}
            layer = Vectors(lines, name=ELLIPSE, ndim=2, **_FLAT, **look)
            self.set.add(ELLIPSE, layer)
        else:
            layer.data = lines
            self.set.bring_back(ELLIPSE)
        self._on_zoom()
        return layer

    def _line_width(self) -> float:
        return _LINE_PX / self._model.scene.camera.zoom

    def _on_zoom(self) -> None:
        """The lines of cross and ellipse are as thin at every magnification."""
        for role in (CROSS, ELLIPSE):
            layer = self.set.get(role)
            if layer is not None and layer.visible:
                layer.edge_width = self._line_width()

    # the prepared pattern

    def show_pattern(self, intensity: Float32, grid: Grid) -> Image | None:
        new = PATTERN not in self.set or self.set.is_away(PATTERN)
        self.pattern = (intensity, grid)
        layer = self.set.show_image(
            PATTERN, _log_intensity(intensity), _on_grid(grid), steady=self._steady[PATTERN], **_LOOKS[PATTERN]
        )
        if new and layer is not None:
            self.set.set_visible(RECORD, False)
            self.set.set_visible(MATE, False)
        return layer

    def show_regions(self, regions: NDArray[np.uint8], grid: Grid) -> Labels | None:
        self.regions = regions
        if self.set.is_deleted(REGIONS):
            return None
        layer, codes = self.set.get(REGIONS), regions + np.uint8(1)
        if layer is None:
            colours = DirectLabelColormap(color_dict=dict(_REGION_COLOURS))
            layer = Labels(codes, name=REGIONS, colormap=colours, opacity=0.7, **_on_grid(grid).options())
            self.set.add(REGIONS, layer)
            layer.editable = False
        else:
            layer.data = codes
            _on_grid(grid).apply(layer)
            layer.editable = False
            self.set.bring_back(REGIONS)
        return layer

    def show_painted(self, mask: Bool, grid: Grid) -> Labels | None:
        return self._painted.show(mask, _on_grid(grid))

    # what is laid over it

    def show_model_pattern(self, power: Float32, grid: Grid) -> Image | None:
        """On the right half only, in the contrast of the pattern, which is seen on the left."""
        half = np.log10(np.maximum(power[:, grid.n // 2 :], _FAINTEST, dtype=np.float32))
        place = reciprocal_space((grid.n // 2, 0), grid.q_pixel_per_angstrom)
        pattern = self.set.get(PATTERN)
        limits = (-1.0, 4.0) if pattern is None else tuple(pattern.contrast_limits)
        layer = self.set.show_image(MODEL_PATTERN, half, place, contrast_limits=limits, **_LOOKS[MODEL_PATTERN])
        if pattern is not None and pattern is not self._compared:
            if self._compared is not None:  # it was deleted
                self._compared.events.contrast_limits.disconnect(self._on_contrast)
            self._compared = pattern
            pattern.events.contrast_limits.connect(self._on_contrast)
        self._on_contrast()
        return layer

    def _on_contrast(self) -> None:
        """The model's pattern is seen in the contrast of the record's."""
        pattern, model = self.set.get(PATTERN), self.set.get(MODEL_PATTERN)
        if pattern is not None and model is not None and tuple(model.contrast_limits) != tuple(pattern.contrast_limits):
            model.contrast_limits_range = pattern.contrast_limits_range
            model.contrast_limits = pattern.contrast_limits

    def show_spots(self, points_q: NDArray[np.float64], which: Literal["pattern", "image"]) -> Points | None:
        role = PATTERN_SPOTS if which == "pattern" else IMAGE_SPOTS
        if self.set.is_deleted(role):
            return None
        layer = self.set.get(role)
        if layer is None:
            look = {"face_color": "transparent", "border_width": 0.1, "antialiasing": 0.7, **_SPOT_LOOKS[role]}
            return self._points(role, points_q, **look)
        layer.data = points_q
        if not layer.visible:  # napari does so for visible layers only, and then looks for points that are gone
            layer.set_view_slice()
        layer.selected_data = set()
        self.set.bring_back(role)
        return layer

    def _points(self, role: str, points_q: NDArray[Any], **look: Any) -> Points:
        layer = Points(points_q, name=role, ndim=2, **_FLAT, **look)
        layer.editable = False
        self.set.add(role, layer)
        return layer

    def show_image_power(self, power: Float32, matrix_yx: NDArray[np.float64], step: float) -> Image | None:
        place = power_placement(power.shape, matrix_yx, step)
        return self.set.show_image(
            IMAGE_POWER, _log_intensity(power), place, steady=self._steady[IMAGE_POWER], **_LOOKS[IMAGE_POWER]
        )

    def place_image_power(self, matrix_yx: NDArray[np.float64], step: float) -> None:
        layer = self.set.get(IMAGE_POWER)
        if layer is not None:
            power_placement(layer.data.shape, matrix_yx, step).apply(layer)

    def expect_reconstruction_power(self, grid: Grid) -> None:
        if RECONSTRUCTION not in self.set:
            self.show_reconstruction_power(np.zeros((_BLANK_PX, _BLANK_PX), np.complex64), grid, live=False)
            self._blank = True

    def show_reconstruction_power(self, estimate: NDArray[np.complex64], grid: Grid, live: bool) -> Image | None:
        self._estimate = (estimate, grid, live)
        layer = self.set.get(RECONSTRUCTION)
        return self._draw_reconstruction() if layer is None or layer.visible else layer

    def _draw_reconstruction(self) -> Image | None:
        if self._estimate is None:
            return None
        (estimate, grid, live), self._estimate = self._estimate, None
        m = _padded_size(estimate.shape, grid.n)
        # Where the box lies only turns phases, which a power spectrum does not show.
        power = scipy.fft.fftshift(np.abs(scipy.fft.fft2(estimate, s=(m, m))) ** 2)
        place = reciprocal_space((m // 2, m // 2), 1 / (m * grid.pixel_angstrom))
        steady = self._steady[RECONSTRUCTION]
        if self._blank:
            self._blank = False
            steady.reset()
        layer = self.set.show_image(
            RECONSTRUCTION, _log_intensity(power), place, steady=steady, live=live, **_LOOKS[RECONSTRUCTION]
        )
        if layer is not None and layer is not self._watched:
            self._watched = layer
            layer.events.visible.connect(self._on_visible)
        return layer

    def _on_visible(self, event: Any) -> None:
        if event.source.visible:
            self._draw_reconstruction()

    def value_at(self, q_yx: Pair) -> str:
        """Intensity and region at a place, in words; the raw record's counts if that is what is shown."""
        shown = self.set.get(PATTERN)
        if self.pattern is not None and shown is not None and shown.visible:
            intensity, grid = self.pattern
            index = _index(q_yx, (grid.n // 2, grid.n // 2), grid.q_pixel_per_angstrom, intensity.shape)
            if index is None:
                return ""
            region = ""
            if self.regions is not None and self.regions.shape == intensity.shape:
                region = f"  region {Region(int(self.regions[index])).name}"
            return f"I = {intensity[index]:.4g}".replace("-", "−") + f" e⁻{region}"
        if self.raw is None:
            return ""
        index = _index(q_yx, self.centre_px, self.q_pixel_per_angstrom, self.raw.shape)
        return "" if index is None else f"record {self.raw[index]:.5g}".replace("-", "−")

    def state(self) -> dict[str, dict[str, Any]]:
        return {role: look for role, look in self.set.state().items() if not (self._blank and role == RECONSTRUCTION)}

    def restore(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        self.set.restore(state)

    def close(self) -> None:
        if self._watched is not None:
            self._watched.events.visible.disconnect(self._on_visible)
        if self._compared is not None:
            self._compared.events.contrast_limits.disconnect(self._on_contrast)
        self._model.scene.camera.events.zoom.disconnect(self._on_zoom)
        self._painted.close()
        self._stop.close()
        self.set.close()


def power_placement(shape: tuple[int, ...], matrix_yx: NDArray[np.float64], step: float) -> Placement:
    """A centred power spectrum of ``step`` Å⁻¹ a pixel, turned by ``matrix_yx``."""
    linear = np.asarray(matrix_yx, np.float64)
    plain = reciprocal_space((shape[0] // 2, shape[1] // 2), step)
    turned = ((float(linear[0, 0]), float(linear[0, 1])), (float(linear[1, 0]), float(linear[1, 1])))
    return Placement(plain.scale, plain.translate, plain.unit, plain.axis_labels, turned)


def _on_grid(grid: Grid) -> Placement:
    return reciprocal_space((grid.n // 2, grid.n // 2), grid.q_pixel_per_angstrom)


def _log_counts(raw: NDArray[Any]) -> Float32:
    return np.log10(np.maximum(raw, 1, dtype=np.float32))


def _log_intensity(intensity: NDArray[np.floating]) -> Float32:
    """log10, with what is not above a faint floor at the floor."""
    sample = intensity[::3, ::3]
    positive = sample[sample > 0]
    floor = float(np.percentile(positive, 5)) if positive.size else 1.0
    return np.log10(np.maximum(intensity, max(floor, float(np.finfo(np.float32).tiny)), dtype=np.float32))


def _padded_size(shape: tuple[int, ...], n: int) -> int:
    """Twice the box if that is still small, so that neighbouring spots stay apart; even."""
    longest = max(shape)
    size = max(longest, min(2 * longest, _LARGEST_DISPLAY, n))
    return size + size % 2


def _index(q_yx: Pair, origin_px: Pair, q_pixel: float, shape: tuple[int, ...]) -> tuple[int, int] | None:
    y, x = (round(q / q_pixel + origin) for q, origin in zip(q_yx, origin_px, strict=True))
    return (y, x) if 0 <= y < shape[0] and 0 <= x < shape[1] else None


def _ring_as_recorded(distortion: Distortion, radius: float) -> NDArray[np.float64]:
    """Line segments, (start, way) of (y, x): the ellipse that a ring became, and its long axis; shape (k, 2, 2)."""
    angle = np.linspace(0, 2 * np.pi, _RING_POINTS + 1)
    stretch = np.linalg.inv(Distortion(distortion.ellipse_percent, distortion.ellipse_deg).matrix)
    ring = radius * np.stack([np.sin(angle), np.cos(angle)], axis=1) @ stretch.T
    along = np.radians(distortion.ellipse_deg)
    end = radius * stretch @ np.array([np.sin(along), np.cos(along)])
    segments = np.stack([ring[:-1], np.diff(ring, axis=0)], axis=1)
    return np.concatenate([segments, [[-end, 2 * end]]])
