"""Which schedule phases these data."""

from __future__ import annotations

from napari_subangstrom_cdi.core.phasing.regions import Region
from napari_subangstrom_cdi.core.phasing.retrieval import Problem
from napari_subangstrom_cdi.core.phasing.schedule import (
    Schedule,
    extend_schedule,
    model_schedule,
    paper_schedule,
    support_only_schedule,
)
from napari_subangstrom_cdi.job.plan import Plan

from .image import RegisteredImage


def choose_schedule(plan: Plan, image: RegisteredImage | None, problem: Problem) -> Schedule:
    """The plan's own schedule, or its preset's for these data."""
    if plan.retrieval.schedule:
        return plan.retrieval.schedule
    if plan.retrieval.preset == "model":
        return model_schedule()
    if plan.retrieval.preset == "paper":
        return paper_schedule(with_image=image is not None)
    if image is None:
        return support_only_schedule()
    return extended_schedule(image, problem)


def extended_schedule(image: RegisteredImage, problem: Problem) -> Schedule:
    """From the image's band to the last amplitude of G."""
    good = problem.regions == Region.G
    q_last = float(problem.grid.q_per_angstrom()[good].max())
    return extend_schedule(round(image.band_limit_per_angstrom, 4), round(q_last, 4))
