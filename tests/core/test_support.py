"""The support of known shapes."""

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from skimage import filters

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.image.support import (
    SupportFinder,
    apply_edits,
    edits,
    local_envelope,
    object_support,
    support_from_mask,
)
from napari_subangstrom_cdi.errors import InputError, QualityWarning

GRID = Grid(512, 200.0)
Y, X = np.meshgrid(GRID.index() * GRID.pixel_angstrom, GRID.index() * GRID.pixel_angstrom, indexing="ij")


def fringes(inside, spacing=3.3, noise=0.02, angle=0.4, seed=0):
    """A band-passed lattice image: mean zero inside, as a Wiener estimate is."""
    wave = np.cos(2 * np.pi * (np.cos(angle) * X + np.sin(angle) * Y) / spacing)
    field = np.where(inside, wave, 0) + noise * np.random.default_rng(seed).normal(size=GRID.shape)
    return field.astype(np.float32)


def ellipse(a, b, angle):
    u, v = np.cos(angle) * X + np.sin(angle) * Y, -np.sin(angle) * X + np.cos(angle) * Y
    return (u / a) ** 2 + (v / b) ** 2 < 1


@given(a=st.floats(25, 45), b=st.floats(20, 40), angle=st.floats(0, np.pi), spacing=st.floats(2.0, 3.6))
@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_support_holds_the_particle_and_little_more(a, b, angle, spacing):
    inside = ellipse(a, b, angle)
    found = object_support(fringes(inside, spacing, angle=angle + 1), GRID)
    assert np.count_nonzero(inside & ~found.mask) < 0.005 * np.count_nonzero(inside)
    outside_by = ndi.distance_transform_edt(~inside) * GRID.pixel_angstrom
    assert outside_by[found.mask].max() < 4.5
    assert found.oversampling_ratio == pytest.approx(GRID.n**2 / np.count_nonzero(found.mask))
    assert found.area_angstrom2 == pytest.approx(np.count_nonzero(found.mask) * GRID.pixel_angstrom**2)


@pytest.mark.parametrize("rule", ["otsu", "li", "triangle", 0.3])
def test_every_rule_finds_the_particle(rule):
    inside = ellipse(35, 35, 0)
    found = object_support(fringes(inside, noise=0.05), GRID, threshold=rule, smooth_angstrom=3)
    assert np.count_nonzero(inside & ~found.mask) < 0.05 * np.count_nonzero(inside)


def test_grow_and_erode_move_the_edge_by_so_much():
    inside = ellipse(35, 35, 0)
    radius = {}
    for grow in (-2.0, 0.0, 3.0):
        area = object_support(fringes(inside), GRID, grow_angstrom=grow).area_angstrom2
        radius[grow] = np.sqrt(area / np.pi)
    assert radius[3.0] - radius[0.0] == pytest.approx(3, abs=0.4)
    assert radius[0.0] - radius[-2.0] == pytest.approx(2, abs=0.4)


