"""The Masks dock: previews, numbers, painting in both canvases, undo, and steering of a run that goes on."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from hands import (
    LEFT,
    SliderDrag,
    choose,
    main_canvas,
    move,
    place_in,
    stroke,
    take_over,
    tick,
    type_into,
)
from napari_subangstrom_cdi.core.phasing.regions import Region, with_friedel_mates
from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.gui.canvas import real_view as rv
from napari_subangstrom_cdi.gui.canvas import reciprocal_view as cv
from napari_subangstrom_cdi.gui.docks.masks import MasksDock
from napari_subangstrom_cdi.io.mask_text import unpack_mask
from napari_subangstrom_cdi.job import pipeline
from napari_subangstrom_cdi.job.plan import plan_from_toml
from napari_subangstrom_cdi.session.session import State, Step

STEPS = (Step.DATA, Step.BACKGROUND, Step.ALIGN, Step.MASKS)


@pytest.fixture
def dock(controller, viewer, qtbot):
    dock = MasksDock(viewer)
    viewer.window.add_dock_widget(controller.reciprocal, name="Reciprocal space", area="left")
    viewer.window.add_dock_widget(dock, name="Masks", area="right")
    qtbot.waitExposed(dock)
    return dock


@pytest.fixture
def made(dock, prepared_job, qtbot):
    take_over(dock.controller, prepared_job, *STEPS)
    settle(dock, qtbot)
    dock.controller.reciprocal.home()
    qtbot.wait(100)
    return dock


def settle(dock, qtbot) -> None:
    session, previews = dock.session, dock.controller.previews
    qtbot.wait(30)  # a stroke is told when the event loop turns
    qtbot.waitUntil(lambda: not session.busy)
    dock.controller.poll()
    qtbot.waitUntil(lambda: not previews.busy)


def make(dock, qtbot):
    qtbot.mouseClick(dock.button, LEFT)
    settle(dock, qtbot)
    assert dock.session.state(Step.MASKS) is State.DONE, dock.session.errors
    return dock.session.prepared


def shown_support(dock) -> np.ndarray:
    return np.asarray(dock.controller.real.layer(rv.SUPPORT).data) != 0


def shown_painted(dock) -> np.ndarray:
    return np.asarray(dock.controller.reciprocal.layer(cv.PAINTED).data) != 0


def shown_regions(dock) -> np.ndarray:
    return np.asarray(dock.controller.reciprocal.layer(cv.REGIONS).data) - 1


def number(dock, name: str) -> float:
    part = dock.support if name.startswith("support") else dock.regions
    return float(part.numbers.values[name].text().split()[0])


def paint_support(dock, qtbot, *places, mode: str = "paint", size: int = 10) -> None:
    viewer = dock.controller.viewer
    qtbot.mouseClick(dock.support.tools.buttons[mode], LEFT)
    dock.support.tools.brush.setValue(size)
    stroke(qtbot, viewer, main_canvas(viewer), *places)
    settle(dock, qtbot)


def paint_regions(dock, qtbot, *places, mode: str = "paint", size: int = 7) -> None:
    view = dock.controller.reciprocal
    qtbot.mouseClick(dock.regions.tools.buttons[mode], LEFT)
    dock.regions.tools.brush.setValue(size)
    stroke(qtbot, view.model, view.qt_viewer.canvas.native, *places)
    settle(dock, qtbot)


def test_before_the_image_is_aligned_it_says_what_to_do(dock):
    assert not dock.support.level.slider.isEnabled()
    assert "Align the image first" in dock.support.level.slider.toolTip()
    assert not dock.support.tools.buttons["paint"].isEnabled()
    assert not dock.regions.tools.buttons["paint"].isEnabled()
    assert not dock.support.back.isEnabled() and not dock.regions.clear.isEnabled()


def test_the_level_is_previewed_while_it_slides_and_the_step_makes_the_same(made, qtbot, picture):
    session, before = made.session, made.session.plan
    automatic = session.prepared.support
    assert made.support.level.value == pytest.approx(automatic.threshold, abs=1e-4)
    assert number(made, "support-oversampling") == pytest.approx(automatic.oversampling_ratio, abs=0.005)
    picture(made, "masks")
    with SliderDrag(qtbot, made.support.level.slider) as held:
        held.by(15)
        settle(made, qtbot)
        tried = shown_support(made)
        assert 0 < tried.sum() < automatic.mask.sum()
        assert session.plan is before
        assert number(made, "support-oversampling") == pytest.approx(tried.size / tried.sum(), abs=0.005)
        held.by(5)
    settle(made, qtbot)
    level = session.plan.support.threshold
    assert level == made.support.level.value > automatic.threshold
    assert made.badge.state() == "stale"
    assert made.support.rule.values()["threshold"] == "by hand"
    tried = shown_support(made)
    area = tried.sum() * session.centred.grid.pixel_angstrom**2 / 100
    assert number(made, "support-area") == pytest.approx(area, abs=0.05)
    ends = np.argwhere(tried)
    assert number(made, "support-diameter") * 10 >= np.ptp(ends, axis=0).max() * session.centred.grid.pixel_angstrom
    prepared = make(made, qtbot)
    np.testing.assert_array_equal(prepared.support.mask, tried)
    np.testing.assert_array_equal(shown_support(made), tried)
    assert f"threshold {level:.3f}" in made.status.text()
    made.controller.undo()
    settle(made, qtbot)
    assert session.plan == before
    np.testing.assert_array_equal(shown_support(made), automatic.mask)
    assert made.support.level.value == pytest.approx(automatic.threshold, abs=1e-4)


def test_rule_smoothing_and_growth_are_previewed_too(made, qtbot):
    session, finder = made.session, made.session.support_finder
    choose(qtbot, made.support.rule.editor("threshold"), "Otsu")
    type_into(qtbot, made.support.smooth.box, "3.5")
    type_into(qtbot, made.support.grow.box, "-2")
    settle(made, qtbot)
    assert (session.plan.support.threshold, session.plan.support.smooth_angstrom) == ("otsu", 3.5)
    wanted = finder.find(threshold="otsu", smooth_angstrom=3.5, grow_angstrom=-2.0)
    np.testing.assert_array_equal(shown_support(made), wanted.mask)
    assert made.support.level.value == pytest.approx(wanted.threshold, abs=1e-4)
    type_into(qtbot, made.support.grow.box, "70")
    settle(made, qtbot)
    ratio = number(made, "support-oversampling")
    assert ratio < 2 and "below 2" in made.support.numbers.values["support-oversampling"].text()
    assert made.support.numbers.values["support-oversampling"].alarming


def test_painting_is_kept_or_set_aside_as_wished_and_never_lost(made, qtbot):
    session, before = made.session, made.session.prepared.support.mask
    paint_support(made, qtbot, (0, -4), (0, 4), mode="erase")
    erased = shown_support(made)
    assert erased.sum() < before.sum() and not (erased & ~before).any()
    assert number(made, "support-oversampling") == pytest.approx(erased.size / erased.sum(), abs=0.005)
    np.testing.assert_array_equal(unpack_mask(session.plan.support.removed, where=""), before & ~erased)
    edge = np.argwhere(before).min(axis=0)[0] - before.shape[0] // 2
    top = edge * session.centred.grid.pixel_angstrom
    paint_support(made, qtbot, (top, -3), (top, 3))
    both = shown_support(made)
    assert (both & ~before).any() and session.plan.support.added

    type_into(qtbot, made.support.grow.box, "3")  # kept
    settle(made, qtbot)
    grown = session.support_finder.find(grow_angstrom=3.0).mask
    np.testing.assert_array_equal(shown_support(made), (grown | (both & ~before)) & ~(before & ~erased))
    np.testing.assert_array_equal(make(made, qtbot).support.mask, shown_support(made))

    tick(qtbot, made.support.keep)  # not kept
    type_into(qtbot, made.support.grow.box, "2")
    settle(made, qtbot)
    assert "set aside; Undo brings it back" in made.status.text()
    assert session.plan.support.added is None and session.plan.support.removed is None
    np.testing.assert_array_equal(shown_support(made), session.support_finder.find(grow_angstrom=2.0).mask)
    qtbot.mouseClick(made.support.tools.undo, LEFT)
    settle(made, qtbot)
    assert session.plan.support.grow_angstrom == 3.0 and session.plan.support.added
    assert not shown_support(made)[(before & ~erased)].any()

    qtbot.mouseClick(made.support.back, LEFT)
    settle(made, qtbot)
    np.testing.assert_array_equal(shown_support(made), grown)
    assert not made.support.back.isEnabled()
    for _ in range(3):  # back, growth, the second stroke
        qtbot.mouseClick(made.support.tools.undo, LEFT)
    settle(made, qtbot)
    np.testing.assert_array_equal(shown_support(made), erased)


def test_a_polygon_on_the_main_canvas_joins_the_support(made, qtbot):
    viewer, before = made.controller.viewer, made.session.prepared.support.mask
    native = main_canvas(viewer)
    top, left = (np.argwhere(before).min(axis=0) - before.shape[0] // 2) * made.session.centred.grid.pixel_angstrom
    qtbot.mouseClick(made.support.tools.buttons["polygon"], LEFT)
    for corner in ((top, left), (top, left + 14), (top + 14, left)):
        place = place_in(viewer, native, *corner)
        move(native, place)
        qtbot.wait(20)
        qtbot.mouseClick(native, LEFT, pos=place)
        qtbot.wait(20)
    assert made.session.plan.support.added is None
    qtbot.keyClick(native, Qt.Key.Key_Return)
    settle(made, qtbot)
    added = shown_support(made) & ~before
    assert added.sum() > 20
    np.testing.assert_array_equal(unpack_mask(made.session.plan.support.added, where=""), added)
    assert made.support.tools.buttons["polygon"].isChecked()
    qtbot.mouseClick(made.support.tools.undo, LEFT)
    settle(made, qtbot)
    np.testing.assert_array_equal(shown_support(made), before)


def test_regions_are_previewed_while_the_multiple_slides_and_the_step_makes_the_same(made, qtbot):
    session, before = made.session, made.session.plan
    codes = session.prepared.problem.regions
    np.testing.assert_array_equal(shown_regions(made), codes)
    with SliderDrag(qtbot, made.regions.multiple.slider) as held:
        held.by(10)
        settle(made, qtbot)
        assert session.plan is before
        assert (shown_regions(made) == Region.G).sum() < (codes == Region.G).sum()
    settle(made, qtbot)
    tried = shown_regions(made)
    assert session.plan.regions.noise_multiple == made.regions.multiple.value > 3
    for region in Region:
        assert number(made, f"region-{region.name}") == pytest.approx(100 * (tried == region).mean(), abs=0.006)
    type_into(qtbot, made.regions.alpha.box, "0.45")
    made.regions.form.set_advanced_open(True)
    type_into(qtbot, made.regions.form.editor("beam_radius_per_angstrom"), "0.06")
    settle(made, qtbot)
    tried = shown_regions(made)
    prepared = make(made, qtbot)
    np.testing.assert_array_equal(prepared.problem.regions, tried)
    assert session.plan.regions.alpha == 0.45
    assert number(made, "region-noise") == pytest.approx(prepared.readings["median_noise_electrons"], rel=0.01)
    assert f"G {100 * prepared.readings['regions']['G']:.2f} %" in made.status.text()
    choose(qtbot, made.regions.form.editor("reading"), "upper limit only")
    assert not made.regions.alpha.slider.isEnabled()
    for _ in range(4):
        made.controller.undo()
    settle(made, qtbot)
    assert session.plan == before
    np.testing.assert_array_equal(shown_regions(made), codes)


def test_what_is_painted_in_reciprocal_space_goes_to_m_with_its_mates_if_wished(made, qtbot, picture):
    session = made.session
    assert made.regions.count.text() == "nothing painted"
    paint_regions(made, qtbot, (-0.4, 0.3), (-0.4, 0.5))
    alone = shown_painted(made)
    assert alone.any() and not np.array_equal(alone, with_friedel_mates(alone))
    np.testing.assert_array_equal(unpack_mask(session.plan.regions.excluded, where=""), alone)
    assert (shown_regions(made)[alone] == Region.M).all()
    assert made.regions.count.text() == f"{alone.sum():,} px painted"
    tick(qtbot, made.regions.mates)
    paint_regions(made, qtbot, (0.3, 0.2), (0.3, 0.3))
    both = shown_painted(made)
    fresh = both & ~alone
    assert fresh.any()
    np.testing.assert_array_equal(fresh, with_friedel_mates(fresh))
    prepared = make(made, qtbot)
    assert (prepared.problem.regions[both] == Region.M).all()
    np.testing.assert_array_equal(prepared.problem.regions, shown_regions(made))
    picture(made, "masks-painted")
    paint_regions(made, qtbot, (0.3, 0.2), (0.3, 0.3), mode="erase", size=9)
    np.testing.assert_array_equal(shown_painted(made), alone)
    qtbot.mouseClick(made.regions.clear, LEFT)
    settle(made, qtbot)
    assert not shown_painted(made).any() and session.plan.regions.excluded is None
    assert made.regions.count.text() == "nothing painted"
    qtbot.mouseClick(made.regions.tools.undo, LEFT)
    settle(made, qtbot)
    np.testing.assert_array_equal(shown_painted(made), alone)
    assert (shown_regions(made)[alone] == Region.M).all()


def test_steering_from_the_dock_is_recorded_and_replays_bit_for_bit(made, qtbot):
    controller, session = made.controller, made.session
    controller.change("retrieval", schedule=(Stage("refine", 60, "hio", ("real", "support")),))
    controller.change("ensemble", members=2)
    controller.run(Step.PHASE, paused=True)
    qtbot.waitUntil(lambda: session.steerable and session.live.progress is not None)
    qtbot.wait(100)
    assert not made.support.level.slider.isEnabled() and "run goes on" in made.support.level.slider.toolTip()
    assert not made.regions.form.editor("reading").isEnabled()
    assert made.regions.steers.isVisible()
    type_into(qtbot, made.regions.alpha.box, "0.6")
    assert "next iteration" in made.status.text()
    controller.step_once()
    qtbot.waitUntil(lambda: len(session.live.marks) == 1)
    with SliderDrag(qtbot, made.regions.multiple.slider) as held:
        held.by(8)
    controller.step_once()
    qtbot.waitUntil(lambda: len(session.live.marks) == 2)
    top = np.argwhere(session.prepared.support.mask).min() - session.centred.grid.n // 2
    top *= session.centred.grid.pixel_angstrom
    qtbot.mouseClick(made.support.tools.buttons["paint"], LEFT)
    stroke(qtbot, controller.viewer, main_canvas(controller.viewer), (top, -3), (top, 3))
    view = controller.reciprocal
    qtbot.mouseClick(made.regions.tools.buttons["paint"], LEFT)
    stroke(qtbot, view.model, view.qt_viewer.canvas.native, (-0.4, 0.3), (-0.4, 0.5))
    support, excluded = shown_support(made), shown_painted(made)
    controller.toggle_run()
    qtbot.waitUntil(lambda: not session.busy)
    controller.poll()
    assert session.state(Step.PHASE) is State.DONE, session.errors
    recorded = plan_from_toml(session.result.recipe, where="recipe")
    assert recorded.steering[0].alpha == 0.6
    assert recorded.steering[1].noise_multiple == made.regions.multiple.value > 3
    np.testing.assert_array_equal(unpack_mask(recorded.steering[-1].support, where=""), support)
    np.testing.assert_array_equal(unpack_mask(recorded.steering[-1].excluded, where=""), excluded)
    assert session.plan.regions.alpha == 0.6 and session.plan.support.added and session.plan.regions.excluded
    again = pipeline.run(recorded).reconstruction
    np.testing.assert_array_equal(again.object, session.result.object)
    np.testing.assert_array_equal(again.support, session.result.support)
