"""The HSV composite: known phases have known colours, amplitude is brightness."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("napari") is None:
    pytest.skip("the gui package needs napari", allow_module_level=True)

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.canvas.colours import hsv_composite


def picture(*values: complex, limit: float = 1.0) -> np.ndarray:
    return hsv_composite(np.array([values], np.complex64), limit)[0]


def test_a_third_of_a_turn_goes_from_red_to_green_to_blue():
    turn = np.exp(2j * np.pi / 3)
    red, green, blue = picture(1, turn, turn**2)
    assert red.argmax() == 0 and green.argmax() == 1 and blue.argmax() == 2
    for colour in (red, green, blue):
        others = np.sort(colour)[:2]
        assert others.max() < 0.25 * colour.max()
        assert np.ptp(others) <= 2


def test_opposite_phases_have_complementary_colours():
    red, cyan = picture(1, -1)
    assert cyan[1] == cyan[2] > 3 * cyan[0]
    assert red[1] == red[2]


def test_brightness_is_proportional_to_amplitude_and_stops_at_the_limit():
    zero, half, full, beyond = picture(0, 0.5j, 1j, 7j).astype(int)
    assert (zero == 0).all()
    np.testing.assert_allclose(half, full / 2, atol=1)
    np.testing.assert_array_equal(full, beyond)


def test_no_seam_at_half_a_turn():
    just_below, just_above = picture(np.exp(1j * (np.pi - 1e-4)), np.exp(-1j * (np.pi - 1e-4))).astype(int)
    assert np.abs(just_below - just_above).max() <= 2


def test_brightness_varies_less_with_phase_than_in_plain_hsv():
    phases = np.exp(2j * np.pi * np.arange(360) / 360).astype(np.complex64)[None]
    luma = hsv_composite(phases, 1.0)[0] @ np.array([0.2126, 0.7152, 0.0722])
    assert luma.max() / luma.min() < 6  # plain HSV: 0.93 / 0.07 = 13


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(InputError, match="amplitude limit"):
        picture(1, limit=limit)
