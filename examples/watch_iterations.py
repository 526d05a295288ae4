"""Stand inside the loop: every iteration of one member, with its R-factor and its estimate.

Usage: python watch_iterations.py [FOLDER]

FOLDER holds particle.tif, background.tif, image.mrc and acquisition.json; without it the bundled sample is taken.
"""

import sys

import numpy as np

import napari_subangstrom_cdi as sacdi

prepared = sacdi.prepare(**sacdi.sample_records(*sys.argv[1:2]))
before = None
for snapshot in sacdi.iterate(prepared, member=0, seed=0):
    estimate = snapshot.estimate  # a copy on snapshot.box, the rectangle that holds the support
    if before is not None and snapshot.iteration % 10 == 0:
        change = np.linalg.norm(estimate - before) / np.linalg.norm(estimate)
        print(
            f"{snapshot.iteration:4d} {snapshot.stage:<8} R {100 * snapshot.r_factor:5.1f} %, "
            f"free R {100 * snapshot.free_r:5.1f} %, change {100 * change:.2f} %"
        )
    before = estimate
    if snapshot.stage == "complex" and snapshot.stage_iteration == 20:
        break  # the generator closes its threads
