"""Images exported for a display are said to be."""

import numpy as np
import pytest

from napari_subangstrom_cdi.errors import collected_doubts
from napari_subangstrom_cdi.job.preparation.load import _doubt_display

IMAGE = np.random.default_rng(0).normal(200, 14, (64, 64))
STRETCHED = np.clip((IMAGE - 180) * 255 / 40, 0, 255)


@pytest.mark.parametrize(
    ("data", "is_said"),
    [
        (STRETCHED.astype(np.uint8), True),
        ((STRETCHED / 255).astype(np.float32), True),
        (IMAGE.astype(np.uint8), False),
        (IMAGE.astype(np.uint16), False),
        (IMAGE.astype(np.float32), False),
    ],
)
def test_a_stretched_contrast_is_said(data, is_said):
    with collected_doubts() as said:
        _doubt_display(data, "image.tif")
    assert ["image.tif takes up" in text for text in said] == [True] * is_said
