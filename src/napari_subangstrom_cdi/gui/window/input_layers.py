"""The layers that were chosen as inputs: remembered by file, watched, and brought to the canvas of their units."""

from __future__ import annotations

from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.canvas._layers import reciprocal_space
from napari_subangstrom_cdi.gui.canvas.real_view import IMAGE
from napari_subangstrom_cdi.gui.loop.later import once
from napari_subangstrom_cdi.gui.loop.patience import patiently
from napari_subangstrom_cdi.gui.widgets.inputs import (
    PLACED,
    RECORDS,
    Role,
    acquisition_of,
    dress,
    filled_in,
    frames_of,
    is_bare,
    is_mask,
    is_reciprocal,
    is_record,
    put_in_per_angstrom,
    role_of,
    said_of,
    source_of,
    with_pixel_of,
)
from napari_subangstrom_cdi.gui.widgets.known_files import is_file
from napari_subangstrom_cdi.io import Acquisition
from napari_subangstrom_cdi.io.image import short_name
from napari_subangstrom_cdi.io.stack import describe
from napari_subangstrom_cdi.job.headers import completed
from napari_subangstrom_cdi.session.session import Session, State, Step

from .presenter import Presenter

_AUTOMATIC: tuple[Role, ...] = ("pattern", "background", "image")
_RECIPROCAL: tuple[Role, ...] = ("pattern", "background", "mask")
_UNCHOSEN = {"pattern": "", "background": "fit", "image": None}


