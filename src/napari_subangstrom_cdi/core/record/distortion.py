"""The shape of a pattern's pixel: what projector lenses and detectors do to circles, and its undoing.

A place (y, x) in raw pixels from the beam is brought onto q by ``q = Δq D (y, x)``. D is the inverse of the lens's
stretch, which is symmetric and keeps areas, times the detector's unequal pixels. Ellipses that follow one another add
up in their components ``ln(1 + ε) (cos 2θ, sin 2θ)``, to first order in ε.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.errors import InputError


def stretch_matrix(ellipse_percent: float, ellipse_deg: float, pixel_ratio_percent: float = 0.0) -> Float64:
    """What brings a place on the detector onto q, both from the beam as (y, x), shape (2, 2).

    Parameters
    ----------
    ellipse_percent, ellipse_deg : float
        By how much a ring's long axis is longer than its short one, and where it points, from +x towards +y with y
        down. Areas are kept, and nothing is turned: lenses stretch by √(1 + e) along and 1/√(1 + e) across.
    pixel_ratio_percent : float
        By how much a pixel is taller than wide; its width is the nominal pixel.
    """
    along = np.array([math.sin(math.radians(ellipse_deg)), math.cos(math.radians(ellipse_deg))])
    axis, root = np.outer(along, along), math.sqrt(1 + ellipse_percent / 100)
    stretch = root * axis + (np.eye(2) - axis) / root
    return np.asarray(np.linalg.inv(stretch) @ np.diag([1 + pixel_ratio_percent / 100, 1.0]), np.float64)


@dataclass(frozen=True)
class Distortion:
    """How a recorded pattern is distorted.

    Parameters
    ----------
    ellipse_percent : float
        By how much the long axis of a ring is longer than its short one.
    ellipse_deg : float
        Where the long axis points, from +x towards +y with y down.
    pixel_ratio_percent : float
        By how much a pixel is taller than wide; its width is the pattern's nominal pixel.

    Raises
    ------
    InputError
        If a number is not finite, or a ratio of axes or sides not positive.
    """

    ellipse_percent: float = 0.0
    ellipse_deg: float = 0.0
    pixel_ratio_percent: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.ellipse_percent, self.ellipse_deg, self.pixel_ratio_percent))):
            raise InputError("a distortion that is not finite", mend="give percents and degrees")
        if min(self.ellipse_percent, self.pixel_ratio_percent) <= -100:
            raise InputError("a distortion of -100 % or less", mend="give by how much one side is longer, in percent")

    @classmethod
    def of_components(cls, components: Float64, pixel_ratio_percent: float = 0.0) -> Distortion:
        """From ``ln(1 + ε) (cos 2θ, sin 2θ)``, shape (2,)."""
        u, v = (float(value) for value in components)
        percent = 100 * math.expm1(math.hypot(u, v))
        return cls(percent, math.degrees(math.atan2(v, u)) / 2 % 180, pixel_ratio_percent)

    @property
    def is_none(self) -> bool:
        """Whether a circle is recorded as a circle."""
        return self.ellipse_percent == 0 and self.pixel_ratio_percent == 0

    @property
    def components(self) -> Float64:
        """The ellipse as ``ln(1 + ε) (cos 2θ, sin 2θ)``, shape (2,)."""
        length, angle = math.log1p(self.ellipse_percent / 100), 2 * math.radians(self.ellipse_deg)
        return length * np.array([math.cos(angle), math.sin(angle)])

    @property
    def matrix(self) -> Float64:
        """D, from places (y, x) on the detector to those of a detector that distorts nothing, shape (2, 2)."""
        return stretch_matrix(self.ellipse_percent, self.ellipse_deg, self.pixel_ratio_percent)

    def reach(self, shape: tuple[int, int]) -> int:
        """Side in undistorted pixels of the square that holds a record of this shape; unequal pixels alone count."""
        return max(math.ceil(shape[0] * (1 + self.pixel_ratio_percent / 100)), shape[1])


def components_of(stretch: Float64) -> Float64:
    """Components of the ellipse that a linear map makes of a circle, what it turns and enlarges left out, shape (2,).

    Parameters
    ----------
    stretch : ndarray, shape (2, 2)
        From places (y, x) without distortion to the recorded ones.
    """
    metric = stretch @ stretch.T
    value, vector = np.linalg.eigh(metric)
    length = 0.5 * math.log(value[1] / value[0])
    y, x = vector[:, 1]
    angle = 2 * math.atan2(y, x)
    return length * np.array([math.cos(angle), math.sin(angle)])


@dataclass(frozen=True)
class MeasuredEllipse:
    """An ellipse with its errors.

    Parameters
    ----------
    components : ndarray, shape (2,)
        ``ln(1 + ε) (cos 2θ, sin 2θ)`` of a ring's axes.
    covariance : ndarray, shape (2, 2)
        Theirs.
    source : str
        What it was measured by, in words.
    """

    components: Float64
    covariance: Float64
    source: str

    @property
    def percent(self) -> float:
        """By how much the long axis is longer than the short one."""
        return 100 * math.expm1(float(np.hypot(*self.components)))

    @property
    def error_percent(self) -> float:
        """Standard error of that."""
        length = float(np.hypot(*self.components))
        if length == 0:
            return 100 * math.sqrt(float(np.trace(self.covariance)) / 2)
        along = self.components / length
        return 100 * math.exp(length) * math.sqrt(max(float(along @ self.covariance @ along), 0.0))

    @property
    def largest_error_percent(self) -> float:
        """Standard error in the direction in which least is known."""
        return 100 * math.sqrt(float(np.linalg.eigvalsh(self.covariance)[-1]))

    @property
    def deg(self) -> float:
        """Where the long axis points, 0 to 180."""
        return math.degrees(math.atan2(self.components[1], self.components[0])) / 2 % 180

    def deviates(self, other: Float64 | None = None) -> float:
        """Distance from other components, or from none, in standard errors."""
        away = self.components if other is None else self.components - other
        return math.sqrt(max(float(away @ np.linalg.solve(self.covariance, away)), 0.0))


def combined(first: MeasuredEllipse, second: MeasuredEllipse) -> MeasuredEllipse:
    """Both measurements of one ellipse, weighted by what they are good for."""
    weights = [np.linalg.inv(one.covariance) for one in (first, second)]
    covariance = np.linalg.inv(weights[0] + weights[1])
    components = covariance @ (weights[0] @ first.components + weights[1] @ second.components)
    return MeasuredEllipse(components, covariance, f"{first.source} and {second.source}")
