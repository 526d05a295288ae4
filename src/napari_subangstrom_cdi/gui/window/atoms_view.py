"""Atoms in three dimensions: layers for any viewer of napari, and a window of its own beside the two canvases."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import scipy.ndimage as ndi
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from napari.components import ViewerModel
from napari.layers import Points, Surface
from napari.qt import QtViewer
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_subangstrom_cdi.core.crystal.habit import Solid
from napari_subangstrom_cdi.core.crystal.multislice import AtomicModel
from napari_subangstrom_cdi.core.crystal.unit_cell import Crystal, Orientation
from napari_subangstrom_cdi.core.types import Float64
from napari_subangstrom_cdi.gui.canvas.gl_guard import RemovalGuard
from napari_subangstrom_cdi.gui.loop.later import later

from .main_window import main_window_of

LayerData = tuple[Any, dict[str, Any], str]

ALL_DRAWN, MOST_DRAWN = 10_000, 30_000
FACETS = "facets"

_UNITS = ("Å", "Å", "Å")
_AXES = ("z", "y", "x")
_SPHERE = 1.6  # of the covalent radius, as a diameter: neighbours nearly touch
_CELL_ANGSTROM = 4.0  # larger than bonds, so that every such cell inside a particle holds atoms
# after Okabe & Ito, one for each form of facets
_FORM_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
_ROUND_COLOUR = "#b0b0b0"
_FACET_OPACITY = 0.35
_SIZE = (720, 640)
_MARGIN = 0.1
_VIEWS = {"Along the beam": (0.0, 0.0, 0.0), "From the side": (0.0, 90.0, 0.0), "Aslant": (15.0, 35.0, 15.0)}


# layers


def atom_layers(atoms: AtomicModel, *, every_up_to: int = ALL_DRAWN) -> list[LayerData]:
    """A layer of points for each element, as napari's layer data tuples; axes z (along the beam), y, x in Å.

    Of many atoms only those at the surface are drawn, which hide the others anyhow; the layers' metadata say how many
    atoms there are.

    Parameters
    ----------
    atoms : AtomicModel
        The particle.
    every_up_to : int
        Number of atoms beyond which only those at the surface are drawn.
    """
    drawn = atoms_drawn(atoms, every_up_to)
    layers: list[LayerData] = []
    for number in np.unique(atoms.numbers).tolist():
        here = drawn[atoms.numbers[drawn] == number]
        options = {
            "name": chemical_symbols[number],
            "size": _SPHERE * float(covalent_radii[number]),
            "face_color": np.append(jmol_colors[number], 1.0),
            "border_width": 0.0,
            "shading": "spherical",
            "antialiasing": 0,
            "units": _UNITS,
            "axis_labels": _AXES,
            "metadata": {"atoms": int(np.count_nonzero(atoms.numbers == number)), "drawn": len(here)},
        }
        layers.append((atoms.positions_angstrom[here, ::-1], options, "points"))
    return layers


def atoms_drawn(atoms: AtomicModel, every_up_to: int = ALL_DRAWN) -> NDArray[np.intp]:
    """Which atoms are drawn: all, or those within some ångström of the surface, of these no more than 30,000."""
    every = np.arange(len(atoms.numbers))
    if len(every) <= every_up_to:
        return every
    cells = np.floor((atoms.positions_angstrom - atoms.positions_angstrom.min(axis=0)) / _CELL_ANGSTROM).astype(int)
    filled = np.zeros(cells.max(axis=0) + 3, np.bool_)
    place = tuple((cells + 1).T)
    filled[place] = True
    inner = ndi.binary_erosion(filled, np.ones((3, 3, 3), np.bool_))
    outer = every[~inner[place]]
    step = -(-len(outer) // MOST_DRAWN)
    return outer[::step]


def solid_layer(solid: Solid, crystal: Crystal, orientation: Orientation) -> LayerData:
    """The surface of a solid as it stands in the beam, translucent, a colour for each form of facets."""
    surface = solid.surface()
    vertices = surface.vertices_angstrom @ orientation.matrix(crystal).T
    palette = np.array([[int(text[k : k + 2], 16) / 255 for k in (1, 3, 5)] for text in form_colours(solid).values()])
    forms = list(form_colours(solid))
    kinds = [forms.index(_form(solid, facet)) for facet in surface.facets.tolist()]
    colours = np.column_stack([palette[kinds], np.ones(len(kinds))])
    options = {
        "name": FACETS,
        "vertex_colors": colours,
        "opacity": _FACET_OPACITY,
        "blending": "translucent_no_depth",  # atoms are seen through the facets
        "shading": "none",
        "units": _UNITS,
        "axis_labels": _AXES,
    }
    return ((vertices[:, ::-1], surface.triangles, np.ones(len(vertices))), options, "surface")


def form_colours(solid: Solid) -> dict[str, str]:
    """Colour of each form of facets, and of what is round, by name."""
    names = list(dict.fromkeys(solid.forms or [""] * len(solid.normals)))
    colours = {name: _FORM_COLOURS[k % len(_FORM_COLOURS)] for k, name in enumerate(names)}
    return {**colours, "round": _ROUND_COLOUR}


def _form(solid: Solid, facet: int) -> str:
    if facet < 0:
        return "round"
    return solid.forms[facet] if solid.forms else ""


def show_layers(model: ViewerModel, layers: Sequence[LayerData]) -> None:
    """Show layers in a viewer of three dimensions; those of the same name and kind take the new data.

    Others that were made here are emptied and hidden, not removed: to remove a layer and add another in one go has
    crashed in software OpenGL.
    """
    model.dims.ndisplay = 3
    there = {(layer.name, type(layer)): layer for layer in model.layers}
    shown = set()
    for data, options, kind in layers:
        made = Points if kind == "points" else Surface
        layer = there.get((options["name"], made))
        if layer is None:
            layer = made(data, **options)
            model.layers.insert(0 if kind == "points" else len(model.layers), layer)  # facets over the atoms
        elif isinstance(layer, Points):
            _renew_points(layer, data, options)
        else:
            _renew_surface(cast(Surface, layer), data, options)
        shown.add(layer)
    for layer in model.layers:
        if layer not in shown:
            layer.visible = False


def _renew_points(layer: Points, data: Float64, options: dict[str, Any]) -> None:
    layer.selected_data = set()
    layer.current_size, layer.current_face_color = options["size"], options["face_color"]  # of points that are new
    layer.data = data
    layer.metadata = options["metadata"]
    layer.visible = True


def _renew_surface(layer: Surface, data: Any, options: dict[str, Any]) -> None:
    layer.vertex_colors = None  # as many as there were vertices
    layer.data = data
    layer.vertex_colors = options["vertex_colors"]
    layer.visible = True


def look_along_the_beam(model: ViewerModel) -> None:
    """With x to the right, y down, z away, as in image and pattern; without perspective, columns are points."""
    model.scene.camera.orientation = ("away", "down", "right")
    model.scene.camera.perspective = 0.0
    model.reset_view(margin=_MARGIN)
    model.scene.camera.angles = _VIEWS["Along the beam"]


# the window


class AtomsWindow(QWidget):
    """A window with the atoms of a particle, that belongs to a main window and ends with it.

    Parameters
    ----------
    main : QWidget
        napari's main window.
    theme : str
        Name of napari's theme.
    """

    def __init__(self, main: QWidget, theme: str = "dark") -> None:
        super().__init__(main, Qt.WindowType.Window)
        self.setObjectName("atoms-window")
        self.setWindowTitle("Atoms")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._main = main
        self._closed = False
        self.model = ViewerModel(title="atoms", ndisplay=3)
        self.model.theme = theme
        self.qt_viewer: QtViewer | None = QtViewer(self.model)
        self.qt_viewer.setAcceptDrops(False)
        RemovalGuard(self.model, self.qt_viewer)
        self.model.canvas.overlays.scale_bar.visible = True
        self.told = QLabel()
        self.told.setObjectName("atoms-told")
        self.told.setContentsMargins(8, 3, 8, 3)
        self.told.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.views = {name: self._view_button(name) for name in _VIEWS}
        bar = QHBoxLayout()
        bar.setContentsMargins(6, 4, 6, 4)
        for button in self.views.values():
            bar.addWidget(button)
        bar.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(bar)
        column.addWidget(self.qt_viewer, stretch=1)
        column.addWidget(self.told)
        self.resize(*_SIZE)
        main.installEventFilter(self)

    def _view_button(self, name: str) -> QPushButton:
        button = QPushButton(name)
        button.setObjectName(f"atoms-view-{name.lower().replace(' ', '-')}")
        button.setToolTip("Turn with the left button, move with Shift, zoom with the wheel")
        button.clicked.connect(lambda: self.look(name))
        return button

    def look(self, name: str) -> None:
        """Turn to one of the views."""
        self.model.reset_view(margin=_MARGIN, reset_camera_angle=False)
        self.model.scene.camera.angles = _VIEWS[name]

    def show_atoms(self, atoms: AtomicModel, facets: LayerData | None = None, legend: str = "") -> None:
        """Show these atoms, as large as the window; the first time along the beam, then as they were looked at."""
        first = not self.model.layers
        layers = atom_layers(atoms)
        show_layers(self.model, layers if facets is None else [*layers, facets])
        if first:
            look_along_the_beam(self.model)
        later(self, self._fill)  # once the canvas has its size
        self.told.setText(_told(layers) + legend)

    def _fill(self) -> None:
        if not self._closed:
            self.model.reset_view(margin=_MARGIN, reset_camera_angle=False)

    # its end

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Close with the main window, once it has truly closed."""
        if event is not None and watched is self._main and event.type() == QEvent.Type.Close:
            later(self, self._close_with_main)
        return bool(super().eventFilter(watched, event))

    def _close_with_main(self) -> None:
        if not self._main.isVisible():
            self.close()

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Release the canvas; a closed window is not shown again."""
        self.release()
        super().closeEvent(event)

    def release(self) -> None:
        """What closing does; may be called again."""
        if self._closed:
            return
        self._closed = True
        if isalive(self._main):
            self._main.removeEventFilter(self)
        if self.qt_viewer is not None and isalive(self.qt_viewer):
            self.qt_viewer.close()
        # napari counts the canvases that are alive; ours is not to wait for the garbage collector with this widget
        self.qt_viewer = None


def show_atoms(
    widget: QWidget,
    atoms: AtomicModel,
    *,
    solid: Solid | None = None,
    crystal: Crystal | None = None,
    orientation: Orientation | None = None,
    title: str = "",
    theme: str = "dark",
) -> AtomsWindow:
    """Show a particle in the window for atoms, which is made at first and brought to the front again later.

    Parameters
    ----------
    widget : QWidget
        Any widget of napari's window, for instance the dock that asks.
    atoms : AtomicModel
        The particle.
    solid, crystal, orientation
        What it was cut to, and how that stands; all three or none.
    title : str
        For the window's title.
    theme : str
        Name of napari's theme.
    """
    main = main_window_of(widget) or widget.window()
    window = main.findChild(AtomsWindow, "atoms-window", Qt.FindChildOption.FindDirectChildrenOnly)
    if window is None or window.qt_viewer is None:
        window = AtomsWindow(main, theme)
    facets, legend = None, ""
    if solid is not None and crystal is not None and orientation is not None:
        facets = solid_layer(solid, crystal, orientation)
        legend = _legend(solid)
    window.show_atoms(atoms, facets, legend)
    window.setWindowTitle(f"Atoms of {title}" if title else "Atoms")
    window.show()
    window.raise_()
    return window


def _told(layers: Sequence[LayerData]) -> str:
    """How many atoms of which element there are, in the colours of the layers, and how many of them are drawn."""
    parts = []
    for _, options, _ in layers:
        red, green, blue = (round(255 * channel) for channel in options["face_color"][:3])
        count = options["metadata"]["atoms"]
        parts.append(_dot(f"#{red:02x}{green:02x}{blue:02x}", f"{options['name']} {count:,}"))
    total, drawn = (sum(options["metadata"][key] for _, options, _ in layers) for key in ("atoms", "drawn"))
    rest = "" if drawn == total else f" &nbsp; {drawn:,} of {total:,} are drawn: those at the surface"
    return " &nbsp; ".join(parts) + rest


def _legend(solid: Solid) -> str:
    colours = form_colours(solid)
    seen = {_form(solid, facet) for facet in np.unique(solid.surface().facets).tolist()}
    return "".join(" &nbsp; " + _dot(colours[name], name) for name in colours if name and name in seen)


def _dot(colour: str, text: str) -> str:
    return f'<span style="color:{colour}">●</span> {html.escape(text)}'
