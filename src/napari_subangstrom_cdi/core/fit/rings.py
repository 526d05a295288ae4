"""The rings of a polycrystalline standard: beam, reciprocal pixel and ellipse of a pattern by a crystal's spacings.

Beam and ellipse are found first without the crystal: by the pattern's agreement with itself turned by 180°, then as
those about which its mean radial profile is sharpest. Then the rings are named, by the correlation of that profile with
the crystal's, and all is refined by least squares over the radii of the rings in sectors.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
import scipy.optimize
from numpy.typing import NDArray
from scipy import interpolate

from napari_subangstrom_cdi.core.crystal.scattering import structure_factors
from napari_subangstrom_cdi.core.crystal.unit_cell import Crystal
from napari_subangstrom_cdi.core.record.detector import Record
from napari_subangstrom_cdi.core.types import Bool, Float64
from napari_subangstrom_cdi.errors import InputError, doubt

_Q_MAX = 1.6
_SAME_RING = 0.004
_WEAK = 0.02  # of the strongest ring
_MOST_PIXELS = 512  # along a side, where the rings are looked for
_FINE, _COARSE = 1.0, 8.0  # px: rings are what lies between
_LEAST_OVERLAP = 0.2
_ELLIPSES = (-0.04, 0.0, 0.04)
_INNERMOST_PX = 8.0
_WIDTHS_PX = (1.5, 2.5, 4.0, 6.0)
_SCALE_STEP = 0.002
_NEAR = 0.15  # of a calibration that is told
_FEWEST_RINGS = 3
_ALIKE = 0.4  # correlation of the profile with the crystal's
_RIVAL, _APART = 0.92, 0.03
_SECTORS = 24
_ROUNDS = 4
_FEWEST_PIXELS = 12
_OUTLYING = 2.5
_NEAR_BEAM = 0.75  # of the innermost ring's radius
_KNOTS = 4  # of the slope under the rings, in a factor e of radius


@dataclass(frozen=True)
class Ring:
    """One ring of a standard.

    Parameters
    ----------
    hkl : (int, int, int)
        Indices of one of its reflections.
    q_per_angstrom : float
        Of the crystal.
    radius_px : float
        As measured, the geometric mean of both axes.
    """

    hkl: tuple[int, int, int]
    q_per_angstrom: float
    radius_px: float


@dataclass(frozen=True)
class RingCalibration:
    """A pattern calibrated by the rings of a standard.

    Parameters
    ----------
    centre_px, centre_error_px : tuple of float
        Beam, (y, x), in pixels of the record, and its standard error.
    q_pixel_per_angstrom, q_pixel_error_per_angstrom : float
        Reciprocal pixel, of the geometric mean of the ellipse's axes.
    form : tuple of float
        ln(ratio) · (cos 2φ, sin 2φ) of the rings' long axis at φ, from +x towards +y.
    form_error : float
        Standard error of each part.
    rings : tuple of Ring
        Those that were measured, from the innermost.
    correlation : float
        Of the radial profile with the crystal's, 0 to 1.
    """

    centre_px: tuple[float, float]
    centre_error_px: tuple[float, float]
    q_pixel_per_angstrom: float
    q_pixel_error_per_angstrom: float
    form: tuple[float, float]
    form_error: float
    rings: tuple[Ring, ...]
    correlation: float

    @property
    def ratio(self) -> float:
        """Long over short axis of the rings."""
        return math.exp(math.hypot(*self.form))

    @property
    def axis_deg(self) -> float:
        """Direction of the long axis, from +x towards +y, -90° to 90°."""
        return math.degrees(math.atan2(self.form[1], self.form[0])) / 2

    @property
    def axis_error_deg(self) -> float:
        """Its standard error; 90 where there is no ellipse to speak of."""
        size = math.hypot(*self.form)
        return min(90.0, math.degrees(self.form_error / 2 / size)) if size > 0 else 90.0

    @property
    def stretch(self) -> Float64:
        """What makes the rings of circles: symmetric, of determinant 1, shape (2, 2), of x and y."""
        return stretch_of(self.form)


def stretch_of(form: tuple[float, float]) -> Float64:
    """The symmetric matrix of determinant 1, of x and y, that stretches by exp(|form|/2) and presses by as much."""
    size = math.hypot(*form)
    if size == 0:
        return np.eye(2)
    along = np.array([[form[0], form[1]], [form[1], -form[0]]]) / size
    return math.cosh(size / 2) * np.eye(2) + math.sinh(size / 2) * along


def powder_rings(
    crystal: Crystal, q_max_per_angstrom: float = _Q_MAX
) -> tuple[list[tuple[int, int, int]], Float64, Float64]:
    """Rings of a powder: indices of one reflection of each, |g| in Å⁻¹ and relative height.

    Forward, kinematic: the intensity |F|² of all reflections of one length is spread over the ring, whose length grows
    with q, and each crystal's share of directions in reflecting position falls with 1/q.

    Parameters
    ----------
    crystal : Crystal
        Of the standard.
    q_max_per_angstrom : float
        Of the outermost ring.
    """
    reach = np.ceil(q_max_per_angstrom * np.linalg.norm(crystal.cell_angstrom, axis=1)).astype(int)
    hkl = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in reach), indexing="ij"), -1).reshape(-1, 3)
    g = hkl @ crystal.reciprocal_per_angstrom
    length = np.linalg.norm(g, axis=1)
    inside = (length > 0) & (length <= q_max_per_angstrom)
    hkl, g, length = hkl[inside], g[inside], length[inside]
    order = np.argsort(length, kind="stable")
    hkl, g, length = hkl[order], g[order], length[order]
    power = np.abs(structure_factors(crystal, g, 0.8)) ** 2
    ring = np.concatenate([[0], np.cumsum(np.diff(length) > _SAME_RING * length[1:])])
    total = np.bincount(ring, power)
    q = np.bincount(ring, power * length) / np.maximum(total, 1e-30)
    with np.errstate(all="ignore"):
        height = np.where(q > 0, total / q**2, 0)
    kept = np.flatnonzero(height > _WEAK * height.max())
    # of a ring the strongest reflection's indices, of equal ones the last in order, which has no minus where it can
    names = [max(zip(power[ring == k].round(6), map(tuple, hkl[ring == k].tolist()), strict=True))[1] for k in kept]
    return names, q[kept], height[kept] / height.max()


def calibrate_by_rings(
    record: Record, crystal: Crystal, *, q_pixel_per_angstrom: float | None = None
) -> RingCalibration:
    """Beam, reciprocal pixel and ellipse of a pattern of rings.

    Parameters
    ----------
    record : Record
        Calibrated record; beam stop and other pixels that tell nothing are not valid.
    crystal : Crystal
        Of the standard.
    q_pixel_per_angstrom : float, optional
        Reciprocal pixel as told, right within 15 %; without it every one is tried that puts three rings on the record.

    Raises
    ------
    InputError
        If there are no rings, or they are not the crystal's.
    """
    names, q, height = powder_rings(crystal)
    view = _View(record)
    middle = view.middle()
    view.without_beam(middle)
    shape = view.sharpest(middle)
    pixel, correlation = _named(view, shape, q, height, q_pixel_per_angstrom, crystal.name)
    fitted = _Refined(record, view.to_record(shape), pixel / view.binning, q, height)
    for _ in range(_ROUNDS):
        fitted.improve()
    rings = tuple(
        Ring(names[k], float(q[k]), float(q[k] / fitted.q_pixel * math.exp(fitted.ring_shift(k)))) for k in fitted.used
    )
    return RingCalibration(
        fitted.centre,
        fitted.centre_error,
        fitted.q_pixel,
        fitted.q_pixel * fitted.scale_error,
        fitted.form,
        fitted.form_error,
        rings,
        correlation,
    )


@dataclass(frozen=True)
class _Shape:
    """Centre (y, x) in pixels and form of the rings."""

    centre: tuple[float, float]
    form: tuple[float, float] = (0.0, 0.0)

    def radius_and_angle(self, y: Float64, x: Float64) -> tuple[Float64, Float64]:
        """Radius of the circle that each place was on before the stretch, and the angle there."""
        inverse = stretch_of((-self.form[0], -self.form[1]))
        dy, dx = y - self.centre[0], x - self.centre[1]
        u, v = inverse[0, 0] * dx + inverse[0, 1] * dy, inverse[1, 0] * dx + inverse[1, 1] * dy
        return np.hypot(u, v), np.arctan2(v, u)


class _View:
    """A record binned to a size for searching, freed of what is smooth."""

    def __init__(self, record: Record) -> None:
        self.binning = max(1, -(-max(record.shape) // _MOST_PIXELS))
        value, valid = _binned(record, self.binning)
        self.valid: Bool = valid
        root = np.sqrt(np.maximum(value, 0))  # of even noise
        fine, coarse = (_smoothed(root, valid, width) for width in (_FINE, _COARSE))
        band = np.where(valid, fine - coarse, 0)
        spread = float(np.percentile(np.abs(band[valid]), 99)) if valid.any() else 0.0
        if spread <= 0:
            raise InputError("no rings in the pattern", mend="check the record and its mask")
        self.band: Float64 = np.clip(band, -spread, spread)
        self.innermost = _INNERMOST_PX
        self._pixels = self._valid_pixels()

    def _valid_pixels(self) -> tuple[Float64, Float64, Float64]:
        rows, columns = np.nonzero(self.valid)
        return rows.astype(np.float64), columns.astype(np.float64), self.band[self.valid]

    def without_beam(self, middle: tuple[float, float]) -> None:
        """Leave out the direct beam and the dark ring that the smoothing makes of its flank."""
        mean, count = self.profile(_Shape(middle))
        deepest = int(np.argmin(np.where(count > 0, mean, np.inf)[: len(mean) // 2]))
        if deepest and -mean[deepest] > mean[deepest:].max():
            rising = np.diff(ndi.gaussian_filter1d(mean[deepest:], 1.0)) > 0
            self.innermost = max(_INNERMOST_PX, float(deepest + (np.argmin(rising) if not rising.all() else 0)))
        y, x = np.indices(self.valid.shape)
        self.valid = self.valid & (np.hypot(y - middle[0], x - middle[1]) > 0.9 * self.innermost)
        if not self.valid.any():
            raise InputError("no rings in the pattern", mend="check the record and its mask")
        spread = float(np.percentile(np.abs(self.band[self.valid]), 99.5))
        self.band = np.where(self.valid, np.clip(self.band, -spread, spread), 0)
        self._pixels = self._valid_pixels()

    def middle(self) -> tuple[float, float]:
        """About which the pattern turned by 180° is most like itself."""
        size = tuple(scipy.fft.next_fast_len(2 * side, real=True) for side in self.band.shape)
        parts = [scipy.fft.rfft2(part, size) for part in (self.band, self.band**2, self.valid.astype(np.float64))]
        like, power, both = (
            scipy.fft.irfft2(product, size) for product in (parts[0] ** 2, parts[1] * parts[2], parts[2] ** 2)
        )
        seen = both > _LEAST_OVERLAP * both.max()
        # a correlation coefficient times the root of its number of pixels: how far it is from chance
        value = np.where(seen, like / np.maximum(power, 1e-12) * np.sqrt(np.maximum(both, 0)), -np.inf)
        row, column = divmod(int(value.argmax()), value.shape[1])
        return row / 2, column / 2

    def profile(self, shape: _Shape) -> tuple[Float64, Float64]:
        """Mean of each ring a pixel wide, and how many pixels it is the mean of; neighbours share what lies between."""
        y, x, value = self._pixels
        radius, _ = shape.radius_and_angle(y, x)
        low = np.floor(radius).astype(np.intp)
        part = radius - low
        length = int(low.max()) + 2

        def shared(weight: Float64) -> Float64:
            lower, upper = np.bincount(low, weight * (1 - part), length), np.bincount(low + 1, weight * part, length)
            return np.asarray(lower + upper, np.float64)

        count = shared(np.ones_like(part))
        return shared(value) / np.maximum(count, 1e-9), count

    def _blur(self, parameters: Float64) -> float:
        mean, count = self.profile(_Shape((parameters[0], parameters[1]), (parameters[2], parameters[3])))
        at = np.arange(len(mean), dtype=np.float64)
        return -float(np.sum((count * mean**2)[at >= self.innermost])) / float(np.sum(self.band**2))

    def sharpest(self, middle: tuple[float, float]) -> _Shape:
        """Centre and form about which the profile is sharpest."""
        starts = [np.array([*middle, *form]) for form in itertools.product(_ELLIPSES, repeat=2)]
        start = min(starts, key=self._blur)
        steps = np.vstack([np.zeros(4), np.diag([1.5, 1.5, 0.015, 0.015])])
        found = scipy.optimize.minimize(
            self._blur,
            start,
            method="Nelder-Mead",
            options={"initial_simplex": start + steps, "xatol": 1e-3, "fatol": 1e-6},
        ).x
        return _Shape((float(found[0]), float(found[1])), (float(found[2]), float(found[3])))

    def to_record(self, shape: _Shape) -> _Shape:
        """The same in the record's pixels."""
        y, x = ((at + 0.5) * self.binning - 0.5 for at in shape.centre)
        return _Shape((y, x), shape.form)


