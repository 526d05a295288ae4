"""Each example runs as it is, on records that are small."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
RECORDS = Path(__file__).parent / "data" / "from_0_1_0"
SAID = {
    "own_constraint.py": "own_constraint.cxi",
    "own_schedule.py": "own: R",
    "quick_start.py": "written:",
    "sweep_alpha.py": "0.6",
    "watch_iterations.py": "complex",
}


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example_runs(script, tmp_path):
    done = subprocess.run(
        [sys.executable, str(script), str(RECORDS)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert SAID.get(script.name, "") in done.stdout and done.stdout.strip()


def test_the_examples_are_there():
    assert set(SAID) <= {path.name for path in EXAMPLES.glob("*.py")}


def test_the_lines_of_the_readme_run(tmp_path):
    [lines] = re.findall(r"```python\n(.*?)```", (EXAMPLES.parent / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    for record in RECORDS.glob("*.[tmj]*"):
        shutil.copy(record, tmp_path)
    done = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {"result.cxi", "report.png", "report.pdf"} <= {path.name for path in tmp_path.iterdir()}
