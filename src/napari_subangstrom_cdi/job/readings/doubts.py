"""When the program itself doubts a number: the limits of its warnings, and of what is marked."""

from __future__ import annotations

from .reading import Metrics, or_nan, value

# Of sound simulated records thin crystals reach 0.98, the thickest 0.89; 10 nm of untold astigmatism, 0.84, give
# another structure (correlation with the truth 0.5).
LEAST_AGREEMENT = 0.86
LEAST_BROUGHT_BACK = 0.7
LEAST_LIKENESS = 0.75
WORSE = 0.1
LEAST_OVERSAMPLING = 2.0


def hardly_agrees(metrics: Metrics) -> bool:
    """The object agrees little with the image."""
    if "guard" in metrics:  # calculates the image instead: that of a thick crystal is not in proportion to it
        return False
    return _below(metrics, "image_agreement", LEAST_AGREEMENT)


def hardly_brought_back(metrics: Metrics) -> bool:
    """A part of the model that was left out does not come back, or it is not known whether it does."""
    found = value(metrics, "guard.omit_correlations")
    return bool(found) and not min(or_nan(one) for one in found) > LEAST_BROUGHT_BACK


def hardly_alike(metrics: Metrics) -> bool:
    """The image that the result makes is not like the one taken."""
    return _below(metrics, "guard.image_likeness", LEAST_LIKENESS)


def worse_with_model(metrics: Metrics) -> bool:
    """Pixels that were held out fit worse with the model than without."""
    aided, alone = (or_nan(value(metrics, f"guard.without_model.{name}")) for name in ("free_r_with_model", "free_r"))
    return aided > alone + WORSE


def hardly_oversampled(metrics: Metrics) -> bool:
    """The pattern does not determine the phases."""
    return _below(metrics, "oversampling_ratio", LEAST_OVERSAMPLING)


def stopped(metrics: Metrics) -> bool:
    """The run was stopped before its last member."""
    return value(metrics, "complete") is False


def _below(metrics: Metrics, key: str, limit: float) -> bool:
    return or_nan(value(metrics, key)) < limit
