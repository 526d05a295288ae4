"""Which particle of an image is found and taken, and what a slip of the pen does to that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage as ndi

from napari_subangstrom_cdi.core.image._frame import drawn_over
from napari_subangstrom_cdi.core.image.normalisation import normalise_to_vacuum, particles_in
from napari_subangstrom_cdi.core.image.potential import particle_window, vacuum_power
from napari_subangstrom_cdi.errors import InputError, QualityWarning

MIDDLE, RADIUS = (150, 170), 60


def frame(shape=(320, 340), middle=MIDDLE, radius=RADIUS, period=9.0, seed=0):
    """Counts of a disc of fringes on a flat substrate of 300 counts."""
    y, x = np.indices(shape)
    disc = ndi.gaussian_filter((np.hypot(y - middle[0], x - middle[1]) < radius).astype(float), 1.5)
    fringes = 0.3 * np.cos(2 * np.pi * x / period) + 0.3 * np.cos(2 * np.pi * (0.5 * x + 0.87 * y) / period) - 0.2
    return np.random.default_rng(seed).poisson(300 * (1 + disc * fringes)).astype(np.float32)


def overlap(found, middle=MIDDLE, radius=RADIUS):
    y, x = np.indices(found.shape)
    truth = np.hypot(y - middle[0], x - middle[1]) < radius
    return np.count_nonzero(found & truth) / np.count_nonzero(found | truth)


def with_bar(counts):
    counts[285:293, 30:130] = 65535
    counts[268:280, 40:44] = 65535  # a number beside it
    return counts


def with_data_bar(counts):
    counts[-40:] = 0
    counts[-28:-14, 40:300:7] = 255
    return counts


def with_blank_border(counts):
    counts[:, :25] = 0
    return counts


@pytest.mark.parametrize("drawn", [with_bar, with_data_bar, with_blank_border])
def test_what_is_drawn_into_the_picture_is_no_particle(drawn):
    plain, found = normalise_to_vacuum(frame()), particles_in(drawn(frame()))
    assert len(found) == 1
    assert np.hypot(*np.subtract(found[0].centre_px, plain.centre_px)) < 0.5
    assert overlap(found[0].particle) > 0.8
    assert np.abs(found[0].intensity - plain.intensity)[plain.particle].max() < 0.02


def test_a_recorded_image_has_nothing_drawn_over_it():
    assert not drawn_over(frame()).any()
    clipped = np.clip(frame(period=24.0), 260, 330)  # atoms clipped by a display are flat too, and round
    assert np.count_nonzero(drawn_over(clipped)) == 0


@pytest.mark.parametrize("radius", [100, 135, 150])
def test_a_particle_may_fill_most_of_the_frame(radius):
    counts, middle = frame((300, 300), (150, 150), radius), (150, 150)
    if radius < 125:
        found = normalise_to_vacuum(counts)
    else:
        with pytest.warns(QualityWarning, match=r"vacuum is only|border"):
            found = normalise_to_vacuum(counts)
    assert overlap(found.particle, middle, radius) > 0.85
    outside = np.hypot(*(np.indices((300, 300)) - 150)) > radius + 15
    assert found.intensity[outside].mean() == pytest.approx(1, abs=0.02)
    assert np.isfinite(vacuum_power(found)).all()


def test_no_vacuum_at_all_is_refused():
    with pytest.raises(InputError, match=r"no particle|vacuum"):
        particles_in(frame((256, 256), (128, 128), 400))


def test_several_particles_are_told_apart():
    counts = frame((400, 560), (150, 130), 60)
    y, x = np.indices(counts.shape)
    second = np.hypot(y - 230, x - 400) < 100
    counts = np.where(second, frame(counts.shape, (230, 400), 100, 12.0, seed=1), counts)
    found = particles_in(counts)
    assert len(found) == 2
    assert overlap(found[0].particle, (230, 400), 100) > 0.8
    assert overlap(found[1].particle, (150, 130), 60) > 0.8
    small = found[1]
    assert particle_window(small)[found[0].particle].max() == 0
    assert vacuum_power(small)[50:].mean() == pytest.approx(1 / 300, rel=0.1)


def test_a_particle_on_a_step_of_the_substrate_has_its_own_vacuum():
    counts = frame((360, 640), (180, 110), 55)
    step = 1 - 0.15 / (1 + np.exp((np.arange(640) - 210) / 2))
    found = particles_in(counts * step.astype(np.float32))
    on_step = max(found, key=lambda each: overlap(each.particle, (180, 110), 55))
    assert overlap(on_step.particle, (180, 110), 55) > 0.75
    y, x = np.indices(counts.shape)
    around = np.abs(np.hypot(y - 180, x - 110) - 80) < 8
    assert on_step.intensity[around].mean() == pytest.approx(1, abs=0.02)


def test_the_window_of_a_particle_alone_is_as_ever():
    image = normalise_to_vacuum(frame())
    assert image.elsewhere is None
    empty = replace(image, elsewhere=np.zeros_like(image.particle))
    assert np.array_equal(particle_window(empty), particle_window(image))
