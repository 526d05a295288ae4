"""Formats of images and patterns, one a file; each offers a ``Format`` to ``io.image``.

- ``tiff``: room: TIFF, through tifffile, with the tags of camera software, and GEL
- ``mrc``: MRC (MRC2014 and its forerunners), through mrcfile
- ``npy``: NPY and NPZ of NumPy, without pickled objects
- ``pantarhei``: what an NPZ of Panta Rhei (PRZ) says beside its data
- ``hdf5``: room: HDF5 and its dialects (EMD of Velox and Berkeley, HSPY, NeXus, CXI), each a file
- ``edf``: EDF of the ESRF, through fabio
- ``dm``: DM3 and DM4 of DigitalMicrograph
- ``dm_tags``: their tree of tags, through nionswift-io
- ``ser``: SER of TIA, by itself or through its EMI
- ``emi``: the XML in an EMI
- ``rosettasciio``: TVIPS, MIB, BLO, EMPAD, through rosettasciio (an extra)
- ``ditabis``: Ditabis micron, imaging plates
- ``fuji``: Fuji BAS, imaging plates, logarithmic
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "tiff",
        "mrc",
        "npy",
        "hdf5",
        "edf",
        "dm",
        "dm_tags",
        "ser",
        "emi",
        "rosettasciio",
        "pantarhei",
        "ditabis",
        "fuji",
    ],
)
