"""Which of several arrays of a file: a tree or list of them, and a small picture of the one that is looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QImage, QKeyEvent, QPixmap
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QTreeWidgetItemIterator,
    QVBoxLayout,
    QWidget,
)

from napari_subangstrom_cdi.gui.loop.background_task import BackgroundTask
from napari_subangstrom_cdi.io import Item, read_image
from napari_subangstrom_cdi.io.stack import describe

from .style import QuietLabel

_SIDE_PX = 220
_LARGEST_BYTES = 2**27
"""Of a frame that is read for its picture."""
_NUMBERS = "buif"
_ARROWS = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)
_HEADINGS = ("Array", "Shape", "Type", "What it is")


def why_not(item: Item) -> str:
    """Why an array can be no image; empty if it may be one."""
    kind = _kind_of(item.dtype)
    if kind == "c":
        return "complex numbers, where an intensity belongs"
    if kind is not None and kind not in _NUMBERS:
        return "no numbers"
    axes = sum(size > 1 for size in item.shape)
    if axes < 2:
        return "an image has two axes"
    return ""


def _kind_of(dtype: str) -> str | None:
    try:
        return np.dtype(dtype).kind
    except TypeError:  # in words
        return None


class ArrayChooser(QDialog):
    """Asks which array of a file is meant.

    Parameters
    ----------
    path : str
        The file.
    items : sequence of Item
        What it holds.
    purpose : str
        What is chosen, such as ``pattern``.
    current : str, optional
        Name of the one that is chosen now.

    Signals
    -------
    chosen : str
        Address of the array, ``FILE::NAME``.
    """

    chosen = Signal(str)

    def __init__(
        self, path: str, items: Sequence[Item], purpose: str, current: str | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("subangstrom-arrays")
        self.setWindowTitle(f"Choose the {purpose}")
        self._path = path
        self._told = QLabel(f"{Path(path).name} holds several arrays. Which one is the {purpose}?")
        self._told.setTextFormat(Qt.TextFormat.PlainText)
        self._told.setWordWrap(True)
        self.filter = QLineEdit()
        self.filter.setObjectName("array-filter")
        self.filter.setPlaceholderText("show only names, shapes or captions with…")
        self.filter.setClearButtonEnabled(True)
        self.filter.setAccessibleName("filter the arrays")
        self.tree = ArrayTree(items)
        self.preview = Preview(self)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel)
        self._open = self.buttons.button(QDialogButtonBox.StandardButton.Open)
        self._lay_out()
        self.filter.textChanged.connect(self._on_filter)
        self.filter.installEventFilter(self)
        self.tree.currentItemChanged.connect(self._on_current)
        self.tree.itemActivated.connect(self._on_activated)
        self.buttons.accepted.connect(self._take)
        self.buttons.rejected.connect(self.reject)
        self.tree.go_to(current)
        self._on_current()
        self.tree.setFocus()

    def _lay_out(self) -> None:
        left = QVBoxLayout()
        left.addWidget(self.filter)
        left.addWidget(self.tree, stretch=1)
        row = QHBoxLayout()
        row.addLayout(left, stretch=1)
        row.addWidget(self.preview)
        column = QVBoxLayout(self)
        column.addWidget(self._told)
        column.addLayout(row, stretch=1)
        column.addWidget(self.buttons)
        letter = self.fontMetrics().averageCharWidth()
        self.resize(110 * letter, 28 * self.fontMetrics().height())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Arrows in the filter go through the tree."""
        pressed = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() in _ARROWS
        if watched is self.filter and pressed:
            self.tree.setFocus()
            QApplication.sendEvent(self.tree, event)
            return True
        return super().eventFilter(watched, event)

    def _on_filter(self, text: str) -> None:
        self.tree.show_only(text)
        self._on_current()

    def _on_current(self, *_: object) -> None:
        item = self.tree.current
        self._open.setEnabled(item is not None)
        if item is not None:
            self.preview.show_array(f"{self._path}::{item.name}")
        else:
            self.preview.clear()

    def _on_activated(self, row: QTreeWidgetItem) -> None:
        if self.tree.item_of(row) is not None:
            self._take()

    def _take(self) -> None:
        item = self.tree.current
        if item is not None:
            self.chosen.emit(f"{self._path}::{item.name}")
            self.accept()


