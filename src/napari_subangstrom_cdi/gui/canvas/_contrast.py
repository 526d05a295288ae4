"""Contrast limits that do not flicker, and that leave the user's own alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

Limits = tuple[float, float]

_PERCENTILES = (0.5, 99.8)
_SAMPLES = 20_000
_MARGIN = 0.15  # of the span, by which data may leave the limits
_LEAST_FILL = 0.55  # of the span, which data must fill
_HEADROOM = 0.05
_LARGEST_RIPPLE = 0.6  # of the highest value; smaller negative values are ripples around a positive object
_PACE, _PACE_S = 0.35, 0.1  # so much of the way in this time
_ARRIVED = 0.03


class SteadyLimits:
    """Limits that stay while the data roughly fill them, and move smoothly when they do not.

    Parameters
    ----------
    percentiles : tuple of float
        Where the data are taken to begin and end.
    positive : bool
        Begin at zero, so that vacuum is black, unless the negative values are as large as the positive.
    fixed : tuple of float, optional
        Limits that never move.
    """

    def __init__(
        self, percentiles: Limits = _PERCENTILES, *, positive: bool = False, fixed: Limits | None = None
    ) -> None:
        self._percentiles = percentiles
        self._positive = positive
        self._fixed = fixed
        self._moving = False
        self._at = 0.0
        self.limits: Limits | None = fixed

    def follow(self, values: NDArray[np.floating], *, now: float | None = None) -> Limits:
        """The limits for the next frame; ``now`` is the time in seconds, by default the clock's."""
        if self._fixed is not None:
            return self._fixed
        now = time.monotonic() if now is None else now
        since, self._at = now - self._at, now
        target = self._target(*_robust_range(values, self._percentiles))
        if self.limits is None:
            self.limits = target
        elif self._moving or self._misfit(*target):
            self._move(target, 1 - (1 - _PACE) ** (since / _PACE_S))
        return self.limits

    def _target(self, low: float, high: float) -> Limits:
        if self._positive and high > 0 and -low < _LARGEST_RIPPLE * high:
            return 0.0, high * (1 + _HEADROOM)
        return _with_headroom(low, high)

    def reset(self) -> None:
        """Take the next frame's range as it is."""
        self.limits = self._fixed
        self._moving = False

    def _misfit(self, low: float, high: float) -> bool:
        assert self.limits is not None
        span = self.limits[1] - self.limits[0]
        leaves = low < self.limits[0] - _MARGIN * span or high > self.limits[1] + _MARGIN * span
        return leaves or high - low < _LEAST_FILL * span

    def _move(self, target: Limits, share: float) -> None:
        assert self.limits is not None
        old, span = self.limits, target[1] - target[0]
        new = (old[0] + share * (target[0] - old[0]), old[1] + share * (target[1] - old[1]))
        self._moving = max(abs(new[0] - target[0]), abs(new[1] - target[1])) > _ARRIVED * span
        self.limits = new


def _robust_range(values: NDArray[np.floating], percentiles: Limits) -> Limits:
    step = max(1, int(np.sqrt(values.size / _SAMPLES)))
    sample = values[::step, ::step]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    low, high = np.percentile(sample, percentiles)
    return float(low), float(high)


def _with_headroom(low: float, high: float) -> Limits:
    span = high - low
    if span <= 0:
        span = max(abs(high), 1e-6) * 1e-3
    return low - _HEADROOM * span, high + _HEADROOM * span


class LayerContrast:
    """Sets an image layer's contrast limits until the user sets them himself."""

    def __init__(self, layer: Image, steady: SteadyLimits) -> None:
        self._layer = layer
        self._steady = steady
        self._ours = False
        self._ours_last = self._setting()
        self.by_user = False
        layer.events.contrast_limits.connect(self._on_change)

    def _setting(self) -> Limits:
        low, high = self._layer.contrast_limits
        return float(low), float(high)

    def _on_change(self) -> None:
        """Only a difference is the user's: napari's controls set a layer's own values anew when they are made."""
        if not self._ours and self._setting() != self._ours_last:
            self.by_user = True

    @contextmanager
    def ours(self) -> Iterator[None]:
        """What changes inside is not the user's doing."""
        before, self._ours = self._ours, True
        try:
            yield
        finally:
            self._ours = before
            self._ours_last = self._setting()

    def follow(self, values: NDArray[np.floating]) -> None:
        """Adapt the limits to the values about to be shown."""
        if self.by_user:
            return
        low, high = self._steady.follow(values)
        if [low, high] != list(self._layer.contrast_limits):
            with self.ours():
                self._layer.contrast_limits = (low, high)

    def reset(self) -> None:
        """Give the limits back to us, from the data shown now."""
        self.by_user = False
        self._steady.reset()
        self.follow(np.asarray(self._layer.data))
