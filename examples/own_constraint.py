"""A constraint of one's own: the phase of the object is smooth over a width in ångström."""

import sys
from typing import Annotated

import numpy as np
from scipy.ndimage import gaussian_filter

import napari_subangstrom_cdi as sacdi


@sacdi.constraint("smooth-phase")
class SmoothPhase:
    """Smooth the phase and keep the amplitude."""

    width_angstrom: Annotated[float, sacdi.Parameter("width", "Standard deviation.", unit="Å", above=0, step=0.1)] = 0.8

    def __call__(self, estimate, scene):
        """The estimate with the phase that it has when smoothed."""
        smoothed = gaussian_filter(estimate, self.width_angstrom / scene.pixel_angstrom)
        return np.abs(estimate) * np.exp(1j * np.angle(smoothed))


if __name__ == "__main__":
    schedule = [
        sacdi.Stage("real", 20, "er", ["image", "real", "support"]),
        sacdi.Stage("smooth", 40, "er", [SmoothPhase(width_angstrom=1.2), "support"]),
    ]
    result = sacdi.reconstruct(**sacdi.sample_records(*sys.argv[1:2]), schedule=schedule, members=2)
    print(result, result.save("own_constraint.cxi"), sep="\n")
