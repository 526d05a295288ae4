"""The object support: given or found in the image, and painted on."""

from __future__ import annotations

import numpy as np
import scipy.spatial

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.support import Support, apply_edits, object_support, support_from_mask
from napari_subangstrom_cdi.core.types import Bool
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io.mask_text import painted_on
from napari_subangstrom_cdi.job.plan import Plan, SupportSettings

from .clock import naming
from .image import RegisteredImage


def find_support(plan: Plan, given: Bool | None, image: RegisteredImage | None, grid: Grid) -> Support:
    """Object support: the mask given, else from the image's potential."""
    if given is not None:
        with naming(plan.inputs.support):
            if max(given.shape) > grid.n or given.shape[0] != given.shape[1]:
                raise InputError(
                    f"the support has shape {given.shape}, the pattern's array {grid.shape}",
                    mend="give a centred square mask, no larger than the pattern's array",
                )
            return support_from_mask(fourier.fit_to_size(given, grid.n), grid)
    if image is None:
        raise InputError("no support without an image", mend="give --support")
    settings = plan.support
    return object_support(
        image.outline,
        grid,
        smooth_angstrom=settings.smooth_angstrom,
        threshold=settings.threshold,
        grow_angstrom=settings.grow_angstrom,
    )


def painted_support(settings: SupportSettings, automatic: Support, grid: Grid) -> Support:
    """The support with what was painted onto it and erased from it."""
    added = painted_on(grid, settings.added, where="support.added")
    removed = painted_on(grid, settings.removed, where="support.removed")
    if added is None and removed is None:
        return automatic
    painted = apply_edits(automatic.mask, added, removed)
    return support_from_mask(painted, grid, automatic.threshold, automatic.n_parts)


def largest_extent_px(mask: Bool) -> float:
    """Largest distance between two points of a mask, pixels."""
    points = np.argwhere(mask)
    hull = points[scipy.spatial.ConvexHull(points).vertices]
    return float(scipy.spatial.distance.pdist(hull).max()) + 1
