"""Records of a particle that is known to the last atom, and results held against it.

- ``settings``: particle, microscope and faults as settings, and reading them
- ``faults``: what can be wrong with records, one switch each
- ``usual_faults``: what is always a little wrong, drawn from the seed
- ``particle``: the atoms of a particle
- ``records``: the two patterns and the image as they would be recorded, and what is known and true of them
- ``files``: a record set in a folder
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
        "faults": ["FaultSettings"],
        "files": ["write_records"],
        "records": ["RecordSet", "acquisition_of", "simulate"],
        "score": ["Scored", "score_result"],
        "settings": ["MicroscopeSettings", "ParticleSettings", "Simulation"],
    },
)
