"""Atoms and facets in three dimensions: what is in the layers, and what is seen of them."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from ase.data.colors import jmol_colors
from napari.components import ViewerModel
from napari.qt import QtViewer
from qtpy.QtCore import QCoreApplication, QEvent, QObject, Qt
from qtpy.QtWidgets import QMainWindow, QPushButton, QWidget

from napari_subangstrom_cdi.core.crystal.habit import cut_solid, faceted, sphere
from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel
from napari_subangstrom_cdi.core.crystal.unit_cell import Orientation, crystal
from napari_subangstrom_cdi.gui.window.atoms_view import (
    FACETS,
    atom_layers,
    atoms_drawn,
    form_colours,
    show_atoms,
    show_layers,
    solid_layer,
)

CDS, GOLD = crystal("CdS-wurtzite"), crystal("Au")
STANDING = Orientation((0, 0, 1), 10.0, (2.0, 0.0))
PRISM = faceted(CDS, {(1, 0, 0): 12.0, (0, 0, 1): 9.0, (0, 0, -1): 9.0})
ATOMS = cut_solid(CDS, STANDING, PRISM)
BALL = cut_solid(GOLD, Orientation((1, 1, 0)), sphere(24.0))


def test_each_element_has_its_layer_colour_and_size():
    (sulphur, looks, kind), (cadmium, others, _) = atom_layers(ATOMS)
    assert kind == "points" and (looks["name"], others["name"]) == ("S", "Cd")
    np.testing.assert_array_equal(cadmium, ATOMS.positions_angstrom[ATOMS.numbers == 48][:, ::-1])
    assert len(sulphur) + len(cadmium) == len(ATOMS.numbers)
    np.testing.assert_allclose(others["face_color"][:3], jmol_colors[48])
    assert others["size"] > looks["size"] > 0 and looks["units"] == ("Å", "Å", "Å")


def test_of_many_atoms_those_at_the_surface_are_drawn():
    ball = cut_solid(GOLD, Orientation((0, 0, 1)), sphere(70.0))
    drawn = atoms_drawn(ball, 5000)
    radius = np.linalg.norm(ball.positions_angstrom, axis=1)
    assert len(ball.numbers) > 10_000 > len(drawn) == len(set(drawn.tolist()))
    assert set(np.flatnonzero(radius > 32.5)) <= set(drawn.tolist())  # nothing that is seen is missing
    assert radius[drawn].min() > 20
    assert len(atoms_drawn(ball, 50_000)) == len(ball.numbers)


def test_facets_lie_where_the_atoms_end():
    (vertices, triangles, values), looks, kind = solid_layer(PRISM, CDS, STANDING)
    assert kind == "surface" and len(values) == len(vertices) == len(looks["vertex_colors"])
    assert triangles.max() < len(vertices)
    spread = [np.ptp(places, axis=0) for places in (vertices, ATOMS.positions_angstrom[:, ::-1])]
    assert (spread[0] >= spread[1] - 1e-6).all() and (spread[0] < spread[1] + 5.0).all()
    assert len(np.unique(looks["vertex_colors"], axis=0)) == 3  # three forms
    assert list(form_colours(PRISM)) == ["{1 0 0}", "{0 0 1}", "{0 0 -1}", "round"]


def test_layers_take_new_atoms_in_place_and_facets_stay_on_top():
    model = ViewerModel()
    show_layers(model, [*atom_layers(ATOMS), solid_layer(PRISM, CDS, STANDING)])
    assert model.dims.ndisplay == 3
    before = {layer.name: layer for layer in model.layers}
    assert set(before) == {"S", "Cd", FACETS}
    before["Cd"].selected_data = {0}
    small = faceted(CDS, {(1, 0, 0): 8.0, (0, 0, 1): 7.0, (0, 0, -1): 7.0}, rounding_angstrom=2.0)
    fewer = cut_solid(CDS, STANDING, small)
    show_layers(model, [*atom_layers(fewer), solid_layer(small, CDS, STANDING)])
    assert {layer.name: layer for layer in model.layers} == before
    assert len(before["Cd"].data) == np.count_nonzero(fewer.numbers == 48)
    assert len(before[FACETS].data[0]) == len(before[FACETS].vertex_colors)
    show_layers(model, atom_layers(BALL))
    assert [layer.visible for layer in before.values()] == [False] * 3
    gold = model.layers["Au"]
    assert model.layers[-1] is before[FACETS]
    np.testing.assert_allclose(gold.face_color[:, :3], np.tile(jmol_colors[79], (len(gold.data), 1)), atol=1e-6)
    one = AtomicModel(np.array([79, 48]), np.array([[0, 0, 0], [3.0, 0, 0]]))
    show_layers(model, atom_layers(one))
    assert before["Cd"].visible and np.allclose(before["Cd"].face_color[:, :3], jmol_colors[48])
    assert len(gold.data) == 1 and gold.size.tolist() == pytest.approx([gold.current_size])


@pytest.fixture
def window(qtbot):
    """The window for atoms, of a main window that is not napari's: it needs nothing of a viewer."""
    main = QMainWindow()
    main.setCentralWidget(QWidget())
    main.show()
    made = show_atoms(main.centralWidget(), ATOMS, solid=PRISM, crystal=CDS, orientation=STANDING, title="CdS")
    qtbot.waitExposed(made)
    yield made
    main.close()
    made.release()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    main.deleteLater()
    QCoreApplication.sendPostedEvents(main, QEvent.Type.DeferredDelete.value)
    model = made.model
    del made
    gc.collect()
    assert not [canvas for canvas in QtViewer._instances if canvas.viewer is model]


