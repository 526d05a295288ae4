"""From files to a problem that phase retrieval can solve: read, subtract, centre, register, mask.

- ``steps``: the table of all steps, and ``prepare``, which walks it
- ``load``: first step: files read, counts turned into electrons, the image normalised
- ``record``: of that, the diffraction records: one without background, its beam and its calibration
- ``centre``: second step: beam found, background taken away, the pattern on its array
- ``geometry``: of that, the pattern's ellipse, measured and undone
- ``image``: third step: the TEM image laid onto the pattern, its contrast transfer inverted
- ``masks``: fourth step: support and regions, with them the problem, and which schedule phases it
- ``support``: the object support, found or given, and painted on
- ``amplitudes``: regions and limits of the amplitudes, whatever is set for them
- ``model``: the step of who knows the crystal: fitted, the object that members start from
- ``rebuild``: the model rebuilt from the image and from what the data make of it
- ``model_readings``: a fitted crystal in numbers, and what of it is to be doubted
- ``crystal_calibration``: the pattern's pixel from the spacings of a crystal
- ``clock``: the time of each step, and the file's name in its errors
"""

from .clock import Clock
from .crystal_calibration import calibrated_by_crystal
from .masks import Prepared
from .steps import Step, prepare

__all__ = ["Clock", "Prepared", "Step", "calibrated_by_crystal", "prepare"]
