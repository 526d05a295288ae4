"""Centring, binning and the autocorrelation filter on patterns known in closed form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_subangstrom_cdi.core import fourier
from napari_subangstrom_cdi.core.grid import Grid
from napari_subangstrom_cdi.core.record.detector import Record
from napari_subangstrom_cdi.core.record.embedding import Pattern, embed, filter_autocorrelation
from napari_subangstrom_cdi.errors import InputError

RAW = 512
GRID = Grid(256, 100.0)
DIAMETER_PX = 60  # of the particle, in pixels of the grid


def particle(seed=0):
    """Random atoms within a disc on a fine grid, as positions in field-of-view units and weights."""
    rng = np.random.default_rng(seed)
    radius = DIAMETER_PX / 2 / 256 * np.sqrt(rng.random(40))
    angle = rng.uniform(0, 2 * np.pi, 40)
    return radius * np.sin(angle), radius * np.cos(angle), rng.uniform(0.5, 1, 40)


def intensity(atoms, y, x):
    """|F|² at any reciprocal position (in pixels of the grid), exact; an envelope as atoms have."""
    ys, xs, weights = atoms
    wave = (np.exp(-2j * np.pi * np.multiply.outer(y, ys)) * weights) @ np.exp(-2j * np.pi * np.multiply.outer(xs, x))
    envelope = np.exp(-(np.add.outer(y**2, x**2)) / 70**2)
    return np.abs(wave) ** 2 * envelope


def raw_record(atoms, centre, scale=1.0, seed=None):
    """Raw pixels half as large as those of the grid."""
    y, x = ((np.arange(RAW) - c) / 2 for c in centre)
    scene = scale * intensity(atoms, y, x) / 4
    electrons = scene if seed is None else np.random.default_rng(seed).poisson(scene).astype(float)
    ones = np.ones((RAW, RAW), bool)
    return Record(electrons.astype(np.float32), (scene + 1e-4).astype(np.float32), ones)


def expected(atoms):
    index = GRID.index()
    return intensity(atoms, index, index)


@settings(deadline=None, max_examples=8)
@given(dy=st.floats(-9, 9), dx=st.floats(-9, 9), seed=st.integers(0, 99))
def test_the_pattern_is_centred_exactly_when_the_blur_is_undone(dy, dx, seed):
    atoms, centre = particle(seed), (256 + dy, 256 + dx)
    pattern = embed(raw_record(atoms, centre), centre, binning=2, n=256, autocorrelation_radius_px=70)
    truth = expected(atoms)
    inner = np.s_[20:-20, 20:-20]
    error = np.linalg.norm((pattern.intensity - truth)[inner]) / np.linalg.norm(truth[inner])
    assert error < 2e-3
    assert np.unravel_index(pattern.intensity.argmax(), GRID.shape) == (128, 128)


@settings(deadline=None, max_examples=8)
@given(dy=st.integers(-9, 9), dx=st.integers(-9, 9), binning=st.sampled_from([1, 3]))
def test_whole_shifts_and_odd_binning_only_sum(dy, dx, binning):
    rng = np.random.default_rng(0)
    electrons = rng.random((96, 96)).astype(np.float32)
    record = Record(electrons, electrons + 1, np.ones((96, 96), bool))
    pattern = embed(record, (48 + dy, 48 + dx), binning=binning, n=16)
    first = [48 + d - binning * 8 - (binning - 1) // 2 for d in (dy, dx)]
    size = 16 * binning
    cut = electrons[first[0] : first[0] + size, first[1] : first[1] + size]
    sums = cut.reshape(16, binning, 16, binning).sum(axis=(1, 3))
    np.testing.assert_allclose(pattern.intensity, sums, rtol=2e-4)
    np.testing.assert_allclose(pattern.variance, sums + binning**2, rtol=2e-4)
    assert pattern.valid.all()


def test_binning_keeps_the_electrons():
    atoms, centre = particle(1), (251.3, 259.8)
    record = raw_record(atoms, centre)
    pattern = embed(record, centre, binning=2, n=256)
    assert pattern.intensity.sum() == pytest.approx(record.electrons.sum(), rel=2e-3)


@settings(deadline=None, max_examples=5)
@given(dy=st.floats(0, 1), dx=st.floats(0, 1), binning=st.sampled_from([1, 2, 4]))
def test_the_variance_is_that_of_the_noise(dy, dx, binning):
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 3, (RAW, RAW)).astype(np.float32)
    record = Record(noise, np.full((RAW, RAW), 9, np.float32), np.ones((RAW, RAW), bool))
    pattern = embed(record, (256 + dy, 256 + dx), binning=binning, n=400 // binning // 2 * 2)
    assert pattern.variance.mean() == pytest.approx(pattern.intensity.var(), rel=0.03)


def test_outside_the_record_is_invalid():
    atoms = particle()
    pattern = embed(raw_record(atoms, (200.0, 256.0)), (200.0, 256.0), binning=2, n=256)
    assert not pattern.valid[:27].any()
    assert pattern.valid[30:-4, 4:-4].all()
    larger = embed(raw_record(atoms, (256.0, 256.0)), (256.0, 256.0), binning=2, n=320)
    assert larger.intensity.shape == (320, 320)
    assert not larger.valid[:30].any()
    assert larger.valid[40:-40, 40:-40].all()


def test_an_invalid_pixel_spoils_its_neighbours_only():
    record = raw_record(particle(), (256.5, 256.5))
    record.valid[300, 200] = False
    spoiled = Record(record.electrons.copy(), record.variance, record.valid)
    spoiled.electrons[300, 200] = 1e6
    pattern = embed(spoiled, (256.5, 256.5), binning=2, n=256)
    truth = embed(raw_record(particle(), (256.5, 256.5)), (256.5, 256.5), binning=2, n=256)
    assert 1 <= np.count_nonzero(truth.valid & ~pattern.valid) <= 9
    assert np.abs(pattern.intensity - truth.intensity)[pattern.valid].max() < 0.05 * truth.intensity.max() ** 0.5


def test_the_filter_takes_noise_but_no_signal():
    atoms, centre = particle(3), (255.2, 257.9)
    noisy = raw_record(atoms, centre, scale=0.2, seed=5)
    plain = embed(noisy, centre, binning=2, n=256)
    filtered = embed(noisy, centre, binning=2, n=256, autocorrelation_radius_px=68)
    truth = 0.2 * expected(atoms)
    inner = np.s_[20:-20, 20:-20]
    before = np.linalg.norm((plain.intensity - truth)[inner])
    after = np.linalg.norm((filtered.intensity - truth)[inner])
    kept_area = np.pi * 68**2 / 256**2
    assert after < 1.2 * np.sqrt(kept_area) * before
    faint = np.zeros(GRID.shape, bool)
    faint[inner] = (truth < 0.5)[inner]
    measured = np.mean((filtered.intensity - truth)[faint] ** 2)
    assert filtered.variance[faint].mean() == pytest.approx(measured, rel=0.25)


def test_the_filtered_autocorrelation_ends_at_the_radius():
    rng = np.random.default_rng(0)
    noise = Pattern(*rng.random((2, 256, 256)).astype(np.float32), np.ones((256, 256), bool))
    power = np.abs(fourier.transform(filter_autocorrelation(noise, 60).intensity - 0.5)) ** 2
    radius = GRID.radius_px()
    assert power[radius > 75].mean() < 2e-3 * power[(radius > 10) & (radius < 50)].mean()


def test_a_missing_beam_does_not_ring():
    atoms, centre = particle(4), (256.0, 256.0)
    full = embed(raw_record(atoms, centre), centre, binning=2, n=256, autocorrelation_radius_px=68)
    record = raw_record(atoms, centre)
    y, x = np.indices((RAW, RAW)) - 256
    record.valid[np.hypot(y, x) < 5] = False
    record.electrons[np.hypot(y, x) < 5] = 1e5
    holed = embed(record, centre, binning=2, n=256, autocorrelation_radius_px=68)
    assert not holed.valid[128, 128]
    seen = holed.valid & full.valid & (GRID.radius_px() < 100)
    worst = np.abs(holed.intensity - full.intensity)[seen].max()
    assert worst < 0.01 * full.intensity.max()
    # The hole itself is filled from what surrounds it.
    assert holed.intensity[128, 128] == pytest.approx(full.intensity[128, 128], rel=0.1)


@pytest.mark.parametrize("radius", [0.0, -5.0, 128.0, float("nan")])
def test_a_radius_that_does_not_fit_is_refused(radius):
    blank = Pattern(np.zeros((256, 256), np.float32), np.ones((256, 256), np.float32), np.ones((256, 256), bool))
    with pytest.raises(InputError, match="autocorrelation radius"):
        filter_autocorrelation(blank, radius)


@pytest.mark.parametrize(
    ("centre", "binning", "n", "message"),
    [
        ((256.0, 600.0), 2, 256, "outside"),
        ((-1.0, 256.0), 2, 256, "outside"),
        ((256.0, 256.0), 0, 256, "binning by 0"),
        ((256.0, 256.0), 2, 255, "array of 255"),
    ],
)
def test_an_absurd_embedding_is_refused(centre, binning, n, message):
    with pytest.raises(InputError, match=message):
        embed(raw_record(particle(), (256.0, 256.0)), centre, binning=binning, n=n)
