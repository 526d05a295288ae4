"""A mask that the user paints in a Labels layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_subangstrom_cdi.core.types import Bool
from napari_subangstrom_cdi.gui.loop.later import once

from ._layers import LayerSet, Placement


class MaskLayer:
    """A Labels layer whose non-zero pixels are a mask.

    napari says ``paint`` *before* a polygon is filled in, and says nothing but ``set_data`` on undo and
    redo. So both only make us look, once the event loop turns, and what tells an edit is that the mask
    is not the one last shown.

    Parameters
    ----------
    layers : LayerSet
        Where it lives.
    role : str
        Its role there.
    on_edited : callable
        Told the new mask after each of the user's strokes, polygons, fills, undos and redos.
    colour : str
        Of the masked pixels.
    look : mapping
        Other options of the layer.
    contour : int
        Width of the outline that is drawn, pixels; 0 fills the mask.
    """

    def __init__(
        self,
        layers: LayerSet,
        role: str,
        on_edited: Callable[[Bool], None],
        *,
        colour: str,
        look: Mapping[str, Any],
        contour: int = 0,
    ) -> None:
        self._layers, self._role, self._on_edited = layers, role, on_edited
        self._colour, self._look_options, self._contour = colour, look, contour
        self._known: Bool | None = None
        self._watched: Labels | None = None
        self._timer = once(None, self.flush)

    def show(self, mask: Bool, place: Placement) -> Labels | None:
        """Show a mask; None if the user deleted its layer.

        The layer keeps its undo history unless the mask's shape changes.
        """
        self.flush()
        if self._layers.is_deleted(self._role):
            return None
        layer = self._layers.get(self._role)
        known = np.array(mask, dtype=bool)
        if layer is None:
            self._known = known
            return self._new(place)
        same = self._known is not None and np.array_equal(self._known, known)
        self._known = known
        if layer.data.shape != known.shape:
            layer.data = known.astype(np.uint8)
        elif not same:
            layer.data[...] = known
            layer.refresh(extent=False)
        place.apply(layer)
        self._layers.bring_back(self._role)
        return layer

    def put_away(self) -> None:
        """Hide it until there is another mask; an edit that was not told of yet is forgotten."""
        self._timer.stop()
        layer = self._layers.get(self._role)
        if layer is not None:
            self._known = np.asarray(layer.data, bool)
        self._layers.put_away(self._role)

    def _new(self, place: Placement) -> Labels:
        assert self._known is not None
        colours = {0: "transparent", None: self._colour, 1: self._colour}
        options = {"name": self._role, "colormap": DirectLabelColormap(color_dict=colours), **place.options()}
        layer = Labels(self._known.astype(np.uint8), **{**options, **self._look_options})
        layer.contour = self._contour
        layer.events.paint.connect(self._look)
        layer.events.set_data.connect(self._look)
        self._watched = layer
        self._layers.add(self._role, layer)
        return layer

    def _look(self) -> None:
        self._timer.start()

    def flush(self) -> None:
        """Tell of an edit now that would be told at the event loop's next turn."""
        self._timer.stop()
        layer = self._layers.get(self._role)
        if layer is None or self._known is None:
            return
        mask = np.asarray(layer.data) != 0
        if mask.shape == self._known.shape and not np.array_equal(mask, self._known):
            self._known = mask
            self._on_edited(mask.copy())

    def close(self) -> None:
        """Stop watching."""
        self._timer.stop()
        if self._watched is not None:
            self._watched.events.paint.disconnect(self._look)
            self._watched.events.set_data.disconnect(self._look)
            self._watched = None
