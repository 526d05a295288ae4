"""Records of a particle that is known to the last atom, and results held against it.

- ``records``: particle and microscope as settings; the two patterns and the image as they would be recorded
- ``bundled``: the sample that comes with the package, as files
- ``score``: a result against the record set that it is of
- ``pattern_figure``: the calculated pattern as a picture: Fig. 1 of doi:10.1038/nphys1161
- ``truth_figure``: a result beside the object that it should be, as a picture
- ``sample``: folder of the bundled records: a CdS platelet, simulated
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "bundled": ["sample_folder", "sample_records"],
        "records": [
            "MicroscopeSettings",
            "ParticleSettings",
            "RecordSet",
            "Simulation",
            "acquisition_of",
            "simulate",
            "write_records",
        ],
        "score": ["Scored", "score_result"],
    },
)
