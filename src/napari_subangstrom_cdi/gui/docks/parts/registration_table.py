"""What an alignment found, in rows, and the other rotations that it might have been."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHeaderView,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_subangstrom_cdi.core.image.geometry import Candidate, ImageRegistration

from .numbers import labelled_values

_ROWS = (
    ("rotation", "Rotation φ", "From the image's axes to the pattern's, clockwise on the screen"),
    ("pixel", "Image pixel", "As it follows from the pattern's calibration"),
    ("mirrored", "Mirrored", "Whether the image's x axis is reversed"),
    ("correlation", "Correlation", "Of the shapes of the reflections that both have; 1 is full agreement"),
    ("phase", "Object phase", "Mean phase of the object for which the contrast transfer explains the image"),
    ("defocus", "Defocus", "For which the contrast transfer explains the image; negative is underfocus"),
)
_MOST_CANDIDATES = 6
_OF_BEST = 0.5


class RegistrationTable(QWidget):
    """The numbers of an alignment."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.values, _ = labelled_values(QGridLayout(self), _ROWS, "align")

    def show_registration(self, found: ImageRegistration | None) -> None:
        """Show one, or that there is none."""
        texts = dict.fromkeys(self.values, "–") if found is None else described(found)
        for name, text in texts.items():
            self.values[name].setText(text)


def described(found: ImageRegistration) -> dict[str, str]:
    """The numbers of an alignment as text, with as many digits as they are good for."""
    count = f"{found.n_reflections} reflection{'' if found.n_reflections == 1 else 's'}"
    return {
        "rotation": _with_error(found.rotation_deg, found.rotation_error_deg, "°"),
        "pixel": _with_error(found.image_pixel_angstrom, found.image_pixel_error_angstrom, " Å"),
        "mirrored": "yes" if found.mirrored else "no",
        "correlation": f"{found.correlation:.4f}, {count}",
        "phase": f"{found.object_phase_deg:.1f}°".replace("-", "−"),
        "defocus": f"{found.defocus_nm:.1f} nm".replace("-", "−") if math.isfinite(found.defocus_nm) else "–",
    }


def _with_error(value: float, error: float, unit: str) -> str:
    if not math.isfinite(error) or error <= 0:
        return f"{value:.4f}{unit} (by hand)".replace("-", "−")
    digits = max(0, min(6, 1 - math.floor(math.log10(error))))
    return f"{value:.{digits}f} ± {error:.{digits}f}{unit}".replace("-", "−")


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
