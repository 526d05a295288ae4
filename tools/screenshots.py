"""Take the pictures of the documentation from the real window, with the bundled sample and the docks' own buttons.

    python tools/screenshots.py [--out docs/images] [--theme dark|light] [--members 20] [--upto PART]
        [--only PATTERN]

Needs a display; without one: ``xvfb-run -s "-screen 0 1600x1000x24" python tools/screenshots.py``. The user's own
settings and recovery files are not touched.
"""

# ruff: noqa: E402  (where napari keeps its settings must be said before it is imported)

from __future__ import annotations

import argparse
import fnmatch
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SCRATCH = tempfile.TemporaryDirectory(prefix="subangstrom-pictures-")
os.environ["NAPARI_CONFIG"] = str(Path(_SCRATCH.name) / "napari.yaml")
os.environ["NAPARI_SUBANGSTROM_CDI_DATA"] = str(Path(_SCRATCH.name) / "data")

import h5py
import napari
from PIL import Image
from qtpy.QtCore import QPoint, QPointF, QRect, Qt
from qtpy.QtGui import QImage, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QSlider, QStyle, QStyleOptionSlider, QWidget

from napari_subangstrom_cdi.gui.docks.r_factor import RFactorDock
from napari_subangstrom_cdi.gui.docks.simulate import SimulateDock
from napari_subangstrom_cdi.gui.docks.workflow import Workflow
from napari_subangstrom_cdi.gui.widgets.array_chooser import ArrayChooser
from napari_subangstrom_cdi.gui.window.controller import Controller
from napari_subangstrom_cdi.gui.window.opening import open_dock, open_workflow
from napari_subangstrom_cdi.io import contents
from napari_subangstrom_cdi.session.session import State, Step

SIZE = (1600, 1000)
_LEFT, _NO_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
_NO_KEY = Qt.KeyboardModifier.NoModifier
_COLOURS = 256
_LARGEST_BYTES = 280_000
_SETTLE_S = 0.6
_TALL_DOCK_PX = 440
_LONGEST_S = 600.0


