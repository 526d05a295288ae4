"""The Results dock in a real window: numbers, layers, project, exports, copies."""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit

from napari_subangstrom_cdi.gui.docks.results import ResultsDock
from napari_subangstrom_cdi.gui.widgets.style import colours_of
from napari_subangstrom_cdi.io.cxi import read_cxi, write_cxi
from napari_subangstrom_cdi.job.as_script import as_command, as_python
from napari_subangstrom_cdi.session.session import State, Step

from ..results import GUARD, guarded
from .questions import Answers

OLD = Path(__file__).parents[1] / "data" / "from_0_1_0" / "result.cxi"


@pytest.fixture
def short_run(ready_run):
    return ready_run


@pytest.fixture
def dock(viewer, short_run, do, qtbot):
    dock = ResultsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Results")
    qtbot.waitUntil(dock.isVisible)
    assert dock.hint.isVisible() and not dock.plot.isVisible()
    assert not dock.findChild(object, "results-image").isEnabled()
    do(short_run, Step.PHASE)
    qtbot.wait(50)
    return dock


def click(qtbot, dock, name):
    button = dock.findChild(object, name)
    qtbot.waitUntil(lambda: button.isEnabled() and button.isVisible())  # what is being written comes first
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def choose_file(path, seen=None):
    """Type a name into the next file dialog and accept it."""

    def enter() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QFileDialog):
            if seen is not None:
                seen.append(Path(dialog.selectedFiles()[0]).name if dialog.selectedFiles() else "")
            dialog.findChild(QLineEdit).setText(str(path))
            dialog.accept()
        else:
            QTimer.singleShot(50, enter)

    QTimer.singleShot(50, enter)


def is_seen(layer) -> bool:
    return layer is not None and layer.visible


def wait_for(qtbot, dock, beginning):
    qtbot.waitUntil(lambda: dock.status.text().startswith(beginning))