class ArrayTree(QTreeWidget):
    """Arrays below their groups, or as a list where they have none; what can be no image is grey, and says why."""

    def __init__(self, items: Sequence[Item], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("array-tree")
        self.setAccessibleName("arrays in the file")
        self.setHeaderLabels(_HEADINGS)
        self.setUniformRowHeights(True)
        self.setAlternatingRowColors(False)
        self._items: dict[int, Item] = {}
        groups: dict[tuple[str, ...], QTreeWidgetItem] = {}
        for item in items:
            *above, name = _parts(item.name)
            row = QTreeWidgetItem(self._group(groups, tuple(above)))
            self._fill(row, item, name)
        self.setRootIsDecorated(bool(groups))
        self.expandAll()
        header = self.header()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)

    def _group(self, groups: dict[tuple[str, ...], QTreeWidgetItem], parts: tuple[str, ...]) -> Any:
        if not parts:
            return self
        if parts not in groups:
            group = QTreeWidgetItem(self._group(groups, parts[:-1]), [parts[-1]])
            group.setFlags(Qt.ItemFlag.ItemIsEnabled)
            groups[parts] = group
        return groups[parts]

    def _fill(self, row: QTreeWidgetItem, item: Item, name: str) -> None:
        for column, text in enumerate((name, " × ".join(map(str, item.shape)), item.dtype, item.caption)):
            row.setText(column, text)
            row.setToolTip(column, f"{item.name}\n{item.caption}".strip())
        problem = why_not(item)
        if problem:
            row.setDisabled(True)
            row.setText(3, f"{item.caption} ({problem})" if item.caption else problem)
        else:
            row.setData(0, Qt.ItemDataRole.UserRole, len(self._items))
            self._items[len(self._items)] = item

    def item_of(self, row: QTreeWidgetItem | None) -> Item | None:
        """The array of a row; None of a group, or of what can be no image."""
        key = None if row is None else row.data(0, Qt.ItemDataRole.UserRole)
        return None if key is None else self._items[int(key)]

    @property
    def current(self) -> Item | None:
        """The array that is looked at, if it may be chosen and is in sight."""
        row = self.currentItem()
        return None if row is None or row.isHidden() else self.item_of(row)

    def go_to(self, name: str | None) -> None:
        """Look at an array, by default at the first that may be chosen."""
        rows = [row for row in self.rows() if self.item_of(row) is not None and not row.isHidden()]
        named = [row for row in rows if self._name_of(row) == name]
        if rows:
            self.setCurrentItem((named or rows)[0])

    def _name_of(self, row: QTreeWidgetItem) -> str | None:
        item = self.item_of(row)
        return None if item is None else item.name

    def rows(self) -> list[QTreeWidgetItem]:
        """Every row, groups too, from the top."""
        found, walk = [], QTreeWidgetItemIterator(self)
        while (row := walk.value()) is not None:
            found.append(row)
            walk += 1
        return found

    def show_only(self, text: str) -> None:
        """Show the arrays with all of these words in name, shape, type or caption, and the groups above them."""
        words = text.lower().replace("x", "×").split()
        for row in reversed(self.rows()):  # a group after what is in it
            if row.childCount():
                row.setHidden(all(row.child(k).isHidden() for k in range(row.childCount())))
            else:
                told = " ".join([row.toolTip(0), *(row.text(k) for k in range(4))]).lower()
                told = told.replace(" × ", "×").replace("x", "×")
                row.setHidden(not all(word in told for word in words))
        if self.current is None:
            self.go_to(None)


