"""Crystals, what is cut from them, and how they scatter.

- ``unit_cell``: crystals by name or from a CIF, zone axes, and how they stand in the beam
- ``cif``: crystal structures from CIF, in every spelling of their symmetry
- ``habit``: convex solids in a crystal's axes: spheres and bodies of facets
- ``nanocrystal``: a particle cut by an outline with a thickness, with a boundary in it
- ``scattering``: scattering factors of neutral atoms, and structure factors
- ``bloch``: dynamical diffraction of a perfect crystal, for all thicknesses at once
- ``multislice``: the wave behind any atoms, slice by slice or at once
- ``blas``: one thread for many small eigenvalue problems
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "bloch": ["ZoneBeams"],
        "habit": ["Solid", "cut_solid", "faceted", "sphere"],
        "multislice": ["AtomicModel", "Multislice"],
        "nanocrystal": ["Boundary", "Shape", "cut"],
        "scattering": ["electron_scattering_factor", "structure_factors"],
        "unit_cell": ["Crystal", "Orientation", "crystal", "crystal_names", "zone_axis"],
    },
)
