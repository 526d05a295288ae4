"""What is told of the beam, and of the pixels not to be trusted, against what the pattern says."""

import numpy as np
import pytest
import tifffile

from napari_subangstrom_cdi.errors import InputError, Remedy, Said, collected_doubts, remedies_of
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.io.mask_text import PackedMask
from napari_subangstrom_cdi.job.plan import Inputs, PatternSettings, Plan
from napari_subangstrom_cdi.job.preparation.clock import Clock
from napari_subangstrom_cdi.job.preparation.record import centre_record, load_records, stop_as_painted

N = 256
CENTRE = (131.4, 122.2)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A small pattern of pairs of spots with its beam 4 and 6 px off the middle."""
    y, x = np.indices((N, N), dtype=float)
    r = np.hypot(y - CENTRE[0], x - CENTRE[1])
    scene = 300 * np.exp(-r / 8) + 12 * np.exp(-r / 60) + 1
    rng = np.random.default_rng(3)
    for angle in (5, 50, 100, 150):
        for radius in (52, 95):
            g = radius * np.array([np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))])
            height = rng.uniform(150, 900)
            for sign in (1, -1):
                scene += height * np.exp(-((y - CENTRE[0] - sign * g[0]) ** 2 + (x - CENTRE[1] - sign * g[1]) ** 2) / 8)
    path = tmp_path_factory.mktemp("beam") / "pattern.tif"
    tifffile.imwrite(path, (rng.poisson(scene) + 20).astype(np.uint16))
    return path


def centred(record, *, hint=None, told=None, mask=None):
    """Offset of the beam from the middle as it was found, and the doubts; without an image."""
    plan = Plan(
        Inputs(str(record), background="none", mask=None if mask is None else str(mask)),
        Acquisition(offset_counts=20.0, beam_centre_px=hint),
        pattern=PatternSettings(beam_centre_px=told),
    )
    with collected_doubts() as doubts:
        clock = Clock(lambda name: None)
        found = centre_record(plan, load_records(plan, clock), clock)
    return np.array(found.readings["beam_centre_px"]), Said("; ".join(doubts), remedies_of(*doubts))


def is_found(offset):
    return np.abs(offset + N // 2 - CENTRE).max() < 0.1


def test_without_an_image_the_spots_tell_the_beam(record):
    offset, doubts = centred(record)
    assert is_found(offset)
    assert "pattern's centre" not in doubts


@pytest.mark.parametrize(("hint", "said"), [((2, -4), ""), ((131, 122), r"\[3, -6\]"), ((900, 0), "left out")])
def test_a_hint_is_read_as_it_is_meant(record, hint, said):
    offset, doubts = centred(record, hint=hint)
    assert is_found(offset)
    if said:
        assert "counts from the frame's middle" in doubts
        assert said.replace("\\", "") in doubts
        corner = Remedy("beam counted from the corner", (("acquisition.beam_centre_px", (3.0, -6.0)),))
        assert doubts.remedies == ((corner,) if "3" in said else ())
    else:
        assert "beam_centre_px" not in doubts


def test_a_stop_is_as_it_was_painted_and_erased_by_hand():
    found, added, removed = np.zeros((3, 8, 9), bool)
    found[2:6, 2:6], added[0, :], removed[5, :] = True, True, True
    assert stop_as_painted(PatternSettings(), found, found.shape) is not None
    assert stop_as_painted(PatternSettings(), None, found.shape) is None
    assert stop_as_painted(PatternSettings(stop_removed=PackedMask.of(found)), found, found.shape) is None
    by_hand = PatternSettings(stop_added=PackedMask.of(added), stop_removed=PackedMask.of(removed))
    np.testing.assert_array_equal(stop_as_painted(by_hand, found, found.shape), (found | added) & ~removed)
    np.testing.assert_array_equal(stop_as_painted(by_hand, None, found.shape), added)
    with pytest.raises(
        InputError, match=r"pattern\.stop_added: was painted on a record of 8 x 9 pixels, this one has 9"
    ):
        stop_as_painted(by_hand, None, (9, 9))


def test_a_beam_set_by_hand_from_the_corner_is_refused_by_name(record):
    with pytest.raises(InputError, match=r"lies outside the frame.*did you mean \[3, -6\]") as refused:
        centred(record, told=(131.0, 122.0))
    assert refused.value.remedies[0].settings == (("pattern.beam_centre_px", (3.0, -6.0)),)


@pytest.mark.parametrize("inverted", [False, True])
def test_an_inverted_mask_is_named_and_read_as_meant(record, tmp_path, inverted):
    bad = np.zeros((N, N), bool)
    bad[:40, :60] = True
    tifffile.imwrite(tmp_path / "mask.tif", (bad ^ inverted).astype(np.uint8))
    offset, doubts = centred(record, mask=tmp_path / "mask.tif")
    assert is_found(offset)
    assert ("inverted" in doubts) == inverted


def test_a_mask_that_leaves_the_light_is_taken_as_it_is(record, tmp_path):
    y, x = np.indices((N, N))
    tifffile.imwrite(tmp_path / "mask.tif", (np.hypot(y - 128, x - 128) > 100).astype(np.uint8))
    offset, doubts = centred(record, mask=tmp_path / "mask.tif")
    assert is_found(offset)
    assert "inverted" not in doubts
