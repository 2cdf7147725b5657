import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (str(HERE), str(HERE.parents[1] / "fixtures")):
    if folder not in sys.path:
        sys.path.insert(0, folder)
