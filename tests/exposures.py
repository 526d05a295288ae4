"""A scene of halo and spots, and what a camera makes of it."""

import numpy as np

N = 256
Y, X = np.indices((N, N)) - np.array([120.0, 135.0])[:, None, None]
SCENE = 1.5 + 400 * np.exp(-np.hypot(Y, X) / 12) + 20 * np.exp(-np.hypot(Y, X) / 60)
for _y, _x in ((60, 20), (-40, 70), (-60, -30), (10, -80)):
    SCENE += 900 * np.exp(-((Y - _y) ** 2 + (X - _x) ** 2) / 4)


def expose(scene=SCENE, *, gain=0.8, offset=20.0, dark=1.0, seed=0, dtype=np.uint16):
    """Counts of an exposure: Poisson and dark noise, gain, offset, rounding, shape (N, N)."""
    rng = np.random.default_rng(seed)
    counts = gain * (rng.poisson(scene) + rng.normal(0, dark, scene.shape)) + offset
    return np.clip(np.round(counts), 0, np.iinfo(dtype).max).astype(dtype)
