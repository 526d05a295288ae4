"""The Data dock: choosing layers and files, the acquisition, what is missing, and the canvases after loading."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QToolButton,
)

from napari_subangstrom_cdi.session.session import State, Step

PLUGIN = "napari-subangstrom-cdi"


@pytest.fixture
def dock(controller, viewer, qtbot):
    from napari_subangstrom_cdi.gui.docks.data import DataDock

    dock = DataDock(viewer)
    viewer.window.add_dock_widget(dock, name="Data", area="right")
    qtbot.waitUntil(dock.isVisible)
    return dock


@pytest.fixture
def layers(viewer, small_case):
    """The small case as plain layers in pixels, named as a user would; two metadata tell nothing."""
    import mrcfile

    with mrcfile.open(small_case / "image.mrc") as record:
        image = np.array(record.data)
    return {
        "background": viewer.add_image(tifffile.imread(small_case / "background.tif"), name="substrate"),
        "pattern": viewer.add_image(tifffile.imread(small_case / "particle.tif"), name="CdS diffraction"),
        "image": viewer.add_image(image, name="TEM of the particle"),
    }


def combo(dock, role) -> QComboBox:
    return dock.findChild(QComboBox, f"input-{role}")


def note(dock, name) -> str:
    label = dock.findChild(QLabel, name)
    return "" if label.isHidden() else label.text()


def pick(dock, qtbot, role, text) -> None:
    """Choose an entry of a list as a user does, by keys."""
    box = combo(dock, role)
    index = box.findText(text)
    assert index >= 0, [box.itemText(k) for k in range(box.count())]
    box.setFocus()
    down = index - box.currentIndex()
    for _ in range(abs(down)):
        qtbot.keyClick(box, Qt.Key.Key_Down if down > 0 else Qt.Key.Key_Up)
    assert box.currentText() == text


def enter(dock, qtbot, name, text) -> None:
    line = dock.findChild(QLineEdit, name)
    if line.isHidden() or not line.isVisible():
        dock.fold.button.click()
        dock.acquisition.form.set_advanced_open(True)
    line.setFocus()
    line.selectAll()
    qtbot.keyClick(line, Qt.Key.Key_Delete)
    if text.isascii():
        qtbot.keyClicks(line, text)
    else:  # Qt's test keyboard has ASCII keys only
        line.insert(text)
    qtbot.keyClick(line, Qt.Key.Key_Return)


def load_acquisition(dock, qtbot, path) -> None:
    qtbot.mouseClick(dock.findChild(QPushButton, "load-acquisition"), Qt.MouseButton.LeftButton)
    accept_file(qtbot, dock, path)


def accept_file(qtbot, dock, path) -> None:
    qtbot.waitUntil(lambda: dock.findChild(QFileDialog) is not None)
    dialog = dock.findChild(QFileDialog)
    qtbot.waitUntil(dialog.isVisible)
    qtbot.wait(200)  # the folder is being listed
    line = dialog.findChild(QLineEdit, "fileNameEdit")
    line.clear()
    qtbot.keyClicks(line, str(path))
    choose = dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Open)
    qtbot.mouseClick(choose, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.findChild(QFileDialog) is None)


def units_of(canvas) -> set[str]:
    return {str(unit) for unit in canvas.layers.units or ()}


def load(dock, controller, qtbot) -> None:
    qtbot.mouseClick(dock.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not controller.session.busy)
    qtbot.wait(150)


def test_the_sample_is_chosen_by_itself_and_both_canvases_have_their_units(dock, controller, viewer, qtbot):
    viewer.open_sample(PLUGIN, "platelet_records")
    qtbot.waitUntil(lambda: controller.session.plan.inputs.image is not None)
    inputs = controller.session.plan.inputs
    assert [combo(dock, role).currentText() for role in ("pattern", "background", "image")] == [
        "particle pattern",
        "background pattern",
        "TEM image",
    ]
    assert inputs.pattern.endswith("particle.tif")  # the file itself: the layer still holds just that
    assert controller.session.plan.acquisition.energy_ev == 200_000
    assert dock.findChild(QLineEdit, "energy_ev").text() == "200"
    assert note(dock, "data-needed") == ""

    viewer.window.add_dock_widget(controller.reciprocal, name="Reciprocal space", area="bottom")
    before = {layer.name: layer for layer in viewer.layers}
    load(dock, controller, qtbot)
    assert controller.session.state(Step.DATA) is State.DONE
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and len(controller.reciprocal.model.layers) == 3)
    assert list(viewer.layers) == [before["TEM image"]]
    qtbot.waitUntil(lambda: units_of(viewer) == {"angstrom"})
    np.testing.assert_allclose(before["TEM image"].scale, 0.36)
    reciprocal = controller.reciprocal.model.layers
    assert [reciprocal[name] is before[name] for name in ("particle pattern", "background pattern")] == [True, True]
    assert units_of(controller.reciprocal.model) == {"1 / angstrom"}
    assert not before["particle pattern"].visible
    assert reciprocal[-1].name == "record"
    np.testing.assert_allclose(before["particle pattern"].scale, 0.00125, rtol=1e-3)
    np.testing.assert_allclose(before["particle pattern"].world_to_data((0, 0)), (1024, 1024))
    said = note(dock, "data-found")
    assert "2048 × 2048" in said
    assert "94\N{NO-BREAK SPACE}Å" in said
    assert "(estimated)" in said
    # Moved layers can be chosen still, and are.
    assert combo(dock, "pattern").currentText() == "particle pattern"
    qtbot.wait(200)
    drawn = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    assert (drawn.max(axis=-1) > 60).mean() > 0.2
    drawn = controller.reciprocal.qt_viewer.screenshot(flash=False)[..., :3]
    assert (drawn.max(axis=-1) > 60).mean() > 0.02


def test_names_tell_and_a_choice_of_the_user_is_not_overridden(dock, controller, viewer, layers, qtbot):
    qtbot.waitUntil(lambda: combo(dock, "image").currentText() == "TEM of the particle")
    assert combo(dock, "pattern").currentText() == "CdS diffraction"
    assert combo(dock, "background").currentText() == "substrate"
    pick(dock, qtbot, "background", "already subtracted")
    assert controller.session.plan.inputs.background == "none"
    controller.undo()
    assert combo(dock, "background").currentText() == "substrate"
    controller.redo()
    assert combo(dock, "background").currentText() == "already subtracted"
    pick(dock, qtbot, "image", "none")
    viewer.add_image(layers["image"].data + 1, name="TEM image again")
    qtbot.wait(50)
    assert combo(dock, "image").findText("TEM image again") > 0
    assert combo(dock, "image").currentText() == "none"
    assert controller.session.plan.inputs.background == "none"


def test_lists_follow_layers_that_come_are_renamed_and_go(dock, controller, viewer, qtbot):
    layer = viewer.add_image(np.ones((8, 8)))
    qtbot.waitUntil(lambda: combo(dock, "pattern").findText("Image") > 0)
    assert controller.session.plan.inputs.pattern == ""  # a nameless layer may be anything
    layer.name = "mine"
    qtbot.waitUntil(lambda: combo(dock, "pattern").findText("mine") > 0)
    assert combo(dock, "pattern").findText("Image") < 0
    viewer.add_image(np.ones((8, 8, 3), np.uint8), name="photo", rgb=True)
    viewer.add_labels(np.ones((8, 8), np.uint8), name="drawn")
    qtbot.waitUntil(lambda: combo(dock, "support").findText("drawn") > 0)
    assert combo(dock, "pattern").findText("photo") < 0
    assert combo(dock, "pattern").findText("drawn") < 0
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: combo(dock, "pattern").findText("mine") < 0)


def test_a_deleted_layer_is_said_and_its_data_stay_in_use(dock, controller, viewer, layers, small_case, qtbot):
    qtbot.waitUntil(lambda: combo(dock, "image").currentText() == "TEM of the particle")
    load_acquisition(dock, qtbot, small_case / "acquisition.json")
    viewer.layers.remove(layers["pattern"])
    qtbot.waitUntil(lambda: combo(dock, "pattern").currentText() == "CdS diffraction (layer deleted)")
    assert "deleted" in dock.status.text()
    load(dock, controller, qtbot)
    assert controller.session.state(Step.DATA) is State.DONE
    # Deleting the adopted image and a moved layer breaks nothing either.
    qtbot.waitUntil(lambda: layers["background"] in controller.reciprocal.model.layers)
    viewer.layers.remove(layers["image"])
    controller.reciprocal.model.layers.remove(layers["background"])
    qtbot.waitUntil(lambda: combo(dock, "image").currentText() == "TEM of the particle (layer deleted)")
    load(dock, controller, qtbot)
    assert controller.session.state(Step.DATA) is State.DONE
    assert [layer.name for layer in viewer.layers] == ["TEM image"]


def test_missing_values_are_said_before_anything_runs(dock, controller, layers, small_case, qtbot):
    qtbot.waitUntil(lambda: combo(dock, "image").currentText() == "TEM of the particle")
    said = note(dock, "data-needed")
    for words in ("the beam energy", "the defocus", "the camera length", "to invert the contrast transfer"):
        assert words in said
    assert not dock.button.isEnabled()
    assert dock.findChild(QLineEdit, "energy_ev").placeholderText() == "needed"
    load_acquisition(dock, qtbot, small_case / "acquisition.json")
    assert note(dock, "data-needed") == ""
    enter(dock, qtbot, "energy_ev", "")
    assert "the beam energy" in note(dock, "data-needed")
    assert not dock.button.isEnabled()
    controller.undo()
    assert dock.findChild(QLineEdit, "energy_ev").text() == "200"
    assert dock.button.isEnabled()


IMPOSSIBLE = (
    ("energy_ev", "200000", "looks like eV"),
    ("energy_ev", "two hundred", "is no number"),
    ("image_pixel_angstrom", "3.6e-11", "looks like m"),
    ("beam_centre_px", "3", "is no pair"),
    ("known_spacings", "200", "no colon"),
    ("counts_per_electron", "-1", "outside"),
    ("cs_mm", "1.2 V", "'V' is no unit for it; give it in mm"),
    ("energy_ev", "200 V", "'V' is no unit for it; give it in kV"),
    ("known_spacings", "0:2", "0:2 is impossible"),
)
WITH_UNITS = (
    ("energy_ev", "200 kV", 200e3), ("energy_ev", "300keV", 300e3), ("energy_ev", "8e4 eV", 80e3),
    ("camera_length_mm", "0.8 m", 800), ("defocus_nm", "−0,06 µm", -60), ("image_pixel_angstrom", "0.36 A", 0.36),
    ("information_limit_per_angstrom", "5.2 1/nm", 0.52), ("image_to_pattern_rotation_deg", "8.9°", 8.9),
)  # fmt: skip


def test_impossible_values_are_refused_in_words_and_unusual_ones_are_doubted(dock, controller, qtbot):
    for field, typed, said in IMPOSSIBLE:
        before = controller.session.plan
        enter(dock, qtbot, field, typed)
        assert said in note(dock, f"{field}_error")
        assert controller.session.plan == before
        assert dock.findChild(QLineEdit, field).text() == typed  # to be mended, not to be typed again
    enter(dock, qtbot, "defocus_nm", "60,5")
    assert controller.session.plan.acquisition.defocus_nm == 60.5
    assert "overfocus" in note(dock, "acquisition-notes")
    enter(dock, qtbot, "defocus_nm", "−60.5")
    assert controller.session.plan.acquisition.defocus_nm == -60.5
    assert note(dock, "acquisition-notes") == ""
    enter(dock, qtbot, "known_spacings", "223.5:3.58, 365: 2.19")
    assert controller.session.plan.pattern.known_spacings == ((223.5, 3.58), (365.0, 2.19))
    enter(dock, qtbot, "beam_centre_px", "3.5, -2")
    assert controller.session.plan.acquisition.beam_centre_px == (3.5, -2.0)


def test_a_value_may_be_typed_with_its_unit_or_one_that_leaves_no_doubt(dock, controller, qtbot):
    for field, typed, value in WITH_UNITS:
        enter(dock, qtbot, field, typed)
        assert note(dock, f"{field}_error") == ""
        assert getattr(controller.session.plan.acquisition, field) == pytest.approx(value)
    assert dock.findChild(QLineEdit, "energy_ev").text() == "80"


def test_an_acquisition_file_that_is_damaged_is_said(dock, controller, tmp_path, qtbot):
    (tmp_path / "bad.json").write_text('{"beam_energy_kV": }')
    dock.fold.button.click()
    load_acquisition(dock, qtbot, tmp_path / "bad.json")
    assert "not valid JSON" in note(dock, "acquisition-notes")
    (tmp_path / "odd.json").write_text(json.dumps({"beam_energy_kV": 200, "beam_enrgy": 1}))
    load_acquisition(dock, qtbot, tmp_path / "odd.json")
    assert "unknown key 'beam_enrgy'" in note(dock, "acquisition-notes")
    assert controller.session.plan.acquisition.energy_ev == 200_000


def test_files_are_browsed_for_and_dropped(dock, controller, small_case, tmp_path, qtbot):
    qtbot.mouseClick(dock.rows["pattern"].browse, Qt.MouseButton.LeftButton)
    accept_file(qtbot, dock, small_case / "particle.tif")
    assert combo(dock, "pattern").currentText() == "particle.tif"
    assert controller.session.plan.inputs.pattern == str(small_case / "particle.tif")
    drop(dock.rows["image"], small_case / "image.mrc")
    assert combo(dock, "image").currentText() == "image.mrc"
    # The MRC header states the pixel, and nothing else was known.
    assert controller.known.acquisition.image_pixel_angstrom == pytest.approx(0.72)
    assert controller.session.plan.acquisition.image_pixel_angstrom is None, "the user states nothing"
    line, doubted = dock.findChild(QLineEdit, "image_pixel_angstrom"), dock.findChild(QLabel, "data-doubted")
    assert line.text() == "0.72" and note(dock, "image_pixel_angstrom_note") == "from image.mrc"
    assert "cell" in dock.findChild(QLabel, "image_pixel_angstrom_note").toolTip()
    assert "the image pixel" not in note(dock, "data-needed")
    enter(dock, qtbot, "image_pixel_angstrom", "0.8")  # what is typed wins
    assert controller.known.acquisition.image_pixel_angstrom == 0.8
    assert note(dock, "image_pixel_angstrom_note") == "image.mrc says 0.72"
    assert "0.8 in the acquisition contradicts" in doubted.text() and "0.72" in doubted.text()
    qtbot.mouseClick(dock.findChild(QToolButton, "image_pixel_angstrom_reset"), Qt.MouseButton.LeftButton)
    assert line.text() == "0.72" and note(dock, "image_pixel_angstrom_note") == "from image.mrc"
    assert doubted.isHidden() and not dock.findChild(QToolButton, "image_pixel_angstrom_reset").isVisible()
    enter(dock, qtbot, "image_pixel_angstrom", "0.8")
    enter(dock, qtbot, "image_pixel_angstrom", "")  # emptied, the file's comes back
    assert line.text() == "0.72"
    enter(dock, qtbot, "image_pixel_angstrom", "")
    assert line.text() == "0.72" and controller.session.plan.acquisition.image_pixel_angstrom is None
    drop(dock.rows["background"], small_case / "image.mrc")
    assert "given as background, but states a pixel of real space" in doubted.text()
    (tmp_path / "notes.txt").write_text("no image")
    drop(dock.rows["background"], tmp_path / "notes.txt")
    assert "holds text" in note(dock, "input-background-note")
    assert controller.session.plan.inputs.background == str(small_case / "image.mrc")
    assert combo(dock, "background").currentText() == "image.mrc"


def drop(row, path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    how = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(row, QDragEnterEvent(QPoint(5, 5), *how))
    QApplication.sendEvent(row, QDropEvent(QPointF(5, 5), *how))


def test_a_background_of_another_size_is_said_at_once(dock, controller, layers, viewer, small_case, qtbot):
    qtbot.waitUntil(lambda: combo(dock, "image").currentText() == "TEM of the particle")
    viewer.add_image(np.ones((100, 120)), name="other")
    qtbot.waitUntil(lambda: combo(dock, "background").findText("other") > 0)
    pick(dock, qtbot, "background", "other")
    assert "100 × 120 pixels, but the pattern has 384 × 384" in note(dock, "input-background-note")
    load_acquisition(dock, qtbot, small_case / "acquisition.json")
    load(dock, controller, qtbot)
    assert controller.session.state(Step.DATA) is State.FAILED
    assert "(100, 120)" in dock.status.text()
    pick(dock, qtbot, "background", "substrate")
    assert note(dock, "input-background-note") == ""
    load(dock, controller, qtbot)
    assert controller.session.state(Step.DATA) is State.DONE


def test_layers_that_can_be_no_record_say_why(dock, controller, viewer, layers, small_case, qtbot):
    qtbot.waitUntil(lambda: combo(dock, "image").currentText() == "TEM of the particle")
    load_acquisition(dock, qtbot, small_case / "acquisition.json")
    viewer.add_image(np.ones((2, 3, 8, 8)), name="odd")
    qtbot.waitUntil(lambda: combo(dock, "pattern").findText("odd") > 0)
    box = combo(dock, "pattern")
    box.setFocus()
    while box.currentIndex() < box.findText("odd"):
        qtbot.keyClick(box, Qt.Key.Key_Down)
        if note(dock, "input-pattern-note"):
            break
    assert "has 4 axes" in note(dock, "input-pattern-note")
    assert box.currentText() != "odd"
    viewer.layers.remove("odd")
    viewer.add_image(np.zeros((384, 384)), name="black")
    qtbot.waitUntil(lambda: box.findText("black") > 0)
    pick(dock, qtbot, "pattern", "black")
    load(dock, controller, qtbot)
    assert controller.session.state(Step.DATA) is State.FAILED
    assert dock.status.level() == "error"
    assert "unexpected" not in dock.status.text()


def test_frames_of_a_stack_are_added_up_or_one_is_taken(dock, controller, viewer, layers, small_case, qtbot):
    load_acquisition(dock, qtbot, small_case / "acquisition.json")
    particle = layers["pattern"].data
    half = (particle // 2).astype(np.uint32)
    stack = viewer.add_image(np.stack([half, particle - half]), name="frames", units=("pixel",) * 3)
    qtbot.waitUntil(lambda: combo(dock, "pattern").findText("frames") > 0)
    assert not dock.rows["pattern"].frame_mode.isVisible()
    pick(dock, qtbot, "pattern", "frames")
    assert controller.session.plan.inputs.pattern_frame == "sum"
    assert dock.rows["pattern"].frame_mode.isVisible()
    mode = dock.rows["pattern"].frame_mode
    mode.setFocus()
    qtbot.keyClick(mode, Qt.Key.Key_Down)
    assert controller.session.plan.inputs.pattern_frame == 0
    number = dock.rows["pattern"].frame_number
    number.setFocus()
    qtbot.keyClick(number, Qt.Key.Key_Up)
    assert controller.session.plan.inputs.pattern_frame == 1
    mode.setFocus()
    qtbot.keyClick(mode, Qt.Key.Key_Up)
    load(dock, controller, qtbot)
    assert controller.session.state(Step.DATA) is State.DONE
    records = controller.session.loaded.records
    electrons = (particle - records.readings["detector"]["offset_counts"]) / 0.8
    np.testing.assert_allclose(records.particle.electrons, electrons, rtol=1e-4, atol=1e-3)
    qtbot.waitUntil(lambda: stack in controller.reciprocal.model.layers)
    qtbot.waitUntil(lambda: units_of(viewer) == {"angstrom"})
    assert viewer.dims.ndim == 2
    assert layers["pattern"] in controller.reciprocal.model.layers  # chosen by itself at first
    viewer.add_image(np.ones((20, 20)), name="unrelated")
    load(dock, controller, qtbot)
    assert "beside layers in pixels: “unrelated”" in dock.status.text()


def test_pixels_that_were_changed_after_choosing_are_loaded(dock, controller, layers, small_case, qtbot):
    qtbot.waitUntil(lambda: combo(dock, "image").currentText() == "TEM of the particle")
    load_acquisition(dock, qtbot, small_case / "acquisition.json")
    load(dock, controller, qtbot)
    first = controller.session.loaded.records.particle.electrons.sum()
    changed = layers["pattern"].data.copy()
    changed[:50] = changed[50:100]
    layers["pattern"].data = changed
    load(dock, controller, qtbot)
    assert controller.session.state(Step.DATA) is State.DONE
    assert controller.session.loaded.records.particle.electrons.sum() != first
