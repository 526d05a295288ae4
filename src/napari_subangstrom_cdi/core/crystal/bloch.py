"""Dynamical diffraction of a perfect crystal: amplitudes of all beams for all thicknesses at once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.electron import interaction_constant, wavelength_angstrom
from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError

from .blas import one_blas_thread
from .scattering import POTENTIAL_PER_FACTOR, structure_factors
from .unit_cell import Crystal, Orientation, Zone

_MOST_BEAMS = 900


class ZoneBeams:
    """The beams of one zone and what couples them; the crystal's azimuth is 0.

    Forward scattering in the zero-order Laue zone. Where multislice tilts the crystal, its columns lean, and the
    potential of g gets the phase −2π g·τ z; taken into the amplitude, that is a term on the matrix's diagonal:
    dφ_g/dz = i (−πλg² + 2π g·τ) φ_g + i σ_e Σ_h V_(g−h) φ_h.
    F. Fujimoto, J. Phys. Soc. Japan 14 (1959) 1558, doi:10.1143/JPSJ.14.1558.

    Parameters
    ----------
    crystal : Crystal
        Its lattice and atoms.
    zone : (int, int, int)
        Against the beam.
    energy_ev : float
        Of the beam.
    q_max_per_angstrom : float
        Beams up to this |g|.
    b_factor : float
        Debye-Waller factor, Å².

    Attributes
    ----------
    g_per_angstrom : ndarray, shape (beams, 2)
        x and y of each beam; the first is the direct one.

    Raises
    ------
    InputError
        If the zone has no reflections, or too many beams.
    """

    def __init__(
        self, crystal: Crystal, zone: Zone, *, energy_ev: float, q_max_per_angstrom: float, b_factor: float = 1.0
    ) -> None:
        hkl, g = crystal.reflections(zone, 2 * q_max_per_angstrom)
        beams = np.flatnonzero(np.linalg.norm(g, axis=1) <= q_max_per_angstrom)
        if not len(beams) or len(beams) > _MOST_BEAMS:
            raise InputError(
                f"{len(beams)} beams of {crystal.name} on {list(zone)} up to {q_max_per_angstrom:g} Å⁻¹",
                mend="give the zone axis of lowest indices" if len(beams) else "check crystal and zone",
            )
        potential = structure_factors(crystal, g, b_factor) * POTENTIAL_PER_FACTOR / crystal.volume
        table = dict(zip(map(tuple, hkl.tolist()), potential, strict=True))
        self.hkl = np.vstack([np.zeros((1, 3), hkl.dtype), hkl[beams]])
        self.g_per_angstrom = np.vstack([[0, 0, 0], g[beams]]) @ Orientation(zone).matrix(crystal).T[:, :2]
        self.potential_volt = np.concatenate([[0], potential[beams]])
        self.opposite = np.array([_find(self.hkl, -index) for index in self.hkl])
        differences = self.hkl[:, None] - self.hkl[None]
        coupling = [[table.get(tuple(d), 0.0) for d in row] for row in differences.tolist()]
        self._coupling = interaction_constant(energy_ev) * np.array(coupling)
        self._wavelength = wavelength_angstrom(energy_ev)

    def amplitudes(self, lean: Float64, thicknesses_angstrom: Float64) -> NDArray[np.complex128]:
        """ψ_g behind a plate, shape (beams, thicknesses).

        Parameters
        ----------
        lean : ndarray, shape (2,)
            τ = d(x, y)/dz of the crystal's columns, in the frame of ``g_per_angstrom``; the tangent of the tilt.
        thicknesses_angstrom : ndarray, shape (thicknesses,)
            Along the beam.
        """
        q2 = np.sum(self.g_per_angstrom**2, axis=1)
        diagonal = -math.pi * self._wavelength * q2 + 2 * math.pi * self.g_per_angstrom @ lean
        with one_blas_thread():
            values, vectors = np.linalg.eigh(self._coupling + np.diag(diagonal))
            excitation = vectors[0].conj()[:, None]
            amplitude: NDArray[np.complex128] = vectors @ (
                np.exp(1j * values[:, None] * thicknesses_angstrom[None]) * excitation
            )
        return amplitude


def _find(rows: NDArray[np.integer], row: NDArray[np.integer]) -> int:
    return int(np.flatnonzero((rows == row).all(axis=1))[0])
