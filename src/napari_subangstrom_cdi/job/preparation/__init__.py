"""From files to a problem that phase retrieval can solve: read, subtract, centre, register, mask.

- ``problem``: the steps in order, and what each of them leaves
- ``record``: the diffraction records: one without background, its beam and its calibration
- ``image``: the TEM image: the potential on the pattern's grid
- ``model``: the crystal's name: the object that members start from
- ``crystal_calibration``: the pattern's pixel from the spacings of a crystal
- ``clock``: the time of each step, and the file's name in its errors
"""

from .clock import Clock
from .crystal_calibration import calibrated_by_crystal
from .problem import Prepared, prepare

__all__ = ["Clock", "Prepared", "calibrated_by_crystal", "prepare"]
