"""Many changes of a window, painted in one go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtWidgets import QApplication


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
