"""A sweep of α, the share of an amplitude that is kept where the pattern is background.

The records are read, aligned and masked once: α changes what is demanded of the amplitudes, and nothing before.

Usage: python sweep_alpha.py [FOLDER]

FOLDER holds particle.tif, background.tif, image.mrc and acquisition.json; without it the bundled sample is taken.
"""

import sys

import napari_subangstrom_cdi as sacdi

prepared = sacdi.prepare(**sacdi.sample_records(*sys.argv[1:2]))
print("  α    R        free R   image agreement")
for alpha in (0.1, 0.3, 0.6):
    numbers = sacdi.phase(prepared.with_alpha(alpha), members=2, progress=False).readings
    print(
        f"{alpha:4.1f}  {100 * numbers['r_factor']:5.1f} %  {100 * numbers['free_r']:5.1f} %  "
        f"{numbers['image_agreement']:.3f}"
    )
