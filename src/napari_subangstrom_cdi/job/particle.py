"""Which particle of the image the pattern is of, and what a slip of the pen has to do with it."""

from __future__ import annotations

import math

from napari_subangstrom_cdi.core.image.geometry import ImageRegistration, wrap_deg
from napari_subangstrom_cdi.core.image.normalisation import NormalisedImage, check_border
from napari_subangstrom_cdi.core.image.pair import Pair
from napari_subangstrom_cdi.core.image.slips import Fit, Slip, Stated, best_of, explained_by
from napari_subangstrom_cdi.errors import InputError, Remedy, doubt

from .plan import Plan

_NEAR = 0.5  # of a particle's diameter, from its outline, that a point may lie
_RIVAL = 0.02  # of correlation, within which two explanations are as good
_SAME_TURN_DEG = 2.0
_RIVAL_SHARE = 0.8  # of the best correlation of the whole spectra


def likely_particle(plan: Plan, particles: tuple[NormalisedImage, ...]) -> NormalisedImage:
    """The particle at the place that the plan names, or the most active one.

    Raises
    ------
    InputError
        If there is none at that place.
    """
    place = plan.image.particle_px
    return particles[0] if place is None else particle_at(place, particles)


def particle_at(place: tuple[float, float], particles: tuple[NormalisedImage, ...]) -> NormalisedImage:
    """The particle at a place, (y, x) in pixels of the file.

    Raises
    ------
    InputError
        If there is none.
    """
    binning = particles[0].binning
    distances = [_distance((place[0] / binning, place[1] / binning), each) for each in particles]
    nearest = min(range(len(particles)), key=lambda i: distances[i])
    if distances[nearest] > _NEAR * particles[nearest].diameter_px:
        raise InputError(
            f"no particle is found at y = {place[0]:g}, x = {place[1]:g}; there "
            + ("is one" if len(particles) == 1 else f"are {len(particles)}")
            + f" at (y, x) {_places(particles)}",
            where="image.particle_px",
            mend="give a point on one of them (--particle Y,X, or Point at it in Align), or nothing to have it chosen",
        )
    return particles[nearest]


def choice_in_words(particles: tuple[NormalisedImage, ...], chosen: NormalisedImage) -> str:
    """Which of the particles in the image is taken, and where the others are."""
    others = tuple(each for each in particles if each is not chosen)
    y, x = place_of(chosen)
    said = f"the particle about (y, x) ({y:.0f}, {x:.0f}) px of the image"
    if not others:
        return said
    return f"{said}; not {'that' if len(others) == 1 else 'those'} at {_places(others)}"


def chosen_fit(
    plan: Plan, pairs: tuple[Pair, ...], nominal_pixel: float
) -> tuple[NormalisedImage, ImageRegistration, bool]:
    """The particle that fits the pattern and how it lies; and whether it lies as stated.

    Raises
    ------
    InputError
        If image and pattern cannot be compared, or would fit by one of several slips that only the user can tell apart.

    Warns
    -----
    QualityWarning
        If the particle was chosen among several, reaches the border, a slip was taken to be one, or no rotation is
        stated.
    """
    stated = Stated(nominal_pixel, plan.acquisition.image_to_pattern_rotation_deg, plan.image.mirrored)
    particles = tuple(pair.image for pair in pairs)
    if plan.image.particle_px is not None:
        told = likely_particle(plan, particles)
        pairs = tuple(pair for pair in pairs if pair.image is told)
    plain = best_of(pairs, stated)
    chosen, slip = plain, None
    if not plain.fits:
        slips = explained_by(pairs, stated, plain)
        if slips:
            slip = _taken(slips, stated, plain, plan)
            chosen = slip.fit
    if chosen.registration is None:
        assert chosen.error is not None
        raise chosen.error
    for text in chosen.doubts:
        doubt(text)
    if len(pairs) > 1:
        _say_choice(chosen, particles)
    if len(particles) > 1:
        check_border(chosen.pair.image)
    if stated.rotation_deg is None:
        doubt(
            "no rotation of the image against the pattern is stated, and the spots leave half a turn open: the object "
            "may lie turned by 180° on the pattern, of which a thick crystal's phases suffer; "
            "image_to_pattern_rotation_deg in the acquisition tells"
        )
    if slip is None and not chosen.fits:
        _doubt_fit(chosen)
    if slip is not None:
        doubt(
            f"image and pattern do not fit as stated, and fit {_explanation(slip, stated)}: so it is taken to be; "
            f"say so yourself: {_mend(slip, stated)}",
            tuple(filter(None, (remedy_of(slip, stated, plan),))),
        )
    return chosen.pair.image, chosen.registration, slip is None


