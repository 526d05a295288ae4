"""Colours of a complex field: the hue is the phase, the brightness the amplitude."""

from __future__ import annotations

from functools import cache

import numpy as np
from matplotlib.colors import hsv_to_rgb
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError

_HUES = 1024
# Luma of red, green and blue (Rec. 709): pure blue is far darker than pure yellow of the same HSV value.
_LUMA = (0.2126, 0.7152, 0.0722)
_EVENNESS = 0.35


@cache
def _wheel() -> NDArray[np.float32]:
    """Colours of full amplitude, shape (1024, 3), 0 to 255; entry 0 is phase 0, red.

    Bright hues are dimmed towards the dark ones in part, so that one amplitude looks alike at every phase.
    """
    hue = np.arange(_HUES) / _HUES
    full = hsv_to_rgb(np.stack([hue, np.full(_HUES, 0.9), np.ones(_HUES)], axis=1))
    luma = full @ np.array(_LUMA)
    even = full * (luma.min() / luma)[:, None] ** _EVENNESS
    return np.asarray(255 * even / even.max(), np.float32)


def hsv_composite(field: NDArray[np.complexfloating], amplitude_limit: float) -> NDArray[np.uint8]:
    """Picture of a complex field.

    Parameters
    ----------
    field : ndarray of complex, shape (h, w)
        Phase 0 is red, +120° green, -120° blue; amplitude 0 is black.
    amplitude_limit : float
        Amplitude, in the field's unit, that is shown at full brightness.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
        Red, green and blue.

    Raises
    ------
    InputError
        If the limit is not positive.
    """
    if not amplitude_limit > 0:
        raise InputError(f"an amplitude limit of {amplitude_limit:g}", mend="give a positive number")
    phase = np.arctan2(field.imag, field.real, dtype=np.float32)
    index = np.rint(phase * np.float32(_HUES / (2 * np.pi))).astype(np.int32) & (_HUES - 1)
    brightness = np.minimum(np.abs(field) * np.float32(1 / amplitude_limit), np.float32(1))
    return (_wheel()[index] * brightness[..., None]).astype(np.uint8)
