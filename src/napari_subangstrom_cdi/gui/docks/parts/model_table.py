"""What the fit of a crystal found, in rows, with errors, and the orientations that it might have been."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from napari_subangstrom_cdi.gui.plots.number_table import NumberTable
from napari_subangstrom_cdi.job.readings import READINGS, Metrics, text, written

_ROWS = {
    "zone": READINGS["model.zone"],
    "tilt": READINGS["model.tilt_deg"],
    "azimuth": READINGS["model.azimuth_deg"],
    "thickness": READINGS["model.thickness_angstrom"],
    "roundness": READINGS["model.roundness"],
    "spacings": READINGS["model.lattice_scale"],
    "explained": READINGS["model.pattern_explained"],
    "reflections": READINGS["model.r_reflections"],
    "pattern": READINGS["model.r_pattern"],
    "image": READINGS["model.image_correlation"],
    "boundary": READINGS["model.boundary.shift_angstrom"],
}
_MOST_RIVALS = 3


class ModelTable(NumberTable):
    """The numbers of a fit."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_ROWS, "model-", parent, capitals=True, optional=("boundary",))
        self.grid.setRowStretch(len(_ROWS), 1)

    def show_model(self, readings: Metrics | None) -> None:
        """Show the numbers of a fit, as its readings have them, or that there are none."""
        self.show_metrics(None if readings is None else {"model": readings})


def described(readings: Metrics) -> dict[str, str]:
    """The numbers of a fit as text, with as many digits as they are good for."""
    return {name: text(reading, {"model": readings}) for name, reading in _ROWS.items()}


def others(readings: Metrics | None) -> str:
    """What else it might have been, orientations and zone axes, in a line each; empty if there is nothing."""
    if readings is None:
        return ""
    orientations = [
        f"{_zone(rival)} at {rival['azimuth_deg']:.1f}°, R {written(_ROWS['reflections'], rival['r_reflections'])}"
        for rival in readings["rivals"][:_MOST_RIVALS]
    ]
    found = {tuple(readings["zone"]), tuple(-index for index in readings["zone"])}
    zones = [
        f"{_zone(one)} ({one['score']:.2f})"
        for one in readings.get("zones", ())[: _MOST_RIVALS + 1]
        if tuple(one["zone"]) not in found
    ]
    lines = [
        f"{title}: {'; '.join(said)}"
        for title, said in (("Other orientations", orientations), ("Other zone axes by the spots (score)", zones))
        if said
    ]
    return "\n".join(lines).replace("-", "−")


def headline(readings: Metrics) -> str:
    """The same in a sentence."""
    texts = described(readings)
    return f"tilt {texts['tilt']}; {texts['thickness']} thick; R {texts['pattern']} before phasing"


def _zone(fit: Metrics) -> str:
    return written(_ROWS["zone"], fit["zone"])
