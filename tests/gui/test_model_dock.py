"""The Model dock: crystal and zone, the fit and its numbers, the hand, and what members then start from."""

from __future__ import annotations

import ase.build
import ase.io
import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit

from napari_subangstrom_cdi.core.phasing.schedule import Stage
from napari_subangstrom_cdi.core.record.calibration import q_pixel_from_spacings
from napari_subangstrom_cdi.gui.canvas import real_view as rv
from napari_subangstrom_cdi.gui.canvas import reciprocal_view as cv
from napari_subangstrom_cdi.gui.canvas._layers import real_space
from napari_subangstrom_cdi.gui.docks.model import ModelDock, share_done
from napari_subangstrom_cdi.gui.docks.parts.model_table import described
from napari_subangstrom_cdi.gui.docks.phase import PhaseDock
from napari_subangstrom_cdi.gui.docks.results import ResultsDock
from napari_subangstrom_cdi.gui.window.atoms_view import AtomsWindow
from napari_subangstrom_cdi.io.atoms import read_atoms
from napari_subangstrom_cdi.session.session import Session, State, Step

from ..hands import LEFT, SliderDrag, tick, type_into

STEPS = (Step.DATA, Step.BACKGROUND, Step.ALIGN, Step.MASKS)


@pytest.fixture
def dock(controller, viewer, qtbot):
    dock = ModelDock(viewer)
    viewer.window.add_dock_widget(controller.reciprocal, name="Reciprocal space", area="left")
    viewer.window.add_dock_widget(dock, name="Model", area="right")
    qtbot.waitExposed(dock)
    return dock


@pytest.fixture
def masked(dock, modelled_job, qtbot):
    """The steps before are done, the crystal is named."""
    with_outputs(dock.session, modelled_job, *STEPS)
    dock.controller.poll()
    return dock


@pytest.fixture
def fitted(dock, modelled_job, qtbot):
    with_outputs(dock.session, modelled_job, *STEPS, Step.MODEL)
    for step in (Step.MASKS, Step.MODEL):
        dock.controller.presenter.show(step)
    settle(dock, qtbot)
    qtbot.waitUntil(lambda: not dock.controller.real.is_making)
    return dock


def with_outputs(session: Session, done: Session, *steps: Step) -> None:
    """Have what another did, without making the layers that show it."""
    session.set_plan(done.plan)
    session.adopt_outputs(done, *steps)
    for step in steps:
        assert session.state(step) is State.DONE


def settle(dock, qtbot) -> None:
    session, previews = dock.session, dock.controller.previews
    qtbot.wait(30)
    qtbot.waitUntil(lambda: not session.busy)
    dock.controller.poll()
    qtbot.waitUntil(lambda: not previews.busy)


def enter(dock, qtbot, text: str) -> None:
    """Type the name of a crystal and press Return."""
    line = dock.crystal.line
    line.setFocus()
    line.selectAll()
    qtbot.keyClick(line, Qt.Key.Key_Delete)
    qtbot.keyClicks(line, text)
    qtbot.keyClick(line, Qt.Key.Key_Return)
    settle(dock, qtbot)


def enter_zone(dock, qtbot, text: str) -> str:
    """Type a zone axis; what is said of it."""
    editor = dock.form.editor("zone")
    editor.setFocus()
    editor.selectAll()
    qtbot.keyClick(editor, Qt.Key.Key_Delete)
    qtbot.keyClicks(editor, text)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    return dock._zone_error


def shown_model(dock) -> np.ndarray:
    return np.array(dock.controller.reciprocal.layer(cv.MODEL_PATTERN).data)


