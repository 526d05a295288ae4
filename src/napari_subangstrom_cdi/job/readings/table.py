"""The table of all readings, and of the curves that go with them.

To add a reading, put it among the metrics where it is computed and describe it here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_subangstrom_cdi.io.acquisition import Acquisition, keys_by_field
from napari_subangstrom_cdi.parameters import declared

from . import doubts
from .reading import NONE, Doubt, Metrics, Place, Reading, text

_ALL_OF_A_RUN: tuple[Place, ...] = ("summary", "report", "Results", "Phase", "R-factor")
_CHECKED: tuple[Place, ...] = ("report", "Results")
_RESULT = (
    Reading(
        "r_factor",
        "R",
        "Misfit of the amplitudes inside G, Σ||F| − √I| / Σ√I: of the averaged object; during a run of the estimate "
        "demanded to obey the support.",
        symbol="R",
        unit="%",
        kind="percent",
        spec=".1f",
        shown=_ALL_OF_A_RUN,
        always=True,
    ),
    Reading(
        "member_r_factor",
        "R of a member",
        "The same of a single member at its end; median of the members kept.",
        unit="%",
        kind="percent",
        spec=".1f",
        shown=("report",),
    ),
    Reading(
        "constrained_r_factor",
        "R, constrained",
        "R of a member at the end of the last stage that demanded more than the support; median of the members kept.",
        unit="%",
        kind="percent",
        spec=".1f",
    ),
    Reading(
        "free_r",
        "free R",
        "R of the pixels of G that a member was not shown; median of the members kept.",
        symbol="R_free",
        unit="%",
        kind="percent",
        spec=".1f",
        shown=_ALL_OF_A_RUN,
        always=True,
    ),
    Reading(
        "image_agreement",
        "image agreement",
        "Correlation of the object with the image in the image's band, 0 to 1; 1 is full agreement. Median of the "
        "members kept.",
        short="image",
        shown=_ALL_OF_A_RUN,
        doubt=Doubt(doubts.hardly_agrees, f"below {doubts.LEAST_AGREEMENT:g}"),
    ),
    Reading(
        "imaginary_over_real",
        "imaginary / real",
        "Root mean square of the imaginary part over that of the real part inside the support, the global phase taken "
        "out: 0 is a real object.",
        shown=("report",),
    ),
    Reading(
        "resolution_angstrom",
        "members agree to",
        "Where the PRTF (phase retrieval transfer function) over G falls below 1/e: reproducible phases, no proof that "
        "they are right.",
        unit="Å",
        symbol="d",
        spec=".2f",
        shown=("summary", "report", "Results"),
        phrase="{caption} {text} (PRTF > 1/e)",
        alone="unknown with one member",
    ),
    Reading(
        "resolution_px",
        "members agree to",
        "The same of a pattern without a calibration.",
        unit="px",
        symbol="d",
        spec=".1f",
        shown=("report", "Results"),
    ),
    Reading(
        "frc_resolution_angstrom",
        "halves agree to",
        "Where the ring correlation of two halves of the ensemble (FRC) falls below 0.5.",
        unit="Å",
        symbol="d",
        spec=".2f",
        shown=("report", "Results"),
    ),
)
_CHECKS = (
    Reading(
        "guard.omit_correlations",
        "omit test",
        "Sixths of the model are left out in turn: correlation of what the data bring back there with the result, "
        "lowest and highest of the six. Where it is low, what is seen there is the model's.",
        kind="range",
        shown=_CHECKED,
        doubt=Doubt(doubts.hardly_brought_back, f"below {doubts.LEAST_BROUGHT_BACK:g}"),
    ),
    Reading(
        "guard.data_alone_angstrom",
        "from the data alone to",
        "Where the ring correlation of the omit map with the result falls below 0.5: so far the data show "
        "by themselves what the result has.",
        unit="Å",
        symbol="d",
        spec=".2f",
        shown=("summary", *_CHECKED),
        phrase="to {text} from the data alone (omit test)",
    ),
    Reading(
        "guard.image_likeness",
        "image likeness",
        "Correlation of the image that the result makes, calculated with all interference of thick matter, with the "
        "one that was taken; 1 is full agreement.",
        shown=_CHECKED,
        doubt=Doubt(doubts.hardly_alike, f"below {doubts.LEAST_LIKENESS:g}"),
    ),
    Reading(
        "guard.without_model.image_likeness",
        "image likeness without model",
        "The same of the average of members that were phased without the model.",
        shown=_CHECKED,
    ),
    Reading(
        "guard.without_model.correlation",
        "without model, correlation",
        "Of the average of members that were phased without the model with the result, complex, 0 to 1.",
        shown=_CHECKED,
    ),
    Reading(
        "guard.without_model.agrees_to_angstrom",
        "without model, agrees to",
        "Where the ring correlation of that average with the result falls below 0.5.",
        unit="Å",
        symbol="d",
        spec=".2f",
        shown=_CHECKED,
    ),
    Reading(
        "guard.without_model.free_r_with_model",
        "free R with model",
        "Of the members that started from the model, all of them; median. It should not be worse than without.",
        unit="%",
        kind="percent",
        spec=".1f",
        shown=_CHECKED,
        doubt=Doubt(doubts.worse_with_model, "worse"),
    ),
    Reading(
        "guard.without_model.free_r",
        "free R without model",
        "Of the members that were phased without the model; median.",
        unit="%",
        kind="percent",
        spec=".1f",
        shown=_CHECKED,
    ),
    Reading("guard.without_model.members", "members without model", "How many were phased for that.", kind="count"),
    Reading("guard.data_alone_criterion", "criterion", "Of what the data alone show, in words.", kind="word"),
)
_RUN = (
    Reading(
        "members",
        "members averaged",
        "Those that disagree with the others are left out.",
        kind="members",
        shown=("summary", "report", "Results"),
        phrase="{text} {caption}",
        doubt=Doubt(doubts.stopped, "stopped"),
    ),
    Reading("members_kept", "members kept", "How many are in the average.", kind="count"),
    Reading("complete", "complete", "No, if the run was stopped before its last member.", kind="yes or no"),
    Reading("preset", "preset", "That the run was made with.", kind="word"),
    Reading(
        "member_correlation",
        "correlation of members",
        "Of each member with the one that agrees best with the others; median.",
    ),
    Reading(
        "origin_shift_px",
        "origin shift (y, x)",
        "How far the member that agrees best with the others was moved to put its origin in the middle.",
        unit="px",
        kind="pair",
        spec="+.2f",
    ),
    Reading("resolution_criterion", "criterion", "Of how far the members agree, in words.", kind="word"),
    Reading("frc_criterion", "criterion", "Of how far the halves agree, in words.", kind="word"),
    Reading(
        "seconds.total",
        "computing time",
        "Of all steps.",
        unit="s",
        symbol="t",
        spec=".0f",
        shown=("summary", "report", "Results"),
        phrase="{text}",
    ),
    Reading("seconds.*", "time of a step", "Of each step by its name.", unit="s", spec=".2f"),
    Reading("warnings", "warnings", "What the program doubts, in sentences; the Results dock shows them.", kind="list"),
)
_RECORDS = (
    Reading(
        "detector.offset_counts",
        "offset",
        "Counts of the detector without a beam.",
        unit="counts",
        spec=".2f",
        shown=("Data",),
    ),
    Reading(
        "detector.offset_estimated",
        "offset found",
        "Whether it was found in the record.",
        kind="yes or no",
        shown=("Data",),
    ),
    Reading(
        "detector.counts_per_electron",
        "counts per electron",
        "As stated, or as the record's noise tells.",
        spec=".3g",
    ),
    Reading(
        "detector.gain_by_noise",
        "gain by the noise",
        "Whether the counts per electron are those that the record's noise tells.",
        kind="yes or no",
    ),
    Reading(
        "detector.saturated_pixels",
        "saturated",
        "Pixels of the pattern; they go to M.",
        unit="px",
        kind="count",
        shown=("Data",),
    ),
    Reading(
        "detector.hot_pixels", "hot", "Pixels of the pattern; they go to M.", unit="px", kind="count", shown=("Data",)
    ),
    Reading(
        "detector.dead_pixels", "dead", "Pixels of the pattern; they go to M.", unit="px", kind="count", shown=("Data",)
    ),
    Reading(
        "detector.line_pixels",
        "in bad lines",
        "Pixels of rows and columns whose level is another than that of both sides; they go to M.",
        unit="px",
        kind="count",
        shown=("Data",),
    ),
    Reading(
        "detector.unmeasured_pixels",
        "not measured",
        "Pixels of the pattern that hold NaN, infinity or another value for what was not measured; they go to M.",
        unit="px",
        kind="count",
        shown=("Data",),
    ),
    Reading(
        "detector.masked_by_file_pixels",
        "masked by the files",
        "Pixels that the files themselves mark as not to be trusted, by a mask or by a value for what was not "
        "measured; they go to M.",
        unit="px",
        kind="count",
    ),
    Reading(
        "frames.pattern",
        "frames of the pattern",
        "Exposures that it is the sum of, by the camera and here.",
        kind="count",
    ),
    Reading("frames.background", "frames of the background", "The same of the background's record.", kind="count"),
    Reading(
        "beam_centre_px",
        "beam centre (y, x)",
        "From the middle of the raw pattern.",
        unit="px",
        kind="pair",
        spec="+.2f",
        shown=("report", "Background"),
    ),
    Reading("beam_centre_error_px", "error (y, x)", "Of the beam centre.", unit="px", kind="pair", spec=".3f"),
    Reading(
        "beam_stop_pixels",
        "under a beam stop",
        "Pixels of the pattern that a beam stop was found to shade, with its arm and penumbra; they go to M.",
        unit="px",
        kind="count",
        shown=("Background",),
    ),
    Reading(
        "geometry.percent",
        "ellipse",
        "Of a ring in the recorded pattern: long over short axis, minus 1, as stated or measured.",
        unit="%",
        spec=".2f",
        most=3,
        error="geometry.error_percent",
        shown=("report", "Results", "Background"),
    ),
    Reading("geometry.error_percent", "error", "Of the ellipse, if it was measured.", unit="%", spec=".3f"),
    Reading(
        "geometry.deg",
        "ellipse along",
        "Direction of its long axis, from +x towards +y with y down.",
        unit="°",
        symbol="θ",
        spec=".1f",
        shown=("report", "Background"),
    ),
    Reading("geometry.source", "ellipse by", "What told the ellipse.", kind="word", shown=("Background",)),
    Reading(
        "geometry.undone",
        "ellipse undone",
        "Whether the pattern was laid onto its array without it; within its errors of none it is left.",
        kind="yes or no",
        shown=("report", "Background"),
    ),
    Reading(
        "geometry.pixel_ratio_percent",
        "unequal pixels",
        "By how much the pattern's pixels are taller than wide, which is undone.",
        unit="%",
        spec=".2f",
    ),
    Reading("background.kind", "background", "A record, a fit, or none.", kind="word"),
    Reading(
        "background.ellipticity",
        "ellipticity",
        "Of the rings fitted as background: long over short axis, minus 1.",
        shown=("Background",),
    ),
    Reading(
        "background.shift_px",
        "background shift (y, x)",
        "Beam in the background record minus beam in the pattern.",
        unit="px",
        kind="pair",
        spec="+.2f",
        shown=("Background",),
    ),
    Reading(
        "background.shift_error_px", "error", "Of the background's shift.", unit="px", shown=("Background",), spec=".2f"
    ),
    Reading(
        "background.rotation_deg",
        "background rotation",
        "About the beam.",
        unit="°",
        shown=("Background",),
        spec="+.3f",
    ),
    Reading("background.rotation_error_deg", "error", "Of the background's rotation.", unit="°", shown=("Background",)),
    Reading(
        "background.scale", "background scale", "By which the record is multiplied.", spec=".4f", shown=("Background",)
    ),
    Reading("background.scale_error", "error", "Of the background's scale.", spec=".4f", shown=("Background",)),
    Reading(
        "background.correlation_before",
        "correlation before",
        "Of what both records share, as recorded.",
        shown=("Background",),
        spec=".2f",
    ),
    Reading(
        "background.correlation_after",
        "correlation after",
        "The same once the background is aligned.",
        shown=("Background",),
        spec=".2f",
    ),
    Reading(
        "background.residual_sigmas",
        "residual",
        "Root mean square of pattern minus background over its noise, where the particle scatters least; 1 is noise "
        "alone.",
        unit="",
        spec=".2f",
        shown=("Background",),
    ),
)
_ALIGNMENT = (
    Reading(
        "registration.rotation_deg",
        "rotation φ",
        "From the image's axes to the pattern's, clockwise on the screen.",
        unit="°",
        symbol="φ",
        spec=".4f",
        most=6,
        error="registration.rotation_error_deg",
        shown=("report", "Align image"),
    ),
    Reading("registration.rotation_error_deg", "error", "Of the rotation.", unit="°", spec=".4f"),
    Reading(
        "registration.image_pixel_angstrom",
        "image pixel",
        "As it follows from the pattern's calibration.",
        unit="Å",
        spec=".4f",
        most=6,
        error="registration.image_pixel_error_angstrom",
        shown=("report", "Align image"),
    ),
    Reading("registration.image_pixel_error_angstrom", "error", "Of the image pixel.", unit="Å", spec=".6f"),
    Reading(
        "registration.mirrored",
        "mirrored",
        "Whether the image's x axis is reversed.",
        kind="yes or no",
        shown=("Align image",),
    ),
    Reading(
        "registration.correlation",
        "correlation",
        "Of the shapes of the reflections that both have, 0 to 1; 1 is full agreement.",
        spec=".4f",
        shown=("Align image",),
    ),
    Reading(
        "registration.reflections",
        "reflections",
        "That image and pattern have in common, Friedel pairs counted once.",
        kind="count",
        shown=("Align image",),
    ),
    Reading(
        "registration.object_phase_deg",
        "object phase",
        "Mean phase of the object for which the contrast transfer explains the image.",
        unit="°",
        symbol="θ",
        spec=".1f",
        shown=("Align image",),
    ),
    Reading(
        "registration.defocus_nm",
        "defocus",
        "For which the contrast transfer explains the image; negative is underfocus.",
        unit="nm",
        spec=".1f",
        shown=("Align image",),
    ),
    Reading(
        "registration.particle_px",
        "particle",
        "Where the particle is in the image, y and x of its middle from the first pixel.",
        unit="px",
        kind="list",
    ),
    Reading(
        "registration.particles",
        "particles",
        "Areas of the image that may be the particle; the one that fits the pattern is taken.",
        kind="count",
    ),
    Reading(
        "registration.candidates",
        "other candidates",
        "Other ways to lay the image onto the pattern, best first: rotation_deg, image_pixel_angstrom, mirrored, "
        "correlation.",
        kind="list",
    ),
)
_MASKS = (
    Reading(
        "oversampling_ratio",
        "oversampling",
        "Oversampling ratio: pixels of the array for each pixel of the support. Below 2 the pattern does not determine "
        "the phases.",
        spec=".2f",
        shown=("report", "Masks"),
        doubt=Doubt(doubts.hardly_oversampled, f"below {doubts.LEAST_OVERSAMPLING:g}"),
    ),
    Reading("support_threshold", "threshold", "Of the support, as a fraction of the smoothed potential's highest."),
    Reading(
        "regions.G",
        "G",
        "Signal: share of the pixels recorded above the noise; green in the reciprocal canvas.",
        unit="%",
        kind="percent",
        spec=".2f",
        shown=("report", "Masks"),
    ),
    Reading(
        "regions.B",
        "B",
        "Noise: share of the pixels recorded, but not above the noise; blue.",
        unit="%",
        kind="percent",
        spec=".2f",
        shown=("report", "Masks"),
    ),
    Reading(
        "regions.M",
        "M",
        "Missing: share of the pixels not recorded or not trusted; red.",
        unit="%",
        kind="percent",
        spec=".2f",
        shown=("report", "Masks"),
    ),
    Reading(
        "median_noise_electrons",
        "median σ",
        "Median standard deviation of the background intensity, electrons.",
        unit="e⁻",
        symbol="σ",
        spec=".3g",
        shown=("Masks",),
    ),
    Reading("amplitude_scale", "amplitude scale", "Factor from √electrons to the object's transform.", spec=".4g"),
    Reading("array_size", "array size", "Rows and columns of pattern and object.", unit="px", kind="count"),
    Reading("binning", "binning", "Of the pattern's pixels.", kind="count"),
    Reading("calibration", "calibration", "What the reciprocal pixel comes from.", kind="word"),
    Reading(
        "reciprocal_pixel_per_angstrom",
        "reciprocal pixel",
        "Of the raw pattern.",
        unit="Å⁻¹",
        spec=".6f",
        shown=("Data",),
    ),
    Reading(
        "reciprocal_pixel_error_per_angstrom", "error", "Of the reciprocal pixel, if known.", unit="Å⁻¹", spec=".2g"
    ),
    Reading("wavelength_angstrom", "wavelength", "Of the electrons.", unit="Å", symbol="λ", spec=".5f"),
    Reading(
        "interaction_constant_rad_per_volt_angstrom",
        "interaction constant",
        "By which the object is divided for volts times ångström.",
        unit="rad/(V Å)",
        symbol="σ_e",
        spec=".4g",
    ),
    Reading("field_of_view_angstrom", "field of view", "Of the object's array.", unit="Å", spec=".1f"),
)
_SHAPES = ((0.0, "prism"), (0.25, "rounded"), (0.5, "ellipsoid"))
_MODEL = (
    Reading("model.crystal", "crystal", "Its name.", kind="word"),
    Reading(
        "model.zone",
        "zone found",
        "Against the beam, towards the source: which of [uvw] and its opposite.",
        symbol="[uvw]",
        kind="indices",
        shown=("Model",),
    ),
    Reading(
        "model.tilt_deg",
        "tilt x, y",
        "Rotation about x and y that takes the zone axis out of the beam, and its error.",
        unit="°",
        kind="pair",
        spec=".2f",
        error="model.tilt_error_deg",
        shown=("Model",),
    ),
    Reading("model.tilt_error_deg", "error", "Of the tilt.", unit="°", spec=".2f"),
    Reading(
        "model.azimuth_deg",
        "azimuth",
        "Of the zone's shortest reciprocal lattice vector, extinct or not, clockwise on the screen.",
        unit="°",
        spec=".2f",
        shown=("Model",),
    ),
    Reading(
        "model.thickness_angstrom",
        "thickness",
        "Where the particle is thickest.",
        unit="Å",
        symbol="t",
        spec=".1f",
        error="model.thickness_error_angstrom",
        shown=("Model",),
    ),
    Reading("model.thickness_error_angstrom", "error", "Of the thickness.", unit="Å", spec=".1f"),
    Reading(
        "model.roundness",
        "roundness",
        "0 to 0.75. 0: a prism, its outline extruded; 0.5: an ellipsoid.",
        spec="g",
        words=_SHAPES,
        shown=("Model",),
    ),
    Reading(
        "model.lattice_scale",
        "spacings",
        "Against those of the crystal as it is tabled, by the calibration of the pattern.",
        unit="%",
        kind="change",
        spec="+.2f",
        shown=("Model",),
    ),
    Reading(
        "model.pattern_explained",
        "on reflections",
        "Share of the spots' intensity that lies on reflections of the zone.",
        unit="%",
        kind="percent",
        spec=".0f",
        shown=("Model",),
    ),
    Reading(
        "model.r_reflections",
        "R, reflections",
        "Of their integrated amplitudes, by Bloch waves.",
        unit="%",
        kind="percent",
        spec=".1f",
        shown=("Model",),
    ),
    Reading(
        "model.r_pattern",
        "R, pattern",
        "Of the whole pattern, by multislice, before any phasing.",
        unit="%",
        kind="percent",
        spec=".1f",
        shown=("Model",),
    ),
    Reading(
        "model.image_correlation",
        "image",
        "Correlation of the model's lattice fringes with those of the image, 0 to 1; 1 is full agreement.",
        shown=("Model",),
    ),
    Reading(
        "model.boundary.shift_angstrom",
        "boundary",
        "Shift of the lattice beyond a boundary, if the reconstruction from the model has one.",
        unit="Å",
        kind="length",
        spec=".2f",
        error="model.boundary.shift_error_angstrom",
        shown=("Model",),
    ),
    Reading("model.boundary.shift_error_angstrom", "error", "Of the boundary's shift.", unit="Å", spec=".2f"),
    Reading(
        "model.boundary.normal_deg",
        "normal",
        "Of the boundary, from +x towards +y.",
        unit="°",
        spec=".1f",
    ),
    Reading(
        "model.boundary.position_angstrom",
        "position",
        "Of the boundary along its normal.",
        unit="Å",
        spec=".2f",
    ),
    Reading(
        "model.boundary.equivalent_lengths_angstrom",
        "equivalents",
        "Lengths of shifts that no reflection tells from it.",
        unit="Å",
        kind="range",
        spec=".2f",
    ),
    Reading("model.strain", "strain", "ε_xx, ε_yy and ε_xy of the lattice.", kind="range", spec=".5f"),
    Reading("model.strain_error", "error", "Of the strain.", spec=".5f"),
    Reading("model.falloff_angstrom2", "fall-off", "b of exp(−b q²/4) of the amplitudes.", unit="Å²", spec=".2f"),
    Reading("model.inset_angstrom", "inset", "Of the particle's edge in the outline.", unit="Å", spec=".1f"),
    Reading(
        "model.offset_angstrom",
        "lattice x, y",
        "Of its origin, from the middle of the array.",
        unit="Å",
        kind="pair",
        spec=".2f",
    ),
    Reading("model.height_angstrom", "height", "Of that origin along the column.", unit="Å", spec=".2f"),
    Reading("model.atoms", "atoms", "Of the particle.", kind="count"),
    Reading(
        "model.r_rebuilt",
        "R, rebuilt",
        "Before phasing, of the pattern, each time that the model was rebuilt by the data.",
        kind="range",
    ),
    Reading(
        "model.rivals",
        "other orientations",
        "Next best first: zone, azimuth_deg, r_reflections.",
        kind="list",
    ),
    Reading(
        "model.zones",
        "zone axes by the spots",
        "Best first: zone, score, lattice_scale, explained, present, misfit, and the ellipse that makes the zone's "
        "lattice the pattern's: ellipse (ratio of axes), ellipse_error, ellipse_deg (long axis from +x towards +y).",
        kind="list",
    ),
    Reading("model.polymorph", "other crystal", "Of the same elements that fits best, if one does.", kind="list"),
    Reading("model.polymorph.crystal", "other crystal", "Its name.", kind="word"),
    Reading("model.polymorph.zone", "its zone", "Against the beam.", kind="indices"),
    Reading(
        "model.polymorph.r_reflections",
        "its R, reflections",
        "Of the integrated amplitudes.",
        unit="%",
        kind="percent",
        spec=".1f",
    ),
    Reading(
        "model.known_spacings",
        "known spacings",
        "Radius (px of the raw pattern) and spacing (Å) of the strongest spots.",
        kind="list",
    ),
    Reading("model.scattering_factors", "scattering factors", "Where they come from.", kind="word"),
)


def _of_the_acquisition() -> tuple[Reading, ...]:
    """What was known of the records, and who said it."""
    shown = declared(Acquisition)
    units = {"energy_ev": "eV"}
    values = tuple(
        Reading(
            f"acquisition.{keys.own.name}",
            shown[name].parameter.caption,
            "As it was used, stated by the user or by a file.",
            unit=units.get(name, shown[name].parameter.unit),
            spec=".6g",
        )
        for name, keys in keys_by_field().items()
    )
    return (
        *values,
        Reading(
            "acquisition.beam_centre_px", "beam hint (y, x)", "As it was used.", unit="px", kind="pair", spec="+.2f"
        ),
        Reading(
            "acquisition_from.*",
            "source of a value",
            "Who said each of these: the acquisition, or a file, with the place in its header.",
            kind="word",
        ),
    )


SECTIONS: dict[str, tuple[Reading, ...]] = {
    "The result": _RESULT,
    "What the data say without the model": _CHECKS,
    "The run": _RUN,
    "What was known of the records": _of_the_acquisition(),
    "Records": _RECORDS,
    "Alignment of the image": _ALIGNMENT,
    "Masks and sampling": _MASKS,
    "The model": _MODEL,
}
"""The table by what it is about, in the order in which it is shown."""

READINGS: dict[str, Reading] = {reading.key: reading for section in SECTIONS.values() for reading in section}
"""Every number that the metrics of a result can hold, by its key."""

LIVE: dict[str, Reading] = {
    reading.key: reading
    for reading in (
        Reading("member", "member", "Member of the ensemble, and how many there are.", shown=("Phase", "R-factor")),
        Reading("stage", "stage", "Stage of the schedule.", kind="word", shown=("Phase", "R-factor")),
        Reading(
            "iteration", "iteration", "Iteration of this member, and how many it has.", shown=("Phase", "R-factor")
        ),
        Reading(
            "seconds_left",
            "time left",
            "Until the last member has finished, at the present rate.",
            unit="s, m, h",
            shown=("Phase", "R-factor"),
        ),
        Reading("iterations_per_second", "it./s", "Iterations per second.", unit="1/s", shown=("Phase", "R-factor")),
        Reading("support_area_nm2", "area", "Of the support as it is shown.", "nm²", spec=".1f", shown=("Masks",)),
        Reading(
            "support_extent_nm",
            "extent",
            "Largest: distance of the two points of the support that are furthest apart.",
            "nm",
            spec=".2f",
            shown=("Masks",),
        ),
    )
}
"""Numbers of the moment, that no result keeps."""


@dataclass(frozen=True)
class CurveReading:
    """What a person needs to know of a curve against q.

    Parameters
    ----------
    key : str
        Its name among the curves of a result.
    caption : str
        In legends.
    meaning : str
        In a sentence.
    limit : float
        Up to where it falls below this, it counts.
    limit_text : str
        The same as it is written.
    """

    key: str
    caption: str
    meaning: str
    limit: float
    limit_text: str


CURVES: dict[str, CurveReading] = {
    curve.key: curve
    for curve in (
        CurveReading(
            "prtf", "PRTF", "Phase retrieval transfer function over G: whether members agree.", 1 / math.e, "1/e"
        ),
        CurveReading("frc", "FRC", "Ring correlation of two halves of the ensemble.", 0.5, "0.5"),
        CurveReading(
            "omit",
            "omit map",
            "Ring correlation of the omit map with the result: what the data show of the parts of the model that were "
            "left out.",
            0.5,
            "0.5",
        ),
        CurveReading(
            "unaided",
            "without model",
            "Ring correlation of the average of members that were phased without the model with the result.",
            0.5,
            "0.5",
        ),
    )
}
"""The curves that say how far a result can be trusted, by their key."""


def shown_in(place: Place) -> tuple[Reading, ...]:
    """Readings of results that are shown in a place, in order."""
    return tuple(reading for reading in READINGS.values() if place in reading.shown)


def summary(metrics: Metrics) -> str:
    """One line for a person."""
    said = (_said(reading, metrics) for reading in shown_in("summary"))
    return ", ".join(part for part in said if part)


def _said(reading: Reading, metrics: Metrics) -> str:
    found = text(reading, metrics)
    if found == NONE and not reading.always:
        return ""
    if found == reading.alone:
        return f"reproducibility {found}"
    return reading.phrase.format(caption=reading.caption, text=found)
