"""A schedule of one's own, beside that of the preset, on data that are prepared once.

Usage: python own_schedule.py [FOLDER]

FOLDER holds particle.tif, background.tif, image.mrc and acquisition.json; without it the bundled sample is taken.
"""

import sys

import napari_subangstrom_cdi as sacdi

schedule = [
    sacdi.Stage("with image", 20, "hio", ("image", "real", "support")),
    sacdi.Stage("relax", 40, "raar", ("real", "non-negative", "support"), beta=0.87),
    sacdi.Stage("complex", 20, "er", ("support",)),
]

prepared = sacdi.prepare(**sacdi.sample_records(*sys.argv[1:2]))
print(prepared)
preset = sacdi.phase(prepared, members=2)
own = sacdi.phase(prepared, schedule, members=2)

for name, result in (("preset", preset), ("own", own)):
    r, free_r = result.readings["r_factor"], result.readings["free_r"]
    print(f"{name:>7}: R {100 * r:5.1f} %, free R {100 * free_r:5.1f} %")