def _binned(record: Record, binning: int) -> tuple[Float64, Bool]:
    value = np.where(record.valid, record.electrons, 0).astype(np.float64)
    if binning == 1:
        return value, record.valid
    ny, nx = (side // binning for side in record.shape)
    blocks = (ny, binning, nx, binning)
    inside = (slice(ny * binning), slice(nx * binning))
    count = record.valid[inside].reshape(blocks).sum(axis=(1, 3))
    return value[inside].reshape(blocks).sum(axis=(1, 3)) / np.maximum(count, 1), count > binning**2 / 2


def _smoothed(value: Float64, valid: Bool, width: float) -> Float64:
    weight = ndi.gaussian_filter(valid.astype(np.float64), width)
    return np.asarray(ndi.gaussian_filter(np.where(valid, value, 0), width) / np.maximum(weight, 1e-6), np.float64)


def _named(
    view: _View, shape: _Shape, q: Float64, height: Float64, told: float | None, name: str
) -> tuple[float, float]:
    """Reciprocal pixel of the view at which its profile is most like the crystal's, and the correlation."""
    mean, count = view.profile(shape)
    at = np.arange(len(mean), dtype=np.float64)
    used = (at >= view.innermost) & (count > np.pi * at / 2)  # half of the ring is on the record, at least a quarter
    if used.sum() < 2 * _INNERMOST_PX:
        raise InputError("no rings in the pattern", mend="check the record and its mask")
    outermost = float(at[used].max())
    if told is None:
        first, last = q[_FEWEST_RINGS - 1] / outermost, q[0] / view.innermost
    else:
        first, last = told * view.binning * (1 - _NEAR), told * view.binning * (1 + _NEAR)
    pixels = np.geomspace(first, max(last, first), max(2, math.ceil(math.log(max(last / first, 1)) / _SCALE_STEP)))
    values = np.array([max(_likeness(mean, at, used, q / k, height, width) for width in _WIDTHS_PX) for k in pixels])
    best = int(values.argmax())
    inside = int(np.sum((q / pixels[best] > view.innermost) & (q / pixels[best] < outermost)))
    if values[best] < _ALIKE or inside < _FEWEST_RINGS:
        near = "" if told is None else f" within {100 * _NEAR:.0f} % of the reciprocal pixel that is told"
        raise InputError(
            f"the rings are not those of {name}{near} (correlation {values[best]:.2f}, {inside} rings)",
            mend="check crystal, record and mask, or leave camera length and reciprocal pixel out",
        )
    other = values[np.abs(np.log(pixels / pixels[best])) > _APART]
    rivals = np.abs(np.log(pixels / pixels[best])) > _APART
    if rivals.any() and other.max() > _RIVAL * values[best]:
        rival = pixels[rivals][int(other.argmax())] / view.binning
        doubt(
            f"the rings fit {name} nearly as well with a reciprocal pixel of {rival:.5g} Å⁻¹ (correlation "
            f"{other.max():.2f} against {values[best]:.2f}): state the camera length or the pixel to tell them apart"
        )
    return float(pixels[best]), float(values[best])


def _likeness(mean: Float64, at: Float64, used: Bool, radii: Float64, height: Float64, width: float) -> float:
    """Correlation of a profile with rings of these radii, both freed of what is smooth."""
    lines = (
        np.sqrt(height)
        * (np.hypot(width, _FINE) ** -1)
        * np.exp(-((at[:, None] - radii) ** 2) / 2 / (width**2 + _FINE**2))
    )
    broad = (
        np.sqrt(height)
        * np.hypot(width, _COARSE) ** -1
        * np.exp(-((at[:, None] - radii) ** 2) / 2 / (width**2 + _COARSE**2))
    )
    model = (lines - broad).sum(axis=1)
    a, b = mean[used], model[used]
    weight = np.sqrt(at[used])  # as many pixels more, but fainter
    a, b = (part - np.average(part, weights=weight) for part in (a, b))
    norm = math.sqrt(float(np.sum(weight * a**2) * np.sum(weight * b**2)))
    return float(np.sum(weight * a * b)) / norm if norm > 0 else 0.0


class _Refined:
    """Centre, form and pixel, refined by the radii of the rings in sectors."""

    def __init__(self, record: Record, shape: _Shape, q_pixel: float, q: Float64, height: Float64) -> None:
        self._record, self._q, self._height = record, q, height
        self.centre, self.form, self.q_pixel = shape.centre, shape.form, q_pixel
        self.centre_error = (math.nan, math.nan)
        self.scale_error = self.form_error = math.nan
        self.used: list[int] = []
        self._shifts: dict[int, list[tuple[float, float]]] = {}
        self._width: float | None = None
        self._y, self._x = (axis[record.valid].astype(np.float64) for axis in np.indices(record.shape))
        self._value = record.electrons[record.valid].astype(np.float64)
        self._weight = 1 / np.maximum(record.variance[record.valid].astype(np.float64), 1e-12)

    def ring_shift(self, k: int) -> float:
        """Logarithm of a ring's mean radius over what the fitted pixel makes it."""
        shift, error = np.array(self._shifts[k]).T
        return float(np.average(shift, weights=1 / error**2))

    def improve(self) -> None:
        """One step: radii measured anew, then all parameters by robust least squares."""
        radius, angle = _Shape(self.centre, self.form).radius_and_angle(self._y, self._x)
        groups = self._groups(radius)
        rows = [
            (phi, float(self._q[group[0]] / self.q_pixel), shift, error, group)
            for group in groups
            for phi, shift, error in self._sectors(group, radius, angle)
        ]
        if len({row[4] for row in rows}) < _FEWEST_RINGS - 1 or len(rows) < _SECTORS // 2:
            raise InputError("too little of the rings is on the record", mend="check crystal, record and mask")
        phi, at, shift, error = (np.array([row[k] for row in rows]) for k in range(4))
        design = np.stack(
            [np.ones_like(phi), np.cos(2 * phi) / 2, np.sin(2 * phi) / 2, np.cos(phi) / at, np.sin(phi) / at], axis=1
        )
        # rings of few grains scatter by more than their noise says
        floor = float(np.median(np.abs(shift - np.median(shift)))) / 3
        weight = 1 / (error**2 + floor**2)
        for _ in range(8):
            covariance = np.linalg.pinv((design * weight[:, None]).T @ design)
            solution = covariance @ (design.T @ (weight * shift))
            rest = np.abs(shift - design @ solution)
            spread = 1.4826 * float(np.median(rest * np.sqrt(weight))) + 1e-12
            weight = np.minimum(1, _OUTLYING * spread / np.maximum(rest * np.sqrt(weight), 1e-12)) / (
                error**2 + floor**2
            )
        left = shift - design @ solution
        group = np.unique([row[4][0] for row in rows], return_inverse=True)[1]
        mean, apart = _between_groups(left, weight, group)
        chi2 = float(np.sum(weight * (left - mean[group]) ** 2)) / max(len(left) - 4 - len(mean), 1)
        errors = np.sqrt(np.diag(covariance) * chi2)
        turn = stretch_of(self.form) @ solution[3:]
        self.q_pixel *= math.exp(-float(solution[0]))
        self.form = (self.form[0] + float(solution[1]), self.form[1] + float(solution[2]))
        self.centre = (self.centre[0] + float(turn[1]), self.centre[1] + float(turn[0]))
        self.scale_error, self.form_error = (
            math.hypot(float(errors[0]), apart),
            float(np.hypot(errors[1], errors[2]) / math.sqrt(2)),
        )
        self.centre_error = (float(errors[4]), float(errors[3]))
        self._shifts = {}
        for row in rows:
            for k in row[4]:
                self._shifts.setdefault(k, []).append((row[2] - float(solution[0]), row[3]))
        self.used = sorted(self._shifts)

    def _groups(self, radius: Float64) -> list[tuple[int, ...]]:
        """Rings that are apart, and those together that overlap; measured ones only."""
        places = self._q / self.q_pixel
        if self._width is None:
            self._width = self._ring_width(radius, places)
        inside = np.flatnonzero((places > _INNERMOST_PX) & (places < radius.max() - 3 * self._width))
        groups: list[list[int]] = []
        for k in inside.tolist():
            if groups and places[k] - places[groups[-1][-1]] < 3 * self._width:
                groups[-1].append(k)
            else:
                groups.append([k])
        return [tuple(group) for group in groups]

    def _ring_width(self, radius: Float64, places: Float64) -> float:
        """Standard deviation of the rings, px: that with which all of them on a smooth slope are the mean profile."""
        ring = np.rint(radius).astype(np.intp)
        count, total = np.bincount(ring), np.bincount(ring, self._value)
        noise = np.bincount(ring, 1 / self._weight)
        at = np.flatnonzero(
            (count > np.pi * np.arange(len(count)) / 2) & (np.arange(len(count)) > _NEAR_BEAM * places[0])
        )
        at = at[at < places[-1] + places[0]]
        mean, root = total[at] / count[at], count[at] / np.sqrt(noise[at])
        knots = np.geomspace(at[0], at[-1], max(3, math.ceil(_KNOTS * math.log(at[-1] / at[0]))))
        slope = interpolate.BSpline.design_matrix(
            at.astype(np.float64), np.concatenate([[at[0]] * 3, knots, [at[-1] + 1e-9] * 3]), 3
        ).toarray()

        def rest(width: float, scale: float) -> float:
            lines = np.exp(-((at[:, None] - places * scale) ** 2) / 2 / width**2)
            design = root[:, None] * np.hstack([lines, slope])
            found = np.linalg.lstsq(design, root * mean, rcond=1e-8)[0]
            return float(np.sum((root * mean - design @ found) ** 2))

        gap = float(np.diff(places[:2])[0]) if len(places) > 1 else float(places[0]) / 2
        widths, scales = np.geomspace(0.7, max(gap, 1.5), 16), np.linspace(0.97, 1.03, 13)
        return float(min(itertools.product(widths, scales), key=lambda one: rest(*one))[0])

    def _sectors(self, group: tuple[int, ...], radius: Float64, angle: Float64) -> list[tuple[float, float, float]]:
        """Angle, logarithmic shift and its error of a group of rings in each sector where it is seen."""
        width = float(self._width or 1.0)
        places = self._q[list(group)] / self.q_pixel
        others = np.setdiff1d(self._q / self.q_pixel, places)
        reach = 4 * width
        low, high = places[0] - reach, places[-1] + reach
        if len(others):  # not into the next ring
            low = max([low, *(0.5 * (places[0] + o) for o in others if o < places[0])])
            high = min([high, *(0.5 * (places[-1] + o) for o in others if o > places[-1])])
        near = np.flatnonzero((radius > low) & (radius < high))
        sector = ((angle[near] + np.pi) / (2 * np.pi) * _SECTORS).astype(np.intp) % _SECTORS
        found = []
        for number in range(_SECTORS):
            chosen = near[sector == number]
            if len(chosen) < _FEWEST_PIXELS + 2 * len(group):
                continue
            one = _shift(radius[chosen], self._value[chosen], self._weight[chosen], places, width)
            if one is not None:
                found.append((float((number + 0.5) / _SECTORS * 2 * np.pi - np.pi), *one))
        return found


def _between_groups(rest: Float64, weight: Float64, group: NDArray[np.intp]) -> tuple[Float64, float]:
    """Means of groups of rings, and what these add to the error of the mean of all by lying apart.

    That is what they do beyond what their sectors' scatter explains.
    """
    total = np.bincount(group, weight)
    mean = np.bincount(group, weight * rest) / total
    within = np.bincount(group, weight * (rest - mean[group]) ** 2) / total / np.maximum(np.bincount(group) - 1, 1)
    share = total / total.sum()
    excess = float(np.sum(share * (mean**2 - within))) * len(total) / max(len(total) - 1, 1)
    return mean, math.sqrt(max(excess, 0.0) * float(np.sum(share**2)))


def _shift(at: Float64, value: Float64, weight: Float64, places: Float64, width: float) -> tuple[float, float] | None:
    """Common logarithmic shift of lines on a slope, and its error; None where they are not seen."""
    root = np.sqrt(weight)[:, None]
    shift, error, middle = 0.0, math.inf, float(places.mean())
    for _ in range(6):
        moved = places * math.exp(shift)
        lines = np.exp(-((at[:, None] - moved) ** 2) / 2 / width**2)
        flat = np.stack([np.ones_like(at), (at - middle) / width], axis=1)
        heights = np.linalg.lstsq(root * np.hstack([lines, flat]), root[:, 0] * value, rcond=None)[0][: len(places)]
        slope = (lines * (at[:, None] - moved) / width**2 * moved) @ np.maximum(heights, 0)
        design = root * np.hstack([slope[:, None], lines, flat])
        if not np.any(slope):
            return None
        solution = np.linalg.lstsq(design, root[:, 0] * value, rcond=None)[0]
        rest = root[:, 0] * value - design @ solution
        covariance = np.linalg.pinv(design.T @ design)
        scatter = float(rest @ rest) / max(len(rest) - design.shape[1], 1)
        error = math.sqrt(float(covariance[0, 0]) * scatter)
        step = float(np.clip(solution[0], -0.5 * width / middle, 0.5 * width / middle))
        shift += step
        if abs(step) < 1e-5:
            break
    if not error < 0.5 * width / middle or abs(shift) > 2 * width / middle:
        return None
    return shift, error
