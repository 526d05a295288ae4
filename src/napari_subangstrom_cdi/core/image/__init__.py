"""From the TEM image to a potential on the grid of the pattern, and its outline.

- ``normalisation``: the image's vacuum brought to 1, and the particles in it
- ``potential``: its contrast transfer inverted
- ``pair``: image and pattern of one particle, with what is needed to compare them
- ``registration``: the image brought onto the pattern: rotation, pixel and mirror
- ``slips``: which particle of an image a pattern is of, and which slip explains that none fits
- ``geometry``: how the image lies on the pattern, and the image resampled to it
- ``comparison``: image and pattern compared at any rotation and pixel, for alignment by hand
- ``distortion``: the pattern's ellipse, by the reflections that it shares with the image
- ``support``: where the particle is, from its potential, and what was painted onto it
- ``_frame``: what is drawn over an image, and which part of it is quiet
- ``_spectra``: the two spectra that a registration compares
- ``_transfer``: the particle's contrast transfer, fitted to their ratio in rings
- ``_reflections``: the reflections that both have in common, and the shapes of these
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "comparison": ["LiveComparison"],
        "geometry": ["Geometry", "ImageRegistration", "resample_to_pattern"],
        "normalisation": ["NormalisedImage", "normalise_to_vacuum", "particles_in"],
        "pair": ["Pair"],
        "slips": ["Fit", "Slip", "Stated", "best_of", "explained_by"],
        "potential": [
            "ImagingConditions",
            "weak_phase_potential",
            "wiener_potential",
        ],
        "registration": ["register_image", "registration_at"],
        "support": ["Support", "object_support", "support_from_mask"],
    },
)