def _parts(name: str) -> list[str]:
    """Groups and name of a path in HDF5; any other name as it is."""
    return [part for part in name.split("/") if part] if name.strip("/") and name.startswith("/") else [name]


class Preview(QWidget):
    """A small picture of an array, read in a thread; of a stack its first frame."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.picture = QLabel()
        self.picture.setObjectName("array-preview")
        self.picture.setFixedSize(_SIDE_PX, _SIDE_PX)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.text = QuietLabel()
        self.text.setObjectName("array-said")
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setFixedWidth(_SIDE_PX)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.picture)
        column.addWidget(self.text)
        column.addStretch(1)
        self._wanted: str | None = None
        self._reading: str | None = None
        self._task = BackgroundTask(self)
        self._task.done.connect(self._on_read)
        self._task.failed.connect(self._on_failed)

    def show_array(self, address: str) -> None:
        """Read an array and show it, once the one that is being read is done."""
        if address == self._wanted:
            return
        self._wanted = address
        self.picture.clear()
        self.text.setText("reading…")
        self._read()

    def clear(self) -> None:
        """Show nothing."""
        self._wanted = None
        self.picture.clear()
        self.text.setText("")

    def _read(self) -> None:
        address = self._wanted
        if address is not None and self._task.start(lambda: thumbnail(address)):
            self._reading = address

    def _on_read(self, outcome: tuple[NDArray[np.uint8], str], doubts: tuple[str, ...]) -> None:
        if self._is_outdated():
            return
        grey, told = outcome
        height, width = grey.shape
        raw = grey.tobytes()  # Qt keeps no reference
        pixmap = QPixmap.fromImage(QImage(raw, width, height, width, QImage.Format.Format_Grayscale8))
        keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.FastTransformation
        self.picture.setPixmap(pixmap.scaled(_SIDE_PX, _SIDE_PX, keep, smooth))
        self.text.setText("\n".join((told, *doubts)))

    def _on_failed(self, problem: str) -> None:
        if not self._is_outdated():
            self.text.setText(problem)

    def _is_outdated(self) -> bool:
        """Whether another array is wanted by now, which is then read."""
        if self._reading == self._wanted:
            return False
        self._read()
        return True


def thumbnail(address: str, side: int = _SIDE_PX) -> tuple[NDArray[np.uint8], str]:
    """A small grey picture, and the range of the values in words.

    Parameters
    ----------
    address : str
        ``FILE::NAME``.
    side : int
        Pixels a side, at most.

    Raises
    ------
    InputError
        If it cannot be read, or a frame is larger than 128 MB.
    """
    frame = 0 if describe(address).frames > 1 else None
    data = read_image(address, frame=frame, max_bytes=_LARGEST_BYTES).data
    step = max(1, -(-max(data.shape) // side))
    told = f"{np.nanmin(data):.4g} to {np.nanmax(data):.4g}"
    return _grey(data[::step, ::step].astype(np.float64)), told if frame is None else f"first frame: {told}"


def _grey(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """From 0 to 255; where a few pixels outshine all others, as in a pattern, by the root."""
    values = np.nan_to_num(values, posinf=0, neginf=0)
    low, middle, high = np.percentile(values, (0.5, 50, 99.8))
    scaled = np.clip((values - low) / ((high - low) or 1), 0, 1)
    if middle - low < 0.2 * (high - low):
        scaled = np.sqrt(scaled)
    return np.ascontiguousarray(np.round(255 * scaled).astype(np.uint8))


Picked = Callable[[str], Any]


def choose_array(
    parent: QWidget, path: str, items: Sequence[Item], purpose: str, picked: Picked, current: str | None = None
) -> ArrayChooser:
    """Ask for one of a file's arrays without stopping the window; ``picked`` hears its address."""
    dialog = ArrayChooser(path, items, purpose, current, parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.chosen.connect(picked)
    dialog.open()
    return dialog
