"""HDF5 and its dialects, through h5py; each dialect in its own file.

- ``reading``: the format: which dialect a file speaks, which array is meant, and reading it
- ``velox``: EMD of Velox (Thermo Fisher)
- ``berkeley``: EMD 0.2 and 1.0 of Berkeley, with what py4DSTEM and Prismatic make of it
- ``hyperspy``: HSPY of HyperSpy
- ``cxi``: CXI of this and other programs
- ``nexus``: NeXus, and the masters of Dectris with their data files
- ``plain``: any other HDF5: the plain choice of an array
- ``arrays``: an array with its axes, read frame by frame; what a dialect is
- ``links``: groups walked and names followed, through soft and external links, without end
- ``steps``: axes that state where pixels lie
- ``beams``: electrons or photons, by energy and wavelength
- ``masks``: masks beside the data, and values that stand for "not measured"
- ``checks``: what is checked of an array before it is read
- ``values``: attributes and single values, whatever they hold
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"reading": ["FORMAT"]})
