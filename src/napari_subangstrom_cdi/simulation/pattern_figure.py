"""The calculated diffraction pattern of a particle as a picture: Fig. 1 of doi:10.1038/nphys1161."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import scipy.ndimage as ndi
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.microscope import exit_spectrum
from napari_subangstrom_cdi.io import check_writable
from napari_subangstrom_cdi.io.atomic import atomic_path

from .particle import particle_atoms
from .settings import Simulation

PIXEL_PER_ANGSTROM = 0.0067
_SHOWN_TO = 1.35  # Å⁻¹
_LOWEST, _HIGHEST = 1e-2, 1e5
_APART = 0.1  # Å⁻¹ between reflections, at least


def calculated_pattern(settings: Simulation, q_pixel_per_angstrom: float = PIXEL_PER_ANGSTROM) -> NDArray[np.float64]:
    """Electrons scattered into each pixel, without beam, noise or detector; shape (n, n), centred."""
    count = 2 * round(_SHOWN_TO / q_pixel_per_angstrom)
    q = (np.arange(count, dtype=np.float64) - count // 2) * q_pixel_per_angstrom
    microscope = settings.microscope
    atoms = particle_atoms(settings.particle)
    spectrum = exit_spectrum(atoms, q, q, energy_ev=microscope.energy_ev, wave=microscope.wave)
    electrons = microscope.dose_per_angstrom2 * q_pixel_per_angstrom**2
    return np.square(np.abs(spectrum), dtype=np.float64) * electrons


def interference(pattern: NDArray[np.float64], q_pixel_per_angstrom: float = PIXEL_PER_ANGSTROM) -> tuple[float, float]:
    """Decades by which the intensity midway between neighbouring reflections lies below their peaks.

    Returns
    -------
    lowest, highest : float
        The quartiles over pairs of neighbours.
    """
    wide = int(_APART / q_pixel_per_angstrom) | 1
    peak = pattern == ndi.maximum_filter(pattern, size=2 * wide + 1)
    peak &= pattern > 1e-4 * pattern.max()
    places = np.argwhere(peak)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    found = []
    for k, nearest in enumerate(distances.argmin(axis=1)):
        middle = np.rint((places[k] + places[nearest]) / 2).astype(int)
        between = pattern[middle[0] - 2 : middle[0] + 3, middle[1] - 2 : middle[1] + 3].mean()
        lower = min(pattern[tuple(places[k])], pattern[tuple(places[nearest])])
        found.append(np.log10(lower / max(float(between), 1e-30)))
    low, high = np.quantile(found, [0.25, 0.75])
    return float(low), float(high)


def draw_pattern(settings: Simulation, path: Path) -> str:
    """Draw the pattern on a logarithmic scale from 10⁻² to 10⁵ electrons; a sentence about it.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    check_writable(path)
    pattern = calculated_pattern(settings)
    low, high = interference(pattern)
    figure = matplotlib.figure.Figure(figsize=(7.2, 6.2), layout="constrained")
    axes: Any = figure.add_subplot()
    edge = len(pattern) / 2 * PIXEL_PER_ANGSTROM
    shown = np.maximum(pattern, _LOWEST)
    picture = axes.imshow(
        shown, norm=LogNorm(_LOWEST, _HIGHEST), cmap="magma", extent=(-edge, edge, edge, -edge), interpolation="nearest"
    )
    particle = settings.particle
    axes.set(
        title=f"{particle.crystal} [{particle.zone}], {particle.diameter_angstrom / 10:g} nm",
        xlabel="q (Å⁻¹)",
        ylabel="q (Å⁻¹)",
    )
    figure.colorbar(picture, ax=axes, label="electrons a pixel")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format=path.suffix.lstrip(".") or "png")
    return (
        f"{path}: {PIXEL_PER_ANGSTROM} Å⁻¹ a pixel; midway between neighbouring reflections the intensity lies "
        f"10^{low:.1f} to 10^{high:.1f} times below them (quartiles)"
    )