class InputLayers(QObject):
    """One for each viewer.

    Parameters
    ----------
    session : Session
        Whose inputs they are.
    presenter : Presenter
        Whose canvases they lie on.
    parent : QObject
        With which it ends.

    Signals
    -------
    choices_changed
        Layers came, went or were renamed, in either canvas.
    said : str, str
        A sentence for the user, and its level.
    """

    choices_changed = Signal()
    said = Signal(str, str)

    def __init__(self, session: Session, presenter: Presenter, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._presenter = session, presenter
        self._canvases: tuple[ViewerModel, ViewerModel] = (presenter.real.viewer, presenter.reciprocal.model)
        self._by_path: dict[str, Layer] = {}
        self._names: dict[str, str] = {}
        self._touched: set[str] = set()
        self._offered: list[Layer] = []
        self._edited: list[Layer] = []
        self._on_the_way: Layer | None = None
        self._to_move: deque[Layer] = deque()
        self._records_move = False
        self._looked_at: list[Layer] = []
        self._closed = False
        self._superseded: Layer | None = None
        self._followed: list[Layer] = []
        self._patterns: list[Layer] = []
        self._news = once(self, self.choices_changed.emit)
        self._mover = once(self, self._move_on)
        for canvas in self._canvases:
            for event in (canvas.layers.events.inserted, canvas.layers.events.renamed):
                event.connect(self._on_news)
            canvas.layers.events.removed.connect(self._on_removed)

    # Choosing

    def choices(self, role: Role) -> list[Layer]:
        """Layers of either canvas that can be chosen, the plugin's own left out."""
        suits = is_record if role in RECORDS else is_mask
        owns = self._presenter.owns
        return [layer for canvas in self._canvases for layer in canvas.layers if suits(layer) and not owns(layer)]

    def chosen(self, role: str) -> Layer | None:
        """The layer that is an input now; None if that is a file, or the layer is gone."""
        return self._by_path.get(str(getattr(self._session.plan.inputs, role)))

    def name_of(self, path: str) -> str:
        """What an input is called: the layer's name, or the file's."""
        layer = self._by_path.get(path)
        if layer is not None:
            return str(layer.name)
        kept = self._names.get(path)
        return short_name(path) if kept is None else f"{kept} (layer deleted)"

    def take(self, role: Role, source: Layer | str | Path | None, *, frame: int | str | None = None) -> None:
        """Make a layer, a file or a word such as ``fit`` an input; see :meth:`.controller.Controller.set_input`.

        Raises
        ------
        InputError
            If it cannot be one.
        """
        session = self._session
        given: str | Path | NDArray[Any] | None = source
        if isinstance(source, Layer):
            given = patiently(lambda: source_of(source), f"reading {source.name}")
        if isinstance(source, Layer) and role not in RECORDS and source.ndim != 2:
            raise InputError(f"the layer has {source.ndim} axes", where=source.name, mend="choose a mask of two axes")
        if frame is None and role in RECORDS:
            frame = _usual_frame(role, source)
        name = source.name if isinstance(source, Layer) else "layer"
        path = session.set_input(role, given, name=name, frame=frame)
        if isinstance(source, Layer) and path is not None:
            self._remember(path, source)
            if role in _RECIPROCAL and not any(source is layer for layer in self._patterns):
                self._patterns.append(source)

    def touch(self, role: Role) -> None:
        """The user has chosen: from now on nothing is chosen by itself."""
        self._touched.add(role)

    def choose_automatically(self) -> tuple[str, ...]:
        """Choose a layer that says what it is, for an input that nobody has chosen; what is to be doubted in it.

        One at a time, because files are read to see whether the layers still hold them; `choices_changed` comes
        again while there may be more.
        """
        session = self._session
        for role in _AUTOMATIC:
            chosen = role in self._touched or getattr(session.plan.inputs, role) != _UNCHOSEN[role]
            found = [layer for layer in self.choices(role) if role_of(layer) == role and not self._was_offered(layer)]
            if chosen or not found or session.busy:
                continue
            self._offered.append(found[-1])
            self._news.start()
            try:
                self.take(role, found[-1])
            except InputError as error:
                return (str(error),)
            return self.learn_from(role, found[-1])
        return ()

    def records_of_another_job(self) -> dict[Role, Layer]:
        """Layers that came together and say that they are pattern and image, while others are chosen; told once.

        None while a step goes on, or while the pattern is still to be chosen.
        """
        session = self._session
        if session.busy or not session.plan.inputs.pattern:
            return {}
        came = {
            role: layer
            for role in _AUTOMATIC
            for layer in self.choices(role)
            if role_of(layer) == role and not self._was_offered(layer) and not self._is_chosen(layer)
        }
        if not {"pattern", "image"} <= set(came):
            return {}
        self._offered += came.values()
        return came

    def begin_job(self, records: dict[Role, Layer]) -> tuple[str, ...]:
        """Make these layers the inputs of a job that has just begun; what is to be doubted in them.

        Raises
        ------
        InputError
            If one cannot be an input.
        """
        doubts: list[str] = []
        for role, layer in records.items():
            self.touch(role)
            self.take(role, layer)
            doubts += self.learn_from(role, layer)
        session = self._session
        session.begin_anew(session.plan)  # there is nothing of the user's in it to undo
        return tuple(doubts)

    def _is_chosen(self, layer: Layer) -> bool:
        return any(layer is other for other in self._by_path.values())

    def learn_from(self, role: Role, layer: Layer) -> tuple[str, ...]:
        """Fill in what is not known of the acquisition yet from a layer's metadata; what is to be doubted in it."""
        stated, doubts = acquisition_of(layer)
        known = completed(self._session.plan).acquisition
        new = filled_in(known, with_pixel_of(stated, layer, role))
        if new:
            self._session.change("acquisition", **new)
        is_said = not new and stated != Acquisition()  # of the file, which says the same
        return () if is_said else doubts

    def retake_edited(self) -> None:
        """Take over the pixels of chosen layers that were changed since.

        Raises
        ------
        InputError
            If one can no longer be an input.
        """
        inputs = self._session.plan.inputs
        for role in ("pattern", "background", "image", "support", "mask"):
            layer = self.chosen(role)
            if layer is not None and any(layer is other for other in self._edited):
                self.take(role, layer, frame=getattr(inputs, f"{role}_frame", None))
        self._edited.clear()

    def _was_offered(self, layer: Layer) -> bool:
        return any(layer is other for other in self._offered)

    def _remember(self, path: str, layer: Layer) -> None:
        self._by_path[path], self._names[path] = layer, str(layer.name)
        self._edited = [other for other in self._edited if other is not layer]
        if not any(layer is other for other in self._followed):
            layer.metadata = {**layer.metadata, "input": True}
            layer.events.data.connect(self._on_data)
            self._followed.append(layer)

    def _on_data(self, event: Any) -> None:
        if not any(event.source is layer for layer in self._edited):
            self._edited.append(event.source)

    # Watching

    def _on_news(self, _: Any = None) -> None:
        if self._on_the_way is None:
            self._news.start()

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        if layer is self._on_the_way:
            return
        inputs = self._session.plan.inputs
        self._looked_at = [other for other in self._looked_at if other is not layer]
        gone = [path for path, other in self._by_path.items() if other is layer]
        for path in gone:
            self._names[path] = str(layer.name)
            del self._by_path[path]
        for role in ("pattern", "background", "image", "support", "mask"):
            if getattr(inputs, role) in gone:
                told = f"the layer of the {role} was deleted; its data stay in use"
                self.said.emit(told, "info")
        self._news.start()

    # To the canvas of their units

    def after(self, step: Step) -> None:
        """A step was done: bring patterns to reciprocal space and the image to real space.

        napari drops the units of a viewer in which pixels and ångströms stand side by side.
        """
        if step is Step.BACKGROUND:
            self._place_in_reciprocal_space()
        if step is not Step.DATA:
            return
        self._to_move = deque(layer for layer in self._canvases[0].layers if self._is_pattern(layer))
        self._records_move = True
        self._place_in_reciprocal_space()
        self._mover.start()

    def complete(self) -> None:
        """Give layers that napari's own reader left in pixels the scale and units that their files state."""
        for layer in list(self._canvases[0].layers):
            if not is_bare(layer) or any(layer is other for other in self._looked_at):
                continue
            self._looked_at.append(layer)
            told = patiently(partial(said_of, str(layer.source.path)), f"reading {layer.name}")
            if told is not None and dress(layer, told):
                self.said.emit(f"“{layer.name}” has the scale and the units that its file states", "info")

    def bring_reciprocal(self) -> bool:
        """Begin to bring layers that came in reciprocal units to their canvas; False if there are none."""
        came = [
            layer
            for layer in self._canvases[0].layers
            if isinstance(layer, Image | Labels)
            and is_reciprocal(layer)
            and not self._presenter.owns(layer)
            and not any(layer is other for other in self._to_move)
        ]
        self._to_move += came
        if came:
            self._mover.start()
        return bool(came)

    def _move_on(self) -> None:
        """One removal or one insertion each turn of the event loop: more at once has crashed OpenGL in software."""
        main, reciprocal = (canvas.layers for canvas in self._canvases)
        if self._closed:
            return
        if self._superseded is not None:
            superseded, self._superseded = self._superseded, None
            if superseded in main:
                main.remove(superseded)
        elif self._on_the_way is not None:
            layer = self._on_the_way
            active = reciprocal.selection.active
            if self._records_move:
                layer.visible = False  # the record is shown there already
            self._place(layer)
            below = isinstance(layer, Image) and (self._records_move or self._session.loaded is None)
            reciprocal.insert(0 if below else len(reciprocal), layer)
            reciprocal.selection.active = active
            self._on_the_way = None
            if self._session.loaded is None:
                self._presenter.reciprocal.home()
            self._mover.start()
        elif self._to_move:
            layer = self._to_move.popleft()
            if layer in main:
                self._on_the_way = layer
                main.remove(layer)
            self._mover.start()
        elif self._records_move:
            self._records_move = False
            self._adopt_image()
            self._say_what_has_no_unit()
            self._news.start()
        else:
            self._news.start()

    def image_to_adopt(self) -> Layer | None:
        """The layer of the user's that is about to be shown as the image; None if that is a file."""
        layer = self.chosen("image")
        return layer if layer is not None and layer.ndim == 2 and layer in self._canvases[0].layers else None

    def _adopt_image(self) -> None:
        presenter, layer = self._presenter, self.image_to_adopt()
        if layer is None:
            return
        former = presenter.real.layer(IMAGE)
        presenter.adopt_image(layer)
        if self._session.state(Step.ALIGN) is State.DONE:
            presenter.show(Step.ALIGN)
        if former is not None and former is not layer and not former.metadata.get("input"):
            self._superseded = former
            self._mover.start()

    def _is_pattern(self, layer: Layer) -> bool:
        """Whether a layer was ever chosen as a pattern, or says that it is one."""
        if self._presenter.owns(layer) or layer is self.chosen("image"):
            return False
        return any(layer is other for other in self._patterns) or role_of(layer) in ("pattern", "background")

    def _say_what_has_no_unit(self) -> None:
        main = self._canvases[0].layers
        if main.units is None:
            names = [f"“{layer.name}”" for layer in main if str(layer.units[-1]) == "pixel"]
            if names:
                self.said.emit(
                    f"napari shows no ångströms beside layers in pixels: {', '.join(names)}; "
                    "remove them, or give them a scale and a unit",
                    "warning",
                )

    def _place_in_reciprocal_space(self) -> None:
        for layer in self._canvases[1].layers:
            if self._is_pattern(layer):
                self._place(layer)

    def _place(self, layer: Layer) -> None:
        """About the beam, in Å⁻¹, another detector's record about its middle; frames of a stack are counted.

        A pattern of another job that came with its own pixel keeps it.
        """
        loaded = self._session.loaded
        if is_reciprocal(layer):
            put_in_per_angstrom(layer)
        its_own = is_reciprocal(layer) and not layer.metadata.get(PLACED)
        if its_own and not any(layer is other for other in self._patterns):
            return
        if loaded is None or layer.ndim not in (2, 3):
            return
        height, width = layer.data.shape[-2:]
        same = (height, width) == loaded.records.particle.shape
        centre = self._presenter.raw_centre_px if same else (height / 2, width / 2)
        place = reciprocal_space(centre, loaded.calibration.q_pixel_per_angstrom)
        layer.metadata = {**layer.metadata, PLACED: True}
        frames = layer.ndim - 2
        layer.affine = np.eye(layer.ndim + 1)
        layer.rotate = np.eye(layer.ndim)
        layer.scale = (1.0,) * frames + place.scale
        layer.translate = (0.0,) * frames + place.translate
        layer.axis_labels = ("frame",) * frames + place.axis_labels
        layer.units = ("pixel",) * frames + (place.unit, place.unit)

    def close(self) -> None:
        """Let go of both canvases."""
        self._closed = True
        self._news.stop()
        self._mover.stop()
        for canvas in self._canvases:
            for event in (canvas.layers.events.inserted, canvas.layers.events.renamed):
                event.disconnect(self._on_news)
            canvas.layers.events.removed.disconnect(self._on_removed)
        for layer in self._followed:
            layer.events.data.disconnect(self._on_data)
        self._followed.clear()
        self._patterns.clear()
        self._by_path.clear()


def _usual_frame(role: Role, source: Layer | str | Path | None) -> int | str | None:
    """Of a stack: all frames of a pattern added up, but the first of images, which may have drifted."""
    if isinstance(source, Layer):
        frames = frames_of(source)
    elif source is None or source in ("", "fit", "none") or not is_file(str(source)):
        return None
    else:
        frames = patiently(lambda: describe(source).frames, f"reading {short_name(str(source))}")
    if frames == 1:
        return None
    return 0 if role == "image" else "sum"
