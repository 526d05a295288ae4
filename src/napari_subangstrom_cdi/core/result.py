"""What a job leaves: the result, and the files that went into it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_subangstrom_cdi.core.ensemble.metrics import RadialCurve

from .grid import Grid
from .types import Complex64, Float32


@dataclass(frozen=True)
class InputFile:
    """A file that went into a run, byte for byte."""

    role: str
    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Digest of the content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Result:
    """Everything that a run leaves. Arrays are centred, shape (n, n), unless said.

    Parameters
    ----------
    grid : Grid
        Sampling of the object and the pattern.
    calibrated : bool
        False if the grid's unit is the pixel because no calibration was given.
    object : ndarray of complex64
        Averaged object O (ψ = 1 + iO), σ_e V in radians for a weak phase object.
    deviation : ndarray of float32
        Standard deviation between the members kept.
    support : ndarray of bool
        Object support.
    regions : ndarray of uint8
        Codes of :class:`~napari_subangstrom_cdi.core.phasing.regions.Region`.
    pattern : ndarray of float32
        Prepared pattern, electrons.
    members : ndarray of complex64, shape (k, height, width)
        Aligned members.
    members_origin : (int, int)
        Row and column of the members' first pixel in the array.
    kept : tuple of bool
        Which members are in the average.
    r_history, free_r_history : ndarray of float32, shape (k, iterations)
        R-factors of each member.
    stage_ends : tuple of (str, int)
        Stages of the schedule and the iteration after the last of each.
    potential : ndarray of float32, optional
        Potential estimated from the image, σ_e V in radians.
    curves : mapping of str to RadialCurve
        ``prtf``, ``frc``, ``power_object``, ``power_image``; with a model ``omit`` and ``unaided``.
    metrics : mapping
        The numbers of the run, as ``--json`` prints them.
    recipe : str
        The plan as TOML.
    version : str
        Of this package.
    inputs : tuple of InputFile
        The raw files.
    complete : bool
        False if the run was stopped before its last member.
    omit_map : ndarray of complex64, optional
        Object of which nothing comes from a model at its own place; with the preset ``model``.
    """

    grid: Grid
    calibrated: bool
    object: Complex64
    deviation: Float32
    support: NDArray[np.bool_]
    regions: NDArray[np.uint8]
    pattern: Float32
    members: Complex64
    members_origin: tuple[int, int]
    kept: tuple[bool, ...]
    r_history: Float32
    free_r_history: Float32
    stage_ends: tuple[tuple[str, int], ...]
    potential: Float32 | None
    curves: Mapping[str, RadialCurve]
    metrics: Mapping[str, Any]
    recipe: str
    version: str
    inputs: tuple[InputFile, ...] = field(default=())
    complete: bool = True
    omit_map: Complex64 | None = None
