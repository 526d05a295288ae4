"""A particle as a model describes it: crystal, orientation, shape, place, strain and a boundary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel
from napari_subangstrom_cdi.core.crystal.nanocrystal import Boundary, Shape, cut
from napari_subangstrom_cdi.core.crystal.unit_cell import Crystal, Orientation

from .lattice_shift import Fault


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
        fault, boundary = self.fault, None
        if fault is not None:
            boundary = Boundary.edge_on(fault.normal_deg, fault.position_angstrom, fault.shift_angstrom)
        perfect = cut(
            self.crystal,
            self.orientation,
            self.shape,
            offset_angstrom=self.offset_angstrom,
            height_angstrom=self.height_angstrom,
            b_factor=self.b_factor,
            boundary=boundary,
        )
        xx, yy, xy = self.strain
        positions = np.array(perfect.positions_angstrom)
        positions[:, :2] += (positions[:, :2] - self.offset_angstrom) @ np.array([[xx, xy], [xy, yy]])
        return AtomicModel(perfect.numbers, positions, perfect.b_factor)
