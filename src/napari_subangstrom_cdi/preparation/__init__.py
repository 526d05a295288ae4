"""From files to a problem that phase retrieval can solve: read, subtract, centre, register, mask."""

from .clock import Clock
from .problem import Prepared, prepare

__all__ = ["Clock", "Prepared", "prepare"]
