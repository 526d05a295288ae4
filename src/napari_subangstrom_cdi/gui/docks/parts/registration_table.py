"""What an alignment found, in rows, and the other rotations that it might have been."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_subangstrom_cdi.core.image.geometry import Candidate, ImageRegistration
from napari_subangstrom_cdi.gui.plots.number_table import NumberTable
from napari_subangstrom_cdi.job.preparation.image import registration_readings
from napari_subangstrom_cdi.job.readings import NONE, READINGS, text

_ROWS = {
    "rotation": READINGS["registration.rotation_deg"],
    "pixel": READINGS["registration.image_pixel_angstrom"],
    "mirrored": READINGS["registration.mirrored"],
    "correlation": READINGS["registration.correlation"],
    "phase": READINGS["registration.object_phase_deg"],
    "defocus": READINGS["registration.defocus_nm"],
}
_MOST_CANDIDATES = 6
_OF_BEST = 0.5


class RegistrationTable(NumberTable):
    """The numbers of an alignment."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_ROWS, "align-", parent, capitals=True)

    def show_registration(self, found: ImageRegistration | None) -> None:
        """Show one, or that there is none."""
        texts = dict.fromkeys(_ROWS, NONE) if found is None else described(found)
        for name, said in texts.items():
            self.show_number(name, said)


def described(found: ImageRegistration) -> dict[str, str]:
    """The numbers of an alignment as text, with as many digits as they are good for."""
    texts = {name: text(reading, registration_readings(found)) for name, reading in _ROWS.items()}
    count = f"{found.n_reflections} reflection{'' if found.n_reflections == 1 else 's'}"
    return {**texts, "correlation": f"{texts['correlation']}, {count}"}


class CandidateList(QWidget):
    """Other ways to lay the image onto the pattern; one can be used instead."""

    chosen = Signal(object)
    """A Candidate."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tree = QTreeWidget()
        self.tree.setObjectName("align-candidates")
        self.tree.setHeaderLabels(["φ / °", "pixel / Å", "mirrored", "correlation"])
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.tree.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.tree.setToolTip("A double click sets it by hand. Half a turn more is as good for a power spectrum.")
        header = self.tree.header()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.use = QPushButton("Use")
        self.use.setObjectName("align-use-candidate")
        self.use.setToolTip("Set the chosen rotation and pixel by hand")
        self._candidates: tuple[Candidate, ...] = ()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tree)
        layout.addWidget(self.use, alignment=Qt.AlignmentFlag.AlignRight)
        self.tree.itemDoubleClicked.connect(self._choose)
        self.tree.itemSelectionChanged.connect(self._enable)
        self.use.clicked.connect(self._use)
        self._enable()

    def show_candidates(self, candidates: tuple[Candidate, ...]) -> None:
        """Show the best few, none far worse than the best; nothing is done if they are shown already."""
        good = [c for c in candidates if c.correlation > _OF_BEST * candidates[0].correlation]
        candidates = tuple(good[:_MOST_CANDIDATES])
        if candidates == self._candidates:
            return
        self._candidates = candidates
        self.tree.clear()
        for c in candidates:
            texts = [f"{c.rotation_deg:.2f}", f"{c.image_pixel_angstrom:.4f}", "yes" if c.mirrored else "no"]
            item = QTreeWidgetItem([t.replace("-", "−") for t in (*texts, f"{c.correlation:.3f}")])
            for column in range(item.columnCount()):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignCenter)
            self.tree.addTopLevelItem(item)
        self._fit()

    def showEvent(self, event: QShowEvent | None) -> None:
        """The heights of rows are known now."""
        super().showEvent(event)
        self._fit()

    def _fit(self) -> None:
        """As high as its rows."""
        header = self.tree.header()
        head = 0 if header is None else header.sizeHint().height()
        row = self.tree.sizeHintForRow(0) + 1
        self.tree.setFixedHeight(head + row * max(1, len(self._candidates)) + 2 * self.tree.frameWidth() + 6)

    def _enable(self) -> None:
        self.use.setEnabled(bool(self.tree.selectedItems()))

    def _use(self) -> None:
        self._choose(self.tree.currentItem())

    def _choose(self, item: QTreeWidgetItem | None, _: int = 0) -> None:
        if item is not None:
            self.chosen.emit(self._candidates[self.tree.indexOfTopLevelItem(item)])
