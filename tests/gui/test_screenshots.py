"""The pictures of the documentation can be taken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "screenshots.py"


def test_the_first_pictures_show_the_whole_window_and_what_its_canvases_hold(tmp_path):
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), "--out", str(tmp_path), "--upto", "data"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = {path.stem for path in tmp_path.iterdir()}
    windows, docks = {"tutorial-1-open", "tutorial-2-sample", "tutorial-3-data"}, {"dock-data", "dock-data-acquisition"}
    assert names == windows | docks | {"array-chooser"}
    empty, loaded = (
        np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"), float)
        for name in ("tutorial-1-open", "tutorial-3-data")
    )
    assert empty.shape == loaded.shape == (1000, 1600, 3)
    # image and pattern, which a grab that misses OpenGL leaves black
    image, pattern = np.s_[100:400, 600:900], np.s_[650:850, 500:700]
    assert empty[pattern].std() < 1
    assert loaded[image].std() > 10 and loaded[pattern].std() > 10
