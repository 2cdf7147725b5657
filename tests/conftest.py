"""Makes ``tests/fixtures`` importable: the parts of a small lab, and jobs over them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "fixtures"))