def test_crystal_and_zone_are_named_and_what_is_wrong_is_said(dock, qtbot, tmp_path):
    enter(dock, qtbot, "PbS")
    assert dock.session.plan.inputs.crystal == "PbS"
    assert dock.crystal.note.text() == "PbS; a 5.936 Å, b 5.936 Å, c 5.936 Å; 8 atoms in the cell"
    enter(dock, qtbot, "CdSS")
    assert dock.crystal.note.level() == "error"
    assert "no crystal named 'CdSS'" in dock.crystal.note.text() and "--" not in dock.crystal.note.text()
    dock.controller.undo()
    settle(dock, qtbot)
    assert dock.crystal.line.text() == "PbS" and dock.crystal.note.level() == "info"
    a_zone_has_three_indices_or_four_that_belong_together(dock, qtbot)
    a_cif_is_dropped_and_one_that_is_none_is_said_so(dock, qtbot, tmp_path)
    a_fit_without_crystal_or_zone_says_what_is_missing(dock, qtbot)


def a_zone_has_three_indices_or_four_that_belong_together(dock, qtbot):
    assert "is no zone axis" in enter_zone(dock, qtbot, "1 1")
    assert "do not add up to zero" in enter_zone(dock, qtbot, "0 0 1 1")
    assert "is no zone axis" in enter_zone(dock, qtbot, "up")
    for text in ("0 0 0 1", "1 1 2", "auto", "[11-20]"):
        assert enter_zone(dock, qtbot, text) == ""
        assert dock.session.plan.model.zone == text


def a_cif_is_dropped_and_one_that_is_none_is_said_so(dock, qtbot, tmp_path):
    good, bad = tmp_path / "magnesia.cif", tmp_path / "notes.cif"
    ase.io.write(good, ase.build.bulk("MgO", "rocksalt", a=4.2, cubic=True))
    bad.write_text("dear diary")
    drop(dock.crystal, good)
    settle(dock, qtbot)
    assert dock.session.plan.inputs.crystal == str(good)
    assert dock.crystal.note.text() == "MgO; a 4.200 Å, b 4.200 Å, c 4.200 Å; 8 atoms in the cell"
    drop(dock.crystal, bad)
    settle(dock, qtbot)
    assert dock.crystal.note.level() == "error"
    assert "cannot be read as a CIF" in dock.crystal.note.text() or "no crystal structure" in dock.crystal.note.text()
    enter(dock, qtbot, str(tmp_path / "nowhere.cif"))
    assert "No such file" in dock.crystal.note.text()


def a_fit_without_crystal_or_zone_says_what_is_missing(dock, qtbot):
    enter(dock, qtbot, "")
    qtbot.mouseClick(dock.button, LEFT)
    assert "Which crystal" in dock.status.text() and dock.status.level() == "error"
    enter(dock, qtbot, "Au")
    enter_zone(dock, qtbot, "")
    qtbot.mouseClick(dock.button, LEFT)
    assert "zone axis" in dock.status.text()
    assert not dock.session.busy
    assert not dock.by_hand.isEnabled() and "Fit once" in dock.by_hand.toolTip()


