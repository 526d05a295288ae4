"""The Simulate dock: settings, records as the job of the workflow, a folder to keep them in, and a way out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.docks.simulate import _values_of
from napari_subangstrom_cdi.gui.window import opening
from napari_subangstrom_cdi.parameters import declared
from napari_subangstrom_cdi.session.session import State, Step
from napari_subangstrom_cdi.simulation.faults import FaultSettings
from napari_subangstrom_cdi.simulation.settings import read_simulation


@pytest.fixture
def dock(controller, viewer, qtbot):
    from napari_subangstrom_cdi.gui.docks.simulate import SimulateDock

    dock = SimulateDock(viewer)
    viewer.window.add_dock_widget(dock, name="Simulate", area="right")
    dock.form.set_advanced_open(True)
    qtbot.waitUntil(dock.isVisible)
    yield dock
    qtbot.waitUntil(lambda: not dock._task.busy)


def enter(dock, qtbot, name: str, text: str) -> None:
    """Type a value and press Return."""
    editor = dock.form.editor(name)
    editor.setFocus()
    editor.selectAll()
    qtbot.keyClick(editor, Qt.Key.Key_Delete)
    qtbot.keyClicks(editor, text)
    qtbot.keyClick(editor, Qt.Key.Key_Return)


def small(dock, qtbot) -> None:
    """A particle that is simulated in a moment."""
    dock.crystal.picked.emit("CdS-zincblende")
    enter(dock, qtbot, "zone", "1 1 0")
    enter(dock, qtbot, "diameter_angstrom", "40")
    enter(dock, qtbot, "tilt_x_deg", "0.25")
    enter(dock, qtbot, "detector_px", "512")
    enter(dock, qtbot, "detector_pixel_um", "100")


def press(button, qtbot) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_settings_are_checked_and_a_simulation_can_be_cancelled(dock, controller, qtbot, tmp_path):
    every_setting_of_the_form_reaches_the_simulation(dock)
    before = controller.session.plan
    enter(dock, qtbot, "zone", "1 1")
    press(dock.button, qtbot)
    qtbot.waitUntil(lambda: "is no zone axis" in dock.status.text())
    enter(dock, qtbot, "diameter_angstrom", "40")
    enter(dock, qtbot, "zone", "1 1 0")
    (tmp_path / "file").write_text("")
    dock.folder.setText(str(tmp_path / "file"))
    press(dock.button, qtbot)
    assert "give another folder" in dock.status.text() and dock.status.level() == "error"
    dock.folder.setText(str(tmp_path / "never"))
    press(dock.button, qtbot)
    assert not dock.button.isEnabled()
    press(dock.cancel, qtbot)
    assert dock.cancel.text() == "Cancelling…" and not dock.cancel.isEnabled()
    qtbot.waitUntil(lambda: not dock._task.busy)
    assert "cancelled" in dock.status.text() and dock.status.level() == "warning"
    assert dock.button.isEnabled() and controller.session.plan == before and not (tmp_path / "never").exists()


def every_setting_of_the_form_reaches_the_simulation(dock) -> None:
    given = {
        "zone": "1 1 2", "diameter_angstrom": 55.0, "thickness_angstrom": 31.0, "prism": "1 -1 0",
        "facets": "1 1 1:35, 1 0 0:38.5", "tilt_x_deg": 0.5,
        "tilt_y_deg": -0.25, "azimuth_deg": 12.0, "boundary_shift_angstrom": 1.6, "wave": "kinematic",
        "dose_per_angstrom2": 5000.0, "coherence_angstrom": 200.0, "beam_stop_per_angstrom": 0.02,
        "saturation_counts": 4000,
        "detector_px": 512, "detector_pixel_um": 100.0, "defocus_nm": -50.0, "information_limit_per_angstrom": 0.6,
        "image_electrons_per_pixel": 90.0, "b_factor": 0.4, "substrate": False, "noise": False, "faults": False,
        "seed": 8,
    }  # fmt: skip
    assert given.keys() == dock.form.values().keys()
    dock.form.set_values(given)
    settings = dock.settings()
    particle, microscope = settings.particle, settings.microscope
    for name, value in given.items():
        for part in (particle, microscope):
            if hasattr(part, name) and name != "facets":
                assert getattr(part, name) == value
    assert particle.tilt_deg == (0.5, -0.25) and settings.seed == 8
    assert particle.facets == {"1 1 1": 35.0, "1 0 0": 38.5}
    assert _values_of(settings) == given
    assert microscope.inelastic == 0 and microscope.graphene_layers == 0
    every_fault_of_the_fold_reaches_the_simulation(dock)
    dock.form.set_values({"facets": "1 1 1 at 35"})
    with pytest.raises(InputError, match="is no facet"):
        dock.settings()
    dock.form.set_values({"prism": None, "thickness_angstrom": None, "facets": None})


def every_fault_of_the_fold_reaches_the_simulation(dock) -> None:
    assert not dock.settings().faults.any() and not dock.faults.isVisible()
    dock.faults_fold.button.setChecked(True)
    assert dock.faults.isVisible()
    numbers = [name for name, known in declared(FaultSettings).items() if known.kind in ("float", "int")]
    given = {name: 1 + k for k, name in enumerate(numbers)}
    given |= {"stop_arm_per_angstrom": 0.05, "neighbour_size": 1.25, "gap_value": "nan", "mirrored": True}
    dock.faults.set_values(given)
    assert dock.settings().faults == FaultSettings(**given)
    dock.faults.set_values(asdict(FaultSettings()))


def test_records_become_the_job_and_are_loaded(dock, controller, viewer, qtbot, tmp_path, picture):
    small(dock, qtbot)
    press(dock.button, qtbot)
    assert not dock.button.isEnabled() and dock.cancel.isEnabled() and dock.bar.isVisible()
    wait_for_job(controller, qtbot, dock)
    assert set(controller.session.temporary_inputs) == {"pattern", "background", "image"}
    assert "kept" not in dock.status.text() and not dock.bar.isVisible()
    assert opening.find_dock(viewer, opening.WORKFLOW).isVisible()
    picture(viewer.window._qt_window, "dock-simulate")

    folder = tmp_path / "kept"
    dock.faults.set_values({"ellipse_percent": 1.5, "gap_px": 4, "gap_value": "65535"})
    dock.folder.setText(str(folder))
    enter(dock, qtbot, "seed", "4")
    press(dock.button, qtbot)
    wait_for_job(controller, qtbot, dock)
    session = controller.session
    assert f"kept in {folder}" in dock.status.text()
    assert session.plan.inputs.pattern == str(folder / "particle.tif")
    assert (session.plan.inputs.crystal, session.plan.model.zone) == ("CdS-zincblende", "1 1 0")
    known = json.loads((folder / "acquisition.json").read_text())
    assert session.plan.acquisition.defocus_nm == known["defocus_nm"]
    assert session.loaded.diameter_angstrom == pytest.approx(40, abs=8)
    settings = read_simulation(folder / "simulation.toml")
    assert settings.particle.tilt_deg == (0.25, 0.0) and settings.seed == 4
    assert settings.faults.given() == {"ellipse_percent": 1.5, "gap_px": 4, "gap_value": "65535"}
    assert (folder / "mask.tif").is_file()


def wait_for_job(controller, qtbot, dock) -> None:
    qtbot.waitUntil(lambda: "atoms recorded" in dock.status.text())
    qtbot.waitUntil(lambda: not controller.session.busy)
    controller.poll()
    assert controller.session.state(Step.DATA) is State.DONE, controller.session.errors


def test_simulated_samples_are_made_once(viewer, own_data_folder, monkeypatch):
    from napari_subangstrom_cdi.gui.window.preferences import PLUGIN
    from napari_subangstrom_cdi.plugin import sample as napari_sample
    from napari_subangstrom_cdi.simulation.settings import MicroscopeSettings, ParticleSettings, Simulation

    tiny = Simulation(ParticleSettings("CdS-zincblende", "1 1 0", 30.0), MicroscopeSettings(detector_px=256), seed=2)
    monkeypatch.setattr(napari_sample, "_BOUNDARY", tiny)  # the sample's own takes seconds
    layers = viewer.open_sample(PLUGIN, "boundary_records")
    assert [layer.metadata["role"] for layer in layers] == ["background", "pattern", "image"]
    assert {str(unit) for unit in viewer.layers.units} == {"pixel"}
    path = layers[1].metadata["path"]
    assert path.startswith(str(own_data_folder))
    first = np.array(layers[1].data)
    stamp = Path(path).stat().st_mtime_ns
    viewer.layers.clear()
    again = viewer.open_sample(PLUGIN, "boundary_records")[1]
    np.testing.assert_array_equal(again.data, first)
    assert Path(path).stat().st_mtime_ns == stamp
