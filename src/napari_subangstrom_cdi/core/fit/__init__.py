"""A known crystal laid onto pattern and image, and what the data say without it.

- ``spots``: how large a pattern's spots are, and where they lie
- ``lattice``: the lattice that holds them, and those a few times coarser or finer
- ``distortion``: a pattern's lattice against a crystal's: turned, scaled, stretched
- ``zones``: zone axes of a crystal, ranked by how well their lattice and reflections are the pattern's
- ``rings``: beam, pixel and ellipse by the rings of a standard
- ``indexing``: a zone laid onto the spots: which way the crystal stands
- ``lattice_ellipse``: the pattern's ellipse, by the lattice of its spots
- ``reflection_fit``: tilt, thickness and shape from integrated intensities
- ``lattice_place``: where the lattice lies in the outline, from the image's reflections
- ``particle``: a particle as a model describes it
- ``model_fit``: the whole model: fitted to the pattern, placed by the image
- ``model_rebuild``: the model made anew by a reconstruction's lattice, the whole pattern and the image
- ``lattice_shift``: how an object's lattice lies against the model's: turned, strained, shifted
- ``left_out``: what the data bring back where the model is left out in turn
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "distortion": ["LatticeDistortion", "fit_distortion"],
        "indexing": ["Match", "match_zone"],
        "lattice": ["lattice_vectors"],
        "lattice_place": ["LatticeImage", "nearest_place"],
        "lattice_shift": ["LatticeShift"],
        "left_out": ["OmitTest", "omit_test", "sectors_of"],
        "model_fit": ["FittedModel", "fit_model"],
        "model_rebuild": ["rebuilt"],
        "particle": ["Particle"],
        "reflection_fit": ["Evidence", "Fit", "Held"],
        "rings": ["RingCalibration", "calibrate_by_rings"],
        "spots": ["find_spots", "spot_size"],
        "zones": ["RankedZone", "rank_zones"],
    },
)