def drop(widget, path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    button, no_key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    middle = QPointF(widget.rect().center())
    entered = QDragEnterEvent(middle.toPoint(), Qt.DropAction.CopyAction, data, button, no_key)
    QApplication.sendEvent(widget, entered)
    assert entered.isAccepted()
    QApplication.sendEvent(widget, QDropEvent(middle, Qt.DropAction.CopyAction, data, button, no_key))


def test_a_fit_tells_how_far_it_is_and_ends_by_cancel_and_with_its_window(masked, qtbot):
    a_wrong_name_fails_in_words_at_once(masked, qtbot)
    a_fit_tells_how_far_it_is_and_can_be_cancelled(masked, qtbot)
    qtbot.mouseClick(masked.button, LEFT)
    qtbot.waitUntil(lambda: "indexing" in masked.session.activity)
    masked.controller.close()
    assert not masked.session.busy and masked.session.model is None


def a_wrong_name_fails_in_words_at_once(masked, qtbot):
    enter(masked, qtbot, "CdSS")
    qtbot.mouseClick(masked.button, LEFT)
    settle(masked, qtbot)
    assert masked.badge.state() == "failed"
    assert masked.status.level() == "error" and "no crystal named 'CdSS'" in masked.status.text()
    masked.controller.undo()
    settle(masked, qtbot)


def a_fit_tells_how_far_it_is_and_can_be_cancelled(masked, qtbot):
    session = masked.session
    assert not masked.bar.isVisible() and not masked.cancel.isEnabled()
    qtbot.mouseClick(masked.button, LEFT)
    qtbot.waitUntil(lambda: "tilt and thickness, orientation 1 of" in masked.status.text())
    assert masked.bar.isVisible() and 0 < masked.bar.value() < masked.bar.maximum()
    qtbot.mouseClick(masked.cancel, LEFT)
    settle(masked, qtbot)
    assert "stopped" in masked.status.text()
    assert session.model is None and not masked.bar.isVisible() and masked.button.isEnabled()


def test_the_bar_goes_forward_through_all_that_a_fit_tells(told_by_fit):
    shares = [share_done(part) for part in told_by_fit]
    assert len(shares) > 6 and shares == sorted(shares) and shares[0] == 0 and 0.9 < shares[-1] < 1
    assert all(shares[1:]), "a part that is not known puts the bar back"
    halves = [share_done(f"model: tilt and thickness, orientation {k} of 2") for k in (1, 2)]
    assert halves[0] < halves[1] < share_done("model: errors")


def test_a_fit_is_shown_moved_by_hand_and_started_from(fitted, viewer, qtbot, picture, tmp_path):
    what_was_found_is_shown_with_its_errors(fitted)
    picture(fitted, "model")
    a_slider_shows_its_pattern_while_it_is_held_and_is_one_change(fitted, qtbot)
    a_roundness_between_the_named_shapes_stays_what_it_is(fitted)
    its_atoms_are_shown_in_three_dimensions(fitted, viewer, qtbot)
    its_atoms_are_saved(fitted, qtbot, tmp_path)
    its_spacings_calibrate_the_pattern_and_undo_takes_them_back(fitted, qtbot)
    a_click_on_the_landscape_sets_the_tilt(fitted, qtbot)
    members_start_from_it_by_the_box_and_by_the_preset(fitted, viewer, qtbot)
    the_pattern_stands_on_the_right_in_the_contrast_of_the_record(fitted, qtbot)


def what_was_found_is_shown_with_its_errors(fitted):
    report, landscape = fitted.session.model.readings, fitted.landscape
    found = fitted.session.model.fitted
    assert fitted.badge.state() == "done"
    texts = {name: label.text() for name, label in fitted.table.values.items()}
    assert texts == described(report)
    assert " ± " in texts["tilt"] and texts["thickness"].endswith(" Å") and " ± " in texts["thickness"]
    assert texts["pattern"] == f"{100 * report['r_pattern']:.1f} %"
    # rows of the landscape are the lean along y, which is a tilt about −x
    for row, column in ((2, 11), (13, 4)):
        tilt = (-found.tilts_deg[row], found.tilts_deg[column])
        assert landscape.r_at(*tilt) == pytest.approx(found.landscape[row, column])
    best = fitted.session.model.fitted.fit.tilt_deg
    assert landscape.marks == (pytest.approx(best), None)
    assert landscape.r_at(*best) == pytest.approx(np.nanmin(found.landscape), rel=0.1)


def the_pattern_stands_on_the_right_in_the_contrast_of_the_record(fitted, qtbot):
    view, trial = fitted.controller.reciprocal, fitted.session.model_trial
    layer, pattern, n = view.layer(cv.MODEL_PATTERN), view.layer(cv.PATTERN), trial.grid.n
    assert layer.visible and layer.data.shape == (n, n // 2)
    np.testing.assert_allclose(layer.data_to_world((n // 2, 0)), (0, 0), atol=1e-9)
    measured, model = np.asarray(pattern.data)[:, n // 2 :], np.asarray(layer.data)
    strong = measured > np.percentile(measured, 99.5)
    assert abs(np.median(model[strong] - measured[strong])) < 0.2, "the same scale, in electrons"
    pattern.contrast_limits = (1.0, 3.0)
    assert list(layer.contrast_limits) == [1.0, 3.0]
    tick(qtbot, fitted.beside)
    assert not layer.visible
    model_object = fitted.controller.real.layer(rv.MODEL)
    assert model_object is not None and not model_object.visible


def a_slider_shows_its_pattern_while_it_is_held_and_is_one_change(fitted, qtbot):
    session, before, hand = fitted.session, fitted.session.plan, fitted.hand
    as_fitted = shown_model(fitted)
    qtbot.mouseClick(fitted.by_hand, LEFT)
    assert hand.isVisible() and hand.values_set == session.model_trial.values
    r_fitted = hand.number.text()
    with SliderDrag(qtbot, hand.thickness.slider) as held:
        held.by(12)
        settle(fitted, qtbot)
        assert not np.array_equal(shown_model(fitted), as_fitted), "seen before it is let go"
        assert session.plan is before and hand.number.text() != r_fitted
    settle(fitted, qtbot)
    thickness = session.plan.model.thickness_angstrom
    assert thickness == pytest.approx(hand.thickness.value) and thickness > session.model_trial.values[1]
    assert session.plan.model.tilt_deg is None, "what was not touched stays fitted"
    assert fitted.badge.state() == "not used"
    type_into(qtbot, hand.tilt_x.box, "0.75")
    settle(fitted, qtbot)
    assert session.plan.model.tilt_deg == (0.75, pytest.approx(session.model_trial.values[0][1]))
    qtbot.mouseClick(hand.back_button, LEFT)
    settle(fitted, qtbot)
    assert session.plan == before and fitted.badge.state() == "done"
    np.testing.assert_array_equal(shown_model(fitted), as_fitted)
    fitted.controller.undo()
    settle(fitted, qtbot)
    assert hand.tilt_x.value == 0.75
    fitted.controller.redo()
    settle(fitted, qtbot)


def a_roundness_between_the_named_shapes_stays_what_it_is(fitted):
    hand, before = fitted.hand, fitted.hand.values_set
    for roundness, said in ((0.375, "roundness 0.375"), (0.0, "prism"), (0.625, "roundness 0.625"), (0.5, "ellipsoid")):
        hand.show_values((*before[:2], roundness))
        assert hand.values_set[2] == roundness and hand.shape.currentText() == said
        assert hand.shape.count() == 4
    hand.show_values(before)
    assert hand.values_set == before


def its_atoms_are_shown_in_three_dimensions(fitted, viewer, qtbot):
    qtbot.mouseClick(fitted.show_3d, LEFT)
    window = viewer.window._qt_window.findChild(AtomsWindow)
    qtbot.waitUntil(window.isVisible)
    assert window.windowTitle() == "Atoms of CdS-wurtzite"
    numbers = fitted.session.model.fitted.atoms.numbers
    shown = {layer.name: len(layer.data) for layer in window.model.layers}
    assert shown == {"Cd": np.count_nonzero(numbers == 48), "S": np.count_nonzero(numbers == 16)}
    window.close()


def its_atoms_are_saved(fitted, qtbot, tmp_path):
    def enter() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QFileDialog):
            QTimer.singleShot(50, enter)
            return
        dialog.findChild(QLineEdit).setText(str(tmp_path / "model.xyz"))
        dialog.accept()

    QTimer.singleShot(50, enter)
    qtbot.mouseClick(fitted.save_atoms, LEFT)
    qtbot.waitUntil(lambda: "atoms saved to" in fitted.status.text())
    assert len(read_atoms(tmp_path / "model.xyz").numbers) == fitted.session.model.readings["atoms"]


def its_spacings_calibrate_the_pattern_and_undo_takes_them_back(fitted, qtbot):
    session, before = fitted.session, fitted.session.plan
    assert fitted.calibrate.isEnabled() and not before.pattern.known_spacings
    qtbot.mouseClick(fitted.calibrate, LEFT)
    spacings = session.plan.pattern.known_spacings
    q_pixel = q_pixel_from_spacings(*zip(*spacings, strict=True)).q_pixel_per_angstrom
    assert q_pixel == pytest.approx(session.loaded.calibration.q_pixel_per_angstrom, rel=2e-3), "it was right"
    assert session.state(Step.DATA) is State.STALE and not fitted.calibrate.isEnabled()
    assert "calibrate" in fitted.status.text()
    fitted.controller.undo()
    settle(fitted, qtbot)
    assert session.plan == before and session.state(Step.DATA) is State.DONE and fitted.calibrate.isEnabled()


def a_click_on_the_landscape_sets_the_tilt(fitted, qtbot):
    landscape, as_fitted = fitted.landscape, shown_model(fitted)
    qtbot.mouseClick(landscape.viewport, LEFT, pos=landscape.place_of(1.0, -0.5).toPoint())
    settle(fitted, qtbot)
    assert fitted.session.plan.model.tilt_deg == pytest.approx((1.0, -0.5), abs=0.05)
    assert landscape.marks[1] == fitted.session.plan.model.tilt_deg
    assert fitted.hand.isVisible() and fitted.hand.tilt_x.value == pytest.approx(1.0, abs=0.05)
    assert not np.array_equal(shown_model(fitted), as_fitted)
    qtbot.mouseClick(landscape.viewport, LEFT, pos=landscape.place_of(-1.95, 1.95).toPoint())
    assert fitted.session.plan.model.tilt_deg == pytest.approx((1.0, -0.5), abs=0.05), "nothing was asked for there"
    fitted.controller.undo()
    settle(fitted, qtbot)
    assert landscape.marks[1] is None


def members_start_from_it_by_the_box_and_by_the_preset(fitted, viewer, qtbot):
    phase, session = PhaseDock(viewer), fitted.session
    qtbot.addWidget(phase)
    tick(qtbot, fitted.use)
    assert session.plan.model.use and session.plan.retrieval.preset == "model"
    assert phase.form.values()["preset"] == "model" and [s.name for s in session.schedule] == ["complex"]
    assert session.state(Step.PHASE) is State.READY, "the fit is there"
    phase.form.changed.emit("preset", "extend")
    assert not fitted.use.isChecked() and session.state(Step.MODEL) is State.DONE
    fitted.controller.change("retrieval", schedule=(Stage("own", 3, "er", ("support",)),))
    tick(qtbot, fitted.use)
    assert session.plan.model.use and session.plan.retrieval.schedule[0].name == "own"
    tick(qtbot, fitted.use)
    assert not session.plan.model.use


def test_a_result_brings_its_omit_map_to_the_model(fitted, run_from_model, viewer, qtbot):
    controller, session = fitted.controller, fitted.session
    session.set_plan(run_from_model.plan)
    session.adopt_outputs(run_from_model.session, Step.PHASE)
    assert session.state(Step.PHASE) is State.DONE
    controller.presenter.begin(Step.PHASE)
    controller.presenter.show(Step.PHASE)
    assert not controller.reciprocal.layer(cv.MODEL_PATTERN).visible, "the whole record is to be seen"
    qtbot.waitUntil(lambda: controller.real.layer(rv.OMIT) is not None)
    omit, model, result = controller.real.layer(rv.OMIT), controller.real.layer(rv.MODEL), session.result
    assert not omit.visible and not model.visible
    results = ResultsDock(viewer)
    qtbot.addWidget(results)
    results.show()
    qtbot.mouseClick(results.layer_buttons[rv.OMIT], LEFT)
    assert omit.visible and not controller.real.layer(rv.REAL).visible
    rows, columns = rv.box_of(result.support)
    np.testing.assert_array_equal(omit.data, result.omit_map[rows, columns].real)
    # both at the result's origin: the model's lattice lies on that of the result
    place = real_space(result.grid, rv.box_of(session.prepared.support.mask)).translate
    shift = np.array(result.metrics["origin_shift_px"]) * result.grid.pixel_angstrom
    np.testing.assert_allclose(model.translate, np.add(place, shift))