def test_holes_are_filled_and_specks_dropped():
    hollow = ellipse(35, 35, 0) & ~ellipse(12, 12, 0)
    speck = (X + 70) ** 2 + (Y - 60) ** 2 < 6**2
    estimate = fringes(hollow | speck)
    found = object_support(estimate, GRID)
    assert found.n_parts == 2
    assert found.mask[GRID.n // 2, GRID.n // 2]
    assert not found.mask[speck].any()
    everything = object_support(estimate, GRID, fill=False, keep_largest=False)
    assert not everything.mask[GRID.n // 2, GRID.n // 2]
    assert everything.mask[speck].all()


def test_envelope_of_a_fringe_is_flat():
    envelope = local_envelope(fringes(np.ones(GRID.shape, bool), noise=0.0), 8)
    assert envelope[100:-100, 100:-100] == pytest.approx(np.sqrt(0.5), rel=0.01)


def test_nothing_there():
    noise = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    with pytest.raises(InputError, match="no particle"):
        object_support(noise, GRID)
    with pytest.raises(InputError, match="no particle"):
        object_support(np.zeros(GRID.shape, np.float32), GRID)


def test_unusable_input():
    estimate = fringes(ellipse(30, 30, 0))
    with pytest.raises(InputError, match="shape"):
        object_support(estimate[:-2], GRID)
    with pytest.raises(InputError, match="NaN"):
        object_support(np.full(GRID.shape, np.nan, np.float32), GRID)
    with pytest.raises(InputError, match="threshold"):
        object_support(estimate, GRID, threshold=1.5)
    with pytest.raises(InputError, match="otsu"):
        object_support(estimate, GRID, threshold="magic")
    with pytest.raises(InputError, match="another threshold"):
        object_support(estimate, GRID, grow_angstrom=-100)
    with pytest.raises(InputError, match="covers"):
        support_from_mask(np.ones(GRID.shape, bool), GRID)


def test_low_oversampling_is_noticed():
    with pytest.warns(QualityWarning, match="oversampling"):
        support_from_mask(ellipse(90, 90, 0), GRID)


def plainly(estimate, *, smooth_angstrom, threshold, fill, keep_largest, grow_angstrom):
    """The steps on the whole array, without a box or anything kept."""
    envelope = local_envelope(estimate, smooth_angstrom / GRID.pixel_angstrom)
    level = filters.threshold_li(envelope) if threshold == "li" else threshold * float(envelope.max())
    labels, count = ndi.label(envelope > level)
    mask = labels > 0
    if keep_largest and count > 1:
        mask = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    if fill:
        mask = ndi.binary_fill_holes(mask)
    radius = grow_angstrom / GRID.pixel_angstrom
    if radius > 0:
        mask = ndi.distance_transform_edt(~mask) <= radius
    elif radius < 0:
        mask = ndi.distance_transform_edt(mask) > -radius
    return mask, count


def cases():
    middle = ellipse(35, 25, 0.6) & ~ellipse(8, 8, 0)
    speck = (X + 70) ** 2 + (Y - 60) ** 2 < 6**2
    return {
        "middle": fringes(middle | speck, noise=0.05),
        "at the edge": np.roll(fringes(middle | speck, noise=0.05), (GRID.n // 2 - 30, 200), axis=(0, 1)),
    }


@pytest.mark.filterwarnings("ignore:the oversampling ratio")
@pytest.mark.parametrize("case", ["middle", "at the edge"])
def test_a_finder_asked_again_gives_what_the_whole_array_gives(case):
    estimate = cases()[case]
    finder = SupportFinder(estimate, GRID)
    for smooth in (1.5, 3.0):
        for threshold in ("li", 0.1, 0.6):
            for fill, keep in ((True, True), (True, False), (False, True)):
                for grow in (-3.0, 0.0, 0.3, 7.5):
                    asked = {"smooth_angstrom": smooth, "threshold": threshold, "grow_angstrom": grow}
                    asked |= {"fill": fill, "keep_largest": keep}
                    mask, count = plainly(estimate, **asked)
                    found = finder.find(**asked)
                    np.testing.assert_array_equal(found.mask, mask)
                    assert found.n_parts == count


def test_a_finder_is_not_changed_by_what_is_painted_on_its_masks():
    finder = SupportFinder(cases()["middle"], GRID)
    first = finder.find(threshold=0.3)
    kept = first.mask.copy()
    first.mask[:] = True
    np.testing.assert_array_equal(finder.find(threshold=0.3).mask, kept)


def test_painting_survives_another_threshold():
    finder = SupportFinder(cases()["middle"], GRID)
    first = finder.find(threshold=0.5).mask
    painted = first.copy()
    painted[40:60, 40:60] = True
    painted[250:256, 250:256] = False
    added, removed = edits(first, painted)
    np.testing.assert_array_equal(apply_edits(first, added, removed), painted)
    other = finder.find(threshold=0.2).mask
    again = apply_edits(other, added, removed)
    assert again[40:60, 40:60].all()
    assert not again[250:256, 250:256].any()
    untouched = ~(added | removed)
    np.testing.assert_array_equal(again[untouched], other[untouched])


def test_edits_may_be_absent_and_leave_the_mask_alone():
    mask = ellipse(30, 20, 0)
    same = apply_edits(mask, None, None)
    assert same is not mask
    np.testing.assert_array_equal(same, mask)
    assert not any(e.any() for e in edits(mask, same))


def test_edits_of_another_shape_are_refused():
    mask = ellipse(30, 20, 0)
    with pytest.raises(InputError, match="added"):
        apply_edits(mask, mask[1:], None)
    with pytest.raises(InputError, match="removed"):
        apply_edits(mask, None, mask[1:])
    with pytest.raises(InputError, match="painted"):
        edits(mask, mask[1:])
