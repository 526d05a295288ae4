"""From files to a problem that phase retrieval can solve: read, subtract, centre, register, mask."""

from .clock import Clock
from .crystal_calibration import calibrated_by_crystal
from .problem import Prepared, prepare

__all__ = ["Clock", "Prepared", "calibrated_by_crystal", "prepare"]