def test_numbers_layers_exports_and_copies(dock, viewer, short_run, qtbot, tmp_path, picture):
    result, texts = short_run.session.result, {k: v.text() for k, v in dock.numbers.values.items()}
    assert texts["r_factor"] == f"{100 * result.metrics['r_factor']:.1f} %"
    assert texts["members"] == "2 of 2"
    assert dock.plot.shown() == tuple(name for name in ("prtf", "frc") if name in result.curves)
    assert dock.badge.state() == "ready"
    picture(dock, "results")

    # layers; those of a model are not offered without one
    assert not any(dock.layer_buttons[role].isVisible() for role in ("model", "omit map"))
    for name, role in (("phase", "phase"), ("hsv", "phase and amplitude"), ("mean", "ensemble mean")):
        click(qtbot, dock, f"results-show-{name}")
        shown = [other for other in dock.layer_buttons if is_seen(short_run.real.layer(other))]
        assert shown == [role]
        assert [r for r, button in dock.layer_buttons.items() if button.isChecked()] == [role]

    # images, with the pixel
    pixel, seen = result.grid.pixel_angstrom, []
    box = dock.what
    for what, name, expected in (
        ("real part", "a.tif", result.object.real),
        ("amplitude", "b.mrc", np.abs(result.object)),
        ("phase", "c.npy", np.angle(result.object)),
        ("deviation", "d.tif", result.deviation),
    ):
        box.setFocus()
        qtbot.wait(QApplication.keyboardInputInterval() + 50)
        qtbot.keyClicks(box, what[0])
        assert box.currentText() == what
        choose_file(tmp_path / name, seen)
        click(qtbot, dock, "results-image")
        wait_for(qtbot, dock, f"Written: {tmp_path / name}")
        if name.endswith("tif"):
            with tifffile.TiffFile(tmp_path / name) as file:
                found, tags = file.asarray(), file.pages[0].tags
                numerator, denominator = tags["XResolution"].value
                assert file.imagej_metadata["unit"] == "nm"
                assert denominator / numerator * 10 == pytest.approx(pixel, rel=1e-4)
        elif name.endswith("mrc"):
            with mrcfile.open(tmp_path / name) as file:
                found = np.array(file.data)
                assert float(file.voxel_size.x) == pytest.approx(pixel, rel=1e-5)
        else:
            found = np.load(tmp_path / name)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    assert seen == [f"particle_{what}.tif" for what in ("real_part", "amplitude", "phase", "deviation")]

    choose_file(tmp_path / "curves.csv")
    click(qtbot, dock, "results-curves")
    wait_for(qtbot, dock, f"Written: {tmp_path / 'curves.csv'}")
    with open(tmp_path / "curves.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    prtf = result.curves["prtf"]
    assert float(rows[2]["prtf_q_per_angstrom"]) == pytest.approx(prtf.q_per_angstrom[2])
    assert [float(row["prtf"]) for row in rows if row["prtf"]] == pytest.approx(prtf.value[np.isfinite(prtf.value)])

    choose_file(tmp_path / "figure.png")
    click(qtbot, dock, "results-figure")
    wait_for(qtbot, dock, "Written:")
    assert QImage(str(tmp_path / "figure.png")).width() == 2400
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")

    click(qtbot, dock, "results-command")
    plan = short_run.session.plan
    assert QApplication.clipboard().text() == as_command(plan)
    click(qtbot, dock, "results-python")
    assert QApplication.clipboard().text() == as_python(plan)
    assert "copied" in dock.status.text()


def test_save_and_open_in_a_second_window(dock, viewer, short_run, make_napari_viewer, do, qtbot, tmp_path):
    from napari_subangstrom_cdi.gui.window.controller import Controller

    session, path = short_run.session, tmp_path / "job.cxi"
    short_run.real.layer("real part").colormap = "viridis"
    short_run.real.layer("real part").opacity = 0.5
    seen = []
    choose_file(path, seen)
    click(qtbot, dock, "results-do")
    wait_for(qtbot, dock, f"Saved: {path}")
    assert seen == ["particle.cxi"]
    assert dock.button.text() == "Save" and dock.save_as.isVisible()
    assert dock.badge.state() == "done" and not session.unsaved
    click(qtbot, dock, "results-command")
    assert QApplication.clipboard().text() == as_command(session.plan, path)
    np.testing.assert_array_equal(read_cxi(path).object, session.result.object)

    other_viewer = make_napari_viewer(show=True)
    other = ResultsDock(other_viewer)
    other_viewer.window.add_dock_widget(other, name="Results")
    qtbot.waitUntil(other.isVisible)
    controller = Controller.of(other_viewer)
    try:
        choose_file(path)
        click(qtbot, other, "results-open")
        qtbot.waitUntil(lambda: not controller.session.busy and controller.session.prepared is not None)
        controller.poll()
        assert {s: controller.session.state(s) for s in Step} == {s: session.state(s) for s in Step}
        assert controller.session.state(Step.RESULTS) is State.DONE
        for name in ("object", "r_history", "support", "regions", "members"):
            np.testing.assert_array_equal(getattr(controller.session.result, name), getattr(session.result, name))
        plan, opened = session.plan, controller.session.plan
        assert (opened.retrieval, opened.ensemble, opened.support) == (plan.retrieval, plan.ensemble, plan.support)
        layer = controller.real.layer("real part")
        assert layer.colormap.name == "viridis" and layer.opacity == 0.5
        np.testing.assert_array_equal(layer.data, short_run.real.layer("real part").data)
        np.testing.assert_array_equal(controller.real.layer("support").data, short_run.real.layer("support").data)
        assert {k: v.text() for k, v in other.numbers.values.items()} == {
            k: v.text() for k, v in dock.numbers.values.items()
        }
        click(qtbot, other, "results-python")
        assert "save the project" in other.status.text()  # its raw files are the session's own copies
    finally:
        controller.close()
        other_viewer.close()  # an open one would draw in the context of a canvas that goes
        _let_go(controller.reciprocal)


def _let_go(view) -> None:
    from qtpy.QtCore import QCoreApplication, QEvent

    view.deleteLater()
    QCoreApplication.sendPostedEvents(view, QEvent.Type.DeferredDelete.value)
    del view.qt_viewer


def test_unsaved_result_is_not_dropped_by_opening_another(dock, short_run, qtbot, tmp_path):
    with Answers("Cancel") as answers:
        click(qtbot, dock, "results-open")
    assert "not saved" in answers.asked[0] and QApplication.activeModalWidget() is None
    assert short_run.session.unsaved
    wrong = tmp_path / "wrong.cxi"
    wrong.write_text("no HDF5")
    choose_file(wrong)
    with Answers("Discard"):
        click(qtbot, dock, "results-open")
    qtbot.waitUntil(lambda: "wrong.cxi" in dock.status.text())
    assert dock.status.level() == "error"
    assert short_run.session.result is not None and short_run.session.unsaved


def test_changed_settings_are_copied_as_they_stand(dock, short_run, qtbot):
    short_run.change("ensemble", seed=9)
    assert dock.badge.state() == "stale"
    click(qtbot, dock, "results-python")
    [call] = [
        node
        for node in ast.walk(ast.parse(QApplication.clipboard().text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "sacdi.reconstruct"
    ]
    said = {keyword.arg: keyword.value for keyword in call.keywords}
    assert ast.literal_eval(said["seed"]) == 9


def test_what_was_found_without_the_model_is_shown_and_doubts_are_marked(viewer, controller, qtbot, tmp_path, picture):
    dock = ResultsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Results")
    without = {**GUARD["without_model"], "free_r_with_model": 0.35}
    found = guarded(read_cxi(OLD), image_likeness=0.61, without_model=without)
    write_cxi(tmp_path / "guarded.cxi", found)
    assert controller.load(tmp_path / "guarded.cxi")
    qtbot.waitUntil(lambda: not controller.session.busy)
    controller.poll()
    texts = {name: label.text() for name, label in dock.numbers.values.items() if label.isVisible()}
    assert texts["guard.omit_correlations"] == "0.952 to 0.962"
    assert texts["guard.data_alone_angstrom"] == "0.81 Å"
    assert texts["guard.image_likeness"] == "0.610 (below 0.75)"
    assert texts["guard.without_model.image_likeness"] == "0.270"
    assert texts["guard.without_model.correlation"] == "0.925"
    assert texts["guard.without_model.agrees_to_angstrom"] == "0.97 Å"
    assert texts["guard.without_model.free_r_with_model"] == "35.0 % (worse)"
    assert texts["guard.without_model.free_r"] == "10.5 %"
    assert "resolution_px" not in texts
    marked = {name for name, label in dock.numbers.values.items() if label.alarming}
    assert marked == {"guard.image_likeness", "guard.without_model.free_r_with_model"}
    value = dock.findChild(object, "results-guard.image_likeness")
    assert value.accessibleName() == "image likeness" and value.toolTip()
    assert value.palette().color(value.foregroundRole()).name() == colours_of(value).warning
    assert dock.plot.shown() == ("prtf", "frc", "omit", "unaided")
    assert dock.plot.legend() == ("PRTF", "FRC", "omit map", "without model")
    qtbot.waitUntil(lambda: dock.plot.width() > 200)
    picture(dock, "results-guarded")
    assert dock.content.minimumSizeHint().width() <= 331, "the workflow's width in a small window"
