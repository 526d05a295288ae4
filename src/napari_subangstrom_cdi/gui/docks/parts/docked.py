"""What stands in a dock of napari's window, and its end."""

from __future__ import annotations

import contextlib

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_subangstrom_cdi.gui.loop.later import later
from napari_subangstrom_cdi.gui.window.controller import Controller


class Docked(QWidget):
    """A widget of a dock, which ends when its dock is closed for good.

    The close button takes a widget out of its dock, and napari forgets it. It would live on, listening, until
    Python's garbage collector came by, which may be in the middle of one of its own slots.

    Attributes
    ----------
    controller : Controller
        Of the viewer whose window it stands in; set by the subclass.
    """

    controller: Controller

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.destroyed.connect(lambda: self._let_go())

    def leave(self) -> None:
        """Put down what is in hand: the dock was closed, the window stays."""

    def release(self) -> None:
        """Let go of what would call it still, such as napari's events; its Qt part is gone already."""

    def changeEvent(self, event: QEvent | None) -> None:
        """Taken out of its dock, it ends, unless somebody puts it elsewhere at once."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parentWidget() is None:
            later(self, self._end_if_homeless)

    def _let_go(self) -> None:
        with contextlib.suppress(AttributeError):  # the garbage collector may have emptied what is let go of
            self.release()

    def _end_if_homeless(self) -> None:
        if self.parentWidget() is not None:
            return
        if self.controller.is_open:
            self.leave()
        # An editor that goes while it has the focus says that it was edited, and the docks that hear of it may be
        # half gone by then.
        for part in self.findChildren(QObject):
            part.blockSignals(True)
        self.deleteLater()
