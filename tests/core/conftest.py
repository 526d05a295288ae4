"""Let the tests of the core import the synthetic objects and the scorer beside this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
