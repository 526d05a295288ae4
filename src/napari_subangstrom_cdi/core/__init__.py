"""The science: plain functions on numpy arrays. Nothing here imports Qt, napari or a file format.

- ``record``: room: from two raw records to one centred pattern
- ``image``: room: from the TEM image to a potential on the pattern's grid, and its outline
- ``phasing``: room: regions, stages, constraints, update rules, and the loop itself
- ``ensemble``: room: members in one frame, their average, and numbers to judge it by
- ``crystal``: room: unit cells, what is cut from them, and how they scatter
- ``fit``: room: a known crystal laid onto pattern and image
- ``electron``: wavelength and interaction constant from the beam energy
- ``faults``: what spoils records: stretch, uneven lenses, films, stops, gaps, drift
- ``fourier``: transforms of centred arrays, the one crossing between centred and FFT order
- ``grid``: the one object that knows the sampling of real and reciprocal space
- ``microscope``: what a microscope would record of given atoms
- ``result``: what a job leaves, apart from any file
- ``truth``: how near a reconstruction comes to an object that is known
- ``types``: types of arrays, by what their elements are

Conventions, kept by every module (docs/conventions.md has the reasons):

- arrays are ``(y, x)``; the origin of real and reciprocal space is the element ``n // 2``;
- ``q = 1/d`` in inverse ångström, without 2π;
- the exit wave is ``ψ = 1 + iO``; for a weak phase object ``O ≈ σ_e V``;
- angles are in degrees, from +x towards +y with y pointing down;
- ``noise_std`` is the paper's σ (of the background intensity), ``sigma_e`` the interaction constant.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "electron": ["interaction_constant", "wavelength_angstrom"],
        "fourier": ["inverse", "transform"],
        "grid": ["Grid"],
        "microscope": ["Exposure"],
        "result": ["InputFile", "Result"],
        "truth": ["TruthScore", "score_against"],
    },
)