def _doubt_fit(fit: Fit) -> None:
    """The shapes of the common reflections differ, and no slip explains it."""
    found = fit.registration
    assert found is not None
    best = max((candidate.correlation for candidate in found.candidates), default=0.0)
    near = [candidate for candidate in found.candidates if candidate.correlation > _RIVAL_SHARE * best]
    others = [each for each in near if abs(wrap_deg(each.rotation_deg - found.rotation_deg, 180)) > _SAME_TURN_DEG]
    rivals = ", ".join(f"{each.rotation_deg:.1f}°" for each in others[:3])
    also = f"; other rotations that fit nearly as well: {rivals}" if rivals else ""
    doubt(
        f"the shapes of the reflections that image and pattern share, {found.n_reflections}, agree by "
        f"{found.correlation:.2f} only (1 is full, 0.95 usual): rotation and pixel of the image may be wrong, or the "
        f"image's lens is not as stated{also}; look at the spots of both in the Align dock, or state what is known "
        "(image_to_pattern_rotation_deg)"
    )


def _taken(slips: tuple[Slip, ...], stated: Stated, plain: Fit, plan: Plan) -> Slip:
    """The only explanation, or the question which of them is right."""
    named = [slip for slip in slips if slip.name != "rotation"] or list(slips)
    best = named[0]
    rivals = [slip for slip in named if slip.fit.correlation > best.fit.correlation - _RIVAL and not _alike(slip, best)]
    if not rivals and best.name not in ("binning", "rotation"):
        return best
    options = [best]
    for slip in rivals:
        if not any(_key(slip) == _key(other) for other in options):
            options.append(slip)
    reasons = ", or ".join(f"{_explanation(slip, stated)} ({slip.fit.correlation:.3f})" for slip in options)
    raise InputError(
        f"image and pattern do not fit as stated (agreement of their spots {plain.correlation:.2f} of 1), but fit "
        f"{reasons}",
        mend="say which it is: " + "; or ".join(_mend(slip, stated) for slip in options),
        remedies=tuple(remedy for slip in options if (remedy := remedy_of(slip, stated, plan)) is not None),
    )


def _key(slip: Slip) -> tuple[str, float, bool]:
    found = slip.fit.registration
    assert found is not None
    return slip.name, slip.factor, found.mirrored


def _alike(one: Slip, other: Slip) -> bool:
    a, b = one.fit.registration, other.fit.registration
    assert a is not None and b is not None
    turn = abs(wrap_deg(a.rotation_deg - b.rotation_deg, 180))
    return one.factor == other.factor and a.mirrored == b.mirrored and turn < _SAME_TURN_DEG


def _explanation(slip: Slip, stated: Stated) -> str:
    found = slip.fit.registration
    assert found is not None
    if slip.name == "mirrored":
        return "if the image is mirrored" if not stated.mirrored else "if the image is not mirrored"
    if slip.name == "axes":
        return "if the image's axes are exchanged"
    if slip.name == "sign":
        return "if the rotation has the other sign"
    if slip.name == "rotation":
        return f"at a rotation of {found.rotation_deg:.1f}°" + (" with the image mirrored" if found.mirrored else "")
    how = {2.0: "twice", 0.5: "half", 4.0: "four times"}[slip.factor]
    return f"if the pattern's pixel is {how} the stated one" + (", as after binning" if slip.factor > 1 else "")


