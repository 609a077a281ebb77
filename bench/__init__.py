"""Measurements.  They use the servers of the tests (tests/support)."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests"))
