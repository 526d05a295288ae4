"""Formats of images and patterns, one a file; each offers a ``Format`` to ``io.image``.

- ``tiff``: room: TIFF, through tifffile, with the tags of camera software, and GEL
- ``mrc``: MRC (MRC2014 and its forerunners), through mrcfile
- ``npy``: NPY and NPZ of NumPy, without pickled objects
- ``hdf5``: HDF5 and its dialects (CXI, NeXus, EMD), through h5py
- ``edf``: EDF of the ESRF, through fabio
- ``ditabis``: Ditabis micron, imaging plates
- ``fuji``: Fuji BAS, imaging plates, logarithmic
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["tiff", "mrc", "npy", "hdf5", "edf", "ditabis", "fuji"],
)
