"""A particle as a model describes it: crystal, orientation, shape, place, strain and a boundary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .crystal import Crystal, Orientation
from .lattice_shift import Fault
from .multislice import AtomicModel
from .nanocrystal import Shape, cut

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Particle:
    """What its atoms follow from.

    Parameters
    ----------
    crystal : Crystal
        Unit cell.
    orientation : Orientation
        How it stands.
    shape : Shape
        Outline and thickness.
    offset_angstrom : (float, float)
        x and y of the column through the crystal's origin, in the middle plane, from the middle of the array.
    height_angstrom : float
        z of that origin, along the column.
    b_factor : float
        Debye-Waller factor, Å².
    strain : (float, float, float)
        ε_xx, ε_yy, ε_xy of the whole particle, in the plane.
    fault : Fault, optional
        A boundary along the beam, the lattice beyond it shifted.
    """

    crystal: Crystal
    orientation: Orientation
    shape: Shape
    offset_angstrom: tuple[float, float] = (0.0, 0.0)
    height_angstrom: float = 0.0
    b_factor: float = 0.8
    strain: tuple[float, float, float] = (0.0, 0.0, 0.0)
    fault: Fault | None = None

    def atoms(self) -> AtomicModel:
        """Its atoms.

        Raises
        ------
        InputError
            If none lies inside the shape.
        """
        if self.fault is None:
            return self._strained(self._cut((0.0, 0.0)))
        numbers, positions = [], []
        for shift in ((0.0, 0.0), self.fault.shift_angstrom):
            grain = self._strained(self._cut(shift))
            x, y = grain.positions_angstrom[:, :2].T
            mine = self.fault.beyond(x, y) == any(shift)
            numbers.append(grain.numbers[mine])
            positions.append(grain.positions_angstrom[mine])
        return AtomicModel(np.concatenate(numbers), np.concatenate(positions), self.b_factor)

    def _cut(self, shift: tuple[float, float]) -> AtomicModel:
        return cut(
            self.crystal,
            self.orientation,
            self.shape,
            offset_angstrom=(self.offset_angstrom[0] + shift[0], self.offset_angstrom[1] + shift[1]),
            height_angstrom=self.height_angstrom,
            b_factor=self.b_factor,
        )

    def _strained(self, model: AtomicModel) -> AtomicModel:
        xx, yy, xy = self.strain
        positions = np.array(model.positions_angstrom)
        positions[:, :2] += (positions[:, :2] - self.offset_angstrom) @ np.array([[xx, xy], [xy, yy]])
        return AtomicModel(model.numbers, positions, model.b_factor)
