"""The one object that knows the sampling of real and reciprocal space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.errors import InputError

from .types import Float32


@dataclass(frozen=True)
class Grid:
    """A square array of ``n`` x ``n`` pixels and its Fourier transform.

    Both have their origin at element ``n // 2``.

    Parameters
    ----------
    n : int
        Pixels along a side; even.
    field_of_view_angstrom : float
        Side of the array in real space, Å; its inverse is the reciprocal pixel.

    Raises
    ------
    InputError
        If ``n`` is odd or below 16, or the field of view is not positive and finite.
    """

    n: int
    field_of_view_angstrom: float

    def __post_init__(self) -> None:
        if self.n < 16 or self.n % 2:
            raise InputError(f"an array of {self.n} pixels a side", mend="use an even number of at least 16")
        if not math.isfinite(self.field_of_view_angstrom) or self.field_of_view_angstrom <= 0:
            raise InputError(
                f"a field of view of {self.field_of_view_angstrom} Å", mend="give a positive length in ångström"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Array shape (y, x)."""
        return (self.n, self.n)

    @property
    def pixel_angstrom(self) -> float:
        """Pixel of real space, Å."""
        return self.field_of_view_angstrom / self.n

    @property
    def q_pixel_per_angstrom(self) -> float:
        """Pixel of reciprocal space, Å⁻¹."""
        return 1.0 / self.field_of_view_angstrom

    @property
    def q_max_per_angstrom(self) -> float:
        """Highest |q| held along an axis (Nyquist), Å⁻¹."""
        return 0.5 / self.pixel_angstrom

    def index(self) -> NDArray[np.float64]:
        """Pixel index from the origin along one axis, shape (n,)."""
        return np.arange(self.n, dtype=np.float64) - self.n // 2

    def radius_px(self) -> Float32:
        """Distance from the origin in pixels, shape (n, n)."""
        i = self.index()
        return np.hypot(i[:, None], i[None, :]).astype(np.float32)

    def r_angstrom(self) -> Float32:
        """Distance from the origin of real space, Å, shape (n, n)."""
        return self.radius_px() * np.float32(self.pixel_angstrom)

    def q_per_angstrom(self) -> Float32:
        """|q| of each reciprocal pixel, Å⁻¹, shape (n, n)."""
        return self.radius_px() * np.float32(self.q_pixel_per_angstrom)
