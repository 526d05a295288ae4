"""The layers of one canvas: found by a tag, updated in place, never brought back against the user's will."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.gui.loop.painting import RestingLists

from ._contrast import LayerContrast, SteadyLimits

TAG = "subangstrom_cdi"


@dataclass(frozen=True)
class Placement:
    """Where an array lies: world = affine (scale · index + translate)."""

    scale: tuple[float, float]
    translate: tuple[float, float]
    unit: str
    axis_labels: tuple[str, str]
    linear_yx: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0))

    @property
    def affine(self) -> NDArray[np.float64]:
        """The linear part as napari's homogeneous 3 x 3 matrix."""
        matrix = np.eye(3)
        matrix[:2, :2] = self.linear_yx
        return matrix

    def options(self) -> dict[str, Any]:
        """The same as arguments of a layer."""
        return {
            "scale": self.scale,
            "translate": self.translate,
            "units": (self.unit, self.unit),
            "axis_labels": self.axis_labels,
            "affine": self.affine,
        }

    def apply(self, layer: Layer) -> None:
        """Move a layer here, touching only what differs: each change makes napari lay out its layers anew."""
        if np.any(layer.rotate != np.eye(2)) or np.any(layer.shear):
            layer.rotate, layer.shear = np.eye(2), [0.0]
        if not np.allclose(layer.scale, self.scale, rtol=1e-12, atol=0):
            layer.scale = self.scale
        if not np.allclose(layer.translate, self.translate, rtol=0, atol=1e-12):
            layer.translate = self.translate
        if not np.allclose(layer.affine.affine_matrix, self.affine, rtol=0, atol=1e-12):
            layer.affine = self.affine
        if tuple(layer.axis_labels) != self.axis_labels:
            layer.axis_labels = self.axis_labels
        if any(unit != layer.units[0] for unit in layer.units) or f"{layer.units[0]:~}" != _short(self.unit):
            layer.units = (self.unit, self.unit)


def _short(unit: str) -> str:
    return {"Å": "Å", "1/Å": "1 / Å"}[unit]


def real_space(grid: Grid, box: tuple[slice, slice] | None = None) -> Placement:
    """A centred array of real space, or a rectangle of it; Å."""
    y, x = (0, 0) if box is None else (box[0].start, box[1].start)
    pixel, middle = grid.pixel_angstrom, grid.n // 2
    return Placement((pixel, pixel), ((y - middle) * pixel, (x - middle) * pixel), "Å", ("y", "x"))


def reciprocal_space(origin_px: tuple[float, float], q_pixel_per_angstrom: float) -> Placement:
    """An array of reciprocal space whose element ``origin_px`` is q = 0; Å⁻¹."""
    q = q_pixel_per_angstrom
    return Placement((q, q), (-origin_px[0] * q, -origin_px[1] * q), "1/Å", ("qy", "qx"))