def _mend(slip: Slip, stated: Stated) -> str:
    found = slip.fit.registration
    assert found is not None
    mirror = "--mirrored, or Mirrored in the Align dock"
    plain = "--mirrored no, or Mirrored in the Align dock"
    if slip.name == "mirrored":
        return plain if stated.mirrored else mirror
    if slip.name == "sign":
        return f"image_to_pattern_rotation_deg {-(stated.rotation_deg or 0.0):g}"
    if slip.name == "binning":
        return f"detector_pixel_um (or reciprocal_pixel_per_A) times {slip.factor:g}"
    rotation = slip.fit.stated.rotation_deg
    turned = f"image_to_pattern_rotation_deg {found.rotation_deg if rotation is None else rotation:.1f}"
    if found.mirrored == bool(stated.mirrored):
        return turned
    return f"{turned} with {mirror if found.mirrored else plain}"


def remedy_of(slip: Slip, stated: Stated, plan: Plan) -> Remedy | None:
    """The settings by which a slip is put right; None where the pattern's pixel comes from known spacings."""
    found = slip.fit.registration
    assert found is not None
    mirrored = (("image.mirrored", found.mirrored),)
    hand = "mirrored" if found.mirrored else "not mirrored"
    if slip.name == "mirrored":
        return Remedy(hand, mirrored)
    if slip.name == "binning":
        return _larger_pixel(slip.factor, plan)
    told = slip.fit.stated.rotation_deg
    rotation = round(found.rotation_deg, 1) if told is None else told
    turned = (("acquisition.image_to_pattern_rotation_deg", rotation),)
    said = f"rotation {rotation:g}°".replace("-", "−")
    if found.mirrored == bool(stated.mirrored):
        return Remedy(said, turned)
    return Remedy(f"axes exchanged: {said}, {hand}" if slip.name == "axes" else f"{said}, {hand}", turned + mirrored)


def _larger_pixel(factor: float, plan: Plan) -> Remedy | None:
    acquisition = plan.acquisition
    if plan.pattern.known_spacings:
        return None
    for name in ("reciprocal_pixel_per_angstrom", "detector_pixel_um"):
        stated = getattr(acquisition, name)
        if stated is not None:
            pixel = f"reciprocal pixel {stated * factor:.4g} Å⁻¹"
            if name == "detector_pixel_um":
                pixel = f"detector pixel {stated * factor:g} µm"
            return Remedy(pixel, ((f"acquisition.{name}", stated * factor),))
    return None


def _say_choice(fit: Fit, particles: tuple[NormalisedImage, ...]) -> None:
    y, x = place_of(fit.pair.image)
    why = "its spots fit the pattern" if fit.fits else "it is the most prominent one, and none fits the pattern"
    doubt(
        f"the image shows {len(particles)} areas that may be the particle, at (y, x) {_places(particles)} px; the one "
        f"at {y:.0f}, {x:.0f} is taken: {why}; --particle Y,X, or Point at it in the Align dock, names another"
    )


def _places(particles: tuple[NormalisedImage, ...]) -> str:
    return ", ".join("({:.0f}, {:.0f})".format(*place_of(each)) for each in particles)


def place_of(image: NormalisedImage) -> tuple[float, float]:
    """The particle's middle, (y, x) in pixels of the file."""
    half = (image.binning - 1) / 2
    return image.centre_px[0] * image.binning + half, image.centre_px[1] * image.binning + half


def _distance(place: tuple[float, float], image: NormalisedImage) -> float:
    """From a point to a particle's outline, pixels; 0 on it."""
    height, width = image.particle.shape
    y, x = round(place[0]), round(place[1])
    if 0 <= y < height and 0 <= x < width and image.particle[y, x]:
        return 0.0
    return math.hypot(place[0] - image.centre_px[0], place[1] - image.centre_px[1]) - image.diameter_px / 2
