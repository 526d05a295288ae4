"""From three records to a reconstruction: pattern, background and image of one particle.

Usage: python quick_start.py [FOLDER]

FOLDER holds particle.tif, background.tif, image.mrc and acquisition.json; without it the bundled sample is taken.
"""

import sys

import napari_subangstrom_cdi as sacdi

records = sacdi.sample_records(*sys.argv[1:2])  # the four paths, by the names of the arguments below
result = sacdi.reconstruct(
    records["pattern"],
    background=records["background"],
    image=records["image"],
    acquisition=records["acquisition"],
    members=2,  # 20, the default, for a result to rely on
)

print(result)
for warning in result.warnings:
    print("warning:", warning)
print(f"object: {result.object.shape}, pixel {result.pixel_angstrom:.4f} Å, support {result.support.sum()} pixels")
print("written:", result.save("quick_start.cxi"), *result.figure("quick_start"))
