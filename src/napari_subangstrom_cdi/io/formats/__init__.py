"""Formats of images and patterns, one a file; each offers a ``Format`` to ``io.image``.

- ``tiff``: TIFF, through tifffile
- ``mrc``: MRC (MRC2014 and its forerunners), through mrcfile
- ``npy``: NPY and NPZ of NumPy, without pickled objects
- ``hdf5``: room: HDF5 and its dialects (EMD of Velox and Berkeley, HSPY, NeXus, CXI), each a file
- ``edf``: EDF of the ESRF, through fabio
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["tiff", "mrc", "npy", "hdf5", "edf"])