class LayerSet:
    """The layers of one plugin window in one viewer, by role.

    Parameters
    ----------
    model : ViewerModel
        Their viewer.
    order : tuple of str
        Roles from the bottom to the top.
    on_deleted : callable
        Told the role of a layer that the user deleted.
    """

    def __init__(self, model: ViewerModel, order: tuple[str, ...], on_deleted: Callable[[str], None]) -> None:
        self._model = model
        self._order = order
        self._on_deleted = on_deleted
        self._layers: dict[str, Layer] = {}
        self._contrast: dict[str, LayerContrast] = {}
        self._deleted: set[str] = set()
        self._away: set[str] = set()
        self._wanted: dict[str, Mapping[str, Any]] = {}
        self._closing = False
        self._lists_at_rest = RestingLists()
        self._live: dict[str, NDArray[Any]] = {}
        model.layers.events.inserted.connect(self._on_inserted)
        model.layers.events.removed.connect(self._on_removed)

    def __contains__(self, role: str) -> bool:
        return role in self._layers

    def get(self, role: str) -> Layer | None:
        """The role's layer, if it is there."""
        return self._layers.get(role)

    def is_deleted(self, role: str) -> bool:
        """True if the user deleted the role's layer since the last :meth:`forget_deletions`."""
        return role in self._deleted

    def forget_deletions(self) -> None:
        """From now on deleted layers may come back."""
        self._deleted.clear()

    def put_away(self, *roles: str) -> None:
        """Hide these layers until there is something else to show in them."""
        for role in roles:
            layer = self._layers.get(role)
            if layer is not None and layer.visible:
                self._away.add(role)
                layer.visible = False

    def is_away(self, role: str) -> bool:
        """Whether the role's layer was put away and has not come back."""
        return role in self._away

    def bring_back(self, role: str) -> None:
        """There is something to show in a layer that may have been put away."""
        if role in self._away:
            self._away.discard(role)
            self.set_visible(role, True)

    def adopt(self, role: str, layer: Layer) -> None:
        """Make a layer of the user's the role's."""
        former = self._layers.get(role)
        if former is layer:
            return
        if former is not None:
            former.metadata = {key: value for key, value in former.metadata.items() if key != TAG}
        self._contrast.pop(role, None)
        layer.metadata = {**layer.metadata, TAG: role}
        self._layers[role] = layer
        self._deleted.discard(role)

    def add(self, role: str, layer: Layer) -> Layer:
        """Put a new layer at its place among the others; what is active stays active."""
        layer.metadata = {**layer.metadata, TAG: role}
        self._layers[role] = layer
        layers, active = self._model.layers, self._model.layers.selection.active
        # napari's own flag: to select the new one and go back costs a quarter of making it
        usual, layers._activate_on_insert = layers._activate_on_insert, active is None
        try:
            layers.insert(self._position(role), layer)
        finally:
            layers._activate_on_insert = usual
        self._lists_at_rest.find()  # now, because the first frame will have no time for it
        if active is not None:
            layers.selection.active = active
        if role in self._wanted:
            self._dress(role, layer, self._wanted.pop(role))
        return layer

    def show_image(
        self,
        role: str,
        data: NDArray[Any],
        place: Placement,
        *,
        steady: SteadyLimits | None = None,
        live: bool = False,
        **look: Any,
    ) -> Image | None:
        """Show an array in the role's layer, which is made if need be; None if the user deleted it.

        What is live is soon replaced: it is written over the last live array, which costs a quarter of a new one.
        An array that is not live is never written to.
        """
        if role in self._deleted:
            return None
        layer = self._layers.get(role)
        if layer is None:
            layer = self._new_image(role, data, place, steady, look)
        else:
            # a thumbnail a frame has the whole layer list painted anew, which costs more than the picture
            with layer.events.thumbnail.blocker(), self._lists_at_rest():
                self._put(role, layer, data, live)
                place.apply(layer)
                if role in self._contrast and steady is not None:
                    self._contrast[role].follow(data)
            self.bring_back(role)
        return layer

    def _put(self, role: str, layer: Image, data: NDArray[Any], live: bool) -> None:
        own = self._live.get(role)
        if not live:
            self._live.pop(role, None)
            layer.data = data
        elif own is None or layer.data is not own or own.shape != data.shape or own.dtype != data.dtype:
            self._live[role] = layer.data = data.copy()
        else:
            own[...] = data
            layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _new_image(
        self, role: str, data: NDArray[Any], place: Placement, steady: SteadyLimits | None, look: dict[str, Any]
    ) -> Image:
        options = {"name": role, **place.options(), **look}
        if steady is not None:
            steady.reset()
            options["contrast_limits"] = steady.follow(data)
        layer = Image(data, **options)
        if steady is not None:
            self._contrast[role] = LayerContrast(layer, steady)
        self.add(role, layer)
        return layer

    def ours(self, role: str) -> AbstractContextManager[None]:
        """What changes inside is not the user's doing."""
        return self._contrast[role].ours() if role in self._contrast else nullcontext()

    def follow_contrast(self) -> None:
        """Let the limits of all layers follow the data again."""
        for contrast in self._contrast.values():
            contrast.reset()

    def set_visible(self, role: str, visible: bool) -> None:
        """Show or hide a role's layer, if it is there."""
        layer = self._layers.get(role)
        if layer is not None and layer.visible != visible:
            layer.visible = visible

    def state(self) -> dict[str, dict[str, Any]]:
        """How each layer looks, as plain JSON values."""
        return {role: self._look(role, layer) for role, layer in self._layers.items()}

    def restore(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Make the layers look as they did; those that do not exist yet, when they come."""
        for role, look in state.items():
            layer = self._layers.get(role)
            if layer is None:
                self._wanted[role] = look
            else:
                self._dress(role, layer, look)

    def _look(self, role: str, layer: Layer) -> dict[str, Any]:
        look: dict[str, Any] = {"name": layer.name, "visible": bool(layer.visible), "opacity": float(layer.opacity)}
        if isinstance(layer, Image) and not layer.rgb:
            look["colormap"] = str(layer.colormap.name)
            look["contrast_limits"] = [float(value) for value in layer.contrast_limits]
            look["gamma"] = float(layer.gamma)
            look["contrast_by_user"] = role in self._contrast and self._contrast[role].by_user
        return look

    def _dress(self, role: str, layer: Layer, look: Mapping[str, Any]) -> None:
        with self.ours(role):
            self._set_look(layer, look)
        if role in self._contrast:
            self._contrast[role].by_user = bool(look.get("contrast_by_user", False))

    @staticmethod
    def _set_look(layer: Layer, look: Mapping[str, Any]) -> None:
        for name in ("name", "visible", "opacity"):
            if name in look:
                setattr(layer, name, look[name])
        if not isinstance(layer, Image) or layer.rgb:
            return
        if "colormap" in look and layer.colormap.name != look["colormap"]:
            layer.colormap = ensure_colormap(look["colormap"])
        if "gamma" in look:
            layer.gamma = look["gamma"]
        if look.get("contrast_by_user") and "contrast_limits" in look:
            layer.contrast_limits = tuple(look["contrast_limits"])

    def _position(self, role: str) -> int:
        """Index below the first layer that belongs above; the user's own order is otherwise left as it is."""
        rank = self._order.index(role)
        above = set(self._order[rank + 1 :])
        for index, layer in enumerate(self._model.layers):
            if any(layer is self._layers.get(other) for other in above):
                return index
        return len(self._model.layers)

    def _on_inserted(self, event: Any) -> None:
        """A duplicate of one of our layers carries its tag, but is the user's to keep."""
        layer = event.value
        if TAG in layer.metadata and all(layer is not ours for ours in self._layers.values()):
            layer.metadata = {key: value for key, value in layer.metadata.items() if key != TAG}

    def _on_removed(self, event: Any) -> None:
        if self._closing:
            return
        for role, layer in list(self._layers.items()):
            if layer is event.value:
                del self._layers[role]
                self._contrast.pop(role, None)
                self._live.pop(role, None)
                self._deleted.add(role)
                self._away.discard(role)
                self._on_deleted(role)

    def close(self) -> None:
        """Let go of the viewer; its layers stay."""
        self._closing = True
        self._model.layers.events.inserted.disconnect(self._on_inserted)
        self._model.layers.events.removed.disconnect(self._on_removed)
        self._layers.clear()
        self._contrast.clear()
        self._live.clear()
