"""The atoms of a particle from its settings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.crystal.habit import Solid, cut_solid, equivalent_planes, faceted
from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel
from napari_subangstrom_cdi.core.crystal.nanocrystal import Boundary
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal, zone_axis
from napari_subangstrom_cdi.errors import InputError

from .settings import ParticleSettings


def particle_atoms(settings: ParticleSettings) -> AtomicModel:
    """The atoms of a particle, centred on the beam.

    Raises
    ------
    InputError
        If crystal, zone or shape make no sense.
    """
    cell = crystal(settings.crystal).scaled(1 + settings.strain_percent / 100)
    zone = zone_axis(settings.zone)
    orientation = Orientation(zone, settings.azimuth_deg, settings.tilt_deg)
    boundary = None
    if settings.boundary_shift_angstrom:
        along = math.radians(settings.boundary_normal_deg - 90)
        shift = settings.boundary_shift_angstrom
        boundary = Boundary.edge_on(
            settings.boundary_normal_deg,
            settings.boundary_position_angstrom,
            (shift * math.cos(along), shift * math.sin(along)),
        )
    return cut_solid(cell, orientation, particle_solid(settings), b_factor=settings.b_factor, boundary=boundary)


def enlarged(settings: ParticleSettings, factor: float) -> ParticleSettings:
    """The same particle in another size: whatever is a length of its shape is multiplied."""
    thickness = settings.thickness_angstrom
    return replace(
        settings,
        diameter_angstrom=settings.diameter_angstrom * factor,
        thickness_angstrom=None if thickness is None else thickness * factor,
        facets={plane: distance * factor for plane, distance in settings.facets.items()},
    )


def particle_solid(settings: ParticleSettings) -> Solid:
    """The body that a particle is cut to, in its crystal's axes."""
    cell = crystal(settings.crystal)
    if settings.facets:
        body = faceted(cell, {_plane(text): distance for text, distance in settings.facets.items()})
        normals, distances, radius = body.normals, body.distances_angstrom, body.radius_angstrom
    elif settings.prism is not None:
        if settings.thickness_angstrom is None:
            raise InputError("a prism without a thickness", mend="give --thickness")
        normals = np.array([g / np.linalg.norm(g) for g in _side_faces(settings)])
        distances, radius = np.full(len(normals), settings.diameter_angstrom / 2), math.inf
    else:
        normals, distances, radius = np.zeros((0, 3)), np.zeros(0), settings.diameter_angstrom / 2
    if settings.thickness_angstrom is not None:
        up, half = cell.zone_direction(zone_axis(settings.zone)), settings.thickness_angstrom / 2
        normals, distances = np.vstack([normals, up, -up]), np.append(distances, [half, half])
    return Solid(normals, distances, radius)


def _side_faces(settings: ParticleSettings) -> list[NDArray[np.float64]]:
    """Normals of a prism's faces: those of the form that hold the zone axis."""
    cell, zone = crystal(settings.crystal), zone_axis(settings.zone)
    planes = equivalent_planes(cell, _plane(str(settings.prism)))
    planes += [(-h, -k, -m) for h, k, m in planes]
    sides = {plane for plane in planes if np.dot(plane, zone) == 0}
    if len(sides) < 3:
        raise InputError(
            f"the faces {settings.prism} do not close a prism along [{settings.zone}]",
            mend="give faces that hold the zone axis",
        )
    return [np.asarray(plane, float) @ cell.reciprocal_per_angstrom for plane in sorted(sides)]


def _plane(text: str) -> tuple[int, int, int]:
    """(hkl) from three indices or four."""
    try:
        indices = [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        indices = []
    if len(indices) == 4 and indices[0] + indices[1] + indices[2] == 0:
        indices = [indices[0], indices[1], indices[3]]
    if len(indices) != 3 or not any(indices):
        raise InputError(f"{text!r} are no Miller indices", mend='give three such as "1 1 1", or four')
    return indices[0], indices[1], indices[2]
