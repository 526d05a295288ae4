"""What else can be wrong with records, one switch each: lenses, detector, sample, slips; nothing of it by default."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import with_config

from napari_subangstrom_cdi.parameters import Parameter, check

GapValue = Literal["0", "-1", "65535", "4294967295", "nan"]

_DIRECTION = {"unit": "°", "low": -360.0, "high": 360.0, "step": 5.0, "decimals": 1}


@with_config(extra="forbid")
@dataclass(frozen=True)
class FaultSettings:
    """Faults that real records have, beside the usual ones; none of them is told in ``acquisition.json``.

    Directions run from +x towards +y with y down: those of a pattern in its own axes, those of the image in the image's
    before it is mirrored.

    Parameters
    ----------
    ellipse_percent, ellipse_deg : float
        Both patterns are stretched along a direction and pressed across it, areas kept: by how much the long axis of a
        ring is longer than its short one.
    pixel_ratio_percent : float
        By how much a detector pixel is taller than it is wide.
    stop_arm_per_angstrom, stop_arm_deg, stop_shadow_px : float
        Width and direction of the arm that holds the beam stop, and the standard deviation of the edge of its shadow.
        The arm ends at the beam of the particle's pattern, as the stop's disc does, and stays for the background.
    gap_px, gap_value
        Width of a cross between detector modules, and what its pixels hold.
    gain_percent : float
        Scatter of the pixels' gain. It is corrected after the counts were cut at the ceiling, which smears the ceiling.
    film_angstrom : float
        Thickness of amorphous carbon under the particle: grain in the image, rings with speckle in the patterns.
    astigmatism_nm, astigmatism_deg : float
        Twofold astigmatism A1: the defocus is larger by it along its direction and smaller by it across.
    coma_nm, coma_deg : float
        Axial coma B2: W = B2 |w|³ cos(φ − φ_B2) of the angle w = λq.
    neighbour_angstrom, neighbour_deg, neighbour_turn_deg, neighbour_size
        Distance and direction of a second particle of the same settings in the image, by how much it is turned in
        the plane, and its size in the first one's. It is outside the beam of the pattern.
    drift_angstrom, drift_deg : float
        Way and direction of an even drift while the image was exposed.
    mirrored : bool
        Whether the image is reversed left to right.
    """

    ellipse_percent: Annotated[
        float,
        Parameter(
            "Ellipse",
            "By how much the long axis of a ring in the patterns is longer than the short one.",
            unit="%",
            low=0,
            high=50,
            step=0.5,
            decimals=2,
        ),
    ] = 0.0
    ellipse_deg: Annotated[float, Parameter("Ellipse along", "Direction of the long axis.", **_DIRECTION)] = 0.0
    pixel_ratio_percent: Annotated[
        float,
        Parameter(
            "Unequal pixels",
            "By how much a detector pixel is taller than it is wide.",
            unit="%",
            low=-50,
            high=100,
            step=0.5,
            decimals=2,
        ),
    ] = 0.0
    stop_arm_per_angstrom: Annotated[
        float,
        Parameter(
            "Beam stop's arm",
            "Width of an arm that ends at the beam; 0 for none.",
            unit="Å⁻¹",
            low=0,
            high=1,
            step=0.01,
            decimals=3,
        ),
    ] = 0.0
    stop_arm_deg: Annotated[float, Parameter("Arm towards", "Where the arm comes from.", **_DIRECTION)] = -90.0
    stop_shadow_px: Annotated[
        float,
        Parameter(
            "Stop's shadow",
            "Standard deviation of the edge of stop and arm.",
            unit="px",
            low=0,
            high=100,
            step=0.5,
            decimals=1,
        ),
    ] = 0.0
    gap_px: Annotated[
        int,
        Parameter("Module gap", "Width of a cross between detector modules; 0 for none.", unit="px", low=0, high=64),
    ] = 0
    gap_value: Annotated[GapValue, Parameter("Gaps hold", "What stands in the pixels of the cross.")] = "-1"
    gain_percent: Annotated[
        float,
        Parameter(
            "Gain reference",
            "Scatter of the pixels' gain, corrected after the ceiling has cut the counts.",
            unit="%",
            low=0,
            high=20,
            step=0.5,
            decimals=2,
        ),
    ] = 0.0
    film_angstrom: Annotated[
        float,
        Parameter(
            "Carbon film",
            "Thickness of amorphous carbon under the particle.",
            unit="Å",
            low=0,
            high=500,
            step=10,
            decimals=0,
        ),
    ] = 0.0
    astigmatism_nm: Annotated[
        float,
        Parameter(
            "Astigmatism A1", "Twofold astigmatism of the image.", unit="nm", low=0, high=1e4, step=1, decimals=1
        ),
    ] = 0.0
    astigmatism_deg: Annotated[float, Parameter("Astigmatism along", "Where the defocus is largest.", **_DIRECTION)] = (
        0.0
    )
    coma_nm: Annotated[
        float,
        Parameter("Coma B2", "Axial coma of the image.", unit="nm", low=0, high=1e6, step=100, decimals=0),
    ] = 0.0
    coma_deg: Annotated[float, Parameter("Coma along", "Direction of the coma.", **_DIRECTION)] = 0.0
    neighbour_angstrom: Annotated[
        float,
        Parameter(
            "Neighbour",
            "Distance of a second particle in the image; 0 for none.",
            unit="Å",
            low=0,
            high=2000,
            step=10,
            decimals=0,
        ),
    ] = 0.0
    neighbour_deg: Annotated[float, Parameter("Neighbour towards", "Where it is.", **_DIRECTION)] = 30.0
    neighbour_turn_deg: Annotated[
        float, Parameter("Neighbour turned", "In the plane, against the first particle.", **_DIRECTION)
    ] = 37.0
    neighbour_size: Annotated[
        float,
        Parameter("Neighbour's size", "In sizes of the first particle.", low=0.2, high=3, step=0.05, decimals=2),
    ] = 1.0
    drift_angstrom: Annotated[
        float,
        Parameter("Drift", "Way while the image was exposed.", unit="Å", low=0, high=100, step=0.1, decimals=2),
    ] = 0.0
    drift_deg: Annotated[float, Parameter("Drift along", "Its direction.", **_DIRECTION)] = 0.0
    mirrored: Annotated[bool, Parameter("Mirrored", "The image is reversed left to right.")] = False

    def __post_init__(self) -> None:
        check(self, "faults")

    def any(self) -> bool:
        """Whether a setting is not as usual."""
        return bool(self.given())

    def given(self) -> dict[str, Any]:
        """The settings that are not as usual."""
        usual = FaultSettings.__dataclass_fields__
        return {name: value for name, value in asdict(self).items() if value != usual[name].default}
