"""Masks: the support in real space, and the regions of the pattern."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame

from napari_subangstrom_cdi.gui.docks.parts.dock import StepDock
from napari_subangstrom_cdi.gui.docks.parts.regions_part import RegionsPart
from napari_subangstrom_cdi.gui.docks.parts.support_part import SupportPart
from napari_subangstrom_cdi.job.readings import READINGS, written
from napari_subangstrom_cdi.session.session import Step


class MasksDock(StepDock):
    """The step that makes both masks."""

    step = Step.MASKS
    title = "Masks"
    action = "Make masks"
    help = "Find the support and the regions with these settings, and what was painted"

    def build(self) -> None:
        """The two halves."""
        self.support = SupportPart(self.controller)
        self.regions = RegionsPart(self.controller)
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        line.setEnabled(False)
        self.body.addWidget(self.support)
        self.body.addWidget(line)
        self.body.addWidget(self.regions)
        for part in (self.support, self.regions):
            part.said.connect(self.status.show_message, Qt.ConnectionType.DirectConnection)

    def refresh(self) -> None:
        """Show the plan, and preview what it gives."""
        self.support.refresh()
        self.regions.refresh()

    def release(self) -> None:
        """Let go of the painted layers."""
        for part in (self.support, self.regions):
            part.tools.release()

    def summary(self) -> str:
        """Shares of the regions, and the support in numbers."""
        prepared = self.session.prepared
        if prepared is None:
            return ""
        shares, support = prepared.readings["regions"], prepared.support
        parts = ", ".join(f"{name} {written(READINGS[f'regions.{name}'], shares[name])}" for name in ("G", "B", "M"))
        threshold = f", threshold {support.threshold:.3f}" if support.threshold == support.threshold else ""
        return (
            f"{parts}; support {support.area_angstrom2 / 100:.1f} nm²{threshold}, "
            f"oversampling {support.oversampling_ratio:.2f}"
        )
