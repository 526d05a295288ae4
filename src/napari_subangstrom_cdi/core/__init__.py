"""The science: plain functions on numpy arrays. Nothing here imports Qt, napari or a file format.

Conventions, kept by every module (docs/conventions.md has the reasons):

- arrays are ``(y, x)``; the origin of real and reciprocal space is the element ``n // 2``;
- ``q = 1/d`` in inverse ångström, without 2π;
- the exit wave is ``ψ = 1 + iO``; for a weak phase object ``O ≈ σ_e V``;
- angles are in degrees, from +x towards +y with y pointing down;
- ``noise_std`` is the paper's σ (of the background intensity), ``sigma_e`` the interaction constant.
"""
