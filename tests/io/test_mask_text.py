"""Masks as text: what is packed comes back, and nothing else does."""

import base64
import tomllib
import tracemalloc
import zlib

import numpy as np
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.io.mask_text import MAX_SIDE, PackedMask, pack_mask, painted_on, unpack_mask


def disc(n=1024, radius=130):
    y, x = np.mgrid[:n, :n] - n // 2
    return np.hypot(y, x) < radius + 9 * np.cos(5 * np.arctan2(y, x))


def text_of(shape, content, level=9):
    return f"{shape}:{base64.b64encode(zlib.compress(content, level)).decode()}"


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_every_mask_comes_back(mask):
    text = pack_mask(mask)
    again = unpack_mask(text, where="here")
    if not mask.any():
        assert text == "" and again is None
        return
    assert again.dtype == np.bool_
    np.testing.assert_array_equal(again, mask)
    assert pack_mask(again) == text
    assert tomllib.loads(tomli_w.dumps({"added": text})) == {"added": text}


def test_what_comes_back_may_be_painted_on():
    mask = unpack_mask(pack_mask(disc(64, 10)), where="here")
    mask[0, 0] = True
    assert mask[0, 0]


def test_a_packed_mask_is_its_text_and_knows_its_pixels():
    mask = disc(64, 10)
    packed = PackedMask.of(mask)
    assert packed == pack_mask(mask) and hash(packed) == hash(pack_mask(mask)) and isinstance(packed, str)
    found = packed.pixels(where="here")
    np.testing.assert_array_equal(found, mask)
    assert packed.pixels(where="here") is found, "it is unpacked once"
    assert not found.flags.writeable and mask.flags.writeable
    read = PackedMask(str(packed))  # as from a recipe
    assert read.on(Grid(64, 10.0), where="here") is read.pixels(where="here")
    np.testing.assert_array_equal(read.pixels(where="here"), mask)
    with pytest.raises(InputError, match=r"here: was painted on an array of 64 pixels, the pattern's has 32"):
        read.on(Grid(32, 10.0), where="here")
    with pytest.raises(InputError, match="here: is no packed mask"):
        PackedMask("nonsense").pixels(where="here")


def test_nothing_painted_is_no_mask():
    nothing = PackedMask.of(np.zeros((64, 64), np.bool_))
    assert not nothing and nothing.pixels(where="here") is None
    assert (
        painted_on(Grid(32, 10.0), nothing, where="here") is None and painted_on(Grid(32, 10.0), None, where="") is None
    )


def test_a_particle_takes_little_text():
    assert len(pack_mask(disc())) < 3000


def test_the_largest_mask_comes_back_and_a_larger_one_is_refused():
    mask = np.zeros((MAX_SIDE, MAX_SIDE), np.bool_)
    mask[-1, -1] = True
    assert unpack_mask(pack_mask(mask), where="here")[-1, -1]
    with pytest.raises(InputError, match="8193"):
        pack_mask(np.ones((1, MAX_SIDE + 1), np.bool_))
    with pytest.raises(InputError, match="two dimensions"):
        pack_mask(np.ones(8, np.bool_))


GOOD = pack_mask(disc(64, 20))


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "64x64",
        "64x64:",
        "0x64:eJw=",
        "-4x64:eJw=",
        "64x64:eJw\u00e9",
        " " + GOOD,
        GOOD + "\n",
        GOOD + "AAAA",
        GOOD[:-8],
        GOOD.replace("64x64", "64x65"),
        GOOD.replace("64x64", "32x64"),
        GOOD.replace("64x64", "٦٤x64"),
        "8193x8:" + GOOD.split(":")[1],
        "9999x9999:" + GOOD.split(":")[1],
        "3x3:" + base64.b64encode(zlib.compress(b"\0\x7f")).decode(),
        "8x8:" + base64.b64encode(zlib.compress(bytes(8)) + b"more").decode(),
        "8x8:" + "A" * 20_000_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_mask_is_refused_by_the_name_of_its_place(text):
    with pytest.raises(InputError, match=r"^support\.added: .*mask") as caught:
        unpack_mask(text, where="support.added")
    assert len(str(caught.value)) < 250


@given(st.integers(0, len(GOOD) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_changed_character_is_noticed_or_changes_nothing(place, character):
    """A few of the stream's bits may be either way: the same mask can be deflated in more ways than one."""
    text = GOOD[:place] + character + GOOD[place + 1 :]
    try:
        found = unpack_mask(text, where="here")
    except InputError:
        assert text != GOOD
        return
    np.testing.assert_array_equal(found, disc(64, 20))


@given(st.text(max_size=60))
def test_any_text_is_a_mask_or_refused(text):
    try:
        unpack_mask(text, where="here")
    except InputError:
        return
    assert text == ""


def test_a_bomb_takes_no_memory():
    bomb = text_of("64x64", bytes(2**27))
    tracemalloc.start()
    with pytest.raises(InputError, match="damaged"):
        unpack_mask(bomb, where="here")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20