class Studio:
    """One napari window, hands to work in it, and a camera."""

    def __init__(self, out: Path, theme: str, wanted: str) -> None:
        self.out, self.wanted = out, wanted
        self.taken: list[Path] = []
        self.viewer = napari.Viewer(title="Sub-Å CDI", show=True)
        self.viewer.theme = theme
        self.window = self.viewer.window._qt_window
        self.window.setGeometry(0, 0, *SIZE)
        self.controller: Controller = open_workflow(self.viewer)
        self.wait(1.0)
        self.workflow: Workflow = self.window.findChild(Workflow)
        self.docks: Any = self.workflow.steps
        self.main = self.viewer.window._qt_viewer.canvas.native
        self.reciprocal = self.controller.reciprocal
        self.second = self.reciprocal.qt_viewer.canvas.native

    # Time

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let the window live for so long, or until something is true."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and not until():
            QApplication.processEvents()
            time.sleep(0.002)

    def finish(self, step: Step) -> None:
        """Wait for the end of a step; it must have succeeded."""
        session = self.controller.session
        self.wait(_LONGEST_S, lambda: not session.busy)
        self.wait(_SETTLE_S)
        if session.state(step) is not State.DONE:
            raise SystemExit(f"{step}: {session.errors.get(step, session.state(step))}\n{session.traceback}")

    # Hands

    def click(self, widget: QWidget) -> None:
        """Click on a button, a box or a header."""
        self.show_in_dock(widget)
        QTest.mouseClick(widget, _LEFT, _NO_KEY, QPoint(min(12, widget.width() // 2), widget.height() // 2))
        self.wait(0.1)

    def do(self, step: Step) -> None:
        """Press a step's button and wait."""
        self.click(self.docks[step].button)
        self.finish(step)

    def show_in_dock(self, widget: QWidget) -> None:
        """Scroll the workflow so that a widget is seen."""
        self.workflow._scroll.ensureWidgetVisible(widget, 0, 8)
        self.wait(0.05)

    def enter(self, box: Any, text: str) -> None:
        """Type a number and press Return."""
        self.show_in_dock(box)
        box.setFocus()
        box.selectAll()
        QTest.keyClicks(box, text)
        QTest.keyClick(box, Qt.Key.Key_Return)
        box.lineEdit().deselect()
        box.clearFocus()
        self.wait(0.1)

    def write(self, line: Any, text: str) -> None:
        """Type a text into a line and press Return."""
        self.show_in_dock(line)
        line.setFocus()
        line.selectAll()
        QTest.keyClicks(line, text)
        QTest.keyClick(line, Qt.Key.Key_Return)
        line.clearFocus()
        self.wait(0.3)

    def hold_slider(self, slider: QSlider, pixels: int) -> Callable[[], None]:
        """Press a slider's handle and move it; what is given back lets it go."""
        self.show_in_dock(slider)
        option = QStyleOptionSlider()
        slider.initStyleOption(option)
        handle = QStyle.SubControl.SC_SliderHandle
        place = slider.style().subControlRect(QStyle.ComplexControl.CC_Slider, option, handle, slider).center()
        QTest.mousePress(slider, _LEFT, _NO_KEY, place)
        end = place + QPoint(pixels, 0)
        _move(slider, end, held=_LEFT)
        self.wait(1.2)
        return lambda: QTest.mouseRelease(slider, _LEFT, _NO_KEY, end)

    def drag(self, model: Any, canvas: Any, *places: tuple[float, float]) -> Callable[[], None]:
        """Drag through places (y, x) of a canvas's world; what is given back lets the button go."""
        points = [_place_in(model, canvas, place) for place in places]
        _move(canvas, points[0])
        self.wait(0.05)
        QTest.mousePress(canvas, _LEFT, _NO_KEY, points[0])
        for point in points[1:]:
            _move(canvas, point, held=_LEFT)
            self.wait(0.05)
        return lambda: QTest.mouseRelease(canvas, _LEFT, _NO_KEY, points[-1])

    def stroke(self, model: Any, canvas: Any, *places: tuple[float, float]) -> None:
        """The same, let go at the end."""
        self.drag(model, canvas, *places)()
        self.wait(_SETTLE_S)

    # Camera

    def picture(self, name: str, part: QWidget | None = None) -> None:
        """Save the window, or the part of it that a widget takes."""
        if not fnmatch.fnmatch(name, self.wanted):
            return
        self.wait(_SETTLE_S)
        pixmap = self.window.grab()
        if part is not None:
            pixmap = pixmap.copy(QRect(part.mapTo(self.window, QPoint(0, 0)), part.size()))
        self._save(name, pixmap.toImage())

    def dock_picture(self, name: str, step: Step) -> None:
        """Save a step's dock alone, whole even where the window shows a part of it."""
        if not fnmatch.fnmatch(name, self.wanted):
            return
        self.workflow.open_only(step)
        self.widget_picture(name, self.docks[step])

    def widget_picture(self, name: str, widget: QWidget) -> None:
        """Save a widget alone."""
        if fnmatch.fnmatch(name, self.wanted):
            self.wait(_SETTLE_S)
            self._save(name, widget.grab().toImage())

    def _save(self, name: str, image: QImage) -> None:
        path = self.out / f"{name}.png"
        whole = self.out / f"{name}.whole.png"
        image.save(str(whole))
        with Image.open(whole) as opened:
            picture = opened.convert("RGB")
        whole.unlink()
        _with_palette(picture, (Image.Quantize.MEDIANCUT, Image.Quantize.FASTOCTREE)).save(path, optimize=True)
        if path.stat().st_size > _LARGEST_BYTES:  # a diffraction pattern's noise does not compress
            _with_palette(picture, (Image.Quantize.FASTOCTREE,)).save(path, optimize=True)
        self.taken.append(path)
        print(f"{path}  {path.stat().st_size / 1024:.0f} kB", flush=True)

    def close(self) -> None:
        """As a program closes it: finished members of a run that goes on stay on the disk."""
        self.viewer.close()
        self.wait(0.5)


def _with_palette(picture: Image.Image, methods: tuple[Image.Quantize, ...]) -> Image.Image:
    """Few colours: a median cut keeps those that are frequent, an octree the rare ones of buttons and marks."""
    share = _COLOURS // len(methods)
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for m in methods for part in picture.quantize(share, m).getpalette()[: 3 * share]])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def _move(widget: QWidget, point: QPoint, *, held: Qt.MouseButton = _NO_BUTTON) -> None:
    where = QPointF(point)
    event = QMouseEvent(QMouseEvent.Type.MouseMove, where, QPointF(widget.mapToGlobal(point)), held, held, _NO_KEY)
    QApplication.sendEvent(widget, event)


def _place_in(model: Any, canvas: Any, place: tuple[float, float]) -> QPoint:
    camera = model.scene.camera
    middle_y, middle_x = camera.center[-2:]
    return QPoint(
        round(canvas.width() / 2 + (place[1] - middle_x) * camera.zoom),
        round(canvas.height() / 2 + (place[0] - middle_y) * camera.zoom),
    )


# The walk, in the tutorial's order


def data(studio: Studio) -> None:
    """Open the sample and load it."""
    studio.picture("tutorial-1-open")
    studio.viewer.open_sample("napari-subangstrom-cdi", "platelet_records")
    studio.wait(1.5)
    studio.picture("tutorial-2-sample")
    studio.do(Step.DATA)
    studio.wait(30.0, lambda: str((studio.viewer.layers.units or ("",))[-1]) == "angstrom")  # the patterns move on
    studio.wait(_SETTLE_S)
    studio.picture("tutorial-3-data")
    studio.dock_picture("dock-data", Step.DATA)
    dock = studio.docks[Step.DATA]
    studio.click(dock.fold.button)
    dock.acquisition.form.set_advanced_open(True)
    studio.dock_picture("dock-data-acquisition", Step.DATA)
    dock.acquisition.form.set_advanced_open(False)
    studio.click(dock.fold.button)
    chooser(studio)
    studio.workflow.open_only(Step.BACKGROUND)


def chooser(studio: Studio) -> None:
    """A file with several arrays, and the dialog that asks for one of them."""
    path = Path(_SCRATCH.name) / "scan.h5"
    records = studio.controller.session.loaded
    if records is None:
        return
    with h5py.File(path, "w") as file:
        file["entry/particle/data"] = records.records.particle.electrons.astype("f4")
        file["entry/particle/mask"] = (records.records.particle.electrons < 0).astype("u1")
        file["entry/substrate/data"] = records.records.particle.electrons[::-1].astype("f4")
        file["entry/sample/temperature"] = [293.0] * 8
    dialog = ArrayChooser(str(path), contents(path), "pattern", "/entry/particle/data", studio.window)
    dialog.show()
    studio.wait(10.0, lambda: dialog.preview.picture.pixmap().width() > 0)
    studio.widget_picture("array-chooser", dialog)
    dialog.close()


def background(studio: Studio) -> None:
    """Centre and subtract; the centre by hand."""
    studio.do(Step.BACKGROUND)
    studio.picture("tutorial-4-background")
    studio.dock_picture("dock-background", Step.BACKGROUND)
    centre_by_hand(studio)
    studio.workflow.open_only(Step.ALIGN)


def centre_by_hand(studio: Studio) -> None:
    """Drag the record over its Friedel mate."""
    studio.workflow.open_only(Step.BACKGROUND)
    tool, view = studio.docks[Step.BACKGROUND].centre, studio.reciprocal
    studio.click(tool.by_hand)
    camera = view.model.scene.camera
    before = camera.zoom
    camera.zoom, camera.center = 3.2 * before, (0, 0)
    studio.wait(2.0, lambda: tool.residual is not None)
    let_go = studio.drag(view.model, studio.second, (0.1, 0.1), (0.104, 0.105), (0.108, 0.112))
    studio.wait(0.5)
    studio.picture("centre-by-hand")
    let_go()
    studio.wait(0.3)
    studio.click(tool.automatic)
    studio.click(tool.by_hand)
    camera.zoom = before
    studio.do(Step.BACKGROUND)


def align(studio: Studio) -> None:
    """Align, and by hand."""
    studio.do(Step.ALIGN)
    studio.picture("tutorial-5-align")
    studio.dock_picture("dock-align", Step.ALIGN)
    studio.workflow.open_only(Step.ALIGN)
    dock, view = studio.docks[Step.ALIGN], studio.reciprocal
    studio.click(dock.by_hand)
    studio.show_in_dock(dock.hand)
    camera = view.model.scene.camera
    before, camera.zoom = camera.zoom, 2.2 * camera.zoom
    main = studio.viewer.scene.camera
    before_main, main.zoom = main.zoom, 1.5 * main.zoom
    let_go = studio.drag(view.model, studio.second, (0.0, 0.6), (0.02, 0.6), (0.045, 0.6))
    studio.wait(1.0)
    studio.picture("align-by-hand")
    let_go()
    studio.wait(0.5)
    studio.click(dock.hand.back_button)
    studio.click(dock.by_hand)
    camera.zoom, main.zoom = before, before_main
    studio.do(Step.ALIGN)
    studio.workflow.open_only(Step.MASKS)


def masks(studio: Studio) -> None:
    """Masks, with a preview and with paint."""
    studio.do(Step.MASKS)
    studio.picture("tutorial-6-masks")
    studio.dock_picture("dock-masks", Step.MASKS)
    studio.workflow.open_only(Step.MASKS)
    support = studio.docks[Step.MASKS].support
    let_go = studio.hold_slider(support.level.slider, 14)
    studio.picture("support-threshold")
    let_go()
    studio.wait(0.3)
    studio.click(studio.workflow.undo_button)
    studio.wait(0.8)
    paint_support(studio)
    paint_regions(studio)
    studio.do(Step.MASKS)
    studio.workflow.open_only(Step.PHASE)


def paint_support(studio: Studio) -> None:
    """A stroke along the edge of the support."""
    support = studio.docks[Step.MASKS].support
    studio.click(support.tools.buttons["paint"])
    studio.enter(support.tools.brush, "40")
    edge = [(-30.0, 42.0), (-15.0, 47.0), (0.0, 49.0), (15.0, 47.0), (30.0, 42.0)]
    studio.stroke(studio.viewer, studio.main, *edge)
    studio.wait(1.0)
    studio.picture("support-painting")
    studio.click(support.back)
    studio.click(support.tools.buttons["pan_zoom"])


def paint_regions(studio: Studio) -> None:
    """A stroke in reciprocal space, with its Friedel mate."""
    regions, view = studio.docks[Step.MASKS].regions, studio.reciprocal
    studio.click(regions.mates)
    studio.click(regions.tools.buttons["paint"])
    studio.enter(regions.tools.brush, "24")
    studio.stroke(view.model, studio.second, (0.15, 0.2), (0.5, 0.45), (0.9, 0.75))
    studio.wait(1.0)
    studio.show_in_dock(regions.count)
    studio.picture("regions-painting")
    studio.click(regions.clear)
    studio.click(regions.mates)
    studio.click(regions.tools.buttons["pan_zoom"])


def phase(studio: Studio, members: int) -> None:
    """The whole run."""
    dock, session = studio.docks[Step.PHASE], studio.controller.session
    studio.enter(dock.form.editor("members"), str(members))
    studio.dock_picture("dock-phase", Step.PHASE)
    studio.workflow.open_only(Step.PHASE)
    studio.click(dock.button)
    studio.wait(_LONGEST_S, lambda: _reached(session, min(members - 1, 4), 90))
    studio.wait(_SETTLE_S)
    studio.picture("tutorial-7-run")
    studio.picture("dock-r-factor", studio.window.findChild(RFactorDock))
    studio.finish(Step.PHASE)


def steering(studio: Studio) -> None:
    """A short run that is steered and stopped."""
    dock, session = studio.docks[Step.PHASE], studio.controller.session
    studio.workflow.open_only(Step.PHASE)
    studio.enter(dock.form.editor("members"), "3")
    studio.click(dock.button)
    studio.wait(_LONGEST_S, lambda: _reached(session, 1, 60))
    studio.enter(dock.steering.form.editor("alpha"), "0.4")
    studio.wait(_LONGEST_S, lambda: _reached(session, 1, 125))
    studio.click(dock.button)  # a pause shows where it stands
    studio.wait(_SETTLE_S)
    studio.show_in_dock(dock.steering)
    studio.picture("steering")
    studio.click(dock.stop_button)
    studio.wait(_LONGEST_S, lambda: not session.busy)


def _reached(session: Any, member: int, iteration: int) -> bool:
    progress = None if session.live is None else session.live.progress
    return not session.busy or (progress is not None and (progress.member, progress.iteration) >= (member, iteration))


def results(studio: Studio) -> None:
    """The result, its layers, the other theme, and a run that is steered; saved, so that nothing is left behind."""
    studio.picture("tutorial-8-result")
    studio.dock_picture("dock-results", Step.RESULTS)
    studio.picture("dock-reciprocal", studio.reciprocal)
    atoms(studio)
    theme = studio.viewer.theme
    studio.viewer.theme = "light" if theme == "dark" else "dark"
    studio.wait(1.0)
    studio.picture("other-theme")
    studio.viewer.theme = theme
    project = Path(_SCRATCH.name) / "platelet.cxi"
    studio.controller.save(project)  # or the next run would ask what is to become of the result
    studio.controller.said.emit("", "info")  # where it lies is nobody's business
    steering(studio)
    studio.controller.save(project)


def atoms(studio: Studio) -> None:
    """The same few columns of atoms as the image gave them and as they were retrieved."""
    real, camera = studio.controller.real, studio.viewer.scene.camera
    before = camera.zoom
    camera.zoom, camera.center = 4 * before, (-18.0, 22.0)
    for name, shown in (("atoms-image", "potential from image"), ("atoms-result", "real part")):
        for role in ("potential from image", "real part"):
            real.set_visible(role, role == shown)
        studio.picture(name, studio.main)
    camera.zoom, camera.center = before, (0.0, 0.0)
    studio.click(studio.docks[Step.RESULTS].layer_buttons["real part"])


def model(studio: Studio) -> None:
    """A known crystal, fitted; its thickness by hand."""
    dock = studio.docks[Step.MODEL]
    studio.workflow.open_only(Step.MODEL)
    studio.write(dock.crystal.line, "CdS-wurtzite")
    studio.write(dock.form.editor("zone"), "0 0 0 1")
    studio.do(Step.MODEL)
    studio.dock_picture("dock-model", Step.MODEL)
    studio.workflow.open_only(Step.MODEL)
    studio.click(dock.by_hand)
    camera = studio.reciprocal.model.scene.camera
    before, camera.zoom = camera.zoom, 1.8 * camera.zoom
    let_go = studio.hold_slider(dock.hand.thickness.slider, 30)
    studio.wait(6.0)  # a wave is calculated
    studio.show_in_dock(dock.button)
    studio.picture("model-by-hand")
    let_go()
    studio.wait(1.0)
    studio.click(dock.hand.back_button)
    studio.click(dock.by_hand)
    camera.zoom = before


def simulate(studio: Studio) -> None:
    """Records of a particle with a boundary, about to be taken."""
    frame = open_dock(studio.viewer, "Simulate")
    frame.setFloating(True)
    dock = frame.findChild(SimulateDock)
    studio.write(dock.crystal.line, "CdS-zincblende")
    studio.write(dock.form.editor("zone"), "1 1 0")
    studio.enter(dock.form.editor("diameter_angstrom"), "65")
    studio.enter(dock.form.editor("boundary_shift_angstrom"), "1.2")
    frame.resize(dock.sizeHint().width(), _TALL_DOCK_PX)
    studio.widget_picture("dock-simulate", dock)
    frame.close()


def recovery(out: Path, theme: str, wanted: str) -> list[Path]:
    """A run that its window did not see to the end, found again by the next one."""
    first = Studio(out, theme, wanted)
    first.viewer.open_sample("napari-subangstrom-cdi", "platelet_records")
    first.wait(1.0)
    first.enter(first.docks[Step.PHASE].form.editor("members"), "20")
    first.controller.run(Step.PHASE)
    first.wait(_LONGEST_S, lambda: _reached(first.controller.session, 2, 5))
    first.close()
    second = Studio(out, theme, wanted)
    second.picture("recovery")
    second.close()
    return second.taken


_WALK = {
    "data": data,
    "background": background,
    "align": align,
    "masks": masks,
    "results": results,
    "model": model,
    "simulate": simulate,
}
_PARTS = ("data", "background", "align", "masks", "phase", "results", "model", "simulate", "recovery")


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--members", type=int, default=20, help="of the result; fewer are quicker")
    parser.add_argument("--upto", choices=_PARTS, default="recovery", help="the last part of the walk")
    parser.add_argument("--only", default="*", help="names of the pictures to take, such as 'dock-*'")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    studio = Studio(options.out, options.theme, options.only)
    for name in _PARTS[: _PARTS.index(options.upto) + 1]:
        if name == "phase":
            phase(studio, options.members)
        elif name != "recovery":
            _WALK[name](studio)
    studio.close()
    taken = studio.taken
    if options.upto == "recovery":
        taken += recovery(options.out, options.theme, options.only)
    total = sum(path.stat().st_size for path in taken)
    print(f"{len(taken)} pictures, {total / 1e6:.1f} MB, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
