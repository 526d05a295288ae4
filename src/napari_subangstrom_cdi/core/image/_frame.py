"""What of an image's frame can be taken for the specimen, and what of that is quiet.

Bars, numbers and borders that a program draws into an image are told by pixels that have one value exactly; a
specimen, recorded with noise, has none such. The quiet part is where the least is seen besides noise: there is the
vacuum, however little of the frame it takes.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage as ndi
from skimage import filters

from napari_subangstrom_cdi.core.types import Bool, Float32

_FILLS = 0.9  # of its box, for a flat area to be a bar; a clipped atom is round and fills less
_LEAST_BAR_PX = 16
_LEAST_AREA_PX = 64
_BAND_SHARE = 0.4  # of a row's or column's pixels with one value, at the frame's edge
_HALO_PX = 3
_QUIET_RATIO = 3.0  # of the particle's activity to the vacuum's, at least
_CROWDED = 0.3


def drawn_over(counts: Float32, /) -> Bool:
    """Where the image holds something drawn: scale bars with their numbers, data bars, empty borders.

    Parameters
    ----------
    counts : ndarray, shape (y, x)

    Returns
    -------
    ndarray of bool, shape (y, x)
        Grown by 3 px, for edges that were smoothed when the picture was saved.
    """
    same = ndi.maximum_filter(counts, 3) == ndi.minimum_filter(counts, 3)
    found = _bands(counts)
    found |= _bands(counts.T).T
    labels, _ = ndi.label(same)
    for index, box in enumerate(ndi.find_objects(labels), start=1):
        sides = [s.stop - s.start + 2 for s in box]
        area = np.count_nonzero(labels[box] == index)
        inner = (sides[0] - 2) * (sides[1] - 2)
        if max(sides) < _LEAST_BAR_PX or area < _LEAST_AREA_PX or area < _FILLS * inner:
            continue
        near = tuple(slice(max(0, s.start - max(sides) // 2), s.stop + max(sides) // 2) for s in box)
        value = counts[box][labels[box] == index][0]
        found[near] |= counts[near] == value  # the numbers beside a bar are drawn with its value
    return np.asarray(ndi.binary_dilation(found, iterations=_HALO_PX)) if found.any() else found


def _bands(counts: Float32) -> Bool:
    """Rows at the upper and lower edge in which one value prevails, shape (y, x)."""
    flat = np.zeros(counts.shape[0], dtype=bool)
    for row, values in enumerate(np.sort(counts, axis=1)):
        starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1], [True]]))
        flat[row] = int(np.diff(starts).max()) > _BAND_SHARE * values.size
    # Numbers written in a bar interrupt it.
    flat = ndi.binary_closing(np.pad(flat, 16, mode="edge"), iterations=8)[16:-16]
    labels, _ = ndi.label(flat)
    ends = {int(labels[0]), int(labels[-1])} - {0}
    return np.asarray(np.repeat(np.isin(labels, list(ends))[:, None], counts.shape[1], axis=1), dtype=bool)


def quiet_part(counts: Float32, drawn: Bool, smooth_px: float, /) -> Bool | None:
    """The vacuum of a crowded frame: where little is seen besides noise; None where the median does as well.

    Parameters
    ----------
    counts : ndarray, shape (y, x)
        With what is drawn over it levelled out.
    drawn : ndarray of bool, shape (y, x)
        What is drawn over it.
    smooth_px : float
        Scale over which activity is averaged, pixels.

    Notes
    -----
    Activity is the local variance of the lightly smoothed image. Otsu's threshold on its logarithm
    (doi:10.1109/TSMC.1979.4310076) splits it into two classes whatever their shares; they count as two where the
    means of the two differ by more than the factor 3.
    """
    activity = fringe_activity(counts, smooth_px)
    logarithm = np.log(np.maximum(activity, activity.max() * 1e-12))
    threshold = filters.threshold_otsu(logarithm[~drawn])  # type: ignore[no-untyped-call]
    low, high = logarithm <= threshold, logarithm > threshold
    low, high = low & ~drawn, high & ~drawn
    if np.count_nonzero(high) < _CROWDED * np.count_nonzero(~drawn):
        return None
    if np.median(logarithm[high]) - np.median(logarithm[low]) < np.log(_QUIET_RATIO):
        return None
    return np.asarray(low)


def fringe_activity(counts: Float32, smooth_px: float, /) -> Float32:
    """Local variance of the lightly smoothed image: fringes and edges, whatever the level about them."""
    light = ndi.gaussian_filter(counts, 1.2)
    deviation = light - ndi.gaussian_filter(light, smooth_px)
    return np.asarray(ndi.gaussian_filter(deviation**2, smooth_px / 2))