def seen(window) -> np.ndarray:
    """What the canvas shows, RGB."""
    QCoreApplication.processEvents()
    return window.qt_viewer.screenshot(flash=False)[..., :3].astype(float)


def test_the_window_shows_atoms_from_the_side_and_along_the_beam_x_to_the_right_and_y_down(window, qtbot):
    assert window.windowTitle() == "Atoms of CdS"
    assert f"Cd {np.count_nonzero(ATOMS.numbers == 48)}" in window.told.text() and "{1 0 0}" in window.told.text()
    qtbot.waitUntil(lambda: seen(window).max(axis=2).mean() > 20)
    along = seen(window)
    qtbot.mouseClick(window.findChild(QPushButton, "atoms-view-from-the-side"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: np.abs(seen(window) - along).mean() > 5)
    again = show_atoms(window.parentWidget(), BALL, title="gold")
    assert again is window and window.windowTitle() == "Atoms of gold"
    qtbot.waitUntil(lambda: not window.model.layers[FACETS].visible and window.model.layers["Au"].visible)
    assert window.model.scene.camera.angles == pytest.approx((0, 90, 0))  # as it was looked at

    # one atom of sulphur before one of cadmium, gold to the right and lead below of them
    places = np.array([[0, 0, -6.0], [0, 0, 6.0], [9.0, 0, 0], [0, 7.0, 0]])
    show_atoms(window.parentWidget(), AtomicModel(np.array([16, 48, 79, 82]), places))
    qtbot.mouseClick(window.findChild(QPushButton, "atoms-view-along-the-beam"), Qt.MouseButton.LeftButton)
    for layer in window.model.layers:
        if layer.name != FACETS:
            layer.shading = "none"

    def middle_of(number: int):
        near = np.abs(seen(window) - 255 * jmol_colors[number]).max(axis=2) < 12
        return np.argwhere(near).mean(axis=0) if near.sum() > 30 else None

    qtbot.waitUntil(lambda: all(middle_of(number) is not None for number in (16, 79, 82)))
    sulphur, gold, lead = (middle_of(number) for number in (16, 79, 82))
    assert gold[1] > sulphur[1] + 20 and abs(gold[0] - sulphur[0]) < 10
    assert lead[0] > sulphur[0] + 20 and abs(lead[1] - sulphur[1]) < 10
    window.model.layers["S"].visible = False
    qtbot.waitUntil(lambda: middle_of(48) is not None)


def test_the_window_ends_with_the_main_window_but_not_when_that_stays_open(window, qtbot):
    model, main = window.model, window.parentWidget()
    refused = _Refuse(main)
    main.installEventFilter(refused)
    main.close()
    QCoreApplication.processEvents()
    assert main.isVisible() and window.isVisible() and window.qt_viewer is not None
    main.removeEventFilter(refused)
    main.close()
    qtbot.waitUntil(lambda: window.qt_viewer is None)
    gc.collect()
    assert not [canvas for canvas in QtViewer._instances if canvas.viewer is model]


class _Refuse(QObject):
    """As somebody who does not want to lose unsaved work."""

    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Close:
            event.ignore()
            return True
        return False
