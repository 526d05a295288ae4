"""Many changes of a window, painted in one go; and none where there is nothing new to see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qtpy.compat import isalive
from qtpy.QtCore import QAbstractItemModel, QCoreApplication, QEvent, QSignalBlocker, QSortFilterProxyModel, Qt
from qtpy.QtWidgets import QApplication, QLabel, QListView


@contextmanager
def painted_at_once() -> Iterator[None]:
    """Hold back the painting of all windows until the block is left.

    A progress bar and a graphics view paint at once what they change. Each time, a window that has an OpenGL canvas
    is put together anew, which without a graphics card takes longer than all the rest. The flag is set by itself:
    Qt's own ``setUpdatesEnabled`` paints the whole window when it ends.
    """
    held = [window for window in QApplication.topLevelWidgets() if window.isVisible() and window.updatesEnabled()]
    for window in held:
        window.setAttribute(Qt.WidgetAttribute.WA_UpdatesDisabled, True)
    try:
        yield
        # What is laid out anew for these changes is painted with them.
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
    finally:
        for window in held:
            window.setAttribute(Qt.WidgetAttribute.WA_UpdatesDisabled, False)
            QCoreApplication.postEvent(window, QEvent(QEvent.Type.UpdateRequest))


def write(label: QLabel, text: str) -> None:
    """Set a label's text and lay it out now.

    A text that can be selected is else laid out when it is painted, and painted once more after that.
    """
    label.setText(text)
    label.sizeHint()


class RestingLists:
    """Napari's layer lists, held still while layers change in nothing that a list shows.

    A list takes every event of a layer for news, lays all its rows out anew and paints them, and with them the whole
    window once more.
    """

    def __init__(self) -> None:
        self._models: list[QAbstractItemModel] | None = None

    def find(self) -> list[QAbstractItemModel]:
        """What the lists show; looked for the first time only, because it takes 20 ms."""
        if self._models is None or not all(map(isalive, self._models)):
            self._models = _layer_models()
        return self._models

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Inside, neither name, visibility nor thumbnail of any layer may change, nor their order."""
        blockers = [QSignalBlocker(model) for model in self.find()]
        try:
            yield
        finally:
            for blocker in blockers:
                blocker.unblock()


def _layer_models() -> list[QAbstractItemModel]:
    lists = [view for top in QApplication.topLevelWidgets() for view in top.findChildren(QListView)]
    models = [view.model() for view in lists if isalive(view)]  # PySide6 finds some that are gone
    sources = [model.sourceModel() for model in models if isinstance(model, QSortFilterProxyModel)]
    return [source for source in sources if source is not None]
