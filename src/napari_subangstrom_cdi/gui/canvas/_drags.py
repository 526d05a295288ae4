"""The left button taken for something else: the pattern's centre, the turn of a spectrum, a place to point at."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

from napari.components import ViewerModel

Pair = tuple[float, float]

_STEP_PX, _LARGE_STEP_PX = 0.1, 1.0
# The record follows the arrow, so the centre goes the other way through its pixels.
_ARROWS: dict[str, Pair] = {"Up": (1.0, 0.0), "Down": (-1.0, 0.0), "Left": (0.0, 1.0), "Right": (0.0, -1.0)}
_CURSOR = "crosshair"
_SCALE_WITH = ("Shift", "Control")
_LEAVE = "Escape"
_UNSTEADY_PX = 4  # of the screen, that a hand may move in a click


class _Drag:
    """A mode in which a left-drag on the canvas is ours: no panning, no painting."""

    def __init__(self, model: ViewerModel) -> None:
        self._model = model
        self._active_before: Any = None
        self.on = False

    def start(self) -> None:
        """Take the left button."""
        if self.on:
            return
        self.on = True
        self._active_before = self._model.layers.selection.active
        self._model.layers.selection.active = None
        self._model.scene.camera.mouse_pan = False
        self._model.cursor.style = _CURSOR
        self._model.mouse_drag_callbacks.append(self._press)

    def stop(self) -> None:
        """Give the left button back."""
        if not self.on:
            return
        self.on = False
        self._model.mouse_drag_callbacks.remove(self._press)
        self._model.cursor.style = "standard"
        self._model.scene.camera.mouse_pan = True
        if self._active_before in self._model.layers:
            self._model.layers.selection.active = self._active_before
        self._active_before = None

    def _press(self, model: ViewerModel, event: Any) -> Generator[None, None, None]:
        if event.button != 1:
            return
        event.handled = True
        yield from self._follow(event)

    def _follow(self, event: Any) -> Generator[None, None, None]:
        raise NotImplementedError


class CentreDrag(_Drag):
    """Left-drag and arrow keys move the record under the origin.

    Parameters
    ----------
    model : ViewerModel
        The canvas.
    centre_px : callable
        The centre now, raw pixels (y, x).
    q_pixel_per_angstrom : callable
        Raw pixel, Å⁻¹.
    on_drag, on_drop : callable
        Told the new centre while it moves and when it is let go.
    """

    def __init__(
        self,
        model: ViewerModel,
        *,
        centre_px: Callable[[], Pair],
        q_pixel_per_angstrom: Callable[[], float],
        on_drag: Callable[[Pair], None],
        on_drop: Callable[[Pair], None],
    ) -> None:
        super().__init__(model)
        self._centre_px, self._q_pixel = centre_px, q_pixel_per_angstrom
        self._on_drag, self._on_drop = on_drag, on_drop

    def start(self) -> None:
        """Take the left button and the arrow keys."""
        if self.on:
            return
        super().start()
        for key, (dy, dx) in _ARROWS.items():
            for name, step in ((key, _STEP_PX), (f"Shift-{key}", _LARGE_STEP_PX)):
                self._model.bind_key(name, self._nudge((dy * step, dx * step)), overwrite=True)

    def stop(self) -> None:
        """Give button and keys back."""
        if not self.on:
            return
        super().stop()
        for key in _ARROWS:
            self._model.bind_key(key, None)
            self._model.bind_key(f"Shift-{key}", None)

    def _nudge(self, step_px: Pair) -> Callable[[ViewerModel], None]:
        def nudge(_: ViewerModel) -> None:  # napari reads a key's function by its name, which a partial lacks
            y, x = self._centre_px()
            centre = (y + step_px[0], x + step_px[1])
            self._on_drag(centre)
            self._on_drop(centre)

        return nudge

    def _follow(self, event: Any) -> Generator[None, None, None]:
        start, at_first, q = tuple(event.position), self._centre_px(), self._q_pixel()
        if not q > 0:
            return
        yield
        centre = at_first
        while event.type == "mouse_move":
            event.handled = True
            centre = _moved(at_first, start, event.position, q)
            self._on_drag(centre)
            yield
        self._on_drop(centre)


def _moved(centre_px: Pair, start_q: Any, now_q: Any, q_pixel: float) -> Pair:
    return (
        centre_px[0] - (float(now_q[0]) - float(start_q[0])) / q_pixel,
        centre_px[1] - (float(now_q[1]) - float(start_q[1])) / q_pixel,
    )


class AlignDrag(_Drag):
    """Left-drag about the origin turns; with Shift or Ctrl it scales.

    Parameters
    ----------
    model : ViewerModel
        The canvas.
    on_drag : callable
        Told the turn since the last call, degrees from +x towards +y, and the factor of |q|.
    on_drop : callable
        Called when the mouse is let go after a drag.
    """

    def __init__(
        self, model: ViewerModel, *, on_drag: Callable[[float, float], None], on_drop: Callable[[], None]
    ) -> None:
        super().__init__(model)
        self._on_drag, self._on_drop = on_drag, on_drop

    def _follow(self, event: Any) -> Generator[None, None, None]:
        last = tuple(event.position)
        yield
        while event.type == "mouse_move":
            event.handled = True
            now = tuple(event.position)
            if math.hypot(*last) > 0 and math.hypot(*now) > 0:
                if any(name in event.modifiers for name in _SCALE_WITH):
                    self._on_drag(0.0, math.hypot(*now) / math.hypot(*last))
                else:
                    self._on_drag(_turn_deg(last, now), 1.0)
            last = now
            yield
        self._on_drop()


def _turn_deg(before_yx: Any, after_yx: Any) -> float:
    turn = math.degrees(math.atan2(after_yx[0], after_yx[1]) - math.atan2(before_yx[0], before_yx[1]))
    return (turn + 180) % 360 - 180


class Pointing(_Drag):
    """A left-click names a place; Escape leaves it at that.

    Parameters
    ----------
    model : ViewerModel
        The canvas.
    on_click : callable
        Told the place, in the canvas's world. A drag is none.
    on_leave : callable
        Called at Escape.
    """

    def __init__(self, model: ViewerModel, *, on_click: Callable[[Any], None], on_leave: Callable[[], None]) -> None:
        super().__init__(model)
        self._on_click, self._on_leave = on_click, on_leave

    def start(self) -> None:
        """Take the left button and Escape."""
        if self.on:
            return
        super().start()
        self._model.bind_key(_LEAVE, lambda _: self._on_leave(), overwrite=True)

    def stop(self) -> None:
        """Give button and key back."""
        if not self.on:
            return
        super().stop()
        self._model.bind_key(_LEAVE, None)

    def _follow(self, event: Any) -> Generator[None, None, None]:
        place, pressed = tuple(event.position), tuple(event.pos)
        yield
        steady = True
        while event.type == "mouse_move":
            event.handled = True
            steady = steady and math.dist(pressed, event.pos) <= _UNSTEADY_PX
            yield
        if steady:
            self._on_click(place)
