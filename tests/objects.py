"""Synthetic particles: atoms in an outline without symmetry, with the pattern and image they would give."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.phasing.regions import Region, amplitude_band
from napari_subangstrom_cdi.core.phasing.retrieval import Problem

Array = NDArray[Any]

GRID = Grid(96, 38.4)
IMAGE_LIMIT = 0.35


def outline(grid: Grid = GRID, radius_angstrom: float = 7.0) -> Array:
    """A kite with one corner cut: no symmetry, so that the twin does not fit into it."""
    axis = grid.index() * grid.pixel_angstrom / radius_angstrom
    y, x = axis[:, None], axis[None, :]
    return (y > -0.8) & (y < 1.0 + 0.3 * x) & (x > -1.0 + 0.35 * y) & (x + 0.6 * y < 0.9)


def place_atoms(grid: Grid, positions_angstrom: Array, heights: Array, sigma_angstrom: float = 0.45) -> Array:
    """Gaussian atoms at (y, x) from the origin."""
    axis = grid.index() * grid.pixel_angstrom
    gy, gx = (np.exp(-0.5 * ((axis - p[:, None]) / sigma_angstrom) ** 2) for p in positions_angstrom.T)
    return np.einsum("k,ky,kx->yx", heights, gy, gx)


def random_particle(grid: Grid = GRID, *, seed: int = 0, imaginary: float = 0.0, radius_angstrom: float = 7.0) -> Array:
    """Atoms at random, no two closer than 1.5 Å, inside the outline; each with its own phase.

    ``imaginary`` is the standard deviation of an atom's phase in radians: thick columns are complex.
    """
    rng = np.random.default_rng(seed)
    inside = ndi.binary_erosion(outline(grid, radius_angstrom), iterations=math.ceil(0.9 / grid.pixel_angstrom))
    places: list[Array] = []
    for index in rng.permutation(np.argwhere(inside)):
        position = (index - grid.n // 2 + rng.uniform(-0.5, 0.5, 2)) * grid.pixel_angstrom
        if all(np.hypot(*(position - other)) > 1.5 for other in places):
            places.append(position)
    heights = rng.uniform(0.3, 1.0, len(places)) * np.exp(1j * imaginary * rng.standard_normal(len(places)))
    return place_atoms(grid, np.array(places), heights).astype(np.complex64)


def crystal(n: int = 160) -> tuple[Grid, Array, Array]:
    """A particle of a two-atom lattice, its grid and its support; its reflections reach to 0.9 Å."""
    grid = Grid(n, 0.4 * n)
    kite = outline(grid, 15.0)
    within = ndi.binary_erosion(kite, iterations=3)
    i, j = (a.ravel() for a in np.mgrid[-12:13, -12:13])
    heavy = np.stack([3.0 * i + 1.1 * j, 3.4 * j], axis=1) + 0.3
    atoms = np.concatenate([heavy, heavy + np.array([0.4, 1.3])])
    at = np.round(atoms / grid.pixel_angstrom).astype(int) + n // 2
    inside = np.all((at >= 2) & (at < n - 2), axis=1)
    inside[inside] = within[tuple(at[inside].T)]
    heights = np.repeat([1.0, 0.6], len(heavy))
    return grid, place_atoms(grid, atoms[inside], heights[inside]).astype(np.complex64), kite


def low_pass(q_per_angstrom: Array, limit_per_angstrom: float = IMAGE_LIMIT) -> Array:
    """What the image transfers: all below its limit, smoothly nothing beyond."""
    return np.exp(-((q_per_angstrom / np.float32(limit_per_angstrom)) ** 8)).astype(np.float32)


def low_resolution_image(
    field: Array, grid: Grid = GRID, *, limit_per_angstrom: float = IMAGE_LIMIT, noise: float = 0.05, seed: int = 1
) -> Array:
    """The object's real part up to the image's limit, with white noise of a share of its greatest value."""
    transfer = low_pass(grid.q_per_angstrom(), limit_per_angstrom)
    smooth = fourier.inverse(fourier.transform(field.real) * transfer).real
    speckle = np.random.default_rng(seed).standard_normal(grid.shape)
    return (smooth + noise * smooth.max() * speckle).astype(np.float32)


def problem_of(
    field: Array,
    *,
    grid: Grid = GRID,
    support: Array | None = None,
    image_limit: float | None = IMAGE_LIMIT,
    electrons: float = 0.0,
    noise_std: float = 0.0,
    beam_radius_px: float = 0.0,
    reading: str = "upper-limit",
    seed: int = 2,
) -> Problem:
    """Pattern, regions, support and image of an object.

    ``electrons`` in the whole pattern, counted with Poisson noise, 0 for a pattern without noise; ``noise_std`` is
    the background's, as a share of the mean intensity, and puts everything below three times it into B. ``image_limit``
    is the finest |q| in the image, None for a problem without one.
    """
    intensity = np.abs(fourier.transform(field)) ** 2
    if electrons:
        scale = electrons / intensity.sum()
        intensity = np.random.default_rng(seed).poisson(intensity * scale) / scale
    sigma = np.full(grid.shape, noise_std * intensity.mean(), np.float32)
    regions = np.where(intensity > 3 * sigma, Region.G, Region.B).astype(np.uint8)
    regions[grid.radius_px() <= beam_radius_px - 1] = Region.M
    intensity = np.where(regions == Region.M, 0, intensity).astype(np.float32)
    return Problem(
        grid,
        np.sqrt(intensity),
        amplitude_band(intensity, sigma, regions, reading=reading),
        regions,
        outline(grid) if support is None else support,
        low_resolution_image(field, grid, limit_per_angstrom=image_limit) if image_limit else None,
        partial(low_pass, limit_per_angstrom=image_limit) if image_limit else None,
    )


def correlation(found: Array, truth: Array, inside: Array | None = None) -> float:
    """Modulus of the complex correlation where they lie: one phase and one scale are free, no translation."""
    a, b = (field.ravel() if inside is None else field[inside] for field in (found, truth))
    return float(abs(np.vdot(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b)))


def constraints_of(names, weight=1.0, threshold=0.5):
    """Constraints by name as a stage takes them, with the image's weight and the threshold of the density."""
    values = {"image": {"weight": weight}, "low-density": {"threshold": threshold}, "flip": {"threshold": threshold}}
    return tuple({"kind": name, **values.get(name, {})} for name in names)
