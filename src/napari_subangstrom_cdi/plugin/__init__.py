"""What napari asks the manifest for: files to layers and back, and samples.

- ``reader``: results (CXI) as layers, and which files are read at all
- ``records``: records of microscopes as layers, with scale, unit and what the file says
- ``writer``: layers as MRC or CXI
- ``sample``: the bundled records, and particles simulated on demand, as layers
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "reader": ["get_reader", "read_layers"],
        "sample": ["boundary_records", "platelet_image", "platelet_records", "wurtzite_records"],
        "writer": ["NotSavedError", "write_image_mrc", "write_layers_cxi"],
    },
)
