"""Which particle of an image a pattern is of, and which slip of the pen would explain that none fits.

A registration's mean correlation of the shapes of common reflections tells right from wrong: it is above 0.95 for the
particle that the pattern is of, and below 0.8 for another one or for a mirror image, because every particle has a shape
transform of its own. So what may be wrong is tried, and judged by that number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.errors import InputError, collected_doubts

from .geometry import ImageRegistration, wrap_deg
from .pair import Pair
from .registration import FITS, register_image

_ROTATION_TOLERANCE_DEG = 6.0
_PIXEL_TOLERANCE = 0.05
_MISFIT_LEFT = 0.5
"""Of the plain reading's misfit, for a slip to explain it."""
_LEAST_REFLECTIONS = 2
_BINNINGS = (2.0, 0.5, 4.0)


@dataclass(frozen=True)
class Stated:
    """What is stated of how the image lies on the pattern.

    Parameters
    ----------
    image_pixel_angstrom : float
        Nominal pixel of the image, Å.
    rotation_deg : float or None
        Nominal rotation; None where it is not known.
    mirrored : bool or None
        Whether the image is a mirror image; None where it is not known.
    """

    image_pixel_angstrom: float
    rotation_deg: float | None
    mirrored: bool | None


@dataclass(frozen=True)
class Fit:
    """A registration that was tried.

    Parameters
    ----------
    pair : Pair
        Image and pattern.
    stated : Stated
        What was taken as stated.
    registration : ImageRegistration or None
        None where image and pattern had nothing to compare.
    doubts : tuple of str
        Said on the way.
    error : InputError or None
        Why there is no registration.
    """

    pair: Pair
    stated: Stated
    registration: ImageRegistration | None
    doubts: tuple[str, ...] = ()
    error: InputError | None = None

    @property
    def correlation(self) -> float:
        """Mean shape correlation, 0 without a registration or away from what is stated."""
        return self.registration.correlation if self.registration is not None and self.consistent else 0.0

    @property
    def consistent(self) -> bool:
        """Whether rotation and pixel found are near those stated."""
        found = self.registration
        if found is None:
            return False
        if abs(found.image_pixel_angstrom / self.stated.image_pixel_angstrom - 1) > 2 * _PIXEL_TOLERANCE:
            return False
        rotation = self.stated.rotation_deg
        return rotation is None or abs(wrap_deg(found.rotation_deg - rotation, 180)) <= _ROTATION_TOLERANCE_DEG

    @property
    def fits(self) -> bool:
        """Whether image and pattern can be taken to be of one particle."""
        return self.correlation >= FITS


@dataclass(frozen=True)
class Slip:
    """What would have to be otherwise for image and pattern to fit.

    Parameters
    ----------
    name : str
        ``mirrored``, ``axes``, ``sign``, ``rotation`` or ``binning``.
    fit : Fit
        With it.
    factor : float
        On the pattern's pixel, of a ``binning``.
    """

    name: str
    fit: Fit
    factor: float = 1.0


def attempt(pair: Pair, stated: Stated) -> Fit:
    """Register, keeping what is doubted and why it failed."""
    with collected_doubts() as doubts:
        try:
            found = register_image(
                pair,
                image_pixel_angstrom=stated.image_pixel_angstrom,
                rotation_deg=stated.rotation_deg,
                rotation_tolerance_deg=_ROTATION_TOLERANCE_DEG,
                pixel_tolerance=_PIXEL_TOLERANCE,
                mirrored=stated.mirrored,
            )
        except InputError as error:
            return Fit(pair, stated, None, tuple(doubts), error)
    return Fit(pair, stated, found, tuple(doubts))


def best_of(pairs: Iterable[Pair], stated: Stated) -> Fit:
    """The particle that fits best; where none fits, the first that can be compared at all.

    Parameters
    ----------
    pairs : iterable of Pair
        Each particle with the pattern, the most active first; at least one.
    stated : Stated
        How the image lies.
    """
    fits = [attempt(pair, stated) for pair in pairs]
    best = max(fits, key=lambda fit: fit.correlation)
    if best.fits or len(fits) == 1:
        return best
    return next((fit for fit in fits if fit.registration is not None), fits[0])


def explained_by(pairs: Iterable[Pair], stated: Stated, plain: Fit) -> tuple[Slip, ...]:
    """The usual slips that would make image and pattern fit, the best first; none where none does clearly.

    Tried are, for every particle: the image mirrored, the rotation in the other sense, the image's axes exchanged
    (a mirror and a quarter turn), any rotation with and without a mirror, and the pattern's pixel twice, half and
    four times as large. A pair of spectra is the same after half a turn: that stays open.

    Parameters
    ----------
    pairs : iterable of Pair
        Each particle with the pattern.
    stated : Stated
        How the image is stated to lie.
    plain : Fit
        What comes of that.
    """
    found = [
        slip
        for pair in pairs
        for slip in _tried(pair, stated)
        if slip.fit.fits
        and slip.fit.registration is not None
        and slip.fit.registration.n_reflections >= _LEAST_REFLECTIONS
        and 1 - slip.fit.correlation < _MISFIT_LEFT * (1 - plain.correlation)
    ]
    # A rotation that nobody stated explains more than it should: it comes last among equals.
    return tuple(sorted(found, key=lambda slip: (-round(slip.fit.correlation, 2), slip.name == "rotation")))


def _tried(pair: Pair, stated: Stated) -> Iterator[Slip]:
    rotation, mirrored = stated.rotation_deg, bool(stated.mirrored)
    if stated.mirrored is not None:
        yield Slip("mirrored", attempt(pair, replace(stated, mirrored=not mirrored)))
    if rotation is not None:
        if abs(wrap_deg(2 * rotation, 180)) > _ROTATION_TOLERANCE_DEG:
            yield Slip("sign", attempt(pair, replace(stated, rotation_deg=-rotation)))
        if stated.mirrored is not None:
            turned = wrap_deg(rotation + 90, 360)
            yield Slip("axes", attempt(pair, replace(stated, rotation_deg=turned, mirrored=not mirrored)))
        for either in (None,) if stated.mirrored is None else (mirrored, not mirrored):
            yield Slip("rotation", attempt(pair, replace(stated, rotation_deg=None, mirrored=either)))
    for factor in _BINNINGS:
        grid = Grid(pair.grid.n, pair.grid.field_of_view_angstrom / factor)
        yield Slip("binning", attempt(replace(pair, grid=grid), stated), factor)
